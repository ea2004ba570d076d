//! The agent's page and the documentation's, embedded.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

macro_rules! page {
    ($($path:literal = $kind:ident $file:literal),* $(,)?) => {
        [$(($path, $kind, include_str!(concat!("../../../web/", $file)))),*]
    };
}

pub fn add_to<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    let pages = page![
        "/" = HTML "index.html",
        "/desk.js" = SCRIPT "desk.js",
        "/phone.js" = SCRIPT "phone.js",
        "/words.js" = SCRIPT "words.js",
        "/desk.css" = STYLE "desk.css",
        "/docs" = HTML "docs.html",
        "/docs.js" = SCRIPT "docs.js",
        "/docs.css" = STYLE "docs.css",
    ];
    pages.into_iter().fold(router, |router, (path, kind, text)| {
        router.route(
            path,
            get(move || async move { ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text) }),
        )
    })
}
