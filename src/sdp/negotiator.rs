//! RFC 3264: the offers and answers of one leg, from the first to the last.
//!
//! What it spares the layer above: payload types stay what they were once (§8.3.2), `m=` lines
//! keep their places for ever (§8), the version of `o=` rises when and only when the text changes
//! (§8), the DTLS role stays (RFC 8842 §5.5), ICE restarts when the peer has it so (RFC 8839 §4.4.1.1.1), and
//! whatever fails leaves the last agreement standing.

use bytes::Bytes;
use sdp_types::{Attribute, Connection, Media, MediaType, Origin, Session, Time, TransportProto};

use super::crypto::Crypto;
use super::description::{COMFORT_NOISE, Description, Encoding, Keypad, Profile, Setup, Stream, channels};
use super::{
    Agreed, Demand, Direction, Events, Keys, Local, Metrics, Offering, Path, Preference, Reach, Refusal,
    Rtcp, Secrets, Web,
};
use crate::base::{Codec, DtlsRole, IceCredentials, Spare, Suite};

/// One dialog's side of offer/answer.
#[derive(Debug)]
pub struct Negotiator {
    local: Local,
    preference: Preference,
    /// For the peer's next ICE restart.
    fresh: Option<IceCredentials>,
    /// The `m=` lines of the dialog, in their order; empty until the first description.
    lines: Vec<Line>,
    numbers: Numbers,
    /// What we said last: the next text is compared with it.
    said: Option<(Session, Bytes)>,
    offered: Option<Offered>,
    agreed: Option<Agreed>,
}

/// One `m=` line: a place that can be emptied but not taken out. The `mid` is the first offerer's.
#[derive(Clone, Debug)]
enum Line {
    /// Our audio; its transport as first offered, for an answer must repeat it.
    Ours { proto: String, mid: Option<String>, bundle: Bundle },
    /// Answered with port 0.
    Off { media: String, proto: String, formats: String, mid: Option<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bundle {
    Grouped,
    Alone,
}

/// Which payload type means what in this dialog, as first said by either side.
#[derive(Clone, Debug, Default)]
struct Numbers {
    codecs: Vec<(Codec, u8)>,
    /// By their clock.
    events: Vec<(u32, u8)>,
    comfort_noise: Option<u8>,
    /// Bit n: payload type n has had a meaning, and may be given no other.
    taken: u128,
}

/// Our last offer.
#[derive(Clone, Debug)]
struct Offered {
    want: Direction,
    codecs: Vec<(Codec, u8)>,
    events: Vec<(u32, u8)>,
    cover: Cover,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unanswered,
    /// Once at least: a provisional response may have carried what the final one repeats, or what
    /// another fork answers differently (RFC 6337 §3.1.1).
    Answered,
}

/// How our `m=` section says that it is kept secret and reached.
#[derive(Clone, Debug)]
struct Cover {
    lock: Lock,
    ice: Option<IceCredentials>,
    mux: Mux,
}

#[derive(Clone, Debug)]
enum Lock {
    Open,
    /// The lines to choose from, or the one chosen.
    Sdes(Vec<Crypto>),
    Dtls(Setup),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mux {
    Said,
    Unsaid,
}

/// What our `m=` section is to say.
struct Saying<'a> {
    direction: Direction,
    codecs: &'a [(Codec, u8)],
    comfort_noise: Option<u8>,
    events: &'a [(u32, u8, Keypad)],
    /// Whether we like the peer's Opus to be silent in silence.
    dtx: bool,
    metrics: Metrics,
    ptime_ms: u8,
    cover: &'a Cover,
}

/// A stream of the peer's offer that is of use.
struct Found<'d> {
    index: usize,
    stream: Stream<'d>,
    sound: Sound,
    terms: Terms,
}

/// The part of a peer's formats that is of use.
struct Sound {
    codec: Codec,
    payload_type: u8,
    /// Clock and payload type.
    events: Option<(u32, u8)>,
    comfort_noise: Option<u8>,
}

/// How a peer's stream can be answered: kept secret and reached.
struct Terms {
    keys: Keys,
    path: Path,
    /// Of the `a=crypto` line taken.
    tag: u32,
}

/// Whether the best way to answer `offer` is [`Reach::Web`]: it brings ICE and DTLS, and RTCP on the
/// same port. A leg that is answered so needs no socket of its own.
pub fn asks_for_ice(offer: &[u8]) -> bool {
    Description::read(offer).is_ok_and(|description| {
        description.streams().any(|stream| {
            usable(&stream).is_ok()
                && matches!(stream.profile(), Some(Profile::Savp | Profile::Tls))
                && stream.fingerprint().is_some()
                && stream.ice().is_some()
                && stream.muxes()
        })
    })
}

impl Negotiator {
    pub fn new(local: Local) -> Self {
        Self {
            local,
            preference: Preference::default(),
            fresh: None,
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

    /// Our credentials for the peer's next ICE restart. To be given before each answer to a later
    /// offer over [`Reach::Web`]; they are kept until a restart takes them.
    pub fn provide(&mut self, fresh: IceCredentials) {
        self.fresh = Some(fresh);
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
        let Found { index, stream, sound, terms } = self.choose(&description)?;
        let Terms { keys, path, tag } = terms;
        let agreed = Agreed {
            codec: sound.codec,
            payload_type: sound.payload_type,
            payload_type_in: sound.payload_type,
            // We answer with one codec.
            spares: [None; 2],
            events: sound.events.map(|(clock, number)| Events {
                payload_type: number,
                payload_type_in: number,
                clock,
                aside: None,
            }),
            comfort_noise: sound.comfort_noise,
            opus: (sound.codec == Codec::Opus).then(|| stream.opus(sound.payload_type)),
            metrics: stream.metrics(),
            ptime_ms: stream.ptime_ms(sound.codec),
            direction: heard(&stream, &path).mirrored().and(want),
            path,
            keys,
        };

        if matches!(&agreed.path, Path::Ice { ours, .. } if self.fresh.as_ref() == Some(ours)) {
            self.fresh = None;
        }
        self.lines =
            description.streams().enumerate().map(|(i, stream)| Line::of(&stream, i == index)).collect();
        self.numbers.learn(&stream, &self.local.codecs);
        let events = agreed.events.map(|events| (events.clock, events.payload_type));
        let text = self.say(&Saying {
            direction: agreed.direction,
            codecs: &[(agreed.codec, agreed.payload_type)],
            comfort_noise: agreed.comfort_noise,
            events: events.map(|(clock, number)| (clock, number, stream.keypad(number))).as_slice(),
            dtx: agreed.opus.is_some_and(|opus| opus.dtx),
            metrics: agreed.metrics,
            ptime_ms: agreed.ptime_ms,
            cover: &Cover::answering(&agreed, tag),
        });
        self.offered = None;
        self.agreed = Some(agreed.clone());
        Ok((text, agreed))
    }

    /// Offers: at first, in the response to an INVITE without one, or anew. Owed: [`accept`] of
    /// what comes back, or [`withdraw`].
    ///
    /// [`accept`]: Self::accept
    /// [`withdraw`]: Self::withdraw
    pub fn offer(&mut self, want: Direction) -> Bytes {
        if self.lines.is_empty() {
            self.lines.push(Line::first(&self.local.reach));
        }
        let now = self.agreed.as_ref().map(|agreed| agreed.codec);
        let mut codecs: Vec<(Codec, u8)> = Vec::with_capacity(self.local.codecs.len());
        for codec in &self.local.codecs {
            codecs.extend(self.numbers.codec(*codec).map(|number| (*codec, number)));
        }
        // Stable: what is in use comes first, so that a hold does not change the codec.
        codecs.sort_by_key(|(codec, _)| Some(*codec) != now);
        let mut events: Vec<(u32, u8)> = Vec::with_capacity(2);
        for (codec, _) in &codecs {
            if events.iter().all(|(clock, _)| *clock != codec.clock()) {
                events.extend(self.numbers.events(codec.clock()).map(|number| (codec.clock(), number)));
            }
        }
        let quiet = codecs.iter().any(|(codec, _)| knows_comfort_noise(*codec));
        let comfort_noise = quiet.then(|| self.numbers.comfort_noise()).flatten();
        let cover = match &self.agreed {
            Some(agreed) => Cover::reoffering(agreed),
            None => Cover::offering(&self.local.reach),
        };
        let agreed = self.agreed.as_ref();
        let all = |(clock, number): &(u32, u8)| (*clock, *number, Keypad::KeysAndFlash);
        let text = self.say(&Saying {
            direction: want,
            codecs: &codecs,
            comfort_noise,
            events: &events.iter().map(all).collect::<Vec<_>>(),
            dtx: agreed.and_then(|agreed| agreed.opus).is_some_and(|opus| opus.dtx),
            metrics: agreed.map(|agreed| agreed.metrics).unwrap_or_default(),
            ptime_ms: agreed.map_or(20, |agreed| agreed.ptime_ms),
            cover: &cover,
        });
        self.offered = Some(Offered { want, codecs, events, cover, stage: Stage::Unanswered });
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
        let ours = |line: &Line| matches!(line, Line::Ours { .. });
        let index = self.lines.iter().position(ours).ok_or(Refusal::NoAudio)?;
        let stream = description.stream(index).ok_or(Refusal::Malformed)?;
        usable(&stream)?;
        let offered = self.offered.as_ref().ok_or(Refusal::Unasked)?;
        let keys = self.keys_taken(&stream, offered)?;
        let path = self.path_taken(&stream, offered)?;
        // The answerer's first is what it sends, and what we are to send (RFC 3264 §7).
        let known = || offered.codecs.iter().map(|(codec, _)| *codec);
        let sound =
            pick(&stream, |encoding| known().find(|codec| encoding.is(*codec))).ok_or(Refusal::Codec)?;
        let number_in = |(codec, number): &(Codec, u8)| (*codec == sound.codec).then_some(*number);
        let spare = |(codec, received): &(Codec, u8)| {
            let other = *codec != sound.codec && codec.clock() == sound.codec.clock();
            let sent = stream.encodings().find(|encoding| other && encoding.is(*codec))?.payload_type;
            Some(Spare { codec: *codec, sent, received: *received })
        };
        let mut found = offered.codecs.iter().filter_map(spare);
        let spares = [(); 2].map(|()| found.next());
        let events = sound.events.and_then(|(clock, number)| {
            let (_, number_in) = offered.events.iter().find(|(offered, _)| *offered == clock)?;
            let also = |other: u32| stream.encodings().any(|encoding| encoding.is_events_at(other));
            let aside = offered.events.iter().find(|(other, _)| *other != clock && also(*other));
            let aside = aside.map(|(_, number)| *number);
            Some(Events { payload_type: number, payload_type_in: *number_in, clock, aside })
        });
        let agreed = Agreed {
            codec: sound.codec,
            payload_type: sound.payload_type,
            payload_type_in: offered.codecs.iter().find_map(number_in).unwrap_or(sound.payload_type),
            spares,
            events,
            comfort_noise: sound.comfort_noise,
            opus: (sound.codec == Codec::Opus).then(|| stream.opus(sound.payload_type)),
            metrics: stream.metrics(),
            ptime_ms: stream.ptime_ms(sound.codec),
            direction: heard(&stream, &path).mirrored().and(offered.want),
            path,
            keys,
        };
        self.numbers.learn(&stream, &self.local.codecs);
        self.agreed = Some(agreed.clone());
        Ok(agreed)
    }

    /// Our offer was refused: the agreement stands as before.
    pub fn withdraw(&mut self) {
        self.offered = None;
    }

    /// The audio to answer: the place we already hold, else the most secret that can be used, the
    /// first of several.
    fn choose<'d>(&self, description: &'d Description) -> Result<Found<'d>, Refusal> {
        let held = self.lines.iter().position(|line| matches!(line, Line::Ours { .. }));
        let held = held.and_then(|index| Some(self.look(index, description.stream(index)?)));
        let mut fault = match held {
            Some(Ok(found)) => return Ok(found),
            Some(Err(why)) => why,
            None => Refusal::NoAudio,
        };
        let mut best: Option<Found<'d>> = None;
        for (index, stream) in description.streams().enumerate() {
            match self.look(index, stream) {
                Ok(found) if best.as_ref().is_none_or(|best| best.terms.rank() < found.terms.rank()) => {
                    best = Some(found);
                }
                // The first audio says best what is wrong.
                Err(why) if fault == Refusal::NoAudio => fault = why,
                Ok(_) | Err(_) => {}
            }
        }
        best.ok_or(fault)
    }

    fn look<'d>(&self, index: usize, stream: Stream<'d>) -> Result<Found<'d>, Refusal> {
        usable(&stream)?;
        let terms = self.terms(&stream)?;
        let known = &self.local.codecs;
        let sound = match self.preference {
            Preference::Theirs => {
                pick(&stream, |encoding| known.iter().copied().find(|codec| encoding.is(*codec)))
            }
            Preference::Ours => {
                known.iter().find_map(|codec| pick(&stream, |encoding| encoding.is(*codec).then_some(*codec)))
            }
        };
        Ok(Found { index, stream, sound: sound.ok_or(Refusal::Codec)?, terms })
    }

    /// How an offered stream can be answered.
    fn terms(&self, stream: &Stream<'_>) -> Result<Terms, Refusal> {
        let profile = stream.profile().ok_or(Refusal::Transport)?;
        match &self.local.reach {
            Reach::Plain(_) if profile == Profile::Avp => {
                Ok(Terms { keys: Keys::None, path: self.symmetric(stream, Mux::Said)?, tag: 0 })
            }
            Reach::Plain(_) => Err(Refusal::Transport),
            Reach::Keyed { secrets, demand, .. } => {
                let dtls = (profile != Profile::Avp).then(|| self.handshake(stream).ok()).flatten();
                let sdes = if profile == Profile::Tls { None } else { stream.cryptos().next() };
                let (keys, tag) = match (dtls, sdes) {
                    (Some(keys), _) => (keys, 0),
                    (None, Some(Crypto { tag, key })) => {
                        (Keys::Sdes { ours: secrets.seed.key(key.suite()), theirs: key }, tag)
                    }
                    (None, None) if profile == Profile::Avp && *demand == Demand::Any => (Keys::None, 0),
                    (None, None) => return Err(Refusal::Keys),
                };
                Ok(Terms { keys, path: self.symmetric(stream, Mux::Said)?, tag })
            }
            Reach::Web(web) => {
                if profile == Profile::Avp || !stream.muxes() {
                    return Err(Refusal::Transport);
                }
                let keys = self.handshake(stream)?;
                let theirs = stream.ice().ok_or(Refusal::Transport)?;
                let ours = match self.agreed.as_ref().map(|agreed| &agreed.path) {
                    Some(Path::Ice { ours, theirs: before }) if *before == theirs => ours.clone(),
                    // RFC 8839 §4.4.1.1.1: new ones of theirs ask for new ones of ours.
                    Some(Path::Ice { .. }) => self.fresh.clone().ok_or(Refusal::Spent)?,
                    _ => web.ice.clone(),
                };
                Ok(Terms { keys, path: Path::Ice { ours, theirs }, tag: 0 })
            }
        }
    }

    /// RFC 8842 §5.3: the offerer's wish counts; left the choice, we wait for its handshake.
    fn handshake(&self, stream: &Stream<'_>) -> Result<Keys, Refusal> {
        let theirs = stream.fingerprint().ok_or(Refusal::Keys)?;
        let role = match (stream.setup(Setup::Actpass), self.agreed.as_ref().map(|agreed| &agreed.keys)) {
            // A role once taken stays for as long as the association does.
            (Setup::Actpass, Some(Keys::Dtls { theirs: before, role })) if *before == theirs => *role,
            (Setup::Actpass | Setup::Active, _) => DtlsRole::Passive,
            (Setup::Passive, _) => DtlsRole::Active,
            (Setup::Never, _) => return Err(Refusal::Transport),
        };
        Ok(Keys::Dtls { theirs, role })
    }

    /// What an answer makes of the keys we offered.
    fn keys_taken(&self, stream: &Stream<'_>, offered: &Offered) -> Result<Keys, Refusal> {
        let profile = stream.profile().ok_or(Refusal::Transport)?;
        let said = self.lines.iter().find_map(Line::profile);
        let demand = match self.local.reach {
            Reach::Keyed { demand, .. } => demand,
            Reach::Plain(_) | Reach::Web(_) => Demand::Any,
        };
        match &offered.cover.lock {
            Lock::Open if profile == Profile::Avp => Ok(Keys::None),
            Lock::Sdes(lines) if profile != Profile::Tls => {
                let taken = stream.cryptos().find_map(|theirs| {
                    let same =
                        |ours: &&Crypto| ours.tag == theirs.tag && ours.key.suite() == theirs.key.suite();
                    let ours = lines.iter().find(same)?.key.clone();
                    Some(Keys::Sdes { ours, theirs: theirs.key })
                });
                let left = said == Some(Profile::Avp) && profile == Profile::Avp && demand == Demand::Any;
                taken.or_else(|| left.then_some(Keys::None)).ok_or(Refusal::Keys)
            }
            Lock::Dtls(_) if profile != Profile::Avp => {
                let role = match stream.setup(Setup::Passive) {
                    Setup::Active => DtlsRole::Passive,
                    Setup::Passive => DtlsRole::Active,
                    Setup::Actpass | Setup::Never => return Err(Refusal::Transport),
                };
                Ok(Keys::Dtls { theirs: stream.fingerprint().ok_or(Refusal::Keys)?, role })
            }
            Lock::Open | Lock::Sdes(_) | Lock::Dtls(_) => Err(Refusal::Transport),
        }
    }

    /// What an answer makes of the way we offered.
    fn path_taken(&self, stream: &Stream<'_>, offered: &Offered) -> Result<Path, Refusal> {
        match &offered.cover.ice {
            Some(ours) if stream.muxes() => {
                Ok(Path::Ice { ours: ours.clone(), theirs: stream.ice().ok_or(Refusal::Transport)? })
            }
            Some(_) => Err(Refusal::Transport),
            None => self.symmetric(stream, offered.cover.mux),
        }
    }

    /// From socket to socket. `mux` is whether we say `a=rtcp-mux`, too.
    fn symmetric(&self, stream: &Stream<'_>, mux: Mux) -> Result<Path, Refusal> {
        let remote = stream.rtp()?;
        // Who counts on ICE may not know yet where it is: that is no hold.
        let nowhere = remote.ip().is_unspecified() && stream.ice().is_some();
        if nowhere || !remote.ip().is_unspecified() && remote.is_ipv4() != self.local.reach.ip().is_ipv4() {
            return Err(Refusal::Address);
        }
        let muxed = mux == Mux::Said && stream.muxes();
        let rtcp = if muxed { Rtcp::Muxed } else { Rtcp::Apart(stream.rtcp()?) };
        Ok(Path::Symmetric { remote, rtcp })
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
        let mut text = Vec::with_capacity(1024);
        session.write(&mut text).expect("writing to memory does not fail");
        let text = Bytes::from(text);
        self.said = Some((session, text.clone()));
        text
    }

    fn compose(&self, saying: &Saying<'_>, version: u64) -> Session {
        let address = self.local.reach.ip();
        let mut session = Session::new(Origin::with_ip_addr(self.local.session, version, address), "-");
        session.connection = Some(Connection::from_ip_addr(address));
        session.times.push(Time::new(0, 0));
        if saying.cover.ice.is_some() {
            // RFC 8445 §2.5: we can be reached from everywhere and only answer checks.
            session.attributes.push(Attribute::new("ice-lite"));
        }
        for line in &self.lines {
            if let Line::Ours { mid: Some(mid), bundle: Bundle::Grouped, .. } = line {
                session.attributes.push(Attribute::with_value("group", format!("BUNDLE {mid}")));
            }
            session.medias.push(match line {
                Line::Ours { proto, mid, .. } => saying.media(&self.local, proto, mid.as_deref()),
                Line::Off { media, proto, formats, mid } => {
                    let mut off = bare(media, 0, proto, formats.clone());
                    off.attributes.extend(mid.as_ref().map(|mid| Attribute::with_value("mid", mid)));
                    off
                }
            });
        }
        session
    }
}

impl Line {
    fn of(stream: &Stream<'_>, ours: bool) -> Self {
        let media = stream.media();
        let (proto, mid) = (media.proto.clone(), stream.mid().map(str::to_owned));
        // RFC 9143 §9.3: who shares a port shares it with RTCP.
        let bundle = if stream.is_bundled() && stream.muxes() { Bundle::Grouped } else { Bundle::Alone };
        match ours {
            true => Self::Ours { proto, mid, bundle },
            false => Self::Off { media: media.media.clone(), proto, formats: media.fmt.clone(), mid },
        }
    }

    /// Where we offer first.
    fn first(reach: &Reach) -> Self {
        let apart = |proto: &str| Self::Ours { proto: proto.to_owned(), mid: None, bundle: Bundle::Alone };
        match reach {
            Reach::Plain(_) => apart("RTP/AVP"),
            Reach::Keyed { offering, .. } => match offering {
                Offering::Plain | Offering::BestEffort => apart("RTP/AVP"),
                Offering::Sdes => apart("RTP/SAVP"),
                Offering::Dtls => apart("UDP/TLS/RTP/SAVP"),
            },
            Reach::Web(_) => Self::Ours {
                proto: "UDP/TLS/RTP/SAVPF".to_owned(),
                mid: Some("0".to_owned()),
                bundle: Bundle::Grouped,
            },
        }
    }

    /// Of our audio.
    fn profile(&self) -> Option<Profile> {
        match self {
            Self::Ours { proto, .. } => Profile::named(proto),
            Self::Off { .. } => None,
        }
    }
}

impl Terms {
    /// RFC 5763 before RFC 4568, whose keys every proxy on the way can read, before nothing.
    const fn rank(&self) -> u8 {
        match self.keys {
            Keys::None => 0,
            Keys::Sdes { .. } => 1,
            Keys::Dtls { .. } => 2,
        }
    }
}

impl Cover {
    /// Before anything is agreed.
    fn offering(reach: &Reach) -> Self {
        let (lock, ice, mux) = match reach {
            Reach::Plain(_) | Reach::Keyed { offering: Offering::Plain, .. } => {
                (Lock::Open, None, Mux::Unsaid)
            }
            Reach::Keyed { offering: Offering::BestEffort | Offering::Sdes, secrets, .. } => {
                let line = |(tag, suite)| Crypto { tag, key: secrets.seed.key(suite) };
                (Lock::Sdes((1..).zip(Suite::ALL).map(line).collect()), None, Mux::Unsaid)
            }
            // Without it RTCP would need a handshake of its own (RFC 5764 §3).
            Reach::Keyed { offering: Offering::Dtls, .. } => (Lock::Dtls(Setup::Actpass), None, Mux::Said),
            Reach::Web(Web { ice, .. }) => (Lock::Dtls(Setup::Actpass), Some(ice.clone()), Mux::Said),
        };
        Self { lock, ice, mux }
    }

    /// The same again: a hold must change neither keys nor way.
    fn reoffering(agreed: &Agreed) -> Self {
        match agreed.keys {
            // RFC 8842 §5.5: the choice is offered anew, and the answerer keeps its role.
            Keys::Dtls { .. } => Self { lock: Lock::Dtls(Setup::Actpass), ..Self::answering(agreed, 1) },
            Keys::None | Keys::Sdes { .. } => Self::answering(agreed, 1),
        }
    }

    /// As agreed; `tag` names the line of keys.
    fn answering(agreed: &Agreed, tag: u32) -> Self {
        let lock = match &agreed.keys {
            Keys::None => Lock::Open,
            Keys::Sdes { ours, .. } => Lock::Sdes(vec![Crypto { tag, key: ours.clone() }]),
            Keys::Dtls { role: DtlsRole::Active, .. } => Lock::Dtls(Setup::Active),
            Keys::Dtls { role: DtlsRole::Passive, .. } => Lock::Dtls(Setup::Passive),
        };
        let (ice, mux) = match &agreed.path {
            Path::Ice { ours, .. } => (Some(ours.clone()), Mux::Said),
            Path::Symmetric { rtcp: Rtcp::Muxed, .. } => (None, Mux::Said),
            Path::Symmetric { rtcp: Rtcp::Apart(_), .. } => (None, Mux::Unsaid),
        };
        Self { lock, ice, mux }
    }
}

impl Saying<'_> {
    fn media(&self, local: &Local, proto: &str, mid: Option<&str>) -> Media {
        let codecs = self.codecs.iter().map(|(_, number)| *number);
        let numbers =
            codecs.chain(self.comfort_noise).chain(self.events.iter().map(|(_, number, _)| *number));
        let formats: Vec<String> = numbers.map(|number| number.to_string()).collect();
        let address = local.reach.address();
        let mut media = bare("audio", address.port(), proto, formats.join(" "));
        let flag = |name: &str| Attribute::new(name);
        let line = |name: &str, value: String| Attribute::with_value(name, value);
        let says = &mut media.attributes;
        says.extend(mid.map(|mid| line("mid", mid.to_owned())));
        for (codec, number) in self.codecs {
            let channels = if channels(*codec) == 2 { "/2" } else { "" };
            says.push(line("rtpmap", format!("{number} {}/{}{channels}", codec.name(), codec.clock())));
            if *codec == Codec::Opus {
                let dtx = u8::from(self.dtx);
                says.push(line("fmtp", format!("{number} minptime=10;useinbandfec=1;usedtx={dtx}")));
            }
        }
        says.extend(self.comfort_noise.map(|number| line("rtpmap", format!("{number} CN/8000"))));
        for (clock, number, keypad) in self.events {
            says.push(line("rtpmap", format!("{number} telephone-event/{clock}")));
            says.push(line("fmtp", format!("{number} {}", keypad.list())));
        }
        says.push(line("ptime", self.ptime_ms.to_string()));
        says.push(flag(self.direction.name()));
        if self.metrics == Metrics::Asked {
            says.push(line("rtcp-xr", "voip-metrics".to_owned()));
        }

        match (&self.cover.lock, &local.reach) {
            (Lock::Sdes(cryptos), _) => {
                says.extend(cryptos.iter().map(|crypto| line("crypto", crypto.to_string())));
            }
            (
                Lock::Dtls(setup),
                Reach::Keyed { secrets: Secrets { fingerprint, .. }, .. }
                | Reach::Web(Web { fingerprint, .. }),
            ) => {
                says.push(line("fingerprint", format!("sha-256 {fingerprint}")));
                says.push(line("setup", setup.name().to_owned()));
            }
            (Lock::Open | Lock::Dtls(_), _) => {}
        }
        if self.cover.mux == Mux::Said {
            says.push(flag("rtcp-mux"));
        }
        if let Some(IceCredentials { ufrag, password }) = &self.cover.ice {
            let (ip, port, Local { ssrc, cname, .. }) = (address.ip(), address.port(), local);
            says.push(line("ice-ufrag", ufrag.to_string()));
            says.push(line("ice-pwd", password.to_string()));
            // RFC 8445 §5.1.2.1: type preference 126, the one address, the one component.
            says.push(line("candidate", format!("1 1 UDP 2130706431 {ip} {port} typ host")));
            says.push(flag("end-of-candidates"));
            // RFC 8830: without a name for the stream, a browser's `ontrack` brings none.
            says.push(line("msid", format!("{cname} audio")));
            says.push(line("ssrc", format!("{ssrc} cname:{cname}")));
        }
        media
    }
}

impl Keypad {
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
    fn learn(&mut self, stream: &Stream<'_>, known: &[Codec]) {
        for encoding in stream.encodings() {
            let number = encoding.payload_type;
            self.taken |= 1 << number;
            if let Some(codec) = known.iter().find(|codec| encoding.is(**codec))
                && self.codecs.iter().all(|(known, _)| known != codec)
            {
                self.codecs.push((*codec, number));
            }
            for clock in [8_000, 48_000] {
                if encoding.is_events_at(clock) && self.events.iter().all(|(known, _)| *known != clock) {
                    self.events.push((clock, number));
                }
            }
            if encoding.is_comfort_noise() {
                self.comfort_noise.get_or_insert(number);
            }
        }
    }

    /// The number to offer a codec with; `None` if its own already means something else here.
    fn codec(&mut self, codec: Codec) -> Option<u8> {
        let given = self.codecs.iter().find(|(known, _)| *known == codec).map(|(_, number)| *number);
        given.or_else(|| {
            let number = match codec {
                Codec::Opus => self.free(codec.payload_type()),
                Codec::G722 | Codec::Pcma | Codec::Pcmu => self.fixed(codec.payload_type()),
            }?;
            self.codecs.push((codec, number));
            Some(number)
        })
    }

    /// 101 by custom; 110 at the clock of Opus, as browsers have it.
    fn events(&mut self, clock: u32) -> Option<u8> {
        let given = self.events.iter().find(|(known, _)| *known == clock).map(|(_, number)| *number);
        given.or_else(|| {
            let number = self.free(if clock == 48_000 { 110 } else { 101 })?;
            self.events.push((clock, number));
            Some(number)
        })
    }

    fn comfort_noise(&mut self) -> Option<u8> {
        self.comfort_noise = self.comfort_noise.or_else(|| self.fixed(COMFORT_NOISE));
        self.comfort_noise
    }

    fn fixed(&mut self, number: u8) -> Option<u8> {
        let free = self.taken & 1 << number == 0;
        self.taken |= 1 << number;
        free.then_some(number)
    }

    /// `custom`, else the first dynamic one that has meant nothing yet.
    fn free(&mut self, custom: u8) -> Option<u8> {
        let number = [custom].into_iter().chain(96..=127).find(|number| self.taken & 1 << number == 0)?;
        self.fixed(number)
    }
}

fn usable(stream: &Stream<'_>) -> Result<(), Refusal> {
    if stream.is_audio() && stream.is_on() { Ok(()) } else { Err(Refusal::NoAudio) }
}

/// What the peer says of its direction. A held peer of RFC 2543 gives an unspecified address and
/// says nothing: it does not receive (RFC 3264 §8.4).
fn heard(stream: &Stream<'_>, path: &Path) -> Direction {
    match path {
        Path::Symmetric { remote, .. } if remote.ip().is_unspecified() => {
            stream.direction().and(Direction::SendOnly)
        }
        Path::Symmetric { .. } | Path::Ice { .. } => stream.direction(),
    }
}

/// The first encoding that `which` knows as a codec, and what goes with it.
fn pick(stream: &Stream<'_>, which: impl Fn(&Encoding<'_>) -> Option<Codec>) -> Option<Sound> {
    let (codec, payload_type) =
        stream.encodings().find_map(|encoding| Some((which(&encoding)?, encoding.payload_type)))?;
    let events_at = |clock| {
        let events = stream.encodings().find(|encoding| encoding.is_events_at(clock))?;
        Some((clock, events.payload_type))
    };
    // RFC 4733 §2.1 wants the codec's clock; not every peer with Opus has it.
    let events =
        events_at(codec.clock()).or_else(|| (codec == Codec::Opus).then(|| events_at(8_000)).flatten());
    let noise = stream.encodings().find(Encoding::is_comfort_noise).filter(|_| knows_comfort_noise(codec));
    Some(Sound { codec, payload_type, events, comfort_noise: noise.map(|noise| noise.payload_type) })
}

/// RFC 3389 §1: Opus has its own, and G.722 no use for that of 8 kHz.
fn knows_comfort_noise(codec: Codec) -> bool {
    matches!(codec, Codec::Pcma | Codec::Pcmu)
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
    use crate::base::Fingerprint;
    use crate::sdp::field::OFFERS;
    use crate::sdp::{KeySeed, Opus};

    const PLAIN: &str = "v=0\no=- 7 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n\
        m=audio 4000 RTP/AVP 0 8 126\na=rtpmap:126 telephone-event/8000\n";

    const THEIRS: &str = "a=ice-ufrag:abcd\na=ice-pwd:0123456789abcdefghijkl\na=fingerprint:sha-256 \
        00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\n";

    fn local(reach: Reach, codecs: Vec<Codec>) -> Local {
        Local { session: 1234, codecs, reach, ssrc: 99, cname: "c0ffee".into() }
    }

    fn negotiator() -> Negotiator {
        Negotiator::new(local(Reach::Plain(([10, 0, 0, 1], 20_000).into()), vec![Codec::Pcma, Codec::Pcmu]))
    }

    fn keyed(offering: Offering, demand: Demand) -> Negotiator {
        let secrets = Secrets { seed: KeySeed([7; 32]), fingerprint: Fingerprint([0xab; 32]) };
        let address = ([10, 0, 0, 1], 20_000).into();
        Negotiator::new(local(Reach::Keyed { address, secrets, offering, demand }, Codec::ALL.to_vec()))
    }

    fn web() -> Negotiator {
        let ice = credentials("0007abcd");
        let (address, fingerprint) = (([10, 0, 0, 1], 30_000).into(), Fingerprint([0xab; 32]));
        Negotiator::new(local(Reach::Web(Web { address, fingerprint, ice }), Codec::ALL.to_vec()))
    }

    fn credentials(ufrag: &str) -> IceCredentials {
        IceCredentials {
            ufrag: ufrag.into(),
            password: format!("{ufrag}:0123456789abcdef").replace(':', "").into(),
        }
    }

    /// Who the gateway lets answer such an offer.
    fn equipped_for(offer: &[u8]) -> Negotiator {
        if asks_for_ice(offer) { web() } else { keyed(Offering::Plain, Demand::Any) }
    }

    fn tell(result: Result<Agreed, Refusal>) -> String {
        match result {
            Ok(a) => {
                let events = match a.events {
                    Some(Events { payload_type, payload_type_in, clock, aside }) => {
                        let at =
                            if clock == a.codec.clock() { String::new() } else { format!(" at {clock}") };
                        let aside = aside.map_or_else(String::new, |number| format!(", aside {number}"));
                        format!("events {payload_type}/{payload_type_in}{at}{aside}")
                    }
                    None => "no events".into(),
                };
                let number = match (a.payload_type, a.payload_type_in) {
                    (out, into) if out == into => out.to_string(),
                    (out, into) => format!("{out}/{into}"),
                };
                let mut told = format!("{} as {number}, ", a.codec.name());
                for Spare { codec, sent, received } in a.spares.into_iter().flatten() {
                    told += &format!("spare {} {sent}/{received}, ", codec.name());
                }
                told += &format!("{events}, ");
                if let Some(number) = a.comfort_noise {
                    told += &format!("noise {number}, ");
                }
                if let Some(Opus { fec, dtx, bitrate, rate }) = a.opus {
                    let flags = [(fec, "fec "), (dtx, "dtx ")].map(|(on, name)| if on { name } else { "" });
                    told += &format!("{}{bitrate} bit/s {rate:?}, ", flags.concat());
                }
                if a.metrics == Metrics::Asked {
                    told += "metrics, ";
                }
                told += &format!("{} ms, {} ", a.ptime_ms, a.direction.name());
                told += &match a.path {
                    Path::Symmetric { remote, rtcp: Rtcp::Apart(rtcp) } => format!("to {remote} and {rtcp}"),
                    Path::Symmetric { remote, rtcp: Rtcp::Muxed } => format!("to {remote} alone"),
                    Path::Ice { ours, theirs } => format!("from {} to {}", ours.ufrag, theirs.ufrag),
                };
                match a.keys {
                    Keys::None => {}
                    Keys::Sdes { ours, theirs } => {
                        assert_eq!(ours.suite(), theirs.suite());
                        told += &format!(", {}", ours.suite().name());
                    }
                    Keys::Dtls { theirs, role } => {
                        told += &format!(", DTLS {role:?} with {}", &theirs.to_string()[..8])
                    }
                }
                told
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
                let result = equipped_for(offer.as_bytes()).answer(offer.as_bytes(), Direction::SendRecv);
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
        let media = "m=video 0 RTP/AVP 31 32 | m=audio 20000 RTP/AVP 8 0 13 101 | a=rtpmap:8 PCMA/8000 | \
            a=rtpmap:0 PCMU/8000 | a=rtpmap:13 CN/8000 | a=rtpmap:101 telephone-event/8000 | a=fmtp:101 0-16 | \
            a=ptime:20 | a=sendonly | m=audio 0 RTP/AVP 0 | m=message 0 TCP/MSRP *";
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
        assert_eq!(agreed.remote().map(|remote| remote.port()), Some(4100));
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
    fn who_asks_how_it_is_heard_is_asked_too_and_nobody_else() {
        let asking = |line: &str| format!("{PLAIN}a=rtcp-xr:{line}\n");
        for (offer, asked) in [
            (asking("rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL VoIP-metrics"), true),
            (PLAIN.replace("m=audio", "a=rtcp-xr:voip-metrics\nm=audio"), true),
            (asking("rcvr-rtt=all"), false),
            (asking("voip-metrics-to-be"), false),
            (asking(""), false),
            (PLAIN.to_owned(), false),
        ] {
            let mut ours = negotiator();
            assert!(!lines(&ours.offer(Direction::SendRecv)).contains("rtcp-xr"));
            ours.withdraw();
            let (text, agreed) = ours.answer(offer.as_bytes(), Direction::SendRecv).unwrap();
            assert_eq!(agreed.metrics == Metrics::Asked, asked, "{offer}");
            for text in [text, ours.offer(Direction::SendOnly)] {
                assert_eq!(lines(&text).contains(" | a=rtcp-xr:voip-metrics"), asked, "{offer}");
            }
        }
    }

    #[test]
    fn an_offer_of_ours_lists_what_we_like_and_takes_what_comes_first_in_the_answer() {
        let mut ours = negotiator();
        assert_eq!(
            lines(&ours.offer(Direction::SendRecv)),
            "version 1 | m=audio 20000 RTP/AVP 8 0 13 101 | a=rtpmap:8 PCMA/8000 | a=rtpmap:0 PCMU/8000 | \
             a=rtpmap:13 CN/8000 | a=rtpmap:101 telephone-event/8000 | a=fmtp:101 0-16 | a=ptime:20 | a=sendrecv"
        );
        let answer = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n\
            a=ptime:40\na=rtcp:4009\n";
        assert_eq!(
            tell(ours.accept(answer.as_bytes())),
            "PCMU as 0, spare PCMA 8/8, events 101/101, 40 ms, sendrecv to 192.0.2.1:4000 and 192.0.2.1:4009"
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
        assert!(lines(&ours.offer(Direction::SendOnly)).contains("RTP/AVP 8 0 13 101"));
    }

    #[test]
    fn our_reoffer_keeps_the_numbers_and_the_codec_of_the_peers_offer() {
        let mut ours = negotiator();
        let offer = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 112 101 126\na=rtpmap:112 PCMU/8000\n\
            a=rtpmap:101 opus/48000/2\na=rtpmap:126 telephone-event/8000\n";
        answer(&mut ours, offer, Direction::SendRecv);
        assert!(lines(&ours.offer(Direction::SendOnly)).contains("RTP/AVP 112 8 13 126"));

        let mut ours = negotiator();
        let no_events = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 8 101\na=rtpmap:101 opus/48000/2\n";
        answer(&mut ours, no_events, Direction::SendRecv);
        // 101 means Opus to this peer, so our keys need another number.
        assert!(lines(&ours.offer(Direction::SendRecv)).contains("RTP/AVP 8 0 13 96"));
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
        let reach = Reach::Plain("[2001:db8::1]:4".parse().unwrap());
        let mut ours = Negotiator::new(local(reach, vec![Codec::Pcmu]));
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

    #[test]
    fn an_offer_of_all_codecs_numbers_opus_and_its_keys_as_browsers_do() {
        let mut ours = keyed(Offering::Plain, Demand::Any);
        assert_eq!(
            lines(&ours.offer(Direction::SendRecv)),
            "version 1 | m=audio 20000 RTP/AVP 111 9 8 0 13 110 101 | a=rtpmap:111 opus/48000/2 | \
             a=fmtp:111 minptime=10;useinbandfec=1;usedtx=0 | a=rtpmap:9 G722/8000 | a=rtpmap:8 PCMA/8000 | \
             a=rtpmap:0 PCMU/8000 | a=rtpmap:13 CN/8000 | a=rtpmap:110 telephone-event/48000 | a=fmtp:110 0-16 | \
             a=rtpmap:101 telephone-event/8000 | a=fmtp:101 0-16 | a=ptime:20 | a=sendrecv"
        );
        let answer = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 96 97\na=rtpmap:96 opus/48000/2\n\
            a=fmtp:96 useinbandfec=1\na=rtpmap:97 telephone-event/8000\n";
        assert_eq!(
            tell(ours.accept(answer.as_bytes())),
            "opus as 96/111, events 97/101 at 8000, fec 510000 bit/s Wide, 20 ms, \
             sendrecv to 192.0.2.1:4000 and 192.0.2.1:4001"
        );
        // RFC 3264 §8.3.2: and we go on offering what we said first.
        assert!(lines(&ours.offer(Direction::SendOnly)).contains("RTP/AVP 111 9 8 0 13 110 101"));
    }

    #[test]
    fn an_answer_with_events_by_both_clocks_may_bring_either() {
        let mut ours = keyed(Offering::Plain, Demand::Any);
        ours.offer(Direction::SendRecv);
        let answer = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 111 110 101\na=rtpmap:111 opus/48000/2\n\
            a=rtpmap:110 telephone-event/48000\na=rtpmap:101 telephone-event/8000\n";
        let events = ours.accept(answer.as_bytes()).unwrap().events;
        let both = Events { payload_type: 110, payload_type_in: 110, clock: 48_000, aside: Some(101) };
        assert_eq!(events, Some(both));
    }

    #[test]
    fn a_number_that_means_something_else_to_the_peer_is_not_offered_for_opus() {
        let mut ours = keyed(Offering::Plain, Demand::Any);
        let offer = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 8 111 110 13\na=rtpmap:111 G726-32/8000\n\
            a=rtpmap:110 iLBC/8000\na=rtpmap:13 L8/8000\n";
        answer(&mut ours, offer, Direction::SendRecv);
        assert!(lines(&ours.offer(Direction::SendRecv)).contains("RTP/AVP 8 96 9 0 101 97 "));
    }

    #[test]
    fn a_browser_is_told_all_it_needs_and_its_video_is_declined() {
        let offer = OFFERS.iter().find(|(who, ..)| *who == "Chromium with video in the bundle").unwrap().1;
        let (text, _) = web().answer(offer.as_bytes(), Direction::SendRecv).unwrap();
        assert_eq!(
            std::str::from_utf8(&text).unwrap().split("\r\n").collect::<Vec<_>>().join("\n"),
            "v=0
o=- 1234 1 IN IP4 10.0.0.1
s=-
c=IN IP4 10.0.0.1
t=0 0
a=ice-lite
a=group:BUNDLE 0
m=audio 30000 UDP/TLS/RTP/SAVPF 111 110
a=mid:0
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1;usedtx=0
a=rtpmap:110 telephone-event/48000
a=fmtp:110 0-15
a=ptime:20
a=sendrecv
a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB
a=setup:passive
a=rtcp-mux
a=ice-ufrag:0007abcd
a=ice-pwd:0007abcd0123456789abcdef
a=candidate:1 1 UDP 2130706431 10.0.0.1 30000 typ host
a=end-of-candidates
a=msid:c0ffee audio
a=ssrc:99 cname:c0ffee
m=video 0 UDP/TLS/RTP/SAVPF 96 97 102 103
a=mid:1
"
        );
    }

    #[test]
    fn an_offer_to_a_browser_leaves_it_the_handshake_and_keeps_to_the_credentials() {
        let mut ours = web();
        let offer = lines(&ours.offer(Direction::SendRecv));
        for said in [
            "m=audio 30000 UDP/TLS/RTP/SAVPF 111 9 8 0 13 110 101 | a=mid:0 | ",
            " | a=setup:actpass | a=rtcp-mux | a=ice-ufrag:0007abcd | ",
        ] {
            assert!(offer.contains(said), "{offer}");
        }
        let answer = format!(
            "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 111 110\nc=IN IP4 0.0.0.0\n{THEIRS}a=setup:active\na=mid:0\na=rtcp-mux\n\
             a=rtpmap:111 opus/48000/2\na=rtpmap:110 telephone-event/48000\n"
        );
        let told = "opus as 111, events 110/110, 510000 bit/s Wide, 20 ms, sendrecv from 0007abcd to abcd, \
            DTLS Passive with 00:11:22";
        assert_eq!(tell(ours.accept(answer.as_bytes())), told);
        let hold = lines(&ours.offer(Direction::SendOnly));
        assert!(hold.contains("a=setup:actpass | a=rtcp-mux | a=ice-ufrag:0007abcd"), "{hold}");
        for without in ["a=rtcp-mux\n", "a=ice-ufrag:abcd\n", "a=setup:active"] {
            ours.offer(Direction::SendRecv);
            let bad =
                answer.replace(without, if without.starts_with("a=setup") { "a=setup:actpass" } else { "" });
            assert_eq!(ours.accept(bad.as_bytes()), Err(Refusal::Transport), "{without}");
        }
    }

    #[test]
    fn an_ice_restart_is_answered_with_fresh_credentials_once() {
        let offer = |ufrag: &str, version: u8| {
            let theirs = THEIRS.replace("ufrag:abcd", &format!("ufrag:{ufrag}"));
            format!(
                "v=0\no=- 1 {version} IN IP4 127.0.0.1\nm=audio 9 UDP/TLS/RTP/SAVPF 0\nc=IN IP4 0.0.0.0\n{theirs}a=rtcp-mux\n"
            )
        };
        let mut ours = web();
        let mut told = Vec::new();
        let mut play = |ours: &mut Negotiator, ufrag: &str| {
            let result = ours.answer(offer(ufrag, 1).as_bytes(), Direction::SendRecv);
            told.push(match result {
                Ok((text, Agreed { path: Path::Ice { ours, theirs }, .. })) => {
                    let text = std::str::from_utf8(&text).unwrap().to_owned();
                    assert!(text.contains(&format!("a=ice-ufrag:{}\r\n", ours.ufrag)));
                    let version = text.split_whitespace().nth(3).unwrap();
                    format!("{} {} {version}", theirs.ufrag, ours.ufrag)
                }
                other => format!("{:?}", other.unwrap_err()),
            });
        };
        play(&mut ours, "aaaa");
        ours.provide(credentials("0007fresh"));
        play(&mut ours, "aaaa");
        play(&mut ours, "bbbb");
        play(&mut ours, "bbbb");
        play(&mut ours, "cccc");
        ours.provide(credentials("0007newer"));
        play(&mut ours, "cccc");
        assert_eq!(
            told,
            [
                "aaaa 0007abcd 1",
                "aaaa 0007abcd 1",
                "bbbb 0007fresh 2",
                "bbbb 0007fresh 2",
                "Spent",
                "cccc 0007newer 3"
            ]
        );
    }

    #[test]
    fn the_role_in_the_handshake_outlives_a_reoffer_but_not_the_certificate() {
        let offer = |setup: &str, certificate: &str| {
            let theirs = THEIRS.replace("00:11:22", certificate);
            format!("v=0\nc=IN IP4 192.0.2.1\na=setup:{setup}\n{theirs}m=audio 4000 UDP/TLS/RTP/SAVP 0\n")
        };
        let mut ours = keyed(Offering::Dtls, Demand::Secure);
        for (setup, certificate, said) in [
            ("passive", "00:11:22", "active"),
            ("actpass", "00:11:22", "active"),
            ("actpass", "ff:11:22", "passive"),
            ("actpass", "ff:11:22", "passive"),
            ("active", "ff:11:22", "passive"),
        ] {
            let text = answer(&mut ours, &offer(setup, certificate), Direction::SendRecv);
            assert!(text.contains(&format!(" | a=setup:{said}")), "{setup} {certificate}: {text}");
        }
    }

    #[test]
    fn an_answer_in_keys_repeats_the_tag_and_the_suite_it_takes() {
        // The offer of RFC 4568's own exchange, turned about and its MKI taken off.
        let offer = "v=0\nc=IN IP4 161.44.17.12\nm=audio 49170 RTP/SAVP 0\n\
            a=crypto:1 F8_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20\n\
            a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\n";
        let mut ours = keyed(Offering::Plain, Demand::Secure);
        let (text, agreed) = ours.answer(offer.as_bytes(), Direction::SendRecv).unwrap();
        let Keys::Sdes { ours: key, theirs } = agreed.keys else { panic!("no keys") };
        assert_eq!((theirs.key(), theirs.salt()), (&b"YS___semctl () {"[..], &b"\t220;}\n}\nunles"[..]));
        let said = Crypto { tag: 2, key };
        assert!(lines(&text).contains(&format!(
            "m=audio 20000 RTP/SAVP 0 | a=rtpmap:0 PCMU/8000 | a=ptime:20 | a=sendrecv | a=crypto:{said}"
        )));
        // A hold of ours brings the same key again.
        assert!(lines(&ours.offer(Direction::SendOnly)).contains(&said.to_string()["2 ".len()..]));
    }

    #[test]
    fn an_answer_takes_one_of_the_keys_we_offered_or_is_refused() {
        const KEY: &str = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
        let plain = "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n";
        let cm80 = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n");
        let secure = plain.replace("AVP", "SAVP");
        let taken = "AES_CM_128_HMAC_SHA1_80";
        for (offering, demand, answer, verdict) in [
            (Offering::Sdes, Demand::Any, format!("{secure}{cm80}"), Ok(taken)),
            (
                Offering::Sdes,
                Demand::Any,
                format!("{secure}{}", cm80.replace(":2", ":1")),
                Err(Refusal::Keys),
            ),
            (
                Offering::Sdes,
                Demand::Any,
                format!("{secure}{}", cm80.replace(":2", ":7")),
                Err(Refusal::Keys),
            ),
            (Offering::Sdes, Demand::Any, secure.clone(), Err(Refusal::Keys)),
            (Offering::Sdes, Demand::Any, plain.to_owned(), Err(Refusal::Keys)),
            (Offering::BestEffort, Demand::Any, format!("{plain}{cm80}"), Ok(taken)),
            (Offering::BestEffort, Demand::Any, format!("{secure}{cm80}"), Ok(taken)),
            (Offering::BestEffort, Demand::Any, plain.to_owned(), Ok("none")),
            (Offering::BestEffort, Demand::Secure, plain.to_owned(), Err(Refusal::Keys)),
            (Offering::Plain, Demand::Any, secure.clone(), Err(Refusal::Transport)),
            (Offering::Dtls, Demand::Any, secure, Err(Refusal::Keys)),
            (Offering::Dtls, Demand::Any, plain.to_owned(), Err(Refusal::Transport)),
        ] {
            let mut ours = keyed(offering, demand);
            ours.offer(Direction::SendRecv);
            let result = ours.accept(answer.as_bytes()).map(|agreed| match agreed.keys {
                Keys::Sdes { ours, .. } => ours.suite().name(),
                Keys::None => "none",
                Keys::Dtls { .. } => "DTLS",
            });
            assert_eq!(result, verdict, "{offering:?} {demand:?} {answer}");
        }
    }

    #[test]
    fn what_comes_in_the_clear_is_refused_where_the_operator_demands_keys() {
        let mut ours = keyed(Offering::Sdes, Demand::Secure);
        let refused = ours.answer(PLAIN.as_bytes(), Direction::SendRecv).unwrap_err();
        assert_eq!(
            (refused, refused.status(), refused.warning()),
            (Refusal::Keys, 488, Some((399, "No acceptable SRTP keys")))
        );
        let keys = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR\n";
        assert!(ours.answer(format!("{PLAIN}{keys}").as_bytes(), Direction::SendRecv).is_ok());
        // And a leg with keys does not fall back to none.
        assert_eq!(ours.answer(PLAIN.as_bytes(), Direction::SendRecv), Err(Refusal::Keys));
    }

    #[test]
    fn a_leg_in_the_clear_reads_no_keys() {
        for (who, offer, _) in OFFERS {
            if let Ok((text, agreed)) = negotiator().answer(offer.as_bytes(), Direction::SendRecv) {
                assert_eq!(agreed.keys, Keys::None, "{who}");
                let text = std::str::from_utf8(&text).unwrap();
                assert!(
                    ["a=crypto", "a=fingerprint", "a=ice"].iter().all(|word| !text.contains(word)),
                    "{who}"
                );
            }
        }
    }

    #[test]
    fn a_leg_does_not_change_between_the_shared_port_and_a_socket() {
        let browser =
            format!("v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 UDP/TLS/RTP/SAVPF 0\n{THEIRS}a=rtcp-mux\n");
        assert!(asks_for_ice(browser.as_bytes()));
        assert_eq!(web().answer(PLAIN.as_bytes(), Direction::SendRecv), Err(Refusal::Transport));
        // A lite end like ours makes no checks either: there is nothing to wait for at the shared port.
        let lite = browser.replace("m=", "a=ice-lite\nm=");
        assert!(!asks_for_ice(lite.as_bytes()));
        assert_eq!(web().answer(lite.as_bytes(), Direction::SendRecv), Err(Refusal::Transport));
        // Without a shared port, ICE is left aside where the peer says where it is (RFC 8839 §4.2.5)…
        let mut ours = keyed(Offering::Plain, Demand::Any);
        let (text, agreed) = ours.answer(browser.as_bytes(), Direction::SendRecv).unwrap();
        assert!(!std::str::from_utf8(&text).unwrap().contains("ice"));
        assert_eq!(agreed.remote(), Some(([192, 0, 2, 1], 4000).into()));
        // …and is missed where it does not.
        let nowhere = browser.replace("192.0.2.1", "0.0.0.0");
        assert_eq!(ours.answer(nowhere.as_bytes(), Direction::SendRecv), Err(Refusal::Address));
    }

    #[test]
    fn what_a_peer_names_itself_is_repeated_only_if_it_is_a_name() {
        for (mid, kept) in [("audio-0", true), ("a b", false), ("x\u{b}y", false), ("é", false), ("", false)]
        {
            let offer = format!(
                "v=0\na=group:BUNDLE {mid}\nc=IN IP4 192.0.2.1\nm=audio 4 UDP/TLS/RTP/SAVPF 0\n{THEIRS}a=rtcp-mux\na=mid:{mid}\n"
            );
            let (text, _) = web().answer(offer.as_bytes(), Direction::SendRecv).unwrap();
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(text.contains("a=mid:"), kept, "{mid}");
            assert_eq!(text.contains("a=group:BUNDLE "), kept, "{mid}");
        }
    }

    #[test]
    fn ice_credentials_of_the_wrong_length_or_letters_are_none() {
        for (word, wrong) in [
            ("ufrag:abcd", "ufrag:abc".to_owned()),
            ("ufrag:abcd", format!("ufrag:{}", "a".repeat(257))),
            ("ufrag:abcd", "ufrag:ab:d".to_owned()),
            ("pwd:0123456789abcdefghijkl", "pwd:0123456789abcdefghijk".to_owned()),
        ] {
            let theirs = THEIRS.replace(word, &wrong);
            let offer =
                format!("v=0\nc=IN IP4 192.0.2.1\nm=audio 4 UDP/TLS/RTP/SAVPF 0\n{theirs}a=rtcp-mux\n");
            assert!(!asks_for_ice(offer.as_bytes()));
            assert_eq!(web().answer(offer.as_bytes(), Direction::SendRecv), Err(Refusal::Transport));
        }
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

    /// With ICE in full: two lite ends do not find each other.
    fn as_a_browser(text: &Bytes) -> Vec<u8> {
        std::str::from_utf8(text).unwrap().replace("a=ice-lite\r\n", "").into_bytes()
    }

    fn offerings() -> impl Strategy<Value = Offering> {
        prop_oneof![
            Just(Offering::Plain),
            Just(Offering::BestEffort),
            Just(Offering::Sdes),
            Just(Offering::Dtls)
        ]
    }

    /// Each kind of leg we have.
    fn ends() -> impl Strategy<Value = Negotiator> {
        prop_oneof![
            Just(()).prop_map(|()| negotiator()),
            Just(()).prop_map(|()| web()),
            offerings().prop_map(|offering| keyed(offering, Demand::Any)),
            offerings().prop_map(|offering| keyed(offering, Demand::Secure)),
        ]
    }

    /// Two ends that reach each other in the same way, with codecs of which they share one at least.
    fn pairs() -> impl Strategy<Value = (Negotiator, Negotiator)> {
        let codecs = || prop::sample::subsequence(Codec::ALL.to_vec(), 0..=4).prop_shuffle();
        let common = prop::sample::select(Codec::ALL.to_vec());
        let way = prop_oneof![Just(None), offerings().prop_map(Some)];
        (way, offerings(), codecs(), codecs(), common).prop_map(|(way, other, mut one, mut two, common)| {
            let end = |offering: Option<Offering>, codecs: &mut Vec<Codec>| {
                if !codecs.contains(&common) {
                    codecs.push(common);
                }
                let mut end = offering.map_or_else(web, |offering| keyed(offering, Demand::Any));
                end.local.codecs.clone_from(codecs);
                end
            };
            (end(way, &mut one), end(way.map(|_| other), &mut two))
        })
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), mut ours in ends(), want in directions()) {
            let _ = ours.answer(&bytes, want);
            ours.withdraw();
            ours.offer(want);
            let _ = ours.accept(&bytes);
            asks_for_ice(&bytes);
        }

        #[test]
        fn every_answer_has_the_offers_lines_and_can_be_read(
            mut ours in ends(),
            offers in prop::collection::vec((mutilated(), directions()), 1..4),
        ) {
            for (offer, want) in offers {
                let before = ours.agreed().cloned();
                ours.provide(credentials("0007next"));
                match ours.answer(&offer, want) {
                    Ok((text, agreed)) => {
                        let (theirs, read) = (Description::read(&offer).unwrap(), Description::read(&as_a_browser(&text)).unwrap());
                        prop_assert_eq!(read.streams().count(), theirs.streams().count());
                        prop_assert_eq!(read.streams().filter(Stream::is_on).count(), 1);
                        let stream = read.streams().find(Stream::is_on).unwrap();
                        prop_assert_eq!(stream.direction(), agreed.direction);
                        let nowhere = agreed.remote().is_some_and(|remote| remote.ip().is_unspecified());
                        prop_assert!(!agreed.direction.sends() || want.sends() && !nowhere);
                        prop_assert!(agreed.ptime_ms % 10 == 0 && (10..=60).contains(&agreed.ptime_ms));
                        // What we say of our keys and our way is what we agreed to.
                        let crypto = stream.cryptos().next().map(|crypto| crypto.key);
                        prop_assert_eq!(crypto, match &agreed.keys {
                            Keys::Sdes { ours, .. } => Some(ours.clone()),
                            Keys::None | Keys::Dtls { .. } => None,
                        });
                        prop_assert_eq!(stream.fingerprint().is_some(), matches!(agreed.keys, Keys::Dtls { .. }));
                        prop_assert_eq!(stream.ice(), match &agreed.path {
                            Path::Ice { ours, .. } => Some(ours.clone()),
                            Path::Symmetric { .. } => None,
                        });
                    }
                    Err(_) => prop_assert_eq!(ours.agreed().cloned(), before),
                }
            }
        }

        #[test]
        fn two_of_us_always_agree(
            (near, far) in pairs(),
            exchanges in prop::collection::vec((any::<bool>(), directions(), directions()), 1..8),
        ) {
            let mut sides = [near, far];
            let mut roles = None;
            for (first, offered, wanted) in exchanges {
                let [near, far] = &mut sides;
                let (offerer, answerer) = if first { (near, far) } else { (far, near) };
                let offer = as_a_browser(&offerer.offer(offered));
                let (answer, theirs) = answerer.answer(&offer, wanted).unwrap();
                let ours = offerer.accept(&as_a_browser(&answer)).unwrap();
                prop_assert_eq!((ours.codec, ours.payload_type), (theirs.codec, theirs.payload_type));
                prop_assert_eq!((ours.payload_type_in, ours.events), (theirs.payload_type_in, theirs.events));
                prop_assert_eq!((ours.comfort_noise, ours.ptime_ms), (theirs.comfort_noise, theirs.ptime_ms));
                prop_assert!(ours.events.is_some_and(|events| events.clock == ours.codec.clock()));
                prop_assert_eq!(ours.direction, theirs.direction.mirrored());
                prop_assert_eq!(ours.direction, offered.and(wanted.mirrored()));
                let mirrored = match (&ours.path, &theirs.path) {
                    (Path::Ice { ours: a, theirs: b }, Path::Ice { ours: c, theirs: d }) => (a, b) == (d, c),
                    (Path::Symmetric { rtcp: a, .. }, Path::Symmetric { rtcp: b, .. }) => {
                        (*a == Rtcp::Muxed) == (*b == Rtcp::Muxed)
                    }
                    _ => false,
                };
                prop_assert!(mirrored, "{:?} {:?}", ours.path, theirs.path);
                match (&ours.keys, &theirs.keys) {
                    (Keys::None, Keys::None) => {}
                    (Keys::Sdes { ours: a, theirs: b }, Keys::Sdes { ours: c, theirs: d }) => {
                        prop_assert_eq!((a, b), (d, c));
                    }
                    (Keys::Dtls { role: a, .. }, Keys::Dtls { role: b, .. }) => {
                        prop_assert_ne!(a, b);
                        let now = if first { (*a, *b) } else { (*b, *a) };
                        prop_assert_eq!(*roles.get_or_insert(now), now);
                    }
                    odd => prop_assert!(false, "{odd:?}"),
                }
            }
        }
    }
}
