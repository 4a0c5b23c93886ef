//! gob, and JSON made of it.

use locum_wire::gob::{Encoder, Raw, Stream, StreamError, Typed};
use locum_wire::rpc::{Fatal, Limits};

use crate::stream::{however_cut, stream};

/// A stream means the same however it is cut. What can be read can be written to another stream, by value
/// and by copy alike, and reads from there as the same; JSON of it is JSON, and becomes a value of the same
/// type, if one at all.
pub fn gob(bytes: &[u8]) {
    for limits in [
        LIMITS,
        Limits { message: 60, nesting: 4, types: 3, definitions: 200, fields: 4, decoded: 200 },
    ] {
        however_cut(bytes, |pieces| {
            let mut reader = Stream::new(&limits);
            stream(pieces, |input, taken| {
                let seen = match reader.next(input, taken) {
                    Ok(raw) => Ok(raw.map(|raw| format!("{:?} {:?}", raw.id, raw.bytes))),
                    Err(StreamError::Malformed(error) | StreamError::TooLarge(error)) => {
                        Ok(Some(error.0))
                    }
                    Err(StreamError::Fatal(fatal)) => Err(fatal),
                };
                (seen, reader.needs())
            })
        });
    }

    let (mut put, mut copied) = (Vec::new(), Vec::new());
    let (mut putter, mut copier) = (Encoder::new(), Encoder::new());
    each(bytes, |raw| {
        // What is only copied may be malformed; then it is not to be read here, either.
        let Ok(typed) = Typed::decode(raw, &LIMITS) else {
            return;
        };
        json(&typed);
        let written = putter.put(&mut put, &typed);
        assert_eq!(copier.copy(&mut copied, raw, &LIMITS), written);
        // A type may be made of others that are not defined, as long as nothing is there of them.
        assert!(matches!(written.as_ref().map_err(|error| &*error.0), Ok(()) | Err(UNKNOWN)));
    });
    let (mut put_again, mut copied_again) = (Vec::new(), Vec::new());
    for (bytes, again) in [(&put, &mut put_again), (&copied, &mut copied_again)] {
        let mut encoder = Encoder::new();
        each(bytes, |raw| {
            let typed = Typed::decode(raw, &LIMITS).expect("what was written can be read");
            encoder.put(again, &typed).expect("what was read can be written");
        });
    }
    assert_eq!(put_again, put, "the second time changes nothing");
    assert_eq!(copied_again, put, "a copy is the same value");
}

/// JSON becomes a value, or is refused; the value can be written, and read again, and is what serde_json
/// takes for JSON, too.
pub fn gob_json(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let Ok(typed) = Typed::from_json(text, None, &LIMITS) else {
        return;
    };
    // It refuses halves of surrogate pairs, which Go replaces.
    if !text.contains("\\u") {
        serde_json::from_str::<serde_json::Value>(text).expect("it is JSON");
    }
    let mut out = Vec::new();
    Encoder::new().put(&mut out, &typed).expect("what JSON said can be written");
    let shown = typed.to_json(&LIMITS).expect("what JSON said can be shown");
    each(&out, |raw| {
        let again = Typed::decode(raw, &LIMITS).expect("what was written can be read");
        assert_eq!(again.to_json(&LIMITS).as_deref(), Ok(&*shown));
    });
    let again = Typed::from_json(&shown, Some((&typed.types, typed.id)), &LIMITS);
    assert_eq!(again.expect("what was shown is of the type").id, typed.id);
}

fn json(typed: &Typed) {
    let Ok(text) = typed.to_json(&LIMITS) else {
        return;
    };
    serde_json::from_str::<&serde_json::value::RawValue>(&text).expect("it is JSON");
    if let Ok(again) = Typed::from_json(&text, Some((&typed.types, typed.id)), &LIMITS) {
        let mut out = Vec::new();
        let written = Encoder::new().put(&mut out, &again);
        assert!(matches!(written.as_ref().map_err(|error| &*error.0), Ok(()) | Err(UNKNOWN)));
    }
}

fn each(bytes: &[u8], mut what: impl FnMut(&Raw<'_>)) {
    let mut stream = Stream::new(&LIMITS);
    let mut rest = bytes;
    loop {
        let mut taken = 0;
        match stream.next(rest, &mut taken) {
            Ok(Some(raw)) => what(&raw),
            Err(StreamError::Malformed(_) | StreamError::TooLarge(_)) => {}
            Ok(None) | Err(StreamError::Fatal(Fatal(_))) => return,
        }
        rest = &rest[taken..];
    }
}

const UNKNOWN: &str = "gob: unknown type id or corrupted data";

/// What can be read has to be able to grow by what its zeros take.
const LIMITS: Limits = Limits {
    message: 1 << 20,
    nesting: 64,
    types: 1024,
    definitions: 1 << 20,
    fields: 1024,
    decoded: 1 << 20,
};
