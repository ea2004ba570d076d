//! The whole bay, by virtual time: what comes in on which socket, and what every peer then hears.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::audio::g711;
use crate::base::{Mint, Mono};
use crate::rtp::dtmf::Report;
use crate::rtp::packet::{self, Header};
use crate::rtp::rtcp::{self, Block, Compound, Item, Sending};

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

const PAYLOAD_OF_EVENTS: u8 = 101;

/// One packet to a peer.
#[derive(Clone, Debug, PartialEq)]
struct Heard {
    /// Milliseconds since the beginning.
    at: u64,
    to: SocketAddr,
    header: Header,
    payload: Vec<u8>,
}

#[derive(Default)]
struct Air {
    now: Mono,
    rtp: Vec<(SocketId, Heard)>,
    rtcp: Vec<(SocketId, SocketAddr, Vec<u8>)>,
}

impl Wire for Air {
    fn send(&mut self, socket: SocketId, channel: Channel, to: SocketAddr, bytes: &[u8]) {
        match channel {
            Channel::Rtcp => self.rtcp.push((socket, to, bytes.to_vec())),
            Channel::Rtp => {
                let (header, payload) = packet::parse(bytes).expect("what we send is RTP");
                let at = self.now.as_nanos() / 1_000_000;
                self.rtp.push((socket, Heard { at, to, header, payload: bytes[payload].to_vec() }));
            }
        }
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

/// A bay, its peers and a clock.
struct Room {
    bay: Bay,
    air: Air,
    tapes: BTreeMap<RecordingId, Vec<i16>>,
    finished: Vec<RecordingId>,
}

/// The peer of leg n signalled this address, and sends from it unless a test says otherwise.
fn peer(n: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8], 4000))
}

fn plan(n: u64, law: Law) -> Plan {
    Plan {
        socket: SocketId(n as u32),
        remote: peer(n),
        remote_rtcp: SocketAddr::from(([10, 0, 0, n as u8], 4001)),
        law,
        payload_type: payload_type(law),
        events: Some(PAYLOAD_OF_EVENTS),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        ssrc: 0x5000 + n as u32,
    }
}

fn payload_type(law: Law) -> u8 {
    match law {
        Law::Mu => 0,
        Law::A => 8,
    }
}

/// Packet `n` of a peer that sends 20 ms at a time.
fn talk(leg: u64, law: Law, n: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        marker: false,
        payload_type: payload_type(law),
        sequence: (n + 65_530) as u16,
        timestamp: n.wrapping_mul(160).wrapping_add(0xffff_f000),
        ssrc: 0x100 + leg as u32,
    };
    [&header.to_bytes()[..], payload].concat()
}

fn key(leg: u64, n: u32, began: u32, event: u8, duration: u16, end: bool) -> Vec<u8> {
    let mut bytes = talk(leg, Law::Mu, n, &Report { event, end, volume: 10, duration }.to_bytes());
    bytes[1] = PAYLOAD_OF_EVENTS | u8::from(n == began) << 7;
    bytes[4..8].copy_from_slice(&began.wrapping_mul(160).wrapping_add(0xffff_f000).to_be_bytes());
    bytes
}

impl Room {
    fn new(legs: &[(u64, Law)]) -> Self {
        let mut room = Self {
            bay: Bay::new(Mint::new([7; 32])),
            air: Air::default(),
            tapes: BTreeMap::new(),
            finished: vec![],
        };
        for (leg, law) in legs {
            room.tell(Command::Open { leg: LegId(*leg), plan: plan(*leg, *law) });
        }
        room
    }

    fn tell(&mut self, command: Command) {
        let mut reel = Reel(&mut self.tapes, &mut self.finished);
        self.bay.handle_command(self.air.now, command, &mut self.air, &mut reel);
    }

    fn patch(&mut self, listener: u64, sources: &[Source]) {
        self.tell(Command::Patch { listener: LegId(listener), sources: sources.to_vec() });
    }

    fn play(&mut self, play: u64, samples: &[&[i16]], repeat: Repeat) -> Source {
        let prompts = samples.iter().map(|s| Arc::new(Prompt::from_pcm(s))).collect();
        self.tell(Command::Play { play: PlayId(play), prompts, repeat });
        Source::Prompt(PlayId(play))
    }

    fn talking(laws: [Law; 2]) -> Self {
        let mut room = Self::new(&[(1, laws[0]), (2, laws[1])]);
        room.patch(1, &[Source::Leg(LegId(2))]);
        room.patch(2, &[Source::Leg(LegId(1))]);
        room
    }

    fn come(&mut self, leg: u64, from: SocketAddr, bytes: &[u8]) {
        self.come_on(leg, Channel::Rtp, from, bytes);
    }

    fn come_on(&mut self, leg: u64, channel: Channel, from: SocketAddr, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let socket = SocketId(leg as u32);
        self.bay.handle_packet(self.air.now, socket, channel, from, &mut bytes, &mut self.air);
    }

    fn wait(&mut self, span: Duration) {
        self.air.now += span;
    }

    fn tick(&mut self) {
        let mut reel = Reel(&mut self.tapes, &mut self.finished);
        self.bay.handle_timeout(self.air.now, &mut self.air, &mut reel);
    }

    /// Lets time pass as the shell does: waking when asked.
    fn run(&mut self, millis: u64) {
        let until = self.air.now + Duration::from_millis(millis);
        while let Some(at) = self.bay.poll_timeout().filter(|at| *at <= until) {
            self.air.now = self.air.now.max(at);
            self.tick();
        }
        self.air.now = until;
    }

    /// What the peer of a leg heard since last asked.
    fn heard(&mut self, leg: u64) -> Vec<Heard> {
        let (theirs, rest) = std::mem::take(&mut self.air.rtp)
            .into_iter()
            .partition(|(socket, _)| *socket == SocketId(leg as u32));
        self.air.rtp = rest;
        theirs.into_iter().map(|(_, heard)| heard).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.bay.poll_event()).collect()
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

#[test]
fn talk_of_the_same_law_goes_on_at_once_and_unchanged() {
    for law in [Law::Mu, Law::A] {
        let mut room = Room::talking([law, law]);
        for n in 0..50 {
            room.come(1, peer(1), &talk(1, law, n, &[n as u8; 160]));
            let heard = room.heard(2);
            assert_eq!(heard.len(), 1);
            assert_eq!(heard[0].to, peer(2));
            assert_eq!(heard[0].header.payload_type, payload_type(law));
            assert_eq!(heard[0].header.ssrc, 0x5002);
            assert_eq!(heard[0].header.marker, n == 0);
            assert_eq!(heard[0].payload, [n as u8; 160]);
            room.run(20);
        }
        assert_eq!(room.heard(1), []);
    }
}

#[test]
fn talk_of_the_other_law_is_translated_by_the_tables() {
    let octets: Vec<u8> = (0..=255).collect();
    for (from, to, table) in [
        (Law::Mu, Law::A, g711::ulaw_to_alaw as fn(u8) -> u8),
        (Law::A, Law::Mu, g711::alaw_to_ulaw as fn(u8) -> u8),
    ] {
        let mut room = Room::talking([from, to]);
        room.come(1, peer(1), &talk(1, from, 0, &octets));
        let heard = room.heard(2);
        assert_eq!(heard[0].header.payload_type, payload_type(to));
        assert_eq!(heard[0].payload, octets.iter().map(|o| table(*o)).collect::<Vec<_>>());
    }
}

#[test]
fn one_talker_is_heard_by_listeners_of_both_laws() {
    let mut room = Room::new(&[(1, Law::Mu), (2, Law::A), (3, Law::Mu), (4, Law::A)]);
    for listener in [2, 3, 4] {
        room.patch(listener, &[Source::Leg(LegId(1))]);
    }
    room.come(1, peer(1), &talk(1, Law::Mu, 0, &[0x12; 160]));
    let heard = [2, 3, 4].map(|leg| room.heard(leg)[0].payload[7]);
    assert_eq!(heard, [g711::ulaw_to_alaw(0x12), 0x12, g711::ulaw_to_alaw(0x12)]);
}

#[test]
fn extension_sources_and_padding_do_not_go_on() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let mut bytes = talk(1, Law::Mu, 0, &[0, 0, 0, 9, 0xbe, 0xde, 0, 1, 1, 1, 1, 1, 55, 56, 0, 2]);
    bytes[0] = 0xb1;
    room.come(1, peer(1), &bytes);
    assert_eq!(room.heard(2)[0].payload, [55, 56]);
}

#[test]
fn loss_and_reordering_stay_visible_to_the_listener() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    for n in [0, 1, 4, 3, 5, 5] {
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[n as u8; 160]));
    }
    let heard = room.heard(2);
    let (first, start) = (heard[0].header.sequence, heard[0].header.timestamp);
    let steps: Vec<_> = heard
        .iter()
        .map(|h| (h.header.sequence.wrapping_sub(first), h.header.timestamp.wrapping_sub(start) / 160))
        .collect();
    assert_eq!(steps, [(0, 0), (1, 1), (4, 4), (3, 3), (5, 5)]);
    assert_eq!(room.counts(1), Counts { received: 6, sent: 0, lost: 1, dropped: 0 });
}

#[test]
fn prompt_music_talk_and_hold_are_one_stream() {
    let mut room = Room::new(&[(1, Law::A), (2, Law::Mu)]);
    let prompt = room.play(1, &[&[1000; 800]], Repeat::Once);
    let music = room.play(2, &[&[2000; 700]], Repeat::Forever);
    room.patch(1, &[prompt]);
    room.run(200);
    assert_eq!(room.events(), [Event::Played { play: PlayId(1) }]);
    room.patch(1, &[music]);
    room.run(205);
    room.patch(1, &[Source::Leg(LegId(2))]);
    for n in 0..10 {
        room.come(2, peer(2), &talk(2, Law::Mu, n, &[7; 160]));
        room.run(20);
    }
    // A sender with packets of another length and another clock.
    room.patch(1, &[music]);
    room.run(200);
    room.patch(1, &[Source::Leg(LegId(2))]);
    for n in 20..25 {
        room.come(2, peer(2), &talk(2, Law::Mu, 2 * n, &[7; 320]));
        room.run(40);
    }
    room.patch(1, &[Source::Tone(Tone::Ringback)]);
    room.run(100);
    room.patch(1, &[]);
    room.run(500);
    room.patch(1, &[Source::Tone(Tone::Busy)]);
    room.run(100);

    let mut heard = room.heard(1);
    // The sender left out every other sequence number: that is loss, and shown as such.
    let mut shift = 0;
    for n in 1..heard.len() {
        let before = heard[n - 1].header.sequence;
        let step = heard[n].header.sequence.wrapping_sub(shift).wrapping_sub(before);
        if heard[n].payload.len() == 320 && step == 2 {
            shift += 1;
        }
        heard[n].header.sequence = heard[n].header.sequence.wrapping_sub(shift);
    }
    assert_continuous(&heard);
    let marked: Vec<u64> = heard.iter().filter(|h| h.header.marker).map(|h| h.at).collect();
    assert_eq!(marked, [20, 220, 405, 620, 805, 1020, 1620]);
    // The timestamp keeps to the clock within what one patch may cost each time.
    let (first, last) = (&heard[0], heard.last().unwrap());
    let told = last.header.timestamp.wrapping_sub(first.header.timestamp) / 8;
    let passed = (last.at - first.at) as u32;
    assert!((passed..=passed + 80).contains(&told), "{told} {passed}");
}

#[test]
fn a_packet_goes_every_twenty_milliseconds_and_says_so() {
    for (ptime_ms, packets, octets) in
        [(10, 60, 80), (20, 30, 160), (30, 20, 240), (40, 15, 320), (60, 10, 480)]
    {
        let mut room = Room::new(&[]);
        room.tell(Command::Open { leg: LegId(1), plan: Plan { ptime_ms, ..plan(1, Law::Mu) } });
        let samples: Vec<i16> = (0..4800).map(|n| n * 6).collect();
        let prompt = room.play(1, &[&samples[..1000], &samples[1000..]], Repeat::Once);
        room.patch(1, &[prompt]);
        room.run(700);
        let heard = room.heard(1);
        assert_continuous(&heard);
        assert!(heard.windows(2).all(|p| {
            p[1].header.timestamp.wrapping_sub(p[0].header.timestamp) == u32::from(ptime_ms) * 8
        }));
        assert!(heard.iter().all(|h| h.payload.len() == octets));
        assert_eq!(heard.len(), packets, "{ptime_ms}");
        let all: Vec<u8> = heard.into_iter().flat_map(|h| h.payload).collect();
        assert_eq!(all, samples.iter().map(|s| g711::ulaw_encode(*s)).collect::<Vec<_>>());
    }
}

#[test]
fn a_prompt_that_ends_within_a_packet_is_filled_up_with_silence() {
    let mut room = Room::new(&[]);
    room.tell(Command::Open { leg: LegId(1), plan: Plan { ptime_ms: 60, ..plan(1, Law::A) } });
    let prompt = room.play(1, &[&[5000; 500]], Repeat::Once);
    room.patch(1, &[prompt]);
    room.run(300);
    let heard = room.heard(1);
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[1].payload[..20], [g711::alaw_encode(5000); 20]);
    assert_eq!(heard[1].payload[20..], [g711::ALAW_SILENCE; 460]);
    assert_eq!(room.events(), [Event::Played { play: PlayId(1) }]);
}

#[test]
fn late_ticks_catch_up_a_little_and_never_burst() {
    let mut room = Room::new(&[(1, Law::Mu)]);
    let music = room.play(1, &[&[1; 16_000]], Repeat::Forever);
    room.patch(1, &[music]);
    room.run(100);
    let before = room.heard(1);
    assert_eq!(before.len(), 5);

    room.wait(Duration::from_millis(45));
    room.tick();
    let late = room.heard(1);
    assert_eq!(late.len(), 2);

    room.wait(Duration::from_secs(3600));
    room.tick();
    let absent = room.heard(1);
    assert_eq!(absent.len(), 4);
    let gap = absent[0].header.timestamp.wrapping_sub(late[1].header.timestamp);
    assert!((3_599 * 8000..3_601 * 8000).contains(&gap), "{gap}");
    assert!(absent[0].header.marker && !absent[1].header.marker);

    // A tick called too often does nothing.
    room.tick();
    room.tick();
    assert_eq!(room.heard(1), []);
    room.run(20);
    let after = room.heard(1);
    assert_eq!(after.len(), 1);
    assert_continuous(&[before, late, absent, after].concat());
}

#[test]
fn nothing_to_hear_is_nothing_sent() {
    let mut room = Room::new(&[(1, Law::Mu)]);
    let empty = room.play(1, &[&[], &[]], Repeat::Forever);
    let ended = room.play(2, &[], Repeat::Once);
    for sources in [&[][..], &[Source::Leg(LegId(9))], &[empty], &[Source::Prompt(PlayId(77))], &[ended]] {
        room.patch(1, sources);
        room.run(900);
        assert_eq!(room.heard(1), [], "{sources:?}");
    }
    assert_eq!(room.events(), [Event::Played { play: PlayId(2) }]);
}

#[test]
fn a_play_stands_still_while_nobody_listens() {
    let mut room = Room::new(&[(1, Law::Mu)]);
    let samples: Vec<i16> = (0..1600).map(|n| n * 20).collect();
    let prompt = room.play(1, &[&samples], Repeat::Once);
    room.run(500);
    room.patch(1, &[prompt]);
    room.run(100);
    room.patch(1, &[]);
    room.run(500);
    room.patch(1, &[prompt]);
    room.run(500);
    let all: Vec<u8> = room.heard(1).into_iter().flat_map(|h| h.payload).collect();
    assert_eq!(all, samples.iter().map(|s| g711::ulaw_encode(*s)).collect::<Vec<_>>());
}

#[test]
fn two_who_hear_the_same_play_hear_the_same_of_it() {
    let mut room = Room::new(&[(1, Law::Mu), (2, Law::A)]);
    let samples: Vec<i16> = (0..1600).map(|n| n * 20).collect();
    let prompt = room.play(1, &[&samples], Repeat::Once);
    room.patch(1, &[prompt]);
    room.patch(2, &[prompt]);
    room.run(500);
    for (leg, law) in [(1, Law::Mu), (2, Law::A)] {
        let all: Vec<u8> = room.heard(leg).into_iter().flat_map(|h| h.payload).collect();
        assert_eq!(all, samples.iter().map(|s| law.encode(*s)).collect::<Vec<_>>());
    }
    assert_eq!(room.events(), [Event::Played { play: PlayId(1) }]);
}

#[test]
fn who_hears_a_stopped_play_or_a_closed_leg_hears_silence() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let music = room.play(1, &[&[1; 160]], Repeat::Forever);
    room.patch(1, &[music]);
    room.run(100);
    room.tell(Command::Stop { play: PlayId(1) });
    room.tell(Command::Close { leg: LegId(1) });
    room.heard(1);
    room.run(1000);
    room.come(1, peer(1), &talk(1, Law::Mu, 0, &[1; 160]));
    assert_eq!((room.heard(1), room.heard(2)), (vec![], vec![]));
    room.tell(Command::Close { leg: LegId(2) });
    assert_eq!(room.bay.load(), Load::default());
    assert_eq!(room.bay.poll_timeout(), None);
}

#[test]
fn a_socket_taken_by_the_next_leg_stays_with_it() {
    let mut room = Room::new(&[(1, Law::Mu)]);
    let plan = Plan { socket: SocketId(1), ..plan(2, Law::Mu) };
    room.tell(Command::Open { leg: LegId(2), plan });
    room.tell(Command::Close { leg: LegId(1) });
    room.come(1, peer(2), &talk(2, Law::Mu, 0, &[1; 160]));
    assert_eq!(room.counts(2).received, 1);
}

#[test]
fn a_patch_may_name_what_opens_later() {
    let mut room = Room::new(&[]);
    room.patch(1, &[Source::Leg(LegId(2))]);
    for leg in [2, 1] {
        room.tell(Command::Open { leg: LegId(leg), plan: plan(leg, Law::Mu) });
    }
    room.come(2, peer(2), &talk(2, Law::Mu, 0, &[1; 160]));
    assert_eq!(room.heard(1).len(), 1);
    room.patch(1, &[Source::Prompt(PlayId(5))]);
    room.play(5, &[&[1; 160]], Repeat::Once);
    room.run(100);
    assert_eq!(room.heard(1).len(), 1);
}

#[test]
fn a_phone_behind_nat_is_answered_where_it_sends_from() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let outside = SocketAddr::from(([203, 0, 113, 9], 61_000));
    let to = |room: &mut Room, n| {
        room.come(2, peer(2), &talk(2, Law::Mu, n, &[1; 160]));
        room.heard(1)[0].to
    };
    assert_eq!(to(&mut room, 0), peer(1));
    // Neither of these tells where the phone is.
    room.come(1, outside, b"\x80\x00 short");
    room.come(1, outside, &talk(1, Law::A, 0, &[1; 160]));
    let mut other_version = talk(1, Law::Mu, 0, &[1; 160]);
    other_version[0] = 0x40;
    room.come(1, outside, &other_version);
    assert_eq!(to(&mut room, 1), peer(1));
    room.come(1, outside, &talk(1, Law::Mu, 0, &[1; 160]));
    assert_eq!(to(&mut room, 2), outside);
    assert_eq!(room.counts(1).dropped, 3);
}

#[test]
fn a_stranger_cannot_take_a_talking_leg_over() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let stranger = SocketAddr::from(([198, 51, 100, 66], 4000));
    for n in 0..500 {
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        for other in 0..3 {
            room.come(1, stranger, &talk(1, Law::Mu, n + other, &[66; 160]));
        }
        room.come(2, peer(2), &talk(2, Law::Mu, n, &[2; 160]));
        room.run(20);
    }
    assert!(room.heard(1).iter().all(|h| h.to == peer(1)));
    assert!(room.heard(2).iter().all(|h| h.payload[0] == 1));
    assert_eq!(room.counts(1), Counts { received: 500, sent: 500, lost: 0, dropped: 1500 });
}

#[test]
fn the_address_that_was_signalled_takes_its_leg_back_from_who_came_first() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let sprayer = SocketAddr::from(([198, 51, 100, 66], 4000));
    room.come(1, sprayer, &talk(66, Law::Mu, 0, &[66; 160]));
    room.come(1, peer(1), &talk(1, Law::Mu, 0, &[1; 160]));
    room.come(1, sprayer, &talk(66, Law::Mu, 1, &[66; 160]));
    room.come(2, peer(2), &talk(2, Law::Mu, 0, &[2; 160]));
    assert_eq!(room.heard(1)[0].to, peer(1));
    assert_eq!(room.counts(1).dropped, 1);
}

#[test]
fn a_phone_that_moved_is_found_again_once_its_old_address_is_silent() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let (before, after) = (SocketAddr::from(([203, 0, 113, 9], 1)), SocketAddr::from(([203, 0, 113, 9], 2)));
    room.come(1, before, &talk(1, Law::Mu, 0, &[1; 160]));
    for n in 1..300 {
        room.run(20);
        room.come(1, after, &talk(1, Law::Mu, n, &[1; 160]));
    }
    assert_eq!(room.counts(1), Counts { received: 51, sent: 0, lost: 249, dropped: 249 });
    room.come(2, peer(2), &talk(2, Law::Mu, 0, &[2; 160]));
    assert_eq!(room.heard(1)[0].to, after);
}

#[test]
fn an_amended_address_is_believed_and_an_unchanged_one_forgets_nothing() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let (outside, moved) =
        (SocketAddr::from(([203, 0, 113, 9], 1)), SocketAddr::from(([203, 0, 113, 77], 7)));
    let to = |room: &mut Room, n| {
        room.come(2, peer(2), &talk(2, Law::Mu, n, &[1; 160]));
        room.heard(1)[0].to
    };
    room.come(1, outside, &talk(1, Law::Mu, 0, &[1; 160]));
    room.tell(Command::Amend { leg: LegId(1), plan: plan(1, Law::Mu) });
    assert_eq!(to(&mut room, 0), outside);
    room.tell(Command::Amend { leg: LegId(1), plan: Plan { remote: moved, ..plan(1, Law::Mu) } });
    assert_eq!(to(&mut room, 1), moved);
    room.come(1, peer(3), &talk(1, Law::Mu, 1, &[1; 160]));
    assert_eq!(to(&mut room, 2), peer(3));
}

#[test]
fn a_new_ssrc_from_the_same_phone_goes_on_in_the_same_stream() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    for n in 0..5 {
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        room.run(20);
    }
    for n in 0..5 {
        room.come(1, peer(1), &talk(9, Law::Mu, 20_000 + 9 * n, &[2; 160]));
        room.run(20);
    }
    let heard = room.heard(2);
    assert_eq!(heard.len(), 10);
    assert_continuous(&heard[..6]);
    assert!(heard[5].header.marker && !heard[4].header.marker);
}

#[test]
fn hold_is_respected_in_both_directions() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let music = room.play(1, &[&[1; 160]], Repeat::Forever);
    let mut got = vec![];
    for direction in [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
        room.tell(Command::Amend { leg: LegId(1), plan: Plan { direction, ..plan(1, Law::Mu) } });
        let n = got.len() as u32;
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        room.come(2, peer(2), &talk(2, Law::Mu, n, &[1; 160]));
        room.patch(1, &[music]);
        room.run(100);
        room.patch(1, &[Source::Leg(LegId(2))]);
        got.push((room.heard(1).len(), room.heard(2).len()));
    }
    assert_eq!(got, [(6, 1), (6, 0), (0, 1), (0, 0)]);
    assert_eq!(room.counts(1).dropped, 2);
}

#[test]
fn a_peer_without_an_address_is_sent_nothing_until_it_is_heard() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let nowhere = Plan { remote: SocketAddr::from(([0, 0, 0, 0], 0)), ..plan(1, Law::Mu) };
    room.tell(Command::Amend { leg: LegId(1), plan: nowhere });
    room.come(2, peer(2), &talk(2, Law::Mu, 0, &[1; 160]));
    assert_eq!(room.heard(1), []);
    room.come(1, peer(1), &talk(1, Law::Mu, 0, &[1; 160]));
    room.come(2, peer(2), &talk(2, Law::Mu, 1, &[1; 160]));
    assert_eq!(room.heard(1)[0].to, peer(1));
}

#[test]
fn a_silent_leg_is_told_of_every_five_seconds_until_it_is_heard_again() {
    let mut room = Room::new(&[(1, Law::Mu)]);
    let silent = |since| vec![Event::Silent { leg: LegId(1), since: Duration::from_millis(since) }];
    room.run(4_990);
    assert_eq!(room.events(), []);
    room.run(30_000);
    assert_eq!(room.events(), [5_000, 10_000, 15_000, 20_000, 25_000, 30_000].map(silent).concat());
    room.come(1, peer(1), &talk(1, Law::Mu, 0, &[1; 160]));
    room.run(4_000);
    room.come(1, peer(1), &talk(1, Law::Mu, 1, &[1; 160]));
    room.run(4_900);
    assert_eq!(room.events(), []);
    room.run(200);
    assert_eq!(room.events(), silent(5_000 + 10));
    // However it falls between two reports.
    for n in 2..150 {
        room.run(1_000);
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        room.run(4_980);
        assert_eq!(room.events(), []);
        room.run(40);
        assert_eq!(room.events().len(), 1);
    }

    // On hold nothing should come; back from hold the time counts anew.
    let hold = Plan { direction: Direction::SendOnly, ..plan(1, Law::Mu) };
    room.tell(Command::Amend { leg: LegId(1), plan: hold });
    room.run(60_000);
    room.tell(Command::Amend { leg: LegId(1), plan: plan(1, Law::Mu) });
    room.run(4_900);
    assert_eq!(room.events(), []);
    room.run(200);
    assert_eq!(room.events().len(), 1);
}

#[test]
fn a_key_is_told_once_and_passed_on_under_the_other_legs_payload_type() {
    let mut room = Room::talking([Law::Mu, Law::A]);
    room.tell(Command::Amend { leg: LegId(2), plan: Plan { events: Some(97), ..plan(2, Law::A) } });
    for n in 0..4 {
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        room.run(20);
    }
    for n in 4..200 {
        room.come(1, peer(1), &key(1, n, 4, 5, (160 * (n - 3)) as u16, n >= 198));
        room.run(20);
    }
    for n in 200..204 {
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        room.run(20);
    }
    assert_eq!(room.keys(), "5");
    let heard = room.heard(2);
    assert_eq!(heard.len(), 204);
    let events: Vec<_> = heard.iter().filter(|h| h.header.payload_type == 97).collect();
    assert_eq!(events.len(), 196);
    assert!(events.iter().all(|h| h.header.timestamp == events[0].header.timestamp));
    let pressed = |h: &Heard| Report::from_bytes(h.payload[..].try_into().unwrap());
    assert_eq!(pressed(events[0]), Report { event: 5, end: false, volume: 10, duration: 160 });
    assert!(pressed(events[195]).end && events[0].header.marker && !events[1].header.marker);
    assert!(heard.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
    assert!(heard.iter().all(|h| h.header.payload_type == 97 || h.payload.len() == 160));
    let resumed = heard[200].header.timestamp.wrapping_sub(heard[3].header.timestamp);
    assert_eq!(resumed, 197 * 160);
}

#[test]
fn a_key_is_not_heard_by_who_agreed_to_none_and_leaves_no_gap() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    room.tell(Command::Amend { leg: LegId(2), plan: Plan { events: None, ..plan(2, Law::Mu) } });
    for n in 0..20 {
        let bytes = match n {
            5..12 => key(1, n, 5, 11, (160 * (n - 4)) as u16, n == 11),
            _ => talk(1, Law::Mu, n, &[1; 160]),
        };
        room.come(1, peer(1), &bytes);
        room.run(20);
    }
    assert_eq!(room.keys(), "#");
    let heard = room.heard(2);
    assert_eq!(heard.len(), 13);
    assert_continuous(&heard);
}

#[test]
fn a_key_sent_under_an_ssrc_of_its_own_amid_talk_stays_one_key() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    for n in 0..20 {
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        room.come(1, peer(1), &key(66, n + 7000, 7000, 9, (160 * (n + 1)) as u16, n > 17));
        room.run(20);
    }
    assert_eq!(room.keys(), "9");
    let heard = room.heard(2);
    let mut pressed: Vec<u32> = heard
        .iter()
        .filter(|h| h.header.payload_type == PAYLOAD_OF_EVENTS)
        .map(|h| h.header.timestamp)
        .collect();
    assert_eq!(pressed.len(), 20);
    pressed.dedup();
    assert_eq!(pressed.len(), 1);
    assert!(heard.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
}

#[test]
fn a_sender_whose_clock_runs_wrong_is_set_right_now_and_then() {
    for samples in [157, 163] {
        let mut room = Room::talking([Law::Mu, Law::Mu]);
        for n in 0..30_000u32 {
            let mut bytes = talk(1, Law::Mu, n, &[1; 157]);
            bytes[4..8].copy_from_slice(&(n * samples).to_be_bytes());
            room.come(1, peer(1), &bytes);
            room.wait(Duration::from_millis(20));
        }
        let heard = room.heard(2);
        assert_eq!(heard.len(), 30_000);
        assert_continuous(&heard);
        // 90 000 samples astray in all, set right each time they are 16 000.
        assert_eq!(heard.iter().filter(|h| h.header.marker).count(), 6, "{samples}");
    }
}

#[test]
fn keys_for_the_peer_take_the_place_of_what_it_hears() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    let keys = ['4', '2'].map(|c| Key::try_from(c).unwrap()).to_vec();
    for n in 0..40 {
        if n == 10 {
            room.tell(Command::Press { leg: LegId(2), keys: keys.clone() });
        }
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        room.run(20);
    }
    let heard = room.heard(2);
    let (mut receiver, mut got) = (crate::rtp::dtmf::Receiver::default(), String::new());
    for h in heard.iter().filter(|h| h.header.payload_type == PAYLOAD_OF_EVENTS) {
        receiver.receive(&h.header, &h.payload, |key| got.push(key.as_char()));
    }
    assert_eq!(got, "42");
    assert!(heard.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
    assert!(
        heard.windows(2).all(|p| { crate::rtp::ahead(p[0].header.timestamp, p[1].header.timestamp) >= 0 })
    );
    assert_eq!(heard.last().unwrap().payload, [1; 160]);
}

#[test]
fn reports_go_every_five_seconds_or_so_and_tell_what_was_lost() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    for n in (0..3000).filter(|n| n % 4 != 3) {
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        room.run(if n % 4 == 2 { 40 } else { 20 });
    }
    let reports: Vec<_> = room
        .air
        .rtcp
        .iter()
        .filter(|(socket, ..)| *socket == SocketId(1))
        .map(|(_, to, b)| (*to, b))
        .collect();
    assert!((60_000 / 6_156..=60_000 / 2_052 + 1).contains(&reports.len()), "{}", reports.len());
    let (to, bytes) = reports[5];
    assert_eq!(to, SocketAddr::from(([10, 0, 0, 1], 4001)));
    let items: Vec<_> = rtcp::parse(bytes).collect();
    let [Item::Report { ssrc: 0x5001, sending: None, mut blocks }, Item::Cname { .. }] = items[..] else {
        panic!("{items:?}")
    };
    let block = blocks.next().unwrap();
    assert_eq!(block.ssrc, 0x101);
    assert!((60..=68).contains(&block.fraction), "{block:?}");

    // The listener's reports are a sender's, with as many packets as it was sent.
    let (.., bytes) = room.air.rtcp.iter().rfind(|(socket, ..)| *socket == SocketId(2)).unwrap();
    let Some(Item::Report { sending: Some(sending), .. }) = rtcp::parse(bytes).next() else { panic!() };
    assert!((2_000..=2_250).contains(&sending.packets));
    assert_eq!(sending.octets, sending.packets * 160);
}

#[test]
fn the_peers_report_tells_its_loss_and_the_time_there_and_back() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    room.come(2, peer(2), &talk(2, Law::Mu, 0, &[1; 160]));
    room.run(4_000);
    let (_, to, bytes) = room.air.rtcp.iter().find(|(socket, ..)| *socket == SocketId(1)).unwrap().clone();
    let Some(Item::Report { sending: Some(sending), .. }) = rtcp::parse(&bytes).next() else { panic!() };
    let sent = Mono::ZERO
        + Duration::from_secs(sending.ntp >> 32)
        + Duration::from_nanos(((sending.ntp & 0xffff_ffff) * 1_000_000_000) >> 32);
    // A stranger's report is not believed, even as the first.
    let stranger = SocketAddr::from(([198, 51, 100, 66], 4001));
    let lie = Block { ssrc: 0x5001, fraction: 255, lost: 0, highest: 0, jitter: 0, last_report: 0, delay: 0 };
    room.come_on(1, Channel::Rtcp, stranger, Compound::report(0x101, None, Some(lie)).as_bytes());
    assert_eq!(room.bay.quality(LegId(1)).unwrap().far_loss, 0);

    let block = Block {
        ssrc: 0x5001,
        fraction: 26,
        lost: 3,
        highest: 0,
        jitter: 80,
        last_report: (sending.ntp >> 16) as u32,
        delay: 65_536,
    };
    room.air.now = sent + Duration::from_millis(1_150);
    room.come_on(1, Channel::Rtcp, to, Compound::report(0x101, None, Some(block)).as_bytes());
    let quality = room.bay.quality(LegId(1)).unwrap();
    let round_trip = quality.round_trip.unwrap().as_millis();
    assert!((149..=151).contains(&round_trip), "{round_trip}");
    assert_eq!((quality.far_loss, quality.far_jitter), (26, Duration::from_millis(10)));

    room.come_on(1, Channel::Rtcp, stranger, Compound::report(0x101, None, Some(lie)).as_bytes());
    assert_eq!(room.bay.quality(LegId(1)).unwrap().far_loss, 26);

    // Our own next report says how long ago the peer's came.
    let sending = Sending { ntp: 0x1234_5678_9abc_def0, timestamp: 0, packets: 1, octets: 160 };
    room.come_on(1, Channel::Rtcp, to, Compound::report(0x101, Some(sending), None).as_bytes());
    room.come(1, peer(1), &talk(1, Law::Mu, 0, &[1; 160]));
    room.air.rtcp.clear();
    room.run(7_000);
    let (.., bytes) = room.air.rtcp.iter().find(|(socket, ..)| *socket == SocketId(1)).unwrap();
    let Some(Item::Report { mut blocks, .. }) = rtcp::parse(bytes).next() else { panic!() };
    let block = blocks.next().unwrap();
    assert_eq!(block.last_report, 0x5678_9abc);
    assert!((0..=7 * 65_536).contains(&block.delay) && block.delay > 0);
}

#[test]
fn a_closed_leg_says_goodbye_and_tells_its_counts() {
    let mut room = Room::talking([Law::Mu, Law::Mu]);
    for n in [0, 1, 3] {
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
    }
    room.tell(Command::Close { leg: LegId(2) });
    let (socket, _, bytes) = room.air.rtcp.pop().unwrap();
    assert_eq!(socket, SocketId(2));
    assert_eq!(rtcp::parse(&bytes).last(), Some(Item::Bye { ssrc: 0x5002 }));
    // RFC 3550 §6.3.7: one that never sent takes its leave in silence.
    room.tell(Command::Close { leg: LegId(1) });
    assert_eq!(room.air.rtcp, []);
    let closed = |leg, counts| Event::Closed { leg: LegId(leg), counts };
    assert_eq!(
        room.events(),
        [
            closed(2, Counts { sent: 3, ..Counts::default() }),
            closed(1, Counts { received: 3, lost: 1, ..Counts::default() }),
        ]
    );
}

#[test]
fn three_in_a_conference_hear_the_others_and_not_themselves() {
    let mut room = Room::new(&[(1, Law::Mu), (2, Law::A), (3, Law::Mu)]);
    for listener in 1..=3 {
        let others = (1..=3).filter(|n| *n != listener).map(|n| Source::Leg(LegId(n)));
        room.patch(listener, &others.collect::<Vec<_>>());
    }
    let level = [1000, 2000, 4000];
    for n in 0..20 {
        for leg in 1..=3 {
            let law = if leg == 2 { Law::A } else { Law::Mu };
            room.come(leg, peer(leg), &talk(leg, law, n, &[law.encode(level[leg as usize - 1]); 160]));
        }
        room.run(20);
    }
    for (listener, law, want) in [(1, Law::Mu, 6000), (2, Law::A, 5000), (3, Law::Mu, 3000)] {
        let heard = room.heard(listener);
        assert_continuous(&heard);
        let got = i32::from(law.decode(heard.last().unwrap().payload[80]));
        assert!((got - want).abs() < 300, "{listener} {got}");
    }
    // With two left, one hears the other as it comes.
    room.tell(Command::Close { leg: LegId(3) });
    assert_eq!(room.bay.load().taps, 0);
    room.come(1, peer(1), &talk(1, Law::Mu, 20, &[9; 160]));
    assert_eq!(room.heard(2)[0].payload, [g711::ulaw_to_alaw(9); 160]);
}

#[test]
fn talk_over_music_is_heard_with_it() {
    let mut room = Room::new(&[(1, Law::Mu), (2, Law::Mu)]);
    let music = room.play(1, &[&[500; 160]], Repeat::Forever);
    room.patch(1, &[music, Source::Leg(LegId(2)), music]);
    room.run(60);
    for n in 0..5 {
        room.come(2, peer(2), &talk(2, Law::Mu, n, &[g711::ulaw_encode(8000); 160]));
        room.run(20);
    }
    let heard = room.heard(1);
    assert_continuous(&heard);
    let levels: Vec<i16> = heard.iter().map(|h| g711::ulaw_decode(h.payload[10])).collect();
    assert!(levels[..3].iter().all(|l| l.abs_diff(500) < 30), "{levels:?}");
    assert!(levels.last().unwrap().abs_diff(8500) < 300, "{levels:?}");
}

const TAPE: RecordingId = RecordingId(1);

/// Value number `n + 20` of the law: which packet a recorded sample is of can be told exactly.
fn numbered(law: Law, n: u32) -> [u8; 160] {
    match law {
        Law::Mu => [!(n as u8 + 20); 160],
        Law::A => [0xd5 ^ (n as u8 + 20); 160],
    }
}

/// Legs 1 (µ) and 2 (A) talk for forty packets, but for those `lost` takes. Gives for each frame of
/// the recording which packet it holds of either side.
fn recorded(lost: impl Fn(u64, u32) -> bool, at: impl Fn(&mut Room, u32)) -> Vec<[Option<u32>; 2]> {
    let mut room = Room::talking([Law::Mu, Law::A]);
    room.tell(Command::Record { recording: TAPE, left: LegId(1), right: Some(LegId(2)) });
    for n in 0..40 {
        at(&mut room, n);
        for (leg, law) in [(1, Law::Mu), (2, Law::A)] {
            if !lost(leg, n) {
                room.come(leg, peer(leg), &talk(leg, law, n, &numbered(law, n)));
            }
        }
        room.run(20);
    }
    room.run(60);
    room.tell(Command::Finish { recording: TAPE });
    assert_eq!(room.finished, [TAPE]);
    let length = Duration::from_millis(860);
    let complete = Event::Recorded { recording: TAPE, length };
    assert_eq!(room.events().pop(), Some(complete));
    assert_eq!((room.bay.load().taps, room.bay.load().recordings), (0, 0));
    let tape = &room.tapes[&TAPE];
    assert_eq!(tape.len(), 43 * 320);
    let left = |sample: i16| u32::from(!g711::ulaw_encode(sample)).checked_sub(20);
    let right = |sample: i16| u32::from(0xd5 ^ g711::alaw_encode(sample)).checked_sub(20);
    tape.chunks(320)
        .map(|frame| {
            assert!(frame.chunks(2).all(|pair| pair == &frame[..2]), "a frame is of one packet");
            [left(frame[0]), right(frame[1])]
        })
        .collect()
}

#[test]
fn a_recording_has_both_sides_beside_each_other_in_time() {
    let tape = recorded(|_, _| false, |_, _| {});
    // 40 ms behind, for the network to be uneven in.
    let want = (0..43).map(|n: u32| n.checked_sub(2).filter(|n| *n < 40));
    assert_eq!(tape, want.map(|n| [n, n]).collect::<Vec<_>>());
}

#[test]
fn what_a_leg_did_not_send_is_silence_of_that_length() {
    let tape = recorded(|leg, n| leg == 2 && (10..30).contains(&n), |_, _| {});
    let want = (0..43).map(|n: u32| n.checked_sub(2).filter(|n| *n < 40));
    assert_eq!(tape, want.map(|n| [n, n.filter(|n| !(10..30).contains(n))]).collect::<Vec<_>>());
}

#[test]
fn a_sender_with_a_new_ssrc_is_recorded_without_a_break() {
    let tape = recorded(
        |leg, n| leg == 1 && n >= 20,
        |room, n| {
            if n >= 20 {
                // Its clock begins a little before where the old one stood.
                let mut bytes = talk(1, Law::Mu, n, &numbered(Law::Mu, n));
                bytes[4..8].copy_from_slice(&((n - 15) * 160 + 0xffff_f000).to_be_bytes());
                bytes[11] = 0x77;
                room.come(1, peer(1), &bytes);
            }
        },
    );
    let left: Vec<_> = tape.iter().map(|[left, _]| *left).collect();
    // What waited of the old source is void; the new one begins with the usual delay.
    assert_eq!(left[18..26], [Some(16), Some(17), None, None, Some(20), Some(21), Some(22), Some(23)]);
}

#[test]
fn a_mask_is_silence_and_time_goes_on() {
    let tape = recorded(
        |_, _| false,
        |room, n| {
            let masking = match n {
                10 => Masking::On,
                20 => Masking::Off,
                _ => return,
            };
            room.tell(Command::Mask { recording: TAPE, masking });
        },
    );
    assert_eq!(tape[9], [Some(7), Some(7)]);
    assert_eq!(tape[10..20], [[None, None]; 10]);
    assert_eq!(tape[20], [Some(18), Some(18)]);
}

#[test]
fn a_closed_leg_is_silence_and_another_takes_its_channel() {
    let tape = recorded(
        |leg, n| leg == 2 && n >= 10,
        |room, n| match n {
            10 => room.tell(Command::Close { leg: LegId(2) }),
            20 => {
                room.tell(Command::Rewire { recording: TAPE, left: LegId(1), right: Some(LegId(3)) });
                room.tell(Command::Open { leg: LegId(3), plan: plan(3, Law::A) });
            }
            21.. => room.come(3, peer(3), &talk(3, Law::A, n, &numbered(Law::A, n))),
            _ => {}
        },
    );
    for (n, [left, right]) in tape.into_iter().enumerate() {
        let n = (n as u32).checked_sub(2).filter(|n| *n < 40);
        assert_eq!(left, n);
        assert_eq!(right, n.filter(|n| *n < 8 || *n >= 21));
    }
}

#[test]
fn a_late_tick_shortens_no_recording() {
    let mut room = Room::new(&[(1, Law::Mu)]);
    room.tell(Command::Record { recording: TAPE, left: LegId(1), right: None });
    room.run(100);
    room.wait(Duration::from_secs(4));
    room.tick();
    assert_eq!(room.tapes[&TAPE].len(), 2 * 4100 * 8);
    room.wait(Duration::from_secs(4000));
    room.tick();
    assert!(room.tapes[&TAPE].len() < 2 * 8000 * 20);
}

#[test]
fn no_packet_and_no_tick_allocates() {
    /// Takes everything and keeps nothing.
    struct Sink(u64);

    impl Wire for Sink {
        fn send(&mut self, _: SocketId, _: Channel, _: SocketAddr, bytes: &[u8]) {
            self.0 += bytes.len() as u64;
        }
    }

    impl Tape for Sink {
        fn write(&mut self, _: RecordingId, samples: &[i16]) {
            self.0 += samples.len() as u64;
        }

        fn finish(&mut self, _: RecordingId) {}
    }

    // Relay of both kinds, a prompt, a tone, a mix, a recording, keys both ways.
    let mut room = Room::talking([Law::Mu, Law::A]);
    for leg in 3..=6 {
        room.tell(Command::Open { leg: LegId(leg), plan: plan(leg, Law::Mu) });
    }
    let music = room.play(1, &[&[100; 999]], Repeat::Forever);
    room.patch(3, &[music]);
    room.patch(4, &[Source::Tone(Tone::Ringback)]);
    room.patch(5, &[Source::Leg(LegId(1)), Source::Leg(LegId(2)), music]);
    room.patch(6, &[Source::Leg(LegId(1))]);
    room.tell(Command::Record { recording: TAPE, left: LegId(1), right: Some(LegId(2)) });
    room.tell(Command::Press { leg: LegId(3), keys: vec![Key::STAR; 3] });
    let packets: Vec<Vec<u8>> = (0..1500)
        .map(|n| match n % 50 {
            0..8 => key(1, n, n / 50 * 50, 3, 160, false),
            49 => talk(66, Law::A, n, &[1; 160]),
            48 => b"no packet".to_vec(),
            _ => talk(1, Law::Mu, n, &[1; 160]),
        })
        .collect();
    let report = Compound::report(0x101, None, None).cname(0x101, &[b'x'; 16]);
    let mut sink = Sink(0);
    let mut buffer = [0; 256];
    let mut digits = 0;

    let before = ALLOCATIONS.with(Cell::get);
    for (n, bytes) in packets.iter().enumerate() {
        buffer[..bytes.len()].copy_from_slice(bytes);
        let (bay, now) = (&mut room.bay, room.air.now);
        bay.handle_packet(now, SocketId(1), Channel::Rtp, peer(1), &mut buffer[..bytes.len()], &mut sink);
        if n % 100 == 0 {
            let length = report.as_bytes().len();
            buffer[..length].copy_from_slice(report.as_bytes());
            bay.handle_packet(now, SocketId(1), Channel::Rtcp, peer(1), &mut buffer[..length], &mut sink);
        }
        struct Blank;
        impl Tape for Blank {
            fn write(&mut self, _: RecordingId, _: &[i16]) {}
            fn finish(&mut self, _: RecordingId) {}
        }
        bay.handle_timeout(now, &mut sink, &mut Blank);
        while let Some(event) = bay.poll_event() {
            digits += u32::from(matches!(event, Event::Digit { .. }));
        }
        room.air.now += Duration::from_millis(20);
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    assert_eq!(digits, 30);
    assert!(sink.0 > 1_000_000);
}

/// A talking pair that hostile bytes are thrown at: what each hears must not depend on them.
fn undisturbed(
    hostile: &[(u64, bool, u8, Vec<u8>)],
    sources: RangeInclusive<u8>,
) -> (Vec<Heard>, Vec<Heard>) {
    let mut room = Room::talking([Law::Mu, Law::A]);
    let mut hostile = hostile.iter();
    for n in 0..30 {
        room.come(1, peer(1), &talk(1, Law::Mu, n, &[1; 160]));
        room.come(2, peer(2), &talk(2, Law::A, n, &[2; 160]));
        for (leg, rtcp, source, bytes) in hostile.by_ref().take(8) {
            let span = sources.end() - sources.start() + 1;
            let from = SocketAddr::from(([192, 0, 2, sources.start() + source % span], 4000));
            room.come_on(*leg, if *rtcp { Channel::Rtcp } else { Channel::Rtp }, from, bytes);
        }
        room.run(20);
    }
    (room.heard(1), room.heard(2))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_strangers_bytes_change_nothing(
        mut hostile in prop::collection::vec((1..=3u64, any::<bool>(), any::<u8>(), any::<Vec<u8>>()), 0..200),
        shapes in prop::collection::vec(any::<[u8; 12]>(), 200),
    ) {
        // Half of them look like RTP or RTCP of the right kind.
        for (n, (leg, rtcp, _, bytes)) in hostile.iter_mut().enumerate().filter(|(n, _)| n % 2 == 0) {
            let mut shape = shapes[n];
            shape[0] = 0x80 | shape[0] & 0x3f;
            shape[1] = if *rtcp { 200 + shape[1] % 8 } else if *leg == 1 { 0 } else { 8 };
            bytes.splice(0..0, shape);
        }
        prop_assert_eq!(undisturbed(&hostile, 1..=50), undisturbed(&[], 1..=1));
    }

    #[test]
    fn no_bytes_of_the_peer_itself_break_the_bay(
        packets in prop::collection::vec((any::<bool>(), any::<u8>(), any::<[u8; 12]>(), any::<Vec<u8>>()), 0..200),
    ) {
        let mut room = Room::talking([Law::Mu, Law::A]);
        room.patch(2, &[Source::Leg(LegId(1)), Source::Tone(Tone::Busy)]);
        room.tell(Command::Open { leg: LegId(3), plan: plan(3, Law::A) });
        room.patch(3, &[Source::Leg(LegId(1))]);
        room.tell(Command::Record { recording: TAPE, left: LegId(1), right: None });
        for (rtcp, choice, mut shape, tail) in packets {
            shape[0] = if choice % 8 == 0 { shape[0] } else { 0x80 | shape[0] & 0x3f };
            shape[1] = match (rtcp, choice % 3) {
                (true, _) => 200 + shape[1] % 8,
                (false, 0) => 0,
                (false, 1) => PAYLOAD_OF_EVENTS,
                (false, _) => shape[1],
            };
            let channel = if rtcp { Channel::Rtcp } else { Channel::Rtp };
            room.come_on(1, channel, peer(1), &[&shape[..], &tail].concat());
            room.run(u64::from(choice % 32));
        }
        room.tell(Command::Close { leg: LegId(1) });
        room.tell(Command::Finish { recording: TAPE });
        room.tell(Command::Close { leg: LegId(2) });
        room.tell(Command::Close { leg: LegId(3) });
        prop_assert_eq!(room.bay.load(), Load::default());
    }
}
