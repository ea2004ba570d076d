//! What a desktop commands. Every command has one outcome, and a repeated one has none.

use std::time::Duration;

use crate::acd;
use crate::base::{AgentId, ContactId, Key, Now};
use crate::call::recording::{Recording, State, Wish};
use crate::call::release::{Cause, Party, Release};
use crate::call::{Answering, Voice};
use crate::cti::{self, JourneyEnd, Push, Refusal, Request, Wanted};

use super::Gateway;
use super::contact::{Contact, Filed, Place, RingState};
use super::desk::ConnectionId;

/// Notes an agent may leave on one contact, and their longest in bytes.
const MOST_NOTES: usize = 50;
const LONGEST_NOTE: usize = 4096;
/// Keys of one command.
const MOST_KEYS: usize = 32;

impl Gateway {
    pub(super) fn on_said(&mut self, now: Now, connection: ConnectionId, command: cti::Command) {
        let Some(agent) = self.connections.get(&connection).cloned() else { return };
        let earlier = self.desks.get(&agent).and_then(|desk| desk.earlier(&command.id));
        let refusal = match earlier {
            Some(outcome) => outcome,
            None => {
                let outcome = self.obey(now, &agent, command.request).err();
                if let Some(desk) = self.desks.get_mut(&agent) {
                    desk.remember(command.id.clone(), outcome);
                }
                outcome
            }
        };
        self.push(&agent, Push::Reply { re: command.id, ok: refusal.is_none(), error: refusal });
    }

    fn obey(&mut self, now: Now, agent: &AgentId, request: Request) -> Result<(), Refusal> {
        match request {
            Request::SetState { state, reason } => self.wish(now, agent, state, reason),
            Request::Displayed { contact, version } => self.displayed(now, agent, contact, version),
            Request::Sdp { sdp } => self.on_softphone_offer(now, agent, &sdp),
            Request::Mute { contact, on } => {
                let voice = if on { Voice::Muted } else { Voice::Heard };
                self.talking(agent, contact).map(|contact| contact.call.set_voice(voice))
            }
            Request::Dtmf { contact, keys } => {
                if keys.is_empty() || keys.len() > MOST_KEYS {
                    return Err(Refusal::TooLong);
                }
                let keys: Result<Vec<Key>, _> = keys.chars().map(Key::try_from).collect();
                let keys = keys.map_err(|_| Refusal::Unknown)?;
                self.talking(agent, contact).map(|contact| contact.call.press(keys))
            }
            Request::Answer { contact } => {
                let ring = match self.theirs(agent, contact)?.place {
                    Place::Offered { ring, .. } => ring,
                    _ => return Err(Refusal::NotNow),
                };
                if self.is_softphone(agent) {
                    return self.pick_up(agent, contact);
                }
                if ring == RingState::Rung {
                    return Err(Refusal::AnswerAtThePhone);
                }
                self.ring(now, contact, Answering::Automatic);
                Ok(())
            }
            Request::Decline { contact } => {
                if !matches!(self.theirs(agent, contact)?.place, Place::Offered { .. }) {
                    return Err(Refusal::NotNow);
                }
                self.acd.handle_input(now.mono, acd::Input::Decline { contact, agent: agent.clone() });
                Ok(())
            }
            Request::Hold { contact } => self.talking(agent, contact).map(|contact| contact.call.hold()),
            Request::Resume { contact } => self.talking(agent, contact).map(|contact| contact.call.resume()),
            Request::Release { contact } => {
                let release = Release::new(Party::Callee, Cause::Normal);
                self.talking(agent, contact).map(|contact| contact.call.release(release))
            }
            Request::Note { contact, text } => {
                let contact = self.theirs(agent, contact)?;
                if text.len() > LONGEST_NOTE || contact.notes.len() == MOST_NOTES {
                    return Err(Refusal::TooLong);
                }
                contact.notes.push(cti::Note { agent: agent.clone(), at: now.wall, text });
                let id = contact.id;
                self.store(now, id);
                Ok(())
            }
            Request::RecordPause { contact } => {
                let contact = self.talking(agent, contact)?;
                let running = contact.recording.as_ref().filter(|it| it.state() == State::Recording);
                if !running.ok_or(Refusal::NotNow)?.has_room() {
                    return Err(Refusal::NotNow);
                }
                contact.mask(now.mono, Wish::Pause);
                let id = contact.id;
                self.store(now, id);
                Ok(())
            }
            Request::RecordResume { contact } => {
                let contact = self.talking(agent, contact)?;
                if !contact.recording.as_ref().is_some_and(Recording::is_paused) {
                    return Err(Refusal::NotNow);
                }
                contact.unmask(Wish::Pause);
                let id = contact.id;
                self.store(now, id);
                Ok(())
            }
            Request::Disposition { contact, code, journey } => self.file(now, agent, contact, code, journey),
            Request::Extend { contact, seconds } => {
                if !self.theirs(agent, contact)?.call.is_over() {
                    return Err(Refusal::NotNow);
                }
                let by = Duration::from_secs(u64::from(seconds.min(600)));
                self.acd.handle_input(now.mono, acd::Input::Extend { contact, agent: agent.clone(), by });
                Ok(())
            }
        }
    }

    fn wish(
        &mut self,
        now: Now,
        agent: &AgentId,
        state: Wanted,
        reason: Option<String>,
    ) -> Result<(), Refusal> {
        let wish = match state {
            Wanted::Ready => {
                if !self.is_reachable(agent) {
                    return Err(Refusal::PhoneUnreachable);
                }
                acd::Wish::Ready
            }
            Wanted::NotReady => {
                let reason = reason.ok_or(Refusal::Unknown)?;
                if reason.is_empty() || reason.len() > 64 {
                    return Err(Refusal::TooLong);
                }
                acd::Wish::NotReady(acd::Reason::Named(reason))
            }
        };
        self.acd.handle_input(now.mono, acd::Input::Wish { agent: agent.clone(), wish });
        Ok(())
    }

    fn displayed(&mut self, now: Now, agent: &AgentId, id: ContactId, version: u32) -> Result<(), Refusal> {
        let contact = self.theirs(agent, id)?;
        let due = matches!(contact.place, Place::Offered { ring: RingState::Due(_), .. });
        if let Some(hop) = contact.hops.last_mut()
            && version == hop.version
        {
            hop.displayed_at.get_or_insert(now.wall);
        }
        if due {
            self.ring(now, id, Answering::ByHand);
        }
        Ok(())
    }

    fn file(
        &mut self,
        now: Now,
        agent: &AgentId,
        id: ContactId,
        code: String,
        journey: Option<JourneyEnd>,
    ) -> Result<(), Refusal> {
        if !self.config.dispositions.iter().any(|known| known.code == code) {
            return Err(Refusal::Unknown);
        }
        let contact = self.theirs(agent, id)?;
        if !matches!(contact.place, Place::Talking { .. }) {
            return Err(Refusal::NotNow);
        }
        contact.disposition = Some(Filed { code, journey, agent: agent.clone(), at: now.wall });
        let settled = contact.errand.clone();
        let over = contact.call.is_over();
        if let (Some(JourneyEnd::Resolved), Some(settled)) = (journey, settled) {
            self.resolve(id, settled);
        }
        self.store(now, id);
        if over {
            self.acd.handle_input(now.mono, acd::Input::WrappedUp { contact: id, agent: agent.clone() });
        }
        Ok(())
    }

    /// The contact, if it is this agent's.
    fn theirs(&mut self, agent: &AgentId, id: ContactId) -> Result<&mut Contact, Refusal> {
        if self.holding.get(agent) != Some(&id) {
            return Err(Refusal::NotYours);
        }
        self.stirred.insert(id);
        self.contacts.get_mut(&id).map(Box::as_mut).ok_or(Refusal::NotYours)
    }

    fn talking(&mut self, agent: &AgentId, id: ContactId) -> Result<&mut Contact, Refusal> {
        let contact = self.theirs(agent, id)?;
        if contact.call.is_talking() { Ok(contact) } else { Err(Refusal::NotNow) }
    }
}
