//! Data dips: a flow's question to a connector, over HTTP.
//!
//! The base URL is the operator's, path parts are percent-encoded one by one, JSON is built from
//! values, redirects are not followed, answers are bounded. A flow cannot make us call anybody
//! its operator has not named.

use std::time::Duration;

use crate::config::Connector;
use crate::ivr::{Fetch, FetchFault, Method};

/// One client for all connectors: it keeps their connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: reqwest::Client,
}

impl Fetcher {
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(2))
            .pool_max_idle_per_host(8)
            .build()?;
        Ok(Self { client })
    }

    pub async fn fetch(&self, connector: &Connector, fetch: Fetch) -> Result<serde_json::Value, FetchFault> {
        // The flow may be quicker to give up than the connector allows, never slower.
        let limit = fetch.timeout.min(connector.timeout);
        match tokio::time::timeout(limit, self.exchange(connector, fetch)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchFault::TimedOut),
        }
    }

    async fn exchange(&self, connector: &Connector, fetch: Fetch) -> Result<serde_json::Value, FetchFault> {
        let url = url(connector, &fetch).ok_or(FetchFault::Unreachable)?;
        let mut request = match fetch.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url),
        };
        for (name, value) in &connector.headers {
            request = request.header(name, value);
        }
        if let Some(json) = &fetch.json {
            request = request.json(json);
        }
        let mut response = request.send().await.map_err(|_| FetchFault::Unreachable)?;
        if !response.status().is_success() {
            return Err(FetchFault::Status(response.status().as_u16()));
        }
        let mut body = vec![];
        while let Some(chunk) = response.chunk().await.map_err(|_| FetchFault::Unreachable)? {
            if body.len() + chunk.len() > connector.max_body {
                return Err(FetchFault::BadBody);
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| FetchFault::BadBody)
    }
}

/// The base, then each part as one segment: a part with a slash or dots in it stays one part.
fn url(connector: &Connector, fetch: &Fetch) -> Option<reqwest::Url> {
    let mut url = reqwest::Url::parse(&connector.base_url).ok()?;
    if fetch.path.iter().any(|part| matches!(part.as_str(), "." | ".." | "")) {
        return None;
    }
    url.path_segments_mut().ok()?.pop_if_empty().extend(&fetch.path);
    if !fetch.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&fetch.query);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &[&str], query: &[(&str, &str)]) -> Option<String> {
        let connector = Connector {
            name: "core".into(),
            base_url: "http://127.0.0.1:1/api".into(),
            timeout: Duration::from_secs(1),
            headers: vec![],
            max_body: 1024,
        };
        let fetch = Fetch {
            connector: "core".into(),
            method: Method::Get,
            path: path.iter().map(|p| (*p).to_owned()).collect(),
            query: query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            json: None,
            timeout: Duration::from_secs(1),
        };
        url(&connector, &fetch).map(String::from)
    }

    #[test]
    fn what_a_caller_keyed_stays_one_part_of_the_path() {
        assert_eq!(
            asked(&["accounts", "1/../2?x#y"], &[]).as_deref(),
            Some("http://127.0.0.1:1/api/accounts/1%2F..%2F2%3Fx%23y")
        );
        assert_eq!(asked(&["accounts", ".."], &[]), None);
        assert_eq!(asked(&["a"], &[("q", "1&2=3")]).as_deref(), Some("http://127.0.0.1:1/api/a?q=1%262%3D3"));
    }
}
