//! Calls from pages: an offer answered, a hand-off used up, and then a call like any other.

use std::time::Duration;

use baton::call::release::{Cause, Party};
use baton::cti::Push;
use baton::gateway::contact::ContextBeforeAnswer;
use baton::journey::{Confidence, Status};
use baton::media::Event;

use super::ends::GRANTED;
use super::stage::Do::*;
use super::stage::{ANN, End, play, scene};
use crate::net::Then;

#[test]
fn a_hand_off_to_a_queue_shows_its_journey_before_the_phone_rings() {
    let play = play(
        scene(),
        &[
            (0, PageCalls(Some("cards"))),
            (5, Confirm),
            (50, Displayed("ann", 0, 1)),
            (5000, Hears(0, "talk")),
            (10_000, PageHangsUp),
            (11_000, Resolve("ann", 0)),
        ],
    );
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ confirm
        0.005 page     ◀── confirmed
        0.005 speech   ◀── music
        0.005 desk ann ◀── offer v1
        0.050 desk ann ──▶ displayed
        0.050 ann      ◀── INVITE
        0.051 ann      ──▶ 180
        2.051 ann      ──▶ 200
        2.052 store    ◀── resolved: this call
        2.052 desk ann ◀── connected
        2.052 ann      ◀── ACK
        10.000 page     ──▶ hang up
        10.000 page     ◀── hung up
        10.000 desk ann ◀── released: Normal call clearing by caller
        10.000 store    ◀── ivr 5 + queue 45 + ring 2002 + talk 7948 | ann answered | Normal call clearing by caller
        10.000 ann      ◀── BYE
        10.000 desk ann ◀── wrap-up
        10.001 ann      ──▶ 200 BYE
        11.000 desk ann ──▶ disposition
        11.000 store    ◀── resolved: prepay-1
        11.000 store    ◀── ivr 5 + queue 45 + ring 2002 + talk 7948 | ann answered | Normal call clearing by caller
        "#,
    );
    let desk = &play.net.desks[&play.desk("ann")];
    let pop = desk.told.iter().find_map(|(_, push)| match &**push {
        Push::Offer(pop) => Some(pop.clone()),
        _ => None,
    });
    let pop = pop.expect("an offer");
    assert_eq!((pop.caller.confidence, pop.caller.number), (Confidence::Token, None));
    // Another errand is more recent; this is the one that was handed over.
    let breakpoint = pop.breakpoint.expect("a breakpoint");
    assert_eq!((breakpoint.journey.as_str(), breakpoint.status), ("prepay-1", Status::Failed));
    assert_eq!(pop.open.iter().map(|open| open.journey.as_str()).collect::<Vec<_>>(), ["later-2"]);
    let record = play.record(0);
    assert_eq!(record.context_before_answer, Some(ContextBeforeAnswer::Displayed));
    assert_eq!((record.confidence, record.calls[0].number.is_none()), (Confidence::Token, true));
}

#[test]
fn a_hand_off_without_a_queue_enters_the_flow() {
    let play = play(scene(), &[(0, PageCalls(None)), (5, Confirm), (1500, Key(0, '1')), (9000, PageHangsUp)]);
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ confirm
        0.005 page     ◀── confirmed
        0.005 store    ◀── step menu entered
        0.005 speech   ◀── menu
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
        9.000 page     ──▶ hang up
        9.000 page     ◀── hung up
        9.000 desk ann ◀── released: Normal call clearing by caller
        9.000 store    ◀── ivr 1500 + queue 200 + ring 2002 + talk 5298 | ann answered | Normal call clearing by caller
        9.000 ann      ◀── BYE
        9.000 desk ann ◀── wrap-up
        9.001 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn a_queue_that_does_not_serve_gives_the_caller_to_the_flow() {
    let scene = scene().with(&[("initial = \"ready\"", "initial = \"not_ready\"")]);
    let play = play(scene, &[(0, PageCalls(Some("cards"))), (5, Confirm), (130_000, PageHangsUp)]);
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ confirm
        0.005 page     ◀── confirmed
        0.005 speech   ◀── music
        20.005 speech   ◀── "You are number one in line."
        40.005 speech   ◀── "You are number one in line."
        60.005 speech   ◀── "You are number one in line."
        80.005 speech   ◀── "You are number one in line."
        100.005 speech   ◀── "You are number one in line."
        120.005 store    ◀── step menu entered
        120.005 speech   ◀── menu
        126.006 speech   ◀── menu
        130.000 page     ──▶ hang up
        130.000 page     ◀── hung up
        130.000 store    ◀── step menu abandoned
        130.000 store    ◀── ivr 5 + queue 120000 + ivr 9995 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_queue_that_is_gone_gives_the_caller_to_the_flow() {
    let play = play(scene(), &[(0, PageCalls(Some("gold"))), (5, Confirm), (1000, PageHangsUp)]);
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ confirm
        0.005 page     ◀── confirmed
        0.005 store    ◀── step menu entered
        0.005 speech   ◀── menu
        1.000 page     ──▶ hang up
        1.000 page     ◀── hung up
        1.000 store    ◀── step menu abandoned
        1.000 store    ◀── ivr 1000 | Normal call clearing by caller
        "#,
    );
}

#[test]
fn a_call_whose_token_was_used_by_another_never_began() {
    let play = play(scene(), &[(0, PageCalls(Some("cards"))), (5, PageHangsUp), (6, Confirm)]);
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ hang up
        0.005 page     ◀── hung up
        0.005 store    ◀── ivr 5 | Normal call clearing by caller
        0.006 page     ──▶ confirm
        0.006 page     ◀── refused: no such call
        "#,
    );
}

#[test]
fn a_call_that_nobody_confirms_is_let_go() {
    let play = play(scene(), &[(0, PageCalls(Some("cards")))]);
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        32.000 store    ◀── ivr 32000 | Never acknowledged by us
        "#,
    );
}

#[test]
fn an_offer_that_is_refused_leaves_nothing() {
    let play = play(scene(), &[(0, PageOffers("")), (1, PageOffers("v=0"))]);
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── refused: malformed description
        0.001 page     ──▶ call
        0.001 page     ◀── refused: no audio
        "#,
    );
    assert_eq!(play.net.records().count(), 0);
}

#[test]
fn a_page_that_was_loaded_again_has_its_call_back() {
    let play = play(
        scene(),
        &[
            (0, PageCalls(Some("cards"))),
            (5, Confirm),
            (5000, RenewWithoutSecret),
            (5001, Renew),
            (5002, Hears(0, "talk")),
            (9000, PageHangsUp),
        ],
    );
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ confirm
        0.005 page     ◀── confirmed
        0.005 speech   ◀── music
        0.005 desk ann ◀── offer v1
        0.205 ann      ◀── INVITE
        0.206 ann      ──▶ 180
        2.206 ann      ──▶ 200
        2.207 store    ◀── resolved: this call
        2.207 desk ann ◀── connected
        2.207 ann      ◀── ACK
        5.000 page     ──▶ renew
        5.000 page     ◀── refused: no such call
        5.001 page     ──▶ renew
        5.001 page     ◀── answer
        9.000 page     ──▶ hang up
        9.000 page     ◀── hung up
        9.000 desk ann ◀── released: Normal call clearing by caller
        9.000 store    ◀── ivr 5 + queue 200 + ring 2002 + talk 6793 | ann answered | Normal call clearing by caller
        9.000 ann      ◀── BYE
        9.000 desk ann ◀── wrap-up
        9.001 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn an_offer_is_withdrawn_while_the_page_is_away_and_made_again_when_it_is_back() {
    let mut scene = scene();
    scene.ann = Then::Answer(Duration::from_secs(3));
    let play = play(
        scene,
        &[
            (0, PageCalls(Some("cards"))),
            (5, Confirm),
            (2000, Path(0, End::Caller, |leg| Event::Lost { leg })),
            (3000, Hears(0, "music")),
            (9000, Path(0, End::Caller, |leg| Event::Secured { leg })),
            (9100, Displayed("ann", 0, 2)),
            (14_000, Hears(0, "talk")),
            (15_000, PageHangsUp),
        ],
    );
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ confirm
        0.005 page     ◀── confirmed
        0.005 speech   ◀── music
        0.005 desk ann ◀── offer v1
        0.205 ann      ◀── INVITE
        0.206 ann      ──▶ 180
        2.000 media    ──▶ path lost
        2.000 desk ann ◀── withdrawn: calleraway
        2.000 ann      ◀── CANCEL
        2.001 ann      ──▶ 200 CANCEL
        2.001 ann      ──▶ 487
        2.002 ann      ◀── ACK
        9.000 media    ──▶ path found
        9.000 desk ann ◀── offer v2
        9.100 desk ann ──▶ displayed
        9.100 ann      ◀── INVITE
        9.101 ann      ──▶ 180
        12.101 ann      ──▶ 200
        12.102 store    ◀── resolved: this call
        12.102 desk ann ◀── connected
        12.102 ann      ◀── ACK
        15.000 page     ──▶ hang up
        15.000 page     ◀── hung up
        15.000 desk ann ◀── released: Normal call clearing by caller
        15.000 store    ◀── ivr 5 + queue 200 + ring 1795 + queue 7100 + ring 3002 + talk 2898 | ann calleraway, ann answered | Normal call clearing by caller
        15.000 ann      ◀── BYE
        15.000 desk ann ◀── wrap-up
        15.001 ann      ──▶ 200 BYE
        "#,
    );
    assert_eq!(play.net.gateway.counters().rona, 0);
}

#[test]
fn a_caller_who_joins_the_line_while_away_waits_there_unoffered() {
    let play = play(
        scene(),
        &[
            (0, PageCalls(None)),
            (5, Confirm),
            (10_000, Path(0, End::Caller, |leg| Event::Lost { leg })),
            (20_000, Path(0, End::Caller, |leg| Event::Secured { leg })),
            (25_000, PageHangsUp),
        ],
    );
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ confirm
        0.005 page     ◀── confirmed
        0.005 store    ◀── step menu entered
        0.005 speech   ◀── menu
        6.006 speech   ◀── menu
        10.000 media    ──▶ path lost
        12.007 store    ◀── step menu failed
        12.007 speech   ◀── music
        20.000 media    ──▶ path found
        20.000 desk ann ◀── offer v1
        20.200 ann      ◀── INVITE
        20.201 ann      ──▶ 180
        22.201 ann      ──▶ 200
        22.202 store    ◀── resolved: this call
        22.202 desk ann ◀── connected
        22.202 ann      ◀── ACK
        25.000 page     ──▶ hang up
        25.000 page     ◀── hung up
        25.000 desk ann ◀── released: Normal call clearing by caller
        25.000 store    ◀── ivr 12007 + queue 8193 + ring 2002 + talk 2798 | ann answered | Normal call clearing by caller
        25.000 ann      ◀── BYE
        25.000 desk ann ◀── wrap-up
        25.001 ann      ──▶ 200 BYE
        "#,
    );
}

#[test]
fn an_agent_is_given_the_next_in_line_while_the_first_is_away() {
    let scene = scene().with(&[("initial = \"ready\"", "initial = \"not_ready\"")]);
    let play = play(
        scene,
        &[
            (0, PageCalls(Some("cards"))),
            (5, Confirm),
            (1000, PageCalls(Some("cards"))),
            (1005, Confirm),
            (2000, Path(0, End::Caller, |leg| Event::Lost { leg })),
            (3000, Ready("ann")),
            (6000, Hears(0, "music")),
            (6000, Hears(1, "talk")),
            (7000, PhoneHangsUp(ANN)),
        ],
    );
    let released = [0, 1].map(|n| play.record(n).calls[0].release.map(|release| release.cause));
    assert_eq!(released[0], Some(Cause::PeerLost), "it never came back");
    assert_eq!(play.record(0).hops.len(), 0);
}

/// Whoever answered there would hear nobody.
#[test]
fn a_caller_who_is_away_is_not_put_through_outside() {
    let play = play(
        scene().with(&[("[[disposition]]", GRANTED)]),
        &[
            (0, PageCalls(None)),
            (5, Confirm),
            (1000, Path(0, End::Caller, |leg| Event::Lost { leg })),
            (1500, Key(0, '2')),
            (2000, Path(0, End::Caller, |leg| Event::Secured { leg })),
            (9000, PageHangsUp),
        ],
    );
    let ladder = play.net.ladder();
    assert!(ladder.contains("speech   ◀── sorry") && !ladder.contains("◀── INVITE"), "{ladder}");
}

/// Or a page that comes and goes would have a phone ring and stop without end.
#[test]
fn a_page_that_often_went_is_believed_later_each_time() {
    let mut script = vec![(0, PageCalls(Some("cards"))), (5, Confirm)];
    for second in [1000, 3000, 5000, 7000, 9000, 11_000] {
        script.push((second, Path(0, End::Caller, |leg| Event::Lost { leg })));
        script.push((second + 100, Path(0, End::Caller, |leg| Event::Secured { leg })));
    }
    script.push((30_000, PageHangsUp));
    let play = play(scene(), &script);
    let ladder = play.net.ladder();
    let offers = ladder.lines().filter_map(|line| line.split_once("desk ann ◀── offer"));
    let offers: Vec<_> = offers.map(|(at, _)| at.trim()).collect();
    assert_eq!(offers, ["0.005", "1.100", "3.100", "5.100", "8.100", "15.100"]);
}

/// A page that is gone has so long to come back, whatever it offered that was refused.
#[test]
fn a_page_that_is_gone_is_given_up_though_it_offered_nonsense() {
    let play = play(
        scene(),
        &[
            (0, PageCalls(Some("cards"))),
            (5, Confirm),
            (5000, Path(0, End::Caller, |leg| Event::Lost { leg })),
            (6000, RenewWith("v=0")),
        ],
    );
    let released = play.record(0).calls[0].release;
    assert_eq!(released.map(|release| (release.by, release.cause)), Some((Party::Caller, Cause::PeerLost)));
}

#[test]
fn an_agent_hangs_up_on_a_page() {
    let play = play(
        scene(),
        &[(0, PageCalls(Some("cards"))), (5, Confirm), (5000, PhoneHangsUp(ANN)), (5100, Renew)],
    );
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ confirm
        0.005 page     ◀── confirmed
        0.005 speech   ◀── music
        0.005 desk ann ◀── offer v1
        0.205 ann      ◀── INVITE
        0.206 ann      ──▶ 180
        2.206 ann      ──▶ 200
        2.207 store    ◀── resolved: this call
        2.207 desk ann ◀── connected
        2.207 ann      ◀── ACK
        5.000 ann      ──▶ BYE
        5.001 ann      ◀── 200 BYE
        5.001 desk ann ◀── released: Normal call clearing by callee
        5.001 store    ◀── ivr 5 + queue 200 + ring 2002 + talk 2794 | ann answered | Normal call clearing by callee
        5.001 desk ann ◀── wrap-up
        5.100 page     ──▶ renew
        5.100 page     ◀── refused: no such call
        "#,
    );
}

#[test]
fn a_page_that_hangs_up_while_the_phone_rings_withdraws_the_offer() {
    let mut scene = scene();
    scene.ann = Then::Answer(Duration::from_secs(10));
    let play = play(scene, &[(0, PageCalls(Some("cards"))), (5, Confirm), (2000, PageHangsUp)]);
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── answer
        0.005 page     ──▶ confirm
        0.005 page     ◀── confirmed
        0.005 speech   ◀── music
        0.005 desk ann ◀── offer v1
        0.205 ann      ◀── INVITE
        0.206 ann      ──▶ 180
        2.000 page     ──▶ hang up
        2.000 page     ◀── hung up
        2.000 store    ◀── ivr 5 + queue 200 + ring 1795 | ann offered | Normal call clearing by caller
        2.000 ann      ◀── CANCEL
        2.000 desk ann ◀── withdrawn: abandoned
        2.000 store    ◀── ivr 5 + queue 200 + ring 1795 | ann abandoned | Normal call clearing by caller
        2.001 ann      ──▶ 200 CANCEL
        2.001 ann      ──▶ 487
        2.002 ann      ◀── ACK
        "#,
    );
}

#[test]
fn while_draining_no_page_is_answered() {
    let play = play(scene(), &[(0, Drain), (1, PageCalls(Some("cards")))]);
    play.shows(
        r#"
        0.001 page     ──▶ call
        0.001 page     ◀── refused: no new calls are taken
        "#,
    );
}

#[test]
fn a_brand_without_an_entrance_takes_no_calls_from_pages() {
    let scene = scene().with(&[("[[click_to_call]]\nflow = \"front\"\n", "")]);
    let play = play(scene, &[(0, PageCalls(None))]);
    play.shows(
        r#"
        0.000 page     ──▶ call
        0.000 page     ◀── refused: no calls are taken from pages
        "#,
    );
}
