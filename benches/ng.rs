//! `rtpengine` as the yardstick: the relay that many gateways have their audio done by, told what to
//! do over its ng protocol (bencode over UDP) and run in user space as Baton is.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use baton::base::Codec;

use crate::far;
use crate::load::{Side, Talk};
use crate::process::Process;

pub struct Yardstick {
    pub process: Process,
    control: UdpSocket,
    calls: usize,
}

impl Yardstick {
    /// # Errors
    /// It is not installed, or does not come up.
    pub fn start() -> io::Result<Self> {
        let probe = UdpSocket::bind(("127.0.0.1", 0))?;
        let ng = probe.local_addr()?;
        drop(probe);
        let child = Command::new("rtpengine")
            .args(["--config-file=none", "--foreground", "--log-stderr", "--log-level=1", "--table=-1"])
            .args(["--interface=127.0.0.1", "--port-min=20000", "--port-max=39999"])
            .arg(format!("--listen-ng={ng}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                io::Error::other("rtpengine is not installed (Debian's package rtpengine-daemon)")
            }
            _ => error,
        })?;
        let control = UdpSocket::bind(("127.0.0.1", 0))?;
        control.connect(ng)?;
        control.set_read_timeout(Some(Duration::from_millis(100)))?;
        let this = Self { process: Process(child), control, calls: 0 };
        this.ask("ping", &[("command", "ping")], "")?;
        Ok(this)
    }

    /// A call between PCMU and that codec. `ours` is where the two sides hear.
    pub fn call(&mut self, ours: [SocketAddr; 2], phone: Codec) -> io::Result<Talk> {
        self.calls += 1;
        let id = format!("call-{}", self.calls);
        let codec = match phone {
            Codec::Pcmu => String::new(),
            other => format!("5:codecd4:maskl4:PCMUe9:transcodel{}ee", text(other.name())),
        };
        let sdp =
            |at: SocketAddr, codec, payload_type| far::sdp(&at.to_string(), at.port(), codec, payload_type);
        let offer = sdp(ours[0], Codec::Pcmu, 0);
        let (there, codecs) = self.agree(&id, "offer", &[("from-tag", "a"), ("sdp", &offer)], &codec)?;
        let known = codecs.iter().find(|(name, _)| name.eq_ignore_ascii_case(phone.name()));
        let payload_type = known.map_or(phone.payload_type(), |(_, payload_type)| *payload_type);
        let answer = sdp(ours[1], phone, payload_type);
        let answered = [("from-tag", "a"), ("sdp", &answer), ("to-tag", "b")];
        let (here, _) = self.agree(&id, "answer", &answered, "")?;
        Ok(Talk([Some(Side::new(here, 0)), Some(Side::new(there, payload_type))]))
    }

    pub fn hang_up(&mut self) -> io::Result<()> {
        for n in 1..=std::mem::take(&mut self.calls) {
            let id = format!("call-{n}");
            let words = [("call-id", &*id), ("command", "delete"), ("from-tag", "a")];
            self.ask(&format!("delete-{n}"), &words, "")?;
        }
        Ok(())
    }

    fn agree(
        &self,
        id: &str,
        command: &str,
        words: &[(&str, &str)],
        codec: &str,
    ) -> io::Result<(SocketAddr, Vec<(String, u8)>)> {
        let words = [&[("call-id", id), ("command", command)], words].concat();
        let reply = self.ask(&format!("{id}-{command}"), &words, codec)?;
        let refused = || io::Error::other(format!("rtpengine says {reply}"));
        let body = value(&reply, "sdp").ok_or_else(refused)?;
        let port =
            body.lines().find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()?.parse().ok());
        let port: u16 = port.ok_or_else(refused)?;
        Ok((SocketAddr::from(([127, 0, 0, 1], port)), far::codecs(body)))
    }

    /// `words` are in the order of their keys, with `codec` between `call-id` and `command`.
    fn ask(&self, cookie: &str, words: &[(&str, &str)], codec: &str) -> io::Result<String> {
        let mut message = format!("{cookie} d");
        for (key, value) in words {
            if *key == "command" {
                message += codec;
            }
            message += &text(key);
            message += &text(value);
        }
        message.push('e');
        let mut buffer = [0; 8192];
        for _ in 0..250 {
            self.control.send(message.as_bytes())?;
            while let Ok(length) = self.control.recv(&mut buffer) {
                let reply = String::from_utf8_lossy(&buffer[..length]);
                if let Some(reply) = reply.strip_prefix(cookie).and_then(|reply| reply.strip_prefix(' ')) {
                    return Ok(reply.to_owned());
                }
            }
            // While it starts nobody listens, and the answer to that comes at once.
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(io::Error::other("rtpengine does not answer"))
    }
}

/// A bencoded string.
fn text(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// What a bencoded dictionary holds under that key, if it is a string.
fn value<'r>(reply: &'r str, key: &str) -> Option<&'r str> {
    let (_, rest) = reply.split_once(&text(key))?;
    let (length, rest) = rest.split_once(':')?;
    rest.get(..length.parse().ok()?)
}
