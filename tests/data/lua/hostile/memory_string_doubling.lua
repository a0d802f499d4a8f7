-- expect: MIG_BACKPRESSURE|MIG_TIMEOUT memory_budget|cpu_budget -- a string that doubles
local mig = require "mig"
local cap = mig.capability { id = "hostile.memory-string-doubling.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local s = "x"
  while true do s = s .. s end
end
