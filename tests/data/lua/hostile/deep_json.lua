-- expect: MIG_INTERNAL script_error -- results are at most 128 levels deep
local mig = require "mig"
local cap = mig.capability { id = "hostile.deep-json.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = {}
  for i = 1, 1000 do t = { t } end
  return t
end
