//! DTLS-SRTP with OpenSSL on the other end, in both roles, with both kinds of certificate: the keys
//! that it exports are the keys that we give out.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use baton::base::{DtlsRole, Fingerprint, MasterKey, Mono, Suite};
use baton::media::dtls::{Certificate, Event, Handshake};

/// Far more than any of it takes.
const ENOUGH: Duration = Duration::from_secs(20);

#[test]
fn openssl_calls_and_exports_the_keys_that_we_have() {
    for (identity, profiles, suite) in [
        (Identity::ecdsa("client"), "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM", Suite::AeadAes128Gcm),
        (
            Identity::rsa("client"),
            "SRTP_AES128_CM_SHA1_32:SRTP_AES128_CM_SHA1_80",
            Suite::AesCm128HmacSha1_80,
        ),
        (Identity::ecdsa("client-256"), "SRTP_AEAD_AES_256_GCM", Suite::AeadAes256Gcm),
        (Identity::ecdsa("client-32"), "SRTP_AES128_CM_SHA1_32", Suite::AesCm128HmacSha1_32),
    ] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap().to_string();
        let mut openssl = identity.openssl("s_client", profiles, suite, &["-connect", &at]);
        let mut output = BufReader::new(openssl.stdout.take().unwrap());

        let mut line = Line::new(socket, None, DtlsRole::Passive, identity.fingerprint);
        let Event::Connected { ours, theirs } = line.next_event() else { panic!("not connected") };
        assert_eq!(ours.suite(), suite);
        assert_eq!(exported(&mut output), material(&theirs, &ours));
        // End of input is how s_client is told to say close_notify.
        drop(openssl.stdin.take());
        assert_eq!(line.next_event(), Event::Closed);
        end(openssl, output);
    }
}

#[test]
fn openssl_is_called_and_exports_the_keys_that_we_have() {
    for (identity, profiles, suite) in [
        (Identity::ecdsa("server"), "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80", Suite::AeadAes128Gcm),
        (Identity::rsa("server"), "SRTP_AES128_CM_SHA1_80", Suite::AesCm128HmacSha1_80),
    ] {
        let options = ["-accept", "127.0.0.1:0", "-Verify", "1", "-naccept", "1"];
        let mut openssl = identity.openssl("s_server", profiles, suite, &options);
        let mut output = BufReader::new(openssl.stdout.take().unwrap());
        let at = find(&mut output, "ACCEPT ").parse().unwrap();

        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut line = Line::new(socket, Some(at), DtlsRole::Active, identity.fingerprint);
        let Event::Connected { ours, theirs } = line.next_event() else { panic!("not connected") };
        assert_eq!(ours.suite(), suite);
        assert_eq!(exported(&mut output), material(&ours, &theirs));
        line.handshake.close();
        line.flush();
        end(openssl, output);
    }
}

/// A certificate with its key, in a file, as OpenSSL likes them.
struct Identity {
    file: PathBuf,
    fingerprint: Fingerprint,
}

impl Identity {
    fn ecdsa(name: &str) -> Self {
        Self::new(&format!("{name}-ecdsa"), &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
    }

    fn rsa(name: &str) -> Self {
        Self::new(&format!("{name}-rsa"), &["rsa:2048"])
    }

    fn new(name: &str, kind: &[&str]) -> Self {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("dtls-{name}.pem"));
        let mut request = Command::new("openssl");
        request.args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=peer", "-newkey"]).args(kind);
        let made =
            request.arg("-keyout").arg(&file).arg("-out").arg(file.with_extension("crt")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut show = Command::new("openssl");
        show.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(file.with_extension("crt"));
        let shown = String::from_utf8(show.output().unwrap().stdout).unwrap();
        let digits = octets(&shown.split('=').nth(1).unwrap().replace(':', ""));
        Self { file, fingerprint: Fingerprint(digits.try_into().unwrap()) }
    }

    fn openssl(&self, role: &str, profiles: &str, suite: Suite, options: &[&str]) -> Child {
        let length = 2 * (suite.key_length() + suite.salt_length());
        Command::new("openssl")
            .args([role, "-dtls1_2", "-use_srtp", profiles, "-keymatexport", "EXTRACTOR-dtls_srtp"])
            .args(["-keymatexportlen", &length.to_string()])
            .arg("-key")
            .arg(&self.file)
            .arg("-cert")
            .arg(self.file.with_extension("crt"))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

/// A handshake on a socket.
struct Line {
    socket: UdpSocket,
    peer: Option<SocketAddr>,
    handshake: Handshake,
    start: Instant,
}

impl Line {
    fn new(socket: UdpSocket, peer: Option<SocketAddr>, role: DtlsRole, theirs: Fingerprint) -> Self {
        let certificate = Certificate::generate().unwrap();
        let handshake = Handshake::new(Mono::ZERO, &certificate, role, Some(theirs));
        Self { socket, peer, handshake, start: Instant::now() }
    }

    fn next_event(&mut self) -> Event {
        let mut datagram = [0; 2048];
        loop {
            self.flush();
            if let Some(event) = self.handshake.poll_event() {
                return event;
            }
            let now = Mono::ZERO + self.start.elapsed();
            assert!(now < Mono::ZERO + ENOUGH, "{:?} gets nowhere", self.handshake);
            let wait = self.handshake.poll_timeout().map_or(ENOUGH, |at| at - now);
            self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).unwrap();
            let received = self.socket.recv_from(&mut datagram);
            let now = Mono::ZERO + self.start.elapsed();
            match received {
                Ok((length, from)) => {
                    let datagram = &datagram[..length];
                    self.peer = Some(from);
                    if self.handshake.progress() == 0 {
                        assert_eq!(self.handshake.hello_in(datagram), Some(0), "its first word is its hello");
                    }
                    self.handshake.receive(now, datagram);
                }
                Err(_) => self.handshake.handle_timeout(now),
            }
        }
    }

    fn flush(&mut self) {
        while let Some(datagram) = self.handshake.poll_transmit() {
            self.socket.send_to(&datagram, self.peer.expect("somebody to answer")).unwrap();
        }
    }
}

/// RFC 5764 §4.2.
fn material(client: &MasterKey, server: &MasterKey) -> Vec<u8> {
    [client.key(), server.key(), client.salt(), server.salt()].concat()
}

fn exported(output: &mut BufReader<ChildStdout>) -> Vec<u8> {
    octets(&find(output, "Keying material: "))
}

/// What follows `label` on its line.
fn find(output: &mut BufReader<ChildStdout>, label: &str) -> String {
    let lines = output.lines().map(Result::unwrap);
    let mut found = lines.filter_map(|line| line.trim_start().strip_prefix(label).map(str::to_owned));
    found.next().unwrap_or_else(|| panic!("OpenSSL did not say {label}"))
}

fn octets(digits: &str) -> Vec<u8> {
    let digits = digits.trim().as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn end(mut openssl: Child, mut output: BufReader<ChildStdout>) {
    drop(openssl.stdin.take());
    output.read_to_end(&mut Vec::new()).unwrap();
    openssl.wait().unwrap();
}
