//! What the pages show is what the program takes.

use std::fs;
use std::path::{Path, PathBuf};

use locum_testkit::run_to_end;
use serde_json::Value;

use crate::setup::binary;

/// A page of the project.
pub(crate) fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(name)).unwrap()
}

/// The files that a page shows.
pub(crate) fn files(page: &str) -> Vec<&str> {
    let blocks = page.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("it has a first part")).collect()
}

/// A folder with what those files name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let made = rcgen::generate_simple_self_signed(["locum.internal".to_owned()]).unwrap();
    write("server.pem", &made.cert.pem());
    write("server.key", &made.signing_key.serialize_pem());
    write("clients-ca.pem", &made.cert.pem());
    // Of "abc", which is nobody's key.
    write("keys.txt", "billing:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n");
    folder
}

fn saved(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("locum.toml");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn every_file_on_a_page_is_good_and_raises_no_doubt() {
    let folder = folder();
    for (name, count) in [("README.md", 1), ("docs/gateway.md", 11), ("docs/net-rpc.md", 5)] {
        let page = page(name);
        let files = files(&page);
        assert_eq!(files.len(), count, "{name}");
        for text in files {
            let file = saved(folder.path(), text);
            let checked = run_to_end(binary(), &["check", "-c", file.to_str().unwrap()]);
            assert_eq!(checked.code, Some(0), "{name}\n{text}\n{}", checked.errors);
            assert_eq!(checked.errors, "", "{name}\n{text}");
        }
    }
}

#[test]
fn what_is_explained_on_a_page_is_explained_so() {
    let (folder, page) = (folder(), page("docs/net-rpc.md"));
    let file = saved(folder.path(), files(&page)[0]);
    let asked = "Report.Build";
    let told = run_to_end(binary(), &["explain", "-c", file.to_str().unwrap(), asked]);
    assert_eq!(told.code, Some(0), "{}", told.errors);
    let (_, shown) = page.split_once("    $ locum explain -c locum.toml Report.Build\n").unwrap();
    let shown = shown.lines().map_while(|line| line.strip_prefix("    "));
    for line in shown.filter(|line| line.trim() != "…") {
        assert!(told.output.lines().any(|told| told == line), "{line}\n{}", told.output);
    }
}

/// The keys that a table of limits tells, each with its default.
fn told(table: &str) -> Vec<(String, Value)> {
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let row = |row: &str| {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        (cells[1].to_owned(), cells[2].parse().unwrap_or_else(|_| panic!("{row}")))
    };
    rows.map(row).collect()
}

/// The same as the program has them.
fn held(limits: &Value, prefix: &str) -> Vec<(String, Value)> {
    let entries = limits.as_object().unwrap().iter();
    let one = |(key, value): (&String, &Value)| match value {
        Value::Object(_) => held(value, &format!("{prefix}{key}.")),
        value => vec![(format!("{prefix}{key}"), value.clone())],
    };
    entries.flat_map(one).collect()
}

#[test]
fn the_page_of_limits_tells_those_that_hold() {
    let folder = tempfile::tempdir().unwrap();
    let file = saved(
        folder.path(),
        "[listeners.web]\nbind = \"127.0.0.1:8080\"\n[upstreams.up]\nendpoints = [\"127.0.0.1:7001\"]\n\
         [[routes]]\nupstream = \"up\"\n",
    );
    let printed = run_to_end(binary(), &["print", "-c", file.to_str().unwrap(), "--resolved"]);
    let plan: Value = serde_json::from_str(&printed.output).unwrap();
    let page = page("docs/limits.md");
    let section = |title: &str| page.split("\n## ").find(|it| it.starts_with(title)).unwrap();
    for (title, limits) in [
        ("Of a listener", &plan["listeners"][0]["limits"]),
        ("Of an upstream", &plan["upstreams"][0]["pool"]),
    ] {
        let (mut told, mut held) = (told(section(title)), held(limits, ""));
        told.sort_by(|one, other| one.0.cmp(&other.0));
        held.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(told, held, "{title}");
    }
}
