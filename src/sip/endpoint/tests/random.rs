//! Whatever happens, in whatever order: nothing panics, nothing is told out of turn, nothing stays.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Deed {
    Call,
    Respond(u16),
    Ack,
    Reinvite,
    Info,
    HangUp,
    /// The stream, or the last thing sent, is reported lost.
    Lose,
}

fn deeds() -> impl Strategy<Value = Vec<(u64, usize, u64, Deed)>> {
    let deed = prop_oneof![
        3 => Just(Deed::Call),
        6 => prop::sample::select(vec![180, 183, 200, 200, 200, 486, 302]).prop_map(Deed::Respond),
        5 => Just(Deed::Ack),
        3 => Just(Deed::Reinvite),
        2 => Just(Deed::Info),
        3 => Just(Deed::HangUp),
        1 => Just(Deed::Lose),
    ];
    // Pauses about the wire's latency make crossings, long ones let timers run.
    let pause = prop_oneof![8 => 0..40u64, 2 => 300..3000u64, 1 => 30_000..40_000u64];
    vec((pause, 0..2usize, 1..4u64, deed), 1..60)
}

/// What may be told of a leg after what.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Nothing,
    Invited,
    Progressed,
    Up,
    Gone,
}

fn after(told: Told, event: &Event) -> Option<Told> {
    use Told::*;
    match (told, event) {
        (Nothing, Event::Invited { .. }) => Some(Invited),
        (Invited, Event::Informed { .. }) => Some(Invited),
        (Invited, Event::Cancelled { .. }) => Some(Gone),
        (Nothing | Progressed, Event::Progressed { .. }) => Some(Progressed),
        (Progressed, Event::Informed { .. }) => Some(Progressed),
        (Nothing | Progressed, Event::Answered { .. }) => Some(Up),
        (Nothing | Progressed, Event::Refused { .. }) => Some(Gone),
        // Our 2xx makes an invited leg one that is up without an event.
        (
            Up | Invited,
            Event::Acked { .. }
            | Event::Unacked { .. }
            | Event::Reoffered { .. }
            | Event::Reanswered { .. }
            | Event::Rerefused { .. }
            | Event::Informed { .. },
        ) => Some(Up),
        (Up | Invited, Event::Ended { .. }) => Some(Gone),
        _ => None,
    }
}

fn is_told_in_turn(events: &[(usize, Event)]) {
    let mut legs = BTreeMap::new();
    for (end, event) in events {
        let Some(leg) = Output::Event(event.clone()).leg() else { continue };
        let told = legs.entry((*end, leg)).or_insert(Told::Nothing);
        *told = after(*told, event).unwrap_or_else(|| panic!("{event:?} after {told:?} on {leg} of {end}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_leaves_nothing_behind(
        deeds in deeds(),
        losses in vec(any::<bool>(), 0..40),
        stream in any::<bool>(),
    ) {
        let transport = if stream { Transport::Tcp } else { Transport::Udp };
        let mut sent = 0;
        let mut ladder = Ladder::new(transport).losing(move |_, _, _| {
            sent += 1;
            losses.get(sent).copied().unwrap_or(false)
        });
        let mut at = Mono::ZERO;
        for (pause, end, leg, deed) in deeds {
            at += Duration::from_millis(pause);
            ladder.run(at);
            ladder.now = at;
            let leg = LegId(leg);
            let other = Hop { stream: stream.then_some(StreamId(7)), ..hop(transport, end) };
            let endpoint = &mut ladder.ends[end];
            match deed {
                Deed::Call => call(endpoint, at),
                Deed::Respond(status) => endpoint.respond(at, leg, status, Headers::new(), Some(Body::sdp("x"))),
                Deed::Ack => endpoint.ack(at, leg, None),
                Deed::Reinvite => endpoint.reinvite(at, leg, Some(Body::sdp("y"))),
                Deed::Info => endpoint.info(at, leg, Body::sdp("z")),
                Deed::HangUp => {
                    endpoint.hang_up(at, leg, 480, None);
                    ladder.drain();
                    // From here on silence: what follows must not be of this leg.
                    let quiet = ladder.events.len();
                    ladder.run(at);
                    for (of, event) in &ladder.events[quiet..] {
                        prop_assert!(*of != end || Output::Event(event.clone()).leg() != Some(leg));
                    }
                }
                Deed::Lose => endpoint.handle_input(at, Input::Unreachable { hop: other }),
            }
        }
        ladder.run(at + Duration::from_secs(10));
        // An INVITE that was long on its way may still ring the other end when its caller is gone.
        while !ladder.ends.iter().all(Endpoint::is_idle) {
            let told = ladder.events.len();
            let mut gone = vec![];
            for end in 0..2 {
                let legs: Vec<_> = ladder.ends[end].table.usages.keys().copied().collect();
                for leg in legs {
                    ladder.ends[end].hang_up(ladder.now, leg, 480, None);
                    gone.push((end, leg));
                }
            }
            ladder.run(Mono::from_nanos(u64::MAX));
            for (end, event) in &ladder.events[told..] {
                let leg = Output::Event(event.clone()).leg().unwrap();
                prop_assert!(!gone.contains(&(*end, leg)), "{}", ladder.transcript);
            }
            let left: usize = ladder.ends.iter().map(|end| end.counts().transactions).sum();
            prop_assert!(!gone.is_empty() || left == 0, "{}", ladder.transcript);
        }
        prop_assert!(ladder.ends.iter().all(|end| end.table.indexes() == 0));
        is_told_in_turn(&ladder.events);
    }

    #[test]
    fn mutated_messages_leave_nothing_behind(
        picks in vec((0..8usize, any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..40),
    ) {
        let mut ladder = Ladder::new(Transport::Udp);
        let seeds = seeds();
        for (pick, at, byte, how) in picks {
            let mut bytes = seeds[pick % seeds.len()].to_vec();
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, byte),
                _ => {}
            }
            let end = usize::from(byte & 1);
            let now = ladder.now;
            let arrival = hop(Transport::Udp, end);
            ladder.ends[end].handle_input(now, Input::Received { hop: arrival, bytes: bytes.into() });
            ladder.ends[end].respond(now, LegId(u64::from(how)), 200, Headers::new(), None);
            ladder.run(now + Duration::from_millis(50));
            ladder.now = now + Duration::from_millis(50);
        }
        for end in &mut ladder.ends {
            let legs: Vec<_> = end.table.usages.keys().copied().collect();
            for leg in legs {
                end.hang_up(ladder.now, leg, 480, None);
            }
        }
        ladder.run(Mono::from_nanos(u64::MAX));
        is_told_in_turn(&ladder.events);
        for end in &ladder.ends {
            prop_assert!(end.is_idle(), "{:?}\n{}", end.counts(), ladder.transcript);
            prop_assert_eq!(end.table.indexes(), 0);
        }
    }
}

/// How what the other end sends comes to `end`.
fn hop(transport: Transport, end: usize) -> Hop {
    Hop { transport, local: address(ENDS[end]), remote: address(ENDS[1 - end]), stream: None }
}

/// One of each message of a call, as an endpoint writes them.
fn seeds() -> Vec<Bytes> {
    let mut ladder = Ladder::new(Transport::Udp);
    let mut seen = vec![];
    for step in 0..4 {
        let now = ladder.now;
        match step {
            0 => call(&mut ladder.ends[0], now),
            1 => answer(&mut ladder.ends[1], now),
            2 => ack(&mut ladder.ends[0], now),
            _ => hang_up(&mut ladder.ends[0], now),
        }
        ladder.drain();
        while let Some((_, (to, hop, bytes))) = ladder.wire.pop_first() {
            seen.push(bytes.clone());
            ladder.ends[to].handle_input(now, Input::Received { hop, bytes });
            ladder.drain();
        }
    }
    assert_eq!(
        seen.iter().map(name).collect::<Vec<_>>(),
        ["INVITE", "100 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    );
    seen
}
