//! Takes the unevenness of the network out of decoded sound.
//!
//! A timeline of samples: packets of any length go in by timestamp in any order, frames come out by
//! the clock, what did not come is silence. Its delay is as long as the network lately needed. Only
//! audio that is mixed or recorded passes here; what is relayed leaves as it comes.

use super::ahead;

/// Samples the timeline holds: 512 ms at 8 kHz.
const SPAN: usize = 4096;
/// Delay at the start: 40 ms, two packets of the usual length.
const DELAY: i32 = 320;
/// Delay beyond which a delay never needed is given back.
const SLACK: i32 = 480;
/// How much is given back at a time: 5 ms, too short to be heard.
const CUT: i32 = 40;
/// Samples over which "never needed" is judged: 4 s.
const WINDOW: i32 = 32_000;

/// An empty place. Decoders give no such sample; one that does is off by one.
const EMPTY: i16 = i16::MIN;

/// One source's timeline.
#[derive(Clone, Debug)]
pub struct Buffer {
    ring: Box<[i16; SPAN]>,
    time: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Time {
    /// Timestamp of the next sample to come out.
    next: u32,
    /// Timestamp after the newest sample that came.
    end: u32,
    /// The least lead of a packet over its playing, in this window.
    lead: i32,
    /// Samples played in this window.
    window: i32,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { ring: Box::new([EMPTY; SPAN]), time: None }
    }
}

impl Buffer {
    /// A packet's samples, the first of which has `timestamp`.
    pub fn insert(&mut self, timestamp: u32, samples: impl ExactSizeIterator<Item = i16>) {
        let length = samples.len();
        if length == 0 || length > SPAN / 2 {
            return;
        }
        let end = timestamp.wrapping_add(length as u32);
        let mut time = self.time.unwrap_or_else(|| Time::starting(timestamp));
        let mut lead = ahead(time.next, timestamp);
        if lead < 0 && ahead(time.end, timestamp) >= 0 {
            // The newest packet is late, so nothing waits: the delay grows by what it is late.
            time = Time { next: timestamp, ..time };
            lead = 0;
        } else if lead.saturating_add(length as i32) > SPAN as i32 || lead < -(SPAN as i32) {
            // Another timeline: the sender began anew.
            self.ring.fill(EMPTY);
            time = Time::starting(timestamp);
            lead = DELAY;
        }
        for (n, sample) in samples.enumerate() {
            // What is late by parts is heard by parts.
            if lead + n as i32 >= 0 {
                let place = timestamp.wrapping_add(n as u32) as usize % SPAN;
                self.ring[place] = sample.max(EMPTY + 1);
            }
        }
        if ahead(time.end, end) > 0 {
            time.end = end;
            time.lead = time.lead.min(lead);
        }
        self.time = Some(time);
    }

    /// The next samples by the clock; silence where none came. Tells how many did.
    pub fn read(&mut self, samples: &mut [i16]) -> usize {
        let Some(time) = &mut self.time else {
            samples.fill(0);
            return 0;
        };
        let mut came = 0;
        for (n, sample) in samples.iter_mut().enumerate() {
            let place = &mut self.ring[time.next.wrapping_add(n as u32) as usize % SPAN];
            came += usize::from(*place != EMPTY);
            *sample = if *place == EMPTY { 0 } else { *place };
            *place = EMPTY;
        }
        time.next = time.next.wrapping_add(samples.len() as u32);
        time.window += samples.len() as i32;
        if time.window >= WINDOW {
            if time.lead != i32::MAX && time.lead > SLACK {
                for n in 0..CUT as u32 {
                    self.ring[time.next.wrapping_add(n) as usize % SPAN] = EMPTY;
                }
                time.next = time.next.wrapping_add(CUT as u32);
            }
            *time = Time { lead: i32::MAX, window: 0, ..*time };
        }
        came
    }

    /// Forgets everything: the next packet begins a new timeline.
    pub fn clear(&mut self) {
        self.ring.fill(EMPTY);
        self.time = None;
    }
}

impl Time {
    fn starting(timestamp: u32) -> Self {
        Self { next: timestamp.wrapping_sub(DELAY as u32), end: timestamp, lead: i32::MAX, window: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 20 ms: packet n holds the value n + 1 and arrives before frame `arrivals[n]`.
    /// Gives what each frame holds: one value, or 0 for silence, or -1 if it is of several.
    fn play(arrivals: &[usize], frames: usize) -> Vec<i16> {
        let mut buffer = Buffer::default();
        (0..frames)
            .map(|frame| {
                for (n, _) in arrivals.iter().enumerate().filter(|(_, at)| **at == frame) {
                    let timestamp = 4_294_967_000u32.wrapping_add(160 * n as u32);
                    buffer.insert(timestamp, [n as i16 + 1; 160].into_iter());
                }
                let mut samples = [0; 160];
                buffer.read(&mut samples);
                if samples.iter().all(|s| *s == samples[0]) { samples[0] } else { -1 }
            })
            .collect()
    }

    #[test]
    fn packets_come_out_in_order_two_frames_later() {
        assert_eq!(play(&[0, 1, 2, 3], 6), [0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn jitter_within_the_delay_is_not_heard() {
        assert_eq!(play(&[0, 2, 2, 5, 5, 5], 8), [0, 0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(play(&[0, 3, 2, 3], 6), [0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_lost_packet_is_silence_of_its_length() {
        assert_eq!(play(&[0, 99, 2, 3], 6), [0, 0, 1, 0, 3, 4]);
    }

    #[test]
    fn a_packet_later_than_the_delay_makes_it_longer() {
        // Packet 1 is due at frame 3 and comes at 5; all later ones keep the new delay.
        assert_eq!(play(&[0, 5, 6, 7, 8], 10), [0, 0, 1, 0, 0, 2, 3, 4, 5, 0]);
    }

    #[test]
    fn an_overtaken_packet_that_missed_its_time_is_not_heard_out_of_place() {
        assert_eq!(play(&[0, 4, 1, 2], 6), [0, 0, 1, 0, 3, 4]);
    }

    #[test]
    fn a_duplicate_is_heard_once() {
        let mut buffer = Buffer::default();
        let mut samples = [0; 160];
        buffer.insert(0, [5; 160].into_iter());
        buffer.insert(0, [5; 160].into_iter());
        let came: Vec<_> = (0..4)
            .map(|frame| {
                let came = buffer.read(&mut samples);
                if frame == 2 {
                    buffer.insert(0, [5; 160].into_iter());
                }
                came
            })
            .collect();
        assert_eq!(came, [0, 0, 160, 0]);
    }

    #[test]
    fn a_timeline_that_jumps_is_followed() {
        let mut buffer = Buffer::default();
        let mut samples = [0; 160];
        for timestamp in [0, 500_000, 100, 2_147_483_748] {
            buffer.insert(timestamp, [9; 160].into_iter());
            let came: usize = (0..4).map(|_| buffer.read(&mut samples)).sum();
            assert_eq!(came, 160, "{timestamp}");
        }
    }

    #[test]
    fn a_delay_no_longer_needed_is_given_back() {
        let mut buffer = Buffer::default();
        let mut samples = [0; 160];
        let put = |buffer: &mut Buffer, n: u32| buffer.insert(n * 160, [1; 160].into_iter());
        let mut delay = |buffer: &mut Buffer, n: u32| {
            put(buffer, n);
            let delay = ahead(buffer.time.unwrap().next, n * 160);
            buffer.read(&mut samples);
            delay
        };
        assert_eq!((0..10).map(|n| delay(&mut buffer, n)).last(), Some(DELAY));
        // The network holds ten packets up and gives them all at once.
        let mut held = [0; 1600];
        buffer.read(&mut held);
        (10..20).for_each(|n| put(&mut buffer, n));
        assert_eq!(delay(&mut buffer, 20), 1600);
        let after: Vec<i32> = (21..10_000).map(|n| delay(&mut buffer, n)).collect();
        assert!(after.windows(2).all(|w| w[1] == w[0] || w[1] == w[0] - CUT));
        assert!((SLACK - CUT..=SLACK).contains(after.last().unwrap()), "{:?}", after.last());
    }

    proptest::proptest! {
        #[test]
        fn no_packets_break_the_timeline(packets: Vec<(u32, u16, u8)>) {
            let mut buffer = Buffer::default();
            let mut samples = [0; 160];
            for (timestamp, length, reads) in packets {
                buffer.insert(timestamp, (0..length).map(|n| n as i16));
                for _ in 0..reads % 8 {
                    assert!(buffer.read(&mut samples) <= 160);
                }
            }
        }
    }
}
