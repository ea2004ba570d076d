//! The four transactions of RFC 3261 §17, as corrected by RFC 6026 and RFC 4320.
//!
//! Each is one machine that is given bytes built once and repeats them; none knows a socket, a
//! dialog or what the bytes say. The endpoint matches messages to them and drains them.

pub mod client;
pub mod invite_client;
pub mod invite_server;
pub mod server;

use std::time::Duration;

use super::Transport;
use crate::base::Mono;

/// RFC 3261 §17.1.1.1: the estimated round trip.
pub const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2: the longest interval between repetitions.
pub const T2: Duration = Duration::from_secs(4);
/// RFC 3261 §17.1.2.2: how long a message may stay in the network.
pub const T4: Duration = Duration::from_secs(5);
/// 64 × T1, which timers B, F, H, J, L, M and the wait for a 2xx's ACK share.
pub const PATIENCE: Duration = Duration::from_secs(32);

/// A repetition whose interval doubles, up to a ceiling if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub at: Mono,
    pub interval: Duration,
}

impl Backoff {
    /// First due T1 from now.
    pub fn starting(now: Mono) -> Self {
        Self { at: now + T1, interval: T1 }
    }

    /// Only over transports that lose messages.
    pub fn over(transport: Transport, now: Mono) -> Option<Self> {
        (!transport.is_reliable()).then(|| Self::starting(now))
    }

    pub fn double(&mut self, ceiling: Duration) {
        // From when it was due, not from when the loop came to it: a late wake-up must not
        // stretch the whole series.
        self.interval = (self.interval * 2).min(ceiling);
        self.at += self.interval;
    }
}

/// How long a transaction lingers to absorb what the transport may still repeat.
pub(crate) fn linger(transport: Transport, over_datagrams: Duration) -> Duration {
    if transport.is_reliable() { Duration::ZERO } else { over_datagrams }
}

/// Whether what came is news to the layer above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Heard {
    News,
    /// A repetition, or out of place: dealt with here.
    Absorbed,
}
