//! Several voices for one listener.
//!
//! At 16 kHz where the listener and one of the voices know that; telephones and prompts among them
//! keep the width they have.

use super::ticking::play;
use crate::audio::g711;
use crate::audio::mix::Limiter;
use crate::audio::resample::Doubler;
use crate::base::{Codec, PlayId, Rate};
use crate::media::FRAME;
use crate::media::player::Player;
use crate::media::slots::Slots;
use crate::media::tap::Tap;

#[derive(Debug)]
pub(super) struct Mix {
    pub voices: Vec<Voice>,
    limiter: Limiter,
    /// Where a voice is wide: what makes the others as wide.
    doubler: Option<Box<Doubler>>,
}

#[derive(Debug)]
pub(super) enum Voice {
    Tap(Rate, usize),
    Player(usize),
    /// What is played to somebody else: it moves on as they hear it.
    Overheard(usize),
    Tone(Player),
}

impl Mix {
    pub fn new(voices: Vec<Voice>) -> Self {
        let wide = voices.iter().any(|voice| matches!(voice, Voice::Tap(Rate::Wide, _)));
        Self { voices, limiter: Limiter::default(), doubler: wide.then(Box::default) }
    }

    pub const fn rate(&self) -> Rate {
        if self.doubler.is_some() { Rate::Wide } else { Rate::Narrow }
    }

    /// The frame of a tick, at the mix's rate; `None` if nothing is to be heard.
    pub fn frame<'s>(
        &mut self,
        tick: u64,
        taps: &Slots<Tap>,
        players: &mut Slots<(PlayId, Player)>,
        over: &mut Vec<usize>,
        room: &'s mut [i16; 2 * FRAME],
    ) -> Option<&'s [i16]> {
        let (mut narrow, mut wide) = ([0i32; FRAME], [0i32; 2 * FRAME]);
        let mut heard = false;
        for voice in &mut self.voices {
            let octets = match voice {
                Voice::Tap(rate, tap) => {
                    let tap = &taps[*tap];
                    let sums = match rate {
                        Rate::Narrow => &mut narrow[..],
                        Rate::Wide => &mut wide[..],
                    };
                    if tap.is_heard() {
                        heard = true;
                        sums.iter_mut().zip(tap.frame()).for_each(|(sum, s)| *sum += i32::from(*s));
                    }
                    continue;
                }
                Voice::Player(player) => play(*player, players, over, tick, Codec::Pcmu),
                Voice::Overheard(player) => players[*player].1.overhear(tick, Codec::Pcmu),
                Voice::Tone(tone) => tone.frame(tick, Codec::Pcmu),
            };
            for (sum, octet) in narrow.iter_mut().zip(octets.unwrap_or_default()) {
                *sum += i32::from(g711::ulaw_decode(*octet));
            }
            heard |= octets.is_some();
        }
        let sums = match &mut self.doubler {
            Some(doubler) => {
                doubler.add(&narrow, &mut wide);
                &wide[..]
            }
            None => &narrow[..],
        };
        let samples = &mut room[..sums.len()];
        self.limiter.limit(sums, samples);
        heard.then_some(samples)
    }
}
