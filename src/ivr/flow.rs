//! Flows: as written ([`Spec`]) and, once checked, as walked ([`Flow`]).
//!
//! A flow is flat, named steps with explicit exits. What [`Flow::check`] lets through has no
//! dangling exit, no prompt missing in a language it speaks, no expression that does not compile,
//! and no way round in circles without a key being pressed: the [`Interpreter`] meets none of it.
//!
//! [`Interpreter`]: super::interpreter::Interpreter

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::collect::Rules;
use super::expr::{Condition, Text};
use super::phrase::{Phrase, PromptSpec, TextSpec};
use super::{Method, Utterance};
use crate::base::{FlowId, Key, Language, QueueId, SkillId};

/// A flow as written, one TOML file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub id: FlowId,
    /// The first step.
    pub start: String,
    /// Spoken unless the caller's own is known and among `languages`.
    pub language: Language,
    /// What the flow can speak; `language` alone if not given.
    #[serde(default)]
    pub languages: Vec<Language>,
    /// Where every failure goes that has no exit of its own. Without it such a caller is hung up on.
    pub on_error: Option<String>,
    pub steps: BTreeMap<String, StepSpec>,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Plays recorded prompts.
    Play,
    /// Speaks a text.
    Say,
    /// Offers keys, one of which leads on.
    Menu,
    /// Takes digits.
    Collect,
    /// Gives values names.
    Set,
    /// Goes where the first condition that holds says.
    Branch,
    /// Asks a connector.
    Http,
    /// Hands over to a queue.
    Queue,
    /// Hands over to a number or SIP address.
    Transfer,
    Hangup,
}

macro_rules! step_spec {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// One step as written. Which keys belong to it depends on `do`; [`Flow::check`] says
        /// so of each that does not.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct StepSpec {
            #[serde(rename = "do")]
            pub verb: Verb,
            $($(#[$doc])* #[serde(default)] pub $field: Option<$type>,)*
        }

        impl StepSpec {
            /// A step with no key but `do`.
            pub const fn new(verb: Verb) -> Self {
                Self { verb, $($field: None,)* }
            }

            /// The keys that are given.
            pub(super) fn given(&self) -> Vec<&'static str> {
                let mut given = vec![];
                $(if self.$field.is_some() { given.push(written(stringify!($field))); })*
                given
            }
        }
    };
}

/// `else` is a word of Rust's.
const fn written(field: &'static str) -> &'static str {
    if field.len() == "otherwise".len() && field.as_bytes()[0] == b'o' { "else" } else { field }
}

step_spec! {
    /// Makes the step one of the caller's journey; what it is called there.
    label: String,
    /// Its place in the journey, from 1.
    ordinal: u16,
    total: u16,
    /// `false`: a caller who calls back never starts here.
    resume: bool,
    /// Switches the language on entering.
    language: Language,
    next: String,
    prompt: PromptSpec,
    text: TextSpec,
    /// Whether a key cuts it short; it does unless `false`.
    barge_in: bool,
    /// menu: key → step, or [`RESUME`].
    options: BTreeMap<String, String>,
    /// menu: silence after the prompt. http: for the whole exchange.
    timeout_ms: u64,
    /// How often the prompt is repeated.
    retries: u8,
    on_no_input: String,
    on_no_match: String,
    /// collect: fewest digits.
    min: u8,
    /// collect: most digits.
    max: u8,
    /// collect: the key that ends the input, `#` unless given; `none` for none.
    terminator: Terminator,
    first_digit_ms: u64,
    inter_digit_ms: u64,
    /// collect: the value's name. http: name → JSON pointer (RFC 6901) into the answer.
    save: SaveSpec,
    /// collect: the digits may go to a connector and nowhere else.
    secure: bool,
    values: BTreeMap<String, Value>,
    when: Vec<WhenSpec>,
    #[serde(rename = "else")]
    otherwise: String,
    connector: String,
    method: Method,
    path: Vec<String>,
    query: BTreeMap<String, String>,
    json: Value,
    on_error: String,
    queue: QueueId,
    /// queue: skill → lowest level.
    skills: BTreeMap<SkillId, u8>,
    /// queue: higher is served first; 0 is ordinary.
    priority: u8,
    on_overflow: String,
    to: String,
    reason: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a value's name, or a table of names and JSON pointers")]
pub enum SaveSpec {
    As(String),
    Each(BTreeMap<String, String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenSpec {
    #[serde(rename = "if")]
    pub condition: String,
    pub goto: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminator(pub Option<Key>);

impl<'de> Deserialize<'de> for Terminator {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        match text.as_ref() {
            "none" => Ok(Self(None)),
            key => key.parse().map(|key| Self(Some(key))).map_err(|()| {
                serde::de::Error::custom(format!("{key:?} is not a telephone key, nor \"none\""))
            }),
        }
    }
}

/// What a flow may refer to.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    pub queues: BTreeSet<QueueId>,
    pub skills: BTreeSet<SkillId>,
    pub connectors: BTreeSet<String>,
    pub prompts: BTreeSet<(Language, String)>,
}

/// One thing wrong with a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key it is about; the nearest one above it, if it is about one that is missing.
    pub path: Vec<Segment>,
    pub what: String,
    /// What would be right.
    pub right: String,
}

/// A table's key or an array's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    Key(String),
    Index(usize),
}

/// A step's place in its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIndex(pub(super) u32);

/// A flow that has been checked. Immutable; a call keeps its own to the end.
#[derive(Debug)]
pub struct Flow {
    pub id: FlowId,
    pub language: Language,
    pub(super) languages: Vec<Language>,
    pub(super) start: StepIndex,
    pub(super) on_error: Option<StepIndex>,
    pub(super) steps: Vec<Step>,
    pub(super) names: BTreeMap<String, StepIndex>,
}

#[derive(Debug)]
pub(super) struct Step {
    pub name: String,
    pub label: Option<Label>,
    pub language: Option<Language>,
    pub resumable: bool,
    pub action: Action,
}

#[derive(Debug)]
pub(super) struct Label {
    pub text: String,
    pub ordinal: Option<u16>,
    pub total: Option<u16>,
}

#[derive(Debug)]
pub(super) enum Action {
    /// `play` and `say`.
    Say {
        phrase: Phrase,
        barge_in: BargeIn,
        next: StepIndex,
    },
    /// `menu` and `collect`.
    Ask(Ask),
    Set {
        values: Vec<(String, Given)>,
        next: StepIndex,
    },
    Branch {
        when: Vec<(Condition, StepIndex)>,
        otherwise: StepIndex,
    },
    Http(Box<Http>),
    Queue {
        queue: QueueId,
        skills: BTreeMap<SkillId, u8>,
        priority: u8,
        on_overflow: Option<StepIndex>,
    },
    Transfer {
        to: Text,
        on_error: Option<StepIndex>,
    },
    HangUp {
        reason: Option<String>,
    },
}

#[derive(Debug)]
pub(super) struct Ask {
    pub phrase: Phrase,
    pub barge_in: BargeIn,
    pub rules: Rules,
    pub retries: u8,
    pub answer: Answer,
    pub on_no_input: StepIndex,
    pub on_no_match: StepIndex,
}

#[derive(Debug)]
pub(super) enum Answer {
    Options(BTreeMap<Key, Target>),
    Digits { save: String, secrecy: Secrecy, next: StepIndex },
}

/// Where a menu's key leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Step(StepIndex),
    /// To the step named by the value `resume.step`, if a caller may resume there; else to the start.
    Resume,
}

/// How a menu's option names [`Target::Resume`]. Only a key leads there, so it makes no circle.
pub const RESUME: &str = "@resume";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    Open,
    Secure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BargeIn {
    Allowed,
    /// It must be heard: keys pressed before and meanwhile count for nothing.
    Refused,
}

/// A value of `set`, or a part of a JSON body.
#[derive(Debug)]
pub(super) enum Given {
    Fixed(Value),
    Text(Text),
    /// `{ cel = "attempts + 1" }`.
    Computed(Condition),
    Array(Vec<Given>),
    Object(Vec<(String, Given)>),
}

#[derive(Debug)]
pub(super) struct Http {
    pub connector: String,
    pub method: Method,
    pub path: Vec<Text>,
    pub query: Vec<(String, Text)>,
    pub json: Option<Given>,
    pub timeout: Duration,
    /// Name ← JSON pointer.
    pub save: Vec<(String, String)>,
    pub next: StepIndex,
    pub on_error: StepIndex,
}

impl Flow {
    /// Checks a flow against what exists around it.
    ///
    /// # Errors
    /// Every fault found, in the order of the steps' names.
    pub fn check(spec: &Spec, around: &Surroundings) -> Result<Self, Vec<Fault>> {
        super::check::check(spec, around)
    }

    /// Whether it can speak this language.
    pub fn speaks(&self, language: Language) -> bool {
        self.languages.contains(&language)
    }

    /// Whether a caller who calls back may start at this step: it exists, its author allows it,
    /// and no secure `collect` stands between the start and it.
    pub fn resumable(&self, step: &str) -> bool {
        self.index(step).is_some_and(|step| self.step(step).resumable)
    }

    /// The steps' names, sorted.
    pub fn step_names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Everything it says that is the same for every caller, to be spoken before the first one calls.
    pub fn fixed_utterances(&self) -> Vec<Utterance> {
        let phrases = self.steps.iter().filter_map(|step| match &step.action {
            Action::Say { phrase, .. } | Action::Ask(Ask { phrase, .. }) => Some(phrase),
            _ => None,
        });
        phrases.flat_map(|phrase| phrase.fixed(&self.languages)).collect()
    }

    pub(super) fn index(&self, name: &str) -> Option<StepIndex> {
        self.names.get(name).copied()
    }

    pub(super) fn step(&self, index: StepIndex) -> &Step {
        // Only `check` makes indices, of the same flow.
        &self.steps[index.0 as usize]
    }
}

/// A way out of a step.
pub(super) struct Way {
    pub to: StepIndex,
    /// The keys of the step that name it.
    pub key: Vec<Segment>,
    /// What makes a caller take it, in a word or two.
    pub when: String,
    pub turn: Turn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The caller keyed something.
    Key,
    /// The caller keyed a secret.
    Secret,
    /// By itself.
    Alone,
}

impl Action {
    pub fn exits(&self) -> Vec<Way> {
        let way = |to: &StepIndex, key: &str, when: &str, turn| Way {
            to: *to,
            key: vec![Segment::Key(key.into())],
            when: when.into(),
            turn,
        };
        match self {
            Self::Say { next, .. } | Self::Set { next, .. } => vec![way(next, "next", "", Turn::Alone)],
            Self::Ask(ask) => {
                let mut ways = match &ask.answer {
                    Answer::Options(options) => {
                        let way = |(key, target): (&Key, &Target)| match target {
                            Target::Step(to) => Some(Way {
                                key: vec![Segment::Key("options".into()), Segment::Key(key.to_string())],
                                ..way(to, "", &key.to_string(), Turn::Key)
                            }),
                            // Where it leads was reached before.
                            Target::Resume => None,
                        };
                        options.iter().filter_map(way).collect()
                    }
                    Answer::Digits { secrecy: Secrecy::Secure, next, .. } => {
                        vec![way(next, "next", "digits", Turn::Secret)]
                    }
                    Answer::Digits { next, .. } => vec![way(next, "next", "digits", Turn::Key)],
                };
                ways.push(way(&ask.on_no_input, "on_no_input", "no input", Turn::Alone));
                ways.push(way(&ask.on_no_match, "on_no_match", "no match", Turn::Key));
                ways
            }
            Self::Branch { when, otherwise } => {
                let mut ways: Vec<_> = when
                    .iter()
                    .enumerate()
                    .map(|(i, (condition, to))| Way {
                        key: ["when".into(), i.to_string(), "goto".into()].map(Segment::Key).into(),
                        ..way(to, "", condition.source(), Turn::Alone)
                    })
                    .collect();
                ways.push(way(otherwise, "else", "else", Turn::Alone));
                ways
            }
            Self::Http(http) => vec![
                way(&http.next, "next", "answered", Turn::Alone),
                way(&http.on_error, "on_error", "error", Turn::Alone),
            ],
            Self::Queue { on_overflow: exit, .. } => {
                exit.iter().map(|to| way(to, "on_overflow", "overflow", Turn::Alone)).collect()
            }
            Self::Transfer { on_error: exit, .. } => {
                exit.iter().map(|to| way(to, "on_error", "error", Turn::Alone)).collect()
            }
            Self::HangUp { .. } => vec![],
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

/// `steps.menu.options.3: there is no step "mneu"; right would be one of: …`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.path.iter().enumerate() {
            write!(f, "{}{segment}", if i == 0 { "" } else { "." })?;
        }
        write!(f, ": {}; right: {}", self.what, self.right)
    }
}
