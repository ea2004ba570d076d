//! A browser's phone, as `/sip` sees it: a WebSocket, and SIP by one message a frame (RFC 7118).

use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use md5::{Digest, Md5};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::alone::alone;
use super::carrier::Caller;
use super::centre::{Centre, FRONT, PATIENCE, PHONE_PASSWORD, Site, agent, number};

/// One page with a phone in it.
struct Page<S> {
    socket: WebSocketStream<S>,
    /// Of its Contact, new with every load.
    name: &'static str,
    count: u32,
}

async fn tcp(centre: &Centre) -> TcpStream {
    TcpStream::connect(centre.http).await.expect("a connection")
}

impl<S: AsyncRead + AsyncWrite + Unpin> Page<S> {
    async fn load(centre: &Centre, stream: S, name: &'static str) -> Self {
        let mut request = format!("ws://{}/sip", centre.http).into_client_request().expect("a URL");
        request.headers_mut().insert("sec-websocket-protocol", "sip".parse().expect("a token"));
        let (socket, _) = client_async(request, stream).await.expect("a WebSocket");
        Self { socket, name, count: 0 }
    }

    async fn say(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.expect("the stream is up");
    }

    async fn hear(&mut self) -> String {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
            if let Message::Text(text) = message.expect("the stream is up").expect("a frame") {
                return text.to_string();
            }
        }
    }

    /// Sends what `text` makes of a count and credentials, with those it is then asked for; what
    /// answers it.
    async fn prove(&mut self, method: &str, text: impl Fn(u32, &str) -> String) -> String {
        self.count += 2;
        self.say(text(self.count - 1, "")).await;
        let asked = self.hear().await;
        assert!(asked.starts_with("SIP/2.0 401 "), "{asked}");
        if method == "INVITE" {
            let ack = text(self.count - 1, "").replace("INVITE", "ACK");
            let to = ack.lines().find(|line| line.starts_with("To: ")).expect("written below");
            self.say(ack.replace(to, &format!("To: {}", header(&asked, "To")))).await;
        }
        let challenge = header(&asked, "WWW-Authenticate");
        let of = |name: &str| {
            let (_, rest) = challenge.split_once(&format!("{name}=\"")).expect("quoted");
            rest.split('"').next().expect("closed").to_owned()
        };
        let (realm, nonce) = (of("realm"), of("nonce"));
        let hash =
            |text: String| -> String { Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect() };
        let secret = hash(format!("1001:{realm}:{PHONE_PASSWORD}"));
        let asked_for = hash(format!("{method}:sip:x"));
        let response = hash(format!("{secret}:{nonce}:00000001:c:auth:{asked_for}"));
        let proof = format!(
            "Authorization: Digest algorithm=MD5, username=\"1001\", realm=\"{realm}\", nonce=\"{nonce}\", \
             uri=\"sip:x\", response=\"{response}\", qop=auth, cnonce=\"c\", nc=00000001\r\n"
        );
        self.say(text(self.count, &proof)).await;
        self.hear().await
    }

    async fn register(&mut self) {
        let (name, contact) = (self.name, self.contact());
        // Without Content-Length, which a frame does not need.
        let text = |count: u32, proof: &str| {
            format!(
                "REGISTER sip:127.0.0.1 SIP/2.0\r\n{}To: <sip:1001@127.0.0.1>\r\n\
                 Supported: path, gruu, outbound\r\n\
                 Contact: <{contact}>;reg-id=1;+sip.instance=\"<urn:uuid:page>\";expires=600\r\n{proof}\r\n",
                head(name, count, "REGISTER")
            )
        };
        let taken = self.prove("REGISTER", text).await;
        assert!(taken.starts_with("SIP/2.0 200 "), "{taken}");
        assert!(header(&taken, "Contact").starts_with(&format!("<{}>", self.contact())), "{taken}");
    }

    /// Calls a number; the final response.
    async fn call(&mut self, number: &str) -> String {
        let (name, contact) = (self.name, self.contact());
        let text = |count: u32, proof: &str| {
            format!(
                "INVITE sip:{number}@127.0.0.1 SIP/2.0\r\n{}To: <sip:{number}@127.0.0.1>\r\n\
                 Contact: <{contact};ob>\r\nContent-Type: application/sdp\r\n{proof}\r\n\
                 v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 17000 RTP/AVP 0\r\n",
                head(name, count, "INVITE")
            )
        };
        let mut answer = self.prove("INVITE", text).await;
        while answer.starts_with("SIP/2.0 1") {
            answer = self.hear().await;
        }
        answer
    }

    fn contact(&self) -> String {
        format!("sip:{0}@{0}.invalid;transport=ws", self.name)
    }

    /// A response to a request of the gateway's.
    async fn answer(&mut self, request: &str, status: &str) {
        let copied: String = ["Via", "From", "Call-ID", "CSeq"]
            .map(|name| format!("{name}: {}\r\n", header(request, name)))
            .concat();
        let (to, contact) = (header(request, "To"), self.contact());
        let tag = if to.contains(";tag=") { "" } else { ";tag=page" };
        self.say(format!("SIP/2.0 {status}\r\n{copied}To: {to}{tag}\r\nContact: <{contact};ob>\r\n\r\n"))
            .await;
    }
}

/// What every request of a page has, less its To.
fn head(name: &str, count: u32, method: &str) -> String {
    format!(
        "Via: SIP/2.0/WS {name}.invalid;branch=z9hG4bK{name}{count}\r\nMax-Forwards: 69\r\n\
         From: <sip:1001@127.0.0.1>;tag={name}\r\nCall-ID: {name}-{method}\r\nCSeq: {count} {method}\r\n"
    )
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {message}"))
}

async fn phone_is(centre: &mut Centre, reachable: bool) {
    let is = |line: &serde_json::Value| {
        line["message"] == "phone" && line["agent"] == "ann" && line["reachable"] == reachable
    };
    centre.log.line("what became of the phone", is).await;
}

alone! {
    async fn a_browsers_phone_rings_over_its_own_stream_and_is_gone_with_it() {
        let ann = agent("ann", "1001", "initial = \"ready\"");
        let site = Site::new(&(ann + &number("")), FRONT);
        let mut centre = site.start().await;
        let mut first = Page::load(&centre, tcp(&centre).await, "first").await;
        first.register().await;
        phone_is(&mut centre, true).await;
        // The page is loaded again, and its old stream lingers.
        let mut page = Page::load(&centre, tcp(&centre).await, "second").await;
        page.register().await;

        let caller = Caller::default().dial(&centre);
        let invite = page.hear().await;
        assert!(invite.starts_with(&format!("INVITE {} SIP/2.0\r\n", page.contact())), "{invite}");
        assert!(header(&invite, "Via").starts_with(&format!("SIP/2.0/WS {};", centre.http)), "{invite}");
        assert_eq!(header(&invite, "Contact"), format!("<sip:{};transport=ws>", centre.http));
        page.answer(&invite, "180 Ringing").await;
        centre.stage("ring").await;

        // The old stream's end changes nothing, the new one's takes the call back into the queue.
        drop(first);
        page.socket.close(None).await.expect("closed");
        phone_is(&mut centre, false).await;
        centre.stage("queue").await;
        drop(caller);
    }

    async fn a_browsers_phone_may_call_a_number_of_ours_and_no_other() {
        let site = Site::new(&(agent("ann", "1001", "") + &number("")), FRONT);
        let centre = site.start().await;
        let mut page = Page::load(&centre, tcp(&centre).await, "page").await;
        page.register().await;
        let refused = page.call("+861055559999").await;
        assert!(refused.starts_with("SIP/2.0 403 "), "{refused}");
        let taken = page.call("+861055550000").await;
        assert!(taken.starts_with("SIP/2.0 200 "), "{taken}");
        assert_eq!(header(&taken, "Contact"), format!("<sip:{};transport=ws>", centre.http));
        centre.stage("ivr").await;
    }

    async fn a_browsers_phone_may_come_within_tls() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
        let ann = agent("ann", "1001", "initial = \"ready\"");
        let site = Site::new("", FRONT);
        let http = format!(
            "[http]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ntls = {{ certificate = {:?}, key = {:?} }}\n",
            data.join("one.crt"),
            data.join("one.key")
        );
        site.configure(&http, &(ann + &number("")));
        let mut centre = site.start().await;
        let mut page = Page::load(&centre, tls(&data, tcp(&centre).await).await, "page").await;
        page.register().await;
        phone_is(&mut centre, true).await;
        // The network goes, without a word.
        drop(page);
        phone_is(&mut centre, false).await;
    }
}

async fn tls(data: &Path, tcp: TcpStream) -> tokio_rustls::client::TlsStream<TcpStream> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(data.join("one.crt")).expect("a certificate");
    roots.add(certificate).expect("a root");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS")
}
