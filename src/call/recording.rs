//! One recording as its contact's record tells it: where on the call's timeline it lies, which
//! parts of it are masked, and whether it reached the disk.
//!
//! It spares the gateway the reckoning of masks: a secure `collect` and the agent may both want one,
//! at one time or overlapping. Sound is recorded again when neither does, and a moment later still:
//! when that is, media knows, which hears what is recorded.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{CallId, ContactId, Mono, Now, Wall};
use crate::media::{Masking, RecordingId};

/// How a recording's file is coded. Either way stereo: left what the caller says, right what
/// the caller hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PCM of 16 bits at 8 kHz: 115 MB an hour.
    #[default]
    Wav,
    /// Ogg Opus (RFC 7845), 16 kbit/s a voice: 8 MB an hour.
    Opus,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::Wav, Self::Opus];

    /// Of a file's name, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Opus => "opus",
        }
    }

    /// For `Content-Type`; of Opus as RFC 7845 §9 has it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Opus => "audio/ogg; codecs=opus",
        }
    }

    /// By a file's name.
    pub fn of(file: &str) -> Option<Self> {
        let (_, extension) = file.rsplit_once('.')?;
        Self::ALL.into_iter().find(|format| format.extension() == extension)
    }
}

/// The name of a recording's file in the folder of recordings. It tells which contact it is of, and
/// of whom only to those who may read contacts.
pub fn file_name(contact: ContactId, recording: RecordingId, format: Format) -> String {
    format!("{contact}-{:016x}.{}", recording.0, format.extension())
}

/// Who wants silence in place of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Digits of a secure `collect` are being keyed.
    Secure,
    /// The agent paused the recording.
    Pause,
}

/// A running recording, and what is kept of it.
#[derive(Clone, Debug)]
pub struct Recording {
    pub id: RecordingId,
    file: String,
    format: Format,
    began: Now,
    /// From the INVITE.
    offset_ms: u64,
    masked: Vec<Span>,
    /// Whose wish lasts.
    wishes: Vec<Wish>,
    /// Since when it is masked, for a wish or a moment after the last.
    since: Option<u64>,
    /// Known from the end on; then as the disk has it.
    length: Option<u64>,
    state: State,
}

/// Masked spans kept apart; more of them run together, so that nothing masked goes untold.
pub const MOST_SPANS: usize = 200;

/// Milliseconds from the beginning of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from_ms: u64,
    pub to_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Recording,
    /// The call is over, the file is being completed.
    Finishing,
    Saved,
    /// The disk refused: there is less of it, or nothing.
    Spoiled,
}

impl Recording {
    /// `invited` is when the call came.
    pub fn begin(id: RecordingId, contact: ContactId, format: Format, invited: Mono, now: Now) -> Self {
        Self {
            id,
            file: file_name(contact, id, format),
            format,
            began: now,
            offset_ms: millis(invited, now.mono),
            masked: vec![],
            wishes: vec![],
            since: None,
            length: None,
            state: State::Recording,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether more spans could be kept apart.
    pub fn has_room(&self) -> bool {
        self.masked.len() < MOST_SPANS
    }

    /// What is to be commanded, if this changes anything.
    pub fn mask(&mut self, now: Mono, wish: Wish) -> Option<Masking> {
        if self.state != State::Recording || self.wishes.contains(&wish) {
            return None;
        }
        self.wishes.push(wish);
        // It may be masked for a moment more as it is: that goes on.
        let from = self.offset(now);
        self.since.get_or_insert(from);
        (self.wishes.len() == 1).then_some(Masking::On)
    }

    /// What is to be commanded, if this changes anything. What was masked is told when it is over
    /// ([`Recording::unmasked`]).
    pub fn unmask(&mut self, wish: Wish) -> Option<Masking> {
        let wished = self.wishes.len();
        self.wishes.retain(|other| *other != wish);
        (self.wishes.is_empty() && wished > 0).then_some(Masking::Off)
    }

    /// Media told that a mask ended, and how long the file is silent for it.
    pub fn unmasked(&mut self, from: Duration, to: Duration) {
        if self.state == State::Recording {
            let span = Span { from_ms: whole_millis(from), to_ms: whole_millis(to) };
            self.keep(span);
            // Somebody may want it masked again since.
            self.since = (!self.wishes.is_empty()).then_some(span.to_ms);
        }
    }

    pub fn is_paused(&self) -> bool {
        self.wishes.contains(&Wish::Pause)
    }

    /// The call is over.
    pub fn end(&mut self, now: Mono) {
        if self.state != State::Recording {
            return;
        }
        let length = self.offset(now);
        if let Some(from_ms) = self.since.take() {
            self.keep(Span { from_ms, to_ms: length });
        }
        self.wishes.clear();
        self.length = Some(length);
        self.state = State::Finishing;
    }

    /// The disk told how it ended: `file` of this length.
    pub fn settle(&mut self, now: Mono, state: State, file: Option<String>, length_ms: u64) {
        self.end(now);
        self.state = state;
        self.length = Some(length_ms);
        if let Some(file) = file {
            self.file = file;
        }
        self.masked.retain(|span| span.from_ms < length_ms);
        if let Some(last) = self.masked.last_mut() {
            last.to_ms = last.to_ms.min(length_ms);
        }
    }

    /// As of now; a mask that lasts ends now.
    pub fn kept(&self, call: CallId, now: Mono) -> Kept {
        let length_ms = self.length.unwrap_or_else(|| self.offset(now));
        let lasting = self.since.map(|from_ms| Span { from_ms, to_ms: length_ms });
        Kept {
            id: format!("{:016x}", self.id.0),
            call,
            file: self.file.clone(),
            format: self.format,
            started_at: self.began.wall,
            offset_ms: self.offset_ms,
            length_ms,
            masked: self.masked.iter().copied().chain(lasting).collect(),
            state: self.state,
        }
    }

    fn keep(&mut self, span: Span) {
        if self.has_room() {
            self.masked.push(span);
        } else if let Some(last) = self.masked.last_mut() {
            last.to_ms = span.to_ms;
        }
    }

    fn offset(&self, now: Mono) -> u64 {
        millis(self.began.mono, now)
    }
}

/// What is kept of a recording in its contact's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub id: String,
    pub call: CallId,
    /// In the folder of recordings.
    pub file: String,
    pub format: Format,
    pub started_at: Wall,
    /// From the INVITE to the beginning: where it lies on the call's timeline.
    pub offset_ms: u64,
    pub length_ms: u64,
    /// Silence in place of sound, in order.
    pub masked: Vec<Span>,
    pub state: State,
}

fn millis(from: Mono, to: Mono) -> u64 {
    whole_millis(to.since(from))
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const INVITED: Mono = Mono::from_nanos(5_000_000_000);

    fn at(ms: u64) -> Mono {
        INVITED + Duration::from_millis(ms)
    }

    /// Begun 400 ms after the INVITE.
    fn recording() -> Recording {
        let now = Now { mono: at(400), wall: Wall::from_millis(9000) };
        Recording::begin(RecordingId(0xbeef), ContactId(1), Format::Opus, INVITED, now)
    }

    fn masked(recording: &Recording, ms: u64) -> Vec<(u64, u64)> {
        recording.kept(CallId(1), at(ms)).masked.iter().map(|span| (span.from_ms, span.to_ms)).collect()
    }

    #[test]
    fn it_tells_where_it_lies_on_the_calls_timeline_and_which_file_it_is() {
        let kept = recording().kept(CallId(1), at(1400));
        assert_eq!((kept.offset_ms, kept.length_ms, kept.state), (400, 1000, State::Recording));
        assert_eq!(kept.file, format!("{}-000000000000beef.opus", ContactId(1)));
        assert_eq!(Format::of(&kept.file), Some(Format::Opus));
    }

    /// Media ended a mask, so many milliseconds of the file.
    fn unmasked(recording: &mut Recording, from: u64, to: u64) {
        recording.unmasked(Duration::from_millis(from), Duration::from_millis(to));
    }

    #[test]
    fn it_is_masked_as_long_as_anybody_wants_it_and_told_as_it_is_in_the_file() {
        let mut recording = recording();
        assert_eq!(recording.mask(at(1000), Wish::Pause), Some(Masking::On));
        assert_eq!(recording.mask(at(1500), Wish::Secure), None);
        assert_eq!(recording.mask(at(1600), Wish::Pause), None);
        assert_eq!(recording.unmask(Wish::Pause), None);
        assert_eq!(recording.unmask(Wish::Secure), Some(Masking::Off));
        assert_eq!(recording.unmask(Wish::Secure), None);
        assert_eq!(masked(&recording, 3200), [(600, 2800)], "it lasts until media tells");
        unmasked(&mut recording, 580, 3000);
        assert_eq!(masked(&recording, 5000), [(580, 3000)]);
        recording.mask(at(5400), Wish::Secure);
        recording.end(at(6400));
        // What media and people have to say of it comes too late.
        unmasked(&mut recording, 5000, 5900);
        assert_eq!((recording.unmask(Wish::Secure), recording.mask(at(6500), Wish::Pause)), (None, None));
        assert_eq!(masked(&recording, 9000), [(580, 3000), (5000, 6000)]);
    }

    #[test]
    fn a_mask_wanted_again_before_it_ended_is_one_mask() {
        let mut recording = recording();
        recording.mask(at(1000), Wish::Secure);
        recording.unmask(Wish::Secure);
        assert_eq!(recording.mask(at(1300), Wish::Pause), Some(Masking::On));
        assert_eq!(masked(&recording, 2000), [(600, 1600)]);
        recording.unmask(Wish::Pause);
        unmasked(&mut recording, 600, 2400);
        assert_eq!(masked(&recording, 9000), [(600, 2400)]);
    }

    #[test]
    fn a_mask_that_ended_as_it_was_wanted_again_is_two() {
        let mut recording = recording();
        recording.mask(at(1000), Wish::Secure);
        recording.unmask(Wish::Secure);
        recording.mask(at(2401), Wish::Pause);
        unmasked(&mut recording, 600, 2000);
        assert_eq!(masked(&recording, 2900), [(600, 2000), (2000, 2500)]);
        recording.unmask(Wish::Pause);
        unmasked(&mut recording, 2020, 3000);
        assert_eq!(masked(&recording, 9000), [(600, 2000), (2020, 3000)]);
    }

    #[test]
    fn what_the_disk_has_is_what_counts() {
        let mut recording = recording();
        recording.mask(at(1000), Wish::Secure);
        recording.unmask(Wish::Secure);
        unmasked(&mut recording, 600, 2000);
        recording.mask(at(3000), Wish::Secure);
        recording.settle(at(9000), State::Spoiled, None, 1500);
        let kept = recording.kept(CallId(1), at(20_000));
        assert_eq!((kept.length_ms, kept.state), (1500, State::Spoiled));
        assert_eq!(masked(&recording, 20_000), [(600, 1500)]);
    }

    #[test]
    fn spans_beyond_count_run_together_and_none_goes_untold() {
        let mut recording = recording();
        for n in 0..2 * MOST_SPANS as u64 {
            recording.mask(at(1000 + 1000 * n), Wish::Secure);
            recording.unmask(Wish::Secure);
            unmasked(&mut recording, 600 + 1000 * n, 1100 + 1000 * n);
        }
        let masked = masked(&recording, 900_000);
        assert_eq!(masked.len(), MOST_SPANS);
        assert_eq!(masked.last(), Some(&(600 + 199_000, 1100 + 399_000)));
    }
}
