//! Who may: API keys and their scopes (RFC 6750).
//!
//! A key is `PREFIX.SECRET`. The prefix is public and finds the entry; the SHA-256 of the whole
//! is compared. A key carries 128 random bits or more, so a plain hash is enough.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};

use super::Api;
use super::problem::Problem;
use crate::config::{ApiKey, Config, Scope};
use crate::io::secret;
use crate::io::store::IVR_KEY;

/// Longer credentials are not looked at.
const LONGEST: usize = 512;
const REALM: &str = "Bearer realm=\"baton\"";

/// What a call needs: any one of these scopes.
pub trait Needs {
    const ANY_OF: &'static [Scope];
}

macro_rules! needs {
    ($($name:ident: $($scope:ident)|+),* $(,)?) => {$(
        #[derive(Debug)]
        pub struct $name;

        impl Needs for $name {
            const ANY_OF: &'static [Scope] = &[$(Scope::$scope),+];
        }
    )*};
}

needs! {
    StepsWrite: StepsWrite,
    JourneysRead: JourneysRead,
    HandoffsWrite: HandoffsWrite,
    ContactsRead: ContactsRead,
    RecordingsRead: RecordingsRead,
    AgentsRead: AgentsRead | Admin,
    Admin: Admin,
}

/// A request whose key has one of the scopes that `N` names. Refused before the body is read.
#[derive(Debug)]
pub struct Keyed<N> {
    pub key: ApiKey,
    needs: PhantomData<fn() -> N>,
}

impl<N: Needs> FromRequestParts<Arc<Api>> for Keyed<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let key = authorise(&api.config(), &parts.headers, N::ANY_OF)?;
        Ok(Self { key, needs: PhantomData })
    }
}

fn authorise(config: &Config, headers: &HeaderMap, any_of: &[Scope]) -> Result<ApiKey, Problem> {
    let given = bearer(headers)?;
    let sha256 = secret::sha256(given.as_bytes());
    let prefix = given.split_once('.').map_or("", |(prefix, _)| prefix);
    let known = config.api_keys.iter().find(|key| key.prefix == prefix && key.prefix != IVR_KEY);
    // An unknown prefix takes as long as a wrong secret.
    let expected = known.map_or([0; 32], |key| key.sha256);
    let Some(key) = known.filter(|_| is_same(&expected, &sha256)) else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "this key is not known")
            .challenge(format!("{REALM}, error=\"invalid_token\"")));
    };
    if !any_of.iter().any(|scope| key.scopes.contains(scope)) {
        let scopes = any_of.iter().map(name).collect::<Vec<_>>().join(" or ");
        let scope = any_of.first().map(name).unwrap_or_default();
        return Err(Problem::new(StatusCode::FORBIDDEN, format!("this key lacks the scope {scopes}"))
            .challenge(format!("{REALM}, error=\"insufficient_scope\", scope=\"{scope}\"")));
    }
    Ok(key.clone())
}

/// The credentials of `Authorization: Bearer …`.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let refused = |detail| Problem::new(StatusCode::UNAUTHORIZED, detail).challenge(REALM);
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(refused("Authorization: Bearer … is needed, once"));
    };
    let (scheme, credentials) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or_else(|| refused("Authorization is not of the form Bearer …"))?;
    let credentials = credentials.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || credentials.is_empty() || credentials.len() > LONGEST {
        return Err(refused("Authorization is not of the form Bearer …"));
    }
    Ok(credentials)
}

/// Takes the same time wherever they differ.
fn is_same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differs = a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b));
    std::hint::black_box(differs) == 0
}

fn name(scope: &Scope) -> String {
    serde_json::to_value(scope).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}
