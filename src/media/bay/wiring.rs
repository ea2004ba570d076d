//! Who hears whom, row by row of the patch, and what that takes: decoders, encoders, taps, ticks.

use super::mixing::{Mix, Voice};
use super::passing::{interpreting, is_g711};
use super::{Bay, Hearing, Need, Tap, Ticking, Wired};
use crate::base::{LegId, Rate};
use crate::media::player::Player;
use crate::media::reports::Listening;
use crate::media::{Repeat, Source, Tone};

impl Bay {
    /// A leg has another codec: who hears it hears a new sender, and what it shares a codec with
    /// from now on needs no coder.
    pub(super) fn recode(&mut self, slot: usize) {
        self.legs[slot].ears = [None, None];
        for n in 0..self.legs[slot].relays.len() {
            let listener = self.legs[slot].relays[n];
            self.legs[listener].lull.forget();
            self.legs[listener].endpoint.cut();
            self.settle_mouth(listener);
        }
        for n in 0..self.legs[slot].wired.len() {
            if let Wired::Leg(source) = self.legs[slot].wired[n] {
                self.settle_ears(source);
            }
        }
        self.settle_mouth(slot);
        self.remix(slot);
        for listener in self.patch.listeners(Source::Leg(self.legs[slot].endpoint.leg())) {
            if let Some(&listener) = self.leg_slots.get(&listener) {
                self.remix(listener);
            }
        }
    }

    /// Mixes anew what codecs now make wider or narrower than it was.
    fn remix(&mut self, slot: usize) {
        let leg = &self.legs[slot];
        let Hearing::Mix(mix) = &leg.hearing else { return };
        let fits = leg.wired.iter().zip(&mix.voices).all(|(wired, voice)| match (wired, voice) {
            (Wired::Leg(source), Voice::Tap(rate, _)) => *rate == self.rate_between(*source, slot),
            _ => true,
        });
        if !fits {
            let wired = leg.wired.clone();
            self.unhook(slot);
            self.hook(slot, wired);
        }
    }

    /// At which a leg is mixed for another.
    fn rate_between(&self, source: usize, listener: usize) -> Rate {
        let [source, listener] = [source, listener].map(|slot| self.legs[slot].endpoint.plan().codec.rate());
        source.min(listener)
    }

    /// Lets go of decoders that nobody needs any more.
    fn settle_ears(&mut self, slot: usize) {
        for rate in [Rate::Narrow, Rate::Wide] {
            if self.need(slot, rate) == Need::NONE {
                self.legs[slot].ears[rate as usize] = None;
            }
        }
    }

    /// Lets go of an encoder that is no longer needed.
    pub(super) fn settle_mouth(&mut self, slot: usize) {
        let leg = &self.legs[slot];
        let needed = match (&leg.hearing, &leg.wired[..]) {
            (Hearing::Mix(..), _) => true,
            (Hearing::Leg, [Wired::Leg(source)]) => {
                let theirs = self.legs[*source].endpoint.plan().codec;
                interpreting(theirs, leg.endpoint.plan()).is_some() || leg.lull.is_known()
            }
            _ => false,
        };
        if !needed && !leg.endpoint.is_pressing() {
            self.legs[slot].endpoint.rest();
        }
    }

    /// What becomes of what comes from a leg.
    pub(super) fn listening(&self, slot: usize) -> Listening {
        let leg = &self.legs[slot];
        match leg.taps.into_iter().flatten().next() {
            Some(tap) => {
                let tap = &self.taps[tap];
                Listening::Buffered { delay: tap.delay(), dropped: tap.counts().dropped }
            }
            None if leg.ears.iter().any(Option::is_some) => Listening::Decoded,
            None => Listening::Relayed,
        }
    }

    /// What a leg's sound at this rate is needed for.
    pub(super) fn need(&self, slot: usize, rate: Rate) -> Need {
        let leg = &self.legs[slot];
        let codec = leg.endpoint.plan().codec;
        Need {
            // What needs no memory is decoded where it is put in its place.
            tap: leg.taps[rate as usize].filter(|_| !is_g711(codec)),
            keys: rate == Rate::Narrow && leg.detector.is_some(),
            relay: leg
                .relays
                .iter()
                .any(|listener| interpreting(codec, self.legs[*listener].endpoint.plan()) == Some(rate)),
        }
    }

    pub(super) fn rewire_listeners(&mut self, source: Source) {
        for listener in self.patch.listeners(source) {
            self.rewire(listener);
        }
    }

    /// Makes a listener hear what the patch says, as far as it is there.
    pub(super) fn rewire(&mut self, listener: LegId) {
        let Some(&slot) = self.leg_slots.get(&listener) else { return };
        let mut wired = vec![];
        for source in self.patch.sources(listener) {
            let there = match source {
                Source::Leg(leg) => self.leg_slots.get(leg).copied().map(Wired::Leg),
                Source::Prompt(play) => self.player_slots.get(play).copied().map(Wired::Player),
                Source::Tone(tone) => Some(Wired::Tone(*tone)),
            };
            wired.extend(there.filter(|there| !wired.contains(there)));
        }
        if self.legs[slot].wired != wired {
            self.unhook(slot);
            self.hook(slot, wired);
            self.follow_row(listener);
        }
    }

    fn hook(&mut self, slot: usize, wired: Vec<Wired>) {
        let hearing = match wired[..] {
            [] => Hearing::Nothing,
            [Wired::Leg(source)] => {
                self.legs[source].relays.push(slot);
                Hearing::Leg
            }
            [Wired::Player(player)] => Hearing::Player(player),
            [Wired::Tone(tone)] => Hearing::Tone(self.tone(tone)),
            _ => {
                let voice = |bay: &mut Self, wired: &Wired| match *wired {
                    Wired::Leg(source) => {
                        let rate = bay.rate_between(source, slot);
                        Voice::Tap(rate, bay.tap(source, rate))
                    }
                    Wired::Player(player) => Voice::Player(player),
                    Wired::Tone(tone) => Voice::Tone(bay.tone(tone)),
                };
                let voices = wired.iter().map(|wired| voice(self, wired)).collect();
                Hearing::Mix(Mix::new(voices))
            }
        };
        let leg = &mut self.legs[slot];
        if let Hearing::Mix(mix) = &hearing {
            leg.endpoint.prepare(mix.rate());
        }
        leg.hearing = hearing;
        leg.wired = wired;
        leg.endpoint.cut();
        self.list(slot);
    }

    pub(super) fn unhook(&mut self, slot: usize) {
        let leg = &mut self.legs[slot];
        let hearing = std::mem::replace(&mut leg.hearing, Hearing::Nothing);
        leg.lull.forget();
        leg.endpoint.cut();
        leg.endpoint.rest();
        let wired = std::mem::take(&mut leg.wired);
        match hearing {
            Hearing::Leg => {
                for source in wired.into_iter().filter_map(Wired::leg) {
                    self.legs[source].relays.retain(|s| *s != slot);
                    self.settle_ears(source);
                }
            }
            Hearing::Mix(mix) => {
                for (wired, voice) in wired.into_iter().zip(mix.voices) {
                    if let (Wired::Leg(source), Voice::Tap(rate, _)) = (wired, voice) {
                        self.untap(source, rate);
                    }
                }
            }
            Hearing::Nothing | Hearing::Player(_) | Hearing::Tone(_) => {}
        }
    }

    pub(super) fn tone(&self, tone: Tone) -> Player {
        let prompts = match tone {
            Tone::Ringback => &self.kit.tones.ringback,
            Tone::Busy => &self.kit.tones.busy,
        };
        Player::new(prompts.clone(), Repeat::Forever)
    }

    /// Has a frame made for the leg each tick, if it needs one.
    pub(super) fn list(&mut self, slot: usize) {
        let leg = &mut self.legs[slot];
        if leg.needs_ticks() && leg.ticking == Ticking::Unlisted {
            leg.ticking = Ticking::Listed;
            self.ticking.push(slot);
        }
    }

    pub(super) fn tap(&mut self, slot: usize, rate: Rate) -> usize {
        let leg = &mut self.legs[slot];
        leg.tapped_by[rate as usize] += 1;
        let tap = &mut leg.taps[rate as usize];
        *tap.get_or_insert_with(|| self.taps.insert(Tap::new(rate, self.mint.u32())))
    }

    pub(super) fn untap(&mut self, slot: usize, rate: Rate) {
        let leg = &mut self.legs[slot];
        let by = &mut leg.tapped_by[rate as usize];
        *by = by.saturating_sub(1);
        if *by == 0
            && let Some(tap) = leg.taps[rate as usize].take()
        {
            self.taps.remove(tap);
            self.settle_ears(slot);
        }
    }
}
