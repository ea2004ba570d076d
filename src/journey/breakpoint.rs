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
                .filter(|journey| keep("journey", !screen.secrets.held_by(journey)))
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

    /// A name chosen by an application's makers is no text about one customer: it must hold a whole
    /// value, or be declared to tell.
    fn names(&self, step: &str) -> bool {
        self.told_by_name(step) || self.secrets.held_by(step)
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

    /// Whether `text` holds one of the values, however it is punctuated.
    fn held_by(&self, text: &str) -> bool {
        if self.texts.is_empty() && self.words.is_empty() && self.amounts.is_empty() {
            return false;
        }
        let plain = squeezed(text);
        let mut words = text.split(|c: char| !c.is_alphanumeric()).map(squeezed);
        let mut numbers =
            text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '\''))).filter_map(amount);
        self.texts.iter().any(|secret| plain.contains(secret.as_str()))
            || words.any(|word| self.words.contains(&word))
            || numbers.any(|number| self.amounts.contains(&number))
    }

    /// Whether `text` holds one of the values or four or more digits in a row of one ("card ending
    /// 8891").
    fn told_by(&self, text: &str) -> bool {
        let mut runs = text.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() >= 4);
        self.held_by(text) || runs.any(|run| self.digits.iter().any(|secret| secret.contains(run)))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: Wall = Wall::from_millis(1_800_000_000_000);

    fn step(name: &str, status: Status, seconds_ago: u64) -> Step {
        Step {
            id: format!("{name}-{seconds_ago}"),
            journey: "prepay-8891".into(),
            topic: "mortgage-prepay".into(),
            channel: "app".into(),
            step: name.into(),
            label: None,
            ordinal: None,
            total: None,
            status,
            reason: None,
            data: BTreeMap::new(),
            at: Wall::from_millis(NOW.as_millis() - 1000 * seconds_ago),
        }
    }

    fn journey(steps: Vec<Step>) -> Journey {
        Journey { id: "prepay-8891".into(), topic: "mortgage-prepay".into(), steps }
    }

    fn topic() -> Topic {
        toml::from_str(
            r#"
            id = "mortgage-prepay"
            steps.confirm-payment = { en = "Confirm payment", zh = "确认付款" }
            reasons.insufficient-funds = { en = "insufficient funds", zh = "余额不足" }
            reasons.limit-exceeded = { en = "over the limit of 50,000", zh = "超过 50,000 限额" }
            data.amount = { show = "number", speak = "attested" }
            data.card = { show = "verified", sensitive = true }
            data.balance = { show = "token", told_by = ["insufficient-funds"] }
            "#,
        )
        .unwrap()
    }

    /// The breakpoint of interfaces.md.
    fn failed_payment() -> Journey {
        let confirm = |status, seconds_ago| Step {
            label: Some("Confirm payment".into()),
            ordinal: Some(3),
            total: Some(5),
            data: BTreeMap::from([("amount".into(), json!("50000.00"))]),
            ..step("confirm-payment", status, seconds_ago)
        };
        let failed = |seconds_ago| Step {
            reason: Some("insufficient-funds".into()),
            ..confirm(Status::Failed, seconds_ago)
        };
        let amount = |status, seconds_ago| Step {
            ordinal: Some(2),
            total: Some(5),
            ..step("amount", status, seconds_ago)
        };
        journey(vec![
            amount(Status::Entered, 400),
            amount(Status::Done, 380),
            confirm(Status::Entered, 370),
            failed(360),
            confirm(Status::Entered, 250),
            failed(240),
        ])
    }

    /// No field is withheld for what it tells.
    fn frank() -> Topic {
        Topic { data: BTreeMap::new(), ..topic() }
    }

    #[test]
    fn the_example_of_the_contract_reads_as_written_there() {
        let breakpoint = failed_payment().breakpoint(&topic(), NOW).unwrap();
        assert_eq!(
            serde_json::to_value(&breakpoint).unwrap(),
            json!({
                "journey": "prepay-8891", "topic": "mortgage-prepay", "channel": "app",
                "step": "confirm-payment", "label": "Confirm payment", "ordinal": 3, "total": 5,
                "status": "failed", "reason": "insufficient-funds", "attempts": 2, "age_s": 240,
                "data": {"amount": "50000.00"},
                "sentence": {
                    "en": "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: insufficient funds, tried twice.",
                    "zh": "4 分钟前在 App 第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
                },
            })
        );
    }

    #[test]
    fn every_part_of_the_sentence_is_optional() {
        type Change = fn(&mut Breakpoint);
        let cases: [(Change, &str, &str); 22] = [
            (
                |b| b.attempts = 1,
                "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: insufficient funds.",
                "4 分钟前在 App 第 3/5 步“确认付款”中断:余额不足。",
            ),
            (
                |b| b.attempts = 3,
                "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: insufficient funds, tried 3 times.",
                "4 分钟前在 App 第 3/5 步“确认付款”中断:余额不足,已尝试 3 次。",
            ),
            (
                |b| b.reason = None,
                "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: failed, tried twice.",
                "4 分钟前在 App 第 3/5 步“确认付款”中断:失败,已尝试 2 次。",
            ),
            (
                |b| b.reason = Some("card_blocked-today".into()),
                "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: card blocked today, tried twice.",
                "4 分钟前在 App 第 3/5 步“确认付款”中断:card blocked today,已尝试 2 次。",
            ),
            (
                |b| (b.status, b.reason, b.attempts) = (Status::Abandoned, None, 1),
                "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: given up.",
                "4 分钟前在 App 第 3/5 步“确认付款”中断:已放弃。",
            ),
            (
                |b| (b.status, b.reason) = (Status::Entered, None),
                "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: tried twice.",
                "4 分钟前在 App 第 3/5 步“确认付款”中断:已尝试 2 次。",
            ),
            (
                |b| (b.status, b.reason, b.attempts) = (Status::Entered, None, 1),
                "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago.",
                "4 分钟前在 App 第 3/5 步“确认付款”中断。",
            ),
            (
                |b| b.total = None,
                "Stopped at step 3, Confirm payment, in the app 4 minutes ago: insufficient funds, tried twice.",
                "4 分钟前在 App 第 3 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| b.ordinal = None,
                "Stopped at Confirm payment, in the app 4 minutes ago: insufficient funds, tried twice.",
                "4 分钟前在 App “确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| (b.label, b.step) = (None, "sign".into()),
                "Stopped at step 3 of 5, sign, in the app 4 minutes ago: insufficient funds, tried twice.",
                "4 分钟前在 App 第 3/5 步“sign”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| (b.label, b.step) = (None, String::new()),
                "Stopped at step 3 of 5 in the app 4 minutes ago: insufficient funds, tried twice.",
                "4 分钟前在 App 第 3/5 步中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| {
                    (b.ordinal, b.total, b.label, b.step) = (None, None, None, String::new());
                    (b.status, b.reason, b.attempts, b.age) = (Status::Entered, None, 1, Duration::ZERO);
                },
                "Stopped in the app just now.",
                "刚刚在 App 中断。",
            ),
            (
                |b| (b.channel, b.age) = ("wechat".into(), Duration::from_secs(59)),
                "Stopped at step 3 of 5, Confirm payment, in WeChat just now: insufficient funds, tried twice.",
                "刚刚在微信第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| (b.channel, b.age) = ("web".into(), Duration::from_secs(119)),
                "Stopped at step 3 of 5, Confirm payment, on the website 1 minute ago: insufficient funds, tried twice.",
                "1 分钟前在网站第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| (b.channel, b.age) = ("ivr".into(), Duration::from_secs(3600)),
                "Stopped at step 3 of 5, Confirm payment, in the phone menu 1 hour ago: insufficient funds, tried twice.",
                "1 小时前在电话语音菜单第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| (b.channel, b.age) = ("kiosk".into(), Duration::from_secs(2 * 3600 + 1)),
                "Stopped at step 3 of 5, Confirm payment, at a kiosk 2 hours ago: insufficient funds, tried twice.",
                "2 小时前在自助终端第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| (b.channel, b.age) = ("chat".into(), DAY),
                "Stopped at step 3 of 5, Confirm payment, in the chat 1 day ago: insufficient funds, tried twice.",
                "1 天前在在线客服第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| (b.channel, b.age) = ("tv".into(), 59 * DAY),
                "Stopped at step 3 of 5, Confirm payment, in tv 59 days ago: insufficient funds, tried twice.",
                "59 天前在 tv 第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| b.age = 60 * DAY,
                "Stopped at step 3 of 5, Confirm payment, in the app 2 months ago: insufficient funds, tried twice.",
                "2 个月前在 App 第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| b.age = 364 * DAY,
                "Stopped at step 3 of 5, Confirm payment, in the app 12 months ago: insufficient funds, tried twice.",
                "12 个月前在 App 第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| b.age = 365 * DAY,
                "Stopped at step 3 of 5, Confirm payment, in the app 1 year ago: insufficient funds, tried twice.",
                "1 年前在 App 第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
            (
                |b| b.age = 800 * DAY,
                "Stopped at step 3 of 5, Confirm payment, in the app 2 years ago: insufficient funds, tried twice.",
                "2 年前在 App 第 3/5 步“确认付款”中断:余额不足,已尝试 2 次。",
            ),
        ];
        let topic = topic();
        for (change, en, zh) in cases {
            let mut breakpoint = failed_payment().breakpoint(&topic, NOW).unwrap();
            change(&mut breakpoint);
            let sentence = breakpoint.sentences(&Screen::open(&topic));
            assert_eq!(sentence[&Language::En], en);
            assert_eq!(sentence[&Language::Zh], zh);
        }
    }

    #[test]
    fn a_journey_stops_at_its_last_step_not_done() {
        use Status::{Abandoned, Done, Entered, Failed};
        type Case<'a> = (&'a [(&'a str, Status)], Option<(&'a str, Status, u32)>);
        let cases: [Case<'_>; 13] = [
            (&[], None),
            (&[("a", Entered)], Some(("a", Entered, 1))),
            (&[("a", Done)], None),
            (&[("a", Entered), ("a", Done), ("b", Entered)], Some(("b", Entered, 1))),
            (&[("a", Failed)], Some(("a", Failed, 1))),
            (&[("a", Failed), ("a", Failed)], Some(("a", Failed, 2))),
            (&[("a", Entered), ("a", Failed), ("a", Entered)], Some(("a", Entered, 2))),
            (&[("a", Entered), ("a", Entered), ("a", Failed)], Some(("a", Failed, 1))),
            (&[("a", Entered), ("a", Failed), ("a", Entered), ("a", Abandoned)], Some(("a", Abandoned, 2))),
            // An earlier step left undone is the stop when all after it are done.
            (&[("a", Failed), ("b", Entered), ("b", Done)], Some(("a", Failed, 1))),
            (&[("a", Failed), ("b", Failed), ("b", Done), ("c", Entered)], Some(("c", Entered, 1))),
            // Done, then gone back to: tried anew.
            (&[("a", Failed), ("a", Failed), ("a", Done), ("a", Failed)], Some(("a", Failed, 1))),
            // The last step of all, done: there is nothing to go on with.
            (&[("a", Failed), ("last", Done)], None),
        ];
        for (script, expected) in cases {
            let steps = script
                .iter()
                .map(|(name, status)| {
                    let place = (*name == "last").then_some(5);
                    Step { ordinal: place, total: place, ..step(name, *status, 1) }
                })
                .collect();
            let journey = journey(steps);
            let stop = journey.breakpoint(&Topic::default(), NOW);
            let stop = stop.as_ref().map(|b| (b.step.as_str(), b.status, b.attempts));
            assert_eq!(stop, expected, "{script:?}");
            assert_eq!(journey.is_open(), expected.is_some());
        }
    }

    #[test]
    fn a_finished_journey_that_is_entered_again_at_the_end_is_open_again() {
        let last = |status, ago| Step { ordinal: Some(2), total: Some(2), ..step("pay", status, ago) };
        assert!(!journey(vec![last(Status::Done, 20)]).is_open());
        assert!(journey(vec![last(Status::Done, 20), last(Status::Entered, 10)]).is_open());
    }

    #[test]
    fn a_step_ahead_of_our_clock_is_of_no_age() {
        let ahead = Step { at: NOW + Duration::from_secs(200), ..step("a", Status::Entered, 0) };
        assert_eq!(journey(vec![ahead]).breakpoint(&topic(), NOW).unwrap().age, Duration::ZERO);
    }

    #[test]
    fn what_went_wrong_outranks_what_was_left_lying_until_it_is_old() {
        let day = 86_400;
        let one = |id: &str, status, ago| Journey { id: id.into(), ..journey(vec![step("a", status, ago)]) };
        let journeys = [
            one("entered now", Status::Entered, 0),
            one("failed 1 d ago", Status::Failed, day),
            one("abandoned 12 h ago", Status::Abandoned, day / 2),
            one("failed 3 d ago", Status::Failed, 3 * day),
            one("done", Status::Done, 0),
        ];
        let ranked = ranked(&journeys, &Topics::default(), NOW);
        let order: Vec<_> = ranked.iter().map(|breakpoint| breakpoint.journey.as_str()).collect();
        assert_eq!(order, ["failed 1 d ago", "abandoned 12 h ago", "entered now", "failed 3 d ago"]);
    }

    #[test]
    fn a_field_is_seen_from_its_rung_and_named_below_it() {
        let mut journey = failed_payment();
        for step in &mut journey.steps {
            step.data.insert("card".into(), json!("6222 0212 3456 7788"));
            step.data.insert("unheard-of".into(), json!({"iban": "DE02120300000000202051"}));
        }
        let (topic, now) = (topic(), NOW);
        let breakpoint = journey.breakpoint(&topic, now).unwrap();
        let cases: [(Confidence, &[&str], &[&str]); 5] = [
            (Confidence::None, &[], &["breakpoint"]),
            (Confidence::Number, &["amount"], &["card", "unheard-of", "reason"]),
            (Confidence::Attested, &["amount"], &["card", "unheard-of", "reason"]),
            (Confidence::Verified, &["amount", "card", "unheard-of"], &["reason"]),
            (Confidence::Token, &["amount", "card", "unheard-of"], &[]),
        ];
        for (confidence, seen, left_out) in cases {
            let (shown, withheld) = breakpoint.shown_to(confidence, &topic);
            assert_eq!(withheld, left_out, "{confidence:?}");
            let fields: Vec<_> = shown.iter().flat_map(|shown| shown.data.keys()).collect();
            assert_eq!(fields, seen, "{confidence:?}");
        }
    }

    #[test]
    fn a_reason_that_tells_of_a_hidden_field_is_in_no_sentence_either() {
        let topic = topic();
        let (shown, withheld) =
            failed_payment().breakpoint(&topic, NOW).unwrap().shown_to(Confidence::Number, &topic);
        let shown = shown.unwrap();
        assert_eq!((shown.reason, withheld), (None, vec!["reason".to_owned()]));
        assert_eq!(
            shown.sentence[&Language::En],
            "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: failed, tried twice."
        );
        assert_eq!(
            shown.sentence[&Language::Zh],
            "4 分钟前在 App 第 3/5 步“确认付款”中断:失败,已尝试 2 次。"
        );
    }

    #[test]
    fn no_text_gives_a_hidden_value_away() {
        type Change = fn(&mut Step);
        // What is posted; what of it is left out for a caller known by number only.
        let cases: [(Change, &[&str]); 15] = [
            (|s| s.label = Some("Pay 50,000.00".into()), &["sum", "label"]),
            (|s| s.label = Some("Pay 50000".into()), &["sum", "label"]),
            (|s| s.label = Some("Pay CNY 50 000.00".into()), &["sum", "label"]),
            (|s| s.label = Some("Pay 500".into()), &["sum"]),
            (|s| s.reason = Some("needs-50000".into()), &["sum", "reason"]),
            (|s| s.reason = Some("limit-exceeded".into()), &["sum", "reason"]),
            (|s| s.reason = Some("declined".into()), &["sum"]),
            // Free text may tell anything.
            (|s| s.reason = Some("Mr Zhang called before".into()), &["sum", "reason"]),
            (|s| s.reason = Some("account-62220212".into()), &["sum", "reason"]),
            (|s| s.step = "pay-50000".into(), &["sum", "step"]),
            (
                |s| {
                    s.data = BTreeMap::from([("card".into(), json!("6222021234567788"))]);
                    s.label = Some("Card ending 7788".into());
                },
                &["card", "label"],
            ),
            (
                |s| {
                    s.data = BTreeMap::from([("to".into(), json!({"name": ["张伟"]}))]);
                    s.label = Some("转账给张伟".into());
                },
                &["to", "label"],
            ),
            (
                |s| {
                    s.data = BTreeMap::from([("via".into(), json!("app"))]);
                    s.label = Some("Approve".into());
                },
                &["via"],
            ),
            (
                |s| {
                    s.data = BTreeMap::from([("currency".into(), json!("CNY"))]);
                    s.label = Some("Pay in CNY".into());
                },
                &["currency", "label"],
            ),
            (
                |s| {
                    s.data = BTreeMap::from([("n".into(), json!(3)), ("ok".into(), json!(true))]);
                    s.label = Some("Step 3".into());
                },
                &["n", "ok"],
            ),
        ];
        let topic = frank();
        for (change, expected) in cases {
            let mut step = Step {
                data: BTreeMap::from([("sum".into(), json!("50000.00"))]),
                ..step("pay", Status::Failed, 5)
            };
            change(&mut step);
            let breakpoint = journey(vec![step]).breakpoint(&topic, NOW).unwrap();
            let (shown, withheld) = breakpoint.shown_to(Confidence::Number, &topic);
            let shown = shown.unwrap();
            assert_eq!(withheld, expected, "{breakpoint:?}");
            let told = serde_json::to_string(&shown).unwrap();
            for secret in ["50000", "50,000", "50 000", "7788", "张伟", "Zhang"] {
                assert!(!told.contains(secret), "{told}");
            }
            let (all, none) = breakpoint.shown_to(Confidence::Token, &topic);
            assert_eq!((all, none), (Some(breakpoint), vec![]));
        }
    }

    #[test]
    fn an_id_is_left_out_only_if_it_holds_a_whole_value() {
        let topic = frank();
        let shown = |id: &str, order: &str| {
            let data = BTreeMap::from([("order".into(), json!(order))]);
            let steps = vec![Step { data, ..step("pay", Status::Failed, 5) }];
            let journey = Journey { id: id.into(), ..journey(steps) };
            let breakpoint = journey.breakpoint(&topic, NOW).unwrap();
            let (shown, withheld) = breakpoint.shown_to(Confidence::Number, &topic);
            (shown.unwrap().journey, withheld)
        };
        assert_eq!(shown("prepay-8891", "2026-8891-77"), ("prepay-8891".into(), vec!["order".into()]));
        let withheld = vec!["order".to_owned(), "journey".to_owned()];
        assert_eq!(shown("prepay-2026889177", "2026-8891-77"), (String::new(), withheld));
    }

    #[test]
    fn a_label_that_tells_is_replaced_in_the_sentence_by_one_that_does_not() {
        let topic = frank();
        let step = Step {
            label: Some("Confirm 50000.00".into()),
            data: BTreeMap::from([("sum".into(), json!(50000))]),
            ..step("confirm-payment", Status::Entered, 300)
        };
        let breakpoint = journey(vec![step]).breakpoint(&topic, NOW).unwrap();
        let (shown, withheld) = breakpoint.shown_to(Confidence::Number, &topic);
        let shown = shown.unwrap();
        assert_eq!(withheld, ["sum", "label"]);
        assert_eq!(shown.sentence[&Language::En], "Stopped at Confirm payment, in the app 5 minutes ago.");
    }

    #[test]
    fn a_caller_known_by_number_hears_no_more_than_that_something_is_unfinished() {
        let topic = topic();
        let breakpoint = failed_payment().breakpoint(&topic, NOW).unwrap();
        for confidence in [Confidence::None, Confidence::Number, Confidence::Attested] {
            assert_eq!(breakpoint.speakable(confidence, &topic), (None, vec!["breakpoint".to_owned()]));
        }
        let (spoken, withheld) = breakpoint.speakable(Confidence::Verified, &topic);
        let spoken = spoken.unwrap();
        assert!(spoken.data.contains_key("amount"));
        // The balance, of which the reason tells, may be spoken from `verified`.
        assert_eq!((spoken.reason.as_deref(), withheld), (Some("insufficient-funds"), vec![]));
    }

    #[test]
    fn a_topic_may_let_a_number_hear_the_step_but_not_the_amount() {
        let topic = Topic { speak: Confidence::Number, ..frank() };
        let breakpoint = failed_payment().breakpoint(&topic, NOW).unwrap();
        let (spoken, withheld) = breakpoint.speakable(Confidence::Number, &topic);
        assert_eq!(spoken.unwrap().label.as_deref(), Some("Confirm payment"));
        assert_eq!(withheld, ["amount"]);
    }

    #[test]
    fn a_sensitive_field_is_kept_in_no_record() {
        let topic = topic();
        let mut journey = failed_payment();
        for step in &mut journey.steps {
            step.data.insert("card".into(), json!("6222021234567788"));
            step.label = Some("Pay with card 7788".into());
        }
        let (kept, withheld) = journey.breakpoint(&topic, NOW).unwrap().recordable(&topic);
        assert_eq!(withheld, ["card", "label"]);
        assert!(kept.data.contains_key("amount") && !serde_json::to_string(&kept).unwrap().contains("7788"));
        assert_eq!(kept.reason.as_deref(), Some("insufficient-funds"));
    }

    /// Says the same as [`Report::stop`] and [`attempts`], the long way round.
    fn naive(steps: &[Step]) -> Option<(String, Status, u32)> {
        let newest = |name: &str| steps.iter().rfind(|step| step.step == name);
        let names: BTreeSet<&str> = steps.iter().map(|step| step.step.as_str()).collect();
        let finished = names
            .iter()
            .filter_map(|name| newest(name))
            .any(|step| step.status == Status::Done && step.ordinal.is_some_and(|n| step.total == Some(n)));
        if finished {
            return None;
        }
        let last_undone = (0..steps.len())
            .filter(|&i| std::ptr::eq(newest(&steps[i].step).unwrap(), &steps[i]))
            .rfind(|&i| steps[i].status != Status::Done)?;
        let stop = &steps[last_undone];
        // Attempts as a word: E entered, X ended badly, D done; only what follows the last D counts.
        let word: String = steps
            .iter()
            .filter(|step| step.step == stop.step)
            .map(|step| match step.status {
                Status::Entered => 'E',
                Status::Failed | Status::Abandoned => 'X',
                Status::Done => 'D',
            })
            .collect();
        let tail = word.rsplit('D').next().unwrap();
        // Every X ends one attempt; a tail of E after the last X is one under way.
        let attempts = tail.matches('X').count() + usize::from(tail.ends_with('E'));
        Some((stop.step.clone(), stop.status, attempts as u32))
    }

    fn any_step() -> impl Strategy<Value = Step> {
        (0..4usize, 0..4usize, proptest::option::of(1..4u16), proptest::option::of(3..4u16)).prop_map(
            |(name, status, ordinal, total)| Step {
                ordinal,
                total,
                ..step(["a", "b", "c", "d"][name], Status::ALL[status], 1)
            },
        )
    }

    proptest! {
        #[test]
        fn the_stop_is_what_a_naive_reading_finds(steps in proptest::collection::vec(any_step(), 0..12)) {
            let found = journey(steps.clone()).breakpoint(&Topic::default(), NOW);
            prop_assert_eq!(found.map(|b| (b.step, b.status, b.attempts)), naive(&steps));
        }

        #[test]
        fn whoever_is_surer_is_shown_no_less(
            amount in 1_000_000u64..1_000_000_000, rungs in [0..5usize, 0..5usize], label in "[a-z ]{0,12}",
        ) {
            const LADDER: [Confidence; 5] =
                [Confidence::None, Confidence::Number, Confidence::Attested, Confidence::Verified, Confidence::Token];
            let mut topic = topic();
            topic.data.get_mut("amount").unwrap().show = Some(LADDER[rungs[0]]);
            topic.data.get_mut("balance").unwrap().show = Some(LADDER[rungs[1]]);
            let mut journey = failed_payment();
            for step in &mut journey.steps {
                step.label = Some(format!("{label}{amount}"));
                step.data.insert("amount".into(), json!(amount));
            }
            let breakpoint = journey.breakpoint(&topic, NOW).unwrap();
            let shown: Vec<_> = LADDER.map(|rung| breakpoint.shown_to(rung, &topic)).into();
            for (lower, higher) in shown.iter().zip(&shown[1..]) {
                prop_assert!(lower.0.is_none() || higher.0.is_some());
                prop_assert!(lower.0.is_none() || lower.1.len() >= higher.1.len());
            }
            for (rung, (shown, withheld)) in LADDER.iter().zip(&shown) {
                let hidden = *rung < topic.field_rung("amount", Audience::Agent);
                if let Some(shown) = shown {
                    prop_assert_eq!(hidden, withheld.contains(&"amount".to_owned()));
                    prop_assert_eq!(hidden, !serde_json::to_string(shown).unwrap().contains(&amount.to_string()));
                }
            }
        }
    }
}
