//! SIP over TCP (RFC 3261 §18, RFC 5626 §3.5.1).

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::super::socket::{self, Dscp};
use super::connection::{Connection, LAST_WORDS, Origin, Reading};
use crate::sip::{self, Frame, Framer};

/// Calls up a peer.
pub(super) async fn open(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if !local.ip().is_unspecified() {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    socket.connect(remote).await
}

/// Lives as long as the connection.
pub(super) async fn carry(mut connection: Connection, mut socket: TcpStream) {
    let tuned = SockRef::from(&socket);
    // A peer that lost its power is noticed within minutes.
    let probes =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(20));
    let _ = tuned.set_tcp_nodelay(true).and_then(|()| tuned.set_tcp_keepalive(&probes));
    socket::mark(&socket, connection.hop.remote, Dscp::Signalling);
    let (read, write) = socket.split();
    let Err(error) = pump(&mut connection, read, write).await else { return };
    drop(socket);
    connection.tell_ended(&error).await;
}

/// Reads, delivers and writes, none of which waits for another. `Ok` when nobody has anything
/// more to send: we are closing.
async fn pump(
    connection: &mut Connection,
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut framer = Framer::default();
    let mut reading = Reading::Open;
    let mut chunk = vec![0; 4 * 1024].into_boxed_slice();
    let mut writing = Bytes::new();
    // What was never heard of before is not waited for long.
    let mut patience = (connection.origin == Origin::Opened).then_some(connection.limits.idle);
    let mut deadline = Instant::now() + patience.unwrap_or(connection.limits.first_message);
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
                reading = deliver(connection, &mut framer, &mut writing, &mut patience)?;
                deadline = patience.map_or(deadline, |idle| Instant::now() + idle);
            }
            permit = connection.inputs.reserve(), if matches!(reading, Reading::Held(_)) => {
                let permit = permit.map_err(|_| io::ErrorKind::BrokenPipe)?;
                if let Reading::Held(bytes) = std::mem::replace(&mut reading, Reading::Open) {
                    permit.send(sip::Input::Received { hop: connection.hop, bytes });
                }
                reading = deliver(connection, &mut framer, &mut writing, &mut patience)?;
            }
            letter = connection.waiting.recv(), if writing.is_empty() => match letter {
                Some((hop, bytes)) => {
                    connection.leaving = Some(hop);
                    writing = bytes;
                }
                None => return write.shutdown().await,
            },
            written = write.write(&writing), if !writing.is_empty() => {
                match written? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => writing.advance(written),
                }
                if writing.is_empty() && connection.leaving.take().is_some() {
                    connection.counts.sent.fetch_add(1, Ordering::Relaxed);
                }
                deadline = patience.map_or(deadline, |idle| Instant::now() + idle);
            }
            () = tokio::time::sleep_until(deadline) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Hands on what is whole, until the inbox is full.
fn deliver(
    connection: &Connection,
    framer: &mut Framer,
    writing: &mut Bytes,
    patience: &mut Option<Duration>,
) -> io::Result<Reading> {
    while let Some(frame) = framer.poll_frame() {
        match frame {
            Frame::Message(bytes) => {
                *patience = Some(connection.limits.idle);
                match connection.hand_on(bytes) {
                    Reading::Open => {}
                    Reading::Held(bytes) => return Ok(Reading::Held(bytes)),
                    Reading::Over => return Err(io::ErrorKind::BrokenPipe.into()),
                }
            }
            Frame::Ping => {
                connection.counts.keep_alives.fetch_add(1, Ordering::Relaxed);
                // Whatever is being written shows as well that we are here.
                if writing.is_empty() {
                    *writing = Bytes::from_static(b"\r\n");
                }
            }
            Frame::Broken(malformed) => {
                tracing::debug!(remote = %connection.hop.remote, fault = %malformed.fault, "stream out of step");
                if let (Some(response), true) = (malformed.response, writing.is_empty()) {
                    *writing = response.with_to_tag("out-of-step").to_bytes();
                }
                return Ok(Reading::Over);
            }
        }
    }
    Ok(Reading::Open)
}
