//! The audio of one shard, 20 ms at a time; no sockets.
//!
//! A media thread of `io` owns one [`Bay`](bay::Bay), feeds it packets and ticks, and sends what
//! it hands back. Signalling never sees a packet and media never sees a SIP or SDP byte: they meet
//! in [`Command`] and [`Event`], which travel over bounded rings.
//!
//! **Patch.** Who hears whom is one table, listener → sources. Prompt, music, talk and hold are
//! rows of it, not modes.

pub mod bay;
pub mod crowd;
pub mod dtls;
mod ear;
mod endpoint;
pub mod ice;
mod lull;
mod mouth;
mod patch;
pub mod plan;
mod player;
pub mod prompt;
mod reports;
mod slots;
mod stream;
mod tap;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Codec, Key, LegId, Mos, PlayId};

pub use bay::moving::Parcel;
pub use bay::{Bay, Channel, Kit, Load, TICK, Tape, Tones, Wire};
pub use crowd::Shard;
pub use plan::{Direction, Events, Keys, Metrics, Opus, Path, Plan, Rtcp, SocketId};
pub use prompt::Prompt;

/// Samples of a tick: 20 ms at 8 kHz.
pub const FRAME: usize = 160;

/// What signalling asks of a shard. Nothing is returned: outcomes are [`Event`]s.
#[derive(Clone, Debug)]
pub enum Command {
    /// A leg's audio begins, on a socket of the stock or the shared port.
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
    /// The leg, which is on a shared port, lives at another shard from now on, with its keys and
    /// numbers, and who hears whom is to be said there. That shard is told to [`Command::Await`] it.
    Move {
        leg: LegId,
        to: Shard,
    },
    /// The leg is on its way here from another shard: what is commanded of it alone waits until it
    /// is there.
    Await {
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
    /// Keys for the peer, one after the other, as telephone-event, or as sound if it agreed to none;
    /// what the leg hears waits meanwhile.
    Press {
        leg: LegId,
        keys: crate::base::Keys,
    },
    /// From now on records a leg to the two channels of one file: left what it says, right what it
    /// hears, whatever its row of the patch comes to be.
    Record {
        recording: RecordingId,
        leg: LegId,
    },
    /// While masked, silence is recorded in place of sound; time goes on. A mask that is taken off
    /// ends a little later ([`Event::Unmasked`]): when what was under way is past and no key is heard.
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
    /// RTP comes again on a leg that was told to be silent.
    Audible { leg: LegId },
    /// The peer gave no sign of life for this long: neither RTP nor RTCP (RFC 3550 §6.3.5), no check
    /// of its path, no new agreement. Told every five seconds or so it lasts. `direction` is ours, as
    /// agreed all the while: a peer that holds us owes none.
    Absent { leg: LegId, since: Duration, direction: Direction },
    /// How the leg fared since this was told last: every five seconds or so in which anything came.
    Quality { leg: LegId, quality: Quality },
    /// DTLS gave the keys and a check found the path: from now on packets pass. Told again after a
    /// browser's new offer, or when its path was lost.
    Secured { leg: LegId },
    /// There are no keys, and will be none.
    Unsecured { leg: LegId },
    /// Nobody answers for the peer's addresses any more (RFC 7675), or the peer ended its
    /// association, as a browser does whose page is left.
    Lost { leg: LegId },
    /// The leg is closed; these were its packets.
    Closed { leg: LegId, counts: Counts },
    /// A mask is off and sound is recorded again; what was masked, in the recording's own time.
    Unmasked { recording: RecordingId, from: Duration, to: Duration },
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

/// How a leg's audio fared between two reports of ours (RFC 3550 §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    pub codec: Codec,
    /// What we received. `None` if nothing came.
    pub near: Option<Way>,
    /// What the peer told that it received. `None` if it told nothing.
    pub far: Option<Way>,
    /// Network and peer, there and back, as last known.
    pub round_trip: Option<Duration>,
}

/// One direction of a leg, as heard at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Packets that never came, in 256ths.
    pub loss: u8,
    /// Packets that came too late to be heard, in 256ths: by our count after their successors, by
    /// the peer's as it says in its VoIP metrics (RFC 3611 §4.7.1), else 0.
    pub late: u8,
    /// Mean deviation (RFC 3550 §A.8).
    pub jitter: Duration,
    /// By the E-model, of this leg alone; the peer's own figure where it tells one.
    pub mos: Mos,
}
