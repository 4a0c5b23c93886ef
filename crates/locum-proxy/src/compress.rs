//! Answers made smaller on their way.
//!
//! Whether an answer is compressed is decided by its head and what the client takes; then the head is relabelled, and
//! its content goes through a `Coder` on its way out.

use locum_wire::http1::encode::field;
use locum_wire::http1::{Field, Framing, Name, Request, Response};

use crate::caller::Caller;
use crate::coding::{Coding, acceptable};
use crate::exchange::Answered;
use crate::worker::Worker;

pub(crate) use coder::Coder;

mod coder;

/// Which answers of a route are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The codings that are used, best first. The client's liking goes before.
    pub codings: Vec<Coding>,
    /// The types of content that are compressed, without parameters: `application/json`, `text/*`, `*+json`, `*`.
    pub types: Vec<String>,
    /// Content that is known to have fewer bytes is left as it is.
    pub min_body: u64,
}

/// What is done to one answer.
#[derive(Default)]
pub(crate) struct Treatment {
    /// It is told that the answer depends on what the client takes.
    varies: bool,
    /// Its tag is of content that was compressed.
    weakens: bool,
    /// What its content goes through, if it is compressed.
    pub(crate) coder: Option<Box<Coder>>,
}

/// Answers of one worker that are compressed at once for one more to be; beyond that it goes as it is. This bounds the
/// memory of all: to 256 MiB a worker, whatever clients ask for and however slowly they read.
fn most(coding: Coding) -> usize {
    match coding {
        Coding::Brotli => 64,
        Coding::Zstd | Coding::Gzip => 256,
    }
}

impl Settings {
    /// What is done to an answer of an upstream.
    pub(crate) fn treat(
        &self,
        caller: &Caller<'_>,
        answered: &Answered,
        worker: &Worker,
    ) -> Treatment {
        let response = answered.head.response(answered.connection.buffer.filled());
        if response.status() == 304 {
            let tag = response.get_other(b"etag").unwrap_or_default();
            return Treatment::unchanged(&caller.request, tag);
        }
        let length = match answered.framing {
            Framing::Length(length) => Some(length),
            _ => None,
        };
        let kind = response.get(Name::ContentType).unwrap_or_default();
        if caller.grpc || !may_be_recoded(&response) || !self.takes(kind, length) {
            return Treatment::default();
        }
        // Without content there is nothing to compress, but with another method there might be.
        let has_content = answered.framing != Framing::None;
        if !has_content && !caller.head_only {
            return Treatment::default();
        }
        match has_content {
            true => self.treat_whole(&caller.request, worker),
            false => Treatment::varying(),
        }
    }

    /// What is done to the whole of some content that [is taken](Self::takes).
    pub(crate) fn treat_whole(&self, request: &Request<'_>, worker: &Worker) -> Treatment {
        if is_fixed(request.fields()) {
            return Treatment::varying();
        }
        let mut codings = acceptable(request, &self.codings).into_iter();
        let coder = codings.find_map(|coding| {
            let place = worker.compressed.take(most(coding))?;
            Some(Box::new(Coder::new(coding, place)))
        });
        Treatment { varies: true, weakens: coder.is_some(), coder }
    }

    /// Whether content of that type and, if it is known, of that length is compressed.
    pub(crate) fn takes(&self, kind: &[u8], length: Option<u64>) -> bool {
        let end = memchr::memchr(b';', kind).unwrap_or(kind.len());
        let kind = kind[..end].trim_ascii();
        // Of gRPC every message stands by itself, and may be compressed by itself.
        let grpc =
            kind.get(..16).is_some_and(|head| head.eq_ignore_ascii_case(b"application/grpc"));
        !kind.is_empty()
            && !grpc
            && length.is_none_or(|length| length >= self.min_body)
            && self.types.iter().any(|pattern| is_of(kind, pattern.as_bytes()))
    }
}

/// Whether a type, `*` for anything at one end of the pattern, is meant.
fn is_of(kind: &[u8], pattern: &[u8]) -> bool {
    match pattern {
        [b'*', end @ ..] => {
            let at = kind.len().checked_sub(end.len());
            at.is_some_and(|at| kind[at..].eq_ignore_ascii_case(end))
        }
        [start @ .., b'*'] => {
            kind.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
        }
        exact => kind.eq_ignore_ascii_case(exact),
    }
}

/// Whether the content may be put into another form: it is in none yet, is whole, and nothing is said of its bytes.
fn may_be_recoded(response: &Response<'_>) -> bool {
    let of_bytes = |name: &[u8]| DIGESTS.iter().any(|digest| name.eq_ignore_ascii_case(digest));
    response.status() != 206
        && response.get(Name::ContentEncoding).is_none()
        && response.get(Name::ContentRange).is_none()
        && !is_fixed(response.fields())
        && !response.fields().any(|field| field.kind == Name::Other && of_bytes(field.name))
}

/// RFC 9530, and what was before it.
const DIGESTS: [&[u8]; 4] = [b"content-digest", b"repr-digest", b"digest", b"content-md5"];

/// Whether nobody on the way may put it into another form (RFC 9111 §5.2.1.6, §5.2.2.6).
fn is_fixed<'a>(fields: impl Iterator<Item = Field<'a>>) -> bool {
    let lines = fields.filter(|field| field.kind == Name::CacheControl);
    let mut directives = lines.flat_map(|line| line.value.split(|byte| *byte == b','));
    directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

impl Treatment {
    /// The content goes as it is here, and might not elsewhere.
    pub(crate) fn varying() -> Self {
        Self { varies: true, ..Self::default() }
    }

    /// The client has what `tag` is of: compressed, if that is how it names it.
    pub(crate) fn unchanged(request: &Request<'_>, tag: &[u8]) -> Self {
        let named = request.get_other(b"if-none-match").unwrap_or_default();
        let weak = [b"W/", tag].concat();
        let weakened = tag.starts_with(b"\"") && memchr::memmem::find(named, &weak).is_some();
        Self { varies: weakened, weakens: weakened, coder: None }
    }

    /// Whether the head stays as it is.
    pub(crate) fn is_untold(&self) -> bool {
        !self.varies
    }

    /// Has the head that `out` consists of tell what is done.
    pub(crate) fn relabel(&self, out: &mut Vec<u8>) {
        if !self.varies {
            return;
        }
        let head = std::mem::replace(out, Vec::with_capacity(out.len() + 64));
        let mut told = false;
        for line in head.split_inclusive(|byte| *byte == b'\n') {
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            let (name, rest) = line.split_at(colon);
            let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
            if line == b"\r\n" {
                break;
            }
            // Parts of what is sent have no place in what is stored, and its length is not known.
            if self.coder.is_some() && (is(b"accept-ranges") || is(b"content-length")) {
                continue;
            }
            let value = rest.get(1..).unwrap_or_default().trim_ascii();
            if self.weakens && is(b"etag") && value.starts_with(b"\"") {
                // RFC 9110 §8.8.1: the bytes are others, the meaning is the same.
                field(out, name, &[b"W/", value].concat());
                continue;
            }
            told |= is(b"vary") && names_accept_encoding(value);
            out.extend_from_slice(line);
        }
        if let Some(coder) = &self.coder {
            field(out, b"Content-Encoding", coder.coding().name().as_bytes());
        }
        if !told {
            field(out, b"Vary", b"Accept-Encoding");
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn names_accept_encoding(vary: &[u8]) -> bool {
    let mut names = vary.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"))
}

#[cfg(test)]
mod tests {
    use locum_wire::http1::{Head, Limits};

    use super::*;
    use crate::places::Places;

    fn settings(types: &[&str]) -> Settings {
        let types = types.iter().map(|it| (*it).to_owned()).collect();
        Settings { codings: vec![Coding::Gzip], types, min_body: 100 }
    }

    #[test]
    fn a_type_is_meant_by_its_name_or_one_end_of_it() {
        let any = settings(&["*"]);
        let settings = settings(&["text/*", "*+json", "application/json", "x/y"]);
        for (kind, taken) in [
            ("text/html", true),
            ("TEXT/HTML; charset=utf-8", true),
            ("application/json ; charset=utf-8", true),
            ("application/problem+json", true),
            ("application/jsonp", false),
            ("application/grpc+json", false),
            ("application/grpc-web+json", false),
            ("text", false),
            ("image/png", false),
            ("x/y", true),
            ("x/yz", false),
            ("", false),
        ] {
            assert_eq!(settings.takes(kind.as_bytes(), None), taken, "{kind:?}");
        }
        assert!(!settings.takes(b"text/css", Some(99)) && settings.takes(b"text/css", Some(100)));
        assert!(any.takes(b"image/png", None));
    }

    #[test]
    fn a_worker_compresses_so_many_answers_at_once() {
        let worker = Worker::idle();
        let all = Settings { codings: vec![Coding::Brotli, Coding::Gzip], ..settings(&["*"]) };
        let coded = |accepted: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepted}\r\n\r\n");
            let mut head = Head::new();
            assert!(head.parse_request(text.as_bytes(), &Limits::default()).unwrap());
            all.treat_whole(&head.request(text.as_bytes()), &worker)
        };
        let is = |treatment: &Treatment| treatment.coder.as_ref().map(|coder| coder.coding());
        let mut held: Vec<_> = (0..64).map(|_| coded("br")).collect();
        assert!(held.iter().all(|treatment| is(treatment) == Some(Coding::Brotli)));
        let left = coded("br");
        assert!(is(&left).is_none() && left.varies && !left.weakens);
        held.extend((64..256).map(|_| coded("br, gzip")));
        assert!(held[64..].iter().all(|treatment| is(treatment) == Some(Coding::Gzip)));
        assert_eq!(is(&coded("gzip")), None);
        drop(held.pop());
        assert_eq!(is(&coded("gzip")), Some(Coding::Gzip));
    }

    fn relabelled(treatment: &Treatment, lines: &str) -> String {
        let mut out = format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes();
        treatment.relabel(&mut out);
        let text = String::from_utf8(out).unwrap();
        let lines = text.strip_prefix("HTTP/1.1 200 OK\r\n").expect("the status stays");
        lines.strip_suffix("\r\n").expect("the head ends").to_owned()
    }

    #[test]
    fn a_head_tells_what_was_done() {
        let coder = || Coder::new(Coding::Gzip, Places::default().take(1).unwrap());
        let coded = Treatment { varies: true, weakens: true, coder: Some(Box::new(coder())) };
        for (lines, told) in [
            ("", "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"),
            (
                "A: 1\r\nETag: \"x\"\r\nAccept-Ranges: bytes\r\nVary: Origin\r\n",
                "A: 1\r\nETag: W/\"x\"\r\nVary: Origin\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n",
            ),
            (
                "etag: W/\"x\"\r\nvary: Origin, accept-encoding\r\n",
                "etag: W/\"x\"\r\nvary: Origin, accept-encoding\r\nContent-Encoding: gzip\r\n",
            ),
            ("Vary: *\r\n", "Vary: *\r\nContent-Encoding: gzip\r\n"),
        ] {
            assert_eq!(relabelled(&coded, lines), told);
        }
        let lines = "ETag: \"x\"\r\nContent-Length: 5\r\nAccept-Ranges: bytes\r\n";
        assert_eq!(relabelled(&Treatment::default(), lines), lines);
        let varying = relabelled(&Treatment::varying(), lines);
        assert_eq!(varying, format!("{lines}Vary: Accept-Encoding\r\n"));
    }
}
