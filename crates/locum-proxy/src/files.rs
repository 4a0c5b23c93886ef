//! Files of a directory, as answers.
//!
//! What touches the disk is done on threads beside the workers. A name leads to nothing outside of the directory,
//! by whatever links: the kernel is told so as it opens ([`rustix::fs::ResolveFlags::BENEATH`], Linux 5.6).

use std::io;
use std::path::PathBuf;

use locum_policy::Cause;
use locum_wire::http1::Framing;
use locum_wire::http1::encode::{self, field};

use crate::caller::Caller;
use crate::coding::{Coding, acceptable};
use crate::compress::Treatment;
use crate::flow::refuse;
use crate::forward::{self, Delivery};
use crate::record::Ended;
use crate::refusal::Refusal;
use crate::route::{PathPattern, Route};
use crate::worker::Worker;

use conditions::{Conditions, Verdict};
use listing::{Listing, POLICY};
use open::{Found, Name, Opened, Wanted, open};
use send::Sending;

mod conditions;
mod listing;
mod open;
mod send;

/// One route's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its absolute path.
    pub root: PathBuf,
    /// What a path that ends with `/` stands for.
    pub index: String,
    /// Codings of which there may be a file beside another, best first.
    pub precompressed: Vec<Coding>,
    /// Whether a directory without an index is listed.
    pub listing: bool,
}

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// Answers with the file that the path names.
///
/// # Cancel safety
///
/// Dropping the future stops after what is being read.
pub(crate) async fn serve(
    caller: &Caller<'_>,
    route: &Route,
    path: &[u8],
    settings: &Settings,
    worker: &Worker,
) -> Ended {
    if !matches!(caller.request.method(), b"GET" | b"HEAD") {
        return refuse(caller, &Refusal::method("GET, HEAD"), worker).await;
    }
    let rest = match &route.matcher.path {
        PathPattern::Prefix(prefix) => &path[prefix.len()..],
        _ => path,
    };
    let Some(name) = Name::of(rest) else { return nothing(caller, route, worker).await };
    let wanted = Wanted {
        root: settings.root.clone(),
        name,
        index: settings.index.clone(),
        codings: acceptable(&caller.request, &settings.precompressed),
        // Only there do names lead below.
        lists: settings.listing && path.ends_with(b"/"),
    };
    let found = tokio::task::spawn_blocking(move || open(wanted)).await;
    match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(Found::File(name, opened)) => {
            let kind = typed(mime_guess::from_path(&name).first_raw());
            give(caller, route, settings, opened, &kind, worker).await
        }
        Ok(Found::Listing(listing)) => {
            let has_parent = rest.len() > 1;
            list(caller, route, path, has_parent, &listing, worker).await
        }
        Ok(Found::Directory) => redirect(caller, route, path, worker).await,
        Ok(Found::Nothing) if settings.listing && rest.is_empty() => {
            redirect(caller, route, path, worker).await
        }
        Ok(Found::Nothing) => nothing(caller, route, worker).await,
        Err(error) => {
            tracing::warn!(route = route.settings.name, %error, "a file cannot be read");
            refuse(caller, &Refusal::unreadable(), worker).await
        }
    }
}

/// Answers with a file that was opened, or with what the client is to know of it.
async fn give(
    caller: &Caller<'_>,
    route: &Route,
    settings: &Settings,
    opened: Opened,
    kind: &str,
    worker: &Worker,
) -> Ended {
    let tag = opened.tag();
    let verdict = Conditions::of(&caller.request).judge(&tag, opened.modified, opened.length);
    let (status, start, end) = match verdict {
        Verdict::Whole => (200, 0, opened.length),
        Verdict::Part(start, end) => (206, start, end),
        Verdict::Same => (304, 0, 0),
        Verdict::Other => (412, 0, 0),
        Verdict::Beyond => (416, 0, 0),
    };
    // Where there was no coded form of it, it may be coded on its way.
    let compress = route.settings.compress.as_ref().filter(|compress| {
        opened.coding.is_none() && compress.takes(kind.as_bytes(), Some(opened.length))
    });
    let treatment = match (compress, status) {
        (Some(compress), 200) if !caller.head_only => compress.treat_whole(&caller.request, worker),
        (Some(_), 304) => Treatment::unchanged(&caller.request, tag.as_bytes()),
        (Some(_), 200 | 206) => Treatment::varying(),
        _ => Treatment::default(),
    };
    let delivery = match treatment.coder {
        Some(_) => forward::delivery(Framing::UntilClose, caller.version),
        None => Delivery::Length(end - start),
    };
    caller.upload.borrow_mut().skip_received();
    let persistence = caller.persistence(delivery, worker);

    let mut out = worker.scratch();
    encode::status_line(&mut out, status);
    field(&mut out, b"Date", crate::clock::http_date().as_bytes());
    field(&mut out, b"ETag", tag.as_bytes());
    field(&mut out, b"Last-Modified", httpdate::fmt_http_date(opened.modified).as_bytes());
    if !settings.precompressed.is_empty() {
        field(&mut out, b"Vary", b"Accept-Encoding");
    }
    if matches!(status, 200 | 206) {
        field(&mut out, b"Content-Type", kind.as_bytes());
        field(&mut out, b"X-Content-Type-Options", b"nosniff");
        field(&mut out, b"Accept-Ranges", b"bytes");
        if let Some(coding) = opened.coding {
            field(&mut out, b"Content-Encoding", coding.name().as_bytes());
        }
    }
    match status {
        206 => {
            let range = format!("bytes {start}-{}/{}", end - 1, opened.length);
            field(&mut out, b"Content-Range", range.as_bytes());
        }
        416 => field(&mut out, b"Content-Range", format!("bytes */{}", opened.length).as_bytes()),
        _ => {}
    }
    match delivery {
        Delivery::Length(length) if status != 304 => encode::content_length(&mut out, length),
        Delivery::Chunked => field(&mut out, b"Transfer-Encoding", b"chunked"),
        _ => {}
    }
    persistence.write(&mut out);
    out.extend_from_slice(&route.response_edits.lines);
    out.extend_from_slice(b"\r\n");
    treatment.relabel(&mut out);
    caller.tell_pages(&mut out);

    let Opened { file, first, .. } = opened;
    let end = if caller.head_only { start } else { end };
    let sending = Sending { file, first, start, end, delivery, coder: treatment.coder };
    let (bytes, next) = sending.send(caller, out, persistence, worker).await;
    Ended::answered(status, Cause::Status(status), bytes, next)
}

/// Answers with what is in a directory.
async fn list(
    caller: &Caller<'_>,
    route: &Route,
    path: &[u8],
    has_parent: bool,
    listing: &Listing,
    worker: &Worker,
) -> Ended {
    let page = listing.page(&String::from_utf8_lossy(path), has_parent);
    let fields = |out: &mut Vec<u8>| {
        field(out, b"Content-Type", b"text/html; charset=utf-8");
        field(out, b"X-Content-Type-Options", b"nosniff");
        field(out, b"Content-Security-Policy", POLICY);
        field(out, b"Cache-Control", b"no-cache");
    };
    let answering = caller.answer(200, fields, page.as_bytes(), &route.response_edits, worker);
    let (bytes, next) = answering.await;
    Ended::answered(200, Cause::Status(200), bytes, next)
}

/// Sends the client to where the names of a directory lead below it.
async fn redirect(caller: &Caller<'_>, route: &Route, path: &[u8], worker: &Worker) -> Ended {
    // With two slashes at its beginning it would be another host's.
    let inner = path.iter().position(|byte| *byte != b'/').map_or(&[][..], |at| &path[at..]);
    let mut to = [b"/", inner, b"/"].concat();
    if let Some(query) = caller.request.query() {
        to.push(b'?');
        to.extend_from_slice(query);
    }
    plain(caller, route, 308, (b"Location", &to), worker).await
}

async fn nothing(caller: &Caller<'_>, route: &Route, worker: &Worker) -> Ended {
    plain(caller, route, 404, (b"Cache-Control", b"no-cache"), worker).await
}

async fn plain(
    caller: &Caller<'_>,
    route: &Route,
    status: u16,
    (name, value): (&[u8], &[u8]),
    worker: &Worker,
) -> Ended {
    let fields = |out: &mut Vec<u8>| field(out, name, value);
    let (bytes, next) = caller.answer(status, fields, b"", &route.response_edits, worker).await;
    Ended::answered(status, Cause::Status(status), bytes, next)
}

fn typed(kind: Option<&str>) -> String {
    match kind {
        None => "application/octet-stream".to_owned(),
        Some(kind) if kind.starts_with("text/") => format!("{kind}; charset=utf-8"),
        Some(kind) => kind.to_owned(),
    }
}
