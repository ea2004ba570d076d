//! SIP messages, from bytes and to bytes.

use baton::sip::parse;
use bytes::Bytes;

use crate::measure::{Unit, cost_row, repeat, table};

const SDP: &str = "v=0\r\no=- 3912839422 3912839422 IN IP4 198.51.100.20\r\ns=-\r\n\
c=IN IP4 198.51.100.20\r\nt=0 0\r\nm=audio 41232 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n\
a=sendrecv\r\n";

/// As a carrier's border writes it, two proxies behind it.
const INVITE: &str = "INVITE sip:+861055550000@203.0.113.5:5060;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK7f3a-91c2-4e;rport\r\n\
Via: SIP/2.0/UDP 10.20.1.4:5060;branch=z9hG4bK5a8d21;received=10.20.1.4\r\n\
Record-Route: <sip:192.0.2.10:5060;lr;ftag=as6d4a>\r\n\
Max-Forwards: 67\r\n\
From: \"13800138000\" <sip:+8613800138000@192.0.2.10;user=phone>;tag=as6d4a1f0c\r\n\
To: <sip:+861055550000@203.0.113.5;user=phone>\r\n\
Call-ID: 3f0a7c1e5b9d42d8a1e6@192.0.2.10\r\n\
CSeq: 102 INVITE\r\n\
Contact: <sip:+8613800138000@192.0.2.10:5060;transport=udp>\r\n\
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PRACK, UPDATE\r\n\
Supported: 100rel, timer, replaces\r\n\
Session-Expires: 1800;refresher=uac\r\n\
Min-SE: 90\r\n\
P-Asserted-Identity: <sip:+8613800138000@ims.example.net>, <tel:+8613800138000>\r\n\
User-Agent: Carrier-SBC/7.2\r\n\
Content-Type: application/sdp\r\n";

const OK: &str = "SIP/2.0 200 OK\r\n\
Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK1c55d0ab;rport=5060;received=203.0.113.5\r\n\
From: <sip:+8613800138000@203.0.113.5>;tag=9d1f55a3\r\n\
To: <sip:1001@192.0.2.20:5060>;tag=3847291\r\n\
Call-ID: 70b1c2f49a8d4f0e\r\n\
CSeq: 1 INVITE\r\n\
Contact: <sip:1001@192.0.2.20:5060>\r\n\
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO\r\n\
User-Agent: Deskphone 4.1\r\n\
Content-Type: application/sdp\r\n";

const BYE: &str = "BYE sip:203.0.113.5:5060 SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK11d0-77;rport\r\n\
Max-Forwards: 69\r\n\
From: <sip:+8613800138000@192.0.2.10;user=phone>;tag=as6d4a1f0c\r\n\
To: <sip:+861055550000@203.0.113.5;user=phone>;tag=b7a91c\r\n\
Call-ID: 3f0a7c1e5b9d42d8a1e6@192.0.2.10\r\n\
CSeq: 103 BYE\r\n\
Reason: Q.850;cause=16;text=\"Normal call clearing\"\r\n\
Content-Length: 0\r\n\r\n";

const REGISTER: &str = "REGISTER sip:203.0.113.5 SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-524287-1---b6e1;rport\r\n\
Max-Forwards: 70\r\n\
Contact: <sip:1001@192.0.2.20:5060;ob>;expires=300;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"\r\n\
To: <sip:1001@203.0.113.5>\r\n\
From: \"Ann\" <sip:1001@203.0.113.5>;tag=5f3c9a10\r\n\
Call-ID: 84829YzQ1MjM5OTRmNDNkYjA\r\n\
CSeq: 2 REGISTER\r\n\
Expires: 300\r\n\
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, INFO\r\n\
User-Agent: Deskphone 4.1\r\n\
Authorization: Digest username=\"1001\",realm=\"baton\",nonce=\"5f0e1c2d3b4a59687766554433221100\",uri=\"sip:203.0.113.5\",response=\"0b5c3f1e9a8d7c6b5a49382716050403\",cnonce=\"a1b2c3d4\",nc=00000001,qop=auth,algorithm=SHA-256\r\n\
Content-Length: 0\r\n\r\n";

pub fn measure() {
    table("SIP message");
    let with_body = |head: &str| format!("{head}Content-Length: {}\r\n\r\n{SDP}", SDP.len());
    let messages = [
        ("INVITE of a trunk", with_body(INVITE)),
        ("200 of a phone", with_body(OK)),
        ("BYE", BYE.to_owned()),
        ("REGISTER with credentials", REGISTER.to_owned()),
    ];
    for (what, text) in messages {
        let length = text.len();
        let bytes = Bytes::from(text);
        let Ok(message) = parse(bytes.clone()) else { panic!("{what} is not SIP") };
        cost_row(&format!("read: {what}, {length} octets"), Unit::Micros, &repeat(|| parse(bytes.clone())));
        cost_row(&format!("written: {what}"), Unit::Micros, &repeat(|| message.to_bytes()));
    }
}
