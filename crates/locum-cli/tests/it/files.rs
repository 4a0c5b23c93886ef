//! Files of a directory, as answers.

use std::fs;
use std::os::unix::fs::symlink;

use locum_testkit::{Locum, Response};
use tempfile::TempDir;

use crate::setup::locum;

fn serving(root: &TempDir, more: &str) -> Locum {
    let path = root.path().join("www");
    let config = format!(
        r#"
        [admin]
        listen = "127.0.0.1:0"
        [listeners.web]
        bind = "127.0.0.1:0"
        [[routes]]
        name = "files"
        match = {{ path = "/static/*" }}
        files = {{ root = {path:?}{more} }}
        "#
    );
    locum().config(config).start()
}

fn directory() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let www = root.path().join("www");
    fs::create_dir_all(www.join("deep")).unwrap();
    fs::create_dir_all(www.join(".git")).unwrap();
    fs::write(www.join("index.html"), "<p>home").unwrap();
    fs::write(www.join("deep/index.html"), "<p>deep").unwrap();
    fs::write(www.join("app.js"), "let a = 1;").unwrap();
    fs::write(www.join(".git/config"), "secret").unwrap();
    fs::write(root.path().join("outside.txt"), "secret").unwrap();
    symlink("../outside.txt", www.join("link.txt")).unwrap();
    symlink(root.path(), www.join("up")).unwrap();
    symlink("app.js", www.join("same.js")).unwrap();
    root
}

fn asks(locum: &Locum, method: &str, target: &str, lines: &str) -> Response {
    let mut client = locum.client();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"));
    client.response(method).unwrap()
}

#[test]
fn files_are_served_with_what_tells_them_apart() {
    let root = directory();
    let locum = serving(&root, "");
    let answer = asks(&locum, "GET", "/static/app.js", "");
    assert_eq!((answer.status, &*answer.text()), (200, "let a = 1;"));
    assert_eq!(answer.headers.get("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(answer.headers.get("content-length"), Some("10"));
    let tag = answer.headers.get("etag").unwrap().to_owned();
    let modified = answer.headers.get("last-modified").unwrap().to_owned();
    for line in [format!("If-None-Match: {tag}\r\n"), format!("If-Modified-Since: {modified}\r\n")]
    {
        let same = asks(&locum, "GET", "/static/app.js", &line);
        assert_eq!((same.status, same.headers.get("etag")), (304, Some(&*tag)));
    }
    let head = asks(&locum, "HEAD", "/static/app.js", "");
    assert_eq!((head.status, head.headers.get("content-length")), (200, Some("10")));
    let part = asks(&locum, "GET", "/static/app.js", "Range: bytes=4-4\r\n");
    assert_eq!((part.status, &*part.text()), (206, "a"));
    assert_eq!(part.headers.get("content-range"), Some("bytes 4-4/10"));
    let beyond = asks(&locum, "GET", "/static/app.js", "Range: bytes=10-\r\n");
    assert_eq!((beyond.status, beyond.headers.get("content-range")), (416, Some("bytes */10")));
    for (target, text) in [("/static/", "<p>home"), ("/static/deep/", "<p>deep")] {
        assert_eq!(asks(&locum, "GET", target, "").text(), text);
    }
    let slash = asks(&locum, "GET", "/static/deep", "");
    assert_eq!((slash.status, slash.headers.get("location")), (308, Some("/static/deep/")));
    let post = asks(&locum, "POST", "/static/app.js", "Content-Length: 0\r\n");
    assert_eq!((post.status, post.headers.get("allow")), (405, Some("GET, HEAD")));
    locum.counts("locum_calls_total", &[("route", "files"), ("code", "304")], 2.0);
}

#[test]
fn nothing_outside_of_the_directory_is_served() {
    let root = directory();
    let locum = serving(&root, "");
    assert_eq!(asks(&locum, "GET", "/static/same.js", "").text(), "let a = 1;");
    let outside = [
        "/static/link.txt",
        "/static/up/outside.txt",
        "/static/.git/config",
        "/static/%2e%2e/outside.txt",
        "/static/..%2foutside.txt",
        "/static/../outside.txt",
        "/static/none",
        "/static//etc/passwd",
    ];
    for target in outside {
        let answer = asks(&locum, "GET", target, "");
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
        assert!(!answer.text().contains("secret") && !answer.text().contains("root:"), "{target}");
    }
}

#[test]
fn a_large_file_is_streamed_and_a_part_of_it_too() {
    let root = directory();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(root.path().join("www/large.bin"), &content).unwrap();
    let locum = serving(&root, "");
    let whole = asks(&locum, "GET", "/static/large.bin", "");
    assert!(whole.body == content);
    assert_eq!(whole.headers.get("content-type"), Some("application/octet-stream"));
    let part = asks(&locum, "GET", "/static/large.bin", "Range: bytes=100000-2000000\r\n");
    assert!(part.body == content[100_000..=2_000_000]);
    let mut client = locum.client();
    for _ in 0..2 {
        assert!(client.get("/static/large.bin").unwrap().body == content, "the connection is kept");
    }
}

#[test]
fn a_coded_form_is_served_to_those_who_take_it() {
    let root = directory();
    fs::write(root.path().join("www/app.js.br"), "br!").unwrap();
    fs::write(root.path().join("www/app.js.gz"), "gz!").unwrap();
    let locum = serving(&root, ", precompressed = [\"br\", \"gzip\"]");
    let cases = [
        ("gzip, br", "br!", Some("br")),
        ("gzip, br;q=0", "gz!", Some("gzip")),
        ("zstd", "let a = 1;", None),
    ];
    let mut tags = Vec::new();
    for (accepted, text, coding) in cases {
        let answer =
            asks(&locum, "GET", "/static/app.js", &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!((&*answer.text(), answer.headers.get("content-encoding")), (text, coding));
        assert_eq!(answer.headers.get("vary"), Some("Accept-Encoding"));
        assert_eq!(answer.headers.get("content-type"), Some("text/javascript; charset=utf-8"));
        tags.push(answer.headers.get("etag").unwrap().to_owned());
    }
    tags.dedup();
    assert_eq!(tags.len(), 3);
}

#[test]
fn a_directory_is_listed_where_the_route_says_so_and_shows_what_is_served() {
    let root = directory();
    let www = root.path().join("www");
    fs::create_dir(www.join("many")).unwrap();
    for name in ["b.txt", "a & <b>.txt", "x:y", ".hidden"] {
        fs::write(www.join("many").join(name), "text").unwrap();
    }
    fs::create_dir(www.join("many/sub")).unwrap();
    symlink("b.txt", www.join("many/inside")).unwrap();
    symlink("/etc/passwd", www.join("many/outside")).unwrap();

    let closed = serving(&root, "");
    assert_eq!(asks(&closed, "GET", "/static/many/", "").status, 404);
    let locum = serving(&root, ", listing = true");
    let listing = asks(&locum, "GET", "/static/many/", "");
    assert_eq!(listing.status, 200);
    assert_eq!(listing.headers.get("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(listing.headers.get("x-content-type-options"), Some("nosniff"));
    let policy = listing.headers.get("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    let page = listing.text();
    let links: Vec<_> =
        page.split("href=\"").skip(1).filter_map(|it| it.split('"').next()).collect();
    let expected = ["../", "./sub/", "./a%20%26%20%3Cb%3E.txt", "./b.txt", "./inside", "./x%3Ay"];
    assert_eq!(links, expected, "{page}");
    assert!(page.contains(">a &amp; &lt;b&gt;.txt</a>"), "{page}");
    for link in &links[2..] {
        let target = format!("/static/many/{}", link.strip_prefix("./").unwrap());
        assert_eq!(asks(&locum, "GET", &target, "").text(), "text", "{target}");
    }
    let head = asks(&locum, "HEAD", "/static/many/", "");
    assert_eq!(head.headers.get("content-length"), listing.headers.get("content-length"));

    assert_eq!(asks(&locum, "GET", "/static/", "").text(), "<p>home", "an index goes before");
    for (target, place) in [("/static/many", "/static/many/"), ("/static//many", "/static//many/")]
    {
        let slash = asks(&locum, "GET", target, "");
        assert_eq!((slash.status, slash.headers.get("location")), (308, Some(place)));
    }
    assert_eq!(asks(&locum, "GET", "/static/none/", "").status, 404);
    fs::remove_file(www.join("index.html")).unwrap();
    let bare = asks(&locum, "GET", "/static", "");
    assert_eq!((bare.status, bare.headers.get("location")), (308, Some("/static/")));
    let top = asks(&locum, "GET", "/static/", "").text();
    assert!(top.contains("./deep/") && !top.contains("../") && !top.contains("git"), "{top}");
}

#[test]
fn no_path_makes_a_directory_lead_to_another_server() {
    let root = directory();
    let path = root.path().join("www");
    let config = format!(
        "[listeners.web]\nbind = \"127.0.0.1:0\"\n[[routes]]\nmatch = {{ path = \"/*\" }}\n\
         files = {{ root = {path:?} }}"
    );
    let locum = locum().config(config).start();
    let slash = asks(&locum, "GET", "//deep?a=1", "");
    assert_eq!((slash.status, slash.headers.get("location")), (308, Some("/deep/?a=1")));
}
