//! Sound as numbers: G.711, resampling, tones, WAV, mixing.
//!
//! Samples are signed 16-bit linear at 8 kHz, mono, unless a name says otherwise. **Invariant:**
//! nothing here knows a packet, a leg or a file; bytes and samples come in, bytes and samples go out.

pub mod g711;
pub mod mix;
pub mod resample;
pub mod tone;
pub mod wav;
