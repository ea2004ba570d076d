//! The agent's desktop: logs in over HTTP, then talks over the WebSocket.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::{Context, ensure};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::centre::{self, Agent, Papers};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub struct Desktop {
    socket: SplitSink<Socket, Message>,
    messages: mpsc::Receiver<anyhow::Result<Value>>,
    _reader: JoinSet<()>,
    /// Came while something else was waited for.
    aside: VecDeque<Value>,
    commands: u64,
}

impl Desktop {
    /// Returns when the daemon has welcomed it.
    pub async fn log_in(agent: &Agent, papers: &Papers) -> anyhow::Result<Self> {
        let credentials = json!({ "agent": agent.id, "password": agent.password });
        let login = centre::client()?.post(format!("{}/v1/login", papers.http)).json(&credentials);
        let response = login.send().await.context("POST /v1/login")?;
        ensure!(response.status().is_success(), "expected 200 to POST /v1/login; came {}", response.status());
        let token: Value = response.json().await.context("POST /v1/login")?;

        let mut upgrade =
            format!("{}/v1/agent", papers.http.replacen("http", "ws", 1)).into_client_request()?;
        upgrade.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("baton.v1"));
        let (socket, _) = connect_async(upgrade).await.context("GET /v1/agent")?;
        let (socket, incoming) = socket.split();
        let (to, messages) = mpsc::channel(256);
        let mut reader = JoinSet::new();
        reader.spawn(read(incoming, to));
        let mut desktop = Self { socket, messages, _reader: reader, aside: VecDeque::new(), commands: 0 };
        desktop.send(&json!({ "type": "hello", "token": token["token"] })).await?;
        desktop.until("welcome").await?;
        Ok(desktop)
    }

    pub async fn ready(&mut self) -> anyhow::Result<()> {
        self.command(json!({ "type": "set_state", "state": "ready" })).await
    }

    /// Says that this version is on the screen. Returns when it began to say so.
    pub async fn displayed(&mut self, pop: &Value) -> anyhow::Result<Instant> {
        let at = Instant::now();
        let displayed = json!({ "type": "displayed", "contact": pop["contact"], "version": pop["version"] });
        self.command(displayed).await?;
        Ok(at)
    }

    pub async fn file(&mut self, contact: &Value) -> anyhow::Result<()> {
        let command =
            json!({ "type": "disposition", "contact": contact, "code": "solved", "journey": "resolved" });
        self.command(command).await
    }

    /// Sends a command and waits for its reply.
    async fn command(&mut self, mut command: Value) -> anyhow::Result<()> {
        self.commands += 1;
        let id = self.commands.to_string();
        command["id"] = id.clone().into();
        self.send(&command).await?;
        let reply = self.until_one(|message| message["type"] == "reply" && message["re"] == *id).await?;
        ensure!(reply["ok"] == true, "expected {} to be done; came {reply}", command["type"]);
        Ok(())
    }

    /// Waits for a message of this type.
    pub async fn until(&mut self, kind: &str) -> anyhow::Result<Value> {
        self.until_one(|message| message["type"] == kind).await
    }

    async fn until_one(&mut self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        if let Some(found) = self.aside.iter().position(&wanted) {
            return self.aside.remove(found).context("found above");
        }
        loop {
            let message = self.next().await?;
            if wanted(&message) {
                return Ok(message);
            }
            self.aside.push_back(message);
        }
    }

    async fn next(&mut self) -> anyhow::Result<Value> {
        self.messages.recv().await.context("expected a message; the WebSocket broke")?
    }

    async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    /// Logs out of the WebSocket, politely.
    pub async fn close(mut self) {
        let _ = self.socket.close().await;
    }
}

/// Reads all the time, so that pings are answered while nothing is waited for.
async fn read(mut socket: SplitStream<Socket>, to: mpsc::Sender<anyhow::Result<Value>>) {
    while let Some(frame) = socket.next().await {
        let message = match frame {
            Ok(Message::Text(text)) => serde_json::from_str(&text).context("expected JSON"),
            Ok(Message::Close(why)) => Err(anyhow::anyhow!("expected a message; came a close: {why:?}")),
            Ok(_) => continue,
            Err(error) => Err(error.into()),
        };
        if to.send(message).await.is_err() {
            return;
        }
    }
}
