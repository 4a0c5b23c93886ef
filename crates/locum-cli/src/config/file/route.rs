//! `[[routes]]`.

use std::collections::BTreeMap;

use locum_proxy::coding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::Types;
use crate::config::value::{Duration, Maintenance, Said, Size, Switch, shown};

/// Which call goes where. One of `upstream`, `split`, `files`, `respond`, `redirect` and `transcode` says where.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Route {
    /// Its name in metrics, logs and rejections; default: its path, or `route-N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The one listener it serves; default all that carry what it is for: HTTP requests, remote calls if it matches by
    /// `call`, connections if by `sni`; if it matches anything, what its upstream speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<String>,
    /// What a request must be like; default anything.
    #[serde(rename = "match")]
    pub(crate) matches: Match,
    /// The upstream it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upstream: Option<String>,
    /// Several upstreams, each as often as its weight says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) split: Vec<Share>,
    /// What decides which of these a request takes, so that it takes the same again: `header:NAME`, `cookie:NAME` or
    /// `client-ip`. Without a value of that, and absent: chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split_key: Option<String>,
    /// Files of a directory: on a prefix route what follows the prefix is the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<Files>,
    /// An answer that is always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) respond: Option<Respond>,
    /// An answer that sends the client elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect: Option<Redirect>,
    /// Requests with JSON in them, made as the remote call that the end of the path names:
    /// `POST /rpc/Arith.Multiply` on the path `/rpc/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transcode: Option<Transcode>,
    /// `true`: whoever comes gets a 503; or a table of what that says. Absent: it is served.
    #[serde(skip_serializing_if = "Maintenance::is_off")]
    pub(crate) maintenance: Maintenance,
    /// Which pages of other origins may read the answers; absent: nothing is said of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cors: Option<Cors>,
    /// Where calls are made once more, for nobody: what comes of it is thrown away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mirror: Option<Mirror>,
    /// `true`: answers of upstreams, and files, are compressed for those who take that; or a table of which, and how.
    /// Absent: none is.
    #[serde(skip_serializing_if = "Switch::is_off")]
    pub(crate) compress: Switch<Compression>,
    /// How its calls are tried; default: once, without any limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// Who may call: the names of `[auth.NAME]`, all of which have to agree; default anybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) auth: Vec<String>,
    /// The Host that the upstream sees: `preserve` (the default) for the client's, `upstream` for the
    /// endpoint's address, or a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// What becomes of the path; default nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rewrite: Option<Rewrite>,
    /// Edits of the request's fields, after hop-by-hop fields are gone.
    pub(crate) request_headers: HeaderEdits,
    /// Edits of the answer's fields.
    pub(crate) response_headers: HeaderEdits,
    /// Bytes of a request's body; beyond: 413. Narrows the listener's `body_bytes`. With `transcode` the body is
    /// held as a whole, and the default is 1MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_body: Option<Size>,
    /// Of its calls where there is not room for all: 0 is shed first, 3 last. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<u8>,
}

/// What a request must be like; an absent part matches everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Match {
    /// `example.com`, or `*.example.com` for every name below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// `/exact`, `/prefix/*`, `/users/{id}`, or `~` and a regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// One of these methods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) methods: Vec<String>,
    /// Each of these fields with exactly this value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// Each of these query parameters with exactly this value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) query: BTreeMap<String, String>,
    /// A remote call: `Arith.Divide`, `Arith.*` for every method of that service, or `*`. Nothing else may
    /// stand beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<String>,
    /// A connection of TLS, passed through, whose client names this server: `example.com`, or `*.example.com`. Nothing
    /// else may stand beside it. Where `tls` ends here, what was named there counts as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sni: Option<String>,
}

/// One upstream's part of a route's calls.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// The upstream.
    pub(crate) upstream: String,
    /// How often, beside the others; 0 is never.
    pub(crate) weight: u32,
}

/// Files of a directory. Nothing outside of it is served, by whatever links, and no name that begins with a dot but
/// `.well-known`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    /// Its absolute path.
    pub(crate) root: String,
    /// What a path that ends with `/` stands for. Default `index.html`.
    #[serde(default = "index")]
    pub(crate) index: String,
    /// Codings of which there may be a file beside another, best first: `br` (`.br`), `zstd` (`.zst`), `gzip` (`.gz`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) precompressed: Vec<Coding>,
    /// Whether a directory without `index` is shown as a page of what is in it. Default false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) listing: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn index() -> String {
    "index.html".to_owned()
}

/// A coding of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Coding {
    /// RFC 7932.
    Br,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    pub(crate) fn name(self) -> &'static str {
        coding::Coding::from(self).name()
    }
}

impl From<Coding> for coding::Coding {
    fn from(coding: Coding) -> Self {
        match coding {
            Coding::Br => Self::Brotli,
            Coding::Zstd => Self::Zstd,
            Coding::Gzip => Self::Gzip,
        }
    }
}

/// Which answers are compressed, and how. Left alone is what is compressed already, a part of something, gRPC, and what says
/// `Cache-Control: no-transform`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Compression {
    /// The codings, of which a client that likes several as much gets the first. Default `zstd`, `gzip`, `br`.
    pub(crate) codings: Vec<Coding>,
    /// Types of content, with `*` for anything at one end. Default `text/*`, JSON, XML, SVG, JavaScript and WebAssembly.
    pub(crate) types: Vec<String>,
    /// Content that is known to have fewer bytes is left as it is. Default `1KiB`.
    pub(crate) min_body: Size,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            codings: vec![Coding::Zstd, Coding::Gzip, Coding::Br],
            types: TYPES.map(str::to_owned).to_vec(),
            min_body: Size(1024),
        }
    }
}

/// What is text, by whatever name; images, sound, fonts and archives are compressed already.
const TYPES: [&str; 8] = [
    "text/*",
    "application/json",
    "*+json",
    "application/x-ndjson",
    "application/xml",
    "*+xml",
    "application/javascript",
    "application/wasm",
];

impl Said for Compression {
    const NAME: &'static str = "Compress";
    const EXPECTED: &'static str = "true, false or { codings = [\"gzip\"] }";
}

/// Where calls are made once more. A copy leaves after the call has ended; those with bodies of more than 64KiB, of HEAD
/// and of WebSockets are left out, and those beyond 64 of a worker at once.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mirror {
    /// The upstream, which speaks `http1`.
    pub(crate) upstream: String,
    /// Of a hundred calls, so many: above 0, at most 100, which is the default.
    #[serde(default = "all")]
    pub(crate) percent: f64,
}

fn all() -> f64 {
    100.0
}

/// An answer that is always the same.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Respond {
    /// From 200 to 599. Default 200.
    pub(crate) status: u16,
    /// Default empty.
    pub(crate) body: String,
    /// Its fields.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "shown::serialize")]
    pub(crate) headers: BTreeMap<String, String>,
}

impl Default for Respond {
    fn default() -> Self {
        Self { status: 200, body: String::new(), headers: BTreeMap::new() }
    }
}

/// Which pages of other origins may read a route's answers. What browsers ask beforehand is answered without
/// `auth`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cors {
    /// Origins whose pages may: `https://app.example.com`, `https://*.example.com` for every name below, or `*` for
    /// all.
    pub(crate) origins: Vec<String>,
    /// Methods that they may use beside GET, HEAD and POST.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) methods: Vec<String>,
    /// Fields that they may send beside those that any page may; `*` for all. Of bodies, JSON takes `content-type`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) headers: Vec<String>,
    /// Fields of answers that they may read beside those that any page may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) expose: Vec<String>,
    /// Whether cookies and passwords go along. Not with the origin `*`. Default false.
    pub(crate) credentials: bool,
    /// How long browsers may remember what they were told; default as they like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_age: Option<Duration>,
}

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redirect {
    /// 301, 302, 303, 307 or 308 (the default: for good, and with the same method).
    #[serde(default = "permanently")]
    pub(crate) status: u16,
    /// Where to; `{name}` stands for a part of a template path, or for a group of an expression, by its name or number.
    pub(crate) to: String,
}

/// Where requests go as remote calls.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transcode {
    /// The upstream, which speaks a protocol of remote calls.
    pub(crate) upstream: String,
    /// Types of its methods, before those that the upstream has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) types: Types,
}

fn permanently() -> u16 {
    308
}

/// What becomes of the path: one of the two.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rewrite {
    /// Replaces the prefix of a prefix route; on others it is put before the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    /// Replaces the path; `{name}` stands for a part of a template path, or for a group of an expression, by its name or
    /// number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
}

/// Edits of header fields: `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HeaderEdits {
    /// Replaces every field of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "shown::serialize")]
    pub(crate) set: BTreeMap<String, String>,
    /// Adds a field beside those of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "shown::serialize")]
    pub(crate) add: BTreeMap<String, String>,
    /// Removes every field of that name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) remove: Vec<String>,
}
