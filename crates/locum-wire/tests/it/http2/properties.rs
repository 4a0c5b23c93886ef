//! What holds whatever peers say.

use locum_wire::http2::{Connection, Event, Limits, Scheme};
use proptest::collection::vec;
use proptest::prelude::*;

use super::frames::*;
use super::pair::{Pair, Seen};

/// A frame that makes sense more often than not.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let stream = prop_oneof![4 => 0..6u32, 1 => any::<u32>()];
    let payload = prop_oneof![
        4 => Just(block(&GET)),
        2 => Just(block(&[("x-a", "b")])),
        1 => Just([&[3][..], &block(&POST), &[0; 3]].concat()),
        1 => Just(setting(4, 10)),
        1 => Just(setting(1, 0)),
        2 => Just(vec![0, 0, 0, 1]),
        1 => Just(vec![1; 8]),
        2 => vec(any::<u8>(), 0..40),
        1 => vec(Just(b'x'), 0..20_000),
    ];
    let flags = prop_oneof![Just(0), Just(END_STREAM), Just(END_HEADERS), Just(WHOLE), any::<u8>()];
    let kind = prop_oneof![3 => Just(HEADERS), 3 => Just(DATA), 4 => 0..11u8, 1 => any::<u8>()];
    (kind, flags, stream, payload)
        .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload))
}

/// Has the form of a request that this codec sends and takes as it is.
fn any_message() -> impl Strategy<Value = String> {
    let fields = vec(("x-[a-z]{1,8}", "|[!-~]([ -~]{0,60}[!-~])?"), 0..8).prop_map(|fields| {
        fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>()
    });
    let content = prop_oneof![
        Just(String::new()),
        "[ -~]{1,300}".prop_map(|it| format!("content-length: {}\r\n\r\n{it}", it.len())),
        "[ -~]{1,300}".prop_map(|it| {
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{it}\r\n0\r\n\r\n", it.len())
        }),
        ("[ -~]{1,300}", "[!-~]{1,20}").prop_map(|(it, sum)| {
            format!(
                "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{it}\r\n0\r\nx-sum: {sum}\r\n\r\n",
                it.len()
            )
        }),
    ];
    (fields, content).prop_map(|(fields, content)| {
        let end = if content.is_empty() { "\r\n" } else { "" };
        format!("{fields}{content}{end}")
    })
}

proptest! {
    /// [`serve`] compares what comes of other cuts.
    #[test]
    fn cuts_mean_nothing(frames in vec(any_frame(), 0..30)) {
        let outcome = serve(&frames.into_iter().map(Step::from).collect::<Vec<_>>());
        prop_assert_eq!(outcome.went().is_some(), outcome.error.is_some());
    }

    #[test]
    fn frames_may_be_cut_together(frames in vec(any_frame(), 0..30)) {
        serve(&[frames.concat().into()]);
    }

    #[test]
    fn a_client_survives_any_server(frames in vec(any_frame(), 0..30)) {
        let mut client = Connection::client(&Limits::default(), Scheme::Http);
        let _ = client.receive(&frame(SETTINGS, 0, 0, &[]));
        for _ in 0..2 {
            let stream = client.open().unwrap();
            client.send(stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        }
        let bytes = frames.concat();
        let mut at = 0;
        while let Ok((used, event)) = client.receive(&bytes[at..]) {
            if let Some(Event::Data { data, stream, .. }) = &event {
                prop_assert!(data.end <= bytes.len() - at);
                client.release(*stream, data.len());
            }
            at += used;
            if event.is_none() {
                break;
            }
        }
    }

    #[test]
    fn messages_arrive_as_they_were_sent(talk in vec((any_message(), any_message()), 1..5)) {
        let mut pair = Pair::new();
        for (request, answer) in talk {
            let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{request}");
            let stream = pair.ask(&request);
            // The Host of a request without any content is followed by its length.
            let is_bare = !request.contains("content-length") && !request.contains("Transfer-Encoding");
            let heard = if is_bare {
                format!("{}Content-Length: 0\r\n\r\n", request.strip_suffix("\r\n").unwrap())
            } else {
                request
            };
            prop_assert_eq!(pair.server_reads(), [Seen::Text(stream.get(), heard, true)]);

            let is_bare = !answer.contains("content-length") && !answer.contains("Transfer-Encoding");
            let answer = format!("HTTP/1.1 200 OK\r\n{answer}");
            pair.answer(stream, &answer);
            pair.server.finish(stream);
            let heard = if is_bare {
                format!("{}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", answer.strip_suffix("\r\n").unwrap())
            } else {
                answer
            };
            prop_assert_eq!(pair.client_reads(), [Seen::Text(stream.get(), heard, true)]);
            prop_assert_eq!((pair.client.streams(), pair.server.streams()), (0, 0));
        }
    }
}
