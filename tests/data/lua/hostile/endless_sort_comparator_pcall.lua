-- expect: MIG_TIMEOUT cpu_budget -- the same, with the error swallowed twice
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-sort-comparator-pcall.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  while true do
    pcall(table.sort, { 3, 1, 2 }, function() pcall(function() while true do end end) return true end)
  end
end
