//! What a leg says, as sound by our clock: for mixes and recordings.
//!
//! A leg has one for each rate at which it is wanted, so nobody pays for width that nobody hears,
//! and a recording goes on as it was when a conference begins.

use std::time::Duration;

use super::FRAME;
use super::lull::Lull;
use crate::base::Rate;
use crate::rtp::jitter::{self, Buffer};

#[derive(Debug)]
pub(super) struct Tap {
    buffer: ByRate,
    /// Of the tick; as much of it as the rate fills.
    frame: [i16; 2 * FRAME],
    /// Of the frame: what came, or what was made up for it.
    heard: jitter::Heard,
    lull: Lull,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "what is wide is larger by as much as it holds more")]
enum ByRate {
    Narrow(Buffer<1>),
    Wide(Buffer<2>),
}

/// Of whichever buffer there is.
macro_rules! buffer {
    ($of:expr, $buffer:ident => $what:expr) => {
        match $of {
            ByRate::Narrow($buffer) => $what,
            ByRate::Wide($buffer) => $what,
        }
    };
}

impl Tap {
    /// `seed` of the mint's, for noise.
    pub fn new(rate: Rate, seed: u32) -> Self {
        let buffer = match rate {
            Rate::Narrow => ByRate::Narrow(Buffer::default()),
            Rate::Wide => ByRate::Wide(Buffer::default()),
        };
        Self { buffer, frame: [0; 2 * FRAME], heard: jitter::Heard::Silence, lull: Lull::new(seed) }
    }

    const fn rate(&self) -> Rate {
        match self.buffer {
            ByRate::Narrow(_) => Rate::Narrow,
            ByRate::Wide(_) => Rate::Wide,
        }
    }

    /// The leg said this at its rate, beginning then by its clock, in eighths of a millisecond.
    pub fn insert(&mut self, start: u32, samples: &[i16]) {
        buffer!(&mut self.buffer, buffer => buffer.insert(start, samples));
    }

    /// The leg is silent from then on, and this is how that sounds (RFC 3389).
    pub fn heed(&mut self, from: u32, payload: &[u8]) {
        self.lull.heed(from, self.rate(), payload);
    }

    /// The leg does not tell any more how its silence sounds.
    pub fn end_noise(&mut self) {
        self.lull.forget();
    }

    /// Another sender begins.
    pub fn clear(&mut self) {
        buffer!(&mut self.buffer, buffer => buffer.clear());
        self.lull.forget();
    }

    /// Makes the frame of a tick: what came, and where the peer is silent, how that sounds.
    pub fn read(&mut self) {
        let length = self.rate().frame();
        let frame = &mut self.frame[..length];
        self.heard = buffer!(&mut self.buffer, buffer => buffer.read(frame));
        let whole = self.heard == jitter::Heard::Sound { came: FRAME };
        let position = buffer!(&self.buffer, buffer => buffer.position());
        let completed = self.lull.complete(position, whole, frame);
        if completed && self.heard == jitter::Heard::Silence {
            self.heard = jitter::Heard::Concealed;
        }
    }

    pub fn frame(&self) -> &[i16] {
        &self.frame[..self.rate().frame()]
    }

    /// Whether there is anything to hear in the frame.
    pub fn is_heard(&self) -> bool {
        self.heard != jitter::Heard::Silence
    }

    /// See [`Buffer::drain`].
    pub fn drain(&mut self, samples: &mut [i16]) -> usize {
        buffer!(&mut self.buffer, buffer => buffer.drain(samples))
    }

    /// See [`Buffer::delay`].
    pub fn delay(&self) -> Duration {
        buffer!(&self.buffer, buffer => buffer.delay())
    }

    pub fn counts(&self) -> jitter::Counts {
        buffer!(&self.buffer, buffer => buffer.counts())
    }
}
