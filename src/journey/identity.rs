//! Who somebody is: which customer a caller is taken for, and whose a posted step is.
//!
//! Two questions, one caution. An identifier is *verified* for a customer when a channel that
//! checked it said so, else merely *stated*. A stated identifier never joins two customers; it
//! may find one. Where it would find two, it finds none: nobody is shown another's affairs
//! because they share, or claim, a number.
//!
//! **Invariant:** pure. The store fetches the [`Candidate`]s, [`recognise`] and [`place`] decide.

use std::collections::BTreeSet;

use super::{Confidence, Identifier, IdentifierKind};
use crate::base::CustomerId;

/// What somebody says, or shows, to be known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub identifier: Identifier,
    /// How sure we are that the identifier is theirs.
    pub confidence: Confidence,
}

/// How a customer came by an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Somebody said so.
    Stated,
    /// A channel vouched for it.
    Verified,
}

/// A customer who holds at least one of the identifiers asked for, with all it is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub customer: CustomerId,
    pub known_by: Vec<(Identifier, Standing)>,
}

/// Who the caller is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recognition {
    pub customer: Option<CustomerId>,
    /// [`Confidence::None`] without a customer.
    pub confidence: Confidence,
}

/// Whose a step is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// `None`: a customer not yet known.
    pub customer: Option<CustomerId>,
    /// Customers now known to be the same person as `customer`: to be merged into it.
    pub same: Vec<CustomerId>,
}

/// Which customer is calling.
///
/// The surest claim decides. Of those who hold its identifier, one who had it verified goes
/// before those who merely stated it; if two are left, less sure claims may tell them apart, and if
/// they cannot, the caller is nobody. Whoever was never vouched for as the owner of the
/// identifier is recognised no surer than by [`Confidence::Number`].
pub fn recognise(claims: &[Claim], candidates: &[Candidate]) -> Recognition {
    let mut claims: Vec<_> = claims.iter().filter(|claim| claim.confidence > Confidence::None).collect();
    claims.sort_by(|a, b| {
        b.confidence
            .cmp(&a.confidence)
            .then_with(|| a.identifier.kind.weight().cmp(&b.identifier.kind.weight()))
    });
    let mut among: Option<BTreeSet<CustomerId>> = None;
    for claim in claims {
        let (mut holders, standing) = foremost(&claim.identifier, candidates);
        if let Some(among) = &among {
            holders.retain(|holder| among.contains(holder));
        }
        match holders.as_slice() {
            [] => {}
            [customer] => {
                let confidence = match standing {
                    Standing::Verified => claim.confidence,
                    Standing::Stated => claim.confidence.min(Confidence::Number),
                };
                return Recognition { customer: Some(*customer), confidence };
            }
            _ => among = Some(holders.into_iter().collect()),
        }
    }
    Recognition::default()
}

/// Whose a posted step is.
///
/// * Vouched-for identifiers join all who hold one of them verified, except across two different
///   verified accounts: people who share a number stay apart. Those known by nothing else than
///   what is vouched for, stated earlier by a channel that had not checked it, join as well.
/// * If nothing is vouched for, only the strongest identifier (account, WeChat, e-mail, phone)
///   counts and it finds whom a caller who states it would be taken for. Where that is nobody
///   because there are two, the step goes to one known by that identifier alone.
pub fn place(
    identifiers: &[Identifier],
    verified: &BTreeSet<IdentifierKind>,
    candidates: &[Candidate],
) -> Placement {
    let (vouched, stated): (Vec<_>, Vec<_>) =
        identifiers.iter().partition(|identifier| verified.contains(&identifier.kind));
    if vouched.is_empty() { place_stated(&stated, candidates) } else { place_vouched(&vouched, candidates) }
}

fn place_vouched(vouched: &[&Identifier], candidates: &[Candidate]) -> Placement {
    let account = vouched.iter().find(|identifier| identifier.kind == IdentifierKind::Account);
    let holds = |candidate: &&Candidate| {
        candidate
            .known_by
            .iter()
            .any(|(held, standing)| *standing == Standing::Verified && vouched.contains(&held))
    };
    let claims_no_more = |candidate: &&Candidate| {
        candidate
            .known_by
            .iter()
            .all(|(held, standing)| *standing == Standing::Stated && vouched.contains(&held))
    };
    let holders: Vec<_> = candidates.iter().filter(|c| holds(c) || claims_no_more(c)).collect();
    let accounts: BTreeSet<_> = holders.iter().flat_map(|candidate| candidate.accounts()).collect();
    let owner = match (account, accounts.len()) {
        (Some(account), _) => Some(*account),
        (None, 1) => accounts.first().copied(),
        // Nobody's account, or a number that two accounts share: only those without one.
        (None, _) => None,
    };
    let mut same: Vec<_> = holders
        .iter()
        .filter(|candidate| {
            let mut accounts = candidate.accounts().peekable();
            accounts.peek().is_none() || owner.is_some_and(|owner| accounts.any(|held| held == owner))
        })
        .collect();
    // The account's holder stays; else the one known longest: ids sort by age.
    same.sort_by_key(|candidate| (candidate.accounts().next().is_none(), candidate.customer));
    let mut same = same.into_iter().map(|candidate| candidate.customer);
    Placement { customer: same.next(), same: same.collect() }
}

fn place_stated(stated: &[&Identifier], candidates: &[Candidate]) -> Placement {
    let Some(strongest) = stated.iter().min_by_key(|identifier| identifier.kind.weight()) else {
        return Placement::default();
    };
    let (holders, _) = foremost(strongest, candidates);
    let customer = match holders.as_slice() {
        [customer] => Some(*customer),
        _ => candidates
            .iter()
            .filter(|candidate| {
                candidate
                    .known_by
                    .iter()
                    .all(|(held, standing)| *standing == Standing::Stated && held == *strongest)
                    && !candidate.known_by.is_empty()
            })
            .map(|candidate| candidate.customer)
            .min(),
    };
    Placement { customer, same: vec![] }
}

/// Those who hold the identifier verified; if there are none, those who stated it.
fn foremost(identifier: &Identifier, candidates: &[Candidate]) -> (Vec<CustomerId>, Standing) {
    let holders = |wanted: Standing| -> Vec<CustomerId> {
        candidates
            .iter()
            .filter(|candidate| {
                candidate.known_by.iter().any(|(held, standing)| *standing == wanted && held == identifier)
            })
            .map(|candidate| candidate.customer)
            .collect()
    };
    let verified = holders(Standing::Verified);
    if verified.is_empty() {
        (holders(Standing::Stated), Standing::Stated)
    } else {
        (verified, Standing::Verified)
    }
}

impl Claim {
    /// A caller's number, as its trunk gave it.
    pub fn number(identifier: Identifier) -> Self {
        Self { identifier, confidence: Confidence::Number }
    }
}

impl Candidate {
    fn accounts(&self) -> impl Iterator<Item = &Identifier> {
        self.known_by
            .iter()
            .filter(|(held, standing)| {
                *standing == Standing::Verified && held.kind == IdentifierKind::Account
            })
            .map(|(held, _)| held)
    }
}

impl IdentifierKind {
    /// 0 says most about who somebody is.
    fn weight(self) -> usize {
        match self {
            Self::Account => 0,
            Self::Wechat => 1,
            Self::Email => 2,
            Self::Phone => 3,
        }
    }
}
