//! The sockets of one shard: pairs bound ahead of need, in use, and their ports at rest.
//!
//! A pair is stocked, then taken, then closed. Its port rests before another pair is bound to it,
//! so that the last packets of an old call find nobody rather than a new call.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Protocol, Type};

use super::Counts;
use super::neighbours::Neighbours;
use super::poll::Epoll;
use crate::base::{LegId, Mint, Mono};
use crate::io::socket::{self, Dscp};
use crate::media::{Channel, Shard, SocketId, Wire};

#[derive(Debug)]
pub(super) struct Stock {
    epoll: Epoll,
    address: IpAddr,
    /// Pairs to keep ready.
    level: usize,
    rest: Duration,
    /// By [`SocketId`].
    pairs: Vec<Option<Pair>>,
    vacant: Vec<u32>,
    /// Even ports nobody has, the longest unused first, and when each may be had again.
    ports: VecDeque<(Mono, u16)>,
    /// They have the ports that WebRTC legs share, this shard's among them.
    neighbours: Neighbours,
    stocked: usize,
    unannounced: VecDeque<SocketId>,
    supply: Supply,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Pair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    address: SocketAddr,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Stocked,
    Taken,
}

/// Octets: 80 ms of a thousand legs. The kernel may grant less.
const SHARED_BUFFER: usize = 4 << 20;

/// Told to the operator once each time it runs short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    Enough,
    Short,
}

impl Stock {
    #[expect(clippy::too_many_arguments, reason = "the parts of one stock, put together in one place")]
    pub fn new(
        epoll: Epoll,
        address: IpAddr,
        neighbours: Neighbours,
        mut ports: Vec<u16>,
        level: usize,
        rest: Duration,
        mint: &mut Mint,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        let own = neighbours.own();
        if let Some(shared) = neighbours.web(own) {
            epoll.add(shared, token(SocketId::shared(own), Channel::Rtp))?;
        }
        // Whoever guesses the next port could speak into a call before its caller does.
        for last in (1..ports.len()).rev() {
            ports.swap(last, mint.u64() as usize % (last + 1));
        }
        Ok(Self {
            epoll,
            address,
            neighbours,
            level,
            rest,
            pairs: Vec::with_capacity(ports.len()),
            vacant: Vec::with_capacity(ports.len()),
            ports: ports.into_iter().map(|port| (Mono::ZERO, port)).collect(),
            stocked: 0,
            unannounced: VecDeque::with_capacity(level),
            supply: Supply::Enough,
            counts,
        })
    }

    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    pub fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// Binds what is missing, trying at most so many ports; returns how many pairs were bound.
    pub fn fill(&mut self, now: Mono, tries: usize) -> io::Result<usize> {
        let mut bound = 0;
        for _ in 0..tries {
            if self.stocked >= self.level {
                self.supply = Supply::Enough;
                break;
            }
            let Some((_, port)) = self.ports.pop_front_if(|(ready, _)| *ready <= now) else {
                if self.stocked == 0 && self.supply == Supply::Enough {
                    self.supply = Supply::Short;
                    tracing::error!(
                        "no RTP port is left: widen the port range or call no more than it can carry"
                    );
                }
                break;
            };
            match self.bind(port) {
                Ok(()) => bound += 1,
                Err(error) => {
                    self.ports.push_back((now + self.rest, port));
                    // Another process has it: the next may be free. Anything else will fail again.
                    if error.kind() != io::ErrorKind::AddrInUse {
                        if self.supply == Supply::Enough {
                            self.supply = Supply::Short;
                            tracing::error!(port, %error, "no RTP socket");
                        }
                        return Err(error);
                    }
                }
            }
        }
        Counts::set(&self.counts.stocked, self.stocked as u64);
        Ok(bound)
    }

    /// Whether so many are missing that it cannot wait for the next chores.
    pub fn is_low(&self) -> bool {
        self.stocked < self.level / 4 * 3
    }

    /// The next pair that nobody has been told of.
    pub fn poll_announcement(&mut self) -> Option<(SocketId, SocketAddr)> {
        while let Some(socket) = self.unannounced.pop_front() {
            if let Some(pair) = self.pair(socket) {
                return Some((socket, pair.address));
            }
        }
        None
    }

    /// The pair is in use: it no longer counts as stock.
    pub fn take(&mut self, socket: SocketId) {
        if let Some(Some(pair)) = self.pairs.get_mut(socket.0 as usize)
            && pair.place == Place::Stocked
        {
            pair.place = Place::Taken;
            self.stocked -= 1;
        }
    }

    /// Closes the pair and lets its port rest.
    pub fn retire(&mut self, now: Mono, socket: SocketId) {
        let Some(pair) = self.pairs.get_mut(socket.0 as usize).and_then(Option::take) else { return };
        if pair.place == Place::Stocked {
            self.stocked -= 1;
            self.unannounced.retain(|waiting| *waiting != socket);
        }
        self.ports.push_back((now + self.rest, pair.address.port()));
        self.vacant.push(socket.0);
    }

    /// What came to a pair. `None` if there is no such pair, nothing came, or it is too long to be
    /// audio.
    pub fn receive(
        &self,
        socket: SocketId,
        channel: Channel,
        buffer: &mut [u8],
    ) -> Option<(usize, SocketAddr)> {
        let (length, from) = self.socket(socket, channel)?.recv_from(buffer).ok()?;
        // The kernel cuts what does not fit.
        if length == buffer.len() {
            Counts::add(&self.counts.oversize);
            return None;
        }
        Counts::add(&self.counts.received);
        Some((length, from))
    }

    fn bind(&mut self, port: u16) -> io::Result<()> {
        let address = SocketAddr::new(self.address, port);
        let (rtp, rtcp) = (bind(address)?, bind(SocketAddr::new(self.address, port + 1))?);
        let id = self.vacant.last().copied().unwrap_or(self.pairs.len() as u32);
        self.epoll.add(&rtp, token(SocketId(id), Channel::Rtp))?;
        self.epoll.add(&rtcp, token(SocketId(id), Channel::Rtcp))?;
        let pair = Some(Pair { rtp, rtcp, address, place: Place::Stocked });
        match self.vacant.pop().and_then(|id| self.pairs.get_mut(id as usize)) {
            Some(vacant) => *vacant = pair,
            None => self.pairs.push(pair),
        }
        self.stocked += 1;
        self.unannounced.push_back(SocketId(id));
        Ok(())
    }

    fn socket(&self, socket: SocketId, channel: Channel) -> Option<&UdpSocket> {
        match socket.shared_by() {
            Some(shard) => self.neighbours.web(shard),
            None => self.pair(socket).map(|pair| pair.channel(channel)),
        }
    }

    fn pair(&self, socket: SocketId) -> Option<&Pair> {
        self.pairs.get(socket.0 as usize)?.as_ref()
    }
}

impl Wire for Stock {
    fn send(&mut self, socket: SocketId, channel: Channel, to: SocketAddr, bytes: &[u8]) {
        // The null address of a peer on hold would be this machine itself.
        let sent = self
            .socket(socket, channel)
            .filter(|_| to.port() != 0 && !to.ip().is_unspecified())
            .is_some_and(|socket| socket.send_to(bytes, to).is_ok());
        Counts::add(if sent { &self.counts.sent } else { &self.counts.unsent });
    }

    fn forward(&mut self, shard: Shard, leg: LegId, from: SocketAddr, bytes: &[u8]) {
        let sent = self.neighbours.forward(shard, leg, from, bytes);
        Counts::add(if sent.is_ok() { &self.counts.forwarded } else { &self.counts.unforwarded });
    }
}

impl Pair {
    fn channel(&self, channel: Channel) -> &UdpSocket {
        match channel {
            Channel::Rtp => &self.rtp,
            Channel::Rtcp => &self.rtcp,
        }
    }
}

/// How a socket is known to epoll; the tokens from [`FIRST_FREE_TOKEN`] up are no socket's.
pub(super) fn token(socket: SocketId, channel: Channel) -> u64 {
    u64::from(socket.0) << 1 | u64::from(channel == Channel::Rtcp)
}

pub(super) fn socket_of(token: u64) -> (SocketId, Channel) {
    (SocketId((token >> 1) as u32), if token & 1 == 0 { Channel::Rtp } else { Channel::Rtcp })
}

pub(super) const FIRST_FREE_TOKEN: u64 = 1 << 33;

/// The even ports of a range whose odd neighbours are in it as well: every `of`th, from the `nth`.
pub(super) fn ports(range: &RangeInclusive<u16>, nth: usize, of: usize) -> Vec<u16> {
    let first = range.start().checked_next_multiple_of(2).unwrap_or(u16::MAX);
    (first..*range.end()).step_by(2).skip(nth).step_by(of).collect()
}

/// The port of all WebRTC legs has room for the packets of as many.
pub(super) fn bind_shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = bind(address)?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(SHARED_BUFFER)?;
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket::open(address, Type::DGRAM, Protocol::UDP, Dscp::Audio)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::io::media::poll::Bell;

    const REST: Duration = Duration::from_secs(5);

    /// `seed` picks other ports for each test, and other processes have others still, as all run
    /// beside each other.
    fn stock(seed: u8, ports: Vec<u16>, level: usize) -> Stock {
        let mut own = [seed; 32];
        own[..4].copy_from_slice(&std::process::id().to_le_bytes());
        let (epoll, mut mint) = (Epoll::new().unwrap(), Mint::new(own));
        let address = Ipv4Addr::LOCALHOST.into();
        let shared = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let (alone, _) = Neighbours::all(vec![(shared, Arc::new(Bell::new().unwrap()))]).remove(0);
        let counts = Arc::default();
        let mut stock = Stock::new(epoll, address, alone, ports, level, REST, &mut mint, counts).unwrap();
        stock.fill(Mono::ZERO, 10_000).unwrap();
        stock
    }

    fn wide() -> Vec<u16> {
        ports(&(40_000..=59_999), 0, 1)
    }

    /// A stock of one pair and no further port.
    fn single(seed: u8) -> (Stock, SocketId, SocketAddr) {
        let mut stock = stock(seed, wide(), 1);
        stock.ports.clear();
        let (socket, address) = announced(&mut stock)[0];
        (stock, socket, address)
    }

    fn announced(stock: &mut Stock) -> Vec<(SocketId, SocketAddr)> {
        std::iter::from_fn(|| stock.poll_announcement()).collect()
    }

    #[test]
    fn shards_share_the_even_ports_of_the_range() {
        assert_eq!(ports(&(20_001..=20_010), 0, 2), [20_002, 20_006]);
        assert_eq!(ports(&(20_001..=20_010), 1, 2), [20_004, 20_008]);
        assert_eq!(ports(&(65_534..=65_535), 0, 1), [65_534]);
        assert!(ports(&(65_535..=65_535), 0, 1).is_empty());
    }

    #[test]
    fn a_token_names_its_socket() {
        for socket in [SocketId(0), SocketId(7), SocketId(u32::MAX)] {
            for channel in [Channel::Rtp, Channel::Rtcp] {
                let token = token(socket, channel);
                assert_eq!(socket_of(token), (socket, channel));
                assert!(token < FIRST_FREE_TOKEN);
            }
        }
    }

    #[test]
    fn what_is_taken_is_replaced_and_told_once() {
        let mut stock = stock(1, wide(), 2);
        let first = announced(&mut stock);
        assert_eq!(first.len(), 2);
        stock.take(first[0].0);
        stock.take(first[0].0);
        stock.fill(Mono::ZERO, 100).unwrap();
        let second = announced(&mut stock);
        assert_eq!(second.len(), 1);
        let ports: BTreeSet<_> = first.iter().chain(&second).map(|(_, address)| address.port()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| port % 2 == 0));
    }

    #[test]
    fn a_stock_is_low_until_most_of_it_is_there() {
        let mut stock = stock(7, wide(), 8);
        let pairs = announced(&mut stock);
        stock.take(pairs[0].0);
        assert!(!stock.is_low());
        pairs.iter().for_each(|(socket, _)| stock.take(*socket));
        assert!(stock.is_low());
        assert_eq!((stock.fill(Mono::ZERO, 5).unwrap(), stock.is_low()), (5, true));
        assert_eq!((stock.fill(Mono::ZERO, 5).unwrap(), stock.is_low()), (3, false));
        assert_eq!(stock.fill(Mono::ZERO, 5).unwrap(), 0);
    }

    #[test]
    fn a_port_rests_before_it_is_used_again() {
        let (mut stock, socket, address) = single(2);
        stock.take(socket);
        let closed = Mono::ZERO + Duration::from_secs(60);
        stock.retire(closed, socket);
        for early in [closed, closed + (REST - Duration::from_nanos(1))] {
            stock.fill(early, 10).unwrap();
            assert_eq!(announced(&mut stock), []);
        }
        stock.fill(closed + REST, 10).unwrap();
        assert_eq!(announced(&mut stock), [(socket, address)]);
    }

    #[test]
    fn a_pair_retired_before_it_was_told_is_never_told() {
        let mut stock = stock(3, wide(), 1);
        stock.retire(Mono::ZERO, SocketId(0));
        assert_eq!(announced(&mut stock), []);
    }

    #[test]
    fn a_pair_at_rest_neither_sends_nor_receives() {
        let (mut stock, socket, address) = single(4);
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        stock.send(socket, Channel::Rtcp, peer.local_addr().unwrap(), b"x");
        let from = peer.recv_from(&mut [0; 4]).unwrap().1;
        assert_eq!(from, SocketAddr::new(address.ip(), address.port() + 1));
        stock.retire(Mono::ZERO, socket);
        stock.send(socket, Channel::Rtp, peer.local_addr().unwrap(), b"x");
        assert_eq!(stock.receive(socket, Channel::Rtp, &mut [0; 4]), None);
        assert_eq!((stock.counts.sent(), stock.counts.unsent()), (1, 1));
    }

    #[test]
    fn nothing_is_sent_to_the_null_address() {
        let (mut stock, socket, address) = single(5);
        stock.send(socket, Channel::Rtp, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()), b"x");
        stock.send(socket, Channel::Rtp, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0), b"x");
        assert_eq!((stock.counts.sent(), stock.counts.unsent()), (0, 2));
        assert_eq!(stock.receive(socket, Channel::Rtp, &mut [0; 4]), None);
    }

    #[test]
    fn a_port_another_process_has_is_passed_over() {
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Of this pair it has RTP's port or RTCP's.
        let taken = other.local_addr().unwrap().port() & !1;
        assert_eq!(announced(&mut stock(6, vec![taken], 1)), []);
        let mut stock = stock(6, [vec![taken], wide()].concat(), 3);
        let got = announced(&mut stock);
        assert!(got.len() == 3 && got.iter().all(|(_, address)| address.port() != taken));
    }
}
