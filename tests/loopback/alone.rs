//! A network and a process tree of a test's own.

use std::process::Command;
use std::time::Duration;

/// Names the test that is to run in the network just made.
const WITHIN: &str = "BATON_TEST_ALONE";
/// The longest any test here takes.
const LIMIT: Duration = Duration::from_secs(100);

/// Makes each `async fn` a test that runs alone.
macro_rules! alone {
    ($($(#[$meta:meta])* async fn $name:ident() $body:block)*) => {$(
        $(#[$meta])*
        #[test]
        fn $name() {
            $crate::loopback::alone::run(concat!(module_path!(), "::", stringify!($name)), async $body);
        }
    )*};
}
pub(super) use alone;

/// Runs the test in a network that has nothing but loopback, as the first process of a tree that
/// dies with it.
pub fn run(name: &str, test: impl Future<Output = ()>) {
    if std::env::var(WITHIN).as_deref() == Ok(name) {
        raise_loopback();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let ended = runtime.block_on(async { tokio::time::timeout(LIMIT, test).await });
        return ended.expect("the test takes too long");
    }
    // Cargo's name of the binary's own crate is no part of a test's name.
    let (_, within) = name.split_once("::").expect("a module's path");
    let mut command = Command::new(way()[0]);
    command.args(&way()[1..]).arg("--").arg(std::env::current_exe().expect("our own path"));
    command.args(["--exact", within, "--nocapture", "--test-threads=1"]).env(WITHIN, name);
    let output = command.output().expect("checked to run");
    print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}", output.status);
}

/// How this machine makes a network: as root, as a user who may, or by sudo.
fn way() -> &'static [&'static str] {
    const WAYS: [&[&str]; 3] = [
        &["unshare", "--net", "--pid", "--fork", "--kill-child"],
        &["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"],
        &[
            "sudo",
            "--non-interactive",
            "--preserve-env",
            "unshare",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
        ],
    ];
    let works = |way: &&[&str]| {
        let tried = Command::new(way[0]).args(&way[1..]).args(["--", "true"]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    let found = WAYS.into_iter().find(works);
    found
        .expect("no private network: `unshare --net` needs root, user namespaces, or sudo without a password")
}

/// A new network's loopback is down.
fn raise_loopback() {
    // SAFETY: `request` outlives the calls, is zeroed plain data, and names its interface with a
    // terminating zero; the kernel writes nothing but its flags.
    let raised = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let raised = libc::ioctl(socket, libc::SIOCSIFFLAGS, &request) == 0;
        libc::close(socket);
        raised
    };
    assert!(raised, "loopback: {}", std::io::Error::last_os_error());
}
