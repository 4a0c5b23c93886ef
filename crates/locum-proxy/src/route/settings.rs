//! A route as it is configured.

use std::time::Duration;

use crate::upstream::MethodTypes;
use crate::{compress, cors, files, mirror};

/// One route as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name, in metrics, logs and rejections.
    pub name: String,
    /// The one listener it serves; `None`: all.
    pub listener: Option<String>,
    /// What a request must be like.
    pub matches: Match,
    /// What happens to it.
    pub action: Action,
    /// What decides between several upstreams; `None`: chance, each time.
    pub split_key: Option<SplitKey>,
    /// Nothing is served, and why; `None`: it is.
    pub maintenance: Option<Maintenance>,
    /// Which pages of other origins may read the answers; `None`: none is told so.
    pub cors: Option<cors::Settings>,
    /// Where calls are made once more, for nobody.
    pub mirror: Option<mirror::Settings>,
    /// Which answers are compressed; `None`: none.
    pub compress: Option<compress::Settings>,
    /// How its calls are tried; `None`: once, without any limit.
    pub policy: Option<String>,
    /// Which Host the upstream sees.
    pub host: Host,
    /// What becomes of the path.
    pub rewrite: Option<Rewrite>,
    /// Edits of the request's fields, after hop-by-hop fields are gone and ours are added.
    pub request_headers: HeaderEdits,
    /// Edits of the answer's fields.
    pub response_headers: HeaderEdits,
    /// Bytes of a request body; narrows the listener's limit. `None`: that alone holds, or, where the request
    /// becomes a remote call, 1 MiB.
    pub max_body: Option<u64>,
    /// Of its calls where there is not room for all: 0 is shed first, 3 last.
    pub priority: u8,
    /// Who may call, by the names of `plan::Settings::auth`: all of these have to agree; empty: anybody.
    pub auth: Vec<String>,
}

impl Settings {
    /// Everything that comes in anywhere, from anybody, tried once and passed on as it is.
    pub fn new(name: &str, action: Action) -> Self {
        Self {
            name: name.to_owned(),
            listener: None,
            matches: Match::default(),
            action,
            split_key: None,
            maintenance: None,
            cors: None,
            mirror: None,
            compress: None,
            policy: None,
            host: Host::Preserve,
            rewrite: None,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            max_body: None,
            priority: 1,
            auth: Vec::new(),
        }
    }
}

/// What a request must be like; an absent part matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// `example.com`, or `*.example.com` for every name below it.
    pub host: Option<String>,
    /// `/exact`, `/prefix/*`, `/users/{id}`, `~regex`.
    pub path: Option<String>,
    /// One of these methods; empty: any.
    pub methods: Vec<String>,
    /// Each of these fields with exactly this value.
    pub headers: Vec<(String, String)>,
    /// Each of these query parameters with exactly this value.
    pub query: Vec<(String, String)>,
    /// A remote call: `Arith.Divide`, `Arith.*` or `*`. Requests of HTTP it does not match, and what else
    /// stands here no remote call.
    pub call: Option<String>,
    /// A connection whose client names this server, by TLS that is not ended here: `example.com`, or
    /// `*.example.com`. Requests and calls it does not match.
    pub sni: Option<String>,
}

/// What happens to a request that matches.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It goes to one of these upstreams, as often as the weights say. Weights of 0 get nothing.
    Forward(Vec<(String, u32)>),
    /// It is answered with a file.
    Files(files::Settings),
    /// It is answered with this.
    Respond(Response),
    /// The client is sent elsewhere. `{name}` stands for a part of the path.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The `Location`.
        to: String,
    },
    /// The request, with JSON in it, is made as the remote call that the end of its path names:
    /// `POST /rpc/Arith.Multiply`.
    Transcode {
        /// Where to.
        upstream: String,
        /// Types of its methods that JSON does not tell, before those that the upstream has.
        types: Vec<(String, MethodTypes)>,
    },
}

/// An answer that is always the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// From 200 to 599.
    pub status: u16,
    /// Its fields.
    pub headers: Vec<(String, String)>,
    /// Its body; with a status that has none, empty.
    pub body: String,
}

/// What is said to everybody where nothing is served for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// What the 503 says, in place of a problem in JSON.
    pub body: Option<String>,
}

/// Whether requests are served, as somebody has decided beside the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forced {
    /// They are not, and this is said.
    On(Maintenance),
    /// They are.
    Off,
}

/// What of a request decides which upstream of several it takes, so that it takes the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitKey {
    /// The value of the field of that name.
    Header(String),
    /// The value of the cookie of that name.
    Cookie(String),
    /// The client's address.
    ClientIp,
}

/// Which Host the upstream sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// The client's.
    #[default]
    Preserve,
    /// The endpoint's address, as configured.
    Upstream,
    /// This one.
    Name(String),
}

/// What becomes of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// On a prefix route the prefix is replaced by this; on others this is put before the path.
    Prefix(String),
    /// The path becomes this; `{name}` stands for a part of a template path, or a group of an expression.
    Path(String),
}

/// Edits of header fields: `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Replaces every field of that name.
    pub set: Vec<(String, String)>,
    /// Adds a field beside those of that name.
    pub add: Vec<(String, String)>,
    /// Removes every field of that name.
    pub remove: Vec<String>,
}
