//! Where log lines go: to the journal under systemd, else JSON lines on standard error.
//!
//! Numbers reach a log only through [`Pii`](crate::base::Pii) and its kin, which mask them.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Logging for the life of the process. `RUST_LOG` narrows or widens it.
pub fn begin() {
    // A browser's every handshake has extensions that rtc_dtls warns not to know.
    let usual = "info,sqlx=warn,rtc_dtls=error";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let lines = || tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
    let layer = match journal {
        Some(journal) => journal.boxed(),
        None => lines().boxed(),
    };
    // A second call, in tests, keeps the first.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}
