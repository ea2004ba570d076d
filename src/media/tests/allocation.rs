//! No packet and no tick allocates.

use super::phone::{Check, Phone};
use super::recording::TAPE;
use super::security::{holding, sdes};
use super::sound::phrase;
use super::webrtc::page;
use super::*;
use crate::base::{DtlsRole, Suite};
use crate::rtp::rtcp::Compound;

#[test]
fn no_packet_and_no_tick_allocates() {
    // Relay of both kinds, a prompt, a tone, a mix, a recording, keys both ways.
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcma]);
    for leg in 3..=6 {
        room.tell(Command::Open { leg: LegId(leg), plan: plan(leg, Codec::Pcmu) });
    }
    let music = room.play(1, &[&[100; 999]], Repeat::Forever);
    room.patch(3, &[music]);
    room.patch(4, &[Source::Tone(Tone::Ringback)]);
    room.patch(5, &[Source::Leg(LegId(1)), Source::Leg(LegId(2)), music]);
    room.patch(6, &[Source::Leg(LegId(1))]);
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    room.tell(Command::Press { leg: LegId(3), keys: vec![Key::STAR; 3] });
    let packets: Vec<Vec<u8>> = (0..1500)
        .map(|n| match n % 50 {
            0..8 => key(1, n, n / 50 * 50, 3, 160, false),
            49 => talk(66, Codec::Pcma, n, &[1; 160]),
            48 => b"no packet".to_vec(),
            _ => talk(1, Codec::Pcmu, n, &[1; 160]),
        })
        .collect();
    let report = Compound::report(0x101, None, None).cname(0x101, &[b'x'; 16]);
    let (mut sink, mut tape) = (Nowhere::default(), Nowhere::default());
    let mut buffer = [0; 256];
    let mut digits = 0;

    let before = allocations();
    for (n, bytes) in packets.iter().enumerate() {
        buffer[..bytes.len()].copy_from_slice(bytes);
        let (bay, now) = (&mut room.bay, room.air.now);
        bay.handle_packet(now, SocketId(1), Channel::Rtp, peer(1), &mut buffer, bytes.len(), &mut sink);
        if n % 100 == 0 {
            let length = report.as_bytes().len();
            buffer[..length].copy_from_slice(report.as_bytes());
            bay.handle_packet(now, SocketId(1), Channel::Rtcp, peer(1), &mut buffer, length, &mut sink);
        }
        bay.handle_timeout(now, &mut sink, &mut tape);
        while let Some(event) = bay.poll_event() {
            digits += u32::from(matches!(event, Event::Digit { .. }));
        }
        room.air.now += Duration::from_millis(20);
    }
    assert_eq!(allocations() - before, 0);
    assert_eq!(digits, 30);
    assert!(sink.octets > 1_000_000 && tape.octets > 900_000);
}

/// Packets and checks of a browser, of phones with keys and of any codec: what is to come in on which
/// socket from where, tick by tick.
struct Rush {
    room: Room,
    ticks: Vec<Vec<(SocketId, SocketAddr, Vec<u8>)>>,
}

impl Rush {
    /// Lets so many ticks pass, and gives how often that allocated and how much went out.
    fn pass(&mut self, ticks: usize) -> (u64, Nowhere) {
        let (mut wire, mut tape) = (Nowhere::default(), Nowhere::default());
        let mut buffer = [0; 2048];
        let before = allocations();
        for packets in &self.ticks[..ticks] {
            let (bay, now) = (&mut self.room.bay, self.room.air.now);
            for (socket, from, bytes) in packets {
                buffer[..bytes.len()].copy_from_slice(bytes);
                bay.handle_packet(now, *socket, Channel::Rtp, *from, &mut buffer, bytes.len(), &mut wire);
            }
            bay.handle_timeout(now, &mut wire, &mut tape);
            while bay.poll_event().is_some() {}
            self.room.air.now += TICK;
        }
        let allocated = allocations() - before;
        self.ticks.drain(..ticks);
        (allocated, wire)
    }
}

#[test]
fn no_packet_and_no_tick_allocates_under_keys_between_codecs_or_in_a_mix() {
    let mut room = Room::new(&[]);
    let (suite, other) = (Suite::AesCm128HmacSha1_80, Suite::AeadAes256Gcm);
    let mut browser = page(room.air.now, 1, 0, DtlsRole::Passive);
    room.open(1, browser.plan);
    browser.phone.check(&mut room, Check::Nominating);
    assert_eq!(room.events(), [Event::Secured { leg: LegId(1) }]);
    let mut phones = vec![browser.phone];
    for (leg, codec, keys) in [
        (2, Codec::Pcmu, Keys::None),
        (3, Codec::G722, Keys::None),
        (4, Codec::Pcmu, sdes(suite, 40)),
        (5, Codec::Opus, sdes(other, 50)),
        (6, Codec::G722, Keys::None),
        (7, Codec::Pcma, sdes(other, 70)),
        (8, Codec::Pcma, sdes(suite, 80)),
    ] {
        let phone = Phone::new(leg, codec);
        phones.push(if keys == Keys::None { phone } else { holding(phone, &keys) });
        // Keys are looked for in the sound of some.
        let events = if leg % 2 == 0 { None } else { events(codec, PAYLOAD_OF_EVENTS) };
        room.open(leg, Plan { keys, events, noise: Some(13), ..plan(leg, codec) });
    }
    for (a, b) in [(1, 2), (3, 4), (5, 6), (7, 8)] {
        room.connect(a, b);
    }
    for (listener, codec) in [(9, Codec::Opus), (10, Codec::Pcmu), (11, Codec::G722)] {
        room.open(listener, Plan { noise: Some(13), ..plan(listener, codec) });
        room.patch(listener, &[1, 3, 7].map(|n| Source::Leg(LegId(n))));
    }
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });

    let hums: Vec<_> = phones.iter().map(|phone| phrase(phone.rate(), 5000)).collect();
    let mut ticks = vec![];
    for n in 0..250 {
        let mut packets = vec![];
        for (leg, (phone, hum)) in (0..).zip(phones.iter_mut().zip(&hums)) {
            let frame = phone.rate().frame();
            let bytes = phone.packet(&hum[n * frame..][..frame]);
            // Some get lost, and now and then one is silent for 200 ms.
            let silent = leg % 3 == 0 && n % 40 >= 30;
            if n % 17 != leg && !silent {
                packets.push((phone.socket, phone.at, bytes));
            } else if silent && n % 40 == 30 && phone.codec.rate() == Rate::Narrow {
                let audio = std::mem::replace(&mut phone.next.payload_type, 13);
                packets.push((phone.socket, phone.at, phone.payload(&[55], 0)));
                phone.next.payload_type = audio;
            }
        }
        if n % 50 == 0 {
            let check = phones[0].ice.as_mut().unwrap().request(Check::Nominating);
            packets.push((SHARED, phones[0].at, check));
        }
        ticks.push(packets);
    }
    let mut rush = Rush { room, ticks };
    rush.pass(50);
    let (allocated, sent) = rush.pass(200);
    assert_eq!(allocated, 0);
    assert!(sent.packets > 200 * 10, "{}", sent.packets);
    assert_eq!(rush.room.counts(1).dropped, 0);
}

/// Keeps what was forwarded last.
struct Door {
    length: usize,
    bytes: [u8; 2048],
    sent: u64,
}

impl Wire for Door {
    fn send(&mut self, _: SocketId, _: Channel, _: SocketAddr, _: &[u8]) {
        self.sent += 1;
    }

    fn forward(&mut self, _: Shard, _: LegId, _: SocketAddr, bytes: &[u8]) {
        self.length = bytes.len();
        self.bytes[..bytes.len()].copy_from_slice(bytes);
    }
}

#[test]
fn no_packet_allocates_on_its_way_after_a_leg_that_moved() {
    let there = Shard::new(4).unwrap();
    let mut room = Room::new(&[]).with(there);
    room.tell_at(there, Command::Open { leg: LegId(2), plan: plan(2, Codec::Opus) });
    let mut browser = page(room.air.now, 1, 0, DtlsRole::Passive);
    room.open(1, browser.plan);
    browser.phone.check(&mut room, Check::Nominating);
    room.tell(Command::Move { leg: LegId(1), to: there });
    for (a, b) in [(1, 2), (2, 1)] {
        room.tell_at(there, Command::Patch { listener: LegId(a), sources: vec![Source::Leg(LegId(b))] });
    }
    let hum = phrase(Rate::Wide, 5000);
    let packets: Vec<_> = (0..250)
        .map(|n| match n % 50 {
            25 => browser.phone.ice.as_mut().unwrap().request(Check::Nominating),
            _ => browser.phone.packet(&hum[n * 320..][..320]),
        })
        .collect();
    let mut door = Door { length: 0, bytes: [0; 2048], sent: 0 };
    let mut tape = Nowhere::default();
    let mut buffer = [0; 2048];
    let mut before = 0;
    for (n, bytes) in packets.iter().enumerate() {
        if n == 10 {
            before = allocations();
        }
        buffer[..bytes.len()].copy_from_slice(bytes);
        let (now, from) = (room.air.now, browser.phone.at);
        room.bay.handle_packet(now, SHARED, Channel::Rtp, from, &mut buffer, bytes.len(), &mut door);
        buffer = door.bytes;
        let (length, bay) = (std::mem::take(&mut door.length), room.others.get_mut(&4).unwrap());
        bay.handle_stray(now, LegId(1), from, &mut buffer, length, &mut door);
        while let Some((_, parcel)) = bay.poll_parcel() {
            room.bay.handle_parcel(now, parcel, &mut door, &mut tape);
        }
        bay.handle_timeout(now, &mut door, &mut tape);
        while bay.poll_event().is_some() {}
        room.air.now += TICK;
    }
    assert_eq!(allocations() - before, 0);
    assert!(door.sent >= 250, "{}", door.sent);
}
