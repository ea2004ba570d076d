//! Phones of every codec and a carrier of PCMU: what is heard at both far ends and recorded, and who
//! has to be interpreted at all.

use std::net::SocketAddr;
use std::time::Duration;

use super::alone::alone;
use super::carrier::{Caller, End, MEDIA_PORT};
use super::centre::{CARRIER, Centre, FRONT, Site, agent, assert_about, number};
use super::phone::{Handset, Phone};
use super::sound::{AGENT, CALLER, Law, MENU, heard, level, stretch, tone};
use super::wire::Wire;

const TALK: Duration = Duration::from_secs(4);
/// What of it must be heard: the rest is the time to answer and the phone's jitter buffer.
const ENOUGH: f64 = 3.0;
/// How far from the level it was spoken at a tone may be at the other end, in dB.
const OFF: f64 = 1.0;

/// A call that is over, and what there was to hear of it.
struct Talk {
    wire: Wire,
    phone: SocketAddr,
}

/// A caller in PCMU talks with an agent whose phone has these codecs.
async fn talk(codecs: &'static str) -> Talk {
    let site = Site::new(&(agent("ann", "1001", "initial = \"ready\"") + &number("record = true")), FRONT);
    let mut centre = site.start().await;
    let wire = Wire::tap();
    let ann = Handset { codecs, ..Handset::default() }.register(&mut centre, ("ann", "1001"), 5080).await;
    let phone = ann.media;
    Caller { end: End::After(TALK), ..Caller::default() }.dial(&centre).succeed().await;
    let record = centre.finished(None).await;
    assert_eq!(record["state"], "finished");
    let levels = hears_both(&wire, ann).await;
    recorded_both(&centre, &record, levels).await;
    Talk { wire, phone }
}

/// Each end hears the other, as loud as it spoke, and itself not. Gives the levels of both.
async fn hears_both(wire: &Wire, phone: Phone) -> [f64; 2] {
    let (at_phone, by_phone) = phone.heard_and_said().await;
    assert_eq!(at_phone.len(), 1, "one call");
    let (at_phone, by_phone) = (&at_phone[0], &by_phone[0]);
    let by_carrier = tone(CALLER, 1);
    let carrier = SocketAddr::new(CARRIER.parse().expect("an address"), MEDIA_PORT);
    let at_carrier = wire.sound(carrier, Law::Mu);
    assert_about("the menu, at the carrier", heard(&at_carrier, MENU), 0.2..=1.1);
    assert_about("the agent, at the carrier", heard(&at_carrier, AGENT), ENOUGH..=5.0);
    assert_about("the caller, at the phone", heard(at_phone, CALLER), ENOUGH..=5.0);
    assert_eq!(heard(&at_carrier, CALLER), 0.0, "no echo");
    assert_eq!(heard(at_phone, AGENT) + heard(at_phone, MENU), 0.0, "the caller only");
    let levels = [(&by_carrier, at_phone, CALLER), (by_phone, &at_carrier, AGENT)];
    levels.map(|(said, heard, pitch)| {
        let (said, heard) = (level(said, pitch).expect("said"), level(heard, pitch).expect("heard"));
        assert_about("the level", heard, said - OFF..=said + OFF);
        said
    })
}

async fn recorded_both(centre: &Centre, record: &serde_json::Value, levels: [f64; 2]) {
    let channels = centre.recording(record).await;
    let [left, right] = &channels[..] else { panic!("{} channels", channels.len()) };
    for (side, pitch, said) in [(left, CALLER, levels[0]), (right, AGENT, levels[1])] {
        let level = level(side, pitch).expect("recorded");
        assert_about("the level recorded", level, said - OFF..=said + OFF);
    }
    let (caller, agent) = (stretch(left, CALLER).expect("left"), stretch(right, AGENT).expect("right"));
    assert_eq!(heard(left, AGENT) + heard(right, CALLER), 0.0, "each on a side of its own");
    assert_about("the agent, recorded", agent.len() as f64 / 8000.0, ENOUGH..=5.0);
    assert_about("both channels end together", caller.end.abs_diff(agent.end), 0..=2400);
}

impl Talk {
    /// The payloads of sound that went to the phone, with their types.
    fn at_phone(&self) -> Vec<(u8, Vec<u8>)> {
        let packets = self.wire.passed(|datagram| datagram.to == self.phone && datagram.payload.len() > 12);
        // Neither keys nor, on the same port, RTCP (RFC 5761 §4).
        let packets = packets
            .into_iter()
            .filter(|packet| packet.payload[1] & 0x7f != 101 && !(192..=223).contains(&packet.payload[1]));
        packets.map(|packet| (packet.payload[1] & 0x7f, packet.payload[12..].to_vec())).collect()
    }
}

alone! {
    async fn an_opus_phone_and_a_pcmu_caller_hear_each_other() {
        let talk = talk("opus/48000/2").await;
        let packets = talk.at_phone();
        assert!(packets.iter().all(|(payload_type, _)| *payload_type >= 96), "all of it is Opus");
        let octets: usize = packets.iter().map(|(_, payload)| payload.len()).sum();
        // PCMU would be 160.
        assert_about("octets in a packet", octets / packets.len(), 15..=110);
    }

    async fn a_g722_phone_and_a_pcmu_caller_hear_each_other() {
        let talk = talk("g722/16000/1").await;
        assert!(talk.at_phone().iter().all(|packet| packet.0 == 9 && packet.1.len() == 160));
    }

    async fn a_phone_of_every_codec_is_given_the_callers_own_and_nothing_is_decoded() {
        let talk = talk("opus/48000/2,g722/16000/1,pcma/8000/1,pcmu/8000/1").await;
        let said = talk.wire.passed(|datagram| datagram.from.port() == MEDIA_PORT);
        let said: std::collections::BTreeSet<_> =
            said.iter().filter_map(|datagram| datagram.payload.get(12..)).collect();
        for (payload_type, payload) in talk.at_phone() {
            assert_eq!(payload_type, 0);
            assert!(said.contains(&payload[..]), "as the caller said it");
        }
    }
}
