//! A phone of any kind: any codec, any keys, on a socket of its leg's own or as a browser does.

use super::*;
use crate::audio::codec::{self, Decoder, Encoder};
use crate::base::{IceCredentials, MasterKey};
use crate::media::dtls::{self, Handshake};
use crate::rtp::srtp::{OVERHEAD, Protector, Unprotector};
use crate::rtp::stun::{self, Class, Draft, Password, Role, Transaction};

pub struct Phone {
    /// Which of ours it talks to.
    pub socket: SocketId,
    /// Where it sends from and listens.
    pub at: SocketAddr,
    pub codec: Codec,
    encoder: Encoder,
    /// Of its next packet.
    pub next: Header,
    pub srtp: Option<Srtp>,
    pub handshake: Option<Handshake>,
    /// What DTLS told.
    pub told: Vec<dtls::Event>,
    pub ice: Option<Ice>,
    /// Reports that came where its packets do.
    pub reports: usize,
    heard: Vec<Heard>,
}

pub struct Srtp {
    pub protector: Protector,
    pub unprotector: Unprotector,
}

/// A full agent's end, as far as a lite one notices.
pub struct Ice {
    /// Ours: the bay's.
    pub ours: IceCredentials,
    pub theirs: IceCredentials,
    transactions: u8,
    /// Checks that were answered as they should be.
    pub answered: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Plain,
    Nominating,
}

impl Phone {
    /// Of leg n, without keys.
    pub fn new(leg: u64, codec: Codec) -> Self {
        Self {
            socket: SocketId(leg as u32),
            at: peer(leg),
            codec,
            encoder: Encoder::new(codec, codec.rate()).expect("memory"),
            next: Header {
                marker: true,
                payload_type: codec.payload_type(),
                sequence: 0x7f00 + leg as u16,
                // Wraps after half a second.
                timestamp: 0u32.wrapping_sub(codec.clock() / 2),
                ssrc: 0x100 + leg as u32,
            },
            srtp: None,
            handshake: None,
            told: vec![],
            ice: None,
            reports: 0,
            heard: vec![],
        }
    }

    /// The same phone after it agreed on another codec: its stream goes on.
    pub fn recode(&mut self, codec: Codec) {
        self.codec = codec;
        self.encoder = Encoder::new(codec, codec.rate()).expect("memory");
        self.next.payload_type = codec.payload_type();
        self.next.marker = true;
    }

    pub fn rate(&self) -> Rate {
        self.codec.rate()
    }

    pub fn with_keys(self, ours: &MasterKey, theirs: &MasterKey) -> Self {
        Self { srtp: Some(Srtp::new(theirs, ours)), ..self }
    }

    /// A browser behind the shared port.
    pub fn with_ice(self, at: SocketAddr, ours: IceCredentials, theirs: IceCredentials) -> Self {
        let ice = Some(Ice { ours, theirs, transactions: 0, answered: 0 });
        Self { socket: SHARED, at, ice, ..self }
    }

    pub fn with_handshake(self, handshake: Handshake) -> Self {
        Self { handshake: Some(handshake), ..self }
    }

    pub fn encoder(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    /// Says this, any number of milliseconds of it in one packet: of Opus one frame of 20 ms.
    pub fn packet(&mut self, samples: &[i16]) -> Vec<u8> {
        let mut octets = [0; codec::MAX_OCTETS];
        let length = self.encoder.encode(samples, &mut octets);
        let span = samples.len() as u32 * (self.codec.clock() / 1000) / (self.rate().hz() / 1000);
        self.payload(&octets[..length], span)
    }

    /// A packet of its audio, `span` long by its RTP clock.
    pub fn payload(&mut self, payload: &[u8], span: u32) -> Vec<u8> {
        let bytes = [&self.next.to_bytes()[..], payload].concat();
        self.next.marker = false;
        self.next.sequence = self.next.sequence.wrapping_add(1);
        self.next.timestamp = self.next.timestamp.wrapping_add(span);
        self.seal(bytes)
    }

    pub fn seal(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if let Some(srtp) = &mut self.srtp {
            let length = bytes.len();
            bytes.resize(length + OVERHEAD, 0);
            let length = srtp.protector.protect(&mut bytes, length).expect("it may be protected");
            bytes.truncate(length);
        }
        bytes
    }

    pub fn send(&self, room: &mut Room, bytes: &[u8]) {
        room.come_by(self.socket, Channel::Rtp, self.at, bytes);
    }

    pub fn say(&mut self, room: &mut Room, samples: &[i16]) {
        let bytes = self.packet(samples);
        self.send(room, &bytes);
    }

    /// Says all of this by the clock, 20 ms at a time.
    pub fn speak(&mut self, room: &mut Room, samples: &[i16]) {
        for frame in samples.chunks_exact(self.rate().frame()) {
            self.say(room, frame);
            room.run(20);
        }
    }

    /// Takes what came and answers to it, until nothing comes.
    pub fn attend(&mut self, room: &mut Room) {
        loop {
            if let Some(handshake) = &mut self.handshake {
                while let Some(datagram) = handshake.poll_transmit() {
                    room.come_by(self.socket, Channel::Rtp, self.at, &datagram);
                }
            }
            let (socket, at) = (self.socket, self.at);
            let came = room.sent(|datagram| (datagram.socket, datagram.to) == (socket, at));
            if came.is_empty() {
                return;
            }
            came.into_iter().for_each(|datagram| self.take(datagram));
        }
    }

    /// What came to it.
    pub fn take(&mut self, Datagram { at, to, mut bytes, .. }: Datagram) {
        match stun::kind_of(&bytes).expect("what we send is of some kind") {
            stun::Kind::Stun => {
                let reply = stun::parse(&bytes).expect("a reply is STUN");
                let ice = self.ice.as_mut().expect("nobody else is answered");
                let password = Password::new(ice.ours.password.as_bytes());
                if reply.class == Class::Success && reply.is_signed_by(&password) {
                    assert_eq!(reply.mapped, Some(to));
                    ice.answered += 1;
                }
            }
            stun::Kind::Dtls => {
                let now = Mono::from_nanos(at * 1_000_000);
                let handshake = self.handshake.as_mut().expect("only who shakes hands is greeted");
                handshake.receive(now, &bytes);
                while let Some(event) = handshake.poll_event() {
                    if let dtls::Event::Connected { ours, theirs } = &event {
                        self.srtp = Some(Srtp::new(ours, theirs));
                    }
                    self.told.push(event);
                }
            }
            stun::Kind::Rtcp => {
                let srtp = self.srtp.as_mut().expect("only browsers share a port");
                srtp.unprotector.unprotect_rtcp(&mut bytes).expect("it is ours and new");
                self.reports += 1;
            }
            stun::Kind::Rtp => {
                if let Some(srtp) = &mut self.srtp {
                    let length = srtp.unprotector.unprotect(&mut bytes).expect("it is ours and new");
                    bytes.truncate(length);
                }
                let (header, payload) = packet::parse(&bytes).expect("what we send is RTP");
                self.heard.push(Heard { at, to, header, payload: bytes[payload].to_vec() });
            }
        }
    }

    /// The packets it heard since last asked.
    pub fn heard(&mut self, room: &mut Room) -> Vec<Heard> {
        self.attend(room);
        std::mem::take(&mut self.heard)
    }

    /// The same as sound, by a decoder that hears this only.
    pub fn listen(&mut self, room: &mut Room) -> Vec<i16> {
        let heard = self.heard(room);
        self.decode(&heard)
    }

    /// Sound by its timestamps: where nothing came there is silence.
    pub fn decode(&self, heard: &[Heard]) -> Vec<i16> {
        let rate = self.rate();
        let mut decoder = Decoder::new(self.codec, rate).expect("memory");
        let mut sound: Vec<i16> = vec![];
        let audio = |h: &&Heard| h.header.payload_type == self.codec.payload_type();
        let first = heard.iter().find(audio).map_or(0, |h| h.header.timestamp);
        for h in heard.iter().filter(audio) {
            let since = h.header.timestamp.wrapping_sub(first) as usize;
            let at = since * rate.hz() as usize / self.codec.clock() as usize;
            let mut samples = [0; 5760];
            let length = decoder.decode(&h.payload, &mut samples);
            sound.resize(sound.len().max(at + length), 0);
            sound[at..at + length].copy_from_slice(&samples[..length]);
        }
        sound
    }

    /// Asks whether it may use the path, and says so if it means to.
    pub fn check(&mut self, room: &mut Room, check: Check) {
        let bytes = self.ice.as_mut().expect("it is a browser").request(check);
        room.come_shared(self.at, &bytes);
        self.attend(room);
    }
}

impl Srtp {
    fn new(ours: &MasterKey, theirs: &MasterKey) -> Self {
        Self { protector: Protector::new(ours), unprotector: Unprotector::new(theirs) }
    }
}

impl Ice {
    pub fn request(&mut self, check: Check) -> Vec<u8> {
        self.transactions += 1;
        let mut buffer = [0; 256];
        let draft = Draft::new(&mut buffer, Class::Request, Transaction([self.transactions; 12]))
            .username(&self.ours.ufrag, &self.theirs.ufrag)
            .priority(0x6e00_00ff)
            .role(Role::Controlling(7));
        let draft = if check == Check::Nominating { draft.nominate() } else { draft };
        let password = Password::new(self.ours.password.as_bytes());
        draft.sign(&password).finish().expect("there is room").to_vec()
    }
}

/// How long a payload of the codec lasts, by its RTP clock.
pub fn span(codec: Codec, payload: &[u8]) -> u32 {
    codec::samples_of(codec, payload) * (codec.clock() / 8000)
}

/// One stream without a gap: every packet begins where the one before it ended.
pub fn assert_contiguous(codec: Codec, heard: &[Heard]) {
    for (n, h) in heard.iter().enumerate() {
        assert_eq!(h.header.payload_type, codec.payload_type());
        assert_eq!(h.header.marker, n == 0, "packet {n}");
    }
    for pair in heard.windows(2) {
        let (a, b) = (pair[0].header, pair[1].header);
        assert_eq!((b.ssrc, b.sequence), (a.ssrc, a.sequence.wrapping_add(1)));
        assert_eq!(b.timestamp.wrapping_sub(a.timestamp), span(codec, &pair[0].payload));
    }
}
