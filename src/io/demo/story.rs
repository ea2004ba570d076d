//! The story: a payment fails in the app, and the agent knows before the phone rings.
//!
//! One beat after the other, each waited for and none taken on trust. What is checked is what came
//! out of a socket.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::app::App;
use super::caller::Caller;
use super::centre::{self, Papers};
use super::desktop::Desktop;
use super::phone::Phone;
use super::sound::Music;
use super::timeline::{Timeline, within};
use crate::base::Key;
use crate::io::secret;

pub const APP: &str = "app";
pub const CALLER: &str = "customer";
pub const PHONE: &str = "Ann's phone";
const DESKTOP: &str = "Ann's desktop";
const RECORD: &str = "record";

/// As the app knows it, and as the carrier writes it: both are the same customer.
pub const NUMBER: &str = "+8613800138000";
pub const NATIONAL: &str = "13800138000";

const CALLER_TONE: f64 = 440.0;
const AGENT_TONE: f64 = 880.0;

/// For what takes no longer than a machine does.
const SOON: Duration = Duration::from_secs(10);
/// For what is spoken or played in between.
const SPOKEN: Duration = Duration::from_secs(60);

/// Returns Ann's phone, which is registered and not in use.
pub async fn play(papers: &Papers, timeline: &Timeline) -> anyhow::Result<Phone> {
    beats(papers, timeline).await.map_err(|error| {
        timeline.tell("FAILED", format_args!("{error:#}"));
        anyhow::anyhow!("the story broke off")
    })
}

async fn beats(papers: &Papers, timeline: &Timeline) -> anyhow::Result<Phone> {
    let ann = papers.agents.first().context("the centre has no agent")?;
    let one = Key::try_from('1').map_err(|_| anyhow::anyhow!("1 is a key"))?;
    let music = Arc::new(Music::new(centre::MUSIC)?);
    timeline.tell("baton", format_args!("is up: API and desktop {}, SIP {}", papers.http, papers.sip));

    // The errand that fails.
    let app = App::new(papers)?;
    let journey = format!("payment-{}", secret::hex(&secret::random::<4>()?));
    let posted = within(SOON, "steps to be accepted", app.post_steps(&journey, NUMBER)).await?;
    ensure!(posted["accepted"] == 4, "expected 4 steps to be accepted; came {posted}");
    timeline.tell(APP, "posts the customer's steps: card chosen, amount entered, payment failed twice");
    let open = within(SOON, "breakpoints", app.breakpoints(NUMBER)).await?;
    let step = open.first().map_or(&Value::Null, |open| &open["step"]);
    ensure!(step == "confirm-payment", "expected the breakpoint confirm-payment; came {step}");

    // The agent comes to work.
    let mut phone = within(SOON, "the phone to register", Phone::register(&ann.sip, papers.sip)).await?;
    timeline.tell(PHONE, format_args!("registers as {} from {}", ann.sip.user, phone.address()));
    let mut desktop = within(SOON, "the desktop to be let in", Desktop::log_in(ann, papers)).await?;
    timeline.tell(DESKTOP, "logs in; Ann is not ready yet");

    // The customer calls.
    timeline.tell(CALLER, format_args!("calls {}", papers.number));
    let calling = Caller::call(NATIONAL, &papers.number, papers.sip);
    let mut caller = within(SOON, "the call to be answered", calling).await?;
    timeline.tell(CALLER, "is answered by the IVR");
    within(SPOKEN, "the IVR to speak", caller.until_greeted()).await?;
    timeline.tell(CALLER, "hears: \"Welcome to Example Bank …\"");
    let spoken = within(SPOKEN, "the IVR to wait for a key", caller.until_asked()).await?;
    let spoken = spoken.as_secs_f64();
    timeline.tell(
        CALLER,
        format_args!("hears, {spoken:.1} s in all, that an errand is unfinished; 1 goes on with an agent"),
    );
    caller.press(one);
    timeline.tell(CALLER, "presses 1");
    let at = within(SPOKEN, "music", caller.until_music(&music)).await?;
    timeline.tell(CALLER, "waits, and hears the music");
    within(SPOKEN, "an announcement", caller.until_announced(&music, at)).await?;
    timeline.tell(CALLER, "is told the place in line");

    // The pop, then the ring.
    ensure!(!phone.is_called(), "expected no call before Ann is ready; one came");
    within(SOON, "Ann to be ready", desktop.ready()).await?;
    timeline.tell(DESKTOP, "Ann is ready");
    let offer = within(SOON, "an offer", desktop.until("offer")).await?;
    let breakpoint = &offer["breakpoint"];
    let found = (&breakpoint["journey"], &breakpoint["step"], &breakpoint["reason"], &breakpoint["attempts"]);
    ensure!(
        *found.0 == *journey
            && found.1 == "confirm-payment"
            && found.2 == "insufficient-funds"
            && *found.3 == 2,
        "expected {journey} to have stopped at confirm-payment, insufficient-funds, 2 attempts; came {breakpoint}"
    );
    let waited = offer["waited_ms"].as_f64().unwrap_or_default() / 1000.0;
    timeline.tell(
        DESKTOP,
        format_args!(
            "offer: {}, {} customer, waited {waited:.1} s in {}",
            text(&offer["caller"]["name"]),
            text(&offer["caller"]["tier"]),
            text(&offer["queue"])
        ),
    );
    for language in ["en", "zh"] {
        let sentence = breakpoint["sentence"][language].as_str();
        timeline
            .more(sentence.with_context(|| format!("expected a sentence in {language}; came {breakpoint}"))?);
    }
    ensure!(!phone.is_called(), "expected the phone to be silent until the screen shows the offer; it rang");
    timeline.tell(DESKTOP, "displayed: the breakpoint is on the screen");
    let displayed = within(SOON, "displayed to be taken", desktop.displayed(&offer)).await?;
    let rung = within(SOON, "the phone to ring", phone.until_ringing()).await?;
    ensure!(displayed < rung, "expected INVITE after displayed; it came before");
    let later = (rung - displayed).as_secs_f64() * 1000.0;
    timeline.tell(PHONE, format_args!("INVITE: rings, {later:.1} ms after displayed"));
    within(SPOKEN, "music while it rings", caller.until_music(&music)).await?;

    // They talk.
    within(SOON, "the phone to be picked up", phone.pick_up()).await?;
    timeline.tell(PHONE, "Ann picks up");
    within(SOON, "connected", desktop.until("connected")).await?;
    caller.sing(CALLER_TONE);
    phone.sing(AGENT_TONE);
    let both = async { tokio::try_join!(caller.until_tone(AGENT_TONE), phone.until_tone(CALLER_TONE)) };
    within(SOON, format_args!("{AGENT_TONE} Hz at the customer and {CALLER_TONE} Hz at Ann"), both).await?;
    timeline.tell(CALLER, format_args!("hears Ann's {AGENT_TONE} Hz, sent in A-law, heard in µ-law"));
    timeline.tell(PHONE, format_args!("hears the customer's {CALLER_TONE} Hz, the other way round"));

    // The end.
    within(SOON, "BYE to be answered", caller.hang_up()).await?;
    timeline.tell(CALLER, "hangs up");
    within(SOON, "BYE", phone.until_hung_up()).await?;
    timeline.tell(PHONE, "BYE");
    let released = within(SOON, "released", desktop.until("released")).await?;
    ensure!(released["by"] == "caller", "expected a release by the caller; came {released}");
    within(SOON, "wrap_up", desktop.until("wrap_up")).await?;
    timeline.tell(DESKTOP, "released by the caller; wrap-up");
    within(SOON, "the disposition to be taken", desktop.file(&offer["contact"])).await?;
    timeline.tell(DESKTOP, "disposition: solved, the journey is resolved");

    // What stays.
    within(SOON, "no open breakpoint", until_none(&app)).await?;
    timeline.tell(APP, "no breakpoint is open any more");
    let contact = text(&offer["contact"]).to_owned();
    let record = within(SOON, "the finished record", until_finished(&app, &contact)).await?;
    let sum = check(&record)?;
    timeline.tell(RECORD, format_args!("context before answer: {}", text(&record["context_before_answer"])));
    timeline.tell(RECORD, sum);
    desktop.close().await;
    Ok(phone)
}

/// It is written a moment after the disposition is taken.
async fn until_none(app: &App) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        if app.breakpoints(NUMBER).await?.is_empty() {
            return Ok(());
        }
    }
}

async fn until_finished(app: &App, contact: &str) -> anyhow::Result<Value> {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let record = app.contact(contact).await?;
        if record["state"] == "finished" && !record["disposition"].is_null() {
            return Ok(record);
        }
    }
}

/// Whether the record says what happened. Returns the caller's time as a sum.
fn check(record: &Value) -> anyhow::Result<String> {
    let displayed = &record["context_before_answer"];
    ensure!(displayed == "displayed", "expected context_before_answer displayed; came {displayed}");
    let hop =
        record["hops"].as_array().and_then(|hops| hops.last()).context("expected a hop; there is none")?;
    let (shown, rung) = (hop["displayed_at"].as_str(), hop["rung_at"].as_str());
    // RFC 3339 in UTC, all of one length: text sorts as time does.
    ensure!(shown.is_some() && shown <= rung, "expected displayed_at before rung_at; came {hop}");
    let call = &record["calls"][0];
    let segments = call["segments"].as_array().context("expected segments; there are none")?;
    let millis = |value: &Value| value["ms"].as_u64().unwrap_or_default();
    let (whole, sum) = (millis(call), segments.iter().map(millis).sum::<u64>());
    ensure!(whole > 0 && whole == sum, "expected segments that add up to {whole} ms; came {sum} ms");
    let seconds = |millis: u64| format!("{}.{:03}", millis / 1000, millis % 1000);
    let parts: Vec<_> = segments
        .iter()
        .map(|segment| format!("{} {}", text(&segment["stage"]), seconds(millis(segment))))
        .collect();
    Ok(format!("{} = {} s", parts.join(" + "), seconds(whole)))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}
