//! A call comes in: who, to which number, and is there room.

use crate::base::{LegId, Now};
use crate::call::Call;
use crate::call::release::{Cause, Release};
use crate::call::route::{self, Arrival, Identity};
use crate::config::Number;
use crate::ivr::interpreter::Interpreter;
use crate::sip::Peer;
use crate::sip::Request;

use super::contact::Contact;
use super::{Gateway, Output, Write, pop, wire};

impl Gateway {
    /// A new call: routed, answered and looked up in one turn.
    pub(super) fn invited(&mut self, now: Now, leg: LegId, peer: &Peer, invite: &Request) {
        self.counters.calls += 1;
        let (arrival, unknown, srtp) = match peer {
            Peer::Trunk(trunk) => {
                let Some(trunk) = self.config.trunks.get(trunk) else {
                    return self.refuse(now, leg, Cause::Forbidden);
                };
                let identity = if trunk.trust_identity { Identity::Asserted } else { Identity::Claimed };
                (route::read(invite, &trunk.numbers, identity), Cause::UnknownNumber, trunk.srtp)
            }
            // Calls out are default-deny, and no destination is granted to agents yet; a number of
            // our own they may try. Who is at their phone is no customer.
            Peer::Agent(agent) => {
                let srtp = self.config.agents.get(agent).map(|agent| agent.srtp).unwrap_or_default();
                let dialled = invite.uri.number().and_then(|number| number.parse().ok());
                (Arrival { caller: None, dialled }, Cause::Forbidden, srtp)
            }
        };
        let number = arrival.dialled.as_ref().and_then(|dialled| self.config.numbers.get(dialled)).cloned();
        let Some(number) = number else {
            return self.refuse(now, leg, unknown);
        };
        let Some(outfit) = self.outfit_for_call(&invite.body, srtp) else {
            tracing::warn!("no socket in stock for a new call");
            return self.refuse(now, leg, Cause::Congestion);
        };
        self.taken(outfit.socket);
        let shard = outfit.socket.shard;
        let (id, call_id) = (self.mint.contact(now.wall), self.mint.call(now.wall));
        let call = Call::accept(leg, outfit, &invite.body);
        let Number { number, entrance } = number;
        let mut contact = Contact::new(id, call_id, &entrance, call, shard, now);
        contact.caller = arrival.caller;
        let values = pop::values(&contact, now.wall, &self.config.topics);
        contact.flow = Some(Interpreter::new(entrance.flow, entrance.language, values));
        tracing::info!(contact = %id, call = %call_id, number = number.as_str(), caller = contact.caller.as_ref().map(tracing::field::display), "call");
        contact.number = Some(number);
        self.legs.insert(leg, id);
        self.outputs.push_back(Output::Store(Write::Contact(Box::new(contact.record(now)))));
        self.contacts.insert(id, Box::new(contact));
        self.look_up(id);
        self.stirred.insert(id);
    }

    fn refuse(&mut self, now: Now, leg: LegId, cause: Cause) {
        self.counters.calls_refused += 1;
        self.sip.hang_up(now.mono, leg, cause.status(), wire::reason(Release::by_us(cause)));
    }
}
