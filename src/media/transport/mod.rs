//! A leg's packets on the network: which path they take, and under which keys.
//!
//! The two are independent. The path is symmetric RTP on a socket pair of the leg's own, or ICE-lite
//! on the port that all WebRTC legs share; the keys are none, those of SDES, or those that DTLS
//! comes to. Who is believed is decided here and nowhere else. **Invariant:** what fails its
//! authentication changes nothing.

mod latch;

use std::net::SocketAddr;
use std::time::Duration;

use self::latch::Latch;
use super::dtls::{self, Certificate, Handshake};
use super::ice::{Agent, Lapse, Outcome, REPLY};
use super::plan::{Keys, Path, Plan, Rtcp};
use super::{Channel, Wire};
use crate::base::{DtlsRole, Fingerprint, IceCredentials, MasterKey, Mono, PeerAddress};
use crate::rtp::srtp::{self, Protector, Unprotector};
use crate::rtp::stun::Message;

/// A locked source unheard for this long may be replaced. As long as it takes to call a leg
/// silent: shorter, and a pause in speech from a phone that suppresses silence would open the door
/// to a stranger; longer, and a phone whose NAT gave it another port stays unheard needlessly.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// RTCP comes every 5 s at best.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);
/// Octets that must lie free behind a packet, for what protects it.
pub(super) const ROOM: usize = srtp::OVERHEAD;

#[derive(Debug)]
pub(super) struct Transport {
    way: Way,
    lock: Lock,
    rtcp: Rtcp,
    standing: Standing,
    renewal: Renewal,
}

/// Whether signalling was told that packets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Untold,
    Told,
}

/// Whether a first hello on a checked path may end the association that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    Unwanted,
    /// ICE was restarted since it began.
    Possible,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Believed,
    Stranger,
}

/// What became of the path or the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The keys are there, and the path as last agreed: packets pass from now on.
    Secured,
    /// There are none, and will be none.
    Unsecured(dtls::Fault),
    /// The peer ended the association.
    Closed,
}

#[derive(Debug)]
enum Way {
    /// A handshake has a latch of its own: who takes part in it has proved nothing until it is over.
    Symmetric {
        rtp: Latch,
        rtcp: Latch,
        dtls: Latch,
    },
    Ice {
        ours: IceCredentials,
        theirs: IceCredentials,
        agent: Box<Agent>,
    },
}

#[derive(Debug)]
enum Lock {
    Open,
    Sdes { ours: MasterKey, theirs: MasterKey, srtp: Box<Srtp> },
    Dtls { fingerprint: Fingerprint, role: DtlsRole, handshake: Box<Handshake>, srtp: Option<Box<Srtp>> },
}

#[derive(Debug)]
struct Srtp {
    protector: Protector,
    unprotector: Unprotector,
}

impl Transport {
    pub fn new(now: Mono, plan: &Plan, certificate: &Certificate) -> Self {
        Self {
            way: Way::new(now, &plan.path),
            lock: Lock::new(now, &plan.keys, certificate),
            rtcp: plan.rtcp,
            standing: Standing::Untold,
            renewal: Renewal::Unwanted,
        }
    }

    /// What signalling says now. What did not change leaves what was learnt. Gives the user
    /// fragment of ours that opens nothing any more.
    pub fn amend(&mut self, now: Mono, plan: &Plan, certificate: &Certificate) -> Option<Box<str>> {
        self.rtcp = plan.rtcp;
        match (&mut self.lock, &plan.keys) {
            (Lock::Sdes { ours, theirs, srtp }, Keys::Sdes { ours: new_ours, theirs: new_theirs }) => {
                // Most who offer a new key leave ours as it is. Our counters never begin anew, wherever
                // the peer is now: by RFC 4568 §7.1.4 only those of an end that moved do, and a key of
                // ours comes back with its suite, when its keystream is spent (RFC 3711 §9.1).
                if ours != new_ours {
                    *ours = new_ours.clone();
                    srtp.protector.rekey(ours);
                }
                if theirs != new_theirs {
                    *theirs = new_theirs.clone();
                    srtp.unprotector.rekey(theirs);
                }
            }
            (lock, keys) if !lock.is_for(keys) => {
                *lock = Lock::new(now, keys, certificate);
                self.standing = Standing::Untold;
                self.renewal = Renewal::Unwanted;
                if let Way::Symmetric { dtls, .. } = &mut self.way {
                    dtls.forget();
                }
            }
            _ => {}
        }
        match (&mut self.way, &plan.path) {
            (Way::Symmetric { rtp, rtcp, dtls }, Path::Symmetric { remote, remote_rtcp }) => {
                rtp.amend(*remote);
                dtls.amend(*remote);
                rtcp.amend(*remote_rtcp);
                None
            }
            (Way::Ice { ours, theirs, agent }, Path::Ice { ours: new_ours, theirs: new_theirs }) => {
                // Whoever offers anew waits to be told, though nothing may have changed.
                self.standing = Standing::Untold;
                if (&*ours, &*theirs) == (new_ours, new_theirs) {
                    return None;
                }
                (*ours, *theirs) = (new_ours.clone(), new_theirs.clone());
                self.renewal = Renewal::Possible;
                agent.restart(now, new_ours, Some(new_theirs))
            }
            (way, path) => {
                let before = std::mem::replace(way, Way::new(now, path));
                match before {
                    Way::Ice { ours, .. } => Some(ours.ufrag),
                    Way::Symmetric { .. } => None,
                }
            }
        }
    }

    /// A STUN message for this leg came to the shared port.
    pub fn check<'o>(
        &mut self,
        now: Mono,
        from: SocketAddr,
        message: &Message<'_>,
        out: &'o mut [u8; REPLY],
    ) -> Option<Outcome<'o>> {
        match &mut self.way {
            Way::Ice { agent, .. } => Some(agent.receive(now, from, message, out)),
            Way::Symmetric { .. } => None,
        }
    }

    /// A datagram of a DTLS handshake. On a path that nobody checked it moves no audio: where that
    /// goes, only the keys tell.
    pub fn shake(&mut self, now: Mono, from: SocketAddr, datagram: &[u8]) {
        let Lock::Dtls { handshake, srtp, .. } = &mut self.lock else { return };
        let latch = match &mut self.way {
            Way::Ice { agent, .. } if !agent.believes(from) => return,
            Way::Ice { agent, .. } => {
                // Whoever restarts ICE may begin a new association by the same certificate. The old
                // keys are good until there are new ones.
                let is_renewable = self.renewal == Renewal::Possible && agent.is_settled();
                if is_renewable && srtp.is_some() && dtls::is_first_hello(datagram) {
                    self.renewal = Renewal::Unwanted;
                    handshake.begin_anew(now);
                }
                return handshake.receive(now, datagram);
            }
            // The audio follows the keys wherever they go; so may their end.
            Way::Symmetric { rtp, .. } if srtp.is_some() && PeerAddress::same(rtp.destination(), from) => {
                return handshake.receive(now, datagram);
            }
            Way::Symmetric { dtls, .. } => dtls,
        };
        if latch.judge(now, from) == Source::Stranger {
            return;
        }
        // Somebody else came first, and is outranked or silent: what it said must not stand.
        let is_taken = latch.source().is_some_and(|source| !PeerAddress::same(source, from));
        let begins_anew = is_taken && srtp.is_none() && dtls::is_first_hello(datagram);
        if !latch.knows(from) {
            // A peer behind NAT introduces itself by the hello that is due. What else comes from an
            // address that nobody named is anybody's, and leaves no trace.
            let due = if begins_anew { 0 } else { handshake.progress() };
            if handshake.hello_in(datagram) != Some(due) || dtls::has_plain_alert(datagram) {
                return;
            }
        }
        if begins_anew {
            handshake.begin_anew(now);
        }
        let before = handshake.progress();
        handshake.receive(now, datagram);
        if handshake.progress() > before {
            latch.trust(now, from);
        }
    }

    /// Sends what the handshake has to say, and tells what came of it.
    pub fn poll_change(&mut self, plan: &Plan, wire: &mut impl Wire) -> Option<Change> {
        let to = self.flights_to();
        let is_passable = self.way.is_passable();
        let Lock::Dtls { handshake, srtp, .. } = &mut self.lock else { return None };
        // Before a check passed there is nowhere to send to: the first flight waits.
        if let Some(to) = to {
            while let Some(datagram) = handshake.poll_transmit() {
                wire.send(plan.socket, Channel::Rtp, to, &datagram);
            }
        }
        match handshake.poll_event() {
            Some(dtls::Event::Connected { ours, theirs }) => {
                *srtp = Some(Box::new(Srtp::new(&ours, &theirs)));
                if let Way::Symmetric { rtp, dtls, .. } = &mut self.way {
                    rtp.follow(dtls);
                }
            }
            // What the association came to ends with it.
            Some(dtls::Event::Failed(fault)) => {
                *srtp = None;
                return Some(Change::Unsecured(fault));
            }
            Some(dtls::Event::Closed) => {
                *srtp = None;
                return Some(Change::Closed);
            }
            None => {}
        }
        if self.standing == Standing::Told || srtp.is_none() || !is_passable {
            return None;
        }
        self.standing = Standing::Told;
        Some(Change::Secured)
    }

    /// Where the other end of the handshake is: until it is over that may be elsewhere than audio
    /// would go.
    fn flights_to(&self) -> Option<SocketAddr> {
        match (&self.way, &self.lock) {
            (Way::Symmetric { dtls, .. }, Lock::Dtls { srtp: None, .. }) => {
                dtls.source().or_else(|| self.destination(Channel::Rtp))
            }
            _ => self.destination(Channel::Rtp),
        }
    }

    /// Whether a packet may be from the peer at all, before any work is spent on it: on a path that
    /// is checked only those who passed may.
    pub fn believes(&self, from: SocketAddr) -> bool {
        match &self.way {
            Way::Ice { agent, .. } => agent.believes(from),
            Way::Symmetric { .. } => true,
        }
    }

    /// The packet without its protection, in place, if it is genuine.
    pub fn open<'b>(
        &mut self,
        now: Mono,
        channel: Channel,
        from: SocketAddr,
        bytes: &'b mut [u8],
    ) -> Option<&'b [u8]> {
        let srtp = match &mut self.lock {
            Lock::Open => return Some(bytes),
            Lock::Sdes { srtp, .. } => srtp,
            Lock::Dtls { srtp, .. } => srtp.as_mut()?,
        };
        let length = match channel {
            Channel::Rtp => srtp.unprotector.unprotect(bytes),
            Channel::Rtcp => srtp.unprotector.unprotect_rtcp(bytes),
        };
        let length = length.ok()?;
        if let Way::Symmetric { rtp, rtcp, .. } = &mut self.way {
            // It could only have been the peer.
            let latch = if channel == Channel::Rtp || self.rtcp == Rtcp::Muxed { rtp } else { rtcp };
            latch.trust(now, from);
        }
        bytes.get(..length)
    }

    /// The packet of this length, under protection in place; `None` before there are keys.
    pub fn seal<'b>(&mut self, channel: Channel, buffer: &'b mut [u8], length: usize) -> Option<&'b [u8]> {
        let srtp = match &mut self.lock {
            Lock::Open => return buffer.get(..length),
            Lock::Sdes { srtp, .. } => srtp,
            Lock::Dtls { srtp, .. } => srtp.as_mut()?,
        };
        let length = match channel {
            Channel::Rtp => srtp.protector.protect(buffer, length),
            Channel::Rtcp => srtp.protector.protect_rtcp(buffer, length),
        };
        buffer.get(..length?)
    }

    /// A packet that is valid in itself came from `from`.
    pub fn admit(&mut self, now: Mono, channel: Channel, from: SocketAddr) -> Source {
        match &mut self.way {
            Way::Ice { agent, .. } => {
                if agent.believes(from) {
                    Source::Believed
                } else {
                    Source::Stranger
                }
            }
            Way::Symmetric { rtp, .. } if channel == Channel::Rtp || self.rtcp == Rtcp::Muxed => {
                rtp.admit(now, from)
            }
            Way::Symmetric { rtp, rtcp, .. } => {
                let same_host = rtp.destination().ip().to_canonical() == from.ip().to_canonical();
                if same_host || PeerAddress::same(rtcp.signalled(), from) {
                    rtcp.admit(now, from)
                } else {
                    Source::Stranger
                }
            }
        }
    }

    /// `None` if there is nowhere to send to yet: signalling named no address (RFC 3264 §5.1's
    /// port 0, or the old hold by 0.0.0.0) and no packet came, or no check passed.
    pub fn destination(&self, channel: Channel) -> Option<SocketAddr> {
        match &self.way {
            Way::Ice { agent, .. } => agent.destination(),
            Way::Symmetric { rtp, rtcp, .. } => {
                let apart = channel == Channel::Rtcp && self.rtcp == Rtcp::Apart;
                let to = if apart { rtcp } else { rtp }.destination();
                Some(to).filter(|to| !to.ip().is_unspecified() && to.port() != 0)
            }
        }
    }

    /// There is somewhere to send to, and whatever keys it takes.
    pub fn is_open(&self) -> bool {
        let locked = matches!(self.lock, Lock::Dtls { srtp: None, .. });
        !locked && self.destination(Channel::Rtp).is_some()
    }

    /// Whether a check or a handshake has to come first.
    pub fn is_awaited(&self) -> bool {
        let checked = matches!(self.way, Way::Ice { .. }) || matches!(self.lock, Lock::Dtls { .. });
        checked && !self.is_open()
    }

    /// The port of ours that RTCP goes out of.
    pub const fn reports_by(&self) -> Channel {
        match (&self.way, self.rtcp) {
            (Way::Symmetric { .. }, Rtcp::Apart) => Channel::Rtcp,
            _ => Channel::Rtp,
        }
    }

    pub fn poll_timeout(&self) -> Option<Mono> {
        let shaking = self.shaking_until();
        let consent = match &self.way {
            Way::Ice { agent, .. } => agent.poll_timeout(),
            Way::Symmetric { .. } => None,
        };
        shaking.into_iter().chain(consent).min()
    }

    /// What was not sent yet is not repeated either.
    fn shaking_until(&self) -> Option<Mono> {
        let Lock::Dtls { handshake, .. } = &self.lock else { return None };
        handshake.poll_timeout().filter(|_| self.flights_to().is_some())
    }

    /// Repeats a flight that is due, and gives what time undid on a path that is checked.
    pub fn handle_timeout(&mut self, now: Mono) -> Option<Lapse> {
        let is_due = self.shaking_until().is_some_and(|at| at <= now);
        if is_due && let Lock::Dtls { handshake, .. } = &mut self.lock {
            handshake.handle_timeout(now);
        }
        let lapse = match &mut self.way {
            Way::Ice { agent, .. } if agent.poll_timeout().is_some_and(|at| at <= now) => {
                agent.handle_timeout(now)
            }
            _ => None,
        };
        if matches!(lapse, Some(Lapse::Lost { .. })) {
            self.standing = Standing::Untold;
        }
        lapse
    }

    /// The last word of a handshake that came to its end.
    pub fn close(&mut self) {
        if let Lock::Dtls { handshake, .. } = &mut self.lock {
            handshake.close();
        }
    }
}

impl Way {
    fn new(now: Mono, path: &Path) -> Self {
        match path {
            Path::Symmetric { remote, remote_rtcp } => Self::Symmetric {
                rtp: Latch::new(*remote, PATIENCE),
                rtcp: Latch::new(*remote_rtcp, REPORT_PATIENCE),
                dtls: Latch::new(*remote, PATIENCE),
            },
            Path::Ice { ours, theirs } => Self::Ice {
                ours: ours.clone(),
                theirs: theirs.clone(),
                agent: Box::new(Agent::new(now, ours, Some(theirs))),
            },
        }
    }
}

impl Way {
    /// Whether packets find the peer under what was last agreed.
    fn is_passable(&self) -> bool {
        match self {
            Self::Symmetric { .. } => true,
            Self::Ice { agent, .. } => agent.is_settled(),
        }
    }
}

impl Lock {
    fn new(now: Mono, keys: &Keys, certificate: &Certificate) -> Self {
        match keys {
            Keys::None => Self::Open,
            Keys::Sdes { ours, theirs } => Self::Sdes {
                ours: ours.clone(),
                theirs: theirs.clone(),
                srtp: Box::new(Srtp::new(ours, theirs)),
            },
            Keys::Dtls { theirs, role } => Self::Dtls {
                fingerprint: *theirs,
                role: *role,
                handshake: Box::new(Handshake::new(now, certificate, *role, Some(*theirs))),
                srtp: None,
            },
        }
    }

    fn is_for(&self, keys: &Keys) -> bool {
        match (self, keys) {
            (Self::Open, Keys::None) => true,
            // RFC 8842 §5.5: another fingerprint or role is another association. One that is over
            // serves no offer any more.
            (Self::Dtls { fingerprint, role, handshake, .. }, Keys::Dtls { theirs, role: new_role }) => {
                (fingerprint, role) == (theirs, new_role) && !handshake.is_over()
            }
            _ => false,
        }
    }
}

impl Srtp {
    fn new(ours: &MasterKey, theirs: &MasterKey) -> Self {
        Self { protector: Protector::new(ours), unprotector: Unprotector::new(theirs) }
    }
}
