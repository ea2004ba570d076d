//! A peer's description as read: RFC 8866 text made tidy, and typed looks at one `m=` section.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sdp_types::{Attribute, Media, NetType, Session};

use super::crypto::Crypto;
use super::{Direction, LONGEST, Metrics, Opus, Refusal};
use crate::base::{Codec, Fingerprint, IceCredentials, Rate};

/// What the peer sent.
#[derive(Debug)]
pub(super) struct Description(Session);

/// One `m=` section with what it inherits from the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream<'a> {
    head: &'a Session,
    media: &'a Media,
}

/// One payload type of an `m=` line and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding<'a> {
    pub payload_type: u8,
    pub name: &'a str,
    pub clock: u32,
    pub channels: u8,
}

/// What the transport of an `m=` line says of keys. The F of AVPF is not among it: it only adds
/// feedback, and an end that gives none is no fault of it (RFC 4585 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// `RTP/AVP`: none, or `a=crypto` as far as both know it.
    Avp,
    /// `RTP/SAVP`: `a=crypto`, or by older custom DTLS.
    Savp,
    /// `UDP/TLS/RTP/SAVP`: DTLS (RFC 5764 §8).
    Tls,
}

/// RFC 4145 §4, RFC 8842 §5.3: who opens the DTLS handshake, seen from whoever says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    Active,
    Passive,
    Actpass,
    /// `holdconn`, and what nobody defined.
    Never,
}

/// Which telephone events a peer knows, as far as it matters to our `fmtp` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keypad {
    /// 0–15: the sixteen keys.
    Keys,
    /// 0–16: the keys and the hook flash.
    KeysAndFlash,
}

impl Description {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > LONGEST {
            return Err(Refusal::Malformed);
        }
        Session::parse(tidy(bytes).as_bytes()).map(Self).map_err(|_| Refusal::Malformed)
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = Stream<'_>> {
        self.0.medias.iter().map(|media| Stream { head: &self.0, media })
    }

    pub(super) fn stream(&self, index: usize) -> Option<Stream<'_>> {
        self.0.medias.get(index).map(|media| Stream { head: &self.0, media })
    }
}

impl<'a> Stream<'a> {
    pub(super) fn media(&self) -> &'a Media {
        self.media
    }

    pub(super) fn is_audio(&self) -> bool {
        self.media.media.eq_ignore_ascii_case("audio")
    }

    /// Port 0 switches a stream off (RFC 3264 §6 and §8.2).
    pub(super) fn is_on(&self) -> bool {
        self.media.port != 0
    }

    pub(super) fn profile(&self) -> Option<Profile> {
        Profile::named(&self.media.proto)
    }

    /// As the peer says it.
    pub(super) fn direction(&self) -> Direction {
        let said =
            |attributes: &[Attribute]| attributes.iter().find_map(|a| Direction::named(a.attribute.trim()));
        said(&self.media.attributes).or_else(|| said(&self.head.attributes)).unwrap_or_default()
    }

    /// The keys it offers or takes that we could use, in its order.
    pub(super) fn cryptos(&self) -> impl Iterator<Item = Crypto> + use<'a> {
        self.values("crypto").filter_map(Crypto::read)
    }

    /// SHA-256 of its certificate; a weaker hash is none (RFC 8122 §5).
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.inherited("fingerprint").find_map(|value| {
            let (hash, pairs) = value.trim().split_once([' ', '\t'])?;
            let mut octets = [0; 32];
            let mut pairs = pairs.trim().split(':');
            for octet in &mut octets {
                let pair = pairs.next().filter(|pair| pair.len() == 2)?;
                *octet = u8::from_str_radix(pair, 16).ok()?;
            }
            (hash.eq_ignore_ascii_case("sha-256") && pairs.next().is_none()).then_some(Fingerprint(octets))
        })
    }

    /// `missing` where it says nothing: an offer and an answer differ in that.
    pub(super) fn setup(&self, missing: Setup) -> Setup {
        self.inherited("setup").next().map_or(missing, |word| Setup::named(word.trim()))
    }

    /// RFC 8839 §5.4, its lengths and letters checked. Of a lite end none: it makes no checks, and
    /// neither do we, so nothing would come to pass between the two (RFC 8445 §6.1.1).
    pub(super) fn ice(&self) -> Option<IceCredentials> {
        if self.head.attributes.iter().any(|a| a.attribute.trim().eq_ignore_ascii_case("ice-lite")) {
            return None;
        }
        let word = |name, least: usize| {
            let word = self.inherited(name).next()?.trim();
            let letters = |c: u8| c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
            let kept = (least..=256).contains(&word.len()) && word.bytes().all(letters);
            kept.then(|| word.into())
        };
        Some(IceCredentials { ufrag: word("ice-ufrag", 4)?, password: word("ice-pwd", 22)? })
    }

    /// Whether it has RTCP on the port of RTP (RFC 5761 §5.1.1).
    pub(super) fn muxes(&self) -> bool {
        self.media.attributes.iter().any(|a| a.attribute.trim().eq_ignore_ascii_case("rtcp-mux"))
    }

    /// Whether it asks how it is heard (RFC 3611 §5.1, for all streams or this one).
    pub(super) fn metrics(&self) -> Metrics {
        let asks = self.inherited("rtcp-xr").any(|value| {
            value.split_ascii_whitespace().any(|format| format.eq_ignore_ascii_case("voip-metrics"))
        });
        if asks { Metrics::Asked } else { Metrics::Unasked }
    }

    /// Its name, if it has one that can be repeated (RFC 5888 §4: a token).
    pub(super) fn mid(&self) -> Option<&'a str> {
        let token = |c: u8| c.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&c);
        self.value("mid").map(str::trim).filter(|mid| !mid.is_empty() && mid.bytes().all(token))
    }

    /// Whether it may share a port with others (RFC 9143).
    pub(super) fn is_bundled(&self) -> bool {
        let Some(mid) = self.mid() else { return false };
        values(&self.head.attributes, "group").any(|group| {
            let mut words = group.split_ascii_whitespace();
            words.next().is_some_and(|word| word.eq_ignore_ascii_case("BUNDLE"))
                && words.any(|word| word == mid)
        })
    }

    /// Where it receives RTP.
    pub(super) fn rtp(&self) -> Result<SocketAddr, Refusal> {
        Ok(SocketAddr::new(self.address()?, self.media.port))
    }

    /// Where it receives RTCP: RFC 3605, else one port above (RFC 3550 §11).
    pub(super) fn rtcp(&self) -> Result<SocketAddr, Refusal> {
        let address = self.address()?;
        let above = SocketAddr::new(address, self.media.port.checked_add(1).unwrap_or(self.media.port));
        let Some(value) = self.value("rtcp") else { return Ok(above) };
        let mut words = value.split_ascii_whitespace();
        let Some(port) = words.next().and_then(|port| port.parse().ok()).filter(|port| *port != 0) else {
            return Ok(above);
        };
        // Another family than the RTP's would need another socket.
        let elsewhere = words.nth(2).and_then(|ip| ip.parse::<IpAddr>().ok()).map(|ip| ip.to_canonical());
        let ip = elsewhere.filter(|ip| ip.is_ipv4() == address.is_ipv4() && !ip.is_multicast());
        Ok(SocketAddr::new(ip.filter(|_| !address.is_unspecified()).unwrap_or(address), port))
    }

    /// How long its packets are to be, in milliseconds, as we can make them: `ptime` within
    /// `maxptime` (RFC 8866 §6.4 and §6.5), whole tens from 10 to 60; 20 unless said. Opus has no
    /// frames of 30 or 50 (RFC 6716 §2.1.4).
    pub(super) fn ptime_ms(&self, codec: Codec) -> u8 {
        let number = |name| self.value(name).and_then(leading_number).filter(|ms| *ms > 0);
        let wanted = number("ptime").unwrap_or(20).min(number("maxptime").unwrap_or(u32::MAX));
        let tens = match (codec, (wanted / 10).clamp(1, 6)) {
            (Codec::Opus, 3) => 2,
            (Codec::Opus, 5) => 4,
            (_, tens) => tens,
        };
        u8::try_from(tens * 10).unwrap_or(60)
    }

    /// In the order of the `m=` line, the peer's preference.
    pub(super) fn encodings(&self) -> impl Iterator<Item = Encoding<'a>> + use<'a> {
        let mut mapped = [None; 128];
        for (payload_type, map) in self.values("rtpmap").filter_map(numbered) {
            if let Some(slot @ None) = mapped.get_mut(usize::from(payload_type)) {
                *slot = Some(Encoding::of(payload_type, map));
            }
        }
        self.media.fmt.split_ascii_whitespace().filter_map(move |format| {
            let payload_type: u8 = format.parse().ok()?;
            mapped.get(usize::from(payload_type))?.or_else(|| Encoding::fixed(payload_type))
        })
    }

    /// What its `fmtp` line wishes of the Opus numbered `payload_type`.
    pub(super) fn opus(&self, payload_type: u8) -> Opus {
        let mut opus = Opus::default();
        for parameter in self.formats(payload_type).flat_map(|list| list.split(';')) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (name, value) = (name.trim().to_ascii_lowercase(), leading_number(value));
            match (name.as_str(), value) {
                ("useinbandfec", Some(flag)) => opus.fec = flag == 1,
                ("usedtx", Some(flag)) => opus.dtx = flag == 1,
                ("maxaveragebitrate", Some(bits)) => opus.bitrate = bits.clamp(6_000, 510_000),
                ("maxplaybackrate", Some(hz)) if hz < Rate::Wide.hz() => opus.rate = Rate::Narrow,
                _ => {}
            }
        }
        opus
    }

    /// What its `fmtp` line says of the telephone events numbered `payload_type`.
    pub(super) fn keypad(&self, payload_type: u8) -> Keypad {
        let flash = self.formats(payload_type).flat_map(|list| list.split(',')).any(|range| {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let bound = |text: &str| text.trim().parse::<u16>().ok();
            bound(low).zip(bound(high)).is_some_and(|(low, high)| (low..=high).contains(&16))
        });
        if flash { Keypad::KeysAndFlash } else { Keypad::Keys }
    }

    fn value(&self, name: &'static str) -> Option<&'a str> {
        self.values(name).next()
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        values(&self.media.attributes, name)
    }

    /// The `fmtp` parameters of `payload_type`.
    fn formats(&self, payload_type: u8) -> impl Iterator<Item = &'a str> + use<'a> {
        let numbered = self.values("fmtp").filter_map(numbered);
        numbered.filter_map(move |(number, list)| (number == payload_type).then_some(list))
    }

    /// Of the stream, or where it has none, of the head.
    fn inherited(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        let own = self.values(name).next().is_some();
        values(if own { &self.media.attributes } else { &self.head.attributes }, name)
    }

    fn address(&self) -> Result<IpAddr, Refusal> {
        let connection =
            self.media.connections.first().or(self.head.connection.as_ref()).ok_or(Refusal::Malformed)?;
        if connection.nettype != NetType::In {
            return Err(Refusal::Address);
        }
        let text = connection.connection_address.as_str();
        // RFC 6157 §4.1: no address yet, spelled as a name.
        if text.to_ascii_lowercase().ends_with(".invalid") {
            return Ok(Ipv4Addr::UNSPECIFIED.into());
        }
        let text = text.split('/').next().unwrap_or(text).trim_matches(['[', ']']);
        let ip = text.parse::<IpAddr>().map_err(|_| Refusal::Address)?.to_canonical();
        if ip.is_multicast() { Err(Refusal::Address) } else { Ok(ip) }
    }
}

impl Profile {
    pub(super) fn named(proto: &str) -> Option<Self> {
        [
            ("RTP/AVP", Self::Avp),
            ("RTP/AVPF", Self::Avp),
            ("RTP/SAVP", Self::Savp),
            ("RTP/SAVPF", Self::Savp),
            ("UDP/TLS/RTP/SAVP", Self::Tls),
            ("UDP/TLS/RTP/SAVPF", Self::Tls),
        ]
        .into_iter()
        .find_map(|(name, profile)| name.eq_ignore_ascii_case(proto).then_some(profile))
    }
}

impl Setup {
    /// As in `a=setup`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Actpass => "actpass",
            Self::Never => "holdconn",
        }
    }

    fn named(name: &str) -> Self {
        [Self::Active, Self::Passive, Self::Actpass]
            .into_iter()
            .find(|setup| setup.name().eq_ignore_ascii_case(name))
            .unwrap_or(Self::Never)
    }
}

impl<'a> Encoding<'a> {
    /// `PCMU/8000/1`. Some peers leave the clock out.
    fn of(payload_type: u8, map: &'a str) -> Self {
        let mut parts = map.split('/').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let clock = parts.next().map_or(Some(8000), |clock| clock.parse().ok()).unwrap_or(0);
        let channels = parts.next().map_or(Some(1), |channels| channels.parse().ok()).unwrap_or(0);
        Self { payload_type, name, clock, channels }
    }

    /// RFC 3551 §6: what needs no `rtpmap`.
    fn fixed(payload_type: u8) -> Option<Encoding<'a>> {
        let fixed = |name, clock| Encoding { payload_type, name, clock, channels: 1 };
        if payload_type == COMFORT_NOISE {
            return Some(fixed("CN", 8000));
        }
        [Codec::Pcmu, Codec::Pcma, Codec::G722]
            .into_iter()
            .find(|codec| codec.payload_type() == payload_type)
            .map(|codec| fixed(codec.name(), codec.clock()))
    }

    /// Two channels of G.711 are another codec, and one channel of Opus is none (RFC 7587 §7).
    pub(super) fn is(&self, codec: Codec) -> bool {
        self.name.eq_ignore_ascii_case(codec.name())
            && self.clock == codec.clock()
            && self.channels == channels(codec)
    }

    pub(super) fn is_events_at(&self, clock: u32) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event") && self.clock == clock && self.channels == 1
    }

    pub(super) fn is_comfort_noise(&self) -> bool {
        self.name.eq_ignore_ascii_case("CN") && self.clock == 8000 && self.channels == 1
    }
}

/// The static number of CN/8000 (RFC 3389 §4).
pub(super) const COMFORT_NOISE: u8 = 13;

/// As `a=rtpmap` counts them.
pub(super) const fn channels(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => 2,
        Codec::G722 | Codec::Pcma | Codec::Pcmu => 1,
    }
}

fn values<'a>(attributes: &'a [Attribute], name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
    attributes
        .iter()
        .filter(move |a| a.attribute.eq_ignore_ascii_case(name))
        .filter_map(|a| a.value.as_deref())
}

/// The text with what peers commonly get wrong put right, and without the lines nothing here
/// reads: a fault in a time zone or an owner's name must not cost a call.
fn tidy(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut tidied = String::with_capacity(text.len());
    for line in text.split(['\n', '\r']) {
        let line = line.trim_end_matches([' ', '\t', '\0']);
        match line.as_bytes() {
            [] => continue,
            [b'o' | b's' | b'i' | b'u' | b'e' | b'p' | b'b' | b't' | b'r' | b'z' | b'k', b'=', ..] => {
                continue;
            }
            [b'm', b'=', rest @ ..] => {
                let words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
                tidied.push_str("m=");
                for (i, word) in line.split_at(2).1.split_ascii_whitespace().enumerate() {
                    tidied.push_str(if i == 0 { "" } else { " " });
                    tidied.push_str(word);
                }
                // A stream switched off is often written without the format it must still have.
                tidied.push_str(if words == 3 { " 0" } else { "" });
            }
            _ => tidied.push_str(line),
        }
        tidied.push_str("\r\n");
    }
    tidied
}

/// `126 rest`, as in `rtpmap` and `fmtp`.
fn numbered(value: &str) -> Option<(u8, &str)> {
    let (number, rest) = value.trim_start().split_once([' ', '\t'])?;
    Some((number.parse().ok()?, rest.trim()))
}

/// `20`, and the `20.0` of some gateways.
fn leading_number(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..digits)?.parse().ok()
}
