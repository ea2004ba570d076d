//! baresip, as an agent's phone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::process::{Child, Command};

use super::centre::{Centre, Folder, PHONE_PASSWORD};
use super::sound::{self, AGENT, Law};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    AtOnce,
    /// It rings for as long as it is let.
    Never,
}

/// What a phone can and does.
pub struct Handset {
    /// As baresip names them, the one it likes best first.
    pub codecs: &'static str,
    pub secrecy: Secrecy,
    pub voice: Vec<i16>,
    pub answers: Answers,
}

/// How a phone protects its audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    None,
    /// Keys by SDES, `RTP/AVP` for want of better.
    Sdes,
    /// Keys by SDES, `RTP/SAVP` or nothing.
    SdesAlways,
    Dtls,
}

/// A phone that is registered. It speaks in one voice and keeps what it hears.
pub struct Phone {
    child: Child,
    folder: Folder,
    control: u16,
    /// Where it hears RTP.
    pub media: SocketAddr,
}

impl Default for Handset {
    fn default() -> Self {
        let codecs = "pcmu/8000/1";
        // At the end of its file it would hang up.
        let voice = sound::tone(AGENT, 120);
        Self { codecs, secrecy: Secrecy::None, voice, answers: Answers::AtOnce }
    }
}

impl Phone {
    /// The phone of `agent`, which registers as `user` from this port of 127.0.0.1.
    pub async fn register(
        centre: &mut Centre,
        who: (&str, &str),
        port: u16,
        law: Law,
        answers: Answers,
    ) -> Self {
        let codecs = match law {
            Law::Mu => "pcmu/8000/1",
            Law::A => "pcma/8000/1",
        };
        Handset { codecs, answers, ..Handset::default() }.register(centre, who, port).await
    }

    /// Hangs up.
    pub async fn hang_up(&self) {
        self.command(r#"{"command":"hangup"}"#).await;
    }

    /// Presses a key: events of RFC 4733.
    pub async fn press(&self, key: char) {
        let keyboard = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let mut octets = [0; 4];
        let key = key.encode_utf8(&mut octets).as_bytes();
        keyboard.send_to(key, ("127.0.0.1", self.control + 1)).await.expect("baresip reads");
    }

    async fn command(&self, command: &str) {
        let mut control = TcpStream::connect(("127.0.0.1", self.control)).await.expect("baresip listens");
        // A netstring.
        let line = format!("{}:{command},", command.len());
        control.write_all(line.as_bytes()).await.expect("baresip reads");
        let mut answer = [0; 1];
        tokio::io::AsyncReadExt::read_exact(&mut control, &mut answer).await.expect("baresip answers");
    }

    fn signal(&self, signal: libc::c_int) {
        let id = self.child.id().expect("it runs") as libc::pid_t;
        // SAFETY: it is our own child, not yet waited for: nobody else has its number.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// It is gone, without a word to anybody.
    pub async fn vanish(mut self) {
        self.child.kill().await.expect("it is our child");
    }

    /// What it heard, call by call; complete once it has ended.
    pub async fn heard(self) -> Vec<Vec<i16>> {
        self.heard_and_said().await.0
    }

    /// And what it said, as it came to be encoded.
    pub async fn heard_and_said(mut self) -> (Vec<Vec<i16>>, Vec<Vec<i16>>) {
        self.signal(libc::SIGTERM);
        tokio::time::timeout(super::centre::PATIENCE, self.child.wait())
            .await
            .expect("it ends")
            .expect("our child");
        let files = std::fs::read_dir(self.folder.path().join("heard")).expect("our own folder").flatten();
        let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
        files.sort();
        let read =
            |path: &PathBuf| sound::read_wav(&std::fs::read(path).expect("it is there")).swap_remove(0);
        let ending =
            |end: &str| files.iter().filter(|path| path.to_string_lossy().ends_with(end)).map(read).collect();
        (ending("-dec.wav"), ending("-enc.wav"))
    }
}

impl Handset {
    /// The phone of `agent`, which registers as `user` from this port of 127.0.0.1.
    pub async fn register(self, centre: &mut Centre, (agent, user): (&str, &str), port: u16) -> Phone {
        let phone = self.start(centre, user, port, 60);
        let reachable = |line: &serde_json::Value| {
            line["message"] == "phone" && line["agent"] == agent && line["reachable"] == true
        };
        centre.log.line(&format!("the phone of {agent} is registered"), reachable).await;
        phone
    }

    /// Calls from this port of 127.0.0.1 without having registered, as a small exchange does.
    pub async fn dial(self, centre: &Centre, number: &str, port: u16) -> Phone {
        let phone = self.start(centre, "branch", port, 0);
        let command = format!(r#"{{"command":"dial","params":"sip:{number}@{}"}}"#, centre.udp);
        let listens = || std::net::TcpStream::connect(("127.0.0.1", phone.control)).is_ok();
        centre.until("it takes commands", "/v1/health", |_| listens().then_some(())).await;
        phone.command(&command).await;
        phone
    }

    /// Registers every so many seconds, or not at all.
    fn start(self, centre: &Centre, user: &str, port: u16, registers: u16) -> Phone {
        let folder = Folder::new();
        sound::write_wav(&folder.path().join("voice.wav"), &self.voice);
        let (control, rtp) = (port + 2, 30_000 + 10 * (port % 1000));
        std::fs::create_dir(folder.path().join("heard")).expect("our own folder");
        folder.write("contacts", "");
        folder.write("config", config(folder.path(), port, control, rtp));
        let answer = if self.answers == Answers::AtOnce { "auto" } else { "manual" };
        let secrecy = match self.secrecy {
            Secrecy::None => "",
            Secrecy::Sdes => ";mediaenc=srtp",
            Secrecy::SdesAlways => ";mediaenc=srtp-mand",
            Secrecy::Dtls => ";mediaenc=dtls_srtp",
        };
        folder.write(
            "accounts",
            format!(
                "<sip:{user}@{}>;auth_user={user};auth_pass={PHONE_PASSWORD};regint={registers};answermode={answer};\
                 audio_codecs={}{secrecy}\n",
                centre.udp, self.codecs
            ),
        );
        let mut command = Command::new("baresip");
        command.arg("-f").arg(folder.path()).current_dir(folder.path()).stdin(Stdio::null());
        let said = |name| std::fs::File::create(folder.path().join(name)).expect("our own folder");
        command.stdout(said("said")).stderr(said("errors")).kill_on_drop(true);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("baresip: {error}; `make test` installs it"));
        Phone { child, folder, control, media: ([127, 0, 0, 1], rtp).into() }
    }
}

fn config(folder: &Path, port: u16, control: u16, rtp: u16) -> String {
    // Where packages of other machines put the modules is found beside the library.
    let modules =
        ["/usr/lib/baresip/modules", "/usr/lib64/baresip/modules", "/usr/local/lib/baresip/modules"];
    let modules =
        modules.into_iter().find(|path| Path::new(path).exists()).expect("baresip's modules are installed");
    format!(
        "poll_method epoll\nsip_listen 127.0.0.1:{port}\ncall_local_timeout 120\ncall_max_calls 4\n\
         audio_player aubridge,sink\naudio_source aufile,{voice}\naudio_alert aubridge,alert\n\
         ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
         ausrc_format s16\nauplay_format s16\nauenc_format s16\naudec_format s16\n\
         rtp_ports {rtp}-{last}\njitter_buffer_delay 5-10\nnet_interface 127.0.0.1\nmodule_path {modules}\n\
         rtcp_mux yes\n\
         module g711.so\nmodule g722.so\nmodule opus.so\nmodule srtp.so\nmodule dtls_srtp.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nsnd_path {heard}\n\
         module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
         ctrl_tcp_listen 127.0.0.1:{control}\nmodule cons.so\ncons_listen 127.0.0.1:{keyboard}\n",
        keyboard = control + 1,
        voice = folder.join("voice.wav").display(),
        last = rtp + 1,
        heard = folder.join("heard").display(),
    )
}
