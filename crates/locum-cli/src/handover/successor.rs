//! The old process's side of an upgrade.

use std::env;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{self, Child, Command, ExitStatus};
use std::time::Duration;

use locum_proxy::listener::Sockets;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::{Message, STARTED_BY, receive, send_all, unexpected};

/// A process that is about to take this one's place. Dropping it ends it.
pub(crate) struct Successor {
    /// None once it is on its own.
    child: Option<Child>,
    ready: JoinHandle<io::Result<()>>,
}

impl Successor {
    /// Starts it: the program that this one was started as, which may have been replaced meanwhile, with the
    /// same arguments.
    ///
    /// # Errors
    ///
    /// This process may not end, or the other cannot be started.
    pub(crate) fn start(sockets: Sockets) -> io::Result<Self> {
        if process::id() == 1 {
            let what = "as the first process of a container it cannot give way to another: the \
                        container would end with it; start a new container instead";
            return Err(io::Error::other(what));
        }
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        for timeout in [Timeout::Send, Timeout::Recv] {
            set_socket_timeout(&ours, timeout, Some(PATIENCE))?;
        }
        let mut arguments = env::args_os();
        let program = arguments.next().unwrap_or_else(|| "locum".into());
        let mut command = Command::new(program);
        command.args(arguments).env(STARTED_BY, process::id().to_string());
        // These name the old process, or what it was given; the new one is given it by us.
        for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(variable);
        }
        let child = command.stdin(theirs).spawn()?;
        let ready = spawn_blocking(move || hand_over(&ours, sockets));
        Ok(Self { child: Some(child), ready })
    }

    /// Waits until it serves, or says why it does not.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn ready(&mut self) -> Result<(), String> {
        let ready = (&mut self.ready).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        match ready {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let ended = match &mut self.child {
                    Some(child) => end_of(child).await,
                    None => None,
                };
                let ended = ended.map_or_else(String::new, |status| format!(" ({status})"));
                Err(format!("the new process has ended before it was ready{ended}"))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(format!("the new process is not ready after {PATIENCE:?}"))
            }
            Err(error) => Err(format!("the new process cannot take over: {error}")),
        }
    }

    /// From now on it is on its own; its id.
    pub(crate) fn let_go(mut self) -> Option<u32> {
        self.child.take().map(|child| child.id())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // It may have ended by itself.
        drop(child.kill());
        drop(child.wait());
    }
}

/// How a process ends that has hung up. Most likely it is about to; one that goes on is ended.
async fn end_of(child: &mut Child) -> Option<ExitStatus> {
    for _ in 0..100 {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        sleep(Duration::from_millis(10)).await;
    }
    drop(child.kill());
    child.wait().ok()
}

fn hand_over(channel: &OwnedFd, sockets: Sockets) -> io::Result<()> {
    // The other end breaks off when the new process has ended.
    send_all(channel.as_fd(), sockets).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            io::ErrorKind::UnexpectedEof.into()
        }
        _ => error,
    })?;
    match receive(channel.as_fd()) {
        Ok((Message::Ready, _)) => Ok(()),
        Ok((message, _)) => Err(unexpected(&message)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
        Err(error) => Err(error),
    }
}

/// A start reads files and looks up names; whoever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
