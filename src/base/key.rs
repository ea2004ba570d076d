//! The sixteen keys of a telephone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One key. The value is its RFC 4733 §3.2 event code: 0–9, `*` 10, `#` 11, A–D 12–15.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u8);

/// Keys in the order they were pressed.
pub type Keys = Vec<Key>;

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

impl Key {
    pub const STAR: Self = Self(10);
    pub const POUND: Self = Self(11);

    /// `None` above 15: flash and tones are events, but not keys.
    pub const fn from_event(code: u8) -> Option<Self> {
        if code < 16 { Some(Self(code)) } else { None }
    }

    pub const fn event(self) -> u8 {
        self.0
    }

    pub const fn as_char(self) -> char {
        KEYS[self.0 as usize] as char
    }
}

impl TryFrom<char> for Key {
    type Error = char;

    fn try_from(c: char) -> Result<Self, char> {
        let upper = c.to_ascii_uppercase();
        KEYS.iter().position(|&k| char::from(k) == upper).map(|i| Self(i as u8)).ok_or(c)
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Self::try_from(c).map_err(|_| ()),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Write::write_char(f, self.as_char())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_char(self.as_char())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let c = char::deserialize(from)?;
        Self::try_from(c).map_err(|c| serde::de::Error::custom(format!("{c:?} is not a telephone key")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_event_code() {
        for (code, c) in "0123456789*#ABCD".chars().enumerate() {
            assert_eq!(Key::try_from(c).map(Key::event), Ok(code as u8));
        }
        assert_eq!(Key::from_event(16), None);
        assert_eq!(Key::try_from('x'), Err('x'));
    }
}
