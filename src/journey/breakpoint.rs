//! Breakpoints: derived from a journey's steps, ranked, put into a sentence, and disclosed no
//! further than the caller's [`Confidence`] permits.
//!
//! It spares the layers above any thought of what may be shown: whatever leaves
//! [`Breakpoint::shown_to`] may go on the agent's screen, whatever leaves
//! [`Breakpoint::speakable`] may be said on the telephone, and whatever leaves
//! [`Breakpoint::recordable`] may be kept.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::topic::{Audience, Topic, Topics};
use super::{Breakpoint, Confidence, Journey, Status, Step};
use crate::base::{Language, Wall};

const DAY: Duration = Duration::from_secs(86_400);

impl Journey {
    /// Whether the errand still waits to be finished: some step is not done, and the last of all
    /// (`ordinal` = `total`) is not done either.
    pub fn is_open(&self) -> bool {
        self.stop().is_some()
    }

    /// The point at which it stopped; `None` if it is not open.
    pub fn breakpoint(&self, topic: &Topic, now: Wall) -> Option<Breakpoint> {
        let stop = self.stop()?;
        let attempts = attempts(self.steps.iter().filter(|step| step.step == stop.step));
        let label = stop.label.clone().or_else(|| {
            let wording = topic.steps.get(&stop.step)?;
            wording.get(&Language::En).or_else(|| wording.values().next()).cloned()
        });
        let mut breakpoint = Breakpoint {
            journey: self.id.clone(),
            topic: self.topic.clone(),
            channel: stop.channel.clone(),
            step: stop.step.clone(),
            label,
            ordinal: stop.ordinal,
            total: stop.total,
            status: stop.status,
            reason: stop.reason.clone(),
            attempts,
            age: now.since(stop.at),
            data: stop.data.clone(),
            sentence: BTreeMap::new(),
        };
        breakpoint.sentence = breakpoint.sentences(&Screen::open(topic));
        Some(breakpoint)
    }

    fn stop(&self) -> Option<&Step> {
        // Walked newest first.
        let index = Report::stop(self.steps.iter().rev().map(Report::of))?;
        self.steps.iter().rev().nth(index)
    }
}

/// What decides whether a journey is open: a step without its words and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    pub step: &'a str,
    pub status: Status,
    pub ordinal: Option<u16>,
    pub total: Option<u16>,
}

impl<'a> Report<'a> {
    fn of(step: &'a Step) -> Self {
        Self { step: &step.step, status: step.status, ordinal: step.ordinal, total: step.total }
    }

    /// Where a journey stopped: the place, in these reports from the newest back, of the first
    /// that is the newest of its step and not `done`. `None` if there is none, or if the last of
    /// all steps is done.
    pub fn stop(newest_first: impl IntoIterator<Item = Self>) -> Option<usize> {
        let mut heard = BTreeSet::new();
        let mut stop = None;
        for (index, report) in newest_first.into_iter().enumerate() {
            if !heard.insert(report.step) {
                continue;
            }
            match report.status {
                Status::Done if report.ordinal.is_some() && report.ordinal == report.total => return None,
                Status::Done => {}
                _ if stop.is_none() => stop = Some(index),
                _ => {}
            }
        }
        stop
    }
}

/// How often a step was tried, from its reports in order: a report begins an attempt if there was
/// none before it or the one before it ended one. `failed` after `failed` without an `entered`
/// between them is two attempts of a channel that does not report `entered`.
fn attempts<'a>(reports: impl Iterator<Item = &'a Step>) -> u32 {
    let mut attempts = 0u32;
    let mut underway = false;
    for report in reports {
        match report.status {
            Status::Entered if underway => {}
            Status::Entered => {
                attempts += 1;
                underway = true;
            }
            Status::Failed | Status::Abandoned => {
                attempts += u32::from(!underway);
                underway = false;
            }
            // It was got through: what comes after is another time, counted anew.
            Status::Done => {
                attempts = 0;
                underway = false;
            }
        }
    }
    attempts
}

/// The breakpoints of several journeys, the one to speak of first in front.
///
/// The younger goes first, where a failure counts as two days younger than it is and an abandoned
/// step as one: what went wrong outranks what was only left lying, until it is old.
pub fn ranked<'a>(
    journeys: impl IntoIterator<Item = &'a Journey>,
    topics: &Topics,
    now: Wall,
) -> Vec<Breakpoint> {
    let mut breakpoints: Vec<_> = journeys
        .into_iter()
        .filter_map(|journey| journey.breakpoint(topics.topic(&journey.topic), now))
        .collect();
    breakpoints.sort_by(|a, b| a.rank().cmp(&b.rank()).then_with(|| a.journey.cmp(&b.journey)));
    breakpoints
}

impl Breakpoint {
    fn rank(&self) -> (Duration, Reverse<u32>) {
        let bonus = match self.status {
            Status::Failed => 2 * DAY,
            Status::Abandoned => DAY,
            Status::Entered | Status::Done => Duration::ZERO,
        };
        (self.age + (2 * DAY - bonus), Reverse(self.attempts))
    }

    /// What an agent may see who talks to a caller recognised with this confidence, and the names
    /// of what was left out. `None` below the topic's `show`, and always for
    /// [`Confidence::None`].
    pub fn shown_to(&self, confidence: Confidence, topic: &Topic) -> (Option<Self>, Vec<String>) {
        self.disclosed(confidence, topic, Audience::Agent)
    }

    /// What may be said to a caller recognised with this confidence, and the names of what was
    /// left out. `None` below the topic's `speak`: then no more may be said than *that* there is
    /// an unfinished errand.
    pub fn speakable(&self, confidence: Confidence, topic: &Topic) -> (Option<Self>, Vec<String>) {
        self.disclosed(confidence, topic, Audience::Caller)
    }

    /// What may be kept in records, events and logs, and the names of the sensitive fields (and
    /// what gives them away) that were left out.
    pub fn recordable(&self, topic: &Topic) -> (Self, Vec<String>) {
        let hidden = |field: &str| topic.data.get(field).is_some_and(|field| field.sensitive);
        self.screened(&Screen::new(topic, &self.data, &hidden, FreeText::Trusted))
    }

    fn disclosed(
        &self,
        confidence: Confidence,
        topic: &Topic,
        audience: Audience,
    ) -> (Option<Self>, Vec<String>) {
        if confidence < topic.rung(audience) {
            return (None, vec!["breakpoint".to_owned()]);
        }
        let hidden = |field: &str| confidence < topic.field_rung(field, audience);
        let free_text =
            if confidence < Confidence::Verified { FreeText::Withheld } else { FreeText::Trusted };
        let (shown, withheld) = self.screened(&Screen::new(topic, &self.data, &hidden, free_text));
        (Some(shown), withheld)
    }

    /// Leaves out the hidden fields and every text that would tell them.
    fn screened(&self, screen: &Screen<'_>) -> (Self, Vec<String>) {
        let (data, left_out): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.data.clone().into_iter().partition(|(field, _)| !(screen.hidden)(field));
        let mut withheld: Vec<String> = left_out.into_keys().collect();
        let mut keep = |name: &str, kept: bool| {
            if !kept {
                withheld.push(name.to_owned());
            }
            kept
        };
        let mut shown = Self {
            journey: Some(&self.journey)
                .filter(|journey| keep("journey", !screen.tells(journey)))
                .cloned()
                .unwrap_or_default(),
            step: Some(&self.step)
                .filter(|step| keep("step", !screen.names(step)))
                .cloned()
                .unwrap_or_default(),
            label: self
                .label
                .as_ref()
                .filter(|label| keep("label", !screen.told_by_name(&self.step) && !screen.tells(label)))
                .cloned(),
            reason: self
                .reason
                .as_ref()
                .filter(|reason| keep("reason", screen.passes_reason(reason)))
                .cloned(),
            topic: self.topic.clone(),
            channel: self.channel.clone(),
            data,
            sentence: BTreeMap::new(),
            ..*self
        };
        shown.sentence = shown.sentences(screen);
        (shown, withheld)
    }

    fn sentences(&self, screen: &Screen<'_>) -> BTreeMap<Language, String> {
        Language::ALL.into_iter().map(|language| (language, self.sentence_in(language, screen))).collect()
    }

    fn sentence_in(&self, language: Language, screen: &Screen<'_>) -> String {
        let wording = screen.topic.steps.get(&self.step).and_then(|wording| wording.get(&language));
        let label = [wording, self.label.as_ref(), Some(&self.step)]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .find(|label| !label.is_empty() && !screen.tells(label));
        let reason = self.reason.as_deref().map(|reason| {
            match screen.topic.reasons.get(reason).and_then(|wording| wording.get(&language)) {
                Some(words) => words.clone(),
                None => reason.replace(['-', '_'], " "),
            }
        });
        match language {
            Language::En => self.in_english(label, reason.as_deref()),
            Language::Zh => self.in_chinese(label, reason.as_deref()),
        }
    }

    fn in_english(&self, label: Option<&str>, reason: Option<&str>) -> String {
        let place = match (self.ordinal, self.total) {
            (Some(ordinal), Some(total)) => format!("at step {ordinal} of {total}"),
            (Some(ordinal), None) => format!("at step {ordinal}"),
            (None, _) => String::new(),
        };
        let stop = match (place.as_str(), label) {
            ("", None) => String::new(),
            ("", Some(label)) => format!(" at {label},"),
            (place, None) => format!(" {place}"),
            (place, Some(label)) => format!(" {place}, {label},"),
        };
        let channel = match self.channel.as_str() {
            "app" => "in the app".to_owned(),
            "web" => "on the website".to_owned(),
            "chat" => "in the chat".to_owned(),
            "wechat" => "in WeChat".to_owned(),
            "kiosk" => "at a kiosk".to_owned(),
            "ivr" => "in the phone menu".to_owned(),
            "sms" => "by text message".to_owned(),
            "email" => "by e-mail".to_owned(),
            other => format!("in {other}"),
        };
        let age = match Span::of(self.age) {
            Span::Moment => "just now".to_owned(),
            Span::Minutes(n) => ago(n, "minute"),
            Span::Hours(n) => ago(n, "hour"),
            Span::Days(n) => ago(n, "day"),
            Span::Months(n) => ago(n, "month"),
            Span::Years(n) => ago(n, "year"),
        };
        let why = reason.or(match self.status {
            Status::Failed => Some("failed"),
            Status::Abandoned => Some("given up"),
            Status::Entered | Status::Done => None,
        });
        let tried = match self.attempts {
            0 | 1 => None,
            2 => Some("tried twice".to_owned()),
            n => Some(format!("tried {n} times")),
        };
        let tail = [why, tried.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let colon = if tail.is_empty() { "" } else { ": " };
        format!("Stopped{stop} {channel} {age}{colon}{tail}.")
    }

    fn in_chinese(&self, label: Option<&str>, reason: Option<&str>) -> String {
        let channel = match self.channel.as_str() {
            // A blank stands between Latin and Chinese letters.
            "app" => " App ".to_owned(),
            "web" => "网站".to_owned(),
            "chat" => "在线客服".to_owned(),
            "wechat" => "微信".to_owned(),
            "kiosk" => "自助终端".to_owned(),
            "ivr" => "电话语音菜单".to_owned(),
            "sms" => "短信".to_owned(),
            "email" => "电子邮件".to_owned(),
            other => format!(" {other} "),
        };
        let place = match (self.ordinal, self.total) {
            (Some(ordinal), Some(total)) => format!("第 {ordinal}/{total} 步"),
            (Some(ordinal), None) => format!("第 {ordinal} 步"),
            (None, _) => String::new(),
        };
        let label = label.map(|label| format!("“{label}”")).unwrap_or_default();
        let age = match Span::of(self.age) {
            Span::Moment => "刚刚".to_owned(),
            Span::Minutes(n) => format!("{n} 分钟前"),
            Span::Hours(n) => format!("{n} 小时前"),
            Span::Days(n) => format!("{n} 天前"),
            Span::Months(n) => format!("{n} 个月前"),
            Span::Years(n) => format!("{n} 年前"),
        };
        let why = reason.or(match self.status {
            Status::Failed => Some("失败"),
            Status::Abandoned => Some("已放弃"),
            Status::Entered | Status::Done => None,
        });
        let tried = (self.attempts > 1).then(|| format!("已尝试 {} 次", self.attempts));
        let tail = [why, tried.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(",");
        let colon = if tail.is_empty() { "" } else { ":" };
        format!("{age}在{channel}{place}{label}中断{colon}{tail}。")
    }
}

/// An age in the largest unit that fills at least once; whole units, rounded down.
enum Span {
    Moment,
    Minutes(u64),
    Hours(u64),
    Days(u64),
    Months(u64),
    Years(u64),
}

impl Span {
    fn of(age: Duration) -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        match age.as_secs() {
            s if s < MINUTE => Self::Moment,
            s if s < HOUR => Self::Minutes(s / MINUTE),
            s if s < DAY => Self::Hours(s / HOUR),
            s if s < 60 * DAY => Self::Days(s / DAY),
            s if s < 365 * DAY => Self::Months(s / (30 * DAY)),
            s => Self::Years(s / (365 * DAY)),
        }
    }
}

fn ago(n: u64, unit: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {unit}{plural} ago")
}

/// Whether a reason that the topic does not declare may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FreeText {
    Trusted,
    /// It may hold anything, so it is treated like a field nobody declared, unless it is plainly a
    /// word from a list.
    Withheld,
}

/// What a disclosure must not tell.
struct Screen<'a> {
    topic: &'a Topic,
    /// Whether a field, posted or not, is below its rung.
    hidden: &'a dyn Fn(&str) -> bool,
    secrets: Secrets,
    free_text: FreeText,
}

impl<'a> Screen<'a> {
    /// Hides nothing.
    fn open(topic: &'a Topic) -> Self {
        Self { topic, hidden: &|_| false, secrets: Secrets::default(), free_text: FreeText::Trusted }
    }

    fn new(
        topic: &'a Topic,
        data: &BTreeMap<String, Value>,
        hidden: &'a dyn Fn(&str) -> bool,
        free_text: FreeText,
    ) -> Self {
        let mut secrets = Secrets::default();
        data.iter().filter(|(field, _)| hidden(field)).for_each(|(_, value)| secrets.add(value));
        Self { topic, hidden, secrets, free_text }
    }

    fn tells(&self, text: &str) -> bool {
        self.secrets.told_by(text)
    }

    fn told_by_name(&self, name: &str) -> bool {
        self.topic.told_by(name).any(self.hidden)
    }

    fn names(&self, step: &str) -> bool {
        self.told_by_name(step) || self.tells(step)
    }

    fn passes_reason(&self, reason: &str) -> bool {
        let wording = self.topic.reasons.get(reason);
        let known = wording.is_some() || self.free_text == FreeText::Trusted || is_code(reason);
        known
            && !self.told_by_name(reason)
            && !self.tells(reason)
            && !wording.is_some_and(|wording| wording.values().any(|words| self.tells(words)))
    }
}

/// A word from a list, not a text: `insufficient-funds`, `E_1042`; no run of digits long enough
/// to be somebody's number.
fn is_code(reason: &str) -> bool {
    let mut run = 0;
    reason.len() <= 64
        && reason.bytes().all(|b| {
            run = if b.is_ascii_digit() { run + 1 } else { 0 };
            run < 5 && (b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}

/// Values that were left out, in the forms in which texts are searched for them.
#[derive(Default)]
struct Secrets {
    /// Letters and digits only, lower case; found anywhere in a text.
    texts: Vec<String>,
    /// Too short for that ("cny" is in no word by accident only if it is the word).
    words: Vec<String>,
    /// The digits of every value that has at least four.
    digits: Vec<String>,
    /// Plain decimals without trailing zeros, from two digits up: `50000.00` is `50000`.
    amounts: Vec<String>,
}

impl Secrets {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.add_text(&number.to_string()),
            Value::String(text) => self.add_text(text),
            // Bounded by `step::MAX_DATA_DEPTH` when it was read.
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Object(members) => members.values().for_each(|item| self.add(item)),
        }
    }

    fn add_text(&mut self, text: &str) {
        let squeezed = squeezed(text);
        let digits: String = squeezed.chars().filter(char::is_ascii_digit).collect();
        if digits.len() >= 4 {
            self.digits.push(digits);
        }
        if let Some(amount) = amount(text).filter(|amount| amount.len() >= 2) {
            self.amounts.push(amount);
        }
        if squeezed.len() >= 6 {
            // Two Chinese characters are six bytes, and a word.
            self.texts.push(squeezed);
        } else if squeezed.len() >= 3 {
            self.words.push(squeezed);
        }
    }

    /// Whether `text` holds one of the values, however it is punctuated; or four or more digits in
    /// a row of one ("card ending 8891").
    fn told_by(&self, text: &str) -> bool {
        if self.texts.is_empty() && self.words.is_empty() && self.digits.is_empty() && self.amounts.is_empty()
        {
            return false;
        }
        let plain = squeezed(text);
        let mut runs = plain.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() >= 4);
        let mut words = text.split(|c: char| !c.is_alphanumeric()).map(squeezed);
        let mut numbers =
            text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '\''))).filter_map(amount);
        self.texts.iter().any(|secret| plain.contains(secret.as_str()))
            || runs.any(|run| self.digits.iter().any(|secret| secret.contains(run)))
            || words.any(|word| self.words.contains(&word))
            || numbers.any(|number| self.amounts.contains(&number))
    }
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The number a text is, grouped or not: `50,000.00` and `50000` are the same.
fn amount(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['.', ',', '\'']);
    let ungrouped: String = text.chars().filter(|c| !matches!(c, ',' | '\'' | ' ')).collect();
    let (whole, fraction) = ungrouped.split_once('.').unwrap_or((&ungrouped, ""));
    let decimal = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !decimal {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}
