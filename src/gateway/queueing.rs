//! Waiting for an agent: queue, offer, ring, withdrawal, answer.
//!
//! The router decides who is offered whom; here its decisions reach the desk first, then the
//! phone. **A ring-no-answer is the router's decision** (`acd::router`); its consequences are in
//! [`Gateway::withdraw`].

use std::time::Duration;

use serde_json::json;

use crate::acd;
use crate::base::{AgentId, ContactId, Now, QueueId};
use crate::call::record::Stage;
use crate::call::release::{Cause, Release};
use crate::call::{Answering, Ring, Who};
use crate::config::{OverflowTarget, Phone};
use crate::cti::{self, Hop, Push};
use crate::ivr::{self, Utterance};
use crate::sip::endpoint::Target;

use super::contact::{Hearing, Passage, Place, RingState, Waiting};
use super::{Gateway, Output, pop};

impl Gateway {
    pub(super) fn enqueue(&mut self, now: Now, id: ContactId, line: Waiting) {
        let config = self.config.clone();
        let Some(spec) = config.queues.get(&line.queue) else {
            return self.unserved(now, id, line, "unknown");
        };
        if spec.hours.as_ref().is_some_and(|hours| !hours.is_open(now.wall)) {
            return self.unserved(now, id, line, "closed");
        }
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.timeline.enter(now.mono, Stage::Queue);
        contact.queue = Some(line.queue.clone());
        let announce_at = spec.announce_every.map(|every| now.mono + every);
        let enqueue = acd::Enqueue {
            contact: id,
            queue: line.queue.clone(),
            skills: line.demand.skills.clone(),
            priority: line.demand.priority,
            waited: now.mono - line.since,
            presence: contact.presence(),
        };
        contact.place = Place::Queued(Waiting { announce_at, ..line });
        let ticket = contact.awaiting.ticket();
        contact.awaiting.music = Some(ticket);
        let music = Utterance::Prompt { name: spec.music.clone(), language: contact.language };
        self.outputs.push_back(Output::Speak { contact: id, ticket, utterances: vec![music] });
        self.acd.handle_input(now.mono, acd::Input::Enqueue(enqueue));
        // On disk from stage to stage, so that a crash leaves a record that says how far it came.
        self.store(now, id);
    }

    /// The queue let go of a contact it did not serve.
    pub(super) fn overflowed(&mut self, now: Now, id: ContactId, why: acd::Overflow) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let why = match why {
            acd::Overflow::MaxWait => "max_wait",
            acd::Overflow::Full => "full",
            acd::Overflow::Removed => "removed",
            acd::Overflow::Unknown => "unknown",
        };
        if let Place::Queued(line) | Place::Offered { line, .. } =
            std::mem::replace(&mut contact.place, Place::Flow)
        {
            self.unserved(now, id, line, why);
        }
    }

    /// Another queue serves the contact, or its flow goes on.
    fn unserved(&mut self, now: Now, id: ContactId, line: Waiting, why: &str) {
        self.counters.overflows += 1;
        self.stirred.insert(id);
        let target = self.config.queues.get(&line.queue).map(|spec| &spec.overflow);
        if let (Some(OverflowTarget::Queue(next)), Passage::First) = (target, line.passage) {
            let line = Waiting { queue: next.clone(), passage: Passage::PassedOn, ..line };
            return self.enqueue(now, id, line);
        }
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.unserved = Some(why.to_owned());
        contact.place = Place::Flow;
        contact.timeline.enter(now.mono, Stage::Ivr);
        contact.hearing = Hearing::Nothing;
        contact.call.hush();
        contact.tell_flow(now, ivr::Input::Overflowed { why: why.to_owned() });
        // A flow that was passed by on the way to the queue begins now.
        contact.tell_flow(now, ivr::Input::Begin);
    }

    /// The pop goes out first; the phone rings when it is on the screen, or soon.
    pub(super) fn offer(
        &mut self,
        now: Now,
        id: ContactId,
        agent: AgentId,
        queue: QueueId,
        waited: Duration,
        answer_within: Duration,
    ) {
        self.counters.offers += 1;
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let Place::Queued(line) = contact.place.clone() else { return };
        contact.version += 1;
        let pop = pop::compose(contact, now.wall, &self.config.topics, queue.clone(), waited, answer_within);
        contact.hop_to(Hop {
            agent: agent.clone(),
            queue,
            version: contact.version,
            offered_at: now.wall,
            displayed_at: None,
            rung_at: None,
            answered_at: None,
            outcome: cti::Outcome::Offered,
        });
        contact.show(pop.clone(), &self.config.topics);
        contact.errand = pop::errand(contact, now.wall, &self.config.topics);
        let attended = self.desks.get(&agent).is_some_and(|desk| desk.connection().is_some());
        let grace = self.config.queues.get(&line.queue).map_or(Duration::ZERO, |spec| spec.pop_grace);
        let ring = RingState::Due(now.mono + grace);
        contact.place = Place::Offered { line, agent: agent.clone(), ring };
        self.push(&agent, Push::Offer(Box::new(pop)));
        if !attended {
            self.ring(now, id, Answering::ByHand);
        }
        self.stirred.insert(id);
    }

    pub(super) fn ring(&mut self, now: Now, id: ContactId, answering: Answering) {
        // At a shutdown the router may still offer a caller whose end is being carried out.
        let Some(contact) = self.contacts.get_mut(&id).filter(|c| !c.call.is_over()) else { return };
        let Place::Offered { agent, ring, .. } = &mut contact.place else { return };
        *ring = RingState::Rung;
        let agent = agent.clone();
        self.stirred.insert(id);
        let target = match self.config.agents.get(&agent).map(|agent| &agent.phone) {
            Some(Phone::Account { .. }) => Some(Target::Account(agent.clone())),
            Some(Phone::Uri(uri)) => uri.parse().ok().map(Target::Uri),
            Some(Phone::Softphone) => return self.ring_desk(now, id, agent),
            None => None,
        };
        let shard = contact.shard;
        let outfit = target.as_ref().and_then(|_| self.outfit_for_agent(&agent, shard));
        let (Some(target), Some(outfit)) = (target, outfit) else {
            return self.acd.handle_input(now.mono, acd::Input::Fail { contact: id, agent });
        };
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.timeline.enter(now.mono, Stage::Ring);
        if let Some(hop) = contact.hop() {
            hop.rung_at = Some(now.wall);
        }
        let leg = self.sip.next_leg();
        self.legs.insert(leg, id);
        let caller = contact.caller.as_ref().map_or("anonymous", |number| number.as_str()).to_owned();
        let ring = Ring { target, caller, answering };
        contact.call.ring(Who::Agent(agent), leg, outfit, ring);
    }

    pub(super) fn withdraw(&mut self, now: Now, id: ContactId, agent: AgentId, why: acd::Withdrawal) {
        if why == acd::Withdrawal::Rona {
            self.counters.rona += 1;
        }
        self.push(&agent, Push::Withdrawn { contact: id, reason: why });
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if let Some(hop) = contact.hop() {
            hop.outcome = why.into();
        }
        let cause = match why {
            acd::Withdrawal::Abandoned | acd::Withdrawal::CallerAway => Cause::Cancelled,
            _ => Cause::NoAnswer,
        };
        contact.call.withdraw(Release::by_us(cause));
        self.stirred.insert(id);
        if contact.call.is_over() {
            contact.place = Place::Over;
            return self.store(now, id);
        }
        if let Place::Offered { line, .. } = &contact.place {
            contact.place = Place::Queued(line.clone());
            contact.timeline.enter(now.mono, Stage::Queue);
        }
    }

    pub(super) fn agent_state(&mut self, agent: AgentId, state: acd::State) {
        let holds = state.contact();
        let held = match holds {
            Some(contact) => self.holding.insert(agent.clone(), contact),
            None => self.holding.remove(&agent),
        };
        if let acd::State::WrapUp { contact, remaining } = &state {
            let remaining_ms = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
            self.push(&agent, Push::WrapUp { contact: *contact, remaining_ms });
        }
        self.push(&agent, Push::State(state));
        if let Some(left) = held.filter(|left| holds != Some(*left)) {
            self.forget_if_done(left);
        }
    }

    pub(super) fn agent_answered(&mut self, now: Now, id: ContactId, agent: AgentId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let Place::Offered { line, .. } = &contact.place else { return };
        let queue = line.queue.clone();
        contact.place = Place::Talking { queue: queue.clone(), agent: agent.clone() };
        contact.timeline.enter(now.mono, Stage::Talk);
        contact.hearing = Hearing::Nothing;
        if let Some(hop) = contact.hop() {
            hop.answered_at = Some(now.wall);
            hop.outcome = cti::Outcome::Answered;
            self.counters.displayed_before_answer += u64::from(hop.displayed_at.is_some());
        }
        self.counters.calls_answered_by_agents += 1;
        if self.config.queues.get(&queue).is_some_and(|queue| queue.record) {
            self.record(now, id);
        }
        self.served(now, id);
        self.acd.handle_input(now.mono, acd::Input::Answer { contact: id, agent: agent.clone() });
        self.push(&agent, Push::Connected { contact: id, at: now.wall });
        self.follow_stage(now.mono, id);
        self.store(now, id);
    }

    pub(super) fn held(&mut self, now: Now, id: ContactId, stage: Stage, push: fn(ContactId) -> Push) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.timeline.enter(now.mono, stage);
        if let Some(agent) = contact.agent().cloned() {
            self.push(&agent, push(id));
        }
        self.follow_stage(now.mono, id);
        self.store(now, id);
    }

    /// What the agent sees changed: same shape, next version.
    pub(super) fn update_pop(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let (Some(agent), Some(old)) = (contact.agent().cloned(), &contact.pop) else { return };
        let (queue, waited, within) = (old.queue.clone(), old.waited, old.answer_within);
        contact.version += 1;
        let pop = pop::compose(contact, now.wall, &self.config.topics, queue, waited, within);
        contact.show(pop.clone(), &self.config.topics);
        if contact.errand.is_none() {
            contact.errand = pop::errand(contact, now.wall, &self.config.topics);
        }
        if let Some(hop) = contact.hop() {
            hop.version = pop.version;
            hop.displayed_at = None;
        }
        self.push(&agent, Push::Update(Box::new(pop)));
    }

    /// Tells a waiting caller its place in line, now and then.
    fn announce(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let waiting = matches!(contact.place, Place::Queued(_));
        let language = contact.language;
        let Some(line) = contact.line_mut().filter(|line| line.announce_at.is_some_and(|at| at <= now.mono))
        else {
            return;
        };
        let every = self.config.queues.get(&line.queue).and_then(|queue| queue.announce_every);
        line.announce_at = every.map(|every| now.mono + every);
        let (Some(place), true) = (self.acd.position(now.mono, id), waiting) else { return };
        let values = json!({ "position": place.position, "of": place.of });
        let spoken = values.as_object().and_then(|values| self.position.render(values, language).ok());
        if let Some(utterances) = spoken {
            self.speak(id, utterances, Hearing::Announcement);
        }
    }

    /// Something of this contact is due: its flow's timer, the ring, an announcement.
    pub(super) fn on_contact_due(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        self.stirred.insert(id);
        if let Some(flow) = &mut contact.flow
            && flow.poll_timeout().is_some_and(|at| at <= now.mono)
        {
            flow.handle_timeout(now.mono);
        }
        if matches!(contact.place, Place::Offered { ring: RingState::Due(at), .. } if at <= now.mono) {
            self.ring(now, id, Answering::ByHand);
        }
        self.give_up_ringing_outside(now, id);
        self.give_up_unconfirmed(now, id);
        self.give_up_page(now, id);
        self.believe_page(now, id);
        self.give_up_phone(now, id);
        self.give_up_on_disk(now, id);
        self.announce(now, id);
    }
}
