//! Baton: a SIP and WebRTC contact-centre gateway.
//!
//! **Everything that decides is pure and lives in one value, the gateway. Everything that touches
//! the world lives in `io`.**

pub mod acd;
pub mod audio;
pub mod base;
pub mod call;
pub mod config;
pub mod cti;
pub mod gateway;
pub mod io;
pub mod ivr;
pub mod journey;
pub mod media;
pub mod rtp;
pub mod sdp;
pub mod sip;
