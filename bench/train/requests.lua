-- Asks for a little of everything, in turn, as browsers and programs do.
local body = string.rep("y", 4096)
local browser = {
   ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
   ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
   ["Accept-Language"] = "en-GB,en;q=0.5",
   ["Accept-Encoding"] = "gzip, deflate, br, zstd",
   ["Referer"] = "https://example.com/articles/17",
   ["Cookie"] = "session=4f6d1c8a; theme=dark",
}
local program = { ["Accept"] = "application/json", ["Authorization"] = "Bearer 4f6d1c8a" }
local requests = {}

function init()
   for _, path in ipairs({ "/", "/users/7?page=2", "/bare/", "/chunked", "/bare/chunked", "/compressed/", "/guarded/" }) do
      table.insert(requests, wrk.format("GET", path, browser))
      table.insert(requests, wrk.format("GET", path, program))
   end
   table.insert(requests, wrk.format("POST", "/users", program, body))
   table.insert(requests, wrk.format("PUT", "/bare/users/7", program, "{}"))
   table.insert(requests, wrk.format("HEAD", "/", program))
   table.insert(requests, wrk.format("GET", "/files/hello.txt", browser))
end

local n = 0

function request()
   n = n + 1
   return requests[n % #requests + 1]
end
