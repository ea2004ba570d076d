//! Header fields: RFC 3261 §7.3 and §20, and the later ones the field speaks.
//!
//! [`Headers`] keeps every line it was given: unknown names, order and spelling, each value a slice
//! of the message it came in. What is asked for is read when asked, into [`NameAddr`], [`Via`],
//! [`CSeq`] and the like, which are slices of the same bytes. The layer above sees neither folds,
//! compact forms, comma lists nor quoting, and cannot write a line it did not mean to: no [`Value`]
//! holds a CR or LF.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::field::{CSeq, Challenge, Contacts, ContentType, Credentials, NameAddr, Params, Via};
use super::message::Method;
use super::name::{Name, Unknown};
use super::syntax;
use super::uri::{BadUri, Uri};

/// Header fields in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<Header>,
}

/// One header field.
#[derive(Clone)]
pub struct Header {
    /// The value, and before it, where the sender's spelling is kept, the name.
    line: Bytes,
    value_at: u32,
    /// 0 where the name is written as the table has it.
    name_length: u16,
    known: u8,
}

/// What stands after a header's colon, trimmed and unfolded. Any bytes but CR and LF.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value(pub(super) Bytes);

/// A value of ours held a CR, LF or NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit;

/// What is wrong with which header: 400 in a request, silence in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader {
    pub name: Name<'static>,
    pub flaw: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    Missing,
    /// More than one, where one is meant.
    Repeated,
    Syntax,
    /// A number past its bounds.
    Range,
    Uri(BadUri),
}

impl Value {
    /// Takes bytes as they are, less blanks at the ends.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, Unfit> {
        let bytes = bytes.into();
        if bytes.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
            return Err(Unfit);
        }
        Ok(Self::trimmed(bytes))
    }

    /// A constant of ours, checked where it is compiled.
    pub const fn constant(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            assert!(bytes[i] >= b' ', "a control byte in a header value");
            i += 1;
        }
        Self(Bytes::from_static(syntax::trim(bytes)))
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// For logs: what is not UTF-8 shows as U+FFFD.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// A peer's bytes off one line: NUL may stand in them, behind a backslash (RFC 4475 §3.1.1.2).
    pub(super) fn received(line: Bytes) -> Self {
        Self::trimmed(line)
    }

    fn trimmed(bytes: Bytes) -> Self {
        let inner = syntax::trim(&bytes);
        if inner.len() == bytes.len() { Self(bytes) } else { Self(bytes.slice_ref(inner)) }
    }
}

/// CR, LF and NUL become spaces: text from anywhere is safe to send.
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::from(String::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        let mut bytes = text.into_bytes();
        for byte in bytes.iter_mut().filter(|b| matches!(b, 0 | b'\r' | b'\n')) {
            *byte = b' ';
        }
        Self::trimmed(bytes.into())
    }
}

/// As of text.
impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes.clone()).unwrap_or_else(|Unfit| {
            let unbroken = |&b: &u8| if matches!(b, 0 | b'\r' | b'\n') { b' ' } else { b };
            Self::trimmed(bytes.iter().map(unbroken).collect())
        })
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self(number.to_string().into())
    }
}

impl From<&Uri> for Value {
    fn from(uri: &Uri) -> Self {
        Self(uri.as_bytes().clone())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lossy(), f)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header value with CR, LF or NUL")
    }
}

impl std::error::Error for Unfit {}

impl Header {
    pub fn new(name: Name<'_>, value: impl Into<Value>) -> Self {
        let value = value.into().0;
        let Name::Other(Unknown(spelling)) = name else {
            return Self { line: value, value_at: 0, name_length: 0, known: name.index() };
        };
        // No name that long fits a line we would read ourselves.
        let spelling = &spelling[..spelling.len().min(usize::from(u16::MAX))];
        let name_length = spelling.len() as u16;
        Self {
            line: join(&[spelling, &value]),
            value_at: u32::from(name_length),
            name_length,
            known: name.index(),
        }
    }

    /// A line as it came, unfolded, without CR or LF: `spelling` opens it, `value` is its trimmed end.
    pub(super) fn received(line: Bytes, name_length: u16, value_at: u32) -> Option<Self> {
        let known = Name::of(line.get(..usize::from(name_length))?)?.index();
        Some(Self { line, value_at, name_length, known })
    }

    pub fn name(&self) -> Name<'_> {
        match Name::known(self.known) {
            Some(name) => name,
            None => Name::Other(Unknown(self.line.get(..usize::from(self.name_length)).unwrap_or_default())),
        }
    }

    /// As its sender wrote it.
    pub fn spelling(&self) -> &str {
        match (self.name_length, Name::known(self.known)) {
            (0, Some(name)) => name.as_str(),
            (length, _) => {
                let name = self.line.get(..usize::from(length)).unwrap_or_default();
                std::str::from_utf8(name).unwrap_or_default()
            }
        }
    }

    pub fn value(&self) -> &[u8] {
        self.line.get(self.value_at as usize..).unwrap_or_default()
    }

    /// The value as a slice that outlives the header.
    pub fn to_value(&self) -> Value {
        Value(self.line.slice_ref(self.value()))
    }

    fn part(&self, part: &[u8]) -> Bytes {
        self.line.slice_ref(part)
    }

    fn is(&self, name: Name<'_>) -> bool {
        self.known == name.index() && (!matches!(name, Name::Other(_)) || self.name() == name)
    }
}

impl PartialEq for Header {
    fn eq(&self, other: &Self) -> bool {
        self.spelling() == other.spelling() && self.value() == other.value()
    }
}

impl Eq for Header {}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.spelling(), String::from_utf8_lossy(self.value()))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.fields).finish()
    }
}

impl Headers {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(fields: usize) -> Self {
        Self { fields: Vec::with_capacity(fields) }
    }

    pub fn len(&self) -> usize {
        self.fields.len()
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.fields.iter()
    }

    /// The whole value of the first line of that name.
    pub fn get(&self, name: Name<'_>) -> Option<&[u8]> {
        self.named(name).next().map(Header::value)
    }

    /// As [`Headers::get`], for logs: what is not UTF-8 shows as U+FFFD.
    pub fn lossy(&self, name: Name<'_>) -> Option<Cow<'_, str>> {
        self.get(name).map(String::from_utf8_lossy)
    }

    pub fn contains(&self, name: Name<'_>) -> bool {
        self.named(name).next().is_some()
    }

    /// Every line of that name.
    pub fn named(&self, name: Name<'_>) -> impl Iterator<Item = &Header> {
        self.fields.iter().filter(move |header| header.is(name))
    }

    /// Every value of that name, trimmed; commas part them where the name is a list's. An empty list
    /// has none (`Supported:` is legal).
    pub fn all(&self, name: Name<'_>) -> impl Iterator<Item = &[u8]> {
        self.items(name).map(|(_, item)| item).filter(|item| !item.is_empty())
    }

    /// Whether the list of that name holds the token, in any case.
    pub fn has_token(&self, name: Name<'_>, token: &str) -> bool {
        self.all(name).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Behind all others.
    pub fn push(&mut self, name: Name<'_>, value: impl Into<Value>) {
        self.fields.push(Header::new(name, value));
    }

    /// A line as it stands, spelling and all.
    pub fn push_header(&mut self, header: Header) {
        self.fields.push(header);
    }

    /// Before all others: a proxy's Via, the newest Record-Route.
    pub fn prepend(&mut self, name: Name<'_>, value: impl Into<Value>) {
        self.fields.insert(0, Header::new(name, value));
    }

    /// In place of the first of that name, whose place it takes; the others go. At the end if none.
    pub fn set(&mut self, name: Name<'_>, value: impl Into<Value>) {
        let header = Header::new(name, value);
        let mut place = Some(header);
        self.fields.retain_mut(|found| {
            if !found.is(name) {
                return true;
            }
            place.take().map(|header| *found = header).is_some()
        });
        self.fields.extend(place);
    }

    pub fn remove(&mut self, name: Name<'_>) {
        self.fields.retain(|header| !header.is(name));
    }

    /// Adds a parameter behind the one value of that name, without rewriting the value.
    pub(super) fn append_param(&mut self, name: Name<'_>, param: &str, value: &str) {
        let Some(header) = self.fields.iter_mut().find(|header| header.is(name)) else { return };
        let mut params = Params::default();
        params.set(param, Some(value.as_bytes()));
        let line = join(&[&header.line, &params.0]);
        header.line = line;
    }

    /// Copies every line of that name from another message, verbatim.
    pub fn copy_from(&mut self, other: &Self, name: Name<'_>) {
        self.fields.extend(other.named(name).cloned());
    }

    /// Puts another value first in place of the first: the top Via with `received` and `rport`.
    pub fn replace_first(&mut self, name: Name<'_>, value: impl Into<Value>) {
        let value = value.into();
        let Some(at) = self.fields.iter().position(|header| header.is(name)) else {
            return self.push(name, value);
        };
        let rest =
            self.fields[at].name().is_list().then(|| syntax::split_item(self.fields[at].value(), b',').1);
        let joined = match rest.flatten() {
            Some(rest) => Value(join(&[&value.0, b", ", syntax::trim(rest)])),
            None => value,
        };
        self.fields[at] = Header::new(name, joined);
    }

    fn items<'s>(&'s self, name: Name<'_>) -> impl Iterator<Item = (&'s Header, &'s [u8])> {
        let is_list = name.is_list();
        self.named(name).flat_map(move |header| {
            let mut rest = Some(header.value());
            std::iter::from_fn(move || {
                let (item, after) = if is_list { syntax::split_item(rest?, b',') } else { (rest?, None) };
                rest = after;
                Some((header, syntax::trim(item)))
            })
        })
    }

    /// The one line of that name. `Ok(None)` if there is none.
    fn single(&self, name: Name<'static>) -> Result<Option<&Header>, BadHeader> {
        let mut found = self.named(name);
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(BadHeader { name, flaw: Flaw::Repeated }),
        }
    }

    fn required(&self, name: Name<'static>) -> Result<&Header, BadHeader> {
        self.single(name)?.ok_or(BadHeader { name, flaw: Flaw::Missing })
    }

    /// The topmost Via.
    pub fn via(&self) -> Result<Via, BadHeader> {
        let name = Name::Via;
        let (header, item) = self.items(name).next().ok_or(BadHeader { name, flaw: Flaw::Missing })?;
        Via::parse(header.part(item)).map_err(|flaw| BadHeader { name, flaw })
    }

    /// Every Via, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via, BadHeader>> {
        self.typed(Name::Via, Via::parse)
    }

    pub fn from(&self) -> Result<NameAddr, BadHeader> {
        self.name_addr(Name::From)
    }

    pub fn to(&self) -> Result<NameAddr, BadHeader> {
        self.name_addr(Name::To)
    }

    /// The one address of a header that may hold but one: Refer-To, Referred-By, Reply-To.
    pub fn name_addr(&self, name: Name<'static>) -> Result<NameAddr, BadHeader> {
        let header = self.required(name)?;
        NameAddr::parse(header.part(header.value())).map_err(|flaw| BadHeader { name, flaw })
    }

    /// Every address of a list: Route, P-Asserted-Identity, Diversion, History-Info.
    pub fn name_addrs(&self, name: Name<'static>) -> impl Iterator<Item = Result<NameAddr, BadHeader>> {
        self.typed(name, NameAddr::parse)
    }

    fn typed<T>(
        &self,
        name: Name<'static>,
        parse: fn(Bytes) -> Result<T, Flaw>,
    ) -> impl Iterator<Item = Result<T, BadHeader>> {
        self.items(name)
            .map(move |(header, item)| parse(header.part(item)).map_err(|flaw| BadHeader { name, flaw }))
    }

    /// What every message has (RFC 3261 §8.1.1), once and readable. Returns the CSeq's method.
    pub(super) fn check(&self) -> Result<Method, BadHeader> {
        self.check_all(Name::Via, Via::check)?;
        if !self.contains(Name::Via) {
            return Err(BadHeader { name: Name::Via, flaw: Flaw::Missing });
        }
        for name in [Name::From, Name::To] {
            let header = self.required(name)?;
            NameAddr::check(header.value()).map_err(|flaw| BadHeader { name, flaw })?;
        }
        self.call_id()?;
        self.max_forwards()?;
        if let Some(header) = self.single(Name::ContentType)? {
            let checked = ContentType::split(header.value()).and_then(|(_, _, params)| Params::check(params));
            checked.map_err(|flaw| BadHeader { name: Name::ContentType, flaw })?;
        }
        self.check_all(Name::Route, NameAddr::check)?;
        self.cseq().map(|cseq| cseq.method)
    }

    /// What a request has that makes or moves a dialog or a binding: targets that can be read.
    pub(super) fn check_targets(&self) -> Result<(), BadHeader> {
        let is_star = |raw: &[u8]| syntax::trim(raw) == b"*";
        match self.get(Name::Contact) {
            Some(value) if is_star(value) => self.contacts().map(drop)?,
            _ => self.check_all(Name::Contact, NameAddr::check)?,
        }
        self.check_all(Name::RecordRoute, NameAddr::check)
    }

    fn check_all(&self, name: Name<'static>, check: fn(&[u8]) -> Result<(), Flaw>) -> Result<(), BadHeader> {
        self.items(name).try_for_each(|(_, item)| check(item).map_err(|flaw| BadHeader { name, flaw }))
    }

    /// Case counts (RFC 3261 §20.8).
    pub fn call_id(&self) -> Result<Bytes, BadHeader> {
        let header = self.required(Name::CallId)?;
        let value = header.value();
        let is_word = |b: &u8| b.is_ascii_graphic() || !b.is_ascii();
        if value.is_empty() || !value.iter().all(is_word) {
            return Err(BadHeader { name: Name::CallId, flaw: Flaw::Syntax });
        }
        Ok(header.part(value))
    }

    pub fn cseq(&self) -> Result<CSeq, BadHeader> {
        let header = self.required(Name::CSeq)?;
        CSeq::parse(header.part(header.value())).map_err(|flaw| BadHeader { name: Name::CSeq, flaw })
    }

    pub fn contacts(&self) -> Result<Contacts, BadHeader> {
        let name = Name::Contact;
        let mut items = self.all(name);
        if items.next() == Some(b"*") {
            let is_alone = items.next().is_none();
            return if is_alone { Ok(Contacts::Star) } else { Err(BadHeader { name, flaw: Flaw::Syntax }) };
        }
        self.name_addrs(name).collect::<Result<_, _>>().map(Contacts::List)
    }

    pub fn routes(&self) -> Result<Vec<NameAddr>, BadHeader> {
        self.name_addrs(Name::Route).collect()
    }

    /// In the order of the message; a caller reverses them (RFC 3261 §12.1.2).
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, BadHeader> {
        self.name_addrs(Name::RecordRoute).collect()
    }

    pub fn max_forwards(&self) -> Result<Option<u8>, BadHeader> {
        let number = self.number(Name::MaxForwards)?;
        let range = |_| BadHeader { name: Name::MaxForwards, flaw: Flaw::Range };
        number.map(|n| u8::try_from(n).map_err(range)).transpose()
    }

    /// Seconds. What no 32 bits hold is as good as for ever (RFC 4475 §3.1.2.4).
    pub fn expires(&self) -> Result<Option<u32>, BadHeader> {
        self.number(Name::Expires).map(|n| n.map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
    }

    pub fn content_type(&self) -> Result<Option<ContentType>, BadHeader> {
        let name = Name::ContentType;
        let Some(header) = self.single(name)? else { return Ok(None) };
        ContentType::parse(header.part(header.value())).map(Some).map_err(|flaw| BadHeader { name, flaw })
    }

    /// Bytes. Said twice it must be said alike (RFC 4475 §3.3.9).
    pub fn content_length(&self) -> Result<Option<usize>, BadHeader> {
        let name = Name::ContentLength;
        let mut length = None;
        for header in self.named(name) {
            let value = syntax::number(header.value()).and_then(|n| usize::try_from(n).ok());
            let value = value.ok_or(BadHeader { name, flaw: Flaw::Range })?;
            if length.replace(value).is_some_and(|earlier| earlier != value) {
                return Err(BadHeader { name, flaw: Flaw::Repeated });
            }
        }
        Ok(length)
    }

    /// A header that is one number, with parameters or a comment behind it or not: Min-Expires,
    /// Retry-After, Session-Expires, RSeq. Digits past `u64` read as `u64::MAX`.
    pub fn number(&self, name: Name<'static>) -> Result<Option<u64>, BadHeader> {
        let Some(header) = self.single(name)? else { return Ok(None) };
        let (digits, rest) = syntax::split_where(header.value(), |b| !b.is_ascii_digit());
        let is_ended = matches!(syntax::trim_start(rest), [] | [b';' | b'(', ..]);
        if digits.is_empty() || !is_ended {
            return Err(BadHeader { name, flaw: Flaw::Syntax });
        }
        Ok(Some(syntax::number(digits).unwrap_or(u64::MAX)))
    }

    /// What we are challenged with; the weakest is not always last (RFC 8760 §2.3).
    pub fn challenges(&self, name: Name<'static>) -> impl Iterator<Item = Result<Challenge, BadHeader>> {
        self.typed(name, Challenge::parse)
    }

    /// What the peer answers our challenges with, one a realm.
    pub fn credentials(&self, name: Name<'static>) -> impl Iterator<Item = Result<Credentials, BadHeader>> {
        self.typed(name, Credentials::parse)
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match self.flaw {
            Flaw::Missing => f.write_str("missing"),
            Flaw::Repeated => f.write_str("said more than once"),
            Flaw::Syntax => f.write_str("not in its grammar"),
            Flaw::Range => f.write_str("a number out of range"),
            Flaw::Uri(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for BadHeader {}

/// One allocation, and none later when it is shared out in full length.
pub(super) fn join(parts: &[&[u8]]) -> Bytes {
    parts.concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in lines {
            let name = Name::of(name.as_bytes()).unwrap();
            headers.push(name, *value);
        }
        headers
    }

    #[test]
    fn commas_part_lists_and_nothing_else() {
        let headers = headers(&[
            ("m", "\"a, b\" <sip:a,b@c>;q=\"0,5\" , <sip:d@e>"),
            ("Supported", "100rel,timer"),
            ("K", ""),
            ("Subject", "one, two"),
            ("Date", "Sat, 13 Nov 2010 23:29:00 GMT"),
        ]);
        let Ok(Contacts::List(contacts)) = headers.contacts() else { panic!("no list") };
        let uris: Vec<_> = contacts.iter().map(|contact| contact.uri.as_str()).collect();
        assert_eq!(uris, ["sip:a,b@c", "sip:d@e"]);
        assert_eq!(headers.all(Name::Supported).collect::<Vec<_>>(), [&b"100rel"[..], b"timer"]);
        assert!(headers.has_token(Name::Supported, "TIMER"));
        assert_eq!(headers.all(Name::Subject).count(), 1);
        assert_eq!(headers.all(Name::Date).count(), 1);
    }

    #[test]
    fn a_star_stands_alone() {
        assert_eq!(headers(&[("Contact", "*")]).contacts(), Ok(Contacts::Star));
        assert!(headers(&[("Contact", "*, <sip:a@b>")]).contacts().is_err());
        assert!(headers(&[("Contact", "<sip:a@b>"), ("Contact", "*")]).contacts().is_err());
    }

    #[test]
    fn one_is_not_two() {
        let twice =
            headers(&[("CSeq", "1 A"), ("CSeq", "1 A"), ("Call-ID", "a"), ("i", "a"), ("To", "<sip:a>")]);
        assert_eq!(twice.cseq().unwrap_err().flaw, Flaw::Repeated);
        assert_eq!(twice.call_id().unwrap_err().to_string(), "Call-ID: said more than once");
        assert_eq!(twice.from().unwrap_err(), BadHeader { name: Name::From, flaw: Flaw::Missing });
    }

    #[test]
    fn a_cseq_ends_below_two_to_the_thirty_first() {
        let cseq = |value| headers(&[("CSeq", value)]).cseq().map_err(|bad| bad.flaw);
        assert_eq!(cseq("0009   INVITE"), Ok(CSeq::new(9, Method::Invite)));
        assert_eq!(cseq("2147483647 invite").unwrap().method.as_str(), "invite");
        assert_eq!(cseq("2147483648 INVITE"), Err(Flaw::Range));
        assert_eq!(cseq("36893488147419103232 INVITE"), Err(Flaw::Range));
        for broken in ["", "1", "1INVITE", "-1 INVITE", "INVITE 1", "1 IN VITE", "1 "] {
            assert_eq!(cseq(broken), Err(Flaw::Syntax), "{broken}");
        }
    }

    #[test]
    fn numbers_keep_their_bounds() {
        let of = |name, value| headers(&[(name, value)]);
        assert_eq!(of("Max-Forwards", "0068").max_forwards(), Ok(Some(68)));
        assert_eq!(of("Max-Forwards", "300").max_forwards().unwrap_err().flaw, Flaw::Range);
        assert_eq!(of("Expires", "1000000000000000000000").expires(), Ok(Some(u32::MAX)));
        assert_eq!(of("Expires", "-1").expires().unwrap_err().flaw, Flaw::Syntax);
        assert_eq!(of("Retry-After", "18000;duration=3600").number(Name::RetryAfter), Ok(Some(18000)));
        assert_eq!(of("Retry-After", "60 (in a meeting)").number(Name::RetryAfter), Ok(Some(60)));
        assert_eq!(of("l", "-999").content_length().unwrap_err().flaw, Flaw::Range);
        assert_eq!(of("l", "99999999999999999999").content_length().unwrap_err().flaw, Flaw::Range);
        assert_eq!(headers(&[("l", "5"), ("Content-Length", "05")]).content_length(), Ok(Some(5)));
        assert!(headers(&[("l", "5"), ("Content-Length", "6")]).content_length().is_err());
    }

    #[test]
    fn setting_takes_the_first_place_and_leaves_no_second() {
        let mut headers = headers(&[("v", "1"), ("X-A", "2"), ("Via", "3"), ("x-a", "4")]);
        headers.set(Name::Via, "5");
        headers.set(Name::of(b"X-a").unwrap(), "6");
        headers.set(Name::Subject, "7");
        headers.prepend(Name::Via, "0");
        assert_eq!(format!("{headers:?}"), "[Via: 0, Via: 5, X-a: 6, Subject: 7]");
        headers.remove(Name::Via);
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn replacing_the_top_via_leaves_those_behind_its_comma() {
        let mut headers = headers(&[("Via", "SIP/2.0/UDP a , SIP/2.0/UDP b"), ("Via", "SIP/2.0/UDP c")]);
        headers.replace_first(Name::Via, "SIP/2.0/UDP a;received=1.2.3.4");
        let hosts: Vec<_> = headers.vias().map(|via| via.unwrap().host_bytes().clone()).collect();
        assert_eq!(hosts, ["a", "b", "c"]);
        assert!(headers.via().unwrap().received().is_some());
    }

    #[test]
    fn a_media_type_is_its_own_in_any_case() {
        let of = |value| headers(&[("c", value)]).content_type();
        assert!(of("Application / SDP ;charset=\"utf-8\"").unwrap().unwrap().is("application/sdp"));
        assert!(!of("application/sdp2").unwrap().unwrap().is("application/sdp"));
        assert!(of("application").is_err() && of("a/b/c").is_err() && of("a/b;").is_err());
        assert_eq!(Headers::new().content_type(), Ok(None));
    }
}
