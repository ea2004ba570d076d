//! Topics: what the errands of one kind are called, and from which rung of [`Confidence`] each
//! part of them may be shown to an agent or spoken to the caller.
//!
//! A topic nobody declared is [`Topic::default`]: the place, the label and the reason of its
//! breakpoints are shown from `number`, its data from `verified`, and nothing is spoken below
//! `verified`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Confidence;
use crate::base::Language;

/// The same words in each language that has them.
pub type Wording = BTreeMap<Language, String>;

/// One `[[topic]]` of the configuration.
///
/// ```toml
/// [[topic]]
/// id = "mortgage-prepay"
/// label = { en = "Mortgage prepayment", zh = "提前还贷" }
/// steps.confirm-payment = { en = "Confirm payment", zh = "确认付款" }
/// reasons.insufficient-funds = { en = "insufficient funds", zh = "余额不足" }
/// data.amount = { show = "number", speak = "verified" }
/// data.balance = { sensitive = true, told_by = ["insufficient-funds"] }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topic {
    /// As the channels name it in `topic`.
    pub id: String,
    pub label: Wording,
    /// What each step is called.
    pub steps: BTreeMap<String, Wording>,
    /// Which reasons exist, and how they read in a sentence.
    pub reasons: BTreeMap<String, Wording>,
    /// From which rung each field of `data` may be disclosed.
    pub data: BTreeMap<String, Field>,
    /// From which rung an agent sees the breakpoint at all: step, label, reason, place.
    pub show: Confidence,
    /// From which rung the caller hears more than that there is a breakpoint.
    pub speak: Confidence,
}

/// The rungs of one field of `data`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Field {
    /// The lowest rung from which an agent sees it; `verified` if not given, `token` if sensitive.
    pub show: Option<Confidence>,
    /// The lowest rung from which the caller hears it; `verified` if not given, `token` if sensitive.
    pub speak: Option<Confidence>,
    /// Never kept in records, events or logs.
    pub sensitive: bool,
    /// Reasons and steps whose very name gives this field away (a reason `insufficient-funds`
    /// tells of a `balance`): they are disclosed from the field's rung, not below.
    pub told_by: Vec<String>,
}

/// The declared topics, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    declared: BTreeMap<String, Topic>,
    undeclared: Topic,
}

/// To whom a breakpoint is disclosed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The agent's screen.
    Agent,
    /// The caller's ear.
    Caller,
}

impl Default for Topic {
    fn default() -> Self {
        Self {
            id: String::new(),
            label: Wording::new(),
            steps: BTreeMap::new(),
            reasons: BTreeMap::new(),
            data: BTreeMap::new(),
            show: Confidence::Number,
            speak: Confidence::Verified,
        }
    }
}

impl Topic {
    /// The rung of the breakpoint itself. Never [`Confidence::None`]: of a caller we do not know
    /// there is nothing to tell.
    pub fn rung(&self, audience: Audience) -> Confidence {
        let declared = match audience {
            Audience::Agent => self.show,
            Audience::Caller => self.speak,
        };
        declared.max(Confidence::Number)
    }

    /// The rung of one field of `data`, declared or not.
    pub fn field_rung(&self, field: &str, audience: Audience) -> Confidence {
        match self.data.get(field) {
            Some(field) => field.rung(audience),
            None => Field::default().rung(audience),
        }
        .max(self.rung(audience))
    }

    /// The fields that a reason or step of this name gives away.
    pub fn told_by<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.data
            .iter()
            .filter(move |(_, field)| field.told_by.iter().any(|teller| teller == name))
            .map(|(field, _)| field.as_str())
    }
}

impl Field {
    fn rung(&self, audience: Audience) -> Confidence {
        let declared = match audience {
            Audience::Agent => self.show,
            Audience::Caller => self.speak,
        };
        declared.unwrap_or(if self.sensitive { Confidence::Token } else { Confidence::Verified })
    }
}

impl Topics {
    pub fn new(topics: impl IntoIterator<Item = Topic>) -> Self {
        let declared = topics.into_iter().map(|topic| (topic.id.clone(), topic)).collect();
        Self { declared, undeclared: Topic::default() }
    }

    /// The topic of that id; for one nobody declared, the cautious defaults.
    pub fn topic(&self, id: &str) -> &Topic {
        self.declared.get(id).unwrap_or(&self.undeclared)
    }

    pub fn is_declared(&self, id: &str) -> bool {
        self.declared.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_nobody_declared_needs_a_verified_caller() {
        let topics = Topics::new([]);
        let topic = topics.topic("anything");
        for audience in [Audience::Agent, Audience::Caller] {
            assert_eq!(topic.field_rung("amount", audience), Confidence::Verified);
        }
        assert_eq!(topic.rung(Audience::Agent), Confidence::Number);
        assert_eq!(topic.rung(Audience::Caller), Confidence::Verified);
    }

    #[test]
    fn a_topic_reads_as_its_documentation_says() {
        let topic: Topic = toml::from_str(
            r#"
            id = "mortgage-prepay"
            label = { en = "Mortgage prepayment", zh = "提前还贷" }
            steps.confirm-payment = { en = "Confirm payment", zh = "确认付款" }
            reasons.insufficient-funds = { en = "insufficient funds", zh = "余额不足" }
            data.amount = { show = "number", speak = "verified" }
            data.balance = { sensitive = true, told_by = ["insufficient-funds"] }
            "#,
        )
        .unwrap();
        assert_eq!(topic.field_rung("amount", Audience::Agent), Confidence::Number);
        assert_eq!(topic.field_rung("balance", Audience::Agent), Confidence::Token);
        assert_eq!(topic.told_by("insufficient-funds").collect::<Vec<_>>(), ["balance"]);
        assert_eq!(topic.steps["confirm-payment"][&Language::Zh], "确认付款");
        assert!(toml::from_str::<Topic>("id = \"x\"\ncolour = \"red\"").is_err());
    }

    #[test]
    fn a_field_is_never_disclosed_before_the_breakpoint_it_belongs_to() {
        let topic: Topic =
            toml::from_str("id = \"x\"\nshow = \"verified\"\ndata.amount = { show = \"number\" }").unwrap();
        assert_eq!(topic.field_rung("amount", Audience::Agent), Confidence::Verified);
    }

    #[test]
    fn nothing_can_be_declared_open_to_strangers() {
        let topic = Topic { show: Confidence::None, speak: Confidence::None, ..Topic::default() };
        assert_eq!(topic.rung(Audience::Agent), Confidence::Number);
        assert_eq!(topic.rung(Audience::Caller), Confidence::Number);
    }
}
