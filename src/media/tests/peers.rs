//! Where a peer is, and whether it is there, when nobody proves it.

use super::phone::Phone;
use super::security::{holding, sdes};
use super::*;
use crate::base::Suite;
use crate::rtp::rtcp::Compound;
use crate::rtp::srtp::OVERHEAD;

#[test]
fn a_phone_behind_nat_is_answered_where_it_sends_from() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let outside = SocketAddr::from(([203, 0, 113, 9], 61_000));
    let to = |room: &mut Room, n| {
        room.come(2, peer(2), &talk(2, Codec::Pcmu, n, &[1; 160]));
        room.heard(1)[0].to
    };
    assert_eq!(to(&mut room, 0), peer(1));
    // Neither of these tells where the phone is.
    room.come(1, outside, b"\x80\x00 short");
    room.come(1, outside, &talk(1, Codec::Pcma, 0, &[1; 160]));
    let mut other_version = talk(1, Codec::Pcmu, 0, &[1; 160]);
    other_version[0] = 0x40;
    room.come(1, outside, &other_version);
    assert_eq!(to(&mut room, 1), peer(1));
    room.come(1, outside, &talk(1, Codec::Pcmu, 0, &[1; 160]));
    assert_eq!(to(&mut room, 2), outside);
    assert_eq!(room.counts(1).dropped, 3);
}

#[test]
fn a_stranger_cannot_take_a_talking_leg_over() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let stranger = SocketAddr::from(([198, 51, 100, 66], 4000));
    for n in 0..500 {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        for other in 0..3 {
            room.come(1, stranger, &talk(1, Codec::Pcmu, n + other, &[66; 160]));
        }
        room.come(2, peer(2), &talk(2, Codec::Pcmu, n, &[2; 160]));
        room.run(20);
    }
    assert!(room.heard(1).iter().all(|h| h.to == peer(1)));
    assert!(room.heard(2).iter().all(|h| h.payload[0] == 1));
    assert_eq!(room.counts(1), Counts { received: 500, sent: 500, lost: 0, dropped: 1500 });
}

#[test]
fn the_address_that_was_signalled_takes_its_leg_back_from_who_came_first() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let sprayer = SocketAddr::from(([198, 51, 100, 66], 4000));
    room.come(1, sprayer, &talk(66, Codec::Pcmu, 0, &[66; 160]));
    room.come(1, peer(1), &talk(1, Codec::Pcmu, 0, &[1; 160]));
    room.come(1, sprayer, &talk(66, Codec::Pcmu, 1, &[66; 160]));
    room.come(2, peer(2), &talk(2, Codec::Pcmu, 0, &[2; 160]));
    assert_eq!(room.heard(1)[0].to, peer(1));
    assert_eq!(room.counts(1).dropped, 1);
}

#[test]
fn a_phone_that_moved_is_found_again_once_its_old_address_is_silent() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let (before, after) = (SocketAddr::from(([203, 0, 113, 9], 1)), SocketAddr::from(([203, 0, 113, 9], 2)));
    room.come(1, before, &talk(1, Codec::Pcmu, 0, &[1; 160]));
    for n in 1..300 {
        room.run(20);
        room.come(1, after, &talk(1, Codec::Pcmu, n, &[1; 160]));
    }
    assert_eq!(room.counts(1), Counts { received: 51, sent: 0, lost: 249, dropped: 249 });
    room.come(2, peer(2), &talk(2, Codec::Pcmu, 0, &[2; 160]));
    assert_eq!(room.heard(1)[0].to, after);
}

#[test]
fn an_amended_address_is_believed_and_an_unchanged_one_forgets_nothing() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let (outside, moved) =
        (SocketAddr::from(([203, 0, 113, 9], 1)), SocketAddr::from(([203, 0, 113, 77], 7)));
    let to = |room: &mut Room, n| {
        room.come(2, peer(2), &talk(2, Codec::Pcmu, n, &[1; 160]));
        room.heard(1)[0].to
    };
    room.come(1, outside, &talk(1, Codec::Pcmu, 0, &[1; 160]));
    room.tell(Command::Amend { leg: LegId(1), plan: plan(1, Codec::Pcmu) });
    assert_eq!(to(&mut room, 0), outside);
    room.tell(Command::Amend {
        leg: LegId(1),
        plan: Plan { path: symmetric(moved), ..plan(1, Codec::Pcmu) },
    });
    assert_eq!(to(&mut room, 1), moved);
    room.come(1, peer(3), &talk(1, Codec::Pcmu, 1, &[1; 160]));
    assert_eq!(to(&mut room, 2), peer(3));
}

#[test]
fn a_peer_without_an_address_is_sent_nothing_until_it_is_heard() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let nowhere = Plan { path: symmetric(SocketAddr::from(([0, 0, 0, 0], 0))), ..plan(1, Codec::Pcmu) };
    room.tell(Command::Amend { leg: LegId(1), plan: nowhere });
    room.come(2, peer(2), &talk(2, Codec::Pcmu, 0, &[1; 160]));
    assert_eq!(room.heard(1), []);
    room.come(1, peer(1), &talk(1, Codec::Pcmu, 0, &[1; 160]));
    room.come(2, peer(2), &talk(2, Codec::Pcmu, 1, &[1; 160]));
    assert_eq!(room.heard(1)[0].to, peer(1));
}

#[test]
fn a_silent_leg_is_told_of_every_five_seconds_until_it_is_heard_again() {
    let mut room = Room::new(&[(1, Codec::Pcmu)]);
    let silent = |since| vec![Event::Silent { leg: LegId(1), since: Duration::from_millis(since) }];
    room.run(4_990);
    assert_eq!(room.events(), []);
    room.run(30_000);
    assert_eq!(room.events(), [5_000, 10_000, 15_000, 20_000, 25_000, 30_000].map(silent).concat());
    room.come(1, peer(1), &talk(1, Codec::Pcmu, 0, &[1; 160]));
    room.run(20);
    let audible = [Event::Audible { leg: LegId(1) }];
    assert_eq!(room.events(), audible);
    room.run(3_980);
    room.come(1, peer(1), &talk(1, Codec::Pcmu, 1, &[1; 160]));
    room.run(4_900);
    assert_eq!(room.events(), []);
    room.run(200);
    assert_eq!(room.events(), silent(5_000 + 10));
    // However it falls between two reports.
    for n in 2..150 {
        room.run(1_000);
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.run(4_980);
        assert_eq!(room.events(), audible);
        room.run(40);
        assert_eq!(room.events().len(), 1);
    }

    // On hold nothing should come; back from hold the time counts anew.
    let hold = Plan { direction: Direction::SendOnly, ..plan(1, Codec::Pcmu) };
    room.tell(Command::Amend { leg: LegId(1), plan: hold });
    room.run(60_000);
    room.tell(Command::Amend { leg: LegId(1), plan: plan(1, Codec::Pcmu) });
    room.run(4_900);
    assert_eq!(room.events(), []);
    room.run(200);
    assert_eq!(room.events().len(), 1);
}

/// Where the peer of leg n reports from.
fn reporter(n: u64) -> SocketAddr {
    SocketAddr::new(peer(n).ip(), 4001)
}

/// A report every four seconds, for so many seconds.
fn report_for(room: &mut Room, seconds: u64, mut report: impl FnMut() -> (SocketAddr, Vec<u8>)) {
    for _ in 0..seconds / 4 {
        let (from, bytes) = report();
        room.come_on(1, Channel::Rtcp, from, &bytes);
        room.run(4_000);
    }
}

fn report() -> Vec<u8> {
    Compound::report(0x101, None, None).as_bytes().to_vec()
}

/// At least so long, and no longer than to the report of ours that was due then.
fn assert_absent(room: &mut Room, seconds: u64, agreed: Direction) {
    let (since, direction) = room.absence(1).expect("it is missed");
    assert!((seconds - 6..=seconds).contains(&since.as_secs()), "{since:?}");
    assert_eq!(direction, agreed);
}

#[test]
fn a_peer_that_reports_is_there_however_silent_it_is() {
    let mut room = Room::new(&[(1, Codec::Pcmu)]);
    report_for(&mut room, 120, || (reporter(1), report()));
    let told = room.told();
    let silent = Event::Silent { leg: LegId(1), since: Duration::from_secs(115) };
    assert!(told.contains(&silent), "of its sound nothing was heard");
    assert!(!told.iter().any(|event| matches!(event, Event::Absent { .. })), "{told:?}");
    room.run(56_000);
    assert_absent(&mut room, 60, Direction::SendRecv);
    // So is one that is heard and never reports.
    for n in 0..3_000 {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.run(20);
    }
    assert_eq!(room.absence(1), None);
}

#[test]
fn what_strangers_report_is_no_sign_of_life() {
    let stranger = SocketAddr::from(([198, 51, 100, 66], 4001));
    let mut room = Room::new(&[(1, Codec::Pcmu)]);
    report_for(&mut room, 60, || (stranger, report()));
    assert_absent(&mut room, 60, Direction::SendRecv);
    // Nor is what comes from the right place and is no report.
    report_for(&mut room, 60, || (reporter(1), vec![0x80, 200]));
    assert_absent(&mut room, 120, Direction::SendRecv);
}

#[test]
fn where_there_are_keys_only_reports_under_them_are_a_sign_of_life_and_each_once() {
    let keys = sdes(Suite::AesCm128HmacSha1_80, 10);
    let mut phone = holding(Phone::new(1, Codec::Pcmu), &keys);
    let mut forger = holding(Phone::new(1, Codec::Pcmu), &sdes(Suite::AesCm128HmacSha1_80, 20));
    let sealed = |phone: &mut Phone| {
        let (mut bytes, length) = (report(), report().len());
        bytes.resize(length + OVERHEAD, 0);
        let srtp = phone.srtp.as_mut().unwrap();
        let length = srtp.protector.protect_rtcp(&mut bytes, length).unwrap();
        bytes.truncate(length);
        bytes
    };
    let mut room = Room::new(&[]);
    room.open(1, Plan { keys, ..plan(1, Codec::Pcmu) });
    let mut last = vec![];
    report_for(&mut room, 60, || {
        last = sealed(&mut phone);
        (reporter(1), last.clone())
    });
    assert_eq!(room.absence(1), None);
    report_for(&mut room, 60, || (reporter(1), sealed(&mut forger)));
    report_for(&mut room, 60, || (reporter(1), report()));
    report_for(&mut room, 60, || (reporter(1), last.clone()));
    assert_absent(&mut room, 184, Direction::SendRecv);
}

#[test]
fn a_peer_on_hold_that_is_gone_is_missed_and_with_each_agreement_anew() {
    let mut room = Room::new(&[(1, Codec::Pcmu)]);
    for direction in [Direction::RecvOnly, Direction::Inactive, Direction::SendOnly, Direction::SendOnly] {
        room.amend(1, Plan { direction, ..plan(1, Codec::Pcmu) });
        room.run(4_000);
        assert_eq!(room.absence(1), None, "it was there to agree");
        room.run(296_000);
        assert_absent(&mut room, 300, direction);
    }
}
