//! The one source of randomness below `io`: ids, tags, branches, keys, ports' SSRCs.
//!
//! ChaCha20 keyed with 32 bytes from the operating system in production and from the seed in
//! tests, so an input log with its seed replays a run to the byte. Such a log is a secret.

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::id::{CallId, ContactId, CustomerId};
use super::time::Wall;

#[derive(Clone)]
pub struct Mint {
    rng: ChaCha20Rng,
}

impl Mint {
    pub fn new(seed: [u8; 32]) -> Self {
        Self { rng: ChaCha20Rng::from_seed(seed) }
    }

    /// A mint of its own for a part of the house, which then draws independently.
    pub fn fork(&mut self) -> Self {
        Self::new(self.bytes())
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    pub fn u32(&mut self) -> u32 {
        self.rng.next_u32()
    }

    pub fn u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// `2 × N` lowercase hexadecimal digits.
    pub fn hex<const N: usize>(&mut self) -> String {
        self.bytes::<N>().iter().fold(String::with_capacity(2 * N), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(nibble.into(), 16).expect("four bits"));
            }
            text
        })
    }

    pub fn contact(&mut self, wall: Wall) -> ContactId {
        ContactId(self.dated(wall))
    }

    pub fn call(&mut self, wall: Wall) -> CallId {
        CallId(self.dated(wall))
    }

    pub fn customer(&mut self, wall: Wall) -> CustomerId {
        CustomerId(self.dated(wall))
    }

    /// 48 bits of time before 80 of chance: unique across restarts, sorted by age.
    fn dated(&mut self, wall: Wall) -> u128 {
        let chance = u128::from_be_bytes(self.bytes()) & ((1 << 80) - 1);
        u128::from(wall.as_millis() & ((1 << 48) - 1)) << 80 | chance
    }
}

/// The state would give every future id and key away.
impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mint")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_mints_the_same_ids() {
        let (mut a, mut b) = (Mint::new([7; 32]), Mint::new([7; 32]));
        assert_eq!(a.contact(Wall::from_millis(5)), b.contact(Wall::from_millis(5)));
        assert_eq!(a.hex::<8>(), b.hex::<8>());
        assert_ne!(a.u64(), a.u64());
    }

    #[test]
    fn ids_sort_by_age() {
        let mut mint = Mint::new([1; 32]);
        let (older, newer) = (mint.call(Wall::from_millis(1000)), mint.call(Wall::from_millis(1001)));
        assert!(older.to_string() < newer.to_string());
    }
}
