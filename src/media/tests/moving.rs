//! A browser's leg moves between shards: it must not notice, and nothing may be left behind.

use super::phone::{Check, Phone};
use super::recording::TAPE;
use super::sound::{loudness, peak_at, tone};
use super::webrtc::{Page, address, assert_talking, page};
use super::*;
use crate::base::DtlsRole;
use crate::rtp::stun::{Class, Draft, Password, Role, Transaction};

const THERE: Shard = Shard::new(4).expect("there are more");
const BEYOND: Shard = Shard::new(70).expect("there are more");
const ALL: [Shard; 3] = [HERE, THERE, BEYOND];
const BROWSER: LegId = LegId(1);

/// A browser on leg 1, at home here and connected, and a trunk on leg n at each shard.
fn three_shards() -> (Room, Page, [Phone; 3]) {
    let mut room = Room::new(&[]).with(THERE).with(BEYOND);
    let trunks = [(2, HERE), (3, THERE), (4, BEYOND)].map(|(leg, shard)| {
        room.tell_at(shard, Command::Open { leg: LegId(leg), plan: plan(leg, Codec::Pcma) });
        Phone::new(leg, Codec::Pcma)
    });
    let mut page = page(room.air.now, 1, 0, DtlsRole::Passive);
    room.open(1, page.plan.clone());
    page.phone.check(&mut room, Check::Nominating);
    assert_eq!(room.events(), [Event::Secured { leg: BROWSER }]);
    (room, page, trunks)
}

fn load(room: &Room, shard: Shard) -> Load {
    if shard == HERE { room.bay.load() } else { room.others[&shard.number()].load() }
}

/// As signalling does: the leg is awaited where it goes before it is sent there.
fn relocate(room: &mut Room, from: Shard, to: Shard) {
    room.tell_at(to, Command::Await { leg: BROWSER });
    room.tell_at(from, Command::Move { leg: BROWSER, to });
}

/// The browser and the trunk of a shard hear each other.
fn connect(room: &mut Room, at: Shard, trunk: u64) {
    for (listener, source) in [(BROWSER, LegId(trunk)), (LegId(trunk), BROWSER)] {
        room.tell_at(at, Command::Patch { listener, sources: vec![Source::Leg(source)] });
    }
}

/// It has moved and talks with the trunk there.
fn moved() -> (Room, Page, Phone) {
    let (mut room, page, [_, trunk, _]) = three_shards();
    relocate(&mut room, HERE, THERE);
    connect(&mut room, THERE, 3);
    (room, page, trunk)
}

#[test]
fn a_leg_that_moved_talks_with_who_is_there() {
    let (mut room, mut page, mut trunk) = moved();
    assert_talking(&mut room, &mut page.phone, &mut trunk);
    assert_eq!((load(&room, HERE).legs, load(&room, THERE).legs), (1, 2));
    let bay = &room.others[&THERE.number()];
    assert_eq!(bay.counts(BROWSER).unwrap(), Counts { received: 20, sent: 20, lost: 0, dropped: 0 });
    assert_eq!(room.events(), []);
}

/// Its SRTP would refuse a number that was used, its jitter buffer stumble over a step in time.
#[test]
fn what_a_browser_hears_is_one_stream_wherever_its_leg_lives() {
    let (mut room, mut page, mut trunks) = three_shards();
    let mut heard = vec![];
    let mut at = HERE;
    // An odd time: no two bays begin their ticks alike.
    room.wait(Duration::from_micros(12_345_678));
    for (play, to) in (1..).zip([HERE, THERE, HERE, BEYOND, THERE, HERE]) {
        if to != at {
            relocate(&mut room, at, to);
        }
        at = to;
        let n = ALL.iter().position(|shard| *shard == at).unwrap();
        connect(&mut room, at, n as u64 + 2);
        for _ in 0..10 {
            trunks[n].say(&mut room, &[3000; 160]);
            room.run(20);
        }
        let prompts = [Arc::new(Prompt::from_pcm(&[1000; 1600]))].into();
        room.tell_at(at, Command::Play { play: PlayId(play), prompts, repeat: Repeat::Forever });
        let sources = vec![Source::Prompt(PlayId(play))];
        room.tell_at(at, Command::Patch { listener: BROWSER, sources });
        room.run(200);
        heard.extend(page.phone.heard(&mut room));
        room.tell_at(at, Command::Stop { play: PlayId(play) });
    }
    assert!(heard.len() > 6 * 18, "{}", heard.len());
    assert_continuous(&heard);
    for pair in heard.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        let passed = (b.at - a.at) as i64 * 48;
        let step = i64::from(b.header.timestamp.wrapping_sub(a.header.timestamp));
        assert!((step - passed).abs() <= 40 * 48, "{step} in {passed}");
    }
}

#[test]
fn a_browser_goes_to_another_address_while_its_leg_is_elsewhere() {
    let (mut room, mut page, mut trunk) = moved();
    for host in [81, 82, 83] {
        page.phone.at = address(host);
        page.phone.check(&mut room, Check::Plain);
        page.phone.check(&mut room, Check::Nominating);
        assert_talking(&mut room, &mut page.phone, &mut trunk);
    }
    assert_eq!(page.phone.ice.as_ref().unwrap().answered, 7);
    assert_eq!(room.events(), []);
}

#[test]
fn a_browser_restarts_ice_while_its_leg_is_elsewhere() {
    let (mut room, mut before, mut trunk) = moved();
    let keys = before.plan.keys.clone();
    for load in 1..5 {
        let after = page(room.air.now, 1, load, DtlsRole::Passive);
        let plan = Plan { keys: keys.clone(), ..after.plan };
        room.tell_at(THERE, Command::Amend { leg: BROWSER, plan });
        let older = std::mem::replace(&mut before.phone.ice, after.phone.ice);
        before.phone.at = address(90 + load);
        before.phone.check(&mut room, Check::Nominating);
        assert_talking(&mut room, &mut before.phone, &mut trunk);
        assert_eq!(room.events(), [Event::Secured { leg: BROWSER }]);
        // Home does not know the name before it any more.
        let newer = std::mem::replace(&mut before.phone.ice, older);
        let forwarded = room.air.forwarded;
        before.phone.check(&mut room, Check::Plain);
        assert_eq!(room.air.forwarded, forwarded);
        before.phone.ice = newer;
    }
    // Nor one that was taken back before it was used.
    let mut pages = [5, 6].map(|load| {
        let page = page(room.air.now, 1, load, DtlsRole::Passive);
        let plan = Plan { keys: keys.clone(), ..page.plan.clone() };
        room.tell_at(THERE, Command::Amend { leg: BROWSER, plan });
        page.phone
    });
    for (phone, forwarded) in pages.iter_mut().zip([0, 1]) {
        let so_far = room.air.forwarded;
        let check = phone.ice.as_mut().unwrap().request(Check::Plain);
        room.come_shared(phone.at, &check);
        assert_eq!(room.air.forwarded, so_far + forwarded);
    }
}

#[test]
fn a_page_is_loaded_anew_while_its_leg_is_elsewhere() {
    for role in [DtlsRole::Passive, DtlsRole::Active] {
        let (mut room, mut before, mut trunk) = moved();
        let mut after = page(room.air.now, 1, 1, role);
        after.phone.at = address(78);
        after.phone.next.ssrc = 0x7777;
        room.tell_at(THERE, Command::Amend { leg: BROWSER, plan: after.plan });
        after.phone.check(&mut room, Check::Nominating);
        for _ in 0..3 {
            room.run(100);
            after.phone.handshake.as_mut().unwrap().handle_timeout(room.air.now);
            after.phone.attend(&mut room);
        }
        assert_eq!(room.events(), [Event::Secured { leg: BROWSER }], "{role:?}");
        assert_talking(&mut room, &mut after.phone, &mut trunk);
        before.phone.say(&mut room, &[1000; 320]);
        assert_eq!(trunk.heard(&mut room), []);
    }
}

#[test]
fn a_leg_goes_on_to_a_third_shard_and_home_again() {
    let (mut room, mut page, mut trunks) = three_shards();
    let mut at = HERE;
    for to in [THERE, BEYOND, HERE, BEYOND, THERE, HERE] {
        relocate(&mut room, at, to);
        at = to;
        let n = ALL.iter().position(|shard| *shard == at).unwrap();
        connect(&mut room, at, n as u64 + 2);
        assert_talking(&mut room, &mut page.phone, &mut trunks[n]);
        page.phone.check(&mut room, Check::Nominating);
        for shard in ALL {
            let Load { legs, seats, awaited, listeners, .. } = load(&room, shard);
            let here = usize::from(shard == at);
            assert_eq!((legs, awaited, listeners), (1 + here, 0, 2 * here), "{shard:?}");
            assert_eq!(seats, usize::from(shard == HERE));
        }
    }
    let dropped: u64 = room.counts(1).dropped;
    assert_eq!(dropped, 0);
}

#[test]
fn nothing_is_left_of_a_leg_that_ends_elsewhere() {
    let (mut room, mut page, mut trunk) = moved();
    assert_talking(&mut room, &mut page.phone, &mut trunk);
    for (shard, leg) in [(THERE, BROWSER), (THERE, LegId(3)), (HERE, LegId(2)), (BEYOND, LegId(4))] {
        room.tell_at(shard, Command::Close { leg });
    }
    for shard in ALL {
        assert_eq!(load(&room, shard), Load::default(), "{shard:?}");
    }
    let closed =
        |event: &Event| matches!(event, Event::Closed { leg: BROWSER, counts } if counts.received == 20);
    assert!(room.events().iter().any(closed));
    // It was told so, by the port that it knows.
    page.phone.attend(&mut room);
    assert!(page.phone.told.contains(&crate::media::dtls::Event::Closed));
    // Its address may be another's, and its name is known to nobody.
    room.air.rtp.clear();
    let forwarded = room.air.forwarded;
    page.phone.check(&mut room, Check::Nominating);
    page.phone.say(&mut room, &[1000; 320]);
    assert!(room.air.rtp.is_empty());
    assert_eq!(room.air.forwarded, forwarded);
    let mut next = super::webrtc::page(room.air.now, 5, 0, DtlsRole::Passive);
    next.phone.at = page.phone.at;
    room.open(5, next.plan.clone());
    next.phone.check(&mut room, Check::Nominating);
    assert_eq!(room.events(), [Event::Secured { leg: LegId(5) }]);
}

#[test]
fn a_stranger_is_no_more_heard_than_at_home() {
    let (mut room, mut page, mut trunk) = moved();
    let ours = page.phone.ice.as_ref().unwrap().ours.clone();
    let forged = |name: &str, n: u32| {
        let mut buffer = [0; 256];
        let mut transaction = [0; 12];
        transaction[..4].copy_from_slice(&n.to_be_bytes());
        let draft = Draft::new(&mut buffer, Class::Request, Transaction(transaction));
        let draft = draft.username(name, "x").role(Role::Controlling(1)).nominate();
        draft.sign(&Password::new(b"whatever")).finish().unwrap().to_vec()
    };
    for n in 0..200 {
        room.come_shared(address(66), &forged(&ours.ufrag, n));
        room.come_shared(address(66), &talk(1, Codec::Opus, n, &[1; 100]));
        room.come_shared(page.phone.at, &talk(1, Codec::Opus, n, &[1; 100]));
    }
    assert!(room.air.rtp.is_empty());
    assert_eq!(trunk.heard(&mut room), []);
    let genuine = page.phone.packet(&[1000; 320]);
    room.come_shared(address(66), &genuine);
    assert_eq!(trunk.heard(&mut room), []);
    assert_talking(&mut room, &mut page.phone, &mut trunk);
    // A whole neighbourhood of ports is as deaf: only home knows the browser.
    let before = room.others[&THERE.number()].counts(BROWSER).unwrap().received;
    room.come_by(SocketId::shared(THERE), Channel::Rtp, page.phone.at, &genuine);
    assert_eq!(room.others[&THERE.number()].counts(BROWSER).unwrap().received, before);
}

#[test]
fn who_is_unheard_for_thirty_seconds_is_lost_wherever_its_leg_lives() {
    let (mut room, mut page, mut trunk) = moved();
    room.run(29_000);
    assert!(!room.events().contains(&Event::Lost { leg: BROWSER }));
    room.run(2_000);
    assert!(room.events().contains(&Event::Lost { leg: BROWSER }));
    // Home has forgotten its address, too.
    page.phone.say(&mut room, &[1000; 320]);
    assert_eq!(room.others[&THERE.number()].counts(BROWSER).unwrap().dropped, 0);
    trunk.say(&mut room, &[1000; 160]);
    assert_eq!(page.phone.heard(&mut room), []);
}

#[test]
fn what_is_commanded_of_a_leg_on_its_way_waits_for_it() {
    let (mut room, mut page, [_, mut trunk, _]) = three_shards();
    room.held_up = Some(VecDeque::new());
    relocate(&mut room, HERE, THERE);
    let hold = Plan { direction: Direction::RecvOnly, ..page.plan.clone() };
    room.tell_at(THERE, Command::Amend { leg: BROWSER, plan: hold });
    room.tell_at(THERE, Command::Press { leg: BROWSER, keys: vec![Key::STAR] });
    connect(&mut room, THERE, 3);
    room.tell_at(THERE, Command::Amend { leg: BROWSER, plan: page.plan.clone() });
    assert_eq!((load(&room, HERE).legs, load(&room, THERE).legs), (1, 1));
    room.let_through();
    room.run(500);
    let keys = page.phone.heard(&mut room);
    assert!(keys.iter().any(|h| h.header.payload_type == PAYLOAD_OF_EVENTS));
    assert_talking(&mut room, &mut page.phone, &mut trunk);

    // Sent on, called back and closed before it even left.
    room.held_up = Some(VecDeque::new());
    relocate(&mut room, THERE, BEYOND);
    relocate(&mut room, BEYOND, HERE);
    relocate(&mut room, HERE, BEYOND);
    room.tell_at(BEYOND, Command::Close { leg: BROWSER });
    room.let_through();
    for shard in ALL {
        let Load { legs, seats, awaited, .. } = load(&room, shard);
        assert_eq!((legs, seats, awaited), (1, 0, 0), "{shard:?}");
    }
}

#[test]
fn a_leg_that_is_not_there_is_awaited_by_nobody() {
    let mut room = Room::new(&[(2, Codec::Pcma)]).with(THERE);
    for leg in [BROWSER, LegId(2)] {
        room.tell_at(THERE, Command::Await { leg });
        room.tell_at(HERE, Command::Move { leg, to: THERE });
        room.tell_at(THERE, Command::Close { leg });
    }
    assert_eq!((load(&room, THERE), load(&room, HERE).legs), (Load::default(), 1));
}

#[test]
fn a_leg_on_its_way_makes_nobody_grow() {
    let mut room = Room::new(&[]).with(THERE);
    room.tell_at(THERE, Command::Await { leg: BROWSER });
    let bay = room.others.get_mut(&THERE.number()).unwrap();
    let press = || Command::Press { leg: BROWSER, keys: vec![] };
    let (mut wire, mut tape) = (Nowhere::default(), Nowhere::default());
    for _ in 0..1000 {
        bay.handle_command(room.air.now, press(), &mut wire, &mut tape);
    }
    let before = allocations();
    for _ in 0..1000 {
        bay.handle_command(room.air.now, press(), &mut wire, &mut tape);
    }
    assert_eq!(allocations() - before, 0);
}

#[test]
fn a_leg_that_moved_is_recorded_and_mixed_where_it_lives() {
    let (mut room, mut page, [_, mut trunk, _]) = three_shards();
    // Said before it is there.
    room.tell_at(THERE, Command::Record { recording: TAPE, leg: LegId(3) });
    let all = vec![Source::Leg(BROWSER), Source::Tone(Tone::Busy)];
    room.tell_at(THERE, Command::Patch { listener: LegId(3), sources: all });
    relocate(&mut room, HERE, THERE);
    let hum = tone(Rate::Wide, 1200.0, 8000.0, 1000);
    page.phone.speak(&mut room, &hum);
    assert!(loudness(&trunk.listen(&mut room)) > 2000.0);
    let right: Vec<i16> = room.tapes[&TAPE].iter().skip(1).step_by(2).copied().collect();
    assert!(loudness(&right[4000..7000]) > 4000.0);
    // Once it is gone, silence is recorded in its place.
    relocate(&mut room, THERE, HERE);
    let so_far = room.tapes[&TAPE].len();
    page.phone.speak(&mut room, &hum);
    assert!(room.tapes[&TAPE].len() > so_far + 15_000);
    let right: Vec<i16> = room.tapes[&TAPE][so_far..].iter().skip(1).step_by(2).copied().collect();
    assert!(peak_at(Rate::Narrow, 1200.0, &right) < 50.0);
    assert_eq!(load(&room, THERE).taps, 1, "the trunk is recorded on");
}
