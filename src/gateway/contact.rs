//! One contact: the call, the flow that serves it, what is known of the caller, and its record.
//!
//! The machines in here do not know each other; `dispatch` carries between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::acd::{self, Level};
use crate::base::{
    AgentId, BrandId, CallId, ContactId, CustomerId, E164, FlowId, Language, Mono, Now, QueueId, SkillId,
    Wall,
};
use crate::call::Call;
use crate::call::audio::{self, Audio};
use crate::call::record::{Segment, Stage, Timeline};
use crate::call::recording::{Kept, Recording};
use crate::call::release::Release;
use crate::config::Entrance;
use crate::cti::{Hop, JourneyEnd, Note, Outcome, ScreenPop, Stop};
use crate::ivr::interpreter::Interpreter;
use crate::ivr::{self, StepReport};
use crate::journey::handoff::Binding;
use crate::journey::{Confidence, Dossier, Identifier, Topics};
use crate::media::{Prompt, Repeat};

/// Stops kept of a caller's path; a caller who goes in circles loses the oldest.
const LONGEST_PATH: usize = 100;
/// Hops kept of a contact that agent after agent declines.
const MOST_HOPS: usize = 50;

#[derive(Debug)]
pub struct Contact {
    pub id: ContactId,
    pub call_id: CallId,
    pub brand: BrandId,
    /// As dialled; `None` for a call from a page.
    pub number: Option<E164>,
    pub caller: Option<E164>,
    /// The hand-off that the call presented.
    pub binding: Option<Binding>,
    pub language: Language,
    pub records: Records,
    pub call: Call,
    pub flow: Option<Interpreter>,
    pub flow_id: FlowId,
    pub place: Place,
    pub dossier: Dossier,
    pub confidence: Confidence,
    pub pop: Option<ScreenPop>,
    /// The pop's breakpoint without what its topic calls sensitive.
    pub kept_breakpoint: Option<serde_json::Value>,
    pub version: u32,
    /// The journey whose breakpoint stood first when the contact was offered, whatever of it was shown.
    pub errand: Option<String>,
    /// The last queue it stood in.
    pub queue: Option<QueueId>,
    /// Why the last queue let go of it unserved.
    pub unserved: Option<String>,
    pub path: VecDeque<Stop>,
    pub hops: Vec<Hop>,
    pub notes: Vec<Note>,
    pub timeline: Timeline,
    pub audio: Audio,
    /// When the agent's desk may be told again how it sounds.
    pub fares_at: Option<Mono>,
    pub hearing: Hearing,
    pub awaiting: Awaiting,
    pub music: Option<Arc<[Arc<Prompt>]>>,
    pub recording: Option<Recording>,
    /// How long its record waits for the disk, once the call is over.
    pub disk_until: Option<Mono>,
    pub release: Option<Release>,
    pub disposition: Option<Filed>,
    /// The journey that this call's own IVR steps belong to.
    pub ivr_journey: String,
    /// The step of this flow at which the caller left it last time.
    pub resume: Option<String>,
    pub ivr_steps: u32,
    /// IVR steps taken before the look-up came back: it may show that they continue a journey.
    pub unreported: Vec<StepReport>,
    pub looked_up: LookUp,
    pub revision: u32,
    /// A page's call that has not been confirmed by then never will be.
    pub unconfirmed_until: Option<Mono>,
    /// The caller's page went away: until when it may come back.
    pub page_gone_until: Option<Mono>,
    /// It is back, once more: from then on it is believed.
    pub page_settled_at: Option<Mono>,
    /// Times that it went.
    pub page_losses: u32,
    /// The path of the agent's phone is lost: until then it may come back, or hang up by itself.
    pub phone_gone_until: Option<Mono>,
    /// When the contact next wants `handle_timeout`, as registered.
    pub deadline: Option<Mono>,
    pub shard: u16,
}

/// Whom the store is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Whoever is known by these, as the network told them.
    Caller(Vec<Identifier>),
    /// Known from a hand-off, this surely.
    Customer(CustomerId, Confidence),
}

/// Whether calls of a number are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    Nothing,
    /// From answer to release.
    Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUp {
    Awaited,
    Done,
}

/// Where the contact is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the hands of the flow.
    Flow,
    Queued(Waiting),
    Offered {
        line: Waiting,
        agent: AgentId,
        ring: RingState,
    },
    /// With an agent, and then in that agent's wrap-up.
    Talking {
        queue: QueueId,
        agent: AgentId,
    },
    /// Being put through, or talking, to somebody outside; who does not answer by then, does not.
    Outside {
        until: Option<Mono>,
    },
    /// The call is over.
    Over,
}

/// A place in a queue, kept while an agent is offered the contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub queue: QueueId,
    pub demand: Demand,
    /// When the contact began to wait, in this queue or in the one that passed it on.
    pub since: Mono,
    pub announce_at: Option<Mono>,
    pub passage: Passage,
}

/// What the flow asked for, besides the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    pub skills: BTreeMap<SkillId, Level>,
    pub priority: u8,
}

/// A queue may pass a contact on once: from there on its flow decides, or callers would circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    First,
    PassedOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingState {
    /// The desktop may still say `displayed`; at this time the phone rings anyway.
    Due(Mono),
    Rung,
}

/// What the caller hears, as far as its end matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    Nothing,
    Flow,
    Music,
    Announcement,
}

/// Answers the world owes; one that comes after it was overtaken is ignored.
#[derive(Debug, Default)]
pub struct Awaiting {
    last: u64,
    pub speech: Option<(u64, Hearing)>,
    pub music: Option<u64>,
    pub fetch: Option<u64>,
    pub look_up: Option<u64>,
    /// Something came to be known while a look-up was under way: ask once more after it.
    pub look_again: bool,
}

impl Awaiting {
    pub fn ticket(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filed {
    pub code: String,
    pub journey: Option<JourneyEnd>,
    pub agent: AgentId,
    pub at: Wall,
}

impl Contact {
    pub fn new(
        id: ContactId,
        call_id: CallId,
        entrance: &Entrance,
        call: Call,
        shard: u16,
        now: Now,
    ) -> Self {
        Self {
            id,
            call_id,
            brand: entrance.brand.clone(),
            number: None,
            caller: None,
            binding: None,
            language: entrance.language,
            records: if entrance.record { Records::Call } else { Records::Nothing },
            call,
            flow: None,
            flow_id: entrance.flow.id.clone(),
            place: Place::Flow,
            dossier: Dossier::default(),
            confidence: Confidence::None,
            pop: None,
            kept_breakpoint: None,
            version: 0,
            errand: None,
            queue: None,
            unserved: None,
            path: VecDeque::new(),
            hops: vec![],
            notes: vec![],
            timeline: Timeline::new(now, Stage::Ivr),
            audio: Audio::new(now),
            fares_at: None,
            hearing: Hearing::Nothing,
            awaiting: Awaiting::default(),
            music: None,
            recording: None,
            disk_until: None,
            release: None,
            disposition: None,
            ivr_journey: format!("ivr-{id}"),
            resume: None,
            ivr_steps: 0,
            unreported: vec![],
            looked_up: LookUp::Awaited,
            revision: 0,
            unconfirmed_until: None,
            page_gone_until: None,
            page_settled_at: None,
            page_losses: 0,
            phone_gone_until: None,
            deadline: None,
            shard,
        }
    }

    /// Who is calling became known, or more of them did.
    pub fn learn(&mut self, dossier: Dossier) {
        self.confidence = dossier.confidence;
        self.dossier = dossier;
    }

    /// What the caller may be known by.
    pub fn identifiers(&self) -> Vec<Identifier> {
        match (&self.binding, &self.dossier.customer) {
            (Some(_), Some(customer)) => customer.profile.identifiers.clone(),
            _ => self.caller.iter().map(Identifier::phone).collect(),
        }
    }

    /// Whom the store is to be asked for.
    pub fn sought(&self) -> Option<Sought> {
        if let Some(binding) = &self.binding {
            return Some(Sought::Customer(binding.customer, binding.confidence));
        }
        let identifiers = self.identifiers();
        if identifiers.is_empty() { None } else { Some(Sought::Caller(identifiers)) }
    }

    pub fn customer(&self) -> Option<CustomerId> {
        self.dossier.customer.as_ref().map(|c| c.id)
    }

    pub fn walk(&mut self, step: String, input: Option<String>, at: Wall) {
        if self.path.len() == LONGEST_PATH {
            self.path.pop_front();
        }
        self.path.push_back(Stop { step, input, at });
    }

    pub fn agent(&self) -> Option<&AgentId> {
        match &self.place {
            Place::Offered { agent, .. } | Place::Talking { agent, .. } => Some(agent),
            _ => None,
        }
    }

    pub fn queue(&self) -> Option<&QueueId> {
        match &self.place {
            Place::Queued(line) | Place::Offered { line, .. } => Some(&line.queue),
            Place::Talking { queue, .. } => Some(queue),
            _ => None,
        }
    }

    /// A further hop; of very many the oldest is forgotten.
    pub fn hop_to(&mut self, hop: Hop) {
        if self.hops.len() == MOST_HOPS {
            self.hops.remove(0);
        }
        self.hops.push(hop);
    }

    pub fn line_mut(&mut self) -> Option<&mut Waiting> {
        match &mut self.place {
            Place::Queued(line) | Place::Offered { line, .. } => Some(line),
            _ => None,
        }
    }

    /// The hop that is now open: the last one, until it has an outcome.
    pub fn hop(&mut self) -> Option<&mut Hop> {
        self.hops.last_mut().filter(|hop| hop.outcome == Outcome::Offered)
    }

    pub fn tell_flow(&mut self, now: Now, input: ivr::Input) {
        if let Some(flow) = &mut self.flow {
            flow.handle_input(now.mono, input);
        }
    }

    /// Whether the caller can be put through at this moment.
    pub fn presence(&self) -> acd::Presence {
        match self.page_gone_until.or(self.page_settled_at) {
            Some(_) => acd::Presence::Away,
            None => acd::Presence::Here,
        }
    }

    pub fn is_waiting(&self) -> bool {
        matches!(self.place, Place::Queued(_) | Place::Offered { .. })
    }

    pub fn play_music(&mut self) {
        if let (Some(music), true) = (&self.music, self.is_waiting()) {
            self.hearing = Hearing::Music;
            self.call.play(music.clone(), Repeat::Forever);
        }
    }

    /// What the agent is shown from now on.
    pub fn show(&mut self, pop: ScreenPop, topics: &Topics) {
        let kept = pop.breakpoint.as_ref().map(|shown| shown.recordable(topics.topic(&shown.topic)).0);
        self.kept_breakpoint = kept.and_then(|kept| serde_json::to_value(kept).ok());
        self.pop = Some(pop);
    }

    /// When something of this contact is next due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let (announce, ring) = match &self.place {
            Place::Queued(line) => (line.announce_at, None),
            Place::Offered { line, ring: RingState::Due(at), .. } => (line.announce_at, Some(*at)),
            Place::Offered { line, ring: RingState::Rung, .. } => (line.announce_at, None),
            Place::Outside { until } => (None, *until),
            _ => (None, None),
        };
        let flow = self.flow.as_ref().and_then(Interpreter::poll_timeout);
        let page =
            [self.unconfirmed_until, self.page_gone_until, self.page_settled_at, self.phone_gone_until];
        let disk = self.disk_until.filter(|_| self.awaits_disk());
        [announce, ring, flow, disk].into_iter().chain(page).flatten().min()
    }

    /// Whether the agent saw the newest pop before answering.
    fn context_before_answer(&self) -> Option<ContextBeforeAnswer> {
        let hop = self.hops.iter().rev().find(|hop| hop.outcome == Outcome::Answered)?;
        Some(match (hop.displayed_at, hop.answered_at) {
            (Some(displayed), Some(answered)) if displayed <= answered => ContextBeforeAnswer::Displayed,
            (Some(_), _) => ContextBeforeAnswer::Late,
            (None, _) => ContextBeforeAnswer::None,
        })
    }

    /// The record as of now; the next one counts one revision up.
    pub fn record(&mut self, now: Now) -> Record {
        self.revision += 1;
        let ended = self.release.map(|_| {
            let length = Duration::from_millis(self.timeline.length_ms(now.mono));
            self.timeline.began().wall + length
        });
        Record {
            id: self.id,
            revision: self.revision,
            brand: self.brand.clone(),
            customer: self.customer(),
            confidence: self.confidence,
            state: if ended.is_some() { RecordState::Finished } else { RecordState::Running },
            started_at: self.timeline.began().wall,
            ended_at: ended,
            calls: vec![CallRecord {
                id: self.call_id,
                number: self.number.clone(),
                caller: self.caller.clone(),
                flow: self.flow_id.clone(),
                ms: self.timeline.length_ms(now.mono),
                segments: self.timeline.segments(now.mono),
                release: self.release,
            }],
            recordings: self.recording.iter().map(|it| it.kept(self.call_id, now.mono)).collect(),
            audio: self.audio.kept(),
            audio_faults: self.audio.faults(now.mono),
            queue: self.queue.clone(),
            unserved: self.unserved.clone(),
            path: self.path.iter().cloned().collect(),
            hops: self.hops.clone(),
            notes: self.notes.clone(),
            breakpoint: self.kept_breakpoint.clone(),
            context_before_answer: self.context_before_answer(),
            disposition: self.disposition.clone(),
        }
    }
}

/// What is kept of a contact for good: one per contact, rewritten as it grows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub id: ContactId,
    /// A later record of the same contact has a higher one.
    pub revision: u32,
    pub brand: BrandId,
    pub customer: Option<CustomerId>,
    pub confidence: Confidence,
    pub state: RecordState,
    pub started_at: Wall,
    pub ended_at: Option<Wall>,
    pub calls: Vec<CallRecord>,
    pub recordings: Vec<Kept>,
    /// How each leg fared.
    pub audio: Vec<audio::Kept>,
    /// Who could not be heard, and when.
    pub audio_faults: Vec<audio::Fault>,
    /// The last one it stood in.
    pub queue: Option<QueueId>,
    /// Why that queue let go of it, if it did.
    pub unserved: Option<String>,
    pub path: Vec<Stop>,
    pub hops: Vec<Hop>,
    pub notes: Vec<Note>,
    /// As the agent saw it, without what is sensitive.
    pub breakpoint: Option<serde_json::Value>,
    /// `None` if nobody answered.
    pub context_before_answer: Option<ContextBeforeAnswer>,
    pub disposition: Option<Filed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    Running,
    Finished,
    /// The process died with the contact open.
    Interrupted,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallRecord {
    pub id: CallId,
    /// As dialled; `None` for a call from a page.
    pub number: Option<E164>,
    pub caller: Option<E164>,
    pub flow: FlowId,
    /// From INVITE to release; what the segments add up to.
    pub ms: u64,
    pub segments: Vec<Segment>,
    pub release: Option<Release>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextBeforeAnswer {
    Displayed,
    Late,
    None,
}
