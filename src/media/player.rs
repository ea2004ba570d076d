//! Prompts one after the other, a frame at a time, as they were encoded beforehand.

use std::sync::Arc;

use super::{FRAME, Law, Prompt, Repeat};

/// One thing being played. It stands still while nobody listens, and all who listen in one tick
/// hear the same frame.
#[derive(Debug)]
pub(super) struct Player {
    prompts: Arc<[Arc<Prompt>]>,
    repeat: Repeat,
    tick: Option<u64>,
    /// Where this tick's frame begins, and where it ends.
    here: Cursor,
    there: Cursor,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    prompt: usize,
    octet: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Played {
    Frame,
    /// There is no more: a `Once` came to its end, or there never was a sound.
    Nothing,
}

impl Player {
    pub fn new(prompts: Arc<[Arc<Prompt>]>, repeat: Repeat) -> Self {
        Self { prompts, repeat, tick: None, here: Cursor::default(), there: Cursor::default() }
    }

    /// The frame of `tick` in `law`; the last one is filled up with silence.
    pub fn frame(&mut self, tick: u64, law: Law, frame: &mut [u8; FRAME]) -> Played {
        if self.tick != Some(tick) {
            self.here = self.there;
            self.tick = Some(tick);
        }
        let (mut at, mut filled) = (self.here, 0);
        // Prompts without a sound are passed over, but not for ever.
        let mut empty = 0;
        while filled < FRAME && empty <= self.prompts.len() {
            let Some(prompt) = self.prompts.get(at.prompt) else {
                if self.repeat == Repeat::Once || self.prompts.is_empty() {
                    break;
                }
                at = Cursor::default();
                continue;
            };
            let rest = prompt.encoded(law).get(at.octet..).unwrap_or_default();
            let taken = rest.len().min(FRAME - filled);
            frame[filled..filled + taken].copy_from_slice(&rest[..taken]);
            filled += taken;
            at.octet += taken;
            empty = if taken == 0 { empty + 1 } else { 0 };
            if taken == rest.len() {
                at = Cursor { prompt: at.prompt + 1, octet: 0 };
            }
        }
        self.there = at;
        frame[filled..].fill(law.silence());
        if filled == 0 { Played::Nothing } else { Played::Frame }
    }

    /// Nothing will come any more.
    pub fn is_over(&self) -> bool {
        self.repeat == Repeat::Once && self.here.prompt >= self.prompts.len()
    }
}
