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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sdp::field::OFFERS;

    const PLAIN: &str = "v=0\no=- 7 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n\
        m=audio 4000 RTP/AVP 0 8 126\na=rtpmap:126 telephone-event/8000\n";

    fn negotiator() -> Negotiator {
        Negotiator::new(Local {
            address: [10, 0, 0, 1].into(),
            port: 20_000,
            session: 1234,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
        })
    }

    fn tell(result: Result<Agreed, Refusal>) -> String {
        match result {
            Ok(a) => {
                let events = match (a.events, a.events_in) {
                    (Some(out), Some(into)) => format!("events {out}/{into}"),
                    (None, None) => "no events".into(),
                    odd => format!("{odd:?}"),
                };
                format!(
                    "{} as {}, {events}, {} ms, {} to {} and {}",
                    a.codec.name(),
                    a.payload_type,
                    a.ptime_ms,
                    a.direction.name(),
                    a.remote,
                    a.remote_rtcp
                )
            }
            Err(refusal) => format!("{} {refusal}", refusal.status()),
        }
    }

    fn answer(to: &mut Negotiator, offer: &str, want: Direction) -> String {
        let (text, _) = to.answer(offer.as_bytes(), want).unwrap();
        lines(&text)
    }

    /// What changes from one description to the next: the version and the media.
    fn lines(text: &Bytes) -> String {
        let text = std::str::from_utf8(text).unwrap();
        let version = text.split_whitespace().nth(3).unwrap();
        let media = text.lines().skip_while(|line| !line.starts_with("m="));
        std::iter::once(format!("version {version}"))
            .chain(media.map(str::to_owned))
            .collect::<Vec<_>>()
            .join(" | ")
    }

    #[test]
    fn offers_of_the_field_are_agreed_to_or_refused_for_what_they_are() {
        for (who, offer, verdict) in OFFERS {
            let variants =
                [offer.to_string(), offer.replace('\n', "\r\n"), format!("\u{feff}{offer}\r\n\r\n\0")];
            for offer in variants {
                let result = negotiator().answer(offer.as_bytes(), Direction::SendRecv);
                assert_eq!(tell(result.map(|(_, agreed)| agreed)), *verdict, "{who}: {offer:?}");
            }
        }
    }

    #[test]
    fn an_answer_says_one_codec_and_the_keys_by_the_offerers_numbers() {
        let (text, _) = negotiator().answer(PLAIN.as_bytes(), Direction::SendRecv).unwrap();
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "v=0\r\no=- 1234 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
             m=audio 20000 RTP/AVP 0 126\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:126 telephone-event/8000\r\n\
             a=fmtp:126 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        );
    }

    #[test]
    fn our_order_of_codecs_counts_when_configured() {
        let mut ours = negotiator().preferring(Preference::Ours);
        let (_, agreed) = ours.answer(PLAIN.as_bytes(), Direction::SendRecv).unwrap();
        assert_eq!(agreed.codec, Codec::Pcma);
    }

    #[test]
    fn the_hook_flash_is_answered_only_to_who_offers_it() {
        for (list, ours) in
            [("0-16", "0-16"), ("0-15,32-35", "0-15"), ("0-11,16", "0-16"), ("x-,16-0", "0-15")]
        {
            let offer = format!("{PLAIN}a=fmtp:126 {list}\n");
            let text = answer(&mut negotiator(), &offer, Direction::SendRecv);
            assert!(text.contains(&format!("a=fmtp:126 {ours} |")), "{list}: {text}");
        }
    }

    #[test]
    fn streams_we_have_no_use_for_keep_their_places_with_port_0() {
        // RFC 4317 §2.2's shape: audio and two videos, and a chat.
        let offer = "v=0\nc=IN IP4 192.0.2.1\nm=video 51372 RTP/AVP 31 32\nm=audio 49170 RTP/AVP 8\n\
            m=audio 49180 RTP/AVP 0\nm=message 7394 TCP/MSRP *\n";
        let mut ours = negotiator();
        let media = "m=video 0 RTP/AVP 31 32 | m=audio 20000 RTP/AVP 8 | a=rtpmap:8 PCMA/8000 | a=ptime:20 | \
            a=sendrecv | m=audio 0 RTP/AVP 0 | m=message 0 TCP/MSRP *";
        assert_eq!(answer(&mut ours, offer, Direction::SendRecv), format!("version 1 | {media}"));
        // RFC 3264 §8: a later offer of ours has as many, in the same order.
        let media = "m=video 0 RTP/AVP 31 32 | m=audio 20000 RTP/AVP 8 0 101 | a=rtpmap:8 PCMA/8000 | \
            a=rtpmap:0 PCMU/8000 | a=rtpmap:101 telephone-event/8000 | a=fmtp:101 0-16 | a=ptime:20 | a=sendonly | \
            m=audio 0 RTP/AVP 0 | m=message 0 TCP/MSRP *";
        assert_eq!(lines(&ours.offer(Direction::SendOnly)), format!("version 2 | {media}"));
    }

    #[test]
    fn a_held_peer_is_answered_in_kind_and_comes_back() {
        let mut ours = negotiator();
        let mut transcript = Vec::new();
        for (their_word, want) in [
            ("sendrecv", Direction::SendRecv),
            ("sendonly", Direction::SendRecv),
            ("inactive", Direction::SendRecv),
            ("recvonly", Direction::SendRecv),
            ("sendrecv", Direction::SendOnly),
            ("sendonly", Direction::SendOnly),
            ("sendrecv", Direction::SendRecv),
        ] {
            let offer = format!("{PLAIN}a={their_word}\n");
            let text = answer(&mut ours, &offer, want);
            transcript.push(format!("{their_word}, {}: {}", want.name(), text.rsplit(" | ").next().unwrap()));
        }
        assert_eq!(
            transcript,
            [
                "sendrecv, sendrecv: a=sendrecv",
                "sendonly, sendrecv: a=recvonly",
                "inactive, sendrecv: a=inactive",
                "recvonly, sendrecv: a=sendonly",
                "sendrecv, sendonly: a=sendonly",
                "sendonly, sendonly: a=inactive",
                "sendrecv, sendrecv: a=sendrecv",
            ]
        );
    }

    #[test]
    fn the_version_rises_when_and_only_when_the_text_changes() {
        let mut ours = negotiator();
        let version = |text: &str| text.split(" | ").next().unwrap().to_owned();
        let held = format!("{PLAIN}a=sendonly\n");
        let said: Vec<_> = [PLAIN, PLAIN, &held, &held, PLAIN]
            .map(|offer| version(&answer(&mut ours, offer, Direction::SendRecv)))
            .into_iter()
            .collect();
        assert_eq!(said, ["version 1", "version 1", "version 2", "version 2", "version 3"]);
        let hold = ours.offer(Direction::SendOnly);
        assert_eq!(version(&lines(&hold)), "version 4");
        assert_eq!(ours.offer(Direction::SendOnly), hold);
    }

    #[test]
    fn a_changed_offer_that_forgot_to_raise_its_version_is_still_read() {
        let mut ours = negotiator();
        answer(&mut ours, PLAIN, Direction::SendRecv);
        let moved = PLAIN.replace("4000", "4100");
        let (_, agreed) = ours.answer(moved.as_bytes(), Direction::SendRecv).unwrap();
        assert_eq!(agreed.remote.port(), 4100);
    }

    #[test]
    fn a_repeated_offer_changes_neither_the_agreement_nor_our_text() {
        let mut ours = negotiator();
        let first = ours.answer(PLAIN.as_bytes(), Direction::SendRecv).unwrap();
        assert_eq!(ours.answer(PLAIN.as_bytes(), Direction::SendRecv), Ok(first));
    }

    #[test]
    fn a_refused_reoffer_leaves_the_agreement_and_the_places() {
        let mut ours = negotiator();
        let (text, agreed) = ours.answer(PLAIN.as_bytes(), Direction::SendRecv).unwrap();
        for bad in ["v=0\nc=IN IP4 192.0.2.1\nm=video 1 RTP/AVP 31\nm=audio 4000 RTP/AVP 18\n", "", "v=0\n"] {
            assert!(ours.answer(bad.as_bytes(), Direction::Inactive).is_err());
            assert_eq!(ours.agreed(), Some(&agreed));
        }
        assert_eq!(ours.answer(PLAIN.as_bytes(), Direction::SendRecv), Ok((text, agreed)));
    }

    #[test]
    fn an_offer_of_ours_lists_what_we_like_and_takes_what_comes_first_in_the_answer() {
        let mut ours = negotiator();
        assert_eq!(
            lines(&ours.offer(Direction::SendRecv)),
            "version 1 | m=audio 20000 RTP/AVP 8 0 101 | a=rtpmap:8 PCMA/8000 | a=rtpmap:0 PCMU/8000 | \
             a=rtpmap:101 telephone-event/8000 | a=fmtp:101 0-16 | a=ptime:20 | a=sendrecv"
        );
        let answer = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n\
            a=ptime:40\na=rtcp:4009\n";
        assert_eq!(
            tell(ours.accept(answer.as_bytes())),
            "PCMU as 0, events 101/101, 40 ms, sendrecv to 192.0.2.1:4000 and 192.0.2.1:4009"
        );
    }

    #[test]
    fn an_answer_with_numbers_of_its_own_tells_both_ways_apart() {
        let mut ours = negotiator();
        ours.offer(Direction::SendRecv);
        let answer = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 8 96\na=rtpmap:96 telephone-event/8000\n";
        assert_eq!(
            tell(ours.accept(answer.as_bytes())),
            "PCMA as 8, events 96/101, 20 ms, sendrecv to 192.0.2.1:4000 and 192.0.2.1:4001"
        );
        // RFC 3264 §8.3.2: and we go on offering what we said first.
        assert!(lines(&ours.offer(Direction::SendOnly)).contains("RTP/AVP 8 0 101"));
    }

    #[test]
    fn our_reoffer_keeps_the_numbers_and_the_codec_of_the_peers_offer() {
        let mut ours = negotiator();
        let offer = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 112 101 126\na=rtpmap:112 PCMU/8000\n\
            a=rtpmap:101 opus/48000/2\na=rtpmap:126 telephone-event/8000\n";
        answer(&mut ours, offer, Direction::SendRecv);
        assert!(lines(&ours.offer(Direction::SendOnly)).contains("RTP/AVP 112 8 126"));

        let mut ours = negotiator();
        let no_events = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 8 101\na=rtpmap:101 opus/48000/2\n";
        answer(&mut ours, no_events, Direction::SendRecv);
        // 101 means Opus to this peer, so our keys need another number.
        assert!(lines(&ours.offer(Direction::SendRecv)).contains("RTP/AVP 8 0 96"));
    }

    #[test]
    fn an_answer_never_gets_more_than_was_offered() {
        for (want, theirs, agreed) in [
            (Direction::SendRecv, "sendrecv", Direction::SendRecv),
            (Direction::SendRecv, "recvonly", Direction::SendOnly),
            (Direction::SendOnly, "recvonly", Direction::SendOnly),
            (Direction::SendOnly, "sendrecv", Direction::SendOnly),
            (Direction::SendOnly, "inactive", Direction::Inactive),
            (Direction::Inactive, "sendrecv", Direction::Inactive),
        ] {
            let mut ours = negotiator();
            ours.offer(want);
            let answer = format!("v=0\nc=IN IP4 192.0.2.1\na={theirs}\nm=audio 4000 RTP/AVP 8\n");
            assert_eq!(ours.accept(answer.as_bytes()).map(|a| a.direction), Ok(agreed), "{want:?} {theirs}");
        }
    }

    #[test]
    fn a_bad_answer_is_refused_and_the_agreement_stands() {
        let mut ours = negotiator();
        let (_, agreed) = ours.answer(PLAIN.as_bytes(), Direction::SendRecv).unwrap();
        for (bad, why) in [
            ("v=0\nc=IN IP4 192.0.2.1\nm=audio 0 RTP/AVP 0\n", Refusal::NoAudio),
            ("v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/SAVP 0\n", Refusal::Transport),
            ("v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 18\n", Refusal::Codec),
            ("v=0\nc=IN IP6 2001:db8::1\nm=audio 4000 RTP/AVP 0\n", Refusal::Address),
            ("v=0\nc=IN IP4 192.0.2.1\n", Refusal::Malformed),
        ] {
            ours.offer(Direction::SendOnly);
            assert_eq!(ours.accept(bad.as_bytes()), Err(why));
            assert_eq!(ours.agreed(), Some(&agreed));
        }
    }

    #[test]
    fn an_answer_may_come_early_and_again_but_never_unasked() {
        let answer = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 8\n";
        let fork = "v=0\nc=IN IP4 192.0.2.2\nm=audio 4000 RTP/AVP 0\n";
        let mut ours = negotiator();
        assert_eq!(ours.accept(answer.as_bytes()), Err(Refusal::Unasked));
        ours.offer(Direction::SendRecv);
        assert_eq!(ours.accept(answer.as_bytes()).map(|a| a.codec), Ok(Codec::Pcma));
        assert_eq!(ours.accept(fork.as_bytes()).map(|a| a.codec), Ok(Codec::Pcmu));
        ours.answer(PLAIN.as_bytes(), Direction::SendRecv).unwrap();
        assert_eq!(ours.accept(answer.as_bytes()), Err(Refusal::Unasked));
    }

    #[test]
    fn offers_that_cross_are_refused_with_491_until_ours_is_settled() {
        let mut ours = negotiator();
        let (_, agreed) = ours.answer(PLAIN.as_bytes(), Direction::SendRecv).unwrap();
        ours.offer(Direction::SendOnly);
        let crossed = ours.answer(PLAIN.as_bytes(), Direction::SendRecv).unwrap_err();
        assert_eq!((crossed, crossed.status()), (Refusal::Glare, 491));
        ours.withdraw();
        assert_eq!(ours.answer(PLAIN.as_bytes(), Direction::SendRecv).map(|(_, a)| a), Ok(agreed));
    }

    #[test]
    fn a_leg_over_ipv6_agrees_over_ipv6() {
        let local =
            Local { address: "2001:db8::1".parse().unwrap(), port: 4, session: 1, codecs: vec![Codec::Pcmu] };
        let mut ours = Negotiator::new(local);
        let offer = "v=0\nc=IN IP6 2001:db8::2\nm=audio 6 RTP/AVP 0\na=rtcp:9 IN IP6 2001:db8::3\n";
        let (text, agreed) = ours.answer(offer.as_bytes(), Direction::SendRecv).unwrap();
        assert_eq!(
            tell(Ok(agreed)),
            "PCMU as 0, no events, 20 ms, sendrecv to [2001:db8::2]:6 and [2001:db8::3]:9"
        );
        assert!(std::str::from_utf8(&text).unwrap().contains("c=IN IP6 2001:db8::1\r\n"));
        let mapped = "v=0\nc=IN IP6 ::ffff:192.0.2.1\nm=audio 6 RTP/AVP 0\n";
        assert_eq!(ours.answer(mapped.as_bytes(), Direction::SendRecv), Err(Refusal::Address));
    }

    #[test]
    fn a_description_over_16_kib_is_not_read() {
        let long = format!("{PLAIN}a=x:{}\n", "x".repeat(crate::sdp::LONGEST));
        assert_eq!(negotiator().answer(long.as_bytes(), Direction::SendRecv), Err(Refusal::Malformed));
    }

    fn directions() -> impl Strategy<Value = Direction> {
        prop_oneof![
            Just(Direction::SendRecv),
            Just(Direction::SendOnly),
            Just(Direction::RecvOnly),
            Just(Direction::Inactive)
        ]
    }

    /// A field offer with some bytes overwritten, lines doubled and the end cut off.
    fn mutilated() -> impl Strategy<Value = Vec<u8>> {
        let strikes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        (0..OFFERS.len(), strikes, any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(
            |(which, strikes, doubled, cut)| {
                let mut lines: Vec<&str> = OFFERS[which].1.split_inclusive('\n').collect();
                if !lines.is_empty() {
                    let twice = lines[doubled.index(lines.len())];
                    lines.insert(doubled.index(lines.len()), twice);
                }
                let mut bytes = lines.concat().into_bytes();
                for (at, byte) in strikes {
                    if !bytes.is_empty() {
                        let at = at.index(bytes.len());
                        bytes[at] = byte;
                    }
                }
                bytes.truncate(cut.index(bytes.len() * 2 + 1));
                bytes
            },
        )
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), want in directions()) {
            let mut ours = negotiator();
            let _ = ours.answer(&bytes, want);
            ours.withdraw();
            ours.offer(want);
            let _ = ours.accept(&bytes);
        }

        #[test]
        fn every_answer_has_the_offers_lines_and_can_be_read(offers in prop::collection::vec((mutilated(), directions()), 1..4)) {
            let mut ours = negotiator();
            for (offer, want) in offers {
                let before = ours.agreed().copied();
                match ours.answer(&offer, want) {
                    Ok((text, agreed)) => {
                        let (theirs, read) = (Description::read(&offer).unwrap(), Description::read(&text).unwrap());
                        prop_assert_eq!(read.streams().count(), theirs.streams().count());
                        prop_assert_eq!(read.streams().filter(Stream::is_on).count(), 1);
                        let stream = read.streams().find(Stream::is_on).unwrap();
                        prop_assert_eq!(stream.direction(), agreed.direction);
                        prop_assert!(!agreed.direction.sends() || want.sends() && !agreed.remote.ip().is_unspecified());
                        prop_assert!(agreed.ptime_ms % 10 == 0 && (10..=60).contains(&agreed.ptime_ms));
                    }
                    Err(_) => prop_assert_eq!(ours.agreed().copied(), before),
                }
            }
        }

        #[test]
        fn two_of_us_always_agree(
            exchanges in prop::collection::vec((any::<bool>(), directions(), directions()), 1..8),
        ) {
            let mut far = negotiator();
            far.local.codecs.reverse();
            let mut sides = [negotiator(), far];
            for (first, offered, wanted) in exchanges {
                let [near, far] = &mut sides;
                let (offerer, answerer) = if first { (near, far) } else { (far, near) };
                let offer = offerer.offer(offered);
                let (answer, theirs) = answerer.answer(&offer, wanted).unwrap();
                let ours = offerer.accept(&answer).unwrap();
                prop_assert_eq!((ours.codec, ours.payload_type, ours.events), (theirs.codec, theirs.payload_type, theirs.events));
                prop_assert_eq!(ours.direction, theirs.direction.mirrored());
                prop_assert_eq!(ours.direction, offered.and(wanted.mirrored()));
            }
        }
    }
}
