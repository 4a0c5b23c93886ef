//! Peers that ask for too much: each limit is hit, the code is right, and memory stays within what is
//! allowed.

use allocation_counter::measure;
use locum_wire::http2::{Connection, Error, ErrorCode, Event, Limits, PREFACE, Reason};

use super::frames::*;
use super::pair::{Pair, Seen, text};

const CALM: ErrorCode = ErrorCode::ENHANCE_YOUR_CALM;

/// A server that has read the preface and settings, and what it must never take more than.
struct Victim {
    server: Connection,
    refused: Vec<Reason>,
    heads: usize,
    /// Whether what is to be sent is written at once, as to a peer that reads.
    is_read: bool,
}

impl Victim {
    fn new() -> Self {
        Self::with(&Limits::default())
    }

    fn with(limits: &Limits) -> Self {
        let mut victim = Self {
            server: Connection::server(limits, 7),
            refused: Vec::new(),
            heads: 0,
            is_read: true,
        };
        let begin = [&PREFACE[..], &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])];
        victim.take(&begin.concat()).unwrap();
        victim
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut at = 0;
        loop {
            let (used, event) = self.server.receive(&bytes[at..])?;
            at += used;
            match event {
                None => break,
                Some(Event::Refused { reason, .. }) => self.refused.push(reason),
                Some(Event::Head { .. }) => self.heads += 1,
                Some(_) => {}
            }
        }
        if self.is_read {
            self.server.output().clear();
        }
        Ok(())
    }

    /// Takes frames until it gives up; says why and after how many, of `most`.
    fn flood(&mut self, most: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> Option<(Reason, u32)> {
        let mut ended = None;
        let used = measure(|| {
            ended = (0..most).find_map(|it| self.take(&next(it)).err().map(|error| (error, it)));
        });
        assert!(used.bytes_max < 3 << 20, "{used:?}");
        let (error, after) = ended?;
        let last = split(self.server.output()).pop().expect("there is a GOAWAY");
        assert_eq!((last.0, &last.3[4..]), (GOAWAY, &error.code.0.to_be_bytes()[..]));
        assert_eq!(self.server.receive(b"x"), Err(error), "it stays so");
        Some((error.reason, after))
    }
}

#[test]
fn a_block_without_end_is_not_waited_for() {
    for size in [0, 1, 100, 16384] {
        let mut victim = Victim::new();
        let begin = frame(HEADERS, 0, 1, &block(&GET));
        victim.take(&begin).unwrap();
        let (reason, after) =
            victim.flood(100, |_| frame(CONTINUATION, 0, 1, &vec![0; size])).unwrap();
        assert!(after <= 8, "{after} frames of {size}");
        let wanted = if size == 16384 { Reason::HeaderBlock } else { Reason::HeaderFrames };
        assert_eq!((reason, reason.code()), (wanted, CALM));
    }
}

/// A head in which 4,000 bytes go into the table once, and are named by one byte each, so many times.
fn swelling(times: usize) -> Vec<u8> {
    let mut block = block(&GET);
    block.extend_from_slice(b"\x40\x01a\x7f\xa1\x1e");
    block.extend_from_slice(&[b'x'; 4000]);
    block.resize(block.len() + times, 0xbe);
    frame(HEADERS, WHOLE, 1, &block)
}

#[test]
fn a_head_that_grows_when_it_is_read_is_not_kept() {
    let mut victim = Victim::new();
    let bomb = swelling(30);
    let used = measure(|| victim.take(&bomb).unwrap());
    assert!(used.bytes_max < 200_000, "{used:?}");
    assert_eq!((victim.heads, &victim.refused[..]), (0, &[Reason::HeadTooLarge][..]));
    assert_eq!(victim.server.streams(), 0);
    victim.take(&get(3)).unwrap();
    assert_eq!(victim.heads, 1, "the connection lives, and its table is the peer's");
}

#[test]
fn a_head_that_grows_without_end_is_not_read_to_its_own() {
    let bomb = swelling(12_000);
    let (reason, after) = Victim::new().flood(1, |_| bomb.clone()).unwrap();
    assert_eq!((reason, reason.code(), after), (Reason::HeaderBlock, CALM, 0));
}

#[test]
fn a_table_that_is_written_over_and_over_ends_the_connection() {
    // Three bytes each name the newest entry, whose name has 4,000, and have it copied.
    let mut block = block(&GET);
    block.extend_from_slice(b"\x40\x7f\xa1\x1e");
    block.extend_from_slice(&[b'x'; 4000]);
    block.extend_from_slice(b"\x01a");
    block.extend_from_slice(&b"\x7e\x01a".repeat(4000));
    let mut victim = Victim::new();
    let (reason, _) = victim.flood(1, |_| frame(HEADERS, WHOLE, 1, &block)).unwrap();
    assert_eq!((reason, reason.code()), (Reason::HeaderBlock, CALM));
}

#[test]
fn many_small_fields_are_too_many() {
    for crumb in ["x-a", "cookie"] {
        let fields = vec![(crumb, "a"); 97];
        let mut victim = Victim::new();
        victim.take(&headers(END_STREAM, 1, &[&GET[..], &fields].concat())).unwrap();
        assert_eq!(victim.refused, [Reason::TooManyFields]);
        victim.take(&headers(END_STREAM, 3, &[&GET[..], &fields[1..]].concat())).unwrap();
        assert_eq!((victim.heads, victim.refused.len()), (1, 1), "a hundred are not");
    }
}

#[test]
fn a_head_that_is_too_large_is_answered() {
    let limits = Limits { fields: 10, ..Limits::default() };
    let mut pair = Pair::with(&Limits::default(), &limits);
    let stream = pair.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(7)));
    let refused = Event::Refused { stream, reason: Reason::TooManyFields };
    assert_eq!(pair.server_reads(), [Seen::Other(refused)]);
    let answer = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(pair.client_reads(), [text(stream, answer, true)]);
    assert_eq!((pair.client.streams(), pair.server.streams()), (0, 0));
}

#[test]
fn answers_that_nobody_reads_are_not_piled_up() {
    for flood in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut victim = Victim::new();
        victim.is_read = false;
        let (reason, after) = victim.flood(5000, |_| flood.clone()).unwrap();
        assert_eq!((reason, reason.code(), after), (Reason::ControlFlood, CALM, 1000));
        let mut patient = Victim::new();
        assert_eq!(patient.flood(5000, |_| flood.clone()), None, "what is read may go on");
    }
}

#[test]
fn a_peer_that_reads_slowly_may_ask_on() {
    let mut victim = Victim::new();
    victim.is_read = false;
    for _ in 0..10_000 {
        victim.take(&frame(PING, 0, 0, &[0; 8])).unwrap();
        let output = victim.server.output();
        // Never all of it, as when an answer is on its way.
        if output.len() > 10_000 {
            output.drain(..9_000);
        }
    }
}

#[test]
fn streams_that_have_to_be_reset_are_counted() {
    // MadeYouReset (CVE-2025-8671): every one of these makes the server reset a stream.
    let makes: [&dyn Fn(u32) -> Vec<u8>; 5] = [
        &|it| [get(it), frame(DATA, END_STREAM, it, b"x")].concat(),
        &|it| [post(it), frame(WINDOW_UPDATE, 0, it, &[0; 4])].concat(),
        &|it| [post(it), frame(PRIORITY, 0, it, &[&it.to_be_bytes()[..], &[1]].concat())].concat(),
        &|it| headers(WHOLE, it, &[("a", "b")]),
        &|it| {
            let most = frame(WINDOW_UPDATE, 0, it, &[0x7f, 255, 255, 255]);
            [post(it), most.clone(), most].concat()
        },
    ];
    for make in makes {
        let mut victim = Victim::new();
        let (reason, after) = victim.flood(1000, |it| make(2 * it + 1)).unwrap();
        assert_eq!((reason, reason.code(), after), (Reason::MistakeFlood, CALM, 100));
        assert!(victim.server.streams() <= 1);
    }
}

#[test]
fn streams_beyond_the_limit_are_refused_and_counted() {
    let mut victim = Victim::new();
    let (reason, after) = victim.flood(1000, |it| post(2 * it + 1)).unwrap();
    assert_eq!((reason, after, victim.heads), (Reason::MistakeFlood, 200, 100));
    assert!(victim.refused.iter().all(|it| *it == Reason::TooManyStreams));
}

#[test]
fn streams_that_are_reset_by_the_peer_leave_nothing() {
    // Rapid Reset (CVE-2023-44487): how often is too often knows who has a clock.
    let mut victim = Victim::new();
    let reset = |it: u32| [post(it), frame(RST_STREAM, 0, it, &[0, 0, 0, 8])].concat();
    assert_eq!(victim.flood(50_000, |it| reset(2 * it + 1)), None);
    assert_eq!((victim.heads, victim.server.streams()), (50_000, 0));
}

#[test]
fn frames_that_mean_nothing_and_windows_have_their_measure() {
    let (priority, unknown) = (frame(PRIORITY, 0, 1, &[0; 5]), frame(0x7f, 0, 0, b"what?"));
    for useless in [&priority, &unknown] {
        let (reason, after) = Victim::new().flood(1000, |_| useless.clone()).unwrap();
        assert_eq!((reason, reason.code(), after), (Reason::UselessFlood, CALM, 100));
    }
    let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    let mut victim = Victim::new();
    victim.take(&post(1)).unwrap();
    let (reason, after) = victim.flood(1000, |_| reset.clone()).unwrap();
    assert_eq!((reason, after), (Reason::UselessFlood, 201), "one stream, and its reset");

    let window = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    let (reason, after) = Victim::new().flood(1000, |_| window.clone()).unwrap();
    assert_eq!((reason, reason.code(), after), (Reason::WindowFlood, CALM, 5));
}

#[test]
fn frames_without_content_are_not_read_for_ever() {
    let padded = frame(DATA, PADDED, 1, &[&[200][..], &[0; 200]].concat());
    for empty in [frame(DATA, 0, 1, b""), padded] {
        let mut victim = Victim::new();
        victim.take(&post(1)).unwrap();
        let (reason, after) = victim.flood(1000, |_| empty.clone()).unwrap();
        assert_eq!((reason, reason.code(), after), (Reason::EmptyData, CALM, 100));
    }
    let mut victim = Victim::new();
    victim.take(&post(1)).unwrap();
    let (reason, after) = victim.flood(10_000, |_| frame(DATA, 0, 1, b"x")).unwrap();
    assert_eq!((reason, reason.code()), (Reason::TinyData, CALM));
    assert_eq!(after, 512 * 1024 / 255, "half a window by what a frame costs");
}

#[test]
fn small_frames_that_are_passed_on_may_go_on() {
    let mut server = Victim::new().server;
    let (_, event) = server.receive(&post(1)).unwrap();
    let Some(Event::Head { stream, .. }) = event else { panic!("{event:?}") };
    for _ in 0..100_000 {
        let (_, event) = server.receive(&frame(DATA, 0, 1, b"x")).unwrap();
        assert!(matches!(event, Some(Event::Data { .. })));
        server.release(stream, 1);
        server.output().clear();
    }
}

#[test]
fn windows_bound_what_is_not_passed_on() {
    let data = frame(DATA, 0, 1, &[0; 16384]);
    let mut victim = Victim::new();
    victim.take(&post(1)).unwrap();
    for _ in 0..4 {
        victim.take(&data).unwrap();
    }
    victim.take(&data).unwrap();
    assert_eq!(victim.refused, [Reason::WindowExceeded], "a stream's");

    let mut victim = Victim::new();
    for stream in 0..17 {
        victim.take(&post(2 * stream + 1)).unwrap();
    }
    let (reason, after) =
        victim.flood(100, |it| frame(DATA, 0, 2 * (it / 4) + 1, &[0; 16384])).unwrap();
    assert_eq!((reason, after), (Reason::WindowExceeded, 64), "the connection's: a mebibyte");
}

#[test]
fn heads_have_a_budget_together() {
    let value = "v".repeat(200);
    let fields = vec![("x-a", &value[..]); 60];
    let limits = Limits { streams: 1000, ..Limits::default() };
    let mut victim = Victim::with(&limits);
    let large = |it: u32| headers(0, 2 * it + 1, &[&GET[..], &fields].concat());
    assert_eq!(victim.flood(150, large), None);
    assert!(victim.refused.iter().all(|it| *it == Reason::Budget));
    let size = 60 * (200 + 7);
    assert!(victim.heads * size <= (1 << 20) + size, "{} heads", victim.heads);
    assert!(victim.heads * size > 1 << 19, "{} heads", victim.heads);
}

#[test]
fn a_window_that_stays_shut_holds_no_content() {
    let mut victim = Victim::new();
    victim.is_read = false;
    victim.take(&frame(SETTINGS, 0, 0, &setting(4, 0))).unwrap();
    let mut ids = Vec::new();
    for stream in 0..100u32 {
        let (_, event) = victim.server.receive(&get(2 * stream + 1)).unwrap();
        let Some(Event::Head { stream, .. }) = event else { panic!("{event:?}") };
        ids.push(stream);
    }
    let answer =
        [&b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"[..], &[b'x'; 100_000]].concat();
    let head = answer.len() - 100_000;
    for id in ids {
        assert_eq!(victim.server.send(id, &answer), Ok(head));
        assert_eq!(victim.server.send(id, &answer[head..]), Ok(0));
    }
    assert!(victim.server.output().len() < 10_000, "heads only");
}

#[test]
fn output_that_nobody_reads_is_bounded() {
    let mut victim = Victim::new();
    victim.is_read = false;
    let most = frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]);
    victim.take(&[frame(SETTINGS, 0, 0, &setting(4, 1 << 30)), most].concat()).unwrap();
    let answer = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; 100_000]].concat();
    for stream in 0..100u32 {
        let (_, event) = victim.server.receive(&get(2 * stream + 1)).unwrap();
        let Some(Event::Head { stream, .. }) = event else { panic!("{event:?}") };
        victim.server.send(stream, &answer).unwrap();
    }
    let waits = victim.server.output().len();
    assert!((128 * 1024..150 * 1024).contains(&waits), "{waits}");
}

#[test]
fn a_peer_that_never_acknowledges_is_excused_for_a_while() {
    let mut victim = Victim::new();
    victim.server = Connection::server(&Limits::default(), 7);
    victim.take(&[&PREFACE[..], &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    let (reason, after) = victim.flood(2000, |it| post(2 * it + 1)).unwrap();
    assert_eq!((reason, after), (Reason::MistakeFlood, 1101));
}
