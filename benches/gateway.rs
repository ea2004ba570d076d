//! One input of the gateway, outputs drained, in whole calls by virtual time: a caller is answered,
//! waits, is put through to an agent's phone, talks and hangs up.
//!
//! [`UP`] other calls are up meanwhile and a new one comes every 20 ms, so the transactions of the
//! last half minute are there as well.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use baton::base::{Language, Mono, Now, Wall};
use baton::config::fault::Source;
use baton::config::resolve::{Disk, Files, resolve};
use baton::gateway::{Gateway, Input, Output};
use baton::journey::Dossier;
use baton::media::{Prompt, SocketId};
use baton::sip::{self, Hop, Transport};
use bytes::Bytes;

use crate::far::{self, Head};
use crate::measure::{Cost, RUNS, Unit, cost_row, table};

const UP: usize = 500;
const CALLS: usize = 1000;

const BATON: &str = "10.0.0.1:5060";
const CARRIER: &str = "10.0.1.1:5060";
const PHONES: &str = "10.0.2.1:5060";

const FLOW: &str = r#"
id = "front"
start = "wait"
language = "en"
[steps.wait]
do = "queue"
queue = "cards"
label = "Waiting"
on_overflow = "bye"
[steps.bye]
do = "hangup"
"#;

fn configuration() -> String {
    let mut text = format!(
        r#"
[sip]
listen = ["udp:{BATON}"]
[[trunk]]
id = "carrier"
sources = ["10.0.1.1"]
country = "86"
[[number]]
number = "+861055550000"
flow = "front"
[[skill]]
id = "cards"
[[queue]]
id = "cards"
skills = {{ cards = 1 }}
wrap_up_s = 0
"#
    );
    for n in 0..UP + 100 {
        text += &format!(
            "[[agent]]\nid = \"a{n}\"\nqueues = [\"cards\"]\nskills = {{ cards = 5 }}\n\
             phone = \"sip:a{n}@{PHONES}\"\ninitial = \"ready\"\n"
        );
    }
    text
}

struct NoDisk;

impl Disk for NoDisk {
    fn secret(&self, path: &Path) -> Result<String, String> {
        Err(format!("{} is not there", path.display()))
    }

    fn prompts(&self, _: &Path) -> BTreeSet<(Language, String)> {
        Language::ALL.into_iter().map(|language| (language, "music".to_owned())).collect()
    }
}

pub fn measure() {
    table("Gateway::handle_input");
    let mut network = Network::new();
    for _ in 0..UP + CALLS {
        network.call();
    }
    let mut runs = vec![];
    for _ in 0..RUNS {
        network.costs = Costs::default();
        (0..CALLS).for_each(|_| network.call());
        runs.push(network.costs);
    }
    let rows: [(&str, Vec<Cost>); 4] = [
        (
            "INVITE of a caller: routed, negotiated, answered, looked up",
            runs.iter().map(|r| r.invite).collect(),
        ),
        (
            "ACK of a caller: flow, queue, offer, INVITE to the agent's phone",
            runs.iter().map(|r| r.ack).collect(),
        ),
        ("200 of the agent's phone: acknowledged, put through", runs.iter().map(|r| r.answer).collect()),
        (
            "BYE of the caller: both legs ended, record closed, agent free",
            runs.iter().map(|r| r.bye).collect(),
        ),
    ];
    for (what, costs) in rows {
        cost_row(what, Unit::Micros, &costs);
    }
    let whole = runs.iter().map(|costs| Cost { pieces: CALLS as u64, ..costs.all });
    cost_row("the whole call: 12 inputs and its timers", Unit::Micros, &whole.collect::<Vec<_>>());
}

#[derive(Clone, Copy, Default)]
struct Costs {
    invite: Cost,
    ack: Cost,
    answer: Cost,
    bye: Cost,
    all: Cost,
}

struct Network {
    gateway: Gateway,
    now: Now,
    music: Vec<Arc<Prompt>>,
    calls: usize,
    sockets: u16,
    /// The BYE that will end each call that is up.
    up: VecDeque<Bytes>,
    costs: Costs,
}

impl Network {
    fn new() -> Self {
        let files = Files {
            config: vec![Source::new("baton.toml", configuration())],
            flows: vec![Source::new("front.toml", FLOW)],
            base: "".into(),
        };
        let config = resolve(&files, &NoDisk).unwrap_or_else(|faults| panic!("{}", faults[0]));
        let now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_800_000_000_000) };
        let mut network = Self {
            gateway: Gateway::new(Arc::new(config), [7; 32], now),
            now,
            music: vec![Arc::new(Prompt::from_pcm(&[0; 8000]))],
            calls: 0,
            sockets: 0,
            up: VecDeque::new(),
            costs: Costs::default(),
        };
        (0..100).for_each(|_| network.stock());
        network
    }

    /// Another pair is ready.
    fn stock(&mut self) {
        self.sockets = (self.sockets + 1) % 10_000;
        let address = SocketAddr::from(([10, 0, 0, 1], 20_000 + 2 * self.sockets));
        self.tell(Input::Stocked { shard: 0, socket: SocketId(self.sockets.into()), address });
    }

    /// Feeds one input and drains what comes of it, timed.
    fn tell(&mut self, input: Input) -> (Cost, Vec<Output>) {
        let mut cost = Cost::default();
        let mut outputs = Vec::with_capacity(32);
        cost.of(|| {
            self.gateway.handle_input(self.now, input);
            while let Some(output) = self.gateway.poll_output() {
                outputs.push(output);
            }
        });
        self.add(cost);
        (cost, outputs)
    }

    fn add(&mut self, cost: Cost) {
        self.costs.all.nanos += cost.nanos;
        self.costs.all.allocations += cost.allocations;
    }

    fn receive(&mut self, from: &str, bytes: impl Into<Bytes>) -> (Cost, Vec<Output>) {
        let hop = Hop {
            transport: Transport::Udp,
            local: BATON.parse().expect("an address"),
            remote: from.parse().expect("an address"),
            stream: None,
        };
        self.tell(Input::Sip(sip::Input::Received { hop, bytes: bytes.into() }))
    }

    /// One call comes and gets through; the oldest that is up ends.
    fn call(&mut self) {
        self.calls += 1;
        let n = self.calls;
        self.pass(Duration::from_millis(20));
        let invite = far::invite(n, "01055550000", BATON, CARRIER, 41_000);
        let (cost, outputs) = self.receive(CARRIER, invite);
        self.costs.invite = self.costs.invite.and(cost);
        let ok = sent(&outputs, CARRIER, "SIP/2.0 200").expect("a call is answered in the same turn");
        let ok = Head::of(&ok).expect("what the gateway sends is SIP");
        self.oblige(outputs);

        let (cost, outputs) = self.receive(CARRIER, far::ack(n, &ok, CARRIER));
        self.costs.ack = self.costs.ack.and(cost);
        let invite = sent(&outputs, PHONES, "INVITE").expect("an agent is free");
        let invite = Head::of(&invite).expect("what the gateway sends is SIP");
        self.oblige(outputs);

        let (_, outputs) = self.receive(PHONES, far::respond(&invite, 180, PHONES, None));
        self.oblige(outputs);
        let (cost, outputs) = self.receive(PHONES, far::respond(&invite, 200, PHONES, Some(41_002)));
        self.costs.answer = self.costs.answer.and(cost);
        self.oblige(outputs);

        self.up.push_back(far::bye(n, &ok, CARRIER).into());
        if self.up.len() > UP
            && let Some(bye) = self.up.pop_front()
        {
            let (cost, outputs) = self.receive(CARRIER, bye);
            self.costs.bye = self.costs.bye.and(cost);
            let bye = sent(&outputs, PHONES, "BYE").expect("the agent's leg ends with the caller's");
            self.oblige(outputs);
            let bye = Head::of(&bye).expect("what the gateway sends is SIP");
            let (_, outputs) = self.receive(PHONES, far::respond(&bye, 200, PHONES, None));
            self.oblige(outputs);
        }
    }

    /// Does what the rest of the world does at once.
    fn oblige(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::LookUp { contact, ticket, .. } => {
                    let (_, outputs) = self.tell(Input::Found {
                        contact,
                        ticket,
                        dossier: Some(Box::new(Dossier::default())),
                    });
                    self.oblige(outputs);
                }
                Output::Speak { contact, ticket, .. } => {
                    let (_, outputs) =
                        self.tell(Input::Spoken { contact, ticket, prompts: self.music.clone() });
                    self.oblige(outputs);
                }
                Output::Media { command: baton::media::Command::Close { leg }, .. } => {
                    let counts = Default::default();
                    let event = baton::media::Event::Closed { leg, counts };
                    let (_, outputs) = self.tell(Input::Media { shard: 0, event });
                    self.oblige(outputs);
                }
                Output::Take(_) => self.stock(),
                _ => {}
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now.mono + span;
        while let Some(at) = self.gateway.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.after(at.since(self.now.mono));
            let mut cost = Cost::default();
            let mut outputs = Vec::with_capacity(32);
            cost.of(|| {
                self.gateway.handle_timeout(self.now);
                while let Some(output) = self.gateway.poll_output() {
                    outputs.push(output);
                }
            });
            self.add(cost);
            self.oblige(outputs);
        }
        self.now = self.now.after(end.since(self.now.mono));
    }
}

/// What was sent there that begins so.
fn sent(outputs: &[Output], to: &str, start: &str) -> Option<Bytes> {
    let to: SocketAddr = to.parse().ok()?;
    outputs.iter().find_map(|output| match output {
        Output::Transmit { hop, bytes } if hop.remote == to && bytes.starts_with(start.as_bytes()) => {
            Some(bytes.clone())
        }
        _ => None,
    })
}
