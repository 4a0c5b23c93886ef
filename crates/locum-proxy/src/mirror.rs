//! Calls that are made once more, elsewhere, for nobody: what comes of them is counted and thrown away.
//!
//! A copy leaves when the call itself has ended, so it delays nothing; it is not tried again, and no policy knows of it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use locum_policy::balance::Ask;
use locum_wire::proxy_protocol::Header;
use tokio::task::spawn_local;

use crate::buffer::Buffer;
use crate::caller::Caller;
use crate::forward::Prepared;
use crate::outgoing::{Line, within};
use crate::upstream::{Upstream, pool};
use crate::worker::Worker;

/// Where copies go, and of how many calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The upstream, which speaks HTTP/1.1.
    pub upstream: String,
    /// Of a hundred calls, from above 0 to 100.
    pub percent: f64,
}

/// The same, resolved.
pub(crate) struct Mirror {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) percent: f64,
}

/// A body may have so many bytes to be copied.
pub(crate) const BODY: usize = 64 << 10;
/// Copies of one worker that are under way at once.
const MOST: usize = 64;
/// A copy may take so long, and of its answer so much is read.
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER: usize = 1 << 20;

impl Mirror {
    /// Whether `random` falls on a call that is copied.
    pub(crate) fn takes(&self, random: u64) -> bool {
        // 53 bits, as many as the fraction has.
        ((random >> 11) as f64) < self.percent / 100.0 * (1_u64 << 53) as f64
    }

    /// Makes the call of `caller` once more, if all of it is there and there is room.
    pub(crate) fn send(&self, caller: &Caller<'_>, prepared: &Prepared<'_, '_>, worker: &Worker) {
        let label = self.upstream.label;
        let count = |outcome| worker.shard.count_mirrored(label, outcome);
        let upload = caller.upload.borrow();
        // An answer to HEAD could not be told from one that breaks off; a WebSocket is no call.
        if caller.head_only
            || caller.websocket
            || !upload.is_done()
            || !upload.is_replayable()
            || upload.received() > BODY as u64
        {
            return count("skipped");
        }
        let Some(place) = worker.mirrored.take(MOST) else { return count("full") };
        let ask = Ask { tried: &[], key: None, random: worker.random(), now: worker.now() };
        let Some(id) = self.upstream.pick(&[], &ask) else { return count("unavailable") };
        let endpoint = Arc::clone(&self.upstream.endpoints[id as usize]);
        let mut request = Vec::new();
        prepared.write(&mut request, endpoint.host(), 1, None);
        upload.replay_into(&mut request);

        let timeout = self.upstream.settings.pool.connect_timeout;
        let (means, shard) = (worker.means(), Arc::clone(&worker.shard));
        let alarms = Rc::clone(&means.alarms);
        spawn_local(alarms.turns(async move {
            let _place = place;
            let _in_flight = endpoint.begin();
            let asking = async {
                let (buffers, alarms) = (&means.buffers, &means.alarms);
                let dialled = pool::dial(&endpoint, &Header::Local, timeout, buffers, alarms).await;
                let stream = dialled.map_err(|error| error.to_string())?;
                let mut line = Line { stream, buffer: Buffer::new(buffers) };
                line.ask(&request, ANSWER).await
            };
            let outcome = match within(PATIENCE, &means, asking).await {
                Ok(answer) if answer.status < 500 => "success",
                _ => "failure",
            };
            shard.count_mirrored(label, outcome);
        }));
    }
}
