//! A leg's conversation on two channels: left what it says, right what it hears, a frame each tick.
//!
//! So a recording is one more listener of the leg's row, whatever comes to be in it: an agent, a
//! conference, music, a prompt; and nobody who is muted for the leg, or whispers to another.
//!
//! The tick is its clock: what was not sent is silence of that length, so both channels stay beside
//! each other however the network was.
//!
//! A mask outlasts the wish for it. What was said before is still under way, and the last key of a
//! secret, told when it began, may be held for long. So what would be recorded is listened to for
//! keys, whatever the legs agreed on; and for as long as a phone tells of a key by events (RFC 4733),
//! its sound may be there besides, if only faintly by way of its microphone.

use std::time::Duration;

use super::mixing::{Mix, Voice};
use super::{Bay, Tape, Wired};
use crate::audio::dtmf::Detector;
use crate::base::{LegId, Rate};
use crate::media::{Event, FRAME, Masking, RecordingId};

/// Ticks without a key before a lifted mask ends: 400 ms, the longest that sound may be under way
/// through network and jitter buffer.
const ECHO: u32 = 20;
/// Ticks after which it ends all the same: 10 s. Nobody holds a key for so long; what sounds like one
/// is a fault of the line, and what is said beside it is to be recorded.
const PATIENCE: u32 = 500;

#[derive(Debug)]
pub(super) struct Recorder {
    leg: LegId,
    mask: Option<Mask>,
    /// What the leg hears, and what that was made of.
    heard: Mix,
    wired: Vec<Wired>,
    /// Samples of one channel so far.
    length: u64,
}

/// Silence in place of sound.
#[derive(Debug)]
struct Mask {
    /// Samples of one channel before it.
    since: u64,
    lifted: Option<Lifted>,
}

/// Nobody wants the mask any more.
#[derive(Debug, Default)]
struct Lifted {
    ticks: u32,
    /// Of these, the last without a key.
    quiet: u32,
    detectors: [Detector; 2],
}

/// What was masked, in the recording's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Masked {
    from: Duration,
    to: Duration,
}

impl Recorder {
    fn new(leg: LegId) -> Self {
        Self { leg, mask: None, heard: Mix::new(vec![]), wired: vec![], length: 0 }
    }

    pub(super) fn mask(&mut self, masking: Masking) {
        match (masking, &mut self.mask) {
            (Masking::On, Some(mask)) => mask.lifted = None,
            (Masking::On, none) => *none = Some(Mask { since: self.length, lifted: None }),
            (Masking::Off, Some(mask)) => {
                mask.lifted.get_or_insert_default();
            }
            (Masking::Off, None) => {}
        }
    }

    /// Both channels of one frame, interleaved. Who is not there is silent.
    fn frame(&mut self, left: Option<&[i16]>, right: Option<&[i16]>) -> [i16; 2 * FRAME] {
        let mut stereo = [0; 2 * FRAME];
        self.length += FRAME as u64;
        if self.mask.is_none() {
            for (channel, frame) in [left, right].into_iter().enumerate() {
                for (to, from) in stereo.iter_mut().skip(channel).step_by(2).zip(frame.into_iter().flatten())
                {
                    *to = *from;
                }
            }
        }
        stereo
    }

    /// An event of a key came from one of the legs.
    fn heed_event(&mut self) {
        if let Some(lifted) = self.mask.as_mut().and_then(|mask| mask.lifted.as_mut()) {
            lifted.quiet = 0;
        }
    }

    /// These were the frames: what was masked, if a lifted mask ends with them.
    fn unmask(&mut self, frames: [Option<&[i16]>; 2]) -> Option<Masked> {
        let mask = self.mask.as_mut()?;
        let since = mask.since;
        if !mask.lifted.as_mut()?.ends_with(frames) {
            return None;
        }
        self.mask = None;
        Some(Masked { from: span(since), to: self.length() })
    }

    fn length(&self) -> Duration {
        span(self.length)
    }
}

impl Lifted {
    fn ends_with(&mut self, frames: [Option<&[i16]>; 2]) -> bool {
        let mut held = false;
        for (detector, frame) in self.detectors.iter_mut().zip(frames) {
            detector.hear(frame.unwrap_or(&[0; FRAME]));
            held |= detector.is_held();
        }
        self.ticks += 1;
        self.quiet = if held { 0 } else { self.quiet + 1 };
        self.quiet >= ECHO || self.ticks >= PATIENCE
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
            let right = right.as_ref().map(|right| &right[..]);
            let stereo = recorder.frame(left, right);
            tape.write(*recording, &stereo);
            let heard = recorder.wired.iter().filter_map(|wired| wired.leg());
            if slot.copied().into_iter().chain(heard).any(|slot| self.legs[slot].keyed == tick) {
                recorder.heed_event();
            }
            if let Some(Masked { from, to }) = recorder.unmask([left, right]) {
                self.events.push_back(Event::Unmasked { recording: *recording, from, to });
            }
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

fn span(samples: u64) -> Duration {
    Duration::from_micros(samples * 125)
}
