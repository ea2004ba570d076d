//! Which packets of which sources were seen: the index of 48 bits that a sequence number of 16
//! stands for (RFC 3711 §3.3.1, Appendix A), and the replay window (§3.3.2).
//!
//! Spares the layer above order: packets may come late, twice and never.

use super::Refusal;
use crate::rtp::{MISORDER, ahead_in_sequence};

/// How far behind the latest packet of its source one may come: RFC 3711 §3.3.2 asks for 64 at the
/// least, and what of it is heard, relayed and counted is of use up to [`MISORDER`].
pub const WINDOW: u64 = u128::BITS as u64;
const _: () = assert!(WINDOW > MISORDER as u64);

/// A peer seldom has more than one; a transfer behind it may bring another.
const SOURCES: usize = 4;

/// Bounded: the source heard of least recently makes room for a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The one heard of last comes first.
    known: [Option<Source>; SOURCES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    ssrc: u32,
    highest: u64,
    /// Bit n: the packet `highest - n` was seen. None was under the present key if all are 0: `highest`
    /// is then of the key before.
    seen: u128,
}

impl Sources {
    /// The index nearest to the source's highest. `None` if that lies before 0. The first packet
    /// of a source is in round 0.
    pub fn index(&self, ssrc: u32, sequence: u16) -> Option<u64> {
        let Some(source) = self.known.iter().flatten().find(|source| source.ssrc == ssrc) else {
            return Some(sequence.into());
        };
        let ahead = ahead_in_sequence(source.highest as u16, sequence);
        source.highest.checked_add_signed(ahead.into())
    }

    /// The index in round 0, for a source of which nothing was seen since [`Sources::expect_anew`].
    pub fn restarted(&self, ssrc: u32, sequence: u16) -> Option<u64> {
        let is_it = |source: &&Source| source.ssrc == ssrc && source.is_expected();
        self.known.iter().flatten().find(is_it).map(|_| sequence.into())
    }

    /// Forgets what was seen, but not where each source is.
    pub fn expect_anew(&mut self) {
        self.known.iter_mut().flatten().for_each(|source| source.seen = 0);
    }

    /// Notes the packet, unless it was seen or is too old to tell.
    pub fn admit(&mut self, ssrc: u32, index: u64) -> Result<(), Refusal> {
        let is_it = |source: &Option<Source>| source.is_some_and(|source| source.ssrc == ssrc);
        let at = self.known.iter().position(is_it);
        let known = at.and_then(|at| self.known[at]).filter(|source| !source.is_expected());
        let mut source = known.unwrap_or(Source { ssrc, highest: index, seen: 0 });
        source.admit(index)?;
        self.known[..=at.unwrap_or(SOURCES - 1)].rotate_right(1);
        self.known[0] = Some(source);
        Ok(())
    }
}

impl Source {
    const fn is_expected(&self) -> bool {
        self.seen == 0
    }

    fn admit(&mut self, index: u64) -> Result<(), Refusal> {
        let ahead = index.saturating_sub(self.highest);
        if ahead > 0 {
            self.highest = index;
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 };
        }
        let behind = self.highest - index;
        if behind >= WINDOW || self.seen >> behind & 1 != 0 {
            return Err(Refusal::Replayed);
        }
        self.seen |= 1 << behind;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSRC: u32 = 7;

    /// One source, of which these packets came.
    fn after(indices: &[u64]) -> Sources {
        let mut sources = Sources::default();
        for index in indices {
            assert_eq!(sources.admit(SSRC, *index), Ok(()), "{index:#x}");
        }
        sources
    }

    #[test]
    fn a_sequence_number_means_the_index_nearest_to_the_highest() {
        let index = |highest: u64, sequence| after(&[highest]).index(SSRC, sequence);
        assert_eq!(Sources::default().index(SSRC, 0xffff), Some(0xffff));
        assert_eq!(index(0xffff, 0), Some(0x1_0000));
        assert_eq!(index(0x1_0000, 0xffff), Some(0xffff));
        assert_eq!(index(0x1_0005, 0x8004), Some(0x1_8004));
        assert_eq!(index(0x1_0005, 0x8006), Some(0x8006));
        assert_eq!(index(0x1_9000, 0x0fff), Some(0x2_0fff));
        assert_eq!(index(5, 0xffff), None);
        assert_eq!(index(0xffff_ffff_ffff, 0), Some(0x1_0000_0000_0000));
    }

    #[test]
    fn what_was_seen_or_is_too_late_to_tell_is_a_replay() {
        let mut sources = after(&[100, 99, 37, 101, 0x1_0000, 0xffff, 0x1_0001]);
        for (index, verdict) in [
            (0x1_0001, Err(Refusal::Replayed)),
            (0x1_0000, Err(Refusal::Replayed)),
            (0xffff, Err(Refusal::Replayed)),
            (0x1_0001 - WINDOW, Err(Refusal::Replayed)),
            (101, Err(Refusal::Replayed)),
            (0x1_0002 - WINDOW, Ok(())),
            (0x1_0002 - WINDOW, Err(Refusal::Replayed)),
            (0x1_0001 + WINDOW, Ok(())),
            (0x1_0001, Err(Refusal::Replayed)),
            (0x1_0002, Ok(())),
        ] {
            assert_eq!(sources.admit(SSRC, index), verdict, "{index:#x}");
        }
    }

    #[test]
    fn the_source_heard_of_least_recently_makes_room() {
        let mut sources = Sources::default();
        for (index, ssrc) in (0x1_0000..).zip([1, 2, 3, 4, 1, 5]) {
            sources.admit(ssrc, index).unwrap();
        }
        let knows = |ssrc| sources.index(ssrc, 9) == Some(0x1_0009);
        assert_eq!([1, 2, 3, 4, 5].map(knows), [true, false, true, true, true]);
    }
}
