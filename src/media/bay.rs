//! One shard's audio: commands, packets and ticks in; packets, recorded sound and events out.
//!
//! Audio that only passes from one leg to another leaves the moment it comes, under new numbers and
//! if need be in the other law. Prompts and tones are stamped at the tick. Only what is mixed or
//! recorded is decoded. **Invariant:** once legs are open, no packet and no tick allocates, locks
//! or logs; only a play that comes to its end takes its rows out of the patch.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::{Endpoint, Frame, Incoming};
use super::patch::Patch;
use super::player::{Played, Player};
use super::recorder::Recorder;
use super::slots::Slots;
use super::stream::{Kind, Passing};
use super::{
    Command, Counts, Event, FRAME, Law, Plan, Prompt, Quality, RecordingId, Repeat, SocketId, Source, Tone,
};
use crate::audio::mix::Limiter;
use crate::audio::{g711, tone};
use crate::base::{LegId, Mint, Mono, PlayId};
use crate::rtp::jitter;
use crate::rtp::packet::HEADER;
use crate::rtp::stats::Arrival;

/// How often sound of our own is made: one frame.
pub const TICK: Duration = Duration::from_millis(20);

/// Frames made up for when a tick comes late: 60 ms, about what a phone's buffer bridges. Of a
/// longer absence nobody wants to hear a burst.
const CATCH_UP: u64 = 3;
/// Frames of silence or late sound recorded after a longer absence: 10 s.
const RECORD_UP: u64 = 500;

/// Which port of a socket pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    Rtp,
    Rtcp,
}

/// Where the bay's packets leave. Called while a packet or tick is handled; must not block.
pub trait Wire {
    fn send(&mut self, socket: SocketId, channel: Channel, to: SocketAddr, bytes: &[u8]);
}

/// Where recorded sound leaves. Called within a tick; must not block (a ring to a writer).
pub trait Tape {
    /// 8 kHz, stereo interleaved, left first; 20 ms at a time.
    fn write(&mut self, recording: RecordingId, samples: &[i16]);
    /// Nothing more comes for this recording.
    fn finish(&mut self, recording: RecordingId);
}

/// The audio of one shard.
#[derive(Debug)]
pub struct Bay {
    mint: Mint,
    events: VecDeque<Event>,
    /// When the first leg opened: the zero of all ticks and timestamps.
    epoch: Option<Mono>,
    /// Number of the next tick since the epoch.
    tick: u64,
    legs: Slots<Leg>,
    players: Slots<(PlayId, Player)>,
    taps: Slots<Tap>,
    leg_slots: BTreeMap<LegId, usize>,
    player_slots: BTreeMap<PlayId, usize>,
    /// By [`SocketId`].
    socket_slots: Vec<Option<usize>>,
    /// By leg slot: when its endpoint has something to do. Beside the legs, so that looking
    /// through all of them every tick costs little.
    due: Vec<Mono>,
    patch: Patch,
    /// Legs for which sound is made each tick.
    ticking: Vec<usize>,
    /// Players that came to their end in this tick.
    over: Vec<usize>,
    recorders: BTreeMap<RecordingId, Recorder>,
    ringback: Arc<[Arc<Prompt>]>,
    busy: Arc<[Arc<Prompt>]>,
}

/// A leg and its wires.
#[derive(Debug)]
struct Leg {
    endpoint: Endpoint,
    hearing: Hearing,
    /// What `hearing` was made of.
    wired: Vec<Wired>,
    /// Who hears this leg alone.
    relays: Vec<usize>,
    tap: Option<usize>,
    /// Mixes and recorders that hear the tap.
    tapped_by: u32,
    ticking: Ticking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ticking {
    Listed,
    Unlisted,
}

/// A source that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wired {
    Leg(usize),
    Player(usize),
    Tone(Tone),
}

#[derive(Debug)]
enum Hearing {
    Nothing,
    /// One other leg: its packets are relayed as they come.
    Leg,
    Player(usize),
    Tone(Player),
    Mix(Vec<Voice>, Limiter),
}

#[derive(Debug)]
enum Voice {
    Tap(usize),
    Player(usize),
    Tone(Player),
}

/// A leg's sound, decoded.
#[derive(Debug)]
struct Tap {
    buffer: jitter::Buffer,
    frame: [i16; FRAME],
    /// Samples of the frame that came.
    came: usize,
}

/// How much there is of each thing in a bay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub legs: usize,
    pub plays: usize,
    pub recordings: usize,
    /// Legs being decoded.
    pub taps: usize,
    /// Listeners in the patch.
    pub listeners: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// All that a tick does.
    Full,
    /// The tick's time is past: what is heard now would come too late, what is recorded not.
    RecordOnly,
}

impl Bay {
    /// `mint` gives first sequence numbers and timestamps, CNAMEs and the spread of reports.
    pub fn new(mint: Mint) -> Self {
        let tone = |cadence: tone::Cadence| Arc::from([Arc::new(Prompt::from_pcm(&cadence.period()))]);
        Self {
            mint,
            events: VecDeque::with_capacity(256),
            epoch: None,
            tick: 0,
            legs: Slots::default(),
            players: Slots::default(),
            taps: Slots::default(),
            leg_slots: BTreeMap::new(),
            player_slots: BTreeMap::new(),
            socket_slots: vec![],
            due: vec![],
            patch: Patch::default(),
            ticking: vec![],
            over: vec![],
            recorders: BTreeMap::new(),
            ringback: tone(tone::RINGBACK),
            busy: tone(tone::BUSY),
        }
    }

    /// Does what signalling asks. What comes of it is an [`Event`].
    pub fn handle_command(
        &mut self,
        now: Mono,
        command: Command,
        wire: &mut impl Wire,
        tape: &mut impl Tape,
    ) {
        match command {
            Command::Open { leg, plan } => self.open(now, leg, plan),
            Command::Amend { leg, plan } => self.amend(now, leg, plan),
            Command::Close { leg } => self.close(now, leg, wire),
            Command::Patch { listener, sources } => {
                self.patch.set(listener, sources);
                self.rewire(listener);
            }
            Command::Play { play, prompts, repeat } => {
                self.stop(play);
                let slot = self.players.insert((play, Player::new(prompts, repeat)));
                self.over.reserve(self.players.len());
                self.player_slots.insert(play, slot);
                self.rewire_listeners(Source::Prompt(play));
            }
            Command::Stop { play } => self.stop(play),
            Command::Press { leg, keys } => {
                if let Some(&slot) = self.leg_slots.get(&leg) {
                    self.legs[slot].endpoint.press(&keys);
                    self.list(slot);
                }
            }
            Command::Record { recording, left, right } => {
                self.wake(now);
                if let Entry::Vacant(place) = self.recorders.entry(recording) {
                    place.insert(Recorder::new(left, right));
                    self.tap_all([Some(left), right]);
                }
            }
            Command::Rewire { recording, left, right } => {
                if let Some(recorder) = self.recorders.get_mut(&recording) {
                    let before = [Some(recorder.left), recorder.right];
                    (recorder.left, recorder.right) = (left, right);
                    self.tap_all([Some(left), right]);
                    self.untap_all(before);
                }
            }
            Command::Mask { recording, masking } => {
                if let Some(recorder) = self.recorders.get_mut(&recording) {
                    recorder.masking = masking;
                }
            }
            Command::Finish { recording } => {
                if let Some(recorder) = self.recorders.remove(&recording) {
                    self.untap_all([Some(recorder.left), recorder.right]);
                    tape.finish(recording);
                    self.events.push_back(Event::Recorded { recording, length: recorder.length() });
                }
            }
        }
    }

    /// A datagram came on a socket. `bytes` is rewritten in place on its way out.
    pub fn handle_packet(
        &mut self,
        now: Mono,
        socket: SocketId,
        channel: Channel,
        from: SocketAddr,
        bytes: &mut [u8],
        wire: &mut impl Wire,
    ) {
        // A socket at rest: the last packets of a leg that is over.
        let Some(&Some(slot)) = self.socket_slots.get(socket.0 as usize) else { return };
        match channel {
            Channel::Rtcp => self.legs[slot].endpoint.receive_report(now, from, bytes),
            Channel::Rtp => {
                if let Some(incoming) = self.legs[slot].endpoint.receive(now, from, bytes) {
                    // Later only, as a rule: what was due is looked at again when it is.
                    self.due[slot] = self.due[slot].min(self.legs[slot].endpoint.poll_timeout());
                    self.hear(now, slot, incoming, bytes, wire);
                }
            }
        }
    }

    /// Does what is due: frames, reports, silence.
    pub fn handle_timeout(&mut self, now: Mono, wire: &mut impl Wire, tape: &mut impl Tape) {
        let Some(epoch) = self.epoch else { return };
        let last = (now.since(epoch).as_nanos() / TICK.as_nanos()) as u64;
        self.tick = self.tick.max(last.saturating_sub(RECORD_UP));
        while self.tick <= last {
            let pace = if last - self.tick > CATCH_UP { Pace::RecordOnly } else { Pace::Full };
            self.frame(self.tick, pace, wire, tape);
            self.tick += 1;
        }
        let clock = self.clock(now);
        for (slot, due) in self.due.iter_mut().enumerate() {
            if *due <= now {
                let endpoint = &mut self.legs[slot].endpoint;
                self.events.extend(endpoint.handle_timeout(now, clock, self.mint.u32(), wire));
                *due = endpoint.poll_timeout();
            }
        }
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Bay::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let epoch = self.epoch.filter(|_| !self.is_idle())?;
        Some(epoch + Duration::from_nanos(self.tick.saturating_mul(TICK.as_nanos() as u64)))
    }

    /// A leg's packets so far.
    pub fn counts(&self, leg: LegId) -> Option<Counts> {
        self.leg_slots.get(&leg).map(|slot| self.legs[*slot].endpoint.counts())
    }

    /// How a leg's audio fares, by its latest reports.
    pub fn quality(&self, leg: LegId) -> Option<Quality> {
        self.leg_slots.get(&leg).map(|slot| self.legs[*slot].endpoint.quality())
    }

    pub fn load(&self) -> Load {
        Load {
            legs: self.legs.len(),
            plays: self.players.len(),
            recordings: self.recorders.len(),
            taps: self.taps.len(),
            listeners: self.patch.len(),
        }
    }

    fn is_idle(&self) -> bool {
        self.legs.len() == 0 && self.recorders.is_empty()
    }

    /// Ticks begin, or begin again: none is owed for the time in which nobody was there.
    fn wake(&mut self, now: Mono) {
        let epoch = *self.epoch.get_or_insert(now);
        if self.is_idle() {
            self.tick = (now.since(epoch).as_nanos() / TICK.as_nanos()) as u64 + 1;
        }
    }

    /// Samples since the epoch.
    fn clock(&self, now: Mono) -> u64 {
        self.epoch.map_or(0, |epoch| now.since(epoch).as_nanos() as u64 / 125_000)
    }

    fn open(&mut self, now: Mono, id: LegId, plan: Plan) {
        if self.leg_slots.contains_key(&id) {
            return self.amend(now, id, plan);
        }
        self.wake(now);
        let socket = plan.socket;
        let endpoint = Endpoint::new(now, self.clock(now), id, plan, &mut self.mint);
        let due = endpoint.poll_timeout();
        let slot = self.legs.insert(Leg {
            endpoint,
            hearing: Hearing::Nothing,
            wired: vec![],
            relays: vec![],
            tap: None,
            tapped_by: 0,
            ticking: Ticking::Unlisted,
        });
        if self.due.len() <= slot {
            self.due.resize(slot + 1, NEVER);
        }
        self.due[slot] = due;
        self.ticking.reserve(self.legs.len());
        self.leg_slots.insert(id, slot);
        self.take_socket(socket, slot);
        let recorded = self.recorders.values().flat_map(|r| [Some(r.left), r.right]).flatten();
        for _ in 0..recorded.filter(|leg| *leg == id).count() {
            self.tap(slot);
        }
        self.rewire(id);
        self.rewire_listeners(Source::Leg(id));
    }

    fn amend(&mut self, now: Mono, id: LegId, plan: Plan) {
        let Some(&slot) = self.leg_slots.get(&id) else { return };
        let (before, socket) = (self.legs[slot].endpoint.plan().socket, plan.socket);
        if before != socket {
            self.leave_socket(before, slot);
            self.take_socket(socket, slot);
        }
        self.legs[slot].endpoint.amend(now, plan);
        self.due[slot] = self.legs[slot].endpoint.poll_timeout();
    }

    fn close(&mut self, now: Mono, id: LegId, wire: &mut impl Wire) {
        self.patch.forget_listener(id);
        let listeners = self.patch.forget_source(Source::Leg(id));
        let Some(slot) = self.leg_slots.remove(&id) else { return };
        listeners.into_iter().for_each(|listener| self.rewire(listener));
        self.unhook(slot);
        let clock = self.clock(now);
        if let Some(mut leg) = self.legs.remove(slot) {
            self.leave_socket(leg.endpoint.plan().socket, slot);
            self.events.push_back(leg.endpoint.close(now, clock, wire));
            if let Some(tap) = leg.tap {
                self.taps.remove(tap);
            }
        }
        self.ticking.retain(|s| *s != slot);
        self.due[slot] = NEVER;
    }

    fn stop(&mut self, play: PlayId) {
        if let Some(slot) = self.player_slots.remove(&play) {
            for listener in self.patch.forget_source(Source::Prompt(play)) {
                self.rewire(listener);
            }
            self.players.remove(slot);
        }
    }

    fn take_socket(&mut self, socket: SocketId, slot: usize) {
        let index = socket.0 as usize;
        if self.socket_slots.len() <= index {
            self.socket_slots.resize(index + 1, None);
        }
        self.socket_slots[index] = Some(slot);
    }

    /// Unless another leg took it meanwhile.
    fn leave_socket(&mut self, socket: SocketId, slot: usize) {
        if let Some(taken) = self.socket_slots.get_mut(socket.0 as usize)
            && *taken == Some(slot)
        {
            *taken = None;
        }
    }

    fn rewire_listeners(&mut self, source: Source) {
        for listener in self.patch.listeners(source) {
            self.rewire(listener);
        }
    }

    /// Makes a listener hear what the patch says, as far as it is there.
    fn rewire(&mut self, listener: LegId) {
        let Some(&slot) = self.leg_slots.get(&listener) else { return };
        let mut wired = vec![];
        for source in self.patch.sources(listener) {
            let there = match source {
                Source::Leg(leg) => self.leg_slots.get(leg).copied().map(Wired::Leg),
                Source::Prompt(play) => self.player_slots.get(play).copied().map(Wired::Player),
                Source::Tone(tone) => Some(Wired::Tone(*tone)),
            };
            wired.extend(there.filter(|there| !wired.contains(there)));
        }
        if self.legs[slot].wired != wired {
            self.unhook(slot);
            self.hook(slot, wired);
        }
    }

    fn hook(&mut self, slot: usize, wired: Vec<Wired>) {
        let hearing = match wired[..] {
            [] => Hearing::Nothing,
            [Wired::Leg(source)] => {
                self.legs[source].relays.push(slot);
                Hearing::Leg
            }
            [Wired::Player(player)] => Hearing::Player(player),
            [Wired::Tone(tone)] => Hearing::Tone(self.tone(tone)),
            _ => {
                let voice = |bay: &mut Self, wired: &Wired| match *wired {
                    Wired::Leg(source) => Voice::Tap(bay.tap(source)),
                    Wired::Player(player) => Voice::Player(player),
                    Wired::Tone(tone) => Voice::Tone(bay.tone(tone)),
                };
                let voices = wired.iter().map(|wired| voice(self, wired)).collect();
                Hearing::Mix(voices, Limiter::default())
            }
        };
        let leg = &mut self.legs[slot];
        leg.hearing = hearing;
        leg.wired = wired;
        leg.endpoint.cut();
        self.list(slot);
    }

    fn unhook(&mut self, slot: usize) {
        let leg = &mut self.legs[slot];
        let hearing = std::mem::replace(&mut leg.hearing, Hearing::Nothing);
        leg.endpoint.cut();
        for wired in std::mem::take(&mut leg.wired) {
            match (wired, &hearing) {
                (Wired::Leg(source), Hearing::Leg) => self.legs[source].relays.retain(|s| *s != slot),
                (Wired::Leg(source), _) => self.untap(source),
                _ => {}
            }
        }
    }

    fn tone(&self, tone: Tone) -> Player {
        let prompts = match tone {
            Tone::Ringback => &self.ringback,
            Tone::Busy => &self.busy,
        };
        Player::new(prompts.clone(), Repeat::Forever)
    }

    /// Has a frame made for the leg each tick, if it needs one.
    fn list(&mut self, slot: usize) {
        let leg = &mut self.legs[slot];
        if leg.needs_ticks() && leg.ticking == Ticking::Unlisted {
            leg.ticking = Ticking::Listed;
            self.ticking.push(slot);
        }
    }

    fn tap(&mut self, slot: usize) -> usize {
        let leg = &mut self.legs[slot];
        leg.tapped_by += 1;
        *leg.tap.get_or_insert_with(|| self.taps.insert(Tap::default()))
    }

    fn untap(&mut self, slot: usize) {
        let leg = &mut self.legs[slot];
        leg.tapped_by = leg.tapped_by.saturating_sub(1);
        if leg.tapped_by == 0
            && let Some(tap) = leg.tap.take()
        {
            self.taps.remove(tap);
        }
    }

    fn tap_all(&mut self, legs: [Option<LegId>; 2]) {
        for leg in legs.into_iter().flatten() {
            if let Some(&slot) = self.leg_slots.get(&leg) {
                self.tap(slot);
            }
        }
    }

    fn untap_all(&mut self, legs: [Option<LegId>; 2]) {
        for leg in legs.into_iter().flatten() {
            if let Some(&slot) = self.leg_slots.get(&leg) {
                self.untap(slot);
            }
        }
    }

    /// A leg's packet is heard by whom it concerns.
    fn hear(&mut self, now: Mono, slot: usize, incoming: Incoming, bytes: &mut [u8], wire: &mut impl Wire) {
        let Incoming { kind, header, payload, arrival, anew } = incoming;
        let leg = &mut self.legs[slot];
        let (id, law) = (leg.endpoint.leg(), leg.endpoint.plan().law);
        let told = &bytes[payload.clone()];
        match kind {
            // However late or doubled: the receiver knows each key by itself.
            Kind::Event => {
                let events = &mut self.events;
                leg.endpoint.read_keys(&header, told, |key| {
                    events.push_back(Event::Digit { leg: id, key });
                });
            }
            Kind::Audio => {
                if let Some(tap) = leg.tap
                    && !matches!(arrival, Arrival::Duplicate | Arrival::Astray)
                {
                    let tap = &mut self.taps[tap];
                    if anew {
                        tap.buffer.clear();
                    }
                    tap.buffer.insert(header.timestamp, told.iter().map(|octet| law.decode(*octet)));
                }
            }
        }
        if matches!(arrival, Arrival::Duplicate | Arrival::Astray) || told.is_empty() {
            return;
        }
        let samples = if kind == Kind::Audio { payload.len() as u32 } else { 0 };
        let passing = Passing { clock: self.clock(now), source: slot, kind, header, samples };
        // The header before the payload is ours to write over.
        let packet = &mut bytes[payload.start - HEADER..payload.end];
        let mut in_law = law;
        // Those of the same law first: the octets are translated where they lie, once.
        for wanted in [law, law.other()] {
            for n in 0..self.legs[slot].relays.len() {
                let listener = self.legs[slot].relays[n];
                let listener = &mut self.legs[listener].endpoint;
                let theirs = listener.plan().law;
                if kind == Kind::Event && wanted == law || kind == Kind::Audio && wanted == theirs {
                    if kind == Kind::Audio && in_law != theirs {
                        in_law.translate(&mut packet[HEADER..]);
                        in_law = theirs;
                    }
                    listener.relay(passing, packet, wire);
                }
            }
        }
    }

    /// One tick.
    fn frame(&mut self, tick: u64, pace: Pace, wire: &mut impl Wire, tape: &mut impl Tape) {
        for tap in self.taps.iter_mut() {
            tap.came = tap.buffer.read(&mut tap.frame);
        }
        if pace == Pace::Full {
            self.make_sound(tick, wire);
        }
        for (recording, recorder) in &mut self.recorders {
            let heard = |leg: LegId| {
                let tap = self.legs[*self.leg_slots.get(&leg)?].tap?;
                Some(&self.taps[tap].frame)
            };
            let (left, right) = (heard(recorder.left), recorder.right.and_then(heard));
            let stereo = recorder.frame(left, right);
            tape.write(*recording, &stereo);
        }
    }

    fn make_sound(&mut self, tick: u64, wire: &mut impl Wire) {
        let clock = tick * FRAME as u64;
        let mut n = 0;
        while let Some(&slot) = self.ticking.get(n) {
            let leg = &mut self.legs[slot];
            if !leg.needs_ticks() {
                leg.ticking = Ticking::Unlisted;
                self.ticking.swap_remove(n);
                continue;
            }
            n += 1;
            if leg.endpoint.is_pressing() {
                leg.endpoint.step_keys(clock, wire);
                continue;
            }
            let (players, taps, over) = (&mut self.players, &self.taps, &mut self.over);
            match &mut leg.hearing {
                Hearing::Nothing | Hearing::Leg => {}
                Hearing::Player(player) => leg
                    .endpoint
                    .play(clock, wire, |law, frame| play(*player, players, over, tick, law, frame)),
                Hearing::Tone(tone) => {
                    leg.endpoint.play(clock, wire, |law, frame| tone.frame(tick, law, frame).into());
                }
                Hearing::Mix(voices, limiter) => leg.endpoint.play(clock, wire, |law, frame| {
                    let mut sums = [0i32; FRAME];
                    let mut heard = Frame::Nothing;
                    for voice in voices {
                        let mut octets = [0; FRAME];
                        let sound = match voice {
                            Voice::Tap(tap) => {
                                let tap = &taps[*tap];
                                if tap.came > 0 {
                                    heard = Frame::Sound;
                                    sums.iter_mut().zip(tap.frame).for_each(|(sum, s)| *sum += i32::from(s));
                                }
                                continue;
                            }
                            Voice::Player(player) => play(*player, players, over, tick, law, &mut octets),
                            Voice::Tone(tone) => tone.frame(tick, law, &mut octets).into(),
                        };
                        if sound == Frame::Sound {
                            heard = Frame::Sound;
                            sums.iter_mut().zip(octets).for_each(|(sum, o)| *sum += i32::from(law.decode(o)));
                        }
                    }
                    let mut samples = [0; FRAME];
                    limiter.limit(&sums, &mut samples);
                    frame.iter_mut().zip(samples).for_each(|(octet, s)| *octet = law.encode(s));
                    heard
                }),
            }
        }
        while let Some(slot) = self.over.pop() {
            let play = self.players[slot].0;
            self.stop(play);
            self.events.push_back(Event::Played { play });
        }
    }
}

const NEVER: Mono = Mono::from_nanos(u64::MAX);

/// A player's frame; notes the player once when it is over.
fn play(
    slot: usize,
    players: &mut Slots<(PlayId, Player)>,
    over: &mut Vec<usize>,
    tick: u64,
    law: Law,
    frame: &mut [u8; FRAME],
) -> Frame {
    let player = &mut players[slot].1;
    let played = player.frame(tick, law, frame);
    if player.is_over() && !over.contains(&slot) {
        over.push(slot);
    }
    played.into()
}

impl Leg {
    fn needs_ticks(&self) -> bool {
        self.endpoint.is_pressing() || !matches!(self.hearing, Hearing::Nothing | Hearing::Leg)
    }
}

impl Default for Tap {
    fn default() -> Self {
        Self { buffer: jitter::Buffer::default(), frame: [0; FRAME], came: 0 }
    }
}

impl From<Played> for Frame {
    fn from(played: Played) -> Self {
        match played {
            Played::Frame => Self::Sound,
            Played::Nothing => Self::Nothing,
        }
    }
}

/// What the audio plane does to sound of either law.
impl Law {
    #[inline]
    pub(super) fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Mu => g711::ulaw_decode(octet),
            Self::A => g711::alaw_decode(octet),
        }
    }

    #[inline]
    pub(super) fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => g711::ulaw_encode(sample),
            Self::A => g711::alaw_encode(sample),
        }
    }

    pub(super) const fn silence(self) -> u8 {
        match self {
            Self::Mu => g711::ULAW_SILENCE,
            Self::A => g711::ALAW_SILENCE,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Mu => Self::A,
            Self::A => Self::Mu,
        }
    }

    /// Into the other law, where it lies.
    fn translate(self, octets: &mut [u8]) {
        match self {
            Self::Mu => octets.iter_mut().for_each(|octet| *octet = g711::ulaw_to_alaw(*octet)),
            Self::A => octets.iter_mut().for_each(|octet| *octet = g711::alaw_to_ulaw(*octet)),
        }
    }
}
