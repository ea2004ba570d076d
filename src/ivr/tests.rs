//! Whole walks in virtual time: script in, transcript out.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::flow::{Flow, Spec, Surroundings};
use super::interpreter::{BUDGET, Interpreter, MOST_BOUND};
use super::simulate::Line;
use super::{FetchFault, Input, Output, Utterance, Values, graph, simulate};
use crate::base::{Key, Language, Mono};

pub(super) fn surroundings() -> Surroundings {
    let prompts = ["welcome", "main-menu", "account", "pin", "wrong", "bye"];
    Surroundings {
        queues: ["cards".into(), "night".into()].into(),
        skills: ["cards".into()].into(),
        connectors: ["bank".to_owned()].into(),
        prompts: Language::ALL.into_iter().flat_map(|l| prompts.map(|name| (l, name.to_owned()))).collect(),
    }
}

/// A flow in both languages, of these steps; the first one named is `a`.
pub(super) fn spec(steps: Value) -> Spec {
    let whole =
        json!({"id": "test", "start": "a", "language": "en", "languages": ["en", "zh"], "steps": steps});
    serde_json::from_value(whole).unwrap()
}

fn flow(steps: Value) -> Arc<Flow> {
    let checked = Flow::check(&spec(steps), &surroundings());
    Arc::new(checked.unwrap_or_else(|faults| {
        panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }))
}

fn values(value: Value) -> Values {
    match value {
        Value::Object(values) => values,
        _ => Values::new(),
    }
}

/// What happens to the walk, and when, in milliseconds.
enum On {
    /// Keys, all at once.
    Keys(&'static str),
    Heard,
    Fetched(Result<Value, FetchFault>),
    Learn(Value),
    Overflowed(&'static str),
    TransferFailed,
    Served,
    HungUp,
}

/// Begins the walk at 0, plays the script with timers firing on the way, until a minute has passed.
fn play(walk: Interpreter, script: impl IntoIterator<Item = (u64, On)>) -> String {
    let mut walk = walk;
    let mut transcript = String::new();
    let mut inputs: VecDeque<(Mono, Input)> = VecDeque::from([(Mono::ZERO, Input::Begin)]);
    for (millis, on) in script {
        let at = Mono::ZERO + Duration::from_millis(millis);
        match on {
            On::Keys(keys) => inputs.extend(keys.chars().map(|c| (at, Input::Key(c.try_into().unwrap())))),
            On::Heard => inputs.push_back((at, Input::Heard)),
            On::Fetched(outcome) => inputs.push_back((at, Input::Fetched(outcome))),
            On::Learn(learnt) => inputs.push_back((at, Input::Learn(values(learnt)))),
            On::Overflowed(why) => inputs.push_back((at, Input::Overflowed { why: why.into() })),
            On::TransferFailed => inputs.push_back((at, Input::TransferFailed)),
            On::Served => inputs.push_back((at, Input::Served)),
            On::HungUp => inputs.push_back((at, Input::HungUp)),
        }
    }
    let end = Mono::ZERO + Duration::from_secs(60);
    loop {
        let timer = walk.poll_timeout().filter(|at| *at <= end);
        let (now, input) = match (inputs.front(), timer) {
            (Some((at, _)), timer) if timer.is_none_or(|timer| *at <= timer) => {
                inputs.pop_front().map(|(at, input)| (at, Some(input))).unwrap()
            }
            (_, Some(timer)) => (timer, None),
            (_, None) => break transcript,
        };
        match input {
            Some(input) => walk.handle_input(now, input),
            None => walk.handle_timeout(now),
        }
        while let Some(output) = walk.poll_output() {
            let millis = now.since(Mono::ZERO).as_millis();
            writeln!(transcript, "{millis} {}", Line(&output)).unwrap();
        }
    }
}

fn start(steps: Value) -> Interpreter {
    Interpreter::new(flow(steps), Language::En, Values::new())
}

fn lines(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .fold(String::new(), |all, line| all + line + "\n")
}

macro_rules! assert_walk {
    ($walk:expr, [$($at:literal $on:ident $(($what:expr))?),* $(,)?], $transcript:literal) => {
        assert_eq!(play($walk, [$(($at, On::$on $(($what))?)),*]), lines($transcript));
    };
}

fn menu() -> Value {
    json!({
        "a": {"do": "menu", "label": "Choose", "ordinal": 1, "total": 2, "prompt": "main-menu",
              "options": {"1": "cards", "#": "end"}, "timeout_ms": 5000, "retries": 1,
              "on_no_input": "cards", "on_no_match": "end"},
        "cards": {"do": "queue", "queue": "cards", "skills": {"cards": 2}, "priority": 3},
        "end": {"do": "hangup", "reason": "goodbye"},
    })
}

#[test]
fn a_menu_leads_where_its_key_says() {
    assert_walk!(start(menu()), [2000 Heard, 3000 Keys("1")], "
        0 step a entered
        0 say en/main-menu
        3000 path a 1
        3000 step a done
        3000 exit queue cards cards>=2 priority 3
    ");
}

#[test]
fn a_key_during_the_prompt_cuts_it_short() {
    assert_walk!(start(menu()), [700 Keys("#")], "
        0 step a entered
        0 say en/main-menu
        700 hush
        700 path a #
        700 step a done
        700 exit hang up: goodbye
    ");
}

#[test]
fn silence_is_counted_from_the_end_of_the_prompt_and_leads_to_no_input() {
    assert_walk!(start(menu()), [8000 Heard, 15_000 Heard], "
        0 step a entered
        0 say en/main-menu
        13000 say en/main-menu
        20000 path a
        20000 step a failed: no-input
        20000 exit queue cards cards>=2 priority 3
    ");
}

#[test]
fn a_key_the_menu_does_not_have_is_asked_again_and_then_leads_to_no_match() {
    assert_walk!(start(menu()), [2000 Heard, 2500 Keys("9"), 4000 Heard, 4500 Keys("8")], "
        0 step a entered
        0 say en/main-menu
        2500 say en/main-menu
        4500 path a 8
        4500 step a failed: no-match
        4500 exit hang up: goodbye
    ");
}

#[test]
fn hanging_up_in_a_labelled_step_abandons_it() {
    assert_walk!(start(menu()), [2000 Heard, 2500 HungUp, 2600 Keys("1"), 2700 Heard], "
        0 step a entered
        0 say en/main-menu
        2500 step a abandoned
    ");
}

fn account() -> Value {
    json!({
        "a": {"do": "play", "prompt": "welcome", "next": "account"},
        "account": {"do": "collect", "prompt": "account", "min": 4, "max": 6, "save": "account", "retries": 1,
                    "first_digit_ms": 6000, "inter_digit_ms": 2000,
                    "next": "told", "on_no_input": "end", "on_no_match": "wrong"},
        "told": {"do": "say", "text": {"en": "Account {{ account | digits }}.", "zh": "zhang4 hao4 {{ account | digits }}"},
                 "next": "end"},
        "wrong": {"do": "play", "prompt": "wrong", "next": "end"},
        "end": {"do": "hangup"},
    })
}

#[test]
fn the_terminator_ends_the_digits() {
    assert_walk!(start(account()), [1000 Heard, 2000 Heard, 3000 Keys("4711"), 4000 Keys("#"), 9000 Heard], "
        0 say en/welcome
        1000 say en/account
        4000 path account 4711
        4000 say en \"Account four seven one one.\"
        9000 exit hang up
    ");
}

#[test]
fn a_pause_after_enough_digits_ends_them() {
    assert_walk!(start(account()), [1000 Heard, 2000 Heard, 7900 Keys("47"), 9800 Keys("11"), 12_000 Heard], "
        0 say en/welcome
        1000 say en/account
        11800 path account 4711
        11800 say en \"Account four seven one one.\"
        12000 exit hang up
    ");
}

#[test]
fn the_most_digits_end_the_input_and_the_terminator_after_them_is_not_the_next_key() {
    assert_walk!(
        start(account()),
        [1000 Heard, 2000 Heard, 3000 Keys("471199"), 3500 Keys("#"), 9000 Heard],
        "
        0 say en/welcome
        1000 say en/account
        3000 path account 471199
        3000 say en \"Account four seven one one nine nine.\"
        9000 exit hang up
        "
    );
}

#[test]
fn too_few_digits_are_no_match() {
    assert_walk!(
        start(account()),
        [1000 Heard, 2000 Heard, 3000 Keys("47#"), 5000 Heard, 6000 Keys("4"), 9000 Heard],
        "
        0 say en/welcome
        1000 say en/account
        3000 say en/account
        8000 path account
        8000 say en/wrong
        9000 exit hang up
        "
    );
}

#[test]
fn no_digit_at_all_is_no_input() {
    assert_walk!(start(account()), [1000 Heard, 2000 Heard, 9000 Heard], "
        0 say en/welcome
        1000 say en/account
        8000 say en/account
        15000 path account
        15000 exit hang up
    ");
}

#[test]
fn digits_keyed_ahead_skip_the_prompts() {
    assert_walk!(start(account()), [500 Keys("4711#")], "
        0 say en/welcome
        500 hush
        500 path account 4711
        500 say en \"Account four seven one one.\"
    ");
}

#[test]
fn a_prompt_that_must_be_heard_takes_no_keys() {
    let mut steps = account();
    steps["a"]["barge_in"] = json!(false);
    assert_walk!(start(steps), [500 Keys("4711#"), 3000 Heard], "
        0 say en/welcome
        3000 say en/account
    ");
    let mut steps = menu();
    steps["a"]["barge_in"] = json!(false);
    assert_walk!(start(steps), [500 Keys("1"), 3000 Heard, 3100 Keys("#")], "
        0 step a entered
        0 say en/main-menu
        3100 path a #
        3100 step a done
        3100 exit hang up: goodbye
    ");
}

fn dip() -> Value {
    json!({
        "a": {"do": "http", "label": "Balance", "connector": "bank", "method": "POST",
              "path": ["accounts", "{{ caller }}"], "query": {"lang": "{{ language }}"},
              "json": {"of": "{{ caller }}", "deep": [1, "{{ caller | default('x') }}"]}, "timeout_ms": 3000,
              "save": {"balance": "/balance/amount", "tier": "/tier"}, "next": "told", "on_error": "sorry"},
        "told": {"do": "say", "text": {"en": "You have {{ balance }}{{ tier }}.", "zh": "{{ balance | number }}"},
                 "next": "end"},
        "sorry": {"do": "play", "prompt": "wrong", "next": "end"},
        "end": {"do": "hangup"},
    })
}

fn dipping() -> Interpreter {
    Interpreter::new(flow(dip()), Language::En, values(json!({"caller": "+86138/../x"})))
}

#[test]
fn a_dip_asks_and_saves_what_the_pointers_say() {
    let mut walk = dipping();
    walk.handle_input(Mono::ZERO, Input::Begin);
    let fetch = std::iter::from_fn(|| walk.poll_output()).find_map(|output| match output {
        Output::Fetch(fetch) => Some(fetch),
        _ => None,
    });
    let fetch = fetch.unwrap();
    assert_eq!(fetch.path, ["accounts", "+86138/../x"]);
    assert_eq!(fetch.query, [("lang".to_owned(), "en".to_owned())]);
    assert_eq!(fetch.json, Some(json!({"of": "+86138/../x", "deep": [1, "+86138/../x"]})));
    assert_eq!(fetch.timeout, Duration::from_secs(3));

    assert_walk!(dipping(), [400 Fetched(Ok(json!({"balance": {"amount": 52.5}}))), 3000 Heard], "
        0 step a entered
        0 fetch POST from bank
        400 step a done
        400 say en \"You have 52.5.\"
        3000 exit hang up
    ");
}

#[test]
fn a_dip_that_fails_says_why_and_takes_its_exit() {
    for (fault, reason) in [
        (FetchFault::TimedOut, "timeout"),
        (FetchFault::Unreachable, "unreachable"),
        (FetchFault::Status(503), "status-503"),
        (FetchFault::BadBody, "bad-body"),
    ] {
        let transcript = play(dipping(), [(400, On::Fetched(Err(fault))), (500, On::Heard)]);
        let expected = format!(
            "0 step a entered\n0 fetch POST from bank\n400 step a failed: {reason}\n400 say en/wrong\n500 exit hang up\n"
        );
        assert_eq!(transcript, expected);
    }
}

#[test]
fn an_answer_that_never_comes_does_not_hold_the_caller() {
    assert_walk!(dipping(), [7000 Fetched(Ok(json!({"balance": {"amount": 1}}))), 8000 Heard], "
        0 step a entered
        0 fetch POST from bank
        5000 step a failed: timeout
        5000 say en/wrong
        8000 exit hang up
    ");
}

#[test]
fn the_answer_to_an_earlier_dip_is_not_taken_for_the_later_ones() {
    let mut steps = dip();
    steps["sorry"] = json!({"do": "http", "connector": "bank", "timeout_ms": 3000, "save": {"balance": "/late"},
                            "next": "told", "on_error": "end"});
    let walk = Interpreter::new(flow(steps), Language::En, values(json!({"caller": "1"})));
    assert_walk!(
        walk,
        [6000 Fetched(Ok(json!({"late": "too late"}))), 7000 Fetched(Ok(json!({"late": "ours"})))],
        "
        0 step a entered
        0 fetch POST from bank
        5000 step a failed: timeout
        5000 fetch GET from bank
        7000 say en \"You have ours.\"
        "
    );
}

#[test]
fn a_path_never_loses_a_part() {
    // RFC 3986 §5.2.4: a part of two dots would lead out of the connector's own path.
    for caller in [json!(null), json!(""), json!(".."), json!(".")] {
        let walk = Interpreter::new(flow(dip()), Language::En, values(json!({"caller": caller})));
        assert_walk!(
            walk,
            [],
            "
            0 step a entered
            0 step a failed: bad-request
            0 say en/wrong
        "
        );
    }
}

#[test]
fn the_first_condition_that_holds_decides() {
    let steps = json!({
        "a": {"do": "branch", "when": [
                {"if": "has(errand.open) && errand.open == true", "goto": "errand"},
                {"if": "customer.tier == \"gold\" && customer.age >= 18", "goto": "gold"}],
              "else": "end"},
        "errand": {"do": "queue", "queue": "cards"},
        "gold": {"do": "queue", "queue": "night"},
        "end": {"do": "hangup"},
    });
    let walk = |known| play(Interpreter::new(flow(steps.clone()), Language::En, values(known)), []);
    assert_eq!(walk(json!({"errand": {"open": true}})), "0 path a\n0 exit queue cards\n");
    assert_eq!(walk(json!({"customer": {"tier": "gold", "age": 44}})), "0 path a\n0 exit queue night\n");
    assert_eq!(walk(json!({"customer": {"tier": "gold"}, "errand": {}})), "0 path a\n0 exit hang up\n");
    assert_eq!(walk(json!({"errand": "open", "customer": [1]})), "0 path a\n0 exit hang up\n");
    assert_eq!(walk(json!({})), "0 path a\n0 exit hang up\n");
}

#[test]
fn what_is_learnt_on_the_way_decides() {
    let steps = json!({
        "a": {"do": "play", "prompt": "welcome", "next": "known"},
        "known": {"do": "branch", "when": [{"if": "customer != null", "goto": "cards"}], "else": "end"},
        "cards": {"do": "queue", "queue": "cards"},
        "end": {"do": "hangup"},
    });
    assert_walk!(start(steps), [500 Learn(json!({"customer": {"tier": "gold"}})), 2000 Heard], "
        0 say en/welcome
        2000 path known
        2000 exit queue cards
    ");
}

#[test]
fn values_are_set_from_texts_literals_and_expressions() {
    let steps = json!({
        "a": {"do": "set", "values": {"tries": 1, "greeting": "Dear {{ customer.name }}", "vip": true}, "next": "b"},
        "b": {"do": "set", "values": {"tries": {"cel": "tries + 1"}, "rich": {"cel": "balance > 100"}}, "next": "c"},
        "c": {"do": "say", "text": {"en": "{{ greeting }}, {{ tries }} {{ vip }} {{ rich }}", "zh": "x"}, "next": "end"},
        "end": {"do": "hangup"},
    });
    let known = values(json!({"customer": {"name": "Ann"}, "balance": 100.5}));
    assert_walk!(
        Interpreter::new(flow(steps), Language::En, known),
        [],
        "
        0 say en \"Dear Ann, 2 true true\"
    "
    );
}

#[test]
fn the_language_switches_for_all_that_follows() {
    let steps = json!({
        "a": {"do": "menu", "prompt": "main-menu", "options": {"1": "b", "2": "c"}, "on_no_input": "b", "on_no_match": "b"},
        "b": {"do": "play", "prompt": "welcome", "language": "zh", "next": "end"},
        "c": {"do": "set", "values": {"language": "{{ wanted }}"}, "next": "d"},
        "d": {"do": "say", "text": {"en": "{{ language }}", "zh": "zhong1 wen2 {{ language }}"}, "next": "end"},
        "end": {"do": "hangup"},
    });
    assert_walk!(start(steps.clone()), [100 Keys("1"), 200 Heard], "
        0 say en/main-menu
        100 hush
        100 path a 1
        100 language zh
        100 say zh/welcome
        200 exit hang up
    ");
    let walk = Interpreter::new(flow(steps.clone()), Language::En, values(json!({"wanted": "zh-CN"})));
    assert_walk!(walk, [100 Keys("2")], "
        0 say en/main-menu
        100 hush
        100 path a 2
        100 language zh
        100 say zh \"zhong1 wen2 zh\"
    ");
    let walk = Interpreter::new(flow(steps), Language::En, values(json!({"wanted": "fr"})));
    assert!(play(walk, [(100, On::Keys("2"))]).ends_with("100 path a 2\n100 say en \"en\"\n"));
}

#[test]
fn a_language_the_flow_does_not_speak_becomes_its_own() {
    let mut spec = spec(menu());
    spec.languages = vec![];
    let flow = Arc::new(Flow::check(&spec, &surroundings()).unwrap());
    assert_eq!(Interpreter::new(flow, Language::Zh, Values::new()).language(), Language::En);
}

fn pin() -> Value {
    json!({
        "a": {"do": "play", "prompt": "welcome", "next": "pin"},
        "pin": {"do": "collect", "label": "PIN", "prompt": "pin", "min": 6, "max": 6, "save": "pin", "secure": true,
                "retries": 1, "next": "verify", "on_no_input": "end", "on_no_match": "end"},
        "verify": {"do": "http", "connector": "bank", "method": "POST", "path": ["pin", "{{ pin }}"],
                   "json": {"pin": "{{ pin }}"}, "timeout_ms": 1000, "next": "pay", "on_error": "end"},
        "pay": {"do": "play", "label": "Pay", "prompt": "bye", "next": "end"},
        "end": {"do": "hangup"},
    })
}

#[test]
fn secure_digits_are_masked_while_keyed_and_shown_nowhere() {
    let mut walk = start(pin());
    let mut seen = String::new();
    let mut fetches = vec![];
    let keys = "135790".chars().map(|c| Input::Key(c.try_into().unwrap()));
    for input in [Input::Begin, Input::Heard, Input::Heard].into_iter().chain(keys) {
        walk.handle_input(Mono::ZERO, input);
        write!(seen, "{walk:?} {:?}", walk.values()).unwrap();
        while let Some(output) = walk.poll_output() {
            writeln!(seen, "{output:?} {}", Line(&output)).unwrap();
            if let Output::Fetch(fetch) = output {
                fetches.push(fetch);
            }
        }
    }
    let [fetch] = &fetches[..] else { panic!("{fetches:?}") };
    assert_eq!(fetch.path, ["pin", "135790"]);
    assert_eq!(fetch.json, Some(json!({"pin": "135790"})));
    for digits in ["135790", "13579", "35790", "1357"] {
        assert!(!seen.contains(digits), "{digits} in {seen}");
    }

    assert_walk!(start(pin()), [1000 Heard, 2000 Heard, 3000 Keys("135790"), 3500 Fetched(Ok(json!({})))], "
        0 say en/welcome
        1000 step pin entered
        1000 secure begins
        1000 say en/pin
        3000 secure ends
        3000 path pin
        3000 step pin done
        3000 fetch POST from bank
        3500 step pay entered
        3500 say en/bye
    ");
}

#[test]
fn masking_ends_however_a_secure_collect_ends() {
    assert_walk!(start(pin()), [1000 Heard, 2000 Heard, 3000 Keys("13"), 3500 HungUp], "
        0 say en/welcome
        1000 step pin entered
        1000 secure begins
        1000 say en/pin
        3500 secure ends
        3500 step pin abandoned
    ");
    assert_walk!(start(pin()), [1000 Heard, 2000 Heard, 3000 Keys("1*"), 4000 Heard, 5000 Keys("#")], "
        0 say en/welcome
        1000 step pin entered
        1000 secure begins
        1000 say en/pin
        3000 say en/pin
        5000 secure ends
        5000 path pin
        5000 step pin failed: no-match
        5000 exit hang up
    ");
}

#[test]
fn keys_pressed_before_the_masking_are_not_part_of_a_secret() {
    assert_walk!(start(pin()), [500 Keys("135790")], "
        0 say en/welcome
        500 hush
        500 step pin entered
        500 secure begins
        500 say en/pin
        500 hush
        3500 say en/pin
    ");
}

#[test]
fn a_caller_who_calls_back_goes_on_where_it_stopped() {
    assert_walk!(start(account()).resume_at("account"), [1000 HungUp], "
        0 say en/account
    ");
    assert_walk!(start(account()).resume_at("gone since"), [1000 HungUp], "
        0 say en/welcome
    ");
}

#[test]
fn nobody_resumes_behind_a_secure_collect_or_where_the_author_forbids() {
    let flow_of_pin = flow(pin());
    let resumable: Vec<_> = flow_of_pin.step_names().filter(|name| flow_of_pin.resumable(name)).collect();
    assert_eq!(resumable, ["a", "end", "pin"]);
    assert_walk!(Interpreter::new(flow_of_pin, Language::En, Values::new()).resume_at("pay"), [1000 HungUp], "
        0 say en/welcome
    ");
    let mut steps = account();
    steps["account"]["resume"] = json!(false);
    assert!(!flow(steps).resumable("account"));
}

#[test]
fn a_menu_can_offer_to_go_on_where_the_caller_stopped() {
    let mut steps = pin();
    steps["a"] = json!({"do": "menu", "prompt": "main-menu", "options": {"1": "@resume", "2": "pin"},
                        "on_no_input": "end", "on_no_match": "end"});
    let flow = flow(steps);
    let walk = |resume: Value| {
        let walk = Interpreter::new(flow.clone(), Language::En, values(json!({"resume": resume})));
        play(walk, [(100, On::Keys("1")), (200, On::HungUp)])
    };
    let there = "0 say en/main-menu\n100 hush\n100 path a 1\n";
    let pin =
        "100 step pin entered\n100 secure begins\n100 say en/pin\n200 secure ends\n200 step pin abandoned\n";
    assert_eq!(walk(json!({"step": "pin"})), format!("{there}{pin}"));
    // Not behind the PIN, nor to a step that is no more: from the start.
    for step in [json!("pay"), json!("gone"), json!(7), json!(null)] {
        assert_eq!(walk(json!({"step": step})), format!("{there}100 say en/main-menu\n"));
    }
    assert!(graph(&flow).contains("s0 -->|\"1\"| resume\n"));
}

fn queues() -> Value {
    json!({
        "a": {"do": "queue", "label": "Wait", "queue": "cards", "on_overflow": "why"},
        "why": {"do": "branch", "when": [{"if": "overflow == 'closed'", "goto": "closed"}], "else": "move"},
        "closed": {"do": "play", "prompt": "bye", "next": "end"},
        "move": {"do": "transfer", "to": "{{ number }}", "on_error": "end"},
        "end": {"do": "hangup"},
    })
}

#[test]
fn a_caller_the_queue_gives_back_goes_on_in_the_flow() {
    assert_walk!(start(queues()), [9000 Overflowed("closed"), 9500 Heard, 9600 Overflowed("closed")], "
        0 step a entered
        0 exit queue cards
        9000 step a failed: closed
        9000 path why
        9000 say en/bye
        9500 exit hang up
    ");
}

#[test]
fn hanging_up_in_a_labelled_queue_abandons_it_and_an_answer_completes_it() {
    assert_walk!(start(queues()), [9000 HungUp], "
        0 step a entered
        0 exit queue cards
        9000 step a abandoned
    ");
    assert_walk!(start(queues()), [9000 Served, 9500 HungUp], "
        0 step a entered
        0 exit queue cards
        9000 step a done
    ");
}

#[test]
fn a_transfer_that_does_not_come_about_takes_its_exit() {
    let walk = || Interpreter::new(flow(queues()), Language::En, values(json!({"number": "+4930123"})));
    assert_walk!(walk(), [1000 Overflowed("max-wait"), 2000 TransferFailed, 3000 TransferFailed], "
        0 step a entered
        0 exit queue cards
        1000 step a failed: max-wait
        1000 path why
        1000 exit transfer +4930123
        2000 exit hang up
    ");
}

#[test]
fn a_transfer_target_holds_no_second_line() {
    for number in ["+49\r\nVia: x", "", "sip:a@b c", "\u{7f}"] {
        let walk = Interpreter::new(flow(queues()), Language::En, values(json!({"number": number})));
        let transcript = play(walk, [(1000, On::Overflowed("max-wait"))]);
        assert!(transcript.ends_with("1000 path why\n1000 exit hang up\n"), "{transcript}");
    }
}

#[test]
fn an_unhandled_failure_takes_the_flows_exit_once_and_then_hangs_up() {
    let mut written = spec(json!({
        "a": {"do": "queue", "queue": "cards"},
        "sorry": {"do": "play", "prompt": "wrong", "next": "again"},
        "again": {"do": "queue", "queue": "night"},
    }));
    written.on_error = Some("sorry".into());
    let flow = Arc::new(Flow::check(&written, &surroundings()).unwrap());
    let walk = Interpreter::new(flow, Language::En, Values::new());
    assert_walk!(walk, [1000 Overflowed("closed"), 2000 Heard, 3000 Overflowed("closed")], "
        0 exit queue cards
        1000 say en/wrong
        2000 exit queue night
        3000 exit hang up: closed
    ");
    assert_walk!(start(json!({"a": {"do": "queue", "queue": "cards"}})), [1000 Overflowed("closed")], "
        0 exit queue cards
        1000 exit hang up: closed
    ");
}

#[test]
fn a_value_that_cannot_be_spoken_is_a_failure_and_not_a_guess() {
    let steps = json!({
        "a": {"do": "say", "text": {"en": "{{ balance | number }}", "zh": "x"}, "next": "end"},
        "end": {"do": "hangup"},
    });
    let walk = Interpreter::new(flow(steps), Language::En, values(json!({"balance": "a lot"})));
    assert_walk!(walk, [], "0 exit hang up: text");
}

#[test]
fn keys_ahead_through_a_long_circle_do_not_run_for_ever() {
    let mut steps = json!({
        "a": {"do": "menu", "prompt": "main-menu", "options": {"1": "s0"}, "on_no_input": "end", "on_no_match": "end"},
        "dip": {"do": "http", "connector": "bank", "timeout_ms": 1000, "next": "a", "on_error": "end"},
        "end": {"do": "hangup"},
    });
    for i in 0..20 {
        let next = if i == 19 { "a".to_owned() } else { format!("s{}", i + 1) };
        steps[format!("s{i}")] = json!({"do": "set", "values": {"n": i}, "next": next});
    }
    steps["first"] = steps["dip"].clone();
    let mut written = spec(steps);
    written.start = "first".into();
    written.on_error = Some("dip".into());
    let flow = Arc::new(Flow::check(&written, &surroundings()).unwrap());
    const { assert!(31 * 21 > BUDGET) };
    let walk = Interpreter::new(flow, Language::En, Values::new());
    let script =
        [(10, On::Keys("1111111111111111111111111111111111111111")), (20, On::Fetched(Ok(json!({}))))];
    let transcript = play(walk, script.into_iter().chain([(500, On::Fetched(Ok(json!({}))))]));
    assert_eq!(transcript.lines().filter(|line| *line == "20 path a 1").count(), 10, "{transcript}");
    // The rest of the keys is forgotten: the menu speaks again.
    assert!(transcript.contains("20 fetch GET from bank\n500 say en/main-menu\n"), "{transcript}");
}

#[test]
fn more_than_may_be_bound_is_not_bound() {
    let large = "x".repeat(MOST_BOUND);
    let walk = Interpreter::new(flow(dip()), Language::En, values(json!({"caller": "1", "customer": large})));
    assert_eq!(walk.values().keys().collect::<Vec<_>>(), ["caller", "language"]);
    assert_walk!(walk, [100 Fetched(Ok(json!({"balance": {"amount": large}})))], "
        0 step a entered
        0 fetch POST from bank
        100 step a failed: bad-body
        100 say en/wrong
    ");
}

#[test]
fn a_value_that_replaces_another_takes_its_room() {
    let mut walk = start(menu());
    for fill in ["x", "y", "z"] {
        walk.handle_input(
            Mono::ZERO,
            Input::Learn(values(json!({"customer": fill.repeat(MOST_BOUND * 2 / 3)}))),
        );
    }
    assert!(walk.values()["customer"].as_str().unwrap().starts_with('z'));
}

#[test]
fn what_a_caller_or_connector_says_is_never_a_template() {
    let steps = json!({
        "a": {"do": "set", "values": {"b": "{{ customer }}"}, "next": "say"},
        "say": {"do": "say", "text": {"en": "{{ b }}", "zh": "x"}, "next": "end"},
        "end": {"do": "hangup"},
    });
    let known = values(json!({"customer": "{{ caller }}{% if caller %}", "caller": "secret"}));
    assert_walk!(
        Interpreter::new(flow(steps), Language::En, known),
        [],
        "
        0 say en \"{{ caller }}{% if caller %}\"
    "
    );
}

#[test]
fn numbers_are_composed_of_fragments_where_all_are_recorded() {
    let steps = json!({
        "a": {"do": "play", "prompt": ["welcome", {"measured": "{{ position }}"}, {"digits": "10"}, {"duration": "{{ wait }}"}],
              "next": "end"},
        "end": {"do": "hangup"},
    });
    let mut around = surroundings();
    let names = super::spoken::fragments(Language::Zh).iter().map(|fragment| fragment.name);
    around.prompts.extend(names.map(|name| (Language::Zh, name.to_owned())));
    let flow = Arc::new(Flow::check(&spec(steps), &around).unwrap());
    let known = values(json!({"position": 2, "wait": 130}));
    assert_walk!(
        Interpreter::new(flow.clone(), Language::Zh, known.clone()),
        [],
        "
        0 say zh/welcome zh/n-liang zh/n-yao zh/n-0 zh/n-liang zh/t-minutes
    "
    );
    assert_walk!(
        Interpreter::new(flow, Language::En, known),
        [],
        "
        0 say en/welcome en \"two\" en \"one zero\" en \"two minutes\"
    "
    );
}

#[test]
fn an_offer_of_other_languages_is_made_in_them() {
    let steps = json!({
        "a": {"do": "play", "prompt": ["welcome", {"in_other_languages": "bye"}], "next": "end"},
        "end": {"do": "hangup"},
    });
    let said = |language| play(Interpreter::new(flow(steps.clone()), language, Values::new()), []);
    assert_eq!(said(Language::En), "0 say en/welcome zh/bye\n");
    assert_eq!(said(Language::Zh), "0 say zh/welcome en/bye\n");
}

#[test]
fn only_texts_with_a_callers_values_are_personal() {
    let said = |text: &str| {
        let steps = json!({
            "a": {"do": "say", "text": {"en": text, "zh": "x"}, "next": "end"},
            "end": {"do": "hangup"},
        });
        let mut walk = Interpreter::new(flow(steps), Language::En, values(json!({"name": "Ann"})));
        walk.handle_input(Mono::ZERO, Input::Begin);
        match walk.poll_output() {
            Some(Output::Say(row)) => matches!(row[..], [Utterance::Text { personal: true, .. }]),
            other => panic!("{other:?}"),
        }
    };
    assert!(said("Hello {{ name }}"));
    assert!(!said("Hello"));
}

#[test]
fn what_is_the_same_for_all_can_be_spoken_beforehand() {
    let steps = json!({
        "a": {"do": "say", "prompt": "welcome", "text": {"en": "Hello {{ name }}", "zh": "ni3 hao3"}, "next": "end"},
        "end": {"do": "hangup"},
    });
    let mut fixed = flow(steps).fixed_utterances();
    fixed.sort_by_key(|utterance| format!("{utterance:?}"));
    assert_eq!(
        fixed,
        [
            Utterance::Prompt { name: "welcome".into(), language: Language::En },
            Utterance::Prompt { name: "welcome".into(), language: Language::Zh },
            Utterance::Text { text: "ni3 hao3".into(), language: Language::Zh, personal: false },
        ]
    );
}

#[test]
fn a_simulation_reads_like_the_call() {
    let transcript = simulate(&flow(account()), Language::En, Values::new(), ",47#,4711#").unwrap();
    assert_eq!(
        transcript,
        [
            "   0.0 say en/welcome",
            "   2.0 say en/account",
            "  10.0 say en/account",
            "  12.3 key 4",
            "  12.6 key 7",
            "  12.9 key #",
            "  12.9 path account",
            "  12.9 say en/wrong",
            "  14.9 exit hang up",
            "",
        ]
        .join("\n")
    );
    assert_eq!(simulate(&flow(account()), Language::En, Values::new(), "1;2"), Err(super::BadDigits(';')));
}

#[test]
fn a_graph_shows_every_step_and_exit() {
    let mut steps = menu();
    steps["a"]["label"] = json!("Say \"hi\" <b>");
    assert_eq!(
        graph(&flow(steps)),
        lines(
            "
        flowchart TD
        begin(( )) --> s0
        s0{{\"a<br>1/2 Say #quot;hi#quot; #lt;b#gt;\"}}
        s0 -->|\"1\"| s1
        s0 -->|\"#35;\"| s2
        s0 -.->|\"no input\"| s1
        s0 -->|\"no match\"| s2
        s1([\"cards: queue cards\"])
        s2([\"end: hang up, goodbye\"])
    "
        )
        .replace("\n", "\n  ")
        .trim_end()
        .to_owned()
            + "\n"
    );
}

/// Any step, the `i`-th of `count`: a key may lead anywhere, all else only onwards.
fn any_step(i: usize, count: usize) -> impl Strategy<Value = Value> {
    let name = |i: usize| if i == 0 { "a".to_owned() } else { format!("s{i}") };
    let onwards = move || ((i + 1).min(count - 1)..count).prop_map(name);
    let anywhere = move || (0..count).prop_map(name);
    let kind = if i + 1 == count { 9..10u8 } else { 0..10u8 };
    let text = prop::sample::select(vec![
        "hello",
        "{{ v }}",
        "{{ v | number }}",
        "{{ w.x.y }}",
        "{{ v ~ v ~ v }}",
        "{% if v > 1 %}x{% endif %}",
        "",
    ]);
    let condition = prop::sample::select(vec![
        "v == 1",
        "w.x",
        "has(w.x) && w.x > 2",
        "size(v) > 3",
        "v + v == w",
        "1 / v > 0",
        "v[0] == v[w]",
        "v.startsWith(w)",
        "!v",
        "int(v) > 9223372036854775807 - 1",
        "-v > 0",
    ]);
    let value = prop_oneof![
        text.clone().prop_map(|text| json!(text)),
        condition.clone().prop_map(|source| json!({"cel": source})),
        any::<i64>().prop_map(|n| json!(n)),
    ];
    let ways = (onwards(), onwards(), anywhere(), anywhere(), anywhere());
    let flags = any::<(bool, bool, bool)>();
    (kind, ways, text, condition, value, flags).prop_map(
        |(kind, (on, other_on, key, other_key, third_key), text, condition, value, (flag, secure, labelled))| {
            let text = json!({"en": text, "zh": text});
            let mut step = match kind {
                0 => json!({"do": "play", "prompt": ["welcome", {"number": "{{ v }}"}], "barge_in": flag, "next": on}),
                1 => json!({"do": "say", "text": text, "barge_in": flag, "next": on}),
                2 => json!({"do": "menu", "text": text, "barge_in": flag, "retries": 1,
                            "options": {"1": key, "2": other_key, "#": on},
                            "on_no_input": other_on, "on_no_match": third_key}),
                3 => json!({"do": "collect", "prompt": "account", "min": 0, "max": 3, "barge_in": flag, "retries": 1,
                            "save": if secure { "secret" } else { "v" }, "secure": secure,
                            "next": key, "on_no_input": on, "on_no_match": other_key}),
                4 => json!({"do": "set", "next": on,
                            "values": {"v": value, "language": if flag { "zh" } else { "{{ v }}" }}}),
                5 => json!({"do": "branch", "when": [{"if": condition, "goto": on}], "else": other_on}),
                6 => json!({"do": "http", "connector": "bank", "method": "POST", "path": ["{{ v }}", "{{ secret }}"],
                            "json": {"v": value}, "timeout_ms": 1000, "save": {"w": "/w", "v": "/v"},
                            "next": on, "on_error": other_on}),
                7 => json!({"do": "queue", "queue": "cards", "on_overflow": on}),
                8 => json!({"do": "transfer", "to": "{{ v }}", "on_error": on}),
                _ => json!({"do": "hangup"}),
            };
            if labelled {
                step["label"] = json!("Label");
            }
            step
        },
    )
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[vwx]", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        8 => (0..16u8).prop_map(|code| Input::Key(Key::from_event(code).unwrap())),
        6 => Just(Input::Heard),
        2 => any_json().prop_map(|body| Input::Fetched(Ok(body))),
        1 => Just(Input::Fetched(Err(FetchFault::Status(500)))),
        1 => any_json().prop_map(|value| Input::Learn(values(value))),
        2 => Just(Input::Overflowed { why: "closed".into() }),
        1 => Just(Input::TransferFailed),
        1 => Just(Input::Begin),
    ]
}

/// Drops the steps nothing leads to, until every step left is reached.
fn pruned(steps: Vec<Value>) -> Flow {
    let name = |i: usize| if i == 0 { "a".to_owned() } else { format!("s{i}") };
    let mut steps: serde_json::Map<_, _> =
        steps.into_iter().enumerate().map(|(i, step)| (name(i), step)).collect();
    loop {
        let faults = match Flow::check(&spec(Value::Object(steps.clone())), &surroundings()) {
            Ok(flow) => return flow,
            Err(faults) => faults,
        };
        for fault in faults {
            assert!(fault.what.contains("nothing leads"), "{fault}");
            steps.shift_remove(&fault.path[1].to_string());
        }
    }
}

/// What must hold of any walk's outputs.
#[derive(Default)]
struct Watch {
    masked: bool,
    /// The labelled step that was entered and not left.
    open: Option<String>,
}

impl Watch {
    fn drain(&mut self, walk: &mut Interpreter) -> Result<usize, TestCaseError> {
        let mut count = 0;
        while let Some(output) = walk.poll_output() {
            count += 1;
            match output {
                Output::Secure(secure) => {
                    prop_assert_eq!(self.masked, secure == super::Secure::Ends);
                    self.masked = !self.masked;
                }
                Output::Step(report) => match report.outcome {
                    super::Outcome::Entered => prop_assert_eq!(self.open.replace(report.step), None),
                    _ => prop_assert_eq!(self.open.take(), Some(report.step)),
                },
                _ => {}
            }
        }
        prop_assert!(count < 2000);
        Ok(count)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_flow_that_passes_panics_spins_or_speaks_after_its_end(
        steps in (0..8).map(|i| any_step(i, 8).boxed()).collect::<Vec<_>>(),
        inputs in prop::collection::vec((0..9000u64, any_input()), 1..60),
    ) {
        let mut walk = Interpreter::new(Arc::new(pruned(steps)), Language::En, values(json!({"v": "12", "w": {"x": 3}})));
        let mut now = Mono::ZERO;
        let mut watch = Watch::default();
        walk.handle_input(now, Input::Begin);
        watch.drain(&mut walk)?;
        for (millis, input) in inputs {
            let until = now + Duration::from_millis(millis);
            while let Some(at) = walk.poll_timeout().filter(|at| *at <= until) {
                prop_assert!(at >= now, "a timer in the past");
                now = at;
                walk.handle_timeout(now);
                prop_assert!(walk.poll_timeout().is_none_or(|next| next > now), "a timer that fires at once");
                watch.drain(&mut walk)?;
            }
            now = until;
            let finished = walk.is_finished();
            walk.handle_input(now, input);
            let count = watch.drain(&mut walk)?;
            prop_assert!(!finished || count == 0, "it spoke after its end");
        }
        walk.handle_input(now, Input::HungUp);
        watch.drain(&mut walk)?;
        prop_assert!(walk.is_finished() && walk.poll_timeout().is_none());
        // A step that was handed over for good, or hung up on, is left as well.
        prop_assert!(!watch.masked && watch.open.is_none());
    }

    #[test]
    fn no_text_or_condition_panics(source in "\\PC{0,40}|[a-z{}%|#\"' .()*+0-9-]{0,40}", bound in any_json()) {
        let bound = values(json!({"v": bound.clone(), "w": bound}));
        for missing in [super::expr::Missing::Empty, super::expr::Missing::Fails] {
            if let Ok(text) = super::expr::Text::compile(&source, missing) {
                let _ = text.render(&bound, Language::Zh);
            }
        }
        if let Ok(condition) = super::expr::Condition::compile(&source, &super::expr::Standard::default()) {
            let _ = condition.value(&bound);
        }
    }
}
