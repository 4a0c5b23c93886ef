-- Asks for so many routes, one after the other, each far from the one before.
local count, n = 1, 0

function init(arguments)
   count = tonumber(arguments[1])
end

function request()
   n = (n + 7919) % count
   return wrk.format("GET", "/r" .. n .. "/")
end
