//! Callers who are gone without a BYE, and those who are only quiet.

use baton::call::release::{Cause, Party};

use super::stage::Do::*;
use super::stage::{Do, End, Play, play, scene};

const TALKING: [(u64, Do); 3] = [(0, Call), (1500, Key(0, '1')), (1600, Displayed("ann", 0, 1))];

/// Ann and the caller talk from 3.602 on.
fn talk(script: &[(u64, Do)]) -> Play {
    play(scene(), &[&TALKING, script].concat())
}

fn ended(play: &Play) -> (Party, Cause, u64) {
    let call = &play.record(0).calls[0];
    let release = call.release.expect("it is over");
    (release.by, release.cause, call.ms)
}

#[test]
fn a_caller_of_whom_nothing_comes_for_a_minute_is_released() {
    let play = talk(&[
        (9_000, Silent(0, End::Caller, 5)),
        (63_000, Silent(0, End::Caller, 59)),
        (63_000, Absent(0, End::Caller, 59)),
        (63_500, Hears(0, "talk")),
        (64_000, Absent(0, End::Caller, 60)),
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
        9.000 desk ann ◀── quality, caller silent
        64.000 desk ann ◀── released: Media lost by us
        64.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 60398 | ann answered | Media lost by us
        64.000 carrier  ◀── BYE
        64.000 ann      ◀── BYE
        64.000 desk ann ◀── wrap-up
        64.001 carrier  ──▶ 200 BYE
        64.001 ann      ──▶ 200 BYE
        "#,
    );
    assert_eq!(ended(&play), (Party::Us, Cause::MediaLost, 63_999));
}

#[test]
fn a_caller_under_vad_that_reports_keeps_its_place_in_the_queue() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1000, NotReady("ann")),
            (1500, Key(0, '1')),
            (60_000, Silent(0, End::Caller, 60)),
            (65_000, Silent(0, End::Caller, 65)),
            (65_500, Hears(0, "music")),
            (70_000, HangUp(0)),
        ],
    );
    assert_eq!(ended(&play), (Party::Caller, Cause::Normal, 70_000));
}

#[test]
fn a_caller_that_holds_and_sends_nothing_is_released_after_an_hour_and_not_before() {
    for direction in ["sendonly", "inactive", "recvonly"] {
        let play = talk(&[
            (5_000, Reinvite(0, direction)),
            (66_000, Silent(0, End::Caller, 60)),
            (66_000, Absent(0, End::Caller, 60)),
            (3_604_000, Absent(0, End::Caller, 3_599)),
            (3_604_500, Hears(0, "talk")),
            (3_605_000, Absent(0, End::Caller, 3_600)),
        ]);
        assert_eq!(ended(&play), (Party::Us, Cause::MediaLost, 3_604_999), "{direction}");
    }
}

#[test]
fn a_caller_that_resumed_owes_packets_again() {
    let play = talk(&[
        (5_000, Reinvite(0, "sendonly")),
        (605_000, Absent(0, End::Caller, 600)),
        (606_000, Reinvite(0, "sendrecv")),
        (665_000, Absent(0, End::Caller, 59)),
        (665_500, Hears(0, "talk")),
        (666_000, Absent(0, End::Caller, 60)),
    ]);
    assert_eq!(ended(&play), (Party::Us, Cause::MediaLost, 665_999));
}

#[test]
fn where_silence_is_without_end_nobody_is_released_for_it() {
    let scene = scene().with(&[("[http]", "[media]\nsilence_s = 0\n[http]")]);
    let script = [(9_000, Absent(0, End::Caller, 86_400)), (10_000, HangUp(0))];
    let play = play(scene, &[&TALKING[..], &script].concat());
    assert_eq!(ended(&play), (Party::Caller, Cause::Normal, 10_000));
}

#[test]
fn an_agent_of_whom_nothing_comes_costs_the_caller_nothing() {
    let play = talk(&[(9_000, Absent(0, End::Agent, 86_400)), (10_000, HangUp(0))]);
    assert_eq!(ended(&play), (Party::Caller, Cause::Normal, 10_000));
}
