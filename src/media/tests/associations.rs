//! Whose word counts in a DTLS association on a socket of the leg's own, and when a new one begins.

use super::phone::{Check, Phone};
use super::security::shaking;
use super::webrtc::page;
use super::*;
use crate::base::DtlsRole;
use crate::media::dtls::Handshake;

const ROLES: [DtlsRole; 2] = [DtlsRole::Active, DtlsRole::Passive];
/// A fatal handshake_failure in the clear.
const ALERT: [u8; 15] = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40];
const SECURED: [Event; 1] = [Event::Secured { leg: LegId(1) }];

fn stranger() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 4000))
}

/// Leg 1 under DTLS, which has not begun, and its phone; a plain phone on leg 2 that it talks with.
fn about_to_shake(role: DtlsRole) -> (Room, Phone, Phone) {
    let mut room = Room::new(&[(2, Codec::Pcmu)]);
    let (phone, keys) = shaking(Phone::new(1, Codec::Pcmu), room.air.now, role);
    room.open(1, Plan { keys, ..plan(1, Codec::Pcmu) });
    room.connect(1, 2);
    (room, phone, Phone::new(2, Codec::Pcmu))
}

#[track_caller]
fn assert_talking(room: &mut Room, phone: &mut Phone, other: &mut Phone) {
    for _ in 0..3 {
        phone.say(room, &[1000; 160]);
        other.say(room, &[1000; 160]);
    }
    assert_eq!((other.heard(room).len(), phone.heard(room).len()), (3, 3));
}

#[test]
fn an_alert_of_a_strangers_ends_no_handshake() {
    for role in ROLES {
        let (mut room, mut phone, mut other) = about_to_shake(role);
        room.come(1, stranger(), &ALERT);
        // Nor does it once the handshake has begun.
        let first = phone.handshake.as_mut().unwrap().poll_transmit();
        first.into_iter().for_each(|bytes| phone.send(&mut room, &bytes));
        room.come(1, stranger(), &ALERT);
        phone.attend(&mut room);
        assert_eq!(room.events(), SECURED, "{role:?}");
        assert_talking(&mut room, &mut phone, &mut other);
    }
}

#[test]
fn an_alert_of_the_peers_ends_the_handshake() {
    for role in ROLES {
        let (mut room, phone, ..) = about_to_shake(role);
        phone.send(&mut room, &ALERT);
        assert_eq!(room.events(), [Event::Unsecured { leg: LegId(1) }], "{role:?}");
    }
}

#[test]
fn a_stranger_that_says_nothing_to_the_point_draws_no_flight() {
    for role in ROLES {
        let (mut room, mut phone, mut other) = about_to_shake(role);
        for first in 20..64 {
            room.come(1, stranger(), &[first; 40]);
        }
        room.run(1_000);
        assert!(room.air.rtp.iter().all(|datagram| datagram.to == phone.at), "{role:?}");
        phone.attend(&mut room);
        assert_eq!(room.events(), SECURED, "{role:?}");
        assert_talking(&mut room, &mut phone, &mut other);
    }
}

/// A whole record of DTLS 1.2.
fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0], &(body.len() as u16).to_be_bytes()[..], body].concat()
}

/// The beginning of a handshake message of this kind and number, `length` octets long.
fn message(kind: u8, number: u8, length: u8, body: &[u8]) -> Vec<u8> {
    let fragment = [&[kind, 0, 0, length, 0, number, 0, 0, 0, 0, 0, body.len() as u8], body].concat();
    record(22, 0, &fragment)
}

/// Whole records that nobody needs a key to write: hundreds, and none that a handshake has a use for.
fn noise() -> Vec<Vec<u8>> {
    let many = |record: Vec<u8>| vec![record.repeat(50); 6];
    let mut noise = many(record(22, 0, &[]));
    // ChangeCipherSpec, and what pretends to be encrypted.
    noise.extend([record(20, 0, &[1]), record(22, 1, &[7; 2]), record(21, 1, &[7; 2])].map(many).concat());
    // A hello of either end and a cookie: the beginning of one, and whole but of nothing.
    noise.extend([1, 2, 3].map(|kind| message(kind, 0, 200, &[0xfe, 0xfd, 0])));
    noise.extend([1, 2, 3].map(|kind| message(kind, 0, 2, &[0xfe, 0xfd])));
    // A certificate and a cookie before their time.
    noise.push(message(11, 0, 3, &[0, 0, 0]));
    noise.extend(many(message(3, 9, 3, &[0xfe, 0xfd, 0])));
    noise
}

/// What was told of keys.
fn told(room: &mut Room) -> Vec<Event> {
    room.events().into_iter().filter(|event| !matches!(event, Event::Silent { .. })).collect()
}

fn behind_nat() -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 9], 61_000))
}

#[test]
fn noise_of_a_strangers_costs_a_handshake_neither_time_nor_patience_wherever_the_peer_is() {
    for (role, at) in ROLES.into_iter().flat_map(|role| [(role, peer(1)), (role, behind_nat())]) {
        let (mut room, mut phone, mut other) = about_to_shake(role);
        // Our first flight goes to where signalling said, and reaches it behind its NAT.
        room.sent(|_| true).into_iter().for_each(|datagram| phone.take(datagram));
        phone.at = at;
        assert_eq!(room.flood(phone.socket, stranger(), &noise()), (0, 0), "{role:?}");
        // A passive end waits without end; an active one has spoken, and has 30 s.
        room.run(if role == DtlsRole::Passive { 40_000 } else { 20_000 });
        assert_eq!(told(&mut room), [], "{role:?}");
        room.air.rtp.clear();
        phone.attend(&mut room);
        assert_eq!(told(&mut room), SECURED, "{role:?} {at}");
        other.say(&mut room, &[1000; 160]);
        assert_eq!(phone.heard(&mut room).len(), 1, "{role:?} {at}");
        other.heard(&mut room);
        assert_talking(&mut room, &mut phone, &mut other);
    }
}

/// A stranger that shakes hands by a certificate of its own, and its first hello.
fn intruder(room: &Room) -> (Phone, Vec<u8>) {
    let certificate = Certificate::generate().unwrap();
    let mut handshake = Handshake::new(room.air.now, &certificate, DtlsRole::Active, None);
    let hello = handshake.poll_transmit().unwrap().to_vec();
    let mut intruder = Phone::new(1, Codec::Pcmu).with_handshake(handshake);
    intruder.at = stranger();
    (intruder, hello)
}

#[test]
fn a_strangers_hello_with_an_alert_behind_it_is_not_heard() {
    let (mut room, mut phone, mut other) = about_to_shake(DtlsRole::Passive);
    let (_, hello) = intruder(&room);
    room.come(1, stranger(), &[&hello[..], &ALERT].concat());
    assert!(room.air.rtp.is_empty());
    phone.attend(&mut room);
    assert_eq!(room.events(), SECURED);
    assert_talking(&mut room, &mut phone, &mut other);
}

#[test]
fn a_peer_behind_nat_takes_a_handshake_over_from_a_stranger_that_fell_silent() {
    let (mut room, mut phone, mut other) = about_to_shake(DtlsRole::Passive);
    let (intruder, hello) = intruder(&room);
    intruder.send(&mut room, &hello);
    room.run(5_100);
    room.air.rtp.clear();
    // Noise of another stranger's does not.
    noise().iter().for_each(|bytes| room.come(1, SocketAddr::from(([198, 51, 100, 67], 4000)), bytes));
    phone.at = behind_nat();
    phone.attend(&mut room);
    assert_eq!(told(&mut room), SECURED);
    assert_talking(&mut room, &mut phone, &mut other);
}

#[test]
fn the_signalled_address_takes_a_handshake_back_from_who_began_one_first() {
    let (mut room, mut phone, mut other) = about_to_shake(DtlsRole::Passive);
    let (intruder, hello) = intruder(&room);
    intruder.send(&mut room, &hello);
    assert_eq!(room.sent(|datagram| datagram.to == stranger()).len(), 1);
    phone.attend(&mut room);
    assert_eq!(room.events(), SECURED);
    assert_talking(&mut room, &mut phone, &mut other);
}

#[test]
fn a_peer_elsewhere_than_signalled_comes_to_keys_and_audio_follows_it() {
    for role in ROLES {
        let (mut room, mut phone, mut other) = about_to_shake(role);
        // Our first flight goes to where signalling said, and reaches it behind its NAT.
        room.sent(|_| true).into_iter().for_each(|datagram| phone.take(datagram));
        phone.at = SocketAddr::from(([127, 0, 0, 1], 20_000));
        phone.attend(&mut room);
        assert_eq!(room.events(), SECURED, "{role:?}");
        other.say(&mut room, &[1000; 160]);
        assert_eq!(phone.heard(&mut room).len(), 1, "{role:?}");
        other.heard(&mut room);
        assert_talking(&mut room, &mut phone, &mut other);
    }
}

#[test]
fn after_the_keys_no_datagram_of_dtls_draws_audio_away() {
    for role in ROLES {
        let (mut room, mut phone, mut other) = about_to_shake(role);
        phone.attend(&mut room);
        // However long the peer has been silent.
        for _ in 0..3 {
            room.run(6_000);
            room.air.rtp.clear();
            for first in 20..64 {
                room.come(1, stranger(), &[first; 40]);
            }
            room.come(1, stranger(), &ALERT);
            other.say(&mut room, &[1000; 160]);
            assert_eq!(phone.heard(&mut room).len(), 1, "{role:?}");
        }
        assert!(room.air.rtp.is_empty());
    }
}

/// The other end, by a certificate that is not made anew.
fn other_end(now: Mono, own: &Certificate, role: DtlsRole) -> Handshake {
    let other = if role == DtlsRole::Active { DtlsRole::Passive } else { DtlsRole::Active };
    Handshake::new(now, own, other, Some(kit().certificate.fingerprint()))
}

#[test]
fn an_association_that_ended_is_begun_anew_by_the_next_offer() {
    for role in ROLES {
        let mut room = Room::new(&[(2, Codec::Pcmu)]);
        let own = Certificate::generate().unwrap();
        let agreed = Plan { keys: Keys::Dtls { theirs: own.fingerprint(), role }, ..plan(1, Codec::Pcmu) };
        let mut phone = Phone::new(1, Codec::Pcmu).with_handshake(other_end(room.air.now, &own, role));
        let mut other = Phone::new(2, Codec::Pcmu);
        room.open(1, agreed.clone());
        room.connect(1, 2);
        phone.attend(&mut room);
        assert_eq!(room.events(), SECURED, "{role:?}");
        phone.handshake.as_mut().unwrap().close();
        phone.attend(&mut room);
        assert_eq!(room.events(), [Event::Lost { leg: LegId(1) }], "{role:?}");
        // Its keys end with it.
        phone.say(&mut room, &[1000; 160]);
        other.say(&mut room, &[1000; 160]);
        assert_eq!((other.heard(&mut room).len(), phone.heard(&mut room).len()), (0, 0), "{role:?}");

        phone.handshake = Some(other_end(room.air.now, &own, role));
        room.amend(1, agreed);
        phone.attend(&mut room);
        assert_eq!(room.events(), SECURED, "{role:?}");
        assert_talking(&mut room, &mut phone, &mut other);
    }
}

#[test]
fn a_browser_that_shakes_hands_anew_after_an_ice_restart_gets_new_keys() {
    let role = DtlsRole::Passive;
    let mut room = Room::new(&[(2, Codec::Pcmu)]);
    let own = Certificate::generate().unwrap();
    let keys = Keys::Dtls { theirs: own.fingerprint(), role };
    let (mut page, restarted) = (page(room.air.now, 1, 0, role), page(room.air.now, 1, 1, role));
    page.phone.handshake = Some(other_end(room.air.now, &own, role));
    let mut other = Phone::new(2, Codec::Pcmu);
    room.open(1, Plan { keys: keys.clone(), ..page.plan });
    room.connect(1, 2);
    page.phone.check(&mut room, Check::Nominating);
    assert_eq!(room.events(), SECURED);

    // Without a restart a hello is nobody's wish.
    page.phone.handshake = Some(other_end(room.air.now, &own, role));
    page.phone.attend(&mut room);
    assert_eq!(page.phone.told.len(), 1);

    room.amend(1, Plan { keys, ..restarted.plan });
    page.phone.ice = restarted.phone.ice;
    page.phone.handshake = Some(other_end(room.air.now, &own, role));
    page.phone.check(&mut room, Check::Nominating);
    assert_eq!(page.phone.told.len(), 2);
    assert_eq!(room.events(), SECURED);
    for _ in 0..3 {
        page.phone.say(&mut room, &[1000; 320]);
        other.say(&mut room, &[1000; 160]);
    }
    assert_eq!((other.heard(&mut room).len(), page.phone.heard(&mut room).len()), (3, 3));
}
