//! What the servers of the benchmark serve and show: a large file, and a certificate.

use std::fs;
use std::process::{Command, Stdio};

use crate::process::{Step, target};

/// Makes both in the directory that the configurations call `{directory}`.
pub(super) fn make() -> Result<(), String> {
    let directory = target().join("bench-proxy");
    let file = directory.join("mebibyte");
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&file, vec![b'x'; 1024 * 1024]))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    // HAProxy wants both parts in one file, the others take the same file twice.
    let pem = directory.join("bench.pem");
    let mut request = Command::new("openssl");
    request.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    request.args(["-days", "30", "-subj", "/CN=bench.test"]).arg("-keyout").arg(&pem);
    // Some find a certificate by the name that is asked for, which is the address here.
    request.args(["-addext", "subjectAltName=DNS:bench.test,IP:127.0.0.1"]);
    let certificate = directory.join("certificate.pem");
    request.arg("-out").arg(&certificate).stderr(Stdio::null());
    Step::new("make a certificate").run(&mut request)?;
    let append = fs::read(&certificate)
        .and_then(|certificate| Ok([fs::read(&pem)?, certificate].concat()))
        .and_then(|both| fs::write(&pem, both));
    append.map_err(|error| format!("{}: {error}", pem.display()))
}
