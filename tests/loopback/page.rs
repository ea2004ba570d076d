//! A page calls: from the app's hand-off to the agent's voice in the customer's ear.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::alone::alone;
use super::centre::{Answer, Centre, FRONT, KEY, PATIENCE, Site, agent};
use super::desktop::Desktop;
use super::phone::{Answers, Phone};
use super::sound::{self, AGENT, CALLER, Law, heard};
use super::wire::Wire;

/// The phone of an agent who has not seen the pop rings after this test is over.
const TABLES: &str = r#"
[[click_to_call]]
flow = "front"
[[queue]]
id = "web"
pop_grace_ms = 90000
ring_time_s = 95
announce_every_s = 0
[[topic]]
id = "prepay"
label = { en = "Prepayment" }
steps.confirm = { en = "Confirm payment" }
reasons.insufficient-funds = { en = "insufficient funds" }
data.amount = { show = "token", speak = "token" }
"#;

/// The port of the agent's phone.
const PHONE: u16 = 5080;

/// A page's audio, without what a browser adds for security: it speaks a tone.
struct Ear {
    offer: String,
    address: SocketAddr,
    socket: Option<UdpSocket>,
    speaking: Option<JoinHandle<()>>,
}

impl Ear {
    async fn open() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("bound");
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 8\r\n",
            address.port()
        );
        Self { offer, address, socket: Some(socket), speaking: None }
    }

    /// Speaks to where the answer says.
    fn speak(&mut self, answer: &Value) {
        let answer = answer["sdp"].as_str().expect("an answer");
        let port = answer.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        let to = SocketAddr::from(([127, 0, 0, 1], port.expect("a port")));
        let socket = self.socket.take().expect("it has not spoken yet");
        let ssrc = u32::from(self.address.port()).to_be_bytes();
        self.speaking = Some(tokio::spawn(async move {
            let mut pace = interval(Duration::from_millis(20));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for (n, frame) in sound::tone(CALLER, 60).chunks(160).enumerate() {
                pace.tick().await;
                let mut packet = vec![0x80, Law::A.payload_type()];
                packet.extend((n as u16).to_be_bytes());
                packet.extend((160 * n as u32).to_be_bytes());
                packet.extend(ssrc);
                packet.extend(Law::A.encode(frame));
                let _ = socket.send_to(&packet, to).await;
            }
        }));
    }

    /// Waits until it has heard the agent for a second.
    async fn hears_the_agent(&self, wire: &Wire) {
        let listen = async {
            let mut pace = interval(Duration::from_millis(50));
            while heard(&wire.sound(self.address, Law::A), AGENT) < 1.0 {
                pace.tick().await;
            }
        };
        timeout(PATIENCE, listen).await.expect("the agent is heard");
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Some(speaking) = &self.speaking {
            speaking.abort();
        }
    }
}

async fn post(centre: &Centre, path: &str, bearer: &str, body: Value) -> Answer {
    centre.ask(centre.client.post(centre.url(path)).bearer_auth(bearer).json(&body)).await
}

async fn hand_off(centre: &Centre, queue: &str) -> String {
    let customer = json!({ "account": "wei", "verified": ["account"] });
    let body = json!({ "customer": customer, "journey": "prepay-1", "queue": queue });
    let answer = post(centre, "/v1/handoffs", KEY, body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["token"].as_str().expect("a token").to_owned()
}

fn step(id: &str, journey: &str, at: &str) -> Value {
    json!({
        "id": id, "journey": journey, "topic": "prepay", "channel": "app", "step": "confirm",
        "customer": { "account": "wei", "name": "Zhang Wei", "verified": ["account"] },
        "status": "failed", "reason": "insufficient-funds", "data": { "amount": "50000.00" }, "at": at,
    })
}

alone! {
    async fn a_page_that_presents_a_hand_off_is_known_before_the_phone_rings() {
        let ann = agent("ann", "1001", "").replace("[\"cards\"]", "[\"cards\", \"web\"]");
        let site = Site::new(TABLES, FRONT);
        let hash = site.baton(&["hash", "--for", "password"], "a password").await;
        let password = String::from_utf8(hash.stdout).expect("text");
        let clear = "[http]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";
        site.configure(clear, &(TABLES.to_owned() + &ann + &password));
        let mut centre = site.start().await;
        let wire = Wire::tap();
        let phone = Phone::register(&mut centre, ("ann", "1001"), PHONE, Law::A, Answers::AtOnce).await;
        let mut desktop = Desktop::log_in(&centre, "ann", "a password").await;
        desktop.say(json!({ "type": "set_state", "state": "ready" })).await;

        let steps = json!([
            step("s1", "prepay-1", "2026-01-31T08:00:00Z"),
            step("s2", "prepay-2", "2026-01-31T09:00:00Z"),
        ]);
        assert_eq!(post(&centre, "/v1/steps", KEY, steps).await.status, 200);
        let token = hand_off(&centre, "web").await;
        let mut ear = Ear::open().await;
        let call = post(&centre, "/v1/calls", &token, json!({ "sdp": ear.offer })).await;
        assert_eq!(call.status, 201, "{call:?}");

        let offer = desktop.pushed("offer").await;
        let (caller, breakpoint) = (&offer["caller"], &offer["breakpoint"]);
        assert_eq!((&caller["confidence"], &caller["name"]), (&"token".into(), &"Zhang Wei".into()));
        assert_eq!((&breakpoint["journey"], &breakpoint["reason"]), (&"prepay-1".into(), &"insufficient-funds".into()));
        assert_eq!((&breakpoint["data"]["amount"], &offer["withheld"]), (&"50000.00".into(), &json!([])));
        let rings = || wire.passed(|d| d.to.port() == PHONE && d.payload.starts_with(b"INVITE"));
        assert!(rings().is_empty(), "the phone rings before the pop was displayed");
        desktop.say(json!({ "type": "displayed", "contact": offer["contact"], "version": offer["version"] })).await;
        desktop.pushed("connected").await;
        assert!(!rings().is_empty());
        ear.speak(&call.body);
        ear.hears_the_agent(&wire).await;

        // The page is loaded again: another socket, the same call.
        let of_call = |method| {
            let path = format!("/v1/calls/{}", call.body["call"].as_str().expect("an id"));
            let secret = call.body["secret"].as_str().expect("a secret");
            centre.client.request(method, centre.url(&path)).bearer_auth(secret)
        };
        drop(ear);
        let mut ear = Ear::open().await;
        let renewed = of_call(reqwest::Method::PATCH).json(&json!({ "sdp": ear.offer }));
        let renewed = centre.ask(renewed).await;
        assert_eq!(renewed.status, 200, "{renewed:?}");
        ear.speak(&renewed.body);
        ear.hears_the_agent(&wire).await;
        assert_eq!(centre.ask(of_call(reqwest::Method::DELETE)).await.status, 204);

        let record = centre.finished(None).await;
        assert_eq!((&record["confidence"], &record["context_before_answer"]), (&"token".into(), &"displayed".into()));
        assert_eq!((&record["calls"][0]["number"], &record["queue"]), (&Value::Null, &"web".into()));
        assert_eq!(record["calls"][0]["release"]["by"], "caller");
        centre.quiet().await;
        assert!(heard(&phone.heard().await[0], CALLER) >= 1.0, "the agent heard the page");
    }

    async fn a_token_makes_one_call_whatever_becomes_of_the_daemon() {
        let site = Site::new(TABLES, FRONT);
        let mut centre = site.start().await;
        let (used, unused) = (hand_off(&centre, "web").await, hand_off(&centre, "web").await);
        let ear = Ear::open().await;
        let body = || json!({ "sdp": ear.offer });
        assert_eq!(post(&centre, "/v1/calls", &used, body()).await.status, 201);
        centre.signal(libc::SIGKILL);
        centre.ended().await;

        let centre = site.start().await;
        assert_eq!(post(&centre, "/v1/calls", &used, body()).await.status, 401);
        assert_eq!(post(&centre, "/v1/calls", &unused, body()).await.status, 201);
        assert_eq!(post(&centre, "/v1/calls", &unused, body()).await.status, 401);
    }
}
