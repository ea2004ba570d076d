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
        "opus as 96, events 101/101, fec 510000 bit/s Wide, metrics, 20 ms, sendrecv to 192.0.2.33:7078 and 192.0.2.33:7079",
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
        "Chromium, trickling, from a bare RTCPeerConnection",
        "v=0
o=- 6912313331904138210 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS 5f9c0e1a
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qm3v
a=ice-pwd:Zb0yv1nTq0s2d7cYxk8mWf5A
a=ice-options:trickle
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:5f9c0e1a 1d7be0c4
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:3731207512 cname:Vd8Zb2ksw1nUQ0eT
a=ssrc:3731207512 msid:5f9c0e1a 1d7be0c4
",
        "opus as 111, events 110/110, fec 510000 bit/s Wide, 20 ms, sendrecv from 0007abcd to Qm3v, DTLS Passive with 00:11:22",
    ),
    (
        "Chromium by way of JsSIP, its candidates gathered",
        "v=0
o=- 2385710462917340512 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS 5f9c0e1a
m=audio 53187 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 192.0.2.101
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:2718391542 1 udp 2122260223 192.0.2.101 53187 typ host generation 0 network-id 1
a=candidate:1038427645 1 tcp 1518280447 192.0.2.101 9 typ host tcptype active generation 0 network-id 1
a=candidate:842163049 1 udp 1686052607 203.0.113.9 61002 typ srflx raddr 192.0.2.101 rport 53187 generation 0 network-id 1
a=ice-ufrag:Qm3v
a=ice-pwd:Zb0yv1nTq0s2d7cYxk8mWf5A
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:5f9c0e1a 1d7be0c4
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:3731207512 cname:Vd8Zb2ksw1nUQ0eT
a=ssrc:3731207512 msid:5f9c0e1a 1d7be0c4
",
        "opus as 111, events 110/110, fec 510000 bit/s Wide, 20 ms, sendrecv from 0007abcd to Qm3v, DTLS Passive with 00:11:22",
    ),
    (
        "Chromium with video in the bundle",
        "v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS 5f9c0e1a
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qm3v
a=ice-pwd:Zb0yv1nTq0s2d7cYxk8mWf5A
a=ice-options:trickle
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:5f9c0e1a 1d7be0c4
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:3731207512 cname:Vd8Zb2ksw1nUQ0eT
a=ssrc:3731207512 msid:5f9c0e1a 1d7be0c4
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qm3v
a=ice-pwd:Zb0yv1nTq0s2d7cYxk8mWf5A
a=ice-options:trickle
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:1
a=sendrecv
a=msid:5f9c0e1a 77c02d9e
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=ssrc-group:FID 1021 1022
a=ssrc:1021 cname:Vd8Zb2ksw1nUQ0eT
a=ssrc:1022 cname:Vd8Zb2ksw1nUQ0eT
",
        "opus as 111, events 110/110, fec 510000 bit/s Wide, 20 ms, sendrecv from 0007abcd to Qm3v, DTLS Passive with 00:11:22",
    ),
    (
        "Firefox, its fingerprint and options in the head",
        "v=0
o=mozilla...THIS_IS_SDPARTA-128.0 8452703172650173406 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=group:BUNDLE 0
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=sendrecv
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:5b2c1f0e93a84d7760fe2a9b8c1d3e4f
a=ice-ufrag:7c19ab02
a=mid:0
a=msid:{8e1d2c3b-4a5f-4677-8899-aabbccddeeff} {01234567-89ab-4cde-8f01-23456789abcd}
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000/1
a=setup:actpass
a=ssrc:2908142551 cname:{5e4d3c2b-1a09-4f8e-9d7c-6b5a49382716}
",
        "opus as 109, events 101/101 at 8000, fec 510000 bit/s Wide, 20 ms, sendrecv from 0007abcd to 7c19ab02, DTLS Passive with 00:11:22",
    ),
    (
        "Safari, which likes silence unsent",
        "v=0
o=- 3305189264871265930 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE audio
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 96 9 0 8 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:pK+9
a=ice-pwd:uB/3yQ1mW7c5Zr2tXk8nVd0E
a=ice-options:trickle
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:audio
a=sendrecv
a=rtcp-mux
a=rtpmap:96 opus/48000/2
a=fmtp:96 minptime=10; useinbandfec=1; usedtx=1; maxaveragebitrate=24000
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:1843322781 cname:nG1xT4bQ
",
        "opus as 96, events 110/110, fec dtx 24000 bit/s Wide, 20 ms, sendrecv from 0007abcd to pK+9, DTLS Passive with 00:11:22",
    ),
    (
        "Asterisk towards a browser, with hashes to choose from",
        "v=0
o=- 1711410925 1711410925 IN IP4 203.0.113.20
s=Asterisk
c=IN IP4 203.0.113.20
t=0 0
a=msid-semantic:WMS *
a=group:BUNDLE audio-0
m=audio 15012 UDP/TLS/RTP/SAVPF 107 8 0 101
a=connection:new
a=setup:actpass
a=fingerprint:sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33
a=fingerprint:SHA-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=ice-ufrag:6e5a21c7084d7c5b
a=ice-pwd:27d5b0ae11c94c3b61e09a5f8d42e713
a=candidate:Hcb007114 1 UDP 2130706431 203.0.113.20 15012 typ host
a=rtpmap:107 opus/48000/2
a=fmtp:107 useinbandfec=1
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:60
a=sendrecv
a=rtcp-mux
a=ssrc:844312790 cname:0c7f4bb1
a=mid:audio-0
",
        "opus as 107, events 101/101 at 8000, fec 510000 bit/s Wide, 20 ms, sendrecv from 0007abcd to 6e5a21c7084d7c5b, DTLS Passive with 00:11:22",
    ),
    (
        "FreeSWITCH towards a browser",
        "v=0
o=FreeSWITCH 1711400011 1711400012 IN IP4 203.0.113.30
s=FreeSWITCH
c=IN IP4 203.0.113.30
t=0 0
a=msid-semantic: WMS hG0d9qUw
m=audio 24690 UDP/TLS/RTP/SAVPF 102 9 0 8 103 101
a=rtpmap:102 opus/48000/2
a=fmtp:102 useinbandfec=1; maxaveragebitrate=30000; maxplaybackrate=48000; ptime=20; minptime=10; maxptime=40
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:103 telephone-event/48000
a=fmtp:103 0-15
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=rtcp-mux
a=rtcp:24690 IN IP4 203.0.113.30
a=ssrc:1270918321 cname:c2Vh0a9l
a=ssrc:1270918321 msid:hG0d9qUw a0
a=ice-ufrag:Lz8sVqPo0TnXkd3R
a=ice-pwd:m4hYv7eWc2bJ9uGx1sQzT6nA
a=candidate:4820193746 1 udp 2130706431 203.0.113.30 24690 typ host generation 0
a=end-of-candidates
a=ptime:20
",
        "opus as 102, events 103/103, fec 30000 bit/s Wide, 20 ms, sendrecv from 0007abcd to Lz8sVqPo0TnXkd3R, DTLS Passive with 00:11:22",
    ),
    (
        "Kamailio with rtpengine before a browser, ICE-lite like us",
        "v=0
o=- 99814472 99814472 IN IP4 203.0.113.40
s=-
c=IN IP4 203.0.113.40
t=0 0
a=ice-lite
m=audio 30180 UDP/TLS/RTP/SAVPF 0 8 101
a=mid:1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=sendrecv
a=rtcp:30180
a=rtcp-mux
a=setup:actpass
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=tls-id:3f1a0b72c94e5d688f0e1d2c3b4a5968
a=ptime:20
a=ice-ufrag:kV2wQz9p
a=ice-pwd:T0sLr5cYb8mDa3fGh7jKx1qE4n
a=candidate:Nq3pBv8sTz1kWx0d 1 UDP 2130706431 203.0.113.40 30180 typ host
a=end-of-candidates
",
        "PCMU as 0, events 101/101, 20 ms, sendrecv to 203.0.113.40:30180 alone, DTLS Passive with 00:11:22",
    ),
    (
        "rtpengine with keys of both kinds for whoever comes",
        "v=0
o=- 20 20 IN IP4 203.0.113.40
s=-
c=IN IP4 203.0.113.40
t=0 0
m=audio 30200 RTP/SAVPF 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=rtcp:30201
a=rtcp-mux
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR
a=setup:actpass
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
",
        "PCMA as 8, events 101/101, 20 ms, sendrecv to 203.0.113.40:30200 alone, DTLS Passive with 00:11:22",
    ),
    (
        "Kamailio with rtpengine, ICE left to choice",
        "v=0
o=- 20 20 IN IP4 203.0.113.40
s=-
c=IN IP4 203.0.113.40
t=0 0
m=audio 30220 UDP/TLS/RTP/SAVP 8
a=rtcp:30221
a=setup:actpass
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=ice-ufrag:kV2wQz9p
a=ice-pwd:T0sLr5cYb8mDa3fGh7jKx1qE4n
a=candidate:Nq3pBv8sTz1kWx0d 1 UDP 2130706431 203.0.113.40 30220 typ host
a=candidate:Nq3pBv8sTz1kWx0d 2 UDP 2130706430 203.0.113.40 30221 typ host
",
        "PCMA as 8, no events, 20 ms, sendrecv to 203.0.113.40:30220 and 203.0.113.40:30221, DTLS Passive with 00:11:22",
    ),
    (
        "baresip that insists on SDES",
        "v=0
o=- 20 20 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
a=tool:baresip 1.0.0
m=audio 16400 RTP/SAVP 96 0 8 97
b=AS:125
a=rtpmap:96 opus/48000/2
a=fmtp:96 stereo=1;sprop-stereo=1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:97 telephone-event/8000
a=fmtp:97 0-15
a=rtcp:16401
a=sendrecv
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR
a=label:1
a=rtcp-rsize
a=ssrc:81230671 cname:sip:a@192.0.2.10
a=ptime:20
",
        "opus as 96, events 97/97 at 8000, 510000 bit/s Wide, 20 ms, sendrecv to 192.0.2.10:16400 and 192.0.2.10:16401, AES_CM_128_HMAC_SHA1_80",
    ),
    (
        "baresip that takes keys if it can",
        "v=0
o=- 20 20 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 16410 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
",
        "PCMA as 8, events 101/101, 20 ms, sendrecv to 192.0.2.10:16410 and 192.0.2.10:16411, AES_CM_128_HMAC_SHA1_32",
    ),
    (
        "baresip with DTLS and one port",
        "v=0
o=- 20 20 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 16420 UDP/TLS/RTP/SAVPF 96 97
a=rtpmap:96 opus/48000/2
a=fmtp:96 stereo=1;sprop-stereo=1;useinbandfec=1;maxaveragebitrate=2000
a=rtpmap:97 telephone-event/8000
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff
a=setup:actpass
a=rtcp-mux
a=ptime:30
",
        "opus as 96, events 97/97 at 8000, fec 6000 bit/s Wide, 20 ms, sendrecv to 192.0.2.10:16420 alone, DTLS Passive with 00:11:22",
    ),
    (
        "Yealink, every suite it has, events last",
        "v=0
o=- 20 20 IN IP4 192.0.2.110
s=-
c=IN IP4 192.0.2.110
t=0 0
m=audio 11790 RTP/SAVP 9 0 8 18 101
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR
a=crypto:3 F8_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj
",
        "G722 as 9, events 101/101, 20 ms, sendrecv to 192.0.2.110:11790 and 192.0.2.110:11791, AES_CM_128_HMAC_SHA1_80",
    ),
    (
        "Grandstream, AES-256 in counter mode first",
        "v=0
o=- 20 20 IN IP4 192.0.2.111
s=-
c=IN IP4 192.0.2.111
t=0 0
m=audio 5004 RTP/SAVP 8 0 9 101
a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWI=|2^32
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^32
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:9 G722/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=rtcp:5005 IN IP4 192.0.2.111
",
        "PCMA as 8, events 101/101, 20 ms, sendrecv to 192.0.2.111:5004 and 192.0.2.111:5005, AES_CM_128_HMAC_SHA1_80",
    ),
    (
        "Snom, lifetimes and a window",
        "v=0
o=- 20 20 IN IP4 192.0.2.112
s=-
c=IN IP4 192.0.2.112
t=0 0
m=audio 54612 RTP/SAVP 9 8 0 101
a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^31 WSH=128
a=rtpmap:9 G722/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
",
        "G722 as 9, events 101/101, 20 ms, sendrecv to 192.0.2.112:54612 and 192.0.2.112:54613, AES_CM_128_HMAC_SHA1_32",
    ),
    (
        "Cisco, GCM first, an MKI nowhere",
        "v=0
o=- 20 20 IN IP4 198.51.100.7
s=-
c=IN IP4 198.51.100.7
t=0 0
m=audio 17030 RTP/SAVP 0 19 101
a=rtpmap:0 PCMU/8000
a=rtpmap:19 CN/8000
a=rtpmap:101 telephone-event/8000
a=crypto:1 AEAD_AES_256_GCM inline:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWI=
a=crypto:2 AEAD_AES_128_GCM inline:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYg==
a=ptime:20
",
        "PCMU as 0, events 101/101, noise 19, 20 ms, sendrecv to 198.51.100.7:17030 and 198.51.100.7:17031, AEAD_AES_256_GCM",
    ),
    (
        "Polycom, whose first line needs an MKI",
        "v=0
o=- 20 20 IN IP4 192.0.2.113
s=-
c=IN IP4 192.0.2.113
t=0 0
m=audio 2244 RTP/SAVP 9 8 127
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^31|1:1
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^31
a=rtpmap:127 telephone-event/8000
",
        "G722 as 9, events 127/127, 20 ms, sendrecv to 192.0.2.113:2244 and 192.0.2.113:2245, AES_CM_128_HMAC_SHA1_80",
    ),
    (
        "the same phone twice, in the clear and with keys",
        "v=0
o=- 20 20 IN IP4 192.0.2.114
s=-
c=IN IP4 192.0.2.114
t=0 0
m=audio 11780 RTP/AVP 8
m=audio 11782 RTP/SAVP 8
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
",
        "PCMA as 8, no events, 20 ms, sendrecv to 192.0.2.114:11782 and 192.0.2.114:11783, AES_CM_128_HMAC_SHA1_80",
    ),
    (
        "a desk phone with G.722 by its number alone, 30 ms",
        "v=0
o=- 20 20 IN IP4 192.0.2.115
s=-
c=IN IP4 192.0.2.115
t=0 0
m=audio 40000 RTP/AVP 9 8 13 101
a=rtpmap:101 telephone-event/8000
a=ptime:30
",
        "G722 as 9, events 101/101, 30 ms, sendrecv to 192.0.2.115:40000 and 192.0.2.115:40001",
    ),
    (
        "a desk phone with G.722 by a number of its own",
        "v=0
o=- 20 20 IN IP4 192.0.2.116
s=-
c=IN IP4 192.0.2.116
t=0 0
m=audio 40000 RTP/AVP 100 0 101
a=rtpmap:100 g722/8000/1
a=rtpmap:101 telephone-event/8000
a=rtcp-mux
",
        "G722 as 100, events 101/101, 20 ms, sendrecv to 192.0.2.116:40000 alone",
    ),
    (
        "a narrow ear for Opus",
        "v=0
o=- 20 20 IN IP4 192.0.2.117
s=-
c=IN IP4 192.0.2.117
t=0 0
m=audio 40000 RTP/AVP 120 121
a=rtpmap:120 OPUS/48000/2
a=fmtp:120 maxplaybackrate=8000; maxaveragebitrate=999999; useinbandfec=0; usedtx
a=rtpmap:121 telephone-event/48000
a=ptime:50
",
        "opus as 120, events 121/121, 510000 bit/s Narrow, 40 ms, sendrecv to 192.0.2.117:40000 and 192.0.2.117:40001",
    ),
    (
        "comfort noise beside A-law",
        "v=0
o=- 20 20 IN IP4 192.0.2.118
s=-
c=IN IP4 192.0.2.118
t=0 0
m=audio 40000 RTP/AVP 8 13
",
        "PCMA as 8, no events, noise 13, 20 ms, sendrecv to 192.0.2.118:40000 and 192.0.2.118:40001",
    ),
    (
        "one channel of Opus",
        "v=0
o=- 20 20 IN IP4 192.0.2.119
s=-
c=IN IP4 192.0.2.119
t=0 0
m=audio 40000 RTP/AVP 96
a=rtpmap:96 opus/48000/1
",
        "488 no common codec",
    ),
    (
        "keys only of suites we have not",
        "v=0
o=- 20 20 IN IP4 192.0.2.120
s=-
c=IN IP4 192.0.2.120
t=0 0
m=audio 40000 RTP/SAVP 8
a=crypto:1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
",
        "488 no acceptable keys",
    ),
    (
        "secrecy without keys",
        "v=0
o=- 20 20 IN IP4 192.0.2.120
s=-
c=IN IP4 192.0.2.120
t=0 0
m=audio 40000 RTP/SAVP 8
",
        "488 no acceptable keys",
    ),
    (
        "a fingerprint by SHA-1 alone",
        "v=0
o=- 20 20 IN IP4 192.0.2.121
s=-
c=IN IP4 192.0.2.121
t=0 0
m=audio 40000 UDP/TLS/RTP/SAVP 8
a=setup:actpass
a=fingerprint:sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33
",
        "488 no acceptable keys",
    ),
    (
        "a fingerprint cut short",
        "v=0
o=- 20 20 IN IP4 192.0.2.121
s=-
c=IN IP4 192.0.2.121
t=0 0
m=audio 40000 UDP/TLS/RTP/SAVP 8
a=setup:actpass
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE
",
        "488 no acceptable keys",
    ),
    (
        "a handshake put off",
        "v=0
o=- 20 20 IN IP4 192.0.2.122
s=-
c=IN IP4 192.0.2.122
t=0 0
a=setup:holdconn
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
m=audio 40000 UDP/TLS/RTP/SAVP 8
",
        "488 no acceptable keys",
    ),
    (
        "a peer that waits for our handshake",
        "v=0
o=- 20 20 IN IP4 192.0.2.122
s=-
c=IN IP4 192.0.2.122
t=0 0
a=setup:passive
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
m=audio 40000 UDP/TLS/RTP/SAVP 8
",
        "PCMA as 8, no events, 20 ms, sendrecv to 192.0.2.122:40000 and 192.0.2.122:40001, DTLS Active with 00:11:22",
    ),
    (
        "a peer that opens the handshake",
        "v=0
o=- 20 20 IN IP4 192.0.2.122
s=-
c=IN IP4 192.0.2.122
t=0 0
a=setup:active
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
m=audio 40000 UDP/TLS/RTP/SAVP 8
",
        "PCMA as 8, no events, 20 ms, sendrecv to 192.0.2.122:40000 and 192.0.2.122:40001, DTLS Passive with 00:11:22",
    ),
    (
        "a peer that does not say who opens the handshake",
        "v=0
o=- 20 20 IN IP4 192.0.2.122
s=-
c=IN IP4 192.0.2.122
t=0 0
m=audio 40000 UDP/TLS/RTP/SAVP 8
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
",
        "PCMA as 8, no events, 20 ms, sendrecv to 192.0.2.122:40000 and 192.0.2.122:40001, DTLS Passive with 00:11:22",
    ),
    (
        "a browser's offer without its one port",
        "v=0
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qm3v
a=ice-pwd:Zb0yv1nTq0s2d7cYxk8mWf5A
a=ice-options:trickle
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:5f9c0e1a 1d7be0c4
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:3731207512 cname:Vd8Zb2ksw1nUQ0eT
a=ssrc:3731207512 msid:5f9c0e1a 1d7be0c4
",
        "488 incompatible network address",
    ),
    (
        "DTLS over TCP",
        "v=0
o=- 20 20 IN IP4 192.0.2.123
s=-
c=IN IP4 192.0.2.123
t=0 0
m=audio 40000 TCP/DTLS/RTP/SAVPF 8
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
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
        "opus as 111, events 110/110, 510000 bit/s Wide, 20 ms, sendrecv to 192.0.2.50:40020 and 192.0.2.50:40021",
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
        "G722 as 9, events 101/101, 20 ms, sendrecv to 192.0.2.60:11780 and 192.0.2.60:11781, AES_CM_128_HMAC_SHA1_80",
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
    ("no codec of ours", "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 18 4 13\n", "488 no common codec"),
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
