//! Unix sockets on both sides.

use std::fs;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use locum_testkit::{Nginx, Signal, Upstream, eventually, run_to_end, script};
use tempfile::TempDir;

use crate::draining::switch;
use crate::setup::{Config, binary, locum};
use crate::tls::Authority;

/// A folder for sockets, and one path in it.
fn somewhere() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    (directory, path)
}

/// Puts the peer behind a unix socket as well.
pub(crate) fn behind(path: &Path, upstream: &Upstream) {
    let (listener, address) = (UnixListener::bind(path).unwrap(), upstream.address());
    thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), TcpStream::connect(address).unwrap());
            let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || {
                drop(io::copy(&mut from, &mut to));
                drop(to.shutdown(Shutdown::Write));
            });
            thread::spawn(move || {
                let (mut from, mut to) = (far, near);
                drop(io::copy(&mut from, &mut to));
                drop(to.shutdown(Shutdown::Both));
            });
        }
    });
}

fn to_path(path: &Path) -> Config {
    Config::to_addresses([]).upstream(&format!("endpoints = [\"unix:{}\"]", path.display()))
}

/// What curl gets by a unix socket.
pub(crate) fn curl(path: &Path, arguments: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--unix-socket"]).arg(path);
    let ended = curl.args(arguments).arg("http://a.test/").output().expect("curl is installed");
    String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_nginx_on_a_unix_socket_is_asked_over_kept_connections() {
    let (_directory, path) = somewhere();
    let _nginx = Nginx::start(&format!(
        "listen unix:{};\nlocation / {{ return 200 \"$connection $connection_requests $host\"; }}",
        path.display()
    ));
    let locum = to_path(&path)
        .upstream("health = { path = \"/\", every = \"100ms\" }")
        .route("host = \"upstream\"")
        .and("[runtime]\nworkers = 1")
        .start();
    let endpoint = format!("unix:{}", path.display());
    let told: Vec<_> = (0..20).map(|_| locum.get("/").text()).collect();
    let connections: std::collections::BTreeSet<_> =
        told.iter().map(|told| told.split(' ').next().unwrap()).collect();
    assert_eq!(connections.len(), 1, "{told:?}");
    assert!(told.iter().all(|told| told.ends_with(" localhost")), "{told:?}");
    let labels = [("upstream", "up"), ("endpoint", &*endpoint)];
    eventually("it was checked", || {
        let upstream = locum.admin("/api/v1/upstreams/up").json();
        upstream["endpoints"][0]["health"]["passed"].as_u64() > Some(1)
    });
    locum.counts("locum_endpoint_up", &labels, 1.0);

    let name = endpoint.replace('/', "%2F");
    let drained = switch(&locum, &name, "drain");
    assert_eq!(drained.json()["drained"], true, "{}", drained.text());
    assert_eq!(locum.get("/").status, 503);
}

#[test]
fn an_endpoint_that_is_not_there_fails_as_any_other_and_is_found_when_it_is() {
    let (_directory, path) = somewhere();
    let locum = to_path(&path).start();
    assert_eq!(locum.get("/").status, 503);
    let upstream = Upstream::start(script::answers("ok"));
    behind(&path, &upstream);
    assert_eq!(locum.get("/").text(), "ok");
}

#[test]
fn an_upstream_on_a_path_is_told_whom_the_connection_is_for() {
    let (_directory, path) = somewhere();
    let upstream = Upstream::start(script::answers("ok"));
    let inner = format!(
        "[listeners.inner]\nbind = \"unix:{}\"\nproxy_protocol = \"accept\"\n\
         [[routes]]\nlistener = \"inner\"\nupstream = \"last\"\n\
         [upstreams.last]\nendpoints = [\"{}\"]",
        path.display(),
        upstream.address()
    );
    let locum = to_path(&path)
        .upstream("proxy_protocol = \"v2\"")
        .route("listener = \"web\"")
        .and(&inner)
        .start();
    assert_eq!(locum.get("/").text(), "ok");
    let received = upstream.received();
    let told: Vec<_> = received[0].request.headers.all("x-forwarded-for").collect();
    assert_eq!(told, ["127.0.0.1"]);
}

#[test]
fn calls_and_connections_go_by_paths_too() {
    let (directory, path) = somewhere();
    let (bytes, near) = (directory.path().join("bytes"), directory.path().join("near"));
    let upstream = Upstream::start(script::answers("ok"));
    behind(&bytes, &upstream);
    let config = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n\
         [listeners.inner]\nbind = \"unix:{inner}\"\nprotocol = \"rpc\"\n\
         [listeners.rpc]\nbind = \"127.0.0.1:0\"\nprotocol = \"rpc\"\n\
         [listeners.raw]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\n\
         [upstreams.demo]\nendpoints = [\"demo-rpc://1\"]\n\
         [upstreams.path]\nprotocol = \"gob\"\nendpoints = [\"unix:{inner}\"]\n\
         [upstreams.bytes]\nprotocol = \"tcp\"\nendpoints = [\"unix:{bytes}\"]\n\
         [[routes]]\nlistener = \"inner\"\nmatch = {{ call = \"*\" }}\nupstream = \"demo\"\n\
         [[routes]]\nlistener = \"rpc\"\nmatch = {{ call = \"*\" }}\nupstream = \"path\"\n\
         [[routes]]\nlistener = \"raw\"\nupstream = \"bytes\"\n\
         [listeners.near]\nbind = \"unix:{near}\"\nprotocol = \"tcp\"\n\
         [[routes]]\nlistener = \"near\"\nupstream = \"bytes\"\n",
        near = near.display(),
        inner = path.display(),
        bytes = bytes.display()
    );
    let locum = locum().config(config).start();
    let at = locum.address("rpc").to_string();
    for _ in 0..3 {
        let ended = run_to_end(binary(), &["call", &at, "Arith.Multiply", "{\"A\":7,\"B\":8}"]);
        assert_eq!(ended.output.trim(), "56", "{}", ended.errors);
    }
    assert_eq!(locum_testkit::get(locum.address("raw"), "/").text(), "ok");
    assert_eq!(curl(&near, &[]), "ok");
}

#[test]
fn tls_on_a_path_is_with_whom_the_upstream_names() {
    let (_directory, path) = somewhere();
    let authority = Authority::new();
    authority.sign("app", &["app.test"]);
    let upstream = Upstream::start(script::answers("ok"));
    let config = |name: &str| {
        let inner = format!(
            "[listeners.inner]\nbind = \"unix:{}\"\ntls = {{ certificates = [{{ {} }}] }}\n\
             [[routes]]\nlistener = \"inner\"\nupstream = \"last\"\n\
             [upstreams.last]\nendpoints = [\"{}\"]",
            path.display(),
            authority.table("app"),
            upstream.address()
        );
        let ca = authority.path("ca.pem");
        to_path(&path)
            .upstream(&format!("tls = {{ server_name = \"{name}\", ca = \"{ca}\" }}"))
            .route("listener = \"web\"")
            .and(&inner)
    };
    let locum = config("app.test").start();
    assert_eq!(locum.get("/").text(), "ok");
    locum.reload(&config("other.test").to_string());
    assert_eq!(locum.get("/").status, 502);
}

#[test]
fn a_file_may_list_paths() {
    let (directory, path) = somewhere();
    let upstream = Upstream::start(script::answers("ok"));
    behind(&path, &upstream);
    let list = directory.path().join("list.json");
    fs::write(&list, format!("[\"unix:{}\"]", path.display())).unwrap();
    let locum = Config::to_found(&format!("file = {list:?}")).start();
    assert_eq!(locum.get("/").text(), "ok");
}

#[test]
fn a_socket_has_the_mode_that_it_is_to_have_over_reloads_and_upgrades() {
    let (_directory, path) = somewhere();
    let upstream = Upstream::start(script::answers("ok"));
    let config = |mode: &str| {
        let listener = format!("[listeners.local]\nbind = \"unix:{}\"", path.display());
        Config::to(&upstream).and(&format!("{listener}\nsocket = {{ mode = \"{mode}\" }}"))
    };
    let mut locum = config("0660").start();
    assert_eq!((mode(&path), &*curl(&path, &[])), (0o660, "ok"));
    locum.reload(&config("0600").to_string());
    assert_eq!((mode(&path), &*curl(&path, &[])), (0o600, "ok"));
    locum.write_config(&config("0666").to_string());
    locum.upgrade();
    assert_eq!((mode(&path), &*curl(&path, &[])), (0o666, "ok"));
}

#[test]
fn a_socket_belongs_to_whom_it_is_to_belong_by_name() {
    let (directory, path) = somewhere();
    let name = |what: &str| {
        let told = Command::new("id").arg(what).output().unwrap();
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    };
    let upstream = Upstream::start(script::answers("ok"));
    let config = |user: &str, group: &str| {
        let socket = format!("socket = {{ user = \"{user}\", group = \"{group}\" }}");
        let bind = format!("bind = \"unix:{}\"", path.display());
        Config::to(&upstream).and(&format!("[listeners.local]\n{bind}\n{socket}"))
    };
    let locum = config(&name("-un"), &name("-gn")).start();
    let owner = fs::metadata(&path).unwrap();
    let own = fs::metadata(directory.path()).unwrap();
    assert_eq!((owner.uid(), owner.gid()), (own.uid(), own.gid()));
    assert_eq!(curl(&path, &[]), "ok");
    drop(locum);

    let file = directory.path().join("locum.toml");
    fs::write(&file, config("nobody-of-that-name", "0").to_string()).unwrap();
    let unknown = "listeners.local.socket.user: there is no user `nobody-of-that-name` here";
    // Elsewhere there may be one, so whoever only checks is warned.
    for (command, code) in [("check", 0), ("run", 1)] {
        let ended = run_to_end(binary(), &[command, "-c", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(code), "{command}: {}", ended.errors);
        assert!(ended.errors.contains(unknown), "{command}: {}", ended.errors);
    }
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else() {
    let (_directory, path) = somewhere();
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream)
        .and(&format!("[listeners.local]\nbind = \"unix:{}\"", path.display()))
        .to_string();
    let mut first = locum().config(&*config).start();
    first.signal(Signal::KILL);
    first.wait();
    assert!(path.exists(), "it is left behind");
    let second = locum().config(&*config).start();
    assert_eq!(curl(&path, &[]), "ok");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("locum.toml");
    fs::write(&file, &config).unwrap();
    let ended = run_to_end(binary(), &["run", "-c", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("listener `local` cannot listen on unix:"), "{}", ended.errors);
    assert_eq!(curl(&path, &[]), "ok", "who was there is still there");
    drop(second);

    fs::remove_file(&path).ok();
    fs::write(&path, "keep").unwrap();
    let ended = run_to_end(binary(), &["run", "-c", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), "keep");
}

#[test]
fn what_a_peer_on_a_path_says_of_clients_is_believed_if_it_is_trusted() {
    let (_directory, path) = somewhere();
    let upstream = Upstream::start(script::answers("ok"));
    let bind = format!("bind = \"unix:{}\"", path.display());
    let cases = [("", "unknown", 2), ("trusted_proxies = [\"unix\"]", "192.0.2.1, unknown", 1)];
    for (trusted, told, refused) in cases {
        let config = Config::to(&upstream)
            .and(&format!("[listeners.local]\n{bind}\n{trusted}"))
            .policy("rate_limit = { rate = \"1/h\", burst = 1, key = \"client-ip\" }");
        let _locum = config.start();
        upstream.forget();
        let statuses: Vec<_> = ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
            .iter()
            .map(|client| {
                let field = format!("X-Forwarded-For: {client}");
                curl(&path, &["-H", &field, "-o", "/dev/null", "-w", "%{http_code}"])
            })
            .collect();
        let limited = statuses.iter().filter(|status| *status == "429").count();
        assert_eq!(limited, refused, "{trusted}: {statuses:?}");
        let first = upstream.received().remove(0);
        assert_eq!(first.request.headers.get("x-forwarded-for"), Some(told), "{trusted}");
    }
}

#[test]
fn no_path_leads_to_the_admin_api() {
    let (directory, path) = somewhere();
    let link = directory.path().join("link");
    let config = |to: &Path| {
        format!(
            "[admin]\nlisten = \"unix:{}\"\n[listeners.web]\nbind = \"127.0.0.1:0\"\n\
             [upstreams.up]\nendpoints = [\"unix:{}\"]\n[[routes]]\nupstream = \"up\"\n",
            path.display(),
            to.display()
        )
    };
    let file = directory.path().join("locum.toml");
    fs::write(&file, config(&path)).unwrap();
    let ended = run_to_end(binary(), &["run", "-c", file.to_str().unwrap()]);
    assert!(ended.errors.contains("is the admin API"), "{}", ended.errors);
    // What leads there only later is found out when a call goes there.
    let locum = locum().config(config(&link)).start();
    symlink(&path, &link).unwrap();
    assert!(!curl(&link, &[]).starts_with("curl:"), "the admin API is there");
    assert_eq!(locum.get("/healthz").status, 503);
}
