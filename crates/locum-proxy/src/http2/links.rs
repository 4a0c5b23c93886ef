//! The links of one worker.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use rustc_hash::FxHashMap;
use tokio::task::spawn_local;

use super::crowd::Crowd;
use super::link::{Link, Outfit, Phase, drive};
use super::outlet::CROWDED;
use super::stream::Stream;
use crate::stream::tls::HandshakeError;
use crate::upstream::pool::ConnectError;
use crate::upstream::{Endpoint, Upstream};
use crate::worker::Worker;

/// The links of one worker, by endpoint.
#[derive(Default)]
pub(crate) struct Links {
    by_endpoint: RefCell<FxHashMap<u32, Ways>>,
}

/// The links to one endpoint, and those who wait for a stream.
#[derive(Default)]
struct Ways {
    links: Vec<Rc<Link>>,
    crowd: Rc<Crowd>,
}

/// A way to an endpoint.
pub(crate) enum Way {
    /// A stream, and whether its connection carried another before.
    Stream(Stream, bool),
    /// The endpoint wants HTTP/1.1.
    Http1,
}

impl Links {
    /// A stream to `endpoint`: on the connection that there is, or on another where that takes no more and there may be
    /// one. Waits until there is one, for twice as long as a connection may take to be made.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a connection that is being made for others.
    pub(crate) async fn open(
        &self,
        endpoint: &Arc<Endpoint>,
        upstream: &Upstream,
        worker: &Worker,
    ) -> Result<Way, ConnectError> {
        let crowd = {
            let mut ways = self.by_endpoint.borrow_mut();
            Rc::clone(&ways.entry(endpoint.uid).or_default().crowd)
        };
        // The link that this call has waited for: how it failed is how the call does.
        let mut awaited: Option<Rc<Link>> = None;
        let alarm = worker.alarms.alarm();
        alarm.arm_in(upstream.settings.pool.connect_timeout.saturating_mul(2));
        let mut waiting = pin!(crowd.wait_for(|| {
            if let Some(link) = &awaited {
                match &*link.phase.borrow() {
                    Phase::Failed(error) => return Some(Err(again(error))),
                    Phase::Http1 => return Some(Ok(Way::Http1)),
                    _ => {}
                }
            }
            if endpoint.http1.load(Ordering::Relaxed) {
                return Some(Ok(Way::Http1));
            }
            let (stream, link) = self.look(endpoint, upstream, worker);
            awaited = link;
            stream.map(Ok)
        }));
        poll_fn(|cx| match waiting.as_mut().poll(cx) {
            Poll::Pending => alarm.poll(cx).map(|()| Err(ConnectError::TimedOut)),
            found => found,
        })
        .await
    }

    /// A stream, or a link to wait for.
    fn look(
        &self,
        endpoint: &Arc<Endpoint>,
        upstream: &Upstream,
        worker: &Worker,
    ) -> (Option<Way>, Option<Rc<Link>>) {
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let Ways { links, crowd } = by_endpoint.entry(endpoint.uid).or_default();
        let mut connecting = None;
        let mut taking = 0;
        for link in &*links {
            match &mut *link.phase.borrow_mut() {
                Phase::Open(streams, used) => {
                    taking += 1;
                    // What is begun has to be said at once: heads come in the order of their streams.
                    let takes = {
                        let mut state = streams.state.borrow_mut();
                        state.slots.len() < MOST && state.codec.output().len() < CROWDED
                    };
                    if takes && let Some(stream) = streams.open() {
                        let was_used = std::mem::replace(used, true);
                        return (Some(Way::Stream(stream, was_used)), None);
                    }
                }
                Phase::Connecting => {
                    taking += 1;
                    connecting = Some(Rc::clone(link));
                }
                Phase::Retired | Phase::Failed(_) | Phase::Http1 | Phase::Closed => {}
            }
        }
        if connecting.is_some() || taking >= upstream.settings.pool.connections_per_worker {
            return (None, connecting);
        }
        links.retain(|link| link.is_there());
        if links.len() >= upstream.settings.pool.connections_per_worker + MOST_RETIRED {
            return (None, None);
        }
        let link = Rc::new(Link {
            endpoint: Arc::clone(endpoint),
            phase: RefCell::new(Phase::Connecting),
        });
        links.push(Rc::clone(&link));
        let outfit = Outfit {
            protocol: upstream.settings.protocol,
            pool: upstream.settings.pool.clone(),
            crowd: Rc::clone(crowd),
            buffers: Rc::clone(&worker.buffers),
            alarms: Rc::clone(&worker.alarms),
        };
        let driven = drive(Rc::clone(&link), outfit);
        spawn_local(Rc::clone(&worker.alarms).turns(driven));
        (None, Some(link))
    }

    /// Forgets links that are gone, and lets those go whose endpoint is to get no more calls.
    pub(crate) fn sweep(&self) {
        self.by_endpoint.borrow_mut().retain(|_, ways| {
            ways.links.retain(|link| link.is_there());
            ways.links
                .iter()
                .filter(|link| link.endpoint.is_retired())
                .for_each(|link| link.retire());
            !ways.links.is_empty() || Rc::strong_count(&ways.crowd) > 1
        });
    }
}

/// The same error for another who waited.
fn again(error: &ConnectError) -> ConnectError {
    let same = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
    match error {
        ConnectError::TimedOut => ConnectError::TimedOut,
        ConnectError::Failed(error) => ConnectError::Failed(same(error)),
        ConnectError::Handshake(error) => ConnectError::Handshake(match error {
            HandshakeError::Plain => HandshakeError::Plain,
            HandshakeError::Refused(error) => HandshakeError::Refused(error.clone()),
            HandshakeError::Broken(error) => HandshakeError::Broken(same(error)),
            HandshakeError::Gone => HandshakeError::Gone,
            HandshakeError::TimedOut => HandshakeError::TimedOut,
        }),
    }
}

/// Streams of one link, whatever the endpoint takes: it says so only after the first of them.
const MOST: usize = 256;
/// Links to one endpoint that take no more calls and have not ended.
const MOST_RETIRED: usize = 16;
