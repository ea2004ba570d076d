//! What happens, told as it happens.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use tokio::time::timeout;

/// Seconds count from its beginning.
#[derive(Debug)]
pub struct Timeline {
    began: Instant,
    dress: Dress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dress {
    Plain,
    /// ANSI colours, on a terminal that has not been told `NO_COLOR`.
    Colours,
}

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const END: &str = "\x1b[0m";

impl Timeline {
    pub fn begin() -> Self {
        let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { began: Instant::now(), dress: if coloured { Dress::Colours } else { Dress::Plain } }
    }

    /// One beat: `  1.234 s  who            what`.
    pub fn tell(&self, who: &str, what: impl Display) {
        let at = self.began.elapsed().as_secs_f64();
        self.line(format_args!("{at:>7.3} s"), who, what);
    }

    /// More of the beat before.
    pub fn more(&self, what: impl Display) {
        self.line(format_args!(""), "", what);
    }

    fn line(&self, at: impl Display, who: &str, what: impl Display) {
        let (dim, bold, end) = match self.dress {
            Dress::Plain => ("", "", ""),
            Dress::Colours => (DIM, BOLD, END),
        };
        let at = at.to_string();
        // Who closed the pipe does not want to know.
        let _ = writeln!(std::io::stdout(), "{dim}{at:>9}{end}  {bold}{who:<14}{end} {what}");
    }
}

/// Waits for a beat, but not for ever.
pub async fn within<T>(
    limit: Duration,
    expected: impl Display,
    beat: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match timeout(limit, beat).await {
        Ok(outcome) => outcome,
        Err(_) => anyhow::bail!("expected {expected} within {} s; it did not come", limit.as_secs()),
    }
}
