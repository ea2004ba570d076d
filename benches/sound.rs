//! What far ends say: a second of something like speech, encoded once and said again and again.

use std::f64::consts::TAU;

use baton::audio::codec::{Encoder, MAX_OCTETS};
use baton::base::{Codec, Rate};
use baton::rtp::packet::{HEADER, Header};

/// The longest packet a far end sends.
pub const LONGEST: usize = 512;

/// A second of sound in one codec.
#[derive(Clone, Debug)]
pub struct Voice {
    pub codec: Codec,
    frames: Vec<Box<[u8]>>,
}

impl Voice {
    /// At the best rate the codec has; Opus at 32 kbit/s and with redundancy, as browsers send it.
    pub fn of(codec: Codec) -> Self {
        let rate = codec.rate();
        let mut encoder = Encoder::new(codec, rate).expect("memory for an encoder");
        encoder.expect_loss(5);
        let mut octets = [0; MAX_OCTETS];
        let mut encode = |frame: &[i16]| {
            let length = encoder.encode(frame, &mut octets);
            Box::from(&octets[..length])
        };
        Self { codec, frames: speech(rate).chunks_exact(rate.frame()).map(&mut encode).collect() }
    }

    pub fn frame(&self, n: u32) -> &[u8] {
        &self.frames[n as usize % self.frames.len()]
    }

    /// Writes packet `n` and returns its length.
    pub fn write(&self, n: u32, ssrc: u32, payload_type: u8, packet: &mut [u8]) -> usize {
        let payload = self.frame(n);
        let header = Header {
            marker: n == 0,
            payload_type,
            sequence: n as u16,
            timestamp: n.wrapping_mul(self.codec.clock() / 50),
            ssrc,
        };
        packet[..HEADER].copy_from_slice(&header.to_bytes());
        packet[HEADER..HEADER + payload.len()].copy_from_slice(payload);
        HEADER + payload.len()
    }
}

/// A second of a voice's harmonics that come and go as syllables do, over a little noise.
fn speech(rate: Rate) -> Vec<i16> {
    let hertz = f64::from(rate.hz());
    let mut noise = 1u32;
    let sample = |n: u32| {
        let at = f64::from(n) / hertz;
        let loud = 0.5 - 0.45 * (TAU * 4.0 * at).cos();
        let pitch = 140.0 + 30.0 * (TAU * 1.5 * at).sin();
        let tones: f64 = (1..12).map(|k| (TAU * pitch * at * f64::from(k)).sin() / f64::from(k)).sum();
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (tones * 4000.0 * loud) as i16 + (noise >> 25) as i16
    };
    (0..rate.hz()).map(sample).collect()
}
