//! ITU-T G.722 at 64 kbit/s (mode 1), in integers and bit-exact.
//!
//! Two sub-bands of 4 kHz, each an ADPCM of its own: six bits of an octet tell the lower, two the
//! higher. Narrow mode works the lower one alone, which is telephone sound as it stands: who has
//! 8 kHz samples to send or wants them needs neither resampler nor filter, and half the time.
//!
//! Names in capitals are the Recommendation's. Its DET is four times our scale and its inverse
//! quantizers are eight times our tables, which keeps every product in 32 bits. As ffmpeg does, we
//! saturate at the end of a sum and leave XL and XH as the filter gives them; the Recommendation
//! also does so on the way, which only sound beyond full scale and octets made up would tell.

use crate::base::Rate;

/// Octets filtered together: 20 ms, what a packet mostly holds.
const BLOCK: usize = 160;
/// Taps of each of the mirror filter's two phases.
const TAPS: usize = 12;
/// The higher sub-band when nothing is in it: the small positive step, at the least scale zero.
/// What a decoder had there before dies away under it, to 60 dB below full scale.
const HIGHER_SILENCE: u8 = 0b11 << 6;

/// From sound to octets, each of 125 µs.
///
/// A wide decoder hears narrow sound at its level, with images of what lies above 3 kHz as far as
/// the filter has them: 20 dB down at 5 kHz, 50 dB at 6.
#[derive(Clone, Debug)]
pub struct Encoder {
    lower: Lower,
    upper: Option<Upper>,
}

/// From octets to sound. Any octets are sound.
#[derive(Clone, Debug)]
pub struct Decoder {
    lower: Lower,
    upper: Option<Upper>,
}

/// What wide sound needs besides the lower sub-band.
#[derive(Clone, Debug)]
struct Upper {
    higher: Higher,
    mirror: Mirror,
}

impl Encoder {
    /// `rate` is that of the samples.
    pub fn new(rate: Rate) -> Self {
        Self { lower: Lower::new(), upper: Upper::of(rate) }
    }

    /// Two samples make an octet in [`Rate::Wide`], one in [`Rate::Narrow`]. Returns the octets
    /// written: as many as `samples` are enough for and `octets` has room for. An odd last sample
    /// of wide sound is left out.
    pub fn encode(&mut self, samples: &[i16], octets: &mut [u8]) -> usize {
        let Some(upper) = &mut self.upper else {
            for (octet, sample) in octets.iter_mut().zip(samples) {
                // A sub-band has 15 bits.
                *octet = HIGHER_SILENCE | self.lower.encode(i32::from(*sample) >> 1);
            }
            return octets.len().min(samples.len());
        };
        let (pairs, _) = samples.as_chunks::<2>();
        let length = octets.len().min(pairs.len());
        for (octets, pairs) in octets[..length].chunks_mut(BLOCK).zip(pairs.chunks(BLOCK)) {
            let pairs = &pairs[..octets.len()];
            let mut sums = [[0; 2]; BLOCK];
            upper.mirror.filter(pairs, &mut sums);
            for (octet, [first, second]) in octets.iter_mut().zip(&sums) {
                let (low, high) = ((second + first) >> 14, (second - first) >> 14);
                *octet = upper.higher.encode(high) | self.lower.encode(low);
            }
        }
        length
    }
}

impl Decoder {
    /// `rate` is that of the samples, whatever the octets hold: a [`Rate::Narrow`] decoder leaves
    /// the higher sub-band unread.
    pub fn new(rate: Rate) -> Self {
        Self { lower: Lower::new(), upper: Upper::of(rate) }
    }

    /// An octet makes two samples in [`Rate::Wide`], one in [`Rate::Narrow`]. Returns the samples
    /// written: as many as `octets` tell and `samples` has room for, in wide sound an even number.
    pub fn decode(&mut self, octets: &[u8], samples: &mut [i16]) -> usize {
        let Some(upper) = &mut self.upper else {
            for (sample, octet) in samples.iter_mut().zip(octets) {
                *sample = (self.lower.decode(*octet) << 1) as i16;
            }
            return octets.len().min(samples.len());
        };
        let (pairs, _) = samples.as_chunks_mut::<2>();
        let length = octets.len().min(pairs.len());
        for (pairs, octets) in pairs[..length].chunks_mut(BLOCK).zip(octets.chunks(BLOCK)) {
            for (pair, octet) in pairs.iter_mut().zip(octets) {
                let (low, high) = (self.lower.decode(*octet), upper.higher.decode(*octet));
                // Each has 15 bits: 16 hold them.
                *pair = [(low + high) as i16, (low - high) as i16];
            }
            let mut sums = [[0; 2]; BLOCK];
            upper.mirror.filter(pairs, &mut sums);
            for (pair, [first, second]) in pairs.iter_mut().zip(&sums) {
                *pair = [saturate(second >> 11) as i16, saturate(first >> 11) as i16];
            }
        }
        2 * length
    }
}

impl Upper {
    fn of(rate: Rate) -> Option<Self> {
        match rate {
            Rate::Narrow => None,
            Rate::Wide => Some(Self { higher: Higher::new(), mirror: Mirror::default() }),
        }
    }
}

/// The lower sub-band: six bits a sample, of which the upper four steer it.
#[derive(Clone, Debug)]
struct Lower {
    predictor: Predictor,
    /// NB: the scale's logarithm to base 2, of 2^11.
    log: i32,
    scale: i32,
}

impl Lower {
    const LOG_MAX: i32 = 9 << 11;

    fn new() -> Self {
        Self { predictor: Predictor::default(), log: 0, scale: Self::scale(0) }
    }

    /// The six bits of a sample.
    #[inline(always)]
    fn encode(&mut self, sample: i32) -> u8 {
        let error = saturate(sample - self.predictor.estimate);
        // QUANTL asks how many decision values the error reaches, each the product of Q6 with the
        // scale, rounded down. Dividing by the scale asks all of them at once.
        let ratio = (((magnitude(error) + 1) << 10) - 1) / self.scale;
        let codes = &LOWER_CODES[usize::from(error < 0)];
        let code = codes[(ratio as usize).min(codes.len() - 1)];
        self.adapt(code);
        code
    }

    #[inline(always)]
    fn decode(&mut self, octet: u8) -> i32 {
        let code = octet & 63;
        let difference = (self.scale * LOWER_VALUES[usize::from(code)]) >> 10;
        let sample = limit(self.predictor.estimate + difference);
        self.adapt(code);
        sample
    }

    #[inline(always)]
    fn adapt(&mut self, code: u8) {
        let (value, step) = LOWER_STEPS[usize::from(code >> 2) & 15];
        self.predictor.adapt((self.scale * value) >> 10);
        self.log = (((self.log * 127) >> 7) + step).clamp(0, Self::LOG_MAX);
        self.scale = Self::scale(self.log);
    }

    /// Two octaves above that of the higher sub-band.
    fn scale(log: i32) -> i32 {
        Higher::scale(log + (2 << 11))
    }
}

/// The higher sub-band: two bits a sample.
#[derive(Clone, Debug)]
struct Higher {
    predictor: Predictor,
    /// As in [`Lower`].
    log: i32,
    scale: i32,
}

impl Higher {
    const LOG_MAX: i32 = 11 << 11;

    fn new() -> Self {
        Self { predictor: Predictor::default(), log: 0, scale: Self::scale(0) }
    }

    /// The two bits of a sample, where they stand in the octet.
    #[inline(always)]
    fn encode(&mut self, sample: i32) -> u8 {
        let error = saturate(sample - self.predictor.estimate);
        let small = magnitude(error) < (self.scale * HIGHER_DECISION) >> 10;
        let code = u8::from(error >= 0) << 1 | u8::from(small);
        self.adapt(code);
        code << 6
    }

    #[inline(always)]
    fn decode(&mut self, octet: u8) -> i32 {
        let estimate = self.predictor.estimate;
        limit(estimate + self.adapt(octet >> 6))
    }

    /// Returns the difference from the estimate.
    #[inline(always)]
    fn adapt(&mut self, code: u8) -> i32 {
        let (value, step) = HIGHER_STEPS[usize::from(code) & 3];
        let difference = (self.scale * value) >> 10;
        self.predictor.adapt(difference);
        self.log = (((self.log * 127) >> 7) + step).clamp(0, Self::LOG_MAX);
        self.scale = Self::scale(self.log);
        difference
    }

    fn scale(log: i32) -> i32 {
        i32::from(SCALES[(log >> 6) as usize])
    }
}

/// What both sub-bands guess of their next sample: two poles and six zeros, moved after each sample
/// by the signs alone, so that encoder and decoder stay together.
#[derive(Clone, Debug, Default)]
struct Predictor {
    /// S: the guess. Its part of the zeros is SZ.
    estimate: i32,
    zeros_estimate: i32,
    /// The last sample as the decoder has it, doubled: RLT.
    sample: i32,
    /// AL1 and AL2, of 2^14.
    poles: [i32; 2],
    /// BL, of 2^14, and the differences they weigh, doubled: DLT. The latest first. There are six;
    /// eight fill a register.
    zeros: [i16; 8],
    differences: [i16; 8],
    /// PLT: -1 where the last sample and the one before were negative without the poles' part.
    signs: [i32; 2],
}

impl Predictor {
    /// Takes the difference that the last guess was wrong by.
    #[inline(always)]
    fn adapt(&mut self, difference: i32) {
        // UPPOL2 and UPPOL1. A turn of sign is -1, none is 1.
        let sign = (self.zeros_estimate + difference) >> 31;
        let [turn, turn_of_two] = self.signs.map(|before| (sign ^ before) << 1 | 1);
        self.signs = [sign, self.signs[0]];
        let [first, second] = self.poles;
        let second = ((second * 127) >> 7) + (turn_of_two << 7) + ((-turn * first.clamp(-8191, 8191)) >> 5);
        let second = second.clamp(-12288, 12288);
        let bound = 15360 - second;
        let first = (((first * 255) >> 8) + 192 * turn).clamp(-bound, bound);
        self.poles = [first, second];

        // UPZERO and FILTEZ. A difference has 15 bits at most, so that doubling it stays within 16.
        let nudge = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(&self.differences) {
            let opposed = (difference as i16 ^ before) >> 15;
            *zero = ((i32::from(*zero) * 255) >> 8) as i16 + ((nudge ^ opposed) - opposed);
        }
        let [a, b, c, d, e, ..] = self.differences;
        self.differences = [(difference << 1) as i16, a, b, c, d, e, 0, 0];
        let products =
            self.zeros.iter().zip(&self.differences).map(|(z, d)| (i32::from(*z) * i32::from(*d)) >> 15);
        self.zeros_estimate = products.sum();

        // RECONS, FILTEP and PREDIC.
        let sample = saturate((self.estimate + difference) << 1);
        let poles_estimate = ((first * sample) >> 15) + ((second * self.sample) >> 15);
        self.estimate = saturate(self.zeros_estimate + poles_estimate);
        self.sample = sample;
    }
}

/// The quadrature mirror filter of either direction: of every two samples, one sum over the first
/// ones and one over the second ones.
#[derive(Clone, Debug, Default)]
struct Mirror {
    /// The samples before, the oldest first.
    before: [[i16; TAPS - 1]; 2],
}

impl Mirror {
    /// At most [`BLOCK`] pairs; their sums, of 2^13, come to the front of `sums`.
    fn filter(&mut self, pairs: &[[i16; 2]], sums: &mut [[i32; 2]; BLOCK]) {
        for (phase, before) in self.before.iter_mut().enumerate() {
            let mut line = [0; TAPS - 1 + BLOCK];
            line[..TAPS - 1].copy_from_slice(before);
            for (place, pair) in line[TAPS - 1..].iter_mut().zip(pairs) {
                *place = pair[phase];
            }
            for (sum, window) in sums.iter_mut().zip(line.windows(TAPS)).take(pairs.len()) {
                let products = window.iter().zip(&MIRROR[phase]).map(|(s, w)| i32::from(*s) * i32::from(*w));
                sum[phase] = products.sum();
            }
            before.copy_from_slice(&line[pairs.len()..][..TAPS - 1]);
        }
    }
}

/// H of Table 11, by phase.
static MIRROR: [[i16; TAPS]; 2] = [
    [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11],
    [-11, 53, -156, 362, -805, 3876, 951, -210, 32, 12, -11, 3],
];

/// Q6, the decision values: an error lies in as many steps above the first as it reaches of these.
const LOWER_DECISIONS: [u16; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219,
    1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// QQ6: the value of each of the thirty steps.
const LOWER_MAGNITUDES: [i32; 30] = [
    17, 54, 91, 130, 170, 211, 254, 300, 347, 396, 447, 501, 558, 618, 682, 750, 822, 899, 982, 1072, 1170,
    1279, 1399, 1535, 1689, 1873, 2088, 2376, 2738, 3101,
];
/// QQ4 and WL: what a step of the four upper bits means to the predictor, and to the scale.
const LOWER_ADAPTATIONS: [(i32, i32); 8] =
    [(0, -60), (150, -30), (323, 58), (530, 172), (786, 334), (1121, 538), (1612, 1198), (2557, 3042)];
/// Q2, the one decision value.
const HIGHER_DECISION: i32 = 564;
/// QQ2 and WH, by code.
static HIGHER_STEPS: [(i32, i32); 4] = [(-926, 798), (-202, -214), (926, 798), (202, -214)];

/// By sign, then by the error's ratio to the scale.
static LOWER_CODES: [[u8; 2920]; 2] = lower_codes();
/// By the six bits.
static LOWER_VALUES: [i32; 64] = lower_values();
/// By the four upper bits: difference and logarithm.
static LOWER_STEPS: [(i32, i32); 16] = lower_steps();
/// Of the higher sub-band, by the logarithm in 32nds of an octave: from a half to 4096.
static SCALES: [u16; 353] = scales();

/// Table 16: how a step is written. The two smallest of the negative have moved, so that no octet
/// has six zeros.
const fn lower_code(step: usize, negative: bool) -> u8 {
    match (negative, step) {
        (false, _) => 61 - step as u8,
        (true, 0 | 1) => 63 - step as u8,
        (true, _) => 33 - step as u8,
    }
}

const fn lower_codes() -> [[u8; 2920]; 2] {
    let mut table = [[0; 2920]; 2];
    let (mut ratio, mut step) = (0, 0);
    while ratio < 2920 {
        if step < LOWER_DECISIONS.len() && ratio >= LOWER_DECISIONS[step] as usize {
            step += 1;
        }
        table[0][ratio] = lower_code(step, false);
        table[1][ratio] = lower_code(step, true);
        ratio += 1;
    }
    table
}

const fn lower_values() -> [i32; 64] {
    // The four codes that nobody sends are the smallest negative step.
    let mut table = [-LOWER_MAGNITUDES[0]; 64];
    let mut step = 0;
    while step < LOWER_MAGNITUDES.len() {
        table[lower_code(step, false) as usize] = LOWER_MAGNITUDES[step];
        table[lower_code(step, true) as usize] = -LOWER_MAGNITUDES[step];
        step += 1;
    }
    table
}

const fn lower_steps() -> [(i32, i32); 16] {
    // Codes 0 and 15 are nothing, of either sign.
    let mut table = [LOWER_ADAPTATIONS[0]; 16];
    let mut step = 1;
    while step < LOWER_ADAPTATIONS.len() {
        let (value, log) = LOWER_ADAPTATIONS[step];
        table[15 - step] = (value, log);
        table[8 - step] = (-value, log);
        step += 1;
    }
    table
}

/// ILB: an octave in 32 steps, of 2^11.
const OCTAVE: [u16; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

const fn scales() -> [u16; 353] {
    let mut table = [0; 353];
    let mut log = 0;
    while log < table.len() {
        table[log] = (OCTAVE[log % 32] << 1) >> (11 - log / 32);
        log += 1;
    }
    table
}

/// To 16 bits.
#[inline(always)]
fn saturate(value: i32) -> i32 {
    value.clamp(-32768, 32767)
}

/// To a sub-band's 15 bits.
#[inline(always)]
fn limit(value: i32) -> i32 {
    value.clamp(-16384, 16383)
}

/// -1 and 0 lie beside each other.
#[inline(always)]
fn magnitude(value: i32) -> i32 {
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const AMPLITUDE: f64 = 10_000.0;

    fn tone(hertz: f64, rate: Rate) -> Vec<i16> {
        let turn = TAU * hertz / f64::from(rate.hz());
        (0..rate.hz()).map(|n| (AMPLITUDE * (turn * f64::from(n)).sin()).round() as i16).collect()
    }

    fn encoded(samples: &[i16], rate: Rate) -> Vec<u8> {
        let mut octets = vec![0; samples.len()];
        let length = Encoder::new(rate).encode(samples, &mut octets);
        octets.truncate(length);
        octets
    }

    fn decoded(octets: &[u8], rate: Rate) -> Vec<i16> {
        let mut samples = vec![0; 2 * octets.len()];
        let length = Decoder::new(rate).decode(octets, &mut samples);
        samples.truncate(length);
        samples
    }

    /// Of a tone in its second half second: its level against [`AMPLITUDE`] and that of all else
    /// against it, in decibels.
    fn levels(samples: &[i16], hertz: f64, rate: Rate) -> (f64, f64) {
        let half = &samples[samples.len() / 2..];
        let turn = TAU * hertz / f64::from(rate.hz());
        let sum = |f: &dyn Fn(usize, f64) -> f64| {
            half.iter().enumerate().map(|(n, s)| f(n, f64::from(*s))).sum::<f64>() * 2.0 / half.len() as f64
        };
        let sine = sum(&|n, s| s * (turn * n as f64).sin());
        let cosine = sum(&|n, s| s * (turn * n as f64).cos());
        let (tone, all) = (sine * sine + cosine * cosine, sum(&|_, s| s * s));
        (10.0 * (tone / AMPLITUDE.powi(2)).log10(), 10.0 * ((all - tone) / tone).log10())
    }

    #[test]
    fn octets_and_samples_are_those_of_another_codec() {
        // By ffmpeg 5.1; ten minutes more of it are among the integration tests.
        let steps: Vec<i16> = (0..32).map(|n| if n / 8 % 2 == 0 { 1000 } else { -1000 } * (n % 5)).collect();
        let octets =
            [0xfa, 0x9b, 0x32, 0xb7, 0x2e, 0x97, 0xa0, 0x20, 0x20, 0x88, 0x04, 0x97, 0x87, 0xbb, 0x2f, 0xb6];
        assert_eq!(encoded(&steps, Rate::Wide), octets);
        let octets: Vec<u8> = (7..=255).step_by(16).collect();
        let samples = [
            -1, 0, 0, -1, 0, 0, -1, -2, 1, 3, -6, -29, -36, -39, 3, 42, 77, 28, -16, -121, -165, -164, 6,
            203, 333, 180, -95, -477, -737, -644, 6, 953,
        ];
        assert_eq!(decoded(&octets, Rate::Wide), samples);
    }

    #[test]
    fn silence_stays_silence() {
        for rate in [Rate::Narrow, Rate::Wide] {
            let octets = encoded(&vec![0; rate.frame()], rate);
            assert_eq!(octets[..4], [0xfa; 4]);
            for heard in [Rate::Narrow, Rate::Wide] {
                assert!(decoded(&octets, heard).iter().all(|s| s.abs() <= 8), "{rate:?} {heard:?}");
            }
        }
    }

    #[test]
    fn a_tone_has_one_level_whichever_rate_it_is_told_and_heard_at() {
        for (told, heard) in [
            (Rate::Narrow, Rate::Narrow),
            (Rate::Narrow, Rate::Wide),
            (Rate::Wide, Rate::Narrow),
            (Rate::Wide, Rate::Wide),
        ] {
            for hertz in [300.0, 1000.0, 2000.0, 3000.0] {
                let samples = decoded(&encoded(&tone(hertz, told), told), heard);
                let (level, rest) = levels(&samples, hertz, heard);
                assert!(level.abs() < 0.05, "{told:?} to {heard:?} at {hertz} Hz: {level:.3} dB");
                // At 5 kHz the mirror filter leaves a tenth of the image of 3 kHz.
                let image = told == Rate::Narrow && heard == Rate::Wide && hertz == 3000.0;
                let bound = if image { -20.0 } else { -40.0 };
                assert!(rest < bound, "{told:?} to {heard:?} at {hertz} Hz: {rest:.1} dB");
            }
        }
    }

    #[test]
    fn narrow_sound_comes_through_without_delay() {
        let sent = tone(1000.0, Rate::Narrow);
        let heard = decoded(&encoded(&sent, Rate::Narrow), Rate::Narrow);
        let error = sent.iter().zip(&heard).skip(800).map(|(s, h)| (f64::from(*s) - f64::from(*h)).powi(2));
        let error = error.sum::<f64>() / (sent.len() - 800) as f64;
        let noise = 10.0 * (error * 2.0 / AMPLITUDE.powi(2)).log10();
        assert!(noise < -35.0, "{noise:.1} dB");
    }

    #[test]
    fn what_was_above_dies_away_when_narrow_sound_follows() {
        let mut octets = encoded(&tone(6000.0, Rate::Wide), Rate::Wide);
        octets.extend(encoded(&[0; 8000], Rate::Narrow));
        let heard = decoded(&octets, Rate::Wide);
        // 60 dB below full scale: rounding keeps the predictors from zero.
        assert!(heard[heard.len() - 1600..].iter().all(|s| s.abs() <= 32));
    }

    #[test]
    fn a_step_is_decoded_between_the_decision_values_it_was_coded_by() {
        for (negative, codes) in LOWER_CODES.iter().enumerate() {
            for (step, magnitude) in LOWER_MAGNITUDES.into_iter().enumerate() {
                let code = codes[usize::try_from(magnitude.min(2919)).unwrap()];
                assert_eq!(code, lower_code(step, negative == 1));
                let value = LOWER_VALUES[usize::from(code)];
                assert_eq!(value, if negative == 1 { -magnitude } else { magnitude });
            }
        }
        assert_eq!((SCALES[0], SCALES[64], SCALES[352]), (2, 8, 4096));
    }

    fn rate() -> impl Strategy<Value = Rate> {
        prop_oneof![Just(Rate::Narrow), Just(Rate::Wide)]
    }

    proptest! {
        #[test]
        fn any_octets_are_sound(octets in vec(any::<u8>(), 0..2000), rate in rate()) {
            let samples = decoded(&octets, rate);
            prop_assert_eq!(samples.len(), octets.len() * rate.frame() / 160);
        }

        /// Steady extremes drive every state to its end.
        #[test]
        fn any_octet_for_ever_is_sound(runs in vec((any::<u8>(), 1..500usize), 0..10), rate in rate()) {
            let octets: Vec<u8> = runs.into_iter().flat_map(|(octet, times)| vec![octet; times]).collect();
            decoded(&octets, rate);
        }

        #[test]
        fn any_sound_has_octets(runs in vec((any::<i16>(), 1..500usize), 0..10), rate in rate()) {
            let samples: Vec<i16> = runs.into_iter().flat_map(|(s, times)| vec![s; times]).collect();
            prop_assert_eq!(encoded(&samples, rate).len(), samples.len() * 160 / rate.frame());
        }

        #[test]
        fn packets_of_any_length_make_the_same_sound(
            octets in vec(any::<u8>(), 1..1000),
            length in 1..400usize,
            rate in rate(),
        ) {
            let per_octet = rate.frame() / 160;
            let whole = decoded(&octets, rate);
            let mut decoder = Decoder::new(rate);
            let mut room = vec![0; length * per_octet];
            let parts = octets.chunks(length).flat_map(|part| {
                let count = decoder.decode(part, &mut room);
                room[..count].to_vec()
            });
            prop_assert_eq!(&parts.collect::<Vec<_>>(), &whole);

            let again = encoded(&whole, rate);
            let mut encoder = Encoder::new(rate);
            let mut room = vec![0; length];
            let parts = whole.chunks(length * per_octet).flat_map(|part| {
                let count = encoder.encode(part, &mut room);
                room[..count].to_vec()
            });
            prop_assert_eq!(parts.collect::<Vec<_>>(), again);
        }

        #[test]
        fn no_more_is_written_than_there_is_room_and_cause_for(given in 0..400usize, room in 0..400usize) {
            for (rate, per_octet) in [(Rate::Narrow, 1), (Rate::Wide, 2)] {
                let mut octets = vec![1; room];
                let count = Encoder::new(rate).encode(&vec![0; given], &mut octets);
                prop_assert_eq!(count, room.min(given / per_octet));
                prop_assert!(octets[count..].iter().all(|octet| *octet == 1));
                let mut samples = vec![i16::MAX; room];
                let count = Decoder::new(rate).decode(&vec![0xfa; given], &mut samples);
                prop_assert_eq!(count, per_octet * given.min(room / per_octet));
                prop_assert!(samples[count..].iter().all(|sample| *sample == i16::MAX));
            }
        }
    }
}
