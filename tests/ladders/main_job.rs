//! What Baton is for.

use baton::gateway::contact::ContextBeforeAnswer;
use baton::journey::Status;

use super::stage::Do::*;
use super::stage::{ANN, Scene, play, scene};

#[test]
fn the_phone_rings_when_the_pop_is_on_the_screen() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (10_000, Hears(0, "talk")),
            (10_000, HangUp(0)),
            (11_000, Resolve("ann", 0)),
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
        10.000 carrier  ──▶ BYE
        10.001 carrier  ◀── 200 BYE
        10.001 desk ann ◀── released: Normal call clearing by caller
        10.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 6399 | ann answered | Normal call clearing by caller
        10.001 ann      ◀── BYE
        10.001 desk ann ◀── wrap-up
        10.002 ann      ──▶ 200 BYE
        11.000 desk ann ──▶ disposition
        11.000 store    ◀── resolved: prepay-1
        11.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 6399 | ann answered | Normal call clearing by caller
        "#,
    );
    assert_eq!(play.record(0).context_before_answer, Some(ContextBeforeAnswer::Displayed));
    assert_eq!(play.record(0).disposition.as_ref().map(|filed| filed.code.as_str()), Some("solved"));
}

#[test]
fn the_phone_rings_after_the_grace_if_the_screen_says_nothing() {
    let play = play(scene(), &[(0, Call), (1500, Key(0, '1')), (9000, HangUp(0))]);
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
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 200 + ring 2002 + talk 5299 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        "#,
    );
    assert_eq!(play.record(0).context_before_answer, Some(ContextBeforeAnswer::None));
}

#[test]
fn a_pop_that_shows_after_the_answer_is_late() {
    let play =
        play(scene(), &[(0, Call), (1500, Key(0, '1')), (5000, Displayed("ann", 0, 1)), (9000, HangUp(0))]);
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
        5.000 desk ann ──▶ displayed
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 200 + ring 2002 + talk 5299 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        "#,
    );
    assert_eq!(play.record(0).context_before_answer, Some(ContextBeforeAnswer::Late));
}

#[test]
fn an_agent_without_a_desktop_is_rung_at_once() {
    let play = play(Scene { desks: &[], ..scene() }, &[(0, Call), (1500, Key(0, '1')), (9000, HangUp(0))]);
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
        3.501 ann      ──▶ 200
        3.502 store    ◀── resolved: this call
        3.502 ann      ◀── ACK
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 store    ◀── ivr 1499 + queue 0 + ring 2002 + talk 5499 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn answering_at_the_desktop_rings_a_phone_that_answers_by_itself() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1550, Answer("ann", 0)),
            (1600, Answer("ann", 0)),
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
        1.550 desk ann ──▶ answer
        1.550 ann      ◀── INVITE
        1.551 ann      ──▶ 180
        1.600 desk ann ──▶ answer
        1.600 desk ann ◀── refused: AnswerAtThePhone
        3.551 ann      ──▶ 200
        3.552 store    ◀── resolved: this call
        3.552 desk ann ◀── connected
        3.552 ann      ◀── ACK
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 50 + ring 2002 + talk 5449 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn the_agent_hangs_up_first() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (9000, PhoneHangsUp(ANN)),
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
        1.600 desk ann ──▶ displayed
        1.600 ann      ◀── INVITE
        1.601 ann      ──▶ 180
        3.601 ann      ──▶ 200
        3.602 store    ◀── resolved: this call
        3.602 desk ann ◀── connected
        3.602 ann      ◀── ACK
        9.000 ann      ──▶ BYE
        9.001 ann      ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by callee
        9.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 5399 | ann answered | Normal call clearing by callee
        9.001 carrier  ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 carrier  ──▶ 200 BYE
        10.000 desk ann ──▶ disposition
        10.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 5399 | ann answered | Normal call clearing by callee
        "#,
    );
}

#[test]
fn the_desktop_releases_the_call() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (9000, Release("ann", 0)),
            (9500, Release("ann", 0)),
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
        9.000 desk ann ──▶ release
        9.000 desk ann ◀── released: Normal call clearing by callee
        9.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 5398 | ann answered | Normal call clearing by callee
        9.000 carrier  ◀── BYE
        9.000 ann      ◀── BYE
        9.000 desk ann ◀── wrap-up
        9.001 carrier  ──▶ 200 BYE
        9.001 ann      ──▶ 200 BYE
        9.500 desk ann ──▶ release
        9.500 desk ann ◀── refused: NotNow
        "#,
    );
}

#[test]
fn a_step_posted_during_the_call_updates_the_screen() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (6000, Post(Status::Failed)),
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
        6.000 store    ──▶ a step was posted
        6.001 desk ann ◀── update v2
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 5399 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        "#,
    );
    assert_eq!(play.record(0).context_before_answer, Some(ContextBeforeAnswer::Displayed));
}

#[test]
fn a_step_posted_during_the_ring_makes_the_old_pop_no_context() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (2000, Post(Status::Failed)),
            (5000, Displayed("ann", 0, 2)),
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
        2.000 store    ──▶ a step was posted
        2.001 desk ann ◀── update v2
        3.601 ann      ──▶ 200
        3.602 store    ◀── resolved: this call
        3.602 desk ann ◀── connected
        3.602 ann      ◀── ACK
        5.000 desk ann ──▶ displayed
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 5399 | ann answered | Normal call clearing by caller
        9.001 ann      ◀── BYE
        9.001 desk ann ◀── wrap-up
        9.002 ann      ──▶ 200 BYE
        "#,
    );
    assert_eq!(play.record(0).context_before_answer, Some(ContextBeforeAnswer::Late));
}

#[test]
fn a_customer_who_turns_out_to_be_another_is_followed() {
    let play = play(
        scene(),
        &[(0, Call), (1500, Key(0, '1')), (1600, Displayed("ann", 0, 1)), (6000, Merge), (9000, HangUp(0))],
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
        6.000 store    ──▶ two customers are one
        6.001 desk ann ◀── update v2
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
fn notes_and_more_time_belong_to_the_wrap_up() {
    let play = play(
        scene(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (1600, Displayed("ann", 0, 1)),
            (5000, Note("ann", 0)),
            (6000, HangUp(0)),
            (7000, Extend("ann", 0)),
            (50_000, Note("ann", 0)),
            (51_000, File("ann", 0)),
            (52_000, Note("ann", 0)),
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
        5.000 desk ann ──▶ note
        6.000 carrier  ──▶ BYE
        6.001 carrier  ◀── 200 BYE
        6.001 desk ann ◀── released: Normal call clearing by caller
        6.001 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 2399 | ann answered | Normal call clearing by caller
        6.001 ann      ◀── BYE
        6.001 desk ann ◀── wrap-up
        6.002 ann      ──▶ 200 BYE
        7.000 desk ann ──▶ extend
        7.000 desk ann ◀── wrap-up
        50.000 desk ann ──▶ note
        50.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 2399 | ann answered | Normal call clearing by caller
        51.000 desk ann ──▶ disposition
        51.000 store    ◀── ivr 1499 + queue 100 + ring 2002 + talk 2399 | ann answered | Normal call clearing by caller
        52.000 desk ann ──▶ note
        52.000 desk ann ◀── refused: NotYours
        "#,
    );
    assert_eq!(play.record(0).notes.len(), 2);
}
