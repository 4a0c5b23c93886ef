//! A client that tries again, and stops trying. With nothing on port 3000:
//!
//!     cargo run -p locum --example client

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use locum::Policies;
use locum::http::{Client, PolicyLayer, Replay};
use tower_layer::Layer as _;
use tower_service::Service as _;

/// A client of one service, under the policy `careful`.
fn client(policies: &Policies) -> Client<Hyper<HttpConnector, Replay<Full<Bytes>>>> {
    let careful = policies.get("careful").expect("the file has it");
    let hyper = Hyper::builder(TokioExecutor::new()).build_http();
    PolicyLayer::client(careful, "hello").layer(hyper)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policies = Policies::parse(include_str!("policies.toml"))?;
    let mut client = client(&policies);
    for _ in 0..4 {
        let request = http::Request::get("http://127.0.0.1:3000/").body(Full::default())?;
        match client.call(request).await {
            Ok(answer) => println!("{}", answer.status()),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::routing::put;
    use http::{Request, StatusCode};
    use http_body_util::BodyExt as _;
    use locum::http::ClientError;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_fails_twice_is_sent_a_third_time_body_and_all() {
        let asked = Arc::new(AtomicU32::new(0));
        let flaky = Router::new().route(
            "/",
            put(move |body: String| {
                let asked = asked.fetch_add(1, Ordering::Relaxed) + 1;
                async move {
                    let status = if asked < 3 { 503 } else { 200 };
                    (StatusCode::from_u16(status).unwrap(), format!("{asked}: {body}"))
                }
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let served = tokio::spawn(async { axum::serve(listener, flaky).await });

        let policies = Policies::parse(include_str!("policies.toml")).unwrap();
        let request = Request::put(url).body(Full::from("hello")).unwrap();
        let answer = client(&policies).call(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "3: hello");
        served.abort();
    }

    #[tokio::test]
    async fn where_nobody_listens_the_breaker_opens_after_six_attempts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);

        let policies = Policies::parse(include_str!("policies.toml")).unwrap();
        let mut client = client(&policies);
        let mut errors = Vec::new();
        for _ in 0..3 {
            let request = Request::post(&url).body(Full::from("hello")).unwrap();
            errors.push(client.call(request).await.err().expect("nobody listens"));
        }
        assert!(matches!(errors[0], ClientError::Failed(_)), "{:?}", errors[0]);
        assert!(matches!(errors[1], ClientError::Failed(_)), "{:?}", errors[1]);
        let ClientError::Rejected(rejection) = &errors[2] else { panic!("{:?}", errors[2]) };
        assert_eq!(rejection.reason, "open");
        assert!(rejection.retry_after.is_some());
    }
}
