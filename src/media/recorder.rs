//! Two legs to the two channels of one recording, a frame each tick.
//!
//! The tick is its clock: what a leg did not send is silence of that length, so both channels stay
//! beside each other however the network was.

use super::{FRAME, Masking};
use crate::base::LegId;

#[derive(Debug)]
pub(super) struct Recorder {
    pub left: LegId,
    pub right: Option<LegId>,
    pub masking: Masking,
    /// Samples of one channel so far.
    length: u64,
}

impl Recorder {
    pub fn new(left: LegId, right: Option<LegId>) -> Self {
        Self { left, right, masking: Masking::Off, length: 0 }
    }

    /// Both channels of one frame, interleaved. A leg that is not there is silent.
    pub fn frame(&mut self, left: Option<&[i16]>, right: Option<&[i16]>) -> [i16; 2 * FRAME] {
        let mut stereo = [0; 2 * FRAME];
        self.length += FRAME as u64;
        if self.masking == Masking::Off {
            for (channel, frame) in [left, right].into_iter().enumerate() {
                for (to, from) in stereo.iter_mut().skip(channel).step_by(2).zip(frame.into_iter().flatten())
                {
                    *to = *from;
                }
            }
        }
        stereo
    }

    pub fn length(&self) -> std::time::Duration {
        std::time::Duration::from_micros(self.length * 125)
    }
}
