//! What our client checks of a server: the checks of the Go program (`checks.go`).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use locum::transport::Io;
use locum::{CallError, Channel, ProtocolError, ProtocolKind};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::recorded::{Record, Recorded};
use super::services::{
    Args, Arith as _, ArithError, ArithProxy, Echo as _, EchoProxy, Faults as _, FaultsProxy,
    HoldArgs, Quotient, Slow as _, SlowProxy, ZooProxy, visit,
};
use super::types;

/// Those that every protocol can carry.
pub(crate) const ANYWHERE: [&str; 22] = [
    "arith",
    "echo",
    "large",
    "unknown",
    "fail",
    "order",
    "in-flight",
    "wrong-reply",
    "zoo.structs",
    "zoo.tree",
    "zoo.list",
    "zoo.directory",
    "zoo.slices",
    "zoo.maps",
    "zoo.arrays",
    "zoo.pointers",
    "zoo.bytes",
    "zoo.strings",
    "zoo.ints",
    "zoo.reals",
    "zoo.times",
    "zoo.bigs",
];

/// Those that want more than JSON has.
pub(crate) const GOB: [&str; 7] = [
    "bad-body",
    "types",
    "zoo.floats",
    "zoo.complexes",
    "zoo.interfaces",
    "zoo.anything",
    "zoo.embedded",
];

/// Makes the checks, each over a channel of its own, and tells of those that fail: why, and what went
/// over the connection.
pub(crate) async fn check(url: &str, checks: &[&str]) -> Vec<String> {
    let mut failed = Vec::new();
    for name in checks {
        let record = Record::default();
        let channel = channel(url, &record);
        let done = timeout(Duration::from_secs(30), one(&channel, name)).await;
        let done = done.unwrap_or_else(|_| Err("it is not over".to_owned()));
        if let Err(why) = done {
            failed.push(format!("FAIL {name}: {why}{}", record.shown()));
        }
    }
    failed
}

pub(crate) fn channel(url: &str, record: &Record) -> Channel {
    let record = record.clone();
    let connect = move |endpoint: &str| {
        let (endpoint, record) = (endpoint.to_owned(), record.clone());
        async move {
            let stream = TcpStream::connect(endpoint).await?;
            stream.set_nodelay(true)?;
            Ok(Io::Other(Box::new(Recorded { stream, record })))
        }
    };
    Channel::builder(url).connector(connect).cancel(true).build().expect("the URL is right")
}

async fn one(channel: &Channel, name: &str) -> Result<(), String> {
    match name {
        "arith" => arith(channel).await,
        "echo" => echo(channel).await,
        "large" => large(channel).await,
        "unknown" => unknown(channel).await,
        "bad-body" => bad_body(channel).await,
        "wrong-reply" => wrong_reply(channel).await,
        "fail" => fail(channel).await,
        "panic" => panic(channel).await,
        "types" => types::all(channel).await.map_err(|error| error.to_string()),
        "order" => order(channel).await,
        "in-flight" => in_flight(channel).await,
        "cancel" => cancel(channel).await,
        _ => {
            let kind = name.strip_prefix("zoo.").ok_or("there is no such check")?;
            visit(&ZooProxy::from(channel.clone()), kind).await
        }
    }
}

/// Compares what a call gave.
fn want<T, E>(want: &Result<T, CallError<E>>, have: &Result<T, CallError<E>>) -> Result<(), String>
where
    T: PartialEq + std::fmt::Debug,
    E: PartialEq + std::fmt::Debug,
{
    if want == have {
        return Ok(());
    }
    Err(format!("want {:.2000}, have {:.2000}", format!("{want:?}"), format!("{have:?}")))
}

/// The connection goes on.
async fn still_fine(channel: &Channel) -> Result<(), String> {
    want(&Ok(42), &ArithProxy::from(channel.clone()).multiply(Args { a: 6, b: 7 }).await)
}

async fn arith(channel: &Channel) -> Result<(), String> {
    let arith = ArithProxy::from(channel.clone());
    for a in 0..100 {
        want(&Ok(-a * a), &arith.multiply(Args { a, b: -a }).await)?;
        let quotient = Quotient { quo: a / 7, rem: a % 7 };
        want(&Ok(quotient), &arith.divide(Args { a, b: 7 }).await)?;
    }
    let by_zero = arith.divide(Args { a: 1, b: 0 }).await;
    want(&Err(CallError::App(ArithError::DivideByZero)), &by_zero)
}

async fn echo(channel: &Channel) -> Result<(), String> {
    let echo = EchoProxy::from(channel.clone());
    for text in ["", "grüße", "a\0b"] {
        want(&Ok(text.to_owned()), &echo.text(text.to_owned()).await)?;
    }
    for number in [0, 1, -1, i64::MIN, i64::MAX] {
        want(&Ok(number), &echo.number(number).await)?;
    }
    want(&Ok(vec![0, 255].into()), &echo.bytes(vec![0, 255].into()).await)?;
    want(&Ok(vec![7, 0, -8]), &echo.numbers(vec![7, 0, -8]).await)?;
    want(&Ok(vec![]), &echo.numbers(vec![]).await)?;
    let table = [(7, 8), (0, 0)].into_iter().collect();
    want(&Ok([(7, 8), (0, 0)].into_iter().collect()), &echo.table(table).await)?;
    want(&Ok(()), &echo.nothing().await)
}

async fn large(channel: &Channel) -> Result<(), String> {
    let bytes: Vec<u8> = (0..8_u32 << 20).map(|i| (i ^ i >> 8 ^ i >> 16) as u8).collect();
    still_fine(channel).await?;
    let echoed = EchoProxy::from(channel.clone()).bytes(bytes.clone().into()).await;
    want(&Ok(bytes.into()), &echoed)?;
    still_fine(channel).await
}

#[locum::service(name = "Arith")]
trait Unknown {
    async fn power(&self, args: Args) -> Result<i64, CallError>;
}

#[locum::service]
trait Nobody {
    async fn knows(&self, args: Args) -> Result<i64, CallError>;
}

async fn unknown(channel: &Channel) -> Result<(), String> {
    let args = Args { a: 1, b: 2 };
    let power = UnknownProxy::from(channel.clone()).power(args.clone()).await;
    want(&Err(not_found("rpc: can't find method Arith.Power")), &power)?;
    let knows = NobodyProxy::from(channel.clone()).knows(args).await;
    want(&Err(not_found("rpc: can't find service Nobody.Knows")), &knows)?;
    still_fine(channel).await
}

fn not_found(detail: &str) -> CallError {
    CallError::Protocol(ProtocolError {
        kind: ProtocolKind::UnknownMethod,
        detail: detail.to_owned(),
    })
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Other {
    c: i64,
    d: i64,
}

#[locum::service(name = "Arith")]
trait WrongArith {
    async fn multiply(&self, args: Other) -> Result<i64, CallError>;
}

#[locum::service(name = "Echo")]
trait WrongEcho {
    async fn number(&self, number: Vec<String>) -> Result<i64, CallError>;
    async fn text(&self, text: String) -> Result<Other, CallError>;
}

/// Arguments that the server cannot read; the connection goes on.
async fn bad_body(channel: &Channel) -> Result<(), String> {
    let other = WrongArithProxy::from(channel.clone()).multiply(Other { c: 1, d: 2 }).await;
    let strings = WrongEchoProxy::from(channel.clone()).number(vec!["a".into()]).await;
    for result in [other, strings] {
        // On net/rpc all that a server says is a text, and Go has many.
        match &result {
            Err(CallError::App(_)) => {}
            Err(CallError::Protocol(error)) if error.kind == ProtocolKind::BadArguments => {}
            _ => return Err(format!("want an answer, have {result:?}")),
        }
    }
    still_fine(channel).await
}

/// A reply that cannot be read fails its call, and no other.
async fn wrong_reply(channel: &Channel) -> Result<(), String> {
    let slow = SlowProxy::from(channel.clone());
    let key = new_key();
    let mut held = JoinSet::new();
    held.spawn({
        let slow = slow.clone();
        async move { slow.hold(HoldArgs { key }).await }
    });
    until_held(&slow, key, 1).await?;
    let wrong = WrongEchoProxy::from(channel.clone()).text("text".into()).await;
    if !matches!(&wrong, Err(CallError::Protocol(error)) if error.kind == ProtocolKind::BadReply) {
        return Err(format!("want an error of the protocol, have {:?}", wrong.map(|_| ())));
    }
    want(&Ok(true), &slow.release(key).await)?;
    let call = held.join_next().await.expect("it is there").expect("it does not panic");
    want(&Ok(key), &call)?;
    still_fine(channel).await
}

async fn fail(channel: &Channel) -> Result<(), String> {
    let faults = FaultsProxy::from(channel.clone());
    for text in ["first failure".to_owned(), "grüße: 世界".into(), "long ".repeat(1000)] {
        want(&Err(CallError::App(text.clone())), &faults.fail(text).await)?;
        still_fine(channel).await?;
    }
    Ok(())
}

async fn panic(channel: &Channel) -> Result<(), String> {
    match FaultsProxy::from(channel.clone()).panic("on purpose".into()).await {
        Err(CallError::Internal(_)) => still_fine(channel).await,
        other => Err(format!("want the server's fault, have {other:?}")),
    }
}

/// A key that no other check has, of this process or another.
pub(crate) fn new_key() -> i64 {
    static KEYS: AtomicI64 = AtomicI64::new(0);
    (i64::from(std::process::id()) << 20) + KEYS.fetch_add(1, Ordering::Relaxed)
}

pub(crate) async fn until_held(slow: &SlowProxy, key: i64, calls: i64) -> Result<(), String> {
    while slow.held(key).await.map_err(|error| error.to_string())? != calls {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// A later call is answered first.
async fn order(channel: &Channel) -> Result<(), String> {
    let slow = SlowProxy::from(channel.clone());
    let (first, second) = (new_key(), new_key());
    let mut held = JoinSet::new();
    for key in [first, second] {
        let slow = slow.clone();
        held.spawn(async move { slow.hold(HoldArgs { key }).await });
    }
    until_held(&slow, first, 1).await?;
    until_held(&slow, second, 1).await?;
    for key in [second, first] {
        want(&Ok(true), &slow.release(key).await)?;
        let call = held.join_next().await.expect("it is there").expect("it does not panic");
        want(&Ok(key), &call)?;
    }
    Ok(())
}

/// Ten thousand calls are in flight on one connection.
async fn in_flight(channel: &Channel) -> Result<(), String> {
    const CALLS: i64 = 10_000;
    let slow = SlowProxy::from(channel.clone());
    let key = new_key();
    let mut held = JoinSet::new();
    for _ in 0..CALLS {
        let slow = slow.clone();
        held.spawn(async move { slow.hold(HoldArgs { key }).await });
    }
    until_held(&slow, key, CALLS).await?;
    want(&Ok(true), &slow.release(key).await)?;
    while let Some(call) = held.join_next().await {
        want(&Ok(key), &call.expect("it does not panic"))?;
    }
    Ok(())
}

/// A call whose future is dropped is given up at the server.
async fn cancel(channel: &Channel) -> Result<(), String> {
    let slow = SlowProxy::from(channel.clone());
    let key = new_key();
    let held = tokio::spawn({
        let slow = slow.clone();
        async move { slow.hold(HoldArgs { key }).await }
    });
    until_held(&slow, key, 1).await?;
    held.abort();
    until_held(&slow, key, 0).await?;
    still_fine(channel).await
}
