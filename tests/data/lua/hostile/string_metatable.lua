-- expect: ok "X" -- methods of strings cannot be changed
local mig = require "mig"
local cap = mig.capability { id = "hostile.string-metatable.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local mt = getmetatable("")
  if mt ~= nil then return mt end
  string.upper = function() return "changed" end
  return ("x"):upper()
end
