//! How well a queue serves: the service level under a named formula, and the wait to expect.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::Mono;

/// The field divides in several ways and calls each of them the service level; so the formula has a
/// name.
///
/// For 1000 answered, 860 of them in time, 60 abandoned, 20 of them in time, they give
/// 83.0 %, 86.0 %, 81.1 % and 82.7 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Formula {
    /// (answered + abandoned in time) ÷ (answered + abandoned).
    ServedOrGoneInTime,
    /// Answered in time ÷ answered: abandoned contacts do not count.
    OfAnswered,
    /// Answered in time ÷ (answered + abandoned): every abandoned contact is a failure.
    #[default]
    OfAll,
    /// Answered in time ÷ (answered + abandoned too late): who left within the threshold does not
    /// count.
    OfPatient,
}

/// What became of the contacts of a queue since the router began. Only grows: rates are differences
/// of two readings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Contacts that came.
    pub entered: u64,
    pub answered: u64,
    /// Within the queue's threshold.
    pub answered_in_time: u64,
    pub abandoned: u64,
    /// Within the queue's threshold.
    pub abandoned_in_time: u64,
    /// Left unserved for another reason than their own: too long, too many, queue removed.
    pub overflowed: u64,
    /// Offers that rang out.
    pub rang_out: u64,
    /// Offers refused by hand.
    pub declined: u64,
    /// Offers that could not reach the agent.
    pub unreachable: u64,
    /// Waiting time of the answered ones, ringing included, added up.
    pub wait_answered: Duration,
}

impl Counts {
    /// 0 to 1; `None` while there is nothing to divide by.
    pub fn level(&self, formula: Formula) -> Option<f64> {
        let (good, all) = match formula {
            Formula::ServedOrGoneInTime => {
                (self.answered_in_time + self.abandoned_in_time, self.answered + self.abandoned)
            }
            Formula::OfAnswered => (self.answered_in_time, self.answered),
            Formula::OfAll => (self.answered_in_time, self.answered + self.abandoned),
            Formula::OfPatient => {
                (self.answered_in_time, self.answered + self.abandoned - self.abandoned_in_time)
            }
        };
        (all > 0).then(|| good as f64 / all as f64)
    }

    /// ASA: the mean wait of those who were answered.
    pub fn average_speed_of_answer(&self) -> Option<Duration> {
        (self.answered > 0).then(|| self.wait_answered.div_f64(self.answered as f64))
    }

    pub(super) fn answer(&mut self, waited: Duration, threshold: Duration) {
        self.answered += 1;
        self.answered_in_time += u64::from(waited <= threshold);
        self.wait_answered += waited;
    }

    pub(super) fn abandon(&mut self, waited: Duration, threshold: Duration) {
        self.abandoned += 1;
        self.abandoned_in_time += u64::from(waited <= threshold);
    }
}

/// How fast a queue's line moves: the mean time between two contacts taken from it, measured only
/// while somebody stands in it, since free agents say nothing about the pace of busy ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    mean: Option<Duration>,
    /// When the line last moved, or began.
    mark: Mono,
}

/// The newest interval weighs one in this many: about the last dozen contacts are remembered.
const MEMORY: u32 = 8;

impl Pace {
    /// The first contact stands in an empty line.
    pub fn begin(&mut self, now: Mono) {
        self.mark = now;
    }

    /// The line's first contact went to an agent.
    pub fn advance(&mut self, now: Mono) {
        self.mean = Some(self.blend(now.since(self.mark)));
        self.mark = now;
    }

    /// The wait to expect at this place (1 is next): places × mean interval. `None` until the line
    /// has moved once. A line that stalls lets the estimate grow.
    pub fn expected_wait(&self, now: Mono, position: usize) -> Option<Duration> {
        let mean = self.mean?;
        let slowed = mean.max(self.blend(now.since(self.mark)));
        Some(slowed.saturating_mul(u32::try_from(position).unwrap_or(u32::MAX)))
    }

    fn blend(&self, newest: Duration) -> Duration {
        self.mean.map_or(newest, |mean| mean.saturating_mul(MEMORY - 1).saturating_add(newest) / MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Mono {
        Mono::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn the_same_hour_has_four_service_levels() {
        let hour = Counts {
            answered: 1000,
            answered_in_time: 860,
            abandoned: 60,
            abandoned_in_time: 20,
            ..Counts::default()
        };
        let percent = |formula| (hour.level(formula).unwrap() * 1000.0).round() / 10.0;
        assert_eq!(percent(Formula::ServedOrGoneInTime), 83.0);
        assert_eq!(percent(Formula::OfAnswered), 86.0);
        assert_eq!(percent(Formula::OfAll), 81.1);
        assert_eq!(percent(Formula::OfPatient), 82.7);
    }

    #[test]
    fn nothing_answered_is_no_service_level() {
        assert_eq!(Counts::default().level(Formula::OfAll), None);
        assert_eq!(Counts::default().average_speed_of_answer(), None);
    }

    #[test]
    fn the_threshold_itself_is_in_time() {
        let mut counts = Counts::default();
        let threshold = Duration::from_secs(20);
        counts.answer(threshold, threshold);
        counts.answer(threshold + Duration::from_nanos(1), threshold);
        counts.abandon(threshold, threshold);
        assert_eq!((counts.answered_in_time, counts.abandoned_in_time), (1, 1));
        assert_eq!(counts.average_speed_of_answer(), Some(Duration::from_nanos(20_000_000_000)));
    }

    #[test]
    fn the_expected_wait_is_places_times_pace() {
        let mut pace = Pace::default();
        pace.begin(at(100));
        assert_eq!(pace.expected_wait(at(100), 1), None, "a line that never moved has no pace");
        pace.advance(at(110));
        pace.advance(at(120));
        assert_eq!(pace.expected_wait(at(120), 3), Some(Duration::from_secs(30)));
    }

    #[test]
    fn an_empty_line_does_not_slow_the_pace() {
        let mut pace = Pace::default();
        pace.begin(at(0));
        pace.advance(at(10));
        pace.begin(at(5000));
        pace.advance(at(5010));
        assert_eq!(pace.expected_wait(at(5010), 1), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_stalled_line_admits_it() {
        let mut pace = Pace::default();
        pace.begin(at(0));
        pace.advance(at(10));
        assert_eq!(pace.expected_wait(at(15), 1), Some(Duration::from_secs(10)));
        assert_eq!(pace.expected_wait(at(100), 1), Some(Duration::from_secs(20)));
    }
}
