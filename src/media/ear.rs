//! A leg's packets become sound, in order and without gaps.
//!
//! Decoders with memory must hear every packet once and in its place. What is missing when its
//! successor comes is concealed then: no packet waits for another.

use super::stream::Scale;
use crate::audio::codec::Decoder;
use crate::base::{Codec, Rate};
use crate::rtp::ahead;
use crate::rtp::packet::Header;

/// The longest gap that is concealed, in eighths of a millisecond: 60 ms. After a longer one the
/// sender was silent, or nobody would take the makeshift for speech.
const GAP: i32 = 480;
/// Samples of that, and of the longest packet there is (120 ms, RFC 6716 §3.2.5), at 16 kHz.
const MOST: usize = 2880;

#[derive(Debug)]
pub(super) struct Ear {
    codec: Codec,
    rate: Rate,
    decoder: Decoder,
    /// After the newest packet.
    next: Option<Place>,
    samples: [i16; MOST],
}

/// One moment by the sender's clock.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// RTP's.
    theirs: u32,
    /// In eighths of a millisecond. Counted along, since RTP's wraps where a sixth of it does not.
    ours: u32,
}

/// What a packet gave to hear.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard<'a> {
    /// Time of the first sample on the sender's clock, in eighths of a millisecond.
    pub start: u32,
    pub samples: &'a [i16],
    /// What came before it.
    pub after: After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Sound,
    /// The sender was silent for a while.
    Pause,
}

impl Ear {
    /// `None` where there is no memory for it, and nothing is heard.
    pub fn new(codec: Codec, rate: Rate) -> Option<Box<Self>> {
        let decoder = Decoder::new(codec, rate).ok()?;
        Some(Box::new(Self { codec, rate, decoder, next: None, samples: [0; MOST] }))
    }

    /// The sender began anew.
    pub fn forget(&mut self) {
        self.next = None;
    }

    /// `None` if the packet comes after its successor, or holds nothing.
    pub fn hear(&mut self, header: &Header, payload: &[u8]) -> Option<Heard<'_>> {
        let scale = Scale::of(self.codec);
        let mut filled = 0;
        let mut here = scale.down(header.timestamp);
        let mut start = here;
        let mut after = After::Sound;
        if let Some(next) = self.next {
            let gap = ahead(next.theirs, header.timestamp);
            if gap < 0 && gap > -scale.up_span(8000) {
                return None;
            }
            here = next.ours.wrapping_add_signed(scale.down_span(gap));
            start = here;
            // RFC 3551 §4.1: after a pause of the sender's own the marker stands.
            if gap > 0 && gap <= scale.up_span(GAP) && !header.marker {
                let missing = scale.down(gap as u32) as usize * self.rate.frame() / super::FRAME;
                filled = self.decoder.conceal(missing, Some(payload), &mut self.samples);
                start = next.ours;
            } else if gap != 0 {
                after = After::Pause;
            }
        }
        let came = self.decoder.decode(payload, &mut self.samples[filled..]);
        if came == 0 {
            return None;
        }
        let span = (came * super::FRAME / self.rate.frame()) as u64;
        self.next = Some(Place {
            theirs: header.timestamp.wrapping_add(scale.up(span)),
            ours: here.wrapping_add(span as u32),
        });
        Some(Heard { start, samples: &self.samples[..filled + came], after })
    }
}
