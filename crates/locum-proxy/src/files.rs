//! Files of a directory, as answers.
//!
//! What touches the disk is done on threads beside the workers. A name leads to nothing outside of the directory,
//! by whatever links: the kernel is told so as it opens ([`ResolveFlags::BENEATH`], Linux 5.6).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use locum_policy::Cause;
use locum_wire::http1::encode::{self, field};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::caller::Caller;
use crate::client::{self, Next};
use crate::forward::{Delivery, Persistence};
use crate::record::Ended;
use crate::refusal::Refusal;
use crate::route::{PathPattern, Route};
use crate::worker::Worker;

use conditions::{Conditions, Verdict};

mod conditions;

/// One route's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its absolute path.
    pub root: PathBuf,
    /// What a path that ends with `/` stands for.
    pub index: String,
    /// Codings of which there may be a file beside another, best first: `br`, `zstd`, `gzip`.
    pub precompressed: Vec<String>,
}

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// A file that was opened, and what it begins with.
struct Opened {
    file: File,
    length: u64,
    modified: SystemTime,
    coding: Option<String>,
    first: Vec<u8>,
}

/// What there is by a name.
enum Found {
    File(Opened),
    Directory,
    Nothing,
}

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
    let edits = &route.response_edits;
    if !matches!(caller.request.method(), b"GET" | b"HEAD") {
        let (bytes, next) = caller.refuse(&Refusal::method("GET, HEAD"), worker).await;
        return Ended::refused(&Refusal::method("GET, HEAD"), bytes, next);
    }
    let plain = async |status: u16, name: &[u8], value: &[u8]| {
        let fields = |out: &mut Vec<u8>| field(out, name, value);
        let (bytes, next) = caller.answer(status, fields, b"", edits, worker).await;
        Ended::answered(status, Cause::Status(status), bytes, next)
    };
    let rest = match &route.matcher.path {
        PathPattern::Prefix(prefix) => &path[prefix.len()..],
        _ => path,
    };
    let Some(name) = name(rest, &settings.index) else {
        return plain(404, b"Cache-Control", b"no-cache").await;
    };
    let accepted = caller.request.get_other(b"accept-encoding").unwrap_or_default();
    let codings = settings.precompressed.iter();
    let codings = codings.filter(|coding| conditions::accepts(accepted, coding)).cloned().collect();
    let (root, wanted) = (settings.root.clone(), name.clone());
    let found = tokio::task::spawn_blocking(move || open(&root, &wanted, codings)).await;
    let opened = match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(Found::File(opened)) => opened,
        Ok(Found::Nothing) => return plain(404, b"Cache-Control", b"no-cache").await,
        Ok(Found::Directory) => {
            let mut to = caller.request.path().to_vec();
            to.push(b'/');
            return plain(308, b"Location", &to).await;
        }
        Err(error) => {
            tracing::warn!(route = route.settings.name, %error, "a file cannot be read");
            let refusal = Refusal::unreadable();
            let (bytes, next) = caller.refuse(&refusal, worker).await;
            return Ended::refused(&refusal, bytes, next);
        }
    };
    let conditions = Conditions::of(&caller.request);
    let tag = tag(&opened);
    let verdict = conditions.judge(&tag, opened.modified, opened.length);
    let (status, start, length) = match verdict {
        Verdict::Whole => (200, 0, opened.length),
        Verdict::Part(start, end) => (206, start, end - start),
        Verdict::Same => (304, 0, 0),
        Verdict::Other => (412, 0, 0),
        Verdict::Beyond => (416, 0, 0),
    };
    let varies = !settings.precompressed.is_empty();
    let fields = |out: &mut Vec<u8>| {
        field(out, b"ETag", tag.as_bytes());
        let modified = httpdate::fmt_http_date(opened.modified);
        field(out, b"Last-Modified", modified.as_bytes());
        if varies {
            field(out, b"Vary", b"Accept-Encoding");
        }
        match status {
            200 | 206 => {
                let kind = mime_guess::from_path(&name).first_raw();
                field(out, b"Content-Type", typed(kind).as_bytes());
                field(out, b"X-Content-Type-Options", b"nosniff");
                field(out, b"Accept-Ranges", b"bytes");
                if let Some(coding) = &opened.coding {
                    field(out, b"Content-Encoding", coding.as_bytes());
                }
                if status == 206 {
                    let end = start + length - 1;
                    let range = format!("bytes {start}-{end}/{}", opened.length);
                    field(out, b"Content-Range", range.as_bytes());
                }
            }
            416 => {
                field(out, b"Content-Range", format!("bytes */{}", opened.length).as_bytes());
            }
            _ => {}
        }
    };
    let (bytes, next) = match status {
        200 | 206 => {
            caller.upload.borrow_mut().skip_received();
            let persistence = caller.persistence(Delivery::Length(length), worker);
            let mut out = worker.scratch();
            encode::status_line(&mut out, status);
            field(&mut out, b"Date", crate::clock::http_date().as_bytes());
            fields(&mut out);
            encode::content_length(&mut out, length);
            persistence.write(&mut out);
            out.extend_from_slice(&edits.lines);
            out.extend_from_slice(b"\r\n");
            caller.tell_pages(&mut out);
            let length = if caller.head_only { 0 } else { length };
            send(caller, out, opened, start, length, persistence, worker).await
        }
        status => caller.answer(status, fields, b"", edits, worker).await,
    };
    Ended::answered(status, Cause::Status(status), bytes, next)
}

/// Sends a head, and so many bytes of the file from `start` on.
async fn send(
    caller: &Caller<'_>,
    mut out: Vec<u8>,
    opened: Opened,
    start: u64,
    length: u64,
    persistence: Persistence,
    worker: &Worker,
) -> (u64, Next) {
    let Opened { mut file, mut first, .. } = opened;
    let (mut at, end) = (start, start + length);
    // What a small file has was read as it was opened.
    let there = usize::try_from(start).ok().and_then(|start| first.get(start..));
    if let Some(there) = there {
        let take = usize::try_from(length).unwrap_or(usize::MAX).min(there.len());
        out.extend_from_slice(&there[..take]);
        at += take as u64;
    }
    let stall = caller.listener.settings.limits.write_stall;
    let mut written = 0;
    let mut sent = client::send(&caller.stream, caller.alarm, stall, &out).await;
    written += out.len() as u64;
    worker.give_scratch(out);
    while sent.is_ok() && at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK);
        let read = tokio::task::spawn_blocking(move || {
            first.resize(want, 0);
            let read = file.read_at(&mut first, at);
            first.truncate(*read.as_ref().unwrap_or(&0));
            (file, first)
        });
        let Ok((file_back, chunk)) = read.await else { return (written, Next::Abort) };
        (file, first) = (file_back, chunk);
        // It has become shorter, or cannot be read: nobody may take this for the whole.
        if first.is_empty() {
            return (written, Next::Abort);
        }
        sent = client::send(&caller.stream, caller.alarm, stall, &first).await;
        at += first.len() as u64;
        written += first.len() as u64;
    }
    match sent {
        Ok(()) => (written, caller.next(persistence)),
        Err(_) => (written, Next::Abort),
    }
}

/// The name of a file, from what of a path in normal form is left; `None`: there is none by such a name. Names that
/// begin with a dot are nobody's to see, but for `.well-known` (RFC 8615).
fn name(rest: &[u8], index: &str) -> Option<PathBuf> {
    let mut decoded = Vec::with_capacity(rest.len());
    let mut bytes = rest.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(decoded).ok()?;
    let hidden = |part: &str| part.starts_with('.') && part != ".well-known";
    let inner = text.trim_start_matches('/');
    if inner.contains(['\0', '\\']) || inner.split('/').any(hidden) {
        return None;
    }
    Some(match inner.is_empty() || inner.ends_with('/') {
        true => PathBuf::from(format!("{inner}{index}")),
        false => PathBuf::from(inner),
    })
}

/// Opens what `name` leads to below `root`, or the first of its coded forms that is there.
fn open(root: &Path, name: &Path, codings: Vec<String>) -> io::Result<Found> {
    let directory =
        openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let open = |name: &Path| -> io::Result<Option<(File, std::fs::Metadata)>> {
        // Without waiting for anybody at the other end, as a pipe would have it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match openat2(&directory, name, flags, Mode::empty(), beneath) {
            Ok(file) => {
                let file = File::from(file);
                let metadata = file.metadata()?;
                Ok(Some((file, metadata)))
            }
            Err(error)
                if matches!(
                    error,
                    Errno::MFILE | Errno::NFILE | Errno::NOSYS | Errno::NOMEM | Errno::IO
                ) =>
            {
                Err(error.into())
            }
            // Not there, not to be read, or outside.
            Err(_) => Ok(None),
        }
    };
    let Some((file, metadata)) = open(name)? else { return Ok(Found::Nothing) };
    if metadata.is_dir() {
        return Ok(Found::Directory);
    }
    if !metadata.is_file() {
        return Ok(Found::Nothing);
    }
    for coding in codings {
        let extension = match &*coding {
            "gzip" => "gz",
            "zstd" => "zst",
            other => other,
        };
        let mut coded = name.as_os_str().to_owned();
        coded.push(format!(".{extension}"));
        if let Some((file, metadata)) = open(coded.as_ref())?
            && metadata.is_file()
        {
            return opened(file, &metadata, Some(coding)).map(Found::File);
        }
    }
    opened(file, &metadata, None).map(Found::File)
}

fn opened(file: File, metadata: &std::fs::Metadata, coding: Option<String>) -> io::Result<Opened> {
    let length = metadata.len();
    let mut first = vec![0; usize::try_from(length).unwrap_or(CHUNK).min(CHUNK)];
    let read = file.read_at(&mut first, 0)?;
    first.truncate(read);
    // Fields have whole seconds, and none before 1970.
    let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let modified = SystemTime::UNIX_EPOCH + modified;
    Ok(Opened { file, length, modified, coding, first })
}

/// What tells this content of the file from any other.
fn tag(opened: &Opened) -> String {
    let modified = opened.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let coding = opened.coding.as_deref().unwrap_or_default();
    format!("\"{:x}-{:x}{coding}\"", modified.as_nanos(), opened.length)
}

fn typed(kind: Option<&str>) -> String {
    match kind {
        None => "application/octet-stream".to_owned(),
        Some(kind) if kind.starts_with("text/") => format!("{kind}; charset=utf-8"),
        Some(kind) => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_is_what_is_left_of_the_path_and_leads_nowhere_else() {
        let cases = [
            ("/a/b.html", Some("a/b.html")),
            ("", Some("index.html")),
            ("/", Some("index.html")),
            ("/a/", Some("a/index.html")),
            ("/a%20b", Some("a b")),
            ("/.well-known/x", Some(".well-known/x")),
            ("/.git/config", None),
            ("/a/.htpasswd", None),
            ("/a/%2e%2e/b", None),
            ("/a%5cb", None),
            ("/a%00b", None),
            ("/%ff", None),
            ("/%2", None),
            ("/%zz", None),
        ];
        for (rest, expected) in cases {
            let found = name(rest.as_bytes(), "index.html");
            assert_eq!(found.as_ref().and_then(|name| name.to_str()), expected, "{rest}");
        }
    }
}
