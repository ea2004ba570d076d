//! Keys of every kind on either side, and what those get to hear who have none.

use super::phone::Phone;
use super::*;
use crate::base::{DtlsRole, Fingerprint, MasterKey, Suite};
use crate::media::dtls::{self, Handshake};
use crate::rtp::srtp::{Protector, Refusal, Unprotector};

/// How a leg is protected.
#[derive(Clone, Copy, Debug)]
enum Guard {
    None,
    Sdes(Suite),
    /// The bay's role.
    Dtls(DtlsRole),
}

const EVERY: [Guard; 7] = [
    Guard::None,
    Guard::Sdes(Suite::AeadAes128Gcm),
    Guard::Sdes(Suite::AesCm128HmacSha1_80),
    Guard::Sdes(Suite::AeadAes256Gcm),
    Guard::Sdes(Suite::AesCm128HmacSha1_32),
    Guard::Dtls(DtlsRole::Active),
    Guard::Dtls(DtlsRole::Passive),
];

fn master(suite: Suite, octet: u8) -> MasterKey {
    MasterKey::new(suite, &vec![octet; suite.key_length() + suite.salt_length()]).unwrap()
}

/// Keys of SDES: ours and theirs.
pub fn sdes(suite: Suite, octet: u8) -> Keys {
    Keys::Sdes { ours: master(suite, octet), theirs: master(suite, octet + 1) }
}

/// The phone's end of such keys.
pub fn holding(phone: Phone, keys: &Keys) -> Phone {
    let Keys::Sdes { ours, theirs } = keys else { panic!("there is nothing to hold") };
    phone.with_keys(ours, theirs)
}

/// A phone that shakes hands in the other role, and the keys that its leg is to have.
pub fn shaking(phone: Phone, now: Mono, role: DtlsRole) -> (Phone, Keys) {
    let own = Certificate::generate().unwrap();
    let other = match role {
        DtlsRole::Active => DtlsRole::Passive,
        DtlsRole::Passive => DtlsRole::Active,
    };
    let handshake = Handshake::new(now, &own, other, Some(kit().certificate.fingerprint()));
    (phone.with_handshake(handshake), Keys::Dtls { theirs: own.fingerprint(), role })
}

impl Guard {
    /// Opens leg n under this guard. Gives its phone, which has its keys.
    fn open(self, room: &mut Room, leg: u64) -> Phone {
        let codec = Codec::Pcmu;
        let phone = Phone::new(leg, codec);
        let (mut phone, keys) = match self {
            Self::None => (phone, Keys::None),
            Self::Sdes(suite) => {
                let keys = sdes(suite, 10 * leg as u8);
                (holding(phone, &keys), keys)
            }
            Self::Dtls(role) => shaking(phone, room.air.now, role),
        };
        room.open(leg, Plan { keys, ..plan(leg, codec) });
        phone.attend(room);
        if let Self::Dtls(_) = self {
            assert_eq!(room.events(), [Event::Secured { leg: LegId(leg) }]);
            assert!(matches!(phone.told[..], [dtls::Event::Connected { .. }]));
        }
        phone
    }
}

/// A pair that talks, by their guards.
fn guarded(a: Guard, b: Guard) -> (Room, [Phone; 2]) {
    let mut room = Room::new(&[]);
    let phones = [a.open(&mut room, 1), b.open(&mut room, 2)];
    room.connect(1, 2);
    (room, phones)
}

fn payloads(heard: Vec<Heard>) -> Vec<Vec<u8>> {
    heard.into_iter().map(|h| h.payload).collect()
}

#[test]
fn how_late_a_packet_may_come_is_the_same_under_every_guard() {
    for guard in EVERY {
        let (mut room, mut phones) = guarded(guard, Guard::None);
        let packets: Vec<_> = (0..=200u8).map(|n| phones[0].payload(&[n; 160], 160)).collect();
        // Behind the newest of those before by 100, 99 and 101.
        let late = [61, 62, 60];
        for n in (0..=200).filter(|n| !late.contains(n)) {
            phones[0].send(&mut room, &packets[n]);
            room.run(20);
            if n == 161 {
                late.iter().for_each(|n| phones[0].send(&mut room, &packets[*n]));
            }
        }
        let heard: Vec<_> = payloads(phones[1].heard(&mut room)).into_iter().map(|p| p[0]).collect();
        assert_eq!(heard.len(), 200, "{guard:?}");
        assert_eq!(heard[158..=161], [161, 61, 62, 162], "{guard:?}");
        // Each once.
        packets[100..].iter().for_each(|bytes| phones[0].send(&mut room, bytes));
        assert!(phones[1].heard(&mut room).is_empty(), "{guard:?}");
    }
}

#[test]
fn every_guard_talks_with_every_other() {
    for a in EVERY {
        for b in EVERY {
            let (mut room, mut phones) = guarded(a, b);
            for n in 0..50u8 {
                for (from, to) in [(0, 1), (1, 0)] {
                    let bytes = phones[from].payload(&[n ^ from as u8; 160], 160);
                    phones[from].send(&mut room, &bytes);
                    let heard = phones[to].heard(&mut room);
                    assert_eq!(payloads(heard), [[n ^ from as u8; 160]], "{a:?} {b:?}");
                }
                room.run(20);
            }
            let counts = Counts { received: 50, sent: 50, lost: 0, dropped: 0 };
            assert_eq!((room.counts(1), room.counts(2)), (counts, counts));
        }
    }
}

#[test]
fn prompts_and_reports_are_protected_too() {
    for guard in EVERY {
        let mut room = Room::new(&[]);
        let mut phone = guard.open(&mut room, 1);
        let music = room.play(1, &[&[1000; 1600]], Repeat::Forever);
        room.patch(1, &[music]);
        room.run(10_000);
        assert_eq!(phone.heard(&mut room).len(), 500, "{guard:?}");
        let reports = std::mem::take(&mut room.air.rtcp);
        assert!(!reports.is_empty());
        for (.., mut bytes) in reports {
            if let Some(srtp) = &mut phone.srtp {
                let length = srtp.unprotector.unprotect_rtcp(&mut bytes).expect("it is ours and new");
                bytes.truncate(length);
            }
            let first = crate::rtp::rtcp::parse(&bytes).next();
            assert!(matches!(first, Some(crate::rtp::rtcp::Item::Report { ssrc: 0x5001, .. })));
        }
    }
}

#[test]
fn a_certificate_other_than_signalling_named_gives_no_keys_and_no_audio() {
    for role in [DtlsRole::Active, DtlsRole::Passive] {
        let mut room = Room::new(&[]);
        let (mut phone, _) = shaking(Phone::new(1, Codec::Pcmu), room.air.now, role);
        let keys = Keys::Dtls { theirs: Fingerprint([7; 32]), role };
        room.open(1, Plan { keys, ..plan(1, Codec::Pcmu) });
        let mut other = Guard::None.open(&mut room, 2);
        room.connect(1, 2);
        phone.attend(&mut room);
        assert_eq!(room.events(), [Event::Unsecured { leg: LegId(1) }]);
        for _ in 0..5 {
            phone.say(&mut room, &[1000; 160]);
            other.say(&mut room, &[1000; 160]);
        }
        assert_eq!(other.heard(&mut room), []);
        assert_eq!(phone.heard(&mut room), []);
        assert_eq!(room.counts(1), Counts { dropped: 5, ..Counts::default() });
    }
}

#[test]
fn any_one_lost_datagram_of_a_handshake_costs_a_moment() {
    for role in [DtlsRole::Active, DtlsRole::Passive] {
        for lost in 0..6 {
            let mut room = Room::new(&[]);
            let (mut phone, keys) = shaking(Phone::new(1, Codec::Pcmu), room.air.now, role);
            room.open(1, Plan { keys, ..plan(1, Codec::Pcmu) });
            let (mut flown, mut events) = (0, vec![]);
            let mut arrives = || {
                flown += 1;
                flown != lost + 1
            };
            while phone.told.is_empty() || events.is_empty() {
                let handshake = phone.handshake.as_mut().unwrap();
                let theirs: Vec<_> = std::iter::from_fn(|| handshake.poll_transmit()).collect();
                let ours = room.sent(|_| true);
                if theirs.is_empty() && ours.is_empty() {
                    room.run(10);
                    phone.handshake.as_mut().unwrap().handle_timeout(room.air.now);
                }
                theirs.iter().filter(|_| arrives()).for_each(|bytes| phone.send(&mut room, bytes));
                ours.into_iter().filter(|_| arrives()).for_each(|datagram| phone.take(datagram));
                events.extend(room.events());
                assert!(room.air.now < Mono::ZERO + Duration::from_secs(1), "{role:?} {lost}");
            }
            assert_eq!(events, [Event::Secured { leg: LegId(1) }], "{role:?} {lost}");
            assert!(flown > lost && room.air.now > Mono::ZERO, "{role:?} {lost}: nothing was lost");
        }
    }
}

#[test]
fn nothing_passes_before_there_are_keys() {
    let mut room = Room::new(&[]);
    let (mut phone, keys) = shaking(Phone::new(1, Codec::Pcmu), room.air.now, DtlsRole::Passive);
    room.open(1, Plan { keys, ..plan(1, Codec::Pcmu) });
    let mut other = Guard::None.open(&mut room, 2);
    room.connect(1, 2);
    for _ in 0..5 {
        phone.say(&mut room, &[1000; 160]);
        other.say(&mut room, &[1000; 160]);
        room.run(20);
    }
    assert!(room.air.rtp.is_empty());
    assert_eq!((room.counts(1).dropped, room.counts(1).sent), (5, 0));
    phone.attend(&mut room);
    other.say(&mut room, &[1000; 160]);
    assert_eq!(phone.heard(&mut room).len(), 1);
}

#[test]
fn plain_packets_are_not_believed_of_a_protected_peer() {
    for guard in &EVERY[1..] {
        let (mut room, [_, mut other]) = guarded(*guard, Guard::None);
        for n in 0..5 {
            room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        }
        assert_eq!(other.heard(&mut room), []);
        assert_eq!(room.counts(1).dropped, 5);
    }
}

#[test]
fn what_is_forged_replayed_or_cut_short_is_dropped_and_costs_nothing() {
    for guard in &EVERY[1..] {
        let (mut room, [mut phone, mut other]) = guarded(*guard, Guard::None);
        let genuine: Vec<_> = (0..50).map(|n| phone.payload(&[n; 160], 160)).collect();
        for bytes in &genuine {
            phone.send(&mut room, bytes);
        }
        assert_eq!(other.heard(&mut room).len(), 50);
        let mut hostile = genuine.clone();
        let fresh = phone.payload(&[9; 160], 160);
        hostile.extend((0..fresh.len()).map(|length| fresh[..length].to_vec()));
        hostile.extend((0..fresh.len()).map(|n| {
            let mut forged = fresh.clone();
            forged[n] ^= 1;
            forged
        }));
        let before = room.counts(1);
        assert_eq!(room.flood(phone.socket, phone.at, &hostile), (0, 0), "{guard:?}");
        assert_eq!(room.counts(1), Counts { dropped: hostile.len() as u64, ..before });
        // None of that spoilt the packet they were made of.
        phone.send(&mut room, &fresh);
        assert_eq!(payloads(other.heard(&mut room)), [[9; 160]]);
    }
}

#[test]
fn thousands_of_forged_sources_leave_no_trace_and_silence_nobody() {
    for guard in EVERY {
        let (mut room, [mut phone, mut other]) = guarded(guard, Guard::None);
        phone.say(&mut room, &[1000; 160]);
        let forged: Vec<_> = (0..5000u32)
            .map(|n| {
                let mut bytes = talk(1, Codec::Pcmu, n, &[66; 170]);
                bytes[8..12].copy_from_slice(&(n * 7919).to_be_bytes());
                bytes
            })
            .collect();
        // Without keys a stranger is known by its address alone.
        let from = match guard {
            Guard::None => SocketAddr::from(([198, 51, 100, 66], 4000)),
            _ => phone.at,
        };
        assert_eq!(room.flood(phone.socket, from, &forged), (0, 0), "{guard:?}");
        assert_eq!(room.counts(1).dropped, 5000);
        for _ in 0..5 {
            phone.say(&mut room, &[1000; 160]);
        }
        assert_eq!(other.heard(&mut room).len(), 6, "{guard:?}");
        assert_eq!(room.counts(1).lost, 0);
    }
}

#[test]
fn a_protected_phone_that_moved_is_followed_at_once() {
    for guard in &EVERY[1..] {
        let (mut room, [mut phone, mut other]) = guarded(*guard, Guard::None);
        phone.say(&mut room, &[1000; 160]);
        phone.at = SocketAddr::from(([203, 0, 113, 77], 61_000));
        phone.say(&mut room, &[1000; 160]);
        assert_eq!(other.heard(&mut room).len(), 2);
        other.say(&mut room, &[1000; 160]);
        assert_eq!(phone.heard(&mut room).len(), 1, "{guard:?}");
    }
}

#[test]
fn a_recorded_packet_draws_no_leg_away() {
    for guard in &EVERY[1..] {
        let (mut room, [mut phone, mut other]) = guarded(*guard, Guard::None);
        let recorded = phone.packet(&[1000; 160]);
        phone.send(&mut room, &recorded);
        room.come(1, SocketAddr::from(([198, 51, 100, 66], 4000)), &recorded);
        other.say(&mut room, &[1000; 160]);
        assert_eq!(phone.heard(&mut room).len(), 1, "{guard:?}");
    }
}

#[test]
fn new_keys_replace_the_old_and_the_same_ones_forget_nothing() {
    let (mut room, [mut phone, mut other]) = guarded(Guard::Sdes(Suite::ALL[0]), Guard::None);
    let first = phone.packet(&[1000; 160]);
    phone.send(&mut room, &first);
    // A re-INVITE that says the same.
    room.amend(1, Plan { keys: sdes(Suite::ALL[0], 10), ..plan(1, Codec::Pcmu) });
    phone.send(&mut room, &first);
    phone.say(&mut room, &[1000; 160]);
    other.say(&mut room, &[1000; 160]);
    assert_eq!((other.heard(&mut room).len(), phone.heard(&mut room).len()), (2, 1));

    for suite in Suite::ALL {
        let keys = sdes(suite, 100);
        let old = phone.packet(&[1000; 160]);
        room.amend(1, Plan { keys: keys.clone(), ..plan(1, Codec::Pcmu) });
        phone.send(&mut room, &old);
        phone = holding(phone, &keys);
        phone.say(&mut room, &[1000; 160]);
        other.say(&mut room, &[1000; 160]);
        assert_eq!((other.heard(&mut room).len(), phone.heard(&mut room).len()), (1, 1), "{suite:?}");
    }
    // Keys may also come, or go.
    room.amend(1, plan(1, Codec::Pcmu));
    phone.srtp = None;
    phone.say(&mut room, &[1000; 160]);
    other.say(&mut room, &[1000; 160]);
    assert_eq!((other.heard(&mut room).len(), phone.heard(&mut room).len()), (1, 1));
}

/// Once our sequence wrapped, its rollover counter is not what a stream begins with.
fn let_ours_wrap(room: &mut Room, phone: &mut Phone, other: &mut Phone) {
    let mut sequences = 0..=0;
    while sequences.start() <= sequences.end() {
        other.say(room, &[1000; 160]);
        let heard = phone.heard(room);
        sequences = *sequences.end()..=heard[0].header.sequence;
        room.run(20);
    }
}

/// Where a phone may be after a re-INVITE: where it was, or elsewhere.
fn places() -> [SocketAddr; 2] {
    [peer(1), SocketAddr::from(([203, 0, 113, 77], 7000))]
}

/// RFC 3711 §3.3.1 bids it keep its round; not every peer does.
#[test]
fn a_phone_that_talked_past_a_wrap_is_heard_under_its_new_key_in_its_round_and_in_the_first() {
    let kept: fn(&mut Protector, &MasterKey) = |protector, key| protector.rekey(key);
    let restarted: fn(&mut Protector, &MasterKey) = |protector, key| *protector = Protector::new(key);
    for (suite, renew) in Suite::ALL.into_iter().flat_map(|suite| [(suite, kept), (suite, restarted)]) {
        for at in places() {
            let (mut room, [mut phone, mut other]) = guarded(Guard::Sdes(suite), Guard::None);
            phone.next.sequence = 0xfffe;
            (0..4).for_each(|_| phone.say(&mut room, &[1000; 160]));
            assert_eq!(other.heard(&mut room).len(), 4);
            let Keys::Sdes { ours, .. } = sdes(suite, 10) else { unreachable!() };
            let renewed = master(suite, 99);
            let keys = Keys::Sdes { ours, theirs: renewed.clone() };
            room.amend(1, Plan { keys, path: symmetric(at), ..plan(1, Codec::Pcmu) });
            phone.at = at;
            renew(&mut phone.srtp.as_mut().unwrap().protector, &renewed);
            let forged: Vec<_> = (0..100).map(|n| [&phone.next.to_bytes()[..], &[n; 176]].concat()).collect();
            assert_eq!(room.flood(phone.socket, phone.at, &forged), (0, 0));
            for _ in 0..3 {
                let packet = phone.packet(&[1000; 160]);
                // The second is a replay.
                phone.send(&mut room, &packet);
                phone.send(&mut room, &packet);
            }
            assert_eq!(other.heard(&mut room).len(), 3, "{suite:?}");
            assert_eq!(room.counts(1).dropped, 100 + 3, "{suite:?}");
        }
    }
}

#[test]
fn another_key_of_ours_goes_on_in_the_round_that_we_are_in_wherever_the_peer_is() {
    let (mut room, [mut phone, mut other]) = guarded(Guard::Sdes(Suite::ALL[0]), Guard::None);
    let_ours_wrap(&mut room, &mut phone, &mut other);
    let Keys::Sdes { theirs, .. } = sdes(Suite::ALL[0], 10) else { unreachable!() };
    for (suite, at) in [Suite::ALL[1], Suite::ALL[2]].into_iter().zip(places()) {
        let ours = master(suite, 77);
        let keys = Keys::Sdes { ours: ours.clone(), theirs: theirs.clone() };
        room.amend(1, Plan { keys, path: symmetric(at), ..plan(1, Codec::Pcmu) });
        phone.at = at;
        phone.srtp.as_mut().unwrap().unprotector.rekey(&ours);
        other.say(&mut room, &[1000; 160]);
        let [datagram] = &room.sent(|datagram| datagram.to == at)[..] else { panic!("one went out") };
        let mut bytes = datagram.bytes.clone();
        assert_eq!(Unprotector::new(&ours).unprotect(&mut bytes), Err(Refusal::Forged), "{suite:?}");
        phone.take(datagram.clone());
        assert_eq!(phone.heard(&mut room).len(), 1, "{suite:?}");
    }
}

#[test]
fn a_peer_that_changes_only_its_own_key_goes_on_opening_what_we_send() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut room, [mut phone, mut other]) = guarded(Guard::Sdes(suite), Guard::None);
    let_ours_wrap(&mut room, &mut phone, &mut other);
    let Keys::Sdes { ours, theirs } = sdes(suite, 10) else { unreachable!() };
    let renewed = master(suite, 99);
    assert_ne!(theirs, renewed);
    let keys = Keys::Sdes { ours: ours.clone(), theirs: renewed.clone() };
    room.amend(1, Plan { keys, ..plan(1, Codec::Pcmu) });
    phone.srtp.as_mut().unwrap().protector.rekey(&renewed);
    for _ in 0..3 {
        phone.say(&mut room, &[1000; 160]);
        other.say(&mut room, &[1000; 160]);
    }
    assert_eq!((other.heard(&mut room).len(), phone.heard(&mut room).len()), (3, 3));
}

#[test]
fn a_new_certificate_is_a_new_handshake_and_the_same_one_none() {
    for role in [DtlsRole::Active, DtlsRole::Passive] {
        let mut room = Room::new(&[]);
        let (mut phone, keys) = shaking(Phone::new(1, Codec::Pcmu), room.air.now, role);
        room.open(1, Plan { keys: keys.clone(), ..plan(1, Codec::Pcmu) });
        let mut other = Guard::None.open(&mut room, 2);
        room.connect(1, 2);
        phone.attend(&mut room);
        let hold = Plan { keys, direction: Direction::SendOnly, ..plan(1, Codec::Pcmu) };
        room.amend(1, hold);
        other.say(&mut room, &[1000; 160]);
        assert_eq!(phone.heard(&mut room).len(), 1);
        assert_eq!(room.events(), [Event::Secured { leg: LegId(1) }]);

        let (mut phone, keys) = shaking(phone, room.air.now, role);
        room.amend(1, Plan { keys, ..plan(1, Codec::Pcmu) });
        phone.attend(&mut room);
        assert_eq!(room.events(), [Event::Secured { leg: LegId(1) }]);
        for _ in 0..3 {
            other.say(&mut room, &[1000; 160]);
            phone.say(&mut room, &[1000; 160]);
        }
        assert_eq!((other.heard(&mut room).len(), phone.heard(&mut room).len()), (3, 3), "{role:?}");
    }
}

#[test]
fn a_peer_that_ends_its_association_is_told_of_and_ours_ends_with_the_leg() {
    let mut room = Room::new(&[]);
    let mut phone = Guard::Dtls(DtlsRole::Passive).open(&mut room, 1);
    phone.handshake.as_mut().unwrap().close();
    phone.attend(&mut room);
    assert_eq!(room.events(), [Event::Lost { leg: LegId(1) }]);

    let mut phone = Guard::Dtls(DtlsRole::Passive).open(&mut room, 2);
    room.tell(Command::Close { leg: LegId(2) });
    phone.attend(&mut room);
    assert_eq!(phone.told.last(), Some(&dtls::Event::Closed));
}
