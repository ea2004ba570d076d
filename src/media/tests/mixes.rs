//! Conference, monitor, whisper, barge, music under talk: rows of the patch.

use super::phone::Phone;
use super::sound::{peak_at, tone};
use super::*;

#[test]
fn three_in_a_conference_hear_the_others_and_not_themselves() {
    let mut room = Room::new(&[(1, Codec::Pcmu), (2, Codec::Pcma), (3, Codec::Pcmu)]);
    for listener in 1..=3 {
        let others = (1..=3).filter(|n| *n != listener).map(|n| Source::Leg(LegId(n)));
        room.patch(listener, &others.collect::<Vec<_>>());
    }
    let level = [1000, 2000, 4000];
    for n in 0..20 {
        for leg in 1..=3 {
            let codec = if leg == 2 { Codec::Pcma } else { Codec::Pcmu };
            room.come(leg, peer(leg), &talk(leg, codec, n, &[encode(codec, level[leg as usize - 1]); 160]));
        }
        room.run(20);
    }
    for (listener, codec, want) in [(1, Codec::Pcmu, 6000), (2, Codec::Pcma, 5000), (3, Codec::Pcmu, 3000)] {
        let heard = room.heard(listener);
        assert_continuous(&heard);
        let got = i32::from(decode(codec, heard.last().unwrap().payload[80]));
        assert!((got - want).abs() < 300, "{listener} {got}");
    }
    // With two left, one hears the other as it comes.
    room.tell(Command::Close { leg: LegId(3) });
    assert_eq!(room.bay.load().taps, 0);
    room.come(1, peer(1), &talk(1, Codec::Pcmu, 20, &[9; 160]));
    assert_eq!(room.heard(2)[0].payload, [g711::ulaw_to_alaw(9); 160]);
}

#[test]
fn talk_over_music_is_heard_with_it() {
    let mut room = Room::new(&[(1, Codec::Pcmu), (2, Codec::Pcmu)]);
    let music = room.play(1, &[&[500; 160]], Repeat::Forever);
    room.patch(1, &[music, Source::Leg(LegId(2)), music]);
    room.run(60);
    for n in 0..5 {
        room.come(2, peer(2), &talk(2, Codec::Pcmu, n, &[g711::ulaw_encode(8000); 160]));
        room.run(20);
    }
    let heard = room.heard(1);
    assert_continuous(&heard);
    let levels: Vec<i16> = heard.iter().map(|h| g711::ulaw_decode(h.payload[10])).collect();
    assert!(levels[..3].iter().all(|l| l.abs_diff(500) < 30), "{levels:?}");
    assert!(levels.last().unwrap().abs_diff(8500) < 300, "{levels:?}");
}

/// Each speaker's own pitch: none is a multiple of another.
const PITCH: [f64; 4] = [310.0, 470.0, 730.0, 1130.0];

/// Leg `n + 1` of each codec, patched so that leg L hears `rows[L]`, by numbers of legs; each says
/// its own pitch for a second and a half. Gives which legs each hears, by their pitches.
fn heard_by(codecs: &[Codec], rows: &[&[u64]]) -> Vec<Vec<u64>> {
    let legs: Vec<_> = (1..).zip(codecs.iter().copied()).collect();
    let mut room = Room::new(&legs);
    for (listener, row) in (1..).zip(rows) {
        room.patch(listener, &row.iter().map(|n| Source::Leg(LegId(*n))).collect::<Vec<_>>());
    }
    let mut phones: Vec<_> = legs.iter().map(|(leg, codec)| Phone::new(*leg, *codec)).collect();
    let hums: Vec<_> =
        phones.iter().zip(PITCH).map(|(phone, hertz)| tone(phone.rate(), hertz, 5000.0, 1500)).collect();
    for n in 0..75 {
        for (phone, hum) in phones.iter_mut().zip(&hums) {
            let frame = phone.rate().frame();
            phone.say(&mut room, &hum[n * frame..][..frame]);
        }
        room.run(20);
    }
    phones
        .iter_mut()
        .map(|phone| {
            let heard = phone.heard(&mut room);
            assert!(heard.windows(2).all(|p| p[1].header.sequence == p[0].header.sequence.wrapping_add(1)));
            let sound = phone.decode(&heard);
            let whole = sound::samples(phone.rate(), 500);
            let Some(sound) = sound.get(whole..2 * whole) else { return vec![] };
            let level = |hertz| peak_at(phone.rate(), hertz, sound);
            (1..)
                .zip(PITCH)
                .filter(|(_, hertz)| {
                    // There at its level within 2 dB, or not there at all.
                    let level = level(*hertz);
                    assert!(level < 250.0 || (3970.0..6300.0).contains(&level), "{hertz}: {level}");
                    level > 250.0
                })
                .map(|(leg, _)| leg)
                .collect()
        })
        .collect()
}

#[test]
fn conference_monitor_whisper_and_barge_are_rows_whatever_the_codecs() {
    // Caller, agent, supervisor.
    let rows: [(&str, [&[u64]; 3]); 5] = [
        ("monitor", [&[2], &[1], &[1, 2]]),
        ("whisper", [&[2], &[1, 3], &[1, 2]]),
        ("barge", [&[2, 3], &[1, 3], &[1, 2]]),
        ("announcement to one side", [&[2, 3], &[1], &[]]),
        ("consult", [&[], &[3], &[2]]),
    ];
    for codecs in [[Codec::Pcma, Codec::Opus, Codec::G722], [Codec::Opus, Codec::Pcmu, Codec::Opus]] {
        for (name, rows) in rows {
            assert_eq!(heard_by(&codecs, &rows), rows, "{name} {codecs:?}");
        }
    }
}

#[test]
fn four_of_four_codecs_confer() {
    let rows: [&[u64]; 4] = [&[2, 3, 4], &[1, 3, 4], &[1, 2, 4], &[1, 2, 3]];
    assert_eq!(heard_by(&Codec::ALL, &rows), rows);
}

#[test]
fn an_announcement_over_talk_is_heard_by_one_side_with_it() {
    let mut room = Room::talking([Codec::Opus, Codec::Pcma]);
    let mut phones = [Phone::new(1, Codec::Opus), Phone::new(2, Codec::Pcma)];
    let announcement = room.play(1, &[&tone(Rate::Narrow, 730.0, 5000.0, 1000)], Repeat::Once);
    let mut peaks = vec![];
    for n in 0..100 {
        if n == 25 {
            room.patch(1, &[Source::Leg(LegId(2)), announcement]);
        }
        phones[0].say(&mut room, &tone(Rate::Wide, 300.0, 5000.0, 20));
        phones[1].say(&mut room, &tone(Rate::Narrow, 1100.0, 5000.0, 20));
        room.run(20);
        if n % 25 == 24 {
            let heard = phones.each_mut().map(|phone| phone.listen(&mut room));
            let there = |side: usize, hertz| {
                let sound = &heard[side];
                peak_at(phones[side].rate(), hertz, &sound[sound.len() / 4..]) > 2500.0
            };
            peaks.push([there(0, 730.0), there(0, 1100.0), there(1, 730.0), there(1, 300.0)]);
        }
    }
    let (talk, over) = ([false, true, false, true], [true, true, false, true]);
    assert_eq!(peaks, [talk, over, over, talk]);
    // Over, it left its row, and one hears the other as it comes.
    assert!(room.events().contains(&Event::Played { play: PlayId(1) }));
    assert_eq!(room.bay.load().taps, 0);
}

#[test]
fn loud_voices_together_do_not_clip() {
    let mut room = Room::new(&[(1, Codec::Pcmu), (2, Codec::Pcmu), (3, Codec::Pcma), (4, Codec::Opus)]);
    room.patch(1, &[2, 3, 4].map(|n| Source::Leg(LegId(n))));
    let mut phones =
        [(2, Codec::Pcmu), (3, Codec::Pcma), (4, Codec::Opus)].map(|(leg, codec)| Phone::new(leg, codec));
    let hums = [0, 1, 2].map(|n| tone(phones[n].rate(), PITCH[n], 28_000.0, 1500));
    for n in 0..75 {
        for (phone, hum) in phones.iter_mut().zip(&hums) {
            let frame = phone.rate().frame();
            phone.say(&mut room, &hum[n * frame..][..frame]);
        }
        room.run(20);
    }
    let sound = Phone::new(1, Codec::Pcmu).listen(&mut room);
    let sound = &sound[4000..8000];
    // What is cut off stands at the rail, and shows as pitches that nobody sang.
    let railed = sound.iter().filter(|s| s.unsigned_abs() >= 32_000).count();
    assert!(railed < 200, "{railed}");
    let sung: f64 = PITCH[..3].iter().map(|hertz| peak_at(Rate::Narrow, *hertz, sound).powi(2) / 2.0).sum();
    let all = sound::loudness(sound).powi(2);
    assert!(sung / all > 0.97, "{}", sung / all);
}

#[test]
fn a_recording_within_a_conference_holds_one_and_all_whom_it_hears() {
    let mut room = Room::new(&[(1, Codec::Pcma), (2, Codec::Opus), (3, Codec::G722)]);
    for listener in 1..=3 {
        let others = (1..=3).filter(|n| *n != listener).map(|n| Source::Leg(LegId(n)));
        room.patch(listener, &others.collect::<Vec<_>>());
    }
    let recording = RecordingId(1);
    room.tell(Command::Record { recording, leg: LegId(1) });
    let mut phones =
        [(1, Codec::Pcma), (2, Codec::Opus), (3, Codec::G722)].map(|(leg, codec)| Phone::new(leg, codec));
    let hums = [0, 1, 2].map(|n| tone(phones[n].rate(), PITCH[n], 5000.0, 1000));
    for n in 0..50 {
        for (phone, hum) in phones.iter_mut().zip(&hums) {
            let frame = phone.rate().frame();
            phone.say(&mut room, &hum[n * frame..][..frame]);
        }
        room.run(20);
    }
    for side in 0..2 {
        let tape = &room.tapes[&recording];
        let sound: Vec<i16> = tape.iter().skip(side).step_by(2).copied().skip(2000).take(4000).collect();
        let there = [0, 1, 2].map(|n| peak_at(Rate::Narrow, PITCH[n], &sound) > 2500.0);
        assert_eq!(there, [[true, false, false], [false, true, true]][side]);
    }
}

/// Above what a telephone passes.
const HIGH: [f64; 2] = [5200.0, 6100.0];
const LOW: f64 = 1000.0;

/// Legs 1 (Opus), 2 (G.722) and 3 (A-law) confer, and each hums: the first two [`HIGH`], the third
/// [`LOW`].
struct Conference {
    room: Room,
    phones: [Phone; 3],
    hums: [Vec<i16>; 3],
    said: usize,
}

impl Conference {
    fn new() -> Self {
        let codecs = [Codec::Opus, Codec::G722, Codec::Pcma];
        let mut room = Room::new(&[(1, codecs[0]), (2, codecs[1]), (3, codecs[2])]);
        room.connect(1, 2);
        let phones = [0, 1, 2].map(|n| Phone::new(n as u64 + 1, codecs[n]));
        let hums = [0, 1, 2].map(|n| tone(phones[n].rate(), [HIGH[0], HIGH[1], LOW][n], 5000.0, 6000));
        Self { room, phones, hums, said: 0 }
    }

    fn join(&mut self) {
        for (listener, others) in [(1, [2, 3]), (2, [1, 3]), (3, [1, 2])] {
            self.room.patch(listener, &others.map(|n| Source::Leg(LegId(n))));
        }
    }

    /// All hum for a second. Gives what each hears after 400 ms of it.
    fn hum(&mut self) -> [Vec<i16>; 3] {
        for n in self.said..self.said + 50 {
            for (phone, hum) in self.phones.iter_mut().zip(&self.hums) {
                let frame = phone.rate().frame();
                let said = &hum[n * frame % (hum.len() - frame)..][..frame];
                phone.say(&mut self.room, said);
            }
            self.room.run(20);
        }
        self.said += 50;
        self.phones.each_mut().map(|phone| {
            let heard = phone.listen(&mut self.room);
            heard[sound::samples(phone.rate(), 400).min(heard.len())..].to_vec()
        })
    }
}

#[test]
fn wideband_phones_confer_in_their_width_and_a_telephone_among_them_in_its_own() {
    let mut conference = Conference::new();
    conference.join();
    let [one, two, three] = conference.hum();
    let wide = |hertz, sound: &[i16]| peak_at(Rate::Wide, hertz, sound);
    let there = 3500.0..6500.0;
    for (hertz, sound) in [(HIGH[1], &one), (LOW, &one), (HIGH[0], &two), (LOW, &two)] {
        assert!(there.contains(&wide(hertz, sound)), "{hertz}: {}", wide(hertz, sound));
    }
    // The telephone's mirror image.
    for sound in [&one, &two] {
        assert!(wide(8000.0 - LOW, sound) < 50.0, "{}", wide(8000.0 - LOW, sound));
    }
    // What it cannot carry is left out rather than folded back.
    let [direct, folded] =
        [peak_at(Rate::Narrow, LOW, &three), peak_at(Rate::Narrow, 8000.0 - HIGH[0], &three)];
    assert!(direct < 250.0 && folded < 250.0, "{direct} {folded}");
}

#[test]
fn a_recording_goes_on_unchanged_while_a_conference_becomes_wide_and_ends() {
    let mut conference = Conference::new();
    conference.hums[0] = tone(Rate::Wide, 400.0, 8000.0, 6000);
    conference.hums[1] = tone(Rate::Wide, 900.0, 8000.0, 6000);
    conference.hums[2] = vec![0; conference.hums[2].len()];
    conference.room.tell(Command::Record { recording: RecordingId(1), leg: LegId(1) });
    conference.hum();
    let taps = |conference: &Conference| conference.room.bay.load().taps;
    let before = taps(&conference);
    conference.join();
    conference.hum();
    let during = taps(&conference);
    conference.room.tell(Command::Close { leg: LegId(3) });
    conference.room.connect(1, 2);
    conference.hum();
    // Two narrow ones for the tape; and the telephone's, and two wide ones for each other.
    assert_eq!([before, during, taps(&conference)], [2, 5, 2]);
    for (side, hertz) in [400.0, 900.0].into_iter().enumerate() {
        let tape = conference.room.tapes[&RecordingId(1)].iter().skip(side).step_by(2);
        let sound: Vec<i16> = tape.copied().skip(1600).collect();
        let gaps = sound.chunks_exact(80).filter(|part| peak_at(Rate::Narrow, hertz, part) < 3000.0);
        assert_eq!(gaps.count(), 0, "{hertz}");
    }
}

#[test]
fn a_mix_is_as_wide_as_the_codecs_of_the_moment() {
    let mut conference = Conference::new();
    conference.join();
    conference.hum();
    let load = |conference: &Conference| {
        let Load { taps, decoders, encoders, .. } = conference.room.bay.load();
        (taps, decoders, encoders)
    };
    assert_eq!(load(&conference), (5, 4, 3));
    // Of two telephones and one wide phone nobody hears anything wide.
    conference.room.amend(2, Plan { socket: SocketId(2), ..plan(2, Codec::Pcma) });
    conference.phones[1].recode(Codec::Pcma);
    conference.hums[1] = tone(Rate::Narrow, 2000.0, 5000.0, 6000);
    let [one, ..] = conference.hum();
    assert_eq!(load(&conference), (3, 1, 3));
    for hertz in [2000.0, LOW] {
        assert!(peak_at(Rate::Wide, hertz, &one) > 3500.0, "{hertz}");
    }
    conference.room.amend(2, Plan { socket: SocketId(2), ..plan(2, Codec::G722) });
    conference.phones[1].recode(Codec::G722);
    conference.hums[1] = tone(Rate::Wide, HIGH[1], 5000.0, 6000);
    let [one, ..] = conference.hum();
    assert_eq!(load(&conference), (5, 4, 3));
    assert!(peak_at(Rate::Wide, HIGH[1], &one) > 3500.0);
}
