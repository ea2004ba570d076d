//! `baton flow`: a flow on paper, without a call.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;

use crate::base::Language;
use crate::config::fault::Fault;
use crate::io::load;
use crate::ivr;
use crate::ivr::flow::Flow;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check one flow against the configuration it belongs to.
    Lint {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        flow: String,
    },
    /// Print the flow as a Mermaid diagram.
    Graph {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        flow: String,
    },
    /// Walk the flow with these keys and print what happens, second by second.
    Simulate {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        flow: String,
        /// One input for each time the flow asks, `1,4711#,,2`; an empty one is silence.
        #[arg(long, default_value = "")]
        digits: String,
        /// en or zh; the flow's own if not given.
        #[arg(long, value_parser = language)]
        language: Option<Language>,
        /// What is known of the caller, `{"errand":{"open":true}}`.
        #[arg(long, default_value = "{}")]
        values: String,
    },
}

/// Why nothing was printed.
#[derive(Debug)]
pub enum Refusal {
    Configuration(Vec<Fault>),
    Usage(String),
}

pub fn flow(command: Command) -> Result<(), Refusal> {
    match command {
        Command::Lint { config, flow } => {
            let found = find(config, &flow)?;
            println!("{flow}: ok, {} steps", found.step_names().count());
        }
        Command::Graph { config, flow } => print!("{}", ivr::graph(&*find(config, &flow)?)),
        Command::Simulate { config, flow, digits, language, values } => {
            let flow = find(config, &flow)?;
            let values = serde_json::from_str(&values)
                .map_err(|error| Refusal::Usage(format!("--values: not a JSON object: {error}")))?;
            let language = language.unwrap_or(flow.language);
            let transcript = ivr::simulate(&flow, language, values, &digits)
                .map_err(|bad| Refusal::Usage(format!("--digits: {bad}")))?;
            print!("{transcript}");
        }
    }
    Ok(())
}

fn find(config: PathBuf, name: &str) -> Result<Arc<Flow>, Refusal> {
    let config = load::load(&config).map_err(Refusal::Configuration)?;
    config.flows.get(&name.into()).cloned().ok_or_else(|| {
        let known: Vec<_> = config.flows.keys().map(|id| id.as_str()).collect();
        Refusal::Usage(format!("no flow {name:?}; there are: {}", known.join(", ")))
    })
}

fn language(tag: &str) -> Result<Language, String> {
    tag.parse().map_err(|()| format!("{tag:?} is not a language we speak: en, zh"))
}
