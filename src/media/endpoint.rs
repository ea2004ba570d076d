//! One leg's RTP: what comes is checked and counted, what goes is stamped, reports are exchanged.
//!
//! Spares the bay everything that concerns one peer only. It knows nobody else's audio.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::dtls::Certificate;
use super::ice::{Lapse, Outcome, REPLY, Verdict};
use super::lull::Lull;
use super::mouth::{self, Mouth};
use super::reports::{Listening, Reports};
use super::stream::{Kind, Passing, Scale, Stream};
use super::transport::{Change, PATIENCE, ROOM, Source, Transport};
use super::{Channel, Counts, Event, FRAME, Metrics, Opus, Plan, Quality, Wire};
use crate::audio::dtmf::{self, Tones};
use crate::audio::g711;
use crate::audio::opus::Silence;
use crate::base::{Codec, Key, LegId, Mint, Mono, Rate, Spare};
use crate::rtp::dtmf::{Receiver, Sender, Step};
use crate::rtp::packet::{self, HEADER, Header};
use crate::rtp::rtcp::{self, Compound};
use crate::rtp::stats::{Arrival, Reception};
use crate::rtp::stun::Message;

#[derive(Debug)]
pub(super) struct Endpoint {
    leg: LegId,
    plan: Plan,
    transport: Transport,
    stream: Stream,
    staged: Staged,
    /// What encodes sound for the peer, while any has to be.
    mouth: Option<Box<Mouth>>,
    reception: Option<Reception>,
    digits: Receiver,
    keys: Sender,
    /// Keys as sound, toward a peer that takes them no other way.
    tones: Option<Box<Tones>>,
    counts: Counts,
    /// Lost by sources before the present one.
    lost_before: u64,
    hearing: Hearing,
    /// When the peer last changed its codec by itself.
    changed_at: Option<Mono>,
    /// The peer's last sign of life, of whatever kind. Of sound `hearing` tells.
    seen: Mono,
    reports: Reports,
    /// RFC 3550 §6.3.7: who never sent anything says no BYE.
    introduced: bool,
    /// When to look whether the peer hears anything from us, and what was sent by then.
    noise_at: Mono,
    sent_at_noise: u32,
    /// Of `counts.received`: at the last report, and come after their successors since.
    received_at_report: u64,
    late: u64,
    /// What became of what came when that was last told, and how much of it was in vain.
    listening: Listening,
    discarded: u64,
}

/// Whether RTP comes that should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    /// Last heard at; `tell_at` is when that is silence.
    Since { heard: Mono, tell_at: Mono },
    /// And told of; it is told again at `tell_at`.
    Silent { heard: Mono, tell_at: Mono },
    /// Heard after silence, and that is to be told.
    Again { heard: Mono },
    /// Signalling agreed that nothing comes.
    Unwanted,
}

/// Encoded sound that does not fill a packet yet.
#[derive(Debug)]
struct Staged {
    octets: [u8; 640],
    length: usize,
    /// When the first of it is due.
    clock: u64,
}

/// From one change of codec to the next.
const CHANGE: Duration = Duration::from_secs(1);
/// How often a peer that hears nothing is told that this is silence, and not the end.
const NOISE: Duration = Duration::from_secs(1);
/// Of that, in −dBov: a quiet office.
const NOISE_LEVEL: u8 = 70;
/// The longest packet we make of staged sound: 60 ms of G.711.
const LONGEST: usize = HEADER + 480 + ROOM;

/// A packet worth hearing.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub kind: Kind,
    pub header: Header,
    pub payload: Range<usize>,
    pub arrival: Arrival,
    /// The source is not the one before: what was gathered of that is void.
    pub anew: bool,
    /// It is in another codec than what came before, and so is what goes out from now on.
    pub recoded: bool,
}

/// What there is to hear in a tick.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sound<'a> {
    /// A frame in the leg's codec.
    Encoded(&'a [u8]),
    Samples(Rate, &'a [i16]),
    Nothing,
}

impl Endpoint {
    pub fn new(
        now: Mono,
        clock: u64,
        leg: LegId,
        plan: Plan,
        certificate: &Certificate,
        mint: &mut Mint,
    ) -> Self {
        let mut cname = [0; 16];
        cname.copy_from_slice(mint.hex::<8>().as_bytes());
        // RFC 3711 §3.3.1: a peer that misses the first packets must not miss a wrap with them.
        let (sequence, timestamp) = (mint.u32() as u16 >> 1, mint.u32());
        Self {
            leg,
            transport: Transport::new(now, &plan, certificate),
            stream: Stream::new(plan.ssrc, Scale::of(plan.codec), sequence, timestamp, clock),
            staged: Staged { octets: [0; 640], length: 0, clock: 0 },
            mouth: None,
            reception: None,
            digits: Receiver::default(),
            keys: Sender::default(),
            tones: None,
            counts: Counts::default(),
            lost_before: 0,
            hearing: Hearing::of(now, &plan),
            changed_at: None,
            seen: now,
            reports: Reports::new(now, cname, mint.u32()),
            introduced: false,
            noise_at: now + NOISE,
            sent_at_noise: 0,
            received_at_report: 0,
            late: 0,
            listening: Listening::Relayed,
            discarded: 0,
            plan,
        }
    }

    /// Gives the user fragment of ours that opens nothing any more.
    pub fn amend(
        &mut self,
        now: Mono,
        clock: u64,
        plan: Plan,
        certificate: &Certificate,
    ) -> Option<Box<str>> {
        let retired = self.transport.amend(now, &plan, certificate);
        if plan.codec != self.plan.codec {
            self.stream.rescale(Scale::of(plan.codec), clock);
            self.mouth = None;
        }
        if plan.opus != self.plan.opus {
            self.mouth = None;
        }
        if plan.codec != self.plan.codec || plan.ptime_ms != self.plan.ptime_ms {
            self.staged.length = 0;
        }
        if plan.ssrc != self.plan.ssrc {
            self.stream.rename(plan.ssrc);
        }
        if plan.direction != self.plan.direction {
            self.hearing = Hearing::of(now, &plan);
            self.stream.cut();
        }
        // Nothing is agreed without the peer.
        self.seen = now;
        self.plan = plan;
        retired
    }

    /// A STUN message for this leg came to the shared port.
    pub fn check<'o>(
        &mut self,
        now: Mono,
        from: SocketAddr,
        message: &Message<'_>,
        out: &'o mut [u8; REPLY],
    ) -> Option<Outcome<'o>> {
        let outcome = self.transport.check(now, from, message, out)?;
        if outcome.verdict == Verdict::Passed {
            self.seen = now;
        }
        Some(outcome)
    }

    /// A datagram of a DTLS handshake came.
    pub fn shake(&mut self, now: Mono, from: SocketAddr, datagram: &[u8]) {
        self.transport.shake(now, from, datagram);
    }

    /// What became of path and keys; sends what the handshake has to say.
    pub fn poll_change(&mut self, wire: &mut impl Wire) -> Option<Event> {
        Some(match self.transport.poll_change(&self.plan, wire)? {
            Change::Secured => Event::Secured { leg: self.leg },
            Change::Unsecured(fault) => {
                tracing::debug!(leg = %self.leg, ?fault, "no keys");
                Event::Unsecured { leg: self.leg }
            }
            Change::Closed => Event::Lost { leg: self.leg },
        })
    }

    /// Whether the peer is to hear us but cannot yet: its path or keys are still to come.
    pub fn is_awaited(&self) -> bool {
        self.plan.direction.sends() && self.transport.is_awaited()
    }

    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    pub const fn leg(&self) -> LegId {
        self.leg
    }

    pub fn counts(&self) -> Counts {
        let lost = self.lost_before + self.reception.as_ref().map_or(0, Reception::lost);
        Counts { lost, ..self.counts }
    }

    /// How it fared since that was told last.
    pub const fn quality(&self) -> Quality {
        self.reports.quality(self.plan.codec)
    }

    /// Something came that is nothing to this leg.
    pub fn drop_one(&mut self) {
        self.counts.dropped += 1;
    }

    /// Checks and counts a datagram of the RTP port, and takes its protection off where it lies.
    /// Order matters: whoever could not have been the peer must leave no trace but a count.
    pub fn receive(&mut self, now: Mono, from: SocketAddr, bytes: &mut [u8]) -> Option<Incoming> {
        let incoming = self.examine(now, from, bytes);
        if incoming.is_none() {
            self.counts.dropped += 1;
        }
        incoming
    }

    fn examine(&mut self, now: Mono, from: SocketAddr, bytes: &mut [u8]) -> Option<Incoming> {
        if !self.plan.direction.receives() || !self.transport.believes(from) {
            return None;
        }
        let payload_type = bytes.get(1)? & 0x7f;
        let is_sent = |spare: &Option<Spare>| spare.is_some_and(|spare| spare.received == payload_type);
        let spare = self.plan.spares.iter().position(is_sent);
        let kind = if payload_type == self.plan.payload_type_in || spare.is_some() {
            Kind::Audio
        } else if self.plan.events.is_some_and(|events| payload_type == events.received) {
            Kind::Event
        } else if self.plan.events.is_some_and(|events| Some(payload_type) == events.aside) {
            Kind::EventAside
        } else if Some(payload_type) == self.plan.noise {
            Kind::Noise
        } else {
            return None;
        };
        let bytes = self.transport.open(now, Channel::Rtp, from, bytes)?;
        let (header, payload) = packet::parse(bytes).ok()?;
        if self.transport.admit(now, Channel::Rtp, from) == Source::Stranger {
            return None;
        }
        if let Some(spare) = spare {
            self.change_over(now, spare)?;
        }
        self.counts.received += 1;
        self.hearing = self.hearing.hear(now);
        self.seen = now;

        let changed = self.reception.as_ref().is_none_or(|r| r.ssrc() != header.ssrc);
        if changed {
            self.discarded = 0;
            self.lost_before += self.reception.as_ref().map_or(0, Reception::lost);
        }
        let reception = match &mut self.reception {
            Some(reception) if !changed => reception,
            reception => reception.insert(Reception::new(header.ssrc, header.sequence)),
        };
        let clock = Scale::of(self.plan.codec).up(now.as_nanos() / 125_000);
        let arrival = reception.receive(header.sequence, header.timestamp, clock);
        self.late += u64::from(arrival == Arrival::Late);
        let anew = changed || arrival == Arrival::Restarted;
        Some(Incoming { kind, header, payload, arrival, anew, recoded: spare.is_some() })
    }

    /// The peer sends a codec that it kept to itself so far. `None` if it changes too often: each
    /// change is a decoder's and an encoder's making.
    fn change_over(&mut self, now: Mono, spare: usize) -> Option<()> {
        if self.changed_at.is_some_and(|at| now < at + CHANGE) {
            return None;
        }
        self.changed_at = Some(now);
        let plan = &mut self.plan;
        let spare = plan.spares.get_mut(spare)?.as_mut()?;
        std::mem::swap(&mut plan.codec, &mut spare.codec);
        std::mem::swap(&mut plan.payload_type, &mut spare.sent);
        std::mem::swap(&mut plan.payload_type_in, &mut spare.received);
        tracing::debug!(leg = %self.leg, codec = self.plan.codec.name(), "the peer changed its codec");
        self.mouth = None;
        self.staged.length = 0;
        Some(())
    }

    /// The keys a packet of events tells for the first time.
    pub fn read_keys(&mut self, header: &Header, payload: &[u8], told: impl FnMut(Key)) {
        self.digits.receive(header, payload, told);
    }

    pub fn receive_report(&mut self, now: Mono, from: SocketAddr, bytes: &mut [u8]) {
        let Some(bytes) =
            self.transport.open(now, Channel::Rtcp, from, bytes).filter(|bytes| rtcp::is_rtcp(bytes))
        else {
            self.counts.dropped += 1;
            return;
        };
        if self.transport.admit(now, Channel::Rtcp, from) == Source::Stranger {
            self.counts.dropped += 1;
            return;
        }
        self.seen = now;
        self.reports.receive(now, self.stream.ssrc(), &self.plan, bytes);
        let loss = self.redundancy();
        if let Some(mouth) = &mut self.mouth {
            mouth.expect_loss(loss);
        }
    }

    /// Sends another leg's packet on. `payload` lies in `buffer` with room for a header before it
    /// and for what protects it behind.
    pub fn relay(
        &mut self,
        passing: Passing,
        buffer: &mut [u8],
        payload: Range<usize>,
        wire: &mut impl Wire,
    ) {
        if !self.is_open() {
            return self.stream.cut();
        }
        let payload_type = match passing.kind {
            Kind::Audio => Some(self.plan.payload_type),
            Kind::Event => self.plan.events.map(|events| events.sent),
            Kind::Noise => self.plan.noise,
            Kind::EventAside => None,
        };
        match payload_type {
            Some(payload_type) if !self.is_pressing() => {
                if let Some(header) = self.stream.relay(passing, payload_type) {
                    let start = payload.start - HEADER;
                    self.send(header, &mut buffer[start..], payload.len(), wire);
                }
            }
            _ => self.stream.swallow(passing),
        }
    }

    /// Another leg's packet is not for this one.
    pub fn pass_over(&mut self, passing: Passing) {
        self.stream.swallow(passing);
    }

    /// Sends on what another leg said in another codec, `start` and `samples` as of [`Ear`].
    ///
    /// [`Ear`]: super::ear::Ear
    pub fn interpret(
        &mut self,
        clock: u64,
        source: usize,
        rate: Rate,
        (start, samples): (u32, &[i16]),
        wire: &mut impl Wire,
    ) {
        if !self.is_open() {
            return self.cut();
        }
        if self.is_pressing() {
            return;
        }
        let Some(mut mouth) = self.mouth_for(rate) else { return };
        mouth.say(clock, source, start, samples, |due, octets| self.stage(due, octets, wire));
        self.mouth = Some(mouth);
    }

    /// Sound of our own is about to come: what encodes it is made now, not at the first frame.
    pub fn prepare(&mut self, rate: Rate) {
        self.mouth = self.mouth_for(rate);
    }

    /// The loss in percent that Opus is to bear by redundancy: what the peer last reported, and
    /// before that a little, for it cannot be mended afterwards.
    fn redundancy(&self) -> u8 {
        match self.plan.opus {
            Some(Opus { redundancy: true, .. }) => match self.reports.far_loss() {
                Some(loss) => (u32::from(loss) * 100).div_ceil(256).min(20) as u8,
                None => 5,
            },
            _ => 0,
        }
    }

    fn mouth_for(&mut self, rate: Rate) -> Option<Box<Mouth>> {
        let codec = self.plan.codec;
        let mouth = self.mouth.take().filter(|mouth| mouth.is_for(codec, rate));
        mouth.or_else(|| {
            let mut mouth = Mouth::new(codec, rate)?;
            if let Some(opus) = self.plan.opus {
                mouth.limit_bit_rate(opus.bitrate);
                mouth.treat_silence(if opus.dtx { Silence::Unsent } else { Silence::Sent });
            }
            mouth.expect_loss(self.redundancy());
            Some(mouth)
        })
    }

    /// Keys to be pressed toward the peer: as telephone-event, or as sound if it agreed to none.
    pub fn press(&mut self, keys: &[Key]) {
        for key in keys {
            let taken = if self.plan.events.is_some() {
                self.keys.press(*key)
            } else {
                self.tones.get_or_insert_with(|| Box::new(Tones::new(Rate::Narrow))).press(*key)
            };
            if !taken {
                return tracing::debug!(leg = %self.leg, "too many keys wait");
            }
        }
    }

    pub fn is_pressing(&self) -> bool {
        !self.keys.is_idle() || self.tones.as_ref().is_some_and(|tones| !tones.is_idle())
    }

    /// What the next 20 ms of a key take.
    pub fn step_keys(&mut self, clock: u64, wire: &mut impl Wire) {
        if let Some(tones) = &mut self.tones {
            let mut samples = [0; FRAME];
            if tones.frame(&mut samples) == dtmf::Step::Key {
                return self.play(clock, Sound::Samples(Rate::Narrow, &samples), wire);
            }
        }
        let (header, mut report) = match (self.keys.step(), self.plan.events.map(|events| events.sent)) {
            (Step::Begin(report), Some(events)) => (self.stream.begin_event(clock, events), report),
            (Step::Continue(report), Some(events)) => {
                (self.stream.continue_event(report.duration, events), report)
            }
            _ => return,
        };
        if let Some(events) = self.plan.events {
            report.duration = report.duration.saturating_mul((events.clock / 8000) as u16);
        }
        let mut packet = [0; HEADER + 4 + ROOM];
        packet[HEADER..HEADER + 4].copy_from_slice(&report.to_bytes());
        self.staged.length = 0;
        if self.plan.direction.sends() {
            self.send(header, &mut packet, 4, wire);
        }
    }

    /// What is sent now arrives: there is somebody who wants it, somewhere, and with keys.
    fn is_open(&self) -> bool {
        self.plan.direction.sends() && self.transport.is_open()
    }

    /// Something else is heard from now on.
    pub fn cut(&mut self) {
        self.staged.length = 0;
        self.stream.cut();
        if let Some(mouth) = &mut self.mouth {
            mouth.cut();
        }
    }

    pub const fn is_encoding(&self) -> bool {
        self.mouth.is_some()
    }

    /// Nothing needs to be encoded any more.
    pub fn rest(&mut self) {
        self.mouth = None;
    }

    /// Sound of our own for this tick.
    pub fn play(&mut self, clock: u64, sound: Sound<'_>, wire: &mut impl Wire) {
        if !self.is_open() {
            return self.cut();
        }
        match sound {
            Sound::Encoded(octets) => self.stage(clock, octets, wire),
            Sound::Samples(rate, samples) => {
                let Some(mut mouth) = self.mouth_for(rate) else { return };
                let mut octets = [0; mouth::LONGEST];
                let length = mouth.say_frame(samples, &mut octets);
                self.mouth = Some(mouth);
                self.stage(clock, &octets[..length], wire);
            }
            Sound::Nothing => self.flush(wire),
        }
    }

    /// Noise in the pause of whom this leg hears, as soon as what was said is over.
    pub fn hum(&mut self, clock: u64, lull: &mut Lull, wire: &mut impl Wire) {
        let mut samples = [0; 2 * FRAME];
        let Some((rate, frame)) = lull.frame(&mut samples) else { return };
        if !self.is_open() {
            return self.cut();
        }
        if !self.stream.settle(clock) {
            return;
        }
        let Some(mut mouth) = self.mouth_for(rate) else { return };
        let mut octets = [0; mouth::LONGEST];
        let length = mouth.say_frame(frame, &mut octets);
        self.mouth = Some(mouth);
        self.stage(clock, &octets[..length], wire);
    }

    /// A frame of 20 ms, due at `clock`, goes when it fills a packet.
    fn stage(&mut self, clock: u64, octets: &[u8], wire: &mut impl Wire) {
        if self.plan.codec == Codec::Opus {
            // An Opus frame is a packet (RFC 7587 §4.2). One of DTX is nothing to send.
            if octets.len() > 2 {
                self.pack(clock, FRAME, octets, wire);
            }
            return;
        }
        if self.staged.length > 0 && self.staged.clock + self.staged.length as u64 != clock {
            self.flush(wire);
        }
        if self.staged.length == 0 {
            self.staged.clock = clock;
        }
        let place = self.staged.length..self.staged.length + octets.len();
        if let Some(room) = self.staged.octets.get_mut(place) {
            room.copy_from_slice(octets);
            self.staged.length += octets.len();
        }
        self.send_staged(wire);
    }

    /// Fills the last packet up and sends it.
    fn flush(&mut self, wire: &mut impl Wire) {
        if self.staged.length > 0 {
            let (from, to) = (self.staged.length, self.packet_length());
            self.staged.octets[from..to].fill(silence(self.plan.codec));
            self.staged.length = to;
            self.send_staged(wire);
        }
    }

    fn send_staged(&mut self, wire: &mut impl Wire) {
        let length = self.packet_length();
        let Staged { octets, length: staged, clock } = self.staged;
        let mut at = 0;
        while staged - at >= length {
            self.pack(clock + at as u64, length, &octets[at..at + length], wire);
            at += length;
        }
        self.staged.octets.copy_within(at..staged, 0);
        self.staged.length = staged - at;
        self.staged.clock = clock + at as u64;
    }

    /// One packet of encoded sound that lasts `span`.
    fn pack(&mut self, clock: u64, span: usize, octets: &[u8], wire: &mut impl Wire) {
        let header = self.stream.stamp(clock, span as u32, self.plan.payload_type);
        let mut packet = [0; LONGEST];
        packet[HEADER..HEADER + octets.len()].copy_from_slice(octets);
        self.send(header, &mut packet, octets.len(), wire);
    }

    /// Octets of audio in a packet of ours: one is an eighth of a millisecond.
    fn packet_length(&self) -> usize {
        usize::from(self.plan.ptime_ms.clamp(10, 60) / 10) * 80
    }

    /// Sends the payload that lies `length` long behind the room for its header.
    fn send(&mut self, header: Header, packet: &mut [u8], length: usize, wire: &mut impl Wire) {
        let Some(to) = self.transport.destination(Channel::Rtp) else { return };
        packet[..HEADER].copy_from_slice(&header.to_bytes());
        let Some(bytes) = self.transport.seal(Channel::Rtp, packet, HEADER + length) else { return };
        wire.send(self.plan.socket, Channel::Rtp, to, bytes);
        self.counts.sent += 1;
        self.reports.sent(length);
    }

    /// When [`Endpoint::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Mono {
        let report = self.reports.poll_timeout();
        let own = if self.tells_silence() { report.min(self.noise_at) } else { report };
        let own = self.transport.poll_timeout().map_or(own, |at| at.min(own));
        match self.hearing {
            Hearing::Since { tell_at, .. } | Hearing::Silent { tell_at, .. } => own.min(tell_at),
            Hearing::Again { heard } => own.min(heard),
            Hearing::Unwanted => own,
        }
    }

    fn tells_silence(&self) -> bool {
        self.plan.noise.is_some() && self.plan.direction.sends()
    }

    /// One thing that time undid on a path that is checked; asked again until there is none.
    pub fn lapse(&mut self, now: Mono) -> Option<Lapse> {
        self.transport.handle_timeout(now)
    }

    /// A report, if one is due, and how the leg fared until then, and whether anybody is there;
    /// silence, if it lasts or is over. `chance` spreads the next report.
    pub fn handle_timeout(
        &mut self,
        now: Mono,
        clock: u64,
        chance: u32,
        listening: Listening,
        wire: &mut impl Wire,
    ) -> [Option<Event>; 3] {
        let (mut fared, mut absent) = (None, None);
        if self.reports.poll_timeout() <= now {
            self.reports.schedule(now, chance);
            self.note_listening(listening);
            let report = self.report(now, clock);
            self.send_report(&report, wire);
            fared = self.reports.take_quality(self.plan.codec);
            absent = Some(now.since(self.seen)).filter(|since| *since >= PATIENCE);
        }
        if self.noise_at <= now {
            self.noise_at = now + NOISE;
            if self.tells_silence() && self.reports.packets() == self.sent_at_noise {
                self.send_noise(clock, wire);
            }
            self.sent_at_noise = self.reports.packets();
        }
        let (leg, direction) = (self.leg, self.plan.direction);
        [
            fared.map(|quality| Event::Quality { leg, quality }),
            absent.map(|since| Event::Absent { leg, since, direction }),
            self.listen(now),
        ]
    }

    /// Whether silence began, lasts or ended.
    fn listen(&mut self, now: Mono) -> Option<Event> {
        let leg = self.leg;
        match self.hearing {
            Hearing::Since { heard, tell_at } | Hearing::Silent { heard, tell_at } if tell_at <= now => {
                self.hearing = Hearing::Silent { heard, tell_at: now + PATIENCE };
                Some(Event::Silent { leg, since: now.since(heard) })
            }
            Hearing::Again { heard } => {
                self.hearing = Hearing::Since { heard, tell_at: heard + PATIENCE };
                Some(Event::Audible { leg })
            }
            _ => None,
        }
    }

    /// RFC 3389: the line is quiet, not dead.
    fn send_noise(&mut self, clock: u64, wire: &mut impl Wire) {
        let Some(payload_type) = self.plan.noise else { return };
        let header = self.stream.stamp(clock, 0, payload_type);
        self.stream.cut();
        let mut packet = [0; HEADER + 1 + ROOM];
        packet[HEADER] = NOISE_LEVEL;
        self.send(header, &mut packet, 1, wire);
    }

    /// The leg is over.
    pub fn close(&mut self, now: Mono, clock: u64, wire: &mut impl Wire) -> Event {
        if self.introduced || self.reports.packets() > 0 {
            let farewell = self.report(now, clock).bye(self.stream.ssrc());
            self.send_report(&farewell, wire);
        }
        self.transport.close();
        self.poll_change(wire);
        Event::Closed { leg: self.leg, counts: self.counts() }
    }

    /// Counts what came in vain since the last report.
    fn note_listening(&mut self, listening: Listening) {
        let before = std::mem::replace(&mut self.listening, listening);
        self.discarded += match (listening, before) {
            (Listening::Relayed, _) => 0,
            (Listening::Decoded, _) => self.late,
            (Listening::Buffered { dropped, .. }, before) => {
                // Another buffer counts from zero.
                let known = if let Listening::Buffered { dropped, .. } = before { dropped } else { 0 };
                let scale = Scale::of(self.plan.codec);
                let packet = scale.down(self.reception.as_ref().map_or(0, Reception::packet)).max(1);
                dropped.checked_sub(known).unwrap_or(dropped) / u64::from(packet)
            }
        };
    }

    fn report(&mut self, now: Mono, clock: u64) -> Compound {
        let asked = self.reception.as_ref().filter(|_| self.plan.metrics == Metrics::Asked);
        let metrics =
            asked.map(|source| self.reports.metrics(&self.plan, source, &self.listening, self.discarded));
        let source = self.reception.as_mut().map(|reception| (reception.ssrc(), reception.report()));
        let came = self.counts.received - self.received_at_report;
        self.received_at_report = self.counts.received;
        let late = (std::mem::take(&mut self.late) << 8).checked_div(came);
        if let (Some((_, loss)), Some(late)) = (&source, late) {
            self.reports.note_reception(&self.plan, loss, late.min(255) as u8);
        }
        let ssrc = self.stream.ssrc();
        self.reports.write(now, ssrc, self.stream.timestamp(clock), source, metrics)
    }

    fn send_report(&mut self, report: &Compound, wire: &mut impl Wire) {
        let Some(to) = self.transport.destination(Channel::Rtcp) else { return };
        let mut packet = [0; rtcp::LONGEST + ROOM];
        let length = report.as_bytes().len();
        packet[..length].copy_from_slice(report.as_bytes());
        let by = self.transport.reports_by();
        if let Some(bytes) = self.transport.seal(Channel::Rtcp, &mut packet, length) {
            self.introduced = true;
            wire.send(self.plan.socket, by, to, bytes);
        }
    }
}

impl Hearing {
    fn of(now: Mono, plan: &Plan) -> Self {
        if plan.direction.receives() {
            Self::Since { heard: now, tell_at: now + PATIENCE }
        } else {
            Self::Unwanted
        }
    }

    fn hear(self, now: Mono) -> Self {
        match self {
            Self::Silent { .. } | Self::Again { .. } => Self::Again { heard: now },
            Self::Since { .. } | Self::Unwanted => Self::Since { heard: now, tell_at: now + PATIENCE },
        }
    }
}

/// The octet of silence, as far as a codec has one.
fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcma => g711::ALAW_SILENCE,
        // G.722's encoder gives nearly this for silence.
        Codec::Pcmu | Codec::G722 | Codec::Opus => g711::ULAW_SILENCE,
    }
}
