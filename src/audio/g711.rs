//! ITU-T G.711: both laws by table, and the direct translation between them.
//!
//! Tables are made at compile time from the Recommendation's rules, so a sample costs one load.
//! Going from law to law through linear samples would err where two values are equally near;
//! Tables 3 and 4 decide those, so that what two gateways translate stays alike.

/// µ-law octet of digital silence.
pub const ULAW_SILENCE: u8 = 0xff;
/// A-law octet nearest to silence: +8 of 32256; the law has no zero.
pub const ALAW_SILENCE: u8 = 0xd5;

/// Half of Table 2b: the octet (even-numbered bits already inverted) of each 13-bit magnitude.
static ULAW_OF_MAGNITUDE: [u8; 8192] = ulaw_of_magnitude();
static ALAW_OF_MAGNITUDE: [u8; 2048] = alaw_of_magnitude();
static LINEAR_OF_ULAW: [i16; 256] = linear_of_ulaw();
static LINEAR_OF_ALAW: [i16; 256] = linear_of_alaw();
static ALAW_OF_ULAW: [u8; 256] = alaw_of_ulaw();
static ULAW_OF_ALAW: [u8; 256] = ulaw_of_alaw();

/// The low two bits of the sample are below the law's resolution (14 bits).
pub fn ulaw_encode(sample: i16) -> u8 {
    // Negative values fold by complement, so that -1 and 0 lie beside each other.
    let (magnitude, sign) = if sample < 0 { (!sample, 0x7f) } else { (sample, 0xff) };
    ULAW_OF_MAGNITUDE[usize::from(magnitude as u16 >> 2) & 8191] & sign
}

/// The low four bits of the sample are below the law's resolution (12 bits, doubled at the
/// smallest segment).
pub fn alaw_encode(sample: i16) -> u8 {
    let (magnitude, sign) = if sample < 0 { (!sample, 0x00) } else { (sample, 0x80) };
    ALAW_OF_MAGNITUDE[usize::from(magnitude as u16 >> 4) & 2047] ^ sign
}

pub fn ulaw_decode(octet: u8) -> i16 {
    LINEAR_OF_ULAW[usize::from(octet)]
}

pub fn alaw_decode(octet: u8) -> i16 {
    LINEAR_OF_ALAW[usize::from(octet)]
}

/// G.711 Table 3.
pub fn ulaw_to_alaw(octet: u8) -> u8 {
    ALAW_OF_ULAW[usize::from(octet)]
}

/// G.711 Table 4.
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
        table[octet] = (octet as u8 ^ 0x55) & 0x80 ^ 0xff ^ 0x80 ^ u;
        octet += 1;
    }
    table
}
