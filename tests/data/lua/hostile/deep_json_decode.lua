-- expect: MIG_INTERNAL script_error -- texts are at most 128 levels deep
local mig = require "mig"
local cap = mig.capability { id = "hostile.deep-json-decode.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return mig.json.decode(("["):rep(100000) .. ("]"):rep(100000))
end
