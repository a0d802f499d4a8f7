-- expect: load not possible while the script loads -- the top level cannot wait
require "mig".sleep(1)
