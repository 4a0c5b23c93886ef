//! The admin API: health, metrics, how things stand, and a few changes.
//!
//! It has a thread and a listener of its own, so that it answers when the data path is full. Who
//! may ask what is decided in [`guard`]; what is answered, in [`api`].

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::config::value::Bind;
use crate::running::Running;

mod api;
mod guard;
mod policies;
mod process;
mod upstreams;

/// An admin API that listens and does not answer yet.
pub(crate) struct Listener {
    /// Where it really listens.
    pub(crate) address: Bind,
    socket: Socket,
}

/// An admin API that answers.
pub(crate) struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Opens the listener.
///
/// # Errors
///
/// The address is taken, or not ours to take.
pub(crate) fn open(listen: &Bind) -> io::Result<Listener> {
    match listen {
        Bind::Tcp(address) => {
            let socket =
                Socket::new(Domain::for_address(*address), Type::STREAM.nonblocking(), None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&(*address).into())?;
            socket.listen(BACKLOG)?;
            let address = socket.local_addr()?.as_socket().unwrap_or(*address);
            Ok(Listener { address: Bind::Tcp(address), socket })
        }
        Bind::Unix(path) => {
            remove_stale(path)?;
            let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
            socket.bind(&SockAddr::unix(path)?)?;
            // Before it listens nobody can connect, so nobody but the owner ever can.
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            socket.listen(BACKLOG)?;
            Ok(Listener { address: listen.clone(), socket })
        }
    }
}

/// A socket file that nobody listens on is left from a process that was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Ok(()),
    }
}

/// Starts answering.
///
/// # Errors
///
/// The system refuses a thread or the listener.
pub(crate) fn start(listener: Listener, running: Arc<Running>) -> io::Result<Server> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let accepting = {
        let _entered = runtime.enter();
        match &listener.address {
            Bind::Tcp(_) => Accept::Tcp(TcpListener::from_std(listener.socket.into())?),
            Bind::Unix(_) => Accept::Unix(UnixListener::from_std(listener.socket.into())?),
        }
    };
    let thread = std::thread::Builder::new().name("locum-admin".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = accept(&accepting, &running) => {}
                // Stopped, or whoever could stop it is gone.
                _ = stopped => {}
            }
        });
    })?;
    Ok(Server { stop, thread })
}

impl Server {
    /// Ends it; requests that are being answered are cut off.
    pub(crate) fn stop(self) {
        // If its thread has ended by itself, that was the aim.
        let _ = self.stop.send(());
        drop(self.thread.join());
    }
}

enum Accept {
    Tcp(TcpListener),
    Unix(UnixListener),
}

async fn accept(listener: &Accept, running: &Arc<Running>) {
    let local = matches!(listener, Accept::Unix(_));
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let running = Arc::clone(running);
        let accepted = match listener {
            Accept::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                connections.spawn(serve(stream, running, local));
            }),
            Accept::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                connections.spawn(serve(stream, running, local));
            }),
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "the admin API cannot accept a connection");
            sleep(AFTER_FAILURE).await;
        }
    }
}

async fn serve<S>(stream: S, running: Arc<Running>, local: bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let running = Arc::clone(&running);
        async move { Ok::<_, Infallible>(api::answer(request, &running, local).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD);
    // However the connection ended, there is nobody to tell.
    drop(http.serve_connection(TokioIo::new(stream), service).await);
}

const BACKLOG: i32 = 128;
const MAX_CONNECTIONS: usize = 128;
const MAX_HEAD: usize = 32 * 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// When descriptors are short, trying at once would only use up the processor.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
