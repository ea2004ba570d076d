//! What the HTTP listeners count for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::StatusCode;

use super::metrics::Page;

#[derive(Debug, Default)]
pub struct Tally {
    /// By the status's first digit.
    answers: [AtomicU64; 6],
    pub steps: AtomicU64,
    pub handoffs: AtomicU64,
    /// Calls from pages that were made.
    pub web_calls: AtomicU64,
    pub logins: AtomicU64,
    pub logins_refused: AtomicU64,
    /// Desktops that are connected.
    pub desktops: AtomicU64,
    pub commands: AtomicU64,
    /// Desktops that did not read what they were sent.
    pub desktops_too_slow: AtomicU64,
}

impl Tally {
    pub fn answered(&self, status: StatusCode) {
        if let Some(class) = self.answers.get(usize::from(status.as_u16() / 100)) {
            class.fetch_add(1, Relaxed);
        }
    }

    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    pub fn print(&self, page: &mut Page) {
        let answers = self.answers.iter().enumerate().skip(1);
        page.counter(
            "baton_http_responses_total",
            "HTTP answers given, by class of status.",
            answers.map(|(class, count)| (vec![("class", format!("{class}xx"))], count.load(Relaxed))),
        );
        for (name, what, counter) in [
            ("baton_steps_accepted_total", "Journey steps that were posted and are durable.", &self.steps),
            ("baton_handoffs_total", "Hand-off tokens issued.", &self.handoffs),
            ("baton_web_calls_total", "Calls from pages that were made.", &self.web_calls),
            ("baton_logins_total", "Agents' log-ins.", &self.logins),
            ("baton_logins_refused_total", "Log-ins refused: wrong or too many.", &self.logins_refused),
            ("baton_desktop_commands_total", "Commands taken from desktops.", &self.commands),
            (
                "baton_desktops_too_slow_total",
                "Desktops closed because they did not read what they were sent.",
                &self.desktops_too_slow,
            ),
        ] {
            page.counter(name, what, [(vec![], counter.load(Relaxed))]);
        }
        page.gauge("baton_desktops", "Desktops that are connected.", [(vec![], self.desktops.load(Relaxed))]);
    }
}
