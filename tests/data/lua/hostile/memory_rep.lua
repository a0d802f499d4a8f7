-- expect: MIG_INTERNAL script_error -- string.rep is bounded before it allocates
local mig = require "mig"
local cap = mig.capability { id = "hostile.memory-rep.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return #("x"):rep(1 << 40)
end
