//! One tick of 20 ms: what is played, mixed and recorded.

use super::{Bay, Hearing, Pace, Tape, Ticking, Wire};
use crate::base::{Codec, PlayId};
use crate::media::endpoint::Sound;
use crate::media::player::Player;
use crate::media::slots::Slots;
use crate::media::{Event, FRAME};

impl Bay {
    /// One tick.
    pub(super) fn frame(&mut self, tick: u64, pace: Pace, wire: &mut impl Wire, tape: &mut impl Tape) {
        for tap in self.taps.iter_mut() {
            tap.read();
        }
        if pace == Pace::Full {
            self.make_sound(tick, wire);
        }
        self.record_frame(tick, tape);
    }

    fn make_sound(&mut self, tick: u64, wire: &mut impl Wire) {
        let clock = tick * FRAME as u64;
        let mut n = 0;
        while let Some(&slot) = self.ticking.get(n) {
            let leg = &mut self.legs[slot];
            if !leg.needs_ticks() {
                leg.ticking = Ticking::Unlisted;
                self.ticking.swap_remove(n);
                self.settle_mouth(slot);
                continue;
            }
            n += 1;
            if leg.endpoint.is_pressing() {
                leg.lull.pass();
                leg.endpoint.step_keys(clock, wire);
                continue;
            }
            if leg.endpoint.is_awaited() {
                leg.lull.pass();
                // A greeting waits for the handshake, or its beginning would be lost.
                continue;
            }
            let (players, taps, over) = (&mut self.players, &self.taps, &mut self.over);
            let codec = leg.endpoint.plan().codec;
            match &mut leg.hearing {
                Hearing::Nothing => {}
                Hearing::Leg => leg.endpoint.hum(clock, &mut leg.lull, wire),
                Hearing::Player(player) => {
                    let sound =
                        play(*player, players, over, tick, codec).map_or(Sound::Nothing, Sound::Encoded);
                    leg.endpoint.play(clock, sound, wire);
                }
                Hearing::Tone(tone) => {
                    let sound = tone.frame(tick, codec).map_or(Sound::Nothing, Sound::Encoded);
                    leg.endpoint.play(clock, sound, wire);
                }
                Hearing::Mix(mix) => {
                    let (rate, mut room) = (mix.rate(), [0; 2 * FRAME]);
                    let samples = mix.frame(tick, taps, players, over, &mut room);
                    let sound = samples.map_or(Sound::Nothing, |samples| Sound::Samples(rate, samples));
                    leg.endpoint.play(clock, sound, wire);
                }
            }
        }
        while let Some(slot) = self.over.pop() {
            let play = self.players[slot].0;
            self.stop(play);
            self.events.push_back(Event::Played { play });
        }
    }
}

/// A player's frame; notes the player once when it is over.
pub(super) fn play<'p>(
    slot: usize,
    players: &'p mut Slots<(PlayId, Player)>,
    over: &mut Vec<usize>,
    tick: u64,
    codec: Codec,
) -> Option<&'p [u8]> {
    let player = &mut players[slot].1;
    player.turn(tick);
    if player.is_over() && !over.contains(&slot) {
        over.push(slot);
    }
    player.frame(tick, codec)
}
