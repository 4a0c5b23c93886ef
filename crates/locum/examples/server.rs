//! An axum server that limits its clients. Ask it six times within a second:
//!
//!     cargo run -p locum --example server
//!     for i in 1 2 3 4 5 6; do curl -i localhost:3000; done

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use locum::Policies;
use locum::http::PolicyLayer;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    serve(listener, &Policies::parse(include_str!("policies.toml"))?).await?;
    Ok(())
}

async fn serve(listener: TcpListener, policies: &Policies) -> std::io::Result<()> {
    let public = policies.get("public").expect("the file has it");
    let limited = PolicyLayer::server(public)
        .client_ip(|head| head.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()));
    let app = Router::new().route("/", get(|| async { "hello\n" })).layer(limited);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;

    use super::*;

    #[tokio::test]
    async fn the_sixth_request_at_once_is_told_when_to_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: http::Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let policies = Policies::parse(include_str!("policies.toml")).unwrap();
        let served = tokio::spawn(async move { serve(listener, &policies).await });

        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(client.get(url.clone()).await.unwrap());
        }
        let refused = answers.pop().unwrap();
        for answer in answers {
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello\n");
        }
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        assert_eq!(refused.headers()["ratelimit-policy"], "\"public\";q=5;w=1");
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["policy"], "public");
        assert_eq!(problem["reason"], "limited");
        served.abort();
    }
}
