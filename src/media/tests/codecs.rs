//! Every codec to every codec: what is said by one is heard by the other.

use super::phone::{Phone, assert_contiguous, span};
use super::sound::{decibels, delay, likeness, peak_at, phrase, samples, tone};
use super::*;
use crate::base::Spare;
use crate::rtp::rtcp::{Block, Compound};

/// The bay with two phones that talk to each other.
fn talking(from: Codec, to: Codec) -> (Room, Phone, Phone) {
    (Room::talking([from, to]), Phone::new(1, from), Phone::new(2, to))
}

fn pairs() -> impl Iterator<Item = [Codec; 2]> {
    Codec::ALL.into_iter().flat_map(|from| Codec::ALL.map(|to| [from, to]))
}

fn is_g711(codec: Codec) -> bool {
    matches!(codec, Codec::Pcmu | Codec::Pcma)
}

/// Whether one is decoded and encoded for the other.
fn is_interpreted(from: Codec, to: Codec) -> bool {
    from != to && !(is_g711(from) && is_g711(to))
}

#[test]
fn every_codec_is_heard_in_every_other_at_its_level_and_at_once() {
    for [from, to] in pairs() {
        let (mut room, mut speaker, mut listener) = talking(from, to);
        let hum = tone(from.rate(), 440.0, 8000.0, 1000);
        let said = [hum.clone(), phrase(from.rate(), 2000)].concat();
        speaker.speak(&mut room, &said);
        let heard = listener.heard(&mut room);
        assert_eq!(heard.len(), 150, "{from:?} {to:?}");
        // Nothing waits for a tick or for another packet.
        assert!(heard.iter().enumerate().all(|(n, h)| h.at == n as u64 * 20));
        assert!(heard.iter().all(|h| span(to, &h.payload) == to.clock() / 50));
        assert_contiguous(to, &heard);

        let sound = listener.decode(&heard);
        let ms = |millis| samples(to.rate(), millis);
        let wanted = tone(to.rate(), 440.0, 8000.0, 1000);
        let level = decibels(&sound[ms(200)..ms(900)], &wanted[ms(200)..ms(900)]);
        assert!(level.abs() < 1.0, "{from:?} {to:?} {level} dB");
        let wanted = phrase(to.rate(), 2000);
        let level = decibels(&sound[ms(1000)..], &wanted);
        assert!(level.abs() < 1.0, "{from:?} {to:?} {level} dB");
        let (lag, alike) = delay(&sound[ms(1000)..], &wanted, ms(40));
        assert!(alike > 0.85 && lag < ms(25), "{from:?} {to:?} {alike} after {lag}");
        assert_eq!(room.bay.load().decoders, usize::from(is_interpreted(from, to)));
    }
}

#[test]
fn wide_sound_stays_wide_between_the_codecs_that_have_it() {
    for [from, to] in [[Codec::G722, Codec::Opus], [Codec::Opus, Codec::G722]] {
        let (mut room, mut speaker, mut listener) = talking(from, to);
        speaker.speak(&mut room, &tone(Rate::Wide, 5500.0, 6000.0, 1000));
        let sound = listener.listen(&mut room);
        let peak = peak_at(Rate::Wide, 5500.0, &sound[8000..12_000]);
        assert!(peak > 4000.0, "{from:?} {to:?} {peak}");
    }
}

#[test]
fn packets_of_any_length_come_and_those_agreed_on_go() {
    for [from, to] in pairs().filter(|[from, to]| is_interpreted(*from, *to)) {
        for came in [10, 20, 30, 60] {
            for ptime_ms in [10, 20, 30, 60] {
                // Our Opus has frames of 20 ms, whatever is wished.
                let sent = if to == Codec::Opus { 20 } else { u32::from(ptime_ms) };
                if from == Codec::Opus && came != 20 {
                    continue;
                }
                let (mut room, mut speaker, mut listener) = talking(from, to);
                room.amend(2, Plan { ptime_ms, ..plan(2, to) });
                for frame in tone(from.rate(), 440.0, 8000.0, 480).chunks(samples(from.rate(), came)) {
                    speaker.say(&mut room, frame);
                    room.run(came as u64);
                }
                let heard = listener.heard(&mut room);
                let label = format!("{from:?} {came} {to:?} {ptime_ms}");
                assert_contiguous(to, &heard);
                assert!(heard.iter().all(|h| span(to, &h.payload) == sent * to.clock() / 1000), "{label}");
                assert_eq!(heard.len() as u32, 480 / sent, "{label}");
                let sound = listener.decode(&heard);
                let (begin, end) = (samples(to.rate(), 200), samples(to.rate(), 430));
                let peak = peak_at(to.rate(), 440.0, &sound[begin..end]);
                assert!((peak / 8000.0 - 1.0).abs() < 0.12, "{label}: {peak}");
            }
        }
    }
}

/// What the listener hears of a phrase when the packets `lost` are.
fn heard_with(from: Codec, to: Codec, percent: u8, lost: impl Fn(u32) -> bool) -> (Vec<Heard>, Vec<i16>) {
    let (mut room, mut speaker, mut listener) = talking(from, to);
    speaker.encoder().expect_loss(percent);
    for (n, frame) in (0..).zip(phrase(from.rate(), 3000).chunks(from.rate().frame())) {
        let bytes = speaker.packet(frame);
        if !lost(n) {
            speaker.send(&mut room, &bytes);
        }
        room.run(20);
    }
    let heard = listener.heard(&mut room);
    let sound = listener.decode(&heard);
    (heard, sound)
}

#[test]
fn lost_packets_leave_no_gap_behind_a_decoder() {
    for [from, to] in pairs().filter(|[from, to]| is_interpreted(*from, *to)) {
        let (heard, sound) = heard_with(from, to, 10, |n| n % 20 == 7);
        assert_contiguous(to, &heard);
        assert_eq!(heard.len(), 150);
        let (_, whole) = heard_with(from, to, 10, |_| false);
        let alike = likeness(&sound, &whole);
        assert!(alike > 0.85, "{from:?} {to:?} {alike}");
    }
}

#[test]
fn what_opus_lost_is_taken_from_the_spare_copy_in_the_next_packet() {
    let to = Codec::Pcmu;
    let harm = |percent| {
        let (_, whole) = heard_with(Codec::Opus, to, percent, |_| false);
        let (_, sound) = heard_with(Codec::Opus, to, percent, |n| n % 20 == 7);
        let difference: Vec<i16> = whole.iter().zip(&sound).map(|(a, b)| a.saturating_sub(*b)).collect();
        decibels(&difference, &whole)
    };
    let (with, without) = (harm(20), harm(0));
    assert!(with < without - 3.0, "{with} dB with, {without} dB without");
}

#[test]
fn what_comes_late_or_twice_harms_no_stream() {
    for [from, to] in pairs().filter(|[from, to]| is_interpreted(*from, *to)) {
        let (mut room, mut speaker, mut listener) = talking(from, to);
        let said = tone(from.rate(), 440.0, 8000.0, 2000);
        let mut packets: Vec<_> =
            said.chunks(from.rate().frame()).map(|frame| speaker.packet(frame)).collect();
        for n in (5..95).step_by(10) {
            packets.swap(n, n + 1);
            let again = packets[n - 2].clone();
            packets.insert(n, again);
        }
        for bytes in packets {
            speaker.send(&mut room, &bytes);
            room.run(20);
        }
        let heard = listener.heard(&mut room);
        assert_contiguous(to, &heard);
        assert_eq!(heard.len(), 100, "{from:?} {to:?}");
    }
}

#[test]
fn a_pause_unsent_stays_a_pause_for_the_listener() {
    for [from, to] in pairs() {
        let (mut room, mut speaker, mut listener) = talking(from, to);
        let hum = tone(from.rate(), 440.0, 8000.0, 400);
        speaker.speak(&mut room, &hum);
        room.run(1000);
        speaker.next.timestamp = speaker.next.timestamp.wrapping_add(from.clock());
        speaker.next.marker = true;
        speaker.speak(&mut room, &hum);
        let heard = listener.heard(&mut room);
        assert_eq!(heard.len(), 40, "{from:?} {to:?}");
        assert_contiguous(to, &heard[..20]);
        assert!(heard[20].header.marker);
        let pause = heard[20].header.timestamp.wrapping_sub(heard[19].header.timestamp);
        assert_eq!(pause, to.clock() + to.clock() / 50);
        assert_eq!(heard[20].at, 1400);
    }
}

#[test]
fn who_changes_the_codec_in_a_call_is_heard_on() {
    let (mut room, mut speaker, mut listener) = talking(Codec::Pcma, Codec::Pcma);
    let mut heard = vec![];
    for codec in [Codec::Pcma, Codec::Opus, Codec::G722, Codec::Opus, Codec::Pcmu, Codec::Pcma] {
        speaker.recode(codec);
        room.amend(1, plan(1, codec));
        speaker.speak(&mut room, &tone(codec.rate(), 440.0, 8000.0, 600));
        let now = listener.heard(&mut room);
        assert_eq!(now.len(), 30, "{codec:?}");
        assert_contiguous(Codec::Pcma, &now);
        let sound = listener.decode(&now);
        let level = peak_at(Rate::Narrow, 440.0, &sound[1600..]);
        assert!((level / 8000.0 - 1.0).abs() < 0.12, "{codec:?} {level}");
        // Its decoder and nobody's encoder outlive the codec.
        let coders = usize::from(is_interpreted(codec, Codec::Pcma));
        let Load { decoders, encoders, .. } = room.bay.load();
        assert_eq!((decoders, encoders), (coders, coders), "{codec:?}");
        heard.extend(now);
    }
    assert_continuous(&heard);
    let told = heard.last().unwrap().header.timestamp.wrapping_sub(heard[0].header.timestamp);
    assert!((179 * 160..180 * 160).contains(&told), "{told}");
}

#[test]
fn a_listener_who_changes_the_codec_hears_on() {
    let (mut room, mut speaker, mut listener) = talking(Codec::Pcmu, Codec::Pcmu);
    let (mut sequence, mut ssrc) = (None, None);
    for codec in [Codec::Pcmu, Codec::Opus, Codec::G722, Codec::Pcmu] {
        listener.recode(codec);
        room.amend(2, plan(2, codec));
        speaker.speak(&mut room, &tone(Rate::Narrow, 440.0, 8000.0, 600));
        let heard = listener.heard(&mut room);
        assert_eq!(heard.len(), 30, "{codec:?}");
        assert_contiguous(codec, &heard);
        let first = heard[0].header;
        assert_eq!(first.sequence, sequence.unwrap_or(first.sequence));
        assert_eq!(first.ssrc, *ssrc.get_or_insert(first.ssrc));
        sequence = Some(heard[29].header.sequence.wrapping_add(1));
        let sound = listener.decode(&heard);
        let level = peak_at(codec.rate(), 440.0, &sound[sound.len() / 3..]);
        assert!((level / 8000.0 - 1.0).abs() < 0.12, "{codec:?} {level}");
        let coders = usize::from(is_interpreted(Codec::Pcmu, codec));
        let Load { decoders, encoders, .. } = room.bay.load();
        assert_eq!((decoders, encoders), (coders, coders), "{codec:?}");
    }
}

#[test]
fn legs_that_come_to_agree_are_relayed_to_each_other_octet_by_octet() {
    let (mut room, mut speaker, mut listener) = talking(Codec::Pcma, Codec::Opus);
    speaker.speak(&mut room, &tone(Rate::Narrow, 440.0, 8000.0, 100));
    listener.speak(&mut room, &tone(Rate::Wide, 440.0, 8000.0, 100));
    let Load { decoders, encoders, .. } = room.bay.load();
    assert_eq!((decoders, encoders), (2, 2));
    speaker.recode(Codec::Opus);
    room.amend(1, plan(1, Codec::Opus));
    room.sent(|_| true);
    for n in 0..5 {
        let bytes = speaker.payload(&[0x48, n, 7, 7], 960);
        speaker.send(&mut room, &bytes);
        assert_eq!(listener.heard(&mut room)[0].payload, [0x48, n, 7, 7]);
        let bytes = listener.payload(&[0x48, 9, n], 960);
        listener.send(&mut room, &bytes);
        assert_eq!(speaker.heard(&mut room)[0].payload, [0x48, 9, n]);
        room.run(20);
    }
    let Load { decoders, encoders, .. } = room.bay.load();
    assert_eq!((decoders, encoders), (0, 0));
}

#[test]
fn when_a_recording_ends_nothing_is_decoded_any_more() {
    let (mut room, mut speaker, _) = talking(Codec::Opus, Codec::Opus);
    let recording = RecordingId(1);
    room.tell(Command::Record { recording, leg: LegId(1) });
    speaker.speak(&mut room, &tone(Rate::Wide, 440.0, 8000.0, 100));
    assert_eq!(room.bay.load().decoders, 1);
    room.tell(Command::Finish { recording });
    assert_eq!(room.bay.load().decoders, 0);
    speaker.speak(&mut room, &tone(Rate::Wide, 440.0, 8000.0, 100));
    assert_eq!(room.bay.load().decoders, 0);
}

#[test]
fn prompts_music_and_tones_wake_no_coder_whatever_the_codec() {
    let hum = tone(Rate::Narrow, 440.0, 8000.0, 1000);
    for codec in Codec::ALL {
        let mut room = Room::new(&[(1, codec), (2, codec)]);
        let mut phone = Phone::new(1, codec);
        let prompt = room.play(1, &[&hum], Repeat::Once);
        let music = room.play(2, &[&hum], Repeat::Forever);
        for source in [prompt, music, Source::Tone(Tone::Ringback)] {
            room.patch(1, &[source]);
            room.run(900);
            let Load { decoders, encoders, .. } = room.bay.load();
            assert_eq!((decoders, encoders), (0, 0));
            let heard = phone.heard(&mut room);
            assert_contiguous(codec, &heard);
            assert!((44..=46).contains(&heard.len()));
            let sound = phone.decode(&heard);
            let (hertz, peak) =
                if source == music || source == prompt { (440.0, 8000.0) } else { (425.0, 7100.0) };
            let got = peak_at(codec.rate(), hertz, &sound[sound.len() / 4..][..sound.len() / 2]);
            assert!((got / peak - 1.0).abs() < 0.12, "{codec:?} {source:?} {got}");
        }
    }
}

#[test]
fn a_held_caller_talks_in_vain_and_nothing_decodes_it() {
    let (mut room, mut speaker, _) = talking(Codec::Opus, Codec::Pcmu);
    let music = room.play(1, &[&[1000; 1600]], Repeat::Forever);
    room.patch(1, &[music]);
    room.patch(2, &[]);
    speaker.speak(&mut room, &tone(Rate::Wide, 440.0, 8000.0, 200));
    let Load { decoders, encoders, .. } = room.bay.load();
    assert_eq!((decoders, encoders), (0, 0));
}

/// What the peer does with spare copies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copies {
    Used,
    Unused,
}

/// How many packets of 2 s carry a spare copy of the one before, toward a peer with this wish, after
/// it reported this loss in 256ths.
fn spare_copies(copies: Copies, reported: Option<u8>) -> usize {
    let (mut room, mut speaker, mut listener) = talking(Codec::Pcmu, Codec::Opus);
    let redundancy = copies == Copies::Used;
    let opus = Some(Opus { redundancy, dtx: false, bitrate: 32_000, rate: Rate::Wide });
    room.amend(2, Plan { opus, ..plan(2, Codec::Opus) });
    speaker.speak(&mut room, &phrase(Rate::Narrow, 100));
    listener.heard(&mut room);
    if let Some(fraction) = reported {
        let block =
            Block { ssrc: 0x5002, fraction, lost: 0, highest: 0, jitter: 0, last_report: 0, delay: 0 };
        let report = Compound::report(0x102, None, Some(block));
        room.come_on(2, Channel::Rtcp, listener.at, report.as_bytes());
    }
    speaker.speak(&mut room, &phrase(Rate::Narrow, 2000));
    // RFC 6716 §4.2.3: SILK's header is voice activity, then whether there is a copy.
    listener.heard(&mut room).iter().filter(|h| h.payload[1] & 0x40 != 0).count()
}

#[test]
fn spare_copies_go_to_who_can_use_them_while_it_loses_packets() {
    assert_eq!(spare_copies(Copies::Unused, None), 0);
    assert_eq!(spare_copies(Copies::Unused, Some(26)), 0);
    assert!(spare_copies(Copies::Used, None) > 10);
    assert!(spare_copies(Copies::Used, Some(26)) > 10);
    // The packet after the report still holds the copy of one before.
    assert!(spare_copies(Copies::Used, Some(0)) <= 1);
}

/// Leg 1 agreed on µ-law and hears leg 2 (A-law); A-law and G.722 are let stand beside it.
fn with_spares() -> (Room, Phone, Phone) {
    let mut room = Room::new(&[(2, Codec::Pcma)]);
    let spares =
        [(Codec::Pcma, 8), (Codec::G722, 9)].map(|(codec, sent)| Some(Spare { codec, sent, received: sent }));
    room.open(1, Plan { spares, ..plan(1, Codec::Pcmu) });
    room.connect(1, 2);
    (room, Phone::new(1, Codec::Pcmu), Phone::new(2, Codec::Pcma))
}

#[test]
fn a_peer_that_changes_to_another_codec_of_its_answer_is_heard_on_and_hears_that() {
    let (mut room, mut one, mut two) = with_spares();
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Pcmu] {
        if one.codec != codec {
            one.recode(codec);
        }
        for _ in 0..60 {
            one.say(&mut room, &tone(one.rate(), 700.0, 6000.0, 20));
            two.say(&mut room, &tone(Rate::Narrow, 1100.0, 6000.0, 20));
            room.run(20);
        }
        let heard = two.heard(&mut room);
        assert!((58..=60).contains(&heard.len()), "{codec:?}: {}", heard.len());
        let sound = two.decode(&heard);
        assert!(peak_at(Rate::Narrow, 700.0, &sound[2000..8000]) > 3500.0, "{codec:?}");
        let heard = one.heard(&mut room);
        let changed = heard.iter().position(|h| h.header.payload_type == codec.payload_type());
        assert!(changed.is_some_and(|n| n <= 1), "{codec:?}: {changed:?}");
        assert!(heard.iter().skip(2).all(|h| h.header.payload_type == codec.payload_type()), "{codec:?}");
        let sound = one.decode(&heard);
        let part = sound::samples(one.rate(), 400)..sound::samples(one.rate(), 1000);
        assert!(peak_at(one.rate(), 1100.0, &sound[part]) > 3500.0, "{codec:?}");
        // Where both ends have one law or two, nothing is decoded.
        let decoders = if codec == Codec::G722 { 2 } else { 0 };
        assert_eq!(room.bay.load().decoders, decoders, "{codec:?}");
    }
    assert_eq!(room.counts(1).dropped, 0);
}

#[test]
fn a_codec_that_changes_with_every_packet_and_one_of_no_answer_are_not_followed() {
    let (mut room, mut one, mut two) = with_spares();
    for n in 0..50 {
        one.recode([Codec::Pcmu, Codec::Pcma][n % 2]);
        one.say(&mut room, &tone(Rate::Narrow, 700.0, 6000.0, 20));
        room.run(20);
    }
    // Within the second one change was followed.
    assert_eq!(room.counts(1).dropped, 24);
    assert_eq!(two.heard(&mut room).len(), 26);
    one.next.payload_type = 18;
    let bytes = one.payload(&[0; 20], 160);
    one.send(&mut room, &bytes);
    assert_eq!(room.counts(1).dropped, 25);
}
