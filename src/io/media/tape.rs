//! Recorded sound on its way to disk: from each media thread over a bounded ring to one writer.
//!
//! A media thread never waits for the disk. Its blocks of sound are made ahead, go to the writer
//! full and come back empty; when none is left the sound is lost, counted, and made up for with
//! silence, so that what follows stands where it belongs.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Counts, Report};
use crate::audio::wav::{self, Length};
use crate::gateway::contact::recording_file;
use crate::media::{FRAME, RecordingId, Tape};

/// A media thread's end.
#[derive(Debug)]
pub(super) struct Feed {
    full: SyncSender<Item>,
    empty: Receiver<Box<Block>>,
    /// Where each recording is, in frames of two samples.
    positions: BTreeMap<RecordingId, u64>,
    /// Ends for which the ring had no room.
    unsaid: VecDeque<(RecordingId, u64)>,
    counts: Arc<Counts>,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Outlet {
    full: Receiver<Item>,
    empty: SyncSender<Box<Block>>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
enum Item {
    Sound(Box<Block>),
    /// The recording is so many frames long.
    Finish(RecordingId, u64),
}

/// 20 ms of both channels.
#[derive(Debug)]
struct Block {
    recording: RecordingId,
    at: u64,
    length: usize,
    samples: [i16; 2 * FRAME],
}

/// A ring of so many blocks.
pub(super) fn ring(blocks: usize, counts: Arc<Counts>) -> (Feed, Outlet) {
    // What is left beside all blocks is for the ends of recordings.
    let (fill, full) = sync_channel(blocks + 1024);
    let (give_back, empty) = sync_channel(blocks);
    for _ in 0..blocks {
        let block = Block { recording: RecordingId(0), at: 0, length: 0, samples: [0; 2 * FRAME] };
        give_back.try_send(Box::new(block)).expect("room for each");
    }
    let feed = Feed {
        full: fill,
        empty,
        positions: BTreeMap::new(),
        unsaid: VecDeque::new(),
        counts: Arc::clone(&counts),
    };
    (feed, Outlet { full, empty: give_back, counts })
}

impl Feed {
    /// Says again what found no room.
    pub fn flush(&mut self) {
        while let Some(&(recording, length)) = self.unsaid.front() {
            if self.full.try_send(Item::Finish(recording, length)).is_err() {
                break;
            }
            self.unsaid.pop_front();
        }
    }
}

impl Tape for Feed {
    fn write(&mut self, recording: RecordingId, samples: &[i16]) {
        let position = self.positions.entry(recording).or_default();
        for part in samples.chunks(2 * FRAME) {
            let at = *position;
            *position += part.len() as u64 / 2;
            let Ok(mut block) = self.empty.try_recv() else {
                Counts::add(&self.counts.unrecorded);
                continue;
            };
            block.samples[..part.len()].copy_from_slice(part);
            (block.recording, block.at, block.length) = (recording, at, part.len());
            // There is room for every block; only a writer that is gone does not take it.
            if self.full.try_send(Item::Sound(block)).is_err() {
                Counts::add(&self.counts.unrecorded);
            }
        }
    }

    fn finish(&mut self, recording: RecordingId) {
        let length = self.positions.remove(&recording).unwrap_or(0);
        self.unsaid.push_back((recording, length));
        self.flush();
    }
}

/// One thread that writes every shard's recordings, each in a file of its own.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    outlets: Vec<Outlet>,
    reels: BTreeMap<RecordingId, Reel>,
    untold: VecDeque<Report>,
    reports: mpsc::Sender<Report>,
    /// Blocks lost when the operator was last told.
    known_lost: u64,
}

/// One recording's file.
#[derive(Debug)]
enum Reel {
    Turning {
        file: File,
        path: PathBuf,
        buffer: Vec<u8>,
        /// Frames written or buffered.
        at: u64,
    },
    /// The disk refused; this has been reported.
    Spoiled,
}

/// One second of sound.
const BUFFER: usize = 32_000;

impl Writer {
    /// Makes the folder if it is not there.
    pub fn new(folder: PathBuf, outlets: Vec<Outlet>, reports: mpsc::Sender<Report>) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, outlets, reels: BTreeMap::new(), untold: VecDeque::new(), reports, known_lost: 0 })
    }

    /// Until all media threads are gone; then ends what is still being recorded.
    pub fn run(mut self) {
        while self.turn() == Turn::On {
            // Asleep by the clock and not on the ring, so that no media thread has to wake us.
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let cut_short: Vec<_> = self.reels.keys().copied().collect();
        for recording in cut_short {
            self.finish(recording, None);
        }
        self.tell();
    }

    /// Writes what has come since.
    fn turn(&mut self) -> Turn {
        let mut turn = Turn::Over;
        for n in 0..self.outlets.len() {
            loop {
                match self.outlets[n].full.try_recv() {
                    Ok(Item::Sound(block)) => {
                        self.write(&block);
                        let _ = self.outlets[n].empty.try_send(block);
                    }
                    Ok(Item::Finish(recording, length)) => self.finish(recording, Some(length)),
                    Err(TryRecvError::Empty) => {
                        turn = Turn::On;
                        break;
                    }
                    Err(TryRecvError::Disconnected) => break,
                }
            }
        }
        let lost: u64 = self.outlets.iter().map(|outlet| outlet.counts.unrecorded()).sum();
        if lost > self.known_lost {
            if self.known_lost == 0 {
                tracing::error!(blocks = lost, "recordings lose sound: the disk is too slow");
            }
            self.known_lost = lost;
        }
        self.tell();
        turn
    }

    fn write(&mut self, block: &Block) {
        let sound = block.samples.get(..block.length).unwrap_or_default();
        self.reel(block.recording, |reel| reel.write(block.at, sound));
    }

    /// `length` is unknown where a media thread ended before its recordings.
    fn finish(&mut self, recording: RecordingId, length: Option<u64>) {
        self.reel(recording, |reel| reel.finish(length));
        if let Some(Reel::Turning { path, at, .. }) = self.reels.remove(&recording) {
            let length = Duration::from_micros(at * 125);
            self.untold.push_back(Report::Saved { recording, path, length });
        }
    }

    /// Does something to a recording's file, which is made if there is none.
    fn reel(&mut self, recording: RecordingId, act: impl FnOnce(&mut Reel) -> io::Result<()>) {
        let acted = match self.reels.entry(recording) {
            std::collections::btree_map::Entry::Occupied(reel) => act(reel.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                Reel::open(&self.folder, recording).and_then(|reel| act(place.insert(reel)))
            }
        };
        if let Err(error) = acted {
            tracing::error!(recording = recording.0, %error, "recording lost");
            self.untold.push_back(Report::Spoiled { recording, error: error.kind() });
            self.reels.insert(recording, Reel::Spoiled);
        }
    }

    fn tell(&mut self) {
        while let Some(report) = self.untold.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(report)) = self.reports.try_send(report) {
                self.untold.push_front(report);
                break;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    On,
    Over,
}

impl Reel {
    fn open(folder: &std::path::Path, recording: RecordingId) -> io::Result<Self> {
        let mut nth = 1;
        let (path, file) = loop {
            // As the contact's record names it.
            let mut name = recording_file(recording);
            if nth > 1 {
                name.insert_str(name.len() - ".wav".len(), &format!("-{nth}"));
            }
            let path = folder.join(name);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => break (path, file),
                // Whatever was recorded under that number before is not written over.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && nth < 100 => nth += 1,
                Err(error) => return Err(error),
            }
        };
        let mut buffer = Vec::with_capacity(BUFFER + 4 * FRAME);
        // Good enough to be played if we never come to write the length.
        buffer.extend_from_slice(&wav::stereo_header(Length::Open));
        Ok(Self::Turning { file, path, buffer, at: 0 })
    }

    fn write(&mut self, position: u64, sound: &[i16]) -> io::Result<()> {
        self.pad(position)?;
        let Self::Turning { file, buffer, at, .. } = self else { return Ok(()) };
        wav::append(sound, buffer);
        *at += sound.len() as u64 / 2;
        if buffer.len() >= BUFFER { flush(file, buffer) } else { Ok(()) }
    }

    /// Silence up to a position, in place of what was lost.
    fn pad(&mut self, position: u64) -> io::Result<()> {
        let Self::Turning { file, buffer, at, .. } = self else { return Ok(()) };
        while *at < position {
            let frames = (position - *at).min(8000);
            buffer.resize(buffer.len() + 4 * frames as usize, 0);
            *at += frames;
            flush(file, buffer)?;
        }
        Ok(())
    }

    fn finish(&mut self, length: Option<u64>) -> io::Result<()> {
        self.pad(length.unwrap_or(0))?;
        let Self::Turning { file, buffer, at, .. } = self else { return Ok(()) };
        flush(file, buffer)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&wav::stereo_header(Length::Octets(4 * *at)))
    }
}

fn flush(file: &mut File, buffer: &mut Vec<u8>) -> io::Result<()> {
    file.write_all(buffer)?;
    buffer.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: [i16; 2 * FRAME] = [1000; 2 * FRAME];
    const ONE: RecordingId = RecordingId(1);

    struct Scene {
        feed: Feed,
        writer: Writer,
        told: mpsc::Receiver<Report>,
        folder: PathBuf,
    }

    impl Scene {
        fn new(name: &str, blocks: usize) -> Self {
            let folder = std::env::temp_dir().join(format!("baton-tape-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            let (feed, outlet) = ring(blocks, Arc::default());
            let (reports, told) = mpsc::channel(16);
            let writer = Writer::new(folder.clone(), vec![outlet], reports).unwrap();
            Self { feed, writer, told, folder }
        }

        /// What is in a file: mono samples, as both channels are the same.
        fn sound(&self, file: &str) -> Vec<i16> {
            wav::read(&std::fs::read(self.folder.join(file)).unwrap()).unwrap()
        }

        fn saved(&mut self) -> (String, Duration) {
            match self.told.try_recv().unwrap() {
                Report::Saved { path, length, .. } => {
                    (path.file_name().unwrap().to_str().unwrap().into(), length)
                }
                other => panic!("{other:?}"),
            }
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn a_recording_is_a_file_of_its_sound() {
        let mut scene = Scene::new("whole", 8);
        for _ in 0..100 {
            scene.feed.write(ONE, &SOUND);
            assert_eq!(scene.writer.turn(), Turn::On);
        }
        scene.feed.finish(ONE);
        scene.writer.turn();
        assert_eq!(scene.saved(), ("0000000000000001.wav".into(), Duration::from_secs(2)));
        assert_eq!(scene.sound("0000000000000001.wav"), vec![1000; 100 * FRAME]);
        assert_eq!(std::fs::metadata(scene.folder.join("0000000000000001.wav")).unwrap().len(), 44 + 64_000);
    }

    #[test]
    fn what_the_disk_was_too_slow_for_is_silence_and_counted() {
        let mut scene = Scene::new("slow", 4);
        for _ in 0..10 {
            scene.feed.write(ONE, &SOUND);
        }
        scene.writer.turn();
        scene.feed.write(ONE, &SOUND);
        scene.feed.finish(ONE);
        scene.writer.turn();
        assert_eq!(scene.saved().1, Duration::from_millis(220));
        let expected = [vec![1000; 4 * FRAME], vec![0; 6 * FRAME], vec![1000; FRAME]].concat();
        assert_eq!(scene.sound("0000000000000001.wav"), expected);
        assert_eq!(scene.feed.counts.unrecorded(), 6);
    }

    #[test]
    fn a_recording_that_ends_in_a_gap_has_its_whole_length() {
        let mut scene = Scene::new("gap", 1);
        scene.feed.write(ONE, &SOUND);
        scene.feed.write(ONE, &SOUND);
        scene.feed.finish(ONE);
        scene.writer.turn();
        assert_eq!(scene.saved().1, Duration::from_millis(40));
    }

    #[test]
    fn an_end_that_finds_no_room_is_said_later() {
        let mut scene = Scene::new("ends", 1);
        for n in 0..1500 {
            scene.feed.finish(RecordingId(n));
        }
        scene.writer.turn();
        scene.feed.flush();
        while scene.told.try_recv().is_ok() {}
        for _ in 0..200 {
            scene.writer.turn();
            while scene.told.try_recv().is_ok() {}
        }
        assert_eq!(std::fs::read_dir(&scene.folder).unwrap().count(), 1500);
    }

    #[test]
    fn nothing_recorded_before_is_written_over() {
        let mut scene = Scene::new("twice", 8);
        for expected in ["0000000000000001.wav", "0000000000000001-2.wav", "0000000000000001-3.wav"] {
            scene.feed.write(ONE, &SOUND);
            scene.feed.finish(ONE);
            scene.writer.turn();
            assert_eq!(scene.saved().0, expected);
        }
    }

    #[test]
    fn a_disk_that_refuses_spoils_one_recording_and_says_so_once() {
        let mut scene = Scene::new("refuse", 8);
        std::fs::remove_dir_all(&scene.folder).unwrap();
        for _ in 0..3 {
            scene.feed.write(ONE, &SOUND);
        }
        scene.feed.finish(ONE);
        scene.writer.turn();
        let told = scene.told.try_recv();
        assert_eq!(told, Ok(Report::Spoiled { recording: ONE, error: io::ErrorKind::NotFound }));
        assert!(scene.told.try_recv().is_err());
    }

    #[test]
    fn a_media_thread_that_is_gone_leaves_a_playable_file() {
        let mut scene = Scene::new("gone", 8);
        scene.feed.write(ONE, &SOUND);
        scene.feed = ring(1, Arc::default()).0;
        assert_eq!(scene.writer.turn(), Turn::Over);
        let writer = std::mem::replace(
            &mut scene.writer,
            Writer::new(scene.folder.clone(), vec![], mpsc::channel(1).0).unwrap(),
        );
        writer.run();
        assert_eq!(scene.saved(), ("0000000000000001.wav".into(), Duration::from_millis(20)));
        assert_eq!(scene.sound("0000000000000001.wav"), vec![1000; FRAME]);
    }
}
