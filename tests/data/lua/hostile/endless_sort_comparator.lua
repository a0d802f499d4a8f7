-- expect: MIG_TIMEOUT cpu_budget -- a comparator cannot be suspended, only ended
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-sort-comparator.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  table.sort({ 3, 1, 2 }, function() while true do end end)
end
