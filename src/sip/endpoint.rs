//! The endpoint: RFC 3261's user agent core for all calls at once, with registrar and trunks.
//!
//! Bytes come in, dialog usages come out. The layer above sees each call's INVITE, answer, offers
//! and end exactly once, in order, from a peer that is known: by address (trunks) or by digest
//! (agents' phones). What it never sees: repetitions, ACKs that are lost, CANCELs that cross an
//! answer, further forks, challenges, requests that came twice, out of order or from strangers.
//!
//! **Where things go.** A response goes back by its Via (RFC 3261 §18.2.2, RFC 3581), over TCP by
//! its stream; `maddr` is ignored, for it would let a datagram choose a victim. A request goes to an
//! address, never a name: there is no DNS here, and a target that is a name is refused with 503.
//! A browser (RFC 7118) has no address: it is reached by the stream it registered by, or not at all.
//! Within a dialog see [`Dialog::next_hop`](super::dialog::Dialog::next_hop). A request past 1300
//! bytes stays on UDP (against §18.1.1): a phone that offers UDP only is met every day, one that
//! loses fragments hardly ever.
//!
//! **Strangers.** A source that is no trunk, no registered phone and does not claim to be of our own
//! domain gets 403; who claims to be is challenged, whether or not there is such an account. Both
//! are stateless, and rationed by source: a flood is met with silence. Within a call, an agent's
//! phone that sends by another way than before is challenged again; a carrier's next server is not,
//! for it has no password: the dialog's tags, 64 random bits of them ours, must do.
//!
//! **Invariant:** all memory a peer can make it use is bounded by [`Bounds`].

mod hear;
mod receive;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::auth::{Algorithm, Ha1, Verifier};
use super::dialog::{self, Dialog, Role};
use super::registrar::{Lifetimes, Reachability, Registrar};
use super::throttle::{Answer as Dose, Throttle};
use super::transaction::client::{self, Client};
use super::transaction::invite_client::{self, InviteClient};
use super::transaction::{Backoff, PATIENCE, invite_server, server};
use super::trunk::{Trunk, Trunks};
use super::{
    CSeq, Event, Headers, Hop, Input, Message, Method, Name, NameAddr, Output, Request, Response, Transport,
    Uri, Value, Via, parse,
};
use crate::base::{AgentId, LegId, Mint, Mono, TrunkId};
use table::{
    Answering, AskedId, Far, Kind, Opening, Owner, Phase, Purpose, Reoffer, Sending, Sent, SentId, Table,
    Unacked, Up, Usage,
};

/// What an endpoint is made of; all of it may change at a reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the shell listens. The first that fits a target sends to it.
    pub listeners: Vec<(Transport, SocketAddr)>,
    /// The address in Via and Contact. `None`: the one a message came to. Must be there where a
    /// listener is on `0.0.0.0` or `::` and the shell does not tell which address was meant.
    pub advertised: Option<IpAddr>,
    pub user_agent: String,
    /// The digest realm, and our own domain.
    pub realm: String,
    /// Asked for in that order (RFC 8760 §2.4). Empty: MD5 alone where every account has it, else
    /// SHA-256 before MD5. Phones from before RFC 8760 give up when SHA-256 is so much as offered, in
    /// either place (baresip 1.0 does), so offering both is for whoever knows the phones.
    pub algorithms: Vec<Algorithm>,
    pub accounts: Vec<Account>,
    pub trunks: Vec<Trunk>,
    pub bounds: Bounds,
}

/// A phone's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// As in the phone's address of record and its credentials.
    pub user: String,
    pub agent: AgentId,
    pub ha1: Ha1,
}

/// How much may be going on at once. Beyond it newcomers get 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Requests of peers being answered or remembered.
    pub transactions: usize,
    pub usages: usize,
    pub lifetimes: Lifetimes,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { transactions: 200_000, usages: 50_000, lifetimes: Lifetimes::default() }
    }
}

/// A call to be made.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub target: Target,
    /// Without a tag.
    pub from: NameAddr,
    /// Besides those every INVITE has, which are ours; a Max-Forwards here is kept.
    pub headers: Headers,
    pub body: Option<Body>,
}

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The phone of an agent's that registered last; 480 where there is none.
    Account(AgentId),
    /// Straight to its address; 503 where it is a name.
    Uri(Uri),
    /// By way of a trunk's outbound address, to this Request-URI.
    Trunk(TrunkId, Uri),
}

/// A body and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub content_type: Value,
    pub content: Bytes,
}

impl Body {
    pub fn sdp(content: impl Into<Bytes>) -> Self {
        Self { content_type: Value::constant("application/sdp"), content: content.into() }
    }
}

/// Whether new calls are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Open,
    /// INVITE and OPTIONS get 503 with Retry-After; calls that are up stay.
    Draining,
}

/// How much is going on. All zero but `registrations` when every call is over and forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub transactions: usize,
    pub usages: usize,
    pub timers: usize,
    pub registrations: usize,
    /// Requests of strangers that were beyond their ration and got silence, since the start.
    pub dropped: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Endpoint {
    listeners: Vec<(Transport, SocketAddr)>,
    advertised: Option<IpAddr>,
    user_agent: Value,
    bounds: Bounds,
    accounts: BTreeMap<Arc<str>, Account>,
    trunks: Trunks,
    registrar: Registrar,
    verifier: Verifier,
    throttle: Throttle,
    admission: Admission,
    mint: Mint,
    /// Makes tags of stateless responses, the same for each copy of a request.
    tag_secret: u64,
    last_leg: u64,
    table: Table,
    outputs: VecDeque<Output>,
}

const ALLOW: Value = Value::constant("INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE");
const ACCEPT: Value = Value::constant("application/sdp, application/dtmf-relay");
/// Each fork of an INVITE that answers costs an ACK and a BYE; nobody forks wider.
const FORKS: usize = 16;
const BRANCH: &str = "z9hG4bK";

impl Endpoint {
    pub fn new(settings: Settings, mut mint: Mint) -> Self {
        let verifier = Verifier::new(String::new(), vec![], mint.fork());
        let mut endpoint = Self {
            listeners: vec![],
            advertised: None,
            user_agent: Value::constant(""),
            bounds: Bounds::default(),
            accounts: BTreeMap::new(),
            trunks: Trunks::default(),
            registrar: Registrar::default(),
            verifier,
            throttle: Throttle::new(),
            admission: Admission::Open,
            tag_secret: mint.u64(),
            mint,
            last_leg: 0,
            table: Table::default(),
            outputs: VecDeque::new(),
        };
        endpoint.reconfigure(settings);
        endpoint
    }

    /// After a reload. Calls stay; so do registrations of accounts that still exist.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.listeners = settings.listeners;
        self.advertised = settings.advertised;
        self.user_agent = settings.user_agent.into();
        self.bounds = settings.bounds;
        let algorithms = match settings.algorithms {
            chosen if !chosen.is_empty() => chosen,
            _ if settings.accounts.iter().all(|account| account.ha1.md5.is_some()) => vec![Algorithm::Md5],
            _ => vec![Algorithm::Sha256, Algorithm::Md5],
        };
        self.verifier.reconfigure(settings.realm, algorithms);
        self.trunks = Trunks::new(settings.trunks);
        let by_user = |account: Account| (Arc::from(account.user.as_str()), account);
        self.accounts = settings.accounts.into_iter().map(by_user).collect();
        let accounts = &self.accounts;
        self.registrar.reconfigure(self.bounds.lifetimes, |user, agent| {
            accounts.get(user).is_some_and(|account| account.agent == *agent)
        });
        self.tell_registrations();
    }

    pub fn handle_input(&mut self, now: Mono, input: Input) {
        match input {
            Input::Received { hop, bytes } => match parse(bytes) {
                Ok(Message::Request(request)) => self.on_request(now, hop, request),
                Ok(Message::Response(response)) => self.on_response(now, hop, response),
                Err(malformed) => self.on_malformed(now, hop, malformed),
            },
            Input::Unreachable { hop } => self.on_unreachable(now, hop),
        }
    }

    pub fn handle_timeout(&mut self, now: Mono) {
        while let Some((at, owner)) = self.table.next_deadline()
            && at <= now
        {
            match owner {
                Owner::Asked(id) => {
                    match self.table.asked.get_mut(&id).map(|asked| &mut asked.machine) {
                        Some(Answering::Invite(machine)) => machine.handle_timeout(now),
                        Some(Answering::Other(machine)) => machine.handle_timeout(now),
                        None => {}
                    }
                    self.settle_asked(now, id);
                }
                Owner::Sent(id) => {
                    match self.table.sent.get_mut(&id).map(|sent| &mut sent.machine) {
                        Some(Sending::Invite(machine)) => machine.handle_timeout(now),
                        Some(Sending::Other(machine)) => machine.handle_timeout(now),
                        None => {}
                    }
                    self.settle_sent(now, id);
                }
                Owner::Usage(leg) => self.on_usage_timeout(now, leg),
            }
        }
        self.registrar.handle_timeout(now);
        self.tell_registrations();
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Mono> {
        let deadline = self.table.next_deadline().map(|(at, _)| at);
        deadline.into_iter().chain(self.registrar.poll_timeout()).min()
    }

    pub fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    pub fn admit(&mut self, admission: Admission) {
        self.admission = admission;
    }

    pub fn counts(&self) -> Counts {
        Counts {
            transactions: self.table.asked.len() + self.table.sent.len(),
            usages: self.table.usages.len(),
            timers: self.table.deadlines(),
            registrations: self.registrar.len(),
            dropped: self.throttle.dropped,
        }
    }

    /// Whether nothing is left of any call. Registrations may stand.
    pub fn is_idle(&self) -> bool {
        let Counts { transactions, usages, timers, .. } = self.counts();
        (transactions, usages, timers) == (0, 0, 0)
    }

    /// A handle for a call to be made; those of calls that come are made here too.
    pub fn next_leg(&mut self) -> LegId {
        self.last_leg += 1;
        LegId(self.last_leg)
    }

    /// Calls. What becomes of it: [`Event::Progressed`], then [`Event::Answered`] or
    /// [`Event::Refused`]. There is no limit to ringing but [`Endpoint::hang_up`].
    pub fn invite(&mut self, now: Mono, leg: LegId, invitation: Invitation) {
        if self.table.usages.contains_key(&leg) {
            return tracing::error!(%leg, "a leg that is in use was to call again");
        }
        let Invitation { target, from, headers, body } = invitation;
        let tag = self.mint.u64();
        let (uri, far, way) = self.find(target);
        let mut request = Request::new(Method::Invite, uri.clone());
        if !headers.contains(Name::MaxForwards) {
            request.headers.push(Name::MaxForwards, 70);
        }
        request.headers.push(Name::From, from.with_tag(hex(tag)));
        request.headers.push(Name::To, NameAddr::new(uri));
        request.headers.push(Name::CallId, self.mint.hex::<12>());
        request.headers.push(Name::CSeq, CSeq::new(1, Method::Invite));
        request.headers.push(Name::Allow, ALLOW);
        extend(&mut request.headers, &headers);
        let request = with_body(request, body);
        let (hop, fallback) = match way {
            Ok(way) => way,
            Err(status) => {
                let response = Response::to(&request, status).with_to_tag(&hex(self.mint.u64()));
                return self.tell(Event::Refused { leg, response });
            }
        };
        let sent = Outgoing { hop, fallback, purpose: Purpose::Call(leg), far: &far, nonces: vec![] };
        let invite = self.send(now, request, sent);
        let phase = Phase::Calling { invite, early: vec![] };
        self.table.add_usage(leg, Usage { far, tag, phase, armed: None });
    }

    /// Answers the INVITE, re-INVITE or UPDATE the leg owes an answer. 2xx to an INVITE is repeated
    /// until [`Event::Acked`] or [`Event::Unacked`]; 3xx–6xx to the first INVITE ends the leg.
    pub fn respond(&mut self, now: Mono, leg: LegId, status: u16, headers: Headers, body: Option<Body>) {
        if !(101..700).contains(&status) {
            return tracing::error!(%leg, status, "no status to respond with");
        }
        let Some(usage) = self.table.usages.get_mut(&leg) else { return };
        let asked = match &usage.phase {
            Phase::Ringing { invite, .. } => Some(*invite),
            Phase::Up(up) => up.asked,
            _ => None,
        };
        let Some(asked) = asked else {
            return tracing::debug!(%leg, status, "nothing to respond to");
        };
        let Some((response, number)) = self.answer(asked, status, &headers, body) else { return };
        self.conclude(now, asked, status, response.clone());
        if status < 200 {
            return;
        }
        let Some(usage) = self.table.usages.get_mut(&leg) else { return };
        let is_invite = self.table.asked.get(&asked).is_some_and(|a| a.method == Method::Invite);
        let is_opening = matches!(usage.phase, Phase::Ringing { .. });
        let opening = if is_opening { Opening::First } else { Opening::Later };
        let unacked = (is_invite && status < 300).then(|| Unacked {
            invite: asked,
            number,
            response,
            backoff: Backoff::starting(now),
            until: now + PATIENCE,
            opening,
        });
        match &mut usage.phase {
            Phase::Ringing { .. } if status >= 300 => {
                self.table.remove_usage(leg);
            }
            Phase::Ringing { dialog, .. } => {
                let dialog = dialog.clone();
                let up = Up { dialog, unacked, ack_due: None, asked: None, reoffer: None };
                usage.phase = Phase::Up(Box::new(up));
            }
            Phase::Up(up) => {
                up.asked = None;
                up.unacked = unacked.or(up.unacked.take());
            }
            _ => {}
        }
        self.table.arm(Owner::Usage(leg));
    }

    /// Acknowledges the 2xx of [`Event::Answered`]; `body` answers a delayed offer.
    pub fn ack(&mut self, _now: Mono, leg: LegId, body: Option<Body>) {
        let Some(up) = self.table.up(leg) else { return };
        let Some(invite) = up.ack_due.take() else { return };
        let dialog = up.dialog.clone();
        self.acknowledge(invite, &dialog, body);
    }

    /// Offers anew within the dialog; without a body asks for an offer. What becomes of it:
    /// [`Event::Reanswered`] or [`Event::Rerefused`]. Where the peer's offer crosses ours it is
    /// made again (RFC 3261 §14.1); where an exchange is going on already, it is refused at once
    /// with a 491 of our own.
    pub fn reinvite(&mut self, now: Mono, leg: LegId, body: Option<Body>) {
        let Some(usage) = self.table.usages.get_mut(&leg) else { return };
        let far = usage.far.clone();
        let Phase::Up(up) = &mut usage.phase else { return };
        let is_busy =
            up.asked.is_some() || up.unacked.is_some() || up.ack_due.is_some() || up.reoffer.is_some();
        if is_busy {
            let response = Response::to(&up.dialog.clone().request(Method::Invite), 491);
            return self.tell(Event::Rerefused { leg, response });
        }
        self.reoffer(now, leg, &far, body);
    }

    /// Sends an INFO; a lost dialog shows as [`Event::Ended`], other outcomes do not.
    pub fn info(&mut self, now: Mono, leg: LegId, body: Body) {
        let Some(usage) = self.table.usages.get_mut(&leg) else { return };
        let far = usage.far.clone();
        let dialog = match &mut usage.phase {
            Phase::Up(up) => &mut up.dialog,
            _ => return tracing::debug!(%leg, "an INFO needs a call that is up"),
        };
        let request = with_body(dialog.request(Method::Info), Some(body));
        let (hop, fallback) = way(&self.registrar, dialog, &far);
        let purpose = Purpose::Inform(leg);
        self.send(now, request, Outgoing { hop, fallback, purpose, far: &far, nonces: vec![] });
    }

    /// Ends the leg as its state demands: refuses an INVITE that is owed an answer with `status`
    /// (at least 300), cancels one of ours, or sends BYE. `reason` is the value of a Reason header
    /// (RFC 3326). No event of the leg comes up after this.
    pub fn hang_up(&mut self, now: Mono, leg: LegId, status: u16, reason: Option<Value>) {
        self.outputs.retain(|output| output.leg() != Some(leg));
        let Some(usage) = self.table.remove_usage(leg).map(|usage| *usage) else { return };
        let phase = match usage.phase {
            Phase::Ringing { invite, .. } => {
                let mut headers = Headers::new();
                add_reason(&mut headers, reason);
                self.refuse_asked(now, invite, status.clamp(300, 699), &headers);
                return;
            }
            Phase::Calling { invite, .. } => {
                if let Some(sent) = self.table.sent.get_mut(&invite)
                    && let Sending::Invite(machine) = &mut sent.machine
                {
                    // Kept with the INVITE, for the CANCEL may have to wait.
                    sent.cancel_reason = reason;
                    machine.cancel(now);
                }
                self.table.add_usage(leg, Usage { phase: Phase::Cancelling { invite }, ..usage });
                return self.settle_sent(now, invite);
            }
            Phase::Up(up) => {
                self.release(now, &up);
                let Up { dialog, unacked, .. } = *up;
                match unacked {
                    Some(unacked) if unacked.opening == Opening::First => {
                        Phase::Parting { dialog, unacked, reason }
                    }
                    _ => self.leave(now, leg, &usage.far, dialog, reason),
                }
            }
            gone => gone,
        };
        self.table.add_usage(leg, Usage { phase, ..usage });
        self.table.arm(Owner::Usage(leg));
    }
}

/// Where a request goes, and where once more should the stream there be lost.
type Way = (Hop, Option<Hop>);

/// How a request of ours goes out.
struct Outgoing<'a> {
    hop: Hop,
    fallback: Option<Hop>,
    purpose: Purpose,
    far: &'a Far,
    nonces: Vec<Vec<u8>>,
}

impl Endpoint {
    /// Request-URI, who that is, and the way there with the way to try should its stream be lost;
    /// or the status that says why there is none.
    fn find(&self, target: Target) -> (Uri, Far, Result<Way, u16>) {
        match target {
            Target::Account(agent) => match self.registrar.binding(&agent) {
                Some(binding) => {
                    let listens = binding.hop.stream.is_some() && !binding.hop.transport.is_websocket();
                    let fallback = listens.then(|| dialog::address(&binding.uri)).flatten();
                    let fallback = fallback.map(|remote| Hop { remote, stream: None, ..binding.hop });
                    (binding.uri.clone(), Far::Agent(agent), Ok((binding.hop, fallback)))
                }
                None => (self.of_record(&agent), Far::Agent(agent), Err(480)),
            },
            Target::Uri(uri) => {
                let hop = dialog::address(&uri).and_then(|to| self.hop_to(dialog::transport(&uri), to));
                if hop.is_none() {
                    tracing::warn!("a call's target is no address a listener of ours can send to");
                }
                (uri, Far::Address, hop.map(|hop| (hop, None)).ok_or(503))
            }
            Target::Trunk(id, uri) => {
                let outbound = self.trunks.trunk(&id).and_then(|trunk| trunk.outbound);
                let hop = outbound.and_then(|(transport, to)| self.hop_to(transport, to));
                if hop.is_none() {
                    tracing::warn!(trunk = %id, "no way out by this trunk");
                }
                (uri, Far::Trunk(id), hop.map(|hop| (hop, None)).ok_or(503))
            }
        }
    }

    /// An address for somebody who has none now.
    fn of_record(&self, agent: &AgentId) -> Uri {
        Uri::sip_at(agent.as_str(), self.verifier.realm(), None)
            .unwrap_or_else(|_| Uri::sip(agent.as_str(), SocketAddr::from(([0, 0, 0, 0], 5060))))
    }

    /// By the first listener of that transport and address family; loopback only to loopback, unless
    /// there is no other.
    fn hop_to(&self, transport: Transport, remote: SocketAddr) -> Option<Hop> {
        let fits = |(of, local): &&(Transport, SocketAddr)| {
            *of == transport && local.is_ipv4() == remote.is_ipv4() && remote.port() != 0
        };
        let alike = |local: &SocketAddr| local.ip().is_loopback() == remote.ip().is_loopback();
        let mut fitting = self.listeners.iter().filter(fits).map(|(_, local)| *local);
        let best = fitting.clone().find(|local| alike(local) || local.ip().is_unspecified());
        let local = best.or_else(|| fitting.next())?;
        Some(Hop { transport, local, remote, stream: None })
    }

    /// The address a peer at the other end of `hop` should know us by.
    fn own_address(&self, hop: Hop) -> SocketAddr {
        let ip = match self.advertised {
            // Whoever is on this machine would not find its way back from outside.
            Some(ip) if !hop.remote.ip().is_loopback() => ip,
            _ if !hop.local.ip().is_unspecified() => hop.local.ip(),
            _ if hop.remote.ip().is_loopback() => hop.remote.ip(),
            advertised => advertised.unwrap_or(hop.local.ip()),
        };
        SocketAddr::new(ip, hop.local.port())
    }

    fn contact(&self, hop: Hop) -> Value {
        let address = self.own_address(hop);
        match hop.transport.parameter() {
            None => format!("<sip:{address}>").into(),
            Some(transport) => format!("<sip:{address};transport={transport}>").into(),
        }
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn transmit(&mut self, hop: Hop, bytes: Bytes) {
        self.outputs.push_back(Output::Transmit { hop, bytes });
    }

    fn tell_registrations(&mut self) {
        while let Some((agent, reachability)) = self.registrar.poll_output() {
            let reachable = reachability == Reachability::Reachable;
            self.tell(Event::Registered { agent, reachable });
        }
    }

    /// Gives a request its Via, Contact and transaction, and sends it.
    fn send(&mut self, now: Mono, mut request: Request, outgoing: Outgoing<'_>) -> SentId {
        let Outgoing { hop, fallback, purpose, far, nonces } = outgoing;
        let id = SentId { branch: self.mint.u64(), kind: Kind::Request };
        let branch = format!("{BRANCH}{}", hex(id.branch));
        request.headers.prepend(Name::Via, Via::new(hop.transport, self.own_address(hop), &branch));
        if matches!(request.method, Method::Invite | Method::Update) {
            request.headers.set(Name::Contact, self.contact(hop));
        }
        request.headers.set(Name::UserAgent, self.user_agent.clone());
        let bytes = request.to_bytes();
        let machine = match request.method {
            Method::Invite => Sending::Invite(InviteClient::new(now, hop.transport, bytes)),
            _ => Sending::Other(Client::new(now, hop.transport, bytes)),
        };
        // A stream the shell opens for us may break as well as one that was there.
        let anew = (hop.transport == Transport::Tcp && hop.stream.is_none()).then_some(hop);
        let sent = Sent {
            machine,
            request,
            hop,
            fallback: fallback.or(anew),
            purpose,
            trunk: far.trunk(),
            wayback: far.wayback(),
            nonces,
            answers: vec![],
            cancel_reason: None,
            armed: None,
        };
        self.table.add_sent(id, sent);
        self.settle_sent(now, id);
        id
    }

    fn send_cancel(&mut self, now: Mono, invite: SentId) {
        let Some(sent) = self.table.sent.get_mut(&invite) else { return };
        let mut request = within_hop(&sent.request, Method::Cancel);
        request.headers.copy_from(&sent.request.headers, Name::To);
        add_reason(&mut request.headers, sent.cancel_reason.take());
        let id = SentId { kind: Kind::Cancel, ..invite };
        let machine = Sending::Other(Client::new(now, sent.hop.transport, request.to_bytes()));
        let cancel = Sent {
            machine,
            request,
            hop: sent.hop,
            fallback: sent.fallback,
            purpose: Purpose::Courtesy,
            trunk: None,
            wayback: sent.wayback,
            nonces: vec![],
            answers: vec![],
            cancel_reason: None,
            armed: None,
        };
        self.table.add_sent(id, cancel);
        self.settle_sent(now, id);
    }

    /// Makes a re-INVITE; the leg is up and nothing else is being offered.
    fn reoffer(&mut self, now: Mono, leg: LegId, far: &Far, body: Option<Body>) {
        let Some(up) = self.table.up(leg) else { return };
        let request = with_body(up.dialog.request(Method::Invite), body.clone()).with(Name::Allow, ALLOW);
        let (hop, fallback) = way(&self.registrar, &up.dialog, far);
        let purpose = Purpose::Reoffer(leg);
        let invite = self.send(now, request, Outgoing { hop, fallback, purpose, far, nonces: vec![] });
        if let Some(up) = self.table.up(leg) {
            up.reoffer = Some(Reoffer::Sent { invite, body });
        }
    }

    /// Sends the ACK to a 2xx and keeps it for that one's repetitions.
    fn acknowledge(&mut self, invite: SentId, dialog: &Dialog, body: Option<Body>) {
        let hop = dialog.next_hop();
        let branch = format!("{BRANCH}{}", hex(self.mint.u64()));
        let via = Via::new(hop.transport, self.own_address(hop), &branch);
        // Past timer M the peer has long given up, but an ACK that late still does no harm.
        let sent = self.table.sent.get_mut(&invite);
        let asked = sent.as_ref().map(|sent| &sent.request.headers);
        let number = asked.and_then(|headers| headers.cseq().ok()).map_or(1, |cseq| cseq.number);
        let mut request = dialog.ack(number);
        request.headers.prepend(Name::Via, via);
        if let Some(asked) = asked {
            // RFC 3261 §22.1: an ACK is never challenged, so it shows what its INVITE showed.
            request.headers.copy_from(asked, Name::Authorization);
            request.headers.copy_from(asked, Name::ProxyAuthorization);
        }
        let bytes = with_body(request, body).to_bytes();
        let tag = dialog.remote_tag();
        if let Some(answer) = sent.and_then(|sent| sent.answers.iter_mut().find(|answer| answer.tag == tag)) {
            answer.ack = Some((hop, bytes.clone()));
        }
        self.transmit(hop, bytes);
    }

    /// Sends the BYE of a leg that stays only to hear it answered.
    fn leave(
        &mut self,
        now: Mono,
        leg: LegId,
        far: &Far,
        mut dialog: Dialog,
        reason: Option<Value>,
    ) -> Phase {
        self.send_bye(now, &mut dialog, far, Purpose::Bye(leg), reason);
        Phase::Leaving { dialog }
    }

    fn send_bye(
        &mut self,
        now: Mono,
        dialog: &mut Dialog,
        far: &Far,
        purpose: Purpose,
        reason: Option<Value>,
    ) {
        let mut request = dialog.request(Method::Bye);
        add_reason(&mut request.headers, reason);
        let (hop, fallback) = way(&self.registrar, dialog, far);
        self.send(now, request, Outgoing { hop, fallback, purpose, far, nonces: vec![] });
    }

    /// A response of ours, and the number of the request it answers.
    fn answer(
        &self,
        asked: AskedId,
        status: u16,
        headers: &Headers,
        body: Option<Body>,
    ) -> Option<(Bytes, u32)> {
        let asked = self.table.asked.get(&asked)?;
        let mut response = Response::answering(&asked.headers, status);
        if status < 300 && matches!(asked.method, Method::Invite | Method::Update) {
            response.headers.copy_from(&asked.headers, Name::RecordRoute);
            response.headers.set(Name::Contact, self.contact(asked.hop));
            response.headers.push(Name::Allow, ALLOW);
        }
        response.headers.push(Name::Server, self.user_agent.clone());
        extend(&mut response.headers, headers);
        if let Some(body) = body {
            response = response.with_body(body.content_type, body.content);
        }
        Some((response.to_bytes(), asked.headers.cseq().map_or(0, |cseq| cseq.number)))
    }

    fn refuse_asked(&mut self, now: Mono, asked: AskedId, status: u16, headers: &Headers) {
        if let Some((response, _)) = self.answer(asked, status, headers, None) {
            self.conclude(now, asked, status, response);
        }
    }

    fn conclude(&mut self, now: Mono, id: AskedId, status: u16, response: Bytes) {
        if let Some(asked) = self.table.asked.get_mut(&id) {
            asked.machine.respond(now, status, response);
        }
        self.settle_asked(now, id);
    }

    /// Does what a server transaction wants done, and forgets it once it has ended.
    fn settle_asked(&mut self, now: Mono, id: AskedId) {
        loop {
            let Some(asked) = self.table.asked.get_mut(&id) else { return };
            let hop = asked.hop;
            let bytes = match &mut asked.machine {
                Answering::Invite(machine) => match machine.poll_output() {
                    Some(invite_server::Output::Transmit(bytes)) => bytes,
                    Some(invite_server::Output::TimedOut) => continue,
                    None => break,
                },
                Answering::Other(machine) => match machine.poll_output() {
                    Some(server::Output::Transmit(bytes)) => bytes,
                    Some(server::Output::TryingDue) => {
                        let trying = Response::answering(&asked.headers, 100).to_bytes();
                        machine.respond(now, 100, trying);
                        continue;
                    }
                    Some(server::Output::TimedOut) => {
                        // An UPDATE nobody answered in time; an answer now would be to nothing.
                        if let Some(leg) = asked.leg
                            && let Some(up) = self.table.up(leg)
                        {
                            up.asked.take_if(|asked| *asked == id);
                        }
                        continue;
                    }
                    None => break,
                },
            };
            self.transmit(hop, bytes);
        }
        if self.table.asked.get(&id).is_some_and(|asked| asked.machine.is_terminated()) {
            self.table.remove_asked(id);
        } else {
            self.table.arm(Owner::Asked(id));
        }
    }

    /// Does what a client transaction wants done, and forgets it once it has ended.
    fn settle_sent(&mut self, now: Mono, id: SentId) {
        self.flush_sent(now, id);
        if self.table.sent.get(&id).is_some_and(|sent| sent.machine.is_terminated()) {
            self.table.remove_sent(id);
        } else {
            self.table.arm(Owner::Sent(id));
        }
    }

    fn flush_sent(&mut self, now: Mono, id: SentId) {
        while let Some(sent) = self.table.sent.get_mut(&id) {
            let hop = sent.hop;
            match &mut sent.machine {
                Sending::Invite(machine) => match machine.poll_output() {
                    Some(invite_client::Output::Transmit(bytes)) => self.transmit(hop, bytes),
                    Some(invite_client::Output::Cancel) => self.send_cancel(now, id),
                    Some(invite_client::Output::TimedOut) => return self.give_up(now, id, 408),
                    None => return,
                },
                Sending::Other(machine) => match machine.poll_output() {
                    Some(client::Output::Transmit(bytes)) => self.transmit(hop, bytes),
                    Some(client::Output::TimedOut) => return self.give_up(now, id, 408),
                    None => return,
                },
            }
        }
    }

    fn on_usage_timeout(&mut self, now: Mono, leg: LegId) {
        let Some(mut usage) = self.table.remove_usage(leg).map(|usage| *usage) else { return };
        let mut retry = None;
        usage.phase = match usage.phase {
            Phase::Up(mut up) => {
                if let Some(unacked) = &mut up.unacked
                    && unacked.due() <= now
                {
                    if unacked.until <= now {
                        up.unacked = None;
                        self.tell(Event::Unacked { leg });
                    } else {
                        self.repeat(unacked);
                    }
                }
                if let Some(Reoffer::Waiting { at, .. }) = &mut up.reoffer
                    && *at <= now
                {
                    if up.asked.is_some() || up.unacked.is_some() {
                        *at = now + self.glare_wait(up.dialog.role());
                    } else if let Some(Reoffer::Waiting { body, .. }) = up.reoffer.take() {
                        retry = Some(body);
                    }
                }
                Phase::Up(up)
            }
            Phase::Parting { dialog, mut unacked, reason } if unacked.until > now => {
                self.repeat(&mut unacked);
                Phase::Parting { dialog, unacked, reason }
            }
            Phase::Parting { dialog, reason, .. } => self.leave(now, leg, &usage.far, dialog, reason),
            phase => phase,
        };
        let far = usage.far.clone();
        self.table.add_usage(leg, usage);
        if let Some(body) = retry {
            self.reoffer(now, leg, &far, body);
        }
        self.table.arm(Owner::Usage(leg));
    }

    fn repeat(&mut self, unacked: &mut Unacked) {
        let bytes = unacked.repeat();
        if let Some(asked) = self.table.asked.get(&unacked.invite) {
            let hop = asked.hop;
            self.transmit(hop, bytes);
        }
    }

    /// RFC 3261 §14.1: the Call-ID's owner waits longer than the other can, in steps of 10 ms.
    fn glare_wait(&mut self, role: Role) -> Duration {
        let steps = match role {
            Role::Caller => 210 + self.mint.u32() % 191,
            Role::Callee => self.mint.u32() % 201,
        };
        Duration::from_millis(10 * u64::from(steps))
    }
}

impl Output {
    /// The leg an event is of.
    fn leg(&self) -> Option<LegId> {
        let Self::Event(event) = self else { return None };
        match event {
            Event::Invited { leg, .. }
            | Event::Cancelled { leg, .. }
            | Event::Acked { leg, .. }
            | Event::Unacked { leg }
            | Event::Progressed { leg, .. }
            | Event::Answered { leg, .. }
            | Event::Refused { leg, .. }
            | Event::Reoffered { leg, .. }
            | Event::Reanswered { leg, .. }
            | Event::Rerefused { leg, .. }
            | Event::Informed { leg, .. }
            | Event::Ended { leg, .. } => Some(*leg),
            Event::Registered { .. } => None,
        }
    }
}

/// A dialog's way to the peer, and the one to try should its stream be lost.
fn way(registrar: &Registrar, dialog: &Dialog, far: &Far) -> Way {
    let hop = dialog.next_hop();
    if hop.transport.is_websocket() {
        // A browser that lost its stream in the middle of a call registers anew by another.
        let anew = match far {
            Far::Agent(agent) => registrar.flow(agent, dialog.target()),
            _ => None,
        };
        return (anew.unwrap_or(hop), None);
    }
    let fallback = hop.stream.map(|_| {
        let mut without = dialog.clone();
        without.forget_stream();
        without.next_hop()
    });
    (hop, fallback)
}

/// A request that must look like `request` to every hop: its CANCEL, or the ACK to a refusal
/// (RFC 3261 §9.1, §17.1.1.3). To is left to the caller.
fn within_hop(request: &Request, method: Method) -> Request {
    let number = request.headers.cseq().map_or(0, |cseq| cseq.number);
    let mut made = Request::new(method.clone(), request.uri.clone());
    if let Ok(via) = request.headers.via() {
        made.headers.push(Name::Via, via);
    }
    for name in [Name::Route, Name::MaxForwards, Name::From, Name::CallId] {
        made.headers.copy_from(&request.headers, name);
    }
    made.headers.push(Name::CSeq, CSeq::new(number, method));
    made
}

fn with_body(request: Request, body: Option<Body>) -> Request {
    match body {
        Some(body) => request.with_body(body.content_type, body.content),
        None => request,
    }
}

/// Adds the layer above's headers, save those that are the endpoint's to say.
fn extend(headers: &mut Headers, extra: &Headers) {
    const OURS: [Name<'static>; 13] = [
        Name::Via,
        Name::From,
        Name::To,
        Name::CallId,
        Name::CSeq,
        Name::Contact,
        Name::Route,
        Name::RecordRoute,
        Name::ContentLength,
        Name::ContentType,
        Name::Allow,
        Name::Server,
        Name::UserAgent,
    ];
    for header in extra.iter().filter(|header| !OURS.contains(&header.name())) {
        headers.push_header(header.clone());
    }
}

fn add_reason(headers: &mut Headers, reason: Option<Value>) {
    if let Some(reason) = reason {
        headers.push(Name::Reason, reason);
    }
}

fn hex(number: u64) -> String {
    format!("{number:016x}")
}
