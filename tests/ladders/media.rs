//! Holding, resuming, and offers that are not the usual one.

use baton::media::Event;

use super::stage::Do::*;
use super::stage::{ANN, End, play, scene};
use crate::net::Offer;

#[test]
fn the_desktop_holds_and_the_caller_hears_music() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, Hears(0, "talk")),
            (5000, Hold("ann", 0)),
            (6000, Hears(0, "music")),
            (6500, Hold("ann", 0)),
            (8000, Resume("ann", 0)),
            (9000, Hears(0, "talk")),
            (10_000, HangUp(0)),
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
        5.000 desk ann ──▶ hold
        5.000 desk ann ◀── held
        6.500 desk ann ──▶ hold
        8.000 desk ann ──▶ resume
        8.000 desk ann ◀── resumed
        10.000 carrier  ──▶ BYE
        10.001 carrier  ◀── 200 BYE
        10.001 desk ann ◀── released: Normal call clearing by caller
        10.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 1398 + hold 3000 + talk 2001 | ann answered | Normal call clearing by caller
        10.001 ann      ◀── BYE
        10.001 desk ann ◀── wrap-up
        10.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_caller_on_hold_hangs_up() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, Hold("ann", 0)),
            (8000, HangUp(0)),
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
        5.000 desk ann ──▶ hold
        5.000 desk ann ◀── held
        8.000 carrier  ──▶ BYE
        8.001 carrier  ◀── 200 BYE
        8.001 desk ann ◀── released: Normal call clearing by caller
        8.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 1398 + hold 3001 | ann answered | Normal call clearing by caller
        8.001 ann      ◀── BYE
        8.001 desk ann ◀── wrap-up
        8.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_phone_that_holds_by_inactive_gives_the_caller_our_music() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, PhoneReinvites(ANN, "inactive")),
            (6000, Hears(0, "music")),
            (8000, PhoneReinvites(ANN, "sendrecv")),
            (9000, Hears(0, "talk")),
            (10_000, HangUp(0)),
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
        5.000 ann      ──▶ INVITE
        5.001 ann      ◀── 100
        5.001 desk ann ◀── held
        5.001 ann      ◀── 200
        5.002 ann      ──▶ ACK
        8.000 ann      ──▶ INVITE
        8.001 ann      ◀── 100
        8.001 desk ann ◀── resumed
        8.001 ann      ◀── 200
        8.002 ann      ──▶ ACK
        10.000 carrier  ──▶ BYE
        10.001 carrier  ◀── 200 BYE
        10.001 desk ann ◀── released: Normal call clearing by caller
        10.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 1399 + hold 3000 + talk 2000 | ann answered | Normal call clearing by caller
        10.001 ann      ◀── BYE
        10.001 desk ann ◀── wrap-up
        10.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_phone_whose_path_is_lost_may_find_another_and_may_hang_up() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, Path(0, End::Agent, |leg| Event::Lost { leg })),
            (6000, Hears(0, "music")),
            (19_000, Path(0, End::Agent, |leg| Event::Secured { leg })),
            (21_000, Hears(0, "talk")),
            (22_000, Path(0, End::Agent, |leg| Event::Lost { leg })),
            (22_010, PhoneHangsUp(ANN)),
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
        5.000 media    ──▶ path lost
        19.000 media    ──▶ path found
        22.000 media    ──▶ path lost
        22.010 ann      ──▶ BYE
        22.011 ann      ◀── 200 BYE
        22.011 desk ann ◀── released: Normal call clearing by callee
        22.011 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 18409 | ann answered | Normal call clearing by callee
        22.011 carrier  ◀── BYE
        22.011 desk ann ◀── wrap-up
        22.012 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_phone_whose_path_stays_lost_is_given_up() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, Path(0, End::Agent, |leg| Event::Lost { leg })),
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
        5.000 media    ──▶ path lost
        20.000 desk ann ◀── released: Peer lost by callee
        20.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 16398 | ann answered | Peer lost by callee
        20.000 ann      ◀── BYE
        20.000 carrier  ◀── BYE
        20.000 desk ann ◀── wrap-up
        20.001 ann      ──▶ 200 BYE
        20.001 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_caller_held_at_desktop_and_phone_is_held_until_both_let_go() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, Hold("ann", 0)),
            (6000, PhoneReinvites(ANN, "inactive")),
            (7000, Resume("ann", 0)),
            (7500, Hears(0, "music")),
            (8000, PhoneReinvites(ANN, "sendrecv")),
            (9000, Hears(0, "talk")),
            (10_000, HangUp(0)),
        ],
    );
    play.shows(r#"
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
        5.000 desk ann ──▶ hold
        5.000 desk ann ◀── held
        6.000 ann      ──▶ INVITE
        6.001 ann      ◀── 100
        6.001 ann      ◀── 200
        6.002 ann      ──▶ ACK
        7.000 desk ann ──▶ resume
        8.000 ann      ──▶ INVITE
        8.001 ann      ◀── 100
        8.001 desk ann ◀── resumed
        8.001 ann      ◀── 200
        8.002 ann      ──▶ ACK
        10.000 carrier  ──▶ BYE
        10.001 carrier  ◀── 200 BYE
        10.001 desk ann ◀── released: Normal call clearing by caller
        10.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 1398 + hold 3001 + talk 2000 | ann answered | Normal call clearing by caller
        10.001 ann      ◀── BYE
        10.001 desk ann ◀── wrap-up
        10.002 ann      ──▶ 200 BYE
        "#);
}

#[test]
fn a_phone_that_holds_by_sendonly_gives_the_caller_its_own() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, PhoneReinvites(ANN, "sendonly")),
            (6000, Hears(0, "talk")),
            (8000, PhoneReinvites(ANN, "sendrecv")),
            (9000, Hears(0, "talk")),
            (10_000, HangUp(0)),
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
        5.000 ann      ──▶ INVITE
        5.001 ann      ◀── 100
        5.001 ann      ◀── 200
        5.002 ann      ──▶ ACK
        8.000 ann      ──▶ INVITE
        8.001 ann      ◀── 100
        8.001 ann      ◀── 200
        8.002 ann      ──▶ ACK
        10.000 carrier  ──▶ BYE
        10.001 carrier  ◀── 200 BYE
        10.001 desk ann ◀── released: Normal call clearing by caller
        10.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 6399 | ann answered | Normal call clearing by caller
        10.001 ann      ◀── BYE
        10.001 desk ann ◀── wrap-up
        10.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_caller_may_hold_too() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, Reinvite(0, "sendonly")),
            (8000, Reinvite(0, "sendrecv")),
            (9000, Hears(0, "talk")),
            (10_000, HangUp(0)),
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
        5.000 carrier  ──▶ INVITE
        5.001 carrier  ◀── 100
        5.001 carrier  ◀── 200
        5.002 carrier  ──▶ ACK
        8.000 carrier  ──▶ INVITE
        8.001 carrier  ◀── 100
        8.001 carrier  ◀── 200
        8.002 carrier  ──▶ ACK
        10.000 carrier  ──▶ BYE
        10.001 carrier  ◀── 200 BYE
        10.001 desk ann ◀── released: Normal call clearing by caller
        10.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 6399 | ann answered | Normal call clearing by caller
        10.001 ann      ◀── BYE
        10.001 desk ann ◀── wrap-up
        10.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_delayed_offer_is_answered_in_the_ack() {
    let play = play(
        scene(),
        &[
            (0, CallWith(Offer::Delayed)),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
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
fn an_offer_that_cannot_be_taken_is_refused_with_the_reason() {
    let play = play(scene(), &[(0, CallWith(Offer::Foreign))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 store    ◀── ivr 0 | No common media by us
        0.001 carrier  ◀── 488, 305 baton "Incompatible media format"
        0.002 carrier  ──▶ ACK
        "#,
    );
}

#[test]
fn a_new_offer_that_cannot_be_taken_is_refused_with_the_reason_and_the_call_goes_on() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (5000, ReinviteForeign(0)),
            (6000, Hears(0, "talk")),
            (7000, HangUp(0)),
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
        3.701 ann      ──▶ 200
        3.702 store    ◀── resolved: this call
        3.702 desk ann ◀── connected
        3.702 ann      ◀── ACK
        5.000 carrier  ──▶ INVITE
        5.001 carrier  ◀── 100
        5.001 carrier  ◀── 488, 305 baton "Incompatible media format"
        5.002 carrier  ──▶ ACK
        7.000 carrier  ──▶ BYE
        7.001 carrier  ◀── 200 BYE
        7.001 desk ann ◀── released: Normal call clearing by caller
        7.001 store    ◀── ivr 1499 + queue 200 + ring 2002 + talk 3299 | ann answered | Normal call clearing by caller
        7.001 ann      ◀── BYE
        7.001 desk ann ◀── wrap-up
        7.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn an_offer_in_the_clear_is_refused_where_the_trunk_demands_keys() {
    let play = play(scene().with(&[("country = \"86\"", "country = \"86\"\nsrtp = \"sdes\"")]), &[(0, Call)]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 store    ◀── ivr 0 | No common media by us
        0.001 carrier  ◀── 488, 399 baton "No acceptable SRTP keys"
        0.002 carrier  ──▶ ACK
        "#,
    );
}
