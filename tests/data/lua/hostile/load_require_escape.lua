-- expect: load module names -- modules are below the folder of the script
require "...etc.passwd"
