//! Every case of h2spec 2.6, in its order and under its numbers: generic 1 to 5, http2 3 to 8, hpack 2 to
//! 6. Where it takes any of several answers, ours is told exactly.
//!
//! Each script is read whole, byte by byte and in other pieces, and comes to the same. What h2spec asks of
//! a whole server, that it answers a request, is that the request arrives here.

use locum_wire::http2::{ErrorCode, Limits, PREFACE};

use super::frames::*;

const PROTOCOL: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const CLOSED: ErrorCode = ErrorCode::STREAM_CLOSED;
const FLOW: ErrorCode = ErrorCode::FLOW_CONTROL_ERROR;
const SIZE: ErrorCode = ErrorCode::FRAME_SIZE_ERROR;
const COMPRESSION: ErrorCode = ErrorCode::COMPRESSION_ERROR;

/// What must come of a script.
#[derive(Debug)]
enum Then {
    /// The request on this stream is there, and the connection lives.
    Request(u32),
    /// The connection lives.
    Alive,
    /// The stream is reset, and the connection lives.
    Reset(u32, ErrorCode),
    /// The connection ends.
    Over(ErrorCode),
}

use Then::{Alive, Over, Request, Reset};

/// Plays a script; a ping at its end tells whether the connection lives.
fn check(section: &str, case: &str, script: Vec<Step>, then: &Then) {
    let alive = frame(PING, 0, 0, b"are you?");
    let script: Vec<_> = script.into_iter().chain([alive.into()]).collect();
    let outcome = serve(&script);
    let told = format!("{section}: {case}: {outcome:?}");
    let lives = outcome.output.iter().any(|it| it.0 == PING && it.1 == ACK && it.3 == b"are you?");
    match then {
        Over(code) => {
            assert_eq!(outcome.went(), Some(*code), "{told}");
            assert_eq!(outcome.error.map(|it| it.code), Some(*code), "{told}");
            assert!(!lives, "{told}");
        }
        Reset(stream, code) => {
            assert_eq!(outcome.reset(*stream), Some(*code), "{told}");
            assert!(lives && outcome.went().is_none(), "{told}");
        }
        Request(stream) => {
            assert_eq!(outcome.text(*stream).map(|it| it.1), Some(true), "{told}");
            assert!(lives && outcome.went().is_none(), "{told}");
            assert_eq!(outcome.reset(*stream), None, "{told}");
        }
        Alive => assert!(lives && outcome.went().is_none(), "{told}"),
    }
}

/// The frames of a script, one after the other.
macro_rules! script {
    ($($frame:expr),* $(,)?) => { vec![$(Step::from($frame)),*] };
}

fn priority(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &[&on.to_be_bytes()[..], &[weight]].concat())
}

fn rst(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())
}

fn window(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

fn settings(name: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &setting(name, value))
}

fn answer(stream: u32) -> Step {
    Step::Answer(stream)
}

impl From<Step> for Vec<Step> {
    fn from(step: Step) -> Self {
        vec![step]
    }
}

#[test]
fn generic() {
    let half = block(&GET);
    let (a, b) = half.split_at(10);
    let (b1, b2) = b.split_at(10);
    let padded_headers = [&[3][..], &block(&GET), &[0; 3]].concat();
    let with_priority = [&[0, 0, 0, 0, 255][..], &block(&GET)].concat();
    let exclusive = [&(1u32 << 31).to_be_bytes()[..], &[255]].concat();
    #[rustfmt::skip]
    let cases: Vec<(&str, &str, Vec<Step>, Then)> = vec![
        ("1", "a client's preface", script![], Alive),
        ("2.1", "PRIORITY on an idle stream", script![priority(1, 0, 255), get(1)], Request(1)),
        ("2.2", "WINDOW_UPDATE on a half-closed stream", script![get(1), window(1, 100)], Request(1)),
        ("2.3", "PRIORITY on a half-closed stream", script![get(1), priority(1, 0, 255)], Request(1)),
        ("2.4", "RST_STREAM on a half-closed stream", script![get(1), rst(1)], Alive),
        ("2.5", "PRIORITY on a closed stream", vec![get(1).into(), answer(1), priority(1, 0, 255).into()], Request(1)),
        ("3.1.1", "DATA", script![post(1), frame(DATA, END_STREAM, 1, b"test")], Request(1)),
        ("3.1.2", "several DATA", script![post(1), frame(DATA, 0, 1, b"test"), frame(DATA, END_STREAM, 1, b"test")], Request(1)),
        ("3.1.3", "DATA with padding", script![post(1), frame(DATA, END_STREAM | PADDED, 1, b"\x06test\0\0\0\0\0\0")], Request(1)),
        ("3.2.1", "HEADERS", script![get(1)], Request(1)),
        ("3.2.2", "HEADERS with padding", script![frame(HEADERS, WHOLE | PADDED, 1, &padded_headers)], Request(1)),
        ("3.2.3", "HEADERS with priority", script![frame(HEADERS, WHOLE | WITH_PRIORITY, 1, &with_priority)], Request(1)),
        ("3.3.1", "PRIORITY of 1", script![priority(1, 0, 0), get(1)], Request(1)),
        ("3.3.2", "PRIORITY of 256", script![priority(1, 0, 255), get(1)], Request(1)),
        ("3.3.3", "PRIORITY with a dependency", script![priority(1, 0, 255), priority(3, 1, 255), get(1)], Request(1)),
        ("3.3.4", "PRIORITY that is exclusive", script![frame(PRIORITY, 0, 1, &exclusive), get(1)], Request(1)),
        ("3.3.5", "PRIORITY of an idle stream, then a lower one", script![priority(5, 0, 255), get(3)], Request(3)),
        ("3.4.1", "RST_STREAM", script![post(1), rst(1)], Alive),
        ("3.5.1", "SETTINGS", script![settings(3, 100)], Alive),
        ("3.7.1", "PING", script![frame(PING, 0, 0, b"h2spec\0\0")], Alive),
        ("3.8.1", "GOAWAY", script![frame(GOAWAY, 0, 0, &[0; 8])], Alive),
        ("3.9.1", "WINDOW_UPDATE of the connection", script![window(0, 1), get(1)], Request(1)),
        ("3.9.2", "WINDOW_UPDATE of a stream", script![get(1), window(1, 1)], Request(1)),
        ("3.10.1", "CONTINUATION", script![frame(HEADERS, END_STREAM, 1, a), frame(CONTINUATION, END_HEADERS, 1, b)], Request(1)),
        ("3.10.2", "several CONTINUATION", script![frame(HEADERS, END_STREAM, 1, a), frame(CONTINUATION, 0, 1, b1), frame(CONTINUATION, END_HEADERS, 1, b2)], Request(1)),
        ("4.1", "GET", script![get(1)], Request(1)),
        ("4.2", "HEAD", script![headers(END_STREAM, 1, &[(":method", "HEAD"), GET[1], GET[2], GET[3]])], Request(1)),
        ("4.3", "POST", script![post(1), frame(DATA, END_STREAM, 1, b"test")], Request(1)),
        ("4.4", "POST with trailers", script![with(0, 1, &[("trailer", "x-test")]), frame(DATA, 0, 1, b"test"), headers(END_STREAM, 1, &[("x-test", "ok")])], Request(1)),
        ("5.1", "an indexed field", script![packed(&[0x82, 0x86, 0x84])], Request(1)),
        ("5.2", "a literal to be indexed, its name indexed", script![packed(b"\x82\x86\x84\x50\x03abc")], Request(1)),
        ("5.3", "a literal to be indexed, its name new", script![packed(b"\x82\x86\x84\x40\x01x\x03abc")], Request(1)),
        ("5.4", "a literal, its name indexed", script![packed(b"\x82\x86\x84\x0f\x02\x03abc")], Request(1)),
        ("5.5", "a literal, its name new", script![packed(b"\x82\x86\x84\x00\x01x\x03abc")], Request(1)),
        ("5.6", "a literal never to be indexed, its name indexed", script![packed(b"\x82\x86\x84\x1f\x04\x03abc")], Request(1)),
        ("5.7", "a literal never to be indexed, its name new", script![packed(b"\x82\x86\x84\x10\x01x\x03abc")], Request(1)),
        ("5.8", "an update of the table's size", script![packed(&[0x20, 0x82, 0x86, 0x84])], Request(1)),
        ("5.9", "several updates", script![packed(&[0x20, 0x3e, 0x82, 0x86, 0x84])], Request(1)),
    ];
    assert_eq!(cases.len(), 38);
    for (section, case, script, then) in cases {
        check(&format!("generic/{section}"), case, script, &then);
    }
}

/// A request on stream 1 by a block that is given; the authority comes behind its path.
fn packed(block: &[u8]) -> Vec<u8> {
    let path = block.iter().position(|it| *it == 0x84).expect("there is a path") + 1;
    frame(HEADERS, WHOLE, 1, &[&block[..path], b"\x01\x06a.test", &block[path..]].concat())
}

#[test]
fn http2_3_and_4() {
    let full = vec![0; 16384];
    let over = vec![0; 16385];
    let (a, b) = (block(&GET)[..10].to_vec(), block(&GET)[10..].to_vec());
    let reserved = frame(PING, 0, 1 << 31, b"reserved");
    #[rustfmt::skip]
    let cases: Vec<(&str, &str, Vec<Step>, Then)> = vec![
        ("3.5.1", "a valid preface", script![], Alive),
        ("4.1.1", "a frame of an unknown type", script![frame(0xff, 0, 0, &[0; 8])], Alive),
        ("4.1.2", "a frame with unknown flags", script![frame(PING, 0x16, 0, &[0; 8])], Alive),
        ("4.1.3", "a frame with the reserved bit", script![reserved], Alive),
        ("4.2.1", "DATA of 16384 bytes", script![post(1), frame(DATA, END_STREAM, 1, &full)], Request(1)),
        ("4.2.2", "DATA that is too large", script![post(1), frame(DATA, END_STREAM, 1, &over)], Over(SIZE)),
        ("4.2.3", "HEADERS that are too large", script![frame(HEADERS, WHOLE, 1, &over)], Over(SIZE)),
        ("4.3.1", "a block that cannot be read", script![frame(HEADERS, WHOLE, 1, &[0x40])], Over(COMPRESSION)),
        ("4.3.2", "PRIORITY within a block", script![frame(HEADERS, END_STREAM, 1, &a), priority(1, 0, 255), frame(CONTINUATION, END_HEADERS, 1, &b)], Over(PROTOCOL)),
        ("4.3.3", "HEADERS of another stream within a block", script![frame(HEADERS, END_STREAM, 1, &a), get(3)], Over(PROTOCOL)),
    ];
    assert_eq!(cases.len(), 10);
    for (section, case, script, then) in cases {
        check(&format!("http2/{section}"), case, script, &then);
    }
    let outcome =
        serve_bare(&Limits::default(), &[b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec().into()]);
    assert_eq!(outcome.went(), Some(PROTOCOL), "http2/3.5.2: an invalid preface");
    let outcome = serve_bare(&Limits::default(), &[[&PREFACE[..], &get(1)].concat().into()]);
    assert_eq!(outcome.went(), Some(PROTOCOL), "a preface without SETTINGS");
}

#[test]
fn http2_5() {
    let a = block(&GET)[..10].to_vec();
    let on_itself = [&1u32.to_be_bytes()[..], &[255], &block(&GET)].concat();
    let over = || -> Vec<Step> { vec![get(1).into(), answer(1)] };
    let then = |frame: Vec<u8>| -> Vec<Step> { [over(), vec![frame.into()]].concat() };
    let streams = (0..=100).map(|it| Step::from(post(2 * it + 1))).collect();
    #[rustfmt::skip]
    let cases: Vec<(&str, &str, Vec<Step>, Then)> = vec![
        ("5.1.1", "idle: DATA", script![frame(DATA, END_STREAM, 1, b"test")], Over(PROTOCOL)),
        ("5.1.2", "idle: RST_STREAM", script![rst(1)], Over(PROTOCOL)),
        ("5.1.3", "idle: WINDOW_UPDATE", script![window(1, 100)], Over(PROTOCOL)),
        ("5.1.4", "idle: CONTINUATION", script![frame(CONTINUATION, END_HEADERS, 1, &a)], Over(PROTOCOL)),
        ("5.1.5", "half-closed: DATA", script![get(1), frame(DATA, END_STREAM, 1, b"test")], Reset(1, CLOSED)),
        ("5.1.6", "half-closed: HEADERS", script![get(1), get(1)], Reset(1, CLOSED)),
        ("5.1.7", "half-closed: CONTINUATION", script![get(1), frame(CONTINUATION, END_HEADERS, 1, &a)], Over(PROTOCOL)),
        ("5.1.8", "closed: DATA after RST_STREAM", script![post(1), rst(1), frame(DATA, END_STREAM, 1, b"test")], Reset(1, CLOSED)),
        ("5.1.9", "closed: HEADERS after RST_STREAM", script![post(1), rst(1), get(1)], Over(CLOSED)),
        ("5.1.10", "closed: CONTINUATION after RST_STREAM", script![post(1), rst(1), frame(CONTINUATION, END_HEADERS, 1, &a)], Over(PROTOCOL)),
        ("5.1.11", "closed: DATA", then(frame(DATA, END_STREAM, 1, b"test")), Reset(1, CLOSED)),
        ("5.1.12", "closed: HEADERS", then(get(1)), Over(CLOSED)),
        ("5.1.13", "closed: CONTINUATION", then(frame(CONTINUATION, END_HEADERS, 1, &a)), Over(PROTOCOL)),
        ("5.1.1/1", "an even stream", script![get(2)], Over(PROTOCOL)),
        ("5.1.1/2", "a stream below the last", script![get(5), get(3)], Over(CLOSED)),
        ("5.1.2/1", "one stream too many", streams, Reset(201, ErrorCode::REFUSED_STREAM)),
        ("5.3.1/1", "HEADERS that depend on themselves", script![frame(HEADERS, WHOLE | WITH_PRIORITY, 1, &on_itself)], Reset(1, PROTOCOL)),
        ("5.3.1/2", "PRIORITY that depends on itself", script![priority(2, 2, 255)], Over(PROTOCOL)),
        ("5.4.1/1", "an invalid frame ends the connection", script![frame(PING, 0, 3, &[0; 8])], Over(PROTOCOL)),
        ("5.4.1/2", "GOAWAY comes before the end", script![frame(PING, 0, 3, &[0; 8])], Over(PROTOCOL)),
        ("5.5.1", "an unknown frame", script![frame(0x16, 0, 0, &[0; 8])], Alive),
        ("5.5.2", "an unknown frame within a block", script![frame(HEADERS, END_STREAM, 1, &a), frame(0x16, 0, 0, &[0; 8])], Over(PROTOCOL)),
    ];
    assert_eq!(cases.len(), 22);
    for (section, case, script, then) in cases {
        check(&format!("http2/{section}"), case, script, &then);
    }
}

#[test]
fn http2_6_up_to_settings() {
    let a = block(&GET)[..10].to_vec();
    let padded = [&[200][..], &block(&GET)].concat();
    #[rustfmt::skip]
    let cases: Vec<(&str, &str, Vec<Step>, Then)> = vec![
        ("6.1.1", "DATA on the connection", script![post(1), frame(DATA, END_STREAM, 0, b"test")], Over(PROTOCOL)),
        ("6.1.2", "DATA on a stream that is half-closed", script![get(1), frame(DATA, END_STREAM, 1, b"test")], Reset(1, CLOSED)),
        ("6.1.3", "DATA with too much padding", script![post(1), frame(DATA, END_STREAM | PADDED, 1, b"\x06test")], Over(PROTOCOL)),
        ("6.2.1", "HEADERS without an end, then PRIORITY", script![frame(HEADERS, END_STREAM, 1, &a), priority(1, 0, 255)], Over(PROTOCOL)),
        ("6.2.2", "HEADERS without an end, then of another stream", script![frame(HEADERS, END_STREAM, 1, &a), get(3)], Over(PROTOCOL)),
        ("6.2.3", "HEADERS on the connection", script![frame(HEADERS, WHOLE, 0, &block(&GET))], Over(PROTOCOL)),
        ("6.2.4", "HEADERS with too much padding", script![frame(HEADERS, WHOLE | PADDED, 1, &padded)], Over(PROTOCOL)),
        ("6.3.1", "PRIORITY on the connection", script![priority(0, 1, 255)], Over(PROTOCOL)),
        ("6.3.2", "PRIORITY of 4 bytes", script![post(1), frame(PRIORITY, 0, 1, &[0x80, 0, 0, 1])], Reset(1, SIZE)),
        ("6.4.1", "RST_STREAM on the connection", script![rst(0)], Over(PROTOCOL)),
        ("6.4.2", "RST_STREAM on an idle stream", script![rst(1)], Over(PROTOCOL)),
        ("6.4.3", "RST_STREAM of 3 bytes", script![post(1), frame(RST_STREAM, 0, 1, &[0; 3])], Over(SIZE)),
        ("6.5.1", "an acknowledgement with settings", script![frame(SETTINGS, ACK, 0, &setting(3, 1))], Over(SIZE)),
        ("6.5.2", "SETTINGS on a stream", script![frame(SETTINGS, 0, 1, &setting(3, 1))], Over(PROTOCOL)),
        ("6.5.3", "SETTINGS of 3 bytes", script![frame(SETTINGS, 0, 0, &[0; 3])], Over(SIZE)),
        ("6.5.2/1", "ENABLE_PUSH of 2", script![settings(2, 2)], Over(PROTOCOL)),
        ("6.5.2/2", "INITIAL_WINDOW_SIZE that is too large", script![settings(4, 1 << 31)], Over(FLOW)),
        ("6.5.2/3", "MAX_FRAME_SIZE that is too small", script![settings(5, 16383)], Over(PROTOCOL)),
        ("6.5.2/4", "MAX_FRAME_SIZE that is too large", script![settings(5, 1 << 24)], Over(PROTOCOL)),
        ("6.5.2/5", "an unknown setting", script![settings(0xff, 1), get(1)], Request(1)),
    ];
    assert_eq!(cases.len(), 20);
    for (section, case, script, then) in cases {
        check(&format!("http2/{section}"), case, script, &then);
    }
    let acks = |it: &Outcome| it.output.iter().filter(|it| it.0 == SETTINGS && it.1 == ACK).count();
    let twice = frame(SETTINGS, 0, 0, &[setting(4, 100), setting(4, 1)].concat());
    let outcome = serve(&[twice.into(), get(1).into(), answer(1)]);
    assert_eq!(outcome.sent(DATA, 1), Some(&b"h"[..]), "http2/6.5.3/1: the last value counts");
    assert_eq!(acks(&outcome), 2, "http2/6.5.3/2: SETTINGS are acknowledged at once");
}

#[test]
fn http2_6_from_ping() {
    let a = block(&GET)[..10].to_vec();
    let b = block(&GET)[10..].to_vec();
    let most = (1 << 31) - 1;
    #[rustfmt::skip]
    let cases: Vec<(&str, &str, Vec<Step>, Then)> = vec![
        ("6.7.1", "PING", script![frame(PING, 0, 0, b"h2spec\0\0")], Alive),
        ("6.7.3", "PING on a stream", script![frame(PING, 0, 1, &[0; 8])], Over(PROTOCOL)),
        ("6.7.4", "PING of 6 bytes", script![frame(PING, 0, 0, &[0; 6])], Over(SIZE)),
        ("6.8.1", "GOAWAY on a stream", script![frame(GOAWAY, 0, 1, &[0; 8])], Over(PROTOCOL)),
        ("6.9.1", "WINDOW_UPDATE of nothing", script![window(0, 0)], Over(PROTOCOL)),
        ("6.9.2", "WINDOW_UPDATE of nothing on a stream", script![post(1), window(1, 0)], Reset(1, PROTOCOL)),
        ("6.9.3", "WINDOW_UPDATE of 3 bytes", script![frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])], Over(SIZE)),
        ("6.9.1/2", "WINDOW_UPDATE too far", script![window(0, most), window(0, most)], Over(FLOW)),
        ("6.9.1/3", "WINDOW_UPDATE too far on a stream", script![post(1), window(1, most), window(1, most)], Reset(1, FLOW)),
        ("6.9.2/3", "INITIAL_WINDOW_SIZE that is too large", script![settings(4, 1 << 31)], Over(FLOW)),
        ("6.10.1", "several CONTINUATION", script![frame(HEADERS, END_STREAM, 1, &a), frame(CONTINUATION, 0, 1, &b), frame(CONTINUATION, END_HEADERS, 1, &[])], Request(1)),
        ("6.10.2", "CONTINUATION, then DATA", script![frame(HEADERS, END_STREAM, 1, &a), frame(CONTINUATION, 0, 1, &b), frame(DATA, END_STREAM, 1, b"test")], Over(PROTOCOL)),
        ("6.10.3", "CONTINUATION on the connection", script![frame(HEADERS, END_STREAM, 1, &a), frame(CONTINUATION, END_HEADERS, 0, &b)], Over(PROTOCOL)),
        ("6.10.4", "CONTINUATION after a block has ended", script![post(1), frame(CONTINUATION, END_HEADERS, 1, &a)], Over(PROTOCOL)),
        ("6.10.5", "CONTINUATION after one that was the last", script![frame(HEADERS, 0, 1, &a), frame(CONTINUATION, END_HEADERS, 1, &b), frame(CONTINUATION, END_HEADERS, 1, &a)], Over(PROTOCOL)),
        ("6.10.6", "CONTINUATION after DATA", script![post(1), frame(DATA, 0, 1, b"test"), frame(CONTINUATION, END_HEADERS, 1, &a)], Over(PROTOCOL)),
    ];
    assert_eq!(cases.len(), 16);
    for (section, case, script, then) in cases {
        check(&format!("http2/{section}"), case, script, &then);
    }
    let outcome =
        serve(&[frame(PING, ACK, 0, b"invalid!").into(), frame(PING, 0, 0, b"h2spec\0\0").into()]);
    let pings: Vec<_> = outcome.output.iter().filter(|it| it.0 == PING).collect();
    assert_eq!(pings.len(), 1, "http2/6.7.2: an acknowledgement is not answered");
    assert_eq!((pings[0].1, &pings[0].3[..]), (ACK, &b"h2spec\0\0"[..]));

    let outcome = serve(&[settings(4, 1).into(), get(1).into(), answer(1)]);
    assert_eq!(outcome.sent(DATA, 1), Some(&b"h"[..]), "http2/6.9.1/1: a window of one byte");
}

#[test]
fn http2_6_9_2_windows_follow_the_setting() {
    let again = |first: Vec<u8>, then: &[Vec<u8>]| {
        let mut steps = vec![Step::from(first), get(1).into(), answer(1)];
        steps.extend(then.iter().cloned().map(Step::from));
        steps.push(answer(1));
        serve(&steps)
            .output
            .into_iter()
            .filter(|it| it.0 == DATA)
            .map(|it| it.3)
            .collect::<Vec<_>>()
    };
    // 6.9.2/1: made larger after HEADERS. The answer that is offered again is content here.
    assert_eq!(again(settings(4, 0), &[]), [b""; 0]);
    assert_eq!(again(settings(4, 0), &[settings(4, 1)]), [b"H"]);
    // 6.9.2/2: a window below nothing must be made up for first.
    assert_eq!(again(settings(4, 1), &[settings(4, 0), window(1, 1)]), [b"h"]);
    assert_eq!(again(settings(4, 1), &[settings(4, 0), window(1, 2)]), [b"h", b"H"]);
}

#[test]
fn http2_7_and_8() {
    let content = |length: &'static str| with(0, 1, &[("content-length", length)]);
    let pseudo = |fields: &[(&str, &str)]| script![headers(END_STREAM, 1, fields)];
    let [method, scheme, path, authority] = GET;
    let trailers = |fields: &[(&str, &str)]| {
        script![post(1), frame(DATA, 0, 1, b"test"), headers(END_STREAM, 1, fields)]
    };
    #[rustfmt::skip]
    let cases: Vec<(&str, &str, Vec<Step>, Then)> = vec![
        ("7.1", "GOAWAY with an unknown code", script![frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])], Alive),
        ("7.2", "RST_STREAM with an unknown code", script![post(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff])], Alive),
        ("8.1.1", "second HEADERS without END_STREAM", script![post(1), headers(0, 1, &[("x-test", "ok")])], Reset(1, PROTOCOL)),
        ("8.1.2.1", "a name in upper case", script![with(END_STREAM, 1, &[("X-TEST", "ok")])], Reset(1, PROTOCOL)),
        ("8.1.2.1/1", "an unknown pseudo-header field", pseudo(&[method, scheme, path, authority, (":test", "ok")]), Reset(1, PROTOCOL)),
        ("8.1.2.1/2", "one of answers", pseudo(&[method, scheme, path, authority, (":status", "200")]), Reset(1, PROTOCOL)),
        ("8.1.2.1/3", "one in trailers", trailers(&[method]), Reset(1, PROTOCOL)),
        ("8.1.2.1/4", "one behind another field", pseudo(&[method, scheme, authority, ("x-test", "ok"), path]), Reset(1, PROTOCOL)),
        ("8.1.2.2/1", "a field of the connection", script![with(END_STREAM, 1, &[("connection", "keep-alive")])], Reset(1, PROTOCOL)),
        ("8.1.2.2/2", "TE that is not trailers", script![with(END_STREAM, 1, &[("te", "trailers, deflate")])], Reset(1, PROTOCOL)),
        ("8.1.2.3/1", "an empty path", pseudo(&[method, scheme, (":path", ""), authority]), Reset(1, PROTOCOL)),
        ("8.1.2.3/2", "no method", pseudo(&[scheme, path, authority]), Reset(1, PROTOCOL)),
        ("8.1.2.3/3", "no scheme", pseudo(&[method, path, authority]), Reset(1, PROTOCOL)),
        ("8.1.2.3/4", "no path", pseudo(&[method, scheme, authority]), Reset(1, PROTOCOL)),
        ("8.1.2.3/5", "two methods", pseudo(&[method, method, scheme, path, authority]), Reset(1, PROTOCOL)),
        ("8.1.2.3/6", "two schemes", pseudo(&[method, scheme, scheme, path, authority]), Reset(1, PROTOCOL)),
        ("8.1.2.3/7", "two paths", pseudo(&[method, scheme, path, path, authority]), Reset(1, PROTOCOL)),
        ("8.1.2.6/1", "a length that is not the content's", script![content("1"), frame(DATA, END_STREAM, 1, b"test")], Reset(1, PROTOCOL)),
        ("8.1.2.6/2", "the same in several frames", script![content("1"), frame(DATA, 0, 1, b"t"), frame(DATA, END_STREAM, 1, b"est")], Reset(1, PROTOCOL)),
        ("8.2.1", "PUSH_PROMISE", script![post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &block(&GET)].concat())], Over(PROTOCOL)),
    ];
    assert_eq!(cases.len(), 20);
    for (section, case, script, then) in cases {
        check(&format!("http2/{section}"), case, script, &then);
    }
}

#[test]
fn hpack() {
    #[rustfmt::skip]
    let cases: Vec<(&str, &str, Vec<Step>, Then)> = vec![
        ("2.3.3/1", "an index that there is not", script![packed(&[0x82, 0x86, 0x84, 0xc6])], Over(COMPRESSION)),
        ("2.3.3/2", "the same of a name", script![packed(b"\x82\x86\x84\x7f\x10\x01x")], Over(COMPRESSION)),
        ("4.2.1", "an update of the size at the end", script![packed(b"\x82\x86\x84\x3f\xe1\x1f")], Over(COMPRESSION)),
        ("5.2.1", "padding of more than seven bits", script![packed(b"\x82\x86\x84\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")], Over(COMPRESSION)),
        ("5.2.2", "padding with zeros", script![packed(b"\x82\x86\x84\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")], Over(COMPRESSION)),
        ("5.2.3", "the end-of-string symbol", script![packed(b"\x82\x86\x84\x00\x85\xf2\xb2\x4a\x84\xff\x88\xff\xff\xff\xfc\x49\x50\x9f\xff")], Over(COMPRESSION)),
        ("6.1.1", "index 0", script![packed(&[0x82, 0x86, 0x84, 0x80])], Over(COMPRESSION)),
        ("6.3.1", "a table that is too large", script![packed(&[0x3f, 0xe2, 0x1f, 0x82, 0x86, 0x84])], Over(COMPRESSION)),
    ];
    assert_eq!(cases.len(), 8);
    for (section, case, script, then) in cases {
        check(&format!("hpack/{section}"), case, script, &then);
    }
    // What makes the cases above malformed is what they say, not the rest of them.
    for block in [
        &b"\x82\x86\x84\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x9f"[..],
        b"\x3f\xe1\x1f\x82\x86\x84",
    ] {
        check("hpack", "the same without the fault", script![packed(block)], &Request(1));
    }
}
