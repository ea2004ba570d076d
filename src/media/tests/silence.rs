//! Comfort noise (RFC 3389): a line that is quiet and not dead.

use super::phone::Phone;
use super::sound::{loudness, tone};
use super::*;
use crate::audio::noise::Noise;
use crate::rtp::packet::HEADER;

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

/// Leg 1 talks to the others in spurts of 200 ms, and is silent between for 400, which it tells
/// twice.
fn spurts(room: &mut Room, phone: &mut Phone, count: usize) {
    for _ in 0..count {
        phone.speak(room, &tone(Rate::Narrow, 400.0, 8000.0, 200));
        for _ in 0..2 {
            let bytes = noise(phone);
            phone.send(room, &bytes);
            room.run(203);
            phone.next.timestamp = phone.next.timestamp.wrapping_add(1624);
        }
        phone.next.marker = true;
    }
}

/// In −dBov.
fn level(sound: &[i16]) -> f64 {
    -20.0 * (loudness(sound) / 32_767.0).log10()
}

/// The levels of the pauses, without their edges.
fn pauses(rate: Rate, sound: &[i16]) -> Vec<f64> {
    let frames: Vec<_> = sound.chunks_exact(rate.frame()).collect();
    let pauses = frames.split(|frame| loudness(frame) > 200.0).filter(|pause| pause.len() > 10);
    pauses.map(|pause| level(&pause[4..pause.len() - 2].concat())).collect()
}

#[test]
fn noise_goes_on_to_who_agreed_to_it_and_leaves_no_gap() {
    let mut room = Room::new(&[]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.open(2, Plan { noise: Some(96), ..plan(2, Codec::Pcma) });
    room.patch(2, &[Source::Leg(LegId(1))]);
    spurts(&mut room, &mut Phone::new(1, Codec::Pcmu), 3);
    let heard = room.heard(2);
    assert_eq!(heard.iter().filter(|h| h.header.payload_type == 96 && h.payload == [55]).count(), 6);
    assert_eq!(heard.len(), 36);
    assert_continuous(&heard);
}

#[test]
fn who_cannot_be_told_of_silence_hears_noise_of_its_level_in_every_codec() {
    let listeners = [(3, Codec::Pcmu), (4, Codec::Pcma), (5, Codec::G722), (6, Codec::Opus)];
    let mut room = Room::new(&listeners);
    room.open(1, noisy(1, Codec::Pcmu));
    for (listener, _) in listeners {
        room.patch(listener, &[Source::Leg(LegId(1))]);
    }
    let mut phone = Phone::new(1, Codec::Pcmu);
    spurts(&mut room, &mut phone, 10);
    for (leg, codec) in listeners {
        let mut listener = Phone::new(leg, codec);
        let heard = listener.heard(&mut room);
        assert!(heard.iter().all(|h| h.header.payload_type == codec.payload_type()), "{codec:?}");
        assert!(heard.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
        let pauses = pauses(codec.rate(), &listener.decode(&heard));
        assert!(pauses.len() >= 9, "{codec:?} {pauses:?}");
        assert!(pauses.iter().all(|level| (52.0..58.0).contains(level)), "{codec:?} {pauses:?}");
    }
}

#[test]
fn pauses_filled_with_noise_last_as_long_as_they_did() {
    let mut room = Room::new(&[(2, Codec::Opus), (3, Codec::Pcma)]);
    room.open(1, noisy(1, Codec::Pcmu));
    for listener in [2, 3] {
        room.patch(listener, &[Source::Leg(LegId(1))]);
    }
    spurts(&mut room, &mut Phone::new(1, Codec::Pcmu), 100);
    for (leg, clock) in [(2, 48), (3, 8)] {
        let heard = room.heard(leg);
        let (first, last) = (&heard[0], &heard[heard.len() - 1]);
        let told = u64::from(last.header.timestamp.wrapping_sub(first.header.timestamp) / clock);
        assert!(told.abs_diff(last.at - first.at) <= 40, "{told} {}", last.at - first.at);
        for pair in heard.windows(2) {
            let step = crate::rtp::ahead(pair[0].header.timestamp, pair[1].header.timestamp);
            assert!((20..60).contains(&(step / clock as i32)), "{step}");
        }
    }
}

#[test]
fn a_peer_that_vanished_in_silence_is_no_noise_for_ever_and_costs_no_tick_then() {
    let mut room = Room::new(&[(2, Codec::Opus)]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.patch(2, &[Source::Leg(LegId(1))]);
    let mut phone = Phone::new(1, Codec::Pcmu);
    let bytes = noise(&mut phone);
    phone.send(&mut room, &bytes);
    room.run(60_000);
    let heard = room.heard(2);
    assert_eq!(heard.len(), 1500);
    assert!((29_960..=30_040).contains(&heard[1499].at), "{}", heard[1499].at);
    assert!(room.bay.poll_timeout().unwrap() - room.air.now > Duration::from_millis(20));
}

#[test]
fn who_is_told_no_more_of_a_silent_peer_hears_nothing_of_it() {
    let mut room = Room::new(&[(2, Codec::Opus), (3, Codec::Pcmu)]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.patch(2, &[Source::Leg(LegId(1))]);
    let mut phone = Phone::new(1, Codec::Pcmu);
    let bytes = noise(&mut phone);
    phone.send(&mut room, &bytes);
    room.run(1000);
    assert_eq!(room.heard(2).len(), 50);
    room.patch(2, &[Source::Leg(LegId(3))]);
    room.run(1000);
    assert_eq!(room.heard(2), []);
}

#[test]
fn a_peer_that_holds_the_line_in_silence_is_no_noise_any_more() {
    let mut room = Room::new(&[(2, Codec::Opus)]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.patch(2, &[Source::Leg(LegId(1))]);
    room.tell(Command::Record { recording: RecordingId(1), leg: LegId(1) });
    let mut phone = Phone::new(1, Codec::Pcmu);
    let bytes = noise(&mut phone);
    phone.send(&mut room, &bytes);
    room.run(1000);
    assert_eq!(room.heard(2).len(), 50);
    room.amend(1, Plan { direction: Direction::Inactive, ..noisy(1, Codec::Pcmu) });
    room.run(1000);
    assert_eq!(room.heard(2), []);
    let tape: Vec<i16> = room.tapes[&RecordingId(1)].iter().step_by(2).copied().collect();
    assert!((53.0..57.0).contains(&level(&tape[2000..6000])), "{}", level(&tape[2000..6000]));
    assert_eq!(tape[tape.len() - 4000..], [0; 4000]);
}

/// What a phone with DTX sends in silence: the first octet of its packets, and no sound.
fn dtx(phone: &mut Phone, like: &[u8]) -> Vec<u8> {
    phone.payload(&like[HEADER..][..1], 960 * 20)
}

#[test]
fn the_silence_of_opus_sounds_as_its_decoder_has_it() {
    let mut room = Room::new(&[(1, Codec::Opus), (2, Codec::Pcma), (3, Codec::G722)]);
    for listener in [2, 3] {
        room.patch(listener, &[Source::Leg(LegId(1))]);
    }
    room.tell(Command::Record { recording: RecordingId(1), leg: LegId(1) });
    let mut phone = Phone::new(1, Codec::Opus);
    let mut hiss = Noise::new(7);
    hiss.heed(&[50]);
    let mut last = vec![];
    for _ in 0..100 {
        let mut samples = [0; 320];
        hiss.fill(&mut samples);
        last = phone.packet(&samples);
        phone.send(&mut room, &last);
        room.run(20);
    }
    for _ in 0..5 {
        let bytes = dtx(&mut phone, &last);
        phone.send(&mut room, &bytes);
        room.run(400);
    }
    for (leg, codec) in [(2, Codec::Pcma), (3, Codec::G722)] {
        let mut listener = Phone::new(leg, codec);
        let heard = listener.heard(&mut room);
        assert!(heard.len() >= 195, "{codec:?} {}", heard.len());
        let sound = listener.decode(&heard);
        let second = sound::samples(codec.rate(), 1000);
        let (before, after) = (level(&sound[second..2 * second]), level(&sound[sound.len() - second..]));
        assert!((before - after).abs() < 6.0, "{codec:?} {before} {after}");
    }
    let tape: Vec<i16> = room.tapes[&RecordingId(1)].iter().step_by(2).copied().collect();
    let (before, after) = (level(&tape[8000..16_000]), level(&tape[tape.len() - 8000..]));
    assert!((before - after).abs() < 6.0, "{before} {after}");
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
fn a_pause_in_which_the_listener_changes_the_codec_goes_on_and_ends_when_the_peer_does() {
    let mut room = Room::new(&[(1, Codec::Opus), (2, Codec::G722)]);
    room.patch(2, &[Source::Leg(LegId(1))]);
    let mut phone = Phone::new(1, Codec::Opus);
    let mut last = vec![];
    for _ in 0..20 {
        last = phone.packet(&tone(Rate::Wide, 400.0, 50.0, 20));
        phone.send(&mut room, &last);
        room.run(20);
    }
    let bytes = dtx(&mut phone, &last);
    phone.send(&mut room, &bytes);
    room.run(200);
    let heard = |room: &mut Room| room.heard(2).iter().map(|h| h.payload.len()).sum::<usize>();
    assert!(heard(&mut room) > 4000);
    room.amend(2, plan(2, Codec::Pcma));
    room.run(1000);
    assert!((7840..=8160).contains(&heard(&mut room)));
    // Of another codec of the peer's nothing is known yet.
    room.amend(1, plan(1, Codec::Pcmu));
    room.run(1000);
    assert_eq!(heard(&mut room), 0);
}

#[test]
fn noise_is_noise_on_the_tape_and_in_a_mix() {
    let mut room = Room::new(&[(2, Codec::Pcma), (3, Codec::Pcmu)]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.patch(3, &[1, 2].map(|n| Source::Leg(LegId(n))));
    room.tell(Command::Record { recording: RecordingId(1), leg: LegId(1) });
    spurts(&mut room, &mut Phone::new(1, Codec::Pcmu), 10);
    let tape: Vec<i16> = room.tapes[&RecordingId(1)].iter().step_by(2).copied().collect();
    let mut listener = Phone::new(3, Codec::Pcmu);
    let heard = listener.heard(&mut room);
    assert_continuous(&heard);
    let mix = listener.decode(&heard);
    for sound in [tape, mix] {
        let pauses = pauses(Rate::Narrow, &sound);
        assert!(pauses.len() >= 9, "{pauses:?}");
        assert!(pauses.iter().all(|level| (53.0..57.0).contains(level)), "{pauses:?}");
    }
}

#[test]
fn silence_that_follows_talk_and_was_told_by_nobody_is_silence_on_the_tape() {
    let mut room = Room::new(&[]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.tell(Command::Record { recording: RecordingId(1), leg: LegId(1) });
    let mut phone = Phone::new(1, Codec::Pcmu);
    spurts(&mut room, &mut phone, 3);
    // Digital silence, then nothing: neither has the noise of the pauses before.
    phone.speak(&mut room, &[0; 8000]);
    room.run(1000);
    let tape = &room.tapes[&RecordingId(1)];
    let sound: Vec<i16> = tape[tape.len() - 2 * 14_000..].iter().step_by(2).copied().collect();
    assert!(loudness(&sound) < 10.0, "{}", loudness(&sound));
}

#[test]
fn a_phone_that_tells_its_silence_by_another_clock_is_heard_as_noise_too() {
    let mut room = Room::new(&[]);
    room.open(1, noisy(1, Codec::Pcmu));
    room.tell(Command::Record { recording: RecordingId(1), leg: LegId(1) });
    let mut phone = Phone::new(1, Codec::Pcmu);
    phone.speak(&mut room, &tone(Rate::Narrow, 400.0, 8000.0, 400));
    let clock = phone.next.timestamp;
    phone.next.timestamp = clock.wrapping_add(1 << 30);
    for _ in 0..10 {
        let bytes = noise(&mut phone);
        phone.send(&mut room, &bytes);
        room.run(100);
    }
    // Then talk by the first clock, and nothing: that is heard too.
    phone.next.timestamp = clock.wrapping_add(8000);
    phone.speak(&mut room, &tone(Rate::Narrow, 400.0, 8000.0, 400));
    room.run(1000);
    let tape: Vec<i16> = room.tapes[&RecordingId(1)].iter().step_by(2).copied().collect();
    let (noise, rest) = (&tape[6400..11_200], &tape[16_000..]);
    assert!((53.0..57.0).contains(&level(noise)), "{}", level(noise));
    assert!(loudness(rest) < 1.0, "{}", loudness(rest));
}
