//! One endpoint against messages written by hand.

use super::*;
use crate::sip::{Challenge, Credentials, Peer};

pub(super) const CARRIER: &str = "192.0.2.1:5060";
const PHONE: &str = "198.51.100.7:40000";
const OWN: &str = "10.0.0.1:5060";

/// An endpoint with one trunk and two accounts, and the time.
pub(super) struct Desk {
    pub endpoint: Endpoint,
    pub now: Mono,
    events: Vec<Event>,
}

pub(super) fn udp(remote: &str) -> Hop {
    Hop { transport: Transport::Udp, local: address(OWN), remote: address(remote), stream: None }
}

fn tcp(remote: &str, stream: u64) -> Hop {
    Hop { transport: Transport::Tcp, stream: Some(StreamId(stream)), ..udp(remote) }
}

fn own_settings() -> Settings {
    let accounts = vec![account("1001"), account("1002")];
    let trunks = vec![trunk("carrier", CARRIER, Transport::Udp)];
    Settings { accounts, trunks, ..settings(OWN) }
}

impl Desk {
    pub fn new() -> Self {
        Self::with(own_settings())
    }

    fn with(settings: Settings) -> Self {
        let now = Mono::ZERO + Duration::from_secs(1000);
        Self { endpoint: Endpoint::new(settings, Mint::new([5; 32])), now, events: vec![] }
    }

    pub fn receive(&mut self, hop: Hop, text: impl AsRef<str>) -> Vec<(Hop, Message)> {
        let bytes = Bytes::copy_from_slice(text.as_ref().as_bytes());
        self.endpoint.handle_input(self.now, Input::Received { hop, bytes });
        self.sent()
    }

    /// The statuses that answer.
    pub fn statuses(&mut self, hop: Hop, text: impl AsRef<str>) -> Vec<u16> {
        self.receive(hop, text).iter().map(|(_, message)| status(message)).collect()
    }

    /// The one response.
    fn response(&mut self, hop: Hop, text: impl AsRef<str>) -> Response {
        let mut sent = self.receive(hop, text);
        match (sent.pop(), sent.pop()) {
            (Some((_, Message::Response(response))), None) => response,
            other => panic!("{other:?}"),
        }
    }

    pub fn sent(&mut self) -> Vec<(Hop, Message)> {
        let mut sent = vec![];
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { hop, bytes } => sent.push((hop, parse(bytes).unwrap())),
                Output::Event(event) => self.events.push(event),
            }
        }
        sent
    }

    pub fn told(&mut self) -> Vec<String> {
        self.events.drain(..).map(|event| told(&event)).collect()
    }

    pub fn wait(&mut self, span: Duration) -> Vec<(Hop, Message)> {
        let until = self.now + span;
        let mut sent = vec![];
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= until) {
            self.endpoint.handle_timeout(at);
            sent.extend(self.sent());
        }
        self.now = until;
        sent
    }

    /// Everything runs out; nothing is left.
    pub fn close(mut self) {
        self.wait(Duration::from_secs(4000));
        assert!(self.endpoint.is_idle(), "{:?}", self.endpoint.counts());
        assert_eq!(self.endpoint.table.indexes(), 0);
    }

    /// A call of the carrier's that is up: the leg and our tag.
    fn up(&mut self) -> (LegId, String) {
        self.receive(udp(CARRIER), invite());
        let Some(Event::Invited { leg, .. }) = self.events.pop() else { panic!() };
        self.endpoint.respond(self.now, leg, 200, Headers::new(), Some(Body::sdp("answer")));
        let sent = self.sent();
        let tag = to_tag(&sent[0].1);
        self.receive(udp(CARRIER), within("ACK", 1, &tag));
        assert_eq!(self.told(), ["Acked"]);
        (leg, tag)
    }
}

fn status(message: &Message) -> u16 {
    match message {
        Message::Response(response) => response.status,
        Message::Request(request) => panic!("{request:?}"),
    }
}

fn to_tag(message: &Message) -> String {
    String::from_utf8(message.headers().to().unwrap().tag().unwrap().to_vec()).unwrap()
}

pub(super) fn request(message: &Message) -> &Request {
    match message {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

/// A request outside dialogs, of the carrier's.
fn without(method: &str, branch: &str) -> String {
    format!(
        "{method} sip:+862112345678@10.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:+8613800138000@carrier.example>;tag=f\r\n\
         To: <sip:+862112345678@10.0.0.1>\r\n\
         Call-ID: call\r\n\
         CSeq: 1 {method}\r\n\
         Contact: <sip:192.0.2.1>\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

pub(super) fn invite() -> String {
    without("INVITE", "1")
}

/// A request of the carrier's within its call.
fn within(method: &str, number: u32, tag: &str) -> String {
    without(method, &format!("{method}{number}"))
        .replace("To: <sip:+862112345678@10.0.0.1>", &format!("To: <sip:+862112345678@10.0.0.1>;tag={tag}"))
        .replace(&format!("CSeq: 1 {method}"), &format!("CSeq: {number} {method}"))
}

/// A response to a request of ours.
fn answering(request: &Request, status: u16, tag: &str) -> Response {
    Response::to(request, status).with_to_tag(tag).with(Name::Contact, Value::constant("<sip:192.0.2.1>"))
}

fn text(response: &Response) -> String {
    String::from_utf8(response.to_bytes().to_vec()).unwrap()
}

/// A request of a phone's, with or without credentials.
pub(super) fn of_phone(method: &str, number: u32, user: &str, extra: &str) -> String {
    let target = if method == "REGISTER" { "sip:baton.example".into() } else { format!("sip:9@{REALM}") };
    let to = if method == "REGISTER" { format!("sip:{user}@{REALM}") } else { target.clone() };
    format!(
        "{method} {target} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 172.16.0.9:5060;rport;branch=z9hG4bKp{method}{number}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:{user}@{REALM}>;tag=p\r\n\
         To: <{to}>\r\n\
         Call-ID: phone-{method}\r\n\
         CSeq: {number} {method}\r\n\
         {extra}\
         Content-Length: 0\r\n\r\n"
    )
}

const CONTACT: &str = "Contact: <sip:1001@172.16.0.9:5060>;expires=120\r\n";

/// An Authorization line that answers the challenge of `response` for that algorithm.
pub(super) fn proof(response: &Response, algorithm: &str, method: &str, user: &str) -> String {
    let mut challenges = response.headers.challenges(Name::WwwAuthenticate).map(Result::unwrap);
    let challenge = challenges.find(|c| c.text("algorithm").as_deref() == Some(algorithm)).unwrap();
    proof_of(&challenge, method, user)
}

fn proof_of(challenge: &Challenge, method: &str, user: &str) -> String {
    let credentials: Credentials =
        crate::sip::auth::answer(challenge, &login(user), method, "sip:x", &mut Mint::new([8; 32])).unwrap();
    format!("Authorization: {}\r\n", Value::from(credentials).lossy())
}

/// Registers 1001 by `hop`.
fn register(desk: &mut Desk, hop: Hop) {
    let asked = desk.response(hop, of_phone("REGISTER", 1, "1001", CONTACT));
    assert_eq!(asked.status, 401);
    let proof = proof(&asked, "SHA-256", "REGISTER", "1001");
    let taken = desk.response(hop, of_phone("REGISTER", 2, "1001", &(proof + CONTACT)));
    assert_eq!(taken.status, 200);
    assert_eq!(desk.told(), ["Registered agent-1001 true"]);
}

#[test]
fn a_trunks_invite_is_a_call_and_its_copies_are_not() {
    let mut desk = Desk::new();
    assert_eq!(desk.statuses(udp(CARRIER), invite()), [100]);
    assert_eq!(desk.statuses(udp(CARRIER), invite()), [100]);
    let Some(Event::Invited { leg, peer, .. }) = desk.events.pop() else { panic!() };
    assert_eq!((peer, desk.events.len()), (Peer::Trunk("carrier".into()), 0));

    // The same by another way, and a fork of it: RFC 3261 §8.2.2.2.
    assert_eq!(desk.statuses(udp(CARRIER), without("INVITE", "2")), [482]);
    desk.endpoint.hang_up(desk.now, leg, 486, None);
    assert_eq!(desk.sent().iter().map(|(_, m)| status(m)).collect::<Vec<_>>(), [486]);
    desk.receive(udp(CARRIER), without("ACK", "1"));
    assert_eq!(desk.statuses(udp(CARRIER), without("INVITE", "3")), [482]);
    assert_eq!(desk.told(), [""; 0]);
    desk.close();
}

#[test]
fn an_old_peer_without_the_magic_cookie_is_matched_by_everything_else() {
    let old = |text: String| text.replace("branch=z9hG4bK1", "branch=1");
    let mut desk = Desk::new();
    assert_eq!(desk.statuses(udp(CARRIER), old(invite())), [100]);
    assert_eq!(desk.statuses(udp(CARRIER), old(invite())), [100]);
    let Some(Event::Invited { leg, .. }) = desk.events.pop() else { panic!() };
    desk.endpoint.hang_up(desk.now, leg, 486, None);
    let tag = to_tag(&desk.sent()[0].1);
    desk.receive(
        udp(CARRIER),
        old(without("ACK", "1")).replace("10.0.0.1>\r\nCall", &format!("10.0.0.1>;tag={tag}\r\nCall")),
    );
    assert!(desk.wait(Duration::from_secs(3)).is_empty());
    desk.close();
}

#[test]
fn responses_find_their_way_by_the_via() {
    let mut desk = Desk::new();
    let via = |text: &str| without("OPTIONS", "1").replace("192.0.2.1:5060;", text);
    // What it says of itself is not where it came from: `received`, and its own port.
    let sent = desk.receive(udp("192.0.2.1:1234"), via("proxy.example:5070;"));
    assert_eq!(sent[0].0, udp("192.0.2.1:5070"));
    assert_eq!(sent[0].1.headers().via().unwrap().received(), Some("192.0.2.1".parse().unwrap()));
    let sent = desk.receive(udp("192.0.2.1:1234"), via("192.0.2.1;"));
    assert_eq!((sent[0].0, sent[0].1.headers().via().unwrap().received()), (udp("192.0.2.1:5060"), None));
    // RFC 3581.
    let sent = desk.receive(udp("192.0.2.1:1234"), via("192.0.2.1;rport;"));
    assert_eq!(
        (sent[0].0, sent[0].1.headers().via().unwrap().rport()),
        (udp("192.0.2.1:1234"), Some(Some(1234)))
    );
    let sent = desk.receive(tcp("192.0.2.1:1234", 3), via("192.0.2.1;"));
    assert_eq!(sent[0].0, tcp("192.0.2.1:1234", 3));
    // A datagram must not choose its victim.
    let sent = desk.receive(udp("192.0.2.1:5060"), via("192.0.2.1;maddr=203.0.113.1;"));
    assert_eq!(sent[0].0, udp("192.0.2.1:5060"));
    desk.close();
}

#[test]
fn a_refusal_whose_stream_is_lost_goes_by_another() {
    let mut desk = Desk::new();
    desk.receive(tcp("192.0.2.1:1234", 3), invite().replace("192.0.2.1:5060;", "192.0.2.1:5090;rport;"));
    let Some(Event::Invited { leg, .. }) = desk.events.pop() else { panic!() };
    desk.endpoint.handle_input(desk.now, Input::Unreachable { hop: tcp("192.0.2.1:1234", 3) });
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    let listening = Hop { stream: None, ..tcp("192.0.2.1:5090", 0) };
    assert_eq!(desk.sent()[0].0, listening);

    // Lost after it was sent: again.
    let mut desk = Desk::new();
    desk.receive(tcp("192.0.2.1:1234", 3), invite().replace("192.0.2.1:5060;", "192.0.2.1:5090;rport;"));
    let Some(Event::Invited { leg, .. }) = desk.events.pop() else { panic!() };
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    desk.sent();
    desk.endpoint.handle_input(desk.now, Input::Unreachable { hop: tcp("192.0.2.1:1234", 3) });
    let sent = desk.sent();
    assert_eq!((sent[0].0, status(&sent[0].1)), (listening, 480));
    desk.close();
}

#[test]
fn what_cannot_be_served_is_refused_with_what_could() {
    let with = |line: &str| invite().replace("Max-Forwards: 70", line);
    for (text, status, name, value) in [
        (invite().replace("sip:+862112345678@10.0.0.1 ", "http://10.0.0.1 "), 416, Name::Server, "baton"),
        (
            invite().replace("sip:+862112345678@10.0.0.1 ", "sips:+862112345678@10.0.0.1 "),
            416,
            Name::Server,
            "baton",
        ),
        (with("Max-Forwards: 0"), 483, Name::Server, "baton"),
        (with("Require: 100rel, path"), 420, Name::Unsupported, "100rel"),
        (with("Content-Encoding: gzip"), 415, Name::AcceptEncoding, "identity"),
        (invite().replace("Contact: <sip:192.0.2.1>\r\n", ""), 400, Name::Server, "baton"),
        (without("SUBSCRIBE", "1"), 405, Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"),
        (without("DANCE", "1"), 501, Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"),
        (without("BYE", "1"), 481, Name::Server, "baton"),
        (without("CANCEL", "1"), 481, Name::Server, "baton"),
        (within("INVITE", 2, "0123456789abcdef"), 481, Name::Server, "baton"),
        (within("BYE", 2, "another's"), 481, Name::Server, "baton"),
    ] {
        let mut desk = Desk::new();
        let response = desk.response(udp(CARRIER), &text);
        assert_eq!(response.status, status, "{text}");
        assert_eq!(response.headers.lossy(name).as_deref(), Some(value), "{text}");
        assert!(response.headers.to().unwrap().tag().is_some());
        assert_eq!(desk.response(udp(CARRIER), &text), response, "each copy is answered alike");
        assert!(desk.receive(udp(CARRIER), without("ACK", "1")).is_empty());
        assert!(desk.events.is_empty() && desk.endpoint.is_idle());
    }
    let mut desk = Desk::new();
    let bytes = invite().replace("CSeq: 1 INVITE", "CSeq: x INVITE").into();
    desk.endpoint.handle_input(desk.now, Input::Received { hop: udp(CARRIER), bytes });
    let Some(Output::Transmit { hop, bytes }) = desk.endpoint.poll_output() else { panic!() };
    assert!(hop == udp(CARRIER) && bytes.starts_with(b"SIP/2.0 400 "));

    let mut desk = Desk::new();
    let two = desk.response(udp(CARRIER), with("Require: 100rel, path"));
    assert_eq!(two.headers.all(Name::Unsupported).collect::<Vec<_>>(), [b"100rel", &b"path"[..]]);
}

#[test]
fn options_tells_what_we_can() {
    let mut desk = Desk::new();
    let response = desk.response(udp("203.0.113.5:5060"), without("OPTIONS", "1"));
    assert_eq!(response.status, 200);
    for name in [Name::Allow, Name::Accept, Name::Supported] {
        assert!(response.headers.contains(name), "{name:?}");
    }
    desk.endpoint.admit(Admission::Draining);
    let response = desk.response(udp("203.0.113.5:5060"), without("OPTIONS", "1"));
    assert_eq!((response.status, response.headers.number(Name::RetryAfter)), (503, Ok(Some(30))));
}

#[test]
fn strays_are_absorbed() {
    let mut desk = Desk::new();
    for text in [
        without("ACK", "1"),
        within("ACK", 1, "0123456789abcdef"),
        text(&Response { status: 200, ..answering(request(&parse(invite().into()).unwrap()), 200, "x") }),
        "\r\n\r\n".into(),
        "garbage".into(),
        String::new(),
    ] {
        assert!(desk.receive(udp(CARRIER), text).is_empty());
    }
    assert!(desk.events.is_empty() && desk.endpoint.is_idle());
}

#[test]
fn strangers_are_turned_away_and_those_of_our_domain_are_challenged() {
    let mut desk = Desk::new();
    assert_eq!(desk.statuses(udp("203.0.113.5:5060"), invite()), [403]);
    assert!(desk.receive(udp("203.0.113.5:5060"), without("ACK", "1")).is_empty());
    // Known or not, an account looks the same.
    for user in ["1001", "8888"] {
        let asked = desk.response(udp("203.0.113.5:5060"), of_phone("INVITE", 1, user, CONTACT));
        assert_eq!((asked.status, asked.headers.named(Name::WwwAuthenticate).count()), (401, 2));
    }
    // Our address will do for a domain.
    let by_address = invite().replace("carrier.example", "10.0.0.1");
    assert_eq!(desk.statuses(udp("203.0.113.5:5060"), by_address), [401]);
    assert!(desk.events.is_empty() && desk.endpoint.is_idle());
}

#[test]
fn a_flood_of_strangers_is_met_with_silence_and_the_trunk_is_served() {
    let mut desk = Desk::new();
    let answered = (0..1000).filter(|_| !desk.receive(udp("203.0.113.5:5060"), invite()).is_empty()).count();
    assert_eq!((answered, desk.endpoint.counts().dropped), (100, 900));
    assert_eq!(desk.statuses(udp(CARRIER), invite()), [100]);
}

#[test]
fn a_call_too_many_is_turned_away() {
    let bounds = Bounds { usages: 1, ..Bounds::default() };
    let mut desk = Desk::with(Settings { bounds, ..own_settings() });
    desk.receive(udp(CARRIER), invite());
    let another = without("INVITE", "2").replace("Call-ID: call", "Call-ID: another");
    assert_eq!(desk.response(udp(CARRIER), &another).status, 503);
    let Some(Event::Invited { leg, .. }) = desk.events.pop() else { panic!() };
    desk.endpoint.hang_up(desk.now, leg, 486, None);
    desk.sent();
    assert_eq!(desk.statuses(udp(CARRIER), another), [100]);

    let bounds = Bounds { transactions: 1, ..Bounds::default() };
    let mut desk = Desk::with(Settings { bounds, ..own_settings() });
    desk.receive(udp(CARRIER), invite());
    let another = without("INVITE", "2").replace("Call-ID: call", "Call-ID: another");
    assert_eq!(desk.statuses(udp(CARRIER), another), [503]);
}

#[test]
fn our_own_invite_that_comes_back_is_a_loop() {
    let mut desk = Desk::new();
    let leg = desk.endpoint.next_leg();
    let target = Target::Trunk("carrier".into(), uri("sip:1@192.0.2.1"));
    let from = NameAddr::new(uri("sip:2@10.0.0.1"));
    desk.endpoint.invite(desk.now, leg, Invitation { target, from, headers: Headers::new(), body: None });
    let sent = desk.sent();
    let mut back = request(&sent[0].1).clone();
    back.headers.prepend(Name::Via, Value::constant("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKproxy"));
    assert_eq!(desk.statuses(udp(CARRIER), String::from_utf8_lossy(&back.to_bytes())), [482]);
}

#[test]
fn requests_within_a_call_are_taken_in_order_only() {
    let mut desk = Desk::new();
    let (_, tag) = desk.up();
    assert_eq!(desk.statuses(udp(CARRIER), within("INFO", 5, &tag)), [200]);
    assert_eq!(desk.statuses(udp(CARRIER), within("INFO", 5, &tag)), [200], "a repetition");
    assert_eq!(desk.statuses(udp(CARRIER), within("INFO", 4, &tag)), [500]);
    assert_eq!(desk.statuses(udp(CARRIER), within("BYE", 5, &tag)), [500]);
    assert_eq!(desk.statuses(udp(CARRIER), within("OPTIONS", 6, &tag)), [200]);
    assert_eq!(desk.statuses(udp(CARRIER), within("REFER", 7, &tag)), [405]);
    let elsewhere = within("BYE", 8, &tag).replace("tag=f", "tag=g");
    assert_eq!(desk.statuses(udp(CARRIER), elsewhere), [481]);
    assert_eq!(desk.statuses(udp(CARRIER), within("BYE", 9, &tag)), [200]);
    assert_eq!(desk.statuses(udp(CARRIER), within("BYE", 9, &tag)), [200], "a repetition");
    assert_eq!(desk.statuses(udp(CARRIER), within("BYE", 10, &tag)), [481]);
    assert_eq!(desk.told(), ["Informed", "Ended by BYE"]);
    desk.close();
}

#[test]
fn one_offer_at_a_time() {
    let mut desk = Desk::new();
    let (leg, tag) = desk.up();
    assert_eq!(desk.statuses(udp(CARRIER), within("INVITE", 2, &tag)), [100]);
    let sent = desk.receive(udp(CARRIER), within("INVITE", 3, &tag));
    assert_eq!((status(&sent[0].1), status(&sent[1].1)), (100, 500));
    assert!(sent[1].1.headers().number(Name::RetryAfter).unwrap().unwrap() <= 10);
    desk.endpoint.respond(desk.now, leg, 200, Headers::new(), Some(Body::sdp("x")));
    desk.sent();
    // Our 2xx waits for its ACK (RFC 5407 §3.1).
    assert_eq!(desk.statuses(udp(CARRIER), within("INVITE", 4, &tag)), [100, 491]);
    desk.receive(udp(CARRIER), within("ACK", 2, &tag));
    assert_eq!(desk.told(), ["Reoffered by INVITE", "Acked"]);
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    desk.close();
}

#[test]
fn an_update_without_a_body_only_moves_the_peer() {
    let mut desk = Desk::new();
    let (leg, tag) = desk.up();
    let moved = within("UPDATE", 2, &tag).replace("<sip:192.0.2.1>", "<sip:192.0.2.99:5070>");
    assert_eq!(desk.statuses(udp(CARRIER), moved), [200]);
    let offer = within("UPDATE", 3, &tag)
        .replace("<sip:192.0.2.1>", "<sip:192.0.2.99:5070>")
        .replace("Content-Length: 0\r\n\r\n", "Content-Type: application/sdp\r\nContent-Length: 1\r\n\r\nx");
    assert!(desk.receive(udp(CARRIER), &offer).is_empty());
    assert_eq!(desk.told(), ["Reoffered by UPDATE"]);
    desk.endpoint.respond(desk.now, leg, 200, Headers::new(), Some(Body::sdp("y")));
    let sent = desk.sent();
    assert_eq!((status(&sent[0].1), &sent[0].1.body()[..]), (200, &b"y"[..]));
    assert!(sent[0].1.headers().contains(Name::Contact));
    // No ACK follows an UPDATE: nothing is repeated.
    assert!(desk.wait(Duration::from_secs(20)).is_empty());
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    let sent = desk.sent();
    assert_eq!(
        (sent[0].0, request(&sent[0].1).uri.as_str()),
        (udp("192.0.2.99:5070"), "sip:192.0.2.99:5070")
    );
    desk.close();
}

#[test]
fn an_update_nobody_answers_in_time_is_owed_no_more() {
    let mut desk = Desk::new();
    let (leg, tag) = desk.up();
    let offer = |number| {
        within("UPDATE", number, &tag).replace(
            "Content-Length: 0\r\n\r\n",
            "Content-Type: application/sdp\r\nContent-Length: 1\r\n\r\nx",
        )
    };
    desk.receive(udp(CARRIER), offer(2));
    let late = desk.wait(Duration::from_secs(33));
    assert_eq!(late.iter().map(|(_, m)| status(m)).collect::<Vec<_>>(), [100]);
    assert!(desk.receive(udp(CARRIER), offer(3)).is_empty());
    desk.endpoint.respond(desk.now, leg, 488, Headers::new(), None);
    assert_eq!(desk.sent().len(), 1);
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    desk.close();
}

#[test]
fn updates_before_the_answer_are_put_off() {
    let mut desk = Desk::new();
    desk.receive(udp(CARRIER), invite());
    let Some(Event::Invited { leg, .. }) = desk.events.pop() else { panic!() };
    desk.endpoint.respond(desk.now, leg, 180, Headers::new(), None);
    let tag = to_tag(&desk.sent()[0].1);
    assert_eq!(desk.statuses(udp(CARRIER), within("UPDATE", 2, &tag)), [200]);
    let offer = within("UPDATE", 3, &tag)
        .replace("Content-Length: 0\r\n\r\n", "Content-Type: application/sdp\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(desk.statuses(udp(CARRIER), offer), [500]);
    assert_eq!(desk.statuses(udp(CARRIER), within("INVITE", 4, &tag)), [100, 500]);
    // A caller may end what rings by BYE too (RFC 3261 §15).
    assert_eq!(desk.statuses(udp(CARRIER), within("BYE", 5, &tag)), [200, 487]);
    assert_eq!(desk.told(), ["Cancelled"]);
    desk.close();
}

#[test]
fn a_cancelled_reinvite_leaves_the_call_up() {
    let mut desk = Desk::new();
    let (leg, tag) = desk.up();
    desk.receive(udp(CARRIER), within("INVITE", 2, &tag));
    let cancel = within("CANCEL", 2, &tag).replace("z9hG4bKCANCEL2", "z9hG4bKINVITE2");
    assert_eq!(desk.statuses(udp(CARRIER), cancel), [200, 487]);
    assert_eq!(desk.told(), ["Reoffered by INVITE"]);
    desk.endpoint.respond(desk.now, leg, 200, Headers::new(), None);
    assert!(desk.sent().is_empty());
    assert_eq!(desk.statuses(udp(CARRIER), within("INVITE", 3, &tag)), [100]);
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    desk.close();
}

#[test]
fn a_phone_registers_by_either_algorithm_and_can_be_called() {
    for algorithm in ["MD5", "SHA-256"] {
        let mut desk = Desk::new();
        let asked = desk.response(udp(PHONE), of_phone("REGISTER", 1, "1001", CONTACT));
        assert_eq!(asked.status, 401);
        let proof = proof(&asked, algorithm, "REGISTER", "1001") + CONTACT;
        let taken = desk.response(udp(PHONE), of_phone("REGISTER", 2, "1001", &proof));
        assert_eq!(taken.status, 200);
        assert_eq!(taken.headers.lossy(Name::Contact).unwrap(), "<sip:1001@172.16.0.9:5060>;expires=120");
        assert_eq!(desk.told(), ["Registered agent-1001 true"]);
        // A repetition is answered, not replayed.
        assert_eq!(desk.response(udp(PHONE), of_phone("REGISTER", 2, "1001", &proof)), taken);

        let leg = desk.endpoint.next_leg();
        let target = Target::Account("agent-1001".into());
        let from = NameAddr::new(uri("sip:queue@10.0.0.1"));
        desk.endpoint.invite(desk.now, leg, Invitation { target, from, headers: Headers::new(), body: None });
        let sent = desk.sent();
        // Behind its NAT only the way it came leads back.
        assert_eq!((sent[0].0, request(&sent[0].1).uri.as_str()), (udp(PHONE), "sip:1001@172.16.0.9:5060"));
        desk.endpoint.hang_up(desk.now, leg, 480, None);

        desk.wait(Duration::from_secs(119));
        assert_eq!(desk.told(), [""; 0]);
        desk.wait(Duration::from_secs(1));
        assert_eq!(desk.told(), ["Registered agent-1001 false"]);
        let leg = desk.endpoint.next_leg();
        let target = Target::Account("agent-1001".into());
        let from = NameAddr::new(uri("sip:queue@10.0.0.1"));
        desk.endpoint.invite(desk.now, leg, Invitation { target, from, headers: Headers::new(), body: None });
        assert!(desk.sent().is_empty());
        assert_eq!(desk.told(), ["Refused 480"]);
        desk.close();
    }
}

#[test]
fn without_a_choice_of_algorithms_sha_256_is_asked_for_only_where_it_must_be() {
    let asked = |accounts: Vec<Account>| {
        let mut desk = Desk::with(Settings { algorithms: vec![], accounts, ..own_settings() });
        let response = desk.response(udp(PHONE), of_phone("REGISTER", 1, "1001", CONTACT));
        let names = response.headers.challenges(Name::WwwAuthenticate);
        names.map(|c| c.unwrap().text("algorithm").unwrap().into_owned()).collect::<Vec<_>>()
    };
    let newer = Account { ha1: Ha1 { md5: None, ..account("1002").ha1 }, ..account("1002") };
    assert_eq!(asked(vec![account("1001")]), ["MD5"]);
    assert_eq!(asked(vec![account("1001"), newer]), ["SHA-256", "MD5"]);
}

#[test]
fn a_replayed_or_stale_proof_is_asked_for_again() {
    let mut desk = Desk::new();
    let asked = desk.response(udp(PHONE), of_phone("REGISTER", 1, "1001", CONTACT));
    let answer = proof(&asked, "MD5", "REGISTER", "1001");
    assert_eq!(desk.response(udp(PHONE), of_phone("REGISTER", 2, "1001", &answer)).status, 200);
    let is_stale = |response: &Response| {
        let challenge = response.headers.challenges(Name::WwwAuthenticate).next().unwrap().unwrap();
        (response.status, challenge.text("stale").as_deref() == Some("true"))
    };
    let replayed = desk.response(udp(PHONE), of_phone("REGISTER", 3, "1001", &(answer.clone() + CONTACT)));
    assert_eq!(is_stale(&replayed), (401, true));

    let fresh = proof(&replayed, "MD5", "REGISTER", "1001");
    desk.wait(Duration::from_secs(301));
    let late = desk.response(udp(PHONE), of_phone("REGISTER", 4, "1001", &fresh));
    assert_eq!(is_stale(&late), (401, true));
    let wrong = fresh.replace("response=\"", "response=\"0");
    assert_eq!(is_stale(&desk.response(udp(PHONE), of_phone("REGISTER", 5, "1001", &wrong))), (401, false));
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn an_unknown_account_is_answered_like_a_known_one_with_a_wrong_password() {
    let mut desk = Desk::new();
    let mut answers = vec![];
    for user in ["1001", "8888"] {
        let asked = desk.response(udp(PHONE), of_phone("REGISTER", 1, user, CONTACT));
        let mut challenge = asked.headers.challenges(Name::WwwAuthenticate).next().unwrap().unwrap();
        let wrong = Login { password: Pii::new("guess".into()), ..login(user) };
        let credentials =
            crate::sip::auth::answer(&challenge, &wrong, "REGISTER", "sip:x", &mut Mint::new([8; 32]))
                .unwrap();
        let line = format!("Authorization: {}\r\n{CONTACT}", Value::from(credentials).lossy());
        let again = desk.response(udp(PHONE), of_phone("REGISTER", 2, user, &line));
        challenge = again.headers.challenges(Name::WwwAuthenticate).next().unwrap().unwrap();
        answers.push((asked.status, again.status, again.headers.len(), challenge.text("stale").is_some()));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].1, 401);
}

#[test]
fn a_phone_whose_stream_breaks_cannot_be_reached_until_it_registers_again() {
    let mut desk = Desk::new();
    let flow = tcp(PHONE, 4);
    register(&mut desk, flow);
    desk.endpoint.handle_input(desk.now, Input::Unreachable { hop: flow });
    desk.sent();
    assert_eq!(desk.told(), ["Registered agent-1001 false"]);
    desk.close();
}

#[test]
fn a_phone_registers_its_own_account_only() {
    let mut desk = Desk::new();
    let asked = desk.response(udp(PHONE), of_phone("REGISTER", 1, "1002", CONTACT));
    let proof = proof(&asked, "MD5", "REGISTER", "1001") + CONTACT;
    assert_eq!(desk.response(udp(PHONE), of_phone("REGISTER", 2, "1002", &proof)).status, 403);
    assert!(desk.endpoint.registrar().is_empty());
}

#[test]
fn what_a_register_asks_for_must_make_sense() {
    for (line, status) in [
        ("Contact: <sip:1001@h>;expires=30\r\n", 423),
        ("Contact: *\r\nExpires: 0\r\n", 200),
        ("Contact: *\r\nExpires: 60\r\n", 400),
        ("Contact: *\r\n", 400),
        ("Contact: *, <sip:a@h>\r\nExpires: 0\r\n", 400),
        ("Contact: <tel:+1>\r\n", 400),
        ("Contact: <sip:a@h>;expires=x;q=0.5\r\n", 200),
        ("Contact: <sip:a@h>\r\nExpires: 99999999999999\r\n", 200),
        ("", 200),
        ("Require: outbound\r\nContact: <sip:a@h>\r\n", 420),
    ] {
        let mut desk = Desk::new();
        register(&mut desk, udp(PHONE));
        let asked = desk.response(udp(PHONE), of_phone("REGISTER", 3, "1001", ""));
        let proof = proof(&asked, "MD5", "REGISTER", "1001") + line;
        let response = desk.response(udp(PHONE), of_phone("REGISTER", 4, "1001", &proof));
        assert_eq!(response.status, status, "{line}");
        assert_eq!(response.headers.number(Name::MinExpires) == Ok(Some(60)), status == 423);
        let bound = desk.endpoint.registrar().len();
        assert_eq!(
            bound,
            if line.contains("*\r\nExpires: 0") {
                0
            } else {
                1 + usize::from(line.contains("a@h") && status == 200)
            }
        );
        desk.close();
    }
}

#[test]
fn a_reload_keeps_registrations_of_accounts_that_remain() {
    let mut desk = Desk::new();
    register(&mut desk, udp(PHONE));
    desk.endpoint.reconfigure(own_settings());
    assert_eq!(desk.endpoint.counts().registrations, 1);
    desk.endpoint.reconfigure(Settings { accounts: vec![account("1002")], ..own_settings() });
    desk.sent();
    assert_eq!(desk.told(), ["Registered agent-1001 false"]);
}

#[test]
fn every_call_of_a_phone_is_challenged_and_what_follows_by_the_same_way_is_not() {
    let mut desk = Desk::new();
    register(&mut desk, udp(PHONE));
    // Registered, it may say it is whom it likes.
    let foreign = of_phone("INVITE", 1, "1001", CONTACT).replace(REALM, "elsewhere.example");
    let asked = desk.response(udp(PHONE), foreign);
    assert_eq!(asked.status, 401);
    let proof_line = proof(&asked, "SHA-256", "INVITE", "1001") + CONTACT;
    assert_eq!(desk.statuses(udp(PHONE), of_phone("INVITE", 2, "1001", &proof_line)), [100]);
    let Some(Event::Invited { leg, peer, .. }) = desk.events.pop() else { panic!() };
    assert_eq!(peer, Peer::Agent("agent-1001".into()));
    desk.endpoint.respond(desk.now, leg, 200, Headers::new(), None);
    let sent = desk.sent();
    assert_eq!(sent[0].0, udp(PHONE));
    let tag = to_tag(&sent[0].1);
    let tagged = |method: &str, number, extra: &str| {
        of_phone(method, number, "1001", extra)
            .replace(&format!("To: <sip:9@{REALM}>"), &format!("To: <sip:9@{REALM}>;tag={tag}"))
            .replace(&format!("phone-{method}"), "phone-INVITE")
    };
    desk.receive(udp(PHONE), tagged("ACK", 2, ""));
    assert_eq!(desk.statuses(udp(PHONE), tagged("INFO", 3, "")), [200]);

    // From elsewhere anybody might have overheard the tags.
    let elsewhere = udp("198.51.100.7:40001");
    let asked = desk.response(elsewhere, tagged("BYE", 4, ""));
    assert_eq!(asked.status, 401);
    let another = proof(&asked, "MD5", "BYE", "1002");
    assert_eq!(desk.statuses(elsewhere, tagged("BYE", 5, &another)), [401]);
    let asked = desk.response(elsewhere, tagged("BYE", 6, ""));
    let own = proof(&asked, "MD5", "BYE", "1001");
    assert_eq!(desk.statuses(elsewhere, tagged("BYE", 7, &own)), [200]);
    assert_eq!(desk.told(), ["Acked", "Informed", "Ended by BYE"]);
    desk.close();
}

#[test]
fn a_trunk_that_asks_who_we_are_is_told_once_a_nonce() {
    let trunks = vec![Trunk { login: Some(login("us")), ..trunk("carrier", CARRIER, Transport::Udp) }];
    let mut desk = Desk::with(Settings { trunks, ..own_settings() });
    let invitation = |target| {
        let from = NameAddr::new(uri("sip:2@10.0.0.1"));
        Invitation { target, from, headers: Headers::new(), body: Some(Body::sdp("offer")) }
    };
    let target = Target::Trunk("carrier".into(), uri("sip:1@192.0.2.1"));
    let leg = desk.endpoint.next_leg();
    desk.endpoint.invite(desk.now, leg, invitation(target.clone()));
    let first = request(&desk.sent()[0].1).clone();
    let ask = |request: &Request, nonce: &str| {
        let challenge = format!("Digest realm=\"c\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5");
        text(&answering(request, 407, "t").with(Name::ProxyAuthenticate, Value::from(challenge)))
    };
    let sent = desk.receive(udp(CARRIER), ask(&first, "n1"));
    let (ack, second) = (request(&sent[0].1), request(&sent[1].1).clone());
    assert_eq!((ack.method.clone(), second.method.clone()), (Method::Ack, Method::Invite));
    assert_eq!(second.headers.cseq().unwrap().number, 2);
    assert_eq!(second.headers.call_id(), first.headers.call_id());
    assert_ne!(second.headers.via().unwrap().branch(), first.headers.via().unwrap().branch());
    assert_eq!(second.body, first.body);
    let proof = second.headers.credentials(Name::ProxyAuthorization).next().unwrap().unwrap();
    assert_eq!((proof.text("nonce").as_deref(), proof.text("username").as_deref()), (Some("n1"), Some("us")));

    // The ACK of its 2xx shows the same (RFC 3261 §22.1).
    desk.receive(udp(CARRIER), text(&answering(&second, 200, "t")));
    assert_eq!(desk.told(), ["Answered 200"]);
    desk.endpoint.ack(desk.now, leg, None);
    let ack = request(&desk.sent()[0].1).clone();
    assert_eq!(ack.headers.get(Name::ProxyAuthorization), second.headers.get(Name::ProxyAuthorization));
    assert_eq!(ack.headers.cseq().unwrap().number, 2);
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    let bye = request(&desk.sent()[0].1).clone();
    assert_eq!(bye.headers.cseq().unwrap().number, 3);
    let sent = desk.receive(udp(CARRIER), ask(&bye, "n2"));
    assert_eq!(request(&sent[0].1).headers.cseq().unwrap().number, 4);

    // Asked with the same nonce again, the password is wrong.
    let leg = desk.endpoint.next_leg();
    desk.endpoint.invite(desk.now, leg, invitation(target));
    let first = request(&desk.sent()[0].1).clone();
    let sent = desk.receive(udp(CARRIER), ask(&first, "n3"));
    let second = request(&sent[1].1).clone();
    assert_eq!(desk.receive(udp(CARRIER), ask(&second, "n3")).len(), 1);
    assert_eq!(desk.told(), ["Refused 407"]);
    desk.close();
}

#[test]
fn further_forks_that_answer_are_acknowledged_and_ended() {
    let mut desk = Desk::new();
    let leg = desk.endpoint.next_leg();
    let target = Target::Trunk("carrier".into(), uri("sip:1@192.0.2.1"));
    let from = NameAddr::new(uri("sip:2@10.0.0.1"));
    desk.endpoint.invite(desk.now, leg, Invitation { target, from, headers: Headers::new(), body: None });
    let invite = request(&desk.sent()[0].1).clone();
    for (status, tag) in [(180, "a"), (183, "b")] {
        assert!(desk.receive(udp(CARRIER), text(&answering(&invite, status, tag))).is_empty());
    }
    assert!(desk.receive(udp(CARRIER), text(&answering(&invite, 200, "b"))).is_empty());
    assert!(
        desk.receive(udp(CARRIER), text(&answering(&invite, 200, "b"))).is_empty(),
        "no ACK to repeat yet"
    );
    let sent = desk.receive(udp(CARRIER), text(&answering(&invite, 200, "a")));
    let methods: Vec<_> = sent.iter().map(|(_, m)| (request(m).method.to_string(), to_tag(m))).collect();
    assert_eq!(methods, [("ACK".into(), "a".into()), ("BYE".into(), "a".into())]);
    let sent = desk.receive(udp(CARRIER), text(&answering(&invite, 200, "a")));
    assert_eq!(sent.len(), 1, "its ACK again");
    desk.endpoint.ack(desk.now, leg, None);
    assert_eq!(to_tag(&desk.sent()[0].1), "b");
    assert_eq!(desk.told(), ["Progressed 180", "Progressed 183", "Answered 200"]);
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    desk.close();
}

#[test]
fn targets_that_cannot_be_reached_are_refused_with_503() {
    let mut desk = Desk::new();
    for target in [
        Target::Uri(uri("sip:1@pbx.example")),
        Target::Uri(uri("sip:1@[2001:db8::1]")),
        Target::Uri(uri("tel:+1")),
        Target::Trunk("nobody".into(), uri("sip:1@192.0.2.1")),
    ] {
        let leg = desk.endpoint.next_leg();
        let from = NameAddr::new(uri("sip:2@10.0.0.1"));
        desk.endpoint.invite(desk.now, leg, Invitation { target, from, headers: Headers::new(), body: None });
        assert!(desk.sent().is_empty());
        assert_eq!(desk.told(), ["Refused 503"]);
    }
    let leg = desk.endpoint.next_leg();
    let target = Target::Uri(uri("sip:1@192.0.2.77:5080;transport=TCP"));
    let from = NameAddr::new(uri("sip:2@10.0.0.1"));
    desk.endpoint.invite(desk.now, leg, Invitation { target, from, headers: Headers::new(), body: None });
    assert_eq!(desk.sent()[0].0, Hop { stream: None, ..tcp("192.0.2.77:5080", 0) });
}

#[test]
fn the_advertised_address_is_what_peers_are_given() {
    let advertised = Some("203.0.113.200".parse().unwrap());
    let listeners = vec![(Transport::Udp, address("0.0.0.0:5062"))];
    let mut desk = Desk::with(Settings { advertised, listeners, ..own_settings() });
    for (at, own) in [("192.0.2.77", "203.0.113.200:5062"), ("127.0.0.1", "127.0.0.1:5062")] {
        let leg = desk.endpoint.next_leg();
        let target = Target::Uri(uri(&format!("sip:1@{at}")));
        let from = NameAddr::new(uri("sip:2@10.0.0.1"));
        desk.endpoint.invite(desk.now, leg, Invitation { target, from, headers: Headers::new(), body: None });
        let invite = request(&desk.sent()[0].1).clone();
        assert_eq!(invite.headers.lossy(Name::Contact).unwrap(), format!("<sip:{own}>"));
        let via = invite.headers.via().unwrap();
        assert_eq!(
            (via.host().and_then(crate::sip::Host::ip), via.port),
            (Some(address(own).ip()), Some(5062))
        );
    }
}

#[test]
fn headers_of_the_layer_above_cannot_displace_the_endpoints() {
    let mut desk = Desk::new();
    desk.receive(udp(CARRIER), invite());
    let Some(Event::Invited { leg, .. }) = desk.events.pop() else { panic!() };
    let mut headers = Headers::new();
    for name in [Name::Via, Name::To, Name::CSeq, Name::Contact, Name::Subject] {
        headers.push(name, Value::constant("<sip:mine>"));
    }
    desk.endpoint.respond(desk.now, leg, 183, headers, None);
    let sent = desk.sent();
    let response = sent[0].1.headers();
    for name in [Name::Via, Name::To, Name::CSeq, Name::Contact, Name::Subject] {
        assert_eq!(response.named(name).count(), 1, "{name:?}");
    }
    assert_eq!(response.get(Name::Subject), Some(&b"<sip:mine>"[..]));
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    desk.close();
}

#[test]
fn routes_a_caller_recorded_are_in_our_answer_and_our_requests() {
    let mut desk = Desk::new();
    let recorded = "Record-Route: <sip:192.0.2.8;lr>, <sip:192.0.2.9;lr>\r\nMax-Forwards: 70";
    desk.receive(udp(CARRIER), invite().replace("Max-Forwards: 70", recorded));
    let Some(Event::Invited { leg, .. }) = desk.events.pop() else { panic!() };
    desk.endpoint.respond(desk.now, leg, 200, Headers::new(), None);
    let sent = desk.sent();
    assert_eq!(
        sent[0].1.headers().lossy(Name::RecordRoute).unwrap(),
        "<sip:192.0.2.8;lr>, <sip:192.0.2.9;lr>"
    );
    desk.receive(udp(CARRIER), within("ACK", 1, &to_tag(&sent[0].1)));
    desk.endpoint.hang_up(desk.now, leg, 480, None);
    let sent = desk.sent();
    let bye = request(&sent[0].1);
    let routes: Vec<_> =
        bye.headers.routes().unwrap().iter().map(|route| route.uri.as_str().to_owned()).collect();
    assert_eq!(routes, ["sip:192.0.2.8;lr", "sip:192.0.2.9;lr"]);
    assert_eq!((bye.uri.as_str(), sent[0].0), ("sip:192.0.2.1", udp("192.0.2.8:5060")));
    desk.close();
}
