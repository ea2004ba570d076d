//! The embedded store: one file beside the daemon, in WAL mode, with `synchronous=FULL`.
//!
//! Writes go to the one writer ([`super::write`]), reads to a few connections of their own, which
//! neither wait for it nor hold it up.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqlSafeStr};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::read::{self, Found, binding_in, contact_in, customer_row, dossier};
use super::write::{Job, Outcome, Post, Work, Writer};
use super::{
    Answer, ContactRecord, Fault, HandoffFault, MAX_PAGE, PostFault, Receipt, Redemption, Resolution, Store,
};
use crate::base::{BrandId, ContactId, CustomerId, Mint, Wall};
use crate::journey::handoff::{Binding, Handoff, JoinCode, TokenHash};
use crate::journey::identity::{Claim, recognise};
use crate::journey::step::Posted;
use crate::journey::{Confidence, Dossier};

/// The most writes that wait.
const MAX_QUEUED: usize = 4096;
/// The most kibibytes that wait.
const MAX_QUEUED_KIB: usize = 64 * 1024;
const READERS: u32 = 4;

/// The embedded store. Its writer runs as a task until it is dropped or closed.
pub struct Sqlite {
    queue: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    pub(super) readers: SqlitePool,
    commits: Arc<AtomicU64>,
}

/// Why the store did not open: the operator's to mend.
#[derive(Debug)]
pub enum OpenFault {
    /// Another daemon has it open.
    InUse,
    /// A newer Baton, or somebody's hand, has changed its tables.
    Foreign(String),
    Unreadable(String),
}

impl Sqlite {
    /// Opens the file, or makes it readable by its owner only, and brings its tables up to date. A
    /// lock file beside it keeps a second daemon out.
    pub async fn open(path: &Path, mint: Mint) -> Result<Self, OpenFault> {
        Self::open_with(path, mint, |options| options).await
    }

    pub(super) async fn open_with(
        path: &Path,
        mint: Mint,
        tune: impl FnOnce(SqliteConnectOptions) -> SqliteConnectOptions,
    ) -> Result<Self, OpenFault> {
        let lock = lock(path)?;
        // SQLite gives its -wal and -shm files the mode of the database.
        private().open(path).map_err(OpenFault::unreadable)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", "67108864");
        let writing = tune(writing);
        let mut connection = writing.connect().await.map_err(OpenFault::unreadable)?;
        migrations().run(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(5))
            // There is no network between us and the file.
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await
            .map_err(OpenFault::unreadable)?;

        let (queue, jobs) = mpsc::channel(MAX_QUEUED);
        let commits = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            options: writing,
            connection: Some(connection),
            jobs,
            mint,
            commits: commits.clone(),
            lock,
        };
        tokio::spawn(writer.run());
        Ok(Self { queue, room: Arc::new(Semaphore::new(MAX_QUEUED_KIB)), readers, commits })
    }

    /// Queues the work and waits until it is on the disk.
    async fn write(&self, work: Work, bytes: usize) -> Result<Outcome, Fault> {
        let room = self.room(bytes)?;
        let (done, outcome) = oneshot::channel();
        self.queue.try_send(Job { work, done, _room: Some(room) }).map_err(|refused| match refused {
            TrySendError::Full(_) => Fault::Overloaded,
            TrySendError::Closed(_) => Fault::Closed,
        })?;
        outcome.await.unwrap_or(Err(Fault::Closed))
    }

    fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        self.room.clone().try_acquire_many_owned(kib).map_err(|_| Fault::Overloaded)
    }
}

impl Store for Sqlite {
    fn post_steps<'a>(
        &'a self,
        brand: &'a BrandId,
        key: &'a str,
        steps: Vec<Posted>,
        now: Wall,
    ) -> Answer<'a, Result<Receipt, PostFault>> {
        Box::pin(async move {
            // Written out here, in the poster's task, not in the one all wait for.
            let data: Vec<_> = steps.iter().map(data).collect();
            let bytes = data.iter().flatten().map(String::len).sum::<usize>() + 1024 * steps.len();
            let post = Post { brand: brand.clone(), key: key.to_owned(), steps, data, now };
            match self.write(Work::Post(post), bytes).await? {
                Outcome::Posted(receipt) => Ok(receipt),
                Outcome::Conflict { index, id } => Err(PostFault::Conflict { index, id }),
                other => Err(mismatch(&other).into()),
            }
        })
    }

    fn look_up<'a>(&'a self, brand: &'a BrandId, claims: &'a [Claim]) -> Answer<'a, Result<Dossier, Fault>> {
        Box::pin(async move {
            // One transaction is one moment: a merge cannot pass between two of its queries.
            let mut at = self.readers.begin().await?;
            let identifiers: Vec<_> = claims.iter().map(|claim| &claim.identifier).collect();
            let found = Found::read(&mut at, brand, &identifiers).await?;
            let recognised = recognise(claims, &found.candidates);
            let row = recognised.customer.and_then(|customer| found.row(customer));
            Ok(match row {
                Some(row) => dossier(&mut at, brand, row, recognised.confidence).await?,
                None => Dossier::default(),
            })
        })
    }

    fn revisit<'a>(
        &'a self,
        brand: &'a BrandId,
        customer: CustomerId,
        confidence: Confidence,
    ) -> Answer<'a, Result<Dossier, Fault>> {
        Box::pin(async move {
            let mut at = self.readers.begin().await?;
            Ok(match customer_row(&mut at, brand, customer).await? {
                Some(row) => dossier(&mut at, brand, row, confidence).await?,
                None => Dossier::default(),
            })
        })
    }

    fn resolve_journey<'a>(
        &'a self,
        brand: &'a BrandId,
        customer: CustomerId,
        journey: &'a str,
        outcome: &'a str,
        now: Wall,
    ) -> Answer<'a, Result<Resolution, Fault>> {
        Box::pin(async move {
            let (journey, outcome) = (journey.to_owned(), outcome.to_owned());
            let bytes = journey.len() + outcome.len();
            let work = Work::Resolve { brand: brand.clone(), customer, journey, outcome, now };
            match self.write(work, bytes).await? {
                Outcome::Resolved(resolution) => Ok(resolution),
                other => Err(mismatch(&other)),
            }
        })
    }

    fn put_handoff<'a>(
        &'a self,
        brand: &'a BrandId,
        token: TokenHash,
        handoff: Handoff,
        now: Wall,
    ) -> Answer<'a, Result<JoinCode, HandoffFault>> {
        Box::pin(async move {
            let work = Work::PutHandoff { brand: brand.clone(), token, handoff, now };
            match self.write(work, 2048).await? {
                Outcome::Handed(code) => Ok(code),
                Outcome::UnknownCustomer => Err(HandoffFault::UnknownCustomer),
                Outcome::Crowded => Err(Fault::Overloaded.into()),
                other => Err(mismatch(&other).into()),
            }
        })
    }

    fn handoff(&self, token: TokenHash, now: Wall) -> Answer<'_, Result<Option<Binding>, Fault>> {
        Box::pin(async move {
            let row = sqlx::query(read::HANDOFF)
                .bind(token.0.as_slice())
                .bind(read::millis(now))
                .fetch_optional(&self.readers)
                .await?;
            Ok(row.as_ref().map(binding_in).transpose()?)
        })
    }

    fn use_handoff(&self, token: TokenHash, now: Wall) -> Answer<'_, Result<Redemption, Fault>> {
        Box::pin(async move {
            match self.write(Work::UseHandoff { token, now }, 0).await? {
                Outcome::Redeemed(redemption) => Ok(redemption),
                other => Err(mismatch(&other)),
            }
        })
    }

    fn put_contact(&self, record: ContactRecord) -> Answer<'_, Result<(), Fault>> {
        Box::pin(async move {
            let body = record.body.to_string();
            let bytes = 2 * body.len();
            match self.write(Work::PutContact { record, body }, bytes).await? {
                Outcome::Put => Ok(()),
                other => Err(mismatch(&other)),
            }
        })
    }

    fn contact<'a>(
        &'a self,
        brand: &'a BrandId,
        id: ContactId,
    ) -> Answer<'a, Result<Option<ContactRecord>, Fault>> {
        Box::pin(async move {
            let row = sqlx::query(read::CONTACT)
                .bind(brand.as_str())
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await?;
            Ok(row.as_ref().map(contact_in).transpose()?)
        })
    }

    fn contacts<'a>(
        &'a self,
        brand: &'a BrandId,
        after: Option<ContactId>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<ContactRecord>, Fault>> {
        Box::pin(async move {
            let rows = sqlx::query(read::CONTACTS)
                .bind(brand.as_str())
                .bind(after.map(|id| id.to_string()).unwrap_or_default())
                .bind(limit.min(MAX_PAGE) as i64)
                .fetch_all(&self.readers)
                .await?;
            Ok(rows.iter().map(contact_in).collect::<sqlx::Result<_>>()?)
        })
    }

    fn interrupt_running(&self, now: Wall) -> Answer<'_, Result<u64, Fault>> {
        Box::pin(async move {
            match self.write(Work::InterruptRunning { now }, 0).await? {
                Outcome::Interrupted(count) => Ok(count),
                other => Err(mismatch(&other)),
            }
        })
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            // Readers first: the last to leave folds the WAL into the file, and they may not write.
            self.readers.close().await;
            let (done, closed) = oneshot::channel();
            if self.queue.send(Job { work: Work::Close, done, _room: None }).await.is_ok() {
                let _ = closed.await;
            }
        })
    }
}

fn data(posted: &Posted) -> Option<String> {
    let data = &posted.step.data;
    // Maps with text for names always have a form in JSON.
    if data.is_empty() { None } else { serde_json::to_string(data).ok() }
}

fn mismatch(outcome: &Outcome) -> Fault {
    Fault::Broken(format!("the writer answered another question: {outcome:?}"))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

fn lock(path: &Path) -> Result<File, OpenFault> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = private().open(beside).map_err(OpenFault::unreadable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenFault::InUse),
        Err(TryLockError::Error(error)) => Err(OpenFault::unreadable(error)),
    }
}

fn migrations() -> Migrator {
    let all = [
        ("journeys and contacts", include_str!("migrations/0001_journeys_and_contacts.sql")),
        ("hand-offs", include_str!("migrations/0002_handoffs.sql")),
    ];
    let migrations = (1..).zip(all).map(|(version, (what, sql))| {
        Migration::new(version, what.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

impl OpenFault {
    fn unreadable(error: impl fmt::Display) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<MigrateError> for OpenFault {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => {
                Self::Foreign(error.to_string())
            }
            error => Self::unreadable(error),
        }
    }
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another process has the store open"),
            Self::Foreign(what) => write!(f, "the store's tables are not ours: {what}"),
            Self::Unreadable(what) => write!(f, "the store cannot be opened: {what}"),
        }
    }
}

impl std::error::Error for OpenFault {}
