//! The least that relaying can cost: a thread that receives a packet and sends it on, and knows
//! nothing of what it carries. A program of its own, measured as the others are; what they take
//! beyond it is theirs, what they take within it is the system's.

use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::process::{Command, ExitCode, Stdio};

use crate::load::{Side, Talk};
use crate::process::Process;

/// The word by which this program is the relay. Behind it: where callers and phones hear, and how
/// many calls there are.
pub const RELAY: &str = "--relay-bare";

/// Of SCHED_RR, as the daemon's media threads have it.
const PRIORITY: libc::c_int = 10;
const LONGEST: usize = 2048;
const AT_ONCE: usize = 256;

pub struct Bare {
    pub process: Process,
    pub calls: Vec<Talk>,
}

impl Bare {
    /// Relays PCMU of so many calls between the two addresses.
    pub fn start([caller, phone]: [SocketAddr; 2], calls: usize) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([RELAY, &caller.to_string(), &phone.to_string(), &calls.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdout.take();
        let process = Process(child);
        let told = BufReader::new(told.ok_or(io::ErrorKind::BrokenPipe)?);
        let sides = told.lines().take(2 * calls).map(|line| {
            let address = line?.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            Ok(Some(Side::new(address, 0)))
        });
        let sides = sides.collect::<io::Result<Vec<_>>>()?;
        let calls = sides.chunks_exact(2).map(|pair| Talk([pair[0], pair[1]])).collect();
        Ok(Self { process, calls })
    }
}

/// Is the relay, until it is killed.
pub fn relay() -> ExitCode {
    let mut words = std::env::args().skip(2);
    let (caller, phone) = (words.next(), words.next());
    let address = |word: Option<String>| word?.parse::<SocketAddr>().ok();
    let calls = words.next().and_then(|word| word.parse().ok());
    let (Some(caller), Some(phone), Some(calls)) = (address(caller), address(phone), calls) else {
        return ExitCode::from(2);
    };
    match pass_on(caller, phone, calls) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("the bare relay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is sent to the even sockets is a caller's, and for the phone.
fn pass_on(caller: SocketAddr, phone: SocketAddr, calls: usize) -> io::Result<std::convert::Infallible> {
    // SAFETY: no memory is passed.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if epoll < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut sockets = Vec::with_capacity(2 * calls);
    for n in 0..2 * calls as u64 {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_nonblocking(true)?;
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: n };
        // SAFETY: both descriptors are open, and `event` is read during the call only.
        if unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
        println!("{}", socket.local_addr()?);
        sockets.push(socket);
    }
    let priority = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: `priority` is read during the call. Where it is not permitted the daemon has it not either.
    unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_RR, &raw const priority) };
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; AT_ONCE];
    let mut packet = [0; LONGEST];
    loop {
        // SAFETY: `events` has room for that many.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), AT_ONCE as libc::c_int, -1) };
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            let n = event.u64 as usize;
            if let Ok((length, _)) = sockets[n].recv_from(&mut packet) {
                let to = if n.is_multiple_of(2) { phone } else { caller };
                // What cannot be sent is lost, and counted where it is missed.
                let _ = sockets[n ^ 1].send_to(&packet[..length], to);
            }
        }
    }
}
