//! The phone in the desktop: one leg that stands from log-in to log-out.

use baton::call::release::{Cause, Party};
use baton::cti::Push;
use baton::media::Event;

use super::audio::quality;
use super::stage::Do::*;
use super::stage::{End, Scene, play, scene};

/// Ann's desktop is her phone, and calls are recorded.
fn headset() -> Scene {
    let phone = "phone = \"sip:ann@10.0.2.1:5060\"";
    let page = "phone = \"softphone\"\npassword = \"$argon2id$\"";
    scene().with(&[(phone, page), ("flow = \"front\"", "flow = \"front\"\nrecord = true")])
}

#[test]
fn an_agent_is_offered_nothing_until_the_page_is_through() {
    let play = play(
        headset(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (2000, Handshake(None)),
            (2000, Offers("ann")),
            (4000, Ready("ann")),
            (5000, Hears(0, "music")),
            (5000, Handshake(Some(300))),
            (5000, Offers("ann")),
            (6000, HangUp(0)),
            (7000, Drop("ann")),
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
        2.000 desk ann ──▶ sdp
        2.000 desk ann ◀── sdp
        4.000 desk ann ──▶ setstate
        4.000 desk ann ◀── refused: PhoneUnreachable
        5.000 desk ann ──▶ sdp
        5.000 desk ann ◀── sdp
        5.300 media    ──▶ secured
        5.300 desk ann ◀── offer v1
        6.000 carrier  ──▶ BYE
        6.001 carrier  ◀── 200 BYE
        6.001 store    ◀── ivr 1499 + queue 4000 + ring 501 | ann offered | Normal call clearing by caller
        6.001 desk ann ◀── withdrawn: abandoned
        6.001 store    ◀── ivr 1499 + queue 4000 + ring 501 | ann abandoned | Normal call clearing by caller
        6.081 store    ◀── ivr 1499 + queue 4000 + ring 501 | ann abandoned | Normal call clearing by caller
        "#,
    );
}

#[test]
fn an_answer_is_one_patch_and_no_invite() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (2600, Displayed("ann", 0, 1)),
            (4000, Media(&["open", "open", "patch", "record", "play", "patch", "play", "patch"])),
            (4000, Answer("ann", 0)),
            (4000, Media(&["stop", "patch", "patch"])),
            (4000, Hears(0, "talk")),
            (5000, Mute("ann", 0, true)),
            (5000, Hears(0, "nothing")),
            (6000, Mute("ann", 0, false)),
            (6000, Hears(0, "talk")),
            (6500, Press("ann", 0, "42#")),
            (7000, Hold("ann", 0)),
            (7000, Hears(0, "music")),
            (8000, Resume("ann", 0)),
            (8000, Hears(0, "talk")),
            (9000, Release("ann", 0)),
            (10_000, File("ann", 0)),
            (11_000, Call),
            (12_500, Key(1, '1')),
            (12_600, Answer("ann", 1)),
            (12_600, Hears(1, "talk")),
            (14_000, HangUp(1)),
            (15_000, Drop("ann")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        2.600 desk ann ──▶ displayed
        4.000 desk ann ──▶ answer
        4.000 store    ◀── resolved: this call
        4.000 desk ann ◀── connected
        5.000 desk ann ──▶ mute
        6.000 desk ann ──▶ mute
        6.500 desk ann ──▶ dtmf
        7.000 desk ann ──▶ hold
        7.000 desk ann ◀── held
        8.000 desk ann ──▶ resume
        8.000 desk ann ◀── resumed
        9.000 desk ann ──▶ release
        9.000 desk ann ◀── released: Normal call clearing by callee
        9.000 store    ◀── ivr 1499 + queue 100 + ring 1400 + talk 3000 + hold 1000 + talk 1000 | ann answered | Normal call clearing by callee
        9.000 carrier  ◀── BYE
        9.000 desk ann ◀── wrap-up
        9.001 carrier  ──▶ 200 BYE
        9.080 store    ◀── ivr 1499 + queue 100 + ring 1400 + talk 3000 + hold 1000 + talk 1000 | ann answered | Normal call clearing by callee
        10.000 desk ann ──▶ disposition
        10.000 store    ◀── ivr 1499 + queue 100 + ring 1400 + talk 3000 + hold 1000 + talk 1000 | ann answered | Normal call clearing by callee
        11.000 carrier  ──▶ INVITE
        11.001 carrier  ◀── 100
        11.001 carrier  ◀── 200
        11.002 carrier  ──▶ ACK
        11.003 store    ◀── step menu entered
        11.003 speech   ◀── menu
        12.500 caller   ──▶ key 1
        12.500 store    ◀── step menu done
        12.500 speech   ◀── music
        12.500 desk ann ◀── offer v1
        12.600 desk ann ──▶ answer
        12.600 store    ◀── resolved: this call
        12.600 desk ann ◀── connected
        14.000 carrier  ──▶ BYE
        14.001 carrier  ◀── 200 BYE
        14.001 desk ann ◀── released: Normal call clearing by caller
        14.001 store    ◀── ivr 1499 + queue 100 + talk 1401 | ann answered | Normal call clearing by caller
        14.001 desk ann ◀── wrap-up
        14.081 store    ◀── ivr 1499 + queue 100 + talk 1401 | ann answered | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_page_that_does_not_answer_rings_out() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (2600, Displayed("ann", 0, 1)),
            (20_000, Answer("ann", 0)),
            (21_000, HangUp(0)),
            (22_000, Drop("ann")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        2.600 desk ann ──▶ displayed
        17.500 desk ann ◀── withdrawn: rona
        20.000 desk ann ──▶ answer
        20.000 desk ann ◀── refused: NotYours
        21.000 carrier  ──▶ BYE
        21.001 carrier  ◀── 200 BYE
        21.001 store    ◀── ivr 1499 + queue 100 + ring 14900 + queue 3501 | ann rona | Normal call clearing by caller
        21.081 store    ◀── ivr 1499 + queue 100 + ring 14900 + queue 3501 | ann rona | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_page_may_decline() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (4000, Decline("ann", 0)),
            (4500, Hears(0, "music")),
            (6000, HangUp(0)),
            (7000, Drop("ann")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        4.000 desk ann ──▶ decline
        4.000 desk ann ◀── withdrawn: declined
        6.000 carrier  ──▶ BYE
        6.001 carrier  ◀── 200 BYE
        6.001 store    ◀── ivr 1499 + queue 200 + ring 1300 + queue 2001 | ann declined | Normal call clearing by caller
        6.081 store    ◀── ivr 1499 + queue 200 + ring 1300 + queue 2001 | ann declined | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_page_loaded_again_has_its_call_again_and_the_caller_music_meanwhile() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (5000, Hears(0, "talk")),
            (
                5000,
                Media(&[
                    "open", "open", "patch", "record", "play", "patch", "play", "patch", "stop", "patch",
                    "patch",
                ]),
            ),
            (6000, Drop("ann")),
            // It may be no more than its WebSocket that the page has lost.
            (6300, Media(&[])),
            (6400, LogIn("ann")),
            (6400, Hears(0, "music")),
            (6400, Media(&["play", "patch", "patch"])),
            (6500, Offers("ann")),
            (6500, Hears(0, "music")),
            (6600, Hears(0, "talk")),
            // The recording goes on: it is neither ended nor begun.
            (6600, Media(&["amend", "patch", "stop", "patch", "patch"])),
            (9000, Release("ann", 0)),
            (10_000, Drop("ann")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        3.000 desk ann ──▶ answer
        3.000 store    ◀── resolved: this call
        3.000 desk ann ◀── connected
        6.400 desk ann ◀── welcome
        6.400 desk ann ◀── snapshot: talking
        6.500 desk ann ──▶ sdp
        6.500 desk ann ◀── sdp
        6.540 media    ──▶ secured
        9.000 desk ann ──▶ release
        9.000 desk ann ◀── released: Normal call clearing by callee
        9.000 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 6000 | ann answered | Normal call clearing by callee
        9.000 carrier  ◀── BYE
        9.000 desk ann ◀── wrap-up
        9.001 carrier  ──▶ 200 BYE
        9.080 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 6000 | ann answered | Normal call clearing by callee
        "#,
    );
}

#[test]
fn a_websocket_that_drops_and_comes_back_needs_no_offer() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (5000, Drop("ann")),
            (5500, Hears(0, "talk")),
            (6000, Return("ann")),
            (6000, Hears(0, "talk")),
            (9000, HangUp(0)),
            (10_000, Drop("ann")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        3.000 desk ann ──▶ answer
        3.000 store    ◀── resolved: this call
        3.000 desk ann ◀── connected
        6.000 desk ann ◀── welcome
        9.000 carrier  ──▶ BYE
        9.001 carrier  ◀── 200 BYE
        9.001 desk ann ◀── released: Normal call clearing by caller
        9.001 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 6001 | ann answered | Normal call clearing by caller
        9.001 desk ann ◀── wrap-up
        9.081 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 6001 | ann answered | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_path_that_is_lost_and_found_again_is_music_in_between() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (5000, Befalls(|leg| Event::Lost { leg })),
            (5000, Hears(0, "music")),
            (6000, Offers("ann")),
            (6020, Hears(0, "music")),
            (6100, Hears(0, "talk")),
            (8000, HangUp(0)),
            (9000, Drop("ann")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        3.000 desk ann ──▶ answer
        3.000 store    ◀── resolved: this call
        3.000 desk ann ◀── connected
        5.000 media    ──▶ lost
        6.000 desk ann ──▶ sdp
        6.000 desk ann ◀── sdp
        6.040 media    ──▶ secured
        8.000 carrier  ──▶ BYE
        8.001 carrier  ◀── 200 BYE
        8.001 desk ann ◀── released: Normal call clearing by caller
        8.001 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 5001 | ann answered | Normal call clearing by caller
        8.001 desk ann ◀── wrap-up
        8.081 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 5001 | ann answered | Normal call clearing by caller
        "#,
    );
}

#[test]
fn an_offer_on_the_same_page_does_not_interrupt_the_call() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (5000, Offers("ann")),
            (5010, Hears(0, "talk")),
            (6000, Hears(0, "talk")),
            (8000, HangUp(0)),
            (9000, Drop("ann")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        3.000 desk ann ──▶ answer
        3.000 store    ◀── resolved: this call
        3.000 desk ann ◀── connected
        5.000 desk ann ──▶ sdp
        5.000 desk ann ◀── sdp
        5.040 media    ──▶ secured
        8.000 carrier  ──▶ BYE
        8.001 carrier  ◀── 200 BYE
        8.001 desk ann ◀── released: Normal call clearing by caller
        8.001 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 5001 | ann answered | Normal call clearing by caller
        8.001 desk ann ◀── wrap-up
        8.081 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 5001 | ann answered | Normal call clearing by caller
        "#,
    );
}

/// Another connection has another certificate.
#[test]
fn an_offer_by_another_connection_is_music_until_its_handshake_is_done() {
    play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (5000, OffersAnew("ann")),
            (5039, Hears(0, "music")),
            (5041, Hears(0, "talk")),
            (6000, HangUp(0)),
            (7000, Drop("ann")),
        ],
    );
}

#[test]
fn turn_passwords_are_of_the_secret_that_a_reload_brought() {
    let north = "[media]\nice_servers = [{ urls = [\"turn:t\"], secret_file = \"secrets/north\" }]\n[http]";
    let play = play(
        headset().with(&[("[http]", north)]),
        // All in one second, so that the passwords are of one time.
        &[
            (100, LogIn("ann")),
            (200, LogIn("ann")),
            (300, Reload(&[("secrets/north", "secrets/south")])),
            (400, LogIn("ann")),
            (500, Drop("ann")),
        ],
    );
    let told = play.net.desks.values().flat_map(|desk| &desk.told);
    let servers = told.filter_map(|(_, push)| match &**push {
        Push::Welcome { ice_servers, .. } => Some(ice_servers[0].clone()),
        _ => None,
    });
    let servers: Vec<_> = servers.skip(1).collect();
    assert_eq!(servers[0], servers[1]);
    assert_eq!(servers[1].username, servers[2].username);
    assert_ne!(servers[1].credential, servers[2].credential);
}

/// Nobody is left who could end that, though the audio of the page goes on.
#[test]
fn a_call_on_hold_or_muted_whose_desk_is_abandoned_is_released() {
    for silence in [|| Hold("ann", 0), || Mute("ann", 0, true)] {
        let play = play(
            headset(),
            &[
                (0, Offers("ann")),
                (1000, Call),
                (2500, Key(0, '1')),
                (3000, Answer("ann", 0)),
                (4000, silence()),
                (5000, Drop("ann")),
                (24_900, Hears(0, if matches!(silence(), Hold(..)) { "music" } else { "nothing" })),
            ],
        );
        let call = &play.record(0).calls[0];
        assert_eq!(
            call.release.map(|release| (release.by, release.cause)),
            Some((Party::Us, Cause::PeerLost))
        );
    }
}

#[test]
fn a_desk_without_connection_is_told_no_figures_when_it_is_back() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (5000, Drop("ann")),
            (9000, Fares(0, End::Caller, quality(430))),
            (12_000, Fares(0, End::Caller, quality(420))),
            (20_000, Return("ann")),
            (21_000, HangUp(0)),
            (22_000, Drop("ann")),
        ],
    );
    let told = play.net.desks.values().flat_map(|desk| &desk.told);
    assert_eq!(told.filter(|(_, push)| matches!(**push, Push::Quality { .. })).count(), 0);
}

#[test]
fn a_call_whose_desk_is_abandoned_is_released() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (5000, Drop("ann")),
            (6000, Befalls(|leg| Event::Lost { leg })),
            (6000, Hears(0, "music")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        3.000 desk ann ──▶ answer
        3.000 store    ◀── resolved: this call
        3.000 desk ann ◀── connected
        6.000 media    ──▶ lost
        26.000 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 23000 | ann answered | Peer lost by us
        26.000 carrier  ◀── BYE
        26.001 carrier  ──▶ 200 BYE
        26.080 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 23000 | ann answered | Peer lost by us
        "#,
    );
}

#[test]
fn a_page_that_only_lost_its_websocket_talks_on() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (5000, Drop("ann")),
            (5010, Hears(0, "talk")),
            (26_000, Hears(0, "talk")),
            (
                27_999,
                Media(&[
                    "open", "open", "patch", "record", "play", "patch", "play", "patch", "stop", "patch",
                    "patch",
                ]),
            ),
            (28_000, HangUp(0)),
            // What both said last is still in the buffers of their legs.
            (28_001, Media(&["finish", "patch", "close", "close"])),
        ],
    );
    let record = play.record(0);
    assert_eq!(record.calls[0].release.map(|release| release.by), Some(Party::Caller));
}

/// A browser that is closed says nothing by its WebSocket's end, and may say nothing else.
#[test]
fn a_page_that_falls_silent_without_its_websocket_is_music_and_then_the_end() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (4000, Silent(0, End::Agent, 5)),
            (4500, Hears(0, "talk")),
            (4500, Audible(0, End::Agent)),
            (5000, Drop("ann")),
            (9000, Silent(0, End::Agent, 5)),
            (9000, Hears(0, "music")),
            (10_000, Audible(0, End::Agent)),
            (10_000, Hears(0, "talk")),
            (15_000, Silent(0, End::Agent, 5)),
            (20_000, Silent(0, End::Agent, 10)),
            (25_000, Silent(0, End::Agent, 15)),
            (34_990, Hears(0, "music")),
        ],
    );
    let record = play.record(0);
    let ended = (record.calls[0].release.map(|release| release.cause), record.calls[0].ms);
    assert_eq!(ended, (Some(Cause::PeerLost), 34_000 - 1), "twenty seconds after it fell silent for good");
}

#[test]
fn a_silent_page_that_loses_its_websocket_is_music_at_once() {
    play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (4000, Silent(0, End::Agent, 5)),
            (5000, Drop("ann")),
            (5000, Hears(0, "music")),
            (6000, Return("ann")),
            (6000, Hears(0, "talk")),
            (7000, HangUp(0)),
            (8000, Drop("ann")),
        ],
    );
}

#[test]
fn a_desk_long_abandoned_is_waited_for_again_once_its_audio_is_lost() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            (5000, Drop("ann")),
            (30_000, Hears(0, "talk")),
            (30_000, Befalls(|leg| Event::Lost { leg })),
            (40_000, Hears(0, "music")),
            (40_000, LogIn("ann")),
            (40_100, Offers("ann")),
            (40_200, Hears(0, "talk")),
            (41_000, Release("ann", 0)),
            (42_000, Drop("ann")),
        ],
    );
    let released = play.record(0).calls[0].release;
    assert_eq!(released.map(|release| (release.by, release.cause)), Some((Party::Callee, Cause::Normal)));
}

#[test]
fn a_second_log_in_takes_the_call_over() {
    let play = play(
        headset(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Answer("ann", 0)),
            // The page before says nothing at its end.
            (5000, LogIn("ann")),
            (5200, Hears(0, "music")),
            (5300, Offers("ann")),
            (5500, Hears(0, "talk")),
            (7000, Release("ann", 0)),
            (8000, Drop("ann")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        3.000 desk ann ──▶ answer
        3.000 store    ◀── resolved: this call
        3.000 desk ann ◀── connected
        5.000 desk ann ◀── dismissed
        5.000 desk ann ◀── welcome
        5.000 desk ann ◀── snapshot: talking
        5.300 desk ann ──▶ sdp
        5.300 desk ann ◀── sdp
        5.340 media    ──▶ secured
        7.000 desk ann ──▶ release
        7.000 desk ann ◀── released: Normal call clearing by callee
        7.000 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 4000 | ann answered | Normal call clearing by callee
        7.000 carrier  ◀── BYE
        7.000 desk ann ◀── wrap-up
        7.001 carrier  ──▶ 200 BYE
        7.080 store    ◀── ivr 1499 + queue 200 + ring 300 + talk 4000 | ann answered | Normal call clearing by callee
        "#,
    );
}

#[test]
fn nobody_answers_mutes_or_presses_keys_for_another() {
    let play = play(
        Scene { desks: &["ann", "bob"], ..headset() },
        &[
            (0, Offers("ann")),
            (0, Offers("bob")),
            (1000, Call),
            (2500, Key(0, '1')),
            (3000, Mute("ann", 0, true)),
            (3000, Answer("bob", 0)),
            (3500, Answer("ann", 0)),
            (4000, Mute("bob", 0, true)),
            (4000, Press("bob", 0, "1")),
            (4000, Hold("bob", 0)),
            (4000, Press("ann", 0, "12x")),
            (4000, Hears(0, "talk")),
            (5000, HangUp(0)),
            (6000, Drop("ann")),
        ],
    );
    play.shows(
        r#"
        0.000 desk ann ──▶ sdp
        0.000 desk ann ◀── sdp
        0.000 desk bob ──▶ sdp
        0.000 desk bob ◀── refused: NotNow
        0.040 media    ──▶ secured
        1.000 carrier  ──▶ INVITE
        1.001 carrier  ◀── 100
        1.001 carrier  ◀── 200
        1.002 carrier  ──▶ ACK
        1.003 store    ◀── step menu entered
        1.003 speech   ◀── menu
        2.500 caller   ──▶ key 1
        2.500 store    ◀── step menu done
        2.500 speech   ◀── music
        2.500 desk ann ◀── offer v1
        3.000 desk ann ──▶ mute
        3.000 desk ann ◀── refused: NotNow
        3.000 desk bob ──▶ answer
        3.000 desk bob ◀── refused: NotYours
        3.500 desk ann ──▶ answer
        3.500 store    ◀── resolved: this call
        3.500 desk ann ◀── connected
        4.000 desk bob ──▶ mute
        4.000 desk bob ◀── refused: NotYours
        4.000 desk bob ──▶ dtmf
        4.000 desk bob ◀── refused: NotYours
        4.000 desk bob ──▶ hold
        4.000 desk bob ◀── refused: NotYours
        4.000 desk ann ──▶ dtmf
        4.000 desk ann ◀── refused: Unknown
        5.000 carrier  ──▶ BYE
        5.001 carrier  ◀── 200 BYE
        5.001 desk ann ◀── released: Normal call clearing by caller
        5.001 store    ◀── ivr 1499 + queue 200 + ring 800 + talk 1501 | ann answered | Normal call clearing by caller
        5.001 desk ann ◀── wrap-up
        5.081 store    ◀── ivr 1499 + queue 200 + ring 800 + talk 1501 | ann answered | Normal call clearing by caller
        "#,
    );
}

/// Ann's page is at home at the first of two media shards.
fn two_shards() -> Scene {
    headset().with(&[("[http]", "[media]\nshards = 2\n[http]")])
}

#[test]
fn a_standing_leg_moves_to_its_callers_shard_before_it_is_patched_and_stays_there() {
    play(
        two_shards(),
        &[
            (0, Offers("ann")),
            // The first caller has the first shard, the second the other.
            (1000, Call),
            (1100, Call),
            (2500, Key(1, '1')),
            (3000, Lives(0)),
            (
                3000,
                Media(&[
                    "open", "open", "patch", "record", "play", "patch", "open", "patch", "record", "play",
                    "patch", "play", "patch",
                ]),
            ),
            (3000, Answer("ann", 1)),
            (3000, Media(&["await", "move", "stop", "patch", "patch"])),
            (3000, Hears(1, "talk")),
            (3000, Lives(1)),
            (4000, Hold("ann", 1)),
            (4000, Hears(1, "music")),
            (4500, Resume("ann", 1)),
            (5000, Release("ann", 1)),
            (5000, Lives(1)),
            (6000, File("ann", 1)),
            // Now the one at the first shard.
            (6500, Key(0, '1')),
            (
                7000,
                Media(&[
                    "play", "patch", "patch", "stop", "patch", "patch", "finish", "patch", "close", "play",
                    "patch",
                ]),
            ),
            (7000, Answer("ann", 0)),
            (7000, Media(&["await", "move", "stop", "patch", "patch"])),
            (7000, Hears(0, "talk")),
            (7000, Lives(0)),
            (8000, HangUp(0)),
            (9000, Drop("ann")),
        ],
    );
}

#[test]
fn a_page_offers_anew_while_its_leg_is_at_another_shard_and_between_calls() {
    play(
        two_shards(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (1100, Call),
            (2500, Key(1, '1')),
            (3000, Answer("ann", 1)),
            (4000, Drop("ann")),
            (4400, LogIn("ann")),
            (4450, Hears(1, "music")),
            (4500, Offers("ann")),
            (4600, Hears(1, "talk")),
            (5000, Release("ann", 1)),
            (6000, Offers("ann")),
            (6000, Lives(1)),
            (7000, HangUp(0)),
            (8000, Drop("ann")),
        ],
    );
}

#[test]
fn a_desk_that_is_abandoned_ends_its_leg_where_it_lives() {
    for lost in [true, false] {
        let mut script = vec![
            (0, Offers("ann")),
            (1000, Call),
            (1100, Call),
            (2500, Key(1, '1')),
            (3000, Answer("ann", 1)),
            (5000, Drop("ann")),
        ];
        if lost {
            script.push((6000, Befalls(|leg| Event::Lost { leg })));
        } else {
            script.push((6000, HangUp(1)));
        }
        script.push((30_000, HangUp(0)));
        play(two_shards(), &script);
    }
}

#[test]
fn a_reload_takes_a_softphone_away_where_its_leg_lives() {
    play(
        two_shards(),
        &[
            (0, Offers("ann")),
            (1000, Call),
            (1100, Call),
            (2500, Key(1, '1')),
            (3000, Answer("ann", 1)),
            (
                4000,
                Reload(&[(
                    "phone = \"softphone\"\npassword = \"$argon2id$\"",
                    "phone = \"sip:ann@10.0.2.1:5060\"",
                )]),
            ),
            (4000, Hears(1, "talk")),
            (5000, HangUp(1)),
            (7000, HangUp(0)),
            (8000, Drop("ann")),
        ],
    );
}
