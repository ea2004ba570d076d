//! Audio of whole calls through the daemon, and through `rtpengine` and a bare loop of receiving and
//! sending in the same minute with the same callers and phones: both ways, 50 packets a second.
//!
//! The figures of two machines do not compare; the ratio of two programs on one machine does. The
//! bare loop is what no relay that uses the system's sockets can be below.

use std::io;
use std::time::Duration;

use baton::base::Codec;

use crate::bare::Bare;
use crate::daemon::{Daemon, QUEUED, RECORDED, WINDOWS, begin_calls};
use crate::load::{Load, Tally};
use crate::measure::{figure, median, percentile};
use crate::ng::Yardstick;

/// Calls between PCMU and a codec.
struct Case {
    what: &'static str,
    number: &'static str,
    codec: Codec,
    calls: usize,
    /// In per cent of a core and call.
    target: &'static str,
}

const CASES: [Case; 6] = [
    Case { what: "PCMU relayed", number: QUEUED, codec: Codec::Pcmu, calls: 50, target: "0.14" },
    Case { what: "PCMU relayed", number: QUEUED, codec: Codec::Pcmu, calls: 200, target: "0.10" },
    Case {
        what: "PCMU relayed and recorded in stereo",
        number: RECORDED,
        codec: Codec::Pcmu,
        calls: 100,
        target: "0.25",
    },
    Case { what: "PCMU and G.722", number: QUEUED, codec: Codec::G722, calls: 50, target: "0.35" },
    Case { what: "PCMU and G.722", number: QUEUED, codec: Codec::G722, calls: 100, target: "0.35" },
    Case { what: "PCMU and Opus with FEC", number: QUEUED, codec: Codec::Opus, calls: 20, target: "0.9" },
];

const WINDOW: Duration = Duration::from_secs(3);

/// Where there is no daemon to call.
const NOBODY: ([u8; 4], u16) = ([127, 0, 0, 1], 9);

/// What one program needs for one case.
struct Found {
    /// Per cent of a core and call, of each window.
    shares: Vec<f64>,
    tally: Tally,
}

pub fn measure() {
    println!(
        "\n| Calls that talk | CPU a call | wanted | bare loop | rtpengine | ratio | one way p50 / p99 | rtpengine |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: |"
    );
    let mut absent = None;
    for case in CASES {
        let what = format!("{}, {} calls", case.what, case.calls);
        let ours = match through_daemon(&case) {
            Ok(found) => found,
            Err(error) => {
                println!("| {what} | not measured: {error} | | | | | | |");
                continue;
            }
        };
        let theirs = match case.number {
            // Its recording is another program's.
            RECORDED => None,
            _ => through_yardstick(&case).map_err(|error| absent = Some(error)).ok(),
        };
        // What it relays it does not touch.
        let bare = (case.number, case.codec) == (QUEUED, Codec::Pcmu);
        let bare = bare.then(|| through_bare_loop(&case)).and_then(Result::ok);
        line(&what, &case, &ours, bare.as_ref(), theirs.as_ref());
    }
    match direct_delays() {
        Ok(delays) => println!("\nThe same packets past both, once over loopback: {}.", ways(&delays)),
        Err(error) => println!("\nThe same packets past both: not measured: {error}."),
    }
    if let Some(error) = absent {
        println!("\nThere is no yardstick: {error}.");
    }
}

fn line(what: &str, case: &Case, ours: &Found, bare: Option<&Found>, theirs: Option<&Found>) {
    let none = || "–".to_owned();
    let share = |found: &Found| figure(median(&found.shares)) + " %";
    let ratio = theirs.map(|theirs| figure(median(&ours.shares) / median(&theirs.shares)));
    println!(
        "| {what}{} | {} | {} % | {} | {} | {} | {} | {} |",
        ours.tally.troubles(),
        share(ours),
        case.target,
        bare.map_or_else(none, |bare| share(bare) + &bare.tally.troubles()),
        theirs.map_or_else(none, |theirs| share(theirs) + &theirs.tally.troubles()),
        ratio.unwrap_or_else(none),
        ways(&ours.tally.delays),
        theirs.map_or_else(none, |theirs| ways(&theirs.tally.delays)),
    );
}

fn ways(delays: &[f64]) -> String {
    format!("{} / {} ms", figure(percentile(delays, 50)), figure(percentile(delays, 99)))
}

fn through_daemon(case: &Case) -> io::Result<Found> {
    let (daemon, mut load) = Daemon::start()?;
    load.speak_at_phones(case.codec);
    begin_calls(&mut load, case.number, case.calls);
    load.talk();
    let up = load.up();
    let found =
        talk(&mut load, up, |load| daemon.process.shares(WINDOWS, WINDOW, |window| load.run(window, None)));
    load.hang_up();
    found
}

fn through_bare_loop(case: &Case) -> io::Result<Found> {
    let mut load = Load::new(NOBODY.into())?;
    let Bare { process, calls } = Bare::start(load.audio(), case.calls)?;
    load.talk_over(calls);
    talk(&mut load, case.calls, |load| process.shares(WINDOWS, WINDOW, |window| load.run(window, None)))
}

fn through_yardstick(case: &Case) -> io::Result<Found> {
    let mut yardstick = Yardstick::start()?;
    let mut load = Load::new(NOBODY.into())?;
    load.speak_at_phones(case.codec);
    let calls = (0..case.calls).map(|_| yardstick.call(load.audio(), case.codec));
    let calls = calls.collect::<io::Result<Vec<_>>>()?;
    load.talk_over(calls);
    let found = talk(&mut load, case.calls, |load| {
        yardstick.process.shares(WINDOWS, WINDOW, |window| load.run(window, None))
    });
    yardstick.hang_up()?;
    found
}

fn talk(
    load: &mut Load,
    calls: usize,
    shares: impl FnOnce(&mut Load) -> io::Result<Vec<f64>>,
) -> io::Result<Found> {
    load.run(Duration::from_millis(700), None);
    load.take();
    let shares = shares(load)?;
    let shares = shares.iter().map(|share| share / calls as f64).collect();
    Ok(Found { shares, tally: load.take() })
}

/// What the same packets take between two sockets of ours.
fn direct_delays() -> io::Result<Vec<f64>> {
    let mut load = Load::new(NOBODY.into())?;
    load.talk_to_itself(400);
    load.run(Duration::from_secs(2), None);
    Ok(load.take().delays)
}
