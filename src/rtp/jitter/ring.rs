//! Sound by timestamp, and what of it there is.

/// Eighths of a millisecond the ring holds: 512 ms.
pub(super) const SPAN: usize = 4096;

/// One bit an eighth says whether it came, so no sample value is reserved and a whole packet is
/// told present or missing in a few words.
#[derive(Clone, Debug)]
pub(super) struct Ring<const N: usize> {
    sound: Box<[[i16; N]; SPAN]>,
    held: [u64; SPAN / 64],
}

/// So much from a timestamp on is all there, or all missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Held(usize),
    Missing(usize),
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self { sound: Box::new([[0; N]; SPAN]), held: [0; SPAN / 64] }
    }
}

impl<const N: usize> Ring<N> {
    /// Puts sound in; at most [`SPAN`] of it.
    pub fn write(&mut self, at: u32, sound: &[[i16; N]]) {
        let place = at as usize % SPAN;
        let (before, after) = sound.split_at(sound.len().min(SPAN - place));
        self.sound[place..place + before.len()].copy_from_slice(before);
        self.sound[..after.len()].copy_from_slice(after);
        self.each_word(at, sound.len(), |word, mask| *word |= mask);
    }

    /// Looks at sound without taking it; what is missing is stale.
    pub fn peek(&self, at: u32, sound: &mut [[i16; N]]) {
        let place = at as usize % SPAN;
        let middle = sound.len().min(SPAN - place);
        let (before, after) = sound.split_at_mut(middle);
        before.copy_from_slice(&self.sound[place..place + before.len()]);
        after.copy_from_slice(&self.sound[..after.len()]);
    }

    pub fn forget(&mut self, at: u32, length: usize) {
        self.each_word(at, length.min(SPAN), |word, mask| *word &= !mask);
    }

    pub fn clear(&mut self) {
        self.held.fill(0);
    }

    pub fn holds(&self, at: u32) -> bool {
        let place = at as usize % SPAN;
        self.held[place / 64] >> (place % 64) & 1 == 1
    }

    /// How far from `at` on all is as it is there; looks at `most` eighths.
    pub fn run(&self, at: u32, most: usize) -> Run {
        let held = self.holds(at);
        let mut length = 0;
        while length < most {
            let place = at.wrapping_add(length as u32) as usize % SPAN;
            let word = self.held[place / 64];
            // Zeros shifted in at the top do not count: at most the bits from `place` on are looked at.
            let same = if held { !word } else { word } >> (place % 64);
            let bits = (same.trailing_zeros() as usize).min(64 - place % 64);
            length += bits;
            if bits < 64 - place % 64 {
                break;
            }
        }
        let length = length.min(most);
        if held { Run::Held(length) } else { Run::Missing(length) }
    }

    fn each_word(&mut self, at: u32, length: usize, act: impl Fn(&mut u64, u64)) {
        let mut done = 0;
        while done < length {
            let place = at.wrapping_add(done as u32) as usize % SPAN;
            let bits = (64 - place % 64).min(length - done);
            act(&mut self.held[place / 64], (u64::MAX >> (64 - bits)) << (place % 64));
            done += bits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Against a plain array of options.
        #[test]
        fn the_ring_holds_what_was_written_and_not_forgotten(steps: Vec<(bool, u16, u8)>, at: u32, most in 1usize..600) {
            let (mut ring, mut plain) = (Ring::<2>::default(), vec![None; SPAN]);
            for (n, (write, offset, length)) in steps.into_iter().enumerate() {
                let (from, length) = (at.wrapping_add(offset.into()), usize::from(length));
                let value = write.then_some([n as i16, -1]);
                match value {
                    Some(value) => ring.write(from, &vec![value; length]),
                    None => ring.forget(from, length),
                }
                for n in 0..length {
                    plain[from.wrapping_add(n as u32) as usize % SPAN] = value;
                }
            }
            let want = |n: usize| plain[at.wrapping_add(n as u32) as usize % SPAN];
            let length = (0..most).take_while(|n| want(*n).is_some() == want(0).is_some()).count();
            let run = if want(0).is_some() { Run::Held(length) } else { Run::Missing(length) };
            assert_eq!(ring.run(at, most), run);
            let mut sound = vec![[0; 2]; most];
            ring.peek(at, &mut sound);
            for (n, eighth) in sound.into_iter().enumerate() {
                assert_eq!(want(n).unwrap_or(eighth), eighth);
                assert_eq!(ring.holds(at.wrapping_add(n as u32)), want(n).is_some());
            }
        }
    }
}
