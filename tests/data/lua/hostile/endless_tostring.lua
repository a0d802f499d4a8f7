-- expect: MIG_INTERNAL script_error -- the engine calls no metamethod to print an error
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-tostring.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  error(setmetatable({}, { __tostring = function() while true do end end }))
end
