-- expect: MIG_INTERNAL script_error -- no metamethods inside table.concat
local mig = require "mig"
local cap = mig.capability { id = "hostile.table-concat-hostile.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  return table.concat(setmetatable({}, { __index = table.concat }), "", 1, math.maxinteger - 1)
end
