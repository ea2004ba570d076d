//! One media thread: sockets, a timer and a bell around one [`Bay`].
//!
//! **Invariant:** once it runs, no packet and no tick makes it allocate, lock or log.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::neighbours::{Inbox, NoRoom};
use super::poll::{Bell, Ready, Timer};
use super::stock::{FIRST_FREE_TOKEN, Stock, socket_of};
use super::tape::Feed;
use super::{Counts, Report, ShardId};
use crate::base::{ContactId, LegId, Mono};
use crate::io::clock::Clock;
use crate::media::{self, Bay, Command, Parcel, RecordingId, SocketId, TICK};

/// What the thread is told over its ring. It ends when nobody can tell it anything any more.
#[derive(Debug)]
pub(super) enum Order {
    Command(Command),
    Take(SocketId),
    Retire(SocketId),
    /// Whose recording this will be.
    Label(RecordingId, ContactId),
}

#[derive(Debug)]
pub(super) struct Shard {
    id: ShardId,
    clock: Clock,
    bay: Bay,
    inbox: Inbox,
    stock: Stock,
    feed: Feed,
    timer: Timer,
    /// What the timer is set to.
    armed: Option<Mono>,
    chores_at: Mono,
    /// When the stock is next filled up.
    fill_at: Mono,
    bell: Arc<Bell>,
    orders: Receiver<Order>,
    /// Legs with a pair of the stock.
    legs: HashMap<LegId, SocketId>,
    /// For which another shard had no room.
    ungiven: Option<(media::Shard, Parcel)>,
    reports: mpsc::Sender<Report>,
    /// For which the channel had no room.
    untold: Option<Report>,
    counts: Arc<Counts>,
}

const BELL: u64 = FIRST_FREE_TOKEN;
const TIMER: u64 = FIRST_FREE_TOKEN + 1;

/// How often the stock is looked after, and at the least a beat is given.
const CHORES: Duration = Duration::from_millis(100);
/// From one filling of a low stock to the next: 2000 pairs a second, more than calls come.
const FILLING: Duration = Duration::from_millis(4);
/// Pairs bound at one time: some 50 µs each, within which no packet is handled.
const BOUND_AT_ONCE: usize = 8;
/// Datagrams of the shared port handled before others get their turn, and of those forwarded.
const SHARED_AT_ONCE: usize = 32;
/// Longer than any packet of audio, and than any Ethernet frame.
const LONGEST: usize = 2048;
/// Room behind a packet, for what protects it on its way out.
const SPARE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    On,
    Stopped,
}

impl Shard {
    #[expect(clippy::too_many_arguments, reason = "the parts of one thread, put together in one place")]
    pub fn new(
        id: ShardId,
        clock: Clock,
        bay: Bay,
        inbox: Inbox,
        stock: Stock,
        feed: Feed,
        bell: Arc<Bell>,
        orders: Receiver<Order>,
        reports: mpsc::Sender<Report>,
        counts: Arc<Counts>,
    ) -> std::io::Result<Self> {
        let timer = Timer::new()?;
        stock.epoll().add(&*bell, BELL)?;
        stock.epoll().add(&timer, TIMER)?;
        Ok(Self {
            id,
            clock,
            bay,
            inbox,
            stock,
            feed,
            timer,
            armed: None,
            chores_at: clock.mono(),
            fill_at: clock.mono(),
            bell,
            orders,
            legs: HashMap::new(),
            ungiven: None,
            reports,
            untold: None,
            counts,
        })
    }

    pub fn run(mut self) {
        let mut ready = Ready::new();
        let mut buffer = [0; LONGEST + SPARE];
        loop {
            self.keep_time();
            self.tell();
            self.arm();
            self.stock.epoll().wait(&mut ready);
            // First of all: the first packet of a call is not to be lost to the leg's opening.
            if self.bell.is_rung() && self.obey(&mut buffer) == Going::Stopped {
                return;
            }
            let mut n = 0;
            while let Some(token) = ready.token(n) {
                n += 1;
                match token {
                    BELL => {
                        if self.obey(&mut buffer) == Going::Stopped {
                            return;
                        }
                    }
                    TIMER => {
                        self.timer.quiet();
                        self.armed = None;
                    }
                    token => {
                        let (socket, channel) = socket_of(token);
                        let most = if socket.is_shared() { SHARED_AT_ONCE } else { 1 };
                        for _ in 0..most {
                            let room = &mut buffer[..LONGEST];
                            let Some((length, from)) = self.stock.receive(socket, channel, room) else {
                                break;
                            };
                            let (now, stock) = (self.clock.mono(), &mut self.stock);
                            self.bay.handle_packet(now, socket, channel, from, &mut buffer, length, stock);
                        }
                    }
                }
            }
        }
    }

    /// Does what is due by the clock.
    fn keep_time(&mut self) {
        let now = self.clock.mono();
        if self.bay.poll_timeout().is_some_and(|at| at <= now) {
            self.bay.handle_timeout(now, &mut self.stock, &mut self.feed);
            Counts::add(&self.counts.beats);
        }
        if self.chores_at <= now {
            self.chores_at = now + CHORES;
            self.feed.flush();
            Counts::add(&self.counts.beats);
        }
        if self.fill_at <= now {
            // What failed is known to the operator, and tried again, but not in haste.
            let bound = self.stock.fill(now, BOUND_AT_ONCE).unwrap_or(0);
            self.fill_at = now + if bound > 0 && self.stock.is_low() { FILLING } else { CHORES };
        }
    }

    /// Does what it was rung for.
    fn obey(&mut self, buffer: &mut [u8; LONGEST + SPARE]) -> Going {
        self.bell.quiet();
        for _ in 0..SHARED_AT_ONCE {
            // First taken, last done: whatever was said before it was sent counts for it.
            let stray = self.inbox.strays.try_recv();
            if self.obey_orders() == Going::Stopped {
                return Going::Stopped;
            }
            self.unpack();
            let Ok(stray) = stray else { return Going::On };
            let (packet, now) = (stray.bytes(), self.clock.mono());
            let Some(room) = buffer.get_mut(..packet.len()) else { continue };
            room.copy_from_slice(packet);
            self.bay.handle_stray(now, stray.leg, stray.from, buffer, packet.len(), &mut self.stock);
            self.give();
        }
        // The rest after the others' turn.
        self.bell.ring();
        Going::On
    }

    fn obey_orders(&mut self) -> Going {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Command(command)) => self.command(command),
                Ok(Order::Take(socket)) => self.take(socket),
                Ok(Order::Retire(socket)) => self.stock.retire(self.clock.mono(), socket),
                Ok(Order::Label(recording, contact)) => self.feed.label(recording, contact),
                Err(TryRecvError::Empty) => return Going::On,
                Err(TryRecvError::Disconnected) => return Going::Stopped,
            }
        }
    }

    /// Takes in what other shards gave.
    fn unpack(&mut self) {
        while let Ok(parcel) = self.inbox.parcels.try_recv() {
            let now = self.clock.mono();
            self.bay.handle_parcel(now, parcel, &mut self.stock, &mut self.feed);
            self.give();
        }
    }

    /// Gives other shards what is theirs, as far as they have room; the rest waits.
    fn give(&mut self) {
        while let Some((to, parcel)) = self.ungiven.take().or_else(|| self.bay.poll_parcel()) {
            if let Err(NoRoom(parcel)) = self.stock.neighbours().give(to, parcel) {
                self.ungiven = Some((to, parcel));
                return;
            }
        }
    }

    /// What is taken is soon made up for if many are: each filling is a wake-up.
    fn take(&mut self, socket: SocketId) {
        self.stock.take(socket);
        if self.stock.is_low() {
            self.fill_at = self.fill_at.min(self.clock.mono() + FILLING);
        }
    }

    fn command(&mut self, command: Command) {
        let now = self.clock.mono();
        let left = match &command {
            Command::Open { leg, plan } | Command::Amend { leg, plan } if plan.socket.is_shared() => {
                self.legs.remove(leg)
            }
            Command::Open { leg, plan } | Command::Amend { leg, plan } => {
                self.take(plan.socket);
                self.legs.insert(*leg, plan.socket).filter(|before| *before != plan.socket)
            }
            Command::Close { leg } => self.legs.remove(leg),
            _ => None,
        };
        self.bay.handle_command(now, command, &mut self.stock, &mut self.feed);
        // Before any packet is sent after a leg that left.
        self.give();
        // After the leg's last words.
        if let Some(socket) = left {
            self.stock.retire(now, socket);
        }
    }

    /// Tells the gateway and other shards what there is to tell, as far as they have room; the rest
    /// waits.
    fn tell(&mut self) {
        self.give();
        loop {
            let report = self
                .untold
                .take()
                .or_else(|| self.bay.poll_event().map(|event| Report::Event { shard: self.id, event }))
                .or_else(|| {
                    let (socket, address) = self.stock.poll_announcement()?;
                    Some(Report::Stocked { shard: self.id, socket, address })
                });
            let Some(report) = report else { return };
            if let Err(mpsc::error::TrySendError::Full(report)) = self.reports.try_send(report) {
                self.untold = Some(report);
                return;
            }
        }
    }

    fn arm(&mut self) {
        let chores = self.chores_at.min(self.fill_at);
        let mut next = self.bay.poll_timeout().map_or(chores, |at| at.min(chores));
        if self.untold.is_some() || self.ungiven.is_some() {
            // Who had no room may have caught up by then.
            next = next.min(self.clock.mono() + TICK);
        }
        if self.armed != Some(next) {
            self.timer.set(self.clock.kernel(next));
            self.armed = Some(next);
        }
    }
}
