//! The phone in the desktop: one WebRTC leg that stands from log-in to log-out, so that answering a
//! call is one row of the patch and no handshake.
//!
//! Between calls the leg belongs to the desk, during a call to the call ([`call::Output::Free`]
//! brings it back). All legs of a call live at one media shard, so the standing leg moves to its
//! caller's when they are connected, and stays there until the next. A page that is loaded again logs
//! in and offers anew over its WebSocket; the caller hears music until it is there.
//!
//! A page that has lost its WebSocket and nothing else talks on: its audio takes another way. Only once
//! that is lost as well, or brings nothing, does the caller hear music, and from then on a call waits
//! for the desk as long as a desk is waited for at all (`desktop_grace_s`); so does a call on hold, or
//! whose agent is muted. The agent's readiness
//! follows the WebSocket throughout: nobody is offered what no page shows.
//!
//! [`call::Output::Free`]: crate::call::Output::Free

use crate::acd;
use crate::base::{AgentId, ContactId, LegId, Now};
use crate::call::Who;
use crate::call::leg::{Leg, Signalling};
use crate::call::release::{Cause, Release};
use crate::config::Phone;
use crate::cti::{self, Push, Refusal};
use crate::media;
use crate::media::crowd::Shard;

use super::contact::{Place, RingState};
use super::{Gateway, Output};

/// One agent's standing leg.
#[derive(Debug)]
pub(super) struct Softphone {
    id: LegId,
    /// Whose port its page was told of.
    home: u16,
    /// Where it lives.
    shard: u16,
    /// Here while no call has it.
    leg: Option<Box<Leg>>,
    line: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// The handshake is not done, or has to be done again.
    Dead,
    /// Up, but nothing comes by it: a page that is closed may not say so.
    Silent,
    Live,
}

impl Gateway {
    /// The desktop offers: at log-in, after a refresh, on another network.
    pub(super) fn on_softphone_offer(
        &mut self,
        now: Now,
        agent: &AgentId,
        offer: &str,
    ) -> Result<(), Refusal> {
        if !self.is_softphone(agent) {
            return Err(Refusal::NotNow);
        }
        let answer = match self.softphones.get(agent).map(|phone| (phone.home, phone.leg.is_some())) {
            None => self.install(agent, offer)?,
            Some((home, idle)) => {
                let fresh = Shard::new(home).ok_or(Refusal::NoRoom)?.credentials(&mut self.mint);
                if idle {
                    self.renew_idle(agent, offer, fresh)?
                } else {
                    let contact = self.holding.get(agent).and_then(|id| self.contacts.get_mut(id));
                    let contact = contact.ok_or(Refusal::NotNow)?;
                    self.stirred.insert(contact.id);
                    let renewed = contact.call.renew_callee(offer.as_bytes(), fresh);
                    renewed.map_err(|refusal| unacceptable(agent, refusal))?
                }
            }
        };
        // Media tells when it is live (again).
        if let Some(phone) = self.softphones.get_mut(agent) {
            phone.line = Line::Dead;
        }
        let sdp = String::from_utf8_lossy(&answer).into_owned();
        self.push(agent, Push::Sdp { sdp });
        self.follow_phone(now, agent.clone());
        Ok(())
    }

    fn install(&mut self, agent: &AgentId, offer: &str) -> Result<bytes::Bytes, Refusal> {
        let home = self.home_for_softphone();
        let outfit = self.web_outfit(home).ok_or(Refusal::NoRoom)?;
        let (id, shard) = (self.sip.next_leg(), home);
        let mut leg = Leg::new(id, outfit).on(Signalling::Web);
        let answer = leg.answer(offer.as_bytes()).map_err(|refusal| unacceptable(agent, refusal))?;
        self.outputs.extend(leg.open().map(|command| Output::Media { shard, command }));
        self.lines.insert(id, agent.clone());
        let leg = Some(Box::new(leg));
        self.softphones.insert(agent.clone(), Softphone { id, home, shard, leg, line: Line::Dead });
        Ok(answer)
    }

    /// The shard at whose port the fewest pages arrive.
    fn home_for_softphone(&self) -> u16 {
        let shards = u16::try_from(self.config.media.web.len()).unwrap_or(u16::MAX);
        let pages = |home: &u16| self.softphones.values().filter(|phone| phone.home == *home).count();
        (0..shards).min_by_key(pages).unwrap_or(0)
    }

    fn renew_idle(
        &mut self,
        agent: &AgentId,
        offer: &str,
        fresh: crate::base::IceCredentials,
    ) -> Result<bytes::Bytes, Refusal> {
        let phone = self.softphones.get_mut(agent).ok_or(Refusal::NotNow)?;
        let leg = phone.leg.as_mut().ok_or(Refusal::NotNow)?;
        leg.provide(fresh);
        let answer = leg.answer(offer.as_bytes()).map_err(|refusal| unacceptable(agent, refusal))?;
        let shard = phone.shard;
        self.outputs.extend(leg.open().map(|command| Output::Media { shard, command }));
        Ok(answer)
    }

    /// The agent takes the call that is offered.
    pub(super) fn pick_up(&mut self, agent: &AgentId, id: ContactId) -> Result<(), Refusal> {
        let phone = self.softphones.get_mut(agent).filter(|phone| phone.line != Line::Dead);
        let phone = phone.ok_or(Refusal::PhoneUnreachable)?;
        let leg = phone.leg.take().ok_or(Refusal::NotNow)?;
        let Some(contact) = self.contacts.get_mut(&id) else {
            phone.leg = Some(leg);
            return Err(Refusal::PhoneUnreachable);
        };
        let (from, to) = (std::mem::replace(&mut phone.shard, contact.shard), contact.shard);
        self.legs.insert(leg.id(), id);
        self.stirred.insert(id);
        if from != to
            && let Some(shard) = Shard::new(to)
        {
            // Where it goes, it is awaited first: what is commanded of it there must not get lost.
            let leg = leg.id();
            let commands =
                [(to, media::Command::Await { leg }), (from, media::Command::Move { leg, to: shard })];
            self.outputs.extend(commands.map(|(shard, command)| Output::Media { shard, command }));
        }
        contact.call.join(agent.clone(), leg);
        Ok(())
    }

    /// The desk shows the call, and rings by itself.
    pub(super) fn ring_desk(&mut self, now: Now, id: ContactId, agent: AgentId) {
        let reachable = self.is_reachable(&agent);
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if !reachable {
            return self.acd.handle_input(now.mono, acd::Input::Fail { contact: id, agent });
        }
        if let Place::Offered { ring, .. } = &mut contact.place {
            *ring = RingState::Rung;
        }
        contact.timeline.enter(now.mono, crate::call::record::Stage::Ring);
        if let Some(hop) = contact.hop() {
            hop.rung_at = Some(now.wall);
        }
    }

    /// A call gives the leg back, which lives where the call does.
    pub(super) fn on_softphone_free(&mut self, now: Now, agent: AgentId, leg: Box<Leg>, shard: u16) {
        self.legs.remove(&leg.id());
        match self.softphones.get_mut(&agent).filter(|phone| phone.id == leg.id()) {
            Some(phone) => phone.leg = Some(leg),
            // It was removed meanwhile.
            None => {
                let leg = leg.id();
                self.outputs.push_back(Output::Media { shard, command: media::Command::Close { leg } });
            }
        }
        if !self.is_softphone(&agent) || self.is_desk_abandoned(&agent) {
            self.remove_softphone(&agent);
        }
        self.follow_phone(now, agent);
    }

    /// What media tells of a standing leg. `None` if it is none.
    pub(super) fn on_softphone_media(&mut self, now: Now, event: &media::Event) -> Option<()> {
        let leg = match event {
            media::Event::Secured { leg }
            | media::Event::Unsecured { leg }
            | media::Event::Lost { leg }
            | media::Event::Silent { leg, .. }
            | media::Event::Audible { leg } => leg,
            _ => return None,
        };
        let agent = self.lines.get(leg)?.clone();
        let phone = self.softphones.get_mut(&agent)?;
        let was = phone.line;
        phone.line = match event {
            media::Event::Secured { .. } => Line::Live,
            media::Event::Silent { .. } if was == Line::Live => Line::Silent,
            media::Event::Audible { .. } if was == Line::Silent => Line::Live,
            media::Event::Unsecured { .. } | media::Event::Lost { .. } => Line::Dead,
            _ => return None,
        };
        if !self.is_attended(&agent) {
            self.on_unattended_line(now, &agent, was);
        }
        self.follow_phone(now, agent);
        Some(())
    }

    /// The line of a desk without a connection is another than it was: the call is as good as that.
    fn on_unattended_line(&mut self, now: Now, agent: &AgentId, was: Line) {
        let Some(line) = self.softphones.get(agent).map(|phone| phone.line) else { return };
        if let Some(contact) = self.softphone_call(agent) {
            match line {
                Line::Live => contact.call.come_back(),
                Line::Dead | Line::Silent => contact.call.step_away(),
            }
            if was == Line::Live {
                self.await_desk(now, agent);
            }
        }
        if line == Line::Dead && self.is_desk_abandoned(agent) {
            self.remove_softphone(agent);
        }
    }

    pub(super) fn is_attended(&self, agent: &AgentId) -> bool {
        self.desks.get(agent).is_some_and(|desk| desk.connection().is_some())
    }

    /// Nobody is connected, and nobody is waited for.
    fn is_desk_abandoned(&self, agent: &AgentId) -> bool {
        self.desks.get(agent).is_none_or(|desk| desk.connection().is_none() && desk.deadline().is_none())
    }

    /// The desktop's WebSocket is gone. Its page may be as well, and then its audio tells.
    pub(super) fn on_softphone_away(&mut self, now: Now, agent: &AgentId) {
        let Some(line) = self.softphones.get(agent).map(|phone| phone.line) else { return };
        if line != Line::Live
            && let Some(contact) = self.softphone_call(agent)
        {
            contact.call.step_away();
        }
        self.follow_phone(now, agent.clone());
    }

    /// The same page is back: its audio never went.
    pub(super) fn on_softphone_back(&mut self, now: Now, agent: &AgentId) {
        let up = self.softphones.get(agent).is_some_and(|phone| phone.line != Line::Dead);
        if up && let Some(contact) = self.softphone_call(agent) {
            contact.call.come_back();
        }
        self.follow_phone(now, agent.clone());
    }

    /// Another page has the desk: the one before is gone, and what it said with it. It will offer.
    pub(super) fn on_softphone_reloaded(&mut self, now: Now, agent: &AgentId) {
        let Some(phone) = self.softphones.get_mut(agent) else { return };
        phone.line = Line::Dead;
        if let Some(contact) = self.softphone_call(agent) {
            contact.call.step_away();
        }
        self.follow_phone(now, agent.clone());
    }

    /// Nobody came back to the desk. A page that only lost its WebSocket still talks, unless the caller
    /// is on hold or the agent muted: nobody is left who could end that.
    pub(super) fn on_softphone_abandoned(&mut self, agent: &AgentId) {
        let live = self.softphones.get(agent).is_some_and(|phone| phone.line == Line::Live);
        let talks = self.softphone_call(agent).is_some_and(|contact| contact.call.is_conversation());
        if !(live && talks) {
            self.remove_softphone(agent);
        }
    }

    /// After a reload: agents whose phone is another now. A call that is up goes on to its end.
    pub(super) fn remove_strange_softphones(&mut self) {
        let idle = |(agent, phone): (&AgentId, &Softphone)| {
            (phone.leg.is_some() && !self.is_softphone(agent)).then(|| agent.clone())
        };
        let strangers: Vec<_> = self.softphones.iter().filter_map(idle).collect();
        strangers.iter().for_each(|agent| self.remove_softphone(agent));
    }

    /// Nobody will speak by it any more.
    fn remove_softphone(&mut self, agent: &AgentId) {
        let Some(phone) = self.softphones.remove(agent) else { return };
        self.lines.remove(&phone.id);
        match phone.leg {
            Some(leg) => {
                let (shard, leg) = (phone.shard, leg.id());
                self.outputs.push_back(Output::Media { shard, command: media::Command::Close { leg } });
            }
            None => {
                let contact = self.holding.get(agent).and_then(|id| self.contacts.get_mut(id));
                if let Some(contact) = contact {
                    self.stirred.insert(contact.id);
                    contact.call.release(Release::by_us(Cause::PeerLost));
                }
            }
        }
    }

    pub(super) fn is_softphone(&self, agent: &AgentId) -> bool {
        matches!(self.config.agents.get(agent).map(|agent| &agent.phone), Some(Phone::Softphone))
    }

    /// Its page is there, its handshake done.
    pub(super) fn is_softphone_live(&self, agent: &AgentId) -> bool {
        self.softphones.get(agent).is_some_and(|phone| phone.line != Line::Dead) && self.is_attended(agent)
    }

    /// The contact that has the agent's standing leg.
    fn softphone_call(&mut self, agent: &AgentId) -> Option<&mut super::contact::Contact> {
        self.softphones.get(agent).filter(|phone| phone.leg.is_none())?;
        let id = *self.holding.get(agent)?;
        self.stirred.insert(id);
        self.contacts
            .get_mut(&id)
            .map(Box::as_mut)
            .filter(|contact| matches!(contact.call.callee(), Some(Who::Agent(with)) if with == agent))
    }
}

fn unacceptable(agent: &AgentId, refusal: crate::sdp::Refusal) -> cti::Refusal {
    tracing::debug!(%agent, %refusal, "softphone's offer refused");
    Refusal::Unacceptable
}
