-- expect: MIG_INTERNAL script_error -- a lying __len does not make a loop
local mig = require "mig"
local cap = mig.capability { id = "hostile.table-insert-len.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, "x")
end
