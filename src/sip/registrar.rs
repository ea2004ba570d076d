//! The registrar: RFC 3261 §10.3 for the phones of agents.
//!
//! It knows by which way each agent's phone can be reached now. A binding remembers the way its
//! REGISTER came, for behind a NAT that way is the only one back, and to a browser (RFC 7118) there
//! is no other at all; `Path` is ignored. A phone that says which one it is (RFC 5626) takes over
//! from itself, whatever its Contact. The layer above hears only when an agent becomes reachable or
//! ceases to be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Hop, Host, Params, Transport, Uri};
use crate::base::{AgentId, Mono};

/// Bounds of a registration's life. A phone may ask for less than `longest` and gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Shorter ones are refused with 423.
    pub shortest: Duration,
    pub default: Duration,
    pub longest: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        let [shortest, default, longest] = [60, 3600, 3600].map(Duration::from_secs);
        Self { shortest, default, longest }
    }
}

/// Phones an agent may have. One more takes the place of the one that expires first: phones that
/// get a new port at every start must not lock their owner out.
const BINDINGS: usize = 8;

/// What a REGISTER asks for, its sender already known.
#[derive(Clone, Debug)]
pub struct Registration {
    pub agent: AgentId,
    /// Whose credentials they were.
    pub user: Arc<str>,
    pub call_id: Bytes,
    pub cseq: u32,
    pub wish: Wish,
    /// The way it came.
    pub hop: Hop,
}

#[derive(Clone, Debug)]
pub enum Wish {
    /// No Contact: only tell what is there.
    Query,
    /// `Contact: *` with `Expires: 0`.
    RemoveAll,
    Update(Vec<Wanted>),
}

/// One Contact of a REGISTER.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub uri: Uri,
    /// Seconds, from the Contact's own parameter or the Expires header.
    pub expires: Option<u32>,
    /// In thousandths; 1000 where it is not said.
    pub q: u16,
    pub instance: Option<Instance>,
}

/// Which phone it is, and by which of its ways it registers (RFC 5626 §4.1, §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `+sip.instance`, without quotes.
    pub urn: String,
    /// `reg-id`.
    pub flow: u32,
}

impl Instance {
    /// From a Contact's parameters. One without the other says nothing (RFC 5626 §6).
    pub fn read(params: &Params) -> Option<Self> {
        /// Bytes; a UUID's URN in its brackets has 47.
        const LONGEST: usize = 128;
        let urn = params.get("+sip.instance").filter(|urn| urn.len() <= LONGEST)?;
        let flow = std::str::from_utf8(params.raw("reg-id")?).ok()?.parse().ok()?;
        Some(Self { urn: String::from_utf8(urn.into_owned()).ok()?, flow })
    }
}

/// Why a REGISTER changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 423 with this Min-Expires in seconds.
    TooBrief(u64),
    /// §10.3 step 7: an older REGISTER of the same Call-ID overtaken by a younger one.
    OutOfOrder,
}

impl Refusal {
    pub const fn status(self) -> u16 {
        match self {
            Self::TooBrief(_) => 423,
            Self::OutOfOrder => 500,
        }
    }
}

/// A way to reach an agent.
#[derive(Clone, Debug)]
pub struct Binding {
    pub uri: Uri,
    pub hop: Hop,
    pub expires: Mono,
    pub instance: Option<Instance>,
    q: u16,
    since: Mono,
    user: Arc<str>,
    call_id: Bytes,
    cseq: u32,
}

/// Who can be reached, and by what.
#[derive(Debug, Default)]
pub struct Registrar {
    lifetimes: Lifetimes,
    /// No agent is kept without a binding.
    bindings: BTreeMap<AgentId, Vec<Binding>>,
    /// The first expiry of each agent.
    deadlines: BTreeSet<(Mono, AgentId)>,
    /// By the way they came, streams left aside.
    flows: BTreeSet<(Hop, AgentId)>,
    changes: VecDeque<(AgentId, Reachability)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    Reachable,
    Unreachable,
}

impl Registrar {
    /// After a reload: `keep` says whether an account of this user and agent still exists.
    pub fn reconfigure(&mut self, lifetimes: Lifetimes, keep: impl Fn(&str, &AgentId) -> bool) {
        self.lifetimes = lifetimes;
        let agents: Vec<_> = self.bindings.keys().cloned().collect();
        for agent in agents {
            self.change(&agent, |bindings| bindings.retain(|binding| keep(&binding.user, &agent)));
        }
    }

    /// Whether any phone of the agent's is registered.
    pub fn is_reachable(&self, agent: &AgentId) -> bool {
        self.bindings.contains_key(agent)
    }

    /// The way to ring the agent: of the most wanted phones, the one registered last.
    pub fn binding(&self, agent: &AgentId) -> Option<&Binding> {
        self.bindings.get(agent)?.iter().max_by_key(|binding| (binding.q, binding.since))
    }

    /// What the agent would be rung over: a browser wants another offer than a desk phone.
    pub fn transport(&self, agent: &AgentId) -> Option<Transport> {
        self.binding(agent).map(|binding| binding.hop.transport)
    }

    /// The way to the agent's phone of that Contact.
    pub fn flow(&self, agent: &AgentId, contact: &Uri) -> Option<Hop> {
        let binding = self.bindings(agent).iter().find(|binding| binding.uri.is_equivalent(contact))?;
        Some(binding.hop)
    }

    /// All of the agent's phones, as a REGISTER is answered.
    pub fn bindings(&self, agent: &AgentId) -> &[Binding] {
        self.bindings.get(agent).map_or(&[], Vec::as_slice)
    }

    pub fn len(&self) -> usize {
        self.bindings.values().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Whether a registered phone sends from there.
    pub fn is_flow(&self, hop: Hop) -> bool {
        let hop = Hop { stream: None, ..hop };
        self.flows.range((hop, AgentId::from(""))..).next().is_some_and(|(found, _)| *found == hop)
    }

    /// Nothing changes unless all of it can (§10.3 step 7).
    pub fn register(&mut self, now: Mono, registration: Registration) -> Result<(), Refusal> {
        let Registration { agent, user, call_id, cseq, wish, hop } = registration;
        let overtaken = |binding: &Binding| binding.call_id == call_id && cseq <= binding.cseq;
        let old = self.bindings(&agent);
        let wanted = match wish {
            Wish::Query => return Ok(()),
            Wish::RemoveAll => {
                if old.iter().any(overtaken) {
                    return Err(Refusal::OutOfOrder);
                }
                self.change(&agent, Vec::clear);
                return Ok(());
            }
            Wish::Update(wanted) => wanted,
        };
        for one in &wanted {
            let shortest = self.lifetimes.shortest.as_secs();
            if one.expires.is_some_and(|secs| secs != 0 && u64::from(secs) < shortest) {
                return Err(Refusal::TooBrief(shortest));
            }
            if old.iter().any(|binding| binding.uri.is_equivalent(&one.uri) && overtaken(binding)) {
                return Err(Refusal::OutOfOrder);
            }
        }
        let Lifetimes { default, longest, .. } = self.lifetimes;
        self.change(&agent, |bindings| {
            for Wanted { uri, expires, q, instance } in wanted {
                let is_same = |binding: &Binding| {
                    binding.uri.is_equivalent(&uri) || instance.is_some() && binding.instance == instance
                };
                bindings.retain(|binding| !is_same(binding));
                let life = expires.map_or(default, |secs| Duration::from_secs(secs.into())).min(longest);
                if life.is_zero() {
                    continue;
                }
                if bindings.len() >= BINDINGS
                    && let Some((first, _)) = bindings.iter().enumerate().min_by_key(|(_, b)| b.expires)
                {
                    bindings.remove(first);
                }
                bindings.push(Binding {
                    // The message it came in is not to be kept for an hour.
                    uri: uri.detached(),
                    hop,
                    expires: now + life,
                    instance,
                    q,
                    since: now,
                    user: user.clone(),
                    call_id: Bytes::copy_from_slice(&call_id),
                    cseq,
                });
            }
        });
        Ok(())
    }

    /// The stream broke or its peer cannot be reached. A phone that listens where its Contact
    /// says is called back there; any other, a browser always, must register again.
    pub fn flow_lost(&mut self, hop: Hop) {
        if hop.transport == Transport::Udp {
            return;
        }
        let flow = Hop { stream: None, ..hop };
        let agents: Vec<_> = self
            .flows
            .range((flow, AgentId::from(""))..)
            .take_while(|(found, _)| *found == flow)
            .map(|(_, agent)| agent.clone())
            .collect();
        for agent in agents {
            self.change(&agent, |bindings| {
                bindings.retain_mut(|binding| {
                    if binding.hop != hop {
                        return true;
                    }
                    let listens = !hop.transport.is_websocket()
                        && binding.uri.host().and_then(Host::ip) == Some(hop.remote.ip());
                    let port = binding.uri.port().unwrap_or(5060);
                    binding.hop.stream = None;
                    // Without a stream it was already being called back.
                    let another = hop.stream.is_some() || binding.hop.remote.port() != port;
                    binding.hop.remote.set_port(port);
                    listens && another
                });
            });
        }
    }

    pub fn handle_timeout(&mut self, now: Mono) {
        while let Some((at, agent)) = self.deadlines.first()
            && *at <= now
        {
            let agent = agent.clone();
            self.change(&agent, |bindings| bindings.retain(|binding| binding.expires > now));
        }
    }

    pub fn poll_timeout(&self) -> Option<Mono> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Who became reachable or ceased to be.
    pub fn poll_output(&mut self) -> Option<(AgentId, Reachability)> {
        self.changes.pop_front()
    }

    /// Changes an agent's bindings and keeps every index true.
    fn change(&mut self, agent: &AgentId, change: impl FnOnce(&mut Vec<Binding>)) {
        let mut bindings = self.bindings.remove(agent).unwrap_or_default();
        let was = !bindings.is_empty();
        for binding in &bindings {
            self.deadlines.remove(&(binding.expires, agent.clone()));
            self.flows.remove(&(Hop { stream: None, ..binding.hop }, agent.clone()));
        }
        change(&mut bindings);
        if let Some(first) = bindings.iter().map(|binding| binding.expires).min() {
            self.deadlines.insert((first, agent.clone()));
        }
        for binding in &bindings {
            self.flows.insert((Hop { stream: None, ..binding.hop }, agent.clone()));
        }
        let is = !bindings.is_empty();
        if is {
            self.bindings.insert(agent.clone(), bindings);
        }
        match (was, is) {
            (false, true) => self.changes.push_back((agent.clone(), Reachability::Reachable)),
            (true, false) => self.changes.push_back((agent.clone(), Reachability::Unreachable)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::StreamId;
    use super::*;

    fn at(secs: u64) -> Mono {
        Mono::ZERO + Duration::from_secs(secs)
    }

    fn udp(remote: &str) -> Hop {
        let [local, remote] = ["10.0.0.1:5060", remote].map(|address| address.parse().unwrap());
        Hop { transport: Transport::Udp, local, remote, stream: None }
    }

    fn tcp(remote: &str, stream: u64) -> Hop {
        Hop { transport: Transport::Tcp, stream: Some(StreamId(stream)), ..udp(remote) }
    }

    fn wish(contacts: &[(&'static str, Option<u32>)]) -> Wish {
        let wanted = |(uri, expires): &(&'static str, Option<u32>)| Wanted {
            uri: Uri::parse(Bytes::from_static(uri.as_bytes())).unwrap(),
            expires: *expires,
            q: 1000,
            instance: None,
        };
        Wish::Update(contacts.iter().map(wanted).collect())
    }

    fn registration(call_id: &'static str, cseq: u32, wish: Wish) -> Registration {
        Registration {
            agent: "ann".into(),
            user: "1001".into(),
            call_id: Bytes::from_static(call_id.as_bytes()),
            cseq,
            wish,
            hop: udp("192.0.2.7:40000"),
        }
    }

    fn register(registrar: &mut Registrar, secs: u64, cseq: u32, wish: Wish) -> Result<(), Refusal> {
        registrar.register(at(secs), registration("call", cseq, wish))
    }

    fn shown(registrar: &Registrar) -> String {
        let bindings = registrar.bindings(&"ann".into()).iter();
        let one = |b: &Binding| format!("{} until {}", b.uri.as_str(), b.expires.since(at(0)).as_secs());
        bindings.map(one).collect::<Vec<_>>().join(", ")
    }

    fn changes(registrar: &mut Registrar) -> Vec<Reachability> {
        std::iter::from_fn(|| registrar.poll_output()).map(|(_, change)| change).collect()
    }

    #[test]
    fn an_agent_is_reachable_from_register_to_expiry() {
        let mut registrar = Registrar::default();
        register(&mut registrar, 0, 1, wish(&[("sip:a@192.0.2.7", Some(60))])).unwrap();
        assert_eq!(changes(&mut registrar), [Reachability::Reachable]);
        register(&mut registrar, 50, 2, wish(&[("sip:a@192.0.2.7", Some(60))])).unwrap();
        assert_eq!(shown(&registrar), "sip:a@192.0.2.7 until 110");
        assert_eq!(registrar.poll_timeout(), Some(at(110)));

        registrar.handle_timeout(at(109));
        assert!(registrar.is_reachable(&"ann".into()));
        registrar.handle_timeout(at(110));
        assert_eq!(changes(&mut registrar), [Reachability::Unreachable]);
        assert_eq!((registrar.poll_timeout(), registrar.len()), (None, 0));
        assert!(!registrar.is_flow(udp("192.0.2.7:40000")));
    }

    #[test]
    fn lifetimes_keep_their_bounds() {
        let mut registrar = Registrar::default();
        let brief = register(&mut registrar, 0, 1, wish(&[("sip:a@h", Some(300)), ("sip:b@h", Some(59))]));
        assert_eq!(brief, Err(Refusal::TooBrief(60)));
        assert_eq!(shown(&registrar), "");
        register(&mut registrar, 0, 2, wish(&[("sip:a@h", Some(u32::MAX)), ("sip:b@h", None)])).unwrap();
        assert_eq!(shown(&registrar), "sip:a@h until 3600, sip:b@h until 3600");
    }

    #[test]
    fn a_contact_is_removed_by_zero_and_all_by_the_star() {
        let mut registrar = Registrar::default();
        let two = [("sip:a@h", None), ("sip:b@h;transport=tcp", None)];
        register(&mut registrar, 0, 1, wish(&two)).unwrap();
        register(&mut registrar, 1, 2, wish(&[("sip:a@H", Some(0))])).unwrap();
        assert_eq!(shown(&registrar), "sip:b@h;transport=tcp until 3600");
        register(&mut registrar, 2, 3, Wish::RemoveAll).unwrap();
        assert_eq!(changes(&mut registrar), [Reachability::Reachable, Reachability::Unreachable]);
    }

    #[test]
    fn an_overtaken_register_changes_nothing() {
        let mut registrar = Registrar::default();
        register(&mut registrar, 0, 7, wish(&[("sip:a@h", None)])).unwrap();
        for wish in [wish(&[("sip:b@h", None), ("sip:a@h", Some(0))]), Wish::RemoveAll] {
            assert_eq!(register(&mut registrar, 1, 7, wish), Err(Refusal::OutOfOrder));
        }
        assert_eq!(shown(&registrar), "sip:a@h until 3600");
        // The phone restarted: its counts begin anew under another Call-ID.
        let restarted = registration("other", 1, wish(&[("sip:a@h", Some(0))]));
        assert_eq!(registrar.register(at(2), restarted), Ok(()));
        assert!(registrar.is_empty());
    }

    #[test]
    fn one_phone_too_many_takes_the_place_of_the_first_to_expire() {
        let mut registrar = Registrar::default();
        let uris: Vec<_> = (0..=BINDINGS).map(|n| &*format!("sip:{n}@h").leak()).collect();
        for (n, uri) in (0u32..).zip(uris) {
            register(&mut registrar, n.into(), n, wish(&[(uri, Some(100))])).unwrap();
        }
        assert_eq!(registrar.len(), BINDINGS);
        assert!(!shown(&registrar).contains("sip:0@h"));
        assert_eq!(registrar.binding(&"ann".into()).unwrap().uri.as_str(), "sip:8@h");
    }

    #[test]
    fn a_broken_stream_takes_only_phones_that_cannot_be_called_back() {
        let mut registrar = Registrar::default();
        let stream = tcp("192.0.2.7:40000", 5);
        let behind_nat = ("sip:a@10.0.0.9:5060", None);
        let listening = ("sip:b@192.0.2.7:5070", None);
        let both = registration("call", 1, wish(&[behind_nat, listening]));
        registrar.register(at(0), Registration { hop: stream, ..both }).unwrap();
        assert!(registrar.is_flow(tcp("192.0.2.7:40000", 6)));

        registrar.flow_lost(tcp("192.0.2.7:40000", 6));
        assert_eq!(registrar.len(), 2);
        registrar.flow_lost(stream);
        assert_eq!(shown(&registrar), "sip:b@192.0.2.7:5070 until 3600");
        let called_back = Hop { stream: None, ..tcp("192.0.2.7:5070", 0) };
        assert_eq!(registrar.binding(&"ann".into()).unwrap().hop, called_back);
        registrar.flow_lost(called_back);
        assert!(registrar.is_empty());
    }

    fn browser(stream: u64) -> Hop {
        Hop { transport: Transport::Wss, ..tcp("192.0.2.7:40000", stream) }
    }

    #[test]
    fn a_browser_is_gone_with_its_stream_even_if_it_claims_to_listen() {
        let mut registrar = Registrar::default();
        let both = wish(&[("sip:a@x.invalid;transport=ws", None), ("sip:b@192.0.2.7:5070", None)]);
        registrar.register(at(0), Registration { hop: browser(5), ..registration("call", 1, both) }).unwrap();
        assert_eq!(registrar.transport(&"ann".into()), Some(Transport::Wss));
        registrar.flow_lost(browser(4));
        assert_eq!(registrar.len(), 2);
        registrar.flow_lost(browser(5));
        assert_eq!(changes(&mut registrar), [Reachability::Reachable, Reachability::Unreachable]);
        assert_eq!(registrar.transport(&"ann".into()), None);
    }

    #[test]
    fn a_phone_takes_over_from_itself_and_from_no_other() {
        let mut registrar = Registrar::default();
        let mut come = |uri: &'static str, id: &str, flow: u32, stream: u64| {
            let Wish::Update(mut wanted) = wish(&[(uri, None)]) else { unreachable!() };
            wanted[0].instance = Some(Instance { urn: id.into(), flow });
            let call_id = &*format!("call {stream}").leak();
            let one = registration(call_id, 1, Wish::Update(wanted));
            registrar.register(at(stream), Registration { hop: browser(stream), ..one }).unwrap();
            shown(&registrar)
        };
        come("sip:a@x.invalid", "<urn:uuid:1>", 1, 1);
        // The page was loaded again: another Contact, another stream, while the old one still stands.
        assert_eq!(come("sip:b@y.invalid", "<urn:uuid:1>", 1, 2), "sip:b@y.invalid until 3602");
        come("sip:c@z.invalid", "<urn:uuid:2>", 1, 3);
        come("sip:d@z.invalid", "<urn:uuid:1>", 2, 4);
        assert_eq!(registrar.len(), 3);
        // The old stream's end is no news to anybody.
        registrar.flow_lost(browser(1));
        assert_eq!(registrar.len(), 3);
        assert_eq!(changes(&mut registrar), [Reachability::Reachable]);
    }

    #[test]
    fn an_instance_is_known_only_with_its_flow_and_within_reason() {
        let read = |contact: &str| {
            let contact = super::super::NameAddr::parse(Bytes::copy_from_slice(contact.as_bytes())).unwrap();
            Instance::read(&contact.params)
        };
        let urn = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";
        let known = Instance { urn: urn.to_owned(), flow: 1 };
        assert_eq!(read(&format!("<sip:a@h>;+sip.instance=\"{urn}\";reg-id=1")), Some(known));
        assert_eq!(read(&format!("<sip:a@h>;+sip.instance=\"{urn}\"")), None);
        assert_eq!(read("<sip:a@h>;reg-id=1"), None);
        assert_eq!(read(&format!("<sip:a@h>;reg-id=1;+sip.instance=\"{}\"", "x".repeat(200))), None);
    }

    #[test]
    fn a_reload_keeps_the_phones_of_accounts_that_remain() {
        let mut registrar = Registrar::default();
        register(&mut registrar, 0, 1, wish(&[("sip:a@h", None)])).unwrap();
        registrar.reconfigure(Lifetimes::default(), |user, agent| user == "1001" && agent.as_str() == "ann");
        assert_eq!(registrar.len(), 1);
        registrar.reconfigure(Lifetimes::default(), |_, _| false);
        assert_eq!(changes(&mut registrar), [Reachability::Reachable, Reachability::Unreachable]);
        assert_eq!(registrar.poll_timeout(), None);
    }
}
