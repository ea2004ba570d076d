//! One agent's desktop: what it was told, in order, so that a dropped connection misses nothing.
//!
//! A desk outlives its connections. A second log-in takes over; a desk without a connection
//! remembers the newest [`REPLAYABLE`] pushes, and what is older is replaced by a snapshot.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::Mono;
use crate::cti::{Push, Refusal};

/// One WebSocket, numbered by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Pushes that a desktop can still ask for.
const REPLAYABLE: usize = 256;
/// Replies kept so that a repeated command does nothing twice.
const REMEMBERED: usize = 64;

#[derive(Debug, Default)]
pub struct Desk {
    connection: Option<ConnectionId>,
    /// While nobody is connected: when the agent counts as logged out.
    deadline: Option<Mono>,
    last: u64,
    log: VecDeque<(u64, Arc<Push>)>,
    replies: VecDeque<(String, Option<Refusal>)>,
}

/// What a desktop gets on arrival.
#[derive(Debug)]
pub enum Resumption {
    /// What came after this number.
    Replayed { from: u64, missed: Vec<(u64, Arc<Push>)> },
    /// Too much was missed, or nothing was asked for: send a snapshot.
    Afresh,
}

impl Desk {
    pub fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.deadline
    }

    /// Returns the connection that is taken over, if any.
    pub fn attach(&mut self, connection: ConnectionId) -> Option<ConnectionId> {
        self.deadline = None;
        self.connection.replace(connection)
    }

    pub fn detach(&mut self, connection: ConnectionId) {
        self.connection.take_if(|current| *current == connection);
    }

    /// Nobody is connected, and somebody is expected until then. Returns the time of before, if any.
    pub fn await_until(&mut self, deadline: Mono) -> Option<Mono> {
        self.deadline.replace(deadline)
    }

    /// The agent was logged out for being away: asked once.
    pub fn forget_absence(&mut self) {
        self.deadline = None;
    }

    /// Numbers a push and remembers it.
    pub fn write(&mut self, push: Arc<Push>) -> u64 {
        self.last += 1;
        if self.log.len() == REPLAYABLE {
            self.log.pop_front();
        }
        self.log.push_back((self.last, push));
        self.last
    }

    pub fn resume(&self, from: Option<u64>) -> Resumption {
        let Some(from) = from.filter(|&from| from <= self.last) else { return Resumption::Afresh };
        let oldest = self.log.front().map_or(self.last + 1, |(seq, _)| *seq);
        if from + 1 < oldest {
            return Resumption::Afresh;
        }
        let missed = self.log.iter().filter(|(seq, _)| *seq > from).cloned().collect();
        Resumption::Replayed { from, missed }
    }

    /// The outcome of an earlier command with this id.
    pub fn earlier(&self, id: &str) -> Option<Option<Refusal>> {
        self.replies.iter().find(|(known, _)| known == id).map(|(_, outcome)| *outcome)
    }

    pub fn remember(&mut self, id: String, outcome: Option<Refusal>) {
        if self.replies.len() == REMEMBERED {
            self.replies.pop_front();
        }
        self.replies.push_back((id, outcome));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str) -> Arc<Push> {
        Arc::new(Push::Error { error: text.into() })
    }

    #[test]
    fn what_was_missed_is_replayed_in_order() {
        let mut desk = Desk::default();
        for text in ["a", "b", "c"] {
            desk.write(note(text));
        }
        let Resumption::Replayed { from: 1, missed } = desk.resume(Some(1)) else {
            panic!("nothing replayed")
        };
        assert_eq!(missed.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn who_missed_too_much_starts_afresh() {
        let mut desk = Desk::default();
        for _ in 0..REPLAYABLE + 2 {
            desk.write(note("x"));
        }
        assert!(matches!(desk.resume(Some(1)), Resumption::Afresh));
        assert!(
            matches!(desk.resume(Some(2)), Resumption::Replayed { missed, .. } if missed.len() == REPLAYABLE)
        );
        assert!(matches!(desk.resume(None), Resumption::Afresh));
        assert!(matches!(desk.resume(Some(9_999)), Resumption::Afresh));
    }

    #[test]
    fn a_second_connection_takes_over_and_the_first_cannot_detach_it() {
        let mut desk = Desk::default();
        assert_eq!(desk.attach(ConnectionId(1)), None);
        assert_eq!(desk.attach(ConnectionId(2)), Some(ConnectionId(1)));
        desk.detach(ConnectionId(1));
        assert_eq!(desk.connection(), Some(ConnectionId(2)));
    }
}
