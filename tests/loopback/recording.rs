//! Recordings as other people's programs read them, in both formats; paused; and on a full disk.

use std::path::Path;
use std::time::Duration;

use baton::audio::dtmf::Detector;
use baton::base::Key;
use serde_json::{Value, json};

use super::alone::alone;
use super::carrier::{Caller, End, Keying};
use super::centre::{Centre, FRONT, Folder, KEY, Site, agent, assert_about, number, run};
use super::desktop::Desktop;
use super::phone::{Answers, Phone};
use super::sound::{AGENT, CALLER, Law, RATE, heard, keys, read_wav, stretch, tone};

const HTTP: &str = "[http]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";

/// Waits until the disk has told of a contact's recording, and gives its record.
async fn told(centre: &Centre, contact: &str) -> Value {
    let path = format!("/v1/contacts/{contact}");
    centre
        .until("the disk has told of the recording", &path, |contact| {
            let recording = &contact["recordings"][0];
            let done = ["saved", "spoiled"].contains(&recording["state"].as_str()?);
            done.then(|| recording.clone())
        })
        .await
}

/// The same, and it was saved whole.
pub async fn saved(centre: &Centre, contact: &str) -> Value {
    let recording = told(centre, contact).await;
    assert_eq!(recording["state"], "saved", "{recording}");
    recording
}

/// Fetches a contact's recording, as which type it came, and writes it down.
async fn fetch(centre: &Centre, contact: &str, to: &Path) -> String {
    let url = centre.url(&format!("/v1/contacts/{contact}/recording"));
    let response = centre.client.get(url).bearer_auth(KEY).send().await;
    let response = response.and_then(|response| response.error_for_status()).expect("a recording");
    let kind = response.headers()["content-type"].to_str().expect("a type").to_owned();
    std::fs::write(to, response.bytes().await.expect("the whole of it")).expect("our own folder");
    kind
}

/// Left and right at 8 kHz, as this program reads the file without complaint.
async fn read_by(reader: &[&str], file: &Path) -> [Vec<i16>; 2] {
    let out = file.with_extension(format!("{}.wav", reader[0]));
    let names = [file.display().to_string(), out.display().to_string()];
    let words: Vec<_> = reader[1..]
        .iter()
        .map(|&word| match word {
            "IN" => &names[0],
            "OUT" => &names[1],
            word => word,
        })
        .collect();
    let output = run(reader[0], &words, "").await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", reader[0]);
    let channels = read_wav(&std::fs::read(&out).expect("it wrote what it read"));
    channels.try_into().expect("two channels")
}

const FFMPEG: &[&str] = &["ffmpeg", "-v", "error", "-i", "IN", "-ar", "8000", "OUT"];
const OPUSDEC: &[&str] = &["opusdec", "--quiet", "--rate", "8000", "IN", "OUT"];
const SOX: &[&str] = &["sox", "IN", "OUT"];

/// Milliseconds into the call that is up.
async fn into_call(centre: &Centre, at_least: u64) -> u64 {
    centre
        .until("the call goes on", "/v1/calls", |calls| {
            calls["calls"][0]["ms"].as_u64().filter(|ms| *ms >= at_least)
        })
        .await
}

/// A call whose agent pauses the recording for more than a second.
async fn paused(format: &str, media_type: &str, readers: &[&[&str]]) {
    let site = Site::new("", FRONT).with_environment("BATON__MEDIA__RECORDING_FORMAT", format);
    let output = site.baton(&["hash", "--for", "password"], "a password").await;
    let password = String::from_utf8(output.stdout).expect("text");
    let ann = agent("ann", "1001", &format!("initial = \"ready\"\n{password}"));
    site.configure(HTTP, &(ann + &number("record = true")));
    let mut centre = site.start().await;
    let ann = Phone::register(&mut centre, ("ann", "1001"), 5080, Law::A, Answers::AtOnce).await;
    let mut desktop = Desktop::log_in(&centre, "ann", "a password").await;
    let dialling = Caller { end: End::After(Duration::from_secs(6)), ..Caller::default() }.dial(&centre);
    let contact = centre.stage("talk").await;

    let talking = into_call(&centre, 0).await;
    into_call(&centre, talking + 1500).await;
    desktop.say(json!({ "type": "record_pause", "contact": contact })).await;
    let paused = into_call(&centre, 0).await;
    into_call(&centre, paused + 1200).await;
    desktop.say(json!({ "type": "record_resume", "contact": contact })).await;
    dialling.succeed().await;
    drop(ann);
    centre.quiet().await;

    let recording = saved(&centre, &contact).await;
    assert_eq!(recording["format"], format);
    let ms = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{recording}"));
    let length = ms(&recording["length_ms"]);
    let call = centre.get(&format!("/v1/contacts/{contact}")).await["calls"][0].clone();
    let offset = ms(&recording["offset_ms"]);
    assert_about("it lasts to the end of the call", ms(&call["ms"]).abs_diff(offset + length), 0..=100);
    let masked = recording["masked"].as_array().expect("spans");
    assert_eq!(masked.len(), 1, "{recording}");
    let (from, to) = (ms(&masked[0]["from_ms"]), ms(&masked[0]["to_ms"]));
    assert_about("the mask lasts", to - from, 1200..=3000);

    let folder = Folder::new();
    let file = folder.path().join(format!("recording.{format}"));
    assert_eq!(fetch(&centre, &contact, &file).await, media_type);
    for reader in readers {
        let [left, right] = read_by(reader, &file).await;
        for channel in [&left, &right] {
            assert_about("its length to the ear", (channel.len() as u64 / 8).abs_diff(length), 0..=1);
        }
        assert_eq!(heard(&left, AGENT) + heard(&right, CALLER), 0.0, "each on a side of its own");
        // Silence where it is masked, sound before and after: the pause took no time away.
        let at = |ms: u64| ms as usize * RATE / 1000;
        let (before, after) = (at(from.saturating_sub(60)), at(to + 60));
        for (channel, pitch) in [(&left, CALLER), (&right, AGENT)] {
            let loudest = channel[at(from + 60)..at(to - 60)].iter().map(|s| s.unsigned_abs()).max();
            assert_about("masked", loudest.unwrap_or(0), 0..=40);
            let ended = stretch(&channel[..at(from + 500)], pitch).expect("heard before").end;
            assert_about("it falls silent at that time", ended, before..=at(from + 60));
            let again = after + stretch(&channel[after..], pitch).expect("heard after").start;
            assert_about("it is back at that time", again, after..=after + at(60));
        }
    }
}

/// A menu whose 5 leads to a secret, and on to the queue.
const SECRET: &str = r#"
id = "front"
start = "menu"
language = "en"
on_error = "bye"
[steps.menu]
do = "menu"
prompt = "menu"
options = { 5 = "pin" }
timeout_ms = 20000
on_no_input = "bye"
on_no_match = "bye"
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

/// The keys in sound.
fn keys_in(sound: &[i16]) -> String {
    let mut detector = Detector::default();
    sound.chunks(RATE / 50).filter_map(|frame| detector.hear(frame)).map(Key::as_char).collect()
}

fn five_seconds() -> Caller {
    Caller { end: End::After(Duration::from_secs(5)), ..Caller::default() }
}

alone! {
    async fn sox_and_ffmpeg_read_a_paused_wav_recording() {
        paused("wav", "audio/wav", &[SOX, FFMPEG]).await;
    }

    async fn opusdec_and_ffmpeg_read_a_paused_opus_recording() {
        paused("opus", "audio/ogg; codecs=opus", &[OPUSDEC, FFMPEG]).await;
    }

    async fn a_secret_keyed_by_tones_is_not_in_the_recording_however_long_its_last_key_is_held() {
        let site = Site::new(&number("record = true"), SECRET);
        let centre = site.start().await;
        let talk = tone(CALLER, 20);
        // The last key for a second.
        let last = keys("9", 0)[..RATE / 10].repeat(10);
        let before = [&talk[..2 * RATE], &keys("5", 0), &talk[..2 * RATE]].concat();
        let secret = [keys("0134578", 0), last].concat();
        let voice = [&before[..], &secret, &talk].concat();
        let end = End::After(Duration::from_secs(11));
        Caller { voice, keys: "", keying: Keying::Voice, end, ..Caller::default() }.dial(&centre).succeed().await;
        centre.quiet().await;

        let contact = centre.finished(None).await;
        let id = contact["id"].as_str().expect("an id");
        let recording = saved(&centre, id).await;
        let masked = recording["masked"].as_array().expect("spans");
        assert_eq!(masked.len(), 1, "{recording}");
        let ms = |name: &str| masked[0][name].as_u64().expect("milliseconds") as usize;
        let (from, to) = (ms("from_ms"), ms("to_ms"));

        let folder = Folder::new();
        let file = folder.path().join("recording.wav");
        fetch(&centre, id, &file).await;
        let [left, _] = read_by(SOX, &file).await;
        let at = |ms: usize| ms * RATE / 1000;
        assert!(left[at(from)..at(to)].iter().all(|sample| *sample == 0), "it is silent where it is masked");
        assert_eq!(keys_in(&left[at(from)..]), "", "nor is any key heard after it");
        let talk_before = stretch(&left[..at(from)], CALLER).expect("heard before");
        assert_about("talk before it", talk_before.len(), at(1900)..=at(2000));
        let pressed = talk_before.end * 1000 / RATE;
        assert_about("the mask begins with the collect", from, pressed..=pressed + 200);
        let over = pressed + (before.len() + secret.len() - at(2000)) * 1000 / RATE;
        assert_about("the mask outlasts the last key", to - over, 300..=700);
        let after = &left[at(to)..];
        let silent = after.len() as f64 / RATE as f64 - heard(after, CALLER);
        assert_about("talk after it", silent, 0.0..=0.3);
        assert_about("enough of it", after.len(), at(2000)..=at(20_000));
    }

    async fn a_full_disk_is_an_alarm_and_no_dropped_call() {
        let site = Site::new(&(agent("ann", "1001", "initial = \"ready\"") + &number("record = true")), FRONT)
            .with_environment("BATON__MEDIA__RECORDING_MIN_FREE_MIB", "1");
        // A small disk of its own for recordings, on which something else leaves 120 KiB: four
        // seconds of WAV. It goes when it is told to.
        let disk = site.folder.path().join("data/recordings").display().to_string();
        let go = site.folder.path().join("go");
        let script = format!(
            "mkdir -p {disk} && mount -t tmpfs -o size=3m,mode=0700 none {disk} && \
             head -c 3022848 /dev/zero > {disk}/ballast && \
             {{ (until test -e {}; do sleep 0.1; done; rm {disk}/ballast) & }} && exec \"$0\" \"$@\"",
            go.display()
        );
        let site = site.run_by(&["unshare", "--mount", "sh", "-c", &script]);
        let mut centre = site.start().await;
        let is = |words: &'static str| move |line: &Value| line["message"] == words;
        centre.log.line("little space is told of beforehand", is("little space for recordings")).await;
        let ann = Phone::register(&mut centre, ("ann", "1001"), 5080, Law::Mu, Answers::AtOnce).await;

        five_seconds().dial(&centre).succeed().await;
        let first = centre.finished(None).await;
        assert_eq!(first["calls"][0]["release"]["by"], "caller", "nobody was hung up on");
        let id = first["id"].as_str().expect("an id");
        let recording = told(&centre, id).await;
        assert_eq!(recording["state"], "spoiled");
        let kept = recording["length_ms"].as_u64().expect("a length");
        assert_about("what the disk took is kept", kept, 1000..=4000);
        let folder = Folder::new();
        let file = folder.path().join("recording.wav");
        fetch(&centre, id, &file).await;
        let [left, _] = read_by(SOX, &file).await;
        assert_eq!(left.len() as u64 / 8, kept);
        let ready = centre.ready().await;
        assert_eq!(ready.status, 200, "calls are served");
        assert_eq!(ready.body["alarms"], json!({ "recordings_refused": true, "recordings_low_on_space": true }));
        assert_eq!(centre.metric("baton_recording_failures_total").await, 1.0);

        std::fs::write(go, "").expect("our own folder");
        centre.log.line("space is told of", is("space for recordings again")).await;
        five_seconds().dial(&centre).succeed().await;
        let second = centre
            .until("the second call's record", "/v1/contacts", |contacts| {
                let second = contacts["contacts"].as_array()?.iter().find(|contact| contact["id"] != id)?;
                (second["state"] == "finished").then(|| second["id"].as_str().map(str::to_owned))?
            })
            .await;
        saved(&centre, &second).await;
        let alarms = centre.ready().await.body["alarms"].clone();
        assert_eq!(alarms, json!({ "recordings_refused": false, "recordings_low_on_space": false }));
        assert_eq!(centre.log.lines(|line| line["level"] == "ERROR").len(), 2, "each alarm once");
        for sound in ann.heard().await {
            assert_about("the agent heard the caller to the end", heard(&sound, CALLER), 4.0..=6.0);
        }
    }
}
