//! A process that takes another's place: `SIGUSR2`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;

use locum_testkit::{Gate, Load, Locum, Signal, Upstream, eventually, script};

use crate::setup::{Config, binary, locum};

#[test]
fn ten_upgrades_under_load_fail_nothing() {
    let upstream = Upstream::start(script::answers("ok"));
    let mut locum = Config::to(&upstream).start();
    let address = locum.address("web");
    let new = Load::get(address, "/").clients(2).new_connections();
    let kept = Load::get(address, "/").clients(4);
    let (kept, (new, ())) = kept.during(|| new.during(|| (0..10).for_each(|_| locum.upgrade())));
    assert_eq!((new.failed(), kept.failed()), (0, 0), "{new:?} {kept:?}");
    assert_eq!(kept.closed_idle, 0, "{kept:?}");
    let ends = locum.wait_for_replaced();
    assert!(ends.len() == 10 && ends.iter().all(|end| end.success()), "{ends:?}");
    assert_eq!(locum.get("/").text(), "ok");
    locum.signal(Signal::TERM);
    assert!(locum.wait().success());
}

#[test]
fn everything_listens_where_it_did() {
    let upstream = Upstream::start(script::answers("ok"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let more = format!("[listeners.local]\nbind = \"unix:{}\"", path.display());
    let config = Config::to(&upstream).and(&more);
    let mut locum = locum().config(format!("{config}\n[runtime]\nworkers = 1")).start();
    let (address, first) = (locum.address("web"), locum.pid());
    // As many sockets as there were are dealt out to more workers.
    locum.write_config(&format!("{config}\n[runtime]\nworkers = 3"));
    locum.upgrade();
    assert_ne!(locum.pid(), first);
    assert_eq!(locum.admin("/api/v1/status").json()["workers"], 3);
    let listeners = locum.admin("/api/v1/listeners").json();
    assert_eq!(listeners[1]["address"], address.to_string());
    for _ in 0..20 {
        assert_eq!(locum.get("/").text(), "ok");
    }
    // And to fewer.
    locum.write_config(&format!("{config}\n[runtime]\nworkers = 2"));
    locum.upgrade();
    for _ in 0..20 {
        assert_eq!(locum.get("/").text(), "ok");
    }
    let mut local = UnixStream::connect(&path).unwrap();
    local.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    local.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("ok"), "{answer}");
}

#[test]
fn calls_in_flight_end_in_the_old_process_which_then_ends() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            if request.target == "/slow" {
                held.wait();
            }
            peer.answer(&request, b"ok");
        }
    });
    let mut locum = Config::to(&upstream).start();
    let mut client = locum.client();
    client.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("the call is in flight", || upstream.deliveries() == 1);
    locum.upgrade();
    assert_eq!(locum.get("/").text(), "ok");
    assert_eq!(locum.admin("/readyz").status, 200);
    gate.open(1);
    let answer = client.response("GET").unwrap();
    assert_eq!(answer.text(), "ok");
    assert!(answer.closes());
    assert!(locum.wait_for_replaced()[0].success());
}

#[test]
fn the_new_process_runs_what_is_at_the_programs_path_now() {
    let upstream = Upstream::start(script::answers("ok"));
    let directory = tempfile::tempdir().unwrap();
    let (program, next) = (directory.path().join("locum"), directory.path().join("next"));
    symlink(binary(), &program).unwrap();
    let config = Config::to(&upstream);
    let mut locum = Locum::at(&program).config(config.to_string()).start();
    let started = directory.path().join("started");
    let script =
        format!("#!/bin/sh\ntouch {}\nexec {} \"$@\"\n", started.display(), binary().display());
    fs::write(&next, script).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&next, &program).unwrap();
    locum.upgrade();
    assert!(started.exists());
    assert_eq!(locum.get("/").text(), "ok");
}

#[test]
fn if_the_new_process_does_not_start_the_old_one_goes_on() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream);
    let mut locum = config.start();
    let pid = locum.pid();
    locum.write_config("[nonsense");
    let refused = |count: usize| {
        locum.signal(Signal::USR2);
        eventually("it says so", || {
            locum.log().matches("not upgraded, this process goes on").count() == count
        });
    };
    refused(1);
    assert!(locum.log().contains("has ended before it was ready (exit status: 1)"));
    assert_eq!(locum.get("/").text(), "ok");
    assert_eq!(locum.admin("/api/v1/status").json()["pid"], pid.as_raw_nonzero().get());
    refused(2);
    locum.write_config(&config.to_string());
    locum.upgrade();
    assert_eq!(locum.get("/").text(), "ok");
    assert!(locum.wait_for_replaced()[0].success());
}

#[test]
fn an_end_that_is_wanted_meanwhile_ends_the_new_process_too() {
    let upstream = Upstream::start(script::answers("ok"));
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("locum");
    symlink(binary(), &program).unwrap();
    let mut locum = Locum::at(&program).config(Config::to(&upstream).to_string()).start();
    let started = directory.path().join("started");
    // It never becomes ready.
    let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", started.display());
    fs::remove_file(&program).unwrap();
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    locum.signal(Signal::USR2);
    let pid = || fs::read_to_string(&started).unwrap_or_default().trim().to_owned();
    eventually("it is started", || !pid().is_empty());
    assert_eq!(locum.get("/").text(), "ok");
    locum.signal(Signal::TERM);
    assert!(locum.wait().success());
    let process = format!("/proc/{}/cmdline", pid());
    // One that has ended and that nobody has asked about has no command line.
    let gone = || fs::read(&process).map_or(true, |line| line.is_empty());
    eventually("the new process is gone", gone);
}

#[test]
fn a_new_process_that_hangs_up_and_goes_on_is_ended() {
    let upstream = Upstream::start(script::answers("ok"));
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("locum");
    symlink(binary(), &program).unwrap();
    let locum = Locum::at(&program).config(Config::to(&upstream).to_string()).start();
    fs::remove_file(&program).unwrap();
    fs::write(&program, "#!/bin/sh\nexec sleep 600 < /dev/null\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    locum.signal(Signal::USR2);
    eventually("the old one says so", || locum.log().contains("before it was ready (signal: 9"));
    assert_eq!(locum.get("/").text(), "ok");
}
