//! What every request passes and every answer gets: Host and Origin checked, a time limit, a
//! count, and the headers that keep browsers from doing what nobody asked for.
//!
//! Host is checked because a page anywhere may resolve its own name to our loopback address (DNS
//! rebinding); Origin because a page anywhere may send to us.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tokio::time::timeout;

use super::leftover;
use super::problem::Problem;
use super::tally::Tally;
use super::visit::{self, Standing, Visitor};
use crate::config::Config;

/// A request is answered within this, its body included.
const LONGEST_ANSWER: Duration = Duration::from_secs(20);

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; media-src blob:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Only requests meant for this listener.
#[derive(Debug)]
pub struct Guard {
    /// As bound.
    pub listener: SocketAddr,
    pub secure: bool,
    pub config: watch::Receiver<Arc<Config>>,
    pub tally: Arc<Tally>,
}

pub async fn stand(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    // The route, never the path: that may hold a number.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (request, leftover) = leftover::lend(request);
    let mut response = match guard.admit(&request) {
        Ok(visitor) => {
            let mut response = match visitor.as_ref().and_then(|_| visit::preflight(&request)) {
                Some(response) => {
                    drop(request);
                    response
                }
                None => answer(request, visitor.clone(), next).await,
            };
            if let Some(visitor) = visitor {
                visitor.welcome(response.headers_mut());
            }
            response
        }
        Err(problem) => {
            drop(request);
            problem.into_response()
        }
    };
    leftover.settle(&mut response).await;
    guard.tally.answered(response.status());
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    tracing::debug!(%method, route, status = response.status().as_u16(), "answered");
    guard.protect(response.headers_mut());
    response
}

async fn answer(mut request: Request, visitor: Option<Visitor>, next: Next) -> Response {
    if let Some(visitor) = visitor {
        request.extensions_mut().insert(visitor);
    }
    match timeout(LONGEST_ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "took too long").retry_after(5).into_response()
        }
    }
}

impl Guard {
    /// Also says whether it is a page that may call.
    fn admit(&self, request: &Request) -> Result<Option<Visitor>, Problem> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Problem::bad_request("one Host is needed"));
        };
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let host = host.ok_or_else(|| Problem::bad_request("Host is not a host"))?;
        let config = self.config.borrow().clone();
        let hosts = &config.http.hosts;
        // RFC 9112 §3.2.2: where the target names a host, Host does not count.
        let host = request.uri().authority().unwrap_or(&host);
        if !self.is_ours(host, hosts) {
            return Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "not the name of this server; http.hosts may list more names",
            ));
        }
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let visitor = match (origins.next(), origins.next()) {
            (None, _) => return Ok(None),
            (Some(origin), None) if self.is_friendly(origin, host, hosts) => {
                return Ok(Visitor::of(request, Standing::Ours, &config));
            }
            (Some(_), None) => Visitor::of(request, Standing::Listed, &config),
            _ => None,
        };
        visitor.map(Some).ok_or_else(|| {
            let what = "not from this origin; http.hosts, and for calls click_to_call.origins, may list more";
            Problem::new(StatusCode::FORBIDDEN, what)
        })
    }

    fn is_ours(&self, host: &Authority, hosts: &[String]) -> bool {
        let name = host.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let ours = match bare.parse::<IpAddr>() {
            // An address is what was dialled: it needs no name, so nobody can rebind it.
            Ok(ip) => {
                let listener = self.listener.ip();
                ip == listener || listener.is_unspecified() || listener.is_loopback() && ip.is_loopback()
            }
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        };
        ours || hosts.iter().any(|listed| {
            listed.eq_ignore_ascii_case(name)
                || listed.eq_ignore_ascii_case(host.as_str())
                || authority_of(listed).is_some_and(|listed| listed.eq_ignore_ascii_case(host.as_str()))
        })
    }

    fn is_friendly(&self, origin: &HeaderValue, host: &Authority, hosts: &[String]) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let Some(authority) = authority_of(origin) else { return false };
        let own = authority.eq_ignore_ascii_case(host.as_str());
        own || hosts.iter().any(|listed| {
            let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
            listed.eq_ignore_ascii_case(origin)
                || listed.eq_ignore_ascii_case(authority)
                || listed.eq_ignore_ascii_case(name)
        })
    }

    fn protect(&self, headers: &mut HeaderMap) {
        let mut put = |name: HeaderName, value: &'static str| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        put(CONTENT_SECURITY_POLICY, POLICY);
        put(X_CONTENT_TYPE_OPTIONS, "nosniff");
        put(REFERRER_POLICY, "no-referrer");
        put(CACHE_CONTROL, "no-store");
        put(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        put(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        put(HeaderName::from_static("permissions-policy"), "microphone=(self), camera=(), geolocation=()");
        if self.secure {
            put(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        }
    }
}

/// `host:port` of an origin; `null` has none.
fn authority_of(origin: &str) -> Option<&str> {
    origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))
}
