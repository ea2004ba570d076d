//! The posted form of a step, as interfaces.md defines `POST /v1/steps`, and the check that turns
//! it into a [`Step`] with its owner.
//!
//! A caller of [`read`] gets either every step, complete and within bounds, or every fault, each
//! with a JSON Pointer (RFC 6901) to the field at fault. It spares the store all doubt: lengths
//! are bounded, identifiers normalised, and a digest tells a repetition from a contradiction.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Identifier, IdentifierKind, Profile, Status, Step};
use crate::base::{E164, Pii, Wall};

/// The most steps in one post.
pub const MAX_STEPS: usize = 1000;
/// The most bytes of one step's `data`, written as compact JSON.
pub const MAX_DATA_BYTES: usize = 16 * 1024;
/// How deep `data` may nest; a scalar field has depth 1.
pub const MAX_DATA_DEPTH: usize = 8;
/// How far ahead of our clock `at` may be.
pub const MAX_AHEAD: Duration = Duration::from_secs(300);
/// Faults told at most; more help nobody.
const MAX_FAULTS: usize = 20;

/// A step as it is written on the wire: what a client serialises.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepPost {
    pub id: String,
    pub journey: String,
    pub topic: String,
    pub channel: String,
    pub customer: CustomerPost,
    pub step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u16>,
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Value>,
    /// When it happened; when it is read, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Wall>,
}

/// Whose step it is, as written on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CustomerPost {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<Pii<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Pii<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wechat: Option<Pii<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Pii<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Pii<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The identifiers the poster has checked itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<IdentifierKind>,
}

/// A checked step with its owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    pub profile: Profile,
    /// The kinds of `profile.identifiers` that the poster vouches for.
    pub verified: BTreeSet<IdentifierKind>,
    pub step: Step,
    pub digest: Digest,
}

/// SHA-256 of a step's canonical form: equal exactly when the same was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// What is wrong with a post, and where: always the poster's to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// RFC 6901, `/0/customer/phone`; empty for the whole body.
    pub pointer: String,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.what)
    }
}

impl std::error::Error for Fault {}

/// Reads a body: one step or an array of them. Pointers into a single step have no index
/// (`/customer/phone`).
pub fn read(body: &[u8], now: Wall) -> Result<Vec<Posted>, Vec<Fault>> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| vec![Fault { pointer: String::new(), what: format!("not JSON: {error}") }])?;
    read_value(value, now)
}

/// [`read`] for a body already parsed.
pub fn read_value(value: Value, now: Wall) -> Result<Vec<Posted>, Vec<Fault>> {
    let mut faults = Faults::default();
    let posted = match value {
        Value::Array(steps) if steps.is_empty() => {
            faults.add("", "no step in it".into());
            vec![]
        }
        Value::Array(steps) if steps.len() > MAX_STEPS => {
            faults.add("", format!("{} steps: at most {MAX_STEPS} in one post", steps.len()));
            vec![]
        }
        Value::Array(steps) => {
            let mut posted = Vec::with_capacity(steps.len());
            for (i, step) in steps.into_iter().enumerate() {
                posted.extend(read_step(step, format!("/{i}"), now, &mut faults));
            }
            posted
        }
        step => read_step(step, String::new(), now, &mut faults).into_iter().collect(),
    };
    if faults.found.is_empty() { Ok(posted) } else { Err(faults.found) }
}

impl Posted {
    /// A step of our own making, such as one the IVR reports.
    pub fn new(profile: Profile, verified: BTreeSet<IdentifierKind>, step: Step) -> Self {
        let digest = digest(&profile, &verified, &step, Some(step.at));
        Self { profile, verified, step, digest }
    }
}

fn read_step(value: Value, at: String, now: Wall, faults: &mut Faults) -> Option<Posted> {
    let before = faults.count;
    let mut fields = Fields::open(value, at, faults)?;
    let id = fields.required_text("id", 128);
    let journey = fields.required_text("journey", 128);
    let topic = fields.required_text("topic", 64);
    let channel = fields.required_text("channel", 32);
    let customer = fields.required("customer");
    let step = fields.required_text("step", 64);
    let label = fields.text("label", 128);
    let ordinal = fields.count("ordinal");
    let total = fields.count("total");
    let status = fields.status();
    let reason = fields.text("reason", 128);
    let data = fields.data();
    let given_at = fields.at(now);
    if let (Some(ordinal), Some(total)) = (ordinal, total)
        && ordinal > total
    {
        fields.fault("ordinal", format!("step {ordinal} of {total}"));
    }
    if let Some(channel) = &channel
        && !channel.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    {
        fields.fault("channel", "lowercase letters, digits, - and _ only".into());
    }
    let customer_at = fields.pointer("customer");
    fields.close();
    let (profile, verified) = read_customer(customer?, customer_at, faults)?;
    if faults.count > before {
        return None;
    }
    let step = Step {
        id: id?,
        journey: journey?,
        topic: topic?,
        channel: channel?,
        step: step?,
        label,
        ordinal,
        total,
        status: status?,
        reason,
        data,
        at: given_at.unwrap_or(now),
    };
    let digest = digest(&profile, &verified, &step, given_at);
    Some(Posted { profile, verified, step, digest })
}

pub(super) fn read_customer(
    value: Value,
    at: String,
    faults: &mut Faults,
) -> Option<(Profile, BTreeSet<IdentifierKind>)> {
    let mut fields = Fields::open(value, at, faults)?;
    let mut identifiers = vec![];
    for kind in IdentifierKind::ALL {
        if let Some(text) = fields.text(kind.name(), kind.longest()) {
            match Identifier::parse(kind, &text) {
                Ok(identifier) => identifiers.push(identifier),
                Err(what) => fields.fault(kind.name(), what.into()),
            }
        }
    }
    let name = fields.text("name", 128).map(Pii::new);
    let tier = fields.text("tier", 32);
    let language = fields.text("language", 35);
    if let Some(tag) = &language
        && !tag.split('-').all(|s| (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        // RFC 5646 §2.1.
        fields.fault("language", "not a language tag such as zh-CN".into());
    }
    let verified = fields.verified(&identifiers);
    if identifiers.is_empty() && fields.is_faultless() {
        fields.fault_here("needs at least one of phone, account, wechat, email".into());
    }
    fields.close();
    Some((Profile { identifiers, name, tier, language }, verified))
}

#[derive(Default)]
pub(super) struct Faults {
    pub(super) found: Vec<Fault>,
    /// Also those that were not kept.
    count: usize,
}

impl Faults {
    pub(super) fn add(&mut self, pointer: &str, what: String) {
        self.count += 1;
        if self.found.len() < MAX_FAULTS {
            self.found.push(Fault { pointer: pointer.to_owned(), what });
        }
    }
}

/// The members of one object, taken one by one; what is left at the end is unknown.
pub(super) struct Fields<'a> {
    members: Map<String, Value>,
    at: String,
    faults: &'a mut Faults,
    faults_before: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn open(value: Value, at: String, faults: &'a mut Faults) -> Option<Self> {
        let faults_before = faults.count;
        match value {
            Value::Object(members) => Some(Self { members, at, faults, faults_before }),
            other => {
                faults.add(&at, format!("an object is wanted, not {}", kind_of(&other)));
                None
            }
        }
    }

    pub(super) fn close(self) {
        for name in self.members.keys() {
            self.faults.add(&pointer(&self.at, name), "unknown field".into());
        }
    }

    fn is_faultless(&self) -> bool {
        self.faults.count == self.faults_before
    }

    fn pointer(&self, name: &str) -> String {
        pointer(&self.at, name)
    }

    pub(super) fn fault(&mut self, name: &str, what: String) {
        self.faults.add(&pointer(&self.at, name), what);
    }

    fn fault_here(&mut self, what: String) {
        self.faults.add(&self.at, what);
    }

    /// `null` is the same as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.shift_remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn required(&mut self, name: &str) -> Option<Value> {
        let value = self.take(name);
        if value.is_none() {
            self.fault(name, "required".into());
        }
        value
    }

    fn required_text(&mut self, name: &str, longest: usize) -> Option<String> {
        let value = self.required(name)?;
        self.checked_text(name, value, longest)
    }

    pub(super) fn text(&mut self, name: &str, longest: usize) -> Option<String> {
        let value = self.take(name)?;
        self.checked_text(name, value, longest)
    }

    fn checked_text(&mut self, name: &str, value: Value, longest: usize) -> Option<String> {
        let Value::String(text) = value else {
            self.fault(name, format!("a string is wanted, not {}", kind_of(&value)));
            return None;
        };
        let what = if text.trim().is_empty() {
            "empty".into()
        } else if text.len() > longest {
            format!("{} bytes: at most {longest}", text.len())
        } else if text.chars().any(char::is_control) {
            "control characters".into()
        } else {
            return Some(text);
        };
        self.fault(name, what);
        None
    }

    fn count(&mut self, name: &str) -> Option<u16> {
        let value = self.take(name)?;
        let count = value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| (1..=999).contains(n));
        if count.is_none() {
            self.fault(name, "a whole number from 1 to 999 is wanted".into());
        }
        count
    }

    fn status(&mut self) -> Option<Status> {
        let value = self.required("status")?;
        let status = Status::ALL.into_iter().find(|status| value.as_str() == Some(status.name()));
        if status.is_none() {
            self.fault("status", "one of entered, done, failed, abandoned".into());
        }
        status
    }

    fn at(&mut self, now: Wall) -> Option<Wall> {
        let value = self.take("at")?;
        match value.as_str().map(str::parse::<Wall>) {
            Some(Ok(at)) if at > now + MAX_AHEAD => {
                self.fault("at", format!("more than {} s ahead of our clock, {now}", MAX_AHEAD.as_secs()));
                None
            }
            Some(Ok(at)) => Some(at),
            _ => {
                self.fault("at", "not an RFC 3339 time such as 2026-01-31T08:00:00Z".into());
                None
            }
        }
    }

    fn data(&mut self) -> BTreeMap<String, Value> {
        let Some(value) = self.take("data") else { return BTreeMap::new() };
        let Value::Object(members) = value else {
            self.fault("data", format!("an object is wanted, not {}", kind_of(&value)));
            return BTreeMap::new();
        };
        let mut bytes = 2 + members.len().saturating_sub(1);
        for (name, value) in &members {
            if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
                self.fault("data", "field names have 1 to 64 bytes and no control characters".into());
                return BTreeMap::new();
            }
            match compact_length(value, MAX_DATA_DEPTH) {
                Some(length) => bytes += name.len() + 3 + length,
                None => {
                    let at = pointer(&self.pointer("data"), name);
                    self.faults.add(&at, format!("nests deeper than {MAX_DATA_DEPTH}"));
                    return BTreeMap::new();
                }
            }
        }
        if bytes > MAX_DATA_BYTES {
            self.fault("data", format!("{bytes} bytes: at most {MAX_DATA_BYTES}"));
            return BTreeMap::new();
        }
        members.into_iter().collect()
    }

    fn verified(&mut self, given: &[Identifier]) -> BTreeSet<IdentifierKind> {
        let mut verified = BTreeSet::new();
        let Some(value) = self.take("verified") else { return verified };
        let Value::Array(kinds) = value else {
            self.fault("verified", format!("an array is wanted, not {}", kind_of(&value)));
            return verified;
        };
        if kinds.len() > IdentifierKind::ALL.len() {
            self.fault("verified", "names an identifier twice".into());
            return verified;
        }
        for (i, value) in kinds.iter().enumerate() {
            let at = format!("{}/{i}", self.pointer("verified"));
            match IdentifierKind::ALL.into_iter().find(|kind| value.as_str() == Some(kind.name())) {
                None => self.faults.add(&at, "one of phone, account, wechat, email".into()),
                Some(kind) if !given.iter().any(|identifier| identifier.kind == kind) => {
                    // The identifier itself may have been at fault, and said so already.
                    self.faults.add(&at, format!("{} is not given, or not valid", kind.name()));
                }
                Some(kind) => {
                    verified.insert(kind);
                }
            }
        }
        verified
    }
}

/// RFC 6901 §3: `~` and `/` within a name are escaped. Names are the poster's: cut to a length.
fn pointer(at: &str, name: &str) -> String {
    let mut pointer = at.to_owned();
    pointer.push('/');
    for c in name.chars().take(64) {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
    pointer
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// How long `value` is as compact JSON, escapes uncounted; `None` if it nests deeper than `depth`.
fn compact_length(value: &Value, depth: usize) -> Option<usize> {
    let deeper = depth.checked_sub(1)?;
    match value {
        Value::Null | Value::Bool(true) => Some(4),
        Value::Bool(false) => Some(5),
        Value::Number(number) => Some(number.to_string().len()),
        Value::String(text) => Some(text.len() + 2),
        Value::Array(items) => items.iter().try_fold(2 + items.len().saturating_sub(1), |sum, item| {
            Some(sum + compact_length(item, deeper)?)
        }),
        Value::Object(members) => {
            members.iter().try_fold(2 + members.len().saturating_sub(1), |sum, (name, value)| {
                Some(sum + name.len() + 3 + compact_length(value, deeper)?)
            })
        }
    }
}

/// Every field is preceded by its length or a tag, so that no two forms run into one.
fn digest(
    profile: &Profile,
    verified: &BTreeSet<IdentifierKind>,
    step: &Step,
    given_at: Option<Wall>,
) -> Digest {
    let mut canon = Canon(Sha256::new());
    canon.text(&step.id);
    canon.text(&step.journey);
    canon.text(&step.topic);
    canon.text(&step.channel);
    canon.text(&step.step);
    canon.optional(step.label.as_deref());
    canon.number(step.ordinal.map_or(0, u64::from));
    canon.number(step.total.map_or(0, u64::from));
    canon.text(step.status.name());
    canon.optional(step.reason.as_deref());
    canon.number(step.data.len() as u64);
    for (name, value) in &step.data {
        canon.text(name);
        canon.value(value);
    }
    // A repetition without `at` is the same step, though it is read at another time.
    canon.number(given_at.map_or(u64::MAX, Wall::as_millis));
    canon.number(profile.identifiers.len() as u64);
    for identifier in &profile.identifiers {
        canon.text(identifier.kind.name());
        canon.text(identifier.value.reveal());
        canon.number(u64::from(verified.contains(&identifier.kind)));
    }
    canon.optional(profile.name.as_ref().map(|name| name.reveal().as_str()));
    canon.optional(profile.tier.as_deref());
    canon.optional(profile.language.as_deref());
    Digest(canon.0.finalize().into())
}

struct Canon(Sha256);

impl Canon {
    fn number(&mut self, n: u64) {
        self.0.update(n.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            None => self.number(u64::MAX),
            Some(text) => self.text(text),
        }
    }

    /// Members sorted by name. The depth was bounded by [`MAX_DATA_DEPTH`] when it was read; what
    /// the IVR reports is flat.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.0.update(b"z"),
            Value::Bool(false) => self.0.update(b"f"),
            Value::Bool(true) => self.0.update(b"t"),
            Value::Number(number) => {
                self.0.update(b"n");
                self.text(&number.to_string());
            }
            Value::String(text) => {
                self.0.update(b"s");
                self.text(text);
            }
            Value::Array(items) => {
                self.0.update(b"a");
                self.number(items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(members) => {
                self.0.update(b"o");
                self.number(members.len() as u64);
                let sorted: BTreeMap<_, _> = members.iter().collect();
                for (name, value) in sorted {
                    self.text(name);
                    self.value(value);
                }
            }
        }
    }
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Entered, Self::Done, Self::Failed, Self::Abandoned];

    /// As written on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

impl IdentifierKind {
    /// From the one that says most about who somebody is to the one that says least.
    pub const ALL: [Self; 4] = [Self::Account, Self::Wechat, Self::Email, Self::Phone];

    /// As written on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Account => "account",
            Self::Wechat => "wechat",
            Self::Email => "email",
        }
    }

    /// In bytes.
    const fn longest(self) -> usize {
        match self {
            Self::Phone => 32,
            Self::Account | Self::Wechat => 128,
            // RFC 5321 §4.5.3.1.3, less the angle brackets.
            Self::Email => 254,
        }
    }
}

impl Identifier {
    /// Normalises, so that equal means the same: E.164 for a phone, no outer blanks for an
    /// account, lower case for an address, WeChat's openid as it is. The error says what is wrong.
    pub fn parse(kind: IdentifierKind, text: &str) -> Result<Self, &'static str> {
        if text.trim().is_empty() || text.len() > kind.longest() || text.chars().any(char::is_control) {
            return Err("empty, too long or not plain text");
        }
        let value = match kind {
            IdentifierKind::Phone => {
                // RFC 3966 §5.1.1: visual separators mean nothing.
                let plain: String =
                    text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
                let number: E164 = plain.parse().map_err(|_| "not an E.164 number such as +8613800138000")?;
                number.as_str().to_owned()
            }
            IdentifierKind::Account => text.trim().to_owned(),
            IdentifierKind::Wechat => text.to_owned(),
            IdentifierKind::Email => {
                let address = text.trim().to_lowercase();
                match address.rsplit_once('@') {
                    Some((local, domain)) if !local.is_empty() && !domain.is_empty() => address,
                    _ => return Err("not an address such as someone@example.com"),
                }
            }
        };
        Ok(Self { kind, value: Pii::new(value) })
    }

    pub fn phone(number: &E164) -> Self {
        Self { kind: IdentifierKind::Phone, value: Pii::new(number.as_str().to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Wall = Wall::from_millis(1_800_000_000_000);

    fn post() -> Value {
        json!({
            "id": "s-1", "journey": "prepay-8891", "topic": "mortgage-prepay", "channel": "app",
            "customer": {
                "phone": "+86 138-0013-8000", "account": " wei ", "wechat": " oX ", "email": "Wei@Example.COM",
                "name": "张伟", "tier": "gold", "language": "zh-CN", "verified": ["phone", "account"],
            },
            "step": "confirm-payment", "label": "Confirm payment", "ordinal": 3, "total": 5,
            "status": "failed", "reason": "insufficient-funds", "data": {"amount": "50000.00"},
            "at": "2027-01-15T08:00:00Z",
        })
    }

    fn read_text(value: &Value) -> Result<Vec<Posted>, Vec<Fault>> {
        read(value.to_string().as_bytes(), NOW)
    }

    fn one(value: &Value) -> Posted {
        read_text(value).unwrap().remove(0)
    }

    /// `at` is a pointer to what is put there; `null` takes it away.
    fn with(at: &str, value: Value) -> Value {
        let mut post = post();
        let (parent, name) = at.rsplit_once('/').unwrap();
        post.pointer_mut(parent).unwrap()[name] = value;
        post
    }

    #[test]
    fn a_step_is_read_whole_and_its_owner_normalised() {
        let posted = one(&post());
        let known: Vec<_> = posted
            .profile
            .identifiers
            .iter()
            .map(|known| (known.kind, known.value.reveal().as_str()))
            .collect();
        assert_eq!(
            known,
            [
                (IdentifierKind::Account, "wei"),
                (IdentifierKind::Wechat, " oX "),
                (IdentifierKind::Email, "wei@example.com"),
                (IdentifierKind::Phone, "+8613800138000"),
            ]
        );
        assert_eq!(posted.verified, BTreeSet::from([IdentifierKind::Phone, IdentifierKind::Account]));
        assert_eq!(posted.profile.language.as_deref(), Some("zh-CN"));
        let step = posted.step;
        assert_eq!((step.ordinal, step.total, step.status), (Some(3), Some(5), Status::Failed));
        assert_eq!(step.data["amount"], "50000.00");
        assert_eq!(step.at.to_string(), "2027-01-15T08:00:00.000Z");
    }

    #[test]
    fn what_a_client_serialises_is_what_we_read() {
        let post = StepPost {
            id: "s-1".into(),
            journey: "j".into(),
            topic: "t".into(),
            channel: "app".into(),
            customer: CustomerPost {
                phone: Some("+8613800138000".to_owned().into()),
                verified: vec![IdentifierKind::Phone],
                ..CustomerPost::default()
            },
            step: "pay".into(),
            label: None,
            ordinal: Some(1),
            total: None,
            status: Status::Abandoned,
            reason: None,
            data: BTreeMap::new(),
            at: None,
        };
        let posted = one(&serde_json::to_value(&post).unwrap());
        assert_eq!((posted.step.status, posted.step.at), (Status::Abandoned, NOW));
    }

    #[test]
    fn each_fault_points_at_its_field() {
        let long = |n: usize| json!("x".repeat(n));
        let mut deep = json!(1);
        for _ in 0..MAX_DATA_DEPTH {
            deep = json!([deep]);
        }
        let cases = [
            (with("/id", json!(null)), "/id", "required"),
            (with("/id", json!("  ")), "/id", "empty"),
            (with("/id", json!(7)), "/id", "a string is wanted, not a number"),
            (with("/id", long(129)), "/id", "129 bytes: at most 128"),
            (with("/journey", json!("a\u{0}b")), "/journey", "control characters"),
            (with("/channel", json!("App")), "/channel", "lowercase letters, digits, - and _ only"),
            (with("/status", json!("started")), "/status", "one of entered, done, failed, abandoned"),
            (with("/status", json!(null)), "/status", "required"),
            (with("/ordinal", json!(0)), "/ordinal", "a whole number from 1 to 999 is wanted"),
            (with("/total", json!(2.5)), "/total", "a whole number from 1 to 999 is wanted"),
            (with("/ordinal", json!(6)), "/ordinal", "step 6 of 5"),
            (with("/colour", json!("red")), "/colour", "unknown field"),
            (with("/a~1b", json!("red")), "/a~01b", "unknown field"),
            (with("/customer", json!("wei")), "/customer", "an object is wanted, not a string"),
            (with("/customer", json!(null)), "/customer", "required"),
            (
                with("/customer", json!({"name": "x"})),
                "/customer",
                "needs at least one of phone, account, wechat, email",
            ),
            (
                with("/customer", json!({"phone": "138"})),
                "/customer/phone",
                "not an E.164 number such as +8613800138000",
            ),
            (
                with("/customer/email", json!("wei")),
                "/customer/email",
                "not an address such as someone@example.com",
            ),
            (
                with("/customer/language", json!("zh_CN")),
                "/customer/language",
                "not a language tag such as zh-CN",
            ),
            (with("/customer/age", json!(7)), "/customer/age", "unknown field"),
            (
                with("/customer/verified", json!("phone")),
                "/customer/verified",
                "an array is wanted, not a string",
            ),
            (
                with("/customer/verified", json!(["phone", "name"])),
                "/customer/verified/1",
                "one of phone, account, wechat, email",
            ),
            (
                with("/customer", json!({"phone": "+8613800138000", "verified": ["email"]})),
                "/customer/verified/0",
                "email is not given, or not valid",
            ),
            (with("/data", json!([])), "/data", "an object is wanted, not an array"),
            (with("/data/big", long(MAX_DATA_BYTES)), "/data", "16414 bytes: at most 16384"),
            (with("/data", json!({"a/b": deep})), "/data/a~1b", "nests deeper than 8"),
            (with("/at", json!("yesterday")), "/at", "not an RFC 3339 time such as 2026-01-31T08:00:00Z"),
            (with("/at", json!(1)), "/at", "not an RFC 3339 time such as 2026-01-31T08:00:00Z"),
        ];
        for (value, pointer, what) in cases {
            let fault = |at: &str| vec![Fault { pointer: format!("{at}{pointer}"), what: what.into() }];
            assert_eq!(read_text(&value).unwrap_err(), fault(""));
            assert_eq!(read_text(&json!([post(), value])).unwrap_err(), fault("/1"));
        }
    }

    #[test]
    fn a_body_of_no_or_too_many_steps_is_refused() {
        assert_eq!(read(b"{\"id\": ", NOW).unwrap_err()[0].pointer, "");
        assert_eq!(read_text(&json!([])).unwrap_err()[0].what, "no step in it");
        assert_eq!(
            read_text(&json!(vec![post(); 1001])).unwrap_err()[0].what,
            "1001 steps: at most 1000 in one post"
        );
        assert_eq!(read_text(&json!(vec![post(); 1000])).unwrap().len(), 1000);
        assert_eq!(read_text(&json!("s")).unwrap_err()[0].what, "an object is wanted, not a string");
        assert_eq!(read_text(&json!(vec![1; 1000])).unwrap_err().len(), MAX_FAULTS);
    }

    #[test]
    fn a_body_nested_without_end_is_refused_without_harm() {
        let body = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(body.as_bytes(), NOW).unwrap_err()[0].pointer, "");
    }

    #[test]
    fn a_clock_may_be_five_minutes_ahead() {
        let ahead = |secs| with("/at", json!(NOW + Duration::from_secs(secs)));
        assert_eq!(one(&ahead(300)).step.at, NOW + Duration::from_secs(300));
        assert_eq!(read_text(&ahead(301)).unwrap_err()[0].pointer, "/at");
        assert_eq!(one(&with("/at", json!(null))).step.at, NOW);
    }

    #[test]
    fn the_same_content_has_the_same_digest_however_it_is_written() {
        let same = one(&post()).digest;
        for (at, value) in [
            ("/customer/phone", json!("+8613800138000")),
            ("/customer/account", json!("wei")),
            ("/customer/email", json!("wei@example.com")),
            ("/customer/verified", json!(["account", "phone"])),
            ("/at", json!("2027-01-15T16:00:00+08:00")),
        ] {
            assert_eq!(one(&with(at, value)).digest, same, "{at}");
        }
        let data = |text: &str| {
            let value = with("/data", serde_json::from_str(text).unwrap());
            one(&value).digest
        };
        assert_eq!(
            data(r#"{"a": {"x": 1, "y": [2]}, "b": null}"#),
            data(r#"{"b":null,"a":{"y":[2],"x":1}}"#)
        );
    }

    #[test]
    fn other_content_has_another_digest() {
        let mut digests = BTreeSet::from([one(&post()).digest.0]);
        let changes = [
            ("/journey", json!("other")),
            ("/topic", json!("other")),
            ("/channel", json!("web")),
            ("/step", json!("other")),
            ("/label", json!("other")),
            ("/label", json!(null)),
            ("/ordinal", json!(4)),
            ("/total", json!(6)),
            ("/status", json!("done")),
            ("/reason", json!(null)),
            ("/data/amount", json!(50000)),
            ("/data/amount", json!("50000")),
            ("/data/amount", json!(null)),
            ("/data", json!({"amount": ["50000.00"]})),
            ("/data", json!({})),
            ("/at", json!(null)),
            ("/at", json!("2027-01-15T08:00:00.001Z")),
            ("/customer/phone", json!("+8613800138001")),
            ("/customer/verified", json!(["phone"])),
            ("/customer/name", json!(null)),
            ("/customer/tier", json!("gold-")),
        ];
        for (at, value) in changes {
            assert!(digests.insert(one(&with(at, value)).digest.0), "{at}");
        }
    }

    #[test]
    fn a_repetition_without_a_time_is_the_same_step_later() {
        let undated = with("/at", json!(null)).to_string();
        let first = read(undated.as_bytes(), NOW).unwrap();
        let later = read(undated.as_bytes(), NOW + Duration::from_secs(60)).unwrap();
        assert_eq!(first[0].digest, later[0].digest);
        assert_ne!(first[0].step.at, later[0].step.at);
    }

    #[test]
    fn a_fault_in_an_identifier_prints_no_identifier() {
        let faults = read_text(&with("/customer/phone", json!("13800138000x"))).unwrap_err();
        assert!(!format!("{faults:?}").contains("13800138000x"));
        assert!(!format!("{:?}", one(&post())).contains("13800138000"));
    }
}
