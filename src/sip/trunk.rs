//! Trunks: carriers and exchanges known by the address they send from.
//!
//! The source address of each request is looked up, longest prefix first, so the cost does not
//! grow with the number of trunks. What numbers mean on a trunk is none of SIP's business.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::Transport;
use super::auth::Login;
use crate::base::TrunkId;

/// One trunk as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    pub id: TrunkId,
    /// Requests from there are this trunk's. The longest prefix of all trunks wins.
    pub sources: Vec<Cidr>,
    /// Where calls out go. `None`: the trunk only brings calls.
    pub outbound: Option<(Transport, SocketAddr)>,
    /// Answers the trunk's challenges, if it asks any.
    pub login: Option<Login>,
}

/// A range of addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// IPv4 as IPv4-mapped IPv6, bits below the prefix zero.
    network: u128,
    /// Of 128 bits.
    prefix: u8,
}

/// The text is not an address or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotACidr;

/// All trunks, found by id or by source.
#[derive(Debug, Default)]
pub struct Trunks {
    by_id: BTreeMap<TrunkId, Trunk>,
    /// Longest prefix first.
    by_prefix: Vec<(u8, BTreeMap<u128, TrunkId>)>,
}

impl Trunks {
    /// Where two trunks claim the same range, the first keeps it.
    pub fn new(trunks: impl IntoIterator<Item = Trunk>) -> Self {
        let mut by_id = BTreeMap::new();
        let mut by_prefix = BTreeMap::<u8, BTreeMap<u128, TrunkId>>::new();
        for trunk in trunks {
            for cidr in &trunk.sources {
                let networks = by_prefix.entry(cidr.prefix).or_default();
                networks.entry(cidr.network).or_insert_with(|| trunk.id.clone());
            }
            by_id.entry(trunk.id.clone()).or_insert(trunk);
        }
        Self { by_id, by_prefix: by_prefix.into_iter().rev().collect() }
    }

    pub fn trunk(&self, id: &TrunkId) -> Option<&Trunk> {
        self.by_id.get(id)
    }

    /// Whose requests come from there.
    pub fn by_source(&self, source: IpAddr) -> Option<&Trunk> {
        let bits = bits(source);
        let id = self.by_prefix.iter().find_map(|(prefix, networks)| networks.get(&masked(bits, *prefix)))?;
        self.by_id.get(id)
    }
}

impl Cidr {
    pub fn contains(self, address: IpAddr) -> bool {
        masked(bits(address), self.prefix) == self.network
    }
}

impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        Self { network: bits(address), prefix: 128 }
    }
}

impl FromStr for Cidr {
    type Err = NotACidr;

    /// Bits set below the prefix are ignored, as everywhere.
    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotACidr)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            // `parse` alone would take a sign.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|length| *length <= longest).ok_or(NotACidr)?
            }
            Some(_) => return Err(NotACidr),
            None => longest,
        };
        let prefix = 128 - longest + length;
        Ok(Self { network: masked(bits(address), prefix), prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match IpAddr::from(self.network.to_be_bytes()).to_canonical() {
            address @ IpAddr::V4(_) if self.prefix >= 96 => write!(f, "{address}/{}", self.prefix - 96),
            _ => write!(f, "{}/{}", std::net::Ipv6Addr::from(self.network), self.prefix),
        }
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NotACidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address or a range such as 192.0.2.0/24")
    }
}

impl std::error::Error for NotACidr {}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

fn masked(bits: u128, prefix: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trunk(id: &str, sources: &[&str]) -> Trunk {
        let sources = sources.iter().map(|s| s.parse().unwrap()).collect();
        Trunk { id: id.into(), sources, outbound: None, login: None }
    }

    #[test]
    fn the_longest_prefix_names_the_trunk() {
        let trunks = Trunks::new([
            trunk("wide", &["10.0.0.0/8", "2001:db8::/32"]),
            trunk("narrow", &["10.1.2.0/24"]),
            trunk("one", &["10.1.2.3", "2001:db8::7"]),
        ]);
        let named = |source: &str| {
            let source = source.parse().unwrap();
            trunks.by_source(source).map(|trunk| trunk.id.to_string()).unwrap_or_default()
        };
        assert_eq!(named("10.9.9.9"), "wide");
        assert_eq!(named("10.1.2.4"), "narrow");
        assert_eq!(named("10.1.2.3"), "one");
        assert_eq!(named("::ffff:10.1.2.3"), "one");
        assert_eq!(named("2001:db8::7"), "one");
        assert_eq!(named("2001:db8::8"), "wide");
        assert_eq!(named("11.0.0.1"), "");
    }

    #[test]
    fn everybody_is_a_range_too() {
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
        assert!("::/0".parse::<Cidr>().unwrap().contains("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "/8", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/+8", "10.0.0.0/", "::/129", "carrier.example"]
        {
            assert_eq!(text.parse::<Cidr>(), Err(NotACidr), "{text}");
        }
    }

    #[test]
    fn a_range_prints_as_it_is_written() {
        for text in ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::/0", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
    }
}
