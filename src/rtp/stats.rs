//! What came of a source's packets: RFC 3550 Appendix A.1 (sequence), A.3 (loss), A.8 (jitter).
//!
//! A source here is one whose address and payload type signalling agreed, so A.1's probation of
//! the first packets is left out: the first one is heard.

use super::bursts::{Bursts, Pattern, share};
use super::{MISORDER, ahead_in_sequence};

/// A.1: a larger gap is a new start of the sender, if the next packet confirms it.
const MAX_DROPOUT: i16 = 3000;

/// One source's reception, as long as its SSRC stays.
#[derive(Clone, Debug)]
pub struct Reception {
    ssrc: u32,
    base: u32,
    /// Highest sequence number, with its cycles above 16 bits.
    highest: u32,
    /// Bit n: `highest - n` came.
    seen: u128,
    /// Where a jump went; a successor confirms it.
    astray: Option<u16>,
    received: u64,
    /// Lost before the sender began anew.
    lost_before: u64,
    received_before: u64,
    transit: Option<u32>,
    /// Timestamp of the newest packet, and between the last two that followed each other.
    newest: Option<u32>,
    step: u32,
    /// Of what is too old to come any more.
    bursts: Bursts,
    /// A.8: in sixteenths of a timestamp unit.
    jitter: u32,
    expected_at_report: u64,
    received_at_report: u64,
}

/// Where a packet lies in its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The newest so far.
    Newest,
    /// Overtaken on the way, but not seen before.
    Late,
    Duplicate,
    /// Far from the sequence: not to be believed before a second one like it comes.
    Astray,
    /// The sender began a new sequence.
    Restarted,
}

/// The reception part of a report block (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Of the packets since the last report, in 256ths.
    pub fraction: u8,
    /// Since the beginning; 24 bits on the wire.
    pub cumulative: u32,
    pub highest: u32,
    /// In timestamp units.
    pub jitter: u32,
}

impl Reception {
    /// Before the first packet of `ssrc`, which has `sequence`.
    pub fn new(ssrc: u32, sequence: u16) -> Self {
        let before = u32::from(sequence).wrapping_sub(1);
        Self {
            ssrc,
            base: u32::from(sequence),
            highest: before,
            seen: 0,
            astray: None,
            received: 0,
            lost_before: 0,
            received_before: 0,
            transit: None,
            newest: None,
            step: 0,
            bursts: Bursts::default(),
            jitter: 0,
            expected_at_report: 0,
            received_at_report: 0,
        }
    }

    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// A packet came at `arrival`, in timestamp units of our own clock.
    pub fn receive(&mut self, sequence: u16, timestamp: u32, arrival: u32) -> Arrival {
        let before = self.highest as u16;
        let verdict = self.place(sequence);
        if matches!(verdict, Arrival::Newest | Arrival::Late | Arrival::Restarted) {
            self.received += 1;
        }
        if matches!(verdict, Arrival::Newest) {
            let step = self.newest.map_or(0, |newest| super::ahead(newest, timestamp));
            if sequence.wrapping_sub(before) == 1 && step > 0 {
                self.step = step.unsigned_abs();
            }
            self.newest = Some(timestamp);
            let transit = arrival.wrapping_sub(timestamp);
            if let Some(last) = self.transit {
                let d = super::ahead(last, transit).unsigned_abs();
                // A sender that resumes on another clock is no jitter.
                if d < 1 << 16 {
                    self.jitter = self.jitter + d - ((self.jitter + 8) >> 4);
                }
            }
            self.transit = Some(transit);
        }
        verdict
    }

    fn place(&mut self, sequence: u16) -> Arrival {
        let step = ahead_in_sequence(self.highest as u16, sequence);
        if (1..MAX_DROPOUT).contains(&step) {
            self.retire(step as u32);
            self.highest = self.highest.wrapping_add(step as u32);
            self.seen = self.seen.checked_shl(step as u32).unwrap_or(0) | 1;
            self.astray = None;
            return Arrival::Newest;
        }
        if (-MISORDER..=0).contains(&step) {
            let bit = 1u128 << step.unsigned_abs();
            if self.seen & bit != 0 || ahead_in_sequence(self.base as u16, sequence) < 0 && self.is_young() {
                return Arrival::Duplicate;
            }
            self.seen |= bit;
            return Arrival::Late;
        }
        if self.astray == Some(sequence) {
            let lost = self.lost();
            *self = Self {
                lost_before: lost,
                received_before: self.received_before + self.received,
                bursts: std::mem::take(&mut self.bursts),
                jitter: self.jitter,
                ..Self::new(self.ssrc, sequence)
            };
            self.place(sequence);
            return Arrival::Restarted;
        }
        self.astray = Some(sequence.wrapping_add(1));
        Arrival::Astray
    }

    /// So many leave the window at its old end: by now they came or never will.
    fn retire(&mut self, step: u32) {
        // Of what lies before the first packet nothing was expected.
        let known = self.highest.wrapping_sub(self.base).wrapping_add(1);
        let window = u128::BITS;
        for age in (window.saturating_sub(step)..window).rev().filter(|age| *age < known) {
            if self.seen >> age & 1 != 0 { self.bursts.note_received() } else { self.bursts.note_lost() }
        }
        // What was jumped over and never was within the window.
        (window..step).for_each(|_| self.bursts.note_lost());
    }

    /// How losses lie together, but for the last 128 packets, of which some may still come.
    pub fn pattern(&self) -> Pattern {
        self.bursts.pattern()
    }

    /// How long a packet of the sender's is, in timestamp units; 0 if that never showed.
    pub const fn packet(&self) -> u32 {
        self.step
    }

    /// The base is near enough to compare with in 16 bits.
    fn is_young(&self) -> bool {
        self.highest.wrapping_sub(self.base) < 1 << 14
    }

    fn expected(&self) -> u64 {
        u64::from(self.highest.wrapping_sub(self.base).wrapping_add(1))
    }

    /// A.3: packets that should have come and did not.
    pub fn lost(&self) -> u64 {
        self.lost_before + self.expected().saturating_sub(self.received)
    }

    /// Packets that came, doubles aside.
    pub const fn received(&self) -> u64 {
        self.received_before + self.received
    }

    /// In 256ths of all packets since the beginning.
    pub fn share_lost(&self) -> u8 {
        share(self.lost(), self.lost() + self.received())
    }

    /// What to report now; the fraction counts from the last call.
    pub fn report(&mut self) -> Loss {
        let expected = self.expected() - self.expected_at_report.min(self.expected());
        let received = self.received - self.received_at_report.min(self.received);
        self.expected_at_report = self.expected();
        self.received_at_report = self.received;
        let lost = expected.saturating_sub(received);
        Loss {
            fraction: (lost << 8).checked_div(expected).unwrap_or(0).min(255) as u8,
            cumulative: self.lost().min(0x7f_ffff) as u32,
            highest: self.highest,
            jitter: self.jitter >> 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arrival::*;

    fn play(sequences: impl IntoIterator<Item = u16>) -> (Reception, Vec<Arrival>) {
        let mut sequences = sequences.into_iter().peekable();
        let mut reception = Reception::new(7, *sequences.peek().unwrap());
        let verdicts = sequences.map(|s| reception.receive(s, 0, 0)).collect();
        (reception, verdicts)
    }

    #[test]
    fn order_loss_and_repetition_are_told_apart() {
        let (reception, verdicts) = play([65534, 65535, 1, 0, 0, 4, 65534, 65533]);
        assert_eq!(verdicts, [Newest, Newest, Newest, Late, Duplicate, Newest, Duplicate, Duplicate]);
        assert_eq!(reception.lost(), 2);
        assert_eq!(reception.highest, 0x10004);
    }

    #[test]
    fn a_single_wild_packet_changes_nothing() {
        let (reception, verdicts) = play([10, 30000, 11, 40000, 12]);
        assert_eq!(verdicts, [Newest, Astray, Newest, Astray, Newest]);
        assert_eq!(reception.lost(), 0);
    }

    #[test]
    fn a_sender_that_begins_anew_is_followed_at_its_second_packet() {
        let (reception, verdicts) = play([10, 12, 30000, 30001, 30002]);
        assert_eq!(verdicts, [Newest, Newest, Astray, Restarted, Newest]);
        assert_eq!(reception.lost(), 1);
    }

    #[test]
    fn a_wrap_of_the_whole_space_loses_nothing() {
        let (reception, verdicts) = play((0..200_000u32).map(|s| s as u16));
        assert!(verdicts.iter().all(|v| *v == Newest));
        assert_eq!(reception.lost(), 0);
        assert_eq!(reception.highest, 199_999);
    }

    #[test]
    fn the_fraction_lost_counts_from_report_to_report() {
        let mut reception = Reception::new(7, 0);
        for sequence in [0, 1, 2, 4] {
            reception.receive(sequence, 0, 0);
        }
        assert_eq!(reception.report(), Loss { fraction: 51, cumulative: 1, highest: 4, jitter: 0 });
        for sequence in [5, 6] {
            reception.receive(sequence, 0, 0);
        }
        assert_eq!(reception.report(), Loss { fraction: 0, cumulative: 1, highest: 6, jitter: 0 });
        assert_eq!(reception.report().fraction, 0);
    }

    #[test]
    fn losses_are_told_of_in_order_once_they_are_too_old_to_come() {
        // Every 50th is lost, one comes late, two hundred never come, and 128 are still awaited.
        let came = (0..3000u16).filter(|n| n % 50 != 49 && !(1000..1200).contains(n) && *n != 500);
        let (before, after): (Vec<_>, Vec<_>) = came.partition(|n| *n < 560);
        let (reception, _) = play(before.into_iter().chain([500]).chain(after));
        let pattern = reception.pattern();
        assert_eq!((pattern.burst_density, pattern.burst), (255, 200 + 1));
        // 52 of 2671, rounded down.
        assert_eq!((pattern.gap_density, pattern.gap), (4, (3000 - 128 - 201) / 2));
        assert_eq!(reception.share_lost(), 21);
        // Of the last nobody knows.
        assert_eq!(reception.lost(), 60 + 200 - 4 - 1);
    }

    #[test]
    fn a_packet_is_as_long_as_the_step_between_two_that_follow_each_other() {
        let mut reception = Reception::new(7, 0);
        for (sequence, timestamp, packet) in
            [(0, 0, 0), (1, 240, 240), (4, 960, 240), (5, 1120, 160), (6, 1, 160)]
        {
            reception.receive(sequence, timestamp, 0);
            assert_eq!(reception.packet(), packet, "{sequence}");
        }
    }

    /// A.8 by hand: |D| is 16 at every packet, so J nears 16 by sixteenths.
    #[test]
    fn jitter_is_the_smoothed_difference_of_transit_times() {
        let mut reception = Reception::new(7, 0);
        let mut want = 0.0;
        for n in 0..50u16 {
            let late = if n % 2 == 1 { 16 } else { 0 };
            reception.receive(n, u32::from(n) * 160, 5000 + u32::from(n) * 160 + late);
            if n > 0 {
                want += (16.0 - want) / 16.0;
            }
        }
        let got = f64::from(reception.jitter) / 16.0;
        assert!((got - want).abs() < 0.6, "{got} {want}");
    }
}
