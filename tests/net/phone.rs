//! A phone, or the carrier: a small, honest user agent that answers as it was told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use baton::base::{Mint, Mono, Pii};
use baton::sip::auth::{self, Login};
use baton::sip::{Message, Method, Name, Request, Response, Uri, Value, parse};
use bytes::Bytes;

/// RFC 3261 §17.1.1.1: the first repetition, and when to give up.
const T1: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(32);

const REGISTRAR: &str = "sip:10.0.0.1";

/// What a phone does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Rings for so long, then answers.
    Answer(Duration),
    /// Rings for so long, then refuses.
    Refuse(Duration, u16),
    /// Rings until it is cancelled.
    Ring,
    /// Is not there: nothing is ever heard of it.
    Ignore,
}

/// What a caller's INVITE offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    Usual,
    /// Nothing: the offer comes in the 200, the answer goes in the ACK (RFC 3264 §5).
    Delayed,
    /// No codec that we speak.
    Foreign,
}

pub struct Phone {
    pub name: &'static str,
    pub address: SocketAddr,
    pub then: Then,
    /// Nothing reaches it, and nothing comes from it.
    pub gone: bool,
    /// How often it did what, when it was called.
    pub did: BTreeMap<&'static str, u64>,
    /// By Call-ID.
    calls: BTreeMap<Bytes, Call>,
    /// Calls it made, in order.
    made: Vec<Bytes>,
    later: Vec<(Mono, Bytes, u16)>,
    repeats: Vec<Repeat>,
    /// The user it registers as, and for how many seconds.
    registering: Option<(&'static str, u32)>,
    now: Mono,
    count: u64,
}

struct Call {
    /// The INVITE that began it, ours or theirs.
    invite: Request,
    offer: Offer,
    role: Role,
    state: State,
    cseq: u32,
    /// Of the response that made the dialog.
    to: Option<Bytes>,
    target: Option<Uri>,
    /// Final responses to our INVITE, a repetition counted once.
    finals: Vec<(u16, Option<Bytes>)>,
    last: Option<Bytes>,
}

/// What is sent again until it is answered, as a datagram may be lost.
struct Repeat {
    call: Bytes,
    what: What,
    bytes: Bytes,
    at: Mono,
    every: Duration,
    until: Mono,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Until anything is heard.
    Invite,
    /// Until the final response to this CSeq.
    Request(u32),
    /// A final response to an INVITE, until the ACK.
    Answer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Caller,
    Callee,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ringing,
    /// Given up by its caller, who has not heard the end of it.
    Cancelling,
    Up,
    Over,
}

impl Phone {
    pub fn new(name: &'static str, address: SocketAddr, then: Then) -> Self {
        Self {
            name,
            address,
            then,
            gone: false,
            did: BTreeMap::new(),
            calls: BTreeMap::new(),
            made: vec![],
            later: vec![],
            repeats: vec![],
            registering: None,
            now: Mono::ZERO,
            count: 0,
        }
    }

    /// Of a call it made.
    pub fn state(&self, call: usize) -> Option<State> {
        self.calls.get(self.made.get(call)?).map(|call| call.state)
    }

    /// Final responses to each INVITE it sent.
    pub fn finals(&self) -> Vec<Vec<u16>> {
        let made = self.made.iter().filter_map(|id| self.calls.get(id));
        made.map(|call| call.finals.iter().map(|(status, _)| *status).collect()).collect()
    }

    /// Calls that came and are in this state.
    pub fn count(&self, state: State) -> usize {
        self.calls.values().filter(|call| call.role == Role::Callee && call.state == state).count()
    }

    /// Calls of either direction that are not over.
    pub fn open(&self) -> usize {
        self.calls.values().filter(|call| call.state != State::Over).count()
    }

    /// Calls it made that are up.
    pub fn up(&self) -> Vec<usize> {
        (0..self.made.len()).filter(|call| self.state(*call) == Some(State::Up)).collect()
    }

    /// Forgets what is over.
    pub fn forget(&mut self) {
        self.calls.retain(|_, call| call.state != State::Over);
        let calls = &self.calls;
        self.made.retain(|id| calls.contains_key(id));
        self.repeats.retain(|repeat| calls.contains_key(&repeat.call));
    }

    pub fn at(&mut self, now: Mono) -> &mut Self {
        self.now = now;
        self
    }

    /// Calls; returns the call's index among those it made.
    pub fn invite(&mut self, caller: &str, number: &str, offer: Offer) -> (usize, Bytes) {
        self.count += 1;
        let (address, n) = (self.address, self.count);
        let body = match offer {
            Offer::Usual => sdp(address, "sendrecv"),
            Offer::Delayed => String::new(),
            Offer::Foreign => foreign(address),
        };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "INVITE sip:{number}@10.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address};branch=z9hG4bK-{n}-{};rport\r\n\
             From: <sip:{caller}@{address}>;tag=c{n}\r\nTo: <sip:{number}@10.0.0.1>\r\n\
             Call-ID: call-{n}@{address}\r\nCSeq: 1 INVITE\r\nContact: <sip:{caller}@{address}>\r\n\
             Max-Forwards: 70\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            address.port(),
            body.len(),
        );
        let bytes = Bytes::from(text);
        let Ok(Message::Request(invite)) = parse(bytes.clone()) else { panic!("our own INVITE is broken") };
        let id = invite.headers.call_id().expect("written above");
        let call = Call {
            invite,
            offer,
            role: Role::Caller,
            state: State::Ringing,
            cseq: 1,
            to: None,
            target: None,
            finals: vec![],
            last: None,
        };
        self.calls.insert(id.clone(), call);
        self.repeat(&id, What::Invite, &bytes);
        self.made.push(id);
        (self.made.len() - 1, bytes)
    }

    /// Registers for so many seconds; for none it takes its leave. Its password is its user's name.
    pub fn register(&mut self, user: &'static str, seconds: u32) -> Vec<Bytes> {
        self.registering = Some((user, seconds));
        let request = self.registration();
        request.map(|request| request.to_bytes()).into_iter().collect()
    }

    fn registration(&mut self) -> Option<Request> {
        self.count += 1;
        let ((user, seconds), address, n) = (self.registering?, self.address, self.count);
        let text = format!(
            "REGISTER {REGISTRAR} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address};branch=z9hG4bK-r{n};rport\r\n\
             From: <sip:{user}@10.0.0.1>;tag=r\r\nTo: <sip:{user}@10.0.0.1>\r\n\
             Call-ID: register@{address}\r\nCSeq: {n} REGISTER\r\nMax-Forwards: 70\r\n\
             Contact: <sip:{user}@{address}>;expires={seconds}\r\nContent-Length: 0\r\n\r\n",
        );
        let Ok(Message::Request(request)) = parse(text.into()) else { panic!("our REGISTER is broken") };
        Some(request)
    }

    /// The same again, with the password that was asked for.
    fn prove(&mut self, asked: &Response) -> Option<Bytes> {
        let (user, _) = self.registering?;
        let login = Login { user: user.to_owned(), password: Pii::new(user.to_owned()) };
        let challenge = asked.headers.challenges(Name::WwwAuthenticate).flatten().next()?;
        let mut mint = Mint::new([1; 32]);
        let proof = auth::answer(&challenge, &login, "REGISTER", REGISTRAR, &mut mint)?;
        let mut request = self.registration()?;
        request.headers.push(Name::Authorization, proof);
        Some(request.to_bytes())
    }

    pub fn cancel(&mut self, call: usize) -> Vec<Bytes> {
        let Some(id) = self.made.get(call).cloned() else { return vec![] };
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.state == State::Ringing) else {
            return vec![];
        };
        call.state = State::Cancelling;
        let mut cancel = Request::new(Method::Cancel, call.invite.uri.clone());
        for name in [Name::Via, Name::From, Name::To, Name::CallId] {
            cancel.headers.copy_from(&call.invite.headers, name);
        }
        cancel.headers.push(Name::CSeq, Value::constant("1 CANCEL"));
        let bytes = cancel.to_bytes();
        self.repeat(&id, What::Request(1), &bytes);
        vec![bytes]
    }

    /// Hangs up a call it made.
    pub fn bye(&mut self, call: usize) -> Vec<Bytes> {
        let Some(id) = self.made.get(call).cloned() else { return vec![] };
        self.part(&id)
    }

    /// A re-INVITE with this direction: `sendonly` holds, `sendrecv` resumes.
    pub fn reinvite(&mut self, call: usize, direction: &str) -> Vec<Bytes> {
        let body = sdp(self.address, direction);
        self.reinvite_with(call, body)
    }

    /// In no codec that we speak.
    pub fn reinvite_foreign(&mut self, call: usize) -> Vec<Bytes> {
        let body = foreign(self.address);
        self.reinvite_with(call, body)
    }

    fn reinvite_with(&mut self, call: usize, body: String) -> Vec<Bytes> {
        let Some(id) = self.made.get(call).cloned() else { return vec![] };
        self.within(&id, Method::Invite, Some(("application/sdp", body)))
    }

    /// The same in every call that came and is up.
    pub fn reinvite_all(&mut self, direction: &str) -> Vec<Bytes> {
        let body = sdp(self.address, direction);
        let up = self.came(State::Up);
        up.iter()
            .flat_map(|id| self.within(id, Method::Invite, Some(("application/sdp", body.clone()))))
            .collect()
    }

    pub fn info(&mut self, call: usize, key: char) -> Vec<Bytes> {
        let Some(id) = self.made.get(call).cloned() else { return vec![] };
        self.within(
            &id,
            Method::Info,
            Some(("application/dtmf-relay", format!("Signal={key}\r\nDuration=160\r\n"))),
        )
    }

    /// Hangs up every call that came and is up.
    pub fn hang_up(&mut self) -> Vec<Bytes> {
        self.came(State::Up).iter().flat_map(|id| self.part(id)).collect()
    }

    /// Answers, by hand, whatever rings.
    pub fn pick_up(&mut self) -> Vec<Bytes> {
        self.came(State::Ringing).iter().filter_map(|id| self.decide(id, 200)).collect()
    }

    pub fn poll_timeout(&self) -> Option<Mono> {
        let later = self.later.iter().map(|(at, ..)| *at);
        later.chain(self.repeats.iter().map(|repeat| repeat.at)).min()
    }

    pub fn handle_timeout(&mut self) -> Vec<Bytes> {
        let now = self.now;
        let due: Vec<_> = self.later.extract_if(.., |(at, ..)| *at <= now).collect();
        let mut bytes: Vec<_> = due.iter().filter_map(|(_, id, status)| self.decide(id, *status)).collect();
        for repeat in self.repeats.iter_mut().filter(|repeat| repeat.at <= now) {
            bytes.push(repeat.bytes.clone());
            repeat.every = (repeat.every * 2).min(8 * T1);
            repeat.at = now + repeat.every;
        }
        self.repeats.retain(|repeat| repeat.at < repeat.until);
        bytes
    }

    /// What it replies at once.
    pub fn receive(&mut self, bytes: Bytes) -> Vec<Bytes> {
        match parse(bytes) {
            Ok(Message::Request(request)) => self.request(request),
            Ok(Message::Response(response)) => self.response(&response),
            Err(malformed) => panic!("{}: the gateway sent what is no SIP: {malformed:?}", self.name),
        }
    }

    fn request(&mut self, request: Request) -> Vec<Bytes> {
        let address = self.address;
        let id = request.headers.call_id().expect("the gateway writes a Call-ID");
        match request.method {
            Method::Ack => {
                self.repeats.retain(|repeat| repeat.call != id || repeat.what != What::Answer);
                vec![]
            }
            Method::Invite if request.headers.to().is_ok_and(|to| to.tag().is_some()) => {
                vec![respond(address, &request, 200)]
            }
            Method::Invite => {
                if let Some(call) = self.calls.get(&id) {
                    return call.last.iter().cloned().collect();
                }
                let (after, status) = match self.then {
                    Then::Answer(after) => (Some(after), 200),
                    Then::Refuse(after, status) => (Some(after), status),
                    Then::Ring => (None, 0),
                    Then::Ignore => {
                        *self.did.entry("phone is silent").or_default() += 1;
                        return vec![];
                    }
                };
                let ringing = respond(address, &request, 180);
                let call = Call {
                    invite: request,
                    offer: Offer::Usual,
                    role: Role::Callee,
                    state: State::Ringing,
                    cseq: 100,
                    to: None,
                    target: None,
                    finals: vec![],
                    last: Some(ringing.clone()),
                };
                *self.did.entry("phone rings").or_default() += 1;
                self.calls.insert(id.clone(), call);
                if let Some(after) = after {
                    self.later.push((self.now + after, id, status));
                }
                vec![ringing]
            }
            Method::Cancel => {
                // RFC 3261 §9.2: of no effect once it was answered.
                let mut replies = vec![respond(address, &request, 200)];
                if self.calls.get(&id).is_some_and(|call| call.state == State::Ringing) {
                    *self.did.entry("phone is cancelled").or_default() += 1;
                    replies.extend(self.conclude(&id, 487));
                }
                replies
            }
            Method::Bye => {
                let status = match self.calls.get_mut(&id) {
                    Some(call) if call.state == State::Up => {
                        call.state = State::Over;
                        200
                    }
                    _ => 481,
                };
                vec![respond(address, &request, status)]
            }
            _ => vec![respond(address, &request, 200)],
        }
    }

    fn response(&mut self, response: &Response) -> Vec<Bytes> {
        let Ok(cseq) = response.headers.cseq() else { return vec![] };
        if cseq.method == Method::Register {
            let proof = (response.status == 401).then(|| self.prove(response)).flatten();
            return proof.into_iter().collect();
        }
        let Ok(id) = response.headers.call_id() else { return vec![] };
        self.repeats.retain(|repeat| {
            let heard = match repeat.what {
                What::Invite => cseq.number == 1 && cseq.method == Method::Invite,
                What::Request(1) => cseq.method == Method::Cancel && response.status >= 200,
                What::Request(number) => cseq.number == number && response.status >= 200,
                What::Answer => false,
            };
            repeat.call != id || !heard
        });
        if cseq.method != Method::Invite || response.status < 200 {
            return vec![];
        }
        let address = self.address;
        let Some(call) = self.calls.get_mut(&id) else { return vec![] };
        let mut ack = Request::new(Method::Ack, call.invite.uri.clone());
        if response.status < 300 {
            call.to = response.headers.get(Name::To).map(Bytes::copy_from_slice);
            let contact = response.headers.name_addrs(Name::Contact).flatten().next();
            ack.uri = contact.map_or(ack.uri, |contact| contact.uri);
            call.target = Some(ack.uri.clone());
            self.count += 1;
            let via = format!("SIP/2.0/UDP {address};branch=z9hG4bK-a{}", self.count);
            ack.headers.push(Name::Via, Value::new(via).expect("plain"));
        } else {
            ack.headers.copy_from(&response.headers, Name::Via);
        }
        for name in [Name::From, Name::To, Name::CallId] {
            ack.headers.copy_from(&response.headers, name);
        }
        ack.headers.push(Name::CSeq, Value::new(format!("{} ACK", cseq.number)).expect("plain"));
        if call.offer == Offer::Delayed && response.status < 300 && cseq.number == 1 {
            ack = ack.with_body(Value::constant("application/sdp"), sdp(address, "sendrecv"));
        }
        let mut bytes = vec![ack.to_bytes()];
        if cseq.number == 1 && call.role == Role::Caller {
            let tag = response.headers.to().ok().and_then(|to| to.tag());
            let end = (response.status, tag);
            if !call.finals.contains(&end) {
                call.finals.push(end);
            }
            match call.state {
                State::Ringing | State::Cancelling if response.status >= 300 => call.state = State::Over,
                State::Ringing => call.state = State::Up,
                // The 200 crossed our CANCEL: RFC 3261 §15.
                State::Cancelling => {
                    call.state = State::Up;
                    bytes.extend(self.part(&id));
                }
                State::Up | State::Over => {}
            }
        }
        bytes
    }

    fn came(&self, state: State) -> Vec<Bytes> {
        let calls = self.calls.iter().filter(|(_, call)| call.role == Role::Callee && call.state == state);
        calls.map(|(id, _)| id.clone()).collect()
    }

    /// Whoever has the phone answers or refuses, if it still rings.
    fn decide(&mut self, id: &Bytes, status: u16) -> Option<Bytes> {
        self.calls.get(id).filter(|call| call.state == State::Ringing)?;
        let did = if status < 300 { "phone answers" } else { "phone refuses" };
        *self.did.entry(did).or_default() += 1;
        self.conclude(id, status)
    }

    fn conclude(&mut self, id: &Bytes, status: u16) -> Option<Bytes> {
        let address = self.address;
        let call = self.calls.get_mut(id)?;
        let answer = respond(address, &call.invite, status);
        call.state = if status < 300 { State::Up } else { State::Over };
        call.last = Some(answer.clone());
        self.repeat(id, What::Answer, &answer);
        Some(answer)
    }

    fn part(&mut self, id: &Bytes) -> Vec<Bytes> {
        let bye = self.within(id, Method::Bye, None);
        if let (Some(call), false) = (self.calls.get_mut(id), bye.is_empty()) {
            call.state = State::Over;
        }
        bye
    }

    fn repeat(&mut self, call: &Bytes, what: What, bytes: &Bytes) {
        let (at, until) = (self.now + T1, self.now + PATIENCE);
        self.repeats.push(Repeat { call: call.clone(), what, bytes: bytes.clone(), at, every: T1, until });
    }

    /// A request within a dialog that is up.
    fn within(&mut self, id: &Bytes, method: Method, body: Option<(&'static str, String)>) -> Vec<Bytes> {
        self.count += 1;
        let (address, count) = (self.address, self.count);
        let Some(call) = self.calls.get_mut(id).filter(|call| call.state == State::Up) else { return vec![] };
        call.cseq += 1;
        let cseq = call.cseq;
        let uri = match call.role {
            Role::Caller => call.target.clone(),
            Role::Callee => call.invite.headers.name_addrs(Name::Contact).flatten().next().map(|c| c.uri),
        };
        let mut request = Request::new(method.clone(), uri.unwrap_or_else(|| call.invite.uri.clone()));
        let via = format!("SIP/2.0/UDP {address};branch=z9hG4bK-w{count};rport");
        request.headers.push(Name::Via, Value::new(via).expect("plain"));
        match call.role {
            Role::Caller => {
                request.headers.copy_from(&call.invite.headers, Name::From);
                let to = call.to.clone().unwrap_or_default();
                request.headers.push(Name::To, Value::new(to).expect("as received"));
            }
            Role::Callee => {
                let ours = call.invite.headers.to().expect("parsed").with_tag("phone");
                request.headers.push(Name::From, &ours);
                let theirs =
                    call.invite.headers.get(Name::From).map(Bytes::copy_from_slice).unwrap_or_default();
                request.headers.push(Name::To, Value::new(theirs).expect("as received"));
            }
        }
        request.headers.copy_from(&call.invite.headers, Name::CallId);
        request.headers.push(Name::CSeq, Value::new(format!("{cseq} {}", method.as_str())).expect("plain"));
        request.headers.push(Name::MaxForwards, Value::constant("70"));
        let contact = format!("<sip:phone@{address}>");
        request.headers.push(Name::Contact, Value::new(contact).expect("plain"));
        if let Some((kind, body)) = body {
            request = request.with_body(Value::constant(kind), body);
        }
        let bytes = request.to_bytes();
        self.repeat(id, What::Request(cseq), &bytes);
        vec![bytes]
    }
}

fn foreign(address: SocketAddr) -> String {
    sdp(address, "sendrecv").replace("AVP 8 0 101", "AVP 18")
}

fn respond(address: SocketAddr, request: &Request, status: u16) -> Bytes {
    let mut response = Response::to(request, status).with_to_tag("phone");
    let contact = format!("<sip:phone@{address}>");
    response.headers.push(Name::Contact, Value::new(contact).expect("plain"));
    if status == 200 && request.method == Method::Invite {
        response = response.with_body(Value::constant("application/sdp"), sdp(address, "sendrecv"));
    }
    response.to_bytes()
}

pub fn sdp(address: SocketAddr, direction: &str) -> String {
    let ip = address.ip();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na={direction}\r\n"
    )
}
