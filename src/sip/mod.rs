//! RFC 3261: bytes in, dialogs out.
//!
//! One [`Endpoint`](endpoint::Endpoint) owns every transaction, every dialog, the registrar and
//! the trunks. The layer above sees *dialog usages* (RFC 5057 §3.1), each known by a [`LegId`]: an
//! INVITE that came, what became of one that was sent, and the re-INVITEs, INFOs and BYE within.
//! Retransmissions, ACKs, CANCEL crossings, digest challenges and merged requests end here.
//!
//! **Invariant:** nothing here knows a call, a queue or what a body means.

pub mod auth;
pub mod dialog;
pub mod endpoint;
mod field;
mod header;
mod message;
mod name;
mod parse;
pub mod registrar;
mod syntax;
mod throttle;
pub mod transaction;
pub mod trunk;
mod uri;

use std::net::SocketAddr;

use bytes::Bytes;

use crate::base::{AgentId, LegId, TrunkId};

pub use field::{CSeq, Challenge, Contacts, ContentType, Credentials, NameAddr, Params, Via};
pub use header::{BadHeader, Flaw, Header, Headers, Unfit, Value};
pub use message::{Extension, Message, Method, Request, Response, reason_phrase};
pub use name::{Name, Unknown};
pub use parse::{Fault, Frame, Framer, Limits, Malformed, parse, parse_within};
pub use uri::{BadUri, Host, Scheme, Uri};

/// One place to send to or receive from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hop {
    pub transport: Transport,
    /// Our end: which listener.
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// The stream it came by. `None` over UDP, and over TCP where any stream to `remote` will do. A
    /// WebSocket is nothing but its stream: without one, or with one that ended, nobody is there.
    pub stream: Option<StreamId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    Udp,
    Tcp,
    /// SIP over WebSocket (RFC 7118): a browser's, which we can answer but never call up.
    Ws,
    /// The same within TLS.
    Wss,
}

impl Transport {
    /// In a Via (RFC 3261 §20.42, RFC 7118 §5.2.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// In a sip URI, where UDP goes without saying. `ws` stands for both (RFC 7118 §5.2.2).
    pub const fn parameter(self) -> Option<&'static str> {
        match self {
            Self::Udp => None,
            Self::Tcp => Some("tcp"),
            Self::Ws | Self::Wss => Some("ws"),
        }
    }

    /// Whether what is sent arrives, or the sender hears that it did not: nothing is repeated.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether a browser is at the other end, or what behaves like one.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// One accepted or opened connection, numbered by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// What the world tells the endpoint.
#[derive(Clone, Debug)]
pub enum Input {
    /// One datagram, or one message framed out of a stream.
    Received { hop: Hop, bytes: Bytes },
    /// What was sent there did not arrive, or the stream broke (RFC 3261 §18.4).
    Unreachable { hop: Hop },
}

/// What the endpoint asks of the world, and what it tells the layer above.
#[derive(Clone, Debug)]
pub enum Output {
    Transmit { hop: Hop, bytes: Bytes },
    Event(Event),
}

/// Who sent a request that opens a dialog: already known, already authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// By source address.
    Trunk(TrunkId),
    /// By digest.
    Agent(AgentId),
}

/// What happened to a usage, or to a registration. Past tense; each is told once.
#[derive(Clone, Debug)]
pub enum Event {
    /// An INVITE opened a usage; 100 has been sent. Owed: `respond`.
    Invited { leg: LegId, peer: Peer, hop: Hop, request: Request },
    /// The caller gave up before our final response; 487 has been sent. The usage is gone.
    Cancelled { leg: LegId, request: Request },
    /// Our 2xx to an INVITE or re-INVITE was acknowledged; a delayed offer's answer is in `body`.
    Acked { leg: LegId, body: Bytes },
    /// Our 2xx was never acknowledged (RFC 3261 §13.3.1.4). Owed: `hang_up`.
    Unacked { leg: LegId },

    /// A provisional above 100 for our INVITE. `body` may be early media's SDP.
    Progressed { leg: LegId, response: Response },
    /// The first 2xx for our INVITE. Owed: `ack`. Further forks are acknowledged and ended here.
    Answered { leg: LegId, response: Response },
    /// 3xx–6xx, or 408 where nobody answered, or 503 where nobody could be reached: the response
    /// is then our own. The usage is gone.
    Refused { leg: LegId, response: Response },

    /// A re-INVITE or UPDATE (RFC 3311) with this body. Owed: `respond`.
    Reoffered { leg: LegId, request: Request },
    /// Our re-INVITE was accepted and acknowledged.
    Reanswered { leg: LegId, response: Response },
    /// Our re-INVITE was refused; the dialog stands as before, unless `Ended` follows.
    Rerefused { leg: LegId, response: Response },
    /// An INFO; 200 has been sent.
    Informed { leg: LegId, request: Request },

    /// BYE came and 200 has been sent, or the dialog is lost to the peer (481, 408 within it).
    /// The usage is gone.
    Ended { leg: LegId, by: Ending },

    /// The account's contacts changed: it can be reached, or can no longer.
    Registered { agent: AgentId, reachable: bool },
}

#[derive(Clone, Debug)]
pub enum Ending {
    /// The peer's BYE.
    Bye(Request),
    /// The peer no longer knows the dialog or no longer answers.
    Lost,
}
