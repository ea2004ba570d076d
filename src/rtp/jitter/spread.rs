//! How late packets come, and the delay that lets nearly all of them be in time.
//!
//! A histogram of lateness over the last 256 to 512 packets (5 to 10 s of the usual ones). The delay
//! aimed at is its 99th percentile: one packet in a hundred may miss its time, for each such costs
//! 20 ms of concealment once in two seconds, while to wait for it would cost everybody its lateness
//! always. A packet beyond the target moves it at once, the way down is looked at once a window: what
//! was an outlier is forgotten after 10 to 15 s.

use super::super::ahead;

/// A cell of the histogram: 10 ms at 8 kHz.
const CELL: i32 = 80;
/// 640 ms in all.
const CELLS: usize = 64;
/// Where the soonest packets are put: 160 ms below are kept for a path that becomes faster.
const HOME: usize = 16;
/// Packets in a window; the last and the present one count.
const WINDOW: u16 = 256;
/// The share of packets that may come too late, as a divisor: 1 %.
const LATE_SHARE: u16 = 100;
/// The share of packets sooner than what counts as soonest, as a divisor: 5 %. The very first
/// would be at the mercy of one that was handed over before an overdue frame.
const SOONEST_SHARE: u16 = 20;
/// At least 20 ms are kept in hand: one frame, which is the step in which a sender whose clock
/// is slower than ours becomes late; regained within two windows, so good for 1500 ppm (measured).
const FLOOR: usize = 2;
/// At most 200 ms above the usual packet are waited for.
const CEILING: usize = 20;
/// What is aimed at before anything is known: 40 ms.
const START: usize = 4;
/// Packets of that weight say so: with the first window they are outvoted.
const PRIOR: u16 = 2;
/// So many packets in succession, all beyond the ceiling: the path or the sender's clock changed.
const MOVED: u8 = 10;

/// Lateness is our clock less the packet's timestamp, as it comes: only differences mean something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// The lateness at the upper edge of cell 0.
    zero: u32,
    present: [u16; CELLS],
    last: [u16; CELLS],
    /// Packets in the present window and in both.
    noted: u16,
    total: u16,
    soonest: usize,
    ceiling: usize,
    target: usize,
    /// Packets beyond the ceiling in succession.
    beyond: u8,
}

impl Spread {
    /// A first packet is believed to be an ordinary one.
    pub fn starting(lateness: u32) -> Self {
        let mut spread = Self {
            zero: lateness.wrapping_sub((HOME as i32 * CELL) as u32),
            present: [0; CELLS],
            last: [0; CELLS],
            noted: 0,
            total: PRIOR,
            soonest: HOME,
            ceiling: HOME + CEILING,
            target: HOME + START,
            beyond: 0,
        };
        spread.last[HOME + START] = PRIOR;
        spread
    }

    /// The delay to aim at, as the lateness that is just in time.
    pub fn target(&self) -> u32 {
        self.lateness(self.target)
    }

    /// The lateness of the soonest ordinary packets.
    pub fn soonest(&self) -> u32 {
        self.lateness(self.soonest)
    }

    pub fn note(&mut self, lateness: u32) {
        let above = ahead(self.zero, lateness).saturating_add(CELL - 1).div_euclid(CELL);
        let cell = self.reach(above);
        self.beyond = if cell > self.ceiling { self.beyond + 1 } else { 0 };
        if self.beyond == MOVED {
            *self = Self::starting(lateness);
            return self.note(lateness);
        }
        self.present[cell] += 1;
        self.noted += 1;
        self.total += 1;
        if self.noted == WINDOW {
            self.measure();
            self.last = self.present;
            self.present = [0; CELLS];
            (self.noted, self.total) = (0, WINDOW);
            self.shift(HOME as i32 - self.soonest as i32);
        } else if cell > self.target {
            self.measure();
        }
    }

    fn lateness(&self, cell: usize) -> u32 {
        self.zero.wrapping_add((cell as i32 * CELL) as u32)
    }

    /// The cell, after the histogram was moved to have it.
    fn reach(&mut self, cell: i32) -> usize {
        const LAST: i32 = CELLS as i32 - 1;
        let inside = cell.clamp(0, LAST);
        if inside != cell {
            self.shift(inside.saturating_sub(cell));
        }
        inside as usize
    }

    /// Moves all by so many cells up; what leaves at an end stays in the last cell there.
    fn shift(&mut self, cells: i32) {
        if cells == 0 {
            return;
        }
        let moved = |cell: usize| (cell as i32).saturating_add(cells).clamp(0, CELLS as i32 - 1) as usize;
        for window in [&mut self.present, &mut self.last] {
            let before = *window;
            window.fill(0);
            for (cell, count) in before.into_iter().enumerate() {
                window[moved(cell)] += count;
            }
        }
        for place in [&mut self.soonest, &mut self.ceiling, &mut self.target] {
            *place = moved(*place);
        }
        self.zero = self.zero.wrapping_sub(cells.wrapping_mul(CELL) as u32);
    }

    fn measure(&mut self) {
        self.soonest = self.percentile(self.total / SOONEST_SHARE);
        self.ceiling = (self.percentile(self.total / 2) + CEILING).min(CELLS - 1);
        let late = self.percentile(self.total - self.total / LATE_SHARE - 1);
        self.target = late.clamp(self.soonest + FLOOR, self.ceiling.max(self.soonest + FLOOR)).min(CELLS - 1);
    }

    /// The cell of the packet before which so many are sooner.
    fn percentile(&self, sooner: u16) -> usize {
        let mut sum = 0;
        let reaches = |(present, last): (&u16, &u16)| {
            sum += present + last;
            sum > sooner
        };
        self.present.iter().zip(&self.last).position(reaches).unwrap_or(CELLS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes packets' lateness in ms; gives target and soonest in ms.
    fn after(packets: impl IntoIterator<Item = i32>) -> (i32, i32) {
        let zero = u32::MAX - 400;
        let mut spread = Spread::starting(zero);
        packets.into_iter().for_each(|late| spread.note(zero.wrapping_add((late * 8) as u32)));
        (ahead(zero, spread.target()) / 8, ahead(zero, spread.soonest()) / 8)
    }

    #[test]
    fn without_jitter_the_target_goes_from_40_ms_to_the_floor() {
        assert_eq!(after([0; 100]), (40, 0));
        assert_eq!(after([0; 600]), (20, 0));
    }

    #[test]
    fn one_packet_in_a_hundred_may_be_late_but_not_two() {
        let every = |n: usize| (0..2048).map(move |k| if k % n == 0 { 100 } else { 0 });
        assert_eq!(after(every(110)), (20, 0));
        assert_eq!(after(every(50)), (100, 0));
    }

    #[test]
    fn the_target_rises_with_the_first_packet_beyond_the_share_and_falls_within_three_windows() {
        // 456 packets count here.
        let then = |late: usize, calm: usize| {
            after([0; 1024 + 200].into_iter().chain(vec![80; late]).chain(vec![0; calm])).0
        };
        assert_eq!(then(4, 0), 20);
        assert_eq!(then(5, 0), 80);
        assert_eq!(then(8, 512), 80);
        assert_eq!(then(8, 768), 20);
    }

    #[test]
    fn more_than_200_ms_is_not_waited_for() {
        assert_eq!(after((0..1024).map(|n| if n % 5 == 0 { 500 } else { 0 })), (200, 0));
    }

    #[test]
    fn a_path_that_becomes_longer_or_shorter_is_followed() {
        for step in [-5000, -300, -100, 100, 300, 400, 900, 5000] {
            assert_eq!(after([0; 600].into_iter().chain([step; 1024])), (step + 20, step), "{step}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_lateness_breaks_the_histogram(packets: Vec<u32>, near: Vec<u16>) {
            let mut spread = Spread::starting(7);
            for lateness in packets.into_iter().chain(near.into_iter().map(u32::from)) {
                spread.note(lateness);
                let range = ahead(spread.soonest(), spread.target());
                assert!((FLOOR as i32 * CELL..=CELLS as i32 * CELL).contains(&range) || spread.target == CELLS - 1);
            }
        }
    }
}
