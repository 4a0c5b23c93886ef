//! `cargo xtask dist`: the program as it is released, built by how it is used.
//!
//! It is built once with counters in it, loaded, and built again by what they counted: what is used lies together
//! and is built to be fast, the rest lies apart and is built to be small. What a call costs is to a good part
//! waiting for code, so that this saves processor time as well as memory; `bench/NOTES.md` has the figures.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::bench::train;
use crate::process::{Step, cargo, installed, output, root, target};
use crate::setup;

/// Builds the program, and gives back where it is.
pub(crate) fn dist() -> Result<PathBuf, String> {
    setup::need_allocator()?;
    let host = host()?;
    let merge = profdata(&host)?;
    let counts = target().join("dist/counts");
    forget(&counts)?;
    let counting = build("counting", &host, &format!("-Cprofile-generate={}", counts.display()))?;
    train(&counting)?;
    let merged = target().join("dist/merged.profdata");
    let step = Step::new("bring together what was counted");
    step.run(Command::new(merge).arg("merge").arg("-o").arg(&merged).arg(&counts))?;
    // All of it anew: cargo does not see that the counts are others.
    forget(&target().join("dist/tuned"))?;
    let tuned = build("tuned", &host, &format!("-Cprofile-use={}", merged.display()))?;
    let program = program();
    fs::copy(&tuned, &program).map_err(|error| format!("{}: {error}", program.display()))?;
    println!("==> {}", program.display());
    Ok(program)
}

/// The program, if it was built after the last change of what it is built from.
pub(crate) fn fresh() -> Option<PathBuf> {
    let program = program();
    let built = fs::metadata(&program).ok()?.modified().ok()?;
    let parts = ["crates", "bench/train", "Cargo.toml", "Cargo.lock"];
    let changed = parts.iter().filter_map(|part| last_change(&root().join(part))).max()?;
    (changed < built).then_some(program)
}

fn program() -> PathBuf {
    target().join("dist/locum")
}

/// Builds it into a directory of `dist`, and gives back where it is.
fn build(name: &str, host: &str, flags: &str) -> Result<PathBuf, String> {
    let directory = target().join("dist").join(name);
    // For a target that is named, so that the flags are not those of what runs while it is built.
    let build = ["build", "--quiet", "--release", "--locked", "--package", "locum-cli"];
    let step = Step::new(&format!("build the program, {name}"));
    step.run(
        cargo(&build)
            .args(["--bin", "locum", "--target", host])
            .env("RUSTFLAGS", flags)
            .env("CARGO_TARGET_DIR", &directory),
    )?;
    Ok(directory.join(host).join("release/locum"))
}

/// The machine's name among compilers.
fn host() -> Result<String, String> {
    let said = output("rustc", &["-vV"]).ok_or("rustc does not say what it is")?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say where it is".to_owned())
}

/// What brings counts together; it has to be of the compiler's own version.
fn profdata(host: &str) -> Result<PathBuf, String> {
    let root = output("rustc", &["--print", "sysroot"]).ok_or("rustc does not say where it is")?;
    let tool = Path::new(&root).join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !tool.exists() && installed("rustup") {
        let step = Step::new("rustup component add llvm-tools");
        step.run(Command::new("rustup").args(["component", "add", "llvm-tools"]))?;
    }
    if tool.exists() { Ok(tool) } else { Err("needs the compiler's llvm-tools".to_owned()) }
}

/// Removes a directory, if it is there.
fn forget(directory: &Path) -> Result<(), String> {
    match fs::remove_dir_all(directory) {
        Err(error) if directory.exists() => Err(format!("{}: {error}", directory.display())),
        _ => Ok(()),
    }
}

/// When anything in it was changed last.
fn last_change(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        // Tests are no part of the program.
        let entries = fs::read_dir(path).ok()?.filter_map(Result::ok).map(|entry| entry.path());
        let parts = entries.filter(|entry| entry.file_name() != Some(OsStr::new("tests")));
        return parts.filter_map(|entry| last_change(&entry)).max();
    }
    fs::metadata(path).ok()?.modified().ok()
}
