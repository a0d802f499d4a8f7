-- expect: MIG_INTERNAL|MIG_BACKPRESSURE|MIG_TIMEOUT|ok * -- pcall in pcall in pcall
local mig = require "mig"
local cap = mig.capability { id = "hostile.deep-pcall.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local function f() return pcall(f) end
  return (f())
end
