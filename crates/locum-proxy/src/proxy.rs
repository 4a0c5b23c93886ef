//! A running proxy: its workers, the plan they run, and how that is changed and ended.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::Socket;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;

use crate::access::{self, Access};
use crate::clock::{self, now};
use crate::keeper;
use crate::listener::{self, Bind, Handed, Opened, Sockets};
use crate::log::{self, Log};
use crate::metrics::{self, Exposition, Shard};
use crate::plan::{self, Plan};
use crate::roster::Roster;
use crate::route::{Forced, Traffic};
use crate::shift::{self, Command};
use crate::stage::Stage;
use crate::telemetry::{self, Exporter};
use crate::worker::{Outfit, Worker};

/// How a proxy is run, beside its plan.
#[derive(Default)]
pub struct Options {
    /// Worker threads; 0 is one a core.
    pub workers: usize,
    /// Where calls are logged, one line each.
    pub access: Option<log::Target>,
    /// How such a line is written.
    pub access_format: access::Format,
    /// Where every decision of a policy is logged, one line each.
    pub decisions: Option<log::Target>,
    /// Where traces are told; `None`: nowhere.
    pub telemetry: Option<telemetry::Settings>,
    /// Where time comes from.
    pub clock: clock::Source,
    /// Listening sockets that are open already.
    pub sockets: Sockets,
}

/// A running proxy. Dropping it leaves its workers running until the process ends; drain it first.
pub struct Proxy {
    stage: Arc<Stage>,
    shards: Vec<Arc<Shard>>,
    /// What each listener listens on, by name.
    bound: Mutex<HashMap<String, Bound>>,
    /// For listeners that come with a reload.
    sockets: Mutex<Sockets>,
    access: Option<Log>,
    decisions: Option<Log>,
    exporter: Option<Exporter>,
    clock: clock::Source,
    /// A worker that has ended says so.
    ended: Mutex<Receiver<()>>,
}

/// What a listener listens on.
struct Bound {
    bind: Bind,
    /// Those of the workers, to be handed over; none once they are closing.
    sockets: Vec<Socket>,
}

/// Why an endpoint or a route could not be switched. Nothing has changed then.
#[derive(Debug)]
pub enum Unknown {
    /// There is no upstream of that name.
    Upstream,
    /// The upstream has no endpoint of that name.
    Endpoint,
    /// There is no route of that name.
    Route,
    /// The route is not for requests of HTTP.
    NotHttp,
    /// The plan cannot be built anew.
    Plan(plan::Error),
}

/// Why a proxy could not start, or a plan could not be taken over. Nothing has changed then.
#[derive(Debug)]
pub enum StartError {
    /// The settings make no plan.
    Plan(plan::Error),
    /// A listener's address cannot be had.
    Bind {
        /// The listener.
        listener: String,
        /// Where it was to listen.
        bind: Bind,
        /// Why it cannot.
        source: io::Error,
    },
    /// A log cannot be opened, or a thread cannot be started.
    Io(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            Self::Bind { listener, bind, .. } => {
                write!(f, "listener `{listener}` cannot listen on {bind}")
            }
            Self::Io(_) => f.write_str("the proxy cannot be started"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Plan(_) => None,
            Self::Bind { source, .. } | Self::Io(source) => Some(source),
        }
    }
}

impl Proxy {
    /// Builds the plan, opens every listener, and starts the workers.
    ///
    /// # Errors
    ///
    /// The settings make no plan, an address cannot be had, or the system refuses a thread or file.
    pub fn start(settings: plan::Settings, options: Options) -> Result<Self, StartError> {
        let mut roster = Plan::roster_for(&settings, None);
        keeper::find_first(&settings, &mut roster);
        let plan = Plan::build_with(settings, roster, None).map_err(StartError::Plan)?;
        let plan = Arc::new(plan);
        let count = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let mut sockets = options.sockets;
        let opened = open(&plan, count, &mut sockets, |_| true)?;
        // What is not used is not listened on: a connection that waits in it would wait for ever.
        sockets.handed.clear();
        let open_log = |target: Option<_>| target.map(Log::open).transpose();
        let access_log = open_log(options.access).map_err(StartError::Io)?;
        let decisions = open_log(options.decisions).map_err(StartError::Io)?;
        let exporter = options.telemetry.map(Exporter::start).transpose()?;

        let format = Arc::new(options.access_format);
        let (ended_sender, ended) = channel();
        let mut workers = Vec::with_capacity(count);
        let mut shards = Vec::with_capacity(count);
        for index in 0..count {
            let shard = Arc::new(Shard::default());
            shards.push(Arc::clone(&shard));
            let outfit = Outfit {
                index,
                of: count,
                seed: plan.settings.seed,
                clock: options.clock.clone(),
                access: access_log
                    .as_ref()
                    .map(|log| Access { writer: log.writer(), format: Arc::clone(&format) }),
                decisions: decisions.as_ref().map(Log::writer),
                tracer: exporter.as_ref().map(Exporter::tracer),
            };
            let (commands, receiver) = unbounded_channel();
            workers.push(commands);
            let plan = Arc::clone(&plan);
            let ended = Ended(ended_sender.clone());
            std::thread::Builder::new()
                .name(format!("locum-worker-{index}"))
                .spawn(move || {
                    let _ended = ended;
                    let worker = Worker::new(plan, shard, outfit);
                    if let Err(error) = worker.and_then(|worker| shift::run(worker, receiver)) {
                        tracing::error!(%error, "a worker could not start");
                    }
                })
                .map_err(StartError::Io)?;
        }
        let stage = Stage::new(plan, workers);
        keeper::start(Arc::clone(&stage)).map_err(StartError::Io)?;
        let proxy = Self {
            stage,
            shards,
            bound: Mutex::default(),
            sockets: Mutex::new(sockets),
            access: access_log,
            decisions,
            exporter,
            clock: options.clock,
            ended: Mutex::new(ended),
        };
        proxy.listen(opened);
        Ok(proxy)
    }

    /// The plan that runs.
    pub fn plan(&self) -> Arc<Plan> {
        self.stage.plan()
    }

    /// How many workers run it.
    pub fn workers(&self) -> usize {
        self.stage.workers().len()
    }

    /// Where each listener really listens, by name.
    pub fn bound(&self) -> HashMap<String, Bind> {
        let bound = lock(&self.bound);
        bound.iter().map(|(name, bound)| (name.clone(), bound.bind.clone())).collect()
    }

    /// Every listening socket once more, for the process that takes this one's place: as both accept from
    /// them, no connection is lost when this one [drains](Self::drain).
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn hand_over(&self) -> io::Result<Sockets> {
        let mut sockets = Sockets::default();
        for (name, bound) in &*lock(&self.bound) {
            for socket in &bound.sockets {
                sockets.handed.push(Handed::of(name, socket)?);
            }
        }
        sockets.given = lock(&self.sockets).again()?;
        Ok(sockets)
    }

    /// Builds a new plan and swaps it in. Calls in flight end under the plan they began with;
    /// listeners, pools, breakers and limits that did not change are left alone, so no connection
    /// is dropped.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start); the old plan stays.
    pub fn reload(&self, settings: plan::Settings) -> Result<(), StartError> {
        let mut found = Plan::roster_for(&settings, Some(&self.plan()));
        keeper::find_first(&settings, &mut found);
        let change = self.stage.change();
        let old = self.plan();
        let mut roster = Plan::roster_for(&settings, Some(&old));
        roster.learn(found);
        let new = Plan::build_with(settings, roster, Some(&old)).map_err(StartError::Plan)?;
        let new = Arc::new(new);
        let changed = |wanted: &listener::Settings| {
            old.listener(&wanted.name).is_none_or(|kept| kept.settings.bind != wanted.bind)
        };
        let opened = open(&new, self.workers(), &mut lock(&self.sockets), changed)?;
        for listener in &new.listeners {
            let settings = &listener.settings;
            let kept = old.listener(&settings.name).map(|kept| &kept.settings);
            if let Some(kept) = kept.filter(|kept| kept.bind == settings.bind)
                && kept.socket != settings.socket
                && let Bind::Unix(path) = &settings.bind
            {
                settings.socket.apply(path).map_err(|source| unbound(settings, source))?;
            }
        }

        change.take_over(&new);
        self.listen(opened);
        for listener in &old.listeners {
            let name = &listener.settings.name;
            if new.listener(name).is_none() {
                self.stage.command(|| Command::Unlisten(name.clone()));
                lock(&self.bound).remove(name);
            }
        }
        Ok(())
    }

    /// Takes an endpoint out: it gets no more calls, and those in flight end. That holds over reloads for as
    /// long as the upstream lists it.
    ///
    /// # Errors
    ///
    /// There is no such endpoint.
    pub fn drain_endpoint(&self, upstream: &str, endpoint: &str) -> Result<(), Unknown> {
        self.know(upstream, endpoint, |roster| roster.drain(upstream, endpoint))
    }

    /// Takes an endpoint back in.
    ///
    /// # Errors
    ///
    /// There is no such endpoint.
    pub fn enable_endpoint(&self, upstream: &str, endpoint: &str) -> Result<(), Unknown> {
        self.know(upstream, endpoint, |roster| roster.enable(upstream, endpoint))
    }

    /// Decides whether the requests of a route are served, whatever it says itself; `None` leaves that to the route
    /// again. It holds over reloads for as long as there is a route of that name.
    ///
    /// # Errors
    ///
    /// There is no such route, or it is for something else.
    pub fn maintain(&self, route: &str, forced: Option<Forced>) -> Result<(), Unknown> {
        let right = self.stage.change();
        let plan = self.plan();
        let known = plan.routes.iter().find(|known| known.settings.name == route);
        if known.ok_or(Unknown::Route)?.traffic() != Traffic::Http {
            return Err(Unknown::NotHttp);
        }
        right.know(|roster| roster.maintain(route, forced)).map_err(Unknown::Plan)
    }

    fn know(
        &self,
        upstream: &str,
        endpoint: &str,
        change: impl FnOnce(&mut Roster),
    ) -> Result<(), Unknown> {
        let right = self.stage.change();
        let plan = self.plan();
        let upstream = plan.upstream(upstream).ok_or(Unknown::Upstream)?;
        if !upstream.listed.iter().any(|listed| listed.settings.name == endpoint) {
            return Err(Unknown::Endpoint);
        }
        right.know(change).map_err(Unknown::Plan)
    }

    /// Waits until every worker has answered that it is there.
    ///
    /// # Cancel safety
    ///
    /// It may be asked again at any time.
    pub async fn answers(&self) {
        for worker in self.stage.workers() {
            let (answer, answered) = oneshot::channel();
            // A worker that has ended hangs no more than one that answers.
            let _ = worker.send(Command::Answer(answer));
            let _ = answered.await;
        }
    }

    /// Opens the logs anew, for whoever rotates them.
    pub fn reopen_logs(&self) {
        [&self.access, &self.decisions].into_iter().flatten().for_each(Log::reopen);
    }

    /// Stops accepting; what is in flight is answered, with `Connection: close`.
    pub fn drain(&self) {
        // The workers close theirs once nobody waits in them.
        lock(&self.bound).values_mut().for_each(|bound| bound.sockets.clear());
        self.stage.command(|| Command::Drain);
        self.stage.close();
    }

    /// Waits until every worker has ended, at most for `timeout`. True if they have.
    pub fn wait(&self, timeout: Duration) -> bool {
        let until = now() + timeout;
        let ended = lock(&self.ended);
        (0..self.workers()).all(|_| match ended.recv_timeout(now().until(until)) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        })
    }

    /// Writes everything that is counted.
    pub fn render(&self, exposition: &mut Exposition) {
        metrics::render(exposition, &self.plan(), &self.shards, self.clock.now());
        let dropped = |log: &Option<Log>| log.as_ref().map(Log::dropped);
        metrics::render_dropped(exposition, dropped(&self.access), dropped(&self.decisions));
        if let Some(exporter) = &self.exporter {
            metrics::render_spans(exposition, exporter.counts());
        }
    }

    fn listen(&self, opened: Vec<Opened>) {
        for Opened { name, bind, sockets, dealt } in opened {
            for (worker, sockets) in self.stage.workers().iter().zip(dealt) {
                // A worker that has ended listens to nobody.
                let _ = worker.send(Command::Listen(name.clone(), sockets));
            }
            lock(&self.bound).insert(name, Bound { bind, sockets });
        }
    }
}

/// Opens the listeners of `plan` that are `wanted`; all of them or none.
fn open(
    plan: &Plan,
    workers: usize,
    sockets: &mut Sockets,
    wanted: impl Fn(&listener::Settings) -> bool,
) -> Result<Vec<Opened>, StartError> {
    let listeners = plan.listeners.iter().map(|listener| &listener.settings);
    listeners
        .filter(|settings| wanted(settings))
        .map(|settings| {
            let opened = listener::open(settings, workers, sockets);
            opened.map_err(|source| unbound(settings, source))
        })
        .collect()
}

fn unbound(settings: &listener::Settings, source: io::Error) -> StartError {
    StartError::Bind { listener: settings.name.clone(), bind: settings.bind.clone(), source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that a worker has ended, however it did.
struct Ended(Sender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        // Nobody waits if the proxy is gone.
        let _ = self.0.send(());
    }
}
