#![doc = include_str!("../../docs/fault.md")]

use std::time::Duration;

use crate::ratio::Ratio;
use crate::seed::{mix, up_to};
use crate::settings::{Error, Mode, within};

/// Delays and failures made on purpose, to see what callers and policies make of them.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "FaultSettings"))]
pub struct Settings {
    /// Enforced, watched in shadow, or off; absent: as the whole policy.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub mode: Option<Mode>,
    /// How long an attempt is held up before it is sent.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::maybe_duration", skip_serializing_if = "Option::is_none"),
        schemars(with = "Option<String>")
    )]
    pub delay: Option<Duration>,
    /// The share of attempts that are held up, from 0 to 1.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub delay_rate: Option<f64>,
    /// The status that an attempt ends with in place of being sent, from 400 to 599.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub abort: Option<u16>,
    /// The share of attempts that end so, from 0 to 1.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub abort_rate: Option<f64>,
}

impl Settings {
    fn check(&self) -> Result<(), Error> {
        pair("delay", self.delay.is_some(), self.delay_rate)?;
        pair("abort", self.abort.is_some(), self.abort_rate)?;
        match self.abort {
            Some(status) if !(400..=599).contains(&status) => Err(Error::new(
                "fault.abort",
                format!("{status} is not the status of a failure"),
                "write one from 400 to 599",
            )),
            _ => Ok(()),
        }
    }
}

/// A fault and how often it happens are said together: neither has a harmless default.
fn pair(name: &str, given: bool, rate: Option<f64>) -> Result<(), Error> {
    let path = format!("fault.{name}");
    match rate {
        Some(rate) if given => within(&format!("{path}_rate"), rate, 0.0, 1.0),
        None if !given => Ok(()),
        Some(_) => {
            let reason = format!("there is no `{name}` to happen so often");
            Err(Error::new(&format!("{path}_rate"), reason, format!("write `{name}` too")))
        }
        None => {
            let remedy = format!("write `{name}_rate` too, such as 0.1");
            Err(Error::new(&path, "it is not said how often this happens", remedy))
        }
    }
}

/// Decides which attempts meet a fault.
pub struct Fault {
    delay: Option<(Duration, Ratio)>,
    abort: Option<(u16, Ratio)>,
}

/// What is done to one attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injection {
    /// It is held up for so long.
    pub delay: Option<Duration>,
    /// It then ends with this status and is not sent.
    pub abort: Option<u16>,
}

impl Injection {
    /// Whether nothing is done.
    pub const fn is_none(&self) -> bool {
        self.delay.is_none() && self.abort.is_none()
    }
}

impl Fault {
    pub(crate) fn build(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        let delay = settings.delay.zip(settings.delay_rate.map(Ratio::nearest));
        let abort = settings.abort.zip(settings.abort_rate.map(Ratio::nearest));
        Ok(Self { delay, abort })
    }

    /// What happens to attempt `number` (from 1) of the call with this seed: the same every time.
    pub fn draw(&self, seed: u64, number: u32) -> Injection {
        let meets = |rate: Ratio, purpose| {
            // A whole as fine as the rate: each of a billion is as likely as any other.
            let word = mix(seed, purpose + u64::from(number));
            up_to(word, WHOLE - 1) < rate.of(WHOLE)
        };
        Injection {
            delay: self.delay.and_then(|(delay, rate)| meets(rate, DELAY).then_some(delay)),
            abort: self.abort.and_then(|(status, rate)| meets(rate, ABORT).then_some(status)),
        }
    }
}

const WHOLE: u64 = 1_000_000_000;

/// What the random words are for.
const DELAY: u64 = 0x6465_6c61 << 32;
const ABORT: u64 = 0x6162_6f72 << 32;
