//! Another server that says who may call.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use locum_policy::Time;
use locum_wire::http1::encode::field;
use rustc_hash::FxHashMap;

use super::keys::sha256;
use super::{Admitted, Claims, Why, is_sayable};
use crate::outgoing::{Answer, Means, Server, Url, within};
use crate::plan::Error;
use crate::tls::Alpn;
use crate::worker::Worker;

/// Whom to ask, what to say, and what to make of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where.
    pub url: Url,
    /// The authorities that are believed over TLS, in PEM; `None`: those of the system.
    pub ca: Option<Vec<u8>>,
    /// How long it may take, from the connection to the answer.
    pub timeout: Duration,
    /// Fields of the request that are shown, in lower case.
    pub headers: Vec<String>,
    /// Fields of an answer that lets in, which the upstream is told.
    pub copy: Vec<String>,
    /// The field of such an answer that says who calls.
    pub identity: Option<String>,
    /// For how long the same question is not asked again once it was answered by letting in.
    pub cache: Option<Duration>,
    /// Questions under way at once; who comes then is turned away.
    pub connections: u32,
}

/// The check that is made of them.
pub(super) struct Forward {
    settings: Settings,
    server: Server,
    under_way: AtomicU32,
    /// When somebody was last told that nobody answers, as many seconds after the start as one.
    complained: AtomicU64,
    /// Answers that let in, by what was asked, and until when they hold.
    known: Mutex<FxHashMap<[u8; 32], (Time, Copied)>>,
}

/// What an answer says: who calls, and fields by their place among those that are copied.
#[derive(Clone, Debug, Default)]
struct Copied {
    identity: Option<String>,
    fields: Vec<(usize, Vec<u8>)>,
}

/// Bytes of an answer's body that are handed on to a client.
const MOST_BODY: usize = 64 * 1024;
/// Answers that are remembered.
const REMEMBERED: usize = 4096;

impl Forward {
    /// The check called `name`.
    pub(super) fn build(name: &str, settings: &Settings) -> Result<Self, Error> {
        let server = Server::build(
            &settings.url,
            settings.ca.as_ref(),
            Alpn::Http1,
            &format!("auth.{name}"),
        )?;
        Ok(Self {
            settings: settings.clone(),
            server,
            under_way: AtomicU32::new(0),
            complained: AtomicU64::new(0),
            known: Mutex::default(),
        })
    }

    /// What the server says of the call. Whatever it does not answer lets nobody in.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the question up.
    pub(super) async fn check<'a>(
        &'a self,
        claims: &Claims<'a, '_>,
        worker: &Worker,
    ) -> Result<Admitted<'a>, Why> {
        let question = self.question(claims)?;
        let Some(cache) = self.settings.cache else {
            return self.admit(self.ask(&question, worker).await?);
        };
        // The whole of what is asked, so that an answer is never taken for that of another question.
        let mark = sha256(&question);
        let known = self.lock().get(&mark).filter(|(until, _)| *until > worker.now()).cloned();
        if let Some((_, copied)) = known {
            return self.admit(copied);
        }
        let copied = self.ask(&question, worker).await?;
        let now = worker.now();
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.retain(|_, (until, _)| *until > now);
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        known.insert(mark, (now + cache, copied.clone()));
        drop(known);
        self.admit(copied)
    }

    fn admit(&self, copied: Copied) -> Result<Admitted<'_>, Why> {
        let Copied { identity, fields } = copied;
        let mut admitted = Admitted { identity: identity.map(Into::into), passed: Vec::new() };
        for (at, value) in fields {
            admitted.pass(&self.settings.copy[at], value.into())?;
        }
        Ok(admitted)
    }

    /// The request that asks.
    fn question(&self, claims: &Claims<'_, '_>) -> Result<Vec<u8>, Why> {
        let mut out = Vec::new();
        let url = &self.server.url;
        let asked = &claims.asked;
        let mut head = String::new();
        let _ = write!(head, "GET {} HTTP/1.1\r\nHost: {}\r\n", url.target, url.authority);
        out.extend_from_slice(head.as_bytes());
        let address = claims.address.map(|address| address.to_string()).unwrap_or_default();
        let query = asked.query.map(|query| [b"?", query].concat()).unwrap_or_default();
        let target = [asked.path, &query].concat();
        let told = [
            (&b"X-Forwarded-Method"[..], asked.method),
            (b"X-Forwarded-Proto", asked.scheme),
            (b"X-Forwarded-Host", asked.host),
            (b"X-Forwarded-Uri", &target),
            (b"X-Forwarded-For", address.as_bytes()),
        ];
        let headers = self.settings.headers.iter();
        let shown = headers.filter_map(|name| Some((name.as_bytes(), (claims.field)(name)?)));
        for (name, value) in told.into_iter().chain(shown).filter(|(_, value)| !value.is_empty()) {
            if !is_sayable(value) {
                return Err(Why::Unsayable);
            }
            field(&mut out, name, value);
        }
        out.extend_from_slice(b"User-Agent: locum\r\n\r\n");
        Ok(out)
    }

    async fn ask(&self, question: &[u8], worker: &Worker) -> Result<Copied, Why> {
        let Some(_place) = Place::take(&self.under_way, self.settings.connections) else {
            return Err(Why::Busy);
        };
        let means = worker.means();
        let asking = within(self.settings.timeout, &means, self.exchange(question, worker, &means));
        let answer = asking.await.map_err(|error| self.complain(&error, worker.now()))?;
        match answer.status {
            200..300 => Ok(self.read(answer)),
            300..500 => Err(Why::Answered(Box::new(answer))),
            status => Err(self.complain(&format!("it answered {status}"), worker.now())),
        }
    }

    /// Tells the operator, at most once a second: what fails may fail for every call.
    fn complain(&self, error: &str, now: Time) -> Why {
        let second = now.as_nanos() / 1_000_000_000 + 1;
        if self.complained.swap(second, Ordering::Relaxed) != second {
            tracing::warn!(url = %self.server.url, error, "nobody says who may call");
        }
        Why::Unavailable
    }

    async fn exchange(
        &self,
        question: &[u8],
        worker: &Worker,
        means: &Means,
    ) -> Result<Answer, String> {
        let lines = &worker.lines;
        let kept = lines.take(self.server.uid);
        let reused = kept.is_some();
        let mut line = match kept {
            Some(line) => line,
            None => self.server.connect(self.settings.timeout, means).await?,
        };
        let mut answer = line.ask(question, MOST_BODY).await;
        // It may have been closed while the question was on its way; to ask twice does no harm.
        if answer.is_err() && reused {
            line = self.server.connect(self.settings.timeout, means).await?;
            answer = line.ask(question, MOST_BODY).await;
        }
        let answer = answer?;
        if answer.reusable {
            lines.give(self.server.uid, line, worker.now());
        }
        Ok(answer)
    }

    fn read(&self, answer: Answer) -> Copied {
        let Settings { copy, identity, .. } = &self.settings;
        let is = |name: &[u8], wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        let identity = identity.as_ref().and_then(|wanted| {
            let (_, value) = answer.fields.iter().find(|(name, _)| is(name, wanted))?;
            str::from_utf8(value).ok().filter(|value| !value.is_empty()).map(str::to_owned)
        });
        let fields = answer.fields.into_iter().filter_map(|(name, value)| {
            let at = copy.iter().position(|wanted| is(&name, wanted))?;
            Some((at, value.into_vec()))
        });
        Copied { identity, fields: fields.collect() }
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<[u8; 32], (Time, Copied)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the questions under way.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(under_way: &'a AtomicU32, most: u32) -> Option<Self> {
        let before = under_way.fetch_add(1, Ordering::Relaxed);
        let place = Self(under_way);
        (before < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
