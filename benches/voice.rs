//! How a voice sounds behind the gateway, by PESQ (ITU-T P.862): speech goes from one far end through
//! a bay to the other by virtual time, so a run tells what the run before told.
//!
//! What is heard is held against what the worse of the two codecs makes of the same speech by itself.
//! Two laws of G.711 one after the other quantise twice, gateway or none: what that alone costs stands
//! beside it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::Arc;

use baton::audio::codec::{Decoder, Encoder, MAX_OCTETS};
use baton::audio::resample::resample;
use baton::base::{Codec, LegId, Mint, Mono, Rate};
use baton::media::dtls::Certificate;
use baton::media::{
    Bay, Channel, Command, Direction, Keys, Kit, Metrics, Opus, Path, Plan, RecordingId, Rtcp, Shard,
    SocketId, Source, TICK, Tape, Wire,
};
use baton::rtp::ahead;
use baton::rtp::packet::{self, HEADER, Header};

use crate::measure::{figure, median};

const SPOKEN: &str = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. \
    It is easy to tell the depth of a well. Four hours of steady work faced us. \
    Your card was sent on the third of May and will be with you within five working days.";

/// In percent, and how many patterns of it are tried.
const LOSS: u32 = 5;
const PATTERNS: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redundancy {
    With,
    Without,
}

/// Where packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lossy {
    Nowhere,
    /// From the talker to the gateway, by the nth pattern.
    Coming(u8),
    /// From the gateway to the listener.
    Going(u8),
}

pub fn measure() {
    println!(
        "\n| A voice, PESQ | behind Baton | worse codec alone | both codecs without Baton | wanted |\n| --- | --: | --: | --: | --: |"
    );
    if let Err(error) = judge() {
        println!("| voices | not measured: {error} | | | |");
    }
}

fn judge() -> io::Result<()> {
    let mut jury = Jury::new()?;
    let pairs = [
        (Codec::Pcmu, Codec::Pcmu, 0.05),
        (Codec::Pcma, Codec::Pcma, 0.05),
        (Codec::Pcmu, Codec::Pcma, 0.05),
        (Codec::Pcma, Codec::Pcmu, 0.05),
        (Codec::G722, Codec::Pcmu, 0.15),
        (Codec::Pcmu, Codec::G722, 0.15),
        (Codec::Opus, Codec::Pcmu, 0.15),
        (Codec::Pcmu, Codec::Opus, 0.15),
        (Codec::Opus, Codec::G722, 0.15),
        (Codec::G722, Codec::Opus, 0.15),
    ];
    for (from, to, wanted) in pairs {
        let rate = from.rate().min(to.rate());
        let speech = jury.speech(rate);
        let [first, second] = [from, to].map(|codec| alone(codec, rate, &speech));
        let worse = f64::min(jury.score(rate, &first)?, jury.score(rate, &second)?);
        let both = jury.score(rate, &alone(to, rate, &first))?;
        let heard = jury.score(rate, &through(from, to, &speech, Lossy::Nowhere, Redundancy::With))?;
        println!(
            "| {} to {}, {} Hz | {heard:.2} | {worse:.2} ({:+.2}) | {both:.2} ({:+.2}) | −{wanted} at worst |",
            from.name(),
            to.name(),
            rate.hz(),
            heard - worse,
            heard - both
        );
    }
    let lossy = [
        ("Opus to PCMU", Codec::Opus, Codec::Pcmu, Lossy::Coming as fn(u8) -> Lossy),
        ("PCMU to Opus", Codec::Pcmu, Codec::Opus, Lossy::Going),
    ];
    println!(
        "\n| At {LOSS} % random loss, PESQ, median of {PATTERNS} patterns | with FEC | without | difference | \
         wanted |\n| --- | --: | --: | --: | --: |"
    );
    for (what, from, to, loss) in lossy {
        let speech = jury.speech(Rate::Narrow);
        let mut scores = |redundancy| {
            let scores = (0..PATTERNS)
                .map(|n| jury.score(Rate::Narrow, &through(from, to, &speech, loss(n), redundancy)));
            scores.collect::<io::Result<Vec<_>>>().map(|scores| median(&scores))
        };
        let (with, without) = (scores(Redundancy::With)?, scores(Redundancy::Without)?);
        println!("| {what}, 32 kbit/s | {with:.2} | {without:.2} | {:+.2} | +0.5 at least |", with - without);
    }
    println!("\nSpeech: {} s of `flite -voice rms`.", figure(jury.narrow.len() as f64 / 8000.0));
    Ok(())
}

/// What a codec by itself makes of it.
fn alone(codec: Codec, rate: Rate, speech: &[i16]) -> Vec<i16> {
    let mut talker = Talker::new(codec, rate, Redundancy::With);
    let mut listener = Listener::new(codec, rate);
    for frame in speech.chunks_exact(rate.frame()) {
        listener.hear(&talker.say(frame));
    }
    listener.heard
}

/// What is heard at the other end.
fn through(from: Codec, to: Codec, speech: &[i16], lossy: Lossy, redundancy: Redundancy) -> Vec<i16> {
    let rate = from.rate().min(to.rate());
    let (mut talker, mut listener) = (Talker::new(from, rate, redundancy), Listener::new(to, rate));
    let mut line = Line::new([from, to], redundancy);
    let pattern = if let Lossy::Coming(n) | Lossy::Going(n) = lossy { n } else { 0 };
    let mut chance = Mint::new([pattern; 32]);
    let mut lost = || chance.u32() % 100 < LOSS;
    for frame in speech.chunks_exact(rate.frame()) {
        let packet = talker.say(frame);
        let came = !(matches!(lossy, Lossy::Coming(_)) && lost());
        for packet in line.pass(came.then_some(packet)) {
            if !(matches!(lossy, Lossy::Going(_)) && lost()) {
                listener.hear(&packet);
            }
        }
    }
    listener.heard
}

/// Two legs in a bay that hear each other.
struct Line {
    bay: Bay,
    now: Mono,
}

fn plan(leg: u8, codec: Codec, redundancy: Redundancy) -> Plan {
    let remote = peer(leg);
    Plan {
        socket: SocketId(leg.into()),
        path: Path::Symmetric { remote, remote_rtcp: SocketAddr::new(remote.ip(), remote.port() + 1) },
        keys: Keys::None,
        rtcp: Rtcp::Apart,
        metrics: Metrics::Unasked,
        codec,
        payload_type: codec.payload_type(),
        payload_type_in: codec.payload_type(),
        spares: [None; 2],
        events: None,
        noise: None,
        opus: (codec == Codec::Opus).then_some(Opus {
            dtx: false,
            redundancy: redundancy == Redundancy::With,
            bitrate: 32_000,
            rate: codec.rate(),
        }),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        ssrc: 0x5000 + u32::from(leg),
    }
}

fn peer(leg: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, leg + 1], 4000))
}

impl Line {
    fn new(codecs: [Codec; 2], redundancy: Redundancy) -> Self {
        let certificate = Certificate::generate().expect("randomness");
        let kit = Kit { tones: Arc::default(), certificate };
        let mut line = Self { bay: Bay::new(Shard::FIRST, Mint::new([7; 32]), kit), now: Mono::ZERO };
        for (leg, codec) in (0..).zip(codecs) {
            line.tell(Command::Open { leg: LegId(leg.into()), plan: plan(leg, codec, redundancy) });
        }
        for (listener, source) in [(0, 1), (1, 0)] {
            let sources = vec![Source::Leg(LegId(source))];
            line.tell(Command::Patch { listener: LegId(listener), sources });
        }
        line
    }

    fn tell(&mut self, command: Command) {
        self.bay.handle_command(self.now, command, &mut Post::default(), &mut Post::default());
    }

    /// What comes out in the 20 ms after that went in.
    fn pass(&mut self, packet: Option<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut post = Post::default();
        if let Some(mut packet) = packet {
            let length = packet.len();
            packet.resize(length + 64, 0);
            let (socket, from) = (SocketId(0), peer(0));
            self.bay.handle_packet(self.now, socket, Channel::Rtp, from, &mut packet, length, &mut post);
        }
        self.now += TICK;
        self.bay.handle_timeout(self.now, &mut post, &mut Post::default());
        post.0
    }
}

/// What is sent to the listener.
#[derive(Default)]
struct Post(Vec<Vec<u8>>);

impl Wire for Post {
    fn send(&mut self, socket: SocketId, channel: Channel, _: SocketAddr, bytes: &[u8]) {
        if (socket, channel) == (SocketId(1), Channel::Rtp) {
            self.0.push(bytes.to_vec());
        }
    }

    fn forward(&mut self, _: Shard, _: LegId, _: SocketAddr, _: &[u8]) {}
}

impl Tape for Post {
    fn write(&mut self, _: RecordingId, _: &[i16]) {}

    fn finish(&mut self, _: RecordingId) {}
}

struct Talker {
    codec: Codec,
    encoder: Encoder,
    said: u32,
}

impl Talker {
    fn new(codec: Codec, rate: Rate, redundancy: Redundancy) -> Self {
        let mut encoder = Encoder::new(codec, rate).expect("memory for an encoder");
        encoder.expect_loss(if redundancy == Redundancy::With { LOSS as u8 } else { 0 });
        Self { codec, encoder, said: 0 }
    }

    fn say(&mut self, frame: &[i16]) -> Vec<u8> {
        let mut octets = [0; MAX_OCTETS];
        let length = self.encoder.encode(frame, &mut octets);
        let header = Header {
            marker: self.said == 0,
            payload_type: self.codec.payload_type(),
            sequence: self.said as u16,
            timestamp: self.said * (self.codec.clock() / 50),
            ssrc: 1,
        };
        self.said += 1;
        [&header.to_bytes()[..], &octets[..length]].concat()
    }
}

/// Puts what comes where its timestamp says, and makes up what does not.
struct Listener {
    /// Units of the RTP clock in a sample, by halves.
    halves: u32,
    decoder: Decoder,
    first: Option<u32>,
    heard: Vec<i16>,
}

impl Listener {
    fn new(codec: Codec, rate: Rate) -> Self {
        let decoder = Decoder::new(codec, rate).expect("memory for a decoder");
        Self { halves: 2 * codec.clock() / rate.hz(), decoder, first: None, heard: vec![] }
    }

    fn hear(&mut self, packet: &[u8]) {
        let (header, payload) = packet::parse(packet).expect("what we send is RTP");
        let payload = &packet[payload];
        debug_assert!(packet.len() > HEADER);
        let first = *self.first.get_or_insert(header.timestamp);
        let place = (ahead(first, header.timestamp) * 2).max(0).cast_unsigned() / self.halves;
        let mut room = [0; 5760];
        if let Some(missing) = (place as usize).checked_sub(self.heard.len()).filter(|missing| *missing > 0) {
            let made = self.decoder.conceal(missing, Some(payload), &mut room);
            self.heard.extend(&room[..made]);
            self.heard.resize(place as usize, 0);
        }
        let came = self.decoder.decode(payload, &mut room);
        self.heard.extend(&room[..came]);
    }
}

/// Who knows how speech sounded, and judges what became of it.
struct Jury {
    folder: PathBuf,
    narrow: Vec<i16>,
    wide: Vec<i16>,
    judge: Child,
    questions: ChildStdin,
    scores: BufReader<ChildStdout>,
}

impl Jury {
    fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("baton-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let wav = folder.join("said.wav");
        let spoken = Program::new("flite").args(["-voice", "rms", "-t", SPOKEN, "-o"]).arg(&wav).status();
        if !spoken.is_ok_and(|status| status.success()) {
            return Err(io::Error::other("nobody speaks: flite is not installed"));
        }
        let spoken = pcm(&std::fs::read(&wav)?).ok_or(io::ErrorKind::InvalidData)?;
        // Another interpreter has PESQ, if `make` could install it.
        let python = std::env::var("BATON_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut judge = Program::new(python)
            .args(["-c", include_str!("pesq.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let questions = judge.stdin.take().ok_or_else(broken)?;
        let scores = BufReader::new(judge.stdout.take().ok_or_else(broken)?);
        let [narrow, wide] = [Rate::Narrow, Rate::Wide].map(|rate| resample(&spoken.1, spoken.0, rate.hz()));
        Ok(Self { folder, narrow, wide, judge, questions, scores })
    }

    fn speech(&self, rate: Rate) -> Vec<i16> {
        match rate {
            Rate::Narrow => self.narrow.clone(),
            Rate::Wide => self.wide.clone(),
        }
    }

    fn score(&mut self, rate: Rate, heard: &[i16]) -> io::Result<f64> {
        let files = [("said", &*self.speech(rate)), ("heard", heard)].map(|(name, samples)| {
            let octets: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let file = self.folder.join(name);
            std::fs::write(&file, octets).map(|()| file)
        });
        let [said, heard] = files;
        let (said, heard) = (said?, heard?);
        let unable = |_| io::Error::other("python3 has no pesq: `make bench` installs it in target/pesq");
        writeln!(self.questions, "{} {} {}", rate.hz(), said.display(), heard.display()).map_err(unable)?;
        let mut score = String::new();
        self.scores.read_line(&mut score)?;
        score.trim().parse().map_err(|_| unable(io::ErrorKind::BrokenPipe.into()))
    }
}

impl Drop for Jury {
    fn drop(&mut self) {
        let _ = self.judge.kill();
        let _ = self.judge.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Rate and samples of a WAV as flite writes it: mono, 16 bit, a header of 44 octets.
fn pcm(wav: &[u8]) -> Option<(u32, Vec<i16>)> {
    let rate = u32::from_le_bytes(*wav.get(24..)?.first_chunk()?);
    let samples = wav.get(44..)?.as_chunks::<2>().0;
    Some((rate, samples.iter().map(|octets| i16::from_le_bytes(*octets)).collect()))
}
