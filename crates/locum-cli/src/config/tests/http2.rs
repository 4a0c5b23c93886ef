//! What may be said of HTTP/2, and what may not.

use super::{Config, GOOD, demo, told_of};

#[test]
fn all_limits_of_http2_arrive_in_the_plan() {
    let limits = "bind = \"127.0.0.1:8080\"\n[listeners.web.limits.http2]\nstreams = 1\nstream_window = \"2KiB\"\n\
                  connection_window = \"65KiB\"\nframe_bytes = \"17KiB\"\nheader_table = \"3KiB\"\n\
                  header_frames = 4\ncontrol_frames = 5\nmemory = \"66KiB\"\nempty_frames = 6\n\
                  mistakes = 7\nsettings_timeout = \"9s\"\nresets = 8\n";
    let text = GOOD.replace("bind = \"127.0.0.1:8080\"\n", limits);
    let config = Config::parse("f.toml", &text).expect("no errors");
    let settings = config.settings(demo::NOWHERE).expect("addresses only");
    let printed = crate::print::plan(&settings);
    let expected = serde_json::json!({
        "streams": 1, "stream_window": "2KiB", "connection_window": "65KiB", "frame_bytes": "17KiB",
        "header_table": "3KiB", "header_frames": 4, "control_frames": 5, "memory": "66KiB",
        "empty_frames": 6, "mistakes": 7, "settings_timeout": "9s", "resets": 8,
    });
    assert_eq!(printed["listeners"][0]["limits"]["http2"], expected);
}

#[test]
fn each_mistake_is_told_with_place_key_reason_and_remedy() {
    let cases = [
        (
            "bind =",
            "limits = { http2 = { streams = 0 } }\nbind =",
            "4:32: error: listeners.web.limits.http2.streams: 0 would refuse everything; write 1 or more, or leave it out",
        ),
        (
            "bind =",
            "limits = { http2 = { frame_bytes = \"8KiB\" } }\nbind =",
            "4:36: error: listeners.web.limits.http2.frame_bytes: a connection of HTTP/2 cannot be served so; write a size from 16KiB to 1MiB",
        ),
        (
            "bind =",
            "limits = { http2 = { settings_timeout = \"0s\" } }\nbind =",
            "4:41: error: listeners.web.limits.http2.settings_timeout: a time of 0 would end everything at once; write a longer one, or leave it out",
        ),
        (
            "bind =",
            "limits = { http2 = { stream = 1 } }\nbind =",
            "4:22: error: listeners.web.limits.http2.stream: there is no key `stream` here; did you mean `streams`?",
        ),
        (
            "weight = 2 }]",
            "weight = 2 }]\nprotocol = \"h2\"\npool = { idle_per_worker = 1 }",
            "8:10: warning: upstreams.users.pool.idle_per_worker: it has no effect on an upstream that speaks h2; remove it",
        ),
        (
            "weight = 2 }]",
            "weight = 2 }]\nprotocol = \"grpc\"\ntypes = { \"A.B\" = { C = \"int\" } }",
            "8:1: error: upstreams.users.types: an upstream that speaks grpc has no methods; remove it, or name a `protocol` of remote calls",
        ),
    ];
    for (from, to, expected) in cases {
        let lines = told_of(from, to);
        assert!(lines.iter().any(|line| *line == format!("f.toml:{expected}")), "{lines:#?}");
    }
}
