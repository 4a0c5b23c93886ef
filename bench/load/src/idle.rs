//! Connections that made one request each, and then nothing.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::answer::Answer;
use crate::{REQUEST, Result};

/// Fewer than there are ports for one address.
const OF_ONE_SOURCE: usize = 20_000;

/// Opens and holds them, as the documentation of the program says.
pub(crate) fn hold(address: SocketAddr, count: usize) -> Result<()> {
    let mut lines = io::stdin().lock().lines();
    let mut held = vec![open(address, 0)?];
    println!("1");
    if lines.next().transpose()?.is_none() {
        return Ok(());
    }
    for n in held.len()..count {
        held.push(open(address, n).map_err(|error| format!("connection {n}: {error}"))?);
    }
    println!("{}", held.len());
    // Until standard input ends.
    lines.for_each(drop);
    Ok(())
}

fn open(address: SocketAddr, n: usize) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // So that as many more can be opened right after: the end of a connection keeps no port.
    socket.set_linger(Some(Duration::ZERO))?;
    let source = Ipv4Addr::new(127, 0, 0, u8::try_from(2 + n / OF_ONE_SOURCE)?);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&address.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(REQUEST)?;
    let (mut answer, mut buffer) = (Answer::default(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err("closed before it had answered".into()),
            Ok(n) if answer.take(&buffer[..n])? => return Ok(stream),
            Ok(_) => {}
            // Who was stopped, and goes on.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);
