//! Calls from pages and apps: click-to-call.
//!
//! Signalling is what a page asks over HTTP, one answer to each request. A call comes in three
//! strides, as in SIP: the offer is answered (200), the hand-off is used up for good in the store,
//! and only then the call is confirmed (ACK) and goes on to its queue or flow. An offer that is
//! refused uses nothing up, and of two calls with one token the second is never confirmed.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::acd;
use crate::base::{CallId, ContactId, Now};
use crate::call::Call;
use crate::call::release::{Cause, Party, Release};
use crate::config::Srtp;
use crate::ivr;
use crate::ivr::interpreter::Interpreter;
use crate::journey::Dossier;
use crate::journey::handoff::{Binding, TokenHash};
use crate::media::crowd::Shard;
use crate::sdp;

use super::Gateway;
use super::contact::Contact;

/// A call is confirmed within this, or never: 64 × T1, as long as SIP waits for an ACK
/// (RFC 3261 §13.3.1.4).
const CONFIRMED_WITHIN: Duration = Duration::from_secs(32);

/// A page that was left may be loaded again, a browser's phone be on another network: longer than
/// any refresh, shorter than anybody's patience with silence.
const BACK_WITHIN: Duration = Duration::from_secs(15);
/// Losses of a page that cost it nothing: it is loaded again, or changes its network.
const FREE_LOSSES: u32 = 3;
/// How long it is to stay after one more, doubled by each, up to [`LONGEST_SETTLING`]: or a page that
/// comes and goes would have agents' phones ring and stop without end.
const SETTLING: Duration = Duration::from_secs(1);
const LONGEST_SETTLING: Duration = Duration::from_secs(32);

/// What a page asks.
#[derive(Debug)]
pub enum Request {
    /// Calls with a hand-off that was good when it was looked at.
    Call(Box<Arrival>),
    /// The hand-off is used up by this call and no other.
    Confirm {
        call: CallId,
    },
    /// The page was loaded again, or its network changed: the same call goes on.
    Renew {
        call: CallId,
        secret: SecretHash,
        offer: Bytes,
    },
    HangUp {
        call: CallId,
        secret: SecretHash,
    },
}

#[derive(Debug)]
pub struct Arrival {
    pub binding: Binding,
    /// Of the customer, read with the hand-off: the first offer to an agent shows it.
    pub dossier: Dossier,
    /// By what the page will be known from now on.
    pub secret: SecretHash,
    /// SDP.
    pub offer: Bytes,
}

/// SHA-256 of a call's secret, which carries 128 random bits or more.
pub type SecretHash = TokenHash;

pub type Outcome = Result<Done, Refusal>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// SDP for the page.
    Answered {
        call: CallId,
        answer: Bytes,
    },
    Confirmed,
    HungUp,
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    // The page's.
    /// No call of that id with that secret is up.
    Unknown,
    Offer(sdp::Refusal),
    // The operator's.
    /// The brand takes no calls from pages.
    NoEntrance,
    // Ours, for now.
    Draining,
    /// No socket in stock.
    Congestion,
}

/// A call that a page knows.
#[derive(Debug)]
pub(super) struct Page {
    contact: ContactId,
    secret: SecretHash,
}

impl Gateway {
    pub(super) fn on_web(&mut self, now: Now, request: Request) -> Outcome {
        match request {
            Request::Call(arrival) => {
                self.counters.calls += 1;
                self.called(now, *arrival).inspect_err(|_| self.counters.calls_refused += 1)
            }
            Request::Confirm { call } => {
                let contact = self.pages.get(&call).map(|page| page.contact);
                let contact = self.paged(contact)?;
                contact.unconfirmed_until = None;
                contact.call.confirm();
                Ok(Done::Confirmed)
            }
            Request::Renew { call, secret, offer } => {
                let shard = self.theirs_on(call, secret)?.shard;
                let fresh = Shard::new(shard).map(|shard| shard.credentials(&mut self.mint));
                let contact = self.theirs_on(call, secret)?;
                let answer = contact.call.renew(&offer, fresh).map_err(Refusal::Offer)?;
                Ok(Done::Answered { call, answer })
            }
            Request::HangUp { call, secret } => {
                let contact = self.theirs_on(call, secret)?;
                contact.call.release(Release::new(Party::Caller, Cause::Normal));
                Ok(Done::HungUp)
            }
        }
    }

    /// A new call: negotiated in this turn, its customer known from the start.
    fn called(&mut self, now: Now, arrival: Arrival) -> Outcome {
        let Arrival { binding, dossier, secret, offer } = arrival;
        if self.draining {
            return Err(Refusal::Draining);
        }
        let entrance = self.config.click_to_call.get(&binding.brand).map(|door| door.entrance.clone());
        let entrance = entrance.ok_or(Refusal::NoEntrance)?;
        let Some(outfit) = self.outfit_for_call(&offer, Srtp::Off) else {
            tracing::warn!("no socket in stock for a new call");
            return Err(Refusal::Congestion);
        };
        let (leg, socket) = (self.sip.next_leg(), outfit.socket);
        let (call, answer) = Call::accept_web(leg, outfit, &offer).map_err(|refusal| {
            tracing::debug!(%leg, %refusal, "offer refused");
            self.stock.put_back(socket);
            Refusal::Offer(refusal)
        })?;
        self.taken(socket);
        let (id, call_id) = (self.mint.contact(now.wall), self.mint.call(now.wall));
        let mut contact = Contact::new(id, call_id, &entrance, call, socket.shard, now);
        contact.binding = Some(binding);
        contact.unconfirmed_until = Some(now.mono + CONFIRMED_WITHIN);
        contact.flow = Some(Interpreter::new(entrance.flow, entrance.language, ivr::Values::new()));
        tracing::info!(contact = %id, call = %call_id, "call from a page");
        self.legs.insert(leg, id);
        self.pages.insert(call_id, Page { contact: id, secret });
        self.contacts.insert(id, Box::new(contact));
        self.learn(now, id, dossier);
        self.store(now, id);
        self.stirred.insert(id);
        Ok(Done::Answered { call: call_id, answer })
    }

    /// Whoever should have confirmed the call is gone.
    pub(super) fn give_up_unconfirmed(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.unconfirmed_until.take_if(|until| *until <= now.mono).is_some() {
            contact.call.release(Release::by_us(Cause::NeverAcknowledged));
        }
    }

    /// The caller's page went away: no agent is rung for it meanwhile.
    pub(super) fn page_away(&mut self, now: Now, id: ContactId) {
        if let Some(contact) = self.contacts.get_mut(&id) {
            contact.page_gone_until = Some(now.mono + BACK_WITHIN);
            contact.page_settled_at = None;
            contact.page_losses = contact.page_losses.saturating_add(1);
            self.acd.handle_input(now.mono, acd::Input::Away { contact: id });
        }
    }

    pub(super) fn page_back(&mut self, now: Now, id: ContactId) {
        // Whose keys are new without a loss was never away.
        if let Some(contact) = self.contacts.get_mut(&id)
            && contact.page_gone_until.take().is_some()
        {
            contact.page_settled_at = settled(contact.page_losses).map(|after| now.mono + after);
            if contact.page_settled_at.is_none() {
                self.acd.handle_input(now.mono, acd::Input::Back { contact: id });
            }
        }
    }

    /// A page that often went has stayed for long enough.
    pub(super) fn believe_page(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.page_settled_at.take_if(|at| *at <= now.mono).is_some() {
            self.acd.handle_input(now.mono, acd::Input::Back { contact: id });
        }
    }

    /// The page did not come back.
    pub(super) fn give_up_page(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.page_gone_until.take_if(|until| *until <= now.mono).is_some() {
            contact.call.release(Release::new(Party::Caller, Cause::PeerLost));
        }
    }

    pub(super) fn phone_away(&mut self, now: Now, id: ContactId) {
        if let Some(contact) = self.contacts.get_mut(&id) {
            contact.phone_gone_until = Some(now.mono + BACK_WITHIN);
        }
    }

    /// The agent's phone did not come back, unless it did or is another by now.
    pub(super) fn give_up_phone(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.phone_gone_until.take_if(|until| *until <= now.mono).is_some() {
            contact.call.give_up_callee();
        }
    }

    /// The contact whose page this is. An unknown call and a wrong secret are told alike.
    fn theirs_on(&mut self, call: CallId, secret: SecretHash) -> Result<&mut Contact, Refusal> {
        // Hashes are compared: how long that takes says nothing of the secret.
        let page = self.pages.get(&call).filter(|page| page.secret == secret);
        let contact = page.map(|page| page.contact);
        self.paged(contact)
    }

    fn paged(&mut self, contact: Option<ContactId>) -> Result<&mut Contact, Refusal> {
        let contact = contact.and_then(|id| self.contacts.get_mut(&id)).ok_or(Refusal::Unknown)?;
        self.stirred.insert(contact.id);
        Ok(contact)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such call"),
            Self::Offer(refusal) => refusal.fmt(f),
            Self::NoEntrance => f.write_str("no calls are taken from pages"),
            Self::Draining => f.write_str("no new calls are taken"),
            Self::Congestion => f.write_str("no circuit available"),
        }
    }
}

impl std::error::Error for Refusal {}

/// How long a page is to stay before it is believed to be back.
fn settled(losses: u32) -> Option<Duration> {
    let more = losses.checked_sub(FREE_LOSSES + 1)?;
    Some(SETTLING.saturating_mul(1 << more.min(16)).min(LONGEST_SETTLING))
}
