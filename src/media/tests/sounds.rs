//! Sound of our own: prompts, music and tones, by the tick.

use super::*;

#[test]
fn prompt_music_talk_and_hold_are_one_stream() {
    let mut room = Room::new(&[(1, Codec::Pcma), (2, Codec::Pcmu)]);
    let prompt = room.play(1, &[&[1000; 800]], Repeat::Once);
    let music = room.play(2, &[&[2000; 700]], Repeat::Forever);
    room.patch(1, &[prompt]);
    room.run(200);
    assert_eq!(room.events(), [Event::Played { play: PlayId(1) }]);
    room.patch(1, &[music]);
    room.run(205);
    room.patch(1, &[Source::Leg(LegId(2))]);
    for n in 0..10 {
        room.come(2, peer(2), &talk(2, Codec::Pcmu, n, &[7; 160]));
        room.run(20);
    }
    // A sender with packets of another length and another clock.
    room.patch(1, &[music]);
    room.run(200);
    room.patch(1, &[Source::Leg(LegId(2))]);
    for n in 20..25 {
        room.come(2, peer(2), &talk(2, Codec::Pcmu, 2 * n, &[7; 320]));
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
        room.tell(Command::Open { leg: LegId(1), plan: Plan { ptime_ms, ..plan(1, Codec::Pcmu) } });
        let samples: Vec<i16> = (0..4800).map(|n| n * 6).collect();
        let prompt = room.play(1, &[&samples[..960], &samples[960..]], Repeat::Once);
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
    room.tell(Command::Open { leg: LegId(1), plan: Plan { ptime_ms: 60, ..plan(1, Codec::Pcma) } });
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
    let mut room = Room::new(&[(1, Codec::Pcmu)]);
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
    let mut room = Room::new(&[(1, Codec::Pcmu)]);
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
    let mut room = Room::new(&[(1, Codec::Pcmu)]);
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
    let mut room = Room::new(&[(1, Codec::Pcmu), (2, Codec::Pcma)]);
    let samples: Vec<i16> = (0..1600).map(|n| n * 20).collect();
    let prompt = room.play(1, &[&samples], Repeat::Once);
    room.patch(1, &[prompt]);
    room.patch(2, &[prompt]);
    room.run(500);
    for (leg, codec) in [(1, Codec::Pcmu), (2, Codec::Pcma)] {
        let all: Vec<u8> = room.heard(leg).into_iter().flat_map(|h| h.payload).collect();
        assert_eq!(all, samples.iter().map(|s| encode(codec, *s)).collect::<Vec<_>>());
    }
    assert_eq!(room.events(), [Event::Played { play: PlayId(1) }]);
}

#[test]
fn who_hears_a_stopped_play_or_a_closed_leg_hears_silence() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let music = room.play(1, &[&[1; 160]], Repeat::Forever);
    room.patch(1, &[music]);
    room.run(100);
    room.tell(Command::Stop { play: PlayId(1) });
    room.tell(Command::Close { leg: LegId(1) });
    room.heard(1);
    room.run(1000);
    room.come(1, peer(1), &talk(1, Codec::Pcmu, 0, &[1; 160]));
    assert_eq!((room.heard(1), room.heard(2)), (vec![], vec![]));
    room.tell(Command::Close { leg: LegId(2) });
    assert_eq!(room.bay.load(), Load::default());
    assert_eq!(room.bay.poll_timeout(), None);
}
