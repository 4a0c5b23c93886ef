//! `locum run`: from a configuration to a process that serves, reloads, drains and ends.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use locum_proxy::listener::{Handed, Sockets};
use locum_proxy::{LogTarget, Options, Proxy, StartError, now};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime;

use crate::admin;
use crate::args;
use crate::config::file::{File, Format, Level};
use crate::config::value::{Bind, Secret, Workers};
use crate::config::{self, Config};
use crate::demo::Demo;
use crate::handover::{self, Successor};
use crate::ready::{self, Addresses};
use crate::running::{Running, with_cause};
use crate::supervisor::{self, Supervisor};
use crate::watch::{Scope, Watch};
use crate::{Failure, log};
use signals::{Signals, Told};

mod signals;

/// `locum run`.
pub(crate) fn run(args: args::Run) -> Result<(), Failure> {
    let source = match args.config {
        Some(path) => Source::File(path),
        None => Source::Embedded {
            http: or_environment(args.http, "LOCUM_HTTP")?,
            rpc: or_environment(args.rpc, "LOCUM_RPC")?,
            admin: or_environment(args.admin, "LOCUM_ADMIN")?,
        },
    };
    let scope = if args.watch { Scope::Whole } else { Scope::Attached };
    serve(&source, &args.process, scope)
}

fn or_environment(given: Option<Bind>, name: &str) -> Result<Option<Bind>, Failure> {
    let Some(text) = std::env::var_os(name).filter(|_| given.is_none()) else { return Ok(given) };
    let read = args::bind(&text.to_string_lossy());
    read.map(Some).map_err(|error| Failure::Usage(format!("{name}: {error}")))
}

/// Where a configuration comes from, again at each reload.
pub(crate) enum Source {
    File(PathBuf),
    Embedded { http: Option<Bind>, rpc: Option<Bind>, admin: Option<Bind> },
    Built(Box<File>),
}

impl Source {
    fn load(&self) -> Result<Config, config::Failure> {
        match self {
            Self::File(path) => Config::load(path),
            Self::Built(file) => Config::built(File::clone(file)),
            Self::Embedded { http, rpc, admin } => Config::embedded(|file| {
                for (name, wanted) in [("http", http), ("rpc", rpc)] {
                    if let (Some(bind), Some(listener)) = (wanted, file.listeners.get_mut(name)) {
                        listener.bind = bind.clone();
                    }
                }
                let Some(settings) = &mut file.admin else { return };
                if let Some(listen) = admin {
                    settings.listen = listen.clone();
                }
                let token = std::env::var_os("LOCUM_ADMIN_TOKEN");
                settings.token = token.map(|_| Secret("${LOCUM_ADMIN_TOKEN}".to_owned()));
            }),
        }
    }
}

/// Serves what `source` says, until a signal ends it.
pub(crate) fn serve(source: &Source, process: &args::Process, scope: Scope) -> Result<(), Failure> {
    let (started, started_at) = (now(), wall_clock());
    let inherited = handover::inherit().map_err(failed("cannot take over"))?;
    let (predecessor, mut sockets) = match inherited {
        Some((predecessor, sockets)) => (Some(predecessor), sockets),
        None => {
            if let Some(path) = &process.ready_file {
                ready::forget(path);
            }
            let given =
                supervisor::given().map_err(failed("a socket in LISTEN_FDS is of no use"))?;
            (None, Sockets { given, ..Sockets::default() })
        }
    };
    let supervisor = Supervisor::find().map_err(failed("cannot reach NOTIFY_SOCKET"))?;
    let supervisor = Arc::new(supervisor);
    let config = source.load()?;
    let format = process.log_format.or(config.file.log.format).unwrap_or(Format::Text);
    log::start(process.log_level.or(config.file.log.level).unwrap_or(Level::Info), format);
    for warning in &config.warnings {
        tracing::warn!("{}", config.sources.line(warning));
    }
    if config.file.listeners.is_empty() {
        let text = "the configuration has no listener; add `[listeners.NAME]`";
        return Err(Failure::Failed(text.to_owned()));
    }
    raise_descriptor_limit();

    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("cannot start"))?;
    // Before anything is announced, so that no signal finds nobody listening.
    let signals = runtime.block_on(async { Signals::new() });
    let mut signals = signals.map_err(failed("cannot listen to signals"))?;

    let made =
        config.make_token_file().map_err(failed("cannot write the token of the admin API"))?;
    if let Some(path) = made {
        tracing::info!(path = %path.display(), "the admin API has a token now");
    }
    let token = config.admin_token().map_err(Failure::Failed)?;
    let mut addresses = Addresses::new();
    let admin = config.file.admin.as_ref().map(|admin| open_admin(&admin.listen, &mut sockets));
    let admin = admin.transpose()?;
    if let Some(admin) = &admin {
        addresses.insert("admin".to_owned(), admin.address.to_string());
        match &admin.address {
            Bind::Tcp(address) => locum_proxy::reserve(*address),
            Bind::Unix(path) => locum_proxy::reserve_path(path.clone()),
            Bind::Given(_) => {}
        }
    }
    let demo = Demo::new(addresses.get("admin").map(String::as_str));
    let proxy = start(&config, &demo, sockets)?;
    addresses.extend(proxy.bound().into_iter().map(|(name, bind)| (name, bind.to_string())));
    let takes_calls = |(name, _): &(&String, _)| config.file.takes_calls(name);
    if let Some((_, address)) = addresses.iter().find(takes_calls) {
        demo.name_rpc(address);
    }
    let watch = Watch::new(scope, &config.sources);
    let running = Arc::new(Running::new(proxy, config, demo, started, started_at, token));
    let admin = admin.map(|listener| admin::start(listener, Arc::clone(&running))).transpose();
    let mut admin = admin.map_err(failed("cannot start the admin API"))?;
    announce(&addresses, source, &running.state().config.file, process, format)?;
    match &predecessor {
        Some(predecessor) => predecessor.tell_ready().map_err(failed("cannot take over"))?,
        None => supervisor.is_ready(),
    }
    let lives = Arc::clone(&running);
    runtime.spawn(Arc::clone(&supervisor).keep_awake(async move || lives.answers().await));

    let office =
        Office { running: &running, source, admin: admin.as_ref(), supervisor: &supervisor };
    match runtime.block_on(office.until_told(&mut signals, watch, scope)) {
        End::Wanted => supervisor.stops(),
        End::Replaced(pid) => {
            admin.iter_mut().for_each(admin::Server::retire);
            supervisor.is_replaced_by(pid);
            tracing::info!(pid, "the new process serves");
        }
    }
    runtime.block_on(drain(&running, &mut signals));
    if let Some(admin) = admin {
        admin.stop();
    }
    // Calls that were cut off are not waited for.
    runtime.shutdown_background();
    Ok(())
}

fn open_admin(listen: &Bind, sockets: &mut Sockets) -> Result<admin::Listener, Failure> {
    let what = format!("the admin API cannot listen on {listen}");
    admin::open(listen, sockets).map_err(failed(&what))
}

fn start(config: &Config, demo: &Demo, sockets: Sockets) -> Result<Proxy, Failure> {
    let demo = demo.addresses(&config.file).map_err(failed("cannot start the demo backends"))?;
    let File { runtime, log, .. } = &config.file;
    let options = Options {
        workers: match runtime.workers {
            Workers::Auto => 0,
            Workers::Count(count) => count,
        },
        access: log.access.as_deref().map(log_target),
        access_format: config.access_format(),
        decisions: log.decisions.as_deref().map(log_target),
        telemetry: config.telemetry(),
        sockets,
        ..Options::default()
    };
    Proxy::start(config.settings(demo)?, options).map_err(|error| match error {
        StartError::Plan(error) => Failure::Config(config.failure(vec![error])),
        other => Failure::Failed(with_cause(&other)),
    })
}

fn log_target(written: &str) -> LogTarget {
    match written {
        "stdout" => LogTarget::Stdout,
        path => LogTarget::File(path.into()),
    }
}

/// Tells where everything listens: whoever waits for the ready file, and whoever reads the log.
fn announce(
    addresses: &Addresses,
    source: &Source,
    file: &File,
    process: &args::Process,
    format: Format,
) -> Result<(), Failure> {
    if let Some(path) = &process.ready_file {
        let what = format!("cannot write {}", path.display());
        ready::write(path, addresses).map_err(failed(&what))?;
    }
    match format {
        Format::Text => {
            ready::banner(addresses, file);
            if let Source::Embedded { .. } = source {
                ready::invitation(addresses);
            }
        }
        Format::Json => ready::event(addresses),
    }
    Ok(())
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> Failure {
    let what = what.to_owned();
    move |error| Failure::Failed(format!("{what}: {error}"))
}

/// Why the process ends.
enum End {
    /// Somebody wants it to.
    Wanted,
    /// The process of that id serves in its place.
    Replaced(u32),
}

/// Where it is decided what becomes of the process.
struct Office<'a> {
    running: &'a Arc<Running>,
    source: &'a Source,
    admin: Option<&'a admin::Server>,
    supervisor: &'a Supervisor,
}

impl Office<'_> {
    /// Reloads and upgrades when told to, until told to end.
    async fn until_told(&self, signals: &mut Signals, mut watch: Watch, scope: Scope) -> End {
        let (running, source) = (self.running, self.source);
        // A reload was asked for and could not be had: it is made up for when what was wrong is mended.
        let mut owed = false;
        let mut successor = None;
        loop {
            tokio::select! {
                told = signals.next() => match told {
                    Told::End => return End::Wanted,
                    Told::Reload => {
                        self.supervisor.reloads();
                        owed = !running.reload(source.load());
                        running.proxy.reopen_logs();
                        self.supervisor.is_ready();
                    }
                    Told::Reopen => running.proxy.reopen_logs(),
                    Told::Upgrade if successor.is_some() => {
                        tracing::warn!("an upgrade is under way already");
                    }
                    Told::Upgrade => successor = self.begin_upgrade(),
                },
                ready = until_ready(&mut successor) => match (ready, successor.take()) {
                    (Ok(()), Some(ready)) => {
                        if let Some(pid) = ready.let_go() {
                            return End::Replaced(pid);
                        }
                    }
                    (ready, _) => {
                        let why = ready.err().unwrap_or_default();
                        tracing::error!("not upgraded, this process goes on: {why}");
                    }
                },
                () = running.drain_asked.notified() => return End::Wanted,
                () = watch.changed() => {
                    let whole = owed || scope == Scope::Whole;
                    let read = if whole { source.load() } else { running.state().config.reread() };
                    if !running.has_seen(&read) && running.reload(read) {
                        owed = false;
                    }
                    if whole {
                        running.renew();
                    }
                }
            }
            let state = running.state();
            watch.files([&state.config.sources, &state.seen]);
        }
    }

    fn begin_upgrade(&self) -> Option<Successor> {
        match self.sockets().and_then(Successor::start) {
            Ok(successor) => {
                tracing::info!("a new process is started, to take this one's place");
                Some(successor)
            }
            Err(error) => {
                tracing::error!("not upgraded, this process goes on: {error}");
                None
            }
        }
    }

    /// Every listening socket, that of the admin API too.
    fn sockets(&self) -> io::Result<Sockets> {
        let mut sockets = self.running.proxy.hand_over()?;
        if let Some(socket) = self.admin.map(admin::Server::socket).transpose()?.flatten() {
            sockets.handed.push(Handed::new("admin".to_owned(), socket)?);
        }
        Ok(sockets)
    }
}

/// Waits until the successor is ready or is none any more; for ever if there is none.
///
/// # Cancel safety
///
/// Nothing is lost.
async fn until_ready(successor: &mut Option<Successor>) -> Result<(), String> {
    match successor {
        Some(successor) => successor.ready().await,
        None => std::future::pending().await,
    }
}

/// Lets calls in flight end, for as long as the configuration grants, or until told again.
async fn drain(running: &Arc<Running>, signals: &mut Signals) {
    let grace = running.proxy.plan().settings.drain;
    tracing::info!(?grace, "draining");
    running.drain();
    let draining = Arc::clone(running);
    let ended = tokio::task::spawn_blocking(move || draining.proxy.wait(grace));
    let all_ended = tokio::select! {
        ended = ended => ended.unwrap_or(false),
        () = signals.end() => false,
    };
    match all_ended {
        true => tracing::info!("all calls have ended"),
        false => tracing::warn!("calls that have not ended are cut off"),
    }
}

/// Every connection is a descriptor, and the limit that is granted is rarely the one that is set.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

#[expect(clippy::disallowed_methods, reason = "told as the process's start, and never decided by")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
