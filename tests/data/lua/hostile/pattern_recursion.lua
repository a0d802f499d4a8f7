-- expect: MIG_INTERNAL script_error -- patterns cannot exhaust the C stack
local mig = require "mig"
local cap = mig.capability { id = "hostile.pattern-recursion.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return (("a"):rep(100000)):match(("a?"):rep(100000))
end
