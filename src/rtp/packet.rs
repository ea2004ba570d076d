//! The RTP packet: RFC 3550 §5.1.
//!
//! Spares the layer above contributing sources, header extensions and padding: it gets the fixed
//! header and where the payload lies. A new header fits before the payload, where the old one was.

use std::ops::Range;

/// Octets of the header we write.
pub const HEADER: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

/// The octets are no RTP packet: another version, or cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A packet's header, and its payload as a range of the octets it was read from. The range
/// begins at [`HEADER`] or after.
pub fn parse(bytes: &[u8]) -> Result<(Header, Range<usize>), Malformed> {
    let fixed: &[u8; HEADER] = bytes.first_chunk().ok_or(Malformed)?;
    let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
    let start = payload_start(bytes)?;
    let mut end = bytes.len();
    if first & 0x20 != 0 {
        // RFC 3550 §5.1: the last octet counts the padding, itself included.
        let padding = usize::from(bytes[end - 1]);
        if padding == 0 {
            return Err(Malformed);
        }
        end = end.saturating_sub(padding);
    }
    if start > end {
        return Err(Malformed);
    }
    let header = Header {
        marker: second & 0x80 != 0,
        payload_type: second & 0x7f,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
    };
    Ok((header, start..end))
}

/// Where the payload begins: behind contributing sources and header extension. At least
/// [`HEADER`], at most the packet's length. True of SRTP too, where nothing behind it can be read.
pub fn payload_start(bytes: &[u8]) -> Result<usize, Malformed> {
    let &[first, ..] = bytes else { return Err(Malformed) };
    if first >> 6 != 2 {
        return Err(Malformed);
    }
    let mut start = HEADER + 4 * usize::from(first & 15);
    if first & 0x10 != 0 {
        let [_, _, l0, l1] = *bytes.get(start..).and_then(|b| b.first_chunk()).ok_or(Malformed)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
    }
    if start > bytes.len() { Err(Malformed) } else { Ok(start) }
}

impl Header {
    /// Version 2, no padding, no extension, no contributing sources.
    pub fn to_bytes(self) -> [u8; HEADER] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        let second = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        [0x80, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXED: [u8; 12] = [0x80, 0x88, 0x12, 0x34, 0, 0, 1, 0, 0xde, 0xad, 0xbe, 0xef];

    fn with(first: u8, tail: &[u8]) -> Vec<u8> {
        let mut bytes = [&FIXED[..], tail].concat();
        bytes[0] = first;
        bytes
    }

    #[test]
    fn a_header_is_read_as_written() {
        let (header, payload) = parse(&with(0x80, b"abc")).unwrap();
        let want =
            Header { marker: true, payload_type: 8, sequence: 0x1234, timestamp: 256, ssrc: 0xdead_beef };
        assert_eq!((header, payload), (want, 12..15));
        assert_eq!(header.to_bytes(), FIXED);
    }

    #[test]
    fn the_payload_lies_behind_sources_and_extension_and_before_the_padding() {
        let payload = |first, tail: &[u8]| parse(&with(first, tail)).map(|(_, payload)| payload);
        assert_eq!(payload(0x82, &[0; 10]), Ok(20..22));
        assert_eq!(payload(0x90, &[0xbe, 0xde, 0, 1, 9, 9, 9, 9, 7]), Ok(20..21));
        assert_eq!(payload(0xa0, &[7, 7, 0, 0, 3]), Ok(12..14));
        assert_eq!(payload(0xb1, &[0, 0, 0, 0, 0, 0, 0, 0, 5, 5, 2]), Ok(20..21));
        assert_eq!(payload(0x80, &[]), Ok(12..12));
        // Nothing but padding is a keep-alive, not a fault.
        assert_eq!(payload(0xa0, &[0, 2]), Ok(12..12));
    }

    #[test]
    fn what_is_cut_short_or_of_another_version_is_refused() {
        let refused = |bytes: &[u8]| assert_eq!(parse(bytes), Err(Malformed), "{bytes:02x?}");
        refused(&FIXED[..11]);
        refused(&with(0x40, &[]));
        refused(&with(0x00, b"STUN"));
        refused(&with(0x81, &[0; 3]));
        refused(&with(0x90, &[0, 0, 0]));
        refused(&with(0x90, &[0, 0, 0xff, 0xff, 0]));
        refused(&with(0xa0, &[1, 0]));
        refused(&with(0xa0, &[1, 3]));
        refused(&with(0xa0, &[]));
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok((_, payload)) = parse(&bytes) {
                assert!(HEADER <= payload.start && payload.start <= payload.end && payload.end <= bytes.len());
            }
        }
    }
}
