//! The listeners over real sockets on loopback, before a real gateway and a real store.

mod phone;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::handoffs::hash;
use super::{Patience, Serving, Vitals, listen, start_with};
use crate::base::{BrandId, Codec, ContactId, CustomerId, Language, Mint, Mono, Mos, Now, Wall};
use crate::call::audio::{Audio, LegKind, Talker};
use crate::config::Config;
use crate::config::fault::Source;
use crate::config::resolve::{Disk, Files, resolve};
use crate::gateway::desk::ConnectionId;
use crate::gateway::{Gateway, Input, Output};
use crate::io::clock::Clock;
use crate::io::line::{Ask, Frame, Line, Pages};
use crate::io::secret;
use crate::io::sip::{Limits, Sip};
use crate::io::store::{ContactRecord, ContactState, Sqlite, Store};
use crate::journey::handoff;
use crate::media::{Quality, SocketId, Way};
use crate::sip::{self, Hop, Transport};

const PASSWORD: &str = "correct horse";
const FULL: &str = "full.0123456789abcdef0123456789abcdef";
const POOR: &str = "poor.0123456789abcdef0123456789abcdef";
const OTHER: &str = "other.0123456789abcdef0123456789abcdef";

const FRONT: &str = r#"
id = "front"
start = "wait"
language = "en"
[steps.wait]
do = "queue"
queue = "cards"
on_overflow = "bye"
[steps.bye]
do = "hangup"
"#;

/// A daemon without telephony.
struct Daemon {
    serving: Serving,
    line: Line,
    store: Arc<dyn Store>,
    configured: watch::Sender<Arc<Config>>,
    client: Client,
    scratch: Scratch,
    sip: Sip,
    /// What phones say.
    heard: mpsc::Receiver<sip::Input>,
    /// Lets go of every desktop's queue, as the loop does with one that is full.
    cut: mpsc::Sender<()>,
}

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("baton-http-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("recordings")).expect("a scratch directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct NoDisk;

impl Disk for NoDisk {
    fn secret(&self, _: &Path) -> Result<String, String> {
        Err("no disk".to_owned())
    }

    fn prompts(&self, _: &Path) -> BTreeSet<(Language, String)> {
        [Language::En, Language::Zh].map(|language| (language, "music".to_owned())).into()
    }
}

/// As weak as can be: what is tested is not how long it takes.
fn weak_hash() -> String {
    let params = Params::new(8, 1, 1, None).expect("least parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(PASSWORD.as_bytes()).expect("a hash").to_string()
}

fn config(scratch: &Path, http: &str) -> Config {
    let hash = weak_hash();
    let sha = |key: &str| secret::hex(&secret::sha256(key.as_bytes()));
    let (full, poor, other) = (sha(FULL), sha(POOR), sha(OTHER));
    let text = format!(
        r#"
        [node]
        data_dir = "{scratch}"
        [http]
        listen = "127.0.0.1:0"
        admin = "127.0.0.1:0"
        {http}
        [security]
        logins_per_minute = 3
        handoffs_per_minute = 20
        calls_per_minute = 12
        [[click_to_call]]
        flow = "front"
        origins = ["https://shop.example"]
        [[click_to_call]]
        brand = "other"
        flow = "front"
        origins = ["https://other.example"]
        [[queue]]
        id = "cards"
        [[agent]]
        id = "anna"
        name = "Anna"
        queues = ["cards"]
        phone = "sip:anna@127.0.0.1:5066"
        password = "{hash}"
        [[agent]]
        id = "ben"
        queues = ["cards"]
        phone = "sip:ben@127.0.0.1:5067"
        password = "{hash}"
        [[disposition]]
        code = "done"
        label = {{ en = "Done", zh = "已解决" }}
        [[api_key]]
        prefix = "full"
        sha256 = "{full}"
        scopes = ["steps:write", "journeys:read", "contacts:read", "recordings:read", "agents:read", "handoffs:write", "admin"]
        [[api_key]]
        prefix = "poor"
        sha256 = "{poor}"
        scopes = ["journeys:read"]
        [[api_key]]
        prefix = "other"
        sha256 = "{other}"
        brand = "other"
        scopes = ["contacts:read", "recordings:read", "journeys:read"]
        [[brand]]
        id = "other"
        "#,
        scratch = scratch.display(),
    );
    let files = Files {
        config: vec![Source::new("baton.toml", text)],
        flows: vec![Source::new("front.toml", FRONT)],
        ..Files::default()
    };
    resolve(&files, &NoDisk).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// Of the tests' agents, for what needs no listener.
pub(super) fn small_config() -> Config {
    config(Path::new("."), "")
}

impl Daemon {
    async fn start() -> Self {
        Self::start_with("", Patience::default()).await
    }

    async fn with_phones(http: &str, limits: Limits) -> Self {
        Self::start_in(http, Patience::default(), limits).await
    }

    async fn start_with(http: &str, patience: Patience) -> Self {
        Self::start_in(http, patience, Limits::default()).await
    }

    async fn start_in(http: &str, patience: Patience, limits: Limits) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let scratch = Scratch::new();
        let config = Arc::new(config(&scratch.0, http));
        let clock = Clock::new();
        let file = scratch.0.join("baton.db");
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&file, Mint::new([7; 32])).await.expect("a store"));
        let (line, asks) = Line::new();
        let (configured, watched) = watch::channel(config.clone());
        let (cut, cuts) = mpsc::channel(1);
        tokio::spawn(drive(Gateway::new(config, [1; 32], clock.now()), clock, asks, cuts));
        let vitals = Arc::new(Vitals::default());
        let (inputs, heard) = mpsc::channel(16);
        let sip = Sip::bind(&[], limits, inputs).expect("nothing to bind");
        let inlet = sip.inlet();
        let serving = start_with(watched, line.clone(), store.clone(), vitals, clock, inlet, patience).await;
        let client =
            Client::builder().no_proxy().danger_accept_invalid_certs(true).build().expect("a client");
        Self {
            serving: serving.expect("listeners"),
            line,
            store,
            configured,
            client,
            scratch,
            sip,
            heard,
            cut,
        }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.serving.listen))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.ask(Method::GET, path).bearer_auth(FULL)
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.ask(Method::POST, path).bearer_auth(FULL).json(body)
    }

    async fn log_in(&self, agent: &str, password: &str) -> (StatusCode, Value) {
        answer(self.ask(Method::POST, "/v1/login").json(&json!({ "agent": agent, "password": password })))
            .await
    }

    async fn token(&self, agent: &str) -> String {
        let (status, body) = self.log_in(agent, PASSWORD).await;
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().expect("a token").to_owned()
    }

    async fn desktop(&self) -> Desktop {
        let mut request =
            format!("ws://{}/v1/agent", self.serving.listen).into_client_request().expect("a URL");
        request.headers_mut().insert("sec-websocket-protocol", "baton.v1".parse().expect("a token"));
        let (socket, response) = connect_async(request).await.expect("a WebSocket");
        assert_eq!(response.headers()["sec-websocket-protocol"], "baton.v1");
        Desktop { socket }
    }

    /// A desktop that has said hello and got its snapshot.
    async fn seated(&self, agent: &str) -> Desktop {
        let mut desktop = self.desktop().await;
        desktop.say(json!({ "type": "hello", "token": self.token(agent).await })).await;
        assert_eq!(desktop.hear().await["type"], "welcome");
        assert_eq!(desktop.hear().await["type"], "snapshot");
        desktop
    }
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The gateway's loop, but for what it would do to the world.
async fn drive(
    mut gateway: Gateway,
    clock: Clock,
    mut asks: mpsc::Receiver<Ask>,
    mut cuts: mpsc::Receiver<()>,
) {
    let mut desktops: HashMap<ConnectionId, mpsc::Sender<Frame>> = HashMap::new();
    let mut pages = Pages::default();
    loop {
        while let Some(output) = gateway.poll_output() {
            match output {
                Output::Push { connection, seq, push } => {
                    if let Some(to) = desktops.get(&connection) {
                        let _ = to.try_send(Frame::Push { seq, push });
                    }
                }
                Output::Dismiss { connection } => {
                    if let Some(to) = desktops.remove(&connection) {
                        let _ = to.try_send(Frame::Dismiss);
                    }
                }
                Output::Web { ticket, outcome } => pages.answer(ticket, outcome),
                _ => {}
            }
        }
        let next = gateway.poll_timeout().map(|at| clock.instant(at).into());
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ask = asks.recv() => match ask {
                None => return,
                Some(Ask::Tell(input)) => gateway.handle_input(clock.now(), input),
                Some(Ask::Look(look)) => look(&gateway, clock.now()),
                Some(Ask::Attach { connection, agent, resume_from, frames }) => {
                    desktops.insert(connection, frames);
                    gateway.handle_input(clock.now(), Input::Attached { connection, agent, resume_from });
                }
                Some(Ask::Web(request, answer)) => {
                    let ticket = pages.ask(answer);
                    gateway.handle_input(clock.now(), Input::Web { ticket, request });
                }
                Some(Ask::Reload(answer)) => drop(answer.send(Ok(()))),
                Some(Ask::Drain) => gateway.handle_input(clock.now(), Input::Drain),
            },
            Some(()) = cuts.recv() => desktops.clear(),
            () = due => gateway.handle_timeout(clock.now()),
        }
    }
}

struct Desktop {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Desktop {
    async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.expect("sent");
    }

    async fn hear(&mut self) -> Value {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code it is closed with, whatever comes before.
    async fn closed(&mut self) -> u16 {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn step(id: &str) -> Value {
    json!({
        "id": id, "journey": "prepay-1", "topic": "mortgage-prepay", "channel": "app",
        "customer": { "phone": "+8613800138000", "verified": ["phone"] },
        "step": "confirm-payment", "ordinal": 3, "total": 5, "status": "failed", "reason": "insufficient-funds",
        "at": "2026-01-31T08:00:00Z"
    })
}

#[tokio::test]
async fn a_key_opens_only_what_its_scopes_name() {
    let daemon = Daemon::start().await;
    let get = |path: &str| daemon.ask(Method::GET, path);
    for (request, status, challenge) in [
        (get("/v1/agents"), 401, "Bearer realm=\"baton\""),
        (get("/v1/agents").header("authorization", "Basic eDp5"), 401, "Bearer realm=\"baton\""),
        (
            get("/v1/agents").bearer_auth("nobody.0123"),
            401,
            "Bearer realm=\"baton\", error=\"invalid_token\"",
        ),
        (get("/v1/agents").bearer_auth("full.wrong"), 401, "Bearer realm=\"baton\", error=\"invalid_token\""),
        (get("/v1/agents").bearer_auth("full"), 401, "Bearer realm=\"baton\", error=\"invalid_token\""),
        (
            get("/v1/agents").bearer_auth(POOR),
            403,
            "Bearer realm=\"baton\", error=\"insufficient_scope\", scope=\"agents:read\"",
        ),
        // Refused before the body is looked at.
        (
            daemon.ask(Method::POST, "/v1/steps").bearer_auth(POOR).body("{"),
            403,
            "Bearer realm=\"baton\", error=\"insufficient_scope\", scope=\"steps:write\"",
        ),
    ] {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["www-authenticate"], challenge);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    assert_eq!(answer(get("/v1/agents").bearer_auth(FULL)).await.0, 200);
}

#[tokio::test]
async fn an_acknowledged_step_is_a_breakpoint_and_a_repeated_one_a_duplicate() {
    let daemon = Daemon::start().await;
    let posted = answer(daemon.post("/v1/steps", &step("s1"))).await;
    assert_eq!(posted, (StatusCode::OK, json!({ "accepted": 1, "duplicates": 0 })));
    let again = answer(daemon.post("/v1/steps", &json!([step("s1"), step("s2")]))).await;
    assert_eq!(again, (StatusCode::OK, json!({ "accepted": 1, "duplicates": 1 })));

    let mut changed = step("s1");
    changed["status"] = "done".into();
    let (status, problem) = answer(daemon.post("/v1/steps", &changed)).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (409, &json!("/id")));
    let (status, problem) = answer(daemon.post("/v1/steps", &json!([step("s3"), changed]))).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (409, &json!("/1/id")));

    for path in ["/v1/breakpoints?phone=%2B8613800138000", "/v1/breakpoints?phone=+8613800138000"] {
        let (status, found) = answer(daemon.get(path)).await;
        assert_eq!(status, 200, "{found}");
        assert_eq!(found["breakpoints"][0]["step"], "confirm-payment");
        assert_eq!(found["breakpoints"][0]["reason"], "insufficient-funds");
        assert!(found["breakpoints"][0]["sentence"]["zh"].is_string());
    }
    // Another brand's customers are none of this key's.
    let other = daemon.ask(Method::GET, "/v1/breakpoints?phone=%2B8613800138000").bearer_auth(OTHER);
    assert_eq!(answer(other).await, (StatusCode::OK, json!({ "breakpoints": [] })));
}

#[tokio::test]
async fn every_bad_request_gets_its_answer_and_the_next_one_is_served() {
    let daemon = Daemon::start().await;
    let post = |body: String| {
        daemon
            .ask(Method::POST, "/v1/steps")
            .bearer_auth(FULL)
            .header("content-type", "application/json")
            .body(body)
    };
    let mut faulty = step("s1");
    faulty["customer"]["phone"] = "12".into();
    faulty["status"] = "stuck".into();
    for (request, status, pointers) in [
        (post("{".into()), 400, &[][..]),
        (post(String::new()), 400, &[]),
        (post("[".repeat(100_000)), 400, &[]),
        (post("[]".into()), 422, &[""]),
        (post("7".into()), 422, &[""]),
        (post(faulty.to_string()), 422, &["/status", "/customer/phone", "/customer/verified/0"]),
        (
            post(json!([step("a"), faulty]).to_string()),
            422,
            &["/1/status", "/1/customer/phone", "/1/customer/verified/0"],
        ),
        (post(" ".repeat(super::LARGEST_BODY + 1)), 413, &[]),
        (daemon.ask(Method::POST, "/v1/steps").bearer_auth(FULL).body("{}"), 415, &[]),
        (daemon.get("/v1/steps"), 405, &[]),
        (daemon.get("/v1/nothing"), 404, &[]),
        (daemon.get("/v1/breakpoints"), 400, &[]),
        (daemon.get("/v1/breakpoints?phone=%2B861&account=x"), 400, &[]),
        (daemon.get("/v1/breakpoints?shoe=9"), 400, &[]),
        (daemon.get("/v1/breakpoints?phone=abc"), 422, &["phone"]),
        (daemon.get("/v1/contacts?limit=0"), 400, &[]),
        (daemon.get("/v1/contacts?limit=501"), 400, &[]),
        (daemon.get("/v1/contacts?after=c_1"), 400, &[]),
        (daemon.get("/v1/contacts/c_1"), 404, &[]),
        (daemon.get("/v1/contacts/..%2f..%2fbaton.db/recording"), 404, &[]),
        (daemon.get("/v1/agent"), 400, &[]),
    ] {
        let request = request.build().expect("a request");
        let what = format!("{} {}", request.method(), request.url());
        let response = daemon.client.execute(request).await.expect("an answer");
        assert_eq!(response.status(), status, "{what}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{what}");
        let problem: Value = response.json().await.expect("a problem");
        assert_eq!(problem["status"], status, "{what}");
        let found: Vec<_> =
            problem["errors"].as_array().into_iter().flatten().map(|e| &e["pointer"]).collect();
        assert_eq!(found, pointers, "{what}: {problem}");
    }
    assert_eq!(answer(daemon.post("/v1/steps", &step("s9"))).await.0, 200);
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_turned_away() {
    let daemon =
        Daemon::start_with("hosts = [\"desk.example\", \"https://portal.example\"]", Patience::default())
            .await;
    let own = daemon.serving.listen.to_string();
    let (local, named) = (format!("localhost:{}", daemon.serving.listen.port()), "desk.example".to_owned());
    for (host, origin, status) in [
        (own.as_str(), None, 200),
        (&local, None, 200),
        (&named, None, 200),
        ("evil.example", None, 421),
        ("10.1.2.3", None, 421),
        ("127.0.0.1.evil.example", None, 421),
        (&own, Some(format!("http://{own}")), 200),
        (&named, Some("https://desk.example".to_owned()), 200),
        (&own, Some("https://portal.example".to_owned()), 200),
        (&own, Some("http://127.0.0.1:3000".to_owned()), 403),
        (&own, Some("https://evil.example".to_owned()), 403),
        (&own, Some("null".to_owned()), 403),
        (&own, Some(String::new()), 403),
    ] {
        let mut request = daemon.get("/v1/agents").header("host", host);
        if let Some(origin) = &origin {
            request = request.header("origin", origin);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), status, "{host} {origin:?}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    // The operator's listener tells a rebound name nothing either.
    let metrics = format!("http://{}/metrics", daemon.serving.admin);
    assert_eq!(answer(daemon.client.get(&metrics).header("host", "evil.example")).await.0, 421);
    // A WebSocket carries its page's origin.
    let mut request = format!("ws://{own}/v1/agent").into_client_request().expect("a URL");
    request.headers_mut().insert("sec-websocket-protocol", "baton.v1".parse().expect("a token"));
    request.headers_mut().insert("origin", "https://evil.example".parse().expect("an origin"));
    let refused = connect_async(request).await.expect_err("a foreign page");
    assert!(matches!(refused, tungstenite::Error::Http(response) if response.status() == 403));
}

#[tokio::test]
async fn failed_log_ins_are_told_alike_and_soon_not_at_all() {
    let daemon = Daemon::start().await;
    let wrong = daemon.log_in("anna", "wrong").await;
    assert_eq!(wrong.0, 401);
    assert_eq!(daemon.log_in("nobody", PASSWORD).await, wrong);
    // Good ones do not count.
    for _ in 0..5 {
        daemon.token("anna").await;
    }
    assert_eq!(daemon.log_in("ben", "wrong").await, wrong);
    // Three from here: whoever they named.
    let request =
        daemon.ask(Method::POST, "/v1/login").json(&json!({ "agent": "anna", "password": PASSWORD }));
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=61).contains(&wait));
}

#[tokio::test]
async fn a_desktop_is_welcomed_obeyed_and_answered() {
    let daemon = Daemon::start().await;
    let mut desktop = daemon.desktop().await;
    desktop.say(json!({ "type": "hello", "token": daemon.token("anna").await })).await;
    let welcome = desktop.hear().await;
    assert_eq!(
        (&welcome["type"], &welcome["seq"], &welcome["agent"]),
        (&"welcome".into(), &1.into(), &"anna".into())
    );
    assert_eq!(welcome["dispositions"][0]["label"]["zh"], "已解决");
    let snapshot = desktop.hear().await;
    assert_eq!(
        (&snapshot["type"], &snapshot["seq"], &snapshot["state"]),
        (&"snapshot".into(), &2.into(), &"not_ready".into())
    );

    desktop.say(json!({ "type": "set_state", "id": "1", "state": "ready" })).await;
    let heard = [desktop.hear().await, desktop.hear().await];
    let of = |kind: &str| heard.iter().find(|message| message["type"] == kind).unwrap_or(&Value::Null);
    assert_eq!((&of("reply")["re"], &of("reply")["ok"]), (&"1".into(), &true.into()));
    assert_eq!(of("state")["state"], "ready");
    let (_, agents) = answer(daemon.get("/v1/agents")).await;
    let anna = &agents["agents"][0];
    assert_eq!(
        (&anna["agent"], &anna["state"], &anna["desktop"]),
        (&"anna".into(), &"ready".into(), &true.into())
    );

    // Nothing it says wrong costs it the connection.
    for (said, answer) in [
        ("{", json!({ "type": "error", "error": "malformed" })),
        ("[]", json!({ "type": "error", "error": "malformed" })),
        (
            r#"{"type":"fly","id":"2"}"#,
            json!({ "type": "reply", "re": "2", "ok": false, "error": "malformed" }),
        ),
        (
            r#"{"type":"answer","id":"3"}"#,
            json!({ "type": "reply", "re": "3", "ok": false, "error": "malformed" }),
        ),
        (
            r#"{"type":"answer","id":"","contact":"c_00000000000000000000000000"}"#,
            json!({ "type": "error", "error": "id_too_long" }),
        ),
    ] {
        desktop.socket.send(Message::text(said)).await.expect("sent");
        assert_eq!(desktop.hear().await, answer, "{said}");
    }
    desktop.socket.send(Message::binary(vec![0, 1, 2])).await.expect("sent");
    assert_eq!(desktop.hear().await, json!({ "type": "error", "error": "not_text" }));
    desktop.say(json!({ "type": "answer", "id": "4", "contact": ContactId(7) })).await;
    let reply = desktop.hear().await;
    assert_eq!(
        (&reply["re"], &reply["ok"], &reply["error"]),
        (&"4".into(), &false.into(), &"not_yours".into())
    );
}

#[tokio::test]
async fn a_desktop_that_comes_back_gets_what_it_missed() {
    let daemon = Daemon::start().await;
    let token = daemon.token("anna").await;
    let mut desktop = daemon.desktop().await;
    desktop.say(json!({ "type": "hello", "token": token })).await;
    let seen = [desktop.hear().await, desktop.hear().await][1]["seq"].as_u64().expect("a number");
    drop(desktop);
    let state = json!({ "state": "not_ready", "reason": "training" });
    let told = daemon.ask(Method::PUT, "/v1/agents/anna/state").bearer_auth(FULL).json(&state);
    assert_eq!(answer(told).await.0, 204);

    let mut desktop = daemon.desktop().await;
    desktop.say(json!({ "type": "hello", "token": token, "resume_from": seen })).await;
    let heard = [desktop.hear().await, desktop.hear().await];
    let missed = heard.iter().find(|message| message["type"] == "state").expect("the state");
    assert_eq!((&missed["reason"], &missed["seq"]), (&"training".into(), &(seen + 1).into()));
}

#[tokio::test]
async fn a_second_log_in_takes_over() {
    let daemon = Daemon::start().await;
    let mut first = daemon.seated("anna").await;
    let mut second = daemon.seated("anna").await;
    assert_eq!(first.closed().await, 4001);
    second.say(json!({ "type": "set_state", "id": "1", "state": "not_ready", "reason": "break" })).await;
    let heard = [second.hear().await, second.hear().await];
    assert!(heard.iter().any(|message| message["state"] == "not_ready"), "{heard:?}");
}

#[tokio::test]
async fn who_does_not_say_hello_or_has_no_good_token_is_let_go() {
    let patience = Patience { hello: Duration::from_millis(50), ..Patience::default() };
    let daemon = Daemon::start_with("", patience).await;
    assert_eq!(daemon.desktop().await.closed().await, 4400);
    for (said, code) in [
        (json!({ "type": "hello", "token": "0123" }), 4401),
        (json!({ "type": "hello" }), 4400),
        (json!({ "type": "set_state", "id": "1", "state": "ready", "token": "x" }), 4400),
    ] {
        let mut desktop = daemon.desktop().await;
        desktop.say(said).await;
        assert_eq!(desktop.closed().await, code);
    }
    let plain = format!("ws://{}/v1/agent", daemon.serving.listen);
    let refused = connect_async(plain).await.expect_err("no sub-protocol");
    assert!(matches!(refused, tungstenite::Error::Http(response) if response.status() == 400));
}

#[tokio::test]
async fn a_token_that_is_given_back_closes_its_desktop() {
    let daemon = Daemon::start().await;
    let token = daemon.token("anna").await;
    let mut desktop = daemon.desktop().await;
    desktop.say(json!({ "type": "hello", "token": token })).await;
    desktop.hear().await;
    let out = || daemon.ask(Method::DELETE, "/v1/login").bearer_auth(&token);
    assert_eq!(answer(out()).await.0, 204);
    assert_eq!(desktop.closed().await, 4401);
    assert_eq!(answer(out()).await.0, 401);
    let mut desktop = daemon.desktop().await;
    desktop.say(json!({ "type": "hello", "token": token })).await;
    assert_eq!(desktop.closed().await, 4401);
}

#[tokio::test]
async fn another_password_voids_the_tokens_of_the_old_one() {
    let daemon = Daemon::start().await;
    let token = daemon.token("anna").await;
    // A new hash of it, as `baton hash` would print.
    daemon.configured.send_replace(Arc::new(config(&daemon.scratch.0, "")));
    let mut desktop = daemon.desktop().await;
    desktop.say(json!({ "type": "hello", "token": token })).await;
    assert_eq!(desktop.closed().await, 4401);
    daemon.token("anna").await;
}

#[tokio::test]
async fn a_flood_from_one_desktop_ends_that_one_only() {
    let daemon = Daemon::start().await;
    let mut calm = daemon.seated("ben").await;
    let wild = daemon.seated("anna").await;
    let (mut to, mut from) = wild.socket.split();
    let flood = async {
        for i in 0..2000 {
            let said =
                json!({ "type": "set_state", "id": i.to_string(), "state": "not_ready", "reason": "x" });
            if to.send(Message::text(said.to_string())).await.is_err() {
                break;
            }
        }
    };
    let reading = async {
        loop {
            match from.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let ((), code) = tokio::join!(flood, reading);
    assert_eq!(code, 4429);

    let mut huge = daemon.seated("anna").await;
    huge.say(json!({ "type": "note", "id": "1", "contact": ContactId(7), "text": "x".repeat(17_000) })).await;
    assert_eq!(huge.closed().await, 1009);
    calm.say(json!({ "type": "set_state", "id": "1", "state": "ready" })).await;
    assert_eq!(calm.hear().await["seq"], 3);
}

#[tokio::test]
async fn a_desktop_whose_queue_is_full_is_told_so() {
    let daemon = Daemon::start().await;
    let mut desktop = daemon.seated("anna").await;
    daemon.cut.send(()).await.expect("the loop");
    assert_eq!(desktop.closed().await, 4408);
}

#[tokio::test]
async fn a_desktop_that_vanished_without_a_word_is_let_go() {
    let patience = Patience { ping: Duration::from_millis(30), ..Patience::default() };
    let daemon = Daemon::start_with("", patience).await;
    // Its socket stays open, but nobody reads it: no pong.
    let _vanished = daemon.seated("anna").await;
    let desktop =
        async || daemon.line.look(|gateway, now| gateway.agents(now)).await.expect("the loop")[0].desktop;
    assert!(desktop().await);
    tokio::time::timeout(Duration::from_secs(10), async {
        while desktop().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("let go");
}

#[tokio::test]
async fn stopping_sends_the_desktops_away() {
    let daemon = Daemon::start().await;
    let mut desktop = daemon.seated("anna").await;
    let listen = daemon.serving.listen;
    let ((), code) = tokio::join!(daemon.serving.close(), desktop.closed());
    assert_eq!(code, 1001);
    assert!(TcpStream::connect(listen).await.is_err());
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let daemon = Daemon::start().await;
    let ask = |path: &str| daemon.client.get(format!("http://{}{path}", daemon.serving.admin));
    let ready = async || {
        let (status, body) = answer(ask("/readyz")).await;
        let failing = body["checks"].as_object().expect("checks").iter().filter(|(_, word)| *word != "ok");
        (status.as_u16(), failing.map(|(name, _)| name.clone()).collect::<Vec<_>>())
    };
    assert_eq!(ready().await, (503, vec!["sockets".to_owned()]));
    let address = SocketAddr::from(([127, 0, 0, 1], 20_000));
    daemon.line.tell(Input::Stocked { shard: 0, socket: SocketId(1), address }).await.expect("told");
    assert_eq!(ready().await, (200, vec![]));
    assert_eq!(answer(ask("/livez")).await.0, 200);
    assert_eq!(answer(daemon.post("/v1/admin/drain", &Value::Null)).await.0, 202);
    assert_eq!(ready().await, (503, vec!["taking_calls".to_owned()]));
    assert_eq!(answer(daemon.get("/v1/health")).await.1["status"], "draining");
    daemon.store.close().await;
    assert_eq!(ready().await.1, ["store", "taking_calls"]);
    // The API is not on the operator's listener, nor the other way round.
    assert_eq!(answer(ask("/v1/agents").bearer_auth(FULL)).await.0, 404);
    assert_eq!(answer(daemon.get("/metrics")).await.0, 404);
}

#[tokio::test]
async fn metrics_are_well_formed_and_name_nobody() {
    let daemon = Daemon::start().await;
    answer(daemon.post("/v1/steps", &step("s1"))).await;
    let _desktop = daemon.seated("anna").await;
    let (status, page) = answer(daemon.client.get(format!("http://{}/metrics", daemon.serving.admin))).await;
    assert_eq!(status, 200);
    let page = page.as_str().expect("text");
    let mut families = BTreeSet::new();
    let mut kinds = HashMap::new();
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a kind");
            assert!(families.insert(name), "{name} twice");
            kinds.insert(name, kind);
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            let name = sample.split('{').next().expect("a name");
            let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            let name = parts.filter(|whole| kinds.get(whole) == Some(&"histogram")).unwrap_or(name);
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert_eq!(kinds[name] == "counter", name.ends_with("_total"), "{line}");
        }
    }
    for sample in [
        "baton_steps_accepted_total 1",
        "baton_desktops 1",
        "baton_logins_total 1",
        "baton_agents{state=\"not_ready\"} 2",
        "baton_queue_waiting{queue=\"cards\"} 0",
        "baton_up 1",
        "baton_one_way_audio_total{party=\"agent\"} 0",
        "baton_audio_mos_bucket{party=\"caller\",way=\"from\",le=\"4.2\"} 0",
        "baton_audio_loss_ratio_count{party=\"outside\",way=\"to\"} 0",
    ] {
        assert!(page.lines().any(|line| line == sample), "{sample} is missing:\n{page}");
    }
    assert!(!page.contains("138000") && !page.contains("anna"));
}

#[tokio::test]
async fn a_contact_tells_how_each_leg_fared_and_who_was_not_heard() {
    let daemon = Daemon::start().await;
    let began = Now { mono: Mono::ZERO, wall: Wall::from_millis(43_260_000) };
    let at = |s| Mono::ZERO + Duration::from_secs(s);
    let mut audio = Audio::new(began);
    audio.talk(at(2));
    let near = Way { loss: 16, late: 8, jitter: Duration::from_millis(7), mos: Mos::new(3.6) };
    let round_trip = Some(Duration::from_millis(80));
    let quality = Quality { codec: Codec::Opus, near: Some(near), far: None, round_trip };
    audio.measure(Talker::Agent, LegKind::WebRtc, &quality);
    assert!(audio.silent(at(12), Talker::Agent, Duration::from_secs(5)));
    let contact = ContactRecord {
        id: ContactId(1),
        brand: BrandId::default(),
        customer: None,
        revision: 1,
        state: ContactState::Running,
        started: began.wall,
        ended: None,
        agent: None,
        disposition: None,
        body: json!({ "id": ContactId(1), "audio": audio.kept(), "audio_faults": audio.faults(at(13)) }),
    };
    daemon.store.put_contact(contact).await.expect("kept");
    let (_, contact) = answer(daemon.get(&format!("/v1/contacts/{}", ContactId(1)))).await;
    let from = json!({
        "reports": 1, "loss": 0.0625, "late": 0.0313, "jitter_ms": 7, "mos_min": 3.6, "mos_avg": 3.6
    });
    let leg = json!({
        "party": "agent", "leg": "webrtc", "codec": "opus", "round_trip_ms": 80, "from": from, "to": null
    });
    assert_eq!(contact["audio"], json!([leg]));
    let fault = json!({
        "party": "agent", "what": "no_packets", "one_way": true, "from_ms": 7_000, "ms": 6_000,
        "text": "no packets from agent since 12:01:07Z"
    });
    assert_eq!(contact["audio_faults"], json!([fault]));
    let (_, description) = answer(daemon.ask(Method::GET, "/openapi.json")).await;
    for field in ["audio", "audio_faults"] {
        assert!(description["components"]["schemas"]["Contact"]["properties"][field].is_object(), "{field}");
    }
}

#[tokio::test]
async fn a_recording_is_its_brands_and_is_served_in_parts() {
    let daemon = Daemon::start().await;
    let sound: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
    std::fs::write(daemon.scratch.0.join("recordings/00c0ffee00c0ffee.wav"), &sound).expect("written");
    let contact = |id: u128, recording: Option<&str>| ContactRecord {
        id: ContactId(id),
        brand: BrandId::default(),
        customer: None,
        revision: 1,
        state: ContactState::Finished,
        started: Wall::from_millis(1_000),
        ended: Some(Wall::from_millis(2_000)),
        agent: None,
        disposition: None,
        body: json!({ "id": ContactId(id), "state": "running", "calls": [], "recordings": [{ "file": recording }] }),
    };
    for contact in
        [contact(1, Some("00c0ffee00c0ffee.wav")), contact(2, None), contact(3, Some("../baton.db"))]
    {
        daemon.store.put_contact(contact).await.expect("kept");
    }
    let (_, page) = answer(daemon.get("/v1/contacts?limit=2")).await;
    assert_eq!(page["contacts"].as_array().map(Vec::len), Some(2));
    // The column knows better than the document.
    assert_eq!(page["contacts"][0]["state"], "finished");
    assert_eq!(page["next"], json!(ContactId(2)));
    let (_, rest) = answer(daemon.get(&format!("/v1/contacts?limit=2&after={}", ContactId(2)))).await;
    assert_eq!((rest["contacts"].as_array().map(Vec::len), &rest["next"]), (Some(1), &Value::Null));

    let path = format!("/v1/contacts/{}/recording", ContactId(1));
    let whole = daemon.get(&path).send().await.expect("an answer");
    assert_eq!(
        (whole.status().as_u16(), &whole.headers()["content-type"]),
        (200, &"audio/wav".parse().expect("a type"))
    );
    assert!(whole.bytes().await.expect("a body") == sound);
    let part = daemon.get(&path).header("range", "bytes=100-70000").send().await.expect("an answer");
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 100-70000/200000");
    assert!(part.bytes().await.expect("a body") == sound[100..=70_000]);
    assert_eq!(answer(daemon.get(&path).header("range", "bytes=200000-")).await.0, 416);

    for id in [2, 3, 4] {
        assert_eq!(answer(daemon.get(&format!("/v1/contacts/{}/recording", ContactId(id)))).await.0, 404);
    }
    assert_eq!(answer(daemon.ask(Method::GET, &path).bearer_auth(OTHER)).await.0, 404);
    assert_eq!(answer(daemon.ask(Method::GET, &path).bearer_auth(POOR)).await.0, 403);
}

#[tokio::test]
async fn an_agents_state_is_set_from_outside() {
    let daemon = Daemon::start().await;
    let put = |agent: &str, body: Value| {
        answer(daemon.ask(Method::PUT, &format!("/v1/agents/{agent}/state")).bearer_auth(FULL).json(&body))
    };
    assert_eq!(put("anna", json!({ "state": "ready" })).await.0, 204);
    assert_eq!(put("nobody", json!({ "state": "ready" })).await.0, 404);
    assert_eq!(put("anna", json!({ "state": "not_ready" })).await.0, 422);
    assert_eq!(put("anna", json!({ "state": "asleep" })).await.0, 422);
    let (_, agents) = answer(daemon.get("/v1/agents")).await;
    assert_eq!(
        (&agents["agents"][0]["state"], &agents["agents"][0]["wish"]),
        (&"ready".into(), &"ready".into())
    );
    let (_, queues) = answer(daemon.get("/v1/queues")).await;
    assert_eq!(
        (&queues["queues"][0]["queue"], &queues["queues"][0]["agents"]["ready"]),
        (&"cards".into(), &1.into())
    );
    assert_eq!(answer(daemon.get("/v1/calls")).await.1, json!({ "calls": [] }));
}

/// Of a page, as far as a leg can be without its security.
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                     m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

fn wei() -> Value {
    json!({ "phone": "+8613800138000", "verified": ["phone"] })
}

impl Daemon {
    /// Sockets for so many calls.
    async fn stock(&self, calls: u16) {
        for i in 0..calls {
            let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + 2 * i));
            let stocked = Input::Stocked { shard: 0, socket: SocketId(i.into()), address };
            self.line.tell(stocked).await.expect("told");
        }
    }

    async fn hand_off(&self, body: Value) -> String {
        let (status, issued) = answer(self.post("/v1/handoffs", &body)).await;
        assert_eq!(status, 201, "{issued}");
        issued["token"].as_str().expect("a token").to_owned()
    }

    fn call(&self, token: &str, sdp: &str) -> RequestBuilder {
        self.ask(Method::POST, "/v1/calls").bearer_auth(token).json(&json!({ "sdp": sdp }))
    }

    fn of_call(&self, method: Method, call: &Value, secret: &str) -> RequestBuilder {
        self.ask(method, &format!("/v1/calls/{}", call.as_str().expect("an id"))).bearer_auth(secret)
    }

    async fn calls_up(&self) -> usize {
        let (_, calls) = answer(self.get("/v1/calls")).await;
        calls["calls"].as_array().map_or(0, Vec::len)
    }
}

#[tokio::test]
async fn a_hand_off_makes_one_call_and_its_secret_rules_that_call() {
    let daemon = Daemon::start().await;
    daemon.stock(4).await;
    let (status, issued) = answer(daemon.post("/v1/handoffs", &json!({ "customer": wei() }))).await;
    assert_eq!(status, 201);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let token = text(&issued["token"]);
    assert!(token.len() == 64 && text(&issued["code"]).len() == 8, "{issued}");
    assert!(text(&issued["expires_at"]).parse::<Wall>().is_ok());

    let (status, made) = answer(daemon.call(&token, OFFER)).await;
    assert_eq!(status, 201, "{made}");
    let (call, secret) = (&made["call"], text(&made["secret"]));
    assert_eq!(secret.len(), 32);
    assert!(text(&made["sdp"]).contains("m=audio 20000 RTP/AVP 8 101"), "{made}");
    let (status, problem) = answer(daemon.call(&token, OFFER)).await;
    assert_eq!(status, 401);
    // One answer for a token that was used and one that never was.
    assert_eq!(answer(daemon.call("0123", OFFER)).await, (status, problem));
    let (_, calls) = answer(daemon.get("/v1/calls")).await;
    assert_eq!((&calls["calls"][0]["call"], &calls["calls"][0]["stage"]), (call, &"queue".into()));

    let body = json!({ "sdp": OFFER.replace("40000", "40010") });
    for secret in ["0123", &token] {
        assert_eq!(answer(daemon.of_call(Method::PATCH, call, secret).json(&body)).await.0, 401);
        assert_eq!(answer(daemon.of_call(Method::DELETE, call, secret)).await.0, 401);
    }
    let (status, renewed) = answer(daemon.of_call(Method::PATCH, call, &secret).json(&body)).await;
    assert_eq!(status, 200);
    assert!(text(&renewed["sdp"]).contains("m=audio 20000"), "{renewed}");
    let (status, _) =
        answer(daemon.of_call(Method::PATCH, call, &secret).json(&json!({ "sdp": "v=0" }))).await;
    assert_eq!((status.as_u16(), daemon.calls_up().await), (422, 1));

    assert_eq!(answer(daemon.of_call(Method::DELETE, call, &secret)).await.0, 204);
    assert_eq!(daemon.calls_up().await, 0);
    assert_eq!(answer(daemon.of_call(Method::DELETE, call, &secret)).await.0, 401);
    assert_eq!(answer(daemon.ask(Method::DELETE, "/v1/calls/7").bearer_auth("x")).await.0, 404);
}

#[tokio::test]
async fn a_call_that_is_not_made_leaves_its_token_good() {
    let daemon = Daemon::start().await;
    let token = daemon.hand_off(json!({ "customer": wei() })).await;
    let response = daemon.call(&token, OFFER).send().await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.headers().contains_key("retry-after")), (503, true));
    daemon.stock(1).await;
    let long = format!("{OFFER}a=x:{}\r\n", "y".repeat(16 * 1024));
    for (sdp, status, what) in [
        ("", 422, "malformed description"),
        ("v=0", 422, "no audio"),
        (&OFFER.replace("RTP/AVP 8 101", "RTP/AVP 18"), 422, "no common codec"),
        (&OFFER.replace("RTP/AVP", "TCP/RTP/AVP"), 422, "incompatible transport protocol"),
        (&OFFER.replace("m=audio", "m=video"), 422, "no audio"),
        (&long, 413, "an offer may have 16384 bytes"),
    ] {
        let (answered, problem) = answer(daemon.call(&token, sdp)).await;
        assert_eq!(
            (answered.as_u16(), &problem["errors"][0]["pointer"]),
            (status, &"/sdp".into()),
            "{problem}"
        );
        assert_eq!(problem["errors"][0]["detail"], what);
    }
    for (body, status) in [("{".to_owned(), 400), ("{}".to_owned(), 422), (" ".repeat(200_000), 413)] {
        let request = daemon.ask(Method::POST, "/v1/calls").bearer_auth(&token);
        let request = request.header("content-type", "application/json").body(body);
        assert_eq!(answer(request).await.0, status);
    }
    // The one socket there is went back each time.
    assert_eq!(answer(daemon.call(&token, OFFER)).await.0, 201);
    assert_eq!(answer(daemon.call(&token, OFFER)).await.0, 401);
}

#[tokio::test]
async fn of_many_calls_at_once_with_one_token_one_is_made() {
    let daemon = Daemon::start().await;
    daemon.stock(40).await;
    for _ in 0..5 {
        let token = daemon.hand_off(json!({ "customer": wei() })).await;
        let calls = futures_util::future::join_all((0..8).map(|_| answer(daemon.call(&token, OFFER)))).await;
        let made: Vec<_> = calls.iter().filter(|(status, _)| *status == 201).collect();
        let [(_, made)] = made[..] else { panic!("{calls:?}") };
        let others = |status: &StatusCode| [201, 401, 409, 429].contains(&status.as_u16());
        assert!(calls.iter().all(|(status, _)| others(status)), "{calls:?}");
        assert_eq!(daemon.calls_up().await, 1);
        let secret = made["secret"].as_str().expect("a secret");
        assert_eq!(answer(daemon.of_call(Method::DELETE, &made["call"], secret)).await.0, 204);
    }
}

#[tokio::test]
async fn a_token_that_expired_is_as_good_as_none() {
    let daemon = Daemon::start().await;
    daemon.stock(1).await;
    let handoff = || handoff::read(json!({ "customer": wei(), "ttl_s": 60 })).expect("a hand-off");
    let now = Clock::new().now().wall;
    let ago = |seconds: u64| Wall::from_millis(now.as_millis() - 1000 * seconds);
    for (token, made, status) in [("old", ago(61), 401), ("young", ago(30), 201)] {
        daemon.store.put_handoff(&BrandId::default(), hash(token), handoff(), made).await.expect("kept");
        assert_eq!(answer(daemon.call(token, OFFER)).await.0, status, "{token}");
    }
}

#[tokio::test]
async fn while_draining_no_call_is_made_and_no_token_used() {
    let daemon = Daemon::start().await;
    daemon.stock(1).await;
    let token = daemon.hand_off(json!({ "customer": wei() })).await;
    assert_eq!(answer(daemon.post("/v1/admin/drain", &Value::Null)).await.0, 202);
    let response = daemon.call(&token, OFFER).send().await.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"30".parse().expect("text"))
    );
    let now = Clock::new().now().wall;
    assert!(daemon.store.handoff(hash(&token), now).await.expect("read").is_some());
}

#[tokio::test]
async fn pages_call_from_the_origins_of_their_brand_only() {
    let daemon = Daemon::start().await;
    daemon.stock(4).await;
    let (shop, other) = ("https://shop.example", "https://other.example");
    let own = format!("http://{}", daemon.serving.listen);
    let ask = |origin: &str, path: &str| {
        let request = daemon.ask(Method::OPTIONS, path).header("origin", origin);
        request.header("access-control-request-method", "POST").send()
    };
    let call = format!("/v1/calls/{}", crate::base::CallId(7));
    for (origin, path, status) in [
        (shop, "/v1/calls", 204),
        (other, "/v1/calls", 204),
        (shop, &call, 204),
        (&own, "/v1/calls", 204),
        ("https://evil.example", "/v1/calls", 403),
        ("https://shop.example.evil.example", "/v1/calls", 403),
        ("http://shop.example", "/v1/calls", 403),
        ("null", "/v1/calls", 403),
        // Nothing else is open to them.
        (shop, "/v1/steps", 403),
        (shop, "/v1/login", 403),
    ] {
        let response = ask(origin, path).await.expect("an answer");
        assert_eq!(response.status(), status, "{origin} {path}");
        let headers = response.headers();
        let allowed = headers.get("access-control-allow-origin").map(|origin| origin.to_str().expect("text"));
        assert_eq!(allowed, (status == 204).then_some(origin), "{path}");
        assert_eq!(headers.contains_key("access-control-allow-methods"), status == 204);
    }
    let calls = daemon.get("/v1/calls").header("origin", shop);
    assert_eq!(answer(calls).await.0, 403);

    let token = daemon.hand_off(json!({ "customer": wei() })).await;
    for (origin, status) in [("https://evil.example", 403), (other, 403), (shop, 201)] {
        let response = daemon.call(&token, OFFER).header("origin", origin).send().await.expect("an answer");
        assert_eq!(response.status(), status, "{origin}");
        // Whoever may ask may read what came of it.
        let readable = response.headers().get("access-control-allow-origin").is_some();
        assert_eq!(readable, origin != "https://evil.example");
        if readable {
            assert_eq!(response.headers()["vary"], "origin");
        }
    }
    let token = daemon.hand_off(json!({ "customer": wei() })).await;
    assert_eq!(answer(daemon.call(&token, OFFER).header("origin", &own)).await.0, 201);
}

#[tokio::test]
async fn whoever_is_refused_too_often_waits() {
    let daemon = Daemon::start().await;
    daemon.stock(2).await;
    let token = daemon.hand_off(json!({ "customer": wei() })).await;
    for _ in 0..12 {
        assert_eq!(answer(daemon.call("0123", OFFER)).await.0, 401);
    }
    let response = daemon.call(&token, OFFER).send().await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.headers().contains_key("retry-after")), (429, true));
}

#[tokio::test]
async fn a_hand_off_is_checked_and_counted() {
    let daemon = Daemon::start().await;
    let ask = |key: &str| daemon.ask(Method::POST, "/v1/handoffs").bearer_auth(key);
    let body = json!({ "customer": wei() });
    assert_eq!(answer(ask("nobody.0123").json(&body)).await.0, 401);
    assert_eq!(answer(ask(POOR).json(&body)).await.0, 403);
    assert_eq!(answer(ask(FULL).body("{}")).await.0, 415);
    for (body, pointer) in [
        (json!({}), "/customer"),
        (json!({ "customer": CustomerId(7) }), "/customer"),
        (json!({ "customer": { "phone": "12" } }), "/customer/phone"),
        (json!({ "customer": wei(), "queue": "gold" }), "/queue"),
        (json!({ "customer": wei(), "ttl_s": 86_401 }), "/ttl_s"),
        (json!({ "customer": wei(), "colour": "red" }), "/colour"),
    ] {
        let (status, problem) = answer(daemon.post("/v1/handoffs", &body)).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &pointer.into()), "{body}");
    }
    let (mut given, mut last) = (BTreeSet::new(), StatusCode::CREATED);
    while last == 201 {
        let (status, issued) = answer(daemon.post("/v1/handoffs", &body)).await;
        last = status;
        given.extend(issued["token"].as_str().map(str::to_owned));
    }
    // Six of the minute's twenty were faulty.
    assert_eq!((last.as_u16(), given.len()), (429, 14));
}

#[tokio::test]
async fn the_description_names_every_call_and_the_pages_load_nothing_foreign() {
    let daemon = Daemon::start().await;
    let (status, description) = answer(daemon.ask(Method::GET, "/openapi.json")).await;
    assert_eq!(status, 200);
    for (path, method) in [
        ("/v1/steps", "post"),
        ("/v1/breakpoints", "get"),
        ("/v1/contacts", "get"),
        ("/v1/contacts/{id}", "get"),
        ("/v1/contacts/{id}/recording", "get"),
        ("/v1/queues", "get"),
        ("/v1/agents", "get"),
        ("/v1/agents/{id}/state", "put"),
        ("/v1/calls", "get"),
        ("/v1/calls", "post"),
        ("/v1/calls/{id}", "patch"),
        ("/v1/calls/{id}", "delete"),
        ("/v1/handoffs", "post"),
        ("/v1/health", "get"),
        ("/v1/admin/reload", "post"),
        ("/v1/admin/drain", "post"),
        ("/v1/login", "post"),
        ("/v1/login", "delete"),
        ("/v1/agent", "get"),
    ] {
        let operation = &description["paths"][path][method];
        assert!(
            operation["summary"].is_string() && operation["security"].is_array(),
            "{method} {path}: {operation}"
        );
    }
    // Every schema that is spoken of is there.
    let text = description.to_string();
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/desk.js", "text/javascript; charset=utf-8"),
        ("/phone.js", "text/javascript; charset=utf-8"),
        ("/words.js", "text/javascript; charset=utf-8"),
        ("/docs.js", "text/javascript; charset=utf-8"),
        ("/desk.css", "text/css; charset=utf-8"),
    ] {
        let response = daemon.ask(Method::GET, path).send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &kind.parse().expect("a type"))
        );
        assert!(
            response.headers()["content-security-policy"]
                .to_str()
                .expect("text")
                .starts_with("default-src 'none'")
        );
        let text = response.text().await.expect("a page");
        assert!(
            !text.contains("//cdn") && !text.contains("src=\"http") && !text.contains("innerHTML"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_reload_changes_the_certificate_for_new_connections() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    let scratch = Scratch::new();
    let (certificate, key) = (scratch.0.join("http.crt"), scratch.0.join("http.key"));
    let put = |name: &str| {
        std::fs::copy(data.join(format!("{name}.crt")), &certificate).expect("a certificate");
        std::fs::copy(data.join(format!("{name}.key")), &key).expect("a key");
    };
    put("one");
    let http = format!("tls = {{ certificate = {certificate:?}, key = {key:?} }}");
    let daemon = Daemon::start_with(&http, Patience::default()).await;
    let response =
        daemon.client.get(format!("https://{}/", daemon.serving.listen)).send().await.expect("an answer");
    assert!(response.headers().contains_key("strict-transport-security"));
    // In the clear there is nothing.
    assert!(daemon.get("/").send().await.is_err());

    let read = || {
        let tls = daemon.configured.borrow().http.tls.clone().expect("TLS");
        listen::read_certificate(&tls)
    };
    std::fs::write(&key, "no key").expect("written");
    assert!(read().is_err());
    daemon.configured.send_modify(|_| {});
    let shown = async || shown_certificate(daemon.serving.listen).await;
    let one = shown().await;
    put("two");
    assert!(read().is_ok());
    daemon.configured.send_modify(|_| {});
    tokio::time::timeout(Duration::from_secs(10), async {
        while shown().await == one {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the second certificate");
}

/// The certificate a new connection is shown.
async fn shown_certificate(address: SocketAddr) -> Vec<u8> {
    let tcp = TcpStream::connect(address).await.expect("a connection");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(anybody()));
    let stream = connector.connect(name, tcp).await.expect("TLS");
    stream.get_ref().1.peer_certificates().expect("certificates")[0].to_vec()
}

/// Trusts whoever shows one of the two certificates of the tests.
fn anybody() -> rustls::ClientConfig {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    let mut roots = rustls::RootCertStore::empty();
    for name in ["one.crt", "two.crt"] {
        roots.add(CertificateDer::from_pem_file(data.join(name)).expect("a certificate")).expect("a root");
    }
    rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}
