//! The router against a naive one that looks at everything, over random happenings: what they put
//! out, when they want to be woken and what they show must be the same, step by step. A ledger that
//! reads only what was put in and out keeps the invariants by itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::agent::{self, Initial};
use super::queue::{self, Roster};
use super::{
    Enqueue, Input, Level, Output, Overflow, Presence, Reason, Router, State, Strategy, Wish, Withdrawal,
};
use crate::base::{AgentId, ContactId, Mint, Mono, QueueId, SkillId};

/// A fault the router can be seeded with, to see that the model notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A contact whose offer came to nothing stands behind everybody.
    RonaToTheBack,
    /// An agent stays listed as ready while its phone rings.
    OfferedTwice,
    /// A caller's hang-up sends the ringing agent to the end of the idle.
    IdlePlaceLost,
    /// Any level of a skill will do.
    SkillLevelIgnored,
    /// A contact's own priority is forgotten.
    PriorityIgnored,
    /// An agent is ready as soon as it has hung up.
    WrapUpSkipped,
    /// What names another contact than the one being offered counts all the same.
    StaleAnswerAccepted,
    /// The longest wait ends while the phone rings.
    MaxWaitDuringOffer,
    /// A reload overflows every line.
    ReloadDropsWaiting,
    /// Nobody's longest wait ever ends.
    TimerLost,
    /// Who is away is offered when it joins a line.
    AwayOffered,
}

impl Fault {
    const ALL: [Self; 11] = [
        Self::RonaToTheBack,
        Self::OfferedTwice,
        Self::IdlePlaceLost,
        Self::SkillLevelIgnored,
        Self::PriorityIgnored,
        Self::WrapUpSkipped,
        Self::StaleAnswerAccepted,
        Self::MaxWaitDuringOffer,
        Self::ReloadDropsWaiting,
        Self::TimerLost,
        Self::AwayOffered,
    ];
}

/// The naive router: lists, and a look at all of them for every question.
#[derive(Default)]
struct Model {
    queues: Vec<Line>,
    agents: Vec<Member>,
    contacts: BTreeMap<ContactId, Caller>,
    outputs: Vec<Output>,
}

struct Line {
    spec: queue::Spec,
    open: bool,
}

struct Member {
    spec: agent::Spec,
    configured: bool,
    gone: bool,
    wish: Wish,
    busy: bool,
    held: Held,
    idle_since: Mono,
    answered: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Held {
    No,
    Offered { contact: ContactId, until: Mono, wrap_up: Duration },
    Talking { contact: ContactId, wrap_up: Duration },
    WrapUp { contact: ContactId, until: Mono },
}

struct Caller {
    enqueue: Enqueue,
    joined: Mono,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Waiting,
    Offered,
    Talking,
}

/// In the order in which what is due at one moment is done.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Due {
    Agent(usize),
    Contact(ContactId),
}

fn secs(n: u32) -> Duration {
    Duration::from_secs(n.into())
}

fn fits(agent: &agent::Spec, queue: &queue::Spec, extra: &BTreeMap<SkillId, Level>) -> bool {
    let able = |(skill, level): (&SkillId, &Level)| agent.skills.get(skill).is_some_and(|has| has >= level);
    agent.queues.contains(&queue.id) && queue.skills.iter().chain(extra).all(able)
}

impl Model {
    fn configure(&mut self, now: Mono, queues: &[queue::Spec], agents: &[agent::Spec]) {
        for line in &mut self.queues {
            line.open = false;
        }
        for spec in queues {
            let line = Line { spec: spec.clone(), open: true };
            match self.queues.iter_mut().find(|known| known.spec.id == spec.id) {
                Some(known) => *known = line,
                None => self.queues.push(line),
            }
        }
        for member in &mut self.agents {
            member.configured = false;
        }
        let mut new = Vec::new();
        for spec in agents {
            let fresh = Member {
                spec: spec.clone(),
                configured: true,
                gone: false,
                wish: match spec.initial {
                    Initial::Ready => Wish::Ready,
                    Initial::NotReady => Wish::NotReady(Reason::LoggedOut),
                },
                busy: false,
                held: Held::No,
                idle_since: now,
                answered: 0,
            };
            match self.agents.iter_mut().find(|known| known.spec.id == spec.id) {
                Some(known) if known.gone => {
                    *known = fresh;
                    new.push(spec.id.clone());
                }
                Some(known) => {
                    known.spec = spec.clone();
                    known.configured = true;
                }
                None => {
                    self.agents.push(fresh);
                    new.push(spec.id.clone());
                }
            }
        }
        for n in 0..self.agents.len() {
            let member = &self.agents[n];
            if new.contains(&member.spec.id) || !member.configured && !member.gone && member.held == Held::No
            {
                self.tell(now, n);
            }
        }
        for id in self.in_turn(now) {
            if !self.queue(&self.contacts[&id].enqueue.queue).open {
                self.overflow(id, Overflow::Removed);
            }
        }
        self.settle(now);
        self.handle_timeout(now);
    }

    fn handle_input(&mut self, now: Mono, input: Input) {
        match input {
            Input::Enqueue(enqueue) => {
                let (id, queue) = (enqueue.contact, enqueue.queue.clone());
                if self.contacts.contains_key(&id) {
                    return;
                }
                let Some(line) = self.queues.iter().find(|line| line.open && line.spec.id == queue) else {
                    return self.outputs.push(Output::Overflow {
                        contact: id,
                        queue,
                        why: Overflow::Unknown,
                    });
                };
                let limit = line.spec.max_waiting as usize;
                let full = limit > 0 && self.waiting_in(now, &queue).len() >= limit;
                self.contacts.insert(id, Caller { enqueue, joined: now, stage: Stage::Waiting });
                self.settle(now);
                if self.contacts[&id].stage == Stage::Waiting {
                    if full {
                        self.overflow(id, Overflow::Full);
                    } else {
                        self.tell_position(now, id);
                    }
                }
            }
            Input::Abandon { contact } => match self.contacts.get(&contact).map(|caller| caller.stage) {
                Some(Stage::Waiting) => {
                    self.contacts.remove(&contact);
                }
                Some(Stage::Offered) => {
                    let n = self.ringing(contact);
                    self.contacts.remove(&contact);
                    self.withdrawn(contact, n, Withdrawal::Abandoned);
                    self.tell(now, n);
                    self.settle(now);
                }
                Some(Stage::Talking) | None => {}
            },
            Input::Away { contact } => match self.contacts.get_mut(&contact) {
                Some(caller) if caller.stage != Stage::Talking => {
                    caller.enqueue.presence = Presence::Away;
                    if caller.stage == Stage::Offered {
                        let n = self.ringing(contact);
                        self.back(now, contact, n, Withdrawal::CallerAway);
                    }
                }
                _ => {}
            },
            Input::Back { contact } => {
                if let Some(caller) = self.contacts.get_mut(&contact) {
                    caller.enqueue.presence = Presence::Here;
                    self.settle(now);
                }
            }
            Input::Answer { contact, agent } => {
                let Some(n) = self.find(&agent) else { return };
                if let Held::Offered { contact: held, wrap_up, .. } = self.agents[n].held
                    && held == contact
                {
                    self.contacts.get_mut(&contact).unwrap().stage = Stage::Talking;
                    self.agents[n].answered += 1;
                    self.agents[n].held = Held::Talking { contact, wrap_up };
                    self.tell(now, n);
                }
            }
            Input::Decline { contact, agent } => {
                self.refused(now, contact, &agent, Withdrawal::Declined, Reason::Declined);
            }
            Input::Fail { contact, agent } => {
                self.refused(now, contact, &agent, Withdrawal::Unreachable, Reason::Unreachable);
            }
            Input::Release { contact, agent } => {
                let Some(n) = self.find(&agent) else { return };
                if let Held::Talking { contact: held, wrap_up } = self.agents[n].held
                    && held == contact
                {
                    self.contacts.remove(&contact);
                    if wrap_up == Duration::ZERO {
                        self.freed(now, n);
                    } else {
                        self.agents[n].held = Held::WrapUp { contact, until: now + wrap_up };
                        self.tell(now, n);
                    }
                }
            }
            Input::WrappedUp { contact, agent } => {
                let Some(n) = self.find(&agent) else { return };
                if matches!(self.agents[n].held, Held::WrapUp { contact: held, .. } if held == contact) {
                    self.freed(now, n);
                }
            }
            Input::Extend { contact, agent, by } => {
                let Some(n) = self.find(&agent) else { return };
                if let Held::WrapUp { contact: held, until } = self.agents[n].held
                    && held == contact
                {
                    self.agents[n].held = Held::WrapUp { contact, until: until + by };
                    self.tell(now, n);
                }
            }
            Input::Wish { agent, wish } => {
                let Some(n) = self.find(&agent) else { return };
                let member = &mut self.agents[n];
                if member.wish == wish {
                    return;
                }
                let out = wish == Wish::NotReady(Reason::LoggedOut);
                member.wish = wish;
                if out {
                    member.answered = 0;
                }
                match member.held {
                    Held::No if !member.busy => {
                        member.idle_since = now;
                        self.tell(now, n);
                        self.settle(now);
                    }
                    Held::Offered { contact, .. } if out => {
                        self.back(now, contact, n, Withdrawal::Unreachable)
                    }
                    _ => {}
                }
            }
            Input::Busy { agent } => {
                let Some(n) = self.find(&agent) else { return };
                if !std::mem::replace(&mut self.agents[n].busy, true) {
                    match self.agents[n].held {
                        Held::Offered { contact, .. } => self.back(now, contact, n, Withdrawal::Unreachable),
                        Held::No => self.tell(now, n),
                        Held::Talking { .. } | Held::WrapUp { .. } => {}
                    }
                }
            }
            Input::Idle { agent } => {
                let Some(n) = self.find(&agent) else { return };
                if std::mem::replace(&mut self.agents[n].busy, false) && self.agents[n].held == Held::No {
                    self.freed(now, n);
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Mono) {
        while let Some((_, due)) = self.first_due().filter(|(at, _)| *at <= now) {
            match due {
                Due::Agent(n) => match self.agents[n].held {
                    Held::Offered { contact, .. } => {
                        let agent = self.agents[n].spec.id.clone();
                        self.refused(now, contact, &agent, Withdrawal::Rona, Reason::Rona);
                    }
                    _ => self.freed(now, n),
                },
                Due::Contact(id) => self.overflow(id, Overflow::MaxWait),
            }
        }
    }

    fn first_due(&self) -> Option<(Mono, Due)> {
        let agents = self.agents.iter().enumerate().filter_map(|(n, member)| match member.held {
            Held::Offered { until, .. } | Held::WrapUp { until, .. } => Some((until, Due::Agent(n))),
            Held::No | Held::Talking { .. } => None,
        });
        let waiting = self.contacts.iter().filter(|(_, caller)| caller.stage == Stage::Waiting);
        let contacts = waiting.filter_map(|(id, caller)| Some((self.patience(caller)?, Due::Contact(*id))));
        agents.chain(contacts).min_by(|a, b| a.partial_cmp(b).unwrap())
    }

    fn patience(&self, caller: &Caller) -> Option<Mono> {
        let longest = self.queue(&caller.enqueue.queue).spec.max_wait_s;
        (longest > 0).then(|| caller.joined + secs(longest))
    }

    /// Everybody in line over all queues, whose turn is next first.
    fn in_turn(&self, now: Mono) -> Vec<ContactId> {
        let waiting = self.contacts.iter().filter(|(_, caller)| caller.stage == Stage::Waiting);
        let mut line: Vec<_> = waiting
            .map(|(id, caller)| {
                let queue = &self.queue(&caller.enqueue.queue).spec;
                let priority = u32::from(queue.priority) + u32::from(caller.enqueue.priority);
                (Reverse(priority), Reverse(self.waited(now, *id)), *id)
            })
            .collect();
        line.sort();
        line.into_iter().map(|(.., id)| id).collect()
    }

    fn waiting_in(&self, now: Mono, queue: &QueueId) -> Vec<ContactId> {
        let mut line = self.in_turn(now);
        line.retain(|id| self.contacts[id].enqueue.queue == *queue);
        line
    }

    /// The one rule of matching: in turn, each to the best ready agent that fits.
    fn settle(&mut self, now: Mono) {
        for id in self.in_turn(now) {
            let enqueue = &self.contacts[&id].enqueue;
            if enqueue.presence == Presence::Away {
                continue;
            }
            let queue = &self.queue(&enqueue.queue).spec;
            let best = (0..self.agents.len())
                .filter(|n| self.state(now, *n) == State::Ready)
                .filter(|n| fits(&self.agents[*n].spec, queue, &enqueue.skills))
                .min_by_key(|n| {
                    let member = &self.agents[*n];
                    match queue.strategy {
                        Strategy::LongestIdle => (0, member.idle_since, *n),
                        Strategy::FewestContacts => (member.answered, member.idle_since, *n),
                    }
                });
            let Some(n) = best else { continue };
            let (ring, wrap_up) = (secs(queue.ring_time_s), secs(queue.wrap_up_s));
            self.outputs.push(Output::Offer {
                contact: id,
                agent: self.agents[n].spec.id.clone(),
                queue: queue.id.clone(),
                waited: self.waited(now, id),
                answer_within: ring,
            });
            self.agents[n].held = Held::Offered { contact: id, until: now + ring, wrap_up };
            self.contacts.get_mut(&id).unwrap().stage = Stage::Offered;
            self.tell(now, n);
        }
    }

    fn refused(&mut self, now: Mono, contact: ContactId, agent: &AgentId, why: Withdrawal, reason: Reason) {
        let Some(n) = self.find(agent) else { return };
        if matches!(self.agents[n].held, Held::Offered { contact: held, .. } if held == contact) {
            if self.agents[n].wish == Wish::Ready {
                self.agents[n].wish = Wish::NotReady(reason);
            }
            self.back(now, contact, n, why);
        }
    }

    fn withdrawn(&mut self, contact: ContactId, n: usize, why: Withdrawal) {
        self.agents[n].held = Held::No;
        self.outputs.push(Output::Withdraw { contact, agent: self.agents[n].spec.id.clone(), why });
    }

    fn back(&mut self, now: Mono, contact: ContactId, n: usize, why: Withdrawal) {
        self.withdrawn(contact, n, why);
        self.tell(now, n);
        let caller = self.contacts.get_mut(&contact).unwrap();
        caller.stage = Stage::Waiting;
        let caller = &self.contacts[&contact];
        let open = self.queue(&caller.enqueue.queue).open;
        let impatient = self.patience(caller).is_some_and(|at| at <= now);
        match (open, impatient, caller.enqueue.presence) {
            (false, ..) => self.overflow(contact, Overflow::Removed),
            (_, true, _) => self.overflow(contact, Overflow::MaxWait),
            (.., Presence::Away) => self.tell_position(now, contact),
            (.., Presence::Here) => {}
        }
        self.settle(now);
        let waits =
            |caller: &Caller| caller.stage == Stage::Waiting && caller.enqueue.presence == Presence::Here;
        if self.contacts.get(&contact).is_some_and(waits) {
            self.tell_position(now, contact);
        }
    }

    fn freed(&mut self, now: Mono, n: usize) {
        self.agents[n].held = Held::No;
        self.agents[n].idle_since = now;
        self.tell(now, n);
        self.settle(now);
    }

    fn overflow(&mut self, id: ContactId, why: Overflow) {
        let caller = self.contacts.remove(&id).unwrap();
        self.outputs.push(Output::Overflow { contact: id, queue: caller.enqueue.queue, why });
    }

    /// Tells the agent's state; who is not configured any more and free is gone with it.
    fn tell(&mut self, now: Mono, n: usize) {
        let member = &mut self.agents[n];
        if !member.configured && member.held == Held::No {
            member.gone = true;
            member.busy = false;
            member.wish = Wish::NotReady(Reason::LoggedOut);
        }
        self.outputs.push(Output::State { agent: self.agents[n].spec.id.clone(), state: self.state(now, n) });
    }

    fn tell_position(&mut self, now: Mono, id: ContactId) {
        let queue = self.contacts[&id].enqueue.queue.clone();
        let line = self.waiting_in(now, &queue);
        let position = 1 + line.iter().position(|other| *other == id).unwrap();
        let of = line.len();
        self.outputs.push(Output::Position { contact: id, queue, position, of, expected_wait: None });
    }

    fn state(&self, now: Mono, n: usize) -> State {
        let member = &self.agents[n];
        match (member.held, &member.wish) {
            (Held::Offered { contact, .. }, _) => State::Offered { contact },
            (Held::Talking { contact, .. }, _) => State::Talking { contact },
            (Held::WrapUp { contact, until }, _) => State::WrapUp { contact, remaining: until - now },
            (Held::No, _) if member.busy => State::Busy,
            (Held::No, Wish::Ready) => State::Ready,
            (Held::No, Wish::NotReady(reason)) => State::NotReady { reason: reason.clone() },
        }
    }

    fn waited(&self, now: Mono, id: ContactId) -> Duration {
        let caller = &self.contacts[&id];
        caller.enqueue.waited + (now - caller.joined)
    }

    fn queue(&self, id: &QueueId) -> &Line {
        self.queues.iter().find(|line| line.spec.id == *id).unwrap()
    }

    fn find(&self, id: &AgentId) -> Option<usize> {
        self.agents.iter().position(|member| member.spec.id == *id && !member.gone)
    }

    fn ringing(&self, contact: ContactId) -> usize {
        let rings =
            |member: &Member| matches!(member.held, Held::Offered { contact: held, .. } if held == contact);
        self.agents.iter().position(rings).unwrap()
    }

    fn roster(&self, now: Mono, queue: &QueueId) -> Roster {
        let mut roster = Roster::default();
        for (n, member) in self.agents.iter().enumerate() {
            if member.configured && member.spec.queues.contains(queue) {
                *match self.state(now, n) {
                    State::NotReady { .. } => &mut roster.not_ready,
                    State::Ready => &mut roster.ready,
                    State::Offered { .. } => &mut roster.offered,
                    State::Talking { .. } => &mut roster.talking,
                    State::WrapUp { .. } => &mut roster.wrap_up,
                    State::Busy => &mut roster.busy,
                } += 1;
            }
        }
        roster
    }
}

/// What may be believed from inputs and outputs alone.
#[derive(Default)]
struct Ledger {
    /// The presence in the enqueue is the present one.
    live: BTreeMap<ContactId, (Enqueue, Option<AgentId>, Stage)>,
    states: BTreeMap<AgentId, State>,
    entered: u64,
    left: u64,
}

impl Ledger {
    /// The input, as far as it decides a contact's fate by itself.
    fn read(&mut self, input: &Input) {
        match input {
            Input::Enqueue(enqueue) if !self.live.contains_key(&enqueue.contact) => {
                self.entered += 1;
                self.live.insert(enqueue.contact, (enqueue.clone(), None, Stage::Waiting));
            }
            Input::Abandon { contact } if self.live.get(contact).is_some_and(|l| l.2 == Stage::Waiting) => {
                self.leave(contact);
            }
            Input::Away { contact } => self.find(contact, Presence::Away),
            Input::Back { contact } => self.find(contact, Presence::Here),
            _ => {}
        }
    }

    fn find(&mut self, contact: &ContactId, presence: Presence) {
        if let Some((enqueue, ..)) = self.live.get_mut(contact) {
            enqueue.presence = presence;
        }
    }

    fn leave(&mut self, contact: &ContactId) {
        self.live.remove(contact);
        self.left += 1;
    }

    fn book(&mut self, output: &Output) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{what}: {output:?}"));
        match output {
            Output::Offer { contact, agent, queue, .. } => {
                if self.states.get(agent) != Some(&State::Ready) {
                    return wrong("offered to an agent that is not ready");
                }
                match self.live.get_mut(contact) {
                    Some((Enqueue { presence: Presence::Away, .. }, ..)) => {
                        return wrong("offered, but away");
                    }
                    Some((enqueue, offered, stage @ Stage::Waiting)) if enqueue.queue == *queue => {
                        *offered = Some(agent.clone());
                        *stage = Stage::Offered;
                    }
                    _ => return wrong("offered, but not waiting there"),
                }
            }
            Output::Withdraw { contact, agent, why } => match self.live.get_mut(contact) {
                Some((_, offered, stage @ Stage::Offered)) if offered.as_ref() == Some(agent) => {
                    *offered = None;
                    *stage = Stage::Waiting;
                    if *why == Withdrawal::Abandoned {
                        self.leave(contact);
                    }
                }
                _ => return wrong("withdrawn, but not offered"),
            },
            Output::Overflow { contact, .. } => match self.live.get(contact) {
                Some((.., Stage::Waiting)) => self.leave(contact),
                _ => return wrong("overflowed, but not waiting"),
            },
            Output::State { agent, state } => {
                match (self.states.get(agent), state) {
                    (Some(State::Offered { contact: rings }), State::Talking { contact }) => {
                        match self.live.get_mut(contact) {
                            Some((.., stage @ Stage::Offered)) if contact == rings => *stage = Stage::Talking,
                            _ => return wrong("answered, but not offered"),
                        }
                    }
                    (_, State::Talking { .. }) => return wrong("talking, but was not offered"),
                    (Some(State::Talking { contact }), _) => {
                        let contact = *contact;
                        self.leave(&contact);
                    }
                    _ => {}
                }
                self.states.insert(agent.clone(), state.clone());
            }
            Output::Position { contact, position, of, .. } => {
                if *position < 1
                    || position > of
                    || self.live.get(contact).is_none_or(|l| l.2 != Stage::Waiting)
                {
                    return wrong("a place in no line");
                }
            }
        }
        Ok(())
    }

    /// Between two happenings.
    fn quiescent(&self, queues: &[queue::Spec], agents: &[agent::Spec]) -> Result<(), String> {
        if self.entered != self.left + self.live.len() as u64 {
            return Err(format!("{} entered, {} left, {} here", self.entered, self.left, self.live.len()));
        }
        for (id, (enqueue, agent, stage)) in &self.live {
            let state = agent.as_ref().and_then(|agent| self.states.get(agent));
            let agrees = match stage {
                Stage::Waiting => agent.is_none(),
                Stage::Offered => state == Some(&State::Offered { contact: *id }),
                Stage::Talking => state == Some(&State::Talking { contact: *id }),
            };
            if !agrees {
                return Err(format!("{id} is with {agent:?}, which is {state:?}"));
            }
            let Some(queue) = queues.iter().find(|queue| queue.id == enqueue.queue) else { continue };
            let could = agents.iter().find(|agent| {
                self.states.get(&agent.id) == Some(&State::Ready) && fits(agent, queue, &enqueue.skills)
            });
            if let (Stage::Waiting, Presence::Here, Some(agent)) = (stage, enqueue.presence, could) {
                return Err(format!("{id} waits in {} beside {}, who is ready", queue.id, agent.id));
            }
        }
        for (agent, state) in &self.states {
            let (State::Offered { contact } | State::Talking { contact }) = state else { continue };
            if self.live.get(contact).and_then(|l| l.1.as_ref()) != Some(agent) {
                return Err(format!("{agent} believes to hold {contact}"));
            }
        }
        Ok(())
    }
}

/// How often each kind of a thing was seen.
type Counts = BTreeMap<&'static str, u64>;

/// A small centre, so that things meet often.
struct World {
    mint: Mint,
    now: Mono,
    contacts: u128,
    queues: Vec<queue::Spec>,
    agents: Vec<agent::Spec>,
    model: Model,
    router: Router,
    ledger: Ledger,
    happenings: Counts,
    outcomes: Counts,
    /// The last happenings, to read when something is wrong.
    story: Vec<String>,
}

impl World {
    fn new(seed: u8, fault: Option<Fault>) -> Self {
        let mut world = Self {
            mint: Mint::new([seed; 32]),
            now: Mono::ZERO + Duration::from_secs(1000),
            contacts: 0,
            queues: Vec::new(),
            agents: Vec::new(),
            model: Model::default(),
            router: Router::new(),
            ledger: Ledger::default(),
            happenings: Counts::new(),
            outcomes: Counts::new(),
            story: Vec::new(),
        };
        world.router.fault = fault;
        for n in 0..QUEUES {
            let queue = world.some_queue(n);
            world.queues.push(queue);
        }
        for n in 0..AGENTS {
            let agent = world.some_agent(n);
            world.agents.push(agent);
        }
        world
    }

    fn below(&mut self, n: u32) -> u32 {
        self.mint.u32() % n
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len() as u32) as usize].clone())
    }

    fn some_skills(&mut self, chance: u32) -> BTreeMap<SkillId, Level> {
        let mut skills = BTreeMap::new();
        for skill in ["en", "zh"] {
            if self.one_in(chance) {
                skills.insert(SkillId::from(skill), 1 + self.below(9) as Level);
            }
        }
        skills
    }

    fn some_queue(&mut self, n: u32) -> queue::Spec {
        queue::Spec {
            skills: self.some_skills(5),
            strategy: if self.one_in(3) { Strategy::FewestContacts } else { Strategy::LongestIdle },
            ring_time_s: 5 + self.below(15),
            wrap_up_s: [0, 5, 20, 30][self.below(4) as usize],
            max_wait_s: [0, 20, 60, 25][self.below(4) as usize],
            max_waiting: [0, 0, 3, 5][self.below(4) as usize],
            priority: [0, 0, 1][self.below(3) as usize],
            ..queue::Spec::new(format!("q{n}").as_str().into())
        }
    }

    fn some_agent(&mut self, n: u32) -> agent::Spec {
        let mut queues = Vec::new();
        for n in 0..QUEUES {
            if !self.one_in(3) {
                queues.push(format!("q{n}").as_str().into());
            }
        }
        let mut skills = self.some_skills(1);
        if self.one_in(4) {
            skills.pop_first();
        }
        let initial = if self.one_in(3) { Initial::NotReady } else { Initial::Ready };
        agent::Spec { queues, skills, initial, ..agent::Spec::new(format!("a{n}").as_str().into()) }
    }

    /// Lets time pass, mostly waking at every timeout, now and then overslept.
    fn pass(&mut self, span: Duration) -> Result<(), String> {
        let until = self.now + span;
        if !self.one_in(10) {
            while let Some(at) = self.router.poll_timeout().filter(|at| *at <= until) {
                self.now = self.now.max(at);
                self.wake()?;
            }
        }
        self.now = until;
        self.wake()
    }

    fn wake(&mut self) -> Result<(), String> {
        self.story.push(format!("{:?} wake", self.now));
        if let Some((at, due)) = self.model.first_due()
            && at <= self.now
        {
            let kind = match due {
                Due::Agent(n) if matches!(self.model.agents[n].held, Held::Offered { .. }) => {
                    "ring no answer"
                }
                Due::Agent(_) => "wrap-up over",
                Due::Contact(_) => "longest wait over",
            };
            *self.happenings.entry(kind).or_default() += 1;
        }
        self.model.handle_timeout(self.now);
        self.router.handle_timeout(self.now);
        self.compare()
    }

    fn input(&mut self, kind: &'static str, input: Input) -> Result<(), String> {
        self.story.push(format!("{:?} {kind}: {input:?}", self.now));
        *self.happenings.entry(kind).or_default() += 1;
        self.ledger.read(&input);
        self.model.handle_input(self.now, input.clone());
        self.router.handle_input(self.now, input);
        self.compare()
    }

    fn reload(&mut self) -> Result<(), String> {
        *self.happenings.entry("reload").or_default() += 1;
        for _ in 0..=self.below(2) {
            if self.one_in(2) {
                let n = self.below(QUEUES);
                let queue = self.some_queue(n);
                let before = self.queues.len();
                self.queues.retain(|known| known.id != queue.id);
                if self.queues.len() == before || !self.one_in(6) {
                    self.queues.push(queue);
                }
            } else {
                let n = self.below(AGENTS);
                let agent = self.some_agent(n);
                let before = self.agents.len();
                self.agents.retain(|known| known.id != agent.id);
                if self.agents.len() == before || !self.one_in(6) {
                    self.agents.push(agent);
                }
            }
        }
        self.story.push(format!("{:?} reload: {:?} {:?}", self.now, self.queues, self.agents));
        self.model.configure(self.now, &self.queues, &self.agents);
        self.router.configure(self.now, self.queues.clone(), self.agents.clone());
        self.compare()
    }

    /// Something that can happen, or that comes too late.
    fn happen(&mut self) -> Result<(), String> {
        let span = match self.below(8) {
            0..3 => Duration::ZERO,
            3..6 => secs(1 + self.below(3)),
            _ => Duration::from_millis(self.below(2500).into()),
        };
        self.pass(span)?;

        let holding = |of: fn(&Held) -> Option<ContactId>| -> Vec<(ContactId, AgentId)> {
            let members = self.model.agents.iter();
            members.filter_map(|m| Some((of(&m.held)?, m.spec.id.clone()))).collect()
        };
        let offered = holding(|held| match held {
            Held::Offered { contact, .. } => Some(*contact),
            _ => None,
        });
        let talking = holding(|held| match held {
            Held::Talking { contact, .. } => Some(*contact),
            _ => None,
        });
        let wrapping = holding(|held| match held {
            Held::WrapUp { contact, .. } => Some(*contact),
            _ => None,
        });
        let waiting = self.model.in_turn(self.now);
        let is_away = |id: &&ContactId| self.model.contacts[id].enqueue.presence == Presence::Away;
        let away: Vec<_> = waiting.iter().filter(is_away).copied().collect();
        let anybody = AgentId::from(format!("a{}", self.below(AGENTS + 1)).as_str());
        let anyone = ContactId(self.mint.u64() as u128 % (self.contacts + 1));

        match self.below(112) {
            0..25 if waiting.len() < 14 => {
                let stale = self.one_in(30);
                self.contacts += u128::from(!stale);
                let contact = if stale { anyone } else { ContactId(self.contacts) };
                let n = if self.one_in(40) { QUEUES } else { self.below(QUEUES) };
                let enqueue = Enqueue {
                    contact,
                    queue: format!("q{n}").as_str().into(),
                    skills: self.some_skills(6),
                    priority: [0, 0, 0, 1, 2][self.below(5) as usize],
                    waited: if self.one_in(4) { secs(self.below(40)) } else { Duration::ZERO },
                    presence: if self.one_in(12) { Presence::Away } else { Presence::Here },
                };
                self.input("enqueue", Input::Enqueue(enqueue))
            }
            25..27 => match self.pick(&waiting) {
                Some(contact) => self.input("abandon in line", Input::Abandon { contact }),
                None => Ok(()),
            },
            27..32 => match self.pick(&offered) {
                Some((contact, _)) => self.input("abandon while offered", Input::Abandon { contact }),
                None => Ok(()),
            },
            32..44 => match self.pick(&offered) {
                Some((contact, agent)) => self.input("answer", Input::Answer { contact, agent }),
                None => Ok(()),
            },
            44..47 => {
                let (contact, agent) = match self.pick(&offered) {
                    Some((_, agent)) if self.one_in(2) => (anyone, agent),
                    Some((contact, _)) if self.one_in(2) => (contact, anybody),
                    _ => (anyone, anybody),
                };
                let input = match self.below(6) {
                    0 => Input::Decline { contact, agent },
                    1 => Input::Fail { contact, agent },
                    2 => Input::Release { contact, agent },
                    3 => Input::WrappedUp { contact, agent },
                    _ => Input::Answer { contact, agent },
                };
                self.input("stale", input)
            }
            47..51 => match self.pick(&offered) {
                Some((contact, agent)) => self.input("decline", Input::Decline { contact, agent }),
                None => Ok(()),
            },
            51..55 => match self.pick(&offered) {
                Some((contact, agent)) => self.input("fail", Input::Fail { contact, agent }),
                None => Ok(()),
            },
            55..67 => match self.pick(&talking) {
                Some((contact, agent)) => self.input("release", Input::Release { contact, agent }),
                None => Ok(()),
            },
            67..71 => match self.pick(&wrapping) {
                Some((contact, agent)) => self.input("wrapped up", Input::WrappedUp { contact, agent }),
                None => Ok(()),
            },
            71..75 => match self.pick(&wrapping) {
                Some((contact, agent)) => {
                    let by = secs(self.below(30));
                    self.input("extend", Input::Extend { contact, agent, by })
                }
                None => Ok(()),
            },
            75..86 => self.input("wish ready", Input::Wish { agent: anybody, wish: Wish::Ready }),
            90..92 => {
                let reason = Reason::Named(["break", "lunch"][self.below(2) as usize].into());
                self.input("wish not ready", Input::Wish { agent: anybody, wish: Wish::NotReady(reason) })
            }
            86..88 => {
                let wish = Wish::NotReady(Reason::LoggedOut);
                let agent =
                    self.pick(&offered).filter(|_| self.one_in(3)).map_or(anybody, |(_, agent)| agent);
                self.input("log out", Input::Wish { agent, wish })
            }
            88..90 => self.input("busy", Input::Busy { agent: anybody }),
            92..96 => self.input("idle", Input::Idle { agent: anybody }),
            96..98 => self.reload(),
            98..100 => {
                let span = secs(self.below(25));
                self.pass(span)
            }
            100..102 => match self.pick(&waiting) {
                Some(contact) => self.input("away in line", Input::Away { contact }),
                None => Ok(()),
            },
            102..106 => match self.pick(&offered) {
                Some((contact, _)) => self.input("away while offered", Input::Away { contact }),
                None => Ok(()),
            },
            106..111 => match self.pick(&away) {
                Some(contact) => self.input("back", Input::Back { contact }),
                None => Ok(()),
            },
            111.. => {
                let contact = anyone;
                let input = if self.one_in(2) { Input::Away { contact } } else { Input::Back { contact } };
                self.input("stale", input)
            }
            _ => Ok(()),
        }
    }

    fn compare(&mut self) -> Result<(), String> {
        let mut outputs = Vec::new();
        while let Some(mut output) = self.router.poll_output() {
            if let Output::Position { expected_wait, .. } = &mut output {
                *expected_wait = None;
            }
            outputs.push(output);
        }
        let expected = std::mem::take(&mut self.model.outputs);
        self.story.push(format!("    {expected:?}"));
        if outputs != expected {
            return Err(format!("put out {outputs:?}"));
        }
        for output in &outputs {
            self.ledger.book(output)?;
            *self.outcomes.entry(outcome(output)).or_default() += 1;
        }
        self.ledger.quiescent(&self.queues, &self.agents)?;

        let due = self.model.first_due().map(|(at, _)| at);
        if self.router.poll_timeout() != due {
            return Err(format!("wants to wake at {:?}, not {due:?}", self.router.poll_timeout()));
        }
        self.compare_views()
    }

    /// One queue, one agent, one contact a step.
    fn compare_views(&mut self) -> Result<(), String> {
        let now = self.now;
        let n = self.below(AGENTS);
        let agent = AgentId::from(format!("a{n}").as_str());
        let shown = self.router.agent_view(now, &agent).map(|view| (view.state, view.wish, view.answered));
        let member = self.model.find(&agent).map(|n| (n, &self.model.agents[n]));
        let expected = member.map(|(n, m)| (self.model.state(now, n), m.wish.clone(), m.answered));
        if shown != expected {
            return Err(format!("{agent} is shown as {shown:?}, not {expected:?}"));
        }

        let n = self.below(QUEUES);
        let queue = QueueId::from(format!("q{n}").as_str());
        let line = self.model.waiting_in(now, &queue);
        if let Some(view) = self.router.queue_view(now, &queue) {
            let longest = line.iter().map(|id| self.model.waited(now, *id)).max();
            let is_away = |id: &&ContactId| self.model.contacts[id].enqueue.presence == Presence::Away;
            let away = line.iter().filter(is_away).count();
            let shown = (view.waiting, view.away, view.longest_wait, view.agents);
            let expected = (line.len(), away, longest, self.model.roster(now, &queue));
            if shown != expected {
                return Err(format!("{queue} shows {shown:?}, not {expected:?}"));
            }
            let here = view.waiting + view.offered;
            let counts = &view.counts;
            if counts.entered != counts.answered + counts.abandoned + counts.overflowed + here as u64 {
                return Err(format!("{queue} lost count: {view:?}"));
            }
        } else if self.queues.iter().any(|spec| spec.id == queue) {
            return Err(format!("{queue} is not shown"));
        }
        for (place, id) in line.iter().enumerate() {
            let shown = self.router.position(now, *id).map(|place| (place.position, place.of));
            if shown != Some((place + 1, line.len())) {
                return Err(format!("{id} stands at {shown:?}, not {}", place + 1));
            }
        }
        Ok(())
    }
}

const QUEUES: u32 = 4;
const AGENTS: u32 = 7;

fn outcome(output: &Output) -> &'static str {
    match output {
        Output::Offer { .. } => "offer",
        Output::Withdraw { why: Withdrawal::Rona, .. } => "withdrawn: rona",
        Output::Withdraw { why: Withdrawal::Declined, .. } => "withdrawn: declined",
        Output::Withdraw { why: Withdrawal::Unreachable, .. } => "withdrawn: unreachable",
        Output::Withdraw { why: Withdrawal::Abandoned, .. } => "withdrawn: abandoned",
        Output::Withdraw { why: Withdrawal::CallerAway, .. } => "withdrawn: caller away",
        Output::Withdraw { why: Withdrawal::TimedOut, .. } => "withdrawn: timed out",
        Output::State { .. } => "state",
        Output::Overflow { why: Overflow::MaxWait, .. } => "overflow: max wait",
        Output::Overflow { why: Overflow::Full, .. } => "overflow: full",
        Output::Overflow { why: Overflow::Removed, .. } => "overflow: removed",
        Output::Overflow { why: Overflow::Unknown, .. } => "overflow: unknown",
        Output::Position { .. } => "position",
    }
}

/// Runs until both have seen so many happenings, or disagree.
fn run(seed: u8, happenings: u64, fault: Option<Fault>) -> Result<(Counts, Counts), String> {
    let mut world = World::new(seed, fault);
    let mut verdict = world.reload();
    while verdict.is_ok() && world.happenings.values().sum::<u64>() < happenings {
        let latest = world.story.len().saturating_sub(24);
        world.story.drain(..latest);
        verdict = world.happen();
    }
    verdict.map_err(|wrong| format!("seed {seed}: {wrong}, after\n{}", world.story.join("\n")))?;
    Ok((world.happenings, world.outcomes))
}

#[test]
fn the_router_does_what_the_naive_one_does() {
    let (mut happenings, mut outcomes) = (Counts::new(), Counts::new());
    for seed in 0..5 {
        let (happened, came) = run(seed, 21_000, None).unwrap_or_else(|wrong| panic!("{wrong}"));
        happened.into_iter().for_each(|(kind, n)| *happenings.entry(kind).or_default() += n);
        came.into_iter().for_each(|(kind, n)| *outcomes.entry(kind).or_default() += n);
    }
    let all: u64 = happenings.values().sum();
    let share = |n: u64| n as f64 * 100.0 / all as f64;
    for (kind, n) in happenings.iter().chain(&outcomes) {
        println!("{kind:<22} {n:>6} {:5.1} %", share(*n));
    }
    assert!(all >= 100_000);
    assert_eq!(happenings.len(), 22, "every kind of input, reload, and every kind of timeout");
    assert!(happenings.values().all(|n| share(*n) >= 1.0), "too rare to mean something");
    assert_eq!(outcomes.len(), 12, "every kind of output, but an offer cut short by the longest wait");
    assert!(outcomes.values().all(|n| *n >= 200), "too rare to mean something");
}

#[test]
fn every_seeded_fault_is_noticed() {
    for fault in Fault::ALL {
        let noticed = (0..5).find_map(|seed| run(seed, 24_000, Some(fault)).err());
        let Some(noticed) = noticed else { panic!("{fault:?} went by unnoticed") };
        println!("{fault:?}: {}", noticed.lines().next().unwrap_or_default());
    }
}
