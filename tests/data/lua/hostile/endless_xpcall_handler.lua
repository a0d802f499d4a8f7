-- expect: MIG_TIMEOUT cpu_budget -- a message handler is stopped like everything else
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-xpcall-handler.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  xpcall(function() while true do end end, function() while true do end end)
  while true do end
end
