//! Noticing that configuration files have changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use crate::config::problem::Sources;

/// Files that are watched. They are looked at twice a second: that works on every file system, and
/// for files that are replaced, mounted or linked.
pub(crate) struct Watch {
    scope: Scope,
    /// Files, and folders in which others may appear.
    paths: BTreeSet<PathBuf>,
    last: Vec<Option<Trace>>,
}

/// What of a configuration is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Its files, and what they name.
    Whole,
    /// What they name: certificates and keys are replaced by others than those who write configurations.
    Attached,
}

/// What changes when a file does.
#[derive(Clone, PartialEq, Eq)]
struct Trace {
    modified: Option<SystemTime>,
    length: u64,
}

impl Watch {
    pub(crate) fn new(scope: Scope, sources: &Sources) -> Self {
        let mut watch = Self { scope, paths: BTreeSet::new(), last: Vec::new() };
        watch.files([sources]);
        watch.last = watch.traces();
        watch
    }

    /// From now on these files are watched.
    pub(crate) fn files<'a>(&mut self, all: impl IntoIterator<Item = &'a Sources>) {
        let mut paths = BTreeSet::new();
        for sources in all {
            paths.extend(sources.attached.values().map(|attached| attached.path.clone()));
            if self.scope == Scope::Whole {
                paths.extend(sources.files.iter().map(|source| source.path.clone()));
                paths.extend(sources.folders.iter().cloned());
            }
        }
        if paths != self.paths {
            self.paths = paths;
            self.last = self.traces();
        }
    }

    /// Waits until something has changed, and then has stayed the same for a moment: nothing is read
    /// that is half written.
    ///
    /// # Cancel safety
    ///
    /// A change noticed and not yet told is told by the next call.
    pub(crate) async fn changed(&mut self) {
        loop {
            sleep(PACE).await;
            let mut traces = self.traces();
            if traces == self.last {
                continue;
            }
            loop {
                sleep(PACE).await;
                let later = self.traces();
                if later == traces {
                    break;
                }
                traces = later;
            }
            self.last = traces;
            return;
        }
    }

    fn traces(&self) -> Vec<Option<Trace>> {
        let trace = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some(Trace { modified: metadata.modified().ok(), length: metadata.len() })
        };
        self.paths.iter().map(trace).collect()
    }
}

const PACE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Source;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, "").unwrap();
        let source = Source { path: path.clone(), text: String::new() };
        let folders = vec![folder.path().to_owned()];
        let sources = Sources { files: vec![source], folders, ..Sources::default() };
        let mut watch = Watch::new(Scope::Whole, &sources);
        let nothing = tokio::time::timeout(Duration::from_secs(60), watch.changed()).await;
        assert!(nothing.is_err(), "nothing has changed");
        fs::write(&path, "more").unwrap();
        tokio::time::timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
        fs::write(folder.path().join("b.toml"), "").unwrap();
        tokio::time::timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
    }
}
