//! Digest authentication, both sides: RFC 3261 §22 with RFC 7616's and RFC 8760's hashes.
//!
//! [`Verifier`] asks phones who they are and believes each answer once: its nonces carry their own
//! proof, so that asking costs no memory, and only nonces that were answered are remembered, for
//! their counts. [`Challenge`] answers a trunk that asks us.
//!
//! **Invariant:** no password and no HA1 leaves this file or prints.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::{Challenge, Credentials, syntax};
use crate::base::{Mint, Mono, Pii};

/// What a digest is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Md5,
    Sha256,
}

/// What stands for a password: H(user:realm:password), by each algorithm it is kept for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Ha1 {
    pub md5: Option<[u8; 16]>,
    pub sha256: Option<[u8; 32]>,
}

/// Why credentials were not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The response was right, but the nonce is too old, of an earlier process, or its count was
    /// used: ask again, saying `stale`, and the phone answers without its user (RFC 7616 §3.3).
    Stale,
    /// Wrong password, unknown user, another's realm, or an algorithm never offered.
    Wrong,
}

/// Whether a challenge follows an answer that was right but late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    First,
    Stale,
}

/// How long a nonce may be answered with rising counts.
const NONCE_LIFE: Duration = Duration::from_secs(300);
/// Answered nonces remembered for their counts; what falls out is stale.
const NONCES: usize = 65_536;

/// Asks, and checks the answers.
#[derive(Debug)]
pub struct Verifier {
    realm: String,
    algorithms: Vec<Algorithm>,
    secret: [u8; 32],
    mint: Mint,
    /// The highest count seen of each nonce that was answered, oldest first.
    counts: BTreeMap<Nonce, u32>,
    /// Up to here counts were forgotten: such nonces are stale.
    forgotten: Option<Nonce>,
}

/// When a nonce was made, in nanoseconds of [`Mono`], and chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Nonce {
    made: u64,
    chance: u64,
}

impl Verifier {
    /// Challenges list `algorithms` in that order (RFC 8760 §2.4: most wanted first).
    pub fn new(realm: String, algorithms: Vec<Algorithm>, mut mint: Mint) -> Self {
        let secret = mint.bytes();
        Self { realm, algorithms, secret, mint, counts: BTreeMap::new(), forgotten: None }
    }

    /// After a reload. Nonces stay good where the realm does.
    pub fn reconfigure(&mut self, realm: String, algorithms: Vec<Algorithm>) {
        self.realm = realm;
        self.algorithms = algorithms;
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The `WWW-Authenticate` headers to send, one an algorithm. The same for every user, known or
    /// not.
    pub fn challenges(&mut self, now: Mono, freshness: Freshness) -> impl Iterator<Item = Challenge> {
        let chance = self.mint.u64();
        let nonce = self.nonce(Nonce { made: now.as_nanos(), chance });
        let realm = &self.realm;
        self.algorithms.iter().map(move |algorithm| {
            let challenge = Challenge::digest()
                .with("realm", realm)
                .with("nonce", &nonce)
                .with("qop", "auth")
                .with("algorithm", algorithm.name());
            match freshness {
                Freshness::First => challenge,
                Freshness::Stale => challenge.with("stale", "true"),
            }
        })
    }

    /// Whether `credentials` answer a challenge of ours for a request of this method. An unknown
    /// user's `ha1` is `None`: the time taken and the outcome are those of a wrong password.
    ///
    /// The `uri` in the credentials is hashed but not compared with the request's: proxies and
    /// half the field's phones change one of them, and the count already stops replays.
    pub fn verify(
        &mut self,
        now: Mono,
        method: &str,
        credentials: &Credentials,
        ha1: Option<&Ha1>,
    ) -> Result<(), Denial> {
        let claim = Claim::of(credentials).ok_or(Denial::Wrong)?;
        let ha1 = match claim.algorithm {
            Algorithm::Md5 => ha1.and_then(|ha1| ha1.md5).map(|h| hex(&h)),
            Algorithm::Sha256 => ha1.and_then(|ha1| ha1.sha256).map(|h| hex(&h)),
        };
        // An unknown user's is hashed all the same, so that it takes as long.
        let some_ha1 = ha1.as_deref().unwrap_or("00000000000000000000000000000000");
        let count = Some((&*claim.nc, &*claim.cnonce));
        let expected = response(claim.algorithm, some_ha1, &claim.nonce, count, method, &claim.uri);
        let right = equal(expected.as_bytes(), claim.response.to_ascii_lowercase().as_bytes());
        let offered = self.algorithms.contains(&claim.algorithm) && claim.realm == self.realm.as_str();
        if !(right && offered && ha1.is_some()) {
            return Err(Denial::Wrong);
        }
        self.forget(now);
        let nonce = self.read(&claim.nonce).ok_or(Denial::Stale)?;
        let is_old = Mono::from_nanos(nonce.made) + NONCE_LIFE < now;
        if is_old || self.forgotten.is_some_and(|upto| nonce <= upto) {
            return Err(Denial::Stale);
        }
        let highest = self.counts.entry(nonce).or_default();
        if claim.count <= *highest {
            return Err(Denial::Stale);
        }
        *highest = claim.count;
        while self.counts.len() > NONCES {
            self.forgotten = self.counts.pop_first().map(|(nonce, _)| nonce);
        }
        Ok(())
    }

    /// Drops the counts of nonces that are too old to be answered anyway.
    fn forget(&mut self, now: Mono) {
        while let Some(oldest) = self.counts.first_entry()
            && Mono::from_nanos(oldest.key().made) + NONCE_LIFE < now
        {
            oldest.remove();
        }
    }

    /// 16 bytes of time and chance, 16 of proof that they are ours.
    fn nonce(&self, nonce: Nonce) -> String {
        let mut text = hex(&nonce.made.to_be_bytes());
        text += &hex(&nonce.chance.to_be_bytes());
        text += &hex(&self.proof(nonce));
        text
    }

    fn read(&self, text: &str) -> Option<Nonce> {
        let bytes: [u8; 32] = from_hex(text)?;
        let (made, rest) = bytes.split_first_chunk()?;
        let (chance, proof) = rest.split_first_chunk()?;
        let nonce = Nonce { made: u64::from_be_bytes(*made), chance: u64::from_be_bytes(*chance) };
        equal(&self.proof(nonce), proof).then_some(nonce)
    }

    /// All inputs are of fixed length, so a hash with the secret in front is a sound proof: there is
    /// nothing an extension could be read as.
    fn proof(&self, nonce: Nonce) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(nonce.made.to_be_bytes());
        hash.update(nonce.chance.to_be_bytes());
        let whole: [u8; 32] = hash.finalize().into();
        whole.first_chunk().copied().unwrap_or_default()
    }
}

/// What a phone's credentials say, read for one check.
struct Claim<'a> {
    realm: Cow<'a, str>,
    nonce: Cow<'a, str>,
    uri: Cow<'a, str>,
    response: Cow<'a, str>,
    cnonce: Cow<'a, str>,
    nc: Cow<'a, str>,
    count: u32,
    algorithm: Algorithm,
}

impl<'a> Claim<'a> {
    /// `None` for another scheme than Digest, a missing field, or an answer without `qop=auth`:
    /// without a count nobody could tell it from its replay.
    fn of(credentials: &'a Credentials) -> Option<Self> {
        let field = |name| credentials.text(name);
        let algorithm = match field("algorithm") {
            Some(name) => Algorithm::parse(&name)?,
            None => Algorithm::Md5,
        };
        let nc = field("nc")?;
        let is_count = nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit());
        if !credentials.is_digest() || !field("qop")?.eq_ignore_ascii_case("auth") || !is_count {
            return None;
        }
        Some(Self {
            realm: field("realm")?,
            nonce: field("nonce")?,
            uri: field("uri")?,
            response: field("response")?,
            cnonce: field("cnonce")?,
            count: u32::from_str_radix(&nc, 16).ok()?,
            nc,
            algorithm,
        })
    }
}

/// Who we are to a trunk that asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: Pii<String>,
}

/// Answers a 401's or 407's question for one request. The count is always the first: each nonce is
/// answered once. `None` where it asks for something we do not do; RFC 8760 §2.4 then has us try
/// the next header.
pub fn answer(
    challenge: &Challenge,
    login: &Login,
    method: &str,
    uri: &str,
    mint: &mut Mint,
) -> Option<Credentials> {
    const FIRST: &str = "00000001";
    let algorithm = match challenge.text("algorithm") {
        Some(name) => Algorithm::parse(&name)?,
        None => Algorithm::Md5,
    };
    // RFC 2069's form, without qop, is still met: then neither count nor cnonce is hashed.
    let with_qop = challenge.get("qop").is_some();
    if !challenge.is_digest() || (with_qop && !challenge.offers_qop("auth")) {
        return None;
    }
    let (realm, nonce) = (challenge.text("realm")?, challenge.text("nonce")?);
    let secret = format!("{}:{realm}:{}", login.user, login.password.reveal());
    let ha1 = algorithm.hash(secret.as_bytes());
    let cnonce = mint.hex::<8>();
    let count = with_qop.then_some((FIRST, cnonce.as_str()));
    let response = response(algorithm, &ha1, &nonce, count, method, uri);
    let mut credentials = Credentials::digest()
        .with("username", &login.user)
        .with("realm", &*realm)
        .with("nonce", &*nonce)
        .with("uri", uri)
        .with("response", response)
        .with("algorithm", algorithm.name());
    if with_qop {
        credentials = credentials.with("qop", "auth").with("nc", FIRST).with("cnonce", &cnonce);
    }
    if let Some(opaque) = challenge.get("opaque") {
        credentials = credentials.with("opaque", opaque);
    }
    Some(credentials)
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|known| name.eq_ignore_ascii_case(known.name()))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// In lowercase hexadecimal, as digests are nested.
    fn hash(self, bytes: &[u8]) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(bytes)),
            Self::Sha256 => hex(&Sha256::digest(bytes)),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Ha1 {
    /// By both algorithms, for a configuration that holds the password itself.
    pub fn of(user: &str, realm: &str, password: &str) -> Self {
        let secret = format!("{user}:{realm}:{password}");
        Self { md5: Some(Md5::digest(&secret).into()), sha256: Some(Sha256::digest(&secret).into()) }
    }

    /// One HA1 in hexadecimal: 32 digits are MD5's, 64 are SHA-256's.
    pub fn from_hex(text: &str) -> Option<Self> {
        match text.len() {
            32 => Some(Self { md5: Some(from_hex(text)?), sha256: None }),
            64 => Some(Self { md5: None, sha256: Some(from_hex(text)?) }),
            _ => None,
        }
    }

    /// The MD5 one in hexadecimal, as a configuration holds it.
    pub fn md5_hex(&self) -> Option<String> {
        self.md5.map(|h| hex(&h))
    }

    pub fn sha256_hex(&self) -> Option<String> {
        self.sha256.map(|h| hex(&h))
    }
}

/// As good as the password.
impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1")
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// RFC 7616 §3.4.1, with `qop=auth` where there is a count and cnonce.
fn response(
    algorithm: Algorithm,
    ha1: &str,
    nonce: &str,
    count: Option<(&str, &str)>,
    method: &str,
    uri: &str,
) -> String {
    let ha2 = algorithm.hash(format!("{method}:{uri}").as_bytes());
    let whole = match count {
        Some((nc, cnonce)) => format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"),
        None => format!("{ha1}:{nonce}:{ha2}"),
    };
    algorithm.hash(whole.as_bytes())
}

/// Takes as long for a first wrong byte as for the last.
fn equal(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| std::hint::black_box(differ | (a ^ b)));
    a.len() == b.len() && differ == 0
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    text
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = syntax::hex(*high)? << 4 | syntax::hex(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono::from_nanos(1_000_000_000);

    fn verifier() -> Verifier {
        let algorithms = vec![Algorithm::Sha256, Algorithm::Md5];
        Verifier::new("baton".into(), algorithms, Mint::new([3; 32]))
    }

    fn login(password: &str) -> Login {
        Login { user: "ann".into(), password: Pii::new(password.into()) }
    }

    /// What a phone answers to `challenge`, with any count.
    fn counted(challenge: &Challenge, password: &str, nc: &str) -> Credentials {
        let algorithm = Algorithm::parse(&challenge.text("algorithm").unwrap()).unwrap();
        let nonce = challenge.text("nonce").unwrap();
        let ha1 = algorithm.hash(format!("ann:baton:{password}").as_bytes());
        let response = response(algorithm, &ha1, &nonce, Some((nc, "c")), "INVITE", "sip:1@h");
        Credentials::digest()
            .with("username", "ann")
            .with("realm", "baton")
            .with("nonce", &*nonce)
            .with("uri", "sip:1@h")
            .with("response", response.to_uppercase())
            .with("algorithm", algorithm.name())
            .with("qop", "auth")
            .with("nc", nc)
            .with("cnonce", "c")
    }

    fn verdict(verifier: &mut Verifier, now: Mono, credentials: &Credentials) -> Result<(), Denial> {
        let ha1 = Ha1::of("ann", "baton", "secret");
        verifier.verify(now, "INVITE", credentials, Some(&ha1))
    }

    #[test]
    fn the_examples_of_rfc_7616_are_reproduced() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let count = Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"));
        let ha1 = Ha1::of("Mufasa", "http-auth@example.org", "Circle of Life");
        let respond = |algorithm, ha1: Option<String>| {
            response(algorithm, &ha1.unwrap(), nonce, count, "GET", "/dir/index.html")
        };
        assert_eq!(respond(Algorithm::Md5, ha1.md5_hex()), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            respond(Algorithm::Sha256, ha1.sha256_hex()),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn the_example_of_rfc_2617_is_reproduced_without_qop() {
        // §3.5's user and nonce, hashed as RFC 2069 has it.
        let ha1 = Ha1::of("Mufasa", "testrealm@host.com", "Circle Of Life").md5_hex().unwrap();
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let digest = response(Algorithm::Md5, &ha1, nonce, None, "GET", "/dir/index.html");
        assert_eq!(digest, "670fd8c2df070c60b045671b8b24ff02");
    }

    #[test]
    fn either_algorithm_opens_the_door_and_a_wrong_password_does_not() {
        let mut verifier = verifier();
        let challenges: Vec<_> = verifier.challenges(NOW, Freshness::First).collect();
        assert_eq!(challenges[0].text("algorithm").as_deref(), Some("SHA-256"));
        for challenge in &challenges {
            assert_eq!(
                verdict(&mut verifier, NOW, &counted(challenge, "Secret", "00000009")),
                Err(Denial::Wrong)
            );
        }
        assert_eq!(verdict(&mut verifier, NOW, &counted(&challenges[0], "secret", "00000001")), Ok(()));
        assert_eq!(verdict(&mut verifier, NOW, &counted(&challenges[1], "secret", "00000002")), Ok(()));
    }

    #[test]
    fn an_account_without_the_hash_of_that_algorithm_is_refused() {
        let mut verifier = verifier();
        let challenge = verifier.challenges(NOW, Freshness::First).next().unwrap();
        let credentials = counted(&challenge, "secret", "00000001");
        let ha1 = Ha1 { sha256: None, ..Ha1::of("ann", "baton", "secret") };
        assert_eq!(verifier.verify(NOW, "INVITE", &credentials, Some(&ha1)), Err(Denial::Wrong));
        assert_eq!(verifier.verify(NOW, "INVITE", &credentials, None), Err(Denial::Wrong));
    }

    #[test]
    fn a_replay_is_stale_and_a_higher_count_is_not() {
        let mut verifier = verifier();
        let challenge = verifier.challenges(NOW, Freshness::First).next().unwrap();
        assert_eq!(verdict(&mut verifier, NOW, &counted(&challenge, "secret", "00000002")), Ok(()));
        for replayed in ["00000002", "00000001", "00000000"] {
            assert_eq!(
                verdict(&mut verifier, NOW, &counted(&challenge, "secret", replayed)),
                Err(Denial::Stale)
            );
        }
        assert_eq!(verdict(&mut verifier, NOW, &counted(&challenge, "secret", "0000000a")), Ok(()));
    }

    #[test]
    fn an_answer_is_good_for_one_method() {
        let mut verifier = verifier();
        let challenge = verifier.challenges(NOW, Freshness::First).next().unwrap();
        let credentials = counted(&challenge, "secret", "00000001");
        let ha1 = Ha1::of("ann", "baton", "secret");
        assert_eq!(verifier.verify(NOW, "REGISTER", &credentials, Some(&ha1)), Err(Denial::Wrong));
    }

    #[test]
    fn a_nonce_grows_stale_and_a_made_up_one_never_was_fresh() {
        let mut verifier = verifier();
        let challenge = verifier.challenges(NOW, Freshness::First).next().unwrap();
        let late = NOW + NONCE_LIFE + Duration::from_nanos(1);
        assert_eq!(
            verdict(&mut verifier, late, &counted(&challenge, "secret", "00000001")),
            Err(Denial::Stale)
        );
        let forged = Challenge::digest().with("algorithm", "MD5").with("nonce", "0".repeat(64));
        assert_eq!(verdict(&mut verifier, NOW, &counted(&forged, "secret", "00000001")), Err(Denial::Stale));
    }

    #[test]
    fn counts_are_bounded_and_what_is_forgotten_is_not_believed_again() {
        let mut verifier = verifier();
        let at = |n: usize| NOW + Duration::from_micros(n as u64);
        let first = verifier.challenges(at(0), Freshness::First).next().unwrap();
        assert_eq!(verdict(&mut verifier, at(0), &counted(&first, "secret", "00000001")), Ok(()));
        for n in 1..=NONCES {
            verifier.counts.insert(Nonce { made: at(n).as_nanos(), chance: 0 }, 1);
        }
        let last = verifier.challenges(at(NONCES + 1), Freshness::First).next().unwrap();
        assert_eq!(verdict(&mut verifier, at(NONCES + 1), &counted(&last, "secret", "00000001")), Ok(()));
        assert_eq!(verifier.counts.len(), NONCES);
        assert_eq!(
            verdict(&mut verifier, at(NONCES + 1), &counted(&first, "secret", "00000001")),
            Err(Denial::Stale)
        );
    }

    #[test]
    fn credentials_that_cannot_be_counted_or_read_are_refused() {
        let mut verifier = verifier();
        let challenge = verifier.challenges(NOW, Freshness::First).nth(1).unwrap();
        let whole = super::super::Value::from(counted(&challenge, "secret", "00000001"));
        let whole = whole.lossy().into_owned();
        let mut verdict =
            |text: String| verdict(&mut verifier, NOW, &Credentials::parse(text.into()).unwrap());
        for (from, to) in [
            ("Digest", "Basic"),
            (", qop=auth", ""),
            ("qop=auth", "qop=auth-int"),
            ("nc=00000001", "nc=1"),
            ("nc=00000001", "nc=+0000001"),
            ("algorithm=MD5", "algorithm=MD5-sess"),
            ("uri=", "url="),
            ("realm=\"baton\"", "realm=\"other\""),
        ] {
            let changed = whole.replacen(from, to, 1);
            assert_ne!(changed, whole);
            assert_eq!(verdict(changed.clone()), Err(Denial::Wrong), "{changed}");
        }
        assert_eq!(verdict(whole), Ok(()));
    }

    #[test]
    fn a_trunk_is_answered_in_the_form_it_asks_for() {
        let mut mint = Mint::new([1; 32]);
        let mut answered = |asked: &'static str| {
            let challenge = Challenge::parse(asked.into()).unwrap();
            answer(&challenge, &login("x"), "BYE", "sip:h", &mut mint)
        };
        let answer =
            answered("Digest realm=\"a \\\"b\\\"\", nonce=\"n\", opaque=\"o\", qop=\"auth-int,auth\"");
        let answer = answer.unwrap();
        assert_eq!(answer.text("realm").as_deref(), Some("a \"b\""));
        assert_eq!(
            (answer.text("nc").as_deref(), answer.text("opaque").as_deref()),
            (Some("00000001"), Some("o"))
        );
        assert!(Claim::of(&answer).is_some());

        let old = answered("Digest realm=\"r\", nonce=\"n\"").unwrap();
        assert_eq!(old.get("cnonce"), None);
        for other in [
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256",
            "Digest realm=\"r\"",
            "Negotiate abc",
        ] {
            assert!(answered(other).is_none(), "{other}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let shown = format!("{:?} {:?}", login("hush"), Ha1::of("a", "b", "c"));
        assert!(!shown.contains("hush") && shown.ends_with("Ha1"));
    }
}
