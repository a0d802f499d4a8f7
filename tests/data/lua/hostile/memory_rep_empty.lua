-- expect: ok "" -- nothing, often, is nothing
local mig = require "mig"
local cap = mig.capability { id = "hostile.memory-rep-empty.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return (""):rep(1 << 60)
end
