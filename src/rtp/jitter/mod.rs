//! Takes the unevenness of the network, and of two clocks, out of decoded sound.
//!
//! A timeline of decoded sound: packets of any length go in by timestamp in any order, frames
//! come out by the clock. It counts eighths of a millisecond, of one sample at 8 kHz and of two at
//! 16 kHz; so whatever the rate, everything is decided alike. Only audio that is mixed or recorded passes here; what is relayed leaves
//! as it comes. The layer above sees sound at its own pace and need not know that
//!
//! - the delay follows the spread of the packets' lateness, fast up and slow down (`spread.rs`);
//! - it is met by leaving out or repeating one pitch period, in pauses by dropping or waiting, so
//!   that a peer whose clock is fast or slow is followed for hours;
//! - what is missing is made up from what was heard and faded out within 60 ms (`wave.rs`);
//! - silence that was never sent (RFC 3551 §4.1) is no loss: its length is free to change.
//!
//! **Invariant:** its only clock is the reading. How late a packet is, is measured in what was read,
//! for that and nothing else decides whether it is in time. Nothing is allocated after construction.

mod ring;
mod spread;
mod wave;

use std::time::Duration;

use ring::{Ring, Run, SPAN};
use spread::Spread;

use super::ahead;

/// Made at a time: 20 ms.
const FRAME: usize = 160;
/// The earliest packet for which there is room comes so long before it is heard.
pub const CAPACITY: Duration = duration(SPAN as i32);
/// The longest packet taken: 256 ms.
const PACKET: usize = SPAN / 2;
/// A timestamp farther off than 2 s is another timeline.
const JUMP: u32 = 16_000;
/// How much longer than its target a delay may be before it is shortened: 15 ms, the longest
/// period, so that what is repeated once need not be left out again.
const SLACK: i32 = wave::LONGEST as i32;
/// What is repeated or left out in talk is followed by at least so many times as much that is not:
/// the pace changes by 15 % at most.
const REST: usize = 7;
/// Looking in vain for a place to repeat or leave out is tried again after 40 ms.
const RETRY: usize = 320;
/// The likeness asked for at first; each refusal asks for less, so that noise and music, too, are
/// followed within a second.
const LIKENESS: f32 = 0.9;
const LIKENESS_STEP: f32 = 0.05;
/// What is made up is as loud as what was heard for 10 ms and silent after 60 ms (as G.711
/// Appendix I has it).
const FULL: usize = 80;
const FADED: usize = 480;
/// Over 5 ms made-up sound goes over into sound that came.
const JOIN: usize = 40;
/// What was heard that is kept: one period and what it is compared with.
const PAST: usize = wave::LONGEST + wave::COMPARED;

/// One source's timeline with `N` samples each eighth of a millisecond; 10 KiB, or 19 at 16 kHz.
#[derive(Clone, Debug)]
pub struct Buffer<const N: usize> {
    ring: Ring<N>,
    time: Option<Time>,
    sound: Sound,
    /// What came out last, before any fading.
    past: [[i16; N]; PAST],
    /// How long until the pace may change again.
    rest: usize,
    /// How often no place was found to change it.
    refusals: u8,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Time {
    /// What was read since the timeline began.
    clock: u32,
    /// Timestamp of what comes out next.
    next: u32,
    /// Timestamp after the newest that came.
    end: u32,
    spread: Spread,
}

/// What was heard last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sound {
    /// Nothing yet.
    Silent,
    Flowing,
    /// So much was made up from the last `period` before.
    Missing {
        period: usize,
        length: usize,
    },
}

/// What a frame is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// So many eighths of a millisecond come from packets, the rest is made up or silent.
    Sound {
        came: usize,
    },
    /// Nothing came; it is made up from what was heard before.
    Concealed,
    Silence,
}

/// What the buffer did since it was made, in eighths of a millisecond; of a leg's quality report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that came after their time, whether or not they were heard later.
    pub late: u64,
    /// Sound that came in vain: too late, or more than there is room for.
    pub dropped: u64,
    /// Sound made up in short gaps; the silence between talkspurts is none.
    pub concealed: u64,
    /// Sound added, and sound left out, to change the delay while there was sound.
    pub added: u64,
    pub left_out: u64,
    /// In how many places it was added or left out.
    pub changes: u64,
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self {
            ring: Ring::default(),
            time: None,
            sound: Sound::Silent,
            past: [[0; N]; PAST],
            rest: 0,
            refusals: 0,
            counts: Counts::default(),
        }
    }
}

impl<const N: usize> Buffer<N> {
    /// A packet's samples, the first of which has `timestamp` (in eighths of a millisecond, whatever
    /// the RTP clock). An empty packet or one of more than 256 ms is none. What a codec makes up for a lost
    /// packet may be inserted like it; it is waited for as long as it usually comes late.
    pub fn insert(&mut self, timestamp: u32, samples: &[i16]) {
        let (sound, _) = samples.as_chunks::<N>();
        let length = sound.len();
        if length == 0 || length > PACKET {
            return;
        }
        let faded = self.is_faded();
        let known = self.time.as_ref().is_some_and(|time| ahead(time.next, timestamp).unsigned_abs() < JUMP);
        if !known {
            self.ring.clear();
        }
        let time = match &mut self.time {
            Some(time) if known => time,
            other => other.insert(Time::starting(timestamp)),
        };
        let mut lead = ahead(time.next, timestamp);
        if lead >= 0 && self.ring.holds(timestamp) {
            // A duplicate, or made up meanwhile: what is there stays.
            return;
        }
        let lateness = time.clock.wrapping_sub(timestamp);
        time.spread.note(lateness);
        let step = ahead(time.end, timestamp);
        let is_talkspurt = faded && step >= FADED as i32;
        if is_talkspurt {
            if self.sound != Sound::Silent {
                // What was made up was not missing: the talkspurt was over.
                self.counts.concealed -= FADED as u64;
                self.sound = Sound::Silent;
            }
        } else if lead < 0 {
            self.counts.late += 1;
        }
        if lead < 0 && step >= 0 {
            // The newest packet is late, so nothing waits: the delay grows by what it is late.
            (time.next, lead) = (timestamp, 0);
        } else if lead + length as i32 > SPAN as i32 {
            // More than there is room for came at once: the oldest goes.
            let wanted = ahead(lateness, time.spread.target()).clamp(0, (SPAN - PACKET) as i32);
            let skipped = (lead - wanted) as usize;
            self.counts.dropped += ahead(time.next, time.end).clamp(0, skipped as i32) as u64;
            self.ring.forget(time.next, skipped);
            (time.next, lead) = (timestamp.wrapping_sub(wanted as u32), wanted);
        }
        // What is late by parts is heard by parts.
        let late = (lead.min(0).unsigned_abs() as usize).min(length);
        self.counts.dropped += late as u64;
        self.ring.write(timestamp.wrapping_add(late as u32), &sound[late..]);
        let end = timestamp.wrapping_add(length as u32);
        if ahead(time.end, end) > 0 {
            time.end = end;
        }
    }

    /// The next samples by the clock.
    pub fn read(&mut self, samples: &mut [i16]) -> Heard {
        let mut came = 0;
        let mut concealed = 0;
        for frame in samples.as_chunks_mut::<N>().0.chunks_mut(FRAME) {
            let before = self.counts.concealed;
            came += self.frame(frame);
            concealed += self.counts.concealed - before;
        }
        match (came, concealed) {
            (0, 0) => Heard::Silence,
            (0, _) => Heard::Concealed,
            (came, _) => Heard::Sound { came },
        }
    }

    /// What still waits, at the pace it was sent: the end of a recording. Tells how many samples
    /// were written; fewer than asked for are the last.
    pub fn drain(&mut self, samples: &mut [i16]) -> usize {
        let (sound, _) = samples.as_chunks_mut::<N>();
        let length = self.waiting().min(sound.len());
        for frame in sound[..length].chunks_mut(FRAME) {
            self.play(frame);
        }
        length * N
    }

    /// How much there is from the next sample to the newest, in eighths of a millisecond.
    pub fn waiting(&self) -> usize {
        self.time.as_ref().map_or(0, |time| ahead(time.next, time.end).max(0) as usize)
    }

    /// Forgets everything but the counts: the next packet begins a new timeline.
    pub fn clear(&mut self) {
        self.ring.clear();
        self.time = None;
        self.sound = Sound::Silent;
        self.rest = 0;
        self.refusals = 0;
    }

    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// How long the soonest packets wait now; RFC 3611 §4.7.7's nominal delay.
    pub fn delay(&self) -> Duration {
        self.time.as_ref().map_or(Duration::ZERO, |time| duration(ahead(time.spread.soonest(), time.delay())))
    }

    /// How long they are to wait, for one packet in a hundred to be late.
    pub fn target(&self) -> Duration {
        self.time
            .as_ref()
            .map_or(Duration::ZERO, |time| duration(ahead(time.spread.soonest(), time.spread.target())))
    }

    /// Timestamp of what comes out next.
    pub fn position(&self) -> Option<u32> {
        self.time.as_ref().map(|time| time.next)
    }

    /// At most a [`FRAME`]; tells how much of it came.
    fn frame(&mut self, frame: &mut [[i16; N]]) -> usize {
        let Some(time) = &mut self.time else {
            frame.fill([0; N]);
            return 0;
        };
        let excess = time.excess();
        time.clock = time.clock.wrapping_add(frame.len() as u32);
        self.rest = self.rest.saturating_sub(frame.len());
        if self.is_faded() {
            return self.wait(excess, frame);
        }
        if (0..SLACK).contains(&excess) {
            self.refusals = 0;
        } else if self.rest == 0
            && self.sound == Sound::Flowing
            && let Ok(frame) = frame.try_into()
        {
            let changed = if excess > 0 {
                self.shorten(excess as usize, frame)
            } else {
                self.lengthen(-excess as usize, frame)
            };
            if let Some(used) = changed {
                return used;
            }
        }
        self.play(frame)
    }

    /// A frame when nothing is heard: the time until something is can be chosen.
    fn wait(&mut self, excess: i32, frame: &mut [[i16; N]]) -> usize {
        let waiting = self.waiting();
        let Some(time) = &mut self.time else { return 0 };
        if waiting == 0 {
            frame.fill([0; N]);
            time.next = time.next.wrapping_add(frame.len() as u32);
            return 0;
        }
        if excess > 0
            && let Run::Missing(free) = self.ring.run(time.next, waiting)
        {
            time.next = time.next.wrapping_add(free.min(excess as usize) as u32);
        }
        let held = (excess.min(0).unsigned_abs() as usize).min(frame.len());
        let (before, after) = frame.split_at_mut(held);
        before.fill([0; N]);
        self.play(after)
    }

    /// What is next as it came, with what is missing made up; tells how much came.
    fn play(&mut self, frame: &mut [[i16; N]]) -> usize {
        let Some(time) = &mut self.time else { return 0 };
        let mut at = time.next;
        time.next = at.wrapping_add(frame.len() as u32);
        let mut came = 0;
        let mut rest = frame;
        while !rest.is_empty() {
            let run = self.ring.run(at, rest.len());
            let (Run::Held(length) | Run::Missing(length)) = run;
            let (part, after) = rest.split_at_mut(length);
            match run {
                Run::Held(_) => {
                    self.ring.peek(at, part);
                    self.ring.forget(at, length);
                    self.join(part);
                    self.remember(part);
                    came += length;
                }
                Run::Missing(_) => self.conceal(part),
            }
            at = at.wrapping_add(length as u32);
            rest = after;
        }
        came
    }

    /// Leaves out a period of a voice, or as much of a pause as the excess is; tells how much came,
    /// or that this is no place for it.
    fn shorten(&mut self, excess: usize, frame: &mut [[i16; N]; FRAME]) -> Option<usize> {
        const AT: usize = wave::LONGEST;
        let time = self.time.as_mut()?;
        let mut sound = [[0; N]; FRAME + AT];
        if self.ring.run(time.next, sound.len()) != Run::Held(sound.len()) {
            return None;
        }
        self.ring.peek(time.next, &mut sound);
        let lag = self.choose(&sound, excess)?;
        let (cut, after) = sound.split_at(AT);
        frame[..AT - lag].copy_from_slice(&cut[..AT - lag]);
        wave::cross(&cut[AT - lag..], after, &mut frame[AT - lag..AT]);
        frame[AT..].copy_from_slice(&after[lag..][..FRAME - AT]);
        self.counts.left_out += lag as u64;
        Some(self.take(FRAME + lag, frame))
    }

    /// Gives the last period once more, or as much of a pause as lacks.
    fn lengthen(&mut self, lack: usize, frame: &mut [[i16; N]; FRAME]) -> Option<usize> {
        const AT: usize = wave::LONGEST;
        let time = self.time.as_mut()?;
        if self.ring.run(time.next, FRAME) != Run::Held(FRAME) {
            return None;
        }
        let mut sound = [[0; N]; AT + FRAME];
        sound[..AT].copy_from_slice(&self.past[PAST - AT..]);
        self.ring.peek(time.next, &mut sound[AT..]);
        let lag = self.choose(&sound, lack)?;
        let (before, after) = sound.split_at(AT);
        wave::cross(after, &before[AT - lag..], &mut frame[..lag]);
        frame[lag..].copy_from_slice(&after[..FRAME - lag]);
        self.counts.added += lag as u64;
        Some(self.take(FRAME - lag, frame))
    }

    /// How much to add or leave out around [`wave::LONGEST`], if it will not be heard.
    fn choose(&mut self, sound: &[[i16; N]; wave::LONGEST + FRAME], wanted: usize) -> Option<usize> {
        if wave::is_quiet(sound) {
            return Some(wanted.clamp(*wave::LAGS.start(), wave::LONGEST));
        }
        let found = wave::alike(sound, wave::LONGEST, wave::LAGS);
        if found.likeness < LIKENESS - LIKENESS_STEP * f32::from(self.refusals) {
            self.refusals = self.refusals.saturating_add(1);
            self.rest = RETRY;
            return None;
        }
        self.rest = found.lag * REST;
        Some(found.lag)
    }

    /// A frame was made of the next `used` eighths.
    fn take(&mut self, used: usize, frame: &[[i16; N]; FRAME]) -> usize {
        if let Some(time) = &mut self.time {
            self.ring.forget(time.next, used);
            time.next = time.next.wrapping_add(used as u32);
        }
        self.remember(frame);
        self.refusals /= 2;
        self.counts.changes += 1;
        FRAME
    }

    fn conceal(&mut self, frame: &mut [[i16; N]]) {
        if self.is_faded() {
            return frame.fill([0; N]);
        }
        if self.sound == Sound::Flowing {
            let found = wave::alike(&self.past, wave::LONGEST, wave::LAGS);
            // Noise repeated in a short period would hum.
            let period = if found.likeness < 0.5 { wave::LONGEST } else { found.lag };
            self.sound = Sound::Missing { period, length: 0 };
        }
        let Sound::Missing { length, .. } = self.sound else { return };
        self.make_up(frame);
        self.counts.concealed += frame.len().min(FADED - length) as u64;
    }

    /// Repeats the last period, fading.
    fn make_up(&mut self, frame: &mut [[i16; N]]) {
        let Sound::Missing { period, length } = &mut self.sound else { return };
        for part in frame.chunks_mut(*period) {
            let from = PAST - *period;
            part.copy_from_slice(&self.past[from..from + part.len()]);
            remember(&mut self.past, part);
            for (n, eighth) in (*length..).zip(&mut *part) {
                let loudness = FADED.saturating_sub(n).min(FADED - FULL) as i32;
                for sample in eighth {
                    *sample = (i32::from(*sample) * loudness / (FADED - FULL) as i32) as i16;
                }
            }
            *length = (*length + part.len()).min(FADED);
        }
    }

    /// Sound that came follows sound that was made up.
    fn join(&mut self, came: &mut [[i16; N]]) {
        if let Sound::Missing { .. } = self.sound {
            let length = came.len().min(JOIN);
            let (mut made, mut fresh) = ([[0; N]; JOIN], [[0; N]; JOIN]);
            self.make_up(&mut made[..length]);
            fresh[..length].copy_from_slice(&came[..length]);
            wave::cross(&made[..length], &fresh, &mut came[..length]);
        }
        self.sound = Sound::Flowing;
    }

    fn remember(&mut self, sound: &[[i16; N]]) {
        remember(&mut self.past, sound);
    }

    fn is_faded(&self) -> bool {
        matches!(self.sound, Sound::Silent | Sound::Missing { length: FADED, .. })
    }
}

impl Time {
    fn starting(timestamp: u32) -> Self {
        let spread = Spread::starting(0u32.wrapping_sub(timestamp));
        Self { clock: 0, next: 0u32.wrapping_sub(spread.target()), end: timestamp, spread }
    }

    /// What the clock is ahead of the timestamps that come out.
    fn delay(&self) -> u32 {
        self.clock.wrapping_sub(self.next)
    }

    /// How much longer the delay is than its target.
    fn excess(&self) -> i32 {
        ahead(self.spread.target(), self.delay())
    }
}

/// Appends, and forgets the oldest.
fn remember<const N: usize>(past: &mut [[i16; N]; PAST], sound: &[[i16; N]]) {
    let new = &sound[sound.len().saturating_sub(PAST)..];
    past.copy_within(new.len().., 0);
    past[PAST - new.len()..].copy_from_slice(new);
}

const fn duration(eighths: i32) -> Duration {
    Duration::from_micros(if eighths > 0 { eighths as u64 * 125 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One source and one listener in virtual time.
    #[derive(Default)]
    struct Run {
        buffer: Buffer<1>,
        heard: Vec<i16>,
    }

    impl Run {
        fn insert(&mut self, timestamp: u32, samples: &[i16]) {
            self.buffer.insert(timestamp, samples);
        }

        fn read(&mut self) -> Heard {
            let mut frame = [0; FRAME];
            let heard = self.buffer.read(&mut frame);
            self.heard.extend(frame);
            heard
        }

        /// Packet n of a sound in 20 ms packets.
        fn packet(&mut self, sound: &[i16], n: usize) {
            self.insert((n * FRAME) as u32, &sound[n * FRAME..][..FRAME]);
        }
    }

    /// Packets of 20 ms: packet n holds the value n + 1 and arrives before frame `arrivals[n]`.
    /// Gives what each frame holds: one value, or 0 for silence, or -1 if it is of several.
    fn play(arrivals: &[usize], frames: usize) -> Vec<i16> {
        let mut buffer = Buffer::<1>::default();
        (0..frames)
            .map(|frame| {
                for (n, _) in arrivals.iter().enumerate().filter(|(_, at)| **at == frame) {
                    let timestamp = 4_294_967_000u32.wrapping_add(160 * n as u32);
                    buffer.insert(timestamp, &[n as i16 + 1; 160]);
                }
                let mut samples = [0; 160];
                let Heard::Sound { came: 160 } = buffer.read(&mut samples) else { return 0 };
                // Joined to what was made up: looked at behind the join.
                let samples = &samples[JOIN..];
                if samples.iter().all(|s| *s == samples[0]) { samples[0] } else { -1 }
            })
            .collect()
    }

    /// A voice of 100 Hz with overtones.
    fn voice(length: usize) -> Vec<i16> {
        let wave = |n: usize| {
            let turn = n as f32 / 80.0 * std::f32::consts::TAU;
            6000.0 * turn.sin() + 3000.0 * (2.0 * turn).sin() + 1500.0 * (5.0 * turn).cos()
        };
        (0..length).map(|n| wave(n) as i16).collect()
    }

    /// The largest step between neighbours: a click is larger than any of the sound.
    fn steepest(samples: &[i16]) -> i32 {
        samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn packets_come_out_in_order_two_frames_later() {
        assert_eq!(play(&[0, 1, 2, 3], 6), [0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn jitter_within_the_delay_is_not_heard() {
        assert_eq!(play(&[0, 2, 2, 5, 5, 5], 8), [0, 0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(play(&[0, 3, 2, 3], 6), [0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_packet_later_than_the_delay_makes_it_longer() {
        // Packet 1 is due at frame 3 and comes at 5; all later ones keep the new delay.
        assert_eq!(play(&[0, 5, 6, 7, 8], 10), [0, 0, 1, 0, 0, 2, 3, 4, 5, 0]);
    }

    #[test]
    fn an_overtaken_packet_that_missed_its_time_is_not_heard_out_of_place() {
        assert_eq!(play(&[0, 4, 1, 2], 6), [0, 0, 1, 0, 3, 4]);
    }

    #[test]
    fn a_lost_packet_of_a_voice_is_made_up_and_leaves_no_click() {
        let sound = voice(20 * FRAME);
        let mut run = Run::default();
        let heard: Vec<_> = (0..20)
            .map(|n| {
                if n != 10 {
                    run.packet(&sound, n);
                }
                run.read()
            })
            .collect();
        assert_eq!(heard[11..14], [Heard::Sound { came: 160 }, Heard::Concealed, Heard::Sound { came: 160 }]);
        assert!(steepest(&run.heard) <= steepest(&sound) * 5 / 4);
        let (made, lost) = (&run.heard[12 * FRAME..13 * FRAME], &sound[10 * FRAME..11 * FRAME]);
        let error: f32 = made.iter().zip(lost).map(|(a, b)| (f32::from(*a) - f32::from(*b)).powi(2)).sum();
        let power: f32 = lost.iter().map(|s| f32::from(*s).powi(2)).sum();
        assert!(error < power / 50.0, "a steady voice goes on within 17 dB: {error} of {power}");
        assert_eq!(run.buffer.counts(), Counts { concealed: 160, ..Counts::default() });
    }

    #[test]
    fn what_does_not_come_fades_out_within_60_ms() {
        let sound = voice(10 * FRAME);
        let mut run = Run::default();
        let heard: Vec<_> = (0..20)
            .map(|n| {
                if n < 10 {
                    run.packet(&sound, n);
                }
                run.read()
            })
            .collect();
        assert_eq!(heard[12..15], [Heard::Concealed; 3]);
        assert_eq!(heard[15..], [Heard::Silence; 5]);
        let peaks: Vec<_> = run.heard[11 * FRAME..].chunks(FRAME).map(|f| f.iter().max().copied()).collect();
        assert!(peaks[1..5].is_sorted_by(|a, b| a > b), "{peaks:?}");
        assert!(run.heard[15 * FRAME..].iter().all(|s| *s == 0));
    }

    #[test]
    fn a_talkspurt_after_silence_that_was_not_sent_comes_at_the_target_delay_and_whole() {
        let sound = voice(700 * FRAME);
        let mut run = Run::default();
        (0..600).for_each(|n| {
            run.packet(&sound, n);
            run.read();
        });
        assert_eq!((run.buffer.delay().as_millis(), run.buffer.target().as_millis()), (20 + 10, 20));
        // Jitter of 80 ms in the last words, then nothing is sent for two seconds.
        for burst in [600, 605, 610] {
            (0..5).for_each(|_| _ = run.read());
            (burst..burst + 5).for_each(|n| run.packet(&sound, n));
        }
        (0..100).for_each(|_| _ = run.read());
        let target = run.buffer.target();
        assert!(target.as_millis() >= 80, "{target:?}");
        let (counts, from) = (run.buffer.counts(), run.heard.len());
        for n in 0..20 {
            let words = &sound[n * FRAME..][..FRAME];
            run.insert(((715 + n) * FRAME) as u32, words);
            run.read();
        }
        assert_eq!(run.buffer.delay(), target);
        let start = run.heard[from..].windows(FRAME).position(|w| w == &sound[..FRAME]);
        assert!(start.is_some_and(|start| start < 12 * FRAME), "{start:?}");
        let fewer = Counts { concealed: counts.concealed - FADED as u64, ..counts };
        assert_eq!(run.buffer.counts(), fewer, "silence not sent is no loss");
    }

    #[test]
    fn a_duplicate_is_heard_once() {
        let mut buffer = Buffer::<1>::default();
        let mut samples = [0; 160];
        buffer.insert(0, &[5; 160]);
        buffer.insert(0, &[5; 160]);
        let heard: Vec<_> = (0..5)
            .map(|frame| {
                let heard = buffer.read(&mut samples);
                if frame == 3 {
                    buffer.insert(0, &[5; 160]);
                    buffer.insert(160, &[6; 160]);
                }
                heard
            })
            .collect();
        use Heard::{Concealed, Silence, Sound};
        assert_eq!(heard, [Silence, Silence, Sound { came: 160 }, Concealed, Sound { came: 160 }]);
        assert_eq!(samples[159], 6);
    }

    #[test]
    fn a_timeline_that_jumps_is_followed() {
        let mut buffer = Buffer::<1>::default();
        let mut samples = [0; 160];
        for timestamp in [0, 500_000, 100, 2_147_483_748] {
            buffer.insert(timestamp, &[9; 160]);
            let came: usize = (0..4)
                .map(|_| match buffer.read(&mut samples) {
                    Heard::Sound { came } => came,
                    _ => 0,
                })
                .sum();
            assert_eq!(came, 160, "{timestamp}");
        }
    }

    #[test]
    fn the_end_of_a_recording_is_drained_to_the_last_sample() {
        let sound = voice(10 * FRAME);
        let mut run = Run::default();
        (0..10).for_each(|n| {
            run.packet(&sound, n);
            run.read();
        });
        assert_eq!(run.buffer.waiting(), 320);
        let mut end = [0; 200];
        assert_eq!(run.buffer.drain(&mut end), 200);
        assert_eq!(end, sound[8 * FRAME..][..200]);
        assert_eq!(run.buffer.drain(&mut end), 120);
        assert_eq!(end[..120], sound[10 * FRAME - 120..]);
        assert_eq!(run.buffer.drain(&mut end), 0);
    }

    #[test]
    fn a_delay_no_longer_needed_is_given_back_and_the_pace_changes_by_15_percent_at_most() {
        let sound = voice(1200 * FRAME);
        let mut run = Run::default();
        (0..10).for_each(|n| {
            run.packet(&sound, n);
            run.read();
        });
        // The network holds ten packets up and gives them all at once.
        (0..10).for_each(|_| _ = run.read());
        (10..20).for_each(|n| run.packet(&sound, n));
        let before = run.heard.len();
        let position = |run: &Run| i64::from(run.buffer.position().unwrap());
        let (mut positions, mut delays) = (vec![position(&run)], vec![]);
        for n in 20..1200 {
            run.packet(&sound, n);
            run.read();
            positions.push(position(&run));
            delays.push(run.buffer.delay().as_millis());
        }
        assert!(delays[0] >= 195, "{delays:?}");
        assert!(delays.last().is_some_and(|delay| (20..35).contains(delay)), "{delays:?}");
        for second in positions.windows(51) {
            let pace = (second[50] - second[0]) as f32 / 8000.0;
            assert!((0.85..=1.15).contains(&pace), "{pace}");
        }
        assert!(steepest(&run.heard[before + FRAME..]) <= steepest(&sound) * 5 / 4);
    }

    #[test]
    fn noise_is_followed_within_seconds_too() {
        let mut seed = 1u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 18) as i16
        };
        let mut run = Run::default();
        let sound: Vec<i16> = (0..1100 * FRAME).map(|_| noise()).collect();
        (0..500).for_each(|n| {
            run.packet(&sound, n);
            run.read();
        });
        (0..10).for_each(|_| _ = run.read());
        (500..510).for_each(|n| run.packet(&sound, n));
        assert!(run.buffer.delay().as_millis() >= 200);
        (510..1100).for_each(|n| {
            run.packet(&sound, n);
            run.read();
        });
        assert!(run.buffer.delay().as_millis() < 60, "{:?}", run.buffer.delay());
    }

    /// Eight hours with a sender whose clock is fast (positive) or slow. Gives the delay's range, in
    /// milliseconds, and the counts.
    fn eight_hours(ppm: i64) -> ((u128, u128), Counts) {
        const FRAMES: u64 = 8 * 3600 * 50;
        let packet: [i16; FRAME] = voice(FRAME).try_into().unwrap();
        let mut buffer = Buffer::<1>::default();
        let mut frame = [0; FRAME];
        let (mut sent, mut range) = (0u64, (u128::MAX, 0));
        for tick in 0..FRAMES {
            while sent * 1_000_000 <= tick * (1_000_000 + ppm) as u64 {
                buffer.insert((sent * FRAME as u64) as u32, &packet);
                sent += 1;
            }
            buffer.read(&mut frame);
            if tick % 50 == 0 && tick > 1000 {
                let delay = buffer.delay().as_millis();
                range = (range.0.min(delay), range.1.max(delay));
            }
        }
        (range, buffer.counts())
    }

    #[test]
    fn eight_hours_of_300_ppm_either_way_leave_the_delay_where_it_was() {
        for ppm in [300, -300] {
            let ((least, most), counts) = eight_hours(ppm);
            assert!(least >= 5 && most <= 55, "{ppm} ppm: {least} to {most} ms, {counts:?}");
            // 8.64 s of difference in periods of 10 ms.
            assert!((850..=900).contains(&counts.changes), "{ppm} ppm: {counts:?}");
            let changed = counts.added.abs_diff(counts.left_out);
            assert!(changed.abs_diff(69_120) < 400, "{ppm} ppm: {counts:?}");
            assert_eq!((counts.late, counts.concealed, counts.dropped), (0, 0, 0), "{ppm} ppm");
        }
    }

    #[test]
    fn a_buffer_takes_less_than_16_kib() {
        assert!(size_of::<Buffer<1>>() + 2 * SPAN <= 16 << 10, "{}", size_of::<Buffer<1>>() + 2 * SPAN);
    }

    /// Each sample twice.
    fn doubled(samples: &[i16]) -> Vec<i16> {
        samples.iter().flat_map(|sample| [*sample; 2]).collect()
    }

    #[test]
    fn a_wide_voice_is_whole_but_for_what_is_lost_which_is_made_up_without_a_click() {
        let sound = doubled(&voice(20 * FRAME));
        let mut buffer = Buffer::<2>::default();
        let (mut all, mut end) = (vec![], [0; 500]);
        for (n, packet) in sound.chunks(2 * FRAME).enumerate() {
            if n != 10 {
                buffer.insert((n * FRAME) as u32, packet);
            }
            let mut frame = [0; 2 * FRAME];
            let heard = buffer.read(&mut frame);
            let lost = n == 12;
            assert_eq!(heard == Heard::Concealed, lost, "{n}: {heard:?}");
            all.extend(frame);
        }
        assert_eq!(all[4 * FRAME..24 * FRAME], sound[..20 * FRAME]);
        assert!(steepest(&all) <= steepest(&sound) * 5 / 4);
        assert_eq!(buffer.counts(), Counts { concealed: 160, ..Counts::default() });
        assert_eq!((buffer.waiting(), buffer.drain(&mut end)), (320, 500));
        assert_eq!(end, sound[36 * FRAME..][..500]);
    }

    proptest::proptest! {
        #[test]
        fn a_wide_sound_is_treated_as_the_narrow_one_of_which_it_is_the_double(packets: Vec<(u32, u16, u8)>, near: Vec<(i16, u16, u8)>) {
            let (mut narrow, mut wide) = (Buffer::<1>::default(), Buffer::<2>::default());
            let near = near.into_iter().map(|(offset, length, reads)| (offset as u32, length % 400, reads));
            for (timestamp, length, reads) in packets.into_iter().chain(near) {
                let sound = voice(usize::from(length % 3000));
                narrow.insert(timestamp, &sound);
                wide.insert(timestamp, &doubled(&sound));
                for _ in 0..reads % 8 {
                    let (mut one, mut two) = ([0; FRAME], [0; 2 * FRAME]);
                    assert_eq!(narrow.read(&mut one), wide.read(&mut two));
                    assert_eq!(doubled(&one), two);
                }
                assert_eq!(narrow.position(), wide.position());
                assert_eq!(narrow.counts(), wide.counts());
                assert_eq!((narrow.waiting(), narrow.target()), (wide.waiting(), wide.target()));
            }
        }

        #[test]
        fn no_packets_break_the_timeline(packets: Vec<(u32, u16, u8)>, near: Vec<(i16, u16, u8)>) {
            let mut buffer = Buffer::<1>::default();
            let mut samples = [0; 160];
            let near = near.into_iter().map(|(offset, length, reads)| (offset as u32, length % 400, reads));
            for (timestamp, length, reads) in packets.into_iter().chain(near) {
                let sound = vec![length as i16; usize::from(length % 3000)];
                buffer.insert(timestamp, &sound);
                for _ in 0..reads % 8 {
                    if let Heard::Sound { came } = buffer.read(&mut samples) {
                        assert!((1..=160).contains(&came));
                    }
                }
                assert!(buffer.waiting() <= SPAN);
            }
        }
    }
}
