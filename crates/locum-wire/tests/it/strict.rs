//! A reader of requests that knows one way to write each thing, and was written on its own: what
//! it reads differently from the codec, some server would.

use std::collections::BTreeSet;

/// A request as the strict reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
}

/// A name in lower case and a value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

impl Message {
    /// The values of a field, by its lower-case name.
    pub(crate) fn get(&self, name: &str) -> Vec<&[u8]> {
        let wanted = name.as_bytes();
        self.fields.iter().filter(|(it, _)| it == wanted).map(|(_, value)| &value[..]).collect()
    }
}

/// Reads requests until the bytes are used up.
///
/// # Errors
///
/// What is not exactly as a careful sender writes it, the last message's end included.
pub(crate) fn read_all(mut bytes: &[u8]) -> Result<Vec<Message>, String> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        messages.push(read(&mut bytes)?);
    }
    Ok(messages)
}

fn read(bytes: &mut &[u8]) -> Result<Message, String> {
    let first = line(bytes)?;
    let words: Vec<&[u8]> = first.split(|it| *it == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words[..] else { return Err("request line".into()) };
    if method.is_empty() || !method.iter().all(|it| is_token(*it)) {
        return Err("method".into());
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err("target".into());
    }
    let fields = fields(bytes)?;
    let mut message =
        Message { method: method.into(), target: target.into(), fields, body: vec![] };
    if message.get("host").len() != 1 {
        return Err("host".into());
    }
    message.body = match (&message.get("content-length")[..], &message.get("transfer-encoding")[..])
    {
        ([], []) => Vec::new(),
        ([length], []) => sized(bytes, length)?,
        ([], [b"chunked"]) => chunks(bytes)?,
        _ => return Err("framing".into()),
    };
    Ok(message)
}

fn fields(bytes: &mut &[u8]) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    loop {
        let line = line(bytes)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let colon = line.iter().position(|it| *it == b':').ok_or("no colon")?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|it| is_token(*it)) {
            return Err("name".into());
        }
        if value.iter().any(|it| *it == 0x7f || (*it < b' ' && *it != b'\t')) {
            return Err("value".into());
        }
        let is_space = |it: &u8| matches!(it, b' ' | b'\t');
        let start = value.iter().position(|it| !is_space(it)).unwrap_or(value.len());
        let end = value.iter().rposition(|it| !is_space(it)).map_or(start, |it| it + 1);
        fields.push((name.to_ascii_lowercase(), value[start..end].to_vec()));
    }
}

fn sized(bytes: &mut &[u8], length: &[u8]) -> Result<Vec<u8>, String> {
    if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return Err("length".into());
    }
    let length: usize = str::from_utf8(length).unwrap().parse().map_err(|_| "length")?;
    take(bytes, length)
}

fn chunks(bytes: &mut &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let size = line(bytes)?;
        if size.is_empty() || size.len() > 15 || !size.iter().all(u8::is_ascii_hexdigit) {
            return Err("chunk size".into());
        }
        let size = usize::from_str_radix(str::from_utf8(size).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend(take(bytes, size)?);
        if take(bytes, 2)? != b"\r\n" {
            return Err("chunk end".into());
        }
    }
    let names: BTreeSet<Vec<u8>> = fields(bytes)?.into_iter().map(|(name, _)| name).collect();
    let forbidden = ["content-length", "transfer-encoding", "host", "authorization", "connection"];
    match forbidden.iter().find(|it| names.contains(it.as_bytes())) {
        Some(name) => Err(format!("trailer {name}")),
        None => Ok(body),
    }
}

fn line<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let end = bytes.iter().position(|it| *it == b'\n').ok_or("incomplete line")?;
    let line = bytes[..end].strip_suffix(b"\r").ok_or("bare LF")?;
    if line.iter().any(|it| matches!(it, b'\r' | 0)) {
        return Err("bare CR or NUL".into());
    }
    *bytes = &bytes[end + 1..];
    Ok(line)
}

fn take(bytes: &mut &[u8], length: usize) -> Result<Vec<u8>, String> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or("incomplete body")?;
    *bytes = rest;
    Ok(taken.to_vec())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
