//! One stream from within, whatever it is framed by.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Counts, Limits};
use crate::sip::{self, Hop};

/// What the task of one stream has in hand.
pub(super) struct Connection {
    pub hop: Hop,
    pub origin: Origin,
    pub waiting: mpsc::Receiver<Letter>,
    /// Where the message was meant to go of which the last byte has not been written.
    pub leaving: Option<Hop>,
    pub inputs: mpsc::Sender<sip::Input>,
    pub counts: Arc<Counts>,
    pub limits: Limits,
}

/// How long a peer that is out of step may take to hear so.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a stream is not read at the moment, or never will be again.
pub(super) enum Reading {
    Open,
    /// The inbox is full: this message waits for room.
    Held(Bytes),
    /// Nothing more can be understood; what there is to say is said, then it closes.
    Over,
}

/// A message on its way out, and where it was meant to go.
pub(super) type Letter = (Hop, Bytes);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Accepted,
    Opened,
}

impl Connection {
    /// Delivers one message. Over where nobody is there to take it.
    pub fn hand_on(&self, bytes: Bytes) -> Reading {
        self.counts.received.fetch_add(1, Ordering::Relaxed);
        match self.inputs.try_send(sip::Input::Received { hop: self.hop, bytes }) {
            Ok(()) => Reading::Open,
            Err(mpsc::error::TrySendError::Full(sip::Input::Received { bytes, .. })) => Reading::Held(bytes),
            Err(_) => Reading::Over,
        }
    }

    /// Tells of everything that never left, and that the stream is no more.
    pub async fn tell_ended(self, why: &(dyn fmt::Display + Sync)) {
        let (hop, inputs) = (self.hop, self.inputs.clone());
        self.tell_unsent(why).await;
        let _ = inputs.send(sip::Input::Unreachable { hop }).await;
    }

    /// Tells of everything that never left.
    pub async fn tell_unsent(mut self, error: &(dyn fmt::Display + Sync)) {
        tracing::debug!(remote = %self.hop.remote, %error, "stream ended");
        self.waiting.close();
        let mut told = None;
        let mut leaving = self.leaving.take();
        while let Some(hop) = match leaving.take() {
            Some(hop) => Some(hop),
            None => self.waiting.recv().await.map(|(hop, _)| hop),
        } {
            // Of the stream itself `tell_ended` tells.
            if hop != self.hop && told.replace(hop) != Some(hop) {
                let _ = self.inputs.send(sip::Input::Unreachable { hop }).await;
            }
        }
    }
}
