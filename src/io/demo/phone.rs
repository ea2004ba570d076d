//! The agent's telephone: registers, rings, is picked up.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context;

use super::centre::Account;
use super::sound::{Socket, Sound};
use super::user_agent::{Dialog, Incoming, UserAgent};
use crate::base::Codec;

pub struct Phone {
    agent: UserAgent,
    ringing: Option<Incoming>,
    talking: Option<(Dialog, Sound)>,
}

impl Phone {
    /// Returns when it is registered.
    pub async fn register(account: &Account, registrar: SocketAddr) -> anyhow::Result<Self> {
        let mut agent = UserAgent::bind(&account.user, registrar).await?;
        agent.register(&account.password).await?;
        Ok(Self { agent, ringing: None, talking: None })
    }

    pub fn address(&self) -> SocketAddr {
        self.agent.address()
    }

    pub fn is_called(&mut self) -> bool {
        self.agent.is_called()
    }

    /// Returns when the INVITE reached it.
    pub async fn until_ringing(&mut self) -> anyhow::Result<Instant> {
        let incoming = self.agent.until_called().await?;
        let at = incoming.at;
        self.ringing = Some(incoming);
        Ok(at)
    }

    /// Returns when the caller gave up.
    pub async fn until_cancelled(&mut self) -> anyhow::Result<()> {
        let incoming = self.ringing.as_ref().context("the phone does not ring")?;
        self.agent.until_cancelled(incoming).await
    }

    /// Answers in A-law.
    pub async fn pick_up(&mut self) -> anyhow::Result<()> {
        let incoming = self.ringing.take().context("the phone does not ring")?;
        let mut socket = Socket::bind(self.agent.address().ip(), Codec::Pcma).await?;
        let (answer, agreed) = socket.answer(&incoming.request.body)?;
        let dialog = self.agent.answer(&incoming, answer).await?;
        self.talking = Some((dialog, socket.open(agreed)?));
        Ok(())
    }

    pub fn sing(&self, hertz: f64) {
        if let Some((_, sound)) = &self.talking {
            sound.sing(hertz);
        }
    }

    pub async fn until_tone(&mut self, hertz: f64) -> anyhow::Result<()> {
        let (_, sound) = self.talking.as_mut().context("the phone is not picked up")?;
        sound.until_tone(hertz).await
    }

    pub async fn until_hung_up(&mut self) -> anyhow::Result<()> {
        self.agent.until_hung_up().await?;
        self.talking = None;
        Ok(())
    }
}
