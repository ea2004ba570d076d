//! Another sample rate for a whole sound: windowed-sinc interpolation.
//!
//! Made for prompts, once each at start: it spends arithmetic to keep what a telephone passes
//! (to 3.4 kHz) whole and what it would fold back into hearing out.

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
    fn a_constant_stays_itself_and_nothing_stays_nothing() {
        let got = resample(&[1234; 4800], 48_000, 8000);
        assert!(got[100..700].iter().all(|s| *s == 1234));
        assert_eq!(resample(&[], 16_000, 8000), []);
        assert_eq!(resample(&[1, 2, 3], 0, 8000), []);
    }
}
