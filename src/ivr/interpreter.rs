//! Walks one caller through a [`Flow`].
//!
//! It spares the call everything about menus: timers, retries, keys pressed ahead, languages, data
//! dips and their failures. Between two keys it takes each step at most once, because
//! [`Flow::check`] refuses circles without a key; a budget of steps stands behind that.
//!
//! Digits of a secure `collect` are kept apart from the flow's values and are bound only while a
//! connector's path or body is made.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::collect::{Collector, Verdict};
use super::expr::Unrendered;
use super::flow::{Action, Answer, Ask, BargeIn, Flow, Given, Http, Secrecy, StepIndex, Target};
use super::{Exit, Fetch, FetchFault, Input, Outcome, Output, Secure, StepReport, Values};
use crate::base::{Key, Language, Mono, Pii};

/// Steps taken for one input. Only many keys pressed ahead can exceed it.
pub const BUDGET: u32 = 200;
/// Keys pressed ahead that are kept.
pub const TYPED_AHEAD: usize = 32;
/// Most that may be bound to a flow, in octets of JSON.
pub const MOST_BOUND: usize = 64 * 1024;
/// After a connector's own time, before the caller is taken on without it.
const GRACE: Duration = Duration::from_secs(2);
/// No prompt is longer: whoever should have said it was heard has forgotten us.
const LONGEST_PROMPT: Duration = Duration::from_secs(600);

/// One caller's walk through a flow.
pub struct Interpreter {
    flow: Arc<Flow>,
    language: Language,
    values: Bound,
    secrets: BTreeMap<String, Pii<String>>,
    state: State,
    /// The labelled step that was entered and not left.
    open: Option<StepIndex>,
    typed: VecDeque<Key>,
    /// An input ended by its length: this key, until then, still belongs to it.
    swallow: Option<(Key, Mono)>,
    failure: Failure,
    /// Fetches given up on, whose outcome is still to come and means nothing.
    stale: u32,
    outputs: VecDeque<Output>,
}

enum State {
    /// Nothing was said yet; it will start here.
    Fresh {
        start: StepIndex,
    },
    Saying {
        step: StepIndex,
        until: Mono,
    },
    Asking {
        step: StepIndex,
        attempt: u8,
        sound: Sound,
        collector: Collector,
    },
    Fetching {
        step: StepIndex,
        until: Mono,
    },
    /// In a queue or on the way to another number.
    Away {
        step: StepIndex,
    },
    Finished,
}

/// Whether our prompt is in the caller's ear.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sound {
    Playing { until: Mono },
    Quiet,
}

/// Whether the flow's `on_error` was taken since the last input: it is taken once, so that a
/// failure on its way cannot lead round in circles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    Unseen,
    Caught,
}

impl Interpreter {
    /// Waits for [`Input::Begin`]. A language the flow does not speak becomes the flow's own.
    pub fn new(flow: Arc<Flow>, language: Language, values: Values) -> Self {
        let language = if flow.speaks(language) { language } else { flow.language };
        let mut walk = Self {
            state: State::Fresh { start: flow.start },
            flow,
            language,
            values: Bound::default(),
            secrets: BTreeMap::new(),
            open: None,
            typed: VecDeque::new(),
            swallow: None,
            failure: Failure::Unseen,
            stale: 0,
            outputs: VecDeque::new(),
        };
        walk.learn(values);
        walk.bind_language();
        walk
    }

    /// Starts at this step rather than at the flow's first, if a caller may
    /// ([`Flow::resumable`]). Of no effect once begun.
    #[must_use]
    pub fn resume_at(mut self, step: &str) -> Self {
        if let State::Fresh { start } = &mut self.state
            && let Some(index) = self.flow.index(step)
            && self.flow.step(index).resumable
        {
            *start = index;
        }
        self
    }

    /// The language being spoken.
    pub const fn language(&self) -> Language {
        self.language
    }

    pub fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }

    /// The flow's values; a secure `collect` leaves nothing here.
    pub const fn values(&self) -> &Values {
        &self.values.values
    }

    /// Hung up, or handed over for good: no input has an effect any more.
    pub const fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// It waits for keys: a menu or a `collect`.
    pub const fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking { .. })
    }

    pub fn handle_input(&mut self, now: Mono, input: Input) {
        match input {
            Input::Begin => {
                if let State::Fresh { start } = self.state {
                    self.walk(now, start);
                }
            }
            Input::Learn(values) => self.learn(values),
            Input::Key(key) => self.key(now, key),
            Input::Heard => self.heard(now),
            Input::Fetched(outcome) => self.fetched(now, outcome),
            Input::Overflowed { why } => {
                if let State::Away { step } = self.state
                    && let Action::Queue { on_overflow, .. } = self.flow.step(step).action
                {
                    let _ = self.values.insert("overflow", Value::from(why.as_str()));
                    let next = self.fail(step, &why, on_overflow);
                    self.walk_on(now, next);
                }
            }
            Input::TransferFailed => {
                if let State::Away { step } = self.state
                    && let Action::Transfer { on_error, .. } = self.flow.step(step).action
                {
                    let next = self.fail(step, "transfer-failed", on_error);
                    self.walk_on(now, next);
                }
            }
            Input::Served => {
                if let State::Away { step } = self.state {
                    self.leave(step, Outcome::Done);
                    self.state = State::Finished;
                }
            }
            Input::HungUp => self.hung_up(),
        }
    }

    pub fn handle_timeout(&mut self, now: Mono) {
        match &mut self.state {
            State::Saying { until, .. } | State::Asking { sound: Sound::Playing { until }, .. }
                if *until <= now =>
            {
                self.heard(now);
            }
            State::Asking { step, collector, .. } => {
                let step = *step;
                let Action::Ask(ask) = &self.flow.step(step).action else { return };
                let verdict = collector.handle_timeout(now, &ask.rules);
                self.judge(now, step, verdict);
            }
            State::Fetching { step, until } if *until <= now => {
                let step = *step;
                self.stale += 1;
                self.unfetched(now, step, FetchFault::TimedOut);
            }
            _ => {}
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub const fn poll_timeout(&self) -> Option<Mono> {
        match &self.state {
            State::Saying { until, .. }
            | State::Fetching { until, .. }
            | State::Asking { sound: Sound::Playing { until }, .. } => Some(*until),
            State::Asking { collector, .. } => collector.poll_timeout(),
            State::Fresh { .. } | State::Away { .. } | State::Finished => None,
        }
    }

    fn learn(&mut self, values: Values) {
        for (name, value) in values {
            // The language is what is spoken; it is switched, not learnt.
            if name != "language" && self.values.insert(&name, value).is_err() {
                tracing::warn!(flow = %self.flow.id, name, "value is too large to be bound: left out");
            }
        }
    }

    fn key(&mut self, now: Mono, key: Key) {
        if self.swallow.take().is_some_and(|(last, until)| last == key && now < until) {
            return;
        }
        match &mut self.state {
            State::Saying { step, .. } => {
                if let Action::Say { barge_in: BargeIn::Allowed, next, .. } = self.flow.step(*step).action {
                    let step = *step;
                    self.typed.push_back(key);
                    self.outputs.push_back(Output::Hush);
                    self.leave(step, Outcome::Done);
                    self.walk(now, next);
                }
            }
            State::Asking { step, sound, collector, .. } => {
                let Action::Ask(ask) = &self.flow.step(*step).action else { return };
                if let Sound::Playing { .. } = sound {
                    if ask.barge_in == BargeIn::Refused {
                        return;
                    }
                    *sound = Sound::Quiet;
                    self.outputs.push_back(Output::Hush);
                }
                let step = *step;
                let verdict = collector.handle_key(now, key, &ask.rules);
                self.judge(now, step, verdict);
            }
            State::Fetching { .. } if self.typed.len() < TYPED_AHEAD => self.typed.push_back(key),
            _ => {}
        }
    }

    fn heard(&mut self, now: Mono) {
        match &mut self.state {
            State::Saying { step, .. } => {
                let step = *step;
                if let Action::Say { next, .. } = self.flow.step(step).action {
                    self.leave(step, Outcome::Done);
                    self.walk(now, next);
                }
            }
            State::Asking { step, sound, collector, .. } => {
                let Action::Ask(ask) = &self.flow.step(*step).action else { return };
                *sound = Sound::Quiet;
                collector.heard(now, &ask.rules);
            }
            _ => {}
        }
    }

    fn fetched(&mut self, now: Mono, outcome: Result<Value, FetchFault>) {
        if self.stale > 0 {
            self.stale -= 1;
            return;
        }
        let State::Fetching { step, .. } = self.state else { return };
        let flow = self.flow.clone();
        let Action::Http(http) = &flow.step(step).action else { return };
        let saved = outcome.and_then(|body| self.save(http, &body));
        match saved {
            Ok(()) => {
                self.leave(step, Outcome::Done);
                self.walk(now, http.next);
            }
            Err(fault) => self.unfetched(now, step, fault),
        }
    }

    fn unfetched(&mut self, now: Mono, step: StepIndex, fault: FetchFault) {
        let Action::Http(http) = &self.flow.step(step).action else { return };
        let on_error = http.on_error;
        let reason = match fault {
            FetchFault::TimedOut => "timeout".to_owned(),
            FetchFault::Unreachable => "unreachable".to_owned(),
            FetchFault::Status(status) => format!("status-{status}"),
            FetchFault::BadBody => "bad-body".to_owned(),
        };
        let next = self.fail(step, &reason, Some(on_error));
        self.walk_on(now, next);
    }

    /// What the answer does not hold reads as null.
    fn save(&mut self, http: &Http, body: &Value) -> Result<(), FetchFault> {
        for (name, pointer) in &http.save {
            let value = body.pointer(pointer).cloned().unwrap_or(Value::Null);
            self.values.insert(name, value).map_err(|TooLarge| FetchFault::BadBody)?;
        }
        Ok(())
    }

    fn hung_up(&mut self) {
        if let State::Asking { step, .. } = self.state {
            self.unmask(step);
        }
        if let Some(step) = self.open {
            self.leave(step, Outcome::Abandoned);
        }
        self.state = State::Finished;
    }

    /// Goes on with an input that is complete, wrong or missing.
    fn judge(&mut self, now: Mono, step: StepIndex, verdict: Verdict) {
        let next = self.conclude(now, step, verdict);
        self.walk_on(now, next);
    }

    fn walk_on(&mut self, now: Mono, next: Option<StepIndex>) {
        if let Some(next) = next {
            self.walk(now, next);
        }
    }

    /// Takes steps until one waits for something.
    fn walk(&mut self, now: Mono, mut step: StepIndex) {
        let mut left = BUDGET;
        loop {
            if left == 0 {
                tracing::warn!(flow = %self.flow.id, step = self.flow.step(step).name, "step budget spent");
                self.typed.clear();
                left = BUDGET;
                match self.caught("budget") {
                    Some(caught) => step = caught,
                    None => return,
                }
            }
            left -= 1;
            match self.enter(now, step) {
                Some(next) => step = next,
                None => return,
            }
        }
    }

    /// Begins a step. The next one, if this one waits for nothing.
    fn enter(&mut self, now: Mono, index: StepIndex) -> Option<StepIndex> {
        let flow = self.flow.clone();
        let step = flow.step(index);
        if let Some(language) = step.language {
            self.speak(language);
        }
        if step.label.is_some() {
            self.report(index, Outcome::Entered);
            self.open = Some(index);
        }
        match &step.action {
            Action::Say { phrase, barge_in, next } => {
                if *barge_in == BargeIn::Refused {
                    self.typed.clear();
                } else if !self.typed.is_empty() {
                    return self.pass(index, *next);
                }
                match phrase.render(self.values(), self.language) {
                    Ok(row) if row.is_empty() => self.pass(index, *next),
                    Ok(row) => {
                        self.outputs.push_back(Output::Say(row));
                        self.state = State::Saying { step: index, until: now + LONGEST_PROMPT };
                        None
                    }
                    Err(_) => self.fail(index, "text", None),
                }
            }
            Action::Ask(ask) => {
                let secure = matches!(ask.answer, Answer::Digits { secrecy: Secrecy::Secure, .. });
                if secure {
                    self.outputs.push_back(Output::Secure(Secure::Begins));
                }
                // What was keyed before the masking began would be in the recording.
                if secure || ask.barge_in == BargeIn::Refused {
                    self.typed.clear();
                }
                self.ask(now, index, ask, 0)
            }
            Action::Set { values, next } => {
                for (name, given) in values {
                    let set = given
                        .value(self.values(), self.language)
                        .and_then(|value| self.assign(name, value).map_err(|TooLarge| Unrendered::Failed));
                    if set.is_err() {
                        return self.fail(index, "set", None);
                    }
                }
                self.pass(index, *next)
            }
            Action::Branch { when, otherwise } => {
                let holding = when.iter().find(|(condition, _)| condition.holds(self.values()));
                let next = holding.map_or(*otherwise, |(_, next)| *next);
                self.walked(index, None);
                self.pass(index, next)
            }
            Action::Http(http) => match self.fetch(http) {
                Ok(fetch) => {
                    let until = now + fetch.timeout + GRACE;
                    self.outputs.push_back(Output::Fetch(fetch));
                    self.state = State::Fetching { step: index, until };
                    None
                }
                Err(_) => self.fail(index, "bad-request", Some(http.on_error)),
            },
            Action::Queue { queue, skills, priority, .. } => {
                self.outputs.push_back(Output::Exit(Exit::Queue {
                    queue: queue.clone(),
                    skills: skills.clone(),
                    priority: *priority,
                }));
                self.away(index)
            }
            Action::Transfer { to, on_error } => match to.render(self.values(), self.language) {
                Ok(to) if is_target(&to) => {
                    self.outputs.push_back(Output::Exit(Exit::Transfer { to }));
                    self.away(index)
                }
                _ => self.fail(index, "no-target", *on_error),
            },
            Action::HangUp { reason } => {
                self.leave(index, Outcome::Done);
                self.hang_up(reason.clone());
                None
            }
        }
    }

    /// Plays the prompt and listens, or takes what was keyed ahead.
    fn ask(&mut self, now: Mono, index: StepIndex, ask: &Ask, attempt: u8) -> Option<StepIndex> {
        let mut collector = Collector::prompting();
        let mut sound = Sound::Quiet;
        if self.typed.is_empty() {
            match ask.phrase.render(self.values(), self.language) {
                Ok(row) if row.is_empty() => collector.heard(now, &ask.rules),
                Ok(row) => {
                    self.outputs.push_back(Output::Say(row));
                    sound = Sound::Playing { until: now + LONGEST_PROMPT };
                }
                Err(_) => {
                    self.unmask(index);
                    return self.fail(index, "text", None);
                }
            }
        }
        while let Some(key) = self.typed.pop_front() {
            match collector.handle_key(now, key, &ask.rules) {
                Verdict::Pending => {}
                verdict => {
                    self.state = State::Asking { step: index, attempt, sound, collector };
                    return self.conclude(now, index, verdict);
                }
            }
        }
        self.state = State::Asking { step: index, attempt, sound, collector };
        None
    }

    fn conclude(&mut self, now: Mono, index: StepIndex, verdict: Verdict) -> Option<StepIndex> {
        let State::Asking { attempt, .. } = self.state else { return None };
        let flow = self.flow.clone();
        let Action::Ask(ask) = &flow.step(index).action else { return None };
        let (reason, exit, pressed) = match verdict {
            Verdict::Pending => return None,
            Verdict::Complete(keys) => match self.accept(now, index, ask, keys) {
                Ok(next) => return next,
                Err(pressed) => ("no-match", ask.on_no_match, pressed),
            },
            Verdict::NoInput => ("no-input", ask.on_no_input, None),
            Verdict::NoMatch => ("no-match", ask.on_no_match, None),
        };
        self.typed.clear();
        if attempt < ask.retries {
            return self.ask(now, index, ask, attempt + 1);
        }
        self.unmask(index);
        self.walked(index, pressed);
        self.fail(index, reason, Some(exit))
    }

    /// # Errors
    /// The key, when it is none of the menu's.
    fn accept(
        &mut self,
        now: Mono,
        index: StepIndex,
        ask: &Ask,
        keys: Pii<String>,
    ) -> Result<Option<StepIndex>, Option<String>> {
        match &ask.answer {
            Answer::Options(options) => {
                let target = keys.reveal().parse().ok().and_then(|key: Key| options.get(&key).copied());
                let Some(target) = target else { return Err(Some(keys.into_inner())) };
                self.failure = Failure::Unseen;
                self.walked(index, Some(keys.into_inner()));
                let next = match target {
                    Target::Step(next) => next,
                    Target::Resume => self.stopped_at(),
                };
                Ok(self.pass(index, next))
            }
            Answer::Digits { save, secrecy, next } => {
                self.failure = Failure::Unseen;
                let last = ask.rules.filled_by(keys.reveal());
                if last.is_some() && self.typed.front() == last.as_ref() {
                    self.typed.pop_front();
                } else {
                    self.swallow = last.map(|key| (key, now + ask.rules.inter_digit));
                }
                match secrecy {
                    Secrecy::Secure => {
                        self.secrets.insert(save.clone(), keys);
                        self.unmask(index);
                        self.walked(index, None);
                    }
                    Secrecy::Open => {
                        let digits = keys.into_inner();
                        if self.values.insert(save, Value::from(digits.as_str())).is_err() {
                            return Ok(self.fail(index, "too-large", None));
                        }
                        self.walked(index, Some(digits));
                    }
                }
                Ok(self.pass(index, *next))
            }
        }
    }

    /// Where this caller stopped last time, as `resume.step` says.
    fn stopped_at(&self) -> StepIndex {
        let name = self.values().get("resume").and_then(|resume| resume.get("step")).and_then(Value::as_str);
        let step = name.and_then(|name| self.flow.index(name));
        step.filter(|step| self.flow.step(*step).resumable).unwrap_or(self.flow.start)
    }

    fn fetch(&self, http: &Http) -> Result<Fetch, Unrendered> {
        let mut known = std::borrow::Cow::Borrowed(self.values());
        for (name, secret) in &self.secrets {
            known.to_mut().insert(name.clone(), Value::from(secret.reveal().as_str()));
        }
        let path = http.path.iter().map(|part| match part.render(&known, self.language) {
            // An empty part would ask for the collection instead of the member, and a URL parser
            // takes dots for a way up (RFC 3986 §5.2.4).
            Ok(part) if matches!(part.as_str(), "" | "." | "..") => Err(Unrendered::Failed),
            part => part,
        });
        let query = http
            .query
            .iter()
            .map(|(name, text)| Ok((name.clone(), text.render(self.values(), self.language)?)));
        Ok(Fetch {
            connector: http.connector.clone(),
            method: http.method,
            path: path.collect::<Result<_, _>>()?,
            query: query.collect::<Result<_, _>>()?,
            json: http.json.as_ref().map(|json| json.value(&known, self.language)).transpose()?,
            timeout: http.timeout,
        })
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<(), TooLarge> {
        if name == "language" {
            if let Some(language) = value.as_str().and_then(|tag| tag.parse().ok()) {
                self.speak(language);
            }
            return Ok(());
        }
        self.values.insert(name, value)
    }

    fn speak(&mut self, language: Language) {
        if language != self.language && self.flow.speaks(language) {
            self.language = language;
            self.bind_language();
            self.outputs.push_back(Output::Language(language));
        }
    }

    fn bind_language(&mut self) {
        // Four octets fit: `MOST_BOUND` leaves a reserve.
        let _ = self.values.insert("language", Value::from(self.language.tag()));
    }

    fn pass(&mut self, step: StepIndex, next: StepIndex) -> Option<StepIndex> {
        self.leave(step, Outcome::Done);
        Some(next)
    }

    fn away(&mut self, step: StepIndex) -> Option<StepIndex> {
        self.typed.clear();
        self.state = State::Away { step };
        None
    }

    /// Leaves by the step's own exit, else by the flow's, else hangs up.
    fn fail(&mut self, step: StepIndex, reason: &str, exit: Option<StepIndex>) -> Option<StepIndex> {
        self.leave(step, Outcome::Failed { reason: reason.to_owned() });
        exit.or_else(|| self.caught(reason))
    }

    fn caught(&mut self, reason: &str) -> Option<StepIndex> {
        if self.failure == Failure::Unseen
            && let Some(step) = self.flow.on_error
        {
            self.failure = Failure::Caught;
            return Some(step);
        }
        self.hang_up(Some(reason.to_owned()));
        None
    }

    fn hang_up(&mut self, reason: Option<String>) {
        self.outputs.push_back(Output::Exit(Exit::HangUp { reason }));
        self.state = State::Finished;
    }

    /// A labelled step ends; others end unnoticed.
    fn leave(&mut self, step: StepIndex, outcome: Outcome) {
        if self.open == Some(step) {
            self.open = None;
            self.report(step, outcome);
        }
    }

    fn report(&mut self, index: StepIndex, outcome: Outcome) {
        let step = self.flow.step(index);
        if let Some(label) = &step.label {
            self.outputs.push_back(Output::Step(StepReport {
                step: step.name.clone(),
                label: label.text.clone(),
                ordinal: label.ordinal,
                total: label.total,
                outcome,
            }));
        }
    }

    fn walked(&mut self, index: StepIndex, input: Option<String>) {
        let step = self.flow.step(index).name.clone();
        self.outputs.push_back(Output::Walked { step, input });
    }

    /// A secure `collect` is over.
    fn unmask(&mut self, index: StepIndex) {
        if let Action::Ask(Ask { answer: Answer::Digits { secrecy: Secrecy::Secure, .. }, .. }) =
            self.flow.step(index).action
        {
            self.outputs.push_back(Output::Secure(Secure::Ends));
        }
    }
}

/// Values and digits are the caller's, and what is to be put out holds them too.
impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, step) = match &self.state {
            State::Fresh { start } => ("fresh", Some(*start)),
            State::Saying { step, .. } => ("saying", Some(*step)),
            State::Asking { step, .. } => ("asking", Some(*step)),
            State::Fetching { step, .. } => ("fetching", Some(*step)),
            State::Away { step } => ("away", Some(*step)),
            State::Finished => ("finished", None),
        };
        f.debug_struct("Interpreter")
            .field("flow", &self.flow.id)
            .field("state", &state)
            .field("step", &step.map(|step| self.flow.step(step).name.as_str()))
            .finish_non_exhaustive()
    }
}

impl Given {
    fn value(&self, values: &Values, language: Language) -> Result<Value, Unrendered> {
        Ok(match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(text) => Value::String(text.render(values, language)?),
            Self::Computed(condition) => condition.value(values).ok_or(Unrendered::Failed)?,
            Self::Array(items) => {
                Value::Array(items.iter().map(|item| item.value(values, language)).collect::<Result<_, _>>()?)
            }
            Self::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, given)| Ok((name.clone(), given.value(values, language)?)))
                    .collect::<Result<Values, Unrendered>>()?;
                Value::Object(fields)
            }
        })
    }
}

/// A number or address a template may have made: one word, nothing that ends a line.
fn is_target(to: &str) -> bool {
    (1..=256).contains(&to.len()) && !to.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// The flow's values, at most [`MOST_BOUND`] octets of them.
#[derive(Default)]
struct Bound {
    values: Values,
    sizes: BTreeMap<String, usize>,
    total: usize,
}

struct TooLarge;

impl Bound {
    fn insert(&mut self, name: &str, value: Value) -> Result<(), TooLarge> {
        let mut size = Size(name.len());
        serde_json::to_writer(&mut size, &value).map_err(|_| TooLarge)?;
        let before = self.sizes.get(name).copied().unwrap_or(0);
        let total = self.total - before + size.0;
        if total > MOST_BOUND {
            return Err(TooLarge);
        }
        self.total = total;
        self.sizes.insert(name.to_owned(), size.0);
        self.values.insert(name.to_owned(), value);
        Ok(())
    }
}

/// Counts what is written, and refuses when it is too much.
struct Size(usize);

impl std::io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        if self.0 > MOST_BOUND { Err(std::io::ErrorKind::WriteZero.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
