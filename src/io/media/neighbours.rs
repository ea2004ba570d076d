//! What shards hand each other: legs that move, and what comes for them to the port they came from.
//!
//! Each shard has two rings that all others may put something in, and every shard may send by every
//! shared port. **Invariant:** handing over never waits and allocates nothing; the rings' room is
//! taken at the start. A packet that finds none is lost, a leg waits.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::poll::Bell;
use crate::base::LegId;
use crate::media::{Parcel, Shard};

/// Packets that may wait for a shard: 20 ms of a thousand legs.
const STRAYS: usize = 1024;
/// Legs move rarely, and say little of themselves.
const PARCELS: usize = 1024;
/// Longer than any datagram that is not cut to pieces on its way over Ethernet.
const LONGEST: usize = 1500;

/// A packet after a leg that moved.
#[derive(Debug)]
pub(super) struct Stray {
    pub leg: LegId,
    pub from: SocketAddr,
    length: usize,
    bytes: [u8; LONGEST],
}

/// All shards, as seen by one of them.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    own: Shard,
    doors: Arc<[Door]>,
}

/// What others need of a shard.
#[derive(Debug)]
struct Door {
    web: UdpSocket,
    parcels: SyncSender<Parcel>,
    strays: SyncSender<Stray>,
    bell: Arc<Bell>,
}

/// What others gave a shard.
#[derive(Debug)]
pub(super) struct Inbox {
    pub parcels: Receiver<Parcel>,
    pub strays: Receiver<Stray>,
}

/// Something could not be handed over now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom<T>(pub T);

impl Neighbours {
    /// Of the shards with these shared ports and bells, in the order of their numbers. So many that
    /// no number is left for the rest are cut short.
    pub fn all(shards: Vec<(UdpSocket, Arc<Bell>)>) -> Vec<(Self, Inbox)> {
        // Who is alone has nobody to make room for.
        let strays = if shards.len() > 1 { STRAYS } else { 0 };
        let mut inboxes = vec![];
        let mut doors = vec![];
        for (web, bell) in shards {
            let ((parcels, to_unpack), (strays, to_take)) = (sync_channel(PARCELS), sync_channel(strays));
            doors.push(Door { web, parcels, strays, bell });
            inboxes.push(Inbox { parcels: to_unpack, strays: to_take });
        }
        let doors: Arc<[Door]> = doors.into();
        let numbers = (0..=u16::MAX).map_while(Shard::new);
        numbers.zip(inboxes).map(|(own, inbox)| (Self { own, doors: doors.clone() }, inbox)).collect()
    }

    pub const fn own(&self) -> Shard {
        self.own
    }

    /// A shard's shared port.
    pub fn web(&self, shard: Shard) -> Option<&UdpSocket> {
        self.doors.get(shard.number()).map(|door| &door.web)
    }

    /// # Errors
    /// The shard has no room for it now.
    pub fn give(&self, to: Shard, parcel: Parcel) -> Result<(), NoRoom<Parcel>> {
        // One that does not exist, or stopped, needs nothing any more.
        let Some(door) = self.doors.get(to.number()) else { return Ok(()) };
        let given = door.parcels.try_send(parcel);
        door.bell.ring();
        match given {
            Err(TrySendError::Full(parcel)) => Err(NoRoom(parcel)),
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// # Errors
    /// The packet is lost.
    pub fn forward(&self, to: Shard, leg: LegId, from: SocketAddr, packet: &[u8]) -> Result<(), NoRoom<()>> {
        let door = self.doors.get(to.number()).ok_or(NoRoom(()))?;
        let mut stray = Stray { leg, from, length: packet.len(), bytes: [0; LONGEST] };
        stray.bytes.get_mut(..packet.len()).ok_or(NoRoom(()))?.copy_from_slice(packet);
        let sent = door.strays.try_send(stray).map_err(|_| NoRoom(()));
        door.bell.ring();
        sent
    }
}

impl Stray {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<(Neighbours, Inbox)> {
        let door = || (UdpSocket::bind("127.0.0.1:0").unwrap(), Arc::new(Bell::new().unwrap()));
        Neighbours::all(vec![door(), door()])
    }

    #[test]
    fn a_packet_is_forwarded_whole_with_where_it_came_from_and_the_bell_is_rung() {
        let shards = two();
        let (from, there) = (SocketAddr::from(([192, 0, 2, 1], 9)), shards[1].0.own());
        shards[0].0.forward(there, LegId(7), from, b"a packet").unwrap();
        assert!(shards[0].0.doors[1].bell.is_rung() && !shards[0].0.doors[0].bell.is_rung());
        let stray = shards[1].1.strays.try_recv().unwrap();
        assert_eq!((stray.leg, stray.from, stray.bytes()), (LegId(7), from, &b"a packet"[..]));
        assert!(shards[0].1.strays.try_recv().is_err());
    }

    #[test]
    fn what_finds_no_room_is_lost_and_nobody_waits() {
        let shards = two();
        let (from, there) = (SocketAddr::from(([192, 0, 2, 1], 9)), shards[1].0.own());
        let forward = |bytes: &[u8]| shards[0].0.forward(there, LegId(7), from, bytes);
        assert_eq!(forward(&[0; LONGEST + 1]), Err(NoRoom(())));
        for _ in 0..STRAYS {
            forward(&[0; LONGEST]).unwrap();
        }
        assert_eq!(forward(b"one more"), Err(NoRoom(())));
        shards[1].1.strays.try_recv().unwrap();
        assert_eq!(forward(b"one more"), Ok(()));
        assert_eq!(shards[0].0.forward(Shard::new(2).unwrap(), LegId(7), from, b"x"), Err(NoRoom(())));
    }
}
