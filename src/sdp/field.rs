//! Offers as the field makes them, one of each style, and what becomes of each.

/// Who sends the like, the offer, and the agreement or refusal.
pub(super) const OFFERS: &[(&str, &str, &str)] = &[
    (
        "baresip",
        "v=0
o=- 2914338311 1106341227 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
a=tool:baresip 1.0.0
m=audio 16384 RTP/AVP 0 8 101
b=AS:125
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:16385
a=sendrecv
a=label:1
a=rtcp-rsize
a=ssrc:1530226532 cname:sip:a@192.0.2.10
a=ptime:20
",
        "PCMU as 0, events 101/101, 20 ms, sendrecv to 192.0.2.10:16384 and 192.0.2.10:16385",
    ),
    (
        "sipp, which writes little",
        "v=0
o=user1 53655765 2353687637 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 6000 RTP/AVP 0
a=rtpmap:0 PCMU/8000
",
        "PCMU as 0, no events, 20 ms, sendrecv to 127.0.0.1:6000 and 127.0.0.1:6001",
    ),
    (
        "Cisco, with a capability set and a space in the owner's name",
        "v=0
o=CiscoSystemsSIP-GW User Agent 5931 5931 IN IP4 198.51.100.7
s=SIP Call
c=IN IP4 198.51.100.7
t=0 0
m=audio 17026 RTP/AVP 18 8 0 101
c=IN IP4 198.51.100.7
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sqn:0
a=cdsc:1 image udptl t38
",
        "PCMA as 8, events 101/101, 20 ms, sendrecv to 198.51.100.7:17026 and 198.51.100.7:17027",
    ),
    (
        "Asterisk",
        "v=0
o=- 1884213012 3 IN IP4 203.0.113.20
s=Asterisk
c=IN IP4 203.0.113.20
t=0 0
m=audio 14182 RTP/AVP 8 0 3 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:3 GSM/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:150
a=sendrecv
",
        "PCMA as 8, events 101/101, 20 ms, sendrecv to 203.0.113.20:14182 and 203.0.113.20:14183",
    ),
    (
        "Linphone, wide codecs first, events at two clocks, video behind",
        "v=0
o=bob 1204 3187 IN IP4 192.0.2.33
s=Talk
c=IN IP4 192.0.2.33
b=AS:380
t=0 0
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
m=audio 7078 RTP/AVP 96 97 98 0 8 101 99 100
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:97 speex/16000
a=fmtp:97 vbr=on
a=rtpmap:98 speex/8000
a=fmtp:98 vbr=on
a=rtpmap:101 telephone-event/48000
a=rtpmap:99 telephone-event/16000
a=rtpmap:100 telephone-event/8000
m=video 9078 RTP/AVP 96
a=rtpmap:96 VP8/90000
",
        "PCMU as 0, events 100/100, 20 ms, sendrecv to 192.0.2.33:7078 and 192.0.2.33:7079",
    ),
    (
        "Linphone with feedback",
        "v=0
o=carol 16 16 IN IP4 192.0.2.34
s=Talk
c=IN IP4 192.0.2.34
t=0 0
m=audio 7078 RTP/AVPF 0 101
a=rtpmap:101 telephone-event/8000
a=rtcp-fb:* trr-int 5000
",
        "PCMU as 0, events 101/101, 20 ms, sendrecv to 192.0.2.34:7078 and 192.0.2.34:7079",
    ),
    (
        "Huawei, no spare attribute, 10 ms, the address per stream",
        "v=0
o=HuaweiSoftX3000 1073741825 1073741825 IN IP4 10.20.30.40
s=Sip Call
t=0 0
m=audio 21348 RTP/AVP 8 0 4 18 97
c=IN IP4 10.20.30.41
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:4 G723/8000
a=rtpmap:18 G729/8000
a=rtpmap:97 telephone-event/8000
a=ptime:10
a=fmtp:18 annexb=no
a=fmtp:97 0-15
",
        "PCMA as 8, events 97/97, 10 ms, sendrecv to 10.20.30.41:21348 and 10.20.30.41:21349",
    ),
    (
        "an IMS core, with preconditions and AMR first",
        "v=0
o=- 3858101840 3858101841 IN IP6 2001:db8::30
s=-
c=IN IP6 2001:db8::30
b=AS:80
b=RS:0
b=RR:0
t=0 0
m=audio 50010 RTP/AVP 116 107 8 110
a=rtpmap:116 AMR-WB/16000/1
a=rtpmap:107 AMR/8000/1
a=rtpmap:110 TELEPHONE-EVENT/8000/1
a=fmtp:110 0-15
a=curr:qos local none
a=des:qos mandatory local sendrecv
a=ptime:20
a=maxptime:240
",
        "488 incompatible network address",
    ),
    (
        "a browser",
        "v=0
o=- 6912313331904138210 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS d3a1
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qm3v
a=ice-pwd:Zb0yv1nTq0s2d7cYxk8mWf5A
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:63 red/48000/2
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
",
        "488 incompatible transport protocol",
    ),
    (
        "a browser's payload types behind a gateway that took the keys off",
        "v=0
o=- 6912313331904138210 2 IN IP4 192.0.2.50
s=-
c=IN IP4 192.0.2.50
t=0 0
m=audio 40020 RTP/AVP 111 63 9 0 8 13 110 126
a=rtpmap:111 opus/48000/2
a=rtpmap:63 red/48000/2
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=maxptime:120
",
        "PCMU as 0, events 126/126, 20 ms, sendrecv to 192.0.2.50:40020 and 192.0.2.50:40021",
    ),
    (
        "a phone that has SRTP or plain RTP, to be chosen",
        "v=0
o=- 20 20 IN IP4 192.0.2.60
s=-
c=IN IP4 192.0.2.60
t=0 0
m=audio 11780 RTP/SAVP 9 8 101
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=rtpmap:101 telephone-event/8000
m=audio 11782 RTP/AVP 9 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
",
        "PCMA as 8, events 101/101, 20 ms, sendrecv to 192.0.2.60:11782 and 192.0.2.60:11783",
    ),
    (
        "a trunk that names static numbers only, and long packets",
        "v=0
o=- 1 1 IN IP4 192.0.2.70
s=-
c=IN IP4 192.0.2.70
t=0 0
m=audio 30000 RTP/AVP 8
a=ptime:30
",
        "PCMA as 8, no events, 30 ms, sendrecv to 192.0.2.70:30000 and 192.0.2.70:30001",
    ),
    (
        "a conference bridge that numbers G.711 anew",
        "v=0
o=- 1 1 IN IP4 192.0.2.71
s=-
c=IN IP4 192.0.2.71
t=0 0
m=audio 30000 RTP/AVP 8 112 96
a=rtpmap:8 L16/8000
a=rtpmap:112 pcmu/8000/1
a=rtpmap:96 Telephone-Event/8000
",
        "PCMU as 112, events 96/96, 20 ms, sendrecv to 192.0.2.71:30000 and 192.0.2.71:30001",
    ),
    (
        "RFC 4317 §2.4: the keys on a stream of their own",
        "v=0
o=alice 2890844526 2890844526 IN IP4 192.0.2.80
s=
c=IN IP4 192.0.2.80
t=0 0
m=audio 49170 RTP/AVP 97
a=rtpmap:97 iLBC/8000
m=audio 49172 RTP/AVP 0 8
m=audio 49174 RTP/AVP 98
a=rtpmap:98 telephone-event/8000
a=sendonly
",
        "PCMU as 0, no events, 20 ms, sendrecv to 192.0.2.80:49172 and 192.0.2.80:49173",
    ),
    (
        "hold by direction, for the whole description",
        "v=0
o=- 1 2 IN IP4 192.0.2.72
s=-
c=IN IP4 192.0.2.72
t=0 0
a=sendonly
m=audio 30000 RTP/AVP 0
",
        "PCMU as 0, no events, 20 ms, recvonly to 192.0.2.72:30000 and 192.0.2.72:30001",
    ),
    (
        "hold by direction, the stream's own word counting",
        "v=0
o=- 1 2 IN IP4 192.0.2.72
s=-
c=IN IP4 192.0.2.72
t=0 0
a=sendonly
m=audio 30000 RTP/AVP 0
a=inactive
",
        "PCMU as 0, no events, 20 ms, inactive to 192.0.2.72:30000 and 192.0.2.72:30001",
    ),
    (
        "hold by the null address",
        "v=0
o=- 1 2 IN IP4 192.0.2.72
s=-
c=IN IP4 0.0.0.0
t=0 0
m=audio 30000 RTP/AVP 0
",
        "PCMU as 0, no events, 20 ms, recvonly to 0.0.0.0:30000 and 0.0.0.0:30001",
    ),
    (
        "hold by the null address of the other family",
        "v=0
o=- 1 2 IN IP6 ::
s=-
c=IN IP6 ::
t=0 0
m=audio 30000 RTP/AVP 0
a=recvonly
",
        "PCMU as 0, no events, 20 ms, inactive to [::]:30000 and [::]:30001",
    ),
    (
        "no address yet, as a name",
        "v=0
o=- 1 2 IN IP4 later.invalid
s=-
c=IN IP4 later.INVALID
t=0 0
m=audio 30000 RTP/AVP 0
",
        "PCMU as 0, no events, 20 ms, recvonly to 0.0.0.0:30000 and 0.0.0.0:30001",
    ),
    (
        "RTCP elsewhere",
        "v=0
o=- 1 1 IN IP4 192.0.2.73
s=-
c=IN IP4 192.0.2.73
t=0 0
m=audio 30000 RTP/AVP 0
a=rtcp:53020 IN IP4 192.0.2.74
",
        "PCMU as 0, no events, 20 ms, sendrecv to 192.0.2.73:30000 and 192.0.2.74:53020",
    ),
    (
        "fax first, then audio switched off, then audio",
        "v=0
o=- 1 1 IN IP4 192.0.2.75
s=-
c=IN IP4 192.0.2.75
t=0 0
m=image 4000 udptl t38
m=audio 0 RTP/AVP
m=audio  4004   RTP/AVP  8
",
        "PCMA as 8, no events, 20 ms, sendrecv to 192.0.2.75:4004 and 192.0.2.75:4005",
    ),
    (
        "lines nobody needs, each of them broken",
        "v=0
o=nobody
s=\u{0}\u{0}
i=one
i=two
u=
e=
p=
b=AS
t=yesterday
r=
z=1
k=
c=IN IP4 192.0.2.76
m=audio 4000 RTP/AVP 0
b=TIAS:many
k=
",
        "PCMU as 0, no events, 20 ms, sendrecv to 192.0.2.76:4000 and 192.0.2.76:4001",
    ),
    (
        "packet lengths nobody can make",
        "v=0
c=IN IP4 192.0.2.77
m=audio 4000 RTP/AVP 0
a=ptime:200.0
a=maxptime: 45
",
        "PCMU as 0, no events, 40 ms, sendrecv to 192.0.2.77:4000 and 192.0.2.77:4001",
    ),
    (
        "the last port there is",
        "v=0
c=IN IP4 192.0.2.78
m=audio 65535 RTP/AVP 0
a=rtcp:0
",
        "PCMU as 0, no events, 20 ms, sendrecv to 192.0.2.78:65535 and 192.0.2.78:65535",
    ),
    ("no codec of ours", "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 18 9\n", "488 no common codec"),
    (
        "two channels",
        "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 96\na=rtpmap:96 PCMU/8000/2\n",
        "488 no common codec",
    ),
    ("audio switched off", "v=0\nc=IN IP4 192.0.2.1\nm=audio 0 RTP/AVP 0\n", "488 no audio"),
    ("no audio", "v=0\nc=IN IP4 192.0.2.1\nm=video 4000 RTP/AVP 31\n", "488 no audio"),
    ("no stream", "v=0\nc=IN IP4 192.0.2.1\n", "488 no audio"),
    ("a group", "v=0\nc=IN IP4 224.2.1.1/127\nm=audio 4000 RTP/AVP 0\n", "488 incompatible network address"),
    ("a name", "v=0\nc=IN IP4 pbx.example\nm=audio 4000 RTP/AVP 0\n", "488 incompatible network address"),
    ("a telephone line", "v=0\nc=TN RFC2543 +12\nm=audio 4000 RTP/AVP 0\n", "488 incompatible network address"),
    ("no address", "v=0\nm=audio 4000 RTP/AVP 0\n", "400 malformed description"),
    ("half an address", "v=0\nc=IN IP4\nm=audio 4000 RTP/AVP 0\n", "400 malformed description"),
    ("no such port", "v=0\nc=IN IP4 192.0.2.1\nm=audio 65536 RTP/AVP 0\n", "400 malformed description"),
    ("no version", "c=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n", "400 malformed description"),
    ("another version", "v=1\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n", "400 malformed description"),
    ("not SDP", "<sdp/>", "400 malformed description"),
    ("nothing", "", "400 malformed description"),
];
