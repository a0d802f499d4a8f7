-- expect: MIG_TIMEOUT cpu_budget -- a gsub function cannot be suspended, only ended
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-gsub-callback.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  string.gsub("aaa", "a", function() while true do end end)
end
