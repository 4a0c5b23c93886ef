//! Which endpoints stand in the zone of the proxy.

use locum_policy::balance::{Ask, Endpoints, Standing, zones};

use super::EndpointSettings;

/// The endpoints of an upstream that are near, where others are not.
pub(super) struct Zones {
    /// For each endpoint whether it is near, and its weight.
    near: Box<[(bool, u32)]>,
}

impl Zones {
    /// `None`: all endpoints are as near as each other, for who stands in `zone`, if it is known.
    pub(super) fn of<'a>(
        endpoints: impl Iterator<Item = &'a EndpointSettings>,
        zone: Option<&str>,
    ) -> Option<Self> {
        let zone = zone?;
        let near = |it: &EndpointSettings| (it.zone.as_deref() == Some(zone), it.weight);
        let near: Box<[_]> = endpoints.map(near).collect();
        let count = near.iter().filter(|(near, _)| *near).count();
        (count > 0 && count < near.len()).then_some(Self { near })
    }

    pub(super) fn is_near(&self, index: u32) -> bool {
        self.near[index as usize].0
    }

    /// Whether this pick stays in the zone.
    pub(super) fn stays(&self, endpoints: &impl Endpoints, ask: &Ask<'_>) -> bool {
        let (mut all, mut usable) = (0, 0);
        for (index, (_, weight)) in (0..).zip(&self.near).filter(|(_, (near, _))| *near) {
            all += u64::from(*weight);
            if endpoints.standing(index) == Standing::Usable {
                usable += u64::from(*weight);
            }
        }
        ask.lot(STAYS) < zones::stay(usable, all)
    }
}

/// What the lot is drawn for.
const STAYS: u64 = 0x0073_7461_7973;
