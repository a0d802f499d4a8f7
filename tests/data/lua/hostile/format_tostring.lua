-- expect: MIG_TIMEOUT cpu_budget -- __tostring is called from C and cannot be suspended
local mig = require "mig"
local cap = mig.capability { id = "hostile.format-tostring.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return string.format("%s", setmetatable({}, { __tostring = function() while true do end end }))
end
