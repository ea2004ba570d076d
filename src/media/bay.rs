//! One shard's audio: feed it commands, packets and ticks; it sends through a [`Wire`], records to
//! a [`Tape`] and tells [`Event`]s.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Command, Event, RecordingId, SocketId};
use crate::base::{Mint, Mono};

/// How often audio that does not simply pass through is made: one frame of 160 samples.
pub const TICK: Duration = Duration::from_millis(20);

/// Which port of a socket pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    Rtp,
    Rtcp,
}

/// Where the bay's packets leave. Called while a packet or tick is handled; must not block.
pub trait Wire {
    fn send(&mut self, socket: SocketId, channel: Channel, to: SocketAddr, bytes: &[u8]);
}

/// Where recorded sound leaves. Called within a tick; must not block (a ring to a writer).
pub trait Tape {
    /// 8 kHz, stereo interleaved, left first.
    fn write(&mut self, recording: RecordingId, samples: &[i16]);
    /// Nothing more comes for this recording.
    fn finish(&mut self, recording: RecordingId);
}

/// The audio of one shard.
pub struct Bay {
    _mint: Mint,
    events: VecDeque<Event>,
    tick_at: Option<Mono>,
}

impl Bay {
    /// `mint` gives first sequence numbers, CNAMEs and the spread of reports.
    pub fn new(mint: Mint) -> Self {
        Self { _mint: mint, events: VecDeque::with_capacity(256), tick_at: None }
    }

    pub fn handle_command(
        &mut self,
        _now: Mono,
        _command: Command,
        _wire: &mut impl Wire,
        _tape: &mut impl Tape,
    ) {
    }

    /// A datagram came on a socket; `bytes` is rewritten in place on its way out.
    pub fn handle_packet(
        &mut self,
        _now: Mono,
        _socket: SocketId,
        _channel: Channel,
        _from: SocketAddr,
        _bytes: &mut [u8],
        _wire: &mut impl Wire,
    ) {
    }

    /// Does what is due: frames, reports, silence.
    pub fn handle_timeout(&mut self, _now: Mono, _wire: &mut impl Wire, _tape: &mut impl Tape) {}

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Bay::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.tick_at
    }
}
