//! A small SIP user agent over UDP: enough of RFC 3261 for a telephone and for a carrier.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::base::Mint;
use crate::io::secret;
use crate::sip::auth::{self, Login};
use crate::sip::{
    CSeq, Headers, Message, Method, Name, NameAddr, Request, Response, Transport, Uri, Value, Via, parse,
};

/// RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
/// How often a message is sent before the peer is taken for dead.
const TRIES: u32 = 5;

pub struct UserAgent {
    user: String,
    address: SocketAddr,
    server: SocketAddr,
    socket: Arc<UdpSocket>,
    arrivals: mpsc::Receiver<Arrival>,
    /// Came while something else was waited for.
    aside: VecDeque<Arrival>,
    mint: Mint,
    _reader: JoinSet<()>,
}

/// A message, and when it was read off the socket.
#[derive(Debug)]
pub struct Arrival {
    pub at: Instant,
    message: Message,
}

/// One end of a call that is up.
#[derive(Debug)]
pub struct Dialog {
    call_id: Value,
    ours: Value,
    theirs: Value,
    target: Uri,
    cseq: u32,
}

/// A call that came and is not answered yet.
#[derive(Debug)]
pub struct Incoming {
    pub at: Instant,
    pub request: Request,
    tag: String,
}

impl UserAgent {
    pub async fn bind(user: &str, server: SocketAddr) -> anyhow::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(SocketAddr::new(server.ip(), 0)).await?);
        let (to, arrivals) = mpsc::channel(256);
        let mut reader = JoinSet::new();
        reader.spawn(read(socket.clone(), server, to));
        Ok(Self {
            user: user.to_owned(),
            address: socket.local_addr()?,
            server,
            socket,
            arrivals,
            aside: VecDeque::new(),
            mint: Mint::new(secret::random()?),
            _reader: reader,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registers, proving who it is when asked (RFC 3261 §22).
    pub async fn register(&mut self, password: &str) -> anyhow::Result<()> {
        let login = Login { user: self.user.clone(), password: password.to_owned().into() };
        let call_id = Value::from(self.mint.hex::<8>());
        let of_record = NameAddr::new(Uri::sip(&self.user, self.server));
        let ours = Value::from(of_record.clone().with_tag(self.mint.hex::<4>()));
        let registrar = Uri::sip("", self.server);
        let mut request =
            self.request(Method::Register, &registrar, &ours, &(&of_record).into(), &call_id, 1);
        request.headers.push(Name::Expires, 3600);
        let asked = self.exchange(&request).await?;
        ensure!(asked.status == 401, "expected a challenge to REGISTER; came {}", asked.status);
        let credentials = asked
            .headers
            .challenges(Name::WwwAuthenticate)
            .flatten()
            .find_map(|asked| auth::answer(&asked, &login, "REGISTER", registrar.as_str(), &mut self.mint))
            .context("expected a challenge by digest; none that can be answered came")?;
        request.headers.replace_first(Name::CSeq, CSeq::new(2, Method::Register));
        let via = self.via();
        request.headers.replace_first(Name::Via, via);
        request.headers.push(Name::Authorization, credentials);
        let answered = self.exchange(&request).await?;
        ensure!(answered.is_success(), "expected 200 to REGISTER; came {}", answered.status);
        Ok(())
    }

    /// Calls a number through the trunk and waits for the answer: the dialog and its SDP.
    pub async fn call(&mut self, number: &str, offer: Bytes) -> anyhow::Result<(Dialog, Bytes)> {
        let target = Uri::sip(number, self.server);
        let call_id = Value::from(self.mint.hex::<8>());
        let ours = NameAddr::new(Uri::sip(&self.user, self.address)).with_tag(self.mint.hex::<4>());
        let ours = Value::from(ours);
        let theirs = Value::from(NameAddr::new(target.clone()));
        let invite = self
            .request(Method::Invite, &target, &ours, &theirs, &call_id, 1)
            .with_body(Value::constant("application/sdp"), offer);
        let response = self.exchange(&invite).await?;
        let mut ack = self.request(Method::Ack, &target, &ours, &theirs, &call_id, 1);
        ack.headers.remove(Name::To);
        ack.headers.copy_from(&response.headers, Name::To);
        if !response.is_success() {
            // RFC 3261 §17.1.1.3: of the same transaction.
            ack.headers.remove(Name::Via);
            ack.headers.copy_from(&invite.headers, Name::Via);
            self.send(&ack.to_bytes()).await?;
            bail!("expected 200 to INVITE; came {} {}", response.status, response.reason.lossy());
        }
        let contact = response.headers.name_addrs(Name::Contact).flatten().next();
        let target = contact.context("expected a Contact in the 200; none came")?.uri;
        ack.uri = target.clone();
        self.send(&ack.to_bytes()).await?;
        let dialog = Dialog { call_id, ours, theirs: as_is(&response.headers, Name::To), target, cseq: 1 };
        Ok((dialog, response.body))
    }

    /// Waits to be called, and rings.
    pub async fn until_called(&mut self) -> anyhow::Result<Incoming> {
        let (at, request) = self.until(Method::Invite).await?;
        let incoming = Incoming { at, request, tag: self.mint.hex::<4>() };
        let ringing = self.response(&incoming.request, 180, &incoming.tag);
        self.send(&ringing.to_bytes()).await?;
        Ok(incoming)
    }

    /// Whether a call has come that nobody waited for yet.
    pub fn is_called(&mut self) -> bool {
        while let Ok(arrival) = self.arrivals.try_recv() {
            self.aside.push_back(arrival);
        }
        let invites = |arrival: &Arrival| matches!(&arrival.message, Message::Request(request) if request.method == Method::Invite);
        self.aside.iter().any(invites)
    }

    /// Waits until the caller gives up (RFC 3261 §9.2).
    pub async fn until_cancelled(&mut self, incoming: &Incoming) -> anyhow::Result<()> {
        let (_, cancel) = self.until(Method::Cancel).await?;
        self.send(&self.response(&cancel, 200, &incoming.tag).to_bytes()).await?;
        self.send(&self.response(&incoming.request, 487, &incoming.tag).to_bytes()).await
    }

    /// Picks up, and waits for the ACK.
    pub async fn answer(&mut self, incoming: &Incoming, answer: Bytes) -> anyhow::Result<Dialog> {
        let invite = &incoming.request;
        let ok =
            self.response(invite, 200, &incoming.tag).with_body(Value::constant("application/sdp"), answer);
        let contact = invite.headers.name_addrs(Name::Contact).flatten().next();
        let dialog = Dialog {
            call_id: as_is(&invite.headers, Name::CallId),
            ours: as_is(&ok.headers, Name::To),
            theirs: as_is(&invite.headers, Name::From),
            target: contact.context("expected a Contact in the INVITE; none came")?.uri,
            cseq: 0,
        };
        let bytes = ok.to_bytes();
        for attempt in 0..TRIES {
            self.send(&bytes).await?;
            // RFC 3261 §13.3.1.4: over UDP a 2xx is repeated until it is acknowledged.
            if let Ok(acknowledged) = timeout(T1 * 2u32.pow(attempt), self.until(Method::Ack)).await {
                acknowledged?;
                return Ok(dialog);
            }
        }
        bail!("expected ACK to the 200; none came")
    }

    pub async fn hang_up(&mut self, dialog: &mut Dialog) -> anyhow::Result<()> {
        dialog.cseq += 1;
        let Dialog { target, ours, theirs, call_id, cseq } = dialog;
        let bye = self.request(Method::Bye, target, ours, theirs, call_id, *cseq);
        let response = self.exchange(&bye).await?;
        ensure!(response.is_success(), "expected 200 to BYE; came {}", response.status);
        Ok(())
    }

    /// Waits until the other end hangs up.
    pub async fn until_hung_up(&mut self) -> anyhow::Result<()> {
        let (_, bye) = self.until(Method::Bye).await?;
        let ok = self.response(&bye, 200, "");
        self.send(&ok.to_bytes()).await
    }

    /// Waits for a request of this method. Others are answered as befits a phone that can little.
    async fn until(&mut self, method: Method) -> anyhow::Result<(Instant, Request)> {
        loop {
            let arrival = match self.aside.pop_front() {
                Some(arrival) => arrival,
                None => self.next().await?,
            };
            let Message::Request(request) = arrival.message else { continue };
            if request.method == method {
                return Ok((arrival.at, request));
            }
            let status = match request.method {
                // A repetition, or the ACK of one.
                Method::Ack | Method::Invite => continue,
                Method::Options => 200,
                Method::Cancel | Method::Bye => {
                    self.send(&self.response(&request, 200, "").to_bytes()).await?;
                    bail!("expected {}; came {}", method.as_str(), request.method.as_str());
                }
                _ => 501,
            };
            self.send(&self.response(&request, status, "").to_bytes()).await?;
        }
    }

    /// Sends a request as often as it takes, and returns its final response (RFC 3261 §17.1).
    async fn exchange(&mut self, request: &Request) -> anyhow::Result<Response> {
        let branch = request.headers.via().ok().and_then(|via| via.branch());
        let bytes = request.to_bytes();
        let method = request.method.as_str();
        for attempt in 0..TRIES {
            self.send(&bytes).await?;
            let mut patience = T1 * 2u32.pow(attempt);
            while let Ok(arrival) = timeout(patience, self.next()).await {
                let arrival = arrival?;
                match arrival.message {
                    Message::Response(response)
                        if response.headers.via().ok().and_then(|via| via.branch()) == branch =>
                    {
                        if !response.is_provisional() {
                            return Ok(response);
                        }
                        // It has arrived: from here on only the answer is waited for.
                        patience = T1 * 2u32.pow(TRIES);
                    }
                    Message::Response(_) => {}
                    Message::Request(_) => self.aside.push_back(arrival),
                }
            }
        }
        bail!("expected an answer to {method}; none came")
    }

    async fn next(&mut self) -> anyhow::Result<Arrival> {
        self.arrivals.recv().await.context("the phone's socket broke")
    }

    async fn send(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.socket.send_to(bytes, self.server).await?;
        Ok(())
    }

    fn request(
        &mut self,
        method: Method,
        uri: &Uri,
        ours: &Value,
        theirs: &Value,
        call_id: &Value,
        cseq: u32,
    ) -> Request {
        let contact = NameAddr::new(Uri::sip(&self.user, self.address));
        Request::new(method.clone(), uri.clone())
            .with(Name::Via, self.via())
            .with(Name::MaxForwards, 70)
            .with(Name::From, ours.clone())
            .with(Name::To, theirs.clone())
            .with(Name::CallId, call_id.clone())
            .with(Name::CSeq, CSeq::new(cseq, method))
            .with(Name::Contact, contact)
    }

    fn response(&self, request: &Request, status: u16, tag: &str) -> Response {
        let contact = NameAddr::new(Uri::sip(&self.user, self.address));
        let response = Response::to(request, status).with(Name::Contact, contact);
        if tag.is_empty() { response } else { response.with_to_tag(tag) }
    }

    fn via(&mut self) -> Via {
        Via::new(Transport::Udp, self.address, &format!("z9hG4bK{}", self.mint.hex::<8>()))
    }
}

fn as_is(headers: &Headers, name: Name<'static>) -> Value {
    Value::from(headers.get(name).map(Bytes::copy_from_slice).unwrap_or_default())
}

async fn read(socket: Arc<UdpSocket>, server: SocketAddr, to: mpsc::Sender<Arrival>) {
    let mut buffer = vec![0; 65_535];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let at = Instant::now();
        let message = parse(Bytes::copy_from_slice(&buffer[..length]));
        if let (Ok(message), true) = (message, from == server)
            && to.send(Arrival { at, message }).await.is_err()
        {
            return;
        }
    }
}
