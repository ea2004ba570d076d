//! Walks a flow in virtual time with keys given beforehand, and writes down what happened.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::flow::Flow;
use super::interpreter::Interpreter;
use super::{Exit, FetchFault, Input, Outcome, Output, Secure, Utterance, Values};
use crate::base::{Key, Language, Mono};

/// Every prompt is taken to last this long.
const PROMPT: Duration = Duration::from_secs(2);
/// Between two keys of one input.
const PACE: Duration = Duration::from_millis(300);
/// More happenings than any walk needs: circles need a key each, and keys run out.
const MOST: usize = 10_000;

/// Something that is neither a telephone key nor a comma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDigits(pub char);

impl fmt::Display for BadDigits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is neither a telephone key nor a comma", self.0)
    }
}

impl std::error::Error for BadDigits {}

/// One line a happening, each with its second: what is said, keyed, fetched and reported.
/// `digits` is one input for each time the flow asks, `1,4711#,,2`; an empty one is silence, and so
/// is all after the last. Connectors are not asked: they answer as if unreachable.
///
/// # Errors
/// When `digits` holds what is no key.
pub fn simulate(
    flow: &Arc<Flow>,
    language: Language,
    values: Values,
    digits: &str,
) -> Result<String, BadDigits> {
    let mut inputs = read(digits)?;
    let mut walk = Interpreter::new(flow.clone(), language, values);
    let mut text = String::new();
    let mut now = Mono::ZERO;
    let mut heard = None;
    let mut keys = VecDeque::new();
    let mut next = Some(Input::Begin);
    for _ in 0..MOST {
        match next.take() {
            Some(input) => walk.handle_input(now, input),
            None => walk.handle_timeout(now),
        }
        while let Some(output) = walk.poll_output() {
            match &output {
                Output::Say(_) => heard = Some(now + PROMPT),
                Output::Hush => heard = None,
                Output::Fetch(_) => next = Some(Input::Fetched(Err(FetchFault::Unreachable))),
                _ => {}
            }
            let _ = writeln!(text, "{} {}", At(now), Line(&output));
            if let Output::Exit(_) = output {
                return Ok(text);
            }
        }
        if next.is_some() {
            continue;
        }
        if keys.is_empty() && heard.is_none() && walk.is_asking() {
            keys = inputs.pop_front().unwrap_or_default();
        }
        if let Some(key) = keys.pop_front() {
            now += PACE;
            let _ = writeln!(text, "{} key {key}", At(now));
            next = Some(Input::Key(key));
            continue;
        }
        match (heard, walk.poll_timeout()) {
            (Some(at), timer) if timer.is_none_or(|timer| at <= timer) => {
                now = at;
                heard = None;
                next = Some(Input::Heard);
            }
            (_, Some(timer)) => now = timer,
            _ => break,
        }
    }
    Ok(text)
}

fn read(digits: &str) -> Result<VecDeque<VecDeque<Key>>, BadDigits> {
    let mut inputs = VecDeque::from([VecDeque::new()]);
    for c in digits.chars().filter(|c| !c.is_whitespace()) {
        match (c, inputs.back_mut()) {
            (',', _) => inputs.push_back(VecDeque::new()),
            (c, Some(input)) => input.push_back(Key::try_from(c).map_err(BadDigits)?),
            (c, None) => return Err(BadDigits(c)),
        }
    }
    Ok(inputs)
}

/// Seconds and tenths.
struct At(Mono);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6.1}", self.0.since(Mono::ZERO).as_secs_f64())
    }
}

/// An output as a line of a transcript.
pub(super) struct Line<'a>(pub &'a Output);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Output::Say(row) => {
                f.write_str("say")?;
                row.iter().try_for_each(|utterance| match utterance {
                    Utterance::Prompt { name, language } => write!(f, " {language}/{name}"),
                    Utterance::Text { text, language, .. } => write!(f, " {language} {text:?}"),
                })
            }
            Output::Hush => f.write_str("hush"),
            Output::Fetch(fetch) => write!(f, "fetch {} from {}", fetch.method.word(), fetch.connector),
            Output::Step(report) => match &report.outcome {
                Outcome::Entered => write!(f, "step {} entered", report.step),
                Outcome::Done => write!(f, "step {} done", report.step),
                Outcome::Failed { reason } => write!(f, "step {} failed: {reason}", report.step),
                Outcome::Abandoned => write!(f, "step {} abandoned", report.step),
            },
            Output::Walked { step, input: Some(input) } => write!(f, "path {step} {input}"),
            Output::Walked { step, input: None } => write!(f, "path {step}"),
            Output::Secure(Secure::Begins) => f.write_str("secure begins"),
            Output::Secure(Secure::Ends) => f.write_str("secure ends"),
            Output::Language(language) => write!(f, "language {language}"),
            Output::Exit(Exit::Queue { queue, skills, priority }) => {
                write!(f, "exit queue {queue}")?;
                skills.iter().try_for_each(|(skill, level)| write!(f, " {skill}>={level}"))?;
                if *priority > 0 { write!(f, " priority {priority}") } else { Ok(()) }
            }
            Output::Exit(Exit::Transfer { to }) => write!(f, "exit transfer {to}"),
            Output::Exit(Exit::HangUp { reason: Some(reason) }) => write!(f, "exit hang up: {reason}"),
            Output::Exit(Exit::HangUp { reason: None }) => f.write_str("exit hang up"),
        }
    }
}
