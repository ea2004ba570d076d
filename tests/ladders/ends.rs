//! How calls are refused, cancelled, passed on and ended.

use std::time::Duration;

use super::stage::Do::*;
use super::stage::{ANN, STRANGER, Scene, play, scene};
use crate::net::{CARRIER, Then};

/// The flow may transfer to head office.
pub const GRANTED: &str = r#"
[[destination]]
name = "head office"
prefix = "+861066660"
trunk = "carrier"
flows = ["front"]
[[disposition]]
"#;

#[test]
fn an_unknown_number_is_404() {
    let play = play(scene(), &[(0, Dial("01055559999"))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 404
        0.002 carrier  ──▶ ACK
        "#,
    );
}

#[test]
fn a_stranger_is_403() {
    let play = play(scene(), &[(0, CallFrom(STRANGER))]);
    play.shows(
        r#"
        0.000 stranger ──▶ INVITE
        0.001 stranger ◀── 403
        0.002 stranger ──▶ ACK
        "#,
    );
}

#[test]
fn an_agent_may_not_call_out() {
    let play = play(scene(), &[(0, CallFrom(ANN))]);
    play.shows(
        r#"
        0.000 ann      ──▶ INVITE
        0.001 ann      ◀── 403
        0.002 ann      ──▶ ACK
        "#,
    );
}

#[test]
fn a_cancel_that_crosses_the_200_is_followed_by_a_bye() {
    let play = play(scene(), &[(0, Call), (1, Cancel(0))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.001 carrier  ──▶ CANCEL
        0.002 carrier  ──▶ ACK
        0.002 carrier  ──▶ BYE
        0.002 carrier  ◀── 200 CANCEL
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        0.003 carrier  ◀── 200 BYE
        0.003 store    ◀── step menu abandoned
        0.003 store    ◀── ivr 2 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_cancel_on_the_heels_of_the_invite_comes_too_late_as_well() {
    let play = play(scene(), &[(0, Call), (0, Cancel(0))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.000 carrier  ──▶ CANCEL
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.001 carrier  ◀── 200 CANCEL
        0.002 carrier  ──▶ ACK
        0.002 carrier  ──▶ BYE
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        0.003 carrier  ◀── 200 BYE
        0.003 store    ◀── step menu abandoned
        0.003 store    ◀── ivr 2 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_caller_who_never_acknowledges_is_let_go() {
    let play = play(scene(), &[(0, Call), (1, PhoneGone(CARRIER))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.501 carrier  ◀── 200
        1.501 carrier  ◀── 200
        3.501 carrier  ◀── 200
        7.501 carrier  ◀── 200
        11.501 carrier  ◀── 200
        15.501 carrier  ◀── 200
        19.501 carrier  ◀── 200
        23.501 carrier  ◀── 200
        27.501 carrier  ◀── 200
        31.501 carrier  ◀── 200
        32.001 store    ◀── ivr 32000 | Never acknowledged by us
        32.001 carrier  ◀── BYE
        32.501 carrier  ◀── BYE
        33.501 carrier  ◀── BYE
        35.501 carrier  ◀── BYE
        39.501 carrier  ◀── BYE
        43.501 carrier  ◀── BYE
        47.501 carrier  ◀── BYE
        51.501 carrier  ◀── BYE
        55.501 carrier  ◀── BYE
        59.501 carrier  ◀── BYE
        63.501 carrier  ◀── BYE
        "#,
    );
}

#[test]
fn a_transfer_that_is_not_granted_fails() {
    let play = play(scene(), &[(0, Call), (1500, Key(0, '2'))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.500 caller   ──▶ key 2
        1.500 store    ◀── step menu done
        1.500 store    ◀── step out entered
        1.500 store    ◀── step out failed
        1.500 speech   ◀── sorry
        2.501 store    ◀── resolved: this call
        2.501 store    ◀── ivr 2500 | Flow ended by us
        2.501 carrier  ◀── BYE
        2.502 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_transfer_that_is_granted_goes_by_the_trunk() {
    let play = play(
        scene().with(&[("[[disposition]]", GRANTED)]),
        &[
            (0, PhoneWill(CARRIER, Then::Answer(Duration::from_secs(2)))),
            (0, Call),
            (1500, Key(0, '2')),
            (9000, Hears(0, "talk")),
            (9000, HangUp(0)),
        ],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.500 caller   ──▶ key 2
        1.500 store    ◀── step menu done
        1.500 store    ◀── step out entered
        1.500 carrier  ◀── INVITE
        1.501 carrier  ──▶ 180
        3.501 carrier  ──▶ 200
        3.502 store    ◀── step out done
        3.502 store    ◀── resolved: this call
        3.502 carrier  ◀── ACK
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 store    ◀── ivr 1499 + ring 2002 + talk 5499 | Normal call clearing by caller
        9.001 carrier  ◀── BYE
        9.002 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_transfer_that_is_refused_goes_on_with_the_flow() {
    let play = play(
        scene().with(&[("[[disposition]]", GRANTED)]),
        &[(0, PhoneWill(CARRIER, Then::Refuse(Duration::from_secs(2), 486))), (0, Call), (1500, Key(0, '2'))],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.500 caller   ──▶ key 2
        1.500 store    ◀── step menu done
        1.500 store    ◀── step out entered
        1.500 carrier  ◀── INVITE
        1.501 carrier  ──▶ 180
        3.501 carrier  ──▶ 486
        3.502 carrier  ◀── ACK
        3.502 store    ◀── step out failed
        3.502 speech   ◀── sorry
        4.503 store    ◀── resolved: this call
        4.503 store    ◀── ivr 1499 + ring 2002 + ivr 1001 | Flow ended by us
        4.503 carrier  ◀── BYE
        4.504 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_transfer_whose_far_end_holds_is_not_ringing_again() {
    let play = play(
        scene().with(&[("[[disposition]]", GRANTED)]),
        &[
            (0, PhoneWill(CARRIER, Then::Answer(Duration::from_secs(2)))),
            (0, Call),
            (1500, Key(0, '2')),
            (2500, Hears(0, "ringback")),
            (5000, Hears(0, "talk")),
            (5000, PhoneReinvites(CARRIER, "inactive")),
            (6000, Hears(0, "nothing")),
            (7000, PhoneReinvites(CARRIER, "sendrecv")),
            (8000, Hears(0, "talk")),
            (9000, HangUp(0)),
        ],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.500 caller   ──▶ key 2
        1.500 store    ◀── step menu done
        1.500 store    ◀── step out entered
        1.500 carrier  ◀── INVITE
        1.501 carrier  ──▶ 180
        3.501 carrier  ──▶ 200
        3.502 store    ◀── step out done
        3.502 store    ◀── resolved: this call
        3.502 carrier  ◀── ACK
        5.000 carrier  ──▶ INVITE
        5.001 carrier  ◀── 100
        5.001 carrier  ◀── 200
        5.002 carrier  ──▶ ACK
        7.000 carrier  ──▶ INVITE
        7.001 carrier  ◀── 100
        7.001 carrier  ◀── 200
        7.002 carrier  ──▶ ACK
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 store    ◀── ivr 1499 + ring 2002 + talk 5499 | Normal call clearing by caller
        9.001 carrier  ◀── BYE
        9.002 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_transfer_ends_when_its_far_end_hangs_up() {
    let play = play(
        scene().with(&[("[[disposition]]", GRANTED)]),
        &[
            (0, PhoneWill(CARRIER, Then::Answer(Duration::from_secs(2)))),
            (0, Call),
            (1500, Key(0, '2')),
            (9000, PhoneHangsUp(CARRIER)),
        ],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.500 caller   ──▶ key 2
        1.500 store    ◀── step menu done
        1.500 store    ◀── step out entered
        1.500 carrier  ◀── INVITE
        1.501 carrier  ──▶ 180
        3.501 carrier  ──▶ 200
        3.502 store    ◀── step out done
        3.502 store    ◀── resolved: this call
        3.502 carrier  ◀── ACK
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 store    ◀── ivr 1499 + ring 2002 + talk 5499 | Normal call clearing by callee
        9.001 carrier  ◀── BYE
        9.002 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn who_drains_takes_no_new_calls_and_finishes_the_old() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, Drain),
            (6000, Call),
            (9000, HangUp(0)),
        ],
    );
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
        6.000 carrier  ──▶ INVITE
        6.001 carrier  ◀── 503
        6.002 carrier  ──▶ ACK
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 5399 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_shutdown_rings_nobody_for_those_in_line() {
    let play = play(
        Scene { ann: Then::Ring, desks: &[], ..scene() },
        &[(0, Call), (1500, Key(0, '1')), (1600, Call), (3100, Key(1, '1')), (4000, Shutdown)],
    );
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
        1.500 ann      ◀── INVITE
        1.501 ann      ──▶ 180
        1.600 carrier  ──▶ INVITE
        1.601 carrier  ◀── 100
        1.601 carrier  ◀── 200
        1.602 carrier  ──▶ ACK
        1.603 store    ◀── step menu entered
        1.603 speech   ◀── menu
        3.100 caller   ──▶ key 1
        3.100 store    ◀── step menu done
        3.100 speech   ◀── music
        4.000 store    ◀── ivr 1499 + queue 0 + ring 2500 | ann offered | Shutting down by us
        4.000 carrier  ◀── BYE
        4.000 ann      ◀── CANCEL
        4.000 store    ◀── ivr 1499 + queue 0 + ring 2500 | ann abandoned | Shutting down by us
        4.000 store    ◀── ivr 1499 + queue 900 | ann offered | Shutting down by us
        4.000 carrier  ◀── BYE
        4.000 store    ◀── ivr 1499 + queue 900 | ann abandoned | Shutting down by us
        4.001 carrier  ──▶ 200 BYE
        4.001 ann      ──▶ 200 CANCEL
        4.001 ann      ──▶ 487
        4.001 carrier  ──▶ 200 BYE
        4.002 ann      ◀── ACK
        "#,
    );
}

#[test]
fn a_shutdown_hangs_up_on_everybody() {
    let play = play(
        Scene { bob: Then::Ring, ..scene() },
        &[
            (0, LogIn("bob")),
            (0, Ready("bob")),
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (3000, Call),
            (4500, Key(1, '1')),
            (5000, Call),
            (6000, Shutdown),
        ],
    );
    play.shows(
        r#"
        0.000 desk bob ◀── welcome
        0.000 desk bob ◀── snapshot
        0.000 desk bob ──▶ setstate
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
        3.000 carrier  ──▶ INVITE
        3.001 carrier  ◀── 100
        3.001 carrier  ◀── 200
        3.002 carrier  ──▶ ACK
        3.003 store    ◀── step menu entered
        3.003 speech   ◀── menu
        3.601 ann      ──▶ 200
        3.602 store    ◀── resolved: this call
        3.602 desk ann ◀── connected
        3.602 ann      ◀── ACK
        4.500 caller   ──▶ key 1
        4.500 store    ◀── step menu done
        4.500 speech   ◀── music
        4.500 desk bob ◀── offer v1
        4.700 bob      ◀── INVITE
        4.701 bob      ──▶ 180
        5.000 carrier  ──▶ INVITE
        5.001 carrier  ◀── 100
        5.001 carrier  ◀── 200
        5.002 carrier  ──▶ ACK
        5.003 store    ◀── step menu entered
        5.003 speech   ◀── menu
        6.000 desk ann ◀── released: Shutting down by us
        6.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 2398 | ann answered | Shutting down by us
        6.000 carrier  ◀── BYE
        6.000 ann      ◀── BYE
        6.000 desk ann ◀── wrap-up
        6.000 store    ◀── ivr 1499 + queue 200 + ring 1300 | bob offered | Shutting down by us
        6.000 carrier  ◀── BYE
        6.000 bob      ◀── CANCEL
        6.000 desk bob ◀── withdrawn: abandoned
        6.000 store    ◀── ivr 1499 + queue 200 + ring 1300 | bob abandoned | Shutting down by us
        6.000 store    ◀── step menu abandoned
        6.000 store    ◀── ivr 999 | Shutting down by us
        6.000 carrier  ◀── BYE
        6.001 carrier  ──▶ 200 BYE
        6.001 ann      ──▶ 200 BYE
        6.001 carrier  ──▶ 200 BYE
        6.001 bob      ──▶ 200 CANCEL
        6.001 bob      ──▶ 487
        6.001 carrier  ──▶ 200 BYE
        6.002 bob      ◀── ACK
        "#,
    );
}

#[test]
fn who_does_not_answer_outside_is_rung_for_a_minute_and_the_flow_goes_on() {
    let play = play(
        scene().with(&[("[[disposition]]\n", GRANTED)]),
        &[
            (0, PhoneWill(CARRIER, Then::Ring)),
            (0, Call),
            (1500, Key(0, '2')),
            (61_000, Hears(0, "ringback")),
        ],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.500 caller   ──▶ key 2
        1.500 store    ◀── step menu done
        1.500 store    ◀── step out entered
        1.500 carrier  ◀── INVITE
        1.501 carrier  ──▶ 180
        61.500 store    ◀── step out failed
        61.500 speech   ◀── sorry
        61.500 carrier  ◀── CANCEL
        61.501 carrier  ──▶ 200 CANCEL
        61.501 carrier  ──▶ 487
        61.502 carrier  ◀── ACK
        62.501 store    ◀── resolved: this call
        62.501 store    ◀── ivr 1499 + ring 60000 + ivr 1001 | Flow ended by us
        62.501 carrier  ◀── BYE
        62.502 carrier  ──▶ 200 BYE
        "#,
    );
}
