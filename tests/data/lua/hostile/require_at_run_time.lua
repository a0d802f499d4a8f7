-- expect: MIG_INTERNAL script_error -- files are read only while the script loads
local mig = require "mig"
local cap = mig.capability { id = "hostile.require-at-run-time.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return require "other"
end
