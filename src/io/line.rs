//! The line to the gateway: how everything in `io` reaches the one task that drives it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::base::{AgentId, Now};
use crate::config::fault::Fault;
use crate::cti::Push;
use crate::gateway::desk::ConnectionId;
use crate::gateway::{Gateway, Input, web};

/// Things the loop has not taken up yet. Past this, senders wait: the loop is never drowned.
pub const LONGEST: usize = 4096;

/// Cheap to clone; one for each room.
#[derive(Clone, Debug)]
pub struct Line {
    to: mpsc::Sender<Ask>,
}

/// Reads the gateway, and sends what it found wherever it is wanted.
type Look = Box<dyn FnOnce(&Gateway, Now) + Send>;

/// What the loop is asked to do.
pub enum Ask {
    Tell(Input),
    /// Look at the gateway as it is between two inputs.
    Look(Look),
    /// A desktop is there: its frames go to `frames`.
    Attach {
        connection: ConnectionId,
        agent: AgentId,
        resume_from: Option<u64>,
        frames: mpsc::Sender<Frame>,
    },
    /// A page or an app asks something of its call.
    Web(web::Request, oneshot::Sender<web::Outcome>),
    /// Read the configuration again, and say what came of it.
    Reload(oneshot::Sender<Result<(), Vec<Fault>>>),
    /// Take no new calls and stop when those that are up have ended.
    Drain,
}

/// What a desktop's connection is to write.
#[derive(Clone, Debug)]
pub enum Frame {
    Push {
        seq: u64,
        push: Arc<Push>,
    },
    /// Somebody else took over: close.
    Dismiss,
}

/// Pages whose requests the gateway has not answered yet: the loop's own table.
#[derive(Debug, Default)]
pub struct Pages {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<web::Outcome>>,
}

impl Pages {
    /// The ticket to ask the gateway with.
    pub fn ask(&mut self, answer: oneshot::Sender<web::Outcome>) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, answer);
        self.last
    }

    pub fn answer(&mut self, ticket: u64, outcome: web::Outcome) {
        if let Some(answer) = self.waiting.remove(&ticket) {
            // Who asked may have gone.
            let _ = answer.send(outcome);
        }
    }
}

/// The loop is gone: the daemon is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl Line {
    pub fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (to, from) = mpsc::channel(LONGEST);
        (Self { to }, from)
    }

    pub async fn tell(&self, input: Input) -> Result<(), Stopped> {
        self.ask(Ask::Tell(input)).await
    }

    /// Tells if there is room; what is only worth a look is not worth waiting for.
    pub fn mention(&self, input: Input) {
        let _ = self.to.try_send(Ask::Tell(input));
    }

    /// What `look` finds, as of one moment.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Gateway, Now) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (to, from) = oneshot::channel();
        let look = move |gateway: &Gateway, now| drop(to.send(look(gateway, now)));
        self.ask(Ask::Look(Box::new(look))).await?;
        from.await.map_err(|_| Stopped)
    }

    pub async fn attach(
        &self,
        connection: ConnectionId,
        agent: AgentId,
        resume_from: Option<u64>,
        frames: mpsc::Sender<Frame>,
    ) -> Result<(), Stopped> {
        self.ask(Ask::Attach { connection, agent, resume_from, frames }).await
    }

    /// What the gateway answers to a page.
    pub async fn web(&self, request: web::Request) -> Result<web::Outcome, Stopped> {
        let (to, from) = oneshot::channel();
        self.ask(Ask::Web(request, to)).await?;
        from.await.map_err(|_| Stopped)
    }

    /// Reads the configuration again. With any fault the old one stays in force.
    pub async fn reload(&self) -> Result<Result<(), Vec<Fault>>, Stopped> {
        let (to, from) = oneshot::channel();
        self.ask(Ask::Reload(to)).await?;
        from.await.map_err(|_| Stopped)
    }

    pub async fn drain(&self) -> Result<(), Stopped> {
        self.ask(Ask::Drain).await
    }

    async fn ask(&self, ask: Ask) -> Result<(), Stopped> {
        self.to.send(ask).await.map_err(|_| Stopped)
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tell(input) => write!(f, "Tell({input:?})"),
            Self::Look(_) => f.write_str("Look"),
            Self::Attach { agent, .. } => write!(f, "Attach({agent})"),
            Self::Web(..) => f.write_str("Web"),
            Self::Reload(_) => f.write_str("Reload"),
            Self::Drain => f.write_str("Drain"),
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the daemon is stopping")
    }
}

impl std::error::Error for Stopped {}
