-- expect: MIG_TIMEOUT cpu_budget -- a small graph whose text is endless, again and again
local mig = require "mig"
local cap = mig.capability { id = "hostile.json-dag-encode.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = { 1 }
  for i = 1, 100 do t = { t, t } end
  while true do pcall(mig.json.encode, t) end
end
