//! TLS towards clients and towards upstreams.

use locum_proxy::tls::{ClientSettings, ServerSettings, Version};
use locum_testkit::{Client, Upstream, script};

use crate::setup::{Authority, Running, in_front_of, settings, towards};

fn one(certificate: locum_proxy::tls::Identity) -> Option<ServerSettings> {
    Some(ServerSettings { certificates: vec![certificate], client_ca: None, min: Version::Tls12 })
}

#[test]
fn requests_and_answers_pass_under_tls_on_both_sides() {
    let upstream = Upstream::start(script::echoes());
    let authority = Authority::new();
    let behind = in_front_of(upstream.address(), authority.server("up.test", None));
    let mut settings = settings(behind);
    settings.listeners[0].tls = one(authority.sign(&["web.test"]));
    settings.upstreams[0].tls = Some(ClientSettings {
        server_name: Some("up.test".to_owned()),
        ca: Some(authority.pem.clone()),
        identity: None,
    });
    let proxy = Running::start(settings);
    let mut client = Client::connect(towards(proxy.address(), "web.test", authority.client(None)));
    for _ in 0..3 {
        let seen = client.post("/", b"hello").unwrap().json();
        assert_eq!(seen["body"], "hello");
        let fields = seen["headers"].as_array().unwrap();
        assert!(fields.contains(&serde_json::json!(["X-Forwarded-Proto", "https"])), "{fields:?}");
    }
    let large: Vec<u8> = (0..3_000_000u32).map(|at| b'a' + (at % 26) as u8).collect();
    let seen = client.post("/", &large).unwrap().json();
    assert_eq!(seen["body"].as_str().unwrap().as_bytes(), large);
    assert_eq!(upstream.accepted(), 1, "connections are kept");
    assert_eq!(upstream.violations(), [""; 0]);
}
