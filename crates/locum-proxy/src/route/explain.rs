//! Which route a request takes, and why no other.

use std::sync::Arc;

use locum_wire::http1::path;

use super::{Route, Subject};
use crate::plan::Plan;

/// A request that somebody asks about; nothing is sent.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Its method.
    pub method: &'a str,
    /// The host it is for, without port; empty: none is said.
    pub host: &'a str,
    /// Its path, as it would be sent.
    pub path: &'a str,
    /// Its query, without the question mark.
    pub query: Option<&'a str>,
    /// Its other fields.
    pub headers: &'a [(String, String)],
}

/// A route that was looked at.
#[derive(Clone)]
pub struct Candidate {
    /// The route.
    pub route: Arc<Route>,
    /// Why it does not take the request; `None`: it does.
    pub passed_over: Option<String>,
}

impl Plan {
    /// The routes that are looked at for a request on `listener`, in order; the last takes it, unless it
    /// is passed over too.
    ///
    /// # Errors
    ///
    /// Why the path is refused before any route is looked at.
    pub fn candidates(
        &self,
        listener: &str,
        question: &Question<'_>,
    ) -> Result<Vec<Candidate>, String> {
        let normal =
            path::normalise(question.path.as_bytes()).map_err(|error| error.to_string())?;
        let has_field = |name: &[u8], value: &[u8]| {
            question.headers.iter().any(|(known, held)| {
                known.as_bytes().eq_ignore_ascii_case(name) && held.as_bytes() == value
            })
        };
        let subject = Subject {
            method: question.method.as_bytes(),
            host: question.host.as_bytes(),
            path: &normal,
            query: question.query.map(str::as_bytes),
            has_field: &has_field,
        };
        let mut candidates = Vec::new();
        let listener = self.listener(listener);
        let router = listener.and_then(|listener| self.router(listener.label));
        for route in router.into_iter().flat_map(|router| router.in_order(&subject)) {
            let passed_over = route.matcher.passes_over(&subject);
            let found = passed_over.is_none();
            candidates.push(Candidate { route: Arc::clone(route), passed_over });
            if found {
                break;
            }
        }
        Ok(candidates)
    }

    /// The routes that are looked at for a remote call of `method` on `listener`, in order; the last takes it,
    /// unless it is passed over too.
    pub fn candidates_of_call(&self, listener: &str, method: &str) -> Vec<Candidate> {
        let Some(listener) = self.listener(listener) else { return Vec::new() };
        let Some(router) = self.router(listener.label) else { return Vec::new() };
        let found = router.find_call(method);
        let mut candidates = Vec::new();
        for route in router.calls_in_order() {
            if found.is_some_and(|found| Arc::ptr_eq(found, route)) {
                candidates.push(Candidate { route: Arc::clone(route), passed_over: None });
                break;
            }
            let calls = route.settings.matches.call.as_deref().unwrap_or("*");
            let passed_over = Some(format!("it is for {calls} only"));
            candidates.push(Candidate { route: Arc::clone(route), passed_over });
        }
        candidates
    }
}
