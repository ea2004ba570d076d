//! Streams: who is connected, and one task each.
//!
//! The [`Switchboard`] alone knows the streams, TCP's and WebSocket's alike. Each stream's task
//! frames what it reads, answers the peer's keep-alives, and reports its end once.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::connection::{Connection, Letter, Origin};
use super::{Counts, Limits, tcp, websocket};
use crate::sip::{self, Hop, StreamId, Transport};

/// What the switchboard is told.
#[derive(Debug)]
pub(super) enum Order {
    Transmit { hop: Hop, bytes: Bytes },
    Accepted { socket: TcpStream, local: SocketAddr, remote: SocketAddr },
    Upgraded { socket: Box<WebSocket>, hop: Hop },
}

#[derive(Debug)]
pub(super) struct Switchboard {
    limits: Limits,
    inputs: mpsc::Sender<sip::Input>,
    counts: Arc<Counts>,
    streams: HashMap<StreamId, Stream>,
    /// The newest TCP stream between two ends.
    between: HashMap<(SocketAddr, SocketAddr), StreamId>,
    accepted: HashMap<IpAddr, usize>,
    tasks: JoinSet<StreamId>,
    last: u64,
}

#[derive(Debug)]
struct Stream {
    hop: Hop,
    origin: Origin,
    letters: mpsc::Sender<Letter>,
    task: AbortHandle,
}

/// Takes connections until the switchboard is gone.
pub(super) async fn accept(listener: TcpListener, local: SocketAddr, orders: mpsc::Sender<Order>) {
    loop {
        match listener.accept().await {
            Ok((socket, remote)) => {
                if orders.send(Order::Accepted { socket, local, remote }).await.is_err() {
                    return;
                }
            }
            // Out of descriptors, most likely: some will be closed.
            Err(error) => {
                tracing::debug!(%local, %error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Switchboard {
    pub(super) fn new(limits: Limits, inputs: mpsc::Sender<sip::Input>, counts: Arc<Counts>) -> Self {
        Self {
            limits,
            inputs,
            counts,
            streams: HashMap::new(),
            between: HashMap::new(),
            accepted: HashMap::new(),
            tasks: JoinSet::new(),
            last: 0,
        }
    }

    /// Until nobody can order any more; then streams are written to their end.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Transmit { hop, bytes }) => self.transmit(hop, bytes).await,
                    Some(Order::Accepted { socket, local, remote }) => {
                        let hop = Hop { transport: Transport::Tcp, local, remote, stream: None };
                        self.admit(hop, |connection| tcp::carry(connection, socket));
                    }
                    Some(Order::Upgraded { socket, hop }) => {
                        self.admit(hop, |connection| websocket::carry(connection, *socket));
                    }
                    None => break,
                },
                Some(Ok(stream)) = self.tasks.join_next() => self.forget(stream),
            }
        }
        self.streams.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    fn admit<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        hop: Hop,
        life: impl FnOnce(Connection) -> F,
    ) {
        let from_there = self.accepted.get(&hop.remote.ip()).copied().unwrap_or(0);
        if self.streams.len() >= self.limits.streams || from_there >= self.limits.streams_per_source {
            self.counts.turned_away.fetch_add(1, Ordering::Relaxed);
            return;
        }
        *self.accepted.entry(hop.remote.ip()).or_default() += 1;
        self.connect(hop, Origin::Accepted, life);
    }

    async fn transmit(&mut self, hop: Hop, bytes: Bytes) {
        let existing = hop.stream.filter(|id| self.streams.contains_key(id));
        let id = match existing.or_else(|| self.between.get(&ends(hop)?).copied()) {
            Some(id) => id,
            // Nobody can call a browser up.
            None if hop.transport.is_websocket() => return self.unreachable(hop).await,
            None if self.streams.len() >= self.limits.streams => {
                self.counts.turned_away.fetch_add(1, Ordering::Relaxed);
                return self.unreachable(hop).await;
            }
            None => {
                let limit = self.limits.connect;
                self.connect(hop, Origin::Opened, move |connection| async move {
                    match tokio::time::timeout(limit, tcp::open(hop.local, hop.remote)).await {
                        Ok(Ok(socket)) => tcp::carry(connection, socket).await,
                        Ok(Err(error)) => connection.tell_unsent(&error).await,
                        Err(_) => connection.tell_unsent(&io::Error::from(io::ErrorKind::TimedOut)).await,
                    }
                })
            }
        };
        let Some(stream) = self.streams.get(&id) else { return self.unreachable(hop).await };
        match stream.letters.try_send((hop, bytes)) {
            Ok(()) => {}
            // It has ended, and will be forgotten as soon as we get to it.
            Err(mpsc::error::TrySendError::Closed(_)) => self.unreachable(hop).await,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::debug!(remote = %hop.remote, "stream given up: its peer does not read");
                stream.task.abort();
                self.forget(id);
                let stream = Some(id);
                self.unreachable(Hop { stream, ..hop }).await;
                if hop.stream != stream {
                    self.unreachable(hop).await;
                }
            }
        }
    }

    /// Makes a stream whose letters wait until `life` takes them.
    fn connect<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        hop: Hop,
        origin: Origin,
        life: impl FnOnce(Connection) -> F,
    ) -> StreamId {
        self.last += 1;
        let id = StreamId(self.last);
        let (letters, waiting) = mpsc::channel(self.limits.unread);
        let hop = Hop { stream: Some(id), ..hop };
        let connection = Connection {
            hop,
            origin,
            waiting,
            leaving: None,
            inputs: self.inputs.clone(),
            counts: Arc::clone(&self.counts),
            limits: self.limits,
        };
        let life = life(connection);
        let task = self.tasks.spawn(async move {
            life.await;
            id
        });
        self.streams.insert(id, Stream { hop, origin, letters, task });
        self.between.extend(ends(hop).map(|ends| (ends, id)));
        self.counts.streams.store(self.streams.len() as u64, Ordering::Relaxed);
        id
    }

    fn forget(&mut self, id: StreamId) {
        let Some(stream) = self.streams.remove(&id) else { return };
        if let Some(ends) = ends(stream.hop)
            && self.between.get(&ends) == Some(&id)
        {
            self.between.remove(&ends);
        }
        let ip = stream.hop.remote.ip();
        if stream.origin == Origin::Accepted
            && let Some(count) = self.accepted.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                self.accepted.remove(&ip);
            }
        }
        self.counts.streams.store(self.streams.len() as u64, Ordering::Relaxed);
    }

    async fn unreachable(&self, hop: Hop) {
        let _ = self.inputs.send(sip::Input::Unreachable { hop }).await;
    }
}

/// What any stream of the same will do for. Not so a WebSocket: a reverse proxy lends the port of
/// one that ended to somebody else's.
fn ends(hop: Hop) -> Option<(SocketAddr, SocketAddr)> {
    (!hop.transport.is_websocket()).then_some((hop.local, hop.remote))
}
