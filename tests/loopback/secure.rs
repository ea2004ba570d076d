//! Calls of which one leg is protected: both ends are heard, and on the protected leg nobody else
//! hears anything.

use std::net::SocketAddr;
use std::time::Duration;

use super::alone::alone;
use super::carrier::{Caller, End, MEDIA_PORT};
use super::centre::{CARRIER, Centre, FRONT, NUMBER, Site, agent, assert_about, number};
use super::phone::{Handset, Phone, Secrecy};
use super::sound::{AGENT, CALLER, Law, heard, tone};
use super::stranger::Stranger;
use super::wire::Wire;

const TALK: Duration = Duration::from_secs(4);
/// What of it must be heard: the rest is the time to answer and to agree on keys.
const ENOUGH: f64 = 2.5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    Clear,
    Protected,
}

/// A caller in the clear talks with an agent whose phone is as it is, and is treated as the
/// operator says.
async fn talk(secrecy: Secrecy, srtp: &str, leg: Leg) {
    let ann = agent("ann", "1001", &format!("initial = \"ready\"\nsrtp = \"{srtp}\""));
    let site = Site::new(&(ann + &number("")), FRONT);
    let mut centre = site.start().await;
    let wire = Wire::tap();
    let ann = Handset { secrecy, ..Handset::default() }.register(&mut centre, ("ann", "1001"), 5080).await;
    Caller { end: End::After(TALK), ..Caller::default() }.dial(&centre).succeed().await;
    assert_eq!(centre.finished(None).await["state"], "finished");
    centre.quiet().await;

    let carrier = SocketAddr::new(CARRIER.parse().expect("an address"), MEDIA_PORT);
    assert_about("the agent, at the carrier", heard(&wire.sound(carrier, Law::Mu), AGENT), ENOUGH..=5.0);
    leaks(&wire, ann.media, leg);
    let at_phone = ann.heard().await;
    assert_about("the caller, at the phone", heard(&at_phone[0], CALLER), ENOUGH..=5.0);
}

/// What somebody between would hear of a phone's leg, either way.
fn leaks(wire: &Wire, phone: SocketAddr, leg: Leg) {
    for (what, payloads, pitch) in [
        ("toward the phone", wire.sound(phone, Law::Mu), CALLER),
        ("from the phone", wire.said(phone, Law::Mu), AGENT),
    ] {
        assert!(payloads.len() > 8000, "packets {what}");
        match leg {
            Leg::Clear => assert_about(what, heard(&payloads, pitch), ENOUGH..=5.0),
            Leg::Protected => assert_eq!(heard(&payloads, pitch), 0.0, "{what}"),
        }
    }
}

/// A protected caller, baresip in the place of a carrier, and an agent's phone in the clear.
async fn called(secrecy: Secrecy, srtp: &str) {
    let tables = agent("ann", "1001", "initial = \"ready\"")
        + &number("")
        + &format!(
            "[[trunk]]\nid = \"branch\"\nsources = [\"127.0.0.1\"]\ncountry = \"86\"\nsrtp = \"{srtp}\"\n"
        );
    let site = Site::new(&tables, FRONT);
    let mut centre = site.start().await;
    let wire = Wire::tap();
    let ann = Handset::default().register(&mut centre, ("ann", "1001"), 5080).await;
    let caller = Handset { secrecy, voice: tone(CALLER, 120), ..Handset::default() };
    let caller = caller.dial(&centre, NUMBER, 5090).await;
    centre.stage("ivr").await;
    caller.press('5').await;
    let contact = centre.stage("talk").await;
    let carried = || heard(&wire.sound(ann.media, Law::Mu), CALLER) > ENOUGH;
    centre.until("the agent hears the caller", "/v1/calls", |_| carried().then_some(())).await;
    ann.hang_up().await;
    assert_eq!(centre.finished(Some(&contact)).await["state"], "finished");
    centre.quiet().await;
    for (payloads, pitch) in
        [(wire.sound(caller.media, Law::Mu), AGENT), (wire.said(caller.media, Law::Mu), CALLER)]
    {
        assert!(payloads.len() > 8000);
        assert_eq!(heard(&payloads, pitch), 0.0, "it is protected");
    }
    let at_caller = caller.heard().await;
    assert_about("the agent, at the caller", heard(&at_caller[0], AGENT), ENOUGH - 0.5..=10.0);
}

/// A phone that can do nothing with what it is offered says so, and the caller waits on.
async fn refused(centre: &Centre, wire: &Wire, phone: &Phone) {
    let caller = Caller::default().dial(centre);
    let said = |d: &super::wire::Datagram, start: &str| d.payload.starts_with(start.as_bytes());
    let refuses = || !wire.passed(|d| d.from.port() == 5080 && said(d, "SIP/2.0 488")).is_empty();
    centre.until("the phone refuses", "/v1/calls", |_| refuses().then_some(())).await;
    centre.stage("queue").await;
    let sound = wire.passed(|d| d.to == phone.media || d.from == phone.media);
    assert!(sound.is_empty(), "nothing is said in the clear");
    caller.vanish().await;
}

alone! {
    async fn keys_by_sdes_where_both_demand_them() {
        talk(Secrecy::SdesAlways, "sdes", Leg::Protected).await;
    }

    async fn keys_by_sdes_where_both_can() {
        talk(Secrecy::Sdes, "optional", Leg::Protected).await;
    }

    async fn no_keys_where_they_may_be_left_and_the_phone_has_none() {
        talk(Secrecy::None, "optional", Leg::Clear).await;
    }

    async fn keys_by_dtls_where_both_demand_them() {
        talk(Secrecy::Dtls, "dtls", Leg::Protected).await;
    }

    async fn a_callers_keys_by_sdes() {
        called(Secrecy::SdesAlways, "sdes").await;
    }

    async fn a_callers_keys_by_dtls() {
        called(Secrecy::Dtls, "off").await;
    }

    async fn a_phone_without_keys_is_not_talked_to_where_they_are_demanded() {
        let ann = agent("ann", "1001", "initial = \"ready\"\nsrtp = \"sdes\"");
        let site = Site::new(&(ann + &number("")), FRONT);
        let mut centre = site.start().await;
        let wire = Wire::tap();
        let ann = Handset::default().register(&mut centre, ("ann", "1001"), 5080).await;
        refused(&centre, &wire, &ann).await;
    }

    async fn a_phone_that_answers_in_the_clear_where_keys_are_demanded_is_hung_up_on() {
        let port = 5070;
        let ann = format!(
            "[[agent]]\nid = \"ann\"\nqueues = [\"cards\"]\nskills = {{ cards = 5 }}\ninitial = \"ready\"\n\
             phone = \"sip:ann@127.0.0.8:{port}\"\nsrtp = \"sdes\"\n"
        );
        let site = Site::new(&(ann + &number("")), FRONT);
        let centre = site.start().await;
        let wire = Wire::tap();
        let phone = Stranger::on(("127.0.0.8", port), centre.udp).await;
        let caller = Caller::default().dial(&centre);
        let invite = phone.asked("INVITE").await;
        assert!(invite.contains(" RTP/SAVP ") && invite.contains("a=crypto:1 "), "{invite}");
        phone.agree(&invite, &phone.clear()).await;
        phone.asked("ACK").await;
        let bye = phone.asked("BYE").await;
        phone.agree(&bye, "").await;
        centre.stage("queue").await;
        let sound = wire.passed(|d| d.to.port() == 17_000);
        assert!(sound.is_empty(), "nothing is said in the clear");
        caller.vanish().await;
    }

    async fn a_call_in_the_clear_is_refused_where_keys_are_demanded() {
        let branch = "[[trunk]]\nid = \"branch\"\nsources = [\"127.0.0.4\"]\ncountry = \"86\"\nsrtp = \"sdes\"\n";
        let site = Site::new(&(number("") + branch), FRONT);
        let centre = site.start().await;
        let answer = Stranger::at("127.0.0.4", centre.udp).await.invite().await;
        assert!(answer.starts_with("SIP/2.0 488 "), "{answer}");
    }
}
