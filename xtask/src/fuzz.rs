//! The workspace in `fuzz/`: its seeds as tests, and a few seconds of fuzzing for each target.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Step, cargo, output, root, target};
use crate::setup;

const SECONDS: u32 = 10;

/// Replays the committed seeds.
pub(crate) fn seeds() -> Command {
    let mut test = cargo(&["test", "--locked", "--manifest-path", "fuzz/Cargo.toml"]);
    test.arg("--target-dir").arg(directory());
    test
}

/// Builds every target and runs each for a little while; gives back libFuzzer's figures.
pub(crate) fn smoke() -> (Vec<String>, Result<(), String>) {
    let mut closing = Vec::new();
    let done = build().and_then(|manifest| {
        let mut failures = Vec::new();
        for name in targets(&manifest) {
            let (figures, ended) = fuzz(name);
            closing.push(format!("fuzz {name}: {figures}"));
            failures.extend(ended.err());
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    });
    (closing, done)
}

/// Builds the targets and gives back their manifest.
fn build() -> Result<String, String> {
    setup::need(&[("g++", "g++")])?;
    let mut build = cargo(&["build", "--quiet", "--release", "--locked", "--features", "fuzz"]);
    build.args(["--config", "fuzz/fuzzing.toml", "--manifest-path", "fuzz/Cargo.toml"]);
    // Flags from the environment would take the place of those that libFuzzer needs.
    build.arg("--target-dir").arg(directory()).env_remove("RUSTFLAGS");
    Step::new("build the fuzz targets").run(&mut build)?;
    let manifest = root().join("fuzz/Cargo.toml");
    fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))
}

/// Fuzzes one target. What it discovers goes to `fuzz/found/`, never to the committed seeds.
fn fuzz(name: &str) -> (String, Result<(), String>) {
    let Some(host) = output("rustc", &["--print", "host-tuple"]) else {
        return (String::new(), Err("rustc does not name its host".to_owned()));
    };
    let program = directory().join(host).join("release").join(name);
    let mut command = Command::new(program);
    command
        .current_dir(root().join("fuzz"))
        .arg("-create_missing_dirs=1")
        // Without it a comparison of several bytes at once is hardly ever got past.
        .arg("-use_value_profile=1")
        .arg(format!("-max_total_time={SECONDS}"))
        .arg("-artifact_prefix=found/")
        .args(["-verbosity=0", "-print_final_stats=1"])
        .arg(Path::new("found").join(name))
        .arg(Path::new("corpus").join(name));
    let step = Step::new(&format!("fuzz {name} for {SECONDS} s"));
    let (lines, ended) =
        step.run_and_keep(&mut command, |line| line.starts_with("stat::number_of_executed"));
    (lines.last().cloned().unwrap_or_else(|| "no figures".to_owned()), ended)
}

fn directory() -> PathBuf {
    target().join("fuzz")
}

/// The names in the `[[bin]]` tables of the manifest.
fn targets(manifest: &str) -> impl Iterator<Item = &str> {
    manifest.split("[[bin]]").skip(1).filter_map(|table| {
        let line = table.lines().find_map(|line| line.trim().strip_prefix("name"))?;
        line.split('"').nth(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_binaries_of_the_manifest() {
        let manifest = "[package]\nname = \"fuzz\"\n[[bin]]\nname = \"head\"\npath = \"x\"\n\n\
                        [[bin]]\npath = \"y\"\nname = \"body\"\n";
        assert_eq!(targets(manifest).collect::<Vec<_>>(), ["head", "body"]);
    }
}
