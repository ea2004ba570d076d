//! One dialog: RFC 3261 §12.
//!
//! It builds requests that the peer will recognise (tags, counts, loose and strict routes) and
//! tells the peer's requests that are in order from those that are not. It knows where the next
//! one goes, NAT and lost streams included, without DNS.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::{
    CSeq, Headers, Hop, Host, Method, Name, NameAddr, Request, Response, Scheme, Transport, Uri, Value,
};

/// Where a call's two ends stand to each other.
#[derive(Clone, Debug)]
pub struct Dialog {
    role: Role,
    call_id: Bytes,
    /// From of our requests, tag and all.
    local: NameAddr,
    /// To of our requests. Without a tag where the peer is of RFC 2543's time.
    remote: NameAddr,
    local_count: u32,
    /// `None` until the peer's first request.
    remote_count: Option<u32>,
    /// Nearest first.
    routes: Vec<NameAddr>,
    /// The peer's Contact.
    target: Uri,
    /// The way the peer's messages come.
    flow: Hop,
    wayback: Wayback,
}

/// Who owns the Call-ID (RFC 3261 §14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Caller,
    Callee,
}

/// How requests within the dialog find the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wayback {
    /// To its route or Contact, as RFC 3261 has it, unless that is a name or an address that
    /// cannot be meant from where it came.
    Target,
    /// Always the way it came: phones sit behind NATs whose addresses they do not know.
    Flow,
}

/// A request of the peer's that must not be obeyed: 500 (RFC 3261 §12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfOrder;

impl Dialog {
    /// The caller's INVITE, which we answer with `tag`. `None` if it names no place for our
    /// requests (§12.1.1: exactly one Contact, and that a sip URI) or its routes cannot be read.
    pub fn callee(invite: &Request, tag: &str, flow: Hop, wayback: Wayback) -> Option<Self> {
        let headers = &invite.headers;
        let contact = contact(headers)?;
        let routes = headers.record_routes().ok()?;
        Some(Self {
            role: Role::Callee,
            call_id: Bytes::copy_from_slice(&headers.call_id().ok()?),
            local: headers.to().ok()?.with_tag(tag).detached(),
            remote: headers.from().ok()?.detached(),
            local_count: 0,
            remote_count: Some(headers.cseq().ok()?.number),
            routes: routes.iter().map(NameAddr::detached).collect(),
            target: contact,
            flow,
            wayback,
        })
    }

    /// A response above 100 with a tag, or any 2xx, to our INVITE. Where its Contact is missing,
    /// which it must not be, requests go where the INVITE went.
    pub fn caller(invite: &Request, response: &Response, flow: Hop, wayback: Wayback) -> Option<Self> {
        let mut routes = response.headers.record_routes().ok()?;
        // §12.1.2: the callee saw them nearest to itself first.
        routes.reverse();
        Some(Self {
            role: Role::Caller,
            call_id: Bytes::copy_from_slice(&invite.headers.call_id().ok()?),
            local: invite.headers.from().ok()?.detached(),
            remote: response.headers.to().ok()?.detached(),
            local_count: invite.headers.cseq().ok()?.number,
            remote_count: None,
            routes: routes.iter().map(NameAddr::detached).collect(),
            target: contact(&response.headers).unwrap_or_else(|| invite.uri.detached()),
            flow,
            wayback,
        })
    }

    pub fn role(&self) -> Role {
        self.role
    }

    pub fn flow(&self) -> Hop {
        self.flow
    }

    /// The peer's Contact.
    pub fn target(&self) -> &Uri {
        &self.target
    }

    pub fn remote_tag(&self) -> Option<Bytes> {
        self.remote.tag()
    }

    /// Whether a request of the peer's with these headers is within this dialog.
    pub fn is_of(&self, headers: &Headers) -> bool {
        headers.call_id().is_ok_and(|call_id| call_id == self.call_id)
            && headers.to().is_ok_and(|to| to.tag() == self.local.tag())
            && headers.from().is_ok_and(|from| from.tag() == self.remote.tag())
    }

    /// Counts a request of the peer's, ACK and CANCEL apart. An equal count is refused too:
    /// repetitions end in their transaction, so this is another request under a used number.
    pub fn count(&mut self, number: u32) -> Result<(), OutOfOrder> {
        if self.remote_count.is_some_and(|last| number <= last) {
            return Err(OutOfOrder);
        }
        self.remote_count = Some(number);
        Ok(())
    }

    /// An INVITE or UPDATE, or the 2xx to one, may move the peer (§12.2.1.2, §12.2.2).
    pub fn refresh_target(&mut self, headers: &Headers, came_by: Hop) {
        if let Some(contact) = contact(headers) {
            self.target = contact;
        }
        self.flow = came_by;
    }

    /// The stream the dialog ran over is no more.
    pub fn forget_stream(&mut self) {
        self.flow.stream = None;
    }

    /// The next request of ours, without Via, Contact and body (§12.2.1.1).
    pub fn request(&mut self, method: Method) -> Request {
        let number = self.next_number();
        self.numbered(method, number)
    }

    /// The ACK to a 2xx; it carries the INVITE's number (§13.2.2.4).
    pub fn ack(&self, number: u32) -> Request {
        self.numbered(Method::Ack, number)
    }

    /// The number of the next request, for one that goes again because the peer asked who we are.
    pub fn next_number(&mut self) -> u32 {
        self.local_count = self.local_count.wrapping_add(1) & 0x7fff_ffff;
        self.local_count
    }

    /// The 2xx came: an early dialog takes what it says (§13.2.2.4) and keeps its counts.
    pub fn confirm(&mut self, confirmed: Self) {
        let remote_count = self.remote_count;
        *self = Self { remote_count, ..confirmed };
    }

    fn numbered(&self, method: Method, number: u32) -> Request {
        let (uri, routes): (Uri, Vec<_>) = match self.routes.split_first() {
            None => (self.target.clone(), vec![]),
            Some((first, _)) if first.uri.is_loose() => {
                (self.target.clone(), self.routes.iter().map(Into::into).collect())
            }
            // A strict router wants itself in the Request-URI and the target last.
            Some((first, rest)) => {
                let target = NameAddr::new(self.target.clone());
                (first.uri.clone(), rest.iter().chain([&target]).map(Into::into).collect())
            }
        };
        let cseq = CSeq::new(number, method.clone());
        let mut request = Request::new(method, uri);
        for route in routes {
            let route: Value = route;
            request.headers.push(Name::Route, route);
        }
        request
            .with(Name::MaxForwards, 70)
            .with(Name::From, &self.local)
            .with(Name::To, &self.remote)
            .with(Name::CallId, Value::new(self.call_id.clone()).unwrap_or_else(|_| "".into()))
            .with(Name::CSeq, cseq)
    }

    /// Where the next request goes.
    ///
    /// A name cannot be looked up here, so it means the way the peer came. Neither can a private
    /// address be reached when the peer came from a public one: it sits behind a NAT. A browser
    /// listens nowhere: whatever its Contact says, it is reached by its stream (RFC 7118 §5).
    pub fn next_hop(&self) -> Hop {
        let flow = self.flow;
        if flow.transport.is_websocket() {
            return flow;
        }
        let next = self.routes.first().map_or(&self.target, |route| &route.uri);
        let Some(address) = address(next) else { return self.without_lost_stream() };
        if self.wayback == Wayback::Flow || is_behind_nat(address.ip(), flow.remote.ip()) {
            return self.without_lost_stream();
        }
        let transport = transport(next);
        if transport == flow.transport
            && (address == flow.remote || (flow.stream.is_some() && address.ip() == flow.remote.ip()))
        {
            return flow;
        }
        // Another transport or family than the peer came by means another listener of ours, which
        // is not known here; what it came by works.
        if transport != flow.transport || address.is_ipv4() != flow.remote.is_ipv4() {
            return self.without_lost_stream();
        }
        Hop { remote: address, stream: None, ..flow }
    }

    /// The way the peer came; over TCP, when that stream is lost, the port it says it listens on.
    fn without_lost_stream(&self) -> Hop {
        let mut hop = self.flow;
        if hop.transport == Transport::Tcp && hop.stream.is_none() {
            hop.remote.set_port(self.target.port().unwrap_or(5060));
        }
        hop
    }
}

/// The one Contact a dialog needs, if it is one we can send to.
fn contact(headers: &Headers) -> Option<Uri> {
    let mut contacts = headers.name_addrs(Name::Contact);
    match (contacts.next(), contacts.next()) {
        (Some(Ok(contact)), None) if contact.uri.is_sip() => Some(contact.uri.detached()),
        _ => None,
    }
}

/// What the URI says of the transport (RFC 3263 §4.1, less DNS).
pub(super) fn transport(uri: &Uri) -> Transport {
    match uri.param("transport").flatten() {
        Some(name) if name.eq_ignore_ascii_case("tcp") => Transport::Tcp,
        // Whether TLS is meant the scheme says (RFC 7118 §5.2.2).
        Some(name) if name.eq_ignore_ascii_case("ws") => match uri.scheme() {
            Scheme::Sips => Transport::Wss,
            _ => Transport::Ws,
        },
        Some(name) if name.eq_ignore_ascii_case("wss") => Transport::Wss,
        _ => Transport::Udp,
    }
}

/// The address a sip URI names. `None` for a name, and for what is not sip.
pub(super) fn address(uri: &Uri) -> Option<SocketAddr> {
    if !uri.is_sip() {
        return None;
    }
    let ip = uri.host().and_then(Host::ip)?;
    Some(SocketAddr::new(ip, uri.port().unwrap_or(5060)))
}

fn is_behind_nat(said: IpAddr, came_from: IpAddr) -> bool {
    said.is_unspecified() || (is_private(said) && !is_private(came_from))
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            // RFC 6598: carriers' own NATs.
            let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Message, StreamId, parse};
    use super::*;

    fn hop(transport: Transport, remote: &str) -> Hop {
        let [local, remote] = ["10.0.0.1:5060", remote].map(|address| address.parse().unwrap());
        Hop { transport, local, remote, stream: None }
    }

    fn invite(contact: &str, routes: &str) -> Request {
        let text = format!(
            "INVITE sip:100@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n{routes}\
             From: \"A\" <sip:a@h>;tag=far\r\nTo: <sip:100@h>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n\
             Contact: {contact}\r\n\r\n"
        );
        match parse(text.into()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a request"),
        }
    }

    fn callee(contact: &str, routes: &str, flow: Hop, wayback: Wayback) -> Dialog {
        Dialog::callee(&invite(contact, routes), "near", flow, wayback).unwrap()
    }

    fn shown(request: &Request) -> String {
        let routes = request.headers.routes().unwrap();
        let routes: Vec<_> = routes.iter().map(|route| route.uri.as_str().to_owned()).collect();
        format!("{} {} by {}", request.method, request.uri.as_str(), routes.join(", "))
    }

    #[test]
    fn a_request_carries_both_tags_and_rising_counts() {
        let flow = hop(Transport::Udp, "192.0.2.1:5060");
        let mut dialog = callee("<sip:192.0.2.1>", "", flow, Wayback::Target);
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.headers.lossy(Name::From).unwrap(), "<sip:100@h>;tag=near");
        assert_eq!(bye.headers.lossy(Name::To).unwrap(), "\"A\" <sip:a@h>;tag=far");
        assert_eq!(bye.headers.lossy(Name::CSeq).unwrap(), "1 BYE");
        assert_eq!(dialog.request(Method::Info).headers.cseq().unwrap().number, 2);
        assert_eq!(dialog.ack(1).headers.lossy(Name::CSeq).unwrap(), "1 ACK");
        assert!(dialog.is_of(&{
            let mut headers = invite("<sip:192.0.2.1>", "").headers;
            headers.set(Name::To, Value::constant("<sip:100@h>;tag=near"));
            headers
        }));
        assert!(!dialog.is_of(&invite("<sip:192.0.2.1>", "").headers), "no tag of ours");
    }

    #[test]
    fn loose_routes_lead_to_the_target_and_a_strict_one_takes_its_place() {
        let flow = hop(Transport::Udp, "192.0.2.1:5060");
        let routes = "Record-Route: <sip:192.0.2.8;lr>,<sip:192.0.2.9;lr>\r\n";
        let mut dialog = callee("<sip:x@192.0.2.1>", routes, flow, Wayback::Target);
        assert_eq!(
            shown(&dialog.request(Method::Bye)),
            "BYE sip:x@192.0.2.1 by sip:192.0.2.8;lr, sip:192.0.2.9;lr"
        );
        assert_eq!(dialog.next_hop(), hop(Transport::Udp, "192.0.2.8:5060"));

        let routes = "Record-Route: <sip:192.0.2.8>, <sip:192.0.2.9;lr>\r\n";
        let mut dialog = callee("<sip:x@192.0.2.1>", routes, flow, Wayback::Target);
        assert_eq!(
            shown(&dialog.request(Method::Bye)),
            "BYE sip:192.0.2.8 by sip:192.0.2.9;lr, sip:x@192.0.2.1"
        );
    }

    #[test]
    fn a_caller_sees_the_routes_from_the_other_end() {
        let ours = invite("<sip:10.0.0.1>", "");
        let mut response = Response::to(&ours, 200).with_to_tag("far");
        let routes = Value::constant("<sip:192.0.2.8;lr>, <sip:192.0.2.9;lr>");
        response.headers.push(Name::RecordRoute, routes);
        response.headers.push(Name::Contact, Value::constant("<sip:y@192.0.2.7>"));
        let flow = hop(Transport::Udp, "192.0.2.9:5060");
        let mut dialog = Dialog::caller(&ours, &response, flow, Wayback::Target).unwrap();
        let bye = dialog.request(Method::Bye);
        assert_eq!(shown(&bye), "BYE sip:y@192.0.2.7 by sip:192.0.2.9;lr, sip:192.0.2.8;lr");
        assert_eq!(bye.headers.cseq().unwrap().number, 8);
    }

    #[test]
    fn the_next_hop_is_one_that_can_be_reached() {
        let udp = |contact: &str, from: &str, wayback| {
            callee(contact, "", hop(Transport::Udp, from), wayback).next_hop().remote.to_string()
        };
        for (contact, from, to) in [
            // As RFC 3261 has it.
            ("<sip:192.0.2.7:5070>", "192.0.2.1:5060", "192.0.2.7:5070"),
            ("<sip:192.0.2.7>", "192.0.2.1:5060", "192.0.2.7:5060"),
            ("<sip:10.9.9.9:5070>", "10.0.0.2:5060", "10.9.9.9:5070"),
            // A name, a NAT's inside, nothing at all, another family, another transport.
            ("<sip:pbx.example>", "192.0.2.1:1024", "192.0.2.1:1024"),
            ("<sip:192.168.1.5:5070>", "192.0.2.1:1024", "192.0.2.1:1024"),
            ("<sip:100.64.0.1>", "192.0.2.1:1024", "192.0.2.1:1024"),
            ("<sip:0.0.0.0>", "192.0.2.1:1024", "192.0.2.1:1024"),
            ("<sip:[2001:db8::7]>", "192.0.2.1:1024", "192.0.2.1:1024"),
            ("<sip:192.0.2.7;transport=tcp>", "192.0.2.1:1024", "192.0.2.1:1024"),
        ] {
            assert_eq!(udp(contact, from, Wayback::Target), to, "{contact}");
        }
        assert_eq!(udp("<sip:192.0.2.7:5070>", "192.0.2.1:1024", Wayback::Flow), "192.0.2.1:1024");
    }

    #[test]
    fn a_stream_is_used_as_long_as_there_is_one() {
        let flow = Hop { stream: Some(StreamId(3)), ..hop(Transport::Tcp, "192.0.2.1:1024") };
        for wayback in [Wayback::Target, Wayback::Flow] {
            let mut dialog = callee("<sip:192.0.2.1:5070;transport=tcp>", "", flow, wayback);
            assert_eq!(dialog.next_hop(), flow);
            dialog.forget_stream();
            assert_eq!(dialog.next_hop(), hop(Transport::Tcp, "192.0.2.1:5070"));
        }
    }

    #[test]
    fn a_browser_is_reached_by_its_stream_whatever_it_says_of_itself() {
        for transport in [Transport::Ws, Transport::Wss] {
            let flow = Hop { stream: Some(StreamId(3)), ..hop(transport, "192.0.2.1:1024") };
            for contact in ["<sip:x@y.invalid;transport=ws;ob>", "<sip:x@192.0.2.1:5070>"] {
                let mut dialog = callee(contact, "", flow, Wayback::Target);
                assert_eq!(dialog.next_hop(), flow, "{contact}");
                dialog.forget_stream();
                assert_eq!(dialog.next_hop(), Hop { stream: None, ..flow }, "there is no other way");
            }
        }
    }

    #[test]
    fn a_peer_moves_and_keeps_its_count() {
        let flow = hop(Transport::Udp, "192.0.2.1:5060");
        let mut dialog = callee("<sip:192.0.2.1>", "", flow, Wayback::Target);
        assert_eq!(dialog.count(7), Err(OutOfOrder), "the INVITE's own");
        assert_eq!(dialog.count(9), Ok(()));
        assert_eq!(dialog.count(8), Err(OutOfOrder));
        dialog.refresh_target(&invite("<sip:192.0.2.77>", "").headers, flow);
        assert_eq!(dialog.next_hop().remote.to_string(), "192.0.2.77:5060");
        // Two Contacts say nothing.
        dialog.refresh_target(&invite("<sip:192.0.2.78>, <sip:192.0.2.79>", "").headers, flow);
        assert_eq!(dialog.next_hop().remote.to_string(), "192.0.2.77:5060");
    }

    #[test]
    fn an_invite_without_one_sip_contact_opens_nothing() {
        let flow = hop(Transport::Udp, "192.0.2.1:5060");
        for contact in ["<tel:+1>", "<sip:a@h>, <sip:b@h>", "*"] {
            assert!(
                Dialog::callee(&invite(contact, ""), "near", flow, Wayback::Target).is_none(),
                "{contact}"
            );
        }
    }
}
