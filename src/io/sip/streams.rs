//! Streams: who is connected, and one task each; SIP over TCP (RFC 3261 §18, RFC 5626 §3.5.1).
//!
//! The [`Switchboard`] alone knows the streams, TCP's and WebSocket's alike. Each stream's task
//! frames what it reads, answers the peer's keep-alives, and reports its end once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use bytes::{Buf, Bytes};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::super::socket::{self, Dscp};
use super::{Counts, Limits, websocket};
use crate::sip::{self, Frame, Framer, Hop, StreamId, Transport};

/// What the switchboard is told.
#[derive(Debug)]
pub(super) enum Order {
    Transmit { hop: Hop, bytes: Bytes },
    Accepted { socket: TcpStream, local: SocketAddr, remote: SocketAddr },
    Upgraded { socket: Box<WebSocket>, hop: Hop },
}

/// A message on its way out, and where it was meant to go.
type Letter = (Hop, Bytes);

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Accepted,
    Opened,
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
                        self.admit(hop, |line| line.carry(socket));
                    }
                    Some(Order::Upgraded { socket, hop }) => {
                        self.admit(hop, |line| websocket::carry(line, *socket));
                    }
                    None => break,
                },
                Some(Ok(stream)) = self.tasks.join_next() => self.forget(stream),
            }
        }
        self.streams.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    fn admit<F: Future<Output = ()> + Send + 'static>(&mut self, hop: Hop, life: impl FnOnce(Line) -> F) {
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
                self.connect(hop, Origin::Opened, move |line| async move {
                    match tokio::time::timeout(limit, open(hop.local, hop.remote)).await {
                        Ok(Ok(socket)) => line.carry(socket).await,
                        Ok(Err(error)) => line.tell_unsent(&error).await,
                        Err(_) => line.tell_unsent(&io::Error::from(io::ErrorKind::TimedOut)).await,
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
        life: impl FnOnce(Line) -> F,
    ) -> StreamId {
        self.last += 1;
        let id = StreamId(self.last);
        let (letters, waiting) = mpsc::channel(self.limits.unread);
        let hop = Hop { stream: Some(id), ..hop };
        let line = Line {
            hop,
            origin,
            waiting,
            leaving: None,
            inputs: self.inputs.clone(),
            counts: Arc::clone(&self.counts),
            limits: self.limits,
        };
        let life = life(line);
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

async fn open(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if !local.ip().is_unspecified() {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    socket.connect(remote).await
}

/// One stream from within: what its task has in hand.
pub(super) struct Line {
    pub hop: Hop,
    origin: Origin,
    pub waiting: mpsc::Receiver<Letter>,
    /// Where the message was meant to go of which the last byte has not been written.
    pub leaving: Option<Hop>,
    pub inputs: mpsc::Sender<sip::Input>,
    pub counts: Arc<Counts>,
    pub limits: Limits,
}

/// How long a peer that is out of step may take to hear so.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a stream is not read at the moment, or never will be again.
pub(super) enum Reading {
    Open,
    /// The inbox is full: this message waits for room.
    Held(Bytes),
    /// Nothing more can be understood; what there is to say is said, then it closes.
    Over,
}

impl Line {
    /// Lives as long as the connection.
    async fn carry(mut self, mut socket: TcpStream) {
        let tuned = SockRef::from(&socket);
        // A peer that lost its power is noticed within minutes.
        let probes =
            TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(20));
        let _ = tuned.set_tcp_nodelay(true).and_then(|()| tuned.set_tcp_keepalive(&probes));
        socket::mark(&socket, self.hop.remote, Dscp::Signalling);
        let (read, write) = socket.split();
        let Err(error) = self.pump(read, write).await else { return };
        drop(socket);
        self.tell_ended(&error).await;
    }

    /// Reads, delivers and writes, none of which waits for another. `Ok` when nobody has anything
    /// more to send: we are closing.
    async fn pump(
        &mut self,
        mut read: impl AsyncRead + Unpin,
        mut write: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut framer = Framer::default();
        let mut reading = Reading::Open;
        let mut chunk = vec![0; 4 * 1024].into_boxed_slice();
        let mut writing = Bytes::new();
        // What was never heard of before is not waited for long.
        let mut patience = (self.origin == Origin::Opened).then_some(self.limits.idle);
        let mut deadline = Instant::now() + patience.unwrap_or(self.limits.first_message);
        loop {
            if matches!(reading, Reading::Over) && writing.is_empty() {
                // Closing on unread bytes would reset the stream, and the peer lose what was said.
                write.shutdown().await?;
                let rest = async { while read.read(&mut chunk).await.is_ok_and(|length| length > 0) {} };
                let _ = tokio::time::timeout(LAST_WORDS, rest).await;
                return Err(io::ErrorKind::InvalidData.into());
            }
            tokio::select! {
                length = read.read(&mut chunk), if matches!(reading, Reading::Open) => {
                    match length? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        length => framer.feed(&chunk[..length]),
                    }
                    reading = self.deliver(&mut framer, &mut writing, &mut patience)?;
                    deadline = patience.map_or(deadline, |idle| Instant::now() + idle);
                }
                permit = self.inputs.reserve(), if matches!(reading, Reading::Held(_)) => {
                    let permit = permit.map_err(|_| io::ErrorKind::BrokenPipe)?;
                    if let Reading::Held(bytes) = std::mem::replace(&mut reading, Reading::Open) {
                        permit.send(sip::Input::Received { hop: self.hop, bytes });
                    }
                    reading = self.deliver(&mut framer, &mut writing, &mut patience)?;
                }
                letter = self.waiting.recv(), if writing.is_empty() => match letter {
                    Some((hop, bytes)) => {
                        self.leaving = Some(hop);
                        writing = bytes;
                    }
                    None => return write.shutdown().await,
                },
                written = write.write(&writing), if !writing.is_empty() => {
                    match written? {
                        0 => return Err(io::ErrorKind::WriteZero.into()),
                        written => writing.advance(written),
                    }
                    if writing.is_empty() && self.leaving.take().is_some() {
                        self.counts.sent.fetch_add(1, Ordering::Relaxed);
                    }
                    deadline = patience.map_or(deadline, |idle| Instant::now() + idle);
                }
                () = tokio::time::sleep_until(deadline) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Hands on what is whole, until the inbox is full.
    fn deliver(
        &self,
        framer: &mut Framer,
        writing: &mut Bytes,
        patience: &mut Option<Duration>,
    ) -> io::Result<Reading> {
        while let Some(frame) = framer.poll_frame() {
            match frame {
                Frame::Message(bytes) => {
                    *patience = Some(self.limits.idle);
                    match self.hand_on(bytes) {
                        Reading::Open => {}
                        Reading::Held(bytes) => return Ok(Reading::Held(bytes)),
                        Reading::Over => return Err(io::ErrorKind::BrokenPipe.into()),
                    }
                }
                Frame::Ping => {
                    self.counts.keep_alives.fetch_add(1, Ordering::Relaxed);
                    // Whatever is being written shows as well that we are here.
                    if writing.is_empty() {
                        *writing = Bytes::from_static(b"\r\n");
                    }
                }
                Frame::Broken(malformed) => {
                    tracing::debug!(remote = %self.hop.remote, fault = %malformed.fault, "stream out of step");
                    if let (Some(response), true) = (malformed.response, writing.is_empty()) {
                        *writing = response.with_to_tag("out-of-step").to_bytes();
                    }
                    return Ok(Reading::Over);
                }
            }
        }
        Ok(Reading::Open)
    }

    /// Delivers one message. Over where nobody is there to take it.
    pub fn hand_on(&self, bytes: Bytes) -> Reading {
        self.counts.received.fetch_add(1, Ordering::Relaxed);
        match self.inputs.try_send(sip::Input::Received { hop: self.hop, bytes }) {
            Ok(()) => Reading::Open,
            Err(mpsc::error::TrySendError::Full(sip::Input::Received { bytes, .. })) => Reading::Held(bytes),
            Err(_) => Reading::Over,
        }
    }

    /// Tells of everything that never left, and that the stream is no more.
    pub async fn tell_ended(self, why: &(dyn fmt::Display + Sync)) {
        let (hop, inputs) = (self.hop, self.inputs.clone());
        self.tell_unsent(why).await;
        let _ = inputs.send(sip::Input::Unreachable { hop }).await;
    }

    async fn tell_unsent(mut self, error: &(dyn fmt::Display + Sync)) {
        tracing::debug!(remote = %self.hop.remote, %error, "stream ended");
        self.waiting.close();
        let mut told = None;
        let mut leaving = self.leaving.take();
        while let Some(hop) = match leaving.take() {
            Some(hop) => Some(hop),
            None => self.waiting.recv().await.map(|(hop, _)| hop),
        } {
            // Of the stream itself `tell_ended` tells.
            if hop != self.hop && told.replace(hop) != Some(hop) {
                let _ = self.inputs.send(sip::Input::Unreachable { hop }).await;
            }
        }
    }
}
