//! The admin API: health, metrics, how things stand, and a few changes.
//!
//! It has a thread and a listener of its own, so that it answers when the data path is full. Who
//! may ask what is decided in [`guard`]; what is answered, in [`api`].

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use locum_proxy::listener::{SocketFile, Sockets, listen_unix};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::config::value::Bind;
use crate::running::Running;

mod answer;
mod api;
mod configuration;
mod guard;
mod policies;
mod process;
mod routes;
mod upstreams;

/// An admin API that listens and does not answer yet.
pub(crate) struct Listener {
    /// Where it really listens.
    pub(crate) address: Bind,
    socket: Socket,
}

/// An admin API that answers.
pub(crate) struct Server {
    /// What it listens on, to be handed over; none once it does not.
    socket: Option<Socket>,
    retire: watch::Sender<()>,
    /// Says that it does not listen any more.
    left: Receiver<()>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Opens the listener, or takes it from `sockets`.
///
/// # Errors
///
/// The address is taken, or not ours to take; no such socket was given.
pub(crate) fn open(listen: &Bind, sockets: &mut Sockets) -> io::Result<Listener> {
    let taken = match listen {
        Bind::Given(called) => sockets.named(called)?,
        listen => sockets.take("admin", &listen.of_listener()),
    };
    if let Some(socket) = taken.into_iter().next() {
        let socket = Socket::from(socket);
        let address = socket.local_addr()?.as_socket();
        return Ok(Listener { address: address.map_or_else(|| listen.clone(), Bind::Tcp), socket });
    }
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
            let own = SocketFile { mode: Some(0o600), ..SocketFile::default() };
            let socket = listen_unix(path, own, BACKLOG)?;
            Ok(Listener { address: listen.clone(), socket })
        }
        Bind::Given(_) => Err(io::ErrorKind::NotFound.into()),
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
    let (retire, retired) = watch::channel(());
    let (leave, left) = channel();
    let socket = Some(listener.socket.try_clone()?);
    let accepting = {
        let _entered = runtime.enter();
        match listener.socket.local_addr()?.is_unix() {
            false => Accept::Tcp(TcpListener::from_std(listener.socket.into())?),
            true => Accept::Unix(UnixListener::from_std(listener.socket.into())?),
        }
    };
    let thread = std::thread::Builder::new().name("locum-admin".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = serve(accepting, &running, retired, leave) => {}
                // Stopped, or whoever could stop it is gone.
                _ = stopped => {}
            }
        });
    })?;
    Ok(Server { socket, retire, left, stop, thread })
}

impl Server {
    /// What it listens on, for who takes its place; none if it is retired.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub(crate) fn socket(&self) -> io::Result<Option<OwnedFd>> {
        self.socket.as_ref().map(|socket| socket.try_clone().map(OwnedFd::from)).transpose()
    }

    /// From now on another answers who comes; requests that are being answered are finished.
    pub(crate) fn retire(&mut self) {
        self.socket = None;
        self.retire.send_replace(());
        // If it does not leave, it is busy with what it can finish as well later.
        let _ = self.left.recv_timeout(AT_MOST);
    }

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

/// Answers until it is retired and the last connection has ended.
async fn serve(
    listener: Accept,
    running: &Arc<Running>,
    mut retired: watch::Receiver<()>,
    leave: Sender<()>,
) {
    let mut connections = JoinSet::new();
    let ever_retired = retired.clone();
    tokio::select! {
        () = accept(&listener, running, &ever_retired, &mut connections) => {}
        // Retired, or whoever could retire it is gone.
        _ = retired.changed() => {}
    }
    drop(listener);
    drop(leave);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &Accept,
    running: &Arc<Running>,
    retired: &watch::Receiver<()>,
    connections: &mut JoinSet<()>,
) {
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let (running, retired) = (Arc::clone(running), retired.clone());
        let accepted = match listener {
            Accept::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                connections.spawn(converse(stream, running, false, retired));
            }),
            Accept::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                connections.spawn(converse(stream, running, true, retired));
            }),
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "the admin API cannot accept a connection");
            sleep(AFTER_FAILURE).await;
        }
    }
}

async fn converse<S>(
    stream: S,
    running: Arc<Running>,
    local: bool,
    mut retired: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let running = Arc::clone(&running);
        async move { Ok::<_, Infallible>(api::answer(request, &running, local).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    // However it ends, there is nobody to tell.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = retired.changed() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

const BACKLOG: i32 = 128;
const MAX_CONNECTIONS: usize = 128;
const MAX_HEAD: usize = 32 * 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// When descriptors are short, trying at once would only use up the processor.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// How long a new process that serves may wait for the old one to leave the admin API.
const AT_MOST: Duration = Duration::from_secs(1);
