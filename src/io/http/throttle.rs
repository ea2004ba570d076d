//! How often something may be tried: so many times a minute for each name, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::base::Mono;

/// Attempts are forgotten after this long.
const WINDOW: Duration = Duration::from_secs(60);
/// Names remembered; beyond it the one that began longest ago is forgotten.
const MOST: usize = 4096;

#[derive(Debug)]
pub struct Throttle<K> {
    tried: HashMap<K, Tries>,
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    since: Mono,
    count: u32,
}

impl<K: Eq + Hash + Clone> Throttle<K> {
    pub fn new() -> Self {
        Self { tried: HashMap::new() }
    }

    /// Counts an attempt, before its outcome is known: those under way at once count as well.
    /// `Err` is how long to wait.
    pub fn attempt(&mut self, now: Mono, name: &K, most: u32) -> Result<(), Duration> {
        if let Some(tries) = self.tried.get_mut(name) {
            let over = tries.since + WINDOW;
            if now >= over {
                *tries = Tries { since: now, count: 1 };
            } else if tries.count >= most {
                return Err(over - now);
            } else {
                tries.count += 1;
            }
            return Ok(());
        }
        if self.tried.len() == MOST {
            self.tried.retain(|_, tries| now < tries.since + WINDOW);
        }
        if self.tried.len() == MOST {
            let oldest = self.tried.iter().min_by_key(|(_, tries)| tries.since).map(|(name, _)| name.clone());
            oldest.map(|name| self.tried.remove(&name));
        }
        self.tried.insert(name.clone(), Tries { since: now, count: 1 });
        Ok(())
    }

    /// The attempt was a good one: it does not count.
    pub fn forgive(&mut self, name: &K) {
        if let Some(tries) = self.tried.get_mut(name) {
            tries.count = tries.count.saturating_sub(1);
            if tries.count == 0 {
                self.tried.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn who_failed_too_often_waits_for_the_rest_of_the_minute() {
        let mut throttle = Throttle::new();
        for second in 0..3 {
            assert_eq!(throttle.attempt(at(second), &"anna", 3), Ok(()));
        }
        assert_eq!(throttle.attempt(at(10), &"anna", 3), Err(Duration::from_secs(50)));
        assert_eq!(throttle.attempt(at(10), &"ben", 3), Ok(()));
        assert_eq!(throttle.attempt(at(60), &"anna", 3), Ok(()));
    }

    #[test]
    fn a_good_attempt_does_not_count() {
        let mut throttle = Throttle::new();
        for second in 0..30 {
            assert_eq!(throttle.attempt(at(second), &"anna", 1), Ok(()));
            throttle.forgive(&"anna");
        }
        assert!(throttle.tried.is_empty());
    }

    #[test]
    fn a_flood_of_names_does_not_grow_the_table() {
        let mut throttle = Throttle::new();
        for name in 0..3 * MOST {
            throttle.attempt(at(0), &name, 1).expect("a new name may try");
        }
        assert_eq!(throttle.tried.len(), MOST);
    }
}
