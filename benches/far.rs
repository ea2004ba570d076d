//! The far ends' SIP: what a carrier and a phone write, and as much as they read. It is not the
//! library's own, so that neither's faults hide the other's.

use std::fmt::Write as _;

use baton::base::Codec;

/// As much of a message as a far end needs.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub start: String,
    pub vias: Vec<String>,
    pub from: String,
    pub to: String,
    pub call_id: String,
    pub cseq: String,
    /// The URI within.
    pub contact: String,
    /// Where the body's audio goes.
    pub port: Option<u16>,
    /// The payload types of the body's codecs, by their names in small letters.
    pub codecs: Vec<(String, u8)>,
}

impl Head {
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut read = Self { start: lines.next()?.to_owned(), ..Self::default() };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim().to_owned();
            match name {
                "Via" | "v" => read.vias.push(value),
                "From" | "f" => read.from = value,
                "To" | "t" => read.to = value,
                "Call-ID" | "i" => read.call_id = value,
                "CSeq" => read.cseq = value,
                "Contact" | "m" => {
                    let uri = value.split(['<', '>']).nth(1);
                    read.contact = uri.unwrap_or(&value).to_owned();
                }
                _ => {}
            }
        }
        let audio = body.lines().find_map(|line| line.strip_prefix("m=audio "));
        read.port = audio.and_then(|line| line.split(' ').next()?.parse().ok());
        read.codecs = codecs(body);
        Some(read)
    }

    /// What the peer gave as that codec's payload type.
    pub fn payload_type(&self, codec: Codec) -> Option<u8> {
        let known = self.codecs.iter().find(|(name, _)| name.eq_ignore_ascii_case(codec.name()));
        known.map(|(_, payload_type)| *payload_type)
    }

    /// Of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// Of a request, or of what a response answers.
    pub fn method(&self) -> &str {
        self.cseq.split_once(' ').map_or("", |(_, method)| method)
    }

    /// Which of our calls it belongs to, by its Call-ID.
    pub fn call(&self) -> Option<usize> {
        self.call_id.strip_prefix("call-")?.split('@').next()?.parse().ok()
    }

    /// Which of our callers is calling a phone, by the number in From.
    pub fn caller(&self) -> Option<usize> {
        let user = self.from.split_once("sip:")?.1.split('@').next()?;
        user.get(user.len().checked_sub(7)?..)?.parse().ok()
    }
}

/// Of an SDP body: its codecs and their payload types.
pub fn codecs(body: &str) -> Vec<(String, u8)> {
    let maps = body.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '));
    maps.filter_map(|(number, format)| {
        let (name, _) = format.split_once('/')?;
        Some((name.to_ascii_lowercase(), number.parse().ok()?))
    })
    .collect()
}

/// One codec under that payload type, and keys.
pub fn sdp(address: &str, port: u16, codec: Codec, payload_type: u8) -> String {
    let ip = host(address);
    let format = match codec {
        Codec::Opus => "opus/48000/2".to_owned(),
        _ => format!("{}/8000", codec.name()),
    };
    let parameters = match codec {
        Codec::Opus => format!("a=fmtp:{payload_type} useinbandfec=1;minptime=10\r\n"),
        _ => String::new(),
    };
    let clock = codec.clock();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {payload_type} 101\r\na=rtpmap:{payload_type} {format}\r\n{parameters}\
         a=rtpmap:101 telephone-event/{clock}\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
    )
}

fn host(address: &str) -> &str {
    address.split_once(':').map_or(address, |(host, _)| host)
}

/// The caller of call `n` is known by its number, the call by its Call-ID.
fn caller(n: usize, us: &str) -> String {
    format!("<sip:1380{n:07}@{us}>;tag=c{n}")
}

pub fn invite(n: usize, number: &str, baton: &str, us: &str, rtp: u16) -> String {
    let body = sdp(us, rtp, Codec::Pcmu, 0);
    format!(
        "INVITE sip:{number}@{baton} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK-i{n};rport\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: <sip:{number}@{baton}>\r\nCall-ID: call-{n}@{}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:1380{n:07}@{us}>\r\nAllow: INVITE, ACK, CANCEL, OPTIONS, BYE\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        caller(n, us),
        host(us),
        body.len()
    )
}

pub fn ack(n: usize, ok: &Head, us: &str) -> String {
    within("ACK", 1, n, ok, us)
}

pub fn bye(n: usize, ok: &Head, us: &str) -> String {
    within("BYE", 2, n, ok, us)
}

fn within(method: &str, number: u32, n: usize, ok: &Head, us: &str) -> String {
    format!(
        "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK-{method}{n};rport\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n\
         Content-Length: 0\r\n\r\n",
        ok.contact,
        caller(n, us),
        ok.to,
        ok.call_id
    )
}

/// With audio in PCMU on `rtp` if that is given.
pub fn respond(request: &Head, status: u16, us: &str, rtp: Option<u16>) -> String {
    let body = rtp.map(|rtp| sdp(us, rtp, Codec::Pcmu, 0)).unwrap_or_default();
    respond_with(request, status, us, &body)
}

/// With that body, if it holds anything.
pub fn respond_with(request: &Head, status: u16, us: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status} As Wished\r\n");
    for via in &request.vias {
        let _ = write!(text, "Via: {via}\r\n");
    }
    let tag = if request.to.contains(";tag=") { "" } else { ";tag=p1" };
    let _ = write!(
        text,
        "From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:phone@{us}>\r\n",
        request.from, request.to, request.call_id, request.cseq
    );
    if !body.is_empty() {
        text += "Content-Type: application/sdp\r\n";
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
    text
}

/// The ACK of a refusal, which goes where the INVITE went.
pub fn refused(n: usize, refusal: &Head, number: &str, baton: &std::net::SocketAddr, us: &str) -> String {
    format!(
        "ACK sip:{number}@{baton} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK-i{n};rport\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        caller(n, us),
        refusal.to,
        refusal.call_id
    )
}

/// Asks whether anybody is there.
pub fn options(n: usize, baton: &str, us: &str) -> String {
    format!(
        "OPTIONS sip:{baton} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK-o{n};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:carrier@{us}>;tag=o{n}\r\nTo: <sip:{baton}>\r\n\
         Call-ID: options-{n}@{}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        host(us)
    )
}
