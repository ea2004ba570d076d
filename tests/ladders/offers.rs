//! Offers that come to nothing, and where the caller goes then.

use std::time::Duration;

use super::stage::Do::*;
use super::stage::{ANN, Scene, play, scene};
use crate::net::Then;

#[test]
fn a_rung_out_caller_goes_back_to_its_place() {
    let play = play(
        Scene { ann: Then::Ring, desks: &["ann", "bob"], ..scene() },
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (3000, Call),
            (4500, Key(1, '1')),
            (20_000, Ready("bob")),
            (22_000, Hears(0, "music")),
            (30_000, HangUp(0)),
            (31_000, HangUp(1)),
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
        3.000 carrier  ──▶ INVITE
        3.001 carrier  ◀── 100
        3.001 carrier  ◀── 200
        3.002 carrier  ──▶ ACK
        3.003 store    ◀── step menu entered
        3.003 speech   ◀── menu
        4.500 caller   ──▶ key 1
        4.500 store    ◀── step menu done
        4.500 speech   ◀── music
        16.500 desk ann ◀── withdrawn: rona
        16.500 ann      ◀── CANCEL
        16.501 ann      ──▶ 200 CANCEL
        16.501 ann      ──▶ 487
        16.502 ann      ◀── ACK
        20.000 desk bob ──▶ setstate
        20.000 desk bob ◀── offer v2
        20.200 bob      ◀── INVITE
        20.201 bob      ──▶ 180
        22.201 bob      ──▶ 200
        22.202 store    ◀── resolved: this call
        22.202 desk bob ◀── connected
        22.202 bob      ◀── ACK
        24.500 speech   ◀── "You are number one in line."
        30.000 carrier  ──▶ BYE
        30.001 carrier  ◀── 200 BYE
        30.001 desk bob ◀── released: Normal call clearing by caller
        30.001 store    ◀── ivr 1499 + queue 100 + ring 14900 + queue 3700 + ring 2002 + talk 7799 | ann rona, bob answered | Normal call clearing by caller
        30.001 bob      ◀── BYE
        30.001 desk bob ◀── wrap-up
        30.002 bob      ──▶ 200 BYE
        31.000 carrier  ──▶ BYE
        31.001 carrier  ◀── 200 BYE
        31.001 store    ◀── ivr 1499 + queue 26501 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_busy_agent_costs_the_caller_no_place() {
    let play = play(
        Scene { ann: Then::Refuse(Duration::ZERO, 486), desks: &["ann", "bob"], ..scene() },
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, Ready("bob")),
            (12_000, HangUp(0)),
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
        1.601 ann      ──▶ 486
        1.602 ann      ◀── ACK
        1.602 desk ann ◀── withdrawn: declined
        5.000 desk bob ──▶ setstate
        5.000 desk bob ◀── offer v2
        5.200 bob      ◀── INVITE
        5.201 bob      ──▶ 180
        7.201 bob      ──▶ 200
        7.202 store    ◀── resolved: this call
        7.202 desk bob ◀── connected
        7.202 bob      ◀── ACK
        12.000 carrier  ──▶ BYE
        12.001 carrier  ◀── 200 BYE
        12.001 desk bob ◀── released: Normal call clearing by caller
        12.001 store    ◀── ivr 1499 + queue 100 + ring 2 + queue 3598 + ring 2002 + talk 4799 | ann declined, bob answered | Normal call clearing by caller
        12.001 bob      ◀── BYE
        12.001 desk bob ◀── wrap-up
        12.002 bob      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_desktop_declines_before_the_ring() {
    let play = play(
        Scene { desks: &["ann", "bob"], ..scene() },
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Decline("ann", 0)),
            (5000, Ready("bob")),
            (12_000, HangUp(0)),
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
        1.600 desk ann ──▶ decline
        1.600 desk ann ◀── withdrawn: declined
        5.000 desk bob ──▶ setstate
        5.000 desk bob ◀── offer v2
        5.200 bob      ◀── INVITE
        5.201 bob      ──▶ 180
        7.201 bob      ──▶ 200
        7.202 store    ◀── resolved: this call
        7.202 desk bob ◀── connected
        7.202 bob      ◀── ACK
        12.000 carrier  ──▶ BYE
        12.001 carrier  ◀── 200 BYE
        12.001 desk bob ◀── released: Normal call clearing by caller
        12.001 store    ◀── ivr 1499 + queue 3700 + ring 2002 + talk 4799 | ann declined, bob answered | Normal call clearing by caller
        12.001 bob      ◀── BYE
        12.001 desk bob ◀── wrap-up
        12.002 bob      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_desktop_declines_during_the_ring() {
    let play = play(
        Scene { desks: &["ann"], ..scene() },
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (2600, Decline("ann", 0)),
            (2700, Decline("ann", 0)),
            (5000, HangUp(0)),
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
        2.600 desk ann ──▶ decline
        2.600 desk ann ◀── withdrawn: declined
        2.600 ann      ◀── CANCEL
        2.601 ann      ──▶ 200 CANCEL
        2.601 ann      ──▶ 487
        2.602 ann      ◀── ACK
        2.700 desk ann ──▶ decline
        2.700 desk ann ◀── refused: NotYours
        5.000 carrier  ──▶ BYE
        5.001 carrier  ◀── 200 BYE
        5.001 store    ◀── ivr 1499 + queue 100 + ring 1000 + queue 2401 | ann declined | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_phone_that_refuses_with_503_makes_its_agent_unreachable() {
    let play = play(
        Scene { ann: Then::Refuse(Duration::ZERO, 503), ..scene() },
        &[(0, Call), (1500, Key(0, '1')), (1600, Displayed("ann", 0, 1)), (5000, HangUp(0))],
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
        1.601 ann      ──▶ 503
        1.602 ann      ◀── ACK
        1.602 desk ann ◀── withdrawn: unreachable
        5.000 carrier  ──▶ BYE
        5.001 carrier  ◀── 200 BYE
        5.001 store    ◀── ivr 1499 + queue 100 + ring 2 + queue 3399 | ann unreachable | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_phone_that_is_not_there_is_withdrawn_without_a_cancel() {
    let play = play(
        Scene { ann: Then::Ignore, ..scene() },
        &[(0, Call), (1500, Key(0, '1')), (1600, Displayed("ann", 0, 1)), (20_000, HangUp(0))],
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
        2.100 ann      ◀── INVITE
        3.100 ann      ◀── INVITE
        5.100 ann      ◀── INVITE
        9.100 ann      ◀── INVITE
        16.500 desk ann ◀── withdrawn: rona
        17.100 ann      ◀── INVITE
        20.000 carrier  ──▶ BYE
        20.001 carrier  ◀── 200 BYE
        20.001 store    ◀── ivr 1499 + queue 100 + ring 14900 + queue 3501 | ann rona | Normal call clearing by caller
        33.100 ann      ◀── INVITE
        "#,
    );
}

#[test]
fn a_phone_that_vanishes_while_ringing_is_withdrawn() {
    let play = play(
        Scene { ann: Then::Ring, ..scene() },
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (3000, PhoneGone(ANN)),
            (20_000, HangUp(0)),
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
        16.500 desk ann ◀── withdrawn: rona
        16.500 ann      ◀── CANCEL
        17.000 ann      ◀── CANCEL
        18.000 ann      ◀── CANCEL
        20.000 ann      ◀── CANCEL
        20.000 carrier  ──▶ BYE
        20.001 carrier  ◀── 200 BYE
        20.001 store    ◀── ivr 1499 + queue 100 + ring 14900 + queue 3501 | ann rona | Normal call clearing by caller
        24.000 ann      ◀── CANCEL
        28.000 ann      ◀── CANCEL
        32.000 ann      ◀── CANCEL
        36.000 ann      ◀── CANCEL
        40.000 ann      ◀── CANCEL
        44.000 ann      ◀── CANCEL
        48.000 ann      ◀── CANCEL
        "#,
    );
}

#[test]
fn a_hang_up_during_the_ring_cancels_it_and_the_agent_stays_ready() {
    let play = play(
        Scene { ann: Then::Ring, ..scene() },
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (4000, HangUp(0)),
            (4500, PhoneWill(ANN, Then::Answer(Duration::ZERO))),
            (5000, Call),
            (6500, Key(1, '1')),
            (9000, HangUp(1)),
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
        4.000 carrier  ──▶ BYE
        4.001 carrier  ◀── 200 BYE
        4.001 store    ◀── ivr 1499 + queue 100 + ring 2401 | ann offered | Normal call clearing by caller
        4.001 ann      ◀── CANCEL
        4.001 desk ann ◀── withdrawn: abandoned
        4.001 store    ◀── ivr 1499 + queue 100 + ring 2401 | ann abandoned | Normal call clearing by caller
        4.002 ann      ──▶ 200 CANCEL
        4.002 ann      ──▶ 487
        4.003 ann      ◀── ACK
        5.000 carrier  ──▶ INVITE
        5.001 carrier  ◀── 100
        5.001 carrier  ◀── 200
        5.002 carrier  ──▶ ACK
        5.003 store    ◀── step menu entered
        5.003 speech   ◀── menu
        6.500 caller   ──▶ key 1
        6.500 store    ◀── step menu done
        6.500 speech   ◀── music
        6.500 desk ann ◀── offer v1
        6.700 ann      ◀── INVITE
        6.701 ann      ──▶ 180
        6.701 ann      ──▶ 200
        6.702 store    ◀── resolved: this call
        6.702 desk ann ◀── connected
        6.702 ann      ◀── ACK
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 200 + ring 2 + talk 2299 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_hang_up_that_crosses_the_answer_ends_both_legs() {
    let play =
        play(scene(), &[(0, Call), (1500, Key(0, '1')), (1600, Displayed("ann", 0, 1)), (3600, HangUp(0))]);
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
        3.600 carrier  ──▶ BYE
        3.601 ann      ──▶ 200
        3.601 carrier  ◀── 200 BYE
        3.601 store    ◀── ivr 1499 + queue 100 + ring 2001 | ann offered | Normal call clearing by caller
        3.601 ann      ◀── CANCEL
        3.601 desk ann ◀── withdrawn: abandoned
        3.601 store    ◀── ivr 1499 + queue 100 + ring 2001 | ann abandoned | Normal call clearing by caller
        3.602 ann      ◀── ACK
        3.602 ann      ◀── BYE
        3.602 ann      ──▶ 200 CANCEL
        3.603 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_hang_up_before_the_ring_rings_nobody() {
    let play = play(scene(), &[(0, Call), (1500, Key(0, '1')), (1600, HangUp(0))]);
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
        1.600 carrier  ──▶ BYE
        1.601 carrier  ◀── 200 BYE
        1.601 store    ◀── ivr 1499 + queue 101 | ann offered | Normal call clearing by caller
        1.601 desk ann ◀── withdrawn: abandoned
        1.601 store    ◀── ivr 1499 + queue 101 | ann abandoned | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_desktop_that_drops_during_an_offer_returns_to_it() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1550, Drop("ann")),
            (2500, Return("ann")),
            (2600, Displayed("ann", 0, 1)),
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
        1.700 ann      ◀── INVITE
        1.701 ann      ──▶ 180
        2.500 desk ann ◀── welcome
        2.600 desk ann ──▶ displayed
        3.701 ann      ──▶ 200
        3.702 store    ◀── resolved: this call
        3.702 desk ann ◀── connected
        3.702 ann      ◀── ACK
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 200 + ring 2002 + talk 5299 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_desktop_is_told_what_it_missed_in_order() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (2500, Drop("ann")),
            (7500, Return("ann")),
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
        3.602 ann      ◀── ACK
        7.500 desk ann ◀── welcome
        7.500 desk ann ◀── connected
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
fn a_desktop_that_stays_away_logs_its_agent_out() {
    let play = play(scene(), &[(0, Drop("ann")), (25_000, Call), (26_500, Key(0, '1')), (30_000, HangUp(0))]);
    play.shows(
        r#"
        25.000 carrier  ──▶ INVITE
        25.001 carrier  ◀── 100
        25.001 carrier  ◀── 200
        25.002 carrier  ──▶ ACK
        25.003 store    ◀── step menu entered
        25.003 speech   ◀── menu
        26.500 caller   ──▶ key 1
        26.500 store    ◀── step menu done
        26.500 speech   ◀── music
        30.000 carrier  ──▶ BYE
        30.001 carrier  ◀── 200 BYE
        30.001 store    ◀── ivr 1499 + queue 3501 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_desktop_that_is_dropped_while_talking_returns_to_the_call() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1550, Displayed("ann", 0, 1)),
            (5000, Drop("ann")),
            (6000, LogIn("ann")),
            (7000, Hold("ann", 0)),
            (8000, Resume("ann", 0)),
            (9000, HangUp(0)),
            (10_000, File("ann", 0)),
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
        1.550 desk ann ──▶ displayed
        1.550 ann      ◀── INVITE
        1.551 ann      ──▶ 180
        3.551 ann      ──▶ 200
        3.552 store    ◀── resolved: this call
        3.552 desk ann ◀── connected
        3.552 ann      ◀── ACK
        6.000 desk ann ◀── welcome
        6.000 desk ann ◀── snapshot: talking
        7.000 desk ann ──▶ hold
        7.000 desk ann ◀── held
        8.000 desk ann ──▶ resume
        8.000 desk ann ◀── resumed
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 50 + ring 2002 + talk 3448 + hold 1000 + talk 1001 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        10.000 desk ann ──▶ disposition
        10.000 store    ◀── ivr 1499 + queue 50 + ring 2002 + talk 3448 + hold 1000 + talk 1001 | ann answered | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_second_log_in_takes_over() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1550, LogIn("ann")),
            (1600, Displayed("ann", 0, 1)),
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
        1.550 desk ann ◀── dismissed
        1.550 desk ann ◀── welcome
        1.550 desk ann ◀── snapshot: offered
        1.600 desk ann ──▶ displayed
        1.600 ann      ◀── INVITE
        1.601 ann      ──▶ 180
        3.601 ann      ──▶ 200
        3.602 store    ◀── resolved: this call
        3.602 desk ann ◀── connected
        3.602 ann      ◀── ACK
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
fn who_is_not_ready_any_more_finishes_what_it_has() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, NotReady("ann")),
            (9000, HangUp(0)),
            (10_000, File("ann", 0)),
            (11_000, Call),
            (12_500, Key(1, '1')),
            (15_000, HangUp(1)),
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
        5.000 desk ann ──▶ setstate
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 5399 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        10.000 desk ann ──▶ disposition
        10.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 5399 | ann answered | Normal call clearing by caller
        11.000 carrier  ──▶ INVITE
        11.001 carrier  ◀── 100
        11.001 carrier  ◀── 200
        11.002 carrier  ──▶ ACK
        11.003 store    ◀── step menu entered
        11.003 speech   ◀── menu
        12.500 caller   ──▶ key 1
        12.500 store    ◀── step menu done
        12.500 speech   ◀── music
        15.000 carrier  ──▶ BYE
        15.001 carrier  ◀── 200 BYE
        15.001 store    ◀── ivr 1499 + queue 2501 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_contact_that_is_not_theirs_is_refused() {
    let play = play(
        Scene { desks: &["ann", "bob"], ..scene() },
        &[
            (0, Meddle("ann")),
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("bob", 0, 1)),
            (1650, Decline("bob", 0)),
            (1660, Hold("ann", 0)),
            (6000, Hold("bob", 0)),
            (6100, Release("bob", 0)),
            (9000, HangUp(0)),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ answer
        0.000 desk ann ◀── refused: NotYours
        0.000 desk ann ──▶ disposition
        0.000 desk ann ◀── refused: NotYours
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
        1.600 desk bob ──▶ displayed
        1.600 desk bob ◀── refused: NotYours
        1.650 desk bob ──▶ decline
        1.650 desk bob ◀── refused: NotYours
        1.660 desk ann ──▶ hold
        1.660 desk ann ◀── refused: NotNow
        1.700 ann      ◀── INVITE
        1.701 ann      ──▶ 180
        3.701 ann      ──▶ 200
        3.702 store    ◀── resolved: this call
        3.702 desk ann ◀── connected
        3.702 ann      ◀── ACK
        6.000 desk bob ──▶ hold
        6.000 desk bob ◀── refused: NotYours
        6.100 desk bob ──▶ release
        6.100 desk bob ◀── refused: NotYours
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 200 + ring 2002 + talk 5299 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        "#,
    );
}

/// Ann's phone registers.
fn registering() -> Scene {
    let phone = "phone = \"sip:ann@10.0.2.1:5060\"";
    scene().with(&[(phone, "phone = \"ann\"\nsip_password_file = \"secrets/ann\"")])
}

#[test]
fn an_agent_is_ready_while_its_phone_is_registered() {
    let play = play(
        registering(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (4000, PhoneRegisters(ANN, "ann", 600)),
            (9000, HangUp(0)),
            (9500, File("ann", 0)),
            (10_000, PhoneRegisters(ANN, "ann", 0)),
            (11_000, Call),
            (12_500, Key(1, '1')),
            (13_000, Ready("ann")),
            (15_000, HangUp(1)),
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
        4.000 ann      ──▶ REGISTER
        4.001 ann      ◀── 401 REGISTER
        4.002 ann      ──▶ REGISTER
        4.003 ann      ◀── 200 REGISTER
        4.003 desk ann ◀── offer v1
        4.203 ann      ◀── INVITE
        4.204 ann      ──▶ 180
        6.204 ann      ──▶ 200
        6.205 store    ◀── resolved: this call
        6.205 desk ann ◀── connected
        6.205 ann      ◀── ACK
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 2703 + ring 2002 + talk 2796 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        9.500 desk ann ──▶ disposition
        9.500 store    ◀── ivr 1499 + queue 2703 + ring 2002 + talk 2796 | ann answered | Normal call clearing by caller
        10.000 ann      ──▶ REGISTER
        10.001 ann      ◀── 401 REGISTER
        10.002 ann      ──▶ REGISTER
        10.003 ann      ◀── 200 REGISTER
        11.000 carrier  ──▶ INVITE
        11.001 carrier  ◀── 100
        11.001 carrier  ◀── 200
        11.002 carrier  ──▶ ACK
        11.003 store    ◀── step menu entered
        11.003 speech   ◀── menu
        12.500 caller   ──▶ key 1
        12.500 store    ◀── step menu done
        12.500 speech   ◀── music
        13.000 desk ann ──▶ setstate
        13.000 desk ann ◀── refused: PhoneUnreachable
        15.000 carrier  ──▶ BYE
        15.001 carrier  ◀── 200 BYE
        15.001 store    ◀── ivr 1499 + queue 2501 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_phone_that_comes_back_ends_nobodys_lunch() {
    let play = play(
        registering(),
        &[
            (0, NotReady("ann")),
            (1000, PhoneRegisters(ANN, "ann", 600)),
            (2000, Call),
            (3500, Key(0, '1')),
            (9000, HangUp(0)),
        ],
    );
    assert_eq!(play.record(0).hops, []);
}

#[test]
fn an_agent_whose_registration_runs_out_is_offered_nothing() {
    let play = play(
        registering(),
        &[(0, PhoneRegisters(ANN, "ann", 60)), (61_500, Call), (63_000, Key(0, '1')), (70_000, HangUp(0))],
    );
    assert_eq!(play.record(0).hops, []);
}
