//! The path of a leg's packets: where they go, and from where they are believed.
//!
//! Symmetric RTP (RFC 4961): we send to where signalling said until a valid packet tells better,
//! then to where that came from, and believe nobody else. Who is believed is decided here and
//! nowhere else; ICE will be another path beside this one, SRTP a layer of keys under it.

use std::net::SocketAddr;
use std::time::Duration;

use super::Channel;
use super::plan::Plan;
use crate::base::Mono;

/// A locked source unheard for this long may be replaced. As long as it takes to call a leg
/// silent: shorter, and a pause in speech from a phone that suppresses silence would open the door
/// to a stranger; longer, and a phone whose NAT gave it another port stays unheard needlessly.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// RTCP comes every 5 s at best.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Transport {
    rtp: Latch,
    rtcp: Latch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Believed,
    Stranger,
}

impl Transport {
    pub fn new(plan: &Plan) -> Self {
        Self { rtp: Latch::new(plan.remote, PATIENCE), rtcp: Latch::new(plan.remote_rtcp, REPORT_PATIENCE) }
    }

    /// What signalling says now. An address that did not change leaves what was learnt.
    pub fn amend(&mut self, plan: &Plan) {
        self.rtp.amend(plan.remote);
        self.rtcp.amend(plan.remote_rtcp);
    }

    /// A packet that is valid in itself came from `from`.
    pub fn admit(&mut self, now: Mono, channel: Channel, from: SocketAddr) -> Source {
        match channel {
            Channel::Rtp => self.rtp.admit(now, from),
            Channel::Rtcp => {
                let same_host = |of: &Latch| of.destination().ip().to_canonical() == from.ip().to_canonical();
                if same_host(&self.rtp) || same_as(self.rtcp.signalled, from) {
                    self.rtcp.admit(now, from)
                } else {
                    Source::Stranger
                }
            }
        }
    }

    /// `None` if there is nowhere to send to yet: signalling named no address (RFC 3264 §5.1's
    /// port 0, or the old hold by 0.0.0.0) and no packet came.
    pub fn destination(&self, channel: Channel) -> Option<SocketAddr> {
        let latch = match channel {
            Channel::Rtp => &self.rtp,
            Channel::Rtcp => &self.rtcp,
        };
        Some(latch.destination()).filter(|to| !to.ip().is_unspecified() && to.port() != 0)
    }
}

#[derive(Debug)]
struct Latch {
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
    const fn new(signalled: SocketAddr, patience: Duration) -> Self {
        Self { signalled, locked: None, patience }
    }

    fn amend(&mut self, signalled: SocketAddr) {
        if self.signalled != signalled {
            *self = Self::new(signalled, self.patience);
        }
    }

    fn admit(&mut self, now: Mono, from: SocketAddr) -> Source {
        if let Some(locked) = &mut self.locked {
            if same_as(locked.source, from) {
                locked.heard = now;
                return Source::Believed;
            }
            // Whoever sprays every port may have been first; the address that signalling named
            // takes the leg back from it. The other way round there is no way.
            let outranks = same_as(self.signalled, from);
            if !outranks && now.since(locked.heard) < self.patience {
                return Source::Stranger;
            }
        }
        self.locked = Some(Locked { source: from, heard: now });
        Source::Believed
    }

    fn destination(&self) -> SocketAddr {
        self.locked.map_or(self.signalled, |locked| locked.source)
    }
}

/// A socket of both families writes IPv4 addresses as IPv6.
fn same_as(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}
