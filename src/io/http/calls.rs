//! Click-to-call: a page's calls.
//!
//! No API key is in a page. A hand-off's token makes one call, and what the call's own secret may
//! do ends with it. A token is used up only by a call that is really made: it is looked at, the
//! gateway answers the offer, the store uses the token up for good, and only then the gateway goes
//! on with the call and the page gets its answer. Who is overtaken on the way is hung up on.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::Api;
use super::auth::bearer;
use super::body::{Json, Named};
use super::handoffs::{draw, hash};
use super::listen::Peer;
use super::login::network;
use super::problem::Problem;
use super::tally::Tally;
use super::throttle::Throttle;
use super::visit::Visitor;
use crate::base::CallId;
use crate::gateway::web::{Arrival, Done, Refusal, Request};
use crate::io::line::Stopped;
use crate::io::store::Redemption;
use crate::journey::handoff::{Binding, TokenHash};
use crate::sdp;

/// The largest body of a request, in bytes: an offer with every character escaped.
pub const LARGEST_BODY: usize = 7 * sdp::LONGEST;

/// What the calls' requests have in common.
#[derive(Debug)]
pub struct Door {
    refused: Mutex<Throttle<IpAddr>>,
    /// Tokens with which a call is being made.
    busy: Mutex<HashSet<TokenHash>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// SDP (RFC 8866), at most 16 KiB: one audio line, as `RTCPeerConnection.createOffer` writes it.
    #[schema(max_length = 16384)]
    sdp: String,
}

#[derive(Serialize, ToSchema)]
pub struct Called {
    #[schema(value_type = String, example = "ca_06c1y8g3a0f3v9h2k7m4n5p6q7")]
    call: CallId,
    /// The bearer of what is asked of this call from now on.
    secret: String,
    /// The answer to the offer.
    sdp: String,
}

#[derive(Serialize, ToSchema)]
pub struct Renewed {
    /// The answer to the offer.
    sdp: String,
}

/// Call
///
/// With a hand-off's token, from a page or an app. The token is used up by the answer 201 and by
/// nothing else. Pages may be of an origin that `[[click_to_call]]` lists.
#[utoipa::path(
    post, path = "/v1/calls", tag = "calls",
    request_body = Offer,
    responses(
        (status = 201, description = "The call is up", body = Called),
        (status = 401, description = "The token is not known, was used, or has expired", body = Problem),
        (status = 403, description = "Not from this origin, or the brand takes no such calls", body = Problem),
        (status = 409, description = "A call is being made with this token", body = Problem),
        (status = 413, description = "The offer is too long", body = Problem),
        (status = 422, description = "The offer is refused, and why; the token is still good", body = Problem),
        (status = 429, description = "Too many were refused; Retry-After says how long to wait", body = Problem),
        (status = 503, description = "No calls are taken now; Retry-After says when to try again", body = Problem),
    ),
    security(("handoff" = [])),
)]
pub async fn post(
    State(api): State<Arc<Api>>,
    presented: Presented,
    Json(Offer { sdp }): Json<Offer>,
) -> Result<(StatusCode, axum::Json<Called>), Problem> {
    let offer = checked(sdp)?;
    let turn = Turn::take(api.clone(), presented.token)
        .ok_or_else(|| Problem::new(StatusCode::CONFLICT, "a call is being made with this token"))?;
    let (to, from) = oneshot::channel();
    // On its own: who goes away in the middle leaves no call half made.
    let source = presented.source;
    tokio::spawn(async move {
        let called = call(&turn.api, presented, offer).await;
        if let Err(Ok(called)) = to.send(called) {
            let (call, secret) = (called.call, hash(&called.secret));
            let _ = turn.api.line.web(Request::HangUp { call, secret }).await;
        }
    });
    let called = from.await.unwrap_or_else(|_| Err(Stopped.into()))?;
    api.door.forgive(source);
    Tally::count(&api.tally.web_calls);
    Ok((StatusCode::CREATED, axum::Json(called)))
}

async fn call(api: &Api, presented: Presented, offer: Bytes) -> Result<Called, Problem> {
    let Presented { token, binding, .. } = presented;
    let dossier = api.store.revisit(&binding.brand, binding.customer, binding.confidence).await?;
    let (secret, known_by) = draw::<16>()?;
    let arrival = Arrival { binding, dossier, secret: known_by, offer };
    let (call, answer) = answered(api.line.web(Request::Call(Box::new(arrival))).await?)?;
    let used = api.store.use_handoff(token, api.clock.now().wall).await;
    if used != Ok(Redemption::Redeemed) {
        let _ = api.line.web(Request::HangUp { call, secret: known_by }).await;
        return Err(used.map_or_else(Problem::from, |_| unknown_token()));
    }
    api.line.web(Request::Confirm { call }).await?.map_err(|_| {
        // Everybody was hung up on in between.
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the call is over already").retry_after(30)
    })?;
    Ok(Called { call, secret, sdp: text(&answer) })
}

/// Re-attach a call
///
/// After the page was loaded again or its network changed: the same call goes on with a new offer.
#[utoipa::path(
    patch, path = "/v1/calls/{id}", tag = "calls",
    params(("id" = String, Path)),
    request_body = Offer,
    responses(
        (status = 200, description = "It goes on", body = Renewed),
        (status = 401, description = "No call of that id with that secret is up", body = Problem),
        (status = 403, description = "Not from this origin", body = Problem),
        (status = 404, description = "Not the id of a call", body = Problem),
        (status = 409, description = "An offer of ours is under way", body = Problem),
        (status = 413, description = "The offer is too long", body = Problem),
        (status = 422, description = "The offer is refused, and why; the call goes on as it was", body = Problem),
        (status = 429, description = "Too many were refused; Retry-After says how long to wait", body = Problem),
    ),
    security(("call" = [])),
)]
pub async fn renew(
    State(api): State<Arc<Api>>,
    Named(call): Named<CallId>,
    Secret { secret, source }: Secret,
    Json(Offer { sdp }): Json<Offer>,
) -> Result<axum::Json<Renewed>, Problem> {
    let offer = checked(sdp)?;
    let (_, answer) = answered(api.line.web(Request::Renew { call, secret, offer }).await?)?;
    api.door.forgive(source);
    Ok(axum::Json(Renewed { sdp: text(&answer) }))
}

/// Hang up
#[utoipa::path(
    delete, path = "/v1/calls/{id}", tag = "calls",
    params(("id" = String, Path)),
    responses(
        (status = 204, description = "The call is over"),
        (status = 401, description = "No call of that id with that secret is up", body = Problem),
        (status = 404, description = "Not the id of a call", body = Problem),
    ),
    security(("call" = [])),
)]
pub async fn hang_up(
    State(api): State<Arc<Api>>,
    Named(call): Named<CallId>,
    Secret { secret, source }: Secret,
) -> Result<StatusCode, Problem> {
    api.line.web(Request::HangUp { call, secret }).await?.map_err(refused)?;
    api.door.forgive(source);
    Ok(StatusCode::NO_CONTENT)
}

/// A request that bears a good token, from where its brand's calls may come. Refused before the
/// body is read.
#[derive(Debug)]
pub struct Presented {
    token: TokenHash,
    binding: Binding,
    source: IpAddr,
}

impl FromRequestParts<Arc<Api>> for Presented {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let source = api.door.attempt(parts, api)?;
        let token = hash(bearer(&parts.headers)?);
        let binding = api.store.handoff(token, api.clock.now().wall).await?.ok_or_else(unknown_token)?;
        let visitor = parts.extensions.get::<Visitor>();
        if visitor.is_some_and(|visitor| !visitor.may_call(&binding.brand, &api.config())) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "this brand takes no calls from this origin"));
        }
        Ok(Self { token, binding, source })
    }
}

/// A request that bears the secret of a call, or says so.
#[derive(Debug)]
pub struct Secret {
    secret: TokenHash,
    source: IpAddr,
}

impl FromRequestParts<Arc<Api>> for Secret {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let source = api.door.attempt(parts, api)?;
        Ok(Self { secret: hash(bearer(&parts.headers)?), source })
    }
}

impl Door {
    pub fn new() -> Self {
        Self { refused: Mutex::new(Throttle::new()), busy: Mutex::default() }
    }

    /// Counts as refused until it is forgiven.
    fn attempt(&self, parts: &Parts, api: &Api) -> Result<IpAddr, Problem> {
        let peer = parts.extensions.get::<Peer>().map(|peer| network(peer.0.ip()));
        let source = peer.ok_or_else(|| Problem::bad_request("from nowhere"))?;
        let (now, most) = (api.clock.now().mono, api.config().security.calls_per_minute);
        self.tries(|refused| refused.attempt(now, &source, most)).map(|()| source).map_err(too_many)
    }

    fn forgive(&self, source: IpAddr) {
        self.tries(|refused| refused.forgive(&source));
    }

    fn tries<T>(&self, ask: impl FnOnce(&mut Throttle<IpAddr>) -> T) -> T {
        ask(&mut self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn too_many(wait: Duration) -> Problem {
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many calls from here were refused");
    problem.retry_after(wait.as_secs() + 1)
}

/// The one attempt that is made with a token at a time.
struct Turn {
    api: Arc<Api>,
    token: TokenHash,
}

impl Turn {
    fn take(api: Arc<Api>, token: TokenHash) -> Option<Self> {
        let free = api.door.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(token);
        free.then_some(Self { api, token })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.api.door.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

fn checked(sdp: String) -> Result<Bytes, Problem> {
    if sdp.len() > sdp::LONGEST {
        let what = format!("an offer may have {} bytes", sdp::LONGEST);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what.clone()).at("/sdp", what));
    }
    Ok(sdp.into())
}

fn answered(outcome: Result<Done, Refusal>) -> Result<(CallId, Bytes), Problem> {
    match outcome.map_err(refused)? {
        Done::Answered { call, answer } => Ok((call, answer)),
        // Nothing else answers an offer.
        Done::Confirmed | Done::HungUp => Err(Stopped.into()),
    }
}

/// One answer, whatever the token lacks.
fn unknown_token() -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "this token is not known, was used, or has expired");
    problem.challenge("Bearer realm=\"baton\", error=\"invalid_token\"")
}

fn refused(refusal: Refusal) -> Problem {
    let what = refusal.to_string();
    match refusal {
        Refusal::Unknown => {
            Problem::new(StatusCode::UNAUTHORIZED, "no call of that id with that secret is up")
                .challenge("Bearer realm=\"baton\", error=\"invalid_token\"")
        }
        Refusal::Offer(sdp::Refusal::Glare) => Problem::new(StatusCode::CONFLICT, what),
        Refusal::Offer(_) => Problem::unprocessable(format!("the offer is refused: {what}")).at("/sdp", what),
        Refusal::NoEntrance => Problem::new(StatusCode::FORBIDDEN, what),
        Refusal::Draining => Problem::new(StatusCode::SERVICE_UNAVAILABLE, what).retry_after(30),
        Refusal::Congestion => Problem::new(StatusCode::SERVICE_UNAVAILABLE, what).retry_after(5),
    }
}

/// What the negotiator writes is ASCII.
fn text(sdp: &Bytes) -> String {
    String::from_utf8_lossy(sdp).into_owned()
}
