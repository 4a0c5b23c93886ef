//! On io_uring: compio, one thread.

use std::io;
use std::net::SocketAddr;

use compio::BufResult;
use compio::buf::{IntoInner as _, IoBuf as _};
use compio::io::{AsyncRead as _, AsyncWriteExt as _};
use compio::net::{TcpListener, TcpStream};

use crate::{BUFFER, is_whole};

pub(crate) fn run(listen: SocketAddr, origin: SocketAddr) {
    compio::runtime::Runtime::new().unwrap().block_on(async move {
        let listener = TcpListener::bind(listen).await.unwrap();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            compio::runtime::spawn(carry(client, origin)).detach();
        }
    });
}

async fn carry(mut client: TcpStream, origin: SocketAddr) -> io::Result<()> {
    let mut upstream = TcpStream::connect(origin).await?;
    let mut bytes = Vec::with_capacity(BUFFER);
    loop {
        bytes = carry_one(&mut client, &mut upstream, bytes).await?;
        bytes = carry_one(&mut upstream, &mut client, bytes).await?;
    }
}

async fn carry_one(
    from: &mut TcpStream,
    to: &mut TcpStream,
    mut bytes: Vec<u8>,
) -> io::Result<Vec<u8>> {
    bytes.clear();
    while !is_whole(&bytes) {
        let had = bytes.len();
        let BufResult(read, slice) = from.read(bytes.slice(had..)).await;
        bytes = slice.into_inner();
        if read? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let BufResult(sent, bytes) = to.write_all(bytes).await;
    sent.map(|()| bytes)
}
