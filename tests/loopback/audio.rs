//! Both directions of sound at the far ends, through the laws, and what is recorded of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::alone::alone;
use super::carrier::{Caller, End, MEDIA_PORT};
use super::centre::{CARRIER, FRONT, Site, agent, assert_about, number};
use super::phone::{Answers, Phone};
use super::sound::{AGENT, CALLER, Law, MENU, heard, stretch};
use super::wire::Wire;

/// How long caller and agent talk, and what of it must be heard: what is lost is the time to
/// answer and the phone's jitter buffer.
const TALK: Duration = Duration::from_secs(4);
const ENOUGH: f64 = 3.0;

/// A caller of `trunk`'s law talks with an agent of `phone`'s.
async fn talk(trunk: Law, phone: Law) {
    let site = Site::new(&(agent("ann", "1001", "initial = \"ready\"") + &number("record = true")), FRONT);
    let mut centre = site.start().await;
    let wire = Wire::tap();
    let ann = Phone::register(&mut centre, ("ann", "1001"), 5080, phone, Answers::AtOnce).await;
    Caller { law: trunk, end: End::After(TALK), ..Caller::default() }.dial(&centre).succeed().await;
    let record = centre.finished(None).await;

    let carrier = SocketAddr::new(CARRIER.parse().expect("an address"), MEDIA_PORT);
    let at_carrier = wire.sound(carrier, trunk);
    assert_about("the menu, at the carrier", heard(&at_carrier, MENU), 0.2..=1.1);
    assert_about("the agent, at the carrier", heard(&at_carrier, AGENT), ENOUGH..=5.0);
    let at_phone = ann.heard().await;
    assert_eq!(at_phone.len(), 1, "one call");
    assert_about("the caller, at the phone", heard(&at_phone[0], CALLER), ENOUGH..=5.0);
    assert_eq!(
        heard(&at_phone[0], AGENT) + heard(&at_phone[0], MENU),
        0.0,
        "the phone hears the caller only"
    );

    assert_eq!(record["state"], "finished");
    assert_eq!(record["calls"][0]["release"]["by"], "caller");
    let ms = |segment: &serde_json::Value| segment["ms"].as_u64();
    let segments = record["calls"][0]["segments"].as_array().expect("segments");
    assert_eq!(segments.iter().filter_map(ms).sum::<u64>(), ms(&record["calls"][0]).expect("a length"));

    let channels = centre.recording(&record).await;
    let [left, right] = &channels[..] else { panic!("{} channels", channels.len()) };
    let seconds = left.len() as f64 / 8000.0;
    let length = record["calls"][0]["ms"].as_f64().expect("a length") / 1000.0;
    // What the jitter buffers held back to the end is recorded too.
    assert_about("the recording is as long as the call", seconds, length - 0.3..=length + 0.15);
    let (caller, agent) =
        (stretch(left, CALLER).expect("the caller, left"), stretch(right, AGENT).expect("the agent, right"));
    assert_eq!(heard(left, AGENT) + heard(right, CALLER), 0.0, "each on a side of its own");
    // The agent is heard from the answer on, that many milliseconds into the call; both until the end.
    let before = segments.iter().take_while(|segment| segment["stage"] != "talk").filter_map(ms).sum::<u64>();
    assert_about("the agent begins", agent.start as u64 / 8, before.saturating_sub(100)..=before + 400);
    assert_about("the caller, left", heard(left, CALLER), seconds - 1.0..=seconds);
    assert_about("both channels end together", caller.end.abs_diff(agent.end), 0..=2400);

    // Two ways, fifty packets a second; the caller spoke all the time.
    let spoken = TALK.as_secs_f64() * 50.0;
    assert_about("packets in", centre.metric("baton_media_received_total").await, spoken..=4.0 * spoken);
    assert_about("packets out", centre.metric("baton_media_sent_total").await, spoken..=4.0 * spoken);
    for none in ["oversize", "forwarded", "unforwarded"] {
        assert_eq!(centre.metric(&format!("baton_media_{none}_total")).await, 0.0, "{none}");
    }
    assert_eq!(centre.metric("baton_recording_lost_total").await, 0.0);
}

alone! {
    async fn caller_and_agent_hear_each_other_in_pcmu() {
        talk(Law::Mu, Law::Mu).await;
    }

    async fn caller_and_agent_hear_each_other_in_pcma() {
        talk(Law::A, Law::A).await;
    }

    async fn caller_and_agent_hear_each_other_across_the_laws() {
        talk(Law::Mu, Law::A).await;
    }
}
