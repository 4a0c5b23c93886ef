//! What a configuration says, and whether it may: `check`, `print`, `schema`.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use locum_policy::text;
use locum_proxy::coding::Coding;
use locum_proxy::plan::Plan;
use locum_proxy::route::{Action, HeaderEdits, Host, Maintenance, Response, Rewrite, SplitKey};
use locum_proxy::tls::Version;
use locum_proxy::upstream::discover::{self, Name};
use locum_proxy::upstream::health::{self, Probe};
use locum_proxy::upstream::{MethodTypes, TypeSettings};
use locum_proxy::{auth, listener, plan, route, upstream};
use serde_json::{Value, json};

use crate::config::file::File;
use crate::config::value::{Statuses, shown};
use crate::config::{Config, EMBEDDED};
use crate::{Failure, demo};

/// `locum check`.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    let config = Config::load(path)?;
    let unresolved = config.unresolved();
    if unresolved.is_empty() {
        // The rest of what a start would do, short of starting.
        let settings = config.settings(demo::NOWHERE)?;
        Plan::build(settings, None).map_err(|error| config.failure(vec![error]))?;
    }
    drop(config.sources.show(&[config.warnings, unresolved].concat()));
    let File { listeners, upstreams, policies, routes, .. } = &config.file;
    out(&format!(
        "{}: fine (listeners: {}, upstreams: {}, policies: {}, routes: {})\n",
        path.display(),
        listeners.len(),
        upstreams.len(),
        policies.len(),
        routes.len(),
    ))
}

/// `locum print`.
pub(crate) fn print(path: Option<&Path>, resolved: bool) -> Result<(), Failure> {
    let config = match path {
        Some(path) => Config::load(path)?,
        None if !resolved => return out(EMBEDDED),
        None => Config::embedded(|_| {})?,
    };
    if resolved {
        let plan = plan(&config.settings(demo::NOWHERE)?);
        return out(&format!("{plan:#}\n"));
    }
    let text = toml::to_string_pretty(&config.file);
    out(&text
        .map_err(|error| Failure::Failed(format!("cannot write the configuration: {error}")))?)
}

/// `locum schema`.
pub(crate) fn schema() -> Result<(), Failure> {
    out(&format!("{:#}\n", schemars::schema_for!(File).as_value()))
}

/// A plan as JSON: every name resolved, every default filled in.
pub(crate) fn plan(settings: &plan::Settings) -> Value {
    let policies = settings
        .policies
        .iter()
        .map(|(name, policy)| (name.clone(), serde_json::to_value(policy).unwrap_or(Value::Null)));
    let auths = settings.auth.iter().map(|(name, settings)| (name.clone(), auth(settings)));
    json!({
        "listeners": settings.listeners.iter().map(listener).collect::<Vec<_>>(),
        "upstreams": settings.upstreams.iter().map(upstream).collect::<Vec<_>>(),
        "policies": policies.collect::<serde_json::Map<_, _>>(),
        "auth": auths.collect::<serde_json::Map<_, _>>(),
        "routes": settings.routes.iter().map(route).collect::<Vec<_>>(),
        "zone": settings.zone,
        "drain": duration(settings.drain),
        "seed": settings.seed,
    })
}

pub(crate) fn listener(settings: &listener::Settings) -> Value {
    let limits = &settings.limits;
    let unix = settings.trusts_unix.then(|| "unix".to_owned());
    let trusted = settings.trusted_proxies.iter().map(ToString::to_string).chain(unix);
    json!({
        "name": settings.name,
        "bind": settings.bind.to_string(),
        "protocol": match settings.protocol {
            listener::Protocol::Http => "http",
            listener::Protocol::Rpc => "rpc",
            listener::Protocol::Auto => "auto",
            listener::Protocol::Tcp => "tcp",
        },
        "tls": settings.tls.as_ref().map(|tls| json!({
            "certificates": tls.certificates.len(),
            "client_certificates": if tls.client_ca.is_some() { "required" } else { "none" },
            "min": match tls.min {
                Version::Tls12 => "1.2",
                Version::Tls13 => "1.3",
            },
        })),
        "socket": {
            "mode": settings.socket.mode.map(|mode| format!("{mode:04o}")),
            "user": settings.socket.user,
            "group": settings.socket.group,
        },
        "trusted_proxies": trusted.collect::<Vec<_>>(),
        "proxy_protocol": settings.proxy_protocol.then_some("accept"),
        "maintenance": settings.maintenance.as_ref().map(maintenance),
        "limits": {
            "connections": limits.connections,
            "connections_per_client": limits.connections_per_client,
            "header_bytes": size(limits.header_bytes as u64),
            "headers": limits.headers,
            "header_timeout": duration(limits.header_timeout),
            "body_bytes": limits.body_bytes.map_or_else(|| "unlimited".to_owned(), size),
            "body_idle": duration(limits.body_idle),
            "body_rate": size(limits.body_rate),
            "write_stall": duration(limits.write_stall),
            "idle": duration(limits.idle),
            "requests_per_connection": limits.requests_per_connection,
            "message_bytes": size(limits.message_bytes as u64),
            "calls_per_connection": limits.calls_per_connection,
            "http2": {
                "streams": limits.http2.streams,
                "stream_window": size(limits.http2.stream_window.into()),
                "connection_window": size(limits.http2.connection_window.into()),
                "frame_bytes": size(limits.http2.frame_bytes.into()),
                "header_table": size(limits.http2.header_table as u64),
                "header_frames": limits.http2.header_frames,
                "control_frames": limits.http2.control_frames,
                "memory": size(limits.http2.memory as u64),
                "empty_frames": limits.http2.empty_frames,
                "mistakes": limits.http2.mistakes,
                "settings_timeout": duration(limits.http2.settings_timeout),
                "resets": limits.http2.resets,
            },
        },
    })
}

pub(crate) fn upstream(settings: &upstream::Settings) -> Value {
    let pool = &settings.pool;
    // Calls share connections, requests of HTTP take turns on them.
    let (kept, connections) = match settings.protocol.shares_connections() {
        true => ("connections_per_worker", pool.connections_per_worker),
        false => ("idle_per_worker", pool.idle_per_worker),
    };
    json!({
        "name": settings.name,
        "protocol": settings.protocol.name(),
        "tls": settings.tls.as_ref().map(|tls| json!({
            "server_name": tls.server_name,
            "authorities": if tls.ca.is_some() { "own" } else { "the system's" },
            "certificate": if tls.identity.is_some() { "shown" } else { "none" },
        })),
        "proxy_protocol": settings.proxy_protocol.map(|version| match version {
            upstream::ProxyProtocol::V1 => "v1",
            upstream::ProxyProtocol::V2 => "v2",
        }),
        "types": types(&settings.types),
        "endpoints": settings.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "balance": settings.balance.to_string(),
        "max_ejected": settings.max_ejected,
        "slow_start": settings.slow_start.map(duration),
        "failover": settings.failover,
        "discover": settings.discover.as_ref().map(discover),
        "health": settings.health.as_ref().map(health),
        "pool": {
            kept: connections,
            "idle": duration(pool.idle),
            "connect_timeout": duration(pool.connect_timeout),
            "read_idle": duration(pool.read_idle),
        },
        "endpoint_policy": settings.endpoint_policy,
    })
}

fn discover(settings: &discover::Settings) -> Value {
    let servers = settings.resolver.servers.iter().map(ToString::to_string);
    let mut json = json!({
        "every": duration(settings.every),
        "servers": servers.collect::<Vec<_>>(),
        "search": settings.resolver.search,
    });
    match &settings.name {
        Name::Host(host, port) => json["dns"] = format!("{host}:{port}").into(),
        Name::Service(name) => json["srv"] = name.as_str().into(),
    }
    json
}

fn health(settings: &health::Settings) -> Value {
    let mut json = json!({
        "every": duration(settings.every),
        "timeout": duration(settings.timeout),
        "healthy": settings.healthy,
        "unhealthy": settings.unhealthy,
    });
    match &settings.probe {
        Probe::Tcp => json["kind"] = "tcp".into(),
        Probe::Grpc { service } => {
            json["kind"] = "grpc".into();
            json["service"] = service.as_str().into();
        }
        Probe::Http { path, host, status } => {
            json["kind"] = "http".into();
            json["path"] = path.as_str().into();
            json["host"] = host.as_deref().into();
            json["status"] = Statuses(status.clone()).to_string().into();
        }
    }
    json
}

pub(crate) fn endpoint(settings: &upstream::EndpointSettings) -> Value {
    json!({
        "name": settings.name,
        "address": settings.address.to_string(),
        "weight": settings.weight,
        "zone": settings.zone,
    })
}

/// What is said of methods, in the long form.
fn types(types: &[(String, MethodTypes)]) -> Value {
    fn one(said: &TypeSettings) -> Value {
        match said {
            TypeSettings::Named(word) => word.as_str().into(),
            TypeSettings::Struct(fields) => {
                fields.iter().map(|(name, said)| (name.clone(), one(said))).collect()
            }
        }
    }
    let method = |(name, said): &(String, MethodTypes)| {
        let said =
            json!({ "args": said.args.as_ref().map(one), "reply": said.reply.as_ref().map(one) });
        (name.clone(), said)
    };
    types.iter().map(method).collect()
}

/// One way to show who one is. Of keys only the names are told.
pub(crate) fn auth(settings: &auth::Settings) -> Value {
    let texts = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>();
    let names = |of: &[auth::Credential]| of.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    let mut json = match &settings.kind {
        auth::Kind::ApiKey { header, keys } => {
            json!({ "kind": "api-key", "header": header, "keys": names(keys) })
        }
        auth::Kind::Basic { realm, people } => {
            json!({ "kind": "basic", "realm": realm, "people": names(people) })
        }
        auth::Kind::Jwt(jwt) => token_auth(jwt),
        auth::Kind::Forward(asked) => json!({
            "kind": "forward",
            "url": asked.url.to_string(),
            "authorities": if asked.ca.is_some() { "own" } else { "the system's" },
            "timeout": duration(asked.timeout),
            "headers": asked.headers,
            "copy": asked.copy,
            "identity": asked.identity,
            "cache": asked.cache.map(duration),
            "connections": asked.connections,
        }),
        auth::Kind::Mtls { allow } => json!({ "kind": "mtls", "allow": allow }),
        auth::Kind::Ip { allow, deny } => {
            json!({ "kind": "ip", "allow": texts(allow), "deny": texts(deny) })
        }
    };
    if let Some(header) = &settings.identity_header {
        json["identity_header"] = header.as_str().into();
    }
    json
}

fn token_auth(settings: &auth::jwt::Settings) -> Value {
    let auth::jwt::Settings { rules, keys, header, cookie } = settings;
    let (jwks, refresh) = match keys {
        auth::jwt::Keys::Fetched { url, every, .. } => (url.to_string(), Some(duration(*every))),
        auth::jwt::Keys::Set(_) => ("a file".to_owned(), None),
        auth::jwt::Keys::Shared(_) => ("a secret".to_owned(), None),
    };
    let algorithms = rules.algorithms.iter().map(ToString::to_string);
    json!({
        "kind": "jwt",
        "issuer": rules.issuer,
        "audience": rules.audience,
        "algorithms": algorithms.collect::<Vec<_>>(),
        "keys": jwks,
        "refresh": refresh,
        "header": header,
        "cookie": cookie,
        "leeway": duration(std::time::Duration::from_secs(rules.leeway)),
        "claims": rules.claims.iter().cloned().collect::<BTreeMap<_, _>>(),
        "identity": rules.identity,
        "forward": pairs(&rules.forward),
    })
}

pub(crate) fn maintenance(settings: &Maintenance) -> Value {
    json!({ "retry_after": settings.retry_after.map(duration), "body": settings.body })
}

pub(crate) fn route(settings: &route::Settings) -> Value {
    let matches = &settings.matches;
    let mut json = json!({
        "name": settings.name,
        "listener": settings.listener,
        "match": {
            "host": matches.host,
            "path": matches.path,
            "methods": matches.methods,
            "headers": pairs(&matches.headers),
            "query": pairs(&matches.query),
            "call": matches.call,
            "sni": matches.sni,
        },
        "split_key": settings.split_key.as_ref().map(|key| match key {
            SplitKey::Header(name) => format!("header:{name}"),
            SplitKey::Cookie(name) => format!("cookie:{name}"),
            SplitKey::ClientIp => "client-ip".to_owned(),
        }),
        "maintenance": settings.maintenance.as_ref().map(maintenance),
        "mirror": settings.mirror.as_ref().map(|mirror| json!({
            "upstream": mirror.upstream,
            "percent": mirror.percent,
        })),
        "compress": settings.compress.as_ref().map(|compress| json!({
            "codings": codings(&compress.codings),
            "types": compress.types,
            "min_body": size(compress.min_body),
        })),
        "cors": settings.cors.as_ref().map(|cors| json!({
            "origins": cors.origins,
            "methods": cors.methods,
            "headers": cors.headers,
            "expose": cors.expose,
            "credentials": cors.credentials,
            "max_age": cors.max_age.map(duration),
        })),
        "auth": settings.auth,
        "policy": settings.policy,
        "host": match &settings.host {
            Host::Preserve => "preserve",
            Host::Upstream => "upstream",
            Host::Name(name) => name,
        },
        "rewrite": match &settings.rewrite {
            None => Value::Null,
            Some(Rewrite::Prefix(prefix)) => json!({ "prefix": prefix }),
            Some(Rewrite::Path(path)) => json!({ "path": path }),
        },
        "request_headers": edits(&settings.request_headers),
        "response_headers": edits(&settings.response_headers),
        "max_body": settings.max_body.map(size),
        "priority": settings.priority,
    });
    match &settings.action {
        Action::Forward(shares) => {
            let share = |(upstream, weight): &(String, u32)| json!({ "upstream": upstream, "weight": weight });
            json["split"] = shares.iter().map(share).collect();
        }
        Action::Transcode { upstream, types: said } => {
            json["transcode"] = json!({ "upstream": upstream, "types": types(said) });
        }
        Action::Files(files) => {
            json["files"] = json!({
                "root": files.root,
                "index": files.index,
                "precompressed": codings(&files.precompressed),
                "listing": files.listing,
            });
        }
        Action::Respond(Response { status, headers, body }) => {
            json["respond"] = json!({ "status": status, "headers": pairs(headers), "body": body });
        }
        Action::Redirect { status, to } => json["redirect"] = json!({ "status": status, "to": to }),
    }
    json
}

fn codings(codings: &[Coding]) -> Vec<&'static str> {
    codings.iter().map(|coding| coding.name()).collect()
}

fn edits(edits: &HeaderEdits) -> Value {
    json!({ "set": pairs(&edits.set), "add": pairs(&edits.add), "remove": edits.remove })
}

fn pairs(pairs: &[(String, String)]) -> Value {
    pairs
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(shown::value(name, value))))
        .collect()
}

fn duration(value: std::time::Duration) -> String {
    text::duration(value).to_string()
}

fn size(value: u64) -> String {
    text::size(value).to_string()
}

/// Writes to standard output. A reader that has seen enough is no failure.
pub(crate) fn out(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
