//! Several voices heard as one.
//!
//! Two loud voices together exceed 16 bits. Cutting the peaks off is heard as crackle; turning the
//! whole frame down a little, and slowly up again, is not heard at all.

/// Unity in the gain's fixed point.
const UNITY: i32 = 1 << 15;
/// The part of a frame over which the gain falls: 2 ms of 20, short against a syllable, long
/// against a click.
const ATTACK: usize = 10;
/// Rise of the gain in a frame: from half to full in a third of a second at 20 ms a frame.
const RELEASE: i32 = UNITY / 32;

/// Brings sums back to 16 bits. One a listener: it remembers how loud the last frame was.
#[derive(Clone, Debug)]
pub struct Limiter {
    gain: i32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: UNITY }
    }
}

impl Limiter {
    /// Turns one frame of summed samples into samples, as many as the shorter slice has.
    pub fn limit(&mut self, sums: &[i32], samples: &mut [i16]) {
        let peak = sums.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
        let most = i64::from(i16::MAX) * i64::from(UNITY) / i64::from(peak.max(1));
        let wanted = i32::try_from(most).unwrap_or(UNITY).min(UNITY);
        let (from, to) = (self.gain, wanted.min(self.gain + RELEASE));
        let ramp = if to < from { sums.len() / ATTACK } else { sums.len() }.max(1);
        for (i, (sum, sample)) in sums.iter().zip(samples).enumerate() {
            let gain = if i < ramp { from + (to - from) * i as i32 / ramp as i32 } else { to };
            let scaled = i64::from(*sum) * i64::from(gain) / i64::from(UNITY);
            // Only within the attack can a peak still stand out.
            *sample = scaled.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
        self.gain = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_sum_passes_unchanged() {
        let sums: Vec<i32> = (0..160).map(|i| (i - 80) * 400).collect();
        let mut samples = [0; 160];
        Limiter::default().limit(&sums, &mut samples);
        assert!(sums.iter().zip(&samples).all(|(sum, sample)| *sum == i32::from(*sample)));
    }

    #[test]
    fn a_loud_sum_is_turned_down_rather_than_cut_off() {
        let sine = |i: usize| (60_000.0 * (i as f64 * 0.3).sin()) as i32;
        let mut limiter = Limiter::default();
        let mut cut = vec![];
        for frame in 0..10 {
            let sums: Vec<i32> = (0..160).map(|i| sine(frame * 160 + i)).collect();
            let mut samples = [0; 160];
            limiter.limit(&sums, &mut samples);
            cut.push(samples.iter().filter(|s| s.unsigned_abs() >= 32767).count());
        }
        assert!(cut[0] <= 160 / ATTACK, "{cut:?}");
        // A cut sine of twice the range would stand at the rail for two thirds of the time.
        assert!(cut[1..].iter().all(|c| *c < 16), "{cut:?}");
    }

    #[test]
    fn loudness_comes_back_slowly_and_wholly() {
        let mut limiter = Limiter::default();
        let mut samples = [0; 160];
        limiter.limit(&[65_534; 160], &mut samples);
        let mut heard = vec![];
        for _ in 0..20 {
            limiter.limit(&[10_000; 160], &mut samples);
            heard.push(samples[159]);
        }
        assert!(heard[0] < 5_500 && heard.windows(2).all(|w| w[0] <= w[1]), "{heard:?}");
        assert_eq!(heard[19], 10_000);
    }

    #[test]
    fn no_sum_overflows() {
        let mut samples = [0; 4];
        Limiter::default().limit(&[i32::MAX, i32::MIN, 0, 1], &mut samples);
        Limiter::default().limit(&[], &mut samples);
    }
}
