//! Responses that come in, and requests that found nobody: RFC 3261 §8.1.3, §12.2.1.2, §13.2.2,
//! §14.1, §18.4.

use bytes::Bytes;

use super::receive::read_branch;
use super::table::{Answer, Far, Kind, Owner, Phase, Purpose, Reoffer, Sending, SentId, Up, Usage};
use super::{Answering, Endpoint, FORKS, Outgoing, within_hop};
use crate::base::{LegId, Mono};
use crate::sip::auth;
use crate::sip::dialog::Dialog;
use crate::sip::transaction::Heard;
use crate::sip::{CSeq, Ending, Event, Hop, Method, Name, Request, Response, Transport};

impl Endpoint {
    pub(super) fn on_response(&mut self, now: Mono, hop: Hop, response: Response) {
        let mut vias = response.headers.vias();
        // §8.1.3.3: more than one Via means it was misrouted.
        let (Some(Ok(via)), None) = (vias.next(), vias.next()) else { return };
        let (Some(branch), Ok(cseq)) = (read_branch(&via), response.headers.cseq()) else { return };
        drop(vias);
        let kind = if cseq.method == Method::Cancel { Kind::Cancel } else { Kind::Request };
        let id = SentId { branch, kind };
        let Some(sent) = self.table.sent.get_mut(&id) else {
            return tracing::debug!(source = %hop.remote, status = response.status, "a stray response");
        };
        if cseq.method != sent.request.method {
            return;
        }
        let request = &sent.request;
        let heard = match &mut sent.machine {
            Sending::Invite(machine) => {
                machine.handle_response(now, response.status, || ack_to_refusal(request, &response))
            }
            Sending::Other(machine) => machine.handle_response(now, response.status),
        };
        // The ACK goes before whatever the news brings about.
        self.flush_sent(now, id);
        if heard == Heard::News {
            self.hear(now, id, hop, response);
        }
        self.settle_sent(now, id);
    }

    fn hear(&mut self, now: Mono, id: SentId, hop: Hop, response: Response) {
        let Some(sent) = self.table.sent.get(&id) else { return };
        let is_invite = sent.request.method == Method::Invite;
        match response.status {
            ..=100 => {}
            101..200 => self.on_provisional(id, hop, response),
            200..300 if is_invite => self.on_accepted(now, id, hop, response),
            200..300 => {
                if let Purpose::Bye(leg) = sent.purpose {
                    self.table.remove_usage(leg);
                }
            }
            401 | 407 if self.introduce(now, id, &response) => {}
            _ => self.on_refusal(now, id, response),
        }
    }

    fn on_provisional(&mut self, id: SentId, hop: Hop, response: Response) {
        let Some(sent) = self.table.sent.get(&id) else { return };
        let Purpose::Call(leg) = sent.purpose else { return };
        let Some(usage) = self.table.usages.get_mut(&leg) else { return };
        let Phase::Calling { invite, early } = &mut usage.phase else { return };
        if *invite != id {
            return;
        }
        let tag = response.headers.to().ok().and_then(|to| to.tag());
        let is_new = tag.is_some() && early.iter().all(|dialog| dialog.remote_tag() != tag);
        if is_new && early.len() < FORKS {
            let flow = way_heard(sent.hop, hop);
            early.extend(Dialog::caller(&sent.request, &response, flow, sent.wayback));
        }
        self.tell(Event::Progressed { leg, response });
    }

    /// A 2xx to an INVITE: the first, one more fork's, or one of them again.
    fn on_accepted(&mut self, now: Mono, id: SentId, hop: Hop, response: Response) {
        let Some(sent) = self.table.sent.get_mut(&id) else { return };
        let tag = response.headers.to().ok().and_then(|to| to.tag());
        if let Some(answer) = sent.answers.iter().find(|answer| answer.tag == tag) {
            if let Some((hop, ack)) = answer.ack.clone() {
                self.transmit(hop, ack);
            }
            return;
        }
        if sent.answers.len() >= FORKS {
            return;
        }
        sent.answers.push(Answer { tag: tag.map(|tag| Bytes::copy_from_slice(&tag)), ack: None });
        let flow = way_heard(sent.hop, hop);
        let Some(dialog) = Dialog::caller(&sent.request, &response, flow, sent.wayback) else { return };
        match sent.purpose {
            Purpose::Call(leg) => self.on_answer(now, id, leg, dialog, response),
            Purpose::Reoffer(leg) => {
                let Some(up) = self.table.up(leg) else { return self.acknowledge(id, &dialog, None) };
                up.reoffer
                    .take_if(|reoffer| matches!(reoffer, Reoffer::Sent { invite, .. } if *invite == id));
                up.dialog.refresh_target(&response.headers, flow);
                let dialog = up.dialog.clone();
                self.acknowledge(id, &dialog, None);
                self.tell(Event::Reanswered { leg, response });
            }
            Purpose::Inform(_) | Purpose::Bye(_) | Purpose::Courtesy => {}
        }
    }

    fn on_answer(&mut self, now: Mono, id: SentId, leg: LegId, mut dialog: Dialog, response: Response) {
        let far = self.table.usages.get(&leg).map(|usage| usage.far.clone());
        let phase = self.table.usages.get_mut(&leg).map(|usage| &mut usage.phase);
        match phase {
            Some(phase @ Phase::Calling { .. }) => {
                // An early dialog's count goes on in the dialog it has become.
                let early = match phase {
                    Phase::Calling { early, .. } => std::mem::take(early),
                    _ => vec![],
                };
                let known = early.into_iter().find(|early| early.remote_tag() == dialog.remote_tag());
                let dialog = match known {
                    Some(mut early) => {
                        early.confirm(dialog);
                        early
                    }
                    None => dialog,
                };
                let up = Up { dialog, unacked: None, ack_due: Some(id), asked: None, reoffer: None };
                *phase = Phase::Up(Box::new(up));
                self.tell(Event::Answered { leg, response });
            }
            // Hung up already, or a fork is: RFC 3261 §13.2.2.4 has the others end at once.
            phase => {
                let crossed = matches!(phase, Some(Phase::Cancelling { .. }));
                self.acknowledge(id, &dialog, None);
                let far = far.unwrap_or(Far::Address);
                if crossed && let Some(mut usage) = self.table.remove_usage(leg) {
                    usage.phase = self.leave(now, leg, &far, dialog, None);
                    self.table.add_usage(leg, usage);
                } else {
                    self.send_bye(now, &mut dialog, &far, Purpose::Courtesy, None);
                }
            }
        }
    }

    /// A 3xx–6xx, the peer's or our own, that nothing can be done about.
    fn on_refusal(&mut self, now: Mono, id: SentId, response: Response) {
        let Some(purpose) = self.table.sent.get(&id).map(|sent| sent.purpose) else { return };
        match purpose {
            Purpose::Call(leg) => {
                let phase = self.table.usages.get(&leg).map(|usage| &usage.phase);
                match phase {
                    Some(Phase::Calling { invite, .. }) if *invite == id => {
                        self.table.remove_usage(leg);
                        self.tell(Event::Refused { leg, response });
                    }
                    Some(Phase::Cancelling { invite }) if *invite == id => {
                        self.table.remove_usage(leg);
                    }
                    _ => {}
                }
            }
            Purpose::Reoffer(leg) => self.on_rerefusal(now, id, leg, response),
            Purpose::Inform(leg) => {
                if is_fatal(response.status) {
                    self.lose(now, leg);
                }
            }
            // Whatever it says, we are gone.
            Purpose::Bye(leg) => {
                self.table.remove_usage(leg);
            }
            Purpose::Courtesy => {}
        }
    }

    fn on_rerefusal(&mut self, now: Mono, id: SentId, leg: LegId, response: Response) {
        let Some(up) = self.table.up(leg) else { return };
        let is_it = |reoffer: &mut Reoffer| matches!(reoffer, Reoffer::Sent { invite, .. } if *invite == id);
        let Some(Reoffer::Sent { body, .. }) = up.reoffer.take_if(is_it) else { return };
        if response.status == 491 {
            let role = up.dialog.role();
            let at = now + self.glare_wait(role);
            if let Some(up) = self.table.up(leg) {
                up.reoffer = Some(Reoffer::Waiting { at, body });
            }
            return self.table.arm(Owner::Usage(leg));
        }
        let is_lost = is_fatal(response.status);
        self.tell(Event::Rerefused { leg, response });
        if is_lost {
            self.lose(now, leg);
        }
    }

    /// RFC 3261 §12.2.1.2: the peer knows nothing of the dialog or is gone; a BYE in case it is not.
    fn lose(&mut self, now: Mono, leg: LegId) {
        if self.table.up(leg).is_none() {
            return;
        }
        let usage = self.table.remove_usage(leg).map(|usage| *usage);
        let Some(Usage { phase: Phase::Up(up), far, .. }) = usage else { return };
        self.release(now, &up);
        let mut dialog = up.dialog;
        self.send_bye(now, &mut dialog, &far, Purpose::Courtesy, None);
        self.tell(Event::Ended { leg, by: Ending::Lost });
    }

    /// Answers a challenge by sending the request again with the trunk's login (RFC 3261 §22.2).
    /// Whether there was an answer to give: none to the same nonce twice.
    fn introduce(&mut self, now: Mono, id: SentId, response: &Response) -> bool {
        let (ask, reply) = match response.status {
            401 => (Name::WwwAuthenticate, Name::Authorization),
            _ => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
        };
        let Some(sent) = self.table.sent.get(&id) else { return false };
        let (purpose, hop, fallback) = (sent.purpose, sent.hop, sent.fallback);
        let usage = match purpose {
            Purpose::Call(leg) | Purpose::Reoffer(leg) | Purpose::Inform(leg) | Purpose::Bye(leg) => {
                self.table.usages.get_mut(&leg)
            }
            Purpose::Courtesy => None,
        };
        // A call that was cancelled meanwhile is not to be made again.
        if matches!(usage.as_ref().map(|usage| &usage.phase), Some(Phase::Cancelling { .. })) {
            return false;
        }
        let Some(trunk) = sent.trunk.clone() else { return false };
        let Some(login) = self.trunks.trunk(&trunk).and_then(|trunk| trunk.login.as_ref()) else {
            return false;
        };
        let mut nonces = sent.nonces.clone();
        let (method, uri) = (sent.request.method.as_str(), sent.request.uri.as_str());
        let mut challenges = response.headers.challenges(ask).flatten();
        let Some((nonce, credentials)) = challenges.find_map(|challenge| {
            let nonce = challenge.get("nonce")?.into_owned();
            // Some trunks make a new nonce for every wrong password.
            if nonces.contains(&nonce) || nonces.len() >= 3 {
                return None;
            }
            Some((nonce, auth::answer(&challenge, login, method, uri, &mut self.mint)?))
        }) else {
            return false;
        };
        nonces.push(nonce);
        let mut request = sent.request.clone();
        let number = match usage.map(|usage| &mut usage.phase) {
            Some(Phase::Up(up)) => up.dialog.next_number(),
            Some(Phase::Leaving { dialog }) => dialog.next_number(),
            _ => request.headers.cseq().map_or(1, |cseq| cseq.number + 1),
        };
        request.headers.remove(Name::Via);
        request.headers.set(Name::CSeq, CSeq::new(number, request.method.clone()));
        request.headers.set(reply, credentials);
        let far = Far::Trunk(trunk);
        let again = self.send(now, request, Outgoing { hop, fallback, purpose, far: &far, nonces });
        if let Purpose::Call(leg) | Purpose::Reoffer(leg) = purpose
            && let Some(usage) = self.table.usages.get_mut(&leg)
        {
            match &mut usage.phase {
                Phase::Calling { invite, early } => {
                    *invite = again;
                    early.clear();
                }
                Phase::Up(up) => {
                    if let Some(Reoffer::Sent { invite, .. }) = &mut up.reoffer {
                        *invite = again;
                    }
                }
                _ => {}
            }
        }
        true
    }

    /// A request of ours found nobody: as good as a response of that status (RFC 3261 §8.1.3.1).
    pub(super) fn give_up(&mut self, now: Mono, id: SentId, status: u16) {
        let Some(sent) = self.table.sent.get(&id) else { return };
        let response = Response::to(&sent.request, status);
        self.on_refusal(now, id, response);
        self.table.remove_sent(id);
    }

    /// RFC 3261 §18.4. Over UDP only requests notice; over TCP both go again by another stream; a
    /// browser's stream takes all that went over it with it.
    pub(super) fn on_unreachable(&mut self, now: Mono, hop: Hop) {
        self.registrar.flow_lost(hop);
        self.tell_registrations();
        let mut owners = self.table.over(hop);
        if hop.stream.is_some() {
            // What was sent to be carried by any stream may have been by this one.
            owners.extend(self.table.over(Hop { stream: None, ..hop }));
        }
        for owner in owners {
            match owner {
                Owner::Asked(id) if hop.transport.is_websocket() => self.on_caller_lost(now, id),
                Owner::Asked(id) => {
                    let Some(asked) = self.table.asked.get_mut(&id) else { continue };
                    if hop.transport == Transport::Tcp && asked.hop.stream.is_some() {
                        let fallback = asked.fallback;
                        if let Answering::Invite(machine) = &mut asked.machine {
                            machine.resend();
                        }
                        self.table.move_to(owner, fallback);
                        self.settle_asked(now, id);
                    }
                }
                Owner::Sent(id) => self.resend(now, id, hop),
                Owner::Usage(_) => {}
            }
        }
    }

    /// What went to `lost` goes to its fallback, once, if a stream was lost; otherwise nobody is
    /// there.
    fn resend(&mut self, now: Mono, id: SentId, lost: Hop) {
        let Some(sent) = self.table.sent.get_mut(&id) else { return };
        let fallback = sent.fallback.take().filter(|_| lost.stream.is_some());
        let Some(fallback) = fallback else {
            if sent.machine.is_pending() {
                self.give_up(now, id, 503);
            }
            return;
        };
        let mut again = vec![];
        if sent.machine.is_pending() {
            again.push(sent.request.to_bytes());
        }
        // An ACK has no transaction of its own that could notice.
        for (hop, ack) in sent.answers.iter_mut().filter_map(|answer| answer.ack.as_mut()) {
            if *hop == lost {
                *hop = fallback;
                again.push(ack.clone());
            }
        }
        let purpose = sent.purpose;
        self.table.move_to(Owner::Sent(id), fallback);
        for bytes in again {
            self.transmit(fallback, bytes);
        }
        if let Purpose::Call(leg) | Purpose::Reoffer(leg) | Purpose::Inform(leg) | Purpose::Bye(leg) = purpose
            && let Some(usage) = self.table.usages.get_mut(&leg)
        {
            usage.forget_stream(lost);
        }
    }
}

/// RFC 3261 §12.2.1.2: what within a dialog means that it is no more.
fn is_fatal(status: u16) -> bool {
    matches!(status, 408 | 481)
}

/// The way to keep for a peer that was asked by `asked` and answered by `heard`: over UDP where it
/// was asked, for an answer may come from anywhere; else the stream there is now.
fn way_heard(asked: Hop, heard: Hop) -> Hop {
    if asked.transport.is_reliable() && heard.transport == asked.transport { heard } else { asked }
}

/// RFC 3261 §17.1.1.3: like the INVITE, but for the To that was answered.
fn ack_to_refusal(invite: &Request, response: &Response) -> Bytes {
    let mut ack = within_hop(invite, Method::Ack);
    ack.headers.copy_from(&response.headers, Name::To);
    ack.to_bytes()
}
