//! Where calls, flows, queues and journeys meet: the one value that decides.
//!
//! A sans-IO machine: feed it [`Input`]s and time, carry out its [`Output`]s. It owns the SIP
//! endpoint, every contact, the ACD router and the agents' desks. One task drives it, so there is
//! one order of events and a hang-up against an answer is never a race.
//!
//! The machines do not know each other: [`dispatch`] is the table by which one's output becomes
//! another's input, until all are quiet.

mod arrival;
pub mod audio;
mod closing;
mod commands;
pub mod contact;
pub mod desk;
mod dispatch;
mod flows;
mod outfit;
mod pop;
mod queueing;
mod recording;
mod softphone;
mod stock;
mod turn;
pub mod view;
pub mod web;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::acd::{self, Router};
use crate::base::{AgentId, BrandId, CallId, ContactId, CustomerId, LegId, Mint, Mono, Now};
use crate::call::leg::Socket;
use crate::call::recording::State;
use crate::call::release::{Cause, Release};
use crate::config::{Config, Phone};
use crate::cti::{self, Push};
use crate::ivr::phrase::Phrase;
use crate::ivr::{self, FetchFault, Utterance};
use crate::journey::{Dossier, Profile, Step};
use crate::media::{self, Prompt, RecordingId, SocketId};
use crate::sip::endpoint::{Account, Admission, Bounds, Endpoint, Settings};
use crate::sip::{self, Hop};

use self::audio::AudioCounters;
use self::contact::{Contact, Record, Sought};
use self::desk::{ConnectionId, Desk, Resumption};
use self::softphone::Softphone;
use self::stock::Stock;
use self::web::Page;

#[derive(Debug)]
pub struct Gateway {
    config: Arc<Config>,
    mint: Mint,
    sip: Endpoint,
    acd: Router,
    /// Boxed, for a contact is large and the map moves what it holds.
    contacts: BTreeMap<ContactId, Box<Contact>>,
    legs: BTreeMap<LegId, ContactId>,
    /// Those the disk has not told of yet.
    recordings: BTreeMap<RecordingId, ContactId>,
    /// The open-contact index: who of our customers has something open.
    open: BTreeMap<(BrandId, CustomerId), BTreeSet<ContactId>>,
    /// Which contact holds which agent, from offer to the end of wrap-up.
    holding: BTreeMap<AgentId, ContactId>,
    /// Calls from pages, by the id that their pages know.
    pages: BTreeMap<CallId, Page>,
    desks: BTreeMap<AgentId, Desk>,
    connections: BTreeMap<ConnectionId, AgentId>,
    /// Standing legs, by agent, and whose each is.
    softphones: BTreeMap<AgentId, Softphone>,
    lines: BTreeMap<LegId, AgentId>,
    stock: Stock,
    /// Contacts whose machines may have something to say.
    stirred: BTreeSet<ContactId>,
    deadlines: BTreeSet<(Mono, ContactId)>,
    desk_deadlines: BTreeSet<(Mono, AgentId)>,
    /// How a waiting caller is told its place.
    position: Phrase,
    draining: bool,
    counters: Counters,
    outputs: VecDeque<Output>,
}

/// Everything that can happen to the gateway.
#[derive(Debug)]
pub enum Input {
    Sip(sip::Input),
    Media {
        shard: u16,
        event: media::Event,
    },
    /// A shard bound another pair of sockets.
    Stocked {
        shard: u16,
        socket: SocketId,
        address: SocketAddr,
    },
    /// A recording is on the disk, all of it.
    Saved {
        recording: RecordingId,
        /// Its name in the folder of recordings.
        file: String,
        length: Duration,
    },
    /// The disk refused: there is so much of the recording, perhaps nothing.
    Spoiled {
        recording: RecordingId,
        length: Duration,
    },
    /// What the store knows of a contact's caller.
    Found {
        contact: ContactId,
        ticket: u64,
        dossier: Option<Box<Dossier>>,
    },
    /// A caller's steps in our own flow became durable: by now the store knows them.
    Stepped {
        contact: ContactId,
    },
    Spoken {
        contact: ContactId,
        ticket: u64,
        prompts: Vec<Arc<Prompt>>,
    },
    Fetched {
        contact: ContactId,
        ticket: u64,
        outcome: Result<serde_json::Value, FetchFault>,
    },
    /// Steps of these customers became durable.
    Posted {
        brand: BrandId,
        customers: Vec<CustomerId>,
    },
    /// A desktop logged in; its token was good.
    Attached {
        connection: ConnectionId,
        agent: AgentId,
        resume_from: Option<u64>,
    },
    Detached {
        connection: ConnectionId,
    },
    Said {
        connection: ConnectionId,
        command: cti::Command,
    },
    /// A page or an app asks something of its call; answered by [`Output::Web`] in this turn.
    Web {
        ticket: u64,
        request: web::Request,
    },
    /// A supervisor sets an agent's state.
    Wish {
        agent: AgentId,
        wish: acd::Wish,
    },
    Reload(Arc<Config>),
    /// No new calls; those that are up may end by themselves.
    Drain,
    /// Everybody is hung up on.
    Shutdown,
}

/// Everything the gateway asks of the world.
#[derive(Debug)]
pub enum Output {
    Transmit {
        hop: Hop,
        bytes: bytes::Bytes,
    },
    Media {
        shard: u16,
        command: media::Command,
    },
    /// Whose recording it will be; said before it begins.
    Label {
        shard: u16,
        recording: RecordingId,
        contact: ContactId,
    },
    /// A pair of the stock is spoken for: another may take its place.
    Take(Socket),
    /// A pair that a peer was told of will not be opened: its port has to rest.
    Retire(Socket),
    LookUp {
        contact: ContactId,
        ticket: u64,
        brand: BrandId,
        sought: Sought,
    },
    Speak {
        contact: ContactId,
        ticket: u64,
        utterances: Vec<Utterance>,
    },
    Fetch {
        contact: ContactId,
        ticket: u64,
        fetch: ivr::Fetch,
    },
    Store(Write),
    Push {
        connection: ConnectionId,
        seq: u64,
        push: Arc<Push>,
    },
    Web {
        ticket: u64,
        outcome: web::Outcome,
    },
    /// The connection's agent logged in elsewhere, or is gone from the configuration.
    Dismiss {
        connection: ConnectionId,
    },
}

/// What is to last.
#[derive(Debug)]
pub enum Write {
    Contact(Box<Record>),
    /// Steps a caller took in our own flows.
    Steps {
        contact: ContactId,
        brand: BrandId,
        profile: Profile,
        steps: Vec<Step>,
    },
    /// The errand is settled: its journey is no breakpoint any more.
    Resolve {
        brand: BrandId,
        customer: CustomerId,
        journey: String,
    },
}

/// Plain counts, read by `io` for `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub calls: u64,
    pub calls_refused: u64,
    pub calls_answered_by_agents: u64,
    pub offers: u64,
    pub rona: u64,
    pub displayed_before_answer: u64,
    pub overflows: u64,
    pub abandoned: u64,
    pub inputs: u64,
    pub audio: AudioCounters,
}

impl Gateway {
    /// `seed` is all its randomness: the same seed and inputs give the same outputs.
    pub fn new(config: Arc<Config>, seed: [u8; 32], now: Now) -> Self {
        let mut mint = Mint::new(seed);
        let sip = Endpoint::new(settings(&config), mint.fork());
        let mut gateway = Self {
            mint,
            sip,
            acd: Router::new(),
            contacts: BTreeMap::new(),
            legs: BTreeMap::new(),
            recordings: BTreeMap::new(),
            open: BTreeMap::new(),
            holding: BTreeMap::new(),
            pages: BTreeMap::new(),
            desks: BTreeMap::new(),
            connections: BTreeMap::new(),
            softphones: BTreeMap::new(),
            lines: BTreeMap::new(),
            stock: Stock::default(),
            stirred: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            desk_deadlines: BTreeSet::new(),
            position: Phrase::position(),
            draining: false,
            counters: Counters::default(),
            outputs: VecDeque::new(),
            config,
        };
        gateway.configure_acd(now);
        gateway.settle(now);
        gateway
    }

    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.counters.inputs += 1;
        match input {
            Input::Sip(input) => self.sip.handle_input(now.mono, input),
            Input::Media { event, .. } => self.on_media(now, event),
            Input::Stocked { shard, socket, address } => self.stock.put(shard, socket, address),
            Input::Saved { recording, file, length } => {
                self.on_recorded(now, recording, State::Saved, Some(file), length);
            }
            Input::Spoiled { recording, length } => {
                self.on_recorded(now, recording, State::Spoiled, None, length);
            }
            Input::Found { contact, ticket, dossier } => self.on_found(now, contact, ticket, dossier),
            Input::Stepped { contact } => self.on_stepped(contact),
            Input::Spoken { contact, ticket, prompts } => self.on_spoken(now, contact, ticket, prompts),
            Input::Fetched { contact, ticket, outcome } => self.on_fetched(now, contact, ticket, outcome),
            Input::Posted { brand, customers } => self.on_posted(&brand, &customers),
            Input::Attached { connection, agent, resume_from } => {
                self.on_attached(now, connection, agent, resume_from);
            }
            Input::Detached { connection } => self.on_detached(now, connection),
            Input::Said { connection, command } => self.on_said(now, connection, command),
            Input::Web { ticket, request } => {
                let outcome = self.on_web(now, request);
                self.outputs.push_back(Output::Web { ticket, outcome });
            }
            Input::Wish { agent, wish } => self.acd.handle_input(now.mono, acd::Input::Wish { agent, wish }),
            Input::Reload(config) => self.on_reload(now, config),
            Input::Drain => {
                self.draining = true;
                self.sip.admit(Admission::Draining);
            }
            Input::Shutdown => {
                for (id, contact) in &mut self.contacts {
                    contact.call.release(Release::by_us(Cause::Shutdown));
                    self.stirred.insert(*id);
                }
            }
        }
        self.settle(now);
    }

    pub fn handle_timeout(&mut self, now: Now) {
        self.sip.handle_timeout(now.mono);
        self.acd.handle_timeout(now.mono);
        while let Some((_, id)) = self.deadlines.pop_first_if_due(now.mono) {
            if let Some(contact) = self.contacts.get_mut(&id) {
                contact.deadline = None;
                self.on_contact_due(now, id);
            }
        }
        while let Some((_, agent)) = self.desk_deadlines.pop_first_if_due(now.mono) {
            self.on_desk_abandoned(now, agent);
        }
        self.settle(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Mono> {
        let contacts = self.deadlines.first().map(|(at, _)| *at);
        let desks = self.desk_deadlines.first().map(|(at, _)| *at);
        [self.sip.poll_timeout(), self.acd.poll_timeout(), contacts, desks].into_iter().flatten().min()
    }

    /// Draining, and nobody is left.
    pub fn is_drained(&self) -> bool {
        self.draining && self.contacts.values().all(|contact| contact.call.is_over())
    }

    fn on_reload(&mut self, now: Now, config: Arc<Config>) {
        self.config = config;
        self.sip.reconfigure(settings(&self.config));
        self.configure_acd(now);
        let gone: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, agent)| !self.config.agents.contains_key(*agent))
            .map(|(c, _)| *c)
            .collect();
        for connection in gone {
            self.connections.remove(&connection);
            self.outputs.push_back(Output::Dismiss { connection });
        }
        self.desks.retain(|agent, _| self.config.agents.contains_key(agent));
        self.remove_strange_softphones();
    }

    fn configure_acd(&mut self, now: Now) {
        let queues = self.config.queues.values().map(|queue| queue.acd.clone());
        let agents = self.config.agents.values().map(|agent| agent.acd.clone());
        self.acd.configure(now.mono, queues, agents);
        // Who is ready by configuration still needs a phone that has registered.
        let agents: Vec<_> = self.config.agents.keys().cloned().collect();
        for agent in agents {
            self.follow_phone(now, agent);
        }
    }

    fn on_attached(&mut self, now: Now, connection: ConnectionId, agent: AgentId, resume_from: Option<u64>) {
        let Some(known) = self.config.agents.get(&agent) else {
            return self.outputs.push_back(Output::Dismiss { connection });
        };
        let welcome = Push::Welcome {
            agent: agent.clone(),
            name: known.name.clone(),
            dispositions: self.config.dispositions.clone(),
            softphone: matches!(known.phone, Phone::Softphone),
            ice_servers: turn::servers(&self.config.media.ice_servers, &agent, now.wall),
        };
        let desk = self.desks.entry(agent.clone()).or_default();
        if let Some(deadline) = desk.deadline() {
            self.desk_deadlines.remove(&(deadline, agent.clone()));
        }
        if let Some(old) = desk.attach(connection) {
            self.connections.remove(&old);
            self.outputs.push_back(Output::Dismiss { connection: old });
        }
        self.connections.insert(connection, agent.clone());
        let resumption = desk.resume(resume_from);
        match resumption {
            Resumption::Replayed { from, missed } => {
                // Greeted with the number it has, so that the numbers go on from there.
                let greeting = (from, Arc::new(welcome));
                for (seq, push) in std::iter::once(greeting).chain(missed) {
                    self.outputs.push_back(Output::Push { connection, seq, push });
                }
                self.on_softphone_back(now, &agent);
            }
            Resumption::Afresh => {
                self.on_softphone_reloaded(now, &agent);
                self.push(&agent, welcome);
                let snapshot = self.snapshot(now, &agent);
                self.push(&agent, snapshot);
            }
        }
    }

    fn on_detached(&mut self, now: Now, connection: ConnectionId) {
        let Some(agent) = self.connections.remove(&connection) else { return };
        if let Some(desk) = self.desks.get_mut(&agent) {
            desk.detach(connection);
            self.await_desk(now, &agent);
            self.on_softphone_away(now, &agent);
        }
    }

    /// From now on, a desk without a connection has this long until its agent counts as logged out.
    fn await_desk(&mut self, now: Now, agent: &AgentId) {
        let Some(desk) = self.desks.get_mut(agent) else { return };
        let deadline = now.mono + self.config.http.desktop_grace;
        if let Some(earlier) = desk.await_until(deadline) {
            self.desk_deadlines.remove(&(earlier, agent.clone()));
        }
        self.desk_deadlines.insert((deadline, agent.clone()));
    }

    /// Nobody came back to the desk: its agent is not there.
    fn on_desk_abandoned(&mut self, now: Now, agent: AgentId) {
        let Some(desk) = self.desks.get_mut(&agent) else { return };
        if desk.connection().is_none() && desk.deadline().is_some() {
            desk.forget_absence();
            self.on_softphone_abandoned(&agent);
            let wish = acd::Wish::NotReady(acd::Reason::LoggedOut);
            self.acd.handle_input(now.mono, acd::Input::Wish { agent, wish });
        }
    }

    /// An agent whose phone cannot be rung is not offered anything, and is again when it can.
    pub(super) fn follow_phone(&mut self, now: Now, agent: AgentId) {
        let Some(view) = self.acd.agent_view(now.mono, &agent) else { return };
        let unreachable = acd::Wish::NotReady(acd::Reason::Unreachable);
        let wish = match (self.is_reachable(&agent), view.wish) {
            (false, acd::Wish::Ready) => unreachable,
            (true, wish) if wish == unreachable => acd::Wish::Ready,
            _ => return,
        };
        self.acd.handle_input(now.mono, acd::Input::Wish { agent, wish });
    }

    /// Whether the agent's phone can be rung, as far as we know.
    fn is_reachable(&self, agent: &AgentId) -> bool {
        match self.config.agents.get(agent).map(|agent| &agent.phone) {
            Some(Phone::Account { .. }) => self.sip.registrar().is_reachable(agent),
            Some(Phone::Uri(_)) => true,
            Some(Phone::Softphone) => self.is_softphone_live(agent),
            None => false,
        }
    }

    /// Writes to an agent's desk; whoever is connected gets it at once.
    fn push(&mut self, agent: &AgentId, push: Push) {
        let Some(desk) = self.desks.get_mut(agent) else { return };
        let push = Arc::new(push);
        let seq = desk.write(push.clone());
        if let Some(connection) = desk.connection() {
            self.outputs.push_back(Output::Push { connection, seq, push });
        }
    }
}

trait DueFirst<T> {
    fn pop_first_if_due(&mut self, now: Mono) -> Option<(Mono, T)>;
}

impl<T: Ord> DueFirst<T> for BTreeSet<(Mono, T)> {
    fn pop_first_if_due(&mut self, now: Mono) -> Option<(Mono, T)> {
        if self.first()?.0 <= now { self.pop_first() } else { None }
    }
}

/// The part of the configuration that is the endpoint's.
fn settings(config: &Config) -> Settings {
    let account = |(id, agent): (&AgentId, &crate::config::Agent)| match &agent.phone {
        Phone::Account { user, ha1 } => Some(Account { user: user.clone(), agent: id.clone(), ha1: *ha1 }),
        Phone::Uri(_) | Phone::Softphone => None,
    };
    Settings {
        listeners: config.sip.listeners.clone(),
        advertised: config.sip.advertised,
        user_agent: concat!("Baton/", env!("CARGO_PKG_VERSION")).to_owned(),
        realm: config.sip.realm.clone(),
        accounts: config.agents.iter().filter_map(account).collect(),
        trunks: config
            .trunks
            .values()
            .map(|trunk| sip::trunk::Trunk {
                id: trunk.id.clone(),
                sources: trunk.sources.clone(),
                outbound: trunk.address,
                login: None,
            })
            .collect(),
        algorithms: vec![],
        bounds: Bounds::default(),
    }
}
