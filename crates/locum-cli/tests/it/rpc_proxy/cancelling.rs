//! Calls that their clients give up.

use locum_testkit::{Answer, Args, Mode, NetRpc, eventually};
use serde_json::json;

use super::setup::{
    ANYWHERE, JsonRpc, client, gob_server, held, hold, multiply, newest_go, release, to,
};

#[test]
fn a_call_that_is_given_up_is_answered_and_the_server_is_told() {
    let Some(go) = newest_go() else { return };
    let server = go.server(Mode::Cancel, ANYWHERE);
    let locum = to(&[&server]).start();
    let mut client = client(&locum);
    for key in 1..4 {
        let given_up = hold(&mut client, key);
        eventually("it is under way", || held(&server, key) == 1);
        let (call, told) = cancel(&mut client, given_up);
        assert_eq!(call.failure(), "context canceled");
        assert!(told.truth());
        eventually("the server let it go", || held(&server, key) == 0);
    }
    assert_eq!(multiply(&mut client).int(), 42);
    let cancelled = [("protocol", "gob"), ("outcome", "cancelled"), ("code", "cancelled")];
    locum.counts("locum_calls_total", &cancelled, 3.0);
}

#[test]
fn a_server_that_cannot_cancel_is_none_the_worse_for_it() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    let mut client = client(&locum);
    let given_up = hold(&mut client, 5);
    eventually("it is under way", || held(&server, 5) == 1);
    let (call, told) = cancel(&mut client, given_up);
    assert_eq!((call.failure().as_str(), told.truth()), ("context canceled", true));
    assert_eq!(multiply(&mut client).int(), 42);
    // Its late answer is nobody's.
    release(&server, 5);
    assert_eq!(multiply(&mut client).int(), 42);
}

#[test]
fn whoever_cancels_what_is_not_under_way_is_told_so_and_nothing_happens() {
    let Some(go) = newest_go() else { return };
    let server = go.server(Mode::Cancel, ANYWHERE);
    let locum = to(&[&server]).start();
    let mut client = client(&locum);
    for seq in [0, 7, 1 << 40, u64::MAX] {
        let answer = client.call("_goRPC_.Cancel", Args::Uint("CancelArgs", "Seq", seq));
        assert!(answer.truth());
    }
    let refused = client.call("_goRPC_.Cancel", Args::Text(b"no struct")).failure();
    assert!(refused.starts_with("gob: "), "{refused}");
    assert_eq!(multiply(&mut client).int(), 42);
}

#[test]
fn nobody_cancels_the_calls_of_others_by_name() {
    let Some(go) = newest_go() else { return };
    let server = go.server(Mode::Cancel, ANYWHERE);
    let locum = to(&[&server]).start();
    let mut stays = client(&locum);
    let stays_on = hold(&mut stays, 15);
    eventually("it is under way", || held(&server, 15) == 1);
    let mut other = JsonRpc::connect(locum.address("rpc"));
    for seq in 0..4 {
        let params = json!([{"Seq": seq}]);
        let call = json!({"method": "_goRPC_.Cancel", "params": params, "id": seq});
        let answer = other.call(&call.to_string());
        assert_eq!(answer["error"], "rpc: can't find service _goRPC_.Cancel");
    }
    assert_eq!(held(&server, 15), 1);
    release(&server, 15);
    let answer = stays.answer().unwrap();
    assert_eq!((answer.seq, answer.int()), (stays_on, 15));
}

#[test]
fn a_client_that_breaks_off_takes_its_calls_with_it() {
    let Some(go) = newest_go() else { return };
    let server = go.server(Mode::Cancel, ANYWHERE);
    let locum = to(&[&server]).start();
    let mut leaves = client(&locum);
    for _ in 0..100 {
        hold(&mut leaves, 6);
    }
    let mut stays = client(&locum);
    let stays_on = hold(&mut stays, 6);
    eventually("all are under way", || held(&server, 6) == 101);
    leaves.reset();
    eventually("those of the client that left are given up", || held(&server, 6) == 1);
    locum.counts("locum_calls_total", &[("outcome", "cancelled")], 100.0);
    release(&server, 6);
    let answer = stays.answer().unwrap();
    assert_eq!((answer.seq, answer.int()), (stays_on, 6));
}

/// Whoever closes says only that nothing more will be sent, and may be there to read: so calls go on until
/// an answer finds nobody, which shows as the next is sent.
#[test]
fn a_client_that_closes_takes_its_calls_with_it_once_that_shows() {
    let Some(go) = newest_go() else { return };
    let server = go.server(Mode::Cancel, ANYWHERE);
    let locum = to(&[&server]).start();
    let mut leaves = client(&locum);
    for key in [12, 13] {
        hold(&mut leaves, key);
    }
    for _ in 0..100 {
        hold(&mut leaves, 14);
    }
    eventually("all are under way", || [12, 13, 14].map(|key| held(&server, key)) == [1, 1, 100]);
    drop(leaves);
    release(&server, 12);
    locum.counts("locum_calls_total", &[("outcome", "success")], 1.0);
    release(&server, 13);
    eventually("the others are given up", || held(&server, 14) == 0);
    locum.counts("locum_calls_total", &[("outcome", "cancelled")], 100.0);
}

/// Gives up a call; gives back what is said to it and to the cancelling.
fn cancel(client: &mut NetRpc, call: u64) -> (Answer, Answer) {
    let cancelling = client.begin("_goRPC_.Cancel", Args::Uint("CancelArgs", "Seq", call));
    let mut answers = [(); 2].map(|()| client.answer().unwrap());
    answers.sort_by_key(|answer| answer.seq);
    assert_eq!(answers.each_ref().map(|answer| answer.seq), [call, cancelling]);
    answers.into()
}
