-- expect: MIG_BACKPRESSURE|MIG_TIMEOUT memory_budget|cpu_budget -- a chain of functions
local mig = require "mig"
local cap = mig.capability { id = "hostile.memory-closures.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local f
  for i = 1, 1e9 do local g = f; f = function() return g, i end end
end
