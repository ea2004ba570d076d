//! The Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write};

/// Label names and values. Values come from the configuration or from an enum: never from a caller.
pub type Labels = Vec<(&'static str, String)>;

/// A page of metrics, family by family.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Only ever grows; the name ends in `_total`.
    pub fn counter<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) {
        debug_assert!(name.ends_with("_total"));
        self.family(name, help, "counter", samples);
    }

    /// Goes up and down.
    pub fn gauge<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) {
        self.family(name, help, "gauge", samples);
    }

    pub fn into_text(self) -> String {
        self.text
    }

    fn family<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, value) in samples {
            self.put(format_args!("{name}"));
            for (i, (label, value)) in labels.iter().enumerate() {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let before = if i == 0 { '{' } else { ',' };
                self.put(format_args!("{before}{label}=\"{value}\""));
            }
            let after = if labels.is_empty() { "" } else { "}" };
            self.put(format_args!("{after} {value}\n"));
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // A String takes whatever is written to it.
        let _ = self.text.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let mut page = Page::default();
        page.gauge(
            "waiting",
            "In line.",
            [(vec![("queue", "a\"b\\c\nd".to_owned()), ("x", "y".to_owned())], 3)],
        );
        page.counter("calls_total", "Calls.", [(vec![], 7)]);
        let text = "# HELP waiting In line.\n# TYPE waiting gauge\nwaiting{queue=\"a\\\"b\\\\c\\nd\",x=\"y\"} 3\n\
                    # HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total 7\n";
        assert_eq!(page.into_text(), text);
    }
}
