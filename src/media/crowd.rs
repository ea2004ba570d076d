//! The shared port's table: which leg a datagram belongs to.
//!
//! Every WebRTC leg of a shard has the same port. STUN finds its leg by our user fragment in it,
//! everything else by where it comes from. Spares the bay a socket per leg, and makes a stranger
//! cheap: one look-up, nothing written, nothing allocated.
//!
//! **An address belongs to the leg that proved it first**, until that leg forgets it. Were the last
//! to win, any caller could, by a check of its own under a forged source, turn a neighbour's packets
//! away. The right owner of an address that is held waits [`CONSENT`](super::ice::CONSENT) at
//! worst: as long as the leg before it is unheard there. STUN gets through meanwhile.
//!
//! **Our user fragments** name the shard in their first two characters, 6 bits each (RFC 8839 §5.4's
//! `ice-char`s are base64's), so that what comes to another shard's port can be told from what is
//! nobody's; eight random characters follow.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::net::SocketAddr;

use super::ice::PAIRS;
use crate::base::{IceCredentials, Mint, PeerAddress};
use crate::rtp::stun::Message;

/// `ice-char` in the order of RFC 4648's base64.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Random characters of a user fragment: 48 bits. RFC 8445 §5.3 wants 24.
const UFRAG: usize = 8;
/// Characters of a password: 144 bits. RFC 8445 §5.3 wants 128.
const PASSWORD: usize = 24;

/// A media shard, by number: one of 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard(u16);

impl Shard {
    pub const FIRST: Self = Self(0);

    /// `None` above 4095.
    pub const fn new(number: u16) -> Option<Self> {
        if number < 4096 { Some(Self(number)) } else { None }
    }

    pub(super) const fn of(number: u32) -> Option<Self> {
        if number < 4096 { Some(Self(number as u16)) } else { None }
    }

    pub const fn number(self) -> usize {
        self.0 as usize
    }

    /// Credentials for a leg of this shard.
    pub fn credentials(self, mint: &mut Mint) -> IceCredentials {
        let digit = |value: u8| char::from(ALPHABET[usize::from(value & 63)]);
        let mut ufrag = String::with_capacity(2 + UFRAG);
        ufrag.extend([digit((self.0 >> 6) as u8), digit(self.0 as u8)]);
        ufrag.extend(mint.bytes::<UFRAG>().map(digit));
        let password: String = mint.bytes::<PASSWORD>().map(digit).iter().collect();
        IceCredentials { ufrag: ufrag.into(), password: password.into() }
    }
}

/// The shard that made a user fragment; of somebody else's it is any.
pub fn shard_of(ufrag: &[u8]) -> Option<Shard> {
    let &[high, low] = ufrag.first_chunk()?;
    Some(Shard(u16::from(value_of(high)?) << 6 | u16::from(value_of(low)?)))
}

/// Of a base64 digit.
const fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[derive(Debug)]
pub struct Crowd {
    by_ufrag: HashMap<Box<[u8]>, usize, Salt>,
    by_source: HashMap<PeerAddress, usize, Salt>,
    /// By slot.
    legs: Vec<Leg>,
}

/// Another leg has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub by: usize,
}

/// What leads to a leg, so that it can be forgotten without a search.
#[derive(Debug, Default)]
struct Leg {
    /// Two while it restarts.
    ufrags: Vec<Box<[u8]>>,
    sources: [Option<PeerAddress>; PAIRS],
}

impl Crowd {
    /// `mint` salts the tables: peers choose their own addresses.
    pub fn new(mint: &mut Mint) -> Self {
        let salt = Salt::new(mint);
        Self {
            by_ufrag: HashMap::with_hasher(salt.clone()),
            by_source: HashMap::with_hasher(salt),
            legs: vec![],
        }
    }

    /// A leg came, or restarts with another user fragment of ours beside the one it has.
    pub fn register(&mut self, ufrag: &str, slot: usize) -> Result<(), Taken> {
        if let Some(&by) = self.by_ufrag.get(ufrag.as_bytes()) {
            return if by == slot { Ok(()) } else { Err(Taken { by }) };
        }
        if self.legs.len() <= slot {
            self.legs.resize_with(slot + 1, Leg::default);
        }
        let ufrag: Box<[u8]> = ufrag.as_bytes().into();
        self.legs[slot].ufrags.push(ufrag.clone());
        self.by_ufrag.insert(ufrag, slot);
        Ok(())
    }

    /// A restart is over: the user fragment before it opens nothing any more.
    pub fn retire(&mut self, ufrag: &str) {
        if let Some(slot) = self.by_ufrag.remove(ufrag.as_bytes()) {
            self.legs[slot].ufrags.retain(|known| **known != *ufrag.as_bytes());
        }
    }

    /// The leg that a check is for. Nobody is believed by it yet: that is for its agent.
    pub fn find_by_ufrag(&self, message: &Message<'_>) -> Option<usize> {
        let (ours, _) = message.ufrags()?;
        self.by_ufrag.get(ours).copied()
    }

    /// The leg that proved this address.
    pub fn find(&self, from: SocketAddr) -> Option<usize> {
        self.by_source.get(&PeerAddress::from(from)).copied()
    }

    /// A check from there passed. Repeated without effect; what exceeds [`PAIRS`] is not learnt,
    /// but an agent has [`Crowd::unlearn`]ed another before.
    pub fn learn(&mut self, from: SocketAddr, slot: usize) -> Result<(), Taken> {
        let source = PeerAddress::from(from);
        match self.by_source.get(&source) {
            Some(&by) if by != slot => return Err(Taken { by }),
            Some(_) => return Ok(()),
            None => {}
        }
        let free = self.legs.get_mut(slot).and_then(|leg| leg.sources.iter_mut().find(|p| p.is_none()));
        if let Some(place) = free {
            *place = Some(source);
            self.by_source.insert(source, slot);
        }
        Ok(())
    }

    /// The leg no longer believes this address. Another's is left alone.
    pub fn unlearn(&mut self, from: SocketAddr, slot: usize) {
        let source = PeerAddress::from(from);
        let own =
            self.legs.get_mut(slot).and_then(|leg| leg.sources.iter_mut().find(|p| **p == Some(source)));
        if let Some(place) = own {
            *place = None;
            self.by_source.remove(&source);
        }
    }

    /// The leg is over.
    pub fn forget(&mut self, slot: usize) {
        let Some(leg) = self.legs.get_mut(slot).map(std::mem::take) else { return };
        for ufrag in leg.ufrags {
            self.by_ufrag.remove(&ufrag);
        }
        for source in leg.sources.into_iter().flatten() {
            self.by_source.remove(&source);
        }
    }
}

/// The standard hash behind a secret of ours, in place of one from the operating system.
#[derive(Clone, Debug)]
struct Salt(DefaultHasher);

impl Salt {
    fn new(mint: &mut Mint) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&mint.bytes::<16>());
        Self(hasher)
    }
}

impl BuildHasher for Salt {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::rtp::stun::{self, Class, Draft, Transaction};

    fn crowd() -> Crowd {
        Crowd::new(&mut Mint::new([1; 32]))
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, 1].into(), port)
    }

    fn find_by_ufrag(crowd: &Crowd, ufrag: &str) -> Option<usize> {
        let mut buffer = [0; 128];
        let draft = Draft::new(&mut buffer, Class::Request, Transaction([0; 12])).username(ufrag, "far");
        crowd.find_by_ufrag(&stun::parse(draft.finish().unwrap()).unwrap())
    }

    #[test]
    fn a_user_fragment_names_its_shard() {
        let mut mint = Mint::new([7; 32]);
        for number in [0, 1, 63, 64, 4095] {
            let shard = Shard::new(number).unwrap();
            let IceCredentials { ufrag, password } = shard.credentials(&mut mint);
            assert_eq!((ufrag.len(), password.len()), (10, 24));
            assert!(ufrag.bytes().chain(password.bytes()).all(|c| value_of(c).is_some()));
            assert_eq!(shard_of(ufrag.as_bytes()), Some(shard));
        }
        assert_eq!(Shard::new(4096), None);
        assert_eq!((shard_of(b"A"), shard_of(b"A:"), shard_of(b"")), (None, None, None));
    }

    #[test]
    fn a_leg_is_found_by_its_fragments_until_they_are_retired_or_it_is_forgotten() {
        let mut crowd = crowd();
        assert_eq!(crowd.register("AAold", 3), Ok(()));
        assert_eq!(crowd.register("AAnew", 3), Ok(()));
        assert_eq!(crowd.register("AAnew", 4), Err(Taken { by: 3 }));
        assert_eq!(find_by_ufrag(&crowd, "AAold"), Some(3));
        crowd.retire("AAold");
        assert_eq!((find_by_ufrag(&crowd, "AAold"), find_by_ufrag(&crowd, "AAnew")), (None, Some(3)));
        crowd.forget(3);
        assert_eq!(find_by_ufrag(&crowd, "AAnew"), None);
        assert!(crowd.by_ufrag.is_empty());
    }

    #[test]
    fn a_leg_is_found_by_its_addresses_however_the_socket_writes_them() {
        let mut crowd = crowd();
        crowd.register("AAone", 0).unwrap();
        crowd.learn("[::ffff:192.0.2.1]:9".parse().unwrap(), 0).unwrap();
        crowd.learn("[2001:db8::1]:9".parse().unwrap(), 0).unwrap();
        assert_eq!(crowd.find(address(9)), Some(0));
        assert_eq!(crowd.find("[2001:db8::1]:9".parse().unwrap()), Some(0));
        assert_eq!(crowd.find(address(10)), None);
        crowd.unlearn(address(9), 0);
        assert_eq!(crowd.find("[::ffff:192.0.2.1]:9".parse().unwrap()), None);
    }

    #[test]
    fn an_address_stays_with_the_leg_that_proved_it_first() {
        let mut crowd = crowd();
        crowd.register("AAone", 0).unwrap();
        crowd.register("AAtwo", 1).unwrap();
        assert_eq!(crowd.learn(address(9), 0), Ok(()));
        assert_eq!(crowd.learn(address(9), 1), Err(Taken { by: 0 }));
        crowd.unlearn(address(9), 1);
        assert_eq!(crowd.find(address(9)), Some(0));
        crowd.forget(0);
        assert_eq!(crowd.learn(address(9), 1), Ok(()));
        assert_eq!(crowd.find(address(9)), Some(1));
    }

    #[test]
    fn a_leg_has_no_more_addresses_than_its_agent_remembers() {
        let mut crowd = crowd();
        crowd.register("AAone", 0).unwrap();
        for port in 1..1000 {
            crowd.learn(address(port), 0).unwrap();
        }
        assert_eq!(crowd.by_source.len(), PAIRS);
        assert_eq!(crowd.learn(address(1), 77), Err(Taken { by: 0 }));
        // A leg that never registered learns nothing.
        crowd.learn(address(2000), 77).unwrap();
        assert_eq!(crowd.find(address(2000)), None);
    }

    proptest! {
        #[test]
        fn it_answers_as_a_plain_list_would(
            steps in prop::collection::vec((0..4usize, 0..6usize, 1..20u16), 0..80),
        ) {
            let (mut crowd, mut plain) = (crowd(), BTreeMap::new());
            for slot in 0..6 {
                crowd.register(&format!("AA{slot}"), slot).unwrap();
            }
            for (what, slot, port) in steps {
                match what {
                    0 | 1 => {
                        let of_slot = plain.values().filter(|by| **by == slot).count();
                        let held = plain.get(&port).copied();
                        let expected = held.filter(|by| *by != slot).map_or(Ok(()), |by| Err(Taken { by }));
                        prop_assert_eq!(crowd.learn(address(port), slot), expected);
                        if held.is_none() && of_slot < PAIRS {
                            plain.insert(port, slot);
                        }
                    }
                    2 => {
                        crowd.unlearn(address(port), slot);
                        if plain.get(&port) == Some(&slot) {
                            plain.remove(&port);
                        }
                    }
                    _ => {
                        crowd.forget(slot);
                        plain.retain(|_, by| *by != slot);
                        crowd.register(&format!("AA{slot}"), slot).unwrap();
                    }
                }
                for port in 1..20 {
                    prop_assert_eq!(crowd.find(address(port)), plain.get(&port).copied());
                }
            }
        }
    }
}
