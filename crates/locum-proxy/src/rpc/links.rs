//! The links of one worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::task::spawn_local;

use super::drive::{Outfit, drive};
use super::link::Link;
use crate::upstream::{Endpoint, Upstream};
use crate::worker::Worker;

/// The links of one worker, by endpoint.
#[derive(Default)]
pub(crate) struct Links {
    by_endpoint: RefCell<FxHashMap<u32, Vec<Rc<Link>>>>,
    /// How many clients have enough answers for now.
    pub(super) full_takers: Rc<Cell<usize>>,
}

impl Links {
    /// The link to `endpoint` that has the fewest calls; another, where that has many and there may be more.
    ///
    /// # Errors
    ///
    /// The upstream speaks no protocol of remote calls, or there are as many links as there may be and none takes
    /// a call.
    pub(super) fn to(
        &self,
        endpoint: &Arc<Endpoint>,
        upstream: &Upstream,
        worker: &Worker,
    ) -> Result<Rc<Link>, &'static str> {
        let settings = &upstream.settings;
        let protocol = settings.protocol.rpc().ok_or("the upstream takes no remote calls")?;
        let most = settings.pool.connections_per_worker;
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let links = by_endpoint.entry(endpoint.uid).or_default();
        let taking = || links.iter().filter(|link| link.is_taking() && link.protocol == protocol);
        let least = taking().min_by_key(|link| link.in_flight());
        if let Some(least) = least
            && (least.in_flight() < MANY || taking().count() >= most)
        {
            return Ok(Rc::clone(least));
        }
        links.retain(|link| !link.is_closed());
        if links.len() >= most + MOST_RETIRED {
            return Err("the endpoint has as many connections as it may; try again");
        }
        let link = Link::new(endpoint, protocol, settings.cancel);
        links.push(Rc::clone(&link));
        let outfit = Outfit {
            protocol: settings.protocol,
            pool: settings.pool.clone(),
            alone: upstream.endpoints.len() == 1,
            buffers: Rc::clone(&worker.buffers),
            alarms: Rc::clone(&worker.alarms),
            full_takers: Rc::clone(&self.full_takers),
        };
        let alarms = Rc::clone(&worker.alarms);
        spawn_local(alarms.turns(drive(Rc::clone(&link), outfit)));
        Ok(link)
    }

    /// Forgets links that are gone, and ends those that lead to where no more calls go.
    pub(crate) fn sweep(&self) {
        self.by_endpoint.borrow_mut().retain(|_, links| {
            links.retain(|link| !link.is_closed());
            links.iter().filter(|link| link.endpoint.is_retired()).for_each(|link| link.retire());
            !links.is_empty()
        });
    }
}

/// Calls in flight on a link from which on another is made beside it. Few connections make large batches.
const MANY: usize = 256;
/// Links to one endpoint that take no more calls and have not ended.
const MOST_RETIRED: usize = 16;
