//! `baton demo` as others use it: the centre alone, by its one line of JSON.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

struct Centre {
    process: Child,
    papers: Value,
}

impl Centre {
    fn open(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_baton"))
            .args(["demo", "--no-story", "--json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary is built with the tests");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped above");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        let papers = serde_json::from_str(&line).expect("one line of JSON when ready, and nothing before it");
        Self { process, papers }
    }

    fn terminate(mut self) -> ExitStatus {
        let id = libc::pid_t::try_from(self.process.id()).expect("a process id");
        // SAFETY: no memory is touched; the process is ours and not yet waited for.
        unsafe { libc::kill(id, libc::SIGTERM) };
        self.process.wait().expect("our child")
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_centre_alone_tells_its_papers_and_stays_until_it_is_told_to_stop() {
    let centre = Centre::open(&[]);
    let papers = &centre.papers;
    let keys: Vec<_> = papers.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["http", "sip", "sip_ws", "number", "api_key", "agents", "softphone"]);
    assert!(papers["http"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")));
    assert!(papers["sip"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")));
    let sip_ws = papers["http"].as_str().map(|url| format!("{}/sip", url.replace("http://", "ws://")));
    assert_eq!(papers["sip_ws"].as_str(), sip_ws.as_deref());
    assert!(papers["number"].as_str().is_some_and(|number| number.starts_with('+')));
    for agent in papers["agents"].as_array().expect("a list") {
        for secret in [&agent["id"], &agent["password"], &agent["sip"]["user"], &agent["sip"]["password"]] {
            assert!(secret.as_str().is_some_and(|text| !text.is_empty()), "{agent}");
        }
    }
    assert!(centre.terminate().success());
}

#[test]
fn a_directory_given_is_kept_and_none_given_is_removed() {
    let folder = std::env::temp_dir().join(format!("baton-test-{}", std::process::id()));
    let given = folder.to_str().expect("a plain name").to_owned();
    let kept = Centre::open(&["--data", &given]);
    let key = kept.papers["api_key"].clone();
    assert!(kept.terminate().success());
    assert!(folder.join("baton.db").is_file());

    let again = Centre::open(&["--data", &given]);
    assert_ne!(again.papers["api_key"], key, "secrets are made anew");
    assert!(again.terminate().success());
    std::fs::remove_dir_all(&folder).expect("written above");

    let left =
        || std::fs::read_dir(std::env::temp_dir()).expect("readable").flatten().map(|entry| entry.path());
    let passing = Centre::open(&["--http", "127.0.0.1:0"]);
    let id = passing.process.id().to_string();
    assert!(passing.terminate().success());
    assert!(!left().any(|path| is_of(&path, &id)), "something of it is left behind");
}

/// Whether a demo's directory is that process's.
fn is_of(path: &Path, id: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("baton-demo-").is_some_and(|rest| rest.split('-').next() == Some(id))
}

#[test]
fn any_address_but_loopback_is_refused() {
    for arguments in [["--http", "0.0.0.0:0"], ["--sip", "192.0.2.1:5060"], ["--http", "[::]:0"]] {
        let refused = Command::new(env!("CARGO_BIN_EXE_baton"))
            .args(["demo", "--no-story", "--json"])
            .args(arguments)
            .output()
            .expect("the binary is built with the tests");
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && refused.stdout.is_empty());
        assert!(why.contains(arguments[1]) && why.contains("loopback"), "{why}");
    }
    let smuggled = Command::new(env!("CARGO_BIN_EXE_baton"))
        .args(["demo", "--no-story", "--json"])
        .env("BATON__MEDIA__ADDRESS", "0.0.0.0")
        .output()
        .expect("the binary is built with the tests");
    assert!(!smuggled.status.success() && String::from_utf8_lossy(&smuggled.stderr).contains("loopback"));
}
