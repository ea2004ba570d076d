//! Automatic call distribution: which waiting contact goes to which agent, and when.
//!
//! **Invariant:** the router knows no SIP, no media and no clock of its own. [`Input`] and [`Output`] are
//! plain values with ids and durations, never handles or instants: one day they may come from
//! another node than the router's.

pub mod agent;
mod line;
#[cfg(test)]
mod model;
pub mod queue;
mod router;
mod service;
mod strategy;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::router::Router;
pub use self::service::{Counts, Formula};
pub use self::strategy::Strategy;
use crate::base::{AgentId, ContactId, Language, QueueId, SkillId};

/// 1 (knows a little) to 10 (knows all).
pub type Level = u8;

/// A word with which an agent closes a contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disposition {
    pub code: String,
    /// As desktops show it.
    pub label: BTreeMap<Language, String>,
}

/// What the router is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// A contact begins to wait.
    Enqueue(Enqueue),
    /// The caller hung up or left the queue by choice, waiting or offered.
    Abandon {
        contact: ContactId,
    },
    /// The caller is away for a moment: it keeps its place and is offered to nobody.
    Away {
        contact: ContactId,
    },
    Back {
        contact: ContactId,
    },
    /// The agent's phone was answered: the offer has become a conversation.
    Answer {
        contact: ContactId,
        agent: AgentId,
    },
    /// The agent refused the offer by hand.
    Decline {
        contact: ContactId,
        agent: AgentId,
    },
    /// The agent could not be reached: busy, unregistered, phone gone. Not a RONA.
    Fail {
        contact: ContactId,
        agent: AgentId,
    },
    /// The conversation is over: wrap-up begins.
    Release {
        contact: ContactId,
        agent: AgentId,
    },
    /// The disposition is filed: wrap-up ends.
    WrappedUp {
        contact: ContactId,
        agent: AgentId,
    },
    /// The agent needs more time: wrap-up is prolonged by this much.
    Extend {
        contact: ContactId,
        agent: AgentId,
        by: Duration,
    },
    /// What the agent wants to be when no contact holds it.
    Wish {
        agent: AgentId,
        wish: Wish,
    },
    /// The agent has a leg of its own doing (a call it dialled): not offered anything meanwhile.
    Busy {
        agent: AgentId,
    },
    Idle {
        agent: AgentId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enqueue {
    pub contact: ContactId,
    pub queue: QueueId,
    /// Required, on top of what the queue itself requires.
    pub skills: BTreeMap<SkillId, Level>,
    /// Higher is served first; 0 is ordinary.
    pub priority: u8,
    /// How long it has waited already, here or on another node: it is placed by this.
    pub waited: Duration,
    pub presence: Presence,
}

/// Whether there is somebody to put through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    #[default]
    Here,
    /// For a moment: a page that is loaded again, a phone between two networks.
    Away,
}

/// What an agent asks for by hand or by its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    Ready,
    NotReady(Reason),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    LoggedOut,
    /// Redirection on no answer: an offer rang out.
    Rona,
    /// The phone could not be reached when an offer was made.
    Unreachable,
    /// It refused an offer by hand.
    Declined,
    /// In the agent's words: break, lunch, training.
    #[serde(untagged)]
    Named(String),
}

/// What the router decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Ring this agent for this contact.
    Offer { contact: ContactId, agent: AgentId, queue: QueueId, waited: Duration, answer_within: Duration },
    /// Stop ringing this agent.
    Withdraw { contact: ContactId, agent: AgentId, why: Withdrawal },
    /// The agent's state changed.
    State { agent: AgentId, state: State },
    /// The contact leaves the queue unserved; it is no longer the router's.
    Overflow { contact: ContactId, queue: QueueId, why: Overflow },
    /// The contact's place in line, 1 is next. Told when it joins or comes back to it, and on request by
    /// [`Router::position`].
    Position {
        contact: ContactId,
        queue: QueueId,
        position: usize,
        of: usize,
        expected_wait: Option<Duration>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// The agent did not answer in time; it is now not ready (RONA).
    Rona,
    /// The agent declined.
    Declined,
    /// The phone could not be reached.
    Unreachable,
    /// The caller is gone.
    Abandoned,
    /// The caller is away for a moment, and waits in its place.
    CallerAway,
    /// The queue's longest wait is over.
    TimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The queue's longest wait is over.
    MaxWait,
    /// The queue holds as many as it may.
    Full,
    /// A reload removed the queue.
    Removed,
    /// No such queue.
    Unknown,
}

/// What an agent is doing, derived from the contact that holds it and from its wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    NotReady {
        reason: Reason,
    },
    Ready,
    Offered {
        contact: ContactId,
    },
    Talking {
        contact: ContactId,
    },
    /// Ends by the disposition or after this long from now.
    WrapUp {
        contact: ContactId,
        #[serde(rename = "remaining_ms", with = "millis")]
        remaining: Duration,
    },
    /// On a call of its own.
    Busy,
}

impl State {
    /// The contact that holds the agent.
    pub fn contact(&self) -> Option<ContactId> {
        match self {
            Self::Offered { contact } | Self::Talking { contact } | Self::WrapUp { contact, .. } => {
                Some(*contact)
            }
            Self::NotReady { .. } | Self::Ready | Self::Busy => None,
        }
    }
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
