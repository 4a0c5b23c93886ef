//! Routes as they stand, and the switch that puts their requests off.

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use locum_policy::text;
use locum_proxy::Unknown;
use locum_proxy::plan::Plan;
use locum_proxy::route::{Forced, Maintenance, Settings};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, body_of, json, problem, wrong_method};
use super::policies::{decoded, listed};
use crate::print;
use crate::running::Running;

/// All of them.
pub(super) fn all(running: &Running) -> Value {
    let plan = running.proxy.plan();
    plan.settings.routes.iter().map(|route| shown(route, &plan)).collect()
}

/// Answers for what lies below `/api/v1/routes/`.
///
/// # Cancel safety
///
/// A switch is thrown whole or not at all.
pub(super) async fn below(path: &str, request: Request<Incoming>, running: &Running) -> Answer {
    let (name, part) = path.split_once('/').unwrap_or((path, ""));
    let name = decoded(name);
    match (part, request.method()) {
        ("", &Method::GET | &Method::HEAD) => one(&name, running),
        ("", _) => wrong_method("GET, HEAD"),
        ("maintenance/override", &Method::PUT) => throw(request, &name, running).await,
        ("maintenance/override", _) => wrong_method("PUT"),
        _ => problem(StatusCode::NOT_FOUND, "there is nothing at this path"),
    }
}

/// What the switch is to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    r#override: String,
    retry_after: Option<String>,
    body: Option<String>,
}

impl Switch {
    /// What it means.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and the remedy.
    fn read(self) -> Result<Option<Forced>, String> {
        let Self { r#override, retry_after, body } = self;
        let says = retry_after.is_some() || body.is_some();
        match &*r#override {
            "on" => {
                let retry_after = retry_after.as_deref().map(text::parse_duration).transpose();
                let retry_after = retry_after.map_err(|error| format!("`retry_after`: {error}"))?;
                Ok(Some(Forced::On(Maintenance { retry_after, body })))
            }
            "off" | "none" if says => {
                Err("`retry_after` and `body` are said in maintenance; write \"on\"".to_owned())
            }
            "off" => Ok(Some(Forced::Off)),
            "none" => Ok(None),
            other => Err(format!("`{other}` is no override; write \"on\", \"off\" or \"none\"")),
        }
    }
}

/// Throws the switch beside the route's own `maintenance`, as the body says.
async fn throw(request: Request<Incoming>, name: &str, running: &Running) -> Answer {
    let body = match body_of(request).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let switch = serde_json::from_str::<Switch>(&body).map_err(|error| {
        format!(
            "the body cannot be read: {error}; write {{\"override\": \"on\"}}, and \"retry_after\" or \"body\" \
             beside it"
        )
    });
    let forced = match switch.and_then(Switch::read) {
        Ok(forced) => forced,
        Err(detail) => return problem(StatusCode::BAD_REQUEST, &detail),
    };
    let word = word(forced.as_ref());
    match running.proxy.maintain(name, forced) {
        Ok(()) => {
            tracing::info!(
                route = name,
                "a route's maintenance was switched, until the process ends: {word}"
            );
            one(name, running)
        }
        Err(Unknown::NotHttp) => {
            let detail = format!("`{name}` takes no requests of HTTP, which alone can be put off");
            problem(StatusCode::CONFLICT, &detail)
        }
        Err(Unknown::Plan(error)) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => one(name, running),
    }
}

/// The route of that name, or that there is none and what there is.
fn one(name: &str, running: &Running) -> Answer {
    let plan = running.proxy.plan();
    let mut routes = plan.settings.routes.iter();
    match routes.find(|route| route.name == name) {
        Some(route) => json(StatusCode::OK, &shown(route, &plan)),
        None => {
            let known = listed(plan.settings.routes.iter().map(|route| &*route.name));
            problem(StatusCode::NOT_FOUND, &format!("there is no route `{name}`; {known}"))
        }
    }
}

/// A route: what it says, and whether its requests are served.
fn shown(route: &Settings, plan: &Plan) -> Value {
    let forced = plan.forced_maintenance(&route.name);
    let mut shown = print::route(route);
    shown["served"] = match forced {
        Some(forced) => (*forced == Forced::Off).into(),
        None => route.maintenance.is_none().into(),
    };
    shown["maintenance_override"] = match forced {
        Some(Forced::On(words)) => {
            let mut said = print::maintenance(words);
            said["override"] = "on".into();
            said["lasts"] = LASTS.into();
            said
        }
        forced => json!({ "override": word(forced), "lasts": forced.map(|_| LASTS) }),
    };
    shown
}

fn word(forced: Option<&Forced>) -> &'static str {
    match forced {
        Some(Forced::On(_)) => "on",
        Some(Forced::Off) => "off",
        None => "none",
    }
}

/// Nothing is written to the file.
const LASTS: &str = "until the process ends";
