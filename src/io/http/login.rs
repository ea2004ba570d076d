//! Agents' log-ins: a password for a token that expires.
//!
//! Passwords are Argon2id, checked off the event loops, few at a time. Failed attempts are limited
//! per agent and per source; an agent who does not exist costs what one who does costs. Tokens are
//! 256 random bits, kept as hashes and only in memory: a restart logs everybody out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::Api;
use super::auth::bearer;
use super::body::Json;
use super::listen::Peer;
use super::problem::Problem;
use super::tally::Tally;
use super::throttle::Throttle;
use crate::base::{AgentId, Mono, Pii, Wall};
use crate::config::Config;
use crate::io::secret;

/// Tokens an agent may hold at once; one more ends the oldest.
const TOKENS: usize = 8;
/// Passwords checked at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// How long a log-in may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_NAME: usize = 128;
const LONGEST_PASSWORD: usize = 1024;

/// Stands in for the hash of an agent who does not exist, where nobody has one: no password is
/// known that fits.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$YmF0b24gZGVjb3kgMQ$3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8";

/// Who is logged in.
pub struct Logins {
    state: Mutex<Inside>,
    turns: Semaphore,
}

struct Inside {
    by_agent: Throttle<AgentId>,
    by_source: Throttle<IpAddr>,
    tokens: HashMap<[u8; 32], Grant>,
    /// Oldest first.
    held: BTreeMap<AgentId, VecDeque<[u8; 32]>>,
}

struct Grant {
    agent: AgentId,
    /// The hash it was given for: with another password the token is void.
    password: String,
    expires: Mono,
    /// Dropped with the grant: whoever listens learns that it is over.
    over: watch::Sender<()>,
}

/// What a good token stands for.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub agent: AgentId,
    pub expires: Mono,
    /// `changed` returns when the token is no longer good before its time.
    pub over: watch::Receiver<()>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    #[schema(value_type = String, example = "anna")]
    agent: AgentId,
    #[schema(value_type = String, format = Password)]
    password: Pii<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Token {
    /// Goes into the first message of the agent's WebSocket.
    token: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Wall,
}

/// Log an agent in
///
/// Failed attempts are limited per agent and per source address.
#[utoipa::path(
    post, path = "/v1/login", tag = "agents",
    request_body = Credentials,
    responses(
        (status = 200, body = Token),
        (status = 401, description = "Wrong agent or password", body = Problem),
        (status = 429, description = "Too many failed attempts; Retry-After says how long to wait", body = Problem),
    ),
    security(()),
)]
pub async fn log_in(
    State(api): State<Arc<Api>>,
    Extension(peer): Extension<Peer>,
    Json(credentials): Json<Credentials>,
) -> Result<axum::Json<Token>, Problem> {
    let Credentials { agent, password } = credentials;
    if agent.as_str().len() > LONGEST_NAME || password.reveal().len() > LONGEST_PASSWORD {
        return Err(wrong());
    }
    let config = api.config();
    let source = network(peer.0.ip());
    let now = api.clock.now();
    api.logins.attempt(now.mono, &agent, source, config.security.logins_per_minute).inspect_err(|_| {
        Tally::count(&api.tally.logins_refused);
    })?;
    let known = config.agents.get(&agent).and_then(|known| known.password.clone());
    let hash = known.clone().unwrap_or_else(|| decoy(&config));
    let turn = timeout(PATIENCE, api.logins.turns.acquire()).await;
    let Ok(Ok(turn)) = turn else {
        let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many are logging in");
        return Err(busy.retry_after(2));
    };
    let good = tokio::task::spawn_blocking(move || secret::is_password(password.reveal(), &hash)).await;
    drop(turn);
    let (Ok(true), Some(password)) = (good, known) else {
        Tally::count(&api.tally.logins_refused);
        tracing::info!(%source, "log-in refused");
        return Err(wrong());
    };
    let life = config.security.token_life;
    let token = secret::random::<32>().map_err(|error| {
        tracing::error!(%error, "the operating system gives no randomness");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no token can be made")
    })?;
    let token = secret::hex(&token);
    let now = api.clock.now();
    api.logins.admit(now.mono, &token, agent, source, password, life);
    Tally::count(&api.tally.logins);
    Ok(axum::Json(Token { token, expires_at: now.wall + life }))
}

/// Log out
///
/// The token is void from now on, and the desktop that came with it is closed.
#[utoipa::path(
    delete, path = "/v1/login", tag = "agents",
    responses(
        (status = 204, description = "Logged out"),
        (status = 401, description = "No such token", body = Problem),
    ),
    security(("token" = [])),
)]
pub async fn log_out(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    if api.logins.revoke(bearer(&headers)?) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        let unknown = Problem::new(StatusCode::UNAUTHORIZED, "this token is not known");
        Err(unknown.challenge("Bearer realm=\"baton\", error=\"invalid_token\""))
    }
}

fn wrong() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "wrong agent or password").challenge("Bearer realm=\"baton\"")
}

/// As dear to check as a real one: the hash of somebody who cannot be logged in with it.
fn decoy(config: &Config) -> String {
    let real = config.agents.values().find_map(|agent| agent.password.as_deref());
    real.unwrap_or(DECOY).to_owned()
}

/// An IPv6 customer has a /64 to choose sources from.
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        ip => ip,
    }
}

impl Logins {
    pub fn new() -> Self {
        let state = Inside {
            by_agent: Throttle::new(),
            by_source: Throttle::new(),
            tokens: HashMap::new(),
            held: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), turns: Semaphore::new(AT_ONCE) }
    }

    /// Whose token it is, while it is good.
    pub fn who(&self, now: Mono, config: &Config, token: &str) -> Option<Admitted> {
        let mut state = self.state();
        let sha256 = secret::sha256(token.as_bytes());
        let grant = state.tokens.get(&sha256)?;
        let current = config.agents.get(&grant.agent).and_then(|agent| agent.password.as_ref());
        if now >= grant.expires || current != Some(&grant.password) {
            state.remove(&sha256);
            return None;
        }
        Some(Admitted { agent: grant.agent.clone(), expires: grant.expires, over: grant.over.subscribe() })
    }

    fn attempt(&self, now: Mono, agent: &AgentId, source: IpAddr, most: u32) -> Result<(), Problem> {
        let mut state = self.state();
        // The source first: one that is stopped does not count against the agents it names.
        let outcome = state
            .by_source
            .attempt(now, &source, most)
            .and_then(|()| state.by_agent.attempt(now, agent, most));
        outcome.map_err(|wait| {
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many failed log-ins");
            problem.retry_after(wait.as_secs() + 1)
        })
    }

    fn admit(
        &self,
        now: Mono,
        token: &str,
        agent: AgentId,
        source: IpAddr,
        password: String,
        life: Duration,
    ) {
        let mut state = self.state();
        state.by_source.forgive(&source);
        state.by_agent.forgive(&agent);
        let held = state.held.get(&agent).cloned().unwrap_or_default();
        let is_over = |sha256: &[u8; 32]| state.tokens.get(sha256).is_none_or(|grant| now >= grant.expires);
        let over: Vec<_> = held.iter().copied().filter(is_over).collect();
        for sha256 in over.iter().chain(held.front().filter(|_| held.len() - over.len() == TOKENS)) {
            state.remove(sha256);
        }
        let sha256 = secret::sha256(token.as_bytes());
        state.held.entry(agent.clone()).or_default().push_back(sha256);
        let grant = Grant { agent, password, expires: now + life, over: watch::Sender::new(()) };
        state.tokens.insert(sha256, grant);
    }

    fn revoke(&self, token: &str) -> bool {
        self.state().remove(&secret::sha256(token.as_bytes()))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Inside> {
        // Nothing here panics half-way; what is there is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn remove(&mut self, sha256: &[u8; 32]) -> bool {
        let Some(grant) = self.tokens.remove(sha256) else { return false };
        if let Some(held) = self.held.get_mut(&grant.agent) {
            held.retain(|other| other != sha256);
            if held.is_empty() {
                self.held.remove(&grant.agent);
            }
        }
        true
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logins")
    }
}

#[cfg(test)]
mod tests {
    use argon2::Params;
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    #[test]
    fn the_decoy_costs_what_a_real_password_costs() {
        let decoy = PasswordHash::new(DECOY).expect("in PHC form");
        let decoy = Params::try_from(&decoy).expect("Argon2");
        let real = Params::default();
        assert_eq!(
            (decoy.m_cost(), decoy.t_cost(), decoy.p_cost()),
            (real.m_cost(), real.t_cost(), real.p_cost())
        );
        assert!(!secret::is_password("", DECOY));
    }

    #[test]
    fn a_token_ends_with_its_time_and_with_too_many_others() {
        let config = super::super::tests::small_config();
        let password = config.agents[&"anna".into()].password.clone().expect("a password");
        let (logins, source) = (Logins::new(), IpAddr::from([127, 0, 0, 1]));
        let at = |seconds| Mono::ZERO + Duration::from_secs(seconds);
        let admit = |now, token: &str| {
            logins.admit(now, token, "anna".into(), source, password.clone(), Duration::from_secs(60));
        };
        admit(at(0), "first");
        assert!(logins.who(at(59), &config, "first").is_some());
        assert!(logins.who(at(60), &config, "first").is_none());
        for n in 0..=TOKENS {
            admit(at(100), &n.to_string());
        }
        assert!(logins.who(at(101), &config, "0").is_none());
        assert!((1..=TOKENS).all(|n| logins.who(at(101), &config, &n.to_string()).is_some()));
    }
}
