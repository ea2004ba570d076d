//! The daemon's carrier, callers and agents' phones, in one thread over loopback.
//!
//! One socket a side for SIP and one for RTP; every packet that is to be relayed carries the time it
//! was sent, and is stamped by the kernel when it comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::far::{self, Head};
use crate::measure::wall_nanos;

pub const CARRIER: &str = "127.7.0.2";
pub const PHONES: &str = "127.7.0.3";

/// Calls to make.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub number: &'static str,
    pub per_second: u32,
    /// From answer to hang-up; `None` is until told.
    pub hold: Option<Duration>,
}

/// What happened since it was last taken. Times in milliseconds.
#[derive(Debug, Default)]
pub struct Tally {
    pub begun: usize,
    pub answered: usize,
    /// From the caller's INVITE to its 200.
    pub set_up: Vec<f64>,
    /// From the caller's INVITE to the one at the agent's phone.
    pub rung: Vec<f64>,
    pub refused: usize,
    /// Never answered, or hung up on by the daemon.
    pub lost: usize,
    pub repeated: usize,
    pub sent: usize,
    pub received: usize,
    /// One way, of relayed packets.
    pub delays: Vec<f64>,
    /// Lots of packets sent more than 5 ms after their time: the machine was too busy.
    pub late: usize,
    pub lots: usize,
}

pub struct Load {
    baton: SocketAddr,
    carrier: Socket,
    phones: Socket,
    caller_audio: Socket,
    phone_audio: Socket,
    calls: Vec<Call>,
    due: BinaryHeap<Reverse<(u64, usize, Act)>>,
    pub tally: Tally,
    talking: Vec<Talk>,
    /// The next millisecond's lot of packets, and when.
    lot: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    /// Nothing was heard of it for so many milliseconds.
    Repeat(u64),
    HangUp,
}

#[derive(Debug)]
struct Call {
    number: &'static str,
    began: u64,
    state: State,
    hold: Option<Duration>,
    ok: Option<Head>,
    /// Where the daemon takes the phone's audio.
    phone: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Inviting,
    Up,
    Ending,
    Over,
}

/// Where the two sides of a call send.
#[derive(Clone, Copy, Debug)]
struct Talk {
    caller: SocketAddr,
    phone: Option<SocketAddr>,
}

const REPEAT: u64 = 500;
const GIVE_UP: u64 = 4000;

impl Load {
    pub fn new(baton: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            baton,
            carrier: Socket::bind(CARRIER)?,
            phones: Socket::bind(PHONES)?,
            caller_audio: Socket::bind_pair(CARRIER)?,
            phone_audio: Socket::bind_pair(PHONES)?,
            calls: vec![],
            due: BinaryHeap::new(),
            tally: Tally::default(),
            talking: vec![],
            lot: (0, 0),
        })
    }

    /// Where agents' phones listen.
    pub fn phones(&self) -> SocketAddr {
        self.phones.address
    }

    pub fn up(&self) -> usize {
        self.calls.iter().filter(|call| call.state == State::Up).count()
    }

    /// Lets that much time pass, with calls coming at that rate.
    pub fn run(&mut self, span: Duration, rate: Option<Rate>) {
        let begin = wall_nanos();
        let end = begin + span.as_nanos() as u64;
        let interval = rate.map_or(u64::MAX, |rate| 1_000_000_000 / u64::from(rate.per_second));
        let mut next = rate.map_or(u64::MAX, |_| begin);
        self.lot.0 = begin;
        loop {
            let now = wall_nanos();
            if now >= end {
                return;
            }
            if let Some(rate) = rate
                && next <= now
            {
                self.invite(rate);
                next += interval;
            }
            while let Some(Reverse((at, n, act))) = self.due.peek().copied()
                && at <= now
            {
                self.due.pop();
                self.act(now, n, act);
            }
            if !self.talking.is_empty() && self.lot.0 <= now {
                self.speak(now);
            }
            let lot = if self.talking.is_empty() { u64::MAX } else { self.lot.0 };
            let act = self.due.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
            self.wait(end.min(next).min(lot).min(act));
            self.receive();
        }
    }

    /// Has every call that is up hung up, and waits until the daemon has agreed.
    pub fn hang_up(&mut self) {
        self.talking.clear();
        let up = (0..self.calls.len()).filter(|n| self.calls[*n].state == State::Up).collect::<Vec<_>>();
        for lot in up.chunks(20) {
            for n in lot {
                self.end(*n);
            }
            self.run(Duration::from_millis(40), None);
        }
        self.run(Duration::from_millis(300), None);
    }

    /// From now on both sides of every call that is up speak.
    pub fn talk(&mut self) {
        let at = |port| SocketAddr::new(self.baton.ip(), port);
        let up = self.calls.iter().filter(|call| call.state == State::Up);
        let talk = |call: &Call| {
            let caller = call.ok.as_ref()?.port.map(at)?;
            Some(Talk { caller, phone: call.phone.map(at) })
        };
        self.talking = up.filter_map(talk).collect();
    }

    /// So many streams straight from one side to the other, to know what loopback itself takes.
    pub fn talk_to_itself(&mut self, streams: usize) {
        let talk = Talk { caller: self.phone_audio.address, phone: None };
        self.talking = vec![talk; streams];
    }

    pub fn take(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn invite(&mut self, rate: Rate) {
        let n = self.calls.len();
        let call = Call {
            number: rate.number,
            began: wall_nanos(),
            state: State::Inviting,
            hold: rate.hold,
            ok: None,
            phone: None,
        };
        self.due.push(Reverse((call.began + REPEAT * 1_000_000, n, Act::Repeat(REPEAT))));
        self.calls.push(call);
        self.tally.begun += 1;
        self.send_invite(n);
    }

    fn send_invite(&self, n: usize) {
        let us = self.carrier.address.to_string();
        let rtp = self.caller_audio.address.port();
        let text = far::invite(n, self.calls[n].number, &self.baton.to_string(), &us, rtp);
        self.carrier.send(text.as_bytes(), self.baton);
    }

    fn end(&mut self, n: usize) {
        self.calls[n].state = State::Ending;
        self.due.push(Reverse((wall_nanos() + REPEAT * 1_000_000, n, Act::Repeat(REPEAT))));
        self.send_bye(n);
    }

    fn send_bye(&self, n: usize) {
        if let Some(ok) = &self.calls[n].ok {
            self.carrier.send(far::bye(n, ok, &self.carrier.address.to_string()).as_bytes(), self.baton);
        }
    }

    fn act(&mut self, now: u64, n: usize, act: Act) {
        match (act, self.calls[n].state) {
            (Act::HangUp, State::Up) => self.end(n),
            (Act::Repeat(waited), State::Inviting | State::Ending) => {
                if waited >= GIVE_UP {
                    self.tally.lost += 1;
                    self.calls[n].state = State::Over;
                    return;
                }
                self.tally.repeated += 1;
                self.due.push(Reverse((now + 2 * waited * 1_000_000, n, Act::Repeat(2 * waited))));
                match self.calls[n].state {
                    State::Inviting => self.send_invite(n),
                    _ => self.send_bye(n),
                }
            }
            _ => {}
        }
    }

    /// A twentieth of the calls each millisecond, as calls come at any time.
    fn speak(&mut self, now: u64) {
        let (at, lot) = self.lot;
        self.tally.lots += 1;
        self.tally.late += usize::from(now - at > 5_000_000);
        self.lot = (at + 1_000_000, lot + 1);
        let frame = (lot / 20) as u32;
        for (n, talk) in self.talking.iter().enumerate().skip((lot % 20) as usize).step_by(20) {
            let sides = [(&self.caller_audio, Some(talk.caller)), (&self.phone_audio, talk.phone)];
            for (side, (socket, to)) in (0..).zip(sides) {
                if let Some(to) = to {
                    let ssrc = 2 * n as u32 + side;
                    self.tally.sent += usize::from(socket.send(&packet(frame, ssrc), to));
                }
            }
        }
    }

    fn wait(&self, until: u64) {
        let sockets = [&self.carrier, &self.phones, &self.caller_audio, &self.phone_audio];
        let mut ready = sockets.map(|socket| libc::pollfd {
            fd: socket.socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
        let span = until.saturating_sub(wall_nanos());
        let span = libc::timespec {
            tv_sec: (span / 1_000_000_000) as libc::time_t,
            tv_nsec: (span % 1_000_000_000) as libc::c_long,
        };
        // SAFETY: `ready` and `span` outlive the call, and no signal mask is given.
        unsafe { libc::ppoll(ready.as_mut_ptr(), ready.len() as _, &raw const span, std::ptr::null()) };
    }

    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..256 {
            let Some((length, _, stamp)) = self.carrier.receive(&mut buffer) else { break };
            if let Some(head) = Head::of(&buffer[..length]) {
                self.at_carrier(stamp, head);
            }
        }
        for _ in 0..256 {
            let Some((length, from, stamp)) = self.phones.receive(&mut buffer) else { break };
            if let Some(head) = Head::of(&buffer[..length]) {
                self.at_phones(stamp, from, &head);
            }
        }
        for socket in [&self.caller_audio, &self.phone_audio] {
            for _ in 0..1024 {
                let Some((length, _, stamp)) = socket.receive(&mut buffer) else { break };
                self.tally.received += 1;
                let Some(sent) = buffer[..length].get(12..20).and_then(|sent| sent.first_chunk()) else {
                    continue;
                };
                // Music carries no time of ours.
                let took = stamp.wrapping_sub(u64::from_be_bytes(*sent));
                if took < 1_000_000_000 {
                    self.tally.delays.push(took as f64 / 1e6);
                }
            }
        }
    }

    fn at_carrier(&mut self, stamp: u64, head: Head) {
        let Some(n) = head.call().filter(|n| *n < self.calls.len()) else { return };
        let us = self.carrier.address.to_string();
        let call = &mut self.calls[n];
        match (head.status(), head.method()) {
            (None, "BYE") => {
                if call.state == State::Up {
                    self.tally.lost += 1;
                }
                call.state = State::Over;
                self.carrier.send(far::respond(&head, 200, &us, None).as_bytes(), self.baton);
            }
            (Some(200..300), "INVITE") => {
                self.carrier.send(far::ack(n, &head, &us).as_bytes(), self.baton);
                if call.state == State::Inviting {
                    call.state = State::Up;
                    self.tally.answered += 1;
                    self.tally.set_up.push(stamp.saturating_sub(call.began) as f64 / 1e6);
                    if let Some(hold) = call.hold {
                        self.due.push(Reverse((stamp + hold.as_nanos() as u64, n, Act::HangUp)));
                    }
                    call.ok = Some(head);
                }
            }
            (Some(300..), "INVITE") => {
                if call.state == State::Inviting {
                    call.state = State::Over;
                    self.tally.refused += 1;
                }
                self.carrier
                    .send(far::refused(n, &head, call.number, &self.baton, &us).as_bytes(), self.baton);
            }
            (Some(200..), "BYE") => call.state = State::Over,
            _ => {}
        }
    }

    fn at_phones(&mut self, stamp: u64, from: SocketAddr, head: &Head) {
        let us = self.phones.address.to_string();
        let audio = self.phone_audio.address.port();
        match (head.status(), head.method()) {
            (None, "INVITE") => {
                self.phones.send(far::respond(head, 200, &us, Some(audio)).as_bytes(), from);
                let call = head.caller().and_then(|n| self.calls.get_mut(n));
                if let Some(call) = call.filter(|call| call.phone.is_none()) {
                    call.phone = head.port;
                    self.tally.rung.push(stamp.saturating_sub(call.began) as f64 / 1e6);
                }
            }
            (None, "BYE" | "CANCEL") => {
                self.phones.send(far::respond(head, 200, &us, None).as_bytes(), from);
            }
            _ => {}
        }
    }
}

fn packet(frame: u32, ssrc: u32) -> [u8; 172] {
    let mut bytes = [0x55; 172];
    bytes[..2].copy_from_slice(&[0x80, 0]);
    bytes[2..4].copy_from_slice(&(frame as u16).to_be_bytes());
    bytes[4..8].copy_from_slice(&frame.wrapping_mul(160).to_be_bytes());
    bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
    bytes[12..20].copy_from_slice(&wall_nanos().to_be_bytes());
    bytes
}

/// One that is told when each datagram came.
struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    /// Where RTCP comes to. Nobody reads it, but nobody refuses it either.
    _reports: Option<UdpSocket>,
}

impl Socket {
    fn bind(host: &str) -> io::Result<Self> {
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
    fn bind_pair(host: &str) -> io::Result<Self> {
        for _ in 0..100 {
            let socket = Self::bind(host)?;
            let above = socket.address.port().checked_add(1);
            if let Some(Ok(reports)) = above.map(|port| UdpSocket::bind((host, port))) {
                return Ok(Self { _reports: Some(reports), ..socket });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    fn send(&self, bytes: &[u8], to: SocketAddr) -> bool {
        self.socket.send_to(bytes, to).is_ok()
    }

    /// Length, sender and when the kernel had it.
    fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr, u64)> {
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
        let ip = std::net::Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr));
        Some((length, SocketAddr::from((ip, u16::from_be(from.sin_port))), stamp))
    }
}
