//! Our G.722 against ffmpeg's, bit by bit both ways: ten minutes of speech and noise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use baton::audio::g722::{Decoder, Encoder};
use baton::base::Rate;

/// Octets of 20 ms.
const PACKET: usize = 160;
const SAMPLES: usize = 16_000 * 60 * 10;

/// Sounded over and over by the half of the ten minutes that is speech.
const SPEECH: &str = "Thank you for calling. Please hold the line, an agent will be with you shortly. For \
    accounts press one, for cards press two, and for all other questions stay on the line. A quick brown \
    fox jumps over the lazy dog, while six sizzling sausages sing softly in the shade of the old oak tree.";

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("baton-g722-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory can be written");
        Self(path)
    }

    /// Runs a program here, its words parted by blanks.
    fn run(&self, command: &str, last: &[&str]) {
        let mut words = command.split(' ').chain(last.iter().copied());
        let program = words.next().expect("a program");
        let output = Command::new(program).args(words).current_dir(&self.0).output();
        let output = output.unwrap_or_else(|error| panic!("{program} (`make test` installs it): {error}"));
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {why}");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).expect("written by the command before")
    }

    fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).expect("the temporary directory can be written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn g722_of_ten_minutes_is_bit_exact_with_ffmpeg_both_ways() {
    let folder = Folder::new();
    folder.run("flite -voice rms -o speech.wav -t", &[SPEECH]);
    folder.run("sox -D speech.wav -t raw -r 16000 -c 1 -e signed -b 16 speech.raw", &[]);
    // At full scale and far below it; `-R` makes the noise the same every time.
    for (noise, gain) in [("whitenoise", "0"), ("pinknoise", "-20"), ("brownnoise", "-50")] {
        let file = format!("{noise}.raw");
        let synth = ["synth", "100", noise, "gain", gain];
        folder.run("sox -R -D -r 16000 -n -t raw -c 1 -e signed -b 16", &[&[&*file], &synth[..]].concat());
    }
    let mut sound = folder.read("speech.raw").repeat(SAMPLES / 16_000);
    sound.truncate(SAMPLES);
    for noise in ["whitenoise", "pinknoise", "brownnoise"] {
        sound.extend(folder.read(&format!("{noise}.raw")));
    }
    assert_eq!(sound.len(), 2 * SAMPLES);
    folder.write("sound.raw", &sound);
    let ffmpeg = "ffmpeg -nostdin -v error";
    folder.run(&format!("{ffmpeg} -f s16le -ar 16000 -ac 1 -i sound.raw -c:a g722 -f g722 sound.g722"), &[]);
    folder.run(&format!("{ffmpeg} -f g722 -i sound.g722 -f s16le heard.raw"), &[]);

    let (told, heard) = (folder.read("sound.g722"), folder.read("heard.raw"));
    assert_eq!((told.len(), heard.len()), (SAMPLES / 2, 2 * SAMPLES));
    let (sound, heard) = (samples(&sound), samples(&heard));
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut encoder, mut octets) = (Encoder::new(Rate::Wide), [0; PACKET]);
            for (packet, (sound, told)) in sound.chunks(2 * PACKET).zip(told.chunks(PACKET)).enumerate() {
                assert_eq!(encoder.encode(sound, &mut octets), PACKET);
                assert_eq!(octets, told, "encoding packet {packet}");
            }
        });
        let (mut decoder, mut samples) = (Decoder::new(Rate::Wide), [0; 2 * PACKET]);
        for (packet, (told, heard)) in told.chunks(PACKET).zip(heard.chunks(2 * PACKET)).enumerate() {
            assert_eq!(decoder.decode(told, &mut samples), 2 * PACKET);
            assert_eq!(samples, heard, "decoding packet {packet}");
        }
    });
}

/// Little-endian 16 bits.
fn samples(bytes: &[u8]) -> Vec<i16> {
    bytes.as_chunks::<2>().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
}
