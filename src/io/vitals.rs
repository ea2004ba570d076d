//! How the process is, beside what the gateway knows of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::io::media::{Alarms, Counts};
use crate::io::writer;

/// Facts about the process that the gateway does not know.
#[derive(Debug, Default)]
pub struct Vitals {
    pub reload_failed: AtomicBool,
    /// Turns of the loop.
    pub turns: AtomicU64,
    pub lost_writes: Arc<writer::Lost>,
    pub recordings: Arc<Alarms>,
    /// Of each media thread.
    pub media: Vec<Arc<Counts>>,
}
