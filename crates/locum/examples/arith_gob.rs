//! Arithmetic over Go's net/rpc: a service that Go's clients call, and a client that calls Go's services.
//! Go's side of both is in `go/`.
//!
//!     cargo run -p locum --example arith_gob -- serve 127.0.0.1:1234
//!     cargo run -p locum --example arith_gob -- call 127.0.0.1:1234

use std::env::args;
use std::error::Error;
use std::fmt;

use locum::{AppError, CallError, Cx, Policies, Server};
use serde::{Deserialize, Serialize};

/// As Go has them: `type Args struct { A, B int }`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Args {
    pub a: i64,
    pub b: i64,
}

/// `type Quotient struct { Quo, Rem int }`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Quotient {
    pub quo: i64,
    pub rem: i64,
}

/// On net/rpc an error is its text.
#[derive(Debug, PartialEq, AppError)]
pub enum ArithError {
    DivideByZero,
    #[app_error(other)]
    Other(String),
}

impl fmt::Display for ArithError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DivideByZero => f.write_str("divide by zero"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Called `Arith.Multiply` and `Arith.Divide`.
#[locum::service(name = "Arith")]
pub trait Arith {
    #[method(idempotent)]
    async fn multiply(&self, cx: &Cx, args: Args) -> Result<i64, CallError<ArithError>>;
    #[method(idempotent)]
    async fn divide(&self, cx: &Cx, args: Args) -> Result<Quotient, CallError<ArithError>>;
}

pub struct RealArith;

impl Arith for RealArith {
    async fn multiply(&self, _: &Cx, args: Args) -> Result<i64, CallError<ArithError>> {
        Ok(args.a.wrapping_mul(args.b))
    }

    async fn divide(&self, _: &Cx, args: Args) -> Result<Quotient, CallError<ArithError>> {
        if args.b == 0 {
            Err(ArithError::DivideByZero)?;
        }
        Ok(Quotient { quo: args.a.wrapping_div(args.b), rem: args.a.wrapping_rem(args.b) })
    }
}

/// A proxy of an `Arith` at `address`, which may be Go's: it has the interface of the service.
pub fn math(address: &str) -> Result<ArithProxy, Box<dyn Error>> {
    let policies = Policies::parse(include_str!("policies.toml"))?;
    let careful = policies.get("careful").expect("the file has it").clone();
    Ok(ArithProxy::connect(format!("gob://{address}")).policy(careful).build()?)
}

async fn call(math: &impl Arith) -> Result<(), CallError<ArithError>> {
    let cx = Cx::new();
    println!("7 * 8 = {}", math.multiply(&cx, Args { a: 7, b: 8 }).await?);
    let Quotient { quo, rem } = math.divide(&cx, Args { a: 17, b: 5 }).await?;
    println!("17 / 5 = {quo} remainder {rem}");
    match math.divide(&cx, Args { a: 1, b: 0 }).await {
        Err(CallError::App(ArithError::DivideByZero)) => println!("1 / 0 is refused"),
        other => println!("1 / 0 = {other:?}"),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match (args().nth(1).as_deref(), args().nth(2)) {
        (Some("serve"), Some(address)) => {
            let server = Server::new().serve(ArithServer::new(RealArith));
            server.listen(&format!("tcp://{address}")).run().await?;
        }
        (Some("call"), Some(address)) => call(&math(&address)?).await?,
        _ => eprintln!("arith_gob serve|call HOST:PORT"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};

    use locum_testkit::Go;

    use super::*;

    async fn served() -> String {
        let server = Server::new().serve(ArithServer::new(RealArith)).listen("tcp://127.0.0.1:0");
        let bound = server.bind().await.unwrap();
        let address = bound.addresses()[0].to_string();
        tokio::spawn(bound.run());
        address.trim_start_matches("tcp://").to_owned()
    }

    #[tokio::test]
    async fn the_proxy_is_the_service() {
        let math = math(&served().await).unwrap();
        let (cx, by) = (Cx::new(), |b| Args { a: 17, b });
        assert_eq!(math.multiply(&cx, by(5)).await, Ok(85));
        assert_eq!(math.divide(&cx, by(5)).await, Ok(Quotient { quo: 3, rem: 2 }));
        let error = math.divide(&cx, by(0)).await.unwrap_err();
        assert_eq!(error, CallError::App(ArithError::DivideByZero));
        call(&math).await.unwrap();
    }

    /// A program of `go/`, by every Go that is there.
    fn programs(file: &str) -> Vec<PathBuf> {
        Go::programs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/go").join(file))
    }

    #[tokio::test]
    async fn gos_client_calls_the_service() {
        let address = served().await;
        for client in programs("client.go") {
            let client = Command::new(client).arg(&address).stdout(Stdio::piped()).spawn().unwrap();
            let said = tokio::task::spawn_blocking(|| client.wait_with_output().unwrap().stdout);
            let said = String::from_utf8(said.await.unwrap()).unwrap();
            assert_eq!(said, "7 * 8 = 56\n17 / 5 = 3 remainder 2\n1 / 0: divide by zero\n");
        }
    }

    /// Dropping it ends the program.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }

    #[tokio::test]
    async fn the_proxy_calls_gos_service() {
        for server in programs("server.go") {
            let mut server = Command::new(server);
            let server = server.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
            let mut server = Running(server);
            let mut address = String::new();
            BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
            call(&math(address.trim()).unwrap()).await.unwrap();
        }
    }
}
