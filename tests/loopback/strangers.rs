//! Somebody between: packets forged, replayed, cut short and sent without end into a call that is
//! up. Nobody hears them, they take no room, and the call goes on.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use baton::base::{MasterKey, Mint, Suite};
use baton::rtp::srtp::{Protector, Unprotector};
use tokio::time::{MissedTickBehavior, interval};

use super::alone::alone;
use super::carrier::{Caller, Sound};
use super::centre::{CARRIER, Centre, Site, agent, assert_about, number};
use super::phone::{Handset, Phone};
use super::sound::{AGENT, CALLER, Law, heard, share, tone};
use super::stranger::Stranger;
use super::wire::{Wire, forge};

/// What the stranger says.
const STRANGER: f64 = 3010.0;
const NOBODY: &str = "127.0.0.9";
/// Where STUN goes, as configured by default.
const WEB: &str = "127.0.0.1:30000";
/// Of the caller, at first and later.
const PORTS: [u16; 2] = [17_000, 17_100];

/// Straight to the queue.
const QUEUE: &str = r#"
id = "front"
start = "wait"
language = "en"
on_error = "bye"
[steps.wait]
do = "queue"
queue = "cards"
on_overflow = "bye"
[steps.bye]
do = "hangup"
"#;

/// The caller's voice, protected, from a socket of the test's own.
#[derive(Clone)]
struct Voice(Arc<Mutex<Line>>);

struct Line {
    socket: UdpSocket,
    to: SocketAddr,
    key: MasterKey,
    theirs: MasterKey,
    network: Network,
    /// Packets that left.
    said: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Good,
    /// Every second packet is lost.
    Bad,
}

fn key(seed: u8) -> MasterKey {
    let octets: Vec<u8> = (0..30).map(|n| n ^ seed).collect();
    MasterKey::new(Suite::AesCm128HmacSha1_80, &octets).expect("just as many")
}

fn socket(port: u16) -> UdpSocket {
    UdpSocket::bind((CARRIER, port)).expect("a port of the carrier's")
}

fn rtp(ssrc: u32, n: usize, pitch: f64) -> Vec<u8> {
    let mut packet = vec![0x80, Law::Mu.payload_type()];
    packet.extend((n as u16).to_be_bytes());
    packet.extend((160 * n as u32).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    let second = Law::Mu.encode(&tone(pitch, 1));
    packet.extend(&second[n % 50 * 160..][..160]);
    packet
}

fn protected(protector: &mut Protector, packet: &[u8]) -> Vec<u8> {
    let mut room = [packet, &[0; 20]].concat();
    let length = protector.protect(&mut room, packet.len()).expect("a packet with room");
    room.truncate(length);
    room
}

impl Voice {
    /// Speaks to where the daemon's answer says, under the key there.
    async fn begin(centre: &Centre, wire: &Wire, socket: UdpSocket, key: MasterKey) -> Self {
        let answer = centre.until("the call is answered", "/v1/health", |_| {
            let said = wire.passed(|d| d.from == centre.udp && d.payload.starts_with(b"SIP/2.0 200"));
            let said = said.iter().map(|d| String::from_utf8_lossy(&d.payload).into_owned());
            said.into_iter().find(|said| said.contains("inline:"))
        });
        let answer = answer.await;
        let after = |mark: &str| answer.split(mark).nth(1).and_then(|rest| rest.split_whitespace().next());
        let port = after("m=audio ").and_then(|port| port.parse().ok()).expect("a port");
        let theirs = after("inline:").and_then(|key| BASE64_STANDARD.decode(key.split('|').next()?).ok());
        let theirs = theirs.and_then(|octets| MasterKey::new(Suite::AesCm128HmacSha1_80, &octets));
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let line = Line { socket, to, key, theirs: theirs.expect("a key"), network: Network::Good, said: 0 };
        let voice = Self(Arc::new(Mutex::new(line)));
        tokio::spawn(voice.clone().speak());
        voice
    }

    async fn speak(self) {
        let mut protector = Protector::new(&self.line().key);
        let mut pace = interval(Duration::from_millis(20));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for n in 0.. {
            pace.tick().await;
            let mut line = self.line();
            let packet = protected(&mut protector, &rtp(0x0ca1_1e25, n, CALLER));
            if line.network == Network::Good || n % 2 == 0 {
                let _ = line.socket.send_to(&packet, line.to);
                line.said += 1;
            }
        }
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.0.lock().expect("nobody panics with it")
    }

    /// What the agent's side sent to this port of the caller's.
    fn hears(&self, wire: &Wire, port: u16) -> Vec<i16> {
        let mut unprotector = Unprotector::new(&self.line().theirs);
        let mut samples = vec![];
        // It has one run of sequence numbers, wherever it goes.
        for mut datagram in wire.passed(|d| d.from == self.line().to && d.payload[1] & 0x7f == 0) {
            let length = unprotector.unprotect(&mut datagram.payload).expect("genuine");
            if datagram.to.port() == port {
                samples.extend(Law::Mu.decode(&datagram.payload[12..length]));
            }
        }
        samples
    }
}

/// Packets, or as long as one, in which the stranger is heard.
fn strange(samples: &[i16]) -> usize {
    samples.chunks_exact(160).filter(|packet| share(packet, STRANGER) > 0.3).count()
}

/// Where the daemon talks with the phone.
fn beside(wire: &Wire, phone: &Phone) -> SocketAddr {
    wire.passed(|d| d.to == phone.media).first().expect("it is talked to").from
}

/// Everything that a stranger can send, `rounds` times.
async fn attack(centre: &Centre, wire: &Wire, voice: &Voice, phone: &Phone, rounds: usize) {
    let caller = SocketAddr::new(CARRIER.parse().expect("an address"), PORTS[0]);
    let (protected_leg, clear_leg) = (voice.line().to, beside(wire, phone));
    let nobody = UdpSocket::bind((NOBODY, 0)).expect("a port");
    let neighbour = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut asking = Stranger::at(CARRIER, centre.udp).await;
    let mut mint = Mint::new([7; 32]);
    let mut wrong = Protector::new(&key(99));
    // What was forged before is not worth keeping.
    let mut captured = wire.passed(|d| d.from == caller && d.to == protected_leg);
    captured.truncate(25);
    let genuine =
        wire.passed(|d| d.from == phone.media && d.to == clear_leg).pop().expect("the agent speaks");
    let theirs = u32::from_be_bytes(genuine.payload[8..12].try_into().expect("four octets"));
    let send = |socket: &UdpSocket, to: SocketAddr, bytes: &[u8]| {
        socket.send_to(bytes, to).expect("loopback takes it");
    };
    for n in 0..rounds {
        let clear = rtp(mint.u32(), n, STRANGER);
        // In the clear, and under another key: from elsewhere, and in the caller's own name.
        let locked = protected(&mut wrong, &rtp(1, n, STRANGER));
        let old = &captured[n % captured.len()].payload;
        let cut = &old[..n % old.len()];
        for bytes in [&clear[..], &locked, old, cut] {
            send(&nobody, protected_leg, bytes);
            forge(caller, protected_leg, bytes);
        }
        // Where nothing proves anything: from elsewhere, once in the agent's stream.
        send(&nobody, clear_leg, &clear);
        send(&neighbour, clear_leg, &rtp(theirs, n, STRANGER));
        // Checks of nobody we know, whole and not.
        let mut check =
            [&[0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42][..], &[n as u8; 12], &[0, 6, 0, 5], b"ab:cd\0\0\0"]
                .concat();
        check.truncate(check.len() - n % 3 * 5);
        send(&nobody, WEB.parse().expect("an address"), &check);
        send(&nobody, WEB.parse().expect("an address"), &clear);
        // Ports at rest, and RTCP's.
        let resting = SocketAddr::from(([127, 0, 0, 1], 20_000 + 2 * (n % 200) as u16));
        if resting != clear_leg && resting != protected_leg {
            send(&nobody, resting, &clear);
        }
        send(&nobody, SocketAddr::new(clear_leg.ip(), clear_leg.port() + 1), &[0x81, 203, 0, 1, 1, 2, 3, 4]);
        if n % 20 == 19 {
            asking.ask().await;
        }
    }
}

alone! {
    async fn a_stranger_is_heard_by_nobody_and_takes_no_room() {
        let tables = agent("ann", "1001", "initial = \"ready\"") + &number("record = true");
        let site = Site::new(&tables, QUEUE);
        let mut centre = site.start().await;
        let wire = Wire::tap();
        let ann = Handset::default().register(&mut centre, ("ann", "1001"), 5080).await;
        let ours = key(1);
        let attributes = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\n", BASE64_STANDARD.encode(ours.octets()));
        let sound = Sound::Own { port: PORTS[0], profile: "RTP/SAVP", attributes };
        let first = socket(PORTS[0]);
        let caller = Caller { keys: "", sound, ..Caller::default() }.dial(&centre);
        let voice = Voice::begin(&centre, &wire, first, ours).await;
        centre.stage("talk").await;
        let at_phone = || heard(&wire.sound(ann.media, Law::Mu), CALLER);
        let at_caller = |port| heard(&voice.hears(&wire, port), AGENT);
        let both = || (at_phone() > 0.5 && at_caller(PORTS[0]) > 0.5).then_some(());
        centre.until("both speak", "/v1/health", |_| both()).await;

        attack(&centre, &wire, &voice, &ann, 500).await;
        let before = centre.resident();
        attack(&centre, &wire, &voice, &ann, 3000).await;
        let more = centre.resident().saturating_sub(before);
        assert_about("octets taken", more, 0..=4 << 20);

        let so_far = (at_phone(), at_caller(PORTS[0]));
        let go_on = || (at_phone() > so_far.0 + 0.5 && at_caller(PORTS[0]) > so_far.1 + 0.5).then_some(());
        centre.until("both still speak", "/v1/health", |_| go_on()).await;

        // Half of it lost: what comes is passed on.
        let passed = || wire.passed(|d| d.to == ann.media).len();
        let so_far = passed();
        voice.line().network = Network::Bad;
        centre.until("half of it is heard", "/v1/health", |_| (passed() > so_far + 50).then_some(())).await;
        voice.line().network = Network::Good;
        let so_far = at_phone();
        centre.until("all of it is heard again", "/v1/health", |_| (at_phone() > so_far + 0.5).then_some(())).await;

        // Who has the key may be anywhere, at once.
        voice.line().socket = socket(PORTS[1]);
        centre.until("it is followed", "/v1/health", |_| (at_caller(PORTS[1]) > 0.5).then_some(())).await;
        let moved = wire.passed(|d| d.from.port() == PORTS[1]).remove(0).at;
        let followed = wire.passed(|d| d.to.port() == PORTS[1]).remove(0).at;
        assert_about("until it is followed", followed - moved, Duration::ZERO..=Duration::from_millis(500));

        ann.hang_up().await;
        caller.succeed().await;
        let record = centre.finished(None).await;
        assert_eq!(record["calls"][0]["release"]["by"], "callee");
        let channels = centre.recording(&record).await;
        for (channel, pitch) in channels.iter().zip([CALLER, AGENT]) {
            assert!(heard(channel, pitch) > 2.0);
            assert_eq!(strange(channel), 0, "recorded");
        }
        for port in PORTS {
            assert_eq!(strange(&voice.hears(&wire, port)), 0, "at the caller");
        }
        // What was replayed went no farther.
        let at_phone = wire.passed(|d| d.to == ann.media && d.payload.len() == 172).len();
        assert_about("packets at the phone", at_phone, 100..=voice.line().said);
        assert_eq!(strange(&ann.heard().await[0]), 0, "at the phone");
    }
}
