//! Writing: one task, one connection, group commit.
//!
//! What queued up while the last commit was on its way to the disk goes into one transaction,
//! and nobody is answered before that transaction is durable. There is no delay to collect more:
//! an idle store commits a lone step at once, a busy one shares each fsync among many.
//!
//! If a transaction fails, its jobs are tried one by one on a fresh connection, so that one that
//! cannot be written takes no neighbour with it.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::read::{Found, customer_row, is_open, millis};
use super::{ContactRecord, Fault, Merged, Receipt, Redemption, Resolution};
use crate::base::{BrandId, CustomerId, Mint, Wall};
use crate::journey::handoff::{Handoff, JoinCode, TokenHash, Whose};
use crate::journey::identity::{Standing, place, sought};
use crate::journey::step::Posted;
use crate::journey::{Confidence, Identifier, IdentifierKind, Profile, Status};

/// The most jobs and the most steps that share a commit: bounds how long the last of them waits.
const MAX_BATCH_JOBS: usize = 256;
const MAX_BATCH_STEPS: usize = 2000;
/// The most identifiers one customer is known by; merely stated ones beyond are not kept.
const MAX_IDENTIFIERS: usize = 64;

/// Expired hand-offs that go when one comes.
const SWEPT_AT_ONCE: i64 = 64;
/// Join codes tried for one hand-off. Of a hundred million, few are taken.
const CODES_TRIED: u32 = 8;

/// What tells one owner of posted steps from another.
type Owned<'a> = (&'a [Identifier], &'a BTreeSet<IdentifierKind>);

/// Something to write, and who waits for it.
pub(super) struct Job {
    pub work: Work,
    pub done: oneshot::Sender<Result<Outcome, Fault>>,
    /// Its share of the memory the queue may hold.
    pub _room: Option<OwnedSemaphorePermit>,
}

pub(super) enum Work {
    Post(Post),
    Resolve { brand: BrandId, customer: CustomerId, journey: String, outcome: String, now: Wall },
    PutContact { record: ContactRecord, body: String },
    PutHandoff { brand: BrandId, token: TokenHash, handoff: Handoff, now: Wall },
    UseHandoff { token: TokenHash, now: Wall },
    InterruptRunning { now: Wall },
    Close,
}

pub(super) struct Post {
    pub brand: BrandId,
    pub key: String,
    pub steps: Vec<Posted>,
    /// Each step's `data` as JSON, if it has any.
    pub data: Vec<Option<String>>,
    pub now: Wall,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Posted(Receipt),
    Conflict {
        index: usize,
        id: String,
    },
    Resolved(Resolution),
    Put,
    Handed(JoinCode),
    UnknownCustomer,
    /// Every join code that was tried is taken.
    Crowded,
    Redeemed(Redemption),
    Interrupted(u64),
    Closed,
}

pub(super) struct Writer {
    pub options: SqliteConnectOptions,
    /// Gone after a fault, until the next batch.
    pub connection: Option<SqliteConnection>,
    pub jobs: mpsc::Receiver<Job>,
    pub mint: Mint,
    pub commits: Arc<AtomicU64>,
    /// Held as long as the connection: nobody else opens the file meanwhile.
    pub lock: File,
}

impl Writer {
    pub async fn run(mut self) {
        let mut closers = vec![];
        while let Some(first) = self.jobs.recv().await {
            let mut steps = 0;
            let mut batch = vec![];
            let mut next = Some(first);
            while let Some(job) = next {
                steps += job.work.steps();
                if matches!(job.work, Work::Close) {
                    // What was accepted before and beside it is still written.
                    self.jobs.close();
                    closers.push(job.done);
                } else {
                    batch.push(job);
                }
                let room = batch.len() < MAX_BATCH_JOBS && steps < MAX_BATCH_STEPS;
                next = if room { self.jobs.try_recv().ok() } else { None };
            }
            self.write(batch).await;
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the store did not close cleanly; the next start recovers it");
        }
        drop(self.lock);
        for done in closers {
            let _ = done.send(Ok(Outcome::Closed));
        }
    }

    /// Writes all and answers all.
    async fn write(&mut self, batch: Vec<Job>) {
        match self.commit(&batch).await {
            Ok(outcomes) => {
                for (job, outcome) in batch.into_iter().zip(outcomes) {
                    job.answer(Ok(outcome));
                }
            }
            Err(_) if batch.len() > 1 => {
                for job in batch {
                    let outcome = self.commit(std::slice::from_ref(&job)).await;
                    job.answer(outcome.map(|mut outcomes| outcomes.remove(0)));
                }
            }
            Err(fault) => batch.into_iter().for_each(|job| job.answer(Err(fault.clone()))),
        }
    }

    /// One transaction: an outcome for each job once it is on the disk, or nothing was written.
    async fn commit(&mut self, batch: &[Job]) -> Result<Vec<Outcome>, Fault> {
        if batch.is_empty() {
            return Ok(vec![]);
        }
        // Taken out: after a fault it is dropped, and with it the transaction.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(told)?,
        };
        let outcomes = self.transact(&mut connection, batch).await.map_err(told)?;
        self.connection = Some(connection);
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(outcomes)
    }

    async fn transact(
        &mut self,
        connection: &mut SqliteConnection,
        batch: &[Job],
    ) -> sqlx::Result<Vec<Outcome>> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut moved = BTreeSet::new();
        for job in batch {
            outcomes.push(job.work.run(&mut transaction, &mut self.mint, &mut moved).await?);
        }
        for journey in moved {
            let open = is_open(&mut transaction, journey).await?;
            sqlx::query("UPDATE journeys SET open = ?2 WHERE row = ?1 AND open <> ?2")
                .bind(journey)
                .bind(i64::from(open))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(outcomes)
    }
}

fn told(error: sqlx::Error) -> Fault {
    let fault = Fault::from(error);
    tracing::error!(%fault, "cannot write to the store");
    fault
}

impl Job {
    fn answer(self, outcome: Result<Outcome, Fault>) {
        // Who asked may have gone; what was written stays written.
        let _ = self.done.send(outcome);
    }
}

impl Work {
    fn steps(&self) -> usize {
        match self {
            Self::Post(post) => post.steps.len(),
            _ => 1,
        }
    }

    /// Writes into the open transaction. Journeys that may have opened or closed by it are added to
    /// `moved`.
    async fn run(
        &self,
        to: &mut SqliteConnection,
        mint: &mut Mint,
        moved: &mut BTreeSet<i64>,
    ) -> sqlx::Result<Outcome> {
        match self {
            Self::Post(post) => post.run(to, mint, moved).await,
            Self::Resolve { brand, customer, journey, outcome, now } => {
                resolve(to, brand, *customer, journey, outcome, *now).await.map(Outcome::Resolved)
            }
            Self::PutContact { record, body } => put_contact(to, record, body).await,
            Self::PutHandoff { brand, token, handoff, now } => {
                put_handoff(to, mint, moved, brand, *token, handoff, *now).await
            }
            Self::UseHandoff { token, now } => use_handoff(to, *token, *now).await,
            Self::InterruptRunning { now } => interrupt_running(to, *now).await,
            Self::Close => Ok(Outcome::Closed),
        }
    }
}

impl Post {
    async fn run(
        &self,
        to: &mut SqliteConnection,
        mint: &mut Mint,
        moved: &mut BTreeSet<i64>,
    ) -> sqlx::Result<Outcome> {
        // Every conflict is found before anything is written: a refused post leaves no trace in a
        // transaction it shares with others.
        let fresh = match self.fresh(to).await? {
            Ok(fresh) => fresh,
            Err(conflict) => return Ok(conflict),
        };
        let mut receipt = Receipt {
            accepted: fresh.len(),
            duplicates: self.steps.len() - fresh.len(),
            ..Receipt::default()
        };
        let mut owners: HashMap<Owned<'_>, (i64, CustomerId)> = HashMap::new();
        for index in fresh {
            let posted = &self.steps[index];
            let whose = (posted.profile.identifiers.as_slice(), &posted.verified);
            let (owner, id) = match owners.get(&whose) {
                Some(owner) => *owner,
                None => {
                    let merged = receipt.merged.len();
                    let owner = self.person(posted).owner(to, mint, &mut receipt.merged, moved).await?;
                    if receipt.merged.len() > merged {
                        owners.clear();
                    }
                    owners.insert(whose, owner);
                    owner
                }
            };
            self.person(posted).describe(to, owner).await?;
            self.add(to, owner, index, moved).await?;
            if !receipt.touched.contains(&id) {
                receipt.touched.push(id);
            }
        }
        let gone: BTreeSet<_> = receipt.merged.iter().map(|merged| merged.gone).collect();
        receipt.touched.retain(|id| !gone.contains(id));
        Ok(Outcome::Posted(receipt))
    }

    /// The steps not posted before, or the first that contradicts an earlier one.
    async fn fresh(&self, to: &mut SqliteConnection) -> sqlx::Result<Result<Vec<usize>, Outcome>> {
        let ids: Vec<_> = self.steps.iter().map(|posted| posted.step.id.as_str()).collect();
        let ids = serde_json::Value::from(ids).to_string();
        let kept: Vec<(String, Vec<u8>)> =
            sqlx::query_as(KEPT).bind(&self.key).bind(ids).fetch_all(to).await?;
        let mut kept: HashMap<&str, &[u8]> =
            kept.iter().map(|(id, digest)| (id.as_str(), digest.as_slice())).collect();
        let mut fresh = Vec::with_capacity(self.steps.len());
        for (index, posted) in self.steps.iter().enumerate() {
            let id = posted.step.id.as_str();
            match kept.insert(id, &posted.digest.0) {
                None => fresh.push(index),
                Some(digest) if digest == posted.digest.0 => {}
                Some(_) => return Ok(Err(Outcome::Conflict { index, id: id.to_owned() })),
            }
        }
        Ok(Ok(fresh))
    }

    fn person<'a>(&'a self, posted: &'a Posted) -> Person<'a> {
        Person { brand: &self.brand, profile: &posted.profile, verified: &posted.verified, now: self.now }
    }

    /// Adds the step to its journey.
    async fn add(
        &self,
        to: &mut SqliteConnection,
        owner: i64,
        index: usize,
        moved: &mut BTreeSet<i64>,
    ) -> sqlx::Result<()> {
        let Posted { step, digest, .. } = &self.steps[index];
        let (journey, open): (i64, bool) = sqlx::query_as(JOURNEY)
            .bind(owner)
            .bind(&step.journey)
            .bind(&step.topic)
            .bind(millis(step.at))
            .fetch_one(&mut *to)
            .await?;
        // One more report that is not `done` cannot close what was open: most steps spare us the
        // look at all the others.
        if !open || step.status == Status::Done {
            moved.insert(journey);
        }
        sqlx::query(STEP)
            .bind(journey)
            .bind(&self.key)
            .bind(&step.id)
            .bind(digest.0.as_slice())
            .bind(&step.topic)
            .bind(&step.channel)
            .bind(&step.step)
            .bind(&step.label)
            .bind(step.ordinal)
            .bind(step.total)
            .bind(step.status.name())
            .bind(&step.reason)
            .bind(self.data.get(index).and_then(Option::as_deref))
            .bind(millis(step.at))
            .bind(millis(self.now))
            .execute(to)
            .await?;
        Ok(())
    }
}

/// Somebody as a channel described them.
struct Person<'a> {
    brand: &'a BrandId,
    profile: &'a Profile,
    /// The kinds of identifiers that the channel vouches for.
    verified: &'a BTreeSet<IdentifierKind>,
    now: Wall,
}

impl Person<'_> {
    /// The customer this is, found or made, with the identifiers it is known by.
    async fn owner(
        &self,
        to: &mut SqliteConnection,
        mint: &mut Mint,
        merged: &mut Vec<Merged>,
        moved: &mut BTreeSet<i64>,
    ) -> sqlx::Result<(i64, CustomerId)> {
        let identifiers = &self.profile.identifiers;
        let found = Found::read(to, self.brand, &sought(identifiers, self.verified)).await?;
        let placement = place(identifiers, self.verified, &found.candidates);

        let known = placement.customer.and_then(|customer| Some((found.row(customer)?, customer)));
        let (owner, id) = match known {
            Some(known) => known,
            None => {
                let id = mint.customer(self.now);
                (self.make(to, id).await?, id)
            }
        };
        for gone in placement.same {
            if let Some(row) = found.row(gone) {
                merge(to, row, owner, moved).await?;
                merged.push(Merged { gone, into: id });
            }
        }
        let known_by = found.known_by(id);
        // What nobody vouches for is not added to whoever was vouched for: else a stranger who
        // names an account beside his own number would be taken for its owner when he calls.
        let vouched_for = known_by.iter().any(|(_, standing)| *standing == Standing::Verified);
        if vouched_for && self.verified.is_empty() {
            return Ok((owner, id));
        }
        let alone = known_by.is_empty() && identifiers.len() == 1;
        for identifier in identifiers {
            let standing =
                if self.verified.contains(&identifier.kind) { Standing::Verified } else { Standing::Stated };
            let known = known_by.iter().any(|(held, held_as)| held == identifier && *held_as >= standing);
            let room = known_by.len() < MAX_IDENTIFIERS || standing == Standing::Verified;
            if !known && room {
                sqlx::query(KNOW_BY)
                    .bind(owner)
                    .bind(self.brand.as_str())
                    .bind(identifier.kind.name())
                    .bind(identifier.value.reveal())
                    .bind(i64::from(standing == Standing::Verified))
                    .bind(i64::from(alone))
                    .execute(&mut *to)
                    .await?;
            }
        }
        Ok((owner, id))
    }

    async fn make(&self, to: &mut SqliteConnection, id: CustomerId) -> sqlx::Result<i64> {
        sqlx::query_scalar("INSERT INTO customers (id, brand, created) VALUES (?1, ?2, ?3) RETURNING row")
            .bind(id.to_string())
            .bind(self.brand.as_str())
            .bind(millis(self.now))
            .fetch_one(to)
            .await
    }

    /// Name, tier and language: the latest, except that whoever was vouched for is described only
    /// by who vouches.
    async fn describe(&self, to: &mut SqliteConnection, owner: i64) -> sqlx::Result<()> {
        let Profile { name, tier, language, .. } = self.profile;
        if name.is_none() && tier.is_none() && language.is_none() {
            return Ok(());
        }
        sqlx::query(DESCRIBE)
            .bind(owner)
            .bind(name.as_ref().map(|name| name.reveal()))
            .bind(tier)
            .bind(language)
            .bind(i64::from(!self.verified.is_empty()))
            .execute(to)
            .await?;
        Ok(())
    }
}

// CROSS JOIN keeps the order: each id is looked up, rather than each step of the key tried.
pub(super) const KEPT: &str = "
    SELECT s.id, s.digest FROM json_each(?2) j CROSS JOIN steps s ON s.key = ?1 AND s.id = j.value";

const KNOW_BY: &str = "
    INSERT INTO identifiers (customer, brand, kind, value, verified, alone) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (customer, kind, value) DO UPDATE SET verified = max(verified, excluded.verified)";

const DESCRIBE: &str = "
    UPDATE customers
    SET name = coalesce(?2, name), tier = coalesce(?3, tier), language = coalesce(?4, language)
    WHERE row = ?1
      AND (?5 OR NOT EXISTS (SELECT 1 FROM identifiers WHERE customer = ?1 AND verified = 1))
      AND (name IS NOT coalesce(?2, name) OR tier IS NOT coalesce(?3, tier)
           OR language IS NOT coalesce(?4, language))";

const JOURNEY: &str = "
    INSERT INTO journeys (customer, name, topic, open, last_at) VALUES (?1, ?2, ?3, 1, ?4)
    ON CONFLICT (customer, name) DO UPDATE SET
        topic = CASE WHEN excluded.last_at >= last_at THEN excluded.topic ELSE topic END,
        last_at = max(last_at, excluded.last_at)
    RETURNING row, open";

const HAND_OFF: &str = "
    INSERT INTO handoffs (token, brand, code, customer, vouched, journey, queue, expires)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (brand, code) DO NOTHING";

// One statement of the one writer: whoever comes second finds it used.
pub(super) const USE: &str =
    "UPDATE handoffs SET used = ?2 WHERE token = ?1 AND used IS NULL AND expires > ?2";

pub(super) const SWEEP: &str = "
    DELETE FROM handoffs WHERE token IN (SELECT token FROM handoffs WHERE expires <= ?1 LIMIT ?2)";

const STEP: &str = "
    INSERT INTO steps (journey, key, id, digest, topic, channel, step, label, ordinal, total, status, reason,
                       data, at, received)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

/// Makes `gone` another name of `into`, and all that was its, its.
async fn merge(
    to: &mut SqliteConnection,
    gone: i64,
    into: i64,
    moved: &mut BTreeSet<i64>,
) -> sqlx::Result<()> {
    // A journey both have is one journey.
    let shared: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT g.row, i.row FROM journeys g JOIN journeys i ON i.customer = ?2 AND i.name = g.name
         WHERE g.customer = ?1",
    )
    .bind(gone)
    .bind(into)
    .fetch_all(&mut *to)
    .await?;
    for (from, journey) in shared {
        for sql in [
            "UPDATE steps SET journey = ?2 WHERE journey = ?1",
            "UPDATE journeys SET
                 topic = CASE WHEN g.last_at > journeys.last_at THEN g.topic ELSE journeys.topic END,
                 last_at = max(journeys.last_at, g.last_at),
                 resolved_at = max(journeys.resolved_at, g.resolved_at),
                 resolved_row = max(journeys.resolved_row, g.resolved_row)
             FROM journeys g WHERE journeys.row = ?2 AND g.row = ?1",
            "DELETE FROM journeys WHERE row = ?1 AND ?2 <> row",
        ] {
            sqlx::query(sql).bind(from).bind(journey).execute(&mut *to).await?;
        }
        moved.remove(&from);
        moved.insert(journey);
    }
    for sql in [
        "UPDATE journeys SET customer = ?2 WHERE customer = ?1",
        "INSERT INTO identifiers (customer, brand, kind, value, verified, alone)
         SELECT ?2, brand, kind, value, verified, 0 FROM identifiers WHERE customer = ?1
         ON CONFLICT (customer, kind, value) DO UPDATE SET verified = max(verified, excluded.verified)",
        "DELETE FROM identifiers WHERE customer = ?1 AND ?2 <> customer",
        "UPDATE contacts SET customer = ?2 WHERE customer = ?1",
        "UPDATE customers SET name = coalesce(customers.name, g.name), tier = coalesce(customers.tier, g.tier),
             language = coalesce(customers.language, g.language)
         FROM customers g WHERE customers.row = ?2 AND g.row = ?1",
        "UPDATE customers SET same_as = ?2 WHERE row = ?1",
        "UPDATE customers SET same_as = ?2 WHERE same_as = ?1",
    ] {
        sqlx::query(sql).bind(gone).bind(into).execute(&mut *to).await?;
    }
    Ok(())
}

async fn resolve(
    to: &mut SqliteConnection,
    brand: &BrandId,
    customer: CustomerId,
    journey: &str,
    outcome: &str,
    now: Wall,
) -> sqlx::Result<Resolution> {
    let Some(customer) = customer_row(to, brand, customer).await? else { return Ok(Resolution::Unknown) };
    let resolved = sqlx::query(
        "UPDATE journeys SET open = 0, outcome = ?3, resolved_at = ?4,
             resolved_row = (SELECT coalesce(max(row), 0) FROM steps)
         WHERE customer = ?1 AND name = ?2",
    )
    .bind(customer)
    .bind(journey)
    .bind(outcome)
    .bind(millis(now))
    .execute(to)
    .await?;
    Ok(if resolved.rows_affected() == 0 { Resolution::Unknown } else { Resolution::Resolved })
}

async fn put_contact(to: &mut SqliteConnection, record: &ContactRecord, body: &str) -> sqlx::Result<Outcome> {
    let customer = match record.customer {
        Some(customer) => customer_row(to, &record.brand, customer).await?,
        None => None,
    };
    sqlx::query(
        "INSERT INTO contacts (id, brand, customer, revision, state, started, ended, agent, disposition, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (id) DO UPDATE SET
             customer = excluded.customer, revision = excluded.revision, state = excluded.state,
             started = excluded.started, ended = excluded.ended, agent = excluded.agent,
             disposition = excluded.disposition, body = excluded.body
         WHERE excluded.revision > revision AND excluded.brand = brand",
    )
    .bind(record.id.to_string())
    .bind(record.brand.as_str())
    .bind(customer)
    .bind(record.revision)
    .bind(record.state.name())
    .bind(millis(record.started))
    .bind(record.ended.map(millis))
    .bind(record.agent.as_ref().map(|agent| agent.as_str()))
    .bind(&record.disposition)
    .bind(body)
    .execute(to)
    .await?;
    Ok(Outcome::Put)
}

async fn put_handoff(
    to: &mut SqliteConnection,
    mint: &mut Mint,
    moved: &mut BTreeSet<i64>,
    brand: &BrandId,
    token: TokenHash,
    handoff: &Handoff,
    now: Wall,
) -> sqlx::Result<Outcome> {
    // Each that comes sweeps away more than one that went: the table holds what is good, and little else.
    sqlx::query(SWEEP).bind(millis(now)).bind(SWEPT_AT_ONCE).execute(&mut *to).await?;
    let customer = match &handoff.whose {
        Whose::Known(customer) => match customer_row(to, brand, *customer).await? {
            Some(customer) => customer,
            None => return Ok(Outcome::UnknownCustomer),
        },
        Whose::Described { profile, verified } => {
            let person = Person { brand, profile, verified, now };
            let (customer, _) = person.owner(to, mint, &mut vec![], moved).await?;
            person.describe(to, customer).await?;
            customer
        }
    };
    for _ in 0..CODES_TRIED {
        let code = format!("{:08}", mint.u64() % 100_000_000);
        let kept = sqlx::query(HAND_OFF)
            .bind(token.0.as_slice())
            .bind(brand.as_str())
            .bind(&code)
            .bind(customer)
            .bind(i64::from(handoff.whose.confidence() == Confidence::Token))
            .bind(&handoff.journey)
            .bind(handoff.queue.as_ref().map(|queue| queue.as_str()))
            .bind(millis(now + handoff.life))
            .execute(&mut *to)
            .await?;
        if kept.rows_affected() > 0 {
            return Ok(Outcome::Handed(JoinCode(code)));
        }
    }
    Ok(Outcome::Crowded)
}

async fn use_handoff(to: &mut SqliteConnection, token: TokenHash, now: Wall) -> sqlx::Result<Outcome> {
    let used = sqlx::query(USE).bind(token.0.as_slice()).bind(millis(now)).execute(to).await?;
    let good = used.rows_affected() > 0;
    Ok(Outcome::Redeemed(if good { Redemption::Redeemed } else { Redemption::Void }))
}

/// When it really ended nobody saw: it ends with what was last written of its call, so that the
/// segments still add up; where nothing was, when we noticed.
async fn interrupt_running(to: &mut SqliteConnection, now: Wall) -> sqlx::Result<Outcome> {
    let interrupted = sqlx::query(
        "UPDATE contacts SET state = 'interrupted', revision = revision + 1,
             ended = max(started, min(?1, coalesce(started + json_extract(body, '$.calls[0].ms'), ?1)))
         WHERE state = 'running'",
    )
    .bind(millis(now))
    .execute(to)
    .await?;
    Ok(Outcome::Interrupted(interrupted.rows_affected()))
}
