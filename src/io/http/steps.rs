//! Journey steps in, breakpoints out.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::{JourneysRead, Keyed, StepsWrite};
use super::body::{Asked, Json};
use super::problem::Problem;
use crate::gateway::Input;
use crate::io::store::PostFault;
use crate::journey::{Confidence, Identifier, IdentifierKind, step};

/// One step as it is posted. Unknown fields are refused.
#[derive(Serialize, ToSchema)]
pub struct Step {
    /// Unique per API key; makes the post idempotent.
    #[schema(max_length = 128, example = "018f-42")]
    id: String,
    /// One customer's attempt at one errand.
    #[schema(max_length = 128, example = "prepay-8891")]
    journey: String,
    /// The kind of errand.
    #[schema(max_length = 64, example = "mortgage-prepay")]
    topic: String,
    #[schema(max_length = 32, pattern = "^[a-z0-9_-]+$", example = "app")]
    channel: String,
    customer: Customer,
    #[schema(max_length = 64, example = "confirm-payment")]
    step: String,
    /// In words, for people.
    #[schema(max_length = 128, example = "Confirm payment")]
    label: Option<String>,
    /// Its place, from 1.
    #[schema(minimum = 1, example = 3)]
    ordinal: Option<u16>,
    #[schema(minimum = 1, example = 5)]
    total: Option<u16>,
    status: Status,
    /// Why it failed or was abandoned: a word the topic declares.
    #[schema(max_length = 128, example = "insufficient-funds")]
    reason: Option<String>,
    /// At most 16 KiB.
    data: Option<Object>,
    /// When it happened; when it is read, if not given. At most 5 minutes ahead.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<String>,
}

/// What a step or a breakpoint carries besides.
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object)]
pub struct Object(Map<String, Value>);

/// Whose step it is: at least one identifier.
#[derive(Serialize, ToSchema)]
pub struct Customer {
    /// E.164
    #[schema(example = "+8613800138000")]
    phone: Option<String>,
    account: Option<String>,
    /// The openid.
    wechat: Option<String>,
    email: Option<String>,
    name: Option<String>,
    tier: Option<String>,
    /// BCP 47
    #[schema(example = "zh-CN")]
    language: Option<String>,
    /// The identifiers you have checked yourself: only these ever link what is known of one person.
    verified: Option<Vec<Kind>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "journey::step reads it; here for the documentation")]
pub enum Kind {
    Phone,
    Account,
    Wechat,
    Email,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "journey::step reads it; here for the documentation")]
pub enum Status {
    Entered,
    Done,
    Failed,
    Abandoned,
}

/// One step, or several of which all are kept or none.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "journey::step reads it; here for the documentation")]
pub enum StepOrSteps {
    One(Box<Step>),
    Several(Vec<Step>),
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    /// Steps that are new, and durable.
    accepted: usize,
    /// Steps that had been posted before, word for word.
    duplicates: usize,
}

/// Post journey steps
///
/// Answered only after the steps are on the disk: what was answered with 200 survives a power cut.
/// A repeated `id` with the same content is a duplicate and no error.
#[utoipa::path(
    post, path = "/v1/steps", tag = "journeys",
    request_body = StepOrSteps,
    responses(
        (status = 200, description = "Durable", body = Accepted),
        (status = 400, description = "Not JSON", body = Problem),
        (status = 401, body = Problem, description = "No key, or an unknown one"),
        (status = 403, body = Problem, description = "The key lacks the scope"),
        (status = 409, description = "An `id` was posted before with other content", body = Problem),
        (status = 413, description = "More than 1 MiB", body = Problem),
        (status = 415, description = "Not application/json", body = Problem),
        (status = 422, description = "Not a step; `errors` point at every field", body = Problem),
        (status = 429, description = "More waits to be written than is held; nothing was kept", body = Problem),
        (status = 503, description = "The store cannot write; nothing was kept", body = Problem),
    ),
    security(("key" = ["steps:write"])),
)]
pub async fn post(
    State(api): State<Arc<Api>>,
    Keyed { key, .. }: Keyed<StepsWrite>,
    Json(body): Json<Value>,
) -> Result<axum::Json<Accepted>, Problem> {
    let now = api.clock.now().wall;
    let single = body.is_object();
    let steps = step::read_value(body, now)?;
    let tally = api.tally.clone();
    // On its own: a client that hangs up after the commit must not keep the news from the screens.
    let posting = tokio::spawn(async move {
        let receipt = api.store.post_steps(&key.brand, &key.prefix, steps, now).await?;
        if !receipt.touched.is_empty() {
            let posted = Input::Posted { brand: key.brand, customers: receipt.touched.clone() };
            // Stopping: the steps are durable all the same.
            let _ = api.line.tell(posted).await;
        }
        Ok::<_, PostFault>(receipt)
    });
    let receipt = match posting.await {
        Ok(Ok(receipt)) => receipt,
        Ok(Err(PostFault::Conflict { id, .. })) if single => {
            let what = format!("id {id:?} was posted before with other content");
            return Err(Problem::new(axum::http::StatusCode::CONFLICT, what)
                .at("/id", "posted before with other content"));
        }
        Ok(Err(fault)) => return Err(fault.into()),
        Err(_) => return Err(crate::io::line::Stopped.into()),
    };
    tally.steps.fetch_add(receipt.accepted as u64, Relaxed);
    Ok(axum::Json(Accepted { accepted: receipt.accepted, duplicates: receipt.duplicates }))
}

/// By what the customer is known: exactly one.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct By {
    /// E.164, `+` written as `%2B`
    phone: Option<String>,
    account: Option<String>,
    wechat: Option<String>,
    email: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Breakpoints {
    /// The one to speak of first in front.
    #[schema(value_type = Vec<Breakpoint>)]
    breakpoints: Vec<crate::journey::Breakpoint>,
}

/// Where a journey stopped.
#[derive(Serialize, ToSchema)]
pub struct Breakpoint {
    journey: String,
    topic: String,
    channel: String,
    step: String,
    label: Option<String>,
    ordinal: Option<u16>,
    total: Option<u16>,
    status: Status,
    reason: Option<String>,
    /// How often this step was tried.
    attempts: u32,
    /// Seconds since it stopped.
    age_s: u64,
    data: Object,
    /// In words, by language: `en`, `zh`.
    #[schema(value_type = Object, example = json!({"en": "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: insufficient funds, tried twice."}))]
    sentence: String,
}

/// Open breakpoints of a customer
///
/// A key speaks for a system of the brand's own, as sure of whom it asks about as of the steps it
/// posts: it is shown what the rung `token` is shown, which is everything.
#[utoipa::path(
    get, path = "/v1/breakpoints", tag = "journeys",
    params(By),
    responses(
        (status = 200, description = "Ranked; empty where nobody, or more than one, is known by that", body = Breakpoints),
        (status = 400, description = "Not exactly one identifier", body = Problem),
        (status = 422, description = "Not an identifier of that kind", body = Problem),
    ),
    security(("key" = ["journeys:read"])),
)]
pub async fn breakpoints(
    State(api): State<Arc<Api>>,
    Keyed { key, .. }: Keyed<JourneysRead>,
    Asked(by): Asked<By>,
) -> Result<axum::Json<Breakpoints>, Problem> {
    // An unescaped `+` arrives as a space.
    let phone = by.phone.map(|phone| phone.strip_prefix(' ').map(|rest| format!("+{rest}")).unwrap_or(phone));
    let given = [
        (IdentifierKind::Phone, "phone", phone),
        (IdentifierKind::Account, "account", by.account),
        (IdentifierKind::Wechat, "wechat", by.wechat),
        (IdentifierKind::Email, "email", by.email),
    ];
    let mut given = given.into_iter().filter_map(|(kind, name, value)| Some((kind, name, value?)));
    let (Some((kind, name, value)), None) = (given.next(), given.next()) else {
        return Err(Problem::bad_request("exactly one of phone, account, wechat, email is needed"));
    };
    let identifier = Identifier::parse(kind, &value)
        .map_err(|what| Problem::unprocessable("not an identifier of that kind").at(name, what))?;
    let config = api.config();
    let now = api.clock.now().wall;
    let breakpoints = api.store.breakpoints(&key.brand, identifier, &config.topics, now).await?;
    let breakpoints = breakpoints
        .iter()
        .filter_map(|found| found.shown_to(Confidence::Token, config.topics.topic(&found.topic)).0)
        .collect();
    Ok(axum::Json(Breakpoints { breakpoints }))
}
