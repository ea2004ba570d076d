//! How good a call sounds, from what is known of its packets: the E-model, ITU-T G.107.
//!
//! Spares the layer above the arithmetic between loss and delay on the one side and a mean opinion
//! on the other. Everything that is not measured here (loudness, echo loss, room noise) has the
//! value G.107 Table 2 gives it by default, so that R is 93.2 at its best.
//!
//! Wideband sound is rated on the same narrowband scale, on which nothing is better than G.711:
//! a figure that falls always means that packets fare worse, not that a codec changed.

use std::time::Duration;

use crate::base::Codec;

/// One direction of a call, as one end hears it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hearing {
    pub codec: Codec,
    /// Of the packets, 0 to 1: those that never came and those that came too late.
    pub loss: f32,
    /// BurstR (G.107 §3.5): mean length of a burst of losses over what chance would make it. 1 if
    /// losses are independent.
    pub burst: f32,
    /// From mouth to ear: half the round trip, what the jitter buffer holds, and the packet itself.
    pub delay: Duration,
}

/// The opinion of [`Hearing`], where losses are independent: 1 to 4.5.
pub fn mos(codec: Codec, loss: f32, delay: Duration) -> f32 {
    Hearing { codec, loss, burst: 1.0, delay }.mos()
}

impl Hearing {
    /// R, 0 to 93.2. Above 80 is satisfied, below 60 nearly all are dissatisfied (G.109).
    pub fn rating(self) -> f32 {
        let ms = self.delay.as_secs_f32().min(FOREVER) * 1000.0;
        let clear = RO - SIMULTANEOUS - delay_impairment(ms);
        (clear - self.equipment_impairment()).clamp(0.0, 100.0)
    }

    /// Annex B, equation B-4: the mean opinion of a conversation, 1 to 4.5.
    pub fn mos(self) -> f32 {
        let r = self.rating();
        // The cubic dips below 1 before R reaches 6.5.
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
    }

    /// Ie-eff, equation 7-29.
    fn equipment_impairment(self) -> f32 {
        let Robustness { ie, bpl } = Robustness::of(self.codec);
        let per_cent = 100.0 * at_least(0.0, self.loss).min(1.0);
        ie + (95.0 - ie) * per_cent / (per_cent / at_least(1.0, self.burst) + bpl)
    }
}

/// A peer may have told us what is no number.
fn at_least(least: f32, value: f32) -> f32 {
    // `max` of a NaN is the other.
    value.max(least)
}

/// What a codec does to sound, and how it bears loss.
struct Robustness {
    ie: f32,
    bpl: f32,
}

impl Robustness {
    const fn of(codec: Codec) -> Self {
        match codec {
            // G.113 Appendix I: with concealment as in G.711 Appendix I, which telephones have.
            Codec::Pcma | Codec::Pcmu => Self { ie: 0.0, bpl: 25.1 },
            // No value on the narrowband scale is published. On the wideband one G.113 Appendix IV
            // has 13 for G.722 and 36 for G.711: better than the best here. It conceals the lower
            // band, which carries the words, no better than G.711 does, so loss is as bad.
            Codec::G722 => Self { ie: 0.0, bpl: 25.1 },
            // Not in G.113 either. At 16 kbit/s and more it is no worse than G.711. A frame that is
            // lost alone comes again with the next, roughly; that halves what is missing.
            Codec::Opus => Self { ie: 0.0, bpl: 50.0 },
        }
    }
}

/// Ro and Is of equations 7-2 and 7-8 at the default values.
const RO: f32 = 94.769;
const SIMULTANEOUS: f32 = 1.414;
/// Beyond this many seconds all are equally dissatisfied.
const FOREVER: f32 = 10.0;
/// Talker echo loudness rating, in dB: the default, as an echo canceller reaches it.
const TELR: f32 = 65.0;
/// Weighted echo path loss, in dB.
const WEPL: f32 = 110.0;
/// Receive loudness rating and the sum of all noise, in dB and dBm0p, at the default values.
const RLR: f32 = 2.0;
const NOISE: f32 = -61.18;

/// Id, equation 7-18: talker echo, listener echo and too long a wait, after so many milliseconds.
fn delay_impairment(ms: f32) -> f32 {
    talker_echo(ms) + listener_echo(2.0 * ms) + absolute_delay(ms)
}

/// Idte, equations 7-19 to 7-22.
fn talker_echo(ms: f32) -> f32 {
    let terv = TELR - 40.0 * ((1.0 + ms / 10.0) / (1.0 + ms / 150.0)).log10() + 6.0 * (-0.3 * ms * ms).exp();
    let half = (-1.5 * (NOISE - RLR) - (80.0 + 2.5 * (terv - 14.0))) / 2.0;
    (half + half.hypot(10.0) - 1.0) * (1.0 - (-ms).exp())
}

/// Idle, equations 7-25 and 7-26.
fn listener_echo(round_trip_ms: f32) -> f32 {
    let half = (RO - 10.5 * (WEPL + 7.0) * (round_trip_ms + 1.0).powf(-0.25)) / 2.0;
    half + half.hypot(13.0)
}

/// Idd, equations 7-27 and 7-28: nothing up to 100 ms.
fn absolute_delay(ms: f32) -> f32 {
    let x = (ms / 100.0).max(1.0).log2();
    let sixth = |x: f32| (1.0 + x.powi(6)).powf(1.0 / 6.0);
    25.0 * (sixth(x) - 3.0 * sixth(x / 3.0) + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rating(codec: Codec, per_cent: f32, burst: f32, ms: u64) -> f32 {
        Hearing { codec, loss: per_cent / 100.0, burst, delay: Duration::from_millis(ms) }.rating()
    }

    #[track_caller]
    fn near(got: f32, want: f32, within: f32) {
        assert!((got - want).abs() <= within, "{got}, not {want}");
    }

    #[test]
    fn at_its_best_g711_is_rated_93_2_and_4_41() {
        near(rating(Codec::Pcma, 0.0, 1.0, 0), 93.2, 0.05);
        near(mos(Codec::Pcmu, 0.0, Duration::ZERO), 4.41, 0.005);
    }

    /// G.107 Annex B, Table B.1: the lower limits of R and of the opinion, rounded as there.
    #[test]
    fn the_opinion_of_a_rating_is_that_of_annex_b() {
        for (r, opinion) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            // The loss of G.711 that leaves this rating.
            let impairment: f32 = 93.206 - r;
            let per_cent = 25.1 * impairment / (95.0 - impairment);
            near(rating(Codec::Pcma, per_cent, 1.0, 0), r, 0.05);
            near(mos(Codec::Pcma, per_cent / 100.0, Duration::ZERO), opinion, 0.01);
        }
    }

    /// The two straight lines by which Cole and Rosenbluth (2001) replace the curve, where they fit.
    #[test]
    fn delay_costs_what_is_published() {
        for ms in (0..=300).step_by(10) {
            let d = ms as f32;
            let cost = 0.024 * d + 0.11 * (d - 177.3).max(0.0);
            near(rating(Codec::Pcma, 0.0, 1.0, ms), 93.2 - cost, 0.9);
        }
    }

    /// Equation 7-29 by hand: 95 · Ppl / (Ppl / BurstR + Bpl).
    #[test]
    fn loss_costs_what_g_113_says_and_in_bursts_more() {
        let clear = rating(Codec::Pcma, 0.0, 1.0, 0);
        for (per_cent, burst, cost) in
            [(1.0, 1.0, 3.64), (2.0, 1.0, 7.01), (5.0, 1.0, 15.78), (5.0, 2.0, 17.21)]
        {
            near(clear - rating(Codec::Pcma, per_cent, burst, 0), cost, 0.01);
        }
        let opus = rating(Codec::Opus, 5.0, 1.0, 0);
        assert!(opus > rating(Codec::G722, 5.0, 1.0, 0) + 5.0, "{opus}");
    }

    #[test]
    fn worse_is_never_rated_better() {
        for codec in Codec::ALL {
            let mut last = f32::MAX;
            for ms in (0..2000).step_by(10) {
                let now = rating(codec, 0.0, 1.0, ms);
                assert!(now <= last, "{codec:?} {ms}");
                last = now;
            }
            let mut last = 5.0;
            for per_cent in 0..=100 {
                let now = mos(codec, per_cent as f32 / 100.0, Duration::ZERO);
                assert!(now <= last, "{codec:?} {per_cent} %");
                last = now;
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_measured_the_opinion_is_between_1_and_4_5(
            loss in proptest::num::f32::ANY, burst in proptest::num::f32::ANY, ms: u64, codec in 0..4usize
        ) {
            let codec = Codec::ALL[codec];
            let hearing = Hearing { codec, loss, burst, delay: Duration::from_millis(ms) };
            assert!((1.0..=4.5).contains(&hearing.mos()), "{}", hearing.mos());
            assert!((0.0..=93.3).contains(&hearing.rating()), "{}", hearing.rating());
        }
    }
}
