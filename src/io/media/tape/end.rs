//! The end of a recording: safe on the disk, and only then by its name.
//!
//! To sync a file takes a slow disk seconds, and ten calls may end at once. Here that happens on a
//! thread of its own beside each writer, one recording after the other, so that the sound of those
//! that go on is written meanwhile. All that is told of recordings is told from here, in the order
//! in which they ended.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Alarms, NAP, Report, make_whole};
use crate::media::RecordingId;

/// Recordings that wait for the disk, and hold a file open each. The writer waits for a place if
/// there is none: by then the disk takes nothing of anybody.
pub(super) const WAITING: usize = 256;

/// A recording of which nothing more comes.
#[derive(Debug)]
pub(super) enum End {
    /// All was written.
    Whole { recording: RecordingId, length: Duration, spool: Spool },
    /// The disk refused, and was told of. What it took before that is kept, if it has a file.
    Cut { recording: RecordingId, error: io::ErrorKind, spool: Option<Spool> },
}

/// A file that is not yet called by its name.
#[derive(Debug)]
pub(super) struct Spool {
    pub file: File,
    /// Its name until it is whole, and then.
    pub part: PathBuf,
    pub path: PathBuf,
    /// Octets that the file surely has.
    pub written: u64,
}

/// What makes a file safe: [`settle`], but in tests.
pub(super) type Settle = Box<dyn FnMut(&File, &Path, &Path) -> io::Result<()> + Send>;

/// The thread that ends one writer's recordings.
pub(super) struct Finisher {
    ends: Receiver<End>,
    settle: Settle,
    untold: VecDeque<Report>,
    reports: mpsc::Sender<Report>,
    alarms: Arc<Alarms>,
}

impl Finisher {
    pub fn new(
        ends: Receiver<End>,
        settle: Settle,
        reports: mpsc::Sender<Report>,
        alarms: Arc<Alarms>,
    ) -> Self {
        Self { ends, settle, untold: VecDeque::new(), reports, alarms }
    }

    /// Until the writer is gone and all is safe that it wrote.
    pub fn run(mut self) {
        loop {
            let end = if self.untold.is_empty() {
                self.ends.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.ends.recv_timeout(NAP)
            };
            match end {
                Ok(end) => self.finish(end),
                Err(RecvTimeoutError::Timeout) => self.tell(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.tell();
    }

    fn finish(&mut self, end: End) {
        let report = match end {
            End::Whole { recording, length, spool } => {
                match (self.settle)(&spool.file, &spool.part, &spool.path) {
                    Ok(()) => {
                        self.alarms.saved();
                        Report::Saved { recording, path: spool.path, length }
                    }
                    Err(error) => {
                        self.alarms.refused(&error);
                        self.cut(recording, error.kind(), Some(spool))
                    }
                }
            }
            End::Cut { recording, error, spool } => self.cut(recording, error, spool),
        };
        self.untold.push_back(report);
        self.tell();
    }

    fn cut(&mut self, recording: RecordingId, error: io::ErrorKind, spool: Option<Spool>) -> Report {
        let length = spool.map_or(Duration::ZERO, |spool| spool.salvage(&mut self.settle));
        Report::Spoiled { recording, error, length }
    }

    /// As far as there is room for it.
    fn tell(&mut self) {
        while let Some(report) = self.untold.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(report)) = self.reports.try_send(report) {
                self.untold.push_front(report);
                break;
            }
        }
    }

    /// What has ended so far.
    #[cfg(test)]
    pub fn catch_up(&mut self) {
        while let Ok(end) = self.ends.try_recv() {
            self.finish(end);
        }
        self.tell();
    }
}

impl Spool {
    /// Keeps what the disk took before it refused. How long that is; none is no file.
    pub fn salvage(self, settle: &mut Settle) -> Duration {
        let Self { mut file, part, path, written } = self;
        let kept = file.set_len(written).and_then(|()| make_whole(&mut file, &path)).and_then(|length| {
            if length.is_zero() {
                std::fs::remove_file(&part)?;
            } else {
                settle(&file, &part, &path)?;
            }
            Ok(length)
        });
        kept.unwrap_or_else(|error| {
            tracing::warn!(file = %part.display(), %error, "left as it is until the next start");
            Duration::ZERO
        })
    }
}

/// On the disk, and only then by its own name.
pub(super) fn settle(file: &File, part: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    std::fs::rename(part, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
