-- expect: MIG_BACKPRESSURE|MIG_TIMEOUT|MIG_INTERNAL * -- mig.all in mig.all without end
local mig = require "mig"
local cap = mig.capability { id = "hostile.nested-all.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local function f() return mig.all { f, f } end
  return f()
end
