//! The caller's time, cut into segments that add up to it exactly.
//!
//! Boundaries are milliseconds since the INVITE and each segment runs from one boundary to the
//! next, so no rounding can open a gap between the segments and the whole.

use serde::{Deserialize, Serialize};

use crate::base::{Mono, Now, Wall};

/// What the caller was going through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Ivr,
    Queue,
    /// An agent's phone rings.
    Ring,
    Talk,
    Hold,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub stage: Stage,
    pub at: Wall,
    pub ms: u64,
}

/// From INVITE to release.
#[derive(Clone, Debug)]
pub struct Timeline {
    began: Now,
    segments: Vec<Segment>,
    current: (Stage, u64),
    ended: Option<u64>,
}

impl Timeline {
    pub fn new(now: Now, stage: Stage) -> Self {
        Self { began: now, segments: vec![], current: (stage, 0), ended: None }
    }

    pub fn stage(&self) -> Stage {
        self.current.0
    }

    pub fn began(&self) -> Now {
        self.began
    }

    /// The caller passes to another stage. The same stage again changes nothing.
    pub fn enter(&mut self, now: Mono, stage: Stage) {
        if self.ended.is_none() && stage != self.current.0 {
            let at = self.cut(now);
            self.current = (stage, at);
        }
    }

    pub fn end(&mut self, now: Mono) {
        if self.ended.is_none() {
            self.ended = Some(self.cut(now));
        }
    }

    /// The segments so far; the last one is still growing until the end.
    pub fn segments(&self, now: Mono) -> Vec<Segment> {
        let mut segments = self.segments.clone();
        if self.ended.is_none() {
            segments.push(self.segment(self.offset(now)));
        }
        segments
    }

    /// Milliseconds from INVITE to release, or until now.
    pub fn length_ms(&self, now: Mono) -> u64 {
        self.ended.unwrap_or_else(|| self.offset(now))
    }

    fn cut(&mut self, now: Mono) -> u64 {
        let at = self.offset(now);
        self.segments.push(self.segment(at));
        at
    }

    fn segment(&self, until: u64) -> Segment {
        let (stage, from) = self.current;
        let at = self.began.wall + std::time::Duration::from_millis(from);
        Segment { stage, at, ms: until.saturating_sub(from) }
    }

    fn offset(&self, now: Mono) -> u64 {
        u64::try_from(now.since(self.began.mono).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn segments_add_up_to_the_call_whatever_the_fractions() {
        let start = Now { mono: Mono::from_nanos(123_456_789), wall: Wall::from_millis(1_000) };
        let at = |micros| start.mono + Duration::from_micros(micros);
        let mut timeline = Timeline::new(start, Stage::Ivr);
        for (micros, stage) in
            [(1_999, Stage::Queue), (3_001, Stage::Ring), (3_500, Stage::Talk), (9_999, Stage::Talk)]
        {
            timeline.enter(at(micros), stage);
        }
        timeline.end(at(20_700));
        let segments = timeline.segments(at(99_000));
        assert_eq!(segments.iter().map(|s| s.ms).collect::<Vec<_>>(), [1, 2, 0, 17]);
        assert_eq!(timeline.length_ms(at(99_000)), 20);
    }
}
