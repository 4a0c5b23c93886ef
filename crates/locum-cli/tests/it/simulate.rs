//! `locum simulate`: what it prints, what it writes, and how it refuses.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use locum_testkit::{Finished, run_to_end};
use tempfile::TempDir;

use crate::setup::binary;

/// Files in a directory of their own.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn exists(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }

    /// Simulates; words that end in a known suffix are files.
    fn simulate(&self, words: &str) -> Finished {
        let is_file = |word: &str| word.ends_with(".toml") || word.ends_with(".jsonl");
        let path = |word: &str| if is_file(word) { self.path(word) } else { word.to_owned() };
        let words: Vec<_> = words.split(' ').map(path).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        run_to_end(binary(), &[&["simulate"], &*words].concat())
    }
}

const CONFIG: &str = "[policies.careful]\nrate_limit = { rate = \"10/s\", burst = 1 }\n";
const TRACE: &str = "{\"at\":0}\n{\"at\":50}\n{\"at\":100,\"attempts\":[{\"took\":7.5}]}\n";

#[test]
fn a_trace_is_played_under_a_policy_of_a_file_with_nothing_else() {
    let files = Files::new(&[("c.toml", CONFIG), ("t.jsonl", TRACE)]);
    let with = "--config c.toml --policy careful --trace t.jsonl --log o.jsonl";
    let told = files.simulate(&format!("{with} --json"));
    assert_eq!(told.code, Some(0), "{}", told.errors);
    let summary: serde_json::Value = serde_json::from_str(&told.output).unwrap();
    assert_eq!((&summary["calls"], &summary["attempts"]), (&3.into(), &2.into()));
    assert_eq!(summary["outcomes"]["rejected"], 1);
    assert_eq!(summary["latency"]["p99.9"], 7.5);
    assert_eq!(
        files.read("o.jsonl").lines().nth(3),
        Some(
            r#"{"t":50,"id":1,"event":"rejected","policy":"rate_limit","reason":"limited","retry_after":50}"#
        )
    );
    let table = files.simulate(with).output;
    assert!(table.contains("calls           3\n  success       2 (66.7 %)\n"), "{table}");
}

#[test]
fn a_bad_line_is_named_and_no_log_is_begun() {
    let trace = format!("{TRACE}{{\"at\":99}}\n");
    let files = Files::new(&[("c.toml", CONFIG), ("t.jsonl", &trace)]);
    let told = files.simulate("--config c.toml --policy careful --trace t.jsonl --log o.jsonl");
    assert_eq!((told.code, &*told.output), (Some(1), ""));
    assert!(told.errors.contains("t.jsonl:4:"), "{}", told.errors);
    assert!(!files.exists("o.jsonl"));
}

#[test]
fn a_trace_may_come_by_a_pipe() {
    let files = Files::new(&[("c.toml", CONFIG)]);
    let config = files.path("c.toml");
    let words = ["simulate", "--config", &config, "--policy", "careful", "--trace", "-", "--json"];
    let mut child = Command::new(binary())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(TRACE.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["calls"], 3);
}

#[test]
fn what_is_not_there_is_named() {
    let files = Files::new(&[("c.toml", CONFIG), ("t.jsonl", TRACE)]);
    for (words, code, named) in [
        ("--config c.toml --policy carefull --trace t.jsonl", 1, "`carefull`"),
        ("--config c.toml --policy careful --trace no.jsonl", 1, "no.jsonl"),
        ("--config no.toml --policy careful --trace t.jsonl", 1, "no.toml"),
        ("--config c.toml --policy careful", 2, "--trace"),
        ("--config c.toml --trace t.jsonl", 2, "--policy"),
        ("--policy careful --trace t.jsonl", 2, "--config"),
        ("--config c.toml --policy careful --trace t.jsonl --scenario s.toml", 2, "--scenario"),
    ] {
        let told = files.simulate(words);
        assert_eq!(told.code, Some(code), "{words}: {}", told.errors);
        assert!(told.errors.contains(named), "{words}: {}", told.errors);
    }
}

const SCENARIO: &str = r#"
duration = "2s"
policy = "careful"
[arrivals]
process = "poisson"
rate = 100
[[servers]]
service = { distribution = "trace", file = "times.txt" }
"#;

#[test]
fn a_scenario_finds_its_policy_and_its_service_times() {
    let own = format!("{SCENARIO}\n{CONFIG}");
    let files = Files::new(&[
        ("own.toml", &own),
        ("other.toml", SCENARIO),
        ("c.toml", CONFIG),
        ("times.txt", "1.5\n2ms\n"),
    ]);
    let told = files.simulate("--scenario own.toml --json --seed 3 --log own.jsonl");
    assert_eq!(told.code, Some(0), "{}", told.errors);
    let summary: serde_json::Value = serde_json::from_str(&told.output).unwrap();
    assert_eq!(summary["latency"]["max"], 2.0);
    assert!(summary["outcomes"]["rejected"].as_u64() > Some(100), "{summary}");
    let other = "--scenario other.toml --config c.toml --json --seed 3 --log other.jsonl";
    assert_eq!(files.simulate(other).output, told.output);
    assert_eq!(files.read("own.jsonl"), files.read("other.jsonl"));
    assert_ne!(files.simulate("--scenario own.toml --json").output, told.output);
}

#[test]
fn what_is_wrong_with_a_scenario_is_named_with_its_place() {
    for (from, to, place, said) in [
        ("rate = 100", "rate = -1", "6:8", "-1 is not a rate"),
        ("rate =", "rat =", "6:1", "did you mean `rate`?"),
        ("poisson", "poison", "5:11", "did you mean `poisson`?"),
        ("\"trace\", file = \"times.txt\"", "\"normal\"", "8:11", "add `mean = …`"),
        ("times.txt", "none.txt", "8:44", "cannot read"),
        ("careful", "careless", "", "add `[policies.careless]`"),
        ("duration = \"2s\"", "duration = \"2 s\"", "2:12", "2 s"),
    ] {
        let text = format!("{SCENARIO}\n{CONFIG}").replacen(from, to, 1);
        let files = Files::new(&[("s.toml", &text), ("times.txt", "1.5\n")]);
        let told = files.simulate("--scenario s.toml");
        assert_eq!((told.code, &*told.output), (Some(1), ""), "{to}: {}", told.errors);
        assert!(told.errors.contains(&format!("s.toml:{place}")), "{to}: {}", told.errors);
        assert!(told.errors.contains(said), "{to}: {}", told.errors);
    }
}
