//! What SRTP does to one packet whose index is known: AES in counter mode with HMAC-SHA1 (RFC 3711
//! §4.1.1, §4.2.1), or AES-GCM (RFC 7714).
//!
//! **Invariant:** nothing here remembers a packet. Ranges lie in the packet, which ends with its
//! trailer or has room for it; whoever calls has looked.
//!
//! ```text
//!          RTP                              RTCP
//! counter  header ‖ ⟨payload⟩ ‖ tag         8 octets ‖ ⟨rest⟩ ‖ E, index ‖ tag
//! GCM      header ‖ ⟨payload⟩ ‖ tag         8 octets ‖ ⟨rest⟩ ‖ tag ‖ E, index
//! ```

use std::fmt;
use std::ops::Range;

use aes::Aes128Enc;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, Mac};
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;

use super::Refusal;
use super::derivation::{Label, derive};
use crate::base::{MasterKey, Suite};

/// What stays readable of RTCP: the first packet's header and the sender's SSRC.
pub const RTCP_CLEAR: usize = 8;

/// Octets of the E flag with SRTCP's index.
const WORD: usize = 4;
const ENCRYPTED: u32 = 1 << 31;

/// Octets of AES-GCM's tag.
const GCM_TAG: usize = 16;

/// The keys of one direction, for RTP or for RTCP. Boxed, for a leg moves between shards and they
/// are large.
pub enum Transform {
    Counter(Box<Counter>),
    Gcm(Box<Gcm>),
}

/// Each has keys of its own.
#[derive(Clone, Copy, Debug)]
pub enum Flow {
    Rtp,
    Rtcp,
}

/// Which packet of which source: no two packets under one key have the same.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub ssrc: u32,
    /// 48 bits for RTP, rollover counter and sequence number; 31 bits for RTCP.
    pub index: u64,
}

pub struct Counter {
    cipher: Aes128Enc,
    /// Two octets of zero at the end count blocks.
    salt: [u8; 16],
    mac: Hmac<Sha1>,
    /// Octets of the tag.
    tag: usize,
}

/// `ring` leaves the nonces of a `LessSafeKey` to us: they are as unique as a [`Place`].
pub struct Gcm {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Transform {
    pub fn new(master: &MasterKey, flow: Flow) -> Self {
        let (cipher, authentication, salt) = match flow {
            Flow::Rtp => (Label::RtpCipher, Label::RtpAuthentication, Label::RtpSalt),
            Flow::Rtcp => (Label::RtcpCipher, Label::RtcpAuthentication, Label::RtcpSalt),
        };
        match master.suite() {
            Suite::AeadAes128Gcm => {
                Self::gcm(&aead::AES_128_GCM, &derive::<16>(master, cipher), derive(master, salt))
            }
            Suite::AeadAes256Gcm => {
                Self::gcm(&aead::AES_256_GCM, &derive::<32>(master, cipher), derive(master, salt))
            }
            suite @ (Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32) => {
                let tag = match (suite, flow) {
                    (Suite::AesCm128HmacSha1_32, Flow::Rtp) => 4,
                    _ => 10,
                };
                let authentication = derive(master, authentication);
                let counter = Counter::new(derive(master, cipher), derive(master, salt), authentication, tag);
                Self::Counter(Box::new(counter))
            }
        }
    }

    fn gcm(algorithm: &'static aead::Algorithm, key: &[u8], salt: [u8; 12]) -> Self {
        let key = UnboundKey::new(algorithm, key).expect("the key was derived at the algorithm's length");
        Self::Gcm(Box::new(Gcm { key: LessSafeKey::new(key), salt }))
    }

    /// Octets of the tag: all there is behind an RTP packet.
    pub fn tag_length(&self) -> usize {
        match self {
            Self::Counter(counter) => counter.tag,
            Self::Gcm(_) => GCM_TAG,
        }
    }

    /// Octets behind an RTCP packet: the tag and the index.
    pub fn rtcp_trailer(&self) -> usize {
        self.tag_length() + WORD
    }

    /// Encrypts the payload and puts the tag behind it. Returns the packet's length.
    pub fn seal_rtp(&self, packet: &mut [u8], payload: Range<usize>, place: Place) -> Option<usize> {
        let length = payload.end;
        match self {
            Self::Counter(counter) => {
                counter.apply(place, &mut packet[payload]);
                counter.sign(packet, length, &place.rollover());
            }
            Self::Gcm(gcm) => {
                let (header, rest) = packet.split_at_mut(payload.start);
                let (payload, trailer) = rest.split_at_mut(payload.len());
                trailer[..GCM_TAG].copy_from_slice(gcm.seal(place, header, payload)?.as_ref());
            }
        }
        Some(length + self.tag_length())
    }

    /// Believes what ends with a true tag and decrypts the payload.
    pub fn open_rtp(&self, packet: &mut [u8], payload: Range<usize>, place: Place) -> Result<(), Refusal> {
        match self {
            Self::Counter(counter) => {
                counter.verify(packet, payload.end, &place.rollover())?;
                counter.apply(place, &mut packet[payload]);
                Ok(())
            }
            Self::Gcm(gcm) => {
                let (header, rest) = packet.split_at_mut(payload.start);
                let (payload, tag) = rest.split_at_mut(payload.len());
                gcm.open(place, header, payload, tag)
            }
        }
    }

    /// Encrypts an RTCP packet of `length` octets and puts tag and index behind it. Returns the
    /// packet's length.
    pub fn seal_rtcp(&self, packet: &mut [u8], length: usize, place: Place) -> Option<usize> {
        let word = (place.index as u32 | ENCRYPTED).to_be_bytes();
        match self {
            Self::Counter(counter) => {
                counter.apply(place, &mut packet[RTCP_CLEAR..length]);
                packet[length..][..WORD].copy_from_slice(&word);
                counter.sign(packet, length + WORD, &[]);
            }
            Self::Gcm(gcm) => {
                let (header, rest) = packet.split_at_mut(RTCP_CLEAR);
                let (body, trailer) = rest.split_at_mut(length - RTCP_CLEAR);
                let tag = gcm.seal(place, &beside(header, word), body)?;
                trailer[..GCM_TAG].copy_from_slice(tag.as_ref());
                trailer[GCM_TAG..][..WORD].copy_from_slice(&word);
            }
        }
        Some(length + self.rtcp_trailer())
    }

    /// Believes an SRTCP packet that ends with a true tag and decrypts the `length` octets of RTCP
    /// in it. Returns its index.
    pub fn open_rtcp(&self, packet: &mut [u8], length: usize, ssrc: u32) -> Result<u64, Refusal> {
        let word_at = match self {
            Self::Counter(_) => length,
            Self::Gcm(_) => length + GCM_TAG,
        };
        let word = *packet[word_at..].first_chunk().ok_or(Refusal::Malformed)?;
        let flag = u32::from_be_bytes(word) & ENCRYPTED;
        let index = u64::from(u32::from_be_bytes(word) ^ flag);
        let place = Place { ssrc, index };
        match self {
            Self::Counter(counter) => {
                counter.verify(packet, length + WORD, &[])?;
                if flag != 0 {
                    counter.apply(place, &mut packet[RTCP_CLEAR..length]);
                }
            }
            Self::Gcm(gcm) if flag != 0 => {
                let (header, rest) = packet.split_at_mut(RTCP_CLEAR);
                let (body, trailer) = rest.split_at_mut(length - RTCP_CLEAR);
                gcm.open(place, &beside(header, word), body, &trailer[..GCM_TAG])?;
            }
            Self::Gcm(gcm) => {
                // RFC 7714 §9.3: all is associated data, the index right behind the packet.
                let (all, trailer) = packet.split_at_mut(length + WORD);
                let mut tag = [0; GCM_TAG];
                let (front, back) = tag.split_at_mut(WORD);
                front.copy_from_slice(&all[length..]);
                back.copy_from_slice(&trailer[..GCM_TAG - WORD]);
                all[length..].copy_from_slice(&word);
                gcm.open(place, all, &mut [], &tag)?;
            }
        }
        Ok(index)
    }
}

impl Counter {
    fn new(cipher: [u8; 16], salt: [u8; 14], authentication: [u8; 20], tag: usize) -> Self {
        let mut padded = [0; 16];
        padded[..salt.len()].copy_from_slice(&salt);
        Self {
            cipher: Aes128Enc::new(&cipher.into()),
            salt: padded,
            mac: Hmac::new_from_slice(&authentication).expect("HMAC takes keys of any length"),
            tag,
        }
    }

    /// Encrypts, or decrypts, which is the same.
    fn apply(&self, place: Place, octets: &mut [u8]) {
        let iv = place.over(self.salt, 4);
        Ctr128BE::from_core(CtrCore::inner_iv_init(&self.cipher, &iv.into())).apply_keystream(octets);
    }

    /// Puts the tag of the first `length` octets behind them.
    fn sign(&self, packet: &mut [u8], length: usize, rollover: &[u8]) {
        let (signed, trailer) = packet.split_at_mut(length);
        let tag = self.mac.clone().chain_update(signed).chain_update(rollover).finalize().into_bytes();
        trailer[..self.tag].copy_from_slice(&tag[..self.tag]);
    }

    fn verify(&self, packet: &[u8], length: usize, rollover: &[u8]) -> Result<(), Refusal> {
        let (signed, trailer) = packet.split_at(length);
        let mac = self.mac.clone().chain_update(signed).chain_update(rollover);
        mac.verify_truncated_left(&trailer[..self.tag]).map_err(|_| Refusal::Forged)
    }
}

impl Gcm {
    /// `None` for 64 GiB and more.
    fn seal(&self, place: Place, clear: &[u8], text: &mut [u8]) -> Option<aead::Tag> {
        self.key.seal_in_place_separate_tag(self.nonce(place), Aad::from(clear), text).ok()
    }

    fn open(&self, place: Place, clear: &[u8], text: &mut [u8], tag: &[u8]) -> Result<(), Refusal> {
        let tag = aead::Tag::try_from(tag).map_err(|_| Refusal::Malformed)?;
        self.key
            .open_in_place_separate_tag(self.nonce(place), Aad::from(clear), tag, text, 0..)
            .map(|_| ())
            .map_err(|_| Refusal::Forged)
    }

    fn nonce(&self, place: Place) -> Nonce {
        Nonce::assume_unique_for_key(place.over(self.salt, 2))
    }
}

impl Place {
    /// The salt with SSRC and index laid over it from octet `at`: RFC 3711 §4.1.1, RFC 7714 §8.1
    /// and §9.1.
    fn over<const N: usize>(self, mut salt: [u8; N], at: usize) -> [u8; N] {
        let [_, _, index @ ..] = self.index.to_be_bytes();
        let place = self.ssrc.to_be_bytes().into_iter().chain(index);
        salt[at..].iter_mut().zip(place).for_each(|(salt, octet)| *salt ^= octet);
        salt
    }

    fn rollover(self) -> [u8; 4] {
        ((self.index >> 16) as u32).to_be_bytes()
    }
}

/// SRTCP's associated data: what is clear, and the E flag with the index (RFC 7714 §9.2).
fn beside(header: &[u8], word: [u8; WORD]) -> [u8; RTCP_CLEAR + WORD] {
    let mut data = [0; RTCP_CLEAR + WORD];
    data[..RTCP_CLEAR].copy_from_slice(header);
    data[RTCP_CLEAR..].copy_from_slice(&word);
    data
}

/// As with [`MasterKey`], nothing but the kind.
impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter(_) => "Counter",
            Self::Gcm(_) => "Gcm",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::srtp::tests::hex;

    #[test]
    fn the_keystream_is_that_of_rfc_3711_appendix_b_2() {
        let key = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
        let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
        let counter = Counter::new(key, salt, [0; 20], 10);
        let mut octets = vec![0; 0xff02 * 16];
        counter.apply(Place { ssrc: 0, index: 0 }, &mut octets);
        let first = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(octets[..48], hex(first));
        let last = "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44";
        assert_eq!(octets[0xfeff * 16..], hex(last));
    }

    /// RFC 7714 gives the derived keys, not the master key.
    fn gcm(key: &str) -> Transform {
        let algorithm = if key.len() == 32 { &aead::AES_128_GCM } else { &aead::AES_256_GCM };
        Transform::gcm(algorithm, &hex(key), *b"Quid pro quo")
    }

    const KEY_128: &str = "000102030405060708090a0b0c0d0e0f";
    const KEY_256: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn rtp_is_sealed_and_opened_as_in_rfc_7714_section_16() {
        let plain =
            hex("8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070
            61727465 73207472 6573");
        let place = Place { ssrc: 0x5501_a0b2, index: 0xf17b };
        for (key, sealed) in [
            (
                KEY_128,
                "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a
                 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
            ),
            (
                KEY_256,
                "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02
                 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
            ),
        ] {
            let (transform, payload) = (gcm(key), 12..plain.len());
            let mut packet = [&plain[..], &[0; GCM_TAG]].concat();
            assert_eq!(transform.seal_rtp(&mut packet, payload.clone(), place), Some(packet.len()));
            assert_eq!(packet, hex(sealed));
            assert_eq!(transform.open_rtp(&mut packet, payload, place), Ok(()));
            assert_eq!(packet[..plain.len()], plain);
        }
    }

    const RTCP: &str =
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef
        deadbeef deadbeef deadbeef";

    #[test]
    fn rtcp_is_sealed_and_opened_as_in_rfc_7714_section_17() {
        let plain = hex(RTCP);
        let place = Place { ssrc: 0x4d61_7273, index: 0x5d4 };
        for (key, sealed) in [
            (
                KEY_128,
                "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
                 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
            ),
            (
                KEY_256,
                "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be
                 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
            ),
        ] {
            let transform = gcm(key);
            let mut packet = [&plain[..], &[0; GCM_TAG + WORD]].concat();
            assert_eq!(transform.seal_rtcp(&mut packet, plain.len(), place), Some(packet.len()));
            assert_eq!(packet, hex(sealed));
            assert_eq!(transform.open_rtcp(&mut packet, plain.len(), place.ssrc), Ok(place.index));
            assert_eq!(packet[..plain.len()], plain);
        }
    }

    #[test]
    fn rtcp_in_the_clear_is_believed_by_its_tag_as_in_rfc_7714_section_17_3() {
        let tagged = hex(&[RTCP, "841dd968 3dd78ec9 2ae58790 125f62b3 000005d4"].concat());
        let (plain, transform) = (hex(RTCP), gcm(KEY_128));
        let mut packet = tagged.clone();
        assert_eq!(transform.open_rtcp(&mut packet, plain.len(), 0x4d61_7273), Ok(0x5d4));
        assert_eq!(packet[..plain.len()], plain);
        for bit in 0..tagged.len() * 8 {
            let mut packet = tagged.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            let ssrc = u32::from_be_bytes(*packet[4..].first_chunk().unwrap());
            assert_eq!(
                transform.open_rtcp(&mut packet, plain.len(), ssrc),
                Err(Refusal::Forged),
                "bit {bit}"
            );
        }
    }
}
