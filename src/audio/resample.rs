//! Another sample rate, for a whole sound or for one that comes in frames: windowed-sinc interpolation.
//!
//! [`resample`] is made for prompts, once each at start: it spends arithmetic to keep what a
//! telephone passes (to 3.4 kHz) whole and what it would fold back into hearing out. [`Doubler`] is
//! made for telephones among wideband voices, as they speak.

use std::f64::consts::PI;

/// Zero crossings of the sinc on either side.
const CROSSINGS: f64 = 32.0;
/// Where the filter is half-way down, as a part of the lower rate's half: 3.7 kHz at 8 kHz.
const CUTOFF: f64 = 0.925;
/// Kaiser's β for a stop band 80 dB down.
const BETA: f64 = 7.86;

/// `samples` at `from` hertz, told at `to` hertz. Either rate zero gives nothing.
pub fn resample(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to {
        return samples.to_vec();
    }
    if from == 0 || to == 0 {
        return vec![];
    }
    let common = gcd(from, to);
    let (up, down) = (u64::from(to / common), u64::from(from / common));
    let cutoff = CUTOFF * f64::from(from.min(to)) / f64::from(from);
    let half = (CROSSINGS / cutoff).ceil() as i64;
    // One set of weights for each place an output sample can have between two input samples.
    let phases: Vec<Vec<f32>> = (0..up).map(|p| weights(p as f64 / up as f64, cutoff, half)).collect();

    let length = samples.len() as u64 * up / down;
    (0..length)
        .map(|n| {
            let (at, phase) = ((n * down / up) as i64, (n * down % up) as usize);
            let sum: f32 = phases[phase]
                .iter()
                .zip(at - half + 1..)
                .filter_map(|(w, i)| Some(w * f32::from(*samples.get(usize::try_from(i).ok()?)?)))
                .sum();
            sum.round() as i16
        })
        .collect()
}

/// Tells sound of 8 kHz at 16 kHz as it comes, 3 ms later.
#[derive(Clone, Debug)]
pub struct Doubler {
    /// For the samples at an input's place, and half-way to the next.
    phases: [[f32; TAPS]; 2],
    past: [f32; TAPS - 1],
}

/// Input samples that an output sample is made of: what a telephone passes to 3.3 kHz stays whole,
/// and from 4.7 kHz on nothing of it is mirrored.
const TAPS: usize = 48;
/// Input samples worked on at a time: 20 ms.
const FRAME: usize = 160;

impl Default for Doubler {
    fn default() -> Self {
        let mut phases = [[0.0; TAPS]; 2];
        for (phase, fraction) in phases.iter_mut().zip([0.0, 0.5]) {
            phase.copy_from_slice(&weights(fraction, CUTOFF, TAPS as i64 / 2));
        }
        Self { phases, past: [0.0; TAPS - 1] }
    }
}

impl Doubler {
    /// Adds what these samples are at 16 kHz to twice as many.
    pub fn add(&mut self, narrow: &[i32], wide: &mut [i32]) {
        for (narrow, wide) in narrow.chunks(FRAME).zip(wide.chunks_mut(2 * FRAME)) {
            let mut heard = [0.0; TAPS - 1 + FRAME];
            heard[..TAPS - 1].copy_from_slice(&self.past);
            heard[TAPS - 1..].iter_mut().zip(narrow).for_each(|(to, from)| *to = *from as f32);
            for (n, phase) in self.phases.iter().enumerate() {
                let mut sums = [0.0; FRAME];
                // Weight by weight rather than sample by sample: side by side for the processor.
                for (weight, heard) in phase.iter().zip(heard.windows(FRAME)) {
                    sums.iter_mut().zip(heard).for_each(|(sum, sample)| *sum += weight * sample);
                }
                let wide = wide.iter_mut().skip(n).step_by(2);
                wide.zip(sums).for_each(|(to, sum)| *to = to.saturating_add(sum.round() as i32));
            }
            self.past.copy_from_slice(&heard[narrow.len()..][..TAPS - 1]);
        }
    }
}

/// For the `2 × half` input samples around a point `fraction` after one of them.
fn weights(fraction: f64, cutoff: f64, half: i64) -> Vec<f32> {
    let raw: Vec<f64> = (1 - half..=half)
        .map(|i| {
            let x = i as f64 - fraction;
            let arc = 1.0 - (x / half as f64).powi(2);
            sinc(cutoff * x) * bessel(BETA * arc.max(0.0).sqrt())
        })
        .collect();
    // A constant stays what it is, at every phase.
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|w| (w / sum) as f32).collect()
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The modified Bessel function of order zero, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hertz: f64, rate: u32, seconds: f64) -> Vec<i16> {
        (0..(f64::from(rate) * seconds) as usize)
            .map(|i| (10_000.0 * (2.0 * PI * hertz * i as f64 / f64::from(rate)).sin()).round() as i16)
            .collect()
    }

    /// Decibels of `of` against the 10 000 of `sine`, away from the ends.
    fn level(of: impl Iterator<Item = f64>) -> f64 {
        let of: Vec<f64> = of.collect();
        let inner = &of[of.len() / 4..of.len() * 3 / 4];
        let mean = inner.iter().map(|s| s * s).sum::<f64>() / inner.len() as f64;
        10.0 * (mean / 5e7).max(1e-12).log10()
    }

    #[test]
    fn what_a_telephone_passes_comes_out_as_if_it_had_been_sampled_so() {
        for from in [16_000, 22_050, 24_000, 44_100, 48_000] {
            for hertz in [300.0, 1000.0, 3000.0, 3400.0] {
                let got = resample(&sine(hertz, from, 0.5), from, 8000);
                let want = sine(hertz, 8000, 0.5);
                assert!(got.len().abs_diff(want.len()) <= 1, "{from}");
                let error = got.iter().zip(&want).map(|(g, w)| f64::from(*g) - f64::from(*w));
                assert!(level(error) < -50.0, "{from} {hertz}");
            }
        }
    }

    #[test]
    fn what_would_fold_back_is_gone() {
        for from in [16_000, 22_050, 48_000] {
            for hertz in [4100.0, 5000.0, 7000.0] {
                let got = resample(&sine(hertz, from, 0.5), from, 8000);
                assert!(level(got.iter().map(|s| f64::from(*s))) < -55.0, "{from} {hertz}");
            }
        }
    }

    #[test]
    fn a_telephone_among_wideband_voices_sounds_as_before_and_has_no_mirror_image() {
        for hertz in [300.0, 1000.0, 2000.0, 3200.0] {
            let mut doubler = Doubler::default();
            let narrow: Vec<i32> = sine(hertz, 8000, 0.5).into_iter().map(i32::from).collect();
            let mut wide = vec![7; 2 * narrow.len()];
            narrow.chunks(160).zip(wide.chunks_mut(320)).for_each(|(from, to)| doubler.add(from, to));
            let want = sine(hertz, 16_000, 0.5);
            let error =
                wide[TAPS..].iter().zip(&want).map(|(got, want)| f64::from(got - 7) - f64::from(*want));
            assert!(level(error) < -45.0, "{hertz}");
        }
    }

    #[test]
    fn a_constant_stays_itself_and_nothing_stays_nothing() {
        let got = resample(&[1234; 4800], 48_000, 8000);
        assert!(got[100..700].iter().all(|s| *s == 1234));
        assert!(resample(&[], 16_000, 8000).is_empty());
        assert!(resample(&[1, 2, 3], 0, 8000).is_empty());
    }
}
