//! TLS and who may call, with files, and with OpenSSL at the other ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use locum_testkit::{Locum, Upstream, eventually, run_to_end, script};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use crate::calling::beside_ours;
use crate::setup::{Config, binary, locum};

/// The SHA-256 of `secret`.
const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

/// An authority whose certificate is the file `ca.pem`, and a place for what it signs.
pub(crate) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), params.self_signed(&key).unwrap().pem())
            .unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    /// Signs `NAME.pem`, with the key `NAME.key`, for a holder of that common name and these names.
    pub(crate) fn sign(&self, file: &str, names: &[&str]) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.directory.path().join(file).to_str().unwrap().to_owned()
    }

    /// The certificate and the key of that name, as a table of the configuration.
    pub(crate) fn table(&self, file: &str) -> String {
        format!(
            "cert = {:?}, key = {:?}",
            self.path(&format!("{file}.pem")),
            self.path(&format!("{file}.key"))
        )
    }

    /// Asks the listener `web` as `https://web.test`, and gives what came and whether curl was content.
    pub(crate) fn curl(
        &self,
        locum: &Locum,
        arguments: &[&str],
        targets: &[&str],
    ) -> (String, bool) {
        let address = locum.address("web");
        let port = address.port();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
            .arg(self.path("ca.pem"))
            .args(["--resolve", &format!("web.test:{port}:{}", address.ip())])
            .args(arguments)
            .args(targets.iter().map(|target| format!("https://web.test:{port}{target}")));
        let ended = curl.output().expect("curl is installed");
        let mut output = String::from_utf8_lossy(&ended.stdout).into_owned();
        output += &String::from_utf8_lossy(&ended.stderr);
        (output, ended.status.success())
    }
}

/// In front of this upstream, with the certificate `web`.
pub(crate) fn web(upstream: &Upstream, authority: &Authority) -> Config {
    authority.sign("web", &["web.test"]);
    Config::to(upstream)
        .listener(&format!("tls = {{ certificates = [{{ {} }}] }}", authority.table("web")))
}

#[test]
fn curl_keeps_its_connection_and_sends_and_gets_what_is_large() {
    let upstream = Upstream::start(script::echoes());
    let authority = Authority::new();
    let locum = web(&upstream, &authority).start();
    let connections = ["-o", "/dev/null", "-w", "%{http_code} %{num_connects} "];
    let arguments = [&connections[..], &connections[..2], &connections[..2]].concat();
    let (told, _) = authority.curl(&locum, &arguments, &["/1", "/2", "/3"]);
    assert_eq!(told, "200 1 200 0 200 0 ");

    let body: String = (0..2_000_000u32).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
    fs::write(authority.path("body"), &body).unwrap();
    let data = format!("@{}", authority.path("body"));
    for expect in ["Expect:", "Expect: 100-continue"] {
        let (told, _) = authority.curl(&locum, &["--data-binary", &data, "-H", expect], &["/"]);
        let seen: Value = serde_json::from_str(&told).unwrap();
        assert!(seen["body"] == body.as_str(), "{expect}: {} bytes", told.len());
    }
}

#[test]
fn certificates_are_read_again_at_a_reload_and_a_broken_one_changes_nothing() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let config = web(&upstream, &authority);
    let locum = config.start();
    let serial = || {
        let verbose = ["-o", "/dev/null", "-w", "%{certs}"];
        let (told, _) = authority.curl(&locum, &verbose, &["/"]);
        told.lines().find_map(|line| line.strip_prefix("Serial Number:")).map(str::to_owned)
    };
    let first = serial();
    assert!(first.is_some());

    fs::write(authority.path("web.pem"), "no certificate").unwrap();
    locum.reload(&config.to_string());
    assert_eq!(locum.metric("locum_config_reloads_total", &[("result", "error")]), 1.0);
    assert!(locum.log().contains("holds no certificate"), "{}", locum.log());
    assert_eq!(serial(), first);

    authority.sign("web", &["web.test"]);
    locum.reload(&config.to_string());
    eventually("the new certificate is shown", || serial() != first);
}

#[test]
fn a_certificate_is_renewed_while_what_was_written_beside_it_is_refused() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let config = web(&upstream, &authority);
    let locum = config.start();
    let serial = || {
        let verbose = ["-o", "/dev/null", "-w", "%{certs}"];
        let (told, _) = authority.curl(&locum, &verbose, &["/"]);
        told.lines().find_map(|line| line.strip_prefix("Serial Number:")).map(str::to_owned)
    };
    let last_error = || locum.admin("/api/v1/status").json()["last_reload_error"].clone();
    // It does not even name the certificate.
    for broken in ["this is no TOML".to_owned(), format!("{config}\n[routs]\n")] {
        locum.reload(&broken);
        let (first, refused) = (serial(), last_error());
        assert!(first.is_some() && refused.is_string(), "{refused}");
        authority.sign("web", &["web.test"]);
        eventually("the new certificate is shown", || serial() != first);
        assert_eq!(last_error(), refused, "that still stands");
    }
    locum.write_config(&config.to_string());
    authority.sign("web", &["web.test"]);
    eventually("it is made up for", || last_error().is_null());
}

#[test]
fn a_certificate_of_a_client_says_who_calls() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    authority.sign("web", &["web.test"]);
    let locum = Config::to(&upstream)
        .listener(&format!(
            "tls = {{ certificates = [{{ {} }}], client_ca = {:?} }}",
            authority.table("web"),
            authority.path("ca.pem")
        ))
        .route("auth = [\"people\"]")
        .and("[auth.people]\nkind = \"mtls\"\nallow = [\"alice\"]")
        .and("[log]\naccess = \"stdout\"")
        .start();
    let ask = |name: &str| {
        authority.sign(name, &[]);
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        let (cert, key) = (authority.path(&cert), authority.path(&key));
        authority.curl(&locum, &["--cert", &cert, "--key", &key], &["/"]).0
    };
    assert_eq!(ask("alice"), "hello");
    assert!(ask("bob").contains("\"reason\":\"unauthorized\""));
    let (told, content) = authority.curl(&locum, &[], &["/"]);
    assert!(!content, "{told}");
    locum.counts("locum_refused_total", &[("reason", "tls")], 1.0);
    locum.counts("locum_refused_total", &[("reason", "unauthorized")], 1.0);
    eventually("the access log knows who called", || {
        locum.output().lines().any(|line| line.contains("\"identity\":\"alice\""))
    });
    assert!(!locum.output().contains("\"identity\":\"bob\""), "nobody was let in as him");
}

#[test]
fn keys_are_read_from_their_file_and_again_at_a_reload() {
    // What the reference implementation of argon2 makes of `password`.
    const MADE_UP: &str =
        "made-up:$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG\n";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.txt");
    fs::write(&file, format!("# Whose keys they are.\ndrawn:{SECRET}\n{MADE_UP}")).unwrap();

    let upstream = Upstream::start(script::answers("hello"));
    let config = Config::to(&upstream)
        .policy("rate_limit = { algorithm = \"token-bucket\", rate = \"1/h\", burst = 2, key = \"identity\" }")
        .route("auth = [\"keys\"]")
        .and(&format!("[auth.keys]\nkind = \"api-key\"\nfile = {file:?}"))
        .and("[log]\naccess = \"stdout\"");
    let locum = config.start();
    let bring = |key: &str| {
        let mut client = locum.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Api-Key: {key}\r\n\r\n"));
        client.response("GET").unwrap().status
    };
    assert_eq!(locum.get("/").status, 401);
    assert_eq!([bring("secret"), bring("password"), bring("guess")], [200, 200, 401]);
    // Each has a limit of his own, and a guess takes from nobody's.
    assert_eq!([bring("secret"), bring("secret"), bring("password")], [200, 429, 200]);
    locum.counts("locum_refused_total", &[("reason", "unauthorized")], 2.0);
    eventually("the access log knows who called", || {
        let calls =
            |name: &str| locum.output().matches(&format!("\"identity\":\"{name}\"")).count();
        calls("drawn") == 3 && calls("made-up") == 2
    });
    assert!(!locum.output().contains("secret") && !locum.output().contains("password"));

    fs::write(&file, format!("drawn:{SECRET}\n")).unwrap();
    locum.reload(&config.to_string());
    eventually("a key that was taken away opens nothing", || bring("password") == 401);
}

#[test]
fn remote_calls_show_who_makes_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.txt");
    fs::write(&file, format!("alice:{SECRET}\n")).unwrap();
    beside_ours(None, |address| {
        let config = format!(
            r#"
            admin.listen = "127.0.0.1:0"
            log.access = "stdout"
            listeners.rpc = {{ bind = "127.0.0.1:0", protocol = "rpc" }}
            upstreams.desk.endpoints = ["gob://{address}"]
            auth.keys = {{ kind = "api-key", file = {file:?} }}
            auth.elsewhere = {{ kind = "ip", deny = ["127.0.0.0/8"] }}
            [[routes]]
            match = {{ call = "Desk.Greet" }}
            upstream = "desk"
            auth = ["keys"]
            [[routes]]
            match = {{ call = "*" }}
            upstream = "desk"
            auth = ["elsewhere"]
            "#
        );
        let locum = locum().config(config).start();
        let near = locum.address("rpc").to_string();
        let call = |method: &str, more: &[&str]| {
            let command = ["call", &near, method, "\"Ada\"", "--protocol", "native"];
            run_to_end(binary(), &[&command[..], more].concat())
        };
        let right = call("Desk.Greet", &["-H", "x-api-key: secret"]);
        assert_eq!((right.code, right.output.trim()), (Some(0), "\"Hello, Ada\""), "{right:?}");
        for key in [&["-H", "x-api-key: guess"][..], &[]] {
            let refused = call("Desk.Greet", key);
            assert_eq!(refused.code, Some(4), "{refused:?}");
            assert!(
                refused.errors.contains(r#"rejected by auth "keys": unauthorized"#),
                "{refused:?}"
            );
        }
        let refused = call("Desk.Panics", &[]);
        assert!(
            refused.errors.contains(r#"rejected by auth "elsewhere": unauthorized"#),
            "{refused:?}"
        );
        locum.counts("locum_refused_total", &[("reason", "unauthorized")], 3.0);
        eventually("the access log knows who called", || {
            locum.output().matches("\"identity\":\"alice\"").count() == 1
        });
    });
}

/// OpenSSL's server; dropping it ends it.
pub(crate) struct Server(Child, pub(crate) SocketAddr);

impl Server {
    pub(crate) fn start(authority: &Authority, file: &str, arguments: &[&str]) -> Self {
        Self::with(authority, file, &[&["-www"], arguments].concat())
    }

    /// It serves what is beside the certificate.
    pub(crate) fn of_files(authority: &Authority, file: &str) -> Self {
        Self::with(authority, file, &["-WWW"])
    }

    fn with(authority: &Authority, file: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0"])
            .args(["-cert", &authority.path(&format!("{file}.pem"))])
            .args(["-key", &authority.path(&format!("{file}.key"))])
            .args(arguments)
            .current_dir(authority.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT ")?.parse().ok())
            .expect("it says where it listens");
        Self(child, address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn an_upstream_by_openssl_is_verified_and_shown_who_we_are() {
    let authority = Authority::new();
    authority.sign("up", &["up.test"]);
    authority.sign("locum", &["locum.test"]);
    let ca = authority.path("ca.pem");
    let server = Server::start(&authority, "up", &["-CAfile", &ca, "-Verify", "1"]);
    let tls = |name: &str, more: &str| {
        Config::to_addresses([server.1])
            .upstream(&format!("tls = {{ server_name = {name:?}, ca = {ca:?}{more} }}"))
            .start()
    };
    let identity = format!(", {}", authority.table("locum"));
    let answer = tls("up.test", &identity).get("/");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("Client certificate"), "{}", answer.text());

    let answer = tls("other.test", &identity).get("/");
    assert_eq!(answer.status, 502);
    assert!(answer.json()["detail"].as_str().unwrap().contains("other.test"), "{}", answer.text());
    assert_eq!(tls("up.test", "").get("/").status, 502);
}

#[test]
fn checks_of_an_upstream_over_tls_are_made_under_tls() {
    let plain = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let behind = web(&plain, &authority).start();
    let address = behind.address("web");
    let ca = authority.path("ca.pem");
    let checks = "every = \"50ms\", timeout = \"10s\", healthy = 1, unhealthy = 1";
    let get = "path = \"/\"";
    let kinds = [("http1", get), ("auto", get), ("h2", get), ("http1", "kind = \"tcp\"")];
    for (protocol, check) in kinds {
        let locum = Config::to_addresses([address, plain.address()])
            .upstream(&format!("protocol = \"{protocol}\""))
            .upstream(&format!("tls = {{ server_name = \"web.test\", ca = {ca:?} }}"))
            .upstream(&format!("health = {{ {check}, {checks} }}"))
            .start();
        let health = |index: usize| {
            let upstreams = locum.admin("/api/v1/upstreams").json();
            upstreams[0]["endpoints"][index]["health"].clone()
        };
        eventually("the one without TLS is down", || health(1)["up"] == false);
        let reason = health(1)["last"]["reason"].clone();
        assert!(reason.as_str().unwrap().starts_with("no TLS: "), "{reason}");
        eventually("the other was checked", || health(0)["passed"].as_u64() > Some(0));
        assert_eq!((&health(0)["up"], &health(0)["failed"]), (&true.into(), &0.into()));
    }
}
