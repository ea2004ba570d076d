//! Lost packets of codecs that know no remedy, in the manner of ITU-T G.711 Appendix I: the last
//! period of the voice goes on, dies away within 60 ms, and passes over into what comes next.
//!
//! Unlike the Appendix it holds no sound back: where a gap begins the step is levelled out
//! instead of being faded over. While nothing is lost, a frame costs one copy.

use crate::base::Rate;

/// Samples of 30 ms at 16 kHz: two of the longest periods.
const PAST: usize = 480;
const LONGEST: usize = PAST / 2;

/// What one stream was, and what it is while nothing comes.
#[derive(Clone, Debug)]
pub struct Repair {
    rate: Rate,
    /// The last 30 ms, the concealed included; narrow sound uses the first half.
    past: [i16; PAST],
    /// One period of what goes on in a gap.
    cycle: [i16; LONGEST],
    period: usize,
    /// Between the last sample and the one before the cycle.
    step: i32,
    /// Samples since the gap began; 0 when there is none.
    lost: usize,
}

impl Repair {
    pub const fn new(rate: Rate) -> Self {
        Self { rate, past: [0; PAST], cycle: [0; LONGEST], period: 1, step: 0, lost: 0 }
    }

    /// Remembers what was decoded, of any length. After a gap its beginning is faded into.
    pub fn keep(&mut self, samples: &mut [i16]) {
        if self.lost > 0 {
            // Appendix I: 4 ms, the longer the more was lost, 10 ms at the most.
            let fade = (self.lost * 2 / 5).clamp(self.ms(4), self.ms(10)).min(samples.len());
            for (n, sample) in samples[..fade].iter_mut().enumerate() {
                let (old, new) = (i32::from(self.next()), i32::from(*sample));
                *sample = ((old * (fade - n) as i32 + new * n as i32) / fade as i32) as i16;
            }
            self.lost = 0;
        }
        self.remember(samples);
    }

    /// Goes on where [`Repair::keep`] or the last call ended.
    pub fn fill(&mut self, samples: &mut [i16]) {
        if self.lost == 0 {
            self.begin();
        }
        for sample in samples.iter_mut() {
            *sample = self.next();
        }
        self.remember(samples);
    }

    fn begin(&mut self) {
        let past = &self.past[..self.ms(30)];
        let (end, period) = (past.len(), period(past, self.ms(5)));
        self.period = period;
        self.cycle[..period].copy_from_slice(&past[end - period..]);
        // The last quarter passes over into what was before the cycle, so that it closes.
        let quarter = period / 4;
        for n in 0..quarter {
            let (old, new) =
                (i32::from(past[end - quarter + n]), i32::from(past[end - period - quarter + n]));
            let mixed = (old * (quarter - n) as i32 + new * n as i32) / quarter as i32;
            self.cycle[period - quarter + n] = mixed as i16;
        }
        self.step = i32::from(past[end - 1]) - i32::from(past[end - period - 1]);
    }

    fn next(&mut self) -> i16 {
        let (at, full, gone) = (self.lost, self.ms(10), self.ms(60));
        if at >= gone {
            return 0;
        }
        self.lost += 1;
        let mut sample = i32::from(self.cycle[at % self.period]);
        let level = self.ms(2);
        if at < level {
            sample += self.step * (level - at) as i32 / level as i32;
        }
        if at > full {
            sample = sample * (gone - at) as i32 / (gone - full) as i32;
        }
        sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.ms(30);
        let past = &mut self.past[..length];
        let samples = &samples[samples.len().saturating_sub(length)..];
        past.copy_within(samples.len().., 0);
        past[length - samples.len()..].copy_from_slice(samples);
    }

    /// Samples.
    const fn ms(&self, milliseconds: usize) -> usize {
        self.rate.hz() as usize / 1000 * milliseconds
    }
}

/// The distance, `shortest` to half of `past`, at which the last half is most like what was before.
/// Where nothing is like it the longest, which buzzes least.
fn period(past: &[i16], shortest: usize) -> usize {
    let longest = past.len() / 2;
    let last = &past[longest..];
    let (mut best, mut most) = (longest, 0.3 * power(last).sqrt());
    for distance in shortest..=longest {
        let before = &past[longest - distance..past.len() - distance];
        let likeness = product(last, before) / power(before).sqrt().max(1.0);
        if likeness > most {
            (best, most) = (distance, likeness);
        }
    }
    best
}

fn power(of: &[i16]) -> f32 {
    product(of, of)
}

fn product(a: &[i16], b: &[i16]) -> f32 {
    // At most 2^22 each, 240 of them: what is lost in the shift would not be heard.
    a.iter().zip(b).map(|(a, b)| (i32::from(*a) * i32::from(*b)) >> 8).sum::<i32>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [Rate; 2] = [Rate::Narrow, Rate::Wide];

    fn hum(rate: Rate, hertz: f64, samples: usize) -> Vec<i16> {
        let turn = std::f64::consts::TAU * hertz / f64::from(rate.hz());
        (0..samples)
            .map(|n| {
                let wave = |k: f64| (n as f64 * turn * k).sin() / k;
                (8000.0 * (wave(1.0) + wave(2.0) + wave(5.0))) as i16
            })
            .collect()
    }

    /// Sound of `heard` samples, then a gap of `lost`, then sound again: what is heard of the last
    /// two, and what would have been.
    fn through(rate: Rate, sound: &[i16], heard: usize, lost: usize) -> (Vec<i16>, Vec<i16>) {
        let mut repair = Repair::new(rate);
        let mut out = sound.to_vec();
        let (before, rest) = out.split_at_mut(heard);
        let (gap, after) = rest.split_at_mut(lost);
        repair.keep(before);
        gap.chunks_mut(rate.frame()).for_each(|part| repair.fill(part));
        after.chunks_mut(rate.frame()).for_each(|part| repair.keep(part));
        (out[heard..].to_vec(), sound[heard..].to_vec())
    }

    fn off(want: &[i16], got: &[i16]) -> u16 {
        want.iter().zip(got).map(|(w, g)| w.abs_diff(*g)).max().unwrap_or(0)
    }

    fn peak(samples: &[i16]) -> u16 {
        samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0)
    }

    #[test]
    fn a_steady_voice_goes_on_as_if_nothing_were_lost() {
        for rate in RATES {
            for hertz in [80.0, 100.0, 125.0, 200.0, 250.0] {
                let sound = hum(rate, hertz, rate.frame() * 4);
                let (got, want) = through(rate, &sound, rate.frame() * 2, rate.frame() / 2);
                assert!(off(&want, &got) < 600, "{rate:?} {hertz} Hz: {}", off(&want, &got));
            }
        }
    }

    #[test]
    fn a_long_gap_dies_away_and_what_follows_rises_from_it() {
        for rate in RATES {
            let frame = rate.frame();
            let sound = hum(rate, 130.0, frame * 10);
            let (got, want) = through(rate, &sound, frame * 2, frame * 5);
            let peaks: Vec<u16> = got[..frame * 5].chunks(frame).map(peak).collect();
            assert!(peaks[0] > 9000 && peaks[..4].is_sorted_by(|a, b| a > b), "{peaks:?}");
            assert_eq!(peaks[3..], [0, 0]);
            assert!(peak(&got[frame * 5..frame * 5 + frame / 20]) < 2000);
            // 10 ms later nothing tells of the gap.
            assert_eq!(got[frame * 11 / 2..], want[frame * 11 / 2..]);
        }
    }

    #[test]
    fn neither_edge_of_a_gap_clicks() {
        for rate in RATES {
            for hertz in [97.0, 141.0, 233.0] {
                let sound = hum(rate, hertz, rate.frame() * 8);
                let steepest = |s: &[i16]| s.windows(2).map(|w| w[0].abs_diff(w[1])).max().unwrap();
                let most = steepest(&sound);
                for lost in [1, 2, 3, 4] {
                    let (mut got, _) = through(rate, &sound, rate.frame() * 2, rate.frame() * lost);
                    got.insert(0, sound[rate.frame() * 2 - 1]);
                    assert!(steepest(&got) < most * 5 / 4, "{rate:?} {hertz} Hz {lost}");
                }
            }
        }
    }

    #[test]
    fn nothing_heard_yet_is_continued_by_nothing() {
        let (got, _) = through(Rate::Narrow, &[0; 480], 160, 160);
        assert_eq!(got, [0; 320]);
    }

    proptest::proptest! {
        #[test]
        fn no_lengths_and_no_sound_break_it(turns: Vec<(bool, Vec<i16>)>) {
            for rate in RATES {
                let mut repair = Repair::new(rate);
                for (lost, mut sound) in turns.clone() {
                    if lost { repair.fill(&mut sound) } else { repair.keep(&mut sound) }
                }
            }
        }
    }
}
