//! The standard process metrics, as the kernel tells them.

use std::fs;
use std::time::UNIX_EPOCH;

use locum_proxy::metrics::Exposition;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::running::Running;

/// Writes `process_*`. What the kernel does not tell is left out.
pub(super) fn render(out: &mut Exposition, running: &Running) {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    out.counter("process_cpu_seconds", "Time on a processor, all threads together.");
    out.count(&[], format_args!("{}.{:09}", spent.tv_sec, spent.tv_nsec));

    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let figure = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    let memory = [
        ("process_resident_memory_bytes", "Memory in use.", "VmRSS"),
        ("process_virtual_memory_bytes", "Memory mapped.", "VmSize"),
    ];
    for (name, help, key) in memory {
        if let Some(kib) = figure(key) {
            out.gauge(name, help);
            out.value(&[], kib * 1024);
        }
    }
    if let Some(threads) = figure("Threads") {
        out.gauge("process_threads", "Threads.");
        out.value(&[], threads);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        out.gauge("process_open_fds", "File descriptors in use.");
        // One of them is that of the folder itself.
        out.value(&[], descriptors.count().saturating_sub(1));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        out.gauge("process_max_fds", "File descriptors that may be in use.");
        out.value(&[], most);
    }
    if let Ok(since) = running.started_at.duration_since(UNIX_EPOCH) {
        out.gauge("process_start_time_seconds", "When the process began, in seconds since 1970.");
        out.value(&[], format_args!("{}.{:03}", since.as_secs(), since.subsec_millis()));
    }
}
