//! The programs that make the load, and how what they say is read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::peer::Peer;
use super::scenario::{Load, Scenario};
use super::server::REST;
use crate::process::{root, target};

/// What a load saw.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    pub(super) requests: f64,
    /// Requests a second.
    pub(super) rate: f64,
    /// The latency in milliseconds that half of the requests stay below.
    pub(super) p50: f64,
    /// The latency in milliseconds that 99 of 100 requests stay below.
    pub(super) p99: f64,
}

/// Loads `peer` for so many seconds.
pub(super) fn run(scenario: &Scenario, peer: &Peer, seconds: u32) -> Result<Said, String> {
    // A load that waits for ever for a proxy that does not answer is ended.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", &(seconds + 20).to_string(), "taskset", "-c", REST]);
    let log = target().join("bench-proxy/h2load.log");
    match scenario.load {
        Load::Wrk { connections, words, script } => {
            command.args(["wrk", "-t1", "--latency"]).args(words);
            command.arg(format!("-c{connections}")).arg(format!("-d{seconds}s"));
            if let Some(script) = script {
                command.arg("-s").arg(root().join("bench").join(script.file));
            }
        }
        Load::H2load { connections, streams } => {
            // It appends.
            drop(fs::remove_file(&log));
            command.args(["h2load", "-t1"]).arg(format!("-c{connections}"));
            command.arg(format!("-m{streams}")).arg(format!("-D{seconds}"));
            command.arg("--log-file").arg(&log);
        }
    }
    command.arg(scenario.url(peer));
    if let Load::Wrk { script: Some(script), .. } = scenario.load {
        command.args(["--", &script.argument.to_string()]);
    }
    let output = command.output();
    let Output { stdout, stderr, .. } = output.map_err(|error| format!("the load: {error}"))?;
    let text = String::from_utf8_lossy(&stdout);
    let said = match scenario.load {
        Load::Wrk { .. } => wrk(&text),
        Load::H2load { .. } => h2load(&text, &log),
    };
    said.ok_or_else(|| {
        format!("{}, {}: {text}{}", peer.name, scenario.name, String::from_utf8_lossy(&stderr))
    })
}

/// Reads what wrk says. Failed requests spoil a run: it says nothing of working ones.
fn wrk(said: &str) -> Option<Said> {
    if said.contains("Socket errors:") || said.contains("Non-2xx") {
        return None;
    }
    let after =
        |label: &str| said.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let requests = said.lines().find_map(|line| line.trim().split_once(" requests in "))?.0;
    Some(Said {
        requests: requests.parse().ok()?,
        rate: after("Requests/sec:")?.parse().ok()?,
        p50: milliseconds(after("50%")?)?,
        p99: milliseconds(after("99%")?)?,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = match text {
        _ if text.ends_with("us") => (text.strip_suffix("us")?, 0.001),
        _ if text.ends_with("ms") => (text.strip_suffix("ms")?, 1.0),
        _ => (text.strip_suffix('s')?, 1000.0),
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// Reads what h2load says, and its log, which has a line a request: when, status, microseconds.
fn h2load(said: &str, log: &Path) -> Option<Said> {
    let line = |label: &str| said.lines().find_map(|line| line.strip_prefix(label));
    let requests: Vec<f64> = line("requests: ")?.split(", ").filter_map(first_number).collect();
    let [_total, _started, _done, succeeded, failed, errored, timed_out] = *requests else {
        return None;
    };
    if failed + errored + timed_out > 0.0 || succeeded == 0.0 {
        return None;
    }
    let rate = first_number(line("finished in ")?.split(", ").nth(1)?)?;
    let took = fs::read_to_string(log).ok()?;
    let mut took: Vec<f64> =
        took.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    took.sort_by(f64::total_cmp);
    let below = |share: usize| took.get(took.len() * share / 100).map(|took| took / 1000.0);
    Some(Said { requests: succeeded, rate, p50: below(50)?, p99: below(99)? })
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// A member of the line of JSON that our own loads print, an object of numbers.
pub(super) fn number(said: &str, name: &str) -> Option<f64> {
    let object = said.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut members = object.split(',').filter_map(|member| member.split_once(':'));
    let (_, value) = members.find(|(key, _)| key.trim_matches('"') == name)?;
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "Running 3s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.13ms  310.28us   4.28ms   78.28%
    Req/Sec    50.12k     2.10k   53.00k    70.00%
  Latency Distribution
     50%    1.14ms
     75%    1.30ms
     90%    1.52ms
     99%  980.00us
  150000 requests in 3.00s, 170.00MB read
Requests/sec:  50000.00
Transfer/sec:     56.67MB
";

    const H2LOAD: &str = "starting benchmark...
finished in 3.00s, 25420.33 req/s, 26.10MB/s
requests: 76517 total, 76773 started, 76517 done, 76517 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 76517 2xx, 0 3xx, 0 4xx, 0 5xx
";

    #[test]
    fn what_wrk_says_is_read() {
        let said = Said { requests: 150_000.0, rate: 50_000.0, p50: 1.14, p99: 0.98 };
        assert_eq!(wrk(WRK), Some(said));
        assert_eq!(wrk(&format!("{WRK}  Non-2xx or 3xx responses: 1\n")), None);
    }

    #[test]
    fn what_h2load_says_is_read() {
        let log = std::env::temp_dir().join(format!("h2load-{}.log", std::process::id()));
        fs::write(&log, "1\t200\t3000\n2\t200\t1000\n3\t200\t2000\n").unwrap();
        let said = Said { requests: 76_517.0, rate: 25_420.33, p50: 2.0, p99: 3.0 };
        assert_eq!(h2load(H2LOAD, &log), Some(said));
        assert_eq!(h2load(&H2LOAD.replace("0 failed", "1 failed"), &log), None);
        fs::remove_file(&log).unwrap();
    }
}
