//! Every malformed, ambiguous or hostile message of the corpora, through the running program, sent
//! whole, byte by byte and cut at random places: the verdict is the same each time, and it is the
//! stricter one where the RFC leaves a choice.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use locum_testkit::corpus::{self, RequestCase, ResponseCase, Verdict};
use locum_testkit::{
    Broken, Client, Connection, Locum, Pieces, Received, Response, Upstream, script,
};

use crate::setup::locum;

/// Lanes work side by side; each has a listener and an upstream of its own, so that what arrives
/// upstream is known to come from the lane's present case.
const LANES: usize = 6;

const WAYS: [Pieces; 4] = [Pieces::Whole, Pieces::Bytes, Pieces::Cut(1), Pieces::Cut(2)];

#[test]
fn every_request_gets_the_strict_verdict() {
    let cases: Vec<RequestCase> = corpus::load(&data("h1_requests.jsonl"));
    let upstreams = lanes(script::names_the_target);
    let locum = start(&upstreams);
    let failures = in_lanes(&cases, &upstreams, |lane, case, way, upstream| {
        request_case(&mut connect(&locum, lane), case, way, upstream)
    });
    assert!(failures.is_empty(), "{} failures:{failures}", failures.lines().count());
}

#[test]
fn every_response_gets_the_strict_verdict() {
    let cases: Vec<ResponseCase> = corpus::load(&data("h1_responses.jsonl"));
    let answers: Vec<_> = (0..LANES).map(|_| Arc::new(Mutex::new(Answer::default()))).collect();
    let upstreams: Vec<_> =
        answers.iter().map(|answer| Upstream::start(answers_the_case(answer.clone()))).collect();
    let locum = start(&upstreams);
    let failures = in_lanes(&cases, &upstreams, |lane, case, way, upstream| {
        *answers[lane].lock().unwrap() =
            Answer { raw: case.raw.clone(), closes: case.upstream_closes, way: Some(way) };
        response_case(&locum, lane, case, upstream)
    });
    assert!(failures.is_empty(), "{} failures:{failures}", failures.lines().count());
}

/// Sends one request, reads all that comes of it, and holds both sides against the case.
fn request_case(
    client: &mut Client,
    case: &RequestCase,
    way: Pieces,
    upstream: &Upstream,
) -> Result<(), String> {
    client.send_in(way, &case.raw);
    // A message that never ends is ended here, or the program would rightly wait for the rest.
    let endless = case.ours != Verdict::Reject && !case.if_forwarded.complete;
    if case.half_close || endless {
        client.half_close();
    }
    let (answers, closed) = answers_to(client, case, endless)?;
    upstream.settle();
    let received = upstream.received();

    if let Some(violation) = upstream.violations().first() {
        return Err(format!("sent upstream: {violation}"));
    }
    if let Some(seen) = received.iter().find(|r| is_smuggled(&r.request.target)) {
        return Err(format!("{} arrived as a request of its own", seen.request.target));
    }
    let arrived: Vec<_> =
        received.iter().filter(|r| !r.request.target.starts_with(AFTER)).collect();
    let whole = arrived.iter().filter(|r| r.complete).count();
    if whole > answers.len() {
        return Err(format!("{whole} requests upstream, {} answers", answers.len()));
    }
    if !case.if_forwarded.complete
        && let Some(whole) = arrived.iter().find(|r| r.complete)
    {
        return Err(format!("{} was completed upstream", whole.request.target));
    }
    // An answer that came from the upstream refuses nothing, whatever its status.
    let refused = whole <= answers.len().saturating_sub(1) && is_refusal(case, &answers);
    match case.ours {
        Verdict::Reject if !refused => Err(format!("not refused: {}", outline(&answers))),
        Verdict::ForwardNormalised if arrived.is_empty() => {
            Err(format!("not forwarded: {}", outline(&answers)))
        }
        _ if refused && case.must_close_after_reject && !closed => {
            Err("open after the refusal".to_owned())
        }
        _ if refused => Ok(()),
        _ if case.must_close_after_forward && !closed => Err("open after the answer".to_owned()),
        _ => forwarded(case, &arrived),
    }
}

/// Reads answers until the connection closes, or until a further request of ours is answered:
/// connections carry their answers in order, so nothing else can come after it.
fn answers_to(
    client: &mut Client,
    case: &RequestCase,
    endless: bool,
) -> Result<(Vec<Response>, bool), String> {
    let mut method = if case.raw.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
    let mut answers = Vec::new();
    loop {
        match client.response(method) {
            Ok(answer) if answer.text().starts_with(AFTER) => return Ok((answers, false)),
            Ok(answer) => answers.push(answer),
            Err(Broken::Closed) => return Ok((answers, true)),
            Err(broken) => return Err(format!("answered {}, then {broken}", outline(&answers))),
        }
        if answers.len() == 1 && !endless && !case.half_close {
            client.send(format!("GET {AFTER} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        }
        method = "GET";
    }
}

/// Silence before a close refuses only what says nothing at all; everything else is told why.
fn is_refusal(case: &RequestCase, answers: &[Response]) -> bool {
    match answers.last() {
        Some(last) => case.reject_status.contains(&last.status),
        None => case.raw.iter().all(u8::is_ascii_whitespace) || !case.if_forwarded.complete,
    }
}

fn forwarded(case: &RequestCase, arrived: &[&Received]) -> Result<(), String> {
    let may = &case.if_forwarded;
    if arrived.len() > may.max_requests {
        return Err(format!("{} requests upstream", arrived.len()));
    }
    let targets: Vec<_> = arrived.iter().map(|r| r.request.target.as_str()).collect();
    if let Some(target) = targets.iter().find(|t| may.forbid_target.iter().any(|f| f == *t)) {
        return Err(format!("{target} arrived"));
    }
    if may.targets.as_ref().is_some_and(|expected| *expected != targets) {
        return Err(format!("targets {targets:?}"));
    }
    if may.complete
        && let Some(cut) = arrived.iter().find(|r| !r.complete)
    {
        return Err(format!("{} was cut", cut.request.target));
    }
    let Some(first) = arrived.first().map(|r| &r.request) else { return Ok(()) };
    if may.body.as_ref().is_some_and(|body| *body != first.body) {
        return Err(format!("body {:?}", String::from_utf8_lossy(&first.body)));
    }
    for name in may.absent_headers.iter().chain(&may.ours_absent_headers) {
        if first.headers.has(name) || first.trailers.has(name) {
            return Err(format!("{name} arrived"));
        }
    }
    for name in &may.present_headers {
        if !first.headers.has(name) {
            return Err(format!("{name} is missing"));
        }
    }
    for (name, value) in &may.equal_headers {
        if first.headers.get(name) != Some(value) {
            return Err(format!("{name}: {:?}", first.headers.get(name)));
        }
    }
    Ok(())
}

/// Asks for the case's answer, then for two more over the same connection.
fn response_case(
    locum: &Locum,
    lane: usize,
    case: &ResponseCase,
    upstream: &Upstream,
) -> Result<(), String> {
    let mut client = connect(locum, lane);
    client.send(&case.request);
    let seen = client.response("GET");
    let raw = String::from_utf8_lossy(client.raw()).into_owned();
    for after in [AFTER, AFTER_THAT] {
        let answer = match client.get(after) {
            // Whoever was refused or cut may have to come again; who comes gets its own answer.
            Err(Broken::Closed | Broken::Cut(_)) if lost_its_connection(&seen) => {
                client = connect(locum, lane);
                client.get(after)
            }
            answer => answer,
        };
        match answer {
            Ok(answer) if answer.text() == after => {}
            Ok(answer) => return Err(format!("{after} answered {}", outline(&[answer]))),
            Err(broken) => return Err(format!("{after}: {broken}")),
        }
    }
    let asked = upstream.received();
    let first = asked.first().map(|r| r.connection);
    if !case.upstream_connection_may_be_reused
        && asked.iter().skip(1).any(|r| Some(r.connection) == first)
    {
        return Err("the upstream connection was used again".to_owned());
    }
    match (&seen, case.ours) {
        (Err(Broken::Invalid(why)), _) => Err(format!("sent to the client: {why}")),
        (Ok(answer), Verdict::Reject | Verdict::Either) if answer.status == 502 => Ok(()),
        (Err(Broken::Cut(_)), Verdict::Reject | Verdict::Either) => Ok(()),
        (Ok(answer), Verdict::Reject) => {
            Err(format!("not refused: {}", outline(std::slice::from_ref(answer))))
        }
        (Ok(answer), _) => passed_on(case, answer, &raw),
        (Err(broken), _) => Err(format!("{broken}")),
    }
}

fn lost_its_connection(seen: &Result<Response, Broken>) -> bool {
    match seen {
        Ok(answer) => answer.closes(),
        Err(_) => true,
    }
}

fn passed_on(case: &ResponseCase, answer: &Response, raw: &str) -> Result<(), String> {
    let may = &case.client;
    if may.status.is_some_and(|status| status != answer.status) {
        return Err(format!("status {}", answer.status));
    }
    if may.body.as_ref().is_some_and(|body| *body != answer.text()) {
        return Err(format!("body {:?}", answer.text()));
    }
    if may.no_raw.as_ref().is_some_and(|text| raw.contains(text)) {
        return Err(format!("{:?} reached the client", may.no_raw));
    }
    if let Some(name) = may.absent_headers.iter().find(|name| answer.headers.has(name)) {
        return Err(format!("{name} reached the client"));
    }
    let cookies = answer.headers.all("set-cookie").count();
    if may.set_cookie_lines.is_some_and(|lines| lines != cookies) {
        return Err(format!("{cookies} Set-Cookie lines"));
    }
    Ok(())
}

/// The case an upstream answers to whoever does not ask for what comes after.
#[derive(Default)]
struct Answer {
    raw: Vec<u8>,
    closes: bool,
    way: Option<Pieces>,
}

fn answers_the_case(answer: Arc<Mutex<Answer>>) -> impl Fn(&mut Connection) {
    move |peer| {
        while let Some(request) = peer.request() {
            if request.target.starts_with(AFTER) {
                peer.answer(&request, request.target.as_bytes());
                continue;
            }
            let (raw, closes, way) = {
                let answer = answer.lock().unwrap();
                (answer.raw.clone(), answer.closes, answer.way.unwrap_or(Pieces::Whole))
            };
            let taken = way.of(&raw).into_iter().all(|piece| peer.try_send(piece).is_ok());
            if closes || !taken {
                return;
            }
        }
    }
}

/// Works through the cases in every way, lane by lane, and gathers what went wrong.
fn in_lanes<T: Case + Sync>(
    cases: &[T],
    upstreams: &[Upstream],
    judge: impl Fn(usize, &T, Pieces, &Upstream) -> Result<(), String> + Sync,
) -> String {
    let work: Vec<_> = cases.iter().flat_map(|case| WAYS.map(|way| (case, way))).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(String::new());
    thread::scope(|scope| {
        for (lane, upstream) in upstreams.iter().enumerate() {
            let (work, next, failures, judge) = (&work, &next, &failures, &judge);
            scope.spawn(move || {
                while let Some((case, way)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    upstream.forget();
                    if let Err(why) = judge(lane, case, *way, upstream) {
                        let (id, section, note) = case.tell();
                        let _ = write!(
                            failures.lock().unwrap(),
                            "\n  {id} {way:?}: {why} ({section}: {note})"
                        );
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap()
}

trait Case {
    fn tell(&self) -> (&str, &str, &str);
}

impl Case for RequestCase {
    fn tell(&self) -> (&str, &str, &str) {
        (&self.id, &self.section, &self.note)
    }
}

impl Case for ResponseCase {
    fn tell(&self) -> (&str, &str, &str) {
        (&self.id, &self.section, &self.note)
    }
}

fn lanes<S: Fn(&mut Connection) + Send + Sync + 'static>(script: fn() -> S) -> Vec<Upstream> {
    (0..LANES).map(|_| Upstream::start(script())).collect()
}

fn start(upstreams: &[Upstream]) -> Locum {
    let mut config = "[admin]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    for (lane, upstream) in upstreams.iter().enumerate() {
        let address = upstream.address();
        let _ = write!(
            config,
            "\n[listeners.lane{lane}]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
             \n[upstreams.lane{lane}]\nendpoints = [\"{address}\"]\n\
             \n[[routes]]\nlistener = \"lane{lane}\"\nupstream = \"lane{lane}\"\n"
        );
    }
    locum().config(config).start()
}

fn connect(locum: &Locum, lane: usize) -> Client {
    Client::connect(locum.address(&format!("lane{lane}")))
}

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../locum-wire/tests/data").join(name)
}

fn is_smuggled(target: &str) -> bool {
    target.contains("SMUGGLED")
}

fn outline(answers: &[Response]) -> String {
    let told: Vec<_> = answers.iter().map(|a| format!("{} {:?}", a.status, a.text())).collect();
    format!("[{}]", told.join(", "))
}

const AFTER: &str = "/after";
const AFTER_THAT: &str = "/after-that";
