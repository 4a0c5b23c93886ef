//! Every case of the corpora, whole, byte by byte, and cut in many places.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use locum_wire::http1::{Chunked, Error, Framing, Head, Limits, Name, Piece};

use crate::gateway::{Gateway, Outcome};
use crate::strict::{self, Message};

#[derive(Deserialize)]
struct RequestCase {
    id: String,
    raw_base64: String,
    ours: String,
    reject_status: Vec<u16>,
    if_forwarded: Forwarded,
}

#[derive(Deserialize)]
struct Forwarded {
    max_requests: usize,
    forbid_target: Vec<String>,
    complete: bool,
    targets: Option<Vec<String>>,
    body_base64: Option<String>,
    #[serde(default)]
    absent_headers: Vec<String>,
    #[serde(default)]
    ours_absent_headers: Vec<String>,
    #[serde(default)]
    present_headers: Vec<String>,
    #[serde(default)]
    equal_headers: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct ResponseCase {
    id: String,
    raw_base64: String,
    ours: String,
    upstream_closes: bool,
    client: Seen,
    upstream_connection_may_be_reused: bool,
}

#[derive(Deserialize)]
struct Seen {
    body: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    absent_headers: Vec<String>,
    set_cookie_lines: Option<usize>,
}

#[test]
fn requests_are_refused_or_passed_on_as_the_corpus_says() {
    let mut failures = Vec::new();
    for case in cases::<RequestCase>(include_str!("../data/h1_requests.jsonl")) {
        let raw = STANDARD.decode(&case.raw_base64).unwrap();
        if let Err(failure) = judge_request(&case, &Gateway::serve([&raw[..]])) {
            failures.push(format!("{}: {failure}", case.id));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn requests_mean_the_same_however_they_are_cut() {
    for case in cases::<RequestCase>(include_str!("../data/h1_requests.jsonl")) {
        let raw = STANDARD.decode(&case.raw_base64).unwrap();
        let whole = Gateway::serve([&raw[..]]);
        assert_eq!(Gateway::serve(raw.chunks(1)), whole, "{} byte by byte", case.id);
        for seed in 1..=40 {
            assert_eq!(Gateway::serve(cut(&raw, seed)), whole, "{} cut by seed {seed}", case.id);
        }
    }
}

#[test]
fn answers_are_refused_or_passed_on_as_the_corpus_says() {
    let mut failures = Vec::new();
    for case in cases::<ResponseCase>(include_str!("../data/h1_responses.jsonl")) {
        let raw = STANDARD.decode(&case.raw_base64).unwrap();
        let answer = Answer::read([&raw[..]], case.upstream_closes);
        if let Err(failure) = judge_response(&case, &answer) {
            failures.push(format!("{}: {failure}", case.id));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn answers_mean_the_same_however_they_are_cut() {
    for case in cases::<ResponseCase>(include_str!("../data/h1_responses.jsonl")) {
        let raw = STANDARD.decode(&case.raw_base64).unwrap();
        let whole = Answer::read([&raw[..]], case.upstream_closes);
        let bytewise = Answer::read(raw.chunks(1), case.upstream_closes);
        assert_eq!(bytewise, whole, "{} byte by byte", case.id);
        for seed in 1..=40 {
            let cut = Answer::read(cut(&raw, seed), case.upstream_closes);
            assert_eq!(cut, whole, "{} cut by seed {seed}", case.id);
        }
    }
}

fn judge_request(case: &RequestCase, outcome: &Outcome) -> Result<(), String> {
    let sent = outcome.forwarded.concat();
    let messages = strict::read_all(&sent).map_err(|it| format!("not strict: {it}"))?;
    let is_refused = outcome.refused.is_some() || outcome.broken_off || messages.is_empty();
    if let Some(error) = outcome.refused
        && !case.reject_status.contains(&error.status())
        && error.status() != 400
    {
        return Err(format!("refused as {}", error.status()));
    }
    match &case.ours[..] {
        "reject" if !is_refused => return Err("passed on".into()),
        "forward-normalised" if is_refused => return Err(format!("refused: {outcome:?}")),
        _ => {}
    }
    match messages.first() {
        Some(first) => judge_forwarded(&case.if_forwarded, first, &messages),
        None => Ok(()),
    }
}

fn judge_forwarded(
    allowed: &Forwarded,
    first: &Message,
    messages: &[Message],
) -> Result<(), String> {
    if !allowed.complete {
        return Err("completed".into());
    }
    if messages.len() > allowed.max_requests {
        return Err(format!("{} requests", messages.len()));
    }
    let targets: Vec<String> =
        messages.iter().map(|it| String::from_utf8_lossy(&it.target).into_owned()).collect();
    if let Some(target) = targets.iter().find(|it| allowed.forbid_target.contains(it)) {
        return Err(format!("forbidden target {target}"));
    }
    if let Some(wanted) = &allowed.targets
        && targets != *wanted
    {
        return Err(format!("targets {targets:?}"));
    }
    if let Some(body) = &allowed.body_base64
        && first.body != STANDARD.decode(body).unwrap()
    {
        return Err(format!("content {:?}", first.body.escape_ascii().to_string()));
    }
    for name in allowed.absent_headers.iter().chain(&allowed.ours_absent_headers) {
        if !first.get(name).is_empty() {
            return Err(format!("{name} is present"));
        }
    }
    for name in &allowed.present_headers {
        if first.get(name).is_empty() {
            return Err(format!("{name} is absent"));
        }
    }
    for (name, value) in &allowed.equal_headers {
        if first.get(name) != [value.as_str().unwrap().as_bytes()] {
            return Err(format!("{name} is {:?}", first.get(name)));
        }
    }
    Ok(())
}

fn judge_response(case: &ResponseCase, answer: &Answer) -> Result<(), String> {
    let is_refused = !answer.is_complete;
    match &case.ours[..] {
        "reject" if !is_refused => return Err("passed on".into()),
        "forward-normalised" if is_refused => return Err(format!("refused: {answer:?}")),
        _ => {}
    }
    if is_refused {
        return Ok(());
    }
    if answer.is_reusable && !case.upstream_connection_may_be_reused {
        return Err("reused".into());
    }
    if !answer.is_reusable && case.upstream_connection_may_be_reused {
        return Err("thrown away".into());
    }
    if case.client.status.is_some_and(|it| it != answer.status) {
        return Err(format!("status {}", answer.status));
    }
    if case.client.body.as_ref().is_some_and(|it| it.as_bytes() != answer.body) {
        return Err(format!("content {:?}", answer.body.escape_ascii().to_string()));
    }
    if let Some(name) = case.client.absent_headers.iter().find(|it| answer.names.contains(it)) {
        return Err(format!("{name} is present"));
    }
    let cookies = answer.names.iter().filter(|it| *it == Name::SetCookie.as_str()).count();
    if case.client.set_cookie_lines.is_some_and(|it| it != cookies) {
        return Err(format!("{cookies} cookies"));
    }
    Ok(())
}

/// An upstream's answer to a GET without Upgrade.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    status: u16,
    names: Vec<String>,
    body: Vec<u8>,
    is_complete: bool,
    is_reusable: bool,
    refused: Option<Error>,
}

impl Answer {
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, closes: bool) -> Self {
        let mut buf = Vec::new();
        let mut head = Head::new();
        let mut answer = Self { is_reusable: true, ..Self::default() };
        let mut at = 0;
        for piece in pieces {
            buf.extend_from_slice(piece);
            // Interim answers are heads of their own.
            while answer.status < 200 && answer.refused.is_none() {
                match head.parse_response(&buf[at..], &Limits::default()) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        answer.refused = Some(error);
                        break;
                    }
                }
                let response = head.response(&buf[at..]);
                answer.status = response.status();
                answer.is_reusable &= response.reusable();
                if answer.status == 101 {
                    return answer;
                }
                if !response.is_interim() {
                    let kept = response.fields().filter(|field| !field.hop);
                    answer.names = kept
                        .map(|field| String::from_utf8_lossy(field.name).to_ascii_lowercase())
                        .collect();
                    at += head.len();
                    break;
                }
                at += head.len();
                head.clear();
            }
        }
        if answer.status >= 200 && answer.refused.is_none() {
            let framing = head.response(&buf[at - head.len()..]).framing(false);
            answer.read_content(framing, &buf[at..], closes);
        }
        answer
    }

    fn read_content(&mut self, framing: Framing, mut input: &[u8], closes: bool) {
        match framing {
            Framing::None => self.is_complete = true,
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap();
                self.is_complete = length <= input.len();
                let (body, rest) = input.split_at(length.min(input.len()));
                self.body = body.to_vec();
                input = rest;
            }
            Framing::UntilClose => {
                self.body = input.to_vec();
                self.is_complete = closes;
                self.is_reusable = false;
                return;
            }
            Framing::Chunked => {
                let mut chunked = Chunked::new(&Limits::default());
                loop {
                    let (used, piece) = match chunked.next(input) {
                        Ok(found) => found,
                        Err(error) => {
                            self.refused = Some(error);
                            return;
                        }
                    };
                    match piece {
                        Piece::Data(range) => self.body.extend_from_slice(&input[range]),
                        Piece::NeedMore => return,
                        Piece::End => self.is_complete = true,
                    }
                    input = &input[used..];
                    if self.is_complete {
                        break;
                    }
                }
            }
        }
        // Bytes that nobody asked for end the connection's use.
        self.is_reusable &= input.is_empty();
    }
}

fn cases<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    let cases: Vec<T> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(cases.len() > 40, "the corpus is there");
    cases
}

/// Cuts `bytes` in places that depend on `seed` alone, often in small pieces.
fn cut(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let most = if seed.is_multiple_of(2) { 8 } else { 64 };
        let (piece, after) = rest.split_at((1 + state as usize % most).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
