//! WAV (RIFF) in and out, as bytes.
//!
//! Reading takes what prompts come as (PCM of 8 or 16 bits, G.711 of either law, any usual rate, any
//! number of channels) and gives 8 kHz mono. Writing is for recordings: 8 kHz stereo PCM16 whose
//! header is good before the length is known, so that a file cut short can still be played.

use std::fmt;

use super::{g711, resample};

/// Why a file gives no sound; the operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// No RIFF/WAVE header, or no `fmt ` and `data` chunks after it.
    NotWav,
    /// A coding other than PCM of 8 or 16 bits, A-law and µ-law.
    Coding {
        tag: u16,
        bits: u16,
    },
    /// Outside 4 to 96 kHz.
    Rate(u32),
    Channels(u16),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWav => f.write_str("not a WAV file"),
            Self::Coding { tag, bits } => {
                write!(f, "coding {tag} of {bits} bits; PCM of 8 or 16 bits or G.711 would do")
            }
            Self::Rate(hertz) => write!(f, "{hertz} Hz; 8000, 16000 or 48000 would do"),
            Self::Channels(count) => write!(f, "{count} channels; one would do"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// 8 kHz mono; several channels are averaged.
pub fn read(bytes: &[u8]) -> Result<Vec<i16>, Unreadable> {
    let (format, data) = chunks(bytes).ok_or(Unreadable::NotWav)?;
    if !(1..=8).contains(&format.channels) {
        return Err(Unreadable::Channels(format.channels));
    }
    if !(4000..=96_000).contains(&format.rate) {
        return Err(Unreadable::Rate(format.rate));
    }
    let samples: Vec<i16> = match (format.tag, format.bits) {
        (PCM, 8) => data.iter().map(|b| (i16::from(*b) - 128) << 8).collect(),
        (PCM, 16) => data.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)).collect(),
        (ALAW, 8) => data.iter().map(|b| g711::alaw_decode(*b)).collect(),
        (ULAW, 8) => data.iter().map(|b| g711::ulaw_decode(*b)).collect(),
        (tag, bits) => return Err(Unreadable::Coding { tag, bits }),
    };
    let channels = usize::from(format.channels);
    let mono = match channels {
        1 => samples,
        _ => samples
            .chunks_exact(channels)
            .map(|frame| (frame.iter().map(|s| i32::from(*s)).sum::<i32>() / channels as i32) as i16)
            .collect(),
    };
    Ok(resample::resample(&mono, format.rate, 8000))
}

const PCM: u16 = 1;
const ALAW: u16 = 6;
const ULAW: u16 = 7;
/// The coding stands in the first two octets of the sub-format.
const EXTENSIBLE: u16 = 0xfffe;

struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    bits: u16,
}

fn chunks(bytes: &[u8]) -> Option<(Format, &[u8])> {
    let mut rest = bytes.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    let mut format = None;
    loop {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        // A writer that was killed, or wrote to a pipe, left a length of 0 or of nearly 4 GiB.
        let unknown = name == b"data" && (length == 0 || length > after.len());
        let body = if unknown { after } else { after.get(..length)? };
        match name {
            b"fmt " => format = Some(parse_format(body)?),
            b"data" => return Some((format?, body)),
            _ => {}
        }
        rest = after.get(length + length % 2..)?;
    }
}

fn parse_format(body: &[u8]) -> Option<Format> {
    let u16_at = |at: usize| body.get(at..)?.first_chunk().copied().map(u16::from_le_bytes);
    let tag = match u16_at(0)? {
        EXTENSIBLE => u16_at(24)?,
        tag => tag,
    };
    let rate = u32::from_le_bytes(*body.get(4..)?.first_chunk()?);
    Some(Format { tag, channels: u16_at(2)?, rate, bits: u16_at(14)? })
}

/// How much sound follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Not known yet: readers take all there is.
    Open,
    /// This many octets of samples.
    Octets(u64),
}

/// The first 44 octets of an 8 kHz stereo PCM16 file. Write it with [`Length::Open`] first and
/// over itself with [`Length::Octets`] at the end.
pub fn stereo_header(length: Length) -> [u8; 44] {
    const CHANNELS: u16 = 2;
    const RATE: u32 = 8000;
    let data = match length {
        Length::Octets(octets) => u32::try_from(octets).ok().filter(|o| o.checked_add(36).is_some()),
        Length::Open => None,
    };
    let mut header = [0; 44];
    let mut fields = header.as_mut_slice();
    let mut put = |field: &[u8]| {
        let (head, tail) = std::mem::take(&mut fields).split_at_mut(field.len());
        head.copy_from_slice(field);
        fields = tail;
    };
    put(b"RIFF");
    put(&data.map_or(u32::MAX, |d| d + 36).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16u32.to_le_bytes());
    put(&PCM.to_le_bytes());
    put(&CHANNELS.to_le_bytes());
    put(&RATE.to_le_bytes());
    put(&(RATE * 4).to_le_bytes());
    put(&4u16.to_le_bytes());
    put(&16u16.to_le_bytes());
    put(b"data");
    put(&data.unwrap_or(u32::MAX).to_le_bytes());
    header
}

/// Adds samples to a buffer as a WAV file holds them.
pub fn append(samples: &[i16], to: &mut Vec<u8>) {
    to.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        let align = channels * bits / 8;
        file.extend(tag.to_le_bytes());
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend((rate * u32::from(align)).to_le_bytes());
        file.extend(align.to_le_bytes());
        file.extend(bits.to_le_bytes());
        // An odd chunk on the way, padded to even.
        file.extend(b"LIST\x03\0\0\0abc\0data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn each_coding_is_read() {
        assert_eq!(read(&wav(PCM, 1, 8000, 16, &[1, 0, 0xff, 0xff])), Ok(vec![1, -1]));
        assert_eq!(read(&wav(PCM, 1, 8000, 8, &[128, 129, 0])), Ok(vec![0, 256, -32768]));
        assert_eq!(read(&wav(ULAW, 1, 8000, 8, &[0xff, 0x80])), Ok(vec![0, 32124]));
        assert_eq!(read(&wav(ALAW, 1, 8000, 8, &[0xd5, 0xaa])), Ok(vec![8, 32256]));
        assert_eq!(read(&wav(PCM, 2, 8000, 16, &[10, 0, 20, 0])), Ok(vec![15]));
        assert_eq!(read(&wav(PCM, 1, 16_000, 16, &[0; 640])).map(|s| s.len()), Ok(160));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        assert_eq!(read(b"RIFF\0\0\0\0AVI "), Err(Unreadable::NotWav));
        assert_eq!(read(b""), Err(Unreadable::NotWav));
        assert_eq!(read(&wav(3, 1, 8000, 32, &[])), Err(Unreadable::Coding { tag: 3, bits: 32 }));
        assert_eq!(read(&wav(PCM, 1, 1, 16, &[])), Err(Unreadable::Rate(1)));
        assert_eq!(read(&wav(PCM, 0, 8000, 16, &[])), Err(Unreadable::Channels(0)));
        let whole = wav(PCM, 1, 8000, 16, &[1, 0]);
        for cut in 0..whole.len() - 2 {
            assert!(read(&whole[..cut]).is_err() || cut >= whole.len() - 2, "{cut}");
        }
    }

    #[test]
    fn a_recording_is_read_back_whether_or_not_it_was_finished() {
        let mut sound = vec![];
        append(&[100, 300, -5, -7], &mut sound);
        for length in [Length::Open, Length::Octets(8)] {
            let file = [&stereo_header(length)[..], &sound].concat();
            assert_eq!(read(&file), Ok(vec![200, -6]), "{length:?}");
        }
        let header = stereo_header(Length::Octets(8));
        assert_eq!(header[4..8], 44u32.to_le_bytes());
        assert_eq!(header[40..], 8u32.to_le_bytes());
        assert_eq!(stereo_header(Length::Octets(1 << 40)), stereo_header(Length::Open));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(mut bytes: Vec<u8>, whole: bool) {
            if whole {
                bytes.splice(0..0, wav(PCM, 1, 8000, 16, &[]));
            }
            let _ = read(&bytes);
        }
    }
}
