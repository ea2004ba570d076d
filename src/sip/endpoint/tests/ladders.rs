//! Whole calls as ladders: A on the left calls B on the right.

use super::*;

/// A call that is up after 140 ms.
fn up(transport: Transport) -> Ladder {
    Ladder::new(transport).at(0, 0, call).at(100, 1, answer).at(120, 0, ack)
}

fn reoffer(end: &mut Endpoint, now: Mono) {
    end.reinvite(now, LEG, Some(Body::sdp("hold")));
}

#[test]
fn a_call_is_set_up_and_taken_down() {
    let ladder = Ladder::new(Transport::Udp);
    let ladder =
        ladder.at(0, 0, call).at(50, 1, ring).at(100, 1, answer).at(120, 0, ack).at(5000, 0, hang_up);
    assert_eq!(
        ladder.play(),
        "     0 ----> INVITE
    10 <---- 100 INVITE
    10       B Invited
    50 <---- 180 INVITE
    60 A Progressed 180
   100 <---- 200 INVITE
   110 A Answered 200
   120 ----> ACK
   130       B Acked
  5000 ----> BYE
  5010 <---- 200 BYE
  5010       B Ended by BYE
"
    );
}

#[test]
fn a_call_over_a_stream_takes_the_same_steps() {
    let ladder = Ladder::new(Transport::Tcp);
    let ladder =
        ladder.at(0, 0, call).at(50, 1, ring).at(100, 1, answer).at(120, 0, ack).at(5000, 1, hang_up);
    assert_eq!(
        ladder.play(),
        "     0 ----> INVITE
    10 <---- 100 INVITE
    10       B Invited
    50 <---- 180 INVITE
    60 A Progressed 180
   100 <---- 200 INVITE
   110 A Answered 200
   120 ----> ACK
   130       B Acked
  5000 <---- BYE
  5010 ----> 200 BYE
  5010 A Ended by BYE
"
    );
}

#[test]
fn a_refusal_is_acknowledged_and_told_once() {
    let busy = |end: &mut Endpoint, now| end.respond(now, LEG, 486, Headers::new(), None);
    let ladder = Ladder::new(Transport::Udp).losing(|_, what, n| what == "ACK" && n == 0);
    assert_eq!(
        ladder.at(0, 0, call).at(100, 1, busy).play(),
        "     0 ----> INVITE
    10 <---- 100 INVITE
    10       B Invited
   100 <---- 486 INVITE
   110 --x   ACK
   110 A Refused 486
   600 <---- 486 INVITE
   610 ----> ACK
"
    );
}

#[test]
fn a_lost_invite_is_repeated_and_a_repeated_one_is_one_call() {
    let ladder = up(Transport::Udp).losing(|_, what, n| (what == "INVITE" || what == "100 INVITE") && n == 0);
    let ladder = Ladder { script: VecDeque::new(), ..ladder };
    let ladder = ladder.at(0, 0, call).at(2000, 1, answer).at(2020, 0, ack).at(3000, 0, hang_up);
    assert_eq!(
        ladder.play(),
        "     0 --x   INVITE
   500 ----> INVITE
   510   x-- 100 INVITE
   510       B Invited
  1500 ----> INVITE
  1510 <---- 100 INVITE
  2000 <---- 200 INVITE
  2010 A Answered 200
  2020 ----> ACK
  2030       B Acked
  3000 ----> BYE
  3010 <---- 200 BYE
  3010       B Ended by BYE
"
    );
}

#[test]
fn a_lost_2xx_is_repeated_over_either_transport() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let ladder = Ladder::new(transport).losing(|_, what, n| what == "200 INVITE" && n < 2);
        let ladder = ladder.at(0, 0, call).at(100, 1, answer).at(1700, 0, ack).at(3000, 0, hang_up);
        assert_eq!(
            ladder.play(),
            "     0 ----> INVITE
    10 <---- 100 INVITE
    10       B Invited
   100   x-- 200 INVITE
   600   x-- 200 INVITE
  1600 <---- 200 INVITE
  1610 A Answered 200
  1700 ----> ACK
  1710       B Acked
  3000 ----> BYE
  3010 <---- 200 BYE
  3010       B Ended by BYE
"
        );
    }
}

#[test]
fn a_lost_ack_is_sent_again_for_the_repeated_2xx() {
    let ladder = up(Transport::Udp).losing(|_, what, n| what == "ACK" && n == 0).at(3000, 0, hang_up);
    assert_eq!(
        ladder.play(),
        "     0 ----> INVITE
    10 <---- 100 INVITE
    10       B Invited
   100 <---- 200 INVITE
   110 A Answered 200
   120 --x   ACK
   600 <---- 200 INVITE
   610 ----> ACK
   620       B Acked
  3000 ----> BYE
  3010 <---- 200 BYE
  3010       B Ended by BYE
"
    );
}

#[test]
fn a_2xx_nobody_acknowledges_is_told_after_32_seconds() {
    let ladder = Ladder::new(Transport::Tcp).losing(|_, what, _| what == "ACK");
    let ladder = ladder.at(0, 0, call).at(100, 1, answer).at(120, 0, ack).at(33_000, 1, hang_up);
    let transcript = ladder.play();
    assert!(
        transcript.ends_with(
            " 27600 <---- 200 INVITE
 27610 --x   ACK
 31600 <---- 200 INVITE
 31610 --x   ACK
 32100       B Unacked
 33000 <---- BYE
 33010 ----> 200 BYE
 33010 A Ended by BYE
"
        ),
        "{transcript}"
    );
}

#[test]
fn a_callees_bye_waits_for_the_ack() {
    let ladder =
        Ladder::new(Transport::Udp).at(0, 0, call).at(100, 1, answer).at(105, 1, hang_up).at(300, 0, ack);
    assert_eq!(
        ladder.play(),
        "     0 ----> INVITE
    10 <---- 100 INVITE
    10       B Invited
   100 <---- 200 INVITE
   110 A Answered 200
   300 ----> ACK
   310 <---- BYE
   320 ----> 200 BYE
   320 A Ended by BYE
"
    );
}

#[test]
fn a_callees_bye_goes_without_an_ack_that_never_comes() {
    let ladder = Ladder::new(Transport::Tcp).losing(|_, what, _| what == "ACK");
    let ladder = ladder.at(0, 0, call).at(100, 1, answer).at(105, 1, hang_up).at(300, 0, ack);
    let transcript = ladder.play();
    assert!(
        transcript.ends_with(" 32100 <---- BYE\n 32110 ----> 200 BYE\n 32110 A Ended by BYE\n"),
        "{transcript}"
    );
    assert!(!transcript.contains("Unacked"));
}

#[test]
fn a_cancel_waits_for_a_provisional() {
    let ladder = Ladder::new(Transport::Udp).losing(|_, what, n| what == "INVITE" && n == 0);
    assert_eq!(
        ladder.at(0, 0, call).at(100, 0, hang_up).play(),
        "     0 --x   INVITE
   500 ----> INVITE
   510 <---- 100 INVITE
   510       B Invited
   520 ----> CANCEL
   530 <---- 200 CANCEL
   530 <---- 487 INVITE
   530       B Cancelled
   540 ----> ACK
"
    );
}

#[test]
fn a_ringing_call_is_cancelled() {
    let ladder = Ladder::new(Transport::Udp).losing(|_, what, n| what == "200 CANCEL" && n == 0);
    assert_eq!(
        ladder.at(0, 0, call).at(50, 1, ring).at(100, 0, hang_up).play(),
        "     0 ----> INVITE
    10 <---- 100 INVITE
    10       B Invited
    50 <---- 180 INVITE
    60 A Progressed 180
   100 ----> CANCEL
   110   x-- 200 CANCEL
   110 <---- 487 INVITE
   110       B Cancelled
   120 ----> ACK
   600 ----> CANCEL
   610 <---- 200 CANCEL
"
    );
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let ladder =
        Ladder::new(Transport::Udp).at(0, 0, call).at(50, 1, ring).at(98, 0, hang_up).at(100, 1, answer);
    assert_eq!(
        ladder.play(),
        "     0 ----> INVITE
    10 <---- 100 INVITE
    10       B Invited
    50 <---- 180 INVITE
    60 A Progressed 180
    98 ----> CANCEL
   100 <---- 200 INVITE
   108 <---- 200 CANCEL
   110 ----> ACK
   110 ----> BYE
   120       B Acked
   120 <---- 200 BYE
   120       B Ended by BYE
"
    );
}

#[test]
fn an_invite_nobody_answers_is_refused_with_408() {
    let ladder = Ladder::new(Transport::Udp).losing(|from, _, _| from == 0);
    let transcript = ladder.at(0, 0, call).play();
    assert!(transcript.ends_with(" 31500 --x   INVITE\n 32000 A Refused 408\n"), "{transcript}");
}

#[test]
fn a_caller_that_rings_off_before_it_acknowledges_does_both() {
    let ladder = Ladder::new(Transport::Udp).at(0, 0, call).at(100, 1, answer).at(115, 0, hang_up);
    let transcript = ladder.play();
    assert!(
        transcript.ends_with(
            "   115 ----> ACK
   115 ----> BYE
   125       B Acked
   125 <---- 200 BYE
   125       B Ended by BYE
"
        ),
        "{transcript}"
    );
}

#[test]
fn a_delayed_offer_is_answered_in_the_ack() {
    let ladder = Ladder::new(Transport::Udp)
        .at(0, 0, |end, now| call_with(end, now, None))
        .at(100, 1, answer)
        .at(120, 0, |end, now| end.ack(now, LEG, Some(Body::sdp("v=0"))))
        .at(200, 0, hang_up);
    let transcript = ladder.play();
    assert!(transcript.contains("   130       B Acked v=0\n"), "{transcript}");
}

#[test]
fn both_may_hang_up_at_once() {
    let ladder = up(Transport::Udp).at(1000, 0, hang_up).at(1000, 1, hang_up);
    let transcript = ladder.play();
    assert!(
        transcript.ends_with(
            "  1000 ----> BYE
  1000 <---- BYE
  1010 <---- 200 BYE
  1010 ----> 200 BYE
"
        ),
        "{transcript}"
    );
}

#[test]
fn a_bye_nobody_answers_ends_the_call_all_the_same() {
    let ladder = up(Transport::Udp).losing(|from, what, _| from == 0 && what == "BYE");
    let transcript = ladder.at(1000, 0, hang_up).at(40_000, 1, hang_up).play();
    assert!(
        transcript.contains(" 32500 --x   BYE\n 40000 <---- BYE\n 40010 ----> 481 BYE\n"),
        "{transcript}"
    );
}

#[test]
fn a_reinvite_is_answered_and_acknowledged() {
    let ladder = up(Transport::Udp).at(1000, 1, reoffer).at(1100, 0, answer).at(2000, 0, hang_up);
    let transcript = ladder.play();
    assert!(
        transcript.contains(
            "  1000 <---- INVITE
  1010 ----> 100 INVITE
  1010 A Reoffered by INVITE
  1100 ----> 200 INVITE
  1110 <---- ACK
  1110       B Reanswered
  1120 A Acked
  2000 ----> BYE
"
        ),
        "{transcript}"
    );
}

#[test]
fn a_refused_reinvite_leaves_the_call_as_it_was() {
    let refuse = |end: &mut Endpoint, now| end.respond(now, LEG, 488, Headers::new(), None);
    let ladder = up(Transport::Udp).at(1000, 0, reoffer).at(1100, 1, refuse).at(1200, 0, reoffer);
    let ladder = ladder.at(1300, 1, answer).at(2000, 0, hang_up);
    let transcript = ladder.play();
    assert!(transcript.contains("  1110 ----> ACK\n  1110 A Rerefused 488\n"), "{transcript}");
    assert!(transcript.contains("  1310 A Reanswered\n"), "{transcript}");
}

#[test]
fn offers_that_cross_are_both_refused_and_made_again_the_callees_first() {
    let ladder = up(Transport::Udp).at(1000, 0, reoffer).at(1000, 1, reoffer);
    let ladder = ladder.at(3005, 0, answer).at(6000, 1, answer).at(9000, 0, hang_up);
    let transcript = ladder.play();
    let retry = |arrow: &str, nth: usize| -> u64 {
        let line = transcript.lines().filter(|line| line.ends_with(arrow)).nth(nth);
        line.unwrap_or_else(|| panic!("{transcript}")).trim().split_once(' ').unwrap().0.parse().unwrap()
    };
    // The caller owns the Call-ID and waits 2.1 to 4 s, the callee up to 2 s (RFC 3261 §14.1).
    assert!((1010..=3010).contains(&retry("<---- INVITE", 1)), "{transcript}");
    assert!((3110..=5020).contains(&retry("----> INVITE", 2)), "{transcript}");
    assert_eq!(transcript.matches("491 INVITE").count(), 2);
    assert_eq!(transcript.matches("Reanswered").count(), 2);
    assert!(!transcript.contains("Rerefused"));
}

#[test]
fn an_offer_within_an_exchange_is_refused_at_once() {
    let ladder = up(Transport::Udp).at(1000, 0, reoffer).at(1001, 0, reoffer).at(1100, 1, reoffer);
    let ladder = ladder.at(1200, 1, answer).at(2000, 0, hang_up);
    let transcript = ladder.play();
    assert!(transcript.contains("  1001 A Rerefused 491\n"), "{transcript}");
    assert!(transcript.contains("  1100       B Rerefused 491\n"), "{transcript}");
    assert!(transcript.contains("  1210 A Reanswered\n"), "{transcript}");
}

#[test]
fn a_call_that_ends_while_it_is_being_offered_anew_owes_nothing() {
    for end in [0, 1] {
        let transcript = up(Transport::Udp).at(1000, 0, reoffer).at(1100, end, hang_up).play();
        assert!(transcript.contains("487 INVITE"), "{transcript}");
        assert_eq!(transcript.matches("Ended by BYE").count(), 1, "{transcript}");
        // Who hung up hears no more; who did not is told both.
        assert_eq!(transcript.contains("A Rerefused 487"), end == 1, "{transcript}");
    }
}

#[test]
fn a_reinvite_of_a_call_that_ended_is_not_waited_for_longer_than_a_request() {
    // Over a stream nothing repeats the 487: `play` finds what would wait for it for ever.
    for end in [0, 1] {
        let ladder = up(Transport::Tcp).losing(|_, what, _| what == "487 INVITE");
        let transcript = ladder.at(1000, 0, reoffer).at(1100, end, hang_up).play();
        assert!(transcript.contains("x-- 487 INVITE"), "{transcript}");
    }
}

#[test]
fn a_reinvite_nobody_answers_loses_the_call() {
    let ladder = up(Transport::Udp).losing(|from, what, n| from == 0 && what == "INVITE" && n > 0);
    let transcript = ladder.at(1000, 0, reoffer).play();
    assert!(
        transcript.contains(" 33000 A Rerefused 408\n 33000 ----> BYE\n 33000 A Ended, lost\n"),
        "{transcript}"
    );
    assert!(transcript.contains("B Ended by BYE"), "{transcript}");
}

#[test]
fn an_info_is_delivered_once() {
    let ladder = up(Transport::Udp).losing(|_, what, n| what == "200 INFO" && n == 0);
    let info = |end: &mut Endpoint, now| {
        let content_type = Value::constant("application/dtmf-relay");
        end.info(now, LEG, Body { content_type, content: "Signal=5".into() });
    };
    let transcript = ladder.at(1000, 0, info).at(3000, 0, hang_up).play();
    assert_eq!(transcript.matches("INFO\n").count(), 4, "{transcript}");
    assert_eq!(transcript.matches("B Informed").count(), 1, "{transcript}");
}

#[test]
fn nothing_of_a_leg_comes_up_once_it_is_hung_up() {
    let mut ladder = Ladder::new(Transport::Udp).at(0, 0, call).at(50, 1, ring);
    ladder.run(Mono::ZERO + Duration::from_millis(55));
    let now = Mono::ZERO + Duration::from_millis(60);
    let ringing = ladder.wire.pop_first().unwrap().1;
    ladder.ends[0].handle_input(now, Input::Received { hop: ringing.1, bytes: ringing.2 });
    ladder.ends[0].hang_up(now, LEG, 480, None);
    let transcript = ladder.play();
    assert!(!transcript.contains(" A "), "{transcript}");
}

#[test]
fn a_draining_endpoint_turns_new_calls_away_and_keeps_those_it_has() {
    let ladder = up(Transport::Udp)
        .at(500, 1, |end, _| end.admit(Admission::Draining))
        .at(1000, 0, call)
        .at(2000, 0, reoffer)
        .at(2100, 1, answer)
        .at(3000, 0, hang_up);
    let transcript = ladder.play();
    assert!(transcript.contains("  1010 <---- 503 INVITE\n"), "{transcript}");
    assert!(transcript.contains("A Refused 503"), "{transcript}");
    assert!(transcript.contains("A Reanswered"), "{transcript}");
}

#[test]
fn an_invite_that_finds_nobody_is_refused_with_503() {
    let mut ladder = Ladder::new(Transport::Udp);
    call(&mut ladder.ends[0], Mono::ZERO);
    let Some(Output::Transmit { hop, .. }) = ladder.ends[0].poll_output() else { panic!() };
    ladder.ends[0].handle_input(Mono::ZERO, Input::Unreachable { hop });
    assert_eq!(ladder.play(), "     0 A Refused 503\n");
}

#[test]
fn a_request_goes_again_when_its_stream_is_lost() {
    let mut ladder = up(Transport::Tcp);
    ladder.run(Mono::ZERO + Duration::from_millis(500));
    let now = ladder.now;
    ladder.ends[0].hang_up(now, LEG, 480, None);
    let Some(Output::Transmit { hop, bytes }) = ladder.ends[0].poll_output() else { panic!() };
    assert_eq!((hop.stream, name(&bytes)), (Some(StreamId(7)), "BYE".into()));
    ladder.ends[0].handle_input(now, Input::Unreachable { hop });
    let Some(Output::Transmit { hop: anew, bytes: again }) = ladder.ends[0].poll_output() else { panic!() };
    assert_eq!((anew, again), (Hop { stream: None, ..hop }, bytes));
    ladder.ends[0].handle_input(now, Input::Unreachable { hop: anew });
    assert_eq!(ladder.ends[0].counts().usages, 0);
}
