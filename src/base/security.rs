//! What two ends need to encrypt and to believe each other: plain values that signalling agrees on
//! and media uses. They print as nothing but their kind.

use std::fmt;

/// How SRTP protects (RFC 3711, RFC 7714).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    AeadAes256Gcm,
    AeadAes128Gcm,
    AesCm128HmacSha1_80,
    /// The tag of RTP is 32 bits, that of RTCP 80 all the same (RFC 4568 §6.2.2).
    AesCm128HmacSha1_32,
}

/// The master key and, after it, the master salt of one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    octets: [u8; Suite::LONGEST],
}

/// SHA-256 of a certificate (RFC 8122 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// One end's ICE user fragment and password (RFC 8445 §5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    pub ufrag: Box<str>,
    pub password: Box<str>,
}

/// Who opens the DTLS handshake (RFC 8842 §5.3): `Active` is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    Active,
    Passive,
}

impl Suite {
    /// What we like best comes first. AES-CM-80 stands before AES-256: everybody knows it.
    pub const ALL: [Self; 4] =
        [Self::AeadAes128Gcm, Self::AesCm128HmacSha1_80, Self::AeadAes256Gcm, Self::AesCm128HmacSha1_32];

    /// Octets of the longest key with its salt.
    pub const LONGEST: usize = 44;

    /// As in `a=crypto` (RFC 4568 §6.2, RFC 7714 §14.2).
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Octets of the master key.
    pub const fn key_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Octets of the master salt.
    pub const fn salt_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
        }
    }
}

impl MasterKey {
    /// `None` unless `octets` are just as many as the suite takes: key, then salt.
    pub fn new(suite: Suite, octets: &[u8]) -> Option<Self> {
        let mut kept = [0; Suite::LONGEST];
        if octets.len() != suite.key_length() + suite.salt_length() {
            return None;
        }
        kept.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(Self { suite, octets: kept })
    }

    pub const fn suite(&self) -> Suite {
        self.suite
    }

    pub fn key(&self) -> &[u8] {
        &self.octets[..self.suite.key_length()]
    }

    pub fn salt(&self) -> &[u8] {
        &self.octets[self.suite.key_length()..][..self.suite.salt_length()]
    }

    /// Key and salt, as `a=crypto` writes them in base64.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.suite.key_length() + self.suite.salt_length()]
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.suite.name())
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({})", self.ufrag)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As in `a=fingerprint`: upper-case pairs with colons between.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, octet) in self.0.iter().enumerate() {
            write!(f, "{}{octet:02X}", if n == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}
