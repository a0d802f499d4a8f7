-- pipeline.lua: one capability made of others, in parallel, with its errors handled.
-- It needs weather.lua beside it.
--
--   migctl invoke example.pipeline.report '{"cities":["Rome","Oslo","Atlantis"]}'
--   {"warmest":"Rome","celsius":{"Oslo":4,"Rome":21},"missing":["Atlantis"],"served":1}

local mig = require "mig"

local report = mig.capability {
  id = "example.pipeline.report",
  version = "1.0.0",
  summary = "Compares the weather of some cities.",
  input = {
    type = "object",
    required = { "cities" },
    properties = {
      cities = { type = "array", minItems = 1, maxItems = 20, items = { type = "string" } },
    },
  },
  timeout_ms = 5000,
}

local served = 0

-- A function that asks for one city. mig.all runs such functions side by side.
local function ask(city)
  return function()
    return mig.invoke("example.weather.now", { city = city })   -- result, or nil and an error
  end
end

function report.invoke(call)
  local cities, questions = call.payload.cities, {}
  for i, city in ipairs(cities) do
    questions[i] = ask(city)
  end

  -- results[i] and errors[i] belong to questions[i]. A function that raises an error would end
  -- the others and raise it again here.
  local results, errors = mig.all(questions)

  local celsius, missing, warmest = {}, mig.array {}, nil
  for i, city in ipairs(cities) do
    local err = errors and errors[i]
    if err and err.code ~= "MIG_NOT_FOUND" then
      return nil, err                     -- hand the failure on as it is
    elseif err then
      table.insert(missing, city)
    else
      celsius[city] = results[i].celsius
      if not warmest or celsius[city] > celsius[warmest] then warmest = city end
    end
  end

  served = served + 1
  return { warmest = warmest or mig.null, celsius = celsius, missing = missing, served = served }
end

-- Once a minute, on one event loop of the daemon. A tick may wait like a call.
mig.every(60000, function()
  mig.log.info("reports served on this loop", { count = served })
end)
