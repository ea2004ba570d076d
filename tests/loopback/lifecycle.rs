//! How an operator runs it: signals, systemd, `baton ctl`, keys and certificates.

use std::time::Duration;

use serde_json::Value;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use super::alone::alone;
use super::carrier::Caller;
use super::centre::{Centre, FRONT, KEY, PATIENCE, Site, agent, number, run};
use super::phone::{Answers, Phone};
use super::sound::Law;
use super::stranger::Stranger;
use super::wire::Wire;

const CLEAR: &str = "[http]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";

async fn queues(centre: &Centre) -> Vec<String> {
    let queues = centre.get("/v1/queues").await;
    let queues = queues["queues"].as_array().expect("queues").iter();
    queues.map(|queue| queue["queue"].as_str().unwrap_or_default().to_owned()).collect()
}

alone! {
    async fn a_reload_takes_effect_whole_or_not_at_all() {
        let site = Site::new(&number(""), FRONT);
        let mut centre = site.start().await;
        assert_eq!(centre.metric("baton_reload_failed").await, 0.0);

        site.configure(CLEAR, &(number("") + "[[queue]]\nid = \"loans\"\n[[queue]]\nid = \"cars\"\nskills = { magic = 1 }\n"));
        centre.signal(libc::SIGHUP);
        let refused = |line: &Value| line["message"].as_str().is_some_and(|m| m.starts_with("configuration not reloaded"));
        let line = centre.log.line("the reload is refused", refused).await;
        let fault = line["fault"].as_str().expect("what is wrong");
        assert!(fault.contains("baton.toml:") && fault.contains("magic"), "{fault}");
        assert_eq!(centre.metric("baton_reload_failed").await, 1.0);
        assert_eq!(queues(&centre).await, ["cards"]);

        site.configure(CLEAR, &(number("") + "[[queue]]\nid = \"loans\"\n"));
        centre.signal(libc::SIGHUP);
        centre.log.line("the reload is done", |line| line["message"] == "configuration reloaded").await;
        assert_eq!(queues(&centre).await, ["cards", "loans"]);
        assert_eq!(centre.metric("baton_reload_failed").await, 0.0);
        assert_eq!(centre.ready().await.status, 200);
    }

    async fn a_drain_refuses_new_calls_and_lets_the_last_one_end() {
        let site = Site::new(&(agent("ann", "1001", "initial = \"ready\"") + &number("")), FRONT);
        let mut centre = site.start().await;
        let ann = Phone::register(&mut centre, ("ann", "1001"), 5080, Law::Mu, Answers::AtOnce).await;
        let caller = Caller::default().dial(&centre);
        centre.stage("talk").await;
        assert_eq!(centre.ready().await.status, 200);

        centre.signal(libc::SIGTERM);
        centre.until("it drains", "/v1/health", |health| (health["status"] == "draining").then_some(())).await;
        let mut other = Stranger::at("127.0.0.3", centre.udp).await;
        let refusal = other.invite().await;
        assert!(refusal.starts_with("SIP/2.0 503 "), "{refusal}");
        assert!(refusal.to_lowercase().contains("\r\nretry-after: "), "{refusal}");
        let ready = centre.ready().await;
        assert_eq!((ready.status, &ready.body["checks"]["taking_calls"]), (503, &"failing".into()));
        centre.stage("talk").await;

        ann.hang_up().await;
        caller.succeed().await;
        assert_eq!(centre.ended().await.code(), Some(0));
    }

    async fn a_drain_hangs_up_when_its_grace_is_over() {
        let site = Site::new(&(agent("ann", "1001", "initial = \"ready\"") + &number("")), FRONT);
        let site = site.with_environment("BATON__NODE__DRAIN_S", "1");
        let mut centre = site.start().await;
        let wire = Wire::tap();
        let _ann = Phone::register(&mut centre, ("ann", "1001"), 5080, Law::Mu, Answers::AtOnce).await;
        let caller = Caller::default().dial(&centre);
        let contact = centre.stage("talk").await;
        centre.signal(libc::SIGTERM);
        // The carrier is told, and the phone.
        caller.succeed().await;
        assert_eq!(centre.ended().await.code(), Some(0));
        let told = wire.passed(|datagram| datagram.to.port() == 5080 && datagram.payload.starts_with(b"BYE "));
        assert!(!told.is_empty());

        let centre = site.start().await;
        let record = centre.get(&format!("/v1/contacts/{contact}")).await;
        assert_eq!(record["state"], "finished");
        assert_eq!(record["calls"][0]["release"], serde_json::json!({ "by": "us", "cause": "shutdown" }));
    }

    async fn systemd_is_told_that_it_is_ready_and_alive_and_stopping() {
        let site = Site::new(&number(""), FRONT);
        let path = site.folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let site = site
            .with_environment("NOTIFY_SOCKET", path.display().to_string())
            .with_environment("WATCHDOG_USEC", "600000");
        let mut centre = site.start().await;
        let told = async |wanted: &str| {
            let mut buffer = [0; 512];
            let told = async {
                loop {
                    let length = socket.recv(&mut buffer).await.expect("a datagram");
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    if text.lines().any(|line| line == wanted) {
                        return;
                    }
                }
            };
            timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("never told {wanted}"));
        };
        told("READY=1").await;
        told("WATCHDOG=1").await;
        let since = std::time::Instant::now();
        told("WATCHDOG=1").await;
        told("WATCHDOG=1").await;
        assert!(since.elapsed() < Duration::from_millis(1200), "each within its time");
        centre.signal(libc::SIGTERM);
        told("STOPPING=1").await;
        assert_eq!(centre.ended().await.code(), Some(0));

        // Or it would take the end of a drain, which may wait for the disk, for a fault.
        let mut centre = site.start().await;
        told("READY=1").await;
        let url = format!("http://{}", centre.http);
        let drain = site.baton(&["ctl", "drain", "--url", &url, "--token", KEY], "").await;
        assert_eq!(drain.status.code(), Some(0));
        told("STOPPING=1").await;
        assert_eq!(centre.ended().await.code(), Some(0));
    }

    async fn ctl_asks_and_commands() {
        let site = Site::new(&(agent("ann", "1001", "") + &number("")), FRONT);
        let mut centre = site.start().await;
        let url = format!("http://{}", centre.http);
        let ctl = async |what: &str, key: &str| {
            let output = site.baton(&["ctl", what, "--url", &url, "--token", key], "").await;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.code(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
        };
        let (code, health) = ctl("health", KEY).await;
        assert_eq!((code, &health["status"], &health["calls"]), (Some(0), &"ok".into(), &0.into()));
        let (code, calls) = ctl("calls", KEY).await;
        assert_eq!((code, &calls["calls"]), (Some(0), &Value::Array(vec![])));
        let (code, queues) = ctl("queues", KEY).await;
        assert_eq!((code, &queues["queues"][0]["queue"]), (Some(0), &"cards".into()));
        let (code, agents) = ctl("agents", KEY).await;
        assert_eq!((code, &agents["agents"][0]["agent"]), (Some(0), &"ann".into()));
        assert_eq!(ctl("health", "app1.not-the-key").await.0, Some(1));
        assert_eq!(ctl("reload", KEY).await.0, Some(0));
        site.configure(CLEAR, "[[number]]\nnumber = \"12\"\n");
        let (code, problem) = ctl("reload", KEY).await;
        assert_eq!((code, &problem["status"]), (Some(1), &422.into()), "{problem}");
        assert_eq!(ctl("drain", KEY).await.0, Some(0));
        assert_eq!(centre.ended().await.code(), Some(0));
    }

    async fn what_hash_prints_the_configuration_holds() {
        let site = Site::new(&number(""), FRONT);
        let hash = async |words: &[&str], input: &str| {
            let output = site.baton(&[&["hash"], words].concat(), input).await;
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
            (String::from_utf8(output.stdout).expect("text"), String::from_utf8(output.stderr).expect("text"))
        };
        let (key, made) = hash(&["--for", "key"], "").await;
        let (sip, _) = hash(&["--for", "sip", "--user", "1001"], super::centre::PHONE_PASSWORD).await;
        let (password, _) = hash(&["--for", "password"], "a password").await;
        let tables = format!(
            "[[api_key]]\nscopes = [\"admin\"]\n{key}[[agent]]\nid = \"ann\"\nqueues = [\"cards\"]\n{sip}{password}{}",
            number("")
        );
        site.configure(CLEAR, &tables);
        let output = site.baton(&["check", "--config", &site.path().display().to_string()], "").await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

        let mut centre = site.start().await;
        let key = made.trim().rsplit(' ').next().expect("the key that was made");
        let health = centre.ask(centre.client.get(centre.url("/v1/health")).bearer_auth(key)).await;
        assert_eq!(health.status, 200);
        super::desktop::Desktop::log_in(&centre, "ann", "a password").await;
        Phone::register(&mut centre, ("ann", "1001"), 5080, Law::Mu, Answers::Never).await;
    }

    async fn the_api_is_served_over_tls_with_the_operators_certificate() {
        let site = Site::new(&number(""), FRONT);
        let file = |name: &str| site.folder.path().join(name).display().to_string();
        let (ca, ca_key) = (file("ca.pem"), file("ca.key"));
        let (certificate, key, request) = (file("tls.pem"), file("tls.key"), file("tls.csr"));
        let extensions = site.folder.write("extensions", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
        let extensions = extensions.display().to_string();
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=test", "-keyout", &ca_key, "-out", &ca];
        let asking = ["req", "-subj", "/CN=baton", "-keyout", &key, "-out", &request];
        let signing = ["x509", "-req", "-days", "2", "-in", &request, "-CA", &ca, "-CAkey", &ca_key,
            "-CAcreateserial", "-extfile", &extensions, "-out", &certificate];
        for words in [[&authority[..], &curve[..]].concat(), [&asking[..], &curve[..]].concat(), signing.to_vec()] {
            let output = run("openssl", &words, "").await;
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let http = format!("{CLEAR}tls = {{ certificate = \"tls.pem\", key = \"tls.key\" }}\n");
        site.configure(&http, &number(""));
        let centre = site.start().await;
        let authority = std::fs::read(&ca).expect("just made");
        let authority = reqwest::Certificate::from_pem(&authority).expect("a certificate");
        let client = reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client");
        let url = format!("https://{}/v1/health", centre.http);
        let answer = centre.ask(client.get(&url).bearer_auth(KEY)).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &"ok".into()));
        assert!(reqwest::Client::new().get(&url).send().await.is_err(), "of an authority nobody knows");
        assert!(centre.client.get(centre.url("/v1/health")).send().await.is_err(), "not in the clear");

        site.folder.write("tls.pem", "no certificate");
        let output = site.baton(&["check", "--config", &site.path().display().to_string()], "").await;
        assert_eq!(output.status.code(), Some(78));
    }
}
