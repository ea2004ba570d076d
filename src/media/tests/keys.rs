//! Keys: as events and as sound, from one leg to another and to signalling.

use super::phone::Phone;
use super::sound::{peak_at, tone};
use super::*;
use crate::audio::dtmf::{Detector, Step, Tones};
use crate::rtp::dtmf::Receiver;

/// A plan that agreed to no events.
fn mute(leg: u64, codec: Codec) -> Plan {
    Plan { events: None, ..plan(leg, codec) }
}

/// The keys in sound.
fn keys_in(sound: &[i16]) -> String {
    let mut detector = Detector::default();
    sound.chunks(160).filter_map(|frame| detector.hear(frame)).map(Key::as_char).collect()
}

/// The keys in packets of events, each with its duration at the last of its ends.
fn keys_of(heard: &[Heard]) -> Vec<(char, u16)> {
    let (mut receiver, mut keys) = (Receiver::default(), vec![]);
    for h in heard.iter().filter(|h| h.header.payload_type == PAYLOAD_OF_EVENTS) {
        receiver.receive(&h.header, &h.payload, |key| keys.push((key.as_char(), 0)));
        let report = Report::from_bytes(h.payload[..].try_into().unwrap());
        if let Some((_, duration)) = keys.last_mut() {
            *duration = report.duration;
        }
    }
    keys
}

/// Half a second of speech, the keys as sound, and speech again.
fn pressed_as_sound(rate: Rate, keys: &str) -> Vec<i16> {
    let mut tones = Tones::new(rate);
    keys.chars().for_each(|c| assert!(tones.press(Key::try_from(c).unwrap())));
    let mut sound = sound::phrase(rate, 500);
    let mut frame = vec![0; rate.frame()];
    while tones.frame(&mut frame) == Step::Key {
        sound.extend(&frame);
    }
    sound.extend(sound::phrase(rate, 500));
    sound
}

/// How a phone presses a key for so many packets: the events of RFC 4733 in place of its audio.
fn press(phone: &mut Phone, room: &mut Room, event: u8, packets: u16) {
    let unit = phone.codec.clock() / 50;
    let before = phone.next;
    for n in 0..packets + 2 {
        let end = n + 1 >= packets;
        let duration = (u32::from(n.min(packets - 1)) + 1) * unit;
        let report = Report { event, end, volume: 10, duration: duration as u16 };
        let header = Header {
            payload_type: PAYLOAD_OF_EVENTS,
            marker: n == 0,
            timestamp: before.timestamp,
            ..phone.next
        };
        let bytes = phone.seal([&header.to_bytes()[..], &report.to_bytes()].concat());
        phone.send(room, &bytes);
        phone.next.sequence = phone.next.sequence.wrapping_add(1);
        room.run(20);
    }
    phone.next.timestamp = before.timestamp.wrapping_add(unit * u32::from(packets + 2));
}

#[test]
fn a_key_is_told_once_and_passed_on_under_the_other_legs_payload_type() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcma]);
    room.tell(Command::Amend {
        leg: LegId(2),
        plan: Plan { events: events(Codec::Pcma, 97), ..plan(2, Codec::Pcma) },
    });
    for n in 0..4 {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.run(20);
    }
    for n in 4..200 {
        room.come(1, peer(1), &key(1, n, 4, 5, (160 * (n - 3)) as u16, n >= 198));
        room.run(20);
    }
    for n in 200..204 {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
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
fn a_key_sent_under_an_ssrc_of_its_own_amid_talk_stays_one_key() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    for n in 0..20 {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
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
fn keys_for_the_peer_take_the_place_of_what_it_hears() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let keys = ['4', '2'].map(|c| Key::try_from(c).unwrap()).to_vec();
    for n in 0..40 {
        if n == 10 {
            room.tell(Command::Press { leg: LegId(2), keys: keys.clone() });
        }
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.run(20);
    }
    let heard = room.heard(2);
    let (mut receiver, mut got) = (Receiver::default(), String::new());
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
fn a_key_reaches_who_agreed_to_no_events_as_sound_and_once() {
    for codec in Codec::ALL {
        let mut room = Room::talking([Codec::Pcmu, codec]);
        room.amend(2, mute(2, codec));
        let (mut phone, mut other) = (Phone::new(1, Codec::Pcmu), Phone::new(2, codec));
        phone.speak(&mut room, &sound::phrase(Rate::Narrow, 500));
        press(&mut phone, &mut room, 11, 8);
        phone.speak(&mut room, &sound::phrase(Rate::Narrow, 500));
        assert_eq!(room.keys(), "#");
        let heard = other.heard(&mut room);
        assert_continuous(&heard);
        assert!(heard.iter().all(|h| h.header.payload_type == codec.payload_type()));
        let narrow = crate::audio::resample::resample(&other.decode(&heard), other.rate().hz(), 8000);
        assert_eq!(keys_in(&narrow), "#", "{codec:?}");
        // When it is over, who hears the same codec is relayed to again.
        assert_eq!(room.bay.load().encoders, usize::from(matches!(codec, Codec::G722 | Codec::Opus)));
    }
}

#[test]
fn keys_cross_from_one_clock_to_another_as_one_key_each_of_the_right_duration() {
    for [from, to] in [[Codec::Pcmu, Codec::Opus], [Codec::Opus, Codec::Pcmu], [Codec::Opus, Codec::G722]] {
        let mut room = Room::talking([from, to]);
        let (mut phone, mut other) = (Phone::new(1, from), Phone::new(2, to));
        for event in [4, 4, 2] {
            phone.speak(&mut room, &tone(from.rate(), 300.0, 4000.0, 300));
            press(&mut phone, &mut room, event, 5);
        }
        phone.speak(&mut room, &tone(from.rate(), 300.0, 4000.0, 300));
        assert_eq!(room.keys(), "442");
        let heard = other.heard(&mut room);
        // 100 ms each.
        let want = ['4', '4', '2'].map(|key| (key, (to.clock() / 10) as u16));
        assert_eq!(keys_of(&heard), want, "{from:?} {to:?}");
        assert!(heard.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
        assert!(
            heard.windows(2).all(|p| crate::rtp::ahead(p[0].header.timestamp, p[1].header.timestamp) >= 0)
        );
        assert!(
            peak_at(to.rate(), 300.0, &other.decode(&heard[heard.len() - 8..])[to.rate().frame()..]) > 3000.0
        );
    }
}

#[test]
fn keys_of_one_clock_pass_between_codecs_as_they_are() {
    let mut room = Room::talking([Codec::G722, Codec::Pcma]);
    let (mut phone, mut other) = (Phone::new(1, Codec::G722), Phone::new(2, Codec::Pcma));
    phone.speak(&mut room, &tone(Rate::Wide, 300.0, 4000.0, 100));
    press(&mut phone, &mut room, 7, 20);
    phone.speak(&mut room, &tone(Rate::Wide, 300.0, 4000.0, 100));
    assert_eq!(room.keys(), "7");
    let heard = other.heard(&mut room);
    assert_eq!(keys_of(&heard), [('7', 20 * 160)]);
    assert!(heard.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
}

#[test]
fn keys_in_the_sound_are_told_where_no_events_were_agreed() {
    for codec in Codec::ALL {
        let mut room = Room::new(&[]);
        room.open(1, mute(1, codec));
        let mut phone = Phone::new(1, codec);
        phone.speak(&mut room, &pressed_as_sound(codec.rate(), "1#159*0D"));
        assert_eq!(room.keys(), "1#159*0D", "{codec:?}");
    }
}

#[test]
fn keys_in_the_sound_are_not_told_where_events_were_agreed() {
    for codec in Codec::ALL {
        let mut room = Room::new(&[(1, codec)]);
        let mut phone = Phone::new(1, codec);
        phone.speak(&mut room, &pressed_as_sound(codec.rate(), "159"));
        assert_eq!(room.keys(), "");
        assert_eq!(room.bay.load().decoders, 0);
    }
}

#[test]
fn a_key_pressed_twice_with_a_pause_unsent_between_is_two_keys() {
    let mut room = Room::new(&[]);
    room.open(1, mute(1, Codec::Pcmu));
    let mut phone = Phone::new(1, Codec::Pcmu);
    let one = pressed_as_sound(Rate::Narrow, "5")[4000..][..800].to_vec();
    for _ in 0..2 {
        phone.speak(&mut room, &one);
        room.run(500);
        phone.next.timestamp = phone.next.timestamp.wrapping_add(4000);
        phone.next.marker = true;
    }
    assert_eq!(room.keys(), "55");
}

#[test]
fn keys_are_pressed_as_sound_toward_a_peer_of_any_codec_that_agreed_to_no_events() {
    for codec in Codec::ALL {
        let mut room = Room::new(&[]);
        room.open(1, mute(1, codec));
        let keys = "42#".chars().map(|c| Key::try_from(c).unwrap()).collect();
        room.tell(Command::Press { leg: LegId(1), keys });
        room.run(1000);
        let mut phone = Phone::new(1, codec);
        let heard = phone.heard(&mut room);
        assert_continuous(&heard);
        let narrow = crate::audio::resample::resample(&phone.decode(&heard), phone.rate().hz(), 8000);
        assert_eq!(keys_in(&narrow), "42#", "{codec:?}");
        assert_eq!(room.bay.load().encoders, 0);
    }
}

/// Chromium has Opus and takes the events of 8000 Hz where it is offered both.
#[test]
fn keys_under_the_other_clock_that_was_offered_are_one_key_each_too() {
    for listener in [Codec::Opus, Codec::Pcmu] {
        let mut room = Room::talking([Codec::Opus, listener]);
        let events = Events { sent: 110, received: 110, clock: 48_000, aside: Some(PAYLOAD_OF_EVENTS) };
        room.amend(1, Plan { events: Some(events), ..plan(1, Codec::Opus) });
        let (mut phone, mut other) = (Phone::new(1, Codec::Opus), Phone::new(2, listener));
        phone.speak(&mut room, &tone(Rate::Wide, 300.0, 4000.0, 100));
        press(&mut phone, &mut room, 6, 30);
        phone.speak(&mut room, &tone(Rate::Wide, 300.0, 4000.0, 100));
        assert_eq!(room.keys(), "6", "{listener:?}");
        let keys: String = keys_of(&other.heard(&mut room)).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, "6", "{listener:?}");
    }
}

#[test]
fn keys_counted_by_another_clock_than_the_audio_are_one_key_each_too() {
    let mut room = Room::talking([Codec::Opus, Codec::Opus]);
    let slow =
        Some(Events { sent: PAYLOAD_OF_EVENTS, received: PAYLOAD_OF_EVENTS, clock: 8000, aside: None });
    room.amend(2, Plan { events: slow, ..plan(2, Codec::Opus) });
    let (mut phone, mut other) = (Phone::new(1, Codec::Opus), Phone::new(2, Codec::Opus));
    phone.speak(&mut room, &tone(Rate::Wide, 300.0, 4000.0, 100));
    // Long enough for the key that is pressed in its place to end before it.
    press(&mut phone, &mut room, 6, 30);
    phone.speak(&mut room, &tone(Rate::Wide, 300.0, 4000.0, 100));
    assert_eq!(room.keys(), "6");
    let heard = other.heard(&mut room);
    assert_eq!(keys_of(&heard), [('6', 800)]);
    assert!(heard.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
}
