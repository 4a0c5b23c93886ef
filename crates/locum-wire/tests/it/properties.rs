//! What holds for all inputs.

use proptest::collection::vec;
use proptest::prelude::*;

use locum_wire::http1::{Chunked, Error, Head, Limits, Name, Piece, encode, path};

use crate::gateway::Gateway;

proptest! {
    #[test]
    fn a_request_means_the_same_wherever_it_is_cut(
        bytes in requests(),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let whole = Gateway::serve([&bytes[..]]);
        prop_assert_eq!(&Gateway::serve(bytes.chunks(1)), &whole);
        prop_assert_eq!(Gateway::serve(split(&bytes, &cuts)), whole);
    }

    #[test]
    fn a_head_remembers_nothing_of_the_message_before(before in requests(), bytes in requests()) {
        let limits = Limits::default();
        let mut used = Head::new();
        let _ = used.parse_request(&before, &limits);
        used.clear();
        let mut fresh = Head::new();
        let verdict = fresh.parse_request(&bytes, &limits);
        prop_assert_eq!(used.parse_request(&bytes, &limits), verdict);
        if verdict == Ok(true) {
            let [used, fresh] = [used.request(&bytes), fresh.request(&bytes)];
            prop_assert_eq!(used.host(), fresh.host());
            prop_assert_eq!((used.path(), used.query()), (fresh.path(), fresh.query()));
            prop_assert_eq!(used.get(Name::Connection), fresh.get(Name::Connection));
            prop_assert_eq!(used.get(Name::ContentLength), fresh.get(Name::ContentLength));
            prop_assert_eq!(used.framing(), fresh.framing());
            prop_assert_eq!(used.keep_alive(), fresh.keep_alive());
            prop_assert!(used.fields().eq(fresh.fields()));
        }
    }

    #[test]
    fn an_answer_means_the_same_wherever_it_is_cut(
        bytes in answers(),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let limits = Limits { head_bytes: 120, fields: 4, target_bytes: 30 };
        let read = |pieces: Vec<&[u8]>| {
            let mut head = Head::new();
            let mut buf = Vec::new();
            for piece in pieces {
                buf.extend_from_slice(piece);
                match head.parse_response(&buf, &limits) {
                    Ok(true) => {
                        let answer = head.response(&buf);
                        let names = answer.fields().map(|it| (it.name.to_vec(), it.hop));
                        return Ok(Some((head.len(), answer.status(), names.collect::<Vec<_>>())));
                    }
                    Ok(false) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(None)
        };
        let whole = read(vec![&bytes]);
        prop_assert_eq!(&read(bytes.chunks(1).collect()), &whole);
        prop_assert_eq!(&read(split(&bytes, &cuts)), &whole);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..200)) {
        let limits = Limits { head_bytes: 100, fields: 3, target_bytes: 30 };
        let _ = Head::new().parse_request(&bytes, &limits);
        let _ = Head::new().parse_response(&bytes, &limits);
        let _ = decode(&bytes.chunks(7).collect::<Vec<_>>());
        let _ = path::normalise(&bytes);
    }

    #[test]
    fn chunks_come_back_as_they_went(
        chunks in vec(vec(any::<u8>(), 1..40), 0..5),
        trailers in vec(("[a-z]{1,8}-x", "[!-~]{0,8}"), 0..3),
        rest in vec(any::<u8>(), 0..20),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut bytes = Vec::new();
        for chunk in &chunks {
            encode::chunk_head(&mut bytes, chunk.len());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(encode::CRLF);
        }
        let sent = trailers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        encode::last_chunk(&mut bytes, sent);
        bytes.extend_from_slice(&rest);

        let read = decode(&split(&bytes, &cuts)).unwrap().expect("it is complete");
        prop_assert_eq!(read.content, chunks.concat());
        prop_assert_eq!(read.after, rest);
        prop_assert_eq!(read.trailers, trailers);
    }

    #[test]
    fn malformed_chunks_are_refused_wherever_they_are_cut(
        bytes in "[0-9a-fA-F;= \"xX\\\\\r\n\0\t,]{0,40}",
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = bytes.as_bytes();
        let whole = decode(&[bytes]);
        prop_assert_eq!(&decode(&bytes.chunks(1).collect::<Vec<_>>()), &whole);
        prop_assert_eq!(decode(&split(bytes, &cuts)), whole);
    }

    #[test]
    fn a_normal_path_is_its_own_normal_form(path in "/([a.%;/~-]|%2e|%2E|%3b|\\.\\.|/){0,12}") {
        if let Ok(normal) = path::normalise(path.as_bytes()) {
            let again = path::normalise(&normal);
            prop_assert_eq!(again.as_deref(), Ok(&normal[..]));
            prop_assert!(normal.starts_with(b"/"));
            let decoded = String::from_utf8(normal.into_owned()).unwrap().to_lowercase();
            let decoded = decoded.replace("%2e", ".").replace("%3b", ";");
            for segment in decoded.split('/') {
                let name = segment.split(';').next().unwrap();
                prop_assert!(name != "." && name != "..", "{:?}", decoded);
            }
        }
    }
}

/// Content in chunks as it was decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decoded {
    content: Vec<u8>,
    trailers: Vec<(String, String)>,
    after: Vec<u8>,
}

/// None: incomplete.
fn decode(pieces: &[&[u8]]) -> Result<Option<Decoded>, Error> {
    let mut chunked = Chunked::new(&Limits { head_bytes: 60, fields: 4, target_bytes: 0 });
    let mut content = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let mut input = *piece;
        loop {
            let (used, found) = chunked.next(input)?;
            if let Piece::Data(range) = &found {
                assert!(!range.is_empty() && range.end == used);
                content.extend_from_slice(&input[range.clone()]);
            }
            input = &input[used..];
            match found {
                Piece::Data(_) => {}
                Piece::NeedMore => {
                    assert!(input.is_empty(), "everything was used");
                    break;
                }
                Piece::End => {
                    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
                    let trailers =
                        chunked.trailers().map(|(name, value)| (text(name), text(value)));
                    let after = [&[input][..], &pieces[at + 1..]].concat().concat();
                    return Ok(Some(Decoded { content, trailers: trailers.collect(), after }));
                }
            }
        }
    }
    Ok(None)
}

/// Requests that are nearly right: made of the words that matter, some bytes changed.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "GET ",
        "POST ",
        "OPTIONS ",
        "/a ",
        "/../b?c ",
        "* ",
        "http://a/ ",
        "HTTP/1.1\r\n",
        "HTTP/1.0\r\n",
        "Host: a\r\n",
        "Host: b\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: x-a, close\r\n",
        "X-A: b\r\n",
        "X_A:\tb\r\n",
        "\r\n",
        "\r\n\r\n",
        "3\r\nabc\r\n",
        "0\r\n",
        "abc",
        " ",
        ":",
        "\r",
        "\n",
        "\0",
        "GET /a HTTP/1.1\r\nHost: a\r\n",
        "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ]);
    vec(word, 0..12).prop_map(|words| words.concat().into_bytes())
}

fn answers() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "HTTP/1.1 ",
        "HTTP/1.0 ",
        "200",
        "204",
        "99",
        " OK",
        "\r\n",
        "\r\n\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: x-a\r\n",
        "X-A: b\r\n",
        "\t",
        "\r",
        "\n",
        "\0",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 304 \r\n",
        "abc",
    ]);
    vec(word, 0..10).prop_map(|words| words.concat().into_bytes())
}

fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|it| it.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}
