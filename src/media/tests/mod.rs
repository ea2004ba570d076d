//! The whole bay, by virtual time: what comes in on which socket, and what every peer then hears.

mod allocation;
mod associations;
mod codecs;
mod hostile;
mod keys;
mod mixes;
mod moving;
mod peers;
mod phone;
mod recording;
mod relay;
mod reports;
mod security;
mod silence;
mod sound;
mod sounds;
mod webrtc;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::dtls::Certificate;
use super::*;
use crate::audio::g711;
use crate::base::{Codec, Mint, Mono, Rate};
use crate::rtp::dtmf::Report;
use crate::rtp::packet::{self, Header};

/// Counts the allocations of the thread that asks.
struct Counting;

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator does the work; counting touches nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

/// How often this thread allocated so far.
fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

const PAYLOAD_OF_EVENTS: u8 = 101;

const HERE: Shard = Shard::new(3).expect("there are more");
const SHARED: SocketId = SocketId::shared(HERE);

/// One packet to a peer.
#[derive(Clone, Debug, PartialEq)]
struct Heard {
    /// Milliseconds since the beginning.
    at: u64,
    to: SocketAddr,
    header: Header,
    payload: Vec<u8>,
}

/// One datagram on its way to a peer.
#[derive(Clone, Debug)]
struct Datagram {
    at: u64,
    socket: SocketId,
    to: SocketAddr,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Air {
    now: Mono,
    /// On the ports of RTP.
    rtp: Vec<Datagram>,
    rtcp: Vec<(SocketId, SocketAddr, Vec<u8>)>,
    strays: Vec<(Shard, LegId, SocketAddr, Vec<u8>)>,
    /// Strays there ever were.
    forwarded: usize,
}

impl Wire for Air {
    fn send(&mut self, socket: SocketId, channel: Channel, to: SocketAddr, bytes: &[u8]) {
        let (at, bytes) = (self.now.as_nanos() / 1_000_000, bytes.to_vec());
        match channel {
            Channel::Rtcp => self.rtcp.push((socket, to, bytes)),
            Channel::Rtp => self.rtp.push(Datagram { at, socket, to, bytes }),
        }
    }

    fn forward(&mut self, shard: Shard, leg: LegId, from: SocketAddr, bytes: &[u8]) {
        self.forwarded += 1;
        self.strays.push((shard, leg, from, bytes.to_vec()));
    }
}

struct Reel<'a>(&'a mut BTreeMap<RecordingId, Vec<i16>>, &'a mut Vec<RecordingId>);

impl Tape for Reel<'_> {
    fn write(&mut self, recording: RecordingId, samples: &[i16]) {
        self.0.entry(recording).or_default().extend(samples);
    }

    fn finish(&mut self, recording: RecordingId) {
        self.1.push(recording);
    }
}

/// Where nobody listens, and nothing is kept: only how much went there.
#[derive(Default)]
struct Nowhere {
    packets: u64,
    octets: u64,
}

impl Wire for Nowhere {
    fn send(&mut self, _: SocketId, _: Channel, _: SocketAddr, bytes: &[u8]) {
        self.packets += 1;
        self.octets += bytes.len() as u64;
    }

    fn forward(&mut self, _: Shard, _: LegId, _: SocketAddr, bytes: &[u8]) {
        self.packets += 1;
        self.octets += bytes.len() as u64;
    }
}

impl Tape for Nowhere {
    fn write(&mut self, _: RecordingId, samples: &[i16]) {
        self.octets += 2 * samples.len() as u64;
    }

    fn finish(&mut self, _: RecordingId) {}
}

/// A bay, its peers and a clock. There may be other bays beside it.
struct Room {
    bay: Bay,
    others: BTreeMap<usize, Bay>,
    /// Parcels between bays, while they are held up.
    held_up: Option<VecDeque<(Shard, Parcel)>>,
    air: Air,
    tapes: BTreeMap<RecordingId, Vec<i16>>,
    finished: Vec<RecordingId>,
}

/// The peer of leg n signalled this address, and sends from it unless a test says otherwise.
fn peer(n: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8], 4000))
}

fn plan(n: u64, codec: Codec) -> Plan {
    Plan {
        socket: SocketId(n as u32),
        path: symmetric(peer(n)),
        keys: Keys::None,
        rtcp: Rtcp::Apart,
        metrics: Metrics::Unasked,
        codec,
        payload_type: codec.payload_type(),
        payload_type_in: codec.payload_type(),
        spares: [None; 2],
        events: events(codec, PAYLOAD_OF_EVENTS),
        noise: None,
        opus: (codec == Codec::Opus).then_some(Opus {
            redundancy: true,
            dtx: false,
            bitrate: 32_000,
            rate: Rate::Wide,
        }),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        ssrc: 0x5000 + n as u32,
    }
}

fn events(codec: Codec, payload_type: u8) -> Option<Events> {
    Some(Events { sent: payload_type, received: payload_type, clock: codec.clock(), aside: None })
}

fn symmetric(remote: SocketAddr) -> Path {
    Path::Symmetric { remote, remote_rtcp: SocketAddr::new(remote.ip(), remote.port() + 1) }
}

fn kit() -> Kit {
    static MADE: LazyLock<Kit> = LazyLock::new(|| Kit {
        tones: Arc::default(),
        certificate: Certificate::generate().expect("randomness"),
    });
    MADE.clone()
}

fn encode(codec: Codec, sample: i16) -> u8 {
    if codec == Codec::Pcmu { g711::ulaw_encode(sample) } else { g711::alaw_encode(sample) }
}

fn decode(codec: Codec, octet: u8) -> i16 {
    if codec == Codec::Pcmu { g711::ulaw_decode(octet) } else { g711::alaw_decode(octet) }
}

/// Packet `n` of a peer that sends 20 ms at a time.
fn talk(leg: u64, codec: Codec, n: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        marker: false,
        payload_type: codec.payload_type(),
        sequence: (n + 65_530) as u16,
        timestamp: n.wrapping_mul(160).wrapping_add(0xffff_f000),
        ssrc: 0x100 + leg as u32,
    };
    [&header.to_bytes()[..], payload].concat()
}

fn key(leg: u64, n: u32, began: u32, event: u8, duration: u16, end: bool) -> Vec<u8> {
    let mut bytes = talk(leg, Codec::Pcmu, n, &Report { event, end, volume: 10, duration }.to_bytes());
    bytes[1] = PAYLOAD_OF_EVENTS | u8::from(n == began) << 7;
    bytes[4..8].copy_from_slice(&began.wrapping_mul(160).wrapping_add(0xffff_f000).to_be_bytes());
    bytes
}

impl Room {
    fn new(legs: &[(u64, Codec)]) -> Self {
        let mut room = Self {
            bay: Bay::new(HERE, Mint::new([7; 32]), kit()),
            others: BTreeMap::new(),
            held_up: None,
            air: Air::default(),
            tapes: BTreeMap::new(),
            finished: vec![],
        };
        for (leg, codec) in legs {
            room.tell(Command::Open { leg: LegId(*leg), plan: plan(*leg, *codec) });
        }
        room
    }

    fn tell(&mut self, command: Command) {
        let mut reel = Reel(&mut self.tapes, &mut self.finished);
        self.bay.handle_command(self.air.now, command, &mut self.air, &mut reel);
        self.carry();
    }

    /// Another shard's bay is beside this one.
    fn with(mut self, shard: Shard) -> Self {
        let bay = Bay::new(shard, Mint::new([shard.number() as u8; 32]), kit());
        self.others.insert(shard.number(), bay);
        self
    }

    fn tell_at(&mut self, shard: Shard, command: Command) {
        let mut reel = Reel(&mut self.tapes, &mut self.finished);
        let bay = if shard == HERE { &mut self.bay } else { self.others.get_mut(&shard.number()).unwrap() };
        bay.handle_command(self.air.now, command, &mut self.air, &mut reel);
        self.carry();
    }

    /// What bays have for each other gets there.
    fn carry(&mut self) {
        loop {
            let posted = std::iter::once(&mut self.bay).chain(self.others.values_mut());
            let posted: Vec<_> = posted.flat_map(|bay| std::iter::from_fn(|| bay.poll_parcel())).collect();
            if let Some(held_up) = &mut self.held_up {
                held_up.extend(posted);
                return;
            }
            let strays = std::mem::take(&mut self.air.strays);
            if posted.is_empty() && strays.is_empty() {
                return;
            }
            for (to, parcel) in posted {
                self.hand_over(to, parcel);
            }
            for (to, leg, from, mut bytes) in strays {
                let length = bytes.len();
                bytes.resize(length + 64, 0);
                let bay = if to == HERE { &mut self.bay } else { self.others.get_mut(&to.number()).unwrap() };
                bay.handle_stray(self.air.now, leg, from, &mut bytes, length, &mut self.air);
            }
        }
    }

    fn hand_over(&mut self, to: Shard, parcel: Parcel) {
        let mut reel = Reel(&mut self.tapes, &mut self.finished);
        let bay = if to == HERE { &mut self.bay } else { self.others.get_mut(&to.number()).unwrap() };
        bay.handle_parcel(self.air.now, parcel, &mut self.air, &mut reel);
    }

    /// What was held up arrives after all.
    fn let_through(&mut self) {
        for (to, parcel) in self.held_up.take().into_iter().flatten() {
            self.hand_over(to, parcel);
        }
        self.carry();
    }

    fn open(&mut self, leg: u64, plan: Plan) {
        self.tell(Command::Open { leg: LegId(leg), plan });
    }

    fn amend(&mut self, leg: u64, plan: Plan) {
        self.tell(Command::Amend { leg: LegId(leg), plan });
    }

    fn patch(&mut self, listener: u64, sources: &[Source]) {
        self.tell(Command::Patch { listener: LegId(listener), sources: sources.to_vec() });
    }

    fn play(&mut self, play: u64, samples: &[&[i16]], repeat: Repeat) -> Source {
        let prompts = samples.iter().map(|s| Arc::new(Prompt::from_pcm(s))).collect();
        self.tell(Command::Play { play: PlayId(play), prompts, repeat });
        Source::Prompt(PlayId(play))
    }

    fn talking(codecs: [Codec; 2]) -> Self {
        let mut room = Self::new(&[(1, codecs[0]), (2, codecs[1])]);
        room.connect(1, 2);
        room
    }

    /// Two legs hear each other.
    fn connect(&mut self, a: u64, b: u64) {
        self.patch(a, &[Source::Leg(LegId(b))]);
        self.patch(b, &[Source::Leg(LegId(a))]);
    }

    fn come(&mut self, leg: u64, from: SocketAddr, bytes: &[u8]) {
        self.come_on(leg, Channel::Rtp, from, bytes);
    }

    fn come_on(&mut self, leg: u64, channel: Channel, from: SocketAddr, bytes: &[u8]) {
        self.come_by(SocketId(leg as u32), channel, from, bytes);
    }

    fn come_by(&mut self, socket: SocketId, channel: Channel, from: SocketAddr, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let length = bytes.len();
        bytes.resize(length + 64, 0);
        // A socket is one bay's, a number among others may be several's: none is used twice.
        let here = socket.shared_by().is_none_or(|shard| shard == HERE);
        let others = self.others.values_mut().filter(|_| !socket.is_shared());
        for bay in here.then_some(&mut self.bay).into_iter().chain(others) {
            bay.handle_packet(self.air.now, socket, channel, from, &mut bytes, length, &mut self.air);
        }
        self.carry();
    }

    /// Throws all of this at a socket. Gives how often that allocated, and what went out for it.
    fn flood(&mut self, socket: SocketId, from: SocketAddr, packets: &[Vec<u8>]) -> (u64, u64) {
        let (mut nowhere, mut buffer) = (Nowhere::default(), [0; 2048]);
        let before = allocations();
        for bytes in packets {
            buffer[..bytes.len()].copy_from_slice(bytes);
            let (now, length) = (self.air.now, bytes.len());
            self.bay.handle_packet(now, socket, Channel::Rtp, from, &mut buffer, length, &mut nowhere);
        }
        (allocations() - before, nowhere.packets)
    }

    fn wait(&mut self, span: Duration) {
        self.air.now += span;
    }

    fn tick(&mut self) {
        let mut reel = Reel(&mut self.tapes, &mut self.finished);
        for bay in std::iter::once(&mut self.bay).chain(self.others.values_mut()) {
            bay.handle_timeout(self.air.now, &mut self.air, &mut reel);
        }
        self.carry();
    }

    /// Lets time pass as the shell does: waking when asked.
    fn run(&mut self, millis: u64) {
        let until = self.air.now + Duration::from_millis(millis);
        let next = |room: &Self| {
            let bays = std::iter::once(&room.bay).chain(room.others.values());
            bays.filter_map(Bay::poll_timeout).min()
        };
        while let Some(at) = next(self).filter(|at| *at <= until) {
            self.air.now = self.air.now.max(at);
            self.tick();
        }
        self.air.now = until;
    }

    /// What the peer of a leg heard since last asked, of what goes by a socket of the leg's own and
    /// without protection.
    fn heard(&mut self, leg: u64) -> Vec<Heard> {
        self.sent(|datagram| datagram.socket == SocketId(leg as u32))
            .into_iter()
            .map(|Datagram { at, to, bytes, .. }| {
                let (header, payload) = packet::parse(&bytes).expect("what we send is RTP");
                Heard { at, to, header, payload: bytes[payload].to_vec() }
            })
            .collect()
    }

    /// Takes what went out and is meant.
    fn sent(&mut self, is_meant: impl Fn(&Datagram) -> bool) -> Vec<Datagram> {
        self.air.rtp.extract_if(.., |datagram| is_meant(datagram)).collect()
    }

    fn come_shared(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.come_by(SHARED, Channel::Rtp, from, bytes);
    }

    fn told(&mut self) -> Vec<Event> {
        let bays = std::iter::once(&mut self.bay).chain(self.others.values_mut());
        bays.flat_map(|bay| std::iter::from_fn(|| bay.poll_event())).collect()
    }

    /// What was told, except how legs fared and who gave no sign of life.
    fn events(&mut self) -> Vec<Event> {
        let told = self.told().into_iter();
        told.filter(|event| !matches!(event, Event::Quality { .. } | Event::Absent { .. })).collect()
    }

    /// For how long this leg's peer was last told to be absent, and what is agreed with it; all else
    /// is forgotten.
    fn absence(&mut self, leg: u64) -> Option<(Duration, Direction)> {
        let told = self.told().into_iter().rev();
        let mut absences = told.filter_map(|event| match event {
            Event::Absent { leg: of, since, direction } if of == LegId(leg) => Some((since, direction)),
            _ => None,
        });
        absences.next()
    }

    /// How this leg fared, report by report; all else is forgotten.
    fn fares(&mut self, leg: u64) -> Vec<Quality> {
        let told = std::iter::from_fn(|| self.bay.poll_event());
        told.filter_map(|event| match event {
            Event::Quality { leg: of, quality } if of == LegId(leg) => Some(quality),
            _ => None,
        })
        .collect()
    }

    fn keys(&mut self) -> String {
        let key = |event| if let Event::Digit { key, .. } = event { key.as_char() } else { '!' };
        self.events().into_iter().map(key).collect()
    }

    fn counts(&self, leg: u64) -> Counts {
        self.bay.counts(LegId(leg)).expect("the leg is open")
    }
}

/// One SSRC, no gap and no repetition in the sequence, no timestamp before the one before.
fn assert_continuous(heard: &[Heard]) {
    for pair in heard.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        assert_eq!(b.header.ssrc, a.header.ssrc);
        assert_eq!(b.header.sequence, a.header.sequence.wrapping_add(1), "{a:?} {b:?}");
        let step = crate::rtp::ahead(a.header.timestamp, b.header.timestamp);
        assert!(step >= a.payload.len() as i32, "{step} after {a:?}");
    }
}
