//! The daemon's carrier, callers and agents' phones, in one thread over loopback.
//!
//! One socket a side for SIP and one for RTP. Every packet that is to be relayed carries the time it
//! was sent; where it comes out in another codec, it is taken for the newest that went in. Each is
//! stamped by the kernel when it comes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use baton::base::Codec;
use baton::rtp::packet::HEADER;

use crate::far::{self, Head};
use crate::measure::wall_nanos;
use crate::socket::{self, Socket};
use crate::sound::{LONGEST, Voice};

pub const CARRIER: &str = "127.7.0.2";
pub const PHONES: &str = "127.7.0.3";

/// Calls to make.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub number: &'static str,
    pub per_second: u32,
    /// From answer to hang-up; `None` is until told.
    pub hold: Option<Duration>,
}

/// What happened since it was last taken. Times in milliseconds.
#[derive(Debug, Default)]
pub struct Tally {
    pub begun: usize,
    pub answered: usize,
    /// From the caller's INVITE to its 200.
    pub set_up: Vec<f64>,
    /// From the caller's INVITE to the one at the agent's phone.
    pub rung: Vec<f64>,
    pub refused: usize,
    /// Never answered, or hung up on by the daemon.
    pub lost: usize,
    pub repeated: usize,
    pub sent: usize,
    pub received: usize,
    /// One way, of relayed packets.
    pub delays: Vec<f64>,
    /// Lots of packets sent more than 5 ms after their time: the machine was too busy.
    pub late: usize,
    pub lots: usize,
}

pub struct Load {
    baton: SocketAddr,
    carrier: Socket,
    phones: Socket,
    caller_audio: Socket,
    phone_audio: Socket,
    calls: Vec<Call>,
    due: BinaryHeap<Reverse<(u64, usize, Act)>>,
    pub tally: Tally,
    /// What callers and phones speak.
    voices: [Voice; 2],
    talking: Vec<Talk>,
    /// Who is sent to, and so heard from, by port: the call, and which side of it.
    ports: HashMap<u16, (usize, usize)>,
    /// The next millisecond's lot of packets, and when.
    lot: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    /// Nothing was heard of it for so many milliseconds.
    Repeat(u64),
    HangUp,
}

#[derive(Debug)]
struct Call {
    number: &'static str,
    began: u64,
    state: State,
    hold: Option<Duration>,
    ok: Option<Head>,
    /// Where the daemon takes the phone's audio, and under which payload type.
    phone: Option<(u16, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Inviting,
    Up,
    Ending,
    Over,
}

/// A call's two sides: the caller's, then the phone's, if it speaks at all.
#[derive(Clone, Copy, Debug)]
pub struct Talk(pub [Option<Side>; 2]);

#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// Where it sends.
    to: SocketAddr,
    payload_type: u8,
    /// When it last did.
    spoke: u64,
}

const REPEAT: u64 = 500;
const GIVE_UP: u64 = 4000;

impl Load {
    pub fn new(baton: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            baton,
            carrier: Socket::bind(CARRIER)?,
            phones: Socket::bind(PHONES)?,
            caller_audio: Socket::bind_pair(CARRIER)?,
            phone_audio: Socket::bind_pair(PHONES)?,
            calls: vec![],
            due: BinaryHeap::new(),
            tally: Tally::default(),
            voices: [Codec::Pcmu; 2].map(Voice::of),
            talking: vec![],
            ports: HashMap::new(),
            lot: (0, 0),
        })
    }

    /// What phones speak from now on; callers speak PCMU.
    pub fn speak_at_phones(&mut self, codec: Codec) {
        self.voices[1] = Voice::of(codec);
    }

    /// What each side writes into its SDP, the caller and then the phone: address and port.
    pub fn audio(&self) -> [SocketAddr; 2] {
        [self.caller_audio.address, self.phone_audio.address]
    }

    /// Where agents' phones listen.
    pub fn phones(&self) -> SocketAddr {
        self.phones.address
    }

    pub fn up(&self) -> usize {
        self.calls.iter().filter(|call| call.state == State::Up).count()
    }

    /// Lets that much time pass, with calls coming at that rate.
    pub fn run(&mut self, span: Duration, rate: Option<Rate>) {
        let begin = wall_nanos();
        let end = begin + span.as_nanos() as u64;
        let interval = rate.map_or(u64::MAX, |rate| 1_000_000_000 / u64::from(rate.per_second));
        let mut next = rate.map_or(u64::MAX, |_| begin);
        self.lot.0 = begin;
        loop {
            let now = wall_nanos();
            if now >= end {
                return;
            }
            if let Some(rate) = rate
                && next <= now
            {
                self.invite(rate);
                next += interval;
            }
            while let Some(Reverse((at, n, act))) = self.due.peek().copied()
                && at <= now
            {
                self.due.pop();
                self.act(now, n, act);
            }
            if !self.talking.is_empty() && self.lot.0 <= now {
                self.speak(now);
            }
            let lot = if self.talking.is_empty() { u64::MAX } else { self.lot.0 };
            let act = self.due.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
            self.wait(end.min(next).min(lot).min(act));
            self.receive();
        }
    }

    /// Has every call that is up hung up, and waits until the daemon has agreed.
    pub fn hang_up(&mut self) {
        self.talking.clear();
        let up = (0..self.calls.len()).filter(|n| self.calls[*n].state == State::Up).collect::<Vec<_>>();
        for lot in up.chunks(20) {
            for n in lot {
                self.end(*n);
            }
            self.run(Duration::from_millis(40), None);
        }
        self.run(Duration::from_millis(300), None);
    }

    /// From now on both sides of every call that is up speak.
    pub fn talk(&mut self) {
        let side = |port, payload_type| Side::new(SocketAddr::new(self.baton.ip(), port), payload_type);
        let up = self.calls.iter().filter(|call| call.state == State::Up);
        let talk = |call: &Call| {
            let caller = side(call.ok.as_ref()?.port?, 0);
            let phone = call.phone.map(|(port, payload_type)| side(port, payload_type));
            Some(Talk([Some(caller), phone]))
        };
        let talking = up.filter_map(talk).collect();
        self.talk_over(talking);
    }

    /// These speak, and nobody else.
    pub fn talk_over(&mut self, talking: Vec<Talk>) {
        let sides = talking.iter().enumerate().flat_map(|(n, talk)| {
            let side = move |(side, it): (usize, &Option<Side>)| Some((it.as_ref()?.to.port(), (n, side)));
            talk.0.iter().enumerate().filter_map(side).collect::<Vec<_>>()
        });
        self.ports = sides.collect();
        self.talking = talking;
    }

    /// So many streams straight from one side to the other, to know what loopback itself takes.
    pub fn talk_to_itself(&mut self, streams: usize) {
        let talk = Talk([Some(Side::new(self.phone_audio.address, 0)), None]);
        self.talk_over(vec![talk; streams]);
    }

    pub fn take(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn invite(&mut self, rate: Rate) {
        let n = self.calls.len();
        let call = Call {
            number: rate.number,
            began: wall_nanos(),
            state: State::Inviting,
            hold: rate.hold,
            ok: None,
            phone: None,
        };
        self.due.push(Reverse((call.began + REPEAT * 1_000_000, n, Act::Repeat(REPEAT))));
        self.calls.push(call);
        self.tally.begun += 1;
        self.send_invite(n);
    }

    fn send_invite(&self, n: usize) {
        let us = self.carrier.address.to_string();
        let rtp = self.caller_audio.address.port();
        let text = far::invite(n, self.calls[n].number, &self.baton.to_string(), &us, rtp);
        self.carrier.send(text.as_bytes(), self.baton);
    }

    fn end(&mut self, n: usize) {
        self.calls[n].state = State::Ending;
        self.due.push(Reverse((wall_nanos() + REPEAT * 1_000_000, n, Act::Repeat(REPEAT))));
        self.send_bye(n);
    }

    fn send_bye(&self, n: usize) {
        if let Some(ok) = &self.calls[n].ok {
            self.carrier.send(far::bye(n, ok, &self.carrier.address.to_string()).as_bytes(), self.baton);
        }
    }

    fn act(&mut self, now: u64, n: usize, act: Act) {
        match (act, self.calls[n].state) {
            (Act::HangUp, State::Up) => self.end(n),
            (Act::Repeat(waited), State::Inviting | State::Ending) => {
                if waited >= GIVE_UP {
                    self.tally.lost += 1;
                    self.calls[n].state = State::Over;
                    return;
                }
                self.tally.repeated += 1;
                self.due.push(Reverse((now + 2 * waited * 1_000_000, n, Act::Repeat(2 * waited))));
                match self.calls[n].state {
                    State::Inviting => self.send_invite(n),
                    _ => self.send_bye(n),
                }
            }
            _ => {}
        }
    }

    /// A twentieth of the calls each millisecond, as calls come at any time.
    fn speak(&mut self, now: u64) {
        let (at, lot) = self.lot;
        self.tally.lots += 1;
        self.tally.late += usize::from(now - at > 5_000_000);
        self.lot = (at + 1_000_000, lot + 1);
        let frame = (lot / 20) as u32;
        let stamped = self.are_alike();
        let sockets = [&self.caller_audio, &self.phone_audio];
        for (n, talk) in self.talking.iter_mut().enumerate().skip((lot % 20) as usize).step_by(20) {
            for (which, side) in talk.0.iter_mut().enumerate() {
                let Some(side) = side else { continue };
                let mut packet = [0; LONGEST];
                let ssrc = 2 * n as u32 + which as u32;
                let length = self.voices[which].write(frame, ssrc, side.payload_type, &mut packet);
                side.spoke = wall_nanos();
                if stamped {
                    packet[HEADER..HEADER + 8].copy_from_slice(&side.spoke.to_be_bytes());
                }
                self.tally.sent += usize::from(sockets[which].send(&packet[..length], side.to));
            }
        }
    }

    /// Whether what comes is what went.
    fn are_alike(&self) -> bool {
        self.voices[0].codec == self.voices[1].codec
    }

    fn wait(&self, until: u64) {
        let sockets = [&self.carrier, &self.phones, &self.caller_audio, &self.phone_audio];
        socket::wait(&mut sockets.map(Socket::poll), until);
    }

    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..256 {
            let Some((length, _, stamp)) = self.carrier.receive(&mut buffer) else { break };
            if let Some(head) = Head::of(&buffer[..length]) {
                self.at_carrier(stamp, head);
            }
        }
        for _ in 0..256 {
            let Some((length, from, stamp)) = self.phones.receive(&mut buffer) else { break };
            if let Some(head) = Head::of(&buffer[..length]) {
                self.at_phones(stamp, from, &head);
            }
        }
        let stamped = self.are_alike();
        for (which, socket) in [&self.caller_audio, &self.phone_audio].into_iter().enumerate() {
            for _ in 0..1024 {
                let Some((length, from, stamp)) = socket.receive(&mut buffer) else { break };
                self.tally.received += 1;
                let sent = if stamped {
                    let sent = buffer[..length].get(HEADER..).and_then(|sent| sent.first_chunk());
                    sent.map(|sent| u64::from_be_bytes(*sent))
                } else {
                    let known = self.ports.get(&from.port()).filter(|(_, side)| *side == which);
                    known.and_then(|(n, _)| Some(self.talking.get(*n)?.0[1 - which]?.spoke))
                };
                let Some(sent) = sent else { continue };
                // Music carries no time of ours.
                let took = stamp.wrapping_sub(sent);
                if took < 1_000_000_000 {
                    self.tally.delays.push(took as f64 / 1e6);
                }
            }
        }
    }

    fn at_carrier(&mut self, stamp: u64, head: Head) {
        let Some(n) = head.call().filter(|n| *n < self.calls.len()) else { return };
        let us = self.carrier.address.to_string();
        let call = &mut self.calls[n];
        match (head.status(), head.method()) {
            (None, "BYE") => {
                if call.state == State::Up {
                    self.tally.lost += 1;
                }
                call.state = State::Over;
                self.carrier.send(far::respond(&head, 200, &us, None).as_bytes(), self.baton);
            }
            (Some(200..300), "INVITE") => {
                self.carrier.send(far::ack(n, &head, &us).as_bytes(), self.baton);
                if call.state == State::Inviting {
                    call.state = State::Up;
                    self.tally.answered += 1;
                    self.tally.set_up.push(stamp.saturating_sub(call.began) as f64 / 1e6);
                    if let Some(hold) = call.hold {
                        self.due.push(Reverse((stamp + hold.as_nanos() as u64, n, Act::HangUp)));
                    }
                    call.ok = Some(head);
                }
            }
            (Some(300..), "INVITE") => {
                if call.state == State::Inviting {
                    call.state = State::Over;
                    self.tally.refused += 1;
                }
                self.carrier
                    .send(far::refused(n, &head, call.number, &self.baton, &us).as_bytes(), self.baton);
            }
            (Some(200..), "BYE") => call.state = State::Over,
            _ => {}
        }
    }

    fn at_phones(&mut self, stamp: u64, from: SocketAddr, head: &Head) {
        let us = self.phones.address.to_string();
        let audio = self.phone_audio.address.port();
        match (head.status(), head.method()) {
            (None, "INVITE") => {
                let codec = self.voices[1].codec;
                let payload_type = head.payload_type(codec).unwrap_or(codec.payload_type());
                let body = far::sdp(&us, audio, codec, payload_type);
                self.phones.send(far::respond_with(head, 200, &us, &body).as_bytes(), from);
                let call = head.caller().and_then(|n| self.calls.get_mut(n));
                if let Some(call) = call.filter(|call| call.phone.is_none()) {
                    call.phone = head.port.map(|port| (port, payload_type));
                    self.tally.rung.push(stamp.saturating_sub(call.began) as f64 / 1e6);
                }
            }
            (None, "BYE" | "CANCEL") => {
                self.phones.send(far::respond(head, 200, &us, None).as_bytes(), from);
            }
            _ => {}
        }
    }
}

impl Side {
    pub const fn new(to: SocketAddr, payload_type: u8) -> Self {
        Self { to, payload_type, spoke: 0 }
    }
}
