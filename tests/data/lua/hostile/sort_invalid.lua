-- expect: ok 300 -- a comparator that contradicts itself sorts badly, but ends
local mig = require "mig"
local cap = mig.capability { id = "hostile.sort-invalid.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = {}
  for i = 1, 300 do t[i] = (i * 7919) % 307 end
  table.sort(t, function() return true end)
  table.sort(t, function(a, b) return math.random() < 0.5 end)
  return #t
end
