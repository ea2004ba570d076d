//! `a=crypto`: SRTP keys in the description itself (RFC 4568).
//!
//! One line is one suite and one key. What we could not keep to is not read as a line at all: a key
//! that needs its MKI in every packet, several keys in one line, and the parameters that change what
//! is protected (§6.3). The offerer then finds its line not chosen (§5.1.2).

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha512};

use crate::base::{MasterKey, Suite};

use super::KeySeed;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crypto {
    /// What an answer repeats to say which line it takes: at most nine digits.
    pub tag: u32,
    pub key: MasterKey,
}

/// Some phones leave the `=` at the end of a GCM key away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Crypto {
    /// `1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20 WSH=64`. `None` for what is wrong and for what we
    /// do not keep to.
    pub(super) fn read(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let tag = words.next().filter(|tag| (1..=9).contains(&tag.len()))?.parse().ok()?;
        let suite = Suite::named(words.next()?)?;
        let inline = words.next()?;
        let (method, inline) = inline.split_at_checked("inline:".len())?;
        let mut parts = inline.split('|');
        let octets = BASE64.decode(parts.next()?).ok()?;
        let key = MasterKey::new(suite, &octets)?;
        let kept = method.eq_ignore_ascii_case("inline:") && parts.all(is_lifetime) && words.all(is_harmless);
        kept.then_some(Self { tag, key })
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tag, key } = self;
        write!(f, "{tag} {} inline:{}", key.suite().name(), BASE64.encode(key.octets()))
    }
}

impl KeySeed {
    /// Our key for `suite`: always the same one, and another for each suite.
    pub(super) fn key(&self, suite: Suite) -> MasterKey {
        let octets = Sha512::new().chain_update(self.0).chain_update(suite.name()).finalize();
        let length = suite.key_length() + suite.salt_length();
        MasterKey::new(suite, &octets[..length]).expect("as many octets as the suite takes")
    }
}

impl fmt::Debug for KeySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySeed")
    }
}

/// `2^31` or a number: how many packets the key is good for (§6.1). No call lives to see it. `1:4`
/// in its place is an MKI.
fn is_lifetime(text: &str) -> bool {
    let digits = text.strip_prefix("2^").unwrap_or(text);
    (1..=20).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit())
}

/// §6.3: the size of a replay window is a hint, and what begins with a minus may be passed over.
fn is_harmless(parameter: &str) -> bool {
    parameter.starts_with('-') || parameter.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("WSH="))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4568's own keys.
    const KEYS: [&str; 4] = [
        "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR",
        "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj",
        "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
        "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
    ];

    #[test]
    fn a_line_is_read_as_the_rfc_writes_it_and_written_as_it_was_read() {
        for key in KEYS {
            for suite in ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"] {
                let line = format!("1 {suite} inline:{key}");
                let crypto = Crypto::read(&line).expect("a line of the RFC");
                assert_eq!(crypto.to_string(), line);
                assert_eq!(Crypto::read(&format!("{line}|2^20")), Some(crypto.clone()));
                assert_eq!(Crypto::read(&format!("{line}|1066 WSH=64 -LATER=1")), Some(crypto));
            }
        }
        // This one spells out its 16 octets of key and 14 of salt.
        let crypto =
            Crypto::read("999999999 aes_cm_128_hmac_sha1_80 inline:YUJDZGVmZ2hpSktMbW9QUXJzVHVWd3l6MTIzNDU2")
                .expect("a line of the RFC");
        assert_eq!((crypto.tag, crypto.key.key()), (999_999_999, &b"aBCdefghiJKLmoPQ"[..]));
        assert_eq!(crypto.key.salt(), b"rsTuVwyz123456");
    }

    #[test]
    fn a_line_we_could_not_keep_to_is_not_read() {
        let key = KEYS[0];
        let fine = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}");
        for bad in [
            // As in the RFC's own examples: each asks for an MKI.
            format!("{fine}|2^20|1:32"),
            format!("{fine}|1066:4"),
            format!("{fine}|2^20|1:4 FEC_ORDER=FEC_SRTP"),
            format!("{fine}|2^20|1:4;inline:{}|2^20|2:4", KEYS[1]),
            format!("{fine};inline:{}", KEYS[1]),
            format!("2 F8_128_HMAC_SHA1_80 inline:{key}|2^20"),
            format!("{fine} KDR=1"),
            format!("{fine} UNENCRYPTED_SRTP"),
            format!("{fine} UNENCRYPTED_SRTCP"),
            format!("{fine} UNAUTHENTICATED_SRTP"),
            format!("{fine} FEC_ORDER=SRTP_FEC"),
            format!("{fine}|"),
            format!("{fine}|2^"),
            format!("{fine}|soon"),
            format!("0123456789 AES_CM_128_HMAC_SHA1_80 inline:{key}"),
            format!("AES_CM_128_HMAC_SHA1_80 inline:{key}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 outline:{key}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {key}"),
            format!("1 AEAD_AES_256_GCM inline:{key}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:".into(),
            "1 AES_CM_128_HMAC_SHA1_80 inline:****".into(),
            "1 AES_CM_128_HMAC_SHA1_80 inlinü".into(),
            "1 AES_CM_128_HMAC_SHA1_80".into(),
            "1".into(),
            String::new(),
        ] {
            assert_eq!(Crypto::read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn every_suite_has_a_key_of_its_own_that_survives_the_wire_without_its_padding() {
        let seed = KeySeed([7; 32]);
        let mut seen: Vec<MasterKey> = Vec::new();
        for suite in Suite::ALL {
            let crypto = Crypto { tag: 4, key: seed.key(suite) };
            assert_eq!(Crypto::read(&crypto.to_string()), Some(crypto.clone()));
            assert_eq!(Crypto::read(crypto.to_string().trim_end_matches('=')), Some(crypto.clone()));
            assert!(seen.iter().all(|other| other.key()[..16] != crypto.key.key()[..16]));
            seen.push(crypto.key);
        }
        assert_eq!(format!("{seed:?}"), "KeySeed");
    }
}
