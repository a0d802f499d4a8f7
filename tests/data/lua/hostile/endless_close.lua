-- expect: MIG_TIMEOUT cpu_budget -- closing a variable takes part in the budget
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-close.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local x <close> = setmetatable({}, { __close = function() while true do end end })
  return 1
end
