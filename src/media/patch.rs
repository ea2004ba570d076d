//! Who hears whom: one table, listener → sources, read from both sides.
//!
//! It knows names only. A row may name what is not there yet, or a listener not yet open; it is
//! heard when it comes.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;
use crate::base::LegId;

#[derive(Debug, Default)]
pub(super) struct Patch {
    sources: BTreeMap<LegId, Vec<Source>>,
    listeners: BTreeSet<(Source, LegId)>,
}

impl Patch {
    /// From now on `listener` hears exactly these.
    pub fn set(&mut self, listener: LegId, sources: Vec<Source>) {
        self.forget_listener(listener);
        if sources.is_empty() {
            return;
        }
        self.listeners.extend(sources.iter().map(|source| (*source, listener)));
        self.sources.insert(listener, sources);
    }

    pub fn sources(&self, listener: LegId) -> &[Source] {
        self.sources.get(&listener).map_or(&[], Vec::as_slice)
    }

    pub fn listeners(&self, source: Source) -> Vec<LegId> {
        let all = (source, LegId(0))..=(source, LegId(u64::MAX));
        self.listeners.range(all).map(|(_, listener)| *listener).collect()
    }

    pub fn forget_listener(&mut self, listener: LegId) {
        for source in self.sources.remove(&listener).unwrap_or_default() {
            self.listeners.remove(&(source, listener));
        }
    }

    /// The source is no more. Gives who heard it.
    pub fn forget_source(&mut self, source: Source) -> Vec<LegId> {
        let listeners = self.listeners(source);
        for listener in &listeners {
            self.listeners.remove(&(source, *listener));
            if let Some(sources) = self.sources.get_mut(listener) {
                sources.retain(|s| *s != source);
                if sources.is_empty() {
                    self.sources.remove(listener);
                }
            }
        }
        listeners
    }

    /// Listeners with a row.
    pub fn len(&self) -> usize {
        self.sources.len()
    }
}
