-- @NAME@.lua: one capability, in one file. Drop it into a plugin folder and run `migctl reload`.
local mig = require "mig"

local now = mig.capability {
  id = "example.@NAME@.now",
  version = "1.0.0",
  summary = "Temperature of a city.",
  input = {
    type = "object",
    required = { "city" },
    properties = { city = { type = "string", minLength = 1, maxLength = 80 } },
  },
  output = {
    type = "object",
    required = { "city", "celsius" },
    properties = { city = { type = "string" }, celsius = { type = "integer" } },
  },
}

-- Made up, but always the same for a city: replace it with a look into the world.
local function made_up(city)
  local sum = 0
  for i = 1, #city do
    sum = sum + city:byte(i)
  end
  return sum % 35 - 5
end

-- What is returned is the result; `return nil, mig.error("MIG_NOT_FOUND", "no such city")` refuses.
function now.invoke(call)
  local city = call.payload.city
  return { city = city, celsius = made_up(city) }
end
