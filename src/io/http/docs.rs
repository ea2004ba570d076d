//! The API's description: `/openapi.json` from the code, and a page at `/docs` that reads it.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

const ABOUT: &str = "Contact-centre gateway: every caller's breakpoint is on the agent's screen before the phone \
    rings. Times are RFC 3339 in UTC, ids are opaque, errors are problems (RFC 9457).";

/// Everything but the paths, which their handlers bring.
pub fn begin() -> OpenApi {
    let scheme = |what: &str| {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(what.to_owned());
        SecurityScheme::Http(scheme)
    };
    let components = ComponentsBuilder::new()
        .security_scheme("key", scheme("An API key, `PREFIX.SECRET`; `[[api_key]]` grants its scopes."))
        .security_scheme("token", scheme("An agent's token, from `POST /v1/login`."))
        .security_scheme("handoff", scheme("A hand-off's token, from `POST /v1/handoffs`. Good once."))
        .security_scheme("call", scheme("A call's secret, from `POST /v1/calls`."))
        .build();
    let licence =
        LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    let about = InfoBuilder::new()
        .title("Baton")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(licence))
        .build();
    OpenApiBuilder::new().info(about).components(Some(components)).build()
}
