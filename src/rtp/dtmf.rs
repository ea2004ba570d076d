//! Keys as telephone-event: RFC 4733.
//!
//! Spares the layer above that a key is a dozen packets of which any may be lost, doubled or
//! overtaken: a [`Receiver`] tells each key once, when it is first heard of; a [`Sender`] makes
//! the packets of one.
//!
//! A key is known by its RTP timestamp, not by its marker or end bit, since senders in the field
//! leave those out.

use std::collections::VecDeque;

use super::packet::Header;
use super::{ahead, ahead_in_sequence};
use crate::base::Key;

/// One event as it stands in a payload (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub event: u8,
    pub end: bool,
    /// −dBm0, 0 to 63.
    pub volume: u8,
    /// In timestamp units since the event began.
    pub duration: u16,
}

impl Report {
    pub fn from_bytes([event, flags, d0, d1]: [u8; 4]) -> Self {
        Self { event, end: flags & 0x80 != 0, volume: flags & 0x3f, duration: u16::from_be_bytes([d0, d1]) }
    }

    pub fn to_bytes(self) -> [u8; 4] {
        let [d0, d1] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | self.volume & 0x3f, d0, d1]
    }
}

/// Events already told. More than end packets can lie between, at three packets an event.
const REMEMBERED: usize = 16;
/// A packet further behind than this is of an event that may be forgotten.
const MISORDER: i16 = 32;
/// One still further behind is no late packet: the sender began its sequence anew.
const RESTART: i16 = 1000;
/// RFC 4733 §2.5.2.1: a packet may carry several events; a telephone does not press more.
const EVENTS_IN_A_PACKET: usize = 8;

/// Reads one peer's events.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    told: [Option<Event>; REMEMBERED],
    /// Where in `told` the next one goes.
    next: usize,
    latest: Option<Latest>,
}

/// What makes an event itself. The code belongs to it, as events of duration zero in one packet
/// share a timestamp; the source does, as some peers send keys under an SSRC of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    ssrc: u32,
    timestamp: u32,
    code: u8,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    event: Event,
    sequence: u16,
    duration: u16,
    ended: bool,
}

impl Receiver {
    /// A packet of the events' payload type came. `told` gets each key that was not told yet.
    pub fn receive(&mut self, header: &Header, payload: &[u8], mut told: impl FnMut(Key)) {
        let mut timestamp = header.timestamp;
        for bytes in payload.as_chunks::<4>().0.iter().take(EVENTS_IN_A_PACKET) {
            let report = Report::from_bytes(*bytes);
            let event = Event { ssrc: header.ssrc, timestamp, code: report.event };
            if self.is_new(event, header.sequence, report)
                && let Some(key) = Key::from_event(report.event)
            {
                told(key);
            }
            timestamp = timestamp.wrapping_add(report.duration.into());
        }
    }

    fn is_new(&mut self, event: Event, sequence: u16, report: Report) -> bool {
        if let Some(latest) = self.latest.as_mut().filter(|latest| latest.event == event) {
            latest.duration = latest.duration.max(report.duration);
            latest.ended |= report.end;
            if ahead_in_sequence(latest.sequence, sequence) > 0 {
                latest.sequence = sequence;
            }
            return false;
        }
        if self.told.contains(&Some(event)) {
            return false;
        }
        let latest = self.latest.filter(|latest| latest.event.ssrc == event.ssrc);
        let behind = latest.map_or(0, |latest| ahead_in_sequence(sequence, latest.sequence));
        if (1..=RESTART).contains(&behind) {
            // Overtaken by a whole later event, or long forgotten.
            if behind <= MISORDER {
                self.note(event);
            }
            return behind <= MISORDER;
        }
        self.note(event);
        self.latest = Some(Latest { event, sequence, duration: report.duration, ended: report.end });
        !latest.is_some_and(|latest| latest.goes_on_as(event))
    }

    fn note(&mut self, event: Event) {
        self.told[self.next] = Some(event);
        self.next = (self.next + 1) % REMEMBERED;
    }
}

impl Latest {
    /// The same press under a new timestamp: RFC 4733 §2.5.1.3 cuts one longer than 8.19 s into
    /// segments, and some senders stamp every packet anew. Between two presses there is a pause,
    /// or at least an end.
    fn goes_on_as(self, event: Event) -> bool {
        let step = ahead(self.event.timestamp, event.timestamp);
        let contiguous = step >= 0 && (step <= self.duration.into() || step == u16::MAX.into());
        contiguous && !self.ended && self.event.code == event.code
    }
}

/// Keys waiting to be sent; more are refused.
const QUEUE: usize = 64;
/// Timestamp units between two packets of an event: 20 ms.
const STEP: u16 = 160;
/// Packets that tell a growing event: 100 ms, above the 40 ms that Q.24 asks of a tone.
const GROWING: u8 = 5;
/// RFC 4733 §2.5.1.4: the last packet goes three times.
const ENDS: u8 = 3;
/// Silent steps before the next key: 60 ms.
const PAUSE: u8 = 3;
/// The level of the keys we send, in −dBm0.
const VOLUME: u8 = 10;

/// Makes one source's events, one packet every 20 ms.
#[derive(Clone, Debug)]
pub struct Sender {
    waiting: VecDeque<Key>,
    /// Packets of the first waiting key that went out, pause included.
    step: u8,
}

/// What to send in one 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No key: audio may go.
    Idle,
    /// The first packet of an event: marker set, a timestamp of its own.
    Begin(Report),
    /// The same timestamp again.
    Continue(Report),
    /// Between two keys nothing goes.
    Pause,
}

impl Default for Sender {
    fn default() -> Self {
        Self { waiting: VecDeque::with_capacity(QUEUE), step: 0 }
    }
}

impl Sender {
    /// Adds a key; false if too many wait already.
    pub fn press(&mut self, key: Key) -> bool {
        let room = self.waiting.len() < QUEUE;
        if room {
            self.waiting.push_back(key);
        }
        room
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next 20 ms.
    pub fn step(&mut self) -> Step {
        let Some(key) = self.waiting.front().copied() else { return Step::Idle };
        let at = self.step;
        self.step += 1;
        if at >= GROWING + ENDS - 1 {
            if self.step >= GROWING + ENDS - 1 + PAUSE {
                self.waiting.pop_front();
                self.step = 0;
            }
            return Step::Pause;
        }
        let report = Report {
            event: key.event(),
            end: at >= GROWING - 1,
            volume: VOLUME,
            duration: STEP * u16::from(at.min(GROWING - 1) + 1),
        };
        if at == 0 { Step::Begin(report) } else { Step::Continue(report) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16, timestamp: u32) -> Header {
        Header { marker: false, payload_type: 101, sequence, timestamp, ssrc: 7 }
    }

    /// One packet: sequence, timestamp, key, duration, end.
    type Row = (u16, u32, char, u16, bool);

    fn heard(rows: &[Row]) -> String {
        let mut receiver = Receiver::default();
        let mut keys = String::new();
        for &(sequence, timestamp, key, duration, end) in rows {
            let event = Key::try_from(key).map_or(key as u8, Key::event);
            let payload = Report { event, end, volume: 10, duration }.to_bytes();
            receiver.receive(&header(sequence, timestamp), &payload, |key| keys.push(key.as_char()));
        }
        keys
    }

    /// A press of `key` as RFC 4733 §2.5.1 has it: five growing packets, three ends.
    fn press(sequence: u16, timestamp: u32, key: char) -> Vec<Row> {
        (0..8u16).map(|n| (sequence.wrapping_add(n), timestamp, key, 160 * (n.min(5) + 1), n >= 5)).collect()
    }

    fn without(rows: Vec<Row>, lost: impl Fn(usize) -> bool) -> Vec<Row> {
        rows.into_iter().enumerate().filter(|(n, _)| !lost(*n)).map(|(_, row)| row).collect()
    }

    #[test]
    fn a_press_is_one_key() {
        assert_eq!(heard(&press(10, 1000, '5')), "5");
    }

    #[test]
    fn whatever_is_lost_of_a_press_it_is_one_key_if_one_packet_comes() {
        for mask in 0..255u32 {
            let rows = without(press(65_530, 1000, '5'), |n| mask & 1 << n != 0);
            assert_eq!(heard(&rows), "5", "{mask:08b}");
        }
    }

    #[test]
    fn the_same_key_twice_is_two_keys_even_if_every_end_is_lost() {
        let rows = [press(10, 1000, '5'), press(30, 3000, '5')].concat();
        assert_eq!(heard(&rows), "55");
        assert_eq!(heard(&without(rows, |n| n % 8 >= 5)), "55");
    }

    #[test]
    fn every_order_and_repetition_of_a_press_is_one_key() {
        let rows = press(10, 1000, '#');
        for shift in 0..8 {
            let mut turned = rows.clone();
            turned.rotate_left(shift);
            assert_eq!(heard(&turned), "#");
            turned.extend(rows.clone());
            turned.reverse();
            assert_eq!(heard(&turned), "#");
        }
    }

    #[test]
    fn two_presses_shuffled_into_each_other_are_two_keys() {
        let mut rows = [press(10, 1000, '1'), press(18, 2600, '2')].concat();
        rows.swap(7, 8);
        rows.swap(2, 9);
        assert_eq!(heard(&rows), "12");
        // The whole first event comes after the second.
        rows = [press(18, 2600, '2'), press(10, 1000, '1')].concat();
        assert_eq!(heard(&rows), "21");
    }

    #[test]
    fn ends_of_the_last_event_that_come_after_the_next_began_are_no_new_key() {
        let (first, second) = (press(10, 1000, '1'), press(18, 2600, '1'));
        let rows = [&first[..6], &second[..3], &first[6..], &second[3..]].concat();
        assert_eq!(heard(&rows), "11");
    }

    #[test]
    fn a_press_longer_than_the_duration_can_tell_is_one_key() {
        let mut rows: Vec<Row> = vec![];
        // 20 s in packets of 20 ms: two full segments and the rest.
        for n in 0..1000u32 {
            let (segment, within) = ((n * 160 + 160) / 65_535, (n * 160 + 160) % 65_535);
            rows.push((n as u16, 5000 + segment * 65_535, '9', within as u16, false));
        }
        rows.push((1000, 5000 + 2 * 65_535, '9', 29_000, true));
        assert_eq!(heard(&rows), "9");
        // And with four of five packets lost, the turns of the segments among them.
        assert_eq!(heard(&without(rows, |n| n % 5 != 0)), "9");
    }

    #[test]
    fn a_sender_that_stamps_each_packet_anew_presses_once() {
        let rows: Vec<Row> = (0..10).map(|n| (n, 1000 + u32::from(n) * 160, '3', 160, n == 9)).collect();
        assert_eq!(heard(&rows), "3");
    }

    #[test]
    fn an_event_of_no_duration_is_a_key() {
        assert_eq!(
            heard(&[(1, 1000, '7', 0, false), (2, 1000, '7', 0, false), (3, 1000, '7', 0, true)]),
            "7"
        );
        assert_eq!(heard(&[(1, 1000, '7', 0, true), (2, 2000, '7', 0, true)]), "77");
    }

    #[test]
    fn a_sender_whose_clock_is_set_back_is_heard_on() {
        let rows = [press(10, 900_000, '1'), press(40, 1000, '2')].concat();
        assert_eq!(heard(&rows), "12");
    }

    #[test]
    fn a_sender_whose_sequence_begins_anew_is_heard_on() {
        let rows = [press(30_000, 1000, '1'), press(5, 9000, '2'), press(60, 17_000, '2')].concat();
        assert_eq!(heard(&rows), "122");
    }

    #[test]
    fn a_packet_of_an_event_long_past_is_no_key() {
        let presses = |n: u16| press(10 + 8 * n, 1000 + 1600 * u32::from(n), '1');
        let mut rows: Vec<Row> = (0..20).flat_map(presses).collect();
        rows.push(rows[7]);
        assert_eq!(heard(&rows), "1".repeat(20));
    }

    #[test]
    fn keys_under_another_source_than_before_are_told_once_too() {
        let (mut receiver, mut keys) = (Receiver::default(), vec![]);
        for n in 0..20 {
            for ssrc in [7, 8] {
                let header = Header { ssrc, ..header(100 * ssrc as u16 + n, 1000) };
                let report = Report { event: ssrc as u8, end: n > 16, volume: 0, duration: 160 * n };
                receiver.receive(&header, &report.to_bytes(), |key| keys.push(key.as_char()));
            }
        }
        assert_eq!(keys, ['7', '8']);
    }

    #[test]
    fn flash_and_tones_are_no_keys() {
        assert_eq!(heard(&[(1, 1000, '\u{10}', 160, false), (2, 1000, '\u{24}', 320, true)]), "");
    }

    #[test]
    fn several_events_in_a_packet_are_each_a_key() {
        let reports = [(1, 400), (2, 400), (1, 160)];
        let payload: Vec<u8> = reports
            .into_iter()
            .flat_map(|(event, duration)| Report { event, end: true, volume: 0, duration }.to_bytes())
            .chain([9, 9])
            .collect();
        let (mut receiver, mut keys) = (Receiver::default(), vec![]);
        for sequence in [1, 2] {
            receiver.receive(&header(sequence, 1000), &payload, |key| keys.push(key.as_char()));
        }
        assert_eq!(keys, ['1', '2', '1']);
    }

    #[test]
    fn what_is_sent_is_heard_as_pressed() {
        let (mut sender, mut receiver) = (Sender::default(), Receiver::default());
        "1*#1".chars().for_each(|c| assert!(sender.press(Key::try_from(c).unwrap())));
        let (mut keys, mut ends, mut timestamp, mut steps) = (String::new(), 0, 0, 0u16);
        loop {
            let report = match sender.step() {
                Step::Idle => break,
                Step::Pause => None,
                Step::Begin(report) => {
                    timestamp = u32::from(steps) * 160;
                    Some(report)
                }
                Step::Continue(report) => Some(report),
            };
            if let Some(report) = report {
                ends += u32::from(report.end);
                receiver
                    .receive(&header(steps, timestamp), &report.to_bytes(), |key| keys.push(key.as_char()));
            }
            steps += 1;
        }
        assert_eq!((keys.as_str(), ends, steps), ("1*#1", 12, 40));
    }

    #[test]
    fn more_keys_than_anybody_presses_are_refused() {
        let mut sender = Sender::default();
        let taken = (0..1000).filter(|_| sender.press(Key::STAR)).count();
        assert_eq!(taken, QUEUE);
    }

    proptest::proptest! {
        #[test]
        fn no_payload_breaks_the_receiver(packets: Vec<(u16, u32, Vec<u8>)>) {
            let mut receiver = Receiver::default();
            for (sequence, timestamp, payload) in packets {
                receiver.receive(&header(sequence, timestamp), &payload, |_| {});
            }
        }
    }
}
