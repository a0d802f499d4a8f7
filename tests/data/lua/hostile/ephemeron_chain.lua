-- expect: MIG_BACKPRESSURE|MIG_TIMEOUT memory_budget|cpu_budget -- weak keys would stall the collector, where nothing stops it
local mig = require "mig"
local cap = mig.capability { id = "hostile.ephemeron-chain.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local mt, keys, perm, tables = {}, {}, {}, {}
  for i = 1, 3000 do keys[i] = {}; perm[i] = i end
  for i = 3000, 2, -1 do local j = math.random(i); perm[i], perm[j] = perm[j], perm[i] end
  for n, i in ipairs(perm) do
    tables[n] = setmetatable({}, mt)
    tables[n][keys[i]] = keys[i + 1] or true
  end
  mt["__" .. "mode"] = "k"
  keys, perm = keys[1], nil
  local s = "x"
  while true do s = s .. s end
end
