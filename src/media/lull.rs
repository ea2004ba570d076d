//! What a peer sounds like that stopped sending in silence: noise as loud and of the colour it told
//! last (RFC 3389), until it speaks again.
//!
//! Whoever agreed to comfort noise is sent the peer's own; this is for all who cannot be told of it:
//! mixes, recordings, and listeners of a codec or a phone that knows none. It spares them the
//! difference between a quiet line and a dead one. Opus has a description of silence of its own, the
//! packets of DTX: what its decoder makes of one is heeded like one of RFC 3389.
//!
//! A frame costs what talk of the peer would cost, or less, and is made only where talk would be
//! heard. A listener that sends DTX itself gets none of it: its encoder tells noise when it hears it.

use super::FRAME;
use crate::audio::noise::{self, Noise};
use crate::base::Rate;
use crate::rtp::ahead;

/// Frames of noise after the last word on it: 30 s. RFC 3389 leaves to the sender how often it
/// repeats itself, and some do so only when the level changes; who vanished is silent.
const LONGEST: u16 = 1500;
/// A timestamp farther off than 2 s is another timeline, as in [`crate::rtp::jitter`].
const JUMP: i32 = 16_000;

#[derive(Debug)]
pub(super) struct Lull {
    noise: Noise,
    rate: Rate,
    /// When it began by the peer's clock, in eighths of a millisecond. `None` where there never
    /// was one.
    from: Option<u32>,
    /// Frames to come at the most.
    left: u16,
}

impl Lull {
    /// `seed` of the mint's, lest two legs hiss alike.
    pub const fn new(seed: u32) -> Self {
        Self { noise: Noise::new(seed), rate: Rate::Narrow, from: None, left: 0 }
    }

    /// The peer is silent from then on, and this is how it sounds, at the rate of who hears it.
    pub fn heed(&mut self, from: u32, rate: Rate, payload: &[u8]) {
        self.noise.heed(payload);
        (self.from, self.rate, self.left) = (Some(from), rate, LONGEST);
    }

    /// The peer said something then. `false` if that changes nothing: there is no lull, or it was
    /// said before and overtaken on the way.
    pub fn end(&mut self, at: u32) -> bool {
        let over =
            self.is_on() && self.from.is_some_and(|from| ahead(from, at) >= 0 || ahead(from, at) < -JUMP);
        if over {
            self.left = 0;
        }
        over
    }

    /// Another peer is heard.
    pub fn forget(&mut self) {
        (self.from, self.left) = (None, 0);
    }

    pub const fn is_on(&self) -> bool {
        self.left > 0
    }

    /// There was a lull, so there may be another.
    pub const fn is_known(&self) -> bool {
        self.from.is_some()
    }

    /// A tick in which nobody could hear it.
    pub fn pass(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// The frame of a tick, at the rate that was heeded; `None` outside a lull.
    pub fn frame<'s>(&mut self, samples: &'s mut [i16; 2 * FRAME]) -> Option<(Rate, &'s [i16])> {
        self.left = self.left.checked_sub(1)?;
        let frame = &mut samples[..self.rate.frame()];
        self.noise.fill(frame);
        Some((self.rate, frame))
    }

    /// Completes a frame out of the jitter buffer: all of it came, or not, and it ended at
    /// `position` on the peer's clock. Whether it did.
    pub fn complete(&mut self, position: Option<u32>, whole: bool, frame: &mut [i16]) -> bool {
        if !self.is_on() {
            return false;
        }
        let since = position.zip(self.from).map_or(0, |(at, from)| ahead(from, at));
        if since < -JUMP {
            // Told by another clock than the sound's: since now.
            self.from = position;
        }
        self.left -= 1;
        if whole {
            // All of it was said after the lull began, however the buffer stretched it.
            if since >= 2 * FRAME as i32 {
                self.left = 0;
            }
            return false;
        }
        let mut noise = [0; 2 * FRAME];
        self.noise.fill(&mut noise[..frame.len().min(2 * FRAME)]);
        frame.iter_mut().zip(noise).for_each(|(sample, noise)| *sample = sample.saturating_add(noise));
        true
    }
}

/// What 20 ms of a decoder's noise tell, the last of these, for [`Lull::heed`].
pub(super) fn described(noise: &[i16]) -> [u8; 1] {
    noise::payload(&noise[noise.len().saturating_sub(FRAME)..])
}
