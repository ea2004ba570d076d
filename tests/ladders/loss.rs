//! Datagrams that are lost on the way.

use super::stage::Do::*;
use super::stage::{Scene, play, scene};

#[test]
fn a_call_survives_every_fourth_datagram_lost() {
    let play = play(
        Scene { loses: 4, ..scene() },
        &[
            (0, Call),
            (5000, Key(0, '1')),
            (6000, Displayed("ann", 0, 1)),
            (20_000, Hears(0, "talk")),
            (20_000, HangUp(0)),
            (25_000, File("ann", 0)),
        ],
    );
    play.shows(
        r#"
        0.000 carrier  ──▶ INVITE
        0.001 carrier  ◀── 100 (lost)
        0.001 carrier  ◀── 200
        0.002 carrier  ──▶ ACK (lost)
        0.501 carrier  ◀── 200
        0.502 carrier  ──▶ ACK
        0.503 store    ◀── step menu entered
        0.503 speech   ◀── menu
        5.000 caller   ──▶ key 1
        5.000 store    ◀── step menu done
        5.000 speech   ◀── music
        5.000 desk ann ◀── offer v1
        5.200 ann      ◀── INVITE (lost)
        5.700 ann      ◀── INVITE
        5.701 ann      ──▶ 180
        6.000 desk ann ──▶ displayed
        7.701 ann      ──▶ 200
        7.702 store    ◀── resolved: this call
        7.702 desk ann ◀── connected
        7.702 ann      ◀── ACK
        20.000 carrier  ──▶ BYE (lost)
        20.500 carrier  ──▶ BYE
        20.501 carrier  ◀── 200 BYE
        20.501 desk ann ◀── released: Normal call clearing by caller
        20.501 store    ◀── ivr 4999 + queue 200 + ring 2502 + talk 12799 | ann answered | Normal call clearing by caller
        20.501 ann      ◀── BYE
        20.501 desk ann ◀── wrap-up
        20.502 ann      ──▶ 200 BYE
        25.000 desk ann ──▶ disposition
        25.000 store    ◀── ivr 4999 + queue 200 + ring 2502 + talk 12799 | ann answered | Normal call clearing by caller
        "#,
    );
}
