//! The normal form of paths.

use locum_wire::http1::path::normalise;

/// A normal form is its own normal form, no server can find a dot segment in it by decoding it
/// once or cutting parameters off, and it is what RFC 3986 §5.2.4 makes of the path.
pub fn path(bytes: &[u8]) {
    let Ok(normal) = normalise(bytes) else { return };
    assert_eq!(normalise(&normal).as_deref(), Ok(&normal[..]), "{}", normal.escape_ascii());
    if *normal == *b"*" {
        return;
    }
    assert_eq!(*normal, remove_dot_segments(bytes));

    let decoded = decode(&normal);
    assert!(decoded.starts_with(b"/"));
    for segment in decoded.split(|it| matches!(it, b'/' | b'\\')) {
        let name = segment.split(|it| *it == b';').next().unwrap_or_default();
        assert!(name != b"." && name != b"..", "{}", normal.escape_ascii());
    }
}

/// The steps of RFC 3986 §5.2.4, by the letter, on a path whose encoded dots are plain ones.
fn remove_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut input = Vec::new();
    for segment in path[1..].split(|it| *it == b'/') {
        let plain = decode(segment);
        let is_dots = plain == b"." || plain == b"..";
        input.push(b'/');
        input.extend_from_slice(if is_dots { &plain } else { segment });
    }
    let mut output = Vec::new();
    while !input.is_empty() {
        if input.starts_with(b"/./") {
            input.drain(..2);
        } else if input == b"/." {
            input.truncate(1);
        } else if input.starts_with(b"/../") || input == b"/.." {
            input.drain(1..3);
            if input.len() > 1 {
                input.drain(..1);
            }
            let parent =
                output.iter().rposition(|it| *it == b'/').expect("it stays below the root");
            output.truncate(parent);
        } else {
            let end = input[1..].iter().position(|it| *it == b'/').map_or(input.len(), |it| it + 1);
            output.extend(input.drain(..end));
        }
    }
    output
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|it| (*it as char).to_digit(16));
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}
