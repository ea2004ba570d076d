//! One leg's media agreement: a socket of the stock, the negotiator, and the plan that follows.
//!
//! A leg never sees the other leg. Its signalling lives in the SIP endpoint under the same id, or is
//! a page's requests ([`Signalling`]).

use std::net::SocketAddr;

use bytes::Bytes;

use crate::base::{Key, LegId};
use crate::media::{self, Law, Plan, SocketId};
use crate::sdp::{self, Codec, Local, Negotiator, Refusal};
use crate::sip::Request;

/// A bound socket pair, taken from the stock of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    pub shard: u16,
    pub id: SocketId,
    /// Where the peer is to send RTP.
    pub address: SocketAddr,
}

#[derive(Debug)]
pub struct Leg {
    id: LegId,
    socket: Socket,
    ssrc: u32,
    negotiator: Negotiator,
    signalling: Signalling,
    state: State,
}

/// How the peer is told what becomes of its leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalling {
    /// A dialog of the SIP endpoint.
    Sip,
    /// It asks over HTTP and is answered; nothing can be sent to it. It sees the end of the call by
    /// the end of its audio.
    Web,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing agreed yet.
    New,
    /// Our offer is out; the answer comes in a 200 or an ACK.
    Offered {
        open: bool,
    },
    Agreed {
        open: bool,
    },
}

impl Leg {
    pub fn new(id: LegId, socket: Socket, ssrc: u32, session: u64) -> Self {
        let local = Local {
            address: socket.address.ip(),
            port: socket.address.port(),
            session,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
        };
        let negotiator = Negotiator::new(local);
        Self { id, socket, ssrc, negotiator, signalling: Signalling::Sip, state: State::New }
    }

    pub fn on(mut self, signalling: Signalling) -> Self {
        self.signalling = signalling;
        self
    }

    pub fn signalling(&self) -> Signalling {
        self.signalling
    }

    pub fn id(&self) -> LegId {
        self.id
    }

    pub fn socket(&self) -> Socket {
        self.socket
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Agreed { open: true } | State::Offered { open: true })
    }

    pub fn awaits_answer(&self) -> bool {
        matches!(self.state, State::Offered { .. })
    }

    /// Whether the peer sends us sound, as agreed.
    pub fn is_heard(&self) -> bool {
        self.negotiator.agreed().is_some_and(|a| direction(a.direction).receives())
    }

    /// The body of our 200: the answer, or our own offer where none came (RFC 3264 §5).
    pub fn answer(&mut self, offer: &[u8]) -> Result<Bytes, Refusal> {
        let open = self.is_open();
        if offer.is_empty() {
            self.state = State::Offered { open };
            return Ok(self.negotiator.offer(sdp::Direction::SendRecv));
        }
        let (body, _) = self.negotiator.answer(offer, sdp::Direction::SendRecv)?;
        self.state = State::Agreed { open };
        Ok(body)
    }

    pub fn offer(&mut self) -> Bytes {
        self.state = State::Offered { open: self.is_open() };
        self.negotiator.offer(sdp::Direction::SendRecv)
    }

    pub fn accept(&mut self, answer: &[u8]) -> Result<(), Refusal> {
        let open = self.is_open();
        self.negotiator.accept(answer)?;
        self.state = State::Agreed { open };
        Ok(())
    }

    /// Opens the audio as agreed, or amends it if it is open. `None` before anything is agreed.
    pub fn open(&mut self) -> Option<media::Command> {
        let State::Agreed { open } = self.state else { return None };
        let plan = self.plan()?;
        let leg = self.id;
        self.state = State::Agreed { open: true };
        Some(if open { media::Command::Amend { leg, plan } } else { media::Command::Open { leg, plan } })
    }

    fn plan(&self) -> Option<Plan> {
        let agreed = self.negotiator.agreed()?;
        Some(Plan {
            socket: self.socket.id,
            remote: agreed.remote,
            remote_rtcp: agreed.remote_rtcp,
            law: match agreed.codec {
                Codec::Pcmu => Law::Mu,
                Codec::Pcma => Law::A,
            },
            payload_type: agreed.payload_type,
            // What is received matters more, where the two differ.
            events: agreed.events_in.or(agreed.events),
            ptime_ms: agreed.ptime_ms,
            direction: direction(agreed.direction),
            ssrc: self.ssrc,
        })
    }
}

fn direction(agreed: sdp::Direction) -> media::Direction {
    match agreed {
        sdp::Direction::SendRecv => media::Direction::SendRecv,
        sdp::Direction::SendOnly => media::Direction::SendOnly,
        sdp::Direction::RecvOnly => media::Direction::RecvOnly,
        sdp::Direction::Inactive => media::Direction::Inactive,
    }
}

/// The key a phone sends by INFO: `application/dtmf-relay` (`Signal=5`) or `application/dtmf` (`5`).
pub(super) fn key_of_info(request: &Request) -> Option<Key> {
    let kind = request.headers.content_type().ok()??;
    let text = std::str::from_utf8(&request.body).ok()?;
    let signal = if kind.is("application/dtmf-relay") {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then(|| value.trim())
        })?
    } else if kind.is("application/dtmf") {
        text.trim()
    } else {
        return None;
    };
    // Some phones write the event code instead of the sign.
    match signal {
        "10" => Some(Key::STAR),
        "11" => Some(Key::POUND),
        _ => signal.parse().ok(),
    }
}
