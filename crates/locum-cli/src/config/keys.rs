//! The file of an `api-key` or of `basic`: whose secrets are taken, a line each.

use locum_proxy::auth::{Credential, Hash};

/// Reads `name:hash` from every line that is neither empty nor a comment after `#`.
///
/// # Errors
///
/// The first line that is neither, counted from 1, and what is wrong with it. The text never holds what is in
/// the line.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Credential>, (usize, &'static str)> {
    let mut keys = Vec::new();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        let line = str::from_utf8(line).map_err(|_| (number, "it is not UTF-8 text"))?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        keys.push(key(line).map_err(|reason| (number, reason))?);
    }
    Ok(keys)
}

fn key(line: &str) -> Result<Credential, &'static str> {
    let (name, hash) = line.split_once(':').ok_or("it is not `name:hash`")?;
    let (name, hash) = (name.trim(), hash.trim());
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err("the name is empty, too long or cannot be seen");
    }
    let hash = if is_argon2(hash) {
        Hash::Argon2(hash.to_owned())
    } else {
        let hex = hash.strip_prefix("sha256:").unwrap_or(hash);
        let digest = sha256(hex).ok_or("the hash is neither SHA-256 in hex nor argon2")?;
        Hash::Sha256(digest)
    };
    Ok(Credential { name: name.to_owned(), hash })
}

/// Whether `text` has the form `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
fn is_argon2(text: &str) -> bool {
    let parts: Vec<_> = text.split('$').collect();
    let ["", algorithm, version, parameters, salt, hash] = parts[..] else { return false };
    let base64 = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
        !text.is_empty() && text.bytes().all(allowed)
    };
    matches!(algorithm, "argon2id" | "argon2i" | "argon2d")
        && version.starts_with("v=")
        && parameters.starts_with("m=")
        && base64(salt)
        && base64(hash)
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    let hex = hex.as_bytes();
    if hex.len() != 64 {
        return None;
    }
    let nibble = |byte: u8| char::from(byte).to_digit(16);
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks(2)) {
        *byte = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).ok()?;
    }
    Some(digest)
}

const MAX_NAME: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const ARGON: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo";

    #[test]
    fn a_key_is_a_name_and_a_hash_of_either_kind() {
        let text =
            format!("# ours\n\nann: {SHA}\nben:sha256:{}\n cyd:{ARGON}\r\n", SHA.to_uppercase());
        let keys = parse(text.as_bytes()).unwrap();
        let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["ann", "ben", "cyd"]);
        let Hash::Sha256(digest) = keys[0].hash else { panic!("it is SHA-256") };
        assert_eq!((digest[0], digest[31]), (0xba, 0xad));
        assert_eq!(keys[1].hash, keys[0].hash);
        assert_eq!(keys[2].hash, Hash::Argon2(ARGON.to_owned()));
    }

    #[test]
    fn a_line_that_is_no_key_is_told_by_its_number_and_never_shown() {
        for line in [
            "ann",
            "ann:s3cret",
            &format!(":{SHA}"),
            &format!("ann:{SHA}0"),
            &format!("ann:{}", SHA.replace('a', "g")),
            "ann:$argon2id$v=19$m=1$salt",
            "ann:$bcrypt$v=1$m=1$salt$hash",
            "ann:sha256:",
        ] {
            let (number, reason) = parse(format!("# x\n{line}").as_bytes()).expect_err(line);
            assert_eq!(number, 2, "{line}");
            assert!(!reason.contains("s3cret"));
        }
        assert_eq!(parse(b"ann:\xff").unwrap_err().0, 1);
    }
}
