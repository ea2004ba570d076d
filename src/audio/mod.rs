//! Sound as numbers: codecs, resampling, tones, keys, noise, WAV, mixing.
//!
//! Samples are signed 16-bit linear at 8 kHz, mono, unless a name says otherwise. **Invariant:**
//! nothing here knows a packet, a leg or a file; bytes and samples come in, bytes and samples go out.

pub mod codec;
pub mod dtmf;
pub mod g711;
pub mod g722;
pub mod mix;
pub mod noise;
pub mod ogg;
pub mod opus;
pub mod repair;
pub mod resample;
pub mod tone;
pub mod wav;
