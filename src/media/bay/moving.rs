//! A leg on a shared port moves to another shard: what goes with it, and who finds it there.
//!
//! An agent's standing leg is answered by the shard at whose port its page was told to arrive, its
//! *home*. It lives wherever its caller does. What it knows moves with it: SRTP, ICE, DTLS, sequence
//! numbers, statistics. What its page sends still arrives at home, whose crowd knows the addresses and
//! user fragments of all legs of its port; from there it goes after the leg ([`Wire::forward`]). What
//! the page is sent goes out of the home's port, whoever sends it. So the page notices nothing.
//!
//! Bays tell each other by [`Parcel`]s. **Invariant:** parcels between two bays keep their order, and
//! home hears where a leg went before the leg can have gone on from there.
//!
//! Signalling need not wait: whatever is commanded of a leg before it has arrived is put by.

use std::net::SocketAddr;

use super::{Bay, Channel, Leg, Tape, Wire};
use crate::audio::dtmf::Detector;
use crate::base::{LegId, Mono};
use crate::media::Command;
use crate::media::crowd::Shard;
use crate::media::endpoint::Endpoint;
use crate::media::plan::Path;

/// Commands put by for one leg: more than anybody gives in the moment it takes to arrive.
const MOST_PUT_BY: usize = 64;

/// From one bay to another.
#[derive(Debug)]
pub struct Parcel(Content);

#[derive(Debug)]
enum Content {
    /// The leg lives with the receiver from now on. Empty if it was over before it could leave.
    Leg(LegId, Option<Box<Mover>>),
    /// For the table of the receiver's port.
    Notice(LegId, Notice),
}

/// A leg on its way.
#[derive(Debug)]
struct Mover {
    endpoint: Endpoint,
    detector: Option<Box<Detector>>,
}

/// What a port's table has to know of a leg.
#[derive(Debug)]
pub(super) enum Notice {
    /// STUN for it is known by this fragment of ours, too.
    Register(Box<str>),
    /// By this one no more.
    Retire(Box<str>),
    /// It believes this address.
    Learn(SocketAddr),
    Unlearn(SocketAddr),
    /// It lives there now.
    Follow(Shard),
    /// It is over.
    Forget,
}

/// Which port a leg's packets come to, and so who has to know whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// One of its own.
    Own,
    /// This shard's shared port, where it has this seat.
    Here(usize),
    With(Shard),
}

/// A leg of the shared port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub leg: LegId,
    pub at: Whereabouts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// In this slot.
    Here(usize),
    With(Shard),
}

impl Bay {
    /// What another bay is to be given, and which.
    pub fn poll_parcel(&mut self) -> Option<(Shard, Parcel)> {
        self.parcels.pop_front()
    }

    /// A parcel of another bay came.
    pub fn handle_parcel(&mut self, now: Mono, parcel: Parcel, wire: &mut impl Wire, tape: &mut impl Tape) {
        match parcel.0 {
            Content::Leg(id, mover) => {
                if let Some(mover) = mover {
                    self.rouse(now);
                    self.take_in(*mover, wire);
                }
                for command in self.awaited.remove(&id).unwrap_or_default() {
                    self.handle_command(now, command, wire, tape);
                }
            }
            Content::Notice(leg, notice) => {
                if let Some(&seat) = self.seats_of.get(&leg) {
                    self.note(seat, notice);
                }
            }
        }
    }

    /// What came to the leg's home and was forwarded; `buffer` as of [`Bay::handle_packet`].
    pub fn handle_stray(
        &mut self,
        now: Mono,
        leg: LegId,
        from: SocketAddr,
        buffer: &mut [u8],
        length: usize,
        wire: &mut impl Wire,
    ) {
        // If it went on meanwhile, home will know in a moment.
        if let Some(&slot) = self.leg_slots.get(&leg) {
            self.take(now, slot, Channel::Rtp, from, buffer, length, wire);
        }
    }

    /// The leg is on its way here, unless it was quicker than this command.
    pub(super) fn expect(&mut self, leg: LegId) {
        if !self.leg_slots.contains_key(&leg) {
            self.awaited.entry(leg).or_default();
        }
    }

    /// Puts by what is commanded of a leg that is still on its way; gives everything else.
    pub(super) fn put_by(&mut self, command: Command) -> Option<Command> {
        let leg = match &command {
            Command::Amend { leg, .. }
            | Command::Close { leg }
            | Command::Move { leg, .. }
            | Command::Await { leg }
            | Command::Press { leg, .. } => leg,
            _ => return Some(command),
        };
        let Some(waiting) = self.awaited.get_mut(leg) else { return Some(command) };
        // Where it ends up must be known in any case.
        let is_minor = matches!(command, Command::Amend { .. } | Command::Press { .. });
        if !is_minor || waiting.len() < MOST_PUT_BY {
            waiting.push(command);
        } else {
            tracing::warn!(%leg, "too much is commanded of a leg that does not arrive");
        }
        None
    }

    pub(super) fn send_away(&mut self, id: LegId, to: Shard) {
        if to == self.shard {
            return;
        }
        let home = self.leg_slots.get(&id).map(|slot| self.legs[*slot].home);
        if let Some(Home::Here(_) | Home::With(_)) = home
            && let Some(Leg { endpoint, detector, home, .. }) = self.part_with(id)
        {
            match home {
                Home::Here(seat) => self.note(seat, Notice::Follow(to)),
                // It will notice by itself.
                Home::With(shard) if shard == to => {}
                Home::With(shard) => self.mail(shard, Content::Notice(id, Notice::Follow(to))),
                Home::Own => {}
            }
            self.mail(to, Content::Leg(id, Some(Box::new(Mover { endpoint, detector }))));
        } else {
            tracing::debug!(leg = %id, "there is no such leg to be moved");
            self.mail(to, Content::Leg(id, None));
        }
    }

    fn take_in(&mut self, Mover { endpoint, detector }: Mover, wire: &mut impl Wire) {
        let (id, socket) = (endpoint.leg(), endpoint.plan().socket);
        let slot = self.settle(endpoint, detector);
        self.legs[slot].home = match socket.shared_by() {
            Some(shard) if shard != self.shard => Home::With(shard),
            _ => self.seats_of.get(&id).map_or(Home::Own, |seat| {
                self.seats[*seat].at = Whereabouts::Here(slot);
                Home::Here(*seat)
            }),
        };
        self.join_in(slot, wire);
    }

    /// A leg's packets come to the port of its plan from now on.
    pub(super) fn enter_port(&mut self, slot: usize) {
        let endpoint = &self.legs[slot].endpoint;
        let (leg, socket) = (endpoint.leg(), endpoint.plan().socket);
        self.legs[slot].home = match socket.shared_by() {
            None => {
                self.take_socket(socket, slot);
                Home::Own
            }
            Some(shard) if shard == self.shard => {
                let seat = self.seats.insert(Seat { leg, at: Whereabouts::Here(slot) });
                self.seats_of.insert(leg, seat);
                Home::Here(seat)
            }
            Some(shard) => Home::With(shard),
        };
        self.register(slot);
    }

    /// Nothing that comes to the port of its plan is the leg's any more.
    pub(super) fn leave_port(&mut self, slot: usize) {
        self.notify(slot, Notice::Forget);
        self.leave_socket(self.legs[slot].endpoint.plan().socket, slot);
    }

    /// STUN for the leg is known by the user fragment of its plan from now on.
    pub(super) fn register(&mut self, slot: usize) {
        if let Path::Ice { ours, .. } = &self.legs[slot].endpoint.plan().path {
            let ufrag = ours.ufrag.clone();
            self.notify(slot, Notice::Register(ufrag));
        }
    }

    /// Tells the table of a leg's port, wherever that is.
    pub(super) fn notify(&mut self, slot: usize, notice: Notice) {
        match self.legs[slot].home {
            Home::Own => {}
            Home::Here(seat) => self.note(seat, notice),
            Home::With(shard) => {
                let leg = self.legs[slot].endpoint.leg();
                self.mail(shard, Content::Notice(leg, notice));
            }
        }
    }

    fn note(&mut self, seat: usize, notice: Notice) {
        match notice {
            Notice::Register(ufrag) => {
                if self.crowd.register(&ufrag, seat).is_err() {
                    tracing::error!(ufrag = &*ufrag, "two legs have one user fragment");
                }
            }
            Notice::Retire(ufrag) => self.crowd.retire(&ufrag),
            Notice::Learn(from) => {
                if self.crowd.learn(from, seat).is_err() {
                    tracing::debug!(%from, "two legs claim one address");
                }
            }
            Notice::Unlearn(from) => self.crowd.unlearn(from, seat),
            Notice::Follow(shard) => self.seats[seat].at = Whereabouts::With(shard),
            Notice::Forget => {
                self.crowd.forget(seat);
                if let Some(Seat { leg, .. }) = self.seats.remove(seat) {
                    self.seats_of.remove(&leg);
                }
            }
        }
    }

    fn mail(&mut self, to: Shard, content: Content) {
        self.parcels.push_back((to, Parcel(content)));
    }
}
