//! `locum proxy`: a reverse proxy to one host, said in one line.

use std::collections::BTreeMap;

use locum_policy::Settings as Policy;

use crate::Failure;
use crate::args;
use crate::config::Config;
use crate::config::file::{
    File, HeaderEdits, Limits, Listener, ListenerProtocol, Pool, Route, Upstream,
};
use crate::config::value::Endpoint;
use crate::run::{Source, serve};
use crate::watch::Scope;

/// `locum proxy`.
pub(crate) fn run(args: args::Proxy) -> Result<(), Failure> {
    let mut policy = match &args.policy {
        None => Policy::default(),
        Some((path, name)) => Config::load(path)?.file.policies.remove(name).ok_or_else(|| {
            Failure::Failed(format!("{}: there is no policy `{name}`", path.display()))
        })?,
    };
    if args.timeout.is_some() {
        policy.timeout = args.timeout;
    }
    let calls = args.to.scheme().is_some_and(|scheme| scheme.protocol.is_rpc());
    if calls && !args.headers.is_empty() {
        let text = "remote calls have no header fields; leave out --header";
        return Err(Failure::Usage(text.to_owned()));
    }
    let listener = Listener {
        bind: args.listen,
        protocol: if calls { ListenerProtocol::Rpc } else { ListenerProtocol::Http },
        socket: None,
        tls: None,
        trusted_proxies: Vec::new(),
        proxy_protocol: None,
        maintenance: Default::default(),
        limits: Limits::default(),
    };
    let upstream = Upstream {
        endpoints: vec![Endpoint { address: args.to, weight: 1, zone: None }],
        protocol: None,
        tls: None,
        balance: Default::default(),
        proxy_protocol: None,
        max_ejected: None,
        discover: None,
        slow_start: None,
        failover: None,
        health: None,
        pool: Pool::default(),
        endpoint_policy: None,
        cancel: None,
        types: BTreeMap::new(),
    };
    let mut set = BTreeMap::new();
    if !calls {
        set.insert("X-Forwarded-By".to_owned(), "locum".to_owned());
        set.extend(args.headers);
    }
    let route = Route {
        name: Some("all".to_owned()),
        upstream: Some("to".to_owned()),
        policy: Some("command-line".to_owned()),
        request_headers: HeaderEdits { set, ..HeaderEdits::default() },
        ..Route::default()
    };
    let file = File {
        listeners: BTreeMap::from([("web".to_owned(), listener)]),
        upstreams: BTreeMap::from([("to".to_owned(), upstream)]),
        policies: BTreeMap::from([("command-line".to_owned(), policy)]),
        routes: vec![route],
        ..File::default()
    };
    serve(&Source::Built(Box::new(file)), &args.process, Scope::Attached)
}
