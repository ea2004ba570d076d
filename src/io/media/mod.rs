//! The media threads: each drives one [`Bay`] with sockets, a timer and a ring of commands. Beside
//! each, another thread writes what it records.
//!
//! Nothing is decided here. Each thread keeps a *stock* of bound socket pairs and tells of each
//! one ([`Report::Stocked`]), so that signalling can name a port without asking. A pair is used up
//! by [`Command::Open`] and its port rests after [`Command::Close`].
//!
//! A leg on a shared port may move from one thread to another ([`Command::Move`]). Then those two hand
//! each other what is for the other, by rings of their own.

mod neighbours;
mod poll;
mod shard;
mod stock;
mod tape;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc;

use self::neighbours::Neighbours;
use self::poll::{Bell, Epoll};
use self::shard::{Order, Shard};
use self::stock::Stock;
use self::tape::Writer;
pub use self::tape::{Alarms, Shelf};
use super::clock::Clock;
use crate::base::{ContactId, Fingerprint, Mint, Mono};
use crate::call::recording::Format;
use crate::media::dtls::Certificate;
use crate::media::{Bay, Command, Event, Kit, RecordingId, SocketId};

/// One media thread, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u32);

/// How the media threads are to be.
#[derive(Clone, Debug)]
pub struct Settings {
    pub shards: usize,
    /// Where sockets are bound; what peers are told may be another address.
    pub address: IpAddr,
    /// Shared among the shards. RTP takes an even port and RTCP the one above it.
    pub ports: RangeInclusive<u16>,
    /// The port that WebRTC legs share, the first shard's; the others have those above it. Zero: any.
    pub web_port: u16,
    /// Pairs each shard keeps ready: as many calls as may begin within a tenth of a second, and
    /// those that ring while their sockets are spoken for but not yet opened.
    pub stock: usize,
    /// From a leg's end until its port may be another's.
    pub rest: Duration,
    pub recordings: Shelf,
    /// Blocks of 20 ms of one recording that may wait for the disk, a shard: with their places in
    /// the rings 760 octets each. Of 8192 that is 6 MB, and 1.6 s of a hundred recordings.
    pub tape: usize,
    /// Of SCHED_RR, 1 to 99, where the system permits it.
    pub priority: u8,
}

/// What the media threads tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A pair is ready: RTP at `address`, RTCP one port above.
    Stocked {
        shard: ShardId,
        socket: SocketId,
        address: SocketAddr,
    },
    Event {
        shard: ShardId,
        event: Event,
    },
    /// The file is complete.
    Saved {
        recording: RecordingId,
        path: PathBuf,
        length: Duration,
    },
    /// The disk refused: the file has this much of it, and there is none if that is nothing.
    Spoiled {
        recording: RecordingId,
        error: io::ErrorKind,
        length: Duration,
    },
}

/// All media threads. Lives in the gateway's loop; dropping it stops them.
#[derive(Debug)]
pub struct Media {
    shards: Vec<Handle>,
    web: Vec<SocketAddr>,
    fingerprint: Fingerprint,
    writers: Vec<JoinHandle<()>>,
    alarms: Arc<Alarms>,
}

#[derive(Debug)]
struct Handle {
    orders: SyncSender<Order>,
    bell: Arc<Bell>,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
    /// Beats when [`Media::stalled`] last looked.
    seen: u64,
}

/// The thread's ring is full: it has not run for a very long time, or it is gone. An operator's
/// matter; the watchdog acts on it ([`Media::stalled`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck(pub ShardId);

/// What one shard did since its start. Written by its thread alone.
#[derive(Debug, Default)]
pub struct Counts {
    beats: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    unsent: AtomicU64,
    oversize: AtomicU64,
    forwarded: AtomicU64,
    unforwarded: AtomicU64,
    stocked: AtomicU64,
    unrecorded: AtomicU64,
}

/// Commands that may wait for a thread: ten for each of a thousand calls.
const RING: usize = 10_000;

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
            address: IpAddr::from([0, 0, 0, 0]),
            ports: 20_000..=29_999,
            web_port: 30_000,
            stock: 64,
            rest: Duration::from_secs(5),
            recordings: Shelf { folder: "recordings".into(), format: Format::Wav, floor: 0 },
            tape: 8192,
            priority: 10,
        }
    }
}

impl Media {
    /// Binds each shard's first stock and starts the threads.
    ///
    /// # Errors
    /// A shard has no port it can bind, or the folder of recordings cannot be made.
    pub fn start(
        settings: &Settings,
        clock: Clock,
        mint: &mut Mint,
        reports: &mpsc::Sender<Report>,
    ) -> io::Result<Self> {
        let certificate = Certificate::generate().map_err(io::Error::other)?;
        let fingerprint = certificate.fingerprint();
        let kit = Kit { tones: Arc::default(), certificate };
        let mut prepared = Vec::new();
        // Before anything is recorded anew.
        match tape::mend(&settings.recordings.folder)? {
            0 => {}
            mended => tracing::warn!(mended, "recordings were cut off when the last run ended"),
        }
        let alarms = Arc::new(Alarms::default());
        let mut writers = Vec::new();
        let mut doors = Vec::new();
        for n in 0..settings.shards.max(1) {
            let port = if settings.web_port == 0 { 0 } else { settings.web_port.saturating_add(n as u16) };
            let shared = stock::bind_shared(SocketAddr::new(settings.address, port))?;
            doors.push((shared, Arc::new(Bell::new()?)));
        }
        let web = doors.iter().map(|(shared, _)| shared.local_addr()).collect::<io::Result<_>>()?;
        let bells: Vec<_> = doors.iter().map(|(_, bell)| Arc::clone(bell)).collect();
        let shards = Neighbours::all(doors).into_iter().zip(bells).enumerate();
        for (n, ((neighbours, inbox), bell)) in shards {
            let counts = Arc::new(Counts::default());
            let (feed, outlet) = tape::ring(settings.tape, Arc::clone(&counts));
            let (shelf, alarms) = (settings.recordings.clone(), Arc::clone(&alarms));
            writers.push(Writer::new(shelf, outlet, reports.clone(), alarms)?);
            let ports = stock::ports(&settings.ports, n, settings.shards.max(1));
            let tries = ports.len();
            let mut mint = mint.fork();
            let (level, rest) = (settings.stock, settings.rest);
            let own = neighbours.own();
            let mut stock = Stock::new(
                Epoll::new()?,
                settings.address,
                neighbours,
                ports,
                level,
                rest,
                &mut mint,
                Arc::clone(&counts),
            )?;
            stock.fill(Mono::ZERO, tries)?;
            if counts.stocked() == 0 {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let (orders, ordered) = sync_channel(RING);
            let shard = Shard::new(
                ShardId(n as u32),
                clock,
                Bay::new(own, mint, kit.clone()),
                inbox,
                stock,
                feed,
                Arc::clone(&bell),
                ordered,
                reports.clone(),
                Arc::clone(&counts),
            )?;
            prepared.push((shard, orders, bell, counts));
        }
        let write = |(n, writer): (usize, Writer)| {
            thread::Builder::new().name(format!("recordings-{n}")).spawn(|| writer.run())
        };
        let writers = writers.into_iter().enumerate().map(write).collect::<io::Result<_>>()?;
        let mut media =
            Self { shards: Vec::with_capacity(prepared.len()), web, fingerprint, writers, alarms };
        for (n, (shard, orders, bell, counts)) in prepared.into_iter().enumerate() {
            let priority = settings.priority;
            let thread = thread::Builder::new().name(format!("media-{n}")).spawn(move || {
                match poll::hurry(priority) {
                    Ok(()) => tracing::info!(thread = n, priority, "media runs in real time (SCHED_RR)"),
                    Err(error) => tracing::warn!(
                        thread = n,
                        %error,
                        "media runs at ordinary priority: audio may stutter under load"
                    ),
                }
                shard.run();
            })?;
            media.shards.push(Handle { orders, bell, counts, thread, seen: 0 });
        }
        Ok(media)
    }

    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shards.len() as u32).map(ShardId)
    }

    /// Of each shard, where its WebRTC legs are reached.
    pub fn web(&self) -> &[SocketAddr] {
        &self.web
    }

    /// Of the certificate that all legs with DTLS show.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Hands a command to a shard, without waiting.
    ///
    /// # Errors
    /// The command is lost, and what it was for with it.
    pub fn command(&self, shard: ShardId, command: Command) -> Result<(), Stuck> {
        self.order(shard, Order::Command(command))
    }

    /// Whose recording this number will be: before it is commanded.
    pub fn label(&self, shard: ShardId, recording: RecordingId, contact: ContactId) {
        let _ = self.order(shard, Order::Label(recording, contact));
    }

    /// How recording fares.
    pub fn alarms(&self) -> Arc<Alarms> {
        Arc::clone(&self.alarms)
    }

    /// A stocked pair is spoken for, and will be opened or retired later: another may be stocked
    /// in its place already.
    pub fn take(&self, shard: ShardId, socket: SocketId) {
        let _ = self.order(shard, Order::Take(socket));
    }

    /// A pair that was told to a peer, but will not be opened: its port rests before it is used
    /// again.
    pub fn retire(&self, shard: ShardId, socket: SocketId) {
        let _ = self.order(shard, Order::Retire(socket));
    }

    /// The first shard that has not beaten since this was last asked. A shard beats ten times a
    /// second at the least, so ask no more than twice a second.
    pub fn stalled(&mut self) -> Option<ShardId> {
        let mut stalled = None;
        for (n, shard) in self.shards.iter_mut().enumerate() {
            let beats = shard.counts.beats();
            if beats == shard.seen {
                stalled = stalled.or(Some(ShardId(n as u32)));
            }
            shard.seen = beats;
        }
        stalled
    }

    /// What each thread did, by its number.
    pub fn all_counts(&self) -> Vec<Arc<Counts>> {
        self.shards.iter().map(|shard| Arc::clone(&shard.counts)).collect()
    }

    pub fn counts(&self, shard: ShardId) -> Option<&Counts> {
        self.shards.get(shard.0 as usize).map(|shard| &*shard.counts)
    }

    /// Stops the threads and ends all recordings: a moment, unless the disk is slow. What was
    /// saved is reported before this returns; commands are in vain from then on.
    pub fn stop(&mut self) {
        let mut threads = Vec::new();
        for Handle { orders, bell, thread, .. } in self.shards.drain(..) {
            drop(orders);
            bell.ring();
            threads.push(thread);
        }
        // The writers last: they end when they have.
        for thread in threads.into_iter().chain(self.writers.drain(..)) {
            let _ = thread.join();
        }
    }

    fn order(&self, shard: ShardId, order: Order) -> Result<(), Stuck> {
        let handle = self.shards.get(shard.0 as usize).ok_or(Stuck(shard))?;
        let sent = handle.orders.try_send(order).map_err(|_| Stuck(shard));
        handle.bell.ring();
        sent
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Counts {
    /// Ticks and chores done: stands still when the thread does.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// Packets, RTP and RTCP, that came.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Packets the kernel would not send, or that had nowhere to go.
    pub fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    /// Datagrams too long to be audio.
    pub fn oversize(&self) -> u64 {
        self.oversize.load(Ordering::Relaxed)
    }

    /// Packets that went after a leg which moved to another shard.
    pub fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }

    /// Packets for which that shard had no room.
    pub fn unforwarded(&self) -> u64 {
        self.unforwarded.load(Ordering::Relaxed)
    }

    /// Pairs ready now.
    pub fn stocked(&self) -> u64 {
        self.stocked.load(Ordering::Relaxed)
    }

    /// Blocks of 20 ms lost because the disk was too slow.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    /// One more. Only one thread writes, so nothing is lost between reading and writing.
    fn add(count: &AtomicU64) {
        Self::set(count, count.load(Ordering::Relaxed).wrapping_add(1));
    }

    fn set(count: &AtomicU64, value: u64) {
        count.store(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::UdpSocket;

    use super::*;
    use crate::audio::wav;
    use crate::base::Codec;
    use crate::base::{IceCredentials, LegId};
    use crate::call::recording::file_name;
    use crate::media::{self, Direction, Events, Keys, Metrics, Path, Plan, Rtcp, Source};
    use crate::rtp::stun::{self, Class, Draft, Password, Role, Transaction};

    const CALLER: LegId = LegId(1);
    const AGENT: LegId = LegId(2);
    const SHARD: ShardId = ShardId(0);

    struct Scene {
        media: Option<Media>,
        reports: mpsc::Receiver<Report>,
        /// Told of while another shard's were waited for.
        pairs: Vec<(ShardId, SocketId, SocketAddr)>,
        folder: PathBuf,
    }

    /// The far end of a leg.
    struct Phone {
        socket: UdpSocket,
        ours: SocketAddr,
        sequence: u16,
    }

    impl Scene {
        fn new(name: &str, stock: usize, room: usize) -> Self {
            Self::of(1, name, stock, room)
        }

        fn of(shards: usize, name: &str, stock: usize, room: usize) -> Self {
            let folder = std::env::temp_dir().join(format!("baton-media-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            let settings = Settings {
                shards,
                address: [127, 0, 0, 1].into(),
                stock,
                ports: 30_000..=39_999,
                web_port: 0,
                recordings: Shelf { folder: folder.clone(), format: Format::Wav, floor: 0 },
                tape: 256,
                ..Settings::default()
            };
            let (reports, told) = mpsc::channel(room);
            // Ports of its own for each test and process: they run beside each other.
            let mut seed = [name.len() as u8; 32];
            seed[..4].copy_from_slice(&std::process::id().to_le_bytes());
            let mut mint = Mint::new(seed);
            let media = Media::start(&settings, Clock::new(), &mut mint, &reports).unwrap();
            Self { media: Some(media), reports: told, pairs: vec![], folder }
        }

        fn media(&mut self) -> &mut Media {
            self.media.as_mut().unwrap()
        }

        async fn told(&mut self) -> Report {
            within(self.reports.recv()).await.unwrap()
        }

        async fn stocked(&mut self) -> (SocketId, SocketAddr) {
            self.stocked_at(SHARD).await
        }

        async fn stocked_at(&mut self, at: ShardId) -> (SocketId, SocketAddr) {
            loop {
                if let Some(n) = self.pairs.iter().position(|(shard, ..)| *shard == at) {
                    let (_, socket, address) = self.pairs.remove(n);
                    return (socket, address);
                }
                if let Report::Stocked { shard, socket, address } = self.told().await {
                    self.pairs.push((shard, socket, address));
                }
            }
        }

        async fn event(&mut self) -> Event {
            loop {
                if let Report::Event { event, .. } = self.told().await {
                    return event;
                }
            }
        }

        async fn saved(&mut self) -> (PathBuf, Duration) {
            loop {
                if let Report::Saved { path, length, .. } = self.told().await {
                    return (path, length);
                }
            }
        }

        fn order(&mut self, command: Command) {
            self.order_at(SHARD, command);
        }

        fn order_at(&mut self, shard: ShardId, command: Command) {
            self.media().command(shard, command).unwrap();
        }

        /// Opens a leg toward a phone of its own.
        async fn open(&mut self, leg: LegId) -> Phone {
            self.open_at(SHARD, leg).await
        }

        async fn open_at(&mut self, shard: ShardId, leg: LegId) -> Phone {
            let (stocked, ours) = self.stocked_at(shard).await;
            let phone = Phone::new(ours);
            let remote = phone.socket.local_addr().unwrap();
            let remote_rtcp = SocketAddr::new(remote.ip(), remote.port() + 1);
            let plan = plan(stocked, Path::Symmetric { remote, remote_rtcp });
            self.order_at(shard, Command::Open { leg, plan });
            phone
        }

        /// Two legs at a shard hear each other.
        fn connect(&mut self, shard: ShardId, a: LegId, b: LegId) {
            for (listener, source) in [(a, b), (b, a)] {
                self.order_at(shard, Command::Patch { listener, sources: vec![Source::Leg(source)] });
            }
        }
    }

    fn plan(socket: SocketId, path: Path) -> Plan {
        Plan {
            socket,
            path,
            keys: Keys::None,
            rtcp: Rtcp::Apart,
            metrics: Metrics::Unasked,
            codec: Codec::Pcmu,
            payload_type: 0,
            payload_type_in: 0,
            spares: [None; 2],
            events: Some(Events { sent: 101, received: 101, clock: 8000, aside: None }),
            noise: None,
            opus: None,
            ptime_ms: 20,
            direction: Direction::SendRecv,
            ssrc: 7,
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            self.media.take();
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    impl Phone {
        /// Which talks to this address of ours.
        fn new(ours: SocketAddr) -> Self {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            Self { socket, ours, sequence: 0 }
        }

        /// Asks by STUN whether it may use the path, and is answered that it may.
        fn check(&self, (ours, theirs): (&IceCredentials, &IceCredentials)) {
            let mut buffer = [0; 256];
            let request = Draft::new(&mut buffer, Class::Request, Transaction([3; 12]))
                .username(&ours.ufrag, &theirs.ufrag)
                .role(Role::Controlling(7))
                .nominate()
                .sign(&Password::new(ours.password.as_bytes()));
            self.socket.send_to(request.finish().unwrap(), self.ours).unwrap();
            let mut reply = [0; 2048];
            let (length, from) = self.socket.recv_from(&mut reply).unwrap();
            let reply = stun::parse(&reply[..length]).unwrap();
            assert_eq!((reply.class, from), (Class::Success, self.ours));
        }

        fn say(&mut self, octet: u8) {
            self.sequence += 1;
            let mut packet = vec![0x80, 0];
            packet.extend(self.sequence.to_be_bytes());
            packet.extend((u32::from(self.sequence) * 160).to_be_bytes());
            packet.extend([0, 0, 0, 9]);
            packet.extend([octet; 160]);
            self.socket.send_to(&packet, self.ours).unwrap();
        }

        fn hear(&self) -> (Vec<u8>, SocketAddr) {
            let mut buffer = [0; 2048];
            let (length, from) = self.socket.recv_from(&mut buffer).unwrap();
            (buffer[12..length].to_vec(), from)
        }
    }

    async fn within<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
    }

    #[tokio::test]
    async fn a_stock_is_told_of_and_filled_up_as_it_is_used() {
        let mut scene = Scene::new("stock", 3, 64);
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let (socket, address) = scene.stocked().await;
            assert!(seen.insert(socket) && address.port() % 2 == 0);
        }
        scene.media().take(SHARD, SocketId(0));
        assert!(seen.insert(scene.stocked().await.0));
        scene.media().retire(SHARD, SocketId(1));
        // The number may be given again, but not the port.
        scene.stocked().await;
    }

    #[tokio::test]
    async fn two_phones_hear_each_other_through_their_legs() {
        let mut scene = Scene::new("talk--", 4, 64);
        let (mut caller, mut agent) = (scene.open(CALLER).await, scene.open(AGENT).await);
        scene.order(Command::Patch { listener: CALLER, sources: vec![Source::Leg(AGENT)] });
        scene.order(Command::Patch { listener: AGENT, sources: vec![Source::Leg(CALLER)] });
        // What was ordered before a packet was sent is done before it is looked at.
        caller.say(0x11);
        agent.say(0x22);
        assert_eq!(agent.hear(), (vec![0x11; 160], agent.ours));
        assert_eq!(caller.hear(), (vec![0x22; 160], caller.ours));
        assert!(scene.media().counts(SHARD).unwrap().received() >= 2);
    }

    #[tokio::test]
    async fn a_leg_that_moved_to_another_thread_is_heard_and_hears_there() {
        let mut scene = Scene::of(2, "moved----------------", 4, 64);
        let other = ShardId(1);
        let shards = [0, 1].map(|n| media::Shard::new(n).unwrap());
        let ours = shards[0].credentials(&mut Mint::new([9; 32]));
        let theirs = IceCredentials { ufrag: "page".into(), password: "of its own, and long".into() };
        let plan =
            plan(SocketId::shared(shards[0]), Path::Ice { ours: ours.clone(), theirs: theirs.clone() });
        scene.order(Command::Open { leg: AGENT, plan });
        let web = scene.media().web()[0];
        let mut agent = Phone::new(web);
        agent.check((&ours, &theirs));
        let mut far = scene.open_at(other, CALLER).await;
        scene.order_at(other, Command::Await { leg: AGENT });
        scene.order(Command::Move { leg: AGENT, to: shards[1] });
        scene.connect(other, CALLER, AGENT);
        agent.say(0x11);
        assert_eq!(far.hear(), (vec![0x11; 160], far.ours));
        far.say(0x22);
        assert_eq!(agent.hear(), (vec![0x22; 160], web));

        // From another address, which its home has learnt by the second answer.
        let mut agent = Phone { sequence: agent.sequence, ..Phone::new(web) };
        agent.check((&ours, &theirs));
        agent.check((&ours, &theirs));
        agent.say(0x33);
        assert_eq!(far.hear().0, [0x33; 160]);
        let forwarded = scene.media().counts(SHARD).unwrap().forwarded();
        assert_eq!(forwarded, 4);

        let third = LegId(3);
        let mut near = scene.open(third).await;
        scene.order(Command::Await { leg: AGENT });
        scene.order_at(other, Command::Move { leg: AGENT, to: shards[0] });
        scene.connect(SHARD, third, AGENT);
        near.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        // Until the leg is home again, what comes goes where it was.
        let came = (0..500).any(|_| {
            agent.say(0x44);
            near.socket.peek(&mut [0; 2048]).is_ok()
        });
        assert!(came);
        near.say(0x55);
        assert_eq!((near.hear().0, agent.hear().0), (vec![0x44; 160], vec![0x55; 160]));
    }

    #[tokio::test]
    async fn a_closed_leg_is_told_of_and_its_socket_is_gone() {
        let mut scene = Scene::new("closed--", 2, 64);
        let caller = scene.open(CALLER).await;
        scene.order(Command::Close { leg: CALLER });
        let event = scene.event().await;
        assert!(matches!(event, Event::Closed { leg: CALLER, .. }), "{event:?}");
        caller.socket.connect(caller.ours).unwrap();
        caller.socket.send(b"too late").unwrap();
        let refused = std::iter::repeat_with(|| caller.socket.recv(&mut [0; 64])).find_map(Result::err);
        assert_eq!(refused.map(|error| error.kind()), Some(io::ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn what_is_recorded_is_saved_whole() {
        let mut scene = Scene::new("recorded--", 2, 64);
        let mut caller = scene.open(CALLER).await;
        let recording = RecordingId(5);
        scene.media().label(SHARD, recording, ContactId(9));
        scene.order(Command::Record { recording, leg: CALLER });
        for _ in 0..15 {
            let beats = scene.media().counts(SHARD).unwrap().beats();
            caller.say(0x00);
            within(async {
                while scene.media().counts(SHARD).unwrap().beats() == beats {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        scene.order(Command::Finish { recording });
        let recorded = loop {
            if let Event::Recorded { length, .. } = scene.event().await {
                break length;
            }
        };
        let (path, length) = scene.saved().await;
        assert_eq!(length, recorded);
        assert_eq!(path, scene.folder.join(file_name(ContactId(9), recording, Format::Wav)));
        let sound = wav::read(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(Duration::from_micros(sound.len() as u64 * 125), length);
        assert!(sound.iter().any(|sample| *sample != 0), "something was heard");
    }

    #[tokio::test]
    async fn stopping_saves_what_is_still_being_recorded() {
        let mut scene = Scene::new("stopping----", 2, 64);
        scene.open(CALLER).await;
        scene.order(Command::Record { recording: RecordingId(6), leg: CALLER });
        let ticks = scene.media().counts(SHARD).unwrap().beats() + 10;
        within(async {
            while scene.media().counts(SHARD).unwrap().beats() < ticks {
                tokio::task::yield_now().await;
            }
        })
        .await;
        scene.media().stop();
        assert!(scene.saved().await.1 >= Duration::from_millis(40));
    }

    #[tokio::test]
    async fn a_shard_that_runs_is_not_stalled_and_one_that_does_not_is() {
        let mut scene = Scene::new("stalled-------", 2, 64);
        let beats = scene.media().counts(SHARD).unwrap().beats();
        within(async {
            while scene.media().counts(SHARD).unwrap().beats() == beats {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(scene.media().stalled(), None);
        let seen = scene.media().counts(SHARD).unwrap().beats();
        let again = scene.media().stalled();
        if scene.media().counts(SHARD).unwrap().beats() == seen {
            assert_eq!(again, Some(SHARD));
        }
    }

    #[tokio::test]
    async fn reports_wait_for_a_gateway_that_is_slow_to_take_them() {
        let mut scene = Scene::new("slow------------", 20, 1);
        let mut seen = BTreeSet::new();
        for _ in 0..20 {
            assert!(seen.insert(scene.stocked().await.0));
        }
    }

    #[test]
    fn no_port_at_all_is_an_error_at_the_start() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port() & !1;
        let settings = Settings {
            shards: 1,
            address: [127, 0, 0, 1].into(),
            ports: port..=port + 1,
            recordings: Shelf { folder: std::env::temp_dir(), format: Format::Wav, floor: 0 },
            ..Settings::default()
        };
        let (reports, _told) = mpsc::channel(1);
        let error = Media::start(&settings, Clock::new(), &mut Mint::new([0; 32]), &reports).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
