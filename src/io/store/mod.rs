//! What lasts: customers, their journeys' steps, and the record of every contact.
//!
//! [`Store`] is the face; [`Sqlite`] stands behind it. A write is answered only after it is on
//! the disk, so an answer survives `kill -9` and a power cut. It spares the layers above files,
//! SQL, locking and the question of who a step belongs to ([`journey::identity`]).
//!
//! Everything is found within one brand; nothing is found by scanning.
//!
//! [`journey::identity`]: crate::journey::identity

mod read;
mod sqlite;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::pin::Pin;

use serde_json::Value;

pub use sqlite::{OpenFault, Sqlite};

use crate::base::{AgentId, BrandId, ContactId, CustomerId, Wall};
use crate::journey::handoff::{Binding, Handoff, JoinCode, TokenHash};
use crate::journey::identity::Claim;
use crate::journey::step::Posted;
use crate::journey::{Breakpoint, Confidence, Dossier, Identifier, Topics, breakpoint};

/// The key under which the IVR's own steps are posted; no API key may be named so.
pub const IVR_KEY: &str = "ivr";
/// Open journeys in a dossier, the newest.
pub const MAX_OPEN: usize = 20;
/// Steps of one journey that are looked at, the newest.
pub const MAX_STEPS: usize = 200;
/// Earlier contacts in a dossier, the newest.
pub const MAX_PREVIOUS: usize = 10;
/// Contacts on one page.
pub const MAX_PAGE: usize = 500;

/// An answer under way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where everything durable goes.
pub trait Store: Send + Sync {
    /// Keeps every step or none. A step whose id the key has posted before is a duplicate if it is
    /// the same and a conflict if not.
    fn post_steps<'a>(
        &'a self,
        brand: &'a BrandId,
        key: &'a str,
        steps: Vec<Posted>,
        now: Wall,
    ) -> Answer<'a, Result<Receipt, PostFault>>;

    /// All we know of the caller who makes these claims; empty if they lead to nobody, or to two.
    fn look_up<'a>(&'a self, brand: &'a BrandId, claims: &'a [Claim]) -> Answer<'a, Result<Dossier, Fault>>;

    /// The dossier of a customer recognised before, `confidence` as it was then.
    fn revisit<'a>(
        &'a self,
        brand: &'a BrandId,
        customer: CustomerId,
        confidence: Confidence,
    ) -> Answer<'a, Result<Dossier, Fault>>;

    /// Closes a journey, whatever its steps say; steps that both happen and arrive later open it
    /// again. `outcome` is a word for the record.
    fn resolve_journey<'a>(
        &'a self,
        brand: &'a BrandId,
        customer: CustomerId,
        journey: &'a str,
        outcome: &'a str,
        now: Wall,
    ) -> Answer<'a, Result<Resolution, Fault>>;

    /// Keeps a hand-off under the hash of its token, and gives it a join code that no other of the
    /// brand has. Whoever it describes is from now on a customer.
    fn put_handoff<'a>(
        &'a self,
        brand: &'a BrandId,
        token: TokenHash,
        handoff: Handoff,
        now: Wall,
    ) -> Answer<'a, Result<JoinCode, HandoffFault>>;

    /// What the token leads to as long as it is good. It is not used by that.
    fn handoff(&self, token: TokenHash, now: Wall) -> Answer<'_, Result<Option<Binding>, Fault>>;

    /// Uses the token. Of all who ever try, also across a crash, one is told that it was good.
    fn use_handoff(&self, token: TokenHash, now: Wall) -> Answer<'_, Result<Redemption, Fault>>;

    /// Writes a contact down, anew or over its older revision. An older revision than the one kept
    /// changes nothing.
    fn put_contact(&self, contact: ContactRecord) -> Answer<'_, Result<(), Fault>>;

    fn contact<'a>(
        &'a self,
        brand: &'a BrandId,
        id: ContactId,
    ) -> Answer<'a, Result<Option<ContactRecord>, Fault>>;

    /// Contacts that began after `after`, oldest first; at most `limit` and [`MAX_PAGE`].
    fn contacts<'a>(
        &'a self,
        brand: &'a BrandId,
        after: Option<ContactId>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<ContactRecord>, Fault>>;

    /// At start: closes as interrupted what the last run left running, and says how many.
    fn interrupt_running(&self, now: Wall) -> Answer<'_, Result<u64, Fault>>;

    /// How many transactions were committed to disk.
    fn commits(&self) -> u64;

    /// Writes what was accepted and lets go of the file. Later calls answer [`Fault::Closed`].
    fn close(&self) -> Answer<'_, ()>;

    /// The open breakpoints of the one customer known by this identifier, the one to speak of
    /// first in front.
    fn breakpoints<'a>(
        &'a self,
        brand: &'a BrandId,
        identifier: Identifier,
        topics: &'a Topics,
        now: Wall,
    ) -> Answer<'a, Result<Vec<Breakpoint>, Fault>> {
        Box::pin(async move {
            let dossier = self.look_up(brand, &[Claim::number(identifier)]).await?;
            Ok(breakpoint::ranked(&dossier.open, topics, now))
        })
    }
}

/// What became of a post.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    pub accepted: usize,
    pub duplicates: usize,
    /// Whose journeys moved: a call of theirs that is up has something new to show.
    pub touched: Vec<CustomerId>,
    /// Customers found to be the same person.
    pub merged: Vec<Merged>,
}

/// `gone` is from now on another name of `into`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    pub gone: CustomerId,
    pub into: CustomerId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    Resolved,
    /// The customer has no journey of that name.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// It was good until now.
    Redeemed,
    /// Unknown, used or expired.
    Void,
}

/// One contact as kept: what it is found by, and its document.
#[derive(Clone, Debug, PartialEq)]
pub struct ContactRecord {
    pub id: ContactId,
    pub brand: BrandId,
    pub customer: Option<CustomerId>,
    /// Counts up with every change.
    pub revision: u32,
    /// What the columns say of state and end goes before what the document says: only they are
    /// closed by [`Store::interrupt_running`].
    pub state: ContactState,
    pub started: Wall,
    pub ended: Option<Wall>,
    /// Who talked to the caller last.
    pub agent: Option<AgentId>,
    pub disposition: Option<String>,
    pub body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContactState {
    Running,
    Finished,
    /// It was running when we died.
    Interrupted,
}

impl ContactState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Why steps were not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostFault {
    /// The poster's: the key has posted this id with other content.
    Conflict {
        /// Which of the posted steps.
        index: usize,
        id: String,
    },
    Store(Fault),
}

/// Why a hand-off was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandoffFault {
    /// The brand has no customer of that id.
    UnknownCustomer,
    Store(Fault),
}

/// Why the store did not do it. Nothing of it was acknowledged to anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More waits to be written than we hold: try again soon.
    Overloaded,
    /// Being shut down.
    Closed,
    /// The operator's: no room on the disk.
    DiskFull,
    /// The operator's: the disk or the file is broken.
    Broken(String),
}

impl Fault {
    /// The HTTP status that says so (RFC 6585 §4, RFC 9110 §15.6.4).
    pub const fn status(&self) -> u16 {
        match self {
            Self::Overloaded => 429,
            Self::Closed | Self::DiskFull | Self::Broken(_) => 503,
        }
    }
}

impl PostFault {
    pub const fn status(&self) -> u16 {
        match self {
            Self::Conflict { .. } => 409,
            Self::Store(fault) => fault.status(),
        }
    }
}

impl From<Fault> for PostFault {
    fn from(fault: Fault) -> Self {
        Self::Store(fault)
    }
}

impl From<Fault> for HandoffFault {
    fn from(fault: Fault) -> Self {
        Self::Store(fault)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_FULL; the low byte is the primary code (sqlite.org/rescode.html).
        const FULL: i32 = 13;
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
        match error {
            sqlx::Error::PoolTimedOut => Self::Overloaded,
            sqlx::Error::PoolClosed => Self::Closed,
            _ if code.is_some_and(|code| code & 0xff == FULL) => Self::DiskFull,
            error => Self::Broken(error.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overloaded => f.write_str("too much waits to be written"),
            Self::Closed => f.write_str("the store is closed"),
            Self::DiskFull => f.write_str("the disk is full"),
            Self::Broken(what) => write!(f, "the store is broken: {what}"),
        }
    }
}

impl fmt::Display for PostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { index, id } => {
                write!(f, "step {index}: id {id:?} was posted before with other content")
            }
            Self::Store(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for HandoffFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCustomer => f.write_str("no such customer"),
            Self::Store(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}
impl std::error::Error for HandoffFault {}
impl std::error::Error for PostFault {}
