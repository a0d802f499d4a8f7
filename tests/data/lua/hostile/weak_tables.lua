-- expect: MIG_INTERNAL script_error -- tables are never weak
local mig = require "mig"
local cap = mig.capability { id = "hostile.weak-tables.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  setmetatable({}, { __mode = "k" })
end
