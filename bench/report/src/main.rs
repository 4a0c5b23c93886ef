//! Draws `bench/REPORT.md` and `bench/plots/` from the newest results of each benchmark.
//!
//! `report BENCH`, the directory.

mod plot;
mod results;
mod sections;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use results::Results;
use sections::SECTIONS;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let done = match env::args().nth(1) {
        Some(directory) => report(Path::new(&directory)),
        None => Err("usage: report DIRECTORY".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the report, and says what it has no results of.
fn report(bench: &Path) -> Result<()> {
    let plots = bench.join("plots");
    fs::create_dir_all(&plots)?;
    let mut text = String::from(
        "# What Locum costs\n\n\
         Drawn by `cargo xtask bench report` from the newest results of each benchmark in [results](results), where every\n\
         run is. Everything under measurement has one worker on one core; what loads it, and what stands behind it, is on\n\
         the other. Each section says by which command, of which revision and on which machine it was measured.\n",
    );
    for (name, section) in SECTIONS {
        let Some(results) = Results::newest(&bench.join("results"), name)? else {
            println!("no results of {name}: `cargo xtask bench {name}`");
            continue;
        };
        let drawn = section(&results, &plots).map_err(|error| format!("{name}: {error}"))?;
        text.push_str(&results.heading());
        text.push_str(&drawn);
    }
    let file = bench.join("REPORT.md");
    fs::write(&file, text)?;
    println!("written to {}", file.display());
    Ok(())
}
