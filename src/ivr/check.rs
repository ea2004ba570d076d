//! From a flow as written to a flow that can be walked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;

use super::Method;
use super::collect::{Kind, Rules};
use super::expr::{BadSource, Condition, Missing, Standard, Text};
use super::flow::{
    Action, Answer, Ask, BargeIn, Fault, Flow, Given, Http, Label, RESUME, SaveSpec, Secrecy, Segment, Spec,
    Step, StepIndex, StepSpec, Surroundings, Target, Terminator, Turn, Verb,
};
use super::phrase::{Form, Phrase, Piece, PieceSpec, Privacy, PromptSpec, TextSpec, ValueSpec};
use super::spoken;
use crate::base::{Key, Language};

/// Most steps of a flow.
const MOST_STEPS: usize = 1000;
/// Most digits of one input.
const MOST_DIGITS: u8 = 64;
const MOST_RETRIES: u8 = 10;
/// Longest silence waited for, in milliseconds.
const LONGEST_SILENCE: u64 = 120_000;
/// Longest a caller waits for a connector, in milliseconds.
const LONGEST_FETCH: u64 = 30_000;

pub(super) fn check(spec: &Spec, around: &Surroundings) -> Result<Flow, Vec<Fault>> {
    let names = spec.steps.keys().zip(0..).map(|(name, i)| (name.clone(), StepIndex(i))).collect();
    let languages = if spec.languages.is_empty() { vec![spec.language] } else { spec.languages.clone() };
    let secrets = spec.steps.values().filter_map(secret).collect();
    let mut check =
        Check { spec, around, names, languages, secrets, standard: Standard::default(), faults: vec![] };
    let flow = check.flow();
    if check.faults.is_empty() { Ok(flow) } else { Err(check.faults) }
}

/// The name under which a secure `collect` keeps its digits.
fn secret(step: &StepSpec) -> Option<&str> {
    match &step.save {
        Some(SaveSpec::As(name)) if step.verb == Verb::Collect && step.secure == Some(true) => Some(name),
        _ => None,
    }
}

struct Check<'a> {
    spec: &'a Spec,
    around: &'a Surroundings,
    names: BTreeMap<String, StepIndex>,
    languages: Vec<Language>,
    secrets: BTreeSet<&'a str>,
    standard: Standard,
    faults: Vec<Fault>,
}

/// Where a key stands, from the top of the file.
#[derive(Clone)]
struct Path(Vec<Segment>);

impl Path {
    fn top(key: &str) -> Self {
        Self(vec![Segment::Key(key.into())])
    }

    fn step(name: &str) -> Self {
        Self::top("steps").key(name)
    }

    fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Key(key.into()));
        path
    }

    fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Index(index));
        path
    }
}

/// Stands where a step should have been; the fault about it keeps the flow from being used.
const NOWHERE: StepIndex = StepIndex(0);

impl Check<'_> {
    fn flow(&mut self) -> Flow {
        let spec = self.spec;
        if spec.steps.is_empty() || spec.steps.len() > MOST_STEPS {
            let what = format!("{} steps", spec.steps.len());
            self.fault(Path::top("steps"), what, format!("1 to {MOST_STEPS}"));
        }
        if !self.languages.contains(&spec.language) {
            let right = format!("{:?} among them", spec.language.tag());
            self.fault(Path::top("languages"), "the flow's own language is missing", right);
        }
        let start = self.target(&Path::top("start"), Some(&spec.start));
        let on_error = spec.on_error.as_ref().map(|name| self.target(&Path::top("on_error"), Some(name)));
        let steps = spec.steps.iter().map(|(name, step)| self.step(name, step)).collect();
        let mut flow = Flow {
            id: spec.id.clone(),
            language: spec.language,
            languages: self.languages.clone(),
            start,
            on_error,
            steps,
            names: self.names.clone(),
        };
        // The ways through a flow with dangling exits mean nothing.
        if self.faults.is_empty() {
            self.reach(&mut flow);
            self.circles(&flow);
        }
        flow
    }

    fn step(&mut self, name: &str, step: &StepSpec) -> Step {
        let at = Path::step(name);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            self.fault(
                at.clone(),
                format!("{name:?} cannot name a step"),
                "1 to 64 letters, digits, _ and -",
            );
        }
        for key in step.given() {
            if !belongs(step.verb, key) {
                let what = format!("{key:?} means nothing to {:?}", step.verb.word());
                self.fault(at.key(key), what, format!("one of: {}", keys(step.verb).join(", ")));
            }
        }
        if let Some(language) = step.language {
            self.spoken(&at.key("language"), language);
        }
        let label = self.label(&at, step);
        let action = self.action(&at, step);
        Step {
            name: name.into(),
            label,
            language: step.language,
            resumable: step.resume != Some(false),
            action,
        }
    }

    fn label(&mut self, at: &Path, step: &StepSpec) -> Option<Label> {
        if let Some(label) = &step.label {
            if label.contains("{{") || label.contains("{%") {
                let right = "fixed words; what belongs to one caller belongs in values";
                self.fault(at.key("label"), "a label is the same for every caller", right);
            } else if label.trim().is_empty() || label.len() > 120 {
                self.fault(at.key("label"), "a label of no use", "1 to 120 octets of words");
            }
        }
        if step.label.is_none() && (step.ordinal.is_some() || step.total.is_some()) {
            let key = if step.ordinal.is_some() { "ordinal" } else { "total" };
            self.fault(at.key(key), "a place in the journey without a label", "a label, too");
        }
        match (step.ordinal, step.total) {
            (Some(0), _) => self.fault(at.key("ordinal"), "0", "counted from 1"),
            (Some(ordinal), Some(total)) if ordinal > total => {
                self.fault(at.key("ordinal"), format!("step {ordinal} of {total}"), format!("1 to {total}"));
            }
            (None, Some(_)) => self.fault(at.key("total"), "a total without an ordinal", "an ordinal, too"),
            _ => {}
        }
        let text = step.label.clone()?;
        Some(Label { text, ordinal: step.ordinal, total: step.total })
    }

    fn action(&mut self, at: &Path, step: &StepSpec) -> Action {
        match step.verb {
            Verb::Play | Verb::Say => Action::Say {
                phrase: self.phrase(at, step),
                barge_in: barge_in(step),
                next: self.target(&at.key("next"), step.next.as_ref()),
            },
            Verb::Menu | Verb::Collect => Action::Ask(self.ask(at, step)),
            Verb::Set => self.set(at, step),
            Verb::Branch => self.branch(at, step),
            Verb::Http => Action::Http(Box::new(self.http(at, step))),
            Verb::Queue => self.queue(at, step),
            Verb::Transfer => {
                let to = self.required(at, "to", step.to.as_ref(), "a number or SIP address");
                Action::Transfer {
                    to: self.open_text(&at.key("to"), to.map_or("-", String::as_str), Missing::Fails),
                    on_error: self.exit(at, "on_error", step.on_error.as_ref()),
                }
            }
            Verb::Hangup => Action::HangUp { reason: step.reason.clone() },
        }
    }

    fn ask(&mut self, at: &Path, step: &StepSpec) -> Ask {
        let retries = step.retries.unwrap_or(2);
        if retries > MOST_RETRIES {
            self.fault(at.key("retries"), retries.to_string(), format!("0 to {MOST_RETRIES}"));
        }
        let (rules, answer) =
            if step.verb == Verb::Menu { self.options(at, step) } else { self.digits(at, step) };
        Ask {
            phrase: self.phrase(at, step),
            barge_in: barge_in(step),
            rules,
            retries,
            answer,
            on_no_input: self.target(&at.key("on_no_input"), step.on_no_input.as_ref()),
            on_no_match: self.target(&at.key("on_no_match"), step.on_no_match.as_ref()),
        }
    }

    fn options(&mut self, at: &Path, step: &StepSpec) -> (Rules, Answer) {
        let here = at.key("options");
        let given = self.required(at, "options", step.options.as_ref(), "a step for each key offered");
        if given.is_some_and(BTreeMap::is_empty) {
            self.fault(here.clone(), "a menu that offers nothing", "a step for each key offered");
        }
        let mut options = BTreeMap::new();
        for (key, name) in given.into_iter().flatten() {
            let target = match name.as_str() {
                RESUME => Target::Resume,
                _ => Target::Step(self.target(&here.key(key), Some(name))),
            };
            match key.parse::<Key>() {
                Ok(key) => drop(options.insert(key, target)),
                Err(()) => {
                    self.fault(
                        here.key(key),
                        format!("{key:?} is not a telephone key"),
                        "one of 0-9 * # A-D",
                    );
                }
            }
        }
        let silence = self.millis(at, "timeout_ms", step.timeout_ms.unwrap_or(5_000), LONGEST_SILENCE);
        let rules = Rules { kind: Kind::OneKey, first_digit: silence, inter_digit: silence };
        (rules, Answer::Options(options))
    }

    fn digits(&mut self, at: &Path, step: &StepSpec) -> (Rules, Answer) {
        let min = step.min.unwrap_or(1);
        let max = *self.required(at, "max", step.max.as_ref(), "the most digits").unwrap_or(&MOST_DIGITS);
        if max == 0 || max > MOST_DIGITS {
            self.fault(at.key("max"), max.to_string(), format!("1 to {MOST_DIGITS}"));
        } else if min > max {
            self.fault(at.key("min"), format!("{min}, more than max {max}"), format!("0 to {max}"));
        }
        let Terminator(terminator) = step.terminator.unwrap_or(Terminator(Some(Key::POUND)));
        if terminator.is_some_and(|key| key.as_char().is_ascii_digit()) {
            self.fault(at.key("terminator"), "a digit cannot end digits", "# or * or none");
        }
        let first = self.millis(at, "first_digit_ms", step.first_digit_ms.unwrap_or(8_000), LONGEST_SILENCE);
        let inter = self.millis(at, "inter_digit_ms", step.inter_digit_ms.unwrap_or(3_000), LONGEST_SILENCE);
        let rules =
            Rules { kind: Kind::Digits { min, max, terminator }, first_digit: first, inter_digit: inter };

        let secrecy = if step.secure == Some(true) { Secrecy::Secure } else { Secrecy::Open };
        let save = match self.required(at, "save", step.save.as_ref(), "the value's name") {
            Some(SaveSpec::As(name)) => name.clone(),
            Some(SaveSpec::Each(_)) => {
                self.fault(at.key("save"), "a table", "one name");
                String::new()
            }
            None => String::new(),
        };
        if step.save.is_some() {
            self.name(&at.key("save"), &save, secrecy);
        }
        let next = self.target(&at.key("next"), step.next.as_ref());
        (rules, Answer::Digits { save, secrecy, next })
    }

    fn set(&mut self, at: &Path, step: &StepSpec) -> Action {
        let here = at.key("values");
        let given = self.required(at, "values", step.values.as_ref(), "values by their names");
        let mut values = vec![];
        for (name, value) in given.into_iter().flatten() {
            let here = here.key(name);
            if name == "language" {
                match value.as_str() {
                    Some(text) if text.contains("{{") => {}
                    Some(tag) => match tag.parse() {
                        Ok(language) => self.spoken(&here, language),
                        Err(()) => self.fault(here.clone(), format!("{tag:?} is no language"), "en or zh"),
                    },
                    None => self.fault(here.clone(), "not a language", "en or zh, or a template"),
                }
            } else {
                self.name(&here, name, Secrecy::Open);
            }
            let given = match value.as_object().filter(|table| table.len() == 1).and_then(|t| t.get("cel")) {
                Some(Value::String(source)) => self
                    .condition(&here.key("cel"), source)
                    .map_or(Given::Fixed(Value::Null), Given::Computed),
                Some(_) => {
                    self.fault(here.key("cel"), "not an expression", "a CEL expression as a string");
                    Given::Fixed(Value::Null)
                }
                None => self.given(&here, value, Missing::Empty, Secrecy::Open),
            };
            values.push((name.clone(), given));
        }
        Action::Set { values, next: self.target(&at.key("next"), step.next.as_ref()) }
    }

    fn branch(&mut self, at: &Path, step: &StepSpec) -> Action {
        let here = at.key("when");
        let given = self.required(at, "when", step.when.as_ref(), "conditions and where each leads");
        if given.is_some_and(Vec::is_empty) {
            self.fault(here.clone(), "no condition", "[{ if = \"…\", goto = \"…\" }]");
        }
        let mut when = vec![];
        for (i, one) in given.into_iter().flatten().enumerate() {
            let here = here.index(i);
            let target = self.target(&here.key("goto"), Some(&one.goto));
            when.extend(self.condition(&here.key("if"), &one.condition).map(|condition| (condition, target)));
        }
        Action::Branch { when, otherwise: self.target(&at.key("else"), step.otherwise.as_ref()) }
    }

    fn http(&mut self, at: &Path, step: &StepSpec) -> Http {
        let connector = self.required(at, "connector", step.connector.as_ref(), "a [[connector]]'s name");
        if let Some(name) = connector
            && !self.around.connectors.contains(name)
        {
            let known = one_of(name, self.around.connectors.iter().map(String::as_str));
            self.fault(at.key("connector"), format!("there is no connector {name:?}"), known);
        }
        let method = step.method.unwrap_or(Method::Get);
        if method == Method::Get && step.json.is_some() {
            self.fault(at.key("json"), "a GET has no body", "method = \"POST\"");
        }
        let mut path = vec![];
        for (i, part) in step.path.iter().flatten().enumerate() {
            path.push(self.secret_text(&at.key("path").index(i), part, Missing::Fails));
        }
        let mut query = vec![];
        for (name, text) in step.query.iter().flatten() {
            query.push((name.clone(), self.open_text(&at.key("query").key(name), text, Missing::Fails)));
        }
        let here = at.key("json");
        let json = step.json.as_ref().map(|json| self.given(&here, json, Missing::Fails, Secrecy::Secure));
        let timeout = *self
            .required(at, "timeout_ms", step.timeout_ms.as_ref(), "how long a caller may wait, in ms")
            .unwrap_or(&1);
        Http {
            connector: connector.cloned().unwrap_or_default(),
            method,
            path,
            query,
            json,
            timeout: self.millis(at, "timeout_ms", timeout, LONGEST_FETCH),
            save: self.pointers(at, step),
            next: self.target(&at.key("next"), step.next.as_ref()),
            on_error: self.target(&at.key("on_error"), step.on_error.as_ref()),
        }
    }

    fn pointers(&mut self, at: &Path, step: &StepSpec) -> Vec<(String, String)> {
        let here = at.key("save");
        let mut save = vec![];
        match &step.save {
            None => {}
            Some(SaveSpec::As(_)) => {
                self.fault(
                    here,
                    "one name",
                    "a table of names and JSON pointers, { balance = \"/balance\" }",
                );
            }
            Some(SaveSpec::Each(each)) => {
                for (name, pointer) in each {
                    self.name(&here.key(name), name, Secrecy::Open);
                    // RFC 6901 §3: "" is the whole answer, all others begin with a slash.
                    if !pointer.is_empty() && !pointer.starts_with('/') {
                        let what = format!("{pointer:?} is not a JSON pointer");
                        self.fault(here.key(name), what, format!("\"/{pointer}\""));
                    }
                    save.push((name.clone(), pointer.clone()));
                }
            }
        }
        save
    }

    fn queue(&mut self, at: &Path, step: &StepSpec) -> Action {
        let queue = self.required(at, "queue", step.queue.as_ref(), "a [[queue]]'s name");
        if let Some(name) = queue
            && !self.around.queues.contains(name)
        {
            let known = one_of(name.as_str(), self.around.queues.iter().map(|queue| queue.as_str()));
            self.fault(at.key("queue"), format!("there is no queue {:?}", name.as_str()), known);
        }
        let skills = step.skills.clone().unwrap_or_default();
        for name in skills.keys() {
            if !self.around.skills.contains(name) {
                let known = one_of(name.as_str(), self.around.skills.iter().map(|skill| skill.as_str()));
                let what = format!("there is no skill {:?}", name.as_str());
                self.fault(at.key("skills").key(name.as_str()), what, known);
            }
        }
        Action::Queue {
            queue: queue.cloned().unwrap_or_else(|| "".into()),
            skills,
            priority: step.priority.unwrap_or(0),
            on_overflow: self.exit(at, "on_overflow", step.on_overflow.as_ref()),
        }
    }

    fn phrase(&mut self, at: &Path, step: &StepSpec) -> Phrase {
        let mut pieces = vec![];
        match &step.prompt {
            None => {}
            Some(PromptSpec::Name(name)) => pieces.push(self.prompt(&at.key("prompt"), name)),
            Some(PromptSpec::Row(row)) => {
                for (i, piece) in row.iter().enumerate() {
                    let here = at.key("prompt").index(i);
                    match piece {
                        PieceSpec::Name(name) => pieces.push(self.prompt(&here, name)),
                        PieceSpec::Value(value) => pieces.extend(self.value(&here, value)),
                    }
                }
            }
        }
        pieces.extend(step.text.as_ref().map(|text| self.texts(&at.key("text"), text)));
        if pieces.is_empty() {
            let needed = match step.verb {
                Verb::Play => "prompt = \"…\"",
                Verb::Say => "text = { en = \"…\" }",
                _ => "prompt = \"…\" or text = { en = \"…\" }",
            };
            self.fault(at.clone(), format!("{} without anything to say", step.verb.word()), needed);
        }
        Phrase::new(pieces, Privacy::Personal)
    }

    fn prompt(&mut self, at: &Path, name: &str) -> Piece {
        for language in self.languages.clone() {
            if !self.has_prompt(language, name) {
                let tag = language.tag();
                let what = format!("there is no prompt {name:?} in {tag}");
                self.fault(at.clone(), what, format!("prompts/{tag}/{name}.wav or .txt"));
            }
        }
        Piece::Prompt(name.into())
    }

    fn has_prompt(&self, language: Language, name: &str) -> bool {
        self.around.prompts.contains(&(language, name.to_owned()))
    }

    fn value(&mut self, at: &Path, value: &ValueSpec) -> Option<Piece> {
        let given: Vec<_> = [
            ("number", Some(Form::Number), &value.number),
            ("measured", Some(Form::Measured), &value.measured),
            ("digits", Some(Form::Digits), &value.digits),
            ("duration", Some(Form::Duration), &value.duration),
            ("in_other_languages", None, &value.in_other_languages),
        ]
        .into_iter()
        .filter_map(|(key, form, source)| Some((key, form, source.as_ref()?)))
        .collect();
        let [(key, form, source)] = given[..] else {
            let right = "one of number, measured, digits, duration, in_other_languages";
            self.fault(at.clone(), "what form it has is not clear", right);
            return None;
        };
        let Some(form) = form else {
            self.prompt(&at.key(key), source);
            return Some(Piece::Others(source.clone(), self.languages.clone()));
        };
        let text = self.open_text(&at.key(key), source, Missing::Empty);
        let all = |language: &Language| {
            spoken::fragments(*language).iter().all(|fragment| self.has_prompt(*language, fragment.name))
        };
        let recorded = self.languages.iter().copied().filter(all).collect();
        Some(Piece::Value { form, text, recorded })
    }

    fn texts(&mut self, at: &Path, spec: &TextSpec) -> Piece {
        let mut texts = BTreeMap::new();
        match spec {
            TextSpec::Same(source) => {
                if self.languages.len() > 1 {
                    let right =
                        self.languages.iter().map(|l| format!("{} = \"…\"", l.tag())).collect::<Vec<_>>();
                    let right = format!("{{ {} }}", right.join(", "));
                    self.fault(at.clone(), "one text for a flow of several languages", right);
                }
                let text = self.open_text(at, source, Missing::Empty);
                texts.extend(self.languages.first().map(|language| (*language, text)));
            }
            TextSpec::Each(each) => {
                for language in self.languages.clone() {
                    if !each.contains_key(&language) {
                        let tag = language.tag();
                        self.fault(
                            at.clone(),
                            format!("there is no text in {tag}"),
                            format!("{tag} = \"…\""),
                        );
                    }
                }
                for (language, source) in each {
                    texts.insert(*language, self.open_text(&at.key(language.tag()), source, Missing::Empty));
                }
            }
        }
        Piece::Texts(texts)
    }

    fn given(&mut self, at: &Path, value: &Value, missing: Missing, secrecy: Secrecy) -> Given {
        match value {
            Value::String(source) if secrecy == Secrecy::Secure => {
                Given::Text(self.secret_text(at, source, missing))
            }
            Value::String(source) => Given::Text(self.open_text(at, source, missing)),
            Value::Array(items) => Given::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, v)| self.given(&at.index(i), v, missing, secrecy))
                    .collect(),
            ),
            Value::Object(fields) => {
                let given =
                    |(name, v): (&String, _)| (name.clone(), self.given(&at.key(name), v, missing, secrecy));
                Given::Object(fields.iter().map(given).collect())
            }
            fixed => Given::Fixed(fixed.clone()),
        }
    }

    fn condition(&mut self, at: &Path, source: &str) -> Option<Condition> {
        match Condition::compile(source, &self.standard) {
            Ok(condition) => {
                self.keep_secret(at, condition.variables());
                Some(condition)
            }
            Err(bad) => {
                self.bad(at, bad);
                None
            }
        }
    }

    /// A text that may hold digits of a secure `collect`.
    fn secret_text(&mut self, at: &Path, source: &str, missing: Missing) -> Text {
        Text::compile(source, missing).unwrap_or_else(|bad| {
            self.bad(at, bad);
            Text::Fixed("".into())
        })
    }

    fn open_text(&mut self, at: &Path, source: &str, missing: Missing) -> Text {
        let text = self.secret_text(at, source, missing);
        self.keep_secret(at, text.variables());
        text
    }

    fn keep_secret<'v>(&mut self, at: &Path, variables: impl Iterator<Item = &'v str>) {
        for name in variables {
            if self.secrets.contains(name) {
                let what = format!("{name:?} holds the digits of a secure collect");
                self.fault(at.clone(), what, "only the path and the json of an http step may hold it");
            }
        }
    }

    /// A value's name, which must stay either secret or open.
    fn name(&mut self, at: &Path, name: &str, secrecy: Secrecy) {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts || name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let what = format!("{name:?} cannot name a value");
            self.fault(at.clone(), what, "a letter, then letters, digits and _");
        } else if name == "language" {
            self.fault(at.clone(), "\"language\" is what is being spoken", "another name");
        } else if secrecy == Secrecy::Open && self.secrets.contains(name) {
            let what = format!("{name:?} holds the digits of a secure collect");
            self.fault(at.clone(), what, "another name, or secure = true here, too");
        }
    }

    fn spoken(&mut self, at: &Path, language: Language) {
        if !self.languages.contains(&language) {
            let tags: Vec<_> = self.languages.iter().map(|language| language.tag()).collect();
            let what = format!("the flow does not speak {}", language.tag());
            self.fault(at.clone(), what, format!("one of: {}; or add it to languages", tags.join(", ")));
        }
    }

    fn millis(&mut self, at: &Path, key: &str, millis: u64, most: u64) -> Duration {
        if !(1..=most).contains(&millis) {
            self.fault(at.key(key), millis.to_string(), format!("1 to {most} ms"));
        }
        Duration::from_millis(millis)
    }

    fn required<'v, T>(&mut self, at: &Path, key: &str, given: Option<&'v T>, right: &str) -> Option<&'v T> {
        if given.is_none() {
            self.fault(at.clone(), format!("{key:?} is missing"), right);
        }
        given
    }

    fn exit(&mut self, at: &Path, key: &str, name: Option<&String>) -> Option<StepIndex> {
        name.map(|name| self.target(&at.key(key), Some(name)))
    }

    /// The step that a key names, which must be there.
    fn target(&mut self, at: &Path, name: Option<&String>) -> StepIndex {
        let Some(name) = name else {
            let mut above = at.clone();
            let key = above.0.pop().map(|key| key.to_string()).unwrap_or_default();
            self.fault(above, format!("{key:?} is missing"), "the name of a step");
            return NOWHERE;
        };
        self.names.get(name).copied().unwrap_or_else(|| {
            let right = one_of(name, self.names.keys().map(String::as_str));
            self.fault(at.clone(), format!("there is no step {name:?}"), right);
            NOWHERE
        })
    }

    fn bad(&mut self, at: &Path, bad: BadSource) {
        self.fault(at.clone(), bad.what, bad.right);
    }

    fn fault(&mut self, at: Path, what: impl Display, right: impl Display) {
        self.faults.push(Fault { path: at.0, what: what.to_string(), right: right.to_string() });
    }

    /// Finds the steps that nothing leads to, and those that stand behind a secure `collect`.
    fn reach(&mut self, flow: &mut Flow) {
        let roots = [Some(flow.start), flow.on_error];
        let reached = spread(flow, &roots, |_| true);
        let open = spread(flow, &roots, |turn| turn != Turn::Secret);
        for (i, step) in flow.steps.iter_mut().enumerate() {
            step.resumable &= open[i];
            if !reached[i] {
                self.fault(
                    Path::step(&step.name),
                    "nothing leads to this step",
                    "an exit that names it, or no step",
                );
            }
        }
    }

    /// Finds the circles that turn by themselves: every way but a key that was pressed.
    fn circles(&mut self, flow: &Flow) {
        let mut marks = vec![Mark::Unseen; flow.steps.len()];
        for root in 0..flow.steps.len() {
            // The steps on the way to here, with the exits not yet followed.
            let mut way = vec![];
            if marks[root] == Mark::Unseen {
                marks[root] = Mark::OnTheWay;
                way.push((root, alone(flow, root)));
            }
            while let Some((step, exits)) = way.last_mut() {
                let step = *step;
                let Some((to, key)) = exits.pop() else {
                    marks[step] = Mark::Done;
                    way.pop();
                    continue;
                };
                match marks[to] {
                    Mark::Done => {}
                    Mark::Unseen => {
                        marks[to] = Mark::OnTheWay;
                        way.push((to, alone(flow, to)));
                    }
                    Mark::OnTheWay => {
                        let from = way.iter().position(|(step, _)| *step == to).unwrap_or(0);
                        let names: Vec<_> =
                            way[from..].iter().map(|(i, _)| flow.steps[*i].name.as_str()).collect();
                        let what = format!(
                            "the circle {} → {} turns without a key being pressed",
                            names.join(" → "),
                            flow.steps[to].name
                        );
                        let mut at = Path::step(&flow.steps[step].name);
                        at.0.extend(key);
                        self.fault(at, what, "an exit that ends, or retries instead of a way back");
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unseen,
    OnTheWay,
    Done,
}

/// A step's exits that need no key: where they lead, and the keys that name them.
fn alone(flow: &Flow, step: usize) -> Vec<(usize, Vec<Segment>)> {
    let exits = flow.steps[step].action.exits().into_iter();
    exits.filter(|exit| exit.turn == Turn::Alone).map(|exit| (exit.to.0 as usize, exit.key)).collect()
}

/// Which steps can be reached.
fn spread(flow: &Flow, roots: &[Option<StepIndex>], follow: impl Fn(Turn) -> bool) -> Vec<bool> {
    let mut reached = vec![false; flow.steps.len()];
    let mut open: Vec<StepIndex> = roots.iter().flatten().copied().collect();
    while let Some(step) = open.pop() {
        if std::mem::replace(&mut reached[step.0 as usize], true) {
            continue;
        }
        let exits = flow.step(step).action.exits().into_iter();
        open.extend(exits.filter(|exit| follow(exit.turn)).map(|exit| exit.to));
    }
    reached
}

fn barge_in(step: &StepSpec) -> BargeIn {
    if step.barge_in == Some(false) { BargeIn::Refused } else { BargeIn::Allowed }
}

impl Verb {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Say => "say",
            Self::Menu => "menu",
            Self::Collect => "collect",
            Self::Set => "set",
            Self::Branch => "branch",
            Self::Http => "http",
            Self::Queue => "queue",
            Self::Transfer => "transfer",
            Self::Hangup => "hangup",
        }
    }
}

const COMMON: [&str; 5] = ["label", "ordinal", "total", "resume", "language"];

const fn keys(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Play => &["prompt", "barge_in", "next"],
        Verb::Say => &["text", "prompt", "barge_in", "next"],
        Verb::Menu => {
            &["prompt", "text", "options", "timeout_ms", "retries", "on_no_input", "on_no_match", "barge_in"]
        }
        Verb::Collect => &[
            "prompt",
            "text",
            "min",
            "max",
            "terminator",
            "first_digit_ms",
            "inter_digit_ms",
            "retries",
            "save",
            "secure",
            "next",
            "on_no_input",
            "on_no_match",
            "barge_in",
        ],
        Verb::Set => &["values", "next"],
        Verb::Branch => &["when", "else"],
        Verb::Http => {
            &["connector", "method", "path", "query", "json", "timeout_ms", "save", "next", "on_error"]
        }
        Verb::Queue => &["queue", "skills", "priority", "on_overflow"],
        Verb::Transfer => &["to", "on_error"],
        Verb::Hangup => &["reason"],
    }
}

fn belongs(verb: Verb, key: &str) -> bool {
    COMMON.contains(&key) || keys(verb).contains(&key)
}

/// `one of: …`, the likeliest first; the first few of many.
fn one_of<'n>(meant: &str, names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<_> = names.map(|name| (distance(meant, name), name)).collect();
    names.sort_unstable();
    let names: Vec<_> = names.into_iter().take(8).map(|(_, name)| name).collect();
    if names.is_empty() { "there is none to name".into() } else { format!("one of: {}", names.join(", ")) }
}

/// How many letters to add, drop or change between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{spec, surroundings};
    use super::*;

    /// Every fault of these steps, each as `path: what`.
    fn faults(steps: Value) -> Vec<String> {
        faults_of(&spec(steps))
    }

    fn faults_of(spec: &Spec) -> Vec<String> {
        let faults = Flow::check(spec, &surroundings()).err().unwrap_or_default();
        faults
            .iter()
            .map(|fault| fault.to_string().split("; right: ").next().unwrap_or_default().to_owned())
            .collect()
    }

    /// A sound flow, with one key of one step changed (or removed, by null).
    fn changed(step: &str, key: &str, value: Value) -> Value {
        let mut steps = json!({
            "a": {"do": "menu", "label": "Choose", "prompt": "main-menu", "options": {"1": "pin", "2": "who"},
                  "on_no_input": "cards", "on_no_match": "cards"},
            "who": {"do": "collect", "prompt": "account", "max": 8, "save": "account", "next": "dip",
                    "on_no_input": "cards", "on_no_match": "cards"},
            "pin": {"do": "collect", "prompt": "pin", "max": 6, "save": "pin", "secure": true, "next": "dip",
                    "on_no_input": "cards", "on_no_match": "cards"},
            "dip": {"do": "http", "connector": "bank", "method": "POST", "path": ["{{ pin }}"], "json": {"pin": "{{ pin }}"},
                    "query": {"a": "{{ account }}"}, "timeout_ms": 3000, "save": {"tier": "/tier"},
                    "next": "set", "on_error": "cards"},
            "set": {"do": "set", "values": {"n": 1}, "next": "which"},
            "which": {"do": "branch", "when": [{"if": "tier == 'gold'", "goto": "told"}], "else": "move"},
            "told": {"do": "say", "text": {"en": "{{ tier }}", "zh": "{{ tier }}"}, "next": "end"},
            "move": {"do": "transfer", "to": "+4930123", "on_error": "cards"},
            "cards": {"do": "queue", "queue": "cards", "skills": {"cards": 1}, "on_overflow": "end"},
            "end": {"do": "hangup"},
        });
        match value {
            Value::Null => drop(steps[step].as_object_mut().unwrap().remove(key)),
            value => steps[step][key] = value,
        }
        steps
    }

    #[test]
    fn a_sound_flow_has_no_faults() {
        assert_eq!(faults(changed("end", "label", json!("Bye"))), [""; 0]);
    }

    #[test]
    fn each_fault_is_found_where_it_stands() {
        for (step, key, value, fault) in [
            ("a", "options", json!({"1": "pin", "2": "whp"}), "steps.a.options.2: there is no step \"whp\""),
            (
                "a",
                "options",
                json!({"1": "pin", "12": "who"}),
                "steps.a.options.12: \"12\" is not a telephone key",
            ),
            ("a", "options", json!({}), "steps.a.options: a menu that offers nothing"),
            ("a", "options", json!(null), "steps.a: \"options\" is missing"),
            ("a", "on_no_input", json!(null), "steps.a: \"on_no_input\" is missing"),
            ("a", "on_no_match", json!(null), "steps.a: \"on_no_match\" is missing"),
            ("a", "on_no_match", json!("gone"), "steps.a.on_no_match: there is no step \"gone\""),
            ("a", "prompt", json!("mainmenu"), "steps.a.prompt: there is no prompt \"mainmenu\" in en"),
            ("a", "prompt", json!(["welcome", "x"]), "steps.a.prompt.1: there is no prompt \"x\" in en"),
            ("a", "prompt", json!([{"number": "1", "digits": "1"}]), "steps.a.prompt.0: what form"),
            ("a", "prompt", json!(null), "steps.a: menu without anything to say"),
            ("a", "retries", json!(11), "steps.a.retries: 11"),
            ("a", "timeout_ms", json!(0), "steps.a.timeout_ms: 0"),
            ("a", "max", json!(3), "steps.a.max: \"max\" means nothing to \"menu\""),
            ("a", "next", json!("end"), "steps.a.next: \"next\" means nothing to \"menu\""),
            ("a", "else", json!("end"), "steps.a.else: \"else\" means nothing to \"menu\""),
            ("a", "label", json!("{{ account }}"), "steps.a.label: a label is the same for every caller"),
            ("a", "ordinal", json!(0), "steps.a.ordinal: 0"),
            ("a", "total", json!(3), "steps.a.total: a total without an ordinal"),
            ("end", "ordinal", json!(1), "steps.end.ordinal: a place in the journey without a label"),
            ("who", "max", json!(null), "steps.who: \"max\" is missing"),
            ("who", "max", json!(65), "steps.who.max: 65"),
            ("who", "min", json!(9), "steps.who.min: 9, more than max 8"),
            ("who", "terminator", json!("1"), "steps.who.terminator: a digit cannot end digits"),
            ("who", "save", json!("pin"), "steps.who.save: \"pin\" holds the digits of a secure collect"),
            ("who", "save", json!("a b"), "steps.who.save: \"a b\" cannot name a value"),
            ("who", "save", json!("language"), "steps.who.save: \"language\" is what is being spoken"),
            ("dip", "connector", json!("bonk"), "steps.dip.connector: there is no connector \"bonk\""),
            ("dip", "timeout_ms", json!(null), "steps.dip: \"timeout_ms\" is missing"),
            ("dip", "timeout_ms", json!(30_001), "steps.dip.timeout_ms: 30001"),
            ("dip", "on_error", json!(null), "steps.dip: \"on_error\" is missing"),
            ("dip", "query", json!({"p": "{{ pin }}"}), "steps.dip.query.p: \"pin\" holds the digits"),
            ("dip", "path", json!(["x", "{{ pin"]), "steps.dip.path.1: not a template"),
            ("dip", "json", json!({"x": ["{% for %}"]}), "steps.dip.json.x.0: not a template"),
            ("dip", "method", json!("GET"), "steps.dip.json: a GET has no body"),
            ("dip", "save", json!({"tier": "tier"}), "steps.dip.save.tier: \"tier\" is not a JSON pointer"),
            ("dip", "save", json!({"pin": "/pin"}), "steps.dip.save.pin: \"pin\" holds the digits"),
            ("set", "values", json!({"x": "{{ pin }}"}), "steps.set.values.x: \"pin\" holds the digits"),
            (
                "set",
                "values",
                json!({"x": {"cel": "pin"}}),
                "steps.set.values.x.cel: \"pin\" holds the digits",
            ),
            ("set", "values", json!({"x": {"y": ["{{ pin }}"]}}), "steps.set.values.x.y.0: \"pin\" holds"),
            ("set", "values", json!({"language": "fr"}), "steps.set.values.language: \"fr\" is no language"),
            ("which", "when", json!([]), "steps.which.when: no condition"),
            ("which", "when", json!([{"if": "tier ==", "goto": "told"}]), "steps.which.when.0.if: not a CEL"),
            (
                "which",
                "when",
                json!([{"if": "l.all(x, x)", "goto": "told"}]),
                "steps.which.when.0.if: a condition may",
            ),
            (
                "which",
                "when",
                json!([{"if": "pin == '1'", "goto": "told"}]),
                "steps.which.when.0.if: \"pin\" holds",
            ),
            (
                "which",
                "when",
                json!([{"if": "true", "goto": "tld"}]),
                "steps.which.when.0.goto: there is no step",
            ),
            ("which", "else", json!(null), "steps.which: \"else\" is missing"),
            ("told", "text", json!({"en": "x"}), "steps.told.text: there is no text in zh"),
            ("told", "text", json!("x"), "steps.told.text: one text for a flow of several languages"),
            ("told", "text", json!({"en": "{{ pin }}", "zh": "x"}), "steps.told.text.en: \"pin\" holds"),
            (
                "told",
                "text",
                json!({"en": "{{ x | shout }}", "zh": "x"}),
                "steps.told.text.en: the filter \"shout\"",
            ),
            ("move", "to", json!("{{ pin }}"), "steps.move.to: \"pin\" holds"),
            ("cards", "queue", json!("crads"), "steps.cards.queue: there is no queue \"crads\""),
            ("cards", "skills", json!({"car": 1}), "steps.cards.skills.car: there is no skill \"car\""),
            (
                "move",
                "on_error",
                json!("which"),
                "steps.move.on_error: the circle which → move → which turns",
            ),
            (
                "cards",
                "on_overflow",
                json!("cards"),
                "steps.cards.on_overflow: the circle cards → cards turns",
            ),
            ("a", "on_no_input", json!("a"), "steps.a.on_no_input: the circle a → a turns"),
            ("dip", "on_error", json!("dip"), "steps.dip.on_error: the circle dip → dip turns"),
            ("which", "else", json!("end"), "steps.move: nothing leads to this step"),
        ] {
            let found = faults(changed(step, key, value.clone()));
            assert!(
                found.first().is_some_and(|found| found.starts_with(fault)),
                "{step}.{key} = {value}\n expected {fault}\n found {found:?}"
            );
        }
    }

    #[test]
    fn a_circle_is_found_wherever_the_walk_begins() {
        let found = faults(json!({
            "a": {"do": "branch", "when": [{"if": "x", "goto": "c"}], "else": "b"},
            "b": {"do": "set", "values": {"x": 1}, "next": "c"},
            "c": {"do": "set", "values": {"x": 1}, "next": "d"},
            "d": {"do": "set", "values": {"x": 1}, "next": "b"},
        }));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("b → c → d → b") || found[0].contains("c → d → b → c"), "{found:?}");
    }

    #[test]
    fn a_circle_with_a_key_in_it_is_no_fault() {
        assert_eq!(faults(changed("told", "next", json!("a"))), [""; 0]);
        assert_eq!(faults(changed("a", "on_no_match", json!("told"))), [""; 0]);
    }

    #[test]
    fn the_flow_itself_is_checked() {
        let sound = || spec(json!({"a": {"do": "hangup"}}));
        let mut flow = sound();
        flow.start = "b".into();
        assert_eq!(faults_of(&flow), ["start: there is no step \"b\""]);
        let mut flow = sound();
        flow.on_error = Some("b".into());
        assert_eq!(faults_of(&flow), ["on_error: there is no step \"b\""]);
        let mut flow = sound();
        flow.languages = vec![Language::Zh];
        assert_eq!(faults_of(&flow), ["languages: the flow's own language is missing"]);
        let mut flow = sound();
        flow.languages = vec![];
        flow.steps.get_mut("a").unwrap().language = Some(Language::Zh);
        assert_eq!(faults_of(&flow), ["steps.a.language: the flow does not speak zh"]);
        assert!(faults_of(&spec(json!({})))[0].starts_with("steps: 0 steps"));
    }

    #[test]
    fn the_likeliest_name_comes_first() {
        let fault =
            Flow::check(&spec(changed("cards", "queue", json!("nihgt"))), &surroundings()).unwrap_err();
        assert_eq!(
            fault[0].to_string(),
            "steps.cards.queue: there is no queue \"nihgt\"; right: one of: night, cards"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let step = serde_json::from_value::<StepSpec>(json!({"do": "play", "promt": "welcome"}));
        assert!(step.unwrap_err().to_string().contains("unknown field `promt`"));
    }
}
