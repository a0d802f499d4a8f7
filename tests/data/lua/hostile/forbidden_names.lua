-- expect: ok {} -- nothing that touches the process is there
local mig = require "mig"
local cap = mig.capability { id = "hostile.forbidden-names.run", version = "1.0.0" }

function cap.invoke(call)
  if call.payload.ping then return "pong" end
  local names = {}
  for _, n in ipairs { "io", "debug", "package", "load", "loadstring", "loadfile", "dofile", "coroutine", "print", "warn" } do
    if _G[n] ~= nil then names[#names + 1] = n end
  end
  for _, n in ipairs { "execute", "exit", "getenv", "remove", "rename", "tmpname", "setlocale" } do
    if os[n] ~= nil then names[#names + 1] = "os." .. n end
  end
  if string.dump or ("").dump then names[#names + 1] = "string.dump" end
  return names
end
