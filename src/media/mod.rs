//! The audio of one shard, 20 ms at a time; no sockets.
//!
//! A media thread of `io` owns one [`Bay`](bay::Bay), feeds it packets and ticks, and sends what
//! it hands back. Signalling never sees a packet and media never sees a SIP or SDP byte: they meet
//! in [`Command`] and [`Event`], which travel over bounded rings.
//!
//! **Patch.** Who hears whom is one table, listener → sources. Prompt, music, talk and hold are
//! rows of it, not modes.

pub mod bay;
mod endpoint;
mod patch;
pub mod plan;
mod player;
mod recorder;
mod slots;
mod stream;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Key, Keys, LegId, PlayId};

pub use bay::{Bay, Channel, Load, TICK, Tape, Wire};
pub use plan::{Direction, Law, Plan, SocketId};

/// Samples of a tick: 20 ms at 8 kHz.
pub const FRAME: usize = 160;

/// What signalling asks of a shard. Nothing is returned: outcomes are [`Event`]s.
#[derive(Clone, Debug)]
pub enum Command {
    /// A leg's audio begins on a socket of the stock.
    Open {
        leg: LegId,
        plan: Plan,
    },
    /// The leg agreed anew (hold, re-INVITE): same socket, another plan.
    Amend {
        leg: LegId,
        plan: Plan,
    },
    /// The leg is over; its socket goes to rest.
    Close {
        leg: LegId,
    },
    /// From now on `listener` hears exactly these sources. None is silence.
    Patch {
        listener: LegId,
        sources: Vec<Source>,
    },
    /// A source comes to be: these prompts one after the other, once or for ever. It starts when
    /// it is first patched to somebody and is known by `play` until [`Event::Played`] or `Stop`.
    Play {
        play: PlayId,
        prompts: Arc<[Arc<Prompt>]>,
        repeat: Repeat,
    },
    /// The source is no more: whoever heard it hears silence.
    Stop {
        play: PlayId,
    },
    /// Keys for the peer, one after the other, as telephone-event; what the leg hears waits
    /// meanwhile. Lost if the peer agreed to no events.
    Press {
        leg: LegId,
        keys: Keys,
    },
    /// Records `left` and `right` to the two channels of one file, from now on.
    Record {
        recording: RecordingId,
        left: LegId,
        right: Option<LegId>,
    },
    /// Another leg takes a channel of a running recording.
    Rewire {
        recording: RecordingId,
        left: LegId,
        right: Option<LegId>,
    },
    /// While masked, silence is recorded in place of sound; time goes on.
    Mask {
        recording: RecordingId,
        masking: Masking,
    },
    Finish {
        recording: RecordingId,
    },
}

/// Who is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Leg(LegId),
    Prompt(PlayId),
    Tone(Tone),
}

/// Call-progress tones, made where they are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tone {
    /// 425 Hz, 1 s on, 4 s off (ITU-T E.180, China).
    Ringback,
    /// 425 Hz, 350 ms on, 350 ms off.
    Busy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Once,
    Forever,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    On,
    Off,
}

/// One recording of a shard; the shell that writes the file knows it by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(pub u64);

/// What a shard tells signalling.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A key was pressed; told once, when it began, however long or lossy (RFC 4733 §2.5).
    Digit { leg: LegId, key: Key },
    /// A `Play` with [`Repeat::Once`] was heard to its end.
    Played { play: PlayId },
    /// No RTP came for this long on a leg that should send. Told every five seconds it lasts.
    Silent { leg: LegId, since: Duration },
    /// The leg is closed; these were its packets.
    Closed { leg: LegId, counts: Counts },
    /// The recording is complete and on its way to disk.
    Recorded { recording: RecordingId, length: Duration },
}

/// RTP packets of a leg over its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub received: u64,
    pub sent: u64,
    /// Gaps in the received sequence (RFC 3550 §A.3), as known at the end.
    pub lost: u64,
    /// Packets from strangers, malformed ones, and those of no agreed payload type.
    pub dropped: u64,
}

/// How a leg's audio fares: `near` is what we receive, `far` what the peer reports to receive
/// (RFC 3550 §6.4.1). As of the last report either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Network and peer, there and back.
    pub round_trip: Option<Duration>,
    /// In 256ths of the packets since the report before.
    pub near_loss: u8,
    pub far_loss: u8,
    pub near_jitter: Duration,
    pub far_jitter: Duration,
}

/// Sound encoded once per codec, then only stamped and sent.
#[derive(PartialEq, Eq)]
pub struct Prompt {
    pcmu: Box<[u8]>,
    pcma: Box<[u8]>,
}

impl Prompt {
    /// From 8 kHz mono samples.
    pub fn from_pcm(samples: &[i16]) -> Self {
        use crate::audio::g711;
        Self {
            pcmu: samples.iter().map(|&s| g711::ulaw_encode(s)).collect(),
            pcma: samples.iter().map(|&s| g711::alaw_encode(s)).collect(),
        }
    }

    /// One octet a sample, 8000 a second.
    pub fn encoded(&self, law: Law) -> &[u8] {
        match law {
            Law::Mu => &self.pcmu,
            Law::A => &self.pcma,
        }
    }

    pub fn length(&self) -> Duration {
        Duration::from_micros(self.pcmu.len() as u64 * 125)
    }
}

impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prompt({:?})", self.length())
    }
}
