//! Telephone numbers in the one form that compares: E.164, a plus sign and up to fifteen digits.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::pii::Mask;

/// An international number, `+8613800138000`. Prints masked; [`E164::as_str`] reveals it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct E164(Arc<str>);

/// The text is not an E.164 number: `+`, then 3 to 15 digits, the first not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANumber;

/// How the numbers of one country are dialled, to turn what a trunk sends into E.164.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberPlan {
    /// Country calling code without plus, `86`.
    pub country: String,
    /// What is dialled before another area's number, `0`.
    #[serde(default = "NumberPlan::zero")]
    pub national_prefix: String,
    /// What is dialled before another country's number, `00`.
    #[serde(default = "NumberPlan::double_zero")]
    pub international_prefix: String,
}

impl E164 {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for E164 {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let digits = text.strip_prefix('+').ok_or(NotANumber)?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if plain && (3..=15).contains(&digits.len()) { Ok(Self(text.into())) } else { Err(NotANumber) }
    }
}

impl<'de> Deserialize<'de> for E164 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.mask(f)
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.mask(f)
    }
}

impl fmt::Display for NotANumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an E.164 number such as +8613800138000")
    }
}

impl std::error::Error for NotANumber {}

impl NumberPlan {
    /// What a caller of this country means by `dialled`, visual separators (RFC 3966 §5.1.1)
    /// ignored. `None` for what no plan makes a number of: names, short codes, anonymous.
    pub fn normalise(&self, dialled: &str) -> Option<E164> {
        let digits: String = dialled.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
        let international = if digits.starts_with('+') {
            digits
        } else if let Some(rest) = prefixed(&digits, &self.international_prefix) {
            format!("+{rest}")
        } else if let Some(rest) = prefixed(&digits, &self.national_prefix) {
            format!("+{}{rest}", self.country)
        } else if digits.starts_with(&self.country) && digits.len() >= 10 + self.country.len() {
            // Carriers often send E.164 without its plus.
            format!("+{digits}")
        } else if digits.len() >= 7 {
            format!("+{}{digits}", self.country)
        } else {
            return None;
        };
        international.parse().ok()
    }

    fn zero() -> String {
        "0".into()
    }

    fn double_zero() -> String {
        "00".into()
    }
}

fn prefixed<'a>(digits: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() { None } else { digits.strip_prefix(prefix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_dial_a_number_means_the_same_number() {
        let china = NumberPlan {
            country: "86".into(),
            national_prefix: "0".into(),
            international_prefix: "00".into(),
        };
        for dialled in [
            "+8613800138000",
            "008613800138000",
            "13800138000",
            "8613800138000",
            "138-0013-8000",
            "013800138000",
        ] {
            assert_eq!(
                china.normalise(dialled).as_ref().map(E164::as_str),
                Some("+8613800138000"),
                "{dialled}"
            );
        }
        assert_eq!(china.normalise("02161234567").unwrap().as_str(), "+862161234567");
        for nobody in ["anonymous", "", "110", "+", "+0123456"] {
            assert_eq!(china.normalise(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn a_number_prints_masked() {
        let number: E164 = "+8613800138000".parse().unwrap();
        assert_eq!(format!("{number} {number:?}"), "+86*********00 +86*********00");
    }
}
