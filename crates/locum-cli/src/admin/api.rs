//! What the admin API answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, StatusCode};
use locum_proxy::metrics::{Exposition, Format};
use locum_proxy::now;
use serde_json::{Value, json};

use super::answer::{Answer, json, problem, seconds, text, wrong_method};
use super::guard::{Guard, Refusal};
use super::{configuration, policies, process, routes, upstreams};
use crate::print;
use crate::running::Running;

/// Answers one request.
///
/// # Cancel safety
///
/// A change that has begun is finished.
pub(super) async fn answer(
    request: Request<Incoming>,
    running: &Arc<Running>,
    local: bool,
) -> Answer {
    let state = running.state();
    let admin = state.config.file.admin.as_ref();
    let guard = Guard {
        local,
        hosts: admin.map_or(&[], |admin| &admin.hosts),
        token: state.token.as_deref(),
    };
    let checked = guard.check(request.method(), request.headers());
    let mut answer = match checked {
        Ok(()) => dispatch(request, running).await,
        Err(refusal) => refused(refusal),
    };
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

async fn dispatch(request: Request<Incoming>, running: &Arc<Running>) -> Answer {
    let path = request.uri().path().to_owned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (&*path, reads) {
        ("/", true) => page(),
        ("/healthz", true) => text(StatusCode::OK, "ok\n"),
        ("/readyz", true) => match running.is_draining() {
            false => text(StatusCode::OK, "ready\n"),
            true => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        },
        ("/metrics", true) => metrics(&request, running),
        ("/api/v1/status", true) => json(StatusCode::OK, &status(running)),
        ("/api/v1/listeners", true) => json(StatusCode::OK, &listeners(running)),
        ("/api/v1/routes", true) => json(StatusCode::OK, &routes::all(running)),
        ("/api/v1/upstreams", true) => json(StatusCode::OK, &upstreams::all(running)),
        ("/api/v1/policies", true) => json(StatusCode::OK, &policies::all(running)),
        ("/api/v1/drain", false) if request.method() == Method::POST => {
            running.drain_asked.notify_one();
            json(StatusCode::ACCEPTED, &json!({ "draining": true }))
        }
        ("/api/v1/drain", _) => wrong_method("POST"),
        (path, _) if let Some(below) = path.strip_prefix("/api/v1/config") => {
            configuration::below(below, request, running).await
        }
        (path, _) if let Some(below) = path.strip_prefix("/api/v1/policies/") => {
            policies::below(below, request, running).await
        }
        (path, _) if let Some(below) = path.strip_prefix("/api/v1/routes/") => {
            routes::below(below, request, running).await
        }
        (path, _) if let Some(below) = path.strip_prefix("/api/v1/upstreams/") => {
            upstreams::below(below, request.method(), running)
        }
        (path, _) if PAGES.iter().any(|(known, _)| *known == path) => wrong_method("GET, HEAD"),
        _ => problem(StatusCode::NOT_FOUND, "there is nothing at this path"),
    }
}

/// What can be read, and what it is.
const PAGES: &[(&str, &str)] = &[
    ("/healthz", "200 while the process lives"),
    ("/readyz", "200 once every listener accepts, 503 while draining"),
    ("/metrics", "Prometheus text, or OpenMetrics if asked for"),
    ("/api/v1/status", "version, uptime, plan, last reload error, connections"),
    (
        "/api/v1/config",
        "the running configuration, as JSON; PUT replaces it, POST below checks and compares",
    ),
    ("/api/v1/listeners", "listeners with their connections"),
    (
        "/api/v1/routes",
        "routes in the order of the file, and whether they are served; one by its name below",
    ),
    (
        "/api/v1/upstreams",
        "upstreams and endpoints with health, breakers and what is in flight; one by its name below",
    ),
    (
        "/api/v1/policies",
        "policies with breakers, limits and budgets as they stand; one by its name below",
    ),
];

fn page() -> Answer {
    let row =
        |(path, what): &(&str, &str)| format!("<li><a href=\"{path}\">{path}</a>: {what}</li>\n");
    let rows: String = PAGES.iter().map(row).collect();
    let mut answer = text(StatusCode::OK, &PAGE.replace("{pages}", &rows));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    answer
}

const PAGE: &str = include_str!("../embedded/admin.html");

fn metrics(request: &Request<Incoming>, running: &Running) -> Answer {
    let accepted = request.headers().get_all(ACCEPT).iter();
    let accepts =
        |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains(OPEN_METRICS));
    let format = match accepted.into_iter().any(accepts) {
        true => Format::OpenMetrics,
        false => Format::Prometheus,
    };
    let mut out = Exposition::new(format);
    running.proxy.render(&mut out);
    out.counter(
        "locum_config_reloads",
        "Reloads of the configuration, by whether they took effect.",
    );
    out.count(&[("result", "ok")], running.reloaded.load(Ordering::Relaxed));
    out.count(&[("result", "error")], running.refused.load(Ordering::Relaxed));
    out.gauge("locum_plan_version", "The version of the plan that runs.");
    out.value(&[], running.state().version);
    process::render(&mut out, running);
    let mut answer = text(StatusCode::OK, &out.finish());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    answer
}

fn status(running: &Running) -> Value {
    let state = running.state();
    let plan = running.proxy.plan();
    let connections: usize = plan.listeners.iter().map(|listener| listener.connections()).sum();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime": seconds(now().since(running.started)),
        "plan_version": state.version,
        "plan_age": seconds(now().since(state.since)),
        "last_reload_error": state.last_error,
        "reloads": {
            "ok": running.reloaded.load(Ordering::Relaxed),
            "error": running.refused.load(Ordering::Relaxed),
        },
        "workers": running.proxy.workers(),
        "connections": connections,
        "draining": running.is_draining(),
    })
}

fn listeners(running: &Running) -> Value {
    let (plan, bound) = (running.proxy.plan(), running.proxy.bound());
    let listener = plan.listeners.iter().map(|listener| {
        let mut json = print::listener(&listener.settings);
        json["address"] = bound.get(&listener.settings.name).map(ToString::to_string).into();
        json["connections"] = listener.connections().into();
        json
    });
    listener.collect()
}

fn refused(Refusal(status, detail): Refusal) -> Answer {
    let mut answer = problem(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN), detail);
    if status == 401 {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

const OPEN_METRICS: &str = "application/openmetrics-text";
