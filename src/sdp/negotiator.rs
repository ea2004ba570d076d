//! RFC 3264: the offers and answers of one leg, from the first to the last.
//!
//! What it spares the layer above: payload types stay what they were once (§8.3.2), `m=` lines
//! keep their places for ever (§8), the version of `o=` rises when and only when the text changes
//! (§8), and whatever fails leaves the last agreement standing.

use std::net::IpAddr;

use bytes::Bytes;
use sdp_types::{Attribute, Connection, Media, MediaType, Origin, Session, Time, TransportProto};

use super::description::{Description, Encoding, Events, Stream};
use super::{Agreed, Codec, Direction, Local, Preference, Refusal};

/// One dialog's side of offer/answer.
#[derive(Debug)]
pub struct Negotiator {
    local: Local,
    preference: Preference,
    /// The `m=` lines of the dialog, in their order; empty until the first description.
    lines: Vec<Line>,
    numbers: Numbers,
    /// What we said last: the next text is compared with it.
    said: Option<(Session, Bytes)>,
    offered: Option<Offered>,
    agreed: Option<Agreed>,
}

/// One `m=` line: a place that can be emptied but not taken out.
#[derive(Clone, Debug)]
enum Line {
    /// Our audio; its transport as first offered, for an answer must repeat it.
    Ours { proto: String },
    /// Answered with port 0.
    Off { media: String, proto: String, formats: String },
}

/// Which payload type means what in this dialog, as first said by either side.
#[derive(Clone, Debug, Default)]
struct Numbers {
    codecs: Vec<(Codec, u8)>,
    events: Option<u8>,
    /// Bit n: payload type n has had a meaning, and may be given no other.
    taken: u128,
}

/// Our last offer.
#[derive(Clone, Debug)]
struct Offered {
    want: Direction,
    codecs: Vec<Codec>,
    events: u8,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unanswered,
    /// Once at least: a provisional response may have carried what the final one repeats, or what
    /// another fork answers differently (RFC 6337 §3.1.1).
    Answered,
}

/// What our `m=` section is to say.
struct Saying<'a> {
    direction: Direction,
    codecs: &'a [(Codec, u8)],
    events: Option<(u8, Events)>,
    ptime_ms: u8,
}

/// The part of a peer's stream that is of use.
struct Match {
    codec: Codec,
    payload_type: u8,
    events: Option<u8>,
}

impl Negotiator {
    pub fn new(local: Local) -> Self {
        Self {
            local,
            preference: Preference::default(),
            lines: Vec::new(),
            numbers: Numbers::default(),
            said: None,
            offered: None,
            agreed: None,
        }
    }

    #[must_use]
    pub fn preferring(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    /// The last agreement: what the media are to follow.
    pub fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// Answers the peer's offer, the first or a later one, with as much of `want` as it allows.
    ///
    /// # Errors
    /// Nothing changes, and [`Refusal::status`] is what to respond with.
    pub fn answer(&mut self, offer: &[u8], want: Direction) -> Result<(Bytes, Agreed), Refusal> {
        if self.offered.as_ref().is_some_and(|offered| offered.stage == Stage::Unanswered) {
            return Err(Refusal::Glare);
        }
        let description = Description::read(offer)?;
        let (index, stream) = self.choose(&description)?;
        let found = self.best(&stream)?;
        let agreed = Agreed {
            remote: self.reachable(stream.rtp()?)?,
            remote_rtcp: stream.rtcp()?,
            codec: found.codec,
            payload_type: found.payload_type,
            events: found.events,
            events_in: found.events,
            ptime_ms: stream.ptime_ms(),
            direction: stream.direction().mirrored().and(want),
        };

        self.lines = description
            .streams()
            .enumerate()
            .map(|(i, stream)| Line::of(stream.media(), i == index))
            .collect();
        self.numbers.learn(&stream, &self.local.codecs, found.events);
        let text = self.say(&Saying {
            direction: agreed.direction,
            codecs: &[(agreed.codec, agreed.payload_type)],
            events: agreed.events.map(|number| (number, stream.events(number))),
            ptime_ms: agreed.ptime_ms,
        });
        self.offered = None;
        self.agreed = Some(agreed);
        Ok((text, agreed))
    }

    /// Offers: at first, in the response to an INVITE without one, or anew. Owed: [`accept`] of
    /// what comes back, or [`withdraw`].
    ///
    /// [`accept`]: Self::accept
    /// [`withdraw`]: Self::withdraw
    pub fn offer(&mut self, want: Direction) -> Bytes {
        if self.lines.is_empty() {
            self.lines.push(Line::Ours { proto: TransportProto::RtpAvp.to_string() });
        }
        let now = self.agreed.as_ref().map(|agreed| agreed.codec);
        let events = self.numbers.events();
        let mut codecs: Vec<(Codec, u8)> = self
            .local
            .codecs
            .iter()
            .filter_map(|codec| Some((*codec, self.numbers.number(*codec)?)))
            .collect();
        // Stable: what is in use comes first, so that a hold does not change the codec.
        codecs.sort_by_key(|(codec, _)| Some(*codec) != now);
        let text = self.say(&Saying {
            direction: want,
            codecs: &codecs,
            events: Some((events, Events::KeysAndFlash)),
            ptime_ms: self.agreed.as_ref().map_or(20, |agreed| agreed.ptime_ms),
        });
        let codecs = codecs.into_iter().map(|(codec, _)| codec).collect();
        self.offered = Some(Offered { want, codecs, events, stage: Stage::Unanswered });
        text
    }

    /// Takes the answer to our offer. May be called again with a later answer to the same offer.
    ///
    /// # Errors
    /// The agreement stays as it was; the offer counts as answered.
    pub fn accept(&mut self, answer: &[u8]) -> Result<Agreed, Refusal> {
        let offered = self.offered.as_mut().ok_or(Refusal::Unasked)?;
        offered.stage = Stage::Answered;
        let description = Description::read(answer)?;
        let index =
            self.lines.iter().position(|line| matches!(line, Line::Ours { .. })).ok_or(Refusal::NoAudio)?;
        let stream = description.stream(index).ok_or(Refusal::Malformed)?;
        usable(&stream)?;
        // The answerer's first is what it sends, and what we are to send (RFC 3264 §7).
        let found =
            pick(&stream, |encoding| offered.codecs.iter().copied().find(|codec| encoding.is(*codec)))
                .ok_or(Refusal::Codec)?;
        let agreed = Agreed {
            remote: stream.rtp()?,
            remote_rtcp: stream.rtcp()?,
            codec: found.codec,
            payload_type: found.payload_type,
            events: found.events,
            events_in: found.events.map(|_| offered.events),
            ptime_ms: stream.ptime_ms(),
            direction: stream.direction().mirrored().and(offered.want),
        };
        self.reachable(agreed.remote)?;
        self.numbers.learn(&stream, &self.local.codecs, agreed.events_in);
        self.agreed = Some(agreed);
        Ok(agreed)
    }

    /// Our offer was refused: the agreement stands as before.
    pub fn withdraw(&mut self) {
        self.offered = None;
    }

    /// The audio to answer: the place we already hold, else the first that can be used.
    fn choose<'d>(&self, description: &'d Description) -> Result<(usize, Stream<'d>), Refusal> {
        let held = self.lines.iter().position(|line| matches!(line, Line::Ours { .. }));
        let held = held.and_then(|index| Some((index, description.stream(index)?)));
        let mut fault = Refusal::NoAudio;
        for (index, stream) in held.into_iter().chain(description.streams().enumerate()) {
            match usable(&stream)
                .and_then(|()| self.best(&stream))
                .and_then(|_| self.reachable(stream.rtp()?))
            {
                Ok(_) => return Ok((index, stream)),
                // The first audio says best what is wrong.
                Err(why) if fault == Refusal::NoAudio => fault = why,
                Err(_) => {}
            }
        }
        Err(fault)
    }

    fn best(&self, stream: &Stream<'_>) -> Result<Match, Refusal> {
        let known = &self.local.codecs;
        match self.preference {
            Preference::Theirs => {
                pick(stream, |encoding| known.iter().copied().find(|codec| encoding.is(*codec)))
            }
            Preference::Ours => {
                known.iter().find_map(|codec| pick(stream, |encoding| encoding.is(*codec).then_some(*codec)))
            }
        }
        .ok_or(Refusal::Codec)
    }

    fn reachable(&self, remote: std::net::SocketAddr) -> Result<std::net::SocketAddr, Refusal> {
        let ip = remote.ip();
        if ip.is_unspecified() || ip.is_ipv4() == self.local.address.is_ipv4() {
            Ok(remote)
        } else {
            Err(Refusal::Address)
        }
    }

    /// Writes the description, and raises the version if it is not the one before.
    fn say(&mut self, saying: &Saying<'_>) -> Bytes {
        let version = self.said.as_ref().map_or(1, |(said, _)| said.origin.sess_version);
        let mut session = self.compose(saying, version);
        match &self.said {
            Some((said, text)) if *said == session => return text.clone(),
            Some(_) => session.origin.sess_version = version.saturating_add(1),
            None => {}
        }
        let mut text = Vec::with_capacity(512);
        session.write(&mut text).expect("writing to memory does not fail");
        let text = Bytes::from(text);
        self.said = Some((session, text.clone()));
        text
    }

    fn compose(&self, saying: &Saying<'_>, version: u64) -> Session {
        let address: IpAddr = self.local.address;
        let mut session = Session::new(Origin::with_ip_addr(self.local.session, version, address), "-");
        session.connection = Some(Connection::from_ip_addr(address));
        session.times.push(Time::new(0, 0));
        session.medias = self
            .lines
            .iter()
            .map(|line| match line {
                Line::Ours { proto } => saying.media(self.local.port, proto),
                Line::Off { media, proto, formats } => bare(media, 0, proto, formats.clone()),
            })
            .collect();
        session
    }
}

impl Line {
    fn of(media: &Media, ours: bool) -> Self {
        let proto = media.proto.clone();
        match ours {
            true => Self::Ours { proto },
            false => Self::Off { media: media.media.clone(), proto, formats: media.fmt.clone() },
        }
    }
}

impl Saying<'_> {
    fn media(&self, port: u16, proto: &str) -> Media {
        let numbers =
            self.codecs.iter().map(|(_, number)| *number).chain(self.events.map(|(number, _)| number));
        let formats: Vec<String> = numbers.map(|number| number.to_string()).collect();
        let mut media = bare("audio", port, proto, formats.join(" "));
        let mut says = |name: &str, value: String| media.attributes.push(Attribute::with_value(name, value));
        for (codec, number) in self.codecs {
            says("rtpmap", format!("{number} {}/{}", codec.name(), codec.clock()));
        }
        if let Some((number, events)) = self.events {
            let clock = self.codecs.first().map_or(8000, |(codec, _)| codec.clock());
            says("rtpmap", format!("{number} telephone-event/{clock}"));
            says("fmtp", format!("{number} {}", events.list()));
        }
        says("ptime", self.ptime_ms.to_string());
        media.attributes.push(Attribute::new(self.direction.name()));
        media
    }
}

impl Events {
    /// RFC 4733 §2.4.1.
    const fn list(self) -> &'static str {
        match self {
            Self::Keys => "0-15",
            Self::KeysAndFlash => "0-16",
        }
    }
}

impl Numbers {
    /// What the peer's stream gave numbers to.
    fn learn(&mut self, stream: &Stream<'_>, known: &[Codec], events: Option<u8>) {
        for encoding in stream.encodings() {
            self.taken |= 1 << encoding.payload_type;
            if let Some(codec) = known.iter().find(|codec| encoding.is(**codec))
                && self.codecs.iter().all(|(known, _)| known != codec)
            {
                self.codecs.push((*codec, encoding.payload_type));
            }
        }
        self.events = self.events.or(events);
    }

    /// The number to offer a codec with; `None` if its own already means something else here.
    fn number(&self, codec: Codec) -> Option<u8> {
        let given = self.codecs.iter().find(|(known, _)| *known == codec).map(|(_, number)| *number);
        given.or_else(|| Some(codec.payload_type()).filter(|number| self.taken & 1 << number == 0))
    }

    /// 101 by custom, else the first dynamic one that has meant nothing yet.
    fn events(&self) -> u8 {
        let free = |number: &u8| self.taken & 1 << number == 0;
        self.events.or_else(|| [101].into_iter().chain(96..=127).find(free)).unwrap_or(101)
    }
}

fn usable(stream: &Stream<'_>) -> Result<(), Refusal> {
    if !stream.is_audio() || !stream.is_on() {
        Err(Refusal::NoAudio)
    } else if !stream.is_plain_rtp() {
        Err(Refusal::Transport)
    } else {
        Ok(())
    }
}

/// The first encoding that `which` knows as a codec, and the telephone events of its clock.
fn pick(stream: &Stream<'_>, which: impl Fn(&Encoding<'_>) -> Option<Codec>) -> Option<Match> {
    let (codec, payload_type) =
        stream.encodings().find_map(|encoding| Some((which(&encoding)?, encoding.payload_type)))?;
    let events = stream.encodings().find(|encoding| encoding.is_events_for(codec));
    Some(Match { codec, payload_type, events: events.map(|encoding| encoding.payload_type) })
}

fn bare(media: &str, port: u16, proto: &str, formats: String) -> Media {
    let mut bare = Media::new(MediaType::Audio, port, TransportProto::RtpAvp, formats);
    media.clone_into(&mut bare.media);
    proto.clone_into(&mut bare.proto);
    bare
}
