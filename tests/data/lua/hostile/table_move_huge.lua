-- expect: MIG_INTERNAL script_error -- no loop over what is not there
local mig = require "mig"
local cap = mig.capability { id = "hostile.table-move-huge.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  table.move({}, 1, math.maxinteger - 1, 2)
end
