//! What an INVITE from a trunk means: who calls, and which number was dialled.

use crate::base::{E164, NumberPlan};
use crate::sip::Name;
use crate::sip::Request;
use crate::sip::Uri;

/// Whether the network's word on the caller is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// P-Asserted-Identity, then From (RFC 3325 §5).
    Asserted,
    /// From only.
    Claimed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// `None` for withheld and meaningless numbers.
    pub caller: Option<E164>,
    /// `None` if what was dialled is no number.
    pub dialled: Option<E164>,
}

/// Reads an INVITE by the trunk's numbering plan.
pub fn read(invite: &Request, plan: &NumberPlan, identity: Identity) -> Arrival {
    let asserted = (identity == Identity::Asserted)
        .then(|| {
            invite
                .headers
                .name_addrs(Name::PAssertedIdentity)
                .flatten()
                .find_map(|id| number_of(&id.uri, plan))
        })
        .flatten();
    let claimed = || invite.headers.from().ok().and_then(|from| number_of(&from.uri, plan));
    Arrival { caller: asserted.or_else(claimed), dialled: number_of(&invite.uri, plan) }
}

/// The number in a sip: or tel: URI.
fn number_of(uri: &Uri, plan: &NumberPlan) -> Option<E164> {
    plan.normalise(&uri.number()?)
}
