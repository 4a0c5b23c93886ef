//! Real connections, under a clock that is moved by hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, yield_now};

use super::*;
use crate::clock::{Hand, Source};
use crate::listener::{self, Bind, Limits, Listener};
use crate::stream::Stream;
use crate::worker::GRACE;

struct Setting {
    worker: Rc<Worker>,
    hand: Arc<Hand>,
    listener: Arc<Listener>,
    door: TcpListener,
}

fn with_a_worker(test: impl AsyncFnOnce(&Setting)) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let hand = Hand::new();
    let worker = Worker::idle_by(Source::Hand(Arc::clone(&hand)));
    LocalSet::new().block_on(&runtime, async {
        let watch = worker.parking.watch().unwrap();
        spawn_local(attend(Rc::clone(&worker), watch));
        let alarms = Rc::clone(&worker.alarms);
        spawn_local(async move { alarms.drive().await });
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let listener = listener(door.local_addr().unwrap());
        test(&Setting { worker, hand, listener, door }).await;
    });
}

fn listener(bind: SocketAddr) -> Arc<Listener> {
    let limits = Limits { idle: Duration::from_secs(60), ..Limits::default() };
    let settings = listener::Settings { limits, ..listener::Settings::new("web", Bind::Tcp(bind)) };
    Listener::build(&settings, None).unwrap()
}

impl Setting {
    /// A client of a connection that is served.
    async fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.door.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = self.door.accept().await.unwrap();
        let seat = self.listener.admit(Some(peer.ip())).unwrap();
        let listener = Arc::clone(&self.listener);
        let served = Client::new(Stream::Tcp(stream), Some(peer), listener, seat, &self.worker);
        let guest = self.worker.guest();
        let alarms = Rc::clone(&self.worker.alarms);
        spawn_local(alarms.turns(async move {
            served.serve(guest.worker()).await;
            drop(guest);
        }));
        client
    }

    fn parked(&self) -> usize {
        self.worker.parking.parked.borrow().len()
    }

    /// Lets time pass a tenth of a second at a time until so many are parked; gives back how long that took.
    async fn until_parked(&self, count: usize) -> Duration {
        let began = self.hand.now();
        while self.parked() != count {
            self.pass(Duration::from_millis(100)).await;
        }
        self.hand.now().since(began)
    }

    /// Lets time pass, and everybody do what he does then.
    async fn pass(&self, time: Duration) {
        self.hand.move_to(self.hand.now() + time);
        for _ in 0..20 {
            yield_now().await;
        }
    }
}

/// What a route that is not there is answered with.
async fn is_answered(client: &mut TcpStream) -> bool {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 4096];
    let count = client.read(&mut answer).await.unwrap();
    answer[..count].starts_with(b"HTTP/1.1 404 ")
}

#[test]
fn a_silent_connection_is_parked_and_goes_on_when_its_client_speaks() {
    with_a_worker(async |setting| {
        let mut client = setting.client().await;
        for times in 0..6 {
            let waited = setting.until_parked(1).await;
            assert!(waited >= patience(times), "{waited:?} before it was parked, {times} times");
            assert!(waited <= patience(times) + Duration::from_millis(400), "{waited:?}");
            assert!(is_answered(&mut client).await);
            assert_eq!(setting.parked(), 0);
        }
        assert_eq!(setting.listener.connections(), 1);
    });
}

#[test]
fn many_speak_at_once() {
    with_a_worker(async |setting| {
        let mut clients = Vec::new();
        for _ in 0..3 * AT_ONCE {
            clients.push(setting.client().await);
        }
        setting.until_parked(3 * AT_ONCE).await;
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").await.unwrap();
        }
        for client in &mut clients {
            client.write_all(b"\r\n").await.unwrap();
            assert!(client.read(&mut [0; 4096]).await.unwrap() > 0);
        }
        assert_eq!((setting.parked(), setting.listener.connections()), (0, 3 * AT_ONCE));
    });
}

#[test]
fn a_parked_connection_is_closed_when_it_has_been_silent_for_too_long() {
    with_a_worker(async |setting| {
        let mut first = setting.client().await;
        setting.until_parked(1).await;
        let _second = setting.client().await;
        setting.until_parked(2).await;
        let idle = setting.listener.settings.limits.idle;
        let waited = setting.until_parked(1).await + setting.hand.now().since(Time::ZERO);
        assert!(setting.hand.now() >= Time::ZERO + idle, "closed after {waited:?}");
        assert!(setting.hand.now() <= Time::ZERO + idle + Duration::from_millis(400));
        assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(setting.listener.connections(), 1, "the other began later");
        setting.until_parked(0).await;
        assert!(setting.worker.is_empty());
    });
}

#[test]
fn a_parked_connection_that_its_client_closes_is_gone() {
    with_a_worker(async |setting| {
        let clients = [setting.client().await, setting.client().await];
        setting.until_parked(2).await;
        let [first, second] = clients;
        drop(first);
        setting.until_parked(1).await;
        second.set_zero_linger().unwrap();
        drop(second);
        setting.until_parked(0).await;
        assert_eq!(setting.listener.connections(), 0);
    });
}

#[test]
fn a_drain_serves_who_speaks_and_closes_the_parked_after_its_grace() {
    with_a_worker(async |setting| {
        let (mut speaks, mut silent) = (setting.client().await, setting.client().await);
        setting.until_parked(2).await;
        setting.worker.begin_drain();
        setting.worker.alarms.wake_all();
        assert!(is_answered(&mut speaks).await);
        assert!(!setting.worker.is_empty());
        setting.pass(GRACE).await;
        setting.worker.alarms.wake_all();
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(setting.parked(), 0);
    });
}

#[test]
fn room_for_many_is_given_back_when_they_have_gone() {
    with_a_worker(async |setting| {
        let mut clients = Vec::new();
        for _ in 0..100 {
            clients.push(setting.client().await);
        }
        setting.until_parked(100).await;
        clients.truncate(1);
        setting.until_parked(1).await;
        setting.worker.parking.shrink();
        assert!(setting.worker.parking.parked.borrow().capacity() < 100);
    });
}
