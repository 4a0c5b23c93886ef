//! What a reload would change: `locum diff`, and `POST /api/v1/config/diff`.
//!
//! Two configurations are compared as they are understood, with every default filled in: what is only
//! written differently is no difference.

use std::fmt::Write as _;
use std::path::Path;

use locum_proxy::plan;
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::print::out;
use crate::{Failure, args, demo, print};

/// A part that is not the same in both.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    /// `listener`, `upstream`, `policy`, `auth`, `route`, or `process`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) change: What,
    /// The keys that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<Field>,
    /// Whom that reaches.
    pub(crate) effect: &'static str,
}

/// What becomes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    Added,
    Removed,
    Changed,
    /// It stands elsewhere in the order, which decides between routes that are as specific.
    Moved,
}

/// A key and its values; `null` where it is absent.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Field {
    pub(crate) key: String,
    pub(crate) old: Value,
    pub(crate) new: Value,
}

/// `locum diff`.
pub(crate) fn run(args: &args::Diff) -> Result<(), Failure> {
    let (old, new) = (load(&args.old)?, load(&args.new)?);
    let changes = configurations(&old.0, &old.1, &new.0, &new.1);
    match args.json {
        true => out(&format!("{:#}\n", serde_json::json!(changes)))?,
        false => out(&changes.iter().map(text).collect::<String>())?,
    }
    if changes.is_empty() { Ok(()) } else { Err(Failure::Different) }
}

/// Trouble is told apart from a difference, as diff(1) does.
fn load(path: &Path) -> Result<(Config, plan::Settings), Failure> {
    let loaded = Config::load(path).and_then(|config| {
        let settings = config.settings(demo::NOWHERE)?;
        Ok((config, settings))
    });
    loaded.map_err(|failure| {
        drop(failure.sources.show(&failure.problems));
        Failure::Usage(format!("{} has errors", path.display()))
    })
}

/// Compares what runs, or would, by its parts; `process` is what belongs to none of them.
pub(crate) fn configurations(
    old: &Config,
    old_settings: &plan::Settings,
    new: &Config,
    new_settings: &plan::Settings,
) -> Vec<Change> {
    let mut changes = process(old, new);
    changes.extend(plans(old_settings, new_settings));
    changes
}

fn plans(old: &plan::Settings, new: &plan::Settings) -> Vec<Change> {
    let mut changes = Vec::new();
    let listener = |it: &locum_proxy::listener::Settings| (it.name.clone(), it.clone());
    changes.extend(compare(
        &LISTENER,
        old.listeners.iter().map(listener),
        new.listeners.iter().map(listener),
        print::listener,
    ));
    let upstream = |it: &locum_proxy::upstream::Settings| (it.name.clone(), it.clone());
    changes.extend(compare(
        &UPSTREAM,
        old.upstreams.iter().map(upstream),
        new.upstreams.iter().map(upstream),
        print::upstream,
    ));
    let policies = (old.policies.iter().cloned(), new.policies.iter().cloned());
    let policy = |it: &_| serde_json::to_value(it).unwrap_or_default();
    changes.extend(compare(&POLICY, policies.0, policies.1, policy));
    let auth = (old.auth.iter().cloned(), new.auth.iter().cloned());
    changes.extend(compare(&AUTH, auth.0, auth.1, print::auth));
    let route = |it: &locum_proxy::route::Settings| (it.name.clone(), it.clone());
    let routes = (old.routes.iter().map(route), new.routes.iter().map(route));
    changes.extend(compare(&ROUTE, routes.0, routes.1, print::route));
    changes.extend(moved(old, new));
    changes
}

/// Routes that are in both and not in the same order.
fn moved(old: &plan::Settings, new: &plan::Settings) -> Vec<Change> {
    let names = |one: &plan::Settings, other: &plan::Settings| -> Vec<String> {
        let names = one.routes.iter().map(|route| route.name.clone());
        names.filter(|name| other.routes.iter().any(|route| route.name == *name)).collect()
    };
    let (before, after) = (names(old, new), names(new, old));
    let pairs = before.iter().zip(&after).filter(|(before, after)| before != after);
    let change = |(_, name): (&String, &String)| Change {
        kind: ROUTE.kind,
        name: name.clone(),
        change: What::Moved,
        fields: Vec::new(),
        effect: ROUTE.changed,
    };
    pairs.map(change).collect()
}

/// What belongs to the process: the file's sections that are no part of a plan, and the rest of the plan.
fn process(old: &Config, new: &Config) -> Vec<Change> {
    let restart = new.needs_restart(old);
    let sections = |config: &Config| {
        let whole = serde_json::to_value(&config.file).unwrap_or_default();
        let section = |name: &str| (name.to_owned(), whole.get(name).cloned().unwrap_or_default());
        Value::Object(["admin", "runtime", "log", "telemetry"].map(section).into_iter().collect())
    };
    let mut fields = Vec::new();
    differ("", &sections(old), &sections(new), &mut fields);
    let (late, soon): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|field| restart.iter().any(|key| field.key.starts_with(key)));
    let change = |fields: Vec<Field>, effect| Change {
        kind: "process",
        name: "locum".to_owned(),
        change: What::Changed,
        fields,
        effect,
    };
    [change(soon, "at once"), change(late, "at the next start or upgrade")]
        .into_iter()
        .filter(|change| !change.fields.is_empty())
        .collect()
}

/// A kind of parts, and whom a change of one reaches.
struct Kind {
    kind: &'static str,
    added: &'static str,
    removed: &'static str,
    changed: &'static str,
}

const LISTENER: Kind = Kind {
    kind: "listener",
    added: "it is opened",
    removed: "it is closed, and its connections end with their next answer",
    changed: "connections that are made from now on; open ones keep what they began with",
};
const UPSTREAM: Kind = Kind {
    kind: "upstream",
    added: "calls that begin from now on",
    removed: "calls in flight end there; then its connections are closed",
    changed: "calls that begin from now on; endpoints that stay keep their health and, if they are \
              spoken to in the same way, their connections",
};
const POLICY: Kind = Kind {
    kind: "policy",
    added: "calls that begin from now on",
    removed: "calls in flight end under it",
    changed: "calls that begin from now on; parts of it that stay the same keep what they have counted",
};
const AUTH: Kind = Kind {
    kind: "auth",
    added: "requests that come from now on",
    removed: "requests that come from now on",
    changed: "requests that come from now on",
};
const ROUTE: Kind = Kind {
    kind: "route",
    added: "calls that begin from now on",
    removed: "calls in flight end where they are",
    changed: "calls that begin from now on, on open connections too",
};

fn compare<T: PartialEq>(
    kind: &Kind,
    old: impl Iterator<Item = (String, T)>,
    new: impl Iterator<Item = (String, T)>,
    show: impl Fn(&T) -> Value,
) -> Vec<Change> {
    let (old, new): (Vec<_>, Vec<_>) = (old.collect(), new.collect());
    let change = |name: &str, change, fields, effect| Change {
        kind: kind.kind,
        name: name.to_owned(),
        change,
        fields,
        effect,
    };
    let mut changes = Vec::new();
    for (name, was) in &old {
        match new.iter().find(|(known, _)| known == name) {
            None => changes.push(change(name, What::Removed, Vec::new(), kind.removed)),
            Some((_, is)) if is == was => {}
            Some((_, is)) => {
                let mut fields = Vec::new();
                differ("", &show(was), &show(is), &mut fields);
                if fields.is_empty() {
                    // Certificates, keys and the like are not shown.
                    let key = "(what its files hold)".to_owned();
                    fields.push(Field { key, old: Value::Null, new: Value::Null });
                }
                changes.push(change(name, What::Changed, fields, kind.changed));
            }
        }
    }
    let added = new.iter().filter(|(name, _)| old.iter().all(|(known, _)| known != name));
    changes.extend(added.map(|(name, _)| change(name, What::Added, Vec::new(), kind.added)));
    changes
}

/// The keys at and below `path` whose values differ.
fn differ(path: &str, old: &Value, new: &Value, into: &mut Vec<Field>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (old, new) {
        _ if old == new => {}
        (Value::Object(was), Value::Object(is)) => {
            for (key, old) in was {
                differ(&below(key), old, is.get(key).unwrap_or(&Value::Null), into);
            }
            for (key, new) in is.iter().filter(|(key, _)| !was.contains_key(*key)) {
                differ(&below(key), &Value::Null, new, into);
            }
        }
        _ => into.push(Field { key: path.to_owned(), old: old.clone(), new: new.clone() }),
    }
}

/// A change for people.
fn text(change: &Change) -> String {
    let sign = match change.change {
        What::Added => '+',
        What::Removed => '-',
        What::Changed => '~',
        What::Moved => '^',
    };
    let mut text = format!("{sign} {} {}\n", change.kind, change.name);
    for Field { key, old, new } in &change.fields {
        // A text cannot fail to be written to.
        let _ = match (old, new) {
            (Value::Null, Value::Null) => writeln!(text, "    {key}"),
            (Value::Null, new) => writeln!(text, "    {key}: + {new}"),
            (old, Value::Null) => writeln!(text, "    {key}: - {old}"),
            (old, new) => writeln!(text, "    {key}: {old} -> {new}"),
        };
    }
    let _ = writeln!(text, "    reaches: {}", change.effect);
    text
}
