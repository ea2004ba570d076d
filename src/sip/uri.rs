//! URIs: sip and sips (RFC 3261 §19.1), tel (RFC 3966), urn (RFC 5031 names the useful ones), and
//! any other absolute URI kept as it came.
//!
//! A [`Uri`] is one slice of the message it came in with the places of its parts beside it, so it
//! prints to the byte as it was read. The layer above never sees a broken escape, an unclosed
//! bracket or a byte that could end a line.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use bytes::Bytes;

use super::syntax::{self, HEADER, HOST, PARAM, PASSWORD, USER};

/// One URI, verbatim. `==` compares bytes; RFC 3261 §19.1.4 is [`Uri::is_equivalent`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    raw: Bytes,
    scheme: Scheme,
    /// Escapes and telephone parameters inside; for tel the number.
    user: Span,
    password: Span,
    host: Span,
    port: Option<u16>,
    /// With their first `;`.
    params: Span,
    /// Without the `?`.
    headers: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    Urn,
    /// A Request-URI with such a scheme gets 416 (RFC 3261 §8.2.2.1).
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    Name(&'a str),
    Ip(IpAddr),
}

/// The peer's fault: 400 in a request, silence in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadUri {
    /// No scheme, or nothing after it.
    Scheme,
    User,
    Host,
    Port,
    Param,
    Header,
    Number,
    /// A byte no URI has, or more of them than can be counted.
    Opaque,
}

/// Empty where the part is absent: no part of a URI is of use empty.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Span {
    from: u32,
    to: u32,
}

impl Uri {
    /// Reads one URI that fills `raw`.
    pub fn parse(raw: Bytes) -> Result<Self, BadUri> {
        let text: &[u8] = &raw;
        let (scheme, parts) = Parts::read(text)?;
        let span = |part: &[u8]| {
            let from = syntax::offset(text, part) as u32;
            if part.is_empty() { Span::default() } else { Span { from, to: from + part.len() as u32 } }
        };
        let [user, password, host] = [parts.user, parts.password, parts.host].map(span);
        let [params, headers] = [parts.params, parts.headers].map(span);
        Ok(Self { scheme, user, password, host, port: parts.port, params, headers, raw })
    }

    /// As [`Uri::parse`], for the verdict alone.
    pub(super) fn check(raw: &[u8]) -> Result<(), BadUri> {
        Parts::read(raw).map(drop)
    }

    /// `sip:user@address`; the user is escaped as it needs, and left out where empty.
    pub fn sip(user: &str, at: SocketAddr) -> Self {
        let mut raw = String::from("sip:");
        if !user.is_empty() {
            escape_into(&mut raw, user.as_bytes(), USER);
            raw.push('@');
        }
        // Not the address' own print: that may carry an IPv6 zone, which no URI has.
        raw.push_str(&format!("{}:{}", Host::Ip(at.ip()), at.port()));
        Self::parse(raw.into()).expect("escaped and numeric")
    }

    /// `sip:user@host[:port]` of a configured host: a name, an address, `[…]` around IPv6 optional.
    pub fn sip_at(user: &str, host: &str, port: Option<u16>) -> Result<Self, BadUri> {
        let mut raw = String::from("sip:");
        if !user.is_empty() {
            escape_into(&mut raw, user.as_bytes(), USER);
            raw.push('@');
        }
        raw.push_str(&Host::parse(host.as_bytes()).ok_or(BadUri::Host)?.to_string());
        if let Some(port) = port {
            raw.push_str(&format!(":{port}"));
        }
        Self::parse(raw.into())
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    pub fn as_str(&self) -> &str {
        // Every byte was checked to be ASCII.
        std::str::from_utf8(&self.raw).unwrap_or_default()
    }

    /// As written: escapes stand, telephone parameters included. `None` for tel and the opaque.
    pub fn user(&self) -> Option<&str> {
        if self.is_sip() { self.text(self.user) } else { None }
    }

    /// The user with its escapes undone; `%00` is a byte like any other.
    pub fn user_unescaped(&self) -> Option<Cow<'_, [u8]>> {
        self.user().map(|user| unescape(user.as_bytes()))
    }

    /// What was dialled: a tel URI's number, or a sip user up to its telephone parameters, unescaped.
    pub fn number(&self) -> Option<Cow<'_, str>> {
        let user = self.text(self.user)?;
        let number = user.split(';').next().filter(|n| !n.is_empty())?;
        match unescape(number.as_bytes()) {
            Cow::Borrowed(_) => Some(Cow::Borrowed(number)),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        }
    }

    pub fn password(&self) -> Option<&str> {
        self.text(self.password)
    }

    pub fn host(&self) -> Option<Host<'_>> {
        Host::parse(self.text(self.host)?.as_bytes())
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Names and values as written. `None` as value: the name stands alone.
    pub fn params(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let params = self.text(self.params).unwrap_or_default();
        params.split(';').skip(1).map(|param| match param.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (param, None),
        })
    }

    /// The parameter of that name, in any case: `Some(None)` where it has no value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        let matches = |found: &str| unescape(found.as_bytes()).eq_ignore_ascii_case(name.as_bytes());
        self.params().find(|(found, _)| matches(found)).map(|(_, value)| value)
    }

    /// `;lr`: the proxy at this URI is a loose router (RFC 3261 §19.1.1).
    pub fn is_loose(&self) -> bool {
        self.param("lr").is_some()
    }

    /// The headers a request made from this URI would carry, escapes standing.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.text(self.headers).unwrap_or_default();
        headers.split('&').filter_map(|header| header.split_once('='))
    }

    /// The same URI with one more parameter, replacing any of that name; escaped as it needs. Without
    /// a value, or with an empty one, the name stands alone. Only sip, sips and tel have parameters.
    #[must_use]
    pub fn with_param(&self, name: &str, value: Option<&str>) -> Self {
        if name.is_empty() || matches!(self.scheme, Scheme::Urn | Scheme::Other) {
            return self.clone();
        }
        let head = match (self.params.from, self.headers.from) {
            (0, 0) => self.as_str(),
            // One back for the `?`.
            (0, headers) => &self.as_str()[..headers as usize - 1],
            (params, _) => &self.as_str()[..params as usize],
        };
        let mut raw = String::from(head);
        for (found, value) in self.params().filter(|(found, _)| !found.eq_ignore_ascii_case(name)) {
            raw.push(';');
            raw.push_str(found);
            if let Some(value) = value {
                raw.push('=');
                raw.push_str(value);
            }
        }
        raw.push(';');
        escape_into(&mut raw, name.as_bytes(), PARAM);
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            raw.push('=');
            escape_into(&mut raw, value.as_bytes(), PARAM);
        }
        if let Some(headers) = self.text(self.headers) {
            raw.push('?');
            raw.push_str(headers);
        }
        Self::parse(raw.into()).unwrap_or_else(|_| self.clone())
    }

    /// A copy that no longer keeps the message it came in.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { raw: Bytes::copy_from_slice(&self.raw), ..self.clone() }
    }

    /// RFC 3261 §19.1.4 for sip and sips, RFC 3966 §5 for tel; otherwise the bytes, the scheme in any
    /// case. Not transitive, hence no `Eq`.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        match self.scheme {
            Scheme::Sip | Scheme::Sips => self.is_equivalent_sip(other),
            Scheme::Tel => {
                let digits = |uri: &Self| {
                    let number = uri.text(uri.user).unwrap_or_default().to_ascii_lowercase();
                    number.replace(['-', '.', '(', ')'], "")
                };
                let within = |a: &Self, b: &Self| {
                    a.params()
                        .all(|(name, value)| b.param(name).is_some_and(|found| same_value(value, found)))
                };
                digits(self) == digits(other) && within(self, other) && within(other, self)
            }
            Scheme::Urn | Scheme::Other => {
                let split = |uri: &Self| uri.raw.iter().position(|&b| b == b':').unwrap_or_default();
                let (a, b) = (self.raw.split_at(split(self)), other.raw.split_at(split(other)));
                a.0.eq_ignore_ascii_case(b.0) && a.1 == b.1
            }
        }
    }

    fn is_equivalent_sip(&self, other: &Self) -> bool {
        // Present in one only, these four differ even from their defaults; others are ignored then.
        const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
        let agrees = |a: &Self, b: &Self| {
            a.params().all(|(name, value)| match b.param(name) {
                Some(found) => same_value(value, found),
                None => !DECISIVE.iter().any(|d| d.eq_ignore_ascii_case(name)),
            })
        };
        let within = |a: &Self, b: &Self| {
            a.headers().all(|(name, value)| {
                let mut found = b.headers().filter(|(n, _)| same(n, name, u8::to_ascii_lowercase));
                found.any(|(_, v)| same(v, value, |b| *b))
            })
        };
        let exact = |a: Option<&str>, b: Option<&str>| match (a, b) {
            (Some(a), Some(b)) => same(a, b, |b| *b),
            (a, b) => a == b,
        };
        exact(self.user(), other.user())
            && exact(self.password(), other.password())
            && self.port == other.port
            && match (self.host(), other.host()) {
                (Some(Host::Name(a)), Some(Host::Name(b))) => a.eq_ignore_ascii_case(b),
                (a, b) => a == b,
            }
            && agrees(self, other)
            && agrees(other, self)
            && within(self, other)
            && within(other, self)
    }

    fn text(&self, span: Span) -> Option<&str> {
        let part = self.raw.get(span.from as usize..span.to as usize).filter(|part| !part.is_empty())?;
        std::str::from_utf8(part).ok()
    }
}

#[derive(Default)]
struct Parts<'a> {
    user: &'a [u8],
    password: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
    params: &'a [u8],
    headers: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(text: &'a [u8]) -> Result<(Scheme, Self), BadUri> {
        if u32::try_from(text.len()).is_err() {
            return Err(BadUri::Opaque);
        }
        let (scheme, rest) = syntax::split_where(text, |b| b == b':');
        let rest = rest.get(1..).filter(|rest| !rest.is_empty()).ok_or(BadUri::Scheme)?;
        let mut parts = Self::default();
        let scheme = match scheme.len() {
            3 if scheme.eq_ignore_ascii_case(b"sip") => Scheme::Sip,
            4 if scheme.eq_ignore_ascii_case(b"sips") => Scheme::Sips,
            3 if scheme.eq_ignore_ascii_case(b"tel") => Scheme::Tel,
            3 if scheme.eq_ignore_ascii_case(b"urn") => Scheme::Urn,
            _ => {
                let is_scheme = |b: &u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
                if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !scheme.iter().all(is_scheme) {
                    return Err(BadUri::Scheme);
                }
                Scheme::Other
            }
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => parts.read_sip(rest)?,
            Scheme::Tel => parts.read_tel(rest)?,
            Scheme::Urn | Scheme::Other => {
                if !rest.iter().all(|b| b.is_ascii_graphic() && !b"<>\"".contains(b)) {
                    return Err(BadUri::Opaque);
                }
            }
        }
        Ok((scheme, parts))
    }

    fn read_sip(&mut self, text: &'a [u8]) -> Result<(), BadUri> {
        let (userinfo, at) = syntax::split_where(text, |b| b == b'@');
        let rest = match at {
            [_, rest @ ..] => {
                let (user, password) = syntax::split_where(userinfo, |b| b == b':');
                self.user = user;
                self.password = password.get(1..).unwrap_or_default();
                if user.is_empty()
                    || !syntax::escaped(user, USER)
                    || !syntax::escaped(self.password, PASSWORD)
                {
                    return Err(BadUri::User);
                }
                rest
            }
            [] => text,
        };
        let (hostport, rest) = syntax::split_where(rest, |b| b == b';' || b == b'?');
        (self.host, self.port) = split_hostport(hostport)?;
        let (params, headers) = syntax::split_where(rest, |b| b == b'?');
        self.read_params(params)?;
        if let [_, headers @ ..] = headers {
            self.headers = headers;
            for header in headers.split(|&b| b == b'&') {
                let (name, value) = syntax::split_where(header, |b| b == b'=');
                let value = value.get(1..).ok_or(BadUri::Header)?;
                if name.is_empty() || !syntax::escaped(name, HEADER) || !syntax::escaped(value, HEADER) {
                    return Err(BadUri::Header);
                }
            }
        }
        Ok(())
    }

    fn read_tel(&mut self, text: &'a [u8]) -> Result<(), BadUri> {
        let (number, params) = syntax::split_where(text, |b| b == b';');
        let is_separator = |b: u8| b"-.()".contains(&b);
        let is_phone = match number {
            [b'+', global @ ..] => {
                global.iter().any(u8::is_ascii_digit)
                    && global.iter().all(|&b| b.is_ascii_digit() || is_separator(b))
            }
            // RFC 3966 §3 wants a phone-context here; half the field leaves it out.
            local => {
                let is_digit = |b: u8| b.is_ascii_hexdigit() || b == b'*' || b == b'#';
                local.iter().any(|&b| is_digit(b)) && local.iter().all(|&b| is_digit(b) || is_separator(b))
            }
        };
        if !is_phone {
            return Err(BadUri::Number);
        }
        self.user = number;
        self.read_params(params)
    }

    fn read_params(&mut self, params: &'a [u8]) -> Result<(), BadUri> {
        self.params = params;
        for param in params.split(|&b| b == b';').skip(1) {
            let (name, value) = syntax::split_where(param, |b| b == b'=');
            let is_valued = match value {
                [] => true,
                [_, value @ ..] => !value.is_empty() && syntax::escaped(value, PARAM),
            };
            if name.is_empty() || !syntax::escaped(name, PARAM) || !is_valued {
                return Err(BadUri::Param);
            }
        }
        Ok(())
    }
}

/// `host[:port]` without blanks.
pub(super) fn split_hostport(text: &[u8]) -> Result<(&[u8], Option<u16>), BadUri> {
    let host_length = match text {
        [b'[', ..] => text.iter().position(|&b| b == b']').ok_or(BadUri::Host)? + 1,
        _ => text.iter().position(|&b| b == b':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(host_length);
    Host::parse(host)
        .filter(|h| host.starts_with(b"[") || !matches!(h, Host::Ip(IpAddr::V6(_))))
        .ok_or(BadUri::Host)?;
    match port {
        [] => Ok((host, None)),
        [b':', digits @ ..] => match syntax::number(digits).and_then(|n| u16::try_from(n).ok()) {
            Some(port) => Ok((host, Some(port))),
            None => Err(BadUri::Port),
        },
        _ => Err(BadUri::Host),
    }
}

impl<'a> Host<'a> {
    /// A name, an IPv4 address, or an IPv6 address with or without its brackets.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']').and_then(parse_v6).map(|ip| Self::Ip(ip.into()));
        }
        // Only digits and dots can be IPv4, and only a colon can be IPv6: names skip both.
        if text.as_bytes().first().is_some_and(u8::is_ascii_digit)
            && let Ok(ip) = text.parse::<Ipv4Addr>()
        {
            return Some(Self::Ip(ip.into()));
        }
        if syntax::all(text.as_bytes(), HOST) {
            return Some(Self::Name(text));
        }
        parse_v6(text).map(|ip| Self::Ip(ip.into()))
    }

    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            Self::Name(_) => None,
        }
    }
}

fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    // RFC 5118 §4.10: RFC 3261's grammar lets `:::` stand before an IPv4 tail; it means `::`.
    text.parse().ok().or_else(|| text.replacen(":::", "::", 1).parse().ok().filter(|_| text.contains(":::")))
}

/// IPv6 in its brackets.
impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl FromStr for Uri {
    type Err = BadUri;

    fn from_str(text: &str) -> Result<Self, BadUri> {
        Self::parse(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The user is a person's number as often as not: only its ends are shown.
impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.from as usize..self.user.to as usize;
        let (head, tail) = (self.as_str().get(..user.start), self.as_str().get(user.end..));
        f.write_str(head.unwrap_or_default())?;
        if let Some(user) = self.text(self.user) {
            crate::base::Mask::mask(user, f)?;
        }
        f.write_str(tail.unwrap_or_default())
    }
}

impl fmt::Display for BadUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "no scheme, or nothing after it",
            Self::User => "a broken user part",
            Self::Host => "a broken host",
            Self::Port => "a broken port",
            Self::Param => "a broken parameter",
            Self::Header => "a broken header",
            Self::Number => "a broken telephone number",
            Self::Opaque => "a byte that stands in no URI",
        })
    }
}

impl std::error::Error for BadUri {}

/// Percent escapes undone, borrowed where there are none.
fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(Unescaped(text).map(|(byte, _)| byte).collect())
}

fn escape_into(raw: &mut String, text: &[u8], class: u8) {
    for &byte in text {
        if syntax::is(byte, class) {
            raw.push(byte.into());
        } else {
            raw.push('%');
            for nibble in [byte >> 4, byte & 15] {
                raw.push(char::from_digit(nibble.into(), 16).unwrap_or_default().to_ascii_uppercase());
            }
        }
    }
}

/// Bytes with their escapes undone. The flag keeps an escaped reserved byte apart from a bare one
/// (RFC 3261 §19.1.4: `%3B` is not `;`). A broken escape stands for itself.
struct Unescaped<'a>(&'a [u8]);

impl Iterator for Unescaped<'_> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<(u8, bool)> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (syntax::hex(*high), syntax::hex(*low))
        {
            self.0 = rest;
            let byte = high << 4 | low;
            return Some((byte, b";/?:@&=+$,".contains(&byte)));
        }
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some((*byte, false))
    }
}

fn same(a: &str, b: &str, fold: fn(&u8) -> u8) -> bool {
    let folded = |(byte, escaped): (u8, bool)| (fold(&byte), escaped);
    Unescaped(a.as_bytes()).map(folded).eq(Unescaped(b.as_bytes()).map(folded))
}

fn same_value(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b, u8::to_ascii_lowercase),
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn refusal(text: &str) -> Option<BadUri> {
        text.parse::<Uri>().err()
    }

    #[test]
    fn every_part_is_found_where_it_stands() {
        let uri =
            uri("sips:+86-10;phone-context=cn:p%40ss@[2001:db8::1]:5061;transport=tcp;lr?Subject=a%20b&X=");
        assert_eq!(uri.scheme(), Scheme::Sips);
        assert_eq!(uri.user(), Some("+86-10;phone-context=cn"));
        assert_eq!(uri.number().as_deref(), Some("+86-10"));
        assert_eq!(uri.password(), Some("p%40ss"));
        assert_eq!(uri.host(), Some(Host::Ip("2001:db8::1".parse().unwrap())));
        assert_eq!(uri.port(), Some(5061));
        assert_eq!(uri.params().collect::<Vec<_>>(), [("transport", Some("tcp")), ("lr", None)]);
        assert_eq!(uri.headers().collect::<Vec<_>>(), [("Subject", "a%20b"), ("X", "")]);
        assert!(uri.is_loose());
    }

    #[test]
    fn a_user_may_look_like_a_path_and_a_password_like_a_poem() {
        let uri = uri(
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
        );
        assert_eq!(uri.user(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
        assert_eq!(uri.host(), Some(Host::Name("example.com")));
    }

    #[test]
    fn an_escaped_nul_is_a_byte_and_a_broken_escape_a_refusal() {
        assert_eq!(
            uri("sip:null-%00-null@example.com").user_unescaped().as_deref(),
            Some(&b"null-\0-null"[..])
        );
        for broken in ["sip:a%@h", "sip:a%4@h", "sip:a%zz@h", "sip:a%4%41@h"] {
            assert_eq!(refusal(broken), Some(BadUri::User), "{broken}");
        }
        assert_eq!(refusal("sip:h;a=%"), Some(BadUri::Param));
        assert_eq!(refusal("sip:h?a=%1"), Some(BadUri::Header));
    }

    #[test]
    fn telephone_numbers_are_read_with_their_separators() {
        let tel = uri("tel:+1-(201)-555.0123;ext=5");
        assert_eq!((tel.scheme(), tel.number().as_deref()), (Scheme::Tel, Some("+1-(201)-555.0123")));
        assert_eq!((tel.user(), tel.host(), tel.param("EXT")), (None, None, Some(Some("5"))));
        assert_eq!(uri("tel:*21#;phone-context=example.com").number().as_deref(), Some("*21#"));
        for broken in ["tel:", "tel:+", "tel:-", "tel:+1a", "tel:hello", "tel:+1;", "tel:+1;=x"] {
            assert!(refusal(broken).is_some(), "{broken}");
        }
    }

    #[test]
    fn what_we_do_not_know_is_kept_as_it_is() {
        for text in
            ["urn:service:sos.police", "soap.beep://192.0.2.103:3002", "http://example.com/a?b#c", "x:%zz"]
        {
            assert_eq!(uri(text).as_str(), text);
        }
        assert_eq!(uri("urn:service:sos").scheme(), Scheme::Urn);
        assert_eq!(uri("soap.beep:x").scheme(), Scheme::Other);
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        use BadUri::{Host, Opaque, Param, Port, Scheme, User};
        for (text, why) in [
            ("", Scheme),
            ("sip", Scheme),
            ("sip:", Scheme),
            ("<sip:a@b>", Scheme),
            ("1sip:a", Scheme),
            (":a", Scheme),
            ("sip:@b", User),
            ("sip:a b@c", User),
            ("sip:a\r\nb@c", User),
            ("sip:b\u{e9}@c", User),
            ("sip:a@", Host),
            ("sip:a@b c", Host),
            ("sip:a@[::1", Host),
            ("sip:a@[1.2.3.4]", Host),
            ("sip:a@[::1]x", Host),
            ("sip:a@b:", Port),
            ("sip:a@b:65536", Port),
            ("sip:a@b:-1", Port),
            ("sip:2001:db8::10", Port),
            ("sip:b;", Param),
            ("sip:b;;lr", Param),
            ("sip:b;x=", Param),
            ("x:a b", Opaque),
            ("x:a\0", Opaque),
        ] {
            assert_eq!(refusal(text), Some(why), "{text:?}");
        }
    }

    /// RFC 3261 §19.1.4, its examples and a few of its sentences.
    #[test]
    fn equivalence_is_the_rfcs() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"),
            ("tel:+1-201-555-0123;a=b;ext=1", "tel:+12015550123;EXT=1;a=B"),
            ("HTTP://a/B", "http://a/B"),
        ] {
            assert!(uri(a).is_equivalent(&uri(b)) && uri(b).is_equivalent(&uri(a)), "{a} {b}");
        }
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
            ("sip:a%3Bb@h", "sip:a;b@h"),
            ("sip:bob:x@h", "sip:bob@h"),
            ("sip:bob@h", "sip:h"),
            ("sip:h;maddr=1.2.3.4", "sip:h"),
            ("tel:+1;ext=1", "tel:+1"),
            ("http://a/B", "http://a/b"),
        ] {
            assert!(!uri(a).is_equivalent(&uri(b)) && !uri(b).is_equivalent(&uri(a)), "{a} {b}");
        }
    }

    #[test]
    fn what_we_put_into_a_uri_stays_in_its_place() {
        let at = "203.0.113.5:5060".parse().unwrap();
        assert_eq!(
            Uri::sip("100@x\r\nVia: <y>;", at).as_str(),
            "sip:100%40x%0D%0AVia%3A%20%3Cy%3E;@203.0.113.5:5060"
        );
        assert_eq!(Uri::sip("", "[fe80::1%3]:5060".parse().unwrap()).as_str(), "sip:[fe80::1]:5060");
        assert_eq!(Uri::sip_at("a", "2001:db8::1", Some(9)).unwrap().as_str(), "sip:a@[2001:db8::1]:9");
        assert_eq!(Uri::sip_at("a", "b;lr", None), Err(BadUri::Host));
        let base = uri("sip:a@b;Transport=udp;x?h=1");
        assert_eq!(base.with_param("transport", Some("tc;p")).as_str(), "sip:a@b;x;transport=tc%3Bp?h=1");
        assert_eq!(uri("sip:a@b?h=1").with_param("lr", None).as_str(), "sip:a@b;lr?h=1");
        assert_eq!(uri("tel:1").with_param("ext", Some("7")).as_str(), "tel:1;ext=7");
        assert_eq!(uri("urn:a:b").with_param("ext", Some("7")).as_str(), "urn:a:b");
    }

    #[test]
    fn a_logged_uri_does_not_give_its_user_away() {
        assert_eq!(format!("{:?}", uri("sip:+8613911112222@h;x=1")), "sip:+86*********22@h;x=1");
    }
}
