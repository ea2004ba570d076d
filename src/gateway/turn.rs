//! STUN and TURN servers for browsers, with passwords that end by themselves.
//!
//! The scheme that TURN servers share under the name "REST API": the user name begins with the Unix
//! second at which it ends, the password is its HMAC-SHA1 under a secret that server and gateway
//! know. Nothing has to be told to the server.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::base::{AgentId, Wall};
use crate::config;
use crate::cti::IceServer;

/// A working day, and then some: an allocation lives on for as long as it is refreshed.
const LIFE_S: u64 = 24 * 3600;

/// What this agent's browser may use from now on.
pub(super) fn servers(known: &[config::IceServer], agent: &AgentId, now: Wall) -> Vec<IceServer> {
    let server = |server: &config::IceServer| {
        let Some(secret) = &server.secret else {
            return IceServer { urls: server.urls.clone(), username: None, credential: None };
        };
        let username = format!("{}:{agent}", now.as_millis() / 1000 + LIFE_S);
        let credential = Hmac::<Sha1>::new_from_slice(secret.reveal().as_bytes()).ok().map(|mut mac| {
            mac.update(username.as_bytes());
            BASE64_STANDARD.encode(mac.finalize().into_bytes())
        });
        IceServer { urls: server.urls.clone(), username: Some(username), credential }
    };
    known.iter().map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Pii;

    /// As `printf 1714608000:ann | openssl dgst -sha1 -hmac north -binary | base64` says.
    #[test]
    fn a_turn_server_can_tell_its_users_by_the_secret_alone() {
        let known = [
            config::IceServer { urls: vec!["stun:s".into()], secret: None },
            config::IceServer { urls: vec!["turn:t".into()], secret: Some(Pii::new("north".into())) },
        ];
        let now: Wall = "2024-05-01T00:00:00Z".parse().unwrap();
        let told = servers(&known, &AgentId("ann".into()), now);
        assert_eq!((told[0].username.as_deref(), told[0].credential.as_deref()), (None, None));
        assert_eq!(told[1].username.as_deref(), Some("1714608000:ann"));
        assert_eq!(told[1].credential.as_deref(), Some("QiPLOzWaRlelfg93bERKvGGW8YU="));
    }
}
