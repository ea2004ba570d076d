//! Who may import whom, and what nobody below `io` may touch: the architecture as two tables, and
//! the test that reads every file of `src/` against them.
//!
//! A finding is `FILE:LINE: what: why`. A new arrow in [`ROOMS`] is an architectural change: it
//! comes with the same change to `lib.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// One room of `src/`: its layer, and what it may name beside itself. An arrow goes down to a
/// lower layer or, where listed here and only there, across the same one. `room::Item` opens that
/// item alone.
struct Room {
    name: &'static str,
    layer: f32,
    imports: &'static [&'static str],
}

const fn room(layer: f32, name: &'static str, imports: &'static [&'static str]) -> Room {
    Room { name, layer, imports }
}

#[rustfmt::skip]
const ROOMS: &[Room] = &[
    room(6.0, "main",    &["io", "config"]),
    room(5.0, "io",      &["gateway", "config", "cti", "call", "ivr", "acd", "journey", "media", "sip", "sdp", "rtp",
                           "audio", "base"]),
    room(4.0, "gateway", &["config", "cti", "call", "ivr", "acd", "journey", "media", "sip", "sdp", "base"]),
    room(3.0, "config",  &["call", "ivr", "acd", "journey", "media", "sip", "base"]),
    room(3.0, "cti",     &["call", "acd", "journey", "base"]),
    room(2.0, "call",    &["sip", "sdp", "base",
                           "media::Plan", "media::Command", "media::Event",
                           // The plain values those three are made of.
                           "media::plan", "media::SocketId", "media::Direction", "media::Source",
                           "media::Tone", "media::Repeat", "media::Masking", "media::RecordingId", "media::Counts",
                           "media::Prompt", "media::Quality", "media::Way"]),
    room(2.0, "ivr",     &["base"]),
    room(2.0, "acd",     &["base"]),
    room(2.0, "journey", &["base"]),
    room(1.0, "media",   &["rtp", "audio", "base"]),
    room(0.5, "sip",     &["base"]),
    room(0.5, "sdp",     &["base"]),
    room(0.5, "rtp",     &["base"]),
    room(0.5, "audio",   &["base"]),
    room(0.0, "base",    &[]),
    // It names the rooms and imports none of them.
    room(0.0, "lib",     &[]),
];

/// From here up the world may be touched.
const WORLD: f32 = 5.0;

/// What below `io` nobody names, tests included, and what to use instead.
#[rustfmt::skip]
const BANNED_BELOW_IO: &[(&[&str], &str)] = &[
    (&["std::time::Instant", "std::time::SystemTime", "jiff::Timestamp::now", "jiff::Zoned::now"],
     "time comes in as `base::{Mono, Now}`"),
    (&["std::fs", "std::env", "std::process", "std::io::stdin", "std::io::stdout", "std::io::stderr"],
     "files, the environment and processes belong to `io`"),
    (&["std::net::UdpSocket", "std::net::TcpStream", "std::net::TcpListener", "std::net::ToSocketAddrs",
       "std::os", "socket2", "libc"],
     "sockets and the operating system belong to `io`"),
    (&["std::thread", "tokio", "futures_util", "axum", "reqwest", "sqlx", "rustls", "tokio_rustls",
       "tokio_tungstenite", "sd_notify"],
     "one loop drives everything: no threads and no runtime"),
    (&["std::sync::Mutex", "std::sync::RwLock", "std::sync::Condvar", "std::sync::Barrier", "std::sync::atomic"],
     "every resource has one owner: no locks"),
    (&["std::sync::mpsc", "std::sync::mpmc", "crossbeam", "flume"],
     "machines return outputs: no channels"),
    (&["std::future", "std::task", "std::pin"],
     "machines are polled by `poll_output` and `poll_timeout`, not by a runtime"),
    (&["getrandom", "rand", "rand_core::OsRng", "rand_chacha::rand_core::OsRng", "std::random"],
     "randomness comes from `base::Mint`"),
    (&["argon2"],
     "more than 100 µs of work leaves the loop as an `Output`"),
    (&["anyhow", "clap", "tracing_subscriber", "tracing_journald"],
     "errors below `io` are small enums, logs are `tracing` macros"),
];

/// Types that make a `static` a shared variable.
const STATEFUL: &[&str] = &[
    "Mutex",
    "RwLock",
    "RefCell",
    "Cell",
    "UnsafeCell",
    "OnceCell",
    "OnceLock",
    "LazyCell",
    "LazyLock",
    "mut",
];

/// What must be there all the same: file, finding and reason.
#[rustfmt::skip]
const EXEMPT: &[(&str, &str, &str)] = &[
    ("src/media/dtls.rs", "std::time::Instant", "the crate behind it wants one, and gets always the same"),
    ("src/media/dtls.rs", "std::time::Instant::now", "taken once, with the certificate"),
    ("src/media/tests/mod.rs", "thread_local!", "only a global allocator sees that a packet allocates nothing"),
    ("src/media/tests/mod.rs", "static … Cell", "its count, a thread"),
    ("src/media/tests/mod.rs", "static … LazyLock", "what all shards share, all tests share: it is slow to make"),
    ("benches/daemon.rs", "std::thread::sleep", "load has a pace, and CPU is counted over a while"),
    ("benches/media.rs", "std::thread::sleep", "packets have a pace"),
    ("benches/ng.rs", "std::thread::sleep", "rtpengine says nothing when it is up"),
];

/// What no file has, in `src/` or `tests/`.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: PathBuf,
    line: usize,
    what: String,
    why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file.display(), self.line, self.what, self.why)
    }
}

#[test]
fn every_file_keeps_to_its_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "only {} files found under {}", files.len(), root.display());

    let mut findings = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file is readable text");
        findings.extend(inspect(file.strip_prefix(root).expect("found below it"), &text));
    }
    findings.retain(|found| {
        !EXEMPT.iter().any(|(file, what, _)| found.file == Path::new(file) && found.what == *what)
    });
    findings.sort();
    let list: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    assert!(findings.is_empty(), "{} findings:\n{list}", findings.len());
}

#[test]
fn arrows_go_down() {
    for room in ROOMS {
        for import in room.imports {
            let to = ROOMS.iter().find(|to| import.split("::").next() == Some(to.name));
            let to = to.unwrap_or_else(|| panic!("{} imports the unknown {import}", room.name));
            assert!(to.layer < room.layer, "{} → {import} does not go down", room.name);
        }
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder is readable").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Everything wrong with one file. `file` is relative to the crate.
fn inspect(file: &Path, text: &str) -> Vec<Finding> {
    let tokens = tokens(text);
    let mut findings = Vec::new();
    let mut find = |line: usize, what: String, why: String| {
        findings.push(Finding { file: file.to_owned(), line, what, why });
    };

    for window in tokens.windows(3) {
        let [a, b, c] = window else { continue };
        if UNFINISHED.contains(&a.text) && b.text == "!" && c.text != "=" {
            find(a.line, format!("{}!", a.text), "nothing unfinished is committed".into());
        }
        if a.text == "[" && b.text == "ignore" && (c.text == "]" || c.text == "=") {
            find(b.line, "#[ignore]".into(), "a test that is not run tests nothing".into());
        }
    }

    let Ok(inside) = file.strip_prefix("src") else {
        for path in paths(&tokens, &[]) {
            if path.parts.last().is_some_and(|last| last == "sleep") {
                find(path.line, path.to_string(), "a test waits for an event, never for a while".into());
            }
        }
        return findings;
    };

    if !text.starts_with("//!") {
        find(1, "no `//!`".into(), "a file begins by saying what it is".into());
    }
    let module = module_of(inside);
    let home = match module.first() {
        Some(first) => first.as_str(),
        None if inside == Path::new("main.rs") => "main",
        None => "lib",
    };
    let Some(room) = ROOMS.iter().find(|room| room.name == home) else {
        find(1, format!("`{home}`"), "no such room in the table of tests/tidy.rs".into());
        return findings;
    };

    for path in paths(&tokens, &module) {
        if path.parts.first().is_some_and(|first| first == "crate") {
            let Some(why) = room.objection(&path) else { continue };
            find(path.line, path.to_string(), why);
        } else if room.layer < WORLD {
            for (banned, why) in BANNED_BELOW_IO {
                if banned.iter().any(|banned| path.reaches(banned)) {
                    find(path.line, path.to_string(), (*why).into());
                }
            }
        }
        if path.in_test && path.parts.last().is_some_and(|last| last == "sleep") {
            find(path.line, path.to_string(), "a test waits for an event, never for a while".into());
        }
    }

    if room.layer < WORLD {
        for (i, token) in tokens.iter().enumerate() {
            match token.text {
                "async" => find(token.line, "async".into(), "machines are driven, they do not wait".into()),
                "thread_local" => find(token.line, "thread_local!".into(), "no globals".into()),
                "static" => {
                    let declared = tokens[i..].iter().take_while(|t| t.text != "=" && t.text != ";");
                    let state =
                        declared.map(|t| t.text).find(|t| STATEFUL.contains(t) || t.starts_with("Atomic"));
                    if let Some(state) = state {
                        find(
                            token.line,
                            format!("static … {state}"),
                            "no globals: state has an owner".into(),
                        );
                    }
                }
                _ => {}
            }
        }
    }
    findings
}

impl Room {
    /// Why this room may not name `path`, which begins with `crate`.
    fn objection(&self, path: &Named) -> Option<String> {
        let named = &path.parts[1..];
        let to = named.first()?;
        if *to == self.name || to == "*" {
            return (to == "*").then(|| "name what you import".into());
        }
        let permitted = self.imports.iter().any(|import| {
            let mut import = import.split("::");
            // As far as both go: `media` alone opens nothing that is not then named.
            named.iter().all(|part| import.next().is_none_or(|open| open == part))
        });
        let only: Vec<_> = self.imports.iter().filter(|import| !import.contains("::")).copied().collect();
        let known = ROOMS.iter().any(|room| room.name == to) || self.name == "lib" || self.name == "main";
        (!permitted && known).then(|| match only.as_slice() {
            [] => format!("`{}` imports nothing", self.name),
            only => format!("`{}` imports {} only", self.name, only.join(", ")),
        })
    }
}

/// `src/sip/transaction/client.rs` without `src/` is `[sip, transaction, client]`.
fn module_of(inside: &Path) -> Vec<String> {
    let path = inside.with_extension("");
    let mut module: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

/// A path named in a `use` or in code, resolved: it begins with `crate` or with another crate.
#[derive(Clone, Debug)]
struct Named {
    parts: Vec<String>,
    line: usize,
    in_test: bool,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.join("::"))
    }
}

impl Named {
    /// Whether it names `banned`, something in it, or everything around it.
    fn reaches(&self, banned: &str) -> bool {
        let banned: Vec<_> = banned.split("::").collect();
        // `core` and `alloc` are other names for parts of `std`.
        let same = |i: usize| {
            let part = if i == 0 && ["core", "alloc"].contains(&self.parts[0].as_str()) {
                "std"
            } else {
                &self.parts[i]
            };
            part == banned[i]
        };
        let common = (0..self.parts.len().min(banned.len())).take_while(|&i| same(i)).count();
        common == banned.len() || common + 1 == self.parts.len() && self.parts[common] == "*"
    }
}

/// Every path of a file in `module`. A name that a `use` brought in is read as what it stands for,
/// so that `use std::time; time::Instant::now()` hides nothing.
fn paths(tokens: &[Token<'_>], module: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Inline modules: their name, the brace depth they opened at, whether they are tests.
    let mut inline: Vec<(&str, usize, bool)> = Vec::new();
    let (mut depth, mut test_ahead) = (0, false);
    let mut i = 0;
    while let Some(token) = tokens.get(i) {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let in_test = test_ahead || inline.iter().any(|(_, _, test)| *test);
        let resolve = |parts: Vec<String>| {
            let inner = inline.iter().map(|(name, ..)| (*name).to_owned());
            resolve(parts, module.iter().cloned().chain(inner).collect())
        };
        match token.text {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.retain(|(_, at, _)| *at <= depth);
            }
            ";" => test_ahead = false,
            "cfg" if text(i + 1) == "(" && text(i + 2) == "test" => test_ahead = true,
            "mod" if text(i + 2) == "{" => {
                inline.push((text(i + 1), depth + 1, test_ahead));
                test_ahead = false;
                depth += 1;
                i += 3;
                continue;
            }
            "use" => {
                let mut at = i + 1;
                let mut tree = Vec::new();
                use_tree(tokens, &mut at, &mut Vec::new(), &mut tree);
                for (parts, name, line) in tree {
                    let parts = resolve(parts);
                    aliases.insert(name, parts.clone());
                    found.push(Named { parts, line, in_test });
                }
                i = at;
                continue;
            }
            _ if token.is_name() && text(i + 1) == "::" && (i == 0 || text(i - 1) != "::") => {
                let mut parts = vec![token.text.to_owned()];
                let mut at = i + 1;
                while text(at) == "::" && tokens.get(at + 1).is_some_and(Token::is_name) {
                    parts.push(text(at + 1).to_owned());
                    at += 2;
                }
                if let Some(meant) = aliases.get(token.text) {
                    parts.splice(..1, meant.iter().cloned());
                }
                found.push(Named { parts: resolve(parts), line: token.line, in_test });
                i = at;
                continue;
            }
            // A bare call of something imported, `sleep(…)`.
            _ if token.is_name() && text(i + 1) == "(" && aliases.contains_key(token.text) => {
                found.push(Named { parts: aliases[token.text].clone(), line: token.line, in_test });
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// `a::{b, c as d}` from `at` on as `[a, b] b` and `[a, c] d`, up to what ends it.
fn use_tree(
    tokens: &[Token<'_>],
    at: &mut usize,
    prefix: &mut Vec<String>,
    tree: &mut Vec<(Vec<String>, String, usize)>,
) {
    let outer = prefix.len();
    let mut name = None;
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token.text {
            "::" => {}
            "{" => {
                while tokens.get(*at).is_some_and(|token| token.text != "}") {
                    use_tree(tokens, at, prefix, tree);
                }
                *at += 1;
                prefix.truncate(outer);
                // The braces said it all.
                while tokens.get(*at).is_some_and(|token| [",", ";"].contains(&token.text)) {
                    *at += 1;
                }
                return;
            }
            "as" => {
                name = tokens.get(*at).map(|token| token.text.to_owned());
                *at += 1;
            }
            "," | ";" => break,
            "}" => {
                *at -= 1;
                break;
            }
            // `{self, Plan}` names the module itself.
            "self" if prefix.len() > outer || outer > 0 && prefix.last().is_some_and(|p| p != "super") => {
                name = prefix.last().cloned();
            }
            part => {
                prefix.push(part.to_owned());
                name = Some(part.to_owned());
            }
        }
    }
    let line = tokens.get(at.saturating_sub(2)).map_or(0, |token| token.line);
    if let Some(name) = name {
        tree.push((prefix.clone(), name, line));
    }
    prefix.truncate(outer);
}

/// `super` and `self` away; `$crate`, and `baton` as `main` calls it, are `crate`.
fn resolve(parts: Vec<String>, module: Vec<String>) -> Vec<String> {
    let mut base: Option<Vec<String>> = None;
    let mut rest = parts.into_iter().peekable();
    while let Some(part) = rest.peek() {
        match part.as_str() {
            "crate" | "baton" if base.is_none() => base = Some(Vec::new()),
            "self" if base.is_none() => base = Some(module.clone()),
            "super" => {
                base.get_or_insert_with(|| module.clone()).pop();
            }
            _ => break,
        }
        rest.next();
    }
    match base {
        Some(base) => ["crate".to_owned()].into_iter().chain(base).chain(rest).collect(),
        None => rest.collect(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

impl Token<'_> {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Names, `::` and single signs, without what is not code: comments, strings, characters and
/// lifetimes.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest, '"'),
            'r' | 'b' | 'c' if literal(rest).is_some() => literal(rest).unwrap_or(1),
            '\'' => match rest[1..].chars().next() {
                Some('\\') => quoted(rest, '\''),
                Some(c) if rest[1 + c.len_utf8()..].starts_with('\'') => 2 + c.len_utf8(),
                // A lifetime.
                _ => 1 + name(&rest[1..]),
            },
            ':' if rest.starts_with("::") => {
                tokens.push(Token { text: "::", line });
                2
            }
            c if c.is_alphanumeric() || c == '_' => {
                let length = name(rest);
                tokens.push(Token { text: &rest[..length], line });
                length
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token { text: &rest[..c.len_utf8()], line });
                }
                c.len_utf8()
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn name(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// The length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of what `quote` opens and closes, escapes skipped.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a literal with a letter before it: `r"…"`, `br#"…"#`, `b'…'`, `c"…"`.
fn literal(text: &str) -> Option<usize> {
    let letters = text.find(|c: char| !matches!(c, 'r' | 'b' | 'c')).filter(|at| *at <= 2)?;
    let rest = &text[letters..];
    if !text[..letters].contains('r') {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        return Some(letters + quoted(rest, quote));
    }
    let hashes = rest.find(|c: char| c != '#')?;
    rest[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let body = letters + hashes + 1;
    Some(text[body..].find(&close).map_or(text.len(), |at| body + at + close.len()))
}

/// The findings in `code`, as `line what`, were it that file.
fn planted(file: &str, code: &str) -> Vec<String> {
    let text = format!("//! Planted.\n{code}\n");
    inspect(Path::new(file), &text).iter().map(|found| format!("{} {}", found.line, found.what)).collect()
}

#[test]
fn a_planted_import_is_found_however_it_is_written() {
    for (file, code, what) in [
        ("src/sip/uri.rs", "use crate::sdp::Offer;", "2 crate::sdp::Offer"),
        ("src/sip/mod.rs", "fn f() { crate::media::plan::f() }", "2 crate::media::plan::f"),
        ("src/sip/transaction/client.rs", "use super::super::super::sdp::Offer;", "2 crate::sdp::Offer"),
        (
            "src/sip/uri.rs",
            "#[cfg(test)]\nmod tests {\n    use super::super::super::acd::Router;\n}",
            "4 crate::acd::Router",
        ),
        ("src/acd/mod.rs", "use crate::{\n    base::Mono,\n    call::Call,\n};", "4 crate::call::Call"),
        ("src/ivr/mod.rs", "use crate::journey::{self, Step as Stage};", "2 crate::journey"),
        ("src/call/leg.rs", "use crate::media::{Plan, bay::Bay};", "2 crate::media::bay::Bay"),
        (
            "src/call/leg.rs",
            "use crate::media;\nfn f(_: media::Plan, _: media::Bay) {}",
            "3 crate::media::Bay",
        ),
        ("src/call/leg.rs", "use crate::media::*;", "2 crate::media::*"),
        ("src/base/id.rs", "use super::super::sip::Hop;", "2 crate::sip::Hop"),
        ("src/main.rs", "use baton::gateway::Gateway;", "2 crate::gateway::Gateway"),
        ("src/media/bay.rs", "macro_rules! m { () => { $crate::sip::f() } }", "2 crate::sip::f"),
        ("src/gateway/mod.rs", "use crate::io::clock;", "2 crate::io::clock"),
        ("src/gateway/mod.rs", "use crate::rtp::Packet;", "2 crate::rtp::Packet"),
        ("src/lib.rs", "pub use crate::sip::Hop;", "2 crate::sip::Hop"),
        ("src/attic/mod.rs", "", "1 `attic`"),
    ] {
        assert!(planted(file, code).contains(&what.to_owned()), "{file}: {code}: {:?}", planted(file, code));
    }
}

#[test]
fn a_planted_ban_is_found_however_it_is_written() {
    for (code, what) in [
        ("use std::time::{Duration, Instant};", "2 std::time::Instant"),
        ("use std::time;\nfn f() { time::SystemTime::now(); }", "3 std::time::SystemTime::now"),
        ("use std::time::*;", "2 std::time::*"),
        ("fn f() { std::fs::read(p); }", "2 std::fs::read"),
        ("use std::{env, fmt};", "2 std::env"),
        ("use std::net::{IpAddr, UdpSocket};", "2 std::net::UdpSocket"),
        ("use std::sync::{Arc, Mutex as Lock};", "2 std::sync::Mutex"),
        ("use core::sync::atomic::AtomicU64;", "2 core::sync::atomic::AtomicU64"),
        ("use std::sync::mpsc;", "2 std::sync::mpsc"),
        ("fn f() { tokio::spawn(g()); }", "2 tokio::spawn"),
        ("async fn f() {}", "2 async"),
        ("static SEEN: LazyLock<Vec<u8>> = LazyLock::new(Vec::new);", "2 static … LazyLock"),
        ("static mut SEEN: u8 = 0;", "2 static … mut"),
        ("thread_local! { static X: u8 = 0; }", "2 thread_local!"),
        ("fn f() { getrandom::fill(&mut b); }", "2 getrandom::fill"),
        ("#[cfg(test)]\nmod tests {\n    fn f() { std::thread::sleep(d); }\n}", "4 std::thread::sleep"),
        ("fn f() { todo!() }", "2 todo!"),
        ("fn f() { dbg!(1); }", "2 dbg!"),
        ("#[test]\n#[ignore = \"slow\"]\nfn f() {}", "3 #[ignore]"),
    ] {
        let found = planted("src/acd/mod.rs", code);
        assert!(found.contains(&what.to_owned()), "{code}: {found:?}");
    }
    let undocumented = inspect(Path::new("src/acd/mod.rs"), "use std::fmt;\n");
    assert_eq!(undocumented[0].what, "no `//!`");
    let asleep = "use std::thread::sleep;\nfn f() { sleep(d); }";
    assert_eq!(planted("tests/races.rs", asleep), ["2 std::thread::sleep", "3 std::thread::sleep"]);
    let asleep = "#[cfg(test)]\nmod tests {\n    async fn f() { tokio::time::sleep(d).await }\n}";
    assert_eq!(planted("src/io/sip.rs", asleep), ["4 tokio::time::sleep"]);
}

#[test]
fn what_is_permitted_is_not_found() {
    for (file, code) in [
        ("src/sip/uri.rs", "use super::super::base::Mono;\nuse super::syntax;\nuse crate::sip::Hop;"),
        (
            "src/sip/uri.rs",
            "//! use crate::sdp;\n/* crate::sdp::x /* std::fs */ tokio */\nconst S: &str = \"std::fs::x\";",
        ),
        (
            "src/sip/uri.rs",
            "const S: &[u8] = br#\"async \" tokio::x\"#; const Q: char = '\"'; const T: char = '\\'';",
        ),
        ("src/sip/uri.rs", "static TABLE: [u8; 256] = [0; 256];\nfn f<'a>(x: &'a str, y: &'static str) {}"),
        ("src/call/leg.rs", "use crate::media::{self, Command, Plan};\nfn f() { media::Event::Digit; }"),
        (
            "src/acd/mod.rs",
            "use std::net::{IpAddr, SocketAddr};\nuse std::time::Duration;\nuse std::sync::Arc;",
        ),
        ("src/acd/mod.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::base::Mono;\n}"),
        (
            "src/io/clock.rs",
            "use std::time::Instant;\nuse crate::gateway::Gateway;\nasync fn f() { tokio::x() }",
        ),
        ("src/io/http/mod.rs", "use super::super::cti;\nasync fn f() { tokio::time::sleep(d).await }"),
        ("src/main.rs", "use baton::io::run;\nuse baton::config::Config;"),
        ("src/lib.rs", "pub mod acd;\npub mod base;"),
    ] {
        assert_eq!(planted(file, code), [""; 0], "{file}: {code}");
    }
}
