-- expect: ok 2000 -- a comparator that contradicts itself sorts badly, but ends
local mig = require "mig"
local cap = mig.capability { id = "hostile.sort-invalid.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local t = {}
  for i = 1, 2000 do t[i] = (i * 7919) % 2003 end
  table.sort(t, function() return true end)
  table.sort(t, function(a, b) return math.random() < 0.5 end)
  return #t
end
