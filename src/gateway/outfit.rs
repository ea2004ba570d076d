//! What a new leg is made of: a socket, its secrets, the codecs on offer.

use crate::base::{AgentId, LegId};
use crate::call::leg::{Outfit, Socket};
use crate::config::{Config, Srtp};
use crate::media::SocketId;
use crate::media::crowd::Shard;
use crate::sdp::{self, Demand, KeySeed, Offering, Reach, Secrets, Web};
use crate::sip::Transport;

use super::{Gateway, Output};

impl Gateway {
    /// Of a caller's leg: on the shared port if its offer is a browser's. The socket is the call's
    /// once it is [`Gateway::taken`].
    pub(super) fn outfit_for_call(&mut self, offer: &[u8], srtp: Srtp) -> Option<Outfit> {
        if sdp::asks_for_ice(offer) {
            let shard = self.stock.shard_for_call();
            return self.web_outfit(shard);
        }
        let socket = self.stock.take_for_call()?;
        Some(self.outfit(socket, srtp))
    }

    /// The socket of a new leg is spoken for.
    pub(super) fn taken(&mut self, socket: Socket) {
        if !socket.id.is_shared() {
            self.outputs.push_back(Output::Take(socket));
        }
    }

    /// Of a leg to an agent's phone: on the shared port if it is a browser's (RFC 7118).
    pub(super) fn outfit_for_agent(&mut self, agent: &AgentId, shard: u16) -> Option<Outfit> {
        if self.sip.registrar().transport(agent).is_some_and(Transport::is_websocket) {
            return self.web_outfit(shard);
        }
        let srtp = self.config.agents.get(agent)?.srtp;
        let socket = self.stock.take_beside(shard)?;
        self.taken(socket);
        Some(self.outfit(socket, srtp))
    }

    /// Of a leg on a socket pair of the stock.
    pub(super) fn outfit(&mut self, socket: Socket, srtp: Srtp) -> Outfit {
        let reach = match self.config.media.fingerprint {
            None => Reach::Plain(socket.address),
            Some(fingerprint) => {
                let (offering, demand) = match srtp {
                    Srtp::Off => (Offering::Plain, Demand::Any),
                    Srtp::Optional => (Offering::BestEffort, Demand::Any),
                    Srtp::Sdes => (Offering::Sdes, Demand::Secure),
                    Srtp::Dtls => (Offering::Dtls, Demand::Secure),
                };
                let seed = KeySeed(self.mint.bytes());
                Reach::Keyed {
                    address: socket.address,
                    secrets: Secrets { seed, fingerprint },
                    offering,
                    demand,
                }
            }
        };
        self.dress(socket, reach)
    }

    /// Of a leg on a shard's shared port. `None` where WebRTC is not served.
    pub(super) fn web_outfit(&mut self, shard: u16) -> Option<Outfit> {
        let (address, fingerprint) = web(&self.config, shard)?;
        let own = Shard::new(shard)?;
        let ice = own.credentials(&mut self.mint);
        let socket = Socket { shard, id: SocketId::shared(own), address };
        Some(self.dress(socket, Reach::Web(Web { address, fingerprint, ice })))
    }

    /// A browser's phone offers anew, and may restart ICE (RFC 8445 §9).
    pub(super) fn provide(&mut self, leg: LegId) {
        let contact = self.legs.get(&leg).and_then(|id| self.contacts.get_mut(id));
        if let Some(contact) = contact
            && let Some(shard) = Shard::new(contact.shard)
        {
            contact.call.provide(leg, || shard.credentials(&mut self.mint));
        }
    }

    fn dress(&mut self, socket: Socket, reach: Reach) -> Outfit {
        let ssrc = self.mint.u32();
        Outfit {
            socket,
            reach,
            codecs: self.config.media.codecs.clone(),
            ssrc,
            session: self.mint.u64() >> 16,
            cname: self.mint.hex::<8>().into(),
        }
    }
}

fn web(config: &Config, shard: u16) -> Option<(std::net::SocketAddr, crate::base::Fingerprint)> {
    Some((*config.media.web.get(usize::from(shard))?, config.media.fingerprint?))
}
