//! The router: one owner of every queue and every agent, so that "an agent is offered at most one
//! contact, and a contact to at most one agent" is a fact of its states and not of a lock order.
//!
//! What the layer above may rely on:
//! * Every input names its contact and does nothing when it no longer applies. A late `Answer` is told
//!   by its outcome: no [`State::Talking`] follows.
//! * A contact comes back from an offer to the place of its original wait and priority. An offer once
//!   made is let finish: neither the longest wait nor a reload takes a ringing phone away; the contact
//!   overflows when it comes back.
//! * Who fails an offer by its own doing (ring no answer, declined, unreachable) becomes not ready
//!   until it says otherwise, so the same phone is never rung for the same contact in a circle. The
//!   caller's hang-up costs the agent nothing, not even its place among the idle.
//! * Who is away keeps its place in line and its wait, longest wait included, and is offered to nobody; an
//!   offer of it ends as by a hang-up. Once it is back it is offered at once, if an agent is ready.
//! * What an agent wishes while a contact holds it comes true after wrap-up. Only logging out and a
//!   call of its own end an offer at once.
//!
//! Cost: contacts are grouped by what they demand (queue and skills), and a ready agent is listed with
//! every demand it meets. Where *d* is the number of demands one agent meets, an event costs O(d log n),
//! and a place in line O(log n) for each demand of its queue, however many agents and contacts *n*
//! there are. A combination of skills not asked for lately costs one look at the queue's agents; a
//! reload costs O(n log n).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use tracing::debug;

use super::agent::{self, Agent, Doing, Enrolment};
use super::line::Line;
use super::queue::{self, Demand, Place, Queue, Standing, Turn};
use super::{Enqueue, Input, Level, Output, Overflow, Presence, Reason, Wish, Withdrawal};
use crate::base::{AgentId, ContactId, Mono, QueueId, SkillId};

#[cfg(doc)]
use super::State;

/// For look-up; where it is walked, the result is sorted. Its hash has no random key, so a replay is
/// exact; ids are minted or configured by us, so nobody can choose them to collide.
type Index<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// Demands of one queue, beyond which those that nobody has at the moment are forgotten.
const REMEMBERED_DEMANDS: usize = 64;

#[derive(Debug, Default)]
pub struct Router {
    queues: Vec<Queue>,
    queue_numbers: Index<QueueId, u32>,
    agents: Vec<Agent>,
    agent_numbers: Index<AgentId, u32>,
    contacts: Index<ContactId, Contact>,
    demands: Vec<Demand>,
    /// Vacant places in `demands`.
    spare_demands: Vec<u32>,
    timers: BTreeSet<(Mono, Due)>,
    outputs: VecDeque<Output>,
    #[cfg(test)]
    pub(super) fault: Option<super::model::Fault>,
}

#[derive(Debug)]
struct Contact {
    queue: u32,
    skills: BTreeMap<SkillId, Level>,
    priority: u8,
    /// As in [`Turn`].
    since: i64,
    joined: Mono,
    presence: Presence,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting { demand: u32, overflow_at: Option<Mono> },
    Offered { agent: u32 },
    Talking,
}

/// Whose time is over. Of those due at one moment agents come first: whose wrap-up ends just then can
/// still take the contact whose patience does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Agent(u32),
    Contact(ContactId),
}

/// Whether the router has been seeded with this fault; the model's tests must notice each of them.
#[cfg(test)]
macro_rules! fault {
    ($router:ident, $fault:ident) => {
        $router.fault == Some(super::model::Fault::$fault)
    };
}
#[cfg(not(test))]
macro_rules! fault {
    ($router:ident, $fault:ident) => {
        false
    };
}

impl Router {
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes these the queues and agents; again on every reload. Contacts keep their places and their
    /// conversations.
    ///
    /// A queue that is gone overflows its line ([`Overflow::Removed`]). An agent that is gone finishes
    /// the contact that holds it; its last state is not ready, logged out. One that stays keeps its
    /// state, one that is new tells its first. New limits hold from now on, for who waits already too;
    /// an offer or conversation keeps the times it began with. Of specs with one id the last holds.
    pub fn configure(
        &mut self,
        now: Mono,
        queues: impl IntoIterator<Item = queue::Spec>,
        agents: impl IntoIterator<Item = agent::Spec>,
    ) {
        for queue in &mut self.queues {
            queue.standing = Standing::Removed;
        }
        for spec in queues {
            self.open(spec);
        }
        let line = self.dissolve();
        self.enrol(now, agents);
        for Turn { contact: id, .. } in line {
            let Some(contact) = self.contacts.get(&id) else { continue };
            let (queue, skills) = (contact.queue, contact.skills.clone());
            if self.queues[queue as usize].standing == Standing::Removed || fault!(self, ReloadDropsWaiting) {
                self.overflow(id, Overflow::Removed);
            } else {
                let demand = self.demand(queue, &skills);
                self.line_up(id, demand);
            }
        }
        self.assign(now);
        // A shorter longest wait may be over by now.
        self.handle_timeout(now);
    }

    pub fn handle_input(&mut self, now: Mono, input: Input) {
        match input {
            Input::Enqueue(enqueue) => self.enqueue(now, enqueue),
            Input::Abandon { contact } => self.abandon(now, contact),
            Input::Away { contact } => self.away(now, contact),
            Input::Back { contact } => self.back(now, contact),
            Input::Answer { contact, agent } => self.answer(now, contact, &agent),
            Input::Decline { contact, agent } => {
                if let Some(agent) = self.offered(contact, &agent) {
                    self.withdraw(now, agent, Withdrawal::Declined, |a| a.step_back(Reason::Declined));
                }
            }
            Input::Fail { contact, agent } => {
                if let Some(agent) = self.offered(contact, &agent) {
                    self.withdraw(now, agent, Withdrawal::Unreachable, |a| a.step_back(Reason::Unreachable));
                }
            }
            Input::Release { contact, agent } => self.release(now, contact, &agent),
            Input::WrappedUp { contact, agent } => {
                if let Some((agent, _)) = self.wrapping_up(contact, &agent) {
                    self.free(now, agent);
                }
            }
            Input::Extend { contact, agent, by } => {
                if let Some((agent, until)) = self.wrapping_up(contact, &agent) {
                    self.enter(now, agent, |a| a.doing = Doing::WrapUp { contact, until: until + by });
                }
            }
            Input::Wish { agent, wish } => self.wish(now, &agent, wish),
            Input::Busy { agent } => self.busy(now, &agent),
            Input::Idle { agent } => self.idle(now, &agent),
        }
    }

    /// Does what is due by now; calling too early or too often is no harm.
    pub fn handle_timeout(&mut self, now: Mono) {
        while let Some((at, due)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, due));
            match due {
                Due::Agent(agent) => match self.agents[agent as usize].doing {
                    Doing::Offered { .. } => {
                        self.withdraw(now, agent, Withdrawal::Rona, |a| a.step_back(Reason::Rona));
                    }
                    Doing::WrapUp { .. } => self.free(now, agent),
                    Doing::Nothing | Doing::Talking { .. } => {
                        debug_assert!(false, "a deadline outlived what it ends")
                    }
                },
                Due::Contact(contact) => {
                    self.leave_line(contact);
                    self.overflow(contact, Overflow::MaxWait);
                }
            }
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Where the contact stands in line; `None` if it is not in one, or is ringing at an agent.
    pub fn position(&self, now: Mono, contact: ContactId) -> Option<Place> {
        let waiting = self.contacts.get(&contact)?;
        let Stage::Waiting { .. } = waiting.stage else { return None };
        let queue = &self.queues[waiting.queue as usize];
        let turn = waiting.turn(contact, queue);
        let before = |demand: &u32| self.demands[*demand as usize].before(&turn);
        let position = 1 + queue.demands.values().map(before).sum::<usize>();
        let expected_wait = queue.pace.expected_wait(now, position);
        Some(Place { position, of: queue.waiting, expected_wait })
    }

    /// `None` for a queue that is not configured.
    pub fn queue_view(&self, now: Mono, queue: &QueueId) -> Option<queue::View> {
        let queue = &self.queues[*self.queue_numbers.get(queue)? as usize];
        (queue.standing == Standing::Open).then(|| self.view(now, queue))
    }

    /// Every configured queue, in the order in which they were first configured.
    pub fn queue_views(&self, now: Mono) -> impl Iterator<Item = queue::View> {
        let open = self.queues.iter().filter(|queue| queue.standing == Standing::Open);
        open.map(move |queue| self.view(now, queue))
    }

    /// `None` for an agent that is not configured and holds no contact.
    pub fn agent_view(&self, now: Mono, agent: &AgentId) -> Option<agent::View> {
        let agent = &self.agents[self.agent(agent)? as usize];
        Some(agent.view(now))
    }

    /// Every agent, in the order in which they were first configured.
    pub fn agent_views(&self, now: Mono) -> impl Iterator<Item = agent::View> {
        let present = self.agents.iter().filter(|agent| agent.enrolment != Enrolment::Gone);
        present.map(move |agent| agent.view(now))
    }

    fn enqueue(&mut self, now: Mono, enqueue: Enqueue) {
        let Enqueue { contact: id, queue, skills, priority, waited, presence } = enqueue;
        if self.contacts.contains_key(&id) {
            return debug!(contact = %id, "enqueued while it is here");
        }
        let open = self.queue_numbers.get(&queue).copied();
        let Some(queue) = open.filter(|&number| self.queues[number as usize].standing == Standing::Open)
        else {
            return self.outputs.push_back(Output::Overflow { contact: id, queue, why: Overflow::Unknown });
        };
        let demand = self.demand(queue, &skills);
        let priority = if fault!(self, PriorityIgnored) { 0 } else { priority };
        let stage = Stage::Waiting { demand, overflow_at: None };
        let since = nanos(now.as_nanos().into()).saturating_sub(nanos(waited.as_nanos()));
        self.contacts.insert(id, Contact { queue, skills, priority, since, joined: now, presence, stage });

        let entered = &mut self.queues[queue as usize];
        entered.counts.entered += 1;
        let full = entered.is_full();
        if let Some(agent) = self.agent_for(presence, demand) {
            self.offer(now, id, agent);
        } else if full {
            self.overflow(id, Overflow::Full);
        } else {
            self.wait(now, id, demand);
        }
    }

    fn abandon(&mut self, now: Mono, id: ContactId) {
        let Some(contact) = self.contacts.get(&id) else { return };
        let (waited, queue) = (contact.waited(now), contact.queue);
        let offered = match contact.stage {
            Stage::Waiting { .. } => {
                self.leave_line(id);
                None
            }
            Stage::Offered { agent } => {
                if fault!(self, IdlePlaceLost) {
                    self.agents[agent as usize].idle_since = now;
                }
                self.end_offer(now, agent, Withdrawal::Abandoned, |_| {});
                Some(agent)
            }
            Stage::Talking => return,
        };
        self.contacts.remove(&id);
        let queue = &mut self.queues[queue as usize];
        queue.counts.abandon(waited, queue.threshold());
        if let Some(agent) = offered {
            self.serve(now, agent);
        }
    }

    fn away(&mut self, now: Mono, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        match contact.stage {
            Stage::Waiting { demand, .. } => self.step_aside(id, demand, Presence::Away),
            Stage::Offered { agent } => {
                contact.presence = Presence::Away;
                self.withdraw(now, agent, Withdrawal::CallerAway, |_| {});
                self.serve(now, agent);
            }
            Stage::Talking => {}
        }
    }

    fn back(&mut self, now: Mono, id: ContactId) {
        let Some(contact) = self.contacts.get(&id).filter(|c| c.presence == Presence::Away) else { return };
        let Stage::Waiting { demand, .. } = contact.stage else { return };
        self.step_aside(id, demand, Presence::Here);
        if let Some(agent) = self.next_agent(demand) {
            self.take(now, id, agent);
        }
    }

    /// To the same place among those of this presence.
    fn step_aside(&mut self, id: ContactId, demand: u32, presence: Presence) {
        self.leave_line(id);
        if let Some(contact) = self.contacts.get_mut(&id) {
            contact.presence = presence;
        }
        self.line_up(id, demand);
    }

    fn answer(&mut self, now: Mono, contact: ContactId, agent: &AgentId) {
        let Some(number) = self.offered(contact, agent) else { return };
        let Doing::Offered { contact, wrap_up, .. } = self.agents[number as usize].doing else { return };
        let Some(answered) = self.contacts.get_mut(&contact) else { return };
        answered.stage = Stage::Talking;
        let (waited, queue) = (answered.waited(now), &mut self.queues[answered.queue as usize]);
        queue.offered -= 1;
        queue.talking += 1;
        queue.counts.answer(waited, queue.threshold());
        self.enter(now, number, |a| {
            a.answered += 1;
            a.doing = Doing::Talking { contact, wrap_up };
        });
    }

    fn release(&mut self, now: Mono, contact: ContactId, agent: &AgentId) {
        let Some(number) = self.agent(agent) else { return };
        let Doing::Talking { contact: held, wrap_up } = self.agents[number as usize].doing else { return };
        if held != contact {
            return;
        }
        if let Some(released) = self.contacts.remove(&contact) {
            self.queues[released.queue as usize].talking -= 1;
        }
        if wrap_up.is_zero() || fault!(self, WrapUpSkipped) {
            self.free(now, number);
        } else {
            self.enter(now, number, |a| a.doing = Doing::WrapUp { contact, until: now + wrap_up });
        }
    }

    fn wish(&mut self, now: Mono, agent: &AgentId, wish: Wish) {
        let Some(number) = self.agent(agent) else { return };
        let agent = &mut self.agents[number as usize];
        if agent.wish == wish {
            return;
        }
        match agent.doing {
            // Nobody is there to answer.
            Doing::Offered { .. } if wish == Wish::NotReady(Reason::LoggedOut) => {
                self.withdraw(now, number, Withdrawal::Unreachable, |a| a.want(wish));
            }
            Doing::Nothing if !agent.busy => {
                self.enter(now, number, |a| {
                    a.want(wish);
                    a.idle_since = now;
                });
                self.serve(now, number);
            }
            _ => agent.want(wish),
        }
    }

    fn busy(&mut self, now: Mono, agent: &AgentId) {
        let Some(number) = self.agent(agent) else { return };
        let agent = &mut self.agents[number as usize];
        if agent.busy {
            return;
        }
        match agent.doing {
            Doing::Offered { .. } => self.withdraw(now, number, Withdrawal::Unreachable, |a| a.busy = true),
            Doing::Nothing => self.enter(now, number, |a| a.busy = true),
            Doing::Talking { .. } | Doing::WrapUp { .. } => agent.busy = true,
        }
    }

    fn idle(&mut self, now: Mono, agent: &AgentId) {
        let Some(number) = self.agent(agent) else { return };
        let agent = &mut self.agents[number as usize];
        if !agent.busy {
            return;
        }
        if agent.doing == Doing::Nothing {
            self.enter(now, number, |a| {
                a.busy = false;
                a.idle_since = now;
            });
            self.serve(now, number);
        } else {
            agent.busy = false;
        }
    }

    /// Rings the agent for a contact that stands in no line.
    fn offer(&mut self, now: Mono, id: ContactId, number: u32) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.stage = Stage::Offered { agent: number };
        let queue = &mut self.queues[contact.queue as usize];
        queue.offered += 1;
        let (answer_within, wrap_up) = (queue.ring_time(), queue.wrap_up());
        self.outputs.push_back(Output::Offer {
            contact: id,
            agent: self.agents[number as usize].id.clone(),
            queue: queue.spec.id.clone(),
            waited: contact.waited(now),
            answer_within,
        });
        let rona_at = now + answer_within;
        self.enter(now, number, |a| a.doing = Doing::Offered { contact: id, rona_at, wrap_up });
    }

    /// Stops ringing the agent, which `change` then changes; its contact goes back to its place.
    fn withdraw(&mut self, now: Mono, number: u32, why: Withdrawal, change: impl FnOnce(&mut Agent)) {
        if let Some(contact) = self.end_offer(now, number, why, change) {
            self.rejoin(now, contact);
        }
    }

    fn end_offer(
        &mut self,
        now: Mono,
        number: u32,
        why: Withdrawal,
        change: impl FnOnce(&mut Agent),
    ) -> Option<ContactId> {
        let agent = &self.agents[number as usize];
        let Doing::Offered { contact, .. } = agent.doing else { return None };
        self.outputs.push_back(Output::Withdraw { contact, agent: agent.id.clone(), why });
        let queue = &mut self.queues[self.contacts.get(&contact)?.queue as usize];
        queue.offered -= 1;
        match why {
            Withdrawal::Rona => queue.counts.rang_out += 1,
            Withdrawal::Declined => queue.counts.declined += 1,
            Withdrawal::Unreachable => queue.counts.unreachable += 1,
            Withdrawal::Abandoned | Withdrawal::CallerAway | Withdrawal::TimedOut => {}
        }
        self.enter(now, number, |a| {
            a.doing = Doing::Nothing;
            change(a);
        });
        Some(contact)
    }

    /// After an offer that came to nothing: to the next agent, or to its old place in line.
    fn rejoin(&mut self, now: Mono, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if fault!(self, RonaToTheBack) {
            contact.since = nanos(now.as_nanos().into());
        }
        let queue = &self.queues[contact.queue as usize];
        if queue.standing == Standing::Removed {
            return self.overflow(id, Overflow::Removed);
        }
        if contact.overflow_at(queue).is_some_and(|at| at <= now) {
            return self.overflow(id, Overflow::MaxWait);
        }
        let (queue, skills, presence) = (contact.queue, contact.skills.clone(), contact.presence);
        let demand = self.demand(queue, &skills);
        match self.agent_for(presence, demand) {
            Some(agent) => self.offer(now, id, agent),
            None => self.wait(now, id, demand),
        }
    }

    /// Joins the line, nobody being ready.
    fn wait(&mut self, now: Mono, id: ContactId, demand: u32) {
        self.line_up(id, demand);
        let queue = &mut self.queues[self.demands[demand as usize].queue as usize];
        if queue.waiting == 1 {
            queue.pace.begin(now);
        }
        let queue = queue.spec.id.clone();
        if let Some(Place { position, of, expected_wait }) = self.position(now, id) {
            self.outputs.push_back(Output::Position { contact: id, queue, position, of, expected_wait });
        }
    }

    fn line_up(&mut self, id: ContactId, demand: u32) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let queue = &mut self.queues[contact.queue as usize];
        let overflow_at = contact.overflow_at(queue);
        contact.stage = Stage::Waiting { demand, overflow_at };
        queue.waiting += 1;
        queue.away += usize::from(contact.presence == Presence::Away);
        self.demands[demand as usize].side(contact.presence).insert(contact.turn(id, queue));
        if let Some(at) = overflow_at
            && !fault!(self, TimerLost)
        {
            self.timers.insert((at, Due::Contact(id)));
        }
    }

    fn leave_line(&mut self, id: ContactId) {
        let Some(contact) = self.contacts.get(&id) else { return };
        let Stage::Waiting { demand, overflow_at } = contact.stage else { return };
        let queue = &mut self.queues[contact.queue as usize];
        queue.waiting -= 1;
        queue.away -= usize::from(contact.presence == Presence::Away);
        self.demands[demand as usize].side(contact.presence).remove(&contact.turn(id, queue));
        if let Some(at) = overflow_at
            && !fault!(self, MaxWaitDuringOffer)
        {
            self.timers.remove(&(at, Due::Contact(id)));
        }
    }

    /// Gives up a contact that stands in no line and rings nowhere.
    fn overflow(&mut self, id: ContactId, why: Overflow) {
        let Some(contact) = self.contacts.remove(&id) else { return };
        let queue = &mut self.queues[contact.queue as usize];
        queue.counts.overflowed += 1;
        self.outputs.push_back(Output::Overflow { contact: id, queue: queue.spec.id.clone(), why });
    }

    /// The agent's wrap-up, or its conversation without one, is over.
    fn free(&mut self, now: Mono, number: u32) {
        self.enter(now, number, |a| {
            a.doing = Doing::Nothing;
            a.idle_since = now;
        });
        self.serve(now, number);
    }

    /// Offers the agent, if it is ready, whoever's turn it is over all that it serves.
    fn serve(&mut self, now: Mono, number: u32) {
        let agent = &self.agents[number as usize];
        if !agent.is_ready() {
            return;
        }
        let firsts = agent.meets.iter().filter_map(|&demand| self.demands[demand as usize].line.first());
        if let Some(turn) = firsts.min().copied() {
            self.take(now, turn.contact, number);
        }
    }

    /// Offers the agent a contact out of its line.
    fn take(&mut self, now: Mono, id: ContactId, number: u32) {
        self.leave_line(id);
        if let Some(contact) = self.contacts.get(&id) {
            self.queues[contact.queue as usize].pace.advance(now);
        }
        self.offer(now, id, number);
    }

    /// Nobody is rung for who is away.
    fn agent_for(&self, presence: Presence, demand: u32) -> Option<u32> {
        let offerable = presence == Presence::Here || fault!(self, AwayOffered);
        self.next_agent(demand).filter(|_| offerable)
    }

    fn next_agent(&self, demand: u32) -> Option<u32> {
        self.demands[demand as usize].ready.first().map(|&(_, _, agent)| agent)
    }

    /// The one way in which an agent changes state: keeps its timer, its listing and the counts true.
    fn enter(&mut self, now: Mono, number: u32, change: impl FnOnce(&mut Agent)) {
        self.unlist(number);
        let agent = &mut self.agents[number as usize];
        let before = agent.doing;
        change(agent);
        if !matches!((before, agent.doing), (Doing::WrapUp { .. }, Doing::WrapUp { .. })) {
            agent.state_since = now;
        }
        if agent.enrolment == Enrolment::Leaving && agent.doing == Doing::Nothing {
            agent.leave();
        }
        self.outputs.push_back(Output::State { agent: agent.id.clone(), state: agent.state(now) });
        self.list(number);
    }

    fn list(&mut self, number: u32) {
        let agent = &self.agents[number as usize];
        for &queue in &agent.queues {
            *self.queues[queue as usize].roster.of(agent) += 1;
        }
        if let Some(at) = agent.deadline() {
            self.timers.insert((at, Due::Agent(number)));
        }
        if agent.is_ready() || fault!(self, OfferedTwice) && matches!(agent.doing, Doing::Offered { .. }) {
            for &demand in &agent.meets {
                let Demand { queue, ready, .. } = &mut self.demands[demand as usize];
                let strategy = self.queues[*queue as usize].spec.strategy;
                ready.insert(strategy.key(agent.answered, agent.idle_since, number));
            }
        }
    }

    fn unlist(&mut self, number: u32) {
        let agent = &self.agents[number as usize];
        for &queue in &agent.queues {
            *self.queues[queue as usize].roster.of(agent) -= 1;
        }
        if let Some(at) = agent.deadline() {
            self.timers.remove(&(at, Due::Agent(number)));
        }
        if agent.is_ready() {
            for &demand in &agent.meets {
                let Demand { queue, ready, .. } = &mut self.demands[demand as usize];
                let strategy = self.queues[*queue as usize].spec.strategy;
                ready.remove(&strategy.key(agent.answered, agent.idle_since, number));
            }
        }
    }

    fn open(&mut self, spec: queue::Spec) {
        match self.queue_numbers.get(&spec.id) {
            Some(&number) => {
                let queue = &mut self.queues[number as usize];
                queue.spec = spec;
                queue.standing = Standing::Open;
            }
            None => {
                self.queue_numbers.insert(spec.id.clone(), count(&self.queues));
                self.queues.push(Queue::new(spec));
            }
        }
    }

    /// Takes every index apart, to be built anew; returns who stood in line, in turn.
    fn dissolve(&mut self) -> Vec<Turn> {
        let waiting = self.contacts.iter().filter(|(_, c)| matches!(c.stage, Stage::Waiting { .. }));
        let mut line: Vec<_> = waiting.map(|(&id, c)| c.turn(id, &self.queues[c.queue as usize])).collect();
        line.sort_unstable();

        self.timers.retain(|(_, due)| matches!(due, Due::Agent(_)));
        self.demands.clear();
        self.spare_demands.clear();
        for agent in &mut self.agents {
            agent.queues.clear();
            agent.meets.clear();
        }
        for number in 0..count(&self.queues) {
            let queue = &mut self.queues[number as usize];
            queue.members.clear();
            queue.roster = queue::Roster::default();
            queue.demands.clear();
            queue.waiting = 0;
            queue.away = 0;
            if queue.standing == Standing::Open {
                let requires = queue.requirement(&BTreeMap::new());
                let plain = self.found(number, requires);
                self.queues[number as usize].plain = plain;
            }
        }
        line
    }

    /// Who is new begins as its spec says; who is missing leaves as soon as nothing holds it.
    fn enrol(&mut self, now: Mono, specs: impl IntoIterator<Item = agent::Spec>) {
        for agent in &mut self.agents {
            if agent.enrolment == Enrolment::Staff {
                agent.enrolment = Enrolment::Leaving;
            }
        }
        let mut new = BTreeSet::new();
        for spec in specs {
            let number = match self.agent_numbers.get(&spec.id) {
                Some(&number) => {
                    let agent = &mut self.agents[number as usize];
                    if agent.enrolment == Enrolment::Gone {
                        *agent = Agent::new(now, &spec);
                        new.insert(number);
                    }
                    number
                }
                None => {
                    let number = count(&self.agents);
                    self.agent_numbers.insert(spec.id.clone(), number);
                    self.agents.push(Agent::new(now, &spec));
                    new.insert(number);
                    number
                }
            };
            let agent = &mut self.agents[number as usize];
            agent.enrolment = Enrolment::Staff;
            agent.skills = spec.skills;
            let queues = spec.queues.iter().filter_map(|id| self.queue_numbers.get(id).copied());
            agent.queues = queues.filter(|&q| self.queues[q as usize].standing == Standing::Open).collect();
            agent.queues.sort_unstable();
            agent.queues.dedup();
        }
        for number in 0..count(&self.agents) {
            let agent = &mut self.agents[number as usize];
            let left = agent.enrolment == Enrolment::Leaving && agent.doing == Doing::Nothing;
            if left {
                agent.leave();
            }
            if left || new.contains(&number) {
                self.outputs.push_back(Output::State { agent: agent.id.clone(), state: agent.state(now) });
            }
            let agent = &self.agents[number as usize];
            for &queue in &agent.queues {
                self.queues[queue as usize].members.push(number);
            }
            let plain = agent.queues.iter().map(|&queue| self.queues[queue as usize].plain);
            let meets = plain.filter(|&demand| self.meets(agent, demand)).collect();
            self.agents[number as usize].meets = meets;
            self.list(number);
        }
    }

    /// Pairs who waits with who is ready until no pair is left, turn by turn over all queues.
    fn assign(&mut self, now: Mono) {
        let first = |demand: &Demand| demand.line.first().copied();
        let numbered = self.demands.iter().zip(0u32..);
        let mut firsts: BTreeSet<_> =
            numbered.filter_map(|(demand, number)| Some((first(demand)?, number))).collect();
        while let Some((turn, demand)) = firsts.pop_first() {
            // Nobody becomes ready meanwhile: a demand without an agent is done with.
            let Some(agent) = self.next_agent(demand) else { continue };
            self.take(now, turn.contact, agent);
            firsts.extend(first(&self.demands[demand as usize]).map(|turn| (turn, demand)));
        }
    }

    /// The demand of a contact with these extra skills.
    fn demand(&mut self, queue: u32, skills: &BTreeMap<SkillId, Level>) -> u32 {
        let asked = &self.queues[queue as usize];
        if skills.is_empty() {
            return asked.plain;
        }
        let requires = asked.requirement(skills);
        if let Some(&known) = asked.demands.get(&requires) {
            return known;
        }
        self.forget_demands(queue);
        self.found(queue, requires)
    }

    /// Makes a new demand and lists with it the ready agents that meet it.
    fn found(&mut self, queue: u32, requires: Vec<(SkillId, Level)>) -> u32 {
        let number = self.spare_demands.pop().unwrap_or(count(&self.demands));
        self.queues[queue as usize].demands.insert(requires.clone(), number);
        let demand =
            Demand { queue, requires, line: Line::default(), away: Line::default(), ready: BTreeSet::new() };
        match self.demands.get_mut(number as usize) {
            Some(vacant) => *vacant = demand,
            None => self.demands.push(demand),
        }
        let Queue { members, spec, .. } = &self.queues[queue as usize];
        for &member in members {
            if self.meets(&self.agents[member as usize], number) {
                let agent = &mut self.agents[member as usize];
                agent.meets.push(number);
                if agent.is_ready() {
                    let key = spec.strategy.key(agent.answered, agent.idle_since, member);
                    self.demands[number as usize].ready.insert(key);
                }
            }
        }
        number
    }

    /// Callers may bring any combination of skills; those of which nobody waits are not kept for ever.
    fn forget_demands(&mut self, queue: u32) {
        let Queue { demands, plain, members, .. } = &mut self.queues[queue as usize];
        if demands.len() < REMEMBERED_DEMANDS {
            return;
        }
        let mut forgotten = BTreeSet::new();
        demands.retain(|_, number| {
            let keep = number == plain || !self.demands[*number as usize].is_deserted();
            if !keep {
                forgotten.insert(*number);
            }
            keep
        });
        for &member in members.iter() {
            self.agents[member as usize].meets.retain(|demand| !forgotten.contains(demand));
        }
        self.spare_demands.extend(forgotten);
    }

    fn meets(&self, agent: &Agent, demand: u32) -> bool {
        self.demands[demand as usize].requires.iter().all(|(skill, level)| {
            agent.skills.get(skill).is_some_and(|has| has >= level || fault!(self, SkillLevelIgnored))
        })
    }

    fn agent(&self, id: &AgentId) -> Option<u32> {
        let number = *self.agent_numbers.get(id)?;
        (self.agents[number as usize].enrolment != Enrolment::Gone).then_some(number)
    }

    /// The agent, if it is being offered this contact.
    fn offered(&self, contact: ContactId, agent: &AgentId) -> Option<u32> {
        let number = self.agent(agent)?;
        match self.agents[number as usize].doing {
            Doing::Offered { contact: held, .. } if held == contact || fault!(self, StaleAnswerAccepted) => {
                Some(number)
            }
            _ => None,
        }
    }

    /// The agent and the end of its wrap-up, if it is wrapping up this contact.
    fn wrapping_up(&self, contact: ContactId, agent: &AgentId) -> Option<(u32, Mono)> {
        let number = self.agent(agent)?;
        match self.agents[number as usize].doing {
            Doing::WrapUp { contact: held, until } if held == contact => Some((number, until)),
            _ => None,
        }
    }

    fn view(&self, now: Mono, queue: &Queue) -> queue::View {
        let oldest =
            queue.demands.values().filter_map(|&demand| self.demands[demand as usize].oldest()).min();
        let at_once = self.next_agent(queue.plain).map(|_| Duration::ZERO);
        queue::View {
            queue: queue.spec.id.clone(),
            waiting: queue.waiting,
            away: queue.away,
            offered: queue.offered,
            talking: queue.talking,
            longest_wait: oldest.map(|since| span(since, now)),
            expected_wait: at_once.or_else(|| queue.pace.expected_wait(now, queue.waiting + 1)),
            agents: queue.roster,
            service_level: queue.counts.level(queue.spec.service_level_formula),
            counts: queue.counts.clone(),
        }
    }
}

impl Contact {
    fn turn(&self, id: ContactId, queue: &Queue) -> Turn {
        let priority = u16::from(self.priority) + u16::from(queue.spec.priority);
        Turn { priority: Reverse(priority), since: self.since, contact: id }
    }

    fn waited(&self, now: Mono) -> Duration {
        span(self.since, now)
    }

    fn overflow_at(&self, queue: &Queue) -> Option<Mono> {
        queue.max_wait().map(|longest| self.joined + longest)
    }
}

fn nanos(n: u128) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn span(since: i64, now: Mono) -> Duration {
    Duration::from_nanos(nanos(now.as_nanos().into()).abs_diff(since))
}

/// What is numbered here is named in a configuration: it never exceeds 32 bits.
fn count<T>(things: &[T]) -> u32 {
    things.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acd::agent::Initial;
    use crate::acd::{State, Strategy};

    struct Centre {
        queues: Vec<queue::Spec>,
        agents: Vec<agent::Spec>,
    }

    /// Two queues with every default, two agents in both, ready from the start; Ann came first.
    fn centre() -> Centre {
        let agent = |name: &str| agent::Spec {
            queues: vec!["sales".into(), "cards".into()],
            initial: Initial::Ready,
            ..agent::Spec::new(name.into())
        };
        let queue = |name: &str| queue::Spec::new(name.into());
        Centre { queues: vec![queue("sales"), queue("cards")], agents: vec![agent("ann"), agent("bob")] }
    }

    /// The same without Bob.
    fn ann_alone() -> Centre {
        let mut centre = centre();
        centre.agents.pop();
        centre
    }

    fn input(words: &[&str]) -> Input {
        let id = |word: &str| ContactId(word.parse().unwrap());
        match *words {
            ["call", contact, queue, ref more @ ..] => {
                let mut enqueue = Enqueue {
                    contact: id(contact),
                    queue: queue.into(),
                    skills: BTreeMap::new(),
                    priority: 0,
                    waited: Duration::ZERO,
                    presence: Presence::Here,
                };
                for word in more {
                    match word.split_once('=').unwrap() {
                        ("priority", n) => enqueue.priority = n.parse().unwrap(),
                        ("waited", n) => enqueue.waited = Duration::from_secs(n.parse().unwrap()),
                        (skill, level) => {
                            enqueue.skills.insert(skill.into(), level.parse().unwrap());
                        }
                    }
                }
                Input::Enqueue(enqueue)
            }
            ["away", contact] => Input::Away { contact: id(contact) },
            ["back", contact] => Input::Back { contact: id(contact) },
            ["abandon", contact] => Input::Abandon { contact: id(contact) },
            ["answer", contact, agent] => Input::Answer { contact: id(contact), agent: agent.into() },
            ["decline", contact, agent] => Input::Decline { contact: id(contact), agent: agent.into() },
            ["fail", contact, agent] => Input::Fail { contact: id(contact), agent: agent.into() },
            ["release", contact, agent] => Input::Release { contact: id(contact), agent: agent.into() },
            ["wrapped-up", contact, agent] => Input::WrappedUp { contact: id(contact), agent: agent.into() },
            ["extend", contact, agent, by] => Input::Extend {
                contact: id(contact),
                agent: agent.into(),
                by: Duration::from_secs(by.parse().unwrap()),
            },
            ["ready", agent] => Input::Wish { agent: agent.into(), wish: Wish::Ready },
            ["log-out", agent] => {
                Input::Wish { agent: agent.into(), wish: Wish::NotReady(Reason::LoggedOut) }
            }
            ["break", agent] => {
                Input::Wish { agent: agent.into(), wish: Wish::NotReady(Reason::Named("break".into())) }
            }
            ["busy", agent] => Input::Busy { agent: agent.into() },
            ["idle", agent] => Input::Idle { agent: agent.into() },
            _ => panic!("no such happening: {words:?}"),
        }
    }

    fn line(secs: u64, output: Output) -> String {
        let what = match output {
            Output::Offer { contact, agent, .. } => format!("offer {} to {agent}", contact.0),
            Output::Withdraw { contact, agent, why } => {
                format!("withdraw {} from {agent}: {why:?}", contact.0)
            }
            Output::Overflow { contact, why, .. } => format!("overflow {}: {why:?}", contact.0),
            Output::Position { contact, position, of, .. } => format!("{} is {position} of {of}", contact.0),
            Output::State { agent, state } => match state {
                State::NotReady { reason } => format!("{agent} not ready: {reason:?}"),
                State::Ready => format!("{agent} ready"),
                // The offer's own line says it.
                State::Offered { .. } => return String::new(),
                State::Talking { contact } => format!("{agent} talks to {}", contact.0),
                State::WrapUp { remaining, .. } => format!("{agent} wraps up for {}", remaining.as_secs()),
                State::Busy => format!("{agent} busy"),
            },
        };
        format!("{secs:>3} {what}\n")
    }

    /// Plays a script of `seconds happening` lines, firing timers on the way, and writes down what the
    /// router did. `without` reloads the configuration without that queue or agent. Ends when nothing
    /// is due.
    fn play(mut centre: Centre, script: &str) -> String {
        let start = Mono::ZERO;
        let mut router = Router::new();
        let mut transcript = String::new();
        router.configure(start, centre.queues.clone(), centre.agents.clone());
        while router.poll_output().is_some() {}

        let mut script: VecDeque<Vec<&str>> =
            script.lines().map(|line| line.split_whitespace().collect()).collect();
        script.retain(|words| !words.is_empty());
        loop {
            let next_input =
                script.front().map(|words| start + Duration::from_secs(words[0].parse().unwrap()));
            let now = match (next_input, router.poll_timeout()) {
                (Some(input), Some(timer)) => input.min(timer),
                (Some(at), None) | (None, Some(at)) => at,
                (None, None) => return transcript,
            };
            // A timeout is due before an input that comes at the same moment.
            if router.poll_timeout() == Some(now) {
                router.handle_timeout(now);
            } else if let Some(words) = script.pop_front() {
                match words[1..] {
                    ["without", name] => {
                        centre.queues.retain(|queue| queue.id.as_str() != name);
                        centre.agents.retain(|agent| agent.id.as_str() != name);
                        router.configure(now, centre.queues.clone(), centre.agents.clone());
                    }
                    ref words => router.handle_input(now, input(words)),
                }
            }
            while let Some(output) = router.poll_output() {
                transcript += &line((now - start).as_secs(), output);
            }
        }
    }

    #[track_caller]
    fn transcript(centre: Centre, script: &str, expected: &str) {
        let expected: String =
            expected.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
        let played = play(centre, script);
        let played: String = played.lines().map(|l| format!("{}\n", l.trim())).collect();
        assert!(played == expected, "played:\n{played}\nexpected:\n{expected}");
    }

    #[test]
    fn unanswered_offer_goes_to_the_next_agent() {
        transcript(
            centre(),
            "5 call 7 sales
             24 answer 7 bob",
            "5 offer 7 to ann
             20 withdraw 7 from ann: Rona
             20 ann not ready: Rona
             20 offer 7 to bob
             24 bob talks to 7",
        );
    }

    #[test]
    fn rung_out_caller_stands_before_those_who_came_later() {
        transcript(
            ann_alone(),
            "0 call 1 sales
             1 call 2 sales
             2 call 3 sales priority=1
             20 ready ann
             21 abandon 3
             22 decline 1 ann",
            "0 offer 1 to ann
             1 2 is 1 of 1
             2 3 is 1 of 2
             15 withdraw 1 from ann: Rona
             15 ann not ready: Rona
             15 1 is 2 of 3
             20 ann ready
             20 offer 3 to ann
             21 withdraw 3 from ann: Abandoned
             21 ann ready
             21 offer 1 to ann
             22 withdraw 1 from ann: Declined
             22 ann not ready: Declined
             22 1 is 1 of 2",
        );
    }

    #[test]
    fn caller_who_waited_elsewhere_is_placed_by_all_its_wait() {
        transcript(
            ann_alone(),
            "0 break ann
             1 call 1 sales
             5 call 2 sales waited=10",
            "0 ann not ready: Named(\"break\")
             1 1 is 1 of 1
             5 2 is 1 of 2",
        );
    }

    #[test]
    fn next_contact_waits_for_wrap_up_whichever_queue_it_is_in() {
        transcript(
            ann_alone(),
            "0 call 7 sales
             2 answer 7 ann
             3 call 8 cards
             60 release 7 ann
             91 answer 8 ann",
            "0 offer 7 to ann
             2 ann talks to 7
             3 8 is 1 of 1
             60 ann wraps up for 30
             90 ann ready
             90 offer 8 to ann
             91 ann talks to 8",
        );
    }

    #[test]
    fn wrap_up_ends_with_the_disposition_and_lasts_longer_on_request() {
        transcript(
            ann_alone(),
            "0 call 1 sales
             0 answer 1 ann
             10 release 1 ann
             20 extend 1 ann 60
             50 wrapped-up 2 ann
             51 wrapped-up 1 ann",
            "0 offer 1 to ann
             0 ann talks to 1
             10 ann wraps up for 30
             20 ann wraps up for 80
             51 ann ready",
        );
    }

    #[test]
    fn break_asked_for_during_the_conversation_begins_after_wrap_up() {
        transcript(
            ann_alone(),
            "0 call 1 sales
             1 answer 1 ann
             2 call 2 sales
             3 break ann
             10 release 1 ann",
            "0 offer 1 to ann
             1 ann talks to 1
             2 2 is 1 of 1
             10 ann wraps up for 30
             40 ann not ready: Named(\"break\")",
        );
    }

    #[test]
    fn unreachable_phone_is_no_ring_no_answer() {
        transcript(
            centre(),
            "0 call 1 sales
             1 fail 1 ann
             2 answer 1 bob",
            "0 offer 1 to ann
             1 withdraw 1 from ann: Unreachable
             1 ann not ready: Unreachable
             1 offer 1 to bob
             2 bob talks to 1",
        );
    }

    #[test]
    fn declined_contact_does_not_ring_the_same_phone_again() {
        transcript(
            ann_alone(),
            "0 call 1 sales
             1 decline 1 ann
             30 ready ann
             31 answer 1 ann",
            "0 offer 1 to ann
             1 withdraw 1 from ann: Declined
             1 ann not ready: Declined
             1 1 is 1 of 1
             30 ann ready
             30 offer 1 to ann
             31 ann talks to 1",
        );
    }

    #[test]
    fn hang_up_while_ringing_costs_the_agent_no_idle_place() {
        transcript(
            centre(),
            "5 call 1 sales
             6 abandon 1
             7 call 2 sales
             8 answer 2 ann",
            "5 offer 1 to ann
             6 withdraw 1 from ann: Abandoned
             6 ann ready
             7 offer 2 to ann
             8 ann talks to 2",
        );
    }

    #[test]
    fn who_is_away_keeps_its_place_and_is_offered_once_it_is_back() {
        transcript(
            ann_alone(),
            "0 busy ann
             1 call 1 sales
             2 call 2 sales
             3 away 1
             4 away 1
             5 idle ann
             6 answer 2 ann
             7 release 2 ann
             8 wrapped-up 2 ann
             9 call 3 sales
             10 back 1
             11 decline 3 ann
             12 ready ann
             13 answer 1 ann
             14 away 1",
            "0 ann busy
             1 1 is 1 of 1
             2 2 is 2 of 2
             5 ann ready
             5 offer 2 to ann
             6 ann talks to 2
             7 ann wraps up for 30
             8 ann ready
             9 offer 3 to ann
             11 withdraw 3 from ann: Declined
             11 ann not ready: Declined
             11 3 is 2 of 2
             12 ann ready
             12 offer 1 to ann
             13 ann talks to 1",
        );
    }

    #[test]
    fn offer_of_a_caller_who_goes_away_costs_the_agent_nothing() {
        transcript(
            centre(),
            "5 call 1 sales
             6 away 1
             7 back 1
             8 away 1
             9 call 2 sales
             10 back 1
             11 answer 1 bob",
            "5 offer 1 to ann
             6 withdraw 1 from ann: CallerAway
             6 ann ready
             6 1 is 1 of 1
             7 offer 1 to ann
             8 withdraw 1 from ann: CallerAway
             8 ann ready
             8 1 is 1 of 1
             9 offer 2 to ann
             10 offer 1 to bob
             11 bob talks to 1
             24 withdraw 2 from ann: Rona
             24 ann not ready: Rona
             24 2 is 1 of 1",
        );
    }

    #[test]
    fn late_answer_changes_nothing() {
        transcript(
            centre(),
            "0 call 1 sales
             15 answer 1 ann
             16 answer 1 ann
             17 answer 1 bob
             18 decline 1 bob
             19 abandon 1",
            "0 offer 1 to ann
             15 withdraw 1 from ann: Rona
             15 ann not ready: Rona
             15 offer 1 to bob
             17 bob talks to 1",
        );
    }

    #[test]
    fn priority_comes_before_wait_and_wait_before_anything_over_all_queues() {
        transcript(
            ann_alone(),
            "0 busy ann
             1 call 1 sales
             2 call 2 cards
             3 call 3 cards priority=1
             4 idle ann
             5 answer 3 ann
             6 release 3 ann
             7 wrapped-up 3 ann
             8 abandon 1",
            "0 ann busy
             1 1 is 1 of 1
             2 2 is 1 of 1
             3 3 is 1 of 2
             4 ann ready
             4 offer 3 to ann
             5 ann talks to 3
             6 ann wraps up for 30
             7 ann ready
             7 offer 1 to ann
             8 withdraw 1 from ann: Abandoned
             8 ann ready
             8 offer 2 to ann
             23 withdraw 2 from ann: Rona
             23 ann not ready: Rona
             23 2 is 1 of 1",
        );
    }

    #[test]
    fn level_too_low_is_no_skill_and_level_too_high_no_merit() {
        let mut centre = centre();
        centre.queues[0].skills.insert("zh".into(), 4);
        for (agent, level) in centre.agents.iter_mut().zip([4, 9]) {
            agent.skills.insert("zh".into(), level);
        }
        transcript(
            centre,
            "0 call 1 sales
             1 call 2 sales zh=9
             2 abandon 2
             3 call 3 sales zh=10
             4 call 4 sales loans=1
             5 answer 1 ann",
            "0 offer 1 to ann
             1 offer 2 to bob
             2 withdraw 2 from bob: Abandoned
             2 bob ready
             3 3 is 1 of 1
             4 4 is 2 of 2
             5 ann talks to 1",
        );
    }

    #[test]
    fn fewest_contacts_goes_before_longest_idle_where_the_queue_says_so() {
        let mut centre = centre();
        centre.queues[0].strategy = Strategy::FewestContacts;
        centre.queues[0].wrap_up_s = 0;
        transcript(
            centre,
            "0 call 1 sales
             1 answer 1 ann
             2 break bob
             3 ready bob
             4 release 1 ann
             5 busy bob
             6 idle bob
             7 call 2 sales
             8 answer 2 bob",
            "0 offer 1 to ann
             1 ann talks to 1
             2 bob not ready: Named(\"break\")
             3 bob ready
             4 ann ready
             5 bob busy
             6 bob ready
             7 offer 2 to bob
             8 bob talks to 2",
        );
    }

    #[test]
    fn longest_wait_lets_the_ringing_phone_finish() {
        let mut centre = ann_alone();
        centre.queues[0].max_wait_s = 20;
        transcript(
            centre,
            "0 busy ann
             0 call 1 sales
             1 call 2 sales
             10 idle ann",
            "0 ann busy
             0 1 is 1 of 1
             1 2 is 2 of 2
             10 ann ready
             10 offer 1 to ann
             21 overflow 2: MaxWait
             25 withdraw 1 from ann: Rona
             25 ann not ready: Rona
             25 overflow 1: MaxWait",
        );
    }

    #[test]
    fn full_queue_takes_who_need_not_wait() {
        let mut centre = ann_alone();
        centre.queues[0].max_waiting = 1;
        transcript(
            centre,
            "0 call 1 sales
             1 call 2 sales
             2 call 3 sales
             3 call 4 nowhere
             4 decline 1 ann",
            "0 offer 1 to ann
             1 2 is 1 of 1
             2 overflow 3: Full
             3 overflow 4: Unknown
             4 withdraw 1 from ann: Declined
             4 ann not ready: Declined
             4 1 is 1 of 2",
        );
    }

    #[test]
    fn logging_out_gives_the_ringing_contact_back_at_once() {
        transcript(
            centre(),
            "0 call 1 sales
             1 log-out ann
             2 answer 1 ann
             3 answer 1 bob",
            "0 offer 1 to ann
             1 withdraw 1 from ann: Unreachable
             1 ann not ready: LoggedOut
             1 offer 1 to bob
             3 bob talks to 1",
        );
    }

    #[test]
    fn own_call_takes_the_agent_out_until_it_ends() {
        transcript(
            ann_alone(),
            "0 call 1 sales
             1 busy ann
             5 idle ann
             6 answer 1 ann
             7 busy ann
             8 release 1 ann
             50 idle ann",
            "0 offer 1 to ann
             1 withdraw 1 from ann: Unreachable
             1 ann busy
             1 1 is 1 of 1
             5 ann ready
             5 offer 1 to ann
             6 ann talks to 1
             8 ann wraps up for 30
             38 ann busy
             50 ann ready",
        );
    }

    #[test]
    fn removed_queue_overflows_its_line_and_interrupts_nobody() {
        transcript(
            centre(),
            "0 call 1 sales
             1 answer 1 ann
             2 call 2 sales
             3 call 3 sales
             4 call 4 cards
             5 without sales
             6 call 5 sales
             9 release 1 ann",
            "0 offer 1 to ann
             1 ann talks to 1
             2 offer 2 to bob
             3 3 is 1 of 1
             4 4 is 1 of 1
             5 overflow 3: Removed
             6 overflow 5: Unknown
             9 ann wraps up for 30
             17 withdraw 2 from bob: Rona
             17 bob not ready: Rona
             17 overflow 2: Removed
             39 ann ready
             39 offer 4 to ann
             54 withdraw 4 from ann: Rona
             54 ann not ready: Rona
             54 4 is 1 of 1",
        );
    }

    #[test]
    fn removed_agent_finishes_its_contact_and_is_gone() {
        transcript(
            centre(),
            "0 call 1 sales
             1 answer 1 ann
             2 without ann
             3 without bob
             4 ready bob
             5 call 2 sales
             6 release 1 ann
             40 ready ann",
            "0 offer 1 to ann
             1 ann talks to 1
             3 bob not ready: LoggedOut
             5 2 is 1 of 1
             6 ann wraps up for 30
             36 ann not ready: LoggedOut",
        );
    }

    #[test]
    fn any_number_of_skill_combinations_is_forgotten_again() {
        let mut router = Router::new();
        let Centre { queues, agents } = centre();
        router.configure(Mono::ZERO, queues, agents);
        for n in 0..5000u128 {
            let skills = BTreeMap::from([(SkillId::from(format!("s{n}").as_str()), 1)]);
            let (contact, queue) = (ContactId(n), "sales".into());
            let presence = Presence::Here;
            let enqueue = Enqueue { contact, queue, skills, priority: 0, waited: Duration::ZERO, presence };
            router.handle_input(Mono::ZERO, Input::Enqueue(enqueue));
            router.handle_input(Mono::ZERO, Input::Abandon { contact });
        }
        assert!(router.demands.len() <= 2 + REMEMBERED_DEMANDS);
        assert!(router.contacts.is_empty());
    }

    #[test]
    fn waiting_callers_are_told_what_to_expect_once_the_line_has_moved() {
        let mut router = Router::new();
        let Centre { mut queues, agents } = ann_alone();
        queues[0].wrap_up_s = 0;
        router.configure(Mono::ZERO, queues, agents);
        let mut at = |secs: u64, words: &str| {
            let now = Mono::ZERO + Duration::from_secs(secs);
            router.handle_input(now, input(&words.split(' ').collect::<Vec<_>>()));
            let outputs: Vec<_> = std::iter::from_fn(|| router.poll_output()).collect();
            outputs.into_iter().find_map(|output| match output {
                Output::Position { expected_wait, .. } => Some(expected_wait.map(|wait| wait.as_secs())),
                _ => None,
            })
        };
        at(0, "call 1 sales");
        at(0, "answer 1 ann");
        assert_eq!(at(10, "call 2 sales"), Some(None));
        at(40, "release 1 ann");
        at(40, "answer 2 ann");
        assert_eq!(at(45, "call 3 sales"), Some(Some(30)));
        assert_eq!(at(45, "call 4 sales"), Some(Some(60)));
    }

    #[test]
    fn spec_refuses_unknown_keys_and_fills_in_the_rest() {
        let queue: queue::Spec = serde_json::from_str(r#"{"id": "sales"}"#).unwrap();
        assert_eq!(queue, queue::Spec::new("sales".into()));
        let agent: agent::Spec = serde_json::from_str(r#"{"id": "ann", "skills": {"zh": 3}}"#).unwrap();
        assert_eq!(agent.skills, BTreeMap::from([("zh".into(), 3)]));
        assert!(serde_json::from_str::<queue::Spec>(r#"{"id": "sales", "ring_time": 15}"#).is_err());
        assert!(serde_json::from_str::<agent::Spec>(r#"{"id": "ann", "queue": "sales"}"#).is_err());
    }

    #[test]
    fn reason_of_our_own_is_read_back_as_such() {
        for reason in [Reason::LoggedOut, Reason::Rona, Reason::Unreachable, Reason::Declined] {
            let text = serde_json::to_string(&reason).unwrap();
            assert_eq!(serde_json::from_str::<Reason>(&text).unwrap(), reason);
        }
        assert_eq!(serde_json::from_str::<Reason>(r#""lunch""#).unwrap(), Reason::Named("lunch".into()));
    }
}
