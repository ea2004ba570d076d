//! Who is recorded, when it is masked, and what became of it on the disk.
//!
//! A call has one recording: from its establishment where its number says so, else from an agent's
//! answer where the queue does. A contact stays until the disk has told, so that its record is true.

use std::time::Duration;

use crate::base::{ContactId, Mono, Now};
use crate::call::recording::{Recording, State, Wish};
use crate::media::RecordingId;

use super::contact::Contact;
use super::{Gateway, Output};

/// How long a contact waits for the disk after its call: some seconds for each of the recordings that
/// may wait before its own. What comes later is only logged.
const DISK_PATIENCE: Duration = Duration::from_secs(15 * 60);

impl Gateway {
    /// From now on the call is recorded, if it was not yet.
    pub(super) fn record(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.recording.is_some() || contact.call.is_over() {
            return;
        }
        let (recording, invited) = (RecordingId(self.mint.u64()), contact.timeline.began().mono);
        let format = self.config.media.recording_format;
        contact.recording = Some(Recording::begin(recording, id, format, invited, now));
        self.recordings.insert(recording, id);
        // Before its sound: it is the file's name.
        self.outputs.push_back(Output::Label { shard: contact.shard, recording, contact: id });
        contact.call.record(recording);
    }

    pub(super) fn on_unmasked(&mut self, recording: RecordingId, from: Duration, to: Duration) {
        let contact = self.recordings.get(&recording).and_then(|id| self.contacts.get_mut(id));
        if let Some(recording) = contact.and_then(|contact| contact.recording.as_mut()) {
            recording.unmasked(from, to);
        }
    }

    pub(super) fn on_recorded(
        &mut self,
        now: Now,
        recording: RecordingId,
        state: State,
        file: Option<String>,
        length: Duration,
    ) {
        let Some(id) = self.recordings.remove(&recording) else {
            return tracing::warn!(recording = recording.0, ?state, ?length, "a recording nobody waits for");
        };
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if let Some(recording) = &mut contact.recording {
            let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            recording.settle(now.mono, state, file, length_ms);
        }
        contact.call.finish_recording();
        self.stirred.insert(id);
        self.store(now, id);
        self.forget_if_done(id);
    }

    /// The disk has told nothing for too long: the contact does not wait for it any more.
    pub(super) fn give_up_on_disk(&mut self, now: Now, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.disk_until.take_if(|until| *until <= now.mono).is_none() {
            return;
        }
        if let Some(recording) = &contact.recording {
            tracing::warn!(contact = %id, "the disk told nothing of a recording");
            self.recordings.remove(&recording.id);
        }
        self.forget_if_done(id);
    }
}

impl Contact {
    pub(super) fn mask(&mut self, now: Mono, wish: Wish) {
        if let Some(masking) = self.recording.as_mut().and_then(|recording| recording.mask(now, wish)) {
            self.call.mask(masking);
        }
    }

    pub(super) fn unmask(&mut self, wish: Wish) {
        if let Some(masking) = self.recording.as_mut().and_then(|recording| recording.unmask(wish)) {
            self.call.mask(masking);
        }
    }

    /// With the call.
    pub(super) fn end_recording(&mut self, now: Mono) {
        if let Some(recording) = &mut self.recording {
            recording.end(now);
            self.disk_until = (recording.state() == State::Finishing).then(|| now + DISK_PATIENCE);
        }
    }

    /// Whether its record may still change by what the disk tells.
    pub(super) fn awaits_disk(&self) -> bool {
        self.disk_until.is_some()
            && self.recording.as_ref().is_some_and(|recording| recording.state() == State::Finishing)
    }
}
