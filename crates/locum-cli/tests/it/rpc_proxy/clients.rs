//! Clients: many of them, slow ones, and those whose bytes come in odd pieces.

use locum_testkit::{Args, Calls, Mode, Pieces, eventually};

use super::setup::{client, factors, gob_server, held, hold, multiply, newest_go, release, to};

#[test]
fn a_thousand_clients_get_the_answers_to_their_own_calls() {
    let Some(go) = newest_go() else { return };
    let servers = [gob_server(&go), gob_server(&go)];
    let locum = to(&[&servers[0], &servers[1]]).start();
    let calls = Calls { connections: 1000, callers: 1, calls: 100 };
    let tally = go.load(Mode::Gob, locum.address("rpc"), calls);
    assert_eq!((tally.ok(), tally.failures()), (100_000, 0), "{tally:?}");
    assert!(servers.iter().all(|server| tally.by(server.address) > 30_000), "{tally:?}");
    locum.counts("locum_calls_total", &[("protocol", "gob"), ("outcome", "success")], 100_000.0);
}

#[test]
fn a_call_is_the_same_however_its_bytes_are_cut() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    for pieces in [Pieces::Bytes, Pieces::Cut(1), Pieces::Cut(2), Pieces::Cut(3)] {
        for upgraded in [false, true] {
            let mut client = client(&locum);
            if upgraded {
                client.upgrade(pieces);
            }
            for (a, b) in [(7, 8), (-1, 1 << 40)] {
                let bytes = client.write("Arith.Multiply", Args::Ints("Args", &factors(a, b)));
                client.send_in(pieces, &bytes);
                assert_eq!(client.answer().unwrap().int(), a * b);
            }
        }
    }
}

#[test]
fn a_client_that_says_it_sends_no_more_gets_all_of_its_answers() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    let mut client = client(&locum);
    for _ in 0..10 {
        hold(&mut client, 8);
    }
    eventually("all are under way", || held(&server, 8) == 10);
    client.half_close();
    release(&server, 8);
    for _ in 0..10 {
        assert_eq!(client.answer().unwrap().int(), 8);
    }
    assert!(client.is_closed());
}

#[test]
fn a_client_that_reads_nothing_stalls_nobody_and_is_closed() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).listener("limits = { write_stall = \"1s\" }").start();
    let mut good = client(&locum);
    assert_eq!(multiply(&mut good).int(), 42);
    let before = locum.resident();
    let mut slow = client(&locum);
    for _ in 0..200 {
        slow.begin("Echo.Blob", Args::Int(1 << 20));
    }
    let connections = || locum.metric("locum_connections", &[("listener", "rpc")]);
    let mut most = before;
    eventually("it is closed", || {
        for _ in 0..20 {
            assert_eq!(multiply(&mut good).int(), 42);
        }
        most = most.max(locum.resident());
        connections() < 2.0
    });
    let grown = most - before;
    super::hostile::report("a client that reads none of 200 MiB", grown);
    // 16 MiB and one more wait for it, while their buffer grows twice; all else that it calls for fails.
    assert!(grown < 48 << 20, "{} MiB more", grown >> 20);
    locum.counts("locum_refused_total", &[("listener", "rpc"), ("reason", "timeout")], 1.0);
    assert_eq!(multiply(&mut good).int(), 42);
}

#[test]
fn a_client_that_takes_its_answers_gets_all_of_them() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    let mut client = client(&locum);
    for _ in 0..200 {
        client.begin("Echo.Blob", Args::Int(1 << 20));
    }
    for _ in 0..200 {
        assert_eq!(client.answer().unwrap().bytes().len(), 1 << 20);
    }
}
