//! The daemon, `baton serve`, in a folder of its own.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::sound::{self, MENU, MUSIC};

/// Whatever is waited for comes within this, or never.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// The number that reaches the flow, as the carrier dials it.
pub const NUMBER: &str = "01055550000";
pub const CARRIER: &str = "127.0.0.3";
pub const KEY: &str = "app1.5f0c7ac3b1f24c7e9d51a8be36d0427b";
/// Of a system that may only post.
pub const APP_KEY: &str = "app2.0b9a6d4ef37c4a11a2c8e5d7f6091b34";
pub const PHONE_PASSWORD: &str = "4711-of-the-phone";

/// A centre with one queue; each test adds its agents, its number and what else it needs.
const COMMON: &str = r#"
[node]
data_dir = "data"
drain_s = 30
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
[media]
address = "127.0.0.1"
ports = "20000-20399"
shards = 2
[[trunk]]
id = "carrier"
sources = ["127.0.0.3"]
country = "86"
[[skill]]
id = "cards"
[[queue]]
id = "cards"
skills = { cards = 1 }
announce_every_s = 0
wrap_up_s = 0
[[disposition]]
code = "solved"
"#;

/// A menu whose 5 leads to the queue.
pub const FRONT: &str = r#"
id = "front"
start = "menu"
language = "en"
on_error = "bye"
[steps.menu]
do = "menu"
prompt = "menu"
label = "Main menu"
options = { 5 = "wait" }
timeout_ms = 20000
on_no_input = "bye"
on_no_match = "bye"
[steps.wait]
do = "queue"
queue = "cards"
on_overflow = "bye"
[steps.bye]
do = "hangup"
"#;

/// An agent whose phone registers as `user`.
pub fn agent(id: &str, user: &str, more: &str) -> String {
    format!(
        "[[agent]]\nid = \"{id}\"\nqueues = [\"cards\"]\nskills = {{ cards = 5 }}\nphone = \"{user}\"\n\
         sip_password_file = \"phone-password\"\n{more}\n"
    )
}

pub fn number(more: &str) -> String {
    format!("[[number]]\nnumber = \"+861055550000\"\nflow = \"front\"\n{more}\n")
}

/// A folder that goes with its owner.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // The process is alone in its tree, and so always the same one.
        let name = format!("baton-{:x}-{}", rand(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("within the folder")).expect("a folder within ours");
        std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("left for you to see: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Different in every process.
fn rand() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Everything a daemon reads and writes; it outlives the daemon.
pub struct Site {
    pub folder: Folder,
    environment: Vec<(String, String)>,
    /// What runs it, `strace` or so, with its arguments; nothing for the daemon itself.
    wrapper: Vec<String>,
}

impl Site {
    pub fn new(tables: &str, flow: &str) -> Self {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path().join("prompts/en")).expect("a folder within ours");
        sound::write_wav(&folder.path().join("prompts/en/menu.wav"), &sound::tone(MENU, 1));
        sound::write_wav(&folder.path().join("prompts/en/music.wav"), &sound::tone(MUSIC, 2));
        folder.write("phone-password", PHONE_PASSWORD);
        folder.write("flows/front.toml", flow);
        let site = Self { folder, environment: vec![], wrapper: vec![] };
        site.configure("[http]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n", tables);
        site
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("baton.toml")
    }

    pub fn configure(&self, http: &str, tables: &str) {
        let keys = [
            api_key(
                KEY,
                r#"["steps:write", "journeys:read", "contacts:read", "recordings:read", "agents:read", "handoffs:write", "admin"]"#,
            ),
            api_key(APP_KEY, r#"["steps:write"]"#),
        ];
        self.folder.write("baton.toml", format!("{COMMON}{http}{}{tables}", keys.concat()));
    }

    pub fn with_environment(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    pub fn run_by(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts the daemon and waits until it is up.
    pub async fn start(&self) -> Centre {
        let binary = env!("CARGO_BIN_EXE_baton").to_owned();
        let words: Vec<_> = self.wrapper.iter().chain([&binary]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["serve", "--config"]).arg(self.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env_remove("JOURNAL_STREAM").stderr(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        let (to, log) = watch::channel(vec![]);
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                to.send_modify(|log: &mut Vec<Value>| log.push(line));
            }
        });
        let mut log = Log(log);
        let up = log.line("the daemon is up", |line| line["message"] == "up").await;
        let listeners = up["sip"].as_str().expect("named").to_owned();
        let bound = |transport: &str| {
            let (_, rest) = listeners.split_once(&format!("({transport}, ")).expect("listens on both");
            rest.split(')').next().and_then(|address| address.parse().ok()).expect("an address")
        };
        let address =
            |name: &str| up[name].as_str().and_then(|address| address.parse().ok()).expect("an address");
        Centre {
            udp: bound("Udp"),
            tcp: bound("Tcp"),
            http: address("http"),
            admin: address("admin"),
            client: reqwest::Client::new(),
            child,
            log,
        }
    }

    pub async fn baton(&self, words: &[&str], input: &str) -> Output {
        run(env!("CARGO_BIN_EXE_baton"), words, input).await
    }
}

fn api_key(key: &str, scopes: &str) -> String {
    use sha2::Digest;
    let sha256: String = sha2::Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    let prefix = key.split_once('.').expect("a key of ours").0;
    format!("[[api_key]]\nprefix = \"{prefix}\"\nsha256 = \"{sha256}\"\nscopes = {scopes}\n")
}

/// Runs a program to its end.
pub async fn run(program: &str, words: &[&str], input: &str) -> Output {
    use tokio::io::AsyncWriteExt;
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; `make test` installs it"));
    let mut stdin = child.stdin.take().expect("piped");
    // Who does not read it does not want it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{program} does not end"))
        .expect(program)
}

/// What a process has said so far, line by line.
#[derive(Clone)]
pub struct Log(watch::Receiver<Vec<Value>>);

impl Log {
    /// The first line like that, said already or yet to come.
    pub async fn line(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let found = self.0.wait_for(|log| log.iter().any(&is));
        match timeout(PATIENCE, found).await {
            Ok(Ok(log)) => return log.iter().find(|line| is(line)).expect("waited for").clone(),
            Ok(Err(_)) => println!("it ended before: {what}"),
            Err(_) => println!("not in time: {what}"),
        }
        self.0.borrow().iter().for_each(|line| println!("{line}"));
        panic!("{what}: not said");
    }

    /// Waits until nothing more can be said.
    pub async fn end(&mut self) {
        let ended = timeout(PATIENCE, self.0.wait_for(|_| false)).await;
        assert!(ended.is_ok_and(|said| said.is_err()), "it ends in time");
    }

    pub fn lines(&self, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.0.borrow().iter().filter(|line| is(line)).cloned().collect()
    }
}

/// A daemon that is up; it dies with this.
pub struct Centre {
    pub udp: SocketAddr,
    pub tcp: SocketAddr,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    pub client: reqwest::Client,
    pub log: Log,
    child: Child,
}

/// What the daemon answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub body: Value,
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or("")
            .to_owned();
        let text = response.text().await.unwrap_or_default();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, kind, body }
    }
}

impl Centre {
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.ask(self.client.get(self.url(path)).bearer_auth(KEY)).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub async fn ask(&self, request: reqwest::RequestBuilder) -> Answer {
        let response =
            timeout(PATIENCE, request.send()).await.expect("an answer in time").expect("an answer");
        Answer::of(response).await
    }

    pub async fn ready(&self) -> Answer {
        self.ask(self.client.get(format!("http://{}/readyz", self.admin))).await
    }

    /// One value of `/metrics`.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = self.ask(self.client.get(format!("http://{}/metrics", self.admin))).await.body;
        let page = page.as_str().unwrap_or_else(|| panic!("metrics: {page}"));
        let line = page.lines().find(|line| line.split([' ', '{']).next() == Some(name));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in\n{page}"))
    }

    /// Looks at `path` until it shows what is wanted.
    pub async fn until<T>(&self, what: &str, path: &str, shows: impl Fn(&Value) -> Option<T>) -> T {
        let mut last = Value::Null;
        let look = async {
            let mut pace = interval(Duration::from_millis(20));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                pace.tick().await;
                last = self.get(path).await;
                if let Some(shown) = shows(&last) {
                    return shown;
                }
            }
        };
        match timeout(PATIENCE, look).await {
            Ok(shown) => shown,
            Err(_) => {
                self.log.lines(|_| true).iter().for_each(|line| println!("{line}"));
                panic!("{what}: {path} still shows {last:#}")
            }
        }
    }

    /// Waits until one call is in this stage, and says which contact it belongs to.
    pub async fn stage(&self, stage: &str) -> String {
        self.until(stage, "/v1/calls", |calls| {
            let mut calls = calls["calls"].as_array()?.iter();
            Some(calls.find(|call| call["stage"] == stage)?["contact"].as_str()?.to_owned())
        })
        .await
    }

    /// Waits until no call is up. Nothing happened that an operator would have to act on.
    pub async fn quiet(&self) {
        let troubles = self.log.lines(|line| line["level"] == "ERROR");
        assert!(troubles.is_empty(), "{troubles:?}");
        self.until("no call is up", "/v1/calls", |calls| calls["calls"].as_array()?.is_empty().then_some(()))
            .await;
    }

    /// Waits until the record of this contact, or of the only one, is closed.
    pub async fn finished(&self, contact: Option<&str>) -> Value {
        self.until("the record is closed", "/v1/contacts", |contacts| {
            let mut contacts = contacts["contacts"].as_array()?.iter();
            let of = |record: &&Value| contact.is_none_or(|contact| record["id"] == contact);
            let record = contacts.find(of).filter(|record| record["state"] != "running");
            record.cloned()
        })
        .await
    }

    /// The channels of what was recorded of a contact.
    pub async fn recording(&self, record: &Value) -> Vec<Vec<i16>> {
        self.quiet().await;
        let contact = record["id"].as_str().expect("an id");
        super::recording::saved(self, contact).await;
        let path = format!("/v1/contacts/{contact}/recording");
        let recording = self.client.get(self.url(&path)).bearer_auth(KEY).send().await;
        let recording = recording.and_then(|response| response.error_for_status()).expect("a recording");
        sound::read_wav(&recording.bytes().await.expect("the whole of it"))
    }

    /// What the daemon takes of memory, in octets.
    pub fn resident(&self) -> u64 {
        // `/proc` is that of the machine, where the daemon has another number than here.
        let of_ours = |path: &Path| std::fs::read_link(path.join("ns/pid")).ok();
        let here = of_ours(Path::new("/proc/self")).expect("a tree of our own");
        let number = self.child.id().expect("it runs").to_string();
        let processes = std::fs::read_dir("/proc").expect("the kernel tells").flatten();
        let of_daemon = |path: PathBuf| {
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
            let is_it = field("NSpid:")?.split_whitespace().next_back() == Some(&number);
            let resident = field("VmRSS:")?.trim().trim_end_matches(" kB").parse::<u64>().ok()?;
            (is_it && of_ours(&path).as_ref() == Some(&here)).then_some(1024 * resident)
        };
        processes.map(|entry| entry.path()).find_map(of_daemon).expect("it runs")
    }

    pub fn signal(&self, signal: libc::c_int) {
        let id = self.child.id().expect("it runs") as libc::pid_t;
        // SAFETY: it is our own child, not yet waited for: nobody else has its number.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// Waits until the daemon has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the daemon ends in time").expect("it is our child")
    }
}

/// Fails with what it is about.
#[track_caller]
pub fn assert_about<T: PartialOrd + Debug>(what: &str, value: T, range: std::ops::RangeInclusive<T>) {
    assert!(range.contains(&value), "{what}: {value:?} is not in {range:?}");
}
