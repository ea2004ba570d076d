//! What we ship has no fault: the configuration, its flow, its prompts.

use std::path::Path;

use baton::base::Language;
use baton::io::load::load;

#[test]
fn the_shipped_configuration_and_flow_pass_the_check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/baton.toml");
    let config = match load(&path) {
        Ok(config) => config,
        Err(faults) => panic!("{}", faults.iter().map(|fault| format!("{fault}\n")).collect::<String>()),
    };
    let demo = &config.flows[&"demo".into()];
    assert!(Language::ALL.into_iter().all(|language| demo.speaks(language)));
}

/// Every key an operator may set is in the file with its comment.
#[test]
fn the_shipped_configuration_names_every_table() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/baton.toml"))
        .expect("shipped");
    for table in [
        "[node]",
        "[sip]",
        "[media]",
        "[http]",
        "[store]",
        "[speech]",
        "[security]",
        "[[brand]]",
        "[[trunk]]",
        "[[number]]",
        "[[click_to_call]]",
        "[[destination]]",
        "[[skill]]",
        "[[queue]]",
        "[[agent]]",
        "[[topic]]",
        "[[connector]]",
        "[[calendar]]",
        "[[api_key]]",
        "[[disposition]]",
    ] {
        assert!(text.contains(table), "{table} is not shown");
    }
}
