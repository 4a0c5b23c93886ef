//! An upstream that plays a script on every connection and records what it was sent.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::clock::eventually;
use crate::http::{Broken, Framing, Reader, Request};

/// A listening peer. Dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    record: Arc<Record>,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Which connection of this upstream it came on, counted from 1.
    pub connection: usize,
    /// What it said; the body holds what came of it.
    pub request: Request,
    /// Whether it came to its end.
    pub complete: bool,
    /// Tells it apart while it is still arriving.
    sequence: usize,
}

#[derive(Debug, Default)]
struct Record {
    arrivals: AtomicUsize,
    received: Mutex<Vec<Received>>,
    violations: Mutex<Vec<String>>,
    connections: Mutex<Vec<Option<Open>>>,
    barriers: Mutex<Vec<SocketAddr>>,
}

/// An accepted connection, seen from beside its script.
#[derive(Debug)]
struct Open {
    stream: TcpStream,
    /// Whether the script has seen the first byte of a request and has not come back for the next.
    busy: Arc<AtomicBool>,
}

impl Open {
    /// Nothing is being read, and there is nothing to read. The order matters: a script says that
    /// it is busy before it takes a byte.
    fn is_idle(&self) -> bool {
        let looking = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let nothing = recv(&self.stream, &mut [0; 1], looking) == Err(Errno::AGAIN);
        nothing && !self.busy.load(Ordering::SeqCst)
    }
}

impl Upstream {
    /// Starts a peer on a free port of the loopback that plays the script on each connection.
    pub fn start(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self::serve(listener, Arc::new(script))
    }

    /// Starts a peer on a listener that is open already.
    pub fn on(
        listener: TcpListener,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::serve(listener, Arc::new(script))
    }

    fn serve(listener: TcpListener, script: Arc<dyn Fn(&mut Connection) + Send + Sync>) -> Self {
        let address = listener.local_addr().expect("a bound listener has an address");
        let record = Arc::new(Record::default());
        let stopping = Arc::new(AtomicBool::new(false));
        let acceptor = thread::spawn({
            let (record, stopping) = (record.clone(), stopping.clone());
            move || {
                for stream in listener.incoming() {
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    // Out of descriptors or an aborted handshake: the next one may fare better.
                    let Ok(stream) = stream else { continue };
                    if record.is_barrier(&stream) {
                        continue;
                    }
                    let mut connection = Connection::new(stream, record.clone());
                    let script = script.clone();
                    thread::spawn(move || script(&mut connection));
                }
            }
        });
        Self { address, record, stopping, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request whose head arrived, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.record.received).clone()
    }

    /// How many requests arrived whole.
    pub fn deliveries(&self) -> usize {
        lock(&self.record.received).iter().filter(|r| r.complete).count()
    }

    /// What a strict reader found wrong with the bytes it was sent.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.record.violations).clone()
    }

    /// How many connections were ever accepted.
    pub fn accepted(&self) -> usize {
        lock(&self.record.connections).len()
    }

    /// How many connections are open on this side.
    pub fn open(&self) -> usize {
        lock(&self.record.connections).iter().flatten().count()
    }

    /// Forgets what arrived so far, for the next case.
    pub fn forget(&self) {
        lock(&self.record.received).clear();
        lock(&self.record.violations).clear();
    }

    /// Waits until all that was sent here so far has been read and recorded, and every request
    /// that began has ended, whole or with its connection.
    pub fn settle(&self) {
        // Connections are accepted in order: once this one is, all before it are.
        let barrier = {
            let mut barriers = lock(&self.record.barriers);
            let barrier = TcpStream::connect(self.address).expect("the listener is there");
            barriers.push(barrier.local_addr().expect("a connected socket has an address"));
            barrier
        };
        eventually("all connections are accepted", || lock(&self.record.barriers).is_empty());
        drop(barrier);
        eventually("unfinished requests come to an end upstream", || {
            lock(&self.record.connections).iter().flatten().all(Open::is_idle)
        });
    }
}

impl Record {
    fn is_barrier(&self, stream: &TcpStream) -> bool {
        let mut barriers = lock(&self.barriers);
        let at = barriers.iter().position(|b| stream.peer_addr().is_ok_and(|peer| peer == *b));
        at.map(|at| barriers.remove(at)).is_some()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that it should stop.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        for open in lock(&self.record.connections).iter().flatten() {
            drop(open.stream.shutdown(Shutdown::Both));
        }
    }
}

/// One accepted connection, in the hands of a script.
#[derive(Debug)]
pub struct Connection {
    /// Which one it is, counted from 1.
    pub number: usize,
    busy: Arc<AtomicBool>,
    reader: Reader<TcpStream>,
    record: Arc<Record>,
}

/// A request whose head has been read.
struct Begun {
    sequence: usize,
    request: Request,
    framing: Framing,
}

impl Connection {
    fn new(stream: TcpStream, record: Arc<Record>) -> Self {
        drop(stream.set_nodelay(true));
        let busy = Arc::new(AtomicBool::new(false));
        let number = {
            let open = stream.try_clone().map(|stream| Open { stream, busy: busy.clone() });
            let mut connections = lock(&record.connections);
            connections.push(open.ok());
            connections.len()
        };
        Self { number, busy, reader: Reader::new(stream), record }
    }

    /// Reads the next request to its end and records it. `None` when there is none: the peer
    /// closed, or what it sent is not a whole and strict request (which is recorded too).
    pub fn request(&mut self) -> Option<Request> {
        let begun = self.head()?;
        self.rest(begun)
    }

    /// Like [`Connection::request`], with a `100 Continue` between head and body.
    pub fn continued_request(&mut self) -> Option<Request> {
        let begun = self.head()?;
        self.send(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.rest(begun)
    }

    /// Reads and records only the head of the next request, and leaves the body where it is.
    pub fn request_head(&mut self) -> Option<Request> {
        self.head().map(|begun| begun.request)
    }

    fn head(&mut self) -> Option<Begun> {
        self.reader.forget();
        if self.reader.raw().is_empty() {
            self.busy.store(false, Ordering::SeqCst);
            // Looks at the first byte without taking it, so that it is either seen in the socket
            // or known to be in these hands.
            drop(self.stream().peek(&mut [0; 1]));
        }
        self.busy.store(true, Ordering::SeqCst);
        match self.reader.request_head() {
            Ok((request, framing)) => {
                let sequence = self.record.arrivals.fetch_add(1, Ordering::SeqCst);
                lock(&self.record.received).push(Received {
                    connection: self.number,
                    request: request.clone(),
                    complete: false,
                    sequence,
                });
                Some(Begun { sequence, request, framing })
            }
            Err(broken) => {
                self.violated(&broken);
                None
            }
        }
    }

    fn rest(&mut self, begun: Begun) -> Option<Request> {
        let Begun { sequence, mut request, framing } = begun;
        let ended = self.reader.body(framing, &mut request.body);
        let complete = ended.is_ok();
        match ended {
            Ok(trailers) => request.trailers = trailers,
            Err(broken) => self.violated(&broken),
        }
        // The record may have been emptied for the next case meanwhile.
        if let Some(entry) =
            lock(&self.record.received).iter_mut().find(|entry| entry.sequence == sequence)
        {
            entry.request = request.clone();
            entry.complete = complete;
        }
        complete.then_some(request)
    }

    fn violated(&self, broken: &Broken) {
        if let Broken::Invalid(why) = broken {
            lock(&self.record.violations).push(why.clone());
        }
    }

    /// Sends these bytes; an error of the peer's making ends nothing here, the next read shows it.
    pub fn send(&mut self, bytes: &[u8]) {
        drop(self.stream().write_all(bytes));
    }

    /// Sends bytes and says whether the peer still took them.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream().write_all(bytes)
    }

    /// Answers 200 with this body, or without one where the method forbids it.
    pub fn answer(&mut self, request: &Request, body: &[u8]) {
        self.answer_with(request, "200 OK", &[], body);
    }

    /// Answers with this status, these header lines and this body.
    pub fn answer_with(
        &mut self,
        request: &Request,
        status: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if request.method != "HEAD" {
            bytes.extend(body);
        }
        self.send(&bytes);
    }

    /// Waits until the peer has closed the connection, and throws away what it sends until then.
    pub fn wait_for_close(&mut self) {
        let mut sink = [0; 16 * 1024];
        while matches!(self.stream().read(&mut sink), Ok(1..)) {}
    }

    /// Closes with a reset: the peer loses what it has not read.
    pub fn reset(&self) {
        // Nothing but a socket option turns a close into a reset.
        drop(socket2::SockRef::from(self.reader.stream()).set_linger(Some(Duration::ZERO)));
        self.close();
    }

    fn close(&self) {
        lock(&self.record.connections)[self.number - 1] = None;
    }

    /// The socket itself, for scripts that need more than these verbs.
    pub fn stream(&self) -> &TcpStream {
        self.reader.stream()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// An address where nothing listens: connecting is refused at once.
pub fn refused() -> SocketAddr {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("a bound socket has an address");
    // It stays bound as long as the tests run: else the next server of another test might be there.
    std::mem::forget(socket);
    address.as_socket().expect("an IPv4 address")
}

/// An address that takes no connection and refuses none: its backlog is full.
#[derive(Debug)]
pub struct BlackHole {
    address: SocketAddr,
    _listener: socket2::Socket,
    _fill: Vec<socket2::Socket>,
}

impl BlackHole {
    /// Opens the hole.
    pub fn open() -> Self {
        let new = || {
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
                .expect("a socket")
        };
        let listener = new();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        listener.listen(0).expect("a bound socket listens");
        let address = listener.local_addr().expect("a bound socket has an address");
        let fill = (0..4).map(|_| {
            let socket = new();
            drop(socket.connect_timeout(&address, Duration::from_millis(50)));
            socket
        });
        let fill = fill.collect();
        let address = address.as_socket().expect("an IPv4 address");
        Self { address, _listener: listener, _fill: fill }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no script panics while it holds a lock")
}
