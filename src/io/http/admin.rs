//! The operator's listener: `/metrics`, `/livez`, `/readyz`. It tells no numbers and takes no orders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::time::timeout;

use super::live::state_name;
use super::metrics::{Labels, Page};
use super::{Api, with_fallbacks};
use crate::acd;
use crate::base::{BrandId, ContactId};
use crate::call::audio::Talker;
use crate::gateway::Counters;
use crate::gateway::audio::{AudioCounters, Heard, LOSS_BOUNDS, MOS_BOUNDS, Spread};
use crate::gateway::view::{AgentView, Health};
use crate::io::media;

/// The loop answers within this, or it hangs.
const PATIENCE: Duration = Duration::from_secs(1);

pub fn router(api: Arc<Api>) -> Router {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz));
    with_fallbacks(router).with_state(api)
}

/// Whether the gateway's loop turns.
async fn livez(State(api): State<Arc<Api>>) -> Response {
    match timeout(PATIENCE, api.line.look(|_, _| ())).await {
        Ok(Ok(())) => "ok\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the gateway does not answer\n").into_response(),
    }
}

/// Whether calls should be sent here, and if not, why.
async fn readyz(State(api): State<Arc<Api>>) -> Response {
    let health = timeout(PATIENCE, api.line.look(|gateway, now| gateway.health(now))).await;
    let health = health.ok().and_then(Result::ok);
    // Any look-up will do: nobody has this id.
    let brand = BrandId::default();
    let store = timeout(PATIENCE, api.store.contact(&brand, ContactId(0))).await;
    let checks = [
        // Whoever can ask is told by a listener; SIP's are bound before this one.
        ("listeners", true),
        ("gateway", health.is_some()),
        ("store", matches!(store, Ok(Ok(_)))),
        ("sockets", health.is_some_and(|health| health.sockets > 0)),
        ("taking_calls", health.is_some_and(|health| !health.draining)),
    ];
    let ready = checks.iter().all(|(_, good)| *good);
    let word = |good: bool| if good { "ok" } else { "failing" };
    let checks: serde_json::Map<_, _> =
        checks.iter().map(|(name, good)| ((*name).to_owned(), word(*good).into())).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // What an operator has to see to, and yet calls are served: that is not being unready.
    let recordings = &api.vitals.recordings;
    let alarms = json!({
        "recordings_refused": recordings.is_refusing(),
        "recordings_low_on_space": recordings.is_low(),
    });
    (status, axum::Json(json!({ "ready": ready, "checks": checks, "alarms": alarms }))).into_response()
}

/// One look, so that all of it is of one moment.
struct Seen {
    counters: Counters,
    health: Health,
    queues: Vec<acd::queue::View>,
    agents: Vec<AgentView>,
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let look = api.line.look(|gateway, now| Seen {
        counters: gateway.counters(),
        health: gateway.health(now),
        queues: gateway.queues(now),
        agents: gateway.agents(now),
    });
    let mut page = Page::default();
    let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    page.gauge("baton_build", "Always 1; the label tells what runs.", [(build, 1)]);
    let seen = timeout(PATIENCE, look).await.ok().and_then(Result::ok);
    page.gauge("baton_up", "Whether the gateway's loop answers.", [(vec![], u8::from(seen.is_some()))]);
    if let Some(seen) = seen {
        print(&seen, &mut page);
    }
    let commits = [(vec![], api.store.commits())];
    page.counter("baton_store_commits_total", "Transactions the store has committed to disk.", commits);
    api.tally.print(&mut page);
    let vitals = &api.vitals;
    page.counter(
        "baton_loop_turns_total",
        "Turns of the gateway's loop.",
        [(vec![], vitals.turns.load(Relaxed))],
    );
    let lost = [(vec![], vitals.lost_writes.count())];
    page.counter("baton_writes_lost_total", "Writes lost to a full or broken disk.", lost);
    let recordings = &vitals.recordings;
    page.counter(
        "baton_recording_failures_total",
        "Recordings that the disk cut short or did not take at all.",
        [(vec![], recordings.spoiled())],
    );
    let alarm = [(vec![], u8::from(recordings.is_refusing()))];
    page.gauge("baton_recording_refused", "Whether the disk refused the last recording.", alarm);
    let alarm = [(vec![], u8::from(recordings.is_low()))];
    page.gauge("baton_recording_space_low", "Whether less is free than recording_min_free_mib.", alarm);
    print_media(&vitals.media, &mut page);
    let failed = [(vec![], u8::from(vitals.reload_failed.load(Relaxed)))];
    page.gauge("baton_reload_failed", "Whether the last reload was refused.", failed);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.into_text()).into_response()
}

fn print(seen: &Seen, page: &mut Page) {
    let Seen { counters, health, queues, agents } = seen;
    for (name, what, count) in [
        ("baton_calls_total", "Calls that came.", counters.calls),
        ("baton_calls_refused_total", "Calls refused before they were answered.", counters.calls_refused),
        ("baton_calls_answered_total", "Calls an agent answered.", counters.calls_answered_by_agents),
        ("baton_offers_total", "Offers of a contact to an agent.", counters.offers),
        ("baton_offers_rung_out_total", "Offers that rang out (RONA).", counters.rona),
        (
            "baton_context_displayed_total",
            "Calls whose context was on the agent's screen before the answer.",
            counters.displayed_before_answer,
        ),
        ("baton_overflows_total", "Contacts that left a queue unserved.", counters.overflows),
        ("baton_abandoned_total", "Callers who hung up while waiting.", counters.abandoned),
        ("baton_inputs_total", "Things that happened to the gateway.", counters.inputs),
    ] {
        page.counter(name, what, [(vec![], count)]);
    }
    print_audio(&counters.audio, page);
    page.gauge("baton_calls", "Calls that are up.", [(vec![], health.calls)]);
    page.gauge("baton_sockets_in_stock", "Socket pairs ready for new calls.", [(vec![], health.sockets)]);
    page.gauge("baton_draining", "Whether no new calls are taken.", [(vec![], u8::from(health.draining))]);

    let of = |queue: &acd::queue::View| -> Labels { vec![("queue", queue.queue.to_string())] };
    type Count = fn(&acd::queue::View) -> u64;
    let gauges: [(&str, &str, Count); 4] = [
        ("baton_queue_waiting", "Contacts in line.", |queue| queue.waiting as u64),
        ("baton_queue_away", "Contacts in line whose caller is away for a moment.", |queue| {
            queue.away as u64
        }),
        ("baton_queue_offered", "Contacts ringing at an agent.", |queue| queue.offered as u64),
        ("baton_queue_talking", "Contacts talking with an agent.", |queue| queue.talking as u64),
    ];
    for (name, what, count) in gauges {
        page.gauge(name, what, queues.iter().map(|queue| (of(queue), count(queue))));
    }
    let longest =
        queues.iter().map(|queue| (of(queue), queue.longest_wait.unwrap_or_default().as_secs_f64()));
    page.gauge("baton_queue_longest_wait_seconds", "Of the contacts in line.", longest);
    let counts: [(&str, &str, Count); 5] = [
        ("baton_queue_entered_total", "Contacts that came.", |queue| queue.counts.entered),
        ("baton_queue_answered_total", "Contacts answered.", |queue| queue.counts.answered),
        ("baton_queue_answered_in_time_total", "Contacts answered in time.", |queue| {
            queue.counts.answered_in_time
        }),
        ("baton_queue_abandoned_total", "Callers who hung up in line.", |queue| queue.counts.abandoned),
        ("baton_queue_overflowed_total", "Contacts that left unserved.", |queue| queue.counts.overflowed),
    ];
    for (name, what, count) in counts {
        page.counter(name, what, queues.iter().map(|queue| (of(queue), count(queue))));
    }

    let mut states = BTreeMap::from(
        ["not_ready", "ready", "offered", "talking", "wrap_up", "busy"].map(|state| (state, 0u64)),
    );
    for agent in agents {
        *states.entry(state_name(&agent.state.state)).or_default() += 1;
    }
    let states = states.into_iter().map(|(state, count)| (vec![("state", state.to_owned())], count));
    page.gauge("baton_agents", "Agents, by state.", states);
}

fn print_media(threads: &[Arc<media::Counts>], page: &mut Page) {
    type Count = fn(&media::Counts) -> u64;
    let counts: [(&str, &str, Count); 7] = [
        ("baton_media_received_total", "Packets that came, RTP and RTCP.", media::Counts::received),
        ("baton_media_sent_total", "Packets that left.", media::Counts::sent),
        ("baton_media_unsent_total", "Packets the system would not send.", media::Counts::unsent),
        ("baton_media_oversize_total", "Datagrams too long to be audio.", media::Counts::oversize),
        (
            "baton_media_forwarded_total",
            "Packets handed on to the thread that has their leg.",
            media::Counts::forwarded,
        ),
        (
            "baton_media_unforwarded_total",
            "Packets for which that thread had no room.",
            media::Counts::unforwarded,
        ),
        (
            "baton_recording_lost_total",
            "Spans of 20 ms that a slow disk cost a recording.",
            media::Counts::unrecorded,
        ),
    ];
    for (name, what, count) in counts {
        let of = |(n, thread): (usize, &Arc<media::Counts>)| (vec![("thread", n.to_string())], count(thread));
        page.counter(name, what, threads.iter().enumerate().map(of));
    }
}

/// One value a leg and report, about every five seconds: `from` the party as we hear it, `to` the
/// party as it tells it hears us.
fn print_audio(audio: &AudioCounters, page: &mut Page) {
    let legs = |of: fn(&Heard) -> &Spread| {
        let ways = [("from", &audio.from), ("to", &audio.to)];
        ways.into_iter().flat_map(move |(way, heard)| {
            Talker::ALL.into_iter().zip(heard).map(move |(party, heard)| {
                (vec![("party", party.name().to_owned()), ("way", way.to_owned())], of(heard))
            })
        })
    };
    page.histogram(
        "baton_audio_mos",
        "Mean opinion (E-model) of a leg's audio, 1 to 4.5.",
        (&MOS_BOUNDS, 100.0),
        legs(|heard| &heard.mos),
    );
    page.histogram(
        "baton_audio_loss_ratio",
        "Packets of a leg that never came or came too late.",
        (&LOSS_BOUNDS, 10_000.0),
        legs(|heard| &heard.loss),
    );
    let one_way = Talker::ALL.into_iter().zip(audio.one_way);
    page.counter(
        "baton_one_way_audio_total",
        "Times that no packets came from this party while the other was heard.",
        one_way.map(|(party, count)| (vec![("party", party.name().to_owned())], count)),
    );
}
