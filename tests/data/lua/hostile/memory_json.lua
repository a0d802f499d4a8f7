-- expect: MIG_BACKPRESSURE|MIG_INTERNAL|MIG_TIMEOUT * -- documents count as memory of the script
local mig = require "mig"
local cap = mig.capability { id = "hostile.memory-json.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local s = ("[" .. ("0,"):rep(3000000) .. "0]")
  return #mig.json.decode(s)
end
