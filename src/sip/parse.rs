//! Bytes to messages (RFC 3261 §7, §18.3), and streams to bytes of one message each.
//!
//! [`parse`] reads one datagram, or one message a [`Framer`] cut out of a stream. What it returns is
//! whole: the headers every message must have are there, once, and can be read. What it refuses
//! comes with the response the peer is owed, where enough could be read to send one.
//!
//! A line ends with CRLF and nothing else. A bare CR or LF is refused rather than guessed at: what
//! two hosts on one path split differently, one of them can be made to miss.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::header::{BadHeader, Flaw, Header, Headers, Value};
use super::message::{Message, Method, Request, Response};
use super::name::Name;
use super::syntax;
use super::uri::{BadUri, Uri};

/// How much one message may ask of us. Past any of them the peer gets 513.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, body included.
    pub message: usize,
    pub headers: usize,
    /// Bytes of one header line, folds included.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 64 * 1024, headers: 256, line: 8 * 1024 }
    }
}

/// Why bytes are no message we can take, and what the peer must hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub fault: Fault,
    /// For a request that can be answered: it has a Via, readable or not, and is no ACK. Copies what
    /// there was of From, To, Call-ID and CSeq, and lacks a To tag.
    pub response: Option<Box<Response>>,
}

/// The peer's fault, each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// CRLFs and nothing else (RFC 5626 §3.5.1). Not to be logged.
    KeepAlive,
    /// Neither a request line nor a status line.
    StartLine,
    Uri(BadUri),
    /// Not SIP/2.0: 505.
    Version,
    /// A status that is not three digits from 100 to 699.
    Status,
    /// A line without a name and colon, or with a bare CR or LF.
    Line,
    /// The empty line never came.
    Unfinished,
    Header(BadHeader),
    /// Start line and CSeq name different methods (RFC 3261 §8.1.1.5).
    MethodMismatch,
    /// The same of a method nobody knows: 501 says more than 400 would (RFC 4475 §3.1.2.18).
    UnknownMethod,
    /// Content-Length counts more than came.
    Truncated,
    /// Over a stream only (RFC 3261 §20.14).
    NoContentLength,
    TooLarge,
    TooManyHeaders,
    LineTooLong,
}

impl Fault {
    /// What a request with this fault gets.
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownMethod => 501,
            Self::Version => 505,
            Self::TooLarge | Self::TooManyHeaders | Self::LineTooLong => 513,
            _ => 400,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepAlive => f.write_str("a keep-alive"),
            Self::StartLine => f.write_str("neither a request line nor a status line"),
            Self::Uri(why) => write!(f, "Request-URI: {why}"),
            Self::Version => f.write_str("not SIP/2.0"),
            Self::Status => f.write_str("a status code out of range"),
            Self::Line => f.write_str("a header line without name and colon, or a bare CR or LF"),
            Self::Unfinished => f.write_str("no empty line after the headers"),
            Self::Header(why) => why.fmt(f),
            Self::MethodMismatch => f.write_str("CSeq: another method than the request line's"),
            Self::UnknownMethod => f.write_str("CSeq: not the request line's unknown method"),
            Self::Truncated => f.write_str("Content-Length: more than came"),
            Self::NoContentLength => f.write_str("Content-Length: missing over a stream"),
            Self::TooLarge => f.write_str("larger than we take"),
            Self::TooManyHeaders => f.write_str("more headers than we take"),
            Self::LineTooLong => f.write_str("a longer line than we take"),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for Malformed {}

/// Reads one message within the usual [`Limits`].
pub fn parse(bytes: Bytes) -> Result<Message, Malformed> {
    parse_within(bytes, &Limits::default())
}

/// As [`parse`]. Without Content-Length the body runs to the end; past it, the rest is cut
/// (RFC 3261 §18.3).
pub fn parse_within(bytes: Bytes, limits: &Limits) -> Result<Message, Malformed> {
    let mut lines = Lines { bytes: &bytes, at: leading_crlfs(&bytes), limit: limits.line };
    if lines.at == bytes.len() {
        return Err(Malformed { fault: Fault::KeepAlive, response: None });
    }
    let start = lines.next().ok_or(Fault::Unfinished).flatten().and_then(|line| Start::read(&bytes, line));
    let mut fault = start.as_ref().err().copied();
    if bytes.len() > limits.message {
        fault = Some(Fault::TooLarge);
    }

    // Past the first fault reading goes on, for the headers an answer needs.
    let mut headers = Headers::with_capacity(24);
    let body_at = loop {
        let line = match lines.next() {
            Some(Ok(Line { text: [], .. })) => break lines.at,
            Some(Ok(line)) => line,
            Some(Err(why)) => {
                fault = fault.or(Some(why));
                continue;
            }
            None => {
                fault = fault.or(Some(Fault::Unfinished));
                break bytes.len();
            }
        };
        if headers.len() == limits.headers {
            fault = fault.or(Some(Fault::TooManyHeaders));
            break bytes.len();
        }
        match read_header(&bytes, line) {
            Some(header) => headers.push_header(header),
            None => fault = fault.or(Some(Fault::Line)),
        }
    };

    let body = match (&start, fault) {
        (_, Some(fault)) | (&Err(fault), None) => Err(fault),
        (Ok(start), None) => check(start, &headers).and_then(|()| cut_body(&bytes, body_at, &headers)),
    };
    match (start, body) {
        (Ok(Start::Request { method, uri }), Ok(body)) => {
            Ok(Message::Request(Request { method, uri, headers, body }))
        }
        (Ok(Start::Response { status, reason }), Ok(body)) => {
            Ok(Message::Response(Response { status, reason, headers, body }))
        }
        (start, Err(fault)) => Err(refuse(fault, start.ok(), &bytes, &headers)),
        (Err(fault), Ok(_)) => Err(refuse(fault, None, &bytes, &headers)),
    }
}

fn cut_body(bytes: &Bytes, from: usize, headers: &Headers) -> Result<Bytes, Fault> {
    let came = bytes.len() - from;
    match headers.content_length() {
        Ok(Some(length)) if length > came => Err(Fault::Truncated),
        Ok(length) => Ok(bytes.slice(from..from + length.unwrap_or(came))),
        Err(why) => Err(Fault::Header(why)),
    }
}

/// Checks what only start line and headers together show.
fn check(start: &Start, headers: &Headers) -> Result<(), Fault> {
    let method = headers.check().map_err(Fault::Header)?;
    let Start::Request { method: asked, .. } = start else { return Ok(()) };
    match asked {
        _ if method == *asked => {}
        Method::Other(_) => return Err(Fault::UnknownMethod),
        _ => return Err(Fault::MethodMismatch),
    }
    // Elsewhere a broken Contact is nobody's target, and no reason to refuse a BYE.
    match asked {
        Method::Invite
        | Method::Register
        | Method::Subscribe
        | Method::Notify
        | Method::Refer
        | Method::Update => headers.check_targets().map_err(Fault::Header),
        _ => Ok(()),
    }
}

/// The response a bad request gets: none for what is no request, for an ACK, or without a way back.
fn refuse(fault: Fault, start: Option<Start>, bytes: &Bytes, headers: &Headers) -> Malformed {
    let is_answerable = match start {
        Some(Start::Request { method, .. }) => method != Method::Ack,
        Some(Start::Response { .. }) => false,
        None => {
            let line = bytes.get(leading_crlfs(bytes)..).unwrap_or_default();
            let line = &line[..syntax::line_end(line).unwrap_or(line.len())];
            let (method, rest) = syntax::split_where(line, |b| b == b' ');
            // `SIP/2.0` is no token: a broken status line is not mistaken for a request.
            syntax::is_token(method) && method != b"ACK" && !rest.is_empty()
        }
    };
    // A Via we cannot read is the sender's own and copied as it is; the answer goes whence the
    // request came.
    let can_return = is_answerable && headers.contains(Name::Via);
    let response = can_return.then(|| Box::new(Response::answering(headers, fault.status())));
    Malformed { fault, response }
}

#[derive(Debug)]
enum Start {
    Request { method: Method, uri: Uri },
    Response { status: u16, reason: Value },
}

impl Start {
    fn read(bytes: &Bytes, line: Line<'_>) -> Result<Self, Fault> {
        let text = line.text;
        if line.is_folded {
            return Err(Fault::StartLine);
        }
        let (first, rest) = syntax::split_where(text, |b| b == b' ');
        let rest = rest.get(1..).ok_or(Fault::StartLine)?;
        if first.len() >= 4 && first[..4].eq_ignore_ascii_case(b"SIP/") {
            if !first[4..].eq_ignore_ascii_case(b"2.0") {
                return Err(Fault::Version);
            }
            let (code, reason) = syntax::split_where(rest, |b| b == b' ');
            let status = match syntax::number(code) {
                Some(status @ 100..=699) if code.len() == 3 => status as u16,
                _ => return Err(Fault::Status),
            };
            // The SP before an empty reason is often forgotten; nothing hangs on it.
            let reason = bytes.slice_ref(syntax::trim(reason));
            return Ok(Self::Response { status, reason: Value::received(reason) });
        }
        let (uri, version) = syntax::split_where(rest, |b| b == b' ');
        let version = version.get(1..).ok_or(Fault::StartLine)?;
        let method = Method::within(bytes, first).ok_or(Fault::StartLine)?;
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(if is_version(version) { Fault::Version } else { Fault::StartLine });
        }
        let uri = Uri::parse(bytes.slice_ref(uri)).map_err(Fault::Uri)?;
        // RFC 3261 §19.1.1: a Request-URI carries no headers.
        if uri.headers().next().is_some() {
            return Err(Fault::Uri(BadUri::Header));
        }
        Ok(Self::Request { method, uri })
    }
}

/// `SIP/digits.digits`.
fn is_version(text: &[u8]) -> bool {
    let Some((name, version)) = text.split_at_checked(4) else { return false };
    let mut parts = version.splitn(2, |&b| b == b'.');
    let mut is_number = || parts.next().and_then(syntax::number).is_some();
    name.eq_ignore_ascii_case(b"SIP/") && is_number() && is_number()
}

/// One header line, its folds made single spaces. `None`: no name, no colon.
fn read_header(bytes: &Bytes, line: Line<'_>) -> Option<Header> {
    let line = if line.is_folded { unfold(line.text) } else { bytes.slice_ref(line.text) };
    let (name, rest) = syntax::split_where(&line, |b| !syntax::is(b, syntax::TOKEN));
    let [b':', value @ ..] = syntax::trim_start(rest) else { return None };
    let value = syntax::trim(value);
    let name_length = u16::try_from(name.len()).ok()?;
    let (from, to) = (syntax::offset(&line, value), syntax::offset(&line, value) + value.len());
    Header::received(line.slice(..to), name_length, u32::try_from(from).ok()?)
}

/// RFC 3261 §7.3.1: a fold with the blanks around it means one space.
fn unfold(text: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = syntax::line_end(rest) {
        let (head, tail) = rest.split_at(end);
        line.extend_from_slice(syntax::trim(head));
        line.extend_from_slice(b" ");
        rest = tail.get(2..).unwrap_or_default();
    }
    line.extend_from_slice(syntax::trim(rest));
    line.freeze()
}

/// How many bytes of CRLF stand before the start line (RFC 3261 §7.5).
fn leading_crlfs(bytes: &[u8]) -> usize {
    bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count() * 2
}

/// Lines ended by CRLF, a folded one whole.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    limit: usize,
}

struct Line<'a> {
    text: &'a [u8],
    /// CRLFs are still in it.
    is_folded: bool,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, Fault>;

    /// A line that is refused is passed over. `None` where no CRLF follows any more.
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..)?;
        let (mut length, mut is_folded, mut is_torn) = (0, false, false);
        loop {
            length += syntax::line_end(rest.get(length..)?)?;
            match rest.get(length..)? {
                [b'\r', b'\n', b' ' | b'\t', ..] if length > 0 => {
                    is_folded = true;
                    length += 3;
                }
                [b'\r', b'\n', ..] => break,
                _ => {
                    is_torn = true;
                    length += 1;
                }
            }
        }
        self.at += length + 2;
        Some(if is_torn {
            Err(Fault::Line)
        } else if length > self.limit {
            Err(Fault::LineTooLong)
        } else {
            Ok(Line { text: &rest[..length], is_folded })
        })
    }
}

/// Cuts one TCP stream into messages by their Content-Length (RFC 3261 §18.3), over any chunks.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    limits: Limits,
    /// How far the buffer has been searched for the empty line.
    searched: usize,
    state: Framing,
}

#[derive(Debug, Default)]
enum Framing {
    /// Between messages, where CRLFs are keep-alives.
    #[default]
    Idle,
    Head,
    /// The message ends so many bytes into the buffer.
    Body {
        end: usize,
    },
    /// Nobody knows where the next message starts.
    Broken,
}

/// What a stream brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message for [`parse`].
    Message(Bytes),
    /// A double CRLF between messages: the peer wants one CRLF back (RFC 5626 §3.5.1).
    Ping,
    /// Answer if there is an answer, then close the stream. Nothing more comes out of it.
    Broken(Malformed),
}

impl Framer {
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes what was read. Call [`Framer::poll_frame`] until `None` after each.
    pub fn feed(&mut self, chunk: &[u8]) {
        if !matches!(self.state, Framing::Broken) {
            self.buffer.extend_from_slice(chunk);
        }
    }

    /// The next frame, if one is whole.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        loop {
            match self.state {
                Framing::Broken => return None,
                Framing::Idle => match &self.buffer[..] {
                    [b'\r', b'\n', b'\r', b'\n', ..] => {
                        let _ = self.buffer.split_to(4);
                        return Some(Frame::Ping);
                    }
                    // A CRLF alone may be the first half of a ping, or only stand before a message.
                    [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return None,
                    [b'\r', b'\n', ..] => {
                        let _ = self.buffer.split_to(2);
                    }
                    _ => self.state = Framing::Head,
                },
                Framing::Head => {
                    let Some(end) = self.head_end() else {
                        if self.buffer.len() > self.limits.message {
                            return Some(self.give_up(Fault::TooLarge));
                        }
                        return None;
                    };
                    self.searched = 0;
                    match body_length(&self.buffer[..end]) {
                        Ok(length) if length.saturating_add(end) <= self.limits.message => {
                            self.state = Framing::Body { end: end + length };
                        }
                        Ok(_) => return Some(self.give_up(Fault::TooLarge)),
                        Err(fault) => return Some(self.give_up(fault)),
                    }
                }
                Framing::Body { end } => {
                    if self.buffer.len() < end {
                        return None;
                    }
                    self.state = Framing::Idle;
                    return Some(Frame::Message(self.buffer.split_to(end).freeze()));
                }
            }
        }
    }

    /// Just past the empty line. Bytes seen before are not searched again.
    fn head_end(&mut self) -> Option<usize> {
        let from = self.searched.saturating_sub(3);
        let mut at = from;
        while let Some(end) = syntax::line_end(self.buffer.get(at..)?) {
            at += end;
            if self.buffer[at..].starts_with(b"\r\n\r\n") {
                return Some(at + 4);
            }
            at += 1;
        }
        self.searched = self.buffer.len();
        None
    }

    fn give_up(&mut self, fault: Fault) -> Frame {
        self.state = Framing::Broken;
        let bytes = std::mem::take(&mut self.buffer).freeze();
        // Whatever else is wrong with it, an answer needs only its headers.
        let response = match parse_within(bytes.clone(), &self.limits) {
            Ok(Message::Request(request)) if request.method != Method::Ack => {
                Some(Box::new(Response::to(&request, fault.status())))
            }
            Ok(_) => None,
            Err(malformed) => malformed
                .response
                .map(|response| Box::new(Response::answering(&response.headers, fault.status()))),
        };
        Frame::Broken(Malformed { fault, response })
    }
}

/// What Content-Length says, read before anything else is.
fn body_length(head: &[u8]) -> Result<usize, Fault> {
    const NAME: Name<'static> = Name::ContentLength;
    let mut length = None;
    let lines = Lines { bytes: head, at: 0, limit: usize::MAX };
    for line in lines.skip(1).flatten() {
        let (name, rest) = syntax::split_where(line.text, |b| !syntax::is(b, syntax::TOKEN));
        if Name::of(name) != Some(NAME) {
            continue;
        }
        let unfolded;
        let mut rest = rest;
        if line.is_folded {
            unfolded = unfold(rest);
            rest = &unfolded;
        }
        let [b':', value @ ..] = syntax::trim_start(rest) else { return Err(Fault::Line) };
        let value = syntax::number(syntax::trim(value)).and_then(|n| usize::try_from(n).ok());
        let value = value.ok_or(Fault::Header(BadHeader { name: NAME, flaw: Flaw::Range }))?;
        if length.replace(value).is_some_and(|earlier| earlier != value) {
            return Err(Fault::Header(BadHeader { name: NAME, flaw: Flaw::Repeated }));
        }
    }
    length.ok_or(Fault::NoContentLength)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n";

    fn read(text: impl AsRef<[u8]>) -> Result<Message, Malformed> {
        parse(Bytes::copy_from_slice(text.as_ref()))
    }

    fn options(more: &str) -> String {
        format!("OPTIONS sip:c@d SIP/2.0\r\n{HEAD}{more}")
    }

    /// The fault, and the status of what the peer is answered.
    fn refusal(text: impl AsRef<[u8]>) -> (Fault, Option<u16>) {
        let malformed = read(text).expect_err("a fault");
        (malformed.fault, malformed.response.map(|response| response.status))
    }

    fn bad(name: Name<'static>, flaw: Flaw) -> Fault {
        Fault::Header(BadHeader { name, flaw })
    }

    #[test]
    fn a_message_is_kept_as_it_came() {
        let text = options("x-FOO :  b\u{e9}r \t\r\nk:\r\nX-Foo:\tagain\r\nl: 3\r\n\r\n\0\u{1}\r");
        let message = read(&text).unwrap();
        let lines: Vec<_> = message.headers().iter().map(|h| (h.spelling(), h.value())).collect();
        assert_eq!(
            lines[5..],
            [("x-FOO", "b\u{e9}r".as_bytes()), ("k", b""), ("X-Foo", b"again"), ("l", b"3")]
        );
        assert_eq!(message.body(), &b"\0\x01\r"[..]);
        assert_eq!(
            message.to_bytes(),
            text.replace(" :  b", ": b").replace(" \t\r", "\r").replace("k:", "k: ").replace(":\t", ": ")
        );
    }

    #[test]
    fn folds_are_single_spaces() {
        let message =
            read(options("Subject : I know\r\n \t you're \r\n\tthere\r\nX:\r\n y\r\n\r\n")).unwrap();
        assert_eq!(message.headers().get(Name::Subject), Some(&b"I know you're there"[..]));
        assert_eq!(message.headers().lossy(Name::of(b"X").unwrap()).as_deref(), Some("y"));
    }

    #[test]
    fn crlfs_before_a_message_are_passed_over_and_alone_are_a_keep_alive() {
        assert!(read(format!("\r\n\r\n{}\r\n", options(""))).is_ok());
        assert_eq!(refusal("\r\n\r\n"), (Fault::KeepAlive, None));
        assert_eq!(refusal(""), (Fault::KeepAlive, None));
    }

    #[test]
    fn a_body_ends_where_content_length_says() {
        let body = |text: &str| read(options(text)).map(|message| message.body().clone());
        assert_eq!(body("l: 2\r\n\r\nabcd").unwrap(), "ab");
        assert_eq!(body("\r\nabcd").unwrap(), "abcd");
        assert_eq!(body("l: 0\r\nL: 00\r\n\r\nabcd").unwrap(), "");
        assert_eq!(refusal(options("l: 5\r\n\r\nabcd")), (Fault::Truncated, Some(400)));
        assert_eq!(refusal(options("l: 4\r\nl: 3\r\n\r\nabcd")).0, bad(Name::ContentLength, Flaw::Repeated));
        for broken in ["-1", "", "0x4", "4 4", "4;", "99999999999999999999999"] {
            let fault = refusal(options(&format!("l: {broken}\r\n\r\nabcd")));
            assert_eq!(fault, (bad(Name::ContentLength, Flaw::Range), Some(400)), "{broken}");
        }
        assert_eq!(refusal(options(&format!("l: {}\r\n\r\n", usize::MAX))).0, Fault::Truncated);
    }

    #[test]
    fn a_line_ends_with_both_of_its_bytes() {
        for torn in
            ["X: a\nb\r\n\r\n", "X: a\rb\r\n\r\n", "X: a\n\r\n\r\n", "X: a\r\r\n\r\n", "X: a\n b\r\n\r\n"]
        {
            assert_eq!(refusal(options(torn)), (Fault::Line, Some(400)), "{torn:?}");
        }
        assert_eq!(refusal(options("").replace("\r\n", "\n")), (Fault::Unfinished, None));
        assert_eq!(refusal(options("")), (Fault::Unfinished, Some(400)));
    }

    #[test]
    fn a_line_without_a_name_is_no_header() {
        for broken in ["nothing", ": x", "two words: x", "n\u{e9}: x", "a\0: x"] {
            assert_eq!(
                refusal(options(&format!("{broken}\r\n\r\n"))),
                (Fault::Line, Some(400)),
                "{broken:?}"
            );
        }
    }

    #[test]
    fn each_mandatory_header_is_missed() {
        for (name, line) in
            [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq].into_iter().zip(HEAD.lines())
        {
            let text = options("\r\n").replace(&format!("{line}\r\n"), "");
            let answer = (name != Name::Via).then_some(400);
            assert_eq!(refusal(text), (bad(name, Flaw::Missing), answer), "{line}");
        }
    }

    #[test]
    fn a_start_line_is_taken_literally() {
        let with = |line: &str| format!("{line}\r\n{HEAD}\r\n");
        for (line, fault, answer) in [
            ("OPTIONS  sip:c@d SIP/2.0", Fault::StartLine, Some(400)),
            ("OPTIONS sip:c@d SIP/2.0 ", Fault::StartLine, Some(400)),
            (" OPTIONS sip:c@d SIP/2.0", Fault::StartLine, None),
            ("OPTIONS sip:c@d; lr SIP/2.0", Fault::StartLine, Some(400)),
            ("OPTIONS <sip:c@d> SIP/2.0", Fault::Uri(BadUri::Scheme), Some(400)),
            ("OPTIONS sip:c@d?Route=x SIP/2.0", Fault::Uri(BadUri::Header), Some(400)),
            ("OPTIONS sip:c@d SIP/3.0", Fault::Version, Some(505)),
            ("OPTIONS sip:c@d HTTP/1.1", Fault::StartLine, Some(400)),
            ("OPTIONS sip:c@d", Fault::StartLine, Some(400)),
            ("OPTIONS", Fault::StartLine, None),
            ("ACK sip:c@d SIP/3.0", Fault::Version, None),
            ("ACK sip:c@d SIP/2.0", Fault::MethodMismatch, None),
            ("BYE sip:c@d SIP/2.0", Fault::MethodMismatch, Some(400)),
            ("NEWMETHOD sip:c@d SIP/2.0", Fault::UnknownMethod, Some(501)),
            ("SIP/2.0 99 x", Fault::Status, None),
            ("SIP/2.0 700 x", Fault::Status, None),
            ("SIP/2.0 0200 x", Fault::Status, None),
            ("SIP/2.0 4294967301 x", Fault::Status, None),
            ("SIP/2.0 2x0 x", Fault::Status, None),
            ("SIP/7.0 200 x", Fault::Version, None),
        ] {
            assert_eq!(refusal(with(line)), (fault, answer), "{line:?}");
        }
        for (line, reason) in [
            ("sip/2.0 100 ", ""),
            ("SIP/2.0 100", ""),
            ("SIP/2.0 100 = 2**3 \u{43d}\u{43e}", "= 2**3 \u{43d}\u{43e}"),
        ] {
            let Ok(Message::Response(response)) = read(with(line)) else { panic!("{line}") };
            assert_eq!((response.status, response.reason.lossy().as_ref()), (100, reason));
        }
    }

    #[test]
    fn a_refusal_copies_what_it_could_read_and_nothing_twice() {
        let text = options("From: <sip:x@y>\r\nCSeq: 2 OPTIONS\r\nVia: SIP/2.0/UDP z\r\nX: a\nb\r\n\r\n");
        let response = read(text).unwrap_err().response.unwrap();
        assert_eq!(
            response.to_bytes(),
            "SIP/2.0 400 Bad Request\r\n\
             Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\nVia: SIP/2.0/UDP z\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_broken_contact_spoils_an_invite_and_not_a_bye() {
        let with = |method: &str| options("Contact: sip:a@b?Route=c\r\n\r\n").replace("OPTIONS", method);
        assert_eq!(refusal(with("INVITE")), (bad(Name::Contact, Flaw::Syntax), Some(400)));
        assert!(read(with("BYE")).is_ok());
    }

    #[test]
    fn one_message_asks_for_no_more_than_its_share() {
        let limits = Limits { message: 1000, headers: 9, line: 100 };
        let within = |text: String| match parse_within(text.into(), &limits) {
            Ok(_) => None,
            Err(Malformed { fault, response }) => Some((fault, response.unwrap().status)),
        };
        assert_eq!(within(options("\r\n")), None);
        assert_eq!(within(options(&format!("X: {}\r\n\r\n", "y".repeat(97)))), None);
        assert_eq!(
            within(options(&format!("X: {}\r\n\r\n", "y".repeat(98)))),
            Some((Fault::LineTooLong, 513))
        );
        assert_eq!(
            within(options(&format!("{}\r\n", "X: y\r\n".repeat(5)))),
            Some((Fault::TooManyHeaders, 513))
        );
        assert_eq!(within(options(&format!("\r\n{}", "z".repeat(1000)))), Some((Fault::TooLarge, 513)));
    }

    fn frames(framer: &mut Framer, chunk: &[u8]) -> Vec<Frame> {
        framer.feed(chunk);
        std::iter::from_fn(|| framer.poll_frame()).collect()
    }

    #[test]
    fn a_stream_is_cut_alike_however_it_is_chopped() {
        let (one, two) = (options("l: 4\r\n\r\n\r\n\r\n"), options("Content-Length\t:\r\n 2\r\n\r\nab"));
        let stream = format!("\r\n{one}\r\n\r\n{two}\r\n{one}");
        let whole = [
            Frame::Message(one.clone().into()),
            Frame::Ping,
            Frame::Message(two.into()),
            Frame::Message(one.into()),
        ];
        for size in 1..stream.len() + 1 {
            let mut framer = Framer::default();
            let cut: Vec<_> =
                stream.as_bytes().chunks(size).flat_map(|chunk| frames(&mut framer, chunk)).collect();
            assert_eq!(cut, whole, "chunks of {size}");
        }
    }

    #[test]
    fn a_stream_that_cannot_be_cut_is_answered_and_closed() {
        for (text, fault, status) in [
            (options("\r\n"), Fault::NoContentLength, 400),
            (options("l: x\r\n\r\n"), bad(Name::ContentLength, Flaw::Range), 400),
            (options("l: 1\r\nl: 2\r\n\r\n"), bad(Name::ContentLength, Flaw::Repeated), 400),
            (options("l: 65536\r\n\r\n"), Fault::TooLarge, 513),
            (options(&format!("l: {}\r\n\r\n", u64::MAX)), Fault::TooLarge, 513),
            (options(&format!("X: {}", "y".repeat(65_536))), Fault::TooLarge, 513),
        ] {
            let mut framer = Framer::default();
            match &frames(&mut framer, text.as_bytes())[..] {
                [Frame::Broken(malformed)] => {
                    assert_eq!(malformed.fault, fault);
                    assert_eq!(malformed.response.as_ref().unwrap().status, status);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(frames(&mut framer, options("l: 0\r\n\r\n").as_bytes()), []);
        }
    }

    fn token() -> impl Strategy<Value = String> {
        "[-a-zA-Z0-9.!%*_+`'~]{1,12}"
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        let byte = any::<u8>().prop_map(|b| if matches!(b, 0 | b'\r' | b'\n') { b'"' } else { b });
        prop::collection::vec(byte, 0..40)
    }

    fn uri() -> impl Strategy<Value = Uri> {
        let sip = ("[-a-zA-Z0-9+#;=_.!~*'&$,?/]{0,12}", any::<[u8; 16]>(), any::<bool>(), any::<u16>());
        let sip = sip.prop_map(|(user, ip, is_v6, port)| {
            let ip = std::net::IpAddr::from(ip);
            let ip = if is_v6 { ip } else { std::net::Ipv4Addr::from(u32::from(port) << 9).into() };
            Uri::sip(&user, (ip, port).into())
        });
        let named = ("[a-z]{1,9}[.]example", token(), prop::option::of("[^\r\n]{0,9}"));
        let named = named.prop_map(|(host, name, value)| {
            let uri = Uri::sip_at("", &host, None).unwrap();
            uri.with_param(&name, value.as_deref())
        });
        let other = "(tel:[+]?[0-9]{1,12}|urn:service:[a-z]{1,8}|[a-z]{5}:[!#-;=?-~]{1,20})"
            .prop_map(|uri| uri.parse().unwrap());
        prop_oneof![4 => sip, 4 => named, 2 => other]
    }

    fn address() -> impl Strategy<Value = super::super::NameAddr> {
        (uri(), prop::option::of(".{0,12}"), prop::option::of(token()), value()).prop_map(
            |(uri, display, tag, value)| {
                let mut addr = super::super::NameAddr::new(uri);
                if let Some(display) = display {
                    addr = addr.with_display(&display);
                }
                addr.params.set("x", Some(&value));
                tag.into_iter().fold(addr, |addr, tag| addr.with_tag(tag))
            },
        )
    }

    fn method() -> impl Strategy<Value = Method> {
        let named =
            prop::sample::select(vec!["INVITE", "ACK", "BYE", "OPTIONS", "REGISTER", "MESSAGE", "INFO"]);
        prop_oneof![named.prop_map(String::from), token()]
            .prop_map(|name| Method::parse(name.into()).unwrap())
    }

    fn extra() -> impl Strategy<Value = (String, Vec<u8>)> {
        // Whatever is none of the headers a message is held to.
        let spelling = prop_oneof![
            prop::sample::select(vec!["Subject", "s", "SUPPORTED", "k", "Server", "allow", "X-Foo", "u"])
                .prop_map(String::from),
            token()
                .prop_filter("free form", |name| matches!(Name::of(name.as_bytes()), Some(Name::Other(_)))),
        ];
        (spelling, value())
    }

    /// A header under a name of the sender's spelling.
    fn spelled(name: &str, value: &[u8]) -> Header {
        let line = [name.as_bytes(), syntax::trim(value)].concat();
        Header::received(line.into(), name.len() as u16, name.len() as u32).unwrap()
    }

    prop_compose! {
        fn message()(
            method in method(),
            uri in uri(),
            addresses in prop::collection::vec(address(), 5),
            status in prop::option::of(100u16..700),
            reason in value(),
            number in 0u32..1 << 31,
            extras in prop::collection::vec(extra(), 0..8),
            body in prop::collection::vec(any::<u8>(), 0..80),
            branch in token(),
        ) -> Message {
            let mut headers = Headers::new();
            headers.push(Name::Via, super::super::Via::new(crate::sip::Transport::Udp, "[::1]:5060".parse().unwrap(), &branch));
            headers.push(Name::From, &addresses[0]);
            headers.push(Name::To, &addresses[1]);
            headers.push(Name::Contact, &addresses[2]);
            headers.push(Name::Route, &addresses[3]);
            headers.push(Name::CallId, branch.as_str());
            headers.push(Name::CSeq, super::super::CSeq::new(number, method.clone()));
            for (spelling, value) in &extras {
                headers.push_header(spelled(spelling, value));
            }
            headers.push(Name::ContentLength, body.len() as u32);
            let body = Bytes::from(body);
            match status {
                None => Message::Request(Request { method, uri, headers, body }),
                Some(status) => {
                    let reason = Value::new(reason).unwrap();
                    Message::Response(Response { status, reason, headers, body })
                }
            }
        }
    }

    /// Asks for everything there is, and writes back what was read.
    fn exhaust(bytes: Bytes) {
        let message = match parse(bytes) {
            Ok(message) => message,
            Err(Malformed { response: Some(response), .. }) => Message::Response(*response),
            Err(_) => return,
        };
        let headers = message.headers();
        for header in headers {
            let _ = (header.name(), header.spelling(), header.to_value());
            headers.all(header.name()).for_each(drop);
        }
        let _ = (headers.via().map(|mut via| via.stamp("[::1]:1".parse().unwrap())), headers.cseq());
        let _ = (headers.from(), headers.to(), headers.contacts(), headers.routes(), headers.record_routes());
        let _ = (headers.max_forwards(), headers.expires(), headers.content_type(), headers.content_length());
        headers
            .challenges(Name::WwwAuthenticate)
            .flatten()
            .for_each(|c| drop((c.text("realm"), c.offers_qop("auth"))));
        headers.credentials(Name::Authorization).flatten().for_each(|c| drop(c.text("response")));
        if let Message::Request(request) = &message {
            let _ = (
                request.uri.number(),
                request.uri.user_unescaped(),
                request.uri.host(),
                request.uri.is_loose(),
            );
            assert!(request.uri.is_equivalent(&request.uri));
            let answer = Response::to(request, 200).with_to_tag("t").to_bytes();
            assert!(matches!(parse(answer), Ok(Message::Response(_))));
        }
        let written = message.to_bytes();
        if let Ok(again) = parse(written.clone()) {
            assert_eq!(again.to_bytes(), written);
        } else {
            assert!(matches!(message, Message::Response(Response { status: 400.., .. })), "{written:?}");
        }
    }

    /// One thing done to a valid message.
    #[derive(Clone, Debug)]
    enum Damage {
        Overwrite(prop::sample::Index, u8),
        Insert(prop::sample::Index, Vec<u8>),
        Cut(prop::sample::Index, usize),
        Repeat(prop::sample::Index, usize),
    }

    fn damage() -> impl Strategy<Value = Damage> {
        let telling = prop::sample::select(b"\r\n \t\"\\<>;,:=?@%[]*/0\0\xff".to_vec());
        let bits = [
            "\r\n",
            "\r\n ",
            "\"",
            "%",
            "%0",
            ";;",
            ",,",
            "<",
            ">",
            "[",
            "Content-Length: 1\r\n",
            "99999999999999999999",
        ];
        let bits = prop::sample::select(bits.map(|bit| bit.as_bytes().to_vec()).to_vec());
        let at = any::<prop::sample::Index>;
        prop_oneof![
            (at(), prop_oneof![telling, any::<u8>()]).prop_map(|(at, byte)| Damage::Overwrite(at, byte)),
            (at(), bits).prop_map(|(at, bits)| Damage::Insert(at, bits)),
            (at(), 1..30usize).prop_map(|(at, length)| Damage::Cut(at, length)),
            (at(), 1..90usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        ]
    }

    fn inflict(bytes: &mut Vec<u8>, damage: &Damage) {
        let Some(last) = bytes.len().checked_sub(1) else { return };
        let span = |at: &prop::sample::Index, length: usize| {
            let from = at.index(last + 1);
            from..(from + length).min(last + 1)
        };
        match damage {
            Damage::Overwrite(at, byte) => bytes[at.index(last + 1)] = *byte,
            Damage::Insert(at, bits) => drop(bytes.splice(span(at, 0), bits.iter().copied())),
            Damage::Cut(at, length) => drop(bytes.drain(span(at, *length))),
            Damage::Repeat(at, length) => bytes.extend_from_within(span(at, *length)),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_the_same(message in message()) {
            let bytes = message.to_bytes();
            prop_assert_eq!(parse(bytes), Ok(message));
        }

        #[test]
        fn a_damaged_message_harms_nobody(message in message(), damages in prop::collection::vec(damage(), 1..6)) {
            let mut bytes = message.to_bytes().to_vec();
            damages.iter().for_each(|damage| inflict(&mut bytes, damage));
            exhaust(bytes.into());
        }

        #[test]
        fn noise_harms_nobody(
            noise in prop::collection::vec(any::<u8>(), 0..300),
            bits in prop::collection::vec(prop::sample::select(vec![
                "INVITE ", "sip:a@b", " SIP/2.0", "SIP/2.0 ", "200 ", "\r\n", " ", ":", "Via", "v", "SIP/2.0/UDP h", "From",
                "To", "CSeq", "1 INVITE", "i", "l", "Contact", "*", "\"", "\\", "<", ">", ";", ",", "=", "tag", "%", "[::", "]",
            ]), 0..60),
        ) {
            exhaust(noise.into());
            exhaust(bits.concat().into());
        }

        #[test]
        fn a_stream_of_anything_stays_within_its_limits(
            chunks in prop::collection::vec((message(), prop::option::of(damage()), 1..200usize), 1..4),
        ) {
            let limits = Limits { message: 2000, ..Limits::default() };
            let mut framer = Framer::new(limits);
            for (message, damage, size) in chunks {
                let mut bytes = message.to_bytes().to_vec();
                damage.iter().for_each(|damage| inflict(&mut bytes, damage));
                for chunk in bytes.chunks(size) {
                    for frame in frames(&mut framer, chunk) {
                        if let Frame::Message(bytes) = frame {
                            prop_assert!(bytes.len() <= limits.message);
                            exhaust(bytes);
                        }
                    }
                    prop_assert!(framer.buffer.len() <= limits.message + size);
                }
            }
        }
    }
}
