//! The first message of a client of TLS.

use locum_wire::client_hello::{LIMIT, Reader};

/// The message means the same however it is cut, is not waited for without end, and names nothing but a name.
pub fn client_hello(bytes: &[u8]) {
    let whole = Reader::default().read(bytes);
    let mut reader = Reader::default();
    let mut told = Ok(None);
    for end in 0..=bytes.len() {
        told = reader.read(&bytes[..end]);
        if told != Ok(None) {
            break;
        }
    }
    assert_eq!(told, whole);
    assert!(whole != Ok(None) || bytes.len() < LIMIT);
    let Ok(Some(hello)) = whole else { return };
    let Some(name) = hello.server_name else { return };
    let is_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    assert!((1..=255).contains(&name.len()) && name.bytes().all(is_name), "{name:?}");
}
