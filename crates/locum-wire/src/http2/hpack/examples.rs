//! The examples of RFC 7541 appendix C, read; and that what is written here is read the same.

use proptest::prelude::*;

use super::table::Table;
use super::*;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
    let mut fields = Fields::new();
    fields.restart(32 * 1024, 100);
    decoder.decode(block, &mut fields)?;
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    Ok(fields.iter().map(|(name, value)| (text(name), text(value))).collect())
}

fn held(table: &Table) -> Vec<String> {
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    (0..)
        .map_while(|age| table.get(age))
        .map(|it| format!("{}: {}", text(it.0), text(it.1)))
        .collect()
}

/// Reads blocks one after the other on one connection, whose table has room for `size`.
fn check(size: usize, blocks: &[(&str, &[&str], &[&str])]) {
    let mut decoder = Decoder::new();
    decoder.table.resize(size);
    decoder.set_most(size);
    for (block, fields, table) in blocks {
        let is: Vec<_> = read(&mut decoder, &unhex(block))
            .unwrap()
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(is, *fields, "{block}");
        assert_eq!(held(&decoder.table), *table, "{block}");
    }
}

#[test]
fn literals_of_c_2() {
    let custom = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    check(4096, &[(custom, &["custom-key: custom-header"], &["custom-key: custom-header"])]);
    check(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], &[])]);
    let secret = "1008 7061 7373 776f 7264 0673 6563 7265 74";
    check(4096, &[(secret, &["password: secret"], &[])]);
    check(4096, &[("82", &[":method: GET"], &[])]);
}

#[test]
fn requests_of_c_3_and_c_4() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    let authority = ":authority: www.example.com";
    let cache = "cache-control: no-cache";
    let custom = "custom-key: custom-value";
    for [first, second, third] in [plain, coded] {
        check(
            4096,
            &[
                (first, &[":method: GET", ":scheme: http", ":path: /", authority], &[authority]),
                (
                    second,
                    &[":method: GET", ":scheme: http", ":path: /", authority, cache],
                    &[cache, authority],
                ),
                (
                    third,
                    &[":method: GET", ":scheme: https", ":path: /index.html", authority, custom],
                    &[custom, cache, authority],
                ),
            ],
        );
    }
}

#[test]
fn answers_of_c_5_and_c_6() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a
         3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04
         677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49
         553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
         919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
         821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
         4ee5 b106 3d50 07",
    ];
    let (moved, again) = (":status: 302", ":status: 307");
    let (private, location) = ("cache-control: private", "location: https://www.example.com");
    let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
    let later = "date: Mon, 21 Oct 2013 20:13:22 GMT";
    let gzip = "content-encoding: gzip";
    let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    for [first, second, third] in [plain, coded] {
        check(
            256,
            &[
                (first, &[moved, private, date, location], &[location, date, private, moved]),
                (second, &[again, private, date, location], &[again, location, date, private]),
                (
                    third,
                    &[":status: 200", private, later, location, gzip, cookie],
                    &[cookie, gzip, later],
                ),
            ],
        );
    }
}

#[test]
fn what_repeats_costs_a_byte_and_what_is_secret_is_not_kept() {
    let mut encoder = Encoder::new();
    let mut write = |name: &[u8], value: &[u8], secrecy| {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        encoder.field(&mut out, name, value, secrecy);
        out
    };
    assert_eq!(write(b":status", b"200", Secrecy::Public), [0x88]);
    let server = [(); 3].map(|()| write(b"server", b"locum", Secrecy::Public));
    assert_eq!([server[0][0], server[1][0]], [0x0f, 0x76], "the second time it is kept");
    assert_eq!(server[2], [0xbe]);
    let own = [(); 3].map(|()| write(b"x-own", b"a-value", Secrecy::Public));
    assert_eq!((own[0][0], own[1][0], &own[2][..]), (0x00, 0x40, &[0xbe][..]));
    let named = write(b"x-own", b"another", Secrecy::Public);
    assert_eq!(named[..2], [0x0f, 62 - 15], "the name is known");
    for _ in 0..3 {
        assert_eq!(write(b"authorization", b"Basic eDp5", Secrecy::Secret)[0], 0x1f);
    }
    let large = vec![b'x'; 2000];
    for _ in 0..3 {
        assert!(
            write(b"x-large", &large, Secrecy::Public).len() > 1000,
            "would drive out the rest"
        );
    }
}

#[test]
fn the_peer_says_how_large_the_table_is() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let talk = |encoder: &mut Encoder, decoder: &mut Decoder| {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        encoder.field(&mut out, b"server", b"locum", Secrecy::Public);
        assert_eq!(read(decoder, &out).unwrap(), [("server".to_owned(), "locum".to_owned())]);
        assert_eq!(encoder.table.max(), decoder.table.max());
        out
    };
    for _ in 0..2 {
        talk(&mut encoder, &mut decoder);
    }
    assert_eq!(talk(&mut encoder, &mut decoder), [0xbe]);
    // Smaller and large again between two blocks: RFC 7541 §4.2 wants both to be said.
    encoder.set_most(0);
    encoder.set_most(4096);
    let out = talk(&mut encoder, &mut decoder);
    assert_eq!(out[..4], [0x20, 0x3f, 0xe1, 0x1f]);
    assert!(out.len() > 5, "the table was emptied");
    encoder.set_most(0);
    decoder.set_most(0);
    let out = talk(&mut encoder, &mut decoder);
    assert_eq!(out[0], 0x20);
    assert!(talk(&mut encoder, &mut decoder).len() > 1);
    encoder.set_most(1 << 20);
    talk(&mut Encoder::new(), &mut Decoder::new());
    let mut out = Vec::new();
    encoder.begin(&mut out);
    assert_eq!(out, [0x3f, 0xe1, 0x1f], "no larger than ours");
}

#[test]
fn a_peer_that_does_not_make_its_table_smaller_is_refused() {
    let mut decoder = Decoder::new();
    decoder.set_most(100);
    assert_eq!(read(&mut decoder, &[0x82]), Err(Malformed));
    let mut decoder = Decoder::new();
    decoder.set_most(100);
    assert!(read(&mut decoder, &[0x20, 0x82]).is_ok());
}

proptest! {
    #[test]
    fn what_is_written_is_read(blocks in proptest::collection::vec(
        (proptest::collection::vec(("[a-c]{1,3}|server|:path", ".{0,3}|[a-z]{0,80}", any::<bool>()), 0..20), proptest::option::of(0usize..6000)),
        0..20,
    )) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for (fields, size) in blocks {
            if let Some(size) = size {
                encoder.set_most(size);
            }
            let mut out = Vec::new();
            encoder.begin(&mut out);
            for (name, value, is_secret) in &fields {
                let secrecy = if *is_secret { Secrecy::Secret } else { Secrecy::Public };
                encoder.field(&mut out, name.as_bytes(), value.as_bytes(), secrecy);
            }
            let wanted: Vec<_> = fields.into_iter().map(|it| (it.0, it.1)).collect();
            prop_assert_eq!(read(&mut decoder, &out).unwrap(), wanted);
        }
    }

    #[test]
    fn any_block_is_read_or_refused(blocks: Vec<Vec<u8>>) {
        let mut decoder = Decoder::new();
        for block in blocks {
            let _ = read(&mut decoder, &block);
            prop_assert!(decoder.table.max() <= TABLE_SIZE);
        }
    }
}
