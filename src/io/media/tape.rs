//! Recorded sound on its way to disk: from each media thread over a bounded ring to a writer.
//!
//! A media thread never waits for the disk. Its blocks of sound are made ahead, go to the writer
//! full and come back empty; when none is left the sound is lost, counted, and made up for with
//! silence, so that what follows stands where it belongs. The writer codes, and writes at least once a
//! second: a killed process loses no more. It does not wait until a recording that ended is safe,
//! which another thread sees to (`tape/end.rs`). A file is called `NAME.part` until it is whole and
//! on the disk; [`mend`] makes whole what an earlier run left.
//!
//! A disk that refuses spoils the recordings of that time and no call. It is an alarm ([`Alarms`]),
//! as is one that is nearly full, and the next recording tries again.

mod end;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use self::end::{End, Finisher, Settle, Spool, settle};
use super::{Counts, Report};
use crate::audio::ogg;
use crate::audio::wav::{self, Length};
use crate::base::ContactId;
use crate::call::recording::{Format, file_name};
use crate::media::{FRAME, RecordingId, Tape};

/// Where recordings are kept, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    pub folder: PathBuf,
    pub format: Format,
    /// Octets that are to be free; with less there is an alarm.
    pub floor: u64,
}

/// How recording fares, for the operator. Written by the writers, read by whoever likes.
#[derive(Debug, Default)]
pub struct Alarms {
    spoiled: AtomicU64,
    refusing: AtomicBool,
    low: AtomicBool,
}

impl Alarms {
    /// Recordings cut short or not made at all, since the start.
    pub fn spoiled(&self) -> u64 {
        self.spoiled.load(Ordering::Relaxed)
    }

    /// The disk refused the last recording it was given.
    pub fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::Relaxed)
    }

    /// Less is free than is to be.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    fn refused(&self, error: &io::Error) {
        self.spoiled.fetch_add(1, Ordering::Relaxed);
        if !self.refusing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the disk refuses recordings: they are cut short, calls go on");
        }
    }

    fn saved(&self) {
        if self.refusing.swap(false, Ordering::Relaxed) {
            tracing::info!("the disk takes recordings again");
        }
    }

    fn measured(&self, free: u64, floor: u64) {
        // A tenth more than the floor ends the alarm, so that it does not come and go.
        let (low, fine) = (free < floor, free >= floor.saturating_add(floor / 10));
        if low && !self.low.swap(true, Ordering::Relaxed) {
            tracing::error!(free_mib = free >> 20, floor_mib = floor >> 20, "little space for recordings");
        } else if fine && self.low.swap(false, Ordering::Relaxed) {
            tracing::info!(free_mib = free >> 20, "space for recordings again");
        }
    }
}

/// A media thread's end.
#[derive(Debug)]
pub(super) struct Feed {
    full: SyncSender<Item>,
    empty: Receiver<Box<Block>>,
    reels: BTreeMap<RecordingId, Place>,
    /// Ends for which the ring had no room.
    unsaid: VecDeque<(RecordingId, Place)>,
    counts: Arc<Counts>,
}

/// Where a recording is.
#[derive(Clone, Copy, Debug)]
struct Place {
    contact: ContactId,
    /// In frames of two samples.
    at: u64,
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
    /// The recording is so long.
    Finish(RecordingId, Place),
}

/// 20 ms of both channels.
#[derive(Debug)]
struct Block {
    recording: RecordingId,
    place: Place,
    length: usize,
    samples: [i16; 2 * FRAME],
}

/// A ring of so many blocks.
pub(super) fn ring(blocks: usize, counts: Arc<Counts>) -> (Feed, Outlet) {
    // What is left beside all blocks is for the ends of recordings.
    let (fill, full) = sync_channel(blocks + 1024);
    let (give_back, empty) = sync_channel(blocks);
    for _ in 0..blocks {
        let block =
            Block { recording: RecordingId(0), place: Place::NOWHERE, length: 0, samples: [0; 2 * FRAME] };
        give_back.try_send(Box::new(block)).expect("room for each");
    }
    let feed = Feed {
        full: fill,
        empty,
        reels: BTreeMap::new(),
        unsaid: VecDeque::new(),
        counts: Arc::clone(&counts),
    };
    (feed, Outlet { full, empty: give_back, counts })
}

impl Place {
    const NOWHERE: Self = Self { contact: ContactId(0), at: 0 };
}

impl Feed {
    /// Whose recording the next of this number is. Without it the file is nobody's by name.
    pub fn label(&mut self, recording: RecordingId, contact: ContactId) {
        self.reels.entry(recording).or_insert(Place { contact, at: 0 });
    }

    /// Says again what found no room.
    pub fn flush(&mut self) {
        while let Some(&(recording, place)) = self.unsaid.front() {
            if self.full.try_send(Item::Finish(recording, place)).is_err() {
                break;
            }
            self.unsaid.pop_front();
        }
    }
}

impl Tape for Feed {
    fn write(&mut self, recording: RecordingId, samples: &[i16]) {
        let reel = self.reels.entry(recording).or_insert(Place::NOWHERE);
        for part in samples.chunks(2 * FRAME) {
            let place = *reel;
            reel.at += part.len() as u64 / 2;
            let Ok(mut block) = self.empty.try_recv() else {
                Counts::add(&self.counts.unrecorded);
                continue;
            };
            block.samples[..part.len()].copy_from_slice(part);
            (block.recording, block.place, block.length) = (recording, place, part.len());
            // There is room for every block; only a writer that is gone does not take it.
            if self.full.try_send(Item::Sound(block)).is_err() {
                Counts::add(&self.counts.unrecorded);
            }
        }
    }

    fn finish(&mut self, recording: RecordingId) {
        let place = self.reels.remove(&recording).unwrap_or(Place::NOWHERE);
        self.unsaid.push_back((recording, place));
        self.flush();
    }
}

/// The thread that writes one shard's recordings, each in a file of its own.
#[derive(Debug)]
pub(super) struct Writer {
    shelf: Shelf,
    outlet: Outlet,
    reels: BTreeMap<RecordingId, Option<Reel>>,
    /// To the thread that makes them safe.
    ends: SyncSender<End>,
    finisher: Option<JoinHandle<()>>,
    alarms: Arc<Alarms>,
    losses: Losses,
}

/// What the operator was told of lost sound.
#[derive(Debug, Default)]
struct Losses {
    told: u64,
    at: Option<Instant>,
}

/// One recording's file.
#[derive(Debug)]
struct Reel {
    spool: Spool,
    coding: Coding,
    /// Coded, and not yet written.
    buffer: Vec<u8>,
    /// Frames coded.
    at: u64,
}

#[derive(Debug)]
enum Coding {
    Wav,
    Opus(Box<ogg::Stereo>),
}

/// One second of WAV. Of Opus each page is written, which is a second too.
const BUFFER: usize = 32_000;
const WAV_HEADER: u64 = 44;
/// From one look for recordings to the next: asleep by the clock and not on the ring, so that no
/// media thread has to wake us.
const NAP: Duration = Duration::from_millis(50);
/// Naps from one look at the free space to the next: 5 s.
const NAPS: u32 = 100;
/// From one word on lost sound to the next.
const PATIENCE: Duration = Duration::from_secs(60);

impl Writer {
    /// Makes the folder if it is not there, and begins the thread that ends recordings.
    pub fn new(
        shelf: Shelf,
        outlet: Outlet,
        reports: mpsc::Sender<Report>,
        alarms: Arc<Alarms>,
    ) -> io::Result<Self> {
        let (mut writer, finisher) = Self::beside(shelf, outlet, reports, alarms, Box::new(settle))?;
        let thread = thread::Builder::new().name("recordings-end".into()).spawn(|| finisher.run())?;
        writer.finisher = Some(thread);
        Ok(writer)
    }

    /// A writer and who ends its recordings, on whichever thread.
    fn beside(
        shelf: Shelf,
        outlet: Outlet,
        reports: mpsc::Sender<Report>,
        alarms: Arc<Alarms>,
        settle: Settle,
    ) -> io::Result<(Self, Finisher)> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&shelf.folder)?;
        let (ends, ended) = sync_channel(end::WAITING);
        let finisher = Finisher::new(ended, settle, reports, Arc::clone(&alarms));
        let (reels, losses) = (BTreeMap::new(), Losses::default());
        Ok((Self { shelf, outlet, reels, ends, finisher: None, alarms, losses }, finisher))
    }

    /// Until the media thread is gone; then ends what is still being recorded, and waits until it is
    /// safe.
    pub fn run(mut self) {
        let mut naps = 0;
        loop {
            if naps % NAPS == 0 {
                self.measure();
            }
            naps = naps.wrapping_add(1);
            if self.turn() == Turn::Over {
                break;
            }
            std::thread::park_timeout(NAP);
        }
        let cut_short: Vec<_> = self.reels.keys().copied().collect();
        for recording in cut_short {
            self.finish(recording, Place::NOWHERE);
        }
        let Self { ends, finisher, .. } = self;
        drop(ends);
        if finisher.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("recordings are left as they are until the next start");
        }
    }

    /// Writes what has come since.
    fn turn(&mut self) -> Turn {
        let turn = loop {
            match self.outlet.full.try_recv() {
                Ok(Item::Sound(block)) => {
                    let sound = block.samples.get(..block.length).unwrap_or_default();
                    self.reel(block.recording, block.place.contact, |reel| reel.write(block.place.at, sound));
                    let _ = self.outlet.empty.try_send(block);
                }
                Ok(Item::Finish(recording, place)) => self.finish(recording, place),
                Err(TryRecvError::Empty) => break Turn::On,
                Err(TryRecvError::Disconnected) => break Turn::Over,
            }
        };
        if let Some(blocks) = self.losses.news(Instant::now(), self.outlet.counts.unrecorded()) {
            tracing::error!(blocks, "recordings lose sound: the disk is too slow");
        }
        turn
    }

    fn measure(&self) {
        match free(&self.shelf.folder) {
            Ok(free) => self.alarms.measured(free, self.shelf.floor),
            Err(error) => tracing::debug!(%error, "free space unknown"),
        }
    }

    /// `end` is nowhere where a media thread ended before its recordings.
    fn finish(&mut self, recording: RecordingId, end: Place) {
        self.reel(recording, end.contact, |reel| reel.finish(end.at));
        if let Some(Some(reel)) = self.reels.remove(&recording) {
            let length = Duration::from_micros(reel.at * 125);
            self.end(End::Whole { recording, length, spool: reel.spool });
        }
    }

    /// Waits only if very many wait for the disk already: to hold more files open would end in
    /// holding none.
    fn end(&self, end: End) {
        if self.ends.send(end).is_err() {
            tracing::error!("a recording is left as it is until the next start");
        }
    }

    /// Does something to a recording's file, which is made if there is none.
    fn reel(
        &mut self,
        recording: RecordingId,
        contact: ContactId,
        act: impl FnOnce(&mut Reel) -> io::Result<()>,
    ) {
        use std::collections::btree_map::Entry;
        let (reel, acted) = match self.reels.entry(recording) {
            Entry::Occupied(reel) => {
                let reel = reel.into_mut();
                // What is spoiled has been told of.
                let acted = reel.as_mut().map_or(Ok(()), act);
                (reel, acted)
            }
            Entry::Vacant(place) => match Reel::open(&self.shelf, recording, contact) {
                Ok(reel) => {
                    let reel = place.insert(Some(reel));
                    let acted = reel.as_mut().map_or(Ok(()), act);
                    (reel, acted)
                }
                Err(error) => (place.insert(None), Err(error)),
            },
        };
        if let Err(error) = acted {
            self.alarms.refused(&error);
            let spool = reel.take().map(|reel| reel.spool);
            self.end(End::Cut { recording, error: error.kind(), spool });
        }
    }
}

impl Losses {
    /// How many blocks to tell of, if it is time to. So many were lost in all.
    fn news(&mut self, now: Instant, lost: u64) -> Option<u64> {
        let is_time = self.at.is_none_or(|at| now.saturating_duration_since(at) >= PATIENCE);
        let blocks = lost.checked_sub(self.told).filter(|blocks| *blocks > 0 && is_time)?;
        (self.told, self.at) = (lost, Some(now));
        Some(blocks)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    On,
    Over,
}

impl Reel {
    fn open(shelf: &Shelf, recording: RecordingId, contact: ContactId) -> io::Result<Self> {
        let mut buffer = vec![];
        let coding = match shelf.format {
            // Good enough to be played if we never come to write the length.
            Format::Wav => {
                buffer.reserve(BUFFER + 4 * FRAME);
                buffer.extend_from_slice(&wav::stereo_header(Length::Open));
                Coding::Wav
            }
            Format::Opus => {
                let serial = recording.0 as u32;
                let stereo = ogg::Stereo::new(serial, &mut buffer).map_err(io::Error::other)?;
                Coding::Opus(Box::new(stereo))
            }
        };
        let name = file_name(contact, recording, shelf.format);
        let mut nth = 1;
        let (path, part, file) = loop {
            let mut path = shelf.folder.join(&name);
            if nth > 1 {
                let stem = name.trim_end_matches(shelf.format.extension()).trim_end_matches('.');
                path.set_file_name(format!("{stem}-{nth}.{}", shelf.format.extension()));
            }
            let part = part_of(&path);
            // Whatever was recorded under that number before is not written over. First the part: the
            // other thread may give its file the name between two looks.
            let error = match create(&part) {
                Ok(_) if path.exists() => {
                    std::fs::remove_file(&part)?;
                    io::ErrorKind::AlreadyExists.into()
                }
                Ok(file) => break (path, part, file),
                Err(error) => error,
            };
            if error.kind() != io::ErrorKind::AlreadyExists || nth == 100 {
                return Err(error);
            }
            nth += 1;
        };
        Ok(Self { spool: Spool { file, part, path, written: 0 }, coding, buffer, at: 0 })
    }

    fn write(&mut self, position: u64, sound: &[i16]) -> io::Result<()> {
        self.pad(position)?;
        self.code(sound)
    }

    /// Silence up to a position, in place of what was lost.
    fn pad(&mut self, position: u64) -> io::Result<()> {
        while self.at < position {
            let frames = (position - self.at).min(FRAME as u64) as usize;
            self.code(&[0; 2 * FRAME][..2 * frames])?;
        }
        Ok(())
    }

    fn code(&mut self, sound: &[i16]) -> io::Result<()> {
        self.at += sound.len() as u64 / 2;
        let due = match &mut self.coding {
            Coding::Wav => {
                wav::append(sound, &mut self.buffer);
                BUFFER
            }
            Coding::Opus(stereo) => {
                stereo.append(sound, &mut self.buffer);
                1
            }
        };
        if self.buffer.len() >= due { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let octets = self.buffer.len() as u64;
        let written = self.spool.file.write_all(&self.buffer);
        self.buffer.clear();
        written?;
        self.spool.written += octets;
        Ok(())
    }

    /// `end` in frames, if it is later than what came. All is written then, and may not be safe.
    fn finish(&mut self, end: u64) -> io::Result<()> {
        self.pad(end)?;
        if let Coding::Opus(stereo) = &mut self.coding {
            stereo.finish(&mut self.buffer);
        }
        self.flush()?;
        if matches!(self.coding, Coding::Wav) {
            self.spool.file.seek(SeekFrom::Start(0))?;
            self.spool.file.write_all(&wav::stereo_header(Length::Octets(4 * self.at)))?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// `NAME` to `NAME.part`.
fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// Cuts a file to what can be played of it, and says so in its header. How long that is.
fn make_whole(file: &mut File, path: &Path) -> io::Result<Duration> {
    let octets = file.metadata()?.len();
    match Format::of(&path.to_string_lossy()) {
        Some(Format::Wav) => {
            let frames = octets.saturating_sub(WAV_HEADER) / 4;
            file.set_len(WAV_HEADER + 4 * frames)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&wav::stereo_header(Length::Octets(4 * frames)))?;
            Ok(Duration::from_micros(frames * 125))
        }
        Some(Format::Opus) => {
            let mut octets = vec![];
            file.seek(SeekFrom::Start(0))?;
            io::Read::read_to_end(file, &mut octets)?;
            octets.truncate(ogg::whole(&octets));
            file.set_len(octets.len() as u64)?;
            Ok(ogg::length(&octets))
        }
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Makes whole what an earlier run was killed over: every `.part` becomes a file that can be played,
/// or goes if there is nothing in it. How many there were.
///
/// # Errors
/// The folder cannot be read. A single file that cannot be mended is logged and left.
pub(super) fn mend(folder: &Path) -> io::Result<usize> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut mended = 0;
    for part in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if part.extension() != Some(OsStr::new("part")) {
            continue;
        }
        let path = part.with_extension("");
        let outcome = OpenOptions::new().read(true).write(true).open(&part).and_then(|mut file| {
            if make_whole(&mut file, &path)?.is_zero() {
                std::fs::remove_file(&part)
            } else if path.exists() {
                Err(io::ErrorKind::AlreadyExists.into())
            } else {
                settle(&file, &part, &path)
            }
        });
        match outcome {
            Ok(()) => mended += 1,
            Err(error) => tracing::warn!(file = %part.display(), %error, "recording not mended"),
        }
    }
    Ok(mended)
}

/// Octets that may still be written where this folder is.
fn free(folder: &Path) -> io::Result<u64> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mut room = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in a zero and the structure is as large as the kernel expects.
    if unsafe { libc::statvfs(path.as_ptr(), room.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it is filled in.
    let room = unsafe { room.assume_init() };
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SOUND: [i16; 2 * FRAME] = [1000; 2 * FRAME];
    const ONE: RecordingId = RecordingId(1);

    struct Scene {
        feed: Feed,
        writer: Writer,
        finisher: Finisher,
        told: mpsc::Receiver<Report>,
        folder: Folder,
    }

    /// Goes when it is no longer needed.
    struct Folder(PathBuf);

    impl Scene {
        fn new(name: &str, blocks: usize, format: Format) -> Self {
            Self::on(name, blocks, format, Box::new(settle))
        }

        fn on(name: &str, blocks: usize, format: Format, disk: Settle) -> Self {
            let folder = std::env::temp_dir().join(format!("baton-tape-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            let (feed, outlet) = ring(blocks, Arc::default());
            let (reports, told) = mpsc::channel(16);
            let shelf = Shelf { folder: folder.clone(), format, floor: 0 };
            let (writer, finisher) = Writer::beside(shelf, outlet, reports, Arc::default(), disk).unwrap();
            Self { feed, writer, finisher, told, folder: Folder(folder) }
        }

        fn record(&mut self, blocks: usize) {
            for _ in 0..blocks {
                self.feed.write(ONE, &SOUND);
                assert_eq!(self.writer.turn(), Turn::On);
            }
        }

        fn finish(&mut self) {
            self.feed.finish(ONE);
            self.turn();
        }

        fn turn(&mut self) {
            self.writer.turn();
            self.finisher.catch_up();
        }

        fn octets(&self, file: &str) -> Vec<u8> {
            std::fs::read(self.folder.join(file)).unwrap()
        }

        /// What is in a file: mono samples, as both channels are the same.
        fn sound(&self, file: &str) -> Vec<i16> {
            wav::read(&self.octets(file)).unwrap()
        }

        fn saved(&mut self) -> (String, Duration) {
            match self.told.try_recv().unwrap() {
                Report::Saved { path, length, .. } => {
                    (path.file_name().unwrap().to_str().unwrap().into(), length)
                }
                other => panic!("{other:?}"),
            }
        }

        fn spoiled(&mut self) -> (io::ErrorKind, Duration) {
            self.finisher.catch_up();
            match self.told.try_recv().unwrap() {
                Report::Spoiled { recording: ONE, error, length } => (error, length),
                other => panic!("{other:?}"),
            }
        }

        fn files(&self) -> Vec<String> {
            let files = std::fs::read_dir(&*self.folder).unwrap();
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
        }

        /// From now on the disk of the recording under way takes nothing.
        fn fill_disk(&mut self) {
            let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
            self.writer.reels.get_mut(&ONE).unwrap().as_mut().unwrap().spool.file = full;
        }
    }

    impl std::ops::Deref for Folder {
        type Target = Path;

        fn deref(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn salvage(reel: Reel) -> Duration {
        let mut settle: Settle = Box::new(settle);
        reel.spool.salvage(&mut settle)
    }

    fn wav() -> String {
        file_name(ContactId(0), ONE, Format::Wav)
    }

    fn opus() -> String {
        file_name(ContactId(0), ONE, Format::Opus)
    }

    #[test]
    fn a_recording_is_a_file_of_its_sound() {
        let mut scene = Scene::new("whole", 8, Format::Wav);
        scene.record(100);
        assert_eq!(scene.files(), [wav() + ".part"]);
        scene.finish();
        assert_eq!(scene.saved(), (wav(), Duration::from_secs(2)));
        assert_eq!(scene.files(), [wav()]);
        assert_eq!(scene.sound(&wav()), vec![1000; 100 * FRAME]);
        let file = std::fs::metadata(scene.folder.join(wav())).unwrap();
        assert_eq!((file.len(), file.permissions().mode() & 0o777), (44 + 64_000, 0o600));
    }

    #[test]
    fn an_opus_recording_lasts_as_long_and_takes_a_tenth() {
        let mut scene = Scene::new("opus", 8, Format::Opus);
        scene.record(200);
        scene.finish();
        assert_eq!(scene.saved(), (opus(), Duration::from_secs(4)));
        let file = scene.octets(&opus());
        assert_eq!((ogg::whole(&file), ogg::length(&file)), (file.len(), Duration::from_secs(4)));
        assert!(file.len() < 12_800, "{}", file.len());
    }

    #[test]
    fn a_file_is_called_after_its_contact() {
        let mut scene = Scene::new("label", 8, Format::Wav);
        scene.feed.label(ONE, ContactId(77));
        scene.record(1);
        scene.finish();
        assert_eq!(scene.saved().0, file_name(ContactId(77), ONE, Format::Wav));
    }

    #[test]
    fn what_the_disk_was_too_slow_for_is_silence_and_counted() {
        let mut scene = Scene::new("slow", 4, Format::Wav);
        for _ in 0..10 {
            scene.feed.write(ONE, &SOUND);
        }
        scene.writer.turn();
        scene.feed.write(ONE, &SOUND);
        scene.finish();
        assert_eq!(scene.saved().1, Duration::from_millis(220));
        let expected = [vec![1000; 4 * FRAME], vec![0; 6 * FRAME], vec![1000; FRAME]].concat();
        assert_eq!(scene.sound(&wav()), expected);
        assert_eq!(scene.feed.counts.unrecorded(), 6);
    }

    #[test]
    fn a_recording_that_ends_in_a_gap_has_its_whole_length() {
        for format in Format::ALL {
            let mut scene = Scene::new(&format!("gap-{format:?}"), 1, format);
            scene.feed.write(ONE, &SOUND);
            scene.feed.write(ONE, &SOUND);
            scene.finish();
            assert_eq!(scene.saved().1, Duration::from_millis(40));
        }
    }

    #[test]
    fn an_end_that_finds_no_room_is_said_later() {
        let mut scene = Scene::new("ends", 1, Format::Wav);
        for n in 0..1500 {
            scene.feed.finish(RecordingId(n));
        }
        let Scene { mut feed, writer, finisher, mut told, folder } = scene;
        let threads = [thread::spawn(|| writer.run()), thread::spawn(|| finisher.run())];
        let mut saved = 0;
        while saved < 1500 {
            feed.flush();
            told.blocking_recv().unwrap();
            saved += 1;
        }
        drop(feed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(std::fs::read_dir(&*folder).unwrap().count(), 1500);
    }

    #[test]
    fn nothing_recorded_before_is_written_over() {
        let mut scene = Scene::new("twice", 8, Format::Wav);
        let stem = wav().trim_end_matches(".wav").to_owned();
        for expected in [wav(), stem.clone() + "-2.wav", stem + "-3.wav"] {
            scene.record(1);
            scene.finish();
            assert_eq!(scene.saved().0, expected);
        }
    }

    #[test]
    fn a_disk_that_refuses_spoils_one_recording_says_so_once_and_is_an_alarm_until_it_does_not() {
        let mut scene = Scene::new("refuse", 8, Format::Wav);
        std::fs::remove_dir_all(&*scene.folder).unwrap();
        scene.record(3);
        scene.finish();
        assert_eq!(scene.spoiled(), (io::ErrorKind::NotFound, Duration::ZERO));
        assert!(scene.told.try_recv().is_err());
        let alarms = scene.writer.alarms.clone();
        assert_eq!((alarms.spoiled(), alarms.is_refusing()), (1, true));

        std::fs::create_dir(&*scene.folder).unwrap();
        scene.record(3);
        scene.finish();
        assert_eq!(scene.saved().1, Duration::from_millis(60));
        assert_eq!((alarms.spoiled(), alarms.is_refusing()), (1, false));
    }

    #[test]
    fn a_disk_that_fills_up_spoils_the_recording_under_way() {
        for format in Format::ALL {
            let mut scene = Scene::new(&format!("full-{format:?}"), 8, format);
            scene.record(100);
            scene.fill_disk();
            scene.record(100);
            scene.finish();
            assert_eq!(scene.spoiled().0, io::ErrorKind::StorageFull);
            assert!(scene.told.try_recv().is_err());
        }
    }

    #[test]
    fn what_the_disk_took_before_it_refused_is_kept() {
        for (format, name, kept) in [(Format::Wav, wav(), 998), (Format::Opus, opus(), 993)] {
            let mut scene = Scene::new(&format!("salvage-{format:?}"), 8, format);
            scene.record(70);
            let reel = scene.writer.reels.remove(&ONE).unwrap().unwrap();
            assert!(salvage(reel).as_millis().abs_diff(kept) < 25);
            assert_eq!(scene.files(), [name]);
        }
        let mut scene = Scene::new("salvage-none", 8, Format::Opus);
        scene.record(1);
        salvage(scene.writer.reels.remove(&ONE).unwrap().unwrap());
        assert!(scene.files().is_empty());
    }

    #[test]
    fn what_a_killed_run_left_is_made_whole_by_the_next() {
        for (format, name) in [(Format::Wav, wav()), (Format::Opus, opus())] {
            let mut scene = Scene::new(&format!("mend-{format:?}"), 8, format);
            scene.record(170);
            // As by a kill in the middle of a write.
            let part = scene.folder.join(name.clone() + ".part");
            OpenOptions::new().append(true).open(&part).unwrap().write_all(b"Ogg").unwrap();
            std::fs::write(scene.folder.join("empty.wav.part"), b"RIFF").unwrap();
            assert_eq!(mend(&scene.folder).unwrap(), 2);
            assert_eq!(scene.files(), std::slice::from_ref(&name));
            let octets = scene.octets(&name);
            match format {
                Format::Wav => assert!(scene.sound(&name).len().abs_diff(24_000) < 200),
                Format::Opus => assert_eq!(ogg::length(&octets).as_millis(), 2993),
            }
        }
        assert_eq!(mend(Path::new("/nowhere")).unwrap(), 0);
    }

    #[test]
    fn a_media_thread_that_is_gone_leaves_a_playable_file() {
        let mut scene = Scene::new("gone", 8, Format::Wav);
        scene.feed.write(ONE, &SOUND);
        let (feed, outlet) = ring(1, Arc::default());
        scene.feed = feed;
        assert_eq!(scene.writer.turn(), Turn::Over);
        let (reports, shelf) = (mpsc::channel(1).0, scene.writer.shelf.clone());
        let other = Writer::new(shelf, outlet, reports, Arc::default()).unwrap();
        std::mem::replace(&mut scene.writer, other).run();
        scene.finisher.catch_up();
        assert_eq!(scene.saved(), (wav(), Duration::from_millis(20)));
        assert_eq!(scene.sound(&wav()), vec![1000; FRAME]);
    }

    /// A disk on which nothing becomes safe before it is told so, one file at a time.
    fn slow_disk() -> (SyncSender<()>, Settle) {
        let (say, said) = sync_channel::<()>(0);
        let slow: Settle = Box::new(move |file, part, path| {
            said.recv().expect("the test says so");
            settle(file, part, path)
        });
        (say, slow)
    }

    #[test]
    fn while_ended_recordings_wait_for_the_disk_another_is_written_and_none_is_said_to_be_safe() {
        let (say, disk) = slow_disk();
        let Scene { mut feed, mut writer, finisher, mut told, folder } =
            Scene::on("ends-slowly", 8, Format::Wav, disk);
        let finisher = thread::spawn(|| finisher.run());
        for n in 2..12 {
            feed.write(RecordingId(n), &SOUND);
            feed.finish(RecordingId(n));
            writer.turn();
        }
        for _ in 0..100 {
            feed.write(ONE, &SOUND);
            writer.turn();
        }
        assert_eq!(feed.counts.unrecorded(), 0);
        assert!(told.try_recv().is_err());
        let part = std::fs::metadata(folder.join(wav() + ".part")).unwrap();
        assert!(part.len() > 32_000, "{}", part.len());
        for n in 2..12 {
            say.send(()).unwrap();
            let Some(Report::Saved { recording, path, .. }) = told.blocking_recv() else { panic!() };
            assert_eq!((recording, path.exists()), (RecordingId(n), true));
        }
        // What is under way when all ends is made safe too.
        drop(feed);
        let writer = thread::spawn(|| writer.run());
        say.send(()).unwrap();
        writer.join().unwrap();
        finisher.join().unwrap();
        let Some(Report::Saved { recording: ONE, length, .. }) = told.blocking_recv() else { panic!() };
        assert_eq!(length, Duration::from_secs(2));
    }

    #[test]
    fn lost_sound_is_told_of_once_a_minute_with_what_was_lost_since() {
        let start = Instant::now();
        let mut losses = Losses::default();
        for (second, lost, told) in [
            (0, 0, None),
            (1, 3, Some(3)),
            (2, 5, None),
            (60, 9, None),
            (61, 9, Some(6)),
            (200, 9, None),
            (201, 10, Some(1)),
        ] {
            assert_eq!(losses.news(start + Duration::from_secs(second), lost), told, "{second}");
        }
    }

    /// As [`super::super::Settings::tape`] says.
    #[test]
    fn a_block_that_waits_takes_760_octets() {
        let places = size_of::<Item>() + size_of::<Box<Block>>() + 2 * size_of::<usize>();
        let block = size_of::<Block>() + places;
        assert_eq!(block, 760);
    }

    #[test]
    fn little_space_is_an_alarm_until_there_is_a_tenth_more() {
        let alarms = Alarms::default();
        for (free, low) in [(2000, false), (999, true), (1050, true), (1100, false), (1050, false)] {
            alarms.measured(free, 1000);
            assert_eq!(alarms.is_low(), low, "{free}");
        }
        assert!(free(&std::env::temp_dir()).unwrap() > 0);
    }
}
