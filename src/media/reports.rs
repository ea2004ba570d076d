//! What a leg and its peer tell each other of their packets: RTCP (RFC 3550 §6) and, of its extended
//! reports (RFC 3611), what gives the round trip and the peer's opinion, and ours where it asks.
//!
//! Spares the endpoint the questions who was asked, who is owed an answer, and how good it all
//! sounds. It sends nothing itself.

use std::time::Duration;

use super::{Plan, Quality, Way};
use crate::base::{Codec, Mono, Mos};
use crate::rtp::bursts::share;
use crate::rtp::jitter;
use crate::rtp::quality::{Hearing, mos};
use crate::rtp::rtcp::{self, Block, Compound, Item, Sending};
use crate::rtp::stats::{Loss, Reception};
use crate::rtp::xr::{self, Buffer, Concealment};

#[derive(Debug)]
pub(super) struct Reports {
    cname: [u8; 16],
    /// When the next one is due.
    at: Mono,
    sent: Sent,
    /// `sent.packets` at the last report: whether the next one is a sender's.
    reported: u32,
    /// Middle of the peer's last sender report, and when it came.
    heard: Option<(u32, Mono)>,
    /// A peer that sends nothing wants to know the round trip: its SSRC, the middle of its time, and
    /// when that came. Answered once (RFC 3611 §4.5).
    asked: Option<(u32, u32, Mono)>,
    /// In 256ths, as the peer last told it.
    far_loss: Option<u8>,
    round_trip: Option<Duration>,
    /// Since the last [`Quality`].
    near: Option<Way>,
    far: Option<Way>,
}

/// What becomes of what comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Listening {
    /// It goes on as it is, whether or not it is late.
    #[default]
    Relayed,
    /// What comes after its successor comes in vain.
    Decoded,
    /// It waits so long, and so many eighths of a millisecond of it have been dropped.
    Buffered { delay: Duration, dropped: u64 },
}

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    packets: u32,
    octets: u32,
}

impl Reports {
    /// `chance` spreads the first report.
    pub fn new(now: Mono, cname: [u8; 16], chance: u32) -> Self {
        Self {
            cname,
            // RFC 3550 §6.2: the first report comes after half the interval.
            at: now + rtcp::interval(chance) / 2,
            sent: Sent::default(),
            reported: 0,
            heard: None,
            asked: None,
            far_loss: None,
            round_trip: None,
            near: None,
            far: None,
        }
    }

    pub const fn poll_timeout(&self) -> Mono {
        self.at
    }

    /// RTP packets sent so far; wraps.
    pub const fn packets(&self) -> u32 {
        self.sent.packets
    }

    pub fn sent(&mut self, octets: usize) {
        self.sent.packets = self.sent.packets.wrapping_add(1);
        self.sent.octets = self.sent.octets.wrapping_add(octets as u32);
    }

    /// In 256ths of our packets; `None` if the peer never told.
    pub const fn far_loss(&self) -> Option<u8> {
        self.far_loss
    }

    pub fn schedule(&mut self, now: Mono, chance: u32) {
        self.at = now + rtcp::interval(chance);
    }

    /// How the leg's audio fared since this was last taken; `None` if it rested.
    pub fn take_quality(&mut self, codec: Codec) -> Option<Quality> {
        let quality = self.quality(codec);
        (self.near, self.far) = (None, None);
        (quality.near.is_some() || quality.far.is_some()).then_some(quality)
    }

    pub const fn quality(&self, codec: Codec) -> Quality {
        Quality { codec, near: self.near, far: self.far, round_trip: self.round_trip }
    }

    /// The peer's reports; `ssrc` is ours.
    pub fn receive(&mut self, now: Mono, ssrc: u32, plan: &Plan, bytes: &[u8]) {
        for item in rtcp::parse(bytes) {
            match item {
                Item::Report { sending, blocks, .. } => {
                    if let Some(sending) = sending {
                        self.heard = Some((middle(sending.ntp), now));
                    }
                    for block in blocks.filter(|block| block.ssrc == ssrc) {
                        self.learn_round_trip(now, block.last_report, block.delay);
                        self.far_loss = Some(block.fraction);
                        let jitter = unit(plan.codec) * block.jitter;
                        self.far = Some(self.way(plan, block.fraction, 0, jitter));
                    }
                }
                Item::Extended { ssrc: from, blocks } => {
                    for block in blocks {
                        match block {
                            xr::Block::ReceiverTime(ntp) => self.asked = Some((from, middle(ntp), now)),
                            xr::Block::Answer(answer) if answer.ssrc == ssrc => {
                                self.learn_round_trip(now, answer.last, answer.delay);
                            }
                            xr::Block::Voip(voip) if voip.ssrc == ssrc => self.take_opinion(plan, &voip),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn learn_round_trip(&mut self, now: Mono, last: u32, delay: u32) {
        self.round_trip = xr::round_trip(middle(ntp(now)), last, delay).or(self.round_trip);
    }

    /// Whoever listens knows best how it sounds.
    fn take_opinion(&mut self, plan: &Plan, voip: &xr::Voip) {
        let mut way = self.far.unwrap_or_else(|| self.way(plan, voip.loss, voip.discard, Duration::ZERO));
        way.late = voip.discard;
        if let Some(tenths) = voip.conversational.or(voip.listening) {
            way.mos = Mos::from_tenths(tenths);
        }
        self.far = Some(way);
    }

    /// We received with this loss, and so many 256ths came when their successors had.
    pub fn note_reception(&mut self, plan: &Plan, loss: &Loss, late: u8) {
        self.near = Some(self.way(plan, loss.fraction, late, unit(plan.codec) * loss.jitter));
    }

    /// The report that is due, on what came from `source` if anything did. `timestamp` is now, on
    /// the RTP clock of `ssrc`; `metrics` go along.
    pub fn write(
        &mut self,
        now: Mono,
        ssrc: u32,
        timestamp: u32,
        source: Option<(u32, Loss)>,
        metrics: Option<xr::Voip>,
    ) -> Compound {
        let Sent { packets, octets } = self.sent;
        let sends = packets != self.reported;
        let sending = sends.then(|| Sending { ntp: ntp(now), timestamp, packets, octets });
        self.reported = packets;
        let heard = self.heard;
        let block = source.map(|(ssrc, loss)| Block {
            ssrc,
            fraction: loss.fraction,
            lost: loss.cumulative,
            highest: loss.highest,
            jitter: loss.jitter,
            last_report: heard.map_or(0, |(middle, _)| middle),
            delay: heard.map_or(0, |(_, at)| delay_since(now, at)),
        });
        let answer = self.asked.take().map(|(ssrc, last, at)| {
            xr::Block::Answer(xr::Answer { ssrc, last, delay: delay_since(now, at) })
        });
        // Without a sender report of ours there is none for the peer to tell the age of.
        let question = (block.is_some() && !sends).then(|| xr::Block::ReceiverTime(ntp(now)));
        let report = Compound::report(ssrc, sending, block).cname(ssrc, &self.cname);
        let blocks = answer.into_iter().chain(question).chain(metrics.map(xr::Block::Voip));
        report.extended(ssrc, blocks)
    }

    /// How `source` is heard, for a peer that asked (RFC 3611 §4.7): all that is known of it since
    /// it began. Bursts are of losses; what is discarded behind them is a share by itself. Levels,
    /// and the echo at our end, nobody measures here.
    pub fn metrics(
        &self,
        plan: &Plan,
        source: &Reception,
        listening: &Listening,
        discarded: u64,
    ) -> xr::Voip {
        let pattern = source.pattern();
        let packet = unit(plan.codec) * source.packet();
        let ours = Duration::from_millis(plan.ptime_ms.into());
        let (loss, discard) = (source.share_lost(), share(discarded, source.received()));
        let missing = (f32::from(loss) + f32::from(discard)) / 256.0;
        let buffered = match listening {
            Listening::Buffered { delay, .. } => *delay,
            Listening::Relayed | Listening::Decoded => Duration::ZERO,
        };
        let delay = self.round_trip.unwrap_or_default() / 2 + buffered + packet;
        let hearing = Hearing { codec: plan.codec, loss: missing, burst: 1.0, delay };
        let tenths = |mos: f32| (10.0 * mos).round() as u8;
        let (concealment, buffer, room) = match listening {
            Listening::Relayed => (Concealment::Unspecified, Buffer::Unknown, Duration::ZERO),
            Listening::Decoded => (Concealment::Enhanced, Buffer::Unknown, Duration::ZERO),
            // A larger spread is followed after five packets or so.
            Listening::Buffered { .. } => (Concealment::Enhanced, Buffer::Adaptive(3), jitter::CAPACITY),
        };
        xr::Voip {
            ssrc: source.ssrc(),
            loss,
            discard,
            burst_density: pattern.burst_density,
            gap_density: pattern.gap_density,
            burst_ms: millis(packet.saturating_mul(pattern.burst.min(1 << 16) as u32)),
            gap_ms: millis(packet.saturating_mul(pattern.gap.min(1 << 16) as u32)),
            round_trip_ms: self.round_trip.map_or(0, millis),
            end_system_ms: millis(buffered + ours),
            rating: Some(hearing.rating().round() as u8),
            listening: Some(tenths(Hearing { delay: Duration::ZERO, ..hearing }.mos())),
            conversational: Some(tenths(hearing.mos())),
            concealment,
            buffer,
            buffer_nominal_ms: millis(buffered),
            buffer_greatest_ms: millis(room),
            buffer_limit_ms: millis(room),
            ..xr::Voip::default()
        }
    }

    /// From mouth to ear it takes half the round trip, what a jitter buffer holds, which is about
    /// twice the mean deviation, and the packet itself. It is the opinion of this leg alone.
    fn way(&self, plan: &Plan, loss: u8, late: u8, jitter: Duration) -> Way {
        let packet = Duration::from_millis(plan.ptime_ms.into());
        let delay = self.round_trip.unwrap_or_default() / 2 + 2 * jitter + packet;
        let missing = (f32::from(loss) + f32::from(late)) / 256.0;
        Way { loss, late, jitter, mos: Mos::new(mos(plan.codec, missing, delay)) }
    }
}

/// Milliseconds, 65535 at the most.
fn millis(span: Duration) -> u16 {
    span.as_millis().try_into().unwrap_or(u16::MAX)
}

/// Of the RTP clock.
fn unit(codec: Codec) -> Duration {
    Duration::from_nanos(1_000_000_000 / u64::from(codec.clock()))
}

/// §4: a system without wall time may count from its start.
fn ntp(now: Mono) -> u64 {
    ntp_of(Duration::from_nanos(now.as_nanos()))
}

fn ntp_of(span: Duration) -> u64 {
    (span.as_secs() << 32) | ((u64::from(span.subsec_nanos()) << 32) / 1_000_000_000)
}

const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// In 65536ths of a second.
fn delay_since(now: Mono, at: Mono) -> u32 {
    middle(ntp_of(now.since(at)))
}
