//! Between a flow and the world: what it says, fetches, reports and hands over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::acd;
use crate::base::{BrandId, ContactId, CustomerId, E164, Now, QueueId};
use crate::call::record::Stage;
use crate::call::release::{Cause, Release};
use crate::call::{Answering, Ring, Who};
use crate::ivr::interpreter::Interpreter;
use crate::ivr::{self, FetchFault, Utterance};
use crate::journey::{Dossier, Profile, Status, Step};
use crate::media::{Prompt, Repeat};
use crate::sip::Uri;
use crate::sip::endpoint::Target;

use super::contact::{Contact, Demand, Hearing, LookUp, Passage, Place, Waiting};
use super::{Gateway, Output, Write, pop};

/// How long somebody outside is rung before the flow goes on.
const LONGEST_RING: Duration = Duration::from_secs(60);

impl Gateway {
    /// The caller hears us: the flow begins, unless the hand-off leads to a queue past it.
    pub(super) fn begin(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let Some(queue) = contact.binding.as_ref().and_then(|binding| binding.queue.clone()) else {
            return contact.tell_flow(now, ivr::Input::Begin);
        };
        let demand = Demand::default();
        let line = Waiting { queue, demand, since: now.mono, announce_at: None, passage: Passage::First };
        self.enqueue(now, id, line);
    }

    pub(super) fn exit(&mut self, now: Now, id: ContactId, exit: ivr::Exit) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        match exit {
            ivr::Exit::HangUp { reason } => {
                // A flow that failed, or that could not get its caller served, settled nothing.
                let settled = reason.is_none() && contact.unserved.is_none();
                let journey = contact.ivr_journey.clone();
                contact.call.release(Release::by_us(Cause::FlowEnded));
                if settled {
                    self.resolve(id, journey);
                }
            }
            ivr::Exit::Queue { queue, skills, priority } => {
                let demand = Demand { skills, priority };
                let line =
                    Waiting { queue, demand, since: now.mono, announce_at: None, passage: Passage::First };
                self.enqueue(now, id, line);
            }
            ivr::Exit::Transfer { to } => self.transfer(now, id, &to),
        }
    }

    /// A labelled step of our own flow is a step of the caller's journey.
    pub(super) fn ivr_step(&mut self, now: Now, id: ContactId, report: ivr::StepReport) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let identifiers = contact.identifiers();
        if identifiers.is_empty() {
            return;
        }
        if contact.looked_up == LookUp::Awaited {
            return contact.unreported.push(report);
        }
        contact.ivr_steps += 1;
        let (status, reason) = match report.outcome {
            ivr::Outcome::Entered => (Status::Entered, None),
            ivr::Outcome::Done => (Status::Done, None),
            ivr::Outcome::Failed { reason } => (Status::Failed, Some(reason)),
            ivr::Outcome::Abandoned => (Status::Abandoned, None),
        };
        let step = Step {
            id: format!("{id}-{}", contact.ivr_steps),
            journey: contact.ivr_journey.clone(),
            topic: contact.flow_id.to_string(),
            channel: pop::IVR.to_owned(),
            step: report.step,
            label: Some(report.label),
            ordinal: report.ordinal,
            total: report.total,
            status,
            reason,
            data: BTreeMap::new(),
            at: now.wall,
        };
        let profile = Profile { identifiers, ..Profile::default() };
        let brand = contact.brand.clone();
        self.outputs.push_back(Output::Store(Write::Steps {
            contact: id,
            brand,
            profile,
            steps: vec![step],
        }));
    }

    /// Reports what was held back until it was clear which journey it belongs to.
    pub(super) fn report_steps(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.looked_up = LookUp::Done;
        for report in std::mem::take(&mut contact.unreported) {
            self.ivr_step(now, id, report);
        }
    }

    /// The errand is in human hands: the flow has no part in it any more, and its journey is settled.
    pub(super) fn served(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.tell_flow(now, ivr::Input::Served);
        let journey = contact.ivr_journey.clone();
        // Its last step first: one that came after would open the journey again.
        self.drain_flow(now, id);
        self.resolve(id, journey);
    }

    /// What the flow still had to say when the caller hung up: steps that were left in the middle.
    pub(super) fn drain_flow(&mut self, now: Now, id: ContactId) {
        while let Some(output) =
            self.contacts.get_mut(&id).and_then(|c| c.flow.as_mut()).and_then(Interpreter::poll_output)
        {
            self.flow_said(now, id, output);
        }
    }

    /// Asks the store who is calling; one question at a time, and a later one once more after it.
    pub(super) fn look_up(&mut self, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let Some(sought) = contact.sought() else { return };
        if contact.awaiting.look_up.is_some() {
            contact.awaiting.look_again = true;
            return;
        }
        let ticket = contact.awaiting.ticket();
        contact.awaiting.look_up = Some(ticket);
        let brand = contact.brand.clone();
        self.outputs.push_back(Output::LookUp { contact: id, ticket, brand, sought });
    }

    pub(super) fn on_found(&mut self, now: Now, id: ContactId, ticket: u64, dossier: Option<Box<Dossier>>) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.awaiting.look_up.take_if(|awaited| *awaited == ticket).is_none() {
            return;
        }
        let again = std::mem::take(&mut contact.awaiting.look_again);
        // Whom a hand-off named is somebody, whatever a look-up says.
        let bound = contact.binding.is_some();
        match dossier.filter(|found| !bound || found.customer.is_some()) {
            Some(dossier) => self.learn(now, id, *dossier),
            // What was known before stays known.
            None => self.report_steps(now, id),
        }
        self.stirred.insert(id);
        if again {
            self.look_up(id);
        }
    }

    pub(super) fn learn(&mut self, now: Now, id: ContactId, dossier: Dossier) {
        // Customers are merged while one of them is on the phone.
        self.unlist(id);
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if let Some(customer) = &dossier.customer {
            let key = (contact.brand.clone(), customer.id);
            self.open.entry(key).or_default().insert(id);
        }
        let topics = &self.config.topics;
        // Composed as of one moment, so that only what is known makes a difference, not its age.
        let began = contact.timeline.began().wall;
        let seen = |contact: &Contact| {
            let queue = contact.queue.clone().unwrap_or_else(|| QueueId::from(""));
            pop::compose(contact, began, topics, queue, Duration::ZERO, Duration::ZERO)
        };
        let before = seen(contact);
        contact.learn(dossier);
        let news = seen(contact) != before;
        if contact.looked_up == LookUp::Awaited
            && let Some((journey, step)) = pop::resumable(contact, now.wall, topics)
        {
            // The same errand in the same flow: this call's steps continue that journey.
            contact.ivr_journey = journey;
            contact.resume = Some(step);
        }
        let values = pop::values(contact, now.wall, topics);
        contact.tell_flow(now, ivr::Input::Learn(values));
        self.report_steps(now, id);
        if news {
            self.update_pop(now, id);
        }
    }

    /// An app posted while its owner is on the phone: look again.
    pub(super) fn on_posted(&mut self, brand: &BrandId, customers: &[CustomerId]) {
        for customer in customers {
            let open = self.open.get(&(brand.clone(), *customer)).cloned().unwrap_or_default();
            for id in open {
                self.look_up(id);
            }
        }
    }

    /// A caller nobody knew became a customer by the steps taken in this very call.
    pub(super) fn on_stepped(&mut self, id: ContactId) {
        if self.contacts.get(&id).is_some_and(|contact| contact.customer().is_none()) {
            self.look_up(id);
        }
    }

    pub(super) fn on_spoken(&mut self, now: Now, id: ContactId, ticket: u64, prompts: Vec<Arc<Prompt>>) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        self.stirred.insert(id);
        let prompts: Arc<[Arc<Prompt>]> = prompts.into();
        if contact.awaiting.music == Some(ticket) {
            contact.awaiting.music = None;
            contact.call.keep_hold_music(prompts.clone());
            contact.music = Some(prompts);
            // Another queue's music, too, gives way; an announcement is heard to its end first.
            if matches!(contact.hearing, Hearing::Nothing | Hearing::Music) {
                contact.play_music();
            }
        } else if let Some((_, hearing)) = contact.awaiting.speech.take_if(|(awaited, _)| *awaited == ticket)
        {
            if hearing == Hearing::Announcement && !matches!(contact.place, Place::Queued(_)) {
                return;
            }
            contact.hearing = hearing;
            if prompts.is_empty() {
                // Nothing could be spoken: silence counts as heard, the caller must not hang.
                contact.hearing = Hearing::Nothing;
                if hearing == Hearing::Flow {
                    contact.tell_flow(now, ivr::Input::Heard);
                }
                return;
            }
            contact.call.play(prompts, Repeat::Once);
        }
    }

    pub(super) fn on_fetched(
        &mut self,
        now: Now,
        id: ContactId,
        ticket: u64,
        outcome: Result<serde_json::Value, FetchFault>,
    ) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.awaiting.fetch.take_if(|awaited| *awaited == ticket).is_some() {
            contact.tell_flow(now, ivr::Input::Fetched(outcome));
            self.stirred.insert(id);
        }
    }

    pub(super) fn speak(&mut self, id: ContactId, utterances: Vec<Utterance>, hearing: Hearing) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let ticket = contact.awaiting.ticket();
        contact.awaiting.speech = Some((ticket, hearing));
        self.outputs.push_back(Output::Speak { contact: id, ticket, utterances });
    }

    /// Calls out are default-deny: only a destination that the flow is granted.
    fn transfer(&mut self, now: Now, id: ContactId, to: &str) {
        let config = self.config.clone();
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        self.stirred.insert(id);
        if contact.presence() == acd::Presence::Away {
            // Whoever answered would hear nobody.
            return contact.tell_flow(now, ivr::Input::TransferFailed);
        }
        let granted = config.destinations.iter().find(|destination| {
            to.starts_with(&destination.prefix) && destination.flows.contains(&contact.flow_id)
        });
        let trunk = granted.and_then(|granted| config.trunks.get(&granted.trunk));
        let address = trunk.and_then(|trunk| trunk.address);
        let socket = address.and_then(|_| self.stock.take_beside(contact.shard));
        let (Some(trunk), Some((_, address)), Some(socket)) = (trunk, address, socket) else {
            tracing::warn!(contact = %id, flow = %contact.flow_id, "transfer to a destination that is not granted");
            return contact.tell_flow(now, ivr::Input::TransferFailed);
        };
        self.taken(socket);
        let srtp = trunk.srtp;
        let target = Target::Trunk(trunk.id.clone(), Uri::sip(to, address));
        let outfit = self.outfit(socket, srtp);
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.place = Place::Outside { until: Some(now.mono + LONGEST_RING) };
        contact.timeline.enter(now.mono, Stage::Ring);
        let leg = self.sip.next_leg();
        self.legs.insert(leg, id);
        let caller = contact.number.as_ref().map_or("anonymous", E164::as_str).to_owned();
        let ring = Ring { target, caller, answering: Answering::ByHand };
        let who = Who::Outside(to.to_owned());
        contact.call.ring(who, leg, outfit, ring);
    }

    /// Nobody outside answered in time: the flow goes on.
    pub(super) fn give_up_ringing_outside(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if !matches!(contact.place, Place::Outside { until: Some(at) } if at <= now.mono) {
            return;
        }
        contact.call.withdraw(Release::by_us(Cause::NoAnswer));
        contact.place = Place::Flow;
        contact.timeline.enter(now.mono, Stage::Ivr);
        contact.tell_flow(now, ivr::Input::TransferFailed);
    }
}
