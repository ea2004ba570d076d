//! Takes one input from the keys of a telephone: timers, terminator, fewest and most digits.
//!
//! It spares the interpreter the difference between a caller who says nothing, one who is not done
//! yet and one who has keyed something that cannot be.

use std::time::Duration;

use crate::base::{Key, Mono, Pii};

/// What counts as an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub kind: Kind,
    /// Silence allowed after the prompt.
    pub first_digit: Duration,
    /// Silence allowed between keys.
    pub inter_digit: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any one key.
    OneKey,
    /// `min` to `max` of 0–9.
    Digits { min: u8, max: u8, terminator: Option<Key> },
}

impl Rules {
    /// The key that would have ended an input which was ended by being complete.
    pub(super) fn filled_by(&self, keys: &str) -> Option<Key> {
        match self.kind {
            Kind::Digits { max, terminator, .. } if keys.len() >= usize::from(max) => terminator,
            _ => None,
        }
    }
}

/// An input in the making.
pub struct Collector {
    keys: Pii<String>,
    state: State,
}

enum State {
    /// The prompt is being played; nothing was keyed.
    Prompting,
    /// Waiting for a key until then.
    Listening {
        until: Mono,
    },
    Ended,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not done yet.
    Pending,
    Complete(Pii<String>),
    NoInput,
    /// The keys make no valid input.
    NoMatch,
}

impl Collector {
    /// While the prompt plays no timer runs.
    pub fn prompting() -> Self {
        Self { keys: Pii::new(String::new()), state: State::Prompting }
    }

    /// The prompt was heard to its end, or there is none.
    pub fn heard(&mut self, now: Mono, rules: &Rules) {
        if let State::Prompting = self.state {
            self.state = State::Listening { until: now + rules.first_digit };
        }
    }

    pub fn handle_key(&mut self, now: Mono, key: Key, rules: &Rules) -> Verdict {
        if let State::Ended = self.state {
            return Verdict::Pending;
        }
        let (min, max, terminator) = match rules.kind {
            Kind::OneKey => return self.end(Some(key)),
            Kind::Digits { min, max, terminator } => (min, max, terminator),
        };
        if terminator == Some(key) {
            return if self.count() >= min { self.end(None) } else { self.refuse() };
        }
        if !key.as_char().is_ascii_digit() {
            return self.refuse();
        }
        if self.count() + 1 >= max {
            return self.end(Some(key));
        }
        self.push(key);
        self.state = State::Listening { until: now + rules.inter_digit };
        Verdict::Pending
    }

    pub fn handle_timeout(&mut self, now: Mono, rules: &Rules) -> Verdict {
        let State::Listening { until } = self.state else { return Verdict::Pending };
        if now < until {
            return Verdict::Pending;
        }
        let min = match rules.kind {
            Kind::OneKey => 1,
            Kind::Digits { min, .. } => min,
        };
        match self.count() {
            0 => {
                self.state = State::Ended;
                Verdict::NoInput
            }
            count if count >= min => self.end(None),
            _ => self.refuse(),
        }
    }

    pub const fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Listening { until } => Some(until),
            State::Prompting | State::Ended => None,
        }
    }

    fn count(&self) -> u8 {
        // Never more than `max`, which is a u8.
        self.keys.reveal().len() as u8
    }

    fn push(&mut self, key: Key) {
        let mut keys = std::mem::take(&mut self.keys).into_inner();
        keys.push(key.as_char());
        self.keys = Pii::new(keys);
    }

    fn end(&mut self, last: Option<Key>) -> Verdict {
        if let Some(key) = last {
            self.push(key);
        }
        self.state = State::Ended;
        Verdict::Complete(std::mem::take(&mut self.keys))
    }

    fn refuse(&mut self) -> Verdict {
        self.state = State::Ended;
        Verdict::NoMatch
    }
}
