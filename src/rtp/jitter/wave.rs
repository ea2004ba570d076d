//! Waveforms put together where they are alike: to be shorter, to be longer, to go on.
//!
//! The time-domain way (WSOLA, and ITU-T G.711 Appendix I for what is lost): one pitch period is
//! left out, said twice or repeated, at the lag where the sound most resembles itself. Lengths are
//! eighths of a millisecond of `N` samples each; what is alike is looked for at 8 kHz at any rate.

use std::ops::RangeInclusive;

/// Lags looked at: 2.5 to 15 ms, voices of 67 to 400 Hz.
pub(super) const LAGS: RangeInclusive<usize> = 20..=LONGEST;
pub(super) const LONGEST: usize = 120;
/// What is compared: 10 ms.
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

/// Looks before `at` for what is most like the [`COMPARED`] eighths from `at` on.
pub(super) fn alike<const N: usize>(sound: &[[i16; N]], at: usize, lags: RangeInclusive<usize>) -> Alike {
    debug_assert!(*lags.end() <= at && at + COMPARED <= sound.len() && sound.len() <= 512);
    // 80 products of 12 bits by 12 fit into 31.
    let shift = (16 - peak(sound).leading_zeros()).saturating_sub(12);
    let mut scaled = [0; 512];
    scaled.iter_mut().zip(sound).for_each(|(to, from)| *to = mean(from) >> shift);
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

pub(super) fn is_quiet<const N: usize>(sound: &[[i16; N]]) -> bool {
    peak(sound) < QUIET
}

/// Goes over from one sound to another of the same length.
pub(super) fn cross<const N: usize>(from: &[[i16; N]], to: &[[i16; N]], out: &mut [[i16; N]]) {
    let length = out.len() as i32;
    for (n, ((out, from), to)) in (1..).zip(out.iter_mut().zip(from).zip(to)) {
        for ((out, from), to) in out.iter_mut().zip(from).zip(to) {
            let (from, to) = (i32::from(*from), i32::from(*to));
            *out = (from + (to - from) * n / (length + 1)) as i16;
        }
    }
}

fn peak<const N: usize>(sound: &[[i16; N]]) -> u16 {
    sound.as_flattened().iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
}

fn mean<const N: usize>(eighth: &[i16; N]) -> i16 {
    (eighth.iter().map(|sample| i32::from(*sample)).sum::<i32>() / N as i32) as i16
}

fn dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone<const N: usize>(period: f32, peak: f32) -> Vec<[i16; N]> {
        let wave = |n: usize| ((n as f32 * std::f32::consts::TAU / (period * N as f32)).sin() * peak) as i16;
        (0..280).map(|n| std::array::from_fn(|k| wave(n * N + k))).collect()
    }

    #[test]
    fn the_period_of_a_voice_is_found_at_any_loudness() {
        for period in [23, 40, 57, 80, 119] {
            for peak in [40.0, 3000.0, 32767.0] {
                let narrow = alike(&tone::<1>(period as f32, peak), 120, LAGS);
                let wide = alike(&tone::<2>(period as f32, peak), 120, LAGS);
                for found in [narrow, wide] {
                    assert!(
                        found.lag.abs_diff(period) <= 1 && found.likeness > 0.99,
                        "{period} {peak}: {found:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn full_scale_noise_and_nothing_are_searched_without_overflow() {
        assert_eq!(alike(&[[i16::MIN; 2]; 280], 120, LAGS).lag, 20);
        assert_eq!(alike(&[[0; 2]; 280], 120, LAGS), Alike { lag: 120, likeness: 0.0 });
        let mut seed = 1u32;
        let noise: Vec<[i16; 1]> = (0..280)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                [(seed >> 16) as i16]
            })
            .collect();
        assert!(alike(&noise, 120, LAGS).likeness < 0.5);
    }

    #[test]
    fn a_crossing_between_extremes_stays_between_them() {
        let mut out = [[0; 2]; 40];
        cross(&[[i16::MIN; 2]; 40], &[[i16::MAX; 2]; 40], &mut out);
        let out = out.as_flattened();
        assert!(out.is_sorted() && out[0] < -31000 && out[79] > 31000);
    }
}
