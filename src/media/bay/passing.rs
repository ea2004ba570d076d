//! A packet on its way to those who hear it: as it is, in the other law, as sound, as keys, as noise.
//!
//! Everything here happens in the turn in which the packet came, but for what is mixed or recorded.

use super::{Bay, LONGEST, Need, Wire, clock};
use crate::audio::{codec, g711};
use crate::base::{Codec, Key, Mono, Rate};
use crate::media::ear::{After, Ear, Heard};
use crate::media::endpoint::Incoming;
use crate::media::stream::{Kind, Passing, Scale};
use crate::media::{Event, FRAME, Plan, lull};
use crate::rtp::packet::{HEADER, Header};
use crate::rtp::stats::Arrival;

/// A packet of Opus with so few octets is one of DTX: the peer is silent.
const SILENCE: usize = 2;

impl Bay {
    /// A leg's packet is heard by whom it concerns.
    pub(super) fn hear(
        &mut self,
        now: Mono,
        slot: usize,
        incoming: &Incoming,
        buffer: &mut [u8],
        wire: &mut impl Wire,
    ) {
        let Incoming { kind, header, payload, arrival, anew, .. } = incoming;
        if matches!(kind, Kind::Event | Kind::EventAside) {
            self.rouse(now);
            // However late or doubled: the receiver knows each key by itself.
            let before = self.events.len();
            let (leg, events) = (&mut self.legs[slot], &mut self.events);
            let id = leg.endpoint.leg();
            leg.keyed = self.tick;
            leg.endpoint.read_keys(header, &buffer[payload.clone()], |key| {
                events.push_back(Event::Digit { leg: id, key });
            });
            for told in before..self.events.len() {
                if let Event::Digit { key, .. } = self.events[told] {
                    self.press_onward(slot, *kind, key);
                }
            }
        }
        if matches!(arrival, Arrival::Duplicate | Arrival::Astray) || payload.is_empty() {
            return;
        }
        if *anew {
            self.forget_sender(slot);
        }
        match kind {
            Kind::Audio => self.decode(now, slot, incoming, &buffer[payload.clone()], wire),
            Kind::Noise => {
                let payload = payload.clone();
                self.hush(now, slot, header, &buffer[payload]);
            }
            Kind::Event | Kind::EventAside => self.end_lulls(slot, header.timestamp),
        }
        if !self.legs[slot].relays.is_empty() {
            self.relay(now, slot, incoming, buffer, wire);
        }
    }

    /// A key is pressed anew toward those to whom its packets cannot go as they are.
    fn press_onward(&mut self, slot: usize, kind: Kind, key: Key) {
        for n in 0..self.legs[slot].relays.len() {
            let listener = self.legs[slot].relays[n];
            let (from, to) = (self.legs[slot].endpoint.plan(), self.legs[listener].endpoint.plan());
            if kind == Kind::EventAside || !keys_pass(from, to) {
                self.legs[listener].endpoint.press(&[key]);
                self.list(listener);
            }
        }
    }

    /// Makes sound of a packet for whoever needs it as such.
    fn decode(&mut self, now: Mono, slot: usize, incoming: &Incoming, octets: &[u8], wire: &mut impl Wire) {
        let Incoming { header, .. } = incoming;
        let codec = self.legs[slot].endpoint.plan().codec;
        let clock = clock(now);
        let described = codec == Codec::Opus && octets.len() <= SILENCE;
        if !described {
            self.end_lulls(slot, header.timestamp);
        }
        if let Some(tap) = self.legs[slot].taps[Rate::Narrow as usize] {
            // What needs no memory is put in its place however late it comes.
            let mut samples = [0; LONGEST];
            let samples = &mut samples[..octets.len().min(LONGEST)];
            match codec {
                Codec::Pcmu => samples.iter_mut().zip(octets).for_each(|(s, o)| *s = g711::ulaw_decode(*o)),
                Codec::Pcma => samples.iter_mut().zip(octets).for_each(|(s, o)| *s = g711::alaw_decode(*o)),
                Codec::G722 | Codec::Opus => {}
            }
            if is_g711(codec) {
                self.taps[tap].insert(header.timestamp, samples);
            }
        }
        for rate in [Rate::Narrow, Rate::Wide] {
            let need = self.need(slot, rate);
            if need == Need::NONE {
                continue;
            }
            let place = &mut self.legs[slot].ears[rate as usize];
            let Some(mut ear) = place.take().or_else(|| Ear::new(codec, rate)) else { continue };
            match ear.hear(header, octets) {
                Some(heard) if described => self.describe(now, slot, (need, rate), &heard, header),
                Some(heard) => self.spread(clock, slot, (need, rate), &heard, wire),
                None => {}
            }
            self.legs[slot].ears[rate as usize] = Some(ear);
        }
    }

    /// A leg is silent from then on: whoever cannot be told so hears how that sounds.
    fn hush(&mut self, now: Mono, slot: usize, header: &Header, payload: &[u8]) {
        let leg = &self.legs[slot];
        let codec = leg.endpoint.plan().codec;
        let from = Scale::of(codec).down(header.timestamp);
        for tap in leg.taps.into_iter().flatten() {
            self.taps[tap].heed(from, payload);
        }
        for n in 0..self.legs[slot].relays.len() {
            let listener = self.legs[slot].relays[n];
            let plan = self.legs[listener].endpoint.plan();
            match (interpreting(codec, plan), plan.noise) {
                (None, Some(_)) => {}
                (rate, _) => self.hush_one(now, listener, from, rate.unwrap_or(Rate::Narrow), payload),
            }
        }
    }

    fn hush_one(&mut self, now: Mono, listener: usize, from: u32, rate: Rate, payload: &[u8]) {
        self.rouse(now);
        self.legs[listener].lull.heed(from, rate, payload);
        self.list(listener);
    }

    /// A leg said something then: nobody hears its silence any more.
    fn end_lulls(&mut self, slot: usize, timestamp: u32) {
        let at = Scale::of(self.legs[slot].endpoint.plan().codec).down(timestamp);
        for n in 0..self.legs[slot].relays.len() {
            let listener = self.legs[slot].relays[n];
            let listener = &mut self.legs[listener];
            if listener.lull.end(at) {
                listener.endpoint.cut();
            }
        }
    }

    /// Nothing that was heard of a leg's sender holds for the next.
    fn forget_sender(&mut self, slot: usize) {
        let leg = &mut self.legs[slot];
        leg.ears.iter_mut().flatten().for_each(|ear| ear.forget());
        for tap in leg.taps.into_iter().flatten() {
            self.taps[tap].clear();
        }
        self.end_noise(slot);
    }

    /// A leg's peer says no more, not even how its silence sounds.
    pub(super) fn end_noise(&mut self, slot: usize) {
        for tap in self.legs[slot].taps.into_iter().flatten() {
            self.taps[tap].end_noise();
        }
        for n in 0..self.legs[slot].relays.len() {
            let listener = self.legs[slot].relays[n];
            self.legs[listener].lull.forget();
        }
    }

    /// What a leg said is heard at this rate by whoever needs it.
    fn spread(
        &mut self,
        clock: u64,
        slot: usize,
        (need, rate): (Need, Rate),
        heard: &Heard<'_>,
        wire: &mut impl Wire,
    ) {
        if let Some(tap) = need.tap {
            self.taps[tap].insert(heard.start, heard.samples);
        }
        self.look_for_keys(slot, need, heard);
        let codec = self.legs[slot].endpoint.plan().codec;
        for n in 0..self.legs[slot].relays.len() {
            let listener = self.legs[slot].relays[n];
            let listener = &mut self.legs[listener].endpoint;
            if interpreting(codec, listener.plan()) == Some(rate) {
                listener.interpret(clock, slot, rate, (heard.start, heard.samples), wire);
            }
        }
    }

    fn look_for_keys(&mut self, slot: usize, need: Need, heard: &Heard<'_>) {
        let id = self.legs[slot].endpoint.leg();
        if let Some(detector) = self.legs[slot].detector.as_mut().filter(|_| need.keys) {
            if heard.after == After::Pause {
                // 40 ms of silence: whatever key was held was let go.
                let _ = (detector.hear(&[0; FRAME]), detector.hear(&[0; FRAME]));
            }
            for frame in heard.samples.chunks(FRAME) {
                self.events.extend(detector.hear(frame).map(|key| Event::Digit { leg: id, key }));
            }
        }
    }

    /// A leg is silent, and this is how its decoder thinks that sounds.
    fn describe(
        &mut self,
        now: Mono,
        slot: usize,
        (need, rate): (Need, Rate),
        heard: &Heard<'_>,
        header: &Header,
    ) {
        let payload = lull::described(heard.samples);
        self.look_for_keys(slot, need, heard);
        if let Some(tap) = need.tap {
            self.taps[tap].heed(heard.start, &payload);
        }
        let codec = self.legs[slot].endpoint.plan().codec;
        let from = Scale::of(codec).down(header.timestamp);
        for n in 0..self.legs[slot].relays.len() {
            let listener = self.legs[slot].relays[n];
            if interpreting(codec, self.legs[listener].endpoint.plan()) == Some(rate) {
                self.hush_one(now, listener, from, rate, &payload);
            }
        }
    }

    /// Sends a packet on to those who take it as it is, or in the other law.
    fn relay(
        &mut self,
        now: Mono,
        slot: usize,
        incoming: &Incoming,
        buffer: &mut [u8],
        wire: &mut impl Wire,
    ) {
        let Incoming { kind, header, payload, .. } = incoming;
        let (kind, header) = (*kind, *header);
        let codec = self.legs[slot].endpoint.plan().codec;
        let span = match kind {
            Kind::Audio => Scale::of(codec).up(codec::samples_of(codec, &buffer[payload.clone()]).into()),
            Kind::Event | Kind::EventAside | Kind::Noise => 0,
        };
        let passing = Passing { clock: clock(now), source: slot, kind, header, span };
        let length = self.legs[slot].relays.len();
        for n in 0..length {
            let listener = self.legs[slot].relays[n];
            let passes = match kind {
                Kind::Event => {
                    keys_pass(self.legs[slot].endpoint.plan(), self.legs[listener].endpoint.plan())
                }
                Kind::EventAside => false,
                Kind::Audio | Kind::Noise => {
                    interpreting(codec, self.legs[listener].endpoint.plan()).is_none()
                }
            };
            let listener = &mut self.legs[listener].endpoint;
            let theirs = listener.plan().codec;
            if !passes {
                listener.pass_over(passing);
                continue;
            }
            // The last one gets the packet itself: the header before the payload is ours to write
            // over, and protecting it spoils it.
            let copied = payload.start - HEADER..payload.end;
            let (packet, payload) = if n + 1 == length {
                (&mut *buffer, payload.clone())
            } else {
                let Some(copy) = self.copy.get_mut(..copied.len()) else { continue };
                copy.copy_from_slice(&buffer[copied.clone()]);
                (&mut self.copy[..], HEADER..copied.len())
            };
            if kind == Kind::Audio && theirs != codec {
                translate(codec, &mut packet[payload.clone()]);
            }
            listener.relay(passing, packet, payload, wire);
        }
    }
}

/// The rate at which sound goes from one codec into another; `None` where it needs no decoding.
pub(super) fn interpreting(from: Codec, to: &Plan) -> Option<Rate> {
    let as_it_is = from == to.codec || is_g711(from) && is_g711(to.codec);
    (!as_it_is).then(|| from.rate().min(to.rate()))
}

/// Whether packets of events can go from one leg to another as they are: by the clock of the audio,
/// whatever its codec (RFC 4733 §2.1), and with durations in one unit.
fn keys_pass(from: &Plan, to: &Plan) -> bool {
    let unit = |plan: &Plan| plan.events.map(|events| events.clock);
    Scale::of(from.codec) == Scale::of(to.codec) && unit(from).is_some() && unit(from) == unit(to)
}

pub(super) const fn is_g711(codec: Codec) -> bool {
    matches!(codec, Codec::Pcmu | Codec::Pcma)
}

/// From one law into the other, where it lies.
fn translate(from: Codec, octets: &mut [u8]) {
    match from {
        Codec::Pcmu => octets.iter_mut().for_each(|octet| *octet = g711::ulaw_to_alaw(*octet)),
        Codec::Pcma => octets.iter_mut().for_each(|octet| *octet = g711::alaw_to_ulaw(*octet)),
        Codec::G722 | Codec::Opus => {}
    }
}
