//! Names of fields that only the proxy may write to an upstream.

use std::sync::Arc;

/// Names that no client can use, whatever it spells them like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owned(Arc<[Box<str>]>);

impl<'n> FromIterator<&'n str> for Owned {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        Self(names.into_iter().map(Box::from).collect())
    }
}

impl Owned {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the name is one of them. Some servers read an underscore as a hyphen.
    pub(crate) fn holds(&self, name: &[u8]) -> bool {
        let same = |(one, other): (&u8, &u8)| match (one, other) {
            (b'-' | b'_', b'-' | b'_') => true,
            (one, other) => one.eq_ignore_ascii_case(other),
        };
        let is =
            |owned: &str| owned.len() == name.len() && owned.as_bytes().iter().zip(name).all(same);
        self.0.iter().any(|owned| is(owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_owned_however_it_is_spelled() {
        let owned: Owned = ["x-user", "Team"].into_iter().collect();
        for name in ["x-user", "X-User", "X_USER", "x_user", "team", "TEAM"] {
            assert!(owned.holds(name.as_bytes()), "{name}");
        }
        for name in ["", "x-users", "xuser", "x-use", "x.user", "tea_", "x--user"] {
            assert!(!owned.holds(name.as_bytes()), "{name}");
        }
        assert!(Owned::default().is_empty() && !Owned::default().holds(b"x-user"));
    }
}
