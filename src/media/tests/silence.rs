//! Comfort noise (RFC 3389): a line that is quiet and not dead.

use super::phone::Phone;
use super::sound::{loudness, tone};
use super::*;

const NOISE: u8 = 13;

fn noisy(leg: u64, codec: Codec) -> Plan {
    Plan { noise: Some(NOISE), ..plan(leg, codec) }
}

/// What a silent phone says of its silence.
fn noise(phone: &mut Phone) -> Vec<u8> {
    let audio = phone.next.payload_type;
    phone.next.payload_type = NOISE;
    let bytes = phone.payload(&[55], 0);
    phone.next.payload_type = audio;
    bytes
}

fn is_noise(heard: &Heard) -> bool {
    heard.header.payload_type == NOISE
}

#[test]
fn a_quiet_leg_is_told_once_a_second_if_it_agreed_to_that() {
    let mut room = Room::new(&[(2, Codec::Pcmu)]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.run(10_500);
    assert_eq!(room.heard(2), []);
    let heard = room.heard(1);
    assert_eq!(heard.len(), 10);
    assert_continuous(&heard);
    for (n, h) in heard.iter().enumerate() {
        assert!(is_noise(h) && h.payload == [70]);
        assert!((980..=1020).contains(&(h.at - n as u64 * 1000)), "{}", h.at);
        let told = h.header.timestamp.wrapping_sub(heard[0].header.timestamp);
        assert_eq!(u64::from(told), (h.at - heard[0].at) * 8);
    }
}

#[test]
fn who_hears_something_or_is_on_hold_is_told_of_no_silence() {
    let mut room = Room::new(&[]);
    room.open(1, noisy(1, Codec::Pcmu));
    let music = room.play(1, &[&[1000; 1600]], Repeat::Forever);
    room.patch(1, &[music]);
    room.run(5_000);
    assert!(!room.heard(1).iter().any(is_noise));
    room.patch(1, &[]);
    room.run(3_000);
    let heard = room.heard(1);
    assert!((2..=3).contains(&heard.len()) && heard.iter().all(is_noise), "{heard:?}");
    // Sound after noise begins with a marker, as after any silence.
    room.patch(1, &[music]);
    room.run(100);
    assert!(room.heard(1)[0].header.marker);
    room.amend(1, Plan { direction: Direction::RecvOnly, ..noisy(1, Codec::Pcmu) });
    room.run(5_000);
    assert_eq!(room.heard(1), []);
}

#[test]
fn a_peers_noise_keeps_its_leg_from_being_called_silent() {
    let mut room = Room::new(&[]);
    room.open(1, noisy(1, Codec::Pcma));
    let mut phone = Phone::new(1, Codec::Pcma);
    for _ in 0..60 {
        room.run(500);
        phone.next.timestamp = phone.next.timestamp.wrapping_add(4000);
        let bytes = noise(&mut phone);
        phone.send(&mut room, &bytes);
    }
    assert_eq!(room.events(), []);
    assert_eq!(room.counts(1), Counts { received: 60, sent: room.counts(1).sent, lost: 0, dropped: 0 });
}

#[test]
fn noise_goes_on_to_who_agreed_to_it_and_leaves_no_gap_elsewhere() {
    let mut room = Room::new(&[(3, Codec::Pcmu), (4, Codec::Opus)]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.open(2, Plan { noise: Some(96), ..plan(2, Codec::Pcma) });
    for listener in [2, 3, 4] {
        room.patch(listener, &[Source::Leg(LegId(1))]);
    }
    let mut phone = Phone::new(1, Codec::Pcmu);
    for _ in 0..3 {
        phone.speak(&mut room, &tone(Rate::Narrow, 400.0, 8000.0, 200));
        for _ in 0..2 {
            let bytes = noise(&mut phone);
            phone.send(&mut room, &bytes);
            room.run(200);
            phone.next.timestamp = phone.next.timestamp.wrapping_add(1600);
        }
        phone.next.marker = true;
    }
    let heard = room.heard(2);
    assert_eq!(heard.iter().filter(|h| h.header.payload_type == 96 && h.payload == [55]).count(), 6);
    assert_eq!(heard.len(), 36);
    assert_continuous(&heard);
    for leg in [3, 4] {
        let heard = room.heard(leg);
        assert_eq!(heard.len(), 30, "{leg}");
        assert!(heard.iter().all(|h| h.header.payload_type == heard[0].header.payload_type));
        assert!(heard.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
    }
}

#[test]
fn noise_that_was_not_agreed_on_is_dropped() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let mut phone = Phone::new(1, Codec::Pcmu);
    let bytes = noise(&mut phone);
    phone.send(&mut room, &bytes);
    assert_eq!((room.heard(2), room.counts(1).dropped), (vec![], 1));
}

#[test]
fn noise_is_silence_on_the_tape() {
    let mut room = Room::new(&[]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.tell(Command::Record { recording: RecordingId(1), left: LegId(1), right: None });
    let mut phone = Phone::new(1, Codec::Pcmu);
    for _ in 0..50 {
        let bytes = noise(&mut phone);
        phone.send(&mut room, &bytes);
        room.run(100);
        phone.next.timestamp = phone.next.timestamp.wrapping_add(800);
    }
    assert!(loudness(&room.tapes[&RecordingId(1)]) < 1.0);
}
