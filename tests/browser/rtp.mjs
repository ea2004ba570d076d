// A caller's end of the audio: G.711 (µ-law) and telephone-events (RFC 4733), a tone said, whatever
// comes heard.

import { createSocket } from "node:dgram";
import { once } from "node:events";

const RATE = 8000;
const FRAME = 160;
const KEYS = "0123456789*#";
/** Frames of what was heard that are kept: a second and a half. */
const KEPT = 75;

export class Sound {
  #socket = createSocket("udp4");
  #to = null;
  #timer = null;
  #sequence = 1;
  #clock = 0;
  #tone;
  #frames = [];
  /** The payload type of telephone-events. */
  #events = 101;
  /** Keys to be pressed, and the one being pressed: its timestamp and length so far. */
  #waiting = [];
  #pressed = null;
  #ended = new Set();
  /** Packets of audio that came. */
  received = 0;
  /** Keys that came, each once. */
  keys = "";

  /** Says a tone of so many Hz as soon as it is told where to. */
  static async open(hz) {
    const sound = new Sound();
    sound.#tone = Array.from({ length: RATE }, (_, n) => ulaw(8000 * Math.sin((2 * Math.PI * hz * n) / RATE)));
    sound.#socket.on("message", (bytes) => sound.#hear(bytes));
    sound.#socket.bind(0, "127.0.0.1");
    await once(sound.#socket, "listening");
    return sound;
  }

  close() {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  offer() {
    return [
      "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
      `m=audio ${this.#socket.address().port} RTP/AVP 0 ${this.#events}`, "a=rtpmap:0 PCMU/8000",
      `a=rtpmap:${this.#events} telephone-event/8000`, "",
    ].join("\r\n");
  }

  /** The answer to an offer, taken up at once: its number for the events is ours (RFC 3264 §6.1). */
  answer(offer) {
    this.#events = Number(offer.match(/^a=rtpmap:(\d+) telephone-event\/8000/m)[1]);
    this.accept(offer);
    return this.offer();
  }

  /** Speaks to where the peer's description wants it. */
  accept(answer) {
    this.#to = { host: answer.match(/^c=IN IP4 (\S+)/m)[1], port: Number(answer.match(/^m=audio (\d+)/m)[1]) };
    let next = performance.now();
    // By the clock: a timer alone drifts.
    this.#timer = setInterval(() => {
      for (; next <= performance.now(); next += 20) this.#say();
    }, 10);
  }

  press(keys) {
    this.#waiting.push(...keys);
  }

  /** How loud it was of late, 0 to 1. */
  loudness() {
    const all = this.#frames.flat();
    return Math.sqrt(all.reduce((sum, sample) => sum + sample * sample, 0) / (all.length || 1)) / 32768;
  }

  /** The largest share that a tone of so many Hz had of any frame of late that was not silent. */
  share(hz) {
    return Math.max(0, ...this.#frames.map((frame) => shareOf(frame, hz)));
  }

  forget() {
    this.#frames = [];
  }

  #say() {
    this.#clock += FRAME;
    if (!this.#pressed && this.#waiting.length) this.#pressed = { key: KEYS.indexOf(this.#waiting.shift()), at: this.#clock, length: 0 };
    if (!this.#pressed) {
      const start = this.#clock % RATE;
      return this.#send(0, this.#clock, Buffer.from(this.#tone.slice(start, start + FRAME)));
    }
    const { key, at } = this.#pressed;
    this.#pressed.length += FRAME;
    const event = (end) => Buffer.from([key, (end ? 0x80 : 0) | 10, this.#pressed.length >> 8, this.#pressed.length & 0xff]);
    if (this.#pressed.length < 800) return this.#send(this.#events, at, event(false));
    // RFC 4733 §2.5.1.4: the end goes three times.
    for (let i = 0; i < 3; i += 1) this.#send(this.#events, at, event(true));
    this.#pressed = null;
  }

  #send(type, timestamp, payload) {
    const packet = Buffer.alloc(12 + payload.length);
    packet[0] = 0x80;
    packet[1] = type;
    packet.writeUInt16BE(this.#sequence++ & 0xffff, 2);
    packet.writeUInt32BE(timestamp, 4);
    packet.writeUInt32BE(0x5eed, 8);
    payload.copy(packet, 12);
    this.#socket.send(packet, this.#to.port, this.#to.host);
  }

  #hear(bytes) {
    const type = bytes[1] & 0x7f;
    const payload = bytes.subarray(12);
    if (type === this.#events && payload[1] & 0x80) {
      const at = bytes.readUInt32BE(4);
      if (!this.#ended.has(at)) this.keys += KEYS[payload[0]];
      this.#ended.add(at);
    } else if (type === 0) {
      this.received += 1;
      this.#frames.push(Array.from(payload, linear));
      if (this.#frames.length > KEPT) this.#frames.shift();
    }
  }
}

/** Goertzel: the share of a frame's energy that lies at `hz`. */
function shareOf(frame, hz) {
  const turn = 2 * Math.cos((2 * Math.PI * hz) / RATE);
  let [before, last, energy] = [0, 0, 0];
  for (const sample of frame) {
    [before, last] = [last, sample + turn * last - before];
    energy += sample * sample;
  }
  const found = last * last + before * before - turn * last * before;
  return energy / frame.length < 10_000 ? 0 : (2 * found) / (energy * frame.length);
}

/** ITU-T G.711. */
function ulaw(sample) {
  const level = Math.min(32635, Math.abs(Math.round(sample))) + 132;
  const segment = 24 - Math.clz32(level);
  return ~((sample < 0 ? 0x80 : 0) | (segment << 4) | ((level >> (segment + 3)) & 15)) & 0xff;
}

function linear(octet) {
  const code = ~octet & 0xff;
  const level = ((((code & 15) << 3) + 132) << ((code >> 4) & 7)) - 132;
  return code & 0x80 ? -level : level;
}
