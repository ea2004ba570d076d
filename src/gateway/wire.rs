//! The few header values the gateway itself writes.

use crate::call::release::{Cause, Party, Release};
use crate::config::Config;
use crate::sdp::Refusal;
use crate::sip::{Headers, Name, NameAddr, Uri, Value};

/// Who warns: a pseudonym (RFC 3261 §20.43), for our address is nobody's business.
const AGENT: &str = "baton";

/// Reason (RFC 3326): Q.850 for exchanges, words for people.
pub fn reason(release: Release) -> Option<Value> {
    // A BYE that only passes on the other party's hanging up needs no reason.
    if release.by == Party::Caller {
        return None;
    }
    let (cause, text) = (release.cause.q850(), release.cause.text());
    Value::new(format!("Q.850;cause={cause};text=\"{text}\"")).ok()
}

/// Beside the status that refuses an offer: why, for machines and for people.
pub fn refused(refusal: Refusal) -> Headers {
    let mut headers = Headers::new();
    if let Some((code, text)) = refusal.warning()
        && let Ok(warning) = Value::new(format!("{code} {AGENT} \"{text}\""))
    {
        headers.push(Name::Warning, warning);
    }
    // RFC 6432 allows it in any final response; that a later try may succeed (491), say, is not its matter.
    if refusal.status() == 488
        && let Some(reason) = reason(Release::by_us(Cause::MediaRefused(refusal.status())))
    {
        headers.push(Name::Reason, reason);
    }
    headers
}

/// RFC 5373 §4.1, and the older way that desk phones know.
pub fn automatic_answer() -> Headers {
    let mut headers = Headers::new();
    for (name, value) in [("Answer-Mode", "Auto"), ("Call-Info", "<sip:baton.invalid>;answer-after=0")] {
        if let Some(name) = Name::of(name.as_bytes()) {
            headers.push(name, Value::constant(value));
        }
    }
    headers
}

/// From of a call we make: the caller's number at our address. Never customer data.
pub fn from(user: &str, config: &Config) -> NameAddr {
    let ours = config.sip.listeners.first().map(|(_, address)| *address);
    let mut address = ours.unwrap_or_else(|| ([127, 0, 0, 1], 5060).into());
    if let Some(advertised) = config.sip.advertised {
        address.set_ip(advertised);
    }
    NameAddr::new(Uri::sip(user, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_offer_that_is_not_acceptable_has_a_reason_beside_its_status() {
        let given = |refusal| {
            let headers = refused(refusal);
            [Name::Warning, Name::Reason].map(|name| headers.get(name).is_some())
        };
        for refusal in [Refusal::NoAudio, Refusal::Transport, Refusal::Keys, Refusal::Address, Refusal::Codec]
        {
            assert_eq!(given(refusal), [true, true], "{refusal}");
        }
        for refusal in [Refusal::Malformed, Refusal::Unasked, Refusal::Glare, Refusal::Spent] {
            assert!(!given(refusal)[1], "{refusal}");
        }
    }
}
