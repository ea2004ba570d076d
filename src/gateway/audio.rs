//! How calls sound: to the counters, the contact's record and the agent's desk.

use std::time::Duration;

use crate::base::{ContactId, Mono, Now};
use crate::call::audio::{Audio, Fault, LegKind, Talker};
use crate::call::record::Stage;
use crate::cti::Push;
use crate::media::{Quality, Way};

use super::Gateway;
use super::contact::Place;

/// A desk is told how its call sounds no more often than this, except when somebody falls silent.
const PACE: Duration = Duration::from_secs(5);

/// How often values fell below which bound, as Prometheus wants its histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Not cumulative; the last is for what lies above all bounds.
    pub counts: [u64; BOUNDS + 1],
    pub sum: u64,
}

const BOUNDS: usize = 7;

/// Upper bounds of [`Heard::mos`], in hundredths.
pub const MOS_BOUNDS: [u64; BOUNDS] = [200, 250, 300, 350, 380, 400, 420];
/// Upper bounds of [`Heard::loss`], in 10000ths of the packets.
pub const LOSS_BOUNDS: [u64; BOUNDS] = [0, 50, 100, 200, 500, 1000, 2000];

/// One direction of all legs of a kind of party: one value a report, about every five seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub mos: Spread,
    pub loss: Spread,
}

/// By [`Talker`], in its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioCounters {
    /// What came from the party.
    pub from: [Heard; 3],
    /// What the party told that it heard.
    pub to: [Heard; 3],
    /// How often the party was not heard while the other was.
    pub one_way: [u64; 3],
}

impl Spread {
    fn add(&mut self, bounds: &[u64; BOUNDS], value: u64) {
        self.counts[bounds.partition_point(|bound| *bound < value)] += 1;
        self.sum += value;
    }
}

impl Heard {
    fn add(&mut self, way: Option<Way>) {
        let Some(way) = way else { return };
        self.mos.add(&MOS_BOUNDS, way.mos.hundredths().into());
        let missing = (u64::from(way.loss) + u64::from(way.late)).min(256);
        self.loss.add(&LOSS_BOUNDS, missing * 10_000 / 256);
    }
}

impl AudioCounters {
    fn add(&mut self, party: Talker, quality: &Quality) {
        self.from[party as usize].add(quality.near);
        self.to[party as usize].add(quality.far);
    }
}

impl Gateway {
    pub(super) fn fared(&mut self, now: Now, id: ContactId, party: Talker, leg: LegKind, quality: Quality) {
        self.counters.audio.add(party, &quality);
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        contact.audio.measure(party, leg, &quality);
        if contact.audio.is_talking() && contact.fares_at.is_none_or(|at| at <= now.mono) {
            self.push_fares(now.mono, id);
        }
    }

    /// No packets came of this party for this long.
    pub(super) fn silent(&mut self, now: Now, id: ContactId, party: Talker, since: Duration) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.audio.silent(now.mono, party, since) {
            tracing::debug!(contact = %id, party = party.name(), ?since, "no packets");
            self.push_fares(now.mono, id);
            self.store(now, id);
        }
    }

    pub(super) fn silence_over(&mut self, now: Now, id: ContactId, party: Talker) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if let Some(fault) = contact.audio.heard(now.mono, party) {
            self.note_fault(id, &fault);
            self.push_fares(now.mono, id);
            self.store(now, id);
        }
    }

    /// Whether parties have to be heard follows from where the contact is.
    pub(super) fn follow_stage(&mut self, now: Mono, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id) else { return };
        if contact.timeline.stage() == Stage::Talk && !contact.call.is_over() {
            return contact.audio.talk(now);
        }
        let faults = contact.audio.pause(now);
        faults.iter().for_each(|fault| self.note_fault(id, fault));
        if !faults.is_empty() {
            self.push_fares(now, id);
        }
    }

    fn note_fault(&mut self, id: ContactId, fault: &Fault) {
        tracing::info!(contact = %id, one_way = fault.one_way, ms = fault.ms, "{}", fault.text);
        self.counters.audio.one_way[fault.party as usize] += u64::from(fault.one_way);
    }

    fn push_fares(&mut self, now: Mono, id: ContactId) {
        let Some(contact) = self.contacts.get_mut(&id).filter(|contact| !contact.call.is_over()) else {
            return;
        };
        if let Place::Talking { agent, .. } = &contact.place {
            let agent = agent.clone();
            contact.fares_at = Some(now + PACE);
            let push = fares(id, &contact.audio);
            // Only the newest counts: kept for who comes back, they would crowd out what does matter.
            if self.is_attended(&agent) {
                self.push(&agent, push);
            }
        }
    }
}

fn fares(contact: ContactId, audio: &Audio) -> Push {
    Push::Quality { contact, caller: audio.fare(Talker::Caller), agent: audio.fare(Talker::Agent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_below_its_bound_and_at_it() {
        let mut spread = Spread::default();
        for value in [0, 1, 50, 51, 9_999] {
            spread.add(&LOSS_BOUNDS, value);
        }
        assert_eq!(spread, Spread { counts: [1, 2, 1, 0, 0, 0, 0, 1], sum: 10_101 });
    }
}
