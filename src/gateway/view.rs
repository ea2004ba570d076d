//! What supervisors and `baton ctl` see: a moment of the gateway, as plain data.

use serde::Serialize;

use crate::acd;
use crate::base::{AgentId, CallId, ContactId, FlowId, LegId, Now, QueueId};
use crate::call::record::Stage;
use crate::cti::{ContactStage, Push};

use super::contact::{Contact, Place};
use super::{Counters, Gateway};

/// One call that is up.
#[derive(Clone, Debug, Serialize)]
pub struct CallView {
    pub contact: ContactId,
    pub call: CallId,
    /// Masked.
    pub caller: Option<String>,
    pub flow: FlowId,
    pub stage: Stage,
    pub queue: Option<QueueId>,
    pub agent: Option<AgentId>,
    pub ms: u64,
}

/// An agent, and how it can be reached.
#[derive(Clone, Debug, Serialize)]
pub struct AgentView {
    #[serde(flatten)]
    pub state: acd::agent::View,
    pub name: String,
    /// Whether a desktop is connected.
    pub desktop: bool,
    /// Whether the phone is registered; always true for one with an address of its own.
    pub phone: bool,
}

/// How the gateway is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Health {
    pub calls: usize,
    pub waiting: usize,
    /// Socket pairs ready for new legs.
    pub sockets: usize,
    pub draining: bool,
}

/// What should be nothing once everybody has hung up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Residue {
    pub contacts: usize,
    pub legs: usize,
    pub transactions: usize,
    pub dialogs: usize,
    pub deadlines: usize,
    pub open: usize,
    pub holding: usize,
    pub pages: usize,
    pub recordings: usize,
    /// Standing legs of desktops.
    pub standing: usize,
}

impl Gateway {
    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub fn health(&self, now: Now) -> Health {
        Health {
            calls: self.contacts.values().filter(|contact| !contact.call.is_over()).count(),
            waiting: self.acd.queue_views(now.mono).map(|queue| queue.waiting).sum(),
            sockets: self.stock.available(),
            draining: self.draining,
        }
    }

    pub fn calls(&self, now: Now) -> Vec<CallView> {
        self.contacts
            .values()
            .filter(|contact| !contact.call.is_over())
            .map(|contact| call(contact, now))
            .collect()
    }

    pub fn queues(&self, now: Now) -> Vec<acd::queue::View> {
        self.acd.queue_views(now.mono).collect()
    }

    pub fn agents(&self, now: Now) -> Vec<AgentView> {
        self.acd
            .agent_views(now.mono)
            .filter_map(|state| {
                let agent = self.config.agents.get(&state.agent)?;
                Some(AgentView {
                    name: agent.name.clone(),
                    desktop: self.desks.get(&state.agent).is_some_and(|desk| desk.connection().is_some()),
                    phone: self.is_reachable(&state.agent),
                    state,
                })
            })
            .collect()
    }

    pub fn residue(&self) -> Residue {
        let sip = self.sip.counts();
        Residue {
            contacts: self.contacts.len(),
            legs: self.legs.len(),
            transactions: sip.transactions,
            dialogs: sip.usages,
            deadlines: self.deadlines.len(),
            open: self.open.len(),
            holding: self.holding.len(),
            pages: self.pages.len(),
            recordings: self.recordings.len(),
            standing: self.softphones.len().max(self.lines.len()),
        }
    }

    /// All that a desktop shows.
    pub(super) fn snapshot(&self, now: Now, agent: &AgentId) -> Push {
        let held = self.holding.get(agent).and_then(|id| self.contacts.get(id));
        let state = self.acd.agent_view(now.mono, agent).map(|view| view.state);
        Push::Snapshot {
            state: state.unwrap_or(acd::State::NotReady { reason: acd::Reason::LoggedOut }),
            pop: held.and_then(|contact| contact.pop.clone()).map(Box::new),
            stage: held.and_then(|contact| stage(contact)),
        }
    }

    /// The legs of a contact's call, for tests that speak for the far ends.
    pub fn legs_of(&self, contact: ContactId) -> Option<(LegId, Option<LegId>)> {
        let call = &self.contacts.get(&contact)?.call;
        Some((call.caller_leg(), call.callee_leg()))
    }
}

fn stage(contact: &Contact) -> Option<ContactStage> {
    match &contact.place {
        Place::Offered { .. } => Some(ContactStage::Offered),
        Place::Talking { .. } if contact.call.is_over() => Some(ContactStage::WrapUp),
        Place::Talking { .. } if contact.timeline.stage() == Stage::Hold => Some(ContactStage::Held),
        Place::Talking { .. } => Some(ContactStage::Talking),
        _ => None,
    }
}

fn call(contact: &Contact, now: Now) -> CallView {
    CallView {
        contact: contact.id,
        call: contact.call_id,
        caller: contact.caller.as_ref().map(ToString::to_string),
        flow: contact.flow_id.clone(),
        stage: contact.timeline.stage(),
        queue: contact.queue().cloned(),
        agent: contact.agent().cloned(),
        ms: contact.timeline.length_ms(now.mono),
    }
}
