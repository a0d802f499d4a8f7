-- expect: MIG_TIMEOUT cpu_budget -- metamethods are stopped
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-metamethod.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = setmetatable({}, { __index = function() while true do end end })
  return t.x
end
