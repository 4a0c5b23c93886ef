//! From what is written to what a plan is built from: defaults filled in, names looked up.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::path::Path;
use std::time::Duration;

use locum_proxy::plan;
use locum_proxy::upstream::{self, EndpointSettings, PoolSettings};
use locum_proxy::{compress, cors, files, listener, mirror, route};
use nix::unistd::{Group, User};

use super::attached::Attachments;
use super::fields::is_token;
use super::file::{self, File, ListenerProtocol, ProxyProtocol};
use super::value::{Address, Bind, Endpoint, Maintenance, Peer, Size};
use super::{auth, discover, health, tls, types};
use crate::demo;

/// What a plan is built from; the demo backends are at `demo`.
///
/// # Errors
///
/// Hosts that cannot be found, and endpoints that are the admin API.
pub(super) fn settings(
    file: &File,
    attached: &Attachments,
    demo: demo::Addresses,
) -> Result<plan::Settings, Vec<plan::Error>> {
    let mut errors = Vec::new();
    let mut upstreams = Vec::with_capacity(file.upstreams.len());
    for (name, wanted) in &file.upstreams {
        let path = format!("upstreams.{name}");
        let endpoints = match attached.get(&format!("{path}.discover.file")) {
            None => {
                let at = |index: usize| format!("{path}.endpoints.{index}");
                endpoints(&wanted.endpoints, at, file.admin.as_ref(), demo, &mut errors)
            }
            // The check has found it to be a list.
            Some(file_of) => {
                let at = |_: usize| format!("{path}.discover.file");
                let listed = discover::listed(file_of).unwrap_or_default();
                endpoints(&listed, at, file.admin.as_ref(), demo, &mut errors)
            }
        };
        errors.extend(loops(name, &endpoints, file));
        upstreams.push(upstream(name, wanted, endpoints, attached));
    }
    errors.extend(unknown_owners(file));
    let settings = plan::Settings {
        listeners: file
            .listeners
            .iter()
            .map(|(name, wanted)| listener(name, wanted, attached))
            .collect(),
        upstreams,
        policies: file
            .policies
            .iter()
            .map(|(name, wanted)| (name.clone(), wanted.clone()))
            .collect(),
        auth: auth::resolve(&file.auth, attached),
        routes: file
            .routes
            .iter()
            .enumerate()
            .map(|(index, wanted)| route(index, wanted, file))
            .collect(),
        zone: file.runtime.zone.clone(),
        drain: file.runtime.drain.map_or(DRAIN, |drain| drain.0),
        seed: file.runtime.seed,
    };
    if errors.is_empty() { Ok(settings) } else { Err(errors) }
}

fn listener(name: &str, wanted: &file::Listener, attached: &Attachments) -> listener::Settings {
    let defaults = listener::Limits::default();
    let limits = &wanted.limits;
    let nets = wanted.trusted_proxies.iter().filter_map(|peer| match peer {
        Peer::Net(net) => Some(net.0),
        Peer::Unix => None,
    });
    listener::Settings {
        name: name.to_owned(),
        bind: wanted.bind.of_listener(),
        // Names that nobody has were told of.
        socket: socket_file(name, wanted).unwrap_or_default(),
        protocol: match wanted.protocol {
            ListenerProtocol::Http => listener::Protocol::Http,
            ListenerProtocol::Rpc => listener::Protocol::Rpc,
            ListenerProtocol::Auto => listener::Protocol::Auto,
            ListenerProtocol::Tcp => listener::Protocol::Tcp,
        },
        tls: wanted.tls.as_ref().map(|tls| tls::of_listener(name, tls, attached)),
        trusted_proxies: nets.collect(),
        trusts_unix: wanted.trusted_proxies.contains(&Peer::Unix),
        proxy_protocol: wanted.proxy_protocol.is_some(),
        maintenance: maintenance(&wanted.maintenance),
        limits: listener::Limits {
            connections: limits.connections.unwrap_or(defaults.connections),
            connections_per_client: limits.connections_per_client,
            header_bytes: limits.header_bytes.map_or(defaults.header_bytes, |size| {
                usize::try_from(size.0).expect("the check keeps it below 1 MiB")
            }),
            headers: limits.headers.unwrap_or(defaults.headers),
            header_timeout: limits.header_timeout.map_or(defaults.header_timeout, |time| time.0),
            body_bytes: limits.body_bytes.map_or(defaults.body_bytes, |size| size.0),
            body_idle: limits.body_idle.map_or(defaults.body_idle, |time| time.0),
            body_rate: limits.body_rate.map_or(defaults.body_rate, |size| size.0),
            write_stall: limits.write_stall.map_or(defaults.write_stall, |time| time.0),
            idle: match (limits.idle, wanted.protocol) {
                (Some(time), _) => time.0,
                (None, ListenerProtocol::Tcp) => IDLE_BYTES,
                (None, _) => defaults.idle,
            },
            requests_per_connection: limits
                .requests_per_connection
                .unwrap_or(defaults.requests_per_connection),
            message_bytes: limits.message_bytes.map_or(defaults.message_bytes, |size| {
                usize::try_from(size.0).expect("the check keeps it below 1 GiB")
            }),
            calls_per_connection: limits
                .calls_per_connection
                .unwrap_or(defaults.calls_per_connection),
            http2: limits.http2.as_ref().map_or(defaults.http2, http2),
        },
    }
}

fn http2(wanted: &file::Http2Limits) -> listener::Http2Limits {
    let defaults = listener::Http2Limits::default();
    let window = |size: Option<Size>, default: u32| {
        size.map_or(default, |size| u32::try_from(size.0).expect("the check keeps it to 1 GiB"))
    };
    let bytes = |size: Option<Size>, default: usize| {
        size.map_or(default, |size| usize::try_from(size.0).expect("the check keeps it to 1 GiB"))
    };
    listener::Http2Limits {
        streams: wanted.streams.unwrap_or(defaults.streams),
        stream_window: window(wanted.stream_window, defaults.stream_window),
        connection_window: window(wanted.connection_window, defaults.connection_window),
        frame_bytes: window(wanted.frame_bytes, defaults.frame_bytes),
        header_table: bytes(wanted.header_table, defaults.header_table),
        header_frames: wanted.header_frames.unwrap_or(defaults.header_frames),
        control_frames: wanted.control_frames.unwrap_or(defaults.control_frames),
        memory: bytes(wanted.memory, defaults.memory),
        empty_frames: wanted.empty_frames.unwrap_or(defaults.empty_frames),
        mistakes: wanted.mistakes.unwrap_or(defaults.mistakes),
        settings_timeout: wanted.settings_timeout.map_or(defaults.settings_timeout, |time| time.0),
        resets: wanted.resets.unwrap_or(defaults.resets),
    }
}

fn endpoints(
    wanted: &[Endpoint],
    at: impl Fn(usize) -> String,
    admin: Option<&file::Admin>,
    demo: demo::Addresses,
    errors: &mut Vec<plan::Error>,
) -> Vec<EndpointSettings> {
    let mut endpoints = Vec::with_capacity(wanted.len());
    for (index, endpoint) in wanted.iter().enumerate() {
        let found = match &endpoint.address {
            Address::Host { authority, .. } => look_up(authority).map(Into::into),
            Address::Unix(path) => Ok(upstream::Address::Unix(path.clone())),
            Address::Demo(number) => Ok(demo.http[*number - 1].into()),
            Address::DemoRpc(number) => Ok(demo.rpc[*number - 1].into()),
        };
        match found {
            Ok(address) if admin.is_some_and(|admin| reaches(&address, &admin.listen)) => {
                errors.push(plan::Error {
                    path: at(index),
                    reason: format!(
                        "`{}` is the admin API: clients must not reach it",
                        endpoint.address.name()
                    ),
                    remedy: "name the address of a service".to_owned(),
                });
            }
            Ok(address) => endpoints.push(EndpointSettings {
                name: endpoint.address.name().into_owned(),
                address,
                host: None,
                weight: endpoint.weight,
                zone: endpoint.zone.clone(),
            }),
            Err(why) => errors.push(unknown_host(at(index), &endpoint.address, &why)),
        }
    }
    endpoints
}

fn unknown_host(path: String, address: &Address, why: &io::Error) -> plan::Error {
    plan::Error {
        path,
        reason: format!("no address is known for `{}`: {why}", address.name()),
        remedy: "correct the name, or write an address such as 10.0.0.1:7001".to_owned(),
    }
}

/// What is named and is not known here and now: hosts, and owners of files.
pub(super) fn unresolved(file: &File) -> Vec<plan::Error> {
    let of_upstream = |(name, upstream): (&String, &file::Upstream)| {
        let unknown = |(index, endpoint): (usize, &Endpoint)| match &endpoint.address {
            Address::Host { authority, .. } => {
                let why = look_up(authority).err()?;
                let path = format!("upstreams.{name}.endpoints.{index}");
                Some(unknown_host(path, &endpoint.address, &why))
            }
            Address::Unix(_) | Address::Demo(_) | Address::DemoRpc(_) => None,
        };
        upstream.endpoints.iter().enumerate().filter_map(unknown).collect::<Vec<_>>()
    };
    file.upstreams.iter().flat_map(of_upstream).chain(unknown_owners(file)).collect()
}

/// The users and groups that are to have a socket and are nobody here.
fn unknown_owners(file: &File) -> Vec<plan::Error> {
    let listeners = file.listeners.iter();
    listeners.filter_map(|(name, listener)| socket_file(name, listener).err()).collect()
}

/// What the file of a listener's socket is to be like.
fn socket_file(name: &str, wanted: &file::Listener) -> Result<listener::SocketFile, plan::Error> {
    let Some(socket) = &wanted.socket else { return Ok(listener::SocketFile::default()) };
    let number = |key: &str, wanted: &Option<String>, look_up: fn(&str) -> Option<u32>| {
        let Some(wanted) = wanted else { return Ok(None) };
        let found = wanted.parse().ok().or_else(|| look_up(wanted));
        found.map(Some).ok_or_else(|| plan::Error {
            path: format!("listeners.{name}.socket.{key}"),
            reason: format!("there is no {key} `{}` here", wanted.escape_debug()),
            remedy: format!("correct the name, make the {key}, or write its number"),
        })
    };
    let user = |name: &str| User::from_name(name).ok()?.map(|user| user.uid.as_raw());
    let group = |name: &str| Group::from_name(name).ok()?.map(|group| group.gid.as_raw());
    Ok(listener::SocketFile {
        mode: socket.mode.map(|mode| mode.0),
        user: number("user", &socket.user, user)?,
        group: number("group", &socket.group, group)?,
    })
}

/// Endpoints of an upstream that are a listener whose route leads there: a call would go round for ever.
fn loops(name: &str, endpoints: &[EndpointSettings], file: &File) -> Vec<plan::Error> {
    let endpoint_of = |listener: &file::Listener| {
        endpoints.iter().find(|endpoint| reaches(&endpoint.address, &listener.bind))
    };
    // Hardly any upstream is one of our listeners: only then it matters which routes there are.
    if !file.listeners.values().any(|listener| endpoint_of(listener).is_some()) {
        return Vec::new();
    }
    let leads_there = |route: &file::Route| route.upstreams().any(|to| to == name);
    let routes = file.routes.iter().enumerate().filter(|(_, route)| leads_there(route));
    let mut errors = Vec::new();
    for (at, route) in routes {
        for (listener, settings) in route.served(file) {
            let Some(endpoint) = endpoint_of(settings) else { continue };
            errors.push(plan::Error {
                path: format!("upstreams.{name}"),
                reason: format!(
                    "`{}` is the listener `{listener}`, whose route `{}` leads there: a call would go round for ever",
                    endpoint.name,
                    route.name_at(at)
                ),
                remedy: "name the address of a service, or give the route another `listener`".to_owned(),
            });
        }
    }
    errors.dedup();
    errors
}

/// Whether connecting to `address` reaches who listens at `listen`, however it is spelled.
fn reaches(address: &upstream::Address, listen: &Bind) -> bool {
    let (address, admin) = match (address, listen) {
        (upstream::Address::Tcp(address), Bind::Tcp(admin)) => (address, admin),
        (upstream::Address::Unix(path), Bind::Unix(at)) => {
            let same = |one: &Path, other: &Path| {
                Some(one.canonicalize().ok()? == other.canonicalize().ok()?)
            };
            return path == at || same(path, at).unwrap_or(false);
        }
        _ => return false,
    };
    if address.port() != admin.port() {
        return false;
    }
    let (to, at) = (address.ip().to_canonical(), admin.ip().to_canonical());
    // Connecting to the unspecified address reaches loopback.
    let loops = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    // Whoever listens everywhere is reached by every address of this machine: those one can bind.
    let is_ours = |ip: IpAddr| UdpSocket::bind((ip, 0)).is_ok();
    to == at || (loops(to) && loops(at)) || (at.is_unspecified() && is_ours(to))
}

fn upstream(
    name: &str,
    wanted: &file::Upstream,
    endpoints: Vec<EndpointSettings>,
    attached: &Attachments,
) -> upstream::Settings {
    let defaults = upstream::Settings::new(name, endpoints);
    let (pool, pools) = (&wanted.pool, &defaults.pool);
    upstream::Settings {
        name: defaults.name,
        endpoints: defaults.endpoints,
        protocol: wanted.speaks().into(),
        tls: wanted.is_over_tls().then(|| tls::of_upstream(name, wanted.tls.as_ref(), attached)),
        proxy_protocol: wanted.proxy_protocol.map(|version| match version {
            ProxyProtocol::V1 => upstream::ProxyProtocol::V1,
            ProxyProtocol::V2 => upstream::ProxyProtocol::V2,
        }),
        cancel: wanted.cancel.unwrap_or(defaults.cancel),
        types: types::resolve(&wanted.types),
        balance: wanted.balance.clone(),
        max_ejected: wanted.max_ejected.unwrap_or(defaults.max_ejected),
        discover: wanted.discover.as_ref().and_then(discover::resolve),
        slow_start: wanted.slow_start.map(|time| time.0),
        failover: wanted.failover.clone(),
        health: wanted.health.as_ref().map(|health| health::resolve(health, wanted.speaks())),
        pool: PoolSettings {
            idle_per_worker: pool.idle_per_worker.unwrap_or(pools.idle_per_worker),
            connections_per_worker: pool
                .connections_per_worker
                .unwrap_or(pools.connections_per_worker),
            idle: pool.idle.map_or(pools.idle, |time| time.0),
            connect_timeout: pool.connect_timeout.map_or(pools.connect_timeout, |time| time.0),
            read_idle: pool.read_idle.map_or(pools.read_idle, |time| time.0),
        },
        endpoint_policy: wanted.endpoint_policy.clone(),
    }
}

/// The address of `host:port`; of several the first of IPv4, where most services listen.
fn look_up(authority: &str) -> io::Result<SocketAddr> {
    let found: Vec<_> = authority.to_socket_addrs()?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
    first.copied().ok_or_else(|| io::Error::other("the name has no address"))
}

fn route(index: usize, wanted: &file::Route, file: &File) -> route::Settings {
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let edits = |edits: &file::HeaderEdits| route::HeaderEdits {
        set: pairs(&edits.set),
        add: pairs(&edits.add),
        remove: edits.remove.clone(),
    };
    let action = match (&wanted.redirect, &wanted.transcode, &wanted.upstream) {
        _ if let Some(files) = &wanted.files => route::Action::Files(files::Settings {
            root: files.root.as_str().into(),
            index: files.index.clone(),
            precompressed: files.precompressed.iter().map(|it| (*it).into()).collect(),
            listing: files.listing,
        }),
        _ if let Some(respond) = &wanted.respond => route::Action::Respond(route::Response {
            status: respond.status,
            headers: pairs(&respond.headers),
            body: respond.body.clone(),
        }),
        (Some(redirect), _, _) => {
            route::Action::Redirect { status: redirect.status, to: redirect.to.clone() }
        }
        (None, Some(transcode), _) => route::Action::Transcode {
            upstream: transcode.upstream.clone(),
            types: types::resolve(&transcode.types),
        },
        (None, None, Some(upstream)) => route::Action::Forward(vec![(upstream.clone(), 1)]),
        (None, None, None) => {
            let share = |share: &file::Share| (share.upstream.clone(), share.weight);
            route::Action::Forward(wanted.split.iter().map(share).collect())
        }
    };
    let defaults = route::Settings::new(&wanted.name_at(index), action);
    route::Settings {
        name: defaults.name,
        listener: wanted.listener.clone(),
        matches: route::Match {
            host: wanted.matches.host.clone(),
            path: wanted.matches.path.clone(),
            methods: wanted.matches.methods.clone(),
            headers: pairs(&wanted.matches.headers),
            query: pairs(&wanted.matches.query),
            call: wanted.calls(file).map(str::to_owned),
            sni: wanted.matches.sni.clone(),
        },
        action: defaults.action,
        split_key: wanted.split_key.as_deref().and_then(split_key),
        maintenance: maintenance(&wanted.maintenance),
        cors: wanted.cors.as_ref().map(|cors| cors::Settings {
            origins: cors.origins.clone(),
            methods: cors.methods.clone(),
            headers: cors.headers.clone(),
            expose: cors.expose.clone(),
            credentials: cors.credentials,
            max_age: cors.max_age.map(|age| age.0),
        }),
        mirror: wanted.mirror.as_ref().map(|mirror| mirror::Settings {
            upstream: mirror.upstream.clone(),
            percent: mirror.percent,
        }),
        compress: wanted.compress.said().map(|compression| compress::Settings {
            codings: compression.codings.iter().map(|it| (*it).into()).collect(),
            types: compression.types.clone(),
            min_body: compression.min_body.0,
        }),
        policy: wanted.policy.clone(),
        host: match wanted.host.as_deref() {
            None | Some("preserve") => route::Host::Preserve,
            Some("upstream") => route::Host::Upstream,
            Some(name) => route::Host::Name(name.to_owned()),
        },
        rewrite: wanted.rewrite.as_ref().and_then(|rewrite| match rewrite {
            file::Rewrite { prefix: Some(prefix), .. } => {
                Some(route::Rewrite::Prefix(prefix.clone()))
            }
            file::Rewrite { path: Some(path), .. } => Some(route::Rewrite::Path(path.clone())),
            _ => None,
        }),
        request_headers: edits(&wanted.request_headers),
        response_headers: edits(&wanted.response_headers),
        max_body: wanted.max_body.map(|size| size.0),
        priority: wanted.priority.unwrap_or(defaults.priority),
        auth: wanted.auth.clone(),
    }
}

/// `header:NAME`, `cookie:NAME` or `client-ip`.
pub(super) fn split_key(text: &str) -> Option<route::SplitKey> {
    let named = |name: &str| is_token(name).then(|| name.to_owned());
    match text.split_once(':') {
        None if text == "client-ip" => Some(route::SplitKey::ClientIp),
        Some(("header", name)) => named(name).map(route::SplitKey::Header),
        Some(("cookie", name)) => named(name).map(route::SplitKey::Cookie),
        _ => None,
    }
}

fn maintenance(wanted: &Maintenance) -> Option<route::Maintenance> {
    let words = wanted.said()?;
    let retry_after = words.retry_after.map(|after| after.0);
    Some(route::Maintenance { retry_after, body: words.body.clone() })
}

/// What carries bytes that mean nothing to us may be silent for long.
const IDLE_BYTES: Duration = Duration::from_secs(600);

/// What an orchestrator commonly grants before it kills.
const DRAIN: Duration = Duration::from_secs(30);
