//! What else a port takes.

use locum::server::{Limits, ServiceInfo};
use locum::transport::Io;
use locum::transport::tls::{ClientSettings, Identity, ServerSettings};
use locum_wire::rpc::Protocol;
use rcgen::{CertificateParams, KeyPair};

use super::peer::{Peer, reply};
use super::world::World;

const MULTIPLY: &str = r#"{"method":"Work.Multiply","params":[{"A":6,"B":7}],"id":1}"#;

/// All that the server says to `said`, and the end of what is said.
async fn ask(world: &World, said: &str) -> String {
    let mut peer = world.dial().await;
    peer.say(said.as_bytes()).await;
    peer.shutdown().await;
    peer.hear_all().await
}

fn post(body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The content of an answer.
fn content(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test(start_paused = true)]
async fn json_is_answered_in_its_own_version_until_the_client_says_no_more() {
    let world = World::new().await;
    let said = [
        r#"{"method":"Work.Wait","params":[100],"id":"slow"}"#,
        MULTIPLY,
        r#"{"jsonrpc":"2.0","method":"Work.Multiply","params":{"A":2,"B":3},"id":2}"#,
        r#"{"method":"Work.Divide","params":[{"A":1}],"id":3}"#,
        r#"{"method":"Work.Nothing","params":[1],"id":4}"#,
    ]
    .concat();
    assert_eq!(
        ask(&world, &said).await.lines().collect::<Vec<_>>(),
        [
            r#"{"id":1,"result":42,"error":null}"#,
            r#"{"jsonrpc":"2.0","result":6,"id":2}"#,
            r#"{"id":3,"result":null,"error":"divide by zero"}"#,
            r#"{"id":4,"result":null,"error":"rpc: can't find method Work.Nothing"}"#,
            r#"{"id":"slow","result":100,"error":null}"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_json_ends_a_connection_once_all_is_answered() {
    let world = World::new().await;
    let mut peer = world.dial().await;
    peer.say(br#"{"method":"Work.Wait","params":[100],"id":1} nonsense"#).await;
    let heard = peer.hear_all().await;
    assert_eq!(heard, "{\"id\":1,\"result\":100,\"error\":null}\n");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_as_one() {
    let world = World::new().await;
    let said = r#"[{"jsonrpc":"2.0","method":"Work.Wait","params":[50],"id":1},
        {"jsonrpc":"2.0","method":"Work.Wait","params":[1]},
        {"jsonrpc":"2.0","method":"Work.Multiply","params":{"A":6,"B":7},"id":2}]"#;
    let heard = ask(&world, said).await;
    assert_eq!(
        heard.trim_end(),
        r#"[{"jsonrpc":"2.0","result":42,"id":2},{"jsonrpc":"2.0","result":50,"id":1}]"#
    );
}

#[tokio::test(start_paused = true)]
async fn json_may_be_posted() {
    let world = World::new().await;
    let call = r#"{"jsonrpc":"2.0","method":"Work.Wait","params":[500],"id":1}"#;
    let answer = ask(&world, &post(call)).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"),
        "{answer}"
    );
    assert_eq!(content(&answer).trim_end(), r#"{"jsonrpc":"2.0","result":500,"id":1}"#);

    let batch = format!("[{call},{call}]");
    let answer = ask(&world, &post(&batch)).await;
    assert_eq!(content(&answer).matches("\"result\":500").count(), 2, "{answer}");

    let notification = r#"{"jsonrpc":"2.0","method":"Work.Wait","params":[1]}"#;
    assert!(ask(&world, &post(notification)).await.starts_with("HTTP/1.1 204 No Content\r\n"));

    let chunked = format!(
        "POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=utf-8\r\n\
         Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{call}\r\n0\r\n\r\n",
        call.len()
    );
    let answer = ask(&world, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");

    for nonsense in ["", "{", "hello", "{}{}"] {
        let answer = ask(&world, &post(nonsense)).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{nonsense}: {answer}");
        assert!(content(&answer).contains("-32700"), "{nonsense}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_requests_go_over_one_connection() {
    let world = World::new().await;
    let get = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let answers = ask(&world, &format!("{get}{}{get}", post(MULTIPLY))).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(answers.matches("\"result\":42").count(), 1, "{answers}");

    let head = ask(&world, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(content(&head), "");
}

#[tokio::test(start_paused = true)]
async fn http_that_is_not_served_is_told_so() {
    let world = World::with(|server| {
        let mut limits = Limits::default();
        limits.message.message = 1_000;
        server.limits(limits)
    })
    .await;
    let long = post(&" ".repeat(1_001));
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
        ("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n.", "405 Method Not Allowed"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "415 Unsupported Media Type"),
        ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (&long, "413 Content Too Large"),
    ] {
        let answer = ask(&world, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{request}: {answer}");
    }
    let answer = ask(&world, "GET /_goRPC_ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert_eq!(content(&answer), "405 must CONNECT\n");
    let answer = ask(&world, "CONNECT /other HTTP/1.0\n\n").await;
    assert!(answer.starts_with("HTTP/1.0 404 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_server_tells_what_it_serves() {
    let world = World::new().await;
    let answer = ask(&world, MULTIPLY).await;
    assert!(answer.contains("42"));
    let page = ask(&world, "GET /debug/rpc HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(page.contains("<code>Work.Multiply(Args) i64</code></td><td>1</td>"), "{page}");
    let json = ask(&world, "GET /debug/rpc?format=json HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let json: serde_json::Value = serde_json::from_str(content(&json)).unwrap();
    assert_eq!(json["services"][0]["methods"][0]["name"], "Work.Multiply");
    assert_eq!(json["services"][0]["methods"][0]["calls"], 1);
    let metrics = ask(&world, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        metrics.contains(
            "locum_calls_total{method=\"Work.Multiply\",protocol=\"jsonrpc\",outcome=\"ok\"} 1\n"
        ),
        "{metrics}"
    );
    assert!(
        metrics.contains("locum_call_duration_seconds_count{method=\"Work.Multiply\"} 1\n"),
        "{metrics}"
    );

    let list = r#"{"jsonrpc":"2.0","method":"Locum.Services","params":[],"id":1}"#;
    let answer = ask(&world, list).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let services: Vec<ServiceInfo> = serde_json::from_value(answer["result"].clone()).unwrap();
    assert_eq!(services[0].name, "Work");
    assert_eq!(services[1].methods[0].name, "Locum.Services");
    let mut client = world.dial().await.client(Protocol::Native);
    assert_eq!(
        client.call::<_, Vec<ServiceInfo>>("Locum.Services", &()).await,
        reply(0, &services)
    );
}

#[tokio::test(start_paused = true)]
async fn who_has_no_token_sees_nothing() {
    let world = World::with(|server| {
        server.bearer(|token| (token == "secret").then(|| "alice".to_owned()))
    })
    .await;
    let whoami = r#"{"jsonrpc":"2.0","method":"Work.Whoami","params":[],"id":1}"#;
    for request in ["GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", &post(whoami)] {
        let answer = ask(&world, request).await;
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
        assert!(answer.contains("WWW-Authenticate: Bearer\r\n"), "{answer}");
        let with_token = request.replace("Host: x", "Host: x\r\nAuthorization: Bearer secret");
        let answer = ask(&world, &with_token).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    let answer = ask(&world, whoami).await;
    assert!(answer.contains("rejected by auth"), "{answer}");
}

/// An authority's certificate, and an identity that it signed for `name`.
struct Signed {
    authority: CertificateParams,
    key: KeyPair,
}

impl Signed {
    fn new() -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self { authority, key: KeyPair::generate().unwrap() }
    }

    fn pem(&self) -> String {
        self.authority.self_signed(&self.key).unwrap().pem()
    }

    fn sign(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::from_params(&self.authority, &self.key);
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn who_shows_a_certificate_is_known_by_it() {
    let signed = Signed::new();
    let settings = ServerSettings::new(signed.sign("work.test")).unwrap();
    let settings = settings.requiring_clients_of(signed.pem().as_bytes()).unwrap();
    let world = World::with(|server| server.tls(settings).bearer(|_| None)).await;
    let client = ClientSettings::trusting(signed.pem().as_bytes()).unwrap();
    let client = client.presenting(signed.sign("billing.test")).unwrap();
    for protocol in [Protocol::Native, Protocol::Json2] {
        let io: Io = world.dialer.dial().await.unwrap();
        let io = client.connect("work.test", io).await.unwrap();
        let mut client = Peer::new(io).client(protocol);
        assert_eq!(
            client.call::<_, String>("Work.Whoami", &()).await,
            reply(0, "Some(\"billing.test\") None")
        );
    }
}

#[tokio::test]
async fn a_port_with_tls_takes_plain_connections_only_if_so_told() {
    let signed = Signed::new();
    let strict = ServerSettings::new(signed.sign("work.test")).unwrap();
    for settings in [strict.clone(), strict.taking_plain_too()] {
        let takes_plain = settings.takes_plain();
        let world = World::with(|server| server.tls(settings).listen("tcp://127.0.0.1:0")).await;
        let address = world.addresses[0].clone();
        let client = ClientSettings::trusting(signed.pem().as_bytes()).unwrap();
        let io = address.connect().await.unwrap();
        let mut safe = Peer::new(client.connect("work.test", io).await.unwrap());
        safe.say(MULTIPLY.as_bytes()).await;
        safe.shutdown().await;
        assert!(safe.hear_all().await.contains("42"));
        let mut plain = Peer::new(address.connect().await.unwrap());
        plain.say(MULTIPLY.as_bytes()).await;
        plain.shutdown().await;
        assert_eq!(plain.hear_all().await.contains("42"), takes_plain);
    }
}
