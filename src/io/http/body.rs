//! A request's JSON body and query, read with an answer for everything that can be wrong.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A body of this shape. 415 for another media type, 413 too large, 400 no JSON, 422 another shape.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let what = "the body is to be application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
        }
        let body = Bytes::from_request(request, state).await?;
        serde_json::from_slice(&body).map(Json).map_err(|error| {
            let at = format!("line {}, column {}", error.line(), error.column());
            match error.classify() {
                // Its words name the field, and may repeat a value: only the place is told.
                serde_json::error::Category::Data => {
                    Problem::unprocessable(format!("not of the expected shape at {at}"))
                }
                _ => Problem::bad_request(format!("not JSON at {at}")),
            }
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(kind)) = headers.get(CONTENT_TYPE).map(|kind| kind.to_str()) else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// A query of this shape.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::from_request_parts(parts, state)
            .await
            .map_err(|_: QueryRejection| Problem::bad_request("no such query; /docs lists the parameters"))?;
        Ok(Self(query))
    }
}

/// The one variable part of a path, read as an id; what is no id names nothing.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<S: Send + Sync, T: std::str::FromStr + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let nothing = || Problem::not_found("nothing of that id");
        let Path(name) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|_: PathRejection| nothing())?;
        name.parse().map(Self).map_err(|_| nothing())
    }
}
