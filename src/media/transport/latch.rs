//! Where a leg's packets come from when nobody proves it: symmetric RTP (RFC 4961).
//!
//! We send to where signalling said until a valid packet tells better, then to where that came
//! from, and believe nobody else.

use std::net::SocketAddr;
use std::time::Duration;

use super::Source;
use crate::base::{Mono, PeerAddress};

/// One port's peer.
#[derive(Debug)]
pub(super) struct Latch {
    signalled: SocketAddr,
    locked: Option<Locked>,
    patience: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Locked {
    source: SocketAddr,
    heard: Mono,
}

impl Latch {
    pub const fn new(signalled: SocketAddr, patience: Duration) -> Self {
        Self { signalled, locked: None, patience }
    }

    pub fn amend(&mut self, signalled: SocketAddr) {
        if self.signalled != signalled {
            *self = Self::new(signalled, self.patience);
        }
    }

    /// Believes who comes first, and nobody else while that one is heard.
    pub fn admit(&mut self, now: Mono, from: SocketAddr) -> Source {
        let source = self.judge(now, from);
        if source == Source::Believed {
            self.trust(now, from);
        }
        source
    }

    /// What [`Latch::admit`] would say, without a trace.
    pub fn judge(&self, now: Mono, from: SocketAddr) -> Source {
        // Whoever sprays every port may have been first; the address that signalling named takes the
        // leg back from it. The other way round there is no way.
        match &self.locked {
            Some(locked) if !self.knows(from) && now.since(locked.heard) < self.patience => Source::Stranger,
            _ => Source::Believed,
        }
    }

    /// Whether signalling named this address, or it is the one that was believed last.
    pub fn knows(&self, from: SocketAddr) -> bool {
        PeerAddress::same(self.signalled, from)
            || self.locked.is_some_and(|locked| PeerAddress::same(locked.source, from))
    }

    /// Who proved to be the peer is believed at once, wherever it is.
    pub fn trust(&mut self, now: Mono, from: SocketAddr) {
        self.locked = Some(Locked { source: from, heard: now });
    }

    /// Believes whom the other believes.
    pub const fn follow(&mut self, other: &Self) {
        if other.locked.is_some() {
            self.locked = other.locked;
        }
    }

    pub const fn forget(&mut self) {
        self.locked = None;
    }

    pub fn source(&self) -> Option<SocketAddr> {
        self.locked.map(|locked| locked.source)
    }

    pub const fn signalled(&self) -> SocketAddr {
        self.signalled
    }

    pub fn destination(&self) -> SocketAddr {
        self.source().unwrap_or(self.signalled)
    }
}
