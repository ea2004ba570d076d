//! The end of a call, and what is kept of it.

use crate::acd;
use crate::base::{ContactId, Now};
use crate::call::release::{Party, Release};
use crate::cti::Push;
use crate::ivr;

use super::contact::Place;
use super::{Gateway, Output, Write};

impl Gateway {
    /// The call is over: everybody who has a part in it is told, and the record is closed.
    pub(super) fn released(&mut self, now: Now, id: ContactId, release: Release) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.timeline.end(now.mono);
        self.follow_stage(now.mono, id);
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let place = std::mem::replace(&mut contact.place, Place::Over);
        contact.release = Some(release);
        contact.end_recording(now.mono);
        contact.tell_flow(now, ivr::Input::HungUp);
        let (leg, shard) = (contact.call.caller_leg(), contact.shard);
        self.legs.remove(&leg);
        self.pages.remove(&contact.call_id);
        contact.unconfirmed_until = None;
        contact.page_gone_until = None;
        contact.phone_gone_until = None;
        self.stock.call_over(shard);
        match place {
            Place::Queued(_) | Place::Offered { .. } => {
                self.counters.abandoned += u64::from(release.by == Party::Caller);
                self.acd.handle_input(now.mono, acd::Input::Abandon { contact: id });
            }
            Place::Talking { queue, agent } => {
                contact.place = Place::Talking { queue, agent: agent.clone() };
                let filed = contact.disposition.is_some();
                self.acd.handle_input(now.mono, acd::Input::Release { contact: id, agent: agent.clone() });
                self.push(&agent, Push::Released { contact: id, release });
                if filed {
                    // The agent was quicker than the caller: nothing is left to wrap up.
                    self.acd.handle_input(now.mono, acd::Input::WrappedUp { contact: id, agent });
                }
            }
            Place::Flow | Place::Outside { .. } | Place::Over => {}
        }
        self.drain_flow(now, id);
        // Where the caller was quicker than the store, the steps are this call's own journey.
        self.report_steps(now, id);
        if let Some(contact) = self.contacts.get(&id) {
            tracing::info!(contact = %id, call = %contact.call_id, %release, ms = contact.timeline.length_ms(now.mono), "released");
        }
        self.store(now, id);
        self.forget_if_done(id);
    }

    pub(super) fn store(&mut self, now: Now, id: ContactId) {
        if let Some(contact) = self.contacts.get_mut(&id) {
            self.outputs.push_back(Output::Store(Write::Contact(Box::new(contact.record(now)))));
        }
    }

    pub(super) fn resolve(&mut self, id: ContactId, journey: String) {
        let Some(contact) = self.contacts.get(&id) else { return };
        if let Some(customer) = contact.customer() {
            let brand = contact.brand.clone();
            self.outputs.push_back(Output::Store(Write::Resolve { brand, customer, journey }));
        }
    }

    /// A contact whose call is over and which holds no agent is only a record any more.
    pub(super) fn forget_if_done(&mut self, id: ContactId) {
        let Some(contact) = self.contacts.get(&id) else { return };
        let held = |agent| self.holding.get(agent) == Some(&id);
        if !contact.call.is_over()
            || contact.awaits_disk()
            || contact.hops.last().is_some_and(|hop| held(&hop.agent))
        {
            return;
        }
        if let Some(at) = contact.deadline {
            self.deadlines.remove(&(at, id));
        }
        self.unlist(id);
        self.contacts.remove(&id);
        self.stirred.remove(&id);
    }

    /// Takes the contact out of the open-contact index.
    pub(super) fn unlist(&mut self, id: ContactId) {
        let Some(contact) = self.contacts.get(&id) else { return };
        let Some(customer) = contact.customer() else { return };
        let key = (contact.brand.clone(), customer);
        if let Some(open) = self.open.get_mut(&key) {
            open.remove(&id);
            if open.is_empty() {
                self.open.remove(&key);
            }
        }
    }
}
