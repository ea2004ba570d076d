//! The codecs by their names: what SDP agrees on and media makes.

/// Sound as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// RFC 7587, one channel as we use it.
    Opus,
    /// ITU-T G.722 at 64 kbit/s.
    G722,
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
}

/// A codec that was agreed on beside the one in use, by the same RTP clock: the peer may change to it
/// at any time, in mid-stream and unannounced (RFC 3264 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spare {
    pub codec: Codec,
    /// The payload type to send it with.
    pub sent: u8,
    /// And the one under which the peer sends it.
    pub received: u8,
}

/// Three codecs have one clock, so there are two beside one in use.
pub type Spares = [Option<Spare>; 2];

/// Samples a second at which sound is worked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// 8000: a telephone's.
    Narrow,
    /// 16000: G.722's, and as much of Opus as speech needs.
    Wide,
}

impl Codec {
    /// Best first.
    pub const ALL: [Self; 4] = [Self::Opus, Self::G722, Self::Pcma, Self::Pcmu];

    /// The encoding name of `a=rtpmap` (RFC 3551 §6, RFC 7587 §7). Compared without case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::G722 => "G722",
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
        }
    }

    /// Of the RTP timestamp, in Hz. That of G.722 is not its sampling rate: an error of RFC 1890
    /// kept for ever (RFC 3551 §4.5.2).
    pub const fn clock(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::G722 | Self::Pcma | Self::Pcmu => 8_000,
        }
    }

    /// The number it has, or the one we give it when the peer gave none.
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Opus => 111,
            Self::G722 => 9,
            Self::Pcma => 8,
            Self::Pcmu => 0,
        }
    }

    /// The most it can carry.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Opus | Self::G722 => Rate::Wide,
            Self::Pcma | Self::Pcmu => Rate::Narrow,
        }
    }

    /// By [`Codec::name`], in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }
}

impl Rate {
    pub const fn hz(self) -> u32 {
        match self {
            Self::Narrow => 8_000,
            Self::Wide => 16_000,
        }
    }

    /// Samples of one tick of 20 ms.
    pub const fn frame(self) -> usize {
        self.hz() as usize / 50
    }
}
