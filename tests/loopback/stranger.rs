//! A SIP peer of the fewest words, over UDP, for what sipp is too well-behaved to do.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::centre::{NUMBER, PATIENCE};

pub struct Stranger {
    pub socket: UdpSocket,
    to: SocketAddr,
    count: u32,
}

impl Stranger {
    pub async fn at(address: &str, to: SocketAddr) -> Self {
        Self::on((address, 0), to).await
    }

    pub async fn on(address: (&str, u16), to: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).await.expect("a port");
        Self { socket, to, count: 0 }
    }

    fn request(&mut self, method: &str, user: &str, body: &str) -> String {
        self.count += 1;
        let (here, n) = (self.socket.local_addr().expect("bound"), self.count);
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} sip:{user}@{} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{n}x{port};rport\r\n\
             From: <sip:13700137000@{here}>;tag=s{n}\r\nTo: <sip:{user}@{}>\r\nCall-ID: {n}@{here}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:s@{here}>\r\nMax-Forwards: 70\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            self.to,
            self.to,
            body.len(),
            port = here.port(),
        )
    }

    /// Calls, and says no more: the first answer that is not provisional.
    pub async fn invite(&mut self) -> String {
        let body = self.clear();
        let request = self.request("INVITE", NUMBER, &body);
        self.send(request.as_bytes()).await;
        loop {
            let answer = self.hear().await;
            if !answer.starts_with("SIP/2.0 1") {
                return answer;
            }
        }
    }

    /// A description of audio in the clear.
    pub fn clear(&self) -> String {
        let ip = self.socket.local_addr().expect("bound").ip();
        format!("v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 17000 RTP/AVP 0\r\n")
    }

    /// Waits until whatever was sent before has been dealt with.
    pub async fn ask(&mut self) {
        let request = self.request("OPTIONS", "baton", "");
        self.send(request.as_bytes()).await;
        let branch = format!("branch=z9hG4bK{}x", self.count);
        while !self.hear().await.contains(&branch) {}
    }

    pub fn options(&mut self) -> String {
        self.request("OPTIONS", "baton", "")
    }

    pub async fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.to).await.expect("loopback takes it");
    }

    /// The next message, whatever it is.
    pub async fn hear(&self) -> String {
        let mut buffer = vec![0; 64 * 1024];
        let heard = timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
        let (length, _) = heard.expect("an answer in time").expect("a datagram");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// The next request of this method, its repetitions and everything else left aside.
    pub async fn asked(&self, method: &str) -> String {
        loop {
            let heard = self.hear().await;
            if heard.starts_with(method) {
                return heard;
            }
        }
    }

    /// Answers a request with 200; a description comes with one to an INVITE.
    pub async fn agree(&self, request: &str, body: &str) {
        let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
        for line in request.lines().filter(|line| copied.iter().any(|name| line.starts_with(name))) {
            let tag = if line.starts_with("To:") && !line.contains(";tag=") { ";tag=s" } else { "" };
            answer += &format!("{line}{tag}\r\n");
        }
        let here = self.socket.local_addr().expect("bound");
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        answer += &format!("Contact: <sip:s@{here}>\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len());
        self.send(answer.as_bytes()).await;
    }
}
