//! Keys, however they come: one each, and none of a secret in any log.

use std::time::Duration;

use super::alone::alone;
use super::carrier::{Caller, End, Keying};
use super::centre::{Site, number};
use super::sound;
use super::wire::Wire;

/// Three menus with one right key each. Whoever presses one twice answers the next menu wrongly, and
/// is hung up on.
const THREE: &str = r#"
id = "front"
start = "first"
language = "en"
on_error = "bye"
[steps.first]
do = "menu"
prompt = "menu"
options = { 2 = "second" }
retries = 0
timeout_ms = 20000
on_no_input = "bye"
on_no_match = "bye"
[steps.second]
do = "menu"
prompt = "menu"
options = { 5 = "third" }
retries = 0
timeout_ms = 20000
on_no_input = "bye"
on_no_match = "bye"
[steps.third]
do = "menu"
prompt = "menu"
options = { 8 = "wait" }
retries = 0
timeout_ms = 20000
on_no_input = "bye"
on_no_match = "bye"
[steps.wait]
do = "queue"
queue = "cards"
on_overflow = "bye"
[steps.bye]
do = "hangup"
"#;

/// A secret before the queue.
const SECRET: &str = r#"
id = "front"
start = "pin"
language = "en"
on_error = "bye"
[steps.pin]
do = "collect"
prompt = "menu"
min = 8
max = 8
save = "pin"
secure = true
retries = 0
next = "wait"
on_no_input = "bye"
on_no_match = "bye"
[steps.wait]
do = "queue"
queue = "cards"
on_overflow = "bye"
[steps.bye]
do = "hangup"
"#;

/// A caller presses 2, 5 and 8 and is in the queue.
async fn three(caller: Caller) {
    let site = Site::new(&number(""), THREE);
    let centre = site.start().await;
    let caller = caller.dial(&centre);
    centre.stage("queue").await;
    caller.vanish().await;
}

alone! {
    async fn keys_as_events_are_one_each() {
        three(Caller { keys: "258", ..Caller::default() }).await;
    }

    async fn keys_as_events_and_by_info_are_one_each() {
        three(Caller { keys: "258", keying: Keying::EventsAndInfo, ..Caller::default() }).await;
    }

    async fn keys_as_sound_are_one_each() {
        let voice = [sound::keys("258", 1500), vec![0; 20 * sound::RATE]].concat();
        three(Caller { voice, keys: "", keying: Keying::Voice, ..Caller::default() }).await;
    }

    async fn a_secret_is_in_no_log() {
        let site = Site::new(&number("record = true"), SECRET).with_environment("RUST_LOG", "trace");
        let mut centre = site.start().await;
        let wire = Wire::tap();
        let (keying, end) = (Keying::EventsAndInfo, End::After(Duration::from_secs(1)));
        let caller = Caller { keys: "01345789", keying, end, ..Caller::default() }.dial(&centre);
        let contact = centre.stage("queue").await;
        let shown = centre.get(&format!("/v1/contacts/{contact}")).await;
        assert!(!shown.to_string().contains("01345789"), "{shown}");
        caller.succeed().await;
        let pressed = wire.passed(|datagram| datagram.payload.starts_with(b"INFO"));
        assert!(pressed.len() >= 8, "they were pressed");
        centre.quiet().await;
        centre.signal(libc::SIGTERM);
        centre.ended().await;
        centre.log.end().await;
        let tells = |line: &serde_json::Value| {
            let line = line.to_string();
            line.contains("01345789") || line.contains("Signal=") || line.contains("Digit") || line.contains("Key(")
        };
        let told = centre.log.lines(tells);
        assert!(told.is_empty(), "{told:?}");
    }
}
