//! SIP's sockets: datagrams and streams in, [`sip::Input`] out, and the way back.
//!
//! TCP streams are accepted here; WebSockets come in by the [`Inlet`], once HTTP has upgraded them.
//! Nothing is decided here: what came is handed on as it came, one message at a time, and what is
//! to go is sent where its [`Hop`] says. Under load the two transports differ as they do by
//! nature: a datagram that finds the inbox full is dropped and counted, for its sender repeats it;
//! a stream is no longer read until there is room.

mod connection;
mod streams;
mod tcp;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use socket2::{Protocol, SockRef, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::streams::{Order, Switchboard};
use super::socket::{self, Dscp};
use crate::sip::{self, Hop, Transport};

/// All listeners and streams. Lives in the gateway's loop; dropping it closes everything.
#[derive(Debug)]
pub struct Sip {
    datagrams: Vec<(SocketAddr, Arc<UdpSocket>)>,
    orders: mpsc::Sender<Order>,
    bound: Vec<(Transport, SocketAddr)>,
    counts: Arc<Counts>,
    listeners: JoinSet<()>,
    switchboard: JoinSet<()>,
}

/// How much streams may ask of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all, accepted and opened.
    pub streams: usize,
    /// Accepted from one address: as many phones as a branch office has behind one.
    pub streams_per_source: usize,
    /// Messages waiting for one peer to read them; one more and the stream is given up.
    pub unread: usize,
    /// From accepting to the first whole message.
    pub first_message: Duration,
    /// Without a byte either way. Longer than the hour phones register for, since closing the
    /// stream of a phone behind NAT cuts it off.
    pub idle: Duration,
    /// Between two pings over a WebSocket. Who says nothing to two of them is gone.
    pub ping: Duration,
    pub connect: Duration,
}

/// What came and went since the start.
#[derive(Debug, Default)]
pub struct Counts {
    pub received: AtomicU64,
    pub sent: AtomicU64,
    /// Datagrams that found the inbox full.
    pub crowded_out: AtomicU64,
    /// Datagrams the kernel had no room to send.
    pub unsent: AtomicU64,
    pub keep_alives: AtomicU64,
    /// Streams over the limits.
    pub turned_away: AtomicU64,
    /// Streams open now.
    pub streams: AtomicU64,
}

/// Which listener could not be had, and why: the operator's to mend.
#[derive(Debug)]
pub struct NotBound {
    pub transport: Transport,
    pub address: SocketAddr,
    pub error: io::Error,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 16_384,
            streams_per_source: 1024,
            unread: 64,
            first_message: Duration::from_secs(10),
            idle: Duration::from_secs(65 * 60),
            // Reverse proxies close what is idle for a minute.
            ping: Duration::from_secs(20),
            connect: Duration::from_secs(4),
        }
    }
}

impl std::fmt::Display for NotBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot listen on {:?} {}: {}", self.transport, self.address, self.error)
    }
}

impl std::error::Error for NotBound {}

impl Sip {
    /// Binds every listener or none. Must be called within the runtime.
    pub fn bind(
        listen: &[(Transport, SocketAddr)],
        limits: Limits,
        inputs: mpsc::Sender<sip::Input>,
    ) -> Result<Self, NotBound> {
        let counts = Arc::new(Counts::default());
        let (orders, ordered) = mpsc::channel(1024);
        let (mut datagrams, mut listeners, mut bound) = (Vec::new(), Vec::new(), Vec::new());
        for &(transport, address) in listen {
            let not_bound = |error| NotBound { transport, address, error };
            let local = match transport {
                Transport::Udp => {
                    let socket = Arc::new(bind_datagrams(address).map_err(not_bound)?);
                    let local = socket.local_addr().map_err(not_bound)?;
                    datagrams.push((local, socket));
                    local
                }
                Transport::Tcp => {
                    let listener = bind_streams(address).map_err(not_bound)?;
                    let local = listener.local_addr().map_err(not_bound)?;
                    listeners.push((local, listener));
                    local
                }
                Transport::Ws | Transport::Wss => return Err(not_bound(io::ErrorKind::Unsupported.into())),
            };
            bound.push((transport, local));
        }

        let mut tasks = JoinSet::new();
        for (local, socket) in &datagrams {
            tasks.spawn(receive(Arc::clone(socket), *local, inputs.clone(), Arc::clone(&counts)));
        }
        for (local, listener) in listeners {
            tasks.spawn(streams::accept(listener, local, orders.clone()));
        }
        let mut switchboard = JoinSet::new();
        switchboard.spawn(Switchboard::new(limits, inputs, Arc::clone(&counts)).run(ordered));
        Ok(Self { datagrams, orders, bound, counts, listeners: tasks, switchboard })
    }

    /// As bound, in the order asked for: port 0 has become a real one. A [`Hop`]'s `local` is one
    /// of these.
    pub fn bound(&self) -> &[(Transport, SocketAddr)] {
        &self.bound
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where WebSockets come in.
    pub fn inlet(&self) -> Inlet {
        Inlet { orders: self.orders.downgrade() }
    }

    /// Sends without waiting. A stream is chosen by the hop's id, else any to its remote is, else
    /// one is opened.
    ///
    /// # Errors
    /// What is known at once to go nowhere comes back as the [`sip::Input::Unreachable`] to feed
    /// to the endpoint; what is found out later comes through the inbox.
    pub fn send(&self, hop: Hop, bytes: Bytes) -> Result<(), sip::Input> {
        match hop.transport {
            Transport::Udp => self.send_datagram(hop, &bytes),
            Transport::Tcp | Transport::Ws | Transport::Wss => self
                .orders
                .try_send(Order::Transmit { hop, bytes })
                .map_err(|_| sip::Input::Unreachable { hop }),
        }
    }

    /// Listens no more, and returns once every stream has been written to its end or `grace` is
    /// over.
    pub async fn close(mut self, grace: Duration) {
        self.listeners.shutdown().await;
        drop(self.orders);
        let _ = tokio::time::timeout(grace, self.switchboard.join_next()).await;
    }

    fn send_datagram(&self, hop: Hop, bytes: &[u8]) -> Result<(), sip::Input> {
        let socket = self.datagrams.iter().find(|(local, _)| *local == hop.local).map(|(_, socket)| socket);
        // Past the runtime, which would not try before its first look at the socket.
        let sent = socket
            .ok_or(io::ErrorKind::NotFound.into())
            .and_then(|socket| SockRef::from(socket.as_ref()).send_to(bytes, &hop.remote.into()));
        match sent {
            Ok(_) => {
                self.counts.sent.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            // As good as lost on the way: the transaction repeats it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counts.unsent.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                tracing::debug!(to = %hop.remote, %error, "datagram not sent");
                Err(sip::Input::Unreachable { hop })
            }
        }
    }
}

/// Takes WebSockets as streams. Copies may outlive the listeners; they take no more then.
#[derive(Clone, Debug)]
pub struct Inlet {
    orders: mpsc::WeakSender<Order>,
}

impl Inlet {
    /// The socket has come to `hop`'s listener from its remote. Where there is no room for it, by
    /// the same [`Limits`] as any stream, it is closed.
    pub async fn take(&self, socket: WebSocket, hop: Hop) {
        if let Some(orders) = self.orders.upgrade() {
            let _ = orders.send(Order::Upgraded { socket: Box::new(socket), hop }).await;
        }
    }
}

/// Datagrams read before others get their turn.
const BATCH: usize = 64;

async fn receive(
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    inputs: mpsc::Sender<sip::Input>,
    counts: Arc<Counts>,
) {
    let mut buffer = vec![0; 64 * 1024].into_boxed_slice();
    while socket.readable().await.is_ok() {
        for _ in 0..BATCH {
            // An error is of an earlier send, or there is no more.
            let Ok((length, remote)) = socket.try_recv_from(&mut buffer) else { break };
            let bytes = &buffer[..length];
            if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
                counts.keep_alives.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            counts.received.fetch_add(1, Ordering::Relaxed);
            let hop = Hop { transport: Transport::Udp, local, remote, stream: None };
            let input = sip::Input::Received { hop, bytes: Bytes::copy_from_slice(bytes) };
            match inputs.try_send(input) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => {
                    counts.crowded_out.fetch_add(1, Ordering::Relaxed);
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            }
        }
        tokio::task::yield_now().await;
    }
}

fn bind_datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket::open(address, Type::DGRAM, Protocol::UDP, Dscp::Signalling)?;
    // A thousand INVITEs at once; the kernel gives as much of it as `net.core.*mem_max` permits.
    socket.set_recv_buffer_size(4 << 20)?;
    socket.set_send_buffer_size(4 << 20)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn bind_streams(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket::open(address, Type::STREAM, Protocol::TCP, Dscp::Signalling)?;
    // A restart must not wait for the last run's streams to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::sip::StreamId;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
    const MESSAGE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 2\r\n\r\nhi";

    struct Shell {
        sip: Sip,
        inbox: mpsc::Receiver<sip::Input>,
    }

    impl Shell {
        fn new(transport: Transport, limits: Limits, room: usize) -> Self {
            let (inputs, inbox) = mpsc::channel(room);
            Self { sip: Sip::bind(&[(transport, LOOPBACK)], limits, inputs).unwrap(), inbox }
        }

        fn tcp() -> Self {
            Self::new(Transport::Tcp, Limits::default(), 16)
        }

        fn address(&self) -> SocketAddr {
            self.sip.bound()[0].1
        }

        async fn connect(&self) -> TcpStream {
            within(TcpStream::connect(self.address())).await.unwrap()
        }

        async fn received(&mut self) -> (Hop, Bytes) {
            match within(self.inbox.recv()).await.unwrap() {
                sip::Input::Received { hop, bytes } => (hop, bytes),
                sip::Input::Unreachable { hop } => panic!("unreachable: {hop:?}"),
            }
        }

        async fn unreachable(&mut self) -> Hop {
            match within(self.inbox.recv()).await.unwrap() {
                sip::Input::Unreachable { hop } => hop,
                sip::Input::Received { hop, bytes } => panic!("{bytes:?} from {hop:?}"),
            }
        }
    }

    async fn within<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
    }

    async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        within(stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// A port nobody listens on.
    async fn nobody() -> SocketAddr {
        tokio::net::TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn a_datagram_comes_with_its_hop_and_the_hop_leads_back() {
        let mut shell = Shell::new(Transport::Udp, Limits::default(), 16);
        let phone = UdpSocket::bind(LOOPBACK).await.unwrap();
        phone.send_to(b"\r\n\r\n", shell.address()).await.unwrap();
        phone.send_to(MESSAGE, shell.address()).await.unwrap();

        let (hop, bytes) = shell.received().await;
        let here = Hop {
            transport: Transport::Udp,
            local: shell.address(),
            remote: phone.local_addr().unwrap(),
            stream: None,
        };
        assert_eq!((hop, &bytes[..]), (here, MESSAGE));
        assert_eq!(shell.sip.counts().keep_alives.load(Ordering::Relaxed), 1);

        shell.sip.send(hop, Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n")).unwrap();
        let mut answer = [0; 100];
        let (length, from) = within(phone.recv_from(&mut answer)).await.unwrap();
        assert_eq!((&answer[..length], from), (&b"SIP/2.0 200 OK\r\n\r\n"[..], shell.address()));
    }

    #[tokio::test]
    async fn a_datagram_that_cannot_be_sent_is_known_at_once() {
        let shell = Shell::new(Transport::Udp, Limits::default(), 16);
        let hop = Hop { transport: Transport::Udp, local: shell.address(), remote: LOOPBACK, stream: None };
        for (hop, bytes) in [
            (Hop { remote: "127.0.0.1:9".parse().unwrap(), ..hop }, Bytes::from(vec![b'x'; 70_000])),
            (Hop { local: LOOPBACK, ..hop }, Bytes::from_static(b"x")),
        ] {
            let sent = shell.sip.send(hop, bytes);
            assert!(matches!(sent, Err(sip::Input::Unreachable { hop: told }) if told == hop));
        }
    }

    #[tokio::test]
    async fn datagrams_over_the_inbox_are_dropped_and_counted() {
        let mut shell = Shell::new(Transport::Udp, Limits::default(), 1);
        let phone = UdpSocket::bind(LOOPBACK).await.unwrap();
        phone.send_to(b"first", shell.address()).await.unwrap();
        phone.send_to(b"second", shell.address()).await.unwrap();
        within(async {
            while shell.sip.counts().crowded_out.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(&shell.received().await.1[..], b"first");
        phone.send_to(b"third", shell.address()).await.unwrap();
        assert_eq!(&shell.received().await.1[..], b"third");
    }

    #[tokio::test]
    async fn a_stream_is_cut_into_messages_however_it_comes() {
        let mut shell = Shell::tcp();
        let mut phone = shell.connect().await;
        let mut text = MESSAGE.to_vec();
        text.extend_from_slice(MESSAGE);
        let (head, tail) = text.split_at(MESSAGE.len() + 11);
        phone.write_all(head).await.unwrap();
        let (hop, first) = shell.received().await;
        phone.write_all(tail).await.unwrap();
        let (again, second) = shell.received().await;
        assert_eq!((&first[..], &second[..], hop), (MESSAGE, MESSAGE, again));
        assert_eq!(hop.remote, phone.local_addr().unwrap());
        assert!(hop.stream.is_some());

        shell.sip.send(hop, Bytes::from_static(b"answer")).unwrap();
        assert_eq!(read(&mut phone, 6).await, b"answer");
    }

    #[tokio::test]
    async fn a_ping_is_answered_and_told_to_nobody() {
        let mut shell = Shell::tcp();
        let mut phone = shell.connect().await;
        phone.write_all(b"\r\n\r\n").await.unwrap();
        assert_eq!(read(&mut phone, 2).await, b"\r\n");
        phone.write_all(MESSAGE).await.unwrap();
        assert_eq!(&shell.received().await.1[..], MESSAGE);
    }

    #[tokio::test]
    async fn a_stream_that_ends_is_told_once_and_not_used_again() {
        let mut shell = Shell::tcp();
        let mut phone = shell.connect().await;
        phone.write_all(MESSAGE).await.unwrap();
        let (hop, _) = shell.received().await;
        drop(phone);
        assert_eq!(shell.unreachable().await, hop);
        // Its remote listens to nobody: opening another stream there fails.
        shell.sip.send(hop, Bytes::from_static(b"late")).unwrap();
        assert_eq!(shell.unreachable().await, hop);
    }

    #[tokio::test]
    async fn a_peer_that_is_not_there_is_unreachable() {
        let mut shell = Shell::tcp();
        let hop =
            Hop { transport: Transport::Tcp, local: shell.address(), remote: nobody().await, stream: None };
        shell.sip.send(hop, Bytes::from_static(b"hello")).unwrap();
        assert_eq!(shell.unreachable().await, hop);
    }

    #[tokio::test]
    async fn messages_to_one_peer_share_the_stream_that_is_opened() {
        let mut shell = Shell::tcp();
        let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
        let remote = listener.local_addr().unwrap();
        let hop = Hop { transport: Transport::Tcp, local: shell.address(), remote, stream: None };
        shell.sip.send(hop, Bytes::from_static(b"one ")).unwrap();
        shell.sip.send(hop, Bytes::from_static(b"two ")).unwrap();
        let (mut peer, _) = within(listener.accept()).await.unwrap();
        assert_eq!(read(&mut peer, 8).await, b"one two ");
        peer.write_all(MESSAGE).await.unwrap();
        let (back, _) = shell.received().await;
        assert_eq!(Hop { stream: None, ..back }, hop);
        shell.sip.send(back, Bytes::from_static(b"three")).unwrap();
        assert_eq!(read(&mut peer, 5).await, b"three");
    }

    #[tokio::test]
    async fn an_accepted_stream_is_used_to_call_its_peer() {
        let mut shell = Shell::tcp();
        let mut phone = shell.connect().await;
        phone.write_all(MESSAGE).await.unwrap();
        let (hop, _) = shell.received().await;
        shell.sip.send(Hop { stream: None, ..hop }, Bytes::from_static(b"by remote")).unwrap();
        assert_eq!(read(&mut phone, 9).await, b"by remote");
        shell.sip.send(Hop { stream: Some(StreamId(u64::MAX)), ..hop }, Bytes::from_static(b"any")).unwrap();
        assert_eq!(read(&mut phone, 3).await, b"any");
    }

    #[tokio::test]
    async fn a_stream_out_of_step_hears_why_and_is_closed() {
        let mut shell = Shell::tcp();
        let mut phone = shell.connect().await;
        phone
            .write_all(
                b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\n\
                To: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: many\r\n\r\n",
            )
            .await
            .unwrap();
        let mut answer = Vec::new();
        within(phone.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.starts_with(b"SIP/2.0 400 "), "{}", String::from_utf8_lossy(&answer));
        drop(phone);
        shell.unreachable().await;
    }

    #[tokio::test]
    async fn a_stream_waits_where_a_datagram_would_be_dropped() {
        let mut shell = Shell::new(Transport::Tcp, Limits::default(), 1);
        let mut phone = shell.connect().await;
        for _ in 0..50 {
            phone.write_all(MESSAGE).await.unwrap();
        }
        for _ in 0..50 {
            assert_eq!(&shell.received().await.1[..], MESSAGE);
        }
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up() {
        let mut shell = Shell::new(Transport::Tcp, Limits { unread: 2, ..Limits::default() }, 16);
        let mut phone = shell.connect().await;
        phone.write_all(MESSAGE).await.unwrap();
        let (hop, _) = shell.received().await;
        let long = Bytes::from(vec![b'x'; 8 << 20]);
        let told = within(async {
            loop {
                let _ = shell.sip.send(hop, long.clone());
                match shell.inbox.try_recv() {
                    Ok(sip::Input::Unreachable { hop }) => break hop,
                    _ => tokio::task::yield_now().await,
                }
            }
        })
        .await;
        assert_eq!(told, hop);
    }

    #[tokio::test]
    async fn streams_over_the_limit_of_their_source_are_turned_away() {
        let mut shell = Shell::new(Transport::Tcp, Limits { streams_per_source: 1, ..Limits::default() }, 16);
        let mut first = shell.connect().await;
        first.write_all(MESSAGE).await.unwrap();
        let (hop, _) = shell.received().await;
        let mut second = shell.connect().await;
        assert_eq!(within(second.read(&mut [0; 1])).await.ok().unwrap_or(0), 0);
        assert_eq!(shell.sip.counts().turned_away.load(Ordering::Relaxed), 1);

        drop(first);
        assert_eq!(shell.unreachable().await, hop);
        // The place is free once the end of the first is known to all.
        within(async {
            while shell.sip.counts().streams.load(Ordering::Relaxed) > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut third = shell.connect().await;
        third.write_all(MESSAGE).await.unwrap();
        shell.received().await;
    }

    #[tokio::test]
    async fn a_stream_that_says_nothing_is_closed() {
        let limits = Limits { first_message: Duration::from_millis(20), ..Limits::default() };
        let mut shell = Shell::new(Transport::Tcp, limits, 16);
        let mut silent = shell.connect().await;
        assert_eq!(within(silent.read(&mut [0; 1])).await.unwrap(), 0);
        shell.unreachable().await;
    }

    #[tokio::test]
    async fn closing_writes_to_the_end() {
        let mut shell = Shell::tcp();
        let mut phone = shell.connect().await;
        phone.write_all(MESSAGE).await.unwrap();
        let (hop, _) = shell.received().await;
        for _ in 0..20 {
            shell.sip.send(hop, Bytes::from_static(b"BYE ")).unwrap();
        }
        within(shell.sip.close(Duration::from_secs(5))).await;
        let mut said = Vec::new();
        within(phone.read_to_end(&mut said)).await.unwrap();
        assert_eq!(said, b"BYE ".repeat(20));
        assert!(shell.inbox.recv().await.is_none(), "an orderly end is not told");
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_had_is_named() {
        let shell = Shell::tcp();
        let taken = shell.address();
        let (inputs, _inbox) = mpsc::channel(1);
        let error = Sip::bind(&[(Transport::Tcp, taken)], Limits::default(), inputs).unwrap_err();
        assert_eq!((error.address, error.error.kind()), (taken, io::ErrorKind::AddrInUse));
    }
}
