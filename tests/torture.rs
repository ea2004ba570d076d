//! The torture messages of RFC 4475 and, for IPv6, RFC 5118: each gets the verdict that
//! `data/verdicts.toml` gives with its reason, and the valid ones are understood, not only taken.

use std::fs;
use std::path::{Path, PathBuf};

use baton::base::{Mint, Mono, TrunkId};
use baton::sip::auth::Algorithm;
use baton::sip::endpoint::{Bounds, Endpoint, Settings};
use baton::sip::trunk::Trunk;
use baton::sip::{
    Contacts, Event, Fault, Frame, Framer, Hop, Host, Input, Limits, Message, Method, Name, NameAddr, Output,
    Request, Response, Scheme, Transport, parse,
};
use bytes::Bytes;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdicts {
    message: Vec<Verdict>,
}

/// One row of the table; its head says what the fields mean.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    file: String,
    section: String,
    verdict: Kind,
    status: Option<u16>,
    endpoint: Option<u16>,
    why: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    leeway: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Parses,
    Refused,
    Dropped,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn verdicts() -> Vec<Verdict> {
    let text = fs::read_to_string(data().join("verdicts.toml")).expect("the table is there");
    toml::from_str::<Verdicts>(&text).expect("the table is in order").message
}

fn bytes_of(file: &str) -> Bytes {
    fs::read(data().join(file)).unwrap_or_else(|why| panic!("{file}: {why}")).into()
}

/// The valid ones, for other tests to chew on.
pub fn valid() -> Vec<(String, Bytes)> {
    let parses = verdicts().into_iter().filter(|row| row.verdict == Kind::Parses);
    parses.map(|row| (row.file.clone(), bytes_of(&row.file))).collect()
}

fn message(name: &str) -> Message {
    // Only RFC 5118 puts hyphens in its names.
    let folder = if name.contains('-') { "rfc5118" } else { "rfc4475" };
    let file = format!("{folder}/{name}.dat");
    parse(bytes_of(&file)).unwrap_or_else(|why| panic!("{file}: {why}"))
}

fn request(name: &str) -> Request {
    match message(name) {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{name}: {response:?}"),
    }
}

fn response(name: &str) -> Response {
    match message(name) {
        Message::Response(response) => response,
        Message::Request(request) => panic!("{name}: {request:?}"),
    }
}

fn other(name: &str) -> Name<'_> {
    Name::of(name.as_bytes()).expect("a token")
}

fn contact(request: &Request) -> NameAddr {
    match request.headers.contacts() {
        Ok(Contacts::List(list)) if list.len() == 1 => list[0].clone(),
        contacts => panic!("not one Contact: {contacts:?}"),
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("asked for as text")
}

#[test]
fn every_message_has_a_verdict_and_every_verdict_a_message() {
    let mut listed: Vec<_> = verdicts().into_iter().map(|row| row.file).collect();
    listed.sort();
    let mut present = Vec::new();
    for folder in ["rfc4475", "rfc5118"] {
        for entry in fs::read_dir(data().join(folder)).expect("a folder of messages") {
            let name = entry.expect("readable").file_name().into_string().expect("an ASCII name");
            present.push(format!("{folder}/{name}"));
        }
    }
    present.sort();
    assert_eq!(listed, present);
    assert_eq!(present.iter().filter(|file| file.starts_with("rfc4475")).count(), 49);
    assert_eq!(present.len(), 61);
}

#[test]
fn every_message_gets_its_verdict() {
    let mut wrong = Vec::new();
    for row in verdicts() {
        let (kind, status) = match parse(bytes_of(&row.file)) {
            Ok(_) => (Kind::Parses, None),
            Err(malformed) => match malformed.response {
                Some(response) => (Kind::Refused, Some(response.status)),
                None => (Kind::Dropped, None),
            },
        };
        if (kind, status) != (row.verdict, row.status) {
            let Verdict { file, section, verdict, why, .. } = row;
            wrong.push(format!("{file} (§{section}): {kind:?} {status:?}, not {verdict:?}: {why}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong verdicts:\n{}", wrong.len(), wrong.concat());
}

#[test]
fn a_valid_message_prints_as_it_was_read() {
    for (file, bytes) in valid() {
        let message = parse(bytes).unwrap_or_else(|why| panic!("{file}: {why}"));
        let printed = message.to_bytes();
        let again = parse(printed.clone()).unwrap_or_else(|why| panic!("{file} printed: {why}"));
        assert_eq!(again.to_bytes(), printed, "{file}");
        assert_eq!(again.body(), message.body(), "{file}");
        let lines = |message: &Message| -> Vec<_> {
            let kept = message.headers().iter().filter(|header| header.name() != Name::ContentLength);
            kept.map(|header| (header.spelling().to_owned(), header.value().to_owned())).collect()
        };
        assert_eq!(lines(&again), lines(&message), "{file}");
    }
}

/// Whatever is taken can be asked anything, printed, and taken again; and nothing panics.
#[test]
fn no_damage_to_a_torture_message_breaks_the_reader() {
    let digest = |message: &Message| {
        let headers = message.headers();
        let count = headers.vias().filter(Result::is_ok).count()
            + headers.iter().map(|header| headers.all(header.name()).count()).sum::<usize>()
            + headers.credentials(Name::Authorization).filter(Result::is_ok).count();
        let routes = headers.routes().map(|routes| routes.len());
        let contacts = headers.contacts();
        (count, routes, contacts, headers.expires(), headers.content_length(), headers.content_type())
    };
    let mut taken = 0;
    let mut take = |file: &str, bytes: Bytes| {
        let Ok(message) = parse(bytes.clone()) else { return };
        taken += 1;
        let _ = digest(&message);
        let printed = message.to_bytes();
        let again = parse(printed.clone());
        let again = again.unwrap_or_else(|why| panic!("{file}: {why}: {bytes:?} printed {printed:?}"));
        assert_eq!(again.to_bytes(), printed, "{file}: {bytes:?}");
    };
    const SIGNS: &[u8] = b" ;,:<\"\\@%\r\n\0\xff";
    for (i, row) in verdicts().iter().enumerate() {
        let bytes = bytes_of(&row.file);
        for at in 0..bytes.len() {
            take(&row.file, bytes.slice(..at));
            let mut damaged = bytes.to_vec();
            damaged[at] = SIGNS[(at * 5 + i) % SIGNS.len()];
            take(&row.file, damaged.into());
        }
    }
    assert!(taken > 5_000, "only {taken} were taken");
}

/// RFC 3261 §8.2.6.2, for a refusal that reading alone decides.
#[test]
fn a_refusal_can_find_its_way_back() {
    for row in verdicts().into_iter().filter(|row| row.verdict == Kind::Refused) {
        let bytes = bytes_of(&row.file);
        let Err(malformed) = parse(bytes.clone()) else { panic!("{}: taken", row.file) };
        let refusal = malformed.response.unwrap_or_else(|| panic!("{}: dropped", row.file)).to_bytes();
        let (asked, answer) = (String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&refusal));
        let line_of = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        for name in ["Via:", "From:", "To:", "Call-ID:", "CSeq:"] {
            assert_eq!(line_of(&answer, name), line_of(&asked, name), "{}: {name}", row.file);
        }
        assert!(answer.starts_with("SIP/2.0 ") && answer.ends_with("\r\n\r\n"), "{}: {answer}", row.file);
    }
}

/// RFC 3261 §18.3: in a stream the length alone says where a message ends.
#[test]
fn a_stream_is_cut_at_the_same_places_whatever_its_chunks() {
    for (file, bytes) in valid() {
        if file.contains("inv2543") || file.contains("dblreq") {
            continue;
        }
        for size in [1, 7, bytes.len()] {
            let mut framer = Framer::new(Limits::default());
            let mut frames = Vec::new();
            for chunk in bytes.repeat(2).chunks(size) {
                framer.feed(chunk);
                while let Some(frame) = framer.poll_frame() {
                    frames.push(frame);
                }
            }
            assert_eq!(
                frames,
                [Frame::Message(bytes.clone()), Frame::Message(bytes.clone())],
                "{file} by {size}"
            );
        }
    }
}

#[test]
fn a_stream_whose_lengths_are_not_known_is_given_up() {
    for (file, fault) in [("mcl01", None), ("ncl", None), ("inv2543", Some(Fault::NoContentLength))] {
        let mut framer = Framer::new(Limits::default());
        framer.feed(&bytes_of(&format!("rfc4475/{file}.dat")));
        let Some(Frame::Broken(malformed)) = framer.poll_frame() else { panic!("{file}: framed") };
        assert!(fault.is_none_or(|fault| fault == malformed.fault), "{file}: {malformed}");
        assert_eq!(malformed.response.map(|response| response.status), Some(400), "{file}");
        assert_eq!(framer.poll_frame(), None, "{file}");
    }
    // Its peer means to send more.
    let mut framer = Framer::new(Limits::default());
    framer.feed(&bytes_of("rfc4475/clerr.dat"));
    assert_eq!(framer.poll_frame(), None);
}

#[test]
fn two_requests_in_one_datagram_are_one_but_in_a_stream_two() {
    let bytes = bytes_of("rfc4475/dblreq.dat");
    let first = request("dblreq");
    assert_eq!((first.method, first.body.len()), (Method::Register, 0));

    let mut framer = Framer::new(Limits::default());
    framer.feed(&bytes);
    let mut methods = Vec::new();
    while let Some(Frame::Message(message)) = framer.poll_frame() {
        let Ok(Message::Request(request)) = parse(message) else { panic!("no request") };
        methods.push((request.method, request.body.len()));
    }
    assert_eq!(methods, [(Method::Register, 0), (Method::Invite, 150)]);
}

#[test]
fn wsinv_is_read_through_folds_blanks_and_escapes() {
    let invite = request("wsinv");
    let headers = &invite.headers;
    assert_eq!(invite.method, Method::Invite);
    assert_eq!(invite.uri.as_str(), "sip:vivekg@chair-dnrc.example.com;unknownparam");
    assert_eq!(invite.uri.param("UnknownParam"), Some(None));
    assert_eq!(invite.body.len(), 150);

    let to = headers.to().unwrap();
    assert_eq!(
        (to.uri.as_str(), to.tag().as_deref()),
        ("sip:vivekg@chair-dnrc.example.com", Some(&b"1918181833n"[..]))
    );
    let from = headers.from().unwrap();
    assert_eq!(from.display().as_deref(), Some(&br#"J Rosenberg \""#[..]));
    assert_eq!(
        (from.uri.as_str(), from.tag().as_deref()),
        ("sip:jdrosen@example.com", Some(&b"98asjd8"[..]))
    );

    assert_eq!(headers.max_forwards(), Ok(Some(68)));
    assert_eq!(headers.call_id().unwrap(), "wsinv.ndaksdj@192.0.2.1");
    let cseq = headers.cseq().unwrap();
    assert_eq!((cseq.number, cseq.method), (9, Method::Invite));

    let vias: Vec<_> = headers.vias().map(Result::unwrap).collect();
    let read: Vec<_> =
        vias.iter().map(|via| (via.transport(), via.host().unwrap().to_string(), via.branch())).collect();
    let branch = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    assert_eq!(
        read,
        [
            ("UDP", "192.0.2.2".into(), branch("390skdjuw")),
            ("TCP", "spindle.example.com".into(), branch("z9hG4bK9ikj8")),
            ("UDP", "192.168.255.111".into(), branch("z9hG4bK30239")),
        ]
    );

    assert_eq!(headers.get(Name::Subject), Some(&b""[..]));
    assert_eq!(
        headers.get(other("newfangledheader")),
        Some(&b"newfangled value continued newfangled value"[..])
    );
    assert_eq!(headers.get(other("UnknownHeaderWithUnusualValue")), Some(&b";;,,;;,;"[..]));
    assert!(headers.content_type().unwrap().unwrap().is("application/sdp"));
    let routes = headers.routes().unwrap();
    assert_eq!(routes.len(), 1);
    assert!(routes[0].uri.is_loose());
    assert_eq!(routes[0].uri.param("unknownwith"), Some(Some("value")));
    assert_eq!(routes[0].uri.param("unknown-no-value"), Some(None));

    let contact = contact(&invite);
    assert_eq!(contact.display().as_deref(), Some(&br#"Quoted string """#[..]));
    let params: Vec<_> = contact.params.iter().map(|(name, value)| (name, value.map(text))).collect();
    assert_eq!(params, [("newparam", Some("newvalue")), ("secondparam", None), ("q", Some("0.33"))]);
    let order: Vec<_> = headers.iter().map(|header| header.spelling().to_owned()).collect();
    assert_eq!(
        order.join(" "),
        "TO from MaX-fOrWaRdS Call-ID Content-Length cseq Via s NewFangledHeader \
         UnknownHeaderWithUnusualValue Content-Type Route v m"
    );
}

#[test]
fn intmeth_keeps_every_legal_byte() {
    let odd = request("intmeth");
    assert_eq!(odd.method.as_str(), "!interesting-Method0123456789_*+`.%indeed'~");
    assert_eq!(odd.headers.cseq().unwrap().method, odd.method);
    assert_eq!(odd.uri.user(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(odd.uri.password(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(odd.uri.host(), Some(Host::Name("example.com")));
    let to = odd.headers.to().unwrap();
    assert_eq!(to.display().as_deref(), Some(&b"BEL:\x07 NUL:\0 DEL:\x7f"[..]));
    assert_eq!(to.uri.user(), odd.uri.user());
    let from = odd.headers.from().unwrap();
    assert_eq!(from.display().as_deref(), Some(&b"token1~` token2'+_ token3*%!.-"[..]));
    assert_eq!(from.params.get("fromParam''~+*_!.-%").as_deref(), Some("работающий".as_bytes()));
    assert_eq!(from.tag().unwrap(), "_token~1'+`*%!-.");
    assert_eq!(odd.headers.via().unwrap().branch().unwrap(), "z9hG4bK-.!%66*_+`'~");
    assert_eq!(odd.headers.call_id().unwrap(), r#"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{"#);
    assert_eq!(odd.headers.max_forwards(), Ok(Some(255)));
    let extension = odd.headers.get(other("extensionHeader-!.%*+_`'~")).unwrap();
    assert_eq!(text(extension), "\u{feff}大停電");
}

#[test]
fn escapes_are_undone_where_they_are_escapes() {
    let invite = request("esc01");
    assert_eq!(invite.uri.user(), Some("sips%3Auser%40example.com"));
    assert_eq!(invite.uri.user_unescaped().as_deref(), Some(&b"sips:user@example.com"[..]));
    assert_eq!(invite.uri.host(), Some(Host::Name("example.net")));
    let (to, from) = (invite.headers.to().unwrap(), invite.headers.from().unwrap());
    assert_eq!(to.uri.user_unescaped().as_deref(), Some(&b"user"[..]));
    assert!(to.uri.is_equivalent(&"sip:user@example.com".parse().unwrap()));
    assert_eq!(from.uri.user_unescaped().as_deref(), Some(&b"I have spaces"[..]));
    let contact = contact(&invite);
    assert_eq!(contact.uri.user_unescaped().as_deref(), Some(&b"caller"[..]));
    // `%6C%72` is lr, and `n%61me=v%61lue%25%34%31` is name=value%41.
    assert!(contact.uri.is_loose());
    assert_eq!(contact.uri.param("name"), Some(Some("v%61lue%25%34%31")));
    assert_eq!(invite.body.len(), 150);
}

#[test]
fn escapes_stand_where_they_are_none() {
    let odd = request("esc02");
    assert_eq!(odd.method.as_str(), "RE%47IST%45R");
    assert_ne!(odd.method, Method::Register);
    assert_eq!(odd.headers.to().unwrap().display().as_deref(), Some(&b"%Z%45"[..]));
    assert_eq!(odd.headers.via().unwrap().branch().unwrap(), "z9hG4bK209%fzsnel234");
    let Ok(Contacts::List(contacts)) = odd.headers.contacts() else { panic!("no Contacts") };
    let users: Vec<_> = contacts.iter().map(|contact| contact.uri.user().unwrap()).collect();
    assert_eq!(users, ["alias1", "alias3"]);
    assert_eq!(odd.headers.get(other("C%6Fntact")), Some(&b"<sip:alias2@host2.example.com>"[..]));
}

#[test]
fn an_escaped_nul_is_a_byte_of_the_user() {
    let register = request("escnull");
    let to = register.headers.to().unwrap();
    assert_eq!(to.uri.user_unescaped().as_deref(), Some(&b"null-\0-null"[..]));
    let Ok(Contacts::List(contacts)) = register.headers.contacts() else { panic!("no Contacts") };
    let users: Vec<_> =
        contacts.iter().map(|contact| contact.uri.user_unescaped().unwrap().into_owned()).collect();
    assert_eq!(users, [b"\0".to_vec(), b"\0\0".to_vec()]);
    assert!(!contacts[0].uri.is_equivalent(&contacts[1].uri));
}

#[test]
fn long_values_are_kept_whole() {
    let invite = request("longreq");
    let headers = &invite.headers;
    let to = headers.to().unwrap();
    let name = format!("I have a user name of {} proportion", "extreme".repeat(10));
    assert_eq!(to.display().as_deref(), Some(name.as_bytes()));
    assert_eq!(to.uri.port(), Some(6000));
    assert_eq!(to.uri.param(&format!("longparam{}", "name".repeat(25))), Some(Some("shortvalue")));
    assert_eq!(to.uri.param(&format!("very{}ParameterNameWithNoValue", "long".repeat(25))), Some(None));
    let from = headers.from().unwrap();
    assert_eq!(from.uri.user(), Some(&*"amazinglylongcallername".repeat(5)));
    assert_eq!(from.tag().unwrap(), format!("12{}424", "982".repeat(50)));
    assert_eq!(headers.call_id().unwrap(), format!("longreq.one{}longcallid", "really".repeat(20)));
    let unknown = format!("unknown-{}-name", "long".repeat(20));
    assert!(headers.get(other(&unknown)).unwrap().ends_with(b"-parameter-value"));

    let vias: Vec<_> = headers.vias().map(|via| via.unwrap().host().unwrap().to_string()).collect();
    let mut expected: Vec<_> = (1..=33).rev().map(|n| format!("sip{n}.example.com")).collect();
    expected.push("host.example.com".into());
    assert_eq!(vias, expected);
    assert_eq!(headers.vias().last().unwrap().unwrap().branch().unwrap().len(), 4 + 4 * 50 + 11);
    assert_eq!(headers.via().unwrap().branch(), None);
    assert_eq!(invite.body.len(), 150);
}

#[test]
fn what_looks_like_structure_in_a_user_is_user() {
    let options = request("semiuri");
    assert_eq!(options.uri.user(), Some("user;par=u%40example.net"));
    assert_eq!(options.uri.host(), Some(Host::Name("example.com")));
    assert_eq!(options.uri.params().count(), 0);
    let accept: Vec<_> = options.headers.all(Name::Accept).map(text).collect();
    assert_eq!(accept.len(), 6);
    assert_eq!((accept[1], accept[5]), ("application/pkcs7-mime", "message/sipfrag"));

    let options = request("lwsdisp");
    let from = options.headers.from().unwrap();
    assert_eq!((from.display().as_deref(), from.uri.user()), (Some(&b"caller"[..]), Some("caller")));
}

#[test]
fn transports_of_others_are_read() {
    let vias: Vec<_> =
        request("transports").headers.vias().map(|via| via.unwrap().transport().to_owned()).collect();
    assert_eq!(vias, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
    assert_eq!(request("transports").headers.call_id().unwrap(), "transports.kijh4akdnaqjkwendsasfdj");
}

#[test]
fn a_binary_body_is_kept_to_the_byte() {
    let message = request("mpart01");
    assert_eq!(message.method, Method::Message);
    assert_eq!(message.body.len(), 553);
    assert!(message.body.contains(&0));
    // The signature inside, ASN.1 from its tag to its end.
    let at = message.body.windows(4).position(|four| four == [0x30, 0x82, 0x01, 0x52]).unwrap();
    assert_eq!(&message.body[at + 342..], b"\r\n--7a9cbec02ceef655--\r\n");
    let kind = message.headers.content_type().unwrap().unwrap();
    assert!(kind.is("Multipart/Mixed"));
    assert_eq!(kind.params.raw("boundary"), Some(&b"7a9cbec02ceef655"[..]));
    let via = message.headers.via().unwrap();
    assert_eq!((via.port, via.rport()), (Some(5070), Some(None)));
    assert_eq!(message.headers.get(Name::Identity).unwrap().len(), 172);
}

#[test]
fn any_reason_phrase_will_do() {
    let answer = response("unreason");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.reason.lossy(), "= 2**3 * 5**2 но сто девяносто девять - простое");
    assert_eq!(answer.body.len(), 154);
    let answer = response("noreason");
    assert_eq!((answer.status, answer.reason.lossy().as_ref()), (100, ""));
    assert_eq!(answer.headers.to().unwrap().tag().unwrap(), "902jndnke3");
}

#[test]
fn schemes_that_are_not_ours_are_told_apart() {
    for (name, uri) in [
        ("unkscm", "nobodyKnowsThisScheme:totallyopaquecontent"),
        ("novelsc", "soap.beep://192.0.2.103:3002"),
    ] {
        let options = request(name);
        assert_eq!((options.uri.as_str(), options.uri.scheme()), (uri, Scheme::Other));
    }
    let register = request("unksm2");
    let (to, from) = (register.headers.to().unwrap(), register.headers.from().unwrap());
    assert_eq!((to.uri.as_str(), from.uri.as_str()), ("isbn:2983792873", "http://www.example.com"));
    assert_eq!(from.tag().unwrap(), "3234233");
    assert_eq!(contact(&register).uri.as_str(), "name:John_Smith");
}

#[test]
fn what_the_layers_above_must_refuse_is_there_to_be_seen() {
    let options = request("bext01");
    let required: Vec<_> = options.headers.all(Name::Require).map(text).collect();
    assert_eq!(required, ["nothingSupportsThis", "nothingSupportsThisEither"]);
    let invite = request("invut");
    assert!(invite.headers.content_type().unwrap().unwrap().is("application/unknownformat"));
    assert_eq!(invite.body, "<audio>\r\n <pcmu port=\"443\"/>\r\n</audio>\r\n");
    let register = request("regaut01");
    let credentials = register.headers.credentials(Name::Authorization).next().unwrap().unwrap();
    assert_eq!((credentials.scheme(), credentials.is_digest()), ("NoOneKnowsThisScheme", false));
    assert_eq!(request("zeromf").headers.max_forwards(), Ok(Some(0)));
    assert!(request("sdp01").headers.has_token(Name::Accept, "text/nobodyknowsthis"));
    assert_eq!(response("bcast").headers.vias().count(), 2);
    assert_eq!(request("baddate").headers.get(Name::Date), Some(&b"Fri, 01 Jan 2010 16:00:00 EST"[..]));
}

#[test]
fn brackets_say_whose_a_parameter_is() {
    let outside = contact(&request("cparam01"));
    assert!(outside.params.has("unknownparam"));
    assert_eq!(outside.uri.as_str(), "sip:+19725552222@gw1.example.net");
    let inside = contact(&request("cparam02"));
    assert!(inside.params.is_empty());
    assert_eq!(inside.uri.param("unknownparam"), Some(None));
    let escaped = contact(&request("regescrt"));
    let headers: Vec<_> = escaped.uri.headers().collect();
    assert_eq!(headers, [("Route", "%3Csip:sip.example.com%3E")]);
}

#[test]
fn a_request_from_before_rfc_3261_is_understood() {
    let invite = request("inv2543");
    assert_eq!(invite.headers.via().unwrap().branch(), None);
    assert_eq!(invite.headers.from().unwrap().tag(), None);
    assert_eq!(invite.headers.max_forwards(), Ok(None));
    let to = invite.headers.to().unwrap();
    assert_eq!((to.uri.user(), to.params.raw("user")), (Some("+16505552222"), Some(&b"phone"[..])));
    // Without a length the datagram's end is the body's.
    assert_eq!(invite.body.len(), 105);
}

#[test]
fn ipv6_references_are_addresses_and_ports_stay_outside() {
    let host = |request: &Request| request.uri.host().map(|host| host.to_string());
    let good = request("ipv6-good");
    assert_eq!(host(&good).as_deref(), Some("[2001:db8::10]"));
    assert_eq!(good.headers.via().unwrap().host().unwrap().to_string(), "[2001:db8::9:1]");
    assert_eq!(contact(&good).uri.host().unwrap().ip(), Some("2001:db8::1".parse().unwrap()));

    let ambiguous = request("port-ambiguous");
    assert_eq!(ambiguous.uri.host().unwrap().ip(), Some("2001:db8::10:5070".parse().unwrap()));
    assert_eq!(ambiguous.uri.port(), None);
    let unambiguous = request("port-unambiguous");
    assert_eq!(unambiguous.uri.host().unwrap().ip(), Some("2001:db8::10".parse().unwrap()));
    assert_eq!(unambiguous.uri.port(), Some(5070));

    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        let via = request(name).headers.via().unwrap();
        assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()), "{name}");
    }

    let vias: Vec<_> = request("mult-ip-in-header").headers.vias().map(Result::unwrap).collect();
    let read: Vec<_> =
        vias.iter().map(|via| (via.host().unwrap().to_string(), via.port, via.received())).collect();
    assert_eq!(
        read,
        [
            ("[2001:db8::9:1]".into(), Some(6050), None),
            ("192.0.2.1".into(), None, None),
            ("[2001:db8::9:255]".into(), None, Some("192.0.2.200".parse().unwrap())),
        ]
    );

    let mapped = request("ipv4-mapped-ipv6");
    let via = mapped.headers.via().unwrap();
    assert_eq!(via.host().unwrap().ip(), Some("::ffff:192.0.2.10".parse().unwrap()));
    assert_eq!((via.port, mapped.body.len()), (Some(19823), 245));
    assert_eq!((request("ipv6-in-sdp").body.len(), request("mult-ip-in-sdp").body.len()), (251, 190));
    for name in ["ipv6-correct-abnf-2-colons", "ipv6-bug-abnf-3-colons"] {
        let host = request(name).uri.host().unwrap().ip();
        assert_eq!(host, Some("2001:db8::192.0.2.1".parse().unwrap()), "{name}");
    }
}

/// As RFC 5118 prints them: §4.6 counts more than there is, §4.8 and §4.9 less.
#[test]
fn a_printed_length_too_long_is_refused_and_one_too_short_cuts() {
    let with_length = |name: &str, ours: &str, printed: &str| {
        let bytes = bytes_of(&format!("rfc5118/{name}.dat"));
        let text =
            text(&bytes).replace(&format!("Content-Length: {ours}"), &format!("Content-Length: {printed}"));
        parse(text.into())
    };
    assert_eq!(with_length("ipv6-in-sdp", "251", "268").unwrap_err().fault, Fault::Truncated);
    assert_eq!(with_length("mult-ip-in-sdp", "190", "181").unwrap().body().len(), 181);
    assert_eq!(with_length("ipv4-mapped-ipv6", "245", "236").unwrap().body().len(), 236);
}

/// An endpoint in use by nobody but one carrier.
struct Lab {
    endpoint: Endpoint,
    hop: Hop,
}

/// What came of a message.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    /// With what text. It copies what was bad, so it need not be readable as a message.
    Answered(u16, String),
    /// Of what Call-ID.
    Invited(Bytes),
}

impl Lab {
    fn new() -> Self {
        let local = "192.0.2.100:5060".parse().expect("an address");
        let remote = "192.0.2.1:5060".parse().expect("an address");
        let carrier = Trunk {
            id: TrunkId::from("carrier"),
            sources: vec!["192.0.2.0/24".parse().expect("a range")],
            outbound: None,
            login: None,
        };
        let settings = Settings {
            listeners: vec![(Transport::Udp, local)],
            advertised: None,
            user_agent: "Baton".into(),
            realm: "example.com".into(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            accounts: vec![],
            trunks: vec![carrier],
            bounds: Bounds::default(),
        };
        let endpoint = Endpoint::new(settings, Mint::new([7; 32]));
        Self { endpoint, hop: Hop { transport: Transport::Udp, local, remote, stream: None } }
    }

    fn hears(&mut self, bytes: Bytes) -> Vec<Reaction> {
        self.endpoint.handle_input(Mono::ZERO, Input::Received { hop: self.hop, bytes });
        let outputs = std::iter::from_fn(|| self.endpoint.poll_output());
        let reaction = |output| match output {
            Output::Transmit { bytes, .. } => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let status = text.split(' ').nth(1).and_then(|digits| digits.parse().ok());
                Reaction::Answered(status.unwrap_or_else(|| panic!("no response: {text}")), text)
            }
            Output::Event(Event::Invited { request, .. }) => {
                Reaction::Invited(request.headers.call_id().expect("checked when it was read"))
            }
            Output::Event(event) => panic!("told of {event:?}"),
        };
        outputs.map(reaction).collect()
    }
}

#[test]
fn an_endpoint_answers_each_message_as_its_rfc_asks() {
    let mut wrong = Vec::new();
    for row in verdicts() {
        let bytes = bytes_of(&row.file);
        let reactions = Lab::new().hears(bytes.clone());
        let status = |reaction: &Reaction| match reaction {
            Reaction::Answered(status, _) => Some(*status),
            Reaction::Invited(_) => None,
        };
        let statuses: Vec<_> = reactions.iter().map(status).collect();
        let is_invite = bytes.starts_with(b"INVITE ");
        let expected = match (row.verdict, row.status.or(row.endpoint)) {
            (_, Some(status)) => vec![Some(status)],
            (Kind::Parses, None) if is_invite => vec![Some(100), None],
            (_, None) => vec![],
        };
        if statuses != expected {
            wrong.push(format!(
                "{} (§{}): {reactions:?}, not {expected:?}: {}\n",
                row.file, row.section, row.why
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.concat());
}

#[test]
fn a_refusal_says_what_would_have_been_taken() {
    let answer_to = |name: &str| match Lab::new().hears(bytes_of(&format!("rfc4475/{name}.dat"))).pop() {
        Some(Reaction::Answered(_, text)) => text,
        reaction => panic!("{name}: {reaction:?}"),
    };
    // RFC 4475 §3.1.1.2, RFC 3261 §8.2.1.
    for name in ["intmeth", "esc02", "mismatch02", "mpart01"] {
        assert!(answer_to(name).contains("\r\nAllow: INVITE, ACK, "), "{name}: {}", answer_to(name));
    }
    // RFC 3261 §8.2.2.3.
    for option in ["nothingSupportsThis", "nothingSupportsThisEither"] {
        assert!(answer_to("bext01").contains(&format!("\r\nUnsupported: {option}\r\n")), "{option}");
    }
    // RFC 8760 §2.3: the strongest first.
    let challenges = answer_to("regaut01");
    let (sha, md5) = (challenges.find("algorithm=SHA-256"), challenges.find("algorithm=MD5"));
    assert!(sha.is_some() && sha < md5, "{challenges}");
    // RFC 3261 §8.2.6.2: our tag, where To has none.
    for name in ["intmeth", "unkscm", "zeromf", "scalar02", "ncl", "mismatch01", "badinv01", "badvers"] {
        let text = answer_to(name);
        let to = text.lines().find(|line| line.starts_with("To:"));
        assert!(to.is_some_and(|to| to.contains(";tag=")), "{name}: {text}");
    }
}

/// RFC 4475 §3.2.1: such a peer's calls are told apart all the same.
#[test]
fn two_calls_with_nothing_in_their_branch_are_two() {
    let invite = |call: &str| {
        format!(
            "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK\r\n\
             From: <sip:a@example.org>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: {call}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let mut lab = Lab::new();
    let mut calls = Vec::new();
    for call in ["one", "two", "one"] {
        let reactions = lab.hears(invite(call).into());
        calls.extend(reactions.into_iter().filter(|reaction| matches!(reaction, Reaction::Invited(_))));
    }
    assert_eq!(calls, [Reaction::Invited("one".into()), Reaction::Invited("two".into())]);
}
