//! One call and who makes it.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use locum_policy::{Key, Keys};
use locum_wire::rpc::{Metadata, OwnedBody, TraceParent};

use super::taker::Taker;
use crate::auth::Admitted;
use crate::listener::Listener;
use crate::octets::Octets;
use crate::route::Edits;

/// One call, as its client made it, whatever it came in.
#[derive(Debug)]
pub(crate) struct Call {
    /// `Service.Method`.
    pub(crate) method: Box<str>,
    pub(crate) args: OwnedBody,
    /// How long the client waits, if it says so.
    pub(crate) timeout: Option<Duration>,
    /// From 1; more for a retry of the client's.
    pub(crate) attempt: u32,
    /// The client says that making it twice does no harm; a policy may say so as well.
    pub(crate) idempotent: bool,
    pub(crate) trace: Option<TraceParent>,
    /// Names and values that the client gave, as [`Metadata`] has them.
    pub(crate) metadata: Vec<u8>,
    /// What the upstream is given in their place, where the route edits them.
    pub(crate) edited: Option<Vec<u8>>,
}

impl Call {
    /// How many bytes all that its client has said of it takes.
    pub(crate) fn weight(&self) -> usize {
        let edited = self.edited.as_ref().map_or(0, Vec::len);
        self.bytes() + self.method.len() + self.metadata.len() + edited
    }

    /// How many bytes its argument has.
    pub(crate) fn bytes(&self) -> usize {
        self.args.as_body().bytes.len()
    }

    /// What the client gave.
    pub(crate) fn metadata(&self) -> Metadata<'_> {
        Metadata::parse(&self.metadata).unwrap_or_default()
    }

    /// Makes of the metadata what the upstream is given: nothing by names that are the proxy's to use, but what
    /// it has to tell of the caller.
    pub(crate) fn tell(&mut self, edits: &Edits, admitted: Option<&Admitted<'_>>) {
        let passed = admitted.map_or(&[][..], |admitted| &admitted.passed);
        if passed.is_empty() && edits.owned.is_empty() {
            return;
        }
        let metadata = self.metadata();
        let left = metadata.iter().filter(|(name, _)| !edits.owned.holds(name.as_bytes()));
        let ours =
            passed.iter().filter_map(|(name, value)| Some((*name, str::from_utf8(value).ok()?)));
        let mut edited = Vec::new();
        Metadata::encode(&left.chain(ours).collect::<Vec<_>>(), &mut edited);
        self.edited = Some(edited);
    }

    /// What the upstream is given.
    pub(crate) fn passed_on(&self) -> Metadata<'_> {
        let edited = self.edited.as_ref().unwrap_or(&self.metadata);
        Metadata::parse(edited).unwrap_or_default()
    }
}

/// Who makes a call.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) listener: &'a Listener,
    /// The client's address; `None` on a unix socket.
    pub(crate) address: Option<IpAddr>,
    /// What it speaks, for the metrics.
    pub(crate) protocol: &'static str,
    /// Whom its certificate names; empty if it names nobody, `None` if it has shown none.
    pub(crate) certificate: Option<&'a str>,
    /// Who it has shown to be.
    pub(crate) identity: Option<&'a str>,
    /// Whether what it says of whom it stands for is believed.
    pub(crate) trusted: bool,
    /// Whether it takes its answers, where many may wait for it.
    pub(crate) taker: Option<&'a Rc<Taker>>,
}

/// The values that rate limits tell callers apart by. A `header` is a name of the metadata.
pub(crate) struct CallKeys<'a> {
    call: &'a Call,
    route: &'a str,
    identity: Option<&'a str>,
    address: Octets,
}

impl<'a> CallKeys<'a> {
    pub(crate) fn new(call: &'a Call, caller: &Caller<'a>, route: &'a str) -> Self {
        let address = Octets::of(caller.address);
        Self { call, route, identity: caller.identity, address }
    }
}

impl Keys for CallKeys<'_> {
    fn key(&self, part: &Key) -> Option<&[u8]> {
        match part {
            Key::ClientIp => Some(self.address.bytes()),
            Key::Header(name) => {
                let metadata = Metadata::parse(&self.call.metadata)?;
                let mut pairs = metadata.iter();
                let found = pairs.find(|(it, _)| it.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.as_bytes())
            }
            Key::Method => Some(self.call.method.as_bytes()),
            Key::Route => Some(self.route.as_bytes()),
            Key::Identity => self.identity.map(str::as_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_says_who_calls_only_where_the_proxy_does() {
        let mut metadata = Vec::new();
        let said = [("X_User", "root"), ("tenant", "blue"), ("x-user", "root")];
        Metadata::encode(&said, &mut metadata);
        let mut call = Call {
            method: "Desk.Greet".into(),
            args: OwnedBody::Json(b"[]".to_vec()),
            timeout: None,
            attempt: 1,
            idempotent: false,
            trace: None,
            metadata,
            edited: None,
        };
        let passed_on = |call: &Call| {
            let pairs = call.passed_on();
            pairs.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        call.tell(&Edits::default(), None);
        assert_eq!(call.edited, None, "where nothing is to be told, nothing is copied");

        let owned = ["x-user"].into_iter().collect();
        let edits = Edits { owned, ..Edits::default() };
        call.tell(&edits, None);
        assert_eq!(passed_on(&call), ["tenant: blue"]);
        let passed = vec![("x-user", b"ann"[..].into())];
        call.tell(&edits, Some(&Admitted { identity: None, passed }));
        assert_eq!(passed_on(&call), ["tenant: blue", "x-user: ann"]);
        assert_eq!(call.metadata().iter().count(), 3, "what the client gave is what limits see");
    }
}
