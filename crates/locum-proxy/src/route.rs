//! Which call goes where.

use std::sync::Arc;

use locum_policy::Bound;

use crate::auth::{Admitted, Check, Claims, Denied};
use crate::files;
use crate::label::Label;
use crate::listener;
use crate::mirror::Mirror;
use crate::plan::Error;
use crate::rpc::methods::Methods;
use crate::rpc::transcode::listing::Listing;
use crate::upstream::{self, Upstream};
use crate::worker::Worker;

pub(crate) use edits::Edits;
pub use explain::{Candidate, Question};
pub(crate) use matcher::Subject;
pub use matcher::{HostPattern, PathPattern};
pub(crate) use owned::Owned;
pub(crate) use router::Router;
pub use settings::{
    Action, Forced, HeaderEdits, Host, Maintenance, Match, Response, Rewrite, Settings, SplitKey,
};
pub(crate) use split::{Choice, Split};

mod edits;
mod explain;
mod matcher;
mod owned;
mod router;
mod settings;
mod split;
mod table;

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

impl Route {
    pub(crate) fn build(
        settings: &Settings,
        index: usize,
        checks: Box<[Arc<Check>]>,
        owned: &Owned,
        bind: impl Fn(&str) -> Result<(Arc<Upstream>, Bound), Error>,
    ) -> Result<Self, Error> {
        let label = settings.policy.as_deref().map_or(Label::NONE, Label::of);
        let choice = |name: &str, weight: u32| Choice::build(name, weight, label, &bind);
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
                let split = Split::between(choices.collect::<Result<_, _>>()?);
                Target::Forward(split.ok_or_else(|| {
                    Error::new(
                        format!("routes.{index}.split"),
                        "all weights are 0, so no call could go anywhere",
                        "give one upstream a weight above 0",
                    )
                })?)
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
            response_edits: Edits::of_answers(settings),
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
            split.is_all(|upstream| is(upstream.settings.protocol))
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
