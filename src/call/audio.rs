//! How a call's audio fared, leg by leg, and who could not be heard when they should have been.
//!
//! It spares the gateway the reckoning of what is a fault: a party of whom no packets come is one
//! only while two talk, and from then on at the earliest. Kept are averages and extremes, never the
//! single reports, and of very many faults the first.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{Codec, Mono, Mos, Now, Wall};
use crate::media::{Quality, Way};

/// Who speaks on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Talker {
    Caller,
    Agent,
    /// Somebody outside, by transfer.
    Outside,
}

/// How a leg's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LegKind {
    /// By ports of the leg's own.
    Rtp,
    /// By the shared port, with ICE.
    WebRtc,
}

/// Legs kept apart in a record, by party, leg and codec: one who changes them without end is told
/// of no more.
const MOST_LINES: usize = 12;
/// Faults kept of a call whose packets come and go.
const MOST_FAULTS: usize = 50;

/// The audio of one call, from INVITE to release.
#[derive(Clone, Debug)]
pub struct Audio {
    began: Now,
    /// Since when both are to be heard, in ms from the INVITE.
    talking: Option<u64>,
    /// The one measured last is last.
    lines: Vec<Line>,
    /// Those that last.
    silences: Vec<Silence>,
    faults: Vec<Fault>,
}

#[derive(Clone, Debug)]
struct Line {
    party: Talker,
    leg: LegKind,
    codec: Codec,
    round_trip: Option<Duration>,
    from: Course,
    to: Course,
}

/// One direction, report by report.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    last: Option<Way>,
    reports: u32,
    worst: Option<Mos>,
    /// Sums over the reports.
    loss: u64,
    late: u64,
    jitter: Duration,
    hundredths: u64,
}

#[derive(Clone, Copy, Debug)]
struct Silence {
    party: Talker,
    from_ms: u64,
    /// Nobody else was silent at the same time.
    one_way: bool,
}

/// How one leg fared, over all of the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub party: Talker,
    pub leg: LegKind,
    pub codec: String,
    pub round_trip_ms: Option<u64>,
    /// What we heard of the party.
    pub from: Option<KeptWay>,
    /// What the party told that it heard.
    pub to: Option<KeptWay>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptWay {
    pub reports: u32,
    /// Packets that never came, and that came too late, as shares of 1: the mean over the reports.
    pub loss: f64,
    pub late: f64,
    /// The mean.
    pub jitter_ms: u64,
    pub mos_min: Mos,
    pub mos_avg: Mos,
}

/// A party that could not be heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub party: Talker,
    pub what: What,
    /// The other party was heard all the while.
    pub one_way: bool,
    /// From the INVITE.
    pub from_ms: u64,
    pub ms: u64,
    /// The same in a sentence.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    NoPackets,
}

/// How a party's leg fares now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fare {
    pub from: Option<Figures>,
    pub to: Option<Figures>,
    pub round_trip_ms: Option<u64>,
    /// Nothing is heard of the party, and should be.
    pub silent_since: Option<Wall>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Share of the packets, too late ones included.
    pub loss: f64,
    pub jitter_ms: u64,
    pub mos: Mos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It lasts, or lasted as long as the talk.
    Open,
    Over,
}

impl Audio {
    /// `began` is when the call came.
    pub fn new(began: Now) -> Self {
        Self { began, talking: None, lines: vec![], silences: vec![], faults: vec![] }
    }

    /// From now on both parties are to be heard.
    pub fn talk(&mut self, now: Mono) {
        self.talking.get_or_insert(millis(now.since(self.began.mono)));
    }

    /// Nobody has to be heard any more: hold, or the end. Gives the faults that end with it.
    pub fn pause(&mut self, now: Mono) -> Vec<Fault> {
        self.talking = None;
        let silences = std::mem::take(&mut self.silences);
        silences.into_iter().map(|silence| self.close(now, silence, End::Open)).collect()
    }

    pub fn is_talking(&self) -> bool {
        self.talking.is_some()
    }

    /// No packets came of this party for this long. Tells whether that is a fault not known yet.
    pub fn silent(&mut self, now: Mono, party: Talker, since: Duration) -> bool {
        let Some(talking) = self.talking else { return false };
        if self.silences.iter().any(|silence| silence.party == party) {
            return false;
        }
        let from = millis(now.since(self.began.mono)).saturating_sub(millis(since));
        let one_way = self.silences.is_empty();
        self.silences.iter_mut().for_each(|silence| silence.one_way = false);
        self.silences.push(Silence { party, from_ms: from.max(talking), one_way });
        true
    }

    /// The party is heard again, or need not be. Gives the fault that ends with that.
    pub fn heard(&mut self, now: Mono, party: Talker) -> Option<Fault> {
        let at = self.silences.iter().position(|silence| silence.party == party)?;
        let silence = self.silences.remove(at);
        Some(self.close(now, silence, End::Over))
    }

    fn close(&mut self, now: Mono, silence: Silence, end: End) -> Fault {
        let fault = self.fault(now, silence, end);
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault.clone());
        }
        fault
    }

    pub fn measure(&mut self, party: Talker, leg: LegKind, quality: &Quality) {
        let codec = quality.codec;
        let is_it = |line: &Line| (line.party, line.leg, line.codec) == (party, leg, codec);
        let mut line = match self.lines.iter().position(is_it) {
            Some(at) => self.lines.remove(at),
            None if self.lines.len() == MOST_LINES => return,
            None => {
                Line { party, leg, codec, round_trip: None, from: Course::default(), to: Course::default() }
            }
        };
        line.round_trip = quality.round_trip.or(line.round_trip);
        line.from.add(quality.near);
        line.to.add(quality.far);
        self.lines.push(line);
    }

    /// As of the last reports.
    pub fn fare(&self, party: Talker) -> Fare {
        let line = self.lines.iter().rfind(|line| line.party == party);
        let silence = self.silences.iter().find(|silence| silence.party == party);
        Fare {
            from: line.and_then(|line| line.from.last).map(Figures::of),
            to: line.and_then(|line| line.to.last).map(Figures::of),
            round_trip_ms: line.and_then(|line| line.round_trip).map(millis),
            silent_since: silence.map(|silence| self.wall(silence.from_ms)),
        }
    }

    pub fn kept(&self) -> Vec<Kept> {
        let mut kept: Vec<_> = self.lines.iter().map(Line::kept).collect();
        kept.sort_by_key(|kept| kept.party);
        kept
    }

    /// In the order in which they began, as far as they are over; then those that last.
    pub fn faults(&self, now: Mono) -> Vec<Fault> {
        let open = self.silences.iter().map(|silence| self.fault(now, *silence, End::Open));
        self.faults.iter().cloned().chain(open).collect()
    }

    fn fault(&self, now: Mono, silence: Silence, end: End) -> Fault {
        let Silence { party, from_ms, one_way } = silence;
        let ms = millis(now.since(self.began.mono)).saturating_sub(from_ms);
        let who = party.name();
        let at = self.wall(from_ms).to_string();
        // RFC 3339: the time of day begins at the twelfth character.
        let at = at.get(11..19).unwrap_or(&at);
        let text = match end {
            End::Open => format!("no packets from {who} since {at}Z"),
            End::Over => format!("no packets from {who} from {at}Z on for {} s", (ms + 500) / 1000),
        };
        Fault { party, what: What::NoPackets, one_way, from_ms, ms, text }
    }

    fn wall(&self, offset_ms: u64) -> Wall {
        self.began.wall + Duration::from_millis(offset_ms)
    }
}

impl Talker {
    pub const ALL: [Self; 3] = [Self::Caller, Self::Agent, Self::Outside];

    /// As in JSON and in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Outside => "outside",
        }
    }
}

impl Line {
    fn kept(&self) -> Kept {
        Kept {
            party: self.party,
            leg: self.leg,
            codec: self.codec.name().to_owned(),
            round_trip_ms: self.round_trip.map(millis),
            from: self.from.kept(),
            to: self.to.kept(),
        }
    }
}

impl Course {
    fn add(&mut self, way: Option<Way>) {
        let Some(way) = way else { return };
        self.last = Some(way);
        self.reports = self.reports.saturating_add(1);
        self.worst = Some(self.worst.map_or(way.mos, |worst| worst.min(way.mos)));
        self.loss += u64::from(way.loss);
        self.late += u64::from(way.late);
        self.jitter = self.jitter.saturating_add(way.jitter);
        self.hundredths += u64::from(way.mos.hundredths());
    }

    fn kept(&self) -> Option<KeptWay> {
        let reports = u64::from(self.reports);
        Some(KeptWay {
            reports: self.reports,
            loss: share(self.loss, reports),
            late: share(self.late, reports),
            jitter_ms: millis(self.jitter) / reports.max(1),
            mos_min: self.worst?,
            mos_avg: Mos::from_hundredths((self.hundredths / reports.max(1)) as u16),
        })
    }
}

impl Figures {
    fn of(way: Way) -> Self {
        let loss = u64::from(way.loss) + u64::from(way.late);
        Self { loss: share(loss.min(256), 1), jitter_ms: millis(way.jitter), mos: way.mos }
    }
}

/// Of a sum of 256ths over so many reports, to four places.
fn share(sum: u64, reports: u64) -> f64 {
    (sum as f64 / (256 * reports.max(1)) as f64 * 10_000.0).round() / 10_000.0
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began() -> Now {
        Now { mono: Mono::from_nanos(77_000_000), wall: "2026-01-31T12:00:57Z".parse().unwrap() }
    }

    fn at(ms: u64) -> Mono {
        began().mono + Duration::from_millis(ms)
    }

    const FIVE: Duration = Duration::from_secs(5);

    fn way(loss: u8, mos: u16) -> Way {
        Way { loss, late: 0, jitter: Duration::from_millis(8), mos: Mos::from_hundredths(mos) }
    }

    fn quality(near: Option<Way>, far: Option<Way>) -> Quality {
        Quality { codec: Codec::Pcma, near, far, round_trip: Some(Duration::from_millis(42)) }
    }

    #[test]
    fn who_is_not_heard_while_two_talk_is_named_with_the_time() {
        let mut audio = Audio::new(began());
        assert!(!audio.silent(at(5_000), Talker::Caller, FIVE), "nobody talks yet");
        audio.talk(at(6_000));
        assert!(audio.silent(at(15_000), Talker::Agent, FIVE));
        assert!(!audio.silent(at(20_000), Talker::Agent, 2 * FIVE), "it is known");
        let fault = &audio.faults(at(21_000))[0];
        assert_eq!(
            (fault.party, fault.from_ms, fault.ms, fault.one_way),
            (Talker::Agent, 10_000, 11_000, true)
        );
        assert_eq!(fault.text, "no packets from agent since 12:01:07Z");
        assert_eq!(audio.fare(Talker::Agent).silent_since, Some("2026-01-31T12:01:07Z".parse().unwrap()));
        let over = audio.heard(at(22_600), Talker::Agent).unwrap();
        assert_eq!(over.text, "no packets from agent from 12:01:07Z on for 13 s");
        assert_eq!((audio.faults(at(90_000)), audio.heard(at(90_000), Talker::Agent)), (vec![over], None));
    }

    #[test]
    fn silence_counts_from_the_talk_on_and_not_on_hold() {
        let mut audio = Audio::new(began());
        audio.talk(at(6_000));
        assert!(audio.silent(at(7_000), Talker::Caller, 2 * FIVE));
        assert_eq!(audio.pause(at(9_000))[0].ms, 3_000);
        assert!(!audio.silent(at(12_000), Talker::Caller, 3 * FIVE));
        audio.talk(at(13_000));
        assert!(audio.silent(at(17_000), Talker::Caller, 4 * FIVE));
        let from: Vec<_> = audio.faults(at(18_000)).iter().map(|fault| fault.from_ms).collect();
        assert_eq!(from, [6_000, 13_000]);
    }

    #[test]
    fn where_nobody_is_heard_it_is_not_one_way() {
        let mut audio = Audio::new(began());
        audio.talk(at(0));
        assert!(audio.silent(at(9_000), Talker::Caller, FIVE));
        assert!(audio.silent(at(9_100), Talker::Agent, FIVE));
        assert!(audio.pause(at(20_000)).iter().all(|fault| !fault.one_way));
    }

    #[test]
    fn a_leg_is_kept_by_its_mean_and_its_worst() {
        let mut audio = Audio::new(began());
        audio.measure(Talker::Agent, LegKind::WebRtc, &quality(None, Some(way(0, 440))));
        for (loss, mos) in [(0, 440), (64, 200), (0, 440), (0, 440)] {
            audio.measure(Talker::Caller, LegKind::Rtp, &quality(Some(way(loss, mos)), None));
        }
        let kept = audio.kept();
        assert_eq!(kept.iter().map(|kept| kept.party).collect::<Vec<_>>(), [Talker::Caller, Talker::Agent]);
        let from = kept[0].from.as_ref().unwrap();
        assert_eq!(
            (from.reports, from.loss, from.jitter_ms, kept[0].round_trip_ms),
            (4, 0.0625, 8, Some(42))
        );
        assert_eq!((from.mos_min.hundredths(), from.mos_avg.hundredths()), (200, 380));
        assert_eq!((&kept[0].to, &kept[1].from), (&None, &None));
    }

    #[test]
    fn neither_faults_nor_legs_grow_without_end() {
        let mut audio = Audio::new(began());
        for n in 0..500 {
            audio.talk(at(n * 10_000));
            audio.silent(at(n * 10_000 + 5_000), Talker::Caller, FIVE);
            audio.heard(at(n * 10_000 + 6_000), Talker::Caller);
            for (party, codec) in Talker::ALL.into_iter().flat_map(|p| Codec::ALL.map(|c| (p, c))) {
                for leg in [LegKind::Rtp, LegKind::WebRtc] {
                    audio.measure(party, leg, &Quality { codec, ..quality(Some(way(0, 440)), None) });
                }
            }
        }
        assert_eq!((audio.kept().len(), audio.faults(at(0)).len()), (MOST_LINES, MOST_FAULTS));
    }
}
