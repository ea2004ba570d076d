//! Hand-offs: a system of the brand's own says who is about to call, and gets a token that says
//! so once.
//!
//! A token is 256 random bits and is known to its bearer alone: the store keeps its hash, and the
//! same row says that it was used. A signature would need that row all the same to be good only
//! once, and a key to be looked after besides.

use std::sync::Arc;
use std::sync::PoisonError;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::auth::{HandoffsWrite, Keyed};
use super::body::Json;
use super::problem::Problem;
use super::steps::Customer;
use super::tally::Tally;
use crate::base::Wall;
use crate::io::secret;
use crate::journey::handoff::{self, TokenHash};

/// Who is about to call. Unknown fields are refused.
#[derive(Serialize, ToSchema)]
pub struct Handoff {
    customer: Whom,
    /// The one to speak of first.
    #[schema(max_length = 128, example = "prepay-8891")]
    journey: Option<String>,
    /// The call goes there at once, past the flow.
    #[schema(max_length = 128, example = "cards")]
    queue: Option<String>,
    /// How long the token is good; 300 if not given.
    #[schema(minimum = 1, maximum = 86400, example = 300)]
    ttl_s: Option<u32>,
}

/// Somebody known by our id, or as a step names them. Whom `verified` does not vouch for is
/// recognised no surer than by a number.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "journey::handoff reads it; here for the documentation")]
pub enum Whom {
    /// `cu_…`
    Known(String),
    Described(Box<Customer>),
}

#[derive(Serialize, ToSchema)]
pub struct Issued {
    /// The bearer of `POST /v1/calls`. Good once.
    token: String,
    /// Stands for the token where it cannot be typed.
    #[schema(pattern = "^[0-9]{8}$", example = "40718253")]
    code: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Wall,
}

/// Hand a customer over to a call
///
/// The token is good for one call that is really made, until it expires. Whoever calls with it is
/// recognised with confidence `token`, and their breakpoint is on the agent's screen before the phone rings.
#[utoipa::path(
    post, path = "/v1/handoffs", tag = "calls",
    request_body = Handoff,
    responses(
        (status = 201, description = "Durable", body = Issued),
        (status = 400, description = "Not JSON", body = Problem),
        (status = 401, body = Problem, description = "No key, or an unknown one"),
        (status = 403, body = Problem, description = "The key lacks the scope"),
        (status = 413, description = "Too large", body = Problem),
        (status = 415, description = "Not application/json", body = Problem),
        (status = 422, description = "Not a hand-off; `errors` point at every field", body = Problem),
        (status = 429, description = "Too many; Retry-After says how long to wait", body = Problem),
        (status = 503, description = "The store cannot write; nothing was kept", body = Problem),
    ),
    security(("key" = ["handoffs:write"])),
)]
pub async fn post(
    State(api): State<Arc<Api>>,
    Keyed { key, .. }: Keyed<HandoffsWrite>,
    Json(body): Json<Value>,
) -> Result<(StatusCode, axum::Json<Issued>), Problem> {
    let (config, now) = (api.config(), api.clock.now());
    let most = config.security.handoffs_per_minute;
    let attempt =
        api.issuers.lock().unwrap_or_else(PoisonError::into_inner).attempt(now.mono, &key.prefix, most);
    attempt.map_err(|wait| {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many hand-offs of this key");
        problem.retry_after(wait.as_secs() + 1)
    })?;
    let handoff = handoff::read(body).map_err(|faults| {
        let problem = Problem::unprocessable("not a hand-off as POST /v1/handoffs takes it");
        faults.into_iter().fold(problem, |problem, fault| problem.at(fault.pointer, fault.what))
    })?;
    if handoff.queue.as_ref().is_some_and(|queue| !config.queues.contains_key(queue)) {
        return Err(Problem::unprocessable("no such queue").at("/queue", "no such queue"));
    }
    let (token, hash) = draw::<32>()?;
    let expires_at = now.wall + handoff.life;
    let code = api.store.put_handoff(&key.brand, hash, handoff, now.wall).await?;
    Tally::count(&api.tally.handoffs);
    Ok((StatusCode::CREATED, axum::Json(Issued { token, code: code.0, expires_at })))
}

/// A secret of `N` random bytes in hexadecimal, and its hash.
pub fn draw<const N: usize>() -> Result<(String, TokenHash), Problem> {
    let bytes = secret::random::<N>().map_err(|error| {
        tracing::error!(%error, "the operating system gives no randomness");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no token can be made").retry_after(30)
    })?;
    let text = secret::hex(&bytes);
    let hash = hash(&text);
    Ok((text, hash))
}

pub fn hash(text: &str) -> TokenHash {
    TokenHash(secret::sha256(text.as_bytes()))
}
