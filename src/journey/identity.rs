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
///   verified accounts: people who share a number stay apart. Whoever merely stated one of them
///   before, and nothing that is not posted now, joins as well.
/// * If nothing is vouched for, only the strongest identifier (account, WeChat, e-mail, phone)
///   counts and it finds whom a caller who states it would be taken for. Where that is nobody
///   because there are two, the step goes to one known by that identifier alone.
///
/// `candidates` are those who hold one of [`sought`].
pub fn place(
    identifiers: &[Identifier],
    verified: &BTreeSet<IdentifierKind>,
    candidates: &[Candidate],
) -> Placement {
    let sought = sought(identifiers, verified);
    match sought.as_slice() {
        [] => Placement::default(),
        [strongest] if !verified.contains(&strongest.kind) => place_stated(strongest, candidates),
        vouched => place_vouched(identifiers, vouched, candidates),
    }
}

/// The identifiers that decide whose a step is: all that are vouched for, else the strongest.
pub fn sought<'a>(identifiers: &'a [Identifier], verified: &BTreeSet<IdentifierKind>) -> Vec<&'a Identifier> {
    let vouched: Vec<_> =
        identifiers.iter().filter(|identifier| verified.contains(&identifier.kind)).collect();
    if vouched.is_empty() {
        identifiers.iter().min_by_key(|identifier| identifier.kind.weight()).into_iter().collect()
    } else {
        vouched
    }
}

fn place_vouched(posted: &[Identifier], vouched: &[&Identifier], candidates: &[Candidate]) -> Placement {
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
            .all(|(held, standing)| *standing == Standing::Stated && posted.contains(held))
            && candidate.known_by.iter().any(|(held, _)| vouched.contains(&held))
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

fn place_stated(strongest: &Identifier, candidates: &[Candidate]) -> Placement {
    let (holders, _) = foremost(strongest, candidates);
    let customer = match holders.as_slice() {
        [customer] => Some(*customer),
        _ => candidates
            .iter()
            .filter(|candidate| {
                candidate
                    .known_by
                    .iter()
                    .all(|(held, standing)| *standing == Standing::Stated && held == strongest)
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

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use IdentifierKind::{Account, Email, Phone, Wechat};
    use Standing::{Stated, Verified};

    fn known(kind: IdentifierKind, value: &str) -> Identifier {
        Identifier { kind, value: value.to_owned().into() }
    }

    fn customer(id: u128, known_by: &[(IdentifierKind, &str, Standing)]) -> Candidate {
        let known_by =
            known_by.iter().map(|(kind, value, standing)| (known(*kind, value), *standing)).collect();
        Candidate { customer: CustomerId(id), known_by }
    }

    fn whose(
        posted: &[(IdentifierKind, &str, Standing)],
        candidates: &[Candidate],
    ) -> (Option<u128>, Vec<u128>) {
        let identifiers: Vec<_> = posted.iter().map(|(kind, value, _)| known(*kind, value)).collect();
        let verified =
            posted.iter().filter(|(_, _, standing)| *standing == Verified).map(|(kind, ..)| *kind).collect();
        let placement = place(&identifiers, &verified, candidates);
        (placement.customer.map(|id| id.0), placement.same.iter().map(|id| id.0).collect())
    }

    fn caller(
        claims: &[(IdentifierKind, &str, Confidence)],
        candidates: &[Candidate],
    ) -> (Option<u128>, Confidence) {
        let claims: Vec<_> = claims
            .iter()
            .map(|(kind, value, confidence)| Claim {
                identifier: known(*kind, value),
                confidence: *confidence,
            })
            .collect();
        let recognition = recognise(&claims, candidates);
        (recognition.customer.map(|id| id.0), recognition.confidence)
    }

    const NOBODY: (Option<u128>, Confidence) = (None, Confidence::None);

    #[test]
    fn a_number_finds_its_one_holder() {
        let wei = customer(1, &[(Account, "wei", Verified), (Phone, "+861", Verified)]);
        let number = [(Phone, "+861", Confidence::Number)];
        assert_eq!(caller(&number, &[wei]), (Some(1), Confidence::Number));
        assert_eq!(caller(&number, &[]), NOBODY);
        assert_eq!(caller(&[], &[]), NOBODY);
    }

    #[test]
    fn whoever_merely_claims_a_number_does_not_hide_its_owner() {
        let wei = customer(1, &[(Account, "wei", Verified), (Phone, "+861", Verified)]);
        let liar = customer(2, &[(Account, "liar", Verified), (Phone, "+861", Stated)]);
        let number = [(Phone, "+861", Confidence::Attested)];
        assert_eq!(caller(&number, &[wei, liar]), (Some(1), Confidence::Attested));
    }

    #[test]
    fn a_number_two_customers_share_finds_neither() {
        let number = [(Phone, "+861", Confidence::Attested)];
        for standing in [Verified, Stated] {
            let two = [
                customer(1, &[(Account, "wei", Verified), (Phone, "+861", standing)]),
                customer(2, &[(Account, "li", Verified), (Phone, "+861", standing)]),
            ];
            assert_eq!(caller(&number, &two), NOBODY);
        }
    }

    #[test]
    fn a_pin_tells_apart_those_who_share_a_number() {
        let two = [
            customer(1, &[(Account, "wei", Verified), (Phone, "+861", Verified)]),
            customer(2, &[(Account, "li", Verified), (Phone, "+861", Verified)]),
        ];
        let pin = [(Phone, "+861", Confidence::Number), (Account, "li", Confidence::Verified)];
        assert_eq!(caller(&pin, &two), (Some(2), Confidence::Verified));
        // Said, not proven: it names one of the two, and is no surer than what was said.
        let said = [(Phone, "+861", Confidence::Attested), (Account, "li", Confidence::Number)];
        assert_eq!(caller(&said, &two), (Some(2), Confidence::Number));
        // It does not name a third.
        let third = [(Phone, "+861", Confidence::Attested), (Account, "zhao", Confidence::Number)];
        let zhao = customer(3, &[(Account, "zhao", Verified)]);
        assert_eq!(caller(&third, &[two[0].clone(), two[1].clone(), zhao]), NOBODY);
    }

    #[test]
    fn a_token_counts_whatever_phone_it_is_presented_from() {
        let wei = customer(1, &[(Account, "wei", Verified)]);
        let owner = customer(2, &[(Phone, "+861", Verified)]);
        let claims = [(Phone, "+861", Confidence::Attested), (Account, "wei", Confidence::Token)];
        assert_eq!(caller(&claims, &[wei, owner]), (Some(1), Confidence::Token));
    }

    #[test]
    fn nobody_is_recognised_surely_by_what_was_merely_stated() {
        let wei = customer(1, &[(Account, "wei", Verified), (Phone, "+861", Stated)]);
        for confidence in [Confidence::Number, Confidence::Attested, Confidence::Verified] {
            assert_eq!(caller(&[(Phone, "+861", confidence)], from_ref(&wei)), (Some(1), Confidence::Number));
        }
        assert_eq!(caller(&[(Phone, "+861", Confidence::None)], &[wei]), NOBODY);
    }

    #[test]
    fn a_stated_identifier_never_joins_two_customers() {
        let app = customer(1, &[(Account, "wei", Verified)]);
        let web = customer(2, &[(Phone, "+861", Verified)]);
        let both = [app, web];
        assert_eq!(whose(&[(Account, "wei", Verified), (Phone, "+861", Stated)], &both), (Some(1), vec![]));
        assert_eq!(whose(&[(Account, "wei", Stated), (Phone, "+861", Verified)], &both), (Some(2), vec![]));
        assert_eq!(whose(&[(Account, "wei", Stated), (Phone, "+861", Stated)], &both), (Some(1), vec![]));
    }

    #[test]
    fn a_new_account_that_states_a_known_number_is_a_new_customer() {
        let wei = customer(1, &[(Account, "wei", Stated), (Phone, "+861", Stated)]);
        assert_eq!(
            whose(&[(Account, "li", Stated), (Phone, "+861", Stated)], from_ref(&wei)),
            (None, vec![])
        );
        assert_eq!(whose(&[(Account, "li", Verified), (Phone, "+861", Stated)], &[wei]), (None, vec![]));
    }

    #[test]
    fn vouched_for_identifiers_join_those_who_hold_them() {
        let wechat = customer(1, &[(Wechat, "o1", Verified), (Phone, "+861", Verified)]);
        let app = customer(2, &[(Account, "wei", Verified)]);
        let posted = [(Account, "wei", Verified), (Phone, "+861", Verified)];
        // The account's holder stays, though the other is older.
        assert_eq!(whose(&posted, &[wechat.clone(), app]), (Some(2), vec![1]));
        // The account need not be posted: the number leads to it.
        let owner = customer(4, &[(Account, "wei", Verified), (Phone, "+861", Verified)]);
        let chat = customer(3, &[(Wechat, "o2", Verified)]);
        let posted = [(Wechat, "o2", Verified), (Phone, "+861", Verified)];
        assert_eq!(whose(&posted, &[chat, owner]), (Some(4), vec![3]));
        let mail = customer(3, &[(Email, "w@x", Verified)]);
        let posted = [(Email, "w@x", Verified), (Phone, "+861", Verified)];
        assert_eq!(whose(&posted, &[mail, wechat]), (Some(1), vec![3]));
    }

    #[test]
    fn two_accounts_on_one_number_stay_two_customers() {
        let wei = customer(1, &[(Account, "wei", Verified), (Phone, "+861", Verified)]);
        let li = customer(2, &[(Account, "li", Verified), (Phone, "+861", Verified)]);
        let posted = [(Account, "li", Verified), (Phone, "+861", Verified)];
        assert_eq!(whose(&posted, from_ref(&wei)), (None, vec![]));
        assert_eq!(whose(&posted, &[wei.clone(), li.clone()]), (Some(2), vec![]));
        // With the number alone nobody can say which of them.
        let number = [(Phone, "+861", Verified)];
        assert_eq!(whose(&number, &[wei.clone(), li.clone()]), (None, vec![]));
        let neither = customer(3, &[(Phone, "+861", Verified)]);
        assert_eq!(whose(&number, &[wei, li, neither]), (Some(3), vec![]));
    }

    #[test]
    fn what_was_stated_is_adopted_when_all_of_it_is_vouched_for() {
        let web = customer(1, &[(Phone, "+861", Stated)]);
        let posted = [(Account, "wei", Verified), (Phone, "+861", Verified)];
        assert_eq!(whose(&posted, from_ref(&web)), (Some(1), vec![]));
        let app = customer(2, &[(Account, "wei", Verified)]);
        assert_eq!(whose(&posted, &[web.clone(), app]), (Some(2), vec![1]));
        // All it says is said now, too.
        let same = customer(5, &[(Account, "wei", Stated), (Phone, "+861", Stated)]);
        assert_eq!(whose(&[(Account, "wei", Verified), (Phone, "+861", Stated)], &[same]), (Some(5), vec![]));
        // It also says to be somebody for whom nobody vouches: that may be another person.
        let more = customer(3, &[(Phone, "+861", Stated), (Email, "l@x", Stated)]);
        assert_eq!(whose(&posted, &[more]), (None, vec![]));
    }

    #[test]
    fn a_stated_number_goes_to_whom_its_caller_would_be_taken_for() {
        let wei = customer(1, &[(Account, "wei", Verified), (Phone, "+861", Verified)]);
        let liar = customer(2, &[(Account, "liar", Verified), (Phone, "+861", Stated)]);
        let number = [(Phone, "+861", Stated)];
        assert_eq!(whose(&number, from_ref(&liar)), (Some(2), vec![]));
        assert_eq!(whose(&number, &[wei.clone(), liar]), (Some(1), vec![]));
        // Shared: it goes to one known by nothing else, again and again.
        let li = customer(3, &[(Account, "li", Verified), (Phone, "+861", Verified)]);
        assert_eq!(whose(&number, &[wei.clone(), li.clone()]), (None, vec![]));
        let nobody = customer(4, &[(Phone, "+861", Stated)]);
        assert_eq!(whose(&number, &[wei, li, nobody]), (Some(4), vec![]));
    }
}
