//! Requests and responses (RFC 3261 §7).
//!
//! A message prints as it was read, save that its Content-Length is always ours: one line, and the
//! body's length.

use std::fmt;

use bytes::Bytes;

use super::header::{Headers, Value};
use super::name::Name;
use super::syntax;
use super::uri::Uri;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub headers: Headers,
    pub body: Bytes,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    /// As written: any bytes but CR and LF.
    pub reason: Value,
    pub headers: Headers,
    pub body: Bytes,
}

macro_rules! methods {
    ($($variant:ident $spelling:literal,)*) => {
        /// Case counts: `invite` is another method.
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub enum Method {
            $($variant,)*
            Other(Extension),
        }

        impl Method {
            /// The method so written; `None` if it is no token.
            pub fn parse(name: Bytes) -> Option<Self> {
                Self::within(&name, &name)
            }

            /// As [`Method::parse`], of a part of `whole`.
            pub(super) fn within(whole: &Bytes, name: &[u8]) -> Option<Self> {
                match name {
                    $($spelling => Some(Self::$variant),)*
                    _ => syntax::is_token(name).then(|| Self::Other(Extension(whole.slice_ref(name)))),
                }
            }

            pub fn as_str(&self) -> &str {
                let name: &[u8] = match self {
                    $(Self::$variant => $spelling,)*
                    Self::Other(Extension(name)) => name,
                };
                std::str::from_utf8(name).unwrap_or_default()
            }
        }
    };
}

methods! {
    Invite b"INVITE",
    Ack b"ACK",
    Bye b"BYE",
    Cancel b"CANCEL",
    Options b"OPTIONS",
    Register b"REGISTER",
    Info b"INFO",
    Prack b"PRACK",
    Update b"UPDATE",
    Refer b"REFER",
    Notify b"NOTIFY",
    Subscribe b"SUBSCRIBE",
    Message b"MESSAGE",
    Publish b"PUBLISH",
}

/// A method of no table of ours; made by [`Method::parse`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Extension(Bytes);

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Message {
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    pub fn body(&self) -> &Bytes {
        match self {
            Self::Request(request) => &request.body,
            Self::Response(response) => &response.body,
        }
    }

    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

impl Request {
    /// Without headers yet, and without a body.
    pub fn new(method: Method, uri: Uri) -> Self {
        Self { method, uri, headers: Headers::with_capacity(16), body: Bytes::new() }
    }

    #[must_use]
    pub fn with(mut self, name: Name<'_>, value: impl Into<Value>) -> Self {
        self.headers.push(name, value);
        self
    }

    #[must_use]
    pub fn with_body(mut self, content_type: impl Into<Value>, body: impl Into<Bytes>) -> Self {
        self.headers.set(Name::ContentType, content_type);
        self.body = body.into();
        self
    }

    pub fn to_bytes(&self) -> Bytes {
        let (method, uri) = (self.method.as_str().as_bytes(), self.uri.as_bytes());
        write(&[method, b" ", uri, b" SIP/2.0\r\n"], &self.headers, &self.body)
    }
}

impl Response {
    /// Answers a request: Via, From, To, Call-ID and CSeq are its own (RFC 3261 §8.2.6.2), and of a
    /// 100 the Timestamp (§8.2.6.1).
    pub fn to(request: &Request, status: u16) -> Self {
        Self::answering(&request.headers, status)
    }

    pub(super) fn answering(asked: &Headers, status: u16) -> Self {
        let mut headers = Headers::with_capacity(asked.len().min(16));
        headers.copy_from(asked, Name::Via);
        // A second From or To is what is wrong with the request; the answer has one of each.
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            asked.named(name).take(1).for_each(|header| headers.push_header(header.clone()));
        }
        if status == 100 {
            headers.copy_from(asked, Name::Timestamp);
        }
        let reason = Value::constant(reason_phrase(status));
        Self { status, reason, headers, body: Bytes::new() }
    }

    /// Adds our tag where To has none yet; a To we cannot read stays as it is.
    #[must_use]
    pub fn with_to_tag(mut self, tag: &str) -> Self {
        if let Ok(to) = self.headers.to()
            && to.tag().is_none()
        {
            self.headers.append_param(Name::To, "tag", tag);
        }
        self
    }

    /// In place of the standard phrase.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<Value>) -> Self {
        self.reason = reason.into();
        self
    }

    #[must_use]
    pub fn with(mut self, name: Name<'_>, value: impl Into<Value>) -> Self {
        self.headers.push(name, value);
        self
    }

    #[must_use]
    pub fn with_body(mut self, content_type: impl Into<Value>, body: impl Into<Bytes>) -> Self {
        self.headers.set(Name::ContentType, content_type);
        self.body = body.into();
        self
    }

    pub fn is_provisional(&self) -> bool {
        self.status < 200
    }

    pub fn is_success(&self) -> bool {
        self.status / 100 == 2
    }

    pub fn to_bytes(&self) -> Bytes {
        let room = &mut [0; 20];
        let status = syntax::decimal(self.status.into(), room);
        let reason = self.reason.as_bytes();
        write(&[b"SIP/2.0 ", status, b" ", reason, b"\r\n"], &self.headers, &self.body)
    }
}

/// One allocation: every length is known before the first byte.
fn write(start: &[&[u8]], headers: &Headers, body: &Bytes) -> Bytes {
    let room = &mut [0; 20];
    let length = syntax::decimal(body.len(), room);
    // Our own length, where the first Content-Length stands or else behind the headers.
    let mut lengths = 0;
    let mut lines = 0;
    for header in headers {
        let is_length = header.name() == Name::ContentLength;
        lengths += usize::from(is_length);
        lines += match (is_length, lengths) {
            (false, _) => header.spelling().len() + header.value().len() + 4,
            (true, 1) => header.spelling().len() + length.len() + 4,
            (true, _) => 0,
        };
    }
    const NAME: &[u8] = b"Content-Length";
    if lengths == 0 {
        lines += NAME.len() + length.len() + 4;
    }
    let start_length: usize = start.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(start_length + lines + 2 + body.len());
    start.iter().for_each(|part| out.extend_from_slice(part));
    let line = |out: &mut Vec<u8>, name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    let mut is_measured = false;
    for header in headers {
        let name = header.spelling().as_bytes();
        if header.name() != Name::ContentLength {
            line(&mut out, name, header.value());
        } else if !is_measured {
            is_measured = true;
            line(&mut out, name, length);
        }
    }
    if !is_measured {
        line(&mut out, NAME, length);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.into()
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.method, self.uri)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.reason.lossy())
    }
}

/// RFC 3261 §21 and the registry since. A code of nobody's is named after its class.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        417 => "Unknown Resource-Priority",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        428 => "Use Identity Header",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        436 => "Bad Identity Info",
        437 => "Unsupported Credential",
        438 => "Invalid Identity Header",
        439 => "First Hop Lacks Outbound Support",
        440 => "Max-Breadth Exceeded",
        469 => "Bad Info Package",
        470 => "Consent Needed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        555 => "Push Notification Service Not Supported",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => match status / 100 {
            0 | 1 => "Progress",
            2 => "Success",
            3 => "Redirection",
            4 => "Bad Request",
            5 => "Server Internal Error",
            _ => "Global Failure",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::new(Method::Invite, "sip:a@b".parse().unwrap())
            .with(Name::Via, "SIP/2.0/UDP one;branch=1, SIP/2.0/UDP two")
            .with(Name::Via, "SIP/2.0/UDP three")
            .with(Name::From, "<sip:c@d>;tag=f")
            .with(Name::To, "\"B\" <sip:a@b>")
            .with(Name::CallId, "x@y")
            .with(Name::CSeq, super::super::CSeq::new(7, Method::Invite))
            .with(Name::Timestamp, "54")
            .with(Name::Subject, "not copied")
    }

    #[test]
    fn an_answer_carries_what_it_answers() {
        let response = Response::to(&request(), 486).with_to_tag("t");
        assert_eq!(
            response.to_bytes(),
            "SIP/2.0 486 Busy Here\r\n\
             Via: SIP/2.0/UDP one;branch=1, SIP/2.0/UDP two\r\n\
             Via: SIP/2.0/UDP three\r\n\
             From: <sip:c@d>;tag=f\r\n\
             To: \"B\" <sip:a@b>;tag=t\r\n\
             Call-ID: x@y\r\n\
             CSeq: 7 INVITE\r\n\
             Content-Length: 0\r\n\r\n"
        );
        assert!(Response::to(&request(), 100).headers.contains(Name::Timestamp));
    }

    #[test]
    fn a_tag_is_given_once_and_last() {
        let response = Response::to(&request(), 180).with_to_tag("first").with_to_tag("second");
        assert_eq!(response.headers.to().unwrap().tag().as_deref(), Some(&b"first"[..]));
        let bare = Request::new(Method::Options, "sip:a@b".parse().unwrap()).with(Name::To, "sip:a@b;x=1");
        let response = Response::to(&bare, 200).with_to_tag("t");
        assert_eq!(response.headers.get(Name::To), Some(&b"sip:a@b;x=1;tag=t"[..]));
    }

    #[test]
    fn a_message_has_one_content_length_and_it_is_true() {
        let request = request()
            .with(Name::ContentLength, "999")
            .with(Name::of(b"l").unwrap(), "998")
            .with_body("application/sdp", "v=0\r\n");
        let bytes = request.to_bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text.matches("Content-Length: 5\r\n").count(), 1);
        assert_eq!(text.matches("99").count(), 0);
        assert!(text.ends_with("\r\n\r\nv=0\r\n"));
        assert_eq!(bytes.len(), text.len());
    }

    #[test]
    fn a_reason_cannot_open_a_line() {
        let response = Response::to(&request(), 200).with_reason("Fine\r\nContact: <sip:evil>");
        assert!(response.to_bytes().starts_with(b"SIP/2.0 200 Fine  Contact: <sip:evil>\r\nVia"));
    }

    #[test]
    fn a_method_is_told_by_its_case() {
        let method = |name: &'static str| Method::parse(name.into());
        assert_eq!(method("INVITE"), Some(Method::Invite));
        assert_ne!(method("Invite"), Some(Method::Invite));
        assert_eq!(method("!interesting-Method0123456789_*+`.%indeed'~").unwrap().as_str().len(), 43);
        assert_eq!((method(""), method("A B"), method("A\r\nB")), (None, None, None));
    }
}
