//! Whether losses come together: RFC 3611 §4.7.2's bursts and gaps.
//!
//! A burst is the longest stretch that begins and ends with a loss and in which fewer than
//! [`GAP_LEAST`] packets come between two; what lies between bursts is a gap, in which losses stand
//! alone. Every packet is told of once, in order, when it is known to have come or not.

/// Packets that must come between two losses for these to be no burst; §4.7.2 recommends it.
pub const GAP_LEAST: u8 = 16;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bursts {
    /// Of all told of, and of the bursts that are over.
    packets: u64,
    losses: u64,
    ended: Stretches,
    /// From the last loss that may begin a burst to the newest of it.
    open: Option<Open>,
    /// Came since the last loss.
    came: u8,
    /// Gaps that a burst ended.
    gaps: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stretches {
    count: u64,
    packets: u64,
    losses: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    packets: u64,
    losses: u64,
}

/// Since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// Losses in 256ths of the packets in bursts, and in the gaps.
    pub burst_density: u8,
    pub gap_density: u8,
    /// Mean lengths, in packets; 0 if there was none.
    pub burst: u64,
    pub gap: u64,
}

impl Bursts {
    pub fn note_received(&mut self) {
        self.packets += 1;
        self.came = self.came.saturating_add(1);
        if self.came == GAP_LEAST
            && let Some(burst) = self.open.take()
        {
            self.ended = self.ended.with(burst);
        }
    }

    pub fn note_lost(&mut self) {
        self.packets += 1;
        self.losses += 1;
        let came = u64::from(std::mem::take(&mut self.came));
        self.open = Some(match self.open {
            None => Open { packets: 1, losses: 1 },
            Some(Open { packets, losses }) => {
                // The first loss of a burst ends the gap before it, if there was any.
                if losses == 1 && self.packets - 1 - packets - came > self.ended.packets {
                    self.gaps += 1;
                }
                Open { packets: packets + came + 1, losses: losses + 1 }
            }
        });
    }

    pub fn pattern(&self) -> Pattern {
        let bursts = self.open.map_or(self.ended, |open| self.ended.with(open));
        let in_burst = self.open.is_some_and(|open| open.losses > 1);
        // Whether what came since is of the burst or of a gap shows later.
        let undecided = if in_burst { u64::from(self.came) } else { 0 };
        let packets = self.packets - undecided - bursts.packets;
        let losses = self.losses - bursts.losses;
        let gaps = self.gaps + u64::from(!in_burst && packets > 0);
        Pattern {
            burst_density: share(bursts.losses, bursts.packets),
            gap_density: share(losses, packets),
            burst: bursts.packets.checked_div(bursts.count).unwrap_or(0),
            gap: packets.checked_div(gaps).unwrap_or(0),
        }
    }
}

impl Stretches {
    /// A loss that stands alone is of the gap around it.
    fn with(self, Open { packets, losses }: Open) -> Self {
        match losses {
            ..=1 => self,
            _ => {
                Self { count: self.count + 1, packets: self.packets + packets, losses: self.losses + losses }
            }
        }
    }
}

/// In 256ths, 255 at the most; nothing of nothing is 0.
pub fn share(part: u64, whole: u64) -> u8 {
    (part << 8).checked_div(whole).unwrap_or(0).min(255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x` is a packet that came, `o` one that did not, and a number repeats what stands after it.
    fn pattern(packets: &str) -> Pattern {
        let mut bursts = Bursts::default();
        for word in packets.split(' ') {
            let at = word.find(['x', 'o']).unwrap();
            for _ in 0..word[..at].parse().unwrap_or(1) {
                for packet in word[at..].chars() {
                    if packet == 'x' { bursts.note_received() } else { bursts.note_lost() }
                }
            }
        }
        bursts.pattern()
    }

    #[test]
    fn losses_with_fewer_than_sixteen_packets_between_are_a_burst_and_else_a_gap() {
        let lossless = Pattern { gap: 100, ..Pattern::default() };
        assert_eq!(pattern("100x"), lossless);
        // One in 20 in 400, each by itself.
        assert_eq!(pattern("20xxxxxxxxxxxxxxxxxxxo"), Pattern { gap: 400, gap_density: 12, ..lossless });
        // 15 between two: 17 packets with two losses.
        let burst = Pattern { burst_density: 30, gap_density: 0, burst: 17, gap: 50 };
        assert_eq!(pattern("50x o 15x o 50x"), burst);
        assert_eq!(pattern("50x o 16x o 50x"), Pattern { gap: 118, gap_density: 4, ..lossless });
        // Two bursts, of 4 and 8, three gaps.
        let two = Pattern { burst_density: 149, gap_density: 0, burst: 6, gap: 20 };
        assert_eq!(pattern("20x ooxo 20x oxoxoxxo 20x"), two);
    }

    #[test]
    fn a_call_that_begins_or_ends_in_a_burst_has_no_gap_there() {
        assert_eq!(pattern("oooo"), Pattern { burst_density: 255, gap_density: 0, burst: 4, gap: 0 });
        assert_eq!(pattern("oo 30x"), Pattern { burst_density: 255, gap_density: 0, burst: 2, gap: 30 });
        assert_eq!(pattern("30x oo"), Pattern { burst_density: 255, gap_density: 0, burst: 2, gap: 30 });
        assert_eq!(pattern("30x oo 9x"), pattern("30x oo"));
        assert_eq!(Bursts::default().pattern(), Pattern::default());
    }
}
