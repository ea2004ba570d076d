//! The Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write};

use crate::gateway::audio::Spread;

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

    /// Values by their upper bounds. Bounds and sums are in units, of which `scale` make 1.
    pub fn histogram<'s>(
        &mut self,
        name: &str,
        help: &str,
        (bounds, scale): (&[u64], f64),
        samples: impl IntoIterator<Item = (Labels, &'s Spread)>,
    ) {
        self.family::<u64>(name, help, "histogram", []);
        for (labels, Spread { counts, sum }) in samples {
            let bounds = bounds.iter().map(|bound| (*bound as f64 / scale).to_string());
            let mut below = 0;
            for (count, bound) in counts.iter().zip(bounds.chain(["+Inf".to_owned()])) {
                below += count;
                let mut labels = labels.clone();
                labels.push(("le", bound));
                self.sample(&format!("{name}_bucket"), &labels, below);
            }
            self.sample(&format!("{name}_sum"), &labels, *sum as f64 / scale);
            self.sample(&format!("{name}_count"), &labels, below);
        }
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
            self.sample(name, &labels, value);
        }
    }

    fn sample(&mut self, name: &str, labels: &Labels, value: impl Display) {
        self.put(format_args!("{name}"));
        for (i, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let before = if i == 0 { '{' } else { ',' };
            self.put(format_args!("{before}{label}=\"{value}\""));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.put(format_args!("{after} {value}\n"));
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

    #[test]
    fn a_histogram_counts_all_that_lies_below_each_bound() {
        let spread = Spread { counts: [1, 0, 2, 0, 0, 0, 0, 4], sum: 1_050 };
        let mut page = Page::default();
        let bounds = [0, 50, 100, 200, 500, 1000, 2000];
        page.histogram(
            "loss",
            "Lost.",
            (&bounds, 10_000.0),
            [(vec![("party", "agent".to_owned())], &spread)],
        );
        let text = page.into_text();
        assert!(text.starts_with("# HELP loss Lost.\n# TYPE loss histogram\n"), "{text}");
        for line in [
            "loss_bucket{party=\"agent\",le=\"0\"} 1",
            "loss_bucket{party=\"agent\",le=\"0.005\"} 1",
            "loss_bucket{party=\"agent\",le=\"0.01\"} 3",
            "loss_bucket{party=\"agent\",le=\"0.2\"} 3",
            "loss_bucket{party=\"agent\",le=\"+Inf\"} 7",
            "loss_sum{party=\"agent\"} 0.105",
            "loss_count{party=\"agent\"} 7",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing:\n{text}");
        }
    }
}
