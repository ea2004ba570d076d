//! RTCP extended reports: RFC 3611, as far as telephones speak them.
//!
//! Spares the layer above the packing of three blocks: how a call sounds to the peer (VoIP metrics),
//! and the pair by which an end that sends nothing learns the round trip (receiver reference time
//! and its answer). Blocks of other types are passed over.

use std::time::Duration;

use super::bursts::GAP_LEAST;

const RECEIVER_TIME: u8 = 4;
const ANSWER: u8 = 5;
const VOIP_METRICS: u8 = 7;

/// One block, of those we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// §4.4: the reporter's clock, 32.32 bits, to be answered.
    ReceiverTime(u64),
    /// §4.5, one of its sub-blocks: the answer to `ssrc`.
    Answer(Answer),
    /// §4.7.
    Voip(Voip),
}

/// When `ssrc` last told its time, and how long ago that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub ssrc: u32,
    /// The middle of that time; 0 if none came.
    pub last: u32,
    /// In 65536ths of a second.
    pub delay: u32,
}

/// How the reporter hears `ssrc` (§4.7). The default knows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voip {
    pub ssrc: u32,
    /// In 256ths of all packets: never come, and come too late or too early.
    pub loss: u8,
    pub discard: u8,
    /// In 256ths of the packets in bursts and in gaps between them.
    pub burst_density: u8,
    pub gap_density: u8,
    /// Mean lengths, in ms.
    pub burst_ms: u16,
    pub gap_ms: u16,
    /// Between the RTP ends, and within the reporter's, in ms. 0 if unknown.
    pub round_trip_ms: u16,
    pub end_system_ms: u16,
    /// In dBm0.
    pub signal: Option<i8>,
    pub noise: Option<i8>,
    /// Residual echo return loss, in dB.
    pub echo_loss: Option<u8>,
    /// Packets that must come between two losses for these to be no burst.
    pub gap_least: u8,
    /// R, 0 to 100.
    pub rating: Option<u8>,
    /// In tenths, 10 to 50.
    pub listening: Option<u8>,
    pub conversational: Option<u8>,
    pub concealment: Concealment,
    pub buffer: Buffer,
    /// In ms: as it is, at most as it is, and at most ever.
    pub buffer_nominal_ms: u16,
    pub buffer_greatest_ms: u16,
    pub buffer_limit_ms: u16,
}

/// What is played instead of a lost packet (§4.7.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concealment {
    #[default]
    Unspecified,
    /// Silence.
    Disabled,
    Enhanced,
    /// Simple repetition.
    Standard,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buffer {
    #[default]
    Unknown,
    /// At this rate, 0 to 15: what is left of a change of delay after twice as many packets.
    Fixed(u8),
    Adaptive(u8),
}

/// What is not known of levels and ratings.
const UNKNOWN: u8 = 127;

impl Default for Voip {
    fn default() -> Self {
        Self {
            ssrc: 0,
            loss: 0,
            discard: 0,
            burst_density: 0,
            gap_density: 0,
            burst_ms: 0,
            gap_ms: 0,
            round_trip_ms: 0,
            end_system_ms: 0,
            signal: None,
            noise: None,
            echo_loss: None,
            gap_least: GAP_LEAST,
            rating: None,
            listening: None,
            conversational: None,
            concealment: Concealment::Unspecified,
            buffer: Buffer::Unknown,
            buffer_nominal_ms: 0,
            buffer_greatest_ms: 0,
            buffer_limit_ms: 0,
        }
    }
}

/// From a report's `last` and `delay` and the middle of our own `ntp` now, as for
/// [`super::rtcp::Block`]. `None` if the peer had nothing to answer, or lies.
pub fn round_trip(now: u32, last: u32, delay: u32) -> Option<Duration> {
    let units = now.wrapping_sub(last).wrapping_sub(delay);
    // A minute is no round trip; what lies before zero wraps far beyond.
    let sound = last != 0 && units < 60 << 16;
    sound.then(|| Duration::from_secs(units.into()) / (1 << 16))
}

impl Block {
    /// The most octets a block takes.
    pub const ROOM: usize = 36;

    /// Writes the block in whole words and tells how many octets it took.
    pub fn write(&self, to: &mut [u8; Self::ROOM]) -> usize {
        let mut length = 0;
        let mut put = |field: &[u8]| {
            to[length..][..field.len()].copy_from_slice(field);
            length += field.len();
        };
        match self {
            Self::ReceiverTime(ntp) => {
                put(&[RECEIVER_TIME, 0, 0, 2]);
                put(&ntp.to_be_bytes());
            }
            Self::Answer(answer) => {
                put(&[ANSWER, 0, 0, 3]);
                [answer.ssrc, answer.last, answer.delay].iter().for_each(|word| put(&word.to_be_bytes()));
            }
            Self::Voip(voip) => {
                put(&[VOIP_METRICS, 0, 0, 8]);
                put(&voip.ssrc.to_be_bytes());
                put(&[voip.loss, voip.discard, voip.burst_density, voip.gap_density]);
                put(&voip.burst_ms.to_be_bytes());
                put(&voip.gap_ms.to_be_bytes());
                put(&voip.round_trip_ms.to_be_bytes());
                put(&voip.end_system_ms.to_be_bytes());
                put(&[level(voip.signal), level(voip.noise), known(voip.echo_loss), voip.gap_least]);
                // An external R is one of another part of the path, of which nobody tells us.
                put(&[known(voip.rating), UNKNOWN, known(voip.listening), known(voip.conversational)]);
                put(&[voip.configuration(), 0]);
                put(&voip.buffer_nominal_ms.to_be_bytes());
                put(&voip.buffer_greatest_ms.to_be_bytes());
                put(&voip.buffer_limit_ms.to_be_bytes());
            }
        }
        length
    }
}

fn level(dbm0: Option<i8>) -> u8 {
    dbm0.map_or(UNKNOWN, i8::cast_unsigned)
}

fn known(value: Option<u8>) -> u8 {
    value.unwrap_or(UNKNOWN)
}

impl Voip {
    /// §4.7.6: two bits of concealment, two of the buffer's kind, four of its rate.
    fn configuration(&self) -> u8 {
        let buffer = match self.buffer {
            Buffer::Unknown => 0,
            Buffer::Fixed(rate) => 0x20 | rate & 15,
            Buffer::Adaptive(rate) => 0x30 | rate & 15,
        };
        (self.concealment as u8) << 6 | buffer
    }

    fn read(body: &[u8; 32]) -> Self {
        let octet = |at: usize| body[at];
        let word = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let known = |at: usize| Some(body[at]).filter(|value| *value != UNKNOWN);
        Self {
            ssrc: u32::from(word(0)) << 16 | u32::from(word(2)),
            loss: octet(4),
            discard: octet(5),
            burst_density: octet(6),
            gap_density: octet(7),
            burst_ms: word(8),
            gap_ms: word(10),
            round_trip_ms: word(12),
            end_system_ms: word(14),
            signal: known(16).map(u8::cast_signed),
            noise: known(17).map(u8::cast_signed),
            echo_loss: known(18),
            gap_least: octet(19),
            // Beyond their scales they are no ratings.
            rating: known(20).filter(|r| *r <= 100),
            listening: known(22).filter(|mos| (10..=50).contains(mos)),
            conversational: known(23).filter(|mos| (10..=50).contains(mos)),
            concealment: match octet(24) >> 6 {
                0 => Concealment::Unspecified,
                1 => Concealment::Disabled,
                2 => Concealment::Enhanced,
                _ => Concealment::Standard,
            },
            buffer: match octet(24) >> 4 & 3 {
                2 => Buffer::Fixed(octet(24) & 15),
                3 => Buffer::Adaptive(octet(24) & 15),
                _ => Buffer::Unknown,
            },
            buffer_nominal_ms: word(26),
            buffer_greatest_ms: word(28),
            buffer_limit_ms: word(30),
        }
    }
}

/// The blocks of an extended report, as far as it is whole: what stands after its SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a> {
    rest: &'a [u8],
    /// Sub-blocks of the answer now being read.
    answers: &'a [u8],
}

impl<'a> Blocks<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body, answers: &[] }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        loop {
            if let Some((words, rest)) = self.answers.split_first_chunk::<12>() {
                self.answers = rest;
                let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|n| words[at + n]));
                return Some(Block::Answer(Answer { ssrc: word(0), last: word(4), delay: word(8) }));
            }
            let (&[kind, _, l0, l1], rest) = self.rest.split_first_chunk()?;
            let length = 4 * usize::from(u16::from_be_bytes([l0, l1]));
            // Cut short: nothing can follow.
            let Some((body, rest)) = rest.split_at_checked(length) else {
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            let block = match kind {
                ANSWER => {
                    self.answers = body;
                    None
                }
                RECEIVER_TIME => body.try_into().ok().map(u64::from_be_bytes).map(Block::ReceiverTime),
                VOIP_METRICS => body.try_into().ok().map(Voip::read).map(Block::Voip),
                _ => None,
            };
            if block.is_some() {
                return block;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOIP: Voip = Voip {
        ssrc: 0x0102_0304,
        loss: 5,
        discard: 6,
        burst_density: 7,
        gap_density: 8,
        burst_ms: 0x0910,
        gap_ms: 0x1112,
        round_trip_ms: 80,
        end_system_ms: 60,
        signal: Some(-20),
        noise: Some(-70),
        echo_loss: None,
        gap_least: 16,
        rating: Some(89),
        listening: Some(43),
        conversational: None,
        concealment: Concealment::Standard,
        buffer: Buffer::Adaptive(2),
        buffer_nominal_ms: 40,
        buffer_greatest_ms: 60,
        buffer_limit_ms: 200,
    };
    const ANSWERED: Answer = Answer { ssrc: 9, last: 0x0304_8000, delay: 65_536 };

    fn written(blocks: &[Block]) -> Vec<u8> {
        let mut bytes = vec![];
        for block in blocks {
            let mut room = [0; Block::ROOM];
            let length = block.write(&mut room);
            bytes.extend(&room[..length]);
        }
        bytes
    }

    #[test]
    fn blocks_are_read_as_written() {
        let blocks = [Block::ReceiverTime(u64::MAX - 7), Block::Answer(ANSWERED), Block::Voip(VOIP)];
        let bytes = written(&blocks);
        assert_eq!(bytes.len(), 12 + 16 + 36);
        assert_eq!(Blocks::new(&bytes).collect::<Vec<_>>(), blocks);
        let unknown = [Block::Voip(Voip::default())];
        assert_eq!(Blocks::new(&written(&unknown)).collect::<Vec<_>>(), unknown);
    }

    #[test]
    fn voip_metrics_lie_as_section_4_7_draws_them() {
        let drawn = [
            [7, 0, 0, 8],
            [1, 2, 3, 4],
            [5, 6, 7, 8],
            [9, 16, 17, 18],
            [0, 80, 0, 60],
            [236, 186, 127, 16],
            [89, 127, 43, 127],
            [0xf2, 0, 0, 40],
            [0, 60, 0, 200],
        ];
        assert_eq!(written(&[Block::Voip(VOIP)]), drawn.concat());
    }

    #[test]
    fn what_stands_before_a_cut_is_read_and_other_blocks_are_passed_over() {
        let mut bytes = vec![1, 0, 0, 1, 0, 0, 0, 0, VOIP_METRICS, 0, 0, 0, RECEIVER_TIME, 0, 0, 3];
        bytes.extend([0; 12]);
        let before = bytes.len();
        bytes.extend(written(&[Block::ReceiverTime(1), Block::Voip(VOIP)]));
        for cut in 0..=bytes.len() {
            let whole = [12, 48].iter().filter(|end| before + **end <= cut).count();
            assert_eq!(Blocks::new(&bytes[..cut]).count(), whole, "{cut}");
        }
    }

    #[test]
    fn an_answer_to_several_is_read_one_by_one() {
        let mut bytes = vec![ANSWER, 0, 0, 6];
        bytes.extend([0, 0, 0, 9, 3, 4, 128, 0, 0, 1, 0, 0].repeat(2));
        let blocks: Vec<_> = Blocks::new(&bytes).collect();
        assert_eq!(blocks, [Block::Answer(ANSWERED); 2]);
    }

    #[test]
    fn ratings_beyond_their_scales_are_none() {
        let mad = Voip { rating: Some(200), listening: Some(9), conversational: Some(51), ..VOIP };
        let bytes = written(&[Block::Voip(mad)]);
        let Some(Block::Voip(read)) = Blocks::new(&bytes).next() else { panic!() };
        assert_eq!((read.rating, read.listening, read.conversational), (None, None, None));
    }

    #[test]
    fn the_round_trip_is_what_is_left_of_the_time_between() {
        let second = 65_536u32;
        for (now, last, delay, millis) in [
            (10 * second, 8 * second, 3 * second / 2, Some(500)),
            (second / 4, second.wrapping_neg(), second, Some(250)),
            (10 * second, 0, 0, None),
            (10 * second, 9 * second, 2 * second, None),
            (100 * second, second, 0, None),
        ] {
            assert_eq!(round_trip(now, last, delay).map(|t| t.as_millis()), millis, "{now} {last} {delay}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_passed_over(mut bytes: Vec<u8>, kind in 3..8u8, words in 0..10u8) {
            assert!(Blocks::new(&bytes).count() <= bytes.len() / 4);
            bytes.splice(0..0, [kind, 0, 0, words]);
            assert!(Blocks::new(&bytes).count() <= bytes.len() / 4);
        }
    }
}
