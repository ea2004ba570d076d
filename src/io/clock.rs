//! The only place that reads clocks.

use std::time::{Duration, Instant, SystemTime};

use crate::base::{Mono, Now, Wall};

/// Both clocks, counted from when the process began. Copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    /// `started` as the kernel counts it, in nanoseconds: for timers set by absolute time.
    origin: u64,
}

impl Clock {
    /// Now is `Mono::ZERO`. Make one a process and hand out copies.
    #[expect(clippy::new_without_default, reason = "reading a clock is no default")]
    pub fn new() -> Self {
        Self { started: Instant::now(), origin: kernel_nanos() }
    }

    pub fn now(&self) -> Now {
        // Before 1970 the machine's clock is not set; nothing we date then can be right.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: self.mono(),
            wall: Wall::from_millis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    pub fn mono(&self) -> Mono {
        Mono::from_nanos(kernel_nanos().saturating_sub(self.origin))
    }

    /// For `tokio::time::sleep_until`.
    pub fn instant(&self, at: Mono) -> Instant {
        self.started + Duration::from_nanos(at.as_nanos())
    }

    /// For `timerfd_settime` with `TFD_TIMER_ABSTIME`.
    pub(super) fn kernel(&self, at: Mono) -> libc::timespec {
        let nanos = self.origin.saturating_add(at.as_nanos());
        libc::timespec {
            tv_sec: libc::time_t::try_from(nanos / 1_000_000_000).unwrap_or(libc::time_t::MAX),
            tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
        }
    }
}

fn kernel_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write; CLOCK_MONOTONIC always exists, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_forward_and_the_same_for_every_reader() {
        let clock = Clock::new();
        let (first, copy) = (clock.mono(), clock);
        let second = copy.mono();
        assert!(first <= second);
        let instant = clock.instant(second);
        assert!(instant <= Instant::now() && Instant::now() - instant < Duration::from_secs(60));
    }

    #[test]
    fn the_wall_clock_is_past_2020() {
        assert!(Clock::new().now().wall > Wall::from_millis(1_577_836_800_000));
    }
}
