//! What passes over the network: every datagram on loopback, heard beside whoever it is for.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use super::sound::Law;

/// From the moment it is made. sipp does not record what it hears; this does.
pub struct Wire {
    passed: Arc<Mutex<Vec<Datagram>>>,
}

#[derive(Clone, Debug)]
pub struct Datagram {
    pub at: Instant,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub payload: Vec<u8>,
}

impl Wire {
    pub fn tap() -> Self {
        let kind = Protocol::from(i32::from((libc::ETH_P_IP as u16).to_be()));
        let mut socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(kind)).expect("a packet socket");
        socket.set_recv_buffer_size(8 << 20).expect("a buffer");
        let passed = Arc::new(Mutex::new(vec![]));
        let wire = Self { passed: passed.clone() };
        // It ends with the process, which has this one test to run.
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length) = socket.read(&mut buffer) {
                passed.lock().expect("nobody panics with it").extend(datagram(&buffer[..length]));
            }
        });
        wire
    }

    pub fn passed(&self, which: impl Fn(&Datagram) -> bool) -> Vec<Datagram> {
        self.passed.lock().expect("nobody panics with it").iter().filter(|d| which(d)).cloned().collect()
    }

    /// The sound sent to an address, as the ear there would put it together: in the order of the
    /// sequence numbers, what is missing left out.
    pub fn sound(&self, to: SocketAddr, law: Law) -> Vec<i16> {
        put_together(self.passed(|datagram| datagram.to == to && is_rtp(&datagram.payload, law)), law)
    }

    /// The same of what an address sent.
    pub fn said(&self, from: SocketAddr, law: Law) -> Vec<i16> {
        put_together(self.passed(|datagram| datagram.from == from && is_rtp(&datagram.payload, law)), law)
    }
}

/// Sends a datagram in somebody's name (RFC 791, RFC 768; a checksum of zero is none).
pub fn forge(from: SocketAddr, to: SocketAddr, payload: &[u8]) {
    let (SocketAddr::V4(source), SocketAddr::V4(destination)) = (from, to) else { panic!("of IPv4") };
    let length = payload.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend((28 + length).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.ip().octets());
    packet.extend(destination.ip().octets());
    for field in [source.port(), destination.port(), 8 + length, 0] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend(payload);
    // The kernel fills in the header's checksum.
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)));
    socket.and_then(|socket| socket.send_to(&packet, &to.into())).expect("loopback takes it");
}

fn put_together(packets: Vec<Datagram>, law: Law) -> Vec<i16> {
    let mut in_order = BTreeMap::new();
    let (mut cycles, mut last) = (0i64, None::<u16>);
    for packet in packets {
        let sequence = u16::from_be_bytes([packet.payload[2], packet.payload[3]]);
        if last.is_some_and(|last| last > 0xf000 && sequence < 0x1000) {
            cycles += 1 << 16;
        }
        last = Some(sequence);
        in_order.insert(cycles + i64::from(sequence), law.decode(&packet.payload[12..]));
    }
    in_order.into_values().flatten().collect()
}

/// Version 2, no extension, no contributors: what everybody here sends.
fn is_rtp(payload: &[u8], law: Law) -> bool {
    payload.len() > 12 && payload[0] == 0x80 && payload[1] & 0x7f == law.payload_type()
}

/// RFC 791 and RFC 768; fragments are left out.
fn datagram(packet: &[u8]) -> Option<Datagram> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    if *packet.get(9)? != 17 {
        return None;
    }
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let port = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    let length = usize::from(port(header + 4)?);
    Some(Datagram {
        at: Instant::now(),
        from: (address(12)?, port(header)?).into(),
        to: (address(16)?, port(header + 2)?).into(),
        payload: packet.get(header + 8..header + length)?.to_vec(),
    })
}
