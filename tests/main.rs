//! Every integration test, as one binary.

mod demo;
mod differential;
mod dtls;
mod g722;
mod ladders;
mod loopback;
mod net;
mod races;
mod shipped;
mod tidy;
mod torture;
