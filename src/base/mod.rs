//! The words every room shares: ids, time as a value, numbers, keys, and what may not be printed.
//!
//! **Invariant:** nothing here reads a clock, draws from the system's randomness or knows a
//! protocol. Time comes in as [`Now`], randomness comes from one seeded [`Mint`].

mod codec;
mod e164;
mod id;
mod key;
mod language;
mod mint;
mod mos;
mod peer;
mod pii;
mod security;
mod time;

pub use codec::{Codec, Rate, Spare, Spares};
pub use e164::{E164, NotANumber, NumberPlan};
pub use id::{
    AgentId, BrandId, CallId, ContactId, CustomerId, FlowId, LegId, NotAnId, PlayId, QueueId, SkillId,
    TrunkId,
};
pub use key::{Key, Keys};
pub use language::Language;
pub use mint::Mint;
pub use mos::Mos;
pub use peer::PeerAddress;
pub use pii::{Mask, Pii};
pub use security::{DtlsRole, Fingerprint, IceCredentials, MasterKey, Suite};
pub use time::{Mono, NotATime, Now, Wall};
