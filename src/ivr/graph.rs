//! A flow as a picture: a Mermaid flowchart.

use std::fmt::Write;

use super::flow::{Action, Answer, Ask, Flow, Secrecy, Step, Target, Turn};

/// Boxes by what a step does: rounded ones speak, hexagons wait for keys, diamonds branch,
/// cylinders ask a connector, stadiums hand over or end. Dotted ways need no key.
pub fn graph(flow: &Flow) -> String {
    let mut text = String::from("flowchart TD\n");
    let _ = writeln!(text, "  begin(( )) --> {}", node(flow.start.0));
    let mut resumes = false;
    for (i, step) in (0u32..).zip(&flow.steps) {
        let (open, close) = shape(&step.action);
        let _ = writeln!(text, "  {}{open}\"{}\"{close}", node(i), quoted(&caption(step)));
        for way in step.action.exits() {
            let arrow = if way.turn == Turn::Alone { "-.->" } else { "-->" };
            let when =
                if way.when.is_empty() { String::new() } else { format!("|\"{}\"|", quoted(&way.when)) };
            let _ = writeln!(text, "  {} {arrow}{when} {}", node(i), node(way.to.0));
        }
        if let Action::Ask(Ask { answer: Answer::Options(options), .. }) = &step.action {
            for (key, _) in options.iter().filter(|(_, target)| **target == Target::Resume) {
                resumes = true;
                let _ = writeln!(text, "  {} -->|\"{}\"| resume", node(i), quoted(&key.to_string()));
            }
        }
    }
    if resumes {
        text.push_str("  resume([\"where the caller stopped last time\"])\n");
    }
    if let Some(step) = flow.on_error {
        let _ = writeln!(text, "  failure>\"any other failure\"] -.-> {}", node(step.0));
    }
    text
}

/// Steps' names may be Mermaid's own words (`end`): nodes are numbered.
fn node(index: u32) -> String {
    format!("s{index}")
}

const fn shape(action: &Action) -> (&'static str, &'static str) {
    match action {
        Action::Say { .. } => ("(", ")"),
        Action::Ask(_) => ("{{", "}}"),
        Action::Set { .. } => ("[", "]"),
        Action::Branch { .. } => ("{", "}"),
        Action::Http(_) => ("[(", ")]"),
        Action::Queue { .. } | Action::Transfer { .. } | Action::HangUp { .. } => ("([", "])"),
    }
}

fn caption(step: &Step) -> String {
    let mut caption = match &step.action {
        Action::Queue { queue, .. } => format!("{}: queue {queue}", step.name),
        Action::Http(http) => format!("{}: {}", step.name, http.connector),
        Action::Ask(ask) if matches!(ask.answer, Answer::Digits { secrecy: Secrecy::Secure, .. }) => {
            format!("{}: secure", step.name)
        }
        Action::HangUp { reason: Some(reason) } => format!("{}: hang up, {reason}", step.name),
        _ => step.name.clone(),
    };
    if let Some(label) = &step.label {
        let _ = match (label.ordinal, label.total) {
            (Some(ordinal), Some(total)) => write!(caption, "\n{ordinal}/{total} {}", label.text),
            (Some(ordinal), None) => write!(caption, "\n{ordinal} {}", label.text),
            _ => write!(caption, "\n{}", label.text),
        };
    }
    caption
}

/// Mermaid's text is HTML, and its quotes cannot be escaped but by entity.
fn quoted(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            '\n' => out.push_str("<br>"),
            c if c.is_control() => {}
            c => out.push(c),
        }
        out
    })
}
