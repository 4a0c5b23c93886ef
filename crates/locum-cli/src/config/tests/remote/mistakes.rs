//! Every kind of mistake about remote calls, with the line that a script reads.

use super::{REMOTE, told};

#[test]
fn each_mistake_is_told_with_place_key_reason_and_remedy() {
    // What is replaced, by what, and the line that is told then.
    let cases = [
        // Keys and values of later versions.
        (
            "gob://127",
            "redis://127",
            "8:14: error: upstreams.arith.endpoints[0]: found the text \"redis://127.0.0.1:7001\"; write an address such as \"10.0.0.1:7001\", or a URL with http, https, h2, grpc, gob, gob-http, json-rpc, json-rpc2, native or tcp: no other is available in this version",
        ),
        (
            "min = \"1.3\"",
            "min = \"1.1\"",
            "6:89: error: listeners.web.tls.min: `1.1` is not one of its values; did you mean `1.2`?",
        ),
        (
            "client_ca",
            "client_cas",
            "6:61: error: listeners.web.tls.client_cas: there is no key `client_cas` here; did you mean `client_ca`?",
        ),
        ("kind = \"ip\"\n", "", "17:7: error: auth.office.kind: it is missing; add `kind = …`"),
        // Listeners.
        (
            "[{ cert = \"a.pem\", key = \"a.key\" }]",
            "[]",
            "6:24: error: listeners.web.tls.certificates: the list is empty, so no client could be shown who this is; name a certificate: [{ cert = \"a.pem\", key = \"a.key\" }]",
        ),
        (
            "\"a.key\"",
            "\"b.key\"",
            "6:49: error: listeners.web.tls.certificates[0].key: cannot read `b.key`: No such file or directory (os error 2); name a readable file, relative to this one",
        ),
        (
            "\"ca.pem\"",
            "\".\"",
            "6:73: error: listeners.web.tls.client_ca: cannot read `.`: it is no regular file; name a readable file, relative to this one",
        ),
        (
            "bind = \"127.0.0.1:8443\"",
            "bind = \"127.0.0.1:8443\"\nlimits = { calls_per_connection = 1 }",
            "6:12: warning: listeners.web.limits.calls_per_connection: it bounds remote calls, of which the listener takes none; remove it, or write protocol = \"auto\"",
        ),
        (
            "protocol = \"rpc\"",
            "protocol = \"rpc\"\nlimits = { idle = \"1s\" }",
            "4:12: warning: listeners.rpc.limits.idle: it bounds HTTP requests, of which the listener takes none; remove it, or write protocol = \"auto\"",
        ),
        (
            "protocol = \"rpc\"",
            "protocol = \"rpc\"\nlimits = { calls_per_connection = 0 }",
            "4:35: error: listeners.rpc.limits.calls_per_connection: 0 would refuse everything; write 1 or more, or leave it out",
        ),
        (
            "protocol = \"rpc\"",
            "protocol = \"rpc\"\nlimits = { message_bytes = 10 }",
            "4:28: error: listeners.rpc.limits.message_bytes: a message of that size cannot be served; write a size from 1KiB to 1GiB",
        ),
        // Upstreams.
        (
            "[\"gob://127.0.0.1:7001\"]",
            "[\"gob://127.0.0.1:7001\", { address = \"json-rpc://127.0.0.1:7002\" }]",
            "8:38: error: upstreams.arith.endpoints[1]: `json-rpc` is not `gob`, which the upstream speaks; give it an upstream of its own, or the same protocol",
        ),
        (
            "[\"gob://127.0.0.1:7001\"]",
            "[\"gob://127.0.0.1:7001\"]\nprotocol = \"native\"",
            "8:14: error: upstreams.arith.endpoints[0]: `gob` is not `native`, which the upstream speaks; give it an upstream of its own, or the same protocol",
        ),
        (
            "[\"gob://127.0.0.1:7001\"]",
            "[\"gob://127.0.0.1:7001\", \"gob+tls://127.0.0.1:7002\"]",
            "8:14: error: upstreams.arith.endpoints[0]: `gob` is without TLS, which others of the list are not; give it an upstream of its own, or the same scheme",
        ),
        (
            "\"127.0.0.1:7003\"]",
            "\"127.0.0.1:7003\"]\ntls = { cert = \"a.pem\" }",
            "11:9: error: upstreams.users.tls.cert: a certificate and its key go together, and `key` is missing; add `key = …`",
        ),
        (
            "\"127.0.0.1:7003\"]",
            "\"127.0.0.1:7003\"]\ntls = { server_name = \"https://a\" }",
            "11:23: error: upstreams.users.tls.server_name: `https://a` is no name of a server; write one such as \"users.internal\", without scheme and port",
        ),
        (
            "\"127.0.0.1:7003\"]",
            "\"127.0.0.1:7003\"]\ntypes = { \"A.B\" = \"int\" }",
            "11:1: error: upstreams.users.types: an upstream that speaks http1 has no methods; remove it, or name a `protocol` of remote calls",
        ),
        (
            "\"127.0.0.1:7003\"]",
            "\"127.0.0.1:7003\"]\npool = { connections_per_worker = 1 }",
            "11:10: warning: upstreams.users.pool.connections_per_worker: it has no effect on an upstream that speaks http1; remove it",
        ),
        (
            "7001\"]",
            "7001\"]\npool = { idle_per_worker = 1 }",
            "9:10: warning: upstreams.arith.pool.idle_per_worker: it has no effect on an upstream that speaks gob; remove it",
        ),
        (
            "7001\"]",
            "7001\"]\npool = { connections_per_worker = 0 }",
            "9:35: error: upstreams.arith.pool.connections_per_worker: 0 would leave no way for a call to go; write 1 or more, or leave it out",
        ),
        (
            "7001\"]",
            "7001\"]\nbalance = \"sticky:id\"",
            "9:11: error: upstreams.arith.balance: there are no cookies in what it speaks; choose another, such as \"hash:client-ip\"",
        ),
        // Types.
        (
            "7001\"]",
            "7001\"]\ntypes = { Multiply = \"int\" }",
            "9:11: error: upstreams.arith.types.Multiply: `Multiply` is no method; write one such as \"Arith.Multiply\"",
        ),
        (
            "7001\"]",
            "7001\"]\ntypes = { \"A.B\" = 7 }",
            "9:19: error: upstreams.arith.types.\"A.B\": found the number `7`; write a type such as \"int\" or \"[]string\", or a table of fields",
        ),
        (
            "transcode = { upstream = \"arith\" }",
            "transcode = { upstream = \"arith\", types = { \"A.B\" = { args = \"int\", X = \"int\" } } }",
            "26:69: error: routes[1].transcode.types.\"A.B\".X: beside `args` stands nothing but `reply`; move it into `args`, whose type that is",
        ),
        (
            "7001\"]",
            "7001\"]\ntypes = { \"A.B\" = { X = \"int\", Y = { Z = \"[]double\" } } }",
            "9:42: error: upstreams.arith.types.\"A.B\".Y.Z: \"double\" is no type; write int, uint, float, bool, string, bytes, time, []T, map[K]V, or a table of fields",
        ),
        (
            "transcode = { upstream = \"arith\" }",
            "transcode = { upstream = \"arith\", types = { \"A.B\" = { args = \"int\", reply = \"map[bytes]int\" } } }",
            "26:77: error: routes[1].transcode.types.\"A.B\".reply: \"bytes\" is no type of keys; write int, uint, float, bool, string or time",
        ),
        // Who may call.
        (
            "file = \"keys.txt\"",
            "",
            "11:7: error: auth.keys.file: it is missing; add `file = …`, with a `name:hash` a line",
        ),
        (
            "keys.txt",
            "a.key",
            "13:8: error: auth.keys.file: `a.key`, line 1: it is not `name:hash`; write `name:hash` a line, in which the hash is the secret's SHA-256 in hex, or argon2's PHC string",
        ),
        (
            "file = \"keys.txt\"",
            "file = \"keys.txt\"\nheader = \"a b\"",
            "14:10: error: auth.keys.header: `a b` is no header name; use letters, digits and `-`",
        ),
        (
            "file = \"keys.txt\"",
            "file = \"keys.txt\"\nallow = [\"a\"]",
            "14:1: error: auth.keys.allow: it is not for the kind `api-key`; remove it: it is for `mtls` and `ip`",
        ),
        (
            "deny = [\"10.0.0.0/8\"]",
            "",
            "17:7: error: auth.office: it lets in everybody; add `allow` or `deny`",
        ),
        (
            "deny = [\"10.0.0.0/8\"]",
            "allow = [\"10.0.0.0/33\"]",
            "19:10: error: auth.office.allow[0]: found the text \"10.0.0.0/33\"; write a network such as \"10.0.0.0/8\", or an address",
        ),
        (
            "auth = [\"office\"]",
            "auth = [\"ofice\"]",
            "23:9: error: routes[0].auth[0]: auth `ofice` is not defined; did you mean `office`? Otherwise add `[auth.ofice]`",
        ),
        (
            "auth = [\"office\"]",
            "auth = [\"staff\"]",
            "23:9: error: routes[0].auth[0]: nobody gets in: no listener of the route asks for certificates; add `client_ca` to the `tls` of its listener",
        ),
        // Routes.
        (
            "\"Arith.*\"",
            "\"Arith\"",
            "21:18: error: routes[0].match.call: `Arith` is no call; write \"Arith.Divide\", \"Arith.*\" or \"*\"",
        ),
        (
            "\"Arith.*\"",
            "\"*.Divide\"",
            "21:18: error: routes[0].match.call: `*.Divide` is no call; write \"Arith.Divide\", \"Arith.*\" or \"*\"",
        ),
        (
            "call = \"Arith.*\"",
            "call = \"Arith.*\", path = \"/\"",
            "21:29: error: routes[0].match.path: it is for HTTP requests, and the route is for remote calls; remove it, or give it a route of its own",
        ),
        (
            "match = { call = \"Arith.*\" }",
            "rewrite = { prefix = \"/\" }",
            "21:1: error: routes[0].rewrite: it is for HTTP requests, and the route is for remote calls; remove it, or give it a route of its own",
        ),
        (
            "upstream = \"arith\"\nauth",
            "upstream = \"arith\"\nresponse_headers = { remove = [\"x\"] }\nauth",
            "23:1: error: routes[0].response_headers: it is for HTTP requests, and the route is for remote calls; remove it, or give it a route of its own",
        ),
        (
            "upstream = \"arith\"\nauth",
            "transcode = { upstream = \"arith\" }\nauth",
            "22:1: error: routes[0].transcode: it is for HTTP requests, and the route is for remote calls; remove it, or give it a route of its own",
        ),
        (
            "upstream = \"arith\"\nauth",
            "upstream = \"users\"\nauth",
            "22:12: error: routes[0].upstream: `users` speaks http1, which carries no remote calls; name an upstream whose `protocol` is gob, gob-http, json-rpc, json-rpc2 or native",
        ),
        (
            "{ upstream = \"arith\" }",
            "{ upstream = \"users\" }",
            "26:26: error: routes[1].transcode.upstream: `users` speaks http1, which carries no remote calls; name an upstream whose `protocol` is gob, gob-http, json-rpc, json-rpc2 or native",
        ),
        (
            "upstream = \"users\"",
            "split = [{ upstream = \"users\", weight = 1 }, { upstream = \"arith\", weight = 1 }]",
            "30:59: error: routes[2].split[1].upstream: `arith` speaks gob, and the route is for HTTP requests; match by `call`, or write transcode = { upstream = \"arith\" }",
        ),
        (
            "{ path = \"/rpc/*\" }",
            "{ path = \"/rpc/{method}\" }",
            "25:18: error: routes[1].match.path: the method to call is what follows a prefix, and the path has none; match a path such as \"/rpc/*\"",
        ),
        (
            "transcode = {",
            "host = \"upstream\"\ntranscode = {",
            "26:1: error: routes[1].host: it is for requests that are passed on, and these are made as remote calls; remove it",
        ),
        (
            "transcode = {",
            "upstream = \"users\"\ntranscode = {",
            "27:1: error: routes[1].transcode: the route already has `upstream`; keep one of `upstream`, `split`, `files`, `respond`, `redirect` and `transcode`",
        ),
        (
            "match = { call = \"Arith.*\" }",
            "match = { call = \"Arith.*\" }\nlistener = \"web\"",
            "22:12: error: routes[0].listener: `web` takes no remote calls, which the route is for; name a listener whose `protocol` is \"rpc\" or \"auto\"",
        ),
        (
            "protocol = \"rpc\"",
            "protocol = \"http\"",
            "20:1: error: routes[0]: it is never reached: no listener takes remote calls, which it is for; add a listener with protocol = \"rpc\" or \"auto\"",
        ),
        (
            "[[routes]]\nmatch = { path = \"/*\" }",
            "[[routes]]\nmatch = { call = \"Arith.*\" }\nupstream = \"arith\"\n[[routes]]\nmatch = { path = \"/*\" }",
            "28:1: error: routes[2]: it is never reached: `Arith.*` (routes[0]) takes all of its calls; remove it, or match more narrowly before it",
        ),
        (
            "match = { call = \"Arith.*\" }",
            "match = { call = \"*\" }\nupstream = \"arith\"\n[[routes]]",
            "23:1: error: routes[1]: it is never reached: `*` (routes[0]) takes all of its calls; remove it, or match more narrowly before it",
        ),
        (
            "upstream = \"arith\"\nauth",
            "upstream = \"arith\"\npolicy = \"p\"\n[policies.p]\nfallback = { body = \"no\" }\n[[routes]]\nmatch = { call = \"X.*\" }\nupstream = \"arith\"\nauth",
            "23:10: error: routes[0].policy: the fallback of `p` is no JSON, which a call is answered with; write its `body` in JSON, such as \"[]\", or name another policy",
        ),
        // Warnings.
        (
            "protocol = \"rpc\"\n",
            "protocol = \"rpc\"\n[listeners.both]\nbind = \"127.0.0.1:1\"\nprotocol = \"auto\"\ntls = { certificates = [{ cert = \"a.pem\", key = \"a.key\" }] }\n",
            "6:1: warning: listeners.both.protocol: clients may speak without TLS to it, and `/rpc/*` (routes[1]) asks them for a key, which others could read then; take \"http\" and \"rpc\" on a listener each, where `tls` is a must",
        ),
        (
            "upstream = \"arith\"\nauth",
            "upstream = \"arith\"\npolicy = \"p\"\n[policies.p.methods]\n\"Arith.Add\" = {}\n\"Aritm.Add\" = {}\n[[routes]]\nmatch = { call = \"X.*\" }\nupstream = \"arith\"\nauth",
            "26:1: warning: policies.p.methods.\"Aritm.Add\": no call under this policy goes by that name; write the method of a remote call, or the name of a route",
        ),
        (
            "upstream = \"arith\"\n",
            "upstream = \"arith\"\nlistener = \"rpc\"\n[listeners.idle]\nbind = \"127.0.0.1:1\"\nprotocol = \"rpc\"\n[[routes]]\nmatch = { path = \"/x\" }\nupstream = \"users\"\n",
            "24:12: warning: listeners.idle: no route serves it, so it has no answer to any call; add `[[routes]]`",
        ),
        (
            "auth = [\"office\"]\n",
            "",
            "17:7: warning: auth.office: nothing uses it; name it in a route's `auth`, or remove it",
        ),
    ];
    let mut wrong = Vec::new();
    for (from, to, expected) in cases {
        assert!(REMOTE.contains(from), "`{from}` is not in the good configuration");
        let lines = told(&REMOTE.replacen(from, to, 1));
        if !lines.iter().any(|line| *line == format!("f.toml:{expected}")) {
            wrong.push(format!(
                "{from} -> {to}\n  expected f.toml:{expected}\n  told     {}",
                lines.join("\n           ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
