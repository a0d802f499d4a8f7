-- expect: MIG_BACKPRESSURE|MIG_TIMEOUT memory_budget|cpu_budget -- a table that grows
local mig = require "mig"
local cap = mig.capability { id = "hostile.memory-table-growth.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = {}
  for i = 1, 1e9 do t[i] = { i } end
end
