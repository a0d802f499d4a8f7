-- wrk: the POST of call.lua over and over, each with the next token of the file TOKENS; without a file with
-- none, in as many copies, so that the generator works as much.
dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "") .. "call.lua")

local requests, at = {}, 0

local function add(token)
  wrk.headers["Authorization"] = token and "Bearer " .. token
  requests[#requests + 1] = wrk.format()
end

function init()
  local file = os.getenv("TOKENS")
  if file == "" then
    for _ = 1, 1000 do add() end
  else
    for line in io.lines(file) do add(line) end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
