-- Asks in the name of so many clients, one after the other.
local count, n = 1, 0

function init(arguments)
   count = tonumber(arguments[1])
end

function request()
   n = (n + 7919) % count
   return wrk.format("GET", "/", { ["X-Key"] = "client-" .. n })
end
