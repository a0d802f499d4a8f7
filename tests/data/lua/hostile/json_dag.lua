-- expect: MIG_TIMEOUT|MIG_INTERNAL * -- a small graph whose text is endless
local mig = require "mig"
local cap = mig.capability { id = "hostile.json-dag.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = { 1 }
  for i = 1, 100 do t = { t, t } end
  return t
end
