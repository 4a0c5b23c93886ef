//! Under a supervisor: what systemd gives to the process, and is told by it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;

use locum_testkit::clock::PATIENCE;
use locum_testkit::{Launch, Response, Signal, Upstream, get, script};
use tempfile::TempDir;

use crate::setup::{Config, locum};

/// Where a supervisor listens.
struct Notified {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Notified {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, directory }
    }

    fn start(&self, launch: Launch) -> Launch {
        let path = self.directory.path().join("notify");
        launch.environment("NOTIFY_SOCKET", path.to_str().unwrap())
    }

    fn next(&self) -> String {
        let mut bytes = [0; 1024];
        let read = self.socket.recv(&mut bytes).expect("it is told something");
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }
}

#[test]
fn a_supervisor_is_told_of_start_reload_and_end() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream).to_string();
    let notified = Notified::new();
    let mut locum = notified.start(locum().config(config.clone())).start();
    assert_eq!(notified.next(), "READY=1");
    locum.reload(&config);
    let reloading = notified.next();
    let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(usec.parse::<u64>().unwrap() > 0, "{reloading}");
    assert_eq!(notified.next(), "READY=1");
    locum.signal(Signal::TERM);
    assert_eq!(notified.next(), "STOPPING=1");
    assert!(locum.wait().success());
}

#[test]
fn a_supervisor_is_told_which_process_took_over() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream).to_string();
    let notified = Notified::new();
    let mut locum = notified.start(locum().config(config)).start();
    assert_eq!(notified.next(), "READY=1");
    for _ in 0..2 {
        locum.upgrade();
        let pid = locum.pid().as_raw_nonzero();
        assert_eq!(notified.next(), format!("MAINPID={pid}\nREADY=1"));
    }
    assert!(locum.wait_for_replaced().iter().all(|end| end.success()));
    // The one that serves now is the one that is heard.
    locum.signal(Signal::TERM);
    assert_eq!(notified.next(), "STOPPING=1");
}

#[test]
fn a_watchdog_is_fed_also_by_the_process_that_took_over() {
    let upstream = Upstream::start(script::answers("ok"));
    let notified = Notified::new();
    let launch = notified.start(locum().config(Config::to(&upstream).to_string()));
    let mut locum = launch.environment("WATCHDOG_USEC", "50000").start();
    let fed = || {
        while notified.next() != "WATCHDOG=1" {}
    };
    (0..3).for_each(|_| fed());
    locum.upgrade();
    assert!(locum.wait_for_replaced()[0].success());
    while notified.next() != format!("MAINPID={}\nREADY=1", locum.pid().as_raw_nonzero()) {}
    (0..5).for_each(|_| fed());
}

/// What systemd does: opens sockets, gives them from 3 on, and names them.
const ACTIVATOR: &str = "
import os, socket, sys
sockets = [socket.create_server(('127.0.0.1', int(port))) for port in sys.argv[1].split(',')]
# Out of the way first.
away = [os.dup2(one.fileno(), 50 + number) for number, one in enumerate(sockets)]
for number, one in enumerate(away, 3):
    os.dup2(one, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn at(port: u16) -> Response {
    get(([127, 0, 0, 1], port).into(), "/")
}

#[test]
fn sockets_that_systemd_opened_are_listened_on_and_handed_on() {
    let upstream = Upstream::start(script::answers("ok"));
    let ports = [free_port(), free_port(), free_port()];
    let [web, local, admin] = ports;
    let ports = ports.map(|port| port.to_string()).join(",");
    let config = Config::to(&upstream)
        .and("[listeners.local]\nbind = \"fd:4\"")
        .to_string()
        .replacen(
            "[admin]\nlisten = \"127.0.0.1:0\"",
            "[admin]\nlisten = \"fd:admin\"\ntoken = \"t\"",
            1,
        )
        .replacen("bind = \"127.0.0.1:0\"", "bind = \"fd:http\"", 1);
    let activated = ["python3", "-c", ACTIVATOR, &ports, "http:local:admin"];
    let mut locum = locum().config(config.clone()).by(&activated).start();
    assert_eq!(locum.address("web").port(), web);
    assert_eq!(locum.address("admin").port(), admin);
    assert_eq!((at(web).text(), at(local).text()), ("ok".to_owned(), "ok".to_owned()));
    locum.upgrade();
    assert!(locum.wait_for_replaced()[0].success());
    assert_eq!((at(web).text(), at(local).text()), ("ok".to_owned(), "ok".to_owned()));
    // What is given is given for good: a listener may go and come back.
    let without = config.replace("[listeners.local]\nbind = \"fd:4\"", "");
    locum.reload(&without);
    locum.reload(&config);
    assert_eq!(at(local).text(), "ok");
    locum.upgrade();
    assert_eq!((at(web).text(), at(local).text()), ("ok".to_owned(), "ok".to_owned()));
}

#[test]
fn a_connection_that_waits_in_a_given_socket_is_served() {
    let upstream = Upstream::start(script::answers("ok"));
    let port = free_port();
    let before = "c = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
c.send(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')
os.set_inheritable(os.dup2(c.fileno(), 40), True)
os.environ.update(LISTEN_PID=";
    let script = ACTIVATOR.replace("os.environ.update(LISTEN_PID=", before);
    let config = Config::to(&upstream).to_string();
    let config = config.replacen("bind = \"127.0.0.1:0\"", "bind = \"fd:3\"", 1);
    let locum = locum().config(config).by(&["python3", "-c", &script, &port.to_string(), ""]);
    let locum = locum.start();
    locum.counts("locum_calls_total", &[("code", "200")], 1.0);
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
}

#[test]
fn a_socket_that_was_not_given_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("locum.toml");
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream).to_string();
    let config = config.replacen("bind = \"127.0.0.1:0\"", "bind = \"fd:web\"", 1);
    std::fs::write(&file, config).unwrap();
    let ended =
        locum_testkit::run_to_end(crate::setup::binary(), &["run", "-c", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("the process was given no sockets"), "{}", ended.errors);
}
