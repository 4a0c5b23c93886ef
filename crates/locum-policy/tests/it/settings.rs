//! Settings as they are written.

use locum_policy::gates::breaker::{Per, Window};
use locum_policy::gates::rate_limit::Algorithm;
use locum_policy::gates::retry::{Backoff, Condition};
use locum_policy::{Key, Mode, Policy, Settings};

use crate::world::millis;

const CAREFUL: &str = r#"
mode = "enforce"
timeout = "2s"
attempt_timeout = "500ms"
rate_limit = { algorithm = "token-bucket", rate = "100/s", burst = 200, key = "client-ip" }
concurrency = { max = 256, queue = 64, queue_timeout = "50ms" }
breaker = { per = "upstream", window = "10s", min_calls = 20, failure_rate = 0.5, wait = "5s", half_open = { concurrency = 1, required = 3 } }
retry = { attempts = 3, backoff = "full-jitter", base = "25ms", cap = "1s", budget = { ratio = 0.2, min_per_second = 10, ttl = "10s" } }

[methods."Arith.Divide"]
timeout = "500ms"
idempotent = true
"#;

fn error(text: &str) -> String {
    toml::from_str::<Settings>(text).unwrap_err().message().to_string()
}

#[test]
fn a_policy_reads_as_it_is_documented() {
    let settings: Settings = toml::from_str(CAREFUL).unwrap();
    assert_eq!(settings.timeout, Some(millis(2_000)));
    assert_eq!(settings.rate_limit[0].key, [Key::ClientIp]);
    assert_eq!(settings.concurrency.as_ref().unwrap().queue_timeout, Some(millis(50)));
    assert_eq!(settings.breaker, Some(Default::default()));
    assert_eq!(settings.retry, Some(Default::default()));
    assert_eq!(settings.methods["Arith.Divide"].idempotent, Some(true));
    Policy::build("careful", &settings, 1, None).unwrap();
}

#[test]
fn what_is_written_reads_back_the_same() {
    let unusual = r#"
        mode = "shadow"
        rate_limit = [
            { rate = "10/min", key = ["header:X-Tenant", "method"], max_keys = 10 },
            { algorithm = "leaky-bucket", rate = "7/250ms", free = 2, max_wait = "1500ms", mode = "off" },
            { algorithm = "warm-up", rate = "7/s", warm_up = "1min", cold_factor = 2.5, max_wait = "1s" },
            { algorithm = "sliding-log", rate = "1000/s", key = "client-ip" },
        ]
        breaker = { per = "endpoint", window = 100, slow = { threshold = "200ms" }, consecutive = 5, ramp = "1min" }
        retry = { backoff = "decorrelated-jitter", retry_on = ["connect", "503", "UNAVAILABLE"], replay_bytes = "1MiB" }
        hedge = { delay = "p95", max = 2 }
        fallback = { status = 203, headers = { X-Stale = "yes" }, body = "[]" }
        fault = { mode = "off", delay = "200ms", delay_rate = 0.1, abort = 503, abort_rate = 0.05 }
    "#;
    let settings: Settings = toml::from_str(unusual).unwrap();
    assert_eq!(settings.mode, Mode::Shadow);
    assert_eq!(settings.rate_limit[0].key, [Key::Header("x-tenant".into()), Key::Method]);
    assert_eq!(settings.rate_limit[1].algorithm, Algorithm::LeakyBucket);
    let breaker = settings.breaker.as_ref().unwrap();
    assert_eq!((breaker.per, breaker.window), (Per::Endpoint, Window::Last(100)));
    let retry = settings.retry.as_ref().unwrap();
    assert_eq!(retry.backoff, Backoff::DecorrelatedJitter);
    assert_eq!(retry.retry_on, [Condition::Connect, Condition::Status(503), Condition::Grpc(14)]);
    assert_eq!(retry.replay_bytes, 1 << 20);
    for settings in [settings, toml::from_str(CAREFUL).unwrap(), Settings::default()] {
        let written = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&written).unwrap(), settings, "{written}");
    }
}

#[test]
fn an_unknown_key_is_refused_and_the_known_ones_are_named() {
    let message = error("timeuot = \"2s\"");
    assert!(message.contains("`timeuot`") && message.contains("`attempt_timeout`"), "{message}");
    for text in [
        "hedge = { delay = \"p95\", budget = {} }",
        "fallback = { value = 1 }",
        "fault = { rate = 0.1 }",
    ] {
        assert!(error(text).starts_with("unknown field"), "{text}");
    }
}

#[test]
fn adaptive_is_a_switch_or_a_table() {
    let adaptive = |text: &str| {
        let settings: Settings = toml::from_str(&format!("concurrency = {{ {text} }}")).unwrap();
        let written = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&written).unwrap(), settings, "{written}");
        Policy::build("test", &settings, 1, None).unwrap();
        settings.concurrency.unwrap().adaptive
    };
    assert_eq!(adaptive("max = 1, adaptive = false"), None);
    assert_eq!(adaptive("adaptive = true").unwrap().max, 1_000);
    let tuned = adaptive("adaptive = { max = 50 }").unwrap();
    assert_eq!((tuned.min, tuned.max, tuned.smoothing, tuned.tolerance), (4, 50, 0.2, 1.5));
    assert!(error("concurrency = { adaptive = 5 }").contains("`true`, `false` or a table"));
}

#[test]
fn an_unknown_algorithm_is_refused_and_the_known_ones_are_named() {
    let message = error("rate_limit = { algorithm = \"bucket\", rate = \"1/s\" }");
    let expected = "`bucket` is not one of `token-bucket`, `leaky-bucket`, `sliding-window`, `sliding-log`, `warm-up`";
    assert_eq!(message, expected);
}

#[test]
fn a_malformed_value_says_what_is_understood() {
    for (text, expected) in [
        ("timeout = \"2 seconds\"", "`2 seconds` is not a duration such as"),
        ("timeout = 2", "expected a duration such as \"250ms\""),
        ("rate_limit = { rate = \"100\" }", "`100` is not a rate such as"),
        (
            "rate_limit = { rate = \"1/s\", key = \"ip\" }",
            "`ip` is not one of `client-ip`, `header:NAME`",
        ),
        ("breaker = { window = -1 }", "not a number of calls"),
        ("breaker = { per = \"host\" }", "`host` is not one of `upstream`, `endpoint`, `method`"),
        ("mode = \"on\"", "`on` is not one of `enforce`, `shadow`, `off`"),
        ("retry = { replay_bytes = \"64 kilo\" }", "`64 kilo` is not a size such as"),
        ("rate_limit = {}", "missing field `rate`"),
    ] {
        let message = error(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn a_value_out_of_range_names_its_key_the_reason_and_the_remedy() {
    for (text, path) in [
        ("timeout = \"1ms\"", "timeout"),
        ("breaker = { failure_rate = 0.0 }", "breaker.failure_rate"),
        ("breaker = { failure_rate = nan }", "breaker.failure_rate"),
        ("breaker = { min_calls = 0 }", "breaker.min_calls"),
        ("breaker = { window = 100, buckets = 10 }", "breaker.buckets"),
        ("breaker = { jitter = 1.0 }", "breaker.jitter"),
        ("breaker = { factor = 0.5 }", "breaker.factor"),
        ("breaker = { wait = \"10s\", max_wait = \"5s\" }", "breaker.max_wait"),
        ("breaker = { half_open = { required = 0 } }", "breaker.half_open.required"),
        ("breaker = { slow = { threshold = \"0s\" } }", "breaker.slow.threshold"),
        ("breaker = { consecutive = 0 }", "breaker.consecutive"),
        ("concurrency = {}", "concurrency.max"),
        ("concurrency = { max = 0 }", "concurrency.max"),
        ("concurrency = { adaptive = false }", "concurrency.max"),
        ("concurrency = { adaptive = { min = 9, max = 8 } }", "concurrency.adaptive.max"),
        ("concurrency = { max = 3, adaptive = true }", "concurrency.adaptive.min"),
        ("concurrency = { adaptive = { smoothing = 0.0 } }", "concurrency.adaptive.smoothing"),
        ("concurrency = { adaptive = { tolerance = 0.9 } }", "concurrency.adaptive.tolerance"),
        ("concurrency = { adaptive = { probe = \"1ms\" } }", "concurrency.adaptive.probe"),
        ("concurrency = { max = 1, priority = \"header:p\" }", "concurrency.priority"),
        ("concurrency = { max = 1, queue = 1, priority = \"route\" }", "concurrency.priority"),
        ("throttle = { k = 0.9 }", "throttle.k"),
        ("throttle = { window = \"1ms\" }", "throttle.window"),
        ("concurrency = { max = 1, queue_timeout = \"1s\" }", "concurrency.queue_timeout"),
        ("rate_limit = { rate = \"1/s\", burst = 0 }", "rate_limit.burst"),
        ("rate_limit = { rate = \"1/s\", cost = 2 }", "rate_limit.cost"),
        ("rate_limit = { rate = \"1/s\", free = 1 }", "rate_limit.free"),
        ("rate_limit = { rate = \"1/s\", max_wait = \"1s\" }", "rate_limit.max_wait"),
        ("rate_limit = { rate = \"1/s\", max_keys = 1 }", "rate_limit.max_keys"),
        ("rate_limit = { rate = \"1/s\", warm_up = \"1s\" }", "rate_limit.warm_up"),
        ("rate_limit = { rate = \"1/s\", cold_factor = 2 }", "rate_limit.cold_factor"),
        (
            "rate_limit = { algorithm = \"sliding-window\", rate = \"1/s\", burst = 1 }",
            "rate_limit.burst",
        ),
        (
            "rate_limit = { algorithm = \"sliding-log\", rate = \"1/s\", burst = 1 }",
            "rate_limit.burst",
        ),
        (
            "rate_limit = { algorithm = \"warm-up\", rate = \"1/s\", warm_up = \"1s\", burst = 1 }",
            "rate_limit.burst",
        ),
        ("rate_limit = { algorithm = \"warm-up\", rate = \"1/s\" }", "rate_limit.warm_up"),
        (
            "rate_limit = { algorithm = \"warm-up\", rate = \"1/s\", warm_up = \"0s\" }",
            "rate_limit.warm_up",
        ),
        (
            "rate_limit = { algorithm = \"warm-up\", rate = \"1/s\", warm_up = \"1s\", cold_factor = 0.5 }",
            "rate_limit.cold_factor",
        ),
        (
            "rate_limit = { algorithm = \"sliding-window\", rate = \"1/s\", max_wait = \"1s\" }",
            "rate_limit.max_wait",
        ),
        ("rate_limit = { algorithm = \"sliding-log\", rate = \"2000000/h\" }", "rate_limit.rate"),
        (
            "rate_limit = { algorithm = \"sliding-log\", rate = \"1000/s\", key = \"client-ip\", max_keys = 5000 }",
            "rate_limit.max_keys",
        ),
        ("retry = { attempts = 0 }", "retry.attempts"),
        ("retry = { base = \"2s\" }", "retry.cap"),
        ("retry = { budget = { ratio = -0.1 } }", "retry.budget.ratio"),
        ("retry = { budget = { ttl = \"0s\" } }", "retry.budget.ttl"),
    ] {
        let settings: Settings = toml::from_str(text).unwrap();
        let error = Policy::build("test", &settings, 1, None).expect_err(text);
        assert_eq!(error.path, path, "{text}");
        assert!(!error.reason.is_empty() && !error.remedy.is_empty(), "{text}");
    }
}

#[test]
fn a_part_that_is_off_is_not_there_and_is_still_read() {
    let settings: Settings = toml::from_str("mode = \"off\"\nconcurrency = { max = 1 }").unwrap();
    let policy = Policy::build("test", &settings, 1, None).unwrap();
    assert_eq!(policy.snapshot(locum_policy::Time::ZERO).concurrency, None);
}

#[test]
fn every_key_is_described_by_the_schema() {
    let schema = schemars::schema_for!(Settings);
    let written = toml::to_string(&toml::from_str::<Settings>(CAREFUL).unwrap()).unwrap();
    let written: toml::Table = toml::from_str(&written).unwrap();
    let properties =
        schema.get("properties").and_then(|properties| properties.as_object()).unwrap();
    for key in written.keys() {
        assert!(properties.contains_key(key), "{key}");
    }
}
