//! `baton demo`: a whole contact centre on loopback, and one call through it.
//!
//! The [`centre`] is the daemon as it always is, on a configuration of its own. The people of the
//! [`story`] (the customer's [`app`], the [`caller`], the agent's [`desktop`] and [`phone`]) are
//! clients: what they know of the daemon are its [`Papers`](centre::Papers), and all they do goes
//! through sockets.

mod app;
mod caller;
mod centre;
mod desktop;
mod encore;
mod phone;
mod sound;
mod story;
mod timeline;
mod user_agent;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::centre::{Agent, Centre, Headset, Papers};
use self::timeline::Timeline;
use crate::io::log;

/// RUST_LOG=info shows the daemon's log beside the story, on standard error.
#[derive(Args, Debug)]
pub struct Options {
    /// Stop after the story. The exit code is 0 only if every beat of it came.
    #[arg(long, conflicts_with = "no_story")]
    once: bool,
    /// Only the centre, without scripted people, until SIGTERM or SIGINT.
    #[arg(long)]
    no_story: bool,
    /// When ready, print one JSON line: {"http","sip","sip_ws","number","api_key","agents":[…],"softphone":{…}}.
    ///
    /// "http" is a URL, "sip" is HOST:PORT (UDP and TCP), "sip_ws" is the URL of SIP over
    /// WebSocket. "softphone" is an agent whose desktop is the phone.
    #[arg(long, requires = "no_story")]
    json: bool,
    /// Where the API, the desktop and the agents' WebSocket are; a loopback address. [default: 127.0.0.1, a free port]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where phones and the carrier find us; a loopback address. [default: 127.0.0.1, a free port]
    #[arg(long, value_name = "ADDR")]
    sip: Option<SocketAddr>,
    /// Keeps journeys, contacts and recordings there. [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Json,
    Words,
}

/// Runs until the story is over, or until SIGTERM or SIGINT.
pub fn demo(options: Options) -> anyhow::Result<()> {
    if std::env::var_os("RUST_LOG").is_some() {
        log::begin();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let timeline = Timeline::begin();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let centre = Centre::open(&options).await?;
        let happening = async {
            if options.no_story {
                present(centre.papers(), if options.json { How::Json } else { How::Words });
            } else {
                let phone = story::play(centre.papers(), &timeline).await?;
                if options.once {
                    return Ok(());
                }
                invite(centre.papers());
                return encore::play(centre.papers(), &timeline, phone).await;
            }
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = happening => outcome,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        };
        let closed = centre.close().await;
        outcome.and(closed)
    })
}

fn present(papers: &Papers, how: How) {
    match how {
        How::Json => println!("{}", json!(papers)),
        How::Words => {
            println!("desktop and API   {}", papers.http);
            println!("API key           {}", papers.api_key);
            println!("SIP, UDP and TCP  {}", papers.sip);
            println!("call              sip:{}@{}", papers.number, papers.sip);
            for Agent { id, password, sip, .. } in &papers.agents {
                println!(
                    "agent             {id}: password {password}; phone {}, password {}",
                    sip.user, sip.password
                );
            }
            let Headset { id, password, .. } = &papers.softphone;
            println!("agent             {id}: password {password}; the desktop is the phone");
            println!("\nCtrl-C stops it.");
        }
    }
}

/// After the story: how to play it oneself.
fn invite(papers: &Papers) {
    let Some(Agent { id, password, sip, .. }) = papers.agents.first() else { return };
    println!();
    println!("Now be Ann. The centre stays up until Ctrl-C.");
    println!("  desktop  {}   log in as {id}, password {password}, and be ready", papers.http);
    println!("  Enter    the payment fails once more and the customer calls; Ann's phone picks up by itself");
    println!("  phones   sip:{}@{} calls it from any phone on this machine;", papers.number, papers.sip);
    println!("           register {} with password {} at {} to be Ann's", sip.user, sip.password, papers.sip);
    let Headset { id, password, .. } = &papers.softphone;
    println!("  headset  or log in as {id}, password {password}: then the browser is the phone");
    println!("  API      {}/docs   key {}", papers.http, papers.api_key);
    println!();
}
