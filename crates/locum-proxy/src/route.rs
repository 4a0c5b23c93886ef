//! Which call goes where.

use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use locum_policy::balance::hash_of_key;
use locum_policy::gates::breaker::{Per, Watch};
use locum_policy::{Bound, Time};

use crate::auth::{Admitted, Check, Claims, Denied};
use crate::compress;
use crate::cors;
use crate::files;
use crate::label::Label;
use crate::listener;
use crate::mirror::{self, Mirror};
use crate::plan::Error;
use crate::rpc::methods::Methods;
use crate::rpc::transcode::listing::Listing;
use crate::upstream::{self, Endpoint, MethodTypes, Upstream};
use crate::worker::Worker;

pub use explain::{Candidate, Question};
pub(crate) use matcher::Subject;
pub use matcher::{HostPattern, PathPattern};
pub(crate) use owned::Owned;
pub(crate) use router::Router;

mod explain;
mod matcher;
mod owned;
mod router;
mod table;

/// One route as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name, in metrics, logs and rejections.
    pub name: String,
    /// The one listener it serves; `None`: all.
    pub listener: Option<String>,
    /// What a request must be like.
    pub matches: Match,
    /// What happens to it.
    pub action: Action,
    /// What decides between several upstreams; `None`: chance, each time.
    pub split_key: Option<SplitKey>,
    /// Nothing is served, and why; `None`: it is.
    pub maintenance: Option<Maintenance>,
    /// Which pages of other origins may read the answers; `None`: none is told so.
    pub cors: Option<cors::Settings>,
    /// Where calls are made once more, for nobody.
    pub mirror: Option<mirror::Settings>,
    /// Which answers are compressed; `None`: none.
    pub compress: Option<compress::Settings>,
    /// How its calls are tried; `None`: once, without any limit.
    pub policy: Option<String>,
    /// Which Host the upstream sees.
    pub host: Host,
    /// What becomes of the path.
    pub rewrite: Option<Rewrite>,
    /// Edits of the request's fields, after hop-by-hop fields are gone and ours are added.
    pub request_headers: HeaderEdits,
    /// Edits of the answer's fields.
    pub response_headers: HeaderEdits,
    /// Bytes of a request body; narrows the listener's limit. `None`: that alone holds, or, where the request
    /// becomes a remote call, 1 MiB.
    pub max_body: Option<u64>,
    /// Of its calls where there is not room for all: 0 is shed first, 3 last.
    pub priority: u8,
    /// Who may call, by the names of `plan::Settings::auth`: all of these have to agree; empty: anybody.
    pub auth: Vec<String>,
}

impl Settings {
    /// Everything that comes in anywhere, from anybody, tried once and passed on as it is.
    pub fn new(name: &str, action: Action) -> Self {
        Self {
            name: name.to_owned(),
            listener: None,
            matches: Match::default(),
            action,
            split_key: None,
            maintenance: None,
            cors: None,
            mirror: None,
            compress: None,
            policy: None,
            host: Host::Preserve,
            rewrite: None,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            max_body: None,
            priority: 1,
            auth: Vec::new(),
        }
    }
}

/// What a request must be like; an absent part matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// `example.com`, or `*.example.com` for every name below it.
    pub host: Option<String>,
    /// `/exact`, `/prefix/*`, `/users/{id}`, `~regex`.
    pub path: Option<String>,
    /// One of these methods; empty: any.
    pub methods: Vec<String>,
    /// Each of these fields with exactly this value.
    pub headers: Vec<(String, String)>,
    /// Each of these query parameters with exactly this value.
    pub query: Vec<(String, String)>,
    /// A remote call: `Arith.Divide`, `Arith.*` or `*`. Requests of HTTP it does not match, and what else
    /// stands here no remote call.
    pub call: Option<String>,
    /// A connection whose client names this server, by TLS that is not ended here: `example.com`, or
    /// `*.example.com`. Requests and calls it does not match.
    pub sni: Option<String>,
}

/// What happens to a request that matches.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It goes to one of these upstreams, as often as the weights say. Weights of 0 get nothing.
    Forward(Vec<(String, u32)>),
    /// It is answered with a file.
    Files(files::Settings),
    /// It is answered with this.
    Respond(Response),
    /// The client is sent elsewhere. `{name}` stands for a part of the path.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The `Location`.
        to: String,
    },
    /// The request, with JSON in it, is made as the remote call that the end of its path names:
    /// `POST /rpc/Arith.Multiply`.
    Transcode {
        /// Where to.
        upstream: String,
        /// Types of its methods that JSON does not tell, before those that the upstream has.
        types: Vec<(String, MethodTypes)>,
    },
}

/// An answer that is always the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// From 200 to 599.
    pub status: u16,
    /// Its fields.
    pub headers: Vec<(String, String)>,
    /// Its body; with a status that has none, empty.
    pub body: String,
}

/// What is said to everybody where nothing is served for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// What the 503 says, in place of a problem in JSON.
    pub body: Option<String>,
}

/// Whether requests are served, as somebody has decided beside the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forced {
    /// They are not, and this is said.
    On(Maintenance),
    /// They are.
    Off,
}

/// What of a request decides which upstream of several it takes, so that it takes the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitKey {
    /// The value of the field of that name.
    Header(String),
    /// The value of the cookie of that name.
    Cookie(String),
    /// The client's address.
    ClientIp,
}

/// Which Host the upstream sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// The client's.
    #[default]
    Preserve,
    /// The endpoint's address, as configured.
    Upstream,
    /// This one.
    Name(String),
}

/// What becomes of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// On a prefix route the prefix is replaced by this; on others this is put before the path.
    Prefix(String),
    /// The path becomes this; `{name}` stands for a part of a template path, or a group of an expression.
    Path(String),
}

/// Edits of header fields: `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Replaces every field of that name.
    pub set: Vec<(String, String)>,
    /// Adds a field beside those of that name.
    pub add: Vec<(String, String)>,
    /// Removes every field of that name.
    pub remove: Vec<String>,
}

/// A route of a running plan.
pub struct Route {
    /// What it was built from.
    pub settings: Settings,
    /// Its place in the file.
    pub index: usize,
    pub(crate) label: Label,
    /// Nothing is served now, and why.
    pub(crate) maintenance: Option<Maintenance>,
    pub(crate) matcher: matcher::Matcher,
    /// What its callers have to show.
    checks: Box<[Arc<Check>]>,
    pub(crate) target: Target,
    pub(crate) mirror: Option<Mirror>,
    pub(crate) request_edits: Edits,
    pub(crate) response_edits: Edits,
}

pub(crate) enum Target {
    Forward(Split),
    Redirect { status: u16, to: String },
    Respond(Response),
    Files(files::Settings),
    Transcode(Transcoded),
}

/// What a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Requests of HTTP.
    Http,
    /// Remote calls.
    Calls,
    /// Connections, which are carried as they are.
    Bytes,
}

/// Where requests go as remote calls.
pub(crate) struct Transcoded {
    pub(crate) choice: Choice,
    /// What this route says of types, before what the upstream knows.
    pub(crate) methods: Arc<Methods>,
    pub(crate) listing: Listing,
}

/// Upstreams of a route, each with the route's policy bound to it.
pub(crate) struct Split {
    choices: Vec<Choice>,
    total: u64,
}

pub(crate) struct Choice {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) policy: Bound,
    /// Its breakers of the upstream's endpoints, in the order of these; empty if it has none.
    pub(crate) watches: Box<[Watch]>,
    /// The policy's name.
    pub(crate) label: Label,
    weight: u32,
    /// The policy's breaker of the whole upstream, if it has one.
    fuse: Option<Watch>,
    /// Where calls go while this cannot take any.
    failover: Option<Box<Self>>,
}

impl Choice {
    /// Where a call goes that comes now: here, or to the first after it that can take one. If none can,
    /// here.
    pub(crate) fn at(&self, now: Time) -> &Self {
        if self.failover.is_none() || self.takes(now) {
            return self;
        }
        let mut after = successors(self.failover.as_deref(), |choice| choice.failover.as_deref());
        let Some(other) = after.find(|choice| choice.takes(now)) else { return self };
        self.upstream.fail_over();
        other
    }

    /// Whether the upstream takes a call: neither does its breaker refuse it nor are all of its endpoints out. Of one that
    /// is half open, as many are taken as may probe.
    fn takes(&self, now: Time) -> bool {
        let refuses = |fuse: &Watch| fuse.is_ejected(now) || fuse.is_busy(now);
        !self.fuse.as_ref().is_some_and(refuses) && self.upstream.is_available(&self.watches, now)
    }
}

impl Split {
    /// The choice that `random` falls on, as it stands `now`.
    pub(crate) fn choose(&self, random: u64, now: Time) -> &Choice {
        self.fall_on(random).at(now)
    }

    /// The choice that whoever has `key` falls on, every time and everywhere. When weights change, only those
    /// change over who have to.
    pub(crate) fn choose_for(&self, key: &[u8], now: Time) -> &Choice {
        let place = u128::from(hash_of_key(key)) * u128::from(self.total);
        let mut ticket = (place >> 64) as u64;
        let found = self.choices.iter().find(|choice| {
            let weight = u64::from(choice.weight);
            let here = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            here
        });
        found.unwrap_or(&self.choices[0]).at(now)
    }

    fn fall_on(&self, random: u64) -> &Choice {
        if let [only] = &*self.choices {
            return only;
        }
        let mut ticket = random % self.total;
        for choice in &self.choices {
            let weight = u64::from(choice.weight);
            if ticket < weight {
                return choice;
            }
            ticket -= weight;
        }
        unreachable!("invariant: `total` is the sum of the weights")
    }
}

/// What the answer's own fields become; where pages of other origins are told who may read, that is ours to say.
fn response_edits(settings: &Settings) -> Edits {
    let mut edits = settings.response_headers.clone();
    if settings.cors.is_some() {
        edits.remove.extend(cors::OURS.map(str::to_owned));
    }
    Edits::build(&edits)
}

/// Header edits made ready: lower-case names to drop, lines to append.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    pub(crate) dropped: Vec<Box<[u8]>>,
    /// What only the proxy may say of a request, however a client spells it.
    pub(crate) owned: Owned,
    pub(crate) lines: Box<[u8]>,
}

impl Edits {
    pub(crate) fn build(edits: &HeaderEdits) -> Self {
        let lower = |name: &String| name.to_ascii_lowercase().into_bytes().into_boxed_slice();
        let dropped = edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name));
        let lines = edits.set.iter().chain(&edits.add);
        Self {
            dropped: dropped.map(lower).collect(),
            owned: Owned::default(),
            lines: lines
                .flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes())
                .collect(),
        }
    }

    /// Whether fields stay as they are.
    pub(crate) fn are_none(&self) -> bool {
        self.dropped.is_empty() && self.lines.is_empty()
    }

    pub(crate) fn drops(&self, name: &[u8]) -> bool {
        self.dropped.iter().any(|dropped| dropped.eq_ignore_ascii_case(name))
    }

    /// Whether no field of a client's stays behind.
    pub(crate) fn strips_nothing(&self) -> bool {
        self.dropped.is_empty() && self.owned.is_empty()
    }

    /// Whether a client's field of that name stays behind.
    pub(crate) fn strips(&self, name: &[u8]) -> bool {
        self.drops(name) || self.owned.holds(name)
    }
}

impl Route {
    pub(crate) fn build(
        settings: &Settings,
        index: usize,
        checks: Box<[Arc<Check>]>,
        owned: &Owned,
        bind: impl Fn(&str) -> Result<(Arc<Upstream>, Bound), Error>,
    ) -> Result<Self, Error> {
        let label = settings.policy.as_deref().map_or(Label::NONE, Label::of);
        let one = |name: &str, weight: u32| {
            let (upstream, policy) = bind(name)?;
            let watch =
                |endpoint: &Arc<Endpoint>| policy.policy()?.watch(&endpoint.name, &[Per::Endpoint]);
            let watches = upstream.endpoints.iter().filter_map(watch).collect();
            let fuse = policy.policy().and_then(|policy| policy.watch(name, &[Per::Upstream]));
            Ok(Choice { upstream, policy, watches, label, weight, fuse, failover: None })
        };
        let choice = |name: &str, weight: u32| {
            let mut chain = vec![one(name, weight)?];
            while let Some(next) =
                chain.last().and_then(|last| last.upstream.settings.failover.clone())
            {
                if chain.iter().any(|choice| choice.upstream.settings.name == next) {
                    return Err(in_circles(&next));
                }
                chain.push(one(&next, weight)?);
            }
            let last_first = chain.into_iter().rev();
            let link = |after: Option<Choice>, choice| {
                Some(Choice { failover: after.map(Box::new), ..choice })
            };
            Ok(last_first.fold(None, link).expect("invariant: a chain has a first"))
        };
        let target = match &settings.action {
            Action::Files(files) => Target::Files(files.clone()),
            Action::Respond(response) => Target::Respond(response.clone()),
            Action::Redirect { status, to } => Target::Redirect { status: *status, to: to.clone() },
            Action::Transcode { upstream, types } => Target::Transcode(Transcoded {
                choice: choice(upstream, 1)?,
                methods: Methods::build(types, None).map_err(|error| Error {
                    path: format!("routes.{index}.transcode.types.{}", error.path),
                    ..error
                })?,
                listing: Listing::default(),
            }),
            Action::Forward(names) => {
                let choices = names.iter().map(|(name, weight)| choice(name, *weight));
                let choices = choices.collect::<Result<Vec<_>, _>>()?;
                let total = choices.iter().map(|choice| u64::from(choice.weight)).sum();
                if total == 0 {
                    return Err(Error::new(
                        format!("routes.{index}.split"),
                        "all weights are 0, so no call could go anywhere",
                        "give one upstream a weight above 0",
                    ));
                }
                Target::Forward(Split { choices, total })
            }
        };
        let mirror = settings.mirror.as_ref().map(|mirror| {
            let (upstream, _) = bind(&mirror.upstream)?;
            Ok(Mirror { upstream, percent: mirror.percent })
        });
        Ok(Self {
            settings: settings.clone(),
            index,
            label: Label::of(&settings.name),
            maintenance: settings.maintenance.clone(),
            matcher: matcher::Matcher::build(&settings.matches).map_err(
                |(key, reason, remedy)| {
                    Error::new(format!("routes.{index}.match.{key}"), reason, remedy)
                },
            )?,
            checks,
            target,
            mirror: mirror.transpose()?,
            request_edits: Edits {
                owned: owned.clone(),
                ..Edits::build(&settings.request_headers)
            },
            response_edits: response_edits(settings),
        })
    }

    /// The same, served or not as somebody has decided.
    pub(crate) fn forced(self, forced: &Forced) -> Self {
        let maintenance = match forced {
            Forced::On(maintenance) => Some(maintenance.clone()),
            Forced::Off => None,
        };
        Self { maintenance, ..self }
    }

    /// Whether anybody may call.
    pub(crate) fn is_open(&self) -> bool {
        self.checks.is_empty()
    }

    /// Who calls, as the last check has it that tells, and what they all tell the upstream; or why they may
    /// not, as the first has it that refuses.
    ///
    /// # Cancel safety
    ///
    /// As of [`Check::check`].
    pub(crate) async fn admit<'a>(
        &'a self,
        claims: &Claims<'a, '_>,
        worker: &Worker,
    ) -> Result<Admitted<'a>, Denied> {
        let mut admitted = Admitted::default();
        for check in &self.checks {
            admitted = admitted.and(check.check(claims, worker).await?);
        }
        Ok(admitted)
    }

    /// Whether it is a route of `listener`, which it names or not: one that cannot carry what the route is
    /// for has it not.
    pub(crate) fn serves(&self, listener: &listener::Settings) -> bool {
        let protocol = listener.protocol;
        let carried = match self.traffic() {
            Traffic::Http => protocol.takes_http(),
            Traffic::Calls => protocol.takes_rpc(),
            Traffic::Bytes => protocol.takes_bytes(),
        };
        carried && self.settings.listener.as_deref().is_none_or(|name| name == listener.name)
    }

    /// What it is for: it says so, or it says nothing and leads to where nothing else is understood.
    pub(crate) fn traffic(&self) -> Traffic {
        let matches = &self.settings.matches;
        let Target::Forward(split) = &self.target else { return Traffic::Http };
        let speak = |is: fn(upstream::Protocol) -> bool| {
            split.choices.iter().all(|choice| is(choice.upstream.settings.protocol))
        };
        match matches {
            Match { call: Some(_), .. } => Traffic::Calls,
            Match { sni: Some(_), .. } => Traffic::Bytes,
            _ if *matches != Match::default() => Traffic::Http,
            _ if speak(|protocol| protocol.rpc().is_some()) => Traffic::Calls,
            _ if speak(|protocol| protocol == upstream::Protocol::Tcp) => Traffic::Bytes,
            _ => Traffic::Http,
        }
    }
}

fn in_circles(upstream: &str) -> Error {
    Error::new(
        format!("upstreams.{upstream}.failover"),
        "it leads back to where it begins",
        "let one upstream of the circle have none",
    )
}
