//! What must not cross from HTTP/2 to HTTP/1.1: whatever could end a line there, begin another message, or
//! be understood by two servers in two ways.

use locum_wire::http1::{Head, Limits};
use locum_wire::http2::{ErrorCode, Event, Reason};

use super::frames::*;
use super::pair::Seen;

/// The request of a head with these fields: its text, or why it is refused.
fn head(flags: u8, fields: &[(&str, &str)]) -> Result<String, Reason> {
    let outcome = serve(&[headers(flags, 1, fields).into()]);
    let refused = outcome.seen.iter().find_map(|it| match it {
        Seen::Other(Event::Refused { reason, .. }) => Some(*reason),
        _ => None,
    });
    match (refused, outcome.text(1)) {
        (Some(reason), None) => {
            assert_eq!(outcome.reset(1), Some(ErrorCode::PROTOCOL_ERROR), "{outcome:?}");
            Err(reason)
        }
        (None, Some((text, _))) => Ok(text.to_owned()),
        _ => panic!("a head is given or refused: {outcome:?}"),
    }
}

/// A POST with these fields besides.
fn with(fields: &[(&str, &str)]) -> Result<String, Reason> {
    head(0, &[&POST[..], fields].concat())
}

/// A GET whose field `name` has another value, or is not there.
fn replaced(name: &str, value: Option<&str>) -> Result<String, Reason> {
    let kept = GET.into_iter().filter(|it| it.0 != name);
    let fields: Vec<_> = value.map(|value| (name, value)).into_iter().chain(kept).collect();
    head(END_STREAM, &fields)
}

#[test]
fn no_control_byte_crosses() {
    for byte in (0..0x20).chain([0x7f]) {
        let byte = char::from(byte);
        for text in [format!("a{byte}b"), format!("{byte}ab"), format!("ab{byte}")] {
            let is_inner_tab = text == "a\tb";
            assert_eq!(with(&[("x-a", &text)]).is_ok(), is_inner_tab, "{text:?}");
            assert_eq!(with(&[("cookie", &text)]).is_ok(), is_inner_tab, "{text:?}");
            assert_eq!(with(&[(&text, "a")]), Err(Reason::FieldName), "{text:?}");
            assert_eq!(replaced(":method", Some(&text)), Err(Reason::Method), "{text:?}");
            assert_eq!(replaced(":scheme", Some(&text)), Err(Reason::Scheme), "{text:?}");
            assert_eq!(replaced(":authority", Some(&text)), Err(Reason::Authority), "{text:?}");
            assert_eq!(replaced(":path", Some(&format!("/{text}"))), Err(Reason::Path), "{text:?}");
        }
    }
    let line = "a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(with(&[("x-a", line)]), Err(Reason::FieldValue));
    assert_eq!(replaced(":path", Some("/ HTTP/1.1\r\nHost: b\r\n\r\nGET /")), Err(Reason::Path));
    assert_eq!(replaced(":method", Some("GET / HTTP/1.1\r\n")), Err(Reason::Method));
    assert_eq!(with(&[("a: b\r\nc", "d")]), Err(Reason::FieldName));
    assert_eq!(with(&[("x-a", "a\r\n b")]), Err(Reason::FieldValue), "obs-fold");
}

#[test]
fn names_are_tokens_in_lower_case() {
    for name in ["X-A", "x-A", "", "a b", "a:", ":", "a:b", "a\u{e9}", "\"a\"", "a,b", "(a)"] {
        let reason = if name.starts_with(':') { Reason::Pseudo } else { Reason::FieldName };
        assert_eq!(with(&[(name, "1")]), Err(reason), "{name:?}");
    }
}

#[test]
fn values_have_no_space_around_them() {
    for value in [" a", "a ", "\ta", "a\t", " "] {
        assert_eq!(with(&[("x-a", value)]), Err(Reason::FieldValue), "{value:?}");
        assert_eq!(with(&[("content-length", value)]), Err(Reason::FieldValue), "{value:?}");
    }
    assert!(with(&[("x-a", "")]).unwrap().contains("x-a: \r\n"), "nothing is a value");
    assert!(with(&[("x-a", "caf\u{e9}")]).unwrap().contains("x-a: caf\u{c3}\u{a9}\r\n"));
}

#[test]
fn fields_of_a_connection_are_refused() {
    for (name, value) in [
        ("connection", "close"),
        ("connection", "x-own"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", ""),
    ] {
        assert_eq!(with(&[(name, value)]), Err(Reason::ConnectionField), "{name}: {value}");
    }
    assert!(with(&[("te", "trailers")]).unwrap().contains("te: trailers\r\n"));
}

#[test]
fn there_is_one_host_and_it_is_the_authority() {
    assert_eq!(with(&[("host", "b.test")]), Err(Reason::Host));
    assert_eq!(with(&[("host", "")]), Err(Reason::Host));
    assert_eq!(with(&[("host", "a.test"), ("host", "a.test")]), Err(Reason::Host));
    assert_eq!(with(&[("host", "a.test")]).unwrap().matches("ost: ").count(), 1);

    let [method, scheme, path, authority] = GET;
    let text = head(END_STREAM, &[method, scheme, path, ("host", "c.test")]).unwrap();
    assert_eq!(text, "GET / HTTP/1.1\r\nHost: c.test\r\n\r\n");
    let two = [method, scheme, path, ("host", "c.test"), ("host", "d.test")];
    assert_eq!(head(END_STREAM, &two), Err(Reason::Host));
    assert_eq!(head(END_STREAM, &[method, scheme, path, ("host", "a/b")]), Err(Reason::Host));
    assert_eq!(head(END_STREAM, &[method, scheme, path]), Err(Reason::Authority));
    let twice = [method, scheme, path, authority, authority];
    assert_eq!(head(END_STREAM, &twice), Err(Reason::Pseudo));
    for authority in ["u@a.test", "u:p@a.test", "", "a b", "a/b", "a?b", "a,b", "http://a", "a:b"] {
        assert_eq!(
            replaced(":authority", Some(authority)),
            Err(Reason::Authority),
            "{authority:?}"
        );
    }
}

#[test]
fn pseudo_header_fields_are_complete_first_and_known() {
    for name in [":method", ":scheme", ":path"] {
        assert_eq!(replaced(name, None), Err(Reason::Pseudo), "{name}");
        let (_, value) = GET.into_iter().find(|it| it.0 == name).unwrap();
        assert_eq!(head(END_STREAM, &[&GET[..], &[(name, value)]].concat()), Err(Reason::Pseudo));
        let late: Vec<_> = GET
            .into_iter()
            .filter(|it| it.0 != name)
            .chain([("x-a", "b"), (name, value)])
            .collect();
        assert_eq!(head(END_STREAM, &late), Err(Reason::Pseudo), "{name} comes late");
    }
    for name in [":status", ":unknown", ":Method", ":", ":method "] {
        assert_eq!(head(END_STREAM, &[&GET[..], &[(name, "x")]].concat()), Err(Reason::Pseudo));
    }
    assert_eq!(
        head(END_STREAM, &[&GET[..], &[(":protocol", "websocket")]].concat()),
        Err(Reason::Pseudo)
    );
    assert_eq!(head(END_STREAM, &[]), Err(Reason::Pseudo));
}

#[test]
fn lines_have_a_method_and_a_path() {
    for method in ["", "GE T", "GET/", "G\u{e9}T", "GET,"] {
        assert_eq!(replaced(":method", Some(method)), Err(Reason::Method), "{method:?}");
    }
    for path in ["", "a", "*", "a.test:80", "/a b", " /", "/ ", "http://a.test/", "?a", "**"] {
        assert_eq!(replaced(":path", Some(path)), Err(Reason::Path), "{path:?}");
    }
    for scheme in ["", "ftp", "http ", "https://b.test/?"] {
        assert_eq!(replaced(":scheme", Some(scheme)), Err(Reason::Scheme), "{scheme:?}");
    }
    let options = [(":method", "OPTIONS"), GET[1], (":path", "*"), GET[3]];
    assert_eq!(head(END_STREAM, &options).unwrap(), "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
}

#[test]
fn a_connect_has_an_authority_and_nothing_else() {
    let connect = (":method", "CONNECT");
    let text = head(0, &[connect, (":authority", "a.test:443")]).unwrap();
    assert_eq!(text, "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
    assert_eq!(head(0, &[connect]), Err(Reason::Authority));
    assert_eq!(head(0, &[connect, GET[3], GET[2]]), Err(Reason::Pseudo));
    assert_eq!(head(0, &[connect, GET[3], GET[1]]), Err(Reason::Pseudo));
    assert_eq!(head(0, &[connect, (":authority", "a b")]), Err(Reason::Authority));
    for protocol in ["", "WebSocket", "connect-udp", "websocket\r\nA: b"] {
        let fields = [connect, GET[1], GET[2], GET[3], (":protocol", protocol)];
        assert_eq!(head(0, &fields), Err(Reason::Protocol), "{protocol:?}");
    }
    let length =
        [connect, GET[1], GET[2], GET[3], (":protocol", "websocket"), ("content-length", "2")];
    assert_eq!(head(0, &length), Err(Reason::ContentLength));
}

#[test]
fn there_is_one_length_and_it_is_the_contents() {
    for length in ["", "+1", "-1", "1,1", "1 1", "01", "0x1", "1.0", "18446744073709551616"] {
        assert_eq!(with(&[("content-length", length)]), Err(Reason::ContentLength), "{length:?}");
    }
    let twice = [("content-length", "1"), ("content-length", "1")];
    assert_eq!(with(&twice), Err(Reason::ContentLength));
    let ended = [&POST[..], &[("content-length", "1")]].concat();
    assert_eq!(head(END_STREAM, &ended), Err(Reason::ContentLength));

    let content = |length: &str, frames: &[Vec<u8>]| {
        let mut steps: Vec<Step> =
            vec![super::frames::with(0, 1, &[("content-length", length)]).into()];
        steps.extend(frames.iter().cloned().map(Step::from));
        serve(&steps)
    };
    let text = |it: &Outcome| {
        it.text(1).map(|it| (it.0.split("\r\n\r\n").nth(1).map(str::to_owned), it.1))
    };
    let more = content("1", &[frame(DATA, 0, 1, b"ab")]);
    assert_eq!(
        (text(&more), more.reset(1)),
        (Some((Some(String::new()), false)), Some(ErrorCode::PROTOCOL_ERROR))
    );
    let less = content("3", &[frame(DATA, END_STREAM, 1, b"ab")]);
    assert_eq!(
        (text(&less), less.reset(1)),
        (Some((Some(String::new()), false)), Some(ErrorCode::PROTOCOL_ERROR))
    );
    let trailers = content("3", &[frame(DATA, 0, 1, b"ab"), headers(END_STREAM, 1, &[("a", "b")])]);
    assert_eq!(trailers.reset(1), Some(ErrorCode::PROTOCOL_ERROR));
    let same = content("2", &[frame(DATA, 0, 1, b"a"), frame(DATA, END_STREAM, 1, b"b")]);
    assert_eq!(text(&same), Some((Some("ab".to_owned()), true)));
}

#[test]
fn trailers_bring_nothing_that_belongs_into_a_head() {
    let trailers =
        |fields: &[(&str, &str)]| serve(&[post(1).into(), headers(END_STREAM, 1, fields).into()]);
    for fields in [
        [(":path", "/b")],
        [("transfer-encoding", "chunked")],
        [("connection", "close")],
        [("A", "b")],
        [("a", "b\r\nc: d")],
        [("a\r\n\r\n", "b")],
    ] {
        let outcome = trailers(&fields);
        assert_eq!(outcome.reset(1), Some(ErrorCode::PROTOCOL_ERROR), "{fields:?}");
        assert!(!outcome.text(1).unwrap().1, "{fields:?}");
    }
    let outcome =
        trailers(&[("content-length", "5"), ("host", "b"), ("x-sum", "1"), ("cookie", "c")]);
    assert!(
        outcome.text(1).unwrap().0.ends_with("chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n"),
        "{outcome:?}"
    );
}

#[test]
fn crumbs_of_a_cookie_are_one_line() {
    let text =
        with(&[("cookie", "a=1"), ("x-a", "b"), ("cookie", "c=2"), ("cookie", "d=3")]).unwrap();
    assert!(text.contains("x-a: b\r\nCookie: a=1; c=2; d=3\r\n"), "{text}");
}

#[test]
fn what_crosses_is_read_as_one_request() {
    for text in [
        with(&[("content-length", "2")]).unwrap(),
        with(&[("x-a", "b"), ("expect", "100-continue")]).unwrap(),
        head(END_STREAM, &GET).unwrap(),
        head(END_STREAM, &POST).unwrap(),
        head(0, &[(":method", "CONNECT"), GET[1], GET[2], GET[3], (":protocol", "websocket")])
            .unwrap(),
    ] {
        let mut head = Head::new();
        assert_eq!(head.parse_request(text.as_bytes(), &Limits::default()), Ok(true), "{text}");
        assert_eq!(head.len(), text.len());
        assert_eq!(head.request(text.as_bytes()).host(), Some(&b"a.test"[..]));
    }
}
