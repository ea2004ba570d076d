//! The INVITE server transaction: RFC 3261 §17.2.1 as corrected by RFC 6026.
//!
//! It answers the caller's repetitions and repeats a refusal until it is acknowledged, so that
//! the usage above sees each INVITE once. A 2xx is repeated above, where its ACK arrives.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{Backoff, PATIENCE, T2, T4, linger};
use crate::base::Mono;
use crate::sip::Transport;

#[derive(Debug)]
pub struct InviteServer {
    state: State,
    transport: Transport,
    outputs: VecDeque<Output>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    Transmit(Bytes),
    /// Nobody acknowledged our refusal. Nothing can be done about it.
    TimedOut,
}

/// What came for a transaction that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The INVITE again.
    Invite,
    /// The ACK of a refusal.
    Ack,
}

#[derive(Debug)]
enum State {
    /// We owe a final response.
    Proceeding {
        provisional: Bytes,
    },
    /// A 2xx went out. RFC 6026 §7.1: stay to absorb INVITEs, or each would be a new call.
    Accepted {
        timer_l: Mono,
    },
    /// A 3xx–6xx went out; repeat it until the ACK comes.
    Completed {
        refusal: Bytes,
        timer_g: Option<Backoff>,
        timer_h: Mono,
    },
    /// The ACK came; absorb its repetitions.
    Confirmed {
        timer_i: Mono,
    },
    Terminated,
}

impl InviteServer {
    /// Sends `trying` at once: whoever rings may take longer than the 200 ms of §17.2.1.
    pub fn new(transport: Transport, trying: Bytes) -> Self {
        Self {
            outputs: VecDeque::from([Output::Transmit(trying.clone())]),
            state: State::Proceeding { provisional: trying },
            transport,
        }
    }

    pub fn handle_request(&mut self, now: Mono, received: Received) {
        match (&self.state, received) {
            (
                State::Proceeding { provisional: last } | State::Completed { refusal: last, .. },
                Received::Invite,
            ) => {
                self.outputs.push_back(Output::Transmit(last.clone()));
            }
            (State::Completed { .. }, Received::Ack) => {
                self.state = match linger(self.transport, T4) {
                    Duration::ZERO => State::Terminated,
                    span => State::Confirmed { timer_i: now + span },
                };
            }
            _ => {}
        }
    }

    /// The usage answers. Once a final response went, further ones are ignored.
    pub fn respond(&mut self, now: Mono, status: u16, response: Bytes) {
        if !self.is_pending() {
            return;
        }
        self.outputs.push_back(Output::Transmit(response.clone()));
        self.state = match status {
            100..200 => State::Proceeding { provisional: response },
            200..300 => State::Accepted { timer_l: now + PATIENCE },
            _ => State::Completed {
                refusal: response,
                timer_g: Backoff::over(self.transport, now),
                timer_h: now + PATIENCE,
            },
        };
    }

    /// The stream our last response went by broke (RFC 3261 §18.2.2): it goes again, elsewhere.
    pub fn resend(&mut self) {
        if let State::Completed { refusal, .. } = &self.state {
            self.outputs.push_back(Output::Transmit(refusal.clone()));
        }
    }

    pub fn handle_timeout(&mut self, now: Mono) {
        match &mut self.state {
            State::Completed { timer_h, .. } if *timer_h <= now => {
                self.outputs.push_back(Output::TimedOut);
                self.state = State::Terminated;
            }
            State::Completed { refusal, timer_g: Some(g), .. } if g.at <= now => {
                self.outputs.push_back(Output::Transmit(refusal.clone()));
                g.double(T2);
            }
            State::Accepted { timer_l: at } | State::Confirmed { timer_i: at } if *at <= now => {
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
            State::Accepted { timer_l: at } | State::Confirmed { timer_i: at } => Some(*at),
            State::Completed { timer_g, timer_h, .. } => {
                Some(timer_g.map_or(*timer_h, |g| g.at.min(*timer_h)))
            }
            State::Proceeding { .. } | State::Terminated => None,
        }
    }

    /// Whether we still owe a final response.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Act {
        Invite,
        Ack,
        Respond(u16),
    }
    use Act::*;

    fn play(transport: Transport, script: &[(u64, Act)]) -> String {
        let at = |ms: u64| Mono::ZERO + Duration::from_millis(ms);
        let mut tx = InviteServer::new(transport, Bytes::from_static(b"100"));
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
                Some((ms, act)) if due.is_none_or(|due| at(*ms) <= due) => {
                    now = at(*ms);
                    script.next();
                    match act {
                        Invite => tx.handle_request(now, Received::Invite),
                        Ack => tx.handle_request(now, Received::Ack),
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
    fn a_repeated_invite_is_answered_with_the_latest_provisional() {
        assert_eq!(
            play(Transport::Udp, &[(500, Invite), (900, Respond(180)), (1500, Invite)]),
            "0 100\n500 100\n900 180\n1500 180\n1500 waiting\n"
        );
    }

    #[test]
    fn a_refusal_nobody_acknowledges_is_repeated_then_given_up() {
        assert_eq!(
            play(Transport::Udp, &[(0, Respond(486))]),
            "0 100\n0 486\n500 486\n1500 486\n3500 486\n7500 486\n11500 486\n15500 486\n19500 486\n\
             23500 486\n27500 486\n31500 486\n32000 timed out\n32000 terminated\n"
        );
        assert_eq!(
            play(Transport::Tcp, &[(0, Respond(486))]),
            "0 100\n0 486\n32000 timed out\n32000 terminated\n"
        );
    }

    #[test]
    fn an_ack_ends_the_repetition_and_its_own_repetitions_are_absorbed() {
        assert_eq!(
            play(Transport::Udp, &[(0, Respond(486)), (600, Ack), (700, Invite), (800, Ack)]),
            "0 100\n0 486\n500 486\n5600 terminated\n"
        );
        assert_eq!(play(Transport::Tcp, &[(0, Respond(486)), (600, Ack)]), "0 100\n0 486\n600 terminated\n");
    }

    #[test]
    fn invites_that_come_after_a_2xx_are_absorbed() {
        assert_eq!(
            play(Transport::Udp, &[(100, Respond(200)), (500, Invite), (600, Ack)]),
            "0 100\n100 200\n32100 terminated\n"
        );
    }

    #[test]
    fn only_the_first_final_response_goes_out() {
        assert_eq!(
            play(Transport::Tcp, &[(0, Respond(200)), (1, Respond(486)), (2, Respond(180))]),
            "0 100\n0 200\n32000 terminated\n"
        );
    }
}
