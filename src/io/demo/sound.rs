//! A phone's sound: RTP both ways over a socket of its own, and an ear that knows what it hears.

use std::f64::consts::TAU;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::audio::{g711, wav};
use crate::base::{Codec, Key, Mint};
use crate::io::secret;
use crate::rtp::dtmf::{Sender as Keys, Step};
use crate::rtp::packet::{self, HEADER, Header};
use crate::sdp::{Agreed, Direction, Local, Negotiator, Reach};

const FRAME: usize = 160;
const TICK: Duration = Duration::from_millis(20);
/// Root mean square above which a frame is sound: −36 dBm0 or so.
const SOUND: f64 = 350.0;
/// Peak of a tone we make, 10 dB below full scale.
const PEAK: f64 = 10_000.0;
/// Of a frame's power, what belongs to a tone that is heard clearly.
const PURE: f64 = 0.9;
/// Longer than any pause within a prompt, shorter than a menu's patience.
const PAUSE: Duration = Duration::from_secs(1);
/// Frames of a tone in a row before it counts: 200 ms.
const SUSTAINED: usize = 10;

/// A pair of sockets for RTP and RTCP, and what is said about them in SDP.
pub struct Socket {
    rtp: UdpSocket,
    /// Held, not read: RTCP is sent one port above (RFC 3550 §11).
    rtcp: UdpSocket,
    negotiator: Negotiator,
}

/// Sound that flows.
pub struct Sound {
    orders: mpsc::UnboundedSender<Order>,
    frames: mpsc::UnboundedReceiver<Vec<i16>>,
    _flow: JoinSet<()>,
}

enum Order {
    Sing(f64),
    Press(Key),
}

impl Socket {
    pub async fn bind(ip: IpAddr, codec: Codec) -> anyhow::Result<Self> {
        for _ in 0..100 {
            let rtp = UdpSocket::bind(SocketAddr::new(ip, 0)).await?;
            let address = rtp.local_addr()?;
            let above = address.port().checked_add(1).filter(|_| address.port().is_multiple_of(2));
            let Some(above) = above else { continue };
            if let Ok(rtcp) = UdpSocket::bind(SocketAddr::new(ip, above)).await {
                let local = Local {
                    session: u64::from(u32::from_be_bytes(secret::random()?)),
                    codecs: vec![codec],
                    reach: Reach::Plain(address),
                    // Said to nobody: they are for browsers.
                    ssrc: 0,
                    cname: "demo".into(),
                };
                return Ok(Self { rtp, rtcp, negotiator: Negotiator::new(local) });
            }
        }
        bail!("no pair of ports is free for RTP")
    }

    pub fn offer(&mut self) -> Bytes {
        self.negotiator.offer(Direction::SendRecv)
    }

    /// Answers an offer.
    pub fn answer(&mut self, offer: &[u8]) -> anyhow::Result<(Bytes, Agreed)> {
        let answer = self.negotiator.answer(offer, Direction::SendRecv);
        answer.map_err(|refusal| {
            anyhow::anyhow!("expected an SDP offer of G.711; came one that is {refusal:?}")
        })
    }

    /// Takes the answer to our offer.
    pub fn accept(&mut self, answer: &[u8]) -> anyhow::Result<Agreed> {
        let agreed = self.negotiator.accept(answer);
        agreed.map_err(|refusal| {
            anyhow::anyhow!("expected an SDP answer in G.711; came one that is {refusal:?}")
        })
    }

    /// Sound flows from here on: silence, until told otherwise.
    pub fn open(self, agreed: Agreed) -> anyhow::Result<Sound> {
        let (orders, ordered) = mpsc::unbounded_channel();
        let (to, frames) = mpsc::unbounded_channel();
        let voice = Voice {
            mint: Mint::new(secret::random()?),
            remote: agreed.remote().context("expected an address in SDP; there is none")?,
            keys: Keys::default(),
            key_began: 0,
            tone: None,
            turned: 0.0,
            header: Header {
                marker: true,
                payload_type: agreed.payload_type,
                sequence: 0,
                timestamp: 0,
                ssrc: 0,
            },
            agreed,
        };
        let mut flow = JoinSet::new();
        flow.spawn(voice.flow(self.rtp, self.rtcp, ordered, to));
        Ok(Sound { orders, frames, _flow: flow })
    }
}

/// What one end sends.
struct Voice {
    mint: Mint,
    remote: SocketAddr,
    agreed: Agreed,
    keys: Keys,
    key_began: u32,
    tone: Option<f64>,
    /// The tone's phase, in turns.
    turned: f64,
    header: Header,
}

impl Voice {
    async fn flow(
        mut self,
        rtp: UdpSocket,
        _rtcp: UdpSocket,
        mut ordered: mpsc::UnboundedReceiver<Order>,
        to: mpsc::UnboundedSender<Vec<i16>>,
    ) {
        self.header.ssrc = self.mint.u32();
        self.header.timestamp = self.mint.u32();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut buffer = vec![0; 2048];
        loop {
            tokio::select! {
                order = ordered.recv() => match order {
                    Some(Order::Sing(hertz)) => self.tone = Some(hertz),
                    Some(Order::Press(key)) => drop(self.keys.press(key)),
                    None => return,
                },
                _ = ticks.tick() => {
                    if let Some(packet) = self.packet() {
                        // A peer that is gone is told by signalling.
                        let _ = rtp.send_to(&packet, self.remote).await;
                    }
                }
                Ok((length, _)) = rtp.recv_from(&mut buffer) => {
                    let bytes = &buffer[..length];
                    if let Ok((header, payload)) = packet::parse(bytes)
                        && header.payload_type == self.agreed.payload_type_in
                        && to.send(bytes[payload].iter().map(|octet| self.decode(*octet)).collect()).is_err()
                    {
                        return;
                    }
                }
            }
        }
    }

    /// The next 20 ms.
    fn packet(&mut self) -> Option<Vec<u8>> {
        let now = self.header.timestamp;
        let (header, payload) = match self.keys.step() {
            Step::Begin(report) => {
                self.key_began = now;
                (self.event(true)?, report.to_bytes().to_vec())
            }
            Step::Continue(report) => (self.event(false)?, report.to_bytes().to_vec()),
            Step::Pause => {
                self.header.timestamp = now.wrapping_add(FRAME as u32);
                return None;
            }
            Step::Idle => (self.header, (0..FRAME).map(|_| self.sample()).collect()),
        };
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = now.wrapping_add(FRAME as u32);
        Some([&header.to_bytes()[..HEADER], &payload].concat())
    }

    fn event(&self, marker: bool) -> Option<Header> {
        let payload_type = self.agreed.events?.payload_type;
        Some(Header { marker, payload_type, timestamp: self.key_began, ..self.header })
    }

    fn sample(&mut self) -> u8 {
        let sample = self.tone.map_or(0.0, |hertz| {
            self.turned = (self.turned + hertz / 8000.0).fract();
            PEAK * (self.turned * TAU).sin()
        });
        match self.agreed.codec {
            Codec::Pcmu => g711::ulaw_encode(sample as i16),
            // The other half of G.711: a phone of the demo offers nothing else.
            Codec::Pcma | Codec::G722 | Codec::Opus => g711::alaw_encode(sample as i16),
        }
    }

    fn decode(&self, octet: u8) -> i16 {
        match self.agreed.codec {
            Codec::Pcmu => g711::ulaw_decode(octet),
            Codec::Pcma | Codec::G722 | Codec::Opus => g711::alaw_decode(octet),
        }
    }
}

impl Sound {
    pub fn sing(&self, hertz: f64) {
        let _ = self.orders.send(Order::Sing(hertz));
    }

    /// Presses a key, by RFC 4733.
    pub fn press(&self, key: Key) {
        let _ = self.orders.send(Order::Press(key));
    }

    async fn frame(&mut self) -> anyhow::Result<Vec<i16>> {
        self.frames.recv().await.context("the phone's sound broke off")
    }

    /// What came before now is forgotten.
    fn perk_up(&mut self) {
        while self.frames.try_recv().is_ok() {}
    }

    /// Half a second of sound.
    pub async fn until_speech(&mut self) -> anyhow::Result<()> {
        for _ in 0..25 {
            self.until_sound().await?;
        }
        Ok(())
    }

    /// A second without sound, or without packets, after at least this much sound: whoever spoke
    /// waits for us. Returns how much sound it was.
    pub async fn until_pause(&mut self, least: Duration) -> anyhow::Result<Duration> {
        let mut heard = Duration::ZERO;
        loop {
            match timeout(PAUSE, self.until_sound()).await {
                Ok(sounding) => {
                    sounding?;
                    heard += TICK;
                }
                Err(_) if heard >= least => return Ok(heard),
                Err(_) => {}
            }
        }
    }

    async fn until_sound(&mut self) -> anyhow::Result<()> {
        while !is_sound(&self.frame().await?) {}
        Ok(())
    }

    /// This tone, clearly, for 200 ms.
    pub async fn until_tone(&mut self, hertz: f64) -> anyhow::Result<()> {
        self.perk_up();
        let mut heard = 0;
        while heard < SUSTAINED {
            let frame = self.frame().await?;
            heard = if is_sound(&frame) && share(&frame, hertz) > PURE { heard + 1 } else { 0 };
        }
        Ok(())
    }

    /// This very piece of music. Returns where in it we are.
    pub async fn until_music(&mut self, music: &Arc<Music>) -> anyhow::Result<usize> {
        self.perk_up();
        let mut latest = Vec::new();
        loop {
            while latest.len() < WINDOW {
                latest.extend(self.frame().await?);
            }
            let (music, window) = (music.clone(), latest.split_off(latest.len() - WINDOW));
            // Some milliseconds of arithmetic: not where the daemon's loop runs.
            let found = tokio::task::spawn_blocking(move || music.find(&window)).await?;
            if let Some(at) = found {
                return Ok(at);
            }
            latest.clear();
        }
    }

    /// While the music plays on from `at`: half a second of sound that is something else.
    pub async fn until_interrupted(&mut self, music: &Music, mut at: usize) -> anyhow::Result<()> {
        let mut heard = 0;
        while heard < 25 {
            let frame = self.frame().await?;
            if is_sound(&frame) && !music.is_at(&frame, at) {
                heard += 1;
            }
            at += frame.len();
        }
        Ok(())
    }
}

/// A piece of music that is known by heart.
pub struct Music(Vec<i16>);

/// Half a second is compared.
const WINDOW: usize = 4000;
/// Correlation from which two pieces of sound are the same one.
const SAME: f64 = 0.9;

impl Music {
    pub fn new(file: &[u8]) -> anyhow::Result<Self> {
        Ok(Self(wav::read(file).context("the music's file")?))
    }

    /// The end of this window within the piece.
    fn find(&self, window: &[i16]) -> Option<usize> {
        // A few samples out of the window rule nearly every place out.
        let coarse: Vec<_> = window.iter().copied().enumerate().step_by(127).collect();
        let may_be = |start: &usize| {
            let there = coarse.iter().map(|(i, sample)| (*sample, self.0[start + i]));
            correlation(there) > SAME
        };
        let starts = (0..self.0.len().checked_sub(window.len())?).filter(may_be);
        // Its neighbours are much like the right place: the best one is meant.
        let (likeness, start) =
            starts.map(|start| (self.likeness(window, start), start)).max_by(|a, b| a.0.total_cmp(&b.0))?;
        (likeness > SAME).then_some(start + window.len())
    }

    /// Whether this is what comes at that place of it, played over and over.
    fn is_at(&self, sound: &[i16], at: usize) -> bool {
        self.likeness(sound, at) > SAME
    }

    fn likeness(&self, sound: &[i16], at: usize) -> f64 {
        let there = |i: usize| (at + i).checked_rem(self.0.len()).map_or(0, |i| self.0[i]);
        correlation(sound.iter().enumerate().map(|(i, sample)| (*sample, there(i))))
    }
}

/// −1 to 1.
fn correlation(pairs: impl Iterator<Item = (i16, i16)>) -> f64 {
    let (mut both, mut ours, mut theirs) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        let (a, b) = (f64::from(a), f64::from(b));
        (both, ours, theirs) = (both + a * b, ours + a * a, theirs + b * b);
    }
    let power = (ours * theirs).sqrt();
    if power > 0.0 { both / power } else { 0.0 }
}

fn is_sound(frame: &[i16]) -> bool {
    let power: f64 = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (power / frame.len().max(1) as f64).sqrt() > SOUND
}

/// How much of a frame's power is at this frequency, 0 to 1 (Goertzel's algorithm).
fn share(frame: &[i16], hertz: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hertz / 8000.0).cos();
    let (mut before, mut last, mut power) = (0.0, 0.0, 0.0);
    for sample in frame {
        let sample = f64::from(*sample);
        (before, last) = (last, sample + coefficient * last - before);
        power += sample * sample;
    }
    let at = before * before + last * last - coefficient * before * last;
    if power > 0.0 { 2.0 * at / (power * frame.len() as f64) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64, samples: usize) -> Vec<i16> {
        (0..samples).map(|i| (PEAK * (TAU * hertz * i as f64 / 8000.0).sin()) as i16).collect()
    }

    #[test]
    fn a_tone_is_told_from_another_and_from_silence() {
        for (sung, asked, heard) in [(440.0, 440.0, true), (880.0, 880.0, true), (440.0, 880.0, false)] {
            assert_eq!(share(&tone(sung, FRAME), asked) > PURE, heard, "{sung} {asked}");
        }
        let mixed: Vec<_> =
            tone(440.0, FRAME).iter().zip(tone(880.0, FRAME)).map(|(a, b)| a / 2 + b / 2).collect();
        assert!(share(&mixed, 440.0) < PURE);
        assert!(!is_sound(&[0; FRAME]) && share(&[0; FRAME], 440.0) < PURE);
    }

    #[test]
    fn music_is_found_where_it_is_and_nowhere_else() {
        // A sweep never repeats itself.
        let sweep: Vec<_> = (0..24_000)
            .map(|i| (PEAK * (0.05 * f64::from(i) + 1e-5 * f64::from(i).powi(2)).sin()) as i16)
            .collect();
        let music = Music(sweep.clone());
        assert_eq!(music.find(&sweep[7_000..7_000 + WINDOW]), Some(7_000 + WINDOW));
        assert_eq!(music.find(&tone(440.0, WINDOW)), None);
        assert!(music.is_at(&sweep[..FRAME], 24_000), "it begins anew");
        assert!(!music.is_at(&tone(440.0, FRAME), 0));
    }
}
