//! Names of fields, in Rust's spelling and in Go's.

/// How a field is called on the wire. Go sends only fields whose names begin with a capital, so a name
/// that does not is spelled in Go's way: `user_id` is `UserId`. Others stand as they are.
pub(crate) fn go(name: &str) -> String {
    if name.starts_with(char::is_uppercase) {
        return name.to_owned();
    }
    let mut go = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut chars = word.chars();
        go.extend(chars.next().into_iter().flat_map(char::to_uppercase));
        go.push_str(chars.as_str());
    }
    go
}

/// A Rust field's name, in all the ways in which a peer may spell it.
#[derive(Debug)]
pub(super) struct Spellings {
    name: &'static str,
    go: String,
    folded: String,
}

impl Spellings {
    pub(super) fn of(name: &'static str) -> Self {
        Self { name, go: go(name), folded: folded(name) }
    }

    /// How well the peer's name fits, which is `folded_wire` without case and underscores.
    pub(super) fn fit(&self, wire: &str, folded_wire: &str) -> Option<Fit> {
        if self.name == wire {
            Some(Fit::Exact)
        } else if self.go == wire {
            Some(Fit::Go)
        } else if self.folded == folded_wire {
            Some(Fit::Folded)
        } else {
            None
        }
    }
}

/// How well two names fit, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// They are the same.
    Exact,
    /// One is the other in Go's spelling.
    Go,
    /// They are the same but for case and underscores: `UserID` and `user_id`.
    Folded,
}

/// A name without case and underscores.
pub(crate) fn folded(name: &str) -> String {
    name.chars().filter(|it| *it != '_').flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rust_name_becomes_one_that_go_exports() {
        for (rust, wire) in [
            ("a", "A"),
            ("user_id", "UserId"),
            ("userName", "UserName"),
            ("_private__x", "PrivateX"),
            ("field_1", "Field1"),
            ("ärger", "Ärger"),
            ("UserID", "UserID"),
            ("User_ID", "User_ID"),
        ] {
            assert_eq!(go(rust), wire);
        }
    }

    #[test]
    fn the_best_fit_is_the_same_name() {
        let fit = |name, wire: &str| Spellings::of(name).fit(wire, &folded(wire));
        assert_eq!(fit("UserId", "UserId"), Some(Fit::Exact));
        assert_eq!(fit("user_id", "UserId"), Some(Fit::Go));
        assert_eq!(fit("user_id", "UserID"), Some(Fit::Folded));
        assert_eq!(fit("user_id", "User"), None);
        assert!(Fit::Exact < Fit::Go && Fit::Go < Fit::Folded);
    }
}
