//! Ogg Opus (RFC 3533, RFC 7845): a recording of two voices as a file, page by page.
//!
//! Sound goes in, octets that only ever have to be added to a file come out. It spares the layer
//! above packets, pages, checksums and the samples that a coder is late by; and a file that was cut
//! off anywhere can be played up to its last whole page, at most [`PACKETS`] packets before the cut.
//!
//! **Two mono streams and no stereo one.** Who said what is the point of two channels. A stereo coder
//! of libopus gives that up when bits are short: at 16 kbit/s both voices are heard on both channels
//! (the caller alone on the agent's 8 dB down); at 24 they are not, but nothing says so for another
//! version or another sound. Two streams, "uncoupled" (RFC 7845 §5.1.1), have nothing of each other at
//! any rate, and cost less where one speaks and one listens: 17 kbit/s at twice 16 for 22 at 24.
//! Channel mapping family 1 allows them and says which is left and which right. Family 0 knows one
//! stream only, and 255 says neither side and is not taken by all players.

use std::time::Duration;

use super::opus::{Encoder, Unavailable, version};
use crate::base::Rate;

/// Two voices on their way to a file.
#[derive(Debug)]
pub struct Stereo {
    voices: [Encoder; 2],
    /// What came of a frame that is not whole yet, of each voice.
    frame: [Vec<i16>; 2],
    pages: Pages,
    packet: Vec<u8>,
    packets: u64,
    /// Samples of each voice that came.
    length: u64,
    /// By which the decoder's sound is late, at 48 kHz.
    skip: u16,
}

/// Bits a second of each voice while it speaks. One that is silent takes a sixth of it.
const BIT_RATE: u32 = 16_000;
/// Octets of one voice in a packet: six times what [`BIT_RATE`] makes of 20 ms.
const LONGEST: usize = 250;
/// Of a packet, at 48 kHz.
const TICKS: u64 = 960;
/// For each sample at 8 kHz, at 48 kHz.
const SCALE: u64 = 6;
/// On a page, one second: what a crash may cost.
const PACKETS: usize = 50;

impl Stereo {
    /// Begins a file, whose headers go to `out`. `serial` is to be another one for each file.
    ///
    /// # Errors
    /// libopus has no memory.
    pub fn new(serial: u32, out: &mut Vec<u8>) -> Result<Self, Unavailable> {
        let voice = || -> Result<_, Unavailable> {
            let mut voice = Encoder::new(Rate::Narrow)?;
            voice.limit_bit_rate(BIT_RATE);
            Ok(voice)
        };
        let voices = [voice()?, voice()?];
        let skip = voices[0].delay();
        let mut pages = Pages { serial, sequence: 0, sizes: vec![], body: vec![] };
        // RFC 7845 §3: each header is alone on its page or pages, at no time at all.
        for header in [&head(skip)[..], &tags()] {
            pages.add(header);
            pages.write(Place::Amid, 0, out);
        }
        Ok(Self {
            voices,
            frame: Default::default(),
            pages,
            packet: Vec::with_capacity(2 * LONGEST + 1),
            packets: 0,
            length: 0,
            skip,
        })
    }

    /// Adds sound at 8 kHz, left and right in turns. Pages that became whole go to `out`.
    pub fn append(&mut self, interleaved: &[i16], out: &mut Vec<u8>) {
        for both in interleaved.as_chunks::<2>().0 {
            for (frame, sample) in self.frame.iter_mut().zip(both) {
                frame.push(*sample);
            }
            self.length += 1;
            if self.frame[0].len() == Rate::Narrow.frame() {
                self.encode();
                if self.pages.packets() >= PACKETS {
                    self.pages.write(Place::Amid, self.packets * TICKS, out);
                }
            }
        }
    }

    /// The last page, which ends where the sound does (RFC 7845 §4.4).
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let end = u64::from(self.skip) + self.length * SCALE;
        while !self.frame[0].is_empty() || self.packets * TICKS < end {
            for frame in &mut self.frame {
                frame.resize(Rate::Narrow.frame(), 0);
            }
            self.encode();
        }
        self.pages.write(Place::Last, end, out);
    }

    /// One packet of both voices.
    fn encode(&mut self) {
        self.packet.clear();
        let mut coded = [0; LONGEST];
        for (place, (voice, frame)) in self.voices.iter_mut().zip(&mut self.frame).enumerate() {
            let octets = voice.encode(frame, &mut coded);
            frame.clear();
            let (toc, voiced) = match coded[..octets].split_first() {
                // One frame in the packet, which is all that our encoders make of 20 ms.
                Some((toc, voiced)) if toc & 3 == 0 => (*toc, voiced),
                _ => (LOST, &[][..]),
            };
            self.packet.push(toc);
            if place == 0 {
                // RFC 6716 Appendix B: but for the last, a stream's packet tells its length; below
                // 252 that is one octet.
                self.packet.push(voiced.len() as u8);
            }
            self.packet.extend_from_slice(voiced);
        }
        self.pages.add(&self.packet);
        self.packets += 1;
    }
}

/// 20 ms of narrowband speech of which nothing is left (RFC 6716 Table 2, §3.2.1).
const LOST: u8 = 1 << 3;

/// RFC 7845 §5.1.
fn head(skip: u16) -> Vec<u8> {
    const VERSION: u8 = 1;
    const CHANNELS: u8 = 2;
    const FAMILY: u8 = 1;
    const STREAMS: u8 = 2;
    const COUPLED: u8 = 0;
    let mut head = b"OpusHead".to_vec();
    head.extend([VERSION, CHANNELS]);
    head.extend(skip.to_le_bytes());
    head.extend(Rate::Narrow.hz().to_le_bytes());
    // No gain.
    head.extend([0, 0, FAMILY, STREAMS, COUPLED]);
    // The streams of left and right.
    head.extend([0, 1]);
    head
}

/// RFC 7845 §5.2, with nothing to say but who coded it.
fn tags() -> Vec<u8> {
    let mut tags = b"OpusTags".to_vec();
    tags.extend((version().len() as u32).to_le_bytes());
    tags.extend(version().as_bytes());
    tags.extend([0; 4]);
    tags
}

/// Packets to pages of one logical stream (RFC 3533 §6).
#[derive(Debug)]
struct Pages {
    serial: u32,
    sequence: u32,
    /// Lacing values (§5): 255 until what is left of a packet is shorter.
    sizes: Vec<u8>,
    body: Vec<u8>,
}

/// Of a page in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Amid,
    Last,
}

const MAGIC: &[u8; 4] = b"OggS";
/// Octets of a page before its lacing values.
const FIXED: usize = 27;
const CHECKSUM: std::ops::Range<usize> = 22..26;

impl Pages {
    /// A page holds them all: 51 packets of twice [`LONGEST`] take 102 of its 255 lacing values,
    /// and headers are alone.
    fn add(&mut self, packet: &[u8]) {
        self.sizes.extend(std::iter::repeat_n(255, packet.len() / 255));
        self.sizes.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
    }

    fn packets(&self) -> usize {
        self.sizes.iter().filter(|size| **size < 255).count()
    }

    /// `granule`: samples at 48 kHz that the stream has at the end of this page.
    fn write(&mut self, place: Place, granule: u64, out: &mut Vec<u8>) {
        let begin = out.len();
        let first = if self.sequence == 0 { 0x02 } else { 0 };
        let last = if place == Place::Last { 0x04 } else { 0 };
        out.extend_from_slice(MAGIC);
        out.extend([0, first | last]);
        out.extend(granule.to_le_bytes());
        out.extend(self.serial.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend([0; 4]);
        out.push(self.sizes.len() as u8);
        out.append(&mut self.sizes);
        out.append(&mut self.body);
        let page = &mut out[begin..];
        let checksum = checksum(page);
        page[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        self.sequence += 1;
    }
}

/// Octets up to the end of the last whole page: what to keep of a file that was cut off.
pub fn whole(file: &[u8]) -> usize {
    let mut end = 0;
    while let Some(page) = file.get(end..).and_then(page) {
        end += page.len();
    }
    end
}

/// What two voices at 8 kHz last that a file has up to there: its last page's time, without the
/// skip. Zero for what is no file of ours.
pub fn length(file: &[u8]) -> Duration {
    let mut rest = file;
    let mut granule = 0;
    while let Some(page) = page(rest) {
        granule = page.get(6..).and_then(|at| at.first_chunk()).map_or(granule, |at| u64::from_le_bytes(*at));
        rest = &rest[page.len()..];
    }
    let skip = file.get(FIXED + 1..).and_then(|head| head.strip_prefix(b"OpusHead"));
    let skip = skip.and_then(|head| head.get(2..)?.first_chunk()).map_or(0, |skip| u16::from_le_bytes(*skip));
    Duration::from_micros(granule.saturating_sub(skip.into()) * 1000 / 48)
}

/// The page a file begins with, if it is there to its end and unharmed.
fn page(file: &[u8]) -> Option<&[u8]> {
    let sizes = usize::from(*file.strip_prefix(MAGIC)?.get(FIXED - 1 - MAGIC.len())?);
    let body: usize = file.get(FIXED..FIXED + sizes)?.iter().map(|size| usize::from(*size)).sum();
    let page = file.get(..FIXED + sizes + body)?;
    let stored = page.get(CHECKSUM)?.first_chunk()?;
    (checksum(page) == u32::from_le_bytes(*stored)).then_some(page)
}

/// CRC of a page with its own place as if it were zero (RFC 3533 §6, item 7): neither reflected
/// nor inverted.
fn checksum(page: &[u8]) -> u32 {
    page.iter().enumerate().fold(0, |crc: u32, (n, octet)| {
        let octet = if CHECKSUM.contains(&n) { 0 } else { *octet };
        crc << 8 ^ CRC[usize::from((crc >> 24) as u8 ^ octet)]
    })
}

static CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < table.len() {
        let mut crc = (n as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::opus::Decoder;
    use super::*;

    /// So many seconds of two tones beside each other, or of none.
    fn sound(samples: usize, hertz: [f64; 2]) -> Vec<i16> {
        let turn = std::f64::consts::TAU / 8000.0;
        let at = |n: usize, hertz: f64| (8000.0 * (n as f64 * hertz * turn).sin()) as i16;
        (0..samples).flat_map(|n| hertz.map(|hertz| at(n, hertz))).collect()
    }

    fn file(sound: &[i16]) -> Vec<u8> {
        let mut out = vec![];
        let mut stereo = Stereo::new(7, &mut out).unwrap();
        // In parts that are no frames.
        for part in sound.chunks(2 * 77) {
            stereo.append(part, &mut out);
        }
        stereo.finish(&mut out);
        out
    }

    fn pages(mut file: &[u8]) -> Vec<&[u8]> {
        let mut pages = vec![];
        while let Some(page) = page(file) {
            pages.push(page);
            file = &file[page.len()..];
        }
        assert_eq!(file.len(), 0);
        pages
    }

    /// Both voices as a player would have them, the skip taken off and the end cut.
    fn play(file: &[u8]) -> [Vec<i16>; 2] {
        let mut heard = [vec![], vec![]];
        let mut decoders = [(); 2].map(|()| Decoder::new(Rate::Narrow).unwrap());
        for page in &pages(file)[2..] {
            let sizes = &page[FIXED..FIXED + usize::from(page[26])];
            let mut body = &page[FIXED + sizes.len()..];
            for packet in sizes.split_inclusive(|size| *size < 255) {
                let octets = packet.iter().map(|size| usize::from(*size)).sum();
                let (packet, rest) = body.split_at(octets);
                body = rest;
                let (left, right) = packet[2..].split_at(packet[1].into());
                let voices = [[&packet[..1], left].concat(), right.to_vec()];
                for ((voice, decoder), heard) in voices.iter().zip(&mut decoders).zip(&mut heard) {
                    let mut out = [0; 160];
                    assert_eq!(decoder.decode(voice, &mut out), 160);
                    heard.extend(out);
                }
            }
        }
        let samples = (length(file).as_micros() / 125) as usize;
        heard.map(|voice| voice[52..52 + samples].to_vec())
    }

    /// Loudness at one pitch, as an amplitude.
    fn amplitude(voice: &[i16], hertz: f64) -> f64 {
        let turn = std::f64::consts::TAU * hertz / 8000.0;
        let sum = voice.iter().enumerate().fold((0.0, 0.0), |(re, im), (n, sample)| {
            let (sin, cos) = (n as f64 * turn).sin_cos();
            (re + f64::from(*sample) * cos, im + f64::from(*sample) * sin)
        });
        2.0 * sum.0.hypot(sum.1) / voice.len() as f64
    }

    #[test]
    fn the_checksum_is_the_one_of_its_polynomial() {
        // CRC-32/CKSUM of the usual nine digits, without its last inversion.
        assert_eq!(checksum(b"123456789"), !0x765e_7680);
    }

    #[test]
    fn each_voice_is_heard_on_its_own_channel_and_nothing_of_it_on_the_other() {
        let [left, right] = play(&file(&sound(16_000, [440.0, 1000.0])));
        assert!((6000.0..9000.0).contains(&amplitude(&left, 440.0)), "{}", amplitude(&left, 440.0));
        assert!((6000.0..9000.0).contains(&amplitude(&right, 1000.0)), "{}", amplitude(&right, 1000.0));
        assert!(amplitude(&left, 1000.0) < 40.0 && amplitude(&right, 440.0) < 40.0);
    }

    #[test]
    fn what_happens_on_both_sides_at_one_time_is_played_at_that_time() {
        let mut both = vec![0; 2 * 4000];
        both.extend(sound(4000, [440.0, 440.0]));
        let begins =
            play(&file(&both)).map(|voice| voice.iter().position(|s| s.unsigned_abs() > 2000).unwrap());
        assert!(begins.iter().all(|at| at.abs_diff(4000) < 40), "{begins:?}");
    }

    #[test]
    fn a_file_lasts_as_long_as_its_sound_to_the_sample() {
        for samples in [0, 1, 107, 108, 109, 159, 160, 161, 7999, 8000, 8001] {
            let file = file(&sound(samples, [440.0, 0.0]));
            assert_eq!(length(&file), Duration::from_micros(samples as u64 * 125), "{samples}");
            let pages = pages(&file);
            let packets: usize = pages[2..]
                .iter()
                .map(|p| p[FIXED..FIXED + usize::from(p[26])].iter().filter(|s| **s < 255).count())
                .sum();
            assert_eq!(packets, (samples * 6 + 312).div_ceil(960), "{samples}");
        }
    }

    #[test]
    fn pages_are_numbered_and_the_first_and_the_last_say_so() {
        let file = file(&sound(20_000, [440.0, 0.0]));
        let pages = pages(&file);
        let kinds: Vec<_> = pages.iter().map(|page| page[5]).collect();
        assert_eq!(kinds, [2, 0, 0, 0, 4]);
        for (n, page) in pages.iter().enumerate() {
            assert_eq!((page[4], &page[14..18], page[18]), (0, &[7, 0, 0, 0][..], n as u8));
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_played_to_its_last_whole_page() {
        let file = file(&sound(20_000, [440.0, 0.0]));
        let mut lengths = vec![];
        for cut in 0..file.len() {
            let kept = &file[..whole(&file[..cut])];
            assert!(kept.len() <= cut && pages(kept).len() <= 4);
            lengths.push(length(kept).as_millis());
        }
        lengths.dedup();
        assert_eq!(lengths, [0, 993, 1993]);
        assert_eq!((whole(&file), length(&file)), (file.len(), Duration::from_millis(2500)));
        let mut harmed = file.clone();
        harmed[file.len() - 1] ^= 1;
        assert_eq!(length(&file[..whole(&harmed)]).as_millis(), 1993);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(mut bytes: Vec<u8>, begins: bool) {
            if begins {
                bytes.splice(0..0, *MAGIC);
            }
            prop_assert!(whole(&bytes) <= bytes.len());
            length(&bytes);
        }
    }
}
