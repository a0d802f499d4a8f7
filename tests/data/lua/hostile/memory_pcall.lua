-- expect: MIG_TIMEOUT|MIG_BACKPRESSURE cpu_budget|memory_budget -- swallowing "not enough memory" does not help
local mig = require "mig"
local cap = mig.capability { id = "hostile.memory-pcall.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = {}
  while true do
    pcall(function() for i = 1, 1e9 do t[#t + 1] = ("x"):rep(100000) .. i end end)
  end
end
