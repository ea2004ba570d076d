//! One leg's end of ICE: RFC 8445 as a lite agent, with the consent of RFC 7675.
//!
//! A lite end has one public address, sends no checks and is always controlled: it answers the
//! peer's checks and obeys its nominations. Spares the leg above who may bring it packets
//! ([`Agent::believes`]), where its own go ([`Agent::destination`]) and when the peer is gone
//! ([`Lapse::Lost`]).
//!
//! **What a stranger gets: nothing.** RFC 8489 §9.1.3 answers a request without credentials with
//! 400 and one with wrong ones with 401, and so do we where a check has passed before: there a peer
//! may be in the middle of a restart and should learn it at once. Elsewhere it is an oracle and a
//! mirror on a public port, and the honest loses nothing: it repeats its checks anyway.
//!
//! **Consent.** RFC 7675 has the sender ask. We send no requests, so the peer's own are taken for
//! its consent: whoever checks a path wants it. A full peer checks what it uses every five seconds
//! (§5.1), and what is unheard for thirty is over.
//!
//! **Invariant:** nothing changes before username and integrity are right; addresses are bounded by
//! [`PAIRS`]; no check allocates.
//!
//! The code does not cover the source address, and a lite agent sends no check back to try it:
//! whoever can record a check can replay it from elsewhere and draw packets there until the peer's
//! next. They are SRTP; what he draws is noise.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{IceCredentials, Mono, PeerAddress};
use crate::rtp::stun::{Class, Draft, ErrorCode, Message, Password, Role, Transaction};

/// Addresses of the peer remembered at a time. A browser on two networks of both families, directly
/// and by relay, shows eight.
pub const PAIRS: usize = 8;

/// RFC 7675 §5.1: how long a check is good for.
pub const CONSENT: Duration = Duration::from_secs(30);

/// Room for any reply.
pub const REPLY: usize = 128;

#[derive(Debug)]
pub struct Agent {
    current: Generation,
    /// What a restart replaces: good until the peer uses the new.
    retiring: Option<Generation>,
    /// By place, so that others may hold the place.
    pairs: [Option<Pair>; PAIRS],
    /// Where packets go.
    chosen: Option<usize>,
    challenger: Option<Challenger>,
    /// When to give up a peer that has not been heard at all.
    awaited_until: Option<Mono>,
}

/// What a check did. What there is of it is to be acted on in this order: send, forget, learn.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome<'o> {
    /// Goes to where the check came from.
    pub reply: Option<&'o [u8]>,
    pub verdict: Verdict,
    /// Made room for where the check came from, and is no longer believed.
    pub forgotten: Option<SocketAddr>,
    /// Where packets go from now on.
    pub moved: Option<SocketAddr>,
    /// Our user fragment from before the restart, which opens nothing any more.
    pub retired: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Where it came from is believed from now on.
    Passed,
    /// Nothing changed.
    Refused(ErrorCode),
    /// It asked for nothing: a keep-alive, or the answer to a question that we did not ask.
    Ignored,
}

/// What time undid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// This address was not checked for [`CONSENT`] and is no longer believed. `moved` is where
    /// packets go instead, if they went there.
    Pair { forgotten: SocketAddr, moved: Option<SocketAddr> },
    /// Nor was any other. Nothing may be sent until a restart.
    Lost { forgotten: Option<SocketAddr> },
}

/// Credentials of both ends as one offer and answer agreed on them.
#[derive(Debug)]
struct Generation {
    number: u32,
    ours: Box<str>,
    password: Password,
    /// `None` until the answer comes: checks may come before it (RFC 8445 §7.3).
    theirs: Option<Box<str>>,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Unused,
    Used,
    /// RFC 7675 §5.1: a consent once lost does not come back under the same credentials.
    Spent,
}

/// An address of the peer that passed a check.
#[derive(Clone, Copy, Debug)]
struct Pair {
    remote: SocketAddr,
    priority: u32,
    heard: Mono,
    /// The generation that nominated it.
    nominated: Option<u32>,
}

/// A pair that was nominated once although the chosen one, nominated too, has a higher priority.
#[derive(Clone, Copy, Debug)]
struct Challenger {
    place: usize,
    transaction: Transaction,
}

impl Agent {
    /// `theirs` is `None` while our offer is unanswered.
    pub fn new(now: Mono, ours: &IceCredentials, theirs: Option<&IceCredentials>) -> Self {
        Self {
            current: Generation::new(0, ours, theirs),
            retiring: None,
            pairs: [None; PAIRS],
            chosen: None,
            challenger: None,
            awaited_until: theirs.map(|_| now + CONSENT),
        }
    }

    /// The peer's answer to our offer.
    pub fn agree(&mut self, now: Mono, theirs: &IceCredentials) {
        self.current.theirs = Some(theirs.ufrag.clone());
        self.await_first(now);
    }

    /// RFC 8445 §9: new credentials. Packets go on and the old ones are good until the peer uses
    /// the new. Gives a user fragment of ours that opens nothing any more: one that the peer never
    /// used, if restart follows restart.
    pub fn restart(
        &mut self,
        now: Mono,
        ours: &IceCredentials,
        theirs: Option<&IceCredentials>,
    ) -> Option<Box<str>> {
        let next = Generation::new(self.current.number.wrapping_add(1), ours, theirs);
        let before = std::mem::replace(&mut self.current, next);
        if theirs.is_some() {
            self.await_first(now);
        }
        match &self.retiring {
            Some(_) if before.standing == Standing::Unused => Some(before.ours),
            _ => self.retiring.replace(before).map(|older| older.ours),
        }
    }

    /// A STUN message for this leg came. `out` takes the reply.
    pub fn receive<'o>(
        &mut self,
        now: Mono,
        from: SocketAddr,
        message: &Message<'_>,
        out: &'o mut [u8; REPLY],
    ) -> Outcome<'o> {
        // RFC 8445 §11: an indication keeps a NAT open. It is no consent (RFC 7675 §5.1).
        if message.class != Class::Request {
            return Outcome::of(Verdict::Ignored);
        }
        let Some(generation) = self.authenticate(message) else {
            let error =
                if is_complete(message) { ErrorCode::UNAUTHENTICATED } else { ErrorCode::BAD_REQUEST };
            // RFC 8489 §9.1.3: what could not be authenticated is answered without a code.
            let draft = Draft::new(out, Class::Error, message.transaction).error(error);
            let reply = if self.believes(from) { draft.finish() } else { None };
            return Outcome { reply, ..Outcome::of(Verdict::Refused(error)) };
        };
        let signed = &generation.password;
        if let Some(error) = objection(generation, message) {
            let draft = Draft::new(out, Class::Error, message.transaction).error(error);
            let draft = match error {
                ErrorCode::UNKNOWN_ATTRIBUTE => draft.unknown(message.unknown()),
                _ => draft,
            };
            let reply = draft.sign(signed).finish();
            return Outcome { reply, ..Outcome::of(Verdict::Refused(error)) };
        }
        let draft = Draft::new(out, Class::Success, message.transaction).mapped(from);
        let reply = draft.sign(signed).finish();
        let number = generation.number;
        Outcome { reply, ..self.admit(now, from, message, number) }
    }

    /// Whether packets from there may be the peer's: a check from there passed.
    pub fn believes(&self, from: SocketAddr) -> bool {
        self.place_of(from).is_some()
    }

    /// The nominated address; before any nomination the first that passed a check, so that early
    /// media is heard.
    pub fn destination(&self) -> Option<SocketAddr> {
        Some(self.pairs[self.chosen?]?.remote)
    }

    /// Whether the peer has used the credentials last agreed, and consents.
    pub fn is_settled(&self) -> bool {
        self.current.standing == Standing::Used && self.chosen.is_some()
    }

    /// When [`Agent::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let lapses = self.pairs.iter().flatten().map(|pair| pair.heard + CONSENT);
        lapses.chain(self.awaited_until).min()
    }

    /// One thing that time undid; asked again until there is none.
    pub fn handle_timeout(&mut self, now: Mono) -> Option<Lapse> {
        if self.awaited_until.is_some_and(|until| until <= now) {
            self.awaited_until = None;
            return Some(Lapse::Lost { forgotten: None });
        }
        let lapsed = |pair: &Option<Pair>| pair.is_some_and(|pair| pair.heard + CONSENT <= now);
        let place = self.pairs.iter().position(lapsed)?;
        let forgotten = self.pairs[place].take()?.remote;
        self.challenger = self.challenger.filter(|challenger| challenger.place != place);
        if self.pairs.iter().all(Option::is_none) {
            self.chosen = None;
            self.current.spend();
            if let Some(retiring) = &mut self.retiring {
                retiring.spend();
            }
            return Some(Lapse::Lost { forgotten: Some(forgotten) });
        }
        let moved = if self.chosen == Some(place) { self.choose_again() } else { None };
        Some(Lapse::Pair { forgotten, moved })
    }

    /// The generation whose credentials a request carries.
    fn authenticate(&self, message: &Message<'_>) -> Option<&Generation> {
        let (ours, theirs) = message.ufrags()?;
        let named =
            [Some(&self.current), self.retiring.as_ref()].into_iter().flatten().find(|generation| {
                // Who answered our one offer twice, by a fork, is two peers with one of our fragments.
                generation.ours.as_bytes() == ours
                    && generation.theirs.as_ref().is_none_or(|known| known.as_bytes() == theirs)
            })?;
        message.is_signed_by(&named.password).then_some(named)
    }

    /// A check passed. The outcome is without its reply.
    fn admit(
        &mut self,
        now: Mono,
        from: SocketAddr,
        message: &Message<'_>,
        generation: u32,
    ) -> Outcome<'static> {
        let mut outcome = Outcome::of(Verdict::Passed);
        self.awaited_until = None;
        if generation == self.current.number {
            self.current.standing = Standing::Used;
            outcome.retired = self.retiring.take().map(|old| old.ours);
        } else if let Some(old) = &mut self.retiring {
            old.standing = Standing::Used;
        }

        let before = self.destination();
        let place = self.place_of(from).unwrap_or_else(|| self.place_to_take());
        let known = self.pairs[place].filter(|pair| PeerAddress::same(pair.remote, from));
        if known.is_none() {
            outcome.forgotten = self.pairs[place].map(|pair| pair.remote);
            self.challenger = self.challenger.filter(|challenger| challenger.place != place);
        }
        let pair = known.unwrap_or(Pair { remote: from, priority: 0, heard: now, nominated: None });
        // §7.1.1 wants a priority in every check; who sends none keeps what it had.
        let priority = message.priority.unwrap_or(pair.priority);
        self.pairs[place] = Some(Pair { priority, heard: now, ..pair });
        self.chosen.get_or_insert(place);
        if message.nominates {
            self.nominate(place, generation, message.transaction);
        }
        outcome.moved = self.destination().filter(|to| before != Some(*to));
        outcome
    }

    /// The newest nomination of the highest priority wins; any of a later generation beats any of
    /// an earlier.
    ///
    /// By §8.1.1 a peer nominates once, but browsers nominate anew whichever pair they like best
    /// when a network goes, be it of lower priority, and older agents nominate all pairs that work
    /// (RFC 5245's aggressive nomination), in any order. What tells them apart: a lower priority
    /// that is nominated twice, with the chosen pair not nominated in between, is meant.
    fn nominate(&mut self, place: usize, generation: u32, transaction: Transaction) {
        let rank = |place: usize| self.pairs[place].map(|pair| (pair.nominated, pair.priority));
        let chosen = self.chosen.filter(|chosen| *chosen != place).and_then(rank);
        if let Some(pair) = &mut self.pairs[place] {
            pair.nominated = Some(generation);
            if chosen.is_some_and(|chosen| chosen > (pair.nominated, pair.priority)) {
                let insists = self
                    .challenger
                    // The same transaction is a retransmission.
                    .is_some_and(|before| before.place == place && before.transaction != transaction);
                if !insists {
                    self.challenger = Some(Challenger { place, transaction });
                    return;
                }
            }
        }
        self.challenger = None;
        self.chosen = Some(place);
    }

    /// The chosen pair lapsed: the best nominated one that is left, or else the one heard last.
    fn choose_again(&mut self) -> Option<SocketAddr> {
        let rank = |place: &usize| {
            self.pairs[*place].map(|pair| {
                let nominated = pair.nominated.map(|generation| (generation, pair.priority));
                (nominated, pair.heard)
            })
        };
        self.chosen = (0..PAIRS).max_by_key(rank);
        self.destination()
    }

    fn place_of(&self, from: SocketAddr) -> Option<usize> {
        self.pairs.iter().position(|pair| pair.is_some_and(|pair| PeerAddress::same(pair.remote, from)))
    }

    /// A free one, or that of the address unheard for longest. Packets' own is never taken.
    fn place_to_take(&self) -> usize {
        let others = (0..PAIRS).filter(|place| self.chosen != Some(*place));
        others.min_by_key(|place| self.pairs[*place].map(|pair| pair.heard)).unwrap_or(0)
    }

    /// The peer can begin to check: from now on it is waited for.
    fn await_first(&mut self, now: Mono) {
        if self.pairs.iter().all(Option::is_none) {
            self.awaited_until = Some(now + CONSENT);
        }
    }
}

impl Generation {
    fn new(number: u32, ours: &IceCredentials, theirs: Option<&IceCredentials>) -> Self {
        Self {
            number,
            ours: ours.ufrag.clone(),
            password: Password::new(ours.password.as_bytes()),
            theirs: theirs.map(|theirs| theirs.ufrag.clone()),
            standing: Standing::Unused,
        }
    }

    fn spend(&mut self) {
        if self.standing == Standing::Used {
            self.standing = Standing::Spent;
        }
    }
}

impl Outcome<'_> {
    fn of(verdict: Verdict) -> Self {
        Self { reply: None, verdict, forgotten: None, moved: None, retired: None }
    }
}

/// RFC 8489 §9.1.3: both or 400.
fn is_complete(message: &Message<'_>) -> bool {
    message.username.is_some() && message.is_signed()
}

/// What is wrong with a request whose credentials are right.
fn objection(generation: &Generation, message: &Message<'_>) -> Option<ErrorCode> {
    if !message.unknown().is_empty() {
        return Some(ErrorCode::UNKNOWN_ATTRIBUTE);
    }
    if generation.standing == Standing::Spent {
        return Some(ErrorCode::FORBIDDEN);
    }
    // §6.1.1: beside a lite agent the full one controls. §7.3.1.1 lets the higher tie-breaker win;
    // we never can be the controlling end, so ours is always the lower.
    matches!(message.role, Some(Role::Controlled(_))).then_some(ErrorCode::ROLE_CONFLICT)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::rtp::stun;

    /// A full agent, as far as a lite one notices, and the leg it talks to.
    struct Stage {
        agent: Agent,
        /// By generation: ours and theirs.
        credentials: Vec<(IceCredentials, IceCredentials)>,
        transactions: u8,
    }

    /// What the peer changes about a check that is otherwise right.
    #[derive(Clone, Copy, Default)]
    struct Check {
        generation: usize,
        priority: Option<u32>,
        nominates: bool,
        flaw: Option<Flaw>,
        retransmitted: bool,
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        Password,
        OurName,
        TheirName,
        Unsigned,
        Nameless,
        Controlled,
        Unknown,
        Indication,
    }

    fn credentials(name: &str) -> IceCredentials {
        IceCredentials { ufrag: name.into(), password: format!("{name}-password").into() }
    }

    fn at(millis: u64) -> Mono {
        Mono::from_nanos(millis * 1_000_000)
    }

    fn address(name: &str) -> SocketAddr {
        match name {
            "wifi" => "192.0.2.1:1000".parse().unwrap(),
            "mapped" => "[::ffff:192.0.2.1]:1000".parse().unwrap(),
            "cell" => "198.51.100.7:2000".parse().unwrap(),
            "six" => "[2001:db8::6]:3000".parse().unwrap(),
            port => SocketAddr::new([203, 0, 113, 1].into(), port.parse().unwrap()),
        }
    }

    fn name(address: SocketAddr) -> String {
        match address.port() {
            1000 => "wifi".into(),
            2000 => "cell".into(),
            3000 => "six".into(),
            port => port.to_string(),
        }
    }

    impl Stage {
        fn new() -> Self {
            let pair = (credentials("ours0"), credentials("theirs0"));
            let agent = Agent::new(Mono::ZERO, &pair.0, Some(&pair.1));
            Self { agent, credentials: vec![pair], transactions: 0 }
        }

        fn restart(&mut self, now: Mono) -> Option<Box<str>> {
            let number = self.credentials.len();
            let pair = (credentials(&format!("ours{number}")), credentials(&format!("theirs{number}")));
            let retired = self.agent.restart(now, &pair.0, Some(&pair.1));
            self.credentials.push(pair);
            retired
        }

        /// What the check did; its reply is checked for what the peer would check.
        fn check(&mut self, now: Mono, from: SocketAddr, check: Check) -> String {
            let (ours, theirs) = &self.credentials[check.generation];
            let flawed = |flaw| check.flaw == Some(flaw);
            self.transactions += u8::from(!check.retransmitted);
            let transaction = Transaction([self.transactions; 12]);
            let class = if flawed(Flaw::Indication) { Class::Indication } else { Class::Request };
            let mut buffer = [0; 256];
            let mut draft = Draft::new(&mut buffer, class, transaction);
            if !flawed(Flaw::Nameless) {
                let ours = if flawed(Flaw::OurName) { "nobody" } else { &ours.ufrag };
                draft = draft.username(ours, if flawed(Flaw::TheirName) { "fork" } else { &theirs.ufrag });
            }
            if let Some(priority) = check.priority {
                draft = draft.priority(priority);
            }
            if check.nominates {
                draft = draft.nominate();
            }
            if flawed(Flaw::Unknown) {
                draft = (0x7ff0..0x7fff).fold(draft, |draft, kind| draft.attribute(kind, &[]));
            }
            let role = if flawed(Flaw::Controlled) { Role::Controlled(0) } else { Role::Controlling(1) };
            draft = draft.role(role);
            let right = Password::new(ours.password.as_bytes());
            if !flawed(Flaw::Unsigned) {
                let wrong = Password::new(b"wrong");
                draft = draft.sign(if flawed(Flaw::Password) { &wrong } else { &right });
            }
            let bytes = draft.finish().unwrap();

            let mut out = [0; REPLY];
            let outcome = self.agent.receive(now, from, &stun::parse(bytes).unwrap(), &mut out);
            let mut told = match outcome.reply {
                None => "silence".to_owned(),
                Some(reply) => {
                    let reply = stun::parse(reply).unwrap();
                    assert_eq!(reply.transaction, transaction);
                    let authenticated = !matches!(
                        outcome.verdict,
                        Verdict::Refused(ErrorCode::UNAUTHENTICATED | ErrorCode::BAD_REQUEST)
                    );
                    assert_eq!(reply.is_signed_by(&right), authenticated);
                    assert_eq!(reply.class == Class::Success, outcome.verdict == Verdict::Passed);
                    match reply.error {
                        Some(error) => error.code().to_string(),
                        None => {
                            let told = reply.mapped.unwrap();
                            assert!(PeerAddress::same(told, from) && told.ip().to_canonical() == told.ip());
                            "ok".into()
                        }
                    }
                }
            };
            if let Some(forgotten) = outcome.forgotten {
                write!(told, ", forgets {}", name(forgotten)).unwrap();
            }
            if let Some(moved) = outcome.moved {
                assert_eq!(self.agent.destination(), Some(moved));
                write!(told, ", moves to {}", name(moved)).unwrap();
            }
            if let Some(retired) = outcome.retired {
                write!(told, ", retires {retired}").unwrap();
            }
            assert_eq!(outcome.verdict == Verdict::Passed, told.starts_with("ok"));
            told
        }

        /// What time does on its own up to `now`.
        fn pass(&mut self, now: Mono) -> Vec<String> {
            let mut told = vec![];
            while let Some(due) = self.agent.poll_timeout().filter(|due| *due <= now) {
                let lapse = self.agent.handle_timeout(due).expect("what is due has come");
                let text = match lapse {
                    Lapse::Pair { forgotten, moved: None } => format!("forgets {}", name(forgotten)),
                    Lapse::Pair { forgotten, moved: Some(moved) } => {
                        format!("forgets {}, moves to {}", name(forgotten), name(moved))
                    }
                    Lapse::Lost { forgotten } => {
                        assert_eq!(self.agent.destination(), None);
                        format!("lost after {}", forgotten.map_or("nobody".into(), name))
                    }
                };
                told.push(format!("{} {text}", due.as_nanos() / 1_000_000));
            }
            assert_eq!(self.agent.handle_timeout(now), None);
            told
        }
    }

    /// Script in, transcript out. A line is a time in milliseconds and `wait`, `restart`, or an
    /// address with what a check from there carries: `g1` the second credentials, `p9` a priority,
    /// `use` a nomination, `again` a retransmission, or a flaw.
    fn play(stage: &mut Stage, script: &str) -> String {
        let mut transcript = vec![];
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let now = at(words.next().unwrap().parse().unwrap());
            transcript.extend(stage.pass(now));
            match words.next().unwrap() {
                "wait" => {}
                "restart" => match stage.restart(now) {
                    Some(retired) => transcript.push(format!("{line}: retires {retired}")),
                    None => transcript.push(line.into()),
                },
                from => {
                    let check = words.fold(Check::default(), |check, word| match word {
                        "use" => Check { nominates: true, ..check },
                        "again" => Check { retransmitted: true, ..check },
                        flaw if !flaw.starts_with(['g', 'p']) || flaw.len() > 3 => {
                            let flaw = match flaw {
                                "password" => Flaw::Password,
                                "our-name" => Flaw::OurName,
                                "their-name" => Flaw::TheirName,
                                "unsigned" => Flaw::Unsigned,
                                "nameless" => Flaw::Nameless,
                                "controlled" => Flaw::Controlled,
                                "unknown" => Flaw::Unknown,
                                "indication" => Flaw::Indication,
                                word => panic!("{word}"),
                            };
                            Check { flaw: Some(flaw), ..check }
                        }
                        word => {
                            let number = word[1..].parse().unwrap();
                            match word.starts_with('g') {
                                true => Check { generation: number as usize, ..check },
                                false => Check { priority: Some(number), ..check },
                            }
                        }
                    });
                    let told = stage.check(now, address(from), check);
                    transcript.push(format!("{line}: {told}"));
                }
            }
        }
        transcript.join("\n")
    }

    #[track_caller]
    fn assert_told(script: &str, expected: &str) {
        let lines: Vec<_> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(play(&mut Stage::new(), script), lines.join("\n"));
    }

    #[test]
    fn packets_go_to_the_first_valid_address_until_one_is_nominated() {
        assert_told(
            "0 cell p5
             10 wifi p9
             20 cell p5
             30 wifi p9 use",
            "0 cell p5: ok, moves to cell
             10 wifi p9: ok
             20 cell p5: ok
             30 wifi p9 use: ok, moves to wifi",
        );
    }

    #[test]
    fn of_all_that_an_aggressive_peer_nominates_the_highest_is_used() {
        assert_told(
            "0 cell p5 use
             10 wifi p9 use
             20 six p7 use
             30 cell p5 use
             500 wifi p9 use
             510 cell p5 use
             520 wifi p9 use",
            "0 cell p5 use: ok, moves to cell
             10 wifi p9 use: ok, moves to wifi
             20 six p7 use: ok
             30 cell p5 use: ok
             500 wifi p9 use: ok
             510 cell p5 use: ok
             520 wifi p9 use: ok",
        );
    }

    #[test]
    fn a_peer_that_changes_its_network_is_followed_though_the_priority_is_lower() {
        assert_told(
            "0 wifi p9 use
             2500 wifi p9 use
             6000 cell p5 use
             6100 cell p5 use again
             6480 cell p5 use
             9000 wifi p9 use",
            "0 wifi p9 use: ok, moves to wifi
             2500 wifi p9 use: ok
             6000 cell p5 use: ok
             6100 cell p5 use again: ok
             6480 cell p5 use: ok, moves to cell
             9000 wifi p9 use: ok, moves to wifi",
        );
    }

    #[test]
    fn a_new_port_behind_the_same_nat_is_followed_at_once() {
        assert_told(
            "0 4001 p9 use
             5000 4002 p9 use",
            "0 4001 p9 use: ok, moves to 4001
             5000 4002 p9 use: ok, moves to 4002",
        );
    }

    #[test]
    fn a_stranger_is_told_nothing_and_a_believed_address_why() {
        assert_told(
            "0 cell password use
             1 cell our-name use
             2 cell unsigned use
             3 cell nameless use
             4 wifi
             5 wifi password use
             6 wifi our-name use
             7 wifi their-name use
             8 wifi unsigned use
             9 wifi nameless use
             10 cell password use",
            "0 cell password use: silence
             1 cell our-name use: silence
             2 cell unsigned use: silence
             3 cell nameless use: silence
             4 wifi: ok, moves to wifi
             5 wifi password use: 401
             6 wifi our-name use: 401
             7 wifi their-name use: 401
             8 wifi unsigned use: 400
             9 wifi nameless use: 400
             10 cell password use: silence",
        );
    }

    #[test]
    fn a_refused_check_changes_nothing() {
        for flaw in ["password", "our-name", "their-name", "unsigned", "nameless", "controlled", "unknown"] {
            let mut stage = Stage::new();
            play(&mut stage, &format!("0 wifi use\n29000 wifi {flaw} use\n29000 cell {flaw} use"));
            assert!(!stage.agent.believes(address("cell")), "{flaw}");
            assert_eq!(play(&mut stage, "30000 wait"), "30000 lost after wifi", "{flaw}");
        }
    }

    #[test]
    fn a_peer_that_takes_itself_for_controlled_is_told_to_control() {
        assert_told(
            "0 wifi controlled use
             50 wifi use",
            "0 wifi controlled use: 487
             50 wifi use: ok, moves to wifi",
        );
    }

    #[test]
    fn what_must_be_understood_and_is_not_gets_a_420() {
        assert_told("0 wifi unknown", "0 wifi unknown: 420");
    }

    #[test]
    fn consent_ends_thirty_seconds_after_the_last_check_and_keep_alives_do_not_renew_it() {
        assert_told(
            "0 wifi use
             5000 wifi
             20000 wifi indication
             36000 wait",
            "0 wifi use: ok, moves to wifi
             5000 wifi: ok
             20000 wifi indication: silence
             35000 lost after wifi",
        );
    }

    #[test]
    fn a_consent_once_lost_comes_back_by_a_restart_only() {
        assert_told(
            "0 wifi use
             31000 wifi use
             32000 restart
             33000 wifi use
             34000 wifi g1 use",
            "0 wifi use: ok, moves to wifi
             30000 lost after wifi
             31000 wifi use: 403
             32000 restart
             33000 wifi use: 403
             34000 wifi g1 use: ok, moves to wifi, retires ours0",
        );
    }

    #[test]
    fn a_peer_that_never_checks_is_lost_and_welcome_all_the_same() {
        assert_told(
            "31000 wifi use",
            "30000 lost after nobody
             31000 wifi use: ok, moves to wifi",
        );
    }

    #[test]
    fn an_offer_that_is_not_answered_is_waited_for() {
        let (ours, theirs) = (credentials("ours0"), credentials("theirs0"));
        let agent = Agent::new(Mono::ZERO, &ours, None);
        let mut stage = Stage { agent, credentials: vec![(ours, theirs.clone())], transactions: 0 };
        assert_eq!(stage.agent.poll_timeout(), None);
        stage.agent.agree(at(60_000), &theirs);
        assert_eq!(stage.agent.poll_timeout(), Some(at(90_000)));
    }

    #[test]
    fn a_check_that_overtakes_the_answer_is_taken_and_a_fork_after_it_is_not() {
        let (ours, theirs) = (credentials("ours0"), credentials("theirs0"));
        let agent = Agent::new(Mono::ZERO, &ours, None);
        let mut stage = Stage { agent, credentials: vec![(ours, theirs.clone())], transactions: 0 };
        assert_eq!(play(&mut stage, "0 wifi use"), "0 wifi use: ok, moves to wifi");
        stage.agent.agree(at(5), &theirs);
        assert_eq!(play(&mut stage, "10 cell their-name use"), "10 cell their-name use: silence");
        assert_eq!(stage.agent.poll_timeout(), Some(at(30_000)));
    }

    #[test]
    fn a_restart_lets_packets_flow_until_the_new_credentials_are_used_and_nominate() {
        assert_told(
            "0 wifi p9 use
             1000 restart
             1500 wifi p9 use
             2000 cell g1 p5
             2100 wifi p9 use
             2200 cell g1 p5 use
             2300 wifi g1 p9
             31499 wait
             31500 cell g1
             32300 wait",
            "0 wifi p9 use: ok, moves to wifi
             1000 restart
             1500 wifi p9 use: ok
             2000 cell g1 p5: ok, retires ours0
             2100 wifi p9 use: 401
             2200 cell g1 p5 use: ok, moves to cell
             2300 wifi g1 p9: ok
             31500 cell g1: ok
             32300 forgets wifi",
        );
    }

    #[test]
    fn a_restart_after_a_restart_drops_what_the_peer_never_used() {
        assert_told(
            "0 wifi use
             1000 restart
             2000 restart
             2500 wifi use
             3000 wifi g1 use
             3500 wifi g2 use",
            "0 wifi use: ok, moves to wifi
             1000 restart
             2000 restart: retires ours1
             2500 wifi use: ok
             3000 wifi g1 use: 401
             3500 wifi g2 use: ok, retires ours0",
        );
    }

    #[test]
    fn packets_move_to_what_is_left_when_the_chosen_address_lapses() {
        assert_told(
            "0 wifi p9 use
             1 six p7 use
             2 cell p5
             20000 six p7
             20001 cell p5
             30000 wait
             50001 wait",
            "0 wifi p9 use: ok, moves to wifi
             1 six p7 use: ok
             2 cell p5: ok
             20000 six p7: ok
             20001 cell p5: ok
             30000 forgets wifi, moves to six
             50000 forgets six, moves to cell
             50001 lost after cell",
        );
    }

    #[test]
    fn the_ninth_address_takes_the_place_of_the_one_unheard_for_longest_but_never_the_chosen() {
        let eight: String = (0..8).map(|n| format!("{n} {} use\n", 5000 + n)).collect();
        let mut stage = Stage::new();
        play(&mut stage, &eight);
        play(&mut stage, "10 5000\n11 5007 use");
        assert_eq!(
            play(&mut stage, "20 6001\n21 6002\n22 5000\n23 5001"),
            "20 6001: ok, forgets 5001\n21 6002: ok, forgets 5002\n22 5000: ok\n23 5001: ok, forgets 5003"
        );
        let rounds: String = (0..100).map(|n| format!("{} {} p1\n", 30 + n, 7000 + n)).collect();
        play(&mut stage, &rounds);
        assert_eq!(stage.agent.destination(), Some(address("5007")));
        assert_eq!(stage.agent.pairs.iter().flatten().count(), PAIRS);
    }

    #[test]
    fn an_ipv4_address_is_the_same_however_the_socket_writes_it() {
        let mut stage = Stage::new();
        assert_eq!(
            play(&mut stage, "0 mapped use\n5 wifi use\n9 six"),
            "0 mapped use: ok, moves to wifi\n5 wifi use: ok\n9 six: ok"
        );
        assert!(stage.agent.believes(address("mapped")) && stage.agent.believes(address("wifi")));
        assert!(stage.agent.believes(address("six")) && !stage.agent.believes(address("cell")));
    }

    proptest! {
        #[test]
        fn whatever_comes_the_destination_is_believed_and_the_table_bounded(
            steps in prop::collection::vec(
                (0..40_000u64, 0..12u16, any::<bool>(), 0..4u32, 0..12usize, 0..3usize), 1..60,
            )
        ) {
            let mut stage = Stage::new();
            let mut millis = 0;
            for (wait, port, nominates, priority, flaw, generation) in steps {
                millis += wait / if port < 8 { 40 } else { 1 };
                stage.pass(at(millis));
                let flaws =
                    [Flaw::Password, Flaw::TheirName, Flaw::Unsigned, Flaw::Controlled, Flaw::Indication];
                if flaw == 11 && stage.credentials.len() < 3 {
                    stage.restart(at(millis));
                }
                let from = SocketAddr::new([203, 0, 113, 1].into(), 4000 + port);
                let generation = generation % stage.credentials.len();
                let flaw = flaws.get(flaw).copied();
                let check =
                    Check { generation, priority: Some(priority), nominates, flaw, retransmitted: false };
                stage.transactions %= 250;
                let (believed, before) = (stage.agent.believes(from), stage.agent.destination());
                let told = stage.check(at(millis), from, check);
                if told.starts_with("ok") {
                    prop_assert!(stage.agent.believes(from));
                } else {
                    prop_assert_eq!(stage.agent.believes(from), believed);
                    prop_assert_eq!(stage.agent.destination(), before);
                }
                let pairs = stage.agent.pairs.iter().flatten().count();
                prop_assert_eq!(stage.agent.destination().is_some(), pairs > 0);
                prop_assert!(stage.agent.destination().is_none_or(|to| stage.agent.believes(to)));
            }
        }
    }
}
