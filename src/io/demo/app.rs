//! The customer's banking app, or rather its server: a client of the HTTP API.

use anyhow::Context;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::centre::{self, Papers};
use crate::base::Wall;
use crate::io::clock::Clock;

pub struct App {
    client: Client,
    base: String,
    key: String,
}

impl App {
    pub fn new(papers: &Papers) -> anyhow::Result<Self> {
        Ok(Self { client: centre::client()?, base: papers.http.clone(), key: papers.api_key.clone() })
    }

    /// A payment that got as far as its third step and failed there, twice.
    pub async fn post_steps(&self, journey: &str, phone: &str) -> anyhow::Result<Value> {
        let now = Clock::new().now().wall.as_millis();
        let ago = |seconds: u64| Wall::from_millis(now - 1000 * seconds).to_string();
        let customer = json!({ "phone": phone, "name": "Li Wei", "tier": "gold", "language": "en", "verified": ["phone"] });
        let step = |ordinal: u16, step: &str, label: &str, failed: Option<&str>, at: String| {
            let mut body = json!({
                "id": format!("{journey}-{at}"), "journey": journey, "topic": "card-payment", "channel": "app",
                "customer": customer, "step": step, "label": label, "ordinal": ordinal, "total": 3,
                "status": if failed.is_some() { "failed" } else { "done" },
                "data": { "amount": "50000.00" }, "at": at,
            });
            if let Some(reason) = failed {
                body["reason"] = reason.into();
            }
            body
        };
        let short = Some("insufficient-funds");
        let steps = json!([
            step(1, "choose-card", "Choose card", None, ago(330)),
            step(2, "amount", "Enter amount", None, ago(300)),
            step(3, "confirm-payment", "Confirm payment", short, ago(270)),
            step(3, "confirm-payment", "Confirm payment", short, ago(240)),
        ]);
        let request = self.client.post(format!("{}/v1/steps", self.base)).json(&steps);
        self.ask(request).await.context("POST /v1/steps")
    }

    /// Open breakpoints of whoever has this number.
    pub async fn breakpoints(&self, phone: &str) -> anyhow::Result<Vec<Value>> {
        let phone = phone.replace('+', "%2B");
        let url = format!("{}/v1/breakpoints?phone={phone}", self.base);
        let mut found = self.ask(self.client.get(url)).await.context("GET /v1/breakpoints")?;
        Ok(found["breakpoints"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    pub async fn contact(&self, id: &str) -> anyhow::Result<Value> {
        let url = format!("{}/v1/contacts/{id}", self.base);
        self.ask(self.client.get(url)).await.context("GET /v1/contacts/{id}")
    }

    async fn ask(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let response = request.bearer_auth(&self.key).send().await?;
        let status = response.status();
        let text = response.text().await?;
        anyhow::ensure!(status.is_success(), "expected 200; came {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}
