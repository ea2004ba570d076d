//! Carries what the gateway wants to last to the store, in order, many at a time.
//!
//! The loop never waits for a disk. What cannot be written is an alarm in the log and a count,
//! not a dropped call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::base::Wall;
use crate::gateway::contact::{Record, RecordState};
use crate::gateway::{Input, Write};
use crate::io::line::Line;
use crate::io::store::{ContactRecord, ContactState, IVR_KEY, Store};
use crate::journey::step::Posted;

/// Writes taken up in one go: as many may share a commit.
const AT_ONCE: usize = 256;
/// From one batch to the next. Nobody waits for these writes, so under load they share commits
/// rather than have one each; after a pause the first is written at once.
const APART: Duration = Duration::from_millis(20);

/// Writes that were lost to a full or broken disk.
#[derive(Debug, Default)]
pub struct Lost(AtomicU64);

impl Lost {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ends when the sender is gone and everything is written.
pub async fn write(
    store: Arc<dyn Store>,
    mut from: mpsc::UnboundedReceiver<(Write, Wall)>,
    line: Line,
    lost: Arc<Lost>,
) {
    let mut batch = Vec::with_capacity(AT_ONCE);
    let mut pace = tokio::time::interval(APART);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while from.recv_many(&mut batch, AT_ONCE).await > 0 {
        // join_all polls in order the first time, so the store queues them in order.
        let outcomes = join_all(batch.drain(..).map(|(write, at)| put(&*store, write, at, &line))).await;
        for what in outcomes.into_iter().filter_map(Result::err) {
            lost.0.fetch_add(1, Ordering::Relaxed);
            tracing::error!(what, "not written");
        }
        pace.tick().await;
    }
}

async fn put(store: &dyn Store, write: Write, at: Wall, line: &Line) -> Result<(), String> {
    match write {
        Write::Contact(record) => {
            let record = contact(&record).map_err(|error| error.to_string())?;
            store.put_contact(record).await.map_err(|fault| fault.to_string())
        }
        Write::Steps { contact, brand, profile, steps } => {
            let posted = |step| Posted::new(profile.clone(), Default::default(), step);
            let steps = steps.into_iter().map(posted).collect();
            store.post_steps(&brand, IVR_KEY, steps, at).await.map_err(|fault| fault.to_string())?;
            // Without waiting: the loop, when it ends, waits for us.
            line.mention(Input::Stepped { contact });
            Ok(())
        }
        Write::Resolve { brand, customer, journey } => store
            .resolve_journey(&brand, customer, &journey, "resolved", at)
            .await
            .map(drop)
            .map_err(|fault| fault.to_string()),
    }
}

/// A contact's record as the store keeps it.
pub fn contact(record: &Record) -> Result<ContactRecord, serde_json::Error> {
    Ok(ContactRecord {
        id: record.id,
        brand: record.brand.clone(),
        customer: record.customer,
        revision: record.revision,
        state: match record.state {
            RecordState::Running => ContactState::Running,
            RecordState::Finished => ContactState::Finished,
            RecordState::Interrupted => ContactState::Interrupted,
        },
        started: record.started_at,
        ended: record.ended_at,
        agent: record.hops.iter().rev().find(|hop| hop.answered_at.is_some()).map(|hop| hop.agent.clone()),
        disposition: record.disposition.as_ref().map(|filed| filed.code.clone()),
        body: serde_json::to_value(record)?,
    })
}
