//! Requests that come in: RFC 3261 §8.2, §9.2, §10.3, §12.2.2, §14.2, §15.1.2.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;

use super::table::{Answering, Asked, AskedId, Far, Key, Owner, Phase, Reoffer, Sending, Up, Usage};
use super::{ACCEPT, ALLOW, Account, Admission, BRANCH, Dose, Endpoint, hex};
use crate::base::{AgentId, LegId, Mono};
use crate::sip::auth::{Denial, Freshness};
use crate::sip::dialog::Dialog;
use crate::sip::registrar::{Instance, Refusal, Registration, Wanted, Wish};
use crate::sip::transaction::invite_server::{InviteServer, Received};
use crate::sip::transaction::server::Server;
use crate::sip::trunk::Trunk;
use crate::sip::{
    Contacts, Ending, Event, Fault, Headers, Hop, Host, Malformed, Method, Name, NameAddr, Peer, Request,
    Response, Scheme, Transport, Uri, Value, Via,
};

/// A request, and the way it came and must be answered.
struct Arrival {
    hop: Hop,
    via: Via,
    key: Key,
    request: Request,
}

/// What is known of a request's sender.
enum Standing {
    Peer(Peer),
    /// An account's, or claims to be of our domain: let it prove it.
    Unproven(Freshness),
    /// It tried to and could not.
    Disproven,
    Stranger,
}

impl Endpoint {
    pub(super) fn on_malformed(&mut self, now: Mono, hop: Hop, malformed: Malformed) {
        if malformed.fault == Fault::KeepAlive {
            return;
        }
        tracing::debug!(source = %hop.remote, fault = %malformed.fault, "a message that cannot be read");
        let Some(mut response) = malformed.response else { return };
        if !self.throttle.admits(now, hop.remote.ip(), Dose::Refusal) {
            return;
        }
        // A Via that cannot be read goes back as it came, to where it came from.
        let (way, branch) = match response.headers.via() {
            Ok(mut via) => {
                via.stamp(hop.remote);
                response.headers.replace_first(Name::Via, &via);
                (back(hop, &via), via.branch())
            }
            Err(_) => (hop, None),
        };
        if response.status == 501 {
            response.headers.push(Name::Allow, ALLOW);
        }
        let tag = self.stateless_tag(&response.headers, branch);
        let response = response.with_to_tag(&tag).with(Name::Server, self.user_agent.clone());
        self.transmit(way, response.to_bytes());
    }

    pub(super) fn on_request(&mut self, now: Mono, hop: Hop, mut request: Request) {
        let Ok(mut via) = request.headers.via() else { return };
        via.stamp(hop.remote);
        request.headers.replace_first(Name::Via, &via);
        let key = Key::transaction(&request, &via);
        let known = self.table.by_key(&key);
        match request.method {
            Method::Ack => return self.on_ack(now, known, &request),
            Method::Cancel => {
                let arrival = Arrival { hop, via, key, request };
                return self.on_cancel(now, known, arrival);
            }
            _ => {}
        }
        if let Some(id) = known {
            if let Some(asked) = self.table.asked.get_mut(&id) {
                match &mut asked.machine {
                    Answering::Invite(machine) => machine.handle_request(now, Received::Invite),
                    Answering::Other(machine) => machine.handle_repetition(),
                }
            }
            return self.settle_asked(now, id);
        }
        let tag = request.headers.to().ok().and_then(|to| to.tag());
        let arrival = Arrival { hop, via, key, request };
        match tag {
            Some(tag) => self.on_within(now, arrival, &tag),
            None => self.on_without(now, arrival),
        }
    }

    /// RFC 3261 §17.2.1 for the ACK of a refusal, §13.3.1.4 for that of a 2xx. A stray one ends here.
    fn on_ack(&mut self, now: Mono, known: Option<AskedId>, request: &Request) {
        if let Some(id) = known
            && let Some(asked) = self.table.asked.get_mut(&id)
            && let Answering::Invite(machine) = &mut asked.machine
        {
            machine.handle_request(now, Received::Ack);
            self.settle_asked(now, id);
            // Below a 2xx's transaction an ACK has a branch of its own; some do not know that.
        }
        let headers = &request.headers;
        let Some(leg) = headers.to().ok().and_then(|to| self.leg_by_tag(&to.tag()?)) else { return };
        let Some(usage) = self.table.usages.get_mut(&leg) else { return };
        if usage.dialog_of(headers).is_none() {
            return;
        }
        let Ok(number) = headers.cseq().map(|cseq| cseq.number) else { return };
        match &mut usage.phase {
            Phase::Up(up) if up.unacked.as_ref().is_some_and(|unacked| unacked.number == number) => {
                up.unacked = None;
                self.tell(Event::Acked { leg, body: request.body.clone() });
            }
            Phase::Parting { unacked, .. } if unacked.number == number => {
                let usage = self.table.remove_usage(leg).map(|usage| *usage);
                let Some(Usage { phase: Phase::Parting { dialog, reason, .. }, far, tag, .. }) = usage else {
                    return;
                };
                let phase = self.leave(now, leg, &far, dialog, reason);
                self.table.add_usage(leg, Usage { far, tag, phase, armed: None });
            }
            _ => {}
        }
        self.table.arm(Owner::Usage(leg));
    }

    /// RFC 3261 §9.2. Answered without state: a repetition finds the same INVITE or none again.
    fn on_cancel(&mut self, now: Mono, known: Option<AskedId>, arrival: Arrival) {
        let Some(id) = known else { return self.refuse(now, &arrival, 481) };
        let Some(asked) = self.table.asked.get(&id) else { return };
        let is_pending = asked.machine.is_pending();
        let tag = asked.headers.to().ok().and_then(|to| to.tag()).unwrap_or_default();
        let ok = Response::to(&arrival.request, 200).with_to_tag(&String::from_utf8_lossy(&tag));
        let ok = ok.with(Name::Server, self.user_agent.clone());
        self.transmit(back(arrival.hop, &arrival.via), ok.to_bytes());
        if is_pending {
            self.drop_asked(now, id, arrival.request);
        }
    }

    /// A browser's stream ended before its INVITE was answered: nobody could hear the answer, and
    /// no CANCEL will come any more (RFC 7118 §5.2.4).
    pub(super) fn on_caller_lost(&mut self, now: Mono, id: AskedId) {
        let Some(asked) = self.table.asked.get(&id) else { return };
        if asked.method != Method::Invite || !asked.machine.is_pending() {
            return;
        }
        let Ok(to) = asked.headers.to() else { return };
        let mut cancel = Request::new(Method::Cancel, to.uri);
        cancel.headers = asked.headers.clone();
        self.drop_asked(now, id, cancel);
    }

    /// An INVITE that waits for our answer is taken back by `request`.
    fn drop_asked(&mut self, now: Mono, id: AskedId, request: Request) {
        let leg = self.table.asked.get(&id).and_then(|asked| asked.leg);
        self.refuse_asked(now, id, 487, &Headers::new());
        let Some(leg) = leg else { return };
        match self.table.usages.get_mut(&leg).map(|usage| &mut usage.phase) {
            Some(Phase::Ringing { .. }) => {
                self.table.remove_usage(leg);
                self.tell(Event::Cancelled { leg, request });
            }
            // A re-INVITE's: the dialog stands as before, and no answer is owed any more.
            Some(Phase::Up(up)) => {
                up.asked.take_if(|asked| *asked == id);
            }
            _ => {}
        }
    }

    /// A request outside any dialog.
    fn on_without(&mut self, now: Mono, arrival: Arrival) {
        match arrival.request.method {
            Method::Invite => self.on_invite(now, arrival),
            Method::Register => self.on_register(now, arrival),
            Method::Options => {
                // The same for everybody: who watches over us need not be a trunk.
                let status = if self.admission == Admission::Draining { 503 } else { 200 };
                match self.objection(&arrival.request) {
                    Some(status) => self.refuse(now, &arrival, status),
                    None => self.refuse(now, &arrival, status),
                }
            }
            Method::Bye | Method::Info | Method::Update => self.refuse(now, &arrival, 481),
            _ => self.refuse(now, &arrival, unwanted(&arrival.request.method)),
        }
    }

    fn on_invite(&mut self, now: Mono, arrival: Arrival) {
        let peer = match self.standing(now, &arrival) {
            Standing::Peer(peer) => peer,
            Standing::Unproven(freshness) => {
                return self.challenge(now, &arrival, freshness, Dose::Challenge);
            }
            Standing::Disproven => {
                return self.challenge(now, &arrival, Freshness::First, Dose::WrongPassword);
            }
            Standing::Stranger => return self.refuse(now, &arrival, 403),
        };
        if self.admission == Admission::Draining {
            return self.refuse(now, &arrival, 503);
        }
        if let Some(status) = self.objection(&arrival.request) {
            return self.refuse(now, &arrival, status);
        }
        // RFC 7332: a call that is passed on like a proxy's must end like a proxy's.
        if arrival.request.headers.max_forwards() == Ok(Some(0)) {
            return self.refuse(now, &arrival, 483);
        }
        let merge = Key::merge(&arrival.request);
        if self.table.is_merged(&merge) || self.is_ours(&arrival.request) {
            return self.refuse(now, &arrival, 482);
        }
        let is_full = self.table.usages.len() >= self.bounds.usages;
        if is_full || self.table.asked.len() >= self.bounds.transactions {
            tracing::warn!("a call is turned away: there are as many as there may be");
            return self.refuse(now, &arrival, 503);
        }
        let far = match &peer {
            Peer::Trunk(trunk) => Far::Trunk(trunk.clone()),
            Peer::Agent(agent) => Far::Agent(agent.clone()),
        };
        let tag = self.mint.u64();
        let Some(dialog) = Dialog::callee(&arrival.request, &hex(tag), arrival.hop, far.wayback()) else {
            return self.refuse(now, &arrival, 400);
        };
        let leg = self.next_leg();
        let invite = self.open(now, &arrival, Some(tag), Some(leg), Some(merge));
        let phase = Phase::Ringing { invite, dialog };
        self.table.add_usage(leg, Usage { far, tag, phase, armed: None });
        let Arrival { hop, request, .. } = arrival;
        self.tell(Event::Invited { leg, peer, hop, request });
    }

    /// RFC 3261 §10.3.
    fn on_register(&mut self, now: Mono, arrival: Arrival) {
        let (user, agent) = match self.account(now, &arrival.request) {
            Ok(Some((user, agent))) => (user, agent),
            Ok(None) => return self.challenge(now, &arrival, Freshness::First, Dose::Challenge),
            Err(Denial::Stale) => return self.challenge(now, &arrival, Freshness::Stale, Dose::Challenge),
            Err(Denial::Wrong) => {
                return self.challenge(now, &arrival, Freshness::First, Dose::WrongPassword);
            }
        };
        let request = &arrival.request;
        if let Some(status) = self.objection(request) {
            return self.refuse(now, &arrival, status);
        }
        let of_record = request.headers.to().ok();
        let of_record = of_record.as_ref().and_then(|to| to.uri.user_unescaped());
        if of_record.as_deref() != Some(user.as_bytes()) {
            return self.refuse(now, &arrival, 403);
        }
        let (Some(wish), Ok(call_id), Ok(cseq)) =
            (wish(&request.headers), request.headers.call_id(), request.headers.cseq())
        else {
            return self.refuse(now, &arrival, 400);
        };
        let merge = Key::merge(request);
        if self.table.is_merged(&merge) {
            return self.refuse(now, &arrival, 482);
        }
        if self.table.asked.len() >= self.bounds.transactions {
            return self.refuse(now, &arrival, 503);
        }
        let registration =
            Registration { agent: agent.clone(), user, call_id, cseq: cseq.number, wish, hop: arrival.hop };
        let asked = self.open(now, &arrival, None, None, Some(merge));
        let mut headers = Headers::new();
        let status = match self.registrar.register(now, registration) {
            Ok(()) => {
                for binding in self.registrar.bindings(&agent) {
                    let left = binding.expires.since(now).as_secs();
                    let mut contact =
                        NameAddr::new(binding.uri.clone()).with_param("expires", Some(&left.to_string()));
                    // By these a phone that registers by several flows knows its own.
                    if let Some(instance) = &binding.instance {
                        contact = contact
                            .with_param("+sip.instance", Some(&instance.urn))
                            .with_param("reg-id", Some(&instance.flow.to_string()));
                    }
                    headers.push(Name::Contact, contact);
                }
                200
            }
            Err(refusal) => {
                if let Refusal::TooBrief(shortest) = refusal {
                    headers.push(Name::MinExpires, shortest.to_string());
                }
                refusal.status()
            }
        };
        self.answer_plainly(now, asked, status, headers);
        self.tell_registrations();
    }

    /// A request within a dialog.
    fn on_within(&mut self, now: Mono, arrival: Arrival, tag: &Bytes) {
        let headers = &arrival.request.headers;
        let Some(leg) = self.leg_by_tag(tag) else { return self.refuse(now, &arrival, 481) };
        let Some(usage) = self.table.usages.get_mut(&leg) else { return };
        let far = usage.far.clone();
        let Some(dialog) = usage.dialog_of(headers) else { return self.refuse(now, &arrival, 481) };
        // Another way than the dialog's: a phone's new address, or somebody who overheard.
        if let Far::Agent(agent) = &far
            && !is_same_way(dialog.flow(), arrival.hop)
        {
            match self.account(now, &arrival.request) {
                Ok(Some((_, proven))) if proven == *agent => {}
                Ok(_) => return self.challenge(now, &arrival, Freshness::First, Dose::Challenge),
                Err(Denial::Stale) => {
                    return self.challenge(now, &arrival, Freshness::Stale, Dose::Challenge);
                }
                Err(Denial::Wrong) => {
                    return self.challenge(now, &arrival, Freshness::First, Dose::WrongPassword);
                }
            }
        }
        if self.table.asked.len() >= self.bounds.transactions {
            return self.refuse(now, &arrival, 503);
        }
        let number = headers.cseq().map_or(0, |cseq| cseq.number);
        let in_order = self.table.usages.get_mut(&leg).and_then(|usage| {
            let dialog = usage.dialog_of(headers)?;
            Some(dialog.count(number))
        });
        if !matches!(in_order, Some(Ok(()))) {
            return self.refuse(now, &arrival, 500);
        }
        // From here on by a transaction: a repetition would be out of order.
        let asked = self.open(now, &arrival, None, Some(leg), None);
        if let Some(status) = self.objection(&arrival.request) {
            let headers = self.amends(status, &arrival.request);
            return self.answer_plainly(now, asked, status, headers);
        }
        match arrival.request.method {
            Method::Invite => self.on_reinvite(now, leg, asked, arrival),
            Method::Update => self.on_update(now, leg, asked, arrival),
            Method::Bye => self.on_bye(now, leg, asked, arrival.request),
            Method::Info => {
                let is_live = !self.is_over(leg);
                self.answer_plainly(now, asked, if is_live { 200 } else { 481 }, Headers::new());
                if is_live {
                    self.tell(Event::Informed { leg, request: arrival.request });
                }
            }
            Method::Options => {
                let headers = self.amends(200, &arrival.request);
                self.answer_plainly(now, asked, 200, headers);
            }
            _ => {
                let status = unwanted(&arrival.request.method);
                let headers = self.amends(status, &arrival.request);
                self.answer_plainly(now, asked, status, headers);
            }
        }
    }

    /// RFC 3261 §14.2.
    fn on_reinvite(&mut self, now: Mono, leg: LegId, asked: AskedId, arrival: Arrival) {
        let up = match self.table.usages.get_mut(&leg).map(|usage| &mut usage.phase) {
            Some(Phase::Up(up)) => up,
            // Theirs is still being answered.
            Some(Phase::Ringing { .. }) => return self.refuse_for_now(now, asked),
            Some(Phase::Calling { .. }) => return self.answer_plainly(now, asked, 491, Headers::new()),
            _ => return self.answer_plainly(now, asked, 481, Headers::new()),
        };
        if up.asked.is_some() {
            return self.refuse_for_now(now, asked);
        }
        if is_offering(up) {
            return self.answer_plainly(now, asked, 491, Headers::new());
        }
        up.dialog.refresh_target(&arrival.request.headers, arrival.hop);
        up.asked = Some(asked);
        self.tell(Event::Reoffered { leg, request: arrival.request });
    }

    /// RFC 3311 §5.2. One without a body only refreshes: nobody above needs to know.
    fn on_update(&mut self, now: Mono, leg: LegId, asked: AskedId, arrival: Arrival) {
        let headers = &arrival.request.headers;
        let has_offer = !arrival.request.body.is_empty();
        let Some(usage) = self.table.usages.get_mut(&leg) else { return };
        let status = match &mut usage.phase {
            Phase::Up(up) if !has_offer => {
                up.dialog.refresh_target(headers, arrival.hop);
                200
            }
            Phase::Up(up) if up.asked.is_some() => return self.refuse_for_now(now, asked),
            Phase::Up(up) if is_offering(up) => 491,
            Phase::Up(up) => {
                up.dialog.refresh_target(headers, arrival.hop);
                up.asked = Some(asked);
                return self.tell(Event::Reoffered { leg, request: arrival.request });
            }
            Phase::Calling { .. } | Phase::Ringing { .. } if !has_offer => {
                if let Some(dialog) = usage.dialog_of(headers) {
                    dialog.refresh_target(headers, arrival.hop);
                }
                200
            }
            // The first offer has no answer yet, theirs or ours.
            Phase::Ringing { .. } => return self.refuse_for_now(now, asked),
            Phase::Calling { .. } => 491,
            _ => 481,
        };
        self.answer_plainly(now, asked, status, Headers::new());
    }

    /// RFC 3261 §15.1.2.
    fn on_bye(&mut self, now: Mono, leg: LegId, asked: AskedId, request: Request) {
        let Some(usage) = self.table.usages.get(&leg) else { return };
        // §15: a callee cannot end what it has not answered.
        if matches!(usage.phase, Phase::Calling { .. }) {
            return self.answer_plainly(now, asked, 481, Headers::new());
        }
        self.answer_plainly(now, asked, 200, Headers::new());
        // Our own BYE still wants its answer.
        if matches!(usage_phase(&self.table, leg), Some(Phase::Leaving { .. })) {
            return;
        }
        let Some(usage) = self.table.remove_usage(leg) else { return };
        match usage.phase {
            Phase::Ringing { invite, .. } => {
                self.refuse_asked(now, invite, 487, &Headers::new());
                self.tell(Event::Cancelled { leg, request });
            }
            Phase::Up(up) => {
                self.release(now, &up);
                self.tell(Event::Ended { leg, by: Ending::Bye(request) });
            }
            _ => {}
        }
    }

    /// What a dialog that ends still owes: an ACK to their 2xx, an answer to their re-INVITE. Ours
    /// is given up.
    pub(super) fn release(&mut self, now: Mono, up: &Up) {
        if let Some(invite) = up.ack_due {
            self.acknowledge(invite, &up.dialog, None);
        }
        if let Some(asked) = up.asked {
            self.refuse_asked(now, asked, 487, &Headers::new());
        }
        if let Some(Reoffer::Sent { invite, .. }) = up.reoffer
            && let Some(sent) = self.table.sent.get_mut(&invite)
            && let Sending::Invite(machine) = &mut sent.machine
        {
            machine.abandon(now);
            self.table.arm(Owner::Sent(invite));
        }
    }

    /// 500 for a request that may come again soon (RFC 3261 §14.2).
    fn refuse_for_now(&mut self, now: Mono, asked: AskedId) {
        let mut headers = Headers::new();
        headers.push(Name::RetryAfter, self.mint.u32() % 11);
        self.answer_plainly(now, asked, 500, headers);
    }

    fn answer_plainly(&mut self, now: Mono, asked: AskedId, status: u16, headers: Headers) {
        let Some(found) = self.table.asked.get(&asked) else { return };
        let mut response = Response::answering(&found.headers, status);
        if status < 300 && matches!(found.method, Method::Update) {
            response.headers.push(Name::Contact, self.contact(found.hop));
        }
        for header in &headers {
            response.headers.push_header(header.clone());
        }
        response.headers.push(Name::Server, self.user_agent.clone());
        self.conclude(now, asked, status, response.to_bytes());
    }

    /// Begins a server transaction. `tag` is our end's, where the request does not name it.
    fn open(
        &mut self,
        now: Mono,
        arrival: &Arrival,
        tag: Option<u64>,
        leg: Option<LegId>,
        merge: Option<Key>,
    ) -> AskedId {
        let Arrival { hop, via, key, request } = arrival;
        let mut headers = Response::to(request, 100).headers;
        let machine = match request.method {
            Method::Invite => {
                let trying = Response::answering(&headers, 100).to_bytes();
                Answering::Invite(InviteServer::new(hop.transport, trying))
            }
            _ => Answering::Other(Server::new(now, hop.transport)),
        };
        if let Ok(to) = headers.to()
            && to.tag().is_none()
        {
            let tag = tag.unwrap_or_else(|| self.mint.u64());
            headers.set(Name::To, to.with_tag(hex(tag)));
        }
        headers.copy_from(&request.headers, Name::RecordRoute);
        let fallback =
            Hop { stream: None, ..back(Hop { transport: Transport::Udp, ..*hop }, &unported(via)) };
        let id = self.table.add_asked(Asked {
            machine,
            method: request.method.clone(),
            headers,
            hop: back(*hop, via),
            fallback: Hop { transport: hop.transport, ..fallback },
            leg,
            key: key.clone(),
            merge,
            armed: None,
        });
        self.settle_asked(now, id);
        id
    }

    /// Answers without a transaction (RFC 3261 §8.2.7), within what its source is granted.
    fn refuse(&mut self, now: Mono, arrival: &Arrival, status: u16) {
        let headers = self.amends(status, &arrival.request);
        self.refuse_with(now, arrival, status, headers, Dose::Refusal);
    }

    fn challenge(&mut self, now: Mono, arrival: &Arrival, freshness: Freshness, dose: Dose) {
        let mut headers = Headers::new();
        for challenge in self.verifier.challenges(now, freshness) {
            headers.push(Name::WwwAuthenticate, challenge);
        }
        self.refuse_with(now, arrival, 401, headers, dose);
    }

    fn refuse_with(&mut self, now: Mono, arrival: &Arrival, status: u16, headers: Headers, dose: Dose) {
        let Arrival { hop, via, request, .. } = arrival;
        let source = hop.remote.ip();
        if self.trunk_behind(*hop).is_none() && !self.throttle.admits(now, source, dose) {
            return;
        }
        tracing::debug!(%source, method = %request.method, status, "a request is turned away");
        let tag = self.stateless_tag(&request.headers, via.branch());
        let mut response = Response::to(request, status).with_to_tag(&tag);
        for header in &headers {
            response.headers.push_header(header.clone());
        }
        response.headers.push(Name::Server, self.user_agent.clone());
        self.transmit(back(*hop, via), response.to_bytes());
    }

    /// What a response of that status must say besides.
    fn amends(&self, status: u16, request: &Request) -> Headers {
        let mut headers = Headers::new();
        match status {
            200 => {
                headers.push(Name::Allow, ALLOW);
                headers.push(Name::Accept, ACCEPT);
                headers.push(Name::AcceptEncoding, Value::constant("identity"));
                headers.push(Name::Supported, Value::constant(""));
            }
            405 | 501 => headers.push(Name::Allow, ALLOW),
            415 => headers.push(Name::AcceptEncoding, Value::constant("identity")),
            420 => {
                for option in request.headers.all(Name::Require) {
                    if let Ok(option) = Value::new(Bytes::copy_from_slice(option)) {
                        headers.push(Name::Unsupported, option);
                    }
                }
            }
            503 => headers.push(Name::RetryAfter, 30),
            _ => {}
        }
        headers
    }

    /// RFC 3261 §8.2.2 and §8.2.3, as far as they are the same for every method.
    fn objection(&self, request: &Request) -> Option<u16> {
        let is_encoded = |coding: &[u8]| !coding.eq_ignore_ascii_case(b"identity") && !coding.is_empty();
        // A sips URI promises TLS on every hop (RFC 7118 §9.2); WSS is only the first of them.
        if matches!(request.uri.scheme(), Scheme::Other | Scheme::Sips) {
            Some(416)
        } else if request.headers.all(Name::Require).any(|option| !option.is_empty()) {
            Some(420)
        } else if request.headers.all(Name::ContentEncoding).any(is_encoded) {
            Some(415)
        } else {
            None
        }
    }

    /// Who sends a request that would open a dialog. Credentials weigh most, then a registered
    /// phone's way (it may live at a trunk's address), then the source, then the claim.
    fn standing(&mut self, now: Mono, arrival: &Arrival) -> Standing {
        match self.account(now, &arrival.request) {
            Ok(Some((_, agent))) => return Standing::Peer(Peer::Agent(agent)),
            Err(Denial::Stale) => return Standing::Unproven(Freshness::Stale),
            Err(Denial::Wrong) => return Standing::Disproven,
            Ok(None) => {}
        }
        if self.registrar.is_flow(arrival.hop) {
            return Standing::Unproven(Freshness::First);
        }
        if let Some(trunk) = self.trunk_behind(arrival.hop) {
            return Standing::Peer(Peer::Trunk(trunk.id.clone()));
        }
        let from = arrival.request.headers.from().ok();
        let claims = from.is_some_and(|from| self.is_own_domain(&from.uri, arrival));
        if claims { Standing::Unproven(Freshness::First) } else { Standing::Stranger }
    }

    /// The account whose credentials the request carries, checked. `Ok(None)`: none for our realm.
    fn account(
        &mut self,
        now: Mono,
        request: &Request,
    ) -> Result<Option<(std::sync::Arc<str>, AgentId)>, Denial> {
        let headers = &request.headers;
        let both = [Name::Authorization, Name::ProxyAuthorization];
        let mut all = both.into_iter().flat_map(|name| headers.credentials(name)).flatten();
        let realm = self.verifier.realm();
        let Some(credentials) = all.find(|c| c.is_digest() && c.text("realm").as_deref() == Some(realm))
        else {
            return Ok(None);
        };
        let user = credentials.text("username").unwrap_or_default();
        let account = self.accounts.get_key_value(&*user);
        let ha1 = account.map(|(_, Account { ha1, .. })| ha1);
        self.verifier.verify(now, request.method.as_str(), &credentials, ha1)?;
        Ok(account.map(|(user, account)| (user.clone(), account.agent.clone())))
    }

    /// Whose requests come by there. No trunk is a browser, though a reverse proxy may live at a
    /// trunk's address and bring them from everywhere.
    fn trunk_behind(&self, hop: Hop) -> Option<&Trunk> {
        self.trunks.by_source(hop.remote.ip()).filter(|_| !hop.transport.is_websocket())
    }

    fn is_own_domain(&self, uri: &Uri, arrival: &Arrival) -> bool {
        let Some(host) = uri.host() else { return false };
        let is_ours = match host {
            Host::Name(name) => name.eq_ignore_ascii_case(self.verifier.realm()),
            Host::Ip(ip) => {
                self.advertised == Some(ip)
                    || arrival.hop.local.ip() == ip
                    || self.listeners.iter().any(|(_, local)| local.ip() == ip)
            }
        };
        // Whatever name it knows us by, it says that it is of the same.
        is_ours || arrival.request.uri.host() == Some(host)
    }

    /// Whether an INVITE of our own came back to us: RFC 3261 §16.3's loop.
    fn is_ours(&self, request: &Request) -> bool {
        let Some(tag) = request.headers.from().ok().and_then(|from| from.tag()) else { return false };
        let phase = self.leg_by_tag(&tag).and_then(|leg| usage_phase(&self.table, leg));
        let Some(Phase::Calling { invite, .. } | Phase::Cancelling { invite }) = phase else {
            return false;
        };
        let sent = self.table.sent.get(invite).map(|sent| sent.request.headers.call_id());
        sent == Some(request.headers.call_id())
    }

    fn is_over(&self, leg: LegId) -> bool {
        matches!(
            usage_phase(&self.table, leg),
            None | Some(Phase::Cancelling { .. } | Phase::Parting { .. } | Phase::Leaving { .. })
        )
    }

    pub(super) fn leg_by_tag(&self, tag: &[u8]) -> Option<LegId> {
        if tag.len() != 16 {
            return None;
        }
        self.table.by_tag(read_hex(tag)?)
    }

    /// The same for every copy of a request, and nobody's to guess.
    fn stateless_tag(&self, headers: &Headers, branch: Option<Bytes>) -> String {
        let mut hash = DefaultHasher::new();
        hash.write_u64(self.tag_secret);
        hash.write(&branch.unwrap_or_default());
        hash.write(headers.get(Name::CallId).unwrap_or_default());
        hash.write(headers.get(Name::From).unwrap_or_default());
        hex(hash.finish())
    }
}

/// 405 for a method that is known and not wanted here, 501 for one that is not known (RFC 4475
/// §3.1.1.2).
fn unwanted(method: &Method) -> u16 {
    if matches!(method, Method::Other(_)) { 501 } else { 405 }
}

fn usage_phase(table: &super::Table, leg: LegId) -> Option<&Phase> {
    table.usages.get(&leg).map(|usage| &usage.phase)
}

/// Whether an offer of ours, or a 2xx with one, is not yet through (RFC 3261 §14.2, RFC 5407 §3.1).
fn is_offering(up: &Up) -> bool {
    matches!(up.reoffer, Some(Reoffer::Sent { .. })) || up.unacked.is_some() || up.ack_due.is_some()
}

/// What a REGISTER asks for. `None` if that cannot be told (RFC 3261 §10.3 step 6).
fn wish(headers: &Headers) -> Option<Wish> {
    let expires = headers.expires().ok()?;
    let list = match headers.contacts().ok()? {
        Contacts::Star => return (expires == Some(0)).then_some(Wish::RemoveAll),
        Contacts::List(list) if list.is_empty() => return Some(Wish::Query),
        Contacts::List(list) => list,
    };
    let wanted = list.into_iter().map(|contact| {
        let said = contact.params.raw("expires").and_then(|digits| {
            let digits =
                std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
            Some(digits.parse().unwrap_or(u32::MAX))
        });
        let q = contact.params.raw("q").and_then(thousandths).unwrap_or(1000);
        let instance = Instance::read(&contact.params);
        contact.uri.is_sip().then_some(Wanted { uri: contact.uri, expires: said.or(expires), q, instance })
    });
    wanted.collect::<Option<_>>().map(Wish::Update)
}

/// `0.5` is 500 (RFC 3261 §25.1, `qvalue`).
fn thousandths(q: &[u8]) -> Option<u16> {
    let (whole, part) =
        std::str::from_utf8(q).ok()?.split_once('.').unwrap_or((std::str::from_utf8(q).ok()?, ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

/// Where a response goes: RFC 3261 §18.2.2 and RFC 3581 §4, the Via being stamped already.
fn back(hop: Hop, via: &Via) -> Hop {
    match (hop.transport, via.rport()) {
        (Transport::Udp, None) => {
            let mut hop = hop;
            hop.remote.set_port(via.port.unwrap_or(5060));
            hop
        }
        (_, _) => hop,
    }
}

/// As if `rport` had not been asked for: a stream's own port leads nowhere once it is lost.
fn unported(via: &Via) -> Via {
    let mut via = via.clone();
    via.params.remove("rport");
    via
}

/// The address decides, and over TCP its port is the stream's alone. A WebSocket's is the reverse
/// proxy's, which lends it to one browser after another.
fn is_same_way(a: Hop, b: Hop) -> bool {
    let stream = |hop: Hop| hop.stream.filter(|_| hop.transport.is_websocket());
    (a.transport, a.remote, stream(a)) == (b.transport, b.remote, stream(b))
}

/// Our own 64-bit tags and branches, to the letter: lowercase, 16 digits.
pub(super) fn read_hex(digits: &[u8]) -> Option<u64> {
    if digits.len() != 16 || !digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The number in a branch of ours.
pub(super) fn read_branch(via: &Via) -> Option<u64> {
    read_hex(via.branch()?.strip_prefix(BRANCH.as_bytes())?)
}
