//! SRTP and SRTCP: RFC 3711, with AES-GCM from RFC 7714. One for keys from SDES (RFC 4568) and
//! from DTLS (RFC 5764).
//!
//! Spares the layer above rollover counters, replays and forgeries: an [`Unprotector`] lets through
//! what the owner of the key sent, each packet once, and keeps nothing of any other packet. Both
//! ends work in place, without allocating.
//!
//! **Invariant:** a refused packet changes no state. What its octets hold afterwards is worth
//! nothing.
//!
//! Not here, because nobody we talk to needs it: master key identifiers (a packet that carries an
//! MKI is refused as forged), key derivation rates other than 0, AES-f8, AES-192 and AES-256 in
//! counter mode.

mod derivation;
mod sources;
#[cfg(test)]
mod tests;
mod transform;

use std::ops::Range;

use sources::Sources;
use transform::{Flow, Place, Transform};

use super::packet;
use crate::base::MasterKey;

/// Octets by which protection lengthens an RTP or RTCP packet at most: SRTCP with AES-GCM has a
/// tag of 16 and an index of 4.
pub const OVERHEAD: usize = 20;

/// No packet of audio is longer.
const LONGEST: usize = 2048;

/// RFC 3711 §9.2: so many packets one key may protect.
const LAST_RTP: u64 = (1 << 48) - 1;
const LAST_RTCP: u32 = (1 << 31) - 1;

/// Protects what we send, with one master key at a time.
///
/// It lasts as long as its streams. To begin anew with a key that was used would encrypt two packets
/// with one keystream, which gives both away (RFC 3711 §9.1).
#[derive(Debug)]
pub struct Protector {
    rtp: Transform,
    rtcp: Transform,
    sources: Sources,
    next_rtcp: u32,
}

/// Believes what the peer sends with its present master key, or refuses it.
///
/// It lasts as long as the peer's streams: to begin anew with the old key would forget what was
/// replayed, and with any key the rollover counters.
#[derive(Debug)]
pub struct Unprotector {
    rtp: Transform,
    rtcp: Transform,
    rtp_sources: Sources,
    rtcp_sources: Sources,
}

/// Why a packet is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No RTP or RTCP packet, or too short to be protected.
    Malformed,
    /// Not from the owner of the key, or altered on the way. So is every packet to one who guesses
    /// the rollover counter wrong (see [`Unprotector::unprotect`]).
    Forged,
    /// From the owner of the key, but seen before, or so late that nobody can tell.
    Replayed,
}

impl Protector {
    pub fn new(master: &MasterKey) -> Self {
        Self {
            rtp: Transform::new(master, Flow::Rtp),
            rtcp: Transform::new(master, Flow::Rtcp),
            sources: Sources::default(),
            next_rtcp: 0,
        }
    }

    /// Protects with another key from now on. No counter is reset, neither the rollover counters
    /// (RFC 3711 §3.3.1) nor the index of SRTCP (§3.4): a key that comes back repeats no keystream.
    pub fn rekey(&mut self, master: &MasterKey) {
        (self.rtp, self.rtcp) = (Transform::new(master, Flow::Rtp), Transform::new(master, Flow::Rtcp));
    }

    /// Protects the first `length` octets of `packet`, an RTP packet, and returns how many octets
    /// it has then: at most [`OVERHEAD`] more.
    ///
    /// A stream's first sequence number should be below 2¹⁵, so that a peer who misses the first
    /// packets cannot miss a wrap with them (RFC 3711 §3.3.1), and none may lie 2¹⁵ or more from
    /// the highest before it. A few SSRCs have a rollover counter
    /// at a time; one that made room for a newer must not come back under the same key.
    ///
    /// `None`, and nothing to send, if the octets are no RTP packet, `packet` has no room, the
    /// sequence number was used before (or is 128 behind or before the first round, so that nobody can
    /// tell), or the key is used up.
    pub fn protect(&mut self, packet: &mut [u8], length: usize) -> Option<usize> {
        let plain = packet.get(..length)?;
        let clear = packet::payload_start(plain).ok()?;
        let (ssrc, sequence) = rtp_origin(plain).ok()?;
        if packet.len() - length < self.rtp.tag_length() {
            return None;
        }
        let index = self.sources.index(ssrc, sequence).filter(|index| *index <= LAST_RTP)?;
        self.sources.admit(ssrc, index).ok()?;
        self.rtp.seal_rtp(packet, clear..length, Place { ssrc, index })
    }

    /// As [`Protector::protect`], for a compound RTCP packet. It is always encrypted.
    pub fn protect_rtcp(&mut self, packet: &mut [u8], length: usize) -> Option<usize> {
        let ssrc = rtcp_origin(packet.get(..length)?).ok()?;
        if packet.len() - length < self.rtcp.rtcp_trailer() || self.next_rtcp > LAST_RTCP {
            return None;
        }
        // One count for all our SSRCs: each sees it rise, which is all RFC 3711 §3.4 needs.
        let index = self.next_rtcp;
        self.next_rtcp += 1;
        self.rtcp.seal_rtcp(packet, length, Place { ssrc, index: index.into() })
    }
}

impl Unprotector {
    pub fn new(master: &MasterKey) -> Self {
        Self {
            rtp: Transform::new(master, Flow::Rtp),
            rtcp: Transform::new(master, Flow::Rtcp),
            rtp_sources: Sources::default(),
            rtcp_sources: Sources::default(),
        }
    }

    /// Believes another key from now on, and the old one no more. What was replayed is watched anew;
    /// each source is expected to keep its rollover counter (RFC 3711 §3.3.1).
    pub fn rekey(&mut self, master: &MasterKey) {
        (self.rtp, self.rtcp) = (Transform::new(master, Flow::Rtp), Transform::new(master, Flow::Rtcp));
        self.rtp_sources.expect_anew();
        // SRTCP says its index: nothing has to be guessed from the old ones.
        self.rtcp_sources = Sources::default();
    }

    /// Turns a whole SRTP packet into RTP and returns how many octets it has then.
    ///
    /// A source is taken to begin with rollover counter 0: RFC 3711 §3.3.1 has no other way for
    /// one who comes late. Its first packet under a new key may be of the round that it was in or of
    /// round 0: not every peer keeps the counter, as it must. A few sources are remembered, by what
    /// they sent last; only an authentic packet makes one forgotten, whose old packets could then be
    /// replayed.
    pub fn unprotect(&mut self, packet: &mut [u8]) -> Result<usize, Refusal> {
        let clear = packet::payload_start(packet).map_err(|packet::Malformed| Refusal::Malformed)?;
        let (ssrc, sequence) = rtp_origin(packet)?;
        let length = without(packet, self.rtp.tag_length(), clear)?;
        // A number from before the beginning is one far ahead in the first round.
        let index = self.rtp_sources.index(ssrc, sequence).unwrap_or(sequence.into());
        let restarted = self.rtp_sources.restarted(ssrc, sequence).filter(|restarted| *restarted != index);
        // RFC 3711 §3.3 looks for replays first, to save work. The other way round a forgery is
        // never called a replay, and the peer's network never blamed for a stranger.
        let index = match restarted {
            Some(restarted) => self.open_either(packet, clear..length, ssrc, [index, restarted])?,
            None => self.rtp.open_rtp(packet, clear..length, Place { ssrc, index }).map(|()| index)?,
        };
        self.rtp_sources.admit(ssrc, index)?;
        Ok(length)
    }

    /// Which of the two indexes the packet is authentic under.
    fn open_either(
        &self,
        packet: &mut [u8],
        payload: Range<usize>,
        ssrc: u32,
        [index, other]: [u64; 2],
    ) -> Result<u64, Refusal> {
        // AES-GCM leaves nothing of what it refuses.
        let mut copy = [0; LONGEST];
        let copy = copy.get_mut(..packet.len()).ok_or(Refusal::Malformed)?;
        copy.copy_from_slice(packet);
        if self.rtp.open_rtp(packet, payload.clone(), Place { ssrc, index }).is_ok() {
            return Ok(index);
        }
        packet.copy_from_slice(copy);
        self.rtp.open_rtp(packet, payload, Place { ssrc, index: other }).map(|()| other)
    }

    /// Turns a whole SRTCP packet into RTCP and returns how many octets it has then. What the peer
    /// authenticated but did not encrypt is believed too (RFC 3711 §3.4, the E flag).
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refusal> {
        let ssrc = rtcp_origin(packet)?;
        let length = without(packet, self.rtcp.rtcp_trailer(), transform::RTCP_CLEAR)?;
        let index = self.rtcp.open_rtcp(packet, length, ssrc)?;
        self.rtcp_sources.admit(ssrc, index)?;
        Ok(length)
    }
}

/// The length of a packet less its trailer, if what is clear in it fits.
fn without(packet: &[u8], trailer: usize, clear: usize) -> Result<usize, Refusal> {
    packet.len().checked_sub(trailer).filter(|length| *length >= clear).ok_or(Refusal::Malformed)
}

/// SSRC and sequence number.
fn rtp_origin(packet: &[u8]) -> Result<(u32, u16), Refusal> {
    let fixed: &[u8; packet::HEADER] = packet.first_chunk().ok_or(Refusal::Malformed)?;
    let [_, _, s0, s1, _, _, _, _, c0, c1, c2, c3] = *fixed;
    Ok((u32::from_be_bytes([c0, c1, c2, c3]), u16::from_be_bytes([s0, s1])))
}

/// SSRC of the sender.
fn rtcp_origin(packet: &[u8]) -> Result<u32, Refusal> {
    match *packet {
        [first, _, _, _, c0, c1, c2, c3, ..] if first >> 6 == 2 => Ok(u32::from_be_bytes([c0, c1, c2, c3])),
        _ => Err(Refusal::Malformed),
    }
}
