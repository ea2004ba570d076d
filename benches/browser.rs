//! A browser's end of one WebRTC call, without its sockets: a full ICE agent that controls, the
//! active side of DTLS, SRTP with RTCP on the same port, and consent asked again and again.
//!
//! It does what Chromium was seen to do: a check, at its answer another that nominates and the
//! first flight of DTLS, then a check every 2.5 s. One candidate either side.

use std::collections::VecDeque;

use baton::base::{DtlsRole, Fingerprint, IceCredentials, Mint, Mono};
use baton::media::dtls::{Certificate, Event, Handshake};
use baton::rtp::rtcp::{Compound, Sending};
use baton::rtp::srtp::{OVERHEAD, Protector, Unprotector};
use baton::rtp::stun::{self, Class, Draft, Kind, Password, Role, Transaction};

/// What one side tells the other by signalling.
#[derive(Clone, Debug)]
pub struct Description {
    pub ice: IceCredentials,
    pub fingerprint: Fingerprint,
}

pub struct Browser {
    certificate: Certificate,
    ours: Description,
    theirs: Option<(Description, Password)>,
    handshake: Option<Handshake>,
    keys: Option<(Protector, Unprotector)>,
    checks: u32,
    check_at: Mono,
    outgoing: VecDeque<Vec<u8>>,
}

/// RFC 7675 §5.1 has 5 s; Chromium asks twice as often.
const CONSENT: std::time::Duration = std::time::Duration::from_millis(2500);
/// RFC 8445 §14.3: the first check is repeated until it is answered.
const REPEAT: std::time::Duration = std::time::Duration::from_millis(50);

impl Description {
    pub fn new(mint: &mut Mint, certificate: &Certificate) -> Self {
        let ice = IceCredentials { ufrag: mint.hex::<4>().into(), password: mint.hex::<12>().into() };
        Self { ice, fingerprint: certificate.fingerprint() }
    }
}

impl Browser {
    pub fn new(mint: &mut Mint, certificate: &Certificate) -> Self {
        Self {
            certificate: certificate.clone(),
            ours: Description::new(mint, certificate),
            theirs: None,
            handshake: None,
            keys: None,
            checks: 0,
            check_at: Mono::from_nanos(u64::MAX),
            outgoing: VecDeque::new(),
        }
    }

    pub const fn offer(&self) -> &Description {
        &self.ours
    }

    pub fn answered(&mut self, now: Mono, theirs: Description) {
        let password = Password::new(theirs.ice.password.as_bytes());
        self.theirs = Some((theirs, password));
        self.check(now);
    }

    pub const fn is_connected(&self) -> bool {
        self.keys.is_some()
    }

    /// A datagram came. Where it holds sound, the length of the packet without its protection.
    pub fn receive(&mut self, now: Mono, datagram: &mut [u8]) -> Option<usize> {
        match stun::kind_of(datagram)? {
            Kind::Stun => self.checked(now, datagram),
            Kind::Dtls => {
                self.handshake.as_mut()?.receive(now, datagram);
                self.shake();
            }
            Kind::Rtcp => _ = self.keys.as_mut()?.1.unprotect_rtcp(datagram),
            Kind::Rtp => return self.keys.as_mut()?.1.unprotect(datagram).ok(),
        }
        None
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    pub fn handle_timeout(&mut self, now: Mono) {
        if self.check_at <= now {
            self.check(now);
        }
        if let Some(handshake) = &mut self.handshake
            && handshake.poll_timeout().is_some_and(|at| at <= now)
        {
            handshake.handle_timeout(now);
            self.shake();
        }
    }

    /// Protects the packet of that length in place and returns what it is long then.
    pub fn protect(&mut self, packet: &mut [u8], length: usize) -> Option<usize> {
        self.keys.as_mut()?.0.protect(packet, length)
    }

    /// Has a sender report go out.
    pub fn report(&mut self, now: Mono, ssrc: u32, packets: u32) {
        let sending =
            Sending { ntp: now.as_nanos(), timestamp: 960 * packets, packets, octets: 80 * packets };
        let report = Compound::report(ssrc, Some(sending), None).cname(ssrc, b"0123456789abcdef");
        let mut packet = report.as_bytes().to_vec();
        let length = packet.len();
        packet.resize(length + OVERHEAD, 0);
        if let Some(length) = self.keys.as_mut().and_then(|keys| keys.0.protect_rtcp(&mut packet, length)) {
            packet.truncate(length);
            self.outgoing.push_back(packet);
        }
    }

    fn check(&mut self, now: Mono) {
        let Some((theirs, password)) = &self.theirs else { return };
        self.checks += 1;
        let mut transaction = [0; 12];
        transaction[..4].copy_from_slice(&self.checks.to_be_bytes());
        let mut room = [0; 256];
        let draft = Draft::new(&mut room, Class::Request, Transaction(transaction))
            .username(&theirs.ice.ufrag, &self.ours.ice.ufrag)
            .priority(0x6e7f_1eff)
            .role(Role::Controlling(7));
        let draft = if self.handshake.is_some() { draft.nominate() } else { draft };
        self.outgoing.extend(draft.sign(password).finish().map(<[u8]>::to_vec));
        self.check_at = now + if self.handshake.is_some() { CONSENT } else { REPEAT };
    }

    fn checked(&mut self, now: Mono, datagram: &[u8]) {
        let Some((theirs, password)) = &self.theirs else { return };
        let passed = stun::parse(datagram)
            .is_ok_and(|message| message.class == Class::Success && message.is_signed_by(password));
        if passed && self.handshake.is_none() {
            let theirs = Some(theirs.fingerprint);
            self.handshake = Some(Handshake::new(now, &self.certificate, DtlsRole::Active, theirs));
            self.check(now);
            self.shake();
        }
    }

    fn shake(&mut self) {
        let Some(handshake) = &mut self.handshake else { return };
        self.outgoing
            .extend(std::iter::from_fn(|| handshake.poll_transmit()).map(|datagram| datagram.to_vec()));
        while let Some(event) = handshake.poll_event() {
            if let Event::Connected { ours, theirs } = event {
                self.keys = Some((Protector::new(&ours), Unprotector::new(&theirs)));
            }
        }
    }
}
