//! RFC 8866 text, and the RFC 3264 offer/answer of one leg.
//!
//! A [`Negotiator`] belongs to one dialog and finishes its offers and answers alone: SDP never
//! crosses from one leg to another. The layer above gives it the peer's bytes and what it wants
//! (a [`Direction`]), and gets back the bytes to send and one plain value, [`Agreed`]. It is
//! spared payload-type numbers, `m=` lines it has no use for, who holds whom and by which of the
//! three ways of saying so, and when the version of the `o=` line must rise.
//!
//! **Invariant:** nothing here knows SIP, a socket or a packet.

mod description;
#[cfg(test)]
mod field;
mod negotiator;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub use negotiator::Negotiator;

/// The longest description that is read, in bytes: ten times the longest seen from a browser's
/// single audio line.
pub const LONGEST: usize = 16 * 1024;

/// Our end of a leg: what stays the same through all its offers and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Where the peer is to send; its family is the one we can reach the peer in.
    pub address: IpAddr,
    /// Of RTP; RTCP is one above (RFC 3550 §11).
    pub port: u16,
    /// The session id of the `o=` line.
    pub session: u64,
    /// The one we like best comes first.
    pub codecs: Vec<Codec>,
}

/// Sound as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

/// Whose order of codecs decides which one an answer takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// RFC 3264 §6.1: the offerer's, so that both ways use the same one.
    #[default]
    Theirs,
    /// Ours, as in [`Local::codecs`].
    Ours,
}

/// RFC 3264 §5.1, seen from whoever says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

/// What both sides said yes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Where the peer receives RTP. The address is unspecified (`0.0.0.0` or `::`) while the peer
    /// holds in the way of RFC 2543: then `direction` does not send, and RTCP must not go there
    /// either (RFC 3264 §8.4).
    pub remote: SocketAddr,
    /// Where the peer receives RTCP (RFC 3605), else one port above.
    pub remote_rtcp: SocketAddr,
    pub codec: Codec,
    /// The payload type to send `codec` with, and but for very odd peers to receive it with.
    pub payload_type: u8,
    /// The payload type to send telephone-event/8000 with (RFC 4733), if both know it.
    pub events: Option<u8>,
    /// The payload type under which the peer sends telephone events to us. Differs from `events`
    /// only where a peer answered our offer with a number of its own (RFC 3264 §6.1).
    pub events_in: Option<u8>,
    /// Milliseconds of sound in a packet to send: 10 to 60, a multiple of 10.
    pub ptime_ms: u8,
    /// Ours: `SendOnly` while we hold the peer, `RecvOnly` while it holds us.
    pub direction: Direction,
}

/// Why a description could not be agreed to. The agreement that stood before still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    // The peer's.
    /// Not RFC 8866 text, or longer than [`LONGEST`].
    Malformed,
    /// Nothing in it is audio, or all of it is switched off (port 0).
    NoAudio,
    /// The audio is offered by a transport we do not speak, such as SRTP.
    Transport,
    /// The audio's address is none that we can send to: a name, a group, the other family.
    Address,
    /// The audio is offered in no codec of ours.
    Codec,
    /// An answer came to no offer of ours.
    Unasked,
    // Nobody's.
    /// An offer crossed ours (RFC 3261 §14.2).
    Glare,
}

impl Codec {
    /// RFC 3551 §6.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// In Hz, of the RTP timestamp; telephone events of the same clock go with it.
    pub const fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
        }
    }

    /// The number we give it when the peer has not given it one.
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }
}

impl Direction {
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same as the other side says it.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            both => both,
        }
    }

    /// What is left when both must agree.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self.sends() && other.sends(), self.receives() && other.receives()) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The attribute's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.name().eq_ignore_ascii_case(name))
    }
}

impl Refusal {
    /// The SIP status to refuse an offer with.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::Unasked => 400,
            Self::NoAudio | Self::Transport | Self::Address | Self::Codec => 488,
            Self::Glare => 491,
        }
    }

    /// The code of a `Warning` header beside the status (RFC 3261 §20.43).
    pub const fn warning(self) -> Option<u16> {
        match self {
            Self::Address => Some(301),
            Self::Transport => Some(302),
            Self::NoAudio => Some(304),
            Self::Codec => Some(305),
            Self::Malformed | Self::Unasked | Self::Glare => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed description",
            Self::NoAudio => "no audio",
            Self::Transport => "incompatible transport protocol",
            Self::Address => "incompatible network address",
            Self::Codec => "no common codec",
            Self::Unasked => "an answer to no offer",
            Self::Glare => "offers crossed",
        })
    }
}

impl std::error::Error for Refusal {}
