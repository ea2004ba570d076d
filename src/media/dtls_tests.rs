//! Two ends on a wire that loses, repeats, swaps and spoils, in virtual time.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What the wire makes of a datagram.
type Wire<'a> = dyn FnMut(Way, &[u8]) -> Vec<Vec<u8>> + 'a;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    FromActive,
    FromPassive,
}

struct Ends {
    active: Handshake,
    passive: Handshake,
    now: Mono,
}

impl Ends {
    fn new() -> Self {
        let (a, p) = (certificate(), certificate());
        Self::with(&a, Some(p.fingerprint()), &p, Some(a.fingerprint()))
    }

    fn with(a: &Certificate, of_p: Option<Fingerprint>, p: &Certificate, of_a: Option<Fingerprint>) -> Self {
        let now = Mono::ZERO;
        let active = Handshake::new(now, a, DtlsRole::Active, of_p);
        let passive = Handshake::new(now, p, DtlsRole::Passive, of_a);
        Self { active, passive, now }
    }

    /// Until nothing flies and no timer runs. Returns the datagrams that flew.
    fn play(&mut self, wire: &mut Wire<'_>) -> usize {
        let mut flying = VecDeque::new();
        for flown in 0.. {
            assert!(flown < 2000, "they never stop talking");
            while let Some(datagram) = self.active.poll_transmit() {
                flying.extend(wire(Way::FromActive, &datagram).into_iter().map(|d| (Way::FromActive, d)));
            }
            while let Some(datagram) = self.passive.poll_transmit() {
                flying.extend(wire(Way::FromPassive, &datagram).into_iter().map(|d| (Way::FromPassive, d)));
            }
            match flying.pop_front() {
                Some((Way::FromActive, datagram)) => self.passive.receive(self.now, &datagram),
                Some((Way::FromPassive, datagram)) => self.active.receive(self.now, &datagram),
                None => {
                    let timers = self.active.poll_timeout().into_iter().chain(self.passive.poll_timeout());
                    let Some(at) = timers.min() else { return flown };
                    assert!(at > self.now, "a timer in the past");
                    self.now = at;
                    self.active.handle_timeout(at);
                    self.passive.handle_timeout(at);
                }
            }
        }
        unreachable!("0.. has no end")
    }

    /// Both ends' one event.
    fn events(&mut self) -> [Option<Event>; 2] {
        [self.active.poll_event(), self.passive.poll_event()]
    }

    fn assert_agree(&mut self) -> Suite {
        let [Some(Event::Connected { ours: a, theirs: b }), Some(Event::Connected { ours: c, theirs: d })] =
            self.events()
        else {
            panic!("not connected")
        };
        assert_eq!((&a, &b), (&d, &c));
        assert_ne!(a, b);
        a.suite()
    }
}

fn certificate() -> Certificate {
    Certificate::generate().expect("randomness")
}

fn lossless(_: Way, datagram: &[u8]) -> Vec<Vec<u8>> {
    vec![datagram.to_vec()]
}

#[test]
fn two_ends_agree_on_keys_in_six_datagrams() {
    let mut ends = Ends::new();
    assert_eq!(ends.play(&mut lossless), 6);
    assert_eq!(ends.assert_agree(), Suite::ALL[0]);
    assert_eq!(ends.now, Mono::ZERO);
    assert_eq!((ends.active.poll_timeout(), ends.passive.poll_timeout()), (None, None));
}

#[test]
fn any_one_lost_datagram_costs_one_interval() {
    for lost in 0..6 {
        let mut ends = Ends::new();
        let mut flown = 0..;
        ends.play(&mut |_, datagram| {
            if flown.next() == Some(lost) { vec![] } else { vec![datagram.to_vec()] }
        });
        ends.assert_agree();
        assert!(ends.now <= Mono::ZERO + 2 * FIRST_REPEAT, "datagram {lost} lost: {:?}", ends.now);
    }
}

/// What BoringSSL does: its first repetition comes after 50 ms, before ours.
#[test]
fn a_peer_that_repeats_before_us_does_not_disarm_us() {
    for lost in 0..6 {
        let mut ends = Ends::new();
        let mut flown = 0..;
        ends.play(&mut |way, datagram| match (flown.next() == Some(lost), way) {
            (true, _) => vec![],
            (false, Way::FromActive) => vec![datagram.to_vec(), renumbered(datagram)],
            (false, Way::FromPassive) => vec![datagram.to_vec()],
        });
        ends.assert_agree();
    }
}

/// A repetition is the same message in another record: only its plain records can be forged here.
fn renumbered(datagram: &[u8]) -> Vec<u8> {
    let mut again = Vec::new();
    for record in records(datagram) {
        again.extend_from_slice(record.whole);
        let start = again.len() - record.whole.len();
        again[start + 8] = u8::from(record.epoch == 0);
    }
    again
}

#[test]
fn a_lost_last_flight_is_repeated_when_the_client_asks_again() {
    let mut ends = Ends::new();
    let mut lost = 0;
    ends.play(&mut |way, datagram| {
        let is_last_flight = way == Way::FromPassive && datagram[0] == CHANGE_CIPHER_SPEC;
        if is_last_flight && lost < 5 {
            lost += 1;
            return vec![];
        }
        vec![datagram.to_vec()]
    });
    assert_eq!(lost, 5);
    ends.assert_agree();
}

#[test]
fn hellos_nobody_answers_come_seven_times_and_then_are_given_up() {
    let mut ends = Ends::new();
    let mut sent = Vec::new();
    let silence = certificate();
    ends.passive = Handshake::new(ends.now, &silence, DtlsRole::Passive, None);
    loop {
        while ends.active.poll_transmit().is_some() {
            sent.push((ends.now - Mono::ZERO).as_millis());
        }
        let Some(at) = ends.active.poll_timeout() else { break };
        ends.now = at;
        ends.active.handle_timeout(at);
    }
    assert_eq!(sent, [0, 100, 300, 700, 1500, 3100, 6300, 12700]);
    assert_eq!(ends.events(), [Some(Event::Failed(Fault::TimedOut)), None]);
    assert_eq!(ends.now, Mono::ZERO + PATIENCE);
    assert_eq!(ends.passive.poll_timeout(), None);
}

#[test]
fn another_certificate_than_signalled_gives_no_keys() {
    let (a, p, stranger) = (certificate(), certificate(), certificate());
    let mut ends = Ends::with(&a, Some(p.fingerprint()), &p, Some(stranger.fingerprint()));
    ends.play(&mut lossless);
    let [active, passive] = ends.events();
    assert_eq!(passive, Some(Event::Failed(Fault::Fingerprint)));
    // The active end had its keys; then it was told goodbye.
    assert!(matches!(active, Some(Event::Connected { .. })));
    assert_eq!(ends.active.poll_event(), Some(Event::Closed));

    let mut ends = Ends::with(&a, Some(stranger.fingerprint()), &p, None);
    ends.play(&mut lossless);
    assert_eq!(
        ends.events(),
        [Some(Event::Failed(Fault::Fingerprint)), Some(Event::Failed(Fault::Refused(CLOSE_NOTIFY)))]
    );
}

#[test]
fn keys_wait_for_the_fingerprint() {
    let (a, p) = (certificate(), certificate());
    let mut ends = Ends::with(&a, Some(p.fingerprint()), &p, None);
    ends.play(&mut lossless);
    let [Some(Event::Connected { ours, theirs }), None] = ends.events() else { panic!("keys too early") };
    ends.passive.expect(a.fingerprint());
    ends.passive.expect(a.fingerprint());
    assert_eq!(ends.passive.poll_event(), Some(Event::Connected { ours: theirs, theirs: ours }));
    assert_eq!(ends.passive.poll_event(), None);

    let mut ends = Ends::with(&a, Some(p.fingerprint()), &p, None);
    ends.play(&mut lossless);
    ends.passive.expect(p.fingerprint());
    assert_eq!(ends.passive.poll_event(), Some(Event::Failed(Fault::Fingerprint)));
}

#[test]
fn a_goodbye_is_heard_once_and_answered() {
    for way in [Way::FromActive, Way::FromPassive] {
        let mut ends = Ends::new();
        ends.play(&mut lossless);
        ends.assert_agree();
        let (leaving, staying) = match way {
            Way::FromActive => (&mut ends.active, &mut ends.passive),
            Way::FromPassive => (&mut ends.passive, &mut ends.active),
        };
        leaving.close();
        let farewell = leaving.poll_transmit().expect("close_notify");
        staying.receive(Mono::ZERO, &farewell);
        staying.receive(Mono::ZERO, &farewell);
        assert_eq!(staying.poll_event(), Some(Event::Closed));
        assert_eq!(staying.poll_event(), None);
        let answer = staying.poll_transmit().expect("close_notify in return");
        assert_eq!(staying.poll_transmit(), None);
        leaving.receive(Mono::ZERO, &answer);
        assert_eq!((leaving.poll_event(), leaving.poll_transmit()), (None, None));
    }
}

#[test]
fn a_forged_goodbye_is_not_believed() {
    let mut ends = Ends::new();
    ends.play(&mut lossless);
    ends.assert_agree();
    let mut other = Ends::new();
    other.play(&mut lossless);
    other.active.close();
    let foreign = other.active.poll_transmit().expect("close_notify");
    let plain = [ALERT, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, FATAL, 40];
    for _ in 0..100 {
        ends.passive.receive(Mono::ZERO, &foreign);
        ends.passive.receive(Mono::ZERO, &plain);
    }
    assert_eq!((ends.passive.poll_event(), ends.passive.poll_transmit()), (None, None));
}

#[test]
fn the_server_chooses_what_it_likes_best() {
    let hello = |profiles: &[u8]| {
        let mut hello = vec![0; 34];
        hello.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
        let length = profiles.len() as u8;
        hello.extend([0, 4 + 4 + 3 + length, 0, 23, 0, 0, 0, 14, 0, 3 + length, 0, length]);
        hello.extend(profiles);
        hello.push(0);
        hello
    };
    assert_eq!(chosen_suite(&hello(&[0, 1, 0, 8, 0, 7])), Some(Suite::AeadAes128Gcm));
    assert_eq!(chosen_suite(&hello(&[0, 2, 0, 1])), Some(Suite::AesCm128HmacSha1_80));
    assert_eq!(chosen_suite(&hello(&[0, 5])), None);
    let whole = hello(&[0, 1]);
    for length in 0..whole.len() - 1 {
        assert_eq!(chosen_suite(&whole[..length]), None);
    }
}

#[test]
fn a_client_without_srtp_is_refused() {
    let mut ends = Ends::new();
    ends.play(&mut |way, datagram| {
        let mut spoilt = datagram.to_vec();
        let use_srtp = [0, 14, 0, 11, 0, 8];
        if let Some(at) = spoilt.windows(6).position(|w| way == Way::FromActive && w == use_srtp) {
            spoilt[at] = 0x7f;
        }
        vec![spoilt]
    });
    assert_eq!(
        ends.events(),
        [Some(Event::Failed(Fault::Refused(HANDSHAKE_FAILURE))), Some(Event::Failed(Fault::Suite))]
    );
}

#[test]
fn a_hello_in_splinters_is_joined() {
    let mut ends = Ends::new();
    ends.play(&mut |way, datagram| {
        let first = records(datagram).next().expect("a record");
        if way == Way::FromPassive || first.kind != HANDSHAKE || records(datagram).count() > 1 {
            return vec![datagram.to_vec()];
        }
        let fragment = fragments(first.body).next().expect("a fragment");
        let mut splinters: Vec<Vec<u8>> = Vec::new();
        for (n, part) in fragment.body.chunks(40).enumerate() {
            let mut body = first.body[..FRAGMENT_HEADER].to_vec();
            body[6..9].copy_from_slice(&(n as u32 * 40).to_be_bytes()[1..]);
            body[9..12].copy_from_slice(&(part.len() as u32).to_be_bytes()[1..]);
            body.extend_from_slice(part);
            let mut record = datagram[..RECORD_HEADER - 2].to_vec();
            record[10] = n as u8;
            record.extend_from_slice(&(body.len() as u16).to_be_bytes());
            record.extend_from_slice(&body);
            splinters.push(record);
        }
        splinters
    });
    ends.assert_agree();
}

#[test]
fn what_a_flood_leaves_behind_is_bounded() {
    let p = certificate();
    let mut passive = Handshake::new(Mono::ZERO, &p, DtlsRole::Passive, None);
    let mut maker = Inbound::default();
    for number in 0..50_000_u32 {
        // Empty fragments of messages yet to come, the largest there can be, and early ciphertext.
        let mut body = vec![CLIENT_HELLO, 0xff, 0xff, 0xff];
        body.extend(((number % 60_000) as u16).to_be_bytes());
        body.extend([0; 6]);
        passive.receive(Mono::ZERO, &maker.record(HANDSHAKE, &body));
        let mut cipher = maker.record(HANDSHAKE, &[7; 200]);
        cipher[4] = 1;
        passive.receive(Mono::ZERO, &cipher);
    }
    let State::Shaking(shaking) = &passive.state else { panic!("over: {:?}", passive.poll_event()) };
    assert!(shaking.inbound.body.capacity() <= LONGEST_MESSAGE);
    assert_eq!(shaking.records_left, 0);
    assert_eq!(passive.poll_transmit(), None);
}

/// What happens to one datagram.
#[derive(Clone, Debug)]
enum Mishap {
    None,
    Lost,
    Twice,
    Late,
    Spoilt { at: usize, with: u8 },
    Cut { at: usize },
    Grown { by: Vec<u8> },
}

fn benign() -> impl Strategy<Value = Mishap> {
    prop_oneof![3 => Just(Mishap::None), 1 => Just(Mishap::Lost), 1 => Just(Mishap::Twice), 1 => Just(Mishap::Late)]
}

fn hostile() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        6 => Just(Mishap::None),
        1 => benign(),
        3 => (0..700_usize, 1..=255_u8).prop_map(|(at, with)| Mishap::Spoilt { at, with }),
        1 => (0..700_usize).prop_map(|at| Mishap::Cut { at }),
        1 => prop::collection::vec(any::<u8>(), 0..80).prop_map(|by| Mishap::Grown { by }),
    ]
}

fn mishaps(script: Vec<Mishap>) -> impl FnMut(Way, &[u8]) -> Vec<Vec<u8>> {
    let mut script = script.into_iter();
    let mut late: Vec<Vec<u8>> = Vec::new();
    move |way, datagram| {
        let mut whole = datagram.to_vec();
        let length = whole.len();
        match script.next().unwrap_or(Mishap::None) {
            Mishap::None => {}
            Mishap::Lost => return vec![],
            Mishap::Twice => return vec![whole.clone(), whole],
            Mishap::Late if way == Way::FromActive => {
                late.push(whole);
                return vec![];
            }
            Mishap::Late => {}
            Mishap::Spoilt { at, with } => whole[at % length] ^= with,
            Mishap::Cut { at } => whole.truncate(at % length),
            Mishap::Grown { by } => whole.extend(by),
        }
        let mut out = vec![whole];
        if way == Way::FromActive {
            out.append(&mut late);
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// A flight goes out eight times: fewer losses than that cannot keep two ends apart.
    #[test]
    fn a_bad_wire_costs_time_and_never_the_keys(script in prop::collection::vec(benign(), 0..16)) {
        let losses = script.iter().filter(|mishap| matches!(mishap, Mishap::Lost | Mishap::Late)).count();
        prop_assume!(losses <= REPEATS as usize);
        let mut ends = Ends::new();
        ends.play(&mut mishaps(script));
        ends.assert_agree();
    }

    #[test]
    fn no_datagram_panics_or_gives_different_keys(script in prop::collection::vec(hostile(), 0..40)) {
        let mut ends = Ends::new();
        ends.play(&mut mishaps(script));
        if let [Some(Event::Connected { ours: a, theirs: b }), Some(Event::Connected { ours: c, theirs: d })]
            = ends.events()
        {
            prop_assert_eq!((a, b), (d, c));
        }
    }

    #[test]
    fn no_octets_panic(datagrams in prop::collection::vec(
        (prop::sample::select(vec![20_u8, 21, 22, 22, 22, 23]), 0..2_u8, 0..3_u8,
         prop::collection::vec(any::<u8>(), 0..120)), 0..20)
    ) {
        let certificate = certificate();
        for role in [DtlsRole::Active, DtlsRole::Passive] {
            let mut end = Handshake::new(Mono::ZERO, &certificate, role, None);
            for (n, (kind, epoch, message, body)) in datagrams.iter().enumerate() {
                let number = n as u16 % 4;
                let body = match kind {
                    22 => Message { kind: *message * 7 + 1, number, body: body.clone() }.whole(),
                    _ => body.clone(),
                };
                let mut record = Inbound::default().record(*kind, &body);
                record[4] = *epoch;
                record[10] = n as u8;
                end.receive(Mono::ZERO, &record);
            }
        }
    }
}
