-- expect: MIG_INTERNAL script_error -- the stock matcher takes ten minutes for this
local mig = require "mig"
local cap = mig.capability { id = "hostile.pattern-gsub.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return (("a"):rep(300000)):gsub(".-b", "")
end
