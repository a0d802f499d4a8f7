-- expect: MIG_INTERNAL script_error -- the stock matcher takes 14 s for this
local mig = require "mig"
local cap = mig.capability { id = "hostile.pattern-backtracking.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return (("a"):rep(400)):find(".-.-.-b")
end
