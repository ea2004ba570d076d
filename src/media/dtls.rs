//! DTLS-SRTP of one leg (RFC 5763, RFC 5764) over DTLS 1.2 (RFC 6347): how two ends that know each
//! other's certificate only by its fingerprint come to the keys of SRTP.
//!
//! It spares the leg the flights and their repetition, and never gives out a key before the peer's
//! certificate is the one that signalling named.
//!
//! The handshake itself is `rtc-dtls`. What stands before it here is what that crate leaves open: it
//! keeps fragments without end and joins them by recursion, a repeated flight of the peer disarms
//! its timer for good, and it gives up after eight intervals of equal length. So it is shown each
//! handshake message whole, once and in order, and its timer is ours.
//!
//! **The one exception** to "no clock and no randomness below `io`": that crate draws its keys from
//! the system and puts the time of day into its hello. What it does *when* still depends on
//! [`Mono`] alone.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::conn::DTLSConn;
use rtc_dtls::crypto_provider::{self, RTCCryptoProvider};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State as Negotiated;
use sha2::{Digest, Sha256};
use tracing::debug;

use crate::base::{DtlsRole, Fingerprint, MasterKey, Mono, Suite};

/// From the first datagram to the keys. Long enough for a peer whose answer still rings.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// RFC 6347 §4.2.4.1 says 1 s, for want of knowledge; a caller hears every one of them. Doubled each
/// time, as there.
const FIRST_REPEAT: Duration = Duration::from_millis(100);
/// As often as `rtc-dtls` sends one flight again: the last goes out after 12.7 s.
const REPEATS: u32 = 7;

/// Of one handshake message. A chain of three RSA certificates takes 5 kB; nobody needs one here.
const LONGEST_MESSAGE: usize = 8192;
/// From one end: RFC 6347 §4.2.4 numbers seven, and a ticket would be the eighth.
const MOST_MESSAGES: u16 = 10;
/// Of a record that is no plain handshake message: CCS, alert, Finished, with any cipher of ours.
const LONGEST_OTHER: usize = 256;
/// In one handshake. Ten repetitions of the longest flight are 70.
const MOST_RECORDS: u32 = 256;
/// Encrypted alerts looked at after the handshake: each costs a key schedule, whoever sent it.
const MOST_ALERTS: u8 = 8;

/// `rtc-dtls` tells its peers apart by address; one of ours has one peer.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Our own certificate, ECDSA on P-256 and signed by itself, and the handshakes prepared for it.
/// One serves every leg; a copy costs nothing.
#[derive(Clone)]
pub struct Certificate(Arc<Prepared>);

/// The DTLS association of one leg, from the first hello to the last alert.
///
/// Drain `poll_transmit` and `poll_event` after every call that changes it. Datagrams are those that
/// RFC 7983 tells from RTP by a first octet of 20 to 63. Who may be the peer is for the owner to say:
/// see [`Handshake::hello_in`], [`is_first_hello`] and [`has_plain_alert`].
pub struct Handshake {
    certificate: Certificate,
    role: DtlsRole,
    theirs: Option<Fingerprint>,
    state: State,
    transmits: VecDeque<Bytes>,
    events: VecDeque<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer holds the key of the certificate that signalling named. `ours` protects what we
    /// send, `theirs` what we receive. Said once; no copy stays behind.
    Connected { ours: MasterKey, theirs: MasterKey },
    /// There will be no keys.
    Failed(Fault),
    /// The peer ended the association after it was connected.
    Closed,
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The peer's: its certificate is not the one that signalling named.
    Fingerprint,
    /// The peer's: none of our SRTP protection profiles is among its own, or it wants no SRTP.
    Suite,
    /// The peer's: it ended the handshake with this alert (RFC 5246 §7.2).
    Refused(u8),
    /// The peer's: what it said was no handshake that we could finish.
    Broken,
    /// Nobody's: it was not finished within [`PATIENCE`].
    TimedOut,
    /// Ours: no randomness, or a fault in the crate.
    Internal,
}

enum State {
    Shaking(Box<Shaking>),
    Settled(Box<Settled>),
    Over,
}

impl Handshake {
    /// The active end speaks at once. Without `theirs` the handshake runs, but gives no keys before
    /// [`Handshake::expect`]: the peer's hello may overtake its SDP (RFC 5763 §6.2).
    pub fn new(now: Mono, certificate: &Certificate, role: DtlsRole, theirs: Option<Fingerprint>) -> Self {
        let mut this = Self {
            certificate: certificate.clone(),
            role,
            theirs,
            state: State::Over,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        let mut shaking = Shaking::new();
        if role == DtlsRole::Active {
            if let Err(fault) = shaking.open(now, certificate) {
                this.fail(fault);
                return this;
            }
            shaking.drain(now, &mut this.transmits);
        }
        this.state = State::Shaking(Box::new(shaking));
        this
    }

    /// Signalling names the peer's certificate. What it said first stands: another certificate is
    /// another association (RFC 8842 §4) and with it another `Handshake`.
    pub fn expect(&mut self, theirs: Fingerprint) {
        self.theirs.get_or_insert(theirs);
        self.prove();
    }

    pub fn receive(&mut self, now: Mono, datagram: &[u8]) {
        match &mut self.state {
            State::Shaking(shaking) => {
                let outcome = shaking.receive(now, datagram, &self.certificate, &mut self.transmits);
                shaking.drain(now, &mut self.transmits);
                match outcome {
                    Ok(Progress::Waiting) => {}
                    Ok(Progress::Complete) => self.settle(),
                    Err(fault) => self.fail(fault),
                }
            }
            State::Settled(settled) => match settled.receive(datagram, &self.certificate, self.role) {
                Some(Heard::Repetition(answer)) => self.transmits.push_back(answer),
                Some(Heard::Alert) => {
                    self.events.push_back(match settled.keys {
                        None => Event::Closed,
                        Some(_) => Event::Failed(Fault::Refused(CLOSE_NOTIFY)),
                    });
                    self.close();
                }
                None => {}
            },
            State::Over => {}
        }
    }

    /// A passive end forgets what it heard: another than before says its first hello.
    pub fn begin_anew(&mut self, now: Mono) {
        if self.role == DtlsRole::Passive && !self.is_over() {
            *self = Self::new(now, &self.certificate, self.role, self.theirs);
        }
    }

    /// Nothing will come of it any more: it failed, or was ended.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// How many messages of the peer brought it here. What adds none may be anybody's.
    pub fn progress(&self) -> u16 {
        match &self.state {
            State::Shaking(shaking) => shaking.inbound.next,
            State::Settled(_) | State::Over => u16::MAX,
        }
    }

    /// The number of a hello in there that is whole and that this end could answer.
    ///
    /// A peer that is not known yet needs to say no more than that. Whatever else a stranger may say
    /// would spend what a handshake has to spend but once: its time, the records it bears with, the one
    /// message being joined.
    pub fn hello_in(&self, datagram: &[u8]) -> Option<u16> {
        let State::Shaking(_) = self.state else { return None };
        let is_answerable = |fragment: &Fragment<'_>| {
            fragment.body.len() == fragment.length
                && match (self.role, fragment.kind) {
                    (DtlsRole::Passive, CLIENT_HELLO) => chosen_suite(fragment.body).is_some(),
                    (DtlsRole::Active, SERVER_HELLO) => is_server_hello(fragment.body),
                    (DtlsRole::Active, HELLO_VERIFY_REQUEST) => is_verify_request(fragment.body),
                    _ => false,
                }
        };
        plain_fragments(datagram).find(is_answerable).map(|fragment| fragment.number)
    }

    pub fn handle_timeout(&mut self, now: Mono) {
        let State::Shaking(shaking) = &mut self.state else { return };
        if shaking.deadline.is_some_and(|at| at <= now) {
            return self.fail(Fault::TimedOut);
        }
        if let Some(fault) = shaking.repeat(now, &mut self.transmits).err() {
            self.fail(fault);
        }
    }

    /// `None` while a passive end waits for the first word, and when there is nothing left to do.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let State::Shaking(shaking) = &self.state else { return None };
        shaking.repeat.map(|repeat| repeat.at).into_iter().chain(shaking.deadline).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Says close_notify to a peer that got so far, and is deaf from now on.
    pub fn close(&mut self) {
        if let State::Settled(settled) = mem::replace(&mut self.state, State::Over) {
            self.transmits.push_back(settled.farewell);
        }
    }

    fn fail(&mut self, fault: Fault) {
        // Of what it finds itself, `rtc-dtls` has told the peer.
        if let (State::Shaking(shaking), Fault::Suite) = (&mut self.state, fault) {
            let alert = shaking.inbound.record(ALERT, &[FATAL, HANDSHAKE_FAILURE]);
            self.transmits.push_back(alert.freeze());
        }
        self.events.push_back(Event::Failed(fault));
        self.close();
    }

    fn settle(&mut self) {
        let State::Shaking(shaking) = mem::replace(&mut self.state, State::Over) else { return };
        match shaking.settle(&self.certificate, self.role) {
            Ok(settled) => {
                self.state = State::Settled(Box::new(settled));
                self.transmits.shrink_to_fit();
                self.prove();
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// Hands the keys out if both the peer's certificate and its fingerprint are there.
    fn prove(&mut self) {
        let (State::Settled(settled), Some(theirs)) = (&mut self.state, self.theirs) else { return };
        if settled.shown != theirs {
            return self.fail(Fault::Fingerprint);
        }
        if let Some(keys) = settled.keys.take() {
            self.events.push_back(Event::Connected { ours: keys.ours, theirs: keys.theirs });
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Shaking(_) => "Shaking",
            State::Settled(_) => "Settled",
            State::Over => "Over",
        };
        f.debug_struct("Handshake").field("role", &self.role).field("state", &state).finish_non_exhaustive()
    }
}

struct Prepared {
    fingerprint: Fingerprint,
    provider: Arc<dyn RTCCryptoProvider>,
    active: Arc<HandshakeConfig>,
    /// One a suite, in the order of [`Suite::ALL`]: `rtc-dtls` would take what the client likes
    /// best, and the choice is the server's (RFC 5764 §4.1.1).
    passive: [Arc<HandshakeConfig>; Suite::ALL.len()],
    /// What `rtc-dtls` is told whenever it asks for the time: its clock stands still, and ours says
    /// when its timer has run out.
    standstill: Instant,
}

impl Certificate {
    /// Once, when Baton starts: a P-256 key from the system's randomness.
    ///
    /// # Errors
    ///
    /// The system gave no randomness.
    pub fn generate() -> Result<Self, NoCertificate> {
        Self::try_generate().map_err(NoCertificate)
    }

    fn try_generate() -> Result<Self, Box<str>> {
        let provider = crypto_provider::default_provider().map_err(text)?;
        let names = vec!["baton".to_owned()];
        let own =
            rtc_dtls::crypto::Certificate::generate_self_signed(names, provider.crypto()).map_err(text)?;
        let fingerprint = own.certificate.first().map(|der| fingerprint(der)).ok_or("no certificate")?;

        let builder = ConfigBuilder::default()
            .with_crypto_provider(provider.clone())
            .with_certificates(vec![own])
            // RFC 5763 §5: both ends show a certificate; whose it is, its fingerprint says.
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Request)
            .with_server_name("baton".to_owned())
            .with_flight_interval(FIRST_REPEAT);
        let profiles = |suites: &[Suite]| suites.iter().map(|suite| profile(*suite)).collect();
        let passive = |suite: Suite| {
            let only = builder.clone().with_srtp_protection_profiles(profiles(&[suite]));
            only.build(false, None).map(Arc::new).map_err(text)
        };
        let [first, second, third, fourth] = Suite::ALL;
        let passive = [passive(first)?, passive(second)?, passive(third)?, passive(fourth)?];
        let all = builder.clone().with_srtp_protection_profiles(profiles(&Suite::ALL));
        let active = all.build(true, None).map(Arc::new).map_err(text)?;
        Ok(Self(Arc::new(Prepared { fingerprint, provider, active, passive, standstill: Instant::now() })))
    }

    /// What `a=fingerprint:sha-256` says of us.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.0.fingerprint)
    }
}

/// A certificate of our own could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCertificate(Box<str>);

impl fmt::Display for NoCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no certificate for DTLS could be made: {}", self.0)
    }
}

impl std::error::Error for NoCertificate {}

fn text(error: impl fmt::Display) -> Box<str> {
    error.to_string().into()
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(der).into())
}

/// RFC 5764 §4.1.2, RFC 7714 §14.2.
const fn profile(suite: Suite) -> SrtpProtectionProfile {
    match suite {
        Suite::AesCm128HmacSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        Suite::AesCm128HmacSha1_32 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32,
        Suite::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        Suite::AeadAes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
    }
}

/// Flights go to and fro.
struct Shaking {
    /// Of `rtc-dtls`. A passive one learns at the client's hello what it is to choose.
    endpoint: Endpoint,
    inbound: Inbound,
    /// None before the first word of either end.
    deadline: Option<Mono>,
    /// When our last flight goes out again.
    repeat: Option<Repeat>,
    /// HelloVerifyRequest. The one flight without a timer (RFC 6347 §4.2.1): it goes out again when
    /// the client says its first hello again.
    verify: Option<Bytes>,
    records_left: u32,
}

#[derive(Clone, Copy)]
struct Repeat {
    at: Mono,
    interval: Duration,
    left: u32,
}

enum Progress {
    Waiting,
    Complete,
}

impl Shaking {
    fn new() -> Self {
        Self {
            endpoint: Endpoint::new(PEER, Default::default(), None),
            inbound: Inbound::default(),
            deadline: None,
            repeat: None,
            verify: None,
            records_left: MOST_RECORDS,
        }
    }

    fn open(&mut self, now: Mono, certificate: &Certificate) -> Result<(), Fault> {
        self.deadline = Some(now + PATIENCE);
        let Prepared { active, standstill, .. } = &*certificate.0;
        self.endpoint.connect(*standstill, PEER, active.clone(), None).map_err(|error| {
            debug!(%error, "no DTLS hello could be made");
            Fault::Internal
        })
    }

    fn receive(
        &mut self,
        now: Mono,
        datagram: &[u8],
        certificate: &Certificate,
        transmits: &mut VecDeque<Bytes>,
    ) -> Result<Progress, Fault> {
        for record in records(datagram) {
            self.deadline.get_or_insert(now + PATIENCE);
            let Some(left) = self.records_left.checked_sub(1) else { break };
            self.records_left = left;
            let progress = match (record.kind, record.epoch) {
                (HANDSHAKE, 0) => self.receive_plain(record.body, certificate, transmits)?,
                // Nothing says who sent this: whom to believe, the owner has decided.
                (ALERT, 0) => match record.body {
                    [FATAL, alert] | [_, alert @ CLOSE_NOTIFY] => return Err(Fault::Refused(*alert)),
                    _ => Progress::Waiting,
                },
                _ if record.body.len() > LONGEST_OTHER || !self.has_begun() => Progress::Waiting,
                (CHANGE_CIPHER_SPEC, 0) => {
                    let spec = self.inbound.record(CHANGE_CIPHER_SPEC, record.body);
                    self.show(spec, certificate)?
                }
                (HANDSHAKE | ALERT, 1) => self.show(record.whole.into(), certificate)?,
                _ => Progress::Waiting,
            };
            if let Progress::Complete = progress {
                return Ok(Progress::Complete);
            }
        }
        Ok(Progress::Waiting)
    }

    fn receive_plain(
        &mut self,
        body: &[u8],
        certificate: &Certificate,
        transmits: &mut VecDeque<Bytes>,
    ) -> Result<Progress, Fault> {
        for fragment in fragments(body) {
            if (fragment.kind, fragment.number, fragment.offset, self.inbound.next) == (CLIENT_HELLO, 0, 0, 1)
            {
                transmits.extend(self.verify.clone());
            }
            let Some(message) = self.inbound.join(fragment) else { continue };
            if message.kind == CLIENT_HELLO {
                let chosen = chosen_suite(&message.body).ok_or(Fault::Suite)?;
                let passive = Suite::ALL.iter().position(|suite| *suite == chosen);
                let passive = passive.and_then(|at| certificate.0.passive.get(at));
                self.endpoint.set_server_config(passive.cloned());
            }
            let record = self.inbound.record(HANDSHAKE, &message.whole());
            if let Progress::Complete = self.show(record, certificate)? {
                return Ok(Progress::Complete);
            }
        }
        Ok(Progress::Waiting)
    }

    fn has_begun(&self) -> bool {
        self.endpoint.get_connection_state(PEER).is_some()
    }

    fn show(&mut self, record: BytesMut, certificate: &Certificate) -> Result<Progress, Fault> {
        let events = self.endpoint.read(certificate.0.standstill, PEER, None, record).map_err(|error| {
            debug!(%error, "DTLS handshake failed");
            Fault::Broken
        })?;
        match events.first() {
            Some(EndpointEvent::HandshakeComplete) => Ok(Progress::Complete),
            Some(EndpointEvent::PeerClosed) => Err(Fault::Refused(CLOSE_NOTIFY)),
            _ => Ok(Progress::Waiting),
        }
    }

    /// What goes out in answer to the peer is a new flight, with a patience of its own.
    fn drain(&mut self, now: Mono, transmits: &mut VecDeque<Bytes>) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            let flight = transmit.message.freeze();
            if self.inbound.next == 1 {
                self.verify.get_or_insert(flight.clone());
            }
            transmits.push_back(flight);
            let interval = FIRST_REPEAT;
            self.repeat = Some(Repeat { at: now + interval, interval, left: REPEATS });
        }
    }

    fn repeat(&mut self, now: Mono, transmits: &mut VecDeque<Bytes>) -> Result<(), Fault> {
        let Some(repeat) = self.repeat.as_mut().filter(|repeat| repeat.at <= now) else { return Ok(()) };
        repeat.interval *= 2;
        repeat.at = now + repeat.interval;
        repeat.left -= 1;
        if repeat.left == 0 {
            self.repeat = None;
        }
        // None while half a flight of the peer's is here: the peer will repeat it.
        let Some(at) = self.endpoint.poll_timeout(&PEER) else { return Ok(()) };
        self.endpoint.handle_timeout(PEER, at).map_err(|error| {
            debug!(%error, "DTLS flight could not be repeated");
            Fault::Internal
        })?;
        while let Some(transmit) = self.endpoint.poll_transmit() {
            transmits.push_back(transmit.message.freeze());
        }
        Ok(())
    }

    /// Takes from `rtc-dtls` all that will ever be needed of it, so that it can go.
    fn settle(mut self, certificate: &Certificate, role: DtlsRole) -> Result<Settled, Fault> {
        let Prepared { provider, standstill, .. } = &*certificate.0;
        let negotiated = self.endpoint.get_connection_state(PEER).ok_or(Fault::Internal)?;
        let shown =
            negotiated.peer_certificates.first().map(|der| fingerprint(der)).ok_or(Fault::Fingerprint)?;
        let keys = KeyPair::export(negotiated, role)?;
        let sealed = seal(negotiated, provider, role).ok_or(Fault::Internal)?;

        // The server has the last word; a client that asks for it again gets it, each time with
        // another record number (RFC 6347 §4.2.4).
        let mut last_flights = Vec::new();
        if role == DtlsRole::Passive {
            for _ in 0..REPEATS {
                let again = Message { kind: CLIENT_HELLO, number: 0, body: Vec::new() }.whole();
                let again = self.inbound.record(HANDSHAKE, &again);
                if self.endpoint.read(*standstill, PEER, None, again).is_err() {
                    break;
                }
                let flight = self.endpoint.poll_transmit();
                last_flights.extend(flight.map(|transmit| Bytes::copy_from_slice(&transmit.message)));
            }
            last_flights.reverse();
        }
        self.endpoint.stop(*standstill, PEER);
        let farewell = self.endpoint.poll_transmit().ok_or(Fault::Internal)?;
        let farewell = Bytes::copy_from_slice(&farewell.message);
        Ok(Settled { shown, keys: Some(keys), sealed, last_flights, farewell, alerts_left: MOST_ALERTS })
    }
}

/// The peer's plain handshake messages, whole and in order. What comes too early is dropped: the
/// peer repeats its flight until it is answered.
#[derive(Default)]
struct Inbound {
    /// The number of the message being joined.
    next: u16,
    kind: u8,
    length: usize,
    body: Vec<u8>,
    /// Of the plain records made here.
    sequence: u32,
}

struct Message {
    kind: u8,
    number: u16,
    body: Vec<u8>,
}

impl Inbound {
    fn join(&mut self, fragment: Fragment<'_>) -> Option<Message> {
        if fragment.number != self.next
            || self.next >= MOST_MESSAGES
            || fragment.length > LONGEST_MESSAGE
            || fragment.offset > self.body.len()
        {
            return None;
        }
        if self.body.is_empty() {
            (self.kind, self.length) = (fragment.kind, fragment.length);
        }
        if (self.kind, self.length) != (fragment.kind, fragment.length) {
            return None;
        }
        // RFC 6347 §4.2.3: ranges may overlap.
        let known = self.body.len() - fragment.offset;
        self.body.extend_from_slice(fragment.body.get(known..).unwrap_or_default());
        if self.body.len() < self.length {
            return None;
        }
        self.body.truncate(self.length);
        let number = self.next;
        self.next += 1;
        Some(Message { kind: self.kind, number, body: mem::take(&mut self.body) })
    }

    /// A plain record. Its number is ours, for what we drop must leave no gap.
    fn record(&mut self, kind: u8, body: &[u8]) -> BytesMut {
        let mut record = BytesMut::with_capacity(RECORD_HEADER + body.len());
        record.put_u8(kind);
        record.put_u16(DTLS_1_2);
        record.put_u16(0);
        record.put_uint(self.sequence.into(), 6);
        record.put_u16(u16::try_from(body.len()).unwrap_or_default());
        record.put_slice(body);
        self.sequence += 1;
        record
    }
}

impl Message {
    /// As one fragment (RFC 6347 §4.2.2).
    fn whole(&self) -> Vec<u8> {
        let length = self.body.len() as u64;
        let mut whole = Vec::with_capacity(FRAGMENT_HEADER + self.body.len());
        whole.put_u8(self.kind);
        whole.put_uint(length, 3);
        whole.put_u16(self.number);
        whole.put_uint(0, 3);
        whole.put_uint(length, 3);
        whole.put_slice(&self.body);
        whole
    }
}

/// The handshake is over. No octet of the peer's makes this grow.
struct Settled {
    /// The certificate whose key the peer holds.
    shown: Fingerprint,
    /// Until signalling has said whose certificate that is.
    keys: Option<KeyPair>,
    /// The state of `rtc-dtls` as it writes it down: a few hundred octets in place of 18 kB.
    sealed: Box<[u8]>,
    /// Our last flight over and over, each in a record of its own number; the next one last.
    last_flights: Vec<Bytes>,
    /// close_notify.
    farewell: Bytes,
    alerts_left: u8,
}

struct KeyPair {
    ours: MasterKey,
    theirs: MasterKey,
}

enum Heard {
    /// The peer has not heard our last flight: here it is again.
    Repetition(Bytes),
    /// The association is over.
    Alert,
}

impl Settled {
    fn receive(&mut self, datagram: &[u8], certificate: &Certificate, role: DtlsRole) -> Option<Heard> {
        for record in records(datagram) {
            match (record.kind, record.epoch) {
                (HANDSHAKE, 1) => return self.last_flights.pop().map(Heard::Repetition),
                (ALERT, 1) if record.body.len() <= LONGEST_OTHER && self.alerts_left > 0 => {
                    self.alerts_left -= 1;
                    if opens(&self.sealed, record.whole, certificate, role) {
                        return Some(Heard::Alert);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

impl KeyPair {
    /// RFC 5764 §4.2: the client's key, the server's, the client's salt, the server's.
    fn export(negotiated: &Negotiated, role: DtlsRole) -> Result<Self, Fault> {
        let agreed = negotiated.srtp_protection_profile();
        let suite = Suite::ALL.into_iter().find(|suite| profile(*suite) == agreed).ok_or(Fault::Suite)?;
        let (key, salt) = (suite.key_length(), suite.salt_length());
        let material = negotiated
            .export_keying_material("EXTRACTOR-dtls_srtp", &[], 2 * (key + salt))
            .map_err(|_| Fault::Internal)?;
        let (keys, salts) = material.as_ref().split_at_checked(2 * key).ok_or(Fault::Internal)?;
        let mut pairs = keys.chunks(key).zip(salts.chunks(salt)).map(|(key, salt)| [key, salt].concat());
        let mut next = || pairs.next().and_then(|pair| MasterKey::new(suite, &pair)).ok_or(Fault::Internal);
        let (client, server) = (next()?, next()?);
        Ok(match role {
            DtlsRole::Active => Self { ours: client, theirs: server },
            DtlsRole::Passive => Self { ours: server, theirs: client },
        })
    }
}

/// What it takes to read the peer's alerts, without its certificates, which may be long.
fn seal(negotiated: &Negotiated, provider: &Arc<dyn RTCCryptoProvider>, role: DtlsRole) -> Option<Box<[u8]>> {
    let mut copy = Negotiated::new(provider.clone(), role == DtlsRole::Active);
    copy.unmarshal_binary(&negotiated.marshal_binary().ok()?).ok()?;
    copy.peer_certificates.clear();
    copy.marshal_binary().ok().map(Vec::into_boxed_slice)
}

/// Whether `alert` is the peer's own. What it says hardly matters: after the handshake no alert but
/// close_notify and the fatal ones is in use.
fn opens(sealed: &[u8], alert: &[u8], certificate: &Certificate, role: DtlsRole) -> bool {
    let Prepared { provider, active, .. } = &*certificate.0;
    let is_active = role == DtlsRole::Active;
    let mut negotiated = Negotiated::new(provider.clone(), is_active);
    if negotiated.unmarshal_binary(sealed).is_err() {
        return false;
    }
    // It drops what it cannot decrypt without a word, and calls every alert an error.
    DTLSConn::new(active.clone(), is_active, Some(negotiated)).read(alert).is_err()
}

// RFC 6347 §4.1, RFC 5246 §6.2.1.
const RECORD_HEADER: usize = 13;
const DTLS_1_2: u16 = 0xfefd;
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
// RFC 5246 §7.2.
const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;
const HANDSHAKE_FAILURE: u8 = 40;
// RFC 6347 §4.2.2, RFC 5246 §7.4.
const FRAGMENT_HEADER: usize = 12;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;
// RFC 5764 §4.1.1.
const USE_SRTP: u16 = 14;

struct Record<'a> {
    kind: u8,
    epoch: u16,
    body: &'a [u8],
    whole: &'a [u8],
}

struct Fragment<'a> {
    kind: u8,
    /// Octets of the whole message.
    length: usize,
    number: u16,
    offset: usize,
    body: &'a [u8],
}

/// Whether a peer's first word of all is in there, with which it begins an association anew.
pub fn is_first_hello(datagram: &[u8]) -> bool {
    plain_fragments(datagram)
        .any(|fragment| (fragment.kind, fragment.number, fragment.offset) == (CLIENT_HELLO, 0, 0))
}

/// Whether an alert is in there that anybody could have written. It ends a handshake.
pub fn has_plain_alert(datagram: &[u8]) -> bool {
    records(datagram).any(|record| (record.kind, record.epoch) == (ALERT, 0))
}

/// Up to the first that is not whole.
fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = Reader(datagram);
    std::iter::from_fn(move || {
        let start = rest.0;
        let kind = rest.number(1)?;
        rest.take(2)?;
        let epoch = rest.number(2)?;
        rest.take(6)?;
        let body = rest.vector(2)?;
        let whole = start.get(..RECORD_HEADER + body.len())?;
        Some(Record { kind: kind as u8, epoch: epoch as u16, body, whole })
    })
}

/// Of handshake messages that anybody could have written.
fn plain_fragments(datagram: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    let plain = records(datagram).filter(|record| (record.kind, record.epoch) == (HANDSHAKE, 0));
    plain.flat_map(|record| fragments(record.body))
}

/// Up to the first that is not whole.
fn fragments(body: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    let mut rest = Reader(body);
    std::iter::from_fn(move || {
        let kind = rest.number(1)? as u8;
        let length = rest.number(3)?;
        let number = rest.number(2)? as u16;
        let offset = rest.number(3)?;
        Some(Fragment { kind, length, number, offset, body: rest.vector(3)? })
    })
}

/// The one we like best of what a ClientHello offers in `use_srtp`.
fn chosen_suite(hello: &[u8]) -> Option<Suite> {
    let mut hello = Reader(hello);
    // The version and the random; session id, cookie, cipher suites and compression methods.
    hello.take(2 + 32)?;
    for prefix in [1, 1, 2, 1] {
        hello.vector(prefix)?;
    }
    let mut extensions = Reader(hello.vector(2)?);
    loop {
        let kind = extensions.number(2)?;
        let body = extensions.vector(2)?;
        if kind == usize::from(USE_SRTP) {
            let offered = Reader(body).vector(2)?;
            let offers = |suite: &Suite| {
                let wanted = (profile(*suite) as u16).to_be_bytes();
                offered.chunks_exact(2).any(|profile| profile == wanted)
            };
            return Suite::ALL.into_iter().find(offers);
        }
    }
}

/// RFC 5246 §7.4.1.3: the version and the random, session id, cipher suite and compression method,
/// and extensions, without which no SRTP is agreed.
fn is_server_hello(body: &[u8]) -> bool {
    let mut body = Reader(body);
    let is_begun = body.take(2 + 32).is_some() && body.vector(1).is_some();
    is_begun && body.take(2 + 1).is_some() && body.vector(2).is_some() && body.0.is_empty()
}

/// RFC 6347 §4.2.1: the version and a cookie.
fn is_verify_request(body: &[u8]) -> bool {
    let mut body = Reader(body);
    body.take(2).is_some() && body.vector(1).is_some() && body.0.is_empty()
}

/// Big-endian numbers and vectors (RFC 5246 §4).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    /// Of up to three octets.
    fn number(&mut self, octets: usize) -> Option<usize> {
        Some(self.take(octets)?.iter().fold(0, |number, octet| number << 8 | usize::from(*octet)))
    }

    /// With its length before it, in `prefix` octets.
    fn vector(&mut self, prefix: usize) -> Option<&'a [u8]> {
        let length = self.number(prefix)?;
        self.take(length)
    }
}

#[cfg(test)]
#[path = "dtls_tests.rs"]
mod tests;
