//! Which of the ready agents that fit gets the contact: the one place where that order is made.

use serde::{Deserialize, Serialize};

use crate::base::Mono;

/// Higher skill than required is no advantage under any strategy: it would spend the experts on
/// what everybody can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Who has been ready longest. An offer whose caller hangs up costs the agent no place.
    #[default]
    LongestIdle,
    /// Who has answered fewest contacts, over all queues, since it last logged out; then who has
    /// been ready longest.
    FewestContacts,
}

/// The smallest is offered the contact. Ties go by the order in which agents were first configured.
pub(super) type Key = (u64, Mono, u32);

impl Strategy {
    pub(super) fn key(self, answered: u64, idle_since: Mono, agent: u32) -> Key {
        match self {
            Self::LongestIdle => (0, idle_since, agent),
            Self::FewestContacts => (answered, idle_since, agent),
        }
    }
}
