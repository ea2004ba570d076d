//! Where a peer is, however that is written.

use std::net::{IpAddr, SocketAddr};

/// The source or destination of packets. A socket of both families writes IPv4 addresses as IPv6
/// (RFC 4291 §2.5.5.2): both spellings are one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress(IpAddr, u16);

impl PeerAddress {
    /// Whether both are where one peer is.
    pub fn same(a: SocketAddr, b: SocketAddr) -> bool {
        Self::from(a) == Self::from(b)
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address.ip().to_canonical(), address.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_in_both_spellings_and_no_other() {
        let same = |a: &str, b: &str| PeerAddress::same(a.parse().unwrap(), b.parse().unwrap());
        assert!(same("192.0.2.1:4000", "[::ffff:192.0.2.1]:4000"));
        assert!(!same("192.0.2.1:4000", "192.0.2.1:4001"));
        assert!(!same("192.0.2.1:4000", "[::ffff:192.0.2.2]:4000"));
        assert!(!same("192.0.2.1:4000", "[2001:db8::1]:4000"));
    }
}
