//! Tones: made, written down, and recognised again.

use std::f64::consts::TAU;
use std::ops::Range;
use std::path::Path;

use baton::audio::g711;

pub const RATE: usize = 8000;

/// What is heard where, by its pitch in Hz: none is a multiple of another.
pub const CALLER: f64 = 440.0;
pub const AGENT: f64 = 1000.0;
pub const MENU: f64 = 1430.0;
pub const MUSIC: f64 = 2170.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    Mu,
    A,
}

impl Law {
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
        }
    }

    pub fn encode(self, samples: &[i16]) -> Vec<u8> {
        let encode = match self {
            Self::Mu => g711::ulaw_encode,
            Self::A => g711::alaw_encode,
        };
        samples.iter().map(|sample| encode(*sample)).collect()
    }

    pub fn decode(self, octets: &[u8]) -> Vec<i16> {
        let decode = match self {
            Self::Mu => g711::ulaw_decode,
            Self::A => g711::alaw_decode,
        };
        octets.iter().map(|octet| decode(*octet)).collect()
    }
}

/// A sine at a third of full scale.
pub fn tone(pitch: f64, seconds: usize) -> Vec<i16> {
    let sample = |n: usize| ((TAU * pitch * n as f64 / RATE as f64).sin() * 10_000.0) as i16;
    (0..seconds * RATE).map(sample).collect()
}

/// Mono, 16 bits, 8 kHz.
pub fn write_wav(path: &Path, samples: &[i16]) {
    let data = 2 * samples.len() as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend((RATE as u32).to_le_bytes());
    bytes.extend((2 * RATE as u32).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(data.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The channels of a WAV of 16 bits, at 8 kHz; whole multiples of that are brought down to it. A file
/// whose writer died says it is longer than it is.
pub fn read_wav(bytes: &[u8]) -> Vec<Vec<i16>> {
    let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let long =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    assert!(bytes.len() >= 44 && &bytes[..4] == b"RIFF" && &bytes[8..12] == b"WAVE", "no WAV");
    let (mut at, mut channels, mut times) = (12, 0, 1);
    loop {
        let (name, length) = (&bytes[at..at + 4], long(at + 4));
        at += 8;
        match name {
            b"fmt " => {
                channels = usize::from(word(at + 2));
                assert_eq!((word(at), long(at + 4) % RATE, word(at + 14)), (1, 0, 16), "16 bits, 8 kHz");
                times = long(at + 4) / RATE;
            }
            b"data" => {
                let data = &bytes[at..bytes.len().min(at + length)];
                let samples: Vec<_> =
                    data.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
                let channel = |n| {
                    let channel: Vec<_> = samples.iter().skip(n).step_by(channels).copied().collect();
                    let mean = |samples: &[i16]| {
                        (samples.iter().copied().map(i32::from).sum::<i32>() / times as i32) as i16
                    };
                    channel.chunks_exact(times).map(mean).collect()
                };
                return (0..channels).map(channel).collect();
            }
            _ => {}
        }
        at += length + length % 2;
    }
}

/// How much of the power of these samples is at `pitch`, from 0 to 1 (Goertzel); 0 where it is quiet.
pub fn share(samples: &[i16], pitch: f64) -> f64 {
    let coefficient = 2.0 * (TAU * pitch / RATE as f64).cos();
    let (mut last, mut before, mut power) = (0.0, 0.0, 0.0);
    for sample in samples.iter().map(|sample| f64::from(*sample)) {
        (last, before) = (sample + coefficient * last - before, last);
        power += sample * sample;
    }
    let length = samples.len() as f64;
    if power < length * 100.0 * 100.0 {
        return 0.0;
    }
    2.0 * (last * last + before * before - coefficient * last * before) / (length * power)
}

/// The seconds in which `pitch` is nearly all there is, found in steps of 50 ms.
pub fn heard(samples: &[i16], pitch: f64) -> f64 {
    let window = RATE / 20;
    samples.chunks_exact(window).filter(|window| share(window, pitch) > 0.9).count() as f64 / 20.0
}

/// The longest stretch in which `pitch` is heard, in samples.
pub fn stretch(samples: &[i16], pitch: f64) -> Option<Range<usize>> {
    let window = RATE / 50;
    let (mut longest, mut run) = (0..0, 0..0);
    for (n, chunk) in samples.chunks_exact(window).enumerate() {
        let end = (n + 1) * window;
        run = if share(chunk, pitch) > 0.8 { run.start..end } else { end..end };
        if run.len() > longest.len() {
            longest = run.clone();
        }
    }
    (!longest.is_empty()).then_some(longest)
}

/// The level of what sounds at `pitch`, in dB below full scale (a full square wave), where it is heard
/// longest.
pub fn level(samples: &[i16], pitch: f64) -> Option<f64> {
    let stretch = stretch(samples, pitch)?;
    // What rises and falls at the ends is none of the level.
    let middle = &samples[stretch.start + stretch.len() / 4..stretch.end - stretch.len() / 4];
    let power: f64 = middle.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    Some(10.0 * (power / middle.len() as f64 / 32_768f64.powi(2)).log10())
}

/// Keys as sound (ITU-T Q.23): 100 ms each and as long between them, after `before` ms of silence.
pub fn keys(keys: &str, before: usize) -> Vec<i16> {
    const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
    let mut samples = vec![0; before * RATE / 1000];
    for key in keys.chars() {
        let place = "123A456B789C*0#D".find(key).expect("a key");
        let (row, column) = (ROWS[place / 4], COLUMNS[place % 4]);
        let wave = |pitch: f64, n: usize| (TAU * pitch * n as f64 / RATE as f64).sin() * 5000.0;
        samples.extend((0..RATE / 10).map(|n| (wave(row, n) + wave(column, n)) as i16));
        samples.extend([0; RATE / 10]);
    }
    samples
}

/// How loud it is every 10 ms.
fn envelope(samples: &[i16]) -> Vec<f64> {
    let loud = |chunk: &[i16]| chunk.iter().map(|s| f64::from(*s).abs()).sum::<f64>() / chunk.len() as f64;
    samples.chunks_exact(RATE / 100).map(loud).collect()
}

/// Where in `heard` what was `said` begins, in ms, and how alike the two are there: the correlation of
/// their envelopes, at most 1.
pub fn find(said: &[i16], heard: &[i16]) -> (usize, f64) {
    let (said, heard) = (envelope(said), envelope(heard));
    let alike = |heard: &[f64]| {
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let (ours, theirs) = (mean(&said), mean(heard));
        let (mut both, mut one, mut other) = (0.0, 0.0, 0.0);
        for (a, b) in said.iter().map(|a| a - ours).zip(heard.iter().map(|b| b - theirs)) {
            (both, one, other) = (both + a * b, one + a * a, other + b * b);
        }
        both / (one * other).sqrt().max(1.0)
    };
    let found = heard.windows(said.len()).map(alike).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    let (at, alike) = found.expect("as long as what was said");
    (at * 10, alike)
}

#[test]
fn a_tone_is_told_from_another_and_from_silence_through_both_laws() {
    for law in [Law::Mu, Law::A] {
        let samples = law.decode(&law.encode(&tone(CALLER, 2)));
        assert_eq!(heard(&samples, CALLER), 2.0);
        for other in [AGENT, MENU, MUSIC] {
            assert_eq!(heard(&samples, other), 0.0, "{law:?} {other}");
        }
    }
    assert_eq!(heard(&[0; 8000], CALLER), 0.0);
    let mut late = vec![0; RATE];
    late.extend(tone(AGENT, 1));
    assert_eq!(stretch(&late, AGENT), Some(RATE..2 * RATE));
    let level = level(&late, AGENT).expect("it is heard");
    assert!((level - -13.3).abs() < 0.1, "{level}");
}

#[test]
fn what_was_said_is_found_where_it_is_heard() {
    let said = [tone(CALLER, 1), vec![0; RATE / 2], tone(AGENT, 2)].concat();
    let heard = [vec![0; 12_000], Law::A.decode(&Law::A.encode(&said)), vec![0; RATE]].concat();
    let (at, alike) = find(&said, &heard);
    assert_eq!(at, 1500);
    assert!(alike > 0.99, "{alike}");
}
