//! Turns what is to be said into sound: recordings from files, all else from the speech command of
//! its language.
//!
//! A command is a program with its arguments, never a shell line. It is given the text on standard
//! input and leaves a WAV on standard output, which is a file in memory: `flite` goes back to the
//! header of what it writes, so a pipe would not do, and a personal text must not touch a disk.
//!
//! It spares the layer above everything slow about speech. What is the same for every caller is
//! spoken once, however many ask for it at the same time, and kept: in memory up to a limit, on disk
//! by a hash of command, language and text. A command that hangs, floods or dies costs the caller
//! its sentence, which becomes a short tone, and never the call.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use crate::audio::wav;
use crate::base::Language;
use crate::config;
use crate::ivr::Utterance;
use crate::media::Prompt;

/// Commands that run at the same time; more would only take each other's processor.
const AT_ONCE: usize = 2;
/// Most octets of a WAV: four minutes at 16 kHz, music in stereo included.
const MOST_OCTETS: u64 = 16 << 20;
/// What a command may write at all, into its output or elsewhere. `espeak-ng` has a sound server's
/// library make itself 64 MiB of shared memory, so it is more than [`MOST_OCTETS`].
const MOST_WRITTEN: u64 = 160 << 20;
/// Most octets of encoded sound kept in memory: over an hour.
const MOST_KEPT: usize = 64 << 20;
/// Longest text a command is given, in octets. It fits a pipe: writing it never waits.
const LONGEST_TEXT: usize = 8 << 10;

/// Why something could not be said. It names prompts, and never a text.
#[derive(Debug)]
pub enum SpeechFault {
    /// Neither `.wav` nor `.txt`, or a name that is none of a file's.
    NoPrompt { name: String, language: Language },
    /// A prompt's file is there and of no use.
    BadPrompt { path: PathBuf, why: String },
    /// No command speaks this language.
    Mute(Language),
    /// The command did not start.
    Command { program: String, why: io::Error },
    /// The command ended with this, or by a signal.
    Failed { program: String, code: Option<i32> },
    /// It took too long, or too many were before it.
    TimedOut { program: String },
    /// What it left is no sound, or too much of it.
    BadSound { program: String, why: String },
    /// A text longer than anyone listens to.
    TooLong,
    /// The machine: no memory file, no thread.
    Machine(io::Error),
}

impl fmt::Display for SpeechFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrompt { name, language } => write!(f, "there is no prompt {name:?} in {language}"),
            Self::BadPrompt { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Mute(language) => write!(f, "no command of [speech] speaks {language}"),
            Self::Command { program, why } => write!(f, "speech command {program} did not start: {why}"),
            Self::Failed { program, code: Some(code) } => {
                write!(f, "speech command {program} ended with {code}")
            }
            Self::Failed { program, code: None } => write!(f, "speech command {program} was killed"),
            Self::TimedOut { program } => write!(f, "speech command {program} took too long"),
            Self::BadSound { program, why } => write!(f, "speech command {program} left no sound: {why}"),
            Self::TooLong => f.write_str("a text too long to be spoken"),
            Self::Machine(why) => write!(f, "no means to speak: {why}"),
        }
    }
}

impl std::error::Error for SpeechFault {}

/// The voice of the house. A reload of the configuration makes a new one.
pub struct Speech {
    prompts: PathBuf,
    commands: BTreeMap<Language, Vec<String>>,
    limit: Duration,
    cache: PathBuf,
    running: Semaphore,
    kept: Mutex<Kept>,
    tone: Arc<Prompt>,
    written: AtomicU64,
}

impl Speech {
    /// `cache` is the directory in which static texts are kept; it need not exist.
    pub fn new(settings: &config::Speech, cache: PathBuf) -> Self {
        Self {
            prompts: settings.prompts.clone(),
            commands: settings.commands.clone(),
            limit: settings.timeout,
            cache,
            running: Semaphore::new(AT_ONCE),
            kept: Mutex::default(),
            tone: Arc::new(tone()),
            written: AtomicU64::new(0),
        }
    }

    /// The sound of each, in order. What cannot be said is logged and becomes a short tone.
    ///
    /// # Errors
    /// The first fault, when nothing of it could be said.
    pub async fn speak(&self, utterances: &[Utterance]) -> Result<Vec<Arc<Prompt>>, SpeechFault> {
        let mut prompts = Vec::with_capacity(utterances.len());
        let mut first = None;
        let mut said = 0;
        for utterance in utterances {
            match self.one(utterance).await {
                Ok(prompt) => {
                    said += 1;
                    prompts.push(prompt);
                }
                Err(fault) => {
                    if first.is_some() || utterances.len() > 1 {
                        tracing::error!(%fault, "not spoken; the caller hears a tone");
                    }
                    first.get_or_insert(fault);
                    prompts.push(self.tone.clone());
                }
            }
        }
        match first {
            Some(fault) if said == 0 => Err(fault),
            _ => Ok(prompts),
        }
    }

    /// Speaks what callers will be told, so that the first need not wait for it. Faults are logged:
    /// they are the operator's, and better known before a call than in it.
    pub async fn prepare(&self, utterances: &[Utterance]) {
        for utterance in utterances {
            if let Err(fault) = self.one(utterance).await {
                tracing::error!(%fault, "cannot be spoken");
            }
        }
    }

    async fn one(&self, utterance: &Utterance) -> Result<Arc<Prompt>, SpeechFault> {
        if let Utterance::Text { text, language, personal: true } = utterance {
            return self.run(*language, text).await.map(|(_, prompt)| Arc::new(prompt));
        }
        // The lock is held to look up, never while speaking.
        let cell = self.kept().cell(utterance);
        let prompt = cell.get_or_try_init(|| async {
            let prompt = match utterance {
                Utterance::Prompt { name, language } => self.prompt(name, *language).await,
                Utterance::Text { text, language, .. } => self.cached(*language, text).await,
            };
            prompt.map(Arc::new)
        });
        let prompt = prompt.await.cloned();
        self.kept().settle(utterance, &cell);
        prompt
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // It is consistent between any two statements of `Kept`.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prompt(&self, name: &str, language: Language) -> Result<Prompt, SpeechFault> {
        let none = || SpeechFault::NoPrompt { name: name.to_owned(), language };
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return Err(none());
        }
        let folder = self.prompts.join(language.tag());
        let path = folder.join(format!("{name}.wav"));
        match read(&path, MOST_OCTETS).await {
            Ok(wav) => {
                return decode(wav).await.map_err(|why| SpeechFault::BadPrompt { path, why });
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => return Err(SpeechFault::BadPrompt { path, why: fault.to_string() }),
        }
        let path = folder.join(format!("{name}.txt"));
        let text = match read(&path, LONGEST_TEXT as u64).await {
            Ok(text) => String::from_utf8(text)
                .map_err(|_| SpeechFault::BadPrompt { path, why: "not UTF-8".into() })?,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Err(none()),
            Err(fault) => return Err(SpeechFault::BadPrompt { path, why: fault.to_string() }),
        };
        self.cached(language, text.trim()).await
    }

    /// A text that is the same for every caller: from disk, else spoken and put there.
    async fn cached(&self, language: Language, text: &str) -> Result<Prompt, SpeechFault> {
        let command = self.commands.get(&language).ok_or(SpeechFault::Mute(language))?;
        let path = self.cache.join(format!("{}.wav", key(command, language, text)));
        if let Ok(wav) = read(&path, MOST_OCTETS).await
            && let Ok(prompt) = decode(wav).await
        {
            return Ok(prompt);
        }
        let (wav, prompt) = self.run(language, text).await?;
        if let Err(fault) = self.store(&path, &wav).await {
            tracing::warn!(%fault, path = %path.display(), "spoken text not kept");
        }
        Ok(prompt)
    }

    /// Whoever reads the file sees all of it or none.
    async fn store(&self, path: &Path, wav: &[u8]) -> io::Result<()> {
        tokio::fs::create_dir_all(&self.cache).await?;
        let serial = self.written.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{serial}.tmp", std::process::id()));
        let stored = async {
            tokio::fs::write(&unfinished, wav).await?;
            tokio::fs::rename(&unfinished, path).await
        };
        let stored = stored.await;
        if stored.is_err() {
            let _ = tokio::fs::remove_file(&unfinished).await;
        }
        stored
    }

    /// Has the text spoken; the WAV as it came and its sound.
    async fn run(&self, language: Language, text: &str) -> Result<(Vec<u8>, Prompt), SpeechFault> {
        let command = self.commands.get(&language).ok_or(SpeechFault::Mute(language))?;
        let Some((program, arguments)) = command.split_first() else {
            return Err(SpeechFault::Mute(language));
        };
        if text.len() > LONGEST_TEXT {
            return Err(SpeechFault::TooLong);
        }
        let program = || program.clone();
        let Ok(permit) = timeout(self.limit, self.running.acquire()).await else {
            return Err(SpeechFault::TimedOut { program: program() });
        };
        let mut sound = memory_file().map_err(SpeechFault::Machine)?;
        let output = sound.try_clone().map_err(SpeechFault::Machine)?;
        let status = timeout(self.limit, execute(&program(), arguments, text, output)).await;
        drop(permit);
        let status = match status {
            Ok(Ok(status)) => status,
            Ok(Err(why)) => return Err(SpeechFault::Command { program: program(), why }),
            Err(_) => return Err(SpeechFault::TimedOut { program: program() }),
        };
        if !status.success() {
            return Err(SpeechFault::Failed { program: program(), code: status.code() });
        }
        let wav = rewound(&mut sound).map_err(SpeechFault::Machine)?;
        let bad = |why| SpeechFault::BadSound { program: program(), why };
        let wav = wav.ok_or_else(|| bad(format!("more than {MOST_OCTETS} octets")))?;
        let prompt = decode(wav.clone()).await.map_err(bad)?;
        Ok((wav, prompt))
    }
}

/// Says nothing of what was said.
impl fmt::Debug for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speech").field("prompts", &self.prompts).finish_non_exhaustive()
    }
}

/// Runs until the program ends. Dropped before, it kills it.
async fn execute(
    program: &str,
    arguments: &[String],
    text: &str,
    output: File,
) -> io::Result<std::process::ExitStatus> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(output).stderr(Stdio::null()).kill_on_drop(true);
    // A speech program needs no secret of ours, and no sound server.
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    // SAFETY: between fork and exec only setrlimit is called, which is async-signal-safe and
    // touches no memory of the parent's (POSIX.1-2017 §2.4.3).
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: MOST_WRITTEN, rlim_max: MOST_WRITTEN };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read to the end is judged by what it leaves.
        let _ = input.write_all(text.as_bytes()).await;
        let _ = input.write_all(b"\n").await;
    }
    child.wait().await
}

/// A file without a name, in memory only.
fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a terminated string that outlives the call.
    let file = unsafe { libc::memfd_create(c"speech".as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, valid and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(file) }.into())
}

/// All of a memory file, which waits for no disk; `None` if it is too much.
fn rewound(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let length = file.metadata()?.len();
    if length > MOST_OCTETS {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut octets = Vec::with_capacity(length as usize);
    file.take(MOST_OCTETS).read_to_end(&mut octets)?;
    Ok(Some(octets))
}

async fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let length = tokio::fs::metadata(path).await?.len();
    if length > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {most} octets")));
    }
    tokio::fs::read(path).await
}

/// Resampling minutes of music takes longer than a task may hold its thread.
async fn decode(wav: Vec<u8>) -> Result<Prompt, String> {
    let decoded = tokio::task::spawn_blocking(move || match wav::read(&wav) {
        Ok(samples) if samples.is_empty() => Err("silence".to_owned()),
        Ok(samples) => Ok(Prompt::from_pcm(&samples)),
        Err(why) => Err(why.to_string()),
    });
    decoded.await.unwrap_or_else(|fault| Err(fault.to_string()))
}

/// Lowercase hexadecimal SHA-256 of command, language and text, each with its length before it.
fn key(command: &[String], language: Language, text: &str) -> String {
    let mut hash = Sha256::new();
    for part in command.iter().map(String::as_str).chain([language.tag(), text]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// 200 ms of 425 Hz at a tenth of full scale, without a click at either end.
fn tone() -> Prompt {
    let samples: Vec<i16> = (0..1600)
        .map(|i: i32| {
            let ramp = f64::from(i.min(1599 - i).min(160)) / 160.0;
            let phase = f64::from(i) * 425.0 * std::f64::consts::TAU / 8000.0;
            (phase.sin() * ramp * 3276.0) as i16
        })
        .collect();
    Prompt::from_pcm(&samples)
}

/// What is kept in memory, least lately used going first.
#[derive(Default)]
struct Kept {
    sounds: HashMap<Utterance, Sound>,
    /// By last use.
    order: BTreeMap<u64, Utterance>,
    uses: u64,
    octets: usize,
}

struct Sound {
    /// One speaks, and all who ask meanwhile wait for it. A failure leaves it empty.
    cell: Arc<OnceCell<Arc<Prompt>>>,
    used: u64,
    /// Counted in `octets`; 0 while it is being spoken.
    octets: usize,
}

impl Kept {
    fn cell(&mut self, utterance: &Utterance) -> Arc<OnceCell<Arc<Prompt>>> {
        self.uses += 1;
        let used = self.uses;
        let sound = self.sounds.entry(utterance.clone()).or_insert_with(|| Sound {
            cell: Arc::default(),
            used,
            octets: 0,
        });
        self.order.remove(&sound.used);
        sound.used = used;
        self.order.insert(used, utterance.clone());
        sound.cell.clone()
    }

    /// Counts what was spoken, forgets what failed, and makes room.
    fn settle(&mut self, utterance: &Utterance, cell: &Arc<OnceCell<Arc<Prompt>>>) {
        let Some(sound) = self.sounds.get_mut(utterance).filter(|sound| Arc::ptr_eq(&sound.cell, cell))
        else {
            return;
        };
        match cell.get() {
            Some(prompt) if sound.octets == 0 => {
                sound.octets = octets(prompt);
                self.octets += sound.octets;
            }
            Some(_) => {}
            // Others may still wait for it and try themselves; they have the cell.
            None => self.forget(utterance),
        }
        while self.octets > MOST_KEPT
            && let Some(oldest) = self.order.first_key_value().map(|(_, utterance)| utterance.clone())
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, utterance: &Utterance) {
        if let Some(sound) = self.sounds.remove(utterance) {
            self.order.remove(&sound.used);
            self.octets -= sound.octets;
        }
    }
}

/// In all codecs, and what holds them.
fn octets(prompt: &Prompt) -> usize {
    prompt.size() + 256
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own, removed at the end.
    struct Room(PathBuf);

    impl Room {
        fn new() -> Self {
            static ROOMS: AtomicU64 = AtomicU64::new(0);
            let serial = ROOMS.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("baton-speech-{}-{serial}", std::process::id()));
            for language in Language::ALL {
                std::fs::create_dir_all(path.join("prompts").join(language.tag())).unwrap();
            }
            Self(path)
        }

        fn write(&self, name: &str, octets: &[u8]) {
            std::fs::write(self.0.join(name), octets).unwrap();
        }

        /// English is spoken by this shell script, Chinese by nobody.
        fn speech(&self, script: &str) -> Speech {
            self.commanded(&["sh", "-c", script])
        }

        fn commanded(&self, command: &[&str]) -> Speech {
            let command = command.iter().map(|word| word.to_string()).collect();
            let settings = config::Speech {
                prompts: self.0.join("prompts"),
                commands: BTreeMap::from([(Language::En, command)]),
                timeout: Duration::from_secs(5),
            };
            Speech::new(&settings, self.0.join("speech"))
        }

        fn cached(&self) -> usize {
            std::fs::read_dir(self.0.join("speech")).map_or(0, Iterator::count)
        }

        /// How often the script wrote down that it ran.
        fn runs(&self) -> usize {
            std::fs::read_to_string(self.0.join("runs")).map_or(0, |runs| runs.lines().count())
        }

        /// Speaks any text as `samples` samples of 8 kHz, and writes down that it did.
        fn script(&self, samples: u32) -> String {
            self.write("sound.wav", &wav(samples));
            let here = self.0.display();
            format!("cat > /dev/null; echo >> {here}/runs; cat {here}/sound.wav")
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// PCM16, 8 kHz, mono.
    fn wav(samples: u32) -> Vec<u8> {
        let mut wav =
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data".to_vec();
        wav.extend((samples * 2).to_le_bytes());
        wav.extend((0..samples).flat_map(|i| ((i % 50) as i16 * 100).to_le_bytes()));
        wav
    }

    fn text(text: &str, personal: bool) -> Utterance {
        Utterance::Text { text: text.into(), language: Language::En, personal }
    }

    fn named(name: &str, language: Language) -> Utterance {
        Utterance::Prompt { name: name.into(), language }
    }

    fn millis(prompts: &[Arc<Prompt>]) -> Vec<u128> {
        prompts.iter().map(|prompt| prompt.length().as_millis()).collect()
    }

    #[tokio::test]
    async fn a_recording_takes_the_place_of_a_text() {
        let room = Room::new();
        room.write("prompts/en/both.txt", b"spoken");
        room.write("prompts/en/both.wav", &wav(4000));
        room.write("prompts/en/text.txt", b"spoken");
        let speech = room.speech(&room.script(8000));
        let row = [named("both", Language::En), named("text", Language::En)];
        assert_eq!(millis(&speech.speak(&row).await.unwrap()), [500, 1000]);
        assert_eq!(room.runs(), 1);
    }

    #[tokio::test]
    async fn what_is_the_same_for_all_is_spoken_once_and_kept_over_a_restart() {
        let room = Room::new();
        let script = room.script(8000);
        let speech = room.speech(&script);
        let row = [text("hello", false)];
        let (a, b, c) = tokio::join!(speech.speak(&row), speech.speak(&row), speech.speak(&row));
        assert!(Arc::ptr_eq(&a.unwrap()[0], &b.unwrap()[0]) && c.is_ok());
        assert_eq!((room.runs(), room.cached()), (1, 1));
        room.speech(&script).speak(&row).await.unwrap();
        assert_eq!(room.runs(), 1);
        // Another command is another voice.
        room.speech(&format!("{script} ")).speak(&row).await.unwrap();
        assert_eq!((room.runs(), room.cached()), (2, 2));
    }

    #[tokio::test]
    async fn a_damaged_file_of_the_cache_is_spoken_anew() {
        let room = Room::new();
        let script = room.script(8000);
        room.speech(&script).speak(&[text("hello", false)]).await.unwrap();
        let file = std::fs::read_dir(room.0.join("speech")).unwrap().next().unwrap().unwrap().path();
        std::fs::write(&file, b"RIFF").unwrap();
        assert_eq!(millis(&room.speech(&script).speak(&[text("hello", false)]).await.unwrap()), [1000]);
        assert_eq!(room.runs(), 2);
        assert!(std::fs::metadata(file).unwrap().len() > 16_000);
    }

    #[tokio::test]
    async fn a_personal_text_is_kept_nowhere() {
        let room = Room::new();
        let speech = room.speech(&room.script(8000));
        for _ in 0..2 {
            assert_eq!(millis(&speech.speak(&[text("your balance", true)]).await.unwrap()), [1000]);
        }
        assert_eq!((room.runs(), room.cached()), (2, 0));
        assert!(speech.kept().sounds.is_empty());
    }

    #[tokio::test]
    async fn the_text_comes_on_standard_input_and_no_shell_reads_it() {
        let room = Room::new();
        let here = room.0.display().to_string();
        room.write("sound.wav", &wav(800));
        let speech = room.speech(&format!("cat > {here}/heard; cat {here}/sound.wav"));
        let hostile = "$(touch pwned) `id` ; -w /etc/x \"quoted\"";
        speech.speak(&[text(hostile, true)]).await.unwrap();
        assert_eq!(std::fs::read_to_string(room.0.join("heard")).unwrap(), format!("{hostile}\n"));
    }

    #[tokio::test]
    async fn a_command_sees_no_secret_of_ours() {
        let room = Room::new();
        let here = room.0.display().to_string();
        room.write("sound.wav", &wav(800));
        let speech = room.speech(&format!("env > {here}/seen; cat {here}/sound.wav"));
        speech.speak(&[text("hello", true)]).await.unwrap();
        let seen = std::fs::read_to_string(room.0.join("seen")).unwrap();
        assert!(
            seen.lines()
                .all(|line| ["PATH=", "PWD=", "_=", "SHLVL="].iter().any(|own| line.starts_with(own))),
            "{seen}"
        );
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_in_time() {
        let room = Room::new();
        let here = room.0.display().to_string();
        let mut speech = room.speech(&format!("echo $$ > {here}/pid; exec tail -f /dev/null"));
        speech.limit = Duration::from_millis(300);
        let fault = speech.speak(&[text("hello", false)]).await.unwrap_err();
        assert!(matches!(fault, SpeechFault::TimedOut { .. }), "{fault}");
        // It may speak again: the place among those running is free.
        assert_eq!(speech.running.available_permits(), AT_ONCE);
        let pid = std::fs::read_to_string(room.0.join("pid")).unwrap();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z")
        };
        while !gone() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn each_failure_says_what_to_mend() {
        let room = Room::new();
        let fault =
            async |speech: Speech, utterance| speech.speak(&[utterance]).await.unwrap_err().to_string();
        let hello = || text("hello", false);
        assert_eq!(
            fault(room.commanded(&["no-such-voice"]), hello()).await,
            "speech command no-such-voice did not start: No such file or directory (os error 2)"
        );
        assert_eq!(fault(room.speech("exit 3"), hello()).await, "speech command sh ended with 3");
        assert_eq!(fault(room.speech("kill -9 $$"), hello()).await, "speech command sh was killed");
        assert_eq!(
            fault(room.speech("true"), hello()).await,
            "speech command sh left no sound: not a WAV file"
        );
        assert!(
            fault(room.speech("head -c 20000000 /dev/zero"), hello())
                .await
                .contains("more than 16777216 octets")
        );
        assert_eq!(fault(room.speech("cat /dev/zero"), hello()).await, "speech command sh ended with 153");
        assert_eq!(
            fault(room.speech("true"), named("gone", Language::Zh)).await,
            "there is no prompt \"gone\" in zh"
        );
        room.write("prompts/zh/hello.txt", b"ni3 hao3");
        assert_eq!(
            fault(room.speech("true"), named("hello", Language::Zh)).await,
            "no command of [speech] speaks zh"
        );
        room.write("prompts/en/noise.wav", b"noise");
        assert!(
            fault(room.speech("true"), named("noise", Language::En))
                .await
                .ends_with("noise.wav: not a WAV file")
        );
        assert_eq!(
            fault(room.speech("true"), text(&"x".repeat(LONGEST_TEXT + 1), true)).await,
            "a text too long to be spoken"
        );
    }

    #[tokio::test]
    async fn a_prompts_name_leads_nowhere_else() {
        let room = Room::new();
        room.write("prompts/outside.wav", &wav(800));
        let speech = room.speech("true");
        for name in ["../outside", "../en/../outside", "", ".", "/etc/passwd", "a\\b"] {
            assert!(speech.speak(&[named(name, Language::En)]).await.is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_said_becomes_a_tone_among_what_can() {
        let room = Room::new();
        let speech = room.speech(&room.script(8000));
        let row = [named("gone", Language::En), text("hello", false), named("gone", Language::Zh)];
        assert_eq!(millis(&speech.speak(&row).await.unwrap()), [200, 1000, 200]);
    }

    #[tokio::test]
    async fn what_was_prepared_is_there_at_once() {
        let room = Room::new();
        let speech = room.speech(&room.script(8000));
        speech.prepare(&[named("gone", Language::En), text("hello", false)]).await;
        std::fs::remove_dir_all(room.0.join("speech")).unwrap();
        assert_eq!(millis(&speech.speak(&[text("hello", false)]).await.unwrap()), [1000]);
        assert_eq!(room.runs(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_not_remembered() {
        let room = Room::new();
        let here = room.0.display().to_string();
        let speech = room.speech(&format!("cat {here}/later.wav"));
        assert!(speech.speak(&[text("hello", false)]).await.is_err());
        assert!(speech.kept().sounds.is_empty() && speech.kept().order.is_empty());
        room.write("later.wav", &wav(8000));
        assert_eq!(millis(&speech.speak(&[text("hello", false)]).await.unwrap()), [1000]);
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_used() {
        let mut kept = Kept::default();
        // Five minutes in two laws: 4.8 MB each.
        let sound = Arc::new(Prompt::from_pcm(&vec![0; 2_400_000]));
        for i in 0..40 {
            for utterance in [text("often", false), text(&i.to_string(), false)] {
                let cell = kept.cell(&utterance);
                let _ = cell.set(sound.clone());
                kept.settle(&utterance, &cell);
            }
        }
        assert!(kept.octets <= MOST_KEPT);
        assert_eq!(kept.sounds.len(), MOST_KEPT / octets(&sound));
        assert_eq!(kept.sounds.len(), kept.order.len());
        assert!(
            kept.sounds.contains_key(&text("often", false)) && kept.sounds.contains_key(&text("39", false))
        );
        assert!(!kept.sounds.contains_key(&text("0", false)));
    }

    #[tokio::test]
    async fn the_usual_commands_speak_english_and_chinese() {
        let room = Room::new();
        let mut speech = room.commanded(&["flite", "-voice", "rms", "-f", "/dev/stdin", "-o", "/dev/stdout"]);
        let chinese = ["espeak-ng", "-v", "cmn-latn-pinyin", "-s", "150", "--stdin", "--stdout"];
        speech.commands.insert(Language::Zh, chinese.map(str::to_owned).to_vec());
        let row = [
            text("Welcome to Example Bank.", false),
            Utterance::Text {
                text: "huan1 ying2 zhi4 dian4.".into(),
                language: Language::Zh,
                personal: true,
            },
        ];
        let spoken = speech.speak(&row).await.unwrap();
        assert!(millis(&spoken).iter().all(|millis| (700..4000).contains(millis)), "{:?}", millis(&spoken));
        assert_eq!(room.cached(), 1);
    }
}
