//! How one leg's audio is to flow: what SDP agreed, without the SDP.

use std::net::SocketAddr;

/// A socket pair of a shard's stock (RTP, and RTCP one port above): its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// Everything a shard needs to open a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub socket: SocketId,
    /// Where the peer said it receives RTP. A hint: with symmetric RTP (RFC 4961) we send to
    /// where its packets come from, once they do.
    pub remote: SocketAddr,
    /// Where the peer said it receives RTCP (RFC 3605), else `remote`'s port plus one.
    pub remote_rtcp: SocketAddr,
    pub law: Law,
    /// The payload type of the audio, as agreed.
    pub payload_type: u8,
    /// The payload type of telephone-event/8000 (RFC 4733), if agreed.
    pub events: Option<u8>,
    /// Milliseconds of audio in a packet we send: 10 to 60, a multiple of 10.
    pub ptime_ms: u8,
    /// From our side: `SendOnly` is a peer that listens but is not listened to.
    pub direction: Direction,
    /// Of the packets we send.
    pub ssrc: u32,
}

/// The two laws of G.711.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// µ-law, PCMU, static payload type 0 (RFC 3551 §6).
    Mu,
    /// A-law, PCMA, static payload type 8.
    A,
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
