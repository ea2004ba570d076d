//! ITU-T G.711: both laws by table, and the direct translation between them.
//!
//! Tables are made at compile time from the Recommendation's rules, so a sample costs one load.
//! Going from law to law through linear samples would err where two values are equally near;
//! Tables 3 and 4 decide those, so that what two gateways translate stays alike.

/// µ-law octet of digital silence.
pub const ULAW_SILENCE: u8 = 0xff;
/// A-law octet nearest to silence: +8 in 16 bits, as the law has no zero.
pub const ALAW_SILENCE: u8 = 0xd5;

/// By magnitude at the law's resolution, for the positive sign.
static ULAW_OF_MAGNITUDE: [u8; 8192] = ulaw_of_magnitude();
static ALAW_OF_MAGNITUDE: [u8; 2048] = alaw_of_magnitude();
static LINEAR_OF_ULAW: [i16; 256] = linear_of_ulaw();
static LINEAR_OF_ALAW: [i16; 256] = linear_of_alaw();
static ALAW_OF_ULAW: [u8; 256] = alaw_of_ulaw();
static ULAW_OF_ALAW: [u8; 256] = ulaw_of_alaw();

/// 14 bits count; values beyond ±32635 take the last step.
#[inline]
pub fn ulaw_encode(sample: i16) -> u8 {
    // Negative values fold by complement, so that -1 and 0 lie beside each other.
    let (magnitude, sign) = if sample < 0 { (!sample, 0x7f) } else { (sample, 0xff) };
    ULAW_OF_MAGNITUDE[usize::from(magnitude as u16 >> 2) & 8191] & sign
}

/// 12 bits count: in 13 the two lowest segments step by two.
#[inline]
pub fn alaw_encode(sample: i16) -> u8 {
    let (magnitude, sign) = if sample < 0 { (!sample, 0x00) } else { (sample, 0x80) };
    ALAW_OF_MAGNITUDE[usize::from(magnitude as u16 >> 4) & 2047] ^ sign
}

#[inline]
pub fn ulaw_decode(octet: u8) -> i16 {
    LINEAR_OF_ULAW[usize::from(octet)]
}

#[inline]
pub fn alaw_decode(octet: u8) -> i16 {
    LINEAR_OF_ALAW[usize::from(octet)]
}

/// G.711 Table 3.
#[inline]
pub fn ulaw_to_alaw(octet: u8) -> u8 {
    ALAW_OF_ULAW[usize::from(octet)]
}

/// G.711 Table 4.
#[inline]
pub fn alaw_to_ulaw(octet: u8) -> u8 {
    ULAW_OF_ALAW[usize::from(octet)]
}

const fn ulaw_of_magnitude() -> [u8; 8192] {
    let mut table = [0; 8192];
    let mut magnitude = 0;
    while magnitude < table.len() {
        // The bias of 33 makes every segment begin at a power of two.
        let biased = if magnitude + 33 > 8191 { 8191 } else { magnitude as u32 + 33 };
        let segment = biased.ilog2() - 5;
        let step = biased >> (segment + 1) & 15;
        table[magnitude] = !((segment << 4 | step) as u8);
        magnitude += 1;
    }
    table
}

const fn alaw_of_magnitude() -> [u8; 2048] {
    let mut table = [0; 2048];
    let mut magnitude = 0;
    while magnitude < table.len() {
        let m = magnitude as u32;
        let code = if m < 32 {
            m
        } else {
            let segment = m.ilog2() - 3;
            segment << 4 | (m >> (segment - 1) & 15)
        };
        table[magnitude] = code as u8 ^ 0x55;
        magnitude += 1;
    }
    table
}

const fn linear_of_ulaw() -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let code = !(octet as u8);
        let (segment, step) = (code >> 4 & 7, (code & 15) as i16);
        let magnitude = ((2 * step + 33) << segment) - 33;
        table[octet] = (if code & 0x80 != 0 { -magnitude } else { magnitude }) * 4;
        octet += 1;
    }
    table
}

const fn linear_of_alaw() -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let code = octet as u8 ^ 0x55;
        let (segment, step) = (code >> 4 & 7, (code & 15) as i16);
        let magnitude = match segment {
            0 => 2 * step + 1,
            _ => (2 * step + 33) << (segment - 1),
        };
        table[octet] = (if code & 0x80 != 0 { magnitude } else { -magnitude }) * 8;
        octet += 1;
    }
    table
}

/// Table 3 by value numbers from 0: the µ-law decoder's value to the A-law decoder's.
const fn alaw_of_ulaw() -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let n = !(octet as u8) & 0x7f;
        let a = match n {
            0..=15 => n / 2,
            16..=31 => n - 8,
            32..=35 => 2 * n - 40,
            36..=47 => n - 4,
            48 => 45,
            49..=63 => n - 2,
            64..=80 => n - 1,
            _ => n,
        };
        table[octet] = (octet as u8 & 0x80 | a) ^ 0x55;
        octet += 1;
    }
    table
}

/// Table 4 by value numbers from 0: the A-law decoder's value to the µ-law decoder's.
const fn ulaw_of_alaw() -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let n = (octet as u8 ^ 0x55) & 0x7f;
        let u = match n {
            0..=7 => 2 * n + 1,
            8..=23 => n + 8,
            24..=31 => 32 + (n - 24) / 2,
            32..=43 => n + 4,
            44..=47 => 48 + (n - 44) / 2,
            48..=62 => n + 2,
            63..=79 => n + 1,
            _ => n,
        };
        table[octet] = (octet as u8 & 0x80 | 0x7f) ^ u;
        octet += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decision values of G.711 Table 1a (A, 13 bits) and 2a (µ, 14 bits): segments of
    /// sixteen equal steps, each segment's step twice the last one's.
    fn decision_values(first: i32, steps: [(usize, i32); 8]) -> Vec<i32> {
        let mut values = vec![first];
        for (count, step) in steps {
            for _ in 0..count {
                values.push(values.last().unwrap() + step);
            }
        }
        values
    }

    fn ulaw_decisions() -> Vec<i32> {
        let mut values = decision_values(
            1,
            [(15, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128), (16, 256)],
        );
        values.insert(0, 0);
        values
    }

    fn alaw_decisions() -> Vec<i32> {
        decision_values(0, [(32, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128), (0, 0)])
    }

    fn interval(decisions: &[i32], magnitude: i32) -> u8 {
        (decisions.partition_point(|d| *d <= magnitude) - 1).min(127) as u8
    }

    #[test]
    fn every_sample_has_the_octet_of_its_decision_interval() {
        let (ulaw, alaw) = (ulaw_decisions(), alaw_decisions());
        assert_eq!((ulaw.len(), *ulaw.last().unwrap()), (129, 8159));
        assert_eq!((alaw.len(), *alaw.last().unwrap()), (129, 4096));
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(if sample < 0 { !sample } else { sample });
            let sign = if sample < 0 { 0 } else { 0x80 };
            assert_eq!(ulaw_encode(sample), (sign | 0x7f) ^ interval(&ulaw, magnitude >> 2), "µ {sample}");
            assert_eq!(alaw_encode(sample), sign ^ 0x55 ^ interval(&alaw, magnitude >> 3), "A {sample}");
        }
    }

    #[test]
    fn every_octet_decodes_to_the_middle_of_its_interval_and_back() {
        let (ulaw, alaw) = (ulaw_decisions(), alaw_decisions());
        for octet in 0..=255u8 {
            let n = usize::from(!octet & 0x7f);
            // Table 2a: the lowest value is 0, not the middle of 0 and 1.
            let middle = if n == 0 { 0 } else { (ulaw[n] + ulaw[n + 1]) * 2 };
            assert_eq!(i32::from(ulaw_decode(octet)), if octet & 0x80 == 0 { -middle } else { middle });
            // Negative zero is the one value that does not come back.
            assert_eq!(ulaw_encode(ulaw_decode(octet)), if octet == 0x7f { 0xff } else { octet });

            let n = usize::from((octet ^ 0x55) & 0x7f);
            let middle = (alaw[n] + alaw[n + 1]) * 4;
            assert_eq!(i32::from(alaw_decode(octet)), if octet & 0x80 == 0 { -middle } else { middle });
            assert_eq!(alaw_encode(alaw_decode(octet)), octet);
        }
    }

    #[test]
    fn silence_is_the_octet_of_zero() {
        assert_eq!(ulaw_encode(0), ULAW_SILENCE);
        assert_eq!(alaw_encode(0), ALAW_SILENCE);
    }

    /// Where Tables 3 and 4 leave the nearest value, so that translating twice stays harmless.
    #[test]
    fn translation_is_the_nearest_value_but_where_the_tables_decide_otherwise() {
        let (mut up, mut down) = (vec![], vec![]);
        for n in 0..=127u8 {
            let (ulaw, alaw) = (!n, 0x80 ^ 0x55 ^ n);
            let nearest = |octet: u8, value: i16, decode: fn(u8) -> i16, of: fn(u8) -> u8| {
                let error = |octet| (i32::from(decode(octet)) - i32::from(value)).abs();
                error(octet) == (0..=127).map(|n| error(of(n))).min().unwrap()
            };
            if !nearest(ulaw_to_alaw(ulaw), ulaw_decode(ulaw), alaw_decode, |n| 0xd5 ^ n) {
                up.push(n);
            }
            if !nearest(alaw_to_ulaw(alaw), alaw_decode(alaw), ulaw_decode, |n| !n) {
                down.push(n);
            }
        }
        assert_eq!(up, [&[48, 49, 64][..], &(81..=95).collect::<Vec<_>>()].concat());
        assert_eq!(down, (80..=94).collect::<Vec<_>>());
    }

    #[test]
    fn translation_keeps_the_sign_and_loses_no_more_than_the_tables_allow() {
        let changed = |there: fn(u8) -> u8, back: fn(u8) -> u8, number: fn(u8) -> u8| {
            (0..=255u8).filter(|&o| back(there(o)) != o).map(number).collect::<Vec<_>>()
        };
        for octet in 0..=255u8 {
            assert_eq!(ulaw_to_alaw(octet) & 0x80, octet & 0x80);
            assert_eq!(alaw_to_ulaw(octet) & 0x80, octet & 0x80);
        }
        let mut ulaw = changed(ulaw_to_alaw, alaw_to_ulaw, |o| !o & 0x7f);
        ulaw.sort_unstable();
        ulaw.dedup();
        assert_eq!(ulaw, [0, 2, 4, 6, 8, 10, 12, 14]);
        let mut alaw = changed(alaw_to_ulaw, ulaw_to_alaw, |o| (o ^ 0x55) & 0x7f);
        alaw.sort_unstable();
        alaw.dedup();
        assert_eq!(alaw, [25, 27, 29, 31, 44, 46, 62, 80]);
    }
}
