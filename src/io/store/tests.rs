//! The store by its promises: atomic, idempotent, bounded, indexed and durable.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Row;

use super::*;
use crate::base::{Language, Mint};
use crate::journey::step::read_value;
use crate::journey::{Customer, IdentifierKind, Previous, Profile, Status, Step, Topic};

const NOW: Wall = Wall::from_millis(1_800_000_000_000);
const KEY: &str = "app";

/// A directory of the test's own, gone when the test is.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("baton-store-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("baton.db")
    }

    async fn open(&self) -> Sqlite {
        Sqlite::open(&self.file(), mint()).await.unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Another seed each time a store is opened, as in life.
fn mint() -> Mint {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Mint::new(seed)
}

fn brand() -> BrandId {
    BrandId::default()
}

fn wei() -> Value {
    json!({"account": "wei", "phone": "+8613800138000", "verified": ["account", "phone"]})
}

fn later(seconds: u64) -> Wall {
    NOW + Duration::from_secs(seconds)
}

/// A step in the wire's form, `seconds` after the beginning.
fn step(id: &str, customer: &Value, journey: &str, name: &str, status: &str, seconds: u64) -> Value {
    json!({
        "id": id, "journey": journey, "topic": "prepay", "channel": "app", "customer": customer,
        "step": name, "status": status, "at": later(seconds),
    })
}

fn posted(value: Value) -> Vec<Posted> {
    read_value(value, later(10_000)).unwrap()
}

async fn post(store: &Sqlite, value: Value) -> Result<Receipt, PostFault> {
    store.post_steps(&brand(), KEY, posted(value), later(10_000)).await
}

async fn accept(store: &Sqlite, value: Value) -> Receipt {
    post(store, value).await.unwrap()
}

fn claim(kind: IdentifierKind, value: &str) -> Claim {
    Claim::number(Identifier::parse(kind, value).unwrap())
}

async fn dossier(store: &Sqlite, kind: IdentifierKind, value: &str) -> Dossier {
    store.look_up(&brand(), &[claim(kind, value)]).await.unwrap()
}

async fn by_phone(store: &Sqlite, number: &str) -> Dossier {
    dossier(store, IdentifierKind::Phone, number).await
}

async fn by_account(store: &Sqlite, account: &str) -> Dossier {
    dossier(store, IdentifierKind::Account, account).await
}

/// `journey: step status, step status …` a line, the journey that moved last in front.
fn open(dossier: &Dossier) -> Vec<String> {
    dossier
        .open
        .iter()
        .map(|journey| {
            let steps: Vec<_> =
                journey.steps.iter().map(|step| format!("{} {}", step.step, step.status.name())).collect();
            format!("{}: {}", journey.id, steps.join(", "))
        })
        .collect()
}

async fn rows(store: &Sqlite, table: &'static str) -> i64 {
    let sql = match table {
        "steps" => "SELECT count(*) FROM steps",
        "journeys" => "SELECT count(*) FROM journeys",
        "customers" => "SELECT count(*) FROM customers WHERE same_as IS NULL",
        _ => unreachable!("no such table in these tests"),
    };
    sqlx::query_scalar(sql).fetch_one(&store.readers).await.unwrap()
}

#[tokio::test]
async fn a_caller_is_known_by_what_the_app_posted() {
    let place = Place::new();
    let store = place.open().await;
    let customer = json!({
        "account": "wei", "phone": "+86 138 0013 8000", "email": "Wei@x.cn", "wechat": "oX",
        "name": "张伟", "tier": "gold", "language": "zh-CN", "verified": ["account", "phone"],
    });
    let mut value = step("s1", &customer, "prepay-1", "confirm", "failed", 60);
    for (name, member) in [
        ("label", json!("Confirm payment")),
        ("ordinal", json!(3)),
        ("total", json!(5)),
        ("reason", json!("insufficient-funds")),
        ("data", json!({"amount": "50000.00", "nested": {"b": [1, null, 2.5], "a": true}})),
    ] {
        value[name] = member;
    }
    let receipt = accept(&store, value.clone()).await;
    assert_eq!((receipt.accepted, receipt.duplicates), (1, 0));

    let found = by_phone(&store, "+8613800138000").await;
    assert_eq!(found.confidence, Confidence::Number);
    let Customer { id, brand: of, profile } = found.customer.unwrap();
    assert_eq!((receipt.touched, of), (vec![id], brand()));
    assert_eq!(profile.name.map(|name| name.reveal().clone()).as_deref(), Some("张伟"));
    assert_eq!((profile.tier.as_deref(), profile.language.as_deref()), (Some("gold"), Some("zh-CN")));
    assert_eq!(profile.identifiers.len(), 4);
    // Every member of the step comes back as it was posted.
    assert_eq!(found.open.len(), 1);
    assert_eq!(found.open[0].steps, [posted(value).remove(0).step]);
    let breakpoints = store
        .breakpoints(
            &brand(),
            Identifier::parse(IdentifierKind::Account, "wei").unwrap(),
            &Topics::new([Topic { id: "prepay".into(), ..Topic::default() }]),
            later(300),
        )
        .await
        .unwrap();
    assert_eq!(
        breakpoints[0].sentence[&Language::En],
        "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: insufficient funds."
    );
}

#[tokio::test]
async fn an_unknown_caller_has_an_empty_dossier() {
    let place = Place::new();
    let store: Box<dyn Store> = Box::new(place.open().await);
    let number = [claim(IdentifierKind::Phone, "+8613800138000")];
    assert_eq!(store.look_up(&brand(), &number).await.unwrap(), Dossier::default());
    assert_eq!(store.look_up(&brand(), &[]).await.unwrap(), Dossier::default());
}

#[tokio::test]
async fn nothing_is_found_across_brands() {
    let place = Place::new();
    let store = place.open().await;
    accept(&store, step("s1", &wei(), "j", "a", "entered", 0)).await;
    let other = BrandId::from("other");
    let found = store.look_up(&other, &[claim(IdentifierKind::Account, "wei")]).await.unwrap();
    assert_eq!(found, Dossier::default());
    let customer = by_account(&store, "wei").await.customer.unwrap().id;
    assert_eq!(store.revisit(&other, customer, Confidence::Token).await.unwrap(), Dossier::default());
    let resolution = store.resolve_journey(&other, customer, "j", "resolved", NOW).await;
    assert_eq!(resolution, Ok(Resolution::Unknown));
}

#[tokio::test]
async fn a_repeated_post_is_counted_once() {
    let place = Place::new();
    let store = place.open().await;
    let steps = json!([
        step("s1", &wei(), "j", "a", "entered", 0),
        step("s2", &wei(), "j", "a", "done", 1),
        step("s1", &wei(), "j", "a", "entered", 0),
    ]);
    let first = accept(&store, steps.clone()).await;
    assert_eq!((first.accepted, first.duplicates), (2, 1));
    let again = accept(&store, steps).await;
    assert_eq!((again.accepted, again.duplicates, again.touched.len()), (0, 3, 0));
    assert_eq!(rows(&store, "steps").await, 2);

    // The same id under another key is another step.
    let of_another = posted(step("s1", &wei(), "j", "b", "entered", 2));
    let receipt = store.post_steps(&brand(), IVR_KEY, of_another, NOW).await.unwrap();
    assert_eq!(receipt.accepted, 1);
}

#[tokio::test]
async fn a_contradicted_step_is_refused_and_leaves_no_trace() {
    let place = Place::new();
    let store = place.open().await;
    accept(&store, step("s1", &wei(), "j", "a", "entered", 0)).await;
    let stranger = json!({"account": "li"});
    let refused = post(
        &store,
        json!([
            step("s2", &stranger, "k", "a", "entered", 1),
            step("s3", &stranger, "k", "b", "entered", 2),
            step("s1", &wei(), "j", "a", "failed", 0),
        ]),
    );
    assert_eq!(refused.await, Err(PostFault::Conflict { index: 2, id: "s1".into() }));
    // Also within one post.
    let refused = post(
        &store,
        json!([step("s4", &stranger, "k", "a", "entered", 1), step("s4", &stranger, "k", "a", "done", 1),]),
    );
    assert_eq!(refused.await, Err(PostFault::Conflict { index: 1, id: "s4".into() }));
    assert_eq!(PostFault::Conflict { index: 1, id: "s4".into() }.status(), 409);
    assert_eq!(rows(&store, "steps").await, 1);
    assert_eq!(rows(&store, "customers").await, 1);
    assert_eq!(by_account(&store, "li").await, Dossier::default());
}

#[tokio::test]
async fn steps_are_ordered_by_when_they_happened_then_by_arrival() {
    let place = Place::new();
    let store = place.open().await;
    accept(&store, step("s3", &wei(), "j", "c", "entered", 30)).await;
    accept(&store, step("s1", &wei(), "j", "a", "done", 10)).await;
    accept(
        &store,
        json!([step("s2", &wei(), "j", "b", "entered", 20), step("s2b", &wei(), "j", "b", "done", 20),]),
    )
    .await;
    for (id, seconds, topic) in [("s4", 40, "newer name"), ("s0", 5, "older name")] {
        let mut renamed = step(id, &wei(), "j", "z", "done", seconds);
        renamed["topic"] = json!(topic);
        accept(&store, renamed).await;
    }
    let found = by_account(&store, "wei").await;
    assert_eq!(open(&found), ["j: z done, a done, b entered, b done, c entered, z done"]);
    assert_eq!(found.open[0].topic, "newer name");
}

#[tokio::test]
async fn a_finished_journey_is_no_longer_offered_and_a_late_report_does_not_reopen_it() {
    let place = Place::new();
    let store = place.open().await;
    let last = |id: &str, status: &str, seconds| {
        let mut value = step(id, &wei(), "j", "pay", status, seconds);
        (value["ordinal"], value["total"]) = (json!(2), json!(2));
        value
    };
    accept(&store, last("s2", "entered", 20)).await;
    assert_eq!(open(&by_account(&store, "wei").await), ["j: pay entered"]);
    accept(&store, last("s3", "done", 30)).await;
    assert_eq!(open(&by_account(&store, "wei").await), Vec::<String>::new());
    accept(&store, step("s1", &wei(), "j", "amount", "failed", 10)).await;
    assert_eq!(open(&by_account(&store, "wei").await), Vec::<String>::new());
    accept(&store, last("s4", "failed", 40)).await;
    assert_eq!(
        open(&by_account(&store, "wei").await),
        ["j: amount failed, pay entered, pay done, pay failed"]
    );
}

#[tokio::test]
async fn a_resolved_journey_opens_again_only_by_what_happens_afterwards() {
    let place = Place::new();
    let store = place.open().await;
    accept(&store, step("s1", &wei(), "j", "a", "failed", 10)).await;
    // The app's clock is ahead: this, too, is resolved with the rest.
    accept(&store, step("s0", &wei(), "j", "a", "failed", 105)).await;
    let customer = by_account(&store, "wei").await.customer.unwrap().id;
    let at = later(100);
    let resolution = store.resolve_journey(&brand(), customer, "j", "resolved", at).await;
    assert_eq!(resolution, Ok(Resolution::Resolved));
    let unknown = store.resolve_journey(&brand(), customer, "k", "resolved", at).await;
    assert_eq!(unknown, Ok(Resolution::Unknown));
    assert_eq!(open(&by_account(&store, "wei").await), Vec::<String>::new());

    // It happened before the agent resolved it and was only told late.
    accept(&store, step("s2", &wei(), "j", "a", "failed", 90)).await;
    assert_eq!(open(&by_account(&store, "wei").await), Vec::<String>::new());
    accept(&store, step("s3", &wei(), "j", "a", "failed", 110)).await;
    let found = by_account(&store, "wei").await;
    assert_eq!(open(&found), ["j: a failed"]);
    let breakpoint = found.open[0].breakpoint(&Topic::default(), later(120)).unwrap();
    assert_eq!(breakpoint.attempts, 1);
}

#[tokio::test]
async fn a_post_by_app_and_wechat_with_one_number_is_one_customer() {
    let place = Place::new();
    let store = place.open().await;
    let wechat = json!({"wechat": "oX", "phone": "+8613800138000", "verified": ["wechat", "phone"]});
    let app = json!({"account": "wei", "verified": ["account"]});
    accept(&store, step("s1", &wechat, "shared", "a", "failed", 1)).await;
    accept(&store, step("s2", &wechat, "w", "a", "entered", 2)).await;
    accept(&store, step("s3", &app, "shared", "b", "entered", 3)).await;
    let (old, kept) = (
        by_phone(&store, "+8613800138000").await.customer.unwrap().id,
        by_account(&store, "wei").await.customer.unwrap().id,
    );
    assert_ne!(old, kept);

    let receipt = accept(&store, step("s4", &wei(), "p", "a", "entered", 4)).await;
    assert_eq!(receipt.merged, [Merged { gone: old, into: kept }]);
    let found = by_phone(&store, "+8613800138000").await;
    assert_eq!(found.customer.as_ref().unwrap().id, kept);
    assert_eq!(open(&found), ["p: a entered", "shared: a failed, b entered", "w: a entered"]);
    assert_eq!(dossier(&store, IdentifierKind::Wechat, "oX").await.open, found.open);
    // A call that was up knew the customer by the other id.
    let revisited = store.revisit(&brand(), old, Confidence::Number).await.unwrap();
    assert_eq!(revisited, found);
    let resolution = store.resolve_journey(&brand(), old, "w", "resolved", later(9)).await;
    assert_eq!(resolution, Ok(Resolution::Resolved));
}

#[tokio::test]
async fn an_identifier_nobody_vouches_for_links_nobody() {
    let place = Place::new();
    let store = place.open().await;
    accept(&store, step("s1", &wei(), "hers", "a", "failed", 1)).await;
    // A stranger names her number beside his account, and her account beside his number.
    let beside = json!({"account": "liar", "phone": "+8613800138000", "verified": ["account"]});
    accept(&store, step("s2", &beside, "his", "a", "failed", 2)).await;
    let named = json!({"account": "wei", "phone": "+8619900000000", "name": "Liar"});
    accept(&store, step("s3", &named, "planted", "a", "failed", 3)).await;

    assert_eq!(open(&by_account(&store, "liar").await), ["his: a failed"]);
    assert_eq!(open(&by_phone(&store, "+8613800138000").await), ["planted: a failed", "hers: a failed"]);
    // His number is not hers, and he is not told what is hers.
    assert_eq!(by_phone(&store, "+8619900000000").await, Dossier::default());
    assert_eq!(by_account(&store, "wei").await.customer.unwrap().profile.name, None);
    assert_eq!(rows(&store, "customers").await, 2);
}

#[tokio::test]
async fn a_number_that_two_accounts_share_shows_neither() {
    let place = Place::new();
    let store = place.open().await;
    let li = json!({"account": "li", "phone": "+8613800138000", "verified": ["account", "phone"]});
    accept(&store, step("s1", &wei(), "hers", "a", "failed", 1)).await;
    accept(&store, step("s2", &li, "his", "a", "failed", 2)).await;
    assert_eq!(by_phone(&store, "+8613800138000").await, Dossier::default());
    assert_eq!(open(&by_account(&store, "wei").await), ["hers: a failed"]);
    // What the menu reports of such a caller goes to one nobody else is taken for, and always to
    // the same.
    let caller = json!({"phone": "+8613800138000"});
    for (id, status) in [("i1", "entered"), ("i2", "abandoned")] {
        let receipt = accept(&store, step(id, &caller, "menu", "main", status, 3)).await;
        assert_eq!(receipt.touched.len(), 1);
    }
    assert_eq!(rows(&store, "customers").await, 3);
    assert_eq!(rows(&store, "journeys").await, 3);
    assert_eq!(open(&by_account(&store, "li").await), ["his: a failed"]);
}

#[tokio::test]
async fn a_dossier_is_bounded_and_keeps_the_newest() {
    let place = Place::new();
    let store = place.open().await;
    for j in 0..MAX_OPEN as u64 + 5 {
        let name = format!("j{j:02}");
        accept(&store, step(&name, &wei(), &name, "a", "entered", j)).await;
    }
    let many: Vec<_> = (0..MAX_STEPS as u64 + 50)
        .map(|i| step(&format!("m{i}"), &wei(), "long", &format!("n{i}"), "entered", 100 + i))
        .collect();
    accept(&store, json!(many)).await;
    let customer = by_account(&store, "wei").await.customer.unwrap().id;
    let mut mint = Mint::new([9; 32]);
    for i in 0..MAX_PREVIOUS as u64 + 3 {
        let record = contact(&mut mint, i, Some(customer), ContactState::Finished);
        store.put_contact(record).await.unwrap();
    }

    let found = by_account(&store, "wei").await;
    assert_eq!(found.open.len(), MAX_OPEN);
    assert_eq!(found.open[0].steps.len(), MAX_STEPS);
    assert_eq!(found.open[0].steps[0].step, "n50");
    assert_eq!(found.open[0].steps[MAX_STEPS - 1].step, "n249");
    assert_eq!(found.open[1].id, "j24");
    assert_eq!(found.previous.len(), MAX_PREVIOUS);
    assert_eq!(found.previous[0].at, later(12));
}

fn contact(
    mint: &mut Mint,
    seconds: u64,
    customer: Option<CustomerId>,
    state: ContactState,
) -> ContactRecord {
    let started = later(seconds);
    let ended = (state == ContactState::Finished).then_some(started + Duration::from_secs(30));
    ContactRecord {
        id: mint.contact(started),
        brand: brand(),
        customer,
        revision: 1,
        state,
        started,
        ended,
        agent: Some(AgentId::from("ann")),
        disposition: Some("paid".into()),
        body: json!({"calls": [{"segments": []}]}),
    }
}

#[tokio::test]
async fn a_contact_is_read_back_as_written_and_an_older_revision_changes_nothing() {
    let place = Place::new();
    let store = place.open().await;
    accept(&store, step("s1", &wei(), "j", "a", "entered", 0)).await;
    let customer = by_account(&store, "wei").await.customer.unwrap().id;
    let mut mint = Mint::new([9; 32]);
    let first = contact(&mut mint, 5, Some(customer), ContactState::Running);
    store.put_contact(first.clone()).await.unwrap();
    assert_eq!(store.contact(&brand(), first.id).await.unwrap().as_ref(), Some(&first));
    // Not yet an earlier one.
    assert_eq!(by_account(&store, "wei").await.previous, []);

    let last = ContactRecord {
        revision: 3,
        state: ContactState::Finished,
        ended: Some(later(65)),
        body: json!({"calls": 1}),
        ..first.clone()
    };
    store.put_contact(last.clone()).await.unwrap();
    store.put_contact(ContactRecord { revision: 2, ..first.clone() }).await.unwrap();
    assert_eq!(store.contact(&brand(), first.id).await.unwrap(), Some(last));
    assert_eq!(
        by_account(&store, "wei").await.previous,
        [Previous {
            contact: first.id,
            agent: Some(AgentId::from("ann")),
            at: later(5),
            disposition: Some("paid".into())
        }]
    );
    assert_eq!(store.contact(&BrandId::from("other"), first.id).await.unwrap(), None);
}

#[tokio::test]
async fn contacts_are_paged_from_the_oldest() {
    let place = Place::new();
    let store = place.open().await;
    let mut mint = Mint::new([9; 32]);
    let mut ids = vec![];
    for i in 0..5 {
        let record = contact(&mut mint, i, None, ContactState::Finished);
        ids.push(record.id);
        store.put_contact(record).await.unwrap();
    }
    let elsewhere = ContactRecord {
        brand: BrandId::from("other"),
        ..contact(&mut mint, 9, None, ContactState::Finished)
    };
    store.put_contact(elsewhere).await.unwrap();
    let page = |after, limit| {
        let store = &store;
        async move {
            let page = store.contacts(&brand(), after, limit).await.unwrap();
            page.into_iter().map(|record| record.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(page(None, 2).await, ids[..2]);
    assert_eq!(page(Some(ids[1]), 9).await, ids[2..]);
    assert_eq!(page(Some(ids[4]), 9).await, []);
    assert_eq!(page(None, usize::MAX).await, ids);
}

#[tokio::test]
async fn what_was_running_when_we_died_is_closed_as_interrupted() {
    let place = Place::new();
    let mut mint = Mint::new([9; 32]);
    let running = contact(&mut mint, 5, None, ContactState::Running);
    let mut talking = contact(&mut mint, 5, None, ContactState::Running);
    talking.body = json!({"calls": [{"ms": 7_000, "segments": []}]});
    let finished = contact(&mut mint, 6, None, ContactState::Finished);
    {
        let store = place.open().await;
        store.put_contact(running.clone()).await.unwrap();
        store.put_contact(talking.clone()).await.unwrap();
        store.put_contact(finished.clone()).await.unwrap();
        store.close().await;
    }
    let store = place.open().await;
    assert_eq!(store.interrupt_running(later(500)).await, Ok(2));
    assert_eq!(store.interrupt_running(later(501)).await, Ok(0));
    let closed = store.contact(&brand(), running.id).await.unwrap().unwrap();
    assert_eq!((closed.state, closed.ended), (ContactState::Interrupted, Some(later(500))));
    let closed = store.contact(&brand(), talking.id).await.unwrap().unwrap();
    assert_eq!(closed.ended, Some(later(12)), "what was written of it says how far it came");
    assert_eq!(store.contact(&brand(), finished.id).await.unwrap(), Some(finished));
}

#[tokio::test]
async fn many_posts_at_once_share_a_commit() {
    let place = Place::new();
    let store = place.open().await;
    let before = store.commits();
    let posts = (0..200).map(|i| {
        let customer = json!({"account": format!("a{}", i % 20)});
        post(&store, step(&format!("s{i}"), &customer, "j", "a", "entered", i))
    });
    for outcome in join_all(posts).await {
        assert_eq!(outcome.unwrap().accepted, 1);
    }
    let commits = store.commits() - before;
    assert!((1..=4).contains(&commits), "{commits} commits for 200 posts");
    assert_eq!(rows(&store, "steps").await, 200);
    assert_eq!(rows(&store, "customers").await, 20);
}

#[tokio::test]
async fn an_acknowledged_step_is_in_the_files_whatever_becomes_of_us() {
    let (place, copy) = (Place::new(), Place::new());
    let store = place.open().await;
    for i in 0..20 {
        accept(&store, step(&format!("s{i}"), &wei(), "j", "a", "entered", i)).await;
    }
    // What a kill leaves behind: the files as they are, nothing closed.
    for end in ["", "-wal"] {
        let name = format!("baton.db{end}");
        std::fs::copy(place.0.join(&name), copy.0.join(&name)).unwrap();
    }
    let after = copy.open().await;
    assert_eq!(rows(&after, "steps").await, 20);
    assert_eq!(by_phone(&after, "+8613800138000").await.open[0].steps.len(), 20);
}

#[tokio::test]
async fn a_store_is_found_again_as_it_was_left_and_is_its_owners_only() {
    let place = Place::new();
    let left = {
        let store = place.open().await;
        accept(&store, step("s1", &wei(), "j", "a", "entered", 0)).await;
        let left = by_account(&store, "wei").await;
        let twice = Sqlite::open(&place.file(), mint()).await;
        assert!(matches!(twice.map(|_| ()), Err(OpenFault::InUse)));
        store.close().await;
        assert_eq!(post(&store, step("s2", &wei(), "j", "a", "done", 1)).await, Err(Fault::Closed.into()));
        assert_eq!(store.look_up(&brand(), &[]).await, Err(Fault::Closed));
        left
    };
    let store = place.open().await;
    assert_eq!(by_account(&store, "wei").await, left);
    for end in ["", "-wal", "-shm", ".lock"] {
        let file = std::fs::metadata(place.0.join(format!("baton.db{end}"))).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.permissions());
        assert_eq!(mode & 0o777, 0o600, "{end}");
    }
}

#[tokio::test]
async fn what_queued_up_before_a_close_is_written() {
    let place = Place::new();
    let store = place.open().await;
    let posts = (0..50).map(|i| post(&store, step(&format!("s{i}"), &wei(), "j", "a", "entered", i)));
    let (outcomes, ()) = tokio::join!(join_all(posts), store.close());
    assert!(outcomes.iter().all(Result::is_ok));
    let store = place.open().await;
    assert_eq!(rows(&store, "steps").await, 50);
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_said_so() {
    let nowhere = std::env::temp_dir().join("baton-nowhere").join("deeper").join("baton.db");
    let fault = Sqlite::open(&nowhere, mint()).await.map(|_| ());
    assert!(matches!(fault, Err(OpenFault::Unreadable(_))));
}

#[tokio::test]
async fn tables_of_a_newer_baton_are_left_alone() {
    let place = Place::new();
    place.open().await.close().await;
    meddle(
        &place,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', 1, x'00', 0)",
    )
    .await;
    let fault = Sqlite::open(&place.file(), mint()).await.map(|_| ());
    assert!(matches!(fault, Err(OpenFault::Foreign(_))), "{fault:?}");
}

#[tokio::test]
async fn one_that_cannot_be_written_takes_no_neighbour_with_it() {
    let place = Place::new();
    let store = place.open().await;
    meddle(
        &place,
        "CREATE TRIGGER broken BEFORE INSERT ON contacts BEGIN SELECT RAISE(ABORT, 'broken'); END",
    )
    .await;
    let mut mint = Mint::new([9; 32]);
    let record = contact(&mut mint, 0, None, ContactState::Running);
    let before = store.commits();
    let (first, put, second) = tokio::join!(
        post(&store, step("s1", &wei(), "j", "a", "entered", 0)),
        store.put_contact(record),
        post(&store, step("s2", &wei(), "j", "a", "done", 1)),
    );
    assert_eq!((first.unwrap().accepted, second.unwrap().accepted), (1, 1));
    assert!(matches!(&put, Err(Fault::Broken(what)) if what.contains("broken")), "{put:?}");
    assert_eq!(store.commits() - before, 2);
    assert_eq!(rows(&store, "steps").await, 2);
}

#[tokio::test]
async fn a_full_disk_loses_no_acknowledged_step_and_is_survived() {
    let place = Place::new();
    let full = |options: sqlx::sqlite::SqliteConnectOptions| options.pragma("max_page_count", "60");
    let store = Sqlite::open_with(&place.file(), mint(), full).await.unwrap();
    let mut kept = 0;
    let fault = loop {
        let mut value = step(&format!("s{kept}"), &wei(), "j", "a", "entered", kept);
        value["data"] = json!({"x": "y".repeat(4000)});
        match post(&store, value).await {
            Ok(_) => kept += 1,
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault, PostFault::Store(Fault::DiskFull));
    assert_eq!(fault.status(), 503);
    assert!(kept > 5);
    assert_eq!(rows(&store, "steps").await, kept as i64);
    // What needs no room is still done.
    let customer = by_account(&store, "wei").await.customer.unwrap().id;
    let resolution = store.resolve_journey(&brand(), customer, "j", "resolved", later(9_999)).await;
    assert_eq!(resolution, Ok(Resolution::Resolved));
    store.close().await;

    let roomy = place.open().await;
    assert_eq!(rows(&roomy, "steps").await, kept as i64);
    accept(&roomy, step("after", &wei(), "j", "a", "entered", kept)).await;
}

#[tokio::test]
async fn more_than_the_queue_holds_is_refused_at_once() {
    let place = Place::new();
    let store = place.open().await;
    let big = |i: u64| {
        let steps: Vec<_> = (0..1000)
            .map(|n| {
                let mut value = step(&format!("s{i}-{n}"), &wei(), "j", "a", "entered", i);
                value["data"] = json!({"x": "y".repeat(8000)});
                value
            })
            .collect();
        post(&store, json!(steps))
    };
    // 9 MiB each; 64 MiB wait at most.
    let outcomes = join_all((0..8).map(big)).await;
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(Fault::Overloaded.into())).count();
    assert_eq!(refused, 1);
    assert_eq!(Fault::Overloaded.status(), 429);
    assert_eq!(rows(&store, "steps").await, 7000);
    // The room is given back.
    accept(&store, step("after", &wei(), "j", "a", "entered", 99)).await;
}

#[tokio::test]
async fn nothing_is_found_by_scanning() {
    let place = Place::new();
    let store = place.open().await;
    let many: Vec<_> = (0..1000)
        .map(|i| {
            let customer = json!({"account": format!("a{}", i % 100), "phone": "+8613800138000"});
            step(&format!("s{i}"), &customer, &format!("j{}", i % 7), "a", "entered", i)
        })
        .collect();
    accept(&store, json!(many)).await;
    meddle(&place, "ANALYZE").await;

    let plan = |sql: &'static str| {
        let readers = &store.readers;
        async move {
            let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let mut query = sqlx::query(explained);
            for _ in 0..4 {
                query = query.bind(1);
            }
            let rows = query.fetch_all(readers).await.unwrap();
            rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>()
        }
    };
    for sql in [
        read::HOLDERS,
        read::OPEN_JOURNEYS,
        read::STEPS,
        read::REPORTS,
        read::PREVIOUS,
        read::CONTACTS,
        read::CONTACT,
        read::HANDOFF,
        write::KEPT,
        write::USE,
        write::SWEEP,
    ] {
        for detail in plan(sql).await {
            // What may be walked is what was found by index before, and the posted ids.
            let walked =
                detail.starts_with("SCAN") && detail != "SCAN h" && !detail.starts_with("SCAN j VIRTUAL");
            assert!(!walked && !detail.contains("TEMP B-TREE"), "{detail} in {sql}");
        }
    }
}

#[tokio::test]
async fn ten_thousand_steps_of_others_are_not_in_the_way() {
    let place = Place::new();
    let store = place.open().await;
    for hundred in 0..10u64 {
        let many: Vec<_> = (0..1000)
            .map(|i| {
                let customer = json!({"account": format!("a{hundred}-{i}"), "phone": "+8613900139000"});
                step(&format!("s{hundred}-{i}"), &customer, "j", "a", "entered", i)
            })
            .collect();
        accept(&store, json!(many)).await;
    }
    accept(&store, step("s1", &wei(), "j", "a", "failed", 0)).await;
    assert_eq!(rows(&store, "steps").await, 10_001);
    assert_eq!(open(&by_phone(&store, "+8613800138000").await), ["j: a failed"]);
    assert_eq!(open(&by_account(&store, "a3-77").await), ["j: a entered"]);
    // Somebody's test number, stated by ten thousand: nobody, and found so within the limit.
    assert_eq!(by_phone(&store, "+8613900139000").await, Dossier::default());
    // The menu's steps of such a caller still find the same one each time.
    let caller = json!({"phone": "+8613900139000"});
    for (id, status) in [("i1", "entered"), ("i2", "done")] {
        accept(&store, step(id, &caller, "menu", "main", status, 3)).await;
    }
    assert_eq!(rows(&store, "customers").await, 10_002);
}

/// Whatever is posted, merged, resolved and repeated: each accepted step is kept exactly once, each
/// customer and journey is whole, and the index of open journeys says what the steps say.
#[tokio::test]
async fn random_posts_leave_every_step_in_one_journey_of_one_customer() {
    let place = Place::new();
    let store = place.open().await;
    let mut mint = Mint::new([3; 32]);
    let mut pick = |n: u32| mint.u32() % n;
    let mut accepted = BTreeSet::new();
    let (mut duplicates, mut merges) = (0, 0);
    for round in 0..400u64 {
        let mut customer = json!({});
        let mut verified = vec![];
        for (kind, values) in [
            ("account", ["a", "b", "c"]),
            ("wechat", ["u", "v", "w"]),
            ("email", ["a@x", "b@x", "c@x"]),
            ("phone", ["+8613800138001", "+8613800138002", "+8613800138003"]),
        ] {
            if pick(5) < 2 {
                customer[kind] = json!(values[pick(3) as usize]);
                if pick(2) == 0 {
                    verified.push(kind);
                }
            }
        }
        if customer == json!({}) {
            continue;
        }
        customer["verified"] = json!(verified);
        let id = if pick(8) == 0 { format!("s{}", pick(40)) } else { format!("s{round}") };
        let journey = ["x", "y", "z"][pick(3) as usize];
        let status = ["entered", "done", "failed", "abandoned"][pick(4) as usize];
        let mut value =
            step(&id, &customer, journey, ["p", "q"][pick(2) as usize], status, u64::from(pick(1000)));
        if pick(3) == 0 {
            (value["ordinal"], value["total"]) = (json!(pick(2) + 1), json!(2));
        }
        match post(&store, value).await {
            Ok(receipt) => {
                duplicates += receipt.duplicates;
                merges += receipt.merged.len();
                if receipt.accepted == 1 {
                    assert!(accepted.insert(id));
                }
                if let ([customer], 0) = (receipt.touched.as_slice(), pick(6)) {
                    let at = later(u64::from(pick(1000)));
                    let _ =
                        store.resolve_journey(&brand(), *customer, journey, "resolved", at).await.unwrap();
                }
            }
            Err(fault) => assert!(matches!(fault, PostFault::Conflict { index: 0, .. }), "{fault:?}"),
        }
    }
    assert!(merges > 5 && duplicates == 0, "{merges} merges");

    let ids: Vec<String> =
        sqlx::query_scalar("SELECT id FROM steps").fetch_all(&store.readers).await.unwrap();
    assert_eq!(ids.len(), accepted.len());
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), accepted);
    for broken in [
        "SELECT count(*) FROM journeys j JOIN customers c ON c.row = j.customer WHERE c.same_as IS NOT NULL",
        "SELECT count(*) FROM identifiers i JOIN customers c ON c.row = i.customer WHERE c.same_as IS NOT NULL",
        "SELECT count(*) FROM customers c JOIN customers d ON d.row = c.same_as WHERE d.same_as IS NOT NULL",
        "SELECT count(*) FROM journeys j WHERE NOT EXISTS (SELECT 1 FROM steps s WHERE s.journey = j.row)",
        "SELECT count(*) FROM (SELECT 1 FROM identifiers WHERE kind = 'account' AND verified = 1
         GROUP BY value HAVING count(*) > 1)",
        "SELECT count(*) FROM journeys j
         WHERE last_at <> (SELECT max(at) FROM steps s WHERE s.journey = j.row)",
        "SELECT count(*) FROM pragma_foreign_key_check",
    ] {
        let count: i64 = sqlx::query_scalar(broken).fetch_one(&store.readers).await.unwrap();
        assert_eq!(count, 0, "{broken}");
    }
    let journeys: Vec<(i64, bool)> =
        sqlx::query_as("SELECT row, open FROM journeys").fetch_all(&store.readers).await.unwrap();
    assert!(journeys.iter().any(|(_, open)| *open) && journeys.iter().any(|(_, open)| !open));
    for (journey, open) in journeys {
        let mut at = store.readers.acquire().await.unwrap();
        assert_eq!(read::is_open(&mut at, journey).await.unwrap(), open);
    }
}

#[tokio::test]
async fn the_steps_of_the_menu_come_back_when_the_caller_does() {
    let place = Place::new();
    let store = place.open().await;
    accept(&store, step("s1", &wei(), "app-journey", "a", "failed", 0)).await;
    let profile = Profile {
        identifiers: vec![Identifier::parse(IdentifierKind::Phone, "+8613800138000").unwrap()],
        ..Profile::default()
    };
    let menu = Step {
        id: "ca_1-1".into(),
        journey: "ca_1".into(),
        topic: "main".into(),
        channel: "ivr".into(),
        step: "pin".into(),
        label: Some("Enter PIN".into()),
        ordinal: Some(2),
        total: Some(3),
        status: Status::Abandoned,
        reason: None,
        data: Default::default(),
        at: later(60),
    };
    let steps = vec![Posted::new(profile, BTreeSet::new(), menu)];
    store.post_steps(&brand(), IVR_KEY, steps, later(60)).await.unwrap();
    let found = by_phone(&store, "+8613800138000").await;
    assert_eq!(open(&found), ["ca_1: pin abandoned", "app-journey: a failed"]);
}

/// Somebody else's hand in the file.
async fn meddle(place: &Place, sql: &'static str) {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file());
    let mut connection = options.connect().await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn handoff(body: Value) -> Handoff {
    crate::journey::handoff::read(body).unwrap()
}

const TOKEN: TokenHash = TokenHash([7; 32]);

async fn hand_off(store: &Sqlite, token: u8, body: Value) -> JoinCode {
    store.put_handoff(&brand(), TokenHash([token; 32]), handoff(body), NOW).await.unwrap()
}

#[tokio::test]
async fn a_token_leads_to_its_customer_as_long_as_it_is_good() {
    let place = Place::new();
    let store = place.open().await;
    accept(&store, step("s1", &wei(), "prepay-1", "confirm", "failed", 60)).await;
    let account = json!({"account": "wei", "verified": ["account"]});
    let body = json!({"customer": account, "journey": "prepay-1", "queue": "cards", "ttl_s": 60});
    let code = hand_off(&store, 7, body).await;
    assert!(code.0.len() == 8 && code.0.bytes().all(|b| b.is_ascii_digit()));

    let binding = store.handoff(TOKEN, later(59)).await.unwrap().expect("it is good");
    let wei = by_account(&store, "wei").await.customer.unwrap().id;
    assert_eq!((binding.customer, &binding.brand, binding.expires), (wei, &brand(), later(60)));
    assert_eq!((binding.journey.as_deref(), binding.queue), (Some("prepay-1"), Some("cards".into())));
    let found = store.revisit(&brand(), binding.customer, binding.confidence).await.unwrap();
    assert_eq!(
        (found.confidence, open(&found)),
        (Confidence::Token, vec!["prepay-1: confirm failed".into()])
    );

    // Looking at it does not use it, and neither does it outlive its time.
    assert_eq!(store.handoff(TOKEN, later(60)).await, Ok(None));
    assert_eq!(store.use_handoff(TOKEN, later(60)).await, Ok(Redemption::Void));
    assert_eq!(store.handoff(TokenHash([8; 32]), NOW).await, Ok(None));
    assert_eq!(store.use_handoff(TOKEN, later(59)).await, Ok(Redemption::Redeemed));
    assert_eq!(store.handoff(TOKEN, later(59)).await, Ok(None));
}

#[tokio::test]
async fn of_many_who_use_one_token_one_is_told_that_it_was_good() {
    let place = Place::new();
    let store = place.open().await;
    hand_off(&store, 7, json!({ "customer": wei() })).await;
    let tries = join_all((0..64).map(|_| store.use_handoff(TOKEN, later(1)))).await;
    let redeemed = tries.iter().filter(|outcome| **outcome == Ok(Redemption::Redeemed)).count();
    assert_eq!((redeemed, tries.len()), (1, 64));
}

#[tokio::test]
async fn a_token_is_good_and_is_used_whatever_becomes_of_us() {
    let place = Place::new();
    let store = place.open().await;
    hand_off(&store, 7, json!({ "customer": wei() })).await;
    hand_off(&store, 8, json!({ "customer": wei() })).await;
    assert_eq!(store.use_handoff(TOKEN, later(1)).await, Ok(Redemption::Redeemed));
    // What the files say at this moment, as after a kill.
    let copy = Place::new();
    for name in ["baton.db", "baton.db-wal"] {
        std::fs::copy(place.0.join(name), copy.0.join(name)).unwrap();
    }
    let store = copy.open().await;
    assert_eq!(store.use_handoff(TOKEN, later(1)).await, Ok(Redemption::Void));
    assert_eq!(store.use_handoff(TokenHash([8; 32]), later(1)).await, Ok(Redemption::Redeemed));
}

#[tokio::test]
async fn a_hand_off_follows_its_customer_into_another_and_makes_one_that_is_new() {
    let place = Place::new();
    let store = place.open().await;
    // Nobody yet; and then found to be the same person as the account's holder.
    hand_off(&store, 7, json!({"customer": {"wechat": "oX", "verified": ["wechat"]}})).await;
    accept(&store, step("s1", &wei(), "prepay-1", "confirm", "failed", 60)).await;
    let both = json!({"account": "wei", "wechat": "oX", "verified": ["account", "wechat"]});
    assert_eq!(accept(&store, step("s2", &both, "prepay-1", "confirm", "failed", 61)).await.merged.len(), 1);
    let binding = store.handoff(TOKEN, later(1)).await.unwrap().expect("it is good");
    assert_eq!(Some(binding.customer), by_account(&store, "wei").await.customer.map(|wei| wei.id));
}

#[tokio::test]
async fn a_hand_off_names_its_own_brands_customers_only() {
    let place = Place::new();
    let store = place.open().await;
    accept(&store, step("s1", &wei(), "prepay-1", "confirm", "failed", 60)).await;
    let wei = by_account(&store, "wei").await.customer.unwrap().id;
    let known = || handoff(json!({ "customer": wei }));
    let other = BrandId::from("other");
    let fault = store.put_handoff(&other, TOKEN, known(), NOW).await;
    assert_eq!(fault, Err(HandoffFault::UnknownCustomer));
    assert!(store.put_handoff(&brand(), TOKEN, known(), NOW).await.is_ok());
}

#[tokio::test]
async fn expired_hand_offs_are_swept_away() {
    let place = Place::new();
    let store = place.open().await;
    let body = || handoff(json!({"customer": wei(), "ttl_s": 1}));
    let count = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM handoffs").fetch_one(&store.readers).await.unwrap()
    };
    for n in 0..50 {
        store.put_handoff(&brand(), TokenHash([n; 32]), body(), NOW).await.unwrap();
    }
    assert_eq!(count().await, 50);
    store.put_handoff(&brand(), TokenHash([99; 32]), body(), later(1)).await.unwrap();
    assert_eq!(count().await, 1);
}
