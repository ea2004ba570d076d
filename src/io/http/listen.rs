//! Connections: accepted, with or without TLS, bounded in number and in how long they may dawdle.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::stopped;
use crate::config::Tls;

/// Connections at once; those beyond wait to be accepted.
const MOST: usize = 4096;
/// A request's head, and a pause between two requests, end within this.
const HEAD: Duration = Duration::from_secs(30);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Answers under way when we stop end within this.
const GRACE: Duration = Duration::from_secs(5);
/// A request's head fits in this.
const BUFFER: usize = 64 * 1024;
/// After an accept that failed, for want of descriptors most likely.
const PAUSE: Duration = Duration::from_millis(200);

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The certificate in use; `None` in the clear.
pub type Certificate = Option<watch::Receiver<Arc<ServerConfig>>>;

/// Serves until told to stop, then lets what is under way end.
pub async fn serve(tcp: TcpListener, certificate: Certificate, app: Router, mut stop: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(MOST));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&tcp, &room) => accepted,
            Some(_) = connections.join_next() => continue,
            () = stopped(&mut stop) => break,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Small answers leave at once.
        let _ = stream.set_nodelay(true);
        let acceptor =
            certificate.as_ref().map(|certificate| TlsAcceptor::from(certificate.borrow().clone()));
        let (app, stop) = (app.clone(), stop.clone());
        connections.spawn(async move {
            let _place = place;
            match acceptor {
                None => converse(stream, peer, app, stop).await,
                Some(acceptor) => match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, peer, app, stop).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                },
            }
        });
    }
    drop(tcp);
    let ending = async { while connections.join_next().await.is_some() {} };
    // Whatever is left is cut off with `connections`.
    let _ = timeout(GRACE, ending).await;
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(tcp: &TcpListener, room: &Arc<Semaphore>) -> io::Result<Accepted> {
    let place = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = tcp.accept().await?;
    Ok((stream, peer, place))
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    app: Router,
    mut stop: watch::Receiver<bool>,
) {
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        app.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection ended");
    }
}

/// Why TLS cannot be served.
#[derive(Debug)]
pub enum TlsFault {
    Certificate(rustls::pki_types::pem::Error),
    Key(rustls::pki_types::pem::Error),
    /// The key is not the certificate's, or not of a kind we can use.
    Pair(rustls::Error),
}

/// Reads certificate chain and key (PEM). HTTP/1.1 only.
pub fn read_certificate(tls: &Tls) -> Result<Arc<ServerConfig>, TlsFault> {
    let chain = certificates(&tls.certificate).map_err(TlsFault::Certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(TlsFault::Key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsFault::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => write!(f, "http.tls.certificate: {error}"),
            Self::Key(error) => write!(f, "http.tls.key: {error}"),
            Self::Pair(error) => write!(f, "http.tls: {error}"),
        }
    }
}

impl std::error::Error for TlsFault {}
