//! The router's decisions, among few and among very many agents and waiting contacts.
//!
//! Eight queues, each with a skill of its own; every agent serves four of them, at a level from 1 to
//! 5; every other contact asks for level 2.

use std::collections::BTreeMap;
use std::time::Duration;

use baton::acd::agent::Initial;
use baton::acd::{Enqueue, Input, Output, Presence, Router, agent, queue};
use baton::base::{AgentId, ContactId, Mono, QueueId, SkillId};

use crate::measure::{Cost, RUNS, Unit, cost_row, table};

const QUEUES: usize = 8;
/// Decisions timed together, and how many such lots make a run. A lot is fewer than the smallest
/// number of agents.
const LOT: usize = 40;
const LOTS: usize = 25;

pub fn measure() {
    table("ACD decision");
    for (many, name) in [(100, "100"), (10_000, "10,000"), (100_000, "100,000")] {
        let mut centre = Centre::new(many);
        let title = format!("a contact comes, {name} agents ready: offered");
        cost_row(&title, Unit::Micros, &runs(|cost| centre.offer_at_once(cost)));
        centre.occupy(many);
        let title = format!("a contact comes, {name} wait, {name} agents talk: its place in line");
        cost_row(&title, Unit::Micros, &runs(|cost| centre.line_up(cost)));
        let title = format!("a place in line is asked for, {name} wait");
        cost_row(&title, Unit::Micros, &runs(|cost| centre.ask_places(cost)));
        let title = format!("release and end of wrap-up, {name} wait: the next is offered");
        cost_row(&title, Unit::Micros, &runs(|cost| centre.offer_next(cost)));
    }
}

fn runs(mut lot: impl FnMut(&mut Cost)) -> Vec<Cost> {
    let mut run = |_| {
        let mut cost = Cost::default();
        (0..LOTS).for_each(|_| lot(&mut cost));
        cost
    };
    run(0);
    (0..RUNS).map(run).collect()
}

struct Centre {
    router: Router,
    now: Mono,
    queues: Vec<(QueueId, SkillId)>,
    contacts: u128,
    /// Conversations, the oldest first.
    talking: std::collections::VecDeque<(ContactId, AgentId)>,
    waiting: Vec<ContactId>,
}

impl Centre {
    fn new(agents: usize) -> Self {
        let names = |n: usize| {
            (QueueId::from(format!("queue-{n}").as_str()), SkillId::from(format!("skill-{n}").as_str()))
        };
        let queues: Vec<_> = (0..QUEUES).map(names).collect();
        let specs = queues.iter().map(|(queue, skill)| queue::Spec {
            skills: BTreeMap::from([(skill.clone(), 1)]),
            ..queue::Spec::new(queue.clone())
        });
        let agents = (0..agents).map(|n| {
            let served: Vec<_> = (0..QUEUES / 2).map(|i| &queues[(n + 2 * i) % QUEUES]).collect();
            agent::Spec {
                queues: served.iter().map(|(queue, _)| queue.clone()).collect(),
                skills: served.iter().map(|(_, skill)| (skill.clone(), 1 + (n % 5) as u8)).collect(),
                initial: Initial::Ready,
                ..agent::Spec::new(AgentId::from(format!("agent-{n}").as_str()))
            }
        });
        let mut router = Router::new();
        router.configure(Mono::ZERO, specs, agents);
        while router.poll_output().is_some() {}
        let (contacts, talking, waiting) = (0, Default::default(), vec![]);
        Self { router, now: Mono::ZERO, queues, contacts, talking, waiting }
    }

    fn enqueue(&mut self) -> Input {
        self.contacts += 1;
        let (queue, skill) = &self.queues[(self.contacts % QUEUES as u128) as usize];
        let level = (self.contacts / QUEUES as u128 % 2) as u8 * 2;
        let skills = (level > 0).then(|| (skill.clone(), level)).into_iter().collect();
        Input::Enqueue(Enqueue {
            contact: ContactId(self.contacts),
            queue: queue.clone(),
            skills,
            priority: 0,
            waited: Duration::ZERO,
            presence: Presence::Here,
        })
    }

    /// Tells the router, untimed, and returns whom it offered to whom.
    fn tell(&mut self, input: Input) -> Option<(ContactId, AgentId)> {
        self.now += Duration::from_micros(10);
        self.router.handle_input(self.now, input);
        self.offered()
    }

    fn offered(&mut self) -> Option<(ContactId, AgentId)> {
        let mut offered = None;
        while let Some(output) = self.router.poll_output() {
            if let Output::Offer { contact, agent, .. } = output {
                offered = Some((contact, agent));
            }
        }
        offered
    }

    /// Every input's outputs are drained within its time.
    fn time<const N: usize>(
        &mut self,
        cost: &mut Cost,
        inputs: Vec<[Input; N]>,
    ) -> Vec<Option<(ContactId, AgentId)>> {
        let mut outcomes = Vec::with_capacity(inputs.len());
        cost.of_pieces(inputs.len() as u64, || {
            for decision in inputs {
                let mut offered = None;
                for input in decision {
                    offered = self.tell(input).or(offered);
                }
                outcomes.push(offered);
            }
        });
        outcomes
    }

    fn offer_at_once(&mut self, cost: &mut Cost) {
        let inputs = (0..LOT).map(|_| [self.enqueue()]).collect();
        for offer in self.time(cost, inputs) {
            let (contact, agent) = offer.expect("agents are ready");
            self.tell(Input::Answer { contact, agent: agent.clone() });
            self.tell(Input::Release { contact, agent: agent.clone() });
            self.tell(Input::WrappedUp { contact, agent });
        }
    }

    /// Has every agent talk and as many contacts wait.
    fn occupy(&mut self, many: usize) {
        while self.talking.len() < many || self.waiting.len() < many {
            let enqueue = self.enqueue();
            match self.tell(enqueue) {
                Some((contact, agent)) => self.answer(contact, agent),
                None => self.waiting.push(ContactId(self.contacts)),
            }
        }
    }

    fn answer(&mut self, contact: ContactId, agent: AgentId) {
        self.tell(Input::Answer { contact, agent: agent.clone() });
        self.talking.push_back((contact, agent));
    }

    fn line_up(&mut self, cost: &mut Cost) {
        let first = self.contacts + 1;
        let inputs = (0..LOT).map(|_| [self.enqueue()]).collect();
        assert!(self.time(cost, inputs).iter().all(Option::is_none), "every agent talks");
        for contact in first..=self.contacts {
            self.tell(Input::Abandon { contact: ContactId(contact) });
        }
    }

    fn ask_places(&mut self, cost: &mut Cost) {
        let asked = self.waiting.iter().step_by((self.waiting.len() / LOT).max(1)).take(LOT);
        let asked: Vec<_> = asked.copied().collect();
        let now = self.now;
        cost.of_pieces(asked.len() as u64, || {
            for contact in asked {
                assert!(std::hint::black_box(self.router.position(now, contact)).is_some());
            }
        });
    }

    fn offer_next(&mut self, cost: &mut Cost) {
        let over: Vec<_> = self.talking.drain(..LOT).collect();
        let release = |(contact, agent): (ContactId, AgentId)| {
            [Input::Release { contact, agent: agent.clone() }, Input::WrappedUp { contact, agent }]
        };
        let outcomes = self.time(cost, over.into_iter().map(release).collect());
        for (contact, agent) in outcomes.into_iter().flatten() {
            self.answer(contact, agent);
        }
        // As many wait as before.
        while self.talking.len() < LOT {
            let enqueue = self.enqueue();
            if let Some((contact, agent)) = self.tell(enqueue) {
                self.answer(contact, agent);
            }
        }
        for _ in 0..LOT {
            let enqueue = self.enqueue();
            if let Some((contact, agent)) = self.tell(enqueue) {
                self.answer(contact, agent);
            }
        }
    }
}
