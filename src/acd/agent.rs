//! An agent: what the configuration says of it, what it is doing, what it wants.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Level, Reason, State, Wish};
use crate::base::{AgentId, ContactId, Mono, QueueId, SkillId};

/// An agent as the router is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub id: AgentId,
    /// The queues it serves; one that is not configured is as if absent. Default none.
    #[serde(default)]
    pub queues: Vec<QueueId>,
    /// What it can do, and how well: 1 to 10. Default none.
    #[serde(default)]
    pub skills: BTreeMap<SkillId, Level>,
    /// What it is before anybody logs in. Default `not_ready`.
    #[serde(default)]
    pub initial: Initial,
}

impl Spec {
    /// An agent with every default.
    pub fn new(id: AgentId) -> Self {
        Self { id, queues: Vec::new(), skills: BTreeMap::new(), initial: Initial::NotReady }
    }
}

/// What an agent is until it says something itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initial {
    /// For a phone without a desktop.
    Ready,
    /// Logged out until it says otherwise.
    #[default]
    NotReady,
}

/// An agent as a wallboard shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    pub agent: AgentId,
    #[serde(flatten)]
    pub state: State,
    /// How long it has been in this state.
    pub since: Duration,
    /// What it will be when nothing holds it.
    pub wish: Wish,
    /// Contacts answered since it last logged out.
    pub answered: u64,
}

#[derive(Debug)]
pub(super) struct Agent {
    pub id: AgentId,
    pub queues: Vec<u32>,
    pub skills: BTreeMap<SkillId, Level>,
    pub enrolment: Enrolment,
    pub wish: Wish,
    /// On a call of its own.
    pub busy: bool,
    pub doing: Doing,
    /// Its place among the ready. Kept through an offer, lost by a conversation.
    pub idle_since: Mono,
    pub state_since: Mono,
    pub answered: u64,
    /// The demands it can meet: where it is listed while it is ready.
    pub meets: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enrolment {
    Staff,
    /// A reload removed it while a contact held it: it finishes first.
    Leaving,
    Gone,
}

/// Each deadline lives in what it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Nothing,
    Offered {
        contact: ContactId,
        rona_at: Mono,
        /// The queue's at the time of the offer: a reload does not change a conversation's end.
        wrap_up: Duration,
    },
    Talking {
        contact: ContactId,
        wrap_up: Duration,
    },
    WrapUp {
        contact: ContactId,
        until: Mono,
    },
}

impl Agent {
    pub fn new(now: Mono, spec: &Spec) -> Self {
        Self {
            id: spec.id.clone(),
            queues: Vec::new(),
            skills: BTreeMap::new(),
            enrolment: Enrolment::Staff,
            wish: match spec.initial {
                Initial::Ready => Wish::Ready,
                Initial::NotReady => Wish::NotReady(Reason::LoggedOut),
            },
            busy: false,
            doing: Doing::Nothing,
            idle_since: now,
            state_since: now,
            answered: 0,
            meets: Vec::new(),
        }
    }

    /// May be offered a contact now.
    pub fn is_ready(&self) -> bool {
        self.doing == Doing::Nothing && !self.busy && self.wish == Wish::Ready
    }

    /// A contact holds it before its own call does, and both before its wish.
    pub fn state(&self, now: Mono) -> State {
        match (self.doing, &self.wish) {
            (Doing::Offered { contact, .. }, _) => State::Offered { contact },
            (Doing::Talking { contact, .. }, _) => State::Talking { contact },
            (Doing::WrapUp { contact, until }, _) => State::WrapUp { contact, remaining: until.since(now) },
            (Doing::Nothing, _) if self.busy => State::Busy,
            (Doing::Nothing, Wish::Ready) => State::Ready,
            (Doing::Nothing, Wish::NotReady(reason)) => State::NotReady { reason: reason.clone() },
        }
    }

    pub fn deadline(&self) -> Option<Mono> {
        match self.doing {
            Doing::Offered { rona_at: at, .. } | Doing::WrapUp { until: at, .. } => Some(at),
            Doing::Nothing | Doing::Talking { .. } => None,
        }
    }

    pub fn view(&self, now: Mono) -> View {
        View {
            agent: self.id.clone(),
            state: self.state(now),
            since: now.since(self.state_since),
            wish: self.wish.clone(),
            answered: self.answered,
        }
    }

    pub fn want(&mut self, wish: Wish) {
        if wish == Wish::NotReady(Reason::LoggedOut) {
            self.answered = 0;
        }
        self.wish = wish;
    }

    pub fn leave(&mut self) {
        self.enrolment = Enrolment::Gone;
        self.busy = false;
        self.want(Wish::NotReady(Reason::LoggedOut));
    }

    /// Steps back after an offer that failed on its side, unless it has said where it is by itself.
    pub fn step_back(&mut self, reason: Reason) {
        if self.wish == Wish::Ready {
            self.wish = Wish::NotReady(reason);
        }
    }
}
