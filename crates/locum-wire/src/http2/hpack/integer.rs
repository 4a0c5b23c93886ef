//! Integers behind a prefix of some bits (RFC 7541 §5.1).

use super::Malformed;

/// Reads the integer whose first byte has `prefix` bits of it; gives what follows it, too.
///
/// RFC 7541 §5.1: what is larger than any length or index may be, or takes more bytes than such a
/// number needs, is refused.
pub(super) fn decode(input: &[u8], prefix: u32) -> Result<(usize, &[u8]), Malformed> {
    let (&first, mut rest) = input.split_first().ok_or(Malformed)?;
    let full = (1usize << prefix) - 1;
    let mut number = usize::from(first) & full;
    if number < full {
        return Ok((number, rest));
    }
    for shift in [0, 7, 14, 21] {
        let (&byte, after) = rest.split_first().ok_or(Malformed)?;
        rest = after;
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((number, rest));
        }
    }
    Err(Malformed)
}

/// Appends `number`; the bits of `first` above the prefix say what it is.
pub(super) fn encode(out: &mut Vec<u8>, first: u8, prefix: u32, number: usize) {
    let full = (1usize << prefix) - 1;
    if number < full {
        out.push(first | number as u8);
        return;
    }
    out.push(first | full as u8);
    let mut left = number - full;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_appendix_c_1_are_read_and_written() {
        for (number, prefix, bytes) in
            [(10, 5, &[0x0a][..]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a])]
        {
            let mut out = Vec::new();
            encode(&mut out, 0, prefix, number);
            assert_eq!(out, bytes);
            assert_eq!(decode(bytes, prefix), Ok((number, &[][..])));
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for prefix in 4..=8 {
            for number in (0..5000).chain([1 << 14, 1 << 20, (1 << 28) - 1]) {
                let mut out = Vec::new();
                encode(&mut out, 0, prefix, number);
                out.push(7);
                assert_eq!(decode(&out, prefix), Ok((number, &[7][..])));
            }
        }
    }

    #[test]
    fn numbers_without_end_are_refused() {
        for bytes in [
            &[][..],
            &[0x1f],
            &[0x1f, 0x80],
            &[0x1f, 0x80, 0x80, 0x80, 0x80],
            &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0x1f, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert_eq!(decode(bytes, 5), Err(Malformed), "{bytes:x?}");
        }
    }
}
