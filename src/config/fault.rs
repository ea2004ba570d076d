//! What is wrong with a configuration, and where: `FILE:LINE:COL: what, and what would be right`.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::ivr::flow::Segment;

/// One thing an operator has to mend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub file: String,
    /// From 1; 0 where the whole file is meant.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, what } = self;
        match line {
            0 => write!(f, "{file}: {what}"),
            _ => write!(f, "{file}:{line}:{column}: {what}"),
        }
    }
}

/// One file of the configuration, as read.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub text: String,
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// A fault of the whole file.
    pub fn fault(&self, what: impl Into<String>) -> Fault {
        Fault { file: self.name.clone(), line: 0, column: 0, what: what.into() }
    }

    /// A fault of what stands there.
    pub fn fault_in(&self, span: Range<usize>, what: impl Into<String>) -> Fault {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Fault {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            what: what.into(),
        }
    }

    pub fn fault_of(&self, error: &toml::de::Error) -> Fault {
        let what = error.message().replace('\n', "; ");
        match error.span() {
            Some(span) => self.fault_in(span, what),
            None => self.fault(what),
        }
    }

    /// A fault of the value at this path, or of the nearest one above that exists.
    pub fn fault_at(&self, path: &[Segment], what: impl Into<String>) -> Fault {
        let Ok(document) = DeTable::parse(&self.text) else { return self.fault(what) };
        match locate(document.get_ref(), path) {
            Some(span) => self.fault_in(span, what),
            None => self.fault(what),
        }
    }
}

/// Where in the text the value at `path` stands. Of a table's key, its name is meant.
fn locate(table: &DeTable<'_>, path: &[Segment]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let Segment::Key(name) = first else { return None };
    let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name.as_str())?;
    descend(value.get_ref(), rest)
        .or_else(|| Some(if rest.is_empty() { value.span() } else { key.span() }))
        .map(|span| {
            // A `[table]` spans nothing of its own to point at: its key does.
            if rest.is_empty() && matches!(value.get_ref(), DeValue::Table(_)) { key.span() } else { span }
        })
}

fn descend(value: &DeValue<'_>, path: &[Segment]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    match (value, first) {
        (DeValue::Table(table), Segment::Key(_)) => locate(table, path),
        (DeValue::Array(items), Segment::Index(at)) => {
            let item = items.get(*at)?;
            descend(item.get_ref(), rest).or_else(|| Some(item.span()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_points_at_the_value_it_is_about() {
        let source =
            Source::new("a.toml", "[sip]\nrealm = \"x\"\n\n[[queue]]\nid = \"a\"\n[[queue]]\nid = \"b\"\n");
        let key = |name: &str| Segment::Key(name.to_owned());
        let at = |path: &[Segment]| {
            let fault = source.fault_at(path, "bad");
            (fault.line, fault.column)
        };
        assert_eq!(at(&[key("sip"), key("realm")]), (2, 9));
        assert_eq!(at(&[key("queue"), Segment::Index(1), key("id")]), (7, 6));
        assert_eq!(at(&[key("sip"), key("nothing")]), (1, 2));
    }
}
