//! Call-progress tones: one frequency, on and off.

/// One tone in its cadence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    pub hertz: u32,
    pub on_ms: u32,
    pub off_ms: u32,
}

/// ITU-T E.180 Supplement 2, China.
pub const RINGBACK: Cadence = Cadence { hertz: 425, on_ms: 1000, off_ms: 4000 };
pub const BUSY: Cadence = Cadence { hertz: 425, on_ms: 350, off_ms: 350 };

/// −10 dBm0, where E.180 wants a tone: 3.14 dBm0 is the A-law sine that reaches 32 256.
const PEAK: f64 = 7100.0;
/// 5 ms to rise and to fall, lest the edges click.
const EDGE: u32 = 40;

impl Cadence {
    /// One period, to be heard over and over.
    pub fn period(self) -> Vec<i16> {
        let on = self.on_ms * 8;
        let sounding = (0..on).map(|i| {
            let edge = f64::from(i.min(on - 1 - i).min(EDGE)) / f64::from(EDGE);
            let turns = f64::from(i) * f64::from(self.hertz) / 8000.0;
            (PEAK * edge * (turns.fract() * std::f64::consts::TAU).sin()).round() as i16
        });
        sounding.chain((0..self.off_ms * 8).map(|_| 0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ringback_sounds_one_second_in_five_at_425_hertz() {
        let period = RINGBACK.period();
        assert_eq!(period.len(), 40_000);
        assert!(period[8000..].iter().all(|s| *s == 0));
        let rises = period[..8000].windows(2).filter(|w| w[0] <= 0 && w[1] > 0).count();
        assert!((424..=426).contains(&rises), "{rises}");
    }

    #[test]
    fn busy_neither_clicks_nor_clips() {
        let period = BUSY.period();
        assert_eq!(period.len(), 5600);
        // Two neighbours of a 425 Hz sine of this peak differ by 2π·425/8000 of it at the most.
        assert!(period.windows(2).all(|w| w[0].abs_diff(w[1]) < 2500));
        assert!(period.iter().all(|s| s.unsigned_abs() <= 7100));
    }
}
