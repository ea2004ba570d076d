//! What a refused request still had to say.
//!
//! A request may be answered before its body is read: no key, too large. Closing the connection on
//! octets that nobody read resets it, and the answer is lost on its way (RFC 9112 §9.6). So a little
//! more is read and thrown away; who has yet more to say is told that the connection ends here.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, EXPECT};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::LARGEST_BODY;

/// Read beyond the answer at most: octets, and for how long.
const MOST: usize = 4 * LARGEST_BODY;
const LINGER: Duration = Duration::from_secs(2);

/// Gets back what of a request's body was not read.
#[derive(Debug)]
pub struct Leftover {
    body: Option<oneshot::Receiver<Body>>,
    /// The client waits to be asked for its body (RFC 9110 §10.1.1): reading would ask.
    awaits_permission: bool,
}

/// Lends the body out with the request.
pub fn lend(request: Request) -> (Request, Leftover) {
    let awaits_permission = request.headers().contains_key(EXPECT);
    if request.body().is_end_stream() {
        return (request, Leftover { body: None, awaits_permission });
    }
    let (give_back, body) = oneshot::channel();
    let lend = |body| Body::new(Lent { body, give_back: Some(give_back) });
    (request.map(lend), Leftover { body: Some(body), awaits_permission })
}

impl Leftover {
    /// Before the answer goes: reads the rest, or has the answer say that the connection ends.
    pub async fn settle(self, response: &mut Response) {
        let Some(Ok(body)) = self.body.map(|mut body| body.try_recv()) else { return };
        if self.awaits_permission || !matches!(timeout(LINGER, discard(body)).await, Ok(Rest::Nothing)) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    More,
}

async fn discard(mut body: Body) -> Rest {
    let mut left = MOST;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(frame) = frame else { return Rest::More };
        let Some(still) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return Rest::More };
        left = still;
    }
    Rest::Nothing
}

/// A body that comes back when whoever reads it has had enough.
struct Lent {
    body: Body,
    give_back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(give_back), false) = (self.give_back.take(), self.body.is_end_stream()) {
            // Nobody waits for it: the connection is gone.
            let _ = give_back.send(std::mem::take(&mut self.body));
        }
    }
}
