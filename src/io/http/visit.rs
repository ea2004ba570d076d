//! Pages of other origins, as far as they may ask (the Fetch standard's CORS protocol): what
//! click-to-call needs, from the origins that some `[[click_to_call]]` lists, and nothing else.

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;

use crate::base::BrandId;
use crate::config::Config;

const ROUTES: [&str; 2] = ["/v1/calls", "/v1/calls/{id}"];
const METHODS: [Method; 4] = [Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// A page that may ask though it is not ours.
#[derive(Clone, Debug)]
pub struct Visitor {
    origin: HeaderValue,
    standing: Standing,
}

/// Why it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its origin is of the listener's own names.
    Ours,
    /// Some brand's calls may come from there.
    Listed,
}

impl Visitor {
    pub fn of(request: &Request, standing: Standing, config: &Config) -> Option<Self> {
        let route = request.extensions().get::<MatchedPath>()?;
        let origin = request.headers().get(ORIGIN)?;
        let asks = ROUTES.contains(&route.as_str()) && METHODS.contains(request.method());
        let listed = || config.click_to_call.values().any(|door| is_listed(origin, &door.origins));
        (asks && (standing == Standing::Ours || listed())).then(|| Self { origin: origin.clone(), standing })
    }

    /// Whether calls of this brand may come from there.
    pub fn may_call(&self, brand: &BrandId, config: &Config) -> bool {
        let door = config.click_to_call.get(brand);
        self.standing == Standing::Ours || door.is_some_and(|door| is_listed(&self.origin, &door.origins))
    }

    /// Lets the page read the answer.
    pub fn welcome(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}

/// The answer to a browser that asks first, if this is one.
pub fn preflight(request: &Request) -> Option<Response> {
    let asks =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    asks.then(|| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, PATCH, DELETE"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        response
    })
}

/// Browsers write scheme and host in lower case; so does the configuration.
fn is_listed(origin: &HeaderValue, origins: &[String]) -> bool {
    origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes())
}
