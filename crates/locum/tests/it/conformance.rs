//! Real Go at the other end of the wire.

use std::net::{Ipv4Addr, SocketAddr};

use locum_testkit::{Go, Mode};

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn go_passes_its_own_checks() {
    for server in Go::all() {
        for client in Go::all() {
            for mode in [Mode::Gob, Mode::Http, Mode::Json] {
                // A server of net/rpc cannot cancel.
                let kind = if mode == Mode::Gob { Mode::Cancel } else { mode };
                let peer = server.server(kind, ANYWHERE);
                let mut checks = client.checks(mode);
                checks.retain(|check| kind == Mode::Cancel || check != "cancel");
                let failed = client.client(mode, peer.address, &checks);
                assert_eq!(failed, [""; 0], "{} {mode:?} {}", server.version, client.version);
            }
        }
    }
}
