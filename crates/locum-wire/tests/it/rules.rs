//! The rules one by one, each with the section that makes it.

use locum_wire::http1::{Error, Framing, Head, Limits, Name, Request, Response, Target, Version};

/// Reads a request whose bytes are written with `\r\n`, and what must be true of it.
fn request<T>(text: &str, look: impl FnOnce(Request<'_>) -> T) -> Result<T, Error> {
    let mut head = Head::new();
    let is_complete = head.parse_request(text.as_bytes(), &Limits::default())?;
    assert!(is_complete, "{text:?} is a whole head");
    assert_eq!(head.len(), text.len());
    Ok(look(head.request(text.as_bytes())))
}

fn response<T>(text: &str, look: impl FnOnce(Response<'_>) -> T) -> Result<T, Error> {
    let mut head = Head::new();
    let is_complete = head.parse_response(text.as_bytes(), &Limits::default())?;
    assert!(is_complete, "{text:?} is a whole head");
    Ok(look(head.response(text.as_bytes())))
}

fn refused(text: &str) -> Option<Error> {
    Head::new().parse_request(text.as_bytes(), &Limits::default()).err()
}

fn refused_answer(text: &str) -> Option<Error> {
    Head::new().parse_response(text.as_bytes(), &Limits::default()).err()
}

/// A request with these lines in its head.
fn with(lines: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n")
}

#[test]
fn request_lines_are_exact_rfc9112_3() {
    for (line, error) in [
        (" GET /x HTTP/1.1", Error::RequestLine),
        ("GET  /x HTTP/1.1", Error::RequestLine),
        ("GET /x  HTTP/1.1", Error::Version),
        ("GET /x y HTTP/1.1", Error::Version),
        ("GET /x", Error::RequestLine),
        ("GET", Error::RequestLine),
        ("G(T /x HTTP/1.1", Error::Method),
        ("GET\t/x HTTP/1.1", Error::Control),
        ("GET\n/x HTTP/1.1", Error::BareLf),
        ("\0GET /x HTTP/1.1", Error::Nul),
        ("CONNECT a.test:443 HTTP/1.1", Error::MethodUnsupported),
        ("TRACE /x HTTP/1.1", Error::MethodUnsupported),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA /x HTTP/1.1", Error::MethodUnsupported),
        ("GET /x HTTP/1.1 ", Error::Version),
        ("GET /x http/1.1", Error::Version),
        ("GET /x HTTP/1.10", Error::Version),
        ("GET /x HTTP/1,1", Error::Version),
        ("GET /x HTTP/2.0", Error::VersionUnsupported),
        ("GET /x HTTP/0.9", Error::VersionUnsupported),
        ("GET /x HTTP/42.1", Error::VersionUnsupported),
        ("GET /x HTTP/1.1\rX", Error::BareCr),
    ] {
        assert_eq!(refused(&format!("{line}\r\nHost: a.test\r\n\r\n")), Some(error), "{line:?}");
    }
}

#[test]
fn targets_have_the_form_their_method_needs_rfc9112_3_2() {
    for (line, error) in [
        ("GET *", Error::Target),
        ("OPTIONS **", Error::Target),
        ("GET x", Error::Target),
        ("GET ?x", Error::Target),
        ("GET a.test:80", Error::Target),
        ("GET //", Error::HostMissing),
        ("GET ftp://a.test/", Error::Target),
        ("GET http:/x", Error::Target),
        ("GET http:///x", Error::Host),
        ("GET http://u:p@a.test/x", Error::Host),
        ("GET http://a.test:x/", Error::Host),
        ("GET /x#y", Error::Target),
        ("GET /\u{e9}", Error::Target),
        ("GET /a\\b", Error::Target),
        ("GET /a<b>", Error::Target),
        ("GET /a?\"", Error::Target),
        ("GET /a\0", Error::Nul),
        ("GET /a\u{7f}", Error::Control),
    ] {
        assert_eq!(refused(&format!("{line} HTTP/1.1\r\n\r\n")), Some(error), "{line:?}");
    }
}

#[test]
fn targets_name_host_path_and_query_rfc9112_3_2() {
    for (method, target, form, host, path, query) in [
        ("GET", "/", Target::Origin, "h.test", "/", None),
        ("GET", "/a/b?c=/?d", Target::Origin, "h.test", "/a/b", Some("c=/?d")),
        ("GET", "/a?", Target::Origin, "h.test", "/a", Some("")),
        ("GET", "//evil.test/a", Target::Origin, "h.test", "//evil.test/a", None),
        ("GET", "http://a.test/b?c", Target::Absolute, "a.test", "/b", Some("c")),
        ("GET", "HTTPS://A.test:8443", Target::Absolute, "A.test:8443", "/", None),
        ("GET", "http://a.test?c/d", Target::Absolute, "a.test", "/", Some("c/d")),
        ("GET", "http://[::1]:80/", Target::Absolute, "[::1]:80", "/", None),
        ("OPTIONS", "*", Target::Asterisk, "h.test", "*", None),
        ("OPTIONS", "http://a.test", Target::Asterisk, "a.test", "*", None),
        ("OPTIONS", "http://a.test/", Target::Absolute, "a.test", "/", None),
        ("OPTIONS", "http://a.test?q", Target::Absolute, "a.test", "/", Some("q")),
        ("OPTIONS", "/", Target::Origin, "h.test", "/", None),
    ] {
        let text = format!("{method} {target} HTTP/1.1\r\nHost: h.test\r\n\r\n");
        request(&text, |it| {
            assert_eq!(it.method(), method.as_bytes());
            assert_eq!(it.raw_target(), target.as_bytes());
            assert_eq!(it.target(), form, "{target}");
            assert_eq!(it.host(), Some(host.as_bytes()), "{target}");
            assert_eq!(it.path(), path.as_bytes(), "{target}");
            assert_eq!(it.query(), query.map(str::as_bytes), "{target}");
        })
        .unwrap();
    }
}

#[test]
fn later_minor_versions_are_read_as_the_highest_known_rfc9110_2_5() {
    for (version, wanted) in
        [("1.0", Version::Http10), ("1.1", Version::Http11), ("1.9", Version::Http11)]
    {
        let text = format!("GET /x HTTP/{version}\r\nHost: a.test\r\n\r\n");
        assert_eq!(request(&text, |it| it.version()), Ok(wanted));
        let text = format!("HTTP/{version} 200 OK\r\n\r\n");
        assert_eq!(response(&text, |it| it.version()), Ok(wanted));
    }
}

#[test]
fn a_few_empty_lines_are_skipped_rfc9112_2_2() {
    let text = format!("{}{}", "\r\n".repeat(4), with(""));
    assert_eq!(request(&text, |it| it.path() == b"/x"), Ok(true));
    assert_eq!(refused(&format!("{}{}", "\r\n".repeat(5), with(""))), Some(Error::EmptyLines));
    assert_eq!(refused(&format!("\n{}", with(""))), Some(Error::BareLf));
    assert_eq!(refused_answer("\r\nHTTP/1.1 200 OK\r\n\r\n"), Some(Error::StatusLine));
}

#[test]
fn an_empty_line_is_not_the_start_of_a_request() {
    let head = Head::new();
    assert!(!head.is_started(b""));
    assert!(!head.is_started(b"\r\n\r"));
    assert!(head.is_started(b"\r\nG"));
}

#[test]
fn field_lines_are_exact_rfc9112_5() {
    for (lines, error) in [
        ("X: a\r\n b\r\n", Error::FoldedLine),
        (" X: a\r\n", Error::FoldedLine),
        ("X: a\r\n \r\n", Error::FoldedLine),
        ("X : a\r\n", Error::SpaceBeforeColon),
        ("X\t: a\r\n", Error::SpaceBeforeColon),
        ("X Y: a\r\n", Error::SpaceBeforeColon),
        (": a\r\n", Error::FieldName),
        ("foobar\r\n", Error::FieldName),
        ("X@Y: a\r\n", Error::FieldName),
        ("X\u{eb}: a\r\n", Error::FieldName),
        ("X\0: a\r\n", Error::Nul),
        ("X: a\0\r\n", Error::Nul),
        ("X: a\u{1}\r\n", Error::Control),
        ("X: a\u{7f}\r\n", Error::Control),
        ("X: a\rb\r\n", Error::BareCr),
        ("X: a\n\r\n", Error::BareLf),
        ("X: a\r\r\n", Error::BareCr),
        ("\n", Error::BareLf),
        ("\rX: a\r\n", Error::BareCr),
    ] {
        assert_eq!(refused(&with(lines)), Some(error), "{lines:?}");
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        assert_eq!(refused_answer(&answer), Some(error), "{lines:?} in an answer");
    }
}

#[test]
fn values_are_trimmed_and_otherwise_kept_rfc9110_5_5() {
    let text = with("A: \t a \t b\t \r\nB:\r\nC: \r\nD:\u{e9}\r\nE:a:b\r\n");
    let values = request(&text, |it| {
        it.fields().skip(1).map(|it| String::from_utf8(it.value.into()).unwrap()).collect()
    });
    let wanted: Vec<String> = ["a \t b", "", "", "\u{e9}", "a:b"].map(String::from).into();
    assert_eq!(values, Ok(wanted));
}

#[test]
fn a_line_is_where_its_range_says() {
    let text = with("A: 1\r\nB:2\r\n");
    let lines = request(&text, |it| it.fields().map(|it| &text[it.line]).collect::<Vec<_>>());
    assert_eq!(lines, Ok(vec!["Host: a.test\r\n", "A: 1\r\n", "B:2\r\n"]));
}

#[test]
fn fields_are_found_in_any_case() {
    let text = with("X-Own: 1\r\nx-own: 2\r\ncoNTENT-type: text/plain\r\n");
    request(&text, |it| {
        assert_eq!(it.get_other(b"X-OWN"), Some(&b"1"[..]));
        assert_eq!(it.get(Name::ContentType), Some(&b"text/plain"[..]));
        assert_eq!(it.get_other(b"content-type"), it.get(Name::ContentType));
        assert_eq!(it.get(Name::Cookie), None);
        assert_eq!(it.get(Name::Other), None);
    })
    .unwrap();
}

#[test]
fn a_head_remembers_nothing_of_the_message_before() {
    let before =
        with("Connection: close, upgrade, x-a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n")
            .replace("/x", "http://b.test/?query");
    let plain =
        "GET /x HTTP/1.0\r\nConnection: keep-alive\r\nX-A: 1\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n";
    let limits = Limits::default();
    let mut head = Head::new();
    assert_eq!(head.parse_request(before.as_bytes(), &limits), Ok(true));
    head.clear();
    assert_eq!(head.parse_request(plain.as_bytes(), &limits), Ok(true));
    let request = head.request(plain.as_bytes());
    assert_eq!((request.host(), request.query(), request.target()), (None, None, Target::Origin));
    assert_eq!((request.get(Name::ContentLength), request.get(Name::Expect)), (None, None));
    assert_eq!((request.framing(), request.keep_alive()), (Framing::None, true));
    assert_eq!(request.fields().filter(|it| it.hop).count(), 1);
}

#[test]
fn limits_have_their_own_statuses_rfc6585_5_rfc9110_15_5_15() {
    let limits = Limits { head_bytes: 200, fields: 3, target_bytes: 20 };
    let refused = |text: &str| Head::new().parse_request(text.as_bytes(), &limits);
    let fields = |count| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: 1\r\n".repeat(count));
    assert_eq!(refused(&fields(2)), Ok(true));
    assert_eq!(refused(&fields(3)), Err(Error::TooManyFields));
    let target = |count| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(count));
    assert_eq!(refused(&target(19)), Ok(true));
    assert_eq!(refused(&target(20)), Err(Error::TargetTooLong));
    assert_eq!(refused(&format!("GET /?{}", "a".repeat(19))), Err(Error::TargetTooLong));
    // A head of exactly the limit, and one byte more.
    let sized = |size: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(size - start.len() - 4))
    };
    assert_eq!(refused(&sized(200)), Ok(true));
    assert_eq!(refused(&sized(201)), Err(Error::HeadTooLarge));
    assert_eq!(refused(&sized(201)[..199]), Ok(false));
    // What comes behind the head does not count.
    assert_eq!(refused(&format!("{}{}", sized(200), "x".repeat(1000))), Ok(true));
    for (error, status) in [
        (Error::TooManyFields, 431),
        (Error::HeadTooLarge, 431),
        (Error::TargetTooLong, 414),
        (Error::Expectation, 417),
        (Error::MethodUnsupported, 501),
        (Error::TransferCodingUnsupported, 501),
        (Error::VersionUnsupported, 505),
        (Error::Host, 400),
    ] {
        assert_eq!(error.status(), status, "{error}");
    }
}

#[test]
fn host_is_one_valid_line_rfc9112_3_2() {
    let head = |version, lines| format!("GET /x HTTP/{version}\r\n{lines}\r\n");
    for (lines, error) in [
        ("", Error::HostMissing),
        ("Host: a\r\nHost: a\r\n", Error::HostRepeated),
        ("Host: a\r\nX: 1\r\nhOsT: b\r\n", Error::HostRepeated),
        ("Host:\r\n", Error::Host),
        ("Host: a, b\r\n", Error::Host),
        ("Host: u@a\r\n", Error::Host),
        ("Host: a:99999\r\n", Error::Host),
        ("Host: [::1\r\n", Error::Host),
    ] {
        assert_eq!(refused(&head("1.1", lines)), Some(error), "{lines:?}");
    }
    assert_eq!(request(&head("1.0", ""), |it| it.host().is_none()), Ok(true));
    assert_eq!(refused(&head("1.0", "Host: a\r\nHost: a\r\n")), Some(Error::HostRepeated));
    // An absolute target wins, but Host must still be there and be valid.
    assert_eq!(refused("GET http://a/ HTTP/1.1\r\n\r\n"), Some(Error::HostMissing));
    assert_eq!(refused("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"), Some(Error::Host));
}

#[test]
fn content_length_is_one_plain_number_rfc9110_8_6() {
    for value in [
        "",
        "+5",
        "-5",
        "5,",
        ",5",
        "5, 5",
        "5 5",
        "0x5",
        "5.0",
        "5a",
        "\u{a0}5",
        "1_0",
        "05",
        "00",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        let text = with(&format!("Content-Length: {value}\r\n"));
        assert_eq!(refused(&text), Some(Error::ContentLength), "{value:?}");
    }
    for (value, length) in [("0", 0), ("5", 5), ("\t10 ", 10), ("18446744073709551615", u64::MAX)] {
        let text = with(&format!("Content-Length:{value}\r\n"));
        assert_eq!(request(&text, |it| it.framing()), Ok(Framing::Length(length)));
    }
    let text = with("Content-Length: 5\r\nContent-Length: 5\r\n");
    assert_eq!(refused(&text), Some(Error::ContentLengthRepeated));
}

#[test]
fn transfer_encoding_is_exactly_chunked_rfc9112_6_1() {
    for (value, error) in [
        ("", Error::TransferEncoding),
        ("gzip", Error::TransferEncoding),
        ("chunked, gzip", Error::TransferEncoding),
        ("chunked, chunked", Error::TransferEncoding),
        (", chunked", Error::TransferEncoding),
        ("chunked,", Error::TransferEncoding),
        ("chunked;q=1", Error::TransferEncoding),
        ("\"chunked\"", Error::TransferEncoding),
        ("\u{a0}chunked", Error::TransferEncoding),
        ("x chunked", Error::TransferEncoding),
        ("gzip, chunked", Error::TransferCodingUnsupported),
        ("gzip;q=1, chunked", Error::TransferEncoding),
    ] {
        let text = with(&format!("Transfer-Encoding: {value}\r\n"));
        assert_eq!(refused(&text), Some(error), "{value:?}");
    }
    for value in ["chunked", "CHUNKED", "\tcHuNkEd\t"] {
        let text = with(&format!("Transfer-Encoding:{value}\r\n"));
        assert_eq!(request(&text, |it| it.framing()), Ok(Framing::Chunked), "{value:?}");
    }
    let twice = with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n");
    assert_eq!(refused(&twice), Some(Error::TransferEncoding));
    let old = "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), Some(Error::TransferEncodingMisplaced));
}

#[test]
fn length_and_encoding_exclude_each_other_rfc9112_6_3() {
    let [length, encoding] = ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"];
    for lines in [format!("{length}{encoding}"), format!("{encoding}{length}")] {
        assert_eq!(refused(&with(&lines)), Some(Error::LengthAndEncoding));
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        assert_eq!(refused_answer(&answer), Some(Error::LengthAndEncoding));
    }
    assert_eq!(request(&with(""), |it| it.framing()), Ok(Framing::None));
}

#[test]
fn underscores_do_not_imitate_framing_or_forwarding() {
    for name in ["Content_Length", "transfer_encoding", "X_Forwarded_For", "X-Forwarded_Port"] {
        let text = with(&format!("{name}: 1\r\n"));
        assert_eq!(refused(&text), Some(Error::UnderscoreName), "{name}");
    }
    assert_eq!(request(&with("user_id: 1\r\n"), |it| it.get_other(b"user_id").is_some()), Ok(true));
    // Nobody is deceived by an answer.
    assert!(response("HTTP/1.1 200 OK\r\nContent_Length: 1\r\n\r\n", |_| ()).is_ok());
}

#[test]
fn hop_by_hop_fields_are_marked_rfc9110_7_6_1() {
    let text = with(
        "Connection: close, X-Named, Host, Cookie, X-Forwarded-For , ,Content-Length\r\n\
         connection: x-AGAIN\r\nX-Named: 1\r\nX-Again: 1\r\nX-Kept: 1\r\nCookie: a\r\n\
         X-Forwarded-For: ::1\r\nContent-Length: 0\r\nKeep-Alive: 5\r\nTE: trailers\r\n\
         Trailer: x\r\nUpgrade: x\r\nProxy-Authorization: x\r\nProxy-Connection: x\r\n\
         HTTP2-Settings: x\r\nProxy: x\r\nX-Original-URL: /\r\nx-named: 2\r\n",
    );
    let kept = request(&text, |it| {
        let kept = it.fields().filter(|it| !it.hop);
        kept.map(|it| String::from_utf8_lossy(it.name).into_owned()).collect::<Vec<_>>()
    });
    let wanted = ["Host", "X-Kept", "Cookie", "X-Forwarded-For", "Content-Length"];
    assert_eq!(kept.unwrap(), wanted);
    let many = with(&format!("Connection: {}\r\n", "a,".repeat(100)));
    assert_eq!(refused(&many), Some(Error::ConnectionOptions));
}

#[test]
fn connections_persist_as_both_sides_want_rfc9112_9_3() {
    for (version, lines, persists) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: Close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(request(&text, |it| it.keep_alive()), Ok(persists), "{text:?}");
        let text = format!("HTTP/{version} 200 OK\r\n{lines}\r\n");
        assert_eq!(response(&text, |it| it.keep_alive()), Ok(persists), "{text:?}");
    }
}

#[test]
fn expectations_are_known_or_refused_rfc9110_10_1_1() {
    let text = with("Expect: 100-Continue\r\nContent-Length: 1\r\n");
    assert_eq!(request(&text, |it| it.expects_continue()), Ok(true));
    assert_eq!(request(&with(""), |it| it.expects_continue()), Ok(false));
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(request(old, |it| it.expects_continue()), Ok(false));
    assert_eq!(refused(&with("Expect: 200-ok\r\n")), Some(Error::Expectation));
}

#[test]
fn upgrades_need_connection_and_1_1_rfc9110_7_8() {
    let asked = |version, lines| {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        request(&text, |it| it.upgrade().map(|it| String::from_utf8_lossy(it).into_owned()))
    };
    let both = "Connection: x, Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(asked("1.1", both), Ok(Some("websocket".into())));
    assert_eq!(asked("1.0", both), Ok(None));
    assert_eq!(asked("1.1", "Upgrade: websocket\r\n"), Ok(None));
    assert_eq!(asked("1.1", "Connection: upgrade\r\n"), Ok(None));
    assert_eq!(asked("1.1", "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n"), Ok(None));
}

#[test]
fn te_says_whether_trailers_are_taken_rfc9110_10_1_4() {
    for (lines, taken) in [
        ("", false),
        ("TE: trailers\r\n", true),
        ("TE: deflate;q=0.5\r\nTE: gzip, Trailers\r\n", true),
        ("TE: deflate\r\n", false),
    ] {
        assert_eq!(request(&with(lines), |it| it.te_trailers()), Ok(taken), "{lines:?}");
    }
}

#[test]
fn methods_say_what_repeating_them_does_rfc9110_9_2() {
    for (method, safe, idempotent) in [
        ("GET", true, true),
        ("HEAD", true, true),
        ("OPTIONS", true, true),
        ("PUT", false, true),
        ("DELETE", false, true),
        ("POST", false, false),
        ("PATCH", false, false),
        ("get", false, false),
    ] {
        let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        let is = request(&text, |it| (it.is_safe(), it.is_idempotent(), it.is_head()));
        assert_eq!(is, Ok((safe, idempotent, method == "HEAD")), "{method}");
    }
}

#[test]
fn status_lines_are_exact_rfc9112_4() {
    for line in [
        "",
        "x",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 20",
        "HTTP/1.1 99 x",
        "HTTP/1.1 600 x",
        "HTTP/1.1 099 x",
        "HTTP/1.1 2000",
        "HTTP/1.1  200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.1\t200 OK",
        "http/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.10 200 OK",
        "ICY 200 OK",
        "HTTP/1.1 2x0 OK",
    ] {
        assert_eq!(refused_answer(&format!("{line}\r\n\r\n")), Some(Error::StatusLine), "{line:?}");
    }
    assert_eq!(refused_answer("HTTP/1.1 200 O\u{1}K\r\n\r\n"), Some(Error::Control));
    assert_eq!(refused_answer("HTTP/1.1 200 OK\n\r\n"), Some(Error::BareLf));
    for (line, status, reason) in [
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.1 204 ", 204, ""),
        ("HTTP/1.1 404", 404, ""),
        ("HTTP/1.0 599 a b\tc", 599, "a b\tc"),
    ] {
        response(&format!("{line}\r\n\r\n"), |it| {
            assert_eq!((it.status(), it.reason()), (status, reason.as_bytes()), "{line:?}");
        })
        .unwrap();
    }
}

#[test]
fn answers_end_where_status_and_method_say_rfc9112_6_3() {
    let framing = |text: &str, request_was_head| response(text, |it| it.framing(request_was_head));
    let sized = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bare = "HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(framing(sized, false), Ok(Framing::Length(5)));
    assert_eq!(framing(chunked, false), Ok(Framing::Chunked));
    assert_eq!(framing(bare, false), Ok(Framing::UntilClose));
    for text in [sized, chunked, bare] {
        assert_eq!(framing(text, true), Ok(Framing::None), "to HEAD: {text:?}");
    }
    for status in ["100", "101", "103", "204", "304"] {
        let text = format!("HTTP/1.1 {status} \r\nContent-Length: 5\r\n\r\n");
        assert_eq!(framing(&text, false), Ok(Framing::None), "{status}");
    }
    for status in ["103", "204"] {
        let text = format!("HTTP/1.1 {status} \r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(framing(&text, false), Err(Error::TransferEncodingMisplaced), "{status}");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(framing(old, false), Err(Error::TransferEncodingMisplaced));
}

#[test]
fn a_connection_is_reused_only_after_a_sound_answer() {
    for (text, reusable) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false),
        ("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n", false),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
        ("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false),
    ] {
        assert_eq!(response(text, |it| it.reusable()), Ok(reusable), "{text:?}");
    }
}
