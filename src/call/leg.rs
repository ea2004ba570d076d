//! One leg's media agreement: a socket of the stock or the shared port, the negotiator, and the plan
//! that follows.
//!
//! A leg never sees the other leg. Its signalling lives in the SIP endpoint under the same id, or is
//! a page's requests ([`Signalling`]).

use std::net::SocketAddr;

use bytes::Bytes;

use crate::base::{Codec, Fingerprint, IceCredentials, Key, LegId};
use crate::media;
use crate::media::plan::{self, Plan, SocketId};
use crate::sdp::{self, Local, Negotiator, Reach, Refusal};
use crate::sip::Request;

/// Where a leg's packets come and go: a bound socket pair taken from the stock of a shard, or the
/// shard's shared port ([`SocketId::shared`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    pub shard: u16,
    pub id: SocketId,
    /// Where the peer is to send RTP.
    pub address: SocketAddr,
}

/// What a leg is made of, all of it minted or taken from stock beforehand: so an answer is written
/// in the turn that reads its offer.
#[derive(Clone, Debug)]
pub struct Outfit {
    pub socket: Socket,
    pub reach: Reach,
    /// The one we like best comes first.
    pub codecs: Vec<Codec>,
    pub ssrc: u32,
    /// Of the `o=` line.
    pub session: u64,
    /// Letters and digits (RFC 7022).
    pub cname: Box<str>,
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
    /// It asks over HTTP or a desktop's WebSocket and is answered; nothing can be sent to it. It sees
    /// the end of the call by the end of its audio.
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
    pub fn new(id: LegId, outfit: Outfit) -> Self {
        let Outfit { socket, reach, codecs, ssrc, session, cname } = outfit;
        let negotiator = Negotiator::new(Local { session, codecs, reach, ssrc, cname });
        Self { id, socket, ssrc, negotiator, signalling: Signalling::Sip, state: State::New }
    }

    #[must_use]
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

    /// Whether the peer sends us sound to be heard, as agreed. A phone that holds by `sendonly` may
    /// have music of its own; one in a browser (JsSIP, SIP.js) has none and sends silence.
    pub fn is_heard(&self) -> bool {
        self.negotiator.agreed().is_some_and(|agreed| match agreed.direction {
            sdp::Direction::SendRecv => true,
            sdp::Direction::RecvOnly => !self.socket.id.is_shared(),
            sdp::Direction::SendOnly | sdp::Direction::Inactive => false,
        })
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

    /// What the next re-answer may need if the peer restarts ICE (RFC 8445 §9).
    pub fn provide(&mut self, fresh: IceCredentials) {
        self.negotiator.provide(fresh);
    }

    /// The peer's, where keys come by DTLS.
    pub fn certificate(&self) -> Option<Fingerprint> {
        match self.negotiator.agreed()?.keys {
            sdp::Keys::Dtls { theirs, .. } => Some(theirs),
            _ => None,
        }
    }

    /// As agreed.
    pub fn codec(&self) -> Option<Codec> {
        self.negotiator.agreed().map(|agreed| agreed.codec)
    }

    fn plan(&self) -> Option<Plan> {
        let agreed = self.negotiator.agreed()?;
        let (path, rtcp) = match &agreed.path {
            sdp::Path::Symmetric { remote, rtcp } => {
                let (rtcp, remote_rtcp) = match rtcp {
                    sdp::Rtcp::Muxed => (plan::Rtcp::Muxed, *remote),
                    sdp::Rtcp::Apart(there) => (plan::Rtcp::Apart, *there),
                };
                (plan::Path::Symmetric { remote: *remote, remote_rtcp }, rtcp)
            }
            sdp::Path::Ice { ours, theirs } => {
                let path = plan::Path::Ice { ours: ours.clone(), theirs: theirs.clone() };
                (path, plan::Rtcp::Muxed)
            }
        };
        let keys = match &agreed.keys {
            sdp::Keys::None => plan::Keys::None,
            sdp::Keys::Sdes { ours, theirs } => {
                plan::Keys::Sdes { ours: ours.clone(), theirs: theirs.clone() }
            }
            sdp::Keys::Dtls { theirs, role } => plan::Keys::Dtls { theirs: *theirs, role: *role },
        };
        let events = agreed.events.map(|events| plan::Events {
            sent: events.payload_type,
            received: events.payload_type_in,
            clock: events.clock,
            aside: events.aside,
        });
        Some(Plan {
            socket: self.socket.id,
            path,
            keys,
            rtcp,
            metrics: match agreed.metrics {
                sdp::Metrics::Asked => plan::Metrics::Asked,
                sdp::Metrics::Unasked => plan::Metrics::Unasked,
            },
            codec: agreed.codec,
            payload_type: agreed.payload_type,
            payload_type_in: agreed.payload_type_in,
            spares: agreed.spares,
            events,
            noise: agreed.comfort_noise,
            opus: agreed.opus.map(|opus| plan::Opus {
                redundancy: opus.fec,
                dtx: opus.dtx,
                bitrate: opus.bitrate,
                rate: opus.rate,
            }),
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
