-- expect: MIG_INTERNAL|MIG_BACKPRESSURE|MIG_TIMEOUT * -- Lua stack: an error, not a crash
local mig = require "mig"
local cap = mig.capability { id = "hostile.deep-recursion.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local function f(n) return 1 + f(n + 1) end
  return f(1)
end
