//! The Huffman code of RFC 7541 §5.2 and appendix B.

use super::Malformed;

/// Appends what `coded` stands for.
///
/// # Errors
///
/// RFC 7541 §5.2: the end-of-string symbol, or padding that is longer than seven bits or not a part of it.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let start = out.len();
    // The shortest code has five bits.
    out.resize(start + coded.len() * 8 / 5 + 1, 0);
    let mut end = start;
    let mut input = coded;
    // The bits to read next, the first of them on top, and how many of them count.
    let (mut bits, mut have) = (0u64, 0u32);
    loop {
        if let Some(word) = input.first_chunk() {
            bits |= u64::from_be_bytes(*word) >> have;
            let bytes = (63 - have) / 8;
            input = &input[bytes as usize..];
            have += bytes * 8;
        } else {
            while let ([byte, rest @ ..], true) = (input, have <= 56) {
                bits |= u64::from(*byte) << (56 - have);
                have += 8;
                input = rest;
            }
            if have < LONGEST {
                break;
            }
        }
        while have >= LONGEST {
            let (symbol, length) = symbol(bits).ok_or(Malformed)?;
            out[end] = symbol;
            end += 1;
            bits <<= length;
            have -= length;
        }
    }
    // What is left is read as if the end-of-string symbol, all ones, came behind it.
    bits |= u64::MAX.checked_shr(have).unwrap_or(0);
    while have > 0 {
        match symbol(bits) {
            Some((symbol, length)) if length <= have => {
                out[end] = symbol;
                end += 1;
                bits = bits << length | ((1 << length) - 1);
                have -= length;
            }
            _ if have < 8 && bits == u64::MAX => break,
            _ => return Err(Malformed),
        }
    }
    out.truncate(end);
    Ok(())
}

/// How many bytes `text` takes when it is coded.
pub(super) fn coded_len(text: &[u8]) -> usize {
    let bits = text.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum::<usize>();
    bits.div_ceil(8)
}

/// Appends the code of `text`.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut have) = (0u64, 0u32);
    for &byte in text {
        let length = u32::from(LENGTHS[usize::from(byte)]);
        bits = bits << length | u64::from(CODES[usize::from(byte)]);
        have += length;
        if have >= 32 {
            have -= 32;
            out.extend_from_slice(&((bits >> have) as u32).to_be_bytes());
        }
    }
    while have >= 8 {
        have -= 8;
        out.push((bits >> have) as u8);
    }
    if have > 0 {
        out.push((bits << (8 - have)) as u8 | (0xff >> have));
    }
}

/// The symbol whose code is on top of `bits`, and the code's length. None: end-of-string.
#[inline]
fn symbol(bits: u64) -> Option<(u8, u32)> {
    let [symbol, length] = SHORT[(bits >> (64 - SHORT_BITS)) as usize];
    if length > 0 { Some((symbol, u32::from(length))) } else { long_symbol(bits) }
}

/// The same for codes that are longer than the table's: among codes of one length, symbols follow
/// each other in order.
fn long_symbol(bits: u64) -> Option<(u8, u32)> {
    for length in SHORT_BITS as usize + 1..=LONGEST as usize {
        let code = (bits >> (64 - length)) as u32;
        let nth = code.wrapping_sub(FIRST[length].0);
        if nth < FIRST[length].1 {
            let symbol = IN_ORDER[(FIRST[length].2 + nth) as usize];
            return u8::try_from(symbol).ok().map(|symbol| (symbol, length as u32));
        }
    }
    None
}

const END_OF_STRING: usize = 256;
const LONGEST: u32 = 30;

/// Codes up to this length are found by one look. Text has hardly any longer ones.
const SHORT_BITS: u32 = 10;

/// The lengths of the codes, from which they follow: RFC 7541 appendix B gives them in order of
/// length, then of symbol.
static LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// The symbols in the order of their codes.
static IN_ORDER: [u16; 257] = {
    let mut symbols = [0; 257];
    let (mut length, mut at) = (1, 0);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol <= END_OF_STRING {
            if LENGTHS[symbol] as u32 == length {
                symbols[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
};

/// For each length: the first code, how many there are, and where their symbols begin.
static FIRST: [(u32, u32, u32); LONGEST as usize + 1] = {
    let mut first = [(0, 0, 0); LONGEST as usize + 1];
    let (mut length, mut code, mut at) = (1, 0, 0);
    while length <= LONGEST as usize {
        let mut count = 0;
        while at + count < 257 && LENGTHS[IN_ORDER[at + count] as usize] as usize == length {
            count += 1;
        }
        first[length] = (code, count as u32, at as u32);
        code = (code + count as u32) << 1;
        at += count;
        length += 1;
    }
    first
};

static CODES: [u32; 257] = {
    let mut codes = [0; 257];
    let mut at = 0;
    while at < 257 {
        let symbol = IN_ORDER[at] as usize;
        let (first, _, begin) = FIRST[LENGTHS[symbol] as usize];
        codes[symbol] = first + (at as u32 - begin);
        at += 1;
    }
    codes
};

/// Symbol and length by the first bits; a length of zero is a longer code.
static SHORT: [[u8; 2]; 1 << SHORT_BITS] = {
    let mut table = [[0; 2]; 1 << SHORT_BITS];
    let mut symbol = 0;
    while symbol < END_OF_STRING {
        let length = LENGTHS[symbol] as u32;
        if length <= SHORT_BITS {
            let free = SHORT_BITS - length;
            let mut low = 0;
            while low < 1 << free {
                table[((CODES[symbol] << free) + low) as usize] = [symbol as u8, length as u8];
                low += 1;
            }
        }
        symbol += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = b"before".to_vec();
        decode(coded, &mut out)?;
        Ok(out.split_off(6))
    }

    #[test]
    fn codes_are_those_of_appendix_b() {
        for (symbol, code) in [
            (b'0', 0x0),
            (b' ', 0x14),
            (b'a', 0x3),
            (b'X', 0xfc),
            (b'\\', 0x7fff0),
            (b'z', 0x7b),
            (0, 0x1ff8),
            (10, 0x3fff_fffc),
            (22, 0x3fff_fffe),
            (127, 0x0fff_fffc),
            (249, 0x0fff_fffe),
            (255, 0x03ff_ffee),
        ] {
            assert_eq!(CODES[usize::from(symbol)], code, "{symbol}");
        }
        assert_eq!(CODES[END_OF_STRING], 0x3fff_ffff);
    }

    #[test]
    fn end_of_string_and_bad_padding_are_refused() {
        // `0` is five zeros.
        assert_eq!(decoded(&[0b0000_0111]).unwrap(), b"0");
        assert_eq!(decoded(&[]).unwrap(), b"");
        for coded in [
            &[0b0000_0000][..],
            &[0b0000_0110],
            &[0xff],
            &[0b0000_0111, 0xff],
            &[0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xfc, 0b0000_0111],
            &[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(decoded(coded), Err(Malformed), "{coded:x?}");
        }
    }

    #[test]
    fn every_byte_is_read_as_it_was_written() {
        for symbol in 0..=255u8 {
            for count in 1..12 {
                let text = vec![symbol; count];
                let mut coded = Vec::new();
                encode(&text, &mut coded);
                assert_eq!(coded.len(), coded_len(&text));
                assert_eq!(decoded(&coded).unwrap(), text, "{symbol} x {count}");
            }
        }
    }

    proptest! {
        #[test]
        fn text_is_read_as_it_was_written(text: Vec<u8>) {
            let mut coded = Vec::new();
            encode(&text, &mut coded);
            prop_assert_eq!(coded.len(), coded_len(&text));
            prop_assert_eq!(decoded(&coded).unwrap(), text);
        }

        #[test]
        fn what_can_be_read_is_written_the_same(coded: Vec<u8>) {
            if let Ok(text) = decoded(&coded) {
                let mut again = Vec::new();
                encode(&text, &mut again);
                prop_assert_eq!(again, coded);
            }
        }
    }
}
