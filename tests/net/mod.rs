//! A network in one thread: the gateway in the middle, a carrier, phones and desktops around it,
//! and virtual time between them. Nothing here sleeps, and the same seed gives the same ladder.

mod phone;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use baton::base::{AgentId, ContactId, Fingerprint, Key, Language, LegId, Mono, Now, PlayId, Wall};
use baton::config::Config;
use baton::config::fault::Source;
use baton::config::resolve::{Disk, Files, resolve};
use baton::cti::{Command, Push, Request};
use baton::gateway::contact::{Record, RecordState};
use baton::gateway::desk::ConnectionId;
use baton::gateway::web::{self, Done};
use baton::gateway::{Gateway, Input, Output, Write};
use baton::journey::{Dossier, Status};
use baton::media::crowd::shard_of;
use baton::media::{self, Prompt, RecordingId, Repeat, SocketId};
use baton::sip::{self, Hop, Message, Method, Name, Transport};

pub use phone::{Offer, Phone, State, Then};

/// One way through the network.
pub const DELAY: Duration = Duration::from_millis(1);
/// Every prompt is this long.
pub const PROMPT: Duration = Duration::from_millis(1000);
/// From a browser's offer to its first packet of audio.
const HANDSHAKE: Duration = Duration::from_millis(40);
/// How many sockets there are, and how long a port rests.
pub const SOCKETS: u16 = 64;
const REST: Duration = Duration::from_secs(5);
/// How long a mask outlasts being taken off.
pub const MASK: Duration = Duration::from_millis(400);
/// Until a recording is on the disk.
const DISK: Duration = Duration::from_millis(80);

pub const BATON: &str = "10.0.0.1:5060";
pub const CARRIER: &str = "10.0.1.1:5060";
/// The port that all pages share, the first shard's; the others have those above it.
const WEB: &str = "10.0.0.1:30000";

pub struct Net {
    pub gateway: Gateway,
    pub now: Now,
    /// Media threads.
    shards: u16,
    pub phones: BTreeMap<SocketAddr, Phone>,
    /// What the store would find of whoever calls, and how long it takes.
    pub dossier: Dossier,
    pub look_up: Duration,
    /// How often it was asked.
    pub look_ups: u64,
    pub written: Vec<Write>,
    pub fetched: Vec<baton::ivr::Fetch>,
    pub media: Media,
    /// What pages were answered.
    pub pages: Vec<web::Outcome>,
    pub desks: BTreeMap<ConnectionId, Desk>,
    /// How long a page's checks and handshake take; `None` while its network lets nothing through.
    pub handshake: Option<Duration>,
    /// How the shared port's legs are, as media told it last.
    pub paths: BTreeMap<LegId, PathIs>,
    /// Each softphone's leg, and whose offer is being answered.
    standing: BTreeMap<AgentId, LegId>,
    offering: Option<AgentId>,
    /// Offers that pages made, and the certificate of the newest connection.
    offers: u64,
    certificate: u8,
    /// One datagram in so many is lost, by count; zero is none.
    pub loses: u64,
    pub lost: u64,
    /// Lines of the ladder that are kept.
    pub keeps: usize,
    ladder: VecDeque<(Mono, Line)>,
    due: BTreeMap<(Mono, u64), Due>,
    /// When each phone is to be woken next.
    wakes: BTreeMap<SocketAddr, Mono>,
    count: u64,
}

/// One connection of an agent's desktop.
pub struct Desk {
    pub agent: AgentId,
    pub told: Vec<(u64, Arc<Push>)>,
    /// Its greeting has this number if all that follows was missed.
    resumed_from: Option<u64>,
    pub dismissed: bool,
}

/// What came of a leg's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathIs {
    Secured,
    /// By one who stayed the same, and nothing is known of it yet.
    Offered,
    Silent,
    /// Lost, or another's who is not through yet.
    Gone,
}

enum Due {
    Gateway(Input),
    Phone(SocketAddr, bytes::Bytes),
    /// A phone does what it put off.
    Wake(SocketAddr),
    Played(PlayId),
    /// A mask has ended, unless it was put on again meanwhile.
    Unmasked(RecordingId),
    /// A page has come through, if it is still the one that offered with this fragment.
    Through(LegId, Box<str>),
}

/// What the media plane would be doing.
#[derive(Default)]
pub struct Media {
    pub open: BTreeMap<LegId, media::Plan>,
    /// At which shard.
    pub lives: BTreeMap<LegId, u16>,
    /// Legs on their way, and where to.
    pub awaited: BTreeSet<(LegId, u16)>,
    pub rows: BTreeMap<LegId, Vec<media::Source>>,
    pub plays: BTreeMap<PlayId, Repeat>,
    pub recordings: BTreeMap<RecordingId, Recorded>,
    /// The last commands, by name, for whoever looks.
    pub commands: VecDeque<&'static str>,
}

/// One recording, since when it runs, and its mask.
pub struct Recorded {
    since: Mono,
    masked_since: Mono,
    pub masking: media::Masking,
}

/// Drawn only when somebody looks.
enum Line {
    Sip { far: SocketAddr, bytes: bytes::Bytes, towards: Towards, fate: Fate },
    Said(String),
}

enum Towards {
    Baton,
    Phone,
}

#[derive(PartialEq, Eq)]
enum Fate {
    Arrives,
    Lost,
}

struct NoDisk;

impl Disk for NoDisk {
    /// A secret is the name of its file.
    fn secret(&self, path: &Path) -> Result<String, String> {
        let name = path.file_name().and_then(|name| name.to_str());
        name.map(str::to_owned).ok_or_else(|| format!("{} is not there", path.display()))
    }

    fn prompts(&self, _: &Path) -> BTreeSet<(Language, String)> {
        let names = ["music", "welcome", "menu", "sorry"];
        Language::ALL.into_iter().flat_map(|l| names.map(|name| (l, name.to_owned()))).collect()
    }
}

/// A checked configuration from its text and its flows' texts.
pub fn config(text: &str, flows: &[&str]) -> Arc<Config> {
    let named = |(i, text): (usize, &&str)| Source::new(format!("flow{i}.toml"), *text);
    let flows = flows.iter().enumerate().map(named).collect();
    let files = Files { config: vec![Source::new("baton.toml", text)], flows, base: "".into() };
    match resolve(&files, &NoDisk) {
        // As the media threads would say at start.
        Ok(mut config) => {
            let web = |shard| SocketAddr::new(at(WEB).ip(), at(WEB).port() + shard);
            config.media.web = (0..config.media.shards).map(web).collect();
            config.media.fingerprint = Some(Fingerprint([7; 32]));
            Arc::new(config)
        }
        Err(faults) => panic!("{}", faults.iter().map(|f| format!("{f}\n")).collect::<String>()),
    }
}

impl Net {
    pub fn new(config: Arc<Config>) -> Self {
        let now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_800_000_000_000) };
        let mut net = Self {
            shards: config.media.shards,
            gateway: Gateway::new(config, [7; 32], now),
            now,
            phones: BTreeMap::new(),
            dossier: Dossier::default(),
            look_up: DELAY,
            look_ups: 0,
            written: vec![],
            fetched: vec![],
            media: Media::default(),
            pages: vec![],
            desks: BTreeMap::new(),
            handshake: Some(HANDSHAKE),
            paths: BTreeMap::new(),
            standing: BTreeMap::new(),
            offering: None,
            offers: 0,
            certificate: 9,
            loses: 0,
            lost: 0,
            keeps: usize::MAX,
            ladder: VecDeque::new(),
            due: BTreeMap::new(),
            wakes: BTreeMap::new(),
            count: 0,
        };
        for i in 0..SOCKETS {
            let (shard, socket, address) = net.socket(i);
            net.tell(Input::Stocked { shard, socket, address });
        }
        net.phone("carrier", CARRIER, Then::Ignore);
        net
    }

    pub fn phone(&mut self, name: &'static str, address: &str, then: Then) -> SocketAddr {
        let address = at(address);
        self.phones.insert(address, Phone::new(name, address, then));
        address
    }

    /// The carrier calls `number` from `caller`; returns the call's index among the carrier's.
    pub fn call(&mut self, caller: &str, number: &str) -> usize {
        self.call_from(at(CARRIER), caller, number, Offer::Usual)
    }

    pub fn call_from(&mut self, address: SocketAddr, caller: &str, number: &str, offer: Offer) -> usize {
        let mut index = 0;
        self.phone_does(address, |phone| {
            let (made, invite) = phone.invite(caller, number, offer);
            index = made;
            vec![invite]
        });
        index
    }

    /// A phone does something of its own.
    pub fn phone_does(&mut self, address: SocketAddr, act: impl FnOnce(&mut Phone) -> Vec<bytes::Bytes>) {
        let Some(phone) = self.phones.get_mut(&address) else { return };
        for bytes in act(phone.at(self.now.mono)) {
            self.send(address, bytes);
        }
        let Some(wake) = self.phones.get(&address).and_then(Phone::poll_timeout) else { return };
        let wake = wake.max(self.now.mono);
        if self.wakes.get(&address).is_none_or(|armed| wake < *armed) {
            self.wakes.insert(address, wake);
            self.schedule_at(wake, Due::Wake(address));
        }
    }

    pub fn carrier(&mut self, act: impl FnOnce(&mut Phone) -> Vec<bytes::Bytes>) {
        self.phone_does(at(CARRIER), act);
    }

    /// The contact's caller presses a key.
    pub fn key(&mut self, contact: ContactId, key: char) {
        let key = Key::try_from(key).expect("a key");
        if let Some((leg, _)) = self.gateway.legs_of(contact) {
            self.note(format!("caller   ──▶ key {key}"));
            self.tell(Input::Media { shard: 0, event: media::Event::Digit { leg, key } });
        }
    }

    /// The path of a leg is lost, or found again.
    pub fn path(&mut self, event: media::Event) {
        let is_lost = matches!(event, media::Event::Lost { .. });
        self.note(format!("media    ──▶ path {}", if is_lost { "lost" } else { "found" }));
        self.tell(Input::Media { shard: 0, event });
    }

    /// A page asks, by way of the shell.
    pub fn page(&mut self, request: web::Request) {
        let word = match &request {
            web::Request::Call(_) => "call",
            web::Request::Confirm { .. } => "confirm",
            web::Request::Renew { .. } => "renew",
            web::Request::HangUp { .. } => "hang up",
        };
        self.note(format!("page     ──▶ {word}"));
        self.tell(Input::Web { ticket: 0, request });
    }

    pub fn log_in(&mut self, agent: &str, connection: u64, resume_from: Option<u64>) -> ConnectionId {
        let (connection, agent) = (ConnectionId(connection), AgentId::from(agent));
        self.desks.insert(
            connection,
            Desk { agent: agent.clone(), told: vec![], resumed_from: resume_from, dismissed: false },
        );
        self.tell(Input::Attached { connection, agent, resume_from });
        connection
    }

    pub fn say(&mut self, connection: ConnectionId, request: Request) {
        self.count += 1;
        let id = format!("m{}", self.count);
        if self.keeps == usize::MAX {
            let word = format!("{request:?}");
            let word = word.split([' ', '{']).next().unwrap_or_default().to_lowercase();
            self.note(format!("{} ──▶ {word}", self.desk_name(connection)));
        }
        self.tell(Input::Said { connection, command: Command { id, request } });
    }

    /// The desktop's page offers: it was just loaded, or looks for its path anew.
    pub fn offer(&mut self, connection: ConnectionId) {
        self.offers += 1;
        let sdp = browser(self.offers, self.certificate);
        self.offering = self.desks.get(&connection).map(|desk| desk.agent.clone());
        self.say(connection, Request::Sdp { sdp });
        self.offering = None;
    }

    /// Another connection of the same page offers, or of another page.
    pub fn offer_anew(&mut self, connection: ConnectionId) {
        self.certificate = self.certificate.wrapping_add(1);
        self.offer(connection);
    }

    /// What media tells of every page's leg.
    pub fn befall_pages(&mut self, event: fn(LegId) -> media::Event) {
        let pages = self.media.open.iter().filter(|(_, plan)| plan.socket.is_shared());
        for leg in pages.map(|(leg, _)| *leg).collect::<Vec<_>>() {
            let event = event(leg);
            let word = format!("{event:?}");
            let word = word.split([' ', '{']).next().unwrap_or_default().to_lowercase();
            self.note(format!("media    ──▶ {word}"));
            self.tell(Input::Media { shard: 0, event });
        }
    }

    /// What a desktop was told so far, in order.
    pub fn told(&self, connection: ConnectionId) -> Vec<Arc<Push>> {
        self.desks
            .get(&connection)
            .into_iter()
            .flat_map(|desk| &desk.told)
            .map(|(_, push)| push.clone())
            .collect()
    }

    /// What the caller of this contact hears.
    pub fn hears(&self, contact: ContactId) -> &'static str {
        let row = self.gateway.legs_of(contact).and_then(|(leg, _)| self.media.rows.get(&leg));
        match row.and_then(|row| row.first()) {
            Some(media::Source::Leg(_)) => "talk",
            Some(media::Source::Prompt(play)) if self.media.plays.get(play) == Some(&Repeat::Forever) => {
                "music"
            }
            Some(media::Source::Prompt(_)) => "prompt",
            Some(media::Source::Tone(media::Tone::Ringback)) => "ringback",
            _ => "nothing",
        }
    }

    pub fn tell(&mut self, input: Input) {
        if let Input::Media { event, .. } = &input {
            self.watch(event);
        }
        self.gateway.handle_input(self.now, input);
        self.carry_out();
    }

    fn watch(&mut self, event: &media::Event) {
        use media::Event::*;
        let (Secured { leg } | Audible { leg } | Silent { leg, .. } | Lost { leg } | Unsecured { leg }) =
            event
        else {
            return;
        };
        let Some(path) = self.paths.get_mut(leg) else { return };
        *path = match (event, *path) {
            (Secured { .. }, _) | (Audible { .. }, PathIs::Silent) => PathIs::Secured,
            (Silent { .. }, PathIs::Secured) => PathIs::Silent,
            (Lost { .. } | Unsecured { .. }, _) => PathIs::Gone,
            (_, path) => path,
        };
    }

    /// Lets time pass, and everything happen that is due in it.
    pub fn run(&mut self, span: Duration) {
        self.run_until(self.now.mono + span);
    }

    pub fn run_until(&mut self, end: Mono) {
        let mut at_once = 0;
        loop {
            let timer = self.gateway.poll_timeout();
            let event = self.due.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = [timer, event].into_iter().flatten().min().filter(|at| *at <= end) else { break };
            at_once = if at > self.now.mono { 0 } else { at_once + 1 };
            assert!(at_once < 10_000, "time stands still");
            self.pass_until(at);
            if event == Some(at)
                && let Some((_, due)) = self.due.pop_first()
            {
                self.happen(due);
            } else {
                self.gateway.handle_timeout(self.now);
                self.carry_out();
            }
        }
        self.pass_until(end);
    }

    /// Runs until nothing is under way and no timer is armed, or `most` has passed.
    pub fn settle(&mut self, most: Duration) {
        let end = self.now.mono + most;
        while self.now.mono < end && (self.gateway.poll_timeout().is_some() || !self.due.is_empty()) {
            self.run(Duration::from_millis(500));
        }
    }

    pub fn note(&mut self, line: impl Into<String>) {
        self.draw(Line::Said(line.into()));
    }

    pub fn ladder(&self) -> String {
        self.ladder.iter().map(|(at, line)| self.drawn(*at, line) + "\n").collect()
    }

    pub fn clear_ladder(&mut self) {
        self.ladder.clear();
    }

    /// The last lines, for whoever has to find out what went wrong.
    pub fn tail(&self, lines: usize) -> String {
        let skipped = self.ladder.len().saturating_sub(lines);
        self.ladder.iter().skip(skipped).map(|(at, line)| self.drawn(*at, line) + "\n").collect()
    }

    fn pass_until(&mut self, at: Mono) {
        if at > self.now.mono {
            self.now = self.now.after(at - self.now.mono);
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Gateway(input) => self.tell(input),
            Due::Phone(address, bytes) => {
                let here = self.phones.get(&address).is_some_and(|phone| !phone.gone);
                if here {
                    self.phone_does(address, |phone| phone.receive(bytes));
                }
            }
            Due::Wake(address) => {
                self.wakes.retain(|phone, at| *phone != address || *at > self.now.mono);
                self.phone_does(address, Phone::handle_timeout);
            }
            Due::Played(play) => {
                if self.media.plays.get(&play) == Some(&Repeat::Once) {
                    self.media.plays.remove(&play);
                    self.tell(Input::Media { shard: 0, event: media::Event::Played { play } });
                }
            }
            Due::Unmasked(recording) => {
                let recorded = self.media.recordings.get(&recording);
                if let Some(recorded) = recorded.filter(|it| it.masking == media::Masking::Off) {
                    let (from, to) =
                        (recorded.masked_since.since(recorded.since), self.now.mono.since(recorded.since));
                    let event = media::Event::Unmasked { recording, from, to };
                    self.tell(Input::Media { shard: 0, event });
                }
            }
            Due::Through(leg, ufrag) => {
                let plan = self.media.open.get(&leg);
                let stands = plan.is_some_and(
                    |plan| matches!(&plan.path, media::Path::Ice { theirs, .. } if theirs.ufrag == ufrag),
                );
                if stands {
                    self.note("media    ──▶ secured");
                    self.tell(Input::Media { shard: 0, event: media::Event::Secured { leg } });
                }
            }
        }
    }

    /// A phone's datagram on its way to the gateway.
    fn send(&mut self, from: SocketAddr, bytes: bytes::Bytes) {
        if self.phones.get(&from).is_some_and(|phone| phone.gone) {
            return;
        }
        let fate = self.fate();
        let lost = fate == Fate::Lost;
        self.draw(Line::Sip { far: from, bytes: bytes.clone(), towards: Towards::Baton, fate });
        if lost {
            return;
        }
        let hop = Hop { transport: Transport::Udp, local: at(BATON), remote: from, stream: None };
        self.schedule(DELAY, Due::Gateway(Input::Sip(sip::Input::Received { hop, bytes })));
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Transmit { hop, bytes } => {
                    let fate = self.fate();
                    let lost = fate == Fate::Lost;
                    let towards = Towards::Phone;
                    self.draw(Line::Sip { far: hop.remote, bytes: bytes.clone(), towards, fate });
                    if !lost {
                        self.schedule(DELAY, Due::Phone(hop.remote, bytes));
                    }
                }
                Output::Media { shard, command } => self.obey(shard, command),
                Output::LookUp { contact, ticket, .. } => {
                    self.look_ups += 1;
                    let dossier = Some(Box::new(self.dossier.clone()));
                    self.schedule(self.look_up, Due::Gateway(Input::Found { contact, ticket, dossier }));
                }
                Output::Speak { contact, ticket, utterances } => {
                    self.note(format!("speech   ◀── {}", said(&utterances)));
                    let prompts = vec![Arc::new(Prompt::from_pcm(&[0; 160]))];
                    self.schedule(DELAY, Due::Gateway(Input::Spoken { contact, ticket, prompts }));
                }
                Output::Fetch { contact, ticket, fetch } => {
                    self.fetched.push(fetch);
                    let outcome = Ok(serde_json::json!({ "balance": "12.50" }));
                    self.schedule(DELAY, Due::Gateway(Input::Fetched { contact, ticket, outcome }));
                }
                Output::Web { outcome, .. } => {
                    self.note(match &outcome {
                        Ok(Done::Answered { .. }) => "page     ◀── answer".to_owned(),
                        Ok(Done::Confirmed) => "page     ◀── confirmed".to_owned(),
                        Ok(Done::HungUp) => "page     ◀── hung up".to_owned(),
                        Err(refusal) => format!("page     ◀── refused: {refusal}"),
                    });
                    self.pages.push(outcome);
                }
                Output::Take(_) | Output::Label { .. } => {}
                Output::Retire(socket) => self.rest(socket.id),
                Output::Store(write) => {
                    if let Some(line) = kept(&write) {
                        self.note(format!("store    ◀── {line}"));
                    }
                    self.written.push(write);
                }
                Output::Push { connection, seq, push } => {
                    if let Some(line) = pushed(&push) {
                        self.note(format!("{} ◀── {line}", self.desk_name(connection)));
                    }
                    if let Some(desk) = self.desks.get_mut(&connection) {
                        // Another page has the desk, not the one whose connection this is.
                        if let (Push::Snapshot { .. }, Some(leg)) = (&*push, self.standing.get(&desk.agent))
                            && desk.told.first().is_none_or(|(first, _)| Some(*first) != desk.resumed_from)
                            && let Some(path) = self.paths.get_mut(leg)
                        {
                            *path = PathIs::Gone;
                        }
                        assert!(!desk.dismissed, "{connection:?} is told something after it was dismissed");
                        desk.told.push((seq, push));
                    }
                }
                Output::Dismiss { connection } => {
                    let name = self.desk_name(connection);
                    self.note(format!("{name} ◀── dismissed"));
                    if let Some(desk) = self.desks.get_mut(&connection) {
                        desk.dismissed = true;
                    }
                }
            }
        }
    }

    fn obey(&mut self, shard: u16, command: media::Command) {
        use media::Command::*;
        self.media.heed(&command);
        self.media.assert_there(shard, &command);
        if let Open { leg, plan } | Amend { leg, plan } = &command
            && let media::Path::Ice { theirs, .. } = &plan.path
            && let Some(handshake) = self.handshake
        {
            self.schedule(handshake, Due::Through(*leg, theirs.ufrag.clone()));
        }
        match command {
            Open { leg, plan } => {
                if plan.socket.is_shared() {
                    self.paths.insert(leg, PathIs::Gone);
                    self.standing.extend(self.offering.clone().map(|agent| (agent, leg)));
                }
                assert!(self.media.open.insert(leg, plan).is_none(), "leg {leg} opened twice");
                self.media.lives.insert(leg, shard);
            }
            Amend { leg, plan } => {
                if let (Some(path), Some(old)) = (self.paths.get_mut(&leg), self.media.open.get(&leg)) {
                    let gone = *path == PathIs::Gone || old.keys != plan.keys;
                    *path = if gone { PathIs::Gone } else { PathIs::Offered };
                }
                let old = self.media.open.insert(leg, plan);
                assert!(old.is_some(), "leg {leg} amended before it was opened");
            }
            Close { leg } => {
                self.paths.remove(&leg);
                let plan = self.media.open.remove(&leg);
                self.media.rows.remove(&leg);
                self.media.lives.remove(&leg);
                self.rest(plan.unwrap_or_else(|| panic!("leg {leg} closed without being open")).socket);
            }
            Await { leg } => {
                assert!(self.media.awaited.insert((leg, shard)), "leg {leg} is awaited twice");
            }
            Move { leg, to } => {
                let to = to.number() as u16;
                assert!(self.media.awaited.remove(&(leg, to)), "leg {leg} moves where nobody awaits it");
                self.media.lives.insert(leg, to);
                self.media.rows.remove(&leg);
            }
            Patch { listener, sources } => {
                if self.media.open.contains_key(&listener) {
                    self.media.rows.insert(listener, sources);
                }
            }
            Play { play, repeat, .. } => {
                self.media.plays.insert(play, repeat);
                if repeat == Repeat::Once {
                    self.schedule(PROMPT, Due::Played(play));
                }
            }
            Stop { play } => {
                self.media.plays.remove(&play);
            }
            Record { recording, .. } => {
                let (since, masking) = (self.now.mono, media::Masking::Off);
                self.media.recordings.insert(recording, Recorded { since, masked_since: since, masking });
            }
            Finish { recording } => {
                let recorded = self.media.recordings.remove(&recording);
                let length = recorded.map_or(Duration::ZERO, |it| self.now.mono.since(it.since));
                let file = format!("{:016x}.wav", recording.0);
                self.schedule(DISK, Due::Gateway(Input::Saved { recording, file, length }));
            }
            Mask { recording, masking } => {
                let Some(recorded) = self.media.recordings.get_mut(&recording) else { return };
                recorded.masking = masking;
                match masking {
                    media::Masking::On => recorded.masked_since = self.now.mono,
                    media::Masking::Off => self.schedule(MASK, Due::Unmasked(recording)),
                }
            }
            Press { .. } => {}
        }
    }

    fn rest(&mut self, id: SocketId) {
        if id.is_shared() {
            return;
        }
        let (shard, socket, address) = self.socket(id.0 as u16);
        self.schedule(REST, Due::Gateway(Input::Stocked { shard, socket, address }));
    }

    /// The shards have them in turn.
    fn socket(&self, i: u16) -> (u16, SocketId, SocketAddr) {
        (i % self.shards, SocketId(u32::from(i)), SocketAddr::from(([10, 0, 0, 1], 20_000 + 2 * i)))
    }

    fn schedule(&mut self, after: Duration, due: Due) {
        self.schedule_at(self.now.mono + after, due);
    }

    fn schedule_at(&mut self, at: Mono, due: Due) {
        self.count += 1;
        self.due.insert((at, self.count), due);
    }

    fn fate(&mut self) -> Fate {
        self.count += 1;
        if self.loses > 0 && self.count.is_multiple_of(self.loses) {
            self.lost += 1;
            return Fate::Lost;
        }
        Fate::Arrives
    }

    fn draw(&mut self, line: Line) {
        if self.ladder.len() >= self.keeps {
            self.ladder.pop_front();
        }
        self.ladder.push_back((self.now.mono, line));
    }

    fn drawn(&self, at: Mono, line: &Line) -> String {
        let millis = at.as_nanos() / 1_000_000;
        let time = format!("{:>4}.{:03}", millis / 1000, millis % 1000);
        match line {
            Line::Said(line) => format!("{time} {line}"),
            Line::Sip { far, bytes, towards, fate } => {
                let name = self.phones.get(far).map_or("stranger", |phone| phone.name);
                let what = match sip::parse(bytes.clone()) {
                    Ok(Message::Request(request)) => request.method.as_str().to_owned(),
                    Ok(Message::Response(response)) => {
                        let method = response.headers.cseq().map(|cseq| cseq.method);
                        let method = method.unwrap_or(Method::Invite);
                        let status = match method {
                            Method::Invite => response.status.to_string(),
                            method => format!("{} {}", response.status, method.as_str()),
                        };
                        let warning = response.headers.get(Name::Warning).map(String::from_utf8_lossy);
                        warning.map(|warning| format!("{status}, {warning}")).unwrap_or(status)
                    }
                    Err(_) => "?".to_owned(),
                };
                let arrow = match towards {
                    Towards::Baton => "──▶",
                    Towards::Phone => "◀──",
                };
                let lost = if *fate == Fate::Lost { " (lost)" } else { "" };
                format!("{time} {name:<8} {arrow} {what}{lost}")
            }
        }
    }

    fn desk_name(&self, connection: ConnectionId) -> String {
        let agent = self.desks.get(&connection).map_or("?", |desk| desk.agent.as_str());
        format!("{:<8}", format!("desk {agent}"))
    }
}

impl Media {
    /// A shard is commanded only what it can do: it has the legs, and who hears whom is there, too.
    fn assert_there(&self, shard: u16, command: &media::Command) {
        use media::Command::*;
        let legs = match command {
            Open { plan, .. } | Amend { plan, .. } => {
                if let media::Path::Ice { ours, .. } = &plan.path {
                    let home = plan.socket.shared_by();
                    assert_eq!(shard_of(ours.ufrag.as_bytes()), home, "checks would not arrive");
                }
                vec![]
            }
            Close { leg } | Move { leg, .. } | Press { leg, .. } | Record { leg, .. } => vec![*leg],
            Patch { listener, sources } => {
                let heard = sources.iter().filter_map(|source| match source {
                    media::Source::Leg(leg) => Some(*leg),
                    _ => None,
                });
                heard.chain([*listener]).collect()
            }
            _ => vec![],
        };
        let amended = if let Amend { leg, .. } = command { Some(*leg) } else { None };
        for leg in legs.into_iter().chain(amended) {
            let lives = self.lives.get(&leg);
            assert!(lives.is_none_or(|at| *at == shard), "leg {leg} is not at shard {shard}: {command:?}");
        }
    }

    fn heed(&mut self, command: &media::Command) {
        use media::Command::*;
        if self.commands.len() == 16 {
            self.commands.pop_front();
        }
        self.commands.push_back(match command {
            Open { .. } => "open",
            Amend { .. } => "amend",
            Close { .. } => "close",
            Move { .. } => "move",
            Await { .. } => "await",
            Patch { .. } => "patch",
            Play { .. } => "play",
            Stop { .. } => "stop",
            Press { .. } => "press",
            Record { .. } => "record",
            Mask { .. } => "mask",
            Finish { .. } => "finish",
        });
    }
}

/// Whoever breaks an assertion sees what led to it.
impl Drop for Net {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail(60));
        }
    }
}

pub fn at(address: &str) -> SocketAddr {
    address.parse().expect("an address")
}

/// What a page offers; `n` tells its offers apart.
fn browser(n: u64, certificate: u8) -> String {
    let fingerprint = Fingerprint([certificate; 32]);
    [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 126",
        "c=IN IP4 0.0.0.0",
        &format!("a=ice-ufrag:page{n}"),
        "a=ice-pwd:Zb0yv1nTq0s2d7cYxk8mWf5A",
        &format!("a=fingerprint:sha-256 {fingerprint}"),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:126 telephone-event/8000",
        "",
    ]
    .join("\r\n")
}

fn said(utterances: &[baton::ivr::Utterance]) -> String {
    let one = |utterance: &baton::ivr::Utterance| match utterance {
        baton::ivr::Utterance::Prompt { name, .. } => name.clone(),
        baton::ivr::Utterance::Text { text, .. } => format!("{text:?}"),
    };
    utterances.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn kept(write: &Write) -> Option<String> {
    match write {
        Write::Contact(record) if record.state == RecordState::Finished => Some(summary(record)),
        Write::Contact(_) => None,
        Write::Steps { steps, .. } => steps.first().map(|step| {
            let status = match step.status {
                Status::Entered => "entered",
                Status::Done => "done",
                Status::Failed => "failed",
                Status::Abandoned => "abandoned",
            };
            format!("step {} {status}", step.step)
        }),
        Write::Resolve { journey, .. } => Some(match journey.starts_with("ivr-") {
            true => "resolved: this call".to_owned(),
            false => format!("resolved: {journey}"),
        }),
    }
}

/// The caller's time, what it ended with, and each offer's outcome.
pub fn summary(record: &Record) -> String {
    let call = &record.calls[0];
    let segments = call.segments.iter().map(|s| format!("{:?} {}", s.stage, s.ms).to_lowercase());
    let hops = record.hops.iter().map(|hop| format!("{} {:?}", hop.agent, hop.outcome).to_lowercase());
    let release = call.release.map_or("no release".to_owned(), |release| release.to_string());
    let parts = [segments.collect::<Vec<_>>().join(" + "), hops.collect::<Vec<_>>().join(", "), release];
    parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" | ")
}

/// What became of states shows in what follows them.
fn pushed(push: &Push) -> Option<String> {
    Some(match push {
        Push::State(_) | Push::Reply { error: None, .. } => return None,
        Push::Welcome { .. } => "welcome".to_owned(),
        Push::Snapshot { stage, .. } => match stage {
            Some(stage) => format!("snapshot: {stage:?}").to_lowercase(),
            None => "snapshot".to_owned(),
        },
        Push::Offer(pop) => format!("offer v{}", pop.version),
        Push::Update(pop) => format!("update v{}", pop.version),
        Push::Withdrawn { reason, .. } => format!("withdrawn: {reason:?}").to_lowercase(),
        Push::Connected { .. } => "connected".to_owned(),
        Push::Held { .. } => "held".to_owned(),
        Push::Resumed { .. } => "resumed".to_owned(),
        Push::Released { release, .. } => format!("released: {release}"),
        Push::WrapUp { .. } => "wrap-up".to_owned(),
        Push::Reply { error: Some(error), .. } => format!("refused: {error:?}"),
        Push::Sdp { .. } => "sdp".to_owned(),
        Push::Quality { caller, agent, .. } => {
            let mute = [("caller", caller), ("agent", agent)].into_iter();
            let mute = mute
                .filter(|(_, fare)| fare.silent_since.is_some())
                .map(|(who, _)| format!(", {who} silent"));
            format!("quality{}", mute.collect::<String>())
        }
        Push::Error { error } => format!("error: {error}"),
    })
}
