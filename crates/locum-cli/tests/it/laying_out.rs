//! `locum fmt`, `locum completions`, `locum man`.

use std::fs;

use locum_testkit::run_to_end;

use crate::setup::binary;

#[test]
fn a_file_is_formatted_in_place_or_only_checked() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("locum.toml");
    fs::write(&file, "[admin]\n  listen='127.0.0.1:0' # free\n").unwrap();
    let path = file.to_str().unwrap();
    let checked = run_to_end(binary(), &["fmt", "--check", path]);
    assert_eq!((checked.code, &*checked.output), (Some(1), &*format!("{path}: not formatted\n")));
    assert_eq!(run_to_end(binary(), &["fmt", path]).code, Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), "[admin]\nlisten = '127.0.0.1:0' # free\n");
    let checked = run_to_end(binary(), &["fmt", "--check", path]);
    assert_eq!((checked.code, &*checked.output), (Some(0), ""));
    fs::write(&file, "[admin\n").unwrap();
    let refused = run_to_end(binary(), &["fmt", path]);
    assert_eq!(refused.code, Some(2), "{}", refused.errors);
    assert_eq!(fs::read_to_string(&file).unwrap(), "[admin\n", "it is left alone");
}

#[test]
fn shells_and_man_are_told_of_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run_to_end(binary(), &["completions", shell]);
        assert_eq!(script.code, Some(0), "{}", script.errors);
        for word in ["simulate", "--ready-file", "completions"] {
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(script.output.contains(word), "{word} for {shell}");
        }
    }
    let page = run_to_end(binary(), &["man"]);
    assert_eq!(page.code, Some(0), "{}", page.errors);
    for part in [".TH locum", "COMMAND RUN", "COMMAND SIMULATE", "\\-\\-ready\\-file"] {
        assert!(page.output.contains(part), "{part}");
    }
    assert_eq!(run_to_end(binary(), &["completions", "cmd"]).code, Some(2));
}
