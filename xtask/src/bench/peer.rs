//! The proxies of the benchmarks, each a pinned process with a configuration from `bench/`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::process::{root, target};

/// What to start. `{program}` in the words is ours, `{config}` the configuration.
pub(super) struct Server {
    pub(super) name: &'static str,
    config: &'static str,
    core: &'static str,
    words: &'static [&'static str],
}

/// The core of everything but the proxy under measurement.
pub(super) const REST: &str = "1";
const PROXY: &str = "0";

pub(super) const ORIGIN: Server =
    Server { name: "origin", config: "proxy/origin.conf", core: REST, words: NGINX.words };
pub(super) const NGINX: Server = Server {
    name: "nginx",
    config: "proxy/nginx.conf",
    core: PROXY,
    words: &["nginx", "-c", "{config}"],
};
pub(super) const HAPROXY: Server = Server {
    name: "HAProxy",
    config: "proxy/haproxy.cfg",
    core: PROXY,
    words: &["haproxy", "-f", "{config}"],
};
pub(super) const LOCUM_ALL: Server = Server {
    name: "locum, all policies",
    config: "proxy/policies.toml",
    core: PROXY,
    words: &["{program}", "run", "-c", "{config}"],
};
pub(super) const LOCUM_BARE: Server =
    Server { name: "locum, no policy", config: "proxy/bare.toml", ..LOCUM_ALL };

/// Both in front of a server of net/rpc.
pub(super) const HAPROXY_TCP: Server =
    Server { name: "HAProxy, TCP", config: "rpc-proxy/haproxy.cfg", ..HAPROXY };
pub(super) const LOCUM_RPC: Server =
    Server { name: "locum", config: "rpc-proxy/locum.toml", ..LOCUM_ALL };

/// A running server. Dropping it ends it.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// Where it takes HTTP/2 in the clear, if its configuration says so.
    pub(super) http2: SocketAddr,
    /// Where it takes HTTP/1.1 and HTTP/2 under TLS, if its configuration says so.
    pub(super) tls: SocketAddr,
    process: Child,
}

impl Peer {
    /// Starts the server in front of the origin and waits until it listens.
    pub(super) fn start(server: &Server, origin: SocketAddr) -> Result<Self, String> {
        let directory = target().join("bench-proxy");
        fs::create_dir_all(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let [address, http2, tls] = [free_address()?, free_address()?, free_address()?];
        let template = root().join("bench").join(server.config);
        let text = fs::read_to_string(&template)
            .map_err(|error| format!("{}: {error}", template.display()))?
            .replace("{port}", &address.port().to_string())
            .replace("{http2}", &http2.port().to_string())
            .replace("{tls}", &tls.port().to_string())
            .replace("{origin}", &origin.port().to_string())
            .replace("{directory}", &directory.display().to_string())
            .replace("{kibibyte}", &"x".repeat(1024));
        // Of several that run, each has its own.
        let config =
            directory.join(format!("{}-{}", address.port(), server.config.replace('/', "-")));
        fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;

        let process = spawn(server, &config)?;
        let mut peer = Self { name: server.name, address, http2, tls, process };
        peer.wait_until_it_listens()?;
        Ok(peer)
    }

    /// The number of its process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Processor time so far in seconds, all threads together.
    pub(super) fn processor_time(&self) -> Result<f64, String> {
        let tasks = format!("/proc/{}/task", self.process.id());
        let tasks = fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))?;
        let nanoseconds = tasks.filter_map(|task| {
            let schedstat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<u64>().ok()
        });
        Ok(nanoseconds.sum::<u64>() as f64 / 1e9)
    }

    /// Resident memory in KiB.
    pub(super) fn resident(&self) -> Result<u64, String> {
        let file = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
            .ok_or_else(|| format!("{file} has no VmRSS"))
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        for _ in 0..1000 {
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("{} ended with {status}", self.name));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{} does not listen at {}", self.name, self.address))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(server: &Server, config: &Path) -> Result<Child, String> {
    let program = target().join("release/locum");
    let words = server.words.iter().map(|word| {
        word.replace("{config}", &config.display().to_string())
            .replace("{program}", &program.display().to_string())
    });
    // `taskset` replaces itself, so the process is the server's own.
    Command::new("taskset")
        .args(["-c", server.core])
        .args(words)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", server.name))
}

fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))
}
