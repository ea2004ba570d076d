//! What belongs to a person and must not reach a log: printing masks, revealing is a word in the
//! code that a reader can search for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value of a person's. `Debug` and `Display` print it masked; [`Pii::reveal`] gives it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pii<T>(T);

/// Prints a value so that its owner recognises it and nobody else does.
pub trait Mask {
    fn mask(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<T> Pii<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    pub const fn reveal(&self) -> &T {
        &self.0
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Pii<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Mask> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.mask(f)
    }
}

impl<T: Mask> fmt::Display for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.mask(f)
    }
}

/// Long values keep three characters in front and two behind, short ones nothing.
impl Mask for str {
    fn mask(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.chars().count();
        for (i, c) in self.chars().enumerate() {
            let shown = length >= 9 && (i < 3 || i + 2 >= length);
            fmt::Write::write_char(f, if shown { c } else { '*' })?;
        }
        Ok(())
    }
}

impl Mask for String {
    fn mask(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().mask(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_shows_nothing() {
        assert_eq!(format!("{:?}", Pii::new("8000".to_string())), "****");
        assert_eq!(format!("{}", Pii::new("zhang.wei@example.com".to_string())), "zha****************om");
    }
}
