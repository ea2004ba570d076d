//! Two ends against each other, against a model, and against an implementation by others.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::sources::WINDOW;
use super::*;
use crate::base::Suite;

const SSRC: u32 = 0xcafe_babe;

/// Spaces and line ends are for the reader.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn master(suite: Suite) -> MasterKey {
    masked(suite, 3)
}

/// Another key for each mask.
fn masked(suite: Suite, mask: u8) -> MasterKey {
    let octets: Vec<_> =
        (0..(suite.key_length() + suite.salt_length()) as u8).map(|n| n.wrapping_mul(7) ^ mask).collect();
    MasterKey::new(suite, &octets).unwrap()
}

fn ends(suite: Suite) -> (Protector, Unprotector) {
    (Protector::new(&master(suite)), Unprotector::new(&master(suite)))
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let header = packet::Header { marker: false, payload_type: 8, sequence, timestamp: 160, ssrc };
    [&header.to_bytes()[..], b"a payload longer than one block"].concat()
}

/// Two contributing sources, an extension of two words, padding.
fn rtp_with_everything(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = rtp(ssrc, sequence);
    let rest = hex("00000001 00000002 bede0002 10aa0000 00000000");
    packet.splice(12..12, rest);
    packet.extend([0, 0, 3]);
    packet[0] = 0xb2;
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    [&[0x80, 200, 0, 6][..], &ssrc.to_be_bytes(), &[1; 20], &[0x81, 202, 0, 2], &ssrc.to_be_bytes(), &[0; 4]]
        .concat()
}

fn protect(protector: &mut Protector, plain: &[u8]) -> Option<Vec<u8>> {
    let mut packet = [plain, &[0; OVERHEAD]].concat();
    let length = protector.protect(&mut packet, plain.len())?;
    packet.truncate(length);
    Some(packet)
}

fn protect_rtcp(protector: &mut Protector, plain: &[u8]) -> Option<Vec<u8>> {
    let mut packet = [plain, &[0; OVERHEAD]].concat();
    let length = protector.protect_rtcp(&mut packet, plain.len())?;
    packet.truncate(length);
    Some(packet)
}

fn unprotect(unprotector: &mut Unprotector, packet: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut packet = packet.to_vec();
    let length = unprotector.unprotect(&mut packet)?;
    packet.truncate(length);
    Ok(packet)
}

fn unprotect_rtcp(unprotector: &mut Unprotector, packet: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut packet = packet.to_vec();
    let length = unprotector.unprotect_rtcp(&mut packet)?;
    packet.truncate(length);
    Ok(packet)
}

#[test]
fn a_protected_packet_is_unreadable_but_for_its_header_and_comes_out_as_it_went_in() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = ends(suite);
        for (plain, clear) in [(rtp(SSRC, 1), 12), (rtp_with_everything(SSRC, 2), 32)] {
            let packet = protect(&mut ours, &plain).unwrap();
            let tag = match suite {
                Suite::AesCm128HmacSha1_32 => 4,
                Suite::AesCm128HmacSha1_80 => 10,
                Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 16,
            };
            assert_eq!(packet.len(), plain.len() + tag);
            assert_eq!(packet[..clear], plain[..clear]);
            assert!(
                packet[clear..plain.len()].windows(4).zip(plain[clear..].windows(4)).all(|(a, b)| a != b)
            );
            assert_eq!(unprotect(&mut theirs, &packet), Ok(plain), "{suite:?}");
        }
        let plain = rtcp(SSRC);
        let packet = protect_rtcp(&mut ours, &plain).unwrap();
        assert_eq!(packet[..8], plain[..8]);
        assert!(packet[8..plain.len()].windows(4).zip(plain[8..].windows(4)).all(|(a, b)| a != b));
        assert_eq!(unprotect_rtcp(&mut theirs, &packet), Ok(plain), "{suite:?}");
    }
}

#[test]
fn rtcp_has_a_long_tag_even_where_that_of_rtp_is_short() {
    let (mut ours, _) = ends(Suite::AesCm128HmacSha1_32);
    assert_eq!(protect_rtcp(&mut ours, &rtcp(SSRC)).unwrap().len(), rtcp(SSRC).len() + 4 + 10);
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused_and_changes_nothing() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = ends(suite);
        unprotect(&mut theirs, &protect(&mut ours, &rtp(SSRC, 1)).unwrap()).unwrap();
        unprotect_rtcp(&mut theirs, &protect_rtcp(&mut ours, &rtcp(SSRC)).unwrap()).unwrap();
        let before = (theirs.rtp_sources.clone(), theirs.rtcp_sources.clone());
        let state = |theirs: &Unprotector| (theirs.rtp_sources.clone(), theirs.rtcp_sources.clone());

        let (plain, control) = (rtp_with_everything(SSRC, 2), rtcp(SSRC));
        let packet = protect(&mut ours, &plain).unwrap();
        let control_packet = protect_rtcp(&mut ours, &control).unwrap();
        let wrecks = |packet: &[u8]| {
            let cut = (0..packet.len()).map(|length| packet[..length].to_vec());
            let flipped = (0..packet.len() * 8).map(|bit| {
                let mut packet = packet.to_vec();
                packet[bit / 8] ^= 1 << (bit % 8);
                packet
            });
            let grown = [packet, &[0]].concat();
            cut.chain(flipped).chain([grown]).collect::<Vec<_>>()
        };
        for wreck in wrecks(&packet) {
            let refusal = unprotect(&mut theirs, &wreck).unwrap_err();
            assert_ne!(refusal, Refusal::Replayed);
            assert!(state(&theirs) == before, "{suite:?} {wreck:02x?}");
        }
        for wreck in wrecks(&control_packet) {
            let refusal = unprotect_rtcp(&mut theirs, &wreck).unwrap_err();
            assert_ne!(refusal, Refusal::Replayed);
            assert!(state(&theirs) == before, "{suite:?} {wreck:02x?}");
        }
        assert_eq!(unprotect(&mut theirs, &packet), Ok(plain));
        assert_eq!(unprotect_rtcp(&mut theirs, &control_packet), Ok(control));
    }
}

#[test]
fn a_packet_is_believed_once() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = ends(suite);
        let packet = protect(&mut ours, &rtp(SSRC, 1)).unwrap();
        let control = protect_rtcp(&mut ours, &rtcp(SSRC)).unwrap();
        unprotect(&mut theirs, &packet).unwrap();
        unprotect_rtcp(&mut theirs, &control).unwrap();
        assert_eq!(unprotect(&mut theirs, &packet), Err(Refusal::Replayed), "{suite:?}");
        assert_eq!(unprotect_rtcp(&mut theirs, &control), Err(Refusal::Replayed), "{suite:?}");
    }
}

#[test]
fn neither_the_other_key_nor_the_other_kind_of_packet_is_believed() {
    for suite in Suite::ALL {
        let (mut ours, _) = ends(suite);
        let mut octets = master(suite).octets().to_vec();
        *octets.last_mut().unwrap() ^= 1;
        let mut stranger = Unprotector::new(&MasterKey::new(suite, &octets).unwrap());
        assert_eq!(
            unprotect(&mut stranger, &protect(&mut ours, &rtp(SSRC, 1)).unwrap()),
            Err(Refusal::Forged)
        );
        let (mut ours, mut theirs) = ends(suite);
        assert_eq!(
            unprotect(&mut theirs, &protect_rtcp(&mut ours, &rtcp(SSRC)).unwrap()),
            Err(Refusal::Forged)
        );
        assert_eq!(
            unprotect_rtcp(&mut theirs, &protect(&mut ours, &rtp(SSRC, 1)).unwrap()),
            Err(Refusal::Forged)
        );
    }
}

#[test]
fn late_packets_are_believed_across_the_wrap() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = ends(suite);
        let mut sent = |sequence| protect(&mut ours, &rtp(SSRC, sequence)).unwrap();
        let [early, late, last, wrapped, next] = [65_530, 65_533, 65_535, 0, 1].map(&mut sent);
        let [half, full] = [32_000, 64_000].map(&mut sent);
        let again = sent(1_000);
        for (packet, sequence) in
            [(&early, 65_530), (&wrapped, 0), (&last, 65_535), (&next, 1), (&late, 65_533)]
        {
            assert_eq!(unprotect(&mut theirs, packet), Ok(rtp(SSRC, sequence)), "{suite:?} {sequence}");
        }
        assert_eq!(unprotect(&mut theirs, &last), Err(Refusal::Replayed));
        for (packet, sequence) in [(&half, 32_000), (&full, 64_000), (&again, 1_000)] {
            assert_eq!(unprotect(&mut theirs, packet), Ok(rtp(SSRC, sequence)), "{suite:?} {sequence}");
        }
    }
}

/// An old packet's number means another index by then, so its tag is false.
#[test]
fn a_packet_of_an_earlier_round_is_refused() {
    let (mut ours, mut theirs) = ends(Suite::AeadAes128Gcm);
    let old = protect(&mut ours, &rtp(SSRC, 10)).unwrap();
    unprotect(&mut theirs, &old).unwrap();
    for sequence in [30_000, 60_000, 5] {
        unprotect(&mut theirs, &protect(&mut ours, &rtp(SSRC, sequence)).unwrap()).unwrap();
    }
    assert_eq!(unprotect(&mut theirs, &old), Err(Refusal::Forged));
}

#[test]
fn each_source_has_a_rollover_counter_of_its_own() {
    let (mut ours, mut theirs) = ends(Suite::AesCm128HmacSha1_80);
    for (ssrc, sequence) in
        [(1, 0xffff), (2, 500), (1, 0), (2, 501), (3, 0xfffe), (1, 1), (3, 0xffff), (3, 0), (2, 502)]
    {
        let plain = rtp(ssrc, sequence);
        let packet = protect(&mut ours, &plain).unwrap();
        assert_eq!(unprotect(&mut theirs, &packet), Ok(plain));
    }
    let highest = |ssrc| theirs.rtp_sources.index(ssrc, 0);
    assert_eq!([1, 2, 3].map(highest), [Some(0x1_0000), Some(0), Some(0x1_0000)]);
}

#[test]
fn forged_sources_push_out_no_true_one() {
    let (mut ours, mut theirs) = ends(Suite::AesCm128HmacSha1_80);
    unprotect(&mut theirs, &protect(&mut ours, &rtp(SSRC, 0xffff)).unwrap()).unwrap();
    for ssrc in 0..1_000 {
        assert_eq!(unprotect(&mut theirs, &[rtp(ssrc, 1), vec![9; 10]].concat()), Err(Refusal::Forged));
    }
    unprotect(&mut theirs, &protect(&mut ours, &rtp(SSRC, 0)).unwrap()).unwrap();
}

#[test]
fn no_keystream_is_used_twice() {
    let (mut ours, _) = ends(Suite::AeadAes128Gcm);
    assert!(protect(&mut ours, &rtp(SSRC, 1_000)).is_some());
    assert_eq!(protect(&mut ours, &rtp(SSRC, 1_000)), None);
    assert!(protect(&mut ours, &rtp(SSRC, 999)).is_some());
    assert_eq!(protect(&mut ours, &rtp(SSRC, 1_000 - WINDOW as u16)), None);
    // Before the beginning there is no round.
    assert_eq!(protect(&mut ours, &rtp(SSRC, 50_000)), None);
}

/// Two ends that have wrapped, between their first key and another.
fn wrapped(suite: Suite) -> (Protector, Unprotector) {
    let (mut ours, mut theirs) = ends(suite);
    for sequence in [0xffff, 0, 1] {
        unprotect(&mut theirs, &protect(&mut ours, &rtp(SSRC, sequence)).unwrap()).unwrap();
    }
    unprotect_rtcp(&mut theirs, &protect_rtcp(&mut ours, &rtcp(SSRC)).unwrap()).unwrap();
    (ours, theirs)
}

#[test]
fn a_source_goes_on_in_its_round_under_a_new_key_and_each_packet_counts_once() {
    for (before, after) in Suite::ALL.into_iter().zip(Suite::ALL.into_iter().cycle().skip(1)) {
        let (mut ours, mut theirs) = wrapped(before);
        let old = protect(&mut ours, &rtp(SSRC, 2)).unwrap();
        ours.rekey(&masked(after, 99));
        theirs.rekey(&masked(after, 99));
        assert!(unprotect(&mut theirs, &old).is_err());
        let [next, late] = [4, 3].map(|sequence| protect(&mut ours, &rtp(SSRC, sequence)).unwrap());
        assert_eq!(unprotect(&mut theirs, &next), Ok(rtp(SSRC, 4)), "{after:?}");
        assert_eq!(theirs.rtp_sources.index(SSRC, 4), Some(0x1_0004));
        assert_eq!(unprotect(&mut theirs, &next), Err(Refusal::Replayed));
        assert_eq!(unprotect(&mut theirs, &late), Ok(rtp(SSRC, 3)), "{after:?}");
        let control = protect_rtcp(&mut ours, &rtcp(SSRC)).unwrap();
        assert_eq!(unprotect_rtcp(&mut theirs, &control), Ok(rtcp(SSRC)), "{after:?}");
        assert_eq!(unprotect_rtcp(&mut theirs, &control), Err(Refusal::Replayed));
    }
}

#[test]
fn a_source_that_begins_with_round_0_under_a_new_key_is_believed_too() {
    for suite in Suite::ALL {
        let (_, mut theirs) = wrapped(suite);
        let mut ours = Protector::new(&masked(suite, 99));
        theirs.rekey(&masked(suite, 99));
        let mut kept = wrapped(suite).0;
        kept.rekey(&masked(suite, 99));
        for sequence in [2, 3, 4] {
            let packet = protect(&mut ours, &rtp(SSRC, sequence)).unwrap();
            assert_eq!(unprotect(&mut theirs, &packet), Ok(rtp(SSRC, sequence)), "{suite:?}");
            assert_eq!(unprotect(&mut theirs, &packet), Err(Refusal::Replayed), "{suite:?}");
        }
        // From its first packet on there is one round again.
        let elsewhere = protect(&mut kept, &rtp(SSRC, 5)).unwrap();
        assert_eq!(unprotect(&mut theirs, &elsewhere), Err(Refusal::Forged), "{suite:?}");
        // SRTCP may count from 0 again as well.
        let control = protect_rtcp(&mut ours, &rtcp(SSRC)).unwrap();
        assert_eq!(unprotect_rtcp(&mut theirs, &control), Ok(rtcp(SSRC)), "{suite:?}");
    }
}

#[test]
fn a_source_that_kept_its_round_is_believed_in_no_other() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = wrapped(suite);
        ours.rekey(&masked(suite, 99));
        theirs.rekey(&masked(suite, 99));
        unprotect(&mut theirs, &protect(&mut ours, &rtp(SSRC, 2)).unwrap()).unwrap();
        let restarted = protect(&mut Protector::new(&masked(suite, 99)), &rtp(SSRC, 3)).unwrap();
        assert_eq!(unprotect(&mut theirs, &restarted), Err(Refusal::Forged), "{suite:?}");
    }
}

#[test]
fn what_is_forged_under_a_new_key_changes_nothing() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = wrapped(suite);
        ours.rekey(&masked(suite, 99));
        theirs.rekey(&masked(suite, 99));
        let before = theirs.rtp_sources.clone();
        let genuine = protect(&mut ours, &rtp(SSRC, 2)).unwrap();
        for bit in 0..genuine.len() * 8 {
            let mut forged = genuine.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(unprotect(&mut theirs, &forged).is_err(), "{suite:?} {bit}");
        }
        assert!(unprotect(&mut theirs, &[rtp(SSRC, 2), vec![9; LONGEST]].concat()).is_err());
        assert_eq!(theirs.rtp_sources, before);
        assert_eq!(unprotect(&mut theirs, &genuine), Ok(rtp(SSRC, 2)), "{suite:?}");
    }
}

#[test]
fn a_key_that_comes_back_repeats_no_keystream() {
    for suite in Suite::ALL {
        let mut ours = Protector::new(&master(suite));
        let (mut texts, mut controls) = (HashSet::new(), HashSet::new());
        for n in 0..16u32 {
            match n {
                5 => ours.rekey(&masked(suite, 99)),
                7 => ours.rekey(&master(suite)),
                _ => {}
            }
            // Four to the round, and the same text each time: its cipher tells the keystream.
            let plain = rtp(SSRC, (n * 0x4000) as u16);
            let packet = protect(&mut ours, &plain).expect("it is new");
            assert!(texts.insert(packet[12..plain.len()].to_vec()), "{suite:?} {n}");
            let control = protect_rtcp(&mut ours, &rtcp(SSRC)).expect("it is new");
            assert!(controls.insert(control[8..rtcp(SSRC).len()].to_vec()), "{suite:?} {n}");
        }
    }
}

#[test]
fn a_key_that_is_used_up_protects_nothing_more() {
    let (mut ours, _) = ends(Suite::AeadAes256Gcm);
    ours.sources.admit(SSRC, LAST_RTP - 1).unwrap();
    assert!(protect(&mut ours, &rtp(SSRC, 0xffff)).is_some());
    assert_eq!(protect(&mut ours, &rtp(SSRC, 0)), None);
    ours.next_rtcp = LAST_RTCP;
    assert!(protect_rtcp(&mut ours, &rtcp(SSRC)).is_some());
    assert_eq!(protect_rtcp(&mut ours, &rtcp(SSRC)), None);
}

#[test]
fn a_packet_without_room_for_its_trailer_is_not_protected() {
    for suite in Suite::ALL {
        let (mut ours, _) = ends(suite);
        let (plain, control) = (rtp(SSRC, 1), rtcp(SSRC));
        assert_eq!(ours.protect(&mut plain.clone(), plain.len()), None);
        assert_eq!(ours.protect(&mut plain.clone(), plain.len() + 1), None);
        assert_eq!(ours.protect_rtcp(&mut control.clone(), control.len()), None);
        assert!(protect(&mut ours, &plain).is_some(), "the number must not count as used");
    }
}

/// What a network does to one packet.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lost,
    Arrives,
    ArrivesTwice,
    /// After so many others.
    Late(usize),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Lost),
        6 => Just(Fate::Arrives),
        2 => Just(Fate::ArrivesTwice),
        3 => (1..80_usize).prop_map(Fate::Late),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The model knows every index that arrived; the window is all it forgets.
    #[test]
    fn two_ends_agree_whatever_the_network_does(
        first in 0..0x8000_u64,
        suite in prop::sample::select(&Suite::ALL),
        fates in vec((fate(), prop_oneof![20 => Just(1), 1 => 2..300_u64, 1 => Just(20_000)]), 1..400),
    ) {
        let (mut ours, mut theirs) = ends(suite);
        let mut arrivals = vec![];
        let mut index = first;
        for (at, (fate, step)) in fates.into_iter().enumerate() {
            let plain = rtp(SSRC, index as u16);
            let packet = protect(&mut ours, &plain).unwrap();
            let delays: &[usize] = match fate {
                // The peer must hear the beginning, or it cannot know the round.
                Fate::Lost if at > 0 => &[],
                Fate::Late(delay) if at > 0 => &[delay],
                Fate::ArrivesTwice => &[0, 5],
                _ => &[0],
            };
            arrivals.extend(delays.iter().map(|delay| (at + delay, index, plain.clone(), packet.clone())));
            index += step;
        }
        arrivals.sort_by_key(|(at, ..)| *at);

        let (mut highest, mut heard) = (first, HashSet::new());
        for (_, index, plain, packet) in arrivals {
            // Further off, a sequence number means another index to the peer, but before the
            // first round there is none.
            let first_round = highest < 0x8000 && index < 0x1_0000;
            if index.abs_diff(highest) >= 0x8000 && !first_round {
                prop_assert!(unprotect(&mut theirs, &packet).is_err());
                continue;
            }
            let believed = index + WINDOW > highest && heard.insert(index);
            let verdict = if believed { Ok(plain) } else { Err(Refusal::Replayed) };
            prop_assert_eq!(unprotect(&mut theirs, &packet), verdict);
            highest = highest.max(index);
        }
    }

    #[test]
    fn any_octets_are_refused(suite in prop::sample::select(&Suite::ALL), bytes in vec(any::<u8>(), 0..200)) {
        let (mut ours, mut theirs) = ends(suite);
        let mut like_rtp = bytes.clone();
        if let Some(first) = like_rtp.first_mut() {
            *first = 0x80 | *first & 0x3f;
        }
        for bytes in [bytes, like_rtp] {
            prop_assert!(unprotect(&mut theirs, &bytes).is_err());
            prop_assert!(unprotect_rtcp(&mut theirs, &bytes).is_err());
            prop_assert_eq!(&theirs.rtp_sources, &Sources::default());
            prop_assert_eq!(&theirs.rtcp_sources, &Sources::default());
            protect(&mut ours, &bytes);
            protect_rtcp(&mut ours, &bytes);
        }
    }
}

/// `rtc-srtp`, with its replay protection on.
fn oracle(suite: Suite) -> Context {
    let (master, crypto) = (master(suite), rtc_srtp::crypto::default_provider().unwrap());
    let profile = match suite {
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let (rtp, rtcp) = (srtp_replay_protection(WINDOW as usize), srtcp_replay_protection(WINDOW as usize));
    Context::new(master.key(), master.salt(), profile, Some(rtp), Some(rtcp), crypto.crypto()).unwrap()
}

#[test]
fn an_implementation_by_others_writes_the_same_octets_and_reads_ours() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = ends(suite);
        let (mut writer, mut reader) = (oracle(suite), oracle(suite));
        // Three rounds, two packets late around each wrap.
        let sequences = (0..3 * 65_536_u32).step_by(61).flat_map(|n| [n + 3, n + 1, n + 2]);
        for sequence in sequences.map(|n| n as u16) {
            let plain =
                if sequence % 2 == 0 { rtp(SSRC, sequence) } else { rtp_with_everything(SSRC, sequence) };
            let packet = protect(&mut ours, &plain).unwrap();
            assert_eq!(packet, writer.encrypt_rtp(&plain).unwrap(), "{suite:?} {sequence}");
            assert_eq!(reader.decrypt_rtp(&packet).unwrap(), plain, "{suite:?} {sequence}");
            assert_eq!(unprotect(&mut theirs, &packet), Ok(plain), "{suite:?} {sequence}");
        }
        for _ in 0..100 {
            let plain = rtcp(SSRC);
            let packet = protect_rtcp(&mut ours, &plain).unwrap();
            assert_eq!(reader.decrypt_rtcp(&packet).unwrap(), plain, "{suite:?}");
            let packet = writer.encrypt_rtcp(&plain).unwrap();
            assert_eq!(unprotect_rtcp(&mut theirs, &packet), Ok(plain), "{suite:?}");
        }
    }
}
