//! Browsers' phones at `/sip`, over WS and WSS.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::*;

/// No Content-Length: the frame says how long it is.
const OPTIONS: &str = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\n\r\n";

trait Wire: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

type Phone<S> = WebSocketStream<S>;

fn request(daemon: &Daemon, headers: &[(&'static str, &str)]) -> tungstenite::http::Request<()> {
    let mut request = format!("ws://{}/sip", daemon.serving.listen).into_client_request().expect("a URL");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a value"));
    }
    request
}

const SIP: (&str, &str) = ("sec-websocket-protocol", "sip");

async fn phone(daemon: &Daemon) -> Phone<TcpStream> {
    let tcp = TcpStream::connect(daemon.serving.listen).await.expect("a connection");
    let (phone, response) = client_async(request(daemon, &[SIP]), tcp).await.expect("a WebSocket");
    assert_eq!(response.headers()[SIP.0], SIP.1);
    phone
}

/// The status that answers an upgrade.
async fn status(daemon: &Daemon, headers: &[(&'static str, &str)]) -> u16 {
    let tcp = TcpStream::connect(daemon.serving.listen).await.expect("a connection");
    match client_async(request(daemon, headers), tcp).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
}

/// The next message, pings left aside. `None`: closed without a word.
async fn next<S: Wire>(phone: &mut Phone<S>) -> Option<Message> {
    loop {
        match within(phone.next()).await?.ok()? {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return Some(message),
        }
    }
}

async fn close_code<S: Wire>(phone: &mut Phone<S>) -> Option<CloseCode> {
    match next(phone).await? {
        Message::Close(frame) => frame.map(|frame| frame.code),
        other => panic!("{other:?}"),
    }
}

impl Daemon {
    async fn received(&mut self) -> (Hop, Bytes) {
        match within(self.heard.recv()).await.expect("it listens") {
            sip::Input::Received { hop, bytes } => (hop, bytes),
            sip::Input::Unreachable { hop } => panic!("unreachable: {hop:?}"),
        }
    }

    async fn unreachable(&mut self) -> Hop {
        match within(self.heard.recv()).await.expect("it listens") {
            sip::Input::Unreachable { hop } => hop,
            sip::Input::Received { hop, bytes } => panic!("{bytes:?} from {hop:?}"),
        }
    }
}

/// What a phone may expect of its stream, in the clear or within TLS.
async fn converse<S: Wire>(daemon: &mut Daemon, phone: &mut Phone<S>, remote: SocketAddr, by: Transport) {
    phone.send(Message::text("\r\n\r\n")).await.expect("sent");
    assert_eq!(next(phone).await, Some(Message::text("\r\n")));

    phone.send(Message::text(OPTIONS)).await.expect("sent");
    let (hop, bytes) = daemon.received().await;
    assert_eq!(bytes, OPTIONS);
    let here = Hop { transport: by, local: daemon.serving.listen, remote, stream: hop.stream };
    assert_eq!((hop, hop.stream.is_some()), (here, true));

    // Not UTF-8, either way.
    phone.send(Message::binary(&b"OPTIONS \xff"[..])).await.expect("sent");
    assert_eq!(daemon.received().await, (hop, Bytes::from_static(b"OPTIONS \xff")));
    for (bytes, message) in [
        (&b"SIP/2.0 200 OK"[..], Message::text("SIP/2.0 200 OK")),
        (b"SIP/2.0 200 \xff", Message::binary(&b"SIP/2.0 200 \xff"[..])),
    ] {
        daemon.sip.send(hop, Bytes::from_static(bytes)).expect("there");
        assert_eq!(next(phone).await, Some(message));
    }
    // Of no stream, or of one that never was, nobody takes it.
    for stream in [None, Some(sip::StreamId(u64::MAX))] {
        let nowhere = Hop { stream, ..hop };
        daemon.sip.send(nowhere, Bytes::from_static(b"x")).expect("found out later");
        assert_eq!(daemon.unreachable().await, nowhere);
    }

    phone.close(None).await.expect("closed");
    assert_eq!(daemon.unreachable().await, hop);
}

#[tokio::test]
async fn a_phone_and_sip_exchange_one_message_a_frame_until_it_closes() {
    let mut daemon = Daemon::start().await;
    let mut phone = phone(&daemon).await;
    let remote = phone.get_ref().local_addr().expect("an address");
    converse(&mut daemon, &mut phone, remote, Transport::Ws).await;
}

#[tokio::test]
async fn a_phone_may_come_within_tls() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    let http =
        format!("tls = {{ certificate = {:?}, key = {:?} }}", data.join("one.crt"), data.join("one.key"));
    let mut daemon = Daemon::with_phones(&http, Limits::default()).await;
    let tcp = TcpStream::connect(daemon.serving.listen).await.expect("a connection");
    let remote = tcp.local_addr().expect("an address");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(anybody()));
    let tls = connector.connect(name, tcp).await.expect("TLS");
    let (mut phone, _) = client_async(request(&daemon, &[SIP]), tls).await.expect("a WebSocket");
    converse(&mut daemon, &mut phone, remote, Transport::Wss).await;
}

#[tokio::test]
async fn only_a_page_of_ours_that_speaks_sip_comes_in() {
    let daemon = Daemon::with_phones("hosts = [\"phones.example\"]", Limits::default()).await;
    let own = format!("http://{}", daemon.serving.listen);
    assert_eq!(status(&daemon, &[SIP, ("origin", &own)]).await, 101);
    assert_eq!(status(&daemon, &[SIP, ("origin", "https://phones.example")]).await, 101);
    assert_eq!(status(&daemon, &[("sec-websocket-protocol", "baton.v1, sip")]).await, 101);
    assert_eq!(status(&daemon, &[SIP, ("origin", "https://elsewhere.example")]).await, 403);
    assert_eq!(status(&daemon, &[SIP, ("origin", "null")]).await, 403);
    assert_eq!(status(&daemon, &[]).await, 400);
    assert_eq!(status(&daemon, &[("sec-websocket-protocol", "baton.v1")]).await, 400);
    assert_eq!(status(&daemon, &[SIP, ("sec-websocket-version", "8")]).await, 426);

    let plain = daemon.ask(Method::GET, "/sip").send().await.expect("an answer");
    assert_eq!((plain.status().as_u16(), &plain.headers()["upgrade"]), (426, &"websocket".parse().unwrap()));
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_stream_with_a_word() {
    let mut daemon = Daemon::start().await;
    let mut phone = phone(&daemon).await;
    phone.send(Message::text(OPTIONS)).await.expect("sent");
    let (hop, _) = daemon.received().await;
    let large = "x".repeat(sip::Limits::default().message + 1);
    phone.send(Message::text(large)).await.expect("sent");
    assert_eq!(daemon.unreachable().await, hop);
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Size));
}

#[tokio::test]
async fn idle_sockets_are_few_at_a_time() {
    let limits = Limits { streams_per_source: 3, ..Limits::default() };
    let mut daemon = Daemon::with_phones("", limits).await;
    let mut idle = vec![];
    for _ in 0..3 {
        let mut phone = phone(&daemon).await;
        // An answer proves that it is in.
        phone.send(Message::text("\r\n\r\n")).await.expect("sent");
        assert_eq!(next(&mut phone).await, Some(Message::text("\r\n")));
        idle.push(phone);
    }
    for _ in 0..10 {
        assert_eq!(next(&mut phone(&daemon).await).await, None);
    }
    assert_eq!(daemon.sip.counts().turned_away.load(Ordering::Relaxed), 10);
    assert_eq!(daemon.sip.counts().streams.load(Ordering::Relaxed), 3);
    // A place that becomes free is the next one's.
    idle[0].close(None).await.expect("closed");
    daemon.unreachable().await;
    within(async {
        while daemon.sip.counts().streams.load(Ordering::Relaxed) == 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    phone(&daemon).await.send(Message::text(OPTIONS)).await.expect("sent");
    daemon.received().await;
}

#[tokio::test]
async fn who_says_nothing_of_sip_in_time_is_sent_away() {
    let limits = Limits { first_message: Duration::from_millis(50), ..Limits::default() };
    let mut daemon = Daemon::with_phones("", limits).await;
    let mut phone = phone(&daemon).await;
    phone.send(Message::text("\r\n\r\n")).await.expect("sent");
    assert_eq!(next(&mut phone).await, Some(Message::text("\r\n")), "which is no message");
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Policy));
    daemon.unreachable().await;
}

#[tokio::test]
async fn a_phone_that_answers_pings_stays_and_one_that_does_not_is_gone() {
    let limits = Limits { ping: Duration::from_millis(40), ..Limits::default() };
    let mut daemon = Daemon::with_phones("", limits).await;
    let mut phone = phone(&daemon).await;
    phone.send(Message::text(OPTIONS)).await.expect("sent");
    let (hop, _) = daemon.received().await;
    for _ in 0..6 {
        // The library answers a ping as it reads.
        assert!(matches!(within(phone.next()).await, Some(Ok(Message::Ping(_)))));
    }
    phone.send(Message::text(OPTIONS)).await.expect("sent");
    assert_eq!(daemon.received().await.0, hop, "it has stayed");
    // From here on nobody reads.
    assert_eq!(daemon.unreachable().await, hop);
}

#[tokio::test]
async fn phones_are_told_when_we_stop() {
    let mut daemon = Daemon::start().await;
    let mut phone = phone(&daemon).await;
    phone.send(Message::text(OPTIONS)).await.expect("sent");
    daemon.received().await;
    let Daemon { sip, .. } = daemon;
    let closing = tokio::spawn(sip.close(Duration::from_secs(5)));
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Away));
    closing.await.expect("closed");
}
