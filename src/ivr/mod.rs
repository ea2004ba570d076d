//! Self-service by telephone: a checked [`Flow`](flow::Flow) and the interpreter that walks it.
//!
//! **Invariant:** the interpreter knows no call, no audio and no HTTP. It is told keys and
//! outcomes and says what to play, to fetch and to report; time comes in as a value.

mod check;
pub mod collect;
pub mod expr;
pub mod flow;
mod graph;
pub mod interpreter;
pub mod phrase;
mod simulate;
pub mod spoken;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{Key, Language, QueueId, SkillId};

pub use graph::graph;
pub use simulate::{BadDigits, simulate};

/// Named values of a running flow, bound into conditions and texts.
pub type Values = serde_json::Map<String, serde_json::Value>;

/// What the interpreter is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The caller can hear us.
    Begin,
    /// Something became known: merged into the flow's values (`customer`, `breakpoint`, …).
    Learn(Values),
    Key(Key),
    /// The last `Say` was heard to its end.
    Heard,
    /// The outcome of the last `Fetch`.
    Fetched(Result<serde_json::Value, FetchFault>),
    /// The contact left the queue unserved; the flow may go on (`on_overflow`).
    Overflowed {
        why: String,
    },
    /// The transfer the flow asked for did not come about.
    TransferFailed,
    /// An agent answered, or the transfer came about: the flow has done its work.
    Served,
    /// The caller hung up.
    HungUp,
}

/// Why a data dip brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchFault {
    /// The connector's time was up.
    TimedOut,
    Unreachable,
    /// Any status but 2xx; redirects are not followed.
    Status(u16),
    /// Not JSON, or larger than the connector allows.
    BadBody,
}

/// What the interpreter asks for, and what it reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Play these in a row, replacing whatever is being played.
    Say(Vec<Utterance>),
    /// Stop playing (a key barged in).
    Hush,
    Fetch(Fetch),
    /// A labelled step of the journey began or ended.
    Step(StepReport),
    /// One stop on the caller's path, for the agent's screen: which step, what was pressed.
    /// Input of a secure `collect` is never in it.
    Walked {
        step: String,
        input: Option<String>,
    },
    /// Digits of a secure `collect` are being keyed: recordings are masked while it lasts.
    Secure(Secure),
    /// From now on this language is spoken.
    Language(Language),
    /// The flow hands over. It may be resumed by `Overflowed` or `TransferFailed`.
    Exit(Exit),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secure {
    Begins,
    Ends,
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Utterance {
    /// A prompt by name: `prompts/<language>/<name>.wav`, or spoken from its `.txt`.
    Prompt { name: String, language: Language },
    /// A text rendered for this caller. Personal texts are never cached on disk.
    Text { text: String, language: Language, personal: bool },
}

/// A data dip through a named connector. It may carry digits of a secure `collect`: it prints
/// without what it carries.
#[derive(Clone, PartialEq)]
pub struct Fetch {
    pub connector: String,
    pub method: Method,
    /// Segments, still plain: the shell percent-encodes each.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    pub json: Option<serde_json::Value>,
    pub timeout: Duration,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetch({} {}, {} parts)", self.method.word(), self.connector, self.path.len())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
}

impl Method {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A labelled step, as the journey is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    pub step: String,
    pub label: String,
    pub ordinal: Option<u16>,
    pub total: Option<u16>,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Entered,
    Done,
    Failed {
        reason: String,
    },
    /// The caller hung up in it.
    Abandoned,
}

/// How a flow lets go of the caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Exit {
    Queue {
        queue: QueueId,
        skills: BTreeMap<SkillId, u8>,
        priority: u8,
    },
    /// To a number or SIP address: default-deny, the call's routing decides.
    Transfer {
        to: String,
    },
    HangUp {
        reason: Option<String>,
    },
}
