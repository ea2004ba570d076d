//! The non-INVITE client transaction: RFC 3261 §17.1.2.
//!
//! It repeats the request until a final response comes, and absorbs that one's repetitions.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{Backoff, Heard, PATIENCE, T2, T4, linger};
use crate::base::Mono;
use crate::sip::Transport;

#[derive(Debug)]
pub struct Client {
    state: State,
    transport: Transport,
    outputs: VecDeque<Output>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    Transmit(Bytes),
    /// No final response came: as good as a 408, which RFC 4320 §4.2 forbids peers to send.
    TimedOut,
}

#[derive(Debug)]
enum State {
    /// Nothing has come back yet.
    Trying {
        request: Bytes,
        timer_e: Option<Backoff>,
        timer_f: Mono,
    },
    /// A provisional came: repeat still, but at leisure.
    Proceeding {
        request: Bytes,
        timer_e: Option<Backoff>,
        timer_f: Mono,
    },
    /// The final response came; absorb its repetitions.
    Completed {
        timer_k: Mono,
    },
    Terminated,
}

impl Client {
    pub fn new(now: Mono, transport: Transport, request: Bytes) -> Self {
        Self {
            outputs: VecDeque::from([Output::Transmit(request.clone())]),
            state: State::Trying { request, timer_e: Backoff::over(transport, now), timer_f: now + PATIENCE },
            transport,
        }
    }

    /// A response that matched this transaction.
    pub(crate) fn handle_response(&mut self, now: Mono, status: u16) -> Heard {
        match (&mut self.state, status) {
            (State::Trying { request, timer_e, timer_f }, 100..200) => {
                self.state = State::Proceeding {
                    request: std::mem::take(request),
                    timer_e: timer_e.map(|e| Backoff { interval: T2, ..e }),
                    timer_f: *timer_f,
                };
                Heard::News
            }
            (State::Trying { .. } | State::Proceeding { .. }, 200..) => {
                self.state = match linger(self.transport, T4) {
                    Duration::ZERO => State::Terminated,
                    span => State::Completed { timer_k: now + span },
                };
                Heard::News
            }
            _ => Heard::Absorbed,
        }
    }

    pub fn handle_timeout(&mut self, now: Mono) {
        match &mut self.state {
            State::Trying { timer_f, .. } | State::Proceeding { timer_f, .. } if *timer_f <= now => {
                self.outputs.push_back(Output::TimedOut);
                self.state = State::Terminated;
            }
            State::Trying { request, timer_e: Some(e), .. }
            | State::Proceeding { request, timer_e: Some(e), .. }
                if e.at <= now =>
            {
                self.outputs.push_back(Output::Transmit(request.clone()));
                e.double(T2);
            }
            State::Completed { timer_k } if *timer_k <= now => self.state = State::Terminated,
            _ => {}
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Mono> {
        match &self.state {
            State::Trying { timer_e, timer_f, .. } | State::Proceeding { timer_e, timer_f, .. } => {
                Some(timer_e.map_or(*timer_f, |e| e.at.min(*timer_f)))
            }
            State::Completed { timer_k } => Some(*timer_k),
            State::Terminated => None,
        }
    }

    /// Whether a final response is still awaited.
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

    /// Plays `(milliseconds, response)` and every timer between.
    fn play(transport: Transport, script: &[(u64, u16)]) -> String {
        let at = |ms: u64| Mono::ZERO + Duration::from_millis(ms);
        let mut tx = Client::new(at(0), transport, Bytes::from_static(b"BYE"));
        let mut transcript = String::new();
        let mut script = script.iter().peekable();
        let mut now = at(0);
        loop {
            let ms = (now - at(0)).as_millis();
            while let Some(output) = tx.poll_output() {
                transcript += &match output {
                    Output::Transmit(bytes) => format!("{ms} {}\n", String::from_utf8_lossy(&bytes)),
                    Output::TimedOut => format!("{ms} timed out\n"),
                };
            }
            let due = tx.poll_timeout();
            match script.peek() {
                Some((ms, status)) if due.is_none_or(|due| at(*ms) <= due) => {
                    now = at(*ms);
                    script.next();
                    if tx.handle_response(now, *status) == Heard::News {
                        transcript += &format!("{ms} heard {status}\n");
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
    fn a_request_nobody_answers_is_repeated_up_to_every_4_seconds_then_given_up() {
        assert_eq!(
            play(Transport::Udp, &[]),
            "0 BYE\n500 BYE\n1500 BYE\n3500 BYE\n7500 BYE\n11500 BYE\n15500 BYE\n19500 BYE\n23500 BYE\n\
             27500 BYE\n31500 BYE\n32000 timed out\n32000 terminated\n"
        );
        assert_eq!(play(Transport::Tcp, &[]), "0 BYE\n32000 timed out\n32000 terminated\n");
    }

    #[test]
    fn a_provisional_slows_the_repetition_but_does_not_stop_the_clock() {
        assert_eq!(
            play(Transport::Udp, &[(600, 100)]),
            "0 BYE\n500 BYE\n600 heard 100\n1500 BYE\n5500 BYE\n9500 BYE\n13500 BYE\n17500 BYE\n21500 BYE\n\
             25500 BYE\n29500 BYE\n32000 timed out\n32000 terminated\n"
        );
    }

    #[test]
    fn a_final_response_is_told_once_and_its_repetitions_absorbed() {
        assert_eq!(
            play(Transport::Udp, &[(100, 200), (600, 200), (700, 481)]),
            "0 BYE\n100 heard 200\n5100 terminated\n"
        );
        assert_eq!(play(Transport::Tcp, &[(100, 200)]), "0 BYE\n100 heard 200\n100 terminated\n");
    }
}
