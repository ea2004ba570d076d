//! Who ended a call and why: one value for the wire, the record and the log.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub by: Party,
    pub cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Caller,
    Callee,
    Us,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody hung up.
    Normal,
    /// The caller gave up before we answered.
    Cancelled,
    /// Rang out.
    NoAnswer,
    Busy,
    Declined,
    Unreachable,
    /// The number leads nowhere.
    UnknownNumber,
    Forbidden,
    /// No media in common; the status that said so.
    MediaRefused(u16),
    /// No sockets left, or a table is full.
    Congestion,
    /// The peer never acknowledged our 2xx.
    NeverAcknowledged,
    /// The peer no longer knows the dialog or no longer answers.
    PeerLost,
    /// No RTP came for too long.
    MediaLost,
    /// The flow said goodbye.
    FlowEnded,
    /// Nobody was there to serve the caller: closed, full, or waited too long.
    Unserved,
    /// The call found somebody else.
    AnsweredElsewhere,
    Shutdown,
    /// The process died with the call up; found at the next start.
    Interrupted,
}

impl Release {
    pub const fn new(by: Party, cause: Cause) -> Self {
        Self { by, cause }
    }

    pub const fn by_us(cause: Cause) -> Self {
        Self { by: Party::Us, cause }
    }
}

impl Cause {
    /// What a call that was refused with `status` died of.
    pub const fn of_refusal(status: u16) -> Self {
        match status {
            486 | 600 => Self::Busy,
            603 | 403 => Self::Declined,
            408 | 480 | 487 => Self::NoAnswer,
            404 | 410 | 604 => Self::UnknownNumber,
            488 | 606 => Self::MediaRefused(status),
            _ => Self::Unreachable,
        }
    }

    /// The SIP status that refuses an INVITE for this reason (RFC 3261 §21).
    pub const fn status(self) -> u16 {
        match self {
            Self::Busy => 486,
            Self::Declined => 603,
            Self::UnknownNumber => 404,
            Self::Forbidden => 403,
            Self::MediaRefused(status) => status,
            Self::Congestion | Self::Shutdown => 503,
            Self::Cancelled => 487,
            _ => 480,
        }
    }

    /// ITU-T Q.850 cause value, for the Reason header (RFC 3326).
    pub const fn q850(self) -> u8 {
        match self {
            Self::Normal | Self::FlowEnded | Self::Cancelled | Self::Unserved => 16,
            Self::Busy => 17,
            Self::NoAnswer => 19,
            Self::Declined | Self::Forbidden => 21,
            Self::AnsweredElsewhere => 26,
            Self::UnknownNumber => 1,
            Self::Unreachable | Self::PeerLost | Self::MediaLost => 27,
            Self::NeverAcknowledged => 102,
            Self::MediaRefused(_) => 88,
            Self::Congestion => 34,
            Self::Shutdown | Self::Interrupted => 41,
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::Normal => "Normal call clearing",
            Self::Cancelled => "Cancelled by caller",
            Self::NoAnswer => "No answer",
            Self::Busy => "Busy",
            Self::Declined => "Declined",
            Self::Unreachable => "Unreachable",
            Self::UnknownNumber => "Unknown number",
            Self::Forbidden => "Forbidden",
            Self::MediaRefused(_) => "No common media",
            Self::Congestion => "No circuit available",
            Self::NeverAcknowledged => "Never acknowledged",
            Self::PeerLost => "Peer lost",
            Self::MediaLost => "Media lost",
            Self::FlowEnded => "Flow ended",
            Self::Unserved => "Unserved",
            Self::AnsweredElsewhere => "Answered elsewhere",
            Self::Shutdown => "Shutting down",
            Self::Interrupted => "Interrupted",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.cause.text(), self.by.word())
    }
}

impl Party {
    const fn word(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Us => "us",
        }
    }
}
