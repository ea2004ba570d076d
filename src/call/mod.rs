//! The back-to-back user agent (RFC 7092, media-terminating): one caller's call and, while there
//! is one, the leg to whoever is to talk with them.
//!
//! **Each leg stands alone.** Media is terminated, so SDP never crosses: every [`leg::Leg`]
//! finishes its own offer/answer. What crosses is progress, answer and release.
//!
//! **Invariant:** a call knows no queue, flow or journey. It is commanded (`play`, `ring`,
//! `release`) and tells what happened ([`Event`]); a command returns nothing.

pub mod audio;
mod keypad;
pub mod leg;
pub mod record;
pub mod recording;
pub mod release;
pub mod route;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::{AgentId, IceCredentials, Key, LegId, Mono, PlayId};
use crate::media::{self, Masking, Prompt, Quality, RecordingId, Repeat, Source, Tone};
use crate::sdp::Refusal;
use crate::sip::endpoint::Target;
use crate::sip::{self, Ending};

use self::audio::{LegKind, Talker};
use self::keypad::{Keypad, Press, Way};
use self::leg::{Leg, Outfit, Signalling, Socket};
use self::release::{Cause, Party, Release};

/// One caller's call.
#[derive(Debug)]
pub struct Call {
    caller: Leg,
    keypad: Keypad,
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
    presence: Presence,
    voice: Voice,
}

/// Whether somebody is at the other end of a standing leg: a page that is loaded again is not,
/// for a second or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    Away,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    Heard,
    Muted,
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
    /// An agent's standing leg is free again.
    Free(AgentId, Box<Leg>),
    Event(Event),
}

/// Commands to the SIP endpoint.
#[derive(Debug)]
pub enum Sip {
    Respond {
        leg: LegId,
        body: Bytes,
    },
    /// An offer cannot be taken: said with the reason.
    Refuse {
        leg: LegId,
        refusal: Refusal,
    },
    Invite {
        leg: LegId,
        ring: Ring,
        body: Bytes,
    },
    Ack {
        leg: LegId,
        body: Option<Bytes>,
    },
    HangUp {
        leg: LegId,
        release: Release,
    },
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
    /// No packets came from this party for this long; told again while it lasts.
    Silent(Talker, Duration),
    /// They come again, or are not to come any more.
    SilenceOver(Talker),
    /// How a leg fared of late.
    Fared(Talker, LegKind, Quality),
    /// The caller's page is gone, and may be back in a moment.
    CallerAway,
    CallerBack,
    /// The caller gave no sign of life for this long, under this direction of ours; told again while
    /// it lasts.
    CallerAbsent(Duration, media::Direction),
    /// The callee's phone sends and hears nothing, and may be back in a moment.
    CalleeAway,
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
    pub fn accept(leg: LegId, outfit: Outfit, offer: &[u8]) -> Self {
        let mut call = Self::answering(Leg::new(leg, outfit));
        match call.caller.answer(offer) {
            Ok(body) => {
                call.outputs.push_back(Output::Sip(Sip::Respond { leg, body }));
                call.open(Side::Caller);
            }
            Err(refusal) => {
                call.outputs.push_back(Output::Sip(Sip::Refuse { leg, refusal }));
                call.end(Release::by_us(Cause::MediaRefused(refusal.status())));
            }
        }
        call
    }

    /// Answers a page's offer. The call is up once the page may have the answer ([`Call::confirm`]).
    /// There is none if the offer is refused.
    pub fn accept_web(leg: LegId, outfit: Outfit, offer: &[u8]) -> Result<(Self, Bytes), Refusal> {
        let mut call = Self::answering(Leg::new(leg, outfit).on(Signalling::Web));
        let answer = call.agree_with_page(offer)?;
        Ok((call, answer))
    }

    fn answering(caller: Leg) -> Self {
        Self {
            caller,
            keypad: Keypad::default(),
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
    pub fn renew(&mut self, offer: &[u8], fresh: Option<IceCredentials>) -> Result<Bytes, Refusal> {
        if let Some(fresh) = fresh {
            self.caller.provide(fresh);
        }
        self.agree_with_page(offer)
    }

    fn agree_with_page(&mut self, offer: &[u8]) -> Result<Bytes, Refusal> {
        // RFC 3264 §5 lets an INVITE come without an offer; a page has no ACK to answer ours in.
        if offer.is_empty() {
            return Err(Refusal::Malformed);
        }
        let was = self.parking();
        let answer = self.caller.answer(offer)?;
        self.agreed_anew(Side::Caller, was);
        Ok(answer)
    }

    /// Fresh credentials for a leg on the shared port, before it answers anew.
    pub fn provide(&mut self, leg: LegId, fresh: impl FnOnce() -> IceCredentials) {
        let side = if leg == self.caller.id() { Side::Caller } else { Side::Callee };
        if let Some(leg) = self.side_mut(side).filter(|leg| leg.socket().id.is_shared()) {
            leg.provide(fresh());
        }
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

    /// Caller and callee hear each other whenever their paths are up: no hold, no mute.
    pub fn is_conversation(&self) -> bool {
        let open = |callee: &Callee| callee.state == CalleeState::Talking && callee.voice == Voice::Heard;
        self.callee.as_ref().is_some_and(open)
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
    pub fn ring(&mut self, who: Who, leg: LegId, mut outfit: Outfit, ring: Ring) {
        if self.phase == Phase::Over || self.callee.is_some() {
            self.outputs.push_back(Output::Unused(outfit.socket));
            return self.tell(Event::CalleeRefused(who, Cause::Congestion.status()));
        }
        // What the caller speaks comes first: then nothing needs to be transcoded.
        if let Some(spoken) = self.caller.codec() {
            outfit.codecs.sort_by_key(|codec| *codec != spoken);
        }
        let mut leg = Leg::new(leg, outfit);
        let body = leg.offer();
        self.outputs.push_back(Output::Sip(Sip::Invite { leg: leg.id(), ring, body }));
        self.callee = Some(Callee {
            who,
            leg,
            state: CalleeState::Ringing,
            presence: Presence::Here,
            voice: Voice::Heard,
        });
        self.patch_caller();
    }

    /// An agent takes the call on a standing leg: no handshake, one patch.
    pub fn join(&mut self, agent: AgentId, leg: Box<Leg>) {
        if self.phase == Phase::Over || self.callee.is_some() {
            return self.outputs.push_back(Output::Free(agent, leg));
        }
        let who = Who::Agent(agent);
        self.callee = Some(Callee {
            who: who.clone(),
            leg: *leg,
            state: CalleeState::Talking,
            presence: Presence::Here,
            voice: Voice::Heard,
        });
        self.put_through(who);
    }

    /// Nothing can be heard of the callee, for a moment perhaps: the caller hears music meanwhile.
    pub fn step_away(&mut self) {
        self.set_presence(Presence::Away);
    }

    pub fn come_back(&mut self) {
        self.set_presence(Presence::Here);
    }

    /// A phone that went away does not come back any more.
    pub fn give_up_callee(&mut self) {
        if let Some(callee) = self.callee.as_ref().filter(|callee| callee.presence == Presence::Away) {
            self.lost(callee.leg.id(), Cause::PeerLost, Hangup::Owed);
        }
    }

    fn set_presence(&mut self, presence: Presence) {
        if let Some(callee) = self.callee.as_mut().filter(|c| c.presence != presence) {
            callee.presence = presence;
            self.patch_both();
        }
    }

    /// The callee's page offers anew on its standing leg.
    pub fn renew_callee(&mut self, offer: &[u8], fresh: IceCredentials) -> Result<Bytes, Refusal> {
        let callee = self.callee.as_mut().ok_or(Refusal::Unasked)?;
        callee.leg.provide(fresh);
        let before = callee.leg.certificate();
        let answer = callee.leg.answer(offer)?;
        if callee.leg.certificate() != before {
            // Another connection: nothing is heard before its handshake.
            callee.presence = Presence::Away;
        }
        self.open(Side::Callee);
        self.patch_both();
        Ok(answer)
    }

    /// Whether the caller is to hear the callee.
    pub fn set_voice(&mut self, voice: Voice) {
        if let Some(callee) = &mut self.callee {
            callee.voice = voice;
            self.patch_both();
        }
    }

    /// Presses keys toward the caller.
    pub fn press(&mut self, keys: Vec<Key>) {
        if self.is_talking() {
            let leg = self.caller.id();
            self.media(media::Command::Press { leg, keys });
        }
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
            self.media(media::Command::Record { recording, leg: self.caller.id() });
        }
    }

    /// Nothing more of it is wanted.
    pub fn finish_recording(&mut self) {
        if let Some(recording) = self.recording.take() {
            self.media(media::Command::Finish { recording });
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

    pub fn handle_sip(&mut self, now: Mono, event: sip::Event) {
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
                    self.pressed(now, Way::Info, key);
                }
            }
            sip::Event::Ended { leg, by: Ending::Bye(_) } => self.lost(leg, Cause::Normal, Hangup::Done),
            sip::Event::Ended { leg, by: Ending::Lost } => self.lost(leg, Cause::PeerLost, Hangup::Done),
        }
    }

    pub fn handle_media(&mut self, now: Mono, event: media::Event) {
        match event {
            media::Event::Digit { leg, key } if leg == self.caller.id() => {
                self.pressed(now, Way::Audio, key);
            }
            media::Event::Silent { leg, since } => {
                self.tell_of(leg, |talker, _| Event::Silent(talker, since));
            }
            media::Event::Audible { leg } => self.tell_of(leg, |talker, _| Event::SilenceOver(talker)),
            media::Event::Absent { leg, since, direction } if leg == self.caller.id() => {
                self.tell(Event::CallerAbsent(since, direction));
            }
            media::Event::Quality { leg, quality } => {
                self.tell_of(leg, |talker, kind| Event::Fared(talker, kind, quality));
            }
            // Without keys a phone cannot be heard, whatever its signalling says.
            media::Event::Unsecured { leg } if self.signalling_of(leg) != Some(Signalling::Web) => {
                self.lost(leg, Cause::PeerLost, Hangup::Owed);
            }
            // A page that is loaded again offers anew in a moment, as does a browser's phone on
            // another network; and a browser that hangs up closes its path before its BYE comes.
            media::Event::Unsecured { leg } | media::Event::Lost { leg } => match self.signalling_of(leg) {
                Some(_) if leg == self.caller.id() => self.tell(Event::CallerAway),
                Some(Signalling::Web) => self.step_away(),
                Some(Signalling::Sip) => {
                    self.step_away();
                    self.tell(Event::CalleeAway);
                }
                None => {}
            },
            media::Event::Secured { leg } if self.is_callee(leg) => self.come_back(),
            media::Event::Secured { leg } if leg == self.caller.id() => self.tell(Event::CallerBack),
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

    fn pressed(&mut self, now: Mono, way: Way, key: Key) {
        if self.keypad.press(now, way, key) == Press::New {
            self.tell(Event::Key(key));
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
        self.put_through(who);
    }

    fn put_through(&mut self, who: Who) {
        self.stop();
        self.patch_both();
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
                self.outputs.push_back(Output::Sip(Sip::Respond { leg, body }));
                self.agreed_anew(side, was);
            }
            Err(refusal) => self.outputs.push_back(Output::Sip(Sip::Refuse { leg, refusal })),
        }
    }

    fn agreed_anew(&mut self, side: Side, was: Parking) {
        self.open(side);
        if self.is_talking() {
            self.patch_both();
        }
        // Who listens only is not missed.
        if let Some(leg) = self.side(side).filter(|leg| !leg.is_heard()).map(Leg::id) {
            self.tell_of(leg, |talker, _| Event::SilenceOver(talker));
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
        // Before its legs go: what they said last still waits in their buffers.
        self.finish_recording();
        self.drop_callee(Some(release));
        self.stop();
        self.outputs.push_back(surrender(&self.caller));
        self.tell(Event::Released(release));
    }

    fn drop_callee(&mut self, hang_up: Option<Release>) {
        let Some(callee) = self.callee.take() else { return };
        if let Some(release) = hang_up {
            self.outputs.extend(farewell(&callee.leg, release));
        }
        match (callee.who, callee.leg.signalling()) {
            (Who::Agent(agent), Signalling::Web) => {
                self.patch(callee.leg.id(), vec![]);
                self.outputs.push_back(Output::Free(agent, Box::new(callee.leg)));
            }
            _ => self.outputs.push_back(surrender(&callee.leg)),
        }
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
        let callee_voice = callee.voice;
        // A phone that holds by `inactive` or by `recvonly` sends nothing to be heard.
        let away = callee.presence == Presence::Away;
        let silent = held || away || !callee.leg.is_heard();
        if silent && self.playing.is_none() {
            if let Some(music) = self.hold_music.clone() {
                self.start(music, Repeat::Forever, false);
            }
            self.patch_caller();
        } else if !silent {
            self.stop();
            let heard = callee_voice == Voice::Heard;
            self.patch(caller, if heard { vec![Source::Leg(agent)] } else { vec![] });
        }
        let to_agent = if held { vec![] } else { vec![Source::Leg(caller)] };
        self.patch(agent, to_agent);
    }

    fn patch(&mut self, listener: LegId, sources: Vec<Source>) {
        self.media(media::Command::Patch { listener, sources });
    }

    fn signalling_of(&self, leg: LegId) -> Option<Signalling> {
        let side = if leg == self.caller.id() { Side::Caller } else { Side::Callee };
        self.side(side).filter(|side| side.id() == leg).map(Leg::signalling)
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

    /// Something of a leg, in the name of who speaks on it.
    fn tell_of(&mut self, leg: LegId, event: impl FnOnce(Talker, LegKind) -> Event) {
        let callee = self.callee.as_ref().filter(|callee| callee.leg.id() == leg);
        let (talker, leg) = match callee {
            _ if leg == self.caller.id() => (Talker::Caller, &self.caller),
            Some(Callee { who: Who::Agent(_), leg, .. }) => (Talker::Agent, leg),
            Some(Callee { who: Who::Outside(_), leg, .. }) => (Talker::Outside, leg),
            None => return,
        };
        let shared = leg.socket().id.is_shared();
        let kind = if shared { LegKind::WebRtc } else { LegKind::Rtp };
        self.tell(event(talker, kind));
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
