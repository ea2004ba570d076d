//! HTTP: the API under `/v1`, the agents' WebSocket and page, the door for their browsers' phones,
//! and the operator's listener.
//!
//! It decides nothing of calls: it asks the gateway by its [`Line`] and the store by its face.
//! Everything a browser or a stranger can send ends here: Host and Origin are checked, bodies,
//! rates and connections bounded, keys and passwords verified, and every refusal is a problem
//! (RFC 9457). Nothing is logged that belongs to a person, nor any key, token or password.

mod admin;
mod auth;
mod body;
mod calls;
mod contacts;
mod desktop;
mod docs;
mod guard;
mod handoffs;
mod leftover;
mod listen;
mod live;
mod login;
mod metrics;
mod page;
mod phone;
mod problem;
mod steps;
mod tally;
#[cfg(test)]
mod tests;
mod throttle;
mod visit;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use desktop::PROTOCOL;
pub use listen::{TlsFault, read_certificate};
pub use metrics::Labels;

use self::calls::Door;
use self::guard::Guard;
use self::login::Logins;
use self::problem::Problem;
use self::tally::Tally;
use self::throttle::Throttle;
use crate::config::{Config, Tls};
use crate::io::clock::Clock;
use crate::io::line::Line;
use crate::io::sip::Inlet;
use crate::io::store::Store;
use crate::io::vitals::Vitals;
use crate::sip::Transport;

/// The largest body of a request, in bytes.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// What every request can reach.
struct Api {
    line: Line,
    store: Arc<dyn Store>,
    config: watch::Receiver<Arc<Config>>,
    clock: Clock,
    logins: Logins,
    /// Hand-offs by API key.
    issuers: Mutex<Throttle<String>>,
    door: Door,
    tally: Arc<Tally>,
    vitals: Arc<Vitals>,
    patience: Patience,
    phones: Phones,
    /// Numbers the desktops' connections.
    connections: AtomicU64,
    stop: watch::Receiver<bool>,
}

impl Api {
    fn config(&self) -> Arc<Config> {
        self.config.borrow().clone()
    }
}

/// Where browsers' phones go, and by which listener they come.
#[derive(Debug)]
struct Phones {
    inlet: Inlet,
    transport: Transport,
    local: SocketAddr,
}

/// How long a desktop may be silent.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// The first message is here by then.
    hello: Duration,
    /// Between two pings.
    ping: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { hello: Duration::from_secs(5), ping: Duration::from_secs(20) }
    }
}

/// The listeners at work. Dropped, they end at once.
#[derive(Debug)]
pub struct Serving {
    /// As bound, where the configuration says port 0.
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Serving {
    /// No new connections; desktops are told to come back, answers under way end within seconds.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Binds both listeners and serves. Bind SIP's before: `/readyz` takes them for bound, and phones
/// go in by their inlet.
///
/// `watched` is the configuration in force: what a reload sends counts from the next request on,
/// and the certificate is read again with it. The addresses are those at the start.
pub async fn start(
    watched: watch::Receiver<Arc<Config>>,
    line: Line,
    store: Arc<dyn Store>,
    vitals: Arc<Vitals>,
    clock: Clock,
    inlet: Inlet,
) -> Result<Serving, StartFault> {
    start_with(watched, line, store, vitals, clock, inlet, Patience::default()).await
}

async fn start_with(
    watched: watch::Receiver<Arc<Config>>,
    line: Line,
    store: Arc<dyn Store>,
    vitals: Arc<Vitals>,
    clock: Clock,
    inlet: Inlet,
    patience: Patience,
) -> Result<Serving, StartFault> {
    let config = watched.borrow().clone();
    let bind = async |address| {
        TcpListener::bind(address)
            .await
            .and_then(|tcp| Ok((tcp.local_addr()?, tcp)))
            .map_err(|error| StartFault::Bind(address, error))
    };
    let (listen, http_tcp) = bind(config.http.listen).await?;
    let (admin, admin_tcp) = bind(config.http.admin).await?;
    let (stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let certificate = match &config.http.tls {
        Some(tls) => Some(keep_certificate(tls, watched.clone(), stopping.clone(), &mut tasks)?),
        None => None,
    };
    let tally = Arc::new(Tally::default());
    let guard = |listener, secure| {
        Arc::new(Guard { listener, secure, config: watched.clone(), tally: tally.clone() })
    };
    let transport = if certificate.is_some() { Transport::Wss } else { Transport::Ws };
    let (http_guard, admin_guard) = (guard(listen, certificate.is_some()), guard(admin, false));
    let api = Arc::new(Api {
        line,
        store,
        config: watched,
        clock,
        logins: Logins::new(),
        issuers: Mutex::new(Throttle::new()),
        door: Door::new(),
        tally,
        vitals,
        patience,
        phones: Phones { inlet, transport, local: listen },
        connections: AtomicU64::new(1),
        stop: stopping.clone(),
    });
    let app = router(api.clone()).layer(from_fn_with_state(http_guard, guard::stand));
    tasks.spawn(listen::serve(http_tcp, certificate, app, stopping.clone()));
    let app = admin::router(api).layer(from_fn_with_state(admin_guard, guard::stand));
    tasks.spawn(listen::serve(admin_tcp, None, app, stopping));
    Ok(Serving { listen, admin, stop, tasks })
}

/// Returns once we are to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that `Serving` is gone, which is to stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The certificate as it is now, and from now on whenever the configuration is read again.
fn keep_certificate(
    tls: &Tls,
    mut config: watch::Receiver<Arc<Config>>,
    mut stop: watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<watch::Receiver<Arc<rustls::ServerConfig>>, StartFault> {
    let (to, certificate) = watch::channel(listen::read_certificate(tls).map_err(StartFault::Tls)?);
    config.mark_unchanged();
    tasks.spawn(async move {
        loop {
            tokio::select! {
                changed = config.changed() => if changed.is_err() { return },
                () = stopped(&mut stop) => return,
            }
            let Some(tls) = config.borrow_and_update().http.tls.clone() else { continue };
            match listen::read_certificate(&tls) {
                Ok(certificate) => drop(to.send_replace(certificate)),
                Err(fault) => tracing::error!(%fault, "the old certificate stays in use"),
            }
        }
    });
    Ok(certificate)
}

fn router(api: Arc<Api>) -> Router {
    let calls = OpenApiRouter::new()
        .routes(routes!(calls::post))
        .routes(routes!(calls::renew, calls::hang_up))
        .layer(DefaultBodyLimit::max(calls::LARGEST_BODY));
    let (router, description) = OpenApiRouter::with_openapi(docs::begin())
        .routes(routes!(steps::post))
        .routes(routes!(steps::breakpoints))
        .routes(routes!(contacts::list))
        .routes(routes!(contacts::one))
        .routes(routes!(contacts::recording))
        .routes(routes!(live::queues))
        .routes(routes!(live::agents))
        .routes(routes!(live::set_state))
        .routes(routes!(live::calls))
        .routes(routes!(live::health))
        .routes(routes!(live::reload))
        .routes(routes!(live::drain))
        .routes(routes!(login::log_in, login::log_out))
        .routes(routes!(desktop::open))
        .routes(routes!(phone::open))
        .routes(routes!(handoffs::post))
        .merge(calls)
        .split_for_parts();
    let description = Arc::new(description);
    let router =
        router.route("/openapi.json", get(move || async move { axum::Json(description).into_response() }));
    with_fallbacks(page::add_to(router)).layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(api)
}

/// What is not there, and what cannot be done to what is.
fn with_fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(|| async { Problem::not_found("nothing here; /docs lists what there is") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method; /docs lists what there is")
        })
}

/// Why HTTP cannot be served: the operator's to mend.
#[derive(Debug)]
pub enum StartFault {
    Bind(SocketAddr, io::Error),
    Tls(TlsFault),
}

impl fmt::Display for StartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Tls(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for StartFault {}
