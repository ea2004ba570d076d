//! Sound encoded once per codec, then only stamped and sent: what makes a waiting caller cheap.

use std::time::Duration;

use super::FRAME;
use crate::audio::codec::Encoder;
use crate::base::{Codec, Rate};

/// A whole sound in frames of 20 ms.
#[derive(PartialEq, Eq)]
pub struct Prompt {
    frames: usize,
    g711: [Box<[u8]>; 2],
    g722: Box<[u8]>,
    opus: Packets,
}

/// Frames of different lengths one after the other.
#[derive(Default, PartialEq, Eq)]
struct Packets {
    octets: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<u32>,
}

/// The longest frame of Opus we make; at the rates we use it is a third of that.
const LONGEST: usize = 400;

impl Prompt {
    /// From 8 kHz mono samples. The last frame is filled up with silence. Takes about a
    /// hundredth of the sound's length, most of it for Opus.
    pub fn from_pcm(samples: &[i16]) -> Self {
        let frames = samples.len().div_ceil(FRAME);
        let mut prompt = Self {
            frames,
            g711: [(); 2].map(|()| vec![0; frames * FRAME].into()),
            g722: vec![0; frames * FRAME].into(),
            opus: Packets::default(),
        };
        for codec in Codec::ALL {
            let Ok(mut encoder) = Encoder::new(codec, Rate::Narrow) else { continue };
            for n in 0..frames {
                let from = &samples[n * FRAME..samples.len().min((n + 1) * FRAME)];
                let mut frame = [0; FRAME];
                frame[..from.len()].copy_from_slice(from);
                let place = n * FRAME..(n + 1) * FRAME;
                match codec {
                    Codec::Pcmu => encoder.encode(&frame, &mut prompt.g711[0][place]),
                    Codec::Pcma => encoder.encode(&frame, &mut prompt.g711[1][place]),
                    Codec::G722 => encoder.encode(&frame, &mut prompt.g722[place]),
                    Codec::Opus => prompt.opus.add(|octets| encoder.encode(&frame, octets)),
                };
            }
        }
        prompt.opus.octets.shrink_to_fit();
        prompt
    }

    /// Frame number `n`; `None` after the last.
    pub fn frame(&self, codec: Codec, n: usize) -> Option<&[u8]> {
        let even = |octets| <[u8]>::get(octets, n * FRAME..(n + 1) * FRAME);
        match codec {
            Codec::Pcmu => even(&self.g711[0]),
            Codec::Pcma => even(&self.g711[1]),
            Codec::G722 => even(&self.g722),
            Codec::Opus => self.opus.frame(n),
        }
    }

    pub fn length(&self) -> Duration {
        super::TICK * self.frames as u32
    }

    /// Octets it holds, in all codecs together.
    pub fn size(&self) -> usize {
        self.frames * (3 * FRAME + size_of::<u32>()) + self.opus.octets.len()
    }
}

impl Packets {
    fn add(&mut self, make: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let mut octets = [0; LONGEST];
        let length = make(&mut octets);
        self.octets.extend(&octets[..length]);
        self.ends.push(self.octets.len() as u32);
        length
    }

    fn frame(&self, n: usize) -> Option<&[u8]> {
        let end = *self.ends.get(n)? as usize;
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.octets.get(start..end)
    }
}

impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prompt({:?})", self.length())
    }
}
