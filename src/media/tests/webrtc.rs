//! Browsers on the shared port: full ICE on their side, lite on ours, DTLS-SRTP between.

use super::phone::{Check, Phone, assert_contiguous};
use super::sound::{loudness, peak_at, tone};
use super::*;
use crate::base::{DtlsRole, IceCredentials};
use crate::media::dtls::Handshake;
use crate::rtp::stun::{Class, Draft, Password, Role, Transaction};

/// A page of a browser: what it would write into its SDP, and the plan its leg has of it.
pub struct Page {
    pub phone: Phone,
    pub plan: Plan,
}

pub fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, host], 50_000))
}

/// Page load `load` of the browser of leg n. `role` is the bay's.
pub fn page(now: Mono, leg: u64, load: u8, role: DtlsRole) -> Page {
    let ours = HERE.credentials(&mut Mint::new([leg as u8 * 16 + load; 32]));
    let theirs = IceCredentials {
        ufrag: format!("page{leg}.{load}").into(),
        password: "a password of the browser's own".into(),
    };
    let own = Certificate::generate().unwrap();
    let other = if role == DtlsRole::Active { DtlsRole::Passive } else { DtlsRole::Active };
    let handshake = Handshake::new(now, &own, other, Some(kit().certificate.fingerprint()));
    let plan = Plan {
        socket: SHARED,
        path: Path::Ice { ours: ours.clone(), theirs: theirs.clone() },
        keys: Keys::Dtls { theirs: own.fingerprint(), role },
        rtcp: Rtcp::Muxed,
        metrics: Metrics::Unasked,
        ..plan(leg, Codec::Opus)
    };
    let phone =
        Phone::new(leg, Codec::Opus).with_ice(address(leg as u8), ours, theirs).with_handshake(handshake);
    Page { phone, plan }
}

/// A browser on leg 1 that talks with a trunk on leg 2.
fn connected(role: DtlsRole) -> (Room, Page, Phone) {
    let mut room = Room::new(&[(2, Codec::Pcma)]);
    let mut page = page(room.air.now, 1, 0, role);
    room.open(1, page.plan.clone());
    room.connect(1, 2);
    page.phone.check(&mut room, Check::Plain);
    page.phone.check(&mut room, Check::Nominating);
    assert_eq!(room.events(), [Event::Secured { leg: LegId(1) }]);
    (room, page, Phone::new(2, Codec::Pcma))
}

/// Both say something for 400 ms, and both must hear it.
#[track_caller]
pub fn assert_talking(room: &mut Room, browser: &mut Phone, trunk: &mut Phone) {
    browser.heard(room);
    trunk.heard(room);
    let (low, high) = (tone(Rate::Wide, 400.0, 8000.0, 400), tone(Rate::Narrow, 1000.0, 8000.0, 400));
    for n in 0..20 {
        browser.say(room, &low[n * 320..][..320]);
        trunk.say(room, &high[n * 160..][..160]);
        room.run(20);
    }
    let heard = trunk.heard(room);
    assert_eq!(heard.len(), 20);
    let level = peak_at(Rate::Narrow, 400.0, &trunk.decode(&heard)[1600..]);
    assert!((level / 8000.0 - 1.0).abs() < 0.12, "{level}");
    let heard = browser.heard(room);
    assert_eq!(heard.len(), 20);
    let level = peak_at(Rate::Wide, 1000.0, &browser.decode(&heard)[3200..]);
    assert!((level / 8000.0 - 1.0).abs() < 0.12, "{level}");
}

/// Or its beginning would be lost while browser and bay shake hands.
#[test]
fn a_greeting_waits_for_the_path_and_the_keys() {
    let mut room = Room::new(&[]);
    let mut page = page(room.air.now, 1, 0, DtlsRole::Passive);
    room.open(1, page.plan.clone());
    let greeting = room.play(1, &[&[1000; 800]], Repeat::Once);
    room.patch(1, &[greeting]);
    room.run(500);
    assert_eq!(room.events(), []);
    page.phone.check(&mut room, Check::Plain);
    page.phone.check(&mut room, Check::Nominating);
    room.run(200);
    assert_eq!(page.phone.heard(&mut room).len(), 5);
    assert_eq!(room.events(), [Event::Secured { leg: LegId(1) }, Event::Played { play: PlayId(1) }]);
}

#[test]
fn a_pause_runs_out_while_its_listener_shakes_hands() {
    let mut room = Room::new(&[]);
    let mut page = page(room.air.now, 1, 0, DtlsRole::Passive);
    room.open(1, page.plan.clone());
    room.open(2, Plan { noise: Some(13), ..plan(2, Codec::Pcma) });
    room.patch(1, &[Source::Leg(LegId(2))]);
    let mut trunk = Phone::new(2, Codec::Pcma);
    trunk.next.payload_type = 13;
    let silent = trunk.payload(&[55], 0);
    trunk.send(&mut room, &silent);
    room.run(27_000);
    page.phone.check(&mut room, Check::Plain);
    page.phone.check(&mut room, Check::Nominating);
    room.run(6000);
    // Of thirty seconds.
    let heard = page.phone.heard(&mut room).len();
    assert!((140..=150).contains(&heard), "{heard}");
}

#[test]
fn a_browser_connects_and_talks_both_ways() {
    for role in [DtlsRole::Passive, DtlsRole::Active] {
        let (mut room, mut page, mut trunk) = connected(role);
        assert_eq!(page.phone.ice.as_ref().unwrap().answered, 2);
        assert_talking(&mut room, &mut page.phone, &mut trunk);
        assert_eq!(room.counts(1).dropped, 0);
    }
}

#[test]
fn nothing_goes_anywhere_before_a_check_passed() {
    for role in [DtlsRole::Passive, DtlsRole::Active] {
        let mut room = Room::new(&[]);
        let mut page = page(room.air.now, 1, 0, role);
        room.open(1, page.plan.clone());
        let music = room.play(1, &[&[1000; 1600]], Repeat::Forever);
        room.patch(1, &[music]);
        let hello = page.phone.handshake.as_mut().unwrap().poll_transmit();
        room.come_shared(page.phone.at, &hello.unwrap_or_default());
        // The callee takes its time.
        room.run(9_000);
        assert!(room.air.rtp.is_empty());
        room.events();
        let begin = room.air.now;
        page.phone.check(&mut room, Check::Nominating);
        for _ in 0..4 {
            room.run(100);
            page.phone.handshake.as_mut().unwrap().handle_timeout(room.air.now);
            page.phone.attend(&mut room);
        }
        assert_eq!(room.events(), [Event::Secured { leg: LegId(1) }], "{role:?}");
        let heard = page.phone.heard(&mut room);
        assert!(!heard.is_empty() && heard[0].at < begin.as_nanos() / 1_000_000 + 200, "{role:?}");
        assert_contiguous(Codec::Opus, &heard);
    }
}

#[test]
fn who_passed_no_check_is_not_heard_even_with_the_keys() {
    let (mut room, mut page, mut trunk) = connected(DtlsRole::Passive);
    page.phone.at = address(99);
    page.phone.say(&mut room, &[1000; 320]);
    assert_eq!(trunk.heard(&mut room), []);
    page.phone.check(&mut room, Check::Plain);
    page.phone.say(&mut room, &[1000; 320]);
    assert_eq!(trunk.heard(&mut room).len(), 1);
}

#[test]
fn a_browser_that_nominates_another_pair_is_sent_to_there_and_keeps_its_keys() {
    let (mut room, mut page, mut trunk) = connected(DtlsRole::Passive);
    assert_talking(&mut room, &mut page.phone, &mut trunk);
    let before = page.phone.at;
    page.phone.at = "[2001:db8::7]:40000".parse().unwrap();
    page.phone.check(&mut room, Check::Plain);
    trunk.say(&mut room, &[1000; 160]);
    assert_eq!(room.sent(|datagram| datagram.to == before).len(), 1);
    // What the browser did not hear of is no gap to SRTP.
    page.phone.check(&mut room, Check::Nominating);
    page.phone.check(&mut room, Check::Nominating);
    assert_talking(&mut room, &mut page.phone, &mut trunk);
    assert_eq!(room.events(), []);
}

#[test]
fn a_dual_stack_socket_changes_nothing() {
    let (mut room, mut page, mut trunk) = connected(DtlsRole::Passive);
    let bytes = page.phone.packet(&[1000; 320]);
    room.come_shared("[::ffff:203.0.113.1]:50000".parse().unwrap(), &bytes);
    assert_eq!(trunk.heard(&mut room).len(), 1);
}

#[test]
fn an_ice_restart_keeps_audio_and_keys() {
    let (mut room, mut before, mut trunk) = connected(DtlsRole::Passive);
    let after = page(room.air.now, 1, 1, DtlsRole::Passive);
    room.amend(1, Plan { keys: before.plan.keys.clone(), ..after.plan });
    // Until the browser begins to check anew, all goes on as it was.
    assert_talking(&mut room, &mut before.phone, &mut trunk);
    before.phone.check(&mut room, Check::Plain);
    let answered = before.phone.ice.take().unwrap().answered;
    assert_eq!(answered, 3);
    before.phone.ice = after.phone.ice;
    before.phone.at = address(77);
    before.phone.check(&mut room, Check::Nominating);
    assert_talking(&mut room, &mut before.phone, &mut trunk);
    assert_eq!(room.events(), [Event::Secured { leg: LegId(1) }]);
    assert_eq!(room.counts(1).dropped, 0);
}

#[test]
fn a_page_that_was_loaded_anew_talks_on_under_new_keys() {
    for role in [DtlsRole::Passive, DtlsRole::Active] {
        let (mut room, mut before, mut trunk) = connected(role);
        assert_talking(&mut room, &mut before.phone, &mut trunk);
        let mut after = page(room.air.now, 1, 1, role);
        after.phone.at = address(78);
        after.phone.next.ssrc = 0x7777;
        room.amend(1, after.plan);
        after.phone.check(&mut room, Check::Nominating);
        for _ in 0..3 {
            room.run(100);
            after.phone.handshake.as_mut().unwrap().handle_timeout(room.air.now);
            after.phone.attend(&mut room);
        }
        assert_eq!(room.events(), [Event::Secured { leg: LegId(1) }], "{role:?}");
        assert_talking(&mut room, &mut after.phone, &mut trunk);
        // The page before has no say any more.
        let dropped = room.counts(1).dropped;
        before.phone.say(&mut room, &[1000; 320]);
        assert_eq!(trunk.heard(&mut room), []);
        assert_eq!(room.counts(1).dropped, dropped + 1);
    }
}

#[test]
fn a_browser_unheard_for_thirty_seconds_is_lost_and_sent_nothing_until_a_restart() {
    let (mut room, mut before, mut trunk) = connected(DtlsRole::Passive);
    let lost = Event::Lost { leg: LegId(1) };
    // Packets are no consent, checks are.
    for second in 0..60 {
        if second % 5 == 0 && second <= 20 {
            before.phone.check(&mut room, Check::Nominating);
        }
        before.phone.say(&mut room, &[1000; 320]);
        room.run(1000);
        assert_eq!(room.events().contains(&lost), second == 49, "{second}");
    }
    before.phone.heard(&mut room);
    trunk.say(&mut room, &[1000; 160]);
    assert_eq!(before.phone.heard(&mut room), []);
    trunk.heard(&mut room);
    before.phone.say(&mut room, &[1000; 320]);
    assert_eq!(trunk.heard(&mut room), []);

    let after = page(room.air.now, 1, 1, DtlsRole::Passive);
    room.amend(1, Plan { keys: before.plan.keys, ..after.plan });
    before.phone.ice = after.phone.ice;
    before.phone.check(&mut room, Check::Nominating);
    assert_eq!(room.events(), [Event::Secured { leg: LegId(1) }]);
    assert_talking(&mut room, &mut before.phone, &mut trunk);
}

#[test]
fn a_browser_whose_checks_pass_is_there_though_nothing_else_comes() {
    let (mut room, mut page, _) = connected(DtlsRole::Passive);
    for _ in 0..20 {
        page.phone.check(&mut room, Check::Plain);
        room.run(4_000);
    }
    assert_eq!(room.absence(1), None);
    // Nor does one believe who checks without the password.
    let ice = page.phone.ice.as_mut().unwrap();
    ice.ours.password = "whatever the browser was not told".into();
    for _ in 0..5 {
        page.phone.check(&mut room, Check::Plain);
        room.run(4_000);
    }
    assert!(room.absence(1).is_some());
}

#[test]
fn a_page_that_never_comes_is_lost_too() {
    let mut room = Room::new(&[]);
    let page = page(room.air.now, 1, 0, DtlsRole::Passive);
    room.open(1, page.plan);
    room.run(29_000);
    assert!(!room.events().contains(&Event::Lost { leg: LegId(1) }));
    room.run(2_000);
    assert!(room.events().contains(&Event::Lost { leg: LegId(1) }));
}

#[test]
fn floods_on_the_shared_port_are_answered_with_nothing_and_cost_nothing() {
    let (mut room, mut page, mut trunk) = connected(DtlsRole::Passive);
    let ice = page.phone.ice.as_ref().unwrap();
    let request = |name: &str, password: &str, n: u32| {
        let mut buffer = [0; 256];
        let mut transaction = [0; 12];
        transaction[..4].copy_from_slice(&n.to_be_bytes());
        let draft = Draft::new(&mut buffer, Class::Request, Transaction(transaction));
        let draft = draft.username(name, "x").role(Role::Controlling(1)).nominate();
        draft.sign(&Password::new(password.as_bytes())).finish().unwrap().to_vec()
    };
    let flood: Vec<Vec<u8>> = (0..1000)
        .flat_map(|n| {
            [
                request(&format!("AD{n:08}"), "whatever", n),
                // The right name, a wrong password.
                request(&ice.ours.ufrag, "whatever", n),
                talk(1, Codec::Opus, n, &[1; 100]),
                [&[22, 254, 253][..], &[0; 60]].concat(),
                vec![n as u8; n as usize % 100],
            ]
        })
        .collect();
    assert_eq!(room.flood(SHARED, address(66), &flood), (0, 0));
    assert_talking(&mut room, &mut page.phone, &mut trunk);
    // From the browser's own address, too, where checks are answered.
    let (allocated, _) = room.flood(SHARED, page.phone.at, &flood[..3]);
    assert_eq!(allocated, 0);
    assert_talking(&mut room, &mut page.phone, &mut trunk);
    assert_eq!(room.events(), []);
}

#[test]
fn legs_on_the_shared_port_do_not_hear_each_other() {
    let mut room = Room::new(&[(11, Codec::Pcmu), (12, Codec::Pcmu)]);
    let mut pages = [1, 2].map(|leg| {
        let mut page = page(room.air.now, leg, 0, DtlsRole::Passive);
        room.open(leg, page.plan.clone());
        room.connect(leg, leg + 10);
        page.phone.check(&mut room, Check::Nominating);
        page
    });
    let mut trunks = [11, 12].map(|leg| Phone::new(leg, Codec::Pcmu));
    for hertz in [400.0, 1000.0] {
        let hum = tone(Rate::Wide, hertz, 8000.0, 200);
        let n = usize::from(hertz > 500.0);
        pages[n].phone.speak(&mut room, &hum);
        assert!(loudness(&trunks[n].listen(&mut room)) > 4000.0);
        assert_eq!(trunks[1 - n].heard(&mut room), []);
        trunks[n].speak(&mut room, &tone(Rate::Narrow, hertz, 8000.0, 200));
        assert!(loudness(&pages[n].phone.listen(&mut room)) > 4000.0);
        assert_eq!(pages[1 - n].phone.heard(&mut room), []);
    }
    // Nor can one take the other's address, by a check that it may send.
    let [one, two] = &mut pages;
    let home = two.phone.at;
    two.phone.at = one.phone.at;
    two.phone.check(&mut room, Check::Nominating);
    two.phone.at = home;
    one.phone.say(&mut room, &[1000; 320]);
    assert_eq!(trunks[0].heard(&mut room).len(), 1);
    assert_eq!(trunks[1].heard(&mut room), []);
    // What is over is forgotten.
    room.tell(Command::Close { leg: LegId(1) });
    one.phone.say(&mut room, &[1000; 320]);
    assert_eq!(trunks[0].heard(&mut room), []);
}

#[test]
fn reports_of_a_browser_go_and_come_on_the_one_port() {
    let (mut room, mut page, mut trunk) = connected(DtlsRole::Passive);
    assert_talking(&mut room, &mut page.phone, &mut trunk);
    let block = crate::rtp::rtcp::Block {
        ssrc: 0x5001,
        fraction: 51,
        lost: 0,
        highest: 0,
        jitter: 480,
        last_report: 0,
        delay: 0,
    };
    let report = crate::rtp::rtcp::Compound::report(0x101, None, Some(block));
    let mut bytes = report.as_bytes().to_vec();
    let length = bytes.len();
    bytes.resize(length + 64, 0);
    let srtp = page.phone.srtp.as_mut().unwrap();
    let length = srtp.protector.protect_rtcp(&mut bytes, length).unwrap();
    room.come_shared(page.phone.at, &bytes[..length]);
    let far = room.bay.quality(LegId(1)).unwrap().far.unwrap();
    assert_eq!((far.loss, far.jitter), (51, Duration::from_nanos(480 * 20_833)));
    room.run(6_000);
    assert!(room.air.rtcp.iter().all(|(socket, ..)| *socket == SocketId(2)));
    page.phone.attend(&mut room);
    assert!(page.phone.reports > 0);
}
