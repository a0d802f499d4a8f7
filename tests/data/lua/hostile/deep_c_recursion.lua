-- expect: MIG_INTERNAL script_error -- C stack: an error, not a crash
local mig = require "mig"
local cap = mig.capability { id = "hostile.deep-c-recursion.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local function f(s) return (s:gsub(".", f)) end
  return f("x")
end
