-- wrk: one POST over and over, each with the next token of the file TOKENS; without a file with none, in
-- as many copies, so that the generator works as much. BODY and TENANT come from the environment.
local requests, at = {}, 0

local function add(token)
  wrk.headers["Authorization"] = token and "Bearer " .. token
  requests[#requests + 1] = wrk.format()
end

function init()
  local file = os.getenv("TOKENS")
  wrk.method = "POST"
  wrk.body = os.getenv("BODY")
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["X-Tenant-ID"] = os.getenv("TENANT")
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

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"us":%d,"p50_us":%.1f,"p90_us":%.1f,"p99_us":%.1f,"max_us":%.1f,' ..
      '"non2xx":%d,"socket_errors":%d}\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
    e.status, e.connect + e.read + e.write + e.timeout))
end
