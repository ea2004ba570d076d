//! The names of header fields: RFC 3261 §20, and the later ones the field speaks, as one table.
//!
//! A name means the same in any case and in its compact form (RFC 3261 §7.3.3); the layer above
//! never compares spellings.

use std::fmt;

use super::syntax;

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
            /// The same for every spelling of a name, and past the table for what is not in it.
            pub(super) const fn index(self) -> u8 {
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
pub struct Unknown<'a>(pub(super) &'a [u8]);

impl<'a> Name<'a> {
    /// The name so spelled, in any case, compact or not. `None` if no header can be called that.
    pub fn of(spelling: &'a [u8]) -> Option<Self> {
        match find(spelling) {
            Some(row) => Some(row.name),
            None => syntax::is_token(spelling).then_some(Self::Other(Unknown(spelling))),
        }
    }

    pub(super) fn known(index: u8) -> Option<Self> {
        KNOWN.get(usize::from(index)).map(|row| row.name)
    }

    /// As RFCs spell it, or as it was given where none does.
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Other(Unknown(name)) => std::str::from_utf8(name).unwrap_or_default(),
            _ => KNOWN.get(usize::from(self.index())).map_or("", |row| row.spelling),
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
