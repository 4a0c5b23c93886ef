//! That a caller may not call, why, and what is told of it.

use std::time::Duration;

use super::jwt::Fault;
use crate::outgoing::Answer;

/// A caller may not call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Denied {
    /// The check that says so.
    pub(crate) by: Box<str>,
    pub(crate) why: Why,
}

/// Why a caller may not call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Why {
    /// It brought no key that is known. The text is the field where one is looked for.
    Key(Box<str>),
    /// It brought no name with the password that goes with it. The text is the realm.
    Password(Box<str>),
    /// It brought no token that is as it has to be.
    Token(Fault),
    /// Another server says no, in these words.
    Answered(Box<Answer>),
    /// Whoever could say is not there.
    Unavailable,
    /// It showed no certificate, or that of somebody who may not call.
    Certificate,
    /// It is where nobody may call from.
    Address,
    /// What it is called, or says of itself, cannot be told an upstream in a line.
    Unsayable,
    /// Too many unknown secrets are being looked at to look at another.
    Busy,
}

impl Denied {
    /// One stable word, for metrics and programs.
    pub(crate) fn reason(&self) -> &'static str {
        match self.why {
            Why::Busy => "busy",
            Why::Unavailable => "auth_unavailable",
            _ => "unauthorized",
        }
    }

    /// When to come back, where that helps.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        matches!(self.why, Why::Busy | Why::Unavailable).then_some(Duration::from_secs(1))
    }

    /// What a person is told. It is the same for a key that is wrong and for none.
    pub(crate) fn text(&self) -> &'static str {
        match self.why {
            Why::Password(_) => "a name and its password are needed here",
            Why::Token(Fault::Claim) => "the token does not allow this",
            Why::Token(_) => "a valid token is needed here",
            Why::Answered(_) => "whoever is asked who may call says no",
            Why::Unavailable => "nobody is there to say who may call; try again",
            Why::Unsayable => "who calls is called by what cannot be passed on",
            Why::Key(_) => "a key that is known is needed here",
            Why::Certificate => "the certificate of a client who may call is needed here",
            Why::Address => "nobody may call from this address",
            Why::Busy => "too many callers are being verified; try again",
        }
    }
}

impl Why {
    /// One stable word, for the metrics of a check.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Password(_) => "password",
            Self::Token(fault) => fault.word(),
            Self::Answered(_) => "denied",
            Self::Unavailable => "unavailable",
            Self::Certificate => "certificate",
            Self::Address => "address",
            Self::Unsayable => "unsayable",
            Self::Busy => "busy",
        }
    }
}
