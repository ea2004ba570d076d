// The telephone in the page: the microphone, and one RTCPeerConnection that stands from log-in to
// log-out, so that answering a call needs no handshake. It knows no contact.

/** Which state is a word of the page, and whether only a hand can mend it. */
const HELPLESS = ["no_microphone", "microphone_refused", "insecure_page"];
/** A path that is shaky for longer is looked for anew; a network that changed mends itself sooner. */
const SHAKY_MS = 2000;
/** Between two offers, for as long as nothing comes of them. */
const PATIENCE_MS = 3000;
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export class Phone {
  /** @type {"off" | "asking" | "connecting" | "line_up" | "line_lost" | "no_microphone" | "microphone_refused" | "insecure_page"} */
  state = "off";
  /** Of the microphone, 0 to 1. */
  level = 0;
  /** @type {{loss: number, jitter: number, roundTrip: number} | null} per cent and milliseconds */
  quality = null;

  /** @type {RTCPeerConnection | null} */
  #peer = null;
  /** @type {MediaStreamTrack | null} */
  #voice = null;
  /** @type {RTCIceServer[]} */
  #servers = [];
  #muted = false;
  /** What the server answered last. It is good once the offer it is for was accepted. */
  #answer = "";
  /** Offers so far: what comes of any but the newest is of no interest. */
  #offers = 0;
  /** Offers since the line was last up. */
  #attempts = 0;
  #retry = 0;
  #speaker = new Audio();
  #bell = new Audio();
  /** @type {{lost: number, received: number} | null} */
  #counted = null;

  /**
   * @param {(sdp: string) => Promise<boolean>} send carries an offer to the server
   * @param {() => void} changed the state is another
   */
  constructor(send, changed) {
    this.send = send;
    this.changed = changed;
    this.#speaker.autoplay = true;
    this.#bell.loop = true;
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#refit());
    addEventListener("online", () => this.state !== "off" && this.#call("restart"));
  }

  get isHelpless() {
    return HELPLESS.includes(this.state);
  }

  /** @param {RTCIceServer[]} [servers] */
  use(servers = []) {
    this.#servers = servers;
  }

  /** The server may know nothing of this page: everything from the beginning. */
  async begin() {
    if (!navigator.mediaDevices || !globalThis.RTCPeerConnection) return this.#become("insecure_page");
    if (this.#voice?.readyState !== "live") {
      this.#become("asking");
      try {
        this.#voice = await this.#microphone();
      } catch (error) {
        const refused = error instanceof DOMException && error.name === "NotAllowedError";
        this.#become(refused ? "microphone_refused" : "no_microphone");
        if (refused) this.#beginWhenAllowed();
        return;
      }
    }
    this.#attempts = 0;
    await this.#call("anew");
  }

  /** The WebSocket is back, and the server remembers: only what broke meanwhile is mended. */
  async resume() {
    if (this.state === "off" || this.isHelpless) return this.begin();
    if (this.state !== "line_up") await this.#call("restart");
  }

  /** The server's answer to the offer that is under way. @param {string} sdp */
  hear(sdp) {
    this.#answer = sdp;
  }

  end() {
    this.#offers += 1;
    clearTimeout(this.#retry);
    this.#voice?.stop();
    this.#voice = null;
    this.#hangUp();
    this.ring(false);
    this.#become("off");
  }

  /** Nobody hears a muted agent, whatever the server does. @param {boolean} muted */
  mute(muted) {
    this.#muted = muted;
    if (this.#voice) this.#voice.enabled = !muted;
  }

  /** @param {boolean} on */
  ring(on) {
    if (!on) return this.#bell.pause();
    if (!this.#bell.src) this.#bell.src = URL.createObjectURL(chime());
    this.#bell.currentTime = 0;
    // A page that nobody touched yet may not sound.
    this.#bell.play().catch(() => {});
  }

  /** Reads level and quality; to be asked a few times a second. */
  async look() {
    const peer = this.#peer;
    if (!peer || peer.connectionState !== "connected") {
      this.level = 0;
      this.quality = null;
      return;
    }
    let [lost, received, jitter, roundTrip] = [0, 0, 0, 0];
    for (const stat of (await peer.getStats()).values()) {
      if (stat.type === "media-source") this.level = this.#muted ? 0 : stat.audioLevel ?? 0;
      if (stat.type === "inbound-rtp") [lost, received, jitter] = [stat.packetsLost, stat.packetsReceived, stat.jitter];
      if (stat.type === "candidate-pair" && stat.nominated) roundTrip = stat.currentRoundTripTime ?? 0;
    }
    const before = this.#counted ?? { lost, received };
    // Some hundred packets make a figure; until then the last one stands.
    const span = lost - before.lost + received - before.received;
    if (span < 0 || span >= 250 || !this.#counted) this.#counted = { lost, received };
    const loss = span > 0 ? (100 * Math.max(0, lost - before.lost)) / span : 0;
    this.quality = received ? { loss, jitter: 1000 * jitter, roundTrip: 1000 * roundTrip } : null;
  }

  /**
   * Offers: on the connection there is, or on another.
   * @param {"restart" | "anew"} how
   */
  async #call(how) {
    clearTimeout(this.#retry);
    const mine = ++this.#offers;
    this.#attempts += 1;
    this.#become(this.#attempts > 2 ? "line_lost" : "connecting");
    try {
      // A server that was started anew, or forgot the leg, can do nothing with a restart.
      const peer = how === "anew" || this.#attempts > 2 || !this.#peer ? this.#install() : this.#peer;
      const offer = await peer.createOffer({ iceRestart: true });
      await peer.setLocalDescription(offer);
      // At once: the far end is lite and needs none of our candidates.
      const accepted = await this.send(offer.sdp ?? "");
      if (mine !== this.#offers) return;
      if (accepted) await peer.setRemoteDescription({ type: "answer", sdp: this.#answer });
    } catch (error) {
      if (mine !== this.#offers) return;
      console.warn("offer", error);
    }
    this.#follow();
    this.#retry = setTimeout(() => this.#mend(), PATIENCE_MS);
  }

  #mend() {
    if (this.#peer && this.#peer.connectionState !== "connected") this.#call("restart");
  }

  /** A connection of its own for the voice there is. */
  #install() {
    this.#hangUp();
    const peer = new RTCPeerConnection({ iceServers: this.#servers, bundlePolicy: "max-bundle" });
    this.#peer = peer;
    if (this.#voice) {
      this.#voice.enabled = !this.#muted;
      peer.addTrack(this.#voice, new MediaStream([this.#voice]));
    }
    peer.ontrack = ({ track, streams }) => {
      this.#speaker.srcObject = streams[0] ?? new MediaStream([track]);
      this.#speaker.play().catch(() => {});
    };
    peer.onconnectionstatechange = () => {
      if (peer === this.#peer) this.#follow();
    };
    return peer;
  }

  #hangUp() {
    this.#peer?.close();
    this.#peer = null;
    this.#counted = null;
    this.#speaker.srcObject = null;
  }

  #follow() {
    switch (this.#peer?.connectionState) {
      case "connected":
        this.#attempts = 0;
        clearTimeout(this.#retry);
        return this.#become("line_up");
      case "disconnected":
        clearTimeout(this.#retry);
        this.#retry = setTimeout(() => this.#mend(), SHAKY_MS);
        return this.#become("line_lost");
      case "failed":
        clearTimeout(this.#retry);
        this.#retry = setTimeout(() => this.#mend(), this.#attempts ? PATIENCE_MS : 0);
        return this.#become("line_lost");
    }
  }

  async #microphone() {
    const [track] = (await navigator.mediaDevices.getUserMedia({ audio: AUDIO })).getAudioTracks();
    track.addEventListener("ended", () => this.#refit());
    return track;
  }

  /** Another headset was plugged in, or the one in use pulled out: the call goes on. */
  async #refit() {
    if (this.state === "off") return;
    if (this.state === "no_microphone") return this.begin();
    if (!this.#voice || this.#voice.readyState === "live") return;
    try {
      this.#voice = await this.#microphone();
      this.#voice.enabled = !this.#muted;
      await this.#peer?.getSenders()[0]?.replaceTrack(this.#voice);
      this.changed();
    } catch {
      this.#become("no_microphone");
    }
  }

  async #beginWhenAllowed() {
    const name = /** @type {PermissionName} */ ("microphone");
    const permission = await navigator.permissions?.query({ name }).catch(() => null);
    if (!permission) return;
    permission.onchange = () => {
      permission.onchange = null;
      if (this.state === "microphone_refused") this.begin();
    };
  }

  /** @param {Phone["state"]} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.changed();
  }
}

/** One second of two bells and two of silence, as a WAV of 8 kHz. */
function chime() {
  const [rate, length] = [8000, 3 * 8000];
  const bytes = new DataView(new ArrayBuffer(44 + 2 * length));
  const text = (/** @type {number} */ at, /** @type {string} */ word) =>
    [...word].forEach((letter, i) => bytes.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * length, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  [1, 1].forEach((value, i) => bytes.setUint16(20 + 2 * i, value, true));
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, 2 * rate, true);
  [2, 16].forEach((value, i) => bytes.setUint16(32 + 2 * i, value, true));
  text(36, "data");
  bytes.setUint32(40, 2 * length, true);
  for (let n = 0; n < rate; n += 1) {
    const beat = n % (rate / 2);
    const fade = Math.exp((-6 * beat) / rate) * Math.min(1, beat / 80);
    const turn = (2 * Math.PI * beat) / rate;
    bytes.setInt16(44 + 2 * n, 6000 * fade * (Math.sin(660 * turn) + Math.sin(880 * turn)), true);
  }
  return new Blob([bytes], { type: "audio/wav" });
}
