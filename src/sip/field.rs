//! What stands in a header, read: addresses, Via, CSeq, media types, challenges.
//!
//! Each is a slice or a few of the message it came in, read strictly where RFC 3261 §25.1 leaves no
//! doubt and generously where the field does; each turns back into a [`Value`] that needs no care,
//! quoted and escaped as its grammar wants.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::Transport;
use super::header::{Flaw, Value, join};
use super::message::Method;
use super::syntax::{self, TOKEN, VALUE};
use super::uri::{self, Host, Uri};

/// Parts of one line, each under its own reader's names.
type Three<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Host and port.
type SentBy<'a> = (&'a [u8], Option<u16>);

/// Header parameters, `;name=value` each, verbatim.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Params(pub(super) Bytes);

impl Params {
    /// Reads what is empty or opens with `;`.
    pub(super) fn parse(raw: Bytes) -> Result<Self, Flaw> {
        Self::check(&raw)?;
        Ok(Self(raw))
    }

    pub(super) fn check(raw: &[u8]) -> Result<(), Flaw> {
        let mut rest = raw;
        while let [b';', tail @ ..] = rest {
            let (name, tail) = syntax::split_where(syntax::trim_start(tail), |b| !syntax::is(b, TOKEN));
            rest = syntax::trim_start(tail);
            if let [b'=', tail @ ..] = rest {
                let tail = syntax::trim_start(tail);
                let (value, tail) = match tail {
                    [b'"', ..] => syntax::quoted(tail).ok_or(Flaw::Syntax)?,
                    _ => syntax::split_where(tail, |b| !syntax::is(b, VALUE)),
                };
                if value.is_empty() {
                    return Err(Flaw::Syntax);
                }
                rest = syntax::trim_start(tail);
            }
            if name.is_empty() {
                return Err(Flaw::Syntax);
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(Flaw::Syntax) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values as written, quotes on.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (param, after) = split_param(rest.get(1..)?);
            rest = after;
            let (name, value) = split_pair(param);
            Some((std::str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    /// Whether the parameter is there, with a value or without.
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|(found, _)| found.eq_ignore_ascii_case(name))
    }

    /// The value as written, quotes on. `None` too where the parameter has none.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).and_then(|(_, value)| value)
    }

    /// The value without its quotes and their escapes.
    pub fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.raw(name).map(unquote)
    }

    /// The value as written, as a slice that outlives its parameters.
    pub fn slice(&self, name: &str) -> Option<Bytes> {
        self.raw(name).map(|value| self.0.slice_ref(value))
    }

    /// In place of any of that name; quoted where it must be. A name that is no token sets nothing.
    pub fn set(&mut self, name: &str, value: Option<&[u8]>) {
        if !syntax::is_token(name.as_bytes()) {
            return;
        }
        self.remove(name);
        let written = value.map(|value| match syntax::is_token(value) || Host::parse(value).is_some() {
            true => Cow::Borrowed(value),
            false => Cow::Owned(quote(value)),
        });
        self.0 = match written {
            Some(value) => join(&[&self.0, b";", name.as_bytes(), b"=", &value]),
            None => join(&[&self.0, b";", name.as_bytes()]),
        };
    }

    pub fn remove(&mut self, name: &str) {
        if !self.has(name) {
            return;
        }
        let mut raw = Vec::with_capacity(self.0.len());
        for (found, value) in self.iter().filter(|(found, _)| !found.eq_ignore_ascii_case(name)) {
            raw.push(b';');
            raw.extend_from_slice(found.as_bytes());
            if let Some(value) = value {
                raw.push(b'=');
                raw.extend_from_slice(value);
            }
        }
        self.0 = raw.into();
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// One parameter without blanks around it, and what follows from its `;` on.
fn split_param(text: &[u8]) -> (&[u8], &[u8]) {
    let (param, after) = syntax::split_item(text, b';');
    let after = after.map_or(0, |after| after.len() + 1);
    (syntax::trim(param), text.get(text.len() - after..).unwrap_or_default())
}

fn split_pair(param: &[u8]) -> (&[u8], Option<&[u8]>) {
    match syntax::split_where(param, |b| b == b'=') {
        (name, [_, value @ ..]) => (syntax::trim(name), Some(syntax::trim(value))),
        (name, []) => (name, None),
    }
}

/// A quoted string's text; anything else as it is.
fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")) else {
        return Cow::Borrowed(value);
    };
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(&byte) = rest.next() {
        text.extend(if byte == b'\\' { rest.next().copied() } else { Some(byte) });
    }
    Cow::Owned(text)
}

/// What no quoted string can hold, not even escaped, becomes a space.
fn quote(text: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(text.len() + 2);
    raw.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => raw.extend_from_slice(&[b'\\', byte]),
            b'\r' | b'\n' | 0 => raw.push(b' '),
            _ => raw.push(byte),
        }
    }
    raw.push(b'"');
    raw
}

/// An address with its display name and header parameters: From, To, Contact, Route, ….
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NameAddr {
    /// As written: a quoted string or bare words.
    display: Bytes,
    pub uri: Uri,
    pub params: Params,
}

/// What a request's Contact says (RFC 3261 §10.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts {
    /// `*`: every binding, to be removed.
    Star,
    List(Vec<NameAddr>),
}

impl NameAddr {
    pub fn new(uri: Uri) -> Self {
        Self { display: Bytes::new(), uri, params: Params::default() }
    }

    /// Reads one address that fills `raw`, bracketed or bare.
    pub fn parse(raw: Bytes) -> Result<Self, Flaw> {
        let (display, uri, params) = Self::split(&raw)?;
        Ok(Self {
            display: raw.slice_ref(display),
            uri: Uri::parse(raw.slice_ref(uri)).map_err(Flaw::Uri)?,
            params: Params::parse(raw.slice_ref(params))?,
        })
    }

    /// As [`NameAddr::parse`], for the verdict alone.
    pub(super) fn check(raw: &[u8]) -> Result<(), Flaw> {
        let (_, uri, params) = Self::split(raw)?;
        Uri::check(uri).map_err(Flaw::Uri)?;
        Params::check(params)
    }

    /// Display name, URI and parameters.
    fn split(raw: &[u8]) -> Result<Three<'_>, Flaw> {
        let text = syntax::trim(raw);
        let (display, rest) = match text {
            [b'"', ..] => syntax::quoted(text).ok_or(Flaw::Syntax)?,
            _ => match text.iter().position(|&b| b == b'<') {
                Some(bracket) => text.split_at(bracket),
                None => return Self::split_bare(text),
            },
        };
        let display = syntax::trim(display);
        // Unquoted, RFC 3261 grants tokens only; the field writes names in UTF-8 and with more
        // punctuation. What separates elsewhere stays refused (RFC 4475 §3.1.2.15).
        let is_word = |b: &u8| matches!(b, b' ' | b'\t' | b'!'..=b'~' | 128..) && !b"\"<>,;:\\".contains(b);
        if !display.starts_with(b"\"") && !display.iter().all(is_word) {
            return Err(Flaw::Syntax);
        }
        let [b'<', rest @ ..] = syntax::trim_start(rest) else { return Err(Flaw::Syntax) };
        let (uri, rest) = syntax::split_where(rest, |b| b == b'>');
        Ok((display, uri, syntax::trim_start(rest.get(1..).ok_or(Flaw::Syntax)?)))
    }

    /// RFC 3261 §20.10: without brackets, parameters are the header's, and `?` and `,` cannot be.
    fn split_bare(text: &[u8]) -> Result<Three<'_>, Flaw> {
        let (uri, params) = syntax::split_where(text, |b| b == b';');
        let uri = syntax::trim(uri);
        if uri.iter().any(|b| b"?,".contains(b)) {
            return Err(Flaw::Syntax);
        }
        Ok((&[], uri, params))
    }

    /// Without quotes and escapes. `None` where there is none.
    pub fn display(&self) -> Option<Cow<'_, [u8]>> {
        Some(unquote(&self.display)).filter(|name| !name.is_empty())
    }

    #[must_use]
    pub fn with_display(mut self, name: &str) -> Self {
        self.display = quote(name.as_bytes()).into();
        self
    }

    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        self.params.set(name, value.map(str::as_bytes));
        self
    }

    /// A peer's tag is written as the peer wrote it, token or not.
    #[must_use]
    pub fn with_tag(mut self, tag: impl AsRef<[u8]>) -> Self {
        let tag = tag.as_ref();
        if syntax::all(tag, VALUE) {
            self.params.remove("tag");
            self.params.0 = join(&[&self.params.0, b";tag=", tag]);
        } else {
            self.params.set("tag", Some(tag));
        }
        self
    }

    /// As a slice of the message.
    pub fn tag(&self) -> Option<Bytes> {
        self.params.slice("tag")
    }

    /// A copy that no longer keeps the message it came in.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            display: Bytes::copy_from_slice(&self.display),
            uri: self.uri.detached(),
            params: Params(Bytes::copy_from_slice(&self.params.0)),
        }
    }
}

impl From<&NameAddr> for Value {
    fn from(addr: &NameAddr) -> Self {
        let blank: &[u8] = if addr.display.is_empty() { b"" } else { b" " };
        Self(join(&[&addr.display, blank, b"<", addr.uri.as_bytes(), b">", &addr.params.0]))
    }
}

impl From<NameAddr> for Value {
    fn from(addr: NameAddr) -> Self {
        Self::from(&addr)
    }
}

/// Names and numbers of persons stay masked.
impl fmt::Debug for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{:?}>{:?}", self.uri, self.params)
    }
}

/// One hop of the way back (RFC 3261 §20.42).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Via {
    transport: Bytes,
    host: Bytes,
    pub port: Option<u16>,
    pub params: Params,
}

impl Via {
    /// Ours: `branch` is a token, and `rport` asks for symmetric response routing (RFC 3581 §3).
    pub fn new(transport: Transport, sent_by: SocketAddr, branch: &str) -> Self {
        let mut params = Params::default();
        params.set("rport", None);
        params.set("branch", Some(branch.as_bytes()));
        Self {
            transport: Bytes::from_static(transport.name().as_bytes()),
            host: Host::Ip(sent_by.ip()).to_string().into(),
            port: Some(sent_by.port()),
            params,
        }
    }

    /// Reads one Via that fills `raw`.
    pub fn parse(raw: Bytes) -> Result<Self, Flaw> {
        let (transport, (host, port), params) = Self::split(&raw)?;
        Ok(Self {
            transport: raw.slice_ref(transport),
            host: raw.slice_ref(host),
            port,
            params: Params::parse(raw.slice_ref(params))?,
        })
    }

    /// As [`Via::parse`], for the verdict alone.
    pub(super) fn check(raw: &[u8]) -> Result<(), Flaw> {
        let (_, _, params) = Self::split(raw)?;
        Params::check(params)
    }

    /// Transport, sent-by and parameters.
    fn split(raw: &[u8]) -> Result<(&[u8], SentBy<'_>, &[u8]), Flaw> {
        let text = syntax::trim(raw);
        let (name, rest) = part_at(text, b'/').ok_or(Flaw::Syntax)?;
        let (version, rest) = part_at(rest, b'/').ok_or(Flaw::Syntax)?;
        let (transport, rest) = syntax::split_where(syntax::trim_start(rest), |b| b == b' ' || b == b'\t');
        if !name.eq_ignore_ascii_case(b"SIP") || version != b"2.0" || !syntax::is_token(transport) {
            return Err(Flaw::Syntax);
        }
        let (sent_by, params) = syntax::split_where(rest, |b| b == b';');
        let sent_by = syntax::trim(sent_by);
        let (host, port) = match uri::split_hostport(sent_by) {
            Ok(parts) => parts,
            // RFC 3261 §25.1: COLON may have blanks around it, here too.
            Err(_) => match part_at(sent_by, b':') {
                Some((host, digits)) if Host::parse(host).is_some() => {
                    let port = syntax::number(syntax::trim(digits)).and_then(|n| u16::try_from(n).ok());
                    (host, Some(port.ok_or(Flaw::Range)?))
                }
                _ => return Err(Flaw::Syntax),
            },
        };
        Ok((transport, (host, port), params))
    }

    /// `UDP`, `TCP`, `TLS`, `WS`, … as written.
    pub fn transport(&self) -> &str {
        std::str::from_utf8(&self.transport).unwrap_or_default()
    }

    pub fn host(&self) -> Option<Host<'_>> {
        Host::parse(&self.host)
    }

    /// The host as written, for matching transactions (RFC 3261 §17.2.3).
    pub fn host_bytes(&self) -> &Bytes {
        &self.host
    }

    /// As a slice of the message.
    pub fn branch(&self) -> Option<Bytes> {
        self.params.slice("branch")
    }

    pub fn received(&self) -> Option<IpAddr> {
        Host::parse(self.params.raw("received")?)?.ip()
    }

    /// `Some(None)`: the sender asks for it (RFC 3581).
    pub fn rport(&self) -> Option<Option<u16>> {
        let value = self.params.raw("rport");
        let port = value.and_then(syntax::number).and_then(|n| u16::try_from(n).ok());
        self.params.has("rport").then_some(port)
    }

    pub fn maddr(&self) -> Option<Host<'_>> {
        Host::parse(self.params.raw("maddr")?)
    }

    /// Notes where the request really came from: `received` where that differs from sent-by or
    /// `rport` was asked for, and then `rport` too (RFC 3261 §18.2.1, RFC 3581 §4).
    pub fn stamp(&mut self, source: SocketAddr) {
        let asked = self.params.has("rport");
        let is_honest = self.host().and_then(Host::ip) == Some(source.ip());
        if asked {
            self.params.set("rport", Some(source.port().to_string().as_bytes()));
        }
        if asked || !is_honest {
            self.params.set("received", Some(source.ip().to_string().as_bytes()));
        } else {
            // Whatever the sender claims there is not its to say.
            self.params.remove("received");
        }
    }
}

/// What is before the first `sep`, trimmed, and what is after it.
fn part_at(text: &[u8], sep: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == sep)?;
    Some((syntax::trim(&text[..at]), &text[at + 1..]))
}

impl From<&Via> for Value {
    fn from(via: &Via) -> Self {
        let room = &mut [0; 20];
        let (colon, port): (&[u8], &[u8]) = match via.port {
            Some(port) => (b":", syntax::decimal(port.into(), room)),
            None => (b"", b""),
        };
        Self(join(&[b"SIP/2.0/", &via.transport, b" ", &via.host, colon, port, &via.params.0]))
    }
}

impl From<Via> for Value {
    fn from(via: Via) -> Self {
        Self::from(&via)
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Value::from(self).lossy())
    }
}

/// A request's place in its dialog (RFC 3261 §20.16).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// Below 2³¹ (RFC 3261 §8.1.1.5).
    pub number: u32,
    pub method: Method,
}

impl CSeq {
    pub fn new(number: u32, method: Method) -> Self {
        Self { number, method }
    }

    pub(super) fn parse(raw: Bytes) -> Result<Self, Flaw> {
        let (digits, rest) = syntax::split_where(&raw, |b| !b.is_ascii_digit());
        let method = syntax::trim_start(rest);
        if digits.is_empty() || method.len() == rest.len() {
            return Err(Flaw::Syntax);
        }
        let number = syntax::number(digits).filter(|&n| n < 1 << 31).ok_or(Flaw::Range)?;
        let method = Method::within(&raw, method).ok_or(Flaw::Syntax)?;
        Ok(Self { number: number as u32, method })
    }
}

impl From<&CSeq> for Value {
    fn from(cseq: &CSeq) -> Self {
        Self(format!("{} {}", cseq.number, cseq.method).into())
    }
}

impl From<CSeq> for Value {
    fn from(cseq: CSeq) -> Self {
        Self::from(&cseq)
    }
}

/// What a body is (RFC 3261 §20.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    kind: Bytes,
    subtype: Bytes,
    pub params: Params,
}

impl ContentType {
    pub(super) fn parse(raw: Bytes) -> Result<Self, Flaw> {
        let (kind, subtype, params) = Self::split(&raw)?;
        let params = Params::parse(raw.slice_ref(params))?;
        Ok(Self { kind: raw.slice_ref(kind), subtype: raw.slice_ref(subtype), params })
    }

    pub(super) fn split(raw: &[u8]) -> Result<Three<'_>, Flaw> {
        let (media, params) = syntax::split_where(raw, |b| b == b';');
        let (kind, subtype) = part_at(media, b'/').ok_or(Flaw::Syntax)?;
        let subtype = syntax::trim(subtype);
        if !syntax::is_token(kind) || !syntax::is_token(subtype) {
            return Err(Flaw::Syntax);
        }
        Ok((kind, subtype, params))
    }

    /// Whether it is the media type so written, `application/sdp`, in any case and any parameters.
    pub fn is(&self, media: &str) -> bool {
        media.split_once('/').is_some_and(|(kind, subtype)| {
            self.kind.eq_ignore_ascii_case(kind.as_bytes())
                && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
        })
    }
}

/// One scheme and its parameters (RFC 3261 §20.7, RFC 7616).
#[derive(Clone, PartialEq, Eq)]
struct Auth {
    raw: Bytes,
    scheme_length: usize,
}

impl Auth {
    fn new(scheme: &'static str) -> Self {
        Self { raw: Bytes::from_static(scheme.as_bytes()), scheme_length: scheme.len() }
    }

    fn parse(raw: Bytes) -> Result<Self, Flaw> {
        let (scheme, _) = syntax::split_where(&raw, |b| b == b' ' || b == b'\t');
        let scheme_length = scheme.len();
        if !syntax::is_token(scheme) || syntax::line_end(&raw).is_some() {
            return Err(Flaw::Syntax);
        }
        let auth = Self { raw, scheme_length };
        // Other schemes may carry a bare token68; only digest is held to pairs.
        let is_pair = |(name, value): (&[u8], Option<&[u8]>)| {
            let is_closed = |v: &[u8]| {
                syntax::all(v, VALUE) || syntax::quoted(v).is_some_and(|(_, after)| after.is_empty())
            };
            syntax::is_token(name) && value.is_some_and(is_closed)
        };
        if auth.is_digest() && !auth.pairs().all(is_pair) {
            return Err(Flaw::Syntax);
        }
        Ok(auth)
    }

    fn scheme(&self) -> &str {
        std::str::from_utf8(self.raw.get(..self.scheme_length).unwrap_or_default()).unwrap_or_default()
    }

    fn is_digest(&self) -> bool {
        self.scheme().eq_ignore_ascii_case("Digest")
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut rest = self.raw.get(self.scheme_length..).map(syntax::trim).filter(|rest| !rest.is_empty());
        std::iter::from_fn(move || {
            let (item, after) = syntax::split_item(rest?, b',');
            rest = after;
            Some(split_pair(syntax::trim(item)))
        })
    }

    fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut pairs = self.pairs();
        pairs
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .and_then(|(_, value)| value)
            .map(unquote)
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.get(name)? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        }
    }

    fn with(self, name: &str, value: &[u8], bare: &[&str]) -> Self {
        if !syntax::is_token(name.as_bytes()) {
            return self;
        }
        let comma: &[u8] = if self.raw.len() == self.scheme_length { b" " } else { b", " };
        let is_bare = bare.iter().any(|b| b.eq_ignore_ascii_case(name)) && syntax::is_token(value);
        let value = if is_bare { Cow::Borrowed(value) } else { Cow::Owned(quote(value)) };
        Self { raw: join(&[&self.raw, comma, name.as_bytes(), b"=", &value]), ..self }
    }
}

macro_rules! auth {
    ($(#[$doc:meta])* $type:ident, $bare:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $type(Auth);

        impl $type {
            /// `Digest`, without parameters yet.
            pub fn digest() -> Self {
                Self(Auth::new("Digest"))
            }

            pub fn parse(raw: Bytes) -> Result<Self, Flaw> {
                Auth::parse(raw).map(Self)
            }

            pub fn scheme(&self) -> &str {
                self.0.scheme()
            }

            pub fn is_digest(&self) -> bool {
                self.0.is_digest()
            }

            /// A parameter without its quotes and their escapes.
            pub fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
                self.0.get(name)
            }

            /// As `get`, where it is UTF-8.
            pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
                self.0.text(name)
            }

            /// One parameter more, quoted as RFC 7616 wants it quoted.
            #[must_use]
            pub fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
                Self(self.0.with(name, value.as_ref(), $bare))
            }
        }

        impl From<$type> for Value {
            fn from(auth: $type) -> Self {
                Self(auth.0.raw)
            }
        }

        /// Nonces and responses are nobody's business.
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} …", self.scheme())
            }
        }
    };
}

auth!(
    /// WWW-Authenticate, Proxy-Authenticate.
    Challenge,
    &["algorithm", "stale"]
);
auth!(
    /// Authorization, Proxy-Authorization.
    Credentials,
    &["algorithm", "qop", "nc"]
);

impl Challenge {
    /// Whether the challenge offers this quality of protection, among others or alone.
    pub fn offers_qop(&self, qop: &str) -> bool {
        let offered = self.get("qop").unwrap_or_default();
        offered.split(|&b| b == b',').any(|q| syntax::trim(q).eq_ignore_ascii_case(qop.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::header::Unfit;

    fn addr(text: &str) -> Result<NameAddr, Flaw> {
        NameAddr::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn via(text: &str) -> Result<Via, Flaw> {
        Via::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn written(value: impl Into<Value>) -> String {
        value.into().lossy().into_owned()
    }

    #[test]
    fn no_value_of_ours_can_end_its_line() {
        let evil = "a\r\nVia: b\0";
        assert_eq!(Value::new(evil), Err(Unfit));
        assert_eq!(written(evil), "a  Via: b");
        assert_eq!(written(Bytes::from(evil)), "a  Via: b");
        let uri: Uri = "sip:h".parse().unwrap();
        let addr =
            NameAddr::new(uri).with_display(evil).with_param("x", Some(evil)).with_param("a\r\nb", None);
        assert_eq!(
            written(addr.with_tag(evil)),
            "\"a  Via: b \" <sip:h>;x=\"a  Via: b \";tag=\"a  Via: b \""
        );
        let challenge = Challenge::digest().with("realm", evil).with("algorithm", evil).with("a\nb", "c");
        assert_eq!(written(challenge), "Digest realm=\"a  Via: b \", algorithm=\"a  Via: b \"");
        let sent_by = "192.0.2.1:5060".parse().unwrap();
        let via = Via::new(Transport::Udp, sent_by, evil);
        assert_eq!(written(via), "SIP/2.0/UDP 192.0.2.1:5060;rport;branch=\"a  Via: b \"");
        for torn in ["\"a\r\nb\" <sip:h>", "<sip:h>;x=\"\r\n\"", "<sip:h>;x=\"\\\r\n\"", "a\nb <sip:h>"] {
            assert!(self::addr(torn).is_err(), "{torn:?}");
        }
        assert!(Challenge::parse("Basic a\r\nb".into()).is_err());
    }

    #[test]
    fn an_address_is_read_as_its_writer_meant_it() {
        for (text, display, uri, tag) in [
            ("sip:a@b;tag=1", None, "sip:a@b", Some("1")),
            ("<sip:a@b;x=1>;tag=1", None, "sip:a@b;x=1", Some("1")),
            ("caller<sip:a@b>;tag=323", Some("caller"), "sip:a@b", Some("323")),
            ("token1~` token2'+_  t <sip:a@b>", Some("token1~` token2'+_  t"), "sip:a@b", None),
            ("\"J, \\\\\\\"<x>\"  <sip:a@b> ; TAG = 9", Some("J, \\\"<x>"), "sip:a@b", Some("9")),
            ("\"\" <tel:+1>", None, "tel:+1", None),
            ("张伟 <sip:a@b>", Some("张伟"), "sip:a@b", None),
            ("<http://x/?a,b>", None, "http://x/?a,b", None),
        ] {
            let read = addr(text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
            assert_eq!(read.display().as_deref(), display.map(str::as_bytes), "{text}");
            assert_eq!(read.uri.as_str(), uri, "{text}");
            assert_eq!(read.tag().as_deref(), tag.map(str::as_bytes), "{text}");
            let again = addr(&written(&read)).unwrap();
            assert_eq!((again.uri.as_str(), again.tag()), (uri, read.tag()), "{text}");
            assert_eq!(again.display(), read.display(), "{text}");
        }
    }

    #[test]
    fn an_address_out_of_its_grammar_is_refused() {
        for text in [
            "",
            "\"unclosed <sip:a@b>",
            "\"closed\" sip:a@b",
            "Bell, Alexander <sip:a@b>",
            "a \"b\" <sip:a@b>",
            "< sip:a@b>",
            "<sip:a@b >",
            "<sip:a@b",
            "<sip:a@b>x",
            "<sip:a@b>;;",
            "<sip:a@b>;tag=",
            "<sip:a@b>;=x",
            "<sip:a@b>;a b",
            "<sip:a@b>;a=\"b",
            "<sip:a@b>;a=\"b\"c",
            "sip:a@b?Route=x",
            "*",
        ] {
            assert!(addr(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotes_go_where_they_are_needed_and_come_off_again() {
        let mut params = Params::parse(";a=1 ; B = \"x;y\\\"z\";c".into()).unwrap();
        assert_eq!(params.get("b").as_deref(), Some(&b"x;y\"z"[..]));
        assert_eq!(params.raw("b"), Some(&b"\"x;y\\\"z\""[..]));
        assert!(params.has("C") && params.get("c").is_none());
        params.set("A", Some(b"two words"));
        params.set("d", Some(b"[2001:db8::1]"));
        params.remove("c");
        assert_eq!(format!("{params:?}"), ";B=\"x;y\\\"z\";A=\"two words\";d=[2001:db8::1]");
        params.set("e", Some(b"\xe9\"\\"));
        assert_eq!(params.get("e").as_deref(), Some(&b"\xe9\"\\"[..]));
    }

    #[test]
    fn a_via_is_read_through_its_blanks() {
        let via = super::tests::via(
            "SIP  / 2.0  / TCP     spindle.example.com : 5060  ;\tbranch  =   z9hG4bK9 ;rport",
        )
        .unwrap();
        assert_eq!(
            (via.transport(), via.host(), via.port),
            ("TCP", Some(Host::Name("spindle.example.com")), Some(5060))
        );
        assert_eq!(via.branch().as_deref(), Some(&b"z9hG4bK9"[..]));
        assert_eq!(via.rport(), Some(None));
        // RFC 5118 §4.5: received with brackets and without.
        for received in ["[2001:db8::9:255]", "2001:db8::9:255"] {
            let via = self::via(&format!("SIP/2.0/UDP [2001:db8::1];received={received}")).unwrap();
            assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()));
        }
        for broken in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0 h",
            "SIP/3.0/UDP h",
            "SIP/2.0/UDP h:99999",
            "SIP/2.0/UDP h: x",
            "SIP/2.0/UDP a b",
            "SIP/2.0/UDP ::1",
            "SIP/2.0/UDP h;;",
            "SIP/2.0/U P h",
        ] {
            assert!(self::via(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_via_is_stamped_with_where_it_came_from() {
        let stamped = |text: &str| {
            let mut via = via(text).unwrap();
            via.stamp("192.0.2.9:4444".parse().unwrap());
            written(via)
        };
        assert_eq!(stamped("SIP/2.0/UDP 192.0.2.9;branch=b"), "SIP/2.0/UDP 192.0.2.9;branch=b");
        assert_eq!(stamped("SIP/2.0/UDP h:5;branch=b"), "SIP/2.0/UDP h:5;branch=b;received=192.0.2.9");
        assert_eq!(
            stamped("SIP/2.0/UDP 192.0.2.9;rport;branch=b"),
            "SIP/2.0/UDP 192.0.2.9;branch=b;rport=4444;received=192.0.2.9"
        );
        assert_eq!(stamped("SIP/2.0/UDP 192.0.2.9;received=10.0.0.1"), "SIP/2.0/UDP 192.0.2.9");
    }

    #[test]
    fn a_challenge_is_read_with_its_quotes_off_and_written_with_them_on() {
        let text = "Digest realm=\"a\\\"b, c\",qop=\"auth-int , auth\",  NONCE = \"xyz=\", algorithm=SHA-256,stale=TRUE";
        let challenge = Challenge::parse(text.into()).unwrap();
        assert!(challenge.is_digest() && challenge.offers_qop("auth") && !challenge.offers_qop("a"));
        assert_eq!(challenge.text("realm").as_deref(), Some("a\"b, c"));
        assert_eq!(challenge.text("nonce").as_deref(), Some("xyz="));
        assert_eq!(challenge.text("algorithm").as_deref(), Some("SHA-256"));
        assert_eq!(challenge.get("opaque"), None);
        let written =
            written(Credentials::digest().with("username", "\"").with("nc", "00000001").with("qop", "auth"));
        assert_eq!(written, "Digest username=\"\\\"\", nc=00000001, qop=auth");
        assert_eq!(
            Challenge::parse("NoOneKnowsThisScheme opaque-data=here".into()).unwrap().scheme(),
            "NoOneKnowsThisScheme"
        );
        for broken in
            ["", "Digest realm", "Digest realm=\"x", "Digest a=b c", "Digest realm=,x=y", "Digest a=b,"]
        {
            assert!(Challenge::parse(broken.into()).is_err(), "{broken}");
        }
    }
}
