//! The configuration by the admin API: shown, judged, compared, replaced.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::answer::{Answer, body_of, json, problem, wrong_method};
use crate::config::{self, Config};
use crate::diff;
use crate::running::Running;

/// Answers what is asked `below` `/api/v1/config`.
///
/// # Cancel safety
///
/// A configuration that is being taken over is taken over.
pub(super) async fn below(
    below: &str,
    request: Request<Incoming>,
    running: &Arc<Running>,
) -> Answer {
    let method = request.method().clone();
    match (below, method) {
        ("", Method::GET | Method::HEAD) => {
            match serde_json::to_value(&running.state().config.file) {
                Ok(file) => json(StatusCode::OK, &file),
                Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            }
        }
        ("", Method::PUT) => replace(request, running).await,
        ("/check", Method::POST) => check(request, running).await,
        ("/diff", Method::POST) => compare(request, running).await,
        ("", _) => wrong_method("GET, HEAD, PUT"),
        ("/check" | "/diff", _) => wrong_method("POST"),
        _ => problem(StatusCode::NOT_FOUND, "there is nothing at this path"),
    }
}

/// Judges the configuration in the body; nothing is changed.
async fn check(request: Request<Incoming>, running: &Running) -> Answer {
    let read = match read(request, running).await {
        Ok(read) => read,
        Err(answer) => return answer,
    };
    let (ok, problems, sources) = match read {
        Ok(config) => (true, config.warnings, config.sources),
        Err(failure) => (false, failure.problems, failure.sources),
    };
    let lines: Vec<_> = problems.iter().map(|problem| sources.line(problem)).collect();
    json(StatusCode::OK, &json!({ "ok": ok, "problems": lines }))
}

/// Says what the configuration in the body would change; nothing is.
async fn compare(request: Request<Incoming>, running: &Arc<Running>) -> Answer {
    let config = match whole(request, running).await {
        Ok(config) => config,
        Err(answer) => return answer,
    };
    let running = Arc::clone(running);
    // Names of hosts are looked up.
    let compared = tokio::task::spawn_blocking(move || {
        let settings = running.settings(&config)?;
        let (state, plan) = (running.state(), running.proxy.plan());
        Ok(diff::configurations(&state.config, &plan.settings, &config, &settings))
    });
    match compared.await.unwrap_or_else(|error| Err(vec![error.to_string()])) {
        Ok(changes) => json(StatusCode::OK, &json!({ "changes": changes })),
        Err(lines) => refused(&lines),
    }
}

/// Runs the configuration in the body, until the file is read again; it is written to no file.
async fn replace(request: Request<Incoming>, running: &Arc<Running>) -> Answer {
    let config = match whole(request, running).await {
        Ok(config) => config,
        Err(answer) => return answer,
    };
    let running = Arc::clone(running);
    let replaced = tokio::task::spawn_blocking(move || running.replace(config));
    match replaced.await.unwrap_or_else(|error| Err(vec![error.to_string()])) {
        Ok(version) => json(StatusCode::OK, &json!({ "plan_version": version })),
        Err(lines) => refused(&lines),
    }
}

/// A configuration without errors, or what is wrong with it.
async fn whole(request: Request<Incoming>, running: &Running) -> Result<Config, Answer> {
    read(request, running).await?.map_err(|failure| refused(&failure.lines()))
}

fn refused(lines: &[String]) -> Answer {
    json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "ok": false, "problems": lines }))
}

/// Reads the body. What it names by relative paths is looked for beside the file that runs.
async fn read(
    request: Request<Incoming>,
    running: &Running,
) -> Result<Result<Config, config::Failure>, Answer> {
    let kind = request.headers().get(CONTENT_TYPE);
    let is_toml = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/toml"));
    let body = body_of(request).await?;
    if body.contains(MASKED) {
        let detail = "`***` stands for a secret that is not shown; write `${NAME}`, `file:/path`, \
                      or the secret itself";
        return Err(problem(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let state = running.state();
    let beside = state.config.sources.files.first().map(|source| source.path.as_path());
    let named = |name: &str| match beside {
        Some(file) => file.with_file_name(name).to_string_lossy().into_owned(),
        None => name.to_owned(),
    };
    Ok(match is_toml {
        true => Config::parse(&named("body.toml"), &body),
        false => Config::parse_json(&named("body.json"), &body),
    })
}

/// What a secret is shown as.
const MASKED: &str = "\"***\"";
