//! One shard's audio: commands, packets and ticks in; packets, recorded sound and events out.
//!
//! Audio that only passes from one leg to another leaves the moment it comes, under new numbers and
//! if need be in another codec. Prompts and tones are stamped at the tick. Only what changes its
//! codec, is mixed or recorded is decoded. **Invariant:** once legs are open and their codecs in
//! use, no packet and no tick allocates, locks or logs; only a play that comes to its end takes its
//! rows out of the patch.

mod mixing;
pub mod moving;
mod passing;
mod recording;
mod ticking;
mod wiring;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use self::mixing::Mix;
use self::moving::{Home, Notice, Parcel, Seat, Whereabouts};
use self::recording::Recorder;
use super::crowd::{Crowd, Shard};
use super::dtls::Certificate;
use super::ear::Ear;
use super::endpoint::Endpoint;
use super::ice::{Lapse, REPLY, Verdict};
use super::lull::Lull;
use super::patch::Patch;
use super::player::Player;
use super::slots::Slots;
use super::tap::Tap;
use super::{Command, Counts, Event, Plan, Prompt, Quality, RecordingId, SocketId, Source, Tone};
use crate::audio::dtmf::Detector;
use crate::audio::tone;
use crate::base::{LegId, Mint, Mono, PlayId};
use crate::rtp::stun;

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

    /// What came `from` somewhere for a leg that moved to another shard goes after it, to that
    /// bay's [`Bay::handle_stray`].
    fn forward(&mut self, shard: Shard, leg: LegId, from: SocketAddr, bytes: &[u8]);
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
    shard: Shard,
    mint: Mint,
    events: VecDeque<Event>,
    /// For other shards.
    parcels: VecDeque<(Shard, Parcel)>,
    /// Number of the next tick. Ticks count from the clock's zero, and so do timestamps: a leg finds
    /// them the same in every bay.
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
    /// Nothing of `due` is before this.
    next_due: Mono,
    patch: Patch,
    /// Legs for which sound is made each tick.
    ticking: Vec<usize>,
    /// Players that came to their end in this tick.
    over: Vec<usize>,
    recorders: BTreeMap<RecordingId, Recorder>,
    kit: Kit,
    /// Whose addresses and user fragments those of the shared port are, by seat.
    crowd: Crowd,
    /// The legs of the shared port, wherever they live.
    seats: Slots<Seat>,
    seats_of: BTreeMap<LegId, usize>,
    /// What was commanded of legs that are still on their way.
    awaited: BTreeMap<LegId, Vec<Command>>,
    /// Room for a packet that several hear.
    copy: Box<[u8; LONGEST]>,
}

/// What all shards share.
#[derive(Clone, Debug)]
pub struct Kit {
    pub tones: Arc<Tones>,
    /// Ours, for legs with DTLS.
    pub certificate: Certificate,
}

/// The call-progress tones, encoded once for all shards.
#[derive(Debug)]
pub struct Tones {
    ringback: Arc<[Arc<Prompt>]>,
    busy: Arc<[Arc<Prompt>]>,
}

/// No packet of audio is longer.
const LONGEST: usize = 2048;

/// A leg and its wires.
#[derive(Debug)]
struct Leg {
    endpoint: Endpoint,
    home: Home,
    hearing: Hearing,
    /// What `hearing` was made of.
    wired: Vec<Wired>,
    /// Who hears this leg alone.
    relays: Vec<usize>,
    /// What decodes it, by rate, while anything has to be.
    ears: [Option<Box<Ear>>; 2],
    /// Listens for keys in the sound of a peer that agreed to send them no other way.
    detector: Option<Box<Detector>>,
    /// The tick before which a packet of events last came.
    keyed: u64,
    /// By rate; and the mixes and recorders that hear each.
    taps: [Option<usize>; 2],
    tapped_by: [u32; 2],
    /// What it hears while the one it hears is silent, and it cannot be told of that.
    lull: Lull,
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

impl Wired {
    const fn leg(self) -> Option<usize> {
        match self {
            Self::Leg(slot) => Some(slot),
            Self::Player(_) | Self::Tone(_) => None,
        }
    }
}

#[derive(Debug)]
enum Hearing {
    Nothing,
    /// One other leg: its packets are relayed as they come.
    Leg,
    Player(usize),
    Tone(Player),
    Mix(Mix),
}

/// How much there is of each thing in a bay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub legs: usize,
    /// Legs of the shared port, wherever they live.
    pub seats: usize,
    /// Legs on their way from another shard.
    pub awaited: usize,
    pub plays: usize,
    pub recordings: usize,
    /// Of legs that are mixed or recorded, one for each rate.
    pub taps: usize,
    /// Listeners in the patch.
    pub listeners: usize,
    /// Of legs whose sound is needed as such; mixing and recording G.711 takes none.
    pub decoders: usize,
    pub encoders: usize,
}

/// What a leg's sound at one rate is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    /// A mix or a recording.
    tap: Option<usize>,
    /// Keys in it.
    keys: bool,
    /// A listener of another codec.
    relay: bool,
}

impl Need {
    const NONE: Self = Self { tap: None, keys: false, relay: false };
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
    pub fn new(shard: Shard, mut mint: Mint, kit: Kit) -> Self {
        let crowd = Crowd::new(&mut mint);
        Self {
            shard,
            mint,
            events: VecDeque::with_capacity(256),
            parcels: VecDeque::with_capacity(64),
            tick: 0,
            legs: Slots::default(),
            players: Slots::default(),
            taps: Slots::default(),
            leg_slots: BTreeMap::new(),
            player_slots: BTreeMap::new(),
            socket_slots: vec![],
            due: vec![],
            next_due: NEVER,
            patch: Patch::default(),
            ticking: vec![],
            over: vec![],
            recorders: BTreeMap::new(),
            kit,
            crowd,
            seats: Slots::default(),
            seats_of: BTreeMap::new(),
            awaited: BTreeMap::new(),
            copy: Box::new([0; LONGEST]),
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
        self.rouse(now);
        let Some(command) = self.put_by(command) else { return };
        match command {
            Command::Open { leg, plan } => self.open(now, leg, plan, wire),
            Command::Amend { leg, plan } => self.amend(now, leg, plan, wire),
            Command::Close { leg } => self.close(now, leg, wire),
            Command::Move { leg, to } => self.send_away(leg, to),
            Command::Await { leg } => self.expect(leg),
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
            Command::Record { recording, leg } => self.record(recording, leg),
            Command::Mask { recording, masking } => {
                if let Some(recorder) = self.recorders.get_mut(&recording) {
                    recorder.mask(masking);
                }
            }
            Command::Finish { recording } => self.finish_recording(recording, tape),
        }
    }

    /// A datagram of `length` octets came on a socket. `buffer` is rewritten in place on its way
    /// out; what lies behind the datagram is room for protecting it.
    #[expect(clippy::too_many_arguments, reason = "a datagram's circumstances")]
    pub fn handle_packet(
        &mut self,
        now: Mono,
        socket: SocketId,
        channel: Channel,
        from: SocketAddr,
        buffer: &mut [u8],
        length: usize,
        wire: &mut impl Wire,
    ) {
        let Some(bytes) = buffer.get(..length) else { return };
        let slot = if socket.is_shared() {
            match self.find(from, bytes) {
                Some(Seat { at: Whereabouts::Here(slot), .. }) => Some(slot),
                Some(Seat { leg, at: Whereabouts::With(shard) }) => {
                    return wire.forward(shard, leg, from, bytes);
                }
                None => None,
            }
        } else {
            // A socket at rest: the last packets of a leg that is over.
            self.socket_slots.get(socket.0 as usize).copied().flatten()
        };
        if let Some(slot) = slot {
            self.take(now, slot, channel, from, buffer, length, wire);
        }
    }

    /// Whom a datagram on the shared port is for.
    fn find(&self, from: SocketAddr, bytes: &[u8]) -> Option<Seat> {
        let seat = match stun::kind_of(bytes) {
            Some(stun::Kind::Stun) => self.crowd.find_by_ufrag(&stun::parse(bytes).ok()?),
            _ => self.crowd.find(from),
        };
        Some(self.seats[seat?])
    }

    /// A datagram came for a leg.
    #[expect(clippy::too_many_arguments, reason = "a datagram's circumstances")]
    fn take(
        &mut self,
        now: Mono,
        slot: usize,
        channel: Channel,
        from: SocketAddr,
        buffer: &mut [u8],
        length: usize,
        wire: &mut impl Wire,
    ) {
        let Some(bytes) = buffer.get_mut(..length) else { return };
        let Some(kind) = stun::kind_of(bytes) else { return self.legs[slot].endpoint.drop_one() };
        match kind {
            stun::Kind::Stun => self.check(now, slot, from, bytes, wire),
            stun::Kind::Dtls => {
                self.legs[slot].endpoint.shake(now, from, bytes);
                self.follow(slot, wire);
            }
            stun::Kind::Rtcp => self.legs[slot].endpoint.receive_report(now, from, bytes),
            stun::Kind::Rtp if channel == Channel::Rtcp => self.legs[slot].endpoint.drop_one(),
            stun::Kind::Rtp => {
                if let Some(incoming) = self.legs[slot].endpoint.receive(now, from, bytes) {
                    // Later only, as a rule: what was due is looked at again when it is.
                    self.due_by(slot, self.legs[slot].endpoint.poll_timeout());
                    if incoming.recoded {
                        self.recode(slot);
                    }
                    self.hear(now, slot, &incoming, buffer, wire);
                }
            }
        }
    }

    /// A connectivity check came for a leg.
    fn check(&mut self, now: Mono, slot: usize, from: SocketAddr, bytes: &[u8], wire: &mut impl Wire) {
        let endpoint = &mut self.legs[slot].endpoint;
        let mut room = [0; REPLY];
        let message = stun::parse(bytes);
        let outcome = message.ok().and_then(|message| endpoint.check(now, from, &message, &mut room));
        // Nobody checks the path of a leg on a socket of its own.
        let Some(outcome) = outcome else { return endpoint.drop_one() };
        if let Some(reply) = outcome.reply {
            wire.send(endpoint.plan().socket, Channel::Rtp, from, reply);
        }
        if let Some(forgotten) = outcome.forgotten {
            self.notify(slot, Notice::Unlearn(forgotten));
        }
        if let Some(retired) = outcome.retired {
            self.notify(slot, Notice::Retire(retired));
        }
        if outcome.verdict == Verdict::Passed {
            self.notify(slot, Notice::Learn(from));
        }
        self.follow(slot, wire);
    }

    /// Path or keys of a leg may have changed.
    fn follow(&mut self, slot: usize, wire: &mut impl Wire) {
        let endpoint = &mut self.legs[slot].endpoint;
        while let Some(event) = endpoint.poll_change(wire) {
            self.events.push_back(event);
        }
        let due = endpoint.poll_timeout();
        self.due_by(slot, due);
    }

    /// The leg has something to do by then at the latest.
    fn due_by(&mut self, slot: usize, at: Mono) {
        self.due[slot] = self.due[slot].min(at);
        self.next_due = self.next_due.min(at);
    }

    /// Undoes what time undid on a leg's checked path.
    fn lapse(&mut self, now: Mono, slot: usize, wire: &mut impl Wire) {
        while let Some(lapse) = self.legs[slot].endpoint.lapse(now) {
            let forgotten = match lapse {
                Lapse::Pair { forgotten, .. } => Some(forgotten),
                Lapse::Lost { forgotten } => {
                    self.events.push_back(Event::Lost { leg: self.legs[slot].endpoint.leg() });
                    forgotten
                }
            };
            if let Some(forgotten) = forgotten {
                self.notify(slot, Notice::Unlearn(forgotten));
            }
        }
        self.follow(slot, wire);
    }

    /// Does what is due: frames, reports, silence.
    pub fn handle_timeout(&mut self, now: Mono, wire: &mut impl Wire, tape: &mut impl Tape) {
        let last = ticks(now);
        self.rouse(now);
        self.tick = self.tick.max(last.saturating_sub(RECORD_UP));
        while self.tick <= last {
            let pace = if last - self.tick > CATCH_UP { Pace::RecordOnly } else { Pace::Full };
            self.frame(self.tick, pace, wire, tape);
            self.tick += 1;
        }
        if self.next_due > now {
            return;
        }
        let clock = clock(now);
        for slot in 0..self.due.len() {
            if self.due[slot] <= now {
                self.lapse(now, slot, wire);
                let listening = self.listening(slot);
                let endpoint = &mut self.legs[slot].endpoint;
                let told = endpoint.handle_timeout(now, clock, self.mint.u32(), listening, wire);
                self.events.extend(told.into_iter().flatten());
                self.due[slot] = endpoint.poll_timeout();
            }
        }
        self.next_due = self.due.iter().copied().min().unwrap_or(NEVER);
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Bay::handle_timeout`] wants to be called next: at each tick while sound is made or
    /// recorded, else at the first tick at which a leg has something to do.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let tick = if !self.rests() {
            self.tick
        } else if self.next_due == NEVER {
            return None;
        } else {
            ticks(self.next_due + (TICK - Duration::from_nanos(1))).max(self.tick)
        };
        Some(Mono::from_nanos(tick.saturating_mul(TICK.as_nanos() as u64)))
    }

    /// A leg's packets so far.
    pub fn counts(&self, leg: LegId) -> Option<Counts> {
        self.leg_slots.get(&leg).map(|slot| self.legs[*slot].endpoint.counts())
    }

    /// How a leg's audio fared since that was told last.
    pub fn quality(&self, leg: LegId) -> Option<Quality> {
        self.leg_slots.get(&leg).map(|slot| self.legs[*slot].endpoint.quality())
    }

    pub fn load(&self) -> Load {
        Load {
            legs: self.legs.len(),
            seats: self.seats.len(),
            awaited: self.awaited.len(),
            plays: self.players.len(),
            recordings: self.recorders.len(),
            taps: self.taps.len(),
            listeners: self.patch.len(),
            decoders: self.legs.iter().flat_map(|leg| &leg.ears).flatten().count(),
            encoders: self.legs.iter().filter(|leg| leg.endpoint.is_encoding()).count(),
        }
    }

    /// Nothing needs a tick: what passes leaves as it comes.
    fn rests(&self) -> bool {
        self.ticking.is_empty() && self.recorders.is_empty()
    }

    /// No tick is owed for the time in which none was needed: the next one is to come.
    fn rouse(&mut self, now: Mono) {
        if self.rests() {
            self.tick = ticks(now) + 1;
        }
    }

    fn open(&mut self, now: Mono, id: LegId, plan: Plan, wire: &mut impl Wire) {
        if self.leg_slots.contains_key(&id) {
            return self.amend(now, id, plan, wire);
        }
        let endpoint = Endpoint::new(now, clock(now), id, plan, &self.kit.certificate, &mut self.mint);
        let slot = self.settle(endpoint, None);
        self.enter_port(slot);
        self.join_in(slot, wire);
    }

    /// A leg has a place of its own from now on, but nothing to do with others yet.
    fn settle(&mut self, endpoint: Endpoint, detector: Option<Box<Detector>>) -> usize {
        let (id, due) = (endpoint.leg(), endpoint.poll_timeout());
        let slot = self.legs.insert(Leg {
            endpoint,
            home: Home::Own,
            hearing: Hearing::Nothing,
            wired: vec![],
            relays: vec![],
            ears: [None, None],
            detector,
            keyed: 0,
            taps: [None; 2],
            tapped_by: [0; 2],
            lull: Lull::new(self.mint.u32()),
            ticking: Ticking::Unlisted,
        });
        if self.due.len() <= slot {
            self.due.resize(slot + 1, NEVER);
        }
        self.due[slot] = NEVER;
        self.due_by(slot, due);
        self.ticking.reserve(self.legs.len());
        self.leg_slots.insert(id, slot);
        slot
    }

    /// It is heard and recorded, and hears, as was said before it was there.
    fn join_in(&mut self, slot: usize, wire: &mut impl Wire) {
        let id = self.legs[slot].endpoint.leg();
        self.legs[slot].listen();
        self.be_recorded(slot);
        self.rewire(id);
        self.rewire_listeners(Source::Leg(id));
        self.follow(slot, wire);
    }

    fn amend(&mut self, now: Mono, id: LegId, plan: Plan, wire: &mut impl Wire) {
        let Some(&slot) = self.leg_slots.get(&id) else { return };
        let before = self.legs[slot].endpoint.plan();
        let (moved, recoded) = (before.socket != plan.socket, before.codec != plan.codec);
        let silenced = before.direction.receives() && !plan.direction.receives();
        if moved {
            self.leave_port(slot);
        }
        let retired = self.legs[slot].endpoint.amend(now, clock(now), plan, &self.kit.certificate);
        if let Some(retired) = retired {
            self.notify(slot, Notice::Retire(retired));
        }
        if moved {
            self.enter_port(slot);
        } else {
            self.register(slot);
        }
        self.legs[slot].listen();
        if recoded {
            self.recode(slot);
        }
        if silenced {
            self.end_noise(slot);
        }
        // Looked at in the next tick too: there may be something to tell.
        self.due_by(slot, now);
        self.follow(slot, wire);
    }

    fn close(&mut self, now: Mono, id: LegId, wire: &mut impl Wire) {
        if let Some(&slot) = self.leg_slots.get(&id) {
            self.leave_port(slot);
        }
        if let Some(mut leg) = self.part_with(id) {
            self.events.push_back(leg.endpoint.close(now, clock(now), wire));
        }
    }

    /// Takes a leg out: nobody here hears it any more, and it hears nobody.
    fn part_with(&mut self, id: LegId) -> Option<Leg> {
        self.patch.forget_listener(id);
        let listeners = self.patch.forget_source(Source::Leg(id));
        let slot = self.leg_slots.remove(&id)?;
        listeners.into_iter().for_each(|listener| self.rewire(listener));
        self.unhook(slot);
        self.follow_row(id);
        let leg = self.legs.remove(slot)?;
        for tap in leg.taps.into_iter().flatten() {
            self.taps.remove(tap);
        }
        self.ticking.retain(|s| *s != slot);
        self.due[slot] = NEVER;
        if self.legs.len() == 0 {
            self.next_due = NEVER;
        }
        Some(leg)
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
}

const NEVER: Mono = Mono::from_nanos(u64::MAX);

/// Whole ticks until then.
fn ticks(now: Mono) -> u64 {
    now.as_nanos() / TICK.as_nanos() as u64
}

/// Samples until then.
const fn clock(now: Mono) -> u64 {
    now.as_nanos() / 125_000
}

impl Default for Tones {
    fn default() -> Self {
        let tone = |cadence: tone::Cadence| Arc::from([Arc::new(Prompt::from_pcm(&cadence.period()))]);
        Self { ringback: tone(tone::RINGBACK), busy: tone(tone::BUSY) }
    }
}

impl Leg {
    /// Keys are looked for in the sound where no telephone-event was agreed.
    fn listen(&mut self) {
        let plan = self.endpoint.plan();
        if plan.events.is_some() || !plan.direction.receives() {
            self.detector = None;
        } else {
            self.detector.get_or_insert_default();
        }
    }

    fn needs_ticks(&self) -> bool {
        let made = !matches!(self.hearing, Hearing::Nothing | Hearing::Leg);
        made || self.lull.is_on() || self.endpoint.is_pressing()
    }
}
