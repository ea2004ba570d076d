//! RFC 8866 text, and the RFC 3264 offer/answer of one leg.
//!
//! A [`Negotiator`] belongs to one dialog and finishes its offers and answers alone: SDP never
//! crosses from one leg to another. The layer above gives it the peer's bytes and what it wants
//! (a [`Direction`]), and gets back the bytes to send and one plain value, [`Agreed`]. It is
//! spared payload-type numbers, `m=` lines it has no use for, who holds whom and by which of the
//! three ways of saying so, when the version of the `o=` line must rise, which of the field's
//! spellings of SRTP a peer uses (RFC 4568, RFC 5763), and what a browser must be told besides
//! (RFC 9429: ICE, BUNDLE, one port for RTP and RTCP).
//!
//! **Invariant:** nothing here knows SIP, a socket or a packet.

mod crypto;
mod description;
#[cfg(test)]
mod field;
mod negotiator;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::base::{Codec, DtlsRole, Fingerprint, IceCredentials, MasterKey, Rate, Spares};

pub use negotiator::{Negotiator, asks_for_ice};

/// The longest description that is read, in bytes: twice the longest seen from a browser that
/// offers video as well.
pub const LONGEST: usize = 16 * 1024;

/// Our end of a leg: what stays the same through all its offers and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The session id of the `o=` line.
    pub session: u64,
    /// The one we like best comes first.
    pub codecs: Vec<Codec>,
    pub reach: Reach,
    /// Of the stream we send; told to who comes by ICE.
    pub ssrc: u32,
    /// RFC 7022: letters and digits, nobody's name. Also names the stream to a browser.
    pub cname: Box<str>,
}

/// How a peer reaches us, and by what means of secrecy. The family of the address is the one we can
/// reach the peer in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A socket pair of the leg's own, in the clear and nothing else. The address is that of RTP;
    /// RTCP is one above (RFC 3550 §11).
    Plain(SocketAddr),
    /// The same, with or without keys as the peer's offer and `demand` have it.
    Keyed { address: SocketAddr, secrets: Secrets, offering: Offering, demand: Demand },
    /// The port that all browsers share: DTLS by way of ICE and nothing else.
    Web(Web),
}

/// What keys are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    pub seed: KeySeed,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
}

/// Chance, from which the leg's own SDES key of each suite is made. Prints as nothing but its kind.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySeed(pub [u8; 32]);

/// What a browser needs to know of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Of the shared port: our one candidate.
    pub address: SocketAddr,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
    /// Until the peer restarts ICE; then see [`Negotiator::provide`].
    pub ice: IceCredentials,
}

/// What an offer of ours over a socket pair looks like until something is agreed. An answer looks
/// like its offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offering {
    #[default]
    Plain,
    /// `RTP/AVP` with `a=crypto`: an answer may take the keys or leave them.
    BestEffort,
    /// `RTP/SAVP` with `a=crypto` (RFC 4568).
    Sdes,
    /// `UDP/TLS/RTP/SAVP` (RFC 5764), RTCP on the same port if the peer can.
    Dtls,
}

/// What the operator demands of a peer's descriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    #[default]
    Any,
    /// What comes without keys is refused as [`Refusal::Keys`].
    Secure,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    pub path: Path,
    pub keys: Keys,
    pub codec: Codec,
    /// The payload type to send `codec` with.
    pub payload_type: u8,
    /// The payload type under which the peer sends `codec` to us. Differs from `payload_type` only
    /// where a peer answered our offer with a number of its own (RFC 3264 §6.1).
    pub payload_type_in: u8,
    /// What else the peer's answer to our offer let stand.
    pub spares: Spares,
    /// Telephone events (RFC 4733), if both know them.
    pub events: Option<Events>,
    /// The payload type of comfort noise (RFC 3389), if both know it; only with G.711.
    pub comfort_noise: Option<u8>,
    /// What the peer wishes for, where `codec` is Opus.
    pub opus: Option<Opus>,
    pub metrics: Metrics,
    /// Milliseconds of sound in a packet to send: 10 to 60, a multiple of 10, one frame of `codec`.
    pub ptime_ms: u8,
    /// Ours: `SendOnly` while we hold the peer, `RecvOnly` while it holds us.
    pub direction: Direction,
}

/// The way packets take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// From our socket pair to the peer's.
    Symmetric {
        /// Where the peer receives RTP. The address is unspecified (`0.0.0.0` or `::`) while the
        /// peer holds in the way of RFC 2543: then `direction` does not send, and RTCP must not go
        /// there either (RFC 3264 §8.4).
        remote: SocketAddr,
        rtcp: Rtcp,
    },
    /// Over the shared port, to and from where connectivity checks with these credentials come; the
    /// peer's candidates do not count. RTCP goes the same way.
    Ice { ours: IceCredentials, theirs: IceCredentials },
}

/// Where a peer receives RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp {
    /// On the port of RTP (RFC 5761); we too.
    Muxed,
    /// Here (RFC 3605), or by default one port above.
    Apart(SocketAddr),
}

/// Whether the peer asks how it is heard: VoIP metrics in RTCP (RFC 3611 §4.7). Each end may ask for
/// itself (§5.2); we ask whoever asks us, and bother nobody else with a line that few know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metrics {
    Asked,
    #[default]
    Unasked,
}

/// What makes SRTP of RTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Nothing does.
    None,
    /// Of one suite. `ours` protects what we send, `theirs` what comes.
    Sdes { ours: MasterKey, theirs: MasterKey },
    /// To be agreed by a handshake, `role` being ours, with who has the certificate of `theirs`.
    Dtls { theirs: Fingerprint, role: DtlsRole },
}

/// Telephone events as agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// The payload type to send with.
    pub payload_type: u8,
    /// The payload type under which the peer sends to us, as with [`Agreed::payload_type_in`].
    pub payload_type_in: u8,
    /// Hz in which durations are counted: the codec's, but for peers that have Opus and count keys
    /// in 8000 all the same.
    pub clock: u32,
    /// Another payload type under which the peer may send them, counted by another clock: of two
    /// that are offered, Chromium takes the slower one, whatever its codec.
    pub aside: Option<u8>,
}

/// What a peer wishes of the Opus it is sent (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opus {
    /// It can make use of redundancy in band.
    pub fec: bool,
    /// It likes nothing to be sent in silence.
    pub dtx: bool,
    /// The most to send, in bit/s: 6000 to 510 000, the latter if it does not say.
    pub bitrate: u32,
    /// The most it can play.
    pub rate: Rate,
}

/// Why a description could not be agreed to. The agreement that stood before still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    // The peer's.
    /// Not RFC 8866 text, or longer than [`LONGEST`].
    Malformed,
    /// Nothing in it is audio, or all of it is switched off (port 0).
    NoAudio,
    /// The audio comes by a transport that this leg does not speak.
    Transport,
    /// The audio comes without keys where there have to be some, or with none that can be used.
    Keys,
    /// The audio's address is none that we can send to: a name, a group, the other family.
    Address,
    /// The audio is offered in no codec of ours.
    Codec,
    /// An answer came to no offer of ours.
    Unasked,
    // Ours.
    /// The peer restarts ICE and there are no fresh credentials: see [`Negotiator::provide`].
    Spent,
    // Nobody's.
    /// An offer crossed ours (RFC 3261 §14.2).
    Glare,
}

impl Reach {
    /// Where a peer is to send RTP.
    pub const fn address(&self) -> SocketAddr {
        match self {
            Self::Plain(address) | Self::Keyed { address, .. } | Self::Web(Web { address, .. }) => *address,
        }
    }

    const fn ip(&self) -> IpAddr {
        self.address().ip()
    }
}

impl Agreed {
    /// Where the peer receives RTP, if signalling says so.
    pub const fn remote(&self) -> Option<SocketAddr> {
        match self.path {
            Path::Symmetric { remote, .. } => Some(remote),
            Path::Ice { .. } => None,
        }
    }
}

impl Default for Opus {
    fn default() -> Self {
        Self { fec: false, dtx: false, bitrate: 510_000, rate: Rate::Wide }
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
            Self::NoAudio | Self::Transport | Self::Keys | Self::Address | Self::Codec => 488,
            Self::Glare => 491,
            Self::Spent => 500,
        }
    }

    /// Code and text of a `Warning` header beside the status (RFC 3261 §20.43), which has no code of
    /// its own for keys.
    pub const fn warning(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Address => Some((301, "Incompatible network address formats")),
            Self::Transport => Some((302, "Incompatible transport protocol")),
            Self::NoAudio => Some((304, "Media type not available")),
            Self::Codec => Some((305, "Incompatible media format")),
            Self::Keys => Some((399, "No acceptable SRTP keys")),
            Self::Malformed | Self::Unasked | Self::Glare | Self::Spent => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed description",
            Self::NoAudio => "no audio",
            Self::Transport => "incompatible transport protocol",
            Self::Keys => "no acceptable keys",
            Self::Address => "incompatible network address",
            Self::Codec => "no common codec",
            Self::Unasked => "an answer to no offer",
            Self::Glare => "offers crossed",
            Self::Spent => "no fresh ICE credentials",
        })
    }
}

impl std::error::Error for Refusal {}
