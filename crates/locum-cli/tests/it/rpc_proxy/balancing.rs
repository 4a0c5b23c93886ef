//! Where calls go, and what a server that comes and goes does to them.

use locum_testkit::{Args, Calls, Mode, Signal, eventually};

use super::setup::{RETRIES, SOME, attempts_at, client, gob_server, multiply, newest_go, to};

#[test]
fn the_calls_of_one_connection_go_to_both_servers() {
    let Some(go) = newest_go() else { return };
    let servers = [gob_server(&go), gob_server(&go)];
    let locum = to(&[&servers[0], &servers[1]]).start();
    let one = Calls { connections: 1, callers: 1, calls: 20 };
    let tally = go.load(Mode::Gob, locum.address("rpc"), one);
    assert_eq!(tally.failures(), 0, "{tally:?}");
    // One after the other, turn and turn about.
    assert_eq!(servers.map(|server| tally.by(server.address)), [10, 10]);
}

#[test]
fn a_server_that_is_killed_costs_no_call_and_is_used_again_when_it_is_back() {
    let Some(go) = newest_go() else { return };
    let (survivor, victim) = (gob_server(&go), gob_server(&go));
    let (stays, comes_back) = (survivor.address, victim.address);
    let locum = to(&[&survivor, &victim]).policy(RETRIES).start();
    let (tally, _back) = go.load_during(Mode::Gob, locum.address("rpc"), SOME, || {
        eventually("both carry load", || {
            [stays, comes_back].iter().all(|server| attempts_at(&locum, *server) > 100.0)
        });
        // Dropping it is a SIGKILL.
        drop(victim);
        let before = attempts_at(&locum, stays);
        eventually("the survivor carries on", || attempts_at(&locum, stays) > before + 500.0);
        let back = go.server(Mode::Gob, comes_back);
        let name = comes_back.to_string();
        eventually("the other is used again", || {
            let mut client = client(&locum);
            (0..2).any(|_| client.call("Who.Am", Args::Int(0)).text() == name.as_bytes())
        });
        back
    });
    assert_eq!(tally.failures(), 0, "{tally:?}");
    assert!(tally.by(stays) > 500 && tally.by(comes_back) > 100, "{tally:?}");
}

#[test]
fn the_restart_of_an_only_server_is_not_noticed() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let address = server.address;
    let locum =
        to(&[&server]).upstream("pool = { connect_timeout = \"5s\" }").policy(RETRIES).start();
    let mut idle = client(&locum);
    assert_eq!(multiply(&mut idle).int(), 42);
    let mut server = Some(server);
    let (tally, ()) = go.load_during(Mode::Gob, locum.address("rpc"), SOME, || {
        for _ in 0..3 {
            let before = attempts_at(&locum, address);
            eventually("it carries load", || attempts_at(&locum, address) > before + 200.0);
            drop(server.take());
            server = Some(go.server(Mode::Gob, address));
        }
    });
    assert_eq!(tally.failures(), 0, "{tally:?}");
    assert!(tally.by(address) > 600, "{tally:?}");
    assert_eq!(multiply(&mut idle).int(), 42, "on the connection of before");
}

#[test]
fn a_slow_server_is_overtaken() {
    let Some(go) = newest_go() else { return };
    let (fast, slow) = (gob_server(&go), gob_server(&go));
    let policy = "idempotent = true\nhedge = { delay = \"50ms\" }\n\
                  retry = { attempts = 2, budget = { ratio = 1.0, min_per_second = 1000 } }";
    let locum = to(&[&fast, &slow]).policy(policy).start();
    slow.signal(Signal::STOP);
    let calls = Calls { connections: 2, callers: 2, calls: 10 };
    let tally = go.load(Mode::Gob, locum.address("rpc"), calls);
    assert_eq!((tally.by(fast.address), tally.failures()), (40, 0), "{tally:?}");
    let hedged = locum.metric(
        "locum_attempts_total",
        &[("upstream", "up"), ("kind", "hedge"), ("outcome", "success")],
    );
    assert!(hedged >= 10.0, "{hedged} of 40 calls were hedged");
    let lost = [("upstream", "up"), ("kind", "first"), ("outcome", "cancelled")];
    locum.counts("locum_attempts_total", &lost, hedged);
}
