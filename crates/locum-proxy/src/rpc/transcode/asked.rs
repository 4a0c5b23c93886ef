//! What a request asks for, by its method, its path and what it says of its body.

use locum_wire::http1::{Name, Request};
use locum_wire::netrpc::CANCEL;
use locum_wire::rpc::Failure;

use crate::refusal::Refusal;
use crate::rpc::method_path;

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    /// What there is to call.
    Listing,
    /// A call of this method, with the body as its argument.
    Call(Box<str>),
}

impl Asked {
    /// Of a request with `below` in its path behind the route's prefix.
    pub(super) fn of(request: &Request<'_>, below: &[u8]) -> Result<Self, Refusal> {
        match (request.method(), below) {
            (b"GET" | b"HEAD", b"") => Ok(Self::Listing),
            (b"POST", name) => {
                let method = method(name)?;
                if says_json(request) { Ok(Self::Call(method)) } else { Err(Refusal::no_json()) }
            }
            (_, b"") => Err(Refusal::method("GET, HEAD")),
            _ => Err(Refusal::method("POST")),
        }
    }
}

/// The method that is named by the end of a path. Each has one path: a method that a route of its own keeps
/// from some is not called by writing its name in another way.
fn method(path: &[u8]) -> Result<Box<str>, Refusal> {
    let name = method_path::decode(path);
    // net/rpc/server.go, readRequestHeader: the last dot divides service and method.
    let failure = if !name.contains('.') {
        Failure::ill_formed(&name)
    // On a connection that clients share it would give up the call of another.
    } else if name == CANCEL {
        Failure::unknown_service(&name)
    } else {
        let only = method_path::encode(&name);
        if only.as_bytes() != path {
            let detail = format!("the path of a method is written in one way: {only}");
            return Err(Refusal::no_method(detail));
        }
        return Ok(name.into());
    };
    Err(Refusal::no_method(failure.text))
}

/// Whether the body can be taken for JSON.
///
/// It has to be said to be, in which case a browser asks before it sends it for another site. Where nothing
/// is said, or what `curl -d` says of everything, whoever sends it must not be a browser.
fn says_json(request: &Request<'_>) -> bool {
    let coding = request.get(Name::ContentEncoding).unwrap_or(b"identity");
    if !coding.eq_ignore_ascii_case(b"identity") {
        return false;
    }
    let said = request.get(Name::ContentType).unwrap_or_default();
    let kind = said.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    match kind.to_ascii_lowercase().as_slice() {
        b"" | b"application/x-www-form-urlencoded" => request.get(Name::Origin).is_none(),
        // RFC 6839 §3.1: what ends so is JSON as well.
        kind => kind == b"application/json" || kind.ends_with(b"+json"),
    }
}

#[cfg(test)]
mod tests {
    use locum_wire::http1::{Head, Limits};

    use super::*;

    /// What is asked, or the status of the refusal and the words that it has.
    fn asked(method: &str, below: &str, fields: &str) -> Result<Asked, (u16, String)> {
        let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut head = Head::new();
        let limits = Limits { head_bytes: 4096, fields: 20, target_bytes: 100 };
        assert!(head.parse_request(text.as_bytes(), &limits).unwrap());
        Asked::of(&head.request(text.as_bytes()), below.as_bytes())
            .map_err(|refusal| (refusal.status, refusal.detail.into()))
    }

    fn called(name: &str) -> Result<Asked, (u16, String)> {
        Ok(Asked::Call(name.into()))
    }

    #[test]
    fn a_post_calls_what_its_path_names() {
        assert_eq!(asked("POST", "Arith.Multiply", ""), called("Arith.Multiply"));
        assert_eq!(asked("POST", "a.b.C", ""), called("a.b.C"));
        assert_eq!(asked("POST", "a/b.C", ""), called("a/b.C"));
        assert_eq!(asked("POST", "Gr%C3%BC%C3%9Fe.%25", ""), called("Grüße.%"));
        assert_eq!(asked("POST", "Pair%5Bint%5D.At(0)", ""), called("Pair[int].At(0)"));
    }

    #[test]
    fn no_method_has_another_path_beside_its_own() {
        for (path, only) in [
            ("Admin%2eWipe", "Admin.Wipe"),
            ("Admin.%57ipe", "Admin.Wipe"),
            ("a.At%280)", "a.At(0)"),
            ("Gr%c3%bcn.Add", "Gr%C3%BCn.Add"),
            ("a[0].Add", "a%5B0%5D.Add"),
        ] {
            let detail = format!("the path of a method is written in one way: {only}");
            assert_eq!(asked("POST", path, ""), Err((404, detail)));
        }
    }

    #[test]
    fn the_call_that_gives_up_others_is_no_method() {
        let detail = "rpc: can't find service _goRPC_.Cancel".to_owned();
        assert_eq!(asked("POST", "_goRPC_.Cancel", ""), Err((404, detail)));
    }

    #[test]
    fn what_is_no_method_is_not_found_in_the_words_of_net_rpc() {
        for name in ["", "Multiply"] {
            let detail = format!("rpc: service/method request ill-formed: {name}");
            assert_eq!(asked("POST", name, ""), Err((404, detail)));
        }
        assert_eq!(asked("POST", "a.%FF", "").map_err(|(status, _)| status), Err(404));
    }

    #[test]
    fn only_the_prefix_itself_can_be_read() {
        assert_eq!(asked("GET", "", ""), Ok(Asked::Listing));
        assert_eq!(asked("HEAD", "", ""), Ok(Asked::Listing));
        for (method, below, allowed) in [
            ("GET", "Arith.Add", "POST"),
            ("PUT", "Arith.Add", "POST"),
            ("OPTIONS", "Arith.Add", "POST"),
            ("DELETE", "", "GET, HEAD"),
        ] {
            let refused = asked(method, below, "").map_err(|(status, detail)| {
                assert!(detail.contains(allowed), "{method}: {detail}");
                status
            });
            assert_eq!(refused, Err(405), "{method}");
        }
    }

    #[test]
    fn the_body_has_to_be_said_to_be_json() {
        for fields in [
            "",
            "Content-Type: application/json\r\n",
            "Content-Type: Application/JSON ; charset=utf-8\r\n",
            "Content-Type: application/json\r\nOrigin: http://elsewhere\r\n",
            "Content-Type: application/vnd.api+json\r\n",
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "Content-Encoding: identity\r\n",
        ] {
            assert_eq!(asked("POST", "A.B", fields), called("A.B"), "{fields:?}");
        }
        for fields in [
            "Content-Type: text/plain\r\n",
            "Content-Type: application/jsonp\r\n",
            "Content-Type: application/octet-stream\r\n",
            "Content-Encoding: gzip\r\nContent-Type: application/json\r\n",
            "Origin: http://elsewhere\r\n",
            "Origin: null\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        ] {
            let status = asked("POST", "A.B", fields).map_err(|(status, _)| status);
            assert_eq!(status, Err(415), "{fields:?}");
        }
    }
}
