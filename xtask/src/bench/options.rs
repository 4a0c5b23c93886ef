//! The words behind `cargo xtask bench NAME`.

/// What of a benchmark is wanted.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Options {
    /// One round, which shows that all works.
    pub(crate) brief: bool,
    /// Of the scenarios only those whose name has this in it.
    pub(crate) only: Option<String>,
    /// Beside the reference only those peers whose name begins with one of these.
    pub(crate) peers: Vec<String>,
}

/// An option that asks for a part of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Part {
    Only,
    Peers,
}

impl Options {
    /// Refuses what this benchmark cannot be asked for.
    pub(crate) fn allow(&self, benchmark: &str, parts: &[Part]) -> Result<(), String> {
        let given = [
            (self.only.is_some(), Part::Only, "--only"),
            (!self.peers.is_empty(), Part::Peers, "--peers"),
        ];
        match given.iter().find(|(given, part, _)| *given && !parts.contains(part)) {
            Some((_, _, word)) => Err(format!("`bench {benchmark}` takes no {word}")),
            None => Ok(()),
        }
    }

    /// Reads `[--brief] [--only NAME] [--peers NAME,NAME]`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            match word {
                "--brief" => options.brief = true,
                "--only" => {
                    let name = words.next().ok_or("--only wants a part of a scenario's name")?;
                    options.only = Some(name.to_lowercase());
                }
                "--peers" => {
                    let names = words.next().ok_or("--peers wants names, with commas between")?;
                    options.peers = names.to_lowercase().split(',').map(str::to_owned).collect();
                }
                _ => return Err(format!("`{word}` is not an option of a benchmark")),
            }
        }
        Ok(options)
    }

    /// Whether the results are those of the whole benchmark, so that they are kept.
    pub(crate) fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn wants_scenario(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.to_lowercase().contains(only))
    }

    pub(crate) fn wants_peer(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.peers.is_empty() || self.peers.iter().any(|peer| name.starts_with(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_benchmark_is_not_kept() {
        assert!(Options::parse(&[]).unwrap().is_whole());
        for words in [&["--brief"][..], &["--only", "TLS"], &["--peers", "envoy"]] {
            assert!(!Options::parse(words).unwrap().is_whole());
        }
    }

    #[test]
    fn names_are_matched_whatever_their_case() {
        let options = Options::parse(&["--only", "tls", "--peers", "Envoy,locum"]).unwrap();
        assert!(options.wants_scenario("64 connections, TLS"));
        assert!(!options.wants_scenario("64 connections"));
        assert!(options.wants_peer("Locum, all policies") && options.wants_peer("Envoy"));
        assert!(!options.wants_peer("HAProxy"));
    }

    #[test]
    fn a_benchmark_says_which_options_it_has() {
        let options = Options::parse(&["--peers", "envoy"]).unwrap();
        assert!(options.allow("proxy", &[Part::Only, Part::Peers]).is_ok());
        assert!(options.allow("scale", &[Part::Only]).unwrap_err().contains("--peers"));
    }

    #[test]
    fn what_is_not_an_option_is_named() {
        assert!(Options::parse(&["--onyl"]).unwrap_err().contains("--onyl"));
        assert!(Options::parse(&["--only"]).is_err());
    }
}
