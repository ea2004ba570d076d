//! The daemon of the demo: its configuration, its secrets, its start and its end.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Client;
use serde::Serialize;
use serde_json::json;

use super::Options;
use super::timeline::within;
use crate::config::{Config, Scope};
use crate::io::load;
use crate::io::run::{self, Running};
use crate::io::secret;

const NUMBER: &str = "+861055550000";
const REALM: &str = "baton";
const SCOPES: [Scope; 8] = [
    Scope::StepsWrite,
    Scope::JourneysRead,
    Scope::HandoffsWrite,
    Scope::CallsWrite,
    Scope::ContactsRead,
    Scope::RecordingsRead,
    Scope::AgentsRead,
    Scope::Admin,
];

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../config/", $path)))),*]
    };
}

/// The flow and its prompts, so that the binary needs nothing beside it.
const FILES: &[(&str, &[u8])] = files![
    "flows/demo.toml",
    "prompts/en/back.txt",
    "prompts/en/busy.txt",
    "prompts/en/card-digits.txt",
    "prompts/en/closed.txt",
    "prompts/en/errand.txt",
    "prompts/en/hours.txt",
    "prompts/en/menu.txt",
    "prompts/en/music.wav",
    "prompts/en/this-language.txt",
    "prompts/en/to-agent.txt",
    "prompts/en/welcome.txt",
    "prompts/zh/back.txt",
    "prompts/zh/busy.txt",
    "prompts/zh/card-digits.txt",
    "prompts/zh/closed.txt",
    "prompts/zh/errand.txt",
    "prompts/zh/hours.txt",
    "prompts/zh/menu.txt",
    "prompts/zh/music.wav",
    "prompts/zh/this-language.txt",
    "prompts/zh/to-agent.txt",
    "prompts/zh/welcome.txt",
];

/// What waiting callers hear.
pub const MUSIC: &[u8] = include_bytes!("../../../config/prompts/en/music.wav");

/// A daemon that is up, and where its things are.
pub struct Centre {
    running: Running,
    papers: Papers,
    folder: Folder,
}

/// All that people outside know of the centre.
#[derive(Clone, Debug, Serialize)]
pub struct Papers {
    /// URL of the API and of the desktop.
    pub http: String,
    /// UDP and TCP.
    pub sip: SocketAddr,
    /// URL of SIP over WebSocket.
    pub sip_ws: String,
    pub number: String,
    pub api_key: String,
    pub agents: Vec<Agent>,
    pub softphone: Headset,
}

/// An agent whose desktop is the phone.
#[derive(Clone, Debug, Serialize)]
pub struct Headset {
    pub id: &'static str,
    #[serde(skip)]
    pub name: &'static str,
    pub password: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Agent {
    pub id: &'static str,
    #[serde(skip)]
    pub name: &'static str,
    pub password: String,
    pub sip: Account,
}

#[derive(Clone, Debug, Serialize)]
pub struct Account {
    pub user: String,
    pub password: String,
}

impl Centre {
    pub async fn open(options: &Options) -> anyhow::Result<Self> {
        for (option, address) in [("--http", options.http), ("--sip", options.sip)] {
            if let Some(address) = address {
                ensure!(address.ip().is_loopback(), "{option} {address}: {LOOPBACK_ONLY}");
            }
        }
        let folder = Folder::open(options.data.as_deref())?;
        let secrets = Secrets::new()?;
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let http = options.http.unwrap_or(loopback);
        let mut tries = 0;
        let (running, sip, is_secure) = loop {
            let sip = both_transports(options.sip.unwrap_or(loopback)).context("SIP")?;
            let path = folder.write(&secrets.configuration(http, sip, &folder.path)?)?;
            let config = load::load(&path).map_err(|faults| {
                let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                anyhow::anyhow!("the demo's configuration is faulty:\n{}", faults.join("\n"))
            })?;
            refuse_beyond_loopback(&config)?;
            missing_speech(&config, options)?;
            let is_secure = config.http.tls.is_some();
            tries += 1;
            match run::start(config, Some(path)).await {
                Ok(running) => break (running, sip, is_secure),
                // A port that was free a moment ago.
                Err(error)
                    if tries < 5 && options.sip.is_none_or(|sip| sip.port() == 0) && is_taken(&error) => {}
                Err(error) => return Err(error),
            }
        };
        // The environment may name a certificate.
        let s = if is_secure { "s" } else { "" };
        let http = format!("http{s}://{}", running.http);
        let sip_ws = format!("ws{s}://{}/sip", running.http);
        let Secrets { api_key, agents, softphone } = secrets;
        let number = NUMBER.to_owned();
        let papers = Papers { http, sip, sip_ws, number, api_key, agents, softphone };
        let admin = running.admin;
        let centre = Self { running, papers, folder };
        match within(Duration::from_secs(20), "the daemon to be ready", until_ready(admin)).await {
            Ok(()) => Ok(centre),
            Err(error) => centre.close().await.and(Err(error)),
        }
    }

    pub fn papers(&self) -> &Papers {
        &self.papers
    }

    pub async fn close(self) -> anyhow::Result<()> {
        let stopped = self.running.stop().await;
        drop(self.folder);
        stopped
    }
}

const LOOPBACK_ONLY: &str = "the demo listens on loopback only (127.0.0.1, ::1), for its passwords are on the screen; \
     for anything else there is `baton serve`";

/// The environment may override what we wrote.
fn refuse_beyond_loopback(config: &Config) -> anyhow::Result<()> {
    let sip = config.sip.listeners.iter().map(|(_, address)| address.ip());
    let rest = [config.http.listen.ip(), config.http.admin.ip(), config.media.address];
    for ip in sip.chain(rest) {
        ensure!(ip.is_loopback(), "{ip}: {LOOPBACK_ONLY}");
    }
    Ok(())
}

/// Without them callers would hear nothing.
fn missing_speech(config: &Config, options: &Options) -> anyhow::Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let programs = config.speech.commands.values().filter_map(|command| command.first());
    let missing: Vec<_> = programs.filter(|program| !is_there(program)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = format!(
        "not installed: {}; the prompts are spoken by it (apt-get install {}; make demo does so by itself)",
        missing.join(", "),
        missing.join(" ")
    );
    if options.no_story {
        // Who only wants the centre may do without its voice.
        eprintln!("baton: {missing}");
        return Ok(());
    }
    bail!(missing)
}

async fn until_ready(admin: SocketAddr) -> anyhow::Result<()> {
    let client = client()?;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let answer = client.get(format!("http://{admin}/readyz")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
    }
}

/// Loopback is never behind a proxy.
pub fn client() -> anyhow::Result<Client> {
    Ok(Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?)
}

/// A port that UDP and TCP both can have; another than 0 as it is.
fn both_transports(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    if address.port() != 0 {
        return Ok(address);
    }
    for _ in 0..100 {
        let datagrams = UdpSocket::bind(address)?;
        let both = datagrams.local_addr()?;
        if TcpListener::bind(both).is_ok() {
            return Ok(both);
        }
    }
    bail!("no port is free for both UDP and TCP")
}

fn is_taken(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    kinds.map(std::io::Error::kind).any(|kind| kind == ErrorKind::AddrInUse)
}

/// Made anew by every run.
struct Secrets {
    api_key: String,
    agents: Vec<Agent>,
    softphone: Headset,
}

impl Secrets {
    fn new() -> anyhow::Result<Self> {
        let agent = |id, name, user: &str| -> anyhow::Result<Agent> {
            let sip = Account { user: user.to_owned(), password: secret::hex(&secret::random::<8>()?) };
            Ok(Agent { id, name, password: secret::hex(&secret::random::<6>()?), sip })
        };
        let agents = vec![agent("ann", "Ann", "1001")?, agent("bob", "Bob", "1002")?];
        let softphone = Headset { id: "cleo", name: "Cleo", password: secret::hex(&secret::random::<6>()?) };
        // The prefix stays from run to run: by it a step that was posted before is known again.
        Ok(Self { api_key: format!("demo.{}", secret::hex(&secret::random::<32>()?)), agents, softphone })
    }

    /// What is laid over `demo.toml`: addresses, and the hashes of the secrets.
    fn configuration(&self, http: SocketAddr, sip: SocketAddr, data: &Path) -> anyhow::Result<String> {
        let mut agents: Vec<_> = self
            .agents
            .iter()
            .map(|agent| {
                let (md5, sha256) = secret::sip_hashes(&agent.sip.user, REALM, &agent.sip.password);
                Ok(json!({
                    "id": agent.id, "name": agent.name, "queues": ["cards"], "skills": { "cards": 5 },
                    "phone": agent.sip.user, "sip_ha1": md5, "sip_ha1_sha256": sha256,
                    "password": secret::hash_password(&agent.password).context("a password's hash")?,
                }))
            })
            .collect::<anyhow::Result<_>>()?;
        let Headset { id, name, password } = &self.softphone;
        agents.push(json!({
            "id": id, "name": name, "queues": ["cards"], "skills": { "cards": 5 }, "phone": "softphone",
            "password": secret::hash_password(password).context("a password's hash")?,
        }));
        let admin = SocketAddr::new(http.ip(), 0);
        let configuration = json!({
            "node": { "data_dir": data },
            "sip": { "listen": [format!("udp:{sip}"), format!("tcp:{sip}")], "realm": REALM },
            // Two threads: a headset's leg lives with whomever it talks to.
            "media": { "address": sip.ip(), "web_port": 0, "shards": 2 },
            // A page of this machine's, whatever its port, may try a phone of its own.
            "http": { "listen": http, "admin": admin, "hosts": ["localhost", "127.0.0.1", "[::1]"] },
            "agent": agents,
            "api_key": [{
                "prefix": "demo", "sha256": secret::hex(&secret::sha256(self.api_key.as_bytes())), "scopes": SCOPES,
            }],
        });
        Ok(toml::to_string(&configuration)?)
    }
}

/// Where the store, the recordings and, below `centre`, the configuration lie.
struct Folder {
    path: PathBuf,
    fate: Fate,
}

enum Fate {
    Kept,
    Removed,
}

impl Folder {
    fn open(given: Option<&Path>) -> anyhow::Result<Self> {
        let (path, fate) = match given {
            Some(path) => (std::path::absolute(path)?, Fate::Kept),
            None => {
                let name =
                    format!("baton-demo-{}-{}", std::process::id(), secret::hex(&secret::random::<8>()?));
                (std::env::temp_dir().join(name), Fate::Removed)
            }
        };
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(matches!(fate, Fate::Kept));
        builder.create(&path).with_context(|| format!("directory {}", path.display()))?;
        Ok(Self { path, fate })
    }

    /// Writes the configuration whole; returns its path.
    fn write(&self, this_run: &str) -> anyhow::Result<PathBuf> {
        let base = self.path.join("centre");
        let write = |name: &str, bytes: &[u8]| {
            let path = base.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&base))?;
            fs::write(&path, bytes)
        };
        let written = FILES
            .iter()
            .try_for_each(|(name, bytes)| write(name, bytes))
            .and_then(|()| write("conf.d/this-run.toml", this_run.as_bytes()))
            .and_then(|()| write("demo.toml", include_bytes!("demo.toml")));
        written.with_context(|| format!("directory {}", base.display()))?;
        Ok(base.join("demo.toml"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Fate::Removed = self.fate {
            // What is left in a temporary directory the system clears.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_holds_every_flow_and_prompt_of_the_repository() {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let below = |folder: &str| {
            let entries = fs::read_dir(config.join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
            let names = entries.map(|name| format!("{folder}/{}", name.to_str().unwrap()));
            names.filter(|name| !name.ends_with(".md")).collect::<Vec<_>>()
        };
        let mut there: Vec<_> = ["flows", "prompts/en", "prompts/zh"].into_iter().flat_map(below).collect();
        there.sort();
        let held: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(held, there);
    }

    #[test]
    fn the_configuration_it_writes_has_no_fault() {
        let folder = Folder::open(None).unwrap();
        let secrets = Secrets::new().unwrap();
        let (http, sip) = ("127.0.0.1:0".parse().unwrap(), "127.0.0.1:5060".parse().unwrap());
        let path = folder.write(&secrets.configuration(http, sip, &folder.path).unwrap()).unwrap();
        let config = load::load(&path).unwrap();
        assert_eq!(config.numbers.keys().map(|number| number.as_str()).collect::<Vec<_>>(), [NUMBER]);
        assert_eq!(config.agents.len(), 3);
        refuse_beyond_loopback(&config).unwrap();
    }
}
