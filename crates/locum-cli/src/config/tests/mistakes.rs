//! Every kind of mistake, with the line that a script reads.

use super::told_of;

#[test]
fn each_mistake_is_told_with_place_key_reason_and_remedy() {
    // What is replaced, by what, and all that is told then.
    let cases = [
        (
            "upstream = \"users\"",
            "files = { root = \"www\" }",
            "13:18: error: routes[0].files.root: where a path begins that is not absolute, nobody can tell; write one such as \"/srv/www\"",
        ),
        (
            "policy =",
            "cors = { origins = [\"*\"], credentials = true }\npolicy =",
            "14:21: error: routes[0].cors.origins[0]: with credentials any page could act for whoever looks at it; name the origins",
        ),
        (
            "policy =",
            "cors = { origins = [\"https://a.test/x\"] }\npolicy =",
            "14:21: error: routes[0].cors.origins[0]: `https://a.test/x` is no origin; write one such as \"https://app.example.com\", without a path",
        ),
        (
            "policy =",
            "split_key = \"client-ip\"\npolicy =",
            "14:1: error: routes[0].split_key: there is nothing to decide between; remove it, or add `split`",
        ),
        (
            "policy =",
            "compress = { codings = [\"br\", \"br\"] }\npolicy =",
            "14:31: error: routes[0].compress.codings[1]: `br` is already in the list; name it once",
        ),
        (
            "policy =",
            "compress = { types = [\"json\"] }\npolicy =",
            "14:23: error: routes[0].compress.types[0]: `json` is no type of content; write one such as \"application/json\", \"text/*\" or \"*+json\"",
        ),
        (
            "policy =",
            "compress = \"gzip\"\npolicy =",
            "14:12: error: routes[0].compress: found the text \"gzip\"; write true, false or { codings = [\"gzip\"] }",
        ),
        (
            "upstream = \"users\"",
            "compress = true\nrespond = { body = \"x\" }",
            "13:1: error: routes[0].compress: only answers of upstreams and files are compressed; remove it",
        ),
        (
            "upstream = \"users\"",
            "respond = { status = 204, body = \"x\" }",
            "13:34: error: routes[0].respond.body: an answer with 204 has no body; remove it, or write another status",
        ),
        (
            "policy =",
            "maintenance = 1\npolicy =",
            "14:15: error: routes[0].maintenance: found the number `1`; write true, false or { retry_after = \"5min\" }",
        ),
        // Syntax.
        (
            "= \"2s\"",
            "= \"2s",
            "8:14: error: syntax: invalid basic string, expected `\"`; mend the text here",
        ),
        (
            "[[routes]]",
            "[[routes]",
            "10:10: error: syntax: unclosed array table, expected `]`; mend the text here",
        ),
        (
            "timeout = \"2s\"",
            "timeout = \"2s\"\ntimeout = \"3s\"",
            "9:1: error: syntax: duplicate key; mend the text here",
        ),
        (
            "weight = 2",
            "weight = 1979-05-27",
            "6:71: error: weight: no key takes a date; write a text or a number",
        ),
        // Keys.
        ("bind =", "bnd =", "3:12: error: listeners.web.bind: it is missing; add `bind = …`"),
        (
            "[listeners.web]",
            "[listener.web]",
            "3:2: error: listener: there is no key `listener` here; did you mean `listeners`?",
        ),
        (
            "weight = 2",
            "wieght = 2",
            "6:62: error: upstreams.users.endpoints[1].wieght: there is no key `wieght` here; did you mean `weight`?",
        ),
        (
            "min_calls",
            "min_call",
            "9:13: error: policies.careful.breaker.min_call: there is no key `min_call` here; did you mean `min_calls`?",
        ),
        (
            "policy =",
            "zzz =",
            "14:1: error: routes[0].zzz: there is no key `zzz` here; write one of `name`, `listener`, `match`, `upstream`, `split`, `split_key`, `files`, `respond`, `redirect`, `transcode`, `maintenance`, `cors`, `mirror`, `compress`, `policy`, `auth`, `host`, `rewrite`, `request_headers`, `response_headers`, `max_body`, `priority`",
        ),
        // The access log.
        (
            "[admin]",
            "[log]\naccess = \"stdout\"\naccess_format = \"{client} {statuss}\"\n[admin]",
            "3:17: error: log.access_format: there is no field `statuss`; did you mean `status`?",
        ),
        (
            "[admin]",
            "[log]\naccess = \"stdout\"\naccess_format = \"jsn\"\n[admin]",
            "3:17: error: log.access_format: it is no format, and no field stands in it; write \"json\", \"common\", \"combined\" or a template such as \"{client} {status}\", with `{{` for a brace",
        ),
        (
            "[admin]",
            "[log]\naccess_format = \"common\"\n[admin]",
            "2:1: warning: log.access_format: nothing is written in it; add `access = \"stdout\"`, or remove it",
        ),
        // Traces.
        (
            "[admin]",
            "[telemetry]\notlp = \"collector:4317\"\n[admin]",
            "2:8: error: telemetry.otlp: it is no URL of a collector; write a URL such as \"http://127.0.0.1:4317\"",
        ),
        (
            "[admin]",
            "[telemetry]\notlp = \"http://a.test\"\nheaders = { x-api-key = \"k\" }\n[admin]",
            "2:8: error: telemetry.otlp: its `headers` would be sent where everybody on the way can read them; write `https://…`",
        ),
        (
            "[admin]",
            "[telemetry]\notlp = \"https://a.test\"\nheaders = { host = \"k\" }\n[admin]",
            "3:13: error: telemetry.headers.host: `host` is not to be set; write a name such as `x-api-key`",
        ),
        (
            "[admin]",
            "[telemetry]\notlp = \"https://a.test\"\nheaders = { x-api-key = \"${NO_SUCH_VARIABLE}\" }\n[admin]",
            "3:25: error: telemetry.headers.x-api-key: the environment variable `NO_SUCH_VARIABLE` is not set; set `NO_SUCH_VARIABLE`, or write `file:/path`",
        ),
        (
            "[admin]",
            "[telemetry]\notlp = \"http://127.0.0.1:4317\"\nratio = 1.5\n[admin]",
            "3:9: error: telemetry.ratio: it is not a share; write one from 0 (none) to 1 (all)",
        ),
        (
            "[admin]",
            "[telemetry]\notlp = \"http://127.0.0.1:4317\"\nservice = \"\"\n[admin]",
            "3:11: error: telemetry.service: a service is known by a name, which is not that long; write one such as \"edge\", or leave it out",
        ),
        (
            "[admin]",
            "[telemetry]\notlp = \"http://127.0.0.1:4317\"\nca = \"/dev/null\"\n[admin]",
            "3:6: error: telemetry.ca: cannot read `/dev/null`: it is no regular file; name a readable file, relative to this one",
        ),
        (
            "[admin]",
            "[telemetry]\nprotocol = \"grpc\"\n[admin]",
            "1:2: error: telemetry.otlp: it is missing; add `otlp = …`",
        ),
        // Keys and values of later versions.
        (
            "[admin]",
            "[capture]\n[admin]",
            "1:2: error: capture: not available in this version; remove it",
        ),
        (
            "policy =",
            "mirror = { upstream = \"users\", percent = 101 }\npolicy =",
            "14:42: error: routes[0].mirror.percent: 101 is no share of a hundred calls; write a number above 0, at most 100",
        ),
        (
            "bind = \"127.0.0.1:8080\"",
            "bind = \"fd:\"",
            "4:8: error: listeners.web.bind: found the text \"fd:\"; write an address such as \"127.0.0.1:8080\", \"[::]:8080\", \"unix:/run/locum.sock\" or \"fd:NAME\"",
        ),
        (
            "bind =",
            "transparent = \"redirect\"\nbind =",
            "4:1: error: listeners.web.transparent: not available in this version; remove it",
        ),
        (
            "bind =",
            "protocol = \"forward\"\nbind =",
            "4:12: error: listeners.web.protocol: `forward` is not available in this version; choose another",
        ),
        (
            "endpoints",
            "max_ejected = 1.5\nendpoints",
            "6:15: error: upstreams.users.max_ejected: 1.5 is not a share; write a share from 0 (eject none) to 1 (all may be ejected)",
        ),
        (
            "endpoints",
            "health = {}\nendpoints",
            "6:1: error: upstreams.users.health: what to ask for is missing; add `path = \"/healthz\"`, or `kind = \"tcp\"`",
        ),
        (
            "endpoints",
            "health = { path = \"healthz\" }\nendpoints",
            "6:19: error: upstreams.users.health.path: `healthz` cannot be asked for; write a path such as \"/healthz\"",
        ),
        (
            "endpoints",
            "health = { path = \"/\", status = \"2xx\" }\nendpoints",
            "6:33: error: upstreams.users.health.status: found the text \"2xx\"; write statuses such as \"200-399\" or \"200, 404\"",
        ),
        (
            "endpoints",
            "health = { path = \"/\", unhealthy = 0 }\nendpoints",
            "6:36: error: upstreams.users.health.unhealthy: 0 checks would say nothing; write 1 or more, or leave it out",
        ),
        (
            "endpoints",
            "health = { kind = \"grpc\" }\nendpoints",
            "6:19: error: upstreams.users.health.kind: an upstream that speaks http1 knows nothing of gRPC; write `protocol = \"grpc\"` or \"h2\", or another kind",
        ),
        (
            "endpoints",
            "health = { path = \"/\", service = \"users\" }\nendpoints",
            "6:24: warning: upstreams.users.health.service: it has no effect on a check by http; remove it, or write `kind = \"grpc\"`",
        ),
        (
            "endpoints",
            "health = { kind = \"tcp\", path = \"/\" }\nendpoints",
            "6:26: warning: upstreams.users.health.path: it has no effect on a check by tcp; remove it, or write `kind = \"http\"`",
        ),
        (
            "endpoints = [\"127.0.0.1:7001\", { address = \"127.0.0.1:7002\", weight = 2 }]",
            "discover = {}",
            "6:1: error: upstreams.users.discover: it names 0 places to look in; name one: `dns`, `srv` or `file`",
        ),
        (
            "endpoints",
            "discover = { dns = \"a.x:1\" }\nendpoints",
            "6:1: error: upstreams.users.discover: endpoints are listed as well; keep one of `endpoints` and `discover`",
        ),
        (
            "endpoints = [\"127.0.0.1:7001\", { address = \"127.0.0.1:7002\", weight = 2 }]",
            "discover = { dns = \"users.internal\" }",
            "6:20: error: upstreams.users.discover.dns: `users.internal` is no host and port; write \"host:port\"",
        ),
        (
            "endpoints = [\"127.0.0.1:7001\", { address = \"127.0.0.1:7002\", weight = 2 }]",
            "discover = { srv = \"a:1\" }",
            "6:20: error: upstreams.users.discover.srv: `a:1` is no name of SRV records; write one such as \"_http._tcp.users.internal\", without a port",
        ),
        (
            "endpoints = [\"127.0.0.1:7001\", { address = \"127.0.0.1:7002\", weight = 2 }]",
            "discover = { etcd = \"users/\" }",
            "6:14: error: upstreams.users.discover.etcd: not available in this version; remove it",
        ),
        (
            "endpoints",
            "slow_start = 0\nendpoints",
            "6:14: error: upstreams.users.slow_start: a time of 0 would end everything at once; write a longer one, or leave it out",
        ),
        (
            "endpoints",
            "failover = \"user\"\nendpoints",
            "6:12: error: upstreams.users.failover: upstream `user` is not defined; did you mean `users`? Otherwise add `[upstreams.user]`",
        ),
        (
            "endpoints",
            "failover = \"users\"\nendpoints",
            "6:12: error: upstreams.users.failover: it leads back to where it begins; let one upstream of the circle have none",
        ),
        (
            "[upstreams.users]",
            "[upstreams.calls]\nendpoints = [\"gob://127.0.0.1:1\"]\n[upstreams.users]\nfailover = \"calls\"",
            "8:12: error: upstreams.users.failover: calls of http1 are none that `calls` takes, which speaks gob; name an upstream of the same kind",
        ),
        // Values.
        (
            "\"2s\"",
            "2",
            "8:11: error: policies.careful.timeout: found the number `2`; write a duration such as \"250ms\"",
        ),
        (
            "\"2s\"",
            "\"2 parsecs\"",
            "8:11: error: policies.careful.timeout: found `2 parsecs`; write a duration such as \"250ms\", \"10s\", \"5min\" or \"1h\"",
        ),
        (
            "bind = \"127.0.0.1:8080\"",
            "bind = \"8080\"",
            "4:8: error: listeners.web.bind: found the text \"8080\"; write an address such as \"127.0.0.1:8080\", \"[::]:8080\", \"unix:/run/locum.sock\" or \"fd:NAME\"",
        ),
        (
            "bind =",
            "limits = { header_bytes = \"1 MB\" }\nbind =",
            "4:27: error: listeners.web.limits.header_bytes: found the text \"1 MB\"; write a size such as \"64KiB\", \"10MB\" or 512",
        ),
        (
            "bind =",
            "limits = { headers = -1 }\nbind =",
            "4:22: error: listeners.web.limits.headers: found the number `-1`; write a whole number, 0 or more",
        ),
        (
            "bind =",
            "proxy_protocol = \"accept\"\nbind =",
            "4:1: error: listeners.web.proxy_protocol: nobody gets in: no peer is believed to say whom it carries; name the proxies in front: trusted_proxies = [\"10.0.0.0/8\"]",
        ),
        (
            "path = \"/users/{id}\"",
            "sni = \"a.test\"",
            "10:1: error: routes[0]: it is never reached: no listener takes connections as they are, which it is for; add a listener with protocol = \"tcp\" or \"auto\"",
        ),
        (
            "endpoints",
            "protocol = \"tcp\"\nendpoints",
            "14:12: error: routes[0].upstream: `users` speaks tcp, and the route is for HTTP requests; match by `sni` or anything, or name an upstream that speaks http1",
        ),
        (
            "bind =",
            "proxy_protocol = \"v2\"\nbind =",
            "4:18: error: listeners.web.proxy_protocol: `v2` is not one of its values; write one of `accept`",
        ),
        (
            "endpoints",
            "proxy_protocol = \"v1\"\nprotocol = \"h2\"\nendpoints",
            "6:1: error: upstreams.users.proxy_protocol: a connection that speaks h2 is not for one client alone; remove it, or write protocol = \"http1\"",
        ),
        (
            "bind =",
            "trusted_proxies = [\"10.0.0.0/33\"]\nbind =",
            "4:20: error: listeners.web.trusted_proxies[0]: found the text \"10.0.0.0/33\"; write a network such as \"10.0.0.0/8\", an address, or \"unix\"",
        ),
        (
            "[admin]",
            "[runtime]\nworkers = 0\n[admin]",
            "2:11: error: runtime.workers: found the number `0`; write \"auto\" or a number from 1 to 1024",
        ),
        (
            "[admin]",
            "[log]\nformat = \"jsn\"\n[admin]",
            "2:10: error: log.format: `jsn` is not one of its values; did you mean `json`?",
        ),
        (
            "endpoints",
            "balance = \"leastrequest\"\nendpoints",
            "6:11: error: upstreams.users.balance: found `leastrequest`; did you mean `least-request`?",
        ),
        (
            "\"127.0.0.1:7001\"",
            "\"127.0.0.1\"",
            "6:14: error: upstreams.users.endpoints[0]: found the text \"127.0.0.1\"; write \"host:port\" or \"http://host:port\", without a path: a route's `rewrite` is for that",
        ),
        (
            "\"127.0.0.1:7001\"",
            "\"http://a/b\"",
            "6:14: error: upstreams.users.endpoints[0]: found the text \"http://a/b\"; write \"host:port\" or \"http://host:port\", without a path: a route's `rewrite` is for that",
        ),
        (
            "\"127.0.0.1:7001\"",
            "\"ftp://a\"",
            "6:14: error: upstreams.users.endpoints[0]: found the text \"ftp://a\"; write an address such as \"10.0.0.1:7001\", or a URL with http, https, h2, grpc, gob, gob-http, json-rpc, json-rpc2, native or tcp: no other is available in this version",
        ),
        (
            "upstream = \"users\"",
            "upstream = [\"users\"]",
            "13:12: error: routes[0].upstream: found a list; write a text in quotes",
        ),
        (
            "breaker = {",
            "rate_limit = { rate = \"1/s\", algorithm = \"tokenbucket\" }\nbreaker = {",
            "9:42: error: policies.careful.rate_limit.algorithm: found `tokenbucket`; did you mean `token-bucket`?",
        ),
        (
            "breaker = {",
            "rate_limit = [{ rate = \"1/s\" }, { rate = \"fast\" }]\nbreaker = {",
            "9:42: error: policies.careful.rate_limit[1].rate: found `fast`; write a rate such as \"100/s\", \"10/min\" or \"1/250ms\"",
        ),
        // Values that are well formed and out of range.
        (
            "min_calls = 20",
            "failure_rate = 1.5",
            "9:28: error: policies.careful.breaker.failure_rate: 1.5 is not a share; write a number above 0 and at most 1, such as 0.5",
        ),
        (
            "weight = 2",
            "weight = 0",
            "6:71: error: upstreams.users.endpoints[1].weight: the weight 0 is out of range; write a weight from 1 to 1000",
        ),
        (
            "bind =",
            "limits = { connections = 0 }\nbind =",
            "4:26: error: listeners.web.limits.connections: 0 would refuse everything; write 1 or more, or leave it out",
        ),
        (
            "bind =",
            "limits = { header_bytes = 9 }\nbind =",
            "4:27: error: listeners.web.limits.header_bytes: a head of that size cannot be served; write a size from 1KiB to 1MiB",
        ),
        (
            "bind =",
            "limits = { idle = \"0s\" }\nbind =",
            "4:19: error: listeners.web.limits.idle: a time of 0 would end everything at once; write a longer one, or leave it out",
        ),
        (
            "endpoints = [\"127.0.0.1:7001\", {",
            "endpoints = []\nunused = [{",
            "7:1: error: upstreams.users.unused: there is no key `unused` here; write one of `endpoints`, `discover`, `protocol`, `tls`, `proxy_protocol`, `balance`, `max_ejected`, `slow_start`, `failover`, `health`, `pool`, `endpoint_policy`, `cancel`, `types`",
        ),
        // Names.
        (
            "upstream = \"users\"",
            "upstream = \"user\"",
            "13:12: error: routes[0].upstream: upstream `user` is not defined; did you mean `users`? Otherwise add `[upstreams.user]`",
        ),
        (
            "policy = \"careful\"",
            "policy = \"x\"",
            "14:10: error: routes[0].policy: policy `x` is not defined; add `[policies.x]`",
        ),
        (
            "policy =",
            "listener = \"wbe\"\npolicy =",
            "14:12: error: routes[0].listener: listener `wbe` is not defined; did you mean `web`? Otherwise add `[listeners.wbe]`",
        ),
        (
            "endpoints",
            "endpoint_policy = \"guard\"\nendpoints",
            "6:19: error: upstreams.users.endpoint_policy: policy `guard` is not defined; add `[policies.guard]`",
        ),
        (
            "endpoints",
            "endpoint_policy = \"careful\"\nendpoints",
            "6:19: error: upstreams.users.endpoint_policy: `timeout` of `careful`: it concerns a call in all its attempts, not those at one endpoint; move it to the policy of a route",
        ),
        (
            "[listeners.web]",
            "[listeners.admin]",
            "3:12: error: listeners.admin: the name `admin` is the admin API's own; choose another name",
        ),
        (
            "[listeners.web]",
            "[listeners.\"a b\"]",
            "3:12: error: listeners.\"a b\": `a b` cannot be a name; use at most 64 letters, digits, `-`, `_` and `.`",
        ),
        // Two of one kind.
        (
            "[upstreams.users]",
            "[listeners.x]\nbind = \"0.0.0.0:8080\"\n[upstreams.users]",
            "6:8: error: listeners.x.bind: `0.0.0.0:8080` is already taken by `listeners.web`; choose another address",
        ),
        (
            "\"127.0.0.1:8080\"",
            "\"127.0.0.1:9900\"",
            "4:8: error: listeners.web.bind: `127.0.0.1:9900` is already taken by `admin`; choose another address",
        ),
        (
            "127.0.0.1:7002",
            "127.0.0.1:7001",
            "6:32: error: upstreams.users.endpoints[1]: `127.0.0.1:7001` is already in the list; name it once, with a `weight` if it is to get more",
        ),
        (
            "[[routes]]",
            "[[routes]]\nname = \"users\"\nupstream = \"users\"\n[[routes]]",
            "14:8: error: routes[1].name: `users` is already the name of routes[0]; choose another name",
        ),
        // Routes.
        (
            "upstream = \"users\"",
            "",
            "10:1: error: routes[0]: the route leads nowhere; add `upstream`, `split`, `files`, `respond`, `redirect` or `transcode`",
        ),
        (
            "upstream = \"users\"",
            "upstream = \"users\"\nredirect = { to = \"/\" }",
            "14:1: error: routes[0].redirect: the route already has `upstream`; keep one of `upstream`, `split`, `files`, `respond`, `redirect` and `transcode`",
        ),
        (
            "upstream = \"users\"",
            "split = [{ upstream = \"users\", weight = 0 }]",
            "13:9: error: routes[0].split: all weights are 0, so no call could go anywhere; give one upstream a weight above 0",
        ),
        (
            "policy =",
            "priority = 4\npolicy =",
            "14:12: error: routes[0].priority: there is no priority 4; write 0 (shed first), 1, 2 or 3 (shed last)",
        ),
        (
            "policy =",
            "rewrite = {}\npolicy =",
            "14:11: error: routes[0].rewrite: nothing is said to be rewritten; add `prefix` or `path`",
        ),
        (
            "policy =",
            "rewrite = { path = \"/x/{nr}\" }\npolicy =",
            "14:20: error: routes[0].rewrite.path: `{nr}` is not in the route's path; match a path such as \"/things/{nr}\"",
        ),
        (
            "path = \"/users/{id}\" }",
            "path = \"~/a/(?<id>.)\" }\nrewrite = { path = \"/x/{id}/{2}\" }",
            "13:20: error: routes[0].rewrite.path: `{2}` is not in the route's path; name a group of the expression, such as `(?<id>[0-9]+)`, or its number",
        ),
        (
            "path = \"/users/{id}\" }\nupstream = \"users\"",
            "path = \"~/go/(.*)\" }\nredirect = { to = \"https://x.test{1}\" }",
            "13:19: error: routes[0].redirect.to: whoever asks would say which server it leads to; begin with `/`, or with a server such as \"https://example.com/\"",
        ),
        (
            "\"127.0.0.1:7001\", {",
            "\"unix:run/app.sock\", {",
            "6:14: error: upstreams.users.endpoints[0]: found the text \"unix:run/app.sock\"; write the path of a unix socket such as \"unix:/run/app.sock\", absolute and of less than 108 bytes",
        ),
        (
            "endpoints = [\"127.0.0.1:7001\",",
            "tls = {}\nendpoints = [\"unix:/run/app.sock\",",
            "7:14: error: upstreams.users.endpoints[0]: a path names nobody who would have to be there; add `server_name` to the `tls` of the upstream",
        ),
        (
            "bind =",
            "socket = { mode = \"0660\" }\nbind =",
            "4:1: error: listeners.web.socket: `127.0.0.1:8080` has no file; remove it, or listen on a path such as \"unix:/run/web.sock\"",
        ),
        (
            "bind = \"127.0.0.1:8080\"",
            "bind = \"unix:/run/web.sock\"\nsocket = { mode = \"rw\" }",
            "5:19: error: listeners.web.socket.mode: found the text \"rw\"; write a mode in octal, such as \"0660\"",
        ),
        (
            "policy =",
            "rewrite = { prefix = \"x\" }\npolicy =",
            "14:22: error: routes[0].rewrite.prefix: `x` is no path; begin with `/`, without space, `?` and `#`",
        ),
        (
            "policy =",
            "host = \"a b\"\npolicy =",
            "14:8: error: routes[0].host: `a b` is no host; write \"preserve\", \"upstream\" or a name such as \"users.internal\"",
        ),
        (
            "policy =",
            "request_headers = { set = { \"a b\" = \"c\" } }\npolicy =",
            "14:29: error: routes[0].request_headers.set.\"a b\": `a b` is no header name; use letters, digits and `-`",
        ),
        (
            "policy =",
            "response_headers = { add = { x = \"a\\nb\" } }\npolicy =",
            "14:34: error: routes[0].response_headers.add.x: the value holds a control character, or space around it; write it in one line, without space around it",
        ),
        (
            "policy =",
            "request_headers = { remove = [\"Content-Length\"] }\npolicy =",
            "14:31: error: routes[0].request_headers.remove[0]: `Content-Length` frames the message, and is the proxy's own; remove it",
        ),
        (
            "{ path = \"/users/{id}\" }",
            "{ path = \"users\" }",
            "12:18: error: routes[0].match.path: `users` does not begin with `/`; write \"/exact\", \"/prefix/*\", \"/users/{id}\" or \"~regex\"",
        ),
        (
            "{ path = \"/users/{id}\" }",
            "{ host = \"http://a\" }",
            "12:18: error: routes[0].match.host: `http://a` is no host; write a name such as \"example.com\" or \"*.example.com\", without scheme and port",
        ),
        (
            "{ path = \"/users/{id}\" }",
            "{ methods = [\"get\"] }",
            "12:22: error: routes[0].match.methods[0]: methods are case-sensitive, and nobody sends `get`; write \"GET\"",
        ),
        (
            "[[routes]]",
            "[[routes]]\nmatch = { path = \"/users/{nr}\" }\nupstream = \"users\"\n[[routes]]",
            "13:1: error: routes[1]: it is never reached: `/users/{nr}` (routes[0]) takes all of its calls; remove it, or match more narrowly before it",
        ),
        // The admin API.
        (
            "127.0.0.1:9900",
            "0.0.0.0:9900",
            "2:10: error: admin.listen: `0.0.0.0:9900` is not loopback, so others could change what runs; add `token` or `token_file`, or listen on 127.0.0.1 or a unix socket",
        ),
        (
            "[listeners.web]",
            "token = \"${LOCUM_NO_SUCH}\"\n[listeners.web]",
            "3:9: error: admin.token: the environment variable `LOCUM_NO_SUCH` is not set; set `LOCUM_NO_SUCH`, or write `file:/path`",
        ),
        (
            "[listeners.web]",
            "token = \"file:/no/such\"\n[listeners.web]",
            "3:9: error: admin.token: cannot read `/no/such`: No such file or directory (os error 2); write the secret into `/no/such`, readable for this user only",
        ),
        (
            "[listeners.web]",
            "token = \"\"\n[listeners.web]",
            "3:9: error: admin.token: it holds no usable secret; give it letters, digits and signs, without space",
        ),
        // Warnings.
        (
            "breaker = {",
            "attempt_timeout = \"1s\"\nretry = { attempts = 5 }\nbreaker = {",
            "9:1: warning: policies.careful.attempt_timeout: 5 attempts of 1s take 5s, longer than the 2s of `timeout`: the last are cut off or never made; shorten `attempt_timeout`, or lengthen `timeout`",
        ),
        (
            "timeout = \"2s\"",
            "attempt_timeout = \"1s\"\nretry = { attempts = 3, base = \"100ms\" }",
            "9:1: warning: policies.careful.retry: a call may take 3300ms in the worst case; set `timeout` to what a caller will wait",
        ),
        (
            "breaker = {",
            "retry = { budget = { ratio = 2.0 } }\nbreaker = {",
            "9:1: warning: policies.careful.retry: when everything fails, the upstream gets 3 times the load (one call up to 3 times); lower `attempts`, or `budget.ratio` below 1",
        ),
        (
            "breaker = {",
            "rate_limit = { rate = \"1/s\", burst = 1 }\nbreaker = {",
            "10:13: warning: policies.careful.breaker.min_calls: the breaker can never trip: the rate limit lets 11 calls through in 10s, fewer than 20; lower `min_calls`, or widen `window`",
        ),
        (
            "min_calls = 20",
            "min_calls = 20, window = 19",
            "9:13: warning: policies.careful.breaker.min_calls: the breaker can never trip: it looks back on 19 calls, fewer than 20; lower `min_calls`, or widen `window`",
        ),
        (
            "min_calls = 20",
            "slow = { threshold = \"3s\" }",
            "9:13: warning: policies.careful.breaker.slow: no attempt is ever slow: it ends after 2s anyway; lower `threshold` below the timeout",
        ),
        (
            "breaker = {",
            "retry = { retry_of_retry = true }\nbreaker = {",
            "9:11: warning: policies.careful.retry.retry_of_retry: layers multiply: a caller in front that makes 3 attempts makes them 9 here; remove it, and let one layer retry",
        ),
        (
            "breaker = {",
            "rate_limit = { rate = \"1/s\", cost = 0 }\nbreaker = {",
            "9:30: warning: policies.careful.rate_limit.cost: a call takes nothing, so the limit is never reached; write 1, or remove the limit",
        ),
        (
            "breaker = {",
            "rate_limit = { rate = \"1/s\", burst = 9, algorithm = \"leaky-bucket\", max_wait = \"500ms\" }\nbreaker = {",
            "9:1: warning: policies.careful.rate_limit: a call that has to wait has to wait 1s and may wait 500ms: right behind another it is always refused; raise `rate`, or lengthen `max_wait` and `timeout`",
        ),
        (
            "breaker = {",
            "rate_limit = { rate = \"1/s\", algorithm = \"warm-up\", warm_up = \"9s\" }\nbreaker = {",
            "9:1: warning: policies.careful.rate_limit: a call that has to wait has to wait 3s and may wait 2s: right behind another it is always refused; raise `rate`, or lengthen `max_wait` and `timeout`",
        ),
        (
            "breaker = {",
            "concurrency = { max = 99, queue = 1, queue_timeout = \"2s\" }\nbreaker = {",
            "9:38: warning: policies.careful.concurrency.queue_timeout: a call may wait 2s for a place and take 2s in all: it leaves the queue with no time left; shorten it well below `timeout`",
        ),
        (
            "breaker = {",
            "hedge = { delay = \"2s\" }\nbreaker = {",
            "9:11: warning: policies.careful.hedge.delay: no attempt is ever hedged: it ends after 2s anyway; shorten it well below the timeout",
        ),
        (
            "min_calls = 20",
            "failure_rate = 1.0",
            "9:13: warning: policies.careful.breaker.failure_rate: one success among the calls it looks back on keeps it closed; lower `failure_rate`, or set `consecutive`",
        ),
        (
            "breaker = {",
            "concurrency = { max = 2 }\nbreaker = {",
            "10:13: warning: policies.careful.breaker.min_calls: a hang never trips the breaker: of 2 calls in flight, each given up after 2s, 10 end in 10s, fewer than 20; lower `min_calls`, or set `slow`",
        ),
        (
            "breaker = {",
            "concurrency = { max = 99 }\nfallback = {}\nbreaker = {",
            "10:1: warning: policies.careful.fallback.status: a caller that is refused gets 200 like any other: it does not learn to slow down, and its monitoring sees success only; give it a status from 400, or move the limits to another policy",
        ),
        (
            "breaker = {",
            "fault = { abort = 503, abort_rate = 0.1 }\nbreaker = {",
            "9:1: warning: policies.careful.fault: calls are delayed or made to fail on purpose; remove it after the drill, or write mode = \"off\"",
        ),
        (
            "breaker = {",
            "fault = { abort = 503, abort_rate = 1.0 }\nbreaker = {",
            "9:1: warning: policies.careful.fault: every attempt is made to fail, so no call reaches the upstream; lower `abort_rate`, or remove it after the drill",
        ),
        (
            "policy = \"careful\"",
            "",
            "7:11: warning: policies.careful: nothing uses it; name it in a route's `policy`, or remove it",
        ),
    ];
    let mut wrong = Vec::new();
    for (from, to, expected) in cases {
        let lines = told_of(from, to);
        if !lines.iter().any(|line| *line == format!("f.toml:{expected}")) {
            wrong.push(format!(
                "{from} -> {to}\n  expected f.toml:{expected}\n  told     {}",
                lines.join("\n           ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
