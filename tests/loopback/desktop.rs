//! An agent's desktop: the WebSocket of the public contract.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::centre::{Centre, PATIENCE};

pub struct Desktop {
    socket: WebSocketStream<TcpStream>,
    pushes: Vec<Value>,
    count: u32,
}

impl Desktop {
    pub async fn log_in(centre: &Centre, agent: &str, password: &str) -> Self {
        let body = json!({ "agent": agent, "password": password });
        let answer = centre.ask(centre.client.post(centre.url("/v1/login")).json(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut request = format!("ws://{}/v1/agent", centre.http).into_client_request().expect("an address");
        request.headers_mut().insert("sec-websocket-protocol", "baton.v1".parse().expect("a word"));
        let stream = TcpStream::connect(centre.http).await.expect("the daemon listens");
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket");
        let mut desktop = Self { socket, pushes: vec![], count: 0 };
        desktop.send(json!({ "type": "hello", "token": answer.body["token"] })).await;
        desktop.pushed("welcome").await;
        desktop
    }

    /// The next push of this type, or one that was passed over.
    pub async fn pushed(&mut self, kind: &str) -> Value {
        if let Some(at) = self.pushes.iter().position(|push| push["type"] == kind) {
            return self.pushes.remove(at);
        }
        let next = async {
            loop {
                let message =
                    self.socket.next().await.expect("the desktop stays connected").expect("a message");
                let Message::Text(text) = message else { continue };
                let push: Value = serde_json::from_str(&text).expect("JSON");
                if push["type"] == kind {
                    return push;
                }
                self.pushes.push(push);
            }
        };
        match timeout(PATIENCE, next).await {
            Ok(push) => push,
            Err(_) => panic!("no {kind}"),
        }
    }

    /// Commands, and waits until that was done.
    pub async fn say(&mut self, mut command: Value) {
        self.count += 1;
        let id = format!("m{}", self.count);
        command["id"] = id.clone().into();
        self.send(command.clone()).await;
        loop {
            let reply = self.pushed("reply").await;
            if reply["re"] == id {
                assert_eq!(reply["ok"], true, "{command}: {reply}");
                return;
            }
        }
    }

    async fn send(&mut self, message: Value) {
        self.socket.send(Message::Text(message.to_string().into())).await.expect("the desktop is connected");
    }
}
