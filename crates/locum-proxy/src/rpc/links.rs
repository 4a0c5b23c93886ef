//! The links of one worker.

use std::cell::RefCell;
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
}

impl Links {
    /// The link to `endpoint` that has the fewest calls; another, where that has many and there may be more.
    /// `None`: the upstream speaks no protocol of remote calls.
    pub(super) fn to(
        &self,
        endpoint: &Arc<Endpoint>,
        upstream: &Upstream,
        worker: &Worker,
    ) -> Option<Rc<Link>> {
        let protocol = upstream.settings.protocol.rpc()?;
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let links = by_endpoint.entry(endpoint.uid).or_default();
        let taking = links.iter().filter(|link| link.is_taking() && link.protocol == protocol);
        let least = taking.min_by_key(|link| link.in_flight());
        if let Some(least) = least
            && (least.in_flight() < MANY
                || links.len() >= upstream.settings.pool.connections_per_worker)
        {
            return Some(Rc::clone(least));
        }
        links.retain(|link| !link.is_closed());
        let link = Link::new(endpoint, protocol);
        links.push(Rc::clone(&link));
        let outfit = Outfit {
            protocol: upstream.settings.protocol,
            pool: upstream.settings.pool.clone(),
            alone: upstream.endpoints.len() == 1,
            buffers: Rc::clone(&worker.buffers),
            alarms: Rc::clone(&worker.alarms),
        };
        let alarms = Rc::clone(&worker.alarms);
        spawn_local(alarms.turns(Box::pin(drive(Rc::clone(&link), outfit))));
        Some(link)
    }

    /// Forgets links that are gone.
    pub(crate) fn sweep(&self) {
        self.by_endpoint.borrow_mut().retain(|_, links| {
            links.retain(|link| !link.is_closed());
            !links.is_empty()
        });
    }
}

/// Calls in flight on a link from which on another is made beside it. Few connections make large batches.
const MANY: usize = 256;
