//! One trait, over every wire.

use std::sync::Arc;
use std::time::Duration;

use locum::{CallError, Cx, Delivery, ProtocolKind, Server, TransportKind};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::service::{
    Args, Arith as _, ArithError, ArithMock, ArithProxy, ArithServer, DynArith, Real,
    everything_works, iter, streams_work,
};

/// The address of a server of `service`, which is there as long as the runtime.
pub(crate) async fn serve(service: impl locum::service::Service) -> String {
    let bound = Server::new().serve(service).listen("tcp://127.0.0.1:0").bind().await.unwrap();
    let address = bound.addresses()[0].to_string();
    tokio::spawn(bound.run());
    address.trim_start_matches("tcp://").to_owned()
}

fn proxy(scheme: &str, address: &str) -> ArithProxy {
    ArithProxy::connect(format!("{scheme}://{address}")).build().unwrap()
}

const SCHEMES: [&str; 5] = ["native", "gob", "gob-http", "json-rpc", "json-rpc2"];

#[tokio::test]
async fn a_proxy_is_the_service_over_every_wire() {
    let address = serve(ArithServer::new(Real)).await;
    for scheme in SCHEMES {
        everything_works(&proxy(scheme, &address)).await;
    }
}

#[tokio::test]
async fn streams_go_over_the_native_protocol_and_are_refused_elsewhere() {
    let address = serve(ArithServer::new(Real)).await;
    streams_work(&proxy("native", &address)).await;
    for scheme in SCHEMES.into_iter().filter(|scheme| *scheme != "native") {
        let arith = proxy(scheme, &address);
        for error in [
            arith.count(&Cx::new(), 3).await.map(drop).unwrap_err().map_app(|it| it.to_string()),
            arith.total(&Cx::new(), iter([1].into_iter())).await.map(drop).unwrap_err(),
            arith.doubled(iter([1].into_iter())).await.map(drop).unwrap_err(),
        ] {
            let CallError::Transport(error) = error else { panic!("{scheme}: {error:?}") };
            assert_eq!(
                (error.kind, error.delivery),
                (TransportKind::Unsupported, Delivery::NotSent)
            );
            assert!(error.detail.contains("native://"), "{}", error.detail);
        }
    }
}

#[tokio::test]
async fn a_stream_passes_through_a_proxy_that_is_served() {
    let address = serve(ArithServer::new(Real)).await;
    let behind: Arc<dyn DynArith> = Arc::new(proxy("native", &address));
    let address = serve(ArithServer::new(behind)).await;
    streams_work(&proxy("native", &address)).await;
}

#[tokio::test]
async fn a_proxy_may_be_served_as_a_service() {
    let address = serve(ArithServer::new(Real)).await;
    let behind: Arc<dyn DynArith> = Arc::new(proxy("gob", &address));
    let address = serve(ArithServer::new(behind)).await;
    everything_works(&proxy("native", &address)).await;
    everything_works(&proxy("json-rpc", &address)).await;
}

#[tokio::test]
async fn an_error_of_the_service_is_a_value_where_there_is_room_for_one() {
    let mock = ArithMock::new().on_divide(|_, _| Err(ArithError::Overflow { by: 3 }.into()));
    let address = serve(ArithServer::new(mock)).await;
    let args = Args { a: 1, b: 2 };
    let value = CallError::App(ArithError::Overflow { by: 3 });
    let text = CallError::App(ArithError::Other("overflow by 3".to_owned()));
    for scheme in SCHEMES {
        let error = proxy(scheme, &address).divide(&Cx::new(), args.clone()).await.unwrap_err();
        assert_eq!(
            error,
            if scheme == "native" { value.clone() } else { text.clone() },
            "{scheme}"
        );
    }
}

#[tokio::test]
async fn several_arguments_travel_by_their_names() {
    let address = serve(ArithServer::new(Real)).await;
    let mut stream = BufReader::new(TcpStream::connect(&address).await.unwrap());
    let mut ask = async |line: &str| {
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        answer.trim().to_owned()
    };
    let answer = ask(r#"{"method":"Arith.Sum","params":[{"A":-7,"UserId":8}],"id":0}"#).await;
    assert_eq!(answer, r#"{"id":0,"result":15,"error":null}"#);
    let answer = ask(r#"{"method":"Arith.Forget","params":[{}],"id":1}"#).await;
    assert_eq!(answer, r#"{"id":1,"result":{},"error":null}"#);
}

#[locum::service]
trait Patience {
    async fn wait(&self, cx: &Cx) -> Result<Duration, CallError>;
    async fn who(&self) -> Result<String, CallError>;
    async fn crash(&self) -> Result<(), CallError>;
}

struct Patient;

impl Patience for Patient {
    async fn wait(&self, cx: &Cx) -> Result<Duration, CallError> {
        Ok(cx.remaining().unwrap())
    }

    /// Says what came with the call, without being given it.
    async fn who(&self) -> Result<String, CallError> {
        // At the second time of asking, perhaps on another thread.
        tokio::task::yield_now().await;
        let cx = Cx::current();
        let who = cx.metadata().get("who").unwrap_or("nobody").to_owned();
        Ok(format!("{who} at {}", cx.peer().unwrap().ip()))
    }

    async fn crash(&self) -> Result<(), CallError> {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_context_goes_with_a_call() {
    let address = serve(PatienceServer::new(Patient)).await;
    let patience: PatienceProxy =
        PatienceProxy::connect(format!("native://{address}")).build().unwrap();
    let cx = Cx::new().with_timeout(Duration::from_secs(5)).with_metadata("who", "somebody");
    let left = patience.wait(&cx).await.unwrap();
    assert!(left <= Duration::from_secs(5) && left > Duration::from_secs(1), "{left:?}");
    let left = patience.wait(&Cx::new()).await.unwrap();
    assert!(left <= Duration::from_secs(10), "a default: {left:?}");
    assert_eq!(patience.who().await.unwrap(), "nobody at 127.0.0.1");
    assert_eq!(cx.scope(patience.who()).await.unwrap(), "somebody at 127.0.0.1");
}

#[tokio::test]
async fn the_classes_of_errors_arrive() {
    let address = serve(PatienceServer::new(Patient)).await;
    for scheme in SCHEMES {
        let patience: PatienceProxy =
            PatienceProxy::connect(format!("{scheme}://{address}")).build().unwrap();
        let error = patience.crash().await.unwrap_err();
        assert!(matches!(error, CallError::Internal(_)), "{scheme}: {error:?}");
        // The process lives, and so does the connection.
        assert!(patience.who().await.is_ok());

        let error = proxy(scheme, &address).forget().await.unwrap_err();
        let CallError::Protocol(error) = error else { panic!("{scheme}: {error:?}") };
        assert_eq!(error.kind, ProtocolKind::UnknownMethod);
        assert_eq!(error.detail, "rpc: can't find service Arith.Forget");
    }
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let cx = Cx::new().with_timeout(Duration::from_millis(200));
    let error = proxy("gob", &address).multiply(&cx, Args { a: 1, b: 2 }).await.unwrap_err();
    let CallError::Transport(error) = error else { panic!("{error:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Connect, Delivery::NotSent));
}

/// What gob has no word for.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Shape {
    Circle(f64),
}

#[tokio::test]
async fn what_a_wire_has_no_word_for_is_told_before_it_is_sent() {
    #[locum::service]
    trait Draw {
        async fn draw(&self, shape: Shape) -> Result<f64, CallError>;
    }
    struct Paper;
    impl Draw for Paper {
        async fn draw(&self, Shape::Circle(radius): Shape) -> Result<f64, CallError> {
            Ok(radius)
        }
    }
    let address = serve(DrawServer::new(Paper)).await;
    let draw = |scheme: &str| -> DrawProxy {
        DrawProxy::connect(format!("{scheme}://{address}")).build().unwrap()
    };
    assert_eq!(draw("native").draw(Shape::Circle(2.0)).await, Ok(2.0));
    let error = draw("gob").draw(Shape::Circle(2.0)).await.unwrap_err();
    let CallError::Transport(error) = error else { panic!("{error:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Unsupported, Delivery::NotSent));
}
