//! From what is written to what is meant: every default filled in, every name led somewhere.
//!
//! All faults are collected; an operator mends them in one go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::acd;
use crate::base::{
    AgentId, BrandId, Codec, E164, FlowId, Language, NumberPlan, Pii, QueueId, SkillId, TrunkId,
};
use crate::ivr::flow::{self, Flow, Segment, Surroundings};
use crate::journey::Topics;
use crate::sip::Transport;
use crate::sip::auth::Ha1;

use super::fault::{Fault, Source};
use super::file::{self, Written};
use super::{
    Agent, ApiKey, Calendar, ClickToCall, Config, Connector, Destination, Entrance, Http, IceServer, Media,
    Node, Number, OverflowTarget, Phone, Queue, Security, Sip, Speech, Store, Tls, Trunk,
};

/// What a configuration consists of.
#[derive(Debug, Default)]
pub struct Files {
    /// `baton.toml`, then `conf.d/*.toml` in order, then what the environment overrides.
    pub config: Vec<Source>,
    pub flows: Vec<Source>,
    /// Relative paths begin here.
    pub base: PathBuf,
}

/// The little that resolving needs of the disk; the shell lends it.
pub trait Disk {
    /// The text of a secret's file, without its last line break; or why there is none.
    fn secret(&self, path: &Path) -> Result<String, String>;
    /// The prompts that lie under this directory.
    fn prompts(&self, directory: &Path) -> BTreeSet<(Language, String)>;
}

/// Reads, checks and resolves. With any fault there is no configuration at all.
pub fn resolve(files: &Files, disk: &dyn Disk) -> Result<Config, Vec<Fault>> {
    let mut resolver = Resolver { files, disk, faults: vec![], origins: BTreeMap::new() };
    let written = resolver.read();
    let config = resolver.resolve(&written);
    let mut faults = resolver.faults;
    faults.sort();
    faults.dedup();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults),
    }
}

struct Resolver<'a> {
    files: &'a Files,
    disk: &'a dyn Disk,
    faults: Vec<Fault>,
    /// Per table and row: which file, and the row's number there.
    origins: BTreeMap<&'static str, Vec<(usize, usize)>>,
}

/// A row of a table, to say where a fault is.
#[derive(Clone, Copy)]
struct Row(&'static str, usize);

impl Resolver<'_> {
    fn read(&mut self) -> Written {
        let mut all = Written::default();
        for (index, source) in self.files.config.iter().enumerate() {
            match toml::from_str::<Written>(&source.text) {
                Ok(written) => {
                    for (table, rows) in written.rows() {
                        let origins = self.origins.entry(table).or_default();
                        origins.extend((0..rows).map(|row| (index, row)));
                    }
                    all.lay_over(written);
                }
                Err(error) => self.faults.push(source.fault_of(&error)),
            }
        }
        all
    }

    fn resolve(&mut self, written: &Written) -> Option<Config> {
        if !self.faults.is_empty() {
            // What could not be read would only make everything that refers to it look wrong.
            return None;
        }
        let node = Node {
            name: written.node.name.clone().unwrap_or_else(|| "baton".to_owned()),
            data_dir: self.path(written.node.data_dir.clone().unwrap_or_else(|| "data".into())),
            drain: Duration::from_secs(written.node.drain_s.unwrap_or(300)),
        };
        let sip = self.sip(&written.sip);
        let media = self.media(&written.media);
        let http = self.http(&written.http);
        let store = Store { url: written.store.url.clone().unwrap_or_else(|| "sqlite:baton.db".to_owned()) };
        if !store.url.starts_with("sqlite:") {
            self.section("store", "url", "no store of this kind; write sqlite:FILE");
        }
        let speech = self.speech(&written.speech);
        let security = Security {
            token_life: Duration::from_secs(written.security.token_life_s.unwrap_or(12 * 3600)),
            logins_per_minute: written.security.logins_per_minute.unwrap_or(10),
            handoffs_per_minute: written.security.handoffs_per_minute.unwrap_or(3000),
            calls_per_minute: written.security.calls_per_minute.unwrap_or(60),
        };

        let brands: BTreeSet<_> =
            written.brand.iter().map(|brand| brand.id.clone()).chain([BrandId::default()]).collect();
        let trunks = self.trunks(written, &brands);
        let topics = Topics::new(written.topic.iter().cloned());
        let connectors = self.connectors(written);
        let queues = self.queues(written);
        let agents = self.agents(written, &queues, sip.as_ref().map_or("baton", |sip| &sip.realm));
        let flows = self.flows(written, speech.as_ref(), &connectors);
        let numbers = self.numbers(written, &flows, &brands);
        let click_to_call = self.click_to_call(written, &flows, &brands);
        let destinations = self.destinations(written, &trunks, &flows);
        let api_keys = self.api_keys(written, &brands);
        let dispositions = self.dispositions(written);
        Some(Config {
            node,
            sip: sip?,
            media: media?,
            http,
            store,
            speech: speech?,
            security,
            trunks,
            numbers,
            click_to_call,
            destinations,
            queues,
            agents,
            topics,
            connectors,
            api_keys,
            dispositions,
            flows,
        })
    }

    fn sip(&mut self, written: &file::Sip) -> Option<Sip> {
        let default = || vec!["udp:0.0.0.0:5060".to_owned(), "tcp:0.0.0.0:5060".to_owned()];
        let listen = written.listen.clone().unwrap_or_else(default);
        let mut listeners = vec![];
        for text in &listen {
            match transport_address(text) {
                Some(listener) => listeners.push(listener),
                None => self.section(
                    "sip",
                    "listen",
                    &format!("{text:?} is not udp:ADDRESS:PORT or tcp:ADDRESS:PORT"),
                ),
            }
        }
        if listeners.is_empty() {
            self.section("sip", "listen", "nothing to listen on");
            return None;
        }
        if written.advertised.is_some_and(|ip| ip.is_unspecified()) {
            self.section("sip", "advertised", "peers cannot reach 0.0.0.0: name the address they can reach");
        }
        let realm = written.realm.clone().unwrap_or_else(|| "baton".to_owned());
        Some(Sip { listeners, advertised: written.advertised, realm })
    }

    fn media(&mut self, written: &file::Media) -> Option<Media> {
        let text = written.ports.clone().unwrap_or_else(|| "20000-29999".to_owned());
        let ports = text.split_once('-').and_then(|(first, last)| {
            let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first >= 1024 && first < last).then_some((first, last))
        });
        if ports.is_none() {
            self.section("media", "ports", "not FIRST-LAST with FIRST from 1024 and below LAST");
        }
        let address = written.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (shards, web_port) = (written.shards.unwrap_or(1), written.web_port.unwrap_or(30_000));
        if let (Some((first, last)), 1..) = (ports, web_port) {
            match web_port.checked_add(shards.saturating_sub(1)) {
                None => self.section("media", "web_port", "no room above it for a port of each shard"),
                Some(above) if web_port <= last && above >= first => {
                    self.section("media", "web_port", "it, or that of a further shard, is one of `ports`");
                }
                Some(_) => {}
            }
        }
        Some(Media {
            address,
            advertised: written.advertised,
            ports: ports?,
            shards,
            web_port,
            web: vec![],
            fingerprint: None,
            codecs: self.codecs(written),
            ice_servers: self.ice_servers(written),
            silence: Duration::from_secs(written.silence_s.unwrap_or(60)),
            recording_format: written.recording_format.unwrap_or_default(),
            recording_floor: written.recording_min_free_mib.unwrap_or(1024).saturating_mul(1 << 20),
        })
    }

    fn codecs(&mut self, written: &file::Media) -> Vec<Codec> {
        let Some(names) = &written.codecs else { return Codec::ALL.to_vec() };
        let mut codecs = vec![];
        for name in names {
            match Codec::named(name) {
                Some(codec) if !codecs.contains(&codec) => codecs.push(codec),
                Some(_) => self.section("media", "codecs", "one of them is named twice"),
                None => self.section("media", "codecs", "known are opus, g722, pcma and pcmu"),
            }
        }
        if !codecs.iter().any(|codec| matches!(codec, Codec::Pcma | Codec::Pcmu)) {
            self.section("media", "codecs", "every telephone speaks pcma or pcmu: leave one of them in");
        }
        codecs
    }

    fn ice_servers(&mut self, written: &file::Media) -> Vec<IceServer> {
        let mut servers = vec![];
        for server in written.ice_servers.iter().flatten() {
            let known = |url: &String| {
                ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme))
            };
            if server.urls.is_empty() || !server.urls.iter().all(known) {
                self.section(
                    "media",
                    "ice_servers",
                    "each needs urls such as stun:HOST:3478 or turns:HOST:5349",
                );
            }
            let path = server.secret_file.as_ref().map(|path| self.path(path.clone()));
            let secret = match path.map(|path| self.disk.secret(&path)) {
                Some(Err(why)) => {
                    self.section("media", "ice_servers", &why);
                    None
                }
                Some(Ok(secret)) => Some(secret),
                None => None,
            };
            servers.push(IceServer { urls: server.urls.clone(), secret: secret.map(Pii::new) });
        }
        servers
    }

    fn http(&mut self, written: &file::Http) -> Http {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let listen = written.listen.unwrap_or_else(|| loopback(8080));
        let admin = written.admin.unwrap_or_else(|| loopback(9090));
        if !listen.ip().is_loopback() && written.tls.is_none() {
            let what = "keys and screens would cross the network in the clear: add [http] tls = { certificate, key }, or listen on 127.0.0.1";
            self.section("http", "listen", what);
        }
        let tls = written.tls.as_ref().map(|tls| Tls {
            certificate: self.path(tls.certificate.clone()),
            key: self.path(tls.key.clone()),
        });
        Http {
            listen,
            admin,
            tls,
            hosts: written.hosts.clone().unwrap_or_default(),
            desktop_grace: Duration::from_secs(written.desktop_grace_s.unwrap_or(30)),
        }
    }

    fn speech(&mut self, written: &file::Speech) -> Option<Speech> {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let commands = BTreeMap::from([
            (
                Language::En,
                written.en.clone().unwrap_or_else(|| words("flite -voice rms -f /dev/stdin -o /dev/stdout")),
            ),
            (
                Language::Zh,
                written
                    .zh
                    .clone()
                    .unwrap_or_else(|| words("espeak-ng -v cmn-latn-pinyin -s 150 --stdin --stdout")),
            ),
        ]);
        for (key, command) in [("en", &commands[&Language::En]), ("zh", &commands[&Language::Zh])] {
            if command.first().is_none_or(String::is_empty) {
                self.section("speech", key, "a command needs at least its program");
            }
        }
        let prompts = self.path(written.prompts.clone().unwrap_or_else(|| "prompts".into()));
        let timeout = Duration::from_millis(written.timeout_ms.unwrap_or(5000));
        Some(Speech { prompts, commands, timeout })
    }

    fn trunks(&mut self, written: &Written, brands: &BTreeSet<BrandId>) -> BTreeMap<TrunkId, Trunk> {
        let mut trunks = BTreeMap::new();
        for (row, trunk) in rows("trunk", &written.trunk) {
            let mut sources = vec![];
            for (i, text) in trunk.sources.iter().enumerate() {
                match text.parse() {
                    Ok(cidr) => sources.push(cidr),
                    Err(_) => self.row_at(
                        row,
                        &["sources"],
                        Some(i),
                        &format!("{text:?} is not an address or a range such as 192.0.2.0/24"),
                    ),
                }
            }
            let address = trunk.address.as_ref().and_then(|text| {
                let address = transport_address(text);
                if address.is_none() {
                    self.row(
                        row,
                        "address",
                        &format!("{text:?} is not udp:ADDRESS:PORT or tcp:ADDRESS:PORT"),
                    );
                }
                address
            });
            if !brands.contains(&trunk.brand) {
                self.row(row, "brand", &format!("no [[brand]] {}", trunk.brand));
            }
            if trunk.country.is_empty() || !trunk.country.bytes().all(|b| b.is_ascii_digit()) {
                self.row(row, "country", "a country calling code is digits, such as \"86\"");
            }
            if sources.is_empty() && address.is_none() && trunk.sources.is_empty() {
                self.row(row, "id", "neither sources nor address: nothing would ever use this trunk");
            }
            let resolved = Trunk {
                id: trunk.id.clone(),
                brand: trunk.brand.clone(),
                sources,
                address,
                numbers: NumberPlan {
                    country: trunk.country.clone(),
                    national_prefix: trunk.national_prefix.clone(),
                    international_prefix: trunk.international_prefix.clone(),
                },
                trust_identity: trunk.trust_identity,
                srtp: trunk.srtp,
            };
            if trunks.insert(trunk.id.clone(), resolved).is_some() {
                self.twice(row, "id", trunk.id.as_str());
            }
        }
        trunks
    }

    fn connectors(&mut self, written: &Written) -> BTreeMap<String, Connector> {
        let mut connectors = BTreeMap::new();
        for (row, connector) in rows("connector", &written.connector) {
            let base_url = connector.base_url.trim_end_matches('/').to_owned();
            if !(base_url.starts_with("http://") || base_url.starts_with("https://")) {
                self.row(row, "base_url", "not an http:// or https:// URL");
            }
            let mut headers: Vec<_> = connector.headers.clone().into_iter().collect();
            for (name, path) in &connector.header_files {
                if let Some(value) = self.secret(row, "header_files", path) {
                    headers.push((name.clone(), value));
                }
            }
            let resolved = Connector {
                name: connector.name.clone(),
                base_url,
                timeout: Duration::from_millis(connector.timeout_ms),
                headers,
                max_body: connector.max_body,
            };
            if connectors.insert(connector.name.clone(), resolved).is_some() {
                self.twice(row, "name", &connector.name);
            }
        }
        connectors
    }

    fn queues(&mut self, written: &Written) -> BTreeMap<QueueId, Queue> {
        let skills: BTreeSet<_> = written.skill.iter().map(|skill| skill.id.clone()).collect();
        let ids: BTreeSet<_> = written.queue.iter().map(|queue| queue.id.clone()).collect();
        let calendars = self.calendars(written);
        let mut queues = BTreeMap::new();
        for (row, queue) in rows("queue", &written.queue) {
            self.skills(row, &queue.skills, &skills);
            let overflow = match &queue.overflow {
                None => OverflowTarget::Flow,
                Some(other) => {
                    if !ids.contains(other) || other == &queue.id {
                        self.row(row, "overflow", &format!("no other [[queue]] {other}"));
                    }
                    OverflowTarget::Queue(other.clone())
                }
            };
            let hours = queue.calendar.as_ref().and_then(|name| {
                let calendar = calendars.get(name).cloned();
                if calendar.is_none() {
                    self.row(row, "calendar", &format!("no [[calendar]] {name}"));
                }
                calendar
            });
            let default = acd::queue::Spec::new(queue.id.clone());
            let spec = acd::queue::Spec {
                skills: queue.skills.clone(),
                strategy: queue.strategy,
                ring_time_s: queue.ring_time_s.unwrap_or(default.ring_time_s),
                wrap_up_s: queue.wrap_up_s.unwrap_or(default.wrap_up_s),
                max_wait_s: queue.max_wait_s,
                max_waiting: queue.max_waiting,
                priority: queue.priority,
                service_level_s: queue.service_level_s.unwrap_or(default.service_level_s),
                service_level_formula: queue.service_level_formula,
                id: queue.id.clone(),
            };
            if spec.ring_time_s == 0 {
                self.row(row, "ring_time_s", "a phone that rings for no time is never answered");
            }
            let resolved = Queue {
                acd: spec,
                music: queue.music.clone(),
                announce_every: (queue.announce_every_s > 0)
                    .then(|| Duration::from_secs(queue.announce_every_s)),
                overflow,
                hours,
                record: queue.record,
                pop_grace: Duration::from_millis(queue.pop_grace_ms),
            };
            if queues.insert(queue.id.clone(), resolved).is_some() {
                self.twice(row, "id", queue.id.as_str());
            }
        }
        queues
    }

    fn calendars(&mut self, written: &Written) -> BTreeMap<String, Arc<Calendar>> {
        let mut calendars = BTreeMap::new();
        for (row, calendar) in rows("calendar", &written.calendar) {
            let zone = jiff::tz::TimeZone::get(&calendar.timezone);
            if zone.is_err() {
                self.row(
                    row,
                    "timezone",
                    &format!("no time zone {:?}; IANA names look like Asia/Shanghai", calendar.timezone),
                );
            }
            let mut week: [Vec<(u16, u16)>; 7] = Default::default();
            for (day, spans) in &calendar.week {
                let Some(number) =
                    ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().position(|d| d == day)
                else {
                    self.row_at(
                        row,
                        &["week", day],
                        None,
                        &format!("{day:?} is no day; write mon, tue, wed, thu, fri, sat, sun"),
                    );
                    continue;
                };
                for (i, text) in spans.iter().enumerate() {
                    match span(text) {
                        Some(span) => week[number].push(span),
                        None => {
                            self.row_at(row, &["week", day], Some(i), &format!("{text:?} is not HH:MM-HH:MM"))
                        }
                    }
                }
            }
            let mut closed = vec![];
            for (i, text) in calendar.closed.iter().enumerate() {
                match text.parse() {
                    Ok(date) => closed.push(date),
                    Err(_) => self.row_at(
                        row,
                        &["closed"],
                        Some(i),
                        &format!("{text:?} is not a date such as 2026-10-01"),
                    ),
                }
            }
            if let Ok(zone) = zone
                && calendars.insert(calendar.id.clone(), Arc::new(Calendar { zone, week, closed })).is_some()
            {
                self.twice(row, "id", &calendar.id);
            }
        }
        calendars
    }

    fn agents(
        &mut self,
        written: &Written,
        queues: &BTreeMap<QueueId, Queue>,
        realm: &str,
    ) -> BTreeMap<AgentId, Agent> {
        let skills: BTreeSet<_> = written.skill.iter().map(|skill| skill.id.clone()).collect();
        let mut agents = BTreeMap::new();
        let mut users = BTreeSet::new();
        for (row, agent) in rows("agent", &written.agent) {
            self.skills(row, &agent.skills, &skills);
            for (i, queue) in agent.queues.iter().enumerate() {
                if !queues.contains_key(queue) {
                    self.row_at(row, &["queues"], Some(i), &format!("no [[queue]] {queue}"));
                }
            }
            let Some(phone) = self.phone(row, agent, realm) else { continue };
            if let Phone::Account { user, .. } = &phone
                && !users.insert(user.clone())
            {
                self.row(row, "phone", &format!("another agent's phone registers as {user:?} already"));
            }
            let password = match (&agent.password, &agent.password_file) {
                (Some(_), Some(_)) => {
                    self.row(row, "password_file", "password is given as well; keep one of them");
                    None
                }
                (None, Some(path)) => self.secret(row, "password_file", path),
                (given, None) => given.clone(),
            };
            if password.as_ref().is_some_and(|hash| !hash.starts_with("$argon2id$")) {
                self.row(row, "password", "not an Argon2id hash; make one with: baton hash --for password");
            }
            let resolved = Agent {
                acd: acd::agent::Spec {
                    id: agent.id.clone(),
                    queues: agent.queues.clone(),
                    skills: agent.skills.clone(),
                    initial: agent.initial,
                },
                name: agent.name.clone().unwrap_or_else(|| agent.id.to_string()),
                phone,
                srtp: agent.srtp,
                password,
            };
            if agents.insert(agent.id.clone(), resolved).is_some() {
                self.twice(row, "id", agent.id.as_str());
            }
        }
        agents
    }

    fn phone(&mut self, row: Row, agent: &file::Agent, realm: &str) -> Option<Phone> {
        let phone = agent.phone.clone().unwrap_or_else(|| agent.id.to_string());
        if phone == "softphone" {
            if agent.password.is_none() && agent.password_file.is_none() {
                self.row(
                    row,
                    "phone",
                    "a softphone is part of the desktop, which needs a password to log in",
                );
            }
            return Some(Phone::Softphone);
        }
        if phone.starts_with("sip:") {
            if crate::sip::Uri::parse(phone.clone().into()).is_err() {
                self.row(row, "phone", "not a SIP URI such as sip:1001@192.0.2.10:5060");
            }
            return Some(Phone::Uri(phone));
        }
        let mut ha1 = Ha1 { md5: None, sha256: None };
        if let Some(path) = &agent.sip_password_file {
            ha1 = Ha1::of(&phone, realm, &self.secret(row, "sip_password_file", path)?);
        }
        if let Some(text) = &agent.sip_ha1 {
            ha1.md5 = hex(text);
            if ha1.md5.is_none() {
                self.row(row, "sip_ha1", "not 32 hexadecimal digits; make them with: baton hash --for sip");
            }
        }
        if let Some(text) = &agent.sip_ha1_sha256 {
            ha1.sha256 = hex(text);
            if ha1.sha256.is_none() {
                self.row(
                    row,
                    "sip_ha1_sha256",
                    "not 64 hexadecimal digits; make them with: baton hash --for sip",
                );
            }
        }
        if ha1.md5.is_none() && ha1.sha256.is_none() {
            let what = "a phone that registers needs sip_ha1, sip_ha1_sha256 or sip_password_file; one with an address is phone = \"sip:…\"";
            self.row(row, "id", what);
        }
        Some(Phone::Account { user: phone, ha1 })
    }

    fn flows(
        &mut self,
        written: &Written,
        speech: Option<&Speech>,
        connectors: &BTreeMap<String, Connector>,
    ) -> BTreeMap<FlowId, Arc<Flow>> {
        let around = Surroundings {
            queues: written.queue.iter().map(|queue| queue.id.clone()).collect(),
            skills: written.skill.iter().map(|skill| skill.id.clone()).collect(),
            connectors: connectors.keys().cloned().collect(),
            prompts: speech.map(|speech| self.disk.prompts(&speech.prompts)).unwrap_or_default(),
        };
        let languages: BTreeSet<_> = around.prompts.iter().map(|(language, _)| *language).collect();
        for (row, queue) in rows("queue", &written.queue) {
            for language in &languages {
                if !around.prompts.contains(&(*language, queue.music.clone())) {
                    self.row(row, "music", &format!("no prompt {:?} in {language}", queue.music));
                }
            }
        }
        let mut flows = BTreeMap::new();
        for source in &self.files.flows {
            let spec = match toml::from_str::<flow::Spec>(&source.text) {
                Ok(spec) => spec,
                Err(error) => {
                    self.faults.push(source.fault_of(&error));
                    continue;
                }
            };
            match Flow::check(&spec, &around) {
                Ok(flow) => {
                    if flows.insert(spec.id.clone(), Arc::new(flow)).is_some() {
                        let what = format!("another flow is called {} already", spec.id);
                        self.faults.push(source.fault_at(&[Segment::Key("id".into())], what));
                    }
                }
                Err(faults) => self.faults.extend(faults.into_iter().map(|fault| {
                    let what = if fault.right.is_empty() {
                        fault.what
                    } else {
                        format!("{}; {}", fault.what, fault.right)
                    };
                    source.fault_at(&fault.path, what)
                })),
            }
        }
        flows
    }

    fn numbers(
        &mut self,
        written: &Written,
        flows: &BTreeMap<FlowId, Arc<Flow>>,
        brands: &BTreeSet<BrandId>,
    ) -> BTreeMap<E164, Number> {
        let mut numbers = BTreeMap::new();
        for (row, number) in rows("number", &written.number) {
            let given = (&number.brand, &number.flow, number.language, number.record);
            let Some(entrance) = self.entrance(row, given, flows, brands) else { continue };
            let resolved = Number { number: number.number.clone(), entrance };
            if numbers.insert(number.number.clone(), resolved).is_some() {
                self.twice(row, "number", number.number.as_str());
            }
        }
        numbers
    }

    fn click_to_call(
        &mut self,
        written: &Written,
        flows: &BTreeMap<FlowId, Arc<Flow>>,
        brands: &BTreeSet<BrandId>,
    ) -> BTreeMap<BrandId, ClickToCall> {
        let mut doors = BTreeMap::new();
        for (row, door) in rows("click_to_call", &written.click_to_call) {
            for (i, origin) in door.origins.iter().enumerate() {
                if !is_origin(origin) {
                    let what = format!("{origin:?} is not an origin such as https://www.example.com");
                    self.row_at(row, &["origins"], Some(i), &what);
                }
            }
            let given = (&door.brand, &door.flow, door.language, door.record);
            let Some(entrance) = self.entrance(row, given, flows, brands) else { continue };
            let origins = door.origins.iter().map(|origin| origin.to_ascii_lowercase()).collect();
            if doors.insert(door.brand.clone(), ClickToCall { entrance, origins }).is_some() {
                self.twice(row, "brand", door.brand.as_str());
            }
        }
        doors
    }

    /// The keys that a number and a page have in common: brand, flow, language, record.
    fn entrance(
        &mut self,
        row: Row,
        (brand, flow, language, record): (&BrandId, &FlowId, Option<Language>, bool),
        flows: &BTreeMap<FlowId, Arc<Flow>>,
        brands: &BTreeSet<BrandId>,
    ) -> Option<Entrance> {
        if !brands.contains(brand) {
            self.row(row, "brand", &format!("no [[brand]] {brand}"));
        }
        let Some(flow) = flows.get(flow) else {
            self.row(row, "flow", &format!("no flow {flow} in flows/"));
            return None;
        };
        let language = language.unwrap_or(flow.language);
        Some(Entrance { brand: brand.clone(), flow: flow.clone(), language, record })
    }

    fn destinations(
        &mut self,
        written: &Written,
        trunks: &BTreeMap<TrunkId, Trunk>,
        flows: &BTreeMap<FlowId, Arc<Flow>>,
    ) -> Vec<Destination> {
        for (row, destination) in rows("destination", &written.destination) {
            let digits = destination.prefix.strip_prefix('+');
            if !digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit())) {
                self.row(row, "prefix", "an E.164 prefix is a plus sign and digits, such as \"+86\"");
            }
            match trunks.get(&destination.trunk) {
                None => self.row(row, "trunk", &format!("no [[trunk]] {}", destination.trunk)),
                Some(trunk) if trunk.address.is_none() => {
                    self.row(row, "trunk", &format!("trunk {} has no address to call out to", trunk.id));
                }
                Some(_) => {}
            }
            for (i, flow) in destination.flows.iter().enumerate() {
                if !flows.contains_key(flow) {
                    self.row_at(row, &["flows"], Some(i), &format!("no flow {flow} in flows/"));
                }
            }
        }
        let resolved = |destination: &file::Destination| Destination {
            name: destination.name.clone(),
            prefix: destination.prefix.clone(),
            trunk: destination.trunk.clone(),
            flows: destination.flows.clone(),
        };
        written.destination.iter().map(resolved).collect()
    }

    fn api_keys(&mut self, written: &Written, brands: &BTreeSet<BrandId>) -> Vec<ApiKey> {
        let mut keys: Vec<ApiKey> = vec![];
        for (row, key) in rows("api_key", &written.api_key) {
            if !brands.contains(&key.brand) {
                self.row(row, "brand", &format!("no [[brand]] {}", key.brand));
            }
            if keys.iter().any(|known| known.prefix == key.prefix) {
                self.twice(row, "prefix", &key.prefix);
            }
            if key.prefix == "ivr" || key.prefix.contains('.') || key.prefix.is_empty() {
                self.row(
                    row,
                    "prefix",
                    "a prefix has no dot, is not empty, and \"ivr\" is taken by our own flows",
                );
            }
            let Some(sha256) = hex(&key.sha256) else {
                self.row(row, "sha256", "not 64 hexadecimal digits; make them with: baton hash --for key");
                continue;
            };
            let (prefix, brand, scopes) = (key.prefix.clone(), key.brand.clone(), key.scopes.clone());
            keys.push(ApiKey { prefix, sha256, brand, scopes });
        }
        keys
    }

    fn dispositions(&mut self, written: &Written) -> Vec<acd::Disposition> {
        let mut codes = BTreeSet::new();
        for (row, disposition) in rows("disposition", &written.disposition) {
            if !codes.insert(disposition.code.clone()) {
                self.twice(row, "code", &disposition.code);
            }
        }
        let resolved =
            |d: &file::Disposition| acd::Disposition { code: d.code.clone(), label: d.label.clone() };
        written.disposition.iter().map(resolved).collect()
    }

    fn skills(&mut self, row: Row, given: &BTreeMap<SkillId, acd::Level>, known: &BTreeSet<SkillId>) {
        for (skill, level) in given {
            if !known.contains(skill) {
                self.row_at(row, &["skills", skill.as_str()], None, &format!("no [[skill]] {skill}"));
            }
            if !(1..=10).contains(level) {
                self.row_at(row, &["skills", skill.as_str()], None, "a skill's level is 1 to 10");
            }
        }
    }

    fn secret(&mut self, row: Row, key: &str, path: &Path) -> Option<String> {
        match self.disk.secret(&self.path(path.to_owned())) {
            Ok(secret) => Some(secret),
            Err(why) => {
                self.row(row, key, &format!("{}: {why}", path.display()));
                None
            }
        }
    }

    fn path(&self, path: PathBuf) -> PathBuf {
        self.files.base.join(path)
    }

    fn twice(&mut self, row: Row, key: &str, what: &str) {
        self.row(row, key, &format!("{what:?} is given twice"));
    }

    fn row(&mut self, row: Row, key: &str, what: &str) {
        self.row_at(row, &[key], None, what);
    }

    fn row_at(&mut self, Row(table, number): Row, keys: &[&str], index: Option<usize>, what: &str) {
        let Some((file, number)) = self.origins.get(table).and_then(|rows| rows.get(number)).copied() else {
            return;
        };
        let mut path = vec![Segment::Key(table.to_owned()), Segment::Index(number)];
        path.extend(keys.iter().map(|key| Segment::Key((*key).to_owned())));
        path.extend(index.map(Segment::Index));
        self.faults.push(self.files.config[file].fault_at(&path, what));
    }

    /// A fault of a section's key, in the last file that gives it; a default has no place.
    fn section(&mut self, section: &str, key: &str, what: &str) {
        let path = [Segment::Key(section.to_owned()), Segment::Key(key.to_owned())];
        let gives = |source: &&Source| {
            let table: Option<toml::Table> = toml::from_str(&source.text).ok();
            table.is_some_and(|table| table.get(section).is_some_and(|s| s.get(key).is_some()))
        };
        let source = self.files.config.iter().rev().find(gives).or(self.files.config.first());
        let fault = match source {
            Some(source) => source.fault_at(&path, format!("{section}.{key}: {what}")),
            None => Source::new("configuration", "").fault(format!("{section}.{key}: {what}")),
        };
        self.faults.push(fault);
    }
}

fn rows<'a, T>(table: &'static str, rows: &'a [T]) -> impl Iterator<Item = (Row, &'a T)> + use<'a, T> {
    rows.iter().enumerate().map(move |(number, row)| (Row(table, number), row))
}

/// `udp:192.0.2.1:5060`
fn transport_address(text: &str) -> Option<(Transport, SocketAddr)> {
    let (transport, address) = text.split_once(':')?;
    let transport = match transport {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        _ => return None,
    };
    Some((transport, address.parse().ok()?))
}

/// A scheme, a host and at most a port, as a browser writes it. In the clear only on this machine:
/// elsewhere a page would have no microphone (W3C Secure Contexts).
fn is_origin(text: &str) -> bool {
    let plain = |authority: &str| {
        !authority.is_empty()
            && authority
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
    };
    match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(authority), _) => plain(authority),
        (_, Some(authority)) => {
            plain(authority)
                && ["localhost", "127.0.0.1", "[::1]"].iter().any(|here| {
                    authority.strip_prefix(here).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
                })
        }
        _ => false,
    }
}

/// `09:00-18:00`, in minutes of the day; the end may be 24:00.
fn span(text: &str) -> Option<(u16, u16)> {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour <= 24 && minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from.trim())?, minute(to.trim())?);
    (from < to).then_some((from, to))
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoDisk;

    impl Disk for NoDisk {
        fn secret(&self, _: &Path) -> Result<String, String> {
            Err("no such file".to_owned())
        }

        fn prompts(&self, _: &Path) -> BTreeSet<(Language, String)> {
            BTreeSet::from([(Language::En, "music".to_owned())])
        }
    }

    const FLOW: &str = "id = \"f\"\nstart = \"q\"\nlanguage = \"en\"\n[steps.q]\ndo = \"queue\"\nqueue = \"cards\"\non_overflow = \"bye\"\n[steps.bye]\ndo = \"hangup\"\n";

    fn faults(texts: &[&str], flow: &str) -> Vec<String> {
        let config =
            texts.iter().enumerate().map(|(i, text)| Source::new(format!("{i}.toml"), *text)).collect();
        let files = Files { config, flows: vec![Source::new("f.toml", flow)], base: PathBuf::new() };
        match resolve(&files, &NoDisk) {
            Ok(_) => vec![],
            Err(faults) => faults.iter().map(Fault::to_string).collect(),
        }
    }

    const CARDS: &str = "[[queue]]\nid = \"cards\"\n";

    #[test]
    fn what_is_not_said_has_its_default() {
        let files = Files {
            config: vec![Source::new("a.toml", CARDS)],
            flows: vec![Source::new("f.toml", FLOW)],
            base: "/etc/baton".into(),
        };
        let config = resolve(&files, &NoDisk).expect("nothing is wrong");
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.http.admin.to_string(), "127.0.0.1:9090");
        assert_eq!(config.sip.listeners.len(), 2);
        assert_eq!(config.media.ports, (20_000, 29_999));
        assert_eq!(config.node.data_dir, PathBuf::from("/etc/baton/data"));
        assert_eq!(config.queues[&QueueId::from("cards")].pop_grace, Duration::from_millis(200));
    }

    #[test]
    fn a_later_file_has_the_last_word_on_a_key_and_adds_rows() {
        let files = Files {
            config: vec![
                Source::new("a.toml", format!("[sip]\nrealm = \"a\"\nadvertised = \"192.0.2.1\"\n{CARDS}")),
                Source::new("b.toml", "[sip]\nrealm = \"b\"\n[[queue]]\nid = \"loans\"\n"),
            ],
            flows: vec![],
            base: PathBuf::new(),
        };
        let config = resolve(&files, &NoDisk).expect("nothing is wrong");
        assert_eq!((config.sip.realm.as_str(), config.sip.advertised.is_some()), ("b", true));
        assert_eq!(config.queues.len(), 2);
    }

    #[test]
    fn every_fault_says_where_and_what_would_be_right() {
        let table: &[(&[&str], &str)] = &[
            (&["[sip]\nreal = \"x\"\n"], "0.toml:2:1: unknown field `real`"),
            (&[CARDS, "[[queue]]\nid = \"cards\"\n"], "1.toml:2:6: \"cards\" is given twice"),
            (&[CARDS, "[[number]]\nnumber = \"+861\"\nflow = \"x\"\n"], "1.toml:3:8: no flow x in flows/"),
            (
                &[
                    "[[click_to_call]]\nflow = \"f\"\norigins = [\"https://a.example\", \"a.example/x\"]\n",
                    CARDS,
                ],
                "0.toml:3:33: \"a.example/x\" is not an origin",
            ),
            (
                &["[[click_to_call]]\nflow = \"f\"\norigins = [\"http://a.example\"]\n", CARDS],
                "0.toml:3:12: \"http://a.example\" is not an origin",
            ),
            (&[CARDS, "[[click_to_call]]\nflow = \"x\"\n"], "1.toml:2:8: no flow x in flows/"),
            (
                &[CARDS, "[[click_to_call]]\nflow = \"f\"\n[[click_to_call]]\nflow = \"f\"\n"],
                "1.toml:3:1: \"default\" is given twice",
            ),
            (
                &[CARDS, "[http]\nlisten = \"0.0.0.0:80\"\n"],
                "1.toml:2:10: http.listen: keys and screens would cross",
            ),
            (&[CARDS, "[media]\nports = \"1-2\"\n"], "1.toml:2:9: media.ports: not FIRST-LAST"),
            (
                &[CARDS, "[media]\nshards = 3\nweb_port = 19998\n"],
                "1.toml:3:12: media.web_port: it, or that of a further shard",
            ),
            (
                &[CARDS, "[media]\nshards = 2\nweb_port = 65535\n"],
                "1.toml:3:12: media.web_port: no room above it",
            ),
            (&["[[queue]]\nid = \"cards\"\nskills = { gold = 1 }\n"], "0.toml:3:19: no [[skill]] gold"),
            (&["[[queue]]\nid = \"cards\"\noverflow = \"cards\"\n"], "0.toml:3:12: no other [[queue]] cards"),
            (&["[[queue]]\nid = \"cards\"\nmusic = \"jazz\"\n"], "0.toml:3:9: no prompt \"jazz\" in en"),
            (&[CARDS, "[[agent]]\nid = \"ann\"\n"], "1.toml:2:6: a phone that registers needs sip_ha1"),
            (
                &[CARDS, "[[agent]]\nid = \"ann\"\nphone = \"1\"\nsip_password_file = \"x\"\n"],
                "1.toml:4:21: x: no such file",
            ),
            (
                &[CARDS, "[[trunk]]\nid = \"t\"\ncountry = \"86\"\nsources = [\"1.2.3.4\", \"x\"]\n"],
                "1.toml:4:23: \"x\" is not",
            ),
            (
                &[CARDS, "[[api_key]]\nprefix = \"ivr\"\nsha256 = \"00\"\nscopes = []\n"],
                "1.toml:2:10: a prefix has no dot",
            ),
            (
                &[
                    CARDS,
                    "[[calendar]]\nid = \"c\"\ntimezone = \"Asia/Shanghai\"\nweek = { mon = [\"9-18\"] }\n",
                ],
                "1.toml:4:17: \"9-18\" is not HH:MM-HH:MM",
            ),
        ];
        for (texts, expected) in table {
            let found = faults(texts, FLOW);
            assert!(found.iter().any(|fault| fault.starts_with(expected)), "{expected}\nin {found:#?}");
        }
    }

    #[test]
    fn a_flow_with_an_unknown_queue_is_located() {
        let found = faults(&["[[queue]]\nid = \"loans\"\n"], FLOW);
        assert!(found[0].starts_with("f.toml:6:9: "), "{found:?}");
    }
}
