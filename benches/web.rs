//! Many browsers, each in a call of its own that gives them back what they say: how soon they are
//! connected, what they cost, and how much room they take.
//!
//! Answering runs in a process of its own, so that its processor time and its memory are its own:
//! this program again, as media threads with nothing over them. [`Door`] is what stands for
//! signalling.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command as Program, ExitCode, Stdio};
use std::time::Duration;

use baton::base::{Codec, DtlsRole, Fingerprint, IceCredentials, LegId, Mint, Mono};
use baton::call::recording::Format;
use baton::io::clock::Clock;
use baton::io::media::{Media, Settings, ShardId, Shelf};
use baton::media::dtls::Certificate;
use baton::media::{
    Command, Direction, Events, Keys, Metrics, Opus, Path, Plan, Rtcp, Shard, SocketId, Source,
};
use baton::rtp::packet::HEADER;
use tokio::sync::mpsc;

use crate::browser::{Browser, Description};
use crate::measure::{no_row, percentile, row, table, wall_nanos};
use crate::process::Process;
use crate::socket::{self, Socket};
use crate::sound::{LONGEST, Voice};

const BROWSERS: usize = 200;
/// From one that calls to the next.
const APART: Duration = Duration::from_millis(25);
const WINDOWS: usize = 3;
const WINDOW: Duration = Duration::from_secs(3);
/// RTCP of each browser.
const REPORTS: u64 = 5_000_000_000;

/// The word by which this program is the one that answers.
pub const SERVE: &str = "--serve-browsers";

pub fn measure() {
    table("Browsers, each heard by itself");
    if let Err(error) = browsers() {
        no_row("browsers", &error);
    }
}

fn browsers() -> io::Result<()> {
    let mut crowd = Crowd::new()?;
    // What is made once is made.
    crowd.call()?;
    crowd.run(Duration::from_millis(500));
    let before = crowd.door.process.memory()?;
    crowd.took.clear();
    for _ in 0..BROWSERS {
        crowd.call()?;
        crowd.run(APART);
    }
    crowd.run(Duration::from_millis(500));
    let connected = crowd.took.len();
    let lost =
        if connected < BROWSERS { format!(" ({connected} of them came through)") } else { String::new() };
    for percent in [50, 99] {
        let what = format!("from offer to keys, {BROWSERS} browsers: p{percent}{lost}");
        row(&what, "ms", &[percentile(&crowd.took, percent)]);
    }
    crowd.speaking = true;
    crowd.run(Duration::from_secs(1));
    crowd.echoes.clear();
    (crowd.sent, crowd.late) = (0, 0);
    let mut shares = vec![];
    for _ in 0..WINDOWS {
        let cpu = crowd.door.process.cpu()?;
        crowd.run(WINDOW);
        let spent = crowd.door.process.cpu()? - cpu;
        shares.push(spent.as_secs_f64() / WINDOW.as_secs_f64() * 100.0 / connected as f64);
    }
    let missing = crowd.sent.saturating_sub(crowd.echoes.len());
    let mut doubts = String::new();
    if missing * 1000 > crowd.sent {
        doubts = format!(" ({missing} of {} packets missing)", crowd.sent);
    }
    if crowd.late * 100 > crowd.sent {
        doubts += " (packets sent late: the machine is too busy)";
    }
    row(&format!("CPU of each that talks, Opus, 50 packets a second either way{doubts}"), "%", &shares);
    for percent in [50, 99] {
        row(&format!("there and back: p{percent}"), "ms", &[percentile(&crowd.echoes, percent)]);
    }
    let kib = (crowd.door.process.memory()? - before) as f64 / 1024.0 / connected as f64;
    row(&format!("memory of each, {connected} that talked"), "KiB", &[kib]);
    Ok(())
}

struct Crowd {
    door: Door,
    certificate: Certificate,
    mint: Mint,
    voice: Voice,
    browsers: Vec<Seat>,
    speaking: bool,
    /// When the next twentieth of them speaks, and the how manieth that is.
    lot: (u64, u64),
    /// Milliseconds from offer to keys.
    took: Vec<f64>,
    /// And from saying something to hearing it.
    echoes: Vec<f64>,
    sent: usize,
    late: usize,
}

/// A browser at its socket.
struct Seat {
    socket: Socket,
    browser: Browser,
    door: SocketAddr,
    began: u64,
    connected: bool,
    report_at: u64,
    packets: u32,
}

impl Crowd {
    fn new() -> io::Result<Self> {
        Ok(Self {
            door: Door::open()?,
            certificate: Certificate::generate().map_err(io::Error::other)?,
            mint: Mint::new([3; 32]),
            voice: Voice::of(Codec::Opus),
            browsers: vec![],
            speaking: false,
            lot: (0, 0),
            took: vec![],
            echoes: vec![],
            sent: 0,
            late: 0,
        })
    }

    /// One more browser calls.
    fn call(&mut self) -> io::Result<()> {
        let socket = Socket::bind("127.0.0.1")?;
        let mut browser = Browser::new(&mut self.mint, &self.certificate);
        let began = wall_nanos();
        let (answer, door) = self.door.call(browser.offer())?;
        browser.answered(Mono::from_nanos(wall_nanos()), answer);
        let report_at = began + self.browsers.len() as u64 * 37_000_000 % REPORTS;
        let mut seat = Seat { socket, browser, door, began, connected: false, report_at, packets: 0 };
        seat.post();
        self.browsers.push(seat);
        Ok(())
    }

    /// Lets that much time pass.
    fn run(&mut self, span: Duration) {
        let end = wall_nanos() + span.as_nanos() as u64;
        self.lot.0 = self.lot.0.max(end - span.as_nanos() as u64);
        let mut look_at = 0;
        loop {
            let now = wall_nanos();
            if now >= end {
                return;
            }
            if self.speaking && self.lot.0 <= now {
                self.speak(now);
            }
            if look_at <= now {
                look_at = now + 10_000_000;
                self.look(now);
            }
            let lot = if self.speaking { self.lot.0 } else { u64::MAX };
            let mut ready: Vec<_> = self.browsers.iter().map(|seat| seat.socket.poll()).collect();
            socket::wait(&mut ready, end.min(lot).min(look_at));
            for (n, _) in ready.iter().enumerate().filter(|(_, ready)| ready.revents != 0) {
                self.receive(n);
            }
        }
    }

    /// A twentieth of them each millisecond.
    fn speak(&mut self, now: u64) {
        let (at, lot) = self.lot;
        self.lot = (at + 1_000_000, lot + 1);
        let frame = (lot / 20) as u32;
        let late = now - at > 5_000_000;
        for (n, seat) in self.browsers.iter_mut().enumerate().skip((lot % 20) as usize).step_by(20) {
            let mut packet = [0; LONGEST];
            let payload_type = Codec::Opus.payload_type();
            let length = self.voice.write(frame, n as u32 + 1, payload_type, &mut packet);
            packet[HEADER + 1..HEADER + 9].copy_from_slice(&wall_nanos().to_be_bytes());
            if let Some(length) = seat.browser.protect(&mut packet, length) {
                self.sent += usize::from(seat.socket.send(&packet[..length], seat.door));
                self.late += usize::from(late);
                seat.packets += 1;
            }
        }
    }

    /// What is due by the clock.
    fn look(&mut self, now: u64) {
        for (n, seat) in self.browsers.iter_mut().enumerate() {
            let mono = Mono::from_nanos(now);
            seat.browser.handle_timeout(mono);
            if seat.report_at <= now {
                seat.report_at += REPORTS;
                seat.browser.report(mono, n as u32 + 1, seat.packets);
            }
            seat.post();
        }
    }

    fn receive(&mut self, n: usize) {
        let seat = &mut self.browsers[n];
        let mut buffer = [0; 2048];
        while let Some((length, _, stamp)) = seat.socket.receive(&mut buffer) {
            let heard = seat.browser.receive(Mono::from_nanos(wall_nanos()), &mut buffer[..length]);
            let said = heard.and_then(|length| buffer[..length].get(HEADER + 1..)?.first_chunk());
            if let Some(said) = said {
                self.echoes.push(stamp.saturating_sub(u64::from_be_bytes(*said)) as f64 / 1e6);
            }
            seat.post();
            if seat.browser.is_connected() && !seat.connected {
                seat.connected = true;
                self.took.push((wall_nanos() - seat.began) as f64 / 1e6);
            }
        }
    }
}

impl Seat {
    /// Sends what the browser has to send.
    fn post(&mut self) {
        while let Some(datagram) = self.browser.poll_transmit() {
            self.socket.send(&datagram, self.door);
        }
    }
}

/// Where browsers call: an offer in, an answer out, each a line.
struct Door {
    process: Process,
    offers: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Door {
    fn open() -> io::Result<Self> {
        let mut child = Program::new(std::env::current_exe()?)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let offers = child.stdin.take().ok_or_else(broken)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(broken)?);
        Ok(Self { process: Process(child), offers, answers })
    }

    /// The answer to that offer, and where it is to be reached.
    fn call(&mut self, offer: &Description) -> io::Result<(Description, SocketAddr)> {
        writeln!(self.offers, "{}", write(offer))?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer = || {
            let (description, address) = line.trim().rsplit_once(' ')?;
            Some((read(description)?, address.parse().ok()?))
        };
        answer().ok_or_else(|| io::Error::other("whoever answers browsers is gone"))
    }
}

fn write(description: &Description) -> String {
    let Description { ice, fingerprint } = description;
    format!("{} {} {fingerprint}", ice.ufrag, ice.password)
}

fn read(line: &str) -> Option<Description> {
    let mut words = line.split(' ');
    let ice = IceCredentials { ufrag: words.next()?.into(), password: words.next()?.into() };
    let mut fingerprint = [0; 32];
    for (octet, pair) in fingerprint.iter_mut().zip(words.next()?.split(':')) {
        *octet = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(Description { ice, fingerprint: Fingerprint(fingerprint) })
}

/// The end that answers, until nobody calls any more.
pub fn serve() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> io::Result<()> {
    let folder = std::env::temp_dir().join(format!("baton-bench-{}", std::process::id()));
    let settings = Settings {
        shards: 1,
        address: [127, 0, 0, 1].into(),
        ports: 40_000..=49_999,
        web_port: 0,
        stock: 1,
        recordings: Shelf { folder: folder.clone(), format: Format::Wav, floor: 0 },
        ..Settings::default()
    };
    let (reports, mut told) = mpsc::channel(4096);
    let mut mint = Mint::new([5; 32]);
    let mut media = Media::start(&settings, Clock::new(), &mut mint, &reports)?;
    std::thread::spawn(move || while told.blocking_recv().is_some() {});
    let mut out = io::stdout();
    for (leg, line) in (1..).zip(io::stdin().lines()) {
        let offer = read(&line?).ok_or(io::ErrorKind::InvalidData)?;
        let ice = IceCredentials { ufrag: mint.hex::<4>().into(), password: mint.hex::<12>().into() };
        let ours = Description { ice, fingerprint: media.fingerprint() };
        let open = Command::Open { leg: LegId(leg), plan: plan(leg, &ours, offer) };
        let sources = vec![Source::Leg(LegId(leg))];
        for command in [open, Command::Patch { listener: LegId(leg), sources }] {
            media.command(ShardId(0), command).map_err(|_| io::ErrorKind::WouldBlock)?;
        }
        writeln!(out, "{} {}", write(&ours), media.web()[0])?;
        out.flush()?;
    }
    media.stop();
    let _ = std::fs::remove_dir_all(folder);
    Ok(())
}

fn plan(leg: u64, ours: &Description, offer: Description) -> Plan {
    let codec = Codec::Opus;
    Plan {
        socket: SocketId::shared(Shard::FIRST),
        path: Path::Ice { ours: ours.ice.clone(), theirs: offer.ice },
        keys: Keys::Dtls { theirs: offer.fingerprint, role: DtlsRole::Passive },
        rtcp: Rtcp::Muxed,
        metrics: Metrics::Unasked,
        codec,
        payload_type: codec.payload_type(),
        payload_type_in: codec.payload_type(),
        spares: [None; 2],
        events: Some(Events { sent: 126, received: 126, clock: 8000, aside: None }),
        noise: None,
        opus: Some(Opus { redundancy: true, dtx: false, bitrate: 32_000, rate: codec.rate() }),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        ssrc: 0x5000 + leg as u32,
    }
}
