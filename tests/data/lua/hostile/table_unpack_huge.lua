-- expect: MIG_INTERNAL script_error -- too many results
local mig = require "mig"
local cap = mig.capability { id = "hostile.table-unpack-huge.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return #{ table.unpack({}, 1, 100000000) }
end
