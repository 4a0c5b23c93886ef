//! An upgrade: another process takes this one's place, and its listening sockets, while calls go on.
//!
//! The old process starts the new one with one end of a pair of unix sockets as its standard input, and
//! sends every listening socket over it. Both accept from the same sockets, so no connection is lost
//! whichever of them takes it. Once the new one says that it serves, the old one drains.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use locum_proxy::listener::{Given, Handed, Sockets};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

pub(crate) use predecessor::inherit;
pub(crate) use successor::Successor;

mod predecessor;
mod successor;

/// What goes over the pair, a message each.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Message {
    /// A socket of that listener. That of the admin API is called `admin`, as no listener is.
    Listener(String),
    /// A socket that whoever started the first process gave it.
    Given { number: u32, name: String },
    /// Those were all.
    End,
    /// The new process serves.
    Ready,
}

/// Sends all of them.
fn send_all(channel: BorrowedFd<'_>, sockets: Sockets) -> io::Result<()> {
    for handed in sockets.handed {
        let label = Message::Listener(handed.listener.clone());
        send(channel, &label, Some(handed.into_descriptor().as_fd()))?;
    }
    for given in sockets.given {
        let label = Message::Given { number: given.number, name: given.name.clone() };
        send(channel, &label, Some(given.descriptor()?.as_fd()))?;
    }
    send(channel, &Message::End, None)
}

/// Receives all of them.
fn receive_all(channel: BorrowedFd<'_>) -> io::Result<Sockets> {
    let mut sockets = Sockets::default();
    loop {
        match receive(channel)? {
            (Message::Listener(name), Some(socket)) => {
                sockets.handed.push(Handed::new(name, socket)?);
            }
            (Message::Given { number, name }, Some(socket)) => {
                sockets.given.push(Given::new(number, name, socket)?);
            }
            (Message::End, None) => return Ok(sockets),
            (message, _) => return Err(unexpected(&message)),
        }
    }
}

fn send(
    channel: BorrowedFd<'_>,
    message: &Message,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let descriptors = descriptor.as_slice();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(channel, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(channel: BorrowedFd<'_>) -> io::Result<(Message, Option<OwnedFd>)> {
    let mut text = [0; MOST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let iov = &mut [IoSliceMut::new(&mut text)];
    let received = recvmsg(channel, iov, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a message is cut short"));
    }
    Ok((serde_json::from_slice(&text[..received.bytes])?, descriptor))
}

fn unexpected(message: &Message) -> io::Error {
    io::Error::other(format!("not expected now: {message:?}"))
}

/// Tells the new process who started it: a variable that only its child may believe.
const STARTED_BY: &str = "LOCUM_UPGRADE_FROM";
/// No name is longer than a line.
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use locum_proxy::listener::Bind;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn sockets_pass_with_their_names_and_connections_that_wait_in_them() {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let (web, given) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = web.local_addr().unwrap();
        let waiting = std::net::TcpStream::connect(address).unwrap();
        let sockets = Sockets {
            handed: vec![Handed::new("web".to_owned(), web.into()).unwrap()],
            given: vec![Given::new(3, "http".to_owned(), given.into()).unwrap()],
        };
        send_all(one.as_fd(), sockets).unwrap();
        let mut received = receive_all(other.as_fd()).unwrap();
        assert_eq!(received.named("http").unwrap().len(), 1);
        let taken = received.take("web", &Bind::Tcp(address));
        let taken = TcpListener::from(taken.into_iter().next().unwrap());
        let (_, peer) = taken.accept().unwrap();
        assert_eq!(peer, waiting.local_addr().unwrap());
    }

    #[test]
    fn a_process_that_ends_is_not_one_that_is_ready() {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        drop(other);
        let ended = receive(one.as_fd()).unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    }
}
