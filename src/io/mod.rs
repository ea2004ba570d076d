//! The only module that touches the world: clocks, sockets, threads.

pub mod clock;
pub mod media;
pub mod sip;
mod socket;
