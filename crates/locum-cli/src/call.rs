//! `locum call`: one remote call by hand, JSON in and JSON out.

use locum::{CallError, Channel, Cx};
use serde_json::value::RawValue;

use crate::Failure;
use crate::args;

/// `locum call`.
pub(crate) fn run(args: &args::Call) -> Result<(), Failure> {
    let _: &RawValue = serde_json::from_str(&args.argument)
        .map_err(|error| Failure::Usage(format!("the argument is not JSON: {error}")))?;
    let url = url(&args.address, args.protocol)?;
    let builder = args
        .headers
        .iter()
        .fold(Channel::builder(&url), |builder, (name, value)| builder.metadata(name, value));
    let channel = builder
        .timeout(args.timeout)
        .fail_fast(true)
        .build()
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let called = runtime()?.block_on(channel.call_json(&Cx::new(), &args.method, &args.argument));
    match called {
        Ok(answer) => {
            println!("{answer}");
            Ok(())
        }
        Err(error) => Err(Failure::Call(code(&error), error.to_string())),
    }
}

/// What the shell is told of a call that failed.
fn code(error: &CallError) -> u8 {
    match error {
        CallError::App(_) | CallError::Protocol(_) | CallError::Internal(_) => 1,
        CallError::Transport(_) => 3,
        CallError::Rejected(_) => 4,
    }
}

/// The address as a channel takes it.
pub(crate) fn url(address: &str, protocol: Option<args::Protocol>) -> Result<String, Failure> {
    let (scheme, place) = match (address.split_once("://"), protocol) {
        (None, protocol) => (protocol.unwrap_or_default().scheme(), address),
        // What only says how to get there leaves the protocol to be said.
        (Some(("tcp", place)), Some(protocol)) => (protocol.scheme(), place),
        (Some(("http", place)), None | Some(args::Protocol::Http)) => {
            (args::Protocol::Http.scheme(), place)
        }
        (Some((scheme, place)), Some(protocol))
            if scheme.split('+').next() != Some(protocol.scheme()) =>
        {
            return Err(Failure::Usage(format!(
                "`{address}` names another protocol than --protocol; write `{place}`, or leave out --protocol"
            )));
        }
        (Some((scheme, place)), _) => (scheme, place),
    };
    Ok(format!("{scheme}://{place}"))
}

/// A command waits for one thing at a time.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("no runtime: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Protocol;

    #[test]
    fn an_address_says_its_protocol_or_is_told_it() {
        for (address, protocol, expected) in [
            ("127.0.0.1:1", None, "gob://127.0.0.1:1"),
            ("127.0.0.1:1", Some(Protocol::Http), "gob-http://127.0.0.1:1"),
            ("[::1]:1", Some(Protocol::JsonRpc2), "json-rpc2://[::1]:1"),
            ("native://h:1", None, "native://h:1"),
            ("native+tls://h:1", Some(Protocol::Native), "native+tls://h:1"),
            ("tcp://h:1", Some(Protocol::JsonRpc), "json-rpc://h:1"),
            ("http://h:1", None, "gob-http://h:1"),
        ] {
            assert_eq!(url(address, protocol).ok().as_deref(), Some(expected), "{address}");
        }
        assert!(matches!(url("gob://h:1", Some(Protocol::Native)), Err(Failure::Usage(_))));
    }
}
