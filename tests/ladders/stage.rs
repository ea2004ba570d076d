//! The stage that every ladder plays on: one number, its flow, two queues, two agents.

use std::collections::BTreeMap;
use std::time::Duration;

use baton::base::{CallId, ContactId, CustomerId, LegId, Mono};
use baton::cti::{JourneyEnd, Request, Wanted};
use baton::gateway::contact::{Record, RecordState};
use baton::gateway::desk::ConnectionId;
use baton::gateway::{Input, Write, web};
use baton::journey::handoff::{Binding, TokenHash};
use baton::journey::{
    Confidence, Customer, Dossier, Identifier, IdentifierKind, Journey, Profile, Status, Step,
};
use baton::media::{Event, Masking, Quality};

use crate::net::{CARRIER, Net, Offer, Phone, SOCKETS, Then, at, config};

pub const CENTRE: &str = r#"
[sip]
listen = ["udp:10.0.0.1:5060"]
[http]
desktop_grace_s = 20
[[trunk]]
id = "carrier"
sources = ["10.0.1.1"]
address = "udp:10.0.1.1:5060"
country = "86"
[[number]]
number = "+861055550000"
flow = "front"
[[click_to_call]]
flow = "front"
[[skill]]
id = "cards"
[[queue]]
id = "cards"
skills = { cards = 1 }
announce_every_s = 20
max_wait_s = 120
[[queue]]
id = "loans"
[[agent]]
id = "ann"
queues = ["cards"]
skills = { cards = 5 }
phone = "sip:ann@10.0.2.1:5060"
initial = "ready"
[[agent]]
id = "bob"
queues = ["cards", "loans"]
skills = { cards = 5 }
phone = "sip:bob@10.0.2.2:5060"
initial = "not_ready"
[[disposition]]
code = "solved"
"#;

pub const FRONT: &str = r#"
id = "front"
start = "menu"
language = "en"
on_error = "wait"
[steps.menu]
do = "menu"
prompt = "menu"
label = "Main menu"
options = { 1 = "wait", 2 = "out", 3 = "bye" }
timeout_ms = 5000
retries = 1
on_no_input = "wait"
on_no_match = "wait"
[steps.wait]
do = "queue"
queue = "cards"
on_overflow = "sorry"
[steps.out]
do = "transfer"
to = "+861066660000"
label = "Head office"
on_error = "sorry"
[steps.sorry]
do = "play"
prompt = "sorry"
next = "bye"
[steps.bye]
do = "hangup"
"#;

pub const ANN: &str = "10.0.2.1:5060";
pub const BOB: &str = "10.0.2.2:5060";
pub const STRANGER: &str = "10.9.9.9:5060";
pub const NUMBER: &str = "01055550000";

/// How the curtain opens.
pub struct Scene {
    pub centre: String,
    pub flow: &'static str,
    pub ann: Then,
    pub bob: Then,
    /// Who sits at a desktop from the start.
    pub desks: &'static [&'static str],
    pub look_up: Duration,
    pub loses: u64,
}

/// Ann is ready at her desktop and answers after two seconds; Bob is not ready.
pub fn scene() -> Scene {
    Scene {
        centre: CENTRE.to_owned(),
        flow: FRONT,
        ann: Then::Answer(Duration::from_secs(2)),
        bob: Then::Answer(Duration::from_secs(2)),
        desks: &["ann"],
        look_up: Duration::from_millis(1),
        loses: 0,
    }
}

impl Scene {
    /// Another centre: each of these is written in place of what stands there.
    pub fn with(mut self, changes: &[(&str, &str)]) -> Self {
        for (old, new) in changes {
            assert!(self.centre.contains(old), "{old:?} stands nowhere");
            self.centre = self.centre.replace(old, new);
        }
        self
    }
}

/// What people and machines do. Calls and contacts are numbered from 0 as they come.
#[derive(Clone, Copy)]
pub enum Do {
    Call,
    CallWith(Offer),
    Dial(&'static str),
    CallFrom(&'static str),
    Key(usize, char),
    Info(usize, char),
    HangUp(usize),
    Cancel(usize),
    Reinvite(usize, &'static str),
    ReinviteForeign(usize),
    /// By address: the called phone hangs up, re-INVITEs, changes its habits, is cut off.
    PhoneHangsUp(&'static str),
    PhoneReinvites(&'static str, &'static str),
    PhoneWill(&'static str, Then),
    PhoneGone(&'static str),
    /// As this user, for so many seconds.
    PhoneRegisters(&'static str, &'static str, u32),
    /// Media says this of one end of the contact.
    Path(usize, End, fn(LegId) -> Event),
    LogIn(&'static str),
    Drop(&'static str),
    /// Comes back and asks for what it missed.
    Return(&'static str),
    /// This version of the contact is on the screen.
    Displayed(&'static str, usize, u32),
    Answer(&'static str, usize),
    Decline(&'static str, usize),
    Hold(&'static str, usize),
    Resume(&'static str, usize),
    Release(&'static str, usize),
    Note(&'static str, usize),
    File(&'static str, usize),
    /// The errand is settled.
    Resolve(&'static str, usize),
    Extend(&'static str, usize),
    Ready(&'static str),
    NotReady(&'static str),
    /// Names a contact that never was.
    Meddle(&'static str),
    /// An app posts a step of the caller's errand while its owner is on the phone.
    Post(Status),
    /// The store found out that two customers are one.
    Merge,
    /// From now on the store knows nobody, or the owner of an errand and of a newer one besides.
    StoreKnowsNobody,
    StoreKnowsAnother,
    /// The store tells that the owner's errands are others, that the contact's steps are on disk, or what
    /// nobody asked for any more.
    Posted,
    Stepped(usize),
    FoundLate(usize),
    /// How often the store was asked so far.
    LookUps(u64),
    /// Each of these is written in place of what stands there, in centre and flow.
    Reload(&'static [(&'static str, &'static str)]),
    Drain,
    Shutdown,
    /// A page calls with a hand-off to this queue, or to the flow.
    PageCalls(Option<&'static str>),
    PageOffers(&'static str),
    /// Of the newest of the pages' calls: its token is used up, its page offers anew or hangs up.
    Confirm,
    Renew,
    RenewWithoutSecret,
    RenewWith(&'static str),
    PageHangsUp,
    /// No packets come of the contact's caller, or of who talks with them, since so many seconds.
    Silent(usize, End, u64),
    Audible(usize, End),
    /// Nor is there any other sign of life of it, under what is agreed with it.
    Absent(usize, End, u64),
    /// Such a report of the one or the other was due.
    Fares(usize, End, Quality),
    /// What the caller hears at this moment.
    Hears(usize, &'static str),
    /// The desktop's page offers, as its own phone: on the connection it has, or on another.
    Offers(&'static str),
    OffersAnew(&'static str),
    /// What a page's handshake takes from now on, in milliseconds; `None` lets nothing through.
    Handshake(Option<u64>),
    /// Media says this of the pages' legs.
    Befalls(fn(LegId) -> Event),
    Mute(&'static str, usize, bool),
    Press(&'static str, usize, &'static str),
    /// At which shard the pages' legs live.
    Lives(u16),
    /// Whether media was commanded to mask the recording.
    Masked(Masking),
    /// What media was commanded since this was last asked, or the last 16 of it.
    Media(&'static [&'static str]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Caller,
    Agent,
}

/// Plays the script, each line at its milliseconds, then waits until all is quiet. What must hold
/// after every play is checked here; the ladder is the test's own affair.
pub fn play(scene: Scene, script: &[(u64, Do)]) -> Play {
    let mut net = Net::new(config(&scene.centre, &[scene.flow]));
    net.phone("ann", ANN, scene.ann);
    net.phone("bob", BOB, scene.bob);
    net.phone("stranger", STRANGER, Then::Ignore);
    net.look_up = scene.look_up;
    net.dossier = dossier(Status::Entered);
    let mut play =
        Play { net, centre: scene.centre, flow: scene.flow.to_owned(), last: 0, lossless: scene.loses == 0 };
    for agent in scene.desks {
        play.log_in(agent, None);
    }
    play.net.clear_ladder();
    play.net.loses = scene.loses;
    for (millis, what) in script {
        play.net.run_until(Mono::ZERO + Duration::from_millis(*millis));
        play.act(*what);
    }
    play.net.settle(Duration::from_secs(400));
    play.check();
    play
}

pub struct Play {
    pub net: Net,
    centre: String,
    flow: String,
    last: u64,
    lossless: bool,
}

impl Play {
    fn act(&mut self, what: Do) {
        let net = &mut self.net;
        match what {
            Do::Call => drop(net.call("13800138000", NUMBER)),
            Do::CallWith(offer) => drop(net.call_from(at(CARRIER), "13800138000", NUMBER, offer)),
            Do::Dial(number) => drop(net.call("13800138000", number)),
            Do::CallFrom(phone) => drop(net.call_from(at(phone), "anybody", NUMBER, Offer::Usual)),
            Do::Key(n, key) => {
                let contact = self.contact(n);
                self.net.key(contact, key);
            }
            Do::Path(n, end, event) => {
                let leg = self.leg(n, end);
                self.net.path(event(leg));
            }
            Do::Info(n, key) => net.carrier(|carrier| carrier.info(n, key)),
            Do::HangUp(n) => net.carrier(|carrier| carrier.bye(n)),
            Do::Cancel(n) => net.carrier(|carrier| carrier.cancel(n)),
            Do::Reinvite(n, direction) => net.carrier(|carrier| carrier.reinvite(n, direction)),
            Do::ReinviteForeign(n) => net.carrier(|carrier| carrier.reinvite_foreign(n)),
            Do::PhoneHangsUp(phone) => net.phone_does(at(phone), Phone::hang_up),
            Do::PhoneReinvites(phone, direction) => {
                net.phone_does(at(phone), |phone| phone.reinvite_all(direction));
            }
            Do::PhoneWill(phone, then) => self.phone(phone).then = then,
            Do::PhoneRegisters(phone, user, seconds) => {
                net.phone_does(at(phone), |phone| phone.register(user, seconds));
            }
            Do::PhoneGone(phone) => self.phone(phone).gone = true,
            Do::LogIn(agent) => self.log_in(agent, None),
            Do::Drop(agent) => {
                let connection = self.desk(agent);
                self.net.tell(Input::Detached { connection });
            }
            Do::Return(agent) => {
                let seen = self.net.desks[&self.desk(agent)].told.last().map(|(seq, _)| *seq);
                self.log_in(agent, seen);
            }
            Do::Displayed(agent, n, version) => {
                self.say(agent, Request::Displayed { contact: self.contact(n), version });
            }
            Do::Answer(agent, n) => self.say(agent, Request::Answer { contact: self.contact(n) }),
            Do::Decline(agent, n) => self.say(agent, Request::Decline { contact: self.contact(n) }),
            Do::Hold(agent, n) => self.say(agent, Request::Hold { contact: self.contact(n) }),
            Do::Resume(agent, n) => self.say(agent, Request::Resume { contact: self.contact(n) }),
            Do::Release(agent, n) => self.say(agent, Request::Release { contact: self.contact(n) }),
            Do::Note(agent, n) => {
                self.say(agent, Request::Note { contact: self.contact(n), text: "calls back".into() });
            }
            Do::File(agent, n) => self.say(agent, filed(self.contact(n), None)),
            Do::Resolve(agent, n) => self.say(agent, filed(self.contact(n), Some(JourneyEnd::Resolved))),
            Do::Extend(agent, n) => {
                self.say(agent, Request::Extend { contact: self.contact(n), seconds: 30 });
            }
            Do::Ready(agent) => self.say(agent, Request::SetState { state: Wanted::Ready, reason: None }),
            Do::NotReady(agent) => {
                let reason = Some("lunch".to_owned());
                self.say(agent, Request::SetState { state: Wanted::NotReady, reason });
            }
            Do::Meddle(agent) => {
                for request in [Request::Answer { contact: ContactId(7) }, filed(ContactId(7), None)] {
                    self.say(agent, request);
                }
            }
            Do::Post(status) => {
                net.dossier = dossier(status);
                net.note("store    ──▶ a step was posted");
                net.tell(Input::Posted { brand: "default".into(), customers: vec![OWNER] });
            }
            Do::Merge => {
                let Some(customer) = &mut net.dossier.customer else { return };
                customer.id = CustomerId(78);
                net.note("store    ──▶ two customers are one");
                net.tell(Input::Posted { brand: "default".into(), customers: vec![OWNER] });
            }
            Do::StoreKnowsNobody => net.dossier = Dossier::default(),
            Do::StoreKnowsAnother => net.dossier = another(dossier(Status::Entered)),
            Do::Posted => net.tell(Input::Posted { brand: "default".into(), customers: vec![OWNER] }),
            Do::Stepped(n) => {
                let contact = self.contact(n);
                self.net.tell(Input::Stepped { contact });
            }
            Do::FoundLate(n) => {
                let contact = self.contact(n);
                let dossier = Some(Box::new(another(dossier(Status::Failed))));
                self.net.tell(Input::Found { contact, ticket: 0, dossier });
            }
            Do::LookUps(times) => assert_eq!(net.look_ups, times, "at {:?}", net.now.mono),
            Do::Reload(changes) => {
                for (old, new) in changes {
                    self.centre = self.centre.replace(old, new);
                    self.flow = self.flow.replace(old, new);
                }
                net.note("operator ──▶ reload");
                net.tell(Input::Reload(config(&self.centre, &[&self.flow])));
            }
            Do::PageCalls(queue) => net.page(web::Request::Call(Box::new(arrival(queue, PAGE)))),
            Do::PageOffers(offer) => net.page(web::Request::Call(Box::new(arrival(None, offer)))),
            Do::Confirm => net.page(web::Request::Confirm { call: net.page_call() }),
            Do::Renew => {
                let offer = PAGE.replace("40000", "40010").into();
                net.page(web::Request::Renew { call: net.page_call(), secret: SECRET, offer });
            }
            Do::RenewWithoutSecret => {
                let (call, secret) = (net.page_call(), TokenHash([0; 32]));
                net.page(web::Request::Renew { call, secret, offer: PAGE.into() });
            }
            Do::RenewWith(offer) => {
                net.page(web::Request::Renew { call: net.page_call(), secret: SECRET, offer: offer.into() });
            }
            Do::PageHangsUp => net.page(web::Request::HangUp { call: net.page_call(), secret: SECRET }),
            Do::Drain => net.tell(Input::Drain),
            Do::Shutdown => net.tell(Input::Shutdown),
            Do::Silent(n, end, seconds) => {
                let since = Duration::from_secs(seconds);
                self.media(n, end, |leg| Event::Silent { leg, since });
            }
            Do::Audible(n, end) => self.media(n, end, |leg| Event::Audible { leg }),
            Do::Absent(n, end, seconds) => {
                let (since, leg) = (Duration::from_secs(seconds), self.leg(n, end));
                let direction = self.net.media.open[&leg].direction;
                self.media(n, end, |leg| Event::Absent { leg, since, direction });
            }
            Do::Fares(n, end, quality) => {
                self.media(n, end, |leg| Event::Quality { leg, quality });
            }
            Do::Hears(n, sound) => {
                let now = self.net.now.mono;
                assert_eq!(self.net.hears(self.contact(n)), sound, "at {now:?}");
            }
            Do::Offers(agent) => {
                let connection = self.desk(agent);
                self.net.offer(connection);
            }
            Do::OffersAnew(agent) => {
                let connection = self.desk(agent);
                self.net.offer_anew(connection);
            }
            Do::Handshake(takes) => net.handshake = takes.map(Duration::from_millis),
            Do::Befalls(event) => net.befall_pages(event),
            Do::Mute(agent, n, on) => self.say(agent, Request::Mute { contact: self.contact(n), on }),
            Do::Press(agent, n, keys) => {
                self.say(agent, Request::Dtmf { contact: self.contact(n), keys: keys.into() });
            }
            Do::Lives(shard) => {
                let pages = net.media.open.iter().filter(|(_, plan)| plan.socket.is_shared());
                let mut lives = pages.map(|(leg, _)| net.media.lives[leg]);
                assert!(lives.all(|at| at == shard), "at {:?}", net.now.mono);
            }
            Do::Masked(masking) => {
                let masked = net.media.recordings.values().map(|recorded| recorded.masking);
                assert_eq!(masked.collect::<Vec<_>>(), [masking], "at {:?}", net.now.mono);
            }
            Do::Media(expected) => {
                let commands: Vec<_> = net.media.commands.drain(..).collect();
                assert_eq!(commands, expected, "at {:?}", net.now.mono);
            }
        }
    }

    fn log_in(&mut self, agent: &str, resume_from: Option<u64>) {
        self.last += 1;
        self.net.log_in(agent, self.last, resume_from);
    }

    fn say(&mut self, agent: &str, request: Request) {
        self.net.say(self.desk(agent), request);
    }

    /// The agent's newest connection.
    pub fn desk(&self, agent: &str) -> ConnectionId {
        let theirs = self.net.desks.iter().rev().find(|(_, desk)| desk.agent.as_str() == agent);
        theirs.map(|(connection, _)| *connection).expect("the agent is at a desktop")
    }

    /// The contacts in the order in which they came.
    fn contact(&self, n: usize) -> ContactId {
        let mut ids: Vec<_> = self.net.records().map(|record| record.id).collect();
        ids.dedup();
        let mut seen = vec![];
        ids.retain(|id| {
            !seen.contains(id) && {
                seen.push(*id);
                true
            }
        });
        ids[n]
    }

    /// What media tells of one end of a contact's call.
    fn media(&mut self, n: usize, end: End, event: impl FnOnce(LegId) -> Event) {
        let leg = self.leg(n, end);
        self.net.tell(Input::Media { shard: 0, event: event(leg) });
    }

    fn leg(&self, n: usize, end: End) -> LegId {
        let (caller, callee) = self.net.gateway.legs_of(self.contact(n)).expect("the call is up");
        if end == End::Caller { caller } else { callee.expect("somebody talks with the caller") }
    }

    fn phone(&mut self, address: &str) -> &mut Phone {
        self.net.phones.get_mut(&at(address)).expect("a phone")
    }

    /// The last record of the contact.
    pub fn record(&self, n: usize) -> &Record {
        let id = self.contact(n);
        self.net.records().rfind(|record| record.id == id).expect("it was written")
    }

    fn check(&self) {
        let net = &self.net;
        assert_eq!(net.gateway.residue(), Default::default(), "something is left\n{}", net.ladder());
        assert_eq!(net.gateway.health(net.now).sockets, usize::from(SOCKETS), "a socket is lost");
        let media = &net.media;
        let left = (media.open.len(), media.rows.len(), media.plays.len(), media.recordings.len());
        assert_eq!(left, (0, 0, 0, 0), "media is left: legs, rows, plays, recordings");
        assert_eq!((media.lives.len(), media.awaited.len()), (0, 0), "legs live on, or never arrive");

        let mut last: BTreeMap<ContactId, &Record> = BTreeMap::new();
        for record in net.records() {
            let call = &record.calls[0];
            let parts: u64 = call.segments.iter().map(|segment| segment.ms).sum();
            assert_eq!(parts, call.ms, "segments do not add up to the call");
            let before = last.insert(record.id, record);
            assert!(before.is_none_or(|before| before.revision < record.revision));
            assert!(
                before.is_none_or(
                    |before| before.state == RecordState::Running || before.calls[0].ms == call.ms
                )
            );
        }
        assert!(last.values().all(|record| record.state == RecordState::Finished));

        for phone in net.phones.values().filter(|phone| !phone.gone && self.lossless) {
            assert_eq!(phone.open(), 0, "{} is still in a call\n{}", phone.name, net.ladder());
            for finals in phone.finals() {
                assert_eq!(finals.len(), 1, "{} had {finals:?} to an INVITE", phone.name);
            }
        }
        for desk in net.desks.values() {
            assert!(desk.told.is_sorted_by(|a, b| a.0 < b.0), "sequence numbers go back");
        }
    }

    /// The ladder is exactly this one.
    pub fn shows(&self, expected: &str) {
        let trimmed = |text: &str| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(|line| format!("        {line}\n")).collect::<String>()
        };
        let (expected, shown) = (trimmed(expected), trimmed(&self.net.ladder()));
        assert!(expected == shown, "expected\n{expected}\nbut it was\n{shown}");
    }
}

impl Net {
    /// The newest call that a page was answered.
    fn page_call(&self) -> CallId {
        let newest = self.pages.iter().rev().find_map(|outcome| match outcome {
            Ok(web::Done::Answered { call, .. }) => Some(*call),
            _ => None,
        });
        newest.expect("a page called")
    }

    pub fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.written.iter().filter_map(|write| match write {
            Write::Contact(record) => Some(&**record),
            _ => None,
        })
    }
}

fn filed(contact: ContactId, journey: Option<JourneyEnd>) -> Request {
    Request::Disposition { contact, code: "solved".into(), journey }
}

const OWNER: CustomerId = CustomerId(77);
const SECRET: TokenHash = TokenHash([5; 32]);

const PAGE: &str = "v=0\r\no=- 1 1 IN IP4 10.0.7.1\r\ns=-\r\nc=IN IP4 10.0.7.1\r\nt=0 0\r\n\
                    m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// The owner of the errand calls from a page, a second errand of theirs at hand.
fn arrival(queue: Option<&str>, offer: &'static str) -> web::Arrival {
    let mut dossier = Dossier { confidence: Confidence::Token, ..dossier(Status::Failed) };
    if let Some(owner) = &mut dossier.customer {
        owner.profile.identifiers = Identifier::parse(IdentifierKind::Account, "wei").into_iter().collect();
    }
    let dossier = another(dossier);
    let binding = Binding {
        brand: "default".into(),
        customer: OWNER,
        confidence: Confidence::Token,
        journey: Some("prepay-1".into()),
        queue: queue.map(Into::into),
        expires: baton::base::Wall::from_millis(u64::MAX),
    };
    web::Arrival { binding, dossier, secret: SECRET, offer: offer.into() }
}

/// With an errand that is newer.
fn another(mut dossier: Dossier) -> Dossier {
    let mut newer = dossier.open[0].clone();
    newer.id = "later-2".into();
    newer.steps[0].at = baton::base::Wall::from_millis(1_799_999_900_000);
    dossier.open.insert(0, newer);
    dossier
}

/// A customer with one errand, begun in the app.
fn dossier(status: Status) -> Dossier {
    let step = Step {
        id: "s1".into(),
        journey: "prepay-1".into(),
        topic: "mortgage-prepay".into(),
        channel: "app".into(),
        step: "confirm".into(),
        label: None,
        ordinal: Some(3),
        total: Some(5),
        status,
        reason: None,
        data: BTreeMap::new(),
        at: baton::base::Wall::from_millis(1_799_999_000_000),
    };
    let journey = Journey { id: "prepay-1".into(), topic: "mortgage-prepay".into(), steps: vec![step] };
    let customer = Customer { id: OWNER, brand: "default".into(), profile: Profile::default() };
    Dossier {
        customer: Some(customer),
        confidence: Confidence::Number,
        open: vec![journey],
        ..Dossier::default()
    }
}
