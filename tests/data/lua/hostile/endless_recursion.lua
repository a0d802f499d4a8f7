-- expect: MIG_TIMEOUT cpu_budget -- tail calls use no stack, only time
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-recursion.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local function f() return f() end
  f()
end
