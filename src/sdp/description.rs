//! A peer's description as read: RFC 8866 text made tidy, and typed looks at one `m=` section.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sdp_types::{Attribute, Media, NetType, Session};

use super::{Codec, Direction, LONGEST, Refusal};

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
}

/// Which telephone events a peer knows, as far as it matters to our `fmtp` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Events {
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

    /// AVPF only adds feedback, and an end that gives none is no fault of it (RFC 4585 §5).
    pub(super) fn is_plain_rtp(&self) -> bool {
        ["RTP/AVP", "RTP/AVPF"].iter().any(|plain| plain.eq_ignore_ascii_case(&self.media.proto))
    }

    /// As the peer says it. A held peer of RFC 2543 gives an unspecified address and says
    /// nothing: it does not receive (RFC 3264 §8.4).
    pub(super) fn direction(&self) -> Direction {
        let said =
            |attributes: &[Attribute]| attributes.iter().find_map(|a| Direction::named(a.attribute.trim()));
        let said = said(&self.media.attributes).or_else(|| said(&self.head.attributes)).unwrap_or_default();
        match self.address() {
            Ok(ip) if ip.is_unspecified() => said.and(Direction::SendOnly),
            _ => said,
        }
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
    /// `maxptime` (RFC 8866 §6.4 and §6.5), whole tens from 10 to 60; 20 unless said.
    pub(super) fn ptime_ms(&self) -> u8 {
        let number = |name| self.value(name).and_then(leading_number).filter(|ms| *ms > 0);
        let wanted = number("ptime").unwrap_or(20).min(number("maxptime").unwrap_or(u32::MAX));
        let tens = (wanted / 10).clamp(1, 6);
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

    /// What its `fmtp` line says of the telephone events numbered `payload_type`.
    pub(super) fn events(&self, payload_type: u8) -> Events {
        let flash = self
            .values("fmtp")
            .filter_map(numbered)
            .filter(|(number, _)| *number == payload_type)
            .flat_map(|(_, list)| list.split(','))
            .any(|range| {
                let (low, high) = range.split_once('-').unwrap_or((range, range));
                let bound = |text: &str| text.trim().parse::<u16>().ok();
                bound(low).zip(bound(high)).is_some_and(|(low, high)| (low..=high).contains(&16))
            });
        if flash { Events::KeysAndFlash } else { Events::Keys }
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.media
            .attributes
            .iter()
            .filter(move |a| a.attribute.eq_ignore_ascii_case(name))
            .filter_map(|a| a.value.as_deref())
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

impl<'a> Encoding<'a> {
    /// `PCMU/8000/1`. Some peers leave the clock out.
    fn of(payload_type: u8, map: &'a str) -> Self {
        let mut parts = map.split('/').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let clock = parts.next().map_or(Some(8000), |clock| clock.parse().ok()).unwrap_or(0);
        // Two channels of one codec are another codec.
        let mono = parts.next().is_none_or(|channels| channels == "1");
        Self { payload_type, name, clock: if mono { clock } else { 0 } }
    }

    /// RFC 3551 §6: what needs no `rtpmap`.
    fn fixed(payload_type: u8) -> Option<Encoding<'a>> {
        [Codec::Pcmu, Codec::Pcma]
            .into_iter()
            .find(|codec| codec.payload_type() == payload_type)
            .map(|codec| Encoding { payload_type, name: codec.name(), clock: codec.clock() })
    }

    pub(super) fn is(&self, codec: Codec) -> bool {
        self.name.eq_ignore_ascii_case(codec.name()) && self.clock == codec.clock()
    }

    pub(super) fn is_events_for(&self, codec: Codec) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event") && self.clock == codec.clock()
    }
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
