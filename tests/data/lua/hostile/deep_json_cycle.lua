-- expect: MIG_INTERNAL script_error -- results that contain themselves
local mig = require "mig"
local cap = mig.capability { id = "hostile.deep-json-cycle.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = {}
  t[1] = t
  return t
end
