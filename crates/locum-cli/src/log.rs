//! The log: what an operator wants to know, on standard error.

use std::io;

use tracing::level_filters::LevelFilter;

use crate::config::file::{Format, Level};

/// Starts it. Only the first call of a process has an effect.
pub(crate) fn start(level: Level, format: Format) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let log =
        tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_target(false);
    let started = match format {
        Format::Text => log.try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
    // A second start finds the log there already.
    drop(started);
}
