//! What of a call is not recorded.

use baton::media::Masking;

use super::stage::Do::*;
use super::stage::{Scene, play, scene};

/// A PIN after the menu, then the queue.
const SECRET: &str = r#"
id = "front"
start = "menu"
language = "en"
on_error = "bye"
[steps.menu]
do = "menu"
prompt = "menu"
options = { 1 = "pin" }
on_no_input = "bye"
on_no_match = "bye"
[steps.pin]
do = "collect"
prompt = "menu"
min = 4
max = 4
save = "pin"
secure = true
retries = 1
next = "wait"
on_no_input = "wait"
on_no_match = "wait"
[steps.wait]
do = "queue"
queue = "cards"
on_overflow = "bye"
[steps.bye]
do = "hangup"
"#;

/// Whoever calls is recorded and asked for a PIN.
fn secret() -> Scene {
    Scene { flow: SECRET, ..scene() }
        .with(&[("flow = \"front\"\n[[click", "flow = \"front\"\nrecord = true\n[[click")])
}

/// Milliseconds of the first recording, in which it is masked.
fn masked(play: &super::stage::Play) -> Vec<(u64, u64)> {
    play.record(0).recordings[0].masked.iter().map(|span| (span.from_ms, span.to_ms)).collect()
}

#[test]
fn digits_of_a_secure_collect_are_masked_from_its_prompt_to_its_last_key() {
    let play = play(
        secret(),
        &[
            (0, Call),
            (1400, Masked(Masking::Off)),
            (1500, Key(0, '1')),
            (1501, Masked(Masking::On)),
            (3000, Key(0, '4')),
            (3200, Key(0, '7')),
            (3400, Key(0, '1')),
            (3500, Masked(Masking::On)),
            (3600, Key(0, '1')),
            (3601, Masked(Masking::Off)),
            (9000, HangUp(0)),
        ],
    );
    // Recorded from the ACK at 3 ms; the mask ends when media says so.
    assert_eq!(masked(&play), [(1497, 3997)]);
}

#[test]
fn a_secure_collect_that_is_asked_again_is_masked_throughout() {
    let play = play(
        secret(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (3000, Key(0, '4')),
            (3200, Key(0, '*')),
            (3201, Masked(Masking::On)),
            (5000, Key(0, '4')),
            (5200, Key(0, '*')),
            (5201, Masked(Masking::Off)),
            (9000, HangUp(0)),
        ],
    );
    assert_eq!(masked(&play), [(1497, 5597)]);
}

#[test]
fn a_caller_who_hangs_up_in_a_secure_collect_is_masked_to_the_end() {
    let play = play(
        secret(),
        &[
            (0, Call),
            (1500, Key(0, '1')),
            (3000, Key(0, '4')),
            (3500, Masked(Masking::On)),
            (4000, HangUp(0)),
        ],
    );
    assert_eq!(masked(&play), [(1497, 3998)]);
}
