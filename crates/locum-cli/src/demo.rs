//! The demo backends: small services in this process, two of HTTP and two of remote calls, to try policies
//! against.
//!
//! A configuration names them `demo://1` and `demo://2`, `demo-rpc://1` and `demo-rpc://2`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, OnceLock};

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::task::JoinSet;

use crate::config::file::File;

mod calls;
mod http;

/// How many there are of each kind.
pub(crate) const COUNT: usize = 2;

/// Where they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) http: [SocketAddr; COUNT],
    pub(crate) rpc: [SocketAddr; COUNT],
}

/// Their addresses as long as they do not run.
pub(crate) const NOWHERE: Addresses = {
    let nowhere = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
    Addresses { http: [nowhere; COUNT], rpc: [nowhere; COUNT] }
};

/// What their welcome page names.
#[derive(Debug)]
pub(crate) struct Names {
    /// The admin API's address, if there is one.
    admin: String,
    /// That of a listener of remote calls, once it is known.
    rpc: OnceLock<String>,
}

/// The backends, which begin when a configuration first names them.
pub(crate) struct Demo {
    names: Arc<Names>,
    addresses: OnceLock<Addresses>,
}

impl Demo {
    /// Their welcome page will link the admin API at `admin`, if there is one.
    pub(crate) fn new(admin: Option<&str>) -> Self {
        let names = Names { admin: admin.unwrap_or_default().to_owned(), rpc: OnceLock::new() };
        Self { names: Arc::new(names), addresses: OnceLock::new() }
    }

    /// Their welcome page names `rpc`, the address of a listener of remote calls.
    pub(crate) fn name_rpc(&self, rpc: &str) {
        // The first is as good as another.
        let _ = self.names.rpc.set(rpc.to_owned());
    }

    /// Where they are, for a configuration that names them or not.
    ///
    /// # Errors
    ///
    /// No port or no thread can be had.
    pub(crate) fn addresses(&self, file: &File) -> io::Result<Addresses> {
        match self.addresses.get() {
            Some(addresses) => Ok(*addresses),
            None if !file.uses_demo() => Ok(NOWHERE),
            None => {
                let started = start(&self.names)?;
                Ok(*self.addresses.get_or_init(|| started))
            }
        }
    }
}

/// Starts them on a thread of their own, which lives as long as the process.
fn start(names: &Arc<Names>) -> io::Result<Addresses> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let mut addresses = NOWHERE;
    let mut backends = JoinSet::new();
    runtime.block_on(async {
        for (number, address) in addresses.http.iter_mut().enumerate() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            *address = listener.local_addr()?;
            backends.spawn(http::serve(listener, number + 1, Arc::clone(names)));
        }
        for address in &mut addresses.rpc {
            let server = calls::bind().await?;
            *address = server.address;
            backends.spawn(server.run());
        }
        Ok::<_, io::Error>(())
    })?;
    let serve = move || {
        runtime.block_on(async { while backends.join_next().await.is_some() {} });
    };
    std::thread::Builder::new().name("locum-demo".into()).spawn(serve)?;
    Ok(addresses)
}
