//! What caller and agent say, as it is recorded: understood, like what was said, and both at the time
//! they said it.

use std::path::Path;
use std::time::Duration;

use super::alone::alone;
use super::carrier::{Caller, End, MEDIA_PORT};
use super::centre::{FRONT, Folder, Site, agent, assert_about, number, run};
use super::phone::Handset;
use super::sound::{RATE, find, read_wav, write_wav};
use super::wire::{Datagram, Wire};

/// What each says, in Debian's clearest voice.
const CALLER: [&str; 3] = ["account number", "press one", "please hold the line"];
const AGENT: [&str; 3] = ["good morning", "credit card", "press two"];
/// What may be understood at all.
const GRAMMAR: &str = "#JSGF V1.0;\ngrammar phrases;\npublic <speech> = <phrase>+;\n<phrase> = account number | \
    press one | please hold the line | good morning | credit card | press two | press zero | savings account;\n";
/// Where Debian puts what is known of English.
const MODEL: &str = "/usr/share/pocketsphinx/model/en-us";

/// Of silence before they speak, in packets of 20 ms.
const BEFORE: usize = 50;
const TALK: Duration = Duration::from_secs(7);

/// Speech at 8 kHz.
async fn say(folder: &Folder, phrases: [&str; 3]) -> Vec<i16> {
    let (raw, speech) = (folder.path().join("raw.wav"), folder.path().join("speech.wav"));
    let (raw, narrow) = (raw.display().to_string(), speech.display().to_string());
    let text = phrases.map(|phrase| format!("{phrase}. ")).concat();
    succeed("flite", &["-voice", "rms", "-t", &text, "-o", &raw]).await;
    succeed("sox", &["-R", &raw, "-r", "8000", "-c", "1", "-b", "16", &narrow]).await;
    read_wav(&std::fs::read(&speech).expect("just made")).swap_remove(0)
}

/// What a machine understands of a recorded channel.
async fn understand(folder: &Folder, samples: &[i16]) -> String {
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (narrow, wide, grammar) = (file("narrow.wav"), file("wide.wav"), folder.write("grammar", GRAMMAR));
    write_wav(Path::new(&narrow), samples);
    let louder = ["gain", "-n", "-3", "pad", "0.3", "0.3"];
    let brought = [&narrow, "-r", "16000", "-c", "1", "-b", "16", &wide];
    succeed("sox", &[&["-R"], &brought[..], &louder[..]].concat()).await;
    let (sounds, words) = (format!("{MODEL}/en-us"), format!("{MODEL}/cmudict-en-us.dict"));
    let grammar = grammar.display().to_string();
    let from = ["-infile", &wide, "-jsgf", &grammar, "-hmm", &sounds, "-dict", &words, "-logfn", "/dev/null"];
    // By default it gives up what is right in the end for what was better in the middle.
    let patient = ["-beam", "1e-100", "-wbeam", "1e-80", "-pbeam", "1e-100"];
    succeed("pocketsphinx_continuous", &[&from[..], &patient[..]].concat()).await.replace('\n', " ")
}

async fn succeed(program: &str, words: &[&str]) -> String {
    let output = run(program, words, "").await;
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The packet that carries what is said `BEFORE` packets after the first one.
fn packet(wire: &Wire, from: impl Fn(&Datagram) -> bool) -> Datagram {
    // Neither keys nor, on the same port, RTCP (RFC 5761 §4).
    let audio = |d: &Datagram| {
        d.payload.len() > 12 && d.payload[1] & 0x7f != 101 && !(192..=223).contains(&d.payload[1])
    };
    wire.passed(|datagram| from(datagram) && audio(datagram)).swap_remove(BEFORE)
}

alone! {
    async fn a_recording_is_understood_and_each_word_is_at_its_time() {
        let folder = Folder::new();
        let (caller, ann) = (say(&folder, CALLER).await, say(&folder, AGENT).await);
        let ann_says = agent("ann", "1001", "initial = \"ready\"") + &number("record = true");
        let site = Site::new(&ann_says, FRONT);
        let mut centre = site.start().await;
        let wire = Wire::tap();
        let silence = vec![0; BEFORE * RATE / 50];
        let voice = |speech: &[i16]| [&silence[..], speech, &vec![0; 60 * RATE]].concat();
        let handset = Handset { codecs: "opus/48000/2", voice: voice(&ann), ..Handset::default() };
        let phone = handset.register(&mut centre, ("ann", "1001"), 5080).await;
        Caller { voice: voice(&caller), end: End::After(TALK), ..Caller::default() }.dial(&centre).succeed().await;
        let record = centre.finished(None).await;
        let channels = centre.recording(&record).await;

        let (mut began, mut spoken) = (vec![], vec![]);
        for (who, channel, said) in [("the caller", &channels[0], &caller), ("the agent", &channels[1], &ann)] {
            let (at, alike) = find(said, channel);
            assert_about(&format!("{who} is recorded as heard"), alike, 0.9..=1.0);
            began.push(at as i64);
            // A grammar knows no silence.
            spoken.push(&channel[at * RATE / 1000..][..said.len()]);
        }
        let by_caller = packet(&wire, |datagram| datagram.from.port() == MEDIA_PORT).at;
        let by_agent = packet(&wire, |datagram| datagram.from == phone.media).at;
        let apart = by_agent.duration_since(by_caller).as_millis() as i64;
        assert_about("one behind the other in the recording, but for this many ms", began[1] - began[0] - apart, -60..=60);

        for (who, spoken, said, not) in
            [("the caller", spoken[0], CALLER, AGENT), ("the agent", spoken[1], AGENT, CALLER)]
        {
            let understood = understand(&folder, spoken).await;
            assert!(said.iter().all(|phrase| understood.contains(phrase)), "{who}: {understood}");
            assert!(not.iter().all(|phrase| !understood.contains(phrase)), "{who}: {understood}");
        }
    }
}
