//! Baton: a SIP and WebRTC contact-centre gateway.
//!
//! It terminates SIP trunks and WebRTC calls, runs the IVR, queues callers for agents and pops their screens. Its
//! heart: every caller's *breakpoint*, the step at which their self-service stopped and why,
//! reaches the agent before the phone rings, so that nobody has to say it twice.
//!
//! **Everything that decides is pure and lives in one value, [`gateway::Gateway`]. Everything that
//! touches the world lives in [`io`].**
//!
//! # Layers
//!
//! Imports go down only; siblings never import each other, save where listed. `tests/tidy.rs`
//! holds the code to it.
//!
//! ```text
//! 6   main       → io, config
//! 5   io         → all below; alone may name tokio, threads, locks, channels, sockets, files, clocks
//! 4   gateway    → config cti call ivr acd journey media sip sdp base
//! 3   config     → call ivr acd journey media sip base (each module owns its spec types)
//!     cti        → call acd journey base              (plain data)
//! 2   call       → sip sdp media(Plan, Command, Event) base
//!     ivr  acd  journey → base                        (never each other, never call)
//! 1   media      → rtp audio base
//! 0½  sip  sdp  rtp  audio → base                     (never each other: SIP carries SDP as bytes)
//! 0   base       → std, serde, one RNG crate
//! ```
//!
//! # Where to look
//!
//! | what                                        | where                                          |
//! |---------------------------------------------|------------------------------------------------|
//! | a call comes in and is routed               | `gateway::arrival`, `call::route`              |
//! | a page calls; what a **hand-off** binds     | `gateway::web`, `journey::handoff`             |
//! | who is offered whom; **ring no answer**     | `acd::router`                                  |
//! | the **pop** goes out, then the phone rings  | `gateway::queueing` (`offer`, `ring`)          |
//! | what is in the pop, and what is withheld    | `gateway::pop`, `journey::breakpoint`          |
//! | **DTMF** is read                            | `rtp::dtmf` (RFC 4733), `audio::dtmf` (sound), `call::leg` (INFO) |
//! | who hears whom                              | `call` (`patch_*`), `media::patch`             |
//! | hold, re-INVITE, delayed offer              | `call`, `sdp::negotiator`                      |
//! | a flow is checked, walked                   | `ivr::flow`, `ivr::interpreter`                |
//! | a desktop commands                          | `gateway::commands`, `cti`                     |
//! | what a call died of                         | `call::release`                                |
//! | who is not heard; how a call **sounds**     | `call::audio`, `rtp::quality`                  |
//! | what lasts                                  | `gateway::contact::Record`, `io::store`        |
//! | a packet arrives                            | `io::media` → `media::bay`                     |
//! | who is believed; keys, ICE, DTLS            | `media::transport`, `rtp::srtp`, `media::ice`  |
//! | one codec becomes another                   | `media::ear`, `media::mouth`, `audio::codec`   |
//! | sound waits for its tick                    | `rtp::jitter`                                  |
//! | a page calls; it is loaded again            | `gateway::web`, `io::http::calls`              |
//! | the desktop is the phone                    | `gateway::softphone`                           |
//! | a leg moves to another media thread         | `media::bay::moving`, `io::media::neighbours`  |
//! | what a new leg is made of                   | `gateway::outfit`, `call::leg`                 |
//!
//! # Invariants
//!
//! 1. Below `io`: no clock, async, thread, lock, channel or global. Time comes in as
//!    [`base::Now`], randomness from [`base::Mint`]; an input log with its seed replays a run.
//!    The one exception is [`media::dtls`]: the crate behind it draws its own randomness.
//! 2. `call`, `ivr`, `acd` and `journey` meet only in `gateway`, whose `dispatch` reads as a table.
//! 3. Wire text stops at the edge: SIP in `sip`, SDP in `sdp`, TOML in `config`, JSON in `cti` and
//!    `io`. SDP never reaches `media`, SIP never reaches `acd` or `ivr`.
//! 4. Signalling never sees RTP; media never sees SIP. They meet in [`media::Command`] and
//!    [`media::Event`], over bounded rings.
//! 5. Every resource has one owner: agents and queues → [`acd::Router`]; a dialog → one leg; a
//!    socket → one task or media thread, which alone reads it. By the port that WebRTC legs share all
//!    media threads send: one system call, in which no state of ours is shared.
//! 6. [`acd::Input`] and [`acd::Output`] are plain, serialisable values.
//! 7. Peer bytes cannot panic, allocate without bound, or stop a neighbour's call.

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
