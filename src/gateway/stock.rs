//! Sockets the media shards keep bound ahead of need, so that a 200 OK is written in the turn
//! that reads its INVITE.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::call::leg::Socket;
use crate::media::SocketId;

/// Per shard, oldest first.
#[derive(Debug, Default)]
pub struct Stock {
    shards: Vec<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    sockets: VecDeque<Socket>,
    /// Calls that live on this shard.
    calls: usize,
}

impl Stock {
    pub fn put(&mut self, shard: u16, id: SocketId, address: SocketAddr) {
        let index = usize::from(shard);
        if self.shards.len() <= index {
            self.shards.resize_with(index + 1, Shelf::default);
        }
        self.shards[index].sockets.push_back(Socket { shard, id, address });
    }

    /// Takes the first socket of a new call, on the shard with the fewest calls.
    pub fn take_for_call(&mut self) -> Option<Socket> {
        let shelf = self.shards.iter_mut().filter(|s| !s.sockets.is_empty()).min_by_key(|s| s.calls)?;
        shelf.calls += 1;
        shelf.sockets.pop_front()
    }

    /// Takes a further socket beside those the call has: a contact's legs share one Bay.
    pub fn take_beside(&mut self, shard: u16) -> Option<Socket> {
        self.shards.get_mut(usize::from(shard))?.sockets.pop_front()
    }

    /// The shard for a new call that needs no socket of its own.
    pub fn shard_for_call(&mut self) -> u16 {
        let least = self.shards.iter_mut().enumerate().min_by_key(|(_, shelf)| shelf.calls);
        let Some((shard, shelf)) = least else { return 0 };
        shelf.calls += 1;
        u16::try_from(shard).unwrap_or(0)
    }

    /// Takes the first socket of a new call back: nobody was told of it.
    pub fn put_back(&mut self, socket: Socket) {
        self.call_over(socket.shard);
        if let Some(shelf) = self.shards.get_mut(usize::from(socket.shard))
            && !socket.id.is_shared()
        {
            shelf.sockets.push_front(socket);
        }
    }

    pub fn call_over(&mut self, shard: u16) {
        if let Some(shelf) = self.shards.get_mut(usize::from(shard)) {
            shelf.calls = shelf.calls.saturating_sub(1);
        }
    }

    pub fn available(&self) -> usize {
        self.shards.iter().map(|s| s.sockets.len()).sum()
    }
}
