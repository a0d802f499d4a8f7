-- expect: MIG_TIMEOUT cpu_budget -- the error cannot be swallowed
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-pcall.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  while true do
    pcall(function() while true do end end)
  end
end
