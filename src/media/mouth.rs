//! Sound becomes frames of a leg's codec, 20 ms each, whatever length it comes in.

use super::FRAME;
use crate::audio::codec::Encoder;
use crate::audio::opus::Silence;
use crate::base::{Codec, Rate};
use crate::rtp::ahead;

/// The sender's clock may stray this far from ours before it is set right: 2 s.
const STRAY: i64 = 16_000;
/// Octets of the longest frame we make.
pub(super) const LONGEST: usize = 400;

/// All times are eighths of a millisecond.
#[derive(Debug)]
pub(super) struct Mouth {
    codec: Codec,
    rate: Rate,
    encoder: Encoder,
    /// Samples that do not fill a frame yet, and when the first of them is due.
    held: [i16; 320],
    filled: usize,
    clock: u64,
    anchor: Option<Anchor>,
}

/// Where the speaker's clock stood by ours.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    source: usize,
    theirs: u32,
    ours: u64,
}

impl Mouth {
    /// `None` where there is no memory for it, and nothing is said.
    pub fn new(codec: Codec, rate: Rate) -> Option<Box<Self>> {
        let encoder = Encoder::new(codec, rate).ok()?;
        Some(Box::new(Self { codec, rate, encoder, held: [0; 320], filled: 0, clock: 0, anchor: None }))
    }

    pub fn is_for(&self, codec: Codec, rate: Rate) -> bool {
        (self.codec, self.rate) == (codec, rate)
    }

    /// See [`Encoder::expect_loss`].
    pub fn expect_loss(&mut self, percent: u8) {
        self.encoder.expect_loss(percent);
    }

    /// See [`Encoder::treat_silence`].
    pub fn treat_silence(&mut self, silence: Silence) {
        self.encoder.treat_silence(silence);
    }

    /// See [`Encoder::limit_bit_rate`].
    pub fn limit_bit_rate(&mut self, bits: u32) {
        self.encoder.limit_bit_rate(bits);
    }

    /// Somebody else speaks from now on.
    pub fn cut(&mut self) {
        self.filled = 0;
        self.anchor = None;
    }

    /// What `source` said from `start` on by its own clock, come at `now` by ours. `frame` gets
    /// each frame that became full, and when it is due.
    pub fn say(
        &mut self,
        now: u64,
        source: usize,
        start: u32,
        mut samples: &[i16],
        mut frame: impl FnMut(u64, &[u8]),
    ) {
        let clock = self.place(now, source, start);
        let full = self.rate.frame();
        if self.filled > 0 && clock != self.clock + (self.filled * FRAME / full) as u64 {
            // The sender paused: what is left over goes before the pause.
            self.held[self.filled..full].fill(0);
            self.filled = full;
            self.speak(&mut frame);
        }
        if self.filled == 0 {
            self.clock = clock;
        }
        while !samples.is_empty() {
            let taken = samples.len().min(full - self.filled);
            self.held[self.filled..self.filled + taken].copy_from_slice(&samples[..taken]);
            self.filled += taken;
            samples = &samples[taken..];
            if self.filled == full {
                self.speak(&mut frame);
            }
        }
    }

    /// A frame by our own clock, at the rate it is for.
    pub fn say_frame(&mut self, samples: &[i16], octets: &mut [u8; LONGEST]) -> usize {
        self.cut();
        self.encoder.encode(samples, octets)
    }

    fn speak(&mut self, frame: &mut impl FnMut(u64, &[u8])) {
        let mut octets = [0; LONGEST];
        let length = self.encoder.encode(&self.held[..self.filled], &mut octets);
        frame(self.clock, &octets[..length]);
        self.clock += FRAME as u64;
        self.filled = 0;
    }

    fn place(&mut self, now: u64, source: usize, start: u32) -> u64 {
        let known = self.anchor.filter(|anchor| anchor.source == source);
        let clock = known.map(|anchor| anchor.ours as i64 + i64::from(ahead(anchor.theirs, start)));
        match clock.filter(|clock| (now as i64 - clock).abs() <= STRAY) {
            Some(clock) => clock.max(0) as u64,
            None => {
                self.anchor = Some(Anchor { source, theirs: start, ours: now });
                now
            }
        }
    }
}
