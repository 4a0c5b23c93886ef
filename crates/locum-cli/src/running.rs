//! What runs, and how it came to: changed by the main thread, shown by the admin API.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use locum_policy::Time;
use locum_proxy::{Proxy, StartError, now, plan};
use tokio::sync::Notify;

use crate::config::problem::Sources;
use crate::config::{self, Config};
use crate::demo::Demo;

/// A running proxy with its configuration.
pub(crate) struct Running {
    pub(crate) proxy: Proxy,
    /// When the process began, on the clock of calls.
    pub(crate) started: Time,
    /// The same on the wall.
    pub(crate) started_at: SystemTime,
    /// Reloads that took effect, and that did not.
    pub(crate) reloaded: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Somebody asks for an end by the admin API.
    pub(crate) drain_asked: Notify,
    demo: Demo,
    draining: AtomicBool,
    state: Mutex<Arc<State>>,
    changing: Mutex<()>,
}

/// What a reload changes.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) config: Config,
    /// The token of the admin API, as it was found when the configuration was read.
    pub(crate) token: Option<String>,
    /// The version of the plan: 1 at the start, one more at each reload.
    pub(crate) version: u64,
    /// Since when it runs.
    pub(crate) since: Time,
    /// Why the last reload had no effect, if it had none.
    pub(crate) last_error: Option<String>,
    /// What was read last, whether it took effect or not.
    pub(crate) seen: Sources,
}

impl Running {
    pub(crate) fn new(
        proxy: Proxy,
        config: Config,
        demo: Demo,
        started: Time,
        started_at: SystemTime,
        token: Option<String>,
    ) -> Self {
        let state = State {
            token,
            seen: config.sources.clone(),
            config,
            version: 1,
            since: now(),
            last_error: None,
        };
        Self {
            proxy,
            started,
            started_at,
            reloaded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            drain_asked: Notify::new(),
            demo,
            draining: AtomicBool::new(false),
            state: Mutex::new(Arc::new(state)),
            changing: Mutex::default(),
        }
    }

    /// How things stand.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.lock())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Stops accepting; what is in flight is answered.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.proxy.drain();
    }

    /// Waits until every worker has answered: none of them hangs.
    pub(crate) async fn answers(&self) {
        if !self.is_draining() {
            self.proxy.answers().await;
        }
    }

    /// Whether `read` says the same as what was read last.
    pub(crate) fn has_seen(&self, read: &Result<Config, config::Failure>) -> bool {
        let sources = match read {
            Ok(config) => &config.sources,
            Err(failure) => &failure.sources,
        };
        self.state().seen == *sources
    }

    /// Takes over what was read: whole, or, if anything is wrong with it, not at all. Either way it
    /// is logged and counted. Tells whether it runs now.
    pub(crate) fn reload(&self, read: Result<Config, config::Failure>) -> bool {
        let seen = match &read {
            Ok(config) => config.sources.clone(),
            Err(failure) => failure.sources.clone(),
        };
        self.change(|state| state.seen = seen);
        match read.map_err(|failure| failure.lines()).and_then(|config| self.take_over(config)) {
            Ok(version) => {
                tracing::info!(version, "the new configuration runs");
                self.reloaded.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(lines) => {
                for line in &lines {
                    tracing::error!("not reloaded: {line}");
                }
                self.change(|state| state.last_error = Some(lines.join("\n")));
                self.refused.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// While a reload stays refused: takes over what the files hold now that the configuration names which runs,
    /// if that is something else. A certificate that is renewed does not wait for somebody to mend the rest.
    pub(crate) fn renew(&self) {
        let state = self.state();
        let Some(refused) = &state.last_error else { return };
        let renewed = match state.config.reread() {
            Ok(config) if config.sources == state.config.sources => return,
            Ok(config) => self.take_over(config),
            Err(failure) => {
                failure.lines().iter().for_each(|line| tracing::warn!("not read again: {line}"));
                return;
            }
        };
        match renewed {
            Ok(version) => {
                tracing::info!(
                    version,
                    "files were read again; what was not reloaded does not run"
                );
                self.reloaded.fetch_add(1, Ordering::Relaxed);
                self.change(|state| state.last_error = Some(refused.clone()));
            }
            Err(lines) => {
                lines.iter().for_each(|line| tracing::error!("not read again: {line}"));
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Runs `config`, which somebody gave by the admin API: until the files are read again.
    pub(crate) fn replace(&self, config: Config) -> Result<u64, Vec<String>> {
        let replaced = self.take_over(config);
        match &replaced {
            Ok(version) => {
                tracing::info!(version, "a configuration given by the admin API runs");
                self.reloaded.fetch_add(1, Ordering::Relaxed);
            }
            Err(lines) => {
                lines.iter().for_each(|line| tracing::error!("not replaced: {line}"));
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        replaced
    }

    /// What `config` comes to.
    pub(crate) fn settings(&self, config: &Config) -> Result<plan::Settings, Vec<String>> {
        let demo = self.demo.addresses(&config.file);
        let demo = demo.map_err(|error| vec![format!("the demo backends: {error}")])?;
        config.settings(demo).map_err(|failure| failure.lines())
    }

    fn take_over(&self, config: Config) -> Result<u64, Vec<String>> {
        // By a signal and by the admin API at the same time: one after the other.
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = self.settings(&config)?;
        let token = config.admin_token().map_err(|error| vec![error])?;
        self.proxy.reload(settings).map_err(|error| match error {
            StartError::Plan(error) => config.failure(vec![error]).lines(),
            other => vec![with_cause(&other)],
        })?;
        for warning in &config.warnings {
            tracing::warn!("{}", config.sources.line(warning));
        }
        for key in config.needs_restart(&self.state().config) {
            tracing::warn!("`{key}` has changed; that takes effect at the next start");
        }
        Ok(self.change(|state| {
            state.token = token;
            state.config = config;
            state.version += 1;
            state.since = now();
            state.last_error = None;
            state.version
        }))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(Arc::make_mut(&mut self.lock()))
    }

    fn lock(&self) -> MutexGuard<'_, Arc<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error and what caused it, in one line.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
