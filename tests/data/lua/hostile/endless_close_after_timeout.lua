-- expect: MIG_TIMEOUT cpu_budget -- closing after the budget is used up gets no more time
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-close-after-timeout.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local x <close> = setmetatable({}, { __close = function() while true do end end })
  while true do end
end
