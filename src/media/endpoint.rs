//! One leg's RTP: what comes is checked and counted, what goes is stamped, reports are exchanged.
//!
//! Spares the bay everything that concerns one peer only. It knows nobody else's audio.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::stream::{Kind, Passing, Stream};
use super::transport::{PATIENCE, Source, Transport};
use super::{Channel, Counts, Event, FRAME, Law, Plan, Quality, Wire};
use crate::base::{Key, LegId, Mint, Mono};
use crate::rtp::dtmf::{Receiver, Sender, Step};
use crate::rtp::packet::{self, HEADER, Header};
use crate::rtp::rtcp::{self, Block, Compound, Item, Sending};
use crate::rtp::stats::{Arrival, Reception};

#[derive(Debug)]
pub(super) struct Endpoint {
    leg: LegId,
    plan: Plan,
    transport: Transport,
    stream: Stream,
    staged: Staged,
    reception: Option<Reception>,
    digits: Receiver,
    keys: Sender,
    counts: Counts,
    /// Lost by sources before the present one.
    lost_before: u64,
    hearing: Hearing,
    reports: Reports,
    quality: Quality,
}

/// Whether RTP comes that should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    /// Last heard at; silence is told of from `tell_at` on, as long as it lasts.
    Since { heard: Mono, tell_at: Mono },
    /// Signalling agreed that nothing comes.
    Unwanted,
}

#[derive(Debug)]
struct Reports {
    cname: [u8; 16],
    at: Mono,
    sent: Sent,
    /// `sent.packets` at the last report: whether the next one is a sender's.
    reported: u32,
    /// RFC 3550 §6.3.7: who never sent anything says no BYE.
    introduced: bool,
    /// Middle of the peer's last sender report, and when it came.
    heard: Option<(u32, Mono)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    packets: u32,
    octets: u32,
}

/// Sound of our own making that does not fill a packet yet, with room for a header before it.
#[derive(Debug)]
struct Staged {
    octets: [u8; HEADER + 640],
    length: usize,
    /// When the first of it is due, in samples.
    clock: u64,
}

/// A packet worth hearing.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub kind: Kind,
    pub header: Header,
    pub payload: Range<usize>,
    pub arrival: Arrival,
    /// The source is not the one before: what was gathered of that is void.
    pub anew: bool,
}

/// What there is to hear in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Sound,
    Nothing,
}

impl Endpoint {
    pub fn new(now: Mono, clock: u64, leg: LegId, plan: Plan, mint: &mut Mint) -> Self {
        let mut cname = [0; 16];
        cname.copy_from_slice(mint.hex::<8>().as_bytes());
        let (sequence, timestamp) = (mint.u32() as u16, mint.u32());
        Self {
            leg,
            transport: Transport::new(&plan),
            stream: Stream::new(plan.ssrc, sequence, timestamp, clock),
            staged: Staged { octets: [0; HEADER + 640], length: 0, clock: 0 },
            reception: None,
            digits: Receiver::default(),
            keys: Sender::default(),
            counts: Counts::default(),
            lost_before: 0,
            hearing: Hearing::of(now, &plan),
            reports: Reports {
                cname,
                // RFC 3550 §6.2: the first report comes after half the interval.
                at: now + rtcp::interval(mint.u32()) / 2,
                sent: Sent::default(),
                reported: 0,
                introduced: false,
                heard: None,
            },
            quality: Quality::default(),
            plan,
        }
    }

    pub fn amend(&mut self, now: Mono, plan: Plan) {
        self.transport.amend(&plan);
        if plan.law != self.plan.law || plan.ptime_ms != self.plan.ptime_ms {
            self.staged.length = 0;
        }
        if plan.ssrc != self.plan.ssrc {
            self.stream.rename(plan.ssrc);
        }
        if plan.direction != self.plan.direction {
            self.hearing = Hearing::of(now, &plan);
            self.stream.cut();
        }
        self.plan = plan;
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

    pub const fn quality(&self) -> Quality {
        self.quality
    }

    /// Checks and counts a datagram of the RTP port. Order matters: whoever could not have been
    /// the peer must leave no trace but a count.
    pub fn receive(&mut self, now: Mono, from: SocketAddr, bytes: &[u8]) -> Option<Incoming> {
        let incoming = self.check(now, from, bytes);
        if incoming.is_none() {
            self.counts.dropped += 1;
        }
        incoming
    }

    fn check(&mut self, now: Mono, from: SocketAddr, bytes: &[u8]) -> Option<Incoming> {
        let (header, payload) = packet::parse(bytes).ok()?;
        let kind = if header.payload_type == self.plan.payload_type {
            Kind::Audio
        } else if Some(header.payload_type) == self.plan.events {
            Kind::Event
        } else {
            return None;
        };
        if !self.plan.direction.receives()
            || self.transport.admit(now, Channel::Rtp, from) == Source::Stranger
        {
            return None;
        }
        self.counts.received += 1;
        self.hearing = Hearing::Since { heard: now, tell_at: now + PATIENCE };

        let changed = self.reception.as_ref().is_none_or(|r| r.ssrc() != header.ssrc);
        if changed {
            self.lost_before += self.reception.as_ref().map_or(0, Reception::lost);
        }
        let reception = match &mut self.reception {
            Some(reception) if !changed => reception,
            reception => reception.insert(Reception::new(header.ssrc, header.sequence)),
        };
        let arrival = reception.receive(header.sequence, header.timestamp, (now.as_nanos() / 125_000) as u32);
        let anew = changed || arrival == Arrival::Restarted;
        Some(Incoming { kind, header, payload, arrival, anew })
    }

    /// The keys a packet of events tells for the first time.
    pub fn read_keys(&mut self, header: &Header, payload: &[u8], told: impl FnMut(Key)) {
        self.digits.receive(header, payload, told);
    }

    pub fn receive_report(&mut self, now: Mono, from: SocketAddr, bytes: &[u8]) {
        if !rtcp::is_rtcp(bytes) || self.transport.admit(now, Channel::Rtcp, from) == Source::Stranger {
            self.counts.dropped += 1;
            return;
        }
        for item in rtcp::parse(bytes) {
            let Item::Report { sending, blocks, .. } = item else { continue };
            if let Some(sending) = sending {
                self.reports.heard = Some(((sending.ntp >> 16) as u32, now));
            }
            for block in blocks.filter(|b| b.ssrc == self.stream.ssrc()) {
                self.quality.far_loss = block.fraction;
                self.quality.far_jitter = Duration::from_micros(u64::from(block.jitter) * 125);
                if block.last_report != 0 {
                    // §6.4.1: what is left of the time since our report after the peer's delay.
                    let there_and_back = ((ntp(now) >> 16) as u32).wrapping_sub(block.last_report);
                    let units = there_and_back.wrapping_sub(block.delay);
                    // More than a minute is a false report, or our clock's fraction below zero.
                    self.quality.round_trip = (units < 60 << 16)
                        .then(|| Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16))
                        .or(self.quality.round_trip);
                }
            }
        }
    }

    /// Sends another leg's packet on. `packet` is room for a header, then the payload.
    pub fn relay(&mut self, passing: Passing, packet: &mut [u8], wire: &mut impl Wire) {
        if !self.plan.direction.sends() {
            return self.stream.cut();
        }
        let payload_type = match passing.kind {
            Kind::Audio => Some(self.plan.payload_type),
            Kind::Event => self.plan.events,
        };
        match payload_type {
            Some(payload_type) if self.keys.is_idle() => {
                if let Some(header) = self.stream.relay(passing, payload_type) {
                    self.send(header, packet, wire);
                }
            }
            _ => self.stream.swallow(passing),
        }
    }

    /// Keys to be pressed toward the peer; those it cannot take are lost.
    pub fn press(&mut self, keys: &[Key]) {
        if self.plan.events.is_none() {
            return tracing::debug!(leg = %self.leg, "the peer takes no telephone-event");
        }
        for key in keys {
            self.keys.press(*key);
        }
    }

    pub fn is_pressing(&self) -> bool {
        !self.keys.is_idle()
    }

    /// What the next 20 ms of a key take.
    pub fn step_keys(&mut self, clock: u64, wire: &mut impl Wire) {
        let (header, report) = match (self.keys.step(), self.plan.events) {
            (Step::Begin(report), Some(events)) => (self.stream.begin_event(clock, events), report),
            (Step::Continue(report), Some(events)) => {
                (self.stream.continue_event(report.duration, events), report)
            }
            _ => return,
        };
        let mut packet = [0; HEADER + 4];
        packet[HEADER..].copy_from_slice(&report.to_bytes());
        self.staged.length = 0;
        if self.plan.direction.sends() {
            self.send(header, &mut packet, wire);
        }
    }

    /// Something else is heard from now on.
    pub fn cut(&mut self) {
        self.staged.length = 0;
        self.stream.cut();
    }

    /// Sound of our own for this tick: `make` fills a frame in the leg's law, or finds nothing.
    pub fn play(
        &mut self,
        clock: u64,
        wire: &mut impl Wire,
        make: impl FnOnce(Law, &mut [u8; FRAME]) -> Frame,
    ) {
        let start = HEADER + self.staged.length;
        let room = self.staged.octets[start..].first_chunk_mut().expect("less than a packet is staged");
        let sound = make(self.plan.law, room) == Frame::Sound;
        if !self.plan.direction.sends() {
            return self.cut();
        }
        if !sound {
            return self.flush(wire);
        }
        if self.staged.length == 0 {
            self.staged.clock = clock;
        }
        self.staged.length += FRAME;
        self.send_staged(wire);
    }

    /// Fills the last packet up and sends it.
    fn flush(&mut self, wire: &mut impl Wire) {
        if self.staged.length > 0 {
            let (from, to) = (HEADER + self.staged.length, HEADER + self.packet_length());
            self.staged.octets[from..to].fill(self.plan.law.silence());
            self.staged.length = self.packet_length();
            self.send_staged(wire);
        }
    }

    fn send_staged(&mut self, wire: &mut impl Wire) {
        let length = self.packet_length();
        let mut at = 0;
        while self.staged.length - at >= length {
            let clock = self.staged.clock + at as u64;
            let header = self.stream.stamp(clock, length as u32, self.plan.payload_type);
            // The header lies over the end of the packet before, which is gone.
            let packet = &mut self.staged.octets[at..at + HEADER + length];
            packet[..HEADER].copy_from_slice(&header.to_bytes());
            if let Some(to) = self.transport.destination(Channel::Rtp) {
                wire.send(self.plan.socket, Channel::Rtp, to, packet);
                self.counts.sent += 1;
                self.reports.sent.add(length);
            }
            at += length;
        }
        self.staged.octets.copy_within(HEADER + at..HEADER + self.staged.length, HEADER);
        self.staged.length -= at;
        self.staged.clock += at as u64;
    }

    /// Octets of audio in a packet of ours.
    fn packet_length(&self) -> usize {
        usize::from(self.plan.ptime_ms.clamp(10, 60) / 10) * 80
    }

    fn send(&mut self, header: Header, packet: &mut [u8], wire: &mut impl Wire) {
        let Some(to) = self.transport.destination(Channel::Rtp) else { return };
        packet[..HEADER].copy_from_slice(&header.to_bytes());
        wire.send(self.plan.socket, Channel::Rtp, to, packet);
        self.counts.sent += 1;
        self.reports.sent.add(packet.len() - HEADER);
    }

    /// When [`Endpoint::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Mono {
        match self.hearing {
            Hearing::Since { tell_at, .. } => self.reports.at.min(tell_at),
            Hearing::Unwanted => self.reports.at,
        }
    }

    /// A report, if one is due; silence, if it lasts. `chance` spreads the next report.
    pub fn handle_timeout(
        &mut self,
        now: Mono,
        clock: u64,
        chance: u32,
        wire: &mut impl Wire,
    ) -> Option<Event> {
        if self.reports.at <= now {
            self.reports.at = now + rtcp::interval(chance);
            let report = self.report(now, clock);
            self.send_report(&report, wire);
        }
        match self.hearing {
            Hearing::Since { heard, tell_at } if tell_at <= now => {
                self.hearing = Hearing::Since { heard, tell_at: now + PATIENCE };
                Some(Event::Silent { leg: self.leg, since: now.since(heard) })
            }
            _ => None,
        }
    }

    /// The leg is over.
    pub fn close(&mut self, now: Mono, clock: u64, wire: &mut impl Wire) -> Event {
        if self.reports.introduced || self.reports.sent.packets > 0 {
            let farewell = self.report(now, clock).bye(self.stream.ssrc());
            self.send_report(&farewell, wire);
        }
        Event::Closed { leg: self.leg, counts: self.counts() }
    }

    fn report(&mut self, now: Mono, clock: u64) -> Compound {
        let ssrc = self.stream.ssrc();
        let Sent { packets, octets } = self.reports.sent;
        let sending = (packets != self.reports.reported).then(|| Sending {
            ntp: ntp(now),
            timestamp: self.stream.timestamp(clock),
            packets,
            octets,
        });
        self.reports.reported = packets;
        let heard = self.reports.heard;
        let block = self.reception.as_mut().map(|reception| {
            let loss = reception.report();
            self.quality.near_loss = loss.fraction;
            self.quality.near_jitter = Duration::from_micros(u64::from(loss.jitter) * 125);
            Block {
                ssrc: reception.ssrc(),
                fraction: loss.fraction,
                lost: loss.cumulative,
                highest: loss.highest,
                jitter: loss.jitter,
                last_report: heard.map_or(0, |(middle, _)| middle),
                delay: heard.map_or(0, |(_, at)| (ntp_of(now.since(at)) >> 16) as u32),
            }
        });
        Compound::report(ssrc, sending, block).cname(ssrc, &self.reports.cname)
    }

    fn send_report(&mut self, report: &Compound, wire: &mut impl Wire) {
        if let Some(to) = self.transport.destination(Channel::Rtcp) {
            self.reports.introduced = true;
            wire.send(self.plan.socket, Channel::Rtcp, to, report.as_bytes());
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
}

impl Sent {
    fn add(&mut self, octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets as u32);
    }
}

/// §4: a system without wall time may count from its start.
fn ntp(now: Mono) -> u64 {
    ntp_of(Duration::from_nanos(now.as_nanos()))
}

fn ntp_of(span: Duration) -> u64 {
    (span.as_secs() << 32) | ((u64::from(span.subsec_nanos()) << 32) / 1_000_000_000)
}
