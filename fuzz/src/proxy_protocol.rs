//! The header of the PROXY protocol.

use locum_wire::proxy_protocol::{Header, LIMIT, Version, read};

/// A header means the same however it is cut, is not waited for without end, and can be written so that it reads
/// the same.
pub fn proxy_protocol(bytes: &[u8]) {
    let whole = read(bytes);
    let ends = 0..=bytes.len().min(LIMIT);
    let first = ends.map(|end| read(&bytes[..end])).find(|told| *told != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), whole);
    assert!(whole != Ok(None) || bytes.len() < LIMIT);
    let Ok(Some((header, length))) = whole else { return };
    assert!(length <= LIMIT && length <= bytes.len());
    for version in [Version::V1, Version::V2] {
        let mut written = Vec::new();
        version.write(&header, &mut written);
        let same = match (version, header) {
            (Version::V1, Header::Local) => Header::Unknown,
            _ => header,
        };
        assert_eq!(read(&written), Ok(Some((same, written.len()))));
    }
}
