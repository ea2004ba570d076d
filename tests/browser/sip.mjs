// A carrier and a phone in miniature: enough SIP over UDP to register, to call, to press keys by
// INFO, to be rung, to pick up and to be hung up on.

import { createHash, randomUUID } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";

const md5 = (text) => createHash("md5").update(text).digest("hex");
const header = (message, name) => message.match(new RegExp(`^${name}:\\s*(.*)$`, "im"))?.[1].trim();

export class Peer {
  #socket = createSocket("udp4");
  #waiting = [];
  /** Every message received, in order, until it was waited for. */
  received = [];

  static async open(baton) {
    const peer = new Peer();
    const [host, port] = baton.split(":");
    peer.baton = { host, port: Number(port) };
    peer.#socket.on("message", (bytes) => {
      peer.received.push(bytes.toString());
      peer.#waiting.splice(0).forEach((wake) => wake());
    });
    peer.#socket.bind(0, "127.0.0.1");
    await once(peer.#socket, "listening");
    peer.address = `127.0.0.1:${peer.#socket.address().port}`;
    return peer;
  }

  close() {
    this.#socket.close();
  }

  send(lines, body = "") {
    const text = [...lines, `Content-Length: ${Buffer.byteLength(body)}`, "", body].join("\r\n");
    this.#socket.send(text, this.baton.port, this.baton.host);
  }

  /** The next message that begins so; what came before it stays for others. */
  async next(start, seconds = 20) {
    const until = Date.now() + seconds * 1000;
    for (;;) {
      const at = this.received.findIndex((message) => message.startsWith(start));
      if (at >= 0) return this.received.splice(at, 1)[0];
      const left = until - Date.now();
      if (left <= 0) throw new Error(`no ${start} within ${seconds} s`);
      let timer;
      await Promise.race([
        new Promise((wake) => this.#waiting.push(wake)),
        new Promise((late) => (timer = setTimeout(late, left))),
      ]);
      clearTimeout(timer);
    }
  }

  #head(method, uri, dialog, number, extra = []) {
    return [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.address};branch=z9hG4bK${randomUUID()};rport`,
      `From: <sip:${dialog.from}@127.0.0.1>;tag=${dialog.tag}`,
      `To: ${dialog.to}`,
      `Call-ID: ${dialog.id}`,
      `CSeq: ${number} ${method}`,
      `Contact: <sip:${dialog.from}@${this.address}>`,
      "Max-Forwards: 70",
      ...extra,
    ];
  }

  /** Registers with digest (RFC 7616, MD5). */
  async register({ user, password }) {
    const { host, port } = this.baton;
    const uri = `sip:${host}:${port}`;
    const dialog = { from: user, tag: randomUUID(), to: `<sip:${user}@127.0.0.1>`, id: randomUUID() };
    this.send(this.#head("REGISTER", uri, dialog, 1, ["Expires: 300"]));
    const challenge = header(await this.next("SIP/2.0 401"), "WWW-Authenticate");
    const part = (name) => challenge.match(new RegExp(`${name}="?([^",]+)`))[1];
    const [realm, nonce, cnonce] = [part("realm"), part("nonce"), randomUUID()];
    const response = md5(
      `${md5(`${user}:${realm}:${password}`)}:${nonce}:00000001:${cnonce}:auth:${md5(`REGISTER:${uri}`)}`,
    );
    const answer =
      `Authorization: Digest username="${user}", realm="${realm}", nonce="${nonce}", uri="${uri}", ` +
      `algorithm=MD5, qop=auth, nc=00000001, cnonce="${cnonce}", response="${response}"`;
    this.send(this.#head("REGISTER", uri, dialog, 2, ["Expires: 300", answer]));
    await this.next("SIP/2.0 200");
  }

  /** Calls; resolves when the call is answered. Without sound nothing is heard or said. */
  async call(from, number, sound) {
    const { host, port } = this.baton;
    const uri = `sip:${number}@${host}:${port}`;
    const dialog = { from, tag: randomUUID(), to: `<${uri}>`, id: randomUUID(), number: 1 };
    const sdp = sound?.offer() ?? [
      "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", "m=audio 9 RTP/AVP 0",
      "a=rtpmap:0 PCMU/8000", "",
    ].join("\r\n");
    this.send(this.#head("INVITE", uri, dialog, 1, ["Content-Type: application/sdp"]), sdp);
    const ok = await this.next("SIP/2.0 200");
    dialog.to = header(ok, "To");
    dialog.target = header(ok, "Contact").match(/<(.*?)>/)[1];
    this.send(this.#head("ACK", dialog.target, dialog, 1));
    sound?.accept(ok);
    return dialog;
  }

  /** Says 200 to a request. */
  answer(request, more = [], body = "") {
    const same = ["From", "To", "Call-ID", "CSeq"].map((name) => `${name}: ${header(request, name)}`);
    const kept = request.split("\r\n").filter((line) => /^(via|record-route):/i.test(line));
    this.send(["SIP/2.0 200 OK", ...kept, ...same, ...more], body);
  }

  /** Answers an INVITE that came. */
  pickUp(invite, sound) {
    const tagged = invite.replace(/^To:.*$/im, (to) => `${to};tag=${randomUUID()}`);
    const contact = `Contact: <sip:phone@${this.address}>`;
    this.answer(tagged, [contact, "Content-Type: application/sdp"], sound.answer(invite));
  }

  async press(dialog, key) {
    dialog.number += 1;
    const kind = ["Content-Type: application/dtmf-relay"];
    this.send(this.#head("INFO", dialog.target, dialog, dialog.number, kind), `Signal=${key}\r\nDuration=160\r\n`);
    await this.next("SIP/2.0 200");
  }

  async hangUp(dialog) {
    dialog.number += 1;
    this.send(this.#head("BYE", dialog.target, dialog, dialog.number));
    await this.next("SIP/2.0 200");
  }
}
