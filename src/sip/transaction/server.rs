//! The non-INVITE server transaction: RFC 3261 §17.2.2 with the corrections of RFC 4320.
//!
//! It answers the peer's repetitions with what was answered before, and keeps a peer whose
//! answer is late from giving up too soon or being answered too late.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{PATIENCE, linger};
use crate::base::Mono;
use crate::sip::Transport;

#[derive(Debug)]
pub struct Server {
    state: State,
    transport: Transport,
    outputs: VecDeque<Output>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    Transmit(Bytes),
    /// RFC 4320 §4.1: the final response is so late that a 100 is owed now.
    TryingDue,
    /// RFC 4320 §4.2: the peer has given up; an answer would only be a stray.
    TimedOut,
}

#[derive(Debug)]
enum State {
    /// No response yet: repetitions get none either. `hurry` is when a 100 falls due.
    Trying {
        hurry: Option<Mono>,
        too_late: Mono,
    },
    /// A 100 went out.
    Proceeding {
        provisional: Bytes,
        too_late: Mono,
    },
    /// The final response went out.
    Completed {
        response: Bytes,
        timer_j: Mono,
    },
    Terminated,
}

/// RFC 4320 §4.1: how long a client's timer E takes to reach T2 (0.5 + 1 + 2 s).
const HURRY: Duration = Duration::from_millis(3500);

impl Server {
    pub fn new(now: Mono, transport: Transport) -> Self {
        Self {
            state: State::Trying { hurry: Some(now + HURRY), too_late: now + PATIENCE },
            transport,
            outputs: VecDeque::new(),
        }
    }

    /// The request came again.
    pub fn handle_repetition(&mut self) {
        match &self.state {
            State::Proceeding { provisional: last, .. } | State::Completed { response: last, .. } => {
                self.outputs.push_back(Output::Transmit(last.clone()));
            }
            State::Trying { .. } | State::Terminated => {}
        }
    }

    /// RFC 4320 §4.1: of the provisionals only 100 may go out, and over UDP not before it is due.
    pub fn respond(&mut self, now: Mono, status: u16, response: Bytes) {
        let (due, too_late) = match self.state {
            State::Trying { hurry, too_late } => (self.transport.is_reliable() || hurry.is_none(), too_late),
            State::Proceeding { too_late, .. } => (true, too_late),
            State::Completed { .. } | State::Terminated => return,
        };
        match status {
            100 if due => {
                self.outputs.push_back(Output::Transmit(response.clone()));
                self.state = State::Proceeding { provisional: response, too_late };
            }
            100..200 => {}
            _ => {
                self.outputs.push_back(Output::Transmit(response.clone()));
                self.state = match linger(self.transport, PATIENCE) {
                    Duration::ZERO => State::Terminated,
                    span => State::Completed { response, timer_j: now + span },
                };
            }
        }
    }

    pub fn handle_timeout(&mut self, now: Mono) {
        match &mut self.state {
            State::Trying { too_late, .. } | State::Proceeding { too_late, .. } if *too_late <= now => {
                self.outputs.push_back(Output::TimedOut);
                self.state = State::Terminated;
            }
            State::Trying { hurry, .. } if hurry.is_some_and(|at| at <= now) => {
                self.outputs.push_back(Output::TryingDue);
                *hurry = None;
            }
            State::Completed { timer_j, .. } if *timer_j <= now => self.state = State::Terminated,
            _ => {}
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Mono> {
        match &self.state {
            State::Trying { hurry, too_late } => Some(hurry.unwrap_or(*too_late)),
            State::Proceeding { too_late, .. } => Some(*too_late),
            State::Completed { timer_j, .. } => Some(*timer_j),
            State::Terminated => None,
        }
    }

    /// Whether we still owe a final response.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }

    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Act {
        Again,
        Respond(u16),
    }
    use Act::*;

    /// Plays `(milliseconds, act)` and every timer between; whoever is asked for a 100 gives it.
    fn play(transport: Transport, script: &[(u64, Act)]) -> String {
        let at = |ms: u64| Mono::ZERO + Duration::from_millis(ms);
        let mut tx = Server::new(at(0), transport);
        let mut transcript = String::new();
        let mut script = script.iter().peekable();
        let mut now = at(0);
        loop {
            let ms = (now - at(0)).as_millis();
            while let Some(output) = tx.poll_output() {
                transcript += &match output {
                    Output::Transmit(bytes) => format!("{ms} {}\n", String::from_utf8_lossy(&bytes)),
                    Output::TryingDue => {
                        tx.respond(now, 100, Bytes::from_static(b"100"));
                        format!("{ms} due\n")
                    }
                    Output::TimedOut => format!("{ms} timed out\n"),
                };
            }
            let due = tx.poll_timeout();
            match script.peek() {
                Some((ms, act)) if due.is_none_or(|due| at(*ms) <= due) => {
                    now = at(*ms);
                    script.next();
                    match act {
                        Again => tx.handle_repetition(),
                        Respond(status) => tx.respond(now, *status, status.to_string().into()),
                    }
                }
                _ => {
                    let Some(due) = due else { break };
                    now = due;
                    tx.handle_timeout(now);
                }
            }
        }
        let end = if tx.is_terminated() { "terminated" } else { "waiting" };
        transcript + &format!("{} {end}\n", (now - at(0)).as_millis())
    }

    #[test]
    fn a_repetition_gets_the_answer_again_for_64_t1() {
        assert_eq!(
            play(Transport::Udp, &[(0, Again), (100, Respond(200)), (500, Again), (600, Respond(500))]),
            "100 200\n500 200\n32100 terminated\n"
        );
        assert_eq!(play(Transport::Tcp, &[(100, Respond(200))]), "100 200\n100 terminated\n");
    }

    #[test]
    fn no_provisional_goes_before_the_peer_has_slowed_down() {
        assert_eq!(
            play(
                Transport::Udp,
                &[(100, Respond(100)), (200, Respond(183)), (4000, Again), (5000, Respond(200))]
            ),
            "3500 due\n3500 100\n4000 100\n5000 200\n37000 terminated\n"
        );
    }

    #[test]
    fn an_answer_after_the_peer_gave_up_is_not_sent() {
        assert_eq!(
            play(Transport::Udp, &[(40_000, Respond(200))]),
            "3500 due\n3500 100\n32000 timed out\n40000 terminated\n"
        );
    }
}
