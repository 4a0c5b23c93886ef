//! How long serving takes.

use std::time::Duration;

use locum_policy::seed::mix;
use serde::Deserialize;

use crate::scenario::Span;

/// A distribution of service times, as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Which.
    pub distribution: Distribution,
    /// Of `constant`, `exponential`, `normal` and `lognormal`.
    #[serde(default)]
    pub mean: Option<Span>,
    /// Of `normal` and `lognormal`.
    #[serde(default)]
    pub stddev: Option<Span>,
    /// Of `uniform`.
    #[serde(default)]
    pub min: Option<Span>,
    /// Of `uniform`.
    #[serde(default)]
    pub max: Option<Span>,
    /// Of `bimodal`: how long most take.
    #[serde(default)]
    pub fast: Option<Span>,
    /// Of `bimodal`: how long the others take.
    #[serde(default)]
    pub slow: Option<Span>,
    /// Of `bimodal`: the share of the others.
    #[serde(default)]
    pub slow_share: Option<f64>,
    /// Of `trace`: times that were measured; each is as likely as any other.
    #[serde(default)]
    pub values: Option<Vec<Span>>,
    /// Of `trace`: a file with such times, one a line, in place of `values`.
    #[serde(default)]
    pub file: Option<String>,
}

/// The distributions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Always `mean`.
    Constant,
    /// Without memory.
    Exponential,
    /// Anything from `min` to `max`.
    Uniform,
    /// The bell curve; what would be below 0 is 0.
    Normal,
    /// A long tail: `mean` and `stddev` are those of the times, not of their logarithms.
    Lognormal,
    /// One of two times.
    Bimodal,
    /// One of many times.
    Trace,
}

/// A distribution whose numbers are in range; in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Law {
    Constant(f64),
    Exponential(f64),
    Uniform {
        min: f64,
        max: f64,
    },
    Normal {
        mean: f64,
        stddev: f64,
    },
    /// Of the logarithm.
    Lognormal {
        mean: f64,
        stddev: f64,
    },
    Bimodal {
        fast: f64,
        slow: f64,
        slow_share: f64,
    },
    Trace(Vec<f64>),
}

/// Key, reason, remedy.
type Wrong = (&'static str, String, String);

impl Service {
    /// The distribution.
    ///
    /// # Errors
    ///
    /// The key that is missing, too many, or out of range.
    pub(crate) fn law(&self) -> Result<Law, Wrong> {
        let takes: &[&str] = match self.distribution {
            Distribution::Constant | Distribution::Exponential => &["mean"],
            Distribution::Uniform => &["min", "max"],
            Distribution::Normal | Distribution::Lognormal => &["mean", "stddev"],
            Distribution::Bimodal => &["fast", "slow", "slow_share"],
            Distribution::Trace => &["values", "file"],
        };
        for (key, given) in [
            ("mean", self.mean.is_some()),
            ("stddev", self.stddev.is_some()),
            ("min", self.min.is_some()),
            ("max", self.max.is_some()),
            ("fast", self.fast.is_some()),
            ("slow", self.slow.is_some()),
            ("slow_share", self.slow_share.is_some()),
            ("values", self.values.is_some()),
            ("file", self.file.is_some()),
        ] {
            if given && !takes.contains(&key) {
                let reason = format!("this distribution takes `{}`", takes.join("`, `"));
                return Err((key, reason, "remove it".to_owned()));
            }
        }
        match self.distribution {
            Distribution::Constant => Ok(Law::Constant(need("mean", self.mean)?)),
            Distribution::Exponential => Ok(Law::Exponential(need("mean", self.mean)?)),
            Distribution::Uniform => {
                let (min, max) = (need("min", self.min)?, need("max", self.max)?);
                if min > max {
                    return Err(out_of_range("max", "it is less than `min`"));
                }
                Ok(Law::Uniform { min, max })
            }
            Distribution::Normal => {
                let (mean, stddev) = (need("mean", self.mean)?, need("stddev", self.stddev)?);
                Ok(Law::Normal { mean, stddev })
            }
            Distribution::Lognormal => {
                let (mean, stddev) = (need("mean", self.mean)?, need("stddev", self.stddev)?);
                if mean == 0.0 {
                    return Err(out_of_range("mean", "0 has no logarithm"));
                }
                let variance = (stddev / mean).powi(2).ln_1p();
                Ok(Law::Lognormal { mean: mean.ln() - variance / 2.0, stddev: variance.sqrt() })
            }
            Distribution::Bimodal => {
                let (fast, slow) = (need("fast", self.fast)?, need("slow", self.slow)?);
                let slow_share = self.slow_share.ok_or_else(|| missing("slow_share"))?;
                if !(0.0..=1.0).contains(&slow_share) {
                    return Err(out_of_range("slow_share", "it is not a share, from 0 to 1"));
                }
                Ok(Law::Bimodal { fast, slow, slow_share })
            }
            Distribution::Trace => {
                let values = self.values.as_deref().ok_or_else(|| missing("values"))?;
                if values.is_empty() {
                    return Err(out_of_range("values", "there are none"));
                }
                Ok(Law::Trace(values.iter().map(|value| nanos(*value)).collect()))
            }
        }
    }
}

fn need(key: &'static str, span: Option<Span>) -> Result<f64, Wrong> {
    span.map(nanos).ok_or_else(|| missing(key))
}

fn missing(key: &'static str) -> Wrong {
    ("", format!("`{key}` is missing"), format!("add `{key} = …`"))
}

fn out_of_range(key: &'static str, reason: &str) -> Wrong {
    (key, reason.to_owned(), "write another".to_owned())
}

fn nanos(span: Span) -> f64 {
    span.0.as_nanos() as f64
}

impl Law {
    /// A time, as `seed` says.
    pub(crate) fn draw(&self, seed: u64) -> Duration {
        let nanos = match self {
            Self::Constant(mean) => *mean,
            Self::Exponential(mean) => mean * exponential(seed),
            Self::Uniform { min, max } => min + (max - min) * unit(mix(seed, 0)),
            Self::Normal { mean, stddev } => mean + stddev * normal(seed),
            Self::Lognormal { mean, stddev } => (mean + stddev * normal(seed)).exp(),
            Self::Bimodal { fast, slow, slow_share } => {
                if unit(mix(seed, 0)) < *slow_share {
                    *slow
                } else {
                    *fast
                }
            }
            Self::Trace(values) => values[(unit(mix(seed, 0)) * values.len() as f64) as usize],
        };
        // A float becomes the nearest integer there is: below 0 it is 0, beyond 584 years that.
        Duration::from_nanos(nanos.round() as u64)
    }
}

/// A number in [0, 1).
pub(crate) fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1_u64 << 53) as f64
}

/// With mean 1.
pub(crate) fn exponential(seed: u64) -> f64 {
    -(1.0 - unit(mix(seed, 0))).ln()
}

/// With mean 0 and deviation 1 (Box and Muller, 1958).
fn normal(seed: u64) -> f64 {
    let radius = (2.0 * exponential(seed)).sqrt();
    radius * (std::f64::consts::TAU * unit(mix(seed, 1))).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and deviation of many draws, in milliseconds.
    fn moments(law: &Law) -> (f64, f64) {
        let draws: Vec<_> = (0..100_000).map(|seed| law.draw(seed).as_secs_f64() * 1e3).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let square = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>();
        (mean, (square / draws.len() as f64).sqrt())
    }

    fn law(distribution: Distribution, with: impl FnOnce(&mut Service)) -> Law {
        let mut service = Service {
            distribution,
            mean: None,
            stddev: None,
            min: None,
            max: None,
            fast: None,
            slow: None,
            slow_share: None,
            values: None,
            file: None,
        };
        with(&mut service);
        service.law().unwrap()
    }

    fn ms(millis: u64) -> Option<Span> {
        Some(Span(Duration::from_millis(millis)))
    }

    #[test]
    fn every_distribution_has_the_moments_it_was_given() {
        let mean = |service: &mut Service| service.mean = ms(100);
        let both = |service: &mut Service| (service.mean, service.stddev) = (ms(100), ms(20));
        let range = |service: &mut Service| (service.min, service.max) = (ms(10), ms(40));
        let modes = |service: &mut Service| {
            (service.fast, service.slow, service.slow_share) = (ms(10), ms(110), Some(0.2));
        };
        let values = |service: &mut Service| {
            service.values = Some([ms(10), ms(30)].into_iter().flatten().collect());
        };
        for (law, expected) in [
            (law(Distribution::Constant, mean), (100.0, 0.0)),
            (law(Distribution::Exponential, mean), (100.0, 100.0)),
            (law(Distribution::Uniform, range), (25.0, 30.0 / 12.0_f64.sqrt())),
            (law(Distribution::Normal, both), (100.0, 20.0)),
            (law(Distribution::Lognormal, both), (100.0, 20.0)),
            (law(Distribution::Bimodal, modes), (30.0, 40.0)),
            (law(Distribution::Trace, values), (20.0, 10.0)),
        ] {
            let (mean, stddev) = moments(&law);
            assert!((mean / expected.0 - 1.0_f64).abs() < 0.01, "{law:?}: mean {mean}");
            assert!((stddev - expected.1).abs() <= 0.01 * expected.0, "{law:?}: {stddev}");
        }
    }
}
