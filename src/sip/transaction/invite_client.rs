//! The INVITE client transaction: RFC 3261 §17.1.1 as corrected by RFC 6026, with §9.1's rules
//! for cancelling.
//!
//! It repeats the INVITE until anything comes back, acknowledges refusals and their repetitions,
//! and holds a CANCEL back until a provisional response permits it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{Backoff, Heard, PATIENCE, linger};
use crate::base::Mono;
use crate::sip::Transport;

#[derive(Debug)]
pub struct InviteClient {
    state: State,
    transport: Transport,
    outputs: VecDeque<Output>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// The INVITE, or the ACK to a refusal.
    Transmit(Bytes),
    /// The time to send a CANCEL, which is a transaction of its own, has come.
    Cancel,
    /// No response came at all (408), or none to the INVITE after it was cancelled.
    TimedOut,
}

/// Each timer lives in the state that arms it: leaving the state disarms it.
#[derive(Debug)]
enum State {
    /// Nothing has come back yet.
    Calling {
        invite: Bytes,
        wish: Wish,
        timer_a: Option<Backoff>,
        timer_b: Mono,
    },
    /// A provisional came; there is no limit to ringing but the layer above's.
    Proceeding,
    /// A provisional came and a CANCEL went. RFC 3261 §9.1: a peer that knows no CANCEL, or
    /// whose 487 is lost for good, is waited for no longer than 64 × T1.
    Cancelling {
        until: Mono,
    },
    /// A 2xx came. Its repetitions and those of other forks pass through.
    Accepted {
        timer_m: Mono,
    },
    /// A 3xx–6xx came; repeat our ACK for each of its repetitions.
    Completed {
        ack: Bytes,
        timer_d: Mono,
    },
    Terminated,
}

/// What to do when the first provisional comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Answer,
    Cancel,
    Abandon,
}

/// RFC 3261 §17.1.1.2: timer D is at least 32 s over UDP.
const TIMER_D: Duration = Duration::from_secs(32);

impl InviteClient {
    pub fn new(now: Mono, transport: Transport, invite: Bytes) -> Self {
        Self {
            outputs: VecDeque::from([Output::Transmit(invite.clone())]),
            state: State::Calling {
                invite,
                wish: Wish::Answer,
                timer_a: Backoff::over(transport, now),
                timer_b: now + PATIENCE,
            },
            transport,
        }
    }

    /// A response that matched this transaction. `ack` builds the ACK to a refusal, once.
    pub(crate) fn handle_response(&mut self, now: Mono, status: u16, ack: impl FnOnce() -> Bytes) -> Heard {
        let wish = match &self.state {
            State::Calling { wish, .. } => *wish,
            State::Proceeding | State::Cancelling { .. } => Wish::Answer,
            State::Accepted { .. } if (200..300).contains(&status) => return Heard::News,
            State::Completed { ack, .. } if status >= 300 => {
                self.outputs.push_back(Output::Transmit(ack.clone()));
                return Heard::Absorbed;
            }
            State::Accepted { .. } | State::Completed { .. } | State::Terminated => return Heard::Absorbed,
        };
        match status {
            100..200 => {
                if matches!(self.state, State::Calling { .. }) {
                    self.state = State::Proceeding;
                }
                match wish {
                    Wish::Answer => {}
                    Wish::Cancel => self.cancel(now),
                    Wish::Abandon => self.abandon(now),
                }
            }
            200..300 => self.state = State::Accepted { timer_m: now + PATIENCE },
            _ => {
                let ack = ack();
                self.outputs.push_back(Output::Transmit(ack.clone()));
                self.state = match linger(self.transport, TIMER_D) {
                    Duration::ZERO => State::Terminated,
                    span => State::Completed { ack, timer_d: now + span },
                };
            }
        }
        Heard::News
    }

    /// The layer above no longer wants an answer. One that crosses still comes up.
    pub fn cancel(&mut self, now: Mono) {
        match &mut self.state {
            State::Calling { wish, .. } => *wish = Wish::Cancel,
            State::Proceeding => {
                self.outputs.push_back(Output::Cancel);
                self.state = State::Cancelling { until: now + PATIENCE };
            }
            _ => {}
        }
    }

    /// The dialog of this re-INVITE has ended: its BYE makes the peer answer, and if not, so be it.
    pub fn abandon(&mut self, now: Mono) {
        match &mut self.state {
            State::Calling { wish, .. } => *wish = Wish::Abandon,
            State::Proceeding => self.state = State::Cancelling { until: now + PATIENCE },
            _ => {}
        }
    }

    pub fn handle_timeout(&mut self, now: Mono) {
        match &mut self.state {
            State::Calling { timer_b: at, .. } | State::Cancelling { until: at } if *at <= now => {
                self.outputs.push_back(Output::TimedOut);
                self.state = State::Terminated;
            }
            State::Calling { invite, timer_a: Some(a), .. } if a.at <= now => {
                self.outputs.push_back(Output::Transmit(invite.clone()));
                // §17.1.1.2: timer A, unlike E and G, knows no ceiling.
                a.double(Duration::MAX);
            }
            State::Accepted { timer_m: at } | State::Completed { timer_d: at, .. } if *at <= now => {
                self.state = State::Terminated;
            }
            _ => {}
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Mono> {
        match &self.state {
            State::Calling { timer_a, timer_b, .. } => Some(timer_a.map_or(*timer_b, |a| a.at.min(*timer_b))),
            State::Cancelling { until: at }
            | State::Accepted { timer_m: at }
            | State::Completed { timer_d: at, .. } => Some(*at),
            State::Proceeding | State::Terminated => None,
        }
    }

    /// Whether a final response is still awaited.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding | State::Cancelling { .. })
    }

    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Act {
        Response(u16),
        Cancel,
        Abandon,
    }
    use Act::*;

    /// Plays `(milliseconds, act)` and every timer between, and writes down what came out.
    fn play(transport: Transport, script: &[(u64, Act)]) -> String {
        let at = |ms: u64| Mono::ZERO + Duration::from_millis(ms);
        let mut tx = InviteClient::new(at(0), transport, Bytes::from_static(b"INVITE"));
        let mut transcript = String::new();
        let mut script = script.iter().peekable();
        let mut now = at(0);
        loop {
            let ms = (now - at(0)).as_millis();
            while let Some(output) = tx.poll_output() {
                transcript += &match output {
                    Output::Transmit(bytes) => format!("{ms} {}\n", String::from_utf8_lossy(&bytes)),
                    Output::Cancel => format!("{ms} cancel\n"),
                    Output::TimedOut => format!("{ms} timed out\n"),
                };
            }
            let due = tx.poll_timeout();
            match script.peek() {
                Some((ms, act)) if due.is_none_or(|due| at(*ms) <= due) => {
                    now = at(*ms);
                    script.next();
                    match act {
                        Response(status) => {
                            if tx.handle_response(now, *status, || Bytes::from_static(b"ACK")) == Heard::News
                            {
                                transcript += &format!("{ms} heard {status}\n");
                            }
                        }
                        Cancel => tx.cancel(now),
                        Abandon => tx.abandon(now),
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
    fn an_invite_nobody_hears_is_repeated_at_doubling_intervals_then_given_up() {
        assert_eq!(
            play(Transport::Udp, &[]),
            "0 INVITE\n500 INVITE\n1500 INVITE\n3500 INVITE\n7500 INVITE\n15500 INVITE\n31500 INVITE\n\
             32000 timed out\n32000 terminated\n"
        );
    }

    #[test]
    fn an_invite_over_a_stream_is_sent_once() {
        assert_eq!(play(Transport::Tcp, &[]), "0 INVITE\n32000 timed out\n32000 terminated\n");
    }

    #[test]
    fn a_provisional_stops_the_repetition_and_the_clock() {
        assert_eq!(
            play(Transport::Udp, &[(700, Response(100)), (900, Response(180))]),
            "0 INVITE\n500 INVITE\n700 heard 100\n900 heard 180\n900 waiting\n"
        );
    }

    #[test]
    fn every_2xx_passes_through_for_64_t1() {
        assert_eq!(
            play(
                Transport::Udp,
                &[(100, Response(200)), (600, Response(200)), (700, Response(180)), (800, Response(486))]
            ),
            "0 INVITE\n100 heard 200\n600 heard 200\n32100 terminated\n"
        );
    }

    #[test]
    fn each_repetition_of_a_refusal_is_acknowledged_and_told_once() {
        assert_eq!(
            play(Transport::Udp, &[(100, Response(486)), (600, Response(486)), (700, Response(200))]),
            "0 INVITE\n100 heard 486\n100 ACK\n600 ACK\n32100 terminated\n"
        );
        assert_eq!(
            play(Transport::Tcp, &[(100, Response(486))]),
            "0 INVITE\n100 heard 486\n100 ACK\n100 terminated\n"
        );
    }

    #[test]
    fn a_cancel_waits_for_the_first_provisional() {
        assert_eq!(
            play(
                Transport::Udp,
                &[(100, Cancel), (700, Response(180)), (800, Response(180)), (900, Response(487))]
            ),
            "0 INVITE\n500 INVITE\n700 heard 180\n700 cancel\n800 heard 180\n900 heard 487\n900 ACK\n\
             32900 terminated\n"
        );
    }

    #[test]
    fn a_cancel_nobody_honours_is_given_up() {
        assert_eq!(
            play(Transport::Udp, &[(100, Response(180)), (200, Cancel), (300, Cancel), (400, Response(180))]),
            "0 INVITE\n100 heard 180\n200 cancel\n400 heard 180\n32200 timed out\n32200 terminated\n"
        );
    }

    #[test]
    fn an_abandoned_invite_is_waited_for_no_longer_than_a_cancelled_one() {
        assert_eq!(
            play(Transport::Udp, &[(100, Response(100)), (200, Abandon)]),
            "0 INVITE\n100 heard 100\n32200 timed out\n32200 terminated\n"
        );
        assert_eq!(
            play(Transport::Udp, &[(100, Abandon), (200, Response(100))]),
            "0 INVITE\n200 heard 100\n32200 timed out\n32200 terminated\n"
        );
    }

    #[test]
    fn a_2xx_that_crosses_the_cancel_comes_up() {
        assert_eq!(
            play(Transport::Udp, &[(100, Response(180)), (200, Cancel), (210, Response(200))]),
            "0 INVITE\n100 heard 180\n200 cancel\n210 heard 200\n32210 terminated\n"
        );
    }
}
