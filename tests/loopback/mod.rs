//! The daemon as it is installed, among peers that are none of ours, over loopback: sipp is the
//! carrier, baresip the agent's phone, and the test itself the app, the desktop and whoever means harm.
//!
//! Each test has a network and a process tree to itself ([`alone`]): ports cannot clash, no packet
//! leaves, and nothing outlives it. It waits for what the peers say, never for time to pass.

mod alone;
mod audio;
mod browser;
mod carrier;
mod centre;
mod codecs;
mod crash;
mod desktop;
mod hostile;
mod keys;
mod lifecycle;
mod page;
mod phone;
mod recording;
mod secure;
mod sound;
mod speech;
mod stranger;
mod strangers;
mod wire;
