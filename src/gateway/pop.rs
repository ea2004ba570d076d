//! What is known of a caller, for two audiences: the agent's screen and the caller's own ear.
//! `queueing` sends what is composed here.
//!
//! Disclosure is the journey's affair ([`Breakpoint::shown_to`]); here it is only gathered.
//!
//! [`Breakpoint::shown_to`]: crate::journey::Breakpoint::shown_to

use std::time::Duration;

use serde_json::{Value, json};

use crate::base::{Pii, QueueId, Wall};
use crate::cti::{Caller, ScreenPop};
use crate::ivr;
use crate::journey::breakpoint::ranked;
use crate::journey::{Breakpoint, Confidence, Journey, Topics};

use super::contact::Contact;

/// The channel name of our own flows.
pub const IVR: &str = "ivr";

/// The offer as the desktop shows it; the version is the contact's.
pub fn compose(
    contact: &Contact,
    now: Wall,
    topics: &Topics,
    queue: QueueId,
    waited: Duration,
    answer_within: Duration,
) -> ScreenPop {
    let confidence = contact.confidence;
    let mut withheld = vec![];
    let mut shown = vec![];
    for breakpoint in foremost_first(contact, ranked(earlier(contact), topics, now)) {
        let (visible, left_out) = breakpoint.shown_to(confidence, topics.topic(&breakpoint.topic));
        for name in left_out {
            if !withheld.contains(&name) {
                withheld.push(name);
            }
        }
        shown.extend(visible);
    }
    let first = if shown.is_empty() { None } else { Some(shown.remove(0)) };
    ScreenPop {
        contact: contact.id,
        version: contact.version,
        queue,
        waited,
        answer_within,
        caller: caller(contact),
        breakpoint: first,
        withheld,
        path: contact.path.iter().cloned().collect(),
        hops: contact.hops.clone(),
        open: shown,
        previous: contact.dossier.previous.clone(),
        notes: contact.notes.clone(),
    }
}

fn caller(contact: &Contact) -> Caller {
    let profile = contact
        .dossier
        .customer
        .as_ref()
        .filter(|_| contact.confidence >= Confidence::Number)
        .map(|customer| &customer.profile);
    Caller {
        number: contact.caller.as_ref().map(|number| Pii::new(number.as_str().to_owned())),
        customer: contact.customer(),
        name: profile.and_then(|p| p.name.clone()),
        tier: profile.and_then(|p| p.tier.clone()),
        language: profile.and_then(|p| p.language.clone()),
        confidence: contact.confidence,
    }
}

/// The journey an agent who says "resolved" means: the one that stands first, shown or withheld.
pub fn errand(contact: &Contact, now: Wall, topics: &Topics) -> Option<String> {
    let first = foremost_first(contact, ranked(earlier(contact), topics, now)).into_iter().next();
    first.map(|breakpoint| breakpoint.journey)
}

/// What the flow may decide by and say: `caller`, `customer`, `errand`, `breakpoint`, `resume`.
/// A number can be forged, so of an errand it learns *that* there is one; more is in `breakpoint`
/// as far as its topic says that it may be spoken.
pub fn values(contact: &Contact, now: Wall, topics: &Topics) -> ivr::Values {
    let unfinished = ranked(earlier(contact).filter(|journey| !is_ivr(journey)), topics, now);
    let unfinished = foremost_first(contact, unfinished);
    let speakable = unfinished.first().and_then(|breakpoint| {
        let (speakable, _) = breakpoint.speakable(contact.confidence, topics.topic(&breakpoint.topic));
        serde_json::to_value(speakable?).ok()
    });
    let profile = contact.dossier.customer.as_ref().map(|customer| &customer.profile);
    let values = json!({
        "caller": { "known": contact.caller.is_some() },
        "customer": {
            "known": profile.is_some(),
            "tier": profile.and_then(|p| p.tier.as_deref()).unwrap_or_default(),
            "language": profile.and_then(|p| p.language.as_deref()).unwrap_or_default(),
        },
        "errand": { "open": !unfinished.is_empty() },
        "breakpoint": speakable,
        "resume": { "open": contact.resume.is_some(), "step": contact.resume.as_deref().unwrap_or_default() },
    });
    match values {
        Value::Object(values) => values,
        _ => ivr::Values::new(),
    }
}

/// The journey and step at which this caller last left this very flow.
pub fn resumable(contact: &Contact, now: Wall, topics: &Topics) -> Option<(String, String)> {
    let flow = contact.flow.as_ref()?.flow();
    let left =
        earlier(contact).filter(|journey| is_ivr(journey) && journey.topic == contact.flow_id.as_str());
    ranked(left, topics, now)
        .into_iter()
        .find(|breakpoint| flow.resumable(&breakpoint.step))
        .map(|breakpoint| (breakpoint.journey, breakpoint.step))
}

/// The journey that was handed over goes before all others.
fn foremost_first(contact: &Contact, mut ranked: Vec<Breakpoint>) -> Vec<Breakpoint> {
    let handed_over = contact.binding.as_ref().and_then(|binding| binding.journey.as_deref());
    ranked.sort_by_key(|breakpoint| handed_over != Some(breakpoint.journey.as_str()));
    ranked
}

/// Journeys but the one this call itself is making.
fn earlier(contact: &Contact) -> impl Iterator<Item = &Journey> {
    contact.dossier.open.iter().filter(|journey| journey.id != contact.ivr_journey)
}

fn is_ivr(journey: &Journey) -> bool {
    journey.steps.iter().all(|step| step.channel == IVR)
}
