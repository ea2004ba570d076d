//! Opus (RFC 6716) for speech: Debian's libopus behind the few calls a telephone needs.
//!
//! Packets are those of RFC 7587, whatever their peer put in them (any bandwidth, one channel or
//! two, 2.5 to 120 ms); sound is mono at 8 or 16 kHz. libopus makes either rate itself, cheaper
//! and better than resampling its 48 kHz would be. It spares the layer above every way in which an
//! odd packet, an empty one or an odd length is an error: what cannot be decoded gives no samples.
//!
//! Nothing here allocates but [`Encoder::new`] and [`Decoder::new`].

use std::fmt;

use audiopus::coder::GenericCtl;
use audiopus::packet::Packet;
use audiopus::{Application, Bitrate, Channels, MutSignals, SampleRate, coder};

use crate::base::Rate;

/// Of the longest frame (RFC 6716 §3.4, R2), which is far more than any packet we make.
pub const MAX_OCTETS: usize = 1275;
/// Units of [`duration`] in the longest packet: 120 ms (RFC 6716 §3.2.5).
pub const MAX_DURATION: u32 = 5760;

/// Bits a second, RTP not counted. At 24 000 the spare copies of FEC are heard to cost the voice
/// (PESQ 4.28 for 4.37 at 8 kHz); at 16 kHz with 5 % of loss libopus does not make them at all.
const BIT_RATE: i32 = 32_000;
/// Beyond this libopus makes no further difference.
const MAX_LOSS: u8 = 25;
/// A DTX packet of so few octets need not be sent (opus.h, `opus_encode`).
const UNSENT: usize = 2;

/// libopus made no coder, which it refuses for want of memory alone. Ours to answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable(audiopus::Error);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no Opus coder: {}", self.0)
    }
}

impl std::error::Error for Unavailable {}

impl From<audiopus::Error> for Unavailable {
    fn from(error: audiopus::Error) -> Self {
        Self(error)
    }
}

/// What silence becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Packets like any other, only shorter.
    Sent,
    /// Nothing but a packet every 400 ms (DTX): `usedtx=1` (RFC 7587 §6.1).
    Unsent,
}

/// Speech to packets of 20 ms.
#[derive(Debug)]
pub struct Encoder {
    coder: coder::Encoder,
    frame: usize,
    loss: u8,
    silence: Silence,
}

impl Encoder {
    /// At 32 kbit/s, no loss expected, silence sent.
    pub fn new(rate: Rate) -> Result<Self, Unavailable> {
        let mut coder = coder::Encoder::new(hertz(rate), Channels::Mono, Application::Voip)?;
        coder.set_complexity(complexity(rate))?;
        coder.set_bitrate(Bitrate::BitsPerSecond(BIT_RATE))?;
        Ok(Self { coder, frame: rate.frame(), loss: 0, silence: Silence::Sent })
    }

    /// To the peer's `maxaveragebitrate` in bits a second (RFC 7587 §6.1), 6000 at the least; we
    /// have no use for more than 32 000.
    pub fn limit_bit_rate(&mut self, bits: u32) {
        let bits = bits.clamp(6_000, BIT_RATE.unsigned_abs()).cast_signed();
        // libopus refuses only values out of range, and these are in it; so below.
        let _ = self.coder.set_bitrate(Bitrate::BitsPerSecond(bits));
    }

    /// Percent of packets lost on the way, as RTCP tells. Above 0 each packet carries a spare copy
    /// of the one before (FEC); only where the peer's `useinbandfec=1` says it will be used. To
    /// expect twice what is lost does no harm, to expect four times as much is heard (at 5 % of
    /// loss and 8 kHz PESQ 4.34, 4.33 and 4.25; without FEC 3.48).
    pub fn expect_loss(&mut self, percent: u8) {
        let percent = percent.min(MAX_LOSS);
        if percent != self.loss {
            self.loss = percent;
            let _ = self.coder.set_inband_fec(percent > 0);
            let _ = self.coder.set_packet_loss_perc(percent);
        }
    }

    pub fn treat_silence(&mut self, silence: Silence) {
        self.silence = silence;
        let _ = self.coder.set_dtx(silence == Silence::Unsent);
    }

    /// By which what a decoder makes of our packets is late, in samples at 48 kHz: the pre-skip of
    /// RFC 7845 §4.2.
    pub fn delay(&self) -> u16 {
        let samples = self.coder.lookahead().unwrap_or(0) * (48_000 / (self.frame as u32 * 50));
        u16::try_from(samples).unwrap_or(u16::MAX)
    }

    /// Forgets the sound so far, where another source begins.
    pub fn reset(&mut self) {
        let _ = self.coder.reset_state();
    }

    /// One frame of exactly 20 ms to `out`, at best of [`MAX_OCTETS`]. Octets written. 0 when
    /// nothing need be sent ([`Silence::Unsent`]) or the frame has another length.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        if samples.len() != self.frame {
            return 0;
        }
        let room = out.len().min(MAX_OCTETS);
        match self.coder.encode(samples, &mut out[..room]) {
            Ok(octets) if octets > UNSENT || self.silence == Silence::Sent => octets,
            Ok(_) | Err(_) => 0,
        }
    }
}

/// Packets to speech, and to what speech probably was.
#[derive(Debug)]
pub struct Decoder {
    coder: coder::Decoder,
    rate: Rate,
}

impl Decoder {
    pub fn new(rate: Rate) -> Result<Self, Unavailable> {
        Ok(Self { coder: coder::Decoder::new(hertz(rate), Channels::Mono)?, rate })
    }

    /// Samples written. 0 when the packet is malformed or `out` is shorter than it, and when it is
    /// empty: that is a gap, whose length the caller knows.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> usize {
        match duration(packet) {
            Some(_) => self.run(Some(packet), out, Fec::Unused),
            None => 0,
        }
    }

    /// Fills `out` (in steps of 2.5 ms; what is over stays as it is) with the sound going on and
    /// dying away, or with the noise of a peer silent by DTX. Samples written.
    pub fn conceal(&mut self, out: &mut [i16]) -> usize {
        let whole = self.whole(out);
        let longest = self.longest();
        whole.chunks_mut(longest).map(|part| self.run(None, part, Fec::Unused)).sum()
    }

    /// Fills `out` as [`Decoder::conceal`] does, but its end from the spare copy in `next`, the
    /// packet after the gap, if there is one. Then `next` is to be decoded. Samples written.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> usize {
        let whole = self.whole(out);
        let (before, last) = whole.split_at_mut(whole.len().saturating_sub(self.longest()));
        let concealed = self.conceal(before);
        // libopus conceals what of `last` the copy does not cover, and all of it without a copy.
        let recovered = match duration(next) {
            Some(_) => self.run(Some(next), last, Fec::Used),
            None => 0,
        };
        concealed + if recovered == 0 { self.conceal(last) } else { recovered }
    }

    /// Forgets the sound so far, where another source begins.
    pub fn reset(&mut self) {
        let _ = self.coder.reset_state();
    }

    fn run(&mut self, packet: Option<&[u8]>, out: &mut [i16], fec: Fec) -> usize {
        // No packet is told by none, never by an empty one.
        let packet = packet.and_then(|octets| Packet::try_from(octets).ok());
        match MutSignals::try_from(out) {
            Ok(out) => self.coder.decode(packet, out, fec == Fec::Used).unwrap_or(0),
            Err(_) => 0,
        }
    }

    /// As much of a gap as libopus fills: it refuses a length that is no multiple of 2.5 ms.
    fn whole<'a>(&self, gap: &'a mut [i16]) -> &'a mut [i16] {
        let steps = gap.len() / (self.rate.frame() / 8);
        &mut gap[..steps * (self.rate.frame() / 8)]
    }

    /// Samples of 120 ms.
    const fn longest(&self) -> usize {
        self.rate.frame() * 6
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fec {
    Used,
    Unused,
}

/// Of a packet at 48 kHz, as RTP counts it (RFC 7587 §4.1). None for an empty packet and for one
/// whose count of frames is none or lasts longer than 120 ms (RFC 6716 §3.4, R1 and R5).
pub fn duration(packet: &[u8]) -> Option<u32> {
    let (toc, rest) = packet.split_first()?;
    // RFC 6716 Table 2, in units of 2.5 ms.
    let frame = match (toc >> 3, toc >> 3 & 3) {
        (0..=11, length) => [4, 8, 16, 24][usize::from(length)],
        (12..=15, length) => [4, 8][usize::from(length & 1)],
        (_, length) => 1 << length,
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    let samples = frame * frames * 120;
    (1..=MAX_DURATION).contains(&samples).then_some(samples)
}

/// Of the libopus in use, as in "libopus 1.3.1"; for the log at start.
pub fn version() -> &'static str {
    audiopus::version()
}

/// 0 to 10, by measurement: clear speech at 32 kbit/s, one core of a small server. Below 2 there
/// is no FEC.
///
/// | complexity              |    1 |    2 |    3 |    5 |    6 |    8 |
/// |-------------------------|------|------|------|------|------|------|
/// | 8 kHz, µs a frame       |   31 |   43 |   47 |   61 |   83 |  110 |
/// | 8 kHz with FEC          |    - |   60 |   66 |   82 |  117 |  160 |
/// | 8 kHz with FEC, PESQ    |    - | 4.34 | 4.35 | 4.36 | 4.36 | 4.36 |
/// | 16 kHz, µs a frame      |   53 |   78 |   96 |  114 |  158 |  231 |
/// | 16 kHz with FEC         |    - |  112 |  122 |  155 |  225 |  336 |
/// | 16 kHz with FEC, PESQ   |    - | 3.86 | 3.97 | 4.14 | 4.18 | 4.19 |
///
/// Decoding costs 9 µs at 8 kHz and 14 at 16.
const fn complexity(rate: Rate) -> u8 {
    match rate {
        Rate::Narrow => 3,
        Rate::Wide => 5,
    }
}

const fn hertz(rate: Rate) -> SampleRate {
    match rate {
        Rate::Narrow => SampleRate::Hz8000,
        Rate::Wide => SampleRate::Hz16000,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATES: [Rate; 2] = [Rate::Narrow, Rate::Wide];

    /// Something voiced: a hundred and fifty hertz with overtones, gliding and swelling.
    fn voice(rate: Rate, frames: usize) -> Vec<i16> {
        let turn = std::f64::consts::TAU / f64::from(rate.hz());
        (0..rate.frame() * frames)
            .map(|n| {
                let t = n as f64 * turn;
                let phase = t * 150.0 + 6.0 * (t * 0.8).sin();
                let sum: f64 = (1..=12).map(|k| (phase * f64::from(k)).sin() / f64::from(k)).sum();
                (sum * 5000.0 * (0.6 + 0.4 * (t * 3.0).sin())) as i16
            })
            .collect()
    }

    fn packets(encoder: &mut Encoder, sound: &[i16]) -> Vec<Vec<u8>> {
        let mut out = [0; MAX_OCTETS];
        sound
            .chunks_exact(encoder.frame)
            .map(|frame| {
                let octets = encoder.encode(frame, &mut out);
                out[..octets].to_vec()
            })
            .collect()
    }

    fn energy(samples: impl IntoIterator<Item = i32>) -> f64 {
        samples.into_iter().map(|s| f64::from(s).powi(2)).sum()
    }

    /// Decibels of `want` above what `got` makes of it.
    fn fidelity(want: &[i16], got: &[i16]) -> f64 {
        let error = want.iter().zip(got).map(|(w, g)| i32::from(*w) - i32::from(*g));
        10.0 * (energy(want.iter().map(|s| i32::from(*s))) / energy(error).max(1.0)).log10()
    }

    /// What 16 frames in the middle become when every fourth packet is lost.
    fn through_loss(encoder: &mut Encoder, fill: fn(&mut Decoder, &[u8], &mut [i16]) -> usize) -> f64 {
        let rate = Rate::Narrow;
        let sent = packets(encoder, &voice(rate, 60));
        let (mut whole, mut holed) = (Decoder::new(rate).unwrap(), Decoder::new(rate).unwrap());
        let (mut want, mut got) = (vec![], vec![]);
        let mut out = [0; 160];
        for (n, packet) in sent.iter().enumerate() {
            assert_eq!(whole.decode(packet, &mut out), 160);
            want.extend(out);
            let samples = match sent.get(n + 1) {
                Some(next) if n % 4 == 3 => fill(&mut holed, next, &mut out),
                _ => holed.decode(packet, &mut out),
            };
            assert_eq!(samples, 160);
            got.extend(out);
        }
        fidelity(&want[160 * 20..], &got[160 * 20..])
    }

    #[test]
    fn a_voice_comes_out_as_long_and_as_loud_at_either_rate_from_either_rate() {
        for from in RATES {
            let sound = voice(from, 50);
            let sent = packets(&mut Encoder::new(from).unwrap(), &sound);
            assert!(sent.iter().all(|p| duration(p) == Some(960) && p.len() < 160));
            for to in RATES {
                let mut decoder = Decoder::new(to).unwrap();
                let mut out = vec![0; to.frame()];
                let mut loudness = 0.0;
                for packet in &sent {
                    assert_eq!(decoder.decode(packet, &mut out), to.frame());
                    loudness += energy(out.iter().map(|s| i32::from(*s))) / f64::from(to.hz());
                }
                let sent_loudness = energy(sound.iter().map(|s| i32::from(*s))) / f64::from(from.hz());
                assert!((0.8..1.2).contains(&(loudness / sent_loudness)), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_lost_packet_comes_back_from_the_next_one_when_loss_was_expected() {
        let mut expecting = Encoder::new(Rate::Narrow).unwrap();
        expecting.expect_loss(10);
        let recovered = through_loss(&mut expecting, |decoder, next, out| decoder.recover(next, out));
        expecting.reset();
        let concealed = through_loss(&mut expecting, |decoder, _, out| decoder.conceal(out));
        assert!(recovered > concealed + 3.0, "{recovered} dB for {concealed} dB");

        let mut trusting = Encoder::new(Rate::Narrow).unwrap();
        let without = through_loss(&mut trusting, |decoder, next, out| decoder.recover(next, out));
        assert!(recovered > without + 3.0, "{recovered} dB for {without} dB");
    }

    #[test]
    fn a_gap_of_any_length_is_filled_to_the_last_step_of_libopus() {
        for rate in RATES {
            let step = rate.frame() / 8;
            let sent = packets(&mut Encoder::new(rate).unwrap(), &voice(rate, 10));
            let mut decoder = Decoder::new(rate).unwrap();
            let mut out = vec![0; rate.frame() * 20];
            for samples in (0..out.len()).step_by(7) {
                let whole = samples / step * step;
                assert_eq!(decoder.decode(&sent[9], &mut out), rate.frame());
                assert_eq!(decoder.conceal(&mut out[..samples]), whole, "{samples}");
                assert_eq!(decoder.recover(&sent[9], &mut out[..samples]), whole, "{samples}");
                assert_eq!(decoder.recover(&[], &mut out[..samples]), whole, "{samples}");
            }
        }
    }

    #[test]
    fn silence_costs_a_packet_in_twenty_when_it_need_not_be_sent() {
        for rate in RATES {
            let sound = [voice(rate, 10), vec![0; rate.frame() * 100]].concat();
            let mut encoder = Encoder::new(rate).unwrap();
            assert!(packets(&mut encoder, &sound).iter().all(|p| !p.is_empty()));
            encoder.reset();
            encoder.treat_silence(Silence::Unsent);
            let sent = packets(&mut encoder, &sound);
            assert!(sent[..10].iter().all(|p| !p.is_empty()));
            let kept = sent[40..].iter().filter(|p| !p.is_empty()).count();
            assert!((1..=5).contains(&kept), "{kept} of 70");
        }
    }

    #[test]
    fn what_is_no_packet_and_what_is_no_frame_give_nothing() {
        for rate in RATES {
            let mut decoder = Decoder::new(rate).unwrap();
            let mut encoder = Encoder::new(rate).unwrap();
            let mut out = vec![0; rate.frame()];
            let mut octets = [0; MAX_OCTETS];
            assert_eq!(decoder.decode(&[], &mut out), 0);
            assert_eq!(encoder.encode(&out[1..], &mut octets), 0);
            assert_eq!(encoder.encode(&out, &mut []), 0);
            let packet = packets(&mut encoder, &voice(rate, 1)).remove(0);
            assert_eq!(decoder.decode(&packet, &mut out[1..]), 0);
            assert_eq!(decoder.decode(&packet, &mut []), 0);
        }
    }

    #[test]
    fn the_toc_tells_the_duration_libopus_would_tell() {
        for toc in 0..=255 {
            assert_eq!(duration(&[toc]).is_none(), toc & 3 == 3, "{toc}");
            for count in 0..=255 {
                let octets = [toc, count, 0, 0];
                let packet = Packet::try_from(&octets[..]).unwrap();
                let theirs = audiopus::packet::nb_samples(packet, SampleRate::Hz48000);
                let theirs = theirs.ok().filter(|samples| *samples > 0);
                assert_eq!(duration(&octets).map(|d| d as usize), theirs, "{octets:?}");
            }
        }
        assert_eq!(duration(&[]), None);
    }

    #[test]
    fn the_library_tells_its_version() {
        assert!(version().starts_with("libopus 1."), "{}", version());
    }

    proptest! {
        #[test]
        fn no_octets_break_the_decoder(
            packets in prop::collection::vec(any::<Vec<u8>>(), 0..6),
            gap in 0usize..4000,
        ) {
            for rate in RATES {
                let mut decoder = Decoder::new(rate).unwrap();
                let mut out = vec![0; 4000];
                for packet in &packets {
                    let most = duration(packet).map_or(0, |d| d * rate.hz() / 48_000);
                    prop_assert!(decoder.decode(packet, &mut out) <= most as usize);
                    prop_assert!(decoder.recover(packet, &mut out[..gap]) <= gap);
                }
            }
        }
    }
}
