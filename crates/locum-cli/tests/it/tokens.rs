//! Tokens, by an issuer of the tests' own, by OpenSSL, and by everybody who is neither.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use locum_testkit::{Locum, Response, Upstream, eventually, script};
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};

use crate::setup::Config;
use crate::tls::{Authority, Server};

/// An issuer that shows its keys at a URL.
struct Issuer {
    keys: Vec<(&'static str, KeyPair)>,
    /// The status and the body of its answers.
    shown: Arc<Mutex<(&'static str, String)>>,
    server: Upstream,
}

impl Issuer {
    fn new(names: &[&'static str]) -> Self {
        let shown = Arc::new(Mutex::new(("200 OK", String::new())));
        let answer = Arc::clone(&shown);
        let server = Upstream::start(move |peer| {
            while let Some(request) = peer.request() {
                let (status, body) = answer.lock().unwrap().clone();
                peer.answer_with(&request, status, &[], body.as_bytes());
            }
        });
        let mut issuer = Self { keys: Vec::new(), shown, server };
        issuer.rotate(names);
        issuer
    }

    /// Takes and shows new keys of these names.
    fn rotate(&mut self, names: &[&'static str]) {
        let key = |name: &&'static str| (*name, KeyPair::generate_for(&PKCS_ED25519).unwrap());
        self.keys = names.iter().map(key).collect();
        let jwk = |(name, key): &(&str, KeyPair)| json!({ "kty": "OKP", "crv": "Ed25519", "kid": name, "x": text(key.public_key_raw()) });
        let jwks = json!({ "keys": self.keys.iter().map(jwk).collect::<Vec<_>>() });
        self.show("200 OK", jwks.to_string());
    }

    fn show(&self, status: &'static str, body: String) {
        *self.shown.lock().unwrap() = (status, body);
    }

    /// A token that says it is by the key of that name, signed by the first that is.
    fn token(&self, key: &str, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": key }).to_string();
        let signed = format!("{}.{}", text(header.as_bytes()), text(claims.to_string().as_bytes()));
        let named = self.keys.iter().find(|(name, _)| *name == key).unwrap_or(&self.keys[0]);
        format!("{signed}.{}", text(&named.1.sign(signed.as_bytes()).unwrap()))
    }

    /// In front of `upstream`, for whoever has a token of this issuer.
    fn guards(&self, upstream: &Upstream, more: &str) -> Config {
        Config::to(upstream).route("auth = [\"login\"]").and(&format!(
            "[auth.login]\nkind = \"jwt\"\nissuer = \"https://login.test\"\naudience = \"api\"\n\
             algorithms = [\"EdDSA\"]\njwks = \"http://{}/keys?token=s3cret\"\n{more}",
            self.server.address()
        ))
    }

    fn fetches(&self) -> usize {
        self.server.deliveries()
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[expect(clippy::disallowed_methods, reason = "tokens are for a time on the wall")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({
        "iss": "https://login.test",
        "aud": ["api"],
        "sub": "ann",
        "scope": "read write",
        "exp": now() + 600,
    })
}

fn bring(locum: &Locum, token: &str) -> Response {
    let mut client = locum.client();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-User: root\r\nX_User: root\r\nX-Scope: all\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    ));
    client.response("GET").unwrap()
}

fn refused(locum: &Locum, reason: &str) -> f64 {
    locum.metric("locum_auth_refused_total", &[("auth", "login"), ("reason", reason)])
}

#[test]
fn a_token_lets_in_and_the_upstream_is_told_its_claims() {
    let upstream = Upstream::start(script::echoes());
    let issuer = Issuer::new(&["one"]);
    let locum = issuer
        .guards(
            &upstream,
            "claims = { scope = [\"read\", \"write\"] }\nidentity_header = \"x-user\"\n\
             forward = { X-Scope = \"scope\" }",
        )
        .policy(
            "rate_limit = { algorithm = \"token-bucket\", rate = \"1/h\", burst = 2, key = \"identity\" }",
        )
        .and("[log]\naccess = \"stdout\"")
        .start();
    let answer = bring(&locum, &issuer.token("one", &claims()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.json()["headers"].as_array().unwrap().clone();
    let of = |name: &str| -> Vec<Value> {
        let like = |field: &&Value| {
            field[0].as_str().unwrap().to_ascii_lowercase().replace('_', "-") == name
        };
        seen.iter().filter(like).map(|field| field[1].clone()).collect()
    };
    assert_eq!((of("x-user"), of("x-scope")), (vec!["ann".into()], vec!["read write".into()]));

    let mut ben = claims();
    ben["sub"] = "ben".into();
    let tokens = [claims(), claims(), ben].map(|claims| issuer.token("one", &claims));
    let statuses = tokens.map(|token| bring(&locum, &token).status);
    assert_eq!(statuses, [200, 429, 200], "each has a limit of his own");
    assert_eq!(issuer.fetches(), 1);

    let mut less = claims();
    less["scope"] = "read".into();
    let answer = bring(&locum, &issuer.token("one", &less));
    assert_eq!(answer.status, 403);
    assert_eq!(answer.headers.get("www-authenticate"), Some("Bearer error=\"insufficient_scope\""));
    let none = locum.get("/");
    assert_eq!((none.status, none.headers.get("www-authenticate")), (401, Some("Bearer")));
    let mut over = claims();
    over["exp"] = (now() - 61).into();
    let answer = bring(&locum, &issuer.token("one", &over));
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers.get("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    for reason in ["token_claim", "token_missing", "token_expired"] {
        assert_eq!(refused(&locum, reason), 1.0, "{reason}");
    }
    eventually("the access log knows who called", || {
        locum.output().contains("\"identity\":\"ben\"")
    });
    let told = locum.output() + &locum.log() + &locum.admin("/api/v1/config").text();
    assert!(!told.contains("s3cret") && !told.contains("eyJ"), "{told}");
}

#[test]
fn keys_are_fetched_anew_for_a_key_that_is_not_known_and_not_for_every_one() {
    let upstream = Upstream::start(script::answers("hello"));
    let mut issuer = Issuer::new(&["one"]);
    let locum = issuer.guards(&upstream, "").start();
    let old = issuer.token("one", &claims());
    assert_eq!(bring(&locum, &old).status, 200);
    issuer.rotate(&["two"]);
    assert_eq!(bring(&locum, &issuer.token("two", &claims())).status, 200);
    assert_eq!(bring(&locum, &old).status, 401, "its key is no more");
    assert_eq!(issuer.fetches(), 2);
    let forged = issuer
        .token("two", &claims())
        .replace(&text(b"{\"alg\":\"EdDSA\",\"kid\":\"two\"}"), &text(b"{\"alg\":\"none\"}"));
    assert_eq!(bring(&locum, &forged).status, 401);

    let mut client = locum.client();
    for at in 0..1000 {
        let token = issuer.token(&format!("key-{at}"), &claims());
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        assert_eq!(client.response("GET").unwrap().status, 401);
    }
    // One more in thirty seconds, if they took that long.
    assert!((2..=3).contains(&issuer.fetches()), "{}", issuer.fetches());
    assert_eq!(refused(&locum, "token_unknown_key"), 1001.0);
    assert_eq!(refused(&locum, "token_algorithm"), 1.0);
}

#[test]
fn an_issuer_that_is_down_lets_nobody_in_and_one_that_goes_down_keeps_nobody_out() {
    let upstream = Upstream::start(script::answers("hello"));
    let mut issuer = Issuer::new(&["one"]);
    issuer.show("503 Service Unavailable", String::new());
    let locum = issuer.guards(&upstream, "").start();
    let token = issuer.token("one", &claims());
    let answer = bring(&locum, &token);
    assert_eq!((answer.status, &answer.json()["reason"]), (503, &"auth_unavailable".into()));
    assert_eq!(answer.headers.get("retry-after"), Some("1"));
    // Neither what is no set of keys helps, nor what is too large.
    issuer.show("200 OK", "{\"keys\":[]}".to_owned());
    eventually("it was asked again", || locum.log().contains("no key that is of use"));
    issuer.show("200 OK", " ".repeat((1 << 20) + 1));
    eventually("it was asked again", || locum.log().contains("more than 1048576 bytes"));
    assert_eq!(upstream.deliveries(), 0);
    issuer.rotate(&["one"]);
    let token = issuer.token("one", &claims());
    eventually("the issuer is up", || bring(&locum, &token).status == 200);

    issuer.show("500 Internal Server Error", String::new());
    assert_eq!(bring(&locum, &issuer.token("two", &claims())).status, 401);
    eventually("the fetch has failed", || locum.log().contains("it answered 500"));
    assert_eq!(bring(&locum, &token).status, 200);
    assert!(locum.metric("locum_jwks_fetches_total", &[("result", "error")]) >= 4.0);
    assert_eq!(locum.metric("locum_jwks_fetches_total", &[("result", "ok")]), 1.0);
}

#[test]
fn keys_are_not_looked_for_where_an_issuer_says_they_are() {
    let upstream = Upstream::start(script::answers("hello"));
    let elsewhere = Issuer::new(&["one"]);
    let location = format!("http://{}/keys", elsewhere.server.address());
    let server = Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            peer.answer_with(&request, "302 Found", &[("Location", &location)], b"");
        }
    });
    let issuer = Issuer { server, ..Issuer::new(&["one"]) };
    let locum = issuer.guards(&upstream, "").start();
    assert_eq!(bring(&locum, &elsewhere.token("one", &claims())).status, 503);
    assert!(locum.log().contains("the keys are elsewhere"), "{}", locum.log());
    assert_eq!(elsewhere.fetches(), 0);
}

#[test]
fn keys_over_tls_are_those_of_whom_the_certificate_is_for() {
    let upstream = Upstream::start(script::answers("hello"));
    let issuer = Issuer::new(&["one"]);
    let authority = Authority::new();
    authority.sign("right", &["localhost"]);
    authority.sign("wrong", &["other.test"]);
    fs::write(authority.path("keys.json"), &issuer.shown.lock().unwrap().1).unwrap();
    for (file, status) in [("right", 200), ("wrong", 503)] {
        let server = Server::of_files(&authority, file);
        let config = Config::to(&upstream).route("auth = [\"login\"]").and(&format!(
            "[auth.login]\nkind = \"jwt\"\nissuer = \"https://login.test\"\naudience = \"api\"\n\
             algorithms = [\"EdDSA\"]\njwks = \"https://localhost:{}/keys.json\"\nca = {:?}",
            server.1.port(),
            authority.path("ca.pem")
        ));
        let locum = config.start();
        let answer = bring(&locum, &issuer.token("one", &claims()));
        assert_eq!(answer.status, status, "{file}: {}", locum.log());
    }
}

/// What OpenSSL writes.
fn openssl(arguments: &[&str]) -> Vec<u8> {
    let ended = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}

#[test]
fn what_openssl_has_signed_is_verified_by_keys_of_a_file_and_read_from_a_cookie() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let bits = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"];
    openssl(&[&["genpkey"], &bits[..], &[&path("key.pem")]].concat());
    let modulus = openssl(&["rsa", "-in", &path("key.pem"), "-noout", "-modulus"]);
    let hex = String::from_utf8(modulus).unwrap();
    let hex = hex.trim().strip_prefix("Modulus=").unwrap().as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    let n: Vec<u8> = hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    let jwks = json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "n": text(&n), "e": "AQAB" }] });
    fs::write(path("keys.json"), jwks.to_string()).unwrap();

    let token = |claims: &Value| {
        let signed =
            format!("{}.{}", text(br#"{"alg":"RS256"}"#), text(claims.to_string().as_bytes()));
        fs::write(path("signed"), &signed).unwrap();
        let signature = openssl(&["dgst", "-sha256", "-sign", &path("key.pem"), &path("signed")]);
        format!("{signed}.{}", text(&signature))
    };
    let upstream = Upstream::start(script::answers("hello"));
    let config = Config::to(&upstream).route("auth = [\"login\"]").and(&format!(
        "[auth.login]\nkind = \"jwt\"\nissuer = \"https://login.test\"\naudience = [\"web\", \"api\"]\n\
         algorithms = [\"RS256\"]\njwks = {:?}\ncookie = \"session\"",
        path("keys.json")
    ));
    let locum = config.start();
    let good = token(&claims());
    assert_eq!(bring(&locum, &good).status, 200);
    let with_cookie = |cookie: &str| {
        let mut client = locum.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: {cookie}\r\n\r\n"));
        client.response("GET").unwrap().status
    };
    assert_eq!(with_cookie(&format!("a=b; session={good}")), 200);
    assert_eq!(with_cookie(&format!("session={good}; session={good}")), 401);
    assert_eq!(with_cookie(&format!("other={good}")), 401);
    let (body, signature) = good.rsplit_once('.').unwrap();
    let mut wrong = signature.to_owned();
    wrong.replace_range(0..1, if wrong.starts_with('A') { "B" } else { "A" });
    assert_eq!(bring(&locum, &format!("{body}.{wrong}")).status, 401);
    locum.counts("locum_auth_refused_total", &[("reason", "token_signature")], 1.0);
}

#[test]
fn a_shared_secret_comes_from_the_environment() {
    let upstream = Upstream::start(script::answers("hello"));
    let config = Config::to(&upstream).route("auth = [\"login\"]").and(
        "[auth.login]\nkind = \"jwt\"\nissuer = \"https://login.test\"\naudience = \"api\"\n\
         algorithms = [\"HS256\"]\nsecret = \"${LOGIN_SECRET}\"",
    );
    let secret = "0123456789abcdef0123456789abcdef";
    let locum = crate::setup::locum()
        .environment("LOGIN_SECRET", secret)
        .config(config.to_string())
        .start();
    let signed =
        format!("{}.{}", text(br#"{"alg":"HS256"}"#), text(claims().to_string().as_bytes()));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("signed");
    fs::write(&file, &signed).unwrap();
    let file = file.to_str().unwrap();
    let signature = openssl(&["dgst", "-sha256", "-hmac", secret, "-binary", file]);
    assert_eq!(bring(&locum, &format!("{signed}.{}", text(&signature))).status, 200);
    let signature = openssl(&["dgst", "-sha256", "-hmac", "another", "-binary", file]);
    assert_eq!(bring(&locum, &format!("{signed}.{}", text(&signature))).status, 401);
    assert!(!locum.admin("/api/v1/config").text().contains(secret));
}
