//! A few seconds of coverage-guided fuzzing for each target in `fuzz/`.
//!
//! libFuzzer needs its counters compiled into our code, and these are plain code generation flags:
//! a stable compiler will do, and nothing else has to be installed but a C++ compiler.

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process::{Step, cargo, root, skipped, target};
use crate::setup;

/// The flags that libFuzzer's feedback needs.
const INSTRUMENTED: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing -Ccodegen-units=1";

const SECONDS: u32 = 10;

/// Builds every target and runs each for a little while; gives back libFuzzer's last lines.
pub(crate) fn smoke() -> (Vec<String>, Result<(), String>) {
    let manifest = root().join("fuzz/Cargo.toml");
    let Ok(text) = fs::read_to_string(&manifest) else {
        skipped("fuzz", "there is no fuzz/Cargo.toml");
        return (Vec::new(), Ok(()));
    };
    if let Err(why) = setup::need(&[("g++", "g++")]) {
        return (Vec::new(), Err(why));
    }
    // Naming the target keeps the flags away from build scripts.
    let triple = format!("{ARCH}-unknown-linux-gnu");
    let built = target().join("fuzz");
    let mut build = cargo(&["build", "--quiet", "--release", "--bins", "--target", &triple]);
    build.arg("--manifest-path").arg(&manifest).arg("--target-dir").arg(&built);
    if let Err(why) = Step::new("build the fuzz targets").run(build.env("RUSTFLAGS", INSTRUMENTED))
    {
        return (Vec::new(), Err(why));
    }
    let programs = built.join(triple).join("release");
    let mut closing = Vec::new();
    let mut failures = Vec::new();
    for name in targets(&text) {
        let (last, ended) = fuzz(&programs.join(name), name);
        closing.push(format!("fuzz {name}: {last}"));
        failures.extend(ended.err());
    }
    (closing, if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) })
}

/// Fuzzes one target. What it finds interesting goes to a scratch corpus, never to the committed
/// one; what breaks it goes to `fuzz/artifacts/`.
fn fuzz(program: &Path, name: &str) -> (String, Result<(), String>) {
    let scratch = target().join("fuzz/corpus").join(name);
    let artifacts = root().join("fuzz/artifacts");
    for directory in [&scratch, &artifacts] {
        if let Err(error) = fs::create_dir_all(directory) {
            return (String::new(), Err(format!("{}: {error}", directory.display())));
        }
    }
    let mut command = Command::new(program);
    command.arg(&scratch);
    let committed = root().join("fuzz/corpus").join(name);
    if committed.is_dir() {
        command.arg(committed);
    }
    command
        // Without it a comparison of several bytes at once is never got past.
        .arg("-use_value_profile=1")
        .arg(format!("-max_total_time={SECONDS}"))
        .arg(format!("-artifact_prefix={}/{name}-", artifacts.display()))
        .arg("-verbosity=0")
        .arg("-print_final_stats=1");
    // libFuzzer speaks on standard error; the figures that matter are among its last lines.
    let step = Step::new(&format!("fuzz {name} for {SECONDS} s"));
    let (lines, ended) =
        step.run_and_keep(&mut command, |line| line.starts_with("stat::number_of_executed"));
    (lines.last().cloned().unwrap_or_else(|| "no figures".to_owned()), ended)
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
