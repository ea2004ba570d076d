//! Any of our codecs as one pair: octets of a packet in, sound out, and the other way.
//!
//! It spares the bay who conceals what: Opus heals a gap from the next packet or by itself, the
//! others by [`Repair`]. Nothing allocates once made, and no payload is an error: one that cannot
//! be decoded gives no samples, as if it had been lost.

use super::opus::{self, Silence, Unavailable};
use super::repair::Repair;
use super::{g711, g722};
use crate::base::{Codec, Rate};

/// Octets of the longest payload [`Encoder::encode`] makes of 20 ms.
pub const MAX_OCTETS: usize = opus::MAX_OCTETS;

/// Of one incoming stream.
#[derive(Debug)]
pub struct Decoder {
    rate: Rate,
    form: Decoding,
}

#[derive(Debug)]
enum Decoding {
    Opus(opus::Decoder),
    /// Apart, as it holds 30 ms of sound.
    Waveform(Box<Waveform>),
}

#[derive(Debug)]
struct Waveform {
    coding: WaveformDecoding,
    repair: Repair,
}

#[derive(Debug)]
enum WaveformDecoding {
    G722(g722::Decoder),
    Pcma,
    Pcmu,
}

impl Decoder {
    /// For sound at `rate` or what the codec has less: G.711 is [`Rate::Narrow`] whatever is asked,
    /// as samples it never had would only be made and thrown away again. [`Decoder::rate`] tells.
    pub fn new(codec: Codec, rate: Rate) -> Result<Self, Unavailable> {
        let rate = rate.min(codec.rate());
        let waveform = |coding| Decoding::Waveform(Box::new(Waveform { coding, repair: Repair::new(rate) }));
        let form = match codec {
            Codec::Opus => Decoding::Opus(opus::Decoder::new(rate)?),
            Codec::G722 => waveform(WaveformDecoding::G722(g722::Decoder::new(rate))),
            Codec::Pcma => waveform(WaveformDecoding::Pcma),
            Codec::Pcmu => waveform(WaveformDecoding::Pcmu),
        };
        Ok(Self { rate, form })
    }

    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Samples written; 120 ms of room hold any payload of Opus, of the others what fits is made.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match &mut self.form {
            Decoding::Opus(decoder) => decoder.decode(payload, out),
            Decoding::Waveform(waveform) => waveform.decode(payload, out),
        }
    }

    /// What `missing` samples probably were, before the payload `next` (to be decoded then) or, when
    /// the gap goes on, before nothing yet. Samples written: no more than `out` holds, and of Opus
    /// a multiple of 2.5 ms.
    pub fn conceal(&mut self, missing: usize, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        let missing = missing.min(out.len());
        let gap = &mut out[..missing];
        match (&mut self.form, next) {
            (Decoding::Opus(decoder), Some(next)) => decoder.recover(next, gap),
            (Decoding::Opus(decoder), None) => decoder.conceal(gap),
            (Decoding::Waveform(waveform), _) => {
                waveform.repair.fill(gap);
                missing
            }
        }
    }
}

impl Waveform {
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let samples = match &mut self.coding {
            WaveformDecoding::G722(decoder) => decoder.decode(payload, out),
            WaveformDecoding::Pcma => expand(payload, out, g711::alaw_decode),
            WaveformDecoding::Pcmu => expand(payload, out, g711::ulaw_decode),
        };
        self.repair.keep(&mut out[..samples]);
        samples
    }
}

/// Of one outgoing stream.
#[derive(Debug)]
pub struct Encoder {
    rate: Rate,
    form: Encoding,
}

#[derive(Debug)]
enum Encoding {
    Opus(opus::Encoder),
    G722(g722::Encoder),
    Pcma,
    Pcmu,
}

impl Encoder {
    /// For sound at `rate`, or what the codec has less, as in [`Decoder::new`].
    pub fn new(codec: Codec, rate: Rate) -> Result<Self, Unavailable> {
        let rate = rate.min(codec.rate());
        let form = match codec {
            Codec::Opus => Encoding::Opus(opus::Encoder::new(rate)?),
            Codec::G722 => Encoding::G722(g722::Encoder::new(rate)),
            Codec::Pcma => Encoding::Pcma,
            Codec::Pcmu => Encoding::Pcmu,
        };
        Ok(Self { rate, form })
    }

    /// Of the samples [`Encoder::encode`] takes.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Octets written. Opus takes exactly 20 ms, writes nothing for another length, and nothing
    /// where silence need not be sent; the others take any length and write what `out` has room
    /// for.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        match &mut self.form {
            Encoding::Opus(encoder) => encoder.encode(samples, out),
            Encoding::G722(encoder) => encoder.encode(samples, out),
            Encoding::Pcma => compress(samples, out, g711::alaw_encode),
            Encoding::Pcmu => compress(samples, out, g711::ulaw_encode),
        }
    }

    /// [`opus::Encoder::expect_loss`]; only Opus can make use of it.
    pub fn expect_loss(&mut self, percent: u8) {
        if let Encoding::Opus(encoder) = &mut self.form {
            encoder.expect_loss(percent);
        }
    }

    /// [`opus::Encoder::treat_silence`]; the others send silence as any sound.
    pub fn treat_silence(&mut self, silence: Silence) {
        if let Encoding::Opus(encoder) = &mut self.form {
            encoder.treat_silence(silence);
        }
    }

    /// [`opus::Encoder::limit_bit_rate`]; the others have but one.
    pub fn limit_bit_rate(&mut self, bits: u32) {
        if let Encoding::Opus(encoder) = &mut self.form {
            encoder.limit_bit_rate(bits);
        }
    }
}

/// How long a payload sounds, in samples of 8 kHz; 0 for one of Opus that is none.
pub fn samples_of(codec: Codec, payload: &[u8]) -> u32 {
    match codec {
        Codec::Opus => opus::duration(payload).unwrap_or(0) / 6,
        // 64 kbit/s all three.
        Codec::G722 | Codec::Pcma | Codec::Pcmu => payload.len() as u32,
    }
}

fn expand(octets: &[u8], samples: &mut [i16], law: fn(u8) -> i16) -> usize {
    for (sample, octet) in samples.iter_mut().zip(octets) {
        *sample = law(*octet);
    }
    samples.len().min(octets.len())
}

fn compress(samples: &[i16], octets: &mut [u8], law: fn(i16) -> u8) -> usize {
    for (octet, sample) in octets.iter_mut().zip(samples) {
        *octet = law(*sample);
    }
    samples.len().min(octets.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATES: [Rate; 2] = [Rate::Narrow, Rate::Wide];

    fn hum(rate: Rate, frames: usize) -> Vec<i16> {
        let turn = std::f64::consts::TAU * 200.0 / f64::from(rate.hz());
        (0..rate.frame() * frames).map(|n| (8000.0 * (n as f64 * turn).sin()) as i16).collect()
    }

    fn pair(codec: Codec, rate: Rate) -> (Encoder, Decoder) {
        (Encoder::new(codec, rate).unwrap(), Decoder::new(codec, rate).unwrap())
    }

    fn loudness(samples: &[i16]) -> f64 {
        let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        (sum / samples.len() as f64).sqrt()
    }

    #[test]
    fn every_codec_carries_sound_at_every_rate_it_has() {
        for codec in Codec::ALL {
            for rate in RATES {
                let (mut encoder, mut decoder) = pair(codec, rate);
                assert_eq!(encoder.rate(), decoder.rate());
                let rate = encoder.rate();
                assert!(rate <= codec.rate());
                let (mut octets, mut out) = ([0; MAX_OCTETS], [0; 320]);
                let mut heard = vec![];
                for frame in hum(rate, 20).chunks(rate.frame()) {
                    let length = encoder.encode(frame, &mut octets);
                    assert_eq!(samples_of(codec, &octets[..length]), 160);
                    let samples = decoder.decode(&octets[..length], &mut out);
                    assert_eq!(samples, rate.frame());
                    heard.extend_from_slice(&out[..samples]);
                }
                let loudness = loudness(&heard[rate.frame() * 5..]);
                assert!((5000.0..6300.0).contains(&loudness), "{codec:?} {rate:?} {loudness}");
            }
        }
    }

    #[test]
    fn g711_is_narrow_whatever_is_asked() {
        for codec in [Codec::Pcma, Codec::Pcmu] {
            let (encoder, decoder) = pair(codec, Rate::Wide);
            assert_eq!((encoder.rate(), decoder.rate()), (Rate::Narrow, Rate::Narrow));
        }
    }

    #[test]
    fn a_lost_packet_of_any_codec_is_heard_as_sound() {
        for codec in Codec::ALL {
            for rate in RATES {
                let (mut encoder, mut decoder) = pair(codec, rate);
                let rate = encoder.rate();
                encoder.expect_loss(10);
                let (mut octets, mut out) = ([0; MAX_OCTETS], [0; 320]);
                for frame in hum(rate, 10).chunks(rate.frame()) {
                    let length = encoder.encode(frame, &mut octets);
                    assert_eq!(decoder.decode(&octets[..length], &mut out), rate.frame());
                }
                for next in [Some(&octets[..]), None] {
                    assert_eq!(decoder.conceal(rate.frame(), next, &mut out), rate.frame());
                    let loudness = loudness(&out[..rate.frame()]);
                    assert!((2500.0..6500.0).contains(&loudness), "{codec:?} {rate:?} {loudness}");
                }
                assert_eq!(decoder.conceal(usize::MAX, None, &mut out), out.len());
            }
        }
    }

    #[test]
    fn a_payload_sounds_as_long_as_its_rtp_time() {
        assert_eq!(samples_of(Codec::Pcmu, &[0; 240]), 240);
        assert_eq!(samples_of(Codec::G722, &[0; 160]), 160);
        // 2.5 ms of music, 60 ms of speech, 120 ms in six frames of 20 ms, and seven.
        for (octets, samples) in [(&[0x80][..], 20), (&[0x18], 480), (&[0x0b, 6], 960), (&[0x0b, 7], 0)] {
            assert_eq!(samples_of(Codec::Opus, octets), samples, "{octets:?}");
        }
        assert_eq!(samples_of(Codec::Opus, &[]), 0);
    }

    proptest! {
        #[test]
        fn no_payload_breaks_a_decoder(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..5),
            room in 0usize..2000,
        ) {
            for codec in Codec::ALL {
                for rate in RATES {
                    let mut decoder = Decoder::new(codec, rate).unwrap();
                    let mut out = vec![0; room];
                    for payload in &payloads {
                        prop_assert!(decoder.decode(payload, &mut out) <= room);
                        prop_assert!(decoder.conceal(payload.len(), Some(payload), &mut out) <= room);
                    }
                }
            }
        }
    }
}
