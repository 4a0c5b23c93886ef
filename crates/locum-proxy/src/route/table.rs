//! Routes by path and by host, so that finding one costs the same however many others there are.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Route;
use super::matcher::{PathPattern, Segment, Subject};

/// The routes of one host pattern, by the paths that they are for.
#[derive(Default)]
pub(super) struct Paths {
    exact: FxHashMap<Box<[u8]>, Vec<Arc<Route>>>,
    templates: Templates,
    prefixes: ByLength<Vec<Arc<Route>>>,
    /// Expressions are tried one after the other, in the order of the file.
    expressions: Vec<Arc<Route>>,
    any: Vec<Arc<Route>>,
}

impl Paths {
    /// Adds a route. Of those for the same paths the first to be added is looked at first.
    pub(super) fn push(&mut self, route: Arc<Route>) {
        let routes = match &route.matcher.path {
            PathPattern::Exact(path) => self.exact.entry(path.clone()).or_default(),
            PathPattern::Template(segments) => self.templates.at(segments),
            PathPattern::Prefix(prefix) => self.prefixes.at(prefix),
            PathPattern::Regex(_) => &mut self.expressions,
            PathPattern::Any => &mut self.any,
        };
        routes.push(route);
    }

    /// The route that `subject`, whose host has been looked at, takes: exact path before template before the
    /// longest prefix before expression before any.
    pub(super) fn find(&self, subject: &Subject<'_>) -> Option<&Arc<Route>> {
        let path = subject.path;
        let exact = || if self.exact.is_empty() { None } else { self.exact.get(path) };
        exact()
            .and_then(|routes| routes.iter().find(|route| route.matcher.meets(subject)))
            .or_else(|| self.templates.find(subject))
            .or_else(|| {
                self.prefixes.longest(
                    |length| path.get(..length).filter(|_| ends_a_segment(path, length)),
                    |routes| routes.iter().find(|route| route.matcher.meets(subject)),
                )
            })
            .or_else(|| self.expressions.iter().find(|route| route.matcher.matches(subject)))
            .or_else(|| self.any.iter().find(|route| route.matcher.meets(subject)))
    }
}

/// Whether a prefix of that length is followed by nothing or by a slash. The empty one is a prefix even of the path of
/// `OPTIONS *`, which begins with no slash.
fn ends_a_segment(path: &[u8], length: usize) -> bool {
    length == 0 || path.get(length).is_none_or(|byte| *byte == b'/')
}

/// Routes by template, segment by segment.
#[derive(Default)]
struct Templates {
    literals: FxHashMap<Box<[u8]>, Self>,
    parameter: Option<Box<Self>>,
    /// Those whose template ends here.
    routes: Vec<Arc<Route>>,
}

impl Templates {
    fn at(&mut self, segments: &[Segment]) -> &mut Vec<Arc<Route>> {
        let leaf = segments.iter().fold(self, Self::below);
        &mut leaf.routes
    }

    fn below(&mut self, segment: &Segment) -> &mut Self {
        match segment {
            Segment::Literal(literal) => self.literals.entry(literal.clone()).or_default(),
            Segment::Parameter(_) => self.parameter.get_or_insert_default(),
        }
    }

    /// Of the routes whose templates the path fits the first of the file.
    fn find(&self, subject: &Subject<'_>) -> Option<&Arc<Route>> {
        if self.literals.is_empty() && self.parameter.is_none() {
            return None;
        }
        self.find_below(subject.path.get(1..).unwrap_or_default(), subject)
    }

    fn find_below<'s>(&'s self, rest: &[u8], subject: &Subject<'_>) -> Option<&'s Arc<Route>> {
        let end = memchr::memchr(b'/', rest);
        let segment = &rest[..end.unwrap_or(rest.len())];
        let after = |below: &'s Self| match end {
            Some(end) => below.find_below(&rest[end + 1..], subject),
            None => below.routes.iter().find(|route| route.matcher.meets(subject)),
        };
        let literal = self.literals.get(segment).and_then(after);
        let parameter = self.parameter.as_deref().filter(|_| !segment.is_empty()).and_then(after);
        // Which of both has more literals does not matter, only which comes first.
        [literal, parameter].into_iter().flatten().min_by_key(|route| route.index)
    }
}

/// Values by text, of which the longest is wanted that another text begins or ends with. Costs one look-up for each
/// length that there is.
pub(super) struct ByLength<T> {
    /// The longest first.
    lengths: Vec<usize>,
    values: FxHashMap<Box<[u8]>, T>,
}

impl<T> Default for ByLength<T> {
    fn default() -> Self {
        Self { lengths: Vec::new(), values: FxHashMap::default() }
    }
}

impl<T: Default> ByLength<T> {
    pub(super) fn at(&mut self, text: &[u8]) -> &mut T {
        if let Err(place) = self.lengths.binary_search_by(|length| text.len().cmp(length)) {
            self.lengths.insert(place, text.len());
        }
        self.values.entry(text.into()).or_default()
    }
}

impl<T> ByLength<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.values.values_mut()
    }

    /// What `take` takes first of the values of those texts that `part` gives for their lengths.
    pub(super) fn longest<'s, 't, R>(
        &'s self,
        part: impl Fn(usize) -> Option<&'t [u8]>,
        mut take: impl FnMut(&'s T) -> Option<R>,
    ) -> Option<R> {
        self.lengths.iter().find_map(|length| take(self.values.get(part(*length)?)?))
    }
}
