//! What a packet costs on its way through a bay, by codec and by protection, and through a media
//! thread with its sockets; what a waiting caller costs each tick; what a leg takes in memory; what
//! eight hours of two clocks do to the jitter buffer.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton::base::{Codec, DtlsRole, LegId, MasterKey, Mint, Mono, PlayId, Suite};
use baton::call::recording::Format;
use baton::io::clock::Clock;
use baton::io::media::{Media, Report, Settings, ShardId, Shelf};
use baton::media::dtls::Certificate;
use baton::media::{
    Bay, Channel, Command, Direction, Events, FRAME, Keys, Kit, Metrics, Opus, Path, Plan, Prompt,
    RecordingId, Repeat, Rtcp, Shard, SocketId, Source, TICK, Tape, Wire,
};
use baton::rtp::jitter;
use baton::rtp::packet::HEADER;
use baton::rtp::srtp::{OVERHEAD, Protector};
use tokio::sync::mpsc;

use crate::browser::{Browser, Description};
use crate::measure::{Cost, RUNS, Unit, cost_row, heap, no_row, row, table};
use crate::sound::{LONGEST, Voice};

/// Calls in a bay, and frames of 20 ms in a run.
const CALLS: usize = 50;
const FRAMES: u32 = 50;
const WAITING: usize = 500;

pub fn measure() {
    table("Media: an RTP packet in a bay");
    let plain = |codec| Kind { codec, guard: Guard::None };
    let (pcmu, pcma) = (plain(Codec::Pcmu), plain(Codec::Pcma));
    let (g722, opus) = (plain(Codec::G722), plain(Codec::Opus));
    talk("relayed, same law", &[pcmu, pcmu], Recorded::No);
    talk("relayed, other law", &[pcmu, pcma], Recorded::No);
    talk("relayed and recorded", &[pcmu, pcmu], Recorded::Yes);
    talk("", &[pcmu, g722], Recorded::No);
    talk("", &[pcmu, opus], Recorded::No);
    talk("", &[g722, opus], Recorded::No);
    for suite in Suite::ALL {
        let kind = Kind { guard: Guard::Sdes(suite), ..pcmu };
        talk("relayed", &[kind, kind], Recorded::No);
    }
    let web = |codec| Kind { codec, guard: Guard::Web };
    talk("relayed", &[web(Codec::Pcmu), pcmu], Recorded::No);
    talk("", &[web(Codec::Opus), pcmu], Recorded::No);
    talk("in a conference of three", &[pcmu; 3], Recorded::No);
    talk("in a conference of three", &[opus; 3], Recorded::No);

    table("Media: a tick");
    for codec in [Codec::Pcmu, Codec::G722, Codec::Opus] {
        let mut room = Room::new();
        room.wait(plain(codec));
        let ticks: Vec<_> = room.runs(1, Packets::None).into_iter().map(|run| run.tick).collect();
        let what = format!("a caller who waits with music in {}, {WAITING} of them", codec.name());
        cost_row(&what, Unit::Nanos, &ticks);
    }
    table("Media: memory in a bay");
    for kind in [pcmu, g722, opus, Kind { guard: Guard::Sdes(Suite::AesCm128HmacSha1_80), ..pcmu }] {
        memory(kind, pcmu);
    }
    memory(web(Codec::Opus), pcmu);
    table("Media: two clocks for eight hours");
    for ppm in [300, -300] {
        drift(ppm);
    }
    table("Media: threads and sockets");
    through_sockets();
}

/// How a far end of a leg speaks and protects what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    codec: Codec,
    guard: Guard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    None,
    Sdes(Suite),
    /// DTLS-SRTP over ICE on the shared port.
    Web,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packets {
    Come,
    None,
}

impl Kind {
    fn name(self) -> String {
        let codec = self.codec.name();
        match self.guard {
            Guard::None => codec.to_owned(),
            Guard::Sdes(suite) => format!("{codec} under {}", suite.name()),
            Guard::Web => format!("{codec} over DTLS-SRTP and ICE"),
        }
    }
}

/// Calls of legs of these kinds, in which everyone hears everyone else. A packet is costed by who
/// sent it; where all are of one kind, together.
fn talk(what: &str, kinds: &[Kind], recorded: Recorded) {
    let mut room = Room::new();
    (0..CALLS as u64).for_each(|call| room.call(call, kinds, recorded));
    let alike = kinds.iter().all(|kind| *kind == kinds[0]);
    let runs = room.runs(kinds.len(), Packets::Come);
    let comma = if what.is_empty() { "" } else { ", " };
    for (n, kind) in kinds.iter().enumerate() {
        let (name, costs): (_, Vec<_>) = if alike {
            (
                kind.name(),
                runs.iter().map(|run| run.packets.iter().copied().fold(Cost::default(), Cost::and)).collect(),
            )
        } else {
            let to = kinds[(n + 1) % kinds.len()];
            (format!("{} to {}", kind.name(), to.name()), runs.iter().map(|run| run.packets[n]).collect())
        };
        cost_row(&format!("{name}{comma}{what}"), Unit::Nanos, &costs);
        if alike {
            break;
        }
    }
    // Where sound is only passed on, a tick looks at the clock.
    if recorded == Recorded::Yes || kinds.len() > 2 {
        let ticks: Vec<_> = runs.iter().map(|run| run.tick).collect();
        let name = kinds[0].name();
        cost_row(&format!("{name}{comma}{what}: a leg's share of the tick"), Unit::Nanos, &ticks);
    }
}

/// What a leg of that kind takes that talks with one of the other.
fn memory(kind: Kind, other: Kind) {
    let mut room = Room::new();
    (0..CALLS as u64).for_each(|call| room.call(call, &[kind, other], Recorded::No));
    room.frame(2, Packets::Come, &mut Run::new(2));
    let full = heap();
    room.bay = Bay::new(Shard::FIRST, Mint::new([7; 32]), kit());
    let each = (full - heap()) as f64 / CALLS as f64;
    row(&format!("{} and the {} it talks with", kind.name(), other.name()), "octets", &[each]);
}

/// A sender whose clock is fast (positive) or slow, and whose packets come at once.
fn drift(ppm: i64) {
    const TICKS: u64 = 8 * 3600 * 50;
    let mut buffer = jitter::Buffer::<1>::default();
    let voice = Voice::of(Codec::Pcmu);
    let mut packet = [0; FRAME];
    let mut frame = [0; FRAME];
    let (mut sent, mut delays) = (0u64, vec![]);
    for tick in 0..TICKS {
        while sent * 1_000_000 <= tick * (1_000_000 + ppm).unsigned_abs() {
            let octets = voice.frame(sent as u32);
            packet.iter_mut().zip(octets).for_each(|(s, o)| *s = baton::audio::g711::ulaw_decode(*o));
            buffer.insert((sent * FRAME as u64) as u32, &packet);
            sent += 1;
        }
        buffer.read(&mut frame);
        // Of the first seconds the buffer learns.
        if tick % 50 == 0 && tick > 1000 {
            delays.push(buffer.delay().as_secs_f64() * 1e3);
        }
    }
    let counts = buffer.counts();
    let way = if ppm > 0 { "fast" } else { "slow" };
    let what = format!(
        "{} ppm {way}: delay ({} pitch periods left out or repeated; {} packets late, {} samples made up)",
        ppm.abs(),
        counts.changes,
        counts.late,
        counts.concealed
    );
    row(&what, "ms", &delays);
}

/// Counts what would be sent and recorded; keeps what is for a browser.
#[derive(Default)]
struct Sink {
    packets: u64,
    samples: u64,
    mail: Option<Vec<Vec<u8>>>,
}

impl Wire for Sink {
    fn send(&mut self, _: SocketId, channel: Channel, _: SocketAddr, bytes: &[u8]) {
        self.packets += u64::from(channel == Channel::Rtp);
        if let Some(mail) = &mut self.mail {
            mail.push(bytes.to_vec());
        }
        std::hint::black_box(bytes);
    }

    fn forward(&mut self, _: Shard, _: LegId, _: SocketAddr, _: &[u8]) {}
}

impl Tape for Sink {
    fn write(&mut self, _: RecordingId, samples: &[i16]) {
        self.samples += std::hint::black_box(samples).len() as u64;
    }

    fn finish(&mut self, _: RecordingId) {}
}

struct Room {
    bay: Bay,
    now: Mono,
    mint: Mint,
    sent: Sink,
    recorded: Sink,
    frame: u32,
    voices: [Voice; 4],
    fars: Vec<Far>,
    /// One for all browsers.
    certificate: Certificate,
}

/// The far end of a leg.
struct Far {
    kind: Kind,
    socket: SocketId,
    shield: Shield,
}

enum Shield {
    None,
    Sdes(Box<Protector>),
    Web(Box<Browser>),
}

/// What one run cost: packets by who of a call sent them, and the ticks.
struct Run {
    packets: Vec<Cost>,
    tick: Cost,
}

impl Run {
    fn new(roles: usize) -> Self {
        Self { packets: vec![Cost::default(); roles], tick: Cost::default() }
    }
}

fn peer(leg: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, (leg >> 8) as u8, leg as u8], 4000))
}

fn plan(leg: u64, socket: SocketId, remote: SocketAddr, codec: Codec) -> Plan {
    Plan {
        socket,
        path: Path::Symmetric { remote, remote_rtcp: SocketAddr::new(remote.ip(), remote.port() + 1) },
        keys: Keys::None,
        rtcp: Rtcp::Apart,
        metrics: Metrics::Unasked,
        codec,
        payload_type: codec.payload_type(),
        payload_type_in: codec.payload_type(),
        spares: [None; 2],
        events: Some(Events { sent: 101, received: 101, clock: codec.clock(), aside: None }),
        noise: None,
        opus: (codec == Codec::Opus).then_some(Opus {
            dtx: false,
            redundancy: true,
            bitrate: 32_000,
            rate: codec.rate(),
        }),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        ssrc: 0x5000 + leg as u32,
    }
}

fn music() -> Arc<[Arc<Prompt>]> {
    let samples: Vec<i16> = (0..80_000).map(|n| (n * 37 % 9000) as i16).collect();
    [Arc::new(Prompt::from_pcm(&samples))].into()
}

fn kit() -> Kit {
    Kit { tones: Arc::default(), certificate: Certificate::generate().expect("randomness") }
}

impl Room {
    fn new() -> Self {
        let kit = kit();
        let certificate = kit.certificate.clone();
        Self {
            bay: Bay::new(Shard::FIRST, Mint::new([7; 32]), kit),
            now: Mono::ZERO,
            mint: Mint::new([8; 32]),
            sent: Sink::default(),
            recorded: Sink::default(),
            frame: 0,
            voices: Codec::ALL.map(Voice::of),
            fars: vec![],
            certificate,
        }
    }

    fn tell(&mut self, command: Command) {
        self.bay.handle_command(self.now, command, &mut self.sent, &mut self.recorded);
    }

    fn open(&mut self, kind: Kind) -> LegId {
        let leg = self.fars.len() as u64;
        let mut plan = plan(leg, SocketId(leg as u32), peer(leg), kind.codec);
        let shield = match kind.guard {
            Guard::None => Shield::None,
            Guard::Sdes(suite) => {
                let octets = [leg as u8; Suite::LONGEST];
                let octets = &octets[..suite.key_length() + suite.salt_length()];
                let key = MasterKey::new(suite, octets).expect("just as long as the suite takes");
                plan.keys = Keys::Sdes { ours: key.clone(), theirs: key.clone() };
                Shield::Sdes(Box::new(Protector::new(&key)))
            }
            Guard::Web => {
                let browser = Browser::new(&mut self.mint, &self.certificate);
                plan.socket = SocketId::shared(Shard::FIRST);
                Shield::Web(Box::new(browser))
            }
        };
        let socket = plan.socket;
        match shield {
            Shield::Web(browser) => self.open_web(leg, plan, browser, kind),
            shield => {
                self.tell(Command::Open { leg: LegId(leg), plan });
                self.fars.push(Far { kind, socket, shield });
            }
        }
        LegId(leg)
    }

    fn open_web(&mut self, leg: u64, plan: Plan, mut browser: Box<Browser>, kind: Kind) {
        let answer = Description::new(&mut self.mint, &self.certificate);
        let offer = browser.offer().clone();
        let plan = Plan {
            path: Path::Ice { ours: answer.ice.clone(), theirs: offer.ice },
            keys: Keys::Dtls { theirs: offer.fingerprint, role: DtlsRole::Passive },
            rtcp: Rtcp::Muxed,
            metrics: Metrics::Unasked,
            ..plan
        };
        self.tell(Command::Open { leg: LegId(leg), plan });
        browser.answered(self.now, answer);
        while let Some(datagram) = browser.poll_transmit() {
            self.sent.mail = Some(vec![]);
            let mut buffer = [&datagram[..], &[0; OVERHEAD]].concat();
            let shared = SocketId::shared(Shard::FIRST);
            self.bay.handle_packet(
                self.now,
                shared,
                Channel::Rtp,
                peer(leg),
                &mut buffer,
                datagram.len(),
                &mut self.sent,
            );
            for mut reply in self.sent.mail.take().into_iter().flatten() {
                browser.receive(self.now, &mut reply);
            }
        }
        assert!(browser.is_connected(), "a browser comes through");
        self.fars.push(Far { kind, socket: SocketId::shared(Shard::FIRST), shield: Shield::Web(browser) });
    }

    fn call(&mut self, call: u64, kinds: &[Kind], recorded: Recorded) {
        let legs: Vec<_> = kinds.iter().map(|kind| self.open(*kind)).collect();
        for listener in &legs {
            let others = legs.iter().filter(|leg| *leg != listener);
            let sources = others.map(|leg| Source::Leg(*leg)).collect();
            self.tell(Command::Patch { listener: *listener, sources });
        }
        if recorded == Recorded::Yes {
            let recording = RecordingId(call);
            self.tell(Command::Record { recording, leg: legs[0] });
        }
    }

    fn wait(&mut self, kind: Kind) {
        let prompts = music();
        for _ in 0..WAITING {
            let leg = self.open(kind);
            let play = PlayId(leg.0);
            self.tell(Command::Play { play, prompts: prompts.clone(), repeat: Repeat::Forever });
            self.tell(Command::Patch { listener: leg, sources: vec![Source::Prompt(play)] });
        }
    }

    /// Costs a packet of each who speaks in a call of so many, and a tick and leg, of every run.
    fn runs(&mut self, roles: usize, packets: Packets) -> Vec<Run> {
        let mut run = |_| {
            let before = self.sent.packets;
            let mut run = Run::new(roles);
            (0..FRAMES).for_each(|_| self.frame(roles, packets, &mut run));
            let expected = self.fars.len() as u64 * u64::from(FRAMES);
            // Those of the first frames: a jitter buffer fills, an Opus frame of silence is not sent.
            let missing = expected.saturating_sub(self.sent.packets - before);
            assert!(missing * 10 < expected, "{missing} of {expected} packets were not sent");
            run
        };
        run(0);
        (0..RUNS).map(run).collect()
    }

    fn frame(&mut self, roles: usize, packets: Packets, run: &mut Run) {
        self.now += TICK;
        self.frame += 1;
        if packets == Packets::Come {
            for (role, cost) in run.packets.iter_mut().enumerate() {
                let mut come: Vec<_> =
                    (role..self.fars.len()).step_by(roles).map(|leg| self.packet(leg)).collect();
                cost.of_pieces(come.len() as u64, || {
                    for (leg, socket, length, bytes) in &mut come {
                        let (now, from) = (self.now, peer(*leg));
                        self.bay.handle_packet(
                            now,
                            *socket,
                            Channel::Rtp,
                            from,
                            bytes,
                            *length,
                            &mut self.sent,
                        );
                    }
                });
            }
        }
        let legs = self.fars.len() as u64;
        run.tick.of_pieces(legs, || self.bay.handle_timeout(self.now, &mut self.sent, &mut self.recorded));
        while self.bay.poll_event().is_some() {}
    }

    /// What a far end sends now: leg, socket, length and octets.
    fn packet(&mut self, leg: usize) -> (u64, SocketId, usize, [u8; LONGEST]) {
        let far = &mut self.fars[leg];
        let voice = self.voices.iter().find(|voice| voice.codec == far.kind.codec).expect("all are there");
        let mut bytes = [0; LONGEST];
        let length = voice.write(self.frame, leg as u32 + 1, voice.codec.payload_type(), &mut bytes);
        let length = match &mut far.shield {
            Shield::None => Some(length),
            Shield::Sdes(protector) => protector.protect(&mut bytes, length),
            Shield::Web(browser) => browser.protect(&mut bytes, length),
        };
        (leg as u64, far.socket, length.expect("there is room"), bytes)
    }
}

fn packet(sequence: u32, ssrc: u32) -> [u8; HEADER + FRAME] {
    let mut bytes = [0x55; HEADER + FRAME];
    bytes[..2].copy_from_slice(&[0x80, 0]);
    bytes[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
    bytes[4..8].copy_from_slice(&sequence.wrapping_mul(FRAME as u32).to_be_bytes());
    bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
    bytes
}

/// Seconds of a run through sockets, and how many runs.
const SECONDS: u32 = 2;
const SOCKET_RUNS: usize = 3;

/// The real thing: epoll, `recvfrom`, the bay, `sendto`. All of the media thread's processor time,
/// by the packets it received.
fn through_sockets() {
    for calls in [20, 100] {
        let what = format!("an RTP packet through the media thread and its sockets, {calls} calls");
        match relay_through_sockets(calls) {
            Ok(runs) => row(&what, "ns", &runs),
            Err(why) => no_row(&what, &why),
        }
    }
}

fn relay_through_sockets(calls: u64) -> std::io::Result<Vec<f64>> {
    let folder = std::env::temp_dir().join(format!("baton-bench-{}", std::process::id()));
    let legs = 2 * calls;
    let settings = Settings {
        shards: 1,
        address: [127, 0, 0, 1].into(),
        ports: 40_000..=49_999,
        web_port: 0,
        stock: legs as usize,
        recordings: Shelf { folder: folder.clone(), format: Format::Wav, floor: 0 },
        ..Settings::default()
    };
    let (reports, mut told) = mpsc::channel(4096);
    let mut media = Media::start(&settings, Clock::new(), &mut Mint::new([9; 32]), &reports)?;
    let peers = UdpSocket::bind(("127.0.0.1", 0))?;
    peers.set_nonblocking(true)?;
    let remote = peers.local_addr()?;
    let mut ports = vec![];
    while ports.len() < legs as usize {
        match told.blocking_recv() {
            Some(Report::Stocked { socket, address, .. }) => ports.push((socket, address)),
            Some(_) => {}
            None => return Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }
    for (leg, (socket, _)) in (0..).zip(&ports) {
        let plan = plan(leg, *socket, remote, Codec::Pcmu);
        let open = Command::Open { leg: LegId(leg), plan };
        let sources = vec![Source::Leg(LegId(leg ^ 1))];
        let patch = Command::Patch { listener: LegId(leg), sources };
        for command in [open, patch] {
            media.command(ShardId(0), command).map_err(|_| std::io::ErrorKind::WouldBlock)?;
        }
    }
    let mut sequence = 0;
    let mut run = |seconds: u32| {
        let (before, counts) = (thread_nanos("media-0")?, media.counts(ShardId(0)));
        let received = || counts.map_or(0, |counts| counts.received());
        let count = received();
        let begin = Instant::now();
        let mut buffer = [0; 2048];
        for slot in 0..seconds * 1000 {
            // A twentieth of the legs each millisecond, as calls come at any time.
            for leg in (0..legs).filter(|leg| leg % 20 == u64::from(slot % 20)) {
                let bytes = packet(sequence + slot / 20, leg as u32 + 1);
                let _ = peers.send_to(&bytes, ports[leg as usize].1);
            }
            while peers.recv(&mut buffer).is_ok() {}
            let next = begin + Duration::from_millis(u64::from(slot) + 1);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        sequence += seconds * 50;
        let nanos = thread_nanos("media-0")? - before;
        Ok(nanos as f64 / (received() - count).max(1) as f64)
    };
    run(1)?;
    let runs = (0..SOCKET_RUNS).map(|_| run(SECONDS)).collect();
    media.stop();
    let _ = std::fs::remove_dir_all(folder);
    runs
}

/// Processor time of the thread of that name in this process.
fn thread_nanos(name: &str) -> std::io::Result<u64> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == name {
            let spent = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos = spent.split(' ').next().and_then(|nanos| nanos.parse().ok());
            return nanos.ok_or_else(|| std::io::ErrorKind::InvalidData.into());
        }
    }
    Err(std::io::ErrorKind::NotFound.into())
}
