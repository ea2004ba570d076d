//! What a leg says and hears on one tape: each in its place on its own side, however the network was.
//!
//! The jitter buffer delays, makes up and joins, so what is asked is where sound is and which, not
//! which samples.

use super::phone::Phone;
use super::sound::{loudness, peak_at, phrase, tone};
use super::*;
use crate::base::DtlsRole;

pub const TAPE: RecordingId = RecordingId(1);

/// What either side hums.
const LEFT: f64 = 400.0;
const RIGHT: f64 = 1000.0;
const PEAK: f64 = 8000.0;

/// Milliseconds by which sound may come after it was said.
const BEHIND: std::ops::RangeInclusive<usize> = 20..=80;

/// What happens in the room before packet `n`; who is named says nothing then.
type Script<'a> = dyn FnMut(&mut Room, u32) -> &'a [u64] + 'a;

/// Legs 1 (µ-law) and 2 (A-law) hum for forty packets, each its own tone, and are recorded until
/// the last came. Gives either side.
fn recorded(script: &mut Script<'_>) -> [Vec<i16>; 2] {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcma]);
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    let mut phones = [(1, Codec::Pcmu, LEFT), (2, Codec::Pcma, RIGHT)]
        .map(|(leg, codec, hertz)| (leg, Phone::new(leg, codec), tone(Rate::Narrow, hertz, PEAK, 800)));
    for n in 0..40 {
        let quiet = script(&mut room, n);
        for (leg, phone, hum) in &mut phones {
            let bytes = phone.packet(&hum[n as usize * 160..][..160]);
            if !quiet.contains(leg) {
                phone.send(&mut room, &bytes);
            }
        }
        room.run(20);
    }
    finish(&mut room)
}

/// Gives either side. Once nobody hears anybody, nothing is left of it in the bay.
fn finish(room: &mut Room) -> [Vec<i16>; 2] {
    room.tell(Command::Finish { recording: TAPE });
    assert_eq!(room.finished, [TAPE]);
    let tape = room.tapes[&TAPE].clone();
    let length = Duration::from_micros(tape.len() as u64 / 2 * 125);
    assert_eq!(room.events().pop(), Some(Event::Recorded { recording: TAPE, length }));
    (1..=3).for_each(|leg| room.patch(leg, &[]));
    let Load { taps, recordings, decoders, .. } = room.bay.load();
    assert_eq!((taps, recordings, decoders), (0, 0, 0));
    [0, 1].map(|side| tape.iter().skip(side).step_by(2).copied().collect())
}

/// Whether a tone is there, for each 10 ms.
fn places(sound: &[i16], hertz: f64) -> Vec<bool> {
    sound.chunks_exact(80).map(|part| peak_at(Rate::Narrow, hertz, part) > PEAK / 2.0).collect()
}

/// Begin and end of each stretch of it, in milliseconds. A stretch or gap of 10 ms is none.
fn stretches(sound: &[i16], hertz: f64) -> Vec<(usize, usize)> {
    let mut stretches: Vec<(usize, usize)> = vec![];
    for (n, _) in places(sound, hertz).into_iter().enumerate().filter(|(_, there)| *there) {
        match stretches.last_mut() {
            Some((_, end)) if n * 10 <= *end + 10 => *end = n * 10 + 10,
            _ => stretches.push((n * 10, n * 10 + 10)),
        }
    }
    stretches.retain(|(begin, end)| end - begin > 10);
    stretches
}

#[track_caller]
fn assert_near(got: usize, want: usize, span: usize) {
    assert!(got.abs_diff(want) <= span, "{got} ms, not {want}");
}

#[test]
fn each_side_holds_its_own_leg_and_nothing_of_the_other() {
    let [left, right] = recorded(&mut |_, _| &[]);
    for (side, own, other) in [(&left, LEFT, RIGHT), (&right, RIGHT, LEFT)] {
        let [(begin, end)] = stretches(side, own)[..] else { panic!("{:?}", stretches(side, own)) };
        assert!(BEHIND.contains(&begin), "{begin}");
        // What still waited when it was told to end is there too.
        assert_near(end - begin, 800, 10);
        let sound = &side[begin * 8 + 160..end * 8 - 160];
        assert!((peak_at(Rate::Narrow, own, sound) / PEAK - 1.0).abs() < 0.05);
        assert!(peak_at(Rate::Narrow, other, sound) < PEAK / 50.0);
    }
}

#[test]
fn both_sides_lie_beside_each_other_in_time_for_minutes() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Opus]);
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    let mut phones = [Phone::new(1, Codec::Pcmu), Phone::new(2, Codec::Opus)];
    // Both give the same beep at the same moment, once a second; one network is uneven, and takes up
    // to 60 ms longer than the other.
    let mut late = vec![];
    for n in 0..30 * 50u32 {
        for (side, phone) in phones.iter_mut().enumerate() {
            let peak = if n % 50 < 10 { PEAK } else { 0.0 };
            let bytes = phone.packet(&tone(phone.rate(), LEFT, peak, 20));
            if side == 0 {
                phone.send(&mut room, &bytes);
            } else {
                let by = 20 * (n * n % 4);
                late.push((n * 20 + by, bytes));
            }
        }
        for (_, bytes) in late.extract_if(.., |(at, _)| *at <= n * 20) {
            phones[1].send(&mut room, &bytes);
        }
        room.run(20);
    }
    let [left, right] = finish(&mut room);
    let [left, right] = [left, right].map(|side| stretches(&side, LEFT));
    assert_eq!((left.len(), right.len()), (30, 30), "{right:?}");
    for (second, (l, r)) in left.iter().zip(&right).enumerate() {
        assert!(BEHIND.contains(&(l.0 - second * 1000)), "{second}: {l:?}");
        assert!(r.0 >= l.0 && r.0 - l.0 <= 150, "{second}: {l:?} {r:?}");
        assert_near(l.1 - l.0, 200, 20);
        assert_near(r.1 - r.0, 200, 40);
    }
}

#[test]
fn what_a_leg_did_not_send_is_silence_of_that_length() {
    let [left, right] = recorded(&mut |_, n| if (10..30).contains(&n) { &[2] } else { &[] });
    assert_eq!(stretches(&left, LEFT).len(), 1);
    let [(begin, end), (again, last)] = stretches(&right, RIGHT)[..] else {
        panic!("{:?}", stretches(&right, RIGHT))
    };
    assert!(BEHIND.contains(&begin), "{begin}");
    // What is missing is made up, and fades out within 60 ms.
    assert!((200..=260).contains(&(end - begin)), "{begin} {end}");
    assert_near(again - begin, 600, 30);
    assert_near(last - again, 200, 10);
    assert!(loudness(&right[(begin + 200 + 80) * 8..(again - 10) * 8]) < 1.0);
}

#[test]
fn a_single_lost_packet_is_not_heard_as_a_gap() {
    let [_, right] = recorded(&mut |_, n| if n == 20 { &[2] } else { &[] });
    let [(begin, end)] = stretches(&right, RIGHT)[..] else { panic!("{:?}", stretches(&right, RIGHT)) };
    assert_near(end - begin, 800, 10);
}

#[test]
fn a_sender_with_a_new_ssrc_is_recorded_on() {
    let mut other = Phone::new(1, Codec::Pcmu);
    (other.next.ssrc, other.next.timestamp, other.next.sequence) = (0x77, 12_345, 9);
    let hum = tone(Rate::Narrow, LEFT, PEAK, 400);
    let [left, right] = recorded(&mut |room, n| {
        let Some(since) = n.checked_sub(20) else { return &[] };
        other.say(room, &hum[since as usize * 160..][..160]);
        &[1]
    });
    let [(begin, end), (again, last)] = stretches(&left, LEFT)[..] else {
        panic!("{:?}", stretches(&left, LEFT))
    };
    // What waited of the old source is void; the new one begins with the usual delay.
    assert!((320..=400).contains(&(end - begin)), "{begin} {end}");
    assert!(BEHIND.contains(&(again - 400)), "{again}");
    assert_near(last - again, 400, 10);
    assert_eq!(stretches(&right, RIGHT).len(), 1);
}

/// Milliseconds by which a mask outlasts the command to end it, and the last key that is heard.
const ECHO: usize = 400;

#[test]
fn a_mask_is_silence_and_time_goes_on() {
    let [left, right] = recorded(&mut |room, n| {
        match n {
            5 => room.mask(Masking::On),
            10 => room.mask(Masking::Off),
            39 => assert_eq!(room.unmasked(), [(100, 200 + ECHO)]),
            _ => {}
        }
        &[]
    });
    for (side, hertz) in [(left, LEFT), (right, RIGHT)] {
        let [(begin, masked), (unmasked, end)] = stretches(&side, hertz)[..] else {
            panic!("{:?}", stretches(&side, hertz))
        };
        assert_near(masked, 100, 20);
        assert_near(unmasked, 200 + ECHO, 20);
        assert_near(end - begin, 800, 10);
        assert!(side[100 * 8..(200 + ECHO) * 8].iter().all(|s| *s == 0));
    }
}

#[test]
fn a_mask_wanted_again_before_it_ended_goes_on() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcma]);
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    room.mask(Masking::Off);
    room.run(1000);
    for (masking, ms) in [(Masking::On, 300), (Masking::Off, 300), (Masking::On, 2000), (Masking::Off, 1000)]
    {
        room.mask(masking);
        room.run(ms);
    }
    assert_eq!(room.unmasked(), [(1000, 3600 + ECHO)]);
}

/// The 9 as a phone sounds it.
fn nine(rate: Rate, peak: f64, ms: usize) -> Vec<i16> {
    let sines = [852.0, 1477.0].map(|hertz| tone(rate, hertz, peak, ms));
    sines[0].iter().zip(&sines[1]).map(|(low, high)| low + high).collect()
}

/// How the last key of a secret reaches us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As sound alone, and no events were agreed.
    Sound,
    /// As an event, and as sound too.
    Both,
    /// As an event, and by way of the microphone: no detector would take that for a key.
    Faintly,
}

/// Leg 1 presses the last key of a secret for so long, then hums. The mask is lifted when the key is
/// told. Gives what was masked, and what is on the tape of leg 1.
fn last_key(codec: Codec, way: Way, ms: usize) -> ((usize, usize), Vec<i16>) {
    let mut room = Room::new(&[]);
    let plan = plan(1, codec);
    room.open(1, if way == Way::Sound { Plan { events: None, ..plan } } else { plan });
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    room.mask(Masking::On);
    let mut phone = Phone::new(1, codec);
    phone.speak(&mut room, &sound::phrase(codec.rate(), 500));
    let unit = codec.clock() / 50;
    let peak = if way == Way::Faintly { 200.0 } else { PEAK / 2.0 };
    let (mut masking, began) = (Masking::On, phone.next.timestamp);
    for (n, frame) in (1u32..).zip(nine(codec.rate(), peak, ms).chunks_exact(codec.rate().frame())) {
        phone.say(&mut room, frame);
        if way != Way::Sound {
            // Its end is lost.
            let report = Report { event: 9, end: false, volume: 10, duration: (n * unit) as u16 };
            let header = Header { payload_type: PAYLOAD_OF_EVENTS, timestamp: began, ..phone.next };
            phone.next.sequence = phone.next.sequence.wrapping_add(1);
            phone.send(&mut room, &[&header.to_bytes()[..], &report.to_bytes()].concat());
        }
        if masking == Masking::On && room.keys() == "9" {
            masking = Masking::Off;
            room.mask(masking);
        }
        room.run(20);
    }
    assert_eq!(masking, Masking::Off, "it is told while it is held");
    phone.speak(&mut room, &tone(codec.rate(), LEFT, PEAK, 3000));
    let masked = room.unmasked();
    let [span] = masked[..] else { panic!("{masked:?}") };
    // Else its sound would be listened to for keys still.
    room.tell(Command::Close { leg: LegId(1) });
    let [left, _] = finish(&mut room);
    (span, left)
}

#[test]
fn nothing_of_the_last_key_of_a_secret_is_recorded_however_it_comes_and_however_long() {
    for codec in Codec::ALL {
        for (way, ms) in [
            (Way::Sound, 60),
            (Way::Sound, 1000),
            (Way::Both, 1000),
            (Way::Faintly, 1000),
            (Way::Sound, 8000),
        ] {
            let ((from, to), left) = last_key(codec, way, ms);
            assert_eq!(from, 0);
            let over = 500 + ms;
            assert!((over + ECHO - 40..=over + ECHO + 150).contains(&to), "{codec:?} {ms}: {to}");
            assert!(left[..to * 8].iter().all(|s| *s == 0), "{codec:?} {ms}");
            let [(begin, _)] = stretches(&left, LEFT)[..] else { panic!("{:?}", stretches(&left, LEFT)) };
            assert_near(begin, to, 20);
        }
    }
}

#[test]
fn a_key_that_is_stuck_masks_for_ten_seconds_and_no_longer() {
    let ((_, to), left) = last_key(Codec::Pcmu, Way::Sound, 15_000);
    assert!((10_500..=10_640).contains(&to), "{to}");
    assert!(loudness(&left[(to + 20) * 8..][..8000]) > 1000.0);
}

impl Room {
    fn mask(&mut self, masking: Masking) {
        self.tell(Command::Mask { recording: TAPE, masking });
    }

    /// What was told to have been masked, in milliseconds; nothing else was told.
    fn unmasked(&mut self) -> Vec<(usize, usize)> {
        let span = |event| match event {
            Event::Unmasked { recording: TAPE, from, to } => {
                (from.as_millis() as usize, to.as_millis() as usize)
            }
            event => panic!("{event:?}"),
        };
        self.events().into_iter().map(span).collect()
    }
}

#[test]
fn a_closed_leg_is_silence_and_another_takes_its_channel() {
    const THIRD: f64 = 600.0;
    let mut third = Phone::new(3, Codec::G722);
    let [left, right] = recorded(&mut |room, n| {
        match n {
            0..10 => return &[],
            10 => room.tell(Command::Close { leg: LegId(2) }),
            20 => {
                room.patch(1, &[Source::Leg(LegId(3))]);
                room.open(3, plan(3, Codec::G722));
            }
            21.. => third.say(room, &tone(Rate::Wide, THIRD, PEAK, 20)),
            _ => {}
        }
        &[2]
    });
    let [(begin, end)] = stretches(&left, LEFT)[..] else { panic!("{:?}", stretches(&left, LEFT)) };
    assert_near(end - begin, 800, 10);
    let [(_, closed)] = stretches(&right, RIGHT)[..] else { panic!("{:?}", stretches(&right, RIGHT)) };
    assert_near(closed, 200, 20);
    let [(begin, end)] = stretches(&right, THIRD)[..] else { panic!("{:?}", stretches(&right, THIRD)) };
    assert!(BEHIND.contains(&(begin - 420)), "{begin}");
    assert_near(end - begin, 380, 20);
    assert!(loudness(&right[closed * 8 + 160..begin * 8 - 160]) < 1.0);
}

/// What the caller (leg 1) hears is on the right, and nothing else: rows as they come, of an agent
/// (2) who hums, a supervisor (3) who hums higher, and music.
#[test]
fn the_right_side_is_what_the_leg_hears_and_nobody_else_says() {
    const SUPERVISOR: f64 = 1700.0;
    const MUSIC: f64 = 600.0;
    let mut room = Room::new(&[(1, Codec::Pcmu), (2, Codec::Opus), (3, Codec::G722)]);
    let music = room.play(1, &[&tone(Rate::Narrow, MUSIC, PEAK, 1000)], Repeat::Forever);
    let [agent, supervisor] = [2, 3].map(|n| Source::Leg(LegId(n)));
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    let mut phones = [(2, Codec::Opus, RIGHT), (3, Codec::G722, SUPERVISOR)]
        .map(|(leg, codec, hertz)| (Phone::new(leg, codec), tone(codec.rate(), hertz, PEAK, 4000)));
    let rows: [(&str, &[Source], &[f64]); 7] = [
        ("the queue's music", &[music], &[MUSIC]),
        ("the agent", &[agent], &[RIGHT]),
        ("a muted agent", &[], &[]),
        ("hold", &[music], &[MUSIC]),
        ("a whisper, which is the agent's alone", &[agent], &[RIGHT]),
        ("a barge", &[agent, supervisor], &[RIGHT, SUPERVISOR]),
        ("an announcement over talk", &[agent, music], &[RIGHT, MUSIC]),
    ];
    room.patch(2, &[Source::Leg(LegId(1)), supervisor]);
    for (n, (_, row, _)) in rows.iter().enumerate() {
        room.patch(1, row);
        for frame in n * 25..(n + 1) * 25 {
            for (phone, hum) in &mut phones {
                let length = phone.rate().frame();
                let said = hum[frame * length..][..length].to_vec();
                phone.say(&mut room, &said);
            }
            room.run(20);
        }
    }
    let [left, right] = finish(&mut room);
    assert!(left.iter().all(|sample| *sample == 0));
    for (n, (what, _, wanted)) in rows.iter().enumerate() {
        // After what was still in the buffer of the row before.
        let part = &right[n * 4000 + 1600..(n + 1) * 4000];
        let there = |hertz: &f64| peak_at(Rate::Narrow, *hertz, part) > PEAK / 3.0;
        let heard: Vec<f64> = [RIGHT, SUPERVISOR, MUSIC].into_iter().filter(there).collect();
        assert_eq!(heard, *wanted, "{what}");
    }
}

#[test]
fn a_leg_is_recorded_from_the_moment_it_is_there_until_it_is_gone() {
    let mut room = Room::new(&[(2, Codec::Pcma)]);
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    room.run(200);
    let mut phones = [Phone::new(1, Codec::Pcmu), Phone::new(2, Codec::Pcma)];
    let mut talk = |room: &mut Room| {
        for _ in 0..20 {
            for (phone, hertz) in phones.iter_mut().zip([LEFT, RIGHT]) {
                phone.say(room, &tone(Rate::Narrow, hertz, PEAK, 20));
            }
            room.run(20);
        }
    };
    room.open(1, plan(1, Codec::Pcmu));
    room.connect(1, 2);
    talk(&mut room);
    room.tell(Command::Close { leg: LegId(1) });
    assert_eq!(room.bay.load().taps, 0);
    talk(&mut room);
    let [left, right] = finish(&mut room);
    for (side, hertz) in [(left, LEFT), (right, RIGHT)] {
        let [(begin, end)] = stretches(&side, hertz)[..] else { panic!("{:?}", stretches(&side, hertz)) };
        assert!(BEHIND.contains(&(begin - 200)) && (560..=660).contains(&end), "{begin} {end}");
    }
}

#[test]
fn a_tape_alone_plays_no_prompt() {
    let mut room = Room::new(&[]);
    let prompt = room.play(1, &[&tone(Rate::Narrow, RIGHT, PEAK, 100)], Repeat::Once);
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    let page = webrtc::page(room.air.now, 1, 0, DtlsRole::Passive);
    room.open(1, page.plan);
    room.patch(1, &[prompt]);
    // Its handshake is not over: a greeting waits, or its beginning would be lost.
    room.run(400);
    assert_eq!(room.events(), []);
    assert!(room.tapes[&TAPE].iter().all(|sample| *sample == 0));
}

#[test]
fn a_recording_goes_on_through_hold_and_a_change_of_codec() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcma]);
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    let mut phone = Phone::new(1, Codec::Pcmu);
    phone.speak(&mut room, &tone(Rate::Narrow, LEFT, PEAK, 400));
    room.amend(1, Plan { direction: Direction::SendOnly, ..plan(1, Codec::Pcmu) });
    room.run(400);
    room.amend(1, plan(1, Codec::Opus));
    phone.recode(Codec::Opus);
    phone.speak(&mut room, &tone(Rate::Wide, LEFT, PEAK, 400));
    room.amend(1, plan(1, Codec::Pcma));
    let [left, _] = finish(&mut room);
    let [first, second] = stretches(&left, LEFT)[..] else { panic!("{:?}", stretches(&left, LEFT)) };
    assert_near(first.1 - first.0, 400, 70);
    assert!(BEHIND.contains(&(second.0 - 800)), "{second:?}");
    assert_near(second.1 - second.0, 400, 20);
}

#[test]
fn talk_in_every_codec_is_intelligible_on_the_tape() {
    for codec in Codec::ALL {
        let mut room = Room::new(&[(1, codec)]);
        room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
        Phone::new(1, codec).speak(&mut room, &phrase(codec.rate(), 3000));
        let [left, right] = finish(&mut room);
        let (lag, alike) = sound::delay(&left, &phrase(Rate::Narrow, 3000), 800);
        assert!(alike > 0.9 && BEHIND.contains(&(lag / 8)), "{codec:?} {alike} {lag}");
        assert!(right.iter().all(|s| *s == 0));
    }
}

#[test]
fn a_late_tick_shortens_no_recording() {
    let mut room = Room::new(&[(1, Codec::Pcmu)]);
    room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
    room.run(100);
    room.wait(Duration::from_secs(4));
    room.tick();
    assert_eq!(room.tapes[&TAPE].len(), 2 * 4100 * 8);
    room.wait(Duration::from_secs(4000));
    room.tick();
    assert!(room.tapes[&TAPE].len() < 2 * 8000 * 20);
}
