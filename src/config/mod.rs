//! The configuration, checked and resolved: past this edge nothing is missing and every name
//! leads somewhere.
//!
//! [`file`] is the TOML as written, [`resolve`] makes a [`Config`] of it or says what is wrong
//! and where ([`fault`]); each module owns the specs of what is its own.

pub mod fault;
pub mod file;
pub mod resolve;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::acd;
use crate::base::{
    AgentId, BrandId, Codec, E164, Fingerprint, FlowId, Language, NumberPlan, Pii, QueueId, TrunkId,
};
use crate::call::recording::Format;
use crate::ivr::flow::Flow;
use crate::journey::Topics;
use crate::media::Direction;
use crate::sip::Transport;
use crate::sip::auth::Ha1;
use crate::sip::trunk::Cidr;

/// Everything `baton serve` runs by. Swapped whole by a reload; a call keeps what it began with.
#[derive(Debug)]
pub struct Config {
    pub node: Node,
    pub sip: Sip,
    pub media: Media,
    pub http: Http,
    pub store: Store,
    pub speech: Speech,
    pub security: Security,
    pub trunks: BTreeMap<TrunkId, Trunk>,
    pub numbers: BTreeMap<E164, Number>,
    pub click_to_call: BTreeMap<BrandId, ClickToCall>,
    pub destinations: Vec<Destination>,
    pub queues: BTreeMap<QueueId, Queue>,
    pub agents: BTreeMap<AgentId, Agent>,
    pub topics: Topics,
    pub connectors: BTreeMap<String, Connector>,
    pub api_keys: Vec<ApiKey>,
    pub dispositions: Vec<acd::Disposition>,
    pub flows: BTreeMap<FlowId, Arc<Flow>>,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    pub data_dir: PathBuf,
    /// How long a SIGTERM waits for calls to end by themselves.
    pub drain: Duration,
}

#[derive(Clone, Debug)]
pub struct Sip {
    pub listeners: Vec<(Transport, SocketAddr)>,
    /// The address peers reach us at, where it is not the listener's own.
    pub advertised: Option<IpAddr>,
    pub realm: String,
}

#[derive(Clone, Debug)]
pub struct Media {
    /// Where RTP is bound.
    pub address: IpAddr,
    /// What SDP says instead, behind a NAT.
    pub advertised: Option<IpAddr>,
    /// First and last RTP port.
    pub ports: (u16, u16),
    pub shards: u16,
    /// The first shard's port for WebRTC; the others have those above it. Zero: any.
    pub web_port: u16,
    /// Of each shard, where peers reach that port: known once it is bound.
    pub web: Vec<SocketAddr>,
    /// Of our certificate for DTLS, made at start. Without one, only plain RTP is spoken.
    pub fingerprint: Option<Fingerprint>,
    /// STUN and TURN servers for browsers.
    pub ice_servers: Vec<IceServer>,
    /// What is offered, the best first.
    pub codecs: Vec<Codec>,
    /// See [`Media::patience`]. Zero: without end.
    pub silence: Duration,
    pub recording_format: Format,
    /// Octets that are to be free for recordings.
    pub recording_floor: u64,
}

#[derive(Clone, Debug)]
pub struct Http {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub tls: Option<Tls>,
    /// Host names and origins accepted beside the listener's own.
    pub hosts: Vec<String>,
    /// How long a desktop may be gone before its agent counts as logged out, and the desktop of a
    /// softphone without audio before its call is released.
    pub desktop_grace: Duration,
}

#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Store {
    pub url: String,
}

#[derive(Clone, Debug)]
pub struct Speech {
    pub prompts: PathBuf,
    /// Argument vector per language; the text comes on standard input, sound is expected on
    /// standard output.
    pub commands: BTreeMap<Language, Vec<String>>,
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct Security {
    /// How long an agent's log-in lasts.
    pub token_life: Duration,
    /// Failed log-ins a minute after which an agent, or a source, has to wait.
    pub logins_per_minute: u32,
    /// Hand-offs a minute after which an API key has to wait.
    pub handoffs_per_minute: u32,
    /// Calls from pages refused a minute after which a source has to wait.
    pub calls_per_minute: u32,
}

#[derive(Clone, Debug)]
pub struct Trunk {
    pub id: TrunkId,
    pub brand: BrandId,
    pub sources: Vec<Cidr>,
    /// Where calls out by this trunk go.
    pub address: Option<(Transport, SocketAddr)>,
    pub numbers: NumberPlan,
    /// Whether P-Asserted-Identity (RFC 3325) is believed.
    pub trust_identity: bool,
    pub srtp: Srtp,
}

/// A number people dial.
#[derive(Clone, Debug)]
pub struct Number {
    pub number: E164,
    pub entrance: Entrance,
}

/// Calls from a brand's pages and apps.
#[derive(Clone, Debug)]
pub struct ClickToCall {
    pub entrance: Entrance,
    /// As browsers write them (RFC 6454 §6.2), in lower case.
    pub origins: Vec<String>,
}

/// What a caller comes into.
#[derive(Clone, Debug)]
pub struct Entrance {
    pub brand: BrandId,
    pub flow: Arc<Flow>,
    pub language: Language,
    pub record: bool,
}

/// Numbers that may be called out to, and by whom.
#[derive(Clone, Debug)]
pub struct Destination {
    pub name: String,
    /// E.164 prefix, `+86`.
    pub prefix: String,
    pub trunk: TrunkId,
    pub flows: Vec<FlowId>,
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub acd: acd::queue::Spec,
    /// The prompt that is repeated to waiting and held callers.
    pub music: String,
    /// How often a waiting caller is told its place in line.
    pub announce_every: Option<Duration>,
    pub overflow: OverflowTarget,
    /// From the agent's answer on.
    pub record: bool,
    /// How long after the offer the phone rings at the latest.
    pub pop_grace: Duration,
    pub hours: Option<Arc<Calendar>>,
}

/// Where a contact goes that a queue did not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverflowTarget {
    /// On with its flow: the queue step's `on_overflow`.
    Flow,
    Queue(QueueId),
}

#[derive(Clone, Debug)]
pub struct Agent {
    pub acd: acd::agent::Spec,
    pub name: String,
    pub phone: Phone,
    /// Toward the phone, unless it is a browser's.
    pub srtp: Srtp,
    /// Argon2id in PHC form. `None`: no desktop may log in.
    pub password: Option<String>,
}

/// A STUN or TURN server for browsers behind strict firewalls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServer {
    pub urls: Vec<String>,
    /// Shared with the TURN server, which derives the same passwords from it.
    pub secret: Option<Pii<String>>,
}

/// What protects the audio of a trunk or phone. What a peer offers is answered in kind; this is
/// what we offer, and whether less will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Srtp {
    /// Nothing, unless the peer wants it.
    #[default]
    Off,
    /// Keys are offered, but it goes without.
    Optional,
    /// Keys in the signalling (RFC 4568) are offered, and less is refused.
    Sdes,
    /// Keys by DTLS (RFC 5763) are offered, and less is refused.
    Dtls,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phone {
    /// The desktop itself: its standing WebRTC leg.
    Softphone,
    /// Registers with this account.
    Account { user: String, ha1: Ha1 },
    /// Is always found at this URI.
    Uri(String),
}

#[derive(Clone, Debug)]
pub struct Connector {
    pub name: String,
    pub base_url: String,
    pub timeout: Duration,
    /// Header names and values sent with each request.
    pub headers: Vec<(String, String)>,
    pub max_body: usize,
}

#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Public part, found in the key before the dot.
    pub prefix: String,
    /// SHA-256 of the whole key.
    pub sha256: [u8; 32],
    pub brand: BrandId,
    pub scopes: Vec<Scope>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub enum Scope {
    #[serde(rename = "steps:write")]
    StepsWrite,
    #[serde(rename = "journeys:read")]
    JourneysRead,
    #[serde(rename = "handoffs:write")]
    HandoffsWrite,
    #[serde(rename = "calls:write")]
    CallsWrite,
    #[serde(rename = "contacts:read")]
    ContactsRead,
    #[serde(rename = "recordings:read")]
    RecordingsRead,
    #[serde(rename = "agents:read")]
    AgentsRead,
    #[serde(rename = "admin")]
    Admin,
}

/// When a queue is open.
#[derive(Debug)]
pub struct Calendar {
    pub zone: jiff::tz::TimeZone,
    /// From Monday: spans in minutes of the local day, end exclusive.
    pub week: [Vec<(u16, u16)>; 7],
    /// Local dates on which it is closed all day.
    pub closed: Vec<jiff::civil::Date>,
}

/// How many times [`Media::silence`] a caller may be gone that owes no sign of life: an hour, unless
/// configured, as rtpengine has it for streams at rest.
const AT_REST: u32 = 60;

impl Media {
    /// How long a caller may give no sign of life before it is released, by our direction as agreed.
    /// `None` is without end.
    pub fn patience(&self, agreed: Direction) -> Option<Duration> {
        let patience = match agreed {
            Direction::SendRecv => self.silence,
            // Who holds us (RFC 3264 §8.4) or only listens need not send RTP. RTCP is to go on (§5.1),
            // but many a phone stops it, too. One that is gone is released some time even so.
            Direction::RecvOnly | Direction::SendOnly | Direction::Inactive => {
                self.silence.saturating_mul(AT_REST)
            }
        };
        Some(patience).filter(|patience| !patience.is_zero())
    }
}

impl Calendar {
    pub fn is_open(&self, at: crate::base::Wall) -> bool {
        let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        let Ok(stamp) = jiff::Timestamp::from_millisecond(millis) else { return false };
        let local = stamp.to_zoned(self.zone.clone());
        if self.closed.contains(&local.date()) {
            return false;
        }
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let day = usize::from(local.weekday().to_monday_zero_offset().unsigned_abs());
        self.week[day].iter().any(|&(from, to)| (from..to).contains(&minute))
    }
}
