//! How often a stranger is answered. What is beyond is dropped: an answer to a flood is a flood.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::Mono;

/// A leaky bucket for each source address, an IPv6 /64 counting as one. Bounded: where too many
/// sources come at once, those without a bucket share one.
#[derive(Debug)]
pub(super) struct Throttle {
    /// When each bucket will have run empty.
    empty_at: BTreeMap<u64, Mono>,
    swept: Mono,
    pub dropped: u64,
}

/// What a stranger is answered, by what it costs. An office full of phones behind one address is
/// challenged a thousand times at once and lives; a guesser of passwords is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// 1000 a second, 2000 at once.
    Challenge,
    /// 50 a second, 100 at once.
    Refusal,
    /// 10 a second, 20 at once.
    WrongPassword,
}

impl Answer {
    /// How long the bucket takes to leak it.
    const fn cost(self) -> Duration {
        match self {
            Self::Challenge => Duration::from_millis(1),
            Self::Refusal => Duration::from_millis(20),
            Self::WrongPassword => Duration::from_millis(100),
        }
    }
}

const SOURCES: usize = 16_384;
/// What a bucket holds.
const BURST: Duration = Duration::from_secs(2);
/// No address of the internet maps there.
const SHARED: u64 = u64::MAX;

impl Throttle {
    pub fn new() -> Self {
        Self { empty_at: BTreeMap::new(), swept: Mono::ZERO, dropped: 0 }
    }

    /// Whether `source` may be answered now.
    pub fn admits(&mut self, now: Mono, source: IpAddr, answer: Answer) -> bool {
        let mut key = key(source);
        if self.empty_at.len() >= SOURCES && !self.empty_at.contains_key(&key) {
            self.sweep(now);
            if self.empty_at.len() >= SOURCES {
                key = SHARED;
            }
        }
        let empty_at = self.empty_at.get(&key).copied().unwrap_or(now).max(now);
        if empty_at.since(now) + answer.cost() > BURST {
            self.dropped += 1;
            return false;
        }
        self.empty_at.insert(key, empty_at + answer.cost());
        true
    }

    fn sweep(&mut self, now: Mono) {
        if now.since(self.swept) >= Duration::from_secs(1) {
            self.swept = now;
            self.empty_at.retain(|_, at| *at > now);
        }
    }
}

fn key(source: IpAddr) -> u64 {
    match source.to_canonical() {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_answered_at_the_rate_and_a_neighbour_at_once() {
        let mut throttle = Throttle::new();
        let [flood, neighbour] = ["203.0.113.9", "203.0.113.10"].map(|a| a.parse().unwrap());
        let answered = (0..10_000u64)
            .filter(|ms| throttle.admits(Mono::ZERO + Duration::from_millis(*ms), flood, Answer::Refusal))
            .count();
        assert_eq!(answered, 100 + 499);
        assert_eq!(throttle.dropped, 10_000 - 599);
        assert!(throttle.admits(Mono::ZERO + Duration::from_secs(10), neighbour, Answer::Refusal));
    }

    #[test]
    fn memory_is_bounded_however_many_sources_come() {
        let mut throttle = Throttle::new();
        for source in 0..40_000u32 {
            throttle.admits(Mono::ZERO, IpAddr::V4(source.into()), Answer::Challenge);
        }
        assert_eq!(throttle.empty_at.len(), SOURCES + 1);
        let later = Mono::ZERO + Duration::from_secs(60);
        assert!(throttle.admits(later, "203.0.113.9".parse().unwrap(), Answer::Challenge));
        assert_eq!(throttle.empty_at.len(), 1);
    }
}
