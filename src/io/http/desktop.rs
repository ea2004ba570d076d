//! The agent's WebSocket: `/v1/agent`, sub-protocol `baton.v1` (RFC 6455).
//!
//! One task owns the socket: it writes what the gateway pushes and tells the gateway what the
//! desktop commands. A desktop that does not read is closed when its queue is full; what it missed
//! is replayed when it comes back. Nothing a desktop sends ends more than its own connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at};

use super::Api;
use super::login::Admitted;
use super::problem::Problem;
use super::stopped;
use super::tally::Tally;
use crate::cti::{Command, Push};
use crate::gateway::Input;
use crate::gateway::desk::ConnectionId;
use crate::io::line::Frame;
use crate::io::socket::is_too_big;

pub const PROTOCOL: &str = "baton.v1";

const LARGEST_MESSAGE: usize = 16 * 1024;
/// Frames waiting to be written; a snapshot and a full replay fit.
const QUEUE: usize = 512;
/// A frame is written within this, or the desktop is too slow.
const WRITTEN: Duration = Duration::from_secs(10);
/// Pings without a word from the desktop.
const MISSED: u32 = 2;
/// Commands a second, and how many at once. Past this they are refused.
const PACE: f64 = 20.0;
const BURST: f64 = 40.0;
/// Refused commands after which the desktop is taken for broken.
const PATIENCE: u32 = 200;
/// The longest `id` of a command, in bytes: it is remembered.
const LONGEST_ID: usize = 64;

/// Why we close (RFC 6455 §7.4; 4000 and up are our own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// The daemon stops: come back soon.
    GoingAway,
    /// A message larger than [`LARGEST_MESSAGE`].
    TooBig,
    /// No hello in time, or something else than one.
    NoHello,
    /// The agent logged in elsewhere, or is no longer one.
    TakenOver,
    /// The token is not good, or no longer.
    Unauthorised,
    TooSlow,
    TooFast,
    /// It is silent: nobody is there to read a reason.
    Gone,
}

impl Close {
    const fn frame(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::GoingAway => (1001, "stopping"),
            Self::TooBig => (1009, "message too big"),
            Self::NoHello => (4400, "hello expected"),
            Self::TakenOver => (4001, "taken over"),
            Self::Unauthorised => (4401, "token not good"),
            Self::TooSlow => (4408, "too slow"),
            Self::TooFast => (4429, "too many commands"),
            Self::Gone => return None,
        })
    }
}

/// The first message.
#[derive(Deserialize)]
struct Hello {
    r#type: String,
    token: String,
    resume_from: Option<u64>,
}

/// What the gateway pushes, with its number.
#[derive(Serialize)]
struct Numbered<'a> {
    seq: u64,
    #[serde(flatten)]
    push: &'a Push,
}

/// An agent's desktop
///
/// WebSocket, sub-protocol `baton.v1`. The first message is `{"type":"hello","token":…}`, within 5
/// seconds; `resume_from` is the last `seq` seen. Closed with 4001 when the agent logs in elsewhere,
/// 4401 when the token is not good, 4408 when the desktop does not read, 4429 when it sends too much.
#[utoipa::path(
    get, path = "/v1/agent", tag = "agents",
    responses(
        (status = 101, description = "Switched to WebSocket"),
        (status = 400, body = Problem, description = "Not a WebSocket of sub-protocol `baton.v1`"),
    ),
    security(()),
)]
pub async fn open(
    State(api): State<Arc<Api>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return Problem::bad_request("this is a WebSocket").into_response();
    };
    let upgrade =
        upgrade.protocols([PROTOCOL]).max_message_size(LARGEST_MESSAGE).max_frame_size(LARGEST_MESSAGE);
    if upgrade.selected_protocol().is_none() {
        return Problem::bad_request("the sub-protocol is baton.v1").into_response();
    }
    upgrade.on_upgrade(move |socket| welcome(api, socket))
}

async fn welcome(api: Arc<Api>, mut socket: WebSocket) {
    let close = match greet(&api, &mut socket).await {
        Ok((hello, admitted)) => serve(&api, &mut socket, hello.resume_from, admitted).await,
        Err(close) => close,
    };
    if let Some((code, reason)) = close.frame() {
        let frame = CloseFrame { code, reason: reason.into() };
        let closing = async {
            // Nothing follows: what was refused may be refused to nobody.
            let _ = socket.send(Message::Close(Some(frame))).await;
            // RFC 6455 §7.1.1: the peer's close ends it, and lets ours arrive.
            while let Some(Ok(_)) = socket.recv().await {}
        };
        let _ = timeout(Duration::from_secs(2), closing).await;
    }
}

/// Waits for the hello, and checks whose it is.
async fn greet(api: &Api, socket: &mut WebSocket) -> Result<(Hello, Admitted), Close> {
    let deadline = Instant::now() + api.patience.hello;
    let text = loop {
        match timeout_at(deadline, socket.recv()).await {
            Ok(Some(Ok(Message::Text(text)))) => break text,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Binary(_)))) | Err(_) => return Err(Close::NoHello),
            Ok(Some(Ok(Message::Close(_))) | None) => return Err(Close::Gone),
            Ok(Some(Err(_))) => return Err(Close::TooBig),
        }
    };
    let hello: Hello = serde_json::from_str(&text).map_err(|_| Close::NoHello)?;
    if hello.r#type != "hello" {
        return Err(Close::NoHello);
    }
    let admitted =
        api.logins.who(api.clock.mono(), &api.config(), &hello.token).ok_or(Close::Unauthorised)?;
    Ok((hello, admitted))
}

/// Attached from here to the end, and detached whatever the end is.
async fn serve(api: &Api, socket: &mut WebSocket, resume_from: Option<u64>, admitted: Admitted) -> Close {
    let connection = ConnectionId(api.connections.fetch_add(1, Ordering::Relaxed));
    let (to, frames) = mpsc::channel(QUEUE);
    if api.line.attach(connection, admitted.agent.clone(), resume_from, to).await.is_err() {
        return Close::GoingAway;
    }
    let _counted = Counted::new(&api.tally.desktops);
    tracing::info!(agent = %admitted.agent, connection = connection.0, "desktop connected");
    let expires = Instant::from_std(api.clock.instant(admitted.expires));
    let mut desktop = Desktop {
        api,
        socket,
        connection,
        frames,
        silent: 0,
        allowance: Allowance { tokens: BURST, at: Instant::now() },
        refused: 0,
    };
    let close = desktop.run(expires, admitted.over).await;
    if close == Close::TooSlow {
        Tally::count(&api.tally.desktops_too_slow);
    }
    tracing::info!(agent = %admitted.agent, connection = connection.0, ?close, "desktop gone");
    // Where the loop is gone there is nobody to tell.
    let _ = api.line.tell(Input::Detached { connection }).await;
    close
}

struct Desktop<'a> {
    api: &'a Api,
    socket: &'a mut WebSocket,
    connection: ConnectionId,
    frames: mpsc::Receiver<Frame>,
    /// Pings since the desktop last said anything.
    silent: u32,
    allowance: Allowance,
    refused: u32,
}

impl Desktop<'_> {
    async fn run(&mut self, expires: Instant, mut over: watch::Receiver<()>) -> Close {
        let mut stop = self.api.stop.clone();
        let mut ping = interval_at(Instant::now() + self.api.patience.ping, self.api.patience.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expiry = std::pin::pin!(sleep_until(expires));
        loop {
            let step = tokio::select! {
                // Fair: a flood from one side does not starve the other.
                frame = self.frames.recv() => self.write(frame).await,
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.hear(message).await,
                    Some(Err(error)) => Err(if is_too_big(&error) { Close::TooBig } else { Close::Gone }),
                    None => Err(Close::Gone),
                },
                _ = ping.tick() => self.ping().await,
                _ = over.changed() => Err(Close::Unauthorised),
                () = &mut expiry => Err(Close::Unauthorised),
                () = stopped(&mut stop) => Err(Close::GoingAway),
            };
            if let Err(close) = step {
                return close;
            }
        }
    }

    async fn write(&mut self, frame: Option<Frame>) -> Result<(), Close> {
        match frame {
            Some(Frame::Push { seq, push }) => match serde_json::to_string(&Numbered { seq, push: &push }) {
                Ok(text) => self.send(Message::Text(text.into())).await,
                Err(error) => {
                    tracing::error!(%error, "a push cannot be written");
                    Ok(())
                }
            },
            Some(Frame::Dismiss) => Err(Close::TakenOver),
            // The loop let go of a queue that was full.
            None => Err(Close::TooSlow),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Close> {
        match timeout(WRITTEN, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Close::Gone),
            Err(_) => Err(Close::TooSlow),
        }
    }

    async fn ping(&mut self) -> Result<(), Close> {
        if self.silent == MISSED {
            return Err(Close::Gone);
        }
        self.silent += 1;
        self.send(Message::Ping(Default::default())).await
    }

    async fn hear(&mut self, message: Message) -> Result<(), Close> {
        self.silent = 0;
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(Close::Gone),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Binary(_) => return self.refuse(None, "not_text").await,
        };
        if !self.allowance.take(Instant::now()) {
            self.refused += 1;
            if self.refused > PATIENCE {
                return Err(Close::TooFast);
            }
            return self.refuse(id_of(&text), "too_fast").await;
        }
        match serde_json::from_str::<Command>(&text) {
            Ok(command) if command.id.is_empty() || command.id.len() > LONGEST_ID => {
                self.refuse(None, "id_too_long").await
            }
            Ok(command) => {
                Tally::count(&self.api.tally.commands);
                let said = Input::Said { connection: self.connection, command };
                self.api.line.tell(said).await.map_err(|_| Close::GoingAway)
            }
            Err(_) => self.refuse(id_of(&text), "malformed").await,
        }
    }

    /// Refused before it reached the gateway, so without a `seq`.
    async fn refuse(&mut self, re: Option<String>, error: &str) -> Result<(), Close> {
        let answer = match re {
            Some(re) => json!({ "type": "reply", "re": re, "ok": false, "error": error }),
            None => json!({ "type": "error", "error": error }),
        };
        self.send(Message::Text(answer.to_string().into())).await
    }
}

/// The id of a command that is otherwise not understood.
fn id_of(text: &str) -> Option<String> {
    let command: Value = serde_json::from_str(text).ok()?;
    let id = command.get("id")?.as_str()?;
    (!id.is_empty() && id.len() <= LONGEST_ID).then(|| id.to_owned())
}

/// A bucket of commands that fills with time.
#[derive(Debug)]
struct Allowance {
    tokens: f64,
    at: Instant,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let filled = now.saturating_duration_since(self.at).as_secs_f64() * PACE;
        self.tokens = (self.tokens + filled).min(BURST);
        self.at = now;
        let enough = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(enough));
        enough
    }
}

/// Counted for as long as it lives.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(gauge: &'a AtomicU64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
