//! What a packet costs on its way through a bay, and through a media thread with its sockets; what
//! a waiting caller costs each tick.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton::base::{LegId, Mint, Mono, PlayId};
use baton::io::clock::Clock;
use baton::io::media::{Media, Report, Settings, ShardId};
use baton::media::{
    Bay, Channel, Command, Direction, FRAME, Law, Plan, Prompt, RecordingId, Repeat, SocketId, Source, TICK,
    Tape, Wire,
};
use tokio::sync::mpsc;

use crate::measure::{Cost, RUNS, Unit, cost_row, no_row, row, table};

/// Calls of two legs in a bay, and frames of 20 ms in a run.
const CALLS: u64 = 100;
const FRAMES: usize = 50;
const WAITING: u64 = 500;

pub fn measure() {
    table("Media");
    let relays = [
        ("an RTP packet relayed, same law", Law::Mu, None),
        ("an RTP packet relayed, other law", Law::A, None),
        ("an RTP packet relayed and recorded", Law::Mu, Some(())),
    ];
    for (what, law, recorded) in relays {
        let mut room = Room::new(Mono::ZERO);
        room.talk(law, recorded.is_some());
        let (packets, ticks) = room.runs(2 * CALLS, Packets::Come);
        cost_row(what, Unit::Nanos, &packets);
        cost_row(&format!("{what}: its share of the tick"), Unit::Nanos, &ticks);
    }
    let mut room = Room::new(Mono::ZERO);
    room.wait();
    let (_, ticks) = room.runs(WAITING, Packets::None);
    cost_row(&format!("a tick of a caller who waits with music, {WAITING} of them"), Unit::Nanos, &ticks);
    through_sockets();
}

/// Counts what would be sent and recorded.
#[derive(Default)]
struct Sink {
    packets: u64,
    samples: u64,
}

impl Wire for Sink {
    fn send(&mut self, _: SocketId, channel: Channel, _: SocketAddr, bytes: &[u8]) {
        self.packets += u64::from(channel == Channel::Rtp);
        std::hint::black_box(bytes);
    }
}

impl Tape for Sink {
    fn write(&mut self, _: RecordingId, samples: &[i16]) {
        self.samples += std::hint::black_box(samples).len() as u64;
    }

    fn finish(&mut self, _: RecordingId) {}
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Packets {
    Come,
    None,
}

struct Room {
    bay: Bay,
    now: Mono,
    sent: Sink,
    recorded: Sink,
    sequence: u32,
    laws: Vec<Law>,
}

fn peer(leg: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, (leg >> 8) as u8, leg as u8], 4000))
}

fn payload_type(law: Law) -> u8 {
    match law {
        Law::Mu => 0,
        Law::A => 8,
    }
}

fn plan(leg: u64, socket: SocketId, remote: SocketAddr, law: Law) -> Plan {
    Plan {
        socket,
        remote,
        remote_rtcp: SocketAddr::new(remote.ip(), remote.port() + 1),
        law,
        payload_type: payload_type(law),
        events: Some(101),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        ssrc: 0x5000 + leg as u32,
    }
}

fn packet(sequence: u32, ssrc: u32, law: Law) -> [u8; 12 + FRAME] {
    let mut bytes = [0x55; 12 + FRAME];
    bytes[..2].copy_from_slice(&[0x80, payload_type(law)]);
    bytes[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
    bytes[4..8].copy_from_slice(&sequence.wrapping_mul(FRAME as u32).to_be_bytes());
    bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
    bytes
}

fn music() -> Arc<[Arc<Prompt>]> {
    let samples: Vec<i16> = (0..80_000).map(|n| (n * 37 % 9000) as i16).collect();
    [Arc::new(Prompt::from_pcm(&samples))].into()
}

impl Room {
    fn new(now: Mono) -> Self {
        let (sent, recorded) = Default::default();
        Self { bay: Bay::new(Mint::new([7; 32])), now, sent, recorded, sequence: 0, laws: vec![] }
    }

    fn tell(&mut self, command: Command) {
        self.bay.handle_command(self.now, command, &mut self.sent, &mut self.recorded);
    }

    fn open(&mut self, law: Law) -> u64 {
        let leg = self.laws.len() as u64;
        self.laws.push(law);
        let plan = plan(leg, SocketId(leg as u32), peer(leg), law);
        self.tell(Command::Open { leg: LegId(leg), plan });
        leg
    }

    /// Calls, each between a leg of µ-law and one of `law`.
    fn talk(&mut self, law: Law, recorded: bool) {
        for call in 0..CALLS {
            let legs = [LegId(self.open(Law::Mu)), LegId(self.open(law))];
            for (listener, source) in [(legs[0], legs[1]), (legs[1], legs[0])] {
                self.tell(Command::Patch { listener, sources: vec![Source::Leg(source)] });
            }
            if recorded {
                let recording = RecordingId(call);
                self.tell(Command::Record { recording, left: legs[0], right: Some(legs[1]) });
            }
        }
    }

    fn wait(&mut self) {
        let prompts = music();
        for _ in 0..WAITING {
            let leg = self.open(Law::Mu);
            let play = PlayId(leg);
            self.tell(Command::Play { play, prompts: prompts.clone(), repeat: Repeat::Forever });
            self.tell(Command::Patch { listener: LegId(leg), sources: vec![Source::Prompt(play)] });
        }
    }

    /// Costs a packet, and costs a tick and leg, of every run.
    fn runs(&mut self, legs: u64, packets: Packets) -> (Vec<Cost>, Vec<Cost>) {
        let mut run = |_| {
            let (mut receiving, mut ticking) = Default::default();
            (0..FRAMES).for_each(|_| self.frame(legs, packets, &mut receiving, &mut ticking));
            (receiving, ticking)
        };
        run(0);
        (0..RUNS).map(run).unzip()
    }

    fn frame(&mut self, legs: u64, packets: Packets, receiving: &mut Cost, ticking: &mut Cost) {
        self.now += TICK;
        self.sequence += 1;
        let before = self.sent.packets;
        if packets == Packets::Come {
            let come = |leg: u64| packet(self.sequence, leg as u32 + 1, self.laws[leg as usize]);
            let mut come: Vec<_> = (0..legs).map(come).collect();
            receiving.of_pieces(legs, || {
                for (leg, bytes) in (0..).zip(&mut come) {
                    let socket = SocketId(leg as u32);
                    self.bay.handle_packet(self.now, socket, Channel::Rtp, peer(leg), bytes, &mut self.sent);
                }
            });
        }
        ticking.of_pieces(legs, || self.bay.handle_timeout(self.now, &mut self.sent, &mut self.recorded));
        // The first frame of music is heard at the tick after it was asked for.
        assert!(self.sent.packets == before + legs || self.sequence == 1, "a packet for each leg and frame");
        while self.bay.poll_event().is_some() {}
    }
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
        stock: legs as usize,
        recordings: folder.clone(),
        ..Settings::default()
    };
    let (reports, mut told) = mpsc::channel(4096);
    let media = Media::start(&settings, Clock::new(), &mut Mint::new([9; 32]), &reports)?;
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
        let plan = plan(leg, *socket, remote, Law::Mu);
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
                let bytes = packet(sequence + slot / 20, leg as u32 + 1, Law::Mu);
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
