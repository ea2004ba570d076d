//! A leg's conversation on two channels: left what it says, right what it hears, a frame each tick.
//!
//! So a recording is one more listener of the leg's row, whatever comes to be in it: an agent, a
//! conference, music, a prompt; and nobody who is muted for the leg, or whispers to another.
//!
//! The tick is its clock: what was not sent is silence of that length, so both channels stay beside
//! each other however the network was.

use super::mixing::{Mix, Voice};
use super::{Bay, Tape, Wired};
use crate::base::{LegId, Rate};
use crate::media::{Event, FRAME, Masking, RecordingId};

#[derive(Debug)]
pub(super) struct Recorder {
    leg: LegId,
    pub masking: Masking,
    /// What the leg hears, and what that was made of.
    heard: Mix,
    wired: Vec<Wired>,
    /// Samples of one channel so far.
    length: u64,
}

impl Recorder {
    fn new(leg: LegId) -> Self {
        Self { leg, masking: Masking::Off, heard: Mix::new(vec![]), wired: vec![], length: 0 }
    }

    /// Both channels of one frame, interleaved. Who is not there is silent.
    fn frame(&mut self, left: Option<&[i16]>, right: Option<&[i16]>) -> [i16; 2 * FRAME] {
        let mut stereo = [0; 2 * FRAME];
        self.length += FRAME as u64;
        if self.masking == Masking::Off {
            for (channel, frame) in [left, right].into_iter().enumerate() {
                for (to, from) in stereo.iter_mut().skip(channel).step_by(2).zip(frame.into_iter().flatten())
                {
                    *to = *from;
                }
            }
        }
        stereo
    }

    fn length(&self) -> std::time::Duration {
        std::time::Duration::from_micros(self.length * 125)
    }
}

impl Bay {
    pub(super) fn record(&mut self, recording: RecordingId, leg: LegId) {
        if self.recorders.contains_key(&recording) {
            return;
        }
        self.recorders.insert(recording, Recorder::new(leg));
        if let Some(&slot) = self.leg_slots.get(&leg) {
            self.tap(slot, Rate::Narrow);
        }
        self.follow_row(leg);
    }

    /// A leg came to be: whoever records it hears it from now on.
    pub(super) fn be_recorded(&mut self, slot: usize) {
        let leg = self.legs[slot].endpoint.leg();
        for _ in 0..self.recorders.values().filter(|recorder| recorder.leg == leg).count() {
            self.tap(slot, Rate::Narrow);
        }
    }

    /// A leg hears something else than before, and so do its recordings.
    pub(super) fn follow_row(&mut self, leg: LegId) {
        let slot = self.leg_slots.get(&leg);
        let wired = slot.map_or(&[][..], |slot| &self.legs[*slot].wired);
        let changed =
            |(_, recorder): &(&RecordingId, &Recorder)| recorder.leg == leg && recorder.wired != wired;
        let recordings: Vec<_> = self.recorders.iter().filter(changed).map(|(id, _)| *id).collect();
        for recording in recordings {
            let wired = self.leg_slots.get(&leg).map_or(vec![], |slot| self.legs[*slot].wired.clone());
            // Before the old ones are let go of: a tap that both know is not to begin anew.
            let voice = |wired: &Wired| match *wired {
                Wired::Leg(source) => Voice::Tap(Rate::Narrow, self.tap(source, Rate::Narrow)),
                Wired::Player(player) => Voice::Overheard(player),
                Wired::Tone(tone) => Voice::Tone(self.tone(tone)),
            };
            let heard = Mix::new(wired.iter().map(voice).collect());
            let Some(recorder) = self.recorders.get_mut(&recording) else { continue };
            recorder.heard = heard;
            let before = std::mem::replace(&mut recorder.wired, wired);
            self.leave(before);
        }
    }

    fn leave(&mut self, wired: Vec<Wired>) {
        for source in wired.into_iter().filter_map(Wired::leg) {
            self.untap(source, Rate::Narrow);
        }
    }

    /// The frame of a tick of every recording.
    pub(super) fn record_frame(&mut self, tick: u64, tape: &mut impl Tape) {
        for (recording, recorder) in &mut self.recorders {
            let slot = self.leg_slots.get(&recorder.leg);
            let tap = slot.and_then(|slot| self.legs[*slot].taps[Rate::Narrow as usize]);
            let left = tap.map(|tap| self.taps[tap].frame());
            let mut room = [0; 2 * FRAME];
            let players = &mut self.players;
            // By ear only: it takes part in nothing, and brings nothing to its end.
            let right = recorder.heard.frame(tick, &self.taps, players, &mut self.over, &mut room);
            let right = right.map(|right| *right.first_chunk::<FRAME>().unwrap_or(&[0; FRAME]));
            let stereo = recorder.frame(left, right.as_ref().map(|right| &right[..]));
            tape.write(*recording, &stereo);
        }
    }

    pub(super) fn finish_recording(&mut self, recording: RecordingId, tape: &mut impl Tape) {
        let Some(mut recorder) = self.recorders.remove(&recording) else { return };
        self.record_rest(recording, &mut recorder, tape);
        if let Some(&slot) = self.leg_slots.get(&recorder.leg) {
            self.untap(slot, Rate::Narrow);
        }
        self.leave(std::mem::take(&mut recorder.wired));
        tape.finish(recording);
        self.events.push_back(Event::Recorded { recording, length: recorder.length() });
    }

    /// What still waits to be played is part of what was said.
    fn record_rest(&mut self, recording: RecordingId, recorder: &mut Recorder, tape: &mut impl Tape) {
        let slot = self.leg_slots.get(&recorder.leg);
        let left = slot.and_then(|slot| self.legs[*slot].taps[Rate::Narrow as usize]);
        loop {
            let mut sides = [[0; FRAME]; 2];
            let mut came = left.map_or(0, |tap| self.taps[tap].drain(&mut sides[0]));
            for voice in &recorder.heard.voices {
                if let Voice::Tap(_, tap) = voice {
                    let mut rest = [0; FRAME];
                    came = self.taps[*tap].drain(&mut rest).max(came);
                    sides[1]
                        .iter_mut()
                        .zip(rest)
                        .for_each(|(sum, s): (&mut i16, _)| *sum = sum.saturating_add(s));
                }
            }
            if came == 0 {
                return;
            }
            tape.write(recording, &recorder.frame(Some(&sides[0]), Some(&sides[1])));
        }
    }
}
