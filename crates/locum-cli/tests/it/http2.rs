//! HTTP/2 on both sides.

use std::fs;
use std::process::Command;

use locum_testkit::Locum;

mod behind;
mod floods;
mod front;
mod tls;

/// What curl wrote of these, asked of the listener `web` over HTTP/2 by prior knowledge, and whether it was content.
fn curl(locum: &Locum, arguments: &[&str], targets: &[&str]) -> (String, bool) {
    let address = locum.address("web");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--http2-prior-knowledge"])
        .args(arguments)
        .args(targets.iter().map(|target| format!("http://{address}{target}")));
    let ended = curl.output().expect("curl is installed");
    let mut output = String::from_utf8_lossy(&ended.stdout).into_owned();
    output += &String::from_utf8_lossy(&ended.stderr);
    (output, ended.status.success())
}

/// Bytes that are not compressed, and in a file that goes with the guard.
fn bytes_in_file(count: u32) -> (Vec<u8>, tempfile::NamedTempFile) {
    let bytes: Vec<u8> = (0..count).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &bytes).unwrap();
    (bytes, file)
}
