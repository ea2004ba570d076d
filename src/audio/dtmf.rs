//! Keys as sound: ITU-T Q.23, told apart from speech as Q.24 asks.
//!
//! Spares the layer above that a key in the sound is a tone pair of unknown beginning, level and
//! length amid speech and noise: a [`Detector`] tells each key once, when it is certain; [`Tones`]
//! makes the sound of one.
//!
//! The detector looks through Hann windows of 20 ms, one every 10 ms. Such windows add up to a
//! constant, so the amplitudes of a tone in successive windows, each as a part of the greatest, sum
//! up to its length, wherever it began. And the phase a tone gains from window to window is its
//! frequency, far finer than 20 ms of spectrum could resolve.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use crate::base::{Key, Rate};

/// Hertz, low group then high group (Q.23). Written row by row, a keypad is [`PAD`].
const TONES: [u16; 8] = [697, 770, 852, 941, 1209, 1336, 1477, 1633];
const PAD: &[u8; 16] = b"123A456B789C*0#D";

/// The peak of a sine of 0 dBm0: 3.14 dBm0 is the A-law sine that reaches 32 256.
const PEAK_0_DBM0: f64 = 22_470.0;

/// Samples from window to window: 10 ms, half a window.
const HOP: usize = 80;
/// Either half of the window; the falling one is what is missing to 1.
static RISE: [f32; HOP] = rise();
/// What each tone turns in a sample, and in a hop.
static SAMPLE: Turns = turns(1);
static ADVANCE: Turns = turns(HOP as u32);

/// What a sine of peak 1 becomes: half the window's sum, and half the sum of its squares.
const GAIN: f32 = HOP as f32 / 2.0;
const POWER: f32 = HOP as f32 * 3.0 / 8.0;

/// The least peak of either tone: −30 dBm0. Q.24 has them come at −25 dBm0 or louder.
const FLOOR: f32 = 710.0;
/// A tone off by this part of its frequency is another's: Q.24 takes 1.5 % and refuses 3.5 %.
const OFF: f32 = 0.023;
/// How the high tone's power may stand to the low one's: Q.24 takes −8 to +4 dB, here −10 to +6.
const TWIST: std::ops::RangeInclusive<f32> = 0.1..=4.0;
/// Of the power in the window the two tones make up this much, which a signal 15 dB above noise
/// does easily and speech hardly ever. It bounds all harmonics together, the second among them, more
/// tightly than a test of that one would; and the tones are so chosen that none is near another's.
const PURITY: f32 = 0.88;
/// A tone is a key from this length, in hops. Q.24 takes 40 ms and refuses 23.
const LONG_ENOUGH: f32 = 3.2;
/// A silence parts two presses from this length, in hops: Q.24 bridges 10 ms to 20 ms.
const PARTED: f32 = 2.5;
/// What a window counts as silence in which a held key is not clearly heard, though not missed.
const OBSCURED: f32 = 0.25;

/// Hears the keys of one voice. A key is told some 50 ms after it began.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    /// The window now in its rise, and the one in its fall.
    rising: Window,
    falling: Window,
    /// Samples of the hop so far.
    at: usize,
    last: Spectrum,
    /// Not certain yet.
    begun: Option<Press>,
    /// Told and not yet let go.
    held: Option<Press>,
}

impl Detector {
    /// The next samples at 8 kHz, up to 30 ms of them: more might hold two keys. A gap in the sound
    /// is to be filled, with silence if nothing better, or it is not heard that a key was let go.
    pub fn hear(&mut self, mut frame: &[i16]) -> Option<Key> {
        let mut told = None;
        while !frame.is_empty() {
            let now;
            (now, frame) = frame.split_at(frame.len().min(HOP - self.at));
            self.take(now);
            if self.at == HOP {
                self.at = 0;
                let spectrum = self.falling.spectrum();
                self.falling = std::mem::take(&mut self.rising);
                told = self.judge(&spectrum).or(told);
                self.last = spectrum;
            }
        }
        told
    }

    /// Whether the key that was told last is still heard.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    fn take(&mut self, samples: &[i16]) {
        for (sample, weight) in samples.iter().zip(&RISE[self.at..]) {
            let sample = f32::from(*sample);
            let rising = sample * weight;
            self.rising.add(rising);
            self.falling.add(sample - rising);
        }
        self.at += samples.len();
    }

    fn judge(&mut self, now: &Spectrum) -> Option<Key> {
        let heard = now.pair(&self.last);
        if let Some(held) = &mut self.held {
            if heard.is_some_and(|heard| heard.is_of(held)) {
                held.add(now);
                held.silence = 0.0;
                self.begun = None;
                return None;
            }
            held.silence += (1.0 - held.presence(now)).max(OBSCURED);
            if held.silence >= PARTED {
                self.held = None;
            }
        }
        let mut press = match (self.begun.take(), heard) {
            (Some(begun), heard) if heard.is_none_or(|heard| heard.is_of(&begun)) => begun,
            (_, Some(Pair { row, column })) => Press::begin(row, column, &self.last),
            (_, None) => return None,
        };
        press.add(now);
        press.windows += u8::from(heard.is_some());
        if press.windows >= 2 && press.length() >= LONG_ENOUGH {
            let key = press.key();
            self.held = Some(press);
            return key;
        }
        self.begun = heard.map(|_| press);
        None
    }
}

/// Goertzel's recursion at all eight frequencies over one window.
#[derive(Clone, Debug, Default)]
struct Window {
    power: f32,
    s1: [f32; 8],
    s2: [f32; 8],
}

impl Window {
    #[inline]
    fn add(&mut self, sample: f32) {
        self.power += sample * sample;
        for tone in 0..8 {
            let s = sample + SAMPLE.twice_cos[tone] * self.s1[tone] - self.s2[tone];
            (self.s2[tone], self.s1[tone]) = (self.s1[tone], s);
        }
    }

    fn spectrum(&self) -> Spectrum {
        let mut spectrum = Spectrum { power: self.power / POWER, ..Spectrum::default() };
        for tone in 0..8 {
            spectrum.re[tone] = (self.s1[tone] - self.s2[tone] * SAMPLE.cos[tone]) / GAIN;
            spectrum.im[tone] = self.s2[tone] * SAMPLE.sin[tone] / GAIN;
        }
        spectrum
    }
}

/// One window's sound, in units of a sample: a sine shows its peak, and its peak's square as power.
#[derive(Clone, Debug, Default)]
struct Spectrum {
    power: f32,
    /// At the phase of the window's last sample.
    re: [f32; 8],
    im: [f32; 8],
}

/// One tone of each group.
#[derive(Clone, Copy, Debug)]
struct Pair {
    row: usize,
    column: usize,
}

impl Spectrum {
    fn peak(&self, tone: usize) -> f32 {
        self.square(tone).sqrt()
    }

    fn square(&self, tone: usize) -> f32 {
        self.re[tone] * self.re[tone] + self.im[tone] * self.im[tone]
    }

    /// The tones of a key and nothing else.
    fn pair(&self, last: &Self) -> Option<Pair> {
        // Even pure noise at the floor has this; silence ends here.
        if self.power < 2.0 * FLOOR * FLOOR {
            return None;
        }
        let (row, column) = (self.loudest(0..4), self.loudest(4..8));
        let (low, high) = (self.on_key(row, last)?, self.on_key(column, last)?);
        let loud = low.min(high) >= FLOOR * FLOOR;
        let pure = low + high >= PURITY * self.power;
        (loud && pure && TWIST.contains(&(high / low))).then_some(Pair { row, column })
    }

    fn loudest(&self, group: std::ops::Range<usize>) -> usize {
        let first = group.start;
        group.fold(first, |best, tone| if self.square(tone) > self.square(best) { tone } else { best })
    }

    /// The square of a tone's peak, if its frequency is right.
    fn on_key(&self, tone: usize, last: &Self) -> Option<f32> {
        // What it turned since the last window beyond what it should have.
        let re = self.re[tone] * last.re[tone] + self.im[tone] * last.im[tone];
        let im = self.im[tone] * last.re[tone] - self.re[tone] * last.im[tone];
        let (cos, sin) = (ADVANCE.cos[tone], ADVANCE.sin[tone]);
        let turned = (im * cos - re * sin).atan2(re * cos + im * sin) / std::f32::consts::TAU;
        let hertz = turned * (8000 / HOP) as f32;
        // Beyond ±50 Hz it is taken for another, but is then too faint to be part of a pair.
        let right = hertz.abs() <= OFF * f32::from(TONES[tone]);
        // The window's loss off its middle, nearly, in units of its 50 Hz.
        let off = hertz / 50.0;
        right.then_some(self.square(tone) * (1.0 + 1.4 * off * off))
    }
}

/// A key's sound, window by window.
#[derive(Clone, Debug)]
struct Press {
    row: usize,
    column: usize,
    /// In which it was clearly heard.
    windows: u8,
    low: Course,
    high: Course,
    /// In hops.
    silence: f32,
}

/// One tone's peaks.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    sum: f32,
    greatest: f32,
}

impl Press {
    /// `before`: the window before the first, into which the tone may have reached.
    fn begin(row: usize, column: usize, before: &Spectrum) -> Self {
        let none = Course::default();
        let mut press = Self { row, column, windows: 0, low: none, high: none, silence: 0.0 };
        press.add(before);
        press
    }

    fn add(&mut self, now: &Spectrum) {
        self.low.add(now.peak(self.row));
        self.high.add(now.peak(self.column));
    }

    /// In hops.
    fn length(&self) -> f32 {
        (self.low.sum / self.low.greatest).min(self.high.sum / self.high.greatest)
    }

    /// How much of it is there, up to 1.
    fn presence(&self, now: &Spectrum) -> f32 {
        let low = now.peak(self.row) / self.low.greatest;
        low.min(now.peak(self.column) / self.high.greatest).min(1.0)
    }

    fn key(&self) -> Option<Key> {
        Key::try_from(char::from(PAD[4 * self.row + self.column - 4])).ok()
    }
}

impl Course {
    fn add(&mut self, peak: f32) {
        self.sum += peak;
        self.greatest = self.greatest.max(peak);
    }
}

impl Pair {
    fn is_of(self, press: &Press) -> bool {
        (self.row, self.column) == (press.row, press.column)
    }
}

const fn rise() -> [f32; HOP] {
    let mut rise = [0.0; HOP];
    let mut n = 0;
    while n < HOP {
        rise[n] = (0.5 - 0.5 * cosine((2 * n + 1) as u32, 4 * HOP as u32)) as f32;
        n += 1;
    }
    rise
}

/// Of the tones, as numbers of a circle.
struct Turns {
    twice_cos: [f32; 8],
    cos: [f32; 8],
    sin: [f32; 8],
}

const fn turns(samples: u32) -> Turns {
    let mut turns = Turns { twice_cos: [0.0; 8], cos: [0.0; 8], sin: [0.0; 8] };
    let mut tone = 0;
    while tone < 8 {
        let part = TONES[tone] as u32 * samples;
        let cos = cosine(part, 8000);
        turns.twice_cos[tone] = (2.0 * cos) as f32;
        turns.cos[tone] = cos as f32;
        // A quarter back: the sine.
        turns.sin[tone] = cosine(part + 6000, 8000) as f32;
        tone += 1;
    }
    turns
}

/// Of `part` in `whole` turns; the library's is not for compile time.
const fn cosine(part: u32, whole: u32) -> f64 {
    let angle = (part % whole) as f64 / whole as f64 * TAU - std::f64::consts::PI;
    let (mut sum, mut term, mut n) = (0.0, 1.0, 0);
    while n < 40 {
        sum += term;
        term *= -angle * angle / ((n + 1) * (n + 2)) as f64;
        n += 2;
    }
    // Measured from half a turn away, which keeps the series short.
    -sum
}

/// Keys waiting to be sounded; more are refused.
const QUEUE: usize = 64;
/// Milliseconds of a key, above the 40 that Q.24 asks for, and of silence after it.
const SOUND: u32 = 100;
const PAUSE: u32 = 60;
/// Milliseconds to rise and to fall, lest the edges click.
const EDGE: u32 = 2;
/// Peaks at −8 and −6 dBm0: the high tone louder, as lines dampen it more, and both together
/// within 16 bits.
const LOW_PEAK: f64 = PEAK_0_DBM0 * 0.398_107;
const HIGH_PEAK: f64 = PEAK_0_DBM0 * 0.501_187;

/// Makes the sound of keys, one after another.
#[derive(Clone, Debug)]
pub struct Tones {
    rate: Rate,
    waiting: VecDeque<Key>,
    /// Samples of the first waiting key that went out, pause included.
    at: u32,
    low: Sine,
    high: Sine,
}

/// What to send in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No key: other sound may go. The frame is as it was.
    Idle,
    /// A key, or the silence that keeps it from the next, fills the frame.
    Key,
}

impl Tones {
    pub fn new(rate: Rate) -> Self {
        let waiting = VecDeque::with_capacity(QUEUE);
        Self { rate, waiting, at: 0, low: Sine::default(), high: Sine::default() }
    }

    /// Adds a key; false if too many wait already.
    pub fn press(&mut self, key: Key) -> bool {
        let room = self.waiting.len() < QUEUE;
        if room {
            self.waiting.push_back(key);
        }
        room
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next samples, of any number. A key takes 160 ms: eight frames of 20 ms.
    pub fn frame(&mut self, out: &mut [i16]) -> Step {
        if self.is_idle() {
            return Step::Idle;
        }
        for sample in out {
            *sample = self.sample();
        }
        Step::Key
    }

    fn sample(&mut self) -> i16 {
        let Some(key) = self.waiting.front().copied() else { return 0 };
        let unit = self.rate.hz() / 1000;
        if self.at == 0 {
            let (low, high) = frequencies(key);
            self.low = Sine::new(low, LOW_PEAK, self.rate);
            self.high = Sine::new(high, HIGH_PEAK, self.rate);
        }
        let (at, sound) = (self.at, SOUND * unit);
        self.at += 1;
        if self.at == sound + PAUSE * unit {
            self.waiting.pop_front();
            self.at = 0;
        }
        if at >= sound {
            return 0;
        }
        let edge = EDGE * unit;
        let part = f64::from(at.min(sound - 1 - at).min(edge)) / f64::from(edge);
        (part * (self.low.next() + self.high.next())).round() as i16
    }
}

/// Of a key, low and high, in hertz.
fn frequencies(key: Key) -> (u16, u16) {
    let place = PAD.iter().position(|c| char::from(*c) == key.as_char()).unwrap_or_default();
    (TONES[place / 4], TONES[4 + place % 4])
}

/// By recursion: each sample from the two before it.
#[derive(Clone, Copy, Debug, Default)]
struct Sine {
    twice_cos: f64,
    s1: f64,
    s2: f64,
}

impl Sine {
    fn new(hertz: u16, peak: f64, rate: Rate) -> Self {
        let turn = TAU * f64::from(hertz) / f64::from(rate.hz());
        Self { twice_cos: 2.0 * turn.cos(), s1: 0.0, s2: -peak * turn.sin() }
    }

    fn next(&mut self) -> f64 {
        let now = self.s1;
        self.s1 = self.twice_cos * self.s1 - self.s2;
        self.s2 = now;
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::g711;

    /// Levels of low and high in dBm0, error of frequency in per cent, noise below the pair in dB.
    #[derive(Clone, Copy)]
    struct Tone {
        low: f64,
        high: f64,
        off: f64,
        noise: f64,
    }

    const PLAIN: Tone = Tone { low: -8.0, high: -6.0, off: 0.0, noise: 90.0 };

    fn level(db: f64) -> f64 {
        10f64.powf(db / 20.0)
    }

    /// Silence, `keys` each `sound` ms with `gap` ms after it, silence; all shifted by `shift` samples.
    fn sound(keys: &str, tone: Tone, [sound, gap]: [usize; 2], shift: usize) -> Vec<i16> {
        let mut pcm = vec![0.0; 400 + shift];
        for c in keys.chars() {
            let (low, high) = frequencies(Key::try_from(c).unwrap());
            let turn = |hertz: u16| f64::from(hertz) * (1.0 + tone.off / 100.0) * TAU / 8000.0;
            pcm.extend((0..sound * 8).map(|n| {
                let n = (n + shift) as f64;
                PEAK_0_DBM0
                    * (level(tone.low) * (turn(low) * n).sin() + level(tone.high) * (turn(high) * n).sin())
            }));
            pcm.extend(std::iter::repeat_n(0.0, gap * 8));
        }
        pcm.extend([0.0; 800]);
        let pair = (level(tone.low).powi(2) + level(tone.high).powi(2)) / 2.0;
        let noise = PEAK_0_DBM0 * (pair / 10f64.powf(tone.noise / 10.0)).sqrt();
        let mut chance = Chance(1 + shift as u32);
        pcm.into_iter().map(|s| (s + noise * chance.normal()).round() as i16).collect()
    }

    fn heard(pcm: &[i16]) -> String {
        let mut detector = Detector::default();
        pcm.chunks(160).filter_map(|frame| detector.hear(frame)).map(Key::as_char).collect()
    }

    /// Reproducible noise.
    struct Chance(u32);

    impl Chance {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(self.0 >> 8) / f64::from(1 << 24)
        }

        /// Of variance 1, nearly normal.
        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
        }
    }

    const ALL: &str = "123A456B789C*0#D";

    /// Every place a key can begin within a hop, coarsely.
    fn shifts() -> impl Iterator<Item = usize> {
        (0..HOP).step_by(26)
    }

    #[track_caller]
    fn all_are_heard(tone: Tone, times: [usize; 2]) {
        for shift in shifts() {
            assert_eq!(heard(&sound(ALL, tone, times, shift)), ALL, "shifted by {shift}");
        }
    }

    #[track_caller]
    fn none_is_heard(tone: Tone, times: [usize; 2]) {
        for shift in shifts() {
            assert_eq!(heard(&sound(ALL, tone, times, shift)), "", "shifted by {shift}");
        }
    }

    #[test]
    fn every_key_of_forty_milliseconds_is_told_once() {
        all_are_heard(PLAIN, [40, 40]);
        all_are_heard(PLAIN, [100, 60]);
        all_are_heard(PLAIN, [2000, 60]);
    }

    #[test]
    fn keys_are_heard_from_0_to_minus_25_dbm0_and_not_below_minus_33() {
        // Two tones of 0 dBm0 are cut off at 16 bits.
        for db in [0.0, -3.0, -10.0, -20.0, -25.0] {
            all_are_heard(Tone { low: db, high: db, ..PLAIN }, [40, 40]);
        }
        for db in [-33.0, -40.0] {
            none_is_heard(Tone { low: db, high: db, ..PLAIN }, [100, 60]);
        }
    }

    #[test]
    fn a_high_tone_8_db_below_to_4_above_the_low_one_is_taken_and_12_below_or_8_above_is_not() {
        for twist in [-8.0, -4.0, 4.0] {
            all_are_heard(Tone { low: -10.0, high: -10.0 + twist, ..PLAIN }, [40, 40]);
        }
        for twist in [-12.0, 8.0] {
            none_is_heard(Tone { low: -10.0, high: -10.0 + twist, ..PLAIN }, [100, 60]);
        }
    }

    #[test]
    fn frequencies_1_5_per_cent_off_are_taken_and_3_5_are_not() {
        for off in [-1.5, 1.5] {
            all_are_heard(Tone { off, ..PLAIN }, [40, 40]);
            // With the worst twist and noise besides.
            for twist in [-8.0, 4.0] {
                all_are_heard(Tone { low: -12.0, high: -12.0 + twist, off, noise: 15.0 }, [50, 45]);
            }
        }
        for off in [-7.0, -5.0, -4.0, -3.5, 3.5, 4.0, 5.0, 6.0, 7.0] {
            for twist in [-8.0, 0.0, 4.0] {
                none_is_heard(Tone { low: -12.0, high: -12.0 + twist, off, noise: 90.0 }, [100, 60]);
            }
        }
    }

    #[test]
    fn noise_15_db_below_neither_hides_nor_doubles_a_key() {
        for shift in 0..30 {
            let pcm = sound(ALL, Tone { noise: 15.0, ..PLAIN }, [50, 50], shift);
            assert_eq!(heard(&pcm), ALL, "{shift}");
        }
        all_are_heard(Tone { noise: 15.0, low: -25.0, high: -25.0, off: 0.0 }, [50, 50]);
        all_are_heard(Tone { noise: 15.0, ..PLAIN }, [3000, 50]);
    }

    /// Length or gap in ms, and how many of two equal presses are heard.
    #[test]
    fn lengths_and_gaps_are_told_apart_as_q_24_asks() {
        for (times, keys) in [
            ([10, 60], ""),
            ([20, 60], ""),
            ([23, 60], ""),
            ([25, 60], ""),
            ([40, 60], "55"),
            ([45, 60], "55"),
            ([60, 10], "5"),
            ([60, 20], "5"),
            ([60, 40], "55"),
            ([60, 50], "55"),
            ([60, 1000], "55"),
        ] {
            for shift in (0..HOP).step_by(5) {
                assert_eq!(heard(&sound("55", PLAIN, times, shift)), keys, "{times:?} {shift}");
            }
        }
    }

    #[test]
    fn one_key_right_after_another_is_two() {
        assert_eq!(heard(&sound("1245", PLAIN, [100, 0], 0)), "1245");
    }

    #[test]
    fn keys_pass_through_either_law() {
        for shift in shifts() {
            for (low, high) in [(-3.0, -3.0), (-8.0, -6.0), (-25.0, -25.0), (-16.0, -24.0), (-24.0, -20.0)] {
                let pcm = sound(ALL, Tone { low, high, ..PLAIN }, [40, 40], shift);
                let a: Vec<_> = pcm.iter().map(|s| g711::alaw_decode(g711::alaw_encode(*s))).collect();
                let u: Vec<_> = pcm.iter().map(|s| g711::ulaw_decode(g711::ulaw_encode(*s))).collect();
                assert_eq!((heard(&a).as_str(), heard(&u).as_str()), (ALL, ALL), "{shift} {low} {high}");
            }
        }
    }

    #[test]
    fn frames_of_any_length_are_heard_alike() {
        let pcm = sound(ALL, PLAIN, [40, 40], 7);
        for length in [1, 33, 80, 160, 240] {
            let mut detector = Detector::default();
            let keys: String =
                pcm.chunks(length).filter_map(|f| detector.hear(f)).map(Key::as_char).collect();
            assert_eq!(keys, ALL, "{length}");
        }
    }

    #[test]
    fn one_tone_of_a_pair_or_two_of_a_group_is_no_key() {
        let sines = |hertz: &[f64]| -> Vec<i16> {
            let at =
                |n: i32| hertz.iter().map(|h| 6000.0 * (f64::from(n) * h * TAU / 8000.0).sin()).sum::<f64>();
            (0..4000).map(|n| at(n).round() as i16).collect()
        };
        for hertz in [
            &[697.0][..],
            &[1477.0],
            &[697.0, 770.0],
            &[1336.0, 1633.0],
            &[350.0, 440.0],
            &[770.0, 852.0, 1336.0],
            // A low tone with its second harmonic, and one with its third.
            &[697.0, 1394.0],
            &[450.0, 900.0, 1350.0],
            // What modems and faxes whistle.
            &[1100.0],
            &[2100.0],
            &[980.0, 1180.0],
        ] {
            assert_eq!(heard(&sines(hertz)), "", "{hertz:?}");
        }
    }

    /// Vowels: harmonics of a gliding pitch under two wandering formants, in syllables, with hiss.
    fn speech(seconds: usize, seed: u32) -> Vec<i16> {
        let mut chance = Chance(seed);
        let mut pcm = Vec::with_capacity(seconds * 8000);
        let mut phases = [0.0; 24];
        while pcm.len() < seconds * 8000 {
            let length = 400 + (1600.0 * chance.uniform()) as usize;
            let (pitch, glide) = (80.0 + 180.0 * chance.uniform(), 0.3 * chance.uniform() - 0.15);
            let formants = [300.0 + 650.0 * chance.uniform(), 900.0 + 1100.0 * chance.uniform()];
            let (narrow, loud) = (30.0 + 50.0 * chance.uniform(), 500.0 + 9000.0 * chance.uniform());
            let hiss = if chance.uniform() < 0.2 { 1500.0 } else { 20.0 };
            for n in 0..length {
                let part = n as f64 / length as f64;
                let base = pitch * (1.0 + glide * part);
                let mut sample = hiss * chance.normal();
                for (harmonic, phase) in (1..).zip(&mut phases) {
                    let hertz: f64 = base * f64::from(harmonic);
                    *phase = (*phase + hertz / 8000.0).fract();
                    let resonance =
                        |formant: &f64| 500.0 / formant / f64::hypot(1.0, (hertz - formant) / narrow);
                    let gain: f64 = formants.iter().map(resonance).sum();
                    if hertz < 3400.0 {
                        sample += gain * loud * (TAU * *phase).sin();
                    }
                }
                pcm.push((sample * (part * std::f64::consts::PI).sin()) as i16);
            }
        }
        pcm
    }

    #[test]
    fn two_minutes_of_voices_press_no_key() {
        for seed in 0..2 {
            assert_eq!(heard(&speech(60, seed)), "", "{seed}");
        }
    }

    #[test]
    fn noise_alone_presses_no_key() {
        let mut chance = Chance(3);
        let pcm: Vec<_> = (0..30 * 8000).map(|_| (4000.0 * chance.normal()) as i16).collect();
        assert_eq!(heard(&pcm), "");
    }

    #[test]
    fn a_key_over_a_faint_voice_is_heard() {
        let mut pcm = sound(&ALL.repeat(4), PLAIN, [100, 60], 0);
        let voice = speech(20, 5);
        pcm.iter_mut().zip(voice).for_each(|(s, v)| *s = s.saturating_add(v / 16));
        assert_eq!(heard(&pcm), ALL.repeat(4));
    }

    #[test]
    fn what_is_sounded_is_heard_as_pressed() {
        for rate in [Rate::Narrow, Rate::Wide] {
            let mut tones = Tones::new(rate);
            "11*#D0".chars().for_each(|c| assert!(tones.press(Key::try_from(c).unwrap())));
            let (mut pcm, mut frame) = (vec![], vec![0; rate.frame()]);
            while tones.frame(&mut frame) == Step::Key {
                pcm.extend_from_slice(&frame);
            }
            assert_eq!(pcm.len(), 6 * 8 * rate.frame());
            // As no key reaches half of 8 kHz, every other sample is enough.
            let narrow: Vec<_> = pcm.iter().copied().step_by(rate.hz() as usize / 8000).collect();
            assert_eq!(heard(&narrow), "11*#D0");
        }
    }

    #[test]
    fn what_is_sounded_has_its_level_and_neither_clips_nor_clicks() {
        for c in ALL.chars() {
            let mut tones = Tones::new(Rate::Narrow);
            tones.press(Key::try_from(c).unwrap());
            let mut pcm = [0; 1280];
            assert_eq!(tones.frame(&mut pcm), Step::Key);
            assert!(tones.is_idle());
            assert!(pcm[800..].iter().all(|s| *s == 0));
            let peak = pcm.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!((18_000..20_300).contains(&peak), "{c} {peak}");
            assert!(pcm[0].unsigned_abs() < 100 && pcm[799].unsigned_abs() < 2000, "{c}");
            // −8 and −6 dBm0 together are −3.9; the edges take a little.
            let power: f64 = pcm[..800].iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 800.0;
            let dbm0 = 10.0 * (2.0 * power / PEAK_0_DBM0.powi(2)).log10();
            assert!((dbm0 + 3.9).abs() < 0.3, "{c} {dbm0}");
        }
    }

    #[test]
    fn idle_tones_leave_the_frame_alone() {
        let mut frame = [7; 160];
        assert_eq!(Tones::new(Rate::Narrow).frame(&mut frame), Step::Idle);
        assert_eq!(frame, [7; 160]);
    }

    #[test]
    fn more_keys_than_anybody_presses_are_refused() {
        let mut tones = Tones::new(Rate::Wide);
        assert_eq!((0..1000).filter(|_| tones.press(Key::POUND)).count(), QUEUE);
    }

    proptest::proptest! {
        #[test]
        fn no_sound_breaks_the_detector(frames: Vec<Vec<i16>>) {
            let mut detector = Detector::default();
            for frame in frames {
                detector.hear(&frame);
            }
            // And it hears on.
            detector.hear(&[0; 800]);
            let keys: Vec<_> = sound("5", PLAIN, [100, 60], 0).chunks(160).filter_map(|f| detector.hear(f)).collect();
            assert_eq!(keys.len(), 1);
        }
    }
}
