//! What a connection speaks.

use locum_wire::detect::{self, Detected};
use locum_wire::native::Requests;
use locum_wire::rpc::Limits;

/// What was told stays so, whatever follows, and is decided by a few bytes; what is told to be native
/// begins as that protocol does.
pub fn detect(bytes: &[u8]) {
    let mut told = None;
    for length in 0..=bytes.len().min(300) {
        let now = detect::detect(&bytes[..length]);
        assert!(told.is_none() || now == told, "{told:?}, then {now:?}");
        told = now;
    }
    assert!(told.is_some() || bytes.len() <= 300, "so many bytes decide");
    assert!(told.is_none() || detect::detect(bytes) == told, "no later byte matters");
    let magic = bytes.len() >= 6 && Requests::new(&Limits::default()).next(bytes, &mut 0).is_ok();
    assert!(!magic || told == Some(Detected::Native), "{told:?}");
}
