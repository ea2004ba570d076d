//! STUN as ICE needs it: RFC 8489's Binding method with RFC 8445 §16.1's attributes, and RFC 7983's
//! sorting of what shares a port with it.
//!
//! Spares the layer above lengths, padding, XOR, the checksum and the integrity code: it gets a
//! [`Message`] that borrows the datagram, and a [`Draft`] that writes into its buffer. Short-term
//! credentials only, HMAC-SHA1 only: ICE uses nothing else. **Invariant:** what is read is checked
//! against the datagram's length, nothing is allocated, and nothing is believed before
//! [`Message::is_signed_by`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// What a datagram on a shared port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

/// RFC 7983 §7 by the first octet, and RFC 5761 §4 by the second between RTP and RTCP. `None` for
/// what we share no port with: ZRTP, TURN channels, QUIC (RFC 9443).
pub const fn kind_of(datagram: &[u8]) -> Option<Kind> {
    match *datagram {
        [0..=3, ..] => Some(Kind::Stun),
        [20..=63, ..] => Some(Kind::Dtls),
        // RTCP's types, 192 to 223, are what RTP would write as a marker with these payload types.
        [128..=191, second, ..] if matches!(second & 0x7f, 64..=95) => Some(Kind::Rtcp),
        [128..=191, _, ..] => Some(Kind::Rtp),
        _ => None,
    }
}

/// Octets before the attributes.
const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Octets of HMAC-SHA1.
const CODE: usize = 20;
/// RFC 8489 §14.7: "STUN", so that the checksum is not one that another protocol also carries.
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// Unknown attributes told to the peer. Nobody who means well sends more.
const TOLD: usize = 8;

/// Attribute types: RFC 8489 §18.3, RFC 8445 §20.1.
mod kind {
    pub const MAPPED_ADDRESS: u16 = 0x0001;
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const PRIORITY: u16 = 0x0024;
    pub const USE_CANDIDATE: u16 = 0x0025;
    /// From here on an attribute that is not understood may be passed over.
    pub const OPTIONAL: u16 = 0x8000;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const ICE_CONTROLLED: u16 = 0x8029;
    pub const ICE_CONTROLLING: u16 = 0x802a;
}

/// A Binding message as it came. Where an attribute comes twice, the first counts (RFC 8489 §14).
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub class: Class,
    pub transaction: Transaction,
    pub username: Option<&'a [u8]>,
    /// What the peer's candidate would have if it were learnt from this check (RFC 8445 §7.1.1).
    pub priority: Option<u32>,
    /// USE-CANDIDATE: the peer nominates the pair.
    pub nominates: bool,
    pub role: Option<Role>,
    /// XOR-MAPPED-ADDRESS.
    pub mapped: Option<SocketAddr>,
    pub error: Option<ErrorCode>,
    unknown: Unknown,
    bytes: &'a [u8],
    /// Where MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Request,
    /// Asks for nothing; in ICE a keep-alive.
    Indication,
    Success,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction(pub [u8; 12]);

/// Which end the sender takes itself for, with its tie-breaker (RFC 8445 §16.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Controlled(u64),
    Controlling(u64),
}

/// RFC 8489 §14.8: 300 to 699.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(u16);

/// The octets are no STUN Binding message: cut short, of another method, an attribute of a wrong
/// length, or a checksum that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A whole datagram. A checksum is checked if there is one (RFC 8489 §7).
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    let (head, mut rest) = bytes.split_first_chunk::<HEADER>().ok_or(Malformed)?;
    let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *head;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if [c0, c1, c2, c3] != COOKIE || length != rest.len() || !length.is_multiple_of(4) {
        return Err(Malformed);
    }
    let class = Class::from_kind(u16::from_be_bytes([t0, t1])).ok_or(Malformed)?;
    let mut message = Message::new(bytes, class, Transaction(transaction));
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (&[k0, k1, l0, l1], tail) = rest.split_first_chunk().ok_or(Malformed)?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = tail.get(..length).ok_or(Malformed)?;
        rest = tail.get(length.next_multiple_of(4)..).ok_or(Malformed)?;
        match u16::from_be_bytes([k0, k1]) {
            kind::FINGERPRINT => {
                // §14.7: the last attribute, over all before it.
                if !rest.is_empty() || value != checksum(&bytes[..at]) {
                    return Err(Malformed);
                }
            }
            // §14.5: what follows the code is not covered by it, and therefore not believed.
            _ if message.integrity.is_some() => {}
            kind => message.take(at, kind, value)?,
        }
    }
    Ok(message)
}

impl<'a> Message<'a> {
    fn new(bytes: &'a [u8], class: Class, transaction: Transaction) -> Self {
        Self {
            class,
            transaction,
            username: None,
            priority: None,
            nominates: false,
            role: None,
            mapped: None,
            error: None,
            unknown: Unknown::default(),
            bytes,
            integrity: None,
        }
    }

    /// RFC 8445 §7.2.2: the receiver's user fragment, then the sender's.
    pub fn ufrags(&self) -> Option<(&'a [u8], &'a [u8])> {
        let name = self.username?;
        let colon = name.iter().position(|octet| *octet == b':')?;
        Some((&name[..colon], &name[colon + 1..]))
    }

    /// It has a code at all: whether the right one, [`Message::is_signed_by`] says.
    pub const fn is_signed(&self) -> bool {
        self.integrity.is_some()
    }

    /// RFC 8489 §14.5. Compared in constant time.
    pub fn is_signed_by(&self, password: &Password) -> bool {
        let Some(at) = self.integrity else { return false };
        // What comes after the code counts as if it were not there.
        let length = (at + 4 + CODE - HEADER) as u16;
        password.over(&self.bytes[..at], length).verify_slice(&self.bytes[at + 4..][..CODE]).is_ok()
    }

    /// Attributes that must be understood and are not: the request deserves a 420.
    pub fn unknown(&self) -> &[u16] {
        &self.unknown.kinds[..self.unknown.count]
    }

    fn take(&mut self, at: usize, kind: u16, value: &'a [u8]) -> Result<(), Malformed> {
        match kind {
            kind::USERNAME => _ = self.username.get_or_insert(value),
            kind::MESSAGE_INTEGRITY if value.len() == CODE => self.integrity = Some(at),
            kind::MESSAGE_INTEGRITY => return Err(Malformed),
            kind::PRIORITY => _ = self.priority.get_or_insert(u32::from_be_bytes(exactly(value)?)),
            kind::USE_CANDIDATE => self.nominates = true,
            kind::ICE_CONTROLLED => {
                _ = self.role.get_or_insert(Role::Controlled(u64::from_be_bytes(exactly(value)?)));
            }
            kind::ICE_CONTROLLING => {
                _ = self.role.get_or_insert(Role::Controlling(u64::from_be_bytes(exactly(value)?)));
            }
            kind::XOR_MAPPED_ADDRESS => {
                let mapped = read_address(value, self.transaction).ok_or(Malformed)?;
                self.mapped.get_or_insert(mapped);
            }
            kind::ERROR_CODE => {
                let &[_, _, hundreds, rest] = value.first_chunk().ok_or(Malformed)?;
                let code = ErrorCode::new(hundreds & 7, rest).ok_or(Malformed)?;
                self.error.get_or_insert(code);
            }
            // Known, and of no use here (§6.3: what is known and not expected is passed over).
            kind::MAPPED_ADDRESS | kind::UNKNOWN_ATTRIBUTES | kind::REALM | kind::NONCE => {}
            ..kind::OPTIONAL => self.unknown.add(kind),
            _ => {}
        }
        Ok(())
    }
}

impl Class {
    /// Of a message type of method Binding (RFC 8489 §5).
    const fn from_kind(kind: u16) -> Option<Self> {
        match kind {
            0x0001 => Some(Self::Request),
            0x0011 => Some(Self::Indication),
            0x0101 => Some(Self::Success),
            0x0111 => Some(Self::Error),
            _ => None,
        }
    }

    const fn kind(self) -> u16 {
        match self {
            Self::Request => 0x0001,
            Self::Indication => 0x0011,
            Self::Success => 0x0101,
            Self::Error => 0x0111,
        }
    }
}

impl ErrorCode {
    pub const BAD_REQUEST: Self = Self(400);
    pub const UNAUTHENTICATED: Self = Self(401);
    /// RFC 7675 §5.2: the consent is withdrawn.
    pub const FORBIDDEN: Self = Self(403);
    pub const UNKNOWN_ATTRIBUTE: Self = Self(420);
    /// RFC 8445 §7.3.1.1.
    pub const ROLE_CONFLICT: Self = Self(487);

    const fn new(hundreds: u8, rest: u8) -> Option<Self> {
        match (hundreds, rest) {
            (3..=6, ..=99) => Some(Self(hundreds as u16 * 100 + rest as u16)),
            _ => None,
        }
    }

    pub const fn code(self) -> u16 {
        self.0
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::BAD_REQUEST => "Bad Request",
            Self::UNAUTHENTICATED => "Unauthenticated",
            Self::FORBIDDEN => "Forbidden",
            Self::UNKNOWN_ATTRIBUTE => "Unknown Attribute",
            Self::ROLE_CONFLICT => "Role Conflict",
            _ => "",
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Unknown {
    kinds: [u16; TOLD],
    count: usize,
}

impl Unknown {
    fn add(&mut self, kind: u16) {
        if let Some(place) = self.kinds.get_mut(self.count) {
            *place = kind;
            self.count += 1;
        }
    }
}

/// A password, made ready once so that a check costs no key set-up.
#[derive(Clone)]
pub struct Password(Hmac<Sha1>);

impl Password {
    /// RFC 8489 §9.1.1: with short-term credentials the key is the password itself.
    pub fn new(octets: &[u8]) -> Self {
        Self(Hmac::new_from_slice(octets).expect("HMAC takes keys of any length"))
    }

    /// Over `covered` as if its header said `length`.
    fn over(&self, covered: &[u8], length: u16) -> Hmac<Sha1> {
        let mut mac = self.0.clone();
        mac.update(&covered[..2]);
        mac.update(&length.to_be_bytes());
        mac.update(&covered[4..]);
        mac
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// A message being written. What does not fit the buffer is noticed at the end.
#[derive(Debug)]
pub struct Draft<'a> {
    buffer: &'a mut [u8],
    /// `None` once something did not fit.
    length: Option<usize>,
}

impl<'a> Draft<'a> {
    pub fn new(buffer: &'a mut [u8], class: Class, transaction: Transaction) -> Self {
        let mut draft = Self { buffer, length: Some(0) };
        draft.put(&class.kind().to_be_bytes());
        draft.put(&[0; 2]);
        draft.put(&COOKIE);
        draft.put(&transaction.0);
        draft
    }

    pub fn username(self, theirs: &str, ours: &str) -> Self {
        self.attribute(kind::USERNAME, &[theirs.as_bytes(), b":", ours.as_bytes()])
    }

    pub fn priority(self, priority: u32) -> Self {
        self.attribute(kind::PRIORITY, &[&priority.to_be_bytes()])
    }

    /// USE-CANDIDATE.
    pub fn nominate(self) -> Self {
        self.attribute(kind::USE_CANDIDATE, &[])
    }

    pub fn role(self, role: Role) -> Self {
        match role {
            Role::Controlled(breaker) => self.attribute(kind::ICE_CONTROLLED, &[&breaker.to_be_bytes()]),
            Role::Controlling(breaker) => self.attribute(kind::ICE_CONTROLLING, &[&breaker.to_be_bytes()]),
        }
    }

    /// XOR-MAPPED-ADDRESS. An IPv4 address that a socket of both families wrote as IPv6 is told as
    /// what it is: the peer compares it with its own.
    pub fn mapped(self, address: SocketAddr) -> Self {
        let Some(transaction) = self.buffer.get(8..HEADER).and_then(|id| id.first_chunk().copied()) else {
            return self;
        };
        let (port, pad) = (address.port(), pad(Transaction(transaction)));
        let [p0, p1] = port.to_be_bytes();
        let port = [p0 ^ pad[0], p1 ^ pad[1]];
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let [pad @ .., _, _, _, _, _, _, _, _, _, _, _, _] = pad;
                let ip = xor(ip.octets(), pad);
                self.attribute(kind::XOR_MAPPED_ADDRESS, &[&[0, 1], &port, &ip])
            }
            IpAddr::V6(ip) => {
                self.attribute(kind::XOR_MAPPED_ADDRESS, &[&[0, 2], &port, &xor(ip.octets(), pad)])
            }
        }
    }

    pub fn error(self, error: ErrorCode) -> Self {
        let [hundreds, rest] = [(error.0 / 100) as u8, (error.0 % 100) as u8];
        self.attribute(kind::ERROR_CODE, &[&[0, 0, hundreds, rest], error.reason().as_bytes()])
    }

    /// The attributes that a 420 is about; eight of them at most.
    pub fn unknown(self, kinds: &[u16]) -> Self {
        let mut list = [0; 2 * TOLD];
        for (place, kind) in list.chunks_exact_mut(2).zip(kinds) {
            place.copy_from_slice(&kind.to_be_bytes());
        }
        self.attribute(kind::UNKNOWN_ATTRIBUTES, &[&list[..2 * kinds.len().min(TOLD)]])
    }

    /// MESSAGE-INTEGRITY over all that was written so far.
    pub fn sign(self, password: &Password) -> Self {
        let at = self.length;
        let draft = self.attribute(kind::MESSAGE_INTEGRITY, &[&[0; CODE]]);
        if let (Some(at), Some(end)) = (at, draft.length) {
            let code = password.over(&draft.buffer[..at], (end - HEADER) as u16).finalize().into_bytes();
            draft.buffer[at + 4..end].copy_from_slice(&code);
        }
        draft
    }

    /// With the checksum. `None` if the buffer was too small.
    pub fn finish(self) -> Option<&'a [u8]> {
        let at = self.length?;
        let draft = self.attribute(kind::FINGERPRINT, &[&[0; 4]]);
        let end = draft.length?;
        let sum = checksum(&draft.buffer[..at]);
        draft.buffer[at + 4..end].copy_from_slice(&sum);
        Some(&draft.buffer[..end])
    }

    /// One attribute, its value in pieces, and the header's length with it.
    pub(crate) fn attribute(mut self, kind: u16, value: &[&[u8]]) -> Self {
        let length: usize = value.iter().map(|piece| piece.len()).sum();
        self.put(&kind.to_be_bytes());
        self.put(&(length as u16).to_be_bytes());
        for piece in value {
            self.put(piece);
        }
        self.put(&[0; 3][..length.next_multiple_of(4) - length]);
        if let Some(end) = self.length {
            self.buffer[2..4].copy_from_slice(&((end - HEADER) as u16).to_be_bytes());
        }
        self
    }

    fn put(&mut self, octets: &[u8]) {
        self.length = self.length.and_then(|at| {
            let end = at + octets.len();
            self.buffer.get_mut(at..end)?.copy_from_slice(octets);
            // The header counts in 16 bits.
            (end <= usize::from(u16::MAX)).then_some(end)
        });
    }
}

fn exactly<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
    value.try_into().map_err(|_| Malformed)
}

/// RFC 8489 §14.2: XOR hides an address from NATs that would rewrite what looks like one.
fn read_address(value: &[u8], transaction: Transaction) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk()?;
    let pad = pad(transaction);
    let ip = match family {
        1 => {
            let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _] = pad;
            IpAddr::V4(Ipv4Addr::from(xor(address.try_into().ok()?, first)))
        }
        2 => IpAddr::V6(Ipv6Addr::from(xor(address.try_into().ok()?, pad))),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([p0 ^ pad[0], p1 ^ pad[1]])))
}

/// Cookie and transaction.
fn pad(transaction: Transaction) -> [u8; 16] {
    let mut pad = [0; 16];
    pad[..4].copy_from_slice(&COOKIE);
    pad[4..].copy_from_slice(&transaction.0);
    pad
}

fn xor<const N: usize>(mut octets: [u8; N], pad: [u8; N]) -> [u8; N] {
    for (octet, pad) in octets.iter_mut().zip(pad) {
        *octet ^= pad;
    }
    octets
}

/// RFC 8489 §14.7, over a message up to where its FINGERPRINT begins; the header's length counts
/// that attribute already.
fn checksum(covered: &[u8]) -> [u8; 4] {
    let crc = covered.iter().fold(u32::MAX, |crc, octet| crc >> 8 ^ CRC[(crc as u8 ^ octet) as usize]);
    (!crc ^ FINGERPRINT_XOR).to_be_bytes()
}

/// CRC-32 of ITU-T V.42, an octet at a time.
static CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let (mut crc, mut bit) = (octet as u32, 0);
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        table[octet] = crc;
        octet += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use md5::{Digest, Md5};
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

    /// RFC 5769 §2.1.
    const REQUEST: &str = "
        00010058 2112a442 b7e7a701 bc34d686 fa87dfae
        80220010 5354554e 20746573 7420636c 69656e74
        00240004 6e0001ff
        80290008 932ff9b1 51263b36
        00060009 6576746a 3a683676 59202020
        00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
        80280004 e57a3bcf";
    /// §2.2.
    const RESPONSE_V4: &str = "
        0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
        8022000b 74657374 20766563 746f7220
        00200008 0001a147 e112a643
        00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
        80280004 c07d4c96";
    /// §2.3.
    const RESPONSE_V6: &str = "
        01010048 2112a442 b7e7a701 bc34d686 fa87dfae
        8022000b 74657374 20766563 746f7220
        00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
        00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
        80280004 c8fb0b4c";
    /// §2.4.
    const LONG_TERM: &str = "
        00010060 2112a442 78ad3433 c6ad72c0 29da412e
        00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000
        0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341
        0014000b 6578616d 706c652e 6f726700
        00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666";

    const TRANSACTION: Transaction =
        Transaction([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    #[test]
    fn the_sample_request_is_read_and_believed() {
        let bytes = octets(REQUEST);
        let message = parse(&bytes).unwrap();
        assert_eq!((message.class, message.transaction), (Class::Request, TRANSACTION));
        assert_eq!(message.ufrags(), Some((&b"evtj"[..], &b"h6vY"[..])));
        assert_eq!(message.priority, Some(0x6e00_01ff));
        assert_eq!(message.role, Some(Role::Controlled(0x932f_f9b1_5126_3b36)));
        assert!(!message.nominates && message.unknown().is_empty());
        assert!(message.is_signed_by(&Password::new(PASSWORD)));
        assert!(!message.is_signed_by(&Password::new(b"VOkJxbRl1RmTxUk/WvJxBu")));
    }

    #[test]
    fn the_sample_responses_are_read_and_believed() {
        for (sample, address) in
            [(RESPONSE_V4, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
        {
            let bytes = octets(sample);
            let message = parse(&bytes).unwrap();
            assert_eq!((message.class, message.transaction), (Class::Success, TRANSACTION));
            assert_eq!(message.mapped, Some(address.parse().unwrap()));
            assert!(message.is_signed_by(&Password::new(PASSWORD)));
        }
    }

    #[test]
    fn the_sample_with_long_term_credentials_is_believed_by_their_key() {
        let bytes = octets(LONG_TERM);
        let message = parse(&bytes).unwrap();
        assert_eq!(message.username, Some("マトリックス".as_bytes()));
        assert_eq!((message.ufrags(), message.unknown()), (None, &[][..]));
        let key = Md5::digest("マトリックス:example.org:TheMatrIX");
        assert!(message.is_signed_by(&Password::new(&key)));
    }

    #[test]
    fn one_bit_wrong_anywhere_is_noticed() {
        let (bytes, password) = (octets(REQUEST), Password::new(PASSWORD));
        for bit in 0..8 * bytes.len() {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            // Past the checksum's own type and length only the code tells.
            let unnoticed = parse(&bent).is_ok_and(|message| message.is_signed_by(&password));
            let unchecked = bit / 8 == bytes.len() - 8 || bit / 8 == bytes.len() - 7;
            assert!(!unnoticed || unchecked, "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "cut to {end}");
        }
    }

    #[test]
    fn a_message_is_read_as_written() {
        let (mut buffer, password) = ([0xff; 256], Password::new(b"pass"));
        let written = Draft::new(&mut buffer, Class::Request, TRANSACTION)
            .username("near", "far")
            .priority(77)
            .nominate()
            .role(Role::Controlling(5))
            .sign(&password)
            .finish()
            .unwrap();
        let message = parse(written).unwrap();
        assert_eq!(message.ufrags(), Some((&b"near"[..], &b"far"[..])));
        assert_eq!((message.priority, message.role), (Some(77), Some(Role::Controlling(5))));
        assert!(message.nominates && message.is_signed_by(&password));

        let error = |code, kinds: &[u16]| {
            let mut buffer = [0xff; 128];
            let draft = Draft::new(&mut buffer, Class::Error, TRANSACTION).error(code).unknown(kinds);
            let bytes = draft.finish().unwrap().to_vec();
            let message = parse(&bytes).unwrap();
            assert!(!message.is_signed() && message.class == Class::Error);
            message.error.map(ErrorCode::code)
        };
        assert_eq!(error(ErrorCode::ROLE_CONFLICT, &[]), Some(487));
        assert_eq!(error(ErrorCode::UNKNOWN_ATTRIBUTE, &[1; 20]), Some(420));
    }

    #[test]
    fn an_address_of_a_socket_of_both_families_is_told_as_ipv4() {
        let mut buffer = [0; 64];
        let from = "[::ffff:192.0.2.1]:32853".parse().unwrap();
        let bytes =
            Draft::new(&mut buffer, Class::Success, TRANSACTION).mapped(from).finish().unwrap().to_vec();
        assert_eq!(bytes[20..32], octets(RESPONSE_V4)[36..48]);
        assert_eq!(parse(&bytes).unwrap().mapped, Some("192.0.2.1:32853".parse().unwrap()));
    }

    #[test]
    fn a_buffer_too_small_gives_nothing() {
        let password = Password::new(b"pass");
        let length = |room: usize| {
            let mut buffer = vec![0; room];
            let draft = Draft::new(&mut buffer, Class::Success, TRANSACTION);
            draft.mapped("[2001:db8::1]:9".parse().unwrap()).sign(&password).finish().map(<[u8]>::len)
        };
        assert!((0..76).all(|room| length(room).is_none()));
        assert_eq!(length(76), Some(76));
    }

    #[test]
    fn only_what_must_be_understood_is_told_as_unknown() {
        let mut buffer = [0; 256];
        let mut draft = Draft::new(&mut buffer, Class::Request, TRANSACTION);
        for kind in [0x0002, 0x8022, 0xc057, 0x7fff] {
            draft = draft.attribute(kind, &[b"?"]);
        }
        // After the code nothing counts, not even what is not understood.
        let bytes = draft.sign(&Password::new(b"")).attribute(0x0003, &[]).nominate().finish().unwrap();
        let message = parse(bytes).unwrap();
        assert_eq!(message.unknown(), [0x0002, 0x7fff]);
        assert!(!message.nominates && message.is_signed_by(&Password::new(b"")));
    }

    #[test]
    fn a_flood_of_unknown_attributes_is_told_in_part() {
        let mut buffer = [0; 512];
        let draft = Draft::new(&mut buffer, Class::Request, TRANSACTION);
        let bytes = (0x0100..0x0140).fold(draft, |draft, kind| draft.attribute(kind, &[])).finish().unwrap();
        assert_eq!(parse(bytes).unwrap().unknown(), [256, 257, 258, 259, 260, 261, 262, 263]);
    }

    #[test]
    fn attributes_of_a_wrong_length_are_refused() {
        for (kind, value) in [
            (kind::PRIORITY, &[1, 2, 3][..]),
            (kind::ICE_CONTROLLING, &[0; 4]),
            (kind::ICE_CONTROLLED, &[0; 9]),
            (kind::MESSAGE_INTEGRITY, &[0; 32]),
            (kind::XOR_MAPPED_ADDRESS, &[0, 1, 0, 0]),
            (kind::XOR_MAPPED_ADDRESS, &[0, 2, 0, 0, 1, 2, 3, 4]),
            (kind::XOR_MAPPED_ADDRESS, &[0, 3, 0, 0, 1, 2, 3, 4]),
            (kind::ERROR_CODE, &[0, 0, 4]),
            (kind::ERROR_CODE, &[0, 0, 7, 0]),
            (kind::ERROR_CODE, &[0, 0, 4, 100]),
        ] {
            let mut buffer = [0; 128];
            let draft = Draft::new(&mut buffer, Class::Request, TRANSACTION).attribute(kind, &[value]);
            assert_eq!(parse(draft.finish().unwrap()).err(), Some(Malformed), "{kind:#06x} {value:?}");
        }
    }

    #[test]
    fn a_shared_port_is_sorted_by_the_first_octets() {
        let kind = |octets: &[u8]| kind_of(octets);
        assert_eq!((kind(&[0, 1]), kind(&[3]), kind(&[4])), (Some(Kind::Stun), Some(Kind::Stun), None));
        assert_eq!(
            (kind(&[19]), kind(&[20]), kind(&[22]), kind(&[63]), kind(&[64])),
            (None, Some(Kind::Dtls), Some(Kind::Dtls), Some(Kind::Dtls), None)
        );
        assert_eq!((kind(&[0x80, 0]), kind(&[0x80, 111])), (Some(Kind::Rtp), Some(Kind::Rtp)));
        assert_eq!((kind(&[0xbf, 0x80 | 126]), kind(&[192, 0])), (Some(Kind::Rtp), None));
        assert_eq!((kind(&[0x80, 200]), kind(&[0x81, 205])), (Some(Kind::Rtcp), Some(Kind::Rtcp)));
        assert_eq!((kind(&[0x80, 192]), kind(&[0x80, 223])), (Some(Kind::Rtcp), Some(Kind::Rtcp)));
        assert_eq!((kind(&[]), kind(&[0x80])), (None, None));
    }

    fn any_attributes() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
        let known = prop::sample::select(vec![1, 6, 8, 9, 10, 0x14, 0x20, 0x24, 0x25, 0x8029, 0x802a]);
        prop::collection::vec(
            (prop_oneof![known, any::<u16>()], prop::collection::vec(any::<u8>(), 0..40)),
            0..12,
        )
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(bytes: Vec<u8>) {
            let _ = (parse(&bytes).is_ok(), kind_of(&bytes));
        }

        #[test]
        fn any_attributes_are_read_or_refused(attributes in any_attributes(), cut: u16) {
            let mut buffer = [0; 1024];
            let draft = Draft::new(&mut buffer, Class::Request, TRANSACTION);
            let draft = attributes.iter().fold(draft, |draft, (kind, value)| {
                draft.attribute(*kind, &[value])
            });
            let length = draft.length.unwrap();
            if let Ok(message) = parse(&buffer[..length]) {
                let _ = (message.ufrags(), message.is_signed_by(&Password::new(b"pass")));
            }
            let end = usize::from(cut) % (length + 1);
            prop_assert!(end == length || parse(&buffer[..end]).is_err());
        }
    }
}
