//! The whole daemon as a child process on loopback: real sockets, its store on this disk, its log
//! in a file. Processor time and memory are the process's own, as the kernel counts them.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::far;
use crate::load::{CARRIER, Load, PHONES, Rate, Tally};
use crate::measure::{no_row, percentile, row, table};
use crate::process::Process;

const IVR: &str = "01055550001";
/// Answered by an agent's phone.
pub const QUEUED: &str = "01055550002";
const WAITING: &str = "01055550003";
/// Answered by an agent's phone, and recorded.
pub const RECORDED: &str = "01055550004";

pub const WINDOWS: usize = 3;
const AGENTS: usize = 1100;
const HELD: usize = 1000;

pub fn measure() {
    table("The whole daemon");
    let groups = [
        ("calls", calls as fn() -> io::Result<()>),
        ("held IVR calls", || held("IVR", IVR)),
        ("held calls with agents", || held("caller and agent", QUEUED)),
        ("waiting callers", waiting),
    ];
    for (what, group) in groups {
        if let Err(error) = group() {
            no_row(what, &error);
        }
    }
}

/// Calls that come and go.
fn calls() -> io::Result<()> {
    let (daemon, mut load) = Daemon::start()?;
    let kinds = [
        ("IVR call (answered, hung up on after 200 ms)", IVR, Duration::from_millis(200)),
        ("call queued, answered by an agent, released after 1 s", QUEUED, Duration::from_secs(1)),
    ];
    for (what, number, hold) in kinds {
        for per_second in [50, 200] {
            let rate = Some(Rate { number, per_second, hold: Some(hold) });
            load.run(hold + Duration::from_millis(500), rate);
            load.take();
            let mut costs = vec![];
            let mut all = Tally::default();
            for _ in 0..WINDOWS {
                let before = daemon.process.cpu()?;
                load.run(Duration::from_secs(2), rate);
                let tally = load.take();
                costs.push((daemon.process.cpu()? - before).as_secs_f64() * 1e3 / tally.begun as f64);
                all.add(tally);
            }
            let bad = all.troubles();
            row(&format!("CPU per {what}, {per_second} a second{bad}"), "ms", &costs);
            match number {
                IVR => percentile_rows(&format!("INVITE to 200, IVR, {per_second} a second"), &all.set_up),
                _ => percentile_rows(
                    &format!("caller's INVITE to the agent's INVITE, {per_second} a second"),
                    &all.rung,
                ),
            }
            load.run(hold + Duration::from_millis(500), None);
        }
    }
    Ok(())
}

/// Of times in milliseconds.
fn percentile_rows(what: &str, times: &[f64]) {
    for percent in [50, 99] {
        row(&format!("{what}: p{percent}"), "ms", &[percentile(times, percent)]);
    }
}

/// What a call costs that is just there.
fn held(what: &str, number: &'static str) -> io::Result<()> {
    let (daemon, mut load) = Daemon::start()?;
    // What is made once is made.
    load.run(Duration::from_secs(1), Some(Rate { number, per_second: 20, hold: Some(Duration::ZERO) }));
    load.run(Duration::from_millis(500), None);
    load.take();
    let before = daemon.process.memory()?;
    let rate = Rate { number, per_second: 125, hold: None };
    load.run(Duration::from_millis(1000 * HELD as u64 / 125), Some(rate));
    load.run(Duration::from_secs(1), None);
    let (up, bad) = (load.up(), load.take().troubles());
    let kib = (daemon.process.memory()? - before) as f64 / 1024.0 / up as f64;
    row(&format!("memory per held call, {what}, {up} up{bad}"), "KiB", &[kib]);
    let shares = daemon.shares(&mut load, Duration::from_secs(2))?;
    row(&format!("CPU of {up} held calls without RTP, {what}"), "%", &shares);
    load.hang_up();
    Ok(())
}

/// Callers who hear music and speak into it.
fn waiting() -> io::Result<()> {
    let (daemon, mut load) = Daemon::start()?;
    let mut begun = 0;
    for calls in [100, 500] {
        begin_calls(&mut load, WAITING, calls - begun);
        begun = calls;
        let up = load.up();
        load.take();
        let shares = daemon.shares(&mut load, Duration::from_secs(2))?;
        let heard = load.take();
        let rate = heard.received as f64 / (up as f64 * 2.0 * WINDOWS as f64);
        let bad = if rate < 48.0 { format!(" ({rate:.0} packets a second each)") } else { String::new() };
        let each: Vec<_> = shares.iter().map(|share| share / up as f64).collect();
        row(&format!("CPU per waiting caller with music, {up} wait{bad}"), "%", &each);
    }
    load.hang_up();
    Ok(())
}

/// And a second for the last of them.
pub fn begin_calls(load: &mut Load, number: &'static str, calls: usize) {
    let rate = Rate { number, per_second: 125, hold: None };
    load.run(Duration::from_millis(1000 * calls as u64 / 125), Some(rate));
    load.run(Duration::from_secs(1), None);
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.begun += other.begun;
        self.answered += other.answered;
        self.refused += other.refused;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.set_up.extend(other.set_up);
        self.rung.extend(other.rung);
    }

    /// What makes the figure doubtful, to stand in its row.
    pub fn troubles(&self) -> String {
        let mut troubles = vec![];
        let mut told = |count: usize, what: &str| {
            if count > 0 {
                troubles.push(format!("{count} {what}"));
            }
        };
        told(self.refused, "refused");
        told(self.lost, "lost");
        told(self.repeated, "repeated");
        if self.late * 100 > self.lots {
            told(self.late * 100 / self.lots, "% of packets sent late: the machine is too busy");
        }
        if self.sent > 0 && self.received * 1000 < self.sent * 999 {
            told(self.sent - self.received, "packets missing");
        }
        if troubles.is_empty() { String::new() } else { format!(" ({})", troubles.join(", ")) }
    }
}

pub struct Daemon {
    pub process: Process,
    folder: PathBuf,
}

impl Daemon {
    /// Up and answering, with who is to call it.
    pub fn start() -> io::Result<(Self, Load)> {
        let probe = UdpSocket::bind(("127.0.0.1", 0))?;
        let sip = probe.local_addr()?;
        drop(probe);
        let load = Load::new(sip)?;
        let folder = std::env::temp_dir().join(format!("baton-bench-{}-{}", std::process::id(), sip.port()));
        let file = write_configuration(&folder, sip, load.phones())?;
        let child = Command::new(env!("CARGO_BIN_EXE_baton"))
            .args(["serve".as_ref(), "--config".as_ref(), file.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log"))?)
            .spawn()?;
        let daemon = Self { process: Process(child), folder };
        daemon.answers(sip)?;
        Ok((daemon, load))
    }

    fn answers(&self, sip: SocketAddr) -> io::Result<()> {
        let socket = UdpSocket::bind((CARRIER, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let us = socket.local_addr()?.to_string();
        for n in 0..200 {
            let options = far::options(n, &sip.to_string(), &us);
            socket.send_to(options.as_bytes(), sip)?;
            if socket.recv(&mut [0; 2048]).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let last = log.lines().last().unwrap_or("it said nothing");
        Err(io::Error::other(format!("the daemon did not come up: {last}")))
    }

    /// Shares of one core in per cent, over several windows.
    fn shares(&self, load: &mut Load, window: Duration) -> io::Result<Vec<f64>> {
        self.process.shares(WINDOWS, window, |window| load.run(window, None))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write_configuration(folder: &Path, sip: SocketAddr, phones: SocketAddr) -> io::Result<PathBuf> {
    for below in ["flows", "prompts/en", "prompts/zh"] {
        fs::create_dir_all(folder.join(below))?;
    }
    // A tenth of a second, and ten seconds.
    for (name, samples) in [("blip", 800), ("music", 80_000)] {
        for language in ["en", "zh"] {
            fs::write(folder.join(format!("prompts/{language}/{name}.wav")), wav(samples))?;
        }
    }
    let flow = |id: &str, steps: &str| {
        let text = format!(
            "id = \"{id}\"\nstart = \"first\"\nlanguage = \"en\"\n[steps.first]\n{steps}\n\
             [steps.bye]\ndo = \"hangup\"\n"
        );
        fs::write(folder.join(format!("flows/{id}.toml")), text)
    };
    flow(
        "ivr",
        "do = \"menu\"\nprompt = \"blip\"\nlabel = \"Menu\"\noptions = { 1 = \"bye\" }\n\
         timeout_ms = 120000\nretries = 9\non_no_input = \"bye\"\non_no_match = \"bye\"",
    )?;
    for id in ["desk", "nobody"] {
        flow(id, &format!("do = \"queue\"\nqueue = \"{id}\"\nlabel = \"Waiting\"\non_overflow = \"bye\""))?;
    }
    let file = folder.join("baton.toml");
    let mut text = io::BufWriter::new(fs::File::create(&file)?);
    write!(
        text,
        r#"
[sip]
listen = ["udp:{sip}"]
[media]
address = "127.0.0.1"
ports = "20000-39999"
web_port = 0
silence_s = 0
[http]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
[[trunk]]
id = "carrier"
sources = ["{CARRIER}"]
country = "86"
[[queue]]
id = "desk"
wrap_up_s = 0
announce_every_s = 0
[[queue]]
id = "nobody"
announce_every_s = 0
"#
    )?;
    let numbers = [(IVR, "ivr"), (QUEUED, "desk"), (WAITING, "nobody"), (RECORDED, "desk")];
    for (number, flow) in numbers {
        let record = number == RECORDED;
        let number = number.trim_start_matches('0');
        writeln!(text, "[[number]]\nnumber = \"+86{number}\"\nflow = \"{flow}\"\nrecord = {record}")?;
    }
    for n in 0..AGENTS {
        let port = phones.port();
        writeln!(
            text,
            "[[agent]]\nid = \"m{n:04}\"\nqueues = [\"desk\"]\nphone = \"sip:m{n:04}@{PHONES}:{port}\"\n\
             initial = \"ready\""
        )?;
    }
    text.flush()?;
    Ok(file)
}

/// Noise of so many samples, 8 kHz, 16 bit, mono.
fn wav(samples: u32) -> Vec<u8> {
    let mut file = Vec::from(*b"RIFF");
    file.extend((36 + 2 * samples).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(8000u32.to_le_bytes());
    file.extend(16_000u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend((2 * samples).to_le_bytes());
    let mut noise = 1u32;
    for _ in 0..samples {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        file.extend(((noise >> 20) as i16).to_le_bytes());
    }
    file
}
