//! The decision log of the program.

use locum_testkit::{Upstream, eventually, script};
use serde_json::Value;

use crate::setup::Config;

#[test]
fn every_decision_is_a_line_in_the_words_of_the_simulator() {
    let upstream = Upstream::start(script::fails_first(1, "503 Service Unavailable"));
    let locum = Config::to(&upstream)
        .policy(
            "rate_limit = { rate = \"1/h\", burst = 1 }\n\
             retry = { attempts = 2, base = \"1ms\", backoff = \"fixed\" }\nbreaker = {}",
        )
        .and("[log]\ndecisions = \"stdout\"\n[runtime]\nworkers = 1")
        .start();
    let mut client = locum.client();
    assert_eq!([(); 2].map(|()| client.get("/").unwrap().status), [200, 429]);
    let logged = || -> Vec<Value> {
        locum.output().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let expected = [
        (0, "admitted rate_limit"),
        (0, "admitted breaker"),
        (0, "attempt first"),
        (0, "settled breaker failure"),
        (0, "delayed retry"),
        (0, "admitted breaker"),
        (0, "attempt retry"),
        (0, "settled breaker success"),
        (0, "done success"),
        (1, "rejected rate_limit limited"),
        (1, "done rejected"),
    ];
    eventually("all is written", || logged().len() == expected.len());
    let told: Vec<(u64, String)> = logged()
        .iter()
        .map(|line| {
            let words = ["event", "policy", "kind", "reason", "outcome"];
            let words: Vec<_> = words.iter().filter_map(|key| line[*key].as_str()).collect();
            (line["id"].as_u64().unwrap(), words.join(" "))
        })
        .collect();
    assert_eq!(told, expected.map(|(id, words)| (id, words.to_owned())));
    let attempt = &logged()[2];
    assert_eq!(attempt["endpoint"], upstream.address().to_string());
    assert_eq!(logged()[4]["wait"], 1);
    locum.counts("locum_decision_log_dropped_bytes_total", &[], 0.0);
}
