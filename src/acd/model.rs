//! The router against a naive one, over random happenings.

/// A fault the router can be seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    RonaToTheBack,
    OfferedTwice,
    IdlePlaceLost,
    SkillLevelIgnored,
    PriorityIgnored,
    WrapUpSkipped,
    StaleAnswerAccepted,
    MaxWaitDuringOffer,
    ReloadDropsWaiting,
    TimerLost,
}
