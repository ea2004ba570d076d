//! `baton ctl`: the HTTP API of a running daemon, from the command line.

use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
pub struct Options {
    #[arg(value_enum)]
    pub what: What,
    /// Where the daemon's API is.
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "BATON_URL")]
    pub url: String,
    /// An API key with scope `admin`.
    #[arg(long, env = "BATON_TOKEN", hide_env_values = true)]
    pub token: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum What {
    Health,
    Calls,
    Queues,
    Agents,
    /// Read the configuration again; the old one stays if the new one has faults.
    Reload,
    /// Take no new calls; stop when those that are up have ended.
    Drain,
}

/// Prints the daemon's answer; an answer that is no success is an error.
pub fn ctl(options: Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(ask(options))
}

async fn ask(options: Options) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let url = |path: &str| format!("{}/v1/{path}", options.url.trim_end_matches('/'));
    let request = match options.what {
        What::Health => client.get(url("health")),
        What::Calls => client.get(url("calls")),
        What::Queues => client.get(url("queues")),
        What::Agents => client.get(url("agents")),
        What::Reload => client.post(url("admin/reload")),
        What::Drain => client.post(url("admin/drain")),
    };
    let response = request.bearer_auth(&options.token).send().await.context("no answer from the daemon")?;
    let status = response.status();
    let text = response.text().await?;
    let pretty =
        serde_json::from_str::<serde_json::Value>(&text).and_then(|v| serde_json::to_string_pretty(&v));
    println!("{}", pretty.unwrap_or(text));
    anyhow::ensure!(status.is_success(), "{status}");
    Ok(())
}
