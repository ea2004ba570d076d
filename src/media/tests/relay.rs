//! What one leg says and another hears as it comes.

use super::*;

#[test]
fn talk_of_the_same_law_goes_on_at_once_and_unchanged() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let mut room = Room::talking([codec, codec]);
        for n in 0..50 {
            room.come(1, peer(1), &talk(1, codec, n, &[n as u8; 160]));
            let heard = room.heard(2);
            assert_eq!(heard.len(), 1);
            assert_eq!(heard[0].to, peer(2));
            assert_eq!(heard[0].header.payload_type, codec.payload_type());
            assert_eq!(heard[0].header.ssrc, 0x5002);
            assert_eq!(heard[0].header.marker, n == 0);
            assert_eq!(heard[0].payload, [n as u8; 160]);
            room.run(20);
        }
        assert_eq!(room.heard(1), []);
    }
}

#[test]
fn talk_of_the_other_law_is_translated_by_the_tables() {
    let octets: Vec<u8> = (0..=255).collect();
    for (from, to, table) in [
        (Codec::Pcmu, Codec::Pcma, g711::ulaw_to_alaw as fn(u8) -> u8),
        (Codec::Pcma, Codec::Pcmu, g711::alaw_to_ulaw as fn(u8) -> u8),
    ] {
        let mut room = Room::talking([from, to]);
        room.come(1, peer(1), &talk(1, from, 0, &octets));
        let heard = room.heard(2);
        assert_eq!(heard[0].header.payload_type, to.payload_type());
        assert_eq!(heard[0].payload, octets.iter().map(|o| table(*o)).collect::<Vec<_>>());
    }
}

#[test]
fn one_talker_is_heard_by_listeners_of_both_laws() {
    let mut room = Room::new(&[(1, Codec::Pcmu), (2, Codec::Pcma), (3, Codec::Pcmu), (4, Codec::Pcma)]);
    for listener in [2, 3, 4] {
        room.patch(listener, &[Source::Leg(LegId(1))]);
    }
    room.come(1, peer(1), &talk(1, Codec::Pcmu, 0, &[0x12; 160]));
    let heard = [2, 3, 4].map(|leg| room.heard(leg)[0].payload[7]);
    assert_eq!(heard, [g711::ulaw_to_alaw(0x12), 0x12, g711::ulaw_to_alaw(0x12)]);
}

#[test]
fn extension_sources_and_padding_do_not_go_on() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let mut bytes = talk(1, Codec::Pcmu, 0, &[0, 0, 0, 9, 0xbe, 0xde, 0, 1, 1, 1, 1, 1, 55, 56, 0, 2]);
    bytes[0] = 0xb1;
    room.come(1, peer(1), &bytes);
    assert_eq!(room.heard(2)[0].payload, [55, 56]);
}

#[test]
fn loss_and_reordering_stay_visible_to_the_listener() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    for n in [0, 1, 4, 3, 5, 5] {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[n as u8; 160]));
    }
    let heard = room.heard(2);
    let (first, start) = (heard[0].header.sequence, heard[0].header.timestamp);
    let steps: Vec<_> = heard
        .iter()
        .map(|h| (h.header.sequence.wrapping_sub(first), h.header.timestamp.wrapping_sub(start) / 160))
        .collect();
    assert_eq!(steps, [(0, 0), (1, 1), (4, 4), (3, 3), (5, 5)]);
    assert_eq!(room.counts(1), Counts { received: 6, sent: 0, lost: 1, dropped: 0 });
}

#[test]
fn a_new_ssrc_from_the_same_phone_goes_on_in_the_same_stream() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    for n in 0..5 {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.run(20);
    }
    for n in 0..5 {
        room.come(1, peer(1), &talk(9, Codec::Pcmu, 20_000 + 9 * n, &[2; 160]));
        room.run(20);
    }
    let heard = room.heard(2);
    assert_eq!(heard.len(), 10);
    assert_continuous(&heard[..6]);
    assert!(heard[5].header.marker && !heard[4].header.marker);
}

#[test]
fn a_sender_whose_clock_runs_wrong_is_set_right_now_and_then() {
    for samples in [157, 163] {
        let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
        for n in 0..30_000u32 {
            let mut bytes = talk(1, Codec::Pcmu, n, &[1; 157]);
            bytes[4..8].copy_from_slice(&(n * samples).to_be_bytes());
            room.come(1, peer(1), &bytes);
            room.wait(Duration::from_millis(20));
        }
        let heard = room.heard(2);
        assert_eq!(heard.len(), 30_000);
        assert_continuous(&heard);
        // 90 000 samples astray in all, set right each time they are 16 000.
        assert_eq!(heard.iter().filter(|h| h.header.marker).count(), 6, "{samples}");
    }
}

#[test]
fn a_socket_taken_by_the_next_leg_stays_with_it() {
    let mut room = Room::new(&[(1, Codec::Pcmu)]);
    let plan = Plan { socket: SocketId(1), ..plan(2, Codec::Pcmu) };
    room.tell(Command::Open { leg: LegId(2), plan });
    room.tell(Command::Close { leg: LegId(1) });
    room.come(1, peer(2), &talk(2, Codec::Pcmu, 0, &[1; 160]));
    assert_eq!(room.counts(2).received, 1);
}

#[test]
fn a_patch_may_name_what_opens_later() {
    let mut room = Room::new(&[]);
    room.patch(1, &[Source::Leg(LegId(2))]);
    for leg in [2, 1] {
        room.tell(Command::Open { leg: LegId(leg), plan: plan(leg, Codec::Pcmu) });
    }
    room.come(2, peer(2), &talk(2, Codec::Pcmu, 0, &[1; 160]));
    assert_eq!(room.heard(1).len(), 1);
    room.patch(1, &[Source::Prompt(PlayId(5))]);
    room.play(5, &[&[1; 160]], Repeat::Once);
    room.run(100);
    assert_eq!(room.heard(1).len(), 1);
}

#[test]
fn hold_is_respected_in_both_directions() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let music = room.play(1, &[&[1; 160]], Repeat::Forever);
    let mut got = vec![];
    for direction in [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
        room.tell(Command::Amend { leg: LegId(1), plan: Plan { direction, ..plan(1, Codec::Pcmu) } });
        let n = got.len() as u32;
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.come(2, peer(2), &talk(2, Codec::Pcmu, n, &[1; 160]));
        room.patch(1, &[music]);
        room.run(100);
        room.patch(1, &[Source::Leg(LegId(2))]);
        got.push((room.heard(1).len(), room.heard(2).len()));
    }
    assert_eq!(got, [(6, 1), (6, 0), (0, 1), (0, 0)]);
    assert_eq!(room.counts(1).dropped, 2);
}

#[test]
fn talk_that_is_only_passed_on_wakes_nobody_each_tick() {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcmu]);
    let mut wakes = 0;
    for n in 0..500 {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        let until = room.air.now + Duration::from_millis(20);
        while let Some(at) = room.bay.poll_timeout().filter(|at| *at <= until) {
            room.air.now = room.air.now.max(at);
            room.tick();
            wakes += 1;
        }
        room.air.now = until;
    }
    assert!((2..20).contains(&wakes), "{wakes} in ten seconds, reports among them");
    assert_eq!(room.heard(2).len(), 500);
    let music = room.play(1, &[&[1; 160]], Repeat::Forever);
    room.patch(1, &[music]);
    room.run(100);
    assert_eq!(room.heard(1).len(), 5, "nothing is made up for the time at rest");
}
