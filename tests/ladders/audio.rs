//! Who is not heard, and how it sounds where they are: on the desk, in the record and in the counts.

use std::time::Duration;

use baton::base::{Codec, Mos};
use baton::call::audio::Talker;
use baton::gateway::Write;
use baton::media::{Quality, Way};

use super::stage::Do::*;
use super::stage::{ANN, End, Play, play, scene};

const TALKING: [(u64, super::stage::Do); 3] =
    [(0, Call), (1500, Key(0, '1')), (1600, Displayed("ann", 0, 1))];

/// Ann and the caller talk from 3.602 on.
fn talk(script: &[(u64, super::stage::Do)]) -> Play {
    play(scene(), &[&TALKING, script].concat())
}

pub fn quality(mos: u16) -> Quality {
    let way = Way { loss: 0, late: 0, jitter: Duration::from_millis(4), mos: Mos::from_hundredths(mos) };
    Quality { codec: Codec::Pcma, near: Some(way), far: None, round_trip: Some(Duration::from_millis(30)) }
}

fn one_way(play: &Play) -> [u64; 3] {
    play.net.gateway.counters().audio.one_way
}

#[test]
fn an_agent_who_is_not_heard_is_told_so_at_once_and_the_contact_names_who_and_since_when() {
    let play = talk(&[
        (6_000, Fares(0, End::Caller, quality(430))),
        (9_000, Silent(0, End::Agent, 5)),
        (14_000, Silent(0, End::Agent, 10)),
        (16_000, Audible(0, End::Agent)),
        (20_000, HangUp(0)),
    ]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.500 caller   ──▶ key 1
        1.500 store    ◀── step menu done
        1.500 speech   ◀── music
        1.500 desk ann ◀── offer v1
        1.600 desk ann ──▶ displayed
        1.600 ann      ◀── INVITE
        1.601 ann      ──▶ 180
        3.601 ann      ──▶ 200
        3.602 store    ◀── resolved: this call
        3.602 desk ann ◀── connected
        3.602 ann      ◀── ACK
        6.000 desk ann ◀── quality
        9.000 desk ann ◀── quality, agent silent
        16.000 desk ann ◀── quality
        20.000 carrier  ──▶ BYE
        20.001 carrier  ◀── 200 BYE
        20.001 desk ann ◀── released: Normal call clearing by caller
        20.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 16399 | ann answered | Normal call clearing by caller
        20.001 ann      ◀── BYE
        20.001 desk ann ◀── wrap-up
        20.002 ann      ──▶ 200 BYE
        "#,
    );
    // While it lasted the record said so already.
    let texts = play.net.written.iter().filter_map(|write| match write {
        Write::Contact(record) => record.audio_faults.first().map(|fault| fault.text.clone()),
        _ => None,
    });
    let mut texts: Vec<String> = texts.collect();
    texts.dedup();
    // The call came at 08:00:00.
    assert_eq!(
        texts,
        ["no packets from agent since 08:00:04Z", "no packets from agent from 08:00:04Z on for 12 s"]
    );
    // From the INVITE, which took a millisecond to come.
    let fault = &play.record(0).audio_faults[0];
    assert_eq!((fault.party, fault.one_way, fault.from_ms, fault.ms), (Talker::Agent, true, 3_999, 12_000));
    assert_eq!(one_way(&play), [0, 1, 0]);
}

#[test]
fn a_caller_who_is_not_heard_to_the_end_is_named_in_the_contact() {
    let play = talk(&[(9_000, Silent(0, End::Caller, 5)), (12_000, HangUp(0))]);
    let fault = &play.record(0).audio_faults[0];
    assert_eq!(
        (fault.party, fault.ms, &*fault.text),
        (Talker::Caller, 8_001, "no packets from caller since 08:00:04Z")
    );
    assert_eq!(one_way(&play), [1, 0, 0]);
}

#[test]
fn silence_on_hold_is_no_fault() {
    let play = talk(&[
        (5_000, Hold("ann", 0)),
        (11_000, Silent(0, End::Agent, 5)),
        (12_000, Resume("ann", 0)),
        (12_500, Audible(0, End::Agent)),
        (14_000, PhoneReinvites(ANN, "inactive")),
        (20_000, Silent(0, End::Caller, 5)),
        (21_000, HangUp(0)),
    ]);
    assert_eq!((&play.record(0).audio_faults, one_way(&play)), (&vec![], [0; 3]));
}

#[test]
fn who_puts_us_on_hold_in_mid_silence_is_not_missed_any_more() {
    let play = talk(&[
        (9_000, Silent(0, End::Caller, 5)),
        (10_000, Reinvite(0, "sendonly")),
        (11_000, Reinvite(0, "recvonly")),
        (20_000, HangUp(0)),
    ]);
    let faults = &play.record(0).audio_faults;
    assert_eq!(faults.iter().map(|fault| (fault.from_ms, fault.ms)).collect::<Vec<_>>(), [(3_999, 7_001)]);
}

#[test]
fn where_both_fall_silent_it_is_not_one_way() {
    let play =
        talk(&[(9_000, Silent(0, End::Agent, 5)), (9_010, Silent(0, End::Caller, 5)), (12_000, HangUp(0))]);
    let faults = play.record(0).audio_faults.iter();
    assert_eq!(
        faults.map(|fault| (fault.party, fault.one_way)).collect::<Vec<_>>(),
        [(Talker::Agent, false), (Talker::Caller, false)]
    );
    assert_eq!(one_way(&play), [0; 3]);
}

#[test]
fn how_each_leg_sounded_is_kept_counted_and_shown_every_five_seconds_at_most() {
    let play = talk(&[
        // The caller listens to music: counted and kept, and nobody's screen.
        (1_550, Fares(0, End::Caller, quality(410))),
        (5_000, Fares(0, End::Caller, quality(430))),
        (7_000, Fares(0, End::Agent, quality(250))),
        (9_999, Fares(0, End::Caller, quality(390))),
        (10_000, Fares(0, End::Agent, quality(440))),
        (12_000, HangUp(0)),
    ]);
    let shown = play
        .net
        .ladder()
        .lines()
        .filter(|line| line.contains("quality"))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert_eq!(shown, ["   5.000 desk ann ◀── quality", "  10.000 desk ann ◀── quality"]);
    let kept: Vec<_> = play
        .record(0)
        .audio
        .iter()
        .map(|leg| {
            let from = leg.from.as_ref().expect("it was heard");
            (
                leg.party,
                &*leg.codec,
                leg.round_trip_ms,
                from.reports,
                from.mos_min.to_string(),
                from.mos_avg.to_string(),
            )
        })
        .collect();
    assert_eq!(
        kept,
        [
            (Talker::Caller, "PCMA", Some(30), 3, "3.90".to_owned(), "4.10".to_owned()),
            (Talker::Agent, "PCMA", Some(30), 2, "2.50".to_owned(), "3.45".to_owned()),
        ]
    );
    let heard = play.net.gateway.counters().audio.from.map(|heard| heard.mos.counts.iter().sum::<u64>());
    assert_eq!(heard, [3, 2, 0]);
}
