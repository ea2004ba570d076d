//! The TOML as written: every section and table, every key with its default.
//!
//! Several files and the environment are laid over one another ([`Written::lay_over`]): of a
//! section the last word on each key counts, tables add up. Nothing here is checked beyond its
//! type; that is [`resolve`](super::resolve)'s work.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::acd::Level;
use crate::acd::agent::Initial;
use crate::acd::{Formula, Strategy};
use crate::base::{AgentId, BrandId, E164, FlowId, Language, QueueId, SkillId, TrunkId};
use crate::call::recording::Format;
use crate::config::{Scope, Srtp};
use crate::journey::Topic;

/// One section whose keys are all optional, and how a later one is laid over it.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$key_doc])* pub $key: Option<$type>,)*
        }

        impl $name {
            fn lay_over(&mut self, later: Self) {
                $(if later.$key.is_some() { self.$key = later.$key; })*
            }
        }
    };
}

section! {
    /// `[node]`
    Node {
        /// How this node is called in logs.
        name: String,
        /// Where the store, recordings and spoken prompts live.
        data_dir: PathBuf,
        /// Seconds a SIGTERM waits for calls to end by themselves.
        drain_s: u64,
    }
}

section! {
    /// `[sip]`
    Sip {
        /// `udp:ADDRESS:PORT` and `tcp:ADDRESS:PORT`.
        listen: Vec<String>,
        /// The address in Via and Contact where it is not the listener's own.
        advertised: std::net::IpAddr,
        /// Of the digest challenges to phones. A change invalidates every HA1.
        realm: String,
    }
}

section! {
    /// `[media]`
    Media {
        address: std::net::IpAddr,
        advertised: std::net::IpAddr,
        /// `FIRST-LAST`
        ports: String,
        /// The port of all WebRTC legs of the first media thread; the others have those above it.
        web_port: u16,
        /// Best first: `opus`, `g722`, `pcma`, `pcmu`.
        codecs: Vec<String>,
        /// STUN and TURN servers handed to browsers.
        ice_servers: Vec<IceServer>,
        /// Media threads; 0 is one per core.
        shards: u16,
        /// A caller from whom neither RTP nor RTCP came for so many seconds is released, one that holds
        /// us after sixty times as many; 0 is never.
        silence_s: u64,
        /// `wav` or `opus`.
        recording_format: Format,
        /// With less free space for recordings there is an alarm; 0 is never.
        recording_min_free_mib: u64,
    }
}

section! {
    /// `[http]`
    Http {
        listen: std::net::SocketAddr,
        admin: std::net::SocketAddr,
        tls: Tls,
        /// Host names, beside the listener's own, that browsers may use.
        hosts: Vec<String>,
        /// Seconds a desktop may be gone before its agent counts as logged out. A softphone's call goes
        /// on for as long as its audio does, and this long without.
        desktop_grace_s: u64,
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

section! {
    /// `[store]`
    Store {
        /// `sqlite:FILE`, relative to `node.data_dir`.
        url: String,
    }
}

section! {
    /// `[speech]`
    Speech {
        /// Where `<language>/<name>.wav` and `.txt` lie.
        prompts: PathBuf,
        /// Argument vector that speaks English: text on standard input, WAV on standard output.
        en: Vec<String>,
        /// The same for Chinese, which is given as pinyin.
        zh: Vec<String>,
        timeout_ms: u64,
    }
}

section! {
    /// `[security]`
    Security {
        /// Seconds an agent's log-in lasts.
        token_life_s: u64,
        /// Failed log-ins a minute after which an agent or a source has to wait.
        logins_per_minute: u32,
        /// Hand-offs a minute after which an API key has to wait.
        handoffs_per_minute: u32,
        /// Calls from pages and apps refused a minute after which a source has to wait.
        calls_per_minute: u32,
    }
}

/// One of `[media] ice_servers`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IceServer {
    /// `stun:HOST:PORT`, `turn:HOST:PORT?transport=tcp`, `turns:…`
    pub urls: Vec<String>,
    /// Of a TURN server: the secret it shares with us (coturn's `static-auth-secret`).
    pub secret_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brand {
    pub id: BrandId,
    pub name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    pub id: TrunkId,
    #[serde(default)]
    pub brand: BrandId,
    /// Addresses or ranges its calls come from.
    #[serde(default)]
    pub sources: Vec<String>,
    /// `udp:ADDRESS:PORT` or `tcp:…`: where calls out go. Without it the trunk only brings calls.
    pub address: Option<String>,
    /// Country calling code, `86`.
    pub country: String,
    #[serde(default = "zero")]
    pub national_prefix: String,
    #[serde(default = "double_zero")]
    pub international_prefix: String,
    /// Believe P-Asserted-Identity (RFC 3325).
    #[serde(default)]
    pub trust_identity: bool,
    /// How audio is protected on calls out, and whether it has to be on calls in.
    #[serde(default)]
    pub srtp: Srtp,
}

fn zero() -> String {
    "0".to_owned()
}

fn double_zero() -> String {
    "00".to_owned()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// As callers dial it, in E.164.
    pub number: E164,
    #[serde(default)]
    pub brand: BrandId,
    pub flow: FlowId,
    /// Spoken to callers of whom nothing better is known; the flow's own if not given.
    pub language: Option<Language>,
    /// Record from answer to release.
    #[serde(default)]
    pub record: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickToCall {
    #[serde(default)]
    pub brand: BrandId,
    pub flow: FlowId,
    /// Spoken to callers of whom nothing better is known; the flow's own if not given.
    pub language: Option<Language>,
    /// Record from answer to release.
    #[serde(default)]
    pub record: bool,
    /// `https://HOST`, `https://HOST:PORT`: whose pages may call, beside our own.
    #[serde(default)]
    pub origins: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    pub name: String,
    /// E.164 prefix of the numbers that may be called.
    pub prefix: String,
    pub trunk: TrunkId,
    /// Flows that may transfer there.
    #[serde(default)]
    pub flows: Vec<FlowId>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skill {
    pub id: SkillId,
    pub name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    pub id: QueueId,
    #[serde(default)]
    pub skills: BTreeMap<SkillId, Level>,
    #[serde(default)]
    pub strategy: Strategy,
    pub ring_time_s: Option<u32>,
    pub wrap_up_s: Option<u32>,
    #[serde(default)]
    pub max_wait_s: u32,
    #[serde(default)]
    pub max_waiting: u32,
    #[serde(default)]
    pub priority: u8,
    pub service_level_s: Option<u32>,
    #[serde(default)]
    pub service_level_formula: Formula,
    /// Prompt repeated to waiting and held callers.
    #[serde(default = "music")]
    pub music: String,
    /// Seconds between announcements of the caller's place; 0 is never.
    #[serde(default = "half_a_minute")]
    pub announce_every_s: u64,
    /// Where a contact goes that was not served: another queue. Without it its flow goes on.
    pub overflow: Option<QueueId>,
    pub calendar: Option<String>,
    /// Record from the agent's answer on, where the number does not from the caller's.
    #[serde(default)]
    pub record: bool,
    /// The phone rings this long after the offer at the latest.
    #[serde(default = "pop_grace")]
    pub pop_grace_ms: u64,
}

fn music() -> String {
    "music".to_owned()
}

const fn half_a_minute() -> u64 {
    30
}

const fn pop_grace() -> u64 {
    200
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    pub id: AgentId,
    pub name: Option<String>,
    #[serde(default)]
    pub queues: Vec<QueueId>,
    #[serde(default)]
    pub skills: BTreeMap<SkillId, Level>,
    #[serde(default)]
    pub initial: Initial,
    /// The user name its phone registers with, or a `sip:` URI where it is always found.
    pub phone: Option<String>,
    /// How audio toward the phone is protected.
    #[serde(default)]
    pub srtp: Srtp,
    /// MD5 of `user:realm:password`, hexadecimal; from `baton hash --for sip`.
    pub sip_ha1: Option<String>,
    /// SHA-256 of the same.
    pub sip_ha1_sha256: Option<String>,
    /// A file with the phone's password, in place of the hashes.
    pub sip_password_file: Option<PathBuf>,
    /// Argon2id in PHC form; from `baton hash --for password`.
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    pub name: String,
    pub base_url: String,
    #[serde(default = "three_seconds")]
    pub timeout_ms: u64,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values lie in files.
    #[serde(default)]
    pub header_files: BTreeMap<String, PathBuf>,
    #[serde(default = "max_body")]
    pub max_body: usize,
}

const fn three_seconds() -> u64 {
    3000
}

const fn max_body() -> usize {
    64 * 1024
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    pub id: String,
    /// IANA name, `Asia/Shanghai`.
    pub timezone: String,
    /// `mon = ["09:00-12:00", "13:30-18:00"]`
    pub week: BTreeMap<String, Vec<String>>,
    /// Dates closed all day, `2026-10-01`.
    #[serde(default)]
    pub closed: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The key up to its dot.
    pub prefix: String,
    /// Of the whole key, hexadecimal; from `baton hash --for key`.
    pub sha256: String,
    #[serde(default)]
    pub brand: BrandId,
    pub scopes: Vec<Scope>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disposition {
    pub code: String,
    #[serde(default)]
    pub label: BTreeMap<Language, String>,
}

macro_rules! written {
    (sections { $($section:ident: $type:ty,)* } tables { $($table:ident: $row:ty,)* }) => {
        /// One file, or all of them laid over one another.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Written {
            $(pub $section: $type,)*
            $(pub $table: Vec<$row>,)*
        }

        impl Written {
            pub fn lay_over(&mut self, later: Self) {
                $(self.$section.lay_over(later.$section);)*
                $(self.$table.extend(later.$table);)*
            }

            /// How many rows each table has, to tell later which file a row came from.
            pub fn rows(&self) -> BTreeMap<&'static str, usize> {
                BTreeMap::from([$((stringify!($table), self.$table.len()),)*])
            }
        }
    };
}

written! {
    sections {
        node: Node,
        sip: Sip,
        media: Media,
        http: Http,
        store: Store,
        speech: Speech,
        security: Security,
    }
    tables {
        brand: Brand,
        trunk: Trunk,
        number: Number,
        click_to_call: ClickToCall,
        destination: Destination,
        skill: Skill,
        queue: Queue,
        agent: Agent,
        topic: Topic,
        connector: Connector,
        calendar: Calendar,
        api_key: ApiKey,
        disposition: Disposition,
    }
}
