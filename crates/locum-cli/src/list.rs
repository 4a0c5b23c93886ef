//! `locum list`: the services and methods of a server, where it tells them.
//!
//! A server of ours tells them over every protocol; Go's net/rpc on its page `/debug/rpc`, if it is
//! served over HTTP.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use locum::{Channel, Cx};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use crate::call::{runtime, url};
use crate::{Failure, args};

/// `locum list`.
pub(crate) fn run(args: &args::List) -> Result<(), Failure> {
    let services = runtime()?.block_on(ask(args))?;
    if args.json {
        let text = serde_json::to_string_pretty(&services)
            .map_err(|error| Failure::Failed(format!("the list is no JSON: {error}")))?;
        println!("{text}");
    } else {
        print!("{}", lines(&services));
    }
    Ok(())
}

/// A service, as it is told. Protocols of Go spell the names of fields in its way.
#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct Service {
    #[serde(alias = "Name")]
    name: String,
    #[serde(alias = "Methods")]
    methods: Vec<Told>,
}

/// A method, as it is told.
#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct Told {
    /// `Service.Method`.
    #[serde(alias = "Name")]
    name: String,
    /// The type of its argument, as the server's language writes it.
    #[serde(alias = "Args")]
    args: String,
    /// The type of what it returns.
    #[serde(alias = "Reply")]
    reply: String,
}

/// The page of a server of ours.
#[derive(Debug, Deserialize)]
struct Page {
    services: Vec<Service>,
}

/// Asks in the ways that there are until one is answered.
async fn ask(args: &args::List) -> Result<Vec<Service>, Failure> {
    let named = args.protocol.is_some() || args.address.contains("://");
    let reflected = async || {
        // Without a protocol named, ours: Go's has no way to tell.
        let protocol = args.protocol.or_else(|| (!named).then_some(args::Protocol::Native));
        reflect(&url(&args.address, protocol)?, args.timeout).await
    };
    let page = async || {
        let place = args.address.split_once("://").map_or(&*args.address, |(_, place)| place);
        let asked = tokio::time::timeout(args.timeout, debug_page(place)).await;
        asked.unwrap_or_else(|_| Err(format!("/debug/rpc: no answer within {:?}", args.timeout)))
    };
    if named {
        let why = match reflected().await? {
            Ok(services) => return Ok(services),
            Err(why) => why,
        };
        page().await.map_err(|page| unanswered(&[why, page]))
    } else {
        let why = match page().await {
            Ok(services) => return Ok(services),
            Err(why) => why,
        };
        reflected().await?.map_err(|reflection| unanswered(&[why, reflection]))
    }
}

fn unanswered(reasons: &[String]) -> Failure {
    Failure::Call(1, format!("the server does not tell its services: {}", reasons.join("; ")))
}

/// Asks over the protocol itself; in an error, why there was no answer.
async fn reflect(url: &str, timeout: Duration) -> Result<Result<Vec<Service>, String>, Failure> {
    let usage = |error: locum::channel::BuildError| Failure::Usage(error.to_string());
    let channel = Channel::builder(url).timeout(timeout).fail_fast(true).build().map_err(usage)?;
    let answer = channel.call_json(&Cx::new(), "Locum.Services", "{}").await;
    Ok(answer.map_err(|error| error.to_string()).and_then(|json| read_json(json.as_bytes())))
}

fn read_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| format!("it told something else: {error}"))
}

/// The page that Go's net/rpc and our servers have.
async fn debug_page(place: &str) -> Result<Vec<Service>, String> {
    let said = |error: &dyn std::error::Error| format!("/debug/rpc: {error}");
    let stream = TcpStream::connect(place).await.map_err(|error| said(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| said(&error))?;
    let request = Request::builder()
        .method(Method::GET)
        .uri("/debug/rpc?format=json")
        .header(HOST, place)
        .body(Empty::<Bytes>::new())
        .map_err(|error| said(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| said(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("/debug/rpc: {}", response.status()));
        }
        let is_json = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let body = Limited::new(response.into_body(), PAGE_BYTES).collect().await;
        let body = body.map_err(|error| format!("/debug/rpc: {error}"))?.to_bytes();
        if is_json {
            read_json(&body).map(|Page { services }| services)
        } else {
            read_page(&String::from_utf8_lossy(&body))
        }
    };
    tokio::select! {
        answer = answer => answer,
        // A connection that ends well has given its answer.
        Err(error) = connection => Err(said(&error)),
    }
}

const PAGE_BYTES: usize = 4 << 20;

/// Reads the page as Go writes it (`src/net/rpc/debug.go`): a line `Service NAME` for each, and a cell
/// `NAME(ARGS, REPLY) error` for each method.
fn read_page(page: &str) -> Result<Vec<Service>, String> {
    let mut services: Vec<Service> = Vec::new();
    for line in page.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("Service ") {
            services.push(Service { name: unescape(name), methods: Vec::new() });
        } else if let Some(service) = services.last_mut()
            && let Some(method) = line.split_once('>').and_then(|(_, cell)| read_cell(cell))
        {
            let name = format!("{}.{}", service.name, method.name);
            service.methods.push(Told { name, ..method });
        }
    }
    if services.is_empty() {
        Err("/debug/rpc: no list of services".to_owned())
    } else {
        Ok(services)
    }
}

fn read_cell(cell: &str) -> Option<Told> {
    let signature = unescape(cell.split_once("</td>")?.0);
    let (name, rest) = signature.split_once('(')?;
    let (args, reply) = split_types(rest.strip_suffix(") error")?)?;
    Some(Told { name: name.to_owned(), args: args.to_owned(), reply: reply.to_owned() })
}

/// Splits two types at the comma between them, which is outside of all brackets.
fn split_types(types: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, byte) in types.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                return Some((types.get(..at)?, types.get(at + 1..)?.trim_start()));
            }
            _ => {}
        }
    }
    None
}

/// Takes back what Go's html/template did to the text of a page.
fn unescape(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#43;", "+")];
    let plain =
        entities.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain));
    // Last, so that what it makes is not taken for another.
    plain.replace("&amp;", "&")
}

/// One method a line, its types in columns.
fn lines(services: &[Service]) -> String {
    let methods = || services.iter().flat_map(|service| &service.methods);
    let width = |text: fn(&Told) -> &str| {
        methods().map(|method| text(method).chars().count()).max().unwrap_or_default()
    };
    let (first, second) = (width(|method| &method.name), width(|method| &method.args));
    methods()
        .map(|Told { name, args, reply }| format!("{name:first$}  {args:second$}  -> {reply}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<html>\n\t<body>\n\t<title>Services</title>\n\t\n\t<hr>\n\tService Arith\n\t<hr>\n\t\t<table>\n\t\t\
        <th align=center>Method</th><th align=center>Calls</th>\n\t\t\n\t\t\t<tr>\n\t\t\t\
        <td align=left font=fixed>Divide(*main.Args, *main.Quotient) error</td>\n\t\t\t<td align=center>3</td>\n\t\t\t</tr>\n\t\t\n\t\t\t<tr>\n\t\t\t\
        <td align=left font=fixed>Odd(map[string]func(int, int), *struct { A, B int; C chan&lt;- int }) error</td>\n\
        \t\t\t<td align=center>0</td>\n\t\t\t</tr>\n\t\t</table>\n\t</body>\n\t</html>";

    #[test]
    fn a_page_of_go_is_read() {
        let services = read_page(PAGE).expect("a list");
        assert_eq!(
            lines(&services),
            "Arith.Divide  *main.Args                 -> *main.Quotient\n\
             Arith.Odd     map[string]func(int, int)  -> *struct { A, B int; C chan<- int }\n"
        );
    }

    #[test]
    fn another_page_is_none() {
        assert!(read_page("<html>Service</html>").is_err());
    }
}
