//! What is said in one go: recorded prompts, numbers made of fragments, and texts.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::expr::{Missing, Text, Unrendered};
use super::{Utterance, Values, spoken};
use crate::base::Language;

/// `prompt = …`: a name, or several things in a row.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a prompt's name, or a row of names and tables such as { number = \"…\" }"
)]
pub enum PromptSpec {
    Name(String),
    Row(Vec<PieceSpec>),
}

/// One of a row: a prompt's name, or a value spoken from fragments.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a prompt's name, or a table such as { number = \"…\" }")]
pub enum PieceSpec {
    Name(String),
    Value(ValueSpec),
}

/// `{ number = "{{ position }}" }`. Exactly one is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueSpec {
    /// A count.
    pub number: Option<String>,
    /// A count before a measure word (两 for 2 in Chinese).
    pub measured: Option<String>,
    /// Digit by digit.
    pub digits: Option<String>,
    /// Seconds.
    pub duration: Option<String>,
    /// No value, but a prompt's name: it is played in every language of the flow but the one being
    /// spoken, to those who would rather have theirs.
    pub in_other_languages: Option<String>,
}

/// `text = …`: one for all languages, or one each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, or one for each language such as { en = \"…\" }")]
pub enum TextSpec {
    Same(String),
    Each(BTreeMap<Language, String>),
}

/// A checked phrase.
#[derive(Clone, Debug)]
pub struct Phrase {
    pieces: Vec<Piece>,
    privacy: Privacy,
}

/// Whether a text with values in it is about one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Values are a person's: the sound never touches a disk.
    Personal,
    /// Values are nobody's, such as a place in a queue.
    Public,
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Prompt(String),
    /// The prompt in all of these but the one being spoken.
    Others(String, Vec<Language>),
    Texts(BTreeMap<Language, Text>),
    Value {
        form: Form,
        text: Text,
        /// The languages in which every fragment is a prompt of its own.
        recorded: Vec<Language>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Number,
    Measured,
    Digits,
    Duration,
}

impl Phrase {
    pub(super) const fn new(pieces: Vec<Piece>, privacy: Privacy) -> Self {
        Self { pieces, privacy }
    }

    /// A caller's place in a queue; `position` is bound.
    pub fn position() -> Self {
        let texts = [
            (Language::En, "You are number {{ position | number }} in line."),
            // 您前面还有几位 would need one less; 您排在第几位 is the same count in both languages.
            (Language::Zh, "nin2 pai2 zai4 di4 {{ position | number }} wei4"),
        ];
        let texts = texts
            .into_iter()
            .map(|(language, source)| {
                (language, Text::compile(source, Missing::Empty).expect("a test reads it"))
            })
            .collect();
        Self::new(vec![Piece::Texts(texts)], Privacy::Public)
    }

    /// What is the same whatever the values are.
    pub(super) fn fixed(&self, languages: &[Language]) -> Vec<Utterance> {
        let of = |piece: &Piece| -> Vec<Utterance> {
            match piece {
                Piece::Prompt(name) | Piece::Others(name, _) => languages
                    .iter()
                    .map(|language| Utterance::Prompt { name: name.clone(), language: *language })
                    .collect(),
                Piece::Texts(texts) => texts
                    .iter()
                    .filter_map(|(language, text)| {
                        let text = text.as_fixed()?.to_owned();
                        Some(Utterance::Text { text, language: *language, personal: false })
                    })
                    .collect(),
                Piece::Value { .. } => vec![],
            }
        };
        self.pieces.iter().flat_map(of).collect()
    }

    /// What to play. A row may be empty: then there is nothing to say.
    ///
    /// # Errors
    /// When a text cannot be rendered for these values, or a number is none.
    pub fn render(&self, values: &Values, language: Language) -> Result<Vec<Utterance>, Unrendered> {
        let mut row = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Prompt(name) => row.push(Utterance::Prompt { name: name.clone(), language }),
                Piece::Others(name, languages) => {
                    let others = languages.iter().filter(|other| **other != language);
                    row.extend(
                        others.map(|other| Utterance::Prompt { name: name.clone(), language: *other }),
                    );
                }
                Piece::Texts(texts) => {
                    let Some(text) = texts.get(&language).or_else(|| texts.values().next()) else { continue };
                    let personal = text.as_fixed().is_none() && self.privacy == Privacy::Personal;
                    let text = text.render(values, language)?;
                    if !text.trim().is_empty() {
                        row.push(Utterance::Text { text, language, personal });
                    }
                }
                Piece::Value { form, text, recorded } => {
                    let text = text.render(values, language)?;
                    let fragments = form.fragments(language, &text)?;
                    if recorded.contains(&language) {
                        row.extend(
                            fragments.into_iter().map(|fragment| Utterance::Prompt {
                                name: fragment.name.to_owned(),
                                language,
                            }),
                        );
                    } else if !fragments.is_empty() {
                        let personal = self.privacy == Privacy::Personal;
                        row.push(Utterance::Text { text: spoken::words(&fragments), language, personal });
                    }
                }
            }
        }
        Ok(row)
    }
}

impl Form {
    fn fragments(self, language: Language, text: &str) -> Result<Vec<spoken::Fragment>, Unrendered> {
        let count = || text.trim().parse::<u64>().map_err(|_| Unrendered::Failed);
        Ok(match self {
            Self::Number => spoken::number_fragments(language, count()?),
            Self::Measured => spoken::measured_fragments(language, count()?),
            Self::Duration => spoken::duration_fragments(language, std::time::Duration::from_secs(count()?)),
            Self::Digits => spoken::digit_fragments(language, text),
        })
    }
}
