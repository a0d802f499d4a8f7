-- expect: MIG_INTERNAL script_error -- formats of dates are short
local mig = require "mig"
local cap = mig.capability { id = "hostile.date-format.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return os.date(("%c"):rep(1000))
end
