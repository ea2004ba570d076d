//! How one leg's audio is to flow: what SDP agreed, without the SDP.

use std::net::SocketAddr;

use super::crowd::Shard;
use crate::base::{Codec, DtlsRole, Fingerprint, IceCredentials, MasterKey, Rate, Spares};

/// A socket pair of a shard's stock (RTP, and RTCP one port above): its index there. Or the port that
/// all ICE legs of a shard share, and then it says whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// Everything a shard needs to open a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub socket: SocketId,
    pub path: Path,
    pub keys: Keys,
    pub rtcp: Rtcp,
    pub metrics: Metrics,
    pub codec: Codec,
    /// The payload type of the audio we send.
    pub payload_type: u8,
    /// And of the audio we receive.
    pub payload_type_in: u8,
    /// What the peer may send instead. From then on we send it, too.
    pub spares: Spares,
    /// Telephone events (RFC 4733), if agreed.
    pub events: Option<Events>,
    /// The payload type of comfort noise (RFC 3389), if agreed.
    pub noise: Option<u8>,
    /// What the peer wishes of the Opus it is sent.
    pub opus: Option<Opus>,
    /// Milliseconds of audio in a packet we send: 10 to 60, a multiple of 10.
    pub ptime_ms: u8,
    /// From our side: `SendOnly` is a peer that listens but is not listened to.
    pub direction: Direction,
    /// Of the packets we send.
    pub ssrc: u32,
}

/// How keys go as telephone events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// The payload type we send them under.
    pub sent: u8,
    /// And the one we receive them under.
    pub received: u8,
    /// In which their durations count, in Hz: as a rule the codec's.
    pub clock: u32,
    /// Another payload type we receive them under, their durations in another unit.
    pub aside: Option<u8>,
}

/// RFC 7587 §6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opus {
    /// It makes use of redundancy in band.
    pub redundancy: bool,
    /// It likes nothing to be sent in silence.
    pub dtx: bool,
    /// The most to send, in bit/s.
    pub bitrate: u32,
    /// The most it can play.
    pub rate: Rate,
}

/// How packets reach the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// On the leg's own socket pair.
    Symmetric {
        /// Where the peer said it receives RTP. A hint: with symmetric RTP (RFC 4961) we send to
        /// where its packets come from, once they do.
        remote: SocketAddr,
        /// Where the peer said it receives RTCP (RFC 3605), else `remote`'s port plus one.
        remote_rtcp: SocketAddr,
    },
    /// On a shard's shared port ([`SocketId::shared`]), where its checks come from (RFC 8445).
    Ice { ours: IceCredentials, theirs: IceCredentials },
}

/// How packets are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    None,
    /// Those that signalling carried (RFC 4568).
    Sdes {
        ours: MasterKey,
        theirs: MasterKey,
    },
    /// Those that DTLS comes to with the holder of this certificate (RFC 5763).
    Dtls {
        theirs: Fingerprint,
        role: DtlsRole,
    },
}

/// Where RTCP goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp {
    /// By a port of its own.
    Apart,
    /// Along with RTP (RFC 5761).
    Muxed,
}

/// Whether the peer asked how it is heard (RFC 3611 §5.1, `voip-metrics`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metrics {
    Asked,
    #[default]
    Unasked,
}

impl Plan {
    /// What the codec carries, as far as the peer can play it.
    pub fn rate(&self) -> Rate {
        self.opus.map_or(Rate::Wide, |opus| opus.rate).min(self.codec.rate())
    }
}

impl SocketId {
    /// The one port that the ICE legs of this shard share. A leg that moves to another shard keeps it:
    /// its peer knows no other.
    pub const fn shared(shard: Shard) -> Self {
        Self(u32::MAX - shard.number() as u32)
    }

    /// Whose shared port it is; `None` of a pair of the stock.
    pub const fn shared_by(self) -> Option<Shard> {
        Shard::of(u32::MAX - self.0)
    }

    pub const fn is_shared(self) -> bool {
        self.shared_by().is_some()
    }
}

/// RFC 3264 §5.1, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}
