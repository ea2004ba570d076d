//! RTP and RTCP as values: RFC 3550 packets and statistics, RFC 4733 keys, a jitter buffer.
//!
//! **Invariant:** nothing here knows a codec, an address or a leg. What a peer sends is read with
//! bounds on everything; nothing is allocated per packet.

pub mod bursts;
pub mod dtmf;
pub mod jitter;
pub mod packet;
pub mod quality;
pub mod rtcp;
pub mod srtp;
pub mod stats;
pub mod stun;
pub mod xr;

/// A packet that comes so many or fewer behind the newest of its source is still of use; RFC 3550 §A.1
/// calls it MAX_MISORDER. Whoever remembers what came remembers at least as many.
pub const MISORDER: i16 = 100;

/// How far `to` lies after `from` on RTP's wrapping clock; negative if before.
pub const fn ahead(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// How far `to` lies after `from` in wrapping sequence numbers; negative if before.
pub const fn ahead_in_sequence(from: u16, to: u16) -> i16 {
    to.wrapping_sub(from) as i16
}
