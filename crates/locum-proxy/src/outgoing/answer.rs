//! What a server answered.

use locum_wire::http1::encode::{self, field};

use crate::forward::Persistence;

/// Names and values.
pub(crate) type Pairs = Vec<(Box<[u8]>, Box<[u8]>)>;

/// What a server answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names and values of the fields that are not about the connection.
    pub(crate) fields: Pairs,
    pub(crate) body: Vec<u8>,
    /// The same of those after the body.
    pub(crate) trailers: Pairs,
    /// Whether the connection can carry another request.
    pub(crate) reusable: bool,
}

impl Answer {
    /// Writes it for a client, framed anew.
    pub(crate) fn write(&self, out: &mut Vec<u8>, head_only: bool, persistence: Persistence) {
        encode::status_line(out, self.status);
        let ours = |name: &[u8]| {
            [&b"content-length"[..], b"date", b"server"]
                .iter()
                .any(|it| name.eq_ignore_ascii_case(it))
        };
        field(out, b"Date", crate::clock::http_date().as_bytes());
        for (name, value) in self.fields.iter().filter(|(name, _)| !ours(name)) {
            field(out, name, value);
        }
        if self.status != 304 {
            encode::content_length(out, self.body.len() as u64);
        }
        persistence.write(out);
        out.extend_from_slice(encode::CRLF);
        if !head_only && self.status != 304 {
            out.extend_from_slice(&self.body);
        }
    }
}
