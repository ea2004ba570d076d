//! Another process as the kernel counts it.

use std::fs;
use std::io;
use std::process::Child;
use std::time::Duration;

/// One of our own children, ended when it is no longer wanted.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Processor time of all its threads, those that ended among them.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut clock = 0;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let pid = self.0.id() as libc::pid_t;
        // SAFETY: `clock` and `time` are ours to write.
        let failed = unsafe {
            libc::clock_getcpuclockid(pid, &raw mut clock) != 0
                || libc::clock_gettime(clock, &raw mut time) != 0
        };
        if failed {
            return Err(io::Error::other("the process is gone"));
        }
        Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }

    /// Shares of one core in per cent, over several windows of that length in which `work` goes on.
    pub fn shares(
        &self,
        windows: usize,
        window: Duration,
        mut work: impl FnMut(Duration),
    ) -> io::Result<Vec<f64>> {
        let share = |_| {
            let before = self.cpu()?;
            work(window);
            Ok((self.cpu()? - before).as_secs_f64() / window.as_secs_f64() * 100.0)
        };
        (0..windows).map(share).collect()
    }

    /// Resident memory in octets.
    pub fn memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
