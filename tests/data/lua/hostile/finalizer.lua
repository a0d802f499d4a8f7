-- expect: MIG_INTERNAL script_error -- finalizers run where nothing stops them, so there are none
local mig = require "mig"
local cap = mig.capability { id = "hostile.finalizer.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  setmetatable({}, { __gc = function() while true do end end })
end
