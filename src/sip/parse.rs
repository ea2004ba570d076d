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

use super::header::{BadHeader, Flaw, Header, Headers, Name, Value};
use super::message::{Message, Method, Request, Response};
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

    let read = match (fault, start) {
        (None, Ok(start)) => finish(&bytes, body_at, start, &headers),
        (Some(fault), start) => Err((fault, start.ok())),
        (None, Err(fault)) => Err((fault, None)),
    };
    match read {
        Ok((Start::Request { method, uri }, body)) => {
            Ok(Message::Request(Request { method, uri, headers, body }))
        }
        Ok((Start::Response { status, reason }, body)) => {
            Ok(Message::Response(Response { status, reason, headers, body }))
        }
        Err((fault, start)) => Err(refuse(fault, start, &bytes, &headers)),
    }
}

/// Checks what only the whole message shows, and cuts the body.
fn finish(
    bytes: &Bytes,
    body_at: usize,
    start: Start,
    headers: &Headers,
) -> Result<(Start, Bytes), (Fault, Option<Start>)> {
    let came = bytes.len() - body_at;
    let checked = check(&start, headers).and_then(|()| match headers.content_length() {
        Ok(Some(length)) if length > came => Err(Fault::Truncated),
        Ok(length) => Ok(bytes.slice(body_at..body_at + length.unwrap_or(came))),
        Err(why) => Err(Fault::Header(why)),
    });
    match checked {
        Ok(body) => Ok((start, body)),
        Err(fault) => Err((fault, Some(start))),
    }
}

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
        let method = Method::parse(bytes.slice_ref(first)).ok_or(Fault::StartLine)?;
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
