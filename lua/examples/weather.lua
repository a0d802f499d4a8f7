-- weather.lua: the smallest useful script. One unary capability that remembers its answers.
--
--   migctl invoke example.weather.now '{"city":"Rome"}'
--   {"celsius":21,"cached":false}
--
-- Configuration (all optional): { "cities": { "Rome": 21 }, "ttl_ms": 60000 }

local mig = require "mig"

-- The top level runs once per event loop, while the script is loaded. It declares; it cannot wait.
local cities = mig.config.cities or { Rome = 21, Oslo = 4, Cairo = 33 }
local ttl_ms = mig.config.ttl_ms or 60000

local now = mig.capability {
  id = "example.weather.now",
  version = "1.0.0",
  summary = "Temperature of a city, remembered for a minute.",
  scopes = { "weather:read" },
  input = {                              -- JSON Schema: the host checks before we are called
    type = "object",
    required = { "city" },
    properties = { city = { type = "string", minLength = 1, maxLength = 80 } },
  },
  output = {
    type = "object",
    required = { "celsius", "cached" },
    properties = { celsius = { type = "number" }, cached = { type = "boolean" } },
  },
  budget = { cpu_ms = 20, memory_kb = 2048 },
}

function now.invoke(call)
  local city = call.payload.city
  local key = "now:" .. city

  local known = mig.kv.get(key)          -- suspends this call, never the event loop
  if known then
    return { celsius = known.celsius, cached = true }
  end

  local celsius = cities[city]
  if not celsius then                    -- the caller sees this code and this text
    return nil, mig.error("MIG_NOT_FOUND", "no weather for " .. city, { city = city })
  end
  mig.kv.put(key, { celsius = celsius }, { ttl_ms = ttl_ms })
  return { celsius = celsius, cached = false }
end
