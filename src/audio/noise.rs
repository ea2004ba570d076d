//! Comfort noise (RFC 3389), and when sound is no more than noise.
//!
//! A peer that stops sending in silence says now and then how loud and of what colour its
//! background is; [`Noise`] goes on with that. [`Background`] tells frames that nobody will miss,
//! for whoever must cut time out or put time in.

/// Reflection coefficients used; of more the first ones (RFC 3389 §3 lets the decoder choose).
const ORDER: usize = 10;
/// The root mean square of 0 dBov: a square wave as high as 16 bits go (RFC 3389 §3.1).
const OVERLOAD: f32 = 32_767.0;
/// Part of the way to a new loudness in one sample: most of it in 30 ms at 8 kHz.
const GLIDE: f32 = 1.0 / 128.0;

/// Background noise of a silent peer, at any sampling rate. No sound before the first payload.
#[derive(Clone, Debug)]
pub struct Noise {
    random: u32,
    reflections: [f32; ORDER],
    /// Of them, how many were told: the others are zero.
    order: usize,
    /// The lattice's backward errors, one sample old; nobody asks for the last.
    backward: [f32; ORDER + 1],
    /// Peak of the excitation, on its way to the one wanted.
    peak: f32,
    wanted: f32,
}

impl Noise {
    /// `seed` from `base::Mint`, lest two legs of a conference hiss alike.
    pub const fn new(seed: u32) -> Self {
        // Xorshift stays at 0 for ever.
        let random = if seed == 0 { 1 } else { seed };
        Self {
            random,
            reflections: [0.0; ORDER],
            order: 0,
            backward: [0.0; ORDER + 1],
            peak: 0.0,
            wanted: 0.0,
        }
    }

    /// Goes on as an RTP payload of comfort noise says; an empty one says nothing.
    pub fn heed(&mut self, payload: &[u8]) {
        let Some((level, coefficients)) = payload.split_first() else { return };
        self.reflections = [0.0; ORDER];
        let order = coefficients.len().min(ORDER);
        // What stages that rest have kept is of a noise long past.
        self.backward.iter_mut().skip(self.order + 1).for_each(|kept| *kept = 0.0);
        self.order = order;
        for (reflection, octet) in self.reflections.iter_mut().zip(coefficients) {
            // RFC 3389 §3.2: 255 is reserved, and would make the filter ring for ever.
            *reflection = 258.0 * (f32::from((*octet).min(254)) - 127.0) / 32_768.0;
        }
        // Each stage of the filter raises the power by 1 / (1 - k²); the excitation, evenly spread
        // between two peaks, has a third of the power of its peak.
        let stages: f32 = self.reflections.iter().map(|k| 1.0 - k * k).product();
        let rms = OVERLOAD * 10_f32.powf(f32::from(level & 0x7f) / -20.0);
        self.wanted = rms * (3.0 * stages).sqrt();
    }

    /// The next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            self.peak += (self.wanted - self.peak) * GLIDE;
            let excitation = self.draw() * self.peak;
            *sample = self.filter(excitation).round() as i16;
        }
    }

    /// Evenly from -1 to 1 (Marsaglia's xorshift).
    fn draw(&mut self) -> f32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random.cast_signed() as f32 / 2_147_483_648.0
    }

    /// The all-pole lattice. k₁ is negative for low-pitched noise, as senders have it.
    fn filter(&mut self, excitation: f32) -> f32 {
        let mut forward = excitation;
        for stage in (0..self.order).rev() {
            let k = self.reflections[stage];
            forward -= k * self.backward[stage];
            self.backward[stage + 1] = self.backward[stage] + k * forward;
        }
        self.backward[0] = forward;
        forward
    }
}

/// The payload that tells a frame's loudness and no colour, which RFC 3389 §3 leaves optional.
pub fn payload(background: &[i16]) -> [u8; 1] {
    [level(background)]
}

/// Loudness in -dBov, 0 (as loud as can be) to 127 (nothing): what RFC 3389 §3.1 counts in, and
/// RFC 6464 §3.
pub fn level(samples: &[i16]) -> u8 {
    match mean_square(samples) {
        0.0 => 127,
        power => (20.0 * OVERLOAD.log10() - 10.0 * power.log10()).round().clamp(0.0, 127.0) as u8,
    }
}

/// What a frame is, as far as loudness tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Voice,
    /// Nothing that could be missed.
    Silence,
}

/// Knows one talker's background by the quietest frames.
#[derive(Clone, Debug)]
pub struct Background {
    /// Power of what is taken for background.
    floor: f32,
    /// Frames still counted as voice after the last loud one.
    hangover: u8,
}

/// Mean squares: -75 dBov, below which everything is silence, and -40, above which nothing is.
const LOWEST: f32 = 34.0;
const HIGHEST: f32 = 107_000.0;
/// Above the background, in power: 6 dB.
const STANDS_OUT: f32 = 4.0;
/// The floor's rise in a frame, 3 dB a second: through a long syllable it hardly moves.
const RISE: f32 = 1.014;
/// 100 ms: what ends a word is quiet, and is missed.
const HANGOVER: u8 = 5;

impl Default for Background {
    fn default() -> Self {
        Self { floor: HIGHEST, hangover: 0 }
    }
}

impl Background {
    /// Judges the next 20 ms.
    pub fn hear(&mut self, frame: &[i16]) -> Heard {
        let power = mean_square(frame);
        self.floor = (self.floor * RISE).min(power).clamp(LOWEST, HIGHEST);
        if power > self.floor * STANDS_OUT {
            self.hangover = HANGOVER;
            return Heard::Voice;
        }
        match self.hangover {
            0 => Heard::Silence,
            _ => {
                self.hangover -= 1;
                Heard::Voice
            }
        }
    }
}

/// 0 for no samples.
fn mean_square(samples: &[i16]) -> f32 {
    let sum: u64 = samples.iter().map(|s| u64::from(s.unsigned_abs()).pow(2)).sum();
    sum as f32 / samples.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(payload: &[u8]) -> Vec<i16> {
        let mut noise = Noise::new(7);
        noise.heed(payload);
        let mut samples = vec![0; 16_000];
        noise.fill(&mut samples);
        samples.split_off(1000)
    }

    /// Correlation of neighbours: 1 for a rumble, 0 for a hiss, -1 for a whistle.
    fn colour(samples: &[i16]) -> f64 {
        let product = |(a, b): (&i16, &i16)| f64::from(*a) * f64::from(*b);
        let neighbours: f64 = samples.iter().zip(&samples[1..]).map(product).sum();
        neighbours / samples.iter().zip(samples).map(product).sum::<f64>()
    }

    #[test]
    fn noise_is_as_loud_as_the_payload_says_whatever_its_colour() {
        for loudness in [20, 35, 50, 65] {
            for coefficients in
                [&[][..], &[60], &[200, 90], &[20, 180, 100, 127, 140, 130, 120, 150, 110, 127]]
            {
                let payload = [&[loudness][..], coefficients].concat();
                assert!(level(&heard(&payload)).abs_diff(loudness) <= 1, "{payload:?}");
            }
        }
        assert_eq!(level(&heard(&[127])), 127);
    }

    #[test]
    fn the_first_coefficient_is_the_colour_turned_round() {
        for octet in [27, 77, 127, 177, 227] {
            let k = (f64::from(octet) - 127.0) * 258.0 / 32_768.0;
            assert!((colour(&heard(&[30, octet])) + k).abs() < 0.03, "{octet}");
        }
    }

    #[test]
    fn a_level_sent_is_the_level_heard() {
        assert_eq!(payload(&[0; 160]), [127]);
        assert_eq!(payload(&[]), [127]);
        assert_eq!(payload(&[i16::MIN; 160]), [0]);
        let hiss = heard(&[42]);
        assert_eq!(level(&heard(&payload(&hiss))), level(&hiss));
    }

    #[test]
    fn another_level_comes_without_a_step_and_a_seed_of_its_own_sounds_unlike() {
        let mut noise = Noise::new(0);
        let mut samples = [0; 480];
        noise.fill(&mut samples);
        assert_eq!(samples, [0; 480]);
        noise.heed(&[20]);
        noise.heed(&[]);
        noise.fill(&mut samples);
        assert!(samples[..10].iter().all(|s| s.unsigned_abs() < 600));
        assert!(samples[300..].iter().any(|s| s.unsigned_abs() > 3000));

        let mut other = Noise::new(1234);
        other.heed(&[20]);
        let mut unlike = [0; 480];
        other.fill(&mut unlike);
        assert_ne!(samples, unlike);
    }

    #[test]
    fn colour_that_comes_back_brings_nothing_of_the_noise_before() {
        let colour = [60, 180, 100, 127, 140, 130, 120, 150, 110, 127];
        let mut noise = Noise::new(7);
        let mut second = [0; 8000];
        for payload in [&[&[20][..], &colour].concat()[..], &[70]] {
            noise.heed(payload);
            noise.fill(&mut second);
        }
        noise.heed(&[&[70][..], &colour].concat());
        noise.fill(&mut second);
        assert!(second.iter().all(|s| s.unsigned_abs() < 60), "{:?}", &second[..20]);
    }

    #[test]
    fn words_are_voice_and_what_is_between_them_is_not() {
        let (hiss, word) = (heard(&[60]), heard(&[25]));
        let mut background = Background::default();
        let mut judge =
            |sound: &[i16]| sound.chunks_exact(160).map(|f| background.hear(f)).collect::<Vec<_>>();
        assert!(judge(&hiss[..8000]).iter().all(|h| *h == Heard::Silence));
        assert!(judge(&word[..8000]).iter().all(|h| *h == Heard::Voice));
        let after = judge(&hiss[..8000]);
        assert!(after[..5].iter().all(|h| *h == Heard::Voice));
        assert!(after[5..].iter().all(|h| *h == Heard::Silence));
        // A room that grew louder is background again within seconds.
        let louder = heard(&[50]);
        assert!((0..6).map(|_| judge(&louder)).last().unwrap().contains(&Heard::Silence));
    }

    proptest::proptest! {
        #[test]
        fn no_payload_makes_the_filter_run_away(payload: Vec<u8>, seed: u32) {
            let mut noise = Noise::new(seed);
            noise.heed(&payload);
            let mut samples = [0; 800];
            noise.fill(&mut samples);
            proptest::prop_assert!(noise.backward.iter().all(|b| b.is_finite()));
        }
    }
}
