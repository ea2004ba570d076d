//! Hand-offs: somebody known to a channel is to be recognised when they call, and taken on where
//! they stopped.
//!
//! The posted form, as interfaces.md defines `POST /v1/handoffs`, and what a good token leads to.
//! A caller of [`read`] gets a hand-off that is complete and within bounds, or every fault with a
//! JSON Pointer to its field.
//!
//! **Invariant:** nothing here knows a token, only its hash.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::step::{Fault, Faults, Fields, read_customer};
use super::{Confidence, IdentifierKind, Profile};
use crate::base::{BrandId, CustomerId, QueueId, Wall};

/// How long a token is good where nobody says.
pub const LIFE: Duration = Duration::from_secs(300);
/// The longest a token is good.
pub const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What a channel asks to hand over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handoff {
    pub whose: Whose,
    /// The journey to speak of first.
    pub journey: Option<String>,
    /// Where the call goes at once.
    pub queue: Option<QueueId>,
    pub life: Duration,
}

/// Who is to be recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// By the id we gave them.
    Known(CustomerId),
    Described {
        profile: Profile,
        /// The kinds of `profile.identifiers` that the channel vouches for.
        verified: BTreeSet<IdentifierKind>,
    },
}

/// What a good token leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub brand: BrandId,
    pub customer: CustomerId,
    pub confidence: Confidence,
    pub journey: Option<String>,
    pub queue: Option<QueueId>,
    pub expires: Wall,
}

/// SHA-256 of a token. A token carries 128 random bits or more, so a plain hash is enough.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// Digits that stand for the token where it cannot be typed. Good as long as the token is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoinCode(pub String);

/// Reads a body.
pub fn read(body: Value) -> Result<Handoff, Vec<Fault>> {
    let mut faults = Faults::default();
    match read_fields(body, &mut faults) {
        Some(handoff) if faults.found.is_empty() => Ok(handoff),
        _ => Err(faults.found),
    }
}

fn read_fields(body: Value, faults: &mut Faults) -> Option<Handoff> {
    let mut fields = Fields::open(body, String::new(), faults)?;
    let customer = fields.required("customer");
    let journey = fields.text("journey", 128);
    let queue = fields.text("queue", 128).map(|queue| QueueId::from(queue.as_str()));
    let life = read_life(&mut fields);
    fields.close();
    let whose = match customer? {
        Value::String(id) => match id.parse() {
            Ok(id) => Whose::Known(id),
            Err(_) => {
                faults.add("/customer", "neither a customer's id nor an object with identifiers".into());
                return None;
            }
        },
        described => {
            let (profile, verified) = read_customer(described, "/customer".into(), faults)?;
            Whose::Described { profile, verified }
        }
    };
    Some(Handoff { whose, journey, queue, life })
}

fn read_life(fields: &mut Fields<'_>) -> Duration {
    let Some(value) = fields.take("ttl_s") else { return LIFE };
    match value.as_u64().map(Duration::from_secs) {
        Some(life) if (Duration::from_secs(1)..=LONGEST_LIFE).contains(&life) => life,
        _ => {
            let longest = LONGEST_LIFE.as_secs();
            fields.fault("ttl_s", format!("a whole number of seconds from 1 to {longest} is wanted"));
            LIFE
        }
    }
}

impl Whose {
    /// How sure a call that presents the token is theirs: as sure as the channel was. Somebody who
    /// merely typed a number into a page is known no better than one who calls from it.
    pub fn confidence(&self) -> Confidence {
        match self {
            Self::Described { verified, .. } if verified.is_empty() => Confidence::Number,
            Self::Known(_) | Self::Described { .. } => Confidence::Token,
        }
    }
}

/// A hash is no secret, and yet of no use in a log.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

impl fmt::Debug for JoinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinCode")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let handoff = read(json!({"customer": {"account": "wei", "verified": ["account"]}})).unwrap();
        assert_eq!((handoff.journey, handoff.queue, handoff.life), (None, None, LIFE));
        assert_eq!(handoff.whose.confidence(), Confidence::Token);
        let known = json!({"customer": CustomerId(7), "journey": "j", "queue": "cards", "ttl_s": 86_400});
        let handoff = read(known).unwrap();
        assert_eq!(handoff.whose, Whose::Known(CustomerId(7)));
        assert_eq!((handoff.journey.as_deref(), handoff.life), (Some("j"), LONGEST_LIFE));
    }

    #[test]
    fn whom_nobody_vouches_for_is_no_surer_than_a_number() {
        let handoff = read(json!({"customer": {"phone": "+8613800138000"}})).unwrap();
        assert_eq!(handoff.whose.confidence(), Confidence::Number);
    }

    #[test]
    fn every_fault_names_its_field() {
        for (body, pointers) in [
            (json!([]), &[""][..]),
            (json!({}), &["/customer"]),
            (json!({"customer": "wei"}), &["/customer"]),
            (json!({"customer": {}}), &["/customer"]),
            (json!({"customer": 7}), &["/customer"]),
            (json!({"customer": {"phone": "12"}, "ttl_s": 0}), &["/ttl_s", "/customer/phone"]),
            (json!({"customer": CustomerId(1), "ttl_s": 86_401}), &["/ttl_s"]),
            (json!({"customer": CustomerId(1), "ttl_s": -1}), &["/ttl_s"]),
            (json!({"customer": CustomerId(1), "ttl_s": 1.5}), &["/ttl_s"]),
            (json!({"customer": CustomerId(1), "journey": "", "queue": 7}), &["/journey", "/queue"]),
            (json!({"customer": CustomerId(1), "journey": "j".repeat(129)}), &["/journey"]),
            (json!({"customer": CustomerId(1), "brand": "other"}), &["/brand"]),
        ] {
            let faults = read(body.clone()).expect_err("faulty");
            let found: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
            assert_eq!(found, pointers, "{body}");
        }
    }
}
