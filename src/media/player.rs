//! Prompts one after the other, a frame at a time, as they were encoded beforehand.

use std::sync::Arc;

use super::{Prompt, Repeat};
use crate::base::Codec;

/// One thing being played. It stands still while nobody listens, and all who listen in one tick
/// hear the same frame.
#[derive(Debug)]
pub(super) struct Player {
    prompts: Arc<[Arc<Prompt>]>,
    repeat: Repeat,
    tick: Option<u64>,
    /// The frame of `tick`, or the next one before the first tick.
    here: Cursor,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    prompt: usize,
    frame: usize,
}

impl Player {
    pub fn new(prompts: Arc<[Arc<Prompt>]>, repeat: Repeat) -> Self {
        let mut player = Self { prompts, repeat, tick: None, here: Cursor::default() };
        player.settle();
        player
    }

    /// The frame of `tick` in `codec`. `None` if there is no more: a `Once` came to its end, or
    /// there never was a sound.
    pub fn frame(&mut self, tick: u64, codec: Codec) -> Option<&[u8]> {
        self.turn(tick);
        self.prompts.get(self.here.prompt)?.frame(codec, self.here.frame)
    }

    /// The frame of `tick`, if somebody listens to it.
    pub fn overhear(&self, tick: u64, codec: Codec) -> Option<&[u8]> {
        let heard = self.tick == Some(tick);
        self.prompts.get(self.here.prompt).filter(|_| heard)?.frame(codec, self.here.frame)
    }

    /// Moves on to the frame of `tick`.
    pub fn turn(&mut self, tick: u64) {
        if self.tick == Some(tick) {
            return;
        }
        if self.tick.is_some() {
            self.here.frame += 1;
            self.settle();
        }
        self.tick = Some(tick);
    }

    /// Nothing will come any more.
    pub fn is_over(&self) -> bool {
        self.repeat == Repeat::Once && self.here.prompt >= self.prompts.len()
    }

    /// Moves on to a frame that is there.
    fn settle(&mut self) {
        // Prompts without a sound are passed over, but not for ever.
        for _ in 0..=2 * self.prompts.len() {
            match self.prompts.get(self.here.prompt) {
                Some(prompt) if prompt.frame(Codec::Pcmu, self.here.frame).is_some() => return,
                Some(_) => self.here = Cursor { prompt: self.here.prompt + 1, frame: 0 },
                None if self.repeat == Repeat::Forever => self.here = Cursor::default(),
                None => return,
            }
        }
    }
}
