//! `cargo xtask bench scale`: what a request costs when there are many routes, endpoints or keys of a limit,
//! beside nginx with as many; and how a reload of many routes is felt.

use std::fmt::Write as _;

use super::beside::{self, Series};
use super::load::Bench;
use super::need_tools;
use super::options::Options;
use super::peer::{Peer, Place};
use super::program::{build_workspace, package_version};
use super::results::Results;
use super::rounds;
use super::scenario::{Scenario, Script};
use super::server::{LOCUM_BARE, NGINX, Ready, Server};
use crate::process::skipped;

mod reload;

/// What there are many of.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Routes,
    Endpoints,
    Keys,
}

const SIZES: [(Kind, &str, &[usize]); 3] = [
    (Kind::Routes, "routes", &[1, 10, 1_000, 10_000]),
    (Kind::Endpoints, "endpoints", &[1, 100, 10_000]),
    (Kind::Keys, "keys of a limit", &[1, 1_000, 100_000]),
];

/// Of nginx's, so that it decides on every request and refuses none.
const LIMIT: &str = "limit_req zone=keys burst=1000000 nodelay;";
const ZONE: &str = "limit_req_zone $http_x_key zone=keys:64m rate=1000000r/s;";
/// The same of ours.
const POLICY: &str = r#"
[policies.keys]
rate_limit = { algorithm = "token-bucket", rate = "1000000/s", burst = 1000000, key = "header:x-key", max_keys = 200000 }
"#;

/// Measures both with every size.
pub(super) fn run(options: &Options) -> Result<(), String> {
    need_tools()?;
    // Its endpoints are addresses of 127.0.0.0/8.
    let mut bench = Bench::at("0.0.0.0")?;
    let [nginx, locum] = [(NGINX, "proxy/scale.conf"), (LOCUM_BARE, "proxy/scale.toml")]
        .map(|(server, config)| Server { config: Some(config), ..server }.only_plain().ready());
    let (nginx, locum) = (nginx?, locum?);
    let mut series = Vec::new();
    for (kind, of, sizes) in SIZES {
        for &size in sizes {
            let name = format!("{size} {of}");
            if !options.wants_scenario(&name) {
                continue;
            }
            match measure(&mut bench, (&nginx, &locum), (kind, size), &name, rounds(options)) {
                Ok(measured) => series.extend(measured),
                Err(why) => skipped(&name, &why),
            }
        }
    }
    let legend = beside::legend(NGINX.name, rounds(options), bench.runs());
    let reloads = match reload::is_wanted(options) {
        true => {
            let load = build_workspace("load")?.join("locum-bench-load");
            reload::run(&load, options)?
        }
        false => Vec::new(),
    };
    let mut rows = beside::rows(&series);
    rows.extend(reloads.iter().map(reload::Measured::row));
    let results = Results {
        name: "scale",
        title: "What many routes, endpoints and keys cost",
        versions: vec![
            NGINX.program.version(),
            LOCUM_BARE.program.version(),
            package_version("wrk"),
        ],
        tables: format!(
            "One worker each, on core 0; the origin and wrk, with 64 connections, on core 1. Requests go to all\n\
             routes in turn, or in the name of all keys in turn; endpoints are addresses of this machine, and both\n\
             keep their connections. Both proxies are started anew for each round. {legend}{}{}",
            beside::table(&series, NGINX.name),
            reload::tables(&reloads),
        ),
        rows,
    };
    results.tell(options, bench.judge())
}

/// Measures both with as many.
fn measure(
    bench: &mut Bench,
    (nginx, locum): (&Ready, &Ready),
    (kind, size): (Kind, usize),
    name: &str,
    rounds: usize,
) -> Result<Vec<Series>, String> {
    let place = |more| Place { more, ..Place::before(bench.origin()) };
    let port = bench.origin().port();
    let (nginx_place, locum_place) = (place(kind.nginx(size, port)), place(kind.locum(size, port)));
    let start = || Ok((Peer::start(nginx, &nginx_place)?, vec![Peer::start(locum, &locum_place)?]));
    let scenario = Scenario::scripted(name.to_owned(), kind.script(size));
    beside::measure(bench, start, &[&scenario], rounds)
}

impl Kind {
    /// What the load does to meet all of them.
    fn script(self, size: usize) -> Option<Script> {
        let file = match self {
            Self::Routes => "proxy/routes.lua",
            Self::Keys => "proxy/keys.lua",
            Self::Endpoints => return None,
        };
        Some(Script { file, argument: size })
    }

    /// What fills the configuration of nginx.
    fn nginx(self, size: usize, origin: u16) -> Vec<(&'static str, String)> {
        let servers = each(self.endpoints(size), |n| format!("server {}:{origin};\n", endpoint(n)));
        let locations = each(self.routes(size), |n| {
            let path = if self == Self::Routes { format!("/r{n}/") } else { "/".to_owned() };
            let limit = if self == Self::Keys { LIMIT } else { "" };
            format!("location {path} {{ proxy_pass http://origin; {limit} }}\n")
        });
        let zone = if self == Self::Keys { ZONE } else { "" };
        vec![("endpoints", servers), ("routes", locations), ("limit", zone.to_owned())]
    }

    /// What fills ours.
    fn locum(self, size: usize, origin: u16) -> Vec<(&'static str, String)> {
        let endpoints = each(self.endpoints(size), |n| format!("\"{}:{origin}\",\n", endpoint(n)));
        let mut routes = each(self.routes(size), |n| {
            let matches = match self {
                Self::Routes => format!("match = {{ path = \"/r{n}/*\" }}\n"),
                _ => String::new(),
            };
            let policy = if self == Self::Keys { "policy = \"keys\"\n" } else { "" };
            format!("[[routes]]\nname = \"r{n}\"\nupstream = \"origin\"\n{matches}{policy}")
        });
        if self == Self::Keys {
            routes.push_str(POLICY);
        }
        vec![("endpoints", endpoints), ("routes", routes)]
    }

    fn routes(self, size: usize) -> usize {
        if self == Self::Routes { size } else { 1 }
    }

    fn endpoints(self, size: usize) -> usize {
        if self == Self::Endpoints { size } else { 1 }
    }
}

fn each(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let _ = write!(text, "{}", line(n));
        text
    })
}

/// Every one an address of this machine, on which the origin listens.
fn endpoint(n: usize) -> String {
    format!("127.1.{}.{}", n / 250, 1 + n % 250)
}
