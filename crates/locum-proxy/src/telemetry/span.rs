//! One span, as it is sent (`opentelemetry.proto.trace.v1.Span`).

use std::borrow::Cow;

use locum_wire::protobuf::Writer;
use locum_wire::rpc::TraceParent;

/// How a span ended.
pub(super) struct Ending<'a> {
    pub(super) outcome: &'static str,
    /// Why, if it says so.
    pub(super) reason: &'static str,
    /// What went wrong, if it is an error: `error.type`.
    pub(super) failed: Option<Cow<'a, str>>,
}

/// One span while it is written (`opentelemetry.proto.trace.v1.Span`).
pub(super) struct Span<'a, 'w>(pub(super) &'a mut Writer<'w>);

impl Span<'_, '_> {
    pub(super) fn head(
        &mut self,
        own: &TraceParent,
        parent: Option<[u8; 8]>,
        is_remote: bool,
        name: &str,
        kind: u64,
    ) {
        let out = &mut *self.0;
        out.bytes(1, &own.trace_id);
        out.bytes(2, &own.parent_id);
        if let Some(parent) = parent {
            out.bytes(4, &parent);
        }
        out.text(5, short(name));
        out.number(6, kind);
        // SpanFlags: what of the parent is known, and that.
        let remote = if is_remote { 0x300 } else { 0x100 };
        out.fixed32(16, u32::from(own.flags) | remote);
    }

    pub(super) fn times(&mut self, began: u64, ended: u64) {
        self.0.fixed64(7, began);
        self.0.fixed64(8, ended.max(began));
    }

    /// Nothing to tell is not told.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            attribute(self.0, ATTRIBUTES, key, |any| any.text(1, short(value)));
        }
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        attribute(self.0, ATTRIBUTES, key, |any| any.signed(3, value));
    }

    /// `method` is `Service.Method`, or `/package.Service/Method`.
    pub(super) fn rpc(&mut self, protocol: &str, method: &str) {
        let (system, version) = match protocol {
            "grpc" => ("grpc", ""),
            "json-rpc" => ("jsonrpc", "1.0"),
            "json-rpc2" => ("jsonrpc", "2.0"),
            "gob" | "gob-http" => ("go_net_rpc", ""),
            "native" => ("locum", ""),
            other => (other, ""),
        };
        self.text("rpc.system", system);
        self.text("rpc.jsonrpc.version", version);
        let method = method.trim_start_matches('/');
        let at = if protocol == "grpc" { '/' } else { '.' };
        match method.rsplit_once(at) {
            Some((service, method)) => {
                self.text("rpc.service", service);
                self.text("rpc.method", method);
            }
            None => self.text("rpc.method", method),
        }
    }

    pub(super) fn ending(&mut self, ending: &Ending<'_>) {
        self.text("locum.outcome", ending.outcome);
        self.text("locum.reason", ending.reason);
        if let Some(failed) = &ending.failed {
            self.text("error.type", failed);
            self.0.message(STATUS, |status| {
                if !ending.reason.is_empty() {
                    status.text(2, ending.reason);
                }
                status.number(3, ERROR);
            });
        }
    }
}

/// Writes a `KeyValue` whose `AnyValue` is what `value` writes.
pub(super) fn attribute(
    out: &mut Writer<'_>,
    field: u32,
    key: &str,
    value: impl FnOnce(&mut Writer<'_>),
) {
    out.message(field, |pair| {
        pair.text(1, key);
        pair.message(2, value);
    });
}

/// A client can make a text as long as its head.
fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT)]
}

const TEXT: usize = 1024;
/// `ScopeSpans.spans`.
pub(super) const SPANS: u32 = 2;
/// Fields of `Span`.
const ATTRIBUTES: u32 = 9;
/// See above.
pub(super) const EVENTS: u32 = 11;
/// See above.
pub(super) const DROPPED_EVENTS: u32 = 12;
/// See above.
const STATUS: u32 = 15;
/// Values of `SpanKind` and `StatusCode`.
pub(super) const SERVER: u64 = 2;
/// See above.
pub(super) const CLIENT: u64 = 3;
/// See above.
const ERROR: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_between_characters() {
        let text = "é".repeat(TEXT);
        assert_eq!(short(&text), "é".repeat(TEXT / 2));
        assert_eq!(short(&format!("x{text}")).len(), TEXT - 1);
    }
}
