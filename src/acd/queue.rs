//! A queue: what the configuration says of it, who stands in it, who serves it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::agent::{Agent, Doing};
use super::line::Line;
use super::service::{Counts, Formula, Pace};
use super::strategy::{self, Strategy};
use super::{Level, Presence, Wish};
use crate::base::{ContactId, QueueId, SkillId};

/// A queue as the router is told of it. Music, announcements, opening hours and where an overflowing
/// contact goes are not the router's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub id: QueueId,
    /// The lowest level of each skill an agent needs to serve it. Default none.
    #[serde(default)]
    pub skills: BTreeMap<SkillId, Level>,
    /// Which of the ready agents is next. Default `longest_idle`.
    #[serde(default)]
    pub strategy: Strategy,
    /// Seconds an agent's phone rings before the offer counts as not answered (RONA). Default 15.
    #[serde(default = "Spec::ring_time_s")]
    pub ring_time_s: u32,
    /// Seconds an agent has after the conversation, 0 for none. Default 30.
    #[serde(default = "Spec::wrap_up_s")]
    pub wrap_up_s: u32,
    /// Seconds a contact may wait before it overflows, counted from when it joined this queue, whatever
    /// it waited elsewhere; 0 for ever. Default 0.
    #[serde(default)]
    pub max_wait_s: u32,
    /// Contacts that may stand in line; one that is offered at once or comes back to its place is never
    /// too many; 0 for no limit. Default 0.
    #[serde(default)]
    pub max_waiting: u32,
    /// Added to the priority of each contact: decides between the queues of one agent. Default 0.
    #[serde(default)]
    pub priority: u8,
    /// Seconds within which an answer is in time. Default 20.
    #[serde(default = "Spec::service_level_s")]
    pub service_level_s: u32,
    /// How the service level is counted. Default `of_all`.
    #[serde(default)]
    pub service_level_formula: Formula,
}

impl Spec {
    /// A queue with every default.
    pub fn new(id: QueueId) -> Self {
        Self {
            id,
            skills: BTreeMap::new(),
            strategy: Strategy::default(),
            ring_time_s: Self::ring_time_s(),
            wrap_up_s: Self::wrap_up_s(),
            max_wait_s: 0,
            max_waiting: 0,
            priority: 0,
            service_level_s: Self::service_level_s(),
            service_level_formula: Formula::default(),
        }
    }

    fn ring_time_s() -> u32 {
        15
    }

    fn wrap_up_s() -> u32 {
        30
    }

    fn service_level_s() -> u32 {
        20
    }
}

/// A queue as a wallboard shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    pub queue: QueueId,
    /// Contacts in line.
    pub waiting: usize,
    /// Of those in line, whose caller is away for a moment.
    pub away: usize,
    /// Contacts ringing at an agent.
    pub offered: usize,
    pub talking: usize,
    /// Of those in line.
    pub longest_wait: Option<Duration>,
    /// What a newcomer of ordinary priority may expect.
    pub expected_wait: Option<Duration>,
    /// The agents that serve it, whatever queue's contact holds them.
    pub agents: Roster,
    pub counts: Counts,
    /// 0 to 1, by the queue's formula, since the router began.
    pub service_level: Option<f64>,
}

/// Where a contact stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// 1 is next.
    pub position: usize,
    /// Contacts in line.
    pub of: usize,
    /// `None` until the queue has served somebody who had to wait.
    pub expected_wait: Option<Duration>,
}

/// Agents counted by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Roster {
    pub not_ready: usize,
    pub ready: usize,
    pub offered: usize,
    pub talking: usize,
    pub wrap_up: usize,
    pub busy: usize,
}

impl Roster {
    pub(super) fn of(&mut self, agent: &Agent) -> &mut usize {
        match (agent.doing, &agent.wish) {
            (Doing::Offered { .. }, _) => &mut self.offered,
            (Doing::Talking { .. }, _) => &mut self.talking,
            (Doing::WrapUp { .. }, _) => &mut self.wrap_up,
            (Doing::Nothing, _) if agent.busy => &mut self.busy,
            (Doing::Nothing, Wish::Ready) => &mut self.ready,
            (Doing::Nothing, Wish::NotReady(_)) => &mut self.not_ready,
        }
    }
}

/// A contact's turn: higher priority, then who has waited longest, then the older id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub priority: Reverse<u16>,
    /// When it began to wait, in nanoseconds of [`Mono`](crate::base::Mono); before zero if it
    /// waited elsewhere before this process began.
    pub since: i64,
    pub contact: ContactId,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub spec: Spec,
    pub standing: Standing,
    /// The agents that serve it.
    pub members: Vec<u32>,
    pub roster: Roster,
    /// Its demands by what they require. The one that requires no more than the queue does is `plain`.
    pub demands: BTreeMap<Vec<(SkillId, Level)>, u32>,
    pub plain: u32,
    /// Contacts in line, over all its demands.
    pub waiting: usize,
    /// Of those, the ones that are away.
    pub away: usize,
    pub offered: usize,
    pub talking: usize,
    pub pace: Pace,
    pub counts: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Open,
    /// A reload removed it; conversations that came by it go on.
    Removed,
}

impl Queue {
    pub fn new(spec: Spec) -> Self {
        Self {
            spec,
            standing: Standing::Open,
            members: Vec::new(),
            roster: Roster::default(),
            demands: BTreeMap::new(),
            plain: 0,
            waiting: 0,
            away: 0,
            offered: 0,
            talking: 0,
            pace: Pace::default(),
            counts: Counts::default(),
        }
    }

    pub fn ring_time(&self) -> Duration {
        Duration::from_secs(self.spec.ring_time_s.into())
    }

    pub fn wrap_up(&self) -> Duration {
        Duration::from_secs(self.spec.wrap_up_s.into())
    }

    pub fn max_wait(&self) -> Option<Duration> {
        (self.spec.max_wait_s > 0).then(|| Duration::from_secs(self.spec.max_wait_s.into()))
    }

    pub fn is_full(&self) -> bool {
        self.spec.max_waiting > 0 && self.waiting >= self.spec.max_waiting as usize
    }

    pub fn threshold(&self) -> Duration {
        Duration::from_secs(self.spec.service_level_s.into())
    }

    /// What this queue and the contact require together: of each skill the higher level.
    pub fn requirement(&self, skills: &BTreeMap<SkillId, Level>) -> Vec<(SkillId, Level)> {
        let mut both = self.spec.skills.clone();
        for (skill, level) in skills {
            let required = both.entry(skill.clone()).or_default();
            *required = (*required).max(*level);
        }
        both.into_iter().collect()
    }
}

/// The contacts of one queue that require the same, and the ready agents that meet it.
///
/// **Invariant:** between two inputs `line` or `ready` is empty.
#[derive(Debug)]
pub(super) struct Demand {
    pub queue: u32,
    pub requires: Vec<(SkillId, Level)>,
    pub line: Line<Turn>,
    /// Who keeps a place in line and cannot be offered for the moment.
    pub away: Line<Turn>,
    pub ready: BTreeSet<strategy::Key>,
}

impl Demand {
    /// Whose contacts have this presence.
    pub fn side(&mut self, presence: Presence) -> &mut Line<Turn> {
        match presence {
            Presence::Here => &mut self.line,
            Presence::Away => &mut self.away,
        }
    }

    /// How many have their turn before this one, whether or not they can be offered.
    pub fn before(&self, turn: &Turn) -> usize {
        self.line.before(turn) + self.away.before(turn)
    }

    pub fn is_deserted(&self) -> bool {
        self.line.is_empty() && self.away.is_empty()
    }

    /// When the one that has waited longest began.
    pub fn oldest(&self) -> Option<i64> {
        [&self.line, &self.away].into_iter().filter_map(oldest).min()
    }
}

/// Not the first in line, where priorities differ.
fn oldest(line: &Line<Turn>) -> Option<i64> {
    let mut first = line.first();
    let mut oldest = None;
    while let Some(turn) = first {
        oldest = oldest.into_iter().chain([turn.since]).min();
        let Some(lower) = turn.priority.0.checked_sub(1) else { break };
        first = line.first_from(&Turn { priority: Reverse(lower), since: i64::MIN, contact: ContactId(0) });
    }
    oldest
}
