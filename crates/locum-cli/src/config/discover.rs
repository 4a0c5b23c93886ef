//! Where endpoints are found: what that has to hold, and its defaults.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use locum_proxy::upstream::discover::{Name, Resolver, Settings};

use super::attached::{Attached, Attachments};
use super::file::{Discover, Upstream};
use super::findings::Findings;
use super::value::{Address, Endpoint, host_and_port};

/// What the upstream at `path` says of where its endpoints are.
pub(super) fn check(
    path: &str,
    upstream: &Upstream,
    attached: &Attachments,
    findings: &mut Findings<'_>,
) {
    let Some(discover) = &upstream.discover else {
        if upstream.endpoints.is_empty() {
            let reason = "the list is empty, so no call could go anywhere";
            let remedy = "name at least one \"host:port\", or where they are found in `discover`";
            findings.error(&format!("{path}.endpoints"), reason, remedy);
        }
        return;
    };
    let path = format!("{path}.discover");
    if !upstream.endpoints.is_empty() {
        let reason = "endpoints are listed as well";
        findings.error_in_key(&path, reason, "keep one of `endpoints` and `discover`");
    }
    let Discover { dns, srv, file, every, resolver } = discover;
    let given = [dns, srv, file].into_iter().flatten().count();
    if given != 1 {
        let reason = format!("it names {given} places to look in");
        findings.error_in_key(&path, reason, "name one: `dns`, `srv` or `file`");
    }
    if let Some(dns) = dns
        && host_with_port(dns).is_none()
    {
        let reason = format!("`{}` is no host and port", dns.escape_debug());
        findings.error(&format!("{path}.dns"), reason, "write \"host:port\"");
    }
    if let Some(srv) = srv
        && !matches!(host_and_port(srv), Some((_, None)))
    {
        let reason = format!("`{}` is no name of SRV records", srv.escape_debug());
        let remedy = "write one such as \"_http._tcp.users.internal\", without a port";
        findings.error(&format!("{path}.srv"), reason, remedy);
    }
    findings.positive(&format!("{path}.every"), *every);
    if file.is_some() {
        let without_effect = [("every", every.is_some()), ("resolver", resolver.is_some())];
        for (key, _) in without_effect.iter().filter(|(_, given)| *given) {
            let reason = "a file is read again when it changes";
            findings.warning(&format!("{path}.{key}"), reason, "remove it");
        }
        let path = format!("{path}.file");
        // A file that cannot be read is told of with all that are named.
        let read = attached.get(&path).filter(|file| file.contents().is_ok()).map(listed);
        match read.transpose() {
            Err(reason) => {
                findings.error(&path, reason, "write a JSON array such as [\"10.0.0.1:7001\"]");
            }
            Ok(None) => {}
            Ok(Some(endpoints)) => super::endpoints::check(&endpoints, findings, |_| path.clone()),
        }
    }
}

/// The endpoints that a file lists.
///
/// # Errors
///
/// Why it lists none, in words.
pub(super) fn listed(file: &Attached) -> Result<Vec<Endpoint>, String> {
    let endpoints: Vec<Endpoint> =
        serde_json::from_slice(file.contents()?).map_err(|error| error.to_string())?;
    if endpoints.is_empty() {
        return Err("it lists no endpoint".to_owned());
    }
    let is_plain = |endpoint: &&Endpoint| {
        matches!(endpoint.address, Address::Host { scheme: None, .. } | Address::Unix(_))
    };
    match endpoints.iter().find(|endpoint| !is_plain(endpoint)) {
        Some(odd) => {
            Err(format!("`{}` has a scheme, which is for the configuration to say", odd.address))
        }
        None => Ok(endpoints),
    }
}

/// With its defaults; `None`: what is found is a list already.
pub(super) fn resolve(discover: &Discover) -> Option<Settings> {
    let name = match (&discover.dns, &discover.srv) {
        (Some(dns), _) => {
            let (host, port) = host_with_port(dns)?;
            Name::Host(host.to_owned(), port)
        }
        (None, Some(srv)) => Name::Service(srv.clone()),
        (None, None) => return None,
    };
    let resolver = match discover.resolver {
        Some(server) => Resolver { servers: vec![server], search: Vec::new(), ndots: 1 },
        // As resolv.conf(5) says, an absent file means the server on this machine.
        None => parse_resolv_conf(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
    };
    Some(Settings { name, every: discover.every.map_or(EVERY, |every| every.0), resolver })
}

fn host_with_port(text: &str) -> Option<(&str, u16)> {
    match host_and_port(text)? {
        (host, Some(port)) if port > 0 => Some((host, port)),
        _ => None,
    }
}

/// resolv.conf(5): servers, search domains, and how many dots make a name whole.
fn parse_resolv_conf(text: &str) -> Resolver {
    let mut resolver = Resolver { servers: Vec::new(), search: Vec::new(), ndots: 1 };
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => {
                let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                resolver.servers.extend(server.map(|ip| SocketAddr::new(ip, PORT)));
            }
            Some("search" | "domain") => resolver.search = words.map(str::to_owned).collect(),
            Some("options") => {
                let mut ndots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                resolver.ndots = ndots.next_back().unwrap_or(resolver.ndots);
            }
            _ => {}
        }
    }
    resolver.servers.truncate(SERVERS);
    if resolver.servers.is_empty() {
        resolver.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    resolver
}

const PORT: u16 = 53;
/// As many as the C library asks.
const SERVERS: usize = 3;
/// What most zones let others remember.
const EVERY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_c_library_reads_it() {
        let text = "# made by hand\nnameserver 10.0.0.2\nnameserver what\nnameserver ::1\n\
                    search ns.svc.local svc.local\noptions edns0 ndots:5\n";
        let expected = Resolver {
            servers: vec!["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse().unwrap()],
            search: vec!["ns.svc.local".to_owned(), "svc.local".to_owned()],
            ndots: 5,
        };
        assert_eq!(parse_resolv_conf(text), expected);
        assert_eq!(parse_resolv_conf("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }
}
