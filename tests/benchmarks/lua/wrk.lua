--- What wrk runs: each client asks for some paths in turn, with a pause before each request. What
--- it has found is printed as JSON.
-- luacheck: globals wrk init delay request done
local FOUND = '{"requests": %d, "microseconds": %d, "errors": %d, "p50": %g, "p99": %g}'

local requests = {}
local number = 0
local pause

function init(arguments)
  pause = tonumber(arguments[1])
  for i = 2, #arguments do
    requests[i - 1] = wrk.format("GET", arguments[i])
  end
end

--- Return for how many milliseconds to pause: at random, so that clients do not fall into step.
function delay()
  return math.random(0, 2 * pause)
end

function request()
  number = number % #requests + 1
  return requests[number]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local p50, p99 = latency:percentile(50), latency:percentile(99)
  print("\n" .. FOUND:format(summary.requests, summary.duration, failed, p50, p99))
end
