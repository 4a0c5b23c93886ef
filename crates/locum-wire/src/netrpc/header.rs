//! What stands before each argument and each reply.
//!
//! Both headers are read and written by hand, beside the general codec: every call has two of them, and
//! they are all the same.

use serde::{Deserialize, Serialize};

use crate::gob::num::{bytes, next_field, put_bytes, put_sized, put_uint, uint};
use crate::gob::{self, Bytes, Corrupt, Raw, Stream, StreamError, Type, TypeId, Types};
use crate::rpc::{Fatal, Shape};

/// A header, as read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// Text, in general; it is looked at later.
    pub(super) method: &'a [u8],
    pub(super) seq: u64,
    /// Only in answers; empty where the call succeeded.
    pub(super) error: &'a [u8],
}

/// What a client sends before an argument (net/rpc/server.go, `Request`).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename = "Request", rename_all = "PascalCase")]
struct Request {
    service_method: String,
    seq: u64,
}

/// What a server sends before a reply (net/rpc/server.go, `Response`).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename = "Response", rename_all = "PascalCase")]
struct Response {
    service_method: String,
    seq: u64,
    error: String,
}

/// Writes the headers of a stream, of which they are the first type.
#[derive(Debug)]
pub(super) struct Writer {
    /// Until it was sent.
    definition: Vec<u8>,
}

impl Writer {
    /// That of a client, and the encoder of the values.
    pub(super) fn of_requests() -> (Self, gob::Encoder) {
        static REQUEST: Shape = Shape::of::<Request>();
        Self::new(&REQUEST, &Request::default())
    }

    /// That of a server, and the encoder of the values.
    pub(super) fn of_responses() -> (Self, gob::Encoder) {
        static RESPONSE: Shape = Shape::of::<Response>();
        Self::new(&RESPONSE, &Response::default())
    }

    fn new<T: Serialize>(shape: &Shape, empty: &T) -> (Self, gob::Encoder) {
        let schema = shape.gob().expect("gob has text and numbers");
        let mut encoder = gob::Encoder::new();
        let mut definition = Vec::new();
        encoder.encode(&mut definition, schema, empty).expect("gob has text and numbers");
        definition.truncate(definition.len() - EMPTY.len());
        (Self { definition }, encoder)
    }

    /// Appends a header, and what `body` does. If that fails, nothing was appended.
    pub(super) fn put<E>(
        &mut self,
        out: &mut Vec<u8>,
        header: Header<'_>,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = out.len();
        out.extend_from_slice(&self.definition);
        put(out, header);
        body(out).inspect_err(|_| out.truncate(start))?;
        self.definition = Vec::new();
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, header: Header<'_>) {
    let fields = |out: &mut Vec<u8>| {
        out.extend_from_slice(&ID);
        // What is zero is left out; before each field stands how far it is from the last.
        let mut delta = 1;
        if header.method.is_empty() {
            delta += 1;
        } else {
            out.push(delta);
            put_bytes(out, header.method);
            delta = 1;
        }
        if header.seq == 0 {
            delta += 1;
        } else {
            out.push(delta);
            put_uint(out, header.seq);
            delta = 1;
        }
        if !header.error.is_empty() {
            out.push(delta);
            put_bytes(out, header.error);
        }
        out.push(0);
        Ok::<_, Corrupt>(())
    };
    put_sized(out, fields).expect("nothing of this fails");
}

/// The first number that a stream of ours gives (65), as it stands before a value.
const ID: [u8; 2] = [0xff, 0x82];
/// A header in which all is zero, as a message.
const EMPTY: [u8; 4] = [0x03, ID[0], ID[1], 0x00];

/// Reads the headers of a stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The type of the last, and its fields, if they are as in Go.
    plain: Option<(TypeId, Vec<Field>)>,
    /// The last that was not plain.
    other: Other,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Method,
    Seq,
    Error,
}

/// A header whatever else is in it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Other {
    service_method: Bytes,
    seq: u64,
    error: Bytes,
}

impl Reader {
    /// Takes the next header of `stream` off `rest`, once all of it is there.
    ///
    /// # Errors
    ///
    /// The stream cannot be read, or this is no header: nothing that follows would have a meaning.
    pub(super) fn next<'a, 'input: 'a>(
        &'a mut self,
        stream: &'a mut Stream,
        rest: &mut &'input [u8],
        taken: &mut usize,
    ) -> Result<Option<Header<'a>>, Fatal> {
        let mut header = 0;
        let raw = stream.next(rest, &mut header);
        *rest = rest.get(header..).unwrap_or_default();
        *taken += header;
        match raw {
            Ok(Some(raw)) => self.read(raw).map(Some),
            Ok(None) => Ok(None),
            Err(StreamError::Fatal(fatal)) => Err(fatal),
            Err(StreamError::Malformed(error) | StreamError::TooLarge(error)) => {
                Err(Fatal(error.0))
            }
        }
    }

    /// Reads a header. One that has more fields than Go's is read, too, as Go would.
    ///
    /// # Errors
    ///
    /// It is malformed, or no header.
    fn read<'a>(&'a mut self, raw: Raw<'a>) -> Result<Header<'a>, Fatal> {
        if !matches!(&self.plain, Some((id, _)) if *id == raw.id) {
            self.plain = plain(raw.types, raw.id).map(|fields| (raw.id, fields));
        }
        if let Some((_, fields)) = &self.plain {
            return plainly(fields, raw.bytes).map_err(|corrupt| Fatal(corrupt.to_string()));
        }
        self.other = gob::decode(raw.types, raw.id, raw.bytes).map_err(|error| Fatal(error.0))?;
        let Other { service_method, seq, error } = &self.other;
        Ok(Header { method: service_method, seq: *seq, error })
    }
}

/// The fields of a type that has none but those of a header.
fn plain(types: &Types, id: TypeId) -> Option<Vec<Field>> {
    let Type::Struct { fields, .. } = types.get(id)? else { return None };
    let plain = |field: &gob::Field| match (&*field.name, field.id) {
        ("ServiceMethod", TypeId::STRING) => Some(Field::Method),
        ("Seq", TypeId::UINT) => Some(Field::Seq),
        ("Error", TypeId::STRING) => Some(Field::Error),
        _ => None,
    };
    fields.iter().map(plain).collect()
}

fn plainly<'a>(fields: &[Field], mut rest: &'a [u8]) -> Result<Header<'a>, Corrupt> {
    let mut header = Header::default();
    let mut at = 0;
    while let Some(field) = next_field(&mut rest, &mut at)? {
        match fields.get(field).ok_or(Corrupt::Field)? {
            Field::Method => header.method = bytes(&mut rest)?,
            Field::Seq => header.seq = uint(&mut rest)?,
            Field::Error => header.error = bytes(&mut rest)?,
        }
    }
    if rest.is_empty() { Ok(header) } else { Err(Corrupt::Long) }
}
