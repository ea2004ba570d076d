//! What things cost, as tables in Markdown: `make bench`, or `cargo bench --bench baton -- GROUP…`
//! with some of `parse`, `gateway`, `acd`, `media`, `voice`, `daemon`, `relay` and `web`.
//!
//! The first four time the library's machines in this process. `voice` has what goes through them
//! judged by PESQ. `daemon` and `relay` start the daemon itself and are its carrier, its callers and
//! its agents' phones over loopback; `relay` does the same to `rtpengine` and to a bare loop of
//! receiving and sending. `web` is many browsers.

mod acd;
mod bare;
mod browser;
mod daemon;
mod far;
mod gateway;
mod load;
mod measure;
mod media;
mod ng;
mod parse;
mod process;
mod relay;
mod socket;
mod sound;
mod voice;
mod web;

use std::process::{Command, ExitCode};

use measure::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Group = (&'static str, fn());

const GROUPS: [Group; 8] = [
    ("parse", parse::measure),
    ("gateway", gateway::measure),
    ("acd", acd::measure),
    ("media", media::measure),
    ("voice", voice::measure),
    ("daemon", daemon::measure),
    ("relay", relay::measure),
    ("web", web::measure),
];

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(web::SERVE) => return web::serve(),
        Some(bare::RELAY) => return bare::relay(),
        _ => {}
    }
    // Cargo adds `--bench`.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = wanted.iter().find(|word| GROUPS.iter().all(|(name, _)| name != word)) {
        let known = GROUPS.map(|(name, _)| name).join(", ");
        eprintln!("there is no group {unknown:?}; there are: {known}");
        return ExitCode::from(2);
    }
    // Two descriptors a leg are more than a shell's usual share.
    raise_descriptors();
    println!("{}; commit {}", machine(), commit());
    for (name, measure) in GROUPS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            measure();
        }
    }
    ExitCode::SUCCESS
}

fn machine() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    format!("{cores} cores, {model}, Linux {}", kernel.trim())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
    };
    let name = git(&["rev-parse", "--short", "HEAD"]).and_then(|name| String::from_utf8(name).ok());
    let changed = git(&["status", "--porcelain", "-uno"]).is_some_and(|changes| !changes.is_empty());
    let name = name.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned());
    if changed { name + " with changes" } else { name }
}

fn raise_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to write and outlives both calls; that it fails is seen by calls lost.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
