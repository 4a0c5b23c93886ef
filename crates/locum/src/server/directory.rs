//! Which method a name means.

use std::sync::Arc;

use locum_wire::rpc::Failure;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::metrics;
use crate::service::{Method, Service};

/// The methods of all services of a server.
pub(super) struct Directory {
    entries: Vec<Entry>,
    /// By `Service.Method`.
    paths: FxHashMap<&'static str, usize>,
    services: FxHashSet<&'static str>,
}

/// A method, and what it is called on.
pub(super) struct Entry {
    pub(super) service: Arc<dyn Service>,
    /// Which of the service's.
    pub(super) index: usize,
    pub(super) method: &'static Method,
    pub(super) calls: metrics::Calls,
}

impl Directory {
    /// # Errors
    ///
    /// The name that two services have.
    pub(super) fn new(services: Vec<Arc<dyn Service>>) -> Result<Self, &'static str> {
        let mut directory = Self {
            entries: Vec::new(),
            paths: FxHashMap::default(),
            services: FxHashSet::default(),
        };
        for service in services {
            let spec = service.spec();
            if !directory.services.insert(spec.name) {
                return Err(spec.name);
            }
            for (index, method) in spec.methods.iter().enumerate() {
                directory.paths.insert(method.path, directory.entries.len());
                let (service, calls) = (Arc::clone(&service), metrics::Calls::new());
                directory.entries.push(Entry { service, index, method, calls });
            }
        }
        Ok(directory)
    }

    /// Where the method called `path` stands.
    #[inline]
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        self.paths.get(path).copied()
    }

    /// What stands there.
    #[inline]
    pub(super) fn entry(&self, at: usize) -> &Entry {
        &self.entries[at]
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.entries.iter()
    }

    /// Why there is no `path`. Go's server looks at it in this order (net/rpc/server.go,
    /// `readRequestHeader`): its last dot, the service, the method.
    pub(super) fn unknown(&self, path: &str) -> Failure<'static> {
        match path.rsplit_once('.') {
            None => Failure::ill_formed(path),
            Some((service, _)) if self.services.contains(service) => Failure::unknown_method(path),
            Some(_) => Failure::unknown_service(path),
        }
    }
}
