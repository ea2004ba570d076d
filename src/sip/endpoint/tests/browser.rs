//! Browsers' phones (RFC 7118): they are reached by their stream, or not at all.

use super::raw::{CARRIER, Desk, invite, of_phone, proof, request, udp};
use super::*;

/// An endpoint, and what goes over which stream and is told above.
struct Stage {
    desk: Desk,
    number: u32,
    transcript: String,
}

/// Behind one reverse proxy all come from one address.
fn stream(number: u64) -> Hop {
    let stream = Some(StreamId(number));
    Hop {
        transport: Transport::Wss,
        local: address("10.0.0.1:443"),
        remote: address("10.0.0.2:50000"),
        stream,
    }
}

impl Stage {
    fn new() -> Self {
        Self { desk: Desk::new(), number: 0, transcript: String::new() }
    }

    fn note(&mut self, sent: &[(Hop, Message)]) {
        for (hop, message) in sent {
            let what = match message {
                Message::Request(request) => format!("{} {}", request.method, request.uri.as_str()),
                Message::Response(response) => {
                    format!("{} {}", response.status, response.headers.cseq().unwrap().method)
                }
            };
            self.transcript += &format!("{}: {what}\n", hop.stream.map_or(0, |stream| stream.0));
        }
        for told in self.desk.told() {
            self.transcript += &format!("   {told}\n");
        }
    }

    fn played(&mut self) -> String {
        std::mem::take(&mut self.transcript)
    }

    fn receive(&mut self, by: u64, text: impl AsRef<str>) -> Vec<(Hop, Message)> {
        let sent = self.desk.receive(stream(by), text);
        self.note(&sent);
        sent
    }

    /// A request of 1001's page, sent again with the proof it is asked for.
    fn prove(&mut self, by: u64, method: &str, extra: &str) -> Vec<(Hop, Message)> {
        let text = |number, extra: &str| {
            let via = "SIP/2.0/WSS page.invalid;";
            of_phone(method, number, "1001", extra).replace("SIP/2.0/UDP 172.16.0.9:5060;rport;", via)
        };
        self.number += 2;
        let asked = match self.desk.receive(stream(by), text(self.number - 1, extra)).pop() {
            Some((_, Message::Response(asked))) => asked,
            other => panic!("{other:?}"),
        };
        let proof = proof(&asked, "SHA-256", method, "1001");
        self.receive(by, text(self.number, &(proof + extra)))
    }

    fn register(&mut self, by: u64, contact: &str) -> Vec<(Hop, Message)> {
        let params = "reg-id=1;+sip.instance=\"<urn:uuid:page>\";expires=120";
        self.prove(by, "REGISTER", &format!("Supported: outbound\r\nContact: <{contact}>;{params}\r\n"))
    }

    fn ring(&mut self) -> (LegId, Option<Request>) {
        let leg = self.desk.endpoint.next_leg();
        let target = Target::Account("agent-1001".into());
        let from = NameAddr::new(uri("sip:queue@10.0.0.1"));
        let invitation = Invitation { target, from, headers: Headers::new(), body: None };
        self.desk.endpoint.invite(self.desk.now, leg, invitation);
        let sent = self.desk.sent();
        self.note(&sent);
        (leg, sent.first().map(|(_, message)| request(message).clone()))
    }

    /// Rings, and the page answers.
    fn talk(&mut self, by: u64, contact: &str) -> LegId {
        let (leg, invite) = self.ring();
        let ok = Response::to(&invite.expect("it rings"), 200)
            .with_to_tag("page")
            .with(Name::Contact, Value::from(format!("<{contact}>")));
        self.receive(by, String::from_utf8(ok.to_bytes().to_vec()).unwrap());
        self.desk.endpoint.ack(self.desk.now, leg, None);
        let sent = self.desk.sent();
        self.note(&sent);
        leg
    }

    fn lose(&mut self, number: u64) {
        self.desk.endpoint.handle_input(self.desk.now, Input::Unreachable { hop: stream(number) });
        let sent = self.desk.sent();
        self.note(&sent);
    }

    fn hang_up(&mut self, leg: LegId) {
        self.desk.endpoint.hang_up(self.desk.now, leg, 480, None);
        let sent = self.desk.sent();
        self.note(&sent);
    }
}

const ONE: &str = "sip:one@x.invalid;transport=ws";
const TWO: &str = "sip:two@y.invalid;transport=ws";

#[test]
fn a_browser_is_rung_over_its_stream_and_cannot_be_reached_without_it() {
    let mut stage = Stage::new();
    let answer = stage.register(1, ONE);
    let contact = answer[0].1.headers().lossy(Name::Contact).unwrap();
    assert_eq!(contact, format!("<{ONE}>;expires=120;+sip.instance=\"<urn:uuid:page>\";reg-id=1"));
    let agent = AgentId::from("agent-1001");
    assert_eq!(stage.desk.endpoint.registrar().transport(&agent), Some(Transport::Wss));

    let (_, invite) = stage.ring();
    let headers = invite.expect("it rings").headers;
    assert_eq!(headers.via().unwrap().transport(), "WSS");
    assert_eq!(headers.lossy(Name::Contact).unwrap(), "<sip:10.0.0.1:443;transport=ws>");
    // A stream loses nothing: nothing is repeated.
    let repeated = stage.desk.wait(Duration::from_secs(10));
    stage.note(&repeated);
    stage.lose(1);
    stage.ring();
    assert_eq!(
        stage.played(),
        "1: 200 REGISTER\n   Registered agent-1001 true\n1: INVITE sip:one@x.invalid;transport=ws\n   \
         Registered agent-1001 false\n   Refused 503\n   Refused 480\n"
    );
    assert_eq!(stage.desk.endpoint.registrar().transport(&agent), None);
    stage.desk.close();
}

#[test]
fn a_page_that_was_loaded_again_takes_over_while_its_old_stream_still_stands() {
    let mut stage = Stage::new();
    stage.register(1, ONE);
    stage.register(2, TWO);
    let (leg, _) = stage.ring();
    stage.hang_up(leg);
    stage.lose(1);
    assert_eq!(
        stage.played(),
        "1: 200 REGISTER\n   Registered agent-1001 true\n2: 200 REGISTER\n\
         2: INVITE sip:two@y.invalid;transport=ws\n"
    );
    stage.lose(2);
    assert_eq!(stage.played(), "   Registered agent-1001 false\n");
    stage.desk.close();
}

#[test]
fn a_call_finds_its_page_again_by_the_stream_it_came_back_by() {
    let mut stage = Stage::new();
    stage.register(1, ONE);
    let leg = stage.talk(1, &format!("{ONE};ob"));
    stage.lose(1);
    stage.register(2, ONE);
    stage.hang_up(leg);
    assert_eq!(
        stage.played(),
        "1: 200 REGISTER\n   Registered agent-1001 true\n1: INVITE sip:one@x.invalid;transport=ws\n   \
         Answered 200\n1: ACK sip:one@x.invalid;transport=ws;ob\n   Registered agent-1001 false\n\
         2: 200 REGISTER\n   Registered agent-1001 true\n2: BYE sip:one@x.invalid;transport=ws;ob\n"
    );
    stage.desk.close();
}

#[test]
fn a_call_whose_page_does_not_come_back_ends_when_there_is_something_to_say() {
    let mut stage = Stage::new();
    stage.register(1, ONE);
    let leg = stage.talk(1, ONE);
    stage.lose(1);
    stage.played();
    stage.hang_up(leg);
    // The shell knows no such stream.
    stage.lose(1);
    assert_eq!(stage.played(), "1: BYE sip:one@x.invalid;transport=ws\n");
    stage.desk.close();
}

#[test]
fn a_browsers_own_call_is_taken_back_when_its_stream_ends_before_the_answer() {
    let mut stage = Stage::new();
    stage.prove(1, "INVITE", &format!("Contact: <{ONE};ob>\r\n"));
    stage.lose(1);
    // What could not be said comes back.
    stage.lose(1);
    assert_eq!(stage.played(), "1: 100 INVITE\n   Invited\n1: 487 INVITE\n   Cancelled\n");
    stage.desk.close();
}

#[test]
fn nobody_behind_a_reverse_proxy_is_taken_for_the_trunk_at_its_address() {
    let mut desk = Desk::new();
    let browser = Hop { transport: Transport::Ws, stream: Some(StreamId(1)), ..udp(CARRIER) };
    assert_eq!(desk.statuses(browser, invite()), [403]);
    assert_eq!(desk.statuses(udp(CARRIER), invite()), [100]);
}
