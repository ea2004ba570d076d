//! The door for browsers' phones: SIP over WebSocket at `/sip`, sub-protocol `sip` (RFC 7118 §4.1).
//!
//! HTTP's part ends with the upgrade. Whose phone it is the SIP endpoint finds out, by digest as with
//! any phone; here only the page it runs in is known, and has been checked like every request's.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::listen::Peer;
use super::problem::Problem;
use crate::sip::{Hop, Limits};

const PROTOCOL: &str = "sip";
/// The library would set aside 128 KiB for every phone.
const READ_AT_ONCE: usize = 4 * 1024;

/// A browser's phone
///
/// SIP over WebSocket (RFC 7118), sub-protocol `sip`: JsSIP, SIP.js and the like register here with
/// their SIP account. One SIP message a WebSocket message. Closed with 1008 when none comes within
/// 10 seconds, 1009 when one is larger than 64 KiB.
#[utoipa::path(
    get, path = "/sip", tag = "agents",
    responses(
        (status = 101, description = "Switched to WebSocket"),
        (status = 400, body = Problem, description = "Not of sub-protocol `sip`"),
        (status = 403, body = Problem, description = "Not from this origin"),
        (status = 426, body = Problem, description = "Not a WebSocket"),
    ),
    security(()),
)]
pub async fn open(
    State(api): State<Arc<Api>>,
    Extension(Peer(remote)): Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let largest = Limits::default().message;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols([PROTOCOL]).max_message_size(largest).max_frame_size(largest),
        Err(rejection) => return refuse(&rejection),
    };
    if upgrade.selected_protocol().is_none() {
        return Problem::bad_request("the sub-protocol is sip").into_response();
    }
    let inlet = api.phones.inlet.clone();
    let hop = Hop { transport: api.phones.transport, local: api.phones.local, remote, stream: None };
    upgrade
        .read_buffer_size(READ_AT_ONCE)
        .on_upgrade(move |socket| async move { inlet.take(socket, hop).await })
}

/// RFC 9110 §15.5.22, RFC 6455 §4.2.2: says what would do.
fn refuse(rejection: &WebSocketUpgradeRejection) -> Response {
    use WebSocketUpgradeRejection::{
        ConnectionNotUpgradable, InvalidConnectionHeader, InvalidUpgradeHeader, InvalidWebSocketVersionHeader,
    };
    let needed: &[(HeaderName, &str)] = match rejection {
        InvalidConnectionHeader(_) | InvalidUpgradeHeader(_) | ConnectionNotUpgradable(_) => {
            &[(CONNECTION, "upgrade"), (UPGRADE, "websocket")]
        }
        InvalidWebSocketVersionHeader(_) => &[(SEC_WEBSOCKET_VERSION, "13")],
        _ => return Problem::bad_request("this is a WebSocket").into_response(),
    };
    let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket of sub-protocol sip");
    let mut response = problem.into_response();
    for (name, value) in needed {
        response.headers_mut().insert(name, axum::http::HeaderValue::from_static(value));
    }
    response
}
