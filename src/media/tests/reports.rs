//! What RTCP says of a leg.

use super::*;
use crate::rtp::rtcp::{self, Block, Compound, Item, Sending};
use crate::rtp::xr;

#[test]
fn reports_go_every_five_seconds_or_so_and_tell_what_was_lost() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    for n in (0..3000).filter(|n| n % 4 != 3) {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.run(if n % 4 == 2 { 40 } else { 20 });
    }
    let reports: Vec<_> = room
        .air
        .rtcp
        .iter()
        .filter(|(socket, ..)| *socket == SocketId(1))
        .map(|(_, to, b)| (*to, b))
        .collect();
    assert!((60_000 / 6_156..=60_000 / 2_052 + 1).contains(&reports.len()), "{}", reports.len());
    let (to, bytes) = reports[5];
    assert_eq!(to, SocketAddr::from(([10, 0, 0, 1], 4001)));
    let items: Vec<_> = rtcp::parse(bytes).collect();
    let [Item::Report { ssrc: 0x5001, sending: None, mut blocks }, Item::Cname { .. }, Item::Extended { .. }] =
        items[..]
    else {
        panic!("{items:?}")
    };
    let block = blocks.next().unwrap();
    assert_eq!(block.ssrc, 0x101);
    assert!((60..=68).contains(&block.fraction), "{block:?}");

    // The listener's reports are a sender's, with as many packets as it was sent.
    let (.., bytes) = room.air.rtcp.iter().rfind(|(socket, ..)| *socket == SocketId(2)).unwrap();
    let Some(Item::Report { sending: Some(sending), .. }) = rtcp::parse(bytes).next() else { panic!() };
    assert!((2_000..=2_250).contains(&sending.packets));
    assert_eq!(sending.octets, sending.packets * 160);
}

#[test]
fn the_peers_report_tells_its_loss_and_the_time_there_and_back() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    room.come(2, peer(2), &talk(2, Codec::Pcmu, 0, &[1; 160]));
    room.run(4_000);
    let (_, to, bytes) = room.air.rtcp.iter().find(|(socket, ..)| *socket == SocketId(1)).unwrap().clone();
    let Some(Item::Report { sending: Some(sending), .. }) = rtcp::parse(&bytes).next() else { panic!() };
    let sent = Mono::ZERO
        + Duration::from_secs(sending.ntp >> 32)
        + Duration::from_nanos(((sending.ntp & 0xffff_ffff) * 1_000_000_000) >> 32);
    // A stranger's report is not believed, even as the first.
    let stranger = SocketAddr::from(([198, 51, 100, 66], 4001));
    let lie = Block { ssrc: 0x5001, fraction: 255, lost: 0, highest: 0, jitter: 0, last_report: 0, delay: 0 };
    room.come_on(1, Channel::Rtcp, stranger, Compound::report(0x101, None, Some(lie)).as_bytes());
    assert_eq!(room.bay.quality(LegId(1)).unwrap().far, None);

    let block = Block {
        ssrc: 0x5001,
        fraction: 26,
        lost: 3,
        highest: 0,
        jitter: 80,
        last_report: (sending.ntp >> 16) as u32,
        delay: 65_536,
    };
    room.air.now = sent + Duration::from_millis(1_150);
    room.come_on(1, Channel::Rtcp, to, Compound::report(0x101, None, Some(block)).as_bytes());
    let quality = room.bay.quality(LegId(1)).unwrap();
    let round_trip = quality.round_trip.unwrap().as_millis();
    assert!((149..=151).contains(&round_trip), "{round_trip}");
    let far = quality.far.unwrap();
    assert_eq!((far.loss, far.jitter), (26, Duration::from_millis(10)));
    // A tenth lost costs 27 of R, some 115 ms from mouth to ear 3: R is 63.
    assert_eq!(far.mos.to_string(), "3.25");

    room.come_on(1, Channel::Rtcp, stranger, Compound::report(0x101, None, Some(lie)).as_bytes());
    assert_eq!(room.bay.quality(LegId(1)).unwrap().far, Some(far));

    // Our own next report says how long ago the peer's came.
    let sending = Sending { ntp: 0x1234_5678_9abc_def0, timestamp: 0, packets: 1, octets: 160 };
    room.come_on(1, Channel::Rtcp, to, Compound::report(0x101, Some(sending), None).as_bytes());
    room.come(1, peer(1), &talk(1, Codec::Pcmu, 0, &[1; 160]));
    room.air.rtcp.clear();
    room.run(7_000);
    let (.., bytes) = room.air.rtcp.iter().find(|(socket, ..)| *socket == SocketId(1)).unwrap();
    let Some(Item::Report { mut blocks, .. }) = rtcp::parse(bytes).next() else { panic!() };
    let block = blocks.next().unwrap();
    assert_eq!(block.last_report, 0x5678_9abc);
    assert!((0..=7 * 65_536).contains(&block.delay) && block.delay > 0);
}

#[test]
fn a_closed_leg_says_goodbye_and_tells_its_counts() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    for n in [0, 1, 3] {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
    }
    room.tell(Command::Close { leg: LegId(2) });
    let (socket, _, bytes) = room.air.rtcp.pop().unwrap();
    assert_eq!(socket, SocketId(2));
    assert_eq!(rtcp::parse(&bytes).last(), Some(Item::Bye { ssrc: 0x5002 }));
    // RFC 3550 §6.3.7: one that never sent takes its leave in silence.
    room.tell(Command::Close { leg: LegId(1) });
    assert_eq!(room.air.rtcp, []);
    let closed = |leg, counts| Event::Closed { leg: LegId(leg), counts };
    assert_eq!(
        room.events(),
        [
            closed(2, Counts { sent: 3, ..Counts::default() }),
            closed(1, Counts { received: 3, lost: 1, ..Counts::default() }),
        ]
    );
}

#[test]
fn how_a_leg_fares_is_told_while_anything_comes_and_of_a_leg_at_rest_nothing() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    for n in (0..1500).filter(|n| n % 10 != 9) {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.run(if n % 10 == 8 { 40 } else { 20 });
    }
    let told = room.fares(1);
    assert!((30_000 / 6_156..=30_000 / 2_052 + 1).contains(&told.len()), "{}", told.len());
    for quality in &told[1..] {
        assert_eq!((quality.codec, quality.far, quality.round_trip), (Codec::Pcmu, None, None));
        let near = quality.near.unwrap();
        assert!((22..=29).contains(&near.loss) && near.late == 0, "{near:?}");
        // A tenth lost: R is 66.
        assert!((330..=350).contains(&near.mos.hundredths()), "{near:?}");
    }
    // Its last report covers what came before it rested.
    room.run(7_000);
    room.fares(1);
    room.run(60_000);
    assert_eq!(room.fares(1), []);
    // Who only listens and does not report has nothing to be told of.
    assert_eq!(room.fares(2), []);
}

#[test]
fn a_packet_overtaken_is_late_and_not_lost() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    for n in 0..500u32 {
        // Every other pair comes the wrong way round.
        let swapped = if n % 4 < 2 { n ^ 1 } else { n };
        room.come(1, peer(1), &talk(1, Codec::Pcmu, swapped, &[1; 160]));
        room.run(20);
    }
    for near in room.fares(1)[1..].iter().filter_map(|quality| quality.near) {
        assert!(near.loss <= 2 && (60..=68).contains(&near.late), "{near:?}");
    }
}

fn extended(ssrc: u32, blocks: &[xr::Block]) -> Compound {
    Compound::report(ssrc, None, None).extended(ssrc, blocks.iter().copied())
}

/// The extended blocks of what a leg's peer was sent last.
fn asked(room: &Room, leg: u32) -> Vec<xr::Block> {
    let (.., bytes) = room.air.rtcp.iter().rfind(|(socket, ..)| *socket == SocketId(leg)).unwrap();
    let extended = rtcp::parse(bytes).find_map(|item| match item {
        Item::Extended { blocks, .. } => Some(blocks.collect()),
        _ => None,
    });
    extended.unwrap_or_default()
}

#[test]
fn who_only_receives_asks_for_the_time_there_and_back() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    room.come(1, peer(1), &talk(1, Codec::Pcmu, 0, &[1; 160]));
    let from = room.air.rtcp.len();
    while room.air.rtcp[from..].iter().all(|(socket, ..)| *socket != SocketId(1)) {
        room.run(20);
    }
    let [xr::Block::ReceiverTime(ntp)] = asked(&room, 1)[..] else { panic!("{:?}", asked(&room, 1)) };
    let answer = xr::Answer { ssrc: 0x5001, last: (ntp >> 16) as u32, delay: 65_536 };
    let other = xr::Answer { ssrc: 0x5002, last: (ntp >> 16) as u32, delay: 0 };
    room.run(1_080);
    let answers = [xr::Block::Answer(answer), xr::Block::Answer(other)];
    let rtcp = SocketAddr::from(([10, 0, 0, 1], 4001));
    room.come_on(1, Channel::Rtcp, rtcp, extended(0x101, &answers).as_bytes());
    let round_trip = room.bay.quality(LegId(1)).unwrap().round_trip.unwrap().as_millis();
    assert!((79..=100).contains(&round_trip), "{round_trip}");
    // Leg 2 sends, so its sender reports do.
    room.air.rtcp.clear();
    for n in 1..400 {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.run(20);
    }
    assert_eq!(asked(&room, 2), []);
}

#[test]
fn a_peer_that_asks_for_the_time_is_answered_once() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let rtcp = SocketAddr::from(([10, 0, 0, 1], 4001));
    room.run(4_000);
    let question = xr::Block::ReceiverTime(0x1234_5678_9abc_def0);
    room.come_on(1, Channel::Rtcp, rtcp, extended(0x101, &[question]).as_bytes());
    room.air.rtcp.clear();
    room.run(7_000);
    let (.., bytes) = room.air.rtcp.iter().find(|(socket, ..)| *socket == SocketId(1)).unwrap();
    let Some(Item::Extended { ssrc: 0x5001, mut blocks }) = rtcp::parse(bytes).last() else { panic!() };
    let Some(xr::Block::Answer(answer)) = blocks.next() else { panic!() };
    assert_eq!((answer.ssrc, answer.last, blocks.next()), (0x101, 0x5678_9abc, None));
    assert!((1..=7 * 65_536).contains(&answer.delay), "{}", answer.delay);
    room.air.rtcp.clear();
    room.run(14_000);
    assert_eq!(asked(&room, 1), []);
}

#[test]
fn a_peers_own_opinion_counts_before_ours() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let rtcp = SocketAddr::from(([10, 0, 0, 1], 4001));
    let voip = |ssrc, listening, conversational| {
        xr::Block::Voip(xr::Voip { ssrc, discard: 5, listening, conversational, ..xr::Voip::default() })
    };
    let block = Block { ssrc: 0x5001, fraction: 0, lost: 0, highest: 0, jitter: 8, last_report: 0, delay: 0 };
    for (blocks, mos, late) in [
        (vec![], "4.39", 0),
        (vec![voip(0x5001, Some(35), None)], "3.50", 5),
        (vec![voip(0x5001, Some(35), Some(31))], "3.10", 5),
        (vec![voip(0x5001, None, None)], "4.39", 5),
        (vec![voip(0x9999, Some(10), Some(10))], "4.39", 0),
    ] {
        let report = Compound::report(0x101, None, Some(block)).extended(0x101, blocks);
        room.come_on(1, Channel::Rtcp, rtcp, report.as_bytes());
        let far = room.bay.quality(LegId(1)).unwrap().far.unwrap();
        assert_eq!((far.mos.to_string(), far.late, far.loss), (mos.to_owned(), late, 0));
    }
    room.run(7_000);
    let told = room.fares(1);
    assert_eq!((told.len(), told[0].near), (1, None));
}

/// The metrics in the last report on leg 1 of a call with leg 2, of which every tenth packet is lost,
/// but for the first ten seconds.
fn metrics(plan_of: impl Fn(Plan) -> Plan, prepare: impl Fn(&mut Room)) -> Option<xr::Voip> {
    let mut room = Room::new(&[(2, Codec::Pcmu)]);
    room.open(1, plan_of(plan(1, Codec::Pcmu)));
    room.connect(1, 2);
    prepare(&mut room);
    for n in 0..2000 {
        if n < 500 || n % 10 != 9 {
            room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        }
        room.run(20);
    }
    let metrics: Vec<_> = asked(&room, 1)
        .into_iter()
        .filter_map(|block| if let xr::Block::Voip(voip) = block { Some(voip) } else { None })
        .collect();
    assert!(metrics.len() <= 1);
    metrics.into_iter().next()
}

#[test]
fn who_asked_how_it_is_heard_is_told_and_nobody_else() {
    assert_eq!(metrics(|plan| plan, |_| {}), None);
    let asked = |plan| Plan { metrics: Metrics::Asked, ..plan };
    let told = metrics(asked, |_| {}).unwrap();
    assert_eq!((told.ssrc, told.discard, told.gap_least), (0x101, 0, 16));
    // 150 of 2000 lost.
    assert!((17..=20).contains(&told.loss), "{told:?}");
    // One burst since, in which every tenth is lost, after a gap of ten seconds without a loss.
    assert!((25..=27).contains(&told.burst_density) && told.gap_density == 0, "{told:?}");
    assert_eq!(told.gap_ms, 509 * 20);
    assert!((20_000..=27_500).contains(&told.burst_ms), "{told:?}");
    assert_eq!((told.end_system_ms, told.round_trip_ms), (20, 0));
    assert_eq!((told.signal, told.noise, told.echo_loss), (None, None, None));
    // By G.107 7.4 % of loss cost 22 of R.
    assert!((69..=73).contains(&told.rating.unwrap()), "{told:?}");
    assert!((35..=37).contains(&told.listening.unwrap()), "{told:?}");
    assert!(told.conversational <= told.listening);
    assert_eq!((told.concealment, told.buffer), (xr::Concealment::Unspecified, xr::Buffer::Unknown));
}

#[test]
fn what_is_mixed_or_recorded_is_told_with_its_jitter_buffer() {
    let told = metrics(
        |plan| Plan { metrics: Metrics::Asked, ..plan },
        |room| room.tell(Command::Record { recording: RecordingId(1), leg: LegId(1) }),
    )
    .unwrap();
    assert_eq!((told.concealment, told.buffer), (xr::Concealment::Enhanced, xr::Buffer::Adaptive(3)));
    assert!((20..=80).contains(&told.buffer_nominal_ms), "{told:?}");
    assert_eq!((told.buffer_greatest_ms, told.buffer_limit_ms), (512, 512));
    assert_eq!(told.end_system_ms, told.buffer_nominal_ms + 20);
    assert_eq!(told.discard, 0);
}

#[test]
fn what_came_in_vain_behind_a_decoder_or_a_jitter_buffer_is_discarded() {
    let recorded = |room: &mut Room| {
        room.tell(Command::Record { recording: RecordingId(1), leg: LegId(1) });
    };
    for (listener, prepare) in [(Codec::Pcmu, None), (Codec::Opus, None), (Codec::Pcmu, Some(recorded))] {
        let mut room = Room::new(&[(2, listener)]);
        room.open(1, Plan { metrics: Metrics::Asked, ..plan(1, Codec::Pcmu) });
        room.connect(1, 2);
        prepare.into_iter().for_each(|prepare| prepare(&mut room));
        // Every twentieth comes 300 ms late.
        let mut late = vec![];
        for n in 0..2000 {
            let bytes = talk(1, Codec::Pcmu, n, &[1; 160]);
            if n % 20 == 5 {
                late.push(bytes)
            } else {
                room.come(1, peer(1), &bytes)
            }
            if n % 20 == 0 {
                late.drain(..).for_each(|bytes| room.come(1, peer(1), &bytes));
            }
            room.run(20);
        }
        let Some(xr::Block::Voip(told)) = asked(&room, 1).pop() else { panic!() };
        assert!(told.loss <= 1, "{told:?}");
        let expected = if listener == Codec::Pcmu && prepare.is_none() { 0..=0 } else { 10..=13 };
        assert!(expected.contains(&told.discard), "{listener:?} {told:?}");
    }
}
