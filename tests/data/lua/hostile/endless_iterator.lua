-- expect: MIG_TIMEOUT cpu_budget -- iterators are stopped
local mig = require "mig"
local cap = mig.capability { id = "hostile.endless-iterator.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  for _ in function() return 1 end do end
end
