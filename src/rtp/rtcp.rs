//! RTCP: RFC 3550 §6. Reports, CNAME, BYE and extended reports (RFC 3611), written and read.
//!
//! Reading is tolerant: packets of other types are passed over, and a compound cut short gives what
//! stands before the cut.

use std::time::Duration;

use super::xr;

/// Room for what we send: a report with one block, a CNAME, an extended report and a BYE.
pub const LONGEST: usize = 52 + 28 + 8 + EXTENDED * xr::Block::ROOM + 8;
/// One extended block of each kind is all there is to say.
const EXTENDED: usize = 3;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const EXTENDED_REPORT: u8 = 207;

/// The sender's half of a sender report (§6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Seconds since an epoch of the sender's choice, 32.32 bits.
    pub ntp: u64,
    /// The same moment on the RTP clock.
    pub timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// A report block (§6.4.1): how one source is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub ssrc: u32,
    /// In 256ths, since the last report.
    pub fraction: u8,
    /// 24 bits.
    pub lost: u32,
    pub highest: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// The middle of the last sender report's `ntp`; 0 if none came.
    pub last_report: u32,
    /// Since that came, in 65536ths of a second.
    pub delay: u32,
}

/// §6.2 and §6.3.1: the time to the next report of a session of two, from a random word. The 5 s
/// minimum decides, spread by half either way and divided by e − 3/2.
pub fn interval(chance: u32) -> Duration {
    let spread = 0.5 + f64::from(chance) / f64::from(u32::MAX);
    Duration::from_secs_f64(5.0 * spread / 1.218_28)
}

/// A compound packet being written.
#[derive(Clone, Debug)]
pub struct Compound {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Compound {
    /// §6.1: a compound begins with a report, even an empty one. A sender report if we sent
    /// anything since the last, else a receiver report.
    pub fn report(ssrc: u32, sending: Option<Sending>, block: Option<Block>) -> Self {
        let mut compound = Self { bytes: [0; LONGEST], length: 0 };
        let kind = if sending.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
        let start = compound.begin(u8::from(block.is_some()), kind);
        compound.put(&ssrc.to_be_bytes());
        if let Some(sending) = sending {
            compound.put(&sending.ntp.to_be_bytes());
            compound.put(&sending.timestamp.to_be_bytes());
            compound.put(&sending.packets.to_be_bytes());
            compound.put(&sending.octets.to_be_bytes());
        }
        if let Some(block) = block {
            compound.put(&block.ssrc.to_be_bytes());
            compound.put(&(u32::from(block.fraction) << 24 | block.lost & 0xff_ffff).to_be_bytes());
            compound.put(&block.highest.to_be_bytes());
            compound.put(&block.jitter.to_be_bytes());
            compound.put(&block.last_report.to_be_bytes());
            compound.put(&block.delay.to_be_bytes());
        }
        compound.end(start);
        compound
    }

    /// §6.5.1, with a name as RFC 7022 wants it: random, and nobody's.
    pub fn cname(mut self, ssrc: u32, name: &[u8; 16]) -> Self {
        let start = self.begin(1, DESCRIPTION);
        self.put(&ssrc.to_be_bytes());
        self.put(&[1, name.len() as u8]);
        self.put(name);
        // A chunk ends with at least one null octet, on a word.
        self.put(&[0; 2]);
        self.end(start);
        self
    }

    /// RFC 3611 §2: up to three blocks; any further are left out, and of none there is no report.
    /// Once a compound.
    pub fn extended(mut self, ssrc: u32, blocks: impl IntoIterator<Item = xr::Block>) -> Self {
        let mut blocks = blocks.into_iter().take(EXTENDED).peekable();
        if blocks.peek().is_none() {
            return self;
        }
        let start = self.begin(0, EXTENDED_REPORT);
        self.put(&ssrc.to_be_bytes());
        for block in blocks {
            let mut bytes = [0; xr::Block::ROOM];
            let length = block.write(&mut bytes);
            self.put(&bytes[..length]);
        }
        self.end(start);
        self
    }

    /// §6.6.
    pub fn bye(mut self, ssrc: u32) -> Self {
        let start = self.begin(1, BYE);
        self.put(&ssrc.to_be_bytes());
        self.end(start);
        self
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn begin(&mut self, count: u8, kind: u8) -> usize {
        let start = self.length;
        self.put(&[0x80 | count, kind, 0, 0]);
        start
    }

    fn end(&mut self, start: usize) {
        let words = (self.length - start) / 4 - 1;
        self.bytes[start + 2..start + 4].copy_from_slice(&(words as u16).to_be_bytes());
    }

    /// All that is ever put fits: 52 octets of report, 28 of name, [`EXTENDED`] blocks, 8 of BYE.
    fn put(&mut self, field: &[u8]) {
        self.bytes[self.length..][..field.len()].copy_from_slice(field);
        self.length += field.len();
    }
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Report {
        ssrc: u32,
        sending: Option<Sending>,
        blocks: Blocks<'a>,
    },
    /// The first source's CNAME.
    Cname {
        ssrc: u32,
        name: &'a [u8],
    },
    /// The first source that leaves.
    Bye {
        ssrc: u32,
    },
    Extended {
        ssrc: u32,
        blocks: xr::Blocks<'a>,
    },
    /// Of a type we have no use for.
    Other(u8),
}

/// Is it RTCP at all: version 2 and a packet type of §12.1.
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 200..=207, _, _, ..] if first >> 6 == 2)
}

/// The packets of a compound, as far as it is whole.
pub fn parse(bytes: &[u8]) -> Items<'_> {
    Items { rest: bytes }
}

#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let [first, kind, l0, l1] = *self.rest.first_chunk()?;
        let length = 4 * usize::from(u16::from_be_bytes([l0, l1]));
        if first >> 6 != 2 {
            self.rest = &[];
            return None;
        }
        let Some(body) = self.rest.get(4..4 + length) else {
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(4 + length..).unwrap_or_default();
        let count = first & 31;
        Some(read_item(kind, count, body).unwrap_or(Item::Other(kind)))
    }
}

fn read_item(kind: u8, count: u8, body: &[u8]) -> Option<Item<'_>> {
    let ssrc = word(body, 0)?;
    match kind {
        SENDER_REPORT => {
            let ntp = u64::from(word(body, 1)?) << 32 | u64::from(word(body, 2)?);
            let (timestamp, packets, octets) = (word(body, 3)?, word(body, 4)?, word(body, 5)?);
            let sending = Some(Sending { ntp, timestamp, packets, octets });
            Some(Item::Report { ssrc, sending, blocks: Blocks { rest: body.get(24..)?, count } })
        }
        RECEIVER_REPORT => {
            Some(Item::Report { ssrc, sending: None, blocks: Blocks { rest: body.get(4..)?, count } })
        }
        DESCRIPTION => {
            let mut items = body.get(4..)?;
            loop {
                let (&[kind, length], rest) = items.split_first_chunk()?;
                let text = rest.get(..length.into())?;
                match kind {
                    0 => return None,
                    1 => return Some(Item::Cname { ssrc, name: text }),
                    _ => items = rest.get(length.into()..)?,
                }
            }
        }
        BYE if count > 0 => Some(Item::Bye { ssrc }),
        EXTENDED_REPORT => Some(Item::Extended { ssrc, blocks: xr::Blocks::new(body.get(4..)?) }),
        _ => None,
    }
}

fn word(body: &[u8], index: usize) -> Option<u32> {
    body.get(4 * index..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// The blocks of a report, as far as it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a> {
    rest: &'a [u8],
    count: u8,
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        self.count = self.count.checked_sub(1)?;
        let body = self.rest.get(..24)?;
        self.rest = &self.rest[24..];
        let loss = word(body, 1)?;
        Some(Block {
            ssrc: word(body, 0)?,
            fraction: (loss >> 24) as u8,
            lost: loss & 0xff_ffff,
            highest: word(body, 2)?,
            jitter: word(body, 3)?,
            last_report: word(body, 4)?,
            delay: word(body, 5)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDING: Sending =
        Sending { ntp: 0x0102_0304_8000_0000, timestamp: 8000, packets: 50, octets: 8000 };
    const BLOCK: Block = Block {
        ssrc: 9,
        fraction: 51,
        lost: 3,
        highest: 0x1_0004,
        jitter: 17,
        last_report: 0x0304_8000,
        delay: 65_536,
    };

    #[test]
    fn a_compound_is_read_as_written() {
        let compound = Compound::report(7, Some(SENDING), Some(BLOCK)).cname(7, b"0123456789abcdef").bye(7);
        let bytes = compound.as_bytes();
        assert_eq!(bytes.len() % 4, 0);
        assert!(is_rtcp(bytes));
        let items: Vec<_> = parse(bytes).collect();
        let [Item::Report { ssrc: 7, sending: Some(SENDING), mut blocks }, cname, Item::Bye { ssrc: 7 }] =
            items[..]
        else {
            panic!("{items:?}")
        };
        assert_eq!((blocks.next(), blocks.next()), (Some(BLOCK), None));
        assert_eq!(cname, Item::Cname { ssrc: 7, name: b"0123456789abcdef" });
    }

    #[test]
    fn an_extended_report_is_read_as_written_and_never_outgrows_its_room() {
        let blocks = [xr::Block::Voip(xr::Voip::default()); 5];
        let compound =
            Compound::report(7, Some(SENDING), Some(BLOCK)).cname(7, &[b'x'; 16]).extended(7, blocks).bye(7);
        let items: Vec<_> = parse(compound.as_bytes()).collect();
        let [_, _, Item::Extended { ssrc: 7, blocks: read }, Item::Bye { ssrc: 7 }] = items[..] else {
            panic!("{items:?}")
        };
        assert_eq!(read.collect::<Vec<_>>(), blocks[..EXTENDED]);
    }

    #[test]
    fn without_anything_sent_it_is_a_receiver_report() {
        let compound = Compound::report(7, None, Some(BLOCK));
        assert_eq!(compound.as_bytes()[..4], [0x81, 201, 0, 7]);
        assert_eq!(Compound::report(7, None, None).as_bytes(), [0x80, 201, 0, 1, 0, 0, 0, 7]);
    }

    #[test]
    fn what_stands_before_a_cut_is_read() {
        let compound = Compound::report(7, Some(SENDING), Some(BLOCK)).cname(7, &[b'x'; 16]).bye(7);
        let bytes = compound.as_bytes();
        for cut in 0..bytes.len() {
            let whole = [52, 80, 88].iter().filter(|end| **end <= cut).count();
            assert_eq!(parse(&bytes[..cut]).count(), whole, "{cut}");
        }
    }

    #[test]
    fn packets_of_other_types_are_passed_over() {
        let mut bytes = vec![0x80, 204, 0, 1, 0, 0, 0, 7];
        bytes.extend(Compound::report(7, None, None).as_bytes());
        // A report that promises more blocks than it has, and a description that ends at once.
        bytes.extend([0x85, 201, 0, 1, 0, 0, 0, 8]);
        bytes.extend([0x81, 202, 0, 2, 0, 0, 0, 8, 0, 0, 0, 0]);
        let items: Vec<_> = parse(&bytes).collect();
        assert!(matches!(items[0], Item::Other(204)));
        assert!(matches!(items[1], Item::Report { ssrc: 7, .. }));
        let Item::Report { ssrc: 8, mut blocks, .. } = items[2] else { panic!("{items:?}") };
        assert_eq!(blocks.next(), None);
        assert_eq!(items[3..], [Item::Other(202)]);
    }

    #[test]
    fn reports_are_spread_around_five_seconds() {
        assert_eq!(interval(0).as_millis(), 2052);
        assert_eq!(interval(u32::MAX).as_millis(), 6156);
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_passed_over(mut bytes: Vec<u8>, kind in 198..209u8, count in 0..32u8) {
            for plain in [true, false] {
                if !plain {
                    let words = (bytes.len() / 4) as u16;
                    bytes.splice(0..0, [0x80 | count, kind, (words >> 8) as u8, words as u8]);
                }
                for item in parse(&bytes) {
                    if let Item::Report { blocks, .. } = item {
                        assert!(blocks.count() <= 31);
                    }
                }
            }
        }
    }
}
