//! The whole gateway under random happenings: callers, phones and desktops do what they like, when
//! they like, and the invariants hold after each of them. When all have hung up, nothing is left.
//!
//! `BATON_SEED` runs another story; a failure prints its seed and the last lines of its ladder.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use baton::acd::State as AgentState;
use baton::base::{AgentId, CallId, ContactId, CustomerId, LegId, Mint, Mono};
use baton::call::record::Stage;
use baton::config::Config;
use baton::cti::{ContactStage, JourneyEnd, Push, Refusal, Request, Wanted};
use baton::gateway::contact::{Record, RecordState};
use baton::gateway::desk::ConnectionId;
use baton::gateway::view::{AgentView, CallView};
use baton::gateway::{Counters, Input, Write, web};
use baton::journey::handoff::{Binding, TokenHash};
use baton::journey::{Confidence, Customer, Dossier, Profile, Status};
use baton::media::{Event, Source};

use crate::net::{CARRIER, DELAY, Net, Offer, PathIs, Phone, SOCKETS, State, Then, at, config};

/// Happenings in one story, and the stories of one run.
const HAPPENINGS: u64 = 101_000;
/// What happens less often means nothing.
const LEAST: u64 = 400;
/// Happenings from the first call to the last hang-up.
const ROUND: u64 = 1_000;
/// Calls that are up at once: few enough that things meet, more than there are agents.
const CALLERS: usize = 16;
const PHONES: [(&str, &str); 5] = [
    ("ann", "10.0.2.1:5060"),
    ("bob", "10.0.2.2:5060"),
    ("cat", "10.0.2.3:5060"),
    ("dan", "10.0.2.4:5060"),
    ("eve", "10.0.2.5:5060"),
];

/// Those whose desktop is their phone.
const SOFTPHONES: [&str; 2] = ["fay", "gus"];

const CENTRE: &str = r#"
[sip]
listen = ["udp:10.0.0.1:5060"]
[media]
shards = 2
[http]
desktop_grace_s = 8
[[trunk]]
id = "carrier"
sources = ["10.0.1.1"]
address = "udp:10.0.1.1:5060"
country = "86"
[[number]]
number = "+861055550000"
flow = "front"
record = true
[[number]]
number = "+861055550001"
flow = "front"
[[click_to_call]]
flow = "front"
record = true
[[destination]]
name = "head office"
prefix = "+861066660"
trunk = "carrier"
flows = ["front"]
[[skill]]
id = "cards"
[[queue]]
id = "cards"
skills = { cards = 3 }
ring_time_s = 4
wrap_up_s = 6
max_wait_s = 15
announce_every_s = 4
overflow = "loans"
[[queue]]
id = "loans"
ring_time_s = 3
wrap_up_s = 0
max_wait_s = 20
max_waiting = 5
[[agent]]
id = "ann"
queues = ["cards"]
skills = { cards = 5 }
phone = "sip:ann@10.0.2.1:5060"
initial = "ready"
[[agent]]
id = "bob"
queues = ["cards", "loans"]
skills = { cards = 3 }
phone = "sip:bob@10.0.2.2:5060"
[[agent]]
id = "cat"
queues = ["loans", "cards"]
skills = { cards = 2 }
phone = "sip:cat@10.0.2.3:5060"
initial = "ready"
[[agent]]
id = "fay"
queues = ["cards", "loans"]
skills = { cards = 5 }
phone = "softphone"
password = "$argon2id$"
initial = "ready"
[[agent]]
id = "dan"
queues = ["cards", "loans"]
skills = { cards = 9 }
phone = "sip:dan@10.0.2.4:5060"
[[agent]]
id = "eve"
queues = ["cards"]
skills = { cards = 4 }
phone = "sip:eve@10.0.2.5:5060"
initial = "ready"
[[agent]]
id = "gus"
queues = ["loans", "cards"]
skills = { cards = 3 }
phone = "softphone"
password = "$argon2id$"
initial = "ready"
[[disposition]]
code = "solved"
"#;

const FRONT: &str = r#"
id = "front"
start = "menu"
language = "en"
on_error = "cards"
[steps.menu]
do = "menu"
prompt = "menu"
label = "Main menu"
options = { 1 = "cards", 2 = "loans", 3 = "out", 4 = "bye" }
timeout_ms = 3000
retries = 1
on_no_input = "cards"
on_no_match = "loans"
[steps.cards]
do = "queue"
queue = "cards"
label = "Cards"
on_overflow = "sorry"
[steps.loans]
do = "queue"
queue = "loans"
label = "Loans"
on_overflow = "sorry"
[steps.out]
do = "transfer"
to = "+861066660000"
label = "Head office"
on_error = "sorry"
[steps.sorry]
do = "play"
prompt = "sorry"
label = "Sorry"
next = "bye"
[steps.bye]
do = "hangup"
"#;

/// What a reload may bring: all; no queue of loans; neither Dan nor Eve nor Gus, and other times.
fn centres() -> [Arc<Config>; 3] {
    let from = CENTRE.find("[[queue]]\nid = \"loans\"").expect("written above");
    let until = CENTRE.find("[[agent]]").expect("written above");
    let no_loans = CENTRE.replace(&CENTRE[from..until], "").replace("overflow = \"loans\"\n", "");
    let no_loans = no_loans.replace("\"loans\", ", "").replace(", \"loans\"", "");
    let from = CENTRE.find("[[agent]]\nid = \"dan\"").expect("written above");
    let until = CENTRE.find("[[disposition]]").expect("written above");
    let few = CENTRE.replace(&CENTRE[from..until], "").replace("wrap_up_s = 6", "wrap_up_s = 2");
    [
        config(CENTRE, &[FRONT]),
        config(&no_loans, &[&FRONT.replace("queue = \"loans\"", "queue = \"cards\"")]),
        config(&few, &[FRONT]),
    ]
}

type Counts = BTreeMap<&'static str, u64>;
type Verdict = Result<(), String>;

struct World {
    seed: u64,
    mint: Mint,
    net: Net,
    centres: [Arc<Config>; 3],
    config: Arc<Config>,
    connections: u64,
    happenings: Counts,
    before: Counters,
    /// Agents in wrap-up after the last happening.
    wrapping: u64,
    lost_before: u64,
    /// The newest record of each contact of this round.
    records: BTreeMap<ContactId, Record>,
    /// Labelled steps that were entered and not left.
    entered: BTreeSet<(String, String)>,
    /// What each agent's desk knows to be offered.
    offered: BTreeSet<(AgentId, ContactId)>,
    /// What was read of each connection: how many pushes, and the last number.
    read: BTreeMap<ConnectionId, (usize, Option<u64>)>,
    /// The last number of each desk that was read; what is below is replayed.
    newest: BTreeMap<AgentId, u64>,
    /// What agents muted, and were not told that it is over.
    muted: BTreeSet<ContactId>,
    /// Callers whose pages have lost their paths.
    away: BTreeSet<LegId>,
    /// Phones that ring for two, and since when.
    twice: BTreeMap<SocketAddr, Mono>,
    /// Phones that were cut off in this round: what they believe does not count.
    cut_off: BTreeSet<SocketAddr>,
    lossy: bool,
}

/// Whoever breaks an assertion knows which story it was.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let n: u64 = self.happenings.values().sum();
            eprintln!("BATON_SEED={} fails at happening {n}; the last lines:", self.seed);
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let centres = centres();
        let mut net = Net::new(centres[0].clone());
        net.keeps = 60;
        for (name, address) in PHONES {
            net.phone(name, address, Then::Ring);
        }
        Self {
            seed,
            mint: Mint::new(bytes),
            net,
            config: centres[0].clone(),
            centres,
            connections: 0,
            happenings: Counts::new(),
            before: Counters::default(),
            wrapping: 0,
            lost_before: 0,
            records: BTreeMap::new(),
            entered: BTreeSet::new(),
            offered: BTreeSet::new(),
            read: BTreeMap::new(),
            newest: BTreeMap::new(),
            muted: BTreeSet::new(),
            away: BTreeSet::new(),
            twice: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            lossy: false,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.mint.u32() as usize % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())].clone())
    }

    fn millis(&mut self, below: usize) -> Duration {
        Duration::from_millis(self.below(below) as u64)
    }

    fn count(&mut self, kind: &'static str, n: u64) {
        *self.happenings.entry(kind).or_default() += n;
    }

    /// From the first call to the last hang-up.
    fn round(&mut self, n: u64) -> Verdict {
        // Every fourth round loses datagrams.
        self.lossy = n % 4 == 3;
        self.net.loses = if self.lossy { 9 + n % 7 } else { 0 };
        let until = self.happenings.values().sum::<u64>() + ROUND;
        while self.happenings.values().sum::<u64>() < until {
            self.pass();
            self.happen();
            self.check()?;
        }
        self.wind_down(n)
    }

    /// Lets some time pass: often next to none, for that is where things cross.
    fn pass(&mut self) {
        for address in self.net.phones.keys().copied().collect::<Vec<_>>() {
            let then = match self.below(100) {
                0..42 => Then::Answer(self.millis(2500)),
                42..64 => Then::Refuse(self.millis(1500), [486, 603, 480, 503, 404][self.below(5)]),
                64..87 => Then::Ring,
                _ => Then::Ignore,
            };
            if let Some(phone) = self.net.phones.get_mut(&address) {
                phone.then = then;
            }
        }
        self.net.handshake = if self.one_in(8) { None } else { Some(self.millis(150)) };
        // A store is quick, or it is not.
        self.net.look_up = if self.one_in(4) { self.millis(2500) } else { DELAY };
        let span = match self.below(20) {
            0..2 => Duration::ZERO,
            2..9 => self.millis(4),
            9..17 => self.millis(600),
            _ => self.millis(4000),
        };
        self.net.run(span);
        let still = Self::wrapping_up(&self.agents());
        self.count("wrap-up runs out", self.wrapping.saturating_sub(still));
    }

    fn wrapping_up(agents: &[AgentView]) -> u64 {
        agents.iter().filter(|agent| matches!(agent.state.state, AgentState::WrapUp { .. })).count() as u64
    }

    fn agents(&self) -> Vec<AgentView> {
        self.net.gateway.agents(self.net.now)
    }

    fn calls(&self) -> Vec<CallView> {
        self.net.gateway.calls(self.net.now)
    }

    /// An agent's live connection, the contact that holds the agent, and what it is doing.
    fn attended(&self) -> Vec<(ConnectionId, AgentState)> {
        let live = self.net.desks.iter().filter(|(_, desk)| !desk.dismissed);
        let newest: BTreeMap<&AgentId, ConnectionId> = live.map(|(id, desk)| (&desk.agent, *id)).collect();
        let agents = self.agents().into_iter();
        agents.filter_map(|a| Some((*newest.get(&a.state.agent)?, a.state.state))).collect()
    }

    fn happen(&mut self) {
        match self.below(100) {
            0..6 => self.call(Offer::Usual),
            6..7 => {
                let offer = [Offer::Delayed, Offer::Foreign][self.below(2)];
                self.call(offer);
            }
            7..8 => {
                self.call(Offer::Usual);
                let span = Duration::from_micros(self.below(4000) as u64);
                self.net.run(span);
                let made = self.net.phones[&at(CARRIER)].finals().len();
                self.count("caller cancels", 1);
                self.net.carrier(|carrier| carrier.cancel(made.saturating_sub(1)));
            }
            8..16 => self.key(),
            16..18 => {
                if let Some(call) = self.one_up() {
                    self.count("caller hangs up", 1);
                    self.net.carrier(|carrier| carrier.bye(call));
                }
            }
            18..20 => {
                if let Some(call) = self.one_up() {
                    self.count("caller changes media", 1);
                    let direction = self.direction();
                    self.net.carrier(|carrier| carrier.reinvite(call, direction));
                }
            }
            20..34 => self.phone(),
            34..36 => self.attach(),
            36..38 => {
                if let Some((connection, _)) = self.one_attended(|_| true) {
                    self.count("desktop drops", 1);
                    self.net.tell(Input::Detached { connection });
                    self.net.desks.retain(|id, _| *id != connection);
                }
            }
            38..39 => {
                self.count("a step is posted", 1);
                let owner = CustomerId(u128::from(self.mint.u32() % 4));
                self.net.dossier = dossier(owner, self.below(3) as u64);
                let customers = vec![CustomerId(u128::from(self.mint.u32() % 4))];
                self.net.tell(Input::Posted { brand: "default".into(), customers });
            }
            39..40 => {
                self.count("reload", 1);
                self.config = self.centres[self.below(3)].clone();
                self.net.tell(Input::Reload(self.config.clone()));
            }
            40..44 => self.page(),
            44..52 => self.softphone(),
            52..54 => self.caller_page(),
            _ => self.desktop(),
        }
    }

    /// The page of a softphone offers, or its path changes.
    fn softphone(&mut self) {
        let at_desk: Vec<_> = self.softphone_desks();
        let standing: Vec<_> = self.net.paths.keys().copied().collect();
        match self.below(17) {
            0..4 => {
                if let Some(connection) = self.pick(&at_desk) {
                    self.count("softphone offers again", 1);
                    self.net.offer(connection);
                }
            }
            4..6 => {
                if let Some(connection) = self.pick(&at_desk) {
                    self.count("softphone offers anew", 1);
                    self.net.offer_anew(connection);
                }
            }
            6..9 => {
                let losses = [|leg| Event::Lost { leg }, |leg| Event::Unsecured { leg }];
                let event = losses[self.below(2)];
                self.path(&standing, "softphone's path is lost", event);
            }
            9..13 => {
                self.path(&standing, "softphone's path is found", |leg| Event::Secured { leg });
            }
            13..15 => {
                let silent = |leg| Event::Silent { leg, since: Duration::from_secs(5) };
                self.path(&standing, "softphone falls silent", silent);
            }
            _ => {
                self.path(&standing, "softphone is heard", |leg| Event::Audible { leg });
            }
        }
    }

    /// The page of somebody who called is gone, or back.
    fn caller_page(&mut self) {
        let pages: BTreeSet<_> = self.net.pages.iter().filter_map(answered).collect();
        let calls = self.calls().into_iter().filter(|call| pages.contains(&call.call));
        let legs = calls.filter_map(|call| self.net.gateway.legs_of(call.contact));
        let callers: Vec<_> = legs.map(|(caller, _)| caller).collect();
        if self.one_in(2) {
            let lost = self.path(&callers, "page's path is lost", |leg| Event::Lost { leg });
            self.away.extend(lost);
        } else if let Some(leg) = self.path(&callers, "page's path is found", |leg| Event::Secured { leg }) {
            self.away.remove(&leg);
        }
    }

    /// Media says this of one of these legs; returns which.
    fn path(&mut self, legs: &[LegId], kind: &'static str, event: fn(LegId) -> Event) -> Option<LegId> {
        let leg = self.pick(legs)?;
        self.count(kind, 1);
        self.net.tell(Input::Media { shard: 0, event: event(leg) });
        Some(leg)
    }

    /// Live connections of agents whose desktop is their phone.
    fn softphone_desks(&self) -> Vec<ConnectionId> {
        let live = self.net.desks.iter().filter(|(_, desk)| !desk.dismissed);
        let theirs = live.filter(|(_, desk)| SOFTPHONES.contains(&desk.agent.as_str()));
        theirs.map(|(connection, _)| *connection).collect()
    }

    /// A page calls, or one of those that did goes on with its call; also out of turn.
    fn page(&mut self) {
        let known: Vec<_> = self.net.pages.iter().filter_map(answered).collect();
        let call = known.len().checked_sub(1 + self.below(6)).and_then(|n| known.get(n).copied());
        let secret = if self.one_in(10) { TokenHash([0; 32]) } else { PAGE_SECRET };
        let (kind, request) = match (self.below(10), call) {
            (0..2, _) | (_, None) if self.calls().len() < CALLERS => ("page calls", self.arrival()),
            (0..5, Some(call)) => ("page's token is used up", web::Request::Confirm { call }),
            (5..8, Some(call)) => {
                let offer = page_offer(["sendrecv", "inactive", "nonsense"][self.below(3)]);
                ("page offers anew", web::Request::Renew { call, secret, offer })
            }
            (_, Some(call)) => ("page hangs up", web::Request::HangUp { call, secret }),
            (_, None) => return,
        };
        self.count(kind, 1);
        self.net.page(request);
    }

    fn arrival(&mut self) -> web::Request {
        let owner = CustomerId(u128::from(self.mint.u32() % 4));
        let binding = Binding {
            brand: "default".into(),
            customer: owner,
            confidence: Confidence::Token,
            journey: None,
            queue: [None, Some("cards".into()), Some("loans".into())][self.below(3)].clone(),
            expires: self.net.now.wall,
        };
        let dossier = Dossier { confidence: Confidence::Token, ..dossier(owner, 1) };
        let offer = page_offer(if self.one_in(8) { "nonsense" } else { "sendrecv" });
        web::Request::Call(Box::new(web::Arrival { binding, dossier, secret: PAGE_SECRET, offer }))
    }

    fn call(&mut self, offer: Offer) {
        if self.calls().len() >= CALLERS {
            return;
        }
        let number = match self.below(20) {
            0 => "01055559999",
            1..10 => "01055550000",
            _ => "01055550001",
        };
        self.count(if offer == Offer::Usual { "call" } else { "odd call" }, 1);
        let caller = format!("1380013800{}", self.below(8));
        self.net.call_from(at(CARRIER), &caller, number, offer);
    }

    fn key(&mut self) {
        let calls = self.calls();
        let in_flow: Vec<_> = calls.iter().filter(|c| c.stage == Stage::Ivr).cloned().collect();
        let of = if self.one_in(8) { &calls } else { &in_flow };
        let key = ['1', '1', '1', '2', '2', '3', '4', '9'][self.below(8)];
        if self.one_in(5) {
            if let Some(call) = self.one_up() {
                self.count("key by INFO", 1);
                self.net.carrier(|carrier| carrier.info(call, key));
            }
        } else if let Some(call) = self.pick(of) {
            self.count("key", 1);
            self.net.key(call.contact, key);
        }
    }

    /// An agent's phone does something by hand.
    fn phone(&mut self) {
        let doing = self.below(15);
        let fits = |phone: &Phone| match doing {
            0..6 => phone.count(State::Up) > 0,
            6..13 => phone.count(State::Ringing) > 0,
            _ => true,
        };
        let fitting: Vec<_> = self.net.phones.iter().filter(|(_, p)| fits(p)).map(|(a, _)| *a).collect();
        let Some(address) = self.pick(&fitting) else { return };
        match doing {
            0..3 => {
                self.count("phone hangs up", 1);
                self.net.phone_does(address, Phone::hang_up);
            }
            3..6 => {
                self.count("phone changes media", 1);
                let direction = self.direction();
                self.net.phone_does(address, |phone| phone.reinvite_all(direction));
            }
            6..13 => {
                self.count("phone is picked up", 1);
                self.net.phone_does(address, Phone::pick_up);
            }
            _ if address == at(CARRIER) => {}
            _ => {
                // Not many at a time, and not for long.
                let gone = self.net.phones.iter().find(|(_, phone)| phone.gone).map(|(address, _)| *address);
                let address = gone.unwrap_or(address);
                let phone = self.net.phones.get_mut(&address).expect("one of these");
                phone.gone = !phone.gone;
                self.cut_off.insert(address);
                self.count("phone vanishes or returns", 1);
            }
        }
    }

    fn direction(&mut self) -> &'static str {
        ["sendonly", "inactive", "recvonly", "sendrecv", "sendrecv"][self.below(5)]
    }

    fn attach(&mut self) {
        let names = PHONES.iter().map(|(name, _)| *name).chain(SOFTPHONES).chain(SOFTPHONES);
        let agents: Vec<_> = names.map(AgentId::from).collect();
        let Some(agent) = self.pick(&agents) else { return };
        // It remembers all that it was told, or less.
        let seen = self.newest.get(&agent).copied();
        let resume_from = match self.below(4) {
            0 => None,
            1 => seen.map(|seen| u64::from(self.mint.u32()) % (seen + 1)),
            _ => seen,
        };
        self.count("desktop attaches", 1);
        self.connections += 1;
        let connection = self.net.log_in(agent.as_str(), self.connections, resume_from);
        // A page that was loaded offers, mostly at once.
        let here = self.net.desks.get(&connection).is_some_and(|desk| !desk.dismissed);
        if here && SOFTPHONES.contains(&agent.as_str()) && resume_from.is_none() && !self.one_in(6) {
            self.net.offer_anew(connection);
        }
    }

    fn one_up(&mut self) -> Option<usize> {
        let up = self.net.phones[&at(CARRIER)].up();
        self.pick(&up)
    }

    fn one_attended(&mut self, fits: impl Fn(&AgentState) -> bool) -> Option<(ConnectionId, AgentState)> {
        let fitting: Vec<_> = self.attended().into_iter().filter(|(_, state)| fits(state)).collect();
        self.pick(&fitting)
    }

    fn desktop(&mut self) {
        use AgentState::{NotReady, Offered, Talking, WrapUp};
        type Fits = fn(&AgentState) -> bool;
        let offered: Fits = |state| matches!(state, Offered { .. });
        let talking: Fits = |state| matches!(state, Talking { .. });
        let wrapping: Fits = |state| matches!(state, WrapUp { .. });
        let idle: Fits = |state| matches!(state, NotReady { .. });
        let anything: Fits = |_| true;
        let (kind, fits) = match self.below(82) {
            0..7 => ("displayed", offered),
            7..13 => ("answer", offered),
            13..19 => ("decline", offered),
            19..24 => ("hold", talking),
            24..29 => ("resume", talking),
            29..34 => ("release", talking),
            34..41 => ("disposition", if self.one_in(2) { talking } else { wrapping }),
            41..46 => ("note", talking),
            46..58 => ("extend", wrapping),
            58..68 => ("ready", idle),
            68..70 => ("not ready", anything),
            70..75 => ("mute", talking),
            75..79 => ("keys", talking),
            _ => ("stray command", anything),
        };
        // Now and then out of turn.
        let fits = if self.one_in(12) { anything } else { fits };
        let Some((connection, state)) = self.one_attended(fits) else { return };
        let known: Vec<_> = self.records.keys().copied().collect();
        let stray = match self.pick(&known) {
            Some(contact) if state.contact() != Some(contact) => contact,
            _ => ContactId(u128::from(self.mint.u64())),
        };
        let contact = state.contact().unwrap_or(stray);
        let version = self.records.get(&contact).map_or(1, |record| record.hops.len() as u32);
        let request = match kind {
            "displayed" => Request::Displayed { contact, version },
            "answer" => Request::Answer { contact },
            "decline" => Request::Decline { contact },
            "hold" => Request::Hold { contact },
            "resume" => Request::Resume { contact },
            "release" => Request::Release { contact },
            "disposition" => {
                let journey = [None, Some(JourneyEnd::Resolved), Some(JourneyEnd::Open)][self.below(3)];
                Request::Disposition { contact, code: "solved".into(), journey }
            }
            "note" => Request::Note { contact, text: "calls back".into() },
            "extend" => Request::Extend { contact, seconds: self.below(5) as u32 },
            "ready" => Request::SetState { state: Wanted::Ready, reason: None },
            "mute" => Request::Mute { contact, on: !self.muted.contains(&contact) },
            "keys" => Request::Dtmf { contact, keys: "1#".into() },
            "not ready" => Request::SetState { state: Wanted::NotReady, reason: Some("lunch".into()) },
            _ => match self.below(4) {
                0 => Request::Displayed { contact: stray, version: 9 },
                1 => Request::Decline { contact: stray },
                2 => Request::Release { contact: stray },
                _ => Request::Disposition { contact: stray, code: "solved".into(), journey: None },
            },
        };
        self.count(kind, 1);
        let muted = match &request {
            Request::Mute { contact, on } => Some((*contact, *on)),
            _ => None,
        };
        let of = match &request {
            Request::SetState { .. } => None,
            _ if state.contact() == Some(contact) && kind != "stray command" => None,
            _ => Some(Refusal::NotYours),
        };
        let before = self.net.told(connection).len();
        self.net.say(connection, request);
        let told = self.net.told(connection).split_off(before);
        let mut replies = told.iter().filter_map(|push| match &**push {
            Push::Reply { error, .. } => Some(*error),
            _ => None,
        });
        let reply = replies.next().expect("a command has a reply");
        assert_eq!(replies.next(), None, "a command has one reply");
        match (muted, reply) {
            (Some((contact, true)), None) => drop(self.muted.insert(contact)),
            (Some((contact, false)), None) => drop(self.muted.remove(&contact)),
            _ => {}
        }
        assert!(of.is_none() || reply == of, "a contact that is not theirs is refused: {reply:?}");
    }

    /// What holds between any two happenings.
    fn check(&mut self) -> Verdict {
        self.tally();
        self.read_store()?;
        self.read_desks()?;
        let (agents, calls) = (self.agents(), self.calls());
        self.wrapping = Self::wrapping_up(&agents);
        self.nobody_has_two(&agents, &calls)?;
        self.nobody_waits_beside_a_ready_agent(&agents)?;
        self.who_is_away_waits_unoffered(&calls)?;
        self.everybody_hears_whom_they_should(&calls)
    }

    /// Counts what came about by itself.
    fn tally(&mut self) {
        let now = self.net.gateway.counters();
        self.count("ring no answer", now.rona - self.before.rona);
        self.count("overflow", now.overflows - self.before.overflows);
        self.before = now;
        self.count("datagram lost", self.net.lost - self.lost_before);
        self.lost_before = self.net.lost;
        let did: Vec<_> = self.net.phones.values_mut().flat_map(|p| std::mem::take(&mut p.did)).collect();
        did.into_iter().for_each(|(kind, n)| self.count(kind, n));
    }

    /// One record a contact: it only grows, and its segments are the whole call.
    fn read_store(&mut self) -> Verdict {
        for write in std::mem::take(&mut self.net.written) {
            match write {
                Write::Contact(record) => {
                    let call = &record.calls[0];
                    let parts: u64 = call.segments.iter().map(|segment| segment.ms).sum();
                    if parts != call.ms {
                        return Err(format!("segments of {parts} ms in a call of {} ms", call.ms));
                    }
                    let ended = record.state == RecordState::Finished;
                    if ended != call.release.is_some() || ended != record.ended_at.is_some() {
                        return Err(format!("{} is {:?} with {:?}", record.id, record.state, call.release));
                    }
                    if let Some(before) = self.records.insert(record.id, (*record).clone()) {
                        let was_ended = before.state == RecordState::Finished;
                        if before.revision >= record.revision {
                            return Err(format!("{} goes back to revision {}", record.id, record.revision));
                        }
                        if was_ended && (!ended || before.calls[0].ms != record.calls[0].ms) {
                            return Err(format!("{} goes on after its end", record.id));
                        }
                    }
                }
                Write::Steps { steps, .. } => {
                    for step in steps {
                        let place = (step.journey, step.step);
                        let known = match step.status {
                            Status::Entered => self.entered.insert(place.clone()),
                            Status::Done | Status::Failed | Status::Abandoned => self.entered.remove(&place),
                        };
                        if !known {
                            return Err(format!("{place:?} is {:?} out of turn", step.status));
                        }
                    }
                }
                Write::Resolve { .. } => {}
            }
        }
        Ok(())
    }

    /// Numbers go up; nobody is connected with what was not offered to them.
    fn read_desks(&mut self) -> Verdict {
        for (connection, desk) in &self.net.desks {
            let (read, last) = self.read.entry(*connection).or_default();
            for (seq, push) in desk.told.iter().skip(*read) {
                if last.is_some_and(|last| *seq <= last) {
                    return Err(format!("desk of {}: {seq} comes after {last:?}", desk.agent));
                }
                *last = Some(*seq);
                *read += 1;
                let newest = self.newest.entry(desk.agent.clone()).or_default();
                if *seq <= *newest {
                    continue;
                }
                *newest = *seq;
                let of = |contact: &ContactId| (desk.agent.clone(), *contact);
                match &**push {
                    Push::Offer(pop) => {
                        self.offered.insert(of(&pop.contact));
                    }
                    Push::Snapshot { pop: Some(pop), stage: Some(ContactStage::Offered), .. } => {
                        self.offered.insert(of(&pop.contact));
                    }
                    Push::Withdrawn { contact, .. } => {
                        self.offered.remove(&of(contact));
                    }
                    Push::Connected { contact, .. } if !self.offered.contains(&of(contact)) => {
                        return Err(format!("{} is connected with {contact}, unasked", desk.agent));
                    }
                    _ => {}
                }
            }
        }
        // The desk of an agent who is gone is forgotten, and its numbers with it.
        self.newest.retain(|agent, _| self.config.agents.contains_key(agent));
        Ok(())
    }

    /// An agent has one contact, a contact has one agent, and router and calls agree on which.
    fn nobody_has_two(&mut self, agents: &[AgentView], calls: &[CallView]) -> Verdict {
        let mut theirs: BTreeMap<&AgentId, &CallView> = BTreeMap::new();
        for call in calls {
            let Some(agent) = &call.agent else { continue };
            if let Some(other) = theirs.insert(agent, call) {
                return Err(format!("{agent} has {} and {}", other.contact, call.contact));
            }
        }
        for AgentView { state: view, .. } in agents {
            let call = theirs.get(&view.agent);
            let agrees = match (&view.state, call.map(|call| (call.contact, call.stage))) {
                (AgentState::Offered { contact }, Some((of, Stage::Queue | Stage::Ring))) => *contact == of,
                (AgentState::Talking { contact }, Some((of, Stage::Talk | Stage::Hold))) => *contact == of,
                (AgentState::Offered { .. } | AgentState::Talking { .. }, _) => false,
                (_, call) => call.is_none(),
            };
            if !agrees {
                return Err(format!("{} is {:?}, but has {call:?}", view.agent, view.state));
            }
        }
        let whole = |(address, _): &(&SocketAddr, &Phone)| !self.lossy && !self.cut_off.contains(address);
        let agents = self.net.phones.iter().filter(whole).filter(|(_, phone)| phone.name != "carrier");
        let twice: BTreeMap<_, _> = agents
            .filter(|(_, phone)| phone.count(State::Ringing) > 1)
            .map(|(address, phone)| (*address, phone.name))
            .collect();
        self.twice.retain(|address, _| twice.contains_key(address));
        for (address, name) in twice {
            let now = self.net.now.mono;
            // A CANCEL has to wait for the first response (RFC 3261 §9.1), the next INVITE has not.
            if now - *self.twice.entry(address).or_insert(now) > 3 * DELAY {
                return Err(format!("{name} rings twice"));
            }
        }
        Ok(())
    }

    fn nobody_waits_beside_a_ready_agent(&self, agents: &[AgentView]) -> Verdict {
        let queues = self.net.gateway.queues(self.net.now);
        for view in queues.iter().filter(|view| view.waiting > view.away) {
            let Some(queue) = self.config.queues.get(&view.queue) else { continue };
            let able = |agent: &&AgentView| {
                let Some(known) = self.config.agents.get(&agent.state.agent) else { return false };
                let has =
                    |(skill, level): (_, &u8)| known.acd.skills.get(skill).is_some_and(|has| has >= level);
                agent.state.state == AgentState::Ready
                    && known.acd.queues.contains(&view.queue)
                    && queue.acd.skills.iter().all(has)
            };
            if let Some(agent) = agents.iter().find(able) {
                return Err(format!("{} wait in {} beside {}", view.waiting, view.queue, agent.state.agent));
            }
        }
        Ok(())
    }

    fn who_is_away_waits_unoffered(&self, calls: &[CallView]) -> Verdict {
        let is_away = |call: &&CallView| {
            let legs = self.net.gateway.legs_of(call.contact);
            legs.is_some_and(|(caller, _)| self.away.contains(&caller))
        };
        let mut waiting = 0;
        for call in calls.iter().filter(is_away) {
            match (call.stage, &call.agent) {
                (Stage::Queue, None) => waiting += 1,
                (Stage::Queue | Stage::Ring, Some(agent)) => {
                    return Err(format!("{} is offered to {agent}, but away", call.contact));
                }
                _ => {}
            }
        }
        let known: usize = self.net.gateway.queues(self.net.now).iter().map(|view| view.away).sum();
        if known == waiting { Ok(()) } else { Err(format!("{waiting} wait and are away, not {known}")) }
    }

    fn everybody_hears_whom_they_should(&self, calls: &[CallView]) -> Verdict {
        let media = &self.net.media;
        let mut heard = BTreeSet::new();
        for source in media.rows.values().flatten() {
            if let Source::Leg(leg) = source
                && (!heard.insert(*leg) || !media.open.contains_key(leg))
            {
                return Err(format!("{leg} is heard twice, or after its end"));
            }
        }
        for call in calls {
            let Some((caller, callee)) = self.net.gateway.legs_of(call.contact) else { continue };
            let row = media.rows.get(&caller).map_or(&[][..], |row| row);
            let talks = matches!(row, [Source::Leg(_)]);
            let right = match (call.stage, &call.agent, callee) {
                (Stage::Talk | Stage::Hold, _, Some(callee)) => {
                    let far = media.rows.get(&callee).map_or(&[][..], |row| row);
                    let speaks = media.open.get(&callee).is_some_and(|plan| plan.direction.receives());
                    match (call.stage, &call.agent) {
                        (Stage::Talk, Some(_)) if self.net.paths.contains_key(&callee) => {
                            let heard = row == [Source::Leg(callee)];
                            let right = match (self.net.paths[&callee], self.muted.contains(&call.contact)) {
                                (PathIs::Gone, _) | (_, true) => !heard,
                                (PathIs::Secured, false) => heard,
                                (PathIs::Offered | PathIs::Silent, false) => true,
                            };
                            right && far == [Source::Leg(caller)]
                        }
                        (Stage::Talk, Some(_)) if self.muted.contains(&call.contact) => {
                            row.is_empty() && far == [Source::Leg(caller)]
                        }
                        (Stage::Talk, Some(_)) => {
                            speaks && row == [Source::Leg(callee)] && far == [Source::Leg(caller)]
                        }
                        // Somebody outside who holds is the caller's own affair.
                        (Stage::Talk, None) => talks == speaks && far == [Source::Leg(caller)],
                        // By the desktop, or at the phone: then it says nothing itself.
                        _ => !talks && (!speaks || far.is_empty()),
                    }
                }
                // A desk rings without a leg.
                (Stage::Ring, Some(agent), None) => SOFTPHONES.contains(&agent.as_str()) && !talks,
                (Stage::Talk | Stage::Hold, _, None) => false,
                (Stage::Ivr | Stage::Queue | Stage::Ring, ..) => !talks,
            };
            if !right {
                return Err(format!("{call:?} hears {row:?}, and so does {callee:?}"));
            }
        }
        Ok(())
    }

    /// Everybody hangs up, the timers run, and nothing is left.
    fn wind_down(&mut self, n: u64) -> Verdict {
        self.net.loses = 0;
        let phones: Vec<_> = self.net.phones.keys().copied().collect();
        for address in &phones {
            let phone = self.net.phones.get_mut(address).expect("it is one of them");
            (phone.gone, phone.then) = (false, Then::Refuse(Duration::ZERO, 486));
        }
        if n % 3 == 2 {
            self.net.tell(Input::Shutdown);
        }
        for connection in self.softphone_desks() {
            self.net.tell(Input::Detached { connection });
            self.net.desks.remove(&connection);
        }
        let pages: BTreeSet<_> = self.net.pages.iter().filter_map(answered).collect();
        for call in pages {
            self.net.page(web::Request::HangUp { call, secret: PAGE_SECRET });
        }
        for _ in 0..40 {
            for call in self.net.phones[&at(CARRIER)].up() {
                self.net.carrier(|carrier| carrier.bye(call));
            }
            for address in &phones {
                self.net.phone_does(*address, Phone::hang_up);
            }
            self.net.run(Duration::from_secs(2));
            self.check()?;
        }
        // What a peer that vanished left behind goes by its timers (RFC 3261 §17), and wrap-ups end.
        self.net.run(Duration::from_secs(100));
        self.check()?;

        let residue = self.net.gateway.residue();
        if residue != Default::default() {
            return Err(format!("something is left: {residue:?}"));
        }
        let media = &self.net.media;
        let left = (media.open.len(), media.rows.len(), media.plays.len(), media.recordings.len());
        if left != (0, 0, 0, 0) {
            return Err(format!("legs, rows, plays, recordings are left: {left:?}"));
        }
        let sockets = self.net.gateway.health(self.net.now).sockets;
        if sockets != usize::from(SOCKETS) {
            return Err(format!("{sockets} sockets came back"));
        }
        if let Some(record) = self.records.values().find(|record| record.state != RecordState::Finished) {
            return Err(format!("{} is {:?}", record.id, record.state));
        }
        if let Some(step) = self.entered.first() {
            return Err(format!("{step:?} was never left"));
        }
        self.every_invite_was_answered()?;

        self.records.clear();
        self.muted.clear();
        self.away.clear();
        self.net.pages.clear();
        self.cut_off.clear();
        self.net.desks.values_mut().for_each(|desk| desk.told.clear());
        self.read.values_mut().for_each(|(read, _)| *read = 0);
        self.net.desks.retain(|_, desk| !desk.dismissed);
        self.net.phones.values_mut().for_each(Phone::forget);
        Ok(())
    }

    fn every_invite_was_answered(&self) -> Verdict {
        let finals = self.net.phones[&at(CARRIER)].finals();
        if let Some(wrong) = finals.iter().find(|f| f.len() > 1 || f.is_empty() && !self.lossy) {
            return Err(format!("an INVITE had the final responses {wrong:?}"));
        }
        let taken = finals.iter().filter(|f| matches!(f[..], [200 | 488])).count();
        let taken = taken + self.net.pages.iter().filter_map(answered).collect::<BTreeSet<_>>().len();
        if taken > self.records.len() || taken < self.records.len() && !self.lossy {
            return Err(format!("{taken} calls taken, {} contacts recorded", self.records.len()));
        }
        for (address, phone) in &self.net.phones {
            if phone.open() > 0 && !self.lossy && !self.cut_off.contains(address) {
                return Err(format!("{} believes to be in a call", phone.name));
            }
        }
        Ok(())
    }
}

const PAGE_SECRET: TokenHash = TokenHash([5; 32]);

fn answered(outcome: &web::Outcome) -> Option<CallId> {
    match outcome {
        Ok(web::Done::Answered { call, .. }) => Some(*call),
        _ => None,
    }
}

fn page_offer(direction: &str) -> bytes::Bytes {
    let kind = if direction == "nonsense" { "video" } else { "audio" };
    format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.7.1\r\ns=-\r\nc=IN IP4 10.0.7.1\r\nt=0 0\r\n\
         m={kind} 40000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
    .into()
}

fn dossier(owner: CustomerId, answers: u64) -> Dossier {
    if answers == 0 {
        return Dossier::default();
    }
    let customer = Customer { id: owner, brand: "default".into(), profile: Profile::default() };
    Dossier { customer: Some(customer), confidence: Confidence::Number, ..Dossier::default() }
}

#[test]
fn whatever_happens_the_invariants_hold_and_nothing_is_left() {
    let seed = std::env::var("BATON_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut world = World::new(seed);
    let mut round = 0;
    while world.happenings.values().sum::<u64>() < HAPPENINGS {
        if let Err(wrong) = world.round(round) {
            panic!("{wrong}");
        }
        round += 1;
    }
    let all: u64 = world.happenings.values().sum();
    for (kind, n) in &world.happenings {
        println!("{kind:<26} {n:>6} {:5.1} %", *n as f64 * 100.0 / all as f64);
    }
    println!("{all} happenings in {round} rounds");
    let rare: Vec<_> = world.happenings.iter().filter(|(_, n)| **n < LEAST).collect();
    assert!(rare.is_empty(), "too rare to mean something: {rare:?}");
}
