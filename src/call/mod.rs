//! The back-to-back user agent (RFC 7092, media-terminating): one caller's call and, while there
//! is one, the leg to whoever is to talk with them.
//!
//! **Each leg stands alone.** Media is terminated, so SDP never crosses: every [`leg::Leg`]
//! finishes its own offer/answer. What crosses is progress, answer and release.
//!
//! **Invariant:** a call knows no queue, flow or journey. It is commanded (`play`, `ring`,
//! `release`) and tells what happened ([`Event`]); a command returns nothing.

pub mod leg;
pub mod record;
pub mod release;
pub mod route;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::{AgentId, Key, LegId, PlayId};
use crate::media::{self, Masking, Prompt, RecordingId, Repeat, Source, Tone};
use crate::sdp::Refusal;
use crate::sip::endpoint::Target;
use crate::sip::{self, Ending};

use self::leg::{Leg, Signalling, Socket};
use self::release::{Cause, Party, Release};

/// One caller's call.
#[derive(Debug)]
pub struct Call {
    caller: Leg,
    phase: Phase,
    callee: Option<Callee>,
    /// What the caller hears when nobody talks to them.
    playing: Option<Playing>,
    hold_music: Option<Arc<[Arc<Prompt>]>>,
    recording: Option<RecordingId>,
    plays: u16,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Our 2xx is on its way.
    Answering,
    Up,
    /// The caller's leg is gone or going; nothing is commanded any more.
    Over,
}

/// Whoever is to talk with the caller.
#[derive(Debug)]
struct Callee {
    who: Who,
    leg: Leg,
    state: CalleeState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CalleeState {
    Ringing,
    Talking,
    /// On hold by the agent's wish: the caller hears music, the agent nothing.
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parking {
    Free,
    Parked,
}

/// Whom a callee leg reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Agent(AgentId),
    /// Somebody outside, by transfer.
    Outside(String),
}

#[derive(Clone, Copy, Debug)]
struct Playing {
    play: PlayId,
    /// Only the end of what was asked for is told; hold music is the call's own affair.
    tells: bool,
}

/// What a call asks of its surroundings, and what it tells.
#[derive(Debug)]
pub enum Output {
    Sip(Sip),
    /// For the shard that holds the legs of this call.
    Media(media::Command),
    /// A leg gives its socket up without having used it.
    Unused(Socket),
    Event(Event),
}

/// Commands to the SIP endpoint.
#[derive(Debug)]
pub enum Sip {
    Respond { leg: LegId, status: u16, body: Option<Bytes> },
    Invite { leg: LegId, ring: Ring, body: Bytes },
    Ack { leg: LegId, body: Option<Bytes> },
    HangUp { leg: LegId, release: Release },
}

/// How to ring somebody.
#[derive(Clone, Debug)]
pub struct Ring {
    pub target: Target,
    /// The number shown as calling.
    pub caller: String,
    pub answering: Answering,
}

/// Whether the phone is to wait for a hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    ByHand,
    /// RFC 5373 `Answer-Mode: Auto`, and `Call-Info: …;answer-after=0` for phones that know only that.
    Automatic,
}

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The caller acknowledged and hears us.
    Established,
    Key(Key),
    /// Nothing came from the caller's phone for this long; told again while it lasts.
    Silent(Duration),
    /// What `play` was asked for has been heard to its end.
    Played,
    CalleeRinging(Who),
    CalleeAnswered(Who),
    /// The callee was not reached; the status says why.
    CalleeRefused(Who, u16),
    /// The callee hung up, or its leg was lost, while talking.
    CalleeReleased(Who, Release),
    Held,
    Resumed,
    /// The call is over. Said once, last.
    Released(Release),
}

impl Call {
    /// Accepts an INVITE: negotiates and answers in this turn. `offer` is empty for a delayed
    /// offer (RFC 3264 §5). A refusal is answered here too, and `Released` follows.
    pub fn accept(leg: LegId, socket: Socket, ssrc: u32, session: u64, offer: &[u8]) -> Self {
        let mut call = Self::answering(Leg::new(leg, socket, ssrc, session));
        match call.caller.answer(offer) {
            Ok(body) => {
                call.outputs.push_back(Output::Sip(Sip::Respond { leg, status: 200, body: Some(body) }));
                call.open(Side::Caller);
            }
            Err(refusal) => {
                tracing::debug!(%leg, %refusal, "offer refused");
                call.release(Release::by_us(Cause::MediaRefused(refusal.status())));
            }
        }
        call
    }

    /// Answers a page's offer. The call is up once the page may have the answer ([`Call::confirm`]).
    /// There is none if the offer is refused.
    pub fn accept_web(
        leg: LegId,
        socket: Socket,
        ssrc: u32,
        session: u64,
        offer: &[u8],
    ) -> Result<(Self, Bytes), Refusal> {
        let mut call = Self::answering(Leg::new(leg, socket, ssrc, session).on(Signalling::Web));
        let answer = call.renew(offer)?;
        Ok((call, answer))
    }

    fn answering(caller: Leg) -> Self {
        Self {
            caller,
            phase: Phase::Answering,
            callee: None,
            playing: None,
            hold_music: None,
            recording: None,
            plays: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The caller may have our answer: what an ACK says in SIP.
    pub fn confirm(&mut self) {
        if self.phase == Phase::Answering {
            self.phase = Phase::Up;
            self.tell(Event::Established);
        }
    }

    /// A page offers anew: it was loaded again, or its network changed. What was agreed before
    /// stands if the offer is refused.
    pub fn renew(&mut self, offer: &[u8]) -> Result<Bytes, Refusal> {
        // RFC 3264 §5 lets an INVITE come without an offer; a page has no ACK to answer ours in.
        if offer.is_empty() {
            return Err(Refusal::Malformed);
        }
        let was = self.parking();
        let answer = self.caller.answer(offer)?;
        self.agreed_anew(Side::Caller, was);
        Ok(answer)
    }

    pub fn caller_leg(&self) -> LegId {
        self.caller.id()
    }

    pub fn callee_leg(&self) -> Option<LegId> {
        self.callee.as_ref().map(|callee| callee.leg.id())
    }

    pub fn callee(&self) -> Option<&Who> {
        self.callee.as_ref().map(|callee| &callee.who)
    }

    pub fn is_talking(&self) -> bool {
        self.callee.as_ref().is_some_and(|c| c.state != CalleeState::Ringing)
    }

    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Plays to the caller in place of what was playing. `Played` follows if it is once only.
    pub fn play(&mut self, prompts: Arc<[Arc<Prompt>]>, repeat: Repeat) {
        if self.phase == Phase::Over || self.is_talking() {
            return;
        }
        self.start(prompts, repeat, true);
        self.patch_caller();
    }

    pub fn hush(&mut self) {
        if self.is_talking() {
            return;
        }
        self.stop();
        self.patch_caller();
    }

    /// Rings somebody while the caller goes on hearing what is played.
    pub fn ring(&mut self, who: Who, leg: LegId, socket: Socket, ssrc: u32, session: u64, ring: Ring) {
        if self.phase == Phase::Over || self.callee.is_some() {
            self.outputs.push_back(Output::Unused(socket));
            return self.tell(Event::CalleeRefused(who, Cause::Congestion.status()));
        }
        let mut leg = Leg::new(leg, socket, ssrc, session);
        let body = leg.offer();
        self.outputs.push_back(Output::Sip(Sip::Invite { leg: leg.id(), ring, body }));
        self.callee = Some(Callee { who, leg, state: CalleeState::Ringing });
        self.patch_caller();
    }

    /// Stops ringing. Nothing is told: whoever withdraws knows.
    pub fn withdraw(&mut self, release: Release) {
        if self.callee.as_ref().is_some_and(|c| c.state == CalleeState::Ringing) {
            self.drop_callee(Some(release));
            self.patch_caller();
        }
    }

    /// The agent parks the caller.
    pub fn hold(&mut self) {
        self.move_callee(CalleeState::Talking, CalleeState::Held);
    }

    pub fn resume(&mut self) {
        self.move_callee(CalleeState::Held, CalleeState::Talking);
    }

    /// What a held caller hears, from now on.
    pub fn keep_hold_music(&mut self, prompts: Arc<[Arc<Prompt>]>) {
        self.hold_music = Some(prompts);
    }

    pub fn record(&mut self, recording: RecordingId) {
        if self.recording.is_none() && self.phase != Phase::Over {
            self.recording = Some(recording);
            let (left, right) = (self.caller.id(), self.talking_leg());
            self.media(media::Command::Record { recording, left, right });
        }
    }

    pub fn mask(&mut self, masking: Masking) {
        if let Some(recording) = self.recording {
            self.media(media::Command::Mask { recording, masking });
        }
    }

    /// Ends the call for everybody in it.
    pub fn release(&mut self, release: Release) {
        if self.phase == Phase::Over {
            return;
        }
        // BYE before Close: the peer must not hear silence and report a fault.
        self.outputs.extend(farewell(&self.caller, release));
        self.end(release);
    }

    pub fn handle_sip(&mut self, event: sip::Event) {
        match event {
            sip::Event::Invited { .. } | sip::Event::Registered { .. } => {}
            sip::Event::Cancelled { .. } => self.end(Release::new(Party::Caller, Cause::Cancelled)),
            sip::Event::Acked { leg, body } => self.acked(leg, &body),
            sip::Event::Unacked { leg } => self.lost(leg, Cause::NeverAcknowledged, Hangup::Owed),
            sip::Event::Progressed { leg, response } => {
                if self.is_callee(leg)
                    && response.status == 180
                    && let Some(callee) = &self.callee
                {
                    self.tell(Event::CalleeRinging(callee.who.clone()));
                }
            }
            sip::Event::Answered { leg, response } => self.answered(leg, &response.body),
            sip::Event::Refused { leg, response } => {
                if let Some(callee) = self.callee.take_if(|c| c.leg.id() == leg) {
                    self.outputs.push_back(surrender(&callee.leg));
                    self.patch_caller();
                    self.tell(Event::CalleeRefused(callee.who, response.status));
                }
            }
            sip::Event::Reoffered { leg, request } => self.reoffered(leg, &request.body),
            sip::Event::Reanswered { .. } | sip::Event::Rerefused { .. } => {}
            sip::Event::Informed { leg, request } => {
                if let (true, Some(key)) = (leg == self.caller.id(), leg::key_of_info(&request)) {
                    self.tell(Event::Key(key));
                }
            }
            sip::Event::Ended { leg, by: Ending::Bye(_) } => self.lost(leg, Cause::Normal, Hangup::Done),
            sip::Event::Ended { leg, by: Ending::Lost } => self.lost(leg, Cause::PeerLost, Hangup::Done),
        }
    }

    pub fn handle_media(&mut self, event: media::Event) {
        match event {
            media::Event::Digit { leg, key } if leg == self.caller.id() => self.tell(Event::Key(key)),
            media::Event::Silent { leg, since } if leg == self.caller.id() => self.tell(Event::Silent(since)),
            media::Event::Played { play } => {
                if let Some(playing) = self.playing.take_if(|p| p.play == play)
                    && playing.tells
                {
                    self.tell(Event::Played);
                }
            }
            _ => {}
        }
    }

    /// The leg that owns a play: its number is the upper part of the play's.
    pub fn leg_of(play: PlayId) -> LegId {
        LegId(play.0 >> 16)
    }

    fn acked(&mut self, leg: LegId, body: &[u8]) {
        let side = if leg == self.caller.id() { Side::Caller } else { Side::Callee };
        let awaits_answer = self.side(side).is_some_and(|leg| leg.awaits_answer());
        if awaits_answer {
            // RFC 3264 §5: after a delayed offer the answer comes in the ACK.
            match self.side_mut(side).map(|leg| leg.accept(body)) {
                Some(Ok(())) => self.open(side),
                Some(Err(refusal)) => {
                    tracing::debug!(%leg, %refusal, "answer in ACK refused");
                    return self.lost(leg, Cause::MediaRefused(refusal.status()), Hangup::Owed);
                }
                None => {}
            }
        }
        if side == Side::Caller {
            self.confirm();
        }
    }

    fn answered(&mut self, leg: LegId, body: &[u8]) {
        let Some(callee) = self.callee.as_mut().filter(|c| c.leg.id() == leg) else { return };
        self.outputs.push_back(Output::Sip(Sip::Ack { leg, body: None }));
        if let Err(refusal) = callee.leg.accept(body) {
            // RFC 3261 §13.2.2.4: an answer we cannot use is acknowledged, then ended.
            let who = callee.who.clone();
            let status = refusal.status();
            tracing::debug!(%leg, %refusal, "answer refused");
            self.drop_callee(Some(Release::by_us(Cause::MediaRefused(status))));
            return self.tell(Event::CalleeRefused(who, status));
        }
        callee.state = CalleeState::Talking;
        let who = callee.who.clone();
        self.open(Side::Callee);
        self.stop();
        self.patch_both();
        self.rewire_recording();
        self.tell(Event::CalleeAnswered(who));
        self.tell_parking(Parking::Free);
    }

    /// RFC 3264 §8: the peer changes its media, most often to hold or resume.
    fn reoffered(&mut self, leg: LegId, offer: &[u8]) {
        let side = if leg == self.caller.id() { Side::Caller } else { Side::Callee };
        let was = self.parking();
        let Some(which) = self.side_mut(side) else { return };
        match which.answer(offer) {
            Ok(body) => {
                self.outputs.push_back(Output::Sip(Sip::Respond { leg, status: 200, body: Some(body) }));
                self.agreed_anew(side, was);
            }
            Err(refusal) => self.outputs.push_back(Output::Sip(Sip::Respond {
                leg,
                status: refusal.status(),
                body: None,
            })),
        }
    }

    fn agreed_anew(&mut self, side: Side, was: Parking) {
        self.open(side);
        if self.is_talking() {
            self.patch_both();
        }
        self.tell_parking(was);
    }

    fn lost(&mut self, leg: LegId, cause: Cause, hangup: Hangup) {
        if leg == self.caller.id() {
            let by = if hangup == Hangup::Owed { Party::Us } else { Party::Caller };
            let release = Release::new(by, cause);
            if hangup == Hangup::Owed {
                return self.release(release);
            }
            return self.end(release);
        }
        if self.is_callee(leg)
            && let Some(who) = self.callee().cloned()
        {
            let release = Release::new(Party::Callee, cause);
            self.drop_callee((hangup == Hangup::Owed).then_some(release));
            self.patch_caller();
            self.tell(Event::CalleeReleased(who, release));
        }
    }

    /// The caller's leg needs no more signalling: everything else goes.
    fn end(&mut self, release: Release) {
        if self.phase == Phase::Over {
            return;
        }
        self.phase = Phase::Over;
        self.drop_callee(Some(release));
        self.stop();
        if let Some(recording) = self.recording.take() {
            self.media(media::Command::Finish { recording });
        }
        self.outputs.push_back(surrender(&self.caller));
        self.tell(Event::Released(release));
    }

    fn drop_callee(&mut self, hang_up: Option<Release>) {
        let Some(callee) = self.callee.take() else { return };
        if let Some(release) = hang_up {
            self.outputs.extend(farewell(&callee.leg, release));
        }
        if callee.state != CalleeState::Ringing {
            self.rewire_recording();
        }
        self.outputs.push_back(surrender(&callee.leg));
    }

    fn move_callee(&mut self, from: CalleeState, to: CalleeState) {
        let was = self.parking();
        let Some(callee) = self.callee.as_mut().filter(|c| c.state == from) else { return };
        callee.state = to;
        self.patch_both();
        self.tell_parking(was);
    }

    /// By the desktop's wish or at the agent's phone: parked is parked, until both let go.
    fn parking(&self) -> Parking {
        let Some(callee) = &self.callee else { return Parking::Free };
        match (callee.state, &callee.who) {
            (CalleeState::Held, _) => Parking::Parked,
            (CalleeState::Talking, Who::Agent(_)) if !callee.leg.is_heard() => Parking::Parked,
            _ => Parking::Free,
        }
    }

    /// The record and the desktop are told what changed, and only that.
    fn tell_parking(&mut self, was: Parking) {
        match (was, self.parking()) {
            (Parking::Free, Parking::Parked) => self.tell(Event::Held),
            (Parking::Parked, Parking::Free) => self.tell(Event::Resumed),
            _ => {}
        }
    }

    /// Opens or amends a leg's audio as last agreed.
    fn open(&mut self, side: Side) {
        if let Some(command) = self.side_mut(side).and_then(Leg::open) {
            self.media(command);
        }
        if side == Side::Caller && !self.is_talking() {
            self.patch_caller();
        }
    }

    fn start(&mut self, prompts: Arc<[Arc<Prompt>]>, repeat: Repeat, tells: bool) {
        self.stop();
        self.plays = self.plays.wrapping_add(1);
        let play = PlayId(self.caller.id().0 << 16 | u64::from(self.plays));
        self.media(media::Command::Play { play, prompts, repeat });
        self.playing = Some(Playing { play, tells });
    }

    fn stop(&mut self) {
        if let Some(playing) = self.playing.take() {
            self.media(media::Command::Stop { play: playing.play });
        }
    }

    /// The row of the caller while nobody talks to them: what is played, else the ringing of
    /// somebody outside.
    fn patch_caller(&mut self) {
        let ringing = self
            .callee
            .as_ref()
            .is_some_and(|c| c.state == CalleeState::Ringing && matches!(c.who, Who::Outside(_)));
        let tone = ringing.then_some(Source::Tone(Tone::Ringback));
        let sources = self.playing.iter().map(|p| Source::Prompt(p.play)).chain(tone).take(1).collect();
        self.patch(self.caller.id(), sources);
    }

    /// The rows of a conversation: each hears the other, unless one of them is put on hold.
    fn patch_both(&mut self) {
        let Some(callee) = &self.callee else { return self.patch_caller() };
        let (caller, agent) = (self.caller.id(), callee.leg.id());
        let held = callee.state == CalleeState::Held;
        // A phone that holds by `inactive` or by `recvonly` sends nothing to be heard.
        let silent = held || !callee.leg.is_heard();
        if silent && self.playing.is_none() {
            if let Some(music) = self.hold_music.clone() {
                self.start(music, Repeat::Forever, false);
            }
            self.patch_caller();
        } else if !silent {
            self.stop();
            self.patch(caller, vec![Source::Leg(agent)]);
        }
        let to_agent = if held { vec![] } else { vec![Source::Leg(caller)] };
        self.patch(agent, to_agent);
    }

    fn patch(&mut self, listener: LegId, sources: Vec<Source>) {
        self.media(media::Command::Patch { listener, sources });
    }

    fn rewire_recording(&mut self) {
        if let Some(recording) = self.recording {
            let (left, right) = (self.caller.id(), self.talking_leg());
            self.media(media::Command::Rewire { recording, left, right });
        }
    }

    fn talking_leg(&self) -> Option<LegId> {
        self.callee.as_ref().filter(|c| c.state != CalleeState::Ringing).map(|c| c.leg.id())
    }

    fn is_callee(&self, leg: LegId) -> bool {
        self.callee_leg() == Some(leg)
    }

    fn side(&self, side: Side) -> Option<&Leg> {
        match side {
            Side::Caller => Some(&self.caller),
            Side::Callee => self.callee.as_ref().map(|c| &c.leg),
        }
    }

    fn side_mut(&mut self, side: Side) -> Option<&mut Leg> {
        match side {
            Side::Caller => Some(&mut self.caller),
            Side::Callee => self.callee.as_mut().map(|c| &mut c.leg),
        }
    }

    fn media(&mut self, command: media::Command) {
        self.outputs.push_back(Output::Media(command));
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// Tells the peer that its leg is over, where it can be told.
fn farewell(leg: &Leg, release: Release) -> Option<Output> {
    match leg.signalling() {
        Signalling::Sip => Some(Output::Sip(Sip::HangUp { leg: leg.id(), release })),
        Signalling::Web => None,
    }
}

/// Gives a leg's socket up: closed if it was used, else as it is.
fn surrender(leg: &Leg) -> Output {
    if leg.is_open() {
        Output::Media(media::Command::Close { leg: leg.id() })
    } else {
        Output::Unused(leg.socket())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

/// Whether the peer still has to be told that its leg is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hangup {
    Owed,
    Done,
}
