//! The one stream of packets a leg hears: RFC 3550 §5.1's sequence and timestamps, whatever it is
//! made of.
//!
//! Prompt, music and talk follow each other on one SSRC: the sequence grows by one, the timestamp
//! follows the clock and never goes back, the marker stands where sound begins (RFC 3551 §4.1).
//! What is relayed keeps the sender's own steps, so that loss and jitter stay visible to the peer.

use crate::base::Codec;
use crate::rtp::packet::Header;
use crate::rtp::{MISORDER, ahead, ahead_in_sequence};

/// A gap larger than this is a new start of the sender, not loss.
const DROPOUT: i16 = 3000;
/// A relayed sender's clock may stray this far from ours before it is set right: 2 s in eighths of
/// a millisecond.
const STRAY: i32 = 16_000;
/// It may step back this far (120 ms) without being set right: senders round.
const STEP_BACK: i32 = 960;

/// Units of the RTP clock in one of ours, which is an eighth of a millisecond: 1, or 6 for Opus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale(u32);

#[derive(Debug)]
pub(super) struct Stream {
    ssrc: u32,
    scale: Scale,
    /// Sequence number of the newest packet.
    last: u16,
    /// Timestamp at clock zero. Moves forward where sound overlaps, and back in a pause.
    base: u32,
    /// By how much the line is ahead of the clock.
    lead: u32,
    /// Timestamp after the newest packet.
    end: u32,
    next: Spurt,
    relayed: Option<Relayed>,
    /// Timestamp of the key being pressed by us.
    event: u32,
    /// The last key passed on.
    passed: Option<Passed>,
}

/// One timestamp is one key: whatever comes between its packets, it keeps the one it had.
#[derive(Clone, Copy, Debug)]
struct Passed {
    source: usize,
    ssrc: u32,
    theirs: u32,
    ours: u32,
}

/// What the next packet of our own making is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spurt {
    Begins,
    GoesOn,
}

/// How the source's numbers become ours.
#[derive(Clone, Copy, Debug)]
struct Relayed {
    source: usize,
    ssrc: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
    /// How far the newest packet lies ahead of the last one from before this mapping.
    span: u16,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Audio,
    /// RFC 4733: the timestamp stands still while the event lasts.
    Event,
    /// The same, by another clock than the audio's: no packet for another leg.
    EventAside,
    /// RFC 3389: what silence sounds like, until something is heard again.
    Noise,
}

/// A packet on its way from one leg to another of the same RTP clock. `clock` is when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub clock: u64,
    pub source: usize,
    pub kind: Kind,
    pub header: Header,
    /// How long it sounds, in units of its RTP clock.
    pub span: u32,
}

impl Scale {
    pub const fn of(codec: Codec) -> Self {
        Self(codec.clock() / 8000)
    }

    /// Ours to RTP's, which wraps.
    pub const fn up(self, span: u64) -> u32 {
        (span as u32).wrapping_mul(self.0)
    }

    /// A short span of ours.
    pub const fn up_span(self, span: i32) -> i32 {
        span * self.0 as i32
    }

    /// RTP's to ours.
    pub const fn down(self, span: u32) -> u32 {
        span / self.0
    }

    /// A span of RTP's, forward or back.
    pub const fn down_span(self, span: i32) -> i32 {
        span / self.0 as i32
    }
}

impl Stream {
    pub fn new(ssrc: u32, scale: Scale, sequence: u16, timestamp: u32, clock: u64) -> Self {
        Self {
            ssrc,
            scale,
            last: sequence,
            base: timestamp,
            lead: 0,
            end: timestamp.wrapping_add(scale.up(clock)),
            next: Spurt::Begins,
            relayed: None,
            event: 0,
            passed: None,
        }
    }

    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    pub fn rename(&mut self, ssrc: u32) {
        self.ssrc = ssrc;
    }

    /// Another RTP clock from now on: what comes next is stamped where the last left off.
    pub fn rescale(&mut self, scale: Scale, clock: u64) {
        if self.scale != scale {
            self.scale = scale;
            self.base = self.end.wrapping_sub(scale.up(clock));
            self.lead = 0;
            self.passed = None;
            self.cut();
        }
    }

    /// What the timestamp of sound made at `clock` is, if nothing went ahead of the clock.
    pub const fn timestamp(&self, clock: u64) -> u32 {
        self.base.wrapping_add(self.scale.up(clock))
    }

    /// Something else is heard from now on.
    pub fn cut(&mut self) {
        self.relayed = None;
        self.next = Spurt::Begins;
    }

    /// The header of sound of our own that begins at `clock` and lasts `span`.
    pub fn stamp(&mut self, clock: u64, span: u32, payload_type: u8) -> Header {
        let timestamp = self.forward(clock);
        let marker = self.next == Spurt::Begins || timestamp != self.end;
        self.next = Spurt::GoesOn;
        self.relayed = None;
        self.end = timestamp.wrapping_add(self.scale.up(span.into()));
        self.own(marker, payload_type, timestamp)
    }

    /// The header of an event's first packet.
    pub fn begin_event(&mut self, clock: u64, payload_type: u8) -> Header {
        self.cut();
        self.event = self.forward(clock);
        self.end = self.event;
        self.own(true, payload_type, self.event)
    }

    /// The header of the same event's next packet, `span` after it began.
    pub fn continue_event(&mut self, span: u16, payload_type: u8) -> Header {
        let end = self.event.wrapping_add(self.scale.up(span.into()));
        if ahead(self.end, end) > 0 {
            self.end = end;
        }
        self.own(false, payload_type, self.event)
    }

    /// The header under which another leg's packet goes on; `None` if it comes too late.
    pub fn relay(&mut self, passing: Passing, payload_type: u8) -> Option<Header> {
        let own = self.map(passing, payload_type)?;
        if passing.kind == Kind::Event {
            let Header { ssrc, timestamp: theirs, .. } = passing.header;
            self.passed = Some(Passed { source: passing.source, ssrc, theirs, ours: own.timestamp });
        }
        Some(own)
    }

    fn map(&mut self, passing: Passing, payload_type: u8) -> Option<Header> {
        let Passing { header, .. } = passing;
        if let Some(relayed) = self.mapping(&passing) {
            let sequence = header.sequence.wrapping_add(relayed.sequence_offset);
            let timestamp = header.timestamp.wrapping_add(relayed.timestamp_offset);
            let step = ahead_in_sequence(self.last, sequence);
            if (-MISORDER..=0).contains(&step) {
                let known = step < 0 && step.unsigned_abs() < relayed.span;
                return known.then_some(Header {
                    payload_type,
                    sequence,
                    timestamp,
                    ssrc: self.ssrc,
                    ..header
                });
            }
            // An event's timestamp is where it began, however long ago.
            let stray = passing.kind != Kind::Event
                && (ahead(self.timestamp(passing.clock), timestamp).abs() > self.scale.up_span(STRAY)
                    || ahead(self.end, timestamp) < -self.scale.up_span(STEP_BACK));
            if step > 0 && step < DROPOUT && !stray {
                let span = relayed.span.saturating_add(step.unsigned_abs());
                self.relayed = Some(Relayed { span, ..relayed });
                self.last = sequence;
                self.advance(timestamp, passing.span);
                return Some(Header { payload_type, sequence, timestamp, ssrc: self.ssrc, ..header });
            }
        }
        let known = self.passed.filter(|p| {
            passing.kind == Kind::Event
                && (p.source, p.ssrc, p.theirs) == (passing.source, header.ssrc, header.timestamp)
        });
        let timestamp = known.map_or_else(|| self.forward(passing.clock), |passed| passed.ours);
        self.advance(timestamp, passing.span);
        let own = self.own(known.is_none(), payload_type, timestamp);
        self.relayed = Some(Relayed {
            source: passing.source,
            ssrc: header.ssrc,
            sequence_offset: own.sequence.wrapping_sub(header.sequence),
            timestamp_offset: timestamp.wrapping_sub(header.timestamp),
            span: 0,
        });
        self.next = Spurt::Begins;
        Some(own)
    }

    /// Another leg's packet that this one is not to hear leaves no gap.
    pub fn swallow(&mut self, passing: Passing) {
        if let Some(relayed) = self.mapping(&passing) {
            let sequence = passing.header.sequence.wrapping_add(relayed.sequence_offset);
            if (1..DROPOUT).contains(&ahead_in_sequence(self.last, sequence)) {
                let sequence_offset = relayed.sequence_offset.wrapping_sub(1);
                // What is overtaken now could no longer be told from what was sent.
                self.relayed = Some(Relayed { sequence_offset, span: 0, ..relayed });
            }
        }
    }

    fn mapping(&self, passing: &Passing) -> Option<Relayed> {
        self.relayed.filter(|r| r.source == passing.source && r.ssrc == passing.header.ssrc)
    }

    /// The timestamp at `clock`, or after what went already: then the whole line moves on.
    fn forward(&mut self, clock: u64) -> u32 {
        let behind = ahead(self.timestamp(clock), self.end);
        if behind > 0 {
            self.base = self.base.wrapping_add(behind as u32);
            self.lead = self.lead.saturating_add(behind as u32);
        }
        self.timestamp(clock)
    }

    /// Whether what went is over by now. If so the line falls back to the clock, as far as that is
    /// free: who fills every pause would else send more than there is time, and the peer's buffer
    /// would grow with each.
    pub fn settle(&mut self, clock: u64) -> bool {
        let free = ahead(self.end, self.timestamp(clock));
        let back = self.lead.min(free.max(0) as u32);
        self.base = self.base.wrapping_sub(back);
        self.lead -= back;
        free >= 0
    }

    fn advance(&mut self, timestamp: u32, span: u32) {
        let end = timestamp.wrapping_add(span);
        if ahead(self.end, end) > 0 {
            self.end = end;
        }
    }

    fn own(&mut self, marker: bool, payload_type: u8, timestamp: u32) -> Header {
        self.last = self.last.wrapping_add(1);
        Header { marker, payload_type, sequence: self.last, timestamp, ssrc: self.ssrc }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What happens to a stream next: another leg's packet, this far ahead of or behind its newest,
    /// is relayed or swallowed; or sound or a key of our own goes.
    #[derive(Clone, Copy, Debug)]
    enum Happening {
        Relay { source: usize, skip: i16 },
        Swallow { source: usize, skip: i16 },
        Stamp,
        Key,
        Cut,
    }

    fn happening() -> impl Strategy<Value = Happening> {
        // Mostly in order, now and then overtaken or after a loss.
        let skip = || prop_oneof![6 => Just(1i16), 1 => 2..6i16, 2 => -6..0i16];
        prop_oneof![
            12 => (0..2usize, skip()).prop_map(|(source, skip)| Happening::Relay { source, skip }),
            4 => (0..2usize, skip()).prop_map(|(source, skip)| Happening::Swallow { source, skip }),
            1 => Just(Happening::Stamp),
            1 => Just(Happening::Key),
            1 => Just(Happening::Cut),
        ]
    }

    proptest! {
        /// A number sent twice would, encrypted, give the key stream away (RFC 3711 §9.1).
        #[test]
        fn no_sequence_number_goes_twice(script in prop::collection::vec(happening(), 0..300)) {
            let mut stream = Stream::new(1, Scale::of(Codec::Pcmu), 65_500, 7, 0);
            let (mut newest, mut came, mut sent) = ([5000u16, 60_000], BTreeSet::new(), BTreeSet::new());
            for (n, happening) in script.into_iter().enumerate() {
                let clock = n as u64 * 160;
                let mut passing = |source: usize, skip: i16| {
                    let sequence = newest[source].wrapping_add(skip as u16);
                    if skip > 0 {
                        newest[source] = sequence;
                    }
                    let header = Header {
                        marker: false,
                        payload_type: 0,
                        sequence,
                        timestamp: u32::from(sequence) * 160,
                        ssrc: source as u32,
                    };
                    // Duplicates do not come this far.
                    came.insert((source, sequence)).then_some(Passing {
                        clock,
                        source,
                        kind: Kind::Audio,
                        header,
                        span: 160,
                    })
                };
                let header = match happening {
                    Happening::Relay { source, skip } => {
                        passing(source, skip).and_then(|passing| stream.relay(passing, 0))
                    }
                    Happening::Swallow { source, skip } => {
                        passing(source, skip).into_iter().for_each(|passing| stream.swallow(passing));
                        None
                    }
                    Happening::Stamp => Some(stream.stamp(clock, 160, 0)),
                    Happening::Key => Some(stream.begin_event(clock, 101)),
                    Happening::Cut => {
                        stream.cut();
                        None
                    }
                };
                if let Some(header) = header {
                    prop_assert!(sent.insert(header.sequence), "{} at {n}", header.sequence);
                }
            }
        }
    }
}
