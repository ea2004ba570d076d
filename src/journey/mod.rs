//! Journeys: what a person tried to get done, over every channel, and where it stopped.
//!
//! A *step* is what a channel reports: a named stage of one errand, entered, done, failed or
//! abandoned. A *journey* is one customer's attempt at one errand (`topic`). A *breakpoint* is
//! derived from a journey and never stored: its last step not done, with reason, attempts, age
//! and place. Who may see what of it depends on how sure we are who is calling: [`Confidence`].
//!
//! **Invariant:** nothing here knows a call, a flow or a queue.

pub mod breakpoint;
pub mod handoff;
pub mod identity;
pub mod step;
pub mod topic;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use topic::{Topic, Topics};

use crate::base::{AgentId, BrandId, ContactId, CustomerId, Language, Pii, Wall};

/// How sure we are who is calling. A ladder: each rung includes those below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    #[default]
    None,
    /// The caller's number, which can be forged.
    Number,
    /// The number, vouched for by its carrier (STIR attestation A).
    Attested,
    /// A PIN or one-time password, given in this call.
    Verified,
    /// A signed hand-off from a channel where the customer was logged in.
    Token,
}

/// What a customer is known by, normalised so that equal means the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier {
    pub kind: IdentifierKind,
    pub value: Pii<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    Phone,
    Account,
    Wechat,
    Email,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Entered,
    Done,
    Failed,
    Abandoned,
}

/// One stage of a journey, as a channel reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique per API key: a repeated post is the same step.
    pub id: String,
    pub journey: String,
    pub topic: String,
    /// Where it happened: `app`, `web`, `chat`, `wechat`, `kiosk`, `ivr`.
    pub channel: String,
    pub step: String,
    /// In words, for people.
    pub label: Option<String>,
    /// Its place, from 1, and how many there are.
    pub ordinal: Option<u16>,
    pub total: Option<u16>,
    pub status: Status,
    /// Why it failed or was abandoned: a word the topic declares.
    pub reason: Option<String>,
    pub data: BTreeMap<String, serde_json::Value>,
    pub at: Wall,
}

/// Whose step it is: as the channel said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub identifiers: Vec<Identifier>,
    pub name: Option<Pii<String>>,
    pub tier: Option<String>,
    /// As given, `zh-CN`.
    pub language: Option<String>,
}

/// A customer as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    pub id: CustomerId,
    pub brand: BrandId,
    pub profile: Profile,
}

/// All that is known of a caller when the call arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dossier {
    pub customer: Option<Customer>,
    /// How sure we are that `customer` is the caller: at most what the caller's claims prove, and
    /// less where the customer's identifier was never vouched for ([`identity::recognise`]).
    pub confidence: Confidence,
    /// Open journeys, each with the steps needed to derive its breakpoint, oldest step first.
    pub open: Vec<Journey>,
    /// Earlier contacts, newest first.
    pub previous: Vec<Previous>,
}

/// One customer's attempt at one errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    pub id: String,
    pub topic: String,
    /// In order of `at`, then of arrival.
    pub steps: Vec<Step>,
}

/// An earlier contact, as the next agent needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    pub contact: ContactId,
    pub agent: Option<AgentId>,
    pub at: Wall,
    pub disposition: Option<String>,
}

/// The point at which a journey stopped. `journey` and `step` are empty where they were withheld.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breakpoint {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub journey: String,
    pub topic: String,
    pub channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub step: String,
    pub label: Option<String>,
    pub ordinal: Option<u16>,
    pub total: Option<u16>,
    pub status: Status,
    pub reason: Option<String>,
    /// How often this step was tried.
    pub attempts: u32,
    /// Since it stopped.
    #[serde(rename = "age_s", serialize_with = "seconds")]
    pub age: Duration,
    pub data: BTreeMap<String, serde_json::Value>,
    pub sentence: BTreeMap<Language, String>,
}

fn seconds<S: serde::Serializer>(age: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(age.as_secs())
}
