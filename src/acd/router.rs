//! The router: one owner of every queue and every agent, so that "an agent is offered at most one
//! contact, and a contact to at most one agent" is a fact of its states and not of a lock order.
//!
//! What the layer above may rely on:
//! * Every input names its contact and does nothing when it no longer applies. A late `Answer` is told
//!   by its outcome: no [`State::Talking`] follows.
//! * A contact comes back from an offer to the place of its original wait and priority. An offer once made
//!   is let finish: neither the longest wait nor a reload takes a ringing phone away; the contact overflows when it comes back.
//! * Who fails an offer by its own doing (ring no answer, declined, unreachable) becomes not ready until it
//!   says otherwise: the same phone is never rung for the same contact in a circle. The caller's hang-up costs the agent nothing, not even its place among the idle.
//! * What an agent wishes while a contact holds it comes true after wrap-up. Only logging out ends an offer at once.
//!
//! Cost: contacts are grouped by what they demand (queue and skills), and a ready agent is listed with every demand it
//! meets. With *d* demands met by an agent, an event costs O(d log n) in the worst case, whatever the numbers of agents and contacts *n*; a
//! contact's arrival O(log n), and its position O(log n) for each demand of its queue. A combination of skills never asked for before costs one look at the queue's agents; a
//! reload costs O(n log n).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use tracing::debug;

use super::agent::{self, Agent, Doing, Enrolment};
use super::line::Line;
use super::queue::{self, Demand, Place, Queue, Standing, Turn};
use super::{Enqueue, Input, Level, Output, Overflow, Reason, Wish, Withdrawal};
use crate::base::{AgentId, ContactId, Mono, QueueId, SkillId};

#[cfg(doc)]
use super::State;

/// For look-up; where it is walked, the result is sorted. Its hash has no random key, so a replay is exact; ids are minted or configured
/// by us, so nobody can choose them to collide.
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
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting { demand: u32, overflow_at: Option<Mono> },
    Offered { agent: u32 },
    Talking,
}

/// Whose time is over. Of those due at one moment agents come first, so that the contact they give back is still in time.
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

    /// Makes these the queues and agents; again on every reload. Contacts keep their places and conversations.
    ///
    /// A queue that is gone overflows its line ([`Overflow::Removed`]). An agent that is gone finishes the contact that
    /// holds it. One that stays keeps its state; new limits hold from now on, for who waits already too. Of specs with one id the last holds.
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
        let before = |demand: &u32| self.demands[*demand as usize].line.before(&turn);
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
        let Enqueue { contact: id, queue, skills, priority, waited } = enqueue;
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
        self.contacts.insert(id, Contact { queue, skills, priority, since, joined: now, stage });

        let entered = &mut self.queues[queue as usize];
        entered.counts.entered += 1;
        let full = entered.is_full();
        if let Some(agent) = self.next_agent(demand) {
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
                let place_lost = fault!(self, IdlePlaceLost);
                self.end_offer(now, agent, Withdrawal::Abandoned, |a| {
                    if place_lost {
                        a.idle_since = now;
                    }
                });
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
            Withdrawal::Abandoned | Withdrawal::TimedOut => {}
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
        let (queue, skills) = (contact.queue, contact.skills.clone());
        let demand = self.demand(queue, &skills);
        match self.next_agent(demand) {
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
        self.demands[demand as usize].line.insert(contact.turn(id, queue));
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
        self.demands[demand as usize].line.remove(&contact.turn(id, queue));
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

    /// Takes every index apart, to be built anew; returns who stood in line, in the order of their turns.
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
        let demand = Demand { queue, requires, line: Line::default(), ready: BTreeSet::new() };
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
            let keep = number == plain || !self.demands[*number as usize].line.is_empty();
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
