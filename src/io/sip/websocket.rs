//! SIP over WebSocket (RFC 7118): one SIP message a WebSocket message, text or binary.
//!
//! What TCP needs a framer for comes framed, so a message needs no Content-Length. A browser's script
//! cannot ping, so we do (RFC 7118 §6): every browser answers by itself, a reverse proxy sees that
//! the stream is in use, and a phone that fell asleep or lost its network is known to be gone within
//! a minute. A double CRLF, the ping of RFC 5626 §3.5.1, gets its CRLF as over TCP.

use std::fmt;
use std::sync::atomic::Ordering;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::super::socket::is_too_big;
use super::connection::{Connection, LAST_WORDS, Reading};
use crate::sip;

/// Pings without a word from the phone.
const MISSED: u32 = 2;

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// We stop, and all has been written.
    Stopping,
    /// No message within the first seconds.
    NoMessage,
    TooBig,
    /// It answers no pings: nobody is there to read a reason.
    Silent,
    /// The phone closed it, or the network did.
    Closed,
}

impl End {
    /// RFC 6455 §7.4.1.
    const fn frame(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Stopping => (1001, "stopping"),
            Self::NoMessage => (1008, "a SIP message was expected"),
            Self::TooBig => (1009, "message too big"),
            Self::Silent | Self::Closed => return None,
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopping => "we stop",
            Self::NoMessage => "no message came",
            Self::TooBig => "a message was too big",
            Self::Silent => "pings were not answered",
            Self::Closed => "the phone closed",
        })
    }
}

/// Lives as long as the connection.
pub(super) async fn carry(mut connection: Connection, socket: WebSocket) {
    let (mut write, mut read) = socket.split();
    let end = pump(&mut connection, &mut write, &mut read).await;
    // First of all its agent is not to be rung any more.
    if end != End::Stopping {
        connection.tell_ended(&end).await;
    }
    let closing = async {
        if let Some((code, reason)) = end.frame() {
            let frame = CloseFrame { code, reason: reason.into() };
            let _ = write.send(Message::Close(Some(frame))).await;
        }
        // RFC 6455 §7.1.1: the peer's close ends it, and lets ours arrive.
        while let Some(Ok(_)) = read.next().await {}
    };
    let _ = timeout(LAST_WORDS, closing).await;
}

/// Reads, delivers, writes and pings, none of which waits for another.
async fn pump(
    connection: &mut Connection,
    write: &mut (impl Sink<Message, Error = axum::Error> + Unpin),
    read: &mut (impl Stream<Item = Result<Message, axum::Error>> + Unpin),
) -> End {
    let every = connection.limits.ping;
    let mut pings = interval_at(Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was never heard of before is not waited for long.
    let mut first_by = Some(Instant::now() + connection.limits.first_message);
    let (mut reading, mut outgoing) = (Reading::Open, Outgoing::Nothing);
    // Pings since the phone last said anything.
    let mut silent = 0;
    loop {
        let next = tokio::select! {
            message = read.next(), if matches!(reading, Reading::Open) => {
                let message = match message {
                    Some(Ok(message)) => message,
                    Some(Err(error)) if is_too_big(&error) => return End::TooBig,
                    Some(Err(_)) | None => return End::Closed,
                };
                silent = 0;
                let bytes = match message {
                    Message::Text(_) | Message::Binary(_) => message.into_data(),
                    Message::Ping(_) | Message::Pong(_) => continue,
                    Message::Close(_) => return End::Closed,
                };
                if is_keep_alive(&bytes) {
                    connection.counts.keep_alives.fetch_add(1, Ordering::Relaxed);
                    // Whatever is being written shows as well that we are here.
                    (bytes.len() >= 4).then(|| Message::Text(Utf8Bytes::from_static("\r\n")))
                } else {
                    first_by = None;
                    reading = connection.hand_on(bytes);
                    None
                }
            }
            permit = connection.inputs.reserve(), if matches!(reading, Reading::Held(_)) => {
                let Ok(permit) = permit else { return End::Stopping };
                if let Reading::Held(bytes) = std::mem::replace(&mut reading, Reading::Open) {
                    permit.send(sip::Input::Received { hop: connection.hop, bytes });
                }
                None
            }
            letter = connection.waiting.recv(), if outgoing == Outgoing::Nothing => {
                let Some((hop, bytes)) = letter else { return End::Stopping };
                connection.leaving = Some(hop);
                Some(message(bytes))
            }
            flushed = write.flush(), if outgoing == Outgoing::Something => {
                if flushed.is_err() {
                    return End::Closed;
                }
                outgoing = Outgoing::Nothing;
                if connection.leaving.take().is_some() {
                    connection.counts.sent.fetch_add(1, Ordering::Relaxed);
                }
                None
            }
            _ = pings.tick() => {
                if silent == MISSED {
                    return End::Silent;
                }
                // While it is we who do not listen, it cannot be heard.
                silent += u32::from(matches!(reading, Reading::Open));
                Some(Message::Ping(Bytes::new()))
            }
            () = sleep_until(first_by.unwrap_or_else(Instant::now)), if first_by.is_some() => {
                return End::NoMessage;
            }
        };
        if matches!(reading, Reading::Over) {
            return End::Stopping;
        }
        if let Some(next) = next
            && outgoing == Outgoing::Nothing
        {
            // All before it has been flushed: this waits for nobody.
            if write.feed(next).await.is_err() {
                return End::Closed;
            }
            outgoing = Outgoing::Something;
        }
    }
}

/// Whether the socket still has something of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outgoing {
    Nothing,
    Something,
}

/// Scripts read text with less trouble; SIP need not be UTF-8 (RFC 7118 §4.2).
fn message(bytes: Bytes) -> Message {
    match Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(bytes),
    }
}

fn is_keep_alive(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'\r' | b'\n'))
}
