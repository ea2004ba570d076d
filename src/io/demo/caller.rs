//! The customer's telephone, on the other side of the carrier.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{Codec, Key};

use super::sound::{Music, Socket, Sound};
use super::user_agent::{Dialog, UserAgent};

pub struct Caller {
    agent: UserAgent,
    dialog: Dialog,
    sound: Sound,
}

impl Caller {
    /// Calls from `own` to `number` in µ-law; returns when it is answered.
    pub async fn call(own: &str, number: &str, trunk: SocketAddr) -> anyhow::Result<Self> {
        let mut agent = UserAgent::bind(own, trunk).await?;
        let mut socket = Socket::bind(trunk.ip(), Codec::Pcmu).await?;
        let (dialog, answer) = agent.call(number, socket.offer()).await?;
        let agreed = socket.accept(&answer)?;
        anyhow::ensure!(agreed.events.is_some(), "expected telephone-event in the answer; it has none");
        Ok(Self { agent, dialog, sound: socket.open(agreed)? })
    }

    pub async fn until_greeted(&mut self) -> anyhow::Result<()> {
        self.sound.until_speech().await
    }

    /// The menu has been read out, and waits. Returns how long it spoke.
    pub async fn until_asked(&mut self) -> anyhow::Result<Duration> {
        // The welcome alone is shorter.
        self.sound.until_pause(Duration::from_secs(3)).await
    }

    pub fn press(&self, key: Key) {
        self.sound.press(key);
    }

    pub async fn until_music(&mut self, music: &Arc<Music>) -> anyhow::Result<usize> {
        self.sound.until_music(music).await
    }

    pub async fn until_announced(&mut self, music: &Music, at: usize) -> anyhow::Result<()> {
        self.sound.until_interrupted(music, at).await
    }

    pub fn sing(&self, hertz: f64) {
        self.sound.sing(hertz);
    }

    pub async fn until_tone(&mut self, hertz: f64) -> anyhow::Result<()> {
        self.sound.until_tone(hertz).await
    }

    pub async fn until_hung_up(&mut self) -> anyhow::Result<()> {
        self.agent.until_hung_up().await
    }

    pub async fn hang_up(mut self) -> anyhow::Result<()> {
        self.agent.hang_up(&mut self.dialog).await
    }
}
