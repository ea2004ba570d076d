//! Waveforms put together where they are alike: to be shorter, to be longer, to go on.
//!
//! The time-domain way (WSOLA, and ITU-T G.711 Appendix I for what is lost): one pitch period is
//! left out, said twice or repeated, at the lag where the sound most resembles itself.

use std::ops::RangeInclusive;

/// Lags looked at: 2.5 to 15 ms at 8 kHz, voices of 67 to 400 Hz.
pub(super) const LAGS: RangeInclusive<usize> = 20..=LONGEST;
pub(super) const LONGEST: usize = 120;
/// Samples compared: 10 ms.
pub(super) const COMPARED: usize = 80;
/// Below this peak (42 dB below full scale) nobody hears where something is joined.
const QUIET: u16 = 256;

/// How far back something alike lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alike {
    pub lag: usize,
    /// The normalised correlation: 1 is the same but for loudness, 0 has nothing to do with it.
    pub likeness: f32,
}

/// Looks before `at` for what is most like the [`COMPARED`] samples from `at` on.
pub(super) fn alike(samples: &[i16], at: usize, lags: RangeInclusive<usize>) -> Alike {
    debug_assert!(*lags.end() <= at && at + COMPARED <= samples.len() && samples.len() <= 512);
    // 80 products of 12 bits by 12 fit into 31.
    let shift = (16 - peak(samples).leading_zeros()).saturating_sub(12);
    let mut scaled = [0; 512];
    scaled.iter_mut().zip(samples).for_each(|(to, from)| *to = from >> shift);
    let own = &scaled[at..at + COMPARED];
    let energy = dot(own, own) as f32;
    let mut best = Alike { lag: *lags.end(), likeness: 0.0 };
    for lag in lags {
        let other = &scaled[at - lag..at - lag + COMPARED];
        let product = dot(own, other);
        if product > 0 {
            let likeness = product as f32 / (energy * dot(other, other) as f32).sqrt();
            // A multiple of the period is as alike as the period; the first one wins unless it is less so.
            if likeness > best.likeness + 1e-3 {
                best = Alike { lag, likeness };
            }
        }
    }
    best
}

pub(super) fn is_quiet(samples: &[i16]) -> bool {
    peak(samples) < QUIET
}

/// Goes over from one sound to another of the same length.
pub(super) fn cross(from: &[i16], to: &[i16], out: &mut [i16]) {
    let length = out.len() as i32;
    for (n, ((out, from), to)) in (1..).zip(out.iter_mut().zip(from).zip(to)) {
        let (from, to) = (i32::from(*from), i32::from(*to));
        *out = (from + (to - from) * n / (length + 1)) as i16;
    }
}

fn peak(samples: &[i16]) -> u16 {
    samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
}

fn dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(period: f32, peak: f32) -> Vec<i16> {
        (0..280).map(|n| ((n as f32 * std::f32::consts::TAU / period).sin() * peak) as i16).collect()
    }

    #[test]
    fn the_period_of_a_voice_is_found_at_any_loudness() {
        for period in [23, 40, 57, 80, 119] {
            for peak in [40.0, 3000.0, 32767.0] {
                let found = alike(&tone(period as f32, peak), 120, LAGS);
                assert!(
                    found.lag.abs_diff(period) <= 1 && found.likeness > 0.99,
                    "{period} {peak}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn full_scale_noise_and_nothing_are_searched_without_overflow() {
        assert_eq!(alike(&[i16::MIN; 280], 120, LAGS).lag, 20);
        assert_eq!(alike(&[0; 280], 120, LAGS), Alike { lag: 120, likeness: 0.0 });
        let mut seed = 1u32;
        let noise: Vec<i16> = (0..280)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) as i16
            })
            .collect();
        assert!(alike(&noise, 120, LAGS).likeness < 0.5);
    }

    #[test]
    fn a_crossing_between_extremes_stays_between_them() {
        let mut out = [0; 40];
        cross(&[i16::MIN; 40], &[i16::MAX; 40], &mut out);
        assert!(out.is_sorted() && out[0] < -31000 && out[39] > 31000);
    }
}
