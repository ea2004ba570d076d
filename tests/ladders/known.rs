//! What the store knows of a caller: when it is asked, and what becomes of its answers.

use std::time::Duration;

use super::stage::Do::*;
use super::stage::{Scene, play, scene};

#[test]
fn what_is_posted_while_the_store_is_asked_is_asked_for_once_more() {
    let play = play(
        Scene { look_up: Duration::from_secs(1), ..scene() },
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (3000, Posted),
            // The answer under way is of before.
            (3200, StoreKnowsAnother),
            (3300, Posted),
            (3400, Posted),
            (3900, LookUps(2)),
            (8000, LookUps(3)),
            (8000, HangUp(0)),
        ],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 speech   ◀── menu
        1.001 store    ◀── step menu entered
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
        5.000 desk ann ◀── update v2
        8.000 carrier  ──▶ BYE
        8.001 carrier  ◀── 200 BYE
        8.001 desk ann ◀── released: Normal call clearing by caller
        8.001 store    ◀── ivr 1499 + queue 200 + ring 2002 + talk 4299 | ann answered | Normal call clearing by caller
        8.001 ann      ◀── BYE
        8.001 desk ann ◀── wrap-up
        8.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let play = play(
        scene(),
        &[(0, Call), (1500, Key(0, '1')), (5000, FoundLate(0)), (8000, LookUps(1)), (8000, HangUp(0))],
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
        8.000 carrier  ──▶ BYE
        8.001 carrier  ◀── 200 BYE
        8.001 desk ann ◀── released: Normal call clearing by caller
        8.001 store    ◀── ivr 1499 + queue 200 + ring 2002 + talk 4299 | ann answered | Normal call clearing by caller
        8.001 ann      ◀── BYE
        8.001 desk ann ◀── wrap-up
        8.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_caller_whom_this_very_call_made_known_is_shown_as_known() {
    let play = play(
        scene(),
        &[
            (0, StoreKnowsNobody),
            (0, Call),
            (1500, Key(0, '1')),
            (2000, StoreKnowsAnother),
            (2000, Stepped(0)),
            (2500, LookUps(2)),
            // Who is known is not asked for again.
            (2500, Stepped(0)),
            (2600, LookUps(2)),
            (8000, HangUp(0)),
            // And this is the errand that the agent settles.
            (9000, Resolve("ann", 0)),
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
        2.001 desk ann ◀── update v2
        3.701 ann      ──▶ 200
        3.702 store    ◀── resolved: this call
        3.702 desk ann ◀── connected
        3.702 ann      ◀── ACK
        8.000 carrier  ──▶ BYE
        8.001 carrier  ◀── 200 BYE
        8.001 desk ann ◀── released: Normal call clearing by caller
        8.001 store    ◀── ivr 1499 + queue 200 + ring 2002 + talk 4299 | ann answered | Normal call clearing by caller
        8.001 ann      ◀── BYE
        8.001 desk ann ◀── wrap-up
        8.002 ann      ──▶ 200 BYE
        9.000 desk ann ──▶ disposition
        9.000 store    ◀── resolved: later-2
        9.000 store    ◀── ivr 1499 + queue 200 + ring 2002 + talk 4299 | ann answered | Normal call clearing by caller
        "#,
    );
}

#[test]
fn resolved_means_the_errand_that_stood_first_when_it_was_offered() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, StoreKnowsAnother),
            (5000, Posted),
            (8000, HangUp(0)),
            (9000, Resolve("ann", 0)),
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
        5.001 desk ann ◀── update v2
        8.000 carrier  ──▶ BYE
        8.001 carrier  ◀── 200 BYE
        8.001 desk ann ◀── released: Normal call clearing by caller
        8.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 4399 | ann answered | Normal call clearing by caller
        8.001 ann      ◀── BYE
        8.001 desk ann ◀── wrap-up
        8.002 ann      ──▶ 200 BYE
        9.000 desk ann ──▶ disposition
        9.000 store    ◀── resolved: prepay-1
        9.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 4399 | ann answered | Normal call clearing by caller
        "#,
    );
}
