//! On epoll: tokio, one thread.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use crate::{BUFFER, is_whole};

pub(crate) fn run(listen: SocketAddr, origin: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind(listen).await.unwrap();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            spawn_local(carry(client, origin));
        }
    });
}

async fn carry(mut client: TcpStream, origin: SocketAddr) -> io::Result<()> {
    let mut upstream = TcpStream::connect(origin).await?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let mut bytes = vec![0; BUFFER];
    loop {
        let count = message(&mut client, &mut bytes).await?;
        upstream.write_all(&bytes[..count]).await?;
        let count = message(&mut upstream, &mut bytes).await?;
        client.write_all(&bytes[..count]).await?;
    }
}

async fn message(stream: &mut TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while !is_whole(&bytes[..count]) {
        match stream.read(&mut bytes[count..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => count += more,
        }
    }
    Ok(count)
}
