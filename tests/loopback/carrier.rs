//! sipp, as the carrier.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::centre::{CARRIER, Centre, Folder, NUMBER};
use super::sound::{self, CALLER, Law};

/// Where Debian puts sipp's recorded keys: RFC 4733, payload type 101.
const KEYS: &str = "/usr/share/sip-tester";
/// Where the caller's sound comes from and goes to.
pub const MEDIA_PORT: u16 = 16_000;

/// How the call ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The caller hangs up after so long.
    After(Duration),
    /// The caller waits to be hung up on.
    Theirs,
}

/// How the keys of a caller come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keying {
    /// As events of RFC 4733.
    Events,
    /// And by INFO as well.
    EventsAndInfo,
    /// In the voice, if at all: no events are offered.
    Voice,
}

/// Where the sound of a call comes from and goes to.
#[derive(Clone, Debug)]
pub enum Sound {
    /// sipp, at [`MEDIA_PORT`].
    Plain,
    /// A socket of the test's own at this port of [`CARRIER`]'s.
    Own { port: u16, profile: &'static str, attributes: String },
}

/// One caller: a tone for a voice, and keys.
pub struct Caller {
    pub law: Law,
    pub voice: Vec<i16>,
    pub keying: Keying,
    pub sound: Sound,
    pub number: &'static str,
    /// A comma is a second's pause. Each at most once, and in rising order: the recorded keys lie one
    /// behind the other in RTP time.
    pub keys: &'static str,
    pub end: End,
    pub scenario: &'static str,
    /// Of SIP; the media port is as far from [`MEDIA_PORT`] as this from 5060.
    pub port: u16,
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            law: Law::Mu,
            voice: sound::tone(CALLER, 20),
            keying: Keying::Events,
            sound: Sound::Plain,
            number: "13800138000",
            keys: "5",
            end: End::Theirs,
            scenario: include_str!("caller.xml"),
            port: 5060,
        }
    }
}

/// A call that sipp makes. Its files stay as long as it runs.
pub struct Dialling {
    child: Child,
    folder: Folder,
}

impl Caller {
    pub fn dial(self, centre: &Centre) -> Dialling {
        let folder = Folder::new();
        let voice = folder.write("voice", self.law.encode(&self.voice));
        let scenario = folder.write("scenario.xml", self.script(&voice));
        let mut command = Command::new("sipp");
        command.arg(centre.udp.to_string()).args(["-s", NUMBER, "-i", CARRIER, "-m", "1", "-nostdin"]);
        command.args(["-p", &self.port.to_string(), "-mp", &(MEDIA_PORT + self.port - 5060).to_string()]);
        command.arg("-sf").arg(scenario).args([
            "-timeout",
            "90s",
            "-timeout_error",
            "-trace_err",
            "-trace_msg",
        ]);
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        let child = command.kill_on_drop(true).spawn();
        Dialling {
            child: child.unwrap_or_else(|error| panic!("sipp: {error}; `make test` installs it")),
            folder,
        }
    }

    /// The scenario with this caller's particulars. sipp has no parameters inside of actions.
    fn script(&self, voice: &Path) -> String {
        let key = |(nth, key): (usize, char)| {
            if key == ',' {
                return "<pause milliseconds=\"1000\"/>\n".to_owned();
            }
            let name = match key {
                '#' => "pound".to_owned(),
                '*' => "star".to_owned(),
                digit => digit.to_string(),
            };
            let file = format!("{KEYS}/dtmf_2833_{name}.pcap");
            assert!(Path::new(&file).exists(), "{file} is missing; `make test` installs sip-tester");
            let events = format!(
                "<pause milliseconds=\"700\"/>\n<nop><action><exec play_pcap_audio=\"{file}\"/></action></nop>\n"
            );
            match self.keying {
                Keying::EventsAndInfo => {
                    events + &INFO.replace("@key@", &key.to_string()).replace("@nth@", &(nth + 2).to_string())
                }
                Keying::Events | Keying::Voice => events,
            }
        };
        let end = match self.end {
            End::After(talk) => format!("<pause milliseconds=\"{}\"/>\n{BYE}", talk.as_millis()),
            End::Theirs => GOOD_BYE.to_owned(),
        };
        let mut scenario = self.scenario.to_owned();
        if self.keying == Keying::Voice {
            let lines = ["a=rtpmap:101 telephone-event/8000\n", "a=fmtp:101 0-15\n"];
            scenario = lines.iter().fold(scenario, |scenario, line| scenario.replace(line, ""));
            scenario = scenario.replace("RTP/AVP @type@ 101", "RTP/AVP @type@");
        }
        if let Sound::Own { port, profile, attributes } = &self.sound {
            scenario = scenario.replace("[media_port]", &port.to_string()).replace("RTP/AVP", profile);
            scenario = scenario.replace("a=label:[rtpstream_audio_port]\n", attributes);
            let speaks = scenario.lines().filter(|line| !line.contains("rtp_stream="));
            scenario = speaks.fold(String::new(), |scenario, line| scenario + line + "\n");
        }
        scenario
            .replace("@end@", &end)
            .replace("@keys@", &self.keys.chars().enumerate().map(key).collect::<String>())
            .replace("@voice@", &voice.display().to_string())
            .replace("@caller@", self.number)
            .replace("@type@", &self.law.payload_type().to_string())
            .replace("@codec@", self.law.name())
    }
}

impl Dialling {
    /// Waits until sipp is content with its call.
    pub async fn succeed(mut self) {
        let ended = timeout(Duration::from_secs(95), self.child.wait()).await;
        let status = ended.expect("sipp has a time limit of its own").expect("it is our child");
        if !status.success() {
            let files = std::fs::read_dir(self.folder.path()).expect("our own folder").flatten();
            for path in
                files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "log"))
            {
                println!("{}\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default());
            }
            panic!("sipp: {status}");
        }
    }

    /// It is gone, without a word to anybody.
    pub async fn vanish(mut self) {
        self.child.kill().await.expect("it is our child");
    }
}

const BYE: &str = r#"<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:@caller@@[local_ip]>;tag=[pid]c[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 100 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
"#;

/// As some gateways send it.
const INFO: &str = r#"<send retrans="500"><![CDATA[
INFO [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:@caller@@[local_ip]>;tag=[pid]c[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: @nth@ INFO
Max-Forwards: 70
Content-Type: application/dtmf-relay
Content-Length: [len]

Signal=@key@
Duration=160
]]></send>
<recv response="200"/>
"#;

const GOOD_BYE: &str = r#"<recv request="BYE"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
"#;
