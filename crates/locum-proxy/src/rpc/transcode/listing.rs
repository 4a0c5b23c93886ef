//! What there is to call below a route's prefix.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::plan::Plan;
use crate::route::{Action, PathPattern, Route, Transcoded};
use crate::rpc::methods::Edition;
use crate::rpc::openapi::{self, Method};

/// The document that lists a route's methods, made anew only when something was learned: it may be asked for
/// by anybody, and be long.
#[derive(Default)]
pub(crate) struct Listing {
    made: Mutex<Option<(Edition, Arc<str>)>>,
}

impl Listing {
    /// Of a route of this `plan`: the methods whose types were given or learned, and those that routes of calls
    /// to the same upstream name.
    pub(super) fn get(&self, route: &Route, transcoded: &Transcoded, plan: &Plan) -> Arc<str> {
        let edition = transcoded.choice.upstream.methods.edition();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, text)) = &*made
            && *of == edition
        {
            return Arc::clone(text);
        }
        let text: Arc<str> = document(route, transcoded, plan).to_string().into();
        *made = Some((edition, Arc::clone(&text)));
        text
    }
}

fn document(route: &Route, transcoded: &Transcoded, plan: &Plan) -> Value {
    let Transcoded { choice, methods: own, .. } = transcoded;
    let upstream = &choice.upstream;
    let mut names: BTreeSet<Arc<str>> = BTreeSet::from_iter(own.names());
    names.extend(upstream.methods.names());
    names.extend(routed(plan, &upstream.settings.name));
    let methods: Vec<_> = names
        .into_iter()
        .map(|name| Method {
            args: own.args(&name).or_else(|| upstream.methods.args(&name)),
            reply: own.reply(&name).or_else(|| upstream.methods.reply(&name)),
            name,
        })
        .collect();
    let prefix = match &route.matcher.path {
        PathPattern::Prefix(prefix) => String::from_utf8_lossy(prefix),
        _ => "".into(),
    };
    openapi::document(&upstream.settings.name, &prefix, &methods)
}

/// The methods that routes to `upstream` are for.
fn routed(plan: &Plan, upstream: &str) -> impl Iterator<Item = Arc<str>> {
    let leads_there = move |action: &Action| match action {
        Action::Forward(names) => names.iter().any(|(name, _)| name == upstream),
        Action::Redirect { .. }
        | Action::Respond(_)
        | Action::Files(_)
        | Action::Transcode { .. } => false,
    };
    let routes = plan.settings.routes.iter().filter(move |route| leads_there(&route.action));
    let calls = routes.filter_map(|route| route.matches.call.as_deref());
    calls.filter(|call| !call.ends_with('*')).map(Arc::from)
}
