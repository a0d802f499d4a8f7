-- expect: MIG_TIMEOUT cpu_budget -- slow comparisons are counted
local mig = require "mig"
local cap = mig.capability { id = "hostile.sort-slow-compare.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local big = {}
  for i = 1, 20000 do big[i] = i end
  local mt = { __lt = function(a, b) return mig.json.encode(big) < "" end }
  local t = {}
  for i = 1, 1000 do t[i] = setmetatable({}, mt) end
  table.sort(t)
end
