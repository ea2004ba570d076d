//! The only module that touches the world: clocks, sockets, threads, files, randomness.
//!
//! It decides nothing. `run` drives the one [`Gateway`](crate::gateway::Gateway); every other
//! room here turns something of the world into the gateway's inputs, or its outputs into deeds.

pub mod clock;
pub mod ctl;
pub mod demo;
pub mod fetch;
pub mod flow;
pub mod http;
pub mod line;
pub mod load;
pub mod log;
pub mod media;
pub mod run;
pub mod secret;
pub mod sip;
mod socket;
pub mod speech;
pub mod store;
pub mod vitals;
pub mod writer;
