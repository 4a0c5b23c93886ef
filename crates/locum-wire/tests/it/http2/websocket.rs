//! WebSocket by extended CONNECT (RFC 8441).

use locum_wire::http2::{Connection, Event, Limits, PREFACE, Scheme, SendError, StreamId};

use super::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, SETTINGS, frame, headers, setting, split,
};
use super::pair::{Seen, deliver};

const CONNECT: [(&str, &str); 7] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat"),
    (":authority", "a.test"),
    ("sec-websocket-version", "13"),
    ("origin", "https://a.test"),
];

/// A server that has settings.
fn server() -> Connection {
    let mut server = Connection::server(&Limits::default(), 7);
    deliver(&mut server, PREFACE).unwrap();
    deliver(&mut server, &frame(SETTINGS, 0, 0, &[])).unwrap();
    server
}

/// A tunnel that is asked for, when everything before was written.
fn asked(server: &mut Connection) -> StreamId {
    let (_, event) = server.receive(&headers(0, 1, &CONNECT)).unwrap();
    let Some(Event::Head { stream, end: false }) = event else { panic!("{event:?}") };
    server.output().clear();
    stream
}

#[test]
fn a_tunnel_is_asked_for_as_in_http_1() {
    let mut server = server();
    assert!(split(server.output())[0].3.ends_with(&setting(8, 1)), "RFC 8441 §3");
    let seen = deliver(&mut server, &headers(0, 1, &CONNECT)).unwrap();
    let [Seen::Text(1, request, false)] = &seen[..] else { panic!("{seen:?}") };
    let (before, key) = request.split_once("Sec-WebSocket-Key: ").unwrap();
    assert_eq!(
        before,
        "GET /chat HTTP/1.1\r\nHost: a.test\r\nsec-websocket-version: 13\r\norigin: https://a.test\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\n"
    );
    assert_eq!((key.len(), &key[22..]), (28, "==\r\n\r\n"), "sixteen bytes");
    let seen = deliver(&mut server, &frame(DATA, 0, 1, b"hi")).unwrap();
    assert_eq!(seen, [Seen::Text(1, "hi".to_owned(), false)], "bytes as they are");
}

#[test]
fn a_tunnel_carries_bytes_until_it_is_closed() {
    let mut server = server();
    let stream = asked(&mut server);
    let switch =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello";
    assert_eq!(server.send(stream, switch), Ok(switch.len()));
    let sent = split(server.output());
    assert_eq!(sent[0].0, HEADERS);
    assert_eq!((sent[0].1, sent[0].3[0]), (END_HEADERS, 0x88), "200, and it goes on");
    assert_eq!(sent[1], (DATA, 0, 1, b"hello".to_vec()));
    server.finish(stream);
    let sent = split(server.output());
    assert_eq!(sent[2], (DATA, END_STREAM, 1, Vec::new()));
    assert_eq!(sent[3], (RST_STREAM, 0, 1, vec![0; 4]), "nobody would hear the client any more");
    assert!(!server.is_open(stream));
}

#[test]
fn what_is_no_tunnel_is_not_taken_for_one() {
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "502"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403"),
    ] {
        let mut server = server();
        let stream = asked(&mut server);
        server.send(stream, answer.as_bytes()).unwrap();
        let mut client = Connection::client(&Limits::default(), Scheme::Http);
        deliver(&mut client, &frame(SETTINGS, 0, 0, &[])).unwrap();
        client.open().unwrap();
        let seen = deliver(&mut client, server.output()).unwrap();
        let Seen::Text(1, text, true) = &seen[0] else { panic!("{seen:?}") };
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
}

/// A client whose server takes WebSockets, or does not.
fn client(takes: u32) -> Connection {
    let mut client = Connection::client(&Limits::default(), Scheme::Https);
    assert_eq!(client.takes_websockets(), None);
    deliver(&mut client, &frame(SETTINGS, 0, 0, &setting(8, takes))).unwrap();
    assert_eq!(client.takes_websockets(), Some(takes == 1));
    client
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_server_that_takes_them_is_asked_by_an_extended_connect() {
    let (mut client, mut server) = (client(1), server());
    client.output().clear();
    let stream = client.open().unwrap();
    assert_eq!(client.send(stream, UPGRADE.as_bytes()), Ok(UPGRADE.len()));
    let seen = deliver(&mut server, client.output()).unwrap();
    let [Seen::Text(1, request, false)] = &seen[..] else { panic!("{seen:?}") };
    assert!(
        request.starts_with("GET /chat HTTP/1.1\r\nHost: a.test\r\nsec-websocket-version: 13\r\n")
    );
    assert!(!request.contains("dGhlIHNhbXBsZSBub25jZQ"), "RFC 8441 §5: {request}");
    client.output().clear();

    let switch = headers(0, 1, &[(":status", "204"), ("sec-websocket-protocol", "chat")]);
    let seen = deliver(&mut client, &[switch, frame(DATA, 0, 1, b"hello")].concat()).unwrap();
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  sec-websocket-protocol: chat\r\n\r\nhello";
    assert_eq!(seen, [Seen::Text(1, answer.to_owned(), false)]);
    client.send(stream, b"hi").unwrap();
    assert_eq!(split(client.output()), [(DATA, 0, 1, b"hi".to_vec())]);
    client.output().clear();
    client.finish(stream);
    assert_eq!(split(client.output()), [(DATA, END_STREAM, 1, Vec::new())]);
    deliver(&mut client, &frame(DATA, END_STREAM, 1, b"")).unwrap();
    assert_eq!(client.streams(), 0);
}

#[test]
fn a_server_may_say_no_to_one_and_is_not_asked_where_it_takes_none() {
    let mut client = client(1);
    let stream = client.open().unwrap();
    client.send(stream, UPGRADE.as_bytes()).unwrap();
    let no = headers(END_STREAM, 1, &[(":status", "403")]);
    let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(deliver(&mut client, &no).unwrap(), [Seen::Text(1, answer.to_owned(), true)]);

    let mut client = self::client(0);
    let stream = client.open().unwrap();
    client.output().clear();
    assert_eq!(client.send(stream, UPGRADE.as_bytes()), Err(SendError::Upgrade));
    assert!(client.output().is_empty(), "nothing was said");
    let mut client = self::client(1);
    let stream = client.open().unwrap();
    let other = UPGRADE.replace("websocket\r\n", "h2c\r\n");
    assert_eq!(client.send(stream, other.as_bytes()), Err(SendError::Upgrade));
}
