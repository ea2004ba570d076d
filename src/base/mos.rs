//! How good a call sounds, in one number.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A mean opinion score (ITU-T P.800), 1 to 5, to a hundredth. In JSON a number: `4.41`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mos(u16);

impl Mos {
    /// What lies beyond the scale is put at its end.
    pub fn new(opinion: f32) -> Self {
        Self::from_hundredths((opinion * 100.0).round() as u16)
    }

    /// As RFC 3611 §4.7.5 has it: in tenths.
    pub const fn from_tenths(tenths: u8) -> Self {
        Self::from_hundredths(tenths as u16 * 10)
    }

    pub const fn from_hundredths(hundredths: u16) -> Self {
        Self(if hundredths < 100 {
            100
        } else if hundredths > 500 {
            500
        } else {
            hundredths
        })
    }

    pub const fn hundredths(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Mos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Serialize for Mos {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(f64::from(self.0) / 100.0)
    }
}

impl<'de> Deserialize<'de> for Mos {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        f32::deserialize(from).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opinion_is_written_as_a_number_and_read_back() {
        let mos = Mos::new(4.409);
        assert_eq!((mos.to_string(), serde_json::to_string(&mos).unwrap()), ("4.41".into(), "4.41".into()));
        assert_eq!(serde_json::from_str::<Mos>("4.41").unwrap(), mos);
    }

    #[test]
    fn no_opinion_lies_beyond_the_scale() {
        for (opinion, hundredths) in [(0.0, 100), (f32::NAN, 100), (-7.0, 100), (9.9, 500)] {
            assert_eq!(Mos::new(opinion).hundredths(), hundredths, "{opinion}");
        }
        assert_eq!(Mos::from_tenths(255).hundredths(), 500);
    }
}
