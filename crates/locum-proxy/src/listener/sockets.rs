//! Listening sockets: those that others opened for us, and those that we open.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::{Domain, Socket, TcpKeepalive, Type};

use super::unix::listen_unix;
use super::{Bind, Settings};

/// Listening sockets that others opened: connections may wait in them already.
#[derive(Debug, Default)]
pub struct Sockets {
    /// By whoever starts the process, and meant for it as long as it lives.
    pub given: Vec<Given>,
    /// By the process whose place this one takes, each for a listener.
    pub handed: Vec<Handed>,
}

/// A socket that [`Bind::Given`] names.
#[derive(Debug)]
pub struct Given {
    /// Its number, as whoever opened it counts.
    pub number: u32,
    /// Its name, which several may have.
    pub name: String,
    socket: Socket,
}

/// A socket that listened for a listener of another process.
#[derive(Debug)]
pub struct Handed {
    /// That listener.
    pub listener: String,
    socket: Socket,
}

impl Given {
    /// The socket `descriptor`, to be named so.
    ///
    /// # Errors
    ///
    /// It is not one that listens for connections.
    pub fn new(number: u32, name: String, descriptor: OwnedFd) -> io::Result<Self> {
        Ok(Self { number, name, socket: listening(descriptor)? })
    }

    /// Another descriptor of it.
    ///
    /// # Errors
    ///
    /// There is none left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone().map(OwnedFd::from)
    }

    fn is(&self, called: &str) -> bool {
        self.name == called || called.parse() == Ok(self.number)
    }
}

impl Handed {
    /// The socket `descriptor`, opened for that listener.
    ///
    /// # Errors
    ///
    /// It is not one that listens for connections.
    pub fn new(listener: String, descriptor: OwnedFd) -> io::Result<Self> {
        Ok(Self { listener, socket: listening(descriptor)? })
    }

    /// The socket itself.
    pub fn into_descriptor(self) -> OwnedFd {
        self.socket.into()
    }

    pub(crate) fn of(listener: &str, socket: &Socket) -> io::Result<Self> {
        Ok(Self { listener: listener.to_owned(), socket: socket.try_clone()? })
    }

    /// Whether it is what `listener` would open.
    fn fits(&self, listener: &str, bind: &Bind) -> bool {
        match (address_of(&self.socket), bind) {
            // Any port will do, so it stays the one that clients know.
            (Some(Bind::Tcp(at)), Bind::Tcp(wanted)) if wanted.port() == 0 => {
                at.ip() == wanted.ip() && self.listener == listener
            }
            (at, wanted) => at.as_ref() == Some(wanted),
        }
    }
}

impl Sockets {
    /// Those that were given by that name or number, each another descriptor.
    ///
    /// # Errors
    ///
    /// There is none, or no descriptor is left.
    pub fn named(&self, called: &str) -> io::Result<Vec<OwnedFd>> {
        let named = self.given.iter().filter(|given| given.is(called));
        let named = named.map(Given::descriptor).collect::<io::Result<Vec<_>>>()?;
        match named.is_empty() {
            false => Ok(named),
            true => Err(io::Error::new(io::ErrorKind::NotFound, self.missing())),
        }
    }

    /// Takes those that were handed over for `listener` at `bind`.
    pub fn take(&mut self, listener: &str, bind: &Bind) -> Vec<OwnedFd> {
        let taken = self.handed.extract_if(.., |handed| handed.fits(listener, bind));
        taken.map(Handed::into_descriptor).collect()
    }

    /// Those that were given, once more.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub(crate) fn again(&self) -> io::Result<Vec<Given>> {
        let again = |given: &Given| {
            let (number, name) = (given.number, given.name.clone());
            Ok(Given { number, name, socket: given.socket.try_clone()? })
        };
        self.given.iter().map(again).collect()
    }

    fn missing(&self) -> String {
        let one = |given: &Given| match given.name.is_empty() {
            true => format!("`fd:{}`", given.number),
            false => format!("`fd:{}` (`fd:{}`)", given.name, given.number),
        };
        let all: Vec<_> = self.given.iter().map(one).collect();
        match all.is_empty() {
            true => "the process was given no sockets; start it by a unit of systemd that has \
                     some, or write an address"
                .to_owned(),
            false => format!("no such socket was given; there are {}", all.join(", ")),
        }
    }
}

/// What a listener listens on.
pub(crate) struct Opened {
    pub(crate) name: String,
    /// Where it really listens.
    pub(crate) bind: Bind,
    pub(crate) sockets: Vec<Socket>,
    /// The same, dealt out to the workers: each has at least one.
    pub(crate) dealt: Vec<Vec<Socket>>,
}

/// Opens what `settings` ask for, or takes it from `ready`.
///
/// TCP workers get a socket each (`SO_REUSEPORT`: the kernel spreads connections, no lock between
/// workers); a unix socket, and one that was given, is one that the workers share.
///
/// # Errors
///
/// The address is taken, not ours to take, or not of this machine; no such socket was given.
pub(crate) fn open(settings: &Settings, workers: usize, ready: &mut Sockets) -> io::Result<Opened> {
    let taken = match &settings.bind {
        Bind::Given(called) => ready.named(called)?,
        bind => ready.take(&settings.name, bind),
    };
    let mut sockets: Vec<Socket> = taken.into_iter().map(Socket::from).collect();
    match &settings.bind {
        Bind::Given(_) => {}
        Bind::Unix(path) if sockets.is_empty() => {
            sockets.push(listen_unix(path, settings.socket, BACKLOG)?);
        }
        Bind::Unix(path) => settings.socket.apply(path)?,
        Bind::Tcp(address) => open_tcp(*address, workers, &mut sockets)?,
    }
    let bind = sockets.first().and_then(address_of).unwrap_or_else(|| settings.bind.clone());
    let dealt = deal(&sockets, workers)?;
    Ok(Opened { name: settings.name.clone(), bind, sockets, dealt })
}

/// Every socket goes to a worker, and every worker gets a socket, shared if they are too few.
fn deal(sockets: &[Socket], workers: usize) -> io::Result<Vec<Vec<Socket>>> {
    let mut dealt: Vec<Vec<Socket>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, socket) in sockets.iter().cycle().take(sockets.len().max(workers)).enumerate() {
        dealt[index % workers].push(socket.try_clone()?);
    }
    Ok(dealt)
}

/// Opens as many as are missing for every worker to have its own.
fn open_tcp(address: SocketAddr, workers: usize, sockets: &mut Vec<Socket>) -> io::Result<()> {
    let address = match sockets.first() {
        Some(socket) => socket.local_addr()?.as_socket().unwrap_or(address),
        // SO_REUSEPORT would let us share the port with a stranger of the same user and lose half
        // the connections to it, so first make sure that nobody else listens there.
        None => {
            let probe = tcp_socket(address)?;
            probe.bind(&address.into())?;
            probe.local_addr()?.as_socket().unwrap_or(address)
        }
    };
    let have = sockets.len();
    for _ in have..workers {
        let socket = tcp_socket(address)?;
        socket.set_reuse_port(true)?;
        prepare(&socket)?;
        socket.bind(&address.into())?;
        sockets.push(socket);
    }
    sockets[have.min(workers)..].iter().try_for_each(|socket| socket.listen(BACKLOG))
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

/// Accepted sockets inherit these, so they cost no system call a connection.
fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.set_tcp_keepalive(&keepalive())?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// A socket that somebody else opened, made as ours are.
fn listening(descriptor: OwnedFd) -> io::Result<Socket> {
    let socket = Socket::from(descriptor);
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    match address_of(&socket) {
        Some(Bind::Tcp(_)) => prepare(&socket)?,
        Some(_) => {}
        None => {
            let what = "it listens on neither TCP nor the path of a unix socket";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn address_of(socket: &Socket) -> Option<Bind> {
    let address = socket.local_addr().ok()?;
    let path = || address.as_pathname().map(|path| Bind::Unix(path.to_owned()));
    address.as_socket().map(Bind::Tcp).or_else(path)
}

/// Finds peers that vanished without a word.
pub(crate) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(3)
}

pub(crate) const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn handed(listener: &str, at: &str) -> (Handed, SocketAddr) {
        let socket = TcpListener::bind(at).unwrap();
        let address = socket.local_addr().unwrap();
        (Handed::new(listener.to_owned(), socket.into()).unwrap(), address)
    }

    fn settings(bind: Bind) -> Settings {
        Settings::new("web", bind)
    }

    #[test]
    fn every_worker_has_a_socket_and_every_socket_a_worker() {
        let sockets: Vec<Socket> =
            (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap().into()).collect();
        let counts = |dealt: Vec<Vec<Socket>>| dealt.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(counts(deal(&sockets, 2).unwrap()), [2, 1]);
        assert_eq!(counts(deal(&sockets, 3).unwrap()), [1, 1, 1]);
        assert_eq!(counts(deal(&sockets[..1], 3).unwrap()), [1, 1, 1]);
    }

    #[test]
    fn what_was_handed_over_is_found_by_its_address_or_where_any_will_do_by_its_listener() {
        let (web, address) = handed("web", "127.0.0.1:0");
        let (other, _) = handed("other", "127.0.0.1:0");
        let mut ready = Sockets { handed: vec![web, other], ..Sockets::default() };
        let any = Bind::Tcp("127.0.0.1:0".parse().unwrap());
        assert_eq!(ready.take("third", &any).len(), 0);
        assert_eq!(ready.take("renamed", &Bind::Tcp(address)).len(), 1);
        assert_eq!(ready.take("other", &any).len(), 1);
        assert!(ready.handed.is_empty());
    }

    #[test]
    fn a_listener_that_is_handed_too_few_sockets_opens_the_rest_at_the_same_port() {
        let any = settings(Bind::Tcp("127.0.0.1:0".parse().unwrap()));
        let first = open(&any, 1, &mut Sockets::default()).unwrap();
        let handed = vec![Handed::of("web", &first.sockets[0]).unwrap()];
        let more = open(&any, 3, &mut Sockets { handed, ..Sockets::default() }).unwrap();
        assert_eq!((more.sockets.len(), &more.bind), (3, &first.bind));
    }

    #[test]
    fn a_given_socket_is_named_by_its_name_or_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let unix = UnixListener::bind(&path).unwrap();
        let given = Given::new(4, "local".to_owned(), unix.into()).unwrap();
        let mut ready = Sockets { given: vec![given], ..Sockets::default() };
        for called in ["4", "local"] {
            let opened = open(&settings(Bind::Given(called.to_owned())), 2, &mut ready).unwrap();
            assert_eq!((opened.bind, opened.dealt.len()), (Bind::Unix(path.clone()), 2));
        }
        let missing = open(&settings(Bind::Given("web".to_owned())), 1, &mut ready);
        let missing = missing.err().unwrap().to_string();
        assert_eq!(missing, "no such socket was given; there are `fd:local` (`fd:4`)");
    }

    #[test]
    fn what_does_not_listen_is_not_taken() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(Given::new(3, String::new(), udp.into()).is_err());
        let idle = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        assert!(Given::new(3, String::new(), idle.into()).is_err());
    }
}
