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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::base::{Fingerprint, Language, Mono, Wall};
    use crate::config::fault::Source;
    use crate::config::resolve::{Disk, Files, resolve};
    use crate::gateway::Input;
    use crate::media::SocketId;
    use crate::sip::{Message, parse};

    struct NoDisk;

    impl Disk for NoDisk {
        fn secret(&self, _: &Path) -> Result<String, String> {
            Ok("secret".to_owned())
        }

        fn prompts(&self, _: &Path) -> BTreeSet<(Language, String)> {
            BTreeSet::new()
        }
    }

    const CENTRE: &str = r#"
[sip]
listen = ["udp:10.0.0.1:5060"]
[[number]]
number = "+861055550000"
flow = "bye"
[[agent]]
id = "ann"
phone = "ann"
sip_password_file = "ann"
srtp = "SRTP"
"#;

    const BYE: &str = r#"
id = "bye"
start = "bye"
language = "en"
on_error = "bye"
[steps.bye]
do = "hangup"
"#;

    fn gateway(srtp: &str) -> (Gateway, Now) {
        let centre = CENTRE.replace("SRTP", srtp);
        let flows = vec![Source::new("bye.toml", BYE)];
        let files = Files { config: vec![Source::new("baton.toml", centre)], flows, base: "".into() };
        let mut config = resolve(&files, &NoDisk).unwrap();
        config.media.fingerprint = Some(Fingerprint([7; 32]));
        let now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_800_000_000_000) };
        let mut gateway = Gateway::new(Arc::new(config), [7; 32], now);
        let (socket, address) = (SocketId(0), ([10, 0, 0, 1], 20_000).into());
        gateway.handle_input(now, Input::Stocked { shard: 0, socket, address });
        (gateway, now)
    }

    #[test]
    fn an_agents_own_call_needs_the_keys_that_its_phone_is_to_have() {
        let invite = "INVITE sip:+861055550000@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.2.1;branch=z9hG4bK1\r\n\
                      From: <sip:ann@10.0.0.1>;tag=1\r\nTo: <sip:+861055550000@10.0.0.1>\r\nCall-ID: 1\r\n\
                      CSeq: 1 INVITE\r\nContact: <sip:ann@10.0.2.1>\r\nMax-Forwards: 70\r\n\
                      Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 10.0.2.1\r\ns=-\r\n\
                      c=IN IP4 10.0.2.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8\r\n";
        let Ok(Message::Request(invite)) = parse(invite.into()) else { panic!("no INVITE") };
        for (srtp, taken) in [("off", true), ("optional", true), ("sdes", false), ("dtls", false)] {
            let (mut gateway, now) = gateway(srtp);
            let leg = gateway.sip.next_leg();
            gateway.invited(now, leg, &Peer::Agent("ann".into()), &invite);
            gateway.settle(now);
            let last = std::iter::from_fn(|| gateway.poll_output()).filter_map(|output| match output {
                Output::Store(Write::Contact(record)) => record.calls[0].release.map(|release| release.cause),
                _ => None,
            });
            let refused = last.last();
            assert_eq!(refused, (!taken).then_some(Cause::MediaRefused(488)), "{srtp}");
        }
    }
}
