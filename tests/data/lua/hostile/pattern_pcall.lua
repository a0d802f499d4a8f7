-- expect: MIG_TIMEOUT cpu_budget -- patterns that fail cost their time
local mig = require "mig"
local cap = mig.capability { id = "hostile.pattern-pcall.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  while true do pcall(string.find, ("a"):rep(400), ".-.-.-b") end
end
