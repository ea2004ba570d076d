//! baresip, as an agent's phone.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::centre::{Centre, Folder, PHONE_PASSWORD};
use super::sound::{self, AGENT, Law};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    AtOnce,
    /// It rings for as long as it is let.
    Never,
}

/// A phone that is registered. It speaks one tone and keeps what it hears.
pub struct Phone {
    child: Child,
    folder: Folder,
    control: u16,
}

impl Phone {
    /// The phone of `agent`, which registers as `user` from this port of 127.0.0.1.
    pub async fn register(
        centre: &mut Centre,
        (agent, user): (&str, &str),
        port: u16,
        law: Law,
        answers: Answers,
    ) -> Self {
        let folder = Folder::new();
        let voice = folder.path().join("voice.wav");
        // At the end of its file it would hang up.
        sound::write_wav(&voice, &sound::tone(AGENT, 120));
        let control = port + 2;
        std::fs::create_dir(folder.path().join("heard")).expect("our own folder");
        folder.write("contacts", "");
        folder.write("config", config(folder.path(), &voice, port, control));
        let (codec, answer) = (law.name(), if answers == Answers::AtOnce { "auto" } else { "manual" });
        folder.write(
            "accounts",
            format!(
                "<sip:{user}@{}>;auth_user={user};auth_pass={PHONE_PASSWORD};regint=60;answermode={answer};\
                 audio_codecs={codec}/8000/1\n",
                centre.udp
            ),
        );
        let mut command = Command::new("baresip");
        command.arg("-f").arg(folder.path()).current_dir(folder.path()).stdin(Stdio::null());
        let said = |name| std::fs::File::create(folder.path().join(name)).expect("our own folder");
        command.stdout(said("said")).stderr(said("errors")).kill_on_drop(true);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("baresip: {error}; `make test` installs it"));
        let phone = Self { child, folder, control };
        let reachable = |line: &serde_json::Value| {
            line["message"] == "phone" && line["agent"] == agent && line["reachable"] == true
        };
        centre.log.line(&format!("the phone of {agent} is registered"), reachable).await;
        phone
    }

    /// Hangs up.
    pub async fn hang_up(&self) {
        let mut control = TcpStream::connect(("127.0.0.1", self.control)).await.expect("baresip listens");
        let command = r#"{"command":"hangup"}"#;
        // A netstring.
        let line = format!("{}:{command},", command.len());
        control.write_all(line.as_bytes()).await.expect("baresip reads");
        let mut answer = [0; 1];
        tokio::io::AsyncReadExt::read_exact(&mut control, &mut answer).await.expect("baresip answers");
    }

    /// It is gone, without a word to anybody.
    pub async fn vanish(mut self) {
        self.child.kill().await.expect("it is our child");
    }

    /// What it heard, call by call; complete once it has ended.
    pub async fn heard(mut self) -> Vec<Vec<i16>> {
        let id = self.child.id().expect("it runs") as libc::pid_t;
        // SAFETY: it is our own child, not yet waited for: nobody else has its number.
        unsafe { libc::kill(id, libc::SIGTERM) };
        tokio::time::timeout(super::centre::PATIENCE, self.child.wait())
            .await
            .expect("it ends")
            .expect("our child");
        let files = std::fs::read_dir(self.folder.path().join("heard")).expect("our own folder").flatten();
        let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
        files.retain(|path| path.to_string_lossy().ends_with("-dec.wav"));
        files.sort();
        let heard =
            |path: &PathBuf| sound::read_wav(&std::fs::read(path).expect("it is there")).swap_remove(0);
        files.iter().map(heard).collect()
    }
}

fn config(folder: &Path, voice: &Path, port: u16, control: u16) -> String {
    // Where packages of other machines put the modules is found beside the library.
    let modules =
        ["/usr/lib/baresip/modules", "/usr/lib64/baresip/modules", "/usr/local/lib/baresip/modules"];
    let modules =
        modules.into_iter().find(|path| Path::new(path).exists()).expect("baresip's modules are installed");
    let rtp = 30_000 + 10 * (port % 1000);
    format!(
        "poll_method epoll\nsip_listen 127.0.0.1:{port}\ncall_local_timeout 120\ncall_max_calls 4\n\
         audio_player aubridge,sink\naudio_source aufile,{voice}\naudio_alert aubridge,alert\n\
         ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
         ausrc_format s16\nauplay_format s16\nauenc_format s16\naudec_format s16\n\
         rtp_ports {rtp}-{last}\njitter_buffer_delay 5-10\nnet_interface 127.0.0.1\nmodule_path {modules}\n\
         module g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nsnd_path {heard}\n\
         module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n",
        voice = voice.display(),
        last = rtp + 9,
        heard = folder.join("heard").display(),
    )
}
