//! Header fields: RFC 3261 §7.3 and §20, and the later ones the field speaks.
//!
//! [`Headers`] keeps every line it was given: unknown names, order and spelling, each value a slice
//! of the message it came in. What is asked for is read when asked, into [`NameAddr`], [`Via`],
//! [`CSeq`] and the like, which are slices of the same bytes. The layer above sees neither folds,
//! compact forms, comma lists nor quoting, and cannot write a line it did not mean to: no [`Value`]
//! holds a CR or LF.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::Transport;
use super::message::Method;
use super::syntax::{self, TOKEN, VALUE};
use super::uri::{self, BadUri, Host, Uri};

/// Declares the names we know: variant, spelling, compact letter (RFC 3261 §7.3.3, 0 for none) and
/// whether one line may carry several values between commas.
macro_rules! names {
    ($($variant:ident $spelling:literal $compact:literal $many:ident,)*) => {
        /// The name of a header field, compared without regard to case or compact form.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Name<'a> {
            $($variant,)*
            /// Any other; made by [`Name::of`].
            Other(Unknown<'a>),
        }

        #[derive(Clone, Copy)]
        #[repr(u8)]
        enum Known { $($variant,)* Unknown }

        static KNOWN: &[Row] = &[$(Row {
            name: Name::$variant,
            spelling: $spelling,
            compact: $compact,
            is_list: matches!(Arity::$many, Arity::Many),
        },)*];

        impl Name<'_> {
            const fn index(self) -> u8 {
                match self {
                    $(Self::$variant => Known::$variant as u8,)*
                    Self::Other(_) => Known::Unknown as u8,
                }
            }
        }
    };
}

enum Arity {
    One,
    Many,
}

struct Row {
    name: Name<'static>,
    spelling: &'static str,
    compact: u8,
    is_list: bool,
}

names! {
    Accept "Accept" 0 Many,
    AcceptContact "Accept-Contact" b'a' Many,
    AcceptEncoding "Accept-Encoding" 0 Many,
    AcceptLanguage "Accept-Language" 0 Many,
    AlertInfo "Alert-Info" 0 Many,
    Allow "Allow" 0 Many,
    AllowEvents "Allow-Events" b'u' Many,
    AuthenticationInfo "Authentication-Info" 0 One,
    Authorization "Authorization" 0 One,
    CallId "Call-ID" b'i' One,
    CallInfo "Call-Info" 0 Many,
    Contact "Contact" b'm' Many,
    ContentDisposition "Content-Disposition" 0 One,
    ContentEncoding "Content-Encoding" b'e' Many,
    ContentLanguage "Content-Language" 0 Many,
    ContentLength "Content-Length" b'l' One,
    ContentType "Content-Type" b'c' One,
    CSeq "CSeq" 0 One,
    Date "Date" 0 One,
    Diversion "Diversion" 0 Many,
    ErrorInfo "Error-Info" 0 Many,
    Event "Event" b'o' One,
    Expires "Expires" 0 One,
    FlowTimer "Flow-Timer" 0 One,
    From "From" b'f' One,
    HistoryInfo "History-Info" 0 Many,
    Identity "Identity" b'y' One,
    InReplyTo "In-Reply-To" 0 Many,
    InfoPackage "Info-Package" 0 One,
    Join "Join" 0 One,
    MaxForwards "Max-Forwards" 0 One,
    MimeVersion "MIME-Version" 0 One,
    MinExpires "Min-Expires" 0 One,
    MinSe "Min-SE" 0 One,
    Organization "Organization" 0 One,
    PAssertedIdentity "P-Asserted-Identity" 0 Many,
    PPreferredIdentity "P-Preferred-Identity" 0 Many,
    Path "Path" 0 Many,
    Priority "Priority" 0 One,
    Privacy "Privacy" 0 One,
    ProxyAuthenticate "Proxy-Authenticate" 0 One,
    ProxyAuthorization "Proxy-Authorization" 0 One,
    ProxyRequire "Proxy-Require" 0 Many,
    RAck "RAck" 0 One,
    RSeq "RSeq" 0 One,
    Reason "Reason" 0 Many,
    RecordRoute "Record-Route" 0 Many,
    RecvInfo "Recv-Info" 0 Many,
    ReferTo "Refer-To" b'r' One,
    ReferredBy "Referred-By" b'b' One,
    RejectContact "Reject-Contact" b'j' Many,
    RemotePartyId "Remote-Party-ID" 0 Many,
    Replaces "Replaces" 0 One,
    ReplyTo "Reply-To" 0 One,
    RequestDisposition "Request-Disposition" b'd' Many,
    Require "Require" 0 Many,
    ResourcePriority "Resource-Priority" 0 Many,
    RetryAfter "Retry-After" 0 One,
    Route "Route" 0 Many,
    Server "Server" 0 One,
    ServiceRoute "Service-Route" 0 Many,
    SessionExpires "Session-Expires" b'x' One,
    SipETag "SIP-ETag" 0 One,
    SipIfMatch "SIP-If-Match" 0 One,
    Subject "Subject" b's' One,
    SubscriptionState "Subscription-State" 0 One,
    Supported "Supported" b'k' Many,
    TargetDialog "Target-Dialog" 0 One,
    Timestamp "Timestamp" 0 One,
    To "To" b't' One,
    Unsupported "Unsupported" 0 Many,
    UserAgent "User-Agent" 0 One,
    UserToUser "User-to-User" 0 Many,
    Via "Via" b'v' Many,
    Warning "Warning" 0 Many,
    WwwAuthenticate "WWW-Authenticate" 0 One,
}

/// A name that is in no table of ours.
#[derive(Clone, Copy)]
pub struct Unknown<'a>(&'a [u8]);

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
pub struct Value(Bytes);

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

impl<'a> Name<'a> {
    /// The name so spelled, in any case, compact or not. `None` if no header can be called that.
    pub fn of(spelling: &'a [u8]) -> Option<Self> {
        match find(spelling) {
            Some(row) => Some(row.name),
            None => syntax::is_token(spelling).then_some(Self::Other(Unknown(spelling))),
        }
    }

    pub fn as_str(self) -> &'a str {
        match (self, KNOWN.get(usize::from(self.index()))) {
            (Self::Other(Unknown(name)), _) => std::str::from_utf8(name).unwrap_or_default(),
            (_, row) => row.map_or("", |row| row.spelling),
        }
    }

    /// Whether one line may carry several values between commas.
    pub fn is_list(self) -> bool {
        KNOWN.get(usize::from(self.index())).is_some_and(|row| row.is_list)
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Unknown<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for Unknown<'_> {}

impl std::hash::Hash for Unknown<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|b| state.write_u8(b.to_ascii_lowercase()));
    }
}

impl fmt::Debug for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

const SLOTS: usize = 512;

/// Rows of [`KNOWN`] by [`slot`], open addressing; full spellings and compact letters alike.
static INDEX: [u8; SLOTS] = {
    let mut index = [u8::MAX; SLOTS];
    let mut row = 0;
    while row < KNOWN.len() {
        let letter = [KNOWN[row].compact];
        index = seat(index, KNOWN[row].spelling.as_bytes(), row as u8);
        if letter[0] != 0 {
            index = seat(index, &letter, row as u8);
        }
        row += 1;
    }
    index
};

const fn seat(mut index: [u8; SLOTS], spelling: &[u8], row: u8) -> [u8; SLOTS] {
    let mut at = slot(spelling);
    while index[at] != u8::MAX {
        at = (at + 1) % SLOTS;
    }
    index[at] = row;
    index
}

/// Of a spelling not empty.
const fn slot(spelling: &[u8]) -> usize {
    let n = spelling.len();
    let (first, middle, last) = (spelling[0] | 0x20, spelling[n / 2] | 0x20, spelling[n - 1] | 0x20);
    (n * 37 + first as usize * 17 + middle as usize * 101 + last as usize * 5) % SLOTS
}

fn find(spelling: &[u8]) -> Option<&'static Row> {
    if spelling.is_empty() {
        return None;
    }
    let mut at = slot(spelling);
    loop {
        let row = KNOWN.get(usize::from(INDEX[at]))?;
        let is_it = match spelling {
            [letter] => row.compact == letter.to_ascii_lowercase(),
            // Most senders spell as the RFCs do, and that compares a word at a time.
            _ => {
                let known = row.spelling.as_bytes();
                known == spelling || known.eq_ignore_ascii_case(spelling)
            }
        };
        if is_it {
            return Some(row);
        }
        at = (at + 1) % SLOTS;
    }
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
        match KNOWN.get(usize::from(self.known)) {
            Some(row) => row.name,
            None => Name::Other(Unknown(self.spelling().as_bytes())),
        }
    }

    /// As its sender wrote it.
    pub fn spelling(&self) -> &str {
        match (self.name_length, KNOWN.get(usize::from(self.known))) {
            (0, Some(row)) => row.spelling,
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

/// Header parameters, `;name=value` each, verbatim.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Params(Bytes);

impl Params {
    /// Reads what is empty or opens with `;`.
    fn parse(raw: Bytes) -> Result<Self, Flaw> {
        Self::check(&raw)?;
        Ok(Self(raw))
    }

    fn check(raw: &[u8]) -> Result<(), Flaw> {
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

/// One allocation, and none later when it is shared out in full length.
fn join(parts: &[&[u8]]) -> Bytes {
    parts.concat().into()
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
    fn check(raw: &[u8]) -> Result<(), Flaw> {
        let (_, uri, params) = Self::split(raw)?;
        Uri::check(uri).map_err(Flaw::Uri)?;
        Params::check(params)
    }

    /// Display name, URI and parameters.
    fn split(raw: &[u8]) -> Result<(&[u8], &[u8], &[u8]), Flaw> {
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
    fn split_bare(text: &[u8]) -> Result<(&[u8], &[u8], &[u8]), Flaw> {
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
        let transport = match transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        };
        Self {
            transport: Bytes::from_static(transport.as_bytes()),
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
    fn check(raw: &[u8]) -> Result<(), Flaw> {
        let (_, _, params) = Self::split(raw)?;
        Params::check(params)
    }

    /// Transport, sent-by and parameters.
    #[expect(clippy::type_complexity, reason = "three parts of one line")]
    fn split(raw: &[u8]) -> Result<(&[u8], (&[u8], Option<u16>), &[u8]), Flaw> {
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

    fn parse(raw: Bytes) -> Result<Self, Flaw> {
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
    fn parse(raw: Bytes) -> Result<Self, Flaw> {
        let (kind, subtype, params) = Self::split(&raw)?;
        let params = Params::parse(raw.slice_ref(params))?;
        Ok(Self { kind: raw.slice_ref(kind), subtype: raw.slice_ref(subtype), params })
    }

    fn split(raw: &[u8]) -> Result<(&[u8], &[u8], &[u8]), Flaw> {
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

    fn headers(lines: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in lines {
            let name = Name::of(name.as_bytes()).unwrap();
            headers.push(name, *value);
        }
        headers
    }

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
    fn every_name_is_known_in_every_spelling() {
        for row in KNOWN {
            for spelling in
                [row.spelling.to_string(), row.spelling.to_lowercase(), row.spelling.to_uppercase()]
            {
                assert_eq!(Name::of(spelling.as_bytes()), Some(row.name), "{spelling}");
            }
            if row.compact != 0 {
                assert_eq!(Name::of(&[row.compact.to_ascii_uppercase()]), Some(row.name));
            }
            assert_eq!(row.name.as_str(), row.spelling);
        }
        assert_eq!(Name::of(b"x-foo"), Name::of(b"X-FOO"));
        assert_ne!(Name::of(b"X-Foo"), Name::of(b"X-Fo"));
        for broken in ["", "a b", "a:", "a\r\n", "\u{e9}"] {
            assert_eq!(Name::of(broken.as_bytes()), None, "{broken:?}");
        }
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
