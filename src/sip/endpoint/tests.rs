//! Ladders between two endpoints, and raw messages against one.

mod browser;
mod ladders;
mod random;
mod raw;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::*;
use crate::base::Pii;
use crate::sip::auth::Login;
use crate::sip::{Ending, StreamId};

pub(super) const REALM: &str = "baton.example";

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn settings(own: &str) -> Settings {
    Settings {
        listeners: vec![(Transport::Udp, address(own)), (Transport::Tcp, address(own))],
        advertised: None,
        user_agent: "baton".into(),
        realm: REALM.into(),
        algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        accounts: vec![],
        trunks: vec![],
        bounds: Bounds::default(),
    }
}

pub(super) fn trunk(id: &str, at: &str, transport: Transport) -> Trunk {
    let outbound = Some((transport, address(at)));
    Trunk { id: id.into(), sources: vec![address(at).ip().into()], outbound, login: None }
}

pub(super) fn account(user: &str) -> Account {
    let ha1 = Ha1::of(user, REALM, "secret");
    Account { user: user.into(), agent: AgentId::from(format!("agent-{user}").as_str()), ha1 }
}

pub(super) fn uri(text: &str) -> Uri {
    Uri::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// A message in a word or two.
pub(super) fn name(bytes: &Bytes) -> String {
    match parse(bytes.clone()) {
        Ok(Message::Request(request)) => request.method.to_string(),
        Ok(Message::Response(response)) => {
            format!("{} {}", response.status, response.headers.cseq().unwrap().method)
        }
        Err(why) => format!("garbage: {why}"),
    }
}

/// An event in a word or two.
pub(super) fn told(event: &Event) -> String {
    match event {
        Event::Invited { .. } => "Invited".into(),
        Event::Cancelled { .. } => "Cancelled".into(),
        Event::Acked { body, .. } if body.is_empty() => "Acked".into(),
        Event::Acked { body, .. } => format!("Acked {}", String::from_utf8_lossy(body)),
        Event::Unacked { .. } => "Unacked".into(),
        Event::Progressed { response, .. } => format!("Progressed {}", response.status),
        Event::Answered { response, .. } => format!("Answered {}", response.status),
        Event::Refused { response, .. } => format!("Refused {}", response.status),
        Event::Reoffered { request, .. } => format!("Reoffered by {}", request.method),
        Event::Reanswered { .. } => "Reanswered".into(),
        Event::Rerefused { response, .. } => format!("Rerefused {}", response.status),
        Event::Informed { .. } => "Informed".into(),
        Event::Ended { by: Ending::Bye(_), .. } => "Ended by BYE".into(),
        Event::Ended { by: Ending::Lost, .. } => "Ended, lost".into(),
        Event::Registered { agent, reachable } => format!("Registered {agent} {reachable}"),
    }
}

pub(super) type Command = Box<dyn FnMut(&mut Endpoint, Mono)>;
/// Who sends it, what, how many of these went before: whether it is lost.
pub(super) type Loss = Box<dyn FnMut(usize, &str, usize) -> bool>;

/// Two endpoints that are each other's trunk, 10 ms apart, and what goes between them.
pub(super) struct Ladder {
    pub now: Mono,
    pub ends: [Endpoint; 2],
    wire: BTreeMap<(Mono, u64), (usize, Hop, Bytes)>,
    script: VecDeque<(Mono, usize, Command)>,
    loss: Loss,
    seen: BTreeMap<(usize, String), usize>,
    serial: u64,
    pub transcript: String,
    pub events: Vec<(usize, Event)>,
}

pub(super) const ENDS: [&str; 2] = ["10.0.0.1:5060", "10.0.0.2:5060"];
const LATENCY: Duration = Duration::from_millis(10);

impl Ladder {
    pub fn new(transport: Transport) -> Self {
        let end = |own: usize| {
            let trunks = vec![trunk("other", ENDS[1 - own], transport)];
            Endpoint::new(Settings { trunks, ..settings(ENDS[own]) }, Mint::new([own as u8 + 1; 32]))
        };
        Self {
            now: Mono::ZERO,
            ends: [end(0), end(1)],
            wire: BTreeMap::new(),
            script: VecDeque::new(),
            loss: Box::new(|_, _, _| false),
            seen: BTreeMap::new(),
            serial: 0,
            transcript: String::new(),
            events: vec![],
        }
    }

    pub fn losing(mut self, loss: impl FnMut(usize, &str, usize) -> bool + 'static) -> Self {
        self.loss = Box::new(loss);
        self
    }

    /// At that millisecond that end does that. In the order of time.
    pub fn at(mut self, ms: u64, end: usize, command: impl FnMut(&mut Endpoint, Mono) + 'static) -> Self {
        self.script.push_back((Mono::ZERO + Duration::from_millis(ms), end, Box::new(command)));
        self
    }

    /// Plays until nothing is left to happen, and checks that nothing is left.
    pub fn play(mut self) -> String {
        self.run(Mono::from_nanos(u64::MAX));
        for end in &self.ends {
            assert!(end.is_idle(), "{:?}\n{}", end.counts(), self.transcript);
            assert_eq!(end.table.indexes(), 0);
        }
        self.transcript
    }

    pub fn run(&mut self, until: Mono) {
        loop {
            self.drain();
            let wire = self.wire.first_key_value().map(|((at, _), _)| *at);
            let script = self.script.front().map(|(at, ..)| *at);
            let timers = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
            let Some(next) = [wire, script, timers].into_iter().flatten().min() else { return };
            if next > until {
                return;
            }
            self.now = self.now.max(next);
            let now = self.now;
            if script == Some(next) {
                let (_, end, mut command) = self.script.pop_front().unwrap();
                command(&mut self.ends[end], now);
            } else if wire == Some(next) {
                let (_, (to, hop, bytes)) = self.wire.pop_first().unwrap();
                self.ends[to].handle_input(now, Input::Received { hop, bytes });
            } else {
                for end in &mut self.ends {
                    end.handle_timeout(now);
                }
            }
        }
    }

    fn drain(&mut self) {
        let ms = self.now.since(Mono::ZERO).as_millis();
        for end in 0..2 {
            while let Some(output) = self.ends[end].poll_output() {
                match output {
                    Output::Transmit { hop, bytes } => {
                        let what = name(&bytes);
                        let seen = self.seen.entry((end, what.clone())).or_default();
                        *seen += 1;
                        let lost = (self.loss)(end, &what, *seen - 1);
                        let arrow = match (end, lost) {
                            (0, false) => "---->",
                            (0, true) => "--x  ",
                            (1, false) => "<----",
                            _ => "  x--",
                        };
                        self.transcript += &format!("{ms:>6} {arrow} {what}\n");
                        self.serial += 1;
                        if !lost {
                            let arrival = Hop {
                                local: hop.remote,
                                remote: hop.local,
                                stream: (hop.transport == Transport::Tcp).then_some(StreamId(7)),
                                ..hop
                            };
                            self.wire.insert((self.now + LATENCY, self.serial), (1 - end, arrival, bytes));
                        }
                    }
                    Output::Event(event) => {
                        let side = ["A", "      B"][end];
                        self.transcript += &format!("{ms:>6} {side} {}\n", told(&event));
                        self.events.push((end, event));
                    }
                }
            }
        }
    }
}

pub(super) const LEG: LegId = LegId(1);

pub(super) fn call(end: &mut Endpoint, now: Mono) {
    call_with(end, now, Some(Body::sdp("offer")));
}

pub(super) fn call_with(end: &mut Endpoint, now: Mono, body: Option<Body>) {
    let leg = end.next_leg();
    let target = Target::Trunk("other".into(), uri("sip:+8613800138000@10.0.0.2"));
    let from = NameAddr::new(uri("sip:+862112345678@10.0.0.1"));
    end.invite(now, leg, Invitation { target, from, headers: Headers::new(), body });
}

pub(super) fn ring(end: &mut Endpoint, now: Mono) {
    end.respond(now, LEG, 180, Headers::new(), None);
}

pub(super) fn answer(end: &mut Endpoint, now: Mono) {
    end.respond(now, LEG, 200, Headers::new(), Some(Body::sdp("answer")));
}

pub(super) fn ack(end: &mut Endpoint, now: Mono) {
    end.ack(now, LEG, None);
}

pub(super) fn hang_up(end: &mut Endpoint, now: Mono) {
    end.hang_up(now, LEG, 480, Some(Value::constant("Q.850;cause=16")));
}

pub(super) fn login(user: &str) -> Login {
    Login { user: user.into(), password: Pii::new("secret".into()) }
}
