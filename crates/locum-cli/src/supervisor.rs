//! What the process tells whoever supervises it, in the words of `sd_notify`(3), and is given by it.

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use listenfd::ListenFd;
use locum_proxy::listener::Given;
use rustix::time::{ClockId, clock_gettime};

/// A supervisor that wants to know, or none.
pub(crate) struct Supervisor {
    /// Where it listens.
    at: Option<(UnixDatagram, SocketAddr)>,
    /// It takes the process for hung that says nothing for so long.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that the environment names.
    ///
    /// # Errors
    ///
    /// It cannot be reached.
    pub(crate) fn find() -> io::Result<Self> {
        let at = match env::var("NOTIFY_SOCKET") {
            Ok(name) => Some((UnixDatagram::unbound()?, address(&name)?)),
            Err(_) => None,
        };
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|&usec| ours && usec > 0);
        Ok(Self { at, watchdog: watchdog.map(Duration::from_micros) })
    }

    /// Everything listens.
    pub(crate) fn is_ready(&self) {
        self.say("READY=1");
    }

    /// A reload begins; [`is_ready`](Self::is_ready) ends it.
    pub(crate) fn reloads(&self) {
        // When systemd's own clock read this, so that it knows which signal is meant.
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// The process drains, and ends.
    pub(crate) fn stops(&self) {
        self.say("STOPPING=1");
    }

    /// Another process serves in this one's place.
    pub(crate) fn is_replaced_by(&self, pid: u32) {
        self.say(&format!("MAINPID={pid}\nREADY=1"));
    }

    /// Says again and again that the process lives, each time that `lives` comes to its end.
    pub(crate) async fn keep_awake(self: std::sync::Arc<Self>, lives: impl AsyncFn()) {
        let (Some(watchdog), Some(_)) = (self.watchdog, &self.at) else { return };
        loop {
            lives().await;
            self.say("WATCHDOG=1");
            tokio::time::sleep(watchdog / 2).await;
        }
    }

    fn say(&self, what: &str) {
        let Some((socket, address)) = &self.at else { return };
        if let Err(error) = socket.send_to_addr(what.as_bytes(), address) {
            tracing::warn!(%error, "the supervisor cannot be told {what:?}");
        }
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

/// The sockets that systemd opened for this process (`LISTEN_FDS`).
///
/// # Errors
///
/// One is not a socket that listens.
pub(crate) fn given() -> io::Result<Vec<Given>> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut sockets = ListenFd::from_env();
    let mut given = Vec::new();
    for (index, number) in (0..sockets.len()).zip(FIRST..) {
        let name = names.next().unwrap_or_default().to_owned();
        let socket = match sockets.take_tcp_listener(index) {
            Ok(socket) => socket.map(OwnedFd::from),
            Err(_) => sockets.take_unix_listener(index)?.map(OwnedFd::from),
        };
        if let Some(socket) = socket {
            given.push(Given::new(number, name, socket)?);
        }
    }
    Ok(given)
}

/// `SD_LISTEN_FDS_START`.
const FIRST: u32 = 3;
