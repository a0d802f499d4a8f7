-- expect: MIG_TIMEOUT cpu_budget -- parallel functions share the budget of the call
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-in-all.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  mig.all { function() while true do end end, function() while true do pcall(function() while true do end end) end end }
end
