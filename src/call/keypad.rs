//! One key for one press, though it comes twice: many phones and gateways send each key in the audio
//! (RFC 4733, or as sound) and by INFO (RFC 6086) as well.
//!
//! Spares the flow a menu that answers itself. A peer need not keep to one way: what comes by one is
//! missed by nobody if the other is silent.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Key, Mono};

/// By when the same press has come the other way too, or never: an INFO waits for the key to be let
/// go, and is sent again if it is lost (RFC 3261 §17.1.2.2: after 0.5 s and 1.5 s).
const ECHO: Duration = Duration::from_secs(2);
/// Presses that may still have an echo to come. More within [`ECHO`] press no fingers.
const MOST: usize = 32;

/// The keys of one leg.
#[derive(Debug, Default)]
pub(super) struct Keypad {
    /// The oldest first.
    told: VecDeque<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Audio,
    Info,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Press {
    New,
    /// Of one that came the other way.
    Echo,
}

#[derive(Debug)]
struct Told {
    way: Way,
    key: Key,
    until: Mono,
}

impl Keypad {
    pub fn press(&mut self, now: Mono, way: Way, key: Key) -> Press {
        self.told.retain(|told| now < told.until);
        if let Some(at) = self.told.iter().position(|told| told.way != way && told.key == key) {
            self.told.remove(at);
            return Press::Echo;
        }
        if self.told.len() == MOST {
            self.told.pop_front();
        }
        self.told.push_back(Told { way, key, until: now + ECHO });
        Press::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds, way (`a`udio or `i`nfo) and key; what was told of them.
    fn told(presses: &[(u64, char, char)]) -> String {
        let mut keypad = Keypad::default();
        let mut told = String::new();
        for (ms, way, key) in presses {
            let way = if *way == 'a' { Way::Audio } else { Way::Info };
            let now = Mono::ZERO + Duration::from_millis(*ms);
            if keypad.press(now, way, Key::try_from(*key).unwrap()) == Press::New {
                told.push(*key);
            }
        }
        told
    }

    #[test]
    fn a_key_that_comes_both_ways_is_one_press() {
        assert_eq!(told(&[(0, 'a', '5'), (150, 'i', '5')]), "5");
        assert_eq!(told(&[(0, 'i', '5'), (150, 'a', '5')]), "5");
        assert_eq!(told(&[(0, 'a', '5'), (90, 'i', '5'), (400, 'a', '5'), (500, 'i', '5')]), "55");
        assert_eq!(told(&[(0, 'a', '5'), (200, 'a', '5'), (250, 'i', '5'), (300, 'i', '5')]), "55");
        assert_eq!(told(&[(0, 'a', '1'), (200, 'a', '2'), (250, 'i', '1'), (300, 'i', '2')]), "12");
    }

    #[test]
    fn keys_by_one_way_are_all_told() {
        assert_eq!(told(&[(0, 'a', '5'), (200, 'a', '5'), (400, 'a', '5')]), "555");
        assert_eq!(told(&[(0, 'i', '5'), (200, 'i', '6'), (400, 'i', '6')]), "566");
    }

    #[test]
    fn a_way_that_lost_a_key_does_not_cost_the_next_one() {
        assert_eq!(told(&[(0, 'a', '1'), (500, 'a', '2'), (600, 'i', '2'), (900, 'i', '3')]), "123");
        assert_eq!(told(&[(0, 'a', '5'), (2000, 'i', '5')]), "55");
    }

    #[test]
    fn keys_without_end_take_no_more_room() {
        let mut keypad = Keypad::default();
        for _ in 0..1000 {
            keypad.press(Mono::ZERO, Way::Info, Key::STAR);
        }
        assert_eq!(keypad.told.len(), MOST);
    }
}
