//! What is in a directory, as a page.

use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io;
use std::time::SystemTime;

use rustix::fs::Dir;

/// What of a directory is shown.
pub(super) struct Listing {
    entries: Vec<Entry>,
    /// There is more.
    cut: bool,
}

/// One name in a directory.
struct Entry {
    name: String,
    is_directory: bool,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Names that are looked at; a page of more would be of use to nobody.
const MOST: usize = 5000;
/// A page is no larger than this, and one row.
const PAGE: usize = 1 << 20;
/// What a listing may do in a browser: nothing.
pub(super) const POLICY: &[u8] =
    b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Listing {
    /// Reads `directory`. What a name leads to, if anything that is served, `look` knows.
    pub(super) fn read(
        directory: &File,
        look: impl Fn(&str) -> io::Result<Option<Metadata>>,
    ) -> io::Result<Self> {
        let mut entries = Vec::new();
        let mut cut = false;
        for found in Dir::read_from(directory)? {
            let found = found?;
            // Neither what is hidden nor what nobody could ask for.
            let name = found.file_name().to_str().ok();
            let Some(name) = name.filter(|name| !name.starts_with('.') && !name.contains('\\'))
            else {
                continue;
            };
            if entries.len() == MOST {
                cut = true;
                break;
            }
            let Some(metadata) = look(name)?.filter(|it| it.is_dir() || it.is_file()) else {
                continue;
            };
            entries.push(Entry {
                name: name.to_owned(),
                is_directory: metadata.is_dir(),
                bytes: metadata.len(),
                modified: metadata.modified().ok(),
            });
        }
        entries.sort_by(|one, other| {
            (!one.is_directory, &one.name).cmp(&(!other.is_directory, &other.name))
        });
        Ok(Self { entries, cut })
    }

    /// The page of the directory that is found at `path`, and has another above it or not.
    pub(super) fn page(&self, path: &str, has_parent: bool) -> String {
        let title = escaped(path);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>Index of {title}</title>\n<h1>Index of {title}</h1>\n<table>\n\
             <tr><th align=\"left\">Name<th align=\"right\">Bytes<th align=\"left\">Modified\n"
        );
        if has_parent {
            page.push_str("<tr><td><a href=\"../\">../</a><td><td>\n");
        }
        let mut cut = self.cut;
        for entry in &self.entries {
            if page.len() > PAGE {
                cut = true;
                break;
            }
            entry.write(&mut page);
        }
        page.push_str("</table>\n");
        if cut {
            page.push_str("<p>There is more, which is not shown.\n");
        }
        page
    }
}

impl Entry {
    fn write(&self, page: &mut String) {
        let slash = if self.is_directory { "/" } else { "" };
        let bytes = if self.is_directory { String::new() } else { self.bytes.to_string() };
        // Before 1970 there is no date for fields, nor here.
        let since = |time: &SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).is_ok();
        let modified = self.modified.filter(since).map(httpdate::fmt_http_date);
        writeln!(
            page,
            "<tr><td><a href=\"./{}{slash}\">{}{slash}</a><td align=\"right\">{bytes}<td>{}",
            encoded(&self.name),
            escaped(&self.name),
            modified.unwrap_or_default(),
        )
        .expect("invariant: writing to a String cannot fail");
    }
}

/// A name as one segment of a path (RFC 3986 §2.3): whatever else is in it, it is no part of the markup either.
fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            byte => write!(out, "%{byte:02X}").expect("invariant: writing to a String cannot fail"),
        }
    }
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry { name: name.to_owned(), is_directory: false, bytes: 1, modified: None }
    }

    #[test]
    fn no_name_is_anything_but_a_name() {
        let names =
            ["\"><script>alert(1)</script>", "a:b", "100%", "é'&", "javascript:x?#", "a\nb"];
        let page = Listing { entries: names.map(entry).into(), cut: false }.page("/<x>/", false);
        for row in [
            "href=\"./%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E\">&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;</a>",
            "href=\"./a%3Ab\">a:b</a>",
            "href=\"./100%25\">100%</a>",
            "href=\"./%C3%A9%27%26\">é&#39;&amp;</a>",
            "href=\"./javascript%3Ax%3F%23\">javascript:x?#</a>",
            "href=\"./a%0Ab\">",
            "<title>Index of /&lt;x&gt;/</title>",
        ] {
            assert!(page.contains(row), "{row} in {page}");
        }
        assert!(!page.contains("../") && !page.contains("more"));
    }

    #[test]
    fn a_page_is_bounded() {
        let long = "<".repeat(255);
        let entries: Vec<_> = (0..MOST).map(|_| entry(&long)).collect();
        let page = Listing { entries, cut: false }.page("/", true);
        assert!(page.len() < PAGE + 4096 && page.ends_with("not shown.\n"), "{}", page.len());
        assert!(page.contains("<a href=\"../\">"));
    }
}
