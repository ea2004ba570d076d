//! Menus and queues.

use std::time::Duration;

use super::stage::Do::*;
use super::stage::{Scene, play, scene};

/// The queue of cards is no more.
const CARDS_INTO_LOANS: &[(&str, &str)] = &[
    ("[[queue]]\nid = \"cards\"\nskills = { cards = 1 }\nannounce_every_s = 20\nmax_wait_s = 120\n", ""),
    ("queue = \"cards\"", "queue = \"loans\""),
    ("queues = [\"cards\"", "queues = [\"loans\""),
];

#[test]
fn a_caller_who_hangs_up_in_the_menu_leaves_a_breakpoint() {
    let play = play(scene(), &[(0, Call), (500, HangUp(0))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        0.500 carrier  ──▶ BYE
        0.501 carrier  ◀── 200 BYE
        0.501 store    ◀── step menu abandoned
        0.501 store    ◀── ivr 500 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_caller_quicker_than_the_store_leaves_a_breakpoint_too() {
    let play = play(Scene { look_up: Duration::from_secs(2), ..scene() }, &[(0, Call), (500, HangUp(0))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 speech   ◀── menu
        0.500 carrier  ──▶ BYE
        0.501 carrier  ◀── 200 BYE
        0.501 store    ◀── step menu entered
        0.501 store    ◀── step menu abandoned
        0.501 store    ◀── ivr 500 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_caller_who_hangs_up_in_the_queue_abandons_it() {
    let play = play(
        scene().with(&[("initial = \"ready\"", "initial = \"not_ready\"")]),
        &[(0, Call), (1500, Key(0, '1')), (3000, Hears(0, "music")), (10_000, HangUp(0))],
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
        10.000 carrier  ──▶ BYE
        10.001 carrier  ◀── 200 BYE
        10.001 store    ◀── ivr 1499 + queue 8501 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_key_by_info_is_a_key() {
    let play = play(scene(), &[(0, Call), (500, Info(0, '3'))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        0.500 carrier  ──▶ INFO
        0.501 carrier  ◀── 200 INFO
        0.501 store    ◀── step menu done
        0.501 store    ◀── resolved: this call
        0.501 store    ◀── ivr 500 | Flow ended by us
        0.501 carrier  ◀── BYE
        0.502 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_key_that_comes_as_event_and_by_info_is_one_key() {
    let play = play(scene(), &[(0, Call), (500, Key(0, '9')), (650, Info(0, '9')), (2000, HangUp(0))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        0.500 caller   ──▶ key 9
        0.500 speech   ◀── menu
        0.650 carrier  ──▶ INFO
        0.651 carrier  ◀── 200 INFO
        2.000 carrier  ──▶ BYE
        2.001 carrier  ◀── 200 BYE
        2.001 store    ◀── step menu abandoned
        2.001 store    ◀── ivr 2000 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_wrong_key_and_then_none_at_all_lead_to_the_queue() {
    let play = play(scene(), &[(0, Call), (500, Key(0, '9')), (20_000, HangUp(0))]);
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        0.500 caller   ──▶ key 9
        0.500 speech   ◀── menu
        6.501 store    ◀── step menu failed
        6.501 speech   ◀── music
        6.501 desk ann ◀── offer v1
        6.701 ann      ◀── INVITE
        6.702 ann      ──▶ 180
        8.702 ann      ──▶ 200
        8.703 store    ◀── resolved: this call
        8.703 desk ann ◀── connected
        8.703 ann      ◀── ACK
        20.000 carrier  ──▶ BYE
        20.001 carrier  ◀── 200 BYE
        20.001 desk ann ◀── released: Normal call clearing by caller
        20.001 store    ◀── ivr 6500 + queue 200 + ring 2002 + talk 11298 | ann answered | Normal call clearing by caller
        20.001 ann      ◀── BYE
        20.001 desk ann ◀── wrap-up
        20.002 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_waiting_caller_is_told_its_place() {
    let play = play(
        scene().with(&[("initial = \"ready\"", "initial = \"not_ready\"")]),
        &[
            (0, Call),
            (1000, Key(0, '1')),
            (2000, Call),
            (3000, Key(1, '1')),
            (22_500, Hears(0, "music")),
            (23_500, Hears(1, "prompt")),
            (24_500, Hears(1, "music")),
            (25_000, HangUp(0)),
            (44_000, HangUp(1)),
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
        1.000 caller   ──▶ key 1
        1.000 store    ◀── step menu done
        1.000 speech   ◀── music
        2.000 carrier  ──▶ INVITE
        2.001 carrier  ◀── 100
        2.001 carrier  ◀── 200
        2.002 carrier  ──▶ ACK
        2.003 store    ◀── step menu entered
        2.003 speech   ◀── menu
        3.000 caller   ──▶ key 1
        3.000 store    ◀── step menu done
        3.000 speech   ◀── music
        21.000 speech   ◀── "You are number one in line."
        23.000 speech   ◀── "You are number two in line."
        25.000 carrier  ──▶ BYE
        25.001 carrier  ◀── 200 BYE
        25.001 store    ◀── ivr 999 + queue 24001 | Normal call clearing by caller
        43.000 speech   ◀── "You are number one in line."
        44.000 carrier  ──▶ BYE
        44.001 carrier  ◀── 200 BYE
        44.001 store    ◀── ivr 999 + queue 41001 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn who_waits_too_long_goes_on_with_the_flow() {
    let play = play(
        scene().with(&[
            ("initial = \"ready\"", "initial = \"not_ready\""),
            ("max_wait_s = 120", "max_wait_s = 10"),
        ]),
        &[(0, Call), (1000, Key(0, '1'))],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.000 caller   ──▶ key 1
        1.000 store    ◀── step menu done
        1.000 speech   ◀── music
        11.000 speech   ◀── sorry
        12.001 store    ◀── ivr 999 + queue 10000 + ivr 1001 | Flow ended by us
        12.001 carrier  ◀── BYE
        12.002 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_queue_passes_on_whom_it_does_not_serve() {
    let play = play(
        scene().with(&[
            ("initial = \"ready\"", "initial = \"not_ready\""),
            ("max_wait_s = 120", "max_wait_s = 10\noverflow = \"loans\""),
        ]),
        &[
            (0, LogIn("bob")),
            (0, Call),
            (1000, Key(0, '1')),
            (15_000, NotReady("bob")),
            (16_000, Hears(0, "music")),
            (17_000, Ready("bob")),
            (22_000, HangUp(0)),
        ],
    );
    play.shows(
        r#"
        0.000 desk bob ◀── welcome
        0.000 desk bob ◀── snapshot
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.000 caller   ──▶ key 1
        1.000 store    ◀── step menu done
        1.000 speech   ◀── music
        11.000 speech   ◀── music
        15.000 desk bob ──▶ setstate
        17.000 desk bob ──▶ setstate
        17.000 desk bob ◀── offer v1
        17.200 bob      ◀── INVITE
        17.201 bob      ──▶ 180
        19.201 bob      ──▶ 200
        19.202 store    ◀── resolved: this call
        19.202 desk bob ◀── connected
        19.202 bob      ◀── ACK
        22.000 carrier  ──▶ BYE
        22.001 carrier  ◀── 200 BYE
        22.001 desk bob ◀── released: Normal call clearing by caller
        22.001 store    ◀── ivr 999 + queue 16200 + ring 2002 + talk 2799 | bob answered | Normal call clearing by caller
        22.001 bob      ◀── BYE
        22.001 desk bob ◀── wrap-up
        22.002 bob      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_closed_queue_serves_nobody() {
    let play = play(
        scene().with(&[
            ("max_wait_s = 120", "calendar = \"never\""),
            (
                "[[disposition]]",
                "[[calendar]]\nid = \"never\"\ntimezone = \"Asia/Shanghai\"\nweek = {}\n[[disposition]]",
            ),
        ]),
        &[(0, Call), (1000, Key(0, '1'))],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.000 caller   ──▶ key 1
        1.000 store    ◀── step menu done
        1.000 speech   ◀── sorry
        2.001 store    ◀── ivr 2000 | Flow ended by us
        2.001 carrier  ◀── BYE
        2.002 carrier  ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_reload_that_removes_the_queue_sends_its_line_on() {
    let play = play(
        scene().with(&[("initial = \"ready\"", "initial = \"not_ready\"")]),
        &[(0, Call), (1000, Key(0, '1')), (5000, Reload(CARDS_INTO_LOANS))],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK
        0.003 store    ◀── step menu entered
        0.003 speech   ◀── menu
        1.000 caller   ──▶ key 1
        1.000 store    ◀── step menu done
        1.000 speech   ◀── music
        5.000 operator ──▶ reload
        5.000 speech   ◀── sorry
        6.001 store    ◀── ivr 999 + queue 4000 + ivr 1001 | Flow ended by us
        6.001 carrier  ◀── BYE
        6.002 carrier  ──▶ 200 BYE
        "#,
    );
}
