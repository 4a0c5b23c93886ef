//! Which files are policy files, and what is said of those that are not.

use locum::{Policies, Policy};

/// Where and why `text` is refused.
fn refused(text: &str) -> (usize, usize, String) {
    let error = Policies::parse(text).expect_err(text);
    (error.line, error.column, error.reason)
}

#[test]
fn a_whole_configuration_is_a_policy_file() {
    let policies = Policies::parse(
        "[listeners.web]\nbind = '127.0.0.1:8080'\n[policies.a]\ntimeout = '2s'\n[policies.b]\n\
         [[routes]]\nmatch = { path = '/*' }\nupstream = 'users'\npolicy = 'a'\n",
    )
    .unwrap();
    assert_eq!(policies.iter().map(Policy::name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(policies.get("c").is_none());
    let timeout = policies.get("a").unwrap().engine().settings().timeout;
    assert_eq!(timeout, Some(std::time::Duration::from_secs(2)));
}

#[test]
fn a_file_without_policies_has_none() {
    assert_eq!(Policies::parse("").unwrap().iter().count(), 0);
}

#[test]
fn a_mistake_has_a_line_and_a_column() {
    let (line, column, reason) = refused("[policies.a]\ntimeout = 2\n");
    assert_eq!((line, column), (2, 11), "{reason}");
    let (line, column, reason) = refused("[policies.a]\n  braker = {}\n");
    assert_eq!((line, column), (2, 3), "{reason}");
    assert!(reason.contains("braker"), "{reason}");
    let (line, _, _) = refused("[policies.a]\n\ntimeout = \"2s\n");
    assert_eq!(line, 3);
}

#[test]
fn a_value_out_of_range_is_named_with_its_place_and_the_remedy() {
    let (line, column, reason) = refused("[policies.a]\nbreaker = { failure_rate = 1.5 }\n");
    assert_eq!((line, column), (2, 28));
    assert!(reason.starts_with("policies.a.breaker.failure_rate: "), "{reason}");
    let text = "[policies.a]\nmethods.'a.b'.timeout = '1ns'\n";
    assert_eq!((refused(text).0, refused(text).1), (2, 25), "{}", refused(text).2);
}

#[test]
fn an_error_says_its_place_first() {
    let error = Policies::parse("[policies.a]\ntimeout = 2\n").unwrap_err();
    assert!(error.to_string().starts_with("2:11: "), "{error}");
}

#[test]
fn the_same_seed_gives_the_same_calls() {
    let seeds = |seed| {
        let policies = Policies::parse_seeded("[policies.a]\n", seed).unwrap();
        let a = policies.get("a").unwrap();
        [a.next_seed(), a.clone().next_seed(), a.next_seed()]
    };
    assert_eq!(seeds(1), seeds(1));
    assert_ne!(seeds(1), seeds(2));
    let [first, second, third] = seeds(1);
    assert!(first != second && second != third);
}

#[test]
fn a_policy_is_read_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locum.toml");
    let shown = path.display().to_string();
    let why = |name: &str| Policy::from_file(&path, name).unwrap_err().to_string();

    assert!(why("careful").starts_with(&format!("cannot read {shown}: ")));
    std::fs::write(&path, "[policies.careful]\ntimeout = \"2s\"\n").unwrap();
    assert_eq!(Policy::from_file(&path, "careful").unwrap().name(), "careful");
    assert_eq!(why("bold"), format!("{shown}: there is no [policies.bold]; there are: careful"));
    std::fs::write(&path, "[policies.careful]\nbreaker = { failure_rate = 7.0 }\n").unwrap();
    assert!(why("careful").starts_with(&format!("{shown}:2:")), "{}", why("careful"));
    std::fs::write(&path, "").unwrap();
    assert_eq!(
        why("bold"),
        format!("{shown}: there is no [policies.bold]; there is no policy at all")
    );
}
