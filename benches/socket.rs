//! A far end's UDP socket, which is told by the kernel when each datagram came.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use crate::measure::wall_nanos;

pub struct Socket {
    socket: UdpSocket,
    pub address: SocketAddr,
    /// Where RTCP comes to. Nobody reads it, but nobody refuses it either.
    _reports: Option<UdpSocket>,
}

impl Socket {
    pub fn bind(host: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind((host, 0))?;
        socket.set_nonblocking(true)?;
        let options = [(libc::SO_TIMESTAMPNS, 1), (libc::SO_RCVBUF, 8 << 20)];
        for (name, value) in options {
            let value: libc::c_int = value;
            let length = size_of_val(&value) as libc::socklen_t;
            // SAFETY: the descriptor is open, and `value` is as long as said.
            let refused = unsafe {
                let value = (&raw const value).cast();
                libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, value, length)
            };
            if refused != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let address = socket.local_addr()?;
        Ok(Self { socket, address, _reports: None })
    }

    /// With the port above for RTCP.
    pub fn bind_pair(host: &str) -> io::Result<Self> {
        for _ in 0..100 {
            let socket = Self::bind(host)?;
            let above = socket.address.port().checked_add(1);
            if let Some(Ok(reports)) = above.map(|port| UdpSocket::bind((host, port))) {
                return Ok(Self { _reports: Some(reports), ..socket });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> bool {
        self.socket.send_to(bytes, to).is_ok()
    }

    /// Length, sender and when the kernel had it.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr, u64)> {
        // SAFETY: all-zero bytes are a valid value of each of these C structures.
        let (mut from, mut message): (libc::sockaddr_in, libc::msghdr) = unsafe { std::mem::zeroed() };
        // Room for one time stamp, as the kernel aligns it.
        let mut control = [0u64; 8];
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        message.msg_name = (&raw mut from).cast();
        message.msg_namelen = size_of_val(&from) as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: everything `message` points to outlives the call and is as long as it says.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        let length = usize::try_from(length).ok()?;
        let mut stamp = wall_nanos();
        // SAFETY: the kernel wrote the control messages; the macros walk only what it wrote, and a
        // time stamp is a `timespec`.
        unsafe {
            let control = libc::CMSG_FIRSTHDR(&raw const message);
            if !control.is_null() && (*control).cmsg_type == libc::SCM_TIMESTAMPNS {
                let time = libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned();
                stamp = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
            }
        }
        let ip = Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr));
        Some((length, SocketAddr::from((ip, u16::from_be(from.sin_port))), stamp))
    }

    /// For [`wait`].
    pub fn poll(&self) -> libc::pollfd {
        libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 }
    }
}

/// Until one of them has something to read, or that time by [`wall_nanos`].
pub fn wait(sockets: &mut [libc::pollfd], until: u64) {
    let span = until.saturating_sub(wall_nanos());
    let span = libc::timespec {
        tv_sec: (span / 1_000_000_000) as libc::time_t,
        tv_nsec: (span % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: `sockets` and `span` outlive the call, and no signal mask is given.
    unsafe { libc::ppoll(sockets.as_mut_ptr(), sockets.len() as _, &raw const span, std::ptr::null()) };
}
