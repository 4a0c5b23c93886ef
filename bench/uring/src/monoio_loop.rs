//! On io_uring: monoio, one thread.

use std::io;
use std::net::SocketAddr;

use monoio::buf::{IoBufMut as _, SliceMut};
use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use monoio::net::{TcpListener, TcpStream};

use crate::{BUFFER, is_whole};

pub(crate) fn run(listen: SocketAddr, origin: SocketAddr) {
    let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(4096);
    builder.build().unwrap().block_on(async move {
        let listener = TcpListener::bind(listen).unwrap();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            monoio::spawn(carry(client, origin));
        }
    });
}

async fn carry(mut client: TcpStream, origin: SocketAddr) -> io::Result<()> {
    let mut upstream = TcpStream::connect(origin).await?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
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
        let (read, slice): (_, SliceMut<Vec<u8>>) = from.read(bytes.slice_mut(had..BUFFER)).await;
        bytes = slice.into_inner();
        if read? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let (sent, bytes) = to.write_all(bytes).await;
    sent.map(|_| bytes)
}
