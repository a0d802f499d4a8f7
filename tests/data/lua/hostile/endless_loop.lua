-- expect: MIG_TIMEOUT cpu_budget -- a loop without end is stopped
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-loop.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  while true do end
end
