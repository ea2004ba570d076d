//! What every socket of ours is told before use.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

/// How routers are to treat the packets (RFC 4594 §4.1 and §4.2), as the octet of the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dscp {
    /// CS3: signalling.
    Signalling = 24 << 2,
    /// EF: audio.
    Audio = 46 << 2,
}

/// A socket that does not block, marked, and of its own family only, so that `0.0.0.0` and `[::]`
/// can be had beside each other.
pub(super) fn open(address: SocketAddr, kind: Type, protocol: Protocol, dscp: Dscp) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking().cloexec(), Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    mark(&socket, address, dscp);
    Ok(socket)
}

/// A network that refuses the mark still carries the packet.
pub(super) fn mark(socket: &impl AsRawFd, address: SocketAddr, dscp: Dscp) {
    let (level, name) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
    };
    let value = dscp as libc::c_int;
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open while `socket` is borrowed, and `value` is as long as said.
    let refused =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) } != 0;
    if refused {
        tracing::debug!(error = %io::Error::last_os_error(), "no DSCP");
    }
}

/// Whether a WebSocket's peer sent more at once than it may.
pub(super) fn is_too_big(error: &axum::Error) -> bool {
    let source = std::error::Error::source(error);
    let error = source.and_then(|error| error.downcast_ref::<tokio_tungstenite::tungstenite::Error>());
    matches!(error, Some(tokio_tungstenite::tungstenite::Error::Capacity(_)))
}
