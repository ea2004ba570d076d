//! What an agent's desktop asks and is told: plain data, in the words of the public contract.
//!
//! JSON is written and read in `io`; sequence numbers and resumption belong to the gateway.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::acd::{Disposition, State, Withdrawal};
use crate::base::{AgentId, ContactId, CustomerId, Pii, QueueId, Wall};
use crate::call::audio::Fare;
use crate::call::release::Release;
use crate::journey::{Breakpoint, Confidence, Previous};

/// A desktop's command. A repeated `id` is a no-op that gets the same reply.
#[derive(Clone, Debug, Deserialize)]
pub struct Command {
    pub id: String,
    #[serde(flatten)]
    pub request: Request,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    SetState {
        state: Wanted,
        reason: Option<String>,
    },
    /// The pop of this version is on the screen.
    Displayed {
        contact: ContactId,
        version: u32,
    },
    Answer {
        contact: ContactId,
    },
    /// The softphone offers, at log-in and after a refresh: a browser's description.
    Sdp {
        sdp: String,
    },
    /// Nobody hears the agent, and the agent hears the caller.
    Mute {
        contact: ContactId,
        on: bool,
    },
    /// Keys for the caller's end: a bank's voice menu, a door.
    Dtmf {
        contact: ContactId,
        keys: String,
    },
    Decline {
        contact: ContactId,
    },
    Hold {
        contact: ContactId,
    },
    Resume {
        contact: ContactId,
    },
    Release {
        contact: ContactId,
    },
    /// Silence is recorded from now on in place of sound, until `record_resume`.
    RecordPause {
        contact: ContactId,
    },
    RecordResume {
        contact: ContactId,
    },
    Note {
        contact: ContactId,
        text: String,
    },
    Disposition {
        contact: ContactId,
        code: String,
        journey: Option<JourneyEnd>,
    },
    Extend {
        contact: ContactId,
        #[serde(default = "half_a_minute")]
        seconds: u32,
    },
}

const fn half_a_minute() -> u32 {
    30
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    Ready,
    NotReady,
}

/// What became of the errand, in the agent's judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JourneyEnd {
    Resolved,
    Open,
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The contact is not, or no longer, this agent's.
    NotYours,
    /// Not possible at this stage of the contact.
    NotNow,
    /// The phone rings already: it is answered there.
    AnswerAtThePhone,
    /// The agent's phone is not registered.
    PhoneUnreachable,
    /// No such disposition code, or a reason that is needed is missing.
    Unknown,
    /// Longer than allowed.
    TooLong,
    /// No description of a browser's audio, or none we can agree to.
    Unacceptable,
    /// No WebRTC here, or no room for more.
    NoRoom,
}

/// What a desktop is told. The gateway adds the sequence number.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Push {
    Welcome {
        agent: AgentId,
        name: String,
        dispositions: Vec<Disposition>,
        /// Whether the agent's phone is this desktop.
        softphone: bool,
        /// For its `RTCPeerConnection`, with credentials of a day.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        ice_servers: Vec<IceServer>,
    },
    /// All that a desktop shows, where what it missed cannot be replayed.
    Snapshot {
        #[serde(flatten)]
        state: State,
        /// The contact that holds the agent, if any.
        #[serde(skip_serializing_if = "Option::is_none")]
        pop: Option<Box<ScreenPop>>,
        stage: Option<ContactStage>,
    },
    State(State),
    Offer(Box<ScreenPop>),
    /// Same shape as the offer, higher version.
    Update(Box<ScreenPop>),
    Withdrawn {
        contact: ContactId,
        reason: Withdrawal,
    },
    Connected {
        contact: ContactId,
        at: Wall,
    },
    Held {
        contact: ContactId,
    },
    Resumed {
        contact: ContactId,
    },
    /// The answer to the softphone's offer.
    Sdp {
        sdp: String,
    },
    /// How the call sounds; at once when somebody falls silent or is heard again.
    Quality {
        contact: ContactId,
        caller: Fare,
        agent: Fare,
    },
    Released {
        contact: ContactId,
        #[serde(flatten)]
        release: Release,
    },
    WrapUp {
        contact: ContactId,
        remaining_ms: u64,
    },
    Reply {
        re: String,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Refusal>,
    },
    Error {
        error: String,
    },
}

/// An `RTCIceServer` as a browser takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IceServer {
    pub urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactStage {
    Offered,
    Talking,
    Held,
    WrapUp,
}

/// What an agent sees of a caller before the phone rings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScreenPop {
    pub contact: ContactId,
    /// Counts up with every change of the content.
    pub version: u32,
    pub queue: QueueId,
    #[serde(rename = "waited_ms", serialize_with = "millis")]
    pub waited: Duration,
    #[serde(rename = "answer_within_ms", serialize_with = "millis")]
    pub answer_within: Duration,
    pub caller: Caller,
    pub breakpoint: Option<Breakpoint>,
    /// Names of what is known but may not be shown at this confidence.
    pub withheld: Vec<String>,
    pub path: Vec<Stop>,
    pub hops: Vec<Hop>,
    /// Other open breakpoints of the same person, in order of rank.
    pub open: Vec<Breakpoint>,
    pub previous: Vec<Previous>,
    pub notes: Vec<Note>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// As far as the network told it.
    #[serde(serialize_with = "revealed")]
    pub number: Option<Pii<String>>,
    pub customer: Option<CustomerId>,
    #[serde(serialize_with = "revealed")]
    pub name: Option<Pii<String>>,
    pub tier: Option<String>,
    pub language: Option<String>,
    pub confidence: Confidence,
}

/// One stop on the caller's way through the flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub step: String,
    /// Never the input of a secure step.
    pub input: Option<String>,
    pub at: Wall,
}

/// One offer of the contact to an agent, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    pub agent: AgentId,
    pub queue: QueueId,
    pub version: u32,
    pub offered_at: Wall,
    pub displayed_at: Option<Wall>,
    pub rung_at: Option<Wall>,
    pub answered_at: Option<Wall>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Offered,
    Answered,
    Rona,
    Declined,
    Unreachable,
    Abandoned,
    CallerAway,
    TimedOut,
}

impl From<Withdrawal> for Outcome {
    fn from(why: Withdrawal) -> Self {
        match why {
            Withdrawal::Rona => Self::Rona,
            Withdrawal::Declined => Self::Declined,
            Withdrawal::Unreachable => Self::Unreachable,
            Withdrawal::Abandoned => Self::Abandoned,
            Withdrawal::CallerAway => Self::CallerAway,
            Withdrawal::TimedOut => Self::TimedOut,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub agent: AgentId,
    pub at: Wall,
    pub text: String,
}

/// Milliseconds, as a number.
pub fn millis<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn revealed<S: Serializer>(value: &Option<Pii<String>>, to: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Pii::reveal).serialize(to)
}
