//! What the endpoint remembers: transactions either way, usages, and when each wants to be woken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::base::{AgentId, LegId, Mono, TrunkId};
use crate::sip::dialog::{Dialog, Wayback};
use crate::sip::endpoint::Body;
use crate::sip::transaction::client::Client;
use crate::sip::transaction::invite_client::InviteClient;
use crate::sip::transaction::invite_server::InviteServer;
use crate::sip::transaction::server::Server;
use crate::sip::transaction::{Backoff, T2};
use crate::sip::{Headers, Hop, Method, Request, Value, Via};

/// One request of a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AskedId(pub u64);

/// One request of ours: its branch, and which of the two that may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SentId {
    pub branch: u64,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Request,
    Cancel,
}

/// A request of a peer's and its server transaction.
#[derive(Debug)]
pub(super) struct Asked {
    pub machine: Answering,
    pub method: Method,
    /// What responses copy: Via, From, To with our tag, Call-ID, CSeq, Record-Route.
    pub headers: Headers,
    pub hop: Hop,
    /// Where responses go when the stream the request came by is lost (RFC 3261 §18.2.2).
    pub fallback: Hop,
    pub leg: Option<LegId>,
    pub key: Key,
    pub merge: Option<Key>,
    pub armed: Option<Mono>,
}

#[derive(Debug)]
pub(super) enum Answering {
    Invite(InviteServer),
    Other(Server),
}

/// A request of ours and its client transaction.
#[derive(Debug)]
pub(super) struct Sent {
    pub machine: Sending,
    pub request: Request,
    pub hop: Hop,
    /// Where the request goes once more when its stream is lost.
    pub fallback: Option<Hop>,
    pub purpose: Purpose,
    /// Whose login answers a challenge.
    pub trunk: Option<TrunkId>,
    pub wayback: Wayback,
    /// The nonces already answered for this request, through all its tries.
    pub nonces: Vec<Vec<u8>>,
    /// Each 2xx to an INVITE by its To tag, and the ACK it got.
    pub answers: Vec<Answer>,
    /// What the CANCEL is to give as its reason.
    pub cancel_reason: Option<Value>,
    pub armed: Option<Mono>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub tag: Option<Bytes>,
    /// `None`: the layer above has not given it yet.
    pub ack: Option<(Hop, Bytes)>,
}

#[derive(Debug)]
pub(super) enum Sending {
    Invite(InviteClient),
    Other(Client),
}

/// What a request of ours was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Call(LegId),
    Reoffer(LegId),
    Inform(LegId),
    Bye(LegId),
    /// Nobody waits for the outcome: CANCELs, and BYEs to forks.
    Courtesy,
}

/// What tells one request from all others (RFC 3261 §17.2.3), in one comparable string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Box<[u8]>);

impl Key {
    /// The transaction a request belongs to; of an ACK or CANCEL, its INVITE's.
    pub fn transaction(request: &Request, via: &Via) -> Self {
        let method = match request.method {
            Method::Ack | Method::Cancel => Method::Invite,
            ref method => method.clone(),
        };
        let mut key = Vec::with_capacity(96);
        match via.branch() {
            Some(branch) if branch.strip_prefix(b"z9hG4bK").is_some_and(|id| !id.is_empty()) => {
                key.extend_from_slice(&branch);
            }
            // RFC 2543's way, and where the cookie stands alone (RFC 4475 §3.2.1). The To tag is left
            // out, for an ACK has one where its INVITE had none.
            branch => {
                key.extend(branch.into_iter().flatten());
                key.push(b' ');
                key.extend_from_slice(&merge_parts(&request.headers));
                key.extend_from_slice(request.uri.as_bytes());
            }
        }
        key.push(b' ');
        key.extend(via.host_bytes().iter().map(u8::to_ascii_lowercase));
        key.extend_from_slice(&via.port.unwrap_or(0).to_be_bytes());
        key.extend_from_slice(method.as_str().as_bytes());
        Self(key.into())
    }

    /// RFC 3261 §8.2.2.2: the same for all copies of a request that came by several ways.
    pub fn merge(request: &Request) -> Self {
        let mut key = merge_parts(&request.headers);
        key.extend_from_slice(request.method.as_str().as_bytes());
        Self(key.into())
    }
}

fn merge_parts(headers: &Headers) -> Vec<u8> {
    let mut key = Vec::with_capacity(96);
    key.extend(headers.from().ok().and_then(|from| from.tag()).into_iter().flatten());
    key.push(b' ');
    key.extend(headers.call_id().into_iter().flatten());
    key.push(b' ');
    key.extend_from_slice(&headers.cseq().map_or(0, |cseq| cseq.number).to_be_bytes());
    key
}

/// One dialog usage: what the layer above calls a leg.
#[derive(Debug)]
pub(super) struct Usage {
    pub far: Far,
    pub tag: u64,
    pub phase: Phase,
    pub armed: Option<Mono>,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Far {
    Trunk(TrunkId),
    Agent(AgentId),
    Address,
}

impl Far {
    pub fn wayback(&self) -> Wayback {
        match self {
            Self::Agent(_) => Wayback::Flow,
            Self::Trunk(_) | Self::Address => Wayback::Target,
        }
    }

    pub fn trunk(&self) -> Option<TrunkId> {
        match self {
            Self::Trunk(trunk) => Some(trunk.clone()),
            Self::Agent(_) | Self::Address => None,
        }
    }
}

/// Where a usage stands. From `Cancelling` on nothing of it comes up any more.
#[derive(Debug)]
pub(super) enum Phase {
    /// Our INVITE is out; each callee that rings is an early dialog.
    Calling { invite: SentId, early: Vec<Dialog> },
    /// Their INVITE is owed a final response.
    Ringing { invite: AskedId, dialog: Dialog },
    /// A 2xx went one way or the other.
    Up(Box<Up>),
    /// Hung up while ours was ringing. A 2xx may yet cross.
    Cancelling { invite: SentId },
    /// Hung up before their ACK came: RFC 3261 §15 has the BYE wait for it.
    Parting { dialog: Dialog, unacked: Unacked, reason: Option<Value> },
    /// Our BYE is out.
    Leaving { dialog: Dialog },
}

#[derive(Debug)]
pub(super) struct Up {
    pub dialog: Dialog,
    /// Our 2xx, until its ACK comes.
    pub unacked: Option<Unacked>,
    /// Their 2xx to this INVITE waits for the layer above's ACK.
    pub ack_due: Option<SentId>,
    /// Their re-INVITE or UPDATE waits for the layer above's answer.
    pub asked: Option<AskedId>,
    pub reoffer: Option<Reoffer>,
}

/// A re-INVITE of ours.
#[derive(Debug)]
pub(super) enum Reoffer {
    Sent {
        invite: SentId,
        body: Option<Body>,
    },
    /// It met one of theirs; RFC 3261 §14.1 has it wait a while.
    Waiting {
        at: Mono,
        body: Option<Body>,
    },
}

/// A 2xx of ours that is repeated until its ACK comes (RFC 3261 §13.3.1.4).
#[derive(Debug)]
pub(super) struct Unacked {
    pub invite: AskedId,
    /// Of the INVITE's CSeq, which the ACK repeats.
    pub number: u32,
    pub response: Bytes,
    pub backoff: Backoff,
    pub until: Mono,
    pub opening: Opening,
}

/// Whether the 2xx opened the dialog: only then must a BYE wait for its ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    First,
    Later,
}

impl Unacked {
    pub fn due(&self) -> Mono {
        self.backoff.at.min(self.until)
    }

    pub fn repeat(&mut self) -> Bytes {
        self.backoff.double(T2);
        self.response.clone()
    }
}

impl Usage {
    pub fn due(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Up(up) => {
                let retry = match up.reoffer {
                    Some(Reoffer::Waiting { at, .. }) => Some(at),
                    _ => None,
                };
                up.unacked.as_ref().map(Unacked::due).into_iter().chain(retry).min()
            }
            Phase::Parting { unacked, .. } => Some(unacked.due()),
            _ => None,
        }
    }

    /// The dialog a request with these headers is within.
    pub fn dialog_of(&mut self, headers: &Headers) -> Option<&mut Dialog> {
        match &mut self.phase {
            Phase::Calling { early, .. } => early.iter_mut().find(|dialog| dialog.is_of(headers)),
            Phase::Ringing { dialog, .. } | Phase::Parting { dialog, .. } | Phase::Leaving { dialog } => {
                Some(dialog).filter(|dialog| dialog.is_of(headers))
            }
            Phase::Up(up) => Some(&mut up.dialog).filter(|dialog| dialog.is_of(headers)),
            Phase::Cancelling { .. } => None,
        }
    }
}

impl Usage {
    /// The stream is no more; dialogs that ran over it find another way.
    pub fn forget_stream(&mut self, lost: Hop) {
        let dialogs = match &mut self.phase {
            Phase::Calling { early, .. } => early.as_mut_slice(),
            Phase::Ringing { dialog, .. } | Phase::Parting { dialog, .. } | Phase::Leaving { dialog } => {
                std::slice::from_mut(dialog)
            }
            Phase::Up(up) => std::slice::from_mut(&mut up.dialog),
            Phase::Cancelling { .. } => &mut [],
        };
        for dialog in dialogs.iter_mut().filter(|dialog| dialog.flow().stream == lost.stream) {
            dialog.forget_stream();
        }
    }
}

/// Who wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Asked(AskedId),
    Sent(SentId),
    Usage(LegId),
}

/// Everything with a life of its own, by every key it is looked up by.
#[derive(Debug, Default)]
pub(super) struct Table {
    // Boxed, for trees move what they hold.
    pub asked: BTreeMap<AskedId, Box<Asked>>,
    pub sent: BTreeMap<SentId, Box<Sent>>,
    pub usages: BTreeMap<LegId, Box<Usage>>,
    by_key: BTreeMap<Key, AskedId>,
    by_merge: BTreeMap<Key, AskedId>,
    by_tag: BTreeMap<u64, LegId>,
    by_hop: BTreeSet<(Hop, Owner)>,
    deadlines: BTreeSet<(Mono, Owner)>,
    last_asked: u64,
}

impl Table {
    pub fn add_asked(&mut self, asked: Asked) -> AskedId {
        self.last_asked += 1;
        let id = AskedId(self.last_asked);
        self.by_key.insert(asked.key.clone(), id);
        if let Some(merge) = &asked.merge {
            self.by_merge.insert(merge.clone(), id);
        }
        self.by_hop.insert((asked.hop, Owner::Asked(id)));
        self.asked.insert(id, Box::new(asked));
        id
    }

    pub fn remove_asked(&mut self, id: AskedId) {
        let Some(asked) = self.asked.remove(&id) else { return };
        self.by_key.remove(&asked.key);
        if let Some(merge) = &asked.merge
            && self.by_merge.get(merge) == Some(&id)
        {
            self.by_merge.remove(merge);
        }
        self.by_hop.remove(&(asked.hop, Owner::Asked(id)));
        self.disarm(asked.armed, Owner::Asked(id));
    }

    pub fn by_key(&self, key: &Key) -> Option<AskedId> {
        self.by_key.get(key).copied()
    }

    pub fn is_merged(&self, merge: &Key) -> bool {
        self.by_merge.contains_key(merge)
    }

    pub fn add_sent(&mut self, id: SentId, sent: Sent) {
        self.by_hop.insert((sent.hop, Owner::Sent(id)));
        self.sent.insert(id, Box::new(sent));
    }

    pub fn remove_sent(&mut self, id: SentId) -> Option<Box<Sent>> {
        let sent = self.sent.remove(&id)?;
        self.by_hop.remove(&(sent.hop, Owner::Sent(id)));
        self.disarm(sent.armed, Owner::Sent(id));
        Some(sent)
    }

    /// Also for one that was removed to be changed; it is yet to be armed.
    pub fn add_usage(&mut self, leg: LegId, usage: impl Into<Box<Usage>>) {
        let mut usage = usage.into();
        usage.armed = None;
        self.by_tag.insert(usage.tag, leg);
        self.usages.insert(leg, usage);
    }

    /// What a leg that is up consists of.
    pub fn up(&mut self, leg: LegId) -> Option<&mut Up> {
        match &mut self.usages.get_mut(&leg)?.phase {
            Phase::Up(up) => Some(up),
            _ => None,
        }
    }

    pub fn remove_usage(&mut self, leg: LegId) -> Option<Box<Usage>> {
        let usage = self.usages.remove(&leg)?;
        self.by_tag.remove(&usage.tag);
        self.disarm(usage.armed, Owner::Usage(leg));
        Some(usage)
    }

    pub fn by_tag(&self, tag: u64) -> Option<LegId> {
        self.by_tag.get(&tag).copied()
    }

    /// The transactions that run over exactly this hop.
    pub fn over(&self, hop: Hop) -> VecDeque<Owner> {
        let first = Owner::Asked(AskedId(0));
        self.by_hop.range((hop, first)..).take_while(|(found, _)| *found == hop).map(|(_, o)| *o).collect()
    }

    pub fn move_to(&mut self, owner: Owner, to: Hop) {
        let hop = match owner {
            Owner::Asked(id) => self.asked.get_mut(&id).map(|asked| &mut asked.hop),
            Owner::Sent(id) => self.sent.get_mut(&id).map(|sent| &mut sent.hop),
            Owner::Usage(_) => None,
        };
        if let Some(hop) = hop {
            self.by_hop.remove(&(*hop, owner));
            *hop = to;
            self.by_hop.insert((to, owner));
        }
    }

    /// Notes when the owner wants to be woken next; to be called whenever it was touched.
    pub fn arm(&mut self, owner: Owner) {
        let (armed, due) = match owner {
            Owner::Asked(id) => match self.asked.get_mut(&id) {
                Some(asked) => (&mut asked.armed, asked.machine.due()),
                None => return,
            },
            Owner::Sent(id) => match self.sent.get_mut(&id) {
                Some(sent) => (&mut sent.armed, sent.machine.due()),
                None => return,
            },
            Owner::Usage(leg) => match self.usages.get_mut(&leg) {
                Some(usage) => {
                    let due = usage.due();
                    (&mut usage.armed, due)
                }
                None => return,
            },
        };
        if *armed == due {
            return;
        }
        if let Some(at) = armed.take() {
            self.deadlines.remove(&(at, owner));
        }
        if let Some(at) = due {
            self.deadlines.insert((at, owner));
        }
        *armed = due;
    }

    fn disarm(&mut self, armed: Option<Mono>, owner: Owner) {
        if let Some(at) = armed {
            self.deadlines.remove(&(at, owner));
        }
    }

    pub fn next_deadline(&self) -> Option<(Mono, Owner)> {
        self.deadlines.first().copied()
    }

    pub fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    #[cfg(test)]
    pub fn indexes(&self) -> usize {
        self.by_key.len() + self.by_merge.len() + self.by_tag.len() + self.by_hop.len()
    }
}

impl Answering {
    fn due(&self) -> Option<Mono> {
        match self {
            Self::Invite(machine) => machine.poll_timeout(),
            Self::Other(machine) => machine.poll_timeout(),
        }
    }

    pub fn is_pending(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_pending(),
            Self::Other(machine) => machine.is_pending(),
        }
    }

    pub fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::Other(machine) => machine.is_terminated(),
        }
    }

    pub fn respond(&mut self, now: Mono, status: u16, response: Bytes) {
        match self {
            Self::Invite(machine) => machine.respond(now, status, response),
            Self::Other(machine) => machine.respond(now, status, response),
        }
    }
}

impl Sending {
    fn due(&self) -> Option<Mono> {
        match self {
            Self::Invite(machine) => machine.poll_timeout(),
            Self::Other(machine) => machine.poll_timeout(),
        }
    }

    pub fn is_pending(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_pending(),
            Self::Other(machine) => machine.is_pending(),
        }
    }

    pub fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::Other(machine) => machine.is_terminated(),
        }
    }
}
