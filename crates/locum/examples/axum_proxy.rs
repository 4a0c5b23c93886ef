//! An axum server whose handler calls a service through a proxy. It does not know which: tests give it a
//! mock, and what the service, its policy or the wire have to say becomes an HTTP status.
//!
//!     cargo run -p locum --example arith_gob -- serve 127.0.0.1:1234
//!     cargo run -p locum --example axum_proxy
//!     curl -i 'localhost:3000/multiply/6/7'

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use locum::{CallError, Cx, Policies};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Args {
    pub a: i64,
    pub b: i64,
}

#[locum::service]
pub trait Arith {
    #[method(idempotent)]
    async fn multiply(&self, cx: &Cx, args: Args) -> Result<i64, CallError>;
}

async fn multiply(
    State(arith): State<Arc<dyn DynArith>>,
    Path((a, b)): Path<(i64, i64)>,
) -> Result<String, Failed> {
    let product = arith.multiply(&Cx::new(), Args { a, b }).await?;
    Ok(format!("{product}\n"))
}

/// Why there is no answer, in HTTP.
struct Failed(CallError);

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let text = format!("{}\n", self.0);
        match self.0 {
            CallError::App(_) => (StatusCode::UNPROCESSABLE_ENTITY, text).into_response(),
            CallError::Rejected(rejection) if rejection.kind == "deadline" => {
                (StatusCode::GATEWAY_TIMEOUT, text).into_response()
            }
            CallError::Rejected(rejection) => {
                let after = rejection.retry_after.unwrap_or_default().as_secs_f64().ceil();
                let after = [(RETRY_AFTER, after.to_string())];
                (StatusCode::SERVICE_UNAVAILABLE, after, text).into_response()
            }
            CallError::Transport(_) | CallError::Protocol(_) | CallError::Internal(_) => {
                (StatusCode::BAD_GATEWAY, text).into_response()
            }
        }
    }
}

/// The application, around whatever implements the trait.
pub fn app(arith: Arc<dyn DynArith>) -> Router {
    Router::new().route("/multiply/{a}/{b}", get(multiply)).with_state(arith)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policies = Policies::parse(include_str!("policies.toml"))?;
    let careful = policies.get("careful").expect("the file has it").clone();
    let arith = ArithProxy::connect("gob://127.0.0.1:1234").policy(careful).build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(Arc::new(arith))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use locum::{Delivery, Rejection};
    use tower_service::Service as _;

    use super::*;

    async fn ask(mock: ArithMock) -> (StatusCode, Option<String>, String) {
        let request = Request::get("/multiply/6/7").body(axum::body::Body::empty()).unwrap();
        let answer = app(Arc::new(mock)).call(request).await.unwrap();
        let after =
            answer.headers().get(RETRY_AFTER).map(|after| after.to_str().unwrap().to_owned());
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, after, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_handler_calls_what_it_is_given() {
        let mock = ArithMock::new().on_multiply(|_, args| Ok(args.a * args.b));
        assert_eq!(ask(mock).await, (StatusCode::OK, None, "42\n".to_owned()));
    }

    #[tokio::test]
    async fn whose_fault_it_is_becomes_the_status() {
        let mock = ArithMock::new().on_multiply(|_, _| Err("overflow".into()));
        assert_eq!(ask(mock).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        let mock = ArithMock::new().on_multiply(|_, _| {
            Err(CallError::Rejected(Box::new(Rejection {
                kind: "breaker".to_owned(),
                policy: "careful".to_owned(),
                reason: "open".to_owned(),
                detail: String::new(),
                retry_after: Some(Duration::from_millis(4200)),
                delivery: Delivery::NotSent,
            })))
        });
        let (status, after, text) = ask(mock).await;
        assert_eq!((status, after.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("5")));
        assert_eq!(text, "rejected by breaker \"careful\": open; retry after 4.2s\n");
    }
}
