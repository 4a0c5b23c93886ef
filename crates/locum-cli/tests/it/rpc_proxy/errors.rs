//! What a client is told of a call that fails: the service's own words, byte for byte, or the proxy's.

use locum_testkit::{Args, refused};

use super::setup::{client, factors, gob_server, multiply, newest_go, to};
use crate::setup::Config;

#[test]
fn a_call_without_a_route_is_told_what_go_says_and_the_connection_goes_on() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let config = to(&[&server]).to_string().replace("call = \"*\"", "call = \"Arith.*\"");
    let locum = crate::setup::locum().config(config).start();
    let mut client = client(&locum);
    for method in ["Echo.Text", "Arithmetic.Multiply", "X.Arith.Multiply", "", "."] {
        let answer = client.call(method, Args::Text(b"an argument of any type"));
        assert_eq!(answer.failure(), format!("rpc: can't find service {method}"));
        assert_eq!(multiply(&mut client).int(), 42);
    }
    let unrouted = [("protocol", "gob"), ("outcome", "refused")];
    locum.counts("locum_calls_total", &unrouted, 5.0);
}

#[test]
fn what_a_service_says_of_its_failure_is_passed_on_verbatim() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    let mut client = client(&locum);
    let long = "long ".repeat(10_000);
    let texts: [&[u8]; 6] = [
        b"no",
        "grüße, 世界".as_bytes(),
        b"not \xff\xfe UTF-8 \xc3\x28",
        b"locum: rejected by breaker \"their own\": open; retry after 4.2s",
        b"a\x00b\n\"c\"",
        long.as_bytes(),
    ];
    for text in texts {
        let answer = client.call("Faults.Fail", Args::Text(text));
        assert_eq!(answer.error, text, "{}", answer.failure());
    }
    let answer = client.call("Arith.Divide", Args::Ints("Args", &factors(7, 0)));
    assert_eq!(answer.failure(), "divide by zero");
    // Each is an answer, since the server works; but one reads as if its own breaker had refused the call.
    locum.counts("locum_attempts_total", &[("upstream", "up"), ("outcome", "success")], 6.0);
    locum.counts("locum_attempts_total", &[("upstream", "up"), ("outcome", "failure")], 1.0);
}

#[test]
fn what_go_says_of_methods_and_arguments_is_passed_on_verbatim() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    let mut through = client(&locum);
    let mut straight = locum_testkit::NetRpc::connect(server.address);
    for method in ["Nobody.Knows", "Arith.Power", "Arith", "A.B.Multiply", "Arith.Multiply"] {
        let args = Args::Text(b"no struct");
        let [through, straight] = [&mut through, &mut straight].map(|it| it.call(method, args));
        assert_ne!(straight.failure(), "");
        assert_eq!(through.failure(), straight.failure(), "{method}");
    }
    assert_eq!(multiply(&mut through).int(), 42);
}

#[test]
fn values_that_are_no_text_pass_unchanged() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    let mut client = client(&locum);
    let odd = b"\xff\x00\xc3\x28\xed\xa0\x80";
    assert_eq!(client.call("Echo.Text", Args::Text(odd)).text(), odd);
    let large: Vec<u8> = (0..1 << 20).map(|n: u32| (n ^ n >> 8) as u8).collect();
    assert_eq!(client.call("Echo.Bytes", Args::Bytes(&large)).bytes(), large);
}

#[test]
fn a_server_that_is_not_there_is_told_of_and_the_connection_goes_on() {
    let locum = Config::calls_to("gob", [refused(), refused()]).start();
    let mut client = client(&locum);
    for _ in 0..3 {
        let told = multiply(&mut client).failure();
        assert!(told.starts_with("locum: unavailable: ") && told.contains("connect"), "{told}");
    }
    locum.counts("locum_calls_total", &[("protocol", "gob"), ("outcome", "failure")], 3.0);
}
