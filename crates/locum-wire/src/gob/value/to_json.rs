//! Values, shown as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::opaque::Known;
use super::{JsonError, Typed, Value};
use crate::gob::{Type, TypeId, Types};
use crate::rpc::Limits;

pub(super) fn to_json(typed: &Typed, limits: &Limits) -> Result<String, JsonError> {
    let mut shower = Shower { types: &typed.types, out: String::new(), most: limits.decoded };
    shower.value(typed.id, &typed.value)?;
    Ok(shower.out)
}

struct Shower<'a> {
    types: &'a Types,
    out: String,
    /// How long the text may become. Fields left out make it longer than anything that was sent.
    most: usize,
}

impl<'a> Shower<'a> {
    fn value(&mut self, id: TypeId, value: &Value) -> Result<(), JsonError> {
        let kind = self.kind(id)?;
        match value {
            Value::Bool(value) => self.text(if *value { "true" } else { "false" }),
            Value::Int(value) => self.display(value),
            Value::Uint(value) => self.display(value),
            Value::Float(value) => self.float(*value)?,
            Value::Complex(..) => return Err(JsonError("JSON has no complex numbers".to_owned())),
            Value::Bytes(bytes) => self.base64(bytes),
            Value::String(bytes) => self.string(&lossy(bytes)),
            Value::Opaque(bytes) => self.opaque(kind, bytes)?,
            Value::Nil => self.text("null"),
            Value::Interface(interface) => self.value(interface.id, &interface.value)?,
            Value::List(values) => {
                let (Type::Slice { elem, .. } | Type::Array { elem, .. }) = kind else {
                    return Err(mismatch());
                };
                self.text("[");
                for (at, value) in values.iter().enumerate() {
                    self.comma(at);
                    self.value(*elem, value)?;
                }
                self.text("]");
            }
            Value::Map(pairs) => {
                let Type::Map { key, elem, .. } = kind else {
                    return Err(mismatch());
                };
                let keys = pairs.iter().map(|(name, value)| Ok((self.key(*key, name)?, value)));
                // As in Go they are in the order of their bytes, and of equal ones the last is the one.
                let pairs: BTreeMap<_, _> = keys.collect::<Result<_, JsonError>>()?;
                self.text("{");
                for (at, (name, value)) in pairs.into_iter().enumerate() {
                    self.comma(at);
                    self.string(&name);
                    self.text(":");
                    self.value(*elem, value)?;
                }
                self.text("}");
            }
            Value::Struct(values) => {
                let Type::Struct { fields, .. } = kind else {
                    return Err(mismatch());
                };
                let mut values = values.iter().peekable();
                self.text("{");
                for (at, field) in fields.iter().enumerate() {
                    self.comma(at);
                    self.string(&field.name);
                    self.text(":");
                    match values.next_if(|(index, _)| *index == at) {
                        Some((_, value)) => self.value(field.id, value)?,
                        None => self.left_out(field.id)?,
                    }
                    self.bounded()?;
                }
                if values.next().is_some() {
                    return Err(mismatch());
                }
                self.text("}");
            }
        }
        self.bounded()
    }

    /// What is not there: the zero of its type. Structs, arrays and maps that are not nil are always there.
    fn left_out(&mut self, id: TypeId) -> Result<(), JsonError> {
        let kind = self.kind(id)?;
        match kind {
            Type::Bool => self.text("false"),
            Type::Int | Type::Uint | Type::Float => self.text("0"),
            Type::String => self.text("\"\""),
            Type::Complex => return self.value(id, &Value::Complex(0.0, 0.0)),
            Type::Opaque { .. } => match Known::of(kind) {
                Some(known) => return self.opaque(kind, &known.zero()),
                None => self.text("null"),
            },
            _ => self.text("null"),
        }
        Ok(())
    }

    fn opaque(&mut self, kind: &Type, bytes: &[u8]) -> Result<(), JsonError> {
        let Some(known) = Known::of_bytes(kind, bytes) else {
            self.base64(bytes);
            return Ok(());
        };
        match known.show(bytes) {
            Some(number) if known == Known::BigInt => self.text(&number),
            Some(text) => self.string(&text),
            // Of a time that RFC 3339 cannot write only this type knows; all else is a type that happens to
            // have the same name.
            None if known.understands(bytes) => {
                return Err(JsonError(format!("JSON has no such {}", kind.name())));
            }
            None => self.base64(bytes),
        }
        Ok(())
    }

    fn key(&self, id: TypeId, value: &Value) -> Result<String, JsonError> {
        match value {
            Value::String(bytes) => Ok(lossy(bytes)),
            Value::Bool(value) => Ok(value.to_string()),
            Value::Int(value) => Ok(value.to_string()),
            Value::Uint(value) => Ok(value.to_string()),
            Value::Float(value) if value.is_finite() => Ok(number(*value)),
            Value::Interface(interface) => self.key(interface.id, &interface.value),
            Value::Opaque(bytes) => Known::of_bytes(self.kind(id)?, bytes)
                .and_then(|known| known.show(bytes))
                .ok_or_else(|| JsonError("a JSON object has only text as keys".to_owned())),
            _ => Err(JsonError("a JSON object has only text as keys".to_owned())),
        }
    }

    fn kind(&self, id: TypeId) -> Result<&'a Type, JsonError> {
        self.types.get(id).ok_or_else(mismatch)
    }

    fn float(&mut self, value: f64) -> Result<(), JsonError> {
        if !value.is_finite() {
            return Err(JsonError(format!("JSON has no number {value}")));
        }
        let text = number(value);
        self.text(&text);
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.text("\"");
        STANDARD.encode_string(bytes, &mut self.out);
        self.text("\"");
    }

    /// Escapes what Go's encoding/json escapes, so that the text may stand in HTML and JavaScript.
    fn string(&mut self, text: &str) {
        self.text("\"");
        let mut rest = text;
        while let Some(at) = rest.find(escaped) {
            let (plain, after) = rest.split_at(at);
            self.text(plain);
            let mut characters = after.chars();
            match characters.next() {
                Some('"') => self.text("\\\""),
                Some('\\') => self.text("\\\\"),
                Some('\n') => self.text("\\n"),
                Some('\r') => self.text("\\r"),
                Some('\t') => self.text("\\t"),
                Some('\u{8}') => self.text("\\b"),
                Some('\u{c}') => self.text("\\f"),
                Some(other) => self.display(&format_args!("\\u{:04x}", u32::from(other))),
                None => {}
            }
            rest = characters.as_str();
        }
        self.text(rest);
        self.text("\"");
    }

    fn comma(&mut self, at: usize) {
        if at > 0 {
            self.text(",");
        }
    }

    fn display(&mut self, value: &dyn std::fmt::Display) {
        write!(self.out, "{value}").expect("text takes all that is written to it");
    }

    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn bounded(&self) -> Result<(), JsonError> {
        if self.out.len() > self.most {
            return Err(JsonError("the value takes too much memory as JSON".to_owned()));
        }
        Ok(())
    }
}

/// What is no UTF-8 becomes U+FFFD, each byte on its own, as in Go.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

fn escaped(character: char) -> bool {
    matches!(character, '\0'..' ' | '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

/// As ECMAScript writes numbers, and Go's encoding/json.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    if size < 1.0 { text } else { text.replace('e', "e+") }
}

fn mismatch() -> JsonError {
    JsonError("the value is not of its type".to_owned())
}
