//! The table: what one machine says becomes what another is told, until all are quiet.
//!
//! | from      | says                     | to                                                    |
//! |-----------|--------------------------|-------------------------------------------------------|
//! | sip       | Invited                  | a new contact: call, flow; the store is asked         |
//! | sip       | Registered               | acd: who cannot be rung is not ready                  |
//! | sip       | anything of a leg        | call                                                  |
//! | web       | Call                     | a new contact, bound to its customer                  |
//! | web       | Confirm, Renew, HangUp   | call                                                  |
//! | media     | Digit, Played            | call                                                  |
//! | media     | Secured, Unsecured, Lost | acd: a desk's line is up or down; call                |
//! | media     | Silent, Audible, Quality | call                                                  |
//! | media     | Absent                   | call                                                  |
//! | media     | Unmasked                 | the record                                            |
//! | call      | Established, Key, Played | flow                                                  |
//! | call      | CalleeAnswered, Refused  | acd; desk                                             |
//! | call      | CallerAway, CallerBack   | acd: nobody is rung for it; how long it may be gone   |
//! | call      | Free                     | the desk has its standing leg again                   |
//! | call      | Held, Resumed            | desk; the record                                      |
//! | call      | CallerAbsent             | call: a caller who is gone too long is released       |
//! | call      | Silent, SilenceOver      | desk; the record                                      |
//! | call      | Fared                    | desk, now and then; the record; counters              |
//! | call      | Released                 | flow, acd, desk; the record                           |
//! | flow      | Say, Fetch               | the world, and back as Spoken, Fetched                |
//! | flow      | Secure                   | call: the recording is masked                         |
//! | flow      | Step                     | the store: an IVR step is a journey step              |
//! | flow      | Exit                     | acd, or a call out                                    |
//! | acd       | Offer                    | desk first; then the call rings the agent             |
//! | acd       | Withdraw, Overflow       | call, desk; the flow goes on                          |
//! | acd       | State                    | desk; whom the agent held is forgotten when done      |
//! | disk      | Saved, Spoiled           | the record; a contact waits for it                    |
//! | store     | Found                    | flow's values; the pop, as an update if it was offered |
//! | desk      | displayed                | the call rings the agent                              |
//! | desk      | sdp                      | its standing leg, or the call that has it             |
//! | desk      | answer                   | the call rings the agent, or joins the standing leg   |
//! | desk      | anything else            | call, acd                                             |

use crate::acd;
use crate::base::{ContactId, LegId, Now};
use crate::call::record::Stage;
use crate::call::recording::Wish;
use crate::call::release::{Cause, Release};
use crate::call::{self, Answering, Call, Who};
use crate::cti::Push;
use crate::ivr::interpreter::Interpreter;
use crate::ivr::{self, Secure};
use crate::media;
use crate::sip;
use crate::sip::Headers;
use crate::sip::endpoint::{Body, Invitation};

use super::contact::{Contact, Hearing, Place, Records};
use super::wire;
use super::{Gateway, Output};

impl Gateway {
    /// Carries between the machines until none has anything left to say.
    pub(super) fn settle(&mut self, now: Now) {
        loop {
            if let Some(output) = self.sip.poll_output() {
                self.sip_said(now, output);
            } else if let Some(output) = self.acd.poll_output() {
                self.acd_said(now, output);
            } else if let Some(id) = self.stirred.pop_first() {
                self.listen_to(now, id);
            } else {
                break;
            }
        }
    }

    fn sip_said(&mut self, now: Now, output: sip::Output) {
        let event = match output {
            sip::Output::Transmit { hop, bytes } => {
                return self.outputs.push_back(Output::Transmit { hop, bytes });
            }
            sip::Output::Event(event) => event,
        };
        let leg = match &event {
            sip::Event::Invited { leg, peer, request, .. } => {
                let (leg, peer) = (*leg, peer.clone());
                return self.invited(now, leg, &peer, request);
            }
            sip::Event::Registered { agent, reachable } => {
                tracing::info!(%agent, reachable, "phone");
                let agent = agent.clone();
                return self.follow_phone(now, agent);
            }
            sip::Event::Cancelled { leg, .. }
            | sip::Event::Acked { leg, .. }
            | sip::Event::Unacked { leg }
            | sip::Event::Progressed { leg, .. }
            | sip::Event::Answered { leg, .. }
            | sip::Event::Refused { leg, .. }
            | sip::Event::Reoffered { leg, .. }
            | sip::Event::Reanswered { leg, .. }
            | sip::Event::Rerefused { leg, .. }
            | sip::Event::Informed { leg, .. }
            | sip::Event::Ended { leg, .. } => *leg,
        };
        let gone = matches!(event, sip::Event::Refused { .. } | sip::Event::Ended { .. });
        if matches!(event, sip::Event::Reoffered { .. }) {
            self.provide(leg);
        }
        if let Some(contact) = self.stir_by_leg(leg) {
            contact.call.handle_sip(now.mono, event);
        }
        if gone {
            self.legs.remove(&leg);
        }
    }

    pub(super) fn on_media(&mut self, now: Now, event: media::Event) {
        self.on_softphone_media(now, &event);
        let leg = match &event {
            media::Event::Digit { leg, .. }
            | media::Event::Silent { leg, .. }
            | media::Event::Audible { leg }
            | media::Event::Absent { leg, .. }
            | media::Event::Quality { leg, .. }
            | media::Event::Secured { leg }
            | media::Event::Unsecured { leg }
            | media::Event::Lost { leg }
            | media::Event::Closed { leg, .. } => *leg,
            media::Event::Played { play } => Call::leg_of(*play),
            media::Event::Unmasked { recording, from, to } => {
                return self.on_unmasked(*recording, *from, *to);
            }
            media::Event::Recorded { .. } => return,
        };
        if let Some(contact) = self.stir_by_leg(leg) {
            contact.call.handle_media(now.mono, event);
        }
    }

    fn listen_to(&mut self, now: Now, id: ContactId) {
        while let Some(contact) = self.contacts.get_mut(&id) {
            if let Some(output) = contact.call.poll_output() {
                self.call_said(now, id, output);
            } else if let Some(output) = contact.flow.as_mut().and_then(Interpreter::poll_output) {
                self.flow_said(now, id, output);
            } else {
                break;
            }
        }
        self.rearm(id);
    }

    fn call_said(&mut self, now: Now, id: ContactId, output: call::Output) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        match output {
            call::Output::Media(command) => {
                let shard = contact.shard;
                self.outputs.push_back(Output::Media { shard, command });
            }
            call::Output::Free(agent, leg) => {
                let shard = contact.shard;
                self.on_softphone_free(now, agent, leg, shard);
            }
            call::Output::Unused(socket) if socket.id.is_shared() => {}
            call::Output::Unused(socket) => self.outputs.push_back(Output::Retire(socket)),
            call::Output::Sip(command) => self.command_sip(now, command),
            call::Output::Event(event) => self.on_call(now, id, event),
        }
    }

    fn command_sip(&mut self, now: Now, command: call::Sip) {
        match command {
            call::Sip::Respond { leg, body } => {
                self.sip.respond(now.mono, leg, 200, Headers::new(), Some(Body::sdp(body)));
            }
            call::Sip::Refuse { leg, refusal } => {
                tracing::debug!(%leg, status = refusal.status(), %refusal, "offer refused");
                self.sip.respond(now.mono, leg, refusal.status(), wire::refused(refusal), None);
            }
            call::Sip::Invite { leg, ring, body } => {
                let headers = match ring.answering {
                    Answering::ByHand => Headers::new(),
                    Answering::Automatic => wire::automatic_answer(),
                };
                let from = wire::from(&ring.caller, &self.config);
                let invitation =
                    Invitation { target: ring.target, from, headers, body: Some(Body::sdp(body)) };
                self.sip.invite(now.mono, leg, invitation);
            }
            call::Sip::Ack { leg, body } => self.sip.ack(now.mono, leg, body.map(Body::sdp)),
            call::Sip::HangUp { leg, release } => {
                self.legs.remove(&leg);
                self.sip.hang_up(now.mono, leg, release.cause.status(), wire::reason(release));
            }
        }
    }

    fn on_call(&mut self, now: Now, id: ContactId, event: call::Event) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        match event {
            call::Event::Established => {
                if contact.records == Records::Call {
                    self.record(now, id);
                }
                self.begin(now, id);
            }
            call::Event::CallerAway => self.page_away(now, id),
            call::Event::CallerBack => self.page_back(now, id),
            call::Event::CalleeAway => self.phone_away(now, id),
            call::Event::Key(key) => {
                if contact.place == Place::Flow {
                    contact.tell_flow(now, ivr::Input::Key(key));
                }
            }
            // The phone is gone without a BYE.
            call::Event::CallerAbsent(since, direction) => {
                if self.config.media.patience(direction).is_some_and(|patience| since >= patience) {
                    contact.call.release(Release::by_us(Cause::MediaLost));
                }
            }
            call::Event::Silent(party, since) => self.silent(now, id, party, since),
            call::Event::SilenceOver(party) => self.silence_over(now, id, party),
            call::Event::Fared(party, leg, quality) => self.fared(now, id, party, leg, quality),
            call::Event::Played => match std::mem::replace(&mut contact.hearing, Hearing::Nothing) {
                Hearing::Flow => contact.tell_flow(now, ivr::Input::Heard),
                Hearing::Announcement => contact.play_music(),
                Hearing::Music | Hearing::Nothing => {}
            },
            call::Event::CalleeRinging(_) => {}
            call::Event::CalleeAnswered(Who::Agent(agent)) => self.agent_answered(now, id, agent),
            call::Event::CalleeAnswered(Who::Outside(_)) => {
                contact.place = Place::Outside { until: None };
                contact.timeline.enter(now.mono, Stage::Talk);
                self.follow_stage(now.mono, id);
                self.served(now, id);
            }
            call::Event::CalleeRefused(Who::Agent(agent), status) => {
                let busy = matches!(Cause::of_refusal(status), Cause::Busy | Cause::Declined);
                let contact = id;
                let input = if busy {
                    acd::Input::Decline { contact, agent }
                } else {
                    acd::Input::Fail { contact, agent }
                };
                self.acd.handle_input(now.mono, input);
            }
            call::Event::CalleeRefused(Who::Outside(_), _) => {
                contact.place = Place::Flow;
                contact.timeline.enter(now.mono, Stage::Ivr);
                contact.tell_flow(now, ivr::Input::TransferFailed);
            }
            call::Event::CalleeReleased(_, release) => contact.call.release(release),
            call::Event::Held => self.held(now, id, Stage::Hold, |contact| Push::Held { contact }),
            call::Event::Resumed => self.held(now, id, Stage::Talk, |contact| Push::Resumed { contact }),
            call::Event::Released(release) => self.released(now, id, release),
        }
    }

    pub(super) fn flow_said(&mut self, now: Now, id: ContactId, output: ivr::Output) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let over = contact.call.is_over();
        match output {
            ivr::Output::Step(report) => self.ivr_step(now, id, report),
            ivr::Output::Walked { step, input } => contact.walk(step, input, now.wall),
            // A caller who is gone is neither spoken to nor put through.
            _ if over => {}
            ivr::Output::Say(utterances) => self.speak(id, utterances, Hearing::Flow),
            ivr::Output::Hush => {
                contact.hearing = Hearing::Nothing;
                contact.awaiting.speech = None;
                contact.call.hush();
            }
            ivr::Output::Fetch(fetch) => {
                let ticket = contact.awaiting.ticket();
                contact.awaiting.fetch = Some(ticket);
                self.outputs.push_back(Output::Fetch { contact: id, ticket, fetch });
            }
            ivr::Output::Secure(Secure::Begins) => contact.mask(now.mono, Wish::Secure),
            ivr::Output::Secure(Secure::Ends) => contact.unmask(Wish::Secure),
            ivr::Output::Language(language) => contact.language = language,
            ivr::Output::Exit(exit) => self.exit(now, id, exit),
        }
    }

    fn acd_said(&mut self, now: Now, output: acd::Output) {
        match output {
            acd::Output::Offer { contact, agent, queue, waited, answer_within } => {
                self.offer(now, contact, agent, queue, waited, answer_within);
            }
            acd::Output::Withdraw { contact, agent, why } => self.withdraw(now, contact, agent, why),
            acd::Output::State { agent, state } => self.agent_state(agent, state),
            acd::Output::Overflow { contact, why, .. } => self.overflowed(now, contact, why),
            acd::Output::Position { .. } => {}
        }
    }

    pub(super) fn stir_by_leg(&mut self, leg: LegId) -> Option<&mut Contact> {
        let id = *self.legs.get(&leg)?;
        self.stirred.insert(id);
        self.contacts.get_mut(&id).map(Box::as_mut)
    }

    /// Registers when the contact next wants to be woken.
    fn rearm(&mut self, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        let next = contact.poll_timeout();
        if next == contact.deadline {
            return;
        }
        if let Some(old) = std::mem::replace(&mut contact.deadline, next) {
            self.deadlines.remove(&(old, id));
        }
        if let Some(next) = next {
            self.deadlines.insert((next, id));
        }
    }
}
