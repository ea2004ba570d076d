//! The command line: `serve`, `check`, `demo`, `flow`, `hash`, `ctl`.
//!
//! Exit codes: 0 ok, 1 failed, 2 usage, 78 bad configuration (`EX_CONFIG`).

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use baton::config::fault::Fault;
use baton::io::{ctl, demo, flow, load, log, run, secret};

const BAD_CONFIGURATION: u8 = 78;

/// SIP and WebRTC contact-centre gateway: the caller's breakpoint is on the agent's screen before the phone rings.
#[derive(Parser)]
#[command(name = "baton", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon in the foreground.
    Serve {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Parse and check configuration, flows, prompts and certificates. Opens no socket.
    Check {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Play the breakpoint story on loopback, through real SIP, RTP, HTTP and WebSocket.
    Demo(demo::Options),
    /// Look at a flow without a call.
    #[command(subcommand)]
    Flow(flow::Command),
    /// Read a secret on standard input, print what the configuration holds.
    Hash {
        #[arg(long = "for", value_enum)]
        what: Hashed,
        /// sip: the phone's user name.
        #[arg(long, required_if_eq("what", "sip"))]
        user: Option<String>,
        /// sip: the realm, as in [sip] realm.
        #[arg(long, default_value = "baton")]
        realm: String,
    },
    /// Ask or command a running daemon over its HTTP API.
    Ctl(ctl::Options),
}

#[derive(Clone, Copy, ValueEnum)]
enum Hashed {
    /// An API key: PREFIX.SECRET with at least 128 random bits; with nothing on standard input one is made.
    Key,
    /// A person's password.
    Password,
    /// A phone's SIP password.
    Sip,
}

fn main() -> ExitCode {
    // Every TLS part agrees on one provider; a second installation is impossible here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().command {
        Command::Serve { config } => serve(config),
        Command::Check { config } => check(&config),
        Command::Demo(options) => finish(demo::demo(options)),
        Command::Flow(command) => match flow::flow(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(flow::Refusal::Configuration(faults)) => bad(&faults),
            Err(flow::Refusal::Usage(what)) => {
                eprintln!("{what}");
                ExitCode::from(2)
            }
        },
        Command::Hash { what, user, realm } => finish(hash(what, user.as_deref(), &realm)),
        Command::Ctl(options) => finish(ctl::ctl(options)),
    }
}

fn serve(path: PathBuf) -> ExitCode {
    log::begin();
    match load::load(&path) {
        Ok(config) => finish(run::serve(config, path)),
        Err(faults) => bad(&faults),
    }
}

fn check(path: &std::path::Path) -> ExitCode {
    let faults = match load::load(path) {
        Ok(config) => load::certificates(&config),
        Err(faults) => faults,
    };
    if !faults.is_empty() {
        return bad(&faults);
    }
    println!("{}: ok", path.display());
    ExitCode::SUCCESS
}

fn hash(what: Hashed, user: Option<&str>, realm: &str) -> anyhow::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let given = input.trim_end_matches(['\r', '\n']);
    match what {
        Hashed::Key => {
            let key = if given.is_empty() {
                let key = format!(
                    "{}.{}",
                    secret::hex(&secret::random::<4>()?),
                    secret::hex(&secret::random::<32>()?)
                );
                eprintln!("key (keep it, it is not shown again): {key}");
                key
            } else {
                given.to_owned()
            };
            let (prefix, rest) =
                key.split_once('.').ok_or_else(|| anyhow::anyhow!("a key is PREFIX.SECRET"))?;
            // 128 bits are 22 characters of base 64; hexadecimal needs 32.
            anyhow::ensure!(rest.len() >= 22, "the part after the dot must carry at least 128 random bits");
            println!("prefix = {prefix:?}\nsha256 = {:?}", secret::hex(&secret::sha256(key.as_bytes())));
        }
        Hashed::Password => {
            anyhow::ensure!(given.len() >= 8, "a password has at least 8 characters");
            let hash = secret::hash_password(given).ok_or_else(|| anyhow::anyhow!("could not hash"))?;
            println!("password = {hash:?}");
        }
        Hashed::Sip => {
            anyhow::ensure!(!given.is_empty(), "no password on standard input");
            let user = user.unwrap_or_default();
            let (md5, sha256) = secret::sip_hashes(user, realm, given);
            println!("phone = {user:?}\nsip_ha1 = {md5:?}\nsip_ha1_sha256 = {sha256:?}");
        }
    }
    Ok(())
}

fn bad(faults: &[Fault]) -> ExitCode {
    for fault in faults {
        eprintln!("{fault}");
    }
    ExitCode::from(BAD_CONFIGURATION)
}

fn finish(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("baton: {error:#}");
            ExitCode::FAILURE
        }
    }
}
