//! Go's `big.Int`.

/// An integer of any size: Go's `big.Int`.
///
/// ```
/// use locum_wire::gob::BigInt;
/// let big = BigInt::parse("-340282366920938463463374607431768211456").unwrap();
/// assert_eq!(big.magnitude().len(), 17);
/// assert_eq!(big.to_decimal().unwrap(), "-340282366920938463463374607431768211456");
/// assert_eq!(BigInt::from(7), BigInt::parse("7").unwrap());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BigInt {
    // Invariant: not of zero.
    negative: bool,
    // Invariant: big-endian, without zeros before it.
    magnitude: Vec<u8>,
}

impl BigInt {
    /// By its sign, and its magnitude as big-endian bytes.
    pub fn new(negative: bool, magnitude: &[u8]) -> Self {
        let zeros = magnitude.iter().take_while(|it| **it == 0).count();
        let magnitude = magnitude[zeros..].to_vec();
        Self { negative: negative && !magnitude.is_empty(), magnitude }
    }

    /// Whether it is less than zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// How far it is from zero: big-endian, without zeros before it.
    pub fn magnitude(&self) -> &[u8] {
        &self.magnitude
    }

    /// The bytes that Go makes of it (math/big/intmarsh.go GobEncode): version 1 and the sign, the magnitude.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.magnitude.len());
        bytes.push(VERSION << 1 | u8::from(self.negative));
        bytes.extend_from_slice(&self.magnitude);
        bytes
    }

    /// What Go made those bytes of (math/big/intmarsh.go GobDecode); `None` if it did not make them.
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => Some(Self::default()),
            [first, magnitude @ ..] if first >> 1 == VERSION => {
                Some(Self::new(first & 1 == 1, magnitude))
            }
            _ => None,
        }
    }

    /// In decimal digits; `None` beyond 1000 of them, since the work grows with the square of that.
    pub fn to_decimal(&self) -> Option<String> {
        // What has 1000 digits has 416 bytes at most.
        if self.magnitude.len() > 416 {
            return None;
        }
        let mut limbs: Vec<u32> = self.magnitude.rchunks(4).rev().map(big_endian).collect();
        // The lowest digits first, nine at a time.
        let mut groups = Vec::new();
        while !limbs.is_empty() {
            let mut rest = 0;
            for limb in &mut limbs {
                let value = rest << 32 | u64::from(*limb);
                *limb = (value / GROUP) as u32;
                rest = value % GROUP;
            }
            groups.push(rest);
            let zeros = limbs.iter().take_while(|it| **it == 0).count();
            limbs.drain(..zeros);
        }
        let mut text = String::from(if self.negative { "-" } else { "" });
        text.push_str(&groups.pop().unwrap_or(0).to_string());
        for group in groups.iter().rev() {
            text.push_str(&format!("{group:09}"));
        }
        let digits = text.len() - usize::from(self.negative);
        (digits <= MOST_DIGITS).then_some(text)
    }

    /// Reads decimal digits, after a sign or none; `None` beyond 1000 of them.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.as_bytes() {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] | digits => (false, digits),
        };
        if digits.is_empty() || digits.len() > MOST_DIGITS {
            return None;
        }
        // The lowest limb first.
        let mut limbs: Vec<u32> = Vec::with_capacity(digits.len() / 9 + 1);
        let (first, rest) = digits.split_at(digits.len() % 9);
        // Nine digits at a time, as the work grows with the square of the groups.
        for group in Some(first).filter(|it| !it.is_empty()).into_iter().chain(rest.chunks(9)) {
            let mut carry = group.iter().try_fold(0, |value, digit| {
                digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0'))
            })?;
            for limb in &mut limbs {
                let value = u64::from(*limb) * GROUP + carry;
                *limb = value as u32;
                carry = value >> 32;
            }
            if carry > 0 {
                limbs.push(carry as u32);
            }
        }
        let magnitude: Vec<u8> = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
        Some(Self::new(negative, &magnitude))
    }
}

impl From<i128> for BigInt {
    fn from(value: i128) -> Self {
        Self::new(value < 0, &value.unsigned_abs().to_be_bytes())
    }
}

impl TryFrom<&BigInt> for i128 {
    type Error = ();

    /// Fails where it takes more than 128 bits.
    fn try_from(big: &BigInt) -> Result<Self, ()> {
        if big.magnitude.len() > 16 {
            return Err(());
        }
        let magnitude =
            big.magnitude.iter().fold(0u128, |value, byte| value << 8 | u128::from(*byte));
        if big.negative {
            0i128.checked_sub_unsigned(magnitude).ok_or(())
        } else {
            Self::try_from(magnitude).map_err(|_| ())
        }
    }
}

fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

const VERSION: u8 = 1;
/// Nine decimal digits.
const GROUP: u64 = 1_000_000_000;
/// As many as numbers in JSON may have.
const MOST_DIGITS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_ints_are_as_go_writes_them() {
        let cases: [(i128, &[u8]); 5] = [
            (0, b"\x02"),
            (7, b"\x02\x07"),
            (-7, b"\x03\x07"),
            (256, b"\x02\x01\0"),
            (-(1 << 64), b"\x03\x01\0\0\0\0\0\0\0\0"),
        ];
        for (value, bytes) in cases {
            let big = BigInt::from(value);
            assert_eq!(big.to_wire(), bytes);
            assert_eq!(BigInt::from_wire(bytes), Some(big));
        }
        assert_eq!(BigInt::from_wire(b""), Some(BigInt::default()));
        assert_eq!(BigInt::from_wire(b"\x03\0"), Some(BigInt::default()), "zero has no sign");
        assert_eq!(BigInt::from_wire(b"\x04"), None);
    }

    #[test]
    fn digits_are_those_of_i128() {
        let mut value = 1i128;
        for step in 0..400i128 {
            value = value.wrapping_mul(-7).wrapping_add(step);
            let big = BigInt::from(value);
            assert_eq!(big.to_decimal(), Some(value.to_string()));
            assert_eq!(BigInt::parse(&value.to_string()), Some(big.clone()));
            assert_eq!(i128::try_from(&big), Ok(value));
        }
        for value in [i128::MIN, i128::MAX, 0, 1_000_000_000, 999_999_999] {
            assert_eq!(i128::try_from(&BigInt::from(value)), Ok(value));
            assert_eq!(BigInt::from(value).to_decimal(), Some(value.to_string()));
        }
    }

    #[test]
    fn what_is_too_big_has_no_digits() {
        let nines = "9".repeat(1000);
        let most = BigInt::parse(&format!("-{nines}")).unwrap();
        assert_eq!(most.to_decimal(), Some(format!("-{nines}")));
        assert_eq!(BigInt::parse(&format!("{nines}9")), None);
        // One more than a thousand nines.
        let mut next = most.magnitude().to_vec();
        assert_eq!(next.len(), 416);
        next.iter_mut().rev().find_map(|byte| {
            *byte = byte.wrapping_add(1);
            (*byte > 0).then_some(())
        });
        assert_eq!(BigInt::new(false, &next).to_decimal(), None);
        assert_eq!(BigInt::new(false, &[255; 1 << 20]).to_decimal(), None);
        for text in ["", "-", "+", "1.5", "0x1", " 1"] {
            assert_eq!(BigInt::parse(text), None);
        }
    }
}
