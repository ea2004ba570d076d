//! What a media thread waits on: epoll, a timer set by absolute time, and a bell others can ring.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// What became ready, by the token it was added with.
pub(super) struct Ready {
    events: [libc::epoll_event; 256],
    length: usize,
}

#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

#[derive(Debug)]
pub(super) struct Timer(OwnedFd);

/// Wakes a thread out of [`Epoll::wait`]. Rung often before it is heard, it costs one call.
#[derive(Debug)]
pub(super) struct Bell {
    event: OwnedFd,
    rung: AtomicBool,
}

impl Ready {
    pub fn new() -> Self {
        Self { events: [libc::epoll_event { events: 0, u64: 0 }; 256], length: 0 }
    }

    pub fn token(&self, n: usize) -> Option<u64> {
        self.events.get(..self.length)?.get(n).map(|event| event.u64)
    }
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Self)
    }

    /// Tells of `source` for as long as it is readable. Closing it takes it out again.
    pub fn add(&self, source: &impl AsFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        let source = source.as_fd().as_raw_fd();
        // SAFETY: both descriptors are open, and `event` is read during the call only.
        done(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, source, &raw mut event) })
    }

    /// Returns when something is ready, or a signal came.
    pub fn wait(&self, ready: &mut Ready) {
        let room = ready.events.len() as libc::c_int;
        // SAFETY: `events` has room for that many.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), ready.events.as_mut_ptr(), room, -1) };
        ready.length = usize::try_from(count).unwrap_or(0);
    }
}

impl Timer {
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no memory is passed.
        owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) }).map(Self)
    }

    /// Fires once, at that time or at once if it is past. Absolute, so that no delay adds up.
    pub fn set(&self, at: libc::timespec) {
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let time = libc::itimerspec { it_interval: never, it_value: at };
        // SAFETY: the descriptor is open, `time` is read during the call, and no old value is
        // wanted. The time is valid, so it cannot fail.
        unsafe {
            libc::timerfd_settime(
                self.0.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &raw const time,
                std::ptr::null_mut(),
            );
        }
    }

    /// It has been noticed.
    pub fn quiet(&self) {
        drain(&self.0);
    }
}

impl Bell {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let event = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        Ok(Self { event, rung: AtomicBool::new(false) })
    }

    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            let one = 1u64.to_ne_bytes();
            // SAFETY: eight bytes are read from `one`. It can only fail when it is ringing already.
            unsafe { libc::write(self.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        }
    }

    pub fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// To be called before looking for what it was rung for, so that a later ring is heard.
    pub fn quiet(&self) {
        drain(&self.event);
        self.rung.store(false, Ordering::Release);
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Real time for the calling thread, if the system permits.
pub(super) fn hurry(priority: u8) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority.into() };
    // SAFETY: `parameters` is read during the call; the thread is the one that calls.
    match unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_RR, &raw const parameters) }
    {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

fn drain(counter: &OwnedFd) {
    let mut count = [0u8; 8];
    // SAFETY: eight bytes are written to `count`. Nothing to read is nothing to drain.
    unsafe { libc::read(counter.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
}

fn owned(descriptor: libc::c_int) -> io::Result<OwnedFd> {
    done(descriptor)?;
    // SAFETY: it was opened just now and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
