//! Bad input of every kind, each with a clear answer and no effect on a neighbour's call.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use baton::base::Mint;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::alone::alone;
use super::carrier::{Caller, MEDIA_PORT};
use super::centre::{APP_KEY, CARRIER, Centre, FRONT, KEY, PATIENCE, Site, agent, assert_about, number};
use super::desktop::Desktop;
use super::phone::{Answers, Phone};
use super::sound::{AGENT, CALLER, Law, heard};
use super::stranger::Stranger;
use super::wire::Wire;

/// Datagrams at the SIP port, and as many at the media ports.
const DATAGRAMS: usize = 10_000;
/// Sent in one go, before it is waited until they are dealt with: what the kernel drops tests nothing.
const BATCH: usize = 100;
/// Nobody we know.
const NOBODY: &str = "127.0.0.9";

/// Whoever means harm, with a seed.
struct Mischief(Mint);

impl Mischief {
    fn new() -> Self {
        let seed: u32 = std::env::var("BATON_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2);
        println!("BATON_SEED={seed}");
        let mut key = [0; 32];
        key[..4].copy_from_slice(&seed.to_be_bytes());
        Self(Mint::new(key))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.u32() as usize % bound.max(1)
    }

    fn noise(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most) + 1;
        (0..length).map(|_| self.0.u32() as u8).collect()
    }

    /// A few octets changed, cut out, put in or repeated.
    fn mutate(&mut self, from: &[u8]) -> Vec<u8> {
        let mut bytes = from.to_vec();
        for _ in 0..=self.below(4) {
            let (at, length) = (self.below(bytes.len()), self.below(24));
            let end = (at + length).min(bytes.len());
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, self.noise(24)).count()),
                3 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again.repeat(self.below(8))).for_each(drop);
                }
                _ => bytes.iter_mut().skip(at).take(3).for_each(|byte| *byte = self.0.u32() as u8),
            }
            if bytes.is_empty() {
                bytes.push(b'\n');
            }
        }
        bytes
    }
}

/// The torture tests of RFC 4475, valid and not.
fn torture() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc4475");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("it is ours").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("it is ours")).collect()
}

async fn datagrams_at_sip(centre: &Centre, mischief: &mut Mischief) {
    let mut samples = torture();
    let (nobody, mut carrier) =
        (Stranger::at(NOBODY, centre.udp).await, Stranger::at(CARRIER, centre.udp).await);
    samples.push(carrier.options().into_bytes());
    for n in 0..DATAGRAMS {
        let bytes = match mischief.below(4) {
            0 => mischief.noise(1400),
            _ => {
                let sample = &samples[mischief.below(samples.len())];
                mischief.mutate(sample)
            }
        };
        // The carrier's own address is let further in.
        let from = if n % 2 == 0 { &nobody } else { &carrier };
        from.send(&bytes).await;
        if n % BATCH == BATCH - 1 {
            carrier.ask().await;
        }
    }
}

/// At the ports the call uses, RTP and RTCP, both legs.
async fn datagrams_at_media(centre: &Centre, wire: &Wire, mischief: &mut Mischief) {
    let carrier = SocketAddr::new(CARRIER.parse().expect("an address"), MEDIA_PORT);
    let media = |port: u16| (20_000..20_400).contains(&port);
    let busy: BTreeSet<_> =
        wire.passed(|datagram| media(datagram.from.port())).iter().map(|d| d.from).collect();
    let ports: Vec<_> = busy.iter().filter(|from| from.port() % 2 == 0).copied().collect();
    assert_eq!(ports.len(), 2, "both legs: {busy:?}");
    let sample = wire.passed(|datagram| datagram.from == carrier).pop().expect("the caller speaks").payload;
    let report = [b"\x81\xc9\0\x07".as_slice(), &[7; 28]].concat();
    let bye = [b"\x81\xcb\0\x01".as_slice(), &sample[8..12]].concat();
    let mut from = vec![];
    for address in [NOBODY, CARRIER, "127.0.0.1"] {
        from.push(UdpSocket::bind((address, 0)).await.expect("a port"));
    }
    let mut asking = Stranger::at(CARRIER, centre.udp).await;
    for n in 0..DATAGRAMS {
        let rtcp = mischief.below(3) == 0;
        let mut to = ports[n % 2];
        to.set_port(to.port() + u16::from(rtcp));
        let bytes = match mischief.below(4) {
            0 => mischief.noise(1400),
            1 if rtcp => mischief.mutate(&report),
            _ if rtcp => bye.clone(),
            1 => mischief.mutate(&sample),
            // As good as the caller's own, but for where it comes from; and loud.
            _ => [&sample[..12], &mischief.noise(160)].concat(),
        };
        from[mischief.below(from.len())].send_to(&bytes, to).await.expect("loopback takes it");
        if n % BATCH == BATCH - 1 {
            asking.ask().await;
        }
    }
}

/// Datagrams that the kernel dropped because nobody read them in time (RFC 4113's udpInErrors, ours
/// among them).
fn dropped() -> u64 {
    let counts = std::fs::read_to_string("/proc/self/net/snmp").expect("the kernel counts");
    let mut udp = counts.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (udp.next().expect("names"), udp.next().expect("values"));
    let at = names.split(' ').position(|name| name == "RcvbufErrors").expect("it is counted");
    values.split(' ').nth(at).and_then(|value| value.parse().ok()).expect("a number")
}

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("a port");
    timeout(PATIENCE, socket.connect(to)).await.expect("in time").expect("the daemon listens")
}

async fn streams(centre: &Centre) {
    // Many, that say nothing; some beyond what one source is given are closed again.
    let mut idle = vec![];
    for _ in 0..200 {
        idle.push(connect(NOBODY, centre.tcp).await);
        idle.push(connect(NOBODY, centre.http).await);
    }
    // A header without end is cut off.
    for (to, begin) in
        [(centre.tcp, "OPTIONS sip:a SIP/2.0\r\n"), (centre.http, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")]
    {
        let mut endless = connect("127.0.0.8", to).await;
        endless.write_all(begin.as_bytes()).await.expect("a beginning is taken");
        let line = format!("X-More: {}\r\n", "a".repeat(1000));
        let cut = async { while endless.write_all(line.as_bytes()).await.is_ok() {} };
        timeout(PATIENCE, cut).await.expect("a header without end is cut off");
    }
    // Half a message, and gone.
    let mut half = connect("127.0.0.7", centre.tcp).await;
    half.write_all(b"INVITE sip:a SIP/2.0\r\nContent-Length: 1000\r\n\r\nv=0")
        .await
        .expect("a beginning is taken");
    drop(half);
    // No SIP at all.
    let mut wrong = connect("127.0.0.7", centre.tcp).await;
    let _ = wrong.write_all(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n\r\n\r\n").await;
    // Slow, octet by octet, and answered all the same.
    let mut slow = connect(CARRIER, centre.tcp).await;
    slow.set_nodelay(true).expect("a TCP socket");
    let here = slow.local_addr().expect("bound");
    let options = format!(
        "OPTIONS sip:baton@{to} SIP/2.0\r\nVia: SIP/2.0/TCP {here};branch=z9hG4bKslow\r\nFrom: <sip:s@{here}>;tag=1\r\n\
         To: <sip:baton@{to}>\r\nCall-ID: slow@{here}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        to = centre.tcp
    );
    for byte in options.as_bytes() {
        slow.write_all(std::slice::from_ref(byte)).await.expect("it is read");
        slow.flush().await.expect("it is read");
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 12];
    timeout(PATIENCE, slow.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    assert_eq!(&answer, b"SIP/2.0 200 ");
}

async fn requests(centre: &Centre) {
    let post = |key: &str, body: String| {
        let request = centre.client.post(centre.url("/v1/steps")).bearer_auth(key);
        centre.ask(request.header("content-type", "application/json").body(body))
    };
    let step = json!({
        "id": "1", "journey": "j", "topic": "t", "channel": "app", "customer": { "phone": "+8613800138000" },
        "step": "s", "status": "entered",
    });
    let with = |field: &str, value: Value| {
        let mut step = step.clone();
        step[field] = value;
        step.to_string()
    };
    let deep = "[".repeat(100_000);
    let unknown = format!("app2.{}", "0".repeat(32));
    for (what, key, body, status, pointer) in [
        ("broken JSON", APP_KEY, step.to_string().replace('}', ""), 400, None),
        ("deep JSON", APP_KEY, deep, 400, None),
        ("no step", APP_KEY, "[1]".to_owned(), 422, Some("/0")),
        ("a wrong field", APP_KEY, with("status", "maybe".into()), 422, Some("/status")),
        ("an unknown field", APP_KEY, with("colour", "red".into()), 422, Some("/colour")),
        ("too large", APP_KEY, with("data", json!({ "a": "x".repeat(2 << 20) })), 413, None),
        ("a wrong key", unknown.as_str(), step.to_string(), 401, None),
        ("no key", "", step.to_string(), 401, None),
    ] {
        let answer = post(key, body).await;
        assert_eq!(
            (answer.status, answer.kind.as_str()),
            (status, "application/problem+json"),
            "{what}: {answer:?}"
        );
        assert_eq!(answer.body["status"], status, "{what}");
        assert!(answer.body["detail"].is_string(), "{what}");
        if let Some(pointer) = pointer {
            assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{what}");
        }
    }
    let forbidden = centre.ask(centre.client.get(centre.url("/v1/contacts")).bearer_auth(APP_KEY)).await;
    assert_eq!((forbidden.status, forbidden.kind.as_str()), (403, "application/problem+json"));
    assert_eq!(post(APP_KEY, step.to_string()).await.status, 200);
    assert_eq!(post(APP_KEY, with("step", "other".into())).await.status, 409);
}

/// The status of the next answer on a connection, and whether it is the last one there.
async fn answer(stream: &mut TcpStream) -> (u16, bool) {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.expect("in time").expect("an answer"));
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let length = field("content-length: ").and_then(|length| length.parse().ok()).expect("a length");
    timeout(PATIENCE, stream.read_exact(&mut vec![0; length])).await.expect("in time").expect("all of it");
    (head[9..12].parse().expect("a status"), field("connection: ") == Some("close"))
}

alone! {
    async fn an_answer_before_the_body_is_read_costs_no_later_request_its_own() {
        let site = Site::new(&number(""), FRONT);
        let centre = site.start().await;
        let begin = |key: &str, more: &str| {
            format!("POST /v1/steps HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                Authorization: Bearer {key}\r\n{more}\r\n")
        };
        let mut stream = connect(NOBODY, centre.http).await;
        for (key, length, status) in [(APP_KEY, 2 << 20, 413), ("none", 2 << 20, 401), ("none", 100_000, 401), (APP_KEY, 10, 400)] {
            let head = begin(key, &format!("Content-Length: {length}\r\n"));
            stream.write_all(&[head.as_bytes(), &vec![b'x'; length]].concat()).await.expect("it is read");
            assert_eq!(answer(&mut stream).await, (status, false), "{length} octets");
        }
        // Who has no end, or waits to be let, is told that this was all.
        stream.write_all(begin("none", "Expect: 100-continue\r\nContent-Length: 10\r\n").as_bytes()).await.expect("it is read");
        assert_eq!(answer(&mut stream).await, (401, true));
        let mut endless = connect(NOBODY, centre.http).await;
        endless.write_all(begin(APP_KEY, "Transfer-Encoding: chunked\r\n").as_bytes()).await.expect("it is read");
        let (mut reading, mut writing) = endless.into_split();
        let pouring = tokio::spawn(async move {
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while writing.write_all(chunk.as_bytes()).await.is_ok() {}
        });
        let mut head = [0; 12];
        timeout(PATIENCE, reading.read_exact(&mut head)).await.expect("in time").expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 413");
        timeout(PATIENCE, pouring).await.expect("the connection ends").expect("no panic");
    }

    async fn a_call_goes_on_whatever_is_thrown_at_the_daemon() {
        let site = Site::new(&(agent("ann", "1001", "initial = \"ready\"") + &number("")), FRONT);
        let mut centre = site.start().await;
        let sockets = centre.until("there is a stock", "/v1/health", |health| health["sockets"].as_u64().filter(|n| *n > 0)).await;
        let wire = Wire::tap();
        let ann = Phone::register(&mut centre, ("ann", "1001"), 5080, Law::Mu, Answers::AtOnce).await;
        let caller = Caller::default().dial(&centre);
        let contact = centre.stage("talk").await;
        let carrier = SocketAddr::new(CARRIER.parse().expect("an address"), MEDIA_PORT);
        // Sound has come and gone both ways.
        centre.until("both speak", "/v1/calls", |_| (heard(&wire.sound(carrier, Law::Mu), AGENT) > 0.5).then_some(())).await;

        let mut mischief = Mischief::new();
        requests(&centre).await;
        datagrams_at_sip(&centre, &mut mischief).await;
        datagrams_at_media(&centre, &wire, &mut mischief).await;
        streams(&centre).await;
        assert_about("datagrams that never arrived", dropped(), 0..=DATAGRAMS as u64 / 100);

        assert_eq!(centre.stage("talk").await, contact, "the call is still up");
        assert_eq!(centre.ready().await.status, 200);
        let so_far = heard(&wire.sound(carrier, Law::Mu), AGENT);
        centre.until("both still speak", "/v1/calls", |_| (heard(&wire.sound(carrier, Law::Mu), AGENT) > so_far + 0.5).then_some(())).await;
        ann.hang_up().await;
        caller.succeed().await;
        let record = centre.finished(Some(&contact)).await;
        assert_eq!((&record["calls"][0]["release"]["by"], &record["calls"][0]["release"]["cause"]), (&"callee".into(), &"normal".into()));
        let segments = record["calls"][0]["segments"].as_array().expect("segments").iter();
        let talk = segments.filter(|segment| segment["stage"] == "talk").filter_map(|segment| segment["ms"].as_f64());
        let talk = talk.sum::<f64>() / 1000.0;
        assert_about("the agent, at the carrier", heard(&wire.sound(carrier, Law::Mu), AGENT), talk - 1.0..=talk + 0.5);
        let at_phone = ann.heard().await;
        assert_about("the caller, at the phone", heard(&at_phone[0], CALLER), talk - 1.0..=talk + 0.5);
        centre.quiet().await;
        centre.until("the sockets are back", "/v1/health", |health| (health["sockets"] == sockets).then_some(())).await;
        assert_eq!(centre.ready().await.status, 200);
    }

    async fn a_peer_that_never_acknowledges_is_released() {
        let site = Site::new(&number(""), FRONT);
        let centre = site.start().await;
        let mut peer = Stranger::at(CARRIER, centre.udp).await;
        let answer = peer.invite().await;
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        let begun = std::time::Instant::now();
        // RFC 3261 §13.3.1.4: the 200 is repeated for 64*T1, then the dialog is ended by BYE.
        let mut repeated = 0;
        let bye = loop {
            let message = timeout(Duration::from_secs(40), peer.hear()).await.expect("a BYE after 64*T1");
            if message.starts_with("BYE ") {
                break message;
            }
            repeated += u32::from(message.starts_with("SIP/2.0 200 "));
        };
        assert_about("repetitions", repeated, 8..=11);
        assert_about("seconds", begun.elapsed().as_secs(), 30..=36);
        assert!(bye.contains("Call-ID: 1@"), "{bye}");
        let record = centre.finished(None).await;
        assert_eq!(record["calls"][0]["release"]["cause"], "never_acknowledged");
        centre.quiet().await;
        assert_eq!(centre.ready().await.status, 200);
    }

    async fn a_phone_that_vanishes_while_it_rings_leaves_the_caller_in_line() {
        let queue = "[[queue]]\nid = \"quick\"\nskills = { cards = 1 }\nring_time_s = 3\nannounce_every_s = 0\n";
        let agents = agent("ann", "1001", "initial = \"ready\"") + &agent("bob", "1002", "");
        let tables = queue.to_owned() + &agents.replace("queues = [\"cards\"]", "queues = [\"quick\"]") + &number("");
        let site = Site::new(&tables, &FRONT.replace("queue = \"cards\"", "queue = \"quick\""));
        let mut centre = site.start().await;
        let ann = Phone::register(&mut centre, ("ann", "1001"), 5080, Law::Mu, Answers::Never).await;
        let bob = Phone::register(&mut centre, ("bob", "1002"), 5090, Law::Mu, Answers::AtOnce).await;
        let caller = Caller::default().dial(&centre);
        let contact = centre.stage("ring").await;
        ann.vanish().await;
        assert_eq!(centre.stage("queue").await, contact, "it goes back to its place in line");
        let ready = centre.client.put(centre.url("/v1/agents/bob/state")).bearer_auth(KEY);
        let answer = centre.ask(ready.json(&json!({ "state": "ready" }))).await;
        assert!(answer.status < 300, "{answer:?}");
        assert_eq!(centre.stage("talk").await, contact);
        bob.hang_up().await;
        caller.succeed().await;
        let record = centre.finished(None).await;
        let hops = record["hops"].as_array().expect("hops").iter();
        let hops: Vec<_> = hops.map(|hop| (hop["agent"].as_str().unwrap_or(""), hop["outcome"].as_str().unwrap_or(""))).collect();
        assert_eq!(hops, [("ann", "rona"), ("bob", "answered")]);
        centre.quiet().await;
        assert_eq!(centre.ready().await.status, 200);
    }

    async fn a_desktop_that_goes_during_an_offer_does_not_keep_the_phone_from_ringing() {
        let site = Site::new(&number(""), FRONT);
        let hash = site.baton(&["hash", "--for", "password"], "a password").await;
        let password = String::from_utf8(hash.stdout).expect("text");
        site.configure(
            "[http]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n",
            &(agent("ann", "1001", &password) + &number("")),
        );
        let mut centre = site.start().await;
        let ann = Phone::register(&mut centre, ("ann", "1001"), 5080, Law::Mu, Answers::AtOnce).await;
        let mut desktop = Desktop::log_in(&centre, "ann", "a password").await;
        desktop.say(json!({ "type": "set_state", "state": "ready" })).await;
        let caller = Caller::default().dial(&centre);
        let offer = desktop.pushed("offer").await;
        drop(desktop);
        assert_eq!(centre.stage("talk").await, offer["contact"].as_str().expect("an id"));
        ann.hang_up().await;
        caller.succeed().await;
        let record = centre.finished(None).await;
        let hop = &record["hops"][0];
        assert_eq!((&hop["outcome"], &hop["displayed_at"]), (&"answered".into(), &Value::Null));
        let at = |name: &str| hop[name].as_str().and_then(|at| at.parse::<baton::base::Wall>().ok()).expect("a time");
        let grace = at("rung_at").since(at("offered_at"));
        assert_about("the grace", grace, Duration::from_millis(190)..=Duration::from_millis(1000));
        assert_eq!(record["context_before_answer"], "none");
        centre.quiet().await;
        assert_eq!(centre.ready().await.status, 200);
    }

    async fn a_flow_that_names_an_unknown_queue_is_refused_with_its_place() {
        let site = Site::new(&number(""), &FRONT.replace("queue = \"cards\"", "queue = \"carts\""));
        let line = 1 + FRONT.lines().position(|line| line.starts_with("queue =")).expect("it is there");
        let output = site.baton(&["check", "--config", &site.path().display().to_string()], "").await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        let place = format!("flows/front.toml:{line}:");
        let fault = said.lines().find_map(|fault| fault.split_once(&place)).map(|(_, rest)| rest);
        let (column, what) = fault.and_then(|rest| rest.split_once(": ")).unwrap_or_else(|| panic!("{place} in {said}"));
        assert!(column.parse::<u32>().is_ok_and(|column| column >= 1), "{said}");
        assert!(what.contains("carts"), "{said}");
    }
}
