//! Bytes that mean no good.

use std::ops::RangeInclusive;

use proptest::prelude::*;

use super::recording::TAPE;
use super::*;

/// A talking pair that hostile bytes are thrown at: what each hears must not depend on them.
fn undisturbed(
    hostile: &[(u64, bool, u8, Vec<u8>)],
    sources: RangeInclusive<u8>,
) -> (Vec<Heard>, Vec<Heard>) {
    let mut room = Room::talking([Codec::Pcmu, Codec::Pcma]);
    let mut hostile = hostile.iter();
    for n in 0..30 {
        room.come(1, peer(1), &talk(1, Codec::Pcmu, n, &[1; 160]));
        room.come(2, peer(2), &talk(2, Codec::Pcma, n, &[2; 160]));
        for (leg, rtcp, source, bytes) in hostile.by_ref().take(8) {
            let span = sources.end() - sources.start() + 1;
            let from = SocketAddr::from(([192, 0, 2, sources.start() + source % span], 4000));
            room.come_on(*leg, if *rtcp { Channel::Rtcp } else { Channel::Rtp }, from, bytes);
        }
        room.run(20);
    }
    (room.heard(1), room.heard(2))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_strangers_bytes_change_nothing(
        mut hostile in prop::collection::vec((1..=3u64, any::<bool>(), any::<u8>(), any::<Vec<u8>>()), 0..200),
        shapes in prop::collection::vec(any::<[u8; 12]>(), 200),
    ) {
        // Half of them look like RTP or RTCP of the right kind.
        for (n, (leg, rtcp, _, bytes)) in hostile.iter_mut().enumerate().filter(|(n, _)| n % 2 == 0) {
            let mut shape = shapes[n];
            shape[0] = 0x80 | shape[0] & 0x3f;
            shape[1] = if *rtcp { 200 + shape[1] % 8 } else if *leg == 1 { 0 } else { 8 };
            bytes.splice(0..0, shape);
        }
        prop_assert_eq!(undisturbed(&hostile, 1..=50), undisturbed(&[], 1..=1));
    }

    #[test]
    fn no_bytes_of_the_peer_itself_break_the_bay(
        packets in prop::collection::vec((any::<bool>(), any::<u8>(), any::<[u8; 12]>(), any::<Vec<u8>>()), 0..200),
    ) {
        let mut room = Room::talking([Codec::Pcmu, Codec::Pcma]);
        room.patch(2, &[Source::Leg(LegId(1)), Source::Tone(Tone::Busy)]);
        room.tell(Command::Open { leg: LegId(3), plan: plan(3, Codec::Pcma) });
        room.patch(3, &[Source::Leg(LegId(1))]);
        room.tell(Command::Record { recording: TAPE, leg: LegId(1) });
        for (rtcp, choice, mut shape, tail) in packets {
            shape[0] = if choice % 8 == 0 { shape[0] } else { 0x80 | shape[0] & 0x3f };
            shape[1] = match (rtcp, choice % 3) {
                (true, _) => 200 + shape[1] % 8,
                (false, 0) => 0,
                (false, 1) => PAYLOAD_OF_EVENTS,
                (false, _) => shape[1],
            };
            let channel = if rtcp { Channel::Rtcp } else { Channel::Rtp };
            room.come_on(1, channel, peer(1), &[&shape[..], &tail].concat());
            room.run(u64::from(choice % 32));
        }
        room.tell(Command::Close { leg: LegId(1) });
        room.tell(Command::Finish { recording: TAPE });
        room.tell(Command::Close { leg: LegId(2) });
        room.tell(Command::Close { leg: LegId(3) });
        prop_assert_eq!(room.bay.load(), Load::default());
    }
}
