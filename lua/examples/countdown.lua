-- countdown.lua: a stream to the caller, and how it ends.
--
--   migctl stream example.countdown.run '{"from":3}'
--   {"left":3}  {"left":2}  {"left":1}  {"done":true}

local mig = require "mig"

local run = mig.capability {
  id = "example.countdown.run",
  version = "1.0.0",
  summary = "Counts down, one frame at a time.",
  modes = { "server_stream" },
  input = {
    type = "object",
    properties = {
      from = { type = "integer", minimum = 1, maximum = 1000 },
      every_ms = { type = "integer", minimum = 0, maximum = 60000 },
    },
  },
}

local running = 0                        -- one number per event loop: states share nothing

-- A value whose clean-up runs whatever happens: result, error, or a caller who hangs up.
local function counted()
  running = running + 1
  return setmetatable({}, { __close = function() running = running - 1 end })
end

function run.invoke(call)
  local span <close> = mig.log.span("countdown", { from = call.payload.from })
  local slot <close> = counted()

  for left = call.payload.from or 10, 1, -1 do
    call:send { left = left }            -- waits while the caller reads slowly
    mig.sleep(call.payload.every_ms or 1000)
    -- When the caller hangs up, the function ends where it waits: nothing below runs any more,
    -- only `slot` and `span` are closed.
  end
  return { done = true, running = running }
end
