//! `kill -9` at any moment: nothing that was acknowledged is lost, and nobody has to begin again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton::base::Mint;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::time::interval;

use super::alone::alone;
use super::carrier::{Caller, End};
use super::centre::{APP_KEY, Answer, Centre, Site, agent, number};
use super::phone::{Answers, Phone};
use super::sound::Law;

/// Asks who stopped in it last time whether to go on there.
const RETURNING: &str = r#"
id = "front"
start = "welcome"
language = "en"
on_error = "bye"
[steps.welcome]
do = "play"
prompt = "menu"
next = "known"
[steps.known]
do = "branch"
when = [{ if = "resume.open && resume.step == 'card'", goto = "back" }]
else = "menu"
[steps.back]
do = "menu"
prompt = "menu"
options = { 1 = "@resume", 2 = "menu" }
on_no_input = "bye"
on_no_match = "bye"
[steps.menu]
do = "menu"
prompt = "menu"
label = "Main menu"
options = { 4 = "card", 5 = "wait" }
timeout_ms = 60000
on_no_input = "bye"
on_no_match = "bye"
[steps.card]
do = "collect"
prompt = "menu"
label = "Card number"
min = 4
max = 4
save = "card"
first_digit_ms = 60000
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

/// Connections that post, and how often each of them does: 200 steps a second.
const POSTERS: usize = 8;
const PACE: Duration = Duration::from_millis(40);

fn step(id: &str, journey: usize) -> Value {
    json!({
        "id": id, "journey": format!("j{journey}"), "topic": "card-payment", "channel": "app",
        "customer": { "phone": format!("+861370013{journey:04}") }, "step": "amount", "status": "entered",
    })
}

async fn post(client: &reqwest::Client, url: &str, body: &Value) -> Option<u16> {
    let response = client.post(url).bearer_auth(APP_KEY).json(body).send().await.ok()?;
    Some(response.status().as_u16())
}

/// Steps in the store, by id: how often each is there.
async fn stored(site: &Site) -> BTreeMap<String, i64> {
    let options =
        SqliteConnectOptions::new().filename(site.folder.path().join("data/baton.db")).read_only(true);
    let pool = SqlitePoolOptions::new().connect_with(options).await.expect("the store is readable");
    let rows = sqlx::query("SELECT id, count(*) FROM steps WHERE key = 'app2' GROUP BY id");
    let rows = rows.fetch_all(&pool).await.expect("the store has steps");
    pool.close().await;
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn repost(centre: &Centre, id: &str, journey: usize) -> Answer {
    let request = centre.client.post(centre.url("/v1/steps")).bearer_auth(APP_KEY).json(&step(id, journey));
    centre.ask(request).await
}

alone! {
    async fn a_kill_loses_no_acknowledged_step_and_the_caller_goes_on_where_the_menu_stopped() {
        let tables = agent("ann", "1001", "initial = \"ready\"") + &number("");
        let site = Site::new(&tables, RETURNING);
        let mut centre = site.start().await;
        let ann = Phone::register(&mut centre, ("ann", "1001"), 5080, Law::Mu, Answers::AtOnce).await;
        let talking = Caller { number: "13900139000", keys: ",,5", port: 5070, ..Caller::default() }.dial(&centre);
        let stopping = Caller { keys: ",,4", ..Caller::default() }.dial(&centre);
        centre.stage("talk").await;
        centre.until("the step at which the caller stops", "/v1/breakpoints?phone=%2B8613800138000", |found| {
            (found["breakpoints"][0]["step"] == "card").then_some(())
        }).await;

        // When it is killed is drawn by lot; the same seed draws the same.
        let seed: Option<u16> = std::env::var("BATON_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(centre.http.port());
        println!("BATON_SEED={seed}");
        let mut key = [0; 32];
        key[..2].copy_from_slice(&seed.to_be_bytes());
        let enough = 100 + (Mint::new(key).u32() % 400) as usize;
        let (sent, acknowledged) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(Mutex::new(BTreeSet::new())));
        let count = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(tokio::sync::Notify::new());
        let posters: Vec<_> = (0..POSTERS).map(|poster| {
            let (sent, acknowledged, count, done) = (sent.clone(), acknowledged.clone(), count.clone(), done.clone());
            let url = centre.url("/v1/steps");
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let mut pace = interval(PACE);
                for n in 0.. {
                    pace.tick().await;
                    let id = format!("{poster}-{n}");
                    sent.lock().expect("whole").insert(id.clone());
                    match post(&client, &url, &step(&id, poster)).await {
                        Some(200) => acknowledged.lock().expect("whole").insert(id),
                        Some(status) => panic!("{status}"),
                        None => break,
                    };
                    if count.fetch_add(1, Ordering::Relaxed) + 1 == enough {
                        done.notify_one();
                    }
                }
            })
        }).collect();
        done.notified().await;
        centre.signal(libc::SIGKILL);
        for poster in posters {
            poster.await.expect("each post is answered with 200 or not at all");
        }
        assert!(!centre.ended().await.success());
        talking.vanish().await;
        stopping.vanish().await;
        ann.vanish().await;
        drop(centre);

        let centre = site.start().await;
        let (sent, acknowledged) = (sent.lock().expect("whole").clone(), acknowledged.lock().expect("whole").clone());
        let found = stored(&site).await;
        assert!(acknowledged.len() >= enough, "{} of {enough}", acknowledged.len());
        let lost: Vec<_> = acknowledged.iter().filter(|id| found.get(*id) != Some(&1)).collect();
        let invented: Vec<_> = found.iter().filter(|(id, count)| !sent.contains(*id) || **count != 1).collect();
        assert_eq!((lost.len(), invented.len()), (0, 0), "lost {lost:?}, invented {invented:?}");
        // Whoever got no answer posts again, and then it is there once.
        for id in &sent {
            let poster = id.split('-').next().and_then(|poster| poster.parse().ok()).expect("ours");
            let answer = repost(&centre, id, poster).await;
            let known = u64::from(found.contains_key(id));
            assert_eq!((answer.status, answer.body["duplicates"].as_u64()), (200, Some(known)), "{id}");
        }

        let records = centre.get("/v1/contacts").await;
        let records = records["contacts"].as_array().expect("contacts");
        assert_eq!(records.len(), 2);
        for record in records {
            assert_eq!(record["state"], "interrupted", "{record:#}");
            assert!(record["ended_at"].is_string(), "{record:#}");
            assert_eq!(record["calls"][0]["release"], json!({ "by": "us", "cause": "interrupted" }), "{record:#}");
        }

        Caller { keys: ",,1,4789", end: End::After(Duration::from_millis(500)), ..Caller::default() }
            .dial(&centre).succeed().await;
        let record = centre.until("the call that came back is over", "/v1/contacts", |contacts| {
            contacts["contacts"].as_array()?.iter().find(|record| record["state"] == "finished").cloned()
        }).await;
        let path = record["path"].as_array().expect("a path").iter();
        let path: Vec<_> = path.map(|stop| (stop["step"].as_str().unwrap_or(""), stop["input"].as_str().unwrap_or(""))).collect();
        let walked: Vec<_> = path.iter().filter(|(step, _)| ["back", "menu", "card"].contains(step)).copied().collect();
        assert_eq!(walked, [("back", "1"), ("card", "4789")], "{path:?}");
        assert_eq!(record["queue"], "cards");
    }

    async fn a_step_is_on_the_disk_before_it_is_acknowledged() {
        let site = Site::new(&number(""), RETURNING);
        let trace = site.folder.path().join("trace");
        let calls = "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg";
        let site = site.run_by(&["strace", "-f", "-qq", "-y", "-tt", "-s", "5000", "-e", calls, "-o", &trace.display().to_string()]);
        let centre = site.start().await;
        assert_eq!(repost(&centre, "seen-by-strace", 1).await.status, 200);
        drop(centre);

        let trace = std::fs::read(&trace).expect("strace writes as it goes");
        let trace = String::from_utf8_lossy(&trace);
        let lines: Vec<_> = trace.lines().collect();
        let find = |what: &str, after: usize, is: &dyn Fn(&str) -> bool| {
            let found = lines.iter().skip(after).position(|line| is(line));
            after + found.unwrap_or_else(|| panic!("never: {what}"))
        };
        let of_store = |line: &str, call: &str| line.contains(call) && line.contains("baton.db");
        let written = find("the step is written", 0, &|line| of_store(line, "pwrite64(") && line.contains("seen-by-strace"));
        let begun = find("fdatasync of the store", written, &|line| of_store(line, "fdatasync("));
        let thread = lines[begun].split(' ').next().expect("a thread");
        let synced = find("its end", begun, &|line| {
            line.starts_with(thread) && line.contains("fdatasync") && line.ends_with("= 0")
        });
        let answered = find("the answer", 0, &|line| line.contains("HTTP/1.1 200") && line.contains("accepted"));
        assert!(synced < answered, "acknowledged before it was durable:\n{}", lines[written..=synced].join("\n"));
    }
}
