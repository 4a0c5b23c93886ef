//! The demo backends of remote calls: `Arith` and `Echo`, as a service of Go's would have them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use locum::gob::Bytes;
use locum::server::{Bound, Deadlines};
use locum::transport::Address;
use locum::{CallError, Server};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// One of the services, which listens.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    bound: Bound,
}

/// Listens at a free port of loopback.
///
/// # Errors
///
/// There is none.
pub(super) async fn bind() -> io::Result<Backend> {
    // Longer than anybody sleeps: the time of a call is for its policy to say.
    let longest = Duration::from_millis(2 * MAX_SLEEP);
    let server = Server::new()
        .serve(ArithServer::new(Demo))
        .serve(EchoServer::new(Demo))
        .deadlines(Deadlines { default: longest, min: Duration::ZERO, max: longest })
        .listen("tcp://127.0.0.1:0");
    let bound = server.bind().await.map_err(io::Error::other)?;
    let addresses = bound.addresses();
    let Some(Address::Tcp { port, .. }) = addresses.first() else {
        return Err(io::Error::other("the demo backend has no port"));
    };
    Ok(Backend { address: (Ipv4Addr::LOCALHOST, *port).into(), bound })
}

impl Backend {
    /// Serves, until the future is dropped.
    pub(super) async fn run(self) {
        self.bound.run().await;
    }
}

/// `type Args struct { A, B int }`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Args {
    a: i64,
    b: i64,
}

/// `type Quotient struct { Quo, Rem int }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Quotient {
    quo: i64,
    rem: i64,
}

/// Whole numbers, which wrap around as Go's do.
#[locum::service(name = "Arith")]
trait Arith {
    #[method(idempotent)]
    async fn multiply(&self, args: Args) -> Result<i64, CallError>;
    #[method(idempotent)]
    async fn divide(&self, args: Args) -> Result<Quotient, CallError>;
    #[method(idempotent)]
    async fn add(&self, args: Args) -> Result<i64, CallError>;
}

/// What comes back as it went, or late, or not at all.
#[locum::service(name = "Echo")]
trait Echo {
    /// Its argument.
    #[method(idempotent)]
    async fn say(&self, text: String) -> Result<String, CallError>;
    /// Its argument, so many milliseconds later.
    async fn sleep(&self, millis: i64) -> Result<i64, CallError>;
    /// Its argument as an error.
    async fn fail(&self, text: String) -> Result<(), CallError>;
    /// So many bytes, the same each time.
    async fn blob(&self, length: i64) -> Result<Bytes, CallError>;
}

struct Demo;

impl Arith for Demo {
    async fn multiply(&self, Args { a, b }: Args) -> Result<i64, CallError> {
        Ok(a.wrapping_mul(b))
    }

    async fn divide(&self, Args { a, b }: Args) -> Result<Quotient, CallError> {
        if b == 0 {
            return Err("divide by zero".into());
        }
        Ok(Quotient { quo: a.wrapping_div(b), rem: a.wrapping_rem(b) })
    }

    async fn add(&self, Args { a, b }: Args) -> Result<i64, CallError> {
        Ok(a.wrapping_add(b))
    }
}

impl Echo for Demo {
    async fn say(&self, text: String) -> Result<String, CallError> {
        Ok(text)
    }

    async fn sleep(&self, millis: i64) -> Result<i64, CallError> {
        match u64::try_from(millis) {
            Ok(wanted) if wanted <= MAX_SLEEP => {
                sleep(Duration::from_millis(wanted)).await;
                Ok(millis)
            }
            _ => Err(format!("sleep takes 0 to {MAX_SLEEP} milliseconds").into()),
        }
    }

    async fn fail(&self, text: String) -> Result<(), CallError> {
        Err(text.into())
    }

    async fn blob(&self, length: i64) -> Result<Bytes, CallError> {
        match usize::try_from(length) {
            Ok(length) if length <= MAX_BLOB => Ok(blob(length)),
            _ => Err(format!("a blob has 0 to {MAX_BLOB} bytes").into()),
        }
    }
}

/// Bytes that count up to a prime, so that none is mistaken for another of its place.
fn blob(length: usize) -> Bytes {
    Bytes((0..251).cycle().take(length).collect())
}

const MAX_SLEEP: u64 = 60_000;
/// Within the 16 MiB that a message may have.
const MAX_BLOB: usize = 15 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: CallError) -> String {
        match error {
            CallError::App(text) => text,
            other => panic!("{other:?} is no error of the service"),
        }
    }

    /// Over its own wire, as whoever stands before it calls it.
    #[tokio::test]
    async fn the_services_answer_over_gob() {
        let backend = bind().await.unwrap();
        let url = format!("gob://{}", backend.address);
        let served = tokio::spawn(backend.run());
        let arith = ArithProxy::connect(&url).build().unwrap();
        let echo = EchoProxy::connect(&url).build().unwrap();

        let args = |a, b| Args { a, b };
        assert_eq!(arith.multiply(args(7, 8)).await, Ok(56));
        assert_eq!(arith.add(args(i64::MAX, 1)).await, Ok(i64::MIN));
        assert_eq!(arith.divide(args(-17, 5)).await, Ok(Quotient { quo: -3, rem: -2 }));
        assert_eq!(arith.divide(args(i64::MIN, -1)).await, Ok(Quotient { quo: i64::MIN, rem: 0 }));
        assert_eq!(text(arith.divide(args(1, 0)).await.unwrap_err()), "divide by zero");

        assert_eq!(echo.say("é".to_owned()).await, Ok("é".to_owned()));
        assert_eq!(echo.sleep(1).await, Ok(1));
        assert!(text(echo.sleep(-1).await.unwrap_err()).starts_with("sleep takes"));
        assert_eq!(text(echo.fail("no".to_owned()).await.unwrap_err()), "no");
        assert_eq!(echo.blob(300).await, Ok(blob(300)));
        assert_eq!(blob(300).len(), 300);
        assert!(text(echo.blob(1 << 40).await.unwrap_err()).starts_with("a blob has"));
        served.abort();
    }
}
