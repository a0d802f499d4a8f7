-- expect: MIG_INTERNAL script_error -- the collector cannot be tuned
local mig = require "mig"
local cap = mig.capability { id = "hostile.collectgarbage.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  collectgarbage("stop")
end
