-- expect: MIG_INTERNAL script_error -- mig.all takes 255 functions
local mig = require "mig"
local cap = mig.capability { id = "hostile.many-functions-in-all.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = {}
  for i = 1, 10000 do t[i] = function() end end
  mig.all(t)
end
