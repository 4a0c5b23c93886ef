//! Whom a certificate names.
//!
//! Nothing is verified here: whoever asks has a certificate that a handshake of TLS has verified.

use pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Who a certificate's holder is, as one text: the first URI (SPIFFE puts its identities there), else the
/// first DNS name, else the common name.
pub fn identity(certificate: &[u8]) -> Option<String> {
    let certificate = CertificateDer::from(certificate);
    let certificate = EndEntityCert::try_from(&certificate).ok()?;
    let name =
        certificate.valid_uri_names().next().or_else(|| certificate.valid_dns_names().next());
    match name {
        Some(name) => Some(name.to_owned()),
        None => common_name(certificate.subject()).map(str::to_owned),
    }
}

/// The DNS names that a certificate is for, `*.example.com` among them. None in one that cannot be read.
pub fn dns_names(certificate: &[u8]) -> Vec<String> {
    let certificate = CertificateDer::from(certificate);
    EndEntityCert::try_from(&certificate)
        .map(|certificate| certificate.valid_dns_names().map(str::to_owned).collect())
        .unwrap_or_default()
}

/// The common name in the DER of a `Name` (RFC 5280 §4.1.2.4): sets of pairs of an identifier and a string.
fn common_name(mut names: &[u8]) -> Option<&str> {
    // 2.5.4.3
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    // UTF8String, PrintableString, IA5String: the strings that are UTF-8 as they are.
    const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
    while !names.is_empty() {
        let (_, mut set, rest) = element(names)?;
        names = rest;
        while !set.is_empty() {
            let (_, pair, rest) = element(set)?;
            set = rest;
            let (_, kind, text) = element(pair)?;
            let (form, text, _) = element(text)?;
            if kind == COMMON_NAME && TEXTS.contains(&form) {
                return std::str::from_utf8(text).ok();
            }
        }
    }
    None
}

/// The tag and the content of the first element of `der`, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, der) = der.split_first()?;
    let (&first, der) = der.split_first()?;
    let (length, der) = match first {
        0..=0x7f => (usize::from(first), der),
        0x81 | 0x82 => {
            let (bytes, der) = der.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), der)
        }
        _ => return None,
    };
    let (content, rest) = der.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_name_is_found_among_others() {
        // O=x, CN=alice
        let name = b"\x31\x0a\x30\x08\x06\x03\x55\x04\x0a\x0c\x01x\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x0c\x05alice";
        assert_eq!(common_name(name), Some("alice"));
        for cut in 0..name.len() {
            assert_eq!(common_name(&name[..cut]), None, "cut at {cut}");
        }
    }
}
