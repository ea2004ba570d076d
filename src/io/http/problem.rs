//! What went wrong with a request, as `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;

use crate::io::line::Stopped;
use crate::io::store;
use crate::journey::step;

/// An error's answer. It never repeats a secret or a number that was sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The status in words.
    #[schema(example = "Unprocessable Entity")]
    title: &'static str,
    #[schema(example = 422)]
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// Where it is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Flaw>,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after_s: Option<u64>,
    #[serde(skip)]
    #[schema(ignore)]
    challenge: Option<String>,
}

/// One thing to mend.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Flaw {
    /// RFC 6901 pointer into the body that was sent; of a query, the parameter's name.
    #[schema(example = "/0/customer/phone")]
    pointer: String,
    detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: vec![],
            retry_after_s: None,
            challenge: None,
        }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(Flaw { pointer: pointer.into(), detail: detail.into() });
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The value of `WWW-Authenticate` (RFC 6750 §3).
    pub fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        // Strings and numbers only: writing them as JSON cannot fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(Ok(challenge)) = self.challenge.map(HeaderValue::try_from) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<Stopped> for Problem {
    fn from(stopped: Stopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string()).retry_after(5)
    }
}

impl From<store::Fault> for Problem {
    fn from(fault: store::Fault) -> Self {
        let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        // What exactly is broken is the operator's to know, not the client's.
        let detail = match &fault {
            store::Fault::Broken(what) => {
                tracing::error!(what, "store");
                "the store is broken".to_owned()
            }
            fault => fault.to_string(),
        };
        Self::new(status, detail).retry_after(if status == StatusCode::TOO_MANY_REQUESTS { 1 } else { 30 })
    }
}

impl From<store::PostFault> for Problem {
    fn from(fault: store::PostFault) -> Self {
        let detail = fault.to_string();
        match fault {
            store::PostFault::Conflict { index, .. } => Self::new(StatusCode::CONFLICT, detail)
                .at(format!("/{index}/id"), "posted before with other content"),
            store::PostFault::Store(fault) => fault.into(),
        }
    }
}

impl From<store::HandoffFault> for Problem {
    fn from(fault: store::HandoffFault) -> Self {
        match fault {
            store::HandoffFault::UnknownCustomer => {
                Self::unprocessable("no such customer").at("/customer", "no such customer")
            }
            store::HandoffFault::Store(fault) => fault.into(),
        }
    }
}

impl From<Vec<step::Fault>> for Problem {
    fn from(faults: Vec<step::Fault>) -> Self {
        let problem = Self::unprocessable("not a step as POST /v1/steps takes it");
        faults.into_iter().fold(problem, |problem, fault| problem.at(fault.pointer, fault.what))
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        let status = rejection.status();
        let detail = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than is taken here",
            _ => "the body did not arrive whole",
        };
        Self::new(status, detail)
    }
}
