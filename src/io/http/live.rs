//! What goes on now: queues, agents, calls; and the operator's commands.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::auth::{Admin, AgentsRead, Keyed};
use super::body::{Json, Named};
use super::problem::Problem;
use crate::acd::{self, State as Doing, Wish};
use crate::base::AgentId;
use crate::config::fault::Fault;
use crate::cti::Wanted;
use crate::gateway::Input;
use crate::gateway::view::{AgentView, CallView};

/// The longest word an agent's absence is given, in bytes.
const LONGEST_REASON: usize = 64;

#[derive(Debug, Serialize, ToSchema)]
pub struct Queues {
    queues: Vec<Queue>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Queue {
    #[schema(example = "cards")]
    queue: String,
    /// Contacts in line.
    waiting: usize,
    /// Of those in line, whose page or phone is away for a moment; they are offered once it is back.
    away: usize,
    /// Contacts ringing at an agent.
    offered: usize,
    talking: usize,
    longest_wait_ms: Option<u64>,
    /// What a newcomer may expect; null until the queue has served somebody who had to wait.
    expected_wait_ms: Option<u64>,
    agents: Roster,
    counts: Counts,
    /// 0 to 1, since the daemon began.
    service_level: Option<f64>,
}

/// The queue's agents, by state.
#[derive(Debug, Serialize, ToSchema)]
pub struct Roster {
    not_ready: usize,
    ready: usize,
    offered: usize,
    talking: usize,
    wrap_up: usize,
    busy: usize,
}

/// Since the daemon began.
#[derive(Debug, Serialize, ToSchema)]
pub struct Counts {
    entered: u64,
    answered: u64,
    answered_in_time: u64,
    abandoned: u64,
    abandoned_in_time: u64,
    overflowed: u64,
    rang_out: u64,
    declined: u64,
    unreachable: u64,
    /// Waiting time of those answered, added up.
    wait_answered_ms: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Agents {
    agents: Vec<Agent>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Agent {
    #[schema(example = "anna")]
    agent: String,
    name: String,
    /// `not_ready`, `ready`, `offered`, `talking`, `wrap_up`, `busy`
    state: &'static str,
    /// Of an absence.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The contact that holds the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
    since_ms: u64,
    /// What the agent will be when nothing holds it: `ready` or `not_ready`.
    wish: &'static str,
    /// Contacts answered since the agent last logged out.
    answered: u64,
    /// Whether a desktop is connected.
    desktop: bool,
    /// Whether the phone can be rung, as far as we know.
    phone: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Calls {
    calls: Vec<Call>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Call {
    contact: String,
    call: String,
    /// Masked.
    #[schema(example = "+86*********00")]
    caller: Option<String>,
    flow: String,
    /// `ivr`, `queue`, `ring`, `talk`, `hold`, …
    #[schema(value_type = String)]
    stage: Value,
    queue: Option<String>,
    agent: Option<String>,
    /// Since the INVITE.
    ms: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or `draining`: no new calls are taken.
    status: &'static str,
    version: &'static str,
    calls: usize,
    waiting: usize,
    /// Socket pairs ready for new calls.
    sockets: usize,
    /// Transactions the store has committed.
    commits: u64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wished {
    #[schema(value_type = String, pattern = "^(ready|not_ready)$", example = "not_ready")]
    state: Wanted,
    /// Needed for `not_ready`: break, lunch, training …
    #[schema(max_length = 64, example = "break")]
    reason: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Reloaded {
    reloaded: bool,
}

/// Queues now
#[utoipa::path(
    get, path = "/v1/queues", tag = "live", responses((status = 200, body = Queues)),
    security(("key" = ["agents:read"])),
)]
pub async fn queues(
    State(api): State<Arc<Api>>,
    _: Keyed<AgentsRead>,
) -> Result<axum::Json<Queues>, Problem> {
    let queues = api.line.look(|gateway, now| gateway.queues(now)).await?;
    Ok(axum::Json(Queues { queues: queues.into_iter().map(Queue::from).collect() }))
}

/// Agents now
#[utoipa::path(
    get, path = "/v1/agents", tag = "live", responses((status = 200, body = Agents)),
    security(("key" = ["agents:read"])),
)]
pub async fn agents(
    State(api): State<Arc<Api>>,
    _: Keyed<AgentsRead>,
) -> Result<axum::Json<Agents>, Problem> {
    let agents = api.line.look(|gateway, now| gateway.agents(now)).await?;
    Ok(axum::Json(Agents { agents: agents.into_iter().map(Agent::from).collect() }))
}

/// Set an agent's state
///
/// It takes effect at once, or when the contact that holds the agent is over.
#[utoipa::path(
    put, path = "/v1/agents/{id}/state", tag = "live",
    params(("id" = String, Path, example = "anna")),
    request_body = Wished,
    responses(
        (status = 204, description = "Told"),
        (status = 404, body = Problem, description = "No such agent"),
        (status = 422, body = Problem, description = "No such state, or no reason"),
    ),
    security(("key" = ["admin"])),
)]
pub async fn set_state(
    State(api): State<Arc<Api>>,
    _: Keyed<Admin>,
    Named(agent): Named<String>,
    Json(wished): Json<Wished>,
) -> Result<StatusCode, Problem> {
    let agent = AgentId::from(agent.as_str());
    if !api.config().agents.contains_key(&agent) {
        return Err(Problem::not_found("no such agent"));
    }
    let wish = match (wished.state, wished.reason) {
        (Wanted::Ready, _) => Wish::Ready,
        (Wanted::NotReady, Some(reason)) if !reason.is_empty() && reason.len() <= LONGEST_REASON => {
            Wish::NotReady(acd::Reason::Named(reason))
        }
        (Wanted::NotReady, _) => {
            let what = format!("not_ready needs a reason of at most {LONGEST_REASON} bytes");
            return Err(Problem::unprocessable(what.clone()).at("/reason", what));
        }
    };
    api.line.tell(Input::Wish { agent, wish }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Calls that are up
#[utoipa::path(
    get, path = "/v1/calls", tag = "live", responses((status = 200, body = Calls)),
    security(("key" = ["agents:read"])),
)]
pub async fn calls(State(api): State<Arc<Api>>, _: Keyed<AgentsRead>) -> Result<axum::Json<Calls>, Problem> {
    let calls = api.line.look(|gateway, now| gateway.calls(now)).await?;
    Ok(axum::Json(Calls { calls: calls.into_iter().map(Call::from).collect() }))
}

/// How the daemon is
#[utoipa::path(
    get, path = "/v1/health", tag = "live", responses((status = 200, body = Health)),
    security(("key" = ["agents:read"])),
)]
pub async fn health(
    State(api): State<Arc<Api>>,
    _: Keyed<AgentsRead>,
) -> Result<axum::Json<Health>, Problem> {
    let health = api.line.look(|gateway, now| gateway.health(now)).await?;
    Ok(axum::Json(Health {
        status: if health.draining { "draining" } else { "ok" },
        version: env!("CARGO_PKG_VERSION"),
        calls: health.calls,
        waiting: health.waiting,
        sockets: health.sockets,
        commits: api.store.commits(),
    }))
}

/// Read the configuration again
///
/// With any fault the old one stays in force, and the faults are told.
#[utoipa::path(
    post, path = "/v1/admin/reload", tag = "admin",
    responses(
        (status = 200, body = Reloaded),
        (status = 422, body = Problem, description = "Faulty: `pointer` is FILE:LINE:COL"),
    ),
    security(("key" = ["admin"])),
)]
pub async fn reload(State(api): State<Arc<Api>>, _: Keyed<Admin>) -> Result<axum::Json<Reloaded>, Problem> {
    match api.line.reload().await? {
        Ok(()) => Ok(axum::Json(Reloaded { reloaded: true })),
        Err(faults) => {
            let problem = Problem::unprocessable("the configuration is faulty; the old one stays in force");
            Err(faults.into_iter().fold(problem, |problem, fault| {
                let Fault { file, line, column, what } = fault;
                let place = if line == 0 { file } else { format!("{file}:{line}:{column}") };
                problem.at(place, what)
            }))
        }
    }
}

/// Take no new calls
///
/// Those that are up end by themselves.
#[utoipa::path(
    post, path = "/v1/admin/drain", tag = "admin",
    responses((status = 202, description = "Draining")),
    security(("key" = ["admin"])),
)]
pub async fn drain(State(api): State<Arc<Api>>, _: Keyed<Admin>) -> Result<StatusCode, Problem> {
    api.line.drain().await?;
    Ok(StatusCode::ACCEPTED)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl From<acd::queue::View> for Queue {
    fn from(view: acd::queue::View) -> Self {
        let agents = view.agents;
        let counts = view.counts;
        Self {
            queue: view.queue.to_string(),
            waiting: view.waiting,
            away: view.away,
            offered: view.offered,
            talking: view.talking,
            longest_wait_ms: view.longest_wait.map(millis),
            expected_wait_ms: view.expected_wait.map(millis),
            agents: Roster {
                not_ready: agents.not_ready,
                ready: agents.ready,
                offered: agents.offered,
                talking: agents.talking,
                wrap_up: agents.wrap_up,
                busy: agents.busy,
            },
            counts: Counts {
                entered: counts.entered,
                answered: counts.answered,
                answered_in_time: counts.answered_in_time,
                abandoned: counts.abandoned,
                abandoned_in_time: counts.abandoned_in_time,
                overflowed: counts.overflowed,
                rang_out: counts.rang_out,
                declined: counts.declined,
                unreachable: counts.unreachable,
                wait_answered_ms: millis(counts.wait_answered),
            },
            service_level: view.service_level,
        }
    }
}

impl From<AgentView> for Agent {
    fn from(view: AgentView) -> Self {
        let AgentView { state, name, desktop, phone } = view;
        Self {
            agent: state.agent.to_string(),
            name,
            state: state_name(&state.state),
            contact: state.state.contact().map(|contact| contact.to_string()),
            reason: match &state.state {
                Doing::NotReady { reason } => Some(reason_name(reason)),
                _ => None,
            },
            since_ms: millis(state.since),
            wish: match state.wish {
                Wish::Ready => "ready",
                Wish::NotReady(_) => "not_ready",
            },
            answered: state.answered,
            desktop,
            phone,
        }
    }
}

impl From<CallView> for Call {
    fn from(view: CallView) -> Self {
        Self {
            contact: view.contact.to_string(),
            call: view.call.to_string(),
            caller: view.caller,
            flow: view.flow.to_string(),
            stage: serde_json::to_value(view.stage).unwrap_or_default(),
            queue: view.queue.map(|queue| queue.to_string()),
            agent: view.agent.map(|agent| agent.to_string()),
            ms: view.ms,
        }
    }
}

pub fn state_name(state: &Doing) -> &'static str {
    match state {
        Doing::NotReady { .. } => "not_ready",
        Doing::Ready => "ready",
        Doing::Offered { .. } => "offered",
        Doing::Talking { .. } => "talking",
        Doing::WrapUp { .. } => "wrap_up",
        Doing::Busy => "busy",
    }
}

fn reason_name(reason: &acd::Reason) -> String {
    let word = serde_json::to_value(reason).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}
