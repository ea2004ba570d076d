//! Sound to say, and what can be asked of sound that was heard.

use std::f64::consts::TAU;

use super::*;

/// A sine of this peak.
pub fn tone(rate: Rate, hertz: f64, peak: f64, millis: usize) -> Vec<i16> {
    let turn = TAU * hertz / f64::from(rate.hz());
    (0..samples(rate, millis)).map(|n| (peak * (n as f64 * turn).sin()) as i16).collect()
}

/// Like a phrase: one pitch after another, from 300 Hz to 2.4 kHz, in syllables with pauses between.
pub fn phrase(rate: Rate, millis: usize) -> Vec<i16> {
    let length = samples(rate, millis);
    let mut phase = 0.0;
    (0..length)
        .map(|n| {
            let part = n as f64 / length as f64;
            phase += TAU * 300.0 * 8_f64.powf(part) / f64::from(rate.hz());
            let syllable = (TAU * 2.0 * n as f64 / f64::from(rate.hz())).sin().max(0.0).sqrt();
            (6000.0 * syllable * phase.sin()) as i16
        })
        .collect()
}

pub fn samples(rate: Rate, millis: usize) -> usize {
    millis * rate.hz() as usize / 1000
}

/// The root of the mean square.
pub fn loudness(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// How much louder one is than the other, in dB.
pub fn decibels(heard: &[i16], said: &[i16]) -> f64 {
    20.0 * (loudness(heard).max(0.01) / loudness(said).max(0.01)).log10()
}

/// The peak of one frequency in the sound.
pub fn peak_at(rate: Rate, hertz: f64, samples: &[i16]) -> f64 {
    let turn = TAU * hertz / f64::from(rate.hz());
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (sin, cos) = (n as f64 * turn).sin_cos();
        (re, im) = (re + f64::from(*sample) * cos, im + f64::from(*sample) * sin);
    }
    2.0 * f64::hypot(re, im) / samples.len().max(1) as f64
}

/// −1 to 1.
pub fn likeness(a: &[i16], b: &[i16]) -> f64 {
    alike(a.iter().zip(b))
}

/// By how many samples `heard` comes after `said`, and how alike they are then: by every thirteenth
/// sample, which are many enough.
pub fn delay(heard: &[i16], said: &[i16], most: usize) -> (usize, f64) {
    let length = said.len().min(heard.len()) - most;
    (0..most)
        .map(|lag| (lag, alike(heard[lag..][..length].iter().zip(said).step_by(13))))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .expect("there are lags to try")
}

fn alike<'a>(pairs: impl Iterator<Item = (&'a i16, &'a i16)>) -> f64 {
    let (mut aa, mut ab, mut bb) = (0, 0, 0);
    for (a, b) in pairs {
        let (a, b) = (i64::from(*a), i64::from(*b));
        (aa, ab, bb) = (aa + a * a, ab + a * b, bb + b * b);
    }
    ab as f64 / (aa as f64 * bb as f64).sqrt().max(1.0)
}
