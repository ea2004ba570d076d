//! From a master key to the keys that are used: RFC 3711 §4.3, with a key derivation rate of 0.
//! AES-256 derives by AES-256 (RFC 6188 §3, RFC 7714 §11).

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher};
use aes::{Aes128Enc, Aes256Enc};
use ctr::{Ctr128BE, CtrCore};

use crate::base::{MasterKey, Suite};

/// What a derived key is for: RFC 3711 §4.3.2.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Label {
    RtpCipher = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpCipher = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// The first `N` octets of the key for `label`.
pub fn derive<const N: usize>(master: &MasterKey, label: Label) -> [u8; N] {
    let mut iv = [0; 16];
    // AES-GCM's salt of 12 octets is filled up with zeros to 14 (RFC 7714 §11).
    iv[..master.salt().len()].copy_from_slice(master.salt());
    // RFC 3711 §4.3.1: the label comes before a packet count of 48 bits, which is 0.
    iv[7] ^= label as u8;
    match master.suite() {
        Suite::AeadAes256Gcm => keystream::<Aes256Enc, N>(master, iv),
        _ => keystream::<Aes128Enc, N>(master, iv),
    }
}

fn keystream<C, const N: usize>(master: &MasterKey, iv: [u8; 16]) -> [u8; N]
where
    C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let cipher = C::new_from_slice(master.key()).expect("the suite has the cipher's key length");
    let mut key = [0; N];
    Ctr128BE::from_core(CtrCore::inner_iv_init(cipher, &iv.into())).apply_keystream(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::srtp::tests::hex;

    #[test]
    fn keys_are_derived_as_in_rfc_3711_appendix_b_3() {
        let octets = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
        let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &octets).unwrap();
        assert_eq!(derive::<16>(&master, Label::RtpCipher)[..], hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derive::<14>(&master, Label::RtpSalt)[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
        let authentication = "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE
            E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25
            6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2";
        assert_eq!(derive::<94>(&master, Label::RtpAuthentication)[..], hex(authentication));
    }
}
